/* SPDX-License-Identifier: MIT */
/*
 * Nodes and zones: made at boot from memblock, and grown to their frames later.
 *
 *	zone_start_pfn        grown_pfn                          end of the zone
 *	  |  frames with a       |  free frames, mem_map not          |
 *	  |  valid struct page   |  written: ungrown_pages of them    |
 *
 * Boot writes no part of mem_map, so that it takes as long with 64 GiB as with 64 MiB. When the
 * free lists of a zone run short, zone_grow() initialises the next block of 2^MAX_ORDER frames.
 * Zones begin at multiples of that block, and two buddies always lie in the same one: no frame
 * ever meets a neighbour that is not initialised.
 *
 * Fresh frames go out in the order of their addresses.
 */
#include <quire/errno.h>
#include <quire/memblock.h>
#include <quire/mm_inline.h>
#include <quire/reclaim.h>
#include <quire/string.h>

#include "page_alloc.h"

/* Frames without which the core cannot start: caches, zero folio, reserves. */
#define BOOT_MIN_FRAMES 256

#define FRAMES_BELOW(bytes) ((unsigned long)((bytes) >> PAGE_SHIFT))

struct pglist_data contig_page_data;
struct pglist_data *node_data[MAX_NUMNODES];
struct zone *zone_table[MAX_NUMNODES << (PAGE_NODE_SHIFT - PAGE_ZONE_SHIFT)];
unsigned int nr_node_ids;
u8 cpu_to_node[MACHINE_MAX_CPUS];
static u8 distances[MAX_NUMNODES][MAX_NUMNODES];
struct page *mem_map;
unsigned long max_pfn;
u8 *pageblock_types;

static const struct {
	const char *name;
	unsigned long end_pfn;
} zone_limits[MAX_NR_ZONES] = {
	[ZONE_DMA] = { "DMA", FRAMES_BELOW(16ull << 20) },
	[ZONE_DMA32] = { "DMA32", FRAMES_BELOW(4ull << 30) },
	[ZONE_NORMAL] = { "Normal", FRAMES_BELOW(1ull << MAX_PHYSMEM_BITS) },
};

bool pfn_valid(unsigned long pfn)
{
	unsigned int i = memblock_search(&memblock.free, pfn);

	return i < memblock.free.cnt && memblock.free.regions[i].start <= pfn;
}

static struct zone *zone_of_frame(unsigned long pfn, int nid)
{
	struct zone *zone = NODE_DATA(nid)->node_zones;

	while (pfn >= zone_limits[zone_idx(zone)].end_pfn)
		zone++;
	return zone;
}

bool pfn_is_grown(unsigned long pfn)
{
	unsigned long block = ALIGN_DOWN(pfn, MAX_ORDER_NR_PAGES);
	unsigned int i = memblock_search(&memblock.free, block);
	const struct memblock_region *region = &memblock.free.regions[i];

	if (i == memblock.free.cnt || region->start >= block + MAX_ORDER_NR_PAGES)
		return false;
	return READ_ONCE(zone_of_frame(block, region->nid)->grown_pfn) > block;
}

struct zone *next_zone(const struct zone *zone)
{
	unsigned int nid = (unsigned int)zone->node;

	if (zone_idx(zone) < MAX_NR_ZONES - 1)
		return &node_data[nid]->node_zones[zone_idx(zone) + 1];
	while (++nid < nr_node_ids)
		if (node_data[nid])
			return node_data[nid]->node_zones;
	return NULL;
}

unsigned int node_distance(int from, int to)
{
	return distances[from][to];
}

/* ---- Growing ------------------------------------------------------------------------------ */

static void init_free_frames(struct zone *zone, unsigned long start, unsigned long end)
{
	unsigned long flags = (unsigned long)zone->node << PAGE_NODE_SHIFT |
			      (unsigned long)zone_idx(zone) << PAGE_ZONE_SHIFT;

	if (machine_ram_is_zeroed())
		flags |= 1UL << PG_zeroed;
	for (struct page *page = pfn_to_page(start); page < pfn_to_page(end); page++) {
		page->flags = flags;
		page->page_type = PAGE_TYPE_FREE;
	}
}

