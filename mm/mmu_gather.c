/* SPDX-License-Identifier: MIT */
/*
 * Unmapping pages: clear the entries, flush the TLBs, and only then let go of the frames.
 *
 *   zap_table     entries cleared, counted out ---> hull of the young ones, pages gathered
 *   tlb_flush     one machine_tlb_flush() for the whole batch, still under page_table_lock
 *   tlb_free      references dropped, frames freed, lock released
 *
 * Ranges are walked table by table, so a terabyte of nothing costs nothing. The gathered pages stand
 * in a small array on the stack first, then in frames that are taken without waiting; when no more
 * can be had, the batch ends early.
 *
 * A dirty entry of a shared file needs no word to the file here: it was writable only because its
 * page is marked dirty already (mm/memory.c).
 */
#include <quire/swap.h>
#include <quire/userfaultfd_k.h>

#include "ptes.h"
#include "vma.h"

/* Pages of one piece of a batch: what a frame holds. */
struct gather_piece {
	struct gather_piece *next;
	unsigned int nr, max;
	struct page *pages[];
};

#define LOCAL_PAGES 32
#define PIECE_PAGES ((PAGE_SIZE - sizeof(struct gather_piece)) / sizeof(struct page *))
#define MAX_PIECES 32

struct mmu_gather {
	struct mm_struct *mm;
	struct tlb_hull hull;
	struct mm_delta delta;
	bool even_cows;
	bool keep_wp; /* of an object: protection of its pages survives them */
	unsigned int nr_pieces;
	struct gather_piece *active;
	union {
		struct gather_piece first;
		char space[sizeof(struct gather_piece) + LOCAL_PAGES * sizeof(struct page *)];
	};
};

static void tlb_start(struct mmu_gather *tlb, struct mm_struct *mm, bool even_cows)
{
	tlb->mm = mm;
	tlb->hull = (struct tlb_hull)TLB_HULL_NONE;
	tlb->delta = (struct mm_delta){ 0 };
	tlb->even_cows = even_cows;
	tlb->keep_wp = false;
	tlb->nr_pieces = 0;
	tlb->active = &tlb->first;
	tlb->first.next = NULL;
	tlb->first.nr = 0;
	tlb->first.max = LOCAL_PAGES;
}

/* Room for one page more; false: the batch has to end. */
static bool tlb_room(struct mmu_gather *tlb)
{
	struct gather_piece *piece;

	if (likely(tlb->active->nr < tlb->active->max))
		return true;
	if (tlb->nr_pieces == MAX_PIECES)
		return false;
	piece = (void *)__get_free_pages(GFP_NOWAIT, 0);
	if (!piece)
		return false;
	piece->next = NULL;
	piece->nr = 0;
	piece->max = PIECE_PAGES;
	tlb->active->next = piece;
	tlb->active = piece;
	tlb->nr_pieces++;
	return true;
}

/* page_table_lock held: after it no TLB has what was cleared. */
static void tlb_flush(struct mmu_gather *tlb)
{
	tlb_hull_flush(tlb->mm, &tlb->hull);
	mm_delta_add(tlb->mm, &tlb->delta);
}

/* True: it was the last reference. The only holder has nobody to race with. */
static bool drop_page(struct page *page)
{
	if (smp_load_acquire(&page->_refcount.counter) != 1)
		return atomic_dec_and_test(&page->_refcount);
	atomic_set(&page->_refcount, 0);
	return true;
}

/* Drop the references of one piece; what nobody else holds goes back in one call. */
static void free_piece(struct gather_piece *piece)
{
	unsigned long nr = 0;

	for (unsigned int i = 0; i < piece->nr; i++) {
		struct page *page = piece->pages[i];

		if (unlikely(PageSwapCache(page)))
			free_swap_cache(page);
		if (unlikely(PageHead(page) || PageTail(page)))
			put_page(page);
		else if (drop_page(page))
			piece->pages[nr++] = page;
	}
	if (nr)
		free_unref_pages(piece->pages, nr);
	piece->nr = 0;
}

