/* SPDX-License-Identifier: MIT */
/*
 * Reclaim of every kind of page: what goes, what stays, in which order, and that what comes back is what
 * went.
 */
#include <quire/mm_inline.h>

#include "swap_fixture.h"

static struct mm_struct *mm;
static struct counters before;
static u64 dev;

static void begin(u32 slots, unsigned long pages, unsigned long flags)
{
	dev = slots ? swap_on(slots, -1) : 0;
	before = counters_now();
	mm = program(pages, flags);
}

static void end(void)
{
	mmput(mm);
	assert_int_equal(dev ? swap_inuse() : 0, 0);
	assert_all_gone(&before);
	if (dev)
		assert_int_equal(do_swapoff(dev), 0);
}

static void reclaim_all(gfp_t gfp)
{
	while (try_to_free_pages(gfp, 5))
		;
}

static unsigned long rss(struct mm_struct *of)
{
	return get_mm_rss(of);
}

static bool present(struct mm_struct *of, unsigned long page)
{
	pte_t *ptep;
	bool is;

	spin_lock(&of->page_table_lock);
	ptep = pte_lookup(of, AT(page));
	is = ptep && pte_present(*ptep) && !pte_special(*ptep);
	spin_unlock(&of->page_table_lock);
	return is;
}

static struct page *filemap_get_one(struct inode *inode)
{
	bool major;
	struct page *page;

	mutex_lock(&inode->i_data.lock);
	page = filemap_get_page(&inode->i_data, 0, false, &major);
	mutex_unlock(&inode->i_data.lock);
	assert_false(IS_ERR(page));
	return page;
}

/* ---- Anonymous memory ----------------------------------------------------------------------- */

static void private_memory_goes_to_swap(void **state)
{
	(void)state;
	begin(512, 200, MAP_PRIVATE);
	put_words(mm, 200, 7000);
	reclaim_all(GFP_NOIO); /* that takes I/O */
	assert_int_equal(rss(mm), 200);
	reclaim_all(GFP_KERNEL);
	assert_int_equal(rss(mm), 0);
	assert_int_equal(get_mm_counter(mm, MM_SWAPENTS), 200);
	assert_int_equal(total_swapcache_pages(), 0);
	expect_words(mm, 200, 7000);
	end();
}

static void without_swap_it_stays(void **state)
{
	(void)state;
	begin(0, 100, MAP_PRIVATE);
	put_words(mm, 100, 1);
	assert_int_equal(try_to_free_pages(GFP_KERNEL, 5), 0);
	assert_int_equal(rss(mm), 100);
	expect_words(mm, 100, 1);
	end();
}

/* Twice as much as there is RAM: the allocator's own reclaim finds room. */
static void more_than_memory(void **state)
{
	const unsigned long pages = totalram_pages() * 2;

	(void)state;
	begin((u32)pages + 64, pages, MAP_PRIVATE);
	for (int round = 0; round < 2; round++) {
		put_words(mm, pages, (u64)round << 32);
		expect_words(mm, pages, (u64)round << 32);
	}
	assert_true(all_vm_events(PSWPOUT) >= pages);
	end();
}

static void shared_memory_goes_to_swap(void **state)
{
	const unsigned long pages = totalram_pages() + totalram_pages() / 2;
	struct mm_struct *child;

	(void)state;
	begin((u32)pages + 64, pages, MAP_SHARED);
	put_words(mm, pages, 3);
	child = fork_program(mm);
	expect_words(child, pages, 3);
	put_words(child, 50, 1000);
	reclaim_all(GFP_KERNEL);
	expect_words(mm, 50, 1000);
	mmput(child);
	end();
}

/* A page that many programs have leaves them all, and comes back to all of them as one page. */
static void relatives_share(void **state)
{
	enum {
		N = 40
	};
	struct mm_struct *kids[N];

	(void)state;
	begin(512, 64, MAP_PRIVATE);
	put_words(mm, 64, 500);
	for (int i = 0; i < N; i++)
		kids[i] = fork_program(i % 3 ? kids[i - 1] : mm);
	for (int i = 0; i < N; i++)
		put_word(kids[i], (unsigned long)i, 9000 + (u64)i);
	reclaim_all(GFP_KERNEL);
	for (int i = 0; i < N; i++) {
		assert_int_equal(rss(kids[i]), 0);
		for (unsigned long p = 0; p < 64; p++)
			if (p != (unsigned long)i && (p >= N || p > (unsigned long)i))
				expect_word(kids[i], p, 500 + p);
		expect_word(kids[i], (unsigned long)i, 9000 + (u64)i);
	}
	expect_words(mm, 64, 500);
	for (int i = 0; i < N; i++)
		mmput(kids[i]);
	end();
}

