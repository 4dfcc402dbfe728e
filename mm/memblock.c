/* SPDX-License-Identifier: MIT */
/*
 * From the machine's memory map to sorted ranges of whole frames.
 *
 *	reported  |---- RAM ----------------|     |--- RAM ---|
 *		         |- reserved -|  |-- ACPI --|
 *	kept      |- RAM-|            |--|          |---------|	   then trimmed inward to frames
 *
 * Wherever entries overlap the highest type wins; only what is then of type RAM is memory. The map
 * comes from firmware: empty entries, ends that wrap around and addresses that no processor has
 * are cut to what makes sense. Two nodes never share a block of 2^MAX_ORDER frames: it is wholly of the one
 * that begins it.
 *
 * Used by one CPU at boot; no locks.
 */
#include <quire/errno.h>
#include <quire/kernel.h>
#include <quire/machine.h>
#include <quire/memblock.h>
#include <quire/mm.h>
#include <quire/string.h>

#define PHYS_END (1ull << MAX_PHYSMEM_BITS)

struct memblock memblock;

static struct e820_entry e820[E820_MAX_ENTRIES];
/* Every address at which an entry begins or ends: between two of them nothing changes. */
static u64 e820_edges[2 * E820_MAX_ENTRIES];
static int e820_nr, e820_nr_edges;

static u64 e820_end(const struct e820_entry *entry)
{
	return entry->size > PHYS_END - entry->addr ? PHYS_END : entry->addr + entry->size;
}

static bool e820_makes_sense(const struct e820_entry *entry)
{
	return entry->size && entry->addr < PHYS_END;
}

static int e820_read(void)
{
	int reported = machine_memory_map(e820, E820_MAX_ENTRIES);
	int kept = 0;

	if (reported < 0)
		return reported;
	if (reported > E820_MAX_ENTRIES) {
		pr_warn("memory map: %d ranges, the first %d are used", reported, E820_MAX_ENTRIES);
		reported = E820_MAX_ENTRIES;
	}
	for (int i = 0; i < reported; i++) {
		if (e820_makes_sense(&e820[i]))
			e820[kept++] = e820[i];
	}
	return kept;
}

/* Insertion sort: a map is short, and mostly sorted already. */
static void sort_edges(u64 *edges, int n)
{
	for (int i = 1; i < n; i++) {
		u64 edge = edges[i];
		int j = i;

		for (; j > 0 && edges[j - 1] > edge; j--)
			edges[j] = edges[j - 1];
		edges[j] = edge;
	}
}

/* 0: nothing is said of the address. RAM that several nodes claim is of the first. */
static u32 e820_type(u64 addr, int *nid)
{
	u32 type = 0;

	*nid = NUMA_NO_NODE;
	for (int i = 0; i < e820_nr; i++) {
		if (e820[i].addr > addr || addr >= e820_end(&e820[i]))
			continue;
		type = max(type, e820[i].type);
		if (e820[i].type == E820_TYPE_RAM && *nid == NUMA_NO_NODE)
			*nid = e820[i].node < MAX_NUMNODES ? (int)e820[i].node : 0;
	}
	return type;
}

/* ---- Lists of ranges ------------------------------------------------------------------------ */

static void remove_region(struct memblock_type *type, unsigned int i)
{
	type->cnt--;
	for (; i < type->cnt; i++)
		type->regions[i] = type->regions[i + 1];
}

/* False: there is no room. */
static bool insert_region(struct memblock_type *type, unsigned int i, struct memblock_region region)
{
	if (type->cnt == MEMBLOCK_MAX_REGIONS)
		return false;
	for (unsigned int j = type->cnt++; j > i; j--)
		type->regions[j] = type->regions[j - 1];
	type->regions[i] = region;
	return true;
}

/* Adds what lies in no range of the type; its neighbours of the same node grow. */
static bool add_region(struct memblock_type *type, struct memblock_region region)
{
	unsigned int i = memblock_search(type, region.start);
	struct memblock_region *at = &type->regions[i];

	if (i && at[-1].end == region.start && at[-1].nid == region.nid) {
		at[-1].end = region.end;
		if (i < type->cnt && at->start == region.end && at->nid == region.nid) {
			at[-1].end = at->end;
			remove_region(type, i);
		}
		return true;
	}
	if (i < type->cnt && at->start == region.end && at->nid == region.nid) {
		at->start = region.start;
		return true;
	}
	return insert_region(type, i, region);
}

/* Cuts [start, end), which is part of the i-th range, out of the type. */
static bool cut_region(struct memblock_type *type, unsigned int i, unsigned long start,
		       unsigned long end)
{
	struct memblock_region *at = &type->regions[i];
	struct memblock_region rest = { end, at->end, at->nid };

	if (at->start == start && at->end == end)
		remove_region(type, i);
	else if (at->start == start)
		at->start = end;
	else if (at->end == end)
		at->end = start;
	else if (insert_region(type, i + 1, rest))
		at->end = start;
	else
		return false;
	return true;
}

