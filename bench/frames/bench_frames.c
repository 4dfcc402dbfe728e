/* SPDX-License-Identifier: MIT */
/*
 * Allocators of frames: ours on the soft machine and, from shared objects named on the command line,
 * others, all with the same work in one run.
 *
 *	pair	   one frame taken and given back, again and again
 *	bulk	   1 GiB taken a frame at a time
 *	random	   that given back in random order; a frame at a time, and where there is such a call 512 at a time
 *	order 9    of 4 GiB half are taken, in blocks of mixed sizes that come and go: how many blocks of 2 MiB
 *		   can be had of the other half, which are 1024 if nothing is wasted
 *
 * ns of CPU time and instructions for one frame, medians; table: bytes of tables for one frame.
 */
#include <dlfcn.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "soft.h"

#define TOTAL (1ul << 20)
#define GIB_FRAMES (1ul << 18)
#define ROUNDS 5
#define PAIRS 1000000ul
#define CHURN 3000000ul
#define MAX_BLOCKS (TOTAL / 2)
#define BATCH 512ul

/* ---- Ours ---------------------------------------------------------------------------------- */

static size_t our_bytes;

/* Both tables are cut out of RAM: so much more of it. */
static bool our_up(size_t frames)
{
	soft_vmalloc_bytes(0); /* RAM in huge pages, as a direct map is */
	if (soft_init((u64)(frames + frames / 64 + 512) << PAGE_SHIFT, 1))
		return false;
	our_bytes = (frames + frames / 64 + 512 - totalram_pages()) << PAGE_SHIFT;
	return true;
}

static gfp_t our_gfp(bool movable)
{
	return (movable ? GFP_HIGHUSER_MOVABLE : GFP_KERNEL) | __GFP_NOWARN | __GFP_NORETRY;
}

static long our_get(unsigned int order, bool movable)
{
	struct page *page = alloc_pages(our_gfp(movable), order);

	return page ? (long)page_to_pfn(page) : -1;
}

static void our_put(long frame, unsigned int order, bool movable)
{
	(void)movable;
	__free_pages(pfn_to_page((unsigned long)frame), order);
}

static size_t our_own_bytes(void)
{
	return our_bytes;
}

/* As munmap() gives back what a program had. */
static void our_put_many(const long *frames, size_t nr)
{
	struct page *pages[BATCH];

	for (size_t i = 0; i < nr; i++) {
		pages[i] = pfn_to_page((unsigned long)frames[i]);
		__builtin_prefetch(pages[i], 1);
	}
	for (size_t i = 0; i < nr; i++)
		atomic_set(&pages[i]->_refcount, 0);
	free_unref_pages(pages, nr);
}

static const struct frame_peer ours = { "quire", our_up,       soft_exit,    our_get,
					our_put, our_put_many, our_own_bytes };

/* ---- Measuring ------------------------------------------------------------------------------ */

static int perf_fd = -1;

static void perf_open(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_HARDWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_HW_INSTRUCTIONS,
					.exclude_kernel = 1 };

	perf_fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static unsigned long instructions(void)
{
	unsigned long n = 0;

	if (perf_fd < 0 || read(perf_fd, &n, sizeof(n)) != sizeof(n))
		return 0;
	return n;
}

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

struct cost {
	double ns[ROUNDS];
	unsigned long instr[ROUNDS];
};

static struct {
	double ns;
	unsigned long instr;
} begun;

static void begin(void)
{
	begun.instr = instructions();
	begun.ns = now_ns();
}

static void end(struct cost *cost, int round, unsigned long frames)
{
	cost->ns[round] = (now_ns() - begun.ns) / (double)frames;
	cost->instr[round] = (instructions() - begun.instr) / frames;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void show_cost(struct cost *cost)
{
	char text[40];

	qsort(cost->ns, ROUNDS, sizeof(double), by_value);
	if (cost->instr[ROUNDS / 2])
		snprintf(text, sizeof(text), "%.1f /%lu", cost->ns[ROUNDS / 2],
			 cost->instr[ROUNDS / 2]);
	else
		snprintf(text, sizeof(text), "%.1f", cost->ns[ROUNDS / 2]);
	printf(" %14s", text);
}

/* ---- The work ------------------------------------------------------------------------------- */

static unsigned long rng_state = 88172645463325252ul;

static unsigned long rng(unsigned long below)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state % below;
}

static void shuffle(long *frames, unsigned long nr)
{
	for (unsigned long i = nr - 1; i > 0; i--) {
		unsigned long j = rng(i + 1);
		long frame = frames[i];

		frames[i] = frames[j];
		frames[j] = frame;
	}
}

static void must(bool ok, const struct frame_peer *peer, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", peer->name, what);
	exit(1);
}

