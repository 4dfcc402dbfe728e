/* SPDX-License-Identifier: MIT */
/*
 * The counters of vmstat.h. An event lives in one word per CPU, which only that CPU writes: a
 * reader's sum may be a moment old. A state is one word for the node, exact at all times.
 */
#include <quire/mmzone.h>
#include <quire/string.h>
#include <quire/vmstat.h>

#include "page_alloc.h"

struct vm_event_state vm_event_states[MACHINE_MAX_CPUS];
atomic_long_t vm_node_stat[NR_VM_NODE_STAT_ITEMS];

unsigned long all_vm_events(enum vm_event_item item)
{
	unsigned long sum = 0;

	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		sum += __atomic_load_n(&vm_event_states[cpu].event[item], __ATOMIC_RELAXED);
	return sum;
}

/* Of all nodes. */
static unsigned long lru_pages(enum lru_list lru)
{
	unsigned long pages = 0;

	for (unsigned int nid = 0; nid < nr_node_ids; nid++)
		if (NODE_DATA(nid))
			pages += READ_ONCE(NODE_DATA(nid)->lruvec.nr[lru]);
	return pages;
}

unsigned long node_page_state(enum node_stat_item item)
{
	long pages = atomic_long_read(&vm_node_stat[item]);

	if (item < (enum node_stat_item)NR_LRU_LISTS)
		return lru_pages((enum lru_list)item);

	return pages < 0 ? 0 : (unsigned long)pages;
}

static void count_free_blocks(struct zone *zone, struct pagetype_counts *counts)
{
	unsigned long ungrown = zone->ungrown_pages;

	for (unsigned int order = 0; order < NR_PAGE_ORDERS; order++) {
		for (int type = 0; type < MIGRATE_TYPES; type++) {
			struct page *page;

			list_for_each_entry(page, &zone->free_area[order].free_list[type], lru)
				counts->free[type][order]++;
		}
		counts->free[MIGRATE_MOVABLE][order] += order == MAX_ORDER ? ungrown >> MAX_ORDER
									   : ungrown >> order & 1;
	}
}

void get_pagetype_counts(struct zone *zone, struct pagetype_counts *counts)
{
	unsigned long flags, pfn, end;

	memset(counts, 0, sizeof(*counts));
	spin_lock_irqsave(&zone->lock, flags);
	count_free_blocks(zone, counts);
	end = zone->grown_pfn;
	counts->blocks[MIGRATE_MOVABLE] = zone->ungrown_pages >> PAGEBLOCK_ORDER;
	spin_unlock_irqrestore(&zone->lock, flags);
	pfn = ALIGN_DOWN(zone->zone_start_pfn, PAGEBLOCK_NR_PAGES);
	for (; pfn < end; pfn += PAGEBLOCK_NR_PAGES) {
		unsigned long last = pfn + PAGEBLOCK_NR_PAGES - 1;

		if (!pfn_is_grown(pfn) || !(pfn_valid(pfn) || pfn_valid(last)))
			continue;
		if (page_zone(pfn_to_page(pfn_valid(pfn) ? pfn : last)) == zone)
			counts->blocks[pageblock_type(pfn)]++;
	}
}
