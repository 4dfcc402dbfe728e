/* SPDX-License-Identifier: MIT */
/* Memory maps, sensible and not, and what of them becomes memory. */
#include "soft_fixture.h"

#include <quire/errno.h>
#include <quire/memblock.h>

#define RAM(start, bytes)                                               \
	{                                                               \
		.addr = (start), .size = (bytes), .type = E820_TYPE_RAM \
	}
#define RESERVED(start, bytes)                                               \
	{                                                                    \
		.addr = (start), .size = (bytes), .type = E820_TYPE_RESERVED \
	}
#define OF_TYPE(start, bytes, t)                              \
	{                                                     \
		.addr = (start), .size = (bytes), .type = (t) \
	}

/* Every map gets this besides, so that it boots whatever it is. */
#define BASE_START (16 * MiB)
#define BASE_SIZE (16 * MiB)
#define SPAN (BASE_START + BASE_SIZE)

static void boot(const struct e820_entry *map, int nr)
{
	assert_int_equal(soft_init_map(map, nr, SPAN, 1), 0);
}

static void assert_region(unsigned int i, unsigned long start, unsigned long end)
{
	assert_true(i < memblock.memory.cnt);
	assert_int_equal(memblock.memory.regions[i].start, start);
	assert_int_equal(memblock.memory.regions[i].end, end);
}

static void a_map_as_a_pc_reports_it(void **state)
{
	const struct e820_entry map[] = {
		RAM(0, 0x9fc00),
		RESERVED(0x9fc00, 0x400),
		RESERVED(0xf0000, 0x10000),
		RAM(0x100000, SPAN - 0x100000 - 0x20000),
		OF_TYPE(SPAN - 0x20000, 0x20000, E820_TYPE_ACPI),
		RESERVED(0xfeffc000, 0x4000),
	};

	(void)state;
	boot(map, 6);
	assert_int_equal(memblock.memory.cnt, 2);
	assert_region(0, 0, 0x9f);
	assert_region(1, 0x100, (SPAN - 0x20000) >> PAGE_SHIFT);
}

static void unsorted_overlapping_and_absurd(void **state)
{
	const struct e820_entry map[] = {
		RAM(BASE_START, BASE_SIZE),
		RAM(0x300000, 0x100000),
		RAM(0x200000, 0x180000), /* overlaps the one before */
		RAM(0x400000, 0x1000), /* adjacent to it */
		RESERVED(0x280800, 0x1000), /* partial pages on both sides */
		OF_TYPE(0x290000, 0x4000, E820_TYPE_ACPI),
		RESERVED(0x292000, 0x4000), /* loses against ACPI, wins against RAM */
		RAM(0x500000, 0), /* empty */
		RAM(0x500800, 0x1000), /* no whole frame */
		RAM(0x600001, 0x2fff), /* two whole frames */
		OF_TYPE(0x700000, 0x1000, 0), /* no type at all */
		OF_TYPE(0x201000, 0x1000, 0xffffffff), /* unknown type */
		RAM(1ull << MAX_PHYSMEM_BITS, 0x1000), /* no processor has it */
		RAM(~0ull - 0xfff, 0x1000),
		RESERVED(SPAN - 0x1000, ~0ull), /* wraps around */
	};

	(void)state;
	boot(map, ARRAY_SIZE(map));
	assert_int_equal(memblock.memory.cnt, 6);
	assert_region(0, 0x200, 0x201);
	assert_region(1, 0x202, 0x280);
	assert_region(2, 0x282, 0x290);
	assert_region(3, 0x296, 0x401);
	assert_region(4, 0x601, 0x603);
	assert_region(5, BASE_START >> PAGE_SHIFT, (SPAN - 0x1000) >> PAGE_SHIFT);
}

/* A unit is 512 bytes: ends of entries fall inside frames. */
#define UNIT 512u
#define UNITS (SPAN / UNIT)
#define UNITS_PER_PAGE (PAGE_SIZE / UNIT)

