/* SPDX-License-Identifier: MIT */
/*
 * lru.c - the policy of reclaim: two lists for each kind of page, and the distance of refaults.
 *
 *	new ──> inactive ──────────────────────────────> reclaimed
 *	          ^   │ used twice, or as program text      │
 *	          │   v                                     │ back before as many others went
 *	          active <──────────────────────────────────┘ as are active (refault distance)
 *
 * A page is used through entries, which reclaim finds young, or by the kernel (mark_page_accessed).
 * Active pages are looked at only when the inactive list is short; those that are not program text in use
 * then become inactive, and have the length of that list to be used in.
 *
 * Refault distance. nonresident_age counts evictions and activations: the pages that went by. A page
 * takes its value along as shadow when it goes. If it comes back when the count is d higher, it would
 * have stayed had the inactive list been d longer; so if d is not more than what else could have gone, the
 * active list above all, it competes with that: it is activated at once.
 */
#include <quire/mm_inline.h>
#include <quire/reclaim.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

/* A shadow is the age, and whether the page was active before. */
#define AGE_BITS 38
#define AGE_MASK ((1UL << AGE_BITS) - 1)

static void inc_nonresident_age(struct lruvec *lruvec)
{
	atomic_long_add(1, &lruvec->nonresident_age);
}

static unsigned long lru_evict(struct lruvec *lruvec, struct page *page)
{
	unsigned long age = (unsigned long)atomic_long_read(&lruvec->nonresident_age) & AGE_MASK;

	inc_nonresident_age(lruvec);
	return (age << 1 | PageWorkingset(page)) + 1;
}

static void lru_refault(struct lruvec *lruvec, struct page *page, unsigned long shadow)
{
	bool file = page_is_file_lru(page), workingset = (shadow - 1) & 1;
	unsigned long now = (unsigned long)atomic_long_read(&lruvec->nonresident_age) & AGE_MASK;
	unsigned long distance = (now - ((shadow - 1) >> 1)) & AGE_MASK;
	unsigned long room = READ_ONCE(lruvec->nr[LRU_ACTIVE_FILE]);

	if (!file)
		room += READ_ONCE(lruvec->nr[LRU_INACTIVE_FILE]);
	if (get_nr_swap_pages() > 0)
		room += READ_ONCE(lruvec->nr[LRU_ACTIVE_ANON]) +
			(file ? READ_ONCE(lruvec->nr[LRU_INACTIVE_ANON]) : 0);
	mod_node_page_state(WORKINGSET_REFAULT_ANON + file, 1);
	if (distance > room)
		return;
	SetPageActive(page);
	inc_nonresident_age(lruvec);
	mod_node_page_state(WORKINGSET_ACTIVATE_ANON + file, 1);
	if (workingset) {
		SetPageWorkingset(page);
		mod_node_page_state(WORKINGSET_RESTORE_ANON + file, 1);
	}
}

static enum page_verdict lru_examine(struct page *page, unsigned int refs, vm_flags_t vm_flags)
{
	bool referenced = PageReferenced(page);

	ClearPageReferenced(page);
	if (!refs)
		return PAGE_RECLAIM;
	SetPageReferenced(page);
	if (referenced || refs > 1 || (page_is_file_lru(page) && vm_flags & VM_EXEC))
		return PAGE_ACTIVATE;
	return PAGE_KEEP;
}

static bool lru_stays_active(struct page *page, unsigned int refs, vm_flags_t vm_flags)
{
	if (refs && vm_flags & VM_EXEC && page_is_file_lru(page))
		return true;
	SetPageWorkingset(page);
	return false;
}

/* The larger memory is, the smaller the part of it that has to prove itself. */
static bool lru_inactive_is_low(const struct lruvec *lruvec, enum lru_list inactive)
{
	unsigned long nr = READ_ONCE(lruvec->nr[inactive]);
	unsigned long active = READ_ONCE(lruvec->nr[inactive + 1]);
	unsigned long gb = (nr + active) >> (30 - PAGE_SHIFT), ratio = 1;

	while (ratio * ratio < 10 * gb)
		ratio++;
	return nr * ratio < active;
}

/*
 * Between the kinds: by swappiness, and by how little of what was looked at lately could go. A kind
 * always gets a share, so that a change is noticed.
 */
static void lru_scan_count(const struct lruvec *lruvec, const struct scan_control *sc,
			   unsigned long *nr)
{
	unsigned long cost[2] = { READ_ONCE(lruvec->cost[0]), READ_ONCE(lruvec->cost[1]) };
	unsigned long total = cost[0] + cost[1], part[2], sum;
	unsigned long file =
		READ_ONCE(lruvec->nr[LRU_INACTIVE_FILE]) + READ_ONCE(lruvec->nr[LRU_ACTIVE_FILE]);

	part[0] = sc->swappiness * (total + 1) / (total + cost[0] + 1) + (sc->swappiness != 0);
	part[1] = (200 - sc->swappiness) * (total + 1) / (total + cost[1] + 1) + 1;
	if (!sc->may_swap)
		part[0] = 0;
	else if (file <= sc->floor) /* there is next to nothing else */
		part[1] = 0;
	sum = part[0] + part[1];
	for (int lru = LRU_INACTIVE_ANON; lru <= LRU_ACTIVE_FILE; lru++) {
		unsigned long scan = READ_ONCE(lruvec->nr[lru]) >> sc->priority;

		/* In the end everything is tried. */
		if (sc->priority)
			scan = sum ? scan * part[lru / 2] / sum : 0;
		else if (lru < LRU_INACTIVE_FILE && !sc->may_swap)
			scan = 0;
		nr[lru] = scan;
	}
}

static void lru_note_cost(struct lruvec *lruvec, enum lru_list inactive, unsigned long nr,
			  unsigned long rotated)
{
	unsigned long total;

	(void)nr;
	lruvec->cost[inactive / 2] += rotated;
	/* What was long ago counts less and less. */
	total = lruvec->cost[0] + lruvec->cost[1];
	if (total > (lruvec->nr[0] + lruvec->nr[1] + lruvec->nr[2] + lruvec->nr[3]) / 4) {
		lruvec->cost[0] /= 2;
		lruvec->cost[1] /= 2;
	}
}

const struct reclaim_policy lru_policy = {
	.name = "lru",
	.refault = lru_refault,
	.examine = lru_examine,
	.stays_active = lru_stays_active,
	.inactive_is_low = lru_inactive_is_low,
	.scan_count = lru_scan_count,
	.note_cost = lru_note_cost,
	.evict = lru_evict,
};

const struct reclaim_policy *reclaim_policy = &lru_policy;
