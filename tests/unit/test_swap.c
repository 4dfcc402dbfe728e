/* SPDX-License-Identifier: MIT */
/* Swap: areas and slots, pages that go out and come back, and what happens when that fails. */
#include "swap_fixture.h"

static struct mm_struct *mm;
static struct counters before;
static u64 dev;

/* A program with a swap area of its own. */
static void begin_with(u32 slots, unsigned long pages, unsigned long flags)
{
	dev = swap_on(slots, -1);
	before = counters_now();
	mm = program(pages, flags);
}

static void begin(unsigned long pages)
{
	begin_with(1024, pages, MAP_PRIVATE);
}

static void end(void)
{
	mmput(mm);
	assert_int_equal(swap_inuse(), 0);
	assert_all_gone(&before);
	assert_int_equal(do_swapoff(dev), 0);
	assert_int_equal(total_swap_pages, 0);
	assert_int_equal(get_nr_swap_pages(), 0);
}

static unsigned long swapped(void)
{
	return get_mm_counter(mm, MM_SWAPENTS);
}

/* ---- Areas ---------------------------------------------------------------------------------- */

static int try_header(u64 bytes, u32 last_page, u32 nr_bad, u32 bad0, u32 bad1)
{
	u64 d = soft_blk_create(16 * PAGE_SIZE);
	u32 bad[2] = { bad0, bad1 };
	int err;

	write_header(d, last_page, bad, min(nr_bad, 2u));
	memcpy(soft_blk_data(d) + 1032, &nr_bad, 4);
	err = do_swapon(d, bytes, "x", 0);
	if (!err)
		assert_int_equal(do_swapoff(d), 0);
	return err;
}

