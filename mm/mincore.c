/* SPDX-License-Identifier: MIT */
/*
 * mincore.c - which pages are resident: mapped, or for files in the page cache.
 */
#include <quire/err.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/pagemap.h>
#include <quire/swap.h>

#include "vma.h"

/* At most so many pages are looked at in one go. */
#define MINCORE_BATCH 512UL

/* On its way in or out it counts as resident. */
static bool mincore_swapped(swp_entry_t entry)
{
	struct page *page = lookup_swap_cache(entry);
	bool cached = page && PageUptodate(page);

	if (page)
		put_page(page);
	return cached;
}

static bool mincore_mapped(struct mm_struct *mm, unsigned long addr)
{
	pte_t *ptep, pte = __pte(0);

	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, addr);
	if (ptep)
		pte = ptep_get(ptep);
	spin_unlock(&mm->page_table_lock);
	return is_swap_pte(pte) ? mincore_swapped(pte_to_swp_entry(pte)) : pte_present(pte);
}

/* mapping->lock held. */
static bool mincore_cached(struct address_space *mapping, pgoff_t index)
{
	struct page *page = xa_load(&mapping->i_pages, index);
	bool cached;

	if (xa_is_value(page))
		return mincore_swapped(radix_to_swp_entry(page));
	page = find_get_page(mapping, index);
	if (!page)
		return false;
	cached = PageUptodate(page) || PageSwapBacked(page);
	put_page(page);
	return cached;
}

static void mincore_vma(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			unsigned char *vec)
{
	struct address_space *mapping = vma->vm_file ? &vma->vm_file->f_inode->i_data : NULL;

	if (mapping)
		mutex_lock(&mapping->lock);
	for (; start < end; start += PAGE_SIZE)
		*vec++ = mincore_mapped(vma->vm_mm, start) ||
			 (mapping && mincore_cached(mapping, linear_page_index(vma, start)));
	if (mapping)
		mutex_unlock(&mapping->lock);
}

long do_mincore(struct mm_struct *mm, unsigned long start, unsigned long pages, unsigned char *vec)
{
	struct vm_area_struct *vma;
	unsigned long end;

	down_read(&mm->mmap_lock);
	vma = vma_lookup(mm, start);
	if (!vma) {
		up_read(&mm->mmap_lock);
		return -ENOMEM;
	}
	pages = min3(pages, (vma->vm_end - start) >> PAGE_SHIFT, MINCORE_BATCH);
	end = start + (pages << PAGE_SHIFT);
	mincore_vma(vma, start, end, vec);
	up_read(&mm->mmap_lock);
	return (long)pages;
}
