/* SPDX-License-Identifier: MIT */
/*
 * mm_inline.h - the lists of pages that reclaim goes over (struct lruvec), changed.
 *
 *	               inactive   active
 *	anonymous        list      list      what goes to swap: anonymous and shared memory (PG_swapbacked)
 *	file             list      list      what storage has, or nobody wants: page cache, MADV_FREE
 *	unevictable            list          what mlock() holds
 *
 * PG_lru says that a page is on a list; which one follows from its other flags (page_lru). All of it is
 * covered by lruvec->lru_lock, a spinlock inside page_table_lock. A list holds no reference: whoever frees
 * a page takes it off first; reclaim takes a reference (get_page_unless_zero) with lru_lock held.
 *
 * page->mapping of a page of the cache also becomes NULL under lru_lock: as long as that is held, the
 * mapping of a page on a list exists, and for longer if its lock can be had by trying.
 */
#ifndef QUIRE_MM_INLINE_H
#define QUIRE_MM_INLINE_H

#include <quire/mm.h>

static inline struct lruvec *page_lruvec(const struct page *page)
{
	return &NODE_DATA(page_to_nid(page))->lruvec;
}

static inline bool page_is_file_lru(const struct page *page)
{
	return !PageSwapBacked(page);
}

static inline enum lru_list page_lru(const struct page *page)
{
	if (unlikely(PageUnevictable(page)))
		return LRU_UNEVICTABLE;
	return (enum lru_list)((page_is_file_lru(page) ? LRU_INACTIVE_FILE : LRU_INACTIVE_ANON) +
			       PageActive(page));
}

/* lru_lock held, the page is not on a list. */
static inline void add_page_to_lru_list(struct lruvec *lruvec, struct page *page)
{
	enum lru_list lru = page_lru(page);

	SetPageLRU(page);
	list_add(&page->lru, &lruvec->lists[lru]);
	lruvec->nr[lru]++;
}

/* lru_lock held, the page is on a list. */
static inline void del_page_from_lru_list(struct lruvec *lruvec, struct page *page)
{
	list_del(&page->lru);
	lruvec->nr[page_lru(page)]--;
	ClearPageLRU(page);
}

/*
 * lru_lock held. A page that nobody but the caller can reach yet, of a VMA with these flags or of none: as
 * add_page_to_lru_list(), without atomic operations.
 */
static inline void add_new_page_to_lru_list(struct lruvec *lruvec, struct page *page,
					    vm_flags_t vm_flags)
{
	enum lru_list lru;

	page->flags |= 1UL << PG_lru | (vm_flags & VM_LOCKED ? 1UL << PG_unevictable : 0);
	lru = page_lru(page);
	list_add(&page->lru, &lruvec->lists[lru]);
	lruvec->nr[lru]++;
}

/* A reference, unless the page is free or about to be. */
static inline bool get_page_unless_zero(struct page *page)
{
	int count = atomic_read(&page->_refcount);

	while (count > 0)
		if (__atomic_compare_exchange_n(&page->_refcount.counter, &count, count + 1, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	return false;
}

/* ---- swap.c --------------------------------------------------------------------------------- */

void lru_init(struct lruvec *lruvec);
/* The page goes on its list. Not if it is on one. */
void lru_cache_add(struct page *page);
/* n of them: pages of the cache that are new there. */
void lru_cache_add_pages(struct page *const *pages, unsigned int n);
/* Pages whose last reference was dropped leave their lists. */
void lru_release_pages(struct page *const *pages, unsigned long n);
/* The page is in no mapping any more; and off its list, if it is on one. */
void lru_forget_mapping(struct page *page);
/* The same, but it stays on its list. */
void lru_clear_mapping(struct page *page);
/*
 * Off its list, with a reference for the caller, who gives both back with putback_lru_page(). False: it is
 * on none, or about to be freed.
 */
bool isolate_lru_page(struct page *page);
void putback_lru_page(struct page *page);
/* The kernel has used the page on behalf of a program: no entry tells of that. */
void mark_page_accessed(struct page *page);
/* MADV_COLD: the page is the next to go. */
void deactivate_page(struct page *page);
/* MADV_FREE: an anonymous page that may be dropped while it is clean. */
void mark_page_lazyfree(struct page *page);
/* mlock() and its end: a page that reclaim need not look at; or one that it looks at again. */
void mlock_page(struct page *page);
void munlock_page(struct page *page);

#endif
