/* SPDX-License-Identifier: MIT */
/*
 * tracefile.c - the machine's trace ring into a file of Chrome's trace format, which Perfetto reads
 * too. docs/trace.md describes the result.
 *
 * One JSON object for each kind of event is made at the start; an event sets the values that
 * change and prints it.
 */
#include <errno.h>
#include <jansson.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <quire/trace.h>

#include "cli.h"

#define FILE_BUFFER (1u << 20)
#define MAX_KIND (TRACE_TYPE_END + TRACE_FAULT_ERROR)

/* A JSON object, and those of its values that differ from event to event. */
struct event_form {
	json_t *event, *ts, *dur, *pid, *tid, *cpu, *addr, *arg;
};

/* The last name that was written for a process or thread. */
struct name_entry {
	uint32_t id; /* 0: free */
	char comm[16];
};

struct trace_writer {
	FILE *file;
	int error; /* errno of the first write that failed */
	bool any;
	uint64_t origin_ns, lost;
	struct event_form form[MAX_KIND + 1];
	struct name_entry *names; /* open addressing, size a power of two */
	size_t names_size, names_used;
};

/* ---- The file ---------------------------------------------------------------------------- */

static void put_text(struct trace_writer *w, const char *text, size_t len)
{
	if (!w->error && fwrite(text, 1, len, w->file) != len)
		w->error = errno;
}

static void put_object(struct trace_writer *w, const json_t *object)
{
	char text[1024];
	size_t len = json_dumpb(object, text, sizeof(text), JSON_COMPACT | JSON_REAL_PRECISION(15));

	put_text(w, ",\n", w->any ? 2 : 0);
	put_text(w, text, len);
	w->any = true;
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void open_file(struct trace_writer *w, const char *path)
{
	static const char begin[] = "{\"traceEvents\":[\n";

	w->origin_ns = clock_ns();
	w->file = fopen(path, "we");
	if (!w->file) {
		w->error = errno;
		return;
	}
	setvbuf(w->file, NULL, _IOFBF, FILE_BUFFER);
	put_text(w, begin, sizeof(begin) - 1);
}

static void close_file(struct trace_writer *w)
{
	char end[160];
	int len = snprintf(end, sizeof(end),
			   "\n],\"displayTimeUnit\":\"ns\",\"otherData\":{\"lost_events\":%llu,"
			   "\"origin_monotonic_ns\":%llu}}\n",
			   (unsigned long long)w->lost, (unsigned long long)w->origin_ns);

	put_text(w, end, (size_t)len);
	if (w->file && fclose(w->file) && !w->error)
		w->error = errno;
}

/* ---- Forms of events --------------------------------------------------------------------- */

static const struct {
	const char *name, *category, *arg; /* arg NULL: none */
	bool instant, addr;
} types[] = {
	[TRACE_FAULT] = { NULL, "fault", NULL, false, true },
	[TRACE_MMAP] = { "mmap", "map", "length", false, true },
	[TRACE_MUNMAP] = { "munmap", "unmap", "length", false, true },
	[TRACE_MPROTECT] = { "mprotect", "map", "length", false, true },
	[TRACE_MREMAP] = { "mremap", "map", "length", false, true },
	[TRACE_BRK] = { "brk", "map", NULL, false, true },
	[TRACE_MADVISE] = { "madvise", "map", "advice", false, true },
	[TRACE_FORK] = { "fork", "process", "child", false, false },
	[TRACE_EXEC] = { "exec", "process", NULL, false, true },
	[TRACE_EXIT] = { "exit", "process", "wait_status", true, false },
	[TRACE_RECLAIM] = { "reclaim", "reclaim", "pages", false, false },
	[TRACE_SWAPOUT] = { "swap out", "swap", "pages", false, true },
	[TRACE_SWAPIN] = { "swap in", "swap", "pages", false, true },
};

static const char *const fault_names[] = {
	[TRACE_FAULT_SPURIOUS] = "fault: TLB miss", [TRACE_FAULT_ZERO] = "fault: zero page",
	[TRACE_FAULT_ANON] = "fault: anonymous",    [TRACE_FAULT_COW] = "fault: copy on write",
	[TRACE_FAULT_REUSE] = "fault: reuse",	    [TRACE_FAULT_FILE] = "fault: file",
	[TRACE_FAULT_SWAP] = "fault: swap",	    [TRACE_FAULT_ERROR] = "fault: error",
};

/* Where the form of a type lies; faults have one for each kind. */
static unsigned int form_index(unsigned int type, uint64_t arg)
{
	if (type == TRACE_FAULT)
		return TRACE_TYPE_END +
		       (unsigned int)(arg <= TRACE_FAULT_ERROR ? arg : TRACE_FAULT_ERROR);
	return type;
}

static json_t *add_value(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value);
	return value;
}

