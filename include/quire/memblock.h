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
#define MEMBLOCK_MAX_REGIONS (2 * E820_MAX_ENTRIES)

/* RAM above 64 TiB is not used. */
#define MAX_PHYSMEM_BITS 46

#define MEMBLOCK_NONE (~0UL)

/* Frames [start, end). */
struct memblock_region {
	unsigned long start, end;
};

/* Sorted, disjoint, not adjacent, none empty. */
struct memblock_type {
	unsigned int cnt;
	struct memblock_region regions[MEMBLOCK_MAX_REGIONS];
};

struct memblock {
	struct memblock_type memory; /* RAM */
	struct memblock_type free; /* RAM without what memblock_alloc() took */
};

extern struct memblock memblock;

/* Reads the machine's map. 0, -EINVAL if there is no whole frame of RAM, or the port's error. */
int memblock_init(void);

/* Forget the highest range of RAM, before anything was allocated; false if there is none. */
bool memblock_drop_highest(void);

/*
 * First of nr frames in a row, at the end of the highest range that has them; MEMBLOCK_NONE. The
 * frames are not touched.
 */
unsigned long memblock_alloc(unsigned long nr);

/* Index of the first region with end > pfn; type->cnt if there is none. */
unsigned int memblock_search(const struct memblock_type *type, unsigned long pfn);

/* Frames of the type in [start, end). */
unsigned long memblock_count(const struct memblock_type *type, unsigned long start,
			     unsigned long end);

#endif
