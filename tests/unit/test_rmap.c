/* SPDX-License-Identifier: MIT */
/*
 * Reverse mapping: whatever splits, merges, moves and forks went before, a walk from a page finds every
 * entry that maps it, as a look at all tables of all address spaces says, and nothing else.
 */
#include <quire/rmap.h>

#include "mm_fixture.h"

#define MAX_MMS 24
#define PAGES 64UL

static struct mm_struct *mms[MAX_MMS];
static struct counters before;

/* ---- What all tables say -------------------------------------------------------------------- */

static unsigned int *mapped; /* by frame: entries seen */

static void count_mm(struct mm_struct *mm)
{
	unsigned long addr = 0;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, TASK_SIZE_MAX))) {
		unsigned long next = (addr & PMD_MASK) + PMD_SIZE;

		for (; addr < next; addr += PAGE_SIZE, ptep++)
			if (pte_present(*ptep) && !pte_special(*ptep))
				mapped[pte_pfn(*ptep)]++;
	}
	spin_unlock(&mm->page_table_lock);
}

static bool count_one(struct page *page, struct vm_area_struct *vma, unsigned long addr,
		      pte_t *ptep, void *arg)
{
	assert_ptr_equal(pfn_to_page(pte_pfn(*ptep)), page);
	assert_true(addr >= vma->vm_start && addr < vma->vm_end);
	assert_int_equal(linear_page_index(vma, addr), page->index);
	(*(unsigned int *)arg)++;
	return true;
}

static void assert_rmap(void)
{
	mapped = calloc(max_pfn, sizeof(*mapped));
	for (unsigned int i = 0; i < MAX_MMS; i++)
		if (mms[i])
			count_mm(mms[i]);
	for (unsigned long pfn = 0; pfn < max_pfn; pfn++) {
		struct page *page = pfn_to_page(pfn);
		unsigned int found = 0;

		if (!mapped[pfn])
			continue;
		assert_int_equal(page_mapcount(page), mapped[pfn]);
		rmap_walk(page, count_one, &found);
		assert_int_equal(found, mapped[pfn]);
	}
	free(mapped);
}

/* ---- Steps ---------------------------------------------------------------------------------- */

static struct mm_struct *some_mm(void)
{
	struct mm_struct *mm = NULL;

	while (!mm)
		mm = mms[rng(MAX_MMS)];
	return mm;
}

