/* SPDX-License-Identifier: MIT */
/*
 * replay.c - quire replay: how good page replacement is. A file of references is repeated on the soft
 * machine, with anonymous memory that has to be swapped, and by textbook policies with as many frames.
 *
 * Quire is asked as it is when a program needs memory: by direct reclaim, without read-ahead. The number
 * of frames is the most that the program had at a time.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <quire/gfp.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

#include "../machine/soft/soft.h"
#include "cli.h"
#include "paging.h"

#define REGION 0x200000000000ul
#define RAM_SPARE (24ull << 20) /* for the core itself */
#define MAX_PAGES (1u << 24)

/* Frames, as parts of all pages, in percent. */
static const unsigned int parts[] = { 20, 35, 50, 65, 80 };

/* ---- The file ------------------------------------------------------------------------------- */

static void bad_line(const char *path, size_t line, const char *why)
{
	die(EXIT_QUIRE, "%s: line %zu: %s", path, line, why);
}

static void add_reference(struct reference_string *s, size_t *room, uint32_t page)
{
	if (s->nr == *room) {
		*room = *room ? *room * 2 : 65536;
		s->page = reallocarray(s->page, *room, sizeof(*s->page));
		if (!s->page)
			die(EXIT_QUIRE, "no memory for %zu references", *room);
	}
	s->page[s->nr++] = page;
	if (page >= s->nr_pages)
		s->nr_pages = page + 1;
}

static void read_references(const char *path, struct reference_string *s)
{
	FILE *file = fopen(path, "re");
	bool complete = false;
	char text[128], *end;
	size_t room = 0, line = 0;

	if (!file)
		die(EXIT_QUIRE, "%s: %s", path, strerror(errno));
	while (fgets(text, sizeof(text), file)) {
		unsigned long page;

		line++;
		if (line == 1 && strcmp(text, "quire-references 1\n") != 0)
			die(EXIT_QUIRE, "%s is not a file of quire run --references", path);
		complete = !strncmp(text, "end ", 4);
		if (!isdigit((unsigned char)*text))
			continue; /* head lines, and where intervals begin */
		page = strtoul(text, &end, 10);
		if (*end != '\n' || page >= MAX_PAGES)
			bad_line(path, line, "not the number of a page");
		if (page > s->nr_pages)
			bad_line(path, line, "pages are numbered in the order of their first use");
		add_reference(s, &room, (uint32_t)page);
	}
	if (ferror(file))
		die(EXIT_QUIRE, "%s: %s", path, strerror(errno));
	if (!complete)
		complain("%s is not complete: it has no end line", path);
	if (!s->nr)
		die(EXIT_QUIRE, "%s has no references", path);
	fclose(file);
}

/* ---- Quire, on the soft machine -------------------------------------------------------------- */

/* As mkswap leaves the first page. */
static uint64_t make_swap(uint32_t slots)
{
	uint64_t bytes = (slots + 1ull) * PAGE_SIZE, dev = soft_blk_create(bytes);
	const uint32_t version = 1;
	unsigned char *head = dev ? soft_blk_data(dev) : NULL;

	if (!head)
		die(EXIT_QUIRE, "no memory for swap space of %llu bytes",
		    (unsigned long long)bytes);
	memcpy(head + 1024, &version, sizeof(version));
	memcpy(head + 1028, &slots, sizeof(slots));
	memcpy(head + PAGE_SIZE - 10, "SWAPSPACE2", 10);
	if (do_swapon(dev, bytes, "replay", 0))
		die(EXIT_QUIRE, "swap space of %u pages cannot be used", slots);
	return dev;
}

/* Takes frames away until so many are left for the program. */
static void shrink_ram(uint32_t frames)
{
	unsigned long high = 0;

	for (int i = 0; i < MAX_NR_ZONES; i++)
		high += contig_page_data.node_zones[i].watermark[WMARK_HIGH];
	while (nr_free_pages() > frames + high)
		if (!alloc_page(GFP_NOWAIT))
			break;
}

static struct mm_struct *make_program(uint32_t nr_pages)
{
	const unsigned long len = (unsigned long)nr_pages * PAGE_SIZE;
	struct mm_struct *mm = mm_alloc();
	long at = mm ? (long)do_mmap(mm, NULL, REGION, len, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, 0,
				     NULL)
		     : -1;