static void locked_and_pinned_pages_stay(void **state)
{
	struct page *pinned;

	(void)state;
	begin(512, 64, MAP_PRIVATE);
	put_words(mm, 64, 1);
	assert_int_equal(do_mlock(mm, AT(0), 8 * PAGE_SIZE, 0), 0);
	assert_int_equal(node_page_state(NR_UNEVICTABLE), 8);
	assert_int_equal(pin_user_pages(mm, AT(20), 1, true, &pinned), 1);
	reclaim_all(GFP_KERNEL);
	assert_int_equal(rss(mm), 9);
	unpin_user_pages(&pinned, 1, true);
	assert_int_equal(do_munlock(mm, AT(0), 4 * PAGE_SIZE), 0);
	assert_int_equal(node_page_state(NR_UNEVICTABLE), 4);
	reclaim_all(GFP_KERNEL);
	assert_int_equal(rss(mm), 4);
	assert_int_equal(do_munmap(mm, AT(4), 4 * PAGE_SIZE), 0);
	assert_int_equal(node_page_state(NR_UNEVICTABLE), 0);
	assert_int_equal(do_mmap(mm, NULL, AT(4), 4 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_LOCKED, 0, NULL),
			 AT(4));
	put_word(mm, 5, 6);
	assert_true(node_page_state(NR_UNEVICTABLE) > 0);
	reclaim_all(GFP_KERNEL);
	assert_true(present(mm, 5));
	expect_word(mm, 5, 6);
	end();
}

/* ---- MADV_FREE ------------------------------------------------------------------------------ */

static void lazily_freed_pages_go_without_swap(void **state)
{
	(void)state;
	begin(0, 64, MAP_PRIVATE);
	put_words(mm, 64, 100);
	assert_int_equal(do_madvise(mm, AT(0), 32 * PAGE_SIZE, MADV_FREE), 0);
	put_word(mm, 3, 77); /* wanted again */
	expect_word(mm, 5, 105); /* only read */
	reclaim_all(GFP_NOIO);
	assert_int_equal(rss(mm), 33);
	expect_word(mm, 3, 77);
	expect_word(mm, 5, 0);
	for (unsigned long p = 32; p < 64; p++)
		expect_word(mm, p, 100 + p);
	assert_int_equal(all_vm_events(PGLAZYFREED), 31);
	reclaim_all(GFP_KERNEL);
	expect_word(mm, 3, 77);
	end();
}

/* ---- Order ---------------------------------------------------------------------------------- */

/* What is in use stays while there is something that is not. */
static void used_pages_stay(void **state)
{
	(void)state;
	begin(1024, 512, MAP_PRIVATE);
	put_words(mm, 512, 0);
	for (int round = 0; round < 8; round++) {
		for (unsigned long p = 0; p < 64; p++)
			expect_word(mm, p, p);
		try_to_free_pages(GFP_KERNEL, 0);
	}
	for (unsigned long p = 0; p < 64; p++)
		assert_true(present(mm, p));
	assert_true(rss(mm) < 512 - 128);
	end();
}

static void cold_pages_go_first(void **state)
{
	(void)state;
	begin(1024, 512, MAP_PRIVATE);
	put_words(mm, 512, 0);
	assert_int_equal(do_madvise(mm, AT(400), 64 * PAGE_SIZE, MADV_COLD), 0);
	while (rss(mm) > 512 - 64)
		try_to_free_pages(GFP_KERNEL, 0);
	for (unsigned long p = 400; p < 464; p++)
		assert_false(present(mm, p));
	expect_words(mm, 512, 0);
	end();
}

/* What is read once does not push out what is used again and again. */
static void a_scan_leaves_what_is_used(void **state)
{
	const unsigned long hot = 256, pages = totalram_pages() * 2;
	struct test_file tf;
	u64 word;

	(void)state;
	vm_cache_floor = 0;
	begin(0, 1, MAP_PRIVATE);
	tf = test_file_new((loff_t)(pages * PAGE_SIZE));
	assert_int_equal(do_mmap(mm, tf.file, AT(16), pages * PAGE_SIZE, PROT_READ,
				 MAP_SHARED | MAP_FIXED, 0, NULL),
			 AT(16));
	fput(tf.file);
	for (unsigned long p = hot; p < pages; p++) {
		soft_load(mm, AT(16 + p), &word, 8);
		soft_load(mm, AT(16 + p * 2 % hot), &word, 8);
		soft_load(mm, AT(16 + (p * 2 + 1) % hot), &word, 8);
	}
	for (unsigned long p = 0; p < hot; p++)
		assert_non_null(xa_load(&tf.inode->i_data.i_pages, p));
	assert_true(node_page_state(NR_ACTIVE_FILE) > 0);
	end();
}