static void init_offline_frames(unsigned long start, unsigned long end)
{
	for (struct page *page = pfn_to_page(start); page < pfn_to_page(end); page++) {
		page->flags = 1UL << PG_reserved;
		page->page_type = PAGE_TYPE_OFFLINE;
	}
}

/* As few blocks as alignment allows. */
static void add_grown_frames(struct zone *zone, unsigned long start, unsigned long end,
			     enum migratetype type)
{
	while (start < end) {
		unsigned int order = start ? min(__ffs(start), (unsigned long)MAX_ORDER)
					   : MAX_ORDER;

		while (start + (1UL << order) > end)
			order--;
		add_grown_block(zone, pfn_to_page(start), order, type);
		start += 1UL << order;
	}
}

bool zone_grow(struct zone *zone, enum migratetype type)
{
	unsigned int i = memblock_search(&memblock.free, zone->grown_pfn);
	unsigned long pfn, block_end;

	if (!zone->ungrown_pages)
		return false;
	while (memblock.free.regions[i].nid != zone->node)
		i++;
	pfn = max(memblock.free.regions[i].start, zone->grown_pfn);
	pfn = ALIGN_DOWN(pfn, MAX_ORDER_NR_PAGES);
	block_end = pfn + MAX_ORDER_NR_PAGES;
	if (!machine_ram_is_zeroed())
		memset(pfn_to_page(pfn), 0, MAX_ORDER_NR_PAGES * sizeof(struct page));
	for (unsigned long p = pfn; p < block_end; p += PAGEBLOCK_NR_PAGES)
		set_pageblock_type(p, type);

	for (; i < memblock.free.cnt && memblock.free.regions[i].start < block_end; i++) {
		unsigned long start = max(memblock.free.regions[i].start, pfn);
		unsigned long end = min(memblock.free.regions[i].end, block_end);

		init_offline_frames(pfn, start);
		init_free_frames(zone, start, end);
		add_grown_frames(zone, start, end, type);
		zone->ungrown_pages -= end - start;
		pfn = end;
	}
	init_offline_frames(pfn, block_end);
	zone->grown_pfn = block_end;
	return true;
}

/* ---- Boot --------------------------------------------------------------------------------- */

/*
 * A range high up with little in it would cost more for the struct pages of the hole below it than
 * it brings: leave it out.
 */
static void drop_costly_ranges(void)
{
	const struct memblock_type *ram = &memblock.memory;

	while (ram->cnt) {
		const struct memblock_region *top = &ram->regions[ram->cnt - 1];
		unsigned long below = ram->cnt > 1 ? top[-1].end : 0;

		if ((top->end - below) / (PAGE_SIZE / sizeof(struct page)) < top->end - top->start)
			break;
		pr_warn("memory map: RAM at %#lx is too far up to be used",
			top->start << PAGE_SHIFT);
		memblock_drop_highest();
	}
}

/* Bytes of a table of the pageblocks' types for RAM up to max_pfn, and of one of struct pages. */
static unsigned long types_bytes(void)
{
	return PAGE_ALIGN(ALIGN(max_pfn, MAX_ORDER_NR_PAGES) >> PAGEBLOCK_ORDER);
}

static unsigned long mem_map_bytes(void)
{
	return PAGE_ALIGN(ALIGN(max_pfn, MAX_ORDER_NR_PAGES) * sizeof(struct page));
}

/*
 * Frames that both take together. Where RAM is plenty they are whole pageblocks, so that the first
 * entries of both, which are used first, share a large page of whoever provides the RAM.
 */
static unsigned long boot_table_frames(void)
{
	unsigned long frames = (types_bytes() + mem_map_bytes()) >> PAGE_SHIFT;

	return max_pfn < 64 * PAGEBLOCK_NR_PAGES ? frames : ALIGN(frames, PAGEBLOCK_NR_PAGES);
}

