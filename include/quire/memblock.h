/* SPDX-License-Identifier: MIT */
/*
 * memblock.h - RAM as ranges of frames, from the machine's map; and the frames that boot itself
 * takes out of them. Frozen once mm_init() has returned.
 */
#ifndef QUIRE_MEMBLOCK_H
#define QUIRE_MEMBLOCK_H

#include <quire/types.h>

/* Ranges that machine_memory_map() may report; each can cut another in two. */
#define E820_MAX_ENTRIES 128
/* Besides, each allocation of boot's can. */
#define MEMBLOCK_MAX_REGIONS (2 * E820_MAX_ENTRIES + 64)

/* RAM above 64 TiB is not used. */
#define MAX_PHYSMEM_BITS 46

#define MEMBLOCK_NONE (~0UL)

/* Frames [start, end) of one node. */
struct memblock_region {
	unsigned long start, end;
	int nid;
};

/* Sorted, disjoint, none empty, not adjacent but where the node changes. */
struct memblock_type {
	unsigned int cnt;
	struct memblock_region regions[MEMBLOCK_MAX_REGIONS];
};

/* memory = reserved + free, at all times. */
struct memblock {
	struct memblock_type memory; /* RAM */
	struct memblock_type reserved; /* what memblock_reserve() and memblock_alloc() took of it */
	struct memblock_type free; /* the rest */
};

extern struct memblock memblock;

/* Reads the machine's map. 0, -EINVAL if there is no whole frame of RAM, or the port's error. */
int memblock_init(void);

/*
 * Forget the highest range of RAM, before anything was allocated; false if there is none.
 */
bool memblock_drop_highest(void);

/* What is RAM of frames [start, end) is taken, as far as it was not already. -ENOSPC: too many ranges. */
int memblock_reserve(unsigned long start, unsigned long end);
/*
 * First of nr frames in a row in [from, to), at a multiple of align (a power of two), as high up as they
 * are to be had; MEMBLOCK_NONE. The frames are not touched.
 */
unsigned long memblock_alloc_range(unsigned long nr, unsigned long align, unsigned long from,
				   unsigned long to);
static inline unsigned long memblock_alloc(unsigned long nr)
{
	return memblock_alloc_range(nr, 1, 0, MEMBLOCK_NONE);
}

/* Index of the first region with end > pfn; type->cnt if there is none. */
unsigned int memblock_search(const struct memblock_type *type, unsigned long pfn);

/* Frames of the type in [start, end). */
unsigned long memblock_count(const struct memblock_type *type, unsigned long start,
			     unsigned long end);
/* The same of one node. */
unsigned long memblock_count_node(const struct memblock_type *type, unsigned long start,
				  unsigned long end, int nid);

#endif
