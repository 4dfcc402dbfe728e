/* SPDX-License-Identifier: MIT */
/*
 * The texts under /proc that are about the machine as a whole.
 *
 * Memory is ours; CPU times and processors are the host's, as far as the machine has that many.
 * Numbers are read without a common lock and may be a moment apart, as on Linux.
 */
#include "proc.h"

#include <quire/slab.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/vmalloc.h>
#include <quire/vmstat.h>

#define NR_CPU_TIMES 10

static unsigned long pages_to_kb(unsigned long pages)
{
	return pages << (PAGE_SHIFT - 10);
}

/* ---- meminfo ---------------------------------------------------------------------------------- */

/* What could be had without swapping: free above the reserve, and page cache that is clean. */
static unsigned long available_pages(unsigned long cache)
{
	unsigned long available = nr_free_pages(), reserve = 0;
	const struct zone *zone;

	for_each_populated_zone(zone) reserve += zone->watermark[WMARK_HIGH];
	available = available > reserve ? available - reserve : 0;
	cache -= min(cache, node_page_state(NR_FILE_DIRTY));
	return available + cache;
}

static void show_zeros(struct seq_file *m, const char *const *labels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		seq_kb(m, labels[i], 0);
}

static void meminfo_lists(struct seq_file *m)
{
	unsigned long active_anon = node_page_state(NR_ACTIVE_ANON);
	unsigned long active_file = node_page_state(NR_ACTIVE_FILE);
	unsigned long inactive_anon = node_page_state(NR_INACTIVE_ANON);
	unsigned long inactive_file = node_page_state(NR_INACTIVE_FILE);

	seq_kb(m, "Active:         ", pages_to_kb(active_anon + active_file));
	seq_kb(m, "Inactive:       ", pages_to_kb(inactive_anon + inactive_file));
	seq_kb(m, "Active(anon):   ", pages_to_kb(active_anon));
	seq_kb(m, "Inactive(anon): ", pages_to_kb(inactive_anon));
	seq_kb(m, "Active(file):   ", pages_to_kb(active_file));
	seq_kb(m, "Inactive(file): ", pages_to_kb(inactive_file));
	seq_kb(m, "Unevictable:    ", pages_to_kb(node_page_state(NR_UNEVICTABLE)));
	seq_kb(m, "Mlocked:        ", pages_to_kb(node_page_state(NR_UNEVICTABLE)));
}

void meminfo_show(struct seq_file *m)
{
	static const char *const zswap[] = { "Zswap:          ", "Zswapped:       " };
	static const char *const misc[] = {
		"SecPageTables:  ",
		"NFS_Unstable:   ",
		"Bounce:         ",
		"WritebackTmp:   ",
	};
	static const char *const huge[] = {
		"VmallocChunk:   ", "Percpu:         ", "AnonHugePages:  ", "ShmemHugePages: ",
		"ShmemPmdMapped: ", "FileHugePages:  ", "FilePmdMapped:  ", "Balloon:        ",
	};
	unsigned long shmem = node_page_state(NR_SHMEM), file = node_page_state(NR_FILE_PAGES);
	unsigned long cache = file - min(file, shmem), slab;
	unsigned long ram = totalram_pages(), anon = node_page_state(NR_ANON_MAPPED);

	slab = node_page_state(NR_SLAB_UNRECLAIMABLE);
	seq_kb(m, "MemTotal:       ", pages_to_kb(ram));
	seq_kb(m, "MemFree:        ", pages_to_kb(nr_free_pages()));
	seq_kb(m, "MemAvailable:   ", pages_to_kb(available_pages(cache)));
	seq_kb(m, "Buffers:        ", 0);
	seq_kb(m, "Cached:         ", pages_to_kb(file));
	seq_kb(m, "SwapCached:     ", pages_to_kb(total_swapcache_pages()));
	meminfo_lists(m);
	seq_kb(m, "SwapTotal:      ", pages_to_kb(total_swap_pages));
	seq_kb(m, "SwapFree:       ", pages_to_kb((unsigned long)max(get_nr_swap_pages(), 0L)));
	show_zeros(m, zswap, ARRAY_SIZE(zswap));
	seq_kb(m, "Dirty:          ", pages_to_kb(node_page_state(NR_FILE_DIRTY)));
	seq_kb(m, "Writeback:      ", pages_to_kb(node_page_state(NR_WRITEBACK)));
	seq_kb(m, "AnonPages:      ", pages_to_kb(anon));
	seq_kb(m, "Mapped:         ", pages_to_kb(node_page_state(NR_FILE_MAPPED)));
	seq_kb(m, "Shmem:          ", pages_to_kb(shmem));
	seq_kb(m, "KReclaimable:   ", 0);
	seq_kb(m, "Slab:           ", pages_to_kb(slab));
	seq_kb(m, "SReclaimable:   ", 0);
	seq_kb(m, "SUnreclaim:     ", pages_to_kb(slab));
	seq_kb(m, "KernelStack:    ", node_page_state(NR_KERNEL_STACK_KB));
	seq_kb(m, "PageTables:     ", pages_to_kb(node_page_state(NR_PAGETABLE)));
	show_zeros(m, misc, ARRAY_SIZE(misc));
	seq_kb(m, "CommitLimit:    ", pages_to_kb(vm_commit_limit()));
	seq_kb(m, "Committed_AS:   ", pages_to_kb(max(atomic_long_read(&vm_committed_as), 0L)));
	seq_kb(m, "VmallocTotal:   ", 34359738367UL);
	seq_kb(m, "VmallocUsed:    ", pages_to_kb(vmalloc_nr_pages()));
	show_zeros(m, huge, ARRAY_SIZE(huge));
	seq_puts(m, "HugePages_Total:       0\nHugePages_Free:        0\n"
		    "HugePages_Rsvd:        0\nHugePages_Surp:        0\n");
	seq_kb(m, "Hugepagesize:   ", PMD_SIZE >> 10);
	seq_kb(m, "Hugetlb:        ", 0);
	seq_kb(m, "DirectMap4k:    ", pages_to_kb(ram));
	seq_kb(m, "DirectMap2M:    ", 0);
	seq_kb(m, "DirectMap1G:    ", 0);
}

