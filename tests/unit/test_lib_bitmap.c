/* SPDX-License-Identifier: MIT */
/* lib/bitmap.c against one bool for each bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/bitmap.h>

#define MOST 300

static unsigned long map[BITS_TO_LONGS(MOST)];
static bool model[MOST];

static unsigned long rnd(unsigned long n)
{
	return (unsigned long)rand() % n;
}

static unsigned long model_next(unsigned long size, unsigned long from, bool value)
{
	while (from < size && model[from] != value)
		from++;
	return min(from, size);
}

static unsigned long model_area(unsigned long size, unsigned long from, unsigned long n,
				unsigned long align_mask)
{
	for (unsigned long start = from; start + n <= size; start++) {
		if (start & align_mask)
			continue;
		if (model_next(start + n, start, true) == start + n)
			return start;
	}
	return size + 1;
}

static void searches_agree(unsigned long size)
{
	unsigned long from = rnd(size + 2), n = 1 + rnd(20), mask = (1UL << rnd(5)) - 1;
	unsigned long last = size, weight = 0, bit, seen = 0, got;

	for (unsigned long i = 0; i < size; i++) {
		assert_int_equal(test_bit(i, map), model[i]);
		weight += model[i];
		if (model[i])
			last = i;
	}
	assert_int_equal(find_next_bit(map, size, from), model_next(size, from, true));
	assert_int_equal(find_next_zero_bit(map, size, from), model_next(size, from, false));
	assert_int_equal(find_first_bit(map, size), model_next(size, 0, true));
	assert_int_equal(find_first_zero_bit(map, size), model_next(size, 0, false));
	assert_int_equal(find_last_bit(map, size), last);
	assert_int_equal(bitmap_weight(map, size), weight);
	assert_int_equal(bitmap_empty(map, size), weight == 0);
	assert_int_equal(bitmap_full(map, size), weight == size);
	for_each_set_bit(bit, map, size)
		seen += model[bit];
	assert_int_equal(seen, weight);
	for_each_clear_bit(bit, map, size)
		seen += !model[bit];
	assert_int_equal(seen, size);
	got = bitmap_find_next_zero_area(map, size, from, n, mask);
	assert_int_equal(min(got, size + 1), model_area(size, from, n, mask));
}

static void runs_and_searches(void **state)
{
	(void)state;
	srand(3);
	for (int step = 0; step < 30000; step++) {
		unsigned long start = rnd(MOST), n = rnd(rnd(8) ? 12 : MOST);
		bool set = rnd(2);

		n = min(n, MOST - start);
		if (set)
			bitmap_set(map, start, n);
		else
			bitmap_clear(map, start, n);
		for (unsigned long i = start; i < start + n; i++)
			model[i] = set;
		searches_agree(rnd(4) ? MOST - rnd(130) : 1 + rnd(MOST));
	}
}

static void whole_maps(void **state)
{
	unsigned long two[2] = { 5, 5 };

	(void)state;
	bitmap_fill(two, 70);
	assert_true(two[0] == ULONG_MAX && two[1] == 0x3f);
	assert_true(bitmap_full(two, 70) && bitmap_weight(two, 128) == 70);
	bitmap_zero(two, 70);
	assert_true(bitmap_empty(two, 128));
	assert_int_equal(find_first_bit(two, 0), 0);
	assert_int_equal(find_last_bit(two, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_and_searches),
		cmocka_unit_test(whole_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