	if (at < 0 || do_madvise(mm, REGION, len, MADV_RANDOM))
		die(EXIT_QUIRE, "no address space of %u pages", nr_pages);
	return mm;
}

/* The first use of a page writes its number, and all others find it. */
static void use_page(struct mm_struct *mm, uint32_t page, uint32_t *used)
{
	unsigned long addr = REGION + (unsigned long)page * PAGE_SIZE;
	uint64_t value = page;
	struct soft_signal sig;

	if (page == *used) {
		sig = soft_store(mm, addr, &value, sizeof(value));
		++*used;
	} else {
		sig = soft_load(mm, addr, &value, sizeof(value));
	}
	if (sig.signo)
		die(EXIT_QUIRE, "page %u: signal %d: the machine has too little memory", page,
		    sig.signo);
	if (value != page)
		die(EXIT_QUIRE, "page %u came back as page %llu", page, (unsigned long long)value);
}

struct replay_result {
	uint32_t frames; /* most that the program had */
	uint64_t swapped_in;
};

static struct replay_result replay_quire(const struct reference_string *s, uint32_t frames)
{
	struct replay_result r = { 0 };
	struct mm_struct *mm;
	uint32_t used = 0;

	anon_fault_max_order = 0;
	fault_around_order = 0;
	if (soft_init(((uint64_t)frames * PAGE_SIZE + RAM_SPARE + PAGE_SIZE - 1) & PAGE_MASK, 1))
		die(EXIT_QUIRE, "no machine with %u frames", frames);
	make_swap(s->nr_pages + 64);
	mm = make_program(s->nr_pages);
	shrink_ram(frames);
	for (size_t i = 0; i < s->nr; i++) {
		use_page(mm, s->page[i], &used);
		if (get_mm_counter(mm, MM_ANONPAGES) > r.frames)
			r.frames = (uint32_t)get_mm_counter(mm, MM_ANONPAGES);
	}
	r.swapped_in = all_vm_events(PSWPIN);
	mmput(mm);
	soft_exit();
	return r;
}

/* ---- The command ------------------------------------------------------------------------------ */

static const char help[] = "usage: quire replay FILE\n"
			   "\n"
			   "Repeats the references in FILE, which quire run --references wrote, "
			   "with five sizes of memory,\n"
			   "and prints how many pages have to be brought in again: by Quire's page "
			   "replacement on the\n"
			   "simulated machine, by LRU and CLOCK, and at least (OPT), each with the "
			   "same number of frames.\n";

static void print_row(const struct reference_string *s, unsigned int percent)
{
	uint32_t frames = (uint32_t)((uint64_t)s->nr_pages * percent / 100);
	struct replay_result r = replay_quire(s, frames ? frames : 1);
	uint64_t opt = paging_opt(s, r.frames), lru = paging_lru(s, r.frames),
		 clock = paging_clock(s, r.frames);

	if (opt == UINT64_MAX || lru == UINT64_MAX || clock == UINT64_MAX)
		die(EXIT_QUIRE, "no memory to compare %zu references", s->nr);
	printf("%7u %5.0f%% %10llu %10llu %10llu %10llu\n", r.frames,
	       100.0 * r.frames / s->nr_pages, (unsigned long long)opt, (unsigned long long)lru,
	       (unsigned long long)clock, (unsigned long long)r.swapped_in);
}

int replay_main(int argc, char **argv)
{
	struct reference_string s = { 0 };

	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(help, stdout);
		return fflush(stdout) || ferror(stdout) ? EXIT_QUIRE : 0;
	}
	if (argc != 2)
		die(EXIT_QUIRE,
		    "quire replay takes the name of one file; try 'quire replay --help'");
	read_references(argv[1], &s);
	printf("%zu references to %u pages; pages brought in again\n\n", s.nr, s.nr_pages);
	printf("%7s %6s %10s %10s %10s %10s\n", "frames", "", "OPT", "LRU", "CLOCK", "Quire");
	for (unsigned int i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		print_row(&s, parts[i]);
	free(s.page);
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_QUIRE, "standard output: %s", strerror(errno));
	return 0;
}
