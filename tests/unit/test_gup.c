/* SPDX-License-Identifier: MIT */
/*
 * The kernel's access to user memory: copies, strings, other processes' memory, exchanges, and pages
 * pinned for I/O, which must stay what the program sees whatever it does meanwhile.
 */
#include "cache_fixture.h"

#define BASE 0x10000000UL
#define PAGES(n) ((unsigned long)(n) << PAGE_SHIFT)
#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE_ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
#define SHARED_ANON (MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)

static struct counters at_start;
static u64 rng_state = 1;
static struct mm_struct *mm;

static void map(unsigned long addr, unsigned long len, unsigned long prot, unsigned long flags)
{
	assert_int_equal(do_mmap(mm, NULL, addr, len, prot, flags, 0, NULL), addr);
}

static int mm_up(void **state)
{
	(void)state;
	anon_fault_max_order = 9;
	fault_around_order = 4;
	if (soft_init(32UL << 20, 1))
		return -1;
	at_start = counters_now();
	mm = mm_alloc();
	return mm ? 0 : -1;
}

static int mm_down(void **state)
{
	(void)state;
	mmput(mm);
	assert_counters(&at_start);
	soft_exit();
	return 0;
}

static struct mm_struct *fork_mm(void)
{
	struct mm_struct *child = dup_mm(mm);

	up_write(&mm->mmap_lock);
	assert_false(IS_ERR(child));
	return child;
}

static void put32(struct mm_struct *m, unsigned long addr, u32 value)
{
	assert_int_equal(soft_store(m, addr, &value, sizeof(value)).signo, 0);
}

static u32 get32(struct mm_struct *m, unsigned long addr)
{
	u32 value = 0;

	assert_int_equal(soft_load(m, addr, &value, sizeof(value)).signo, 0);
	return value;
}

/* ---- Copies ------------------------------------------------------------------------------- */

static void test_copy_across_pages_and_tables(void **state)
{
	unsigned long size = 3UL << 20, addr = BASE + PMD_SIZE - 12345;
	char *out = malloc(size), *in = malloc(size);

	(void)state;
	map(BASE, 8UL << 20, RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < size; i++)
		out[i] = (char)rng_next(&rng_state);
	assert_int_equal(copy_to_mm(mm, addr, out, size), 0);
	assert_int_equal(copy_from_mm(mm, in, addr, size), 0);
	assert_memory_equal(in, out, size);
	assert_int_equal(soft_load(mm, addr, in, size).signo, 0);
	assert_memory_equal(in, out, size);
	assert_int_equal(clear_mm(mm, addr + 1, size - 2), 0);
	memset(out + 1, 0, size - 2);
	assert_int_equal(soft_load(mm, addr, in, size).signo, 0);
	assert_memory_equal(in, out, size);
	free(out);
	free(in);
}

static void test_copy_stops_where_access_ends(void **state)
{
	char buf[PAGE_SIZE * 3] = { 0 };

	(void)state;
	map(BASE, PAGES(1), RW, PRIVATE_ANON);
	map(BASE + PAGES(1), PAGES(1), PROT_READ, PRIVATE_ANON);
	assert_int_equal(copy_to_mm(mm, BASE + 100, buf, sizeof(buf) - 100), PAGES(2));
	assert_int_equal(copy_from_mm(mm, buf, BASE + 100, sizeof(buf) - 100), PAGES(1));
	assert_int_equal(copy_from_mm(mm, buf, BASE - 1, 2), 2);
	assert_int_equal(clear_mm(mm, BASE + PAGES(1) - 3, 5), 2);
	assert_int_equal(copy_from_mm(mm, buf, ~0UL - 3, 8), 8);
	assert_int_equal(copy_from_mm(mm, buf, TASK_SIZE_MAX - 1, 8), 8);
	assert_int_equal(copy_to_mm(mm, 0, buf, 0), 0);
	assert_int_equal(do_mprotect(mm, BASE, PAGES(1), PROT_NONE), 0);
	assert_int_equal(copy_from_mm(mm, buf, BASE, 1), 1);
}

/* The kernel's write goes where the program's would: not into the parent's page. */
static void test_copy_breaks_cow(void **state)
{
	struct mm_struct *child;
	u32 v = 5;

	(void)state;
	map(BASE, PAGES(2), RW, PRIVATE_ANON);
	put32(mm, BASE, 1);
	child = fork_mm();
	assert_int_equal(get32(child, BASE), 1);
	assert_int_equal(copy_to_mm(child, BASE, &v, 4), 0);
	assert_int_equal(get32(child, BASE), 5);
	assert_int_equal(get32(mm, BASE), 1);
	assert_int_equal(copy_to_mm(mm, BASE + PAGES(1), &v, 4), 0);
	assert_int_equal(get32(child, BASE + PAGES(1)), 0);
	mmput(child);
}

