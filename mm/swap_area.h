/* SPDX-License-Identifier: MIT */
/*
 * swap_area.h - what swapfile.c, swap_state.c and page_io.c share: areas and their tables.
 *
 *   area   | header | slot 1 | ...            | slots 512 ...          | ...
 *            cluster 0: 512 slots               cluster 1
 *              table, a frame: 512 words         NULL: no slot of it is used
 *
 *   word     63      62          40 39                          0
 *            | CACHE | entries     | frame in the swap cache      |   CACHE set
 *            | 0     | entries     | shadow                       |   CACHE clear
 *
 * A word of 0 is a free slot; the header and bad slots have SLOT_BAD for ever. So what swap costs in
 * RAM goes with what is in swap: a frame for every 512 slots near each other.
 */
#ifndef QUIRE_MM_SWAP_AREA_H
#define QUIRE_MM_SWAP_AREA_H

#include <quire/swap.h>

#define CLUSTER_SHIFT 9
#define CLUSTER_SLOTS (1UL << CLUSTER_SHIFT)

#define SLOT_CACHE (1UL << 63)
#define SLOT_COUNT_SHIFT 40
#define SLOT_COUNT_ONE (1UL << SLOT_COUNT_SHIFT)
#define SLOT_COUNT_MAX ((1UL << 22) - 2)
#define SLOT_LOW_MASK (SLOT_COUNT_ONE - 1)
#define SLOT_BAD ((SLOT_COUNT_MAX + 1) << SLOT_COUNT_SHIFT)

static inline unsigned long slot_count(u64 word)
{
	return (word & ~SLOT_CACHE) >> SLOT_COUNT_SHIFT;
}

struct swap_cluster {
	u64 *table; /* NULL: all slots are free */
	u32 used; /* words that are not 0 */
};

struct swap_info_struct {
	spinlock_t lock; /* all below but list; inside page_table_lock */
	bool used; /* the area exists */
	bool writeok; /* slots may be allocated */
	unsigned int type;
	int prio;
	u64 dev;
	pgoff_t max; /* slots, with the header */
	unsigned long pages; /* usable ones */
	unsigned long inuse;
	unsigned long nr_clusters;
	struct swap_cluster *cluster;
	unsigned long *free_map; /* clusters with no table */
	unsigned long *room_map; /* those with a table and free slots */
	unsigned long current; /* cluster that is being filled; nr_clusters: none */
	pgoff_t next; /* where in the area to go on */
	unsigned int stripe; /* slots allocated since its equals had their turn */
	struct list_head list; /* areas in use by falling priority; under swap_lock */
	char name[128];
};

extern struct swap_info_struct swap_info[MAX_SWAPFILES];

/* The area of the entry, with its lock held, if the entry is one that may be; else NULL. */
struct swap_info_struct *swap_area_lock(swp_entry_t entry);
/* The word of a slot of an area, whose lock is held; NULL: the slot is free. */
static inline u64 *slot_word(struct swap_info_struct *si, pgoff_t offset)
{
	u64 *table = si->cluster[offset >> CLUSTER_SHIFT].table;

	return table ? &table[offset & (CLUSTER_SLOTS - 1)] : NULL;
}
/* The area's lock held: what frees the slot if the word has become that of a free one. */
void slot_put(struct swap_info_struct *si, pgoff_t offset);

/*
 * A slot, in use by the word; *entry. The table of its cluster is allocated without waiting.
 * swapfile.c; for add_to_swap().
 */
int get_swap_page(u64 word, swp_entry_t *entry);

#endif