static void step_map(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	map_at(mm, page, n, rng(3) ? RW : PROT_READ,
	       (rng(8) ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS);
}

static void step_write(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	unsigned long value = page;

	for (; n; n--, page++)
		soft_store(mm, PG(page), &value, sizeof(value));
}

static void step_protect(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	do_mprotect(mm, PG(page), LEN(n), rng(3) ? RW : PROT_READ);
}

static void step_unmap(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	do_munmap(mm, PG(page), LEN(n));
}

static void step_move(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	unsigned long flags = MREMAP_MAYMOVE | MREMAP_FIXED | (rng(4) ? 0 : MREMAP_DONTUNMAP);

	do_mremap(mm, PG(page), LEN(n), LEN(rng(2) ? n : n + 2), flags, PG(rng(PAGES)));
}

static void step_grow(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	do_mremap(mm, PG(page), LEN(n), LEN(n + 1 + rng(3)), MREMAP_MAYMOVE, 0);
}

static void step_advise(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	static const int advice[] = { MADV_DONTNEED, MADV_WIPEONFORK, MADV_KEEPONFORK,
				      MADV_DONTFORK, MADV_DOFORK };

	do_madvise(mm, PG(page), LEN(n), advice[rng(ARRAY_SIZE(advice))]);
}

static void step_fork(struct mm_struct *mm, unsigned long page, unsigned long n)
{
	unsigned int slot = (unsigned int)rng(MAX_MMS);
	struct mm_struct *child;

	(void)page;
	(void)n;
	if (mms[slot] == mm)
		return;
	child = dup_mm(mm);
	up_write(&mm->mmap_lock);
	if (IS_ERR(child))
		return;
	if (mms[slot])
		mmput(mms[slot]);
	mms[slot] = child;
}

static void random_steps(unsigned int steps)
{
	static void (*const step[])(struct mm_struct * mm, unsigned long page, unsigned long n) = {
		step_map,  step_write,	 step_write, step_write,  step_protect,
		step_move, step_protect, step_grow,  step_advise, step_fork,
	};

	for (unsigned int i = 0; i < steps; i++) {
		struct mm_struct *mm = some_mm();

		if (!rng(40))
			step_unmap(mm, rng(PAGES), 1 + rng(16));
		else
			step[rng(ARRAY_SIZE(step))](mm, rng(PAGES), 1 + rng(8));
		if (!rng(16))
			assert_rmap();
	}
}

static int setup(void **state)
{
	(void)state;
	before = counters_now();
	mms[0] = mm_alloc();
	return mms[0] ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fail_page_alloc.interval = failslab.interval = 0;
	for (unsigned int i = 0; i < MAX_MMS; i++) {
		if (mms[i])
			mmput(mms[i]);
		mms[i] = NULL;
	}
	assert_counters(&before);
	return 0;
}

static void test_random(void **state)
{
	(void)state;
	rng_state = 11;
	random_steps(6000);
	assert_rmap();
}

static void test_random_without_memory(void **state)
{
	(void)state;
	rng_state = 12;
	failslab.interval = 23;
	fail_page_alloc.interval = 41;
	random_steps(4000);
	failslab.interval = fail_page_alloc.interval = 0;
	assert_rmap();
}

/* ---- Families ------------------------------------------------------------------------------- */

static struct mm_struct *fork_mm(struct mm_struct *mm)
{
	struct mm_struct *child = dup_mm(mm);

	up_write(&mm->mmap_lock);
	assert_false(IS_ERR(child));
	return child;
}

static unsigned int chain_length(struct mm_struct *mm)
{
	struct vm_area_struct *vma = vma_lookup(mm, PG(0));
	struct list_head *link;
	unsigned int n = 0;

	list_for_each(link, &vma->anon_vma_chain)
		n++;
	return n;
}

static unsigned int entries_of(struct mm_struct *mm, unsigned long page)
{
	struct page *p = get_user_page(mm, PG(page), false);
	unsigned int found = 0;

	rmap_walk(p, count_one, &found);
	put_page(p);
	return found;
}

/* A line of processes of which only the last is alive does not make lists longer. */
static void test_line_of_dead(void **state)
{
	(void)state;
	map_at(mms[0], 0, 4, RW, ANON);
	poke(mms[0], PG(0), 1);
	for (unsigned int i = 1; i <= 100; i++) {
		struct mm_struct *child = fork_mm(mms[0]);

		mmput(mms[0]);
		mms[0] = child;
		poke(child, PG(1 + i % 3), i);
		assert_in_range(chain_length(child), 1, 4);
		assert_int_equal(entries_of(child, 0), 1);
	}
}

/* Nor is a line of 500 living ones dear: each costs the same from some depth on. */
static void test_line_of_living(void **state)
{
	enum {
		DEPTH = 500
	};
	static struct mm_struct *line[DEPTH];

	(void)state;
	map_at(mms[0], 0, 4, RW, ANON);
	poke(mms[0], PG(0), 1);
	line[0] = mms[0];
	for (unsigned int i = 1; i < DEPTH; i++) {
		line[i] = fork_mm(line[i - 1]);
		poke(line[i], PG(1 + i % 3), i);
		assert_in_range(chain_length(line[i]), 1, 17);
	}
	assert_int_equal(entries_of(line[DEPTH - 1], 0), DEPTH);
	assert_int_equal(entries_of(line[7], 0), DEPTH);
	assert_int_equal(entries_of(line[DEPTH - 1], 1 + (DEPTH - 1) % 3), 1);
	for (unsigned int i = 1; i < DEPTH; i++)
		mmput(line[i]);
	assert_int_equal(entries_of(mms[0], 0), 1);
}

/* The page that a child has for itself is looked for in the child alone. */
static void test_own_pages(void **state)
{
	struct vm_area_struct *vma;
	struct page *page;

	(void)state;
	map_at(mms[0], 0, 4, RW, ANON);
	poke(mms[0], PG(0), 1);
	mms[1] = fork_mm(mms[0]);
	poke(mms[1], PG(0), 2); /* copied */
	vma = vma_lookup(mms[1], PG(0));
	page = get_user_page(mms[1], PG(0), false);
	assert_ptr_equal(page_anon_vma(page), vma->anon_vma);
	assert_ptr_not_equal(vma->anon_vma, vma_lookup(mms[0], PG(0))->anon_vma);
	put_page(page);

	mms[2] = fork_mm(mms[1]);
	mmput(mms[1]);
	mms[1] = NULL;
	poke(mms[2], PG(0), 3); /* taken over */
	vma = vma_lookup(mms[2], PG(0));
	page = get_user_page(mms[2], PG(0), false);
	assert_ptr_equal(page_anon_vma(page), vma->anon_vma);
	put_page(page);
}

/* The move of a VMA beside one without private pages makes the two one, that has the pages. */
static void test_merge_takes_pages(void **state)
{
	struct mm_struct *mm = mms[0];

	(void)state;
	map_at(mm, 10, 2, RW, ANON);
	poke(mm, PG(10), 5);
	poke(mm, PG(11), 6);
	map_at(mm, 0, 10, RW, ANON);
	do_mremap(mm, PG(10), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(30));
	do_mremap(mm, PG(30), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(10));
	assert_layout(mm, "0-12:rw");
	assert_int_equal(peek(mm, PG(11)), 6);
	assert_rmap();
	do_mprotect(mm, PG(11), LEN(1), PROT_READ);
	do_munmap(mm, PG(3), LEN(1));
	assert_rmap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random_without_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line_of_dead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_line_of_living, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_merge_takes_pages, setup, teardown),
	};

	return cmocka_run_group_tests(tests, mm_fixture_boot, mm_fixture_shutdown);
}
