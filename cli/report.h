/* SPDX-License-Identifier: MIT */
/* report.h - what both forms of the report are made from. */
#ifndef QUIRE_REPORT_H
#define QUIRE_REPORT_H

#include <quire/mm_types.h>
#include <quire/unistd.h>
#include <quire/vmstat.h>

#include "cli.h"

struct report {
	const struct machine *m;
	uint64_t counter[NR_NATIVE_COUNTERS]; /* sums over the CPUs */
	uint64_t wall_ns, kernel_ns;
	double tsc_khz;
	const struct process_record **process; /* by falling peak RSS */
	uint32_t nr_processes, unrecorded;
	struct process_record total; /* sums; of the peaks the maxima */
};

/* /proc/vmstat's names of enum vm_event_item. */
extern const char *const vm_event_names[];
/* NULL: there is no such system call. */
const char *syscall_name(unsigned int nr);

/* Errors show in ferror(out) or at fflush(). */
void report_text(const struct report *r, FILE *out);
void report_json(const struct report *r, FILE *out);

#endif
