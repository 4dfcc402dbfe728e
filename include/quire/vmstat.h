/* SPDX-License-Identifier: MIT */
/*
 * vmstat.h - counters: events (per CPU, only ever rise) and states (pages in some condition).
 *
 * The names are those of Linux's /proc/vmstat, in the enum's order.
 */
#ifndef QUIRE_VMSTAT_H
#define QUIRE_VMSTAT_H

#include <quire/atomic.h>
#include <quire/machine.h>

enum vm_event_item {
	PGPGIN, /* KiB read from storage */
	PGPGOUT, /* KiB written */
	PSWPIN, /* pages read from swap */
	PSWPOUT, /* pages written to swap */
	PGALLOC_DMA,
	PGALLOC_DMA32,
	PGALLOC_NORMAL,
	PGFREE,
	PGFAULT,
	PGMAJFAULT,
	PGREUSE,
	PGSTEAL_DIRECT, /* pages reclaimed */
	PGSCAN_DIRECT,
	DROP_PAGECACHE,
	OOM_KILL,
	NR_VM_EVENT_ITEMS,
};

enum node_stat_item {
	NR_ANON_MAPPED,
	NR_FILE_MAPPED,
	NR_FILE_PAGES,
	NR_FILE_DIRTY,
	NR_WRITEBACK,
	NR_SHMEM,
	NR_PAGETABLE,
	NR_KERNEL_STACK_KB,
	NR_SLAB_UNRECLAIMABLE,
	NR_DIRTIED,
	NR_WRITTEN,
	NR_SWAPCACHE,
	NR_VM_NODE_STAT_ITEMS,
};

struct vm_event_state {
	unsigned long event[NR_VM_EVENT_ITEMS];
} __attribute__((aligned(64)));

extern struct vm_event_state vm_event_states[MACHINE_MAX_CPUS];
extern atomic_long_t vm_node_stat[NR_VM_NODE_STAT_ITEMS];

static inline void count_vm_events(enum vm_event_item item, unsigned long n)
{
	/* Exclusive to this CPU in kernel context; an interrupt may at worst lose a count. */
	vm_event_states[machine_cpu_id()].event[item] += n;
}
static inline void count_vm_event(enum vm_event_item item)
{
	count_vm_events(item, 1);
}
unsigned long all_vm_events(enum vm_event_item item);

static inline void mod_node_page_state(enum node_stat_item item, long pages)
{
	atomic_long_add(pages, &vm_node_stat[item]);
}
unsigned long node_page_state(enum node_stat_item item);

#endif
