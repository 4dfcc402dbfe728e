/* SPDX-License-Identifier: MIT */
/* Dirty pages: who marks them, who may write them again, how they reach storage, and what if not. */
#include "cache_fixture.h"

#define BASE 0x40000000UL
#define OTHER 0x80000000UL

static struct test_file tf;
static struct mm_struct *mm;
static struct counters before;

static struct address_space *mapping(void)
{
	return &tf.inode->i_data;
}

static void begin(loff_t size)
{
	before = counters_now();
	tf = test_file_new(size);
	mm = mm_alloc();
	assert_non_null(mm);
	assert_int_equal(do_mmap(mm, tf.file, BASE, PAGE_ALIGN((unsigned long)size),
				 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, 0, NULL),
			 BASE);
}

static void end(void)
{
	mmput(mm);
	test_file_put(&tf);
	assert_all_gone(&before);
}

static void store(struct mm_struct *m, unsigned long addr, u8 byte)
{
	assert_int_equal(user_access(m, addr, &byte, true), 0);
}

static u8 load(struct mm_struct *m, unsigned long addr)
{
	u8 byte;

	assert_int_equal(user_access(m, addr, &byte, false), 0);
	return byte;
}

/* The marks, the flag and the counter are one thing. */
static void assert_dirty(unsigned long nr)
{
	struct page *page;
	unsigned long index, seen = 0;

	xa_for_each(&mapping()->i_pages, index, page) {
		assert_int_equal(PageDirty(page),
				 xa_get_mark(&mapping()->i_pages, index, PAGECACHE_TAG_DIRTY));
		assert_false(PageWriteback(page));
		seen += PageDirty(page);
	}
	assert_int_equal(seen, nr);
	assert_int_equal(node_page_state(NR_FILE_DIRTY), nr);
	assert_int_equal(node_page_state(NR_WRITEBACK), 0);
	assert_int_equal(mapping_has_dirty(mapping()), nr > 0);
}

static void only_stores_make_dirty(void **state)
{
	unsigned long dirtied = node_page_state(NR_DIRTIED), written = node_page_state(NR_WRITTEN);

	(void)state;
	begin(40 * KPAGE);
	for (unsigned long p = 0; p < 40; p++)
		load(mm, BASE + p * PAGE_SIZE);
	assert_dirty(0);
	store(mm, BASE, 1);
	store(mm, BASE + 1, 2);
	store(mm, BASE + 9 * PAGE_SIZE, 3);
	assert_dirty(2);
	assert_int_equal(node_page_state(NR_DIRTIED), dirtied + 2);
	assert_int_equal(do_msync(mm, BASE, 5 * PAGE_SIZE, MS_SYNC), 0);
	assert_dirty(1);
	assert_int_equal(disk_bytes(&tf)[0], 1);
	assert_int_equal(disk_bytes(&tf)[1], 2);
	assert_int_not_equal(disk_bytes(&tf)[9 * PAGE_SIZE], 3);
	assert_int_equal(do_msync(mm, BASE, 40 * PAGE_SIZE, MS_ASYNC), 0);
	assert_dirty(1);
	assert_int_equal(do_msync(mm, BASE, 40 * PAGE_SIZE, MS_SYNC), 0);
	assert_dirty(0);
	assert_int_equal(disk_bytes(&tf)[9 * PAGE_SIZE], 3);
	assert_int_equal(node_page_state(NR_WRITTEN), written + 2);
	end();
}

