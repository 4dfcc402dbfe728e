/* SPDX-License-Identifier: MIT */
/*
 * Changing what is mapped, over ranges: protection (mprotect), place (mremap), a second owner
 * (fork), dirt and age.
 *
 * The callers hold mmap_lock for writing (age and dirt aside), so no entry appears meanwhile and no
 * table vanishes; truncation and write-back may still come in through i_mmap, with mapping->lock and
 * page_table_lock. Flushes are gathered into one hull a call.
 */
#include <quire/fs.h>
#include <quire/mm_inline.h>
#include <quire/pagemap.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/userfaultfd_k.h>

#include "ptes.h"

/* ---- mprotect ----------------------------------------------------------------------------- */

/* What a TLB may still permit although the entry no longer does. */
static void note_lost_permission(struct tlb_hull *hull, unsigned long addr, pte_t old,
				 pte_t *new_pte)
{
	if (!pte_young(old) || !pte_accessible(old))
		return;
	if (!pte_accessible(*new_pte) || (pte_exec(old) && !pte_exec(*new_pte))) {
		tlb_hull_add(hull, addr, TLB_FLUSH_ALL);
		*new_pte = pte_mkold(*new_pte);
	} else if (pte_write(old) && pte_dirty(old) && !pte_write(*new_pte)) {
		tlb_hull_add(hull, addr, TLB_FLUSH_WRITE);
	}
}

/*
 * A private page that was written before and is the program's own may be writable at once: the
 * fault would find nothing else.
 */
static bool can_stay_writable(const struct vm_area_struct *vma, pte_t pte)
{
	struct page *page = pte_page(pte);

	return (vma->vm_flags & (VM_WRITE | VM_SHARED)) == VM_WRITE && pte_accessible(pte) &&
	       !pte_uffd_wp(pte) && pte_dirty(pte) && page && page_sole_owner(page);
}

/*
 * A shared file page that is writable has been announced to the file; the VMA's protection for new
 * pages does not say so.
 */
static bool was_made_writable(const struct vm_area_struct *vma, pte_t old)
{
	return (vma->vm_flags & (VM_WRITE | VM_SHARED)) == (VM_WRITE | VM_SHARED) && pte_write(old);
}

static void change_pte(struct vm_area_struct *vma, pte_t *ptep, unsigned long addr,
		       pgprot_t newprot, struct tlb_hull *hull)
{
	pte_t old = ptep_get(ptep), pte;

	if (!pte_present(old))
		return;
	old = ptep_get_and_clear(ptep);
	pte = pte_modify(old, newprot);
	if (can_stay_writable(vma, pte) || was_made_writable(vma, old))
		pte = pte_mkwrite(pte);
	note_lost_permission(hull, addr, old, &pte);
	set_pte(ptep, pte);
}

void change_protection(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		       pgprot_t newprot)
{
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	unsigned long addr = start;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE)
			change_pte(vma, ptep++, addr, newprot, &hull);
	}
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
}

unsigned long pte_find(struct mm_struct *mm, unsigned long addr, unsigned long end,
		       bool (*wanted)(pte_t pte, unsigned long arg), unsigned long arg)
{
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while (addr < end && (ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE, ptep++)
			if (wanted(ptep_get(ptep), arg))
				goto out;
	}
	addr = end;
out:
	spin_unlock(&mm->page_table_lock);
	return addr;
}

/* ---- madvise(MADV_FREE) -------------------------------------------------------------------- */

/*
 * What is or was in swap may be newer than its slot: the page says so itself, not only its entries. It counts as
 * not written to when it has no slot and nobody shares it. page_table_lock held.
 */
static bool clean_anon_page(struct page *page)
{
	bool clean;

	if (!PageSwapCache(page) && !PageDirty(page))
		return true;
	if (!trylock_page(page))
		return false;
	clean = page_mapcount(page) == 1 && (!PageSwapCache(page) || try_to_free_swap(page));
	if (clean)
		ClearPageDirty(page);
	unlock_page(page);
	return clean;
}

