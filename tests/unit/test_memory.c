/* SPDX-License-Identifier: MIT */
/*
 * Faults, copy on write, unmapping and changes over ranges, on the soft machine: its TLBs keep what
 * nobody flushes, so a forgotten flush is seen as a wrong value or a missing signal.
 */
#include "cache_fixture.h"

#include <pthread.h>

/* Signal numbers and codes; <signal.h> would define the codes a second time. */
enum {
	SIGNO_BUS = 7,
	SIGNO_KILL = 9,
	SIGNO_SEGV = 11
};

#define BASE 0x10000000UL
#define RAM_BYTES (64UL << 20)
#define PAGES(n) ((unsigned long)(n) << PAGE_SHIFT)
#define RW (PROT_READ | PROT_WRITE)
#define PRIVATE_ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
#define SHARED_ANON (MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)

static struct counters at_start;
static u64 rng_state = 1;

static int memory_up(void **state)
{
	(void)state;
	anon_fault_max_order = 9;
	fault_around_order = 4;
	if (soft_init(RAM_BYTES, 1))
		return -1;
	at_start = counters_now();
	return 0;
}

static int memory_down(void **state)
{
	(void)state;
	fail_page_alloc.nth = failslab.nth = 0;
	soft_exit();
	return 0;
}

static void map(struct mm_struct *mm, unsigned long addr, unsigned long len, unsigned long prot,
		unsigned long flags)
{
	assert_int_equal(do_mmap(mm, NULL, addr, len, prot, flags, 0, NULL), addr);
}

static struct mm_struct *new_mm(void)
{
	struct mm_struct *mm = mm_alloc();

	assert_non_null(mm);
	return mm;
}

static struct mm_struct *fork_mm(struct mm_struct *mm)
{
	struct mm_struct *child = dup_mm(mm);

	up_write(&mm->mmap_lock);
	return child;
}

static void put32(struct mm_struct *mm, unsigned long addr, u32 value)
{
	assert_int_equal(soft_store(mm, addr, &value, sizeof(value)).signo, 0);
}

static u32 get32(struct mm_struct *mm, unsigned long addr)
{
	u32 value = 0;

	assert_int_equal(soft_load(mm, addr, &value, sizeof(value)).signo, 0);
	return value;
}

static void assert_signal(struct soft_signal sig, int signo, int si_code)
{
	assert_int_equal(sig.signo, signo);
	assert_int_equal(sig.si_code, si_code);
}

static u64 pte_at(struct mm_struct *mm, unsigned long addr)
{
	pte_t *ptep, pte = __pte(0);

	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, addr);
	if (ptep)
		pte = ptep_get(ptep);
	spin_unlock(&mm->page_table_lock);
	return pte_val(pte);
}

static long mm_event(struct mm_struct *mm, enum mm_event e)
{
	return atomic_long_read(&mm->events[e]);
}

/* An mm with nothing mapped holds nothing; the machine is what it was when it was booted. */
static void end_mm(struct mm_struct *mm)
{
	mmput(mm);
	assert_counters(&at_start);
}

/* ---- Demand zero -------------------------------------------------------------------------- */

static void test_read_maps_zero_folio(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	map(mm, BASE, PAGES(64), RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 64; i++)
		assert_int_equal(get32(mm, BASE + PAGES(i)), 0);
	assert_int_equal(mm_event(mm, MM_EV_ZERO), 64);
	assert_int_equal(mm_event(mm, MM_EV_MINOR), 4);
	assert_int_equal(get_mm_rss(mm), 0);
	/* Each window of 64 KiB is one run of frames. */
	for (unsigned long i = 0; i < 64; i++) {
		u64 pte = pte_at(mm, BASE + PAGES(i));

		assert_int_equal(pte_pfn(__pte(pte)), zero_pfn + i % 16);
		assert_true(pte & _PAGE_SPECIAL);
		assert_false(pte & _PAGE_RW);
	}
	/* Written, they are the program's own, and the zero folio is still zero. */
	put32(mm, BASE + PAGES(5), 55);
	assert_int_equal(get32(mm, BASE + PAGES(5)), 55);
	assert_int_equal(get32(mm, BASE + PAGES(21)), 0);
	assert_int_equal(get32(mm, BASE + PAGES(6)), 0);
	assert_true(get_mm_rss(mm) > 0);
	end_mm(mm);
}

static void test_write_fills_zeroed(void **state)
{
	struct mm_struct *mm = new_mm();
	char page[PAGE_SIZE];

	(void)state;
	map(mm, BASE, PAGES(512), RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 512; i += 3)
		put32(mm, BASE + PAGES(i) + 100, (u32)i + 1);
	for (unsigned long i = 0; i < 512; i++) {
		assert_int_equal(soft_load(mm, BASE + PAGES(i), page, PAGE_SIZE).signo, 0);
		if (i % 3 == 0) {
			u32 v;

			memcpy(&v, page + 100, 4);
			assert_int_equal(v, i + 1);
			memset(page + 100, 0, 4);
		}
		for (unsigned long b = 0; b < PAGE_SIZE; b++)
			assert_int_equal(page[b], 0);
	}
	end_mm(mm);
}