/* After write-back every store is noticed again, in every program, through any TLB. */
static void cleaned_pages_are_write_protected(void **state)
{
	struct mm_struct *child;

	(void)state;
	begin(4 * KPAGE);
	assert_int_equal(do_mmap(mm, tf.file, OTHER, PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, 1, NULL),
			 OTHER);
	store(mm, BASE + PAGE_SIZE, 1);
	child = dup_mm(mm);
	assert_false(IS_ERR(child));
	up_write(&mm->mmap_lock);
	for (u8 round = 10; round < 20; round++) {
		store(mm, BASE + PAGE_SIZE, round);
		store(mm, OTHER + 1, round);
		store(child, BASE + PAGE_SIZE + 2, round);
		store(child, OTHER + 3, round);
		assert_dirty(1);
		assert_int_equal(filemap_write_and_wait_range(mapping(), 0, ULONG_MAX), 0);
		assert_dirty(0);
		for (int i = 0; i < 4; i++)
			assert_int_equal(disk_bytes(&tf)[KPAGE + i], round);
		/* Reading on does not make it dirty. */
		assert_int_equal(load(child, OTHER), round);
		assert_dirty(0);
	}
	mmput(child);
	end();
}

static void runs_are_one_transfer(void **state)
{
	unsigned long writes;

	(void)state;
	begin(300 * KPAGE);
	for (unsigned long p = 10; p < 60; p++)
		store(mm, BASE + p * PAGE_SIZE, (u8)p);
	store(mm, BASE + 61 * PAGE_SIZE, 61);
	writes = disk_writes(&tf);
	assert_int_equal(filemap_write_and_wait_range(mapping(), 0, ULONG_MAX), 0);
	assert_int_equal(disk_writes(&tf), writes + 2);
	for (unsigned long p = 10; p < 60; p++)
		assert_int_equal(disk_bytes(&tf)[p * PAGE_SIZE], p);
	/* More than a batch, and an end in the middle of a run. */
	for (unsigned long p = 0; p < 200; p++)
		store(mm, BASE + p * PAGE_SIZE, 200);
	assert_int_equal(filemap_write_and_wait_range(mapping(), 0, 149), 0);
	assert_dirty(50);
	assert_int_equal(filemap_write_and_wait_range(mapping(), 150, ULONG_MAX), 0);
	assert_dirty(0);
	end();
}

static void errors_cost_only_the_bad_page(void **state)
{
	(void)state;
	begin(20 * KPAGE);
	for (unsigned long p = 0; p < 20; p++)
		store(mm, BASE + p * PAGE_SIZE, 99);
	soft_blk_bad_page(tf.disk, 7, false, true);
	assert_int_equal(filemap_write_and_wait_range(mapping(), 0, ULONG_MAX), -EIO);
	assert_dirty(0);
	for (unsigned long p = 0; p < 20; p++)
		assert_int_equal(disk_bytes(&tf)[p * PAGE_SIZE] == 99, p != 7);
	/* The error is reported once. */
	assert_int_equal(file_check_wb_err(tf.file), -EIO);
	assert_int_equal(file_check_wb_err(tf.file), 0);
	store(mm, BASE + 7 * PAGE_SIZE, 98);
	assert_int_equal(do_msync(mm, BASE, 20 * PAGE_SIZE, MS_SYNC), -EIO);
	assert_int_equal(do_msync(mm, BASE, 20 * PAGE_SIZE, MS_SYNC), 0);
	soft_blk_bad_page(tf.disk, 7, false, false);
	store(mm, BASE + 7 * PAGE_SIZE, 97);
	assert_int_equal(do_msync(mm, BASE, 20 * PAGE_SIZE, MS_SYNC), 0);
	assert_int_equal(disk_bytes(&tf)[7 * PAGE_SIZE], 97);
	end();
}

/* munmap, exit and closing write back: nobody has to ask for it. */
static void the_last_unmapping_writes(void **state)
{
	struct mm_struct *child;

	(void)state;
	begin(10 * KPAGE);
	store(mm, BASE, 1);
	store(mm, BASE + 5 * PAGE_SIZE, 5);
	assert_int_equal(do_munmap(mm, BASE, PAGE_SIZE), 0);
	assert_int_equal(disk_bytes(&tf)[0], 1);
	child = dup_mm(mm);
	assert_false(IS_ERR(child));
	up_write(&mm->mmap_lock);
	store(child, BASE + 9 * PAGE_SIZE, 9);
	mmput(child);
	assert_int_equal(disk_bytes(&tf)[9 * PAGE_SIZE], 9);
	assert_int_equal(disk_bytes(&tf)[5 * PAGE_SIZE], 5);
	assert_dirty(0);
	end();
}