void clean_anon_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	unsigned long addr = start;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE, ptep++) {
			pte_t pte = ptep_get(ptep);

			if (is_swap_pte(pte)) {
				set_pte(ptep, __pte(0));
				add_mm_counter(mm, MM_SWAPENTS, -1);
				free_swap_and_cache(pte_to_swp_entry(pte));
				continue;
			}
			if (!pte_present(pte) || pte_special(pte) ||
			    !clean_anon_page(pte_page(pte)))
				continue;
			if (page_mapcount(pte_page(pte)) == 1)
				mark_page_lazyfree(pte_page(pte));
			if (!pte_dirty(pte))
				continue;
			ptep_clear_bits(ptep, _PAGE_DIRTY);
			if (pte_young(pte) && pte_write(pte))
				tlb_hull_add(&hull, addr, TLB_FLUSH_WRITE);
		}
	}
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
}

/* ---- /proc/<pid>/clear_refs ---------------------------------------------------------------- */

void clear_young_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	unsigned long addr = start;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE, ptep++) {
			pte_t pte = ptep_get(ptep);

			if (!pte_present(pte) || pte_special(pte))
				continue;
			ClearPageReferenced(pfn_to_page(pte_pfn(pte)));
			if (!pte_young(pte))
				continue;
			ptep_clear_bits(ptep, _PAGE_ACCESSED);
			tlb_hull_add(&hull, addr, TLB_FLUSH_ALL);
		}
	}
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
}

/* ---- madvise(MADV_COLD) -------------------------------------------------------------------- */

/* page_table_lock held. What others use, too, is not for this program to say. */
static void cold_pte(pte_t *ptep, unsigned long addr, struct tlb_hull *hull)
{
	pte_t pte = ptep_get(ptep);
	struct page *page = pte_present(pte) ? pte_page(pte) : NULL;

	if (!page || page_mapcount(page) != 1)
		return;
	if (pte_young(pte)) {
		ptep_clear_bits(ptep, _PAGE_ACCESSED);
		tlb_hull_add(hull, addr, TLB_FLUSH_ALL);
	}
	deactivate_page(page);
}

void cold_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	unsigned long addr = start;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE)
			cold_pte(ptep++, addr, &hull);
	}
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
}

/* ---- mremap ------------------------------------------------------------------------------- */

/* Entries of one old table to one new table; the moved ones are in no TLB at their new place. */
static void move_ptes(pte_t *from, pte_t *to, unsigned long addr, unsigned long nr,
		      struct tlb_hull *hull)
{
	for (; nr; nr--, from++, to++, addr += PAGE_SIZE) {
		pte_t pte;

		if (pte_none(ptep_get(from)))
			continue;
		pte = ptep_get_and_clear(from);
		if (pte_young(pte))
			tlb_hull_add(hull, addr, TLB_FLUSH_ALL);
		set_pte(to, pte_mkold(pte));
	}
}

/*
 * A walk through i_mmap or an anon_vma meets both VMAs; the lock of what it walks keeps it from looking at
 * the new one before and at the old one after the move.
 */
unsigned long move_page_tables(struct vm_area_struct *vma, unsigned long old_addr,
			       struct vm_area_struct *new_vma, unsigned long new_addr,
			       unsigned long len)
{
	struct mm_struct *mm = vma->vm_mm;
	struct address_space *mapping = vma->vm_file ? &vma->vm_file->f_inode->i_data : NULL;
	unsigned long addr = old_addr, end = old_addr + len, done = len;
	struct tlb_hull hull = TLB_HULL_NONE;
	pte_t *from, *to;

	if (mapping)
		mutex_lock(&mapping->lock);
	while ((from = pte_next(mm, &addr, end))) {
		unsigned long dst = new_addr + (addr - old_addr);
		unsigned long n =
			min(pmd_addr_end(addr, end) - addr, pmd_addr_end(dst, ~0UL) - dst);

		to = pte_alloc_map(mm, dst);
		if (!to) {
			done = addr - old_addr;
			break;
		}
		if (new_vma->anon_vma)
			anon_vma_lock(new_vma->anon_vma);
		spin_lock(&mm->page_table_lock);
		move_ptes(from, to, addr, n >> PAGE_SHIFT, &hull);
		spin_unlock(&mm->page_table_lock);
		if (new_vma->anon_vma)
			anon_vma_unlock(new_vma->anon_vma);
		addr += n;
	}
	spin_lock(&mm->page_table_lock);
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
	if (mapping)
		mutex_unlock(&mapping->lock);
	return done;
}