/* --fill 4k: exactly what Linux does without large folios. */
static void test_single_page_fills(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	anon_fault_max_order = 0;
	fault_around_order = 0;
	map(mm, BASE, PAGES(64), RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 64; i++) {
		if (i & 1)
			put32(mm, BASE + PAGES(i), 1);
		else
			get32(mm, BASE + PAGES(i));
		assert_int_equal(mm_event(mm, MM_EV_MINOR), i + 1);
		assert_int_equal(get_mm_rss(mm), (i + 1) / 2);
	}
	assert_int_equal(mm_event(mm, MM_EV_ZERO), 32);
	assert_int_equal(mm_event(mm, MM_EV_ANON), 32);
	assert_int_equal(node_page_state(NR_ANON_MAPPED), 32);
	end_mm(mm);
}

static void test_fill_order_adapts(void **state)
{
	struct mm_struct *mm = new_mm();
	unsigned long len = 8UL << 20;

	(void)state;
	map(mm, 0x40000000, len, RW, PRIVATE_ANON);
	for (unsigned long a = 0; a < len; a += PAGE_SIZE)
		put32(mm, 0x40000000 + a, (u32)a);
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), len >> PAGE_SHIFT);
	assert_true(mm_event(mm, MM_EV_MINOR) < 20);
	assert_int_equal(atomic_long_read(&mm->folios[9]), 3);
	/* A block of 2 MiB is one block of frames. */
	assert_int_equal(pte_pfn(__pte(pte_at(mm, 0x40200000))) % 512, 0);
	assert_int_equal(pte_pfn(__pte(pte_at(mm, 0x403ff000))),
			 pte_pfn(__pte(pte_at(mm, 0x40200000))) + 511);
	for (unsigned long a = 0; a < len; a += PAGE_SIZE)
		assert_int_equal(get32(mm, 0x40000000 + a), a);
	end_mm(mm);
}

static void test_isolated_and_neighbouring_touch(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	map(mm, BASE, PAGES(512), RW, PRIVATE_ANON);
	put32(mm, BASE + PAGES(100), 1);
	assert_int_equal(get_mm_rss(mm), 1);
	put32(mm, BASE + PAGES(300), 1);
	assert_int_equal(get_mm_rss(mm), 2);
	/* The page below one that is there: its aligned 16 KiB, but what is there stays. */
	put32(mm, BASE + PAGES(99), 1);
	assert_int_equal(get_mm_rss(mm), 2 + 4);
	assert_int_equal(pte_at(mm, BASE + PAGES(95)), 0);
	assert_int_not_equal(pte_at(mm, BASE + PAGES(96)), 0);
	end_mm(mm);
}

/* Touches at equal distances are met ahead, downward too; at unequal ones, or if told so, not. */
static void test_strides(void **state)
{
	struct mm_struct *mm = new_mm();
	unsigned long seed = 1, minor;

	(void)state;
	map(mm, 0x40000000, 20UL << 20, RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 256; i++)
		put32(mm, 0x40000000 + i * PAGES(17), (u32)i);
	minor = (unsigned long)mm_event(mm, MM_EV_MINOR);
	assert_in_range(minor, 4, 60);
	/* What lay ahead at the end is all that is too much. */
	assert_in_range(get_mm_rss(mm), 256, 256 + 16);
	for (unsigned long i = 256; i-- > 1;)
		put32(mm, 0x40000000 + i * PAGES(17) + PAGES(8), 1);
	assert_true((unsigned long)mm_event(mm, MM_EV_MINOR) - minor < 60);
	end_mm(mm);

	mm = new_mm();
	map(mm, 0x40000000, 20UL << 20, RW, PRIVATE_ANON);
	for (unsigned int i = 0; i < 50; i++) {
		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		put32(mm, 0x40000000 + PAGES((seed >> 40) % 600 * 8), 1);
	}
	assert_int_equal(get_mm_rss(mm), mm_event(mm, MM_EV_MINOR));
	end_mm(mm);

	mm = new_mm();
	map(mm, 0x40000000, 20UL << 20, RW, PRIVATE_ANON);
	do_madvise(mm, 0x40000000, 20UL << 20, MADV_RANDOM);
	for (unsigned long i = 0; i < 50; i++)
		put32(mm, 0x40000000 + i * PAGES(17), (u32)i);
	assert_int_equal(mm_event(mm, MM_EV_MINOR), 50);
	end_mm(mm);
}

/* A block never reaches beyond its VMA. */
static void test_fill_stays_in_vma(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	map(mm, BASE + PAGES(3), PAGES(6), RW, PRIVATE_ANON);
	map(mm, BASE + PAGES(9), PAGES(7), PROT_READ, PRIVATE_ANON);
	for (unsigned long i = 3; i < 9; i++)
		put32(mm, BASE + PAGES(i), (u32)i);
	assert_int_equal(get_mm_rss(mm), 6);
	assert_int_equal(pte_at(mm, BASE + PAGES(9)), 0);
	assert_signal(soft_store(mm, BASE + PAGES(9), "x", 1), SIGNO_SEGV, SEGV_ACCERR);
	assert_signal(soft_store(mm, BASE + PAGES(2), "x", 1), SIGNO_SEGV, SEGV_MAPERR);
	end_mm(mm);
}