static int alloc_boot_tables(void)
{
	unsigned long pfn = MEMBLOCK_NONE;

	drop_costly_ranges();
	while (memblock.memory.cnt) {
		max_pfn = memblock.memory.regions[memblock.memory.cnt - 1].end;
		pfn = memblock_alloc(boot_table_frames());
		if (pfn != MEMBLOCK_NONE)
			break;
		memblock_drop_highest();
	}
	if (pfn == MEMBLOCK_NONE)
		return -ENOMEM;
	pageblock_types = __va((phys_addr_t)pfn << PAGE_SHIFT);
	mem_map = (struct page *)(pageblock_types + types_bytes());
	return 0;
}

static void init_free_lists(struct zone *zone)
{
	for (int order = 0; order < NR_PAGE_ORDERS; order++) {
		for (int type = 0; type < MIGRATE_TYPES; type++)
			INIT_LIST_HEAD(&zone->free_area[order].free_list[type]);
	}
}

/*
 * A CPU's list takes a refill at a time from the buddy system, and all CPUs' lists together must
 * not hold much of a small zone.
 */
static void init_per_cpu_lists(struct zone *zone, unsigned long managed)
{
	unsigned long share = managed / 32 / machine_nr_cpus();
	int high = (int)clamp(share, 4UL, 384UL);

	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++) {
		struct per_cpu_pages *pcp = &zone->pcp[cpu];

		pcp->count = 0;
		pcp->high = high;
		pcp->batch = (int)rounddown_pow_of_two(max(high / 6, 1));
		for (int i = 0; i < NR_PCP_LISTS; i++)
			INIT_LIST_HEAD(&pcp->lists[i]);
	}
}

static void init_zone(struct zone *zone, unsigned long start, unsigned long end)
{
	unsigned long managed = memblock_count_node(&memblock.free, start, end, zone->node);

	zone->zone_start_pfn = start;
	zone->spanned_pages = end - start;
	zone->present_pages = memblock_count_node(&memblock.memory, start, end, zone->node);
	zone->grown_pfn = start;
	zone->ungrown_pages = managed;
	atomic_long_set(&zone->managed_pages, (long)managed);
	atomic_long_set(&zone->nr_free, (long)managed);
	init_free_lists(zone);
	init_per_cpu_lists(zone, managed);
}

/* From the first block of the node to the end of its last range; node 0 from frame 0 on. */
static void node_span(int nid, unsigned long *start, unsigned long *end)
{
	*start = nid ? ~0UL : 0;
	*end = 0;
	for (unsigned int i = 0; i < memblock.memory.cnt; i++) {
		const struct memblock_region *region = &memblock.memory.regions[i];

		if (region->nid != nid)
			continue;
		*start = min(*start, ALIGN_DOWN(region->start, MAX_ORDER_NR_PAGES));
		*end = region->end;
	}
}

static void init_node(struct pglist_data *node, struct per_cpu_pages *pcp)
{
	unsigned long start, end;

	node_span(node->node_id, &start, &end);
	node->node_start_pfn = start;
	node->node_spanned_pages = end - start;
	for (int i = 0; i < MAX_NR_ZONES; i++) {
		unsigned long limit = max(start, min(zone_limits[i].end_pfn, end));
		struct zone *zone = &node->node_zones[i];

		zone->name = zone_limits[i].name;
		zone->node = node->node_id;
		zone->pcp = pcp + (unsigned int)i * machine_nr_cpus();
		init_zone(zone, start, limit);
		zone_table[node->node_id << (PAGE_NODE_SHIFT - PAGE_ZONE_SHIFT) | i] = zone;
		node->node_present_pages += zone->present_pages;
		start = limit;
	}
}

/* ---- Nodes -------------------------------------------------------------------------------- */

static bool node_has_memory(int nid)
{
	return memblock_count_node(&memblock.memory, 0, MEMBLOCK_NONE, nid);
}