/* Pages that were active long ago give way to those that come back soon after they went. */
static void refaults_are_noticed(void **state)
{
	const unsigned long old = totalram_pages() / 2, pages = totalram_pages() * 3 / 5;
	static u8 buf[64 * 4096];
	unsigned long majors = 0;
	struct test_file tf;
	u64 word;

	(void)state;
	vm_cache_floor = 0;
	begin(0, 1, MAP_PRIVATE);
	tf = test_file_new((loff_t)((old + pages) * PAGE_SIZE));
	for (unsigned long p = 0; p < 2 * old; p += 64)
		assert_true(kernel_read(tf.file, buf, sizeof(buf), (loff_t)(p % old * PAGE_SIZE)) >
			    0);
	assert_true(node_page_state(NR_ACTIVE_FILE) >= old * 9 / 10);
	do_mmap(mm, tf.file, AT(16), pages * PAGE_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, old,
		NULL);
	fput(tf.file);
	for (int round = 0; round < 12; round++) {
		majors = all_vm_events(PGMAJFAULT);
		for (unsigned long p = 0; p < pages; p++)
			soft_load(mm, AT(16 + p), &word, 8);
		majors = all_vm_events(PGMAJFAULT) - majors;
	}
	assert_true(node_page_state(WORKINGSET_ACTIVATE_FILE) > 0);
	assert_int_equal(majors, 0);
	end();
}

/* ---- Background and caches ------------------------------------------------------------------ */

static void the_background_works_up_to_the_high_watermark(void **state)
{
	const unsigned long pages = totalram_pages();
	unsigned long stalls;

	(void)state;
	anon_fault_max_order = 0;
	begin((u32)pages, pages, MAP_PRIVATE);
	for (unsigned long p = 0; zones_above(WMARK_LOW); p++)
		put_word(mm, p, p);
	stalls = all_vm_events(ALLOCSTALL);
	balance_pgdat();
	assert_true(zones_above(WMARK_HIGH));
	assert_true(all_vm_events(PGSTEAL_KSWAPD) > 0);
	assert_int_equal(all_vm_events(PGSTEAL_DIRECT), 0);
	assert_int_equal(all_vm_events(ALLOCSTALL), stalls);
	assert_int_equal(all_vm_events(PAGEOUTRUN), 1);
	anon_fault_max_order = 9;
	end();
}

/* Without anything to reclaim it ends, too. */
static void the_background_gives_up(void **state)
{
	(void)state;
	anon_fault_max_order = 0;
	begin(0, totalram_pages(), MAP_PRIVATE);
	for (unsigned long p = 0; zones_above(WMARK_LOW); p++)
		put_word(mm, p, p);
	for (int i = 0; i < 20; i++)
		balance_pgdat();
	assert_int_equal(all_vm_events(PGSTEAL_KSWAPD), 0);
	anon_fault_max_order = 9;
	end();
}

static void unused_inodes_are_given_up(void **state)
{
	const u64 disk = soft_blk_create(PAGE_SIZE);
	unsigned long objects;
	bool created;

	(void)state;
	begin(0, 1, MAP_PRIVATE);
	objects = kmem_cache_shrink_all();
	for (u64 ino = 0; ino < 500; ino++) {
		struct inode *inode = inode_get(7, 1000 + ino, &created);

		inode->i_blkdev = disk;
		inode->i_size = 1;
		if (ino % 10 == 0)
			put_page(filemap_get_one(inode));
		iput(inode);
	}
	assert_int_equal(kmem_cache_shrink_all(), objects + 500);
	drop_slab();
	assert_int_equal(kmem_cache_shrink_all(), objects + 50); /* those with pages stay */
	drop_caches(DROP_CACHES_PAGES | DROP_CACHES_SLAB);
	assert_int_equal(kmem_cache_shrink_all(), objects);
	end();
}

/* ---- Anything ------------------------------------------------------------------------------- */

static u64 rng_state;