/* No spinlock held: the flush is done. Leaves the batch empty. */
static void tlb_free(struct mmu_gather *tlb)
{
	struct gather_piece *piece, *next;

	free_piece(&tlb->first);
	for (piece = tlb->first.next; piece; piece = next) {
		next = piece->next;
		free_piece(piece);
		free_page((unsigned long)piece);
	}
	tlb->first.next = NULL;
	tlb->active = &tlb->first;
	tlb->nr_pieces = 0;
}

/* What is in swap was private. */
static void zap_swap_pte(struct mmu_gather *tlb, pte_t *ptep)
{
	pte_t pte = ptep_get(ptep);

	if (is_pte_marker(pte)) {
		if (!(pte_uffd_wp(pte) ? tlb->keep_wp : !tlb->even_cows))
			set_pte(ptep, __pte(0));
		return;
	}
	if (!tlb->even_cows)
		return;
	set_pte(ptep, __pte(0));
	tlb->delta.rss[MM_SWAPENTS]--;
	free_swap_and_cache(pte_to_swp_entry(pte));
}

/* Clear the entries of [addr, end), which lie in one table; how far it came. */
static unsigned long zap_table(struct mmu_gather *tlb, pte_t *ptep, unsigned long addr,
			       unsigned long end)
{
	for (; addr < end; addr += PAGE_SIZE, ptep++) {
		pte_t pte = ptep_get(ptep);
		struct page *page;

		if (pte_none(pte))
			continue;
		if (unlikely(!pte_present(pte))) {
			zap_swap_pte(tlb, ptep);
			continue;
		}
		page = pte_page(pte);
		if (page && !tlb->even_cows && PageAnon(page))
			continue;
		if (page && !tlb_room(tlb))
			break;
		pte = ptep_get_and_clear(ptep);
		if (unlikely(pte_uffd_wp(pte) && tlb->keep_wp))
			set_pte(ptep, make_pte_marker(_PAGE_UFFD_WP));
		if (pte_young(pte))
			tlb_hull_add(&tlb->hull, addr, TLB_FLUSH_ALL);
		if (!page)
			continue;
		page_remove_rmap(page, &tlb->delta);
		tlb->active->pages[tlb->active->nr++] = page;
	}
	return addr;
}

/* page_table_lock held; it is let go in between when a batch is full. */
static void zap_range(struct mmu_gather *tlb, unsigned long addr, unsigned long end)
{
	struct mm_struct *mm = tlb->mm;
	pte_t *ptep;

	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		addr = zap_table(tlb, ptep, addr, next);
		if (addr == next)
			continue;
		tlb_flush(tlb);
		spin_unlock(&mm->page_table_lock);
		tlb_free(tlb);
		spin_lock(&mm->page_table_lock);
	}
}

static void zap_one(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		    bool even_cows)
{
	struct mm_struct *mm = vma->vm_mm;
	struct mmu_gather tlb;

	start = max(start, vma->vm_start);
	end = min(end, vma->vm_end);
	if (vma->vm_flags & VM_LOCKED)
		mlock_vma_pages_range(vma, start, end, false);
	update_hiwater_rss(mm);
	tlb_start(&tlb, mm, even_cows);
	tlb.keep_wp = userfaultfd_wp(vma) && !vma_is_anonymous(vma);
	spin_lock(&mm->page_table_lock);
	zap_range(&tlb, start, end);
	tlb_flush(&tlb);
	spin_unlock(&mm->page_table_lock);
	tlb_free(&tlb);
}

void zap_page_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	zap_one(vma, start, end, true);
}

void zap_vma_range_locked(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			  bool even_cows)
{
	zap_one(vma, start, end, even_cows);
}

void unmap_vmas(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long start,
		unsigned long end)
{
	struct mmu_gather tlb;

	for (struct vm_area_struct *v = vma; v && v->vm_start < end; v = vma_next(v))
		if (v->vm_flags & VM_LOCKED)
			mlock_vma_pages_range(v, max(start, v->vm_start), min(end, v->vm_end),
					      false);
	update_hiwater_rss(mm);
	tlb_start(&tlb, mm, true);
	spin_lock(&mm->page_table_lock);
	for (; vma && vma->vm_start < end; vma = vma_next(vma))
		zap_range(&tlb, max(start, vma->vm_start), min(end, vma->vm_end));
	tlb_flush(&tlb);
	spin_unlock(&mm->page_table_lock);
	tlb_free(&tlb);
}
