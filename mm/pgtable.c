/* SPDX-License-Identifier: MIT */
/*
 * Page tables: making, finding and freeing them.
 *
 *   virtual address
 *   47      39 38      30 29      21 20      12 11      0
 *   +---------+----------+----------+----------+---------+
 *   |   pgd   |   pud    |   pmd    |   pte    | offset  |
 *   +----|----+----|-----+----|-----+----|-----+---------+
 *        |         |          |          |
 *   mm->pgd[i] -> pud[i] --> pmd[i] --> pte[i] --> frame
 *
 * Each table is one frame of 512 entries. The three upper levels differ in the shift of their index
 * alone, so one loop walks them all: shift 39, 30, 21 name a table of the next level, and what is
 * left is the table of ptes.
 *
 * Locking. An entry of an upper level is written under page_table_lock only: 0 -> table by
 * pte_alloc_map(), table -> 0 by free_pgd_range(). The latter also needs that nobody else uses the
 * range: mmap_lock held for writing, and no file VMA of the range in i_mmap. So a holder of mmap_lock
 * in any mode may walk without page_table_lock, and whoever comes by way of i_mmap needs it.
 */
#include <quire/mm.h>
#include <quire/string.h>
#include <quire/vmstat.h>

#define TABLE_BITS 9

static u64 *table_slot(u64 *table, unsigned int shift, unsigned long addr)
{
	return table + (addr >> shift & (PTRS_PER_PTE - 1));
}

static u64 *table_of(u64 entry)
{
	return __va(entry & PTE_PFN_MASK);
}

static u64 *alloc_table(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);

	if (!page)
		return NULL;
	__SetPageTable(page);
	mod_node_page_state(NR_PAGETABLE, 1);
	return page_address(page);
}

static void free_table(struct page *page)
{
	__ClearPageTable(page);
	mod_node_page_state(NR_PAGETABLE, -1);
	__free_page(page);
}

/* The top table counts as a page table of the machine but, as in Linux, not in pgtables_bytes. */
pgd_t *pgd_alloc(struct mm_struct *mm)
{
	(void)mm;
	return (pgd_t *)alloc_table();
}

void pgd_free(struct mm_struct *mm, pgd_t *pgd)
{
	(void)mm;
	free_table(virt_to_page(pgd));
}

pte_t *pte_lookup(struct mm_struct *mm, unsigned long addr)
{
	u64 *table = (u64 *)mm->pgd;

	if (addr >= TASK_SIZE_MAX)
		return NULL;
	for (unsigned int shift = PGDIR_SHIFT; shift > PAGE_SHIFT; shift -= TABLE_BITS) {
		u64 entry = smp_load_acquire(table_slot(table, shift, addr));

		if (!entry)
			return NULL;
		table = table_of(entry);
	}
	return (pte_t *)table + pte_index(addr);
}

pte_t *pte_next(struct mm_struct *mm, unsigned long *addr, unsigned long end)
{
	unsigned long a = *addr;

	while (a < end) {
		u64 *table = (u64 *)mm->pgd;
		unsigned int shift = PGDIR_SHIFT;

		while (shift > PAGE_SHIFT) {
			u64 entry = smp_load_acquire(table_slot(table, shift, a));

			if (!entry)
				break;
			table = table_of(entry);
			shift -= TABLE_BITS;
		}
		if (shift == PAGE_SHIFT) {
			*addr = a;
			return (pte_t *)table + pte_index(a);
		}
		a = (a | ((1UL << shift) - 1)) + 1;
	}
	return NULL;
}

/* Fill an empty slot with a new table, or find that another thread has done so. 0: no memory. */
static noinline u64 link_table(struct mm_struct *mm, u64 *slot)
{
	u64 *table = alloc_table();
	u64 entry;

	if (!table)
		return 0;
	spin_lock(&mm->page_table_lock);
	entry = *slot;
	if (!entry) {
		entry = __pa(table) | _PAGE_TABLE;
		atomic_long_add(PAGE_SIZE, &mm->pgtables_bytes);
		smp_store_release(slot, entry);
		table = NULL;
	}
	spin_unlock(&mm->page_table_lock);
	if (table)
		free_table(virt_to_page(table));
	return entry;
}

pte_t *pte_alloc_map(struct mm_struct *mm, unsigned long addr)
{
	u64 *table = (u64 *)mm->pgd;

	for (unsigned int shift = PGDIR_SHIFT; shift > PAGE_SHIFT; shift -= TABLE_BITS) {
		u64 *slot = table_slot(table, shift, addr);
		u64 entry = smp_load_acquire(slot);

		if (unlikely(!entry)) {
			entry = link_table(mm, slot);
			if (!entry)
				return NULL;
		}
		table = table_of(entry);
	}
	return (pte_t *)table + pte_index(addr);
}

/* The address space that may be cleared of tables: [first, last]. */
struct free_bounds {
	unsigned long first, last;
	struct page *freed; /* what was unlinked, chained by page->private */
};

/*
 * Unlink the tables below `table` (whose index has this shift) that [addr, end) reaches into and
 * whose whole span lies within the bounds.
 */
static void unlink_tables(u64 *table, unsigned int shift, unsigned long addr, unsigned long end,
			  struct free_bounds *bounds)
{
	unsigned long span = 1UL << shift, next;

	for (; addr < end; addr = next) {
		unsigned long start = addr & ~(span - 1);
		u64 *slot = table_slot(table, shift, addr);
		struct page *page;

		next = min(start + span, end);
		if (!*slot)
			continue;
		if (shift > PMD_SHIFT)
			unlink_tables(table_of(*slot), shift - TABLE_BITS, addr, next, bounds);
		if (start < bounds->first || start + span - 1 > bounds->last)
			continue;
		page = virt_to_page(table_of(*slot));
#ifdef CONFIG_DEBUG_VM
		BUG_ON(memchr_inv(page_address(page), 0, PAGE_SIZE));
#endif
		smp_store_release(slot, 0);
		page->private = (unsigned long)bounds->freed;
		bounds->freed = page;
	}
}

void free_pgd_range(struct mm_struct *mm, unsigned long addr, unsigned long end,
		    unsigned long floor, unsigned long ceiling)
{
	struct free_bounds bounds = { .first = floor, .last = ceiling - 1 };
	long nr = 0;

	mm->hiwater_pgtables = max(mm->hiwater_pgtables, atomic_long_read(&mm->pgtables_bytes));
	spin_lock(&mm->page_table_lock);
	unlink_tables((u64 *)mm->pgd, PGDIR_SHIFT, addr, end, &bounds);
	spin_unlock(&mm->page_table_lock);

	for (struct page *page = bounds.freed, *next; page; page = next, nr++) {
		next = (struct page *)page->private;
		free_table(page);
	}
	atomic_long_sub(nr * (long)PAGE_SIZE, &mm->pgtables_bytes);
}