/* ---- fork --------------------------------------------------------------------------------- */

struct copy_context {
	struct vm_area_struct *dst_vma, *src_vma;
	struct tlb_hull hull; /* of the parent, write permission */
	struct mm_delta delta; /* of the child */
	struct page *spare; /* for the next pinned page */
};

/*
 * A pinned page stays with the parent, whose I/O goes on in it; the child gets a copy. The parent's
 * translation goes too, because a child may start with its parent's TLB.
 */
static void copy_pinned_page(struct copy_context *ctx, pte_t *dst, pte_t *src, unsigned long addr)
{
	struct vm_area_struct *vma = ctx->dst_vma;
	struct page *page = pte_page(*src), *copy = ctx->spare;
	pte_t pte = pfn_pte(page_to_pfn(copy), vma->vm_page_prot);

	ctx->spare = NULL;
	if (pte_young(*src)) {
		ptep_clear_bits(src, _PAGE_ACCESSED);
		machine_tlb_flush(ctx->src_vma->vm_mm, addr, addr + PAGE_SIZE, TLB_FLUSH_ALL);
	}
	memcpy(page_address(copy), page_address(page), PAGE_SIZE);
	page_init_anon(copy, vma, page->index);
	page_add_rmap(copy, &ctx->delta);
	lru_cache_add(copy);
	if (vma->vm_flags & VM_WRITE)
		pte = pte_mkwrite(pte);
	if (userfaultfd_pte_wp(vma, *src))
		pte = pte_mkuffd_wp(pte);
	set_pte(dst, pte_mkdirty(pte));
}

/*
 * Both sides get the same entry, Accessed and Dirty included: on a machine whose child starts with
 * the parent's TLB, the tables must cover it.
 */
static void copy_present_pte(struct copy_context *ctx, pte_t *dst, pte_t *src, unsigned long addr)
{
	pte_t pte = ptep_get(src);
	struct page *page = pte_page(pte);

	if (is_cow_mapping(ctx->src_vma->vm_flags) && pte_write(pte)) {
		ptep_clear_bits(src, _PAGE_RW);
		if (pte_young(pte) && pte_dirty(pte))
			tlb_hull_add(&ctx->hull, addr, TLB_FLUSH_WRITE);
	}
	if (page) {
		get_page(page);
		page_add_rmap(page, &ctx->delta);
	}
	pte = ptep_get(src);
	/* The child's writes are the monitor's affair only if it has heard of the child. */
	set_pte(dst, userfaultfd_wp(ctx->dst_vma) ? pte : pte_clear_uffd_wp(pte));
}

/* The slot has one entry more. False: too many share it. */
static bool copy_swap_pte(struct copy_context *ctx, pte_t *dst, pte_t pte)
{
	if (swap_duplicate(pte_to_swp_entry(pte)))
		return false;
	ctx->delta.rss[MM_SWAPENTS]++;
	set_pte(dst, userfaultfd_wp(ctx->dst_vma) ? pte : pte_clear_uffd_wp(pte));
	return true;
}

