/* SPDX-License-Identifier: MIT */
/*
 * vmscan.c - reclaim: pages go from the old ends of their lists. Which, the policy says (reclaim.h);
 * here is how.
 *
 *	try_to_free_pages      priority 12 ... 0: every time more of the lists is looked at
 *	  shrink_lruvec        each list, as many pages as the policy wants
 *	    shrink_active      pages that are not in use become inactive
 *	    shrink_inactive    isolate_group, then ...
 *	      shrink_file_group  unmap, write if dirty, drop
 *	      shrink_anon_group  to the swap cache, unmap, write if dirty, drop; lazily freed ones: drop
 *
 * Locks. Reclaim works for the allocator's caller, who may hold mmap_lock and a mapping->lock, so every
 * mapping->lock here is only tried; the page cache, which holds one whenever it allocates, says which
 * (try_to_free_pages_locked), lest a file that fills memory cannot be read on. Pages are taken off a list
 * in groups of one mapping, whose lock is got while lru_lock keeps the mapping from going away.
 *
 * Memory. Reclaim allocates nothing that it would have to wait for, so it never comes to itself again.
 *
 * With mapping->lock held, a page with no map count and no reference but the cache's and ours is nobody's:
 * new references need the lock, or an entry that maps it.
 *
 * The last few pages of files stay, or programs would do nothing but read their text again and again
 * (reclaim_cache_floor).
 */
#include <quire/mm_inline.h>
#include <quire/pagemap.h>
#include <quire/reclaim.h>
#include <quire/rmap.h>
#include <quire/swap.h>
#include <quire/string.h>
#include <quire/trace.h>
#include <quire/vmstat.h>

/* How often, a millisecond apart, files are tried whose locks others held. */
#define MAX_CONTENDED_RETRIES 16
/* Writing starts when clean pages alone were not enough. */
#define WRITE_PRIORITY (DEF_PRIORITY - 2)

unsigned long vm_cache_floor = 4096;
int vm_swappiness = 60;

static unsigned long file_cache_pages(void)
{
	return node_page_state(NR_FILE_PAGES) - node_page_state(NR_SHMEM);
}

bool cache_is_scarce(void)
{
	unsigned long total = totalram_pages();

	return nr_free_pages() < total / 16 && file_cache_pages() < total - total / 4;
}

/*
 * What other memory may not take from the page cache: text that is evicted is read again at once, so
 * with less than the programs need at a time nobody gets anywhere. Another page of a file may.
 */
unsigned long reclaim_cache_floor(void)
{
	return min(totalram_pages() / 8, vm_cache_floor);
}

/* ---- Groups --------------------------------------------------------------------------------- */

/* Pages off their list, with a reference each: of one mapping, whose lock is held, or anonymous. */
struct page_group {
	struct page *page[SWAP_CLUSTER_MAX]; /* oldest first */
	unsigned int nr;
	struct address_space *mapping;
	bool begun; /* mapping is known */
	bool locked; /* its lock is to be given back */
};

/* lru_lock held: what the page belongs to does not change. NULL: anonymous. */
static struct address_space *page_file_mapping(const struct page *page)
{
	return PageAnon(page) ? NULL : READ_ONCE(page->mapping);
}

/* lru_lock held. Whether the page may join; the first one names the mapping. */
static bool group_takes(struct page_group *group, const struct page *page, struct scan_control *sc)
{
	struct address_space *mapping = page_file_mapping(page);

	if (group->begun)
		return mapping == group->mapping;
	if (mapping && mapping != sc->locked) {
		if (!mutex_trylock(&mapping->lock)) {
			sc->contended = true;
			return false;
		}
		group->locked = true;
	}
	group->mapping = mapping;
	group->begun = true;
	return true;
}

/*
 * Take at most nr pages from the old end. Those of files whose lock somebody has go to the young end.
 * How many were looked at: 0 if the list is empty.
 */
