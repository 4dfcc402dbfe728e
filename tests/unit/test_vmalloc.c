/* SPDX-License-Identifier: MIT */
/* vmalloc: areas against a model, what a stray access meets, and when addresses come back. */
#include <errno.h>
#include <unistd.h>

#include "soft_fixture.h"

#include <quire/vmalloc.h>

#define PAGES(n) ((unsigned long)(n)*PAGE_SIZE)

/* ---- What can be seen from outside --------------------------------------------------------- */

/* Whether the kernel's load from there would fault. */
static bool is_mapped(const void *addr)
{
	int fds[2];
	bool mapped;

	assert_int_equal(pipe(fds), 0);
	mapped = write(fds[1], addr, 1) == 1;
	close(fds[0]);
	close(fds[1]);
	return mapped;
}

struct balance {
	unsigned long frames, objects;
};

static struct balance balance_now(void)
{
	struct balance b;

	vm_unmap_aliases();
	b.objects = kmem_cache_shrink_all();
	drain_all_pages();
	b.frames = nr_free_pages();
	return b;
}

static void assert_balance(struct balance before)
{
	struct vmap_info info;
	struct balance now = balance_now();

	assert_false(vmalloc_info(0, &info));
	assert_int_equal(vmalloc_nr_pages(), 0);
	assert_int_equal(now.objects, before.objects);
	assert_int_equal(now.frames, before.frames);
}

static struct balance boot(void)
{
	soft_ram_garbage(true);
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	return balance_now();
}

static int down(void **state)
{
	soft_vmalloc_bytes(4 * GiB);
	return machine_down(state);
}

#define vmalloc_test(fn) cmocka_unit_test_teardown(fn, down)

/* ---- One area -------------------------------------------------------------------------------- */

static void an_area_is_its_frames_one_behind_the_other(void **state)
{
	struct balance before = boot();
	unsigned long free = nr_free_pages();
	unsigned char *area = vmalloc(PAGES(100) + 1);

	(void)state;
	assert_non_null(area);
	assert_true(is_vmalloc_addr(area) && is_vmalloc_addr(area + PAGES(101) - 1));
	assert_int_equal(vmalloc_nr_pages(), 101);
	assert_true(free - nr_free_pages() >= 101);
	for (unsigned long i = 0; i < PAGES(101); i++)
		area[i] = (unsigned char)(i / PAGE_SIZE + i);
	for (unsigned long i = 0; i < 101; i++) {
		struct page *page = vmalloc_to_page(area + PAGES(i));
		unsigned char *frame = page_address(page);

		assert_int_equal(vmalloc_to_pfn(area + PAGES(i)), page_to_pfn(page));
		assert_int_equal(page_count(page), 1);
		assert_int_equal(frame[5], (unsigned char)(i + 5));
	}
	assert_null(vmalloc_to_page(area + PAGES(101)));
	vfree(area);
	assert_balance(before);
}

static void zeroed_means_zeroed(void **state)
{
	struct balance before = boot();
	unsigned char *area = vzalloc(PAGES(300));

	(void)state;
	for (unsigned long i = 0; i < PAGES(300); i++)
		assert_int_equal(area[i], 0);
	vfree(area);
	area = vzalloc_node(PAGES(3), 0);
	for (unsigned long i = 0; i < PAGES(3); i++)
		assert_int_equal(area[i], 0);
	vfree(area);
	assert_balance(before);
}

static void what_lies_around_an_area_says_what_it_is(void **state)
{
	struct balance before = boot();
	char *area = vmalloc(PAGES(3)), *next = vmalloc(PAGES(1));
	char text[200];

	(void)state;
	assert_true(is_mapped(area) && is_mapped(area + PAGES(3) - 1));
	assert_false(is_mapped(area + PAGES(3)));
	assert_true(vmalloc_fault((unsigned long)area));
	assert_false(vmalloc_fault((unsigned long)area + PAGES(3)));
	assert_false(vmalloc_fault(vmalloc_base - 1));
	assert_ptr_equal(next, area + PAGES(4)); /* with the guard in between */

	vmalloc_describe((unsigned long)area + PAGES(3) + 8, text, sizeof(text));
	assert_non_null(strstr(text, "guard page behind the vmalloc area of 3 pages"));
	vmalloc_describe((unsigned long)next + PAGES(9), text, sizeof(text));
	assert_string_equal(text, "in no vmalloc area");
	vfree(next);
	vmalloc_describe((unsigned long)next, text, sizeof(text));
	assert_non_null(strstr(text, "that was freed"));
	vfree(area);
	assert_balance(before);
}

