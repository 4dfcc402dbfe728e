/* SPDX-License-Identifier: MIT */
/*
 * walk.c - from a virtual address to a physical one, by hand.
 *
 *   47      39 38      30 29      21 20      12 11         0
 *   pgd index  pud index  pmd index  pte index  offset in page
 *      |          |          |          |          |
 *   mm->pgd --> pud -----> pmd -----> pte -----> frame
 *
 * Each entry holds the physical address of the next table, the last one that of the page. Tables and pages
 * lie in the machine's RAM, which the kernel reaches at __va(physical address).
 */
#include <stdio.h>
#include <string.h>

#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/ptdump.h>

#include "soft.h"

#define LENGTH (1ul << 20)

/* The physical address behind addr, or 0. The caller holds mm->page_table_lock, so the entries stay as they are. */
static unsigned long walk(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;
	pte_t *pte;

	printf("virtual address 0x%lx, top table at 0x%lx\n", addr, __pa((unsigned long)mm->pgd));
	printf("  pgd[%3lu] = 0x%016lx\n", pgd_index(addr), (unsigned long)pgd_val(*pgd));
	if (pgd_none(*pgd))
		return 0;
	p4d = p4d_offset(pgd, addr); /* the level that four-level tables leave out */
	pud = pud_offset(p4d, addr);
	printf("  pud[%3lu] = 0x%016lx\n", pud_index(addr), (unsigned long)pud_val(*pud));
	if (pud_none(*pud))
		return 0;
	pmd = pmd_offset(pud, addr);
	printf("  pmd[%3lu] = 0x%016lx\n", pmd_index(addr), (unsigned long)pmd_val(*pmd));
	if (pmd_none(*pmd))
		return 0;
	pte = pte_offset_kernel(pmd, addr);
	printf("  pte[%3lu] = 0x%016lx\n", pte_index(addr), (unsigned long)pte_val(*pte));
	if (!pte_present(*pte))
		return 0;
	return (pte_pfn(*pte) << PAGE_SHIFT) + (addr & ~PAGE_MASK);
}

static void show(struct mm_struct *mm, unsigned long addr)
{
	unsigned long phys;

	spin_lock(&mm->page_table_lock);
	phys = walk(mm, addr);
	spin_unlock(&mm->page_table_lock);
	if (phys)
		printf("  physical address 0x%lx, and there stands: %s\n", phys,
		       (char *)__va(phys));
	else
		printf("  not mapped to a frame\n");
}

static void note_page(struct ptdump_state *st, const struct ptdump_entry *e)
{
	(void)st;
	printf("%*s%s[%u", 2 * (PTDUMP_PGD - (int)e->level), "", ptdump_level_name(e->level),
	       e->index);
	if (e->nr > 1)
		printf("-%u", e->index + e->nr - 1);
	printf("] 0x%lx -> 0x%lx\n", e->addr, (unsigned long)(e->val & PTE_PFN_MASK));
}

int main(void)
{
	struct ptdump_state st = { note_page };
	struct mm_struct *mm;
	unsigned long addr;

	if (soft_init(64ul << 20, 1))
		return 1;
	soft_cpu_enter(0);
	anon_fault_max_order = 0; /* pages one by one, as they are touched */
	mm = mm_alloc();
	addr = mm ? do_mmap(mm, NULL, 0, LENGTH, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, 0, NULL)
		  : -1ul;
	if (IS_ERR_VALUE(addr) || soft_store(mm, addr + 0x2345, "hello, frame", 13).signo)
		return 1;
	show(mm, addr + 0x2345);
	show(mm, addr + 0x3345);
	puts("all tables:");
	ptdump_walk_mm(&st, mm, 0, TASK_SIZE_MAX);
	mmput(mm);
	soft_exit();
	return 0;
}
