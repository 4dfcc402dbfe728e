/* SPDX-License-Identifier: MIT */
/*
 * sample.c - figures of the machine at a moment. Sums of counters that others go on changing: no lock
 * and no virtual CPU is needed, so that it works in whatever trouble the machine is.
 */
#include <quire/mmzone.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

#include "native.h"

static u64 kib(unsigned long pages)
{
	return (u64)pages << (PAGE_SHIFT - 10);
}

void native_sample(uint64_t *out)
{
	long swap_free = get_nr_swap_pages();

	out[SAMPLE_THREADS] = __atomic_load_n(&kernel_shared.nr_tasks, __ATOMIC_RELAXED);
	out[SAMPLE_FREE] = kib(nr_free_pages());
	out[SAMPLE_FILE] = kib(node_page_state(NR_FILE_PAGES) - node_page_state(NR_SHMEM));
	out[SAMPLE_SHMEM] = kib(node_page_state(NR_SHMEM));
	out[SAMPLE_ANON] = kib(node_page_state(NR_ANON_MAPPED));
	out[SAMPLE_MAPPED] = kib(node_page_state(NR_FILE_MAPPED));
	out[SAMPLE_DIRTY] = kib(node_page_state(NR_FILE_DIRTY));
	out[SAMPLE_WRITEBACK] = kib(node_page_state(NR_WRITEBACK));
	out[SAMPLE_SLAB] = kib(node_page_state(NR_SLAB_UNRECLAIMABLE));
	out[SAMPLE_PAGETABLES] = kib(node_page_state(NR_PAGETABLE));
	out[SAMPLE_SWAP_USED] =
		kib(total_swap_pages - (unsigned long)(swap_free < 0 ? 0 : swap_free));
	out[SAMPLE_SWAP_CACHED] = kib(total_swapcache_pages());
	out[SAMPLE_FAULTS] = all_vm_events(PGFAULT);
	out[SAMPLE_MAJOR_FAULTS] = all_vm_events(PGMAJFAULT);
	out[SAMPLE_SWAP_IN] = all_vm_events(PSWPIN);
	out[SAMPLE_SWAP_OUT] = all_vm_events(PSWPOUT);
	out[SAMPLE_SCANNED] = all_vm_events(PGSCAN_DIRECT) + all_vm_events(PGSCAN_KSWAPD);
	out[SAMPLE_STOLEN] = all_vm_events(PGSTEAL_DIRECT) + all_vm_events(PGSTEAL_KSWAPD);
}