static unsigned long isolate_group(struct lruvec *lruvec, enum lru_list lru, unsigned long nr,
				   struct scan_control *sc, struct page_group *group)
{
	struct list_head *list = &lruvec->lists[lru];
	unsigned long scanned = 0;

	*group = (struct page_group){ .nr = 0 };
	nr = min(nr, SWAP_CLUSTER_MAX);
	spin_lock(&lruvec->lru_lock);
	while (scanned < nr && !list_empty(list)) {
		struct page *page = list_last_entry(list, struct page, lru);
		bool takes = group_takes(group, page, sc);

		if (!takes && group->begun)
			break;
		scanned++;
		/* Without a reference it is about to be freed, by who waits for lru_lock. */
		if (!takes || !get_page_unless_zero(page)) {
			list_move(&page->lru, list);
			continue;
		}
		del_page_from_lru_list(lruvec, page);
		group->page[group->nr++] = page;
	}
	spin_unlock(&lruvec->lru_lock);
	return scanned;
}

/* The pages that are left go where their flags say, and the lock is given back. */
static void putback_group(struct page_group *group)
{
	lru_cache_add_pages(group->page, group->nr);
	for (unsigned int i = 0; i < group->nr; i++)
		put_page(group->page[i]);
	if (group->locked)
		mutex_unlock(&group->mapping->lock);
}

/* ---- Pages of a mapping --------------------------------------------------------------------- */

/* Held by nobody but the cache, the entries that map it, and us. */
static bool page_is_unheld(struct page *page)
{
	return page_count(page) == 2 + page_mapcount(page);
}

/* What may be done about a page depends on how much there is left of its kind. */
static bool floor_permits(const struct page_group *group, struct page *page,
			  const struct scan_control *sc)
{
	if (group->mapping->host->i_kind == INODE_SHMEM)
		return true;
	if (page_mapcount(page))
		return sc->may_unmap && file_cache_pages() > sc->floor;
	return file_cache_pages() >= sc->floor / 2;
}

static enum page_verdict look_at(struct page *page, const struct scan_control *sc)
{
	vm_flags_t vm_flags = 0;
	unsigned int refs =
		page_mapcount(page) || PageYoung(page) ? page_referenced(page, &vm_flags) : 0;

	if (vm_flags & VM_LOCKED) {
		ClearPageActive(page);
		SetPageUnevictable(page);
		count_vm_event(UNEVICTABLE_PGCULLED);
		return PAGE_KEEP;
	}
	if (!sc->priority)
		return PAGE_RECLAIM;
	return reclaim_policy->examine(page, refs, vm_flags);
}

/* Move the pages that are to go to the front; how many. */
static unsigned int choose_pages(struct page_group *group, const struct scan_control *sc)
{
	unsigned int chosen = 0;

	for (unsigned int i = 0; i < group->nr; i++) {
		struct page *page = group->page[i];
		enum page_verdict verdict = PAGE_KEEP;

		if (!group->mapping || floor_permits(group, page, sc))
			verdict = look_at(page, sc);
		if (verdict == PAGE_ACTIVATE) {
			SetPageActive(page);
			count_vm_event(PGACTIVATE);
		}
		if (verdict != PAGE_RECLAIM)
			continue;
		group->page[i] = group->page[chosen];
		group->page[chosen++] = page;
	}
	return chosen;
}

/* The dirty ones of n pages are written back, with what is dirty beside them. */
static void write_back(struct page_group *group, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		pgoff_t index = group->page[i]->index;

		if (PageDirty(group->page[i]))
			filemap_write_and_wait_range_locked(group->mapping,
							    index & ~(SWAP_CLUSTER_MAX - 1),
							    index | (SWAP_CLUSTER_MAX - 1));
	}
}

