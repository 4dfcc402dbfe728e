/* SPDX-License-Identifier: MIT */
/* Files that become shorter, longer or get holes while they are mapped. */
#include "cache_fixture.h"

#define SHARED 0x40000000UL
#define PRIVATE 0x80000000UL

static struct test_file tf;
static struct mm_struct *mm;
static struct counters before;

static void begin(loff_t size)
{
	unsigned long len = PAGE_ALIGN((unsigned long)size);

	before = counters_now();
	tf = test_file_new(size);
	mm = mm_alloc();
	assert_non_null(mm);
	assert_int_equal(do_mmap(mm, tf.file, SHARED, len, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, 0, NULL),
			 SHARED);
	assert_int_equal(do_mmap(mm, tf.file, PRIVATE, len, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_FIXED, 0, NULL),
			 PRIVATE);
}

static void end(void)
{
	mmput(mm);
	test_file_put(&tf);
	assert_all_gone(&before);
}

static void expect(unsigned long addr, int byte)
{
	u8 got;

	assert_int_equal(user_access(mm, addr, &got, false), 0);
	assert_int_equal(got, byte);
}

static void expect_sigbus(unsigned long addr)
{
	u8 byte = 0;

	assert_int_equal(user_access(mm, addr, &byte, false), SIGBUS);
	assert_int_equal(user_access(mm, addr, &byte, true), SIGBUS);
}

static void store(unsigned long addr, u8 byte)
{
	assert_int_equal(user_access(mm, addr, &byte, true), 0);
}

static void resize(loff_t size)
{
	disk_resize(&tf, size);
	truncate_setsize(tf.inode, size);
}

static void pages_beyond_are_gone(void **state)
{
	(void)state;
	begin(10 * KPAGE);
	for (unsigned long p = 0; p < 10; p++) {
		store(SHARED + p * PAGE_SIZE, (u8)(p + 1));
		store(PRIVATE + p * PAGE_SIZE, (u8)(p + 101));
	}
	assert_int_equal(get_mm_counter(mm, MM_FILEPAGES), 10);
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 10);
	assert_int_equal(node_page_state(NR_FILE_DIRTY), 10);
	resize(4 * KPAGE);
	/* Private copies included, and dirt that has no place any more is dropped. */
	assert_int_equal(get_mm_counter(mm, MM_FILEPAGES), 4);
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 4);
	assert_int_equal(node_page_state(NR_FILE_DIRTY), 4);
	assert_int_equal(tf.inode->i_data.nrpages, 4);
	expect(SHARED + 3 * PAGE_SIZE, 4);
	expect(PRIVATE + 3 * PAGE_SIZE, 104);
	for (unsigned long p = 4; p < 10; p++) {
		expect_sigbus(SHARED + p * PAGE_SIZE);
		expect_sigbus(PRIVATE + p * PAGE_SIZE);
	}
	/* Growing brings back zeros, not what was there. */
	resize(10 * KPAGE);
	for (unsigned long p = 4; p < 10; p++) {
		expect(SHARED + p * PAGE_SIZE, 0);
		expect(PRIVATE + p * PAGE_SIZE, 0);
	}
	resize(0);
	assert_int_equal(tf.inode->i_data.nrpages, 0);
	assert_int_equal(get_mm_rss(mm), 0);
	expect_sigbus(SHARED);
	end();
}

static void the_last_page_gets_a_zero_tail(void **state)
{
	(void)state;
	begin(3 * KPAGE);
	store(SHARED + PAGE_SIZE + 10, 1);
	store(SHARED + PAGE_SIZE + 20, 2);
	store(PRIVATE + PAGE_SIZE + 20, 3);
	resize(KPAGE + 15);
	/* The page stays mapped; a private copy of it is the program's own. */
	expect(SHARED + PAGE_SIZE + 10, 1);
	expect(SHARED + PAGE_SIZE + 20, 0);
	expect(PRIVATE + PAGE_SIZE + 20, 3);
	expect_sigbus(SHARED + 2 * PAGE_SIZE);
	/* Whatever is left in the tail is not of the file when it grows over it. */
	store(SHARED + PAGE_SIZE + 30, 9);
	resize(KPAGE + 16);
	expect(SHARED + PAGE_SIZE + 30, 0);
	store(SHARED + PAGE_SIZE + 30, 9);
	assert_int_equal(filemap_write_and_wait_range(&tf.inode->i_data, 0, ULONG_MAX), 0);
	resize(2 * KPAGE);
	expect(SHARED + PAGE_SIZE + 30, 0);
	expect(SHARED + PAGE_SIZE + 10, 1);
	end();
}

