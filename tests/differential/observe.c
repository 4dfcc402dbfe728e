/* SPDX-License-Identifier: MIT */
/*
 * observe.c - steps that look: contents of the windows, /proc/self/maps, and
 * (with --rss) smaps and mincore of anonymous memory.
 *
 * Whether two neighbours that could be one VMA are one depends on the history of
 * their anon_vma, which is no promise of Linux: unless --vma raw is given, lines
 * that continue each other are joined before they are printed.
 */
#include "difftest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct area {
	uintptr_t start;
	uintptr_t end;
	uint64_t offset;
	char perms[8];
	char name[40];
	bool file;
};

static char text[1 << 20];

static size_t slurp(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		die(path);
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(fd);
	text[len] = 0;
	return len;
}

static bool parse_area(const char *line, struct area *a)
{
	unsigned long ino;
	int at = 0;
	const char *base, *end = strchrnul(line, '\n');

	if (sscanf(line, "%lx-%lx %7s %lx %*x:%*x %lu%n", &a->start, &a->end, a->perms, &a->offset,
		   &ino, &at) < 5)
		return false;
	while (line[at] == ' ')
		at++;
	base = line + at;
	for (const char *p = base; p < end; p++)
		if (*p == '/')
			base = p + 1;
	snprintf(a->name, sizeof(a->name), "%.*s", (int)(end - base), base);
	/* A private mapping of /dev/zero is anonymous memory: its offset is its address. */
	a->file = ino != 0 && !(a->perms[3] == 'p' && !strcmp(a->name, "zero"));
	a->file |= !strncmp(a->name, "SYSV", 4); /* whose number may be 0 */
	return true;
}

/* The area that addr lies in. */
static bool find_area(uintptr_t addr, struct area *a)
{
	slurp("/proc/self/maps");
	for (char *line = text; *line; line = strchrnul(line, '\n') + 1) {
		if (parse_area(line, a) && addr >= a->start && addr < a->end)
			return true;
		if (!*strchrnul(line, '\n'))
			break;
	}
	return false;
}

bool is_private_anon(uintptr_t addr)
{
	struct area a;

	return find_area(addr, &a) && a.perms[3] == 'p' && !a.file;
}

bool is_segment(uintptr_t addr)
{
	struct area a;

	return find_area(addr, &a) && !strncmp(a.name, "SYSV", 4);
}

static bool clip(struct area *a, const struct window *w)
{
	if (a->end <= w->start || a->start >= w->end)
		return false;
	if (a->start < w->start) {
		if (a->file)
			a->offset += w->start - a->start;
		a->start = w->start;
	}
	if (a->end > w->end)
		a->end = w->end;
	return true;
}

static bool continues(const struct area *a, const struct area *b)
{
	return !opt.vma_raw && a->end == b->start && !strcmp(a->perms, b->perms) &&
	       !strcmp(a->name, b->name) && a->file == b->file &&
	       (!a->file || a->offset + (a->end - a->start) == b->offset);
}

static void say_area(const struct area *a)
{
	say("\n  %s +%lu %s", pa(a->start), (a->end - a->start) / PAGE, a->perms);
	if (a->file)
		say(" @%lu", a->offset / PAGE);
	if (*a->name)
		say(" %s", a->name);
}

void say_maps(struct ctx *c)
{
	(void)c;
	if (opt.vma_none)
		return;
	slurp("/proc/self/maps");
	for (int w = 0; w < NR_WIN; w++) {
		struct area held, a;
		bool have = false;

		for (char *line = text; *line; line = strchrnul(line, '\n') + 1) {
			if (parse_area(line, &a) && clip(&a, &win[w])) {
				if (have && continues(&held, &a)) {
					held.end = a.end;
				} else {
					if (have)
						say_area(&held);
					held = a;
					have = true;
				}
			}
			if (!*strchrnul(line, '\n'))
				break;
		}
		if (have)
			say_area(&held);
	}
}

static char kind_of(uintptr_t page, uint64_t *hash)
{
	struct fault f;
	uint64_t h = 0;
	bool zero = false;

	if (!safe_hash(page, PAGE, &h, &zero, &f)) {
		if (f.addr - page >= PAGE)
			return '?';
		return f.signo == SIGBUS ? 'b' : f.code == 1 ? 's' : f.code == 2 ? 'a' : '?';
	}
	if (zero)
		return '0';
	*hash = (*hash ^ h) * 0x100000001b3UL;
	return 'd';
}

