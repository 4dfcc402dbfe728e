/* SPDX-License-Identifier: MIT */
/* page-flags.h - the bits of page->flags and the values of page->page_type. */
#ifndef QUIRE_PAGE_FLAGS_H
#define QUIRE_PAGE_FLAGS_H

#include <quire/bitops.h>
#include <quire/mm_types.h>

enum pageflags {
	PG_locked, /* I/O or a change of identity under way */
	PG_referenced,
	PG_uptodate, /* contents valid */
	PG_dirty, /* page cache: newer than storage */
	PG_lru,
	PG_active,
	PG_writeback,
	PG_reserved, /* never given to the allocator */
	PG_head, /* first page of a folio of order > 0 */
	PG_swapbacked, /* anonymous or shared memory */
	PG_zeroed, /* free, and known to read as zeros */
	PG_slab,
	PG_table, /* a page table */
	PG_swapcache, /* private: swp_entry_t; changed under PG_locked */
	PG_readahead, /* read from swap before anybody asked for it */
	PG_waiters, /* somebody may sleep until PG_locked or PG_writeback is clear */
	PG_unevictable, /* mlocked: not looked at by reclaim */
	PG_workingset, /* was active before it was reclaimed */
	PG_young, /* an entry that is not young any more was found to be: see page_referenced() */
	__NR_PAGEFLAGS,
};

#define PAGE_ZONE_SHIFT 53
#define PAGE_NODE_SHIFT 56
#define page_to_nid(page) ((int)((page)->flags >> PAGE_NODE_SHIFT))

/* page_type values; all are far below any mapcount. */
#define PAGE_TYPE_BUDDY 0xf0000001u /* free, head of a block in the buddy system */
#define PAGE_TYPE_PCP 0xf0000002u /* free, on a per-CPU list */
#define PAGE_TYPE_OFFLINE 0xf0000004u /* hole or reserved (0: zone not grown to it yet) */
#define PAGE_TYPE_FREE 0xf0000008u /* free, inside a block of the buddy system */

/* Flag operations are atomic: other bits of the word may change at the same time. */
#define PAGEFLAG(uname, lname)                                                         \
	static inline bool Page##uname(const struct page *p)                           \
	{                                                                              \
		return __atomic_load_n(&p->flags, __ATOMIC_RELAXED) >> PG_##lname & 1; \
	}                                                                              \
	static inline void SetPage##uname(struct page *p)                              \
	{                                                                              \
		__atomic_fetch_or(&p->flags, 1UL << PG_##lname, __ATOMIC_RELEASE);     \
	}                                                                              \
	static inline void ClearPage##uname(struct page *p)                            \
	{                                                                              \
		__atomic_fetch_and(&p->flags, ~(1UL << PG_##lname), __ATOMIC_RELEASE); \
	}                                                                              \
	/* For a page that nobody else can reach. */                                   \
	static inline void __SetPage##uname(struct page *p)                            \
	{                                                                              \
		p->flags |= 1UL << PG_##lname;                                         \
	}                                                                              \
	static inline void __ClearPage##uname(struct page *p)                          \
	{                                                                              \
		p->flags &= ~(1UL << PG_##lname);                                      \
	}

PAGEFLAG(Locked, locked)
PAGEFLAG(Referenced, referenced)
PAGEFLAG(Uptodate, uptodate)
PAGEFLAG(Dirty, dirty)
PAGEFLAG(LRU, lru)
PAGEFLAG(Active, active)
PAGEFLAG(Writeback, writeback)
PAGEFLAG(Reserved, reserved)
PAGEFLAG(Head, head)
PAGEFLAG(SwapBacked, swapbacked)
PAGEFLAG(Zeroed, zeroed)
PAGEFLAG(Slab, slab)
PAGEFLAG(Table, table)
PAGEFLAG(SwapCache, swapcache)
PAGEFLAG(Waiters, waiters)
PAGEFLAG(Readahead, readahead)
PAGEFLAG(Unevictable, unevictable)
PAGEFLAG(Workingset, workingset)
PAGEFLAG(Young, young)

/* Bit 0 of page->mapping: the rest of it is an anon_vma, or nothing. */
#define PAGE_MAPPING_ANON 1UL

static inline bool PageAnon(const struct page *p)
{
	return (unsigned long)__atomic_load_n(&p->mapping, __ATOMIC_RELAXED) & PAGE_MAPPING_ANON;
}

static inline bool PageTail(const struct page *p)
{
	return p->compound_head & 1;
}

static inline struct page *compound_head(struct page *p)
{
	return PageTail(p) ? (struct page *)(p->compound_head - 1) : p;
}

#endif