/* Memory in pieces: large fills fall back to small ones. */
static void test_fill_falls_back(void **state)
{
	struct mm_struct *mm = new_mm();
	unsigned long i;

	(void)state;
	map(mm, BASE, PAGES(64), RW, PRIVATE_ANON);
	put32(mm, BASE, 1);
	put32(mm, BASE + PAGES(1), 1);
	put32(mm, BASE + PAGES(2), 1);
	fail_page_alloc.nth = 1;
	put32(mm, BASE + PAGES(4), 1);
	assert_int_equal(get_mm_rss(mm), 6);
	for (i = 0; i < 64; i++)
		put32(mm, BASE + PAGES(i), (u32)i);
	for (i = 0; i < 64; i++)
		assert_int_equal(get32(mm, BASE + PAGES(i)), i);
	end_mm(mm);
}

static void test_out_of_memory_is_sigkill(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	map(mm, BASE, PAGES(1), RW, PRIVATE_ANON);
	put32(mm, BASE, 1);
	map(mm, BASE + PAGES(16), PAGES(1), RW, PRIVATE_ANON);
	fail_page_alloc.interval = 1;
	assert_int_equal(soft_store(mm, BASE + PAGES(16), "x", 1).signo, SIGNO_KILL);
	fail_page_alloc.interval = 0;
	put32(mm, BASE + PAGES(16), 7);
	end_mm(mm);
}

/* ---- Protection --------------------------------------------------------------------------- */

static void test_access_codes(void **state)
{
	struct mm_struct *mm = new_mm();
	char c;

	(void)state;
	map(mm, BASE, PAGES(1), PROT_NONE, PRIVATE_ANON);
	map(mm, BASE + PAGES(1), PAGES(1), PROT_READ, PRIVATE_ANON);
	map(mm, BASE + PAGES(2), PAGES(1), PROT_WRITE, PRIVATE_ANON);
	map(mm, BASE + PAGES(3), PAGES(1), PROT_EXEC, PRIVATE_ANON);
	assert_signal(soft_load(mm, BASE, &c, 1), SIGNO_SEGV, SEGV_ACCERR);
	assert_signal(soft_load(mm, BASE + PAGES(1), &c, 1), 0, 0);
	assert_signal(soft_store(mm, BASE + PAGES(1), &c, 1), SIGNO_SEGV, SEGV_ACCERR);
	assert_signal(soft_exec(mm, BASE + PAGES(1)), SIGNO_SEGV, SEGV_ACCERR);
	assert_signal(soft_load(mm, BASE + PAGES(2), &c, 1), 0, 0);
	assert_signal(soft_store(mm, BASE + PAGES(2), &c, 1), 0, 0);
	assert_signal(soft_exec(mm, BASE + PAGES(3)), 0, 0);
	assert_signal(soft_load(mm, BASE + PAGES(3), &c, 1), 0, 0);
	assert_signal(soft_store(mm, BASE + PAGES(3), &c, 1), SIGNO_SEGV, SEGV_ACCERR);
	assert_signal(soft_load(mm, BASE + PAGES(4), &c, 1), SIGNO_SEGV, SEGV_MAPERR);
	assert_signal(soft_load(mm, TASK_SIZE_MAX, &c, 1), SIGNO_SEGV, SEGV_MAPERR);
	assert_signal(soft_load(mm, ~0UL - 7, &c, 1), SIGNO_SEGV, SEGV_MAPERR);
	end_mm(mm);
}

static void test_mprotect_cycles(void **state)
{
	struct mm_struct *mm = new_mm();
	char c;

	(void)state;
	map(mm, BASE, PAGES(32), RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 32; i += 2)
		put32(mm, BASE + PAGES(i), (u32)i + 1);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(do_mprotect(mm, BASE, PAGES(32), PROT_READ), 0);
		assert_signal(soft_store(mm, BASE, "x", 1), SIGNO_SEGV, SEGV_ACCERR);
		assert_int_equal(get32(mm, BASE + PAGES(2)), 3 + round);
		assert_int_equal(do_mprotect(mm, BASE, PAGES(32), PROT_NONE), 0);
		assert_signal(soft_load(mm, BASE + PAGES(2), &c, 1), SIGNO_SEGV, SEGV_ACCERR);
		assert_int_equal(do_mprotect(mm, BASE, PAGES(32), PROT_READ | PROT_EXEC), 0);
		assert_signal(soft_exec(mm, BASE + PAGES(2)), 0, 0);
		assert_int_equal(do_mprotect(mm, BASE, PAGES(32), RW), 0);
		assert_signal(soft_exec(mm, BASE + PAGES(2)), SIGNO_SEGV, SEGV_ACCERR);
		for (unsigned long i = 0; i < 32; i += 2)
			put32(mm, BASE + PAGES(i), get32(mm, BASE + PAGES(i)) + 1);
	}
	assert_int_equal(get32(mm, BASE + PAGES(10)), 14);
	assert_int_equal(mm_event(mm, MM_EV_COW), 0);
	end_mm(mm);
}

