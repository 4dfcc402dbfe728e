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
 * are cut to what makes sense.
 *
 * Used by one CPU at boot; no locks.
 */
#include <quire/errno.h>
#include <quire/kernel.h>
#include <quire/machine.h>
#include <quire/memblock.h>
#include <quire/mm.h>

#define PHYS_END (1ull << MAX_PHYSMEM_BITS)

struct memblock memblock;

static struct e820_entry e820[E820_MAX_ENTRIES];
/* Every address at which an entry begins or ends: between two of them nothing changes. */
static u64 e820_edges[2 * E820_MAX_ENTRIES];

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

static bool e820_is_ram(int nr, u64 addr)
{
	u32 type = 0;

	for (int i = 0; i < nr; i++) {
		if (e820[i].addr <= addr && addr < e820_end(&e820[i]))
			type = max(type, e820[i].type);
	}
	return type == E820_TYPE_RAM;
}

/* Bytes [start, end) are RAM and their neighbours are not. */
static void memblock_add(u64 start, u64 end)
{
	unsigned long first = (start + PAGE_SIZE - 1) >> PAGE_SHIFT;
	unsigned long last = end >> PAGE_SHIFT;

	if (first < last) {
		memblock.memory.regions[memblock.memory.cnt++] =
			(struct memblock_region){ first, last };
	}
}

int memblock_init(void)
{
	int nr = e820_read();
	int edges = 0;
	u64 start = 0;
	bool in_ram = false;

	if (nr < 0)
		return nr;
	for (int i = 0; i < nr; i++) {
		e820_edges[edges++] = e820[i].addr;
		e820_edges[edges++] = e820_end(&e820[i]);
	}
	sort_edges(e820_edges, edges);

	memblock.memory.cnt = 0;
	for (int i = 0; i < edges; i++) {
		bool ram = e820_is_ram(nr, e820_edges[i]);

		if (ram && !in_ram)
			start = e820_edges[i];
		else if (!ram && in_ram)
			memblock_add(start, e820_edges[i]);
		in_ram = ram;
	}
	memblock.free = memblock.memory;
	return memblock.memory.cnt ? 0 : -EINVAL;
}

bool memblock_drop_highest(void)
{
	if (!memblock.memory.cnt)
		return false;
	memblock.memory.cnt--;
	memblock.free.cnt--;
	return true;
}

unsigned long memblock_alloc(unsigned long nr)
{
	struct memblock_type *type = &memblock.free;

	for (unsigned int i = type->cnt; i-- > 0;) {
		struct memblock_region *region = &type->regions[i];
		unsigned long first = region->end - nr;

		if (region->end - region->start < nr)
			continue;
		region->end = first;
		if (region->start == region->end) {
			type->cnt--;
			for (unsigned int j = i; j < type->cnt; j++)
				type->regions[j] = type->regions[j + 1];
		}
		return first;
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

unsigned long memblock_count(const struct memblock_type *type, unsigned long start,
			     unsigned long end)
{
	unsigned long frames = 0;

	for (unsigned int i = memblock_search(type, start); i < type->cnt; i++) {
		const struct memblock_region *region = &type->regions[i];

		if (region->start >= end)
			break;
		frames += min(region->end, end) - max(region->start, start);
	}
	return frames;
}