/* The host's file grew by a write: its new bytes are in the old last page. */
static void growing_by_a_write(void **state)
{
	(void)state;
	begin(2 * KPAGE);
	resize(100);
	store(SHARED + 50, 5);
	disk_resize(&tf, 200);
	disk_bytes(&tf)[150] = 77;
	truncate_setsize(tf.inode, 200);
	expect(SHARED + 150, 77);
	expect(SHARED + 50, 5);
	expect(SHARED + 160, 0);
	end();
}

/* The tail cannot be read: then it is zeros, and the dirty bytes before it stay. */
static void growing_with_a_bad_disk(void **state)
{
	(void)state;
	begin(KPAGE);
	resize(100);
	store(SHARED + 50, 5);
	soft_blk_bad_page(tf.disk, 0, true, false);
	resize(200);
	expect(SHARED + 50, 5);
	expect(SHARED + 150, 0);
	soft_blk_bad_page(tf.disk, 0, false, false);
	end();
}

static void holes_spare_private_copies(void **state)
{
	(void)state;
	begin(8 * KPAGE);
	for (unsigned long p = 0; p < 8; p++)
		store(SHARED + p * PAGE_SIZE, 1);
	store(PRIVATE + 3 * PAGE_SIZE, 2);
	expect(PRIVATE + 4 * PAGE_SIZE, 1);
	memset(disk_bytes(&tf) + 2 * KPAGE, 0, 4 * PAGE_SIZE);
	mutex_lock(&tf.inode->i_data.lock);
	truncate_pagecache_range_locked(tf.inode, 2, 5);
	mutex_unlock(&tf.inode->i_data.lock);
	assert_int_equal(tf.inode->i_data.nrpages, 4);
	expect(SHARED + PAGE_SIZE, 1);
	for (unsigned long p = 2; p < 6; p++)
		expect(SHARED + p * PAGE_SIZE, 0);
	expect(SHARED + 6 * PAGE_SIZE, 1);
	expect(PRIVATE + 3 * PAGE_SIZE, 2);
	expect(PRIVATE + 4 * PAGE_SIZE, 0);
	end();
}

/* Truncation finds entries in children, in halves of a split VMA and where mremap() put them. */
static void entries_are_found_everywhere(void **state)
{
	struct mm_struct *parent, *child;

	(void)state;
	begin(10 * KPAGE);
	for (unsigned long p = 0; p < 10; p++) {
		store(SHARED + p * PAGE_SIZE, 1);
		store(PRIVATE + p * PAGE_SIZE, 2);
	}
	assert_int_equal(do_mprotect(mm, SHARED + 3 * PAGE_SIZE, 4 * PAGE_SIZE, PROT_READ), 0);
	assert_int_equal(do_munmap(mm, SHARED + 8 * PAGE_SIZE, PAGE_SIZE), 0);
	assert_int_equal(do_mremap(mm, PRIVATE + 5 * PAGE_SIZE, 5 * PAGE_SIZE, 5 * PAGE_SIZE,
				   MREMAP_MAYMOVE | MREMAP_FIXED, PRIVATE + 0x10000000UL),
			 PRIVATE + 0x10000000UL);
	child = dup_mm(mm);
	assert_false(IS_ERR(child));
	up_write(&mm->mmap_lock);
	resize(2 * KPAGE);
	parent = mm;
	for (int i = 0; i < 2; i++) {
		mm = i ? child : parent;
		assert_int_equal(get_mm_counter(mm, MM_FILEPAGES), 2);
		assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 2);
		expect_sigbus(SHARED + 2 * PAGE_SIZE);
		expect_sigbus(SHARED + 7 * PAGE_SIZE);
		expect_sigbus(PRIVATE + 0x10000000UL);
		expect_sigbus(PRIVATE + 0x10000000UL + 4 * PAGE_SIZE);
	}
	mmput(child);
	mm = parent;
	end();
}

/* Somebody holds the page for I/O: it leaves the file at once and is freed when it is let go. */
static void pinned_pages_outlive_the_file(void **state)
{
	struct page *page;

	(void)state;
	begin(2 * KPAGE);
	assert_int_equal(pin_user_pages(mm, SHARED + PAGE_SIZE, 1, true, &page), 1);
	resize(KPAGE);
	assert_null(page->mapping);
	assert_int_equal(page_count(page), 1);
	expect_sigbus(SHARED + PAGE_SIZE);
	memset(page_address(page), 1, PAGE_SIZE);
	unpin_user_pages(&page, 1, true);
	assert_int_equal(node_page_state(NR_FILE_DIRTY), 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_beyond_are_gone),
		cmocka_unit_test(the_last_page_gets_a_zero_tail),
		cmocka_unit_test(growing_by_a_write),
		cmocka_unit_test(growing_with_a_bad_disk),
		cmocka_unit_test(holes_spare_private_copies),
		cmocka_unit_test(entries_are_found_everywhere),
		cmocka_unit_test(pinned_pages_outlive_the_file),
	};

	return cmocka_run_group_tests(tests, boot_machine, stop_machine);
}
