/* SPDX-License-Identifier: MIT */
/* The soft machine itself: its MMU and TLB behave as a processor's, its devices as devices. */
#include <sys/mman.h>

#include "soft_fixture.h"

#include <quire/errno.h>
#include <quire/mman.h>

static struct mm_struct *mm;
static unsigned long area;
#define AREA_PAGES 256ul

static void boot(void)
{
	assert_int_equal(soft_init(64 * MiB, 2), 0);
	mm = mm_alloc();
	area = do_mmap(mm, NULL, 0, AREA_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, 0, NULL);
	assert_false(IS_ERR_VALUE(area));
}

static pte_t pte_of(unsigned long addr)
{
	pte_t pte;

	spin_lock(&mm->page_table_lock);
	pte = ptep_get(pte_lookup(mm, addr));
	spin_unlock(&mm->page_table_lock);
	return pte;
}

static void set_pte_of(unsigned long addr, pte_t pte)
{
	spin_lock(&mm->page_table_lock);
	set_pte(pte_lookup(mm, addr), pte);
	spin_unlock(&mm->page_table_lock);
}

static void store_byte(unsigned long addr, char c)
{
	assert_int_equal(soft_store(mm, addr, &c, 1).signo, 0);
}

static char load_byte(unsigned long addr)
{
	char c = 0;

	assert_int_equal(soft_load(mm, addr, &c, 1).signo, 0);
	return c;
}

static void accesses_cross_pages(void **state)
{
	static char out[3 * 4096], in[sizeof(out)];

	(void)state;
	boot();
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (char)(i * 7);
	assert_int_equal(soft_store(mm, area + 4000, out, sizeof(out)).signo, 0);
	assert_int_equal(soft_load(mm, area + 4000, in, sizeof(in)).signo, 0);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(load_byte(area + 3999), 0);
	mmput(mm);
}

