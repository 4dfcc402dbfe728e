/* SPDX-License-Identifier: MIT */
/*
 * rmap.c - from pages to the entries that map them.
 *
 *	page of a file  ──mapping──> i_mmap ────────┐
 *	anonymous page  ──anon_vma─> its rb_root ───┴──interval tree──> VMAs that cover index
 *	VMA ──vm_start + (index - vm_pgoff) pages──> address ──vm_mm's tables──> pte
 *
 * mapping->lock, or the lock of the family of anon_vmas, keeps the tree and the bounds of the VMAs in it,
 * and with them their mms and page tables: a VMA leaves the tree before its tables are freed. The entries
 * themselves are under each mm's page_table_lock. A child's VMA enters the tree at fork before entries are
 * copied to it; its start equals the parent's, so a walk meets it after the parent and misses no entry.
 */
#include <quire/pagemap.h>
#include <quire/string.h>
#include <quire/swap.h>

#include "ptes.h"

/* ---- The walk ------------------------------------------------------------------------------ */

/* VMAs that have some of the indices [first, last] of one object, by rising vm_pgoff. */
struct rmap_range {
	struct rb_root_cached *tree;
	bool anon; /* the tree of an anon_vma; else an i_mmap */
	pgoff_t first, last;
};

static struct rmap_range mapping_range(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	return (struct rmap_range){ &mapping->i_mmap, false, first, last };
}

static struct vm_area_struct *node_vma(const struct rmap_range *r, struct interval_tree_node *node)
{
	if (r->anon)
		return container_of(node, struct anon_vma_chain, rb)->vma;
	return container_of(node, struct vm_area_struct, shared);
}

/* The addresses at which vma has indices [first, last]; false: at none. */
static bool vma_index_range(const struct vm_area_struct *vma, pgoff_t first, pgoff_t last,
			    unsigned long *start, unsigned long *end)
{
	first = max(first, vma->vm_pgoff);
	last = min(last, vma->vm_pgoff + vma_pages(vma) - 1);
	if (first > last)
		return false;
	*start = vma->vm_start + ((first - vma->vm_pgoff) << PAGE_SHIFT);
	*end = vma->vm_start + ((last - vma->vm_pgoff + 1) << PAGE_SHIFT);
	return true;
}

/* Call one() for the part of each VMA that has some of the range, until it returns false. */
static void rmap_walk_range(const struct rmap_range *r,
			    bool (*one)(struct vm_area_struct *vma, unsigned long start,
					unsigned long end, void *arg),
			    void *arg)
{
	struct interval_tree_node *node = interval_tree_iter_first(r->tree, r->first, r->last);

	for (; node; node = interval_tree_iter_next(node, r->first, r->last)) {
		struct vm_area_struct *vma = node_vma(r, node);
		unsigned long start, end;

		if (vma_index_range(vma, r->first, r->last, &start, &end) &&
		    !one(vma, start, end, arg))
			return;
	}
}

struct page_walk {
	struct page *page;
	rmap_one_t *one;
	void *arg;
};

static bool walk_page_in_vma(struct vm_area_struct *vma, unsigned long addr, unsigned long end,
			     void *arg)
{
	const struct page_walk *walk = arg;
	struct mm_struct *mm = vma->vm_mm;
	bool go_on = true;
	pte_t *ptep;

	(void)end;
	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, addr);
	if (ptep && pte_present(ptep_get(ptep)) && pte_page(ptep_get(ptep)) == walk->page)
		go_on = walk->one(walk->page, vma, addr, ptep, walk->arg);
	spin_unlock(&mm->page_table_lock);
	return go_on;
}

void rmap_walk(struct page *page, rmap_one_t *one, void *arg)
{
	struct page_walk walk = { page, one, arg };
	struct rmap_range r = { .first = page->index, .last = page->index };
	struct anon_vma *anon_vma;

	if (!PageAnon(page)) {
		r.tree = &page->mapping->i_mmap;
		rmap_walk_range(&r, walk_page_in_vma, &walk);
		return;
	}
	anon_vma = page_get_anon_vma(page);
	if (!anon_vma)
		return;
	r.anon = true;
	r.tree = &anon_vma->rb_root;
	anon_vma_lock(anon_vma);
	rmap_walk_range(&r, walk_page_in_vma, &walk);
	anon_vma_unlock(anon_vma);
	put_anon_vma(anon_vma);
}

/* ---- Age ----------------------------------------------------------------------------------- */

/*
 * page_table_lock held. Every young entry of the VMA in addr's table becomes old, with one flush, and its
 * page notes that it was. Where translations are the host's mappings, looking at one entry costs as much
 * as looking at all; its neighbours will be asked for soon.
 */
static void age_table(struct vm_area_struct *vma, unsigned long addr)
{
	unsigned long start = max(addr & PMD_MASK, vma->vm_start);
	unsigned long end = pmd_addr_end(addr, vma->vm_end);
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	pte_t *ptep = pte_lookup(mm, start);

	for (; start < end; start += PAGE_SIZE, ptep++) {
		pte_t pte = ptep_get(ptep);
		struct page *page;

		if (!pte_present(pte) || !pte_young(pte))
			continue;
		ptep_clear_bits(ptep, _PAGE_ACCESSED);
		tlb_hull_add(&hull, start, TLB_FLUSH_ALL);
		page = pte_page(pte);
		if (page && !PageYoung(page))
			SetPageYoung(page);
	}
	tlb_hull_flush(mm, &hull);
}

struct reference_count {
	unsigned int refs;
	vm_flags_t vm_flags;
};