/* ---- Copy on write ------------------------------------------------------------------------ */

static void test_fork_shares_until_written(void **state)
{
	struct mm_struct *mm = new_mm(), *child;

	(void)state;
	map(mm, BASE, PAGES(16), RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 16; i++)
		put32(mm, BASE + PAGES(i), (u32)i);
	child = fork_mm(mm);
	assert_false(IS_ERR(child));
	assert_int_equal(get_mm_rss(child), 16);
	assert_int_equal(node_page_state(NR_ANON_MAPPED), 16);
	put32(mm, BASE, 100);
	put32(child, BASE + PAGES(1), 200);
	assert_int_equal(get32(child, BASE), 0);
	assert_int_equal(get32(mm, BASE + PAGES(1)), 1);
	assert_int_equal(node_page_state(NR_ANON_MAPPED), 18);
	assert_int_equal(mm_event(mm, MM_EV_COW), 1);
	/* The other side's copy left us the sole owner. */
	put32(child, BASE, 300);
	assert_int_equal(mm_event(child, MM_EV_COW), 1);
	assert_true(mm_event(child, MM_EV_REUSE) >= 1);
	assert_int_equal(get32(mm, BASE), 100);
	mmput(child);
	/* All is ours again, and a whole window comes back with one fault. */
	for (unsigned long i = 0; i < 16; i++)
		put32(mm, BASE + PAGES(i), (u32)i + 1000);
	assert_int_equal(mm_event(mm, MM_EV_COW), 1);
	assert_int_equal(node_page_state(NR_ANON_MAPPED), 16);
	end_mm(mm);
}

static void test_fork_of_zero_and_shared_pages(void **state)
{
	struct mm_struct *mm = new_mm(), *child;

	(void)state;
	map(mm, BASE, PAGES(16), RW, PRIVATE_ANON);
	map(mm, BASE + PAGES(16), PAGES(4), RW, SHARED_ANON);
	get32(mm, BASE);
	put32(mm, BASE + PAGES(16), 1);
	child = fork_mm(mm);
	put32(child, BASE + PAGES(3), 33);
	assert_int_equal(get32(mm, BASE + PAGES(3)), 0);
	put32(child, BASE + PAGES(16), 2);
	put32(child, BASE + PAGES(17), 3);
	assert_int_equal(get32(mm, BASE + PAGES(16)), 2);
	assert_int_equal(get32(mm, BASE + PAGES(17)), 3);
	assert_int_equal(get_mm_counter(mm, MM_SHMEMPAGES), 2);
	mmput(mm);
	assert_int_equal(get32(child, BASE + PAGES(17)), 3);
	end_mm(child);
}

/* A private mapping of a file of n pages, page i beginning with i. */
static void map_numbered_file(struct mm_struct *mm, unsigned long n, bool stable)
{
	struct inode *inode = shmem_inode_new(NULL, (loff_t)PAGES(n), 0);
	struct file *file = file_alloc(inode, FMODE_READ | FMODE_WRITE, "numbers");

	assert_false(IS_ERR(file));
	assert_int_equal(do_mmap(mm, file, BASE, PAGES(n), RW, MAP_SHARED | MAP_FIXED, 0, NULL),
			 BASE);
	for (unsigned long i = 0; i < n; i++)
		put32(mm, BASE + PAGES(i), (u32)i);
	inode->i_stable = stable;
	assert_int_equal(do_mmap(mm, file, BASE, PAGES(n), RW, MAP_PRIVATE | MAP_FIXED, 0, NULL),
			 BASE);
	fput(file);
}

static void test_written_file_pages_are_copied_in_blocks(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	map_numbered_file(mm, 64, true);
	put32(mm, BASE + PAGES(40), 1040);
	assert_int_equal(mm_event(mm, MM_EV_COW), 1);
	put32(mm, BASE + PAGES(41), 1041); /* with 42 and 43 */
	assert_int_equal(mm_event(mm, MM_EV_COW), 4);
	get32(mm, BASE + PAGES(32)); /* copied from the entry, others from the cache */
	put32(mm, BASE + PAGES(39), 1039); /* with 32 ... 38 and 44 ... 47 */
	assert_int_equal(mm_event(mm, MM_EV_COW), 16);
	assert_int_equal(mm_event(mm, MM_EV_MINOR), 64 + 4);
	for (unsigned long i = 0; i < 64; i++)
		assert_int_equal(get32(mm, BASE + PAGES(i)), i < 39 || i > 41 ? i : 1000 + i);
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 16);
	end_mm(mm);
}