/* ---- vmstat ----------------------------------------------------------------------------------- */

static void vmstat_line(struct seq_file *m, const char *name, unsigned long value)
{
	seq_printf(m, "%s %lu\n", name, value);
}

static const struct {
	const char *name;
	enum node_stat_item item;
} node_states[] = {
	{ "nr_inactive_anon", NR_INACTIVE_ANON },
	{ "nr_active_anon", NR_ACTIVE_ANON },
	{ "nr_inactive_file", NR_INACTIVE_FILE },
	{ "nr_active_file", NR_ACTIVE_FILE },
	{ "nr_unevictable", NR_UNEVICTABLE },
	{ "nr_slab_unreclaimable", NR_SLAB_UNRECLAIMABLE },
	{ "workingset_refault_anon", WORKINGSET_REFAULT_ANON },
	{ "workingset_refault_file", WORKINGSET_REFAULT_FILE },
	{ "workingset_activate_anon", WORKINGSET_ACTIVATE_ANON },
	{ "workingset_activate_file", WORKINGSET_ACTIVATE_FILE },
	{ "workingset_restore_anon", WORKINGSET_RESTORE_ANON },
	{ "workingset_restore_file", WORKINGSET_RESTORE_FILE },
	{ "nr_anon_pages", NR_ANON_MAPPED },
	{ "nr_mapped", NR_FILE_MAPPED },
	{ "nr_file_pages", NR_FILE_PAGES },
	{ "nr_dirty", NR_FILE_DIRTY },
	{ "nr_writeback", NR_WRITEBACK },
	{ "nr_shmem", NR_SHMEM },
	{ "nr_dirtied", NR_DIRTIED },
	{ "nr_written", NR_WRITTEN },
	{ "nr_kernel_stack", NR_KERNEL_STACK_KB },
	{ "nr_page_table_pages", NR_PAGETABLE },
	{ "nr_swapcached", NR_SWAPCACHE },
};

static void vmstat_states(struct seq_file *m)
{
	vmstat_line(m, "nr_free_pages", nr_free_pages());
	for (size_t i = 0; i < ARRAY_SIZE(node_states); i++)
		vmstat_line(m, node_states[i].name, node_page_state(node_states[i].item));
}

void vmstat_show(struct seq_file *m)
{
#define VM_EVENT_NAME(item, name) [item] = (name),
	static const char *const names[] = { VM_EVENT_ITEMS(VM_EVENT_NAME) };

	vmstat_states(m);
	for (int i = 0; i < NR_VM_EVENT_ITEMS; i++)
		vmstat_line(m, names[i], all_vm_events(i));
}

/* ---- swaps ------------------------------------------------------------------------------------ */

/* As other texts with a path in a column have it: what would end the column is written in octal. */
static int swaps_name(struct seq_file *m, const char *name)
{
	int len = 0;

	for (; *name; name++) {
		bool plain = !strchr(" \t\n\\", *name);

		seq_printf(m, plain ? "%c" : "\\%03o", (unsigned char)*name);
		len += plain ? 1 : 4;
	}
	return len;
}

