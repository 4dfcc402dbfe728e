/* SPDX-License-Identifier: MIT */
/*
 * report.c - what happened in the machine: sums of its counters, and who gets them. The two forms
 * are report_text.c and report_json.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "report.h"

#define VM_EVENT_NAME(item, name) [item] = (name),
const char *const vm_event_names[] = { VM_EVENT_ITEMS(VM_EVENT_NAME) };

const char *syscall_name(unsigned int nr)
{
#define N(name) [__NR_##name] = #name,
	static const char *const names[NR_SYSCALLS] = {
#include "syscall_names.inc"
	};
#undef N

	return nr < NR_SYSCALLS ? names[nr] : NULL;
}

static int larger_first(const void *a, const void *b)
{
	const struct process_record *x = *(const struct process_record *const *)a;
	const struct process_record *y = *(const struct process_record *const *)b;

	if (x->peak_rss != y->peak_rss)
		return x->peak_rss < y->peak_rss ? 1 : -1;
	return x->start_ns < y->start_ns ? -1 : x->start_ns > y->start_ns;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Counts add up; of the peaks the highest one is kept. */
static void add_process(struct process_record *sum, const struct process_record *r)
{
	sum->threads += r->threads;
	sum->min_flt += r->min_flt;
	sum->maj_flt += r->maj_flt;
	sum->nsyscalls += r->nsyscalls;
	for (unsigned int e = 0; e < PROC_RECORD_EVENTS; e++)
		sum->events[e] += r->events[e];
	for (unsigned int o = 0; o < PROC_RECORD_ORDERS; o++)
		sum->folios[o] += r->folios[o];
	sum->peak_rss = max_u64(sum->peak_rss, r->peak_rss);
	sum->peak_vmas = max_u64(sum->peak_vmas, r->peak_vmas);
	sum->peak_pgtables = max_u64(sum->peak_pgtables, r->peak_pgtables);
}

static int sum_processes(struct report *r, const struct kernel_shared *shared)
{
	uint32_t made = shared->nr_records;

	r->nr_processes = made < MAX_PROCESS_RECORDS ? made : MAX_PROCESS_RECORDS;
	r->unrecorded = made - r->nr_processes;
	r->process = calloc(r->nr_processes + 1u, sizeof(const struct process_record *));
	if (!r->process)
		return -1;
	for (uint32_t i = 0; i < r->nr_processes; i++) {
		r->process[i] = &shared->record[i];
		add_process(&r->total, r->process[i]);
	}
	qsort(r->process, r->nr_processes, sizeof(const struct process_record *), larger_first);
	return 0;
}

static void sum_counters(struct report *r, const struct machine *m)
{
	const struct kernel_shared *shared = m->shared;

	for (unsigned int cpu = 0; cpu < NATIVE_MAX_CPUS; cpu++)
		for (unsigned int c = 0; c < NR_NATIVE_COUNTERS; c++)
			r->counter[c] += shared->counter[cpu][c];
	r->wall_ns = m->end_ns - m->start_ns;
	if (r->wall_ns)
		r->tsc_khz = (double)(m->end_tsc - m->start_tsc) * 1e6 / (double)r->wall_ns;
	if (r->tsc_khz > 0)
		r->kernel_ns = (uint64_t)((double)r->counter[NC_KERNEL_TSC] * 1e6 / r->tsc_khz);
	/* The boot came before the program, but ran on a virtual CPU. */
	r->kernel_ns -= shared->boot_ns < r->kernel_ns ? shared->boot_ns : r->kernel_ns;
}

int report_write(const struct machine *m)
{
	struct report r = { .m = m };
	const char *where = m->opt->output ? m->opt->output : "standard error";
	FILE *out = m->opt->output ? fopen(m->opt->output, "we") : stderr;
	int err = 0;

	if (!out || sum_processes(&r, m->shared)) {
		err = errno;
	} else {
		sum_counters(&r, m);
		errno = 0;
		if (m->opt->report == REPORT_JSON)
			report_json(&r, out);
		else
			report_text(&r, out);
		if (fflush(out) || ferror(out))
			err = errno ? errno : EIO;
	}
	if (out && out != stderr && fclose(out) && !err)
		err = errno;
	free(r.process);
	if (!err)
		return 0;
	complain("the report cannot be written to %s: %s", where, strerror(err));
	return -1;
}