static unsigned long node_table_bytes(void)
{
	return sizeof(struct pglist_data) +
	       MAX_NR_ZONES * machine_nr_cpus() * sizeof(struct per_cpu_pages);
}

/* The tables of all nodes but the struct of node 0, which is static. 0 or -ENOMEM. */
static int alloc_nodes(void)
{
	unsigned long frames = PAGE_ALIGN(node_table_bytes()) >> PAGE_SHIFT;

	memset(node_data, 0, sizeof(node_data));
	nr_node_ids = 1;
	for (int nid = 0; nid < MAX_NUMNODES; nid++) {
		unsigned long pfn;

		if (nid && !node_has_memory(nid))
			continue;
		pfn = memblock_alloc(frames);
		if (pfn == MEMBLOCK_NONE)
			return -ENOMEM;
		node_data[nid] = nid ? __va((phys_addr_t)pfn << PAGE_SHIFT) : &contig_page_data;
		memset(node_data[nid], 0, sizeof(struct pglist_data));
		lru_init(&node_data[nid]->lruvec);
		node_data[nid]->node_id = nid;
		/* The lists of CPUs are written later, behind the struct or in its place. */
		node_data[nid]->node_start_pfn = pfn;
		nr_node_ids = (unsigned int)nid + 1;
	}
	return 0;
}

static void init_nodes(void)
{
	for (unsigned int nid = 0; nid < nr_node_ids; nid++) {
		struct pglist_data *node = NODE_DATA(nid);

		if (node)
			init_node(node, __va((node->node_start_pfn << PAGE_SHIFT) +
					     ALIGN(sizeof(struct pglist_data), 64UL)));
	}
}

/* CPUs in equal shares, those next to each other on one node. */
static void place_cpus(void)
{
	unsigned int online[MAX_NUMNODES], nr = 0;

	for (unsigned int nid = 0; nid < nr_node_ids; nid++)
		if (NODE_DATA(nid) && NODE_DATA(nid)->node_present_pages)
			online[nr++] = nid;
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		cpu_to_node[cpu] = (u8)online[cpu * nr / machine_nr_cpus()];
}

static void read_distances(void)
{
	for (unsigned int from = 0; from < nr_node_ids; from++)
		for (unsigned int to = 0; to < nr_node_ids; to++)
			distances[from][to] = (u8)clamp(machine_node_distance(from, to),
							LOCAL_DISTANCE + 0u, 255u);
}

static struct zoneref *list_node(struct zoneref *ref, struct pglist_data *node)
{
	for (int i = MAX_NR_ZONES; i-- > 0;) {
		struct zone *zone = &node->node_zones[i];

		if (atomic_long_read(&zone->managed_pages))
			*ref++ = (struct zoneref){ zone, (enum zone_type)i };
	}
	return ref;
}

/* The nearest of those left; a node itself is nearest to it, and of equals the next in a round. */
static int nearest_node(int from, u32 left)
{
	int best = NUMA_NO_NODE;

	if (left >> from & 1)
		return from;
	for (unsigned int i = 1; i < nr_node_ids; i++) {
		int nid = (int)(((unsigned int)from + i) % nr_node_ids);

		if ((left >> nid & 1) &&
		    (best == NUMA_NO_NODE || distances[from][nid] < distances[from][best]))
			best = nid;
	}
	return best;
}

static void build_zonelists(struct pglist_data *node)
{
	struct zoneref *ref = node->node_zonelists[ZONELIST_FALLBACK].ref;
	u32 left = 0;
	int nid;

	for (unsigned int i = 0; i < nr_node_ids; i++)
		if (NODE_DATA(i))
			left |= 1u << i;
	for (; (nid = nearest_node(node->node_id, left)) >= 0; left &= ~(1u << nid))
		ref = list_node(ref, NODE_DATA(nid));
	ref->zone = NULL;
	ref = list_node(node->node_zonelists[ZONELIST_NOFALLBACK].ref, node);
	ref->zone = NULL;
}

