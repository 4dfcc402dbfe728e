/* SPDX-License-Identifier: MIT */
/*
 * swap_state.c - the swap cache: pages that have a slot, by slot.
 *
 * A page is in it from when it gets its slot until it is written out and dropped, and again from when it
 * is read until its last entry is a page again. So all who share a slot find one page, and a page
 * that comes back and is not written to needs no second writing to go.
 *
 * The cache has a reference to the page; its word in the slot's table (swap_area.h) is the way to it. Whether
 * a page is in the cache, and where, changes only while it is locked.
 *
 * Read-ahead. Pages go out in the order of their addresses, roughly, and come back so. A fault
 * reads what is out of the aligned window around its address, twice as much each time as long as that is
 * used, and less and less if it is not. Without an address the window lies around the slot in its area.
 */
#include <quire/mm_inline.h>
#include <quire/pagemap.h>
#include <quire/reclaim.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

#include "ptes.h"
#include "swap_area.h"

#define RA_ORDER_MIN 2U
#define RA_ORDER_MAX 5U
#define RA_MAX (1U << RA_ORDER_MAX)
/* Around a slot. */
#define RA_CLUSTER 8UL

unsigned long total_swapcache_pages(void)
{
	return node_page_state(NR_SWAPCACHE);
}

/* ---- In and out ----------------------------------------------------------------------------- */

static void page_enter_cache(struct page *page, swp_entry_t entry)
{
	get_page(page);
	page->private = entry.val;
	SetPageSwapCache(page);
	mod_node_page_state(NR_SWAPCACHE, 1);
}

int add_to_swap(struct page *page)
{
	swp_entry_t entry;

	if (get_swap_page(SLOT_CACHE | page_to_pfn(page), &entry))
		return -ENOMEM;
	/* Nobody knows the slot yet, but swapoff, which waits for the page's lock. */
	page_enter_cache(page, entry);
	SetPageDirty(page);
	return 0;
}

/* Enter a locked page for a slot that some entry names. -EEXIST: it has a page; -ENOENT: it is free. */
static int add_to_swap_cache(struct page *page, swp_entry_t entry)
{
	struct swap_info_struct *si = swap_area_lock(entry);
	int err = -ENOENT;
	u64 *word;

	if (!si)
		return err;
	word = slot_word(si, swp_offset(entry));
	if (word && *word & SLOT_CACHE) {
		err = -EEXIST;
	} else if (word && slot_count(*word) && slot_count(*word) <= SLOT_COUNT_MAX) {
		*word = (*word & ~SLOT_LOW_MASK) | SLOT_CACHE | page_to_pfn(page);
		page_enter_cache(page, entry);
		err = 0;
	}
	spin_unlock(&si->lock);
	return err;
}

/* The area's lock held, which it gives up. */
static void cache_remove(struct swap_info_struct *si, u64 *word, struct page *page, u64 shadow)
{
	swp_entry_t entry = page_swap_entry(page);

	*word = (*word & ~(SLOT_CACHE | SLOT_LOW_MASK)) | (shadow & SLOT_LOW_MASK);
	ClearPageSwapCache(page);
	page->private = 0;
	slot_put(si, swp_offset(entry));
	spin_unlock(&si->lock);
	mod_node_page_state(NR_SWAPCACHE, -1);
	put_page(page);
}

void delete_from_swap_cache(struct page *page, u64 shadow)
{
	struct swap_info_struct *si = swap_area_lock(page_swap_entry(page));

	cache_remove(si, slot_word(si, swp_offset(page_swap_entry(page))), page, shadow);
}

bool try_to_free_swap(struct page *page)
{
	struct swap_info_struct *si;
	u64 *word;

	if (!PageSwapCache(page) || PageWriteback(page))
		return false;
	si = swap_area_lock(page_swap_entry(page));
	word = slot_word(si, swp_offset(page_swap_entry(page)));
	if (slot_count(*word)) {
		spin_unlock(&si->lock);
		return false;
	}
	SetPageDirty(page);
	cache_remove(si, word, page, 0);
	return true;
}

unsigned int page_swapcount(struct page *page)
{
	return swap_count(page_swap_entry(page));
}