/* Of what was copied early only the unwritten sees that the file changes after all. */
static void test_early_copies_see_changes(void **state)
{
	struct mm_struct *mm = new_mm(), *child;
	struct inode *inode;
	struct page *page;
	bool major;

	(void)state;
	map_numbered_file(mm, 16, true); /* copied as a whole */
	put32(mm, BASE + PAGES(3), 1003);
	assert_int_equal(mm_event(mm, MM_EV_COW), 16);
	put32(mm, BASE + PAGES(4), 1004);
	child = fork_mm(mm);
	put32(child, BASE + PAGES(5), 1005);
	put32(mm, BASE + PAGES(9), 1009);
	assert_int_equal(do_mprotect(mm, BASE + PAGES(8), PAGES(2), PROT_READ), 0);

	inode = find_vma(mm, BASE)->vm_file->f_inode;
	ihold(inode);
	mutex_lock(&inode->i_data.lock);
	inode_unstable_locked(inode);
	for (pgoff_t i = 0; i < 16; i++) {
		page = filemap_get_page(&inode->i_data, i, false, &major);
		*(u32 *)page_address(page) = 2000 + (u32)i;
		put_page(page);
	}
	mutex_unlock(&inode->i_data.lock);
	iput(inode);
	for (u32 i = 0; i < 16; i++) {
		bool both = i == 3 || i == 4;

		assert_int_equal(get32(mm, BASE + PAGES(i)), both || i == 9 ? 1000 + i : 2000 + i);
		assert_int_equal(get32(child, BASE + PAGES(i)),
				 both || i == 5 ? 1000 + i : 2000 + i);
	}
	put32(mm, BASE + PAGES(12), 1012); /* alone, now */
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 4);
	mmput(child);
	end_mm(mm);
}

static void test_pages_of_changing_files_are_copied_alone(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	map_numbered_file(mm, 16, false);
	for (unsigned long i = 0; i < 8; i++)
		put32(mm, BASE + PAGES(i), 1);
	assert_int_equal(mm_event(mm, MM_EV_COW), 8);
	end_mm(mm);
}

/* ---- Unmapping ---------------------------------------------------------------------------- */

static void test_unmap_frees_tables(void **state)
{
	struct mm_struct *mm = new_mm();
	unsigned long far = 0x600000000000UL;
	char c;

	(void)state;
	map(mm, BASE, PAGES(1), RW, PRIVATE_ANON);
	map(mm, far, 1UL << 40, PROT_READ | PROT_WRITE, PRIVATE_ANON | MAP_NORESERVE);
	put32(mm, BASE, 1);
	for (unsigned long i = 0; i < 32; i++)
		put32(mm, far + (i << 35), (u32)i);
	assert_true(atomic_long_read(&mm->pgtables_bytes) > 64 * KPAGE);
	assert_int_equal(do_munmap(mm, far, 1UL << 40), 0);
	assert_int_equal(atomic_long_read(&mm->pgtables_bytes), 3 * KPAGE);
	assert_signal(soft_load(mm, far, &c, 1), SIGNO_SEGV, SEGV_MAPERR);
	assert_int_equal(get32(mm, BASE), 1);
	assert_int_equal(do_munmap(mm, BASE, PAGES(1)), 0);
	assert_int_equal(atomic_long_read(&mm->pgtables_bytes), 0);
	end_mm(mm);
}

static void test_large_unmap_in_batches(void **state)
{
	struct mm_struct *mm = new_mm();

	(void)state;
	map(mm, BASE, 32UL << 20, RW, PRIVATE_ANON);
	for (unsigned long a = 0; a < 32UL << 20; a += PAGE_SIZE)
		put32(mm, BASE + a, 1);
	assert_int_equal(do_madvise(mm, BASE, 16UL << 20, MADV_DONTNEED), 0);
	assert_int_equal(get32(mm, BASE + 4096), 0);
	assert_int_equal(get32(mm, BASE + (16UL << 20)), 1);
	assert_int_equal(get_mm_rss(mm), 4096);
	/* No frame to note pages in: smaller batches. */
	fail_page_alloc.interval = 2;
	assert_int_equal(do_munmap(mm, BASE, 32UL << 20), 0);
	fail_page_alloc.interval = 0;
	assert_int_equal(get_mm_rss(mm), 0);
	end_mm(mm);
}

static void test_move_keeps_contents(void **state)
{
	struct mm_struct *mm = new_mm();
	unsigned long to = 0x20000000UL + PAGES(77);
	char c;

	(void)state;
	map(mm, BASE, PAGES(1100), RW, PRIVATE_ANON);
	for (unsigned long i = 0; i < 1100; i += 5)
		put32(mm, BASE + PAGES(i), (u32)i + 1);
	assert_int_equal(
		do_mremap(mm, BASE, PAGES(1100), PAGES(1100), MREMAP_MAYMOVE | MREMAP_FIXED, to),
		to);
	assert_signal(soft_load(mm, BASE + PAGES(5), &c, 1), SIGNO_SEGV, SEGV_MAPERR);
	for (unsigned long i = 0; i < 1100; i += 5)
		assert_int_equal(get32(mm, to + PAGES(i)), i + 1);
	assert_int_equal(get32(mm, to + PAGES(3)), 0);
	end_mm(mm);
}

