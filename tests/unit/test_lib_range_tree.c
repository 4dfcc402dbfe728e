/* SPDX-License-Identifier: MIT */
/* lib/range_tree.c against a sorted array of ranges, with failing allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/range_tree.h>

#define MODEL 6000
#define MIN 0x1000UL
#define MAX 0x400000UL

static long nodes_live;
static int fail_after = -1; /* allocations until one fails; -1: never */

struct rt_node *rt_node_alloc(gfp_t gfp)
{
	struct rt_node *node;

	(void)gfp;
	if (fail_after == 0)
		return NULL;
	if (fail_after > 0)
		fail_after--;
	node = malloc(sizeof(*node));
	memset(node, 0xa5, sizeof(*node));
	nodes_live++;
	return node;
}

void rt_node_free(struct rt_node *node)
{
	nodes_live--;
	free(node);
}

struct range {
	unsigned long start, end;
	void *ptr;
};

static struct range model[MODEL];
static size_t ranges;
static struct range_tree tree;

static unsigned long rnd(unsigned long n)
{
	return (((unsigned long)rand() << 31) ^ (unsigned long)rand()) % n;
}

static void *mark(unsigned long n)
{
	return (void *)(n | 1);
}

static void must_be_sound(void)
{
	const char *wrong = rt_check(&tree);

	if (wrong)
		fail_msg("rt_check: %s", wrong);
}