static void swaps_number(struct seq_file *m, unsigned long kb)
{
	seq_printf(m, "%lu\t%s", kb, kb < 10000000 ? "\t" : "");
}

void swaps_show(struct seq_file *m)
{
	struct swap_area_info info;

	seq_puts(m, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
	for (unsigned int i = 0; swap_area_info(i, &info); i++) {
		int len = swaps_name(m, info.name);

		seq_printf(m, "%*sfile\t\t", len < 40 ? 40 - len : 1, " ");
		swaps_number(m, pages_to_kb(info.pages));
		swaps_number(m, pages_to_kb(info.inuse));
		seq_printf(m, "%d\n", info.prio);
	}
}

/* ---- Zones ------------------------------------------------------------------------------------ */

/* Frames that the zone has not grown to are free, and would come as the largest blocks. */
static unsigned long free_blocks(const struct zone *zone, unsigned int order)
{
	unsigned long n = zone->free_area[order].nr_free;

	if (order == MAX_ORDER)
		return n + (zone->ungrown_pages >> MAX_ORDER);
	return n + (zone->ungrown_pages >> order & 1);
}

void buddyinfo_show(struct seq_file *m)
{
	struct zone *zone;

	for_each_populated_zone(zone)
	{
		unsigned long nr[NR_PAGE_ORDERS], flags;

		spin_lock_irqsave(&zone->lock, flags);
		for (unsigned int order = 0; order < NR_PAGE_ORDERS; order++)
			nr[order] = free_blocks(zone, order);
		spin_unlock_irqrestore(&zone->lock, flags);
		seq_printf(m, "Node %d, zone %8s ", zone->node, zone->name);
		for (unsigned int order = 0; order < NR_PAGE_ORDERS; order++)
			seq_printf(m, "%6lu ", nr[order]);
		seq_puts(m, "\n");
	}
}

static const char *const migratetype_names[MIGRATE_TYPES] = {
	[MIGRATE_UNMOVABLE] = "Unmovable",
	[MIGRATE_MOVABLE] = "Movable",
	[MIGRATE_RECLAIMABLE] = "Reclaimable",
};

static void show_free_types(struct seq_file *m, struct zone *zone)
{
	struct pagetype_counts counts;

	get_pagetype_counts(zone, &counts);
	for (int type = 0; type < MIGRATE_TYPES; type++) {
		seq_printf(m, "Node %4d, zone %8s, type %12s ", zone->node, zone->name,
			   migratetype_names[type]);
		for (unsigned int order = 0; order < NR_PAGE_ORDERS; order++)
			seq_printf(m, "%6lu ", counts.free[type][order]);
		seq_puts(m, "\n");
	}
}

void pagetypeinfo_show(struct seq_file *m)
{
	struct pagetype_counts counts;
	struct zone *zone;

	seq_printf(m, "Page block order: %d\nPages per block:  %lu\n\n", PAGEBLOCK_ORDER,
		   1UL << PAGEBLOCK_ORDER);
	seq_printf(m, "%-43s ", "Free pages count per migrate type at order");
	for (unsigned int order = 0; order < NR_PAGE_ORDERS; order++)
		seq_printf(m, "%6d ", order);
	seq_puts(m, "\n");
	for_each_populated_zone(zone) show_free_types(m, zone);
	seq_printf(m, "\n%-23s", "Number of blocks type ");
	for (int type = 0; type < MIGRATE_TYPES; type++)
		seq_printf(m, "%12s ", migratetype_names[type]);
	seq_puts(m, "\n");
	for_each_populated_zone(zone)
	{
		get_pagetype_counts(zone, &counts);
		seq_printf(m, "Node %d, zone %8s ", zone->node, zone->name);
		for (int type = 0; type < MIGRATE_TYPES; type++)
			seq_printf(m, "%12lu ", counts.blocks[type]);
		seq_puts(m, "\n");
	}
}

/* Those of the node stand with its first zone. */
static void show_node_states(struct seq_file *m)
{
	seq_puts(m, "\n  per-node stats");
	for (size_t i = 0; i < ARRAY_SIZE(node_states); i++)
		seq_printf(m, "\n      %-12s %lu", node_states[i].name,
			   node_page_state(node_states[i].item));
}

static void zone_show(struct seq_file *m, const struct zone *zone, bool first)
{
	unsigned long free = max(atomic_long_read(&zone->nr_free), 0L);

	seq_printf(m, "Node %d, zone %8s", zone->node, zone->name);
	if (first)
		show_node_states(m);
	seq_printf(m, "\n  pages free     %lu\n        boost    0\n", free);
	seq_printf(m, "        min      %lu\n        low      %lu\n        high     %lu\n",
		   zone->watermark[WMARK_MIN], zone->watermark[WMARK_LOW],
		   zone->watermark[WMARK_HIGH]);
	seq_printf(m, "        spanned  %lu\n        present  %lu\n        managed  %lu\n",
		   zone->spanned_pages, zone->present_pages,
		   (unsigned long)atomic_long_read(&zone->managed_pages));
	seq_printf(m, "        cma      0\n        protection: (%lu", zone->lowmem_reserve[0]);
	for (int i = 1; i < MAX_NR_ZONES; i++)
		seq_printf(m, ", %lu", zone->lowmem_reserve[i]);
	seq_printf(m, ")\n      nr_free_pages %lu\n  pagesets\n", free);
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++) {
		const struct per_cpu_pages *pcp = &zone->pcp[cpu];

		seq_printf(m,
			   "    cpu: %u\n              count:    %d\n              high:     %d\n"
			   "              batch:    %d\n",
			   cpu, READ_ONCE(pcp->count), pcp->high, pcp->batch);
	}
	seq_printf(m, "  node_unreclaimable:  0\n  start_pfn:           %lu\n",
		   zone->zone_start_pfn);
}