static void paint(u8 *units, const struct e820_entry *entry)
{
	for (u64 u = entry->addr / UNIT; u < (entry->addr + entry->size) / UNIT; u++) {
		if (units[u] < entry->type)
			units[u] = (u8)entry->type;
	}
}

static bool frame_is_ram(const u8 *units, unsigned long pfn)
{
	for (unsigned int i = 0; i < UNITS_PER_PAGE; i++) {
		if (units[pfn * UNITS_PER_PAGE + i] != E820_TYPE_RAM)
			return false;
	}
	return true;
}

static bool in_memory(unsigned long pfn)
{
	unsigned int i = memblock_search(&memblock.memory, pfn);

	return i < memblock.memory.cnt && memblock.memory.regions[i].start <= pfn;
}

static void random_maps_agree_with_a_painted_one(void **state)
{
	u8 *units = malloc(UNITS);
	u64 seed = 42;

	(void)state;
	for (int round = 0; round < 150; round++) {
		struct e820_entry map[40];
		int nr = 1 + (int)rng_below(&seed, 39);

		memset(units, 0, UNITS);
		map[0] = (struct e820_entry)RAM(BASE_START, BASE_SIZE);
		paint(units, &map[0]);
		for (int i = 1; i < nr; i++) {
			u64 start = rng_below(&seed, BASE_START / UNIT);
			u64 most = rng_below(&seed, 2) ? 4096 : 24;

			most = min(most, BASE_START / UNIT - start);
			map[i] = (struct e820_entry)OF_TYPE(start * UNIT,
							    rng_below(&seed, most + 1) * UNIT,
							    1 + (u32)(rng_below(&seed, 8) % 5));
			paint(units, &map[i]);
		}
		boot(map, nr);
		for (unsigned long pfn = 0; pfn < SPAN >> PAGE_SHIFT; pfn++)
			assert_int_equal(in_memory(pfn), frame_is_ram(units, pfn));
		for (unsigned int i = 1; i < memblock.memory.cnt; i++)
			assert_true(memblock.memory.regions[i].start >
				    memblock.memory.regions[i - 1].end);
		soft_exit();
	}
	free(units);
}

/* ---- Taking frames before the allocator is there ------------------------------------------- */

#define FRAMES_MAX 2048u

static u8 taken[FRAMES_MAX]; /* 0 no RAM, 1 free, 2 reserved */

static void assert_as_painted(void)
{
	unsigned long counts[3] = { 0 };

	for (unsigned long pfn = 0; pfn < FRAMES_MAX; pfn++) {
		unsigned long free = memblock_count(&memblock.free, pfn, pfn + 1);
		unsigned long reserved = memblock_count(&memblock.reserved, pfn, pfn + 1);

		assert_int_equal(free, taken[pfn] == 1);
		assert_int_equal(reserved, taken[pfn] == 2);
		assert_int_equal(memblock_count(&memblock.memory, pfn, pfn + 1), taken[pfn] != 0);
		counts[taken[pfn]]++;
	}
	assert_int_equal(memblock_count(&memblock.free, 0, MEMBLOCK_NONE), counts[1]);
	assert_int_equal(memblock_count(&memblock.reserved, 0, MEMBLOCK_NONE), counts[2]);
}

/* What a search from above finds. */
static unsigned long painted_place(unsigned long nr, unsigned long align, unsigned long from,
				   unsigned long to)
{
	for (unsigned long first = FRAMES_MAX; first-- > 0;) {
		unsigned long i = 0;

		if (first % align || first < from ||
		    first + nr > min(to, (unsigned long)FRAMES_MAX))
			continue;
		while (i < nr && taken[first + i] == 1)
			i++;
		if (i == nr)
			return first;
	}
	return MEMBLOCK_NONE;
}

