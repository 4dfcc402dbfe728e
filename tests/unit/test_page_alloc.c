/* SPDX-License-Identifier: MIT */
/* The page allocator, against a model that knows who has each frame. */
#include <sys/mman.h>

#include "soft_fixture.h"

#include <quire/memblock.h>
#include <quire/reclaim.h>

#define FRAMES(bytes) ((bytes) >> PAGE_SHIFT)

/* ---- What can be seen from outside --------------------------------------------------------- */

static struct zone *zone_of(struct page *page)
{
	return &NODE_DATA(page_to_nid(page))->node_zones[page->flags >> PAGE_ZONE_SHIFT & 7];
}

static unsigned long free_blocks(unsigned int order)
{
	unsigned long blocks = 0;
	struct zone *zone;

	for_each_zone(zone) blocks += zone->free_area[order].nr_free;
	return blocks;
}

/* With all CPUs' lists empty: the free lists hold what nr_free says, and nothing else is free. */
static void assert_lists_consistent(void)
{
	struct zone *zone;

	for_each_zone(zone)
	{
		unsigned long frames = zone->ungrown_pages;

		for (unsigned int order = 0; order <= MAX_ORDER; order++) {
			unsigned long blocks = 0;

			for (int type = 0; type < MIGRATE_TYPES; type++) {
				struct page *page;

				list_for_each_entry(page, &zone->free_area[order].free_list[type],
						    lru) {
					assert_int_equal(page->page_type, PAGE_TYPE_BUDDY);
					assert_int_equal(page->private, order);
					assert_int_equal(page_to_pfn(page) % (1ul << order), 0);
					assert_ptr_equal(zone_of(page), zone);
					blocks++;
				}
			}
			assert_int_equal(blocks, zone->free_area[order].nr_free);
			frames += blocks << order;
		}
		assert_int_equal(frames, atomic_long_read(&zone->nr_free));
	}
}

/* Everything is free: no block has a free buddy left to merge with. */
static void assert_all_merged(void)
{
	struct zone *zone;

	drain_all_pages();
	assert_lists_consistent();
	for_each_zone(zone)
	{
		for (unsigned int order = 0; order < MAX_ORDER; order++) {
			for (int type = 0; type < MIGRATE_TYPES; type++) {
				struct page *page;

				list_for_each_entry(page, &zone->free_area[order].free_list[type],
						    lru) {
					struct page *buddy =
						pfn_to_page(page_to_pfn(page) ^ (1ul << order));

					assert_false(buddy->page_type == PAGE_TYPE_BUDDY &&
						     buddy->private == order);
				}
			}
		}
	}
}

static void assert_fresh(struct page *page, unsigned int order, gfp_t gfp)
{
	bool folio = order && (gfp & __GFP_COMP);
	unsigned long pfn = page_to_pfn(page);

	assert_int_equal(pfn % (1ul << order), 0);
	for (unsigned long i = 0; i < 1ul << order; i++) {
		struct page *p = page + i;

		assert_true(pfn_valid(pfn + i));
		assert_int_equal(p->flags << (64 - PAGE_ZONE_SHIFT),
				 folio && !i ? 1ul << PG_head << (64 - PAGE_ZONE_SHIFT) : 0);
		assert_int_equal(page_mapcount(p), 0);
		assert_int_equal(atomic_read(&p->_refcount), i == 0);
		assert_int_equal(atomic_read(&p->_pincount), 0);
		assert_null(p->mapping);
		assert_int_equal(p->private, folio && !i ? order : 0);
		assert_ptr_equal(compound_head(p), folio ? page : p);
	}
}

/* ---- Random operations ---------------------------------------------------------------------- */

#define MODEL_BYTES (48 * MiB)
#define MODEL_MAX 400

struct block {
	struct page *page;
	unsigned int order;
	bool folio, split;
	u64 pattern;
};

static const struct e820_entry holed_map[] = {
	{ .addr = 0, .size = 0x9fc00, .type = E820_TYPE_RAM },
	{ .addr = 0x100000, .size = 0x1f34000, .type = E820_TYPE_RAM },
	{ .addr = 0x300000, .size = 0x1000, .type = E820_TYPE_RESERVED },
	{ .addr = 0x1801000, .size = 0x2000, .type = E820_TYPE_RESERVED },
	{ .addr = 0x2200000, .size = MODEL_BYTES - 0x2200000, .type = E820_TYPE_RAM },
};

static u8 frame_taken[FRAMES(MODEL_BYTES)];
static unsigned long frames_taken;

