/* SPDX-License-Identifier: MIT */
/* Events for a timeline: put together here, kept by the machine. */
#include <quire/kernel.h>
#include <quire/trace.h>

bool trace_enabled;

void trace_emit(enum trace_type type, u64 addr, u64 arg, u64 start_ns)
{
	u64 dur = machine_clock_ns() - start_ns;
	struct trace_event event = {
		.time_ns = start_ns,
		.dur_ns = (u32)min_t(u64, dur, ~0u),
		.type = (u16)type,
		.cpu = (u16)machine_cpu_id(),
		.addr = addr,
		.arg = arg,
	};

	machine_trace(&event);
}
