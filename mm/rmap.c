/* SPDX-License-Identifier: MIT */
/*
 * rmap.c - from a page of a file to the entries that map it.
 *
 *	page ──mapping, index──> i_mmap ──interval tree──> VMAs that cover index
 *	     ──vm_start + (index - vm_pgoff) pages──> address ──vm_mm's tables──> pte
 *
 * mapping->lock keeps the tree, the bounds of the VMAs in it, and with them their mms and page
 * tables: a VMA leaves the tree before its tables are freed. The entries themselves are under each
 * mm's page_table_lock. A child's VMA enters the tree at fork before entries are copied to it; its
 * start equals the parent's, so a walk meets it after the parent and misses no entry.
 */
#include <quire/pagemap.h>
#include <quire/string.h>

#include "ptes.h"

/* The addresses at which vma maps indices [first, last] of its file; false: at none. */
static bool vma_file_range(const struct vm_area_struct *vma, pgoff_t first, pgoff_t last,
			   unsigned long *start, unsigned long *end)
{
	pgoff_t vma_last = vma->vm_pgoff + vma_pages(vma) - 1;

	first = max(first, vma->vm_pgoff);
	last = min(last, vma_last);
	if (first > last)
		return false;
	*start = vma->vm_start + ((first - vma->vm_pgoff) << PAGE_SHIFT);
	*end = vma->vm_start + ((last - vma->vm_pgoff + 1) << PAGE_SHIFT);
	return true;
}

static struct vm_area_struct *node_vma(struct interval_tree_node *node)
{
	return node ? container_of(node, struct vm_area_struct, shared) : NULL;
}

/* The VMAs that map some of the indices [start, last], by rising vm_pgoff. */
static struct vm_area_struct *first_vma(struct address_space *mapping, pgoff_t start, pgoff_t last)
{
	return node_vma(interval_tree_iter_first(&mapping->i_mmap, start, last));
}

static struct vm_area_struct *next_vma(struct vm_area_struct *vma, pgoff_t start, pgoff_t last)
{
	return node_vma(interval_tree_iter_next(&vma->shared, start, last));
}

/* page_table_lock held. As the entries of one page table, at most. */
static bool ptes_mkclean(pte_t *ptep, unsigned long addr, unsigned long end, struct tlb_hull *hull)
{
	bool dirty = false;

	for (; addr < end; addr += PAGE_SIZE, ptep++) {
		pte_t pte = ptep_get(ptep);

		if (!pte_present(pte) || pte_special(pte) || !(pte_write(pte) || pte_dirty(pte)))
			continue;
		/* First no more writing, then the flush, so that no store is missed. */
		ptep_clear_bits(ptep, _PAGE_RW | _PAGE_DIRTY);
		dirty |= pte_dirty(pte);
		if (pte_young(pte) && pte_write(pte))
			tlb_hull_add(hull, addr, TLB_FLUSH_WRITE);
	}
	return dirty;
}

