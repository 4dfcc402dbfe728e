/* SPDX-License-Identifier: MIT */
/* Shared memory: one copy of each page, zeros at first, for as long as anybody holds the object. */
#include "cache_fixture.h"

#define BASE 0x40000000UL
#define OTHER 0x80000000UL

static struct mm_struct *mm;
static struct counters before;

static void begin(unsigned long pages)
{
	before = counters_now();
	mm = mm_alloc();
	assert_non_null(mm);
	assert_int_equal(do_mmap(mm, NULL, BASE, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, 0, NULL),
			 BASE);
}

static void end(void)
{
	mmput(mm);
	assert_all_gone(&before);
}

static struct inode *object(void)
{
	return find_vma(mm, BASE)->vm_file->f_inode;
}

static void store(struct mm_struct *m, unsigned long addr, u8 byte)
{
	assert_int_equal(user_access(m, addr, &byte, true), 0);
}

static void expect(struct mm_struct *m, unsigned long addr, int byte)
{
	u8 got;

	assert_int_equal(user_access(m, addr, &got, false), 0);
	assert_int_equal(got, byte);
}

static void pages_come_zeroed_and_are_counted(void **state)
{
	(void)state;
	begin(16);
	for (unsigned long p = 0; p < 16; p++)
		for (unsigned long i = 0; i < PAGE_SIZE; i += 512)
			expect(mm, BASE + p * PAGE_SIZE + i, 0);
	assert_int_equal(node_page_state(NR_SHMEM), 16);
	assert_int_equal(node_page_state(NR_FILE_PAGES), before.state[NR_FILE_PAGES] + 16);
	assert_int_equal(get_mm_counter(mm, MM_SHMEMPAGES), 16);
	assert_int_equal(get_mm_counter(mm, MM_FILEPAGES), 0);
	store(mm, BASE, 1);
	/* Nothing to write back, nothing dirty. */
	assert_int_equal(node_page_state(NR_FILE_DIRTY), 0);
	assert_int_equal(do_msync(mm, BASE, 16 * PAGE_SIZE, MS_SYNC), 0);
	assert_int_equal(filemap_read_ahead(&object()->i_data, 0, 16), 0);
	assert_int_equal(node_page_state(NR_SHMEM), 16);
	end();
}

static void all_programs_see_the_same(void **state)
{
	struct mm_struct *child;

	(void)state;
	begin(8);
	store(mm, BASE, 1);
	child = dup_mm(mm);
	assert_false(IS_ERR(child));
	up_write(&mm->mmap_lock);
	expect(child, BASE, 1);
	store(child, BASE + 1, 2);
	expect(mm, BASE + 1, 2);
	/* First touched by one, found by the other. */
	store(child, BASE + 5 * PAGE_SIZE, 3);
	expect(mm, BASE + 5 * PAGE_SIZE, 3);
	mmput(child);
	expect(mm, BASE + 5 * PAGE_SIZE, 3);
	/* Unmapped, moved or discarded from the view, the object keeps its pages. */
	assert_int_equal(do_madvise(mm, BASE, 8 * PAGE_SIZE, MADV_DONTNEED), 0);
	assert_int_equal(get_mm_rss(mm), 0);
	expect(mm, BASE + 1, 2);
	assert_int_equal(do_mremap(mm, BASE, 8 * PAGE_SIZE, 8 * PAGE_SIZE,
				   MREMAP_MAYMOVE | MREMAP_FIXED, OTHER),
			 OTHER);
	expect(mm, OTHER + 5 * PAGE_SIZE, 3);
	assert_int_equal(do_munmap(mm, OTHER, PAGE_SIZE), 0);
	assert_int_equal(node_page_state(NR_SHMEM), 2);
	assert_int_equal(do_munmap(mm, OTHER + PAGE_SIZE, 7 * PAGE_SIZE), 0);
	assert_int_equal(node_page_state(NR_SHMEM), 0);
	end();
}

/* A private view of a shared object is copy on write, and sees what comes until it writes. */
static void private_views(void **state)
{
	(void)state;
	begin(4);
	assert_int_equal(do_mmap(mm, find_vma(mm, BASE)->vm_file, OTHER, 4 * PAGE_SIZE,
				 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, 0, NULL),
			 OTHER);
	expect(mm, OTHER, 0);
	store(mm, BASE, 1);
	expect(mm, OTHER, 1);
	store(mm, OTHER, 2);
	store(mm, BASE, 3);
	expect(mm, OTHER, 2);
	expect(mm, BASE, 3);
	assert_int_equal(get_mm_counter(mm, MM_SHMEMPAGES), 1);
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 1);
	end();
}

