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

/* X(item, name), in the order of /proc/vmstat. */
#define VM_EVENT_ITEMS(X)                                                              \
	X(PGPGIN, "pgpgin") /* KiB read from storage */                                \
	X(PGPGOUT, "pgpgout") /* KiB written */                                        \
	X(PSWPIN, "pswpin") /* pages read from swap */                                 \
	X(PSWPOUT, "pswpout") /* pages written to swap */                              \
	X(PGALLOC_DMA, "pgalloc_dma")                                                  \
	X(PGALLOC_DMA32, "pgalloc_dma32")                                              \
	X(PGALLOC_NORMAL, "pgalloc_normal")                                            \
	X(ALLOCSTALL, "allocstall_normal") /* allocations that reclaimed themselves */ \
	X(PGFREE, "pgfree")                                                            \
	X(PGACTIVATE, "pgactivate")                                                    \
	X(PGDEACTIVATE, "pgdeactivate")                                                \
	X(PGLAZYFREE, "pglazyfree")                                                    \
	X(PGFAULT, "pgfault")                                                          \
	X(PGMAJFAULT, "pgmajfault")                                                    \
	X(PGLAZYFREED, "pglazyfreed")                                                  \
	X(PGREFILL, "pgrefill") /* pages of active lists looked at */                  \
	X(PGREUSE, "pgreuse")                                                          \
	X(PGSTEAL_KSWAPD, "pgsteal_kswapd") /* pages reclaimed */                      \
	X(PGSTEAL_DIRECT, "pgsteal_direct")                                            \
	X(PGSCAN_KSWAPD, "pgscan_kswapd") /* pages of inactive lists looked at */      \
	X(PGSCAN_DIRECT, "pgscan_direct")                                              \
	X(PGSCAN_ANON, "pgscan_anon")                                                  \
	X(PGSCAN_FILE, "pgscan_file")                                                  \
	X(PGSTEAL_ANON, "pgsteal_anon")                                                \
	X(PGSTEAL_FILE, "pgsteal_file")                                                \
	X(SLABS_SCANNED, "slabs_scanned")                                              \
	X(KSWAPD_LOW_WMARK_HIT_QUICKLY, "kswapd_low_wmark_hit_quickly")                \
	X(PAGEOUTRUN, "pageoutrun")                                                    \
	X(PGROTATED, "pgrotated")                                                      \
	X(DROP_PAGECACHE, "drop_pagecache")                                            \
	X(DROP_SLAB, "drop_slab")                                                      \
	X(OOM_KILL, "oom_kill")                                                        \
	X(UNEVICTABLE_PGCULLED, "unevictable_pgs_culled")                              \
	X(UNEVICTABLE_PGMLOCKED, "unevictable_pgs_mlocked")                            \
	X(UNEVICTABLE_PGMUNLOCKED, "unevictable_pgs_munlocked")

#define VM_EVENT_ENUM(item, name) item,
enum vm_event_item {
	VM_EVENT_ITEMS(VM_EVENT_ENUM) NR_VM_EVENT_ITEMS,
};

/*
 * The first ones are the lengths of the lists of reclaim, kept in struct lruvec; the refaults and
 * NR_DIRTIED, NR_WRITTEN only ever rise.
 */
enum node_stat_item {
	NR_INACTIVE_ANON,
	NR_ACTIVE_ANON,
	NR_INACTIVE_FILE,
	NR_ACTIVE_FILE,
	NR_UNEVICTABLE,
	WORKINGSET_REFAULT_ANON, /* came back, after they had been reclaimed */
	WORKINGSET_REFAULT_FILE,
	WORKINGSET_ACTIVATE_ANON, /* ... so soon that more memory would have kept them */
	WORKINGSET_ACTIVATE_FILE,
	WORKINGSET_RESTORE_ANON, /* ... and had been active before */
	WORKINGSET_RESTORE_FILE,
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