/* Both locks held. How far it came: before end, a spare page is wanted, or there is one and it is over. */
static unsigned long copy_ptes(struct copy_context *ctx, pte_t *dst, pte_t *src, unsigned long addr,
			       unsigned long end)
{
	for (; addr < end; addr += PAGE_SIZE, dst++, src++) {
		pte_t pte = ptep_get(src);
		struct page *page;

		if (pte_none(pte))
			continue;
		if (unlikely(is_pte_marker(pte))) {
			if (!pte_uffd_wp(pte) || userfaultfd_wp(ctx->dst_vma))
				set_pte(dst, pte);
			continue;
		}
		if (unlikely(!pte_present(pte))) {
			if (!copy_swap_pte(ctx, dst, pte))
				break;
			continue;
		}
		page = pte_page(pte);
		if (likely(!page || !PageAnon(page) || !page_maybe_pinned(page)))
			copy_present_pte(ctx, dst, src, addr);
		else if (ctx->spare)
			copy_pinned_page(ctx, dst, src, addr);
		else
			break;
	}
	return addr;
}

static int copy_table(struct copy_context *ctx, pte_t *src, unsigned long addr, unsigned long end)
{
	struct mm_struct *dst_mm = ctx->dst_vma->vm_mm, *src_mm = ctx->src_vma->vm_mm;
	pte_t *dst = pte_alloc_map(dst_mm, addr);
	unsigned long next;

	if (!dst)
		return -ENOMEM;
	for (;;) {
		spin_lock(&src_mm->page_table_lock);
		spin_lock(&dst_mm->page_table_lock);
		next = copy_ptes(ctx, dst, src, addr, end);
		spin_unlock(&dst_mm->page_table_lock);
		spin_unlock(&src_mm->page_table_lock);
		mm_delta_add(dst_mm, &ctx->delta);
		if (next == end)
			return 0;
		if (ctx->spare)
			return -ENOMEM;
		ctx->spare = alloc_page(GFP_ANON);
		if (!ctx->spare)
			return -ENOMEM;
		dst += (next - addr) >> PAGE_SHIFT;
		src += (next - addr) >> PAGE_SHIFT;
		addr = next;
	}
}

static bool table_empty(const pte_t *ptep, unsigned long nr)
{
	while (nr--)
		if (!pte_none(ptep_get(ptep++)))
			return false;
	return true;
}

int copy_page_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma)
{
	struct copy_context ctx = {
		.dst_vma = dst_vma,
		.src_vma = src_vma,
		.hull = TLB_HULL_NONE,
	};
	struct mm_struct *mm = src_vma->vm_mm;
	unsigned long addr = src_vma->vm_start, next;
	pte_t *src;
	int err = 0;

	while (!err && (src = pte_next(mm, &addr, src_vma->vm_end))) {
		next = pmd_addr_end(addr, src_vma->vm_end);
		if (!table_empty(src, (next - addr) >> PAGE_SHIFT))
			err = copy_table(&ctx, src, addr, next);
		addr = next;
	}
	spin_lock(&mm->page_table_lock);
	tlb_hull_flush(mm, &ctx.hull);
	spin_unlock(&mm->page_table_lock);
	if (ctx.spare)
		put_page(ctx.spare);
	return err;
}

/* ---- Age ---------------------------------------------------------------------------------- */

static void ptes_age(struct mm_struct *mm, unsigned long start, unsigned long end,
		     struct tlb_hull *hull)
{
	unsigned long addr = start;
	pte_t *ptep;

	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE, ptep++) {
			if (!pte_young(ptep_get(ptep)))
				continue;
			ptep_clear_bits(ptep, _PAGE_ACCESSED);
			tlb_hull_add(hull, addr, TLB_FLUSH_ALL);
		}
	}
}

void ptes_mkold(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct tlb_hull hull = TLB_HULL_NONE;

	ptes_age(mm, start, end, &hull);
}

void forget_translations(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;

	spin_lock(&mm->page_table_lock);
	ptes_age(mm, vma->vm_start, vma->vm_end, &hull);
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
}
