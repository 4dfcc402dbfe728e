/* SPDX-License-Identifier: MIT */
/*
 * fault-inject.h - make allocations and transfers fail on purpose.
 *
 * A test arms a point, runs, and looks whether the error reached the caller and nothing leaked.
 * should_fail() is consulted once per page allocation, once per slab allocation and, by a port, once
 * per transfer of machine_block_rw().
 */
#ifndef QUIRE_FAULT_INJECT_H
#define QUIRE_FAULT_INJECT_H

#include <quire/atomic.h>
#include <quire/types.h>

struct fault_attr {
	union {
		struct {
			s32 nth; /* the nth call from now fails (1: the next); 0: off */
			s32 interval; /* every interval-th call fails; 0: off */
		};
		u64 armed; /* both, in one look */
	};
	atomic_long_t calls; /* calls seen since the counter was last cleared */
	atomic_long_t failed;
};

extern struct fault_attr fail_page_alloc;
extern struct fault_attr failslab;
extern struct fault_attr fail_block; /* -EIO, and nothing is transferred */

bool should_fail_slow(struct fault_attr *attr);

/* __GFP_NOFAIL allocations do not ask. */
static inline bool should_fail(struct fault_attr *attr)
{
	if (!attr->armed)
		return false;
	return should_fail_slow(attr);
}

#endif