static void signals_say_where_and_why(void **state)
{
	unsigned long end;
	struct soft_signal s;
	char buf[100];

	(void)state;
	boot();
	end = area + AREA_PAGES * PAGE_SIZE;
	assert_int_equal(do_mprotect(mm, end - PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	s = soft_load(mm, end - PAGE_SIZE - 50, buf, 100);
	assert_int_equal(s.signo, 11);
	assert_int_equal(s.si_code, SEGV_ACCERR);
	assert_int_equal(s.addr, end - PAGE_SIZE);
	assert_int_equal(soft_exec(mm, area).si_code, SEGV_ACCERR);
	s = soft_load(mm, 1ul << 47, buf, 1);
	assert_int_equal(s.signo, 11);
	s = soft_store(mm, ~0ul, buf, 1);
	assert_int_equal(s.signo, 11);
	assert_int_equal(soft_load(mm, 0, buf, 1).si_code, SEGV_MAPERR);
	mmput(mm);
}

static void the_walker_sets_accessed_and_dirty(void **state)
{
	(void)state;
	boot();
	store_byte(area, 1);
	set_pte_of(area, pte_mkold(pte_mkclean(pte_of(area))));
	machine_tlb_flush(mm, area, area + PAGE_SIZE, TLB_FLUSH_ALL);
	load_byte(area);
	assert_true(pte_young(pte_of(area)));
	assert_false(pte_dirty(pte_of(area)));
	assert_false(soft_tlb_holds(mm, area, true));
	store_byte(area, 2);
	assert_true(pte_dirty(pte_of(area)));
	assert_true(soft_tlb_holds(mm, area, true));
	mmput(mm);
}

/* What a core that changes an entry and forgets to flush would do to its programs. */
static void a_forgotten_flush_shows(void **state)
{
	pte_t pte;

	(void)state;
	boot();
	store_byte(area, 'a');
	store_byte(area + PAGE_SIZE, 'b');
	pte = pte_of(area);
	set_pte_of(area, pte_of(area + PAGE_SIZE));
	assert_int_equal(load_byte(area), 'a');
	machine_tlb_flush(mm, area, area + PAGE_SIZE, TLB_FLUSH_ALL);
	assert_int_equal(load_byte(area), 'b');
	set_pte_of(area, pte);
	machine_tlb_flush(mm, 0, TASK_SIZE_MAX, TLB_FLUSH_ALL);

	store_byte(area, 'c');
	set_pte_of(area, pte_wrprotect(pte_of(area)));
	assert_true(soft_tlb_holds(mm, area, true));
	machine_tlb_flush(mm, area, area + PAGE_SIZE, TLB_FLUSH_WRITE);
	assert_true(soft_tlb_holds(mm, area, false));
	assert_false(soft_tlb_holds(mm, area, true));
	mmput(mm);
}

static void flushes_are_precise(void **state)
{
	struct mm_struct *other;

	(void)state;
	boot();
	other = mm_alloc();
	for (int i = 0; i < 3; i++)
		store_byte(area + (unsigned long)i * PAGE_SIZE, 1);
	machine_tlb_flush(other, 0, TASK_SIZE_MAX, TLB_FLUSH_ALL);
	machine_tlb_flush(mm, area + PAGE_SIZE, area + 2 * PAGE_SIZE, TLB_FLUSH_ALL);
	assert_true(soft_tlb_holds(mm, area, true));
	assert_false(soft_tlb_holds(mm, area + PAGE_SIZE, false));
	assert_true(soft_tlb_holds(mm, area + 2 * PAGE_SIZE, true));
	mmput(other);
	mmput(mm);
}

static void a_small_tlb_forgets_on_its_own(void **state)
{
	unsigned int held = 0;

	(void)state;
	boot();
	for (unsigned long i = 0; i < AREA_PAGES; i++)
		store_byte(area + i * PAGE_SIZE, (char)i);
	for (unsigned long i = 0; i < AREA_PAGES; i++)
		held += soft_tlb_holds(mm, area + i * PAGE_SIZE, true);
	assert_int_equal(held, 64);
	for (unsigned long i = 0; i < AREA_PAGES; i++)
		assert_int_equal(load_byte(area + i * PAGE_SIZE), (char)i);
	mmput(mm);
}

static void load_while_unmapped(unsigned int cpu, void *arg)
{
	(void)arg;
	for (int round = 0; round < 3000; round++) {
		char c = 'x';
		struct soft_signal s;

		if (cpu == 0) {
			/* Whatever the other CPU has in its TLB, it is gone when this returns. */
			if (do_madvise(mm, area, 4 * PAGE_SIZE, 4 /* MADV_DONTNEED */))
				abort();
			continue;
		}
		s = soft_store(mm, area + (unsigned long)(round % 4) * PAGE_SIZE, &c, 1);
		if (s.signo)
			abort();
		s = soft_load(mm, area + (unsigned long)(round % 4) * PAGE_SIZE, &c, 1);
		if (s.signo || (c != 'x' && c != 0))
			abort();
	}
}

static void one_cpu_unmaps_what_the_other_uses(void **state)
{
	unsigned long all;

	(void)state;
	boot();
	all = nr_free_pages();
	on_cpus(2, load_while_unmapped, NULL);
	assert_int_equal(do_munmap(mm, area, AREA_PAGES * PAGE_SIZE), 0);
	mmput(mm);
	kmem_cache_shrink_all();
	assert_true(nr_free_pages() >= all);
}

static void devices_have_ends_and_errors(void **state)
{
	struct page *pages[3];
	unsigned char *data;
	u64 dev;

	(void)state;
	assert_int_equal(soft_init(32 * MiB, 1), 0);
	dev = soft_blk_create(2 * PAGE_SIZE + 100);
	data = soft_blk_data(dev);
	for (int i = 0; i < 3; i++)
		pages[i] = alloc_page(GFP_KERNEL);
	memset(data, 0x11, 2 * PAGE_SIZE + 100);
	assert_int_equal(machine_block_rw(dev, 0, pages, 3, false), 0);
	assert_int_equal(((u8 *)page_address(pages[2]))[99], 0x11);
	assert_int_equal(((u8 *)page_address(pages[2]))[100], 0);
	memset(page_address(pages[0]), 0x22, PAGE_SIZE);
	assert_int_equal(machine_block_rw(dev, 2, pages, 1, true), 0);
	assert_int_equal(data[2 * PAGE_SIZE + 99], 0x22);
	assert_int_equal(machine_block_rw(dev, ~0ul, pages, 1, false), 0);
	assert_int_equal(((u8 *)page_address(pages[0]))[0], 0);
	soft_blk_fail(dev, true, 2, -EIO);
	assert_int_equal(machine_block_rw(dev, 0, pages, 1, true), 0);
	assert_int_equal(machine_block_rw(dev, 0, pages, 1, true), -EIO);
	assert_int_equal(machine_block_rw(dev, 0, pages, 1, true), 0);
	assert_int_equal(soft_blk_resize(dev, 3 * PAGE_SIZE), 0);
	assert_int_equal(soft_blk_data(dev)[3 * PAGE_SIZE - 1], 0);
	assert_int_equal(machine_block_rw(dev + 1, 0, pages, 1, true), -ENODEV);
	assert_int_equal(soft_blk_stats(dev).writes, 3);
	assert_int_equal(soft_blk_stats(dev).pages_read, 4);
}

static void runs_can_repeat_exactly(void **state)
{
	u64 first[2], second[2];

	(void)state;
	for (int run = 0; run < 2; run++) {
		u64 *out = run ? second : first;

		soft_clock_step(10);
		soft_random_seed(1);
		machine_random(out, sizeof(*out));
		out[1] = machine_clock_ns() + machine_clock_ns();
	}
	soft_clock_step(0);
	assert_memory_equal(first, second, sizeof(first));
	assert_int_equal(first[1], 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(accesses_cross_pages),
		machine_test(signals_say_where_and_why),
		machine_test(the_walker_sets_accessed_and_dirty),
		machine_test(a_forgotten_flush_shows),
		machine_test(flushes_are_precise),
		machine_test(a_small_tlb_forgets_on_its_own),
		machine_test(one_cpu_unmaps_what_the_other_uses),
		machine_test(devices_have_ends_and_errors),
		machine_test(runs_can_repeat_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