static void headers_are_checked(void **state)
{
	u64 d = soft_blk_create(16 * PAGE_SIZE);

	(void)state;
	before = counters_now();
	assert_int_equal(do_swapon(d, 16 * PAGE_SIZE, "x", 0), -EINVAL);
	assert_int_equal(try_header(16 * PAGE_SIZE, 15, 0, 0, 0), 0);
	assert_int_equal(try_header(16 * PAGE_SIZE, 16, 0, 0, 0), -EINVAL);
	assert_int_equal(try_header(16 * PAGE_SIZE, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(try_header(16 * PAGE_SIZE, 15, 2, 3, 15), 0);
	assert_int_equal(try_header(16 * PAGE_SIZE, 15, 2, 3, 16), -EINVAL);
	assert_int_equal(try_header(16 * PAGE_SIZE, 15, 2, 3, 3), -EINVAL);
	assert_int_equal(try_header(16 * PAGE_SIZE, 15, 1, 0, 0), -EINVAL);
	assert_int_equal(try_header(16 * PAGE_SIZE, 15, 638, 0, 0), -EINVAL);
	assert_int_equal(try_header(16 * PAGE_SIZE, 1, 1, 1, 0), -EINVAL);
	write_header(d, 15, NULL, 0);
	soft_blk_fail(d, false, 1, -EIO);
	/* Too short for a header and a slot: nothing of it is read. */
	assert_int_equal(do_swapon(d, 0, "x", 0), -EINVAL);
	assert_int_equal(do_swapon(d, PAGE_SIZE, "x", 0), -EINVAL);
	assert_int_equal(do_swapon(d, 16 * PAGE_SIZE, "x", 0), -EIO);
	assert_int_equal(do_swapon(d, 16 * PAGE_SIZE, "x", 0), 0);
	assert_int_equal(do_swapon(d, 16 * PAGE_SIZE, "x", 0), -EBUSY);
	assert_int_equal(total_swap_pages, 15);
	assert_int_equal(do_swapoff(d), 0);
	assert_int_equal(do_swapoff(d), -EINVAL);
	for (int i = 0; i < MAX_SWAPFILES; i++)
		swap_on(3, -1);
	assert_int_equal(do_swapon(d, 16 * PAGE_SIZE, "x", 0), -EPERM);
	for (u64 i = 0; i < 64; i++)
		do_swapoff(i);
	assert_counters(&before);
}

static void areas_without_a_priority_follow_each_other(void **state)
{
	struct swap_area_info info;

	(void)state;
	swap_on(10, -1);
	swap_on(20, 7);
	swap_on(30, -1);
	assert_true(swap_area_info(0, &info));
	assert_int_equal(info.prio, -2);
	assert_int_equal(info.pages, 10);
	assert_string_equal(info.name, "/dev/swap");
	assert_true(swap_area_info(1, &info));
	assert_int_equal(info.prio, 7);
	assert_true(swap_area_info(2, &info));
	assert_int_equal(info.prio, -3);
	assert_int_equal(info.inuse, 0);
	assert_false(swap_area_info(3, &info));
	for (u64 i = 0; i < 64; i++)
		do_swapoff(i);
}

static unsigned long inuse_of(unsigned int n)
{
	struct swap_area_info info;

	assert_true(swap_area_info(n, &info));
	return info.inuse;
}

static void high_priority_first_and_equal_ones_in_turn(void **state)
{
	u64 devs[4];

	(void)state;
	devs[0] = swap_on(100, 1);
	devs[1] = swap_on(512, 5);
	devs[2] = swap_on(512, 5);
	devs[3] = swap_on(100, 9);
	mm = program(1300, MAP_PRIVATE);
	put_words(mm, 1300, 1000);
	page_out(mm, 0, 100);
	assert_int_equal(inuse_of(3), 100);
	page_out(mm, 100, 400);
	assert_int_equal(inuse_of(0), 0);
	assert_int_equal(inuse_of(1) + inuse_of(2), 400);
	assert_in_range(inuse_of(1), 128, 272);
	page_out(mm, 500, 800);
	assert_int_equal(inuse_of(0), 100);
	assert_int_equal(inuse_of(1), 512);
	assert_int_equal(inuse_of(2), 512);
	assert_int_equal(get_nr_swap_pages(), 0);
	expect_words(mm, 1300, 1000);
	mmput(mm);
	assert_int_equal(swap_inuse(), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(do_swapoff(devs[i]), 0);
}

/* ---- Slots ---------------------------------------------------------------------------------- */

static swp_entry_t entry_of(struct mm_struct *m, unsigned long page)
{
	pte_t *ptep = pte_lookup(m, AT(page));

	assert_true(is_swap_pte(*ptep));
	assert_false(pte_present(*ptep));
	return pte_to_swp_entry(*ptep);
}

static void neighbours_lie_together(void **state)
{
	struct soft_blk_stats stats;

	(void)state;
	begin(512);
	put_words(mm, 512, 1);
	page_out(mm, 0, 512);
	assert_int_equal(swapped(), 512);
	assert_int_equal(get_mm_rss(mm), 0);
	for (unsigned long p = 1; p < 511; p++)
		assert_int_equal(swp_offset(entry_of(mm, p)), swp_offset(entry_of(mm, p - 1)) + 1);
	stats = soft_blk_stats(dev);
	assert_int_equal(stats.pages_written, 512);
	assert_in_range(stats.writes, 8, 10);
	expect_words(mm, 512, 1);
	assert_in_range(soft_blk_stats(dev).reads, 10, 40);
	assert_int_equal(soft_blk_stats(dev).pages_read, 512 + 1);
	assert_int_equal(swapped(), 0);
	end();
}

static void slots_are_counted(void **state)
{
	swp_entry_t entry;

	(void)state;
	begin(1);
	put_word(mm, 0, 5);
	page_out(mm, 0, 1);
	entry = entry_of(mm, 0);
	assert_int_equal(swap_count(entry), 1);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(swap_duplicate(entry), 0);
	assert_int_equal(swap_count(entry), 100001);
	for (int i = 0; i < 100000; i++)
		swap_free(entry);
	assert_int_equal(swap_count(entry), 1);
	assert_int_equal(swap_duplicate(swp_entry(swp_type(entry), swp_offset(entry) + 1)),
			 -EINVAL);
	assert_int_equal(swap_duplicate(swp_entry(swp_type(entry), 0)), -EINVAL);
	assert_int_equal(swap_duplicate(swp_entry(swp_type(entry), 5000)), -EINVAL);
	assert_int_equal(swap_duplicate(swp_entry(5, 1)), -EINVAL);
	assert_int_equal(swap_duplicate(swp_entry(31, 1)), -EINVAL);
	expect_word(mm, 0, 5);
	end();
}

static void full_swap_takes_no_more(void **state)
{
	(void)state;
	begin_with(700, 1000, MAP_PRIVATE);
	put_words(mm, 1000, 1);
	page_out(mm, 0, 1000);
	assert_int_equal(swapped(), 700);
	assert_int_equal(get_nr_swap_pages(), 0);
	page_out(mm, 0, 1000);
	assert_int_equal(do_madvise(mm, AT(100), 300 * PAGE_SIZE, MADV_DONTNEED), 0);
	assert_int_equal(get_nr_swap_pages(), 300);
	page_out(mm, 700, 300);
	assert_int_equal(get_nr_swap_pages(), 0);
	for (unsigned long p = 0; p < 1000; p++)
		expect_word(mm, p, p >= 100 && p < 400 ? 0 : p + 1);
	end();
}

/* ---- Faults --------------------------------------------------------------------------------- */

static void a_page_only_read_goes_again_for_nothing(void **state)
{
	u64 written;

	(void)state;
	begin(64);
	put_words(mm, 64, 1);
	page_out(mm, 0, 64);
	expect_words(mm, 64, 1);
	written = soft_blk_stats(dev).pages_written;
	assert_int_equal(total_swapcache_pages(), 64);
	page_out(mm, 0, 64);
	assert_int_equal(swapped(), 64);
	assert_int_equal(soft_blk_stats(dev).pages_written, written);
	expect_words(mm, 64, 1);
	/* One that was written to is another page. */
	put_word(mm, 7, 70);
	assert_int_equal(total_swapcache_pages(), 63);
	page_out(mm, 0, 64);
	assert_int_equal(soft_blk_stats(dev).pages_written, written + 1);
	expect_word(mm, 7, 70);
	expect_word(mm, 8, 9);
	end();
}

static void a_write_makes_the_page_its_own(void **state)
{
	(void)state;
	begin(32);
	put_words(mm, 32, 1);
	page_out(mm, 0, 32);
	for (unsigned long p = 0; p < 32; p++)
		put_word(mm, p, 100 + p);
	assert_int_equal(swap_inuse(), 0);
	expect_words(mm, 32, 100);
	end();
}

static void forked_programs_share_slots(void **state)
{
	struct mm_struct *child;
	swp_entry_t entry;

	(void)state;
	begin(40);
	put_words(mm, 40, 1);
	page_out(mm, 0, 40);
	entry = entry_of(mm, 3);
	child = fork_program(mm);
	assert_int_equal(get_mm_counter(child, MM_SWAPENTS), 40);
	assert_int_equal(swap_count(entry), 2);
	put_word(child, 3, 33);
	assert_int_equal(swap_count(entry), 1);
	expect_word(mm, 3, 4);
	expect_word(child, 3, 33);
	put_word(mm, 3, 44);
	expect_word(child, 3, 33);
	expect_word(mm, 3, 44);
	expect_word(mm, 10, 11);
	expect_word(child, 10, 11);
	put_word(mm, 10, 12);
	expect_word(child, 10, 11);
	mmput(child);
	assert_int_equal(swap_count(entry_of(mm, 39)), 1);
	put_word(mm, 11, 1);
	expect_word(mm, 39, 40);
	end();
}

static void pages_shared_after_fork_stay(void **state)
{
	struct mm_struct *child;

	(void)state;
	begin(16);
	put_words(mm, 16, 1);
	child = fork_program(mm);
	page_out(mm, 0, 16);
	assert_int_equal(swapped(), 0);
	put_words(child, 16, 50);
	page_out(mm, 0, 16);
	assert_int_equal(swapped(), 16);
	page_out(child, 0, 16);
	expect_words(child, 16, 50);
	expect_words(mm, 16, 1);
	mmput(child);
	end();
}

static void pinned_pages_stay(void **state)
{
	struct page *pages[4];

	(void)state;
	begin(8);
	put_words(mm, 8, 1);
	page_out(mm, 0, 8);
	assert_int_equal(pin_user_pages(mm, AT(2), 4, true, pages), 4);
	page_out(mm, 0, 8);
	assert_int_equal(swapped(), 4);
	memset(page_address(pages[0]), 9, PAGE_SIZE);
	unpin_user_pages(pages, 4, true);
	page_out(mm, 0, 8);
	assert_int_equal(swapped(), 8);
	expect_word(mm, 2, 0x0909090909090909ul);
	expect_word(mm, 3, 4);
	end();
}

static void the_kernel_reaches_what_is_out(void **state)
{
	u64 word = 0;
	u32 old = 4;

	(void)state;
	begin(8);
	put_words(mm, 8, 1);
	page_out(mm, 0, 8);
	assert_int_equal(copy_from_mm(mm, &word, AT(5), 8), 0);
	assert_int_equal(word, 6);
	word = 77;
	assert_int_equal(copy_to_mm(mm, AT(6), &word, 8), 0);
	assert_int_equal(copy_to_mm(mm, AT(7) - 8, &word, 8), 0);
	expect_word(mm, 6, 77);
	assert_int_equal(cmpxchg_user_u32(mm, AT(3), &old, 99), 0);
	assert_int_equal(copy_from_mm(mm, &word, AT(3), 4), 0);
	assert_int_equal(word, 99);
	end();
}

/* ---- Calls on memory that is out ------------------------------------------------------------ */

static void calls_meet_entries(void **state)
{
	unsigned char vec[8];

	(void)state;
	begin(64);
	put_words(mm, 64, 1);
	page_out(mm, 0, 64);
	assert_int_equal(do_mincore(mm, AT(0), 8, vec), 8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(vec[i], 0);
	/* Read ahead, it counts as resident, but is no part of the program's memory. */
	assert_int_equal(do_madvise(mm, AT(0), 4 * PAGE_SIZE, MADV_WILLNEED), 0);
	assert_int_equal(do_mincore(mm, AT(0), 8, vec), 8);
	assert_int_equal(vec[0] + vec[3], 2);
	assert_int_equal(vec[4], 0);
	assert_int_equal(get_mm_rss(mm), 0);
	assert_int_equal(total_swapcache_pages(), 4);

	assert_int_equal(do_mprotect(mm, AT(8), 8 * PAGE_SIZE, PROT_NONE), 0);
	assert_int_equal(do_mprotect(mm, AT(8), 8 * PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	expect_word(mm, 8, 9);
	assert_int_equal(do_mremap(mm, AT(16), 8 * PAGE_SIZE, 8 * PAGE_SIZE,
				   MREMAP_MAYMOVE | MREMAP_FIXED, AT(80)),
			 AT(80));
	expect_word(mm, 83, 20);
	put_word(mm, 84, 1);
	assert_int_equal(do_madvise(mm, AT(24), 8 * PAGE_SIZE, MADV_FREE), 0);
	expect_word(mm, 30, 0);
	assert_int_equal(do_madvise(mm, AT(32), 8 * PAGE_SIZE, MADV_DONTNEED), 0);
	expect_word(mm, 32, 0);
	assert_int_equal(do_munmap(mm, AT(40), 8 * PAGE_SIZE), 0);
	assert_int_equal(do_mlock(mm, AT(48), 4 * PAGE_SIZE, 0), 0);
	assert_int_equal(do_madvise(mm, AT(48), 4 * PAGE_SIZE, MADV_PAGEOUT), -EINVAL);
	expect_word(mm, 48, 49);
	expect_word(mm, 63, 64);
	end();
}

static void protected_pages_go_and_come_back(void **state)
{
	(void)state;
	begin(8);
	put_words(mm, 8, 1);
	assert_int_equal(do_mprotect(mm, AT(0), 8 * PAGE_SIZE, PROT_NONE), 0);
	page_out(mm, 0, 8);
	assert_int_equal(swapped(), 8);
	assert_int_equal(do_mprotect(mm, AT(0), 8 * PAGE_SIZE, PROT_READ), 0);
	expect_words(mm, 8, 1);
	end();
}

static void private_copies_of_a_file_swap_and_its_pages_do_not(void **state)
{
	struct test_file tf;

	(void)state;
	begin(1);
	tf = test_file_new(8 * KPAGE);
	assert_int_equal(do_mmap(mm, tf.file, AT(0), 8 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_FIXED, 0, NULL),
			 AT(0));
	put_word(mm, 1, 1);
	put_word(mm, 5, 5);
	page_out(mm, 0, 8);
	assert_int_equal(swapped(), 2);
	/* A hole, or a shorter file: private copies beyond the end go, wherever they are. */
	mutex_lock(&tf.inode->i_data.lock);
	truncate_pagecache_range_locked(tf.inode, 1, 1);
	mutex_unlock(&tf.inode->i_data.lock);
	assert_int_equal(swapped(), 2);
	truncate_setsize(tf.inode, 4 * KPAGE);
	assert_int_equal(swapped(), 1);
	expect_word(mm, 1, 1);
	test_file_put(&tf);
	end();
}

/* ---- Shared memory -------------------------------------------------------------------------- */

static void shared_memory_swaps(void **state)
{
	struct mm_struct *child;
	struct inode *inode;
	unsigned char vec[4];
	unsigned long cached;

	(void)state;
	begin_with(1024, 100, MAP_SHARED);
	inode = find_vma(mm, BASE)->vm_file->f_inode;
	put_words(mm, 100, 1);
	page_out(mm, 0, 100);
	assert_int_equal(inode->i_data.nrswapped, 100);
	assert_int_equal(inode->i_data.nrpages, 0);
	assert_int_equal(get_mm_rss(mm), 0);
	assert_int_equal(swapped(), 0);
	assert_int_equal(node_page_state(NR_SHMEM), 0);
	assert_int_equal(do_mincore(mm, AT(0), 4, vec), 4);
	assert_int_equal(vec[0], 0);
	child = fork_program(mm);
	put_word(child, 3, 33);
	expect_word(mm, 3, 33);
	/* Mapped by two: it stays. */
	page_out(mm, 3, 1);
	assert_int_equal(inode->i_data.nrpages, 1);
	assert_int_equal(do_madvise(mm, AT(10), 10 * PAGE_SIZE, MADV_REMOVE), 0);
	assert_int_equal(inode->i_data.nrswapped, 89);
	cached = total_swapcache_pages();
	assert_int_equal(do_madvise(mm, AT(20), 8 * PAGE_SIZE, MADV_WILLNEED), 0);
	assert_int_equal(total_swapcache_pages(), cached + 8);
	expect_word(mm, 12, 0);
	expect_word(child, 25, 26);
	mmput(child);
	truncate_setsize(inode, 50 * KPAGE + 100);
	truncate_setsize(inode, 100 * KPAGE);
	{
		u64 got[2];

		assert_int_equal(soft_load(mm, AT(50), &got[0], 8).signo, 0);
		assert_int_equal(soft_load(mm, AT(51) - 8, &got[1], 8).signo, 0);
		assert_int_equal(got[0], 51);
		assert_int_equal(got[1], 0);
	}
	expect_word(mm, 60, 0);
	expect_word(mm, 40, 41);
	end();
}

/* ---- I/O errors ----------------------------------------------------------------------------- */

static void what_cannot_be_written_stays(void **state)
{
	(void)state;
	soft_log_hook = log_kept;
	begin(32);
	put_words(mm, 32, 1);
	soft_blk_bad_page(dev, 5, false, true);
	page_out(mm, 0, 32);
	assert_non_null(strstr(log_text, "Write-error on swap-device /dev/swap"));
	assert_int_equal(total_swapcache_pages(), 1);
	assert_int_equal(soft_blk_stats(dev).pages_written, 31);
	expect_words(mm, 32, 1);
	soft_blk_bad_page(dev, 5, false, false);
	page_out(mm, 0, 32);
	expect_words(mm, 32, 1);
	end();
	soft_log_hook = NULL;
}

static void what_cannot_be_read_is_a_bus_error(void **state)
{
	u8 byte;

	(void)state;
	soft_log_hook = log_kept;
	begin(32);
	put_words(mm, 32, 1);
	page_out(mm, 0, 32);
	soft_blk_bad_page(dev, 5, true, false);
	for (unsigned long p = 0; p < 32; p++) {
		int signo = user_access(mm, AT(p), &byte, false);

		assert_int_equal(signo, p == 4 ? SIGBUS : 0);
	}
	assert_non_null(strstr(log_text, "Read-error on swap-device /dev/swap"));
	assert_int_equal(user_access(mm, AT(4), &byte, true), SIGBUS);
	assert_int_equal(copy_from_mm(mm, &byte, AT(4), 1), 1);
	assert_int_equal(do_swapoff(dev), -EIO);
	/* It was an error of the way, not of the medium. */
	soft_blk_bad_page(dev, 5, false, false);
	expect_words(mm, 32, 1);
	end();
	soft_log_hook = NULL;
}

/* ---- swapoff -------------------------------------------------------------------------------- */

static void swapoff_brings_everything_back(void **state)
{
	struct mm_struct *child, *shared;

	(void)state;
	begin(200);
	put_words(mm, 200, 1);
	page_out(mm, 0, 200);
	child = fork_program(mm);
	put_word(child, 7, 70);
	shared = program(50, MAP_SHARED);
	put_words(shared, 50, 500);
	page_out(shared, 0, 50);
	expect_word(mm, 9, 10);
	assert_int_equal(do_swapoff(dev), 0);
	assert_int_equal(total_swap_pages, 0);
	assert_int_equal(swapped(), 0);
	assert_int_equal(get_mm_counter(child, MM_SWAPENTS), 0);
	assert_int_equal(total_swapcache_pages(), 0);
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 200);
	expect_words(shared, 50, 500);
	expect_words(mm, 200, 1);
	expect_word(child, 7, 70);
	expect_word(child, 8, 9);
	put_word(child, 8, 80);
	expect_word(mm, 8, 9);
	mmput(child);
	mmput(shared);
	assert_int_equal(do_swapon(dev, 1025 * PAGE_SIZE, "/dev/swap", 0), 0);
	end();
}

/* Half of RAM out, and the other half full: it does not fit. */
static void swapoff_without_room_changes_nothing(void **state)
{
	const unsigned long pages = totalram_pages() * 3 / 5;
	struct mm_struct *other;

	(void)state;
	begin_with(8192, pages, MAP_PRIVATE);
	put_words(mm, pages, 1);
	page_out(mm, 0, pages);
	other = program(pages, MAP_PRIVATE);
	put_words(other, pages, 100000);
	assert_int_equal(do_swapoff(dev), -ENOMEM);
	assert_int_equal(total_swap_pages, 8192);
	assert_true(swapped() > 0);
	expect_words(other, pages, 100000);
	mmput(other);
	expect_words(mm, pages, 1);
	end();
}

/* ---- Allocations fail ------------------------------------------------------------------------ */

/* Everything once; whatever fails, what was written is there, and in the end nothing is left. */
static void scenario(void)
{
	struct mm_struct *m = mm_alloc(), *child;
	bool wrote[24] = { false };
	u64 word;

	if (!m)
		return;
	if (do_mmap(m, NULL, BASE, 24 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0, NULL) != BASE)
		goto out;
	for (u64 p = 0; p < 24; p++) {
		word = p + 1;
		wrote[p] = !soft_store(m, AT(p), &word, 8).signo;
	}
	do_madvise(m, BASE, 24 * PAGE_SIZE, MADV_PAGEOUT);
	child = dup_mm(m);
	up_write(&m->mmap_lock);
	for (u64 p = 0; p < 24; p++) {
		int signo;

		word = 0;
		signo = soft_load(m, AT(p), &word, 8).signo;
		if (!signo && wrote[p])
			assert_int_equal(word, p + 1);
		word = 0;
		if (!IS_ERR(child) && !soft_load(child, AT(p), &word, 8).signo && wrote[p])
			assert_int_equal(word, p + 1);
		word = 100 + p;
		if (!IS_ERR(child) && p % 3 == 0 && !soft_store(child, AT(p), &word, 8).signo &&
		    !soft_load(m, AT(p), &word, 8).signo && wrote[p])
			assert_int_equal(word, p + 1);
	}
	if (!IS_ERR(child)) {
		do_madvise(child, BASE, 24 * PAGE_SIZE, MADV_PAGEOUT);
		mmput(child);
	}
out:
	mmput(m);
}

static void allocations_fail(void **state)
{
	u64 d = swap_on(512, -1);
	int sweeps = 0;

	(void)state;
	before = counters_now();
	for (long nth = 1, failed = 1; failed; nth++, sweeps++) {
		fail_page_alloc = (struct fault_attr){ .nth = nth };
		scenario();
		failed = atomic_long_read(&fail_page_alloc.failed);
		fail_page_alloc = (struct fault_attr){ 0 };
		assert_int_equal(swap_inuse(), 0);
		assert_counters(&before);
	}
	assert_true(sweeps > 20);
	for (long nth = 1, failed = 1; failed; nth++) {
		failslab = (struct fault_attr){ .nth = nth };
		scenario();
		failed = atomic_long_read(&failslab.failed);
		failslab = (struct fault_attr){ 0 };
		assert_int_equal(swap_inuse(), 0);
		assert_counters(&before);
	}
	assert_int_equal(do_swapoff(d), 0);
}

static void transfers_fail(void **state)
{
	u64 d = swap_on(512, -1);

	(void)state;
	soft_log_hook = log_kept;
	before = counters_now();
	for (int write = 0; write < 2; write++) {
		for (unsigned long nth = 1; nth < 30; nth++) {
			soft_blk_fail(d, write, nth, write && nth % 2 ? -ENOSPC : -EIO);
			scenario();
			soft_blk_fail(d, write, 0, 0);
			assert_int_equal(swap_inuse(), 0);
			assert_counters(&before);
		}
	}
	assert_int_equal(do_swapoff(d), 0);
	soft_log_hook = NULL;
}

static void swapon_without_memory(void **state)
{
	u64 d = swap_device(2000);
	int err = -ENOMEM;

	(void)state;
	before = counters_now();
	for (long nth = 1; err; nth++) {
		failslab = (struct fault_attr){ .nth = nth };
		err = do_swapon(d, 2001 * PAGE_SIZE, "x", 0);
		failslab = (struct fault_attr){ 0 };
		assert_true(!err || err == -ENOMEM);
		if (err)
			assert_counters(&before);
	}
	assert_int_equal(do_swapoff(d), 0);
	err = -ENOMEM;
	for (long nth = 1; err; nth++) {
		fail_page_alloc = (struct fault_attr){ .nth = nth };
		err = do_swapon(d, 2001 * PAGE_SIZE, "x", 0);
		fail_page_alloc = (struct fault_attr){ 0 };
		assert_true(!err || err == -ENOMEM);
	}
	assert_int_equal(do_swapoff(d), 0);
	assert_counters(&before);
}

/* ---- At random ------------------------------------------------------------------------------ */

#define NR_MMS 4
#define RANDOM_PAGES 96

/* Programs that fork, write, page out, forget and end; areas that come and go under them. */
static void anything_in_any_order(void **state)
{
	struct mm_struct *mms[NR_MMS] = { NULL };
	static u64 model[NR_MMS][RANDOM_PAGES];
	u64 rng = 4711, devs[2] = { swap_on(150, 3), swap_on(300, 3) };
	bool on[2] = { true, true };

	(void)state;
	before = counters_now();
	for (u64 step = 1; step < 60000; step++) {
		unsigned long i = rng_below(&rng, NR_MMS), j = rng_below(&rng, NR_MMS);
		unsigned long p = rng_below(&rng, RANDOM_PAGES), n, what = rng_below(&rng, 100);

		n = min(1 + rng_below(&rng, 20), RANDOM_PAGES - p);
		if (!mms[i]) {
			mms[i] = program(RANDOM_PAGES, MAP_PRIVATE);
			memset(model[i], 0, sizeof(model[i]));
		}
		if (what < 35) {
			put_word(mms[i], p, step);
			model[i][p] = step;
		} else if (what < 70) {
			expect_word(mms[i], p, model[i][p]);
		} else if (what < 85) {
			page_out(mms[i], p, n);
		} else if (what < 88 && !mms[j]) {
			mms[j] = fork_program(mms[i]);
			memcpy(model[j], model[i], sizeof(model[i]));
		} else if (what < 90) {
			mmput(mms[i]);
			mms[i] = NULL;
		} else if (what < 92) {
			assert_int_equal(do_madvise(mms[i], AT(p), n * PAGE_SIZE, MADV_DONTNEED),
					 0);
			memset(&model[i][p], 0, n * sizeof(u64));
		} else if (what < 94) {
			assert_int_equal(do_madvise(mms[i], AT(p), n * PAGE_SIZE, MADV_WILLNEED),
					 0);
		} else if (what < 95) {
			int k = (int)rng_below(&rng, 2);

			if (on[k])
				assert_int_equal(do_swapoff(devs[k]), 0);
			else
				assert_int_equal(do_swapon(devs[k], (k ? 301 : 151) * PAGE_SIZE,
							   "x", SWAP_FLAG_PREFER | 3),
						 0);
			on[k] = !on[k];
		}
	}
	for (int i = 0; i < NR_MMS; i++) {
		for (unsigned long p = 0; mms[i] && p < RANDOM_PAGES; p++)
			expect_word(mms[i], p, model[i][p]);
		if (mms[i])
			mmput(mms[i]);
	}
	assert_int_equal(swap_inuse(), 0);
	for (int k = 0; k < 2; k++)
		if (on[k])
			assert_int_equal(do_swapoff(devs[k]), 0);
	assert_int_equal(total_swapcache_pages(), 0);
}

/* A machine for each: its devices are gone with it. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, boot_machine, stop_machine)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(headers_are_checked),
		TEST(areas_without_a_priority_follow_each_other),
		TEST(high_priority_first_and_equal_ones_in_turn),
		TEST(neighbours_lie_together),
		TEST(slots_are_counted),
		TEST(full_swap_takes_no_more),
		TEST(a_page_only_read_goes_again_for_nothing),
		TEST(a_write_makes_the_page_its_own),
		TEST(forked_programs_share_slots),
		TEST(pages_shared_after_fork_stay),
		TEST(pinned_pages_stay),
		TEST(the_kernel_reaches_what_is_out),
		TEST(calls_meet_entries),
		TEST(protected_pages_go_and_come_back),
		TEST(private_copies_of_a_file_swap_and_its_pages_do_not),
		TEST(shared_memory_swaps),
		TEST(what_cannot_be_written_stays),
		TEST(what_cannot_be_read_is_a_bus_error),
		TEST(swapoff_brings_everything_back),
		TEST(swapoff_without_room_changes_nothing),
		TEST(allocations_fail),
		TEST(transfers_fail),
		TEST(swapon_without_memory),
		TEST(anything_in_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