/* ---- Random programs against a model ------------------------------------------------------- */

#define WINDOW 96
#define MAX_MMS 6
#define MAX_OBJECTS 64

struct model_page {
	bool mapped;
	int prot;
	int object; /* of MAP_SHARED memory, or -1 */
	int index; /* within it */
	u32 value; /* private */
};

struct model {
	struct mm_struct *mm;
	struct model_page page[WINDOW];
};

static struct model models[MAX_MMS];
static u32 objects[MAX_OBJECTS][WINDOW];
static int nr_objects;

static u32 *model_value(struct model_page *p)
{
	return p->object < 0 ? &p->value : &objects[p->object][p->index];
}

static unsigned long window_addr(unsigned long i)
{
	/* Across a table boundary. */
	return BASE + PMD_SIZE - PAGES(WINDOW / 2) + PAGES(i);
}

static void step_store(struct model *m, unsigned long i)
{
	struct model_page *p = &m->page[i];
	u32 value = (u32)rng_next(&rng_state) | 1;
	struct soft_signal sig = soft_store(m->mm, window_addr(i) + 8, &value, 4);

	if (!p->mapped)
		assert_signal(sig, SIGNO_SEGV, SEGV_MAPERR);
	else if (!(p->prot & PROT_WRITE))
		assert_signal(sig, SIGNO_SEGV, SEGV_ACCERR);
	else
		assert_signal(sig, 0, 0);
	if (!sig.signo)
		*model_value(p) = value;
}

static void step_load(struct model *m, unsigned long i)
{
	struct model_page *p = &m->page[i];
	u32 value = 0;
	struct soft_signal sig = soft_load(m->mm, window_addr(i) + 8, &value, 4);

	if (!p->mapped)
		assert_signal(sig, SIGNO_SEGV, SEGV_MAPERR);
	else if (p->prot == PROT_NONE)
		assert_signal(sig, SIGNO_SEGV, SEGV_ACCERR);
	else
		assert_signal(sig, 0, 0);
	if (!sig.signo)
		assert_int_equal(value, *model_value(p));
}

/* The kernel's own way to the same bytes. */
static void step_copy(struct model *m, unsigned long i)
{
	struct model_page *p = &m->page[i];
	u32 value = (u32)rng_next(&rng_state) | 1, seen = 0;
	size_t left = copy_from_mm(m->mm, &seen, window_addr(i) + 8, 4);

	assert_int_equal(left, p->mapped && p->prot != PROT_NONE ? 0 : 4);
	if (!left)
		assert_int_equal(seen, *model_value(p));
	left = copy_to_mm(m->mm, window_addr(i) + 8, &value, 4);
	assert_int_equal(left, p->mapped && p->prot & PROT_WRITE ? 0 : 4);
	if (!left)
		*model_value(p) = value;
}

static void step_map(struct model *m, unsigned long i, unsigned long n)
{
	bool shared = nr_objects < MAX_OBJECTS && rng_below(&rng_state, 3) == 0;
	int prot = rng_below(&rng_state, 4) ? RW : PROT_READ;

	map(m->mm, window_addr(i), PAGES(n), (unsigned long)prot,
	    shared ? SHARED_ANON : PRIVATE_ANON);
	for (unsigned long k = 0; k < n; k++)
		m->page[i + k] =
			(struct model_page){ true, prot, shared ? nr_objects : -1, (int)k, 0 };
	if (shared)
		memset(objects[nr_objects++], 0, sizeof(objects[0]));
}

static void step_unmap(struct model *m, unsigned long i, unsigned long n)
{
	assert_int_equal(do_munmap(m->mm, window_addr(i), PAGES(n)), 0);
	memset(&m->page[i], 0, n * sizeof(m->page[0]));
}

static bool all_mapped(struct model *m, unsigned long i, unsigned long n)
{
	while (n--)
		if (!m->page[i++].mapped)
			return false;
	return true;
}

static void step_protect(struct model *m, unsigned long i, unsigned long n)
{
	static const int prots[] = { PROT_NONE, PROT_READ, RW, RW, PROT_READ | PROT_EXEC };
	int prot = prots[rng_below(&rng_state, 5)];

	if (!all_mapped(m, i, n))
		return;
	assert_int_equal(do_mprotect(m->mm, window_addr(i), PAGES(n), (unsigned long)prot), 0);
	for (unsigned long k = 0; k < n; k++)
		m->page[i + k].prot = prot;
}

static void step_dontneed(struct model *m, unsigned long i, unsigned long n)
{
	if (!all_mapped(m, i, n))
		return;
	assert_int_equal(do_madvise(m->mm, window_addr(i), PAGES(n), MADV_DONTNEED), 0);
	for (unsigned long k = 0; k < n; k++)
		m->page[i + k].value = 0;
}