static bool page_referenced_one(struct page *page, struct vm_area_struct *vma, unsigned long addr,
				pte_t *ptep, void *arg)
{
	struct reference_count *count = arg;

	count->vm_flags |= vma->vm_flags;
	if (vma->vm_flags & VM_LOCKED)
		return false;
	if (pte_young(ptep_get(ptep))) {
		age_table(vma, addr);
		ClearPageYoung(page);
		count->refs++;
	}
	return true;
}

unsigned int page_referenced(struct page *page, vm_flags_t *vm_flags)
{
	struct reference_count count = { .refs = PageYoung(page) };

	if (count.refs)
		ClearPageYoung(page);
	if (page_mapcount(page))
		rmap_walk(page, page_referenced_one, &count);
	*vm_flags = count.vm_flags;
	return count.refs;
}

/* ---- Anonymous pages go -------------------------------------------------------------------- */

/*
 * What takes the place of an entry: nothing if the page is lazily freed and was not written to since, by
 * nobody: then no reference is left but the caller's. Else its slot of swap. False: the entry stays.
 */
static bool swap_entry_for(struct page *page, pte_t old, pte_t *entry)
{
	*entry = __pte(0);
	if (!PageSwapBacked(page))
		return !PageDirty(page) && page_count(page) == 1 + page_mapcount(page);
	if (swap_duplicate(page_swap_entry(page)))
		return false;
	*entry = pte_mkswap(old, page_swap_entry(page));
	return true;
}

static bool try_to_unmap_one(struct page *page, struct vm_area_struct *vma, unsigned long addr,
			     pte_t *ptep, void *arg)
{
	struct mm_struct *mm = vma->vm_mm;
	struct mm_delta delta = { 0 };
	pte_t pte, entry;

	(void)arg;
	/* Pins are taken under page_table_lock; what I/O writes to must stay what the program has. */
	if (vma->vm_flags & VM_LOCKED || page_maybe_pinned(page))
		return false;
	pte = ptep_get_and_clear(ptep);
	if (pte_young(pte))
		machine_tlb_flush(mm, addr, addr + PAGE_SIZE, TLB_FLUSH_ALL);
	if (pte_dirty(pte))
		SetPageDirty(page);
	if (!swap_entry_for(page, pte, &entry)) {
		set_pte(ptep, pte_mkold(pte));
		return false;
	}
	update_hiwater_rss(mm);
	page_remove_rmap(page, &delta);
	if (is_swap_pte(entry)) {
		set_pte(ptep, entry);
		delta.rss[MM_SWAPENTS]++;
	}
	mm_delta_add(mm, &delta);
	put_page(page); /* the caller has another reference */
	return true;
}

bool try_to_unmap(struct page *page)
{
	rmap_walk(page, try_to_unmap_one, NULL);
	return !page_mapcount(page);
}

/* ---- Ranges of a file ---------------------------------------------------------------------- */

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

static bool vma_mkclean(struct vm_area_struct *vma, unsigned long addr, unsigned long end,
			void *arg)
{
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	bool *dirty = arg;
	pte_t *ptep;

	/* Private VMAs map pages of the cache read-only; what is dirty there is their own. */
	if (!(vma->vm_flags & VM_SHARED))
		return true;
	spin_lock(&mm->page_table_lock);
	while (addr < end && (ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		*dirty |= ptes_mkclean(ptep, addr, next, &hull);
		addr = next;
	}
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
	return true;
}

bool mapping_mkclean_range(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct rmap_range r = mapping_range(mapping, start, end);
	bool dirty = false;

	rmap_walk_range(&r, vma_mkclean, &dirty);
	return dirty;
}

bool page_mkclean(struct page *page)
{
	return mapping_mkclean_range(page->mapping, page->index, page->index);
}

static bool vma_unmap(struct vm_area_struct *vma, unsigned long start, unsigned long end, void *arg)
{
	zap_vma_range_locked(vma, start, end, *(bool *)arg);
	return true;
}

void unmap_mapping_range(struct address_space *mapping, pgoff_t start, pgoff_t end, bool even_cows)
{
	struct rmap_range r = mapping_range(mapping, start, end);

	rmap_walk_range(&r, vma_unmap, &even_cows);
}

static bool vma_try_to_unmap(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			     void *arg)
{
	(void)arg;
	if (!(vma->vm_flags & VM_LOCKED))
		zap_vma_range_locked(vma, start, end, false);
	return true;
}

void try_to_unmap_range(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct rmap_range r = mapping_range(mapping, start, end);

	rmap_walk_range(&r, vma_try_to_unmap, NULL);
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

static bool entry_is_early(pte_t pte, unsigned long unused)
{
	(void)unused;
	return pte_early(pte);
}

/* What of the VMA is in [addr, end) and an early copy that still equals the file's page goes. */
static bool vma_drop_early_copies(struct vm_area_struct *vma, unsigned long addr, unsigned long end,
				  void *arg)
{
	struct address_space *mapping = arg;

	if (vma->vm_flags & VM_SHARED)
		return true;
	while ((addr = pte_find(vma->vm_mm, addr, end, entry_is_early, 0)) < end) {
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
	return true;
}

void inode_unstable_locked(struct inode *inode)
{
	struct rmap_range r = mapping_range(&inode->i_data, 0, ULONG_MAX);

	if (!inode->i_stable)
		return;
	/* From here on faults make no more of them: they look at it under page_table_lock. */
	WRITE_ONCE(inode->i_stable, false);
	rmap_walk_range(&r, vma_drop_early_copies, &inode->i_data);
}
