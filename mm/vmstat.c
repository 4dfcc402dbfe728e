/* SPDX-License-Identifier: MIT */
/*
 * The counters of vmstat.h. An event lives in one word per CPU, which only that CPU writes: a
 * reader's sum may be a moment old. A state is one word for the node, exact at all times.
 */
#include <quire/vmstat.h>

struct vm_event_state vm_event_states[MACHINE_MAX_CPUS];
atomic_long_t vm_node_stat[NR_VM_NODE_STAT_ITEMS];

unsigned long all_vm_events(enum vm_event_item item)
{
	unsigned long sum = 0;

	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		sum += __atomic_load_n(&vm_event_states[cpu].event[item], __ATOMIC_RELAXED);
	return sum;
}

unsigned long node_page_state(enum node_stat_item item)
{
	long pages = atomic_long_read(&vm_node_stat[item]);

	return pages < 0 ? 0 : (unsigned long)pages;
}