static void the_size_bounds_it(void **state)
{
	struct inode *inode;
	u8 byte = 1;

	(void)state;
	begin(8);
	inode = object();
	for (unsigned long p = 0; p < 8; p++)
		store(mm, BASE + p * PAGE_SIZE + 20, (u8)(p + 1));
	truncate_setsize(inode, 2 * KPAGE + 10);
	assert_int_equal(node_page_state(NR_SHMEM), 3);
	assert_int_equal(user_access(mm, BASE + 3 * PAGE_SIZE, &byte, true), SIGBUS);
	expect(mm, BASE + 2 * PAGE_SIZE + 20, 0);
	expect(mm, BASE + PAGE_SIZE + 20, 2);
	truncate_setsize(inode, 8 * KPAGE);
	expect(mm, BASE + 5 * PAGE_SIZE + 20, 0);
	store(mm, BASE + 6 * PAGE_SIZE, 4);
	mutex_lock(&inode->i_data.lock);
	truncate_pagecache_range_locked(inode, 6, 6);
	mutex_unlock(&inode->i_data.lock);
	expect(mm, BASE + 6 * PAGE_SIZE, 0);
	end();
}

/* Its pages are the only copy: nothing takes them away. */
static void reclaim_spares_it(void **state)
{
	(void)state;
	begin(64);
	for (unsigned long p = 0; p < 64; p++)
		store(mm, BASE + p * PAGE_SIZE, (u8)p);
	assert_int_equal(try_to_free_pages(GFP_KERNEL, 5), 0);
	assert_int_equal(prune_icache(ULONG_MAX), 0);
	assert_int_equal(do_madvise(mm, BASE, 64 * PAGE_SIZE, MADV_DONTNEED), 0);
	assert_int_equal(try_to_free_pages(GFP_KERNEL, 5), 0);
	mutex_lock(&object()->i_data.lock);
	invalidate_mapping_locked(&object()->i_data);
	assert_int_equal(filemap_refresh_range_locked(&object()->i_data, 0, 64 * KPAGE), 0);
	mutex_unlock(&object()->i_data.lock);
	for (unsigned long p = 0; p < 64; p++)
		expect(mm, BASE + p * PAGE_SIZE, (int)p);
	end();
}

/* The mapping of an object that nobody else has goes; a second opener would keep it. */
static void references_keep_it(void **state)
{
	struct file *file;

	(void)state;
	begin(4);
	store(mm, BASE + PAGE_SIZE, 9);
	file = get_file(find_vma(mm, BASE)->vm_file);
	assert_int_equal(do_munmap(mm, BASE, 4 * PAGE_SIZE), 0);
	assert_int_equal(node_page_state(NR_SHMEM), 1);
	assert_int_equal(
		do_mmap(mm, file, BASE, 4 * PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, 0, NULL),
		BASE);
	fput(file);
	expect(mm, BASE + PAGE_SIZE, 9);
	end();
}

static void scenario(void)
{
	struct mm_struct *m = mm_alloc(), *child;
	u8 byte = 1;

	if (!m)
		return;
	do_mmap(m, NULL, BASE, 100 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, 0, NULL);
	for (unsigned long p = 0; p < 100; p += 9)
		user_access(m, BASE + p * PAGE_SIZE, &byte, p & 1);
	child = dup_mm(m);
	up_write(&m->mmap_lock);
	if (!IS_ERR(child)) {
		user_access(child, BASE + 5 * PAGE_SIZE, &byte, true);
		mmput(child);
	}
	mmput(m);
}

static void sweep(struct fault_attr *attr)
{
	struct counters start = counters_now();
	long nth = 1, failed;

	do {
		atomic_long_set(&attr->failed, 0);
		attr->nth = nth++;
		scenario();
		attr->nth = 0;
		failed = atomic_long_read(&attr->failed);
		assert_all_gone(&start);
	} while (failed);
	assert_true(nth > 5);
}

static void allocations_fail(void **state)
{
	(void)state;
	sweep(&fail_page_alloc);
	sweep(&failslab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_come_zeroed_and_are_counted),
		cmocka_unit_test(all_programs_see_the_same),
		cmocka_unit_test(private_views),
		cmocka_unit_test(the_size_bounds_it),
		cmocka_unit_test(reclaim_spares_it),
		cmocka_unit_test(references_keep_it),
		cmocka_unit_test(allocations_fail),
	};

	return cmocka_run_group_tests(tests, boot_machine, stop_machine);
}
