/* SPDX-License-Identifier: MIT */
/* report_json.c - the report for programs. Every key is described in docs/report.md. */
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>

#include "report.h"

#define REPORT_FORMAT 1 /* rises when a key changes its meaning or goes away */

/* Names are bytes to Linux and characters to JSON: what is not UTF-8 becomes '?'. */
static json_t *text_json(const char *text, size_t max)
{
	size_t len = strnlen(text, max);
	json_t *value = json_stringn(text, len);
	char ascii[256];

	if (value)
		return value;
	if (len > sizeof(ascii))
		len = sizeof(ascii);
	for (size_t i = 0; i < len; i++)
		ascii[i] = text[i] & 0x80 ? '?' : text[i];
	return json_stringn(ascii, len);
}

static json_t *count_json(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void put(json_t *object, const char *key, uint64_t n)
{
	json_object_set_new(object, key, count_json(n));
}

/* exit_status and signal: one of them null; both if the host's kernel ended it unseen. */
static void put_end(json_t *object, int status)
{
	bool known = status != -1, killed = known && WIFSIGNALED(status);

	json_object_set_new(object, "exit_status",
			    known && !killed ? json_integer(WEXITSTATUS(status)) : json_null());
	json_object_set_new(object, "signal",
			    killed ? json_integer(WTERMSIG(status)) : json_null());
}

static json_t *orders_json(const uint64_t *by_order)
{
	json_t *list = json_array();

	for (unsigned int o = 0; o < PROC_RECORD_ORDERS; o++)
		json_array_append_new(list, count_json(by_order[o]));
	return list;
}

static json_t *machine_json(const struct report *r)
{
	const struct machine *m = r->m;

	return json_pack("{s:I, s:i, s:s, s:s, s:s, s:I}", "ram_bytes", (json_int_t)m->opt->ram,
			 "cpus", (int)m->opt->cpus, "fill", m->opt->fill_4k ? "4k" : "auto",
			 "ram_object", m->ram_kind, "dispatch", m->dispatch_kind, "boot_ns",
			 (json_int_t)m->shared->boot_ns);
}

static json_t *program_json(const struct report *r)
{
	json_t *program = json_object(), *argv = json_array();

	for (char **arg = r->m->opt->program; *arg; arg++)
		json_array_append_new(argv, text_json(*arg, strlen(*arg)));
	json_object_set_new(program, "argv", argv);
	put_end(program, r->m->status);
	put(program, "exec_errno", (uint64_t)r->m->shared->first_exec_error);
	put(program, "wall_ns", r->wall_ns);
	put(program, "kernel_ns", r->kernel_ns);
	return program;
}

/* What processes and their total have in common. */
static void put_usage(json_t *object, const struct process_record *p)
{
	static const char *const names[NR_MM_EVENTS] = {
		[MM_EV_MINOR] = "minor",    [MM_EV_MAJOR] = "major",	   [MM_EV_ZERO] = "zero",
		[MM_EV_ANON] = "anonymous", [MM_EV_COW] = "copy_on_write", [MM_EV_REUSE] = "reuse",
		[MM_EV_FILE] = "file",	    [MM_EV_SPURIOUS] = "spurious",
	};
	json_t *faults = json_object();

	for (unsigned int e = 0; e < NR_MM_EVENTS; e++)
		put(faults, names[e], p->events[e]);
	put(object, "threads", p->threads);
	put(object, "system_calls", p->nsyscalls);
	json_object_set_new(object, "faults", faults);
	json_object_set_new(object, "rusage",
			    json_pack("{s:I, s:I}", "minor", (json_int_t)p->min_flt, "major",
				      (json_int_t)p->maj_flt));
	json_object_set_new(object, "folios", orders_json(p->folios));
	put(object, "peak_rss_pages", p->peak_rss);
	put(object, "peak_vmas", p->peak_vmas);
	put(object, "peak_page_table_pages", p->peak_pgtables);
}

static json_t *process_json(const struct report *r, const struct process_record *p)
{
	json_t *process = json_pack("{s:i, s:i, s:o}", "pid", p->pid, "parent", p->parent, "name",
				    text_json(p->comm, sizeof(p->comm)));

	put_end(process, p->status);
	put(process, "start_ns", p->start_ns - r->m->start_ns);
	put(process, "wall_ns", p->end_ns > p->start_ns ? p->end_ns - p->start_ns : 0);
	put_usage(process, p);
	return process;
}

static json_t *processes_json(const struct report *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < r->nr_processes; i++)
		json_array_append_new(list, process_json(r, r->process[i]));
	return list;
}