static void missing_translations_are_supplied(void **state)
{
	struct balance before = boot();
	char *area = vzalloc(PAGES(600));
	struct machine_range range = { (unsigned long)area, (unsigned long)area + PAGES(600) };

	(void)state;
	strcpy(area + PAGES(599), "the end");
	machine_tlb_flush_kernel(&range, 1);
	assert_false(is_mapped(area));
	assert_true(vmalloc_fault((unsigned long)area + PAGES(70) + 123));
	assert_true(is_mapped(area + PAGES(64)) && is_mapped(area + PAGES(127)));
	assert_false(is_mapped(area + PAGES(63)) || is_mapped(area + PAGES(128)));
	assert_false(is_mapped(area + PAGES(599)));
	/* The access itself, as a kernel makes it. */
	assert_string_equal(area + PAGES(599), "the end");
	vfree(area);
	assert_false(vmalloc_fault((unsigned long)area));
	assert_balance(before);
}

static void frames_can_be_mapped_twice(void **state)
{
	struct balance before = boot();
	struct page *pages[3], **own;
	char *first, *second;

	(void)state;
	for (int i = 0; i < 3; i++)
		pages[i] = alloc_page(GFP_KERNEL);
	first = vmap(pages, 3, VM_MAP, PAGE_KERNEL);
	second = vmap(pages, 3, VM_MAP, PAGE_KERNEL_RO);
	strcpy(first + PAGE_SIZE - 4, "over the edge");
	assert_string_equal(second + PAGE_SIZE - 4, "over the edge");
	vunmap(first);
	vunmap(second);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(page_count(pages[i]), 1);
		__free_page(pages[i]);
	}
	own = kvcalloc(2, sizeof(*own), GFP_KERNEL);
	own[0] = alloc_page(GFP_KERNEL);
	own[1] = alloc_page(GFP_KERNEL);
	first = vmap(own, 2, VM_MAP_PUT_PAGES, PAGE_KERNEL);
	assert_non_null(first);
	vfree(first);
	assert_null(vmap(pages, 0, VM_MAP, PAGE_KERNEL));
	assert_balance(before);
}

static void large_areas_come_in_large_pieces(void **state)
{
	struct balance before = boot();
	char *area = vmalloc_huge(2 * PMD_SIZE + PAGE_SIZE, GFP_KERNEL);
	unsigned long first = vmalloc_to_pfn(area), second = vmalloc_to_pfn(area + PMD_SIZE);

	(void)state;
	assert_int_equal((unsigned long)area % PMD_SIZE, 0);
	assert_int_equal(first % 512, 0);
	assert_int_equal(second % 512, 0);
	for (unsigned long i = 0; i < 512; i++) {
		assert_int_equal(vmalloc_to_pfn(area + PAGES(i)), first + i);
		assert_int_equal(vmalloc_to_pfn(area + PMD_SIZE + PAGES(i)), second + i);
	}
	vfree(area);
	assert_balance(before);
}

static void either_way_of_allocation(void **state)
{
	struct balance before = boot();
	char *small = kvzalloc(100, GFP_KERNEL), *large = kvzalloc(PAGES(40), GFP_KERNEL);

	(void)state;
	assert_false(is_vmalloc_addr(small));
	assert_true(is_vmalloc_addr(large));
	strcpy(small, "kept");
	small = kvrealloc(small, 100, PAGES(50), GFP_KERNEL);
	assert_true(is_vmalloc_addr(small));
	assert_string_equal(small, "kept");
	assert_null(kvcalloc(~0ul / 8, 9, GFP_KERNEL));
	kvfree(small);
	kvfree(large);
	kvfree(NULL);
	assert_balance(before);
}

static void without_space_there_is_kmalloc(void **state)
{
	char *p;

	(void)state;
	soft_vmalloc_bytes(0);
	assert_int_equal(soft_init(64 * MiB, 1), 0);
	assert_null(vmalloc(1));
	p = kvmalloc(PAGES(40), GFP_KERNEL);
	assert_non_null(p);
	kvfree(p);
}

static void what_begins_no_area_is_not_freed(void **state)
{
	char *area;

	(void)state;
	boot();
	soft_log_hook = log_kept;
	area = vmalloc(PAGES(2));
	assert_panics(vfree(area + PAGE_SIZE), "BUG_ON");
	assert_non_null(strstr(log_text, "no vmalloc area begins at"));
}