static void test_strings(void **state)
{
	unsigned long edge = BASE + PAGES(2);
	char buf[64];

	(void)state;
	map(BASE, PAGES(2), RW, PRIVATE_ANON);
	assert_int_equal(copy_to_mm(mm, BASE + PAGES(1) - 3, "hello", 6), 0);
	memset(buf, 'x', sizeof(buf));
	assert_int_equal(strncpy_from_mm(mm, buf, BASE + PAGES(1) - 3, 64), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(buf[6], 'x');
	assert_int_equal(strncpy_from_mm(mm, buf, BASE + PAGES(1) - 3, 5), 5);
	assert_int_equal(strncpy_from_mm(mm, buf, BASE + PAGES(1) - 3, 2), 2);
	assert_int_equal(strncpy_from_mm(mm, buf, BASE, 64), 0);
	assert_int_equal(copy_to_mm(mm, edge - 3, "end", 3), 0);
	assert_int_equal(strncpy_from_mm(mm, buf, edge - 3, 3), 3);
	assert_int_equal(strncpy_from_mm(mm, buf, edge - 3, 4), -EFAULT);
	assert_int_equal(strncpy_from_mm(mm, buf, edge, 4), -EFAULT);
}

static void test_cmpxchg(void **state)
{
	u32 old = 0;

	(void)state;
	map(BASE, PAGES(1), RW, PRIVATE_ANON);
	map(BASE + PAGES(1), PAGES(1), PROT_READ, PRIVATE_ANON);
	assert_int_equal(cmpxchg_user_u32(mm, BASE, &old, 7), 0);
	assert_int_equal(old, 0);
	assert_int_equal(get32(mm, BASE), 7);
	old = 3;
	assert_int_equal(cmpxchg_user_u32(mm, BASE, &old, 8), 0);
	assert_int_equal(old, 7);
	assert_int_equal(get32(mm, BASE), 7);
	assert_int_equal(cmpxchg_user_u32(mm, BASE + 2, &old, 8), -EFAULT);
	assert_int_equal(cmpxchg_user_u32(mm, BASE + PAGES(1), &old, 8), -EFAULT);
	assert_int_equal(cmpxchg_user_u32(mm, BASE + PAGES(2), &old, 8), -EFAULT);
}

/* ---- From outside ------------------------------------------------------------------------- */

static void test_remote_force(void **state)
{
	struct mm_struct *child;
	u32 v = 9;

	(void)state;
	map(BASE, PAGES(1), RW, PRIVATE_ANON);
	put32(mm, BASE, 1);
	assert_int_equal(do_mprotect(mm, BASE, PAGES(1), PROT_NONE), 0);
	map(BASE + PAGES(1), PAGES(1), PROT_READ, PRIVATE_ANON);
	map(BASE + PAGES(2), PAGES(1), PROT_READ, SHARED_ANON);
	child = fork_mm();

	assert_int_equal(access_remote_mm(child, BASE, &v, 4, false, false), 0);
	assert_int_equal(access_remote_mm(child, BASE, &v, 4, false, true), 4);
	assert_int_equal(v, 1);
	v = 9;
	assert_int_equal(access_remote_mm(child, BASE, &v, 4, true, false), 0);
	assert_int_equal(access_remote_mm(child, BASE, &v, 4, true, true), 4);
	assert_int_equal(access_remote_mm(child, BASE + PAGES(1), &v, 4, true, true), 4);
	assert_int_equal(access_remote_mm(child, BASE + PAGES(2), &v, 4, true, true), 0);
	assert_int_equal(get32(child, BASE + PAGES(1)), 9);
	assert_int_equal(get32(mm, BASE + PAGES(1)), 0);

	assert_int_equal(access_remote_mm(mm, BASE, &v, 4, false, true), 4);
	assert_int_equal(v, 1);
	assert_int_equal(access_remote_mm(child, BASE, &v, 4, false, true), 4);
	assert_int_equal(v, 9);
	/* Forced writing left no permission behind. */
	assert_int_not_equal(soft_store(child, BASE + PAGES(1), &v, 4).signo, 0);
	mmput(child);
}

/* Memory of a stranger fills no TLB and leaves no age. */
static void test_remote_is_not_young(void **state)
{
	u32 v = 3;
	pte_t pte;

	(void)state;
	map(BASE, PAGES(64), RW, PRIVATE_ANON);
	assert_int_equal(copy_to_mm(mm, BASE, &v, 4), 0);
	spin_lock(&mm->page_table_lock);
	pte = ptep_get(pte_lookup(mm, BASE));
	spin_unlock(&mm->page_table_lock);
	assert_false(pte_young(pte));
	assert_true(pte_dirty(pte) && pte_write(pte));
	assert_false(soft_tlb_holds(mm, BASE, false));
}

/* ---- Pins --------------------------------------------------------------------------------- */

static void write_page(struct page *page, u32 value)
{
	*(u32 *)page_address(page) = value;
}

static void test_pin_and_fork(void **state)
{
	struct page *pages[4];
	struct mm_struct *child;

	(void)state;
	map(BASE, PAGES(4), RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 4; i++)
		put32(mm, BASE + PAGES(i), 10);
	assert_int_equal(pin_user_pages(mm, BASE + 123, 3, true, pages), 3);
	child = fork_mm();
	/* I/O comes in: the parent sees it, the child does not. */
	for (int i = 0; i < 3; i++)
		write_page(pages[i], 20);
	assert_int_equal(get32(mm, BASE), 20);
	assert_int_equal(get32(child, BASE), 10);
	/* Neither of them writing moves the frame. */
	put32(child, BASE + PAGES(1), 30);
	put32(mm, BASE + PAGES(1), 40);
	assert_int_equal(*(u32 *)page_address(pages[1]), 40);
	assert_int_equal(get32(child, BASE + PAGES(1)), 30);
	assert_int_equal(get32(child, BASE + PAGES(3)), 10);
	unpin_user_pages(pages, 3, true);
	mmput(child);
}

/* Held for reading after the fork, and not unshared: the parent's later write must not show. */
static void test_read_hold_is_private(void **state)
{
	struct mm_struct *child;
	struct page *page;

	(void)state;
	map(BASE, PAGES(1), RW, PRIVATE_ANON);
	put32(mm, BASE, 1);
	child = fork_mm();
	assert_int_equal(pin_user_pages(child, BASE, 1, false, &page), 1);
	assert_int_equal(page_mapcount(page), 2);
	assert_int_equal(do_munmap(child, BASE, PAGES(1)), 0);
	put32(mm, BASE, 2);
	assert_int_equal(*(u32 *)page_address(page), 1);
	unpin_user_pages(&page, 1, false);
	mmput(child);
}

static void test_pin_unshares(void **state)
{
	struct mm_struct *child;
	struct page *page;

	(void)state;
	map(BASE, PAGES(1), RW, PRIVATE_ANON);
	put32(mm, BASE, 1);
	child = fork_mm();
	assert_int_equal(pin_user_pages(mm, BASE, 1, true, &page), 1);
	assert_int_equal(page_mapcount(page), 1);
	write_page(page, 2);
	assert_int_equal(get32(mm, BASE), 2);
	assert_int_equal(get32(child, BASE), 1);
	unpin_user_pages(&page, 1, true);
	assert_int_equal(do_mprotect(mm, BASE, PAGES(1), PROT_READ), 0);
	assert_int_equal(pin_user_pages(mm, BASE, 1, true, &page), -EFAULT);
	mmput(child);
}

static void test_pin_outlives_mapping(void **state)
{
	struct page *pages[8];

	(void)state;
	map(BASE, PAGES(4), RW, PRIVATE_ANON);
	map(BASE + PAGES(4), PAGES(4), RW, SHARED_ANON);
	assert_int_equal(pin_user_pages(mm, BASE, 12, true, pages), 8);
	assert_int_equal(do_munmap(mm, BASE, PAGES(8)), 0);
	for (int i = 0; i < 8; i++)
		write_page(pages[i], 1);
	unpin_user_pages(pages, 8, true);
	assert_int_equal(pin_user_pages(mm, BASE, 1, false, pages), -EFAULT);
}

static void test_get_user_page(void **state)
{
	struct page *page, *same;

	(void)state;
	map(BASE, PAGES(1), RW, SHARED_ANON);
	page = get_user_page(mm, BASE + 8, false);
	assert_false(IS_ERR(page));
	assert_int_equal(page->index, 0);
	assert_non_null(page->mapping);
	same = get_user_page(mm, BASE + 4, true);
	assert_ptr_equal(page, same);
	put_page(page);
	put_page(same);
	assert_int_equal(PTR_ERR(get_user_page(mm, BASE + PAGES(1), false)), -EFAULT);
}

static void test_pin_under_allocation_failure(void **state)
{
	struct page *page;

	(void)state;
	map(BASE, PAGES(1), RW, PRIVATE_ANON);
	fail_page_alloc.interval = 1;
	assert_int_equal(pin_user_pages(mm, BASE, 1, true, &page), -ENOMEM);
	fail_page_alloc.interval = 0;
	/* A single failure is made up for. */
	fail_page_alloc.nth = 1;
	assert_int_equal(pin_user_pages(mm, BASE, 1, true, &page), 1);
	unpin_user_pages(&page, 1, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, mm_up, mm_down)
	const struct CMUnitTest tests[] = {
		TEST(copy_across_pages_and_tables),
		TEST(copy_stops_where_access_ends),
		TEST(copy_breaks_cow),
		TEST(strings),
		TEST(cmpxchg),
		TEST(remote_force),
		TEST(remote_is_not_young),
		TEST(pin_and_fork),
		TEST(pin_unshares),
		TEST(read_hold_is_private),
		TEST(pin_outlives_mapping),
		TEST(get_user_page),
		TEST(pin_under_allocation_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