/* Unmap the clean mapped ones of n pages, a run of neighbours at a time. */
static void unmap_file_pages(struct page_group *group, unsigned int n)
{
	pgoff_t from = 0, nr = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct page *page = group->page[i];

		if (PageDirty(page) || !page_mapcount(page) || !page_is_unheld(page))
			continue;
		if (nr && page->index == from + nr) {
			nr++;
			continue;
		}
		if (nr)
			try_to_unmap_range(group->mapping, from, from + nr - 1);
		from = page->index;
		nr = 1;
	}
	if (nr)
		try_to_unmap_range(group->mapping, from, from + nr - 1);
}

static bool drop_file_page(struct page *page)
{
	if (PageDirty(page) || page_mapcount(page) || !page_is_unheld(page))
		return false;
	filemap_evict(page, reclaim_policy->evict(page_lruvec(page), page));
	ClearPageActive(page);
	put_page(page);
	return true;
}

/* Reclaim what may go of a host file's pages; those leave the group. */
static void shrink_file_group(struct page_group *group, struct scan_control *sc)
{
	unsigned int n = choose_pages(group, sc), left = 0, freed = 0;

	if (sc->may_writepage)
		write_back(group, n);
	unmap_file_pages(group, n);
	for (unsigned int i = 0; i < group->nr; i++) {
		if (i < n && drop_file_page(group->page[i]))
			freed++;
		else
			group->page[left++] = group->page[i];
	}
	group->nr = left;
	sc->nr_reclaimed += freed;
	count_vm_events(PGSTEAL_FILE, freed);
	count_vm_events(sc->kswapd ? PGSTEAL_KSWAPD : PGSTEAL_DIRECT, freed);
}

/* ---- Anonymous and shared memory ------------------------------------------------------------ */

/* What becomes of the pages of a group on their way to swap. */
struct swap_out {
	struct page *kept[SWAP_CLUSTER_MAX]; /* back to a list */
	struct page *gone[SWAP_CLUSTER_MAX]; /* unmapped, in the swap cache */
	struct page *dirty[SWAP_CLUSTER_MAX]; /* those of them that must be written; locked */
	unsigned int nr_kept, nr_gone, nr_dirty;
	unsigned int freed;
};

/* The page is in nothing any more: our reference is the last. */
static void free_isolated(struct page *page)
{
	ClearPageActive(page);
	put_page(page);
}

/* Locked. Nobody wants what was in it, unless somebody has written to it since. */
static bool lazyfree_page(struct page *page)
{
	if (try_to_unmap(page) && page_count(page) == 1 && !PageDirty(page)) {
		unlock_page(page);
		free_isolated(page);
		count_vm_event(PGLAZYFREED);
		return true;
	}
	SetPageSwapBacked(page);
	return false;
}

/* Locked. False: no slot, or somebody holds on to it. */
static bool unmap_to_swap(struct page_group *group, struct page *page, struct scan_control *sc)
{
	if (group->mapping) {
		if (page_mapcount(page))
			try_to_unmap_range(group->mapping, page->index, page->index);
		return !page_mapcount(page) && !shmem_add_to_swap(page);
	}
	if (!PageSwapCache(page) && add_to_swap(page)) {
		sc->may_swap = false;
		return false;
	}
	return !page_mapcount(page) || try_to_unmap(page);
}

/* Locked. Whether the page has left the group for gone, or for good. */
static bool swap_out_page(struct page_group *group, struct page *page, struct scan_control *sc,
			  struct swap_out *out)
{
	if (PageWriteback(page) || (!PageAnon(page) && page->mapping != group->mapping))
		return false;
	if (PageAnon(page) && !PageSwapBacked(page)) {
		if (!lazyfree_page(page))
			return false;
		out->freed++;
		return true;
	}
	if (!sc->may_swap || !unmap_to_swap(group, page, sc))
		return false;
	out->gone[out->nr_gone++] = page;
	if (PageDirty(page))
		out->dirty[out->nr_dirty++] = page;
	else
		unlock_page(page);
	return true;
}

