/* SPDX-License-Identifier: MIT */
/*
 * gfp.h - the page allocator's interface.
 *
 * Sizes are orders: 2^order frames, 0 ... MAX_ORDER. Without __GFP_ZERO the contents are
 * arbitrary (but never another program's data: a frame that goes to a program is always cleared or
 * overwritten by the fault path). GFP_KERNEL may sleep and reclaim; GFP_ATOMIC and GFP_NOWAIT
 * never sleep.
 */
#ifndef QUIRE_GFP_H
#define QUIRE_GFP_H

#include <quire/mmzone.h>
#include <quire/types.h>

#define ___GFP_DMA 0x01u
#define ___GFP_HIGHMEM 0x02u
#define ___GFP_DMA32 0x04u
#define ___GFP_MOVABLE 0x08u
#define ___GFP_RECLAIMABLE 0x10u
#define ___GFP_HIGH 0x20u
#define ___GFP_IO 0x40u
#define ___GFP_FS 0x80u
#define ___GFP_ZERO 0x100u
#define ___GFP_DIRECT_RECLAIM 0x400u
#define ___GFP_KSWAPD_RECLAIM 0x800u
#define ___GFP_NOWARN 0x2000u
#define ___GFP_RETRY_MAYFAIL 0x4000u
#define ___GFP_NOFAIL 0x8000u
#define ___GFP_NORETRY 0x10000u
#define ___GFP_MEMALLOC 0x20000u
#define ___GFP_COMP 0x40000u
#define ___GFP_NOMEMALLOC 0x80000u
#define ___GFP_HARDWALL 0x100000u
#define ___GFP_THISNODE 0x200000u

#define __GFP_DMA ((gfp_t)___GFP_DMA)
#define __GFP_HIGHMEM ((gfp_t)___GFP_HIGHMEM)
#define __GFP_DMA32 ((gfp_t)___GFP_DMA32)
#define __GFP_MOVABLE ((gfp_t)___GFP_MOVABLE)
#define __GFP_RECLAIMABLE ((gfp_t)___GFP_RECLAIMABLE)
#define __GFP_HIGH ((gfp_t)___GFP_HIGH)
#define __GFP_IO ((gfp_t)___GFP_IO)
#define __GFP_FS ((gfp_t)___GFP_FS)
#define __GFP_ZERO ((gfp_t)___GFP_ZERO)
#define __GFP_DIRECT_RECLAIM ((gfp_t)___GFP_DIRECT_RECLAIM)
#define __GFP_KSWAPD_RECLAIM ((gfp_t)___GFP_KSWAPD_RECLAIM)
#define __GFP_RECLAIM ((gfp_t)(___GFP_DIRECT_RECLAIM | ___GFP_KSWAPD_RECLAIM))
#define __GFP_NOWARN ((gfp_t)___GFP_NOWARN)
#define __GFP_RETRY_MAYFAIL ((gfp_t)___GFP_RETRY_MAYFAIL)
#define __GFP_NOFAIL ((gfp_t)___GFP_NOFAIL)
#define __GFP_NORETRY ((gfp_t)___GFP_NORETRY)
#define __GFP_MEMALLOC ((gfp_t)___GFP_MEMALLOC)
#define __GFP_COMP ((gfp_t)___GFP_COMP)
#define __GFP_THISNODE ((gfp_t)___GFP_THISNODE)
#define __GFP_HARDWALL ((gfp_t)___GFP_HARDWALL)

#define GFP_ATOMIC (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_KERNEL (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_NOWAIT (__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_NOIO (__GFP_RECLAIM)
#define GFP_NOFS (__GFP_RECLAIM | __GFP_IO)
#define GFP_USER (__GFP_RECLAIM | __GFP_IO | __GFP_FS | __GFP_HARDWALL)
#define GFP_HIGHUSER (GFP_USER | __GFP_HIGHMEM)
#define GFP_HIGHUSER_MOVABLE (GFP_HIGHUSER | __GFP_MOVABLE)
#define GFP_DMA __GFP_DMA
#define GFP_DMA32 __GFP_DMA32

/* The order of the smallest block that holds `size` bytes; size is not 0. */
static inline unsigned int get_order(unsigned long size)
{
	return (unsigned int)fls64((size - 1) >> PAGE_SHIFT);
}

/* 2^order frames with one reference on the first; with __GFP_COMP a folio. NULL: no memory. */
struct page *alloc_pages(gfp_t gfp, unsigned int order);
static inline struct page *alloc_page(gfp_t gfp)
{
	return alloc_pages(gfp, 0);
}
/* On the node, or where its zonelist leads; NUMA_NO_NODE, or a node without memory: the caller's. */
struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order);
/* Fills the empty slots of pages[] with single frames; returns how many of nr are filled. */
unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long nr, struct page **pages);
/* Drops the reference; the frames are freed when it was the last. */
void __free_pages(struct page *page, unsigned int order);
#define __free_page(page) __free_pages((page), 0)
/* Frees single frames whose last reference the caller has already dropped to 0. */
void free_unref_pages(struct page **pages, unsigned long nr);

/* Direct-map address instead of a struct page; 0: no memory. */
unsigned long __get_free_pages(gfp_t gfp, unsigned int order);
unsigned long get_zeroed_page(gfp_t gfp);
void free_pages(unsigned long addr, unsigned int order);
#define free_page(addr) free_pages((addr), 0)

/*
 * As many whole frames as size takes, in one piece, and no more (up to 4 MiB); free_pages_exact() with the
 * same size. NULL: no memory.
 */
void *alloc_pages_exact(size_t size, gfp_t gfp);
void free_pages_exact(void *addr, size_t size);

/* Make single pages, each with a reference, of a block allocated without __GFP_COMP. */
void split_page(struct page *page, unsigned int order);

/* Give the frames on all per-CPU lists of this CPU back to the buddy system. */
void drain_local_pages(void);

#endif