/* Only within one VMA: what the model cannot tell, mremap() says. */
static void step_move(struct model *m, unsigned long i, unsigned long n)
{
	unsigned long to = rng_below(&rng_state, WINDOW - n), ret;

	if (!all_mapped(m, i, n) || (to < i + n && i < to + n))
		return;
	ret = do_mremap(m->mm, window_addr(i), PAGES(n), PAGES(n), MREMAP_MAYMOVE | MREMAP_FIXED,
			window_addr(to));
	if (IS_ERR_VALUE(ret)) {
		/* The target has been unmapped by then, as on Linux. */
		assert_int_equal((long)ret, -EFAULT);
		if (!find_vma_intersection(m->mm, window_addr(to), window_addr(to + n)))
			memset(&m->page[to], 0, n * sizeof(m->page[0]));
		return;
	}
	memcpy(&m->page[to], &m->page[i], n * sizeof(m->page[0]));
	memset(&m->page[i], 0, n * sizeof(m->page[0]));
}

static void step_fork(struct model *m)
{
	for (int k = 0; k < MAX_MMS; k++) {
		if (models[k].mm)
			continue;
		models[k] = *m;
		models[k].mm = fork_mm(m->mm);
		assert_false(IS_ERR(models[k].mm));
		return;
	}
}

static void check_all(struct model *m)
{
	for (unsigned long i = 0; i < WINDOW; i++)
		step_load(m, i);
}

static void random_step(struct model *m)
{
	unsigned long i = rng_below(&rng_state, WINDOW),
		      n = 1 + rng_below(&rng_state, min(WINDOW - i, 24UL));

	switch (rng_below(&rng_state, 24)) {
	case 0:
		step_fork(m);
		break;
	case 1:
		check_all(m);
		if (rng_below(&rng_state, 2) && m != &models[0]) {
			mmput(m->mm);
			m->mm = NULL;
		}
		break;
	case 2:
	case 3:
		step_map(m, i, n);
		break;
	case 4:
		step_unmap(m, i, n);
		break;
	case 5:
	case 6:
		step_protect(m, i, n);
		break;
	case 7:
		step_dontneed(m, i, n);
		break;
	case 8:
		step_move(m, i, n);
		break;
	case 9:
	case 10:
		step_copy(m, i);
		break;
	case 11:
	case 12:
	case 13:
	case 14:
		step_load(m, i);
		break;
	default:
		step_store(m, i);
		break;
	}
}

static void run_random_programs(u64 seed, int steps)
{
	rng_state = seed;
	nr_objects = 0;
	memset(models, 0, sizeof(models));
	models[0].mm = new_mm();
	for (int s = 0; s < steps; s++) {
		struct model *m = &models[rng_below(&rng_state, MAX_MMS)];

		if (m->mm)
			random_step(m);
	}
	for (int k = 0; k < MAX_MMS; k++) {
		if (!models[k].mm)
			continue;
		check_all(&models[k]);
		mmput(models[k].mm);
	}
	assert_counters(&at_start);
}

static void test_random_programs(void **state)
{
	(void)state;
	for (u64 seed = 1; seed <= 300; seed++) {
		anon_fault_max_order = seed % 3 ? 9 : 0;
		fault_around_order = seed % 4 ? 4 : 0;
		run_random_programs(seed * 0x9e3779b97f4a7c15ULL, 3000);
	}
}

/* ---- Every allocation fails once ------------------------------------------------------------ */

/* Goes on after every failure; what was done must still be right. */
static void small_program(void)
{
	struct mm_struct *mm = mm_alloc(), *child;
	u32 v;

	if (!mm)
		return;
	if (!IS_ERR_VALUE(do_mmap(mm, NULL, BASE, PAGES(40), RW, PRIVATE_ANON, 0, NULL))) {
		for (unsigned long i = 0; i < 40; i += 3) {
			v = (u32)i + 1;
			if (soft_store(mm, BASE + PAGES(i), &v, 4).signo == 0)
				assert_int_equal(get32(mm, BASE + PAGES(i)), i + 1);
		}
		child = fork_mm(mm);
		if (!IS_ERR(child)) {
			for (unsigned long i = 0; i < 40; i += 2) {
				v = 9;
				soft_store(child, BASE + PAGES(i), &v, 4);
			}
			do_mremap(child, BASE, PAGES(40), PAGES(40), MREMAP_MAYMOVE | MREMAP_FIXED,
				  0x70000000);
			mmput(child);
		}
		for (unsigned long i = 0; i < 40; i += 3)
			if (soft_load(mm, BASE + PAGES(i), &v, 4).signo == 0 && v)
				assert_int_equal(v, i + 1);
		do_mprotect(mm, BASE + PAGES(5), PAGES(9), PROT_READ);
	}
	mmput(mm);
}

static void sweep(struct fault_attr *attr)
{
	for (long n = 1; n < 10000; n++) {
		long failed = atomic_long_read(&attr->failed);

		attr->nth = n;
		small_program();
		attr->nth = 0;
		assert_counters(&at_start);
		if (atomic_long_read(&attr->failed) == failed)
			return;
	}
	fail_msg("no end");
}

