/* SPDX-License-Identifier: MIT */
/*
 * mmzone.h - nodes, zones, the buddy system's free lists, per-CPU lists.
 *
 *   node_data[nid] = pglist_data --> node_zones[ZONE_DMA | ZONE_DMA32 | ZONE_NORMAL]
 *                        free_area[order].free_list[migratetype] -> struct page (lru)
 *                        per_cpu_pages[cpu]
 *
 * Deferred initialisation: a zone's frames beyond `grown_pfn` have no valid struct page yet; the
 * allocator initialises the next block of 2^MAX_ORDER frames when the free lists run short, so
 * that booting costs the same at any size of RAM.
 */
#ifndef QUIRE_MMZONE_H
#define QUIRE_MMZONE_H

#include <quire/machine.h>
#include <quire/mm_types.h>

#define MAX_ORDER 10 /* largest order, inclusive */
#define NR_PAGE_ORDERS (MAX_ORDER + 1)
#define PAGEBLOCK_ORDER 9 /* frames of one migratetype: 2^ */
#define MAX_ORDER_NR_PAGES (1UL << MAX_ORDER)
/* Blocks of larger orders may not come together however much is freed. */
#define PAGE_ALLOC_COSTLY_ORDER 3

#define MAX_NUMNODES 8
#define LOCAL_DISTANCE 10
#define REMOTE_DISTANCE 20
#define NUMA_NO_NODE (-1)

enum zone_type {
	ZONE_DMA,
	ZONE_DMA32,
	ZONE_NORMAL,
	MAX_NR_ZONES
};

enum migratetype {
	MIGRATE_UNMOVABLE,
	MIGRATE_MOVABLE,
	MIGRATE_RECLAIMABLE,
	MIGRATE_TYPES
};

enum zone_watermarks {
	WMARK_MIN,
	WMARK_LOW,
	WMARK_HIGH,
	NR_WMARK
};

struct free_area {
	struct list_head free_list[MIGRATE_TYPES];
	unsigned long nr_free; /* blocks */
};

/* Small blocks, by type and order. */
#define NR_PCP_LISTS (MIGRATE_TYPES * (PAGE_ALLOC_COSTLY_ORDER + 1))

/* Hot frames of one CPU; touched only by that CPU with interrupts off. */
struct per_cpu_pages {
	int count; /* frames on the lists */
	int high; /* above it, batch frames go back */
	int batch;
	struct list_head lists[NR_PCP_LISTS];
} __attribute__((aligned(64)));

struct zone {
	spinlock_t lock; /* free_area, grown_pfn, flags of free pages; interrupts off */
	const char *name;
	int node;
	unsigned long zone_start_pfn;
	unsigned long spanned_pages; /* with holes */
	unsigned long present_pages; /* without */
	atomic_long_t managed_pages; /* given to the allocator, also those not grown to yet */
	unsigned long grown_pfn; /* frames from here on are free and not initialised */
	unsigned long ungrown_pages; /* how many frames that is */
	atomic_long_t nr_free; /* frames free in the buddy system, ungrown ones included */
	unsigned long watermark[NR_WMARK];
	unsigned long lowmem_reserve[MAX_NR_ZONES];
	struct free_area free_area[NR_PAGE_ORDERS];
	struct per_cpu_pages *pcp; /* [machine_nr_cpus()] */
};

enum {
	ZONELIST_FALLBACK, /* the node, then others, the nearest first */
	ZONELIST_NOFALLBACK, /* __GFP_THISNODE */
	MAX_ZONELISTS
};

struct zoneref {
	struct zone *zone; /* NULL: the end */
	enum zone_type idx;
};

/* Of each node the highest zone first; those without frames are left out. */
struct zonelist {
	struct zoneref ref[MAX_NUMNODES * MAX_NR_ZONES + 1];
};