/* ---- Addresses ------------------------------------------------------------------------------- */

static void addresses_wait_for_one_flush_of_many(void **state)
{
	struct balance before = boot();
	u64 flushes = soft_tlb_stats().kernel_flushes;
	char *first = vmalloc(PAGES(1)), *area;

	(void)state;
	vfree(first);
	for (unsigned long bytes = 0; bytes < 31 * MiB; bytes += PAGES(101)) {
		area = vmalloc(PAGES(100));
		assert_ptr_not_equal(area, first);
		vfree(area);
	}
	assert_int_equal(soft_tlb_stats().kernel_flushes, flushes);
	for (int i = 0; i < 3; i++)
		vfree(vmalloc(PAGES(100)));
	assert_int_equal(soft_tlb_stats().kernel_flushes, flushes + 1);
	area = vmalloc(PAGES(1));
	assert_ptr_equal(area, first);
	vfree(area);
	assert_balance(before);
}

static void a_full_space_is_purged_for_more(void **state)
{
	struct balance before;
	char *areas[16];

	(void)state;
	soft_vmalloc_bytes(PAGES(64));
	before = boot();
	assert_null(vmalloc(PAGES(64))); /* no room for the guard */
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 16; i++) {
			areas[i] = vmalloc(PAGES(3));
			assert_non_null(areas[i]);
		}
		assert_null(vmalloc(PAGES(1)));
		for (int i = 0; i < 16; i++)
			vfree(areas[i]);
	}
	areas[0] = vmalloc(PAGES(63));
	assert_ptr_equal(areas[0], (void *)vmalloc_base);
	vfree(areas[0]);
	assert_balance(before);
}

static void absurd_sizes(void **state)
{
	struct balance before = boot();

	(void)state;
	assert_null(vmalloc(0));
	assert_null(vmalloc(~0ul));
	assert_null(vmalloc(~0ul - PAGE_SIZE));
	assert_null(vmalloc(65 * MiB));
	vfree(NULL);
	vunmap(NULL);
	assert_balance(before);
}

/* ---- Random operations ----------------------------------------------------------------------- */

#define MODEL_MAX 60

struct model_area {
	u64 *addr;
	unsigned long pages;
	u64 pattern;
	bool huge;
};

static void model_check(const struct model_area *m, bool write)
{
	for (unsigned long i = 0; i < m->pages; i++) {
		u64 *word = m->addr + i * 512 + i % 512;

		if (write)
			*word = m->pattern + i;
		assert_int_equal(*word, m->pattern + i);
	}
}

/* No two areas share an address, and each has its guard. */
static void model_layout(const struct model_area *areas, int nr)
{
	struct vmap_info info;
	unsigned long end = 0;
	int in_use = 0;

	for (unsigned long addr = 0; vmalloc_info(addr, &info); addr = info.end) {
		assert_true(info.start >= end && info.end > info.start);
		assert_true(info.start >= VMALLOC_START && info.end <= VMALLOC_END);
		end = info.end;
		if (info.unpurged)
			continue;
		in_use++;
		assert_int_equal(info.end - info.start, PAGES(info.nr_pages + 1));
		assert_false(is_mapped((void *)(info.end - PAGE_SIZE)));
	}
	for (int i = 0; i < nr; i++)
		assert_true(vmalloc_info((unsigned long)areas[i].addr, &info) &&
			    info.start == (unsigned long)areas[i].addr);
	assert_int_equal(in_use, nr);
}

static void random_operations(void **state)
{
	struct model_area areas[MODEL_MAX];
	struct balance before;
	u64 seed = 3;
	int nr = 0;

	(void)state;
	soft_vmalloc_bytes(24 * MiB);
	before = boot();
	for (int step = 0; step < 4000; step++) {
		int i = (int)rng_below(&seed, MODEL_MAX);

		if (i < nr) {
			model_check(&areas[i], false);
			vfree(areas[i].addr);
			areas[i] = areas[--nr];
		} else {
			struct model_area *m = &areas[nr];

			m->huge = rng_below(&seed, 30) == 0;
			m->pages = 1 + (m->huge ? 512 + rng_below(&seed, 700)
						: rng_below(&seed, rng_below(&seed, 2) ? 4 : 150));
			m->pattern = rng_next(&seed);
			m->addr = m->huge ? vmalloc_huge(PAGES(m->pages), GFP_KERNEL | __GFP_NOWARN)
					  : __vmalloc(PAGES(m->pages), GFP_KERNEL | __GFP_NOWARN);
			if (!m->addr)
				continue;
			model_check(m, true);
			nr++;
		}
		if (step % 200 == 0)
			model_layout(areas, nr);
		if (step % 700 == 0)
			vm_unmap_aliases();
	}
	while (nr--) {
		model_check(&areas[nr], false);
		vfree(areas[nr].addr);
	}
	assert_balance(before);
}

