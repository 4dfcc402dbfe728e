/* SPDX-License-Identifier: MIT */
/*
 * replace_page.c - an edited private copy in the place of a page of program text.
 *
 *   file page  <- entry            file page (as it was, for everybody else)
 *                             =>   copy, edited  <- entry, still read-only
 *
 * The copy is complete before any TLB knows of it: no thread ever sees half of an edit.
 * (In Linux breakpoints of uprobes come about so.)
 */
#include <quire/mm.h>
#include <quire/string.h>

#include "ptes.h"

/* Text of a file that the program cannot write through this VMA. */
static bool vma_is_text(const struct vm_area_struct *vma)
{
	return vma->vm_file && (vma->vm_flags & (VM_EXEC | VM_WRITE | VM_SHARED)) == VM_EXEC;
}

/* The file's page at addr, with a reference; NULL if there is a private one, or none. */
static struct page *get_text_page(struct vm_area_struct *vma, unsigned long addr)
{
	pte_t *ptep = get_locked_pte(vma, addr, 0);
	struct page *page;

	if (IS_ERR(ptep))
		return NULL;
	page = pte_page(ptep_get(ptep));
	if (page && PageAnon(page))
		page = NULL;
	if (page)
		get_page(page);
	spin_unlock(&vma->vm_mm->page_table_lock);
	return page;
}

/* Consumes the reference to new if it returns true. */
static bool exchange_page(struct vm_area_struct *vma, unsigned long addr, struct page *old,
			  struct page *new)
{
	struct mm_struct *mm = vma->vm_mm;
	struct mm_delta delta = { 0 };
	pte_t *ptep;
	bool same;

	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, addr);
	same = ptep && pte_present(ptep_get(ptep)) && pte_page(ptep_get(ptep)) == old;
	if (same) {
		ptep_get_and_clear(ptep);
		page_remove_rmap(old, &delta);
		page_init_anon(new, vma, linear_page_index(vma, addr));
		page_add_rmap(new, &delta);
		set_pte(ptep, pte_mkyoung(pfn_pte(page_to_pfn(new), vma->vm_page_prot)));
		mm_delta_add(mm, &delta);
		machine_tlb_replace(mm, addr, &ptep->pte, 1);
	}
	spin_unlock(&mm->page_table_lock);
	if (same)
		put_page(old);
	return same;
}

bool replace_text_page(struct mm_struct *mm, unsigned long addr,
		       bool (*edit)(u8 *copy, unsigned long addr, void *arg), void *arg)
{
	struct page *old = NULL, *new = NULL;
	struct vm_area_struct *vma;
	bool done = false;

	addr &= PAGE_MASK;
	down_read(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	if (vma && vma->vm_start <= addr && vma_is_text(vma))
		old = get_text_page(vma, addr);
	if (old)
		new = alloc_page(GFP_ANON | __GFP_NOWARN | __GFP_NORETRY);
	if (new) {
		memcpy(page_address(new), page_address(old), PAGE_SIZE);
		done = edit(page_address(new), addr, arg) && exchange_page(vma, addr, old, new);
		if (!done)
			put_page(new);
	}
	if (old)
		put_page(old);
	up_read(&mm->mmap_lock);
	return done;
}