/* What lies behind the end of the file never reaches it. */
static void the_tail_stays_in_memory(void **state)
{
	(void)state;
	begin(KPAGE + 100);
	store(mm, BASE + PAGE_SIZE + 99, 7);
	store(mm, BASE + PAGE_SIZE + 100, 8);
	assert_int_equal(do_msync(mm, BASE, 2 * PAGE_SIZE, MS_SYNC), 0);
	assert_int_equal(disk_bytes(&tf)[KPAGE + 99], 7);
	disk_resize(&tf, KPAGE + 200);
	truncate_setsize(tf.inode, KPAGE + 200);
	assert_int_equal(load(mm, BASE + PAGE_SIZE + 99), 7);
	assert_int_equal(load(mm, BASE + PAGE_SIZE + 100), 0);
	end();
}

/* A pinned page may be changed by the machine at any time: it stays dirty until it is let go. */
static void pinned_pages_stay_dirty(void **state)
{
	struct page *page;

	(void)state;
	begin(2 * KPAGE);
	assert_int_equal(pin_user_pages(mm, BASE, 1, true, &page), 1);
	assert_dirty(1);
	((u8 *)page_address(page))[5] = 50;
	assert_int_equal(filemap_write_and_wait_range(mapping(), 0, ULONG_MAX), 0);
	assert_dirty(1);
	assert_int_equal(disk_bytes(&tf)[5], 50);
	((u8 *)page_address(page))[5] = 51;
	unpin_user_pages(&page, 1, true);
	assert_int_equal(filemap_write_and_wait_range(mapping(), 0, ULONG_MAX), 0);
	assert_dirty(0);
	assert_int_equal(disk_bytes(&tf)[5], 51);
	end();
}

/* Reclaim: clean before mapped before dirty, and never what is held or locked. */
static void reclaim_in_order(void **state)
{
	struct page *pinned;

	(void)state;
	vm_cache_floor = 0;
	begin(512 * KPAGE);
	assert_int_equal(filemap_read_ahead(mapping(), 0, 512), 0);
	for (unsigned long p = 0; p < 64; p++)
		load(mm, BASE + p * PAGE_SIZE);
	for (unsigned long p = 64; p < 96; p++)
		store(mm, BASE + p * PAGE_SIZE, 42);
	assert_int_equal(pin_user_pages(mm, BASE + 3 * PAGE_SIZE, 1, false, &pinned), 1);
	/* What nobody maps goes first. */
	assert_in_range(try_to_free_pages(GFP_KERNEL, 0), 32, 512);
	assert_dirty(32);
	for (unsigned long p = 0; p < 96; p++)
		assert_non_null(xa_load(&mapping()->i_pages, p));
	/* Everything that can go, without I/O: dirty, pinned and locked pages stay. */
	assert_int_equal(do_mlock(mm, BASE + 10 * PAGE_SIZE, 2 * PAGE_SIZE, 0), 0);
	while (try_to_free_pages(GFP_NOIO, 9))
		;
	assert_int_equal(mapping()->nrpages, 32 + 1 + 2);
	assert_dirty(32);
	while (try_to_free_pages(GFP_KERNEL, 9))
		;
	assert_int_equal(mapping()->nrpages, 1 + 2);
	assert_dirty(0);
	assert_int_equal(try_to_free_pages(GFP_NOWAIT, 0), 0);
	assert_int_equal(disk_bytes(&tf)[95 * PAGE_SIZE], 42);
	assert_int_equal(load(mm, BASE + 95 * PAGE_SIZE), 42);
	unpin_user_pages(&pinned, 1, false);
	end();
}