static unsigned int rnd(unsigned long n)
{
	return (unsigned int)rng_below(&rng_state, n);
}

#define NR_MMS 6
#define NR_PAGES 96UL

static struct mm_struct *mms[NR_MMS];
static u64 model[NR_MMS][NR_PAGES];

static void random_fork(unsigned int i)
{
	unsigned int slot = rnd(NR_MMS);
	struct mm_struct *child;

	if (slot == i)
		return;
	child = dup_mm(mms[i]);
	up_write(&mms[i]->mmap_lock);
	if (IS_ERR(child))
		return;
	if (mms[slot])
		mmput(mms[slot]);
	mms[slot] = child;
	memcpy(model[slot], model[i], sizeof(model[i]));
}

/* A store that finds no memory may have changed one of the two words: it is tried until it succeeds. */
static void random_write(unsigned int i)
{
	unsigned long page = rnd(NR_PAGES), n = 1 + rnd(16);

	for (; n-- && page < NR_PAGES; page++) {
		u64 word = rng_next(&rng_state);
		int tries = 0;

		while ((soft_store(mms[i], AT(page), &word, 8).signo ||
			soft_store(mms[i], AT(page) + PAGE_SIZE - 8, &word, 8).signo) &&
		       tries++ < 100)
			;
		assert_true(tries < 100);
		model[i][page] = word;
	}
}

static void random_look(unsigned int i)
{
	unsigned long page = rnd(NR_PAGES);
	u64 word = 0;

	if (!soft_load(mms[i], AT(page), &word, 8).signo)
		assert_int_equal(word, model[i][page]);
}

static void random_step(void)
{
	unsigned int i = rnd(NR_MMS);

	if (!mms[i])
		return;
	switch (rnd(8)) {
	case 0:
		random_fork(i);
		break;
	case 1:
		try_to_free_pages(GFP_KERNEL, rnd(3));
		break;
	case 2:
	case 3:
	case 4:
		random_write(i);
		break;
	case 5:
		if (!do_madvise(mms[i], AT(10), 4 * PAGE_SIZE, MADV_DONTNEED))
			memset(&model[i][10], 0, 4 * sizeof(u64));
		break;
	default:
		random_look(i);
	}
}

static void random_run(unsigned int steps)
{
	begin(512, NR_PAGES, MAP_PRIVATE);
	mms[0] = mm;
	memset(model, 0, sizeof(model));
	for (unsigned int n = 0; n < steps; n++)
		random_step();
	failslab.interval = fail_page_alloc.interval = 0;
	soft_blk_fail(dev, true, 0, 0);
	for (unsigned int i = 0; i < NR_MMS; i++) {
		if (!mms[i])
			continue;
		for (unsigned long p = 0; p < NR_PAGES; p++)
			expect_word(mms[i], p, model[i][p]);
		if (i)
			mmput(mms[i]);
	}
	mm = mms[0];
	memset(mms, 0, sizeof(mms));
	end();
}

static void any_order(void **state)
{
	(void)state;
	rng_state = 4;
	random_run(20000);
}

static void any_order_without_memory(void **state)
{
	(void)state;
	rng_state = 5;
	failslab.interval = 31;
	fail_page_alloc.interval = 17;
	random_run(20000);
}

static void writes_fail(void **state)
{
	(void)state;
	begin(512, 200, MAP_PRIVATE);
	for (unsigned long nth = 1; nth < 20; nth++) {
		put_words(mm, 200, nth * 1000);
		soft_blk_fail(dev, true, nth, nth % 2 ? -EIO : -ENOSPC);
		reclaim_all(GFP_KERNEL);
		soft_blk_fail(dev, true, 0, 0);
		expect_words(mm, 200, nth * 1000);
	}
	end();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, boot_machine, stop_machine)
	const struct CMUnitTest tests[] = {
		TEST(private_memory_goes_to_swap),
		TEST(without_swap_it_stays),
		TEST(more_than_memory),
		TEST(shared_memory_goes_to_swap),
		TEST(relatives_share),
		TEST(locked_and_pinned_pages_stay),
		TEST(lazily_freed_pages_go_without_swap),
		TEST(used_pages_stay),
		TEST(cold_pages_go_first),
		TEST(a_scan_leaves_what_is_used),
		TEST(refaults_are_noticed),
		TEST(the_background_works_up_to_the_high_watermark),
		TEST(the_background_gives_up),
		TEST(unused_inodes_are_given_up),
		TEST(any_order),
		TEST(any_order_without_memory),
		TEST(writes_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