static void stamp(struct block *b)
{
	for (unsigned long i = 0; i < 1ul << b->order; i++) {
		u64 *words = page_address(b->page + i);

		words[0] = words[511] = b->pattern + i;
		assert_int_equal(frame_taken[page_to_pfn(b->page) + i]++, 0);
	}
	frames_taken += 1ul << b->order;
}

static void unstamp(struct block *b)
{
	for (unsigned long i = 0; i < 1ul << b->order; i++) {
		u64 *words = page_address(b->page + i);

		assert_true(words[0] == b->pattern + i && words[511] == b->pattern + i);
		frame_taken[page_to_pfn(b->page) + i]--;
	}
	frames_taken -= 1ul << b->order;
}

static void assert_zero(struct page *page, unsigned int order)
{
	const u64 *words = page_address(page);

	for (unsigned long i = 0; i < (PAGE_SIZE << order) / sizeof(*words); i++)
		assert_int_equal(words[i], 0);
}

static bool model_alloc(struct block *b, u64 *seed)
{
	static const gfp_t kinds[] = { GFP_KERNEL, GFP_HIGHUSER_MOVABLE, GFP_ATOMIC,
				       GFP_KERNEL | __GFP_RECLAIMABLE, GFP_KERNEL | GFP_DMA };
	gfp_t gfp = kinds[rng_below(seed, ARRAY_SIZE(kinds))] | __GFP_NOWARN;

	b->order = rng_below(seed, 4) ? 0 : (unsigned int)rng_below(seed, MAX_ORDER + 1);
	if (rng_below(seed, 2))
		gfp |= __GFP_ZERO;
	if (rng_below(seed, 2))
		gfp |= __GFP_COMP;
	b->page = alloc_pages(gfp, b->order);
	if (!b->page)
		return false;
	assert_fresh(b->page, b->order, gfp);
	if (gfp & __GFP_DMA)
		assert_true(page_to_pfn(b->page) < FRAMES(16 * MiB));
	if (gfp & __GFP_ZERO)
		assert_zero(b->page, b->order);
	b->folio = b->order && (gfp & __GFP_COMP);
	b->split = false;
	b->pattern = rng_next(seed);
	stamp(b);
	if (!b->folio && rng_below(seed, 3) == 0) {
		split_page(b->page, b->order);
		b->split = true;
	}
	return true;
}

static void model_free(struct block *b, u64 *seed)
{
	unsigned long nr = 1ul << b->order;
	struct page *pages[1ul << MAX_ORDER];

	unstamp(b);
	if (!b->split) {
		if ((b->folio || !b->order) && rng_below(seed, 2))
			put_page(b->page + rng_below(seed, nr));
		else
			__free_pages(b->page, b->order);
		return;
	}
	for (unsigned long i = 0; i < nr; i++) {
		pages[i] = b->page + i;
		if (nr > 1)
			assert_true(atomic_dec_and_test(&pages[i]->_refcount));
	}
	if (nr > 1)
		free_unref_pages(pages, nr);
	else
		put_page(pages[0]);
}

static void model_bulk(u64 *seed)
{
	unsigned long nr = 1 + rng_below(seed, 300);
	struct page *pages[300] = { NULL };
	struct page *mine = alloc_page(GFP_KERNEL | __GFP_NOWARN);
	unsigned long hole = rng_below(seed, nr), got;
	gfp_t gfp = GFP_HIGHUSER_MOVABLE | __GFP_NOWARN | (rng_below(seed, 2) ? __GFP_ZERO : 0);

	pages[hole] = mine;
	got = alloc_pages_bulk(gfp, nr, pages);
	assert_ptr_equal(pages[hole], mine ? mine : pages[hole]);
	for (unsigned long i = 0; i < nr; i++) {
		struct block b = { .page = pages[i], .pattern = i };

		if (!pages[i])
			continue;
		got--;
		if (pages[i] != mine)
			assert_fresh(pages[i], 0, gfp);
		if (pages[i] != mine && (gfp & __GFP_ZERO))
			assert_zero(pages[i], 0);
		stamp(&b);
	}
	assert_int_equal(got, 0);
	for (unsigned long i = 0; i < nr; i++) {
		struct block b = { .page = pages[i], .pattern = i };

		if (!pages[i])
			continue;
		unstamp(&b);
		put_page(pages[i]);
	}
}

