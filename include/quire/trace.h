/* SPDX-License-Identifier: MIT */
/*
 * trace.h - events for a timeline: fault, map, unmap, fork, exec, exit, reclaim, swap.
 */
#ifndef QUIRE_TRACE_H
#define QUIRE_TRACE_H

#include <quire/machine.h>
#include <quire/types.h>

enum trace_type {
	TRACE_FAULT = 1, /* addr; arg: enum trace_fault; dur_ns */
	TRACE_MMAP, /* addr, arg: length */
	TRACE_MUNMAP, /* addr, arg: length */
	TRACE_MPROTECT, /* addr, arg: length */
	TRACE_MREMAP, /* addr, arg: new length */
	TRACE_BRK, /* addr: new end */
	TRACE_MADVISE, /* addr, arg: advice */
	TRACE_FORK, /* arg: child's pid */
	TRACE_EXEC,
	TRACE_EXIT, /* arg: status */
	TRACE_RECLAIM, /* arg: pages freed */
	TRACE_SWAPOUT, /* addr: swp_entry_t of the first, arg: pages; dur_ns */
	TRACE_SWAPIN,
	TRACE_TYPE_END,
};

enum trace_fault {
	TRACE_FAULT_SPURIOUS, /* translation was in the tables */
	TRACE_FAULT_ZERO,
	TRACE_FAULT_ANON,
	TRACE_FAULT_COW,
	TRACE_FAULT_REUSE,
	TRACE_FAULT_FILE,
	TRACE_FAULT_SWAP, /* from the swap cache, or from storage */
	TRACE_FAULT_ERROR, /* SIGSEGV or SIGBUS */
};

struct trace_event {
	u64 time_ns; /* machine_clock_ns() at the start */
	u32 dur_ns;
	u16 type; /* enum trace_type */
	u16 cpu;
	u32 pid, tid; /* filled in by the machine */
	u64 addr;
	u64 arg;
};

extern bool trace_enabled; /* set by the port at boot */

void trace_emit(enum trace_type type, u64 addr, u64 arg, u64 start_ns);

static inline u64 trace_clock(void)
{
	return __builtin_expect(trace_enabled, 0) ? machine_clock_ns() : 0;
}

/* start: what trace_clock() gave before the work, so that the event has a duration. */
static inline void trace(enum trace_type type, u64 addr, u64 arg, u64 start)
{
	if (__builtin_expect(trace_enabled, 0))
		trace_emit(type, addr, arg, start);
}

#endif