/* The lists of pages for reclaim, in the order of vmstat.h: mm_inline.h. */
enum lru_list {
	LRU_INACTIVE_ANON,
	LRU_ACTIVE_ANON,
	LRU_INACTIVE_FILE,
	LRU_ACTIVE_FILE,
	LRU_UNEVICTABLE,
	NR_LRU_LISTS
};

struct lruvec {
	spinlock_t lru_lock;
	struct list_head lists[NR_LRU_LISTS]; /* youngest first */
	unsigned long nr[NR_LRU_LISTS];
	/* The policy's: evictions and activations so far, and what reclaim of anonymous and file pages cost. */
	atomic_long_t nonresident_age;
	unsigned long cost[2];
} __attribute__((aligned(64)));

struct pglist_data {
	int node_id;
	unsigned long node_start_pfn;
	unsigned long node_spanned_pages;
	unsigned long node_present_pages;
	struct zone node_zones[MAX_NR_ZONES];
	struct zonelist node_zonelists[MAX_ZONELISTS];
	struct lruvec lruvec;
};

/* Those with memory; NULL: the number stands for no node. Node 0 is always there. */
extern struct pglist_data *node_data[MAX_NUMNODES];
extern struct pglist_data contig_page_data; /* node 0 */
extern unsigned int nr_node_ids; /* one more than the highest of them */
extern u8 cpu_to_node[MACHINE_MAX_CPUS];
#define NODE_DATA(nid) (node_data[nid])
#define node_online(nid) ((unsigned int)(nid) < nr_node_ids && node_data[nid])
/* As ACPI's SLIT has them: LOCAL_DISTANCE within a node. */
unsigned int node_distance(int from, int to);
/* The node of the caller's CPU. */
static inline int numa_node_id(void)
{
	return nr_node_ids == 1 ? 0 : cpu_to_node[machine_cpu_id()];
}

static inline enum zone_type zone_idx(const struct zone *zone)
{
	return (enum zone_type)(zone - node_data[zone->node]->node_zones);
}
/* The zone after this one, of the same node or the next; NULL: it was the last. */
struct zone *next_zone(const struct zone *zone);
#define for_each_zone(zone) \
	for ((zone) = contig_page_data.node_zones; (zone); (zone) = next_zone(zone))
#define for_each_populated_zone(zone) for_each_zone(zone) if ((zone)->present_pages)
extern struct page *mem_map; /* struct page of frame 0 */
extern unsigned long max_pfn; /* one past the last frame of RAM */

#define pfn_to_page(pfn) (mem_map + (pfn))
#define page_to_pfn(page) ((unsigned long)((page)-mem_map))
#define page_to_phys(page) ((phys_addr_t)page_to_pfn(page) << PAGE_SHIFT)
#define page_address(page) __va(page_to_phys(page))
#define virt_to_page(addr) pfn_to_page(__pa(addr) >> PAGE_SHIFT)

/* A frame of RAM that the allocator manages. */
bool pfn_valid(unsigned long pfn);
/* Its struct page has been written: zones grow to their frames when they need them. */
bool pfn_is_grown(unsigned long pfn);

/*
 * Boot: reads the machine's memory map, places mem_map, builds the zones and the slab caches, the
 * zero folio and the rest of the core. Called once, early, by the port. 0 or -ENOMEM (too little
 * RAM), -EINVAL (no usable map).
 */
int mm_init(void);

/* Frames of RAM that the allocator was given, and that are free now (per-CPU lists included). */
unsigned long totalram_pages(void);
unsigned long nr_free_pages(void);
/*
 * Free blocks of the zone, and pageblocks, by migratetype. Frames that the zone has not grown to count as movable,
 * in blocks as large as they will come. Atomic; takes zone->lock.
 */
struct pagetype_counts {
	unsigned long free[MIGRATE_TYPES][NR_PAGE_ORDERS];
	unsigned long blocks[MIGRATE_TYPES];
};
void get_pagetype_counts(struct zone *zone, struct pagetype_counts *counts);
/* Empties every per-CPU list. Only when no other CPU is in the allocator. */
void drain_all_pages(void);

#endif