/* Drop what is written, and was not wanted back meanwhile. */
static void drop_swapped_pages(struct swap_out *out)
{
	for (unsigned int i = 0; i < out->nr_gone; i++) {
		struct page *page = out->gone[i];
		bool dropped = false;

		if (trylock_page(page)) {
			dropped = PageSwapCache(page) && !PageDirty(page) && !PageWriteback(page) &&
				  !page_mapcount(page) && page_count(page) == 2;
			if (dropped)
				delete_from_swap_cache(
					page, reclaim_policy->evict(page_lruvec(page), page));
			unlock_page(page);
		}
		if (dropped) {
			free_isolated(page);
			out->freed++;
		} else {
			out->kept[out->nr_kept++] = page;
		}
	}
}

static void shrink_anon_group(struct page_group *group, struct scan_control *sc)
{
	unsigned int n = choose_pages(group, sc);
	struct swap_out out = { .nr_kept = 0 };

	for (unsigned int i = 0; i < group->nr; i++) {
		struct page *page = group->page[i];

		if (i < n && trylock_page(page)) {
			if (swap_out_page(group, page, sc, &out))
				continue;
			unlock_page(page);
		}
		out.kept[out.nr_kept++] = page;
	}
	swap_write_pages(out.dirty, out.nr_dirty);
	drop_swapped_pages(&out);
	memcpy(group->page, out.kept, out.nr_kept * sizeof(out.kept[0]));
	group->nr = out.nr_kept;
	sc->nr_reclaimed += out.freed;
	count_vm_events(PGSTEAL_ANON, out.freed);
	count_vm_events(sc->kswapd ? PGSTEAL_KSWAPD : PGSTEAL_DIRECT, out.freed);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

static void shrink_inactive(struct lruvec *lruvec, enum lru_list lru, unsigned long nr,
			    struct scan_control *sc)
{
	unsigned long scanned = 0, rotated = 0;
	struct page_group group;

	while (scanned < nr && sc->nr_reclaimed < sc->nr_to_reclaim) {
		unsigned long n = isolate_group(lruvec, lru, nr - scanned, sc, &group);

		if (!n)
			break;
		scanned += n;
		if (group.mapping && group.mapping->host->i_kind == INODE_FILE)
			shrink_file_group(&group, sc);
		else if (group.nr)
			shrink_anon_group(&group, sc);
		rotated += group.nr;
		putback_group(&group);
	}
	sc->nr_scanned += scanned;
	count_vm_events(sc->kswapd ? PGSCAN_KSWAPD : PGSCAN_DIRECT, scanned);
	count_vm_events(lru == LRU_INACTIVE_FILE ? PGSCAN_FILE : PGSCAN_ANON, scanned);
	spin_lock(&lruvec->lru_lock);
	reclaim_policy->note_cost(lruvec, lru, scanned, rotated);
	spin_unlock(&lruvec->lru_lock);
}

static void age_group(struct page_group *group, const struct scan_control *sc)
{
	unsigned long deactivated = 0;

	for (unsigned int i = 0; i < group->nr; i++) {
		struct page *page = group->page[i];
		vm_flags_t vm_flags = 0;
		unsigned int refs = page_referenced(page, &vm_flags);

		if (sc->priority && !(vm_flags & VM_LOCKED) &&
		    reclaim_policy->stays_active(page, refs, vm_flags))
			continue;
		ClearPageActive(page);
		deactivated++;
	}
	count_vm_events(PGDEACTIVATE, deactivated);
}

static void shrink_active(struct lruvec *lruvec, enum lru_list lru, unsigned long nr,
			  struct scan_control *sc)
{
	unsigned long scanned = 0;
	struct page_group group;

	while (scanned < nr) {
		unsigned long n = isolate_group(lruvec, lru, nr - scanned, sc, &group);

		if (!n)
			break;
		scanned += n;
		age_group(&group, sc);
		putback_group(&group);
	}
	sc->nr_scanned += scanned;
	count_vm_events(PGREFILL, scanned);
}

/* A look at less than a batch is not worth the locks. */
static unsigned long scan_at_least(unsigned long nr, unsigned long size)
{
	return nr ? max(nr, min(size, SWAP_CLUSTER_MAX)) : 0;
}

static void shrink_lruvec(struct lruvec *lruvec, struct scan_control *sc)
{
	unsigned long nr[NR_LRU_LISTS] = { 0 };

	reclaim_policy->scan_count(lruvec, sc, nr);
	for (enum lru_list lru = LRU_INACTIVE_ANON; lru <= LRU_INACTIVE_FILE; lru += 2) {
		if (!sc->priority || reclaim_policy->inactive_is_low(lruvec, lru))
			shrink_active(lruvec, lru + 1,
				      scan_at_least(nr[lru + 1], lruvec->nr[lru + 1]), sc);
		/* In the end what has just become inactive is tried, too. */
		if (!sc->priority && nr[lru + 1])
			nr[lru] = lruvec->nr[lru];
		shrink_inactive(lruvec, lru, scan_at_least(nr[lru], lruvec->nr[lru]), sc);
	}
}

/* ---- Direct reclaim ------------------------------------------------------------------------- */

/* The files that could give something are busy, with I/O as a rule: their turn comes. */
static void reclaim_throttle(void)
{
	u32 never = 0;

	machine_wait(&never, 0, 1000000);
}

/* There is room in swap, or there are pages in RAM that have theirs already. */
static bool may_swap(gfp_t gfp)
{
	return (gfp & __GFP_IO) && (get_nr_swap_pages() > 0 || total_swapcache_pages());
}

void shrink_node(struct scan_control *sc)
{
	sc->may_unmap = true;
	sc->may_swap = may_swap(sc->gfp);
	sc->may_writepage = (sc->gfp & __GFP_IO) && sc->priority <= WRITE_PRIORITY;
	for (unsigned int nid = 0; nid < nr_node_ids; nid++)
		if (NODE_DATA(nid))
			shrink_lruvec(&NODE_DATA(nid)->lruvec, sc);
	shrink_slab(sc->gfp, sc->priority);
}

static void shrink_with_priority(struct scan_control *sc)
{
	sc->contended = false;
	for (sc->priority = DEF_PRIORITY; sc->priority >= 0; sc->priority--) {
		shrink_node(sc);
		if (sc->nr_reclaimed >= sc->nr_to_reclaim)
			break;
	}
}

static unsigned long do_try_to_free_pages(struct scan_control *sc)
{
	u64 start = trace_clock();

	count_vm_event(ALLOCSTALL);
	shrink_with_priority(sc);
	for (int i = 0; i < MAX_CONTENDED_RETRIES && !sc->nr_reclaimed && sc->contended; i++) {
		reclaim_throttle();
		shrink_with_priority(sc);
	}
	if (sc->nr_reclaimed)
		kswapd_made_progress();
	trace(TRACE_RECLAIM, 0, sc->nr_reclaimed, start);
	return sc->nr_reclaimed;
}

unsigned long try_to_free_pages(gfp_t gfp, unsigned int order)
{
	struct scan_control sc = {
		.gfp = gfp,
		.order = order,
		.nr_to_reclaim = max(SWAP_CLUSTER_MAX, 1UL << order),
		.swappiness = vm_swappiness,
		.floor = reclaim_cache_floor(),
	};

	return gfp & __GFP_DIRECT_RECLAIM ? do_try_to_free_pages(&sc) : 0;
}

unsigned long try_to_free_pages_locked(struct address_space *mapping, unsigned long nr)
{
	struct scan_control sc = {
		.gfp = GFP_KERNEL,
		.locked = mapping,
		.nr_to_reclaim = max(SWAP_CLUSTER_MAX, nr),
		.swappiness = vm_swappiness,
		/* Shared memory is other memory. */
		.floor = mapping->host->i_kind == INODE_SHMEM ? reclaim_cache_floor() : 0,
	};

	return do_try_to_free_pages(&sc);
}
