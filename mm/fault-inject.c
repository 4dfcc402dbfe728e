/* SPDX-License-Identifier: MIT */
/*
 * Allocations and transfers that fail on purpose. Calls are counted only while a point is armed; to count what
 * a piece of work makes without failing any, arm nth with INT_MAX.
 */
#include <quire/fault-inject.h>
#include <quire/kernel.h>

struct fault_attr fail_page_alloc;
struct fault_attr failslab;
struct fault_attr fail_block;

/* Counts nth down, by one CPU at a time; whoever takes it to 0 fails, and the point is off. */
static bool nth_reached(struct fault_attr *attr)
{
	s32 nth = __atomic_load_n(&attr->nth, __ATOMIC_RELAXED);

	while (nth > 0) {
		if (__atomic_compare_exchange_n(&attr->nth, &nth, nth - 1, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return nth == 1;
	}
	return false;
}

bool should_fail_slow(struct fault_attr *attr)
{
	s32 interval = __atomic_load_n(&attr->interval, __ATOMIC_RELAXED);
	long call = atomic_long_add_return(1, &attr->calls);
	bool fail = nth_reached(attr);

	if (interval > 0 && call % interval == 0)
		fail = true;
	if (fail)
		atomic_long_inc(&attr->failed);
	return fail;
}
