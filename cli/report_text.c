/* SPDX-License-Identifier: MIT */
/* report_text.c - the report for people: at most 100 columns, units stated. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "report.h"

#define SHOWN_PROCESSES 20
#define SHOWN_SYSCALLS 24
#define PAGE_BYTES 4096ull

/* ---- Numbers ----------------------------------------------------------------------------- */

/* 4K, 1.5M, 2.00G: three figures and a letter. buf: at least 16 bytes. */
static const char *size_text(uint64_t bytes, char *buf)
{
	static const char letters[] = "BKMGTP";
	double value = (double)bytes;
	unsigned int i = 0;

	while (value >= 1024 && i < 5) {
		value /= 1024;
		i++;
	}
	if (i == 0)
		snprintf(buf, 16, "%.0f", value);
	else if (value == (double)(uint64_t)value)
		snprintf(buf, 16, "%.0f%c", value, letters[i]);
	else
		snprintf(buf, 16, "%.*f%c",
			 value < 10    ? 2
			 : value < 100 ? 1
				       : 0,
			 value, letters[i]);
	return buf;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

/* How a process ended: 0, 1, SIGSEGV. buf: at least 16 bytes. */
static const char *end_text(int status, char *buf)
{
	const char *name;

	if (status == -1)
		return "vanished";
	if (!WIFSIGNALED(status)) {
		snprintf(buf, 16, "%d", WEXITSTATUS(status));
		return buf;
	}
	name = sigabbrev_np(WTERMSIG(status));
	if (name)
		snprintf(buf, 16, "SIG%.11s", name);
	else
		snprintf(buf, 16, "signal %d", WTERMSIG(status) & 0x7f);
	return buf;
}

/* ---- Machine and program ----------------------------------------------------------------- */

static void put_machine(const struct report *r, FILE *out)
{
	const struct machine *m = r->m;
	char buf[16];

	fprintf(out, "Machine\n");
	fprintf(out, "  RAM             %s bytes, %s\n", size_text(m->opt->ram, buf), m->ram_kind);
	fprintf(out, "  fill            %s\n", m->opt->fill_4k ? "4k" : "auto");
	fprintf(out, "  virtual CPUs    %u\n", m->opt->cpus);
	fprintf(out, "  system calls    caught by %s\n", m->dispatch_kind);
	fprintf(out, "  boot            %.2f ms\n", (double)m->shared->boot_ns / 1e6);
}

static void put_program(const struct report *r, FILE *out)
{
	const struct machine *m = r->m;
	char buf[16];

	fprintf(out, "\nProgram          ");
	for (char **arg = m->opt->program; *arg; arg++)
		fprintf(out, "%s%s", arg == m->opt->program ? "" : " ", *arg);
	fprintf(out, "\n  exit status     %s\n", end_text(m->status, buf));
	fprintf(out, "  wall time       %.3f s\n", seconds(r->wall_ns));
	fprintf(out, "  in the kernel   %.3f s of CPU time, all CPUs together\n",
		seconds(r->kernel_ns));
	fprintf(out,
		"  processes       %" PRIu64 " forks, %" PRIu64 " execs, %" PRIu64
		" further threads, %" PRIu64 " signals handled\n",
		r->counter[NC_FORKS], r->counter[NC_EXECS], r->counter[NC_THREADS],
		r->counter[NC_SIGNALS]);
}

/* ---- Processes --------------------------------------------------------------------------- */

static uint32_t shown(const struct report *r)
{
	return r->nr_processes < SHOWN_PROCESSES ? r->nr_processes : SHOWN_PROCESSES;
}

static void put_life(const struct process_record *p, FILE *out)
{
	uint64_t wall = p->end_ns > p->start_ns ? p->end_ns - p->start_ns : 0;
	char end[16], rss[16];

	fprintf(out,
		"  %7d %7d %-15.15s %9s %9.3f %7" PRIu32 " %8s %6" PRIu64 " %6" PRIu64 " %9" PRIu64
		"\n",
		p->pid, p->parent, p->comm, end_text(p->status, end), seconds(wall), p->threads,
		size_text(p->peak_rss * PAGE_BYTES, rss), p->peak_vmas, p->peak_pgtables,
		p->nsyscalls);
}

static void put_lives(const struct report *r, FILE *out)
{
	const struct process_record *t = &r->total;
	char rss[16];

	fprintf(out, "\nProcesses        %" PRIu32 ", those with the largest peak RSS first\n",
		r->nr_processes);
	fprintf(out, "  %7s %7s %-15s %9s %9s %7s %8s %6s %6s %9s\n", "PID", "PARENT", "NAME",
		"END", "SECONDS", "THREADS", "PEAK RSS", "VMAS", "TABLES", "CALLS");
	for (uint32_t i = 0; i < shown(r); i++)
		put_life(r->process[i], out);
	fprintf(out,
		"  %7s %7s %-15s %9s %9s %7" PRIu32 " %8s %6" PRIu64 " %6" PRIu64 " %9" PRIu64 "\n",
		"", "", "all, or most", "", "", t->threads,
		size_text(t->peak_rss * PAGE_BYTES, rss), t->peak_vmas, t->peak_pgtables,
		t->nsyscalls);
	if (r->unrecorded)
		fprintf(out, "  %" PRIu32 " more processes were not recorded\n", r->unrecorded);
}

static void put_fault_row(const char *pid, const char *name, const uint64_t *e, FILE *out)
{
	fprintf(out, "  %7s %-15.15s", pid, name);
	for (unsigned int i = 0; i < NR_MM_EVENTS; i++)
		fprintf(out, " %8" PRIu64, e[i]);
	putc('\n', out);
}

static void put_faults(const struct report *r, FILE *out)
{
	fprintf(out, "\nFaults           minor, major, spurious: faults; the others: pages\n");
	fprintf(out, "  %7s %-15s %8s %8s %8s %8s %8s %8s %8s %8s\n", "PID", "NAME", "MINOR",
		"MAJOR", "ZERO", "ANON", "COW", "REUSE", "FILE", "SPURIOUS");
	for (uint32_t i = 0; i < shown(r); i++) {
		const struct process_record *p = r->process[i];
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", p->pid);
		put_fault_row(pid, p->comm, p->events, out);
	}
	put_fault_row("", "all", r->total.events, out);
}

static void put_orders(FILE *out)
{
	char buf[16];

	for (unsigned int o = 0; o < PROC_RECORD_ORDERS; o++)
		fprintf(out, " %6s", size_text(PAGE_BYTES << o, buf));
	putc('\n', out);
}

static void put_folio_row(const char *pid, const char *name, const uint64_t *folios, FILE *out)
{
	fprintf(out, "  %7s %-12.12s", pid, name);
	for (unsigned int o = 0; o < PROC_RECORD_ORDERS; o++)
		fprintf(out, " %6" PRIu64, folios[o]);
	putc('\n', out);
}

static void put_folios(const struct report *r, FILE *out)
{
	fprintf(out, "\nAnonymous folios by size in bytes\n");
	fprintf(out, "  %7s %-12s", "PID", "NAME");
	put_orders(out);
	for (uint32_t i = 0; i < shown(r); i++) {
		const struct process_record *p = r->process[i];
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", p->pid);
		put_folio_row(pid, p->comm, p->folios, out);
	}
	put_folio_row("", "all", r->total.folios, out);
}

/* ---- Host TLB, system calls -------------------------------------------------------------- */

static void put_tlb(const struct report *r, FILE *out)
{
	const uint64_t *c = r->counter;

	fprintf(out, "\nHost mappings as TLB\n");
	fprintf(out, "  misses          %" PRIu64 " (host SIGSEGVs that were page faults)\n",
		c[NC_FAULTS]);
	fprintf(out, "  fills           %" PRIu64 " mappings, %" PRIu64 " pages\n", c[NC_TLB_FILL],
		c[NC_TLB_FILL_PAGES]);
	fprintf(out, "  flushes         %" PRIu64 "\n", c[NC_TLB_FLUSH]);
	fprintf(out,
		"  shoot-downs     %" PRIu64 ", of these %" PRIu64 " by interrupting a guest\n",
		c[NC_TLB_SHOOTDOWN], c[NC_TLB_KICK]);
	fprintf(out, "  capacity misses %" PRIu64 "\n", c[NC_TLB_CAPACITY]);
}

static int more_first(const void *a, const void *b, void *counts)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;
	const uint64_t *count = counts;

	if (count[x] != count[y])
		return count[x] < count[y] ? 1 : -1;
	return x < y ? -1 : 1;
}