static void make_form(struct trace_writer *w, unsigned int type, uint64_t fault)
{
	struct event_form *f = &w->form[form_index(type, fault)];
	const char *name = type == TRACE_FAULT ? fault_names[fault] : types[type].name;
	json_t *args = json_object();

	f->event = json_pack("{s:s, s:s, s:s}", "name", name, "cat", types[type].category, "ph",
			     types[type].instant ? "i" : "X");
	f->ts = add_value(f->event, "ts", json_real(0));
	if (types[type].instant)
		add_value(f->event, "s", json_string("t"));
	else
		f->dur = add_value(f->event, "dur", json_real(0));
	f->pid = add_value(f->event, "pid", json_integer(0));
	f->tid = add_value(f->event, "tid", json_integer(0));
	f->cpu = add_value(args, "cpu", json_integer(0));
	if (types[type].addr)
		f->addr = add_value(args, "addr", json_string(""));
	if (types[type].arg)
		f->arg = add_value(args, types[type].arg, json_integer(0));
	json_object_set_new(f->event, "args", args);
}

static void make_forms(struct trace_writer *w)
{
	for (unsigned int fault = 0; fault <= TRACE_FAULT_ERROR; fault++)
		make_form(w, TRACE_FAULT, fault);
	for (unsigned int type = TRACE_FAULT + 1; type < TRACE_TYPE_END; type++)
		make_form(w, type, 0);
}

/* ---- Names of processes and threads ------------------------------------------------------ */

static struct name_entry *name_slot(struct name_entry *names, size_t size, uint32_t id)
{
	size_t i = id * 2654435761u & (size - 1);

	while (names[i].id && names[i].id != id)
		i = (i + 1) & (size - 1);
	return &names[i];
}

static void names_grow(struct trace_writer *w)
{
	size_t size = w->names_size ? w->names_size * 2 : 1024;
	struct name_entry *names = calloc(size, sizeof(*names));

	if (!names)
		abort();
	for (size_t i = 0; i < w->names_size; i++)
		if (w->names[i].id)
			*name_slot(names, size, w->names[i].id) = w->names[i];
	free(w->names);
	w->names = names;
	w->names_size = size;
}

static void put_name(struct trace_writer *w, const char *what, const struct native_trace_record *r)
{
	size_t len = strnlen(r->comm, sizeof(r->comm));
	char name[sizeof(r->comm) + 1];
	json_t *object;

	/* Not always UTF-8. */
	for (size_t i = 0; i < len; i++)
		name[i] = r->comm[i] & 0x80 ? '?' : r->comm[i];
	name[len] = 0;
	object = json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "name", what, "ph", "M", "pid",
			   (json_int_t)r->pid, "tid", (json_int_t)r->tid, "args", "name", name);
	put_object(w, object);
	json_decref(object);
}

/* The viewer is told a name when it is new, and again when exec or prctl has changed it. */
static void check_name(struct trace_writer *w, const struct native_trace_record *r)
{
	struct name_entry *known;

	if (w->names_used * 2 >= w->names_size)
		names_grow(w);
	known = name_slot(w->names, w->names_size, r->tid);
	if (known->id && !memcmp(known->comm, r->comm, sizeof(known->comm)))
		return;
	w->names_used += !known->id;
	known->id = r->tid;
	memcpy(known->comm, r->comm, sizeof(known->comm));
	if (r->tid == r->pid)
		put_name(w, "process_name", r);
	put_name(w, "thread_name", r);
}

/* ---- Events ------------------------------------------------------------------------------ */

static void put_event(void *arg, const struct native_trace_record *r)
{
	struct trace_writer *w = arg;
	char addr[24];
	struct event_form *f;

	if (w->error || r->type < TRACE_FAULT || r->type >= TRACE_TYPE_END)
		return;
	check_name(w, r);
	f = &w->form[form_index(r->type, r->arg)];
	json_real_set(f->ts, (double)(int64_t)(r->time_ns - w->origin_ns) / 1000);
	if (f->dur)
		json_real_set(f->dur, (double)r->dur_ns / 1000);
	json_integer_set(f->pid, r->pid);
	json_integer_set(f->tid, r->tid);
	json_integer_set(f->cpu, r->cpu);
	if (f->addr) {
		int len = snprintf(addr, sizeof(addr), "0x%llx", (unsigned long long)r->addr);

		json_string_setn_nocheck(f->addr, addr, (size_t)len);
	}
	if (f->arg)
		json_integer_set(f->arg, (json_int_t)r->arg);
	put_object(w, f->event);
}

int trace_drain(struct kernel_shared *shared, const char *path)
{
	struct trace_writer w = { 0 };

	open_file(&w, path);
	make_forms(&w);
	w.lost = ring_drain(shared, put_event, &w);
	close_file(&w);
	for (unsigned int i = 0; i <= MAX_KIND; i++)
		json_decref(w.form[i].event);
	free(w.names);
	return w.error;
}
