/* SPDX-License-Identifier: MIT */
/*
 * difftest.c - options, the generator, the transcript and the loop over steps.
 */
#include "difftest.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct options opt = { .seed = 1, .steps = 1000, .dir = ".", .prefix = "" };
struct files files;

static char out[1 << 16];
static size_t out_len;

static unsigned char *only; /* bitmap of top-level steps, or NULL: all */
static unsigned long only_bits;
static char *skip_paths; /* ",12.3,14.1," */
static char *disabled_ops; /* ",fork,brk," */

uint64_t rnd(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15UL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
	return z ^ (z >> 31);
}

unsigned long below(struct rng *r, unsigned long n)
{
	return rnd(r) % n;
}

bool one_in(struct rng *r, unsigned long n)
{
	return below(r, n) == 0;
}

uint64_t hash_bytes(const void *p, size_t n, uint64_t h)
{
	const unsigned char *b = p;

	for (; n; n--)
		h = (h ^ *b++) * 0x100000001b3UL;
	return h;
}

void die(const char *what)
{
	say_flush();
	dprintf(2, "difftest: %s: %s\n", what, strerror(errno));
	_exit(99);
}

void say_flush(void)
{
	size_t done = 0;

	while (done < out_len) {
		ssize_t n = write(1, out + done, out_len - done);

		if (n <= 0)
			_exit(98);
		done += n;
	}
	out_len = 0;
}

void say(const char *fmt, ...)
{
	va_list ap;
	int n;

	if (sizeof(out) - out_len < 1024)
		say_flush();
	va_start(ap, fmt);
	n = vsnprintf(out + out_len, sizeof(out) - out_len, fmt, ap);
	va_end(ap);
	if (n > 0)
		out_len += n;
}

/* An address as a transcript may hold it. Eight results stay valid at once. */
const char *pa(uintptr_t addr)
{
	static char ring[8][32];
	static unsigned int next;
	char *s = ring[next++ % 8];

	if (addr >= A_BASE - (64UL << 20) && addr <= A_BASE + (64UL << 20))
		snprintf(s, 32, "A%+ld", (long)(addr - A_BASE) / (long)PAGE);
	else if (addr <= anchor && addr >= anchor - (256UL << 20))
		snprintf(s, 32, "T-%ld", (long)((anchor - addr + PAGE - 1) / PAGE));
	else if (addr >= win[WIN_B].start && addr <= win[WIN_B].end + (16UL << 20))
		snprintf(s, 32, "B+%lu", (addr - win[WIN_B].start) / PAGE);
	else if (addr < (1UL << 20) || addr >= (1UL << 47) - PAGE)
		snprintf(s, 32, "%#lx", addr);
	else
		snprintf(s, 32, "elsewhere");
	if (addr % PAGE && s[0] != '0')
		snprintf(s + strlen(s), 32 - strlen(s), ":%lx", addr % PAGE);
	return s;
}

/* The result of a raw call: a number or the error's name. */
const char *res(long r)
{
	static char ring[4][32];
	static unsigned int next;
	char *s = ring[next++ % 4];

	if (r != -1)
		snprintf(s, 32, "%ld", r);
	else
		snprintf(s, 32, "%s", strerrorname_np(errno) ?: "E?");
	return s;
}

static bool listed(const char *list, const char *word)
{
	char key[PATH_MAX_LEN + 2];

	snprintf(key, sizeof(key), ",%s,", word);
	return list && strstr(list, key);
}

static const struct op *const tables[] = { map_ops, file_ops, proc_ops, look_ops, rare_ops };

static const struct op *pick_op(struct ctx *c)
{
	unsigned long total = 0, at = 0;

	for (int pass = 0; pass < 2; pass++) {
		if (pass)
			at = below(&c->rng, total);
		for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
			for (const struct op *o = tables[t]; o->name; o++) {
				if (o->class & ~c->allowed)
					continue;
				if (!pass)
					total += o->weight;
				else if (at < o->weight)
					return o;
				else
					at -= o->weight;
			}
	}
	return NULL;
}

void step_line(struct ctx *c, const char *name)
{
	say("%s%s %s ", opt.prefix, c->path, name);
}

/* A switched-off op still uses up its draw, so that the others stay the same. */
void run_step(struct ctx *c)
{
	const struct op *o = pick_op(c);

	if (listed(disabled_ops, o->name))
		return;
	step_line(c, o->name);
	o->run(c);
	if (opt.pageout)
		windows_pageout();
	say("\n");
	say_flush();
}

static void seed_step(struct ctx *c)
{
	c->rng.state = hash_bytes(c->path, strlen(c->path), opt.seed * 0x9e3779b97f4a7c15UL + 1);
	rnd(&c->rng);
}

/* Make the index-th step inside @parent; false when it is to be left out. */
bool sub_step(struct ctx *parent, struct ctx *c, unsigned int index)
{
	snprintf(c->path, sizeof(c->path), "%.40s.%u", parent->path, index);
	c->depth = parent->depth + 1;
	c->allowed = parent->allowed;
	if (c->depth >= MAX_DEPTH)
		c->allowed &= ~OP_PROC;
	seed_step(c);
	return !listed(skip_paths, c->path);
}

static void parse_only(const char *list)
{
	char *buf = NULL;

	if (*list == '@') {
		FILE *f = fopen(list + 1, "r");
		size_t cap = 0;

		if (!f || getdelim(&buf, &cap, '\0', f) < 0)
			die(list);
		fclose(f);
		list = buf;
	}
	only_bits = opt.steps;
	only = calloc(1, only_bits / 8 + 1);
	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long a = strtoul(list, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		for (; a <= b && a < only_bits; a++)
			only[a / 8] |= 1 << a % 8;
		list = *end == ',' ? end + 1 : end;
	}
	free(buf);
}

