/* SPDX-License-Identifier: MIT */
/*
 * pageout.c - MADV_PAGEOUT: what a program will not need for a while goes to swap now.
 *
 *	entries of one table, page_table_lock held     pageout_pte: slot, swap entry in the page's place
 *	lock let go                                    pageout_finish: written in few transfers, freed
 *
 * As on Linux only pages that nobody else maps are taken, so this needs no reverse mapping, and tells
 * nobody of other programs' pages.
 */
#include <quire/fs.h>
#include <quire/pagemap.h>
#include <quire/swap.h>

#include "ptes.h"
#include "vma.h"

#define PAGEOUT_BATCH 64U

/* Locked, unmapped, in the swap cache, with a reference each. */
struct pageout {
	struct page *pages[PAGEOUT_BATCH];
	unsigned int n;
	struct tlb_hull hull;
	struct mm_delta delta;
	bool full; /* there is no slot left */
};

/* Nobody but the entry, and perhaps the swap cache, holds it. */
static bool page_is_pageable(struct page *page)
{
	return PageAnon(page) && page_mapcount(page) == 1 &&
	       page_count(page) == 1 + PageSwapCache(page) && !page_maybe_pinned(page);
}

/* page_table_lock held. The entry's reference to the page goes to the batch. */
static void pageout_pte(struct pageout *po, pte_t *ptep, unsigned long addr)
{
	struct page *page = pte_page(ptep_get(ptep));
	swp_entry_t entry;
	pte_t pte;

	if (!page || !page_is_pageable(page) || !trylock_page(page))
		return;
	if (!PageSwapCache(page) && add_to_swap(page)) {
		unlock_page(page);
		po->full = true;
		return;
	}
	entry = page_swap_entry(page);
	if (swap_duplicate(entry)) {
		unlock_page(page);
		return;
	}
	pte = ptep_get_and_clear(ptep);
	if (pte_young(pte))
		tlb_hull_add(&po->hull, addr, TLB_FLUSH_ALL);
	if (pte_dirty(pte))
		SetPageDirty(page);
	page_remove_rmap(page, &po->delta);
	po->delta.rss[MM_SWAPENTS]++;
	set_pte(ptep, pte_mkswap(pte, entry));
	po->pages[po->n++] = page;
}

/* No spinlock held. What is clean in the end is freed. */
static void pageout_finish(struct pageout *po)
{
	struct page *dirty[PAGEOUT_BATCH];
	unsigned int n = 0;

	for (unsigned int i = 0; i < po->n; i++) {
		if (PageDirty(po->pages[i]))
			dirty[n++] = po->pages[i];
		else
			unlock_page(po->pages[i]);
	}
	swap_write_pages(dirty, n);
	for (unsigned int i = 0; i < po->n; i++) {
		struct page *page = po->pages[i];

		if (trylock_page(page)) {
			if (PageSwapCache(page) && !PageDirty(page) && !PageWriteback(page) &&
			    !page_mapcount(page))
				delete_from_swap_cache(page, 0);
			unlock_page(page);
		}
		put_page(page);
	}
	po->n = 0;
}

static void pageout_start(struct pageout *po)
{
	*po = (struct pageout){ .hull = TLB_HULL_NONE };
}

static void pageout_private(struct vm_area_struct *vma, unsigned long addr, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	struct pageout po;
	pte_t *ptep;

	pageout_start(&po);
	spin_lock(&mm->page_table_lock);
	while (!po.full && (ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next && po.n < PAGEOUT_BATCH && !po.full; addr += PAGE_SIZE, ptep++)
			if (pte_present(ptep_get(ptep)))
				pageout_pte(&po, ptep, addr);
		tlb_hull_flush(mm, &po.hull);
		mm_delta_add(mm, &po.delta);
		spin_unlock(&mm->page_table_lock);
		pageout_finish(&po);
		spin_lock(&mm->page_table_lock);
	}
	spin_unlock(&mm->page_table_lock);
}

/* mapping->lock held. False: there is no slot left. */
static bool pageout_shmem_page(struct pageout *po, struct address_space *mapping, pgoff_t index)
{
	struct page *page = find_get_page(mapping, index);
	int err = -EBUSY;

	if (!page)
		return true;
	if (page_mapcount(page) <= 1 && trylock_page(page)) {
		if (page_mapcount(page))
			try_to_unmap_range(mapping, index, index);
		err = shmem_add_to_swap(page);
		if (err)
			unlock_page(page);
	}
	if (!err)
		po->pages[po->n++] = page;
	else
		put_page(page);
	return err != -ENOMEM;
}

static void pageout_shmem(struct address_space *mapping, pgoff_t index, pgoff_t end)
{
	struct pageout po;
	bool more = true;

	pageout_start(&po);
	while (more && index < end) {
		mutex_lock(&mapping->lock);
		for (; more && index < end && po.n < PAGEOUT_BATCH; index++)
			more = pageout_shmem_page(&po, mapping, index);
		mutex_unlock(&mapping->lock);
		pageout_finish(&po);
	}
}

void pageout_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct inode *inode = vma->vm_file ? vma->vm_file->f_inode : NULL;

	if (get_nr_swap_pages() <= 0)
		return;
	if (vma->anon_vma)
		pageout_private(vma, start, end);
	if (inode && inode->i_kind == INODE_SHMEM)
		pageout_shmem(&inode->i_data, linear_page_index(vma, start),
			      linear_page_index(vma, end));
}
