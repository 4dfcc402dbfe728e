/* SPDX-License-Identifier: MIT */
/*
 * The containers: range tree (find_vma, insertion) and xarray (page-cache load),
 * ns for one operation, median of several rounds. The nodes come from libc.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <quire/range_tree.h>
#include <quire/xarray.h>

#define ROUNDS 7
#define PROBES 200000UL

static long xa_nodes;

struct xa_node *xa_node_alloc(gfp_t gfp)
{
	(void)gfp;
	xa_nodes++;
	return malloc(sizeof(struct xa_node));
}

void xa_node_free(struct xa_node *node)
{
	xa_nodes--;
	free(node);
}

struct rt_node *rt_node_alloc(gfp_t gfp)
{
	(void)gfp;
	return aligned_alloc(64, ALIGN(sizeof(struct rt_node), 64UL));
}

void rt_node_free(struct rt_node *node)
{
	free(node);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), by_value);
	return v[ROUNDS / 2];
}

static unsigned long rng = 88172645463325252UL;

static unsigned long rnd(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

/* n ranges of 4 to 8 pages on a grid, inserted in random order; then looked up. */
static void bench_ranges(unsigned long n)
{
	unsigned long *order = malloc(n * sizeof(*order));
	unsigned long *probes = malloc(PROBES * sizeof(*probes));
	double insert[ROUNDS], find[ROUNDS], gap[ROUNDS];
	unsigned long sum = 0;

	for (unsigned long i = 0; i < n; i++)
		order[i] = i;
	for (unsigned long i = 0; i < PROBES; i++)
		probes[i] = (rnd() % n << 16) + rnd() % 0x4000;
	for (int round = 0; round < ROUNDS; round++) {
		struct range_tree tree;
		double start;

		for (unsigned long i = n - 1; i > 0; i--)
			swap(order[i], order[rnd() % (i + 1)]);
		rt_init(&tree, 0, 1UL << 47);
		start = now();
		for (unsigned long i = 0; i < n; i++)
			rt_insert(&tree, order[i] << 16, (order[i] << 16) + 0x4000, &tree);
		insert[round] = (now() - start) / (double)n;
		start = now();
		for (unsigned long i = 0; i < PROBES; i++)
			sum += (unsigned long)rt_find(&tree, probes[i]);
		find[round] = (now() - start) / (double)PROBES;
		start = now();
		for (unsigned long i = 0; i < PROBES; i++)
			sum += rt_gap_down(&tree, 0, probes[i] + 0x100000, 0x8000, 1, 0);
		gap[round] = (now() - start) / (double)PROBES;
		rt_destroy(&tree);
	}
	printf("range tree %7lu  find %6.1f  insert %6.1f  gap_down %6.1f%s\n", n, median(find),
	       median(insert), median(gap), sum ? "" : " ");
	free(order);
	free(probes);
}

static void bench_xarray(unsigned long n)
{
	double in_order[ROUNDS], random[ROUNDS], store[ROUNDS];
	unsigned long sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct xarray xa = XARRAY_INIT;
		double start = now();

		for (unsigned long i = 0; i < n; i++)
			xa_store(&xa, i, &xa, 0);
		store[round] = (now() - start) / (double)n;
		start = now();
		for (unsigned long i = 0; i < PROBES; i++)
			sum += (unsigned long)xa_load(&xa, i % n);
		in_order[round] = (now() - start) / (double)PROBES;
		start = now();
		for (unsigned long i = 0; i < PROBES; i++)
			sum += (unsigned long)xa_load(&xa, rnd() % n);
		random[round] = (now() - start) / (double)PROBES;
		xa_destroy(&xa);
	}
	printf("xarray     %7lu  load in order %4.1f  random %5.1f  store %5.1f%s\n", n,
	       median(in_order), median(random), median(store), sum ? "" : " ");
}

/* Page-cache memory where a file is cached in runs of 16 pages, a run in each 256. */
static void bench_xarray_runs(void)
{
	struct xarray xa = XARRAY_INIT;
	unsigned long pages = 0;

	for (unsigned long run = 0; run < 4096; run++) {
		for (unsigned long i = 0; i < 16; i++, pages++)
			xa_store(&xa, run * 256 + i, &xa, 0);
	}
	printf("xarray     16-page runs: %.1f bytes a page\n",
	       (double)xa_nodes * sizeof(struct xa_node) / (double)pages);
	xa_destroy(&xa);
}

int main(void)
{
	bench_ranges(1000);
	bench_ranges(10000);
	bench_ranges(100000);
	bench_xarray(1000);
	bench_xarray(10000);
	bench_xarray(200000);
	bench_xarray_runs();
	return 0;
}