static void random_operations_on(const struct e820_entry *map, int entries, bool garbage)
{
	struct block blocks[MODEL_MAX];
	unsigned long nr = 0, all;
	u64 seed = 7 + garbage;

	soft_ram_garbage(garbage);
	assert_int_equal(soft_init_map(map, entries, MODEL_BYTES, 1), 0);
	memset(frame_taken, 0, sizeof(frame_taken));
	frames_taken = 0;
	all = nr_free_pages();
	for (int step = 0; step < 6000; step++) {
		unsigned long i = rng_below(&seed, MODEL_MAX);

		if (rng_below(&seed, 100) == 0)
			model_bulk(&seed);
		if (i < nr) {
			model_free(&blocks[i], &seed);
			blocks[i] = blocks[--nr];
		} else if (model_alloc(&blocks[nr], &seed)) {
			nr++;
		}
		assert_int_equal(nr_free_pages(), all - frames_taken);
		if (step % 500 == 0) {
			drain_local_pages();
			assert_lists_consistent();
		}
	}
	while (nr)
		model_free(&blocks[--nr], &seed);
	assert_int_equal(nr_free_pages(), all);
	assert_all_merged();
	assert_int_equal(all_vm_events(PGFREE) + (totalram_pages() - all),
			 all_vm_events(PGALLOC_DMA) + all_vm_events(PGALLOC_DMA32) +
				 all_vm_events(PGALLOC_NORMAL));
}

static void random_operations(bool garbage)
{
	random_operations_on(holed_map, ARRAY_SIZE(holed_map), garbage);
}

static void random_operations_on_three_nodes(void **state)
{
	struct e820_entry map[ARRAY_SIZE(holed_map)];

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(map); i++) {
		map[i] = holed_map[i];
		map[i].node = i == 0 ? 1 : i % 3;
	}
	random_operations_on(map, ARRAY_SIZE(map), true);
}

static void random_operations_on_zeroed_ram(void **state)
{
	(void)state;
	random_operations(false);
}

static void random_operations_on_garbage(void **state)
{
	(void)state;
	random_operations(true);
}

/* ---- Boot and growth ------------------------------------------------------------------------ */

/* Pages of the host behind mem_map that somebody has touched. */
static unsigned long mem_map_resident(void)
{
	unsigned long start = (unsigned long)mem_map & PAGE_MASK;
	unsigned long bytes = PAGE_ALIGN(max_pfn * sizeof(struct page));
	unsigned char *vec = malloc(bytes / PAGE_SIZE);
	unsigned long resident = 0;

	assert_int_equal(mincore((void *)start, bytes, vec), 0);
	for (unsigned long i = 0; i < bytes / PAGE_SIZE; i++)
		resident += vec[i] & 1;
	free(vec);
	return resident;
}

static void boot_does_not_depend_on_the_size_of_ram(void **state)
{
	unsigned long small, large;

	(void)state;
	assert_int_equal(soft_init(256 * MiB, 1), 0);
	small = mem_map_resident();
	soft_exit();
	assert_int_equal(soft_init(64 * GiB, 1), 0);
	large = mem_map_resident();
	/* A block of 1024 frames has 16 pages of struct page; boot needs one or two. */
	assert_in_range(large, 1, 40);
	assert_in_range(small, 1, 40);
	assert_in_range(nr_free_pages(), FRAMES(62 * GiB), FRAMES(64 * GiB));
}

static void fresh_frames_come_upward(void **state)
{
	struct page *pages[512] = { NULL };
	struct page *last, *page;
	int breaks = 0;

	(void)state;
	assert_int_equal(soft_init(256 * MiB, 1), 0);
	last = alloc_page(GFP_HIGHUSER_MOVABLE);
	for (int i = 0; i < 3000; i++) {
		page = alloc_page(GFP_HIGHUSER_MOVABLE);
		breaks += page != last + 1;
		last = page;
	}
	assert_in_range(breaks, 0, 3);
	for (int round = 0; round < 4; round++) {
		memset(pages, 0, sizeof(pages));
		assert_int_equal(alloc_pages_bulk(GFP_HIGHUSER_MOVABLE, 512, pages), 512);
		for (int i = 1; i < 512; i++)
			breaks += pages[i] != pages[i - 1] + 1;
	}
	assert_in_range(breaks, 0, 8);
}

static void frames_freed_together_come_back_in_order(void **state)
{
	struct page *pages[8] = { NULL };

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	assert_int_equal(alloc_pages_bulk(GFP_HIGHUSER_MOVABLE, 8, pages), 8);
	for (int i = 0; i < 8; i++)
		atomic_set(&pages[i]->_refcount, 0);
	free_unref_pages(pages, 8);
	for (int i = 0; i < 8; i++)
		assert_ptr_equal(alloc_page(GFP_HIGHUSER_MOVABLE), pages[i]);
}