void zoneinfo_show(struct seq_file *m)
{
	const struct zone *zone;
	bool first = true;

	for_each_populated_zone(zone)
	{
		zone_show(m, zone, first);
		first = false;
	}
}

/* The range that comes next in the order of addresses, the larger one first; NULL: there is none. */
static const struct e820_entry *range_after(const struct e820_entry *map, int n,
					    const struct e820_entry *last)
{
	const struct e820_entry *found = NULL;

	for (const struct e820_entry *e = map; e < map + n; e++) {
		if (last && (e->addr < last->addr ||
			     (e->addr == last->addr &&
			      (e->size > last->size || (e->size == last->size && e <= last)))))
			continue;
		if (!found || e->addr < found->addr ||
		    (e->addr == found->addr && e->size > found->size))
			found = e;
	}
	return found;
}

/*
 * What the machine consists of, by address; what lies within another range is set in. Addresses are for
 * those only who may know everything.
 */
void iomem_show(struct seq_file *m)
{
	static const char *const names[] = {
		[E820_TYPE_RAM] = "System RAM",
		[E820_TYPE_RESERVED] = "Reserved",
		[E820_TYPE_ACPI] = "ACPI Tables",
		[E820_TYPE_NVS] = "ACPI Non-volatile Storage",
		[E820_TYPE_UNUSABLE] = "Unusable memory",
	};
	struct e820_entry map[16];
	int n = min(machine_memory_map(map, ARRAY_SIZE(map)), (int)ARRAY_SIZE(map));
	const struct e820_entry *e = NULL, *outer = NULL;
	bool shown = machine_capable(CAP_SYS_ADMIN);

	while ((e = range_after(map, n, e))) {
		bool inside = outer && e->addr - outer->addr < outer->size;

		seq_printf(m, "%*s%08lx-%08lx : %s\n", inside ? 2 : 0, "",
			   shown ? (unsigned long)e->addr : 0,
			   shown ? (unsigned long)(e->addr + e->size - 1) : 0, names[e->type]);
		if (!inside)
			outer = e;
	}
}

/* One line an area, in the order of addresses; the caller as an address, for want of symbols. */
void vmallocinfo_show(struct seq_file *m)
{
	struct vmap_info v;

	for (unsigned long addr = 0; vmalloc_info(addr, &v); addr = v.end) {
		seq_printf(m, "%#lx-%#lx %7lu", v.start, v.end, v.end - v.start);
		if (v.unpurged) {
			seq_puts(m, " unpurged vm_area\n");
			continue;
		}
		seq_printf(m, " %p pages=%lu%s%s\n", v.caller, v.nr_pages,
			   v.flags & VM_ALLOC ? " vmalloc" : "", v.flags & VM_MAP ? " vmap" : "");
	}
}

void slabinfo_show(struct seq_file *m)
{
	struct slabinfo s;

	seq_puts(m,
		 "slabinfo - version: 2.1\n"
		 "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> "
		 ": tunables <limit> <batchcount> <sharedfactor> "
		 ": slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	for (unsigned int i = 0; get_slabinfo(i, &s); i++) {
		seq_printf(m, "%-17s %6lu %6lu %6u %4u %4u", s.name, s.active_objs, s.num_objs,
			   s.object_size, s.objs_per_slab, s.pages_per_slab);
		seq_printf(m, " : tunables %4u %4u %4u : slabdata %6lu %6lu %6lu\n", 0, 0, 0,
			   s.active_slabs, s.num_slabs, 0UL);
	}
}

