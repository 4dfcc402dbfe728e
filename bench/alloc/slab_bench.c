/* SPDX-License-Identifier: MIT */
/*
 * slab_bench TEST ROUNDS [PAIRS]: one piece of work for an allocator of objects, ROUNDS times; prints
 * ns for one operation, a number for each round, or what `memory` says. slab_bench.py runs it.
 *
 * Compiled twice: against the core on the soft machine (kmalloc, kfree), and with BENCH_MALLOC
 * against malloc and free, whosever they are: LD_PRELOAD chooses.
 *
 *	pair64 pair1024 pair4096   allocate, free at once; operation: both
 *	cache64      the same out of a cache of its own (kmem_cache_alloc; malloc has no such thing)
 *	random       100,000 objects of 64 bytes, then free them in random order; an object's both
 *	mixed        20,000 objects of 16 to 1024 bytes, small ones more often; replace one at random
 *	threads      one thread allocates 64 bytes, the other frees; wall time for an object
 *	memory       what 100,000 objects of 64 bytes take: RSS and, of Quire, frames of slabs, over their bytes
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef BENCH_MALLOC
#define noinline __attribute__((noinline))
#define obj_alloc(size) malloc(size)
#define obj_free(p) free(p)
#define cache_alloc() malloc(64)
#define cache_free(p) free(p)
#else
#include <quire/slab.h>
#include <quire/vmstat.h>

#include "soft.h"

#define obj_alloc(size) kmalloc(size, GFP_KERNEL)
#define obj_free(p) kfree(p)
#define cache_alloc() kmem_cache_alloc(cache, GFP_KERNEL)
#define cache_free(p) kmem_cache_free(cache, p)

static struct kmem_cache *cache;
#endif

#define LIVE 100000u
#define MIXED_LIVE 20000u
#define MIXED_STEPS 500000u
#define PAIRS 2000000ul

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void no_memory(void)
{
	fputs("slab_bench: no memory\n", stderr);
	exit(1);
}

static inline void touch(void *p)
{
	if (!p)
		no_memory();
	*(volatile uint64_t *)p = 1;
}

/* ---- Pairs -------------------------------------------------------------------------------- */

/* The third argument: fewer for a count of instructions. */
static unsigned long pairs = PAIRS;

static noinline void run_pairs(unsigned long n, size_t size)
{
	while (n--) {
		void *p = obj_alloc(size);

		obj_free(p);
	}
}

static noinline void run_cache_pairs(unsigned long n)
{
	while (n--) {
		void *p = cache_alloc();

		cache_free(p);
	}
}

static double pair(size_t size)
{
	double start = cpu_ns();

	run_pairs(pairs, size);
	return (cpu_ns() - start) / (double)pairs;
}

static double cache_pair(void)
{
	double start = cpu_ns();

	run_cache_pairs(pairs);
	return (cpu_ns() - start) / (double)pairs;
}

/* ---- Many ---------------------------------------------------------------------------------- */

static void *object[LIVE];
static uint32_t order[LIVE];

static void shuffle_order(void)
{
	for (uint32_t i = 0; i < LIVE; i++)
		order[i] = i;
	for (uint32_t i = LIVE - 1; i; i--) {
		uint32_t k = (uint32_t)(rnd() % (i + 1)), other = order[k];

		order[k] = order[i];
		order[i] = other;
	}
}

static double random_free(void)
{
	double start = cpu_ns();

	for (unsigned int i = 0; i < LIVE; i++) {
		object[i] = obj_alloc(64);
		touch(object[i]);
	}
	for (unsigned int i = 0; i < LIVE; i++)
		obj_free(object[order[i]]);
	return (cpu_ns() - start) / LIVE;
}

static struct step {
	uint32_t slot, size;
} steps[MIXED_STEPS];

static uint32_t mixed_size(void)
{
	uint32_t top = 16u << rnd() % 7; /* 16 ... 1024 */

	return top == 16 ? 16 : top / 2 + 1 + (uint32_t)(rnd() % (top / 2));
}

static void prepare_mixed(void)
{
	for (unsigned int i = 0; i < MIXED_STEPS; i++)
		steps[i] = (struct step){ (uint32_t)(rnd() % MIXED_LIVE), mixed_size() };
	for (unsigned int i = 0; i < MIXED_LIVE; i++) {
		object[i] = obj_alloc(mixed_size());
		touch(object[i]);
	}
}

static double mixed(void)
{
	double start = cpu_ns();

	for (unsigned int i = 0; i < MIXED_STEPS; i++) {
		const struct step *s = &steps[i];

		obj_free(object[s->slot]);
		object[s->slot] = obj_alloc(s->size);
		touch(object[s->slot]);
	}
	return (cpu_ns() - start) / MIXED_STEPS;
}