struct page *lookup_swap_cache(swp_entry_t entry)
{
	struct swap_info_struct *si = swap_area_lock(entry);
	struct page *page = NULL;
	u64 *word;

	if (!si)
		return NULL;
	word = slot_word(si, swp_offset(entry));
	if (word && *word & SLOT_CACHE) {
		page = pfn_to_page(*word & SLOT_LOW_MASK);
		get_page(page);
	}
	spin_unlock(&si->lock);
	return page;
}

u64 swap_shadow(swp_entry_t entry)
{
	struct swap_info_struct *si = swap_area_lock(entry);
	u64 shadow = 0;
	u64 *word;

	if (!si)
		return 0;
	word = slot_word(si, swp_offset(entry));
	if (word && !(*word & SLOT_CACHE))
		shadow = *word & SLOT_LOW_MASK;
	spin_unlock(&si->lock);
	return shadow;
}

void free_swap_cache(struct page *page)
{
	if (!PageSwapCache(page) || page_mapcount(page) || !trylock_page(page))
		return;
	try_to_free_swap(page);
	unlock_page(page);
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* Pages entered, locked, for reading, by rising entry. */
struct swap_batch {
	unsigned int n;
	struct page *pages[RA_MAX];
};

static void batch_add(struct swap_batch *batch, struct page *page)
{
	unsigned int at = batch->n++;

	for (; at && batch->pages[at - 1]->private > page->private; at--)
		batch->pages[at] = batch->pages[at - 1];
	batch->pages[at] = page;
}

/*
 * Enter a new page for the slot into the cache and the batch; *pagep: the page, with a reference, if
 * that is wanted. As add_to_swap_cache(), or -ENOMEM.
 */
static int batch_enter(struct swap_batch *batch, swp_entry_t entry, gfp_t gfp, struct page **pagep)
{
	struct page *page = alloc_page(gfp);
	u64 shadow = swap_shadow(entry);
	int err;

	if (!page)
		return -ENOMEM;
	__SetPageLocked(page);
	__SetPageSwapBacked(page);
	if (!pagep)
		__SetPageReadahead(page);
	err = add_to_swap_cache(page, entry);
	if (err) {
		__ClearPageLocked(page);
	} else {
		if (shadow)
			reclaim_policy->refault(page_lruvec(page), page, shadow);
		lru_cache_add(page);
		batch_add(batch, page);
	}
	if (!err && pagep)
		*pagep = page;
	else
		put_page(page); /* while it is locked the cache's reference holds it */
	return err;
}

/* What read-ahead takes must be free anyway. */
#define GFP_READAHEAD ((GFP_ANON & ~__GFP_RECLAIM) | __GFP_NORETRY | __GFP_NOWARN)

/*
 * A program that goes on behind the last window, or before it, or has used half of it, gets a larger
 * one. One that has used nothing of it gets less, and in the end no page but its own.
 */
static unsigned int next_order(const struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned int order = vma->vm_swap_order, hits = vma->vm_swap_hits;
	unsigned long start = vma->vm_swap_next - (PAGE_SIZE << order);

	vma->vm_swap_hits = 0;
	if (vmf->address == vma->vm_swap_next || vmf->address + PAGE_SIZE == start ||
	    (hits && hits * 2 >= (1U << order) - 1))
		return clamp(order + 1, RA_ORDER_MIN, RA_ORDER_MAX);
	return !hits && order ? order - 1 : order;
}

/* The entries beside vmf's, in its table and VMA, that may be read with it. */
static unsigned int vma_window(struct vm_fault *vmf, swp_entry_t *entries)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned int order = next_order(vmf), n = 0;
	unsigned long size = PAGE_SIZE << order, addr, end;
	pte_t *ptep;

	addr = max(vmf->address & ~(size - 1), vma->vm_start);
	end = min((vmf->address & ~(size - 1)) + size, vma->vm_end);
	vma->vm_swap_next = end;
	vma->vm_swap_order = order;
	spin_lock(&vma->vm_mm->page_table_lock);
	ptep = vmf->pte - ((vmf->address - addr) >> PAGE_SHIFT);
	for (; addr < end; addr += PAGE_SIZE, ptep++)
		if (addr != vmf->address && is_swap_pte(ptep_get(ptep)))
			entries[n++] = pte_to_swp_entry(ptep_get(ptep));
	spin_unlock(&vma->vm_mm->page_table_lock);
	return n;
}