static void never_used_frames_are_not_cleared_again(void **state)
{
	struct page *page, *next;
	unsigned char *bytes;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	page = alloc_page(GFP_HIGHUSER_MOVABLE);
	bytes = page_address(page + 1);
	bytes[17] = 0x77; /* nobody can: it shows whether the allocator writes */
	next = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_ZERO);
	assert_ptr_equal(next, page + 1);
	assert_int_equal(bytes[17], 0x77);
	__free_page(next);
	assert_ptr_equal(alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_ZERO), next);
	assert_int_equal(bytes[17], 0);
}

static void every_frame_can_be_had_once(void **state)
{
	static u8 seen[FRAMES(MODEL_BYTES)];
	unsigned long got = 0, all;
	struct page *page;

	(void)state;
	memset(seen, 0, sizeof(seen));
	soft_ram_garbage(true);
	assert_int_equal(soft_init_map(holed_map, ARRAY_SIZE(holed_map), MODEL_BYTES, 1), 0);
	all = nr_free_pages();
	while ((page = alloc_page(GFP_NOWAIT | __GFP_MEMALLOC))) {
		assert_true(pfn_valid(page_to_pfn(page)));
		assert_int_equal(seen[page_to_pfn(page)]++, 0);
		got++;
	}
	assert_int_equal(got, all);
	assert_int_equal(nr_free_pages(), 0);
	assert_null(alloc_pages(GFP_KERNEL | __GFP_NOWARN, 0));
}

/* ---- Zones, watermarks, types ---------------------------------------------------------------- */

static void zones_fall_back_downward(void **state)
{
	unsigned long in_normal = 0, in_dma32 = 0;
	struct page *page;

	(void)state;
	assert_int_equal(soft_init(4 * GiB + 96 * MiB, 1), 0);
	while ((page = alloc_page(GFP_NOWAIT)) && page_to_pfn(page) >= FRAMES(4 * GiB))
		in_normal++;
	assert_in_range(in_normal, FRAMES(20 * MiB), FRAMES(32 * MiB));
	for (; page && page_to_pfn(page) >= FRAMES(16 * MiB) && in_dma32 < 1000; in_dma32++)
		page = alloc_page(GFP_NOWAIT);
	assert_int_equal(in_dma32, 1000);
	page = alloc_page(GFP_NOWAIT | GFP_DMA);
	assert_true(page_to_pfn(page) < FRAMES(16 * MiB));
	page = alloc_page(GFP_NOWAIT | GFP_DMA32);
	assert_true(page_to_pfn(page) < FRAMES(4 * GiB));
}

static unsigned long take_all(gfp_t gfp, struct list_head *taken)
{
	unsigned long nr = 0;
	struct page *page;

	while ((page = alloc_page(gfp | __GFP_NOWARN))) {
		list_add(&page->lru, taken);
		nr++;
	}
	return nr;
}

static void free_all(struct list_head *taken)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, taken, lru) {
		page->lru.next = NULL;
		__free_page(page);
	}
}

static void reserves_are_for_those_who_need_them(void **state)
{
	unsigned long all, after_kernel, after_atomic;
	LIST_HEAD(taken);

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	all = nr_free_pages();
	take_all(GFP_KERNEL, &taken);
	after_kernel = nr_free_pages();
	/* 4 * sqrt(63 MiB in KiB) = 1016 KiB, and a little reserve of ZONE_DMA. */
	assert_in_range(after_kernel, 240, 420);
	assert_true(take_all(GFP_ATOMIC, &taken) > 0);
	after_atomic = nr_free_pages();
	assert_in_range(after_atomic, 60, after_kernel - 60);
	assert_int_equal(take_all(GFP_KERNEL, &taken), 0);
	assert_int_equal(take_all(GFP_KERNEL | __GFP_MEMALLOC, &taken), after_atomic);
	free_all(&taken);
	assert_int_equal(nr_free_pages(), all);
	assert_all_merged();
}

static void the_reserves_follow_the_settings(void **state)
{
	unsigned long least = 0, low = 0;
	struct zone *zone;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	assert_in_range(min_free_kbytes, 1000, 1024); /* 4 * sqrt(65536 - what boot took) */
	min_free_kbytes = 8192;
	watermark_scale_factor = 1000;
	sysctl_lowmem_reserve_ratio[ZONE_DMA] = 0;
	setup_per_zone_wmarks();
	for_each_zone(zone)
	{
		unsigned long managed = (unsigned long)atomic_long_read(&zone->managed_pages);

		least += zone->watermark[WMARK_MIN];
		low += zone->watermark[WMARK_LOW];
		assert_in_range(zone->watermark[WMARK_LOW] - zone->watermark[WMARK_MIN],
				managed / 10, managed / 10 + 1);
		assert_int_equal(zone->lowmem_reserve[ZONE_NORMAL], 0);
	}
	assert_in_range(least, FRAMES(8 * MiB) - 3, FRAMES(8 * MiB));
	assert_in_range(nr_free_pages(), low, FRAMES(64 * MiB));
	min_free_kbytes = INT_MAX;
	setup_per_zone_wmarks();
	assert_non_null(alloc_page(GFP_ATOMIC));
	soft_exit();
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	assert_in_range(min_free_kbytes, 1000, 1024);
}