/* The first range of the model with end > addr. */
static size_t above(unsigned long addr)
{
	size_t low = 0, high = ranges;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (model[mid].end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static void model_put(size_t i, unsigned long start, unsigned long end, void *ptr)
{
	memmove(&model[i + 1], &model[i], (ranges++ - i) * sizeof(model[0]));
	model[i] = (struct range){ start, end, ptr };
}

static void model_drop(size_t i)
{
	memmove(&model[i], &model[i + 1], (ranges - i - 1) * sizeof(model[0]));
	ranges--;
}

static void try_insert(unsigned long start, unsigned long end)
{
	size_t i = above(start);
	bool meets = i < ranges && model[i].start < end;
	int want = start >= end || start < MIN || end > MAX ? -EINVAL : meets ? -EEXIST : 0;
	void *ptr = mark(start * 7 + end);
	int got;

	if (ranges >= MODEL - 1)
		return;
	if (rand() % 4 == 0)
		fail_after = rand() % 2;
	got = rt_insert(&tree, start, end, ptr);
	if (got == -ENOMEM) {
		assert_int_equal(fail_after, 0);
		assert_int_equal(want, 0);
		fail_after = -1;
		must_be_sound();
		assert_int_equal(rt_preallocate(&tree, 1, 0), 0);
		fail_after = 0;
		got = rt_insert(&tree, start, end, ptr);
	}
	fail_after = -1;
	assert_int_equal(got, want);
	if (!want)
		model_put(i, start, end, ptr);
}

static void try_erase(void)
{
	size_t i = rnd(ranges + 1);

	if (i == ranges) {
		assert_null(rt_erase(&tree, MAX));
		return;
	}
	assert_ptr_equal(rt_erase(&tree, model[i].start), model[i].ptr);
	assert_null(rt_erase(&tree, model[i].start));
	model_drop(i);
}

static void try_resize(void)
{
	unsigned long start, end;
	int want = 0;
	size_t i;

	if (!ranges)
		return;
	i = rnd(ranges);
	start = model[i].start + rnd(64) - 32;
	end = model[i].end + rnd(64) - 32;
	if (start >= end || start < MIN || end > MAX)
		want = -EINVAL;
	else if ((i > 0 && model[i - 1].end > start) ||
		 (i + 1 < ranges && model[i + 1].start < end))
		want = -EEXIST;
	fail_after = 0;
	assert_int_equal(rt_resize(&tree, model[i].start, start, end), want);
	fail_after = -1;
	assert_int_equal(rt_resize(&tree, MAX, start, end), -ENOENT);
	if (!want) {
		model[i].start = start;
		model[i].end = end;
	}
}

static void try_replace(void)
{
	size_t i = rnd(ranges + 1);

	assert_null(rt_replace(&tree, MAX, &tree));
	if (i < ranges) {
		assert_ptr_equal(rt_replace(&tree, model[i].start, mark(i * 2)), model[i].ptr);
		model[i].ptr = mark(i * 2);
	}
}

static void lookups_agree(unsigned long addr)
{
	unsigned long start = 1, end = 2;
	size_t i = above(addr);
	void *found = i < ranges && model[i].start <= addr ? model[i].ptr : NULL;

	assert_ptr_equal(rt_find(&tree, addr), found);
	if (i < ranges) {
		assert_ptr_equal(rt_next(&tree, addr, &start, &end), model[i].ptr);
		assert_true(start == model[i].start && end == model[i].end);
	} else {
		assert_null(rt_next(&tree, addr, &start, &end));
	}
	if (i > 0) {
		assert_ptr_equal(rt_prev(&tree, addr, &start, &end), model[i - 1].ptr);
		assert_true(start == model[i - 1].start && end == model[i - 1].end);
	} else {
		assert_null(rt_prev(&tree, addr, NULL, NULL));
	}
}

/* The holes of the model one by one, in the direction asked for. */
static unsigned long model_gap(bool up, unsigned long low, unsigned long high, unsigned long size,
			       unsigned long align, unsigned long offset)
{
	unsigned long len = size + align - 1, found = (unsigned long)-ENOMEM;

	low = max(low, MIN);
	high = min(high, MAX);
	for (size_t i = 0; i <= ranges; i++) {
		unsigned long bottom = i ? model[i - 1].end : MIN;
		unsigned long top = i < ranges ? model[i].start : MAX;

		bottom = max(bottom, low);
		top = min(top, high);
		if (bottom >= top || top - bottom < len)
			continue;
		if (up)
			return bottom + ((offset - bottom) & (align - 1));
		found = top - size;
		found -= (found - offset) & (align - 1);
	}
	return found;
}

static void gaps_agree(void)
{
	unsigned long low = rnd(MAX + 0x100), high = rnd(4) ? low + rnd(0x40000) : rnd(MAX + 0x100);
	unsigned long size = 1 + rnd(rnd(3) ? 300 : 20000);
	unsigned long align = rnd(2) ? 1 : 1UL << rnd(10), offset = rnd(align);

	if (rnd(4) == 0)
		low = 0;
	if (rnd(4) == 0)
		high = ULONG_MAX;
	assert_int_equal(rt_gap_up(&tree, low, high, size, align, offset),
			 model_gap(true, low, high, size, align, offset));
	assert_int_equal(rt_gap_down(&tree, low, high, size, align, offset),
			 model_gap(false, low, high, size, align, offset));
}

static void iteration_agrees(void)
{
	struct rt_iter it;
	size_t i = 0;
	void *ptr;

	rt_for_each(&it, &tree, ptr) {
		assert_ptr_equal(ptr, model[i].ptr);
		assert_true(it.start == model[i].start && it.end == model[i].end);
		i++;
	}
	assert_int_equal(i, ranges);
	assert_int_equal(tree.count, ranges);
	if (!ranges)
		return;
	i = rnd(ranges);
	for (ptr = rt_iter_first(&it, &tree, model[i].start); ptr; ptr = rt_iter_prev(&it))
		assert_ptr_equal(ptr, model[i--].ptr);
	assert_true(i == (size_t)-1);
}

static void random_step(unsigned int grow)
{
	unsigned long start = rnd(MAX), end = start + rnd(200);

	if (ranges && rnd(3) == 0) { /* close to one that is there */
		start = model[rnd(ranges)].end + rnd(3) - 1;
		end = start + rnd(40);
	}
	switch (rnd(10)) {
	case 0:
		try_resize();
		break;
	case 1:
		try_replace();
		break;
	case 2:
		lookups_agree(start);
		lookups_agree(end);
		break;
	case 3:
		gaps_agree();
		break;
	default:
		if (rnd(10) < grow)
			try_insert(start, end);
		else
			try_erase();
	}
}

static void random_model(void **state)
{
	(void)state;
	for (unsigned int seed = 1; seed <= 6; seed++) {
		srand(seed);
		rt_init(&tree, MIN, MAX);
		ranges = 0;
		for (int step = 0; step < 30000; step++) {
			random_step((step / 7500) % 2 ? 2 : 9);
			if (step % 32 == 0)
				must_be_sound();
			if (step % 500 == 0)
				iteration_agrees();
		}
		lookups_agree(0);
		lookups_agree(ULONG_MAX);
		while (seed % 2 && ranges) {
			try_erase();
			must_be_sound();
		}
		rt_destroy(&tree);
		must_be_sound();
		assert_true(rt_empty(&tree));
		assert_int_equal(nodes_live, 0);
	}
}

static void in_order_leaves_full_nodes(void **state)
{
	const unsigned long n = 50000;

	(void)state;
	rt_init(&tree, 0, ULONG_MAX);
	for (unsigned long i = 0; i < n; i++)
		assert_int_equal(rt_insert(&tree, i * 4, i * 4 + 3, mark(i)), 0);
	must_be_sound();
	assert_true(nodes_live <=
		    (long)(n / RT_LEAF_SLOTS + n / RT_LEAF_SLOTS / RT_INNER_SLOTS + 30));
	assert_int_equal(rt_gap_up(&tree, 0, ULONG_MAX, 1, 1, 0), 3);
	assert_int_equal(rt_gap_up(&tree, 0, ULONG_MAX, 2, 1, 0), n * 4 - 1);
	for (unsigned long i = 0; i < n; i++) {
		unsigned long at = (i * 7919) % n;

		assert_ptr_equal(rt_erase(&tree, at * 4), mark(at));
	}
	assert_true(rt_empty(&tree));
	assert_int_equal(nodes_live, 0);
	for (unsigned long i = n; i-- > 0;)
		assert_int_equal(rt_insert(&tree, i * 4, i * 4 + 4, mark(i)), 0);
	must_be_sound();
	rt_destroy(&tree);
	assert_int_equal(nodes_live, 0);
}

static void preallocation_covers_n_insertions(void **state)
{
	(void)state;
	rt_init(&tree, 0, ULONG_MAX);
	for (unsigned long i = 0; i < 20000; i += 5) {
		assert_int_equal(rt_preallocate(&tree, 5, 0), 0);
		fail_after = 0;
		for (unsigned long j = i; j < i + 5; j++)
			assert_int_equal(rt_insert(&tree, j * 4, j * 4 + 1, mark(j)), 0);
		fail_after = -1;
	}
	must_be_sound();
	rt_release_spare(&tree);
	assert_int_equal(tree.nr_spare, 0);
	rt_destroy(&tree);
	assert_int_equal(nodes_live, 0);
}

static void edges_of_the_address_space(void **state)
{
	(void)state;
	rt_init(&tree, 0, ULONG_MAX);
	assert_null(rt_find(&tree, 0));
	assert_null(rt_next(&tree, 0, NULL, NULL));
	assert_null(rt_prev(&tree, ULONG_MAX, NULL, NULL));
	assert_int_equal(rt_gap_down(&tree, 0, ULONG_MAX, 1, 1, 0), ULONG_MAX - 1);
	assert_int_equal(rt_insert(&tree, 0, ULONG_MAX, &tree), 0);
	assert_ptr_equal(rt_find(&tree, 0), &tree);
	assert_null(rt_find(&tree, ULONG_MAX));
	assert_ptr_equal(rt_find(&tree, ULONG_MAX - 1), &tree);
	assert_int_equal(rt_gap_up(&tree, 0, ULONG_MAX, 1, 1, 0), (unsigned long)-ENOMEM);
	assert_int_equal(rt_gap_up(&tree, 0, ULONG_MAX, ULONG_MAX, 4096, 0),
			 (unsigned long)-ENOMEM);
	assert_int_equal(rt_insert(&tree, 5, 5, &tree), -EINVAL);
	assert_int_equal(rt_insert(&tree, 5, 6, &tree), -EEXIST);
	rt_destroy(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_model),
		cmocka_unit_test(in_order_leaves_full_nodes),
		cmocka_unit_test(preallocation_covers_n_insertions),
		cmocka_unit_test(edges_of_the_address_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
