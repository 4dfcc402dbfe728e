/* SPDX-License-Identifier: MIT */
/*
 * references.c - which pages a program uses, interval by interval: quire run --references.
 *
 * Each interval begins with all translations forgotten, so the first touch of each page in it is a fault,
 * and the machine's trace has them in order. docs/references.md describes the file.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <quire/trace.h>

#include "cli.h"

#define PAGE_BITS 12
#define INTERVAL_NS 100000000ull

/* A page of a process's image, and its number in the file. */
struct known_page {
	uint64_t page;
	uint32_t pid, image; /* pid 0: free */
	uint32_t number;
};

/* How many images a process has had, by pid; with exec its pages are others. */
struct image {
	uint32_t pid, count;
};

struct reference_writer {
	FILE *file;
	int error; /* errno of the first thing that failed */
	uint64_t origin_ns, interval, references;
	struct known_page *known; /* open addressing, size a power of two */
	size_t size, used;
	struct image *images;
	size_t nr_images;
};

static struct image *image_of(struct reference_writer *w, uint32_t pid)
{
	struct image *images;

	for (size_t i = w->nr_images; i-- > 0;)
		if (w->images[i].pid == pid)
			return &w->images[i];
	images = reallocarray(w->images, w->nr_images + 1, sizeof(*images));
	if (!images) {
		w->error = ENOMEM;
		return NULL;
	}
	w->images = images;
	images[w->nr_images] = (struct image){ pid, 0 };
	return &images[w->nr_images++];
}

static size_t slot_of(const struct reference_writer *w, const struct known_page *p)
{
	uint64_t h = (p->page ^ (uint64_t)p->pid << 36 ^ (uint64_t)p->image << 52) *
		     0x9e3779b97f4a7c15ull;
	size_t i = (size_t)(h >> 32) & (w->size - 1);

	while (w->known[i].pid && (w->known[i].page != p->page || w->known[i].pid != p->pid ||
				   w->known[i].image != p->image))
		i = (i + 1) & (w->size - 1);
	return i;
}

static void grow(struct reference_writer *w)
{
	struct known_page *old = w->known;
	size_t old_size = w->size;

	w->size = old_size ? old_size * 2 : 4096;
	w->known = calloc(w->size, sizeof(*w->known));
	if (!w->known) {
		w->error = ENOMEM;
		w->known = old;
		w->size = old_size;
		return;
	}
	for (size_t i = 0; i < old_size; i++)
		if (old[i].pid)
			w->known[slot_of(w, &old[i])] = old[i];
	free(old);
}

static void put_reference(struct reference_writer *w, const struct native_trace_record *r)
{
	uint64_t interval = (r->time_ns - w->origin_ns) / INTERVAL_NS;
	struct image *image = image_of(w, (uint32_t)r->pid);
	struct known_page p = { .page = r->addr >> PAGE_BITS, .pid = (uint32_t)r->pid };
	size_t i;

	if (w->used * 2 >= w->size)
		grow(w);
	if (w->error)
		return;
	p.image = image->count;
	i = slot_of(w, &p);
	if (!w->known[i].pid) {
		p.number = (uint32_t)w->used++;
		w->known[i] = p;
	}
	if (interval > w->interval && r->time_ns > w->origin_ns) {
		fprintf(w->file, "@%llu\n", (unsigned long long)interval);
		w->interval = interval;
	}
	fprintf(w->file, "%u\n", w->known[i].number);
	w->references++;
}

static void put_record(void *arg, const struct native_trace_record *r)
{
	struct reference_writer *w = arg;
	struct image *image;

	if (w->error)
		return;
	if (r->type == TRACE_EXEC || r->type == TRACE_EXIT) {
		image = image_of(w, (uint32_t)r->pid);
		if (image)
			image->count++;
	} else if (r->type == TRACE_FAULT && r->arg != TRACE_FAULT_ERROR) {
		put_reference(w, r);
	}
}

void *references_pace(void *machine)
{
	static const struct timespec interval = { 0, INTERVAL_NS };
	const struct machine *m = machine;

	while (!__atomic_load_n(&m->shared->keeper_stop, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&m->shared->panicked, __ATOMIC_SEQ_CST)) {
		nanosleep(&interval, NULL);
		m->entry->forget(NULL);
	}
	return NULL;
}

int references_drain(struct kernel_shared *shared, const char *path, uint64_t start_ns)
{
	struct reference_writer w = { .origin_ns = start_ns };

	w.file = fopen(path, "we");
	if (!w.file)
		w.error = errno;
	else
		fprintf(w.file, "quire-references 1\ninterval_ms %llu\n", INTERVAL_NS / 1000000);
	ring_drain(shared, put_record, &w);
	if (w.file) {
		fprintf(w.file, "end pages %zu references %llu\n", w.used,
			(unsigned long long)w.references);
		errno = 0;
		if ((ferror(w.file) | fclose(w.file)) && !w.error)
			w.error = errno ? errno : EIO;
	}
	free(w.known);
	free(w.images);
	return w.error;
}