static void types_keep_apart_and_help_out(void **state)
{
	struct page *movable[2000], *unmovable[200];
	unsigned long all, got;
	LIST_HEAD(taken);

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	all = nr_free_pages();
	for (int i = 0; i < 2000; i++) {
		movable[i] = alloc_page(GFP_HIGHUSER_MOVABLE);
		if (i % 10 == 0)
			unmovable[i / 10] = alloc_page(GFP_KERNEL);
	}
	/* The blocks between the unmovable ones come together again. */
	for (int i = 0; i < 2000; i++)
		__free_page(movable[i]);
	drain_all_pages();
	assert_true(free_blocks(MAX_ORDER) >= 1);
	got = take_all(GFP_HIGHUSER_MOVABLE, &taken);
	assert_in_range(got, all - 200 - 420, all - 200);
	free_all(&taken);
	for (int i = 0; i < 200; i++)
		__free_page(unmovable[i]);
	assert_int_equal(nr_free_pages(), all);
	assert_all_merged();
}

/* ---- Failure --------------------------------------------------------------------------------- */

static void the_nth_allocation_fails(void **state)
{
	struct page *pages[4] = { NULL };

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	fail_page_alloc.nth = 3;
	__free_page(alloc_page(GFP_KERNEL));
	__free_page(alloc_page(GFP_KERNEL));
	__free_page(alloc_page(GFP_KERNEL | __GFP_NOFAIL)); /* does not ask */
	assert_null(alloc_pages(GFP_KERNEL, 2));
	__free_page(alloc_page(GFP_KERNEL));
	assert_int_equal(atomic_long_read(&fail_page_alloc.failed), 1);
	assert_int_equal(atomic_long_read(&fail_page_alloc.calls), 3);

	fail_page_alloc.nth = 1;
	assert_int_equal(alloc_pages_bulk(GFP_KERNEL, 4, pages), 0);
	atomic_long_set(&fail_page_alloc.calls, 0);
	fail_page_alloc.interval = 2;
	for (int i = 0; i < 10; i++) {
		struct page *page = alloc_page(GFP_KERNEL);

		assert_int_equal(page == NULL, i % 2);
		if (page)
			__free_page(page);
	}
	assert_null(alloc_pages(GFP_KERNEL, MAX_ORDER + 1));
}

static void a_block_with_another_holder_loses_its_tail(void **state)
{
	unsigned long all;
	struct page *page;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	all = nr_free_pages();
	page = alloc_pages(GFP_KERNEL, 4);
	get_page(page);
	__free_pages(page, 4);
	assert_int_equal(nr_free_pages(), all - 1);
	put_page(page);
	assert_int_equal(nr_free_pages(), all);
	assert_all_merged();
}

static struct page *machine_and_page(unsigned int order, gfp_t gfp)
{
	soft_exit();
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	return alloc_pages(gfp, order);
}

static void broken_frees_name_the_frame(void **state)
{
	struct page *page;
	char pfn[32];

	(void)state;
	page = machine_and_page(0, GFP_KERNEL);
	__free_page(page);
	snprintf(pfn, sizeof(pfn), "pfn %#lx: freed twice", page_to_pfn(page));
	assert_panics(__free_page(page), pfn);

	page = machine_and_page(4, GFP_KERNEL);
	__free_pages(page, 4);
	assert_panics(__free_pages(page + 3, 0), "freed twice");
	page = machine_and_page(2, GFP_KERNEL);
	split_page(page, 2);
	assert_panics(__free_pages(page, 2), "freed with references");
	page = machine_and_page(2, GFP_KERNEL | __GFP_COMP);
	assert_panics(__free_pages(page, 1), "wrong order");
	page = machine_and_page(2, GFP_KERNEL | __GFP_COMP);
	assert_panics(__free_pages(page + 1, 0), "wrong order");
	page = machine_and_page(2, GFP_KERNEL | __GFP_COMP);
	assert_panics(split_page(page, 2), "not split");
	page = machine_and_page(3, GFP_KERNEL);
	atomic_set(&page[1]._refcount, 1);
	assert_panics(__free_pages(page + 1, 3), "wrong order");
	page = machine_and_page(0, GFP_KERNEL);
	atomic_inc(&page->_mapcount);
	assert_panics(__free_page(page), "freed while mapped");
	page = machine_and_page(0, GFP_KERNEL);
	atomic_inc(&page->_pincount);
	assert_panics(put_page(page), "freed while pinned");
	page = machine_and_page(0, GFP_KERNEL);
	SetPageLocked(page);
	assert_panics(__free_page(page), "flags set");
	page = machine_and_page(0, GFP_KERNEL);
	page->mapping = (struct address_space *)&page;
	assert_panics(__free_page(page), "page cache");
	page = machine_and_page(0, GFP_KERNEL);
	page->mapping = (struct address_space *)((unsigned long)&page | 1);
	__free_page(page);
}