/* ---- What is the host's ------------------------------------------------------------------------ */

/* The times on the host's line of the CPU; zeros if it has none. */
static void host_cpu_times(struct host_text host, unsigned int cpu, u64 *times)
{
	struct text_line line;
	unsigned long number;

	memset(times, 0, NR_CPU_TIMES * sizeof(*times));
	while (next_line(&host.text, &host.len, &line)) {
		if (!line_starts(&line, "cpu"))
			continue;
		line.line += 3;
		line.len -= 3;
		if (!line.len || line.line[0] == ' ' || !take_number(&line, &number) ||
		    number != cpu)
			continue;
		for (int i = 0; i < NR_CPU_TIMES && take_number(&line, &number); i++)
			times[i] = number;
		return;
	}
}

static void show_cpu_times(struct seq_file *m, const u64 *times)
{
	for (int i = 0; i < NR_CPU_TIMES; i++)
		seq_printf(m, " %lu", (unsigned long)times[i]);
	seq_puts(m, "\n");
}

/* As many CPUs as the machine has, those beyond the host's idle since ever; then the rest. */
void stat_show(struct seq_file *m, struct host_text host)
{
	u64 times[NR_CPU_TIMES], sum[NR_CPU_TIMES] = { 0 };
	const unsigned int cpus = machine_nr_cpus();
	struct text_line line;

	for (unsigned int cpu = 0; cpu < cpus; cpu++) {
		host_cpu_times(host, cpu, times);
		for (int i = 0; i < NR_CPU_TIMES; i++)
			sum[i] += times[i];
	}
	seq_puts(m, "cpu ");
	show_cpu_times(m, sum);
	for (unsigned int cpu = 0; cpu < cpus; cpu++) {
		host_cpu_times(host, cpu, times);
		seq_printf(m, "cpu%u", cpu);
		show_cpu_times(m, times);
	}
	if (!host.len)
		seq_puts(m, "intr 0\nctxt 0\nbtime 0\nprocesses 0\nprocs_running 1\n"
			    "procs_blocked 0\n");
	while (next_line(&host.text, &host.len, &line)) {
		if (line_starts(&line, "cpu"))
			continue;
		seq_write(m, line.line, line.len);
		seq_puts(m, "\n");
	}
}

/* The description of one processor of the host, under the number that the machine gives it. */
static void show_processor(struct seq_file *m, struct host_text block, unsigned int cpu)
{
	struct text_line line;

	while (next_line(&block.text, &block.len, &line)) {
		if (line_starts(&line, "processor"))
			seq_printf(m, "processor\t: %u", cpu);
		else
			seq_write(m, line.line, line.len);
		seq_puts(m, "\n");
	}
	seq_puts(m, "\n");
}

/* Up to the empty line. False at the end. */
static bool next_block(struct host_text *text, struct host_text *block)
{
	struct text_line line;

	block->text = text->text;
	block->len = 0;
	while (next_line(&text->text, &text->len, &line) && line.len)
		block->len = (size_t)(line.line + line.len - block->text);
	return block->len;
}

void cpuinfo_show(struct seq_file *m, struct host_text host)
{
	struct host_text block, last = { 0 };

	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++) {
		if (next_block(&host, &block))
			last = block;
		if (last.len)
			show_processor(m, last, cpu);
		else
			seq_printf(m, "processor\t: %u\n\n", cpu);
	}
}

/* "0.04 0.06 0.02 2/95 22605": load, running/all threads, the newest pid. */
void loadavg_show(struct seq_file *m, struct host_text host)
{
	size_t spaces = 0, loads = 0, slash;
	struct task_struct *task;
	int threads = 0;

	spin_lock(&tasklist_lock);
	list_for_each_entry(task, &task_list, tasks)
		threads++;
	spin_unlock(&tasklist_lock);
	while (loads < host.len && spaces < 3)
		spaces += host.text[loads++] == ' ';
	slash = loads;
	while (slash < host.len && host.text[slash] != '/')
		slash++;
	if (slash == host.len) {
		seq_printf(m, "0.00 0.00 0.00 1/%d 0\n", threads);
		return;
	}
	seq_write(m, host.text, loads);
	seq_printf(m, "1/%d", threads);
	while (slash < host.len && host.text[slash] != ' ')
		slash++;
	seq_write(m, host.text + slash, host.len - slash);
}