static unsigned long int_sqrt(unsigned long x)
{
	unsigned long root = 0;

	for (unsigned long bit = 1UL << 31; bit; bit >>= 1) {
		if ((root + bit) * (root + bit) <= x)
			root += bit;
	}
	return root;
}

int min_free_kbytes;
int watermark_scale_factor;
int sysctl_lowmem_reserve_ratio[MAX_NR_ZONES];

/* Unless somebody says otherwise: 4 * sqrt(KiB of RAM). */
static void init_reserves(void)
{
	unsigned long kbytes = int_sqrt(totalram_pages() * (PAGE_SIZE / 1024) * 16);

	min_free_kbytes = (int)clamp(kbytes, 128UL, 65536UL);
	watermark_scale_factor = 10;
	sysctl_lowmem_reserve_ratio[ZONE_DMA] = sysctl_lowmem_reserve_ratio[ZONE_DMA32] = 256;
	sysctl_lowmem_reserve_ratio[ZONE_NORMAL] = 32;
}

/*
 * The minimum is shared out by size; low and high lie a quarter of it, or so many ten thousandths of the
 * zone, apart. No zone keeps more than half of itself.
 */
static void setup_zone_wmarks(struct zone *zone)
{
	unsigned long managed = (unsigned long)atomic_long_read(&zone->managed_pages);
	unsigned long total = totalram_pages(), least, step;

	least = total ? (unsigned long)min_free_kbytes / (PAGE_SIZE / 1024) * managed / total : 0;
	least = min(least, managed / 2);
	step = max(least / 4, managed * (unsigned long)watermark_scale_factor / 10000);
	WRITE_ONCE(zone->watermark[WMARK_MIN], least);
	WRITE_ONCE(zone->watermark[WMARK_LOW], least + step);
	WRITE_ONCE(zone->watermark[WMARK_HIGH], least + 2 * step);
}

/*
 * What a zone keeps from allocations that could have been served by a higher one: a part of what is
 * higher, as in Linux, but never more than a 32nd of the zone itself.
 */
static void setup_lowmem_reserve(struct zone *zone)
{
	const struct zone *zones = NODE_DATA(zone->node)->node_zones;
	unsigned long managed = (unsigned long)atomic_long_read(&zone->managed_pages), higher = 0;
	enum zone_type idx = zone_idx(zone);
	int ratio = sysctl_lowmem_reserve_ratio[idx];

	for (int j = (int)idx + 1; j < MAX_NR_ZONES; j++) {
		higher += (unsigned long)atomic_long_read(&zones[j].managed_pages);
		WRITE_ONCE(zone->lowmem_reserve[j],
			   ratio > 0 ? min(higher / (unsigned long)ratio, managed / 32) : 0);
	}
}

void setup_per_zone_wmarks(void)
{
	struct zone *zone;

	for_each_zone(zone)
	{
		setup_zone_wmarks(zone);
		setup_lowmem_reserve(zone);
	}
}

int free_area_init(void)
{
	unsigned long ram = memblock_count(&memblock.memory, 0, MEMBLOCK_NONE);

	if (alloc_boot_tables() || alloc_nodes() ||
	    memblock_count(&memblock.free, 0, MEMBLOCK_NONE) < BOOT_MIN_FRAMES) {
		pr_err("too little memory: %lu KiB of RAM, and at least %lu KiB are needed",
		       ram << (PAGE_SHIFT - 10),
		       (BOOT_MIN_FRAMES + boot_table_frames() +
			(PAGE_ALIGN(node_table_bytes()) >> PAGE_SHIFT))
			       << (PAGE_SHIFT - 10));
		return -ENOMEM;
	}
	init_nodes();
	place_cpus();
	read_distances();
	init_reserves();
	setup_per_zone_wmarks();
	for (unsigned int nid = 0; nid < nr_node_ids; nid++)
		if (NODE_DATA(nid))
			build_zonelists(NODE_DATA(nid));
	return 0;
}