static void put_syscalls(const struct report *r, FILE *out)
{
	struct kernel_shared *shared = r->m->shared;
	unsigned int order[NATIVE_MAX_SYSCALL], n = 0;

	for (unsigned int nr = 0; nr < NATIVE_MAX_SYSCALL; nr++)
		if (shared->syscall_count[nr])
			order[n++] = nr;
	qsort_r(order, n, sizeof(order[0]), more_first, shared->syscall_count);
	fprintf(out,
		"\nSystem calls     %" PRIu64 ", of these %" PRIu64 " unknown ones; %" PRIu64
		" by jumps from %" PRIu64 " pages of text\n",
		r->counter[NC_SYSCALLS], shared->unknown_syscalls, r->counter[NC_FASTCALLS],
		r->counter[NC_CALL_PAGES]);
	for (unsigned int i = 0; i < n && i < SHOWN_SYSCALLS; i++) {
		const char *name = syscall_name(order[i]);
		char number[16];

		snprintf(number, sizeof(number), "number %u", order[i]);
		fprintf(out, "%s  %-18.18s %9" PRIu64, i && i % 3 == 0 ? "\n" : "",
			name ? name : number, shared->syscall_count[order[i]]);
	}
	putc('\n', out);
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void put_memory(const struct report *r, FILE *out)
{
	const struct machine_snapshot *s = &r->m->at_end;
	char a[16], b[16];

	fprintf(out, "\nMemory when the last guest had ended, in bytes\n");
	fprintf(out, "  free            %s of %s\n", size_text(s->free_pages * PAGE_BYTES, a),
		size_text(s->total_pages * PAGE_BYTES, b));
	fprintf(out, "  page cache      %s\n", size_text(s->file_pages * PAGE_BYTES, a));
	fprintf(out, "  slab            %s\n", size_text(s->slab_pages * PAGE_BYTES, a));
	fprintf(out, "  page tables     %s\n", size_text(s->pgtable_pages * PAGE_BYTES, a));
	fprintf(out, "  kernel stacks   %s\n", size_text(s->kernel_stack_kb * 1024, a));
	fprintf(out, "  reclaimed       %s by those who ran out of it, ",
		size_text(s->vm_event[PGSTEAL_DIRECT] * PAGE_BYTES, a));
	fprintf(out, "%s in the background\n",
		size_text(s->vm_event[PGSTEAL_KSWAPD] * PAGE_BYTES, a));
	if (s->swap_pages)
		fprintf(out, "  swap            %s, %s of it in use at most\n",
			size_text(s->swap_pages * PAGE_BYTES, a),
			size_text(s->swap_peak_pages * PAGE_BYTES, b));
	if (s->vm_event[PSWPIN] || s->vm_event[PSWPOUT])
		fprintf(out, "  swapped         %s out, %s in\n",
			size_text(s->vm_event[PSWPOUT] * PAGE_BYTES, a),
			size_text(s->vm_event[PSWPIN] * PAGE_BYTES, b));
	if (s->vm_event[OOM_KILL])
		fprintf(out,
			"  killed          %" PRIu64
			" processes, when nothing was left to reclaim\n",
			s->vm_event[OOM_KILL]);
	fprintf(out, "  %-20s", "free blocks of");
	put_orders(out);
	for (unsigned int z = 0; z < 3 && s->zone_name[z]; z++)
		put_folio_row("zone", s->zone_name[z], s->zone_free[z], out);
}

void report_text(const struct report *r, FILE *out)
{
	const struct machine *m = r->m;

	put_machine(r, out);
	put_program(r, out);
	put_lives(r, out);
	put_faults(r, out);
	put_folios(r, out);
	put_tlb(r, out);
	put_syscalls(r, out);
	put_memory(r, out);
	if (m->leaked)
		fprintf(out,
			"\nError: leaked %" PRIu64 " frames, %" PRIu64 " objects and %" PRIu64
			" slots of swap:%s\n",
			m->leak.frames, m->leak.objects, m->leak.swap_slots, m->leak.text);
}