/* ---- Two CPUs -------------------------------------------------------------------------------- */

#define MAILBOX 64

static struct page *mailbox[MAILBOX]; /* frames on their way to whoever takes them */

static void exchange_frames(unsigned int cpu, void *arg)
{
	u64 seed = 99 + cpu;

	(void)arg;
	for (int step = 0; step < 30000; step++) {
		unsigned long slot = rng_below(&seed, MAILBOX);
		unsigned int order = rng_below(&seed, 8) ? 0 : (unsigned int)rng_below(&seed, 6);
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_NOWARN, order);

		if (page)
			*(u64 *)page_address(page) = page_to_pfn(page);
		page = __atomic_exchange_n(&mailbox[slot], page, __ATOMIC_ACQ_REL);
		if (!page)
			continue;
		if (*(u64 *)page_address(page) != page_to_pfn(page))
			abort();
		put_page(page);
	}
}

static void two_cpus_exchange_frames(void **state)
{
	unsigned long all;

	(void)state;
	assert_int_equal(soft_init(32 * MiB, 2), 0);
	all = nr_free_pages();
	on_cpus(2, exchange_frames, NULL);
	for (int i = 0; i < MAILBOX; i++) {
		if (mailbox[i])
			put_page(mailbox[i]);
		mailbox[i] = NULL;
	}
	assert_int_equal(nr_free_pages(), all);
	assert_all_merged();
}

static void exhaust(unsigned int cpu, void *arg)
{
	unsigned long *got = arg;
	LIST_HEAD(taken);

	for (int round = 0; round < 20; round++) {
		got[cpu] += take_all(GFP_KERNEL, &taken);
		free_all(&taken);
		INIT_LIST_HEAD(&taken);
	}
}

static void two_cpus_run_out_of_memory(void **state)
{
	unsigned long got[2] = { 0, 0 };
	unsigned long all;

	(void)state;
	assert_int_equal(soft_init(8 * MiB, 2), 0);
	all = nr_free_pages();
	on_cpus(2, exhaust, got);
	assert_true(got[0] && got[1]);
	assert_int_equal(nr_free_pages(), all);
	assert_all_merged();
}

/* ---- Nodes ------------------------------------------------------------------------------------ */

/* Node 0 on both sides of node 2; a border in the middle of a block; node 1 does not exist. */
static const struct e820_entry node_map[] = {
	{ .addr = 0, .size = 40 * MiB, .type = E820_TYPE_RAM, .node = 0 },
	{ .addr = 40 * MiB, .size = 30 * MiB, .type = E820_TYPE_RAM, .node = 2 },
	{ .addr = 70 * MiB, .size = 26 * MiB, .type = E820_TYPE_RAM, .node = 0 },
	{ .addr = 100 * MiB, .size = 28 * MiB, .type = E820_TYPE_RAM, .node = 3 },
};

static void boot_nodes(void)
{
	assert_int_equal(soft_init_map(node_map, ARRAY_SIZE(node_map), 128 * MiB, 2), 0);
}

