/* SPDX-License-Identifier: MIT */
/* page_alloc.h - what page_alloc.c and mm_init.c share. */
#ifndef MM_PAGE_ALLOC_H
#define MM_PAGE_ALLOC_H

#include <quire/mm.h>

/* Free blocks are kept apart by migratetype in units of this many frames. */
#define PAGEBLOCK_NR_PAGES (1UL << PAGEBLOCK_ORDER)

/* The bits of page->flags that never change: node and zone. */
#define PAGE_FLAGS_KEEP (~0UL << PAGE_ZONE_SHIFT)

/* enum migratetype of each pageblock; only those that zones have grown to are valid. */
extern u8 *pageblock_types;

/* By the bits of page->flags that say node and zone. */
extern struct zone *zone_table[MAX_NUMNODES << (PAGE_NODE_SHIFT - PAGE_ZONE_SHIFT)];

static inline struct zone *page_zone(const struct page *page)
{
	return zone_table[page->flags >> PAGE_ZONE_SHIFT];
}

static inline enum migratetype pageblock_type(unsigned long pfn)
{
	u8 *type = &pageblock_types[pfn >> PAGEBLOCK_ORDER];

	return (enum migratetype)__atomic_load_n(type, __ATOMIC_RELAXED);
}

static inline void set_pageblock_type(unsigned long pfn, enum migratetype type)
{
	__atomic_store_n(&pageblock_types[pfn >> PAGEBLOCK_ORDER], (u8)type, __ATOMIC_RELAXED);
}

/*
 * zone->lock held. Put a free block at the end of its list; zone->nr_free counts it already. Its
 * frames are of PAGE_TYPE_FREE.
 */
void add_grown_block(struct zone *zone, struct page *page, unsigned int order,
		     enum migratetype type);

/*
 * zone->lock held. Initialise the next block of 2^MAX_ORDER frames of the zone and add its free
 * frames to the lists of the type. False: the zone is fully grown.
 */
bool zone_grow(struct zone *zone, enum migratetype type);

/* Boot: mem_map, zones, watermarks, from memblock. 0 or -ENOMEM. */
int free_area_init(void);

#endif