static char *comma_list(const char *s)
{
	char *p = malloc(strlen(s) + 3);

	sprintf(p, ",%s,", s);
	return p;
}

static void usage(void)
{
	fputs("usage: difftest [--seed N] [--steps N] [--only N-N,N,..|@FILE] [--skip PATH,..]\n"
	      "                [--no OP,..] [--dir DIR] [--rss] [--extra] [--pageout] [--no-free]\n"
	      "                [--vma merged|raw|none]"
	      " [--lie KIND] [--prefix PATH] [--keep] [--ops]\n",
	      stderr);
	exit(2);
}

static void list_ops(void)
{
	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct op *o = tables[t]; o->name; o++)
			printf("%s %u%s\n", o->name, o->weight,
			       o->class & OP_EXTRA ? " extra" : "");
	exit(0);
}

static void parse_options(char **argv)
{
	const char *only_list = NULL;

	for (char **a = argv + 1; *a; a++) {
		if (!strcmp(*a, "--rss"))
			opt.rss = true;
		else if (!strcmp(*a, "--extra"))
			opt.extra = true;
		else if (!strcmp(*a, "--no-free"))
			opt.no_free = true;
		else if (!strcmp(*a, "--pageout"))
			opt.pageout = true;
		else if (!strcmp(*a, "--keep"))
			opt.keep = true;
		else if (!strcmp(*a, "--ops"))
			list_ops();
		else if (!a[1])
			usage();
		else if (!strcmp(*a, "--seed"))
			opt.seed = strtoull(*++a, NULL, 0);
		else if (!strcmp(*a, "--steps"))
			opt.steps = strtoul(*++a, NULL, 0);
		else if (!strcmp(*a, "--only"))
			only_list = *++a;
		else if (!strcmp(*a, "--skip"))
			skip_paths = comma_list(*++a);
		else if (!strcmp(*a, "--no"))
			disabled_ops = comma_list(*++a);
		else if (!strcmp(*a, "--dir"))
			opt.dir = *++a;
		else if (!strcmp(*a, "--prefix"))
			opt.prefix = *++a;
		else if (!strcmp(*a, "--lie"))
			opt.lie = atoi(*++a);
		else if (!strcmp(*a, "--vma") && a[1]) {
			a++;
			opt.vma_raw = !strcmp(*a, "raw");
			opt.vma_none = !strcmp(*a, "none");
		} else
			usage();
	}
	if (only_list)
		parse_only(only_list);
}

static int open_in(const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", opt.dir, name);
	fd = open(path, flags, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

static void files_init(void)
{
	int fresh = opt.keep ? 0 : O_TRUNC;

	files.fd[F_SHARED] = open_in("shared", O_RDWR | O_CREAT | fresh);
	files.fd[F_ODD] = open_in("odd", O_RDWR | O_CREAT | fresh);
	files.fd[F_PLAIN] = open_in("plain", O_RDWR | O_CREAT | fresh);
	files.odd_ro = open_in("odd", O_RDONLY);
	files.wronly = open_in("odd", O_WRONLY);
	files.dir = open(opt.dir, O_RDONLY | O_DIRECTORY);
	files.zero = open("/dev/zero", O_RDWR);
	files.fd[F_MEMFD] = memfd_create("difftest", 0);
	if (files.fd[F_MEMFD] < 0 || files.zero < 0 || files.dir < 0 || pipe(files.pipe) < 0)
		die("files");
	for (int i = 0; i < NR_FILES; i++) {
		static char buf[16 * 4096];

		if (opt.keep && i != F_MEMFD)
			continue;
		for (size_t k = 0; k < sizeof(buf); k += 8)
			*(uint64_t *)(buf + k) = k * 0x2545f4914f6cdd1dUL + i;
		if (pwrite(files.fd[i], buf, sizeof(buf), 0) != (ssize_t)sizeof(buf))
			die("pwrite");
	}
}

/* Leave enough free memory in the heap that pthread_create() never moves the break. */
static void heap_init(void)
{
	void *p;

	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	p = malloc(512 << 10);
	memset(p, 1, 512 << 10);
	free(p);
}

int main(int argc, char **argv)
{
	struct rlimit no_core = { 0, 0 };

	(void)argc;
	opt.self = argv[0];
	heap_init();
	parse_options(argv);
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	windows_init();
	touch_init();
	files_init();
	for (unsigned long i = 0; i < opt.steps; i++) {
		struct ctx c = { .allowed = OP_PLAIN | OP_PROC };

		if (only && !(only[i / 8] & 1 << i % 8))
			continue;
		if (opt.extra)
			c.allowed |= OP_EXTRA;
		if (opt.rss)
			c.allowed |= OP_RSS;
		snprintf(c.path, sizeof(c.path), "%lu", i);
		c.depth = *opt.prefix ? MAX_DEPTH - 1 : 0;
		seed_step(&c);
		run_step(&c);
	}
	struct ctx end = { .path = "end" };

	step_line(&end, "maps");
	say_maps(&end);
	say("\n");
	for (int w = 0; w < NR_WIN; w++) {
		step_line(&end, win[w].name);
		say_contents(&end, win[w].start, win[w].end);
		say("\n");
	}
	say_flush();
	return 0;
}
