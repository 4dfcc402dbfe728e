/* SPDX-License-Identifier: MIT */
/*
 * Walking the page tables of an address space for somebody who wants to see them.
 *
 *   pgd ----> pud ----> pmd ----> pte, pte, pte, pte
 *        note      note      note  `-- note: a run --'
 *
 * mmap_lock keeps the tables where they are (pgtable.c); entries are read one by one, each of its moment.
 */
#include <quire/ptdump.h>

#include <quire/swap.h>

#define TABLE_BITS 9

const char *ptdump_level_name(enum ptdump_level level)
{
	static const char *const names[] = { "", "pte", "pmd", "pud", "pgd" };

	return names[level];
}

static unsigned int level_shift(enum ptdump_level level)
{
	return PAGE_SHIFT + TABLE_BITS * (level - 1);
}

static u64 read_entry(const u64 *table, unsigned int index)
{
	return __atomic_load_n(&table[index], __ATOMIC_ACQUIRE);
}

/* What the entry `n` behind one of val holds if the two are alike: the next frame, or slot. */
static u64 nth_after(u64 val, unsigned int n)
{
	if (pte_present(__pte(val)) || is_swap_pte(__pte(val)))
		return val + ((u64)n << PAGE_SHIFT);
	return val;
}

/* Entries from index on, up to `last`, that are one run. */
static unsigned int run_length(const u64 *table, unsigned int index, unsigned int last, u64 val)
{
	unsigned int n = 1;

	while (index + n <= last && read_entry(table, index + n) == nth_after(val, n))
		n++;
	return n;
}

static void walk_table(struct ptdump_state *st, const u64 *table, enum ptdump_level level,
		       unsigned long start, unsigned long end)
{
	const unsigned int shift = level_shift(level);
	const unsigned long size = 1UL << shift;
	unsigned int index = start >> shift & (PTRS_PER_PTE - 1);
	unsigned int last = (end - 1) >> shift & (PTRS_PER_PTE - 1);
	unsigned long addr = start & ~(size - 1);

	while (index <= last) {
		struct ptdump_entry e = { .level = level,
					  .index = index,
					  .nr = 1,
					  .addr = addr,
					  .table = __pa((unsigned long)table),
					  .val = read_entry(table, index) };

		if (e.val && level == PTDUMP_PTE)
			e.nr = run_length(table, index, last, e.val);
		if (e.val)
			st->note_page(st, &e);
		if (e.val && level > PTDUMP_PTE)
			walk_table(st, __va(e.val & PTE_PFN_MASK), level - 1, max(addr, start),
				   min(addr + size, end));
		index += e.nr;
		addr += e.nr * size;
	}
}

void ptdump_walk_mm(struct ptdump_state *st, struct mm_struct *mm, unsigned long start,
		    unsigned long end)
{
	end = min(end, TASK_SIZE_MAX);
	if (start >= end)
		return;
	down_read(&mm->mmap_lock);
	walk_table(st, (const u64 *)mm->pgd, PTDUMP_PGD, start, end);
	up_read(&mm->mmap_lock);
}