static bool vma_mkclean(struct vm_area_struct *vma, unsigned long addr, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	bool dirty = false;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while (addr < end && (ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		dirty |= ptes_mkclean(ptep, addr, next, &hull);
		addr = next;
	}
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
	return dirty;
}

bool mapping_mkclean_range(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct vm_area_struct *vma;
	unsigned long from, to;
	bool dirty = false;

	/* Private VMAs map pages of the cache read-only; what is dirty there is their own. */
	for (vma = first_vma(mapping, start, end); vma; vma = next_vma(vma, start, end))
		if ((vma->vm_flags & VM_SHARED) && vma_file_range(vma, start, end, &from, &to))
			dirty |= vma_mkclean(vma, from, to);
	return dirty;
}

bool page_mkclean(struct page *page)
{
	return mapping_mkclean_range(page->mapping, page->index, page->index);
}

void unmap_mapping_range(struct address_space *mapping, pgoff_t start, pgoff_t end, bool even_cows)
{
	struct vm_area_struct *vma;
	unsigned long from, to;

	for (vma = first_vma(mapping, start, end); vma; vma = next_vma(vma, start, end))
		if (vma_file_range(vma, start, end, &from, &to))
			zap_vma_range_locked(vma, from, to, even_cows);
}

void try_to_unmap_range(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct vm_area_struct *vma;
	unsigned long from, to;

	for (vma = first_vma(mapping, start, end); vma; vma = next_vma(vma, start, end))
		if (!(vma->vm_flags & VM_LOCKED) && vma_file_range(vma, start, end, &from, &to))
			zap_vma_range_locked(vma, from, to, false);
}

/* ---- Early copies -------------------------------------------------------------------------- */

/*
 * The entry at addr is a copy made early of the file's page, which has not changed since. Unwritten it
 * goes; a page to which only what it held already was written counts as such. The page for the
 * caller to put, or NULL.
 */
static struct page *drop_early_copy(struct vm_area_struct *vma, unsigned long addr,
				    struct page *original)
{
	struct mm_struct *mm = vma->vm_mm;
	struct page *page = NULL;
	struct mm_delta delta = { 0 };
	pte_t *ptep, pte;

	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, addr);
	pte = ptep ? ptep_get(ptep) : __pte(0);
	if (pte_present(pte) && pte_early(pte)) {
		ptep_clear_bits(ptep, _PAGE_EARLY | _PAGE_RW);
		if (pte_young(pte) && pte_write(pte))
			machine_tlb_flush(mm, addr, addr + PAGE_SIZE, TLB_FLUSH_WRITE);
		page = pte_page(pte);
		if (page_maybe_pinned(page) ||
		    memcmp(page_address(page), page_address(original), PAGE_SIZE) != 0) {
			if (pte_write(pte))
				ptep_set_bits(ptep, _PAGE_RW);
			page = NULL;
		}
	}
	if (page) {
		if (pte_young(ptep_get_and_clear(ptep)))
			machine_tlb_flush(mm, addr, addr + PAGE_SIZE, TLB_FLUSH_ALL);
		page_remove_rmap(page, &delta);
		mm_delta_add(mm, &delta);
	}
	spin_unlock(&mm->page_table_lock);
	return page;
}

/* The first address in [addr, end) with an early copy; end: there is none. */
static unsigned long next_early_copy(struct mm_struct *mm, unsigned long addr, unsigned long end)
{
	pte_t *ptep = NULL;

	spin_lock(&mm->page_table_lock);
	while (addr < end && (ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		while (addr < next && !pte_early(ptep_get(ptep))) {
			addr += PAGE_SIZE;
			ptep++;
		}
		if (addr < next)
			break;
	}
	if (!ptep)
		addr = end;
	spin_unlock(&mm->page_table_lock);
	return addr;
}

static void vma_drop_early_copies(struct address_space *mapping, struct vm_area_struct *vma)
{
	unsigned long addr = vma->vm_start;

	while ((addr = next_early_copy(vma->vm_mm, addr, vma->vm_end)) < vma->vm_end) {
		bool major;
		struct page *original =
			filemap_get_page(mapping, linear_page_index(vma, addr), false, &major);

		/* Without it nobody knows: what is the program's stays so. */
		if (!IS_ERR(original)) {
			struct page *page = drop_early_copy(vma, addr, original);

			if (page)
				put_page(page);
			put_page(original);
		}
		addr += PAGE_SIZE;
	}
}

void inode_unstable_locked(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	struct vm_area_struct *vma;

	if (!inode->i_stable)
		return;
	/* From here on faults make no more of them: they look at it under page_table_lock. */
	WRITE_ONCE(inode->i_stable, false);
	for (vma = first_vma(mapping, 0, ULONG_MAX); vma; vma = next_vma(vma, 0, ULONG_MAX))
		if (!(vma->vm_flags & VM_SHARED))
			vma_drop_early_copies(mapping, vma);
}