/* The last pages of files stay: all that are mapped, half as many of the others. */
static void reclaim_leaves_a_few(void **state)
{
	(void)state;
	vm_cache_floor = 96;
	begin(512 * KPAGE);
	assert_int_equal(filemap_read_ahead(mapping(), 0, 512), 0);
	for (unsigned long p = 0; p < 512; p++)
		load(mm, BASE + p * PAGE_SIZE);
	while (try_to_free_pages(GFP_KERNEL, 0))
		;
	assert_in_range(mapping()->nrpages, 64, 96);
	assert_int_equal(do_munmap(mm, BASE, 512 * PAGE_SIZE), 0);
	while (try_to_free_pages(GFP_KERNEL, 0))
		;
	assert_in_range(mapping()->nrpages, 16, 48);
	vm_cache_floor = 0;
	end();
}

/* What is held for I/O stays in the cache, though nobody maps it any more. */
static void reclaim_spares_what_is_held(void **state)
{
	struct page *page;

	(void)state;
	begin(8 * KPAGE);
	assert_int_equal(pin_user_pages(mm, BASE + PAGE_SIZE, 1, false, &page), 1);
	assert_int_equal(do_munmap(mm, BASE, 8 * PAGE_SIZE), 0);
	assert_int_equal(page_mapcount(page), 0);
	assert_int_equal(try_to_free_pages(GFP_KERNEL, 0), 7);
	assert_ptr_equal(xa_load(&mapping()->i_pages, 1), page);
	unpin_user_pages(&page, 1, false);
	assert_int_equal(try_to_free_pages(GFP_KERNEL, 0), 1);
	end();
}

/* Reclaim under a held mapping->lock leaves that file alone. */
static void reclaim_tries_locks_only(void **state)
{
	(void)state;
	begin(100 * KPAGE);
	assert_int_equal(filemap_read_ahead(mapping(), 0, 100), 0);
	mutex_lock(&mapping()->lock);
	assert_int_equal(try_to_free_pages(GFP_KERNEL, 3), 0);
	mutex_unlock(&mapping()->lock);
	assert_int_equal(mapping()->nrpages, 100);
	end();
}

/* A file larger than memory can be read and written through: reclaim makes room by itself. */
static void a_file_larger_than_memory(void **state)
{
	unsigned long pages = totalram_pages() + totalram_pages() / 2;

	(void)state;
	begin((loff_t)(pages * PAGE_SIZE));
	for (unsigned long p = 0; p < pages; p++) {
		if (p % 3 == 0)
			store(mm, BASE + p * PAGE_SIZE, (u8)(p % 251));
		else
			load(mm, BASE + p * PAGE_SIZE);
	}
	for (unsigned long p = 0; p < pages; p += 3)
		assert_int_equal(load(mm, BASE + p * PAGE_SIZE), p % 251);
	end();
}

static void read_only_files_cannot_become_dirty(void **state)
{
	u8 byte = 1;

	(void)state;
	begin(KPAGE);
	tf.inode->i_writable = false;
	assert_int_equal(user_access(mm, BASE, &byte, true), SIGBUS);
	assert_dirty(0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_stores_make_dirty),
		cmocka_unit_test(cleaned_pages_are_write_protected),
		cmocka_unit_test(runs_are_one_transfer),
		cmocka_unit_test(errors_cost_only_the_bad_page),
		cmocka_unit_test(the_last_unmapping_writes),
		cmocka_unit_test(the_tail_stays_in_memory),
		cmocka_unit_test(pinned_pages_stay_dirty),
		cmocka_unit_test(reclaim_in_order),
		cmocka_unit_test(reclaim_leaves_a_few),
		cmocka_unit_test(reclaim_spares_what_is_held),
		cmocka_unit_test(reclaim_tries_locks_only),
		cmocka_unit_test(a_file_larger_than_memory),
		cmocka_unit_test(read_only_files_cannot_become_dirty),
	};

	return cmocka_run_group_tests(tests, boot_machine, stop_machine);
}