/* ---- Reading the map ------------------------------------------------------------------------ */

/* Bytes [start, end) are RAM of the node, and what is around them is not. */
static void memblock_add(u64 start, u64 end, int nid)
{
	struct memblock_region region = { (start + PAGE_SIZE - 1) >> PAGE_SHIFT, end >> PAGE_SHIFT,
					  nid };

	if (region.start < region.end)
		add_region(&memblock.memory, region);
}

/* The first frames of a block that begins in another node go to that one. */
static void keep_blocks_whole(void)
{
	struct memblock_type *ram = &memblock.memory;

	for (unsigned int i = 1; i < ram->cnt; i++) {
		struct memblock_region *at = &ram->regions[i];
		unsigned long block_end = ALIGN(at[-1].end, MAX_ORDER_NR_PAGES);
		struct memblock_region head = { at->start, min(at->end, block_end), at[-1].nid };

		if (at->start >= block_end || at->nid == at[-1].nid)
			continue;
		cut_region(ram, i, head.start, head.end);
		add_region(ram, head);
		i--; /* what is there now is looked at again */
	}
}

int memblock_init(void)
{
	int nid = NUMA_NO_NODE;
	u64 start = 0;

	memset(&memblock, 0, sizeof(memblock));
	e820_nr = e820_nr_edges = 0;
	e820_nr = e820_read();
	if (e820_nr < 0)
		return e820_nr;
	for (int i = 0; i < e820_nr; i++) {
		e820_edges[e820_nr_edges++] = e820[i].addr;
		e820_edges[e820_nr_edges++] = e820_end(&e820[i]);
	}
	sort_edges(e820_edges, e820_nr_edges);

	for (int i = 0; i < e820_nr_edges; i++) {
		int new_nid;

		if (e820_type(e820_edges[i], &new_nid) != E820_TYPE_RAM)
			new_nid = NUMA_NO_NODE;
		if (new_nid == nid)
			continue;
		if (nid != NUMA_NO_NODE)
			memblock_add(start, e820_edges[i], nid);
		start = e820_edges[i];
		nid = new_nid;
	}
	keep_blocks_whole();
	memblock.free = memblock.memory;
	return memblock.memory.cnt ? 0 : -EINVAL;
}

bool memblock_drop_highest(void)
{
	if (!memblock.memory.cnt)
		return false;
	memblock.memory.cnt--;
	memblock.free = memblock.memory;
	return true;
}

/* ---- Taking ---------------------------------------------------------------------------------- */

int memblock_reserve(unsigned long start, unsigned long end)
{
	struct memblock_type *free = &memblock.free;
	unsigned int i;

	while ((i = memblock_search(free, start)) < free->cnt && free->regions[i].start < end) {
		struct memblock_region part = { max(free->regions[i].start, start),
						min(free->regions[i].end, end),
						free->regions[i].nid };

		/* Room for both, or nothing is changed. */
		if (memblock.reserved.cnt == MEMBLOCK_MAX_REGIONS ||
		    free->cnt == MEMBLOCK_MAX_REGIONS)
			return -ENOSPC;
		cut_region(free, i, part.start, part.end);
		add_region(&memblock.reserved, part);
		start = part.end;
	}
	return 0;
}

unsigned long memblock_alloc_range(unsigned long nr, unsigned long align, unsigned long from,
				   unsigned long to)
{
	const struct memblock_type *free = &memblock.free;

	for (unsigned int i = free->cnt; nr && i-- > 0;) {
		unsigned long start = max(free->regions[i].start, from);
		unsigned long end = min(free->regions[i].end, to), first;

		if (end <= start || end - start < nr)
			continue;
		first = ALIGN_DOWN(end - nr, align);
		if (first >= start)
			return memblock_reserve(first, first + nr) ? MEMBLOCK_NONE : first;
	}
	return MEMBLOCK_NONE;
}

unsigned int memblock_search(const struct memblock_type *type, unsigned long pfn)
{
	unsigned int low = 0, high = type->cnt;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (type->regions[mid].end > pfn)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

unsigned long memblock_count_node(const struct memblock_type *type, unsigned long start,
				  unsigned long end, int nid)
{
	unsigned long frames = 0;

	for (unsigned int i = memblock_search(type, start); i < type->cnt; i++) {
		const struct memblock_region *region = &type->regions[i];

		if (region->start >= end)
			break;
		if (nid == NUMA_NO_NODE || region->nid == nid)
			frames += min(region->end, end) - max(region->start, start);
	}
	return frames;
}

unsigned long memblock_count(const struct memblock_type *type, unsigned long start,
			     unsigned long end)
{
	return memblock_count_node(type, start, end, NUMA_NO_NODE);
}