static void random_takings_agree_with_a_model(void **state)
{
	u64 seed = 11;

	(void)state;
	for (int round = 0; round < 40; round++) {
		memset(&memblock, 0, sizeof(memblock));
		memset(taken, 0, sizeof(taken));
		for (unsigned long at = rng_below(&seed, 50); at < FRAMES_MAX;) {
			unsigned long end =
				min(at + 1 + rng_below(&seed, 400), (unsigned long)FRAMES_MAX);

			memblock.memory.regions[memblock.memory.cnt++] =
				(struct memblock_region){ at, end, (int)rng_below(&seed, 3) };
			memset(taken + at, 1, end - at);
			at = end + 1 + rng_below(&seed, 60);
		}
		memblock.free = memblock.memory;
		for (int step = 0; step < 40; step++) {
			unsigned long nr = 1 + rng_below(&seed, 60),
				      align = 1ul << rng_below(&seed, 6);
			unsigned long from = rng_below(&seed, FRAMES_MAX), to = from + 500, got;

			if (rng_below(&seed, 3) == 0) {
				from = 0;
				to = MEMBLOCK_NONE;
			}
			if (rng_below(&seed, 3) == 0) {
				assert_int_equal(memblock_reserve(from, from + nr), 0);
				for (unsigned long i = from; i < from + nr && i < FRAMES_MAX; i++)
					if (taken[i])
						taken[i] = 2;
			} else {
				unsigned long place = painted_place(nr, align, from, to);

				got = memblock_alloc_range(nr, align, from, to);
				assert_int_equal(got, place);
				if (got != MEMBLOCK_NONE)
					memset(taken + got, 2, nr);
			}
		}
		assert_as_painted();
	}
	assert_int_equal(memblock_alloc_range(0, 1, 0, MEMBLOCK_NONE), MEMBLOCK_NONE);
}

static void the_core_takes_its_tables_from_ram(void **state)
{
	unsigned long first, tables;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	tables = memblock_count(&memblock.memory, 0, MEMBLOCK_NONE) - totalram_pages();
	assert_in_range(tables, 257, 260);
	first = (64 * MiB >> PAGE_SHIFT) - tables;
	/* The CPUs' lists, a page of types, and mem_map. */
	assert_int_equal(__pa(mem_map) >> PAGE_SHIFT, first + tables - 256);
	assert_true(pfn_valid(0) && pfn_valid(first - 1));
	assert_false(pfn_valid(first) || pfn_valid(max_pfn) || pfn_valid(~0ul));
}

static void ram_behind_a_vast_hole_is_left_out(void **state)
{
	const struct e820_entry map[] = { RAM(0, 32 * MiB), RAM(1ull << 44, 16 * MiB) };

	(void)state;
	soft_log_hook = log_kept;
	boot(map, 2);
	assert_int_equal(memblock.memory.cnt, 1);
	assert_int_equal(max_pfn, 32 * MiB >> PAGE_SHIFT);
	assert_non_null(strstr(log_text, "too far up"));
}

static void no_memory_at_all(void **state)
{
	const struct e820_entry map[] = { RESERVED(0, SPAN), RAM(0, SPAN) };

	(void)state;
	assert_int_equal(soft_init_map(map, 2, SPAN, 1), -EINVAL);
	assert_int_equal(soft_init_map(map, 0, SPAN, 1), -EINVAL);
	assert_int_equal(soft_init_map(map + 1, 1, SPAN, 1), 0);
}

static void too_little_memory_says_what_is_enough(void **state)
{
	unsigned long least;

	(void)state;
	soft_log_hook = log_kept;
	for (unsigned long bytes = PAGE_SIZE; bytes <= 512 * 1024; bytes *= 2) {
		assert_int_equal(soft_init(bytes, 1), -ENOMEM);
		assert_int_equal(sscanf(strstr(log_text, "at least "), "at least %lu KiB", &least),
				 1);
	}
	assert_true(least < 2048);
	assert_int_equal(soft_init((least - 4) << 10, 1), -ENOMEM);
	assert_int_equal(soft_init(least << 10, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(a_map_as_a_pc_reports_it),
		machine_test(unsorted_overlapping_and_absurd),
		machine_test(random_maps_agree_with_a_painted_one),
		machine_test(random_takings_agree_with_a_model),
		machine_test(the_core_takes_its_tables_from_ram),
		machine_test(ram_behind_a_vast_hole_is_left_out),
		machine_test(no_memory_at_all),
		machine_test(too_little_memory_says_what_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