static void test_every_allocation_fails(void **state)
{
	(void)state;
	sweep(&fail_page_alloc);
	sweep(&failslab);
}

/* ---- Stack -------------------------------------------------------------------------------- */

static void test_stack_grows(void **state)
{
	struct mm_struct *mm = new_mm();
	unsigned long top = 0x7ffffffff000UL - PAGES(16);

	(void)state;
	map(mm, top - PAGES(2), PAGES(2), RW, PRIVATE_ANON | MAP_GROWSDOWN);
	put32(mm, top - PAGES(2), 1);
	put32(mm, top - PAGES(9), 9);
	assert_int_equal(get32(mm, top - PAGES(9)), 9);
	assert_int_equal(find_vma(mm, top - PAGES(5))->vm_start, top - PAGES(9));
	assert_int_equal(copy_to_mm(mm, top - PAGES(20), "abc", 4), 0);
	assert_int_equal(find_vma(mm, top - PAGES(5))->vm_start, top - PAGES(20));
	end_mm(mm);
}

/* ---- Several CPUs -------------------------------------------------------------------------- */

#define NR_THREADS 4
#define THREAD_PAGES 700
#define THREAD_ROUNDS 3000

struct worker {
	pthread_t thread;
	struct mm_struct *mm;
	unsigned int cpu;
	u64 rng;
	u32 last[THREAD_PAGES]; /* what it wrote in its part of each page */
	bool failed;
};

static u64 worker_rng(struct worker *w)
{
	w->rng = w->rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return w->rng >> 33;
}

/* A child that writes a little and goes: its parent's pages lose and regain write permission. */
static bool worker_fork(struct worker *w, unsigned long addr)
{
	struct mm_struct *child = fork_mm(w->mm);
	u32 v = 1;
	bool ok;

	if (IS_ERR(child))
		return false;
	ok = !soft_store(child, addr, &v, 4).signo;
	mmput(child);
	return ok;
}

static bool worker_round(struct worker *w, u32 round)
{
	unsigned long i = worker_rng(w) % THREAD_PAGES;
	unsigned long addr = BASE + PAGES(i) + w->cpu * 256;
	u32 seen = ~0u;

	if (worker_rng(w) % 64 == 0 && !worker_fork(w, addr))
		return false;
	if (worker_rng(w) % 4 == 0)
		return copy_from_mm(w->mm, &seen, addr, 4) == 0 && seen == w->last[i];
	if (soft_load(w->mm, addr, &seen, 4).signo || seen != w->last[i])
		return false;
	w->last[i] = round;
	return soft_store(w->mm, addr, &round, 4).signo == 0;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	soft_cpu_enter(w->cpu);
	for (u32 round = 1; round <= THREAD_ROUNDS && !w->failed; round++)
		w->failed = !worker_round(w, round);
	return NULL;
}

static void test_threads_share_an_mm(void **state)
{
	static struct worker workers[NR_THREADS];
	struct counters before;
	struct mm_struct *mm;

	(void)state;
	soft_exit();
	assert_int_equal(soft_init(RAM_BYTES, NR_THREADS + 1), 0);
	before = counters_now();
	mm = new_mm();
	map(mm, BASE, PAGES(THREAD_PAGES), RW, PRIVATE_ANON);
	memset(workers, 0, sizeof(workers));
	for (unsigned int t = 0; t < NR_THREADS; t++) {
		workers[t].mm = mm;
		workers[t].cpu = t + 1;
		workers[t].rng = t;
		pthread_create(&workers[t].thread, NULL, worker_main, &workers[t]);
	}
	for (unsigned int t = 0; t < NR_THREADS; t++) {
		pthread_join(workers[t].thread, NULL);
		assert_false(workers[t].failed);
	}
	assert_true(get_mm_counter(mm, MM_ANONPAGES) <= THREAD_PAGES);
	mmput(mm);
	assert_counters(&before);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, memory_up, memory_down)
	const struct CMUnitTest tests[] = {
		TEST(read_maps_zero_folio),
		TEST(write_fills_zeroed),
		TEST(single_page_fills),
		TEST(fill_order_adapts),
		TEST(isolated_and_neighbouring_touch),
		TEST(strides),
		TEST(fill_stays_in_vma),
		TEST(fill_falls_back),
		TEST(out_of_memory_is_sigkill),
		TEST(access_codes),
		TEST(mprotect_cycles),
		TEST(fork_shares_until_written),
		TEST(fork_of_zero_and_shared_pages),
		TEST(written_file_pages_are_copied_in_blocks),
		TEST(early_copies_see_changes),
		TEST(pages_of_changing_files_are_copied_alone),
		TEST(unmap_frees_tables),
		TEST(large_unmap_in_batches),
		TEST(move_keeps_contents),
		TEST(random_programs),
		TEST(every_allocation_fails),
		TEST(stack_grows),
		TEST(threads_share_an_mm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