static void each_frame_has_its_node_and_zone(void **state)
{
	unsigned long managed = 0;
	struct page *page;
	struct zone *zone;

	(void)state;
	boot_nodes();
	assert_int_equal(nr_node_ids, 4);
	assert_true(node_online(0) && node_online(2) && node_online(3));
	assert_false(node_online(1) || node_online(4) || node_online(-1));
	for_each_zone(zone) managed += (unsigned long)atomic_long_read(&zone->managed_pages);
	assert_int_equal(managed, memblock_count(&memblock.free, 0, MEMBLOCK_NONE));
	assert_int_equal(memblock_count(&memblock.memory, 0, MEMBLOCK_NONE), FRAMES(124 * MiB));
	while ((page = alloc_page(GFP_NOWAIT | __GFP_MEMALLOC))) {
		unsigned long pfn = page_to_pfn(page);
		/* The block at 68 MiB is begun by node 2, and is its own as a whole. */
		int nid = pfn < FRAMES(40 * MiB)   ? 0
			  : pfn < FRAMES(72 * MiB) ? 2
			  : pfn < FRAMES(96 * MiB) ? 0
						   : 3;

		assert_true(pfn_valid(pfn) && pfn_is_grown(pfn));
		assert_int_equal(page_to_nid(page), nid);
		assert_int_equal(zone_idx(zone_of(page)),
				 pfn < FRAMES(16 * MiB) ? ZONE_DMA : ZONE_DMA32);
		managed--;
	}
	assert_in_range(managed, 0, 300); /* what boot has taken */
	assert_false(pfn_is_grown(FRAMES(98 * MiB)));
}

static void allocations_come_from_the_nearest_node(void **state)
{
	static const int order[] = { 3, 0, 2 };
	unsigned long seen[4] = { 0 };
	struct page *page;
	int last = 0;

	(void)state;
	soft_node_distance(3, 0, 15);
	boot_nodes();
	soft_node_distance(3, 0, 0);
	assert_int_equal(node_distance(3, 3), 10);
	assert_int_equal(node_distance(3, 0), 15);
	assert_int_equal(node_distance(0, 3), 20);
	assert_int_equal(page_to_nid(alloc_pages_node(2, GFP_KERNEL, 0)), 2);
	assert_int_equal(page_to_nid(alloc_pages_node(3, GFP_KERNEL, 5)), 3);
	assert_int_equal(page_to_nid(alloc_pages_node(1, GFP_KERNEL, 0)), numa_node_id());
	assert_int_equal(page_to_nid(alloc_pages_node(NUMA_NO_NODE, GFP_KERNEL, 0)),
			 numa_node_id());
	/* Until all are low: then it begins again with the reserves of the first. */
	while (seen[2] < 3000 && (page = alloc_pages_node(3, GFP_NOWAIT, 0))) {
		int nid = page_to_nid(page);

		while (order[last] != nid)
			assert_in_range(++last, 0, 2);
		seen[nid]++;
	}
	assert_true(seen[3] > 5000 && seen[0] > 5000 && seen[2] == 3000);
}

static void this_node_means_this_node(void **state)
{
	unsigned long got = 0;
	struct page *page;

	(void)state;
	boot_nodes();
	while ((page = alloc_pages_node(2, GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN, 0))) {
		assert_int_equal(page_to_nid(page), 2);
		got++;
	}
	assert_in_range(got, FRAMES(28 * MiB), FRAMES(32 * MiB));
	assert_non_null(alloc_pages_node(2, GFP_KERNEL, 0));
}

static void on_its_cpu(unsigned int cpu, void *arg)
{
	int *nodes = arg;

	nodes[cpu] = page_to_nid(alloc_page(GFP_KERNEL));
}

static void a_cpu_has_its_node(void **state)
{
	const struct e820_entry map[] = {
		{ .addr = 0, .size = 32 * MiB, .type = E820_TYPE_RAM, .node = 0 },
		{ .addr = 32 * MiB, .size = 32 * MiB, .type = E820_TYPE_RAM, .node = 1 },
	};
	int nodes[2] = { -1, -1 };

	(void)state;
	assert_int_equal(soft_init_map(map, 2, 64 * MiB, 2), 0);
	on_cpus(2, on_its_cpu, nodes);
	assert_int_equal(nodes[0], 0);
	assert_int_equal(nodes[1], 1);
}

static void all_memory_on_another_node(void **state)
{
	const struct e820_entry map[] = {
		{ .addr = 0, .size = 64 * MiB, .type = E820_TYPE_RAM, .node = 5 },
	};
	struct page *page;

	(void)state;
	assert_int_equal(soft_init_map(map, 1, 64 * MiB, 1), 0);
	page = alloc_page(GFP_KERNEL);
	assert_int_equal(page_to_nid(page), 5);
	assert_int_equal(numa_node_id(), 5);
	__free_page(page);
}

/* ---- Small blocks, exact sizes, broken use ---------------------------------------------------- */