/* ---- Threads ------------------------------------------------------------------------------- */

#define RING 4096u
#define HANDED_OVER 1000000u

static struct {
	_Alignas(64) uint32_t head; /* the producer's */
	_Alignas(64) uint32_t tail; /* the consumer's */
	_Alignas(64) void *slot[RING];
} ring;

static void wait_a_little(unsigned int spins)
{
	if (spins % 256 == 255)
		sched_yield();
	else
		__builtin_ia32_pause();
}

static void *consumer(void *arg)
{
	uint32_t head = 0;

#ifndef BENCH_MALLOC
	soft_cpu_enter(1);
#endif
	for (uint32_t i = 0; i < HANDED_OVER; i++) {
		for (unsigned int spins = 0; head == i; spins++) {
			head = __atomic_load_n(&ring.head, __ATOMIC_ACQUIRE);
			if (head == i)
				wait_a_little(spins);
		}
		touch(ring.slot[i % RING]);
		obj_free(ring.slot[i % RING]);
		if (i % 64 == 63)
			__atomic_store_n(&ring.tail, i + 1, __ATOMIC_RELEASE);
	}
	return arg;
}

static double hand_over(void)
{
	uint32_t tail = 0;
	pthread_t thread;
	double start;

	ring.head = ring.tail = 0;
	if (pthread_create(&thread, NULL, consumer, NULL))
		no_memory();
	start = clock_ns(CLOCK_MONOTONIC);
	for (uint32_t i = 0; i < HANDED_OVER; i++) {
		for (unsigned int spins = 0; i - tail >= RING; spins++) {
			tail = __atomic_load_n(&ring.tail, __ATOMIC_ACQUIRE);
			if (i - tail >= RING)
				wait_a_little(spins);
		}
		ring.slot[i % RING] = obj_alloc(64);
		touch(ring.slot[i % RING]);
		if (i % 64 == 63 || i + 1 == HANDED_OVER)
			__atomic_store_n(&ring.head, i + 1, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	return (clock_ns(CLOCK_MONOTONIC) - start) / HANDED_OVER;
}

/* ---- Memory -------------------------------------------------------------------------------- */

static double rss_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long size = 0, resident = 0;

	if (!statm || fscanf(statm, "%lu %lu", &size, &resident) != 2)
		no_memory();
	fclose(statm);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void memory(void)
{
	double before, live = LIVE * 64.0;

	memset(object, 0xff, sizeof(object));
	touch(obj_alloc(64));
	rss_bytes();
	before = rss_bytes();
	for (unsigned int i = 0; i < LIVE; i++) {
		object[i] = obj_alloc(64);
		memset(object[i], 1, 64);
	}
	printf("%.4f", (rss_bytes() - before) / live);
#ifndef BENCH_MALLOC
	kmem_cache_shrink_all();
	{
		struct slabinfo info;

		for (unsigned int i = 0; get_slabinfo(i, &info); i++)
			if (!strcmp(info.name, "kmalloc-64"))
				printf(" %.4f", (double)(info.num_slabs * info.pages_per_slab) *
							PAGE_SIZE / live);
	}
#endif
	puts("");
}

/* -------------------------------------------------------------------------------------------- */

static double once(const char *test)
{
	if (!strncmp(test, "pair", 4))
		return pair((size_t)atoi(test + 4));
	if (!strcmp(test, "cache64"))
		return cache_pair();
	if (!strcmp(test, "random"))
		return random_free();
	if (!strcmp(test, "mixed"))
		return mixed();
	if (!strcmp(test, "threads"))
		return hand_over();
	fprintf(stderr, "slab_bench: no test %s\n", test);
	exit(2);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[2]) : 1;

	if (argc < 2)
		return 2;
#ifndef BENCH_MALLOC
	if (soft_init(256ul << 20, !strcmp(argv[1], "threads") ? 2 : 1))
		no_memory();
	if (!strcmp(argv[1], "name"))
		return puts(slab_allocator_name) < 0;
	cache = kmem_cache_create("bench", 64, 0, 0, NULL);
#endif
	if (argc > 3)
		pairs = strtoul(argv[3], NULL, 10);
	if (!strcmp(argv[1], "memory")) {
		memory();
		return 0;
	}
	shuffle_order();
	if (!strcmp(argv[1], "mixed"))
		prepare_mixed();
	for (int i = 0; i < rounds; i++)
		printf("%.2f\n", once(argv[1]));
	return 0;
}