static void bench_pair(const struct frame_peer *peer)
{
	struct cost cost;

	for (int round = 0; round < ROUNDS; round++) {
		begin();
		for (unsigned long i = 0; i < PAIRS; i++)
			peer->put(peer->get(0, true), 0, true);
		end(&cost, round, PAIRS);
	}
	show_cost(&cost);
}

static void bench_bulk(const struct frame_peer *peer)
{
	long *frames = calloc(GIB_FRAMES, sizeof(*frames));
	struct cost take, give, batch;

	for (int round = 0; round < ROUNDS; round++) {
		begin();
		for (unsigned long i = 0; i < GIB_FRAMES; i++)
			frames[i] = peer->get(0, true);
		end(&take, round, GIB_FRAMES);
		for (unsigned long i = 0; i < GIB_FRAMES; i++)
			must(frames[i] >= 0, peer, "no frame in the bulk");
		shuffle(frames, GIB_FRAMES);
		begin();
		for (unsigned long i = 0; i < GIB_FRAMES; i++)
			peer->put(frames[i], 0, true);
		end(&give, round, GIB_FRAMES);
	}
	for (int round = 0; peer->put_many && round < ROUNDS; round++) {
		for (unsigned long i = 0; i < GIB_FRAMES; i++)
			frames[i] = peer->get(0, true);
		shuffle(frames, GIB_FRAMES);
		begin();
		for (unsigned long i = 0; i < GIB_FRAMES; i += BATCH)
			peer->put_many(frames + i, BATCH);
		end(&batch, round, GIB_FRAMES);
	}
	show_cost(&take);
	show_cost(&give);
	if (peer->put_many)
		show_cost(&batch);
	else
		printf(" %14s", "-");
	free(frames);
}

struct block {
	long frame;
	unsigned char order;
	bool movable;
};

/* Most are single frames, most of these a program's; the rest is what a kernel asks for. */
static struct block draw(void)
{
	unsigned long kind = rng(100);
	struct block b = { .order = 0, .movable = true };

	if (kind >= 70 && kind < 80)
		b.movable = false;
	else if (kind >= 80 && kind < 95)
		b = (struct block){ .order = (unsigned char)(1 + rng(3)), .movable = rng(2) };
	else if (kind >= 95)
		b.order = (unsigned char)(4 + rng(5));
	return b;
}

static void bench_fragments(const struct frame_peer *peer)
{
	struct block *blocks = calloc(MAX_BLOCKS, sizeof(*blocks));
	unsigned long nr = 0, held = 0, left = 0;

	for (unsigned long step = 0; step < CHURN || held < TOTAL / 2; step++) {
		struct block b = draw();

		/* Around half, up and down by a sixteenth. */
		if (held + (1ul << b.order) > TOTAL / 2 ||
		    (nr && rng(held < TOTAL / 4 ? 8 : 2) == 0)) {
			unsigned long i = rng(nr);

			held -= 1ul << blocks[i].order;
			peer->put(blocks[i].frame, blocks[i].order, blocks[i].movable);
			blocks[i] = blocks[--nr];
			continue;
		}
		b.frame = peer->get(b.order, b.movable);
		must(b.frame >= 0 && nr < MAX_BLOCKS, peer, "no block in the churn");
		held += 1ul << b.order;
		blocks[nr++] = b;
		if (step >= CHURN * 2)
			break;
	}
	/* Exactly half, in single frames. */
	for (; held < TOTAL / 2 && nr < MAX_BLOCKS; held++)
		blocks[nr++] = (struct block){ .frame = peer->get(0, true), .movable = true };
	while (peer->get(9, true) >= 0)
		left++;
	printf(" %10lu", left);
	free(blocks);
}

static void bench(const struct frame_peer *peer)
{
	printf("%-12s", peer->name);
	must(peer->up(TOTAL), peer, "does not start");
	bench_pair(peer);
	bench_bulk(peer);
	peer->down();
	must(peer->up(TOTAL), peer, "does not start again");
	bench_fragments(peer);
	printf(" %8.2f\n", (double)peer->own_bytes() / TOTAL);
	peer->down();
	fflush(stdout);
}

int main(int argc, char **argv)
{
	perf_open();
	printf("%-12s %14s %14s %14s %14s %10s %8s\n", "ns /instr.", "pair", "bulk", "random free",
	       "in batches", "order 9", "table B");
	bench(&ours);
	for (int i = 1; i < argc; i++) {
		void *so = dlopen(argv[i], RTLD_NOW);
		const struct frame_peer *peer = so ? dlsym(so, "frame_peer") : NULL;

		if (peer)
			bench(peer);
		else
			printf("%s: %s\n", argv[i], dlerror());
	}
	return 0;
}