static unsigned int cluster_window(swp_entry_t entry, swp_entry_t *entries)
{
	pgoff_t first = swp_offset(entry) & ~(RA_CLUSTER - 1);
	unsigned int n = 0;

	for (pgoff_t offset = first; offset < first + RA_CLUSTER; offset++)
		if (offset != swp_offset(entry))
			entries[n++] = swp_entry(swp_type(entry), offset);
	return n;
}

static void read_ahead(struct swap_batch *batch, swp_entry_t entry, struct vm_fault *vmf)
{
	swp_entry_t entries[RA_MAX];
	unsigned int n;

	if (vmf && vmf->vma->vm_flags & VM_RAND_READ)
		return;
	n = vmf ? vma_window(vmf, entries) : cluster_window(entry, entries);
	for (unsigned int i = 0; i < n && batch->n < RA_MAX; i++)
		if (batch_enter(batch, entries[i], GFP_READAHEAD, NULL) == -ENOMEM)
			break;
}

/* Up to RA_MAX entries of [*addr, end) in one table; *addr: how far it came. page_table_lock taken. */
static unsigned int next_entries(struct mm_struct *mm, unsigned long *addr, unsigned long end,
				 swp_entry_t *entries)
{
	unsigned int n = 0;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	ptep = pte_next(mm, addr, end);
	if (ptep)
		end = pmd_addr_end(*addr, end);
	for (; ptep && *addr < end && n < RA_MAX; *addr += PAGE_SIZE, ptep++)
		if (is_swap_pte(ptep_get(ptep)))
			entries[n++] = pte_to_swp_entry(ptep_get(ptep));
	if (!ptep)
		*addr = end;
	spin_unlock(&mm->page_table_lock);
	return n;
}

void swapin_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	swp_entry_t entries[RA_MAX];

	while (start < end) {
		struct swap_batch batch = { 0 };
		unsigned int n = next_entries(vma->vm_mm, &start, end, entries);

		for (unsigned int i = 0; i < n; i++)
			if (batch_enter(&batch, entries[i], GFP_READAHEAD, NULL) == -ENOMEM)
				end = start;
		swap_read_pages(batch.pages, batch.n);
	}
}

void swapin_mapping(struct address_space *mapping, pgoff_t index, pgoff_t last)
{
	struct swap_batch batch = { 0 };
	void *entry;

	mutex_lock(&mapping->lock);
	xa_for_each_range(&mapping->i_pages, index, entry, index, last) {
		if (!xa_is_value(entry))
			continue;
		if (batch_enter(&batch, radix_to_swp_entry(entry), GFP_READAHEAD, NULL) == -ENOMEM)
			break;
		if (batch.n == RA_MAX) {
			swap_read_pages(batch.pages, batch.n);
			batch.n = 0;
		}
	}
	swap_read_pages(batch.pages, batch.n);
	mutex_unlock(&mapping->lock);
}

static void readahead_hit(struct page *page, struct vm_fault *vmf)
{
	ClearPageReadahead(page);
	if (vmf)
		vmf->vma->vm_swap_hits++;
}

struct page *swapin_readahead(swp_entry_t entry, struct vm_fault *vmf, bool *major)
{
	struct swap_batch batch = { 0 };
	struct page *page;
	int err;

	/* Somebody else may enter it between our look and our try. */
	do {
		page = lookup_swap_cache(entry);
		if (page) {
			if (PageReadahead(page))
				readahead_hit(page, vmf);
			return page;
		}
		err = batch_enter(&batch, entry, GFP_ANON, &page);
	} while (err == -EEXIST);
	if (err)
		return NULL;
	*major = true;
	read_ahead(&batch, entry, vmf);
	swap_read_pages(batch.pages, batch.n);
	return page;
}