static void small_blocks_come_from_the_lists_of_a_cpu(void **state)
{
	struct page *pages[4], *again;
	struct zone *zone;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	for (unsigned int order = 0; order <= PAGE_ALLOC_COSTLY_ORDER; order++) {
		pages[order] = alloc_pages(GFP_KERNEL, order);
		zone = zone_of(pages[order]);
		assert_true(zone->pcp[0].count >= 0 && zone->pcp[0].count <= zone->pcp[0].high);
	}
	for (unsigned int order = 0; order <= PAGE_ALLOC_COSTLY_ORDER; order++) {
		long before = atomic_long_read(&zone->nr_free);

		__free_pages(pages[order], order);
		assert_int_equal(atomic_long_read(&zone->nr_free), before);
		again = alloc_pages(GFP_KERNEL, order);
		assert_ptr_equal(again, pages[order]);
		__free_pages(again, order);
	}
	drain_all_pages();
	assert_int_equal(zone->pcp[0].count, 0);
	assert_all_merged();
}

static void exact_sizes_waste_nothing(void **state)
{
	unsigned long free;
	char *p;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	free = nr_free_pages();
	p = alloc_pages_exact(5 * PAGE_SIZE + 1, GFP_KERNEL | __GFP_ZERO);
	assert_int_equal(nr_free_pages(), free - 6);
	for (unsigned long i = 0; i < 6 * PAGE_SIZE; i++)
		assert_int_equal(p[i], 0);
	free_pages_exact(p, 5 * PAGE_SIZE + 1);
	assert_int_equal(nr_free_pages(), free);
	assert_null(alloc_pages_exact(0, GFP_KERNEL));
	assert_null(alloc_pages_exact((PAGE_SIZE << MAX_ORDER) + 1, GFP_KERNEL));
	assert_all_merged();
}

#ifdef CONFIG_DEBUG_VM
static void assert_names_both(void)
{
	unsigned long allocated = 0, freed = 0;

	assert_int_equal(sscanf(strstr(panic_text, "allocated at "),
				"allocated at %lx, freed at %lx", &allocated, &freed),
			 2);
	assert_true(allocated > (unsigned long)&nr_node_ids - GiB * 4 && allocated != freed);
}

static void debug_builds_say_who_it_was(void **state)
{
	struct page *page;
	char *bytes;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	page = alloc_page(GFP_KERNEL);
	__free_page(page);
	assert_panics(__free_page(page), "freed twice");
	assert_names_both();
	soft_exit();

	assert_int_equal(soft_init(64 * MiB, 1), 0);
	page = alloc_page(GFP_KERNEL);
	bytes = page_address(page);
	__free_page(page);
	bytes[77] = 1;
	assert_panics(alloc_page(GFP_KERNEL), "written to after it was freed");
	assert_names_both();
	soft_exit();

	assert_int_equal(soft_init(64 * MiB, 1), 0);
	page = alloc_pages(GFP_KERNEL, 3);
	assert_panics(__free_pages(page, 2), "smaller order");
	soft_exit();

	assert_int_equal(soft_init(64 * MiB, 1), 0);
	/* What follows is free: that is noticed first. */
	page = alloc_pages(GFP_KERNEL, 2);
	assert_panics(__free_pages(page, 3), "freed twice");
	soft_exit();

	assert_int_equal(soft_init(64 * MiB, 1), 0);
	page = alloc_pages(GFP_KERNEL, 3);
	atomic_set(&page[4]._refcount, 1);
	assert_panics(__free_pages(page + 4, 2), "middle of a block");
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(random_operations_on_zeroed_ram),
		machine_test(random_operations_on_garbage),
		machine_test(random_operations_on_three_nodes),
		machine_test(boot_does_not_depend_on_the_size_of_ram),
		machine_test(fresh_frames_come_upward),
		machine_test(frames_freed_together_come_back_in_order),
		machine_test(never_used_frames_are_not_cleared_again),
		machine_test(every_frame_can_be_had_once),
		machine_test(zones_fall_back_downward),
		machine_test(reserves_are_for_those_who_need_them),
		machine_test(the_reserves_follow_the_settings),
		machine_test(types_keep_apart_and_help_out),
		machine_test(the_nth_allocation_fails),
		machine_test(a_block_with_another_holder_loses_its_tail),
		machine_test(broken_frees_name_the_frame),
		machine_test(two_cpus_exchange_frames),
		machine_test(two_cpus_run_out_of_memory),
		machine_test(each_frame_has_its_node_and_zone),
		machine_test(allocations_come_from_the_nearest_node),
		machine_test(this_node_means_this_node),
		machine_test(a_cpu_has_its_node),
		machine_test(all_memory_on_another_node),
		machine_test(small_blocks_come_from_the_lists_of_a_cpu),
		machine_test(exact_sizes_waste_nothing),
#ifdef CONFIG_DEBUG_VM
		machine_test(debug_builds_say_who_it_was),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
