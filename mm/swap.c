/* SPDX-License-Identifier: MIT */
/*
 * swap.c - pages enter, leave and change the lists of reclaim (mm_inline.h has the rules).
 *
 * Each call takes lru_lock once, for all pages it is given: faults and frees have whole blocks. There
 * are no batches for each CPU: they would hold references, by which copy-on-write decides who is
 * sole owner of a page.
 */
#include <quire/mm_inline.h>
#include <quire/reclaim.h>
#include <quire/vmstat.h>

void lru_init(struct lruvec *lruvec)
{
	spin_lock_init(&lruvec->lru_lock);
	for (int i = 0; i < NR_LRU_LISTS; i++) {
		INIT_LIST_HEAD(&lruvec->lists[i]);
		lruvec->nr[i] = 0;
	}
	atomic_long_set(&lruvec->nonresident_age, 0);
	lruvec->cost[0] = lruvec->cost[1] = 0;
}

void lru_cache_add_pages(struct page *const *pages, unsigned int n)
{
	struct lruvec *lruvec = NULL;

	for (unsigned int i = 0; i < n; i++) {
		struct lruvec *at = page_lruvec(pages[i]);

		if (at != lruvec) {
			if (lruvec)
				spin_unlock(&lruvec->lru_lock);
			spin_lock(&at->lru_lock);
			lruvec = at;
		}
		add_page_to_lru_list(lruvec, pages[i]);
	}
	if (lruvec)
		spin_unlock(&lruvec->lru_lock);
}

void lru_cache_add(struct page *page)
{
	lru_cache_add_pages(&page, 1);
}

/* What a free page may not have. */
static void clear_lru_flags(struct page *page)
{
	ClearPageActive(page);
	ClearPageUnevictable(page);
}

void lru_release_pages(struct page *const *pages, unsigned long n)
{
	struct lruvec *lruvec = NULL;

	for (unsigned long i = 0; i < n; i++) {
		struct page *page = pages[i];
		struct lruvec *at;

		if (!PageLRU(page))
			continue;
		at = page_lruvec(page);
		if (at != lruvec) {
			if (lruvec)
				spin_unlock(&lruvec->lru_lock);
			spin_lock(&at->lru_lock);
			lruvec = at;
		}
		/* Nobody else has a reference, so the flags are ours. */
		list_del(&page->lru);
		lruvec->nr[page_lru(page)]--;
		page->flags &= ~(1UL << PG_lru | 1UL << PG_active | 1UL << PG_unevictable);
	}
	if (lruvec)
		spin_unlock(&lruvec->lru_lock);
}

void lru_forget_mapping(struct page *page)
{
	struct lruvec *lruvec = page_lruvec(page);

	spin_lock(&lruvec->lru_lock);
	if (PageLRU(page)) {
		del_page_from_lru_list(lruvec, page);
		clear_lru_flags(page);
	}
	WRITE_ONCE(page->mapping, NULL);
	spin_unlock(&lruvec->lru_lock);
}

void lru_clear_mapping(struct page *page)
{
	struct lruvec *lruvec = page_lruvec(page);

	spin_lock(&lruvec->lru_lock);
	WRITE_ONCE(page->mapping, NULL);
	spin_unlock(&lruvec->lru_lock);
}

bool isolate_lru_page(struct page *page)
{
	struct lruvec *lruvec = page_lruvec(page);
	bool isolated;

	spin_lock(&lruvec->lru_lock);
	isolated = PageLRU(page) && get_page_unless_zero(page);
	if (isolated)
		del_page_from_lru_list(lruvec, page);
	spin_unlock(&lruvec->lru_lock);
	return isolated;
}

void putback_lru_page(struct page *page)
{
	lru_cache_add(page);
	put_page(page);
}

/* lru_lock held. Change flags that say which list it is, by `set` and `clear`, and move the page there. */
static void move_page(struct lruvec *lruvec, struct page *page, unsigned long set,
		      unsigned long clear, bool tail)
{
	bool on_list = PageLRU(page);

	if (on_list)
		del_page_from_lru_list(lruvec, page);
	__atomic_fetch_or(&page->flags, set, __ATOMIC_RELAXED);
	__atomic_fetch_and(&page->flags, ~clear, __ATOMIC_RELAXED);
	if (!on_list)
		return;
	add_page_to_lru_list(lruvec, page);
	if (tail)
		list_move_tail(&page->lru, &lruvec->lists[page_lru(page)]);
}

void mark_page_accessed(struct page *page)
{
	struct lruvec *lruvec = page_lruvec(page);

	if (!PageReferenced(page)) {
		SetPageReferenced(page);
		return;
	}
	if (PageActive(page) || PageUnevictable(page))
		return;
	spin_lock(&lruvec->lru_lock);
	if (PageLRU(page) && !PageActive(page) && !PageUnevictable(page)) {
		move_page(lruvec, page, 1UL << PG_active, 1UL << PG_referenced, false);
		count_vm_event(PGACTIVATE);
	}
	spin_unlock(&lruvec->lru_lock);
}

void deactivate_page(struct page *page)
{
	const unsigned long clear = 1UL << PG_active | 1UL << PG_referenced | 1UL << PG_young;
	struct lruvec *lruvec = page_lruvec(page);

	spin_lock(&lruvec->lru_lock);
	if (!PageUnevictable(page)) {
		if (PageActive(page))
			count_vm_event(PGDEACTIVATE);
		move_page(lruvec, page, 0, clear, true);
	}
	spin_unlock(&lruvec->lru_lock);
}

void mark_page_lazyfree(struct page *page)
{
	const unsigned long clear = 1UL << PG_swapbacked | 1UL << PG_active | 1UL << PG_referenced |
				    1UL << PG_young;
	struct lruvec *lruvec = page_lruvec(page);

	spin_lock(&lruvec->lru_lock);
	if (PageLRU(page) && PageSwapBacked(page) && !PageUnevictable(page)) {
		move_page(lruvec, page, 0, clear, false);
		count_vm_event(PGLAZYFREE);
	}
	spin_unlock(&lruvec->lru_lock);
}

void mlock_page(struct page *page)
{
	struct lruvec *lruvec = page_lruvec(page);

	if (PageUnevictable(page))
		return;
	spin_lock(&lruvec->lru_lock);
	if (PageLRU(page) && !PageUnevictable(page)) {
		move_page(lruvec, page, 1UL << PG_unevictable, 1UL << PG_active, false);
		count_vm_event(UNEVICTABLE_PGMLOCKED);
	}
	spin_unlock(&lruvec->lru_lock);
}

void munlock_page(struct page *page)
{
	struct lruvec *lruvec = page_lruvec(page);

	if (!PageUnevictable(page))
		return;
	spin_lock(&lruvec->lru_lock);
	if (PageLRU(page) && PageUnevictable(page)) {
		move_page(lruvec, page, 0, 1UL << PG_unevictable, false);
		count_vm_event(UNEVICTABLE_PGMUNLOCKED);
	}
	spin_unlock(&lruvec->lru_lock);
}