static json_t *total_json(const struct report *r)
{
	json_t *total = json_object();

	put(total, "processes", (uint64_t)r->nr_processes + r->unrecorded);
	put(total, "unrecorded_processes", r->unrecorded);
	put(total, "forks", r->counter[NC_FORKS]);
	put(total, "execs", r->counter[NC_EXECS]);
	put(total, "new_threads", r->counter[NC_THREADS]);
	put(total, "signals_handled", r->counter[NC_SIGNALS]);
	put_usage(total, &r->total);
	return total;
}

static json_t *tlb_json(const struct report *r)
{
	json_t *tlb = json_object();

	put(tlb, "misses", r->counter[NC_FAULTS]);
	put(tlb, "fills", r->counter[NC_TLB_FILL]);
	put(tlb, "fill_pages", r->counter[NC_TLB_FILL_PAGES]);
	put(tlb, "flushes", r->counter[NC_TLB_FLUSH]);
	put(tlb, "shootdowns", r->counter[NC_TLB_SHOOTDOWN]);
	put(tlb, "kicks", r->counter[NC_TLB_KICK]);
	put(tlb, "capacity_misses", r->counter[NC_TLB_CAPACITY]);
	return tlb;
}

static json_t *syscalls_json(const struct report *r)
{
	const struct kernel_shared *shared = r->m->shared;
	json_t *calls = json_object(), *by_name = json_object();

	for (unsigned int nr = 0; nr < NATIVE_MAX_SYSCALL; nr++) {
		const char *name = syscall_name(nr);
		char number[16];

		snprintf(number, sizeof(number), "%u", nr);
		if (shared->syscall_count[nr])
			put(by_name, name ? name : number, shared->syscall_count[nr]);
	}
	put(calls, "total", r->counter[NC_SYSCALLS]);
	put(calls, "unknown", shared->unknown_syscalls);
	put(calls, "by_jump", r->counter[NC_FASTCALLS]);
	put(calls, "patched_pages", r->counter[NC_CALL_PAGES]);
	json_object_set_new(calls, "by_name", by_name);
	return calls;
}

static json_t *memory_json(const struct report *r)
{
	const struct machine_snapshot *s = &r->m->at_end;
	json_t *memory = json_object(), *zones = json_array(), *events = json_object();

	for (unsigned int z = 0; z < 3 && s->zone_name[z]; z++)
		json_array_append_new(zones,
				      json_pack("{s:s, s:o}", "name", s->zone_name[z],
						"free_blocks", orders_json(s->zone_free[z])));
	for (unsigned int e = 0; e < NR_VM_EVENT_ITEMS; e++)
		put(events, vm_event_names[e], s->vm_event[e]);
	put(memory, "total_pages", s->total_pages);
	put(memory, "free_pages", s->free_pages);
	put(memory, "swap_pages", s->swap_pages);
	put(memory, "swap_peak_pages", s->swap_peak_pages);
	put(memory, "page_cache_pages", s->file_pages);
	put(memory, "slab_pages", s->slab_pages);
	put(memory, "page_table_pages", s->pgtable_pages);
	put(memory, "kernel_stack_bytes", s->kernel_stack_kb * 1024);
	json_object_set_new(memory, "zones", zones);
	put(memory, "failed_allocations", s->failed_allocations);
	put(memory, "failed_transfers", s->failed_transfers);
	json_object_set_new(memory, "vm_events", events);
	return memory;
}

static json_t *leak_json(const struct machine *m)
{
	if (!m->leaked)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:o}", "frames", (json_int_t)m->leak.frames, "objects",
			 (json_int_t)m->leak.objects, "swap_slots", (json_int_t)m->leak.swap_slots,
			 "text", text_json(m->leak.text, sizeof(m->leak.text)));
}

void report_json(const struct report *r, FILE *out)
{
	json_t *report = json_pack("{s:i, s:s}", "format", REPORT_FORMAT, "quire", QUIRE_VERSION);

	json_object_set_new(report, "machine", machine_json(r));
	json_object_set_new(report, "program", program_json(r));
	json_object_set_new(report, "total", total_json(r));
	json_object_set_new(report, "processes", processes_json(r));
	json_object_set_new(report, "tlb", tlb_json(r));
	json_object_set_new(report, "system_calls", syscalls_json(r));
	json_object_set_new(report, "memory", memory_json(r));
	json_object_set_new(report, "leak", leak_json(r->m));
	json_dumpf(report, out, JSON_INDENT(2));
	putc('\n', out);
	json_decref(report);
}