/* Runs of pages by kind: data, zero, SIGSEGV for no map or access, SIGBUS. */
void say_contents(struct ctx *c, uintptr_t start, uintptr_t end)
{
	uint64_t hash = 0xcbf29ce484222325UL;
	char run = 0;
	unsigned long n = 0;

	(void)c;
	say("%s +%lu:", pa(start), (end - start) / PAGE);
	for (uintptr_t p = start; p < end; p += PAGE, n++) {
		char k = kind_of(p, &hash);

		if (k != run) {
			if (n)
				say(" %c%lu", run, n);
			run = k;
			n = 0;
		}
	}
	say(" %c%lu hash %016lx", run, n, hash);
}

static void op_maps(struct ctx *c)
{
	say_maps(c);
}

static void op_contents(struct ctx *c)
{
	const struct window *w = &win[one_in(&c->rng, 8)   ? WIN_B
				      : one_in(&c->rng, 4) ? WIN_T
							   : WIN_A];
	unsigned long pages = (w->end - w->start) / PAGE;
	unsigned long from = w == &win[WIN_T] ? pages - 96 : 0;

	if (one_in(&c->rng, 8))
		say_contents(c, w->start, w->end);
	else
		say_contents(c, w->start + from * PAGE, w->start + (from + 96) * PAGE);
}

/*
 * Memory in use. Shared and file pages are mapped around a fault as the kernel
 * likes, so that only anonymous pages are compared: all figures of anonymous
 * VMAs, and the private copies within file VMAs.
 */
static const char *const anon_keys[] = {
	"Rss:", "Pss:", "Private_Dirty:", "Shared_Dirty:", "Anonymous:", "Swap:",
};
#define NR_KEYS (sizeof(anon_keys) / sizeof(anon_keys[0]))

static void op_rss(struct ctx *c)
{
	unsigned long anon[NR_KEYS] = { 0 }, copies = 0;
	struct area a = { 0 };
	bool in = false;

	(void)c;
	slurp("/proc/self/smaps");
	for (char *line = text; *line; line = strchrnul(line, '\n') + 1) {
		struct area b;

		if (parse_area(line, &b)) {
			a = b;
			in = false;
			for (int w = 0; w < NR_WIN; w++)
				in |= a.start >= win[w].start && a.end <= win[w].end;
		} else if (in) {
			for (size_t k = 0; k < NR_KEYS; k++) {
				size_t len = strlen(anon_keys[k]);

				if (strncmp(line, anon_keys[k], len))
					continue;
				if (!a.file)
					anon[k] += strtoul(line + len, NULL, 10);
				else if (!strcmp(anon_keys[k], "Anonymous:"))
					copies += strtoul(line + len, NULL, 10);
			}
		}
		if (!*strchrnul(line, '\n'))
			break;
	}
	for (size_t k = 0; k < NR_KEYS; k++)
		say("%s%lu ", anon_keys[k], anon[k]);
	say("copies:%lu", copies);
}

/* Residency of private anonymous areas, as runs of resident and absent pages. */
static void op_mincore(struct ctx *c)
{
	(void)c;
	slurp("/proc/self/maps");
	for (char *line = text; *line; line = strchrnul(line, '\n') + 1) {
		static unsigned char vec[WIN_PAGES];
		struct area a;

		for (int w = 0; w < NR_WIN; w++) {
			unsigned long pages, run = 0;

			if (!parse_area(line, &a) || a.file || !clip(&a, &win[w]))
				continue;
			pages = (a.end - a.start) / PAGE;
			if (mincore((void *)a.start, a.end - a.start, vec) < 0) {
				say(" %s", strerrorname_np(errno));
				continue;
			}
			say(" %s:", pa(a.start));
			for (unsigned long i = 0; i <= pages; i++) {
				if (i && (i == pages || (vec[i] ^ vec[i - 1]) & 1)) {
					say("%c%lu", vec[i - 1] & 1 ? '+' : '-', i - run);
					run = i;
				}
			}
		}
		if (!*strchrnul(line, '\n'))
			break;
	}
}

static void op_mincore_errors(struct ctx *c)
{
	static unsigned char vec[64];
	uintptr_t p = pick_addr(&c->rng);
	size_t len = below(&c->rng, 64 * PAGE);
	long r = mincore((void *)p, len, one_in(&c->rng, 8) ? (void *)8 : vec);

	say("%s %#lx = %s", pa(p), len, res(r));
}

const struct op look_ops[] = {
	{ "maps", 30, OP_PLAIN, op_maps },
	{ "contents", 60, OP_PLAIN, op_contents },
	{ "rss", 60, OP_PLAIN | OP_RSS, op_rss },
	{ "mincore", 40, OP_PLAIN | OP_RSS, op_mincore },
	{ "mincore-errors", 5, OP_PLAIN | OP_EXTRA, op_mincore_errors },
	{ 0 },
};