/* ---- Failure --------------------------------------------------------------------------------- */

static bool do_everything(struct page **pages)
{
	void *a = vmalloc(PAGES(700)), *b = a ? vmalloc_huge(2 * PMD_SIZE, GFP_KERNEL) : NULL;
	void *c = b ? vmap(pages, 2, VM_MAP, PAGE_KERNEL) : NULL;

	vfree(a);
	vfree(b);
	vunmap(c);
	return c;
}

static void each_allocation_may_fail(void **state)
{
	struct fault_attr *points[] = { &fail_page_alloc, &failslab };
	struct balance before = boot();
	struct page *pages[2];
	long failures[2] = { 0 };

	(void)state;
	soft_log_hook = log_kept;
	for (int i = 0; i < 2; i++)
		pages[i] = alloc_page(GFP_KERNEL);
	before = balance_now();
	for (int p = 0; p < 2; p++) {
		for (long nth = 1;; nth++) {
			bool done, failed;

			points[p]->nth = nth;
			done = do_everything(pages);
			failed = points[p]->nth == 0;
			points[p]->nth = 0;
			failures[p] += !done;
			assert_balance(before);
			if (!failed) {
				assert_true(done);
				break;
			}
		}
	}
	assert_true(failures[0] > 5 && failures[1] > 5);
}

static void memory_that_runs_out_comes_back(void **state)
{
	struct balance before = boot();
	void *areas[80];
	int nr = 0;

	(void)state;
	soft_log_hook = log_kept;
	while ((areas[nr] = __vmalloc(1 * MiB, GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY)))
		nr++;
	assert_in_range(nr, 50, 64);
	while (nr--)
		vfree(areas[nr]);
	assert_balance(before);
}

/* ---- Two CPUs -------------------------------------------------------------------------------- */

static void churn(unsigned int cpu, void *arg)
{
	u64 seed = cpu + 1, *areas[8] = { NULL };

	(void)arg;
	for (int step = 0; step < 3000; step++) {
		unsigned int i = (unsigned int)rng_below(&seed, 8);
		unsigned long pages = 1 + rng_below(&seed, 40);

		if (areas[i]) {
			assert_int_equal(areas[i][1], cpu + i);
			vfree(areas[i]);
			areas[i] = NULL;
			continue;
		}
		areas[i] = vmalloc(PAGES(pages));
		assert_non_null(areas[i]);
		areas[i][1] = cpu + i;
		areas[i][pages * 512 - 1] = ~0ul;
	}
	for (int i = 0; i < 8; i++)
		vfree(areas[i]);
}

static void two_cpus(void **state)
{
	struct balance before;

	(void)state;
	soft_vmalloc_bytes(16 * MiB);
	assert_int_equal(soft_init(64 * MiB, 2), 0);
	before = balance_now();
	on_cpus(2, churn, NULL);
	assert_balance(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		vmalloc_test(an_area_is_its_frames_one_behind_the_other),
		vmalloc_test(zeroed_means_zeroed),
		vmalloc_test(what_lies_around_an_area_says_what_it_is),
		vmalloc_test(missing_translations_are_supplied),
		vmalloc_test(frames_can_be_mapped_twice),
		vmalloc_test(large_areas_come_in_large_pieces),
		vmalloc_test(either_way_of_allocation),
		vmalloc_test(without_space_there_is_kmalloc),
		vmalloc_test(what_begins_no_area_is_not_freed),
		vmalloc_test(addresses_wait_for_one_flush_of_many),
		vmalloc_test(a_full_space_is_purged_for_more),
		vmalloc_test(absurd_sizes),
		vmalloc_test(random_operations),
		vmalloc_test(each_allocation_may_fail),
		vmalloc_test(memory_that_runs_out_comes_back),
		vmalloc_test(two_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
