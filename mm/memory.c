/* SPDX-License-Identifier: MIT */
/*
 * Page faults: how a page table entry comes to hold what the program is entitled to see.
 *
 *   handle_mm_fault
 *     entry of swap -------------------- do_swap_page         the page again, perhaps read from storage
 *     entry empty ---- registered VMA --- handle_userfault    a monitor fills it, or forbids the write
 *       |------------- anonymous VMA ---- do_anonymous_page   zero folio, or a block of new frames
 *       |  `---------- backed VMA ------- do_fault
 *       |                 read                do_read_fault    the cached page and its neighbours
 *       |                 write, private      do_cow_fault     a copy of it
 *       |                 write, shared       do_shared_fault  the page itself, now dirty
 *     write, entry read-only ------------ do_wp_page           reuse, copy, or page_mkwrite
 *     entry right ----------------------- update_mmu           a miss in a software TLB, no more
 *
 * What an entry may hold, by the kind of VMA (the invariants that the paths above keep):
 *   - zero folio (SPECIAL, read-only): anonymous VMAs. No reference, no mapcount, not in the RSS.
 *   - anonymous page: private VMAs. Writable only while this entry is its only user; fork() takes the
 *     write permission away from both sides, and a write gives the page to the sole owner left or
 *     makes a copy.
 *   - page-cache page: read-only in private VMAs. In shared ones writable only after page_mkwrite()
 *     and set_page_dirty(); write-back takes the permission away again. So a writable entry of a file
 *     implies PageDirty, and unmapping has nothing to tell the file.
 *
 * Locks of the memory manager, outer to inner:
 *
 *   mmap_lock            VMAs of an mm; faults hold it for reading (parent's before child's at fork)
 *   mapping->lock        page cache and i_mmap of an inode; from ->fault until the entry is set
 *   anon_vma root->lock  which VMAs may have an anonymous page, and their bounds
 *   page_table_lock      page table entries and their entry into TLBs (parent's before child's)
 *   zone->lock, slab     interrupts off
 *
 * Under page_table_lock nothing sleeps: what a fault needs is allocated before, and the entry is
 * looked at again after the lock was taken.
 *
 * TLB. The port is given entries under page_table_lock, with Accessed (and for writes Dirty) set in
 * them; whoever takes permissions from a young entry flushes before page_table_lock is released, so
 * that a frame is never freed while a TLB holds it.
 */
#include <quire/fs.h>
#include <quire/mm_inline.h>
#include <quire/pagemap.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/trace.h>
#include <quire/userfaultfd_k.h>

#include "ptes.h"

unsigned int anon_fault_max_order = 9;
unsigned int fault_around_order = 6;

/* A touch beside a present page fills this much, so that scattered growth has few mappings. */
#define NEIGHBOUR_ORDER 2u
#define SMALL_VMA_PAGES 256
/* Runs of frames around a fault that the TLB is told of, in private memory. */
#define FILL_MAX_RUNS 8u
/* Equal strides that make a pattern, and pages that are filled ahead of it at most: 2^order. */
#define STRIDE_RUN 3u
#define STRIDE_MAX_ORDER 4u
/* Blocks up to this size are worth reclaim. */
#define RECLAIM_ORDER 4u
/* A write to data beside pages that were copied already copies this much at most. */
#define COW_MAX_ORDER 4u
/* A page that may be written again, as its other owner is gone, takes those within this with it. */
#define REUSE_ORDER 4u

#define FAULT_DONE(kind) ((vm_fault_t)(kind) << VM_FAULT_KIND_SHIFT)
#define FAULT_AGAIN (1u << 23) /* not for callers: the entry has changed, look at it again */

static struct mm_struct *vmf_mm(const struct vm_fault *vmf)
{
	return vmf->vma->vm_mm;
}

static bool vmf_write(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_WRITE;
}

void update_hiwater_rss(struct mm_struct *mm)
{
	unsigned long rss = get_mm_rss(mm);

	if (READ_ONCE(mm->hiwater_rss) < rss)
		WRITE_ONCE(mm->hiwater_rss, rss);
}

/* ---- Protections -------------------------------------------------------------------------- */

/*
 * x86 cannot forbid reading of what may be written or executed. Private pages start read-only:
 * the fault that finds a page to be the program's own makes it writable.
 */
pgprot_t vm_get_page_prot(vm_flags_t vm_flags)
{
	u64 prot = _PAGE_PRESENT | _PAGE_USER;

	if (!(vm_flags & VM_ACCESS_FLAGS))
		return __pgprot(_PAGE_PROTNONE | _PAGE_NX);
	if ((vm_flags & (VM_WRITE | VM_SHARED)) == (VM_WRITE | VM_SHARED))
		prot |= _PAGE_RW;
	if (!(vm_flags & VM_EXEC))
		prot |= _PAGE_NX;
	return __pgprot(prot);
}

void vma_set_page_prot(struct vm_area_struct *vma)
{
	pgprot_t prot = vm_get_page_prot(vma->vm_flags);

	if (vma->vm_ops && vma->vm_ops->page_mkwrite)
		prot = __pgprot(pgprot_val(prot) & ~_PAGE_RW);
	vma->vm_page_prot = prot;
}

/* ---- Entries into the TLB ----------------------------------------------------------------- */

static bool pte_fills(pte_t pte, bool refill)
{
	return pte_accessible(pte) && (refill || !pte_young(pte));
}

/*
 * Each run of neighbouring frames costs an entry of its own. Private memory has been filled in blocks;
 * where it is scattered nevertheless, as after swapping, more of them are not worth it.
 */
static bool fill_goes_on(pte_t lower, pte_t upper, unsigned int *runs)
{
	return pte_pfn(upper) == pte_pfn(lower) + 1 || --*runs;
}

/*
 * Tell a software TLB of the entry that was resolved and of the usable ones beside it, within the
 * aligned window of fault_around_order. Those that are young are in the TLB already, unless it has
 * lost them: then it has probably lost all (refill). page_table_lock held. A remote access fills
 * nothing.
 */
static void update_mmu_window(struct vm_fault *vmf, bool refill)
{
	unsigned int runs = vma_is_anonymous(vmf->vma) ? FILL_MAX_RUNS : UINT_MAX;
	unsigned long size = PAGE_SIZE << fault_around_order;
	unsigned long lo = max(vmf->address & ~(size - 1), vmf->vma->vm_start);
	unsigned long hi = min((vmf->address & ~(size - 1)) + size, vmf->vma->vm_end);
	unsigned long first = vmf->address, end = vmf->address + PAGE_SIZE;
	pte_t *ptep = vmf->pte, *last = vmf->pte;

	if (vmf->flags & FAULT_FLAG_REMOTE || !pte_accessible(*vmf->pte))
		return;
	for (; first > lo && pte_fills(ptep[-1], refill) && fill_goes_on(ptep[-1], ptep[0], &runs);
	     first -= PAGE_SIZE)
		ptep--;
	for (; end < hi && pte_fills(last[1], refill) && fill_goes_on(last[0], last[1], &runs);
	     end += PAGE_SIZE)
		last++;
	for (pte_t *p = ptep; p <= last; p++)
		ptep_set_bits(p, _PAGE_ACCESSED);
	machine_tlb_fill(vmf_mm(vmf), first, &ptep->pte, (unsigned int)(last - ptep) + 1);
}

static void update_mmu(struct vm_fault *vmf)
{
	update_mmu_window(vmf, false);
}

/* The entry permits the access: what the MMU would have done, and nothing else. Unlocks. */
static vm_fault_t finish_access(struct vm_fault *vmf)
{
	bool upgrade = vmf_write(vmf) && !pte_dirty(vmf->orig_pte);

	if (vmf_write(vmf))
		ptep_set_bits(vmf->pte, _PAGE_DIRTY);
	update_mmu_window(vmf, pte_young(vmf->orig_pte) && !upgrade);
	spin_unlock(&vmf_mm(vmf)->page_table_lock);
	return FAULT_DONE(TRACE_FAULT_SPURIOUS);
}

/* page_table_lock held: the entry is still what the decision was made on. */
static bool pte_unchanged(const struct vm_fault *vmf)
{
	return pte_val(ptep_get(vmf->pte)) == pte_val(vmf->orig_pte);
}

/* Bits of a new entry for the faulting address: a write makes it dirty, and writable if it may. */
static pte_t mk_fault_pte(const struct vm_fault *vmf, unsigned long pfn)
{
	const struct vm_area_struct *vma = vmf->vma;
	pte_t pte = pfn_pte(pfn, vma->vm_page_prot);

	if (vmf_write(vmf)) {
		pte = pte_mkdirty(pte);
		if (vma->vm_flags & VM_WRITE)
			pte = pte_mkwrite(pte);
	}
	return pte;
}

/* ---- Anonymous memory --------------------------------------------------------------------- */

/* Nothing is there yet but perhaps a view of the zero folio, which a write replaces. */
static bool pte_vacant(pte_t pte)
{
	return pte_none(pte) || pte_is_zero_page(pte);
}

static bool range_vacant(const pte_t *ptep, unsigned long nr)
{
	while (nr--)
		if (!pte_vacant(ptep_get(ptep++)))
			return false;
	return true;
}

/* How many pages just below the address are there, without a gap, in its table and VMA. */
static unsigned long run_below(const struct vm_fault *vmf)
{
	unsigned long max_run =
		min(pte_index(vmf->address), (vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT);
	unsigned long n = 0;

	while (n < max_run && !pte_vacant(ptep_get(vmf->pte - n - 1)))
		n++;
	return n;
}

/* Whether a page of the small block around the address, or of those beside it, is there. */
static bool page_near_present(const struct vm_fault *vmf)
{
	const unsigned long block = 1UL << NEIGHBOUR_ORDER;
	unsigned long index = pte_index(vmf->address), mid = index & ~(block - 1);
	unsigned long lo = mid < block ? 0 : mid - block;
	unsigned long hi = min(mid + 2 * block, (unsigned long)PTRS_PER_PTE);

	lo = max(lo, index - min(index, (vmf->address - vmf->vma->vm_start) >> PAGE_SHIFT));
	hi = min(hi, index + ((vmf->vma->vm_end - vmf->address) >> PAGE_SHIFT));
	return !range_vacant(vmf->pte - (index - lo), hi - lo);
}

/*
 * How much a program that walks its memory deserves. Where it goes on just after the last fill the
 * block doubles; where several threads take turns, what each has filled below tells the same; a page
 * beside another gets a small block, and so does one in a VMA that is small as a whole: most of it
 * will be used. An isolated one gets nothing extra.
 */
static unsigned int anon_target_order(const struct vm_fault *vmf)
{
	const struct vm_area_struct *vma = vmf->vma;
	unsigned long run;

	if (vma->vm_flags & VM_HUGEPAGE)
		return anon_fault_max_order;
	if (vmf->address == vma->vm_fault_next)
		return min(vma->vm_fault_order + 1, anon_fault_max_order);
	run = run_below(vmf);
	if (!run && vma_pages(vma) > SMALL_VMA_PAGES && !page_near_present(vmf))
		return 0;
	if (run >> NEIGHBOUR_ORDER)
		return min((unsigned int)fls64(run) - 1, anon_fault_max_order);
	return min(NEIGHBOUR_ORDER, anon_fault_max_order);
}

/*
 * The order of the block to fill: the largest aligned one around the address, up to the target,
 * that lies in the VMA and is wholly vacant. page_table_lock held.
 */
static unsigned int anon_fault_order(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long base = vmf->address;
	unsigned int target, order;

	/* What is beside it is the monitor's to fill, or protected. */
	if (!anon_fault_max_order || userfaultfd_armed(vma))
		return 0;
	target = min(anon_target_order(vmf), (unsigned int)(PMD_SHIFT - PAGE_SHIFT));
	vma->vm_fault_order = target;
	for (order = 0; order < target; order++) {
		unsigned long half = PAGE_SIZE << order;
		unsigned long other = base ^ half;
		long offset = (long)(other - vmf->address) / (long)PAGE_SIZE;

		if (other < vma->vm_start || other + half > vma->vm_end ||
		    !range_vacant(vmf->pte + offset, 1UL << order))
			break;
		base &= ~half;
	}
	return order;
}

/*
 * 2^*order zeroed frames, each with a reference of its own; *order falls if memory is scarce. What nobody
 * has asked for yet pushes out other pages only as far as that is done in one go anyway.
 */
static struct page *alloc_anon_block(unsigned int *order)
{
	const unsigned int reclaim_order = min(*order, RECLAIM_ORDER);

	for (; *order; --*order) {
		gfp_t gfp = GFP_ANON | __GFP_ZERO | __GFP_NOWARN | __GFP_NORETRY;
		struct page *page;

		if (*order != reclaim_order)
			gfp &= ~__GFP_DIRECT_RECLAIM;
		page = alloc_pages(gfp, *order);
		if (page) {
			split_page(page, *order);
			return page;
		}
	}
	return alloc_page(GFP_ANON | __GFP_ZERO);
}

/* The zero folio's views in a block that is about to be filled leave the TLBs first. */
static void clear_zero_ptes(struct vm_fault *vmf, pte_t *ptep, unsigned long base, unsigned long nr)
{
	struct tlb_hull hull = TLB_HULL_NONE;

	for (unsigned long i = 0; i < nr; i++) {
		if (!pte_is_zero_page(ptep_get(ptep + i)))
			continue;
		if (pte_young(ptep_get_and_clear(ptep + i)))
			tlb_hull_add(&hull, base + i * PAGE_SIZE, TLB_FLUSH_ALL);
	}
	tlb_hull_flush(vmf_mm(vmf), &hull);
}

/*
 * Map a block of new frames at the aligned block of addresses around the fault. Entries that another
 * thread has filled meanwhile stay, and their frames go back. page_table_lock held.
 */
static void map_anon_block(struct vm_fault *vmf, struct page *page, unsigned int order)
{
	struct mm_struct *mm = vmf_mm(vmf);
	unsigned long nr = 1UL << order, filled = 0;
	unsigned long base = vmf->address & ~((PAGE_SIZE << order) - 1);
	pte_t *ptep = vmf->pte - ((vmf->address - base) >> PAGE_SHIFT);
	pgoff_t index = linear_page_index(vmf->vma, base);
	pte_t entry = mk_fault_pte(vmf, page_to_pfn(page));

	struct lruvec *lruvec = page_lruvec(page);
	bool fill = !(vmf->flags & FAULT_FLAG_REMOTE) && pte_accessible(entry);

	clear_zero_ptes(vmf, ptep, base, nr);
	if (fill)
		entry = pte_mkyoung(entry);
	spin_lock(&lruvec->lru_lock);
	for (unsigned long i = 0; i < nr; i++, page++, entry.pte += PAGE_SIZE) {
		if (unlikely(!pte_none(ptep_get(ptep + i)))) {
			__free_page(page);
			continue;
		}
		page_init_anon(page, vmf->vma, index + i);
		add_new_page_to_lru_list(lruvec, page, vmf->vma->vm_flags);
		atomic_set(&page->_mapcount, 0);
		set_pte(ptep + i, entry);
		filled++;
	}
	spin_unlock(&lruvec->lru_lock);
	add_mm_counter(mm, MM_ANONPAGES, (long)filled);
	mod_node_page_state(NR_ANON_MAPPED, (long)filled);
	count_mm_event(mm, MM_EV_ANON, (long)filled);
	atomic_long_inc(&mm->folios[order]);
	vmf->vma->vm_fault_next = base + (PAGE_SIZE << order);
	if (fill && filled == nr)
		machine_tlb_fill(mm, base, &ptep->pte, (unsigned int)nr);
	else
		update_mmu(vmf);
}

/* A read of memory never written: the zero folio, for the whole window. Unlocks. */
static vm_fault_t map_zero_folio(struct vm_fault *vmf)
{
	const unsigned long zero_pages = 1UL << ZERO_FOLIO_ORDER;
	struct mm_struct *mm = vmf_mm(vmf);
	unsigned long addr = vmf->address, end = addr + PAGE_SIZE;
	long filled = 0;
	pte_t *ptep;

	if (fault_around_order) {
		addr &= ~(zero_pages * PAGE_SIZE - 1);
		end = min(addr + zero_pages * PAGE_SIZE, vmf->vma->vm_end);
		addr = max(addr, vmf->vma->vm_start);
	}
	ptep = vmf->pte - ((vmf->address - addr) >> PAGE_SHIFT);
	for (; addr < end; addr += PAGE_SIZE, ptep++) {
		unsigned long pfn = zero_pfn + ((addr >> PAGE_SHIFT) & (zero_pages - 1));

		if (!pte_none(ptep_get(ptep)))
			continue;
		set_pte(ptep, pte_mkspecial(pte_wrprotect(pfn_pte(pfn, vmf->vma->vm_page_prot))));
		filled++;
	}
	count_mm_event(mm, MM_EV_ZERO, filled);
	update_mmu(vmf);
	spin_unlock(&mm->page_table_lock);
	return FAULT_DONE(TRACE_FAULT_ZERO);
}

/* One page ahead of the program. False: it cannot be had for nothing. mmap_lock held. */
static bool fill_ahead(const struct vm_fault *seen, unsigned long addr)
{
	struct vm_fault vmf = *seen;
	struct mm_struct *mm = vmf_mm(&vmf);
	struct page *page;
	bool vacant;

	vmf.address = addr;
	vmf.pte = pte_alloc_map(mm, addr);
	page = vmf.pte ? alloc_page((GFP_ANON & ~__GFP_DIRECT_RECLAIM) | __GFP_ZERO | __GFP_NOWARN)
		       : NULL;
	if (!page)
		return false;
	spin_lock(&mm->page_table_lock);
	vacant = pte_none(ptep_get(vmf.pte));
	if (vacant)
		map_anon_block(&vmf, page, 0);
	spin_unlock(&mm->page_table_lock);
	if (!vacant)
		__free_page(page);
	return vacant;
}

/*
 * An isolated page was filled. A program that touches pages at equal distances - a column of a matrix,
 * a stack of each thread - finds the next ones there: twice as many each time that was right.
 */
static void stride_ahead(const struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	long stride = (long)(vmf->address - vma->vm_stride_last);
	unsigned long next = vmf->address, fault_next = vma->vm_fault_next;

	vma->vm_stride_last = vmf->address;
	if (stride != vma->vm_stride) {
		vma->vm_stride = stride;
		vma->vm_stride_run = 0;
	} else {
		vma->vm_stride_run++;
	}
	if (!stride || vma->vm_stride_run < STRIDE_RUN || vma->vm_flags & VM_RAND_READ)
		return;
	for (unsigned int n = 1u << min(vma->vm_stride_run - STRIDE_RUN, STRIDE_MAX_ORDER); n;
	     n--) {
		next += (unsigned long)stride;
		if (next < vma->vm_start || next >= vma->vm_end || !fill_ahead(vmf, next))
			break;
		vma->vm_stride_last = next;
	}
	vma->vm_fault_next = fault_next; /* where the program is, not what lies ahead */
}

/* The entry is vacant. Entered with page_table_lock held, left without. */
static vm_fault_t do_anonymous_page(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf_mm(vmf);
	unsigned int order;
	struct page *page;

	if (!vmf_write(vmf))
		return map_zero_folio(vmf);
	order = anon_fault_order(vmf);
	spin_unlock(&mm->page_table_lock);

	page = alloc_anon_block(&order);
	if (unlikely(!page))
		return VM_FAULT_OOM;
	spin_lock(&mm->page_table_lock);
	map_anon_block(vmf, page, order);
	spin_unlock(&mm->page_table_lock);
	if (!order && anon_fault_max_order && !(vmf->flags & FAULT_FLAG_REMOTE) &&
	    !userfaultfd_armed(vmf->vma))
		stride_ahead(vmf);
	return FAULT_DONE(TRACE_FAULT_ANON);
}

/* ---- Copy on write ------------------------------------------------------------------------ */

static void copy_user_page(struct page *to, struct page *from)
{
	memcpy(page_address(to), page_address(from), PAGE_SIZE);
}

/*
 * The page is the program's own: let it write. So are often the pages beside it, whose other owner
 * was the same child that is gone now; those that were dirty before become writable with it.
 * page_table_lock held.
 */
static void wp_page_reuse(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long size = PAGE_SIZE << min(fault_around_order, REUSE_ORDER);
	unsigned long lo = max(vmf->address & ~(size - 1), vma->vm_start);
	unsigned long hi = min((vmf->address & ~(size - 1)) + size, vma->vm_end);
	pte_t *ptep = vmf->pte - ((vmf->address - lo) >> PAGE_SHIFT);
	long reused = 1;

	if (!(vma->vm_flags & VM_SHARED))
		page_move_anon_rmap(pte_page(vmf->orig_pte), vma);
	ptep_clear_bits(vmf->pte, _PAGE_EARLY);
	ptep_set_bits(vmf->pte, _PAGE_DIRTY | (vma->vm_flags & VM_WRITE ? _PAGE_RW : 0));
	for (; lo < hi && vma->vm_flags & VM_WRITE && !(vma->vm_flags & VM_SHARED);
	     lo += PAGE_SIZE, ptep++) {
		pte_t pte = ptep_get(ptep);

		if (pte_accessible(pte) && pte_dirty(pte) && !pte_write(pte) && !pte_uffd_wp(pte) &&
		    pte_page(pte) && page_sole_owner(pte_page(pte))) {
			page_move_anon_rmap(pte_page(pte), vma);
			ptep_set_bits(ptep, _PAGE_RW);
			reused++;
		}
	}
	count_vm_events(PGREUSE, (unsigned long)reused);
	count_mm_event(vmf_mm(vmf), MM_EV_REUSE, reused);
	update_mmu_window(vmf, reused > 1);
}

/*
 * Programs write their data in runs, up or down. A write beside pages that are the program's own
 * already copies an aligned block of pages, as far as they are there and not its own.
 */
struct cow_block {
	unsigned int order;
	unsigned long base; /* address of the block */
	pte_t *ptep; /* of base */
	struct page *copy; /* 2^order frames */
	struct page
		*old[1U << COW_MAX_ORDER]; /* what was copied, with a reference to put, or NULL */
};

/* Entries beside this one, going one way, that are the program's own: as many as matter. */
static unsigned int own_run(const struct vm_fault *vmf, bool up)
{
	const struct vm_area_struct *vma = vmf->vma;
	unsigned long index = pte_index(vmf->address), room, n = 0;

	if (up)
		room = min(PTRS_PER_PTE - 1 - index,
			   ((vma->vm_end - vmf->address) >> PAGE_SHIFT) - 1);
	else
		room = min(index, (vmf->address - vma->vm_start) >> PAGE_SHIFT);
	room = min(room, 1UL << COW_MAX_ORDER);
	while (n < room && pte_write(ptep_get(up ? vmf->pte + n + 1 : vmf->pte - n - 1)))
		n++;
	return (unsigned int)n;
}

/*
 * Pages of a file that is expected not to change: when they are copied makes no difference. Those copied
 * early are marked, for inode_unstable_locked(), in case that it does change.
 */
static bool vma_is_stable(const struct vm_area_struct *vma)
{
	return vma->vm_file && READ_ONCE(vma->vm_file->f_inode->i_stable);
}

/*
 * Of a file: only what is not likely to change, for changes are seen in pages not written yet.
 * Anonymous pages are shared with a child that is perhaps about to exec: no more than a few.
 */
static unsigned int cow_order(const struct vm_fault *vmf, bool anon)
{
	unsigned int most = min(anon ? NEIGHBOUR_ORDER : COW_MAX_ORDER, fault_around_order);
	unsigned int run;

	if ((!anon && !vma_is_stable(vmf->vma)) || !most || vmf->flags & FAULT_FLAG_REMOTE ||
	    userfaultfd_armed(vmf->vma))
		return 0;
	/* The data of a library, of which relocation writes nearly every page. */
	if (!anon && vma_pages(vmf->vma) <= 1UL << COW_MAX_ORDER)
		return most;
	run = max(own_run(vmf, true), own_run(vmf, false));
	return run ? min((unsigned int)fls64(run) + 1, most) : 0;
}

static struct page *cow_copy(const struct vm_fault *vmf, const struct cow_block *block)
{
	return block->copy + ((vmf->address - block->base) >> PAGE_SHIFT);
}

/* Frames for a block of the order, or for the page alone if memory is scarce. */
static bool cow_block_alloc(const struct vm_fault *vmf, unsigned int order, struct cow_block *block)
{
	struct page *copy = NULL;

	if (order)
		copy = alloc_pages(GFP_ANON | __GFP_NOWARN | __GFP_NORETRY, order);
	if (copy) {
		split_page(copy, order);
	} else {
		order = 0;
		copy = alloc_page(GFP_ANON);
	}
	block->order = order;
	block->copy = copy;
	block->base = vmf->address & ~((PAGE_SIZE << order) - 1);
	block->ptep = vmf->pte - ((vmf->address - block->base) >> PAGE_SHIFT);
	memset(block->old, 0, sizeof(block->old));
	return copy;
}

/* No lock held but mmap_lock: what was not used goes back, and the entries' old pages. */
static void cow_block_put(struct cow_block *block)
{
	for (unsigned int i = 0; i < 1U << block->order; i++) {
		if (block->old[i])
			free_swap_cache(block->old[i]);
		put_page(block->old[i] ? block->old[i] : block->copy + i);
	}
}

/*
 * The page to copy for the entry at addr, with a reference: the entry's own, or, from the cache
 * (mapping->lock held), a new one. NULL: nothing is to be done.
 */
static struct page *cow_source(const struct vm_fault *vmf, unsigned long addr, pte_t pte,
			       struct address_space *mapping)
{
	const struct vm_area_struct *vma = vmf->vma;
	pgoff_t index = linear_page_index(vma, addr);
	struct page *page = NULL;

	if (addr == vmf->address)
		return vmf->page;
	if (addr < vma->vm_start || addr >= vma->vm_end)
		return NULL;
	/* It may have changed its nature since cow_order(). */
	if (!PageAnon(vmf->page) && !vma_is_stable(vma))
		return NULL;
	if (pte_none(pte)) {
		if (mapping && index < ((u64)mapping->host->i_size + PAGE_SIZE - 1) >> PAGE_SHIFT)
			page = find_get_page(mapping, index);
		return page;
	}
	if (pte_accessible(pte) && !pte_write(pte))
		page = pte_page(pte);
	/* Pages of the two kinds have different reasons to be copied with others. */
	if (page && (PageAnon(page) != PageAnon(vmf->page) || page_sole_owner(page)))
		page = NULL;
	return page;
}

/* page_table_lock held. The copies that were used are pages for reclaim. */
static void cow_block_add_to_lru(const struct vm_fault *vmf, const struct cow_block *block)
{
	struct lruvec *lruvec = page_lruvec(block->copy);

	spin_lock(&lruvec->lru_lock);
	for (unsigned int i = 0; i < 1U << block->order; i++)
		if (block->old[i])
			add_new_page_to_lru_list(lruvec, block->copy + i, vmf->vma->vm_flags);
	spin_unlock(&lruvec->lru_lock);
}

/* Give the TLBs those entries of the block that have a copy now. */
static void cow_block_fill(struct vm_fault *vmf, const struct cow_block *block)
{
	unsigned int nr = 1U << block->order;

	for (unsigned int i = 0, n; i < nr; i += n + 1) {
		for (n = 0; i + n < nr && block->old[i + n]; n++)
			;
		if (n)
			machine_tlb_replace(vmf_mm(vmf), block->base + i * PAGE_SIZE,
					    &block->ptep[i].pte, n);
	}
}

/*
 * Put the copies in place: of vmf->page, whose contents are in its frame already, and of what is
 * beside it. mapping: where absent neighbours may be found, locked, or NULL. page_table_lock held.
 */
static void cow_block_map(struct vm_fault *vmf, struct cow_block *block,
			  struct address_space *mapping)
{
	bool fill = !(vmf->flags & FAULT_FLAG_REMOTE), was_young = false;
	struct mm_struct *mm = vmf_mm(vmf);
	struct mm_delta delta = { 0 };
	long copied = 0;

	for (unsigned int i = 0; i < 1U << block->order; i++) {
		unsigned long addr = block->base + i * PAGE_SIZE;
		pte_t *ptep = block->ptep + i, pte = ptep_get(ptep);
		struct page *old = cow_source(vmf, addr, pte, mapping);
		bool early;

		if (!old)
			continue;
		early = addr != vmf->address && (!PageAnon(old) || pte_early(pte));
		if (addr != vmf->address)
			copy_user_page(block->copy + i, old);
		if (!pte_none(pte)) {
			was_young |= pte_young(ptep_get_and_clear(ptep));
			page_remove_rmap(old, &delta);
		}
		page_init_anon(block->copy + i, vmf->vma, linear_page_index(vmf->vma, addr));
		page_add_rmap(block->copy + i, &delta);
		pte = mk_fault_pte(vmf, page_to_pfn(block->copy + i));
		if (early)
			pte = pte_mkearly(pte);
		set_pte(ptep, fill ? pte_mkyoung(pte) : pte);
		block->old[i] = old;
		copied++;
	}
	cow_block_add_to_lru(vmf, block);
	mm_delta_add(mm, &delta);
	count_mm_event(mm, MM_EV_COW, copied);
	if (fill)
		cow_block_fill(vmf, block);
	else if (was_young)
		machine_tlb_flush(mm, vmf->address, vmf->address + PAGE_SIZE, TLB_FLUSH_ALL);
}

/* The caller's reference to vmf->page is consumed. No lock held but mmap_lock. */
static vm_fault_t wp_page_copy(struct vm_fault *vmf, unsigned int order)
{
	struct mm_struct *mm = vmf_mm(vmf);
	struct cow_block block;
	bool replaced;

	if (!cow_block_alloc(vmf, order, &block)) {
		put_page(vmf->page);
		return VM_FAULT_OOM;
	}
	copy_user_page(cow_copy(vmf, &block), vmf->page);
	spin_lock(&mm->page_table_lock);
	replaced = pte_unchanged(vmf);
	if (replaced)
		cow_block_map(vmf, &block, NULL);
	spin_unlock(&mm->page_table_lock);

	cow_block_put(&block);
	put_page(vmf->page);
	return FAULT_DONE(replaced ? TRACE_FAULT_COW : TRACE_FAULT_SPURIOUS);
}

/* The lock that ->fault has taken, or that a shared page is made writable under. */
static struct address_space *vma_mapping(const struct vm_area_struct *vma)
{
	return vma->vm_file ? &vma->vm_file->f_inode->i_data : NULL;
}

/* Tell the file that vmf->page, of a shared mapping, will be written. mapping->lock held. */
static vm_fault_t do_page_mkwrite(struct vm_fault *vmf)
{
	const struct vm_operations_struct *ops = vmf->vma->vm_ops;
	vm_fault_t err;

	if (!ops->page_mkwrite)
		return 0;
	err = ops->page_mkwrite(vmf) & VM_FAULT_ERROR;
	if (!err)
		set_page_dirty(vmf->page);
	return err;
}

/*
 * A clean page of a shared file mapping, with a reference of ours. It may have been truncated
 * before we got the lock: then its entry is gone too, and the access is tried again.
 */
static vm_fault_t wp_page_shared(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf_mm(vmf);
	struct address_space *mapping = vma_mapping(vmf->vma);
	vm_fault_t ret = FAULT_DONE(TRACE_FAULT_SPURIOUS);

	if (mapping)
		mutex_lock(&mapping->lock);
	if (!mapping || vmf->page->mapping == mapping)
		ret = do_page_mkwrite(vmf);
	if (!(ret & VM_FAULT_ERROR)) {
		spin_lock(&mm->page_table_lock);
		if (pte_unchanged(vmf)) {
			wp_page_reuse(vmf);
			ret = FAULT_DONE(TRACE_FAULT_REUSE);
		}
		spin_unlock(&mm->page_table_lock);
	}
	if (mapping)
		mutex_unlock(&mapping->lock);
	put_page(vmf->page);
	return ret;
}

/*
 * A page that came back from swap: if nobody else can get it there, the slot is given up, and the page is
 * as others are. page_table_lock held.
 */
static bool reuse_swap_page(struct page *page)
{
	if (!PageSwapCache(page) || page_mapcount(page) != 1 || !trylock_page(page))
		return false;
	try_to_free_swap(page);
	unlock_page(page);
	return page_sole_owner(page);
}

/* A write to a present, read-only entry. Entered with page_table_lock held, left without. */
static vm_fault_t do_wp_page(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf_mm(vmf);
	struct page *page = pte_page(vmf->orig_pte);
	unsigned int order;

	if (unlikely(userfaultfd_pte_wp(vmf->vma, vmf->orig_pte))) {
		bool async = userfaultfd_wp_async(vmf->vma);

		if (async)
			ptep_clear_bits(vmf->pte, _PAGE_UFFD_WP);
		spin_unlock(&mm->page_table_lock);
		return async ? FAULT_AGAIN : handle_userfault(vmf, VM_UFFD_WP);
	}
	if (!page) {
		if (pte_is_zero_page(vmf->orig_pte) && vma_is_anonymous(vmf->vma))
			return do_anonymous_page(vmf);
		spin_unlock(&mm->page_table_lock);
		return VM_FAULT_SIGBUS;
	}
	if (!(vmf->vma->vm_flags & VM_SHARED) && (page_sole_owner(page) || reuse_swap_page(page))) {
		wp_page_reuse(vmf);
		spin_unlock(&mm->page_table_lock);
		return FAULT_DONE(TRACE_FAULT_REUSE);
	}
	get_page(page);
	vmf->page = page;
	order = cow_order(vmf, PageAnon(page));
	spin_unlock(&mm->page_table_lock);
	return vmf->vma->vm_flags & VM_SHARED ? wp_page_shared(vmf) : wp_page_copy(vmf, order);
}

/* ---- Memory with a backing ---------------------------------------------------------------- */

static void unlock_mapping(const struct vm_area_struct *vma)
{
	if (vma->vm_file)
		mutex_unlock(&vma_mapping(vma)->lock);
}

static vm_fault_t vma_fault(struct vm_fault *vmf)
{
	if (!vmf->vma->vm_ops->fault)
		return VM_FAULT_SIGBUS;
	return vmf->vma->vm_ops->fault(vmf);
}

/* Enter a page for which the caller holds a reference: it is the entry's now. */
static void set_backed_pte(struct vm_fault *vmf, pte_t *ptep, struct page *page, pte_t entry,
			   struct mm_delta *delta)
{
	page_add_rmap(page, delta);
	set_pte(ptep, entry);
	count_mm_event(vmf_mm(vmf), MM_EV_FILE, 1);
}

void map_page_around(struct vm_fault *vmf, pgoff_t pgoff, struct page *page)
{
	pte_t *ptep = vmf->pte + (long)(pgoff - vmf->pgoff);

	if (!pte_none(ptep_get(ptep))) {
		put_page(page);
		return;
	}
	set_backed_pte(vmf, ptep, page, pfn_pte(page_to_pfn(page), vmf->vma->vm_page_prot),
		       vmf->delta);
}

/*
 * What is at hand beside a page that was read: programs read on. The lock of ->fault() and
 * page_table_lock held.
 */
static void do_fault_around(struct vm_fault *vmf, struct mm_delta *delta)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long size = PAGE_SIZE << fault_around_order;
	unsigned long addr = max(vmf->address & ~(size - 1), vma->vm_start);
	unsigned long end = min((vmf->address & ~(size - 1)) + size, vma->vm_end);

	vmf->delta = delta;
	vma->vm_ops->map_pages(vmf, linear_page_index(vma, addr),
			       linear_page_index(vma, end - PAGE_SIZE));
}

/*
 * Map vmf->page (its reference is consumed) if the entry is still empty, under the mapping's lock,
 * which is released.
 */
static vm_fault_t finish_fault(struct vm_fault *vmf, struct page *page, bool around)
{
	struct mm_struct *mm = vmf_mm(vmf);
	struct mm_delta delta = { 0 };
	bool mapped;

	spin_lock(&mm->page_table_lock);
	mapped = pte_none(ptep_get(vmf->pte));
	if (mapped) {
		set_backed_pte(vmf, vmf->pte, page, mk_fault_pte(vmf, page_to_pfn(page)), &delta);
		if (around && fault_around_order && vmf->vma->vm_ops->map_pages &&
		    !userfaultfd_armed(vmf->vma))
			do_fault_around(vmf, &delta);
		mm_delta_add(mm, &delta);
		update_mmu(vmf);
	}
	spin_unlock(&mm->page_table_lock);
	unlock_mapping(vmf->vma);
	if (!mapped)
		put_page(page);
	return FAULT_DONE(mapped ? TRACE_FAULT_FILE : TRACE_FAULT_SPURIOUS);
}

static vm_fault_t do_read_fault(struct vm_fault *vmf)
{
	vm_fault_t ret = vma_fault(vmf);

	if (ret & VM_FAULT_ERROR)
		return ret;
	return ret | finish_fault(vmf, vmf->page, true);
}

/* A write to a private mapping of something: straight to the copy. */
static vm_fault_t do_cow_fault(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf_mm(vmf);
	struct cow_block block;
	vm_fault_t ret;
	bool mapped;

	if (!cow_block_alloc(vmf, cow_order(vmf, false), &block))
		return VM_FAULT_OOM;
	ret = vma_fault(vmf);
	if (ret & VM_FAULT_ERROR) {
		cow_block_put(&block);
		return ret;
	}
	copy_user_page(cow_copy(vmf, &block), vmf->page);
	spin_lock(&mm->page_table_lock);
	mapped = pte_none(ptep_get(vmf->pte));
	if (mapped)
		cow_block_map(vmf, &block, vma_mapping(vmf->vma));
	spin_unlock(&mm->page_table_lock);
	unlock_mapping(vmf->vma);
	cow_block_put(&block);
	if (!mapped)
		put_page(vmf->page);
	return ret | FAULT_DONE(mapped ? TRACE_FAULT_COW : TRACE_FAULT_SPURIOUS);
}

static vm_fault_t do_shared_fault(struct vm_fault *vmf)
{
	vm_fault_t ret = vma_fault(vmf), err;

	if (ret & VM_FAULT_ERROR)
		return ret;
	err = do_page_mkwrite(vmf);
	if (err) {
		unlock_mapping(vmf->vma);
		put_page(vmf->page);
		return err;
	}
	return ret | finish_fault(vmf, vmf->page, false);
}

/*
 * A registered object: the monitor supplies what the object has not, or (VM_UFFD_MINOR) says when what it
 * has may be seen. 0: it is an ordinary fault.
 */
static vm_fault_t do_shmem_userfault(struct vm_fault *vmf)
{
	struct address_space *mapping = vma_mapping(vmf->vma);
	bool inside, there;

	if (likely(!(vmf->vma->vm_flags & (VM_UFFD_MISSING | VM_UFFD_MINOR))))
		return 0;
	mutex_lock(&mapping->lock);
	inside = vmf->pgoff < ((u64)mapping->host->i_size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	there = inside && shmem_has_page(mapping, vmf->pgoff);
	mutex_unlock(&mapping->lock);
	if (there && userfaultfd_minor(vmf->vma))
		return handle_userfault(vmf, VM_UFFD_MINOR);
	if (inside && !there && userfaultfd_missing(vmf->vma))
		return handle_userfault(vmf, VM_UFFD_MISSING);
	return 0;
}

static vm_fault_t do_fault(struct vm_fault *vmf)
{
	vm_fault_t ret = do_shmem_userfault(vmf);

	if (unlikely(ret))
		return ret;
	if (!vmf_write(vmf))
		return do_read_fault(vmf);
	return vmf->vma->vm_flags & VM_SHARED ? do_shared_fault(vmf) : do_cow_fault(vmf);
}

/* ---- Memory in swap ----------------------------------------------------------------------- */

/* A clean page in the swap cache keeps its slot, so that it may go again for nothing. Unless slots run short. */
static bool swap_is_scarce(void)
{
	return get_nr_swap_pages() * 2 < (long)READ_ONCE(total_swap_pages);
}

/*
 * A page that was read from swap, where nobody had it. Others with the same entry are relatives: they
 * have the root of the family in common.
 */
static void page_init_swapped(struct page *page, const struct vm_area_struct *vma, pgoff_t index,
			      bool exclusive)
{
	struct anon_vma *anon_vma = exclusive ? vma->anon_vma : vma->anon_vma->root;
	unsigned long mapping = (unsigned long)anon_vma | PAGE_MAPPING_ANON;

	page->index = index;
	WRITE_ONCE(page->mapping, (struct address_space *)mapping);
}

/*
 * The page takes the place of its entry. It is locked, in the swap cache as that entry, and the caller has a
 * reference besides. page_table_lock held; do_wp_page() may have more to do if it is still read-only.
 */
static void map_swapped_page(struct vm_fault *vmf, struct page *page)
{
	struct vm_area_struct *vma = vmf->vma;
	struct mm_delta delta = { 0 };
	pte_t pte = pfn_pte(page_to_pfn(page), vma->vm_page_prot);

	get_page(page);
	swap_free(page_swap_entry(page));
	if (!PageAnon(page))
		page_init_swapped(page, vma, vmf->pgoff, !page_swapcount(page));
	page_add_rmap(page, &delta);
	delta.rss[MM_SWAPENTS]--;
	mm_delta_add(vmf_mm(vmf), &delta);
	if (vmf_write(vmf) || swap_is_scarce() || vma->vm_flags & VM_LOCKED)
		try_to_free_swap(page);
	if (vmf_write(vmf) && !userfaultfd_pte_wp(vma, vmf->orig_pte) && page_mapcount(page) == 1 &&
	    page_count(page) == 2) {
		page_move_anon_rmap(page, vma);
		pte = mk_fault_pte(vmf, page_to_pfn(page));
	} else {
		pte = pte_mkpresent(pte, vmf->orig_pte);
	}
	set_pte(vmf->pte, pte);
}

/* The caller holds the page's lock, and a reference. FAULT_AGAIN: the entry is another by now. */
static vm_fault_t finish_swap_fault(struct vm_fault *vmf, struct page *page, bool usable)
{
	struct mm_struct *mm = vmf_mm(vmf);
	vm_fault_t ret;

	spin_lock(&mm->page_table_lock);
	ret = pte_unchanged(vmf) ? VM_FAULT_SIGBUS : FAULT_AGAIN;
	if (ret == FAULT_AGAIN || !usable) {
		spin_unlock(&mm->page_table_lock);
		return ret;
	}
	map_swapped_page(vmf, page);
	vmf->orig_pte = ptep_get(vmf->pte);
	if (vmf_write(vmf) && userfaultfd_pte_wp(vmf->vma, vmf->orig_pte)) {
		/* A monitor's affair, who is not waited for with the page's lock. */
		spin_unlock(&mm->page_table_lock);
		return FAULT_AGAIN;
	}
	if (vmf_write(vmf) && !pte_dirty(vmf->orig_pte))
		return do_wp_page(vmf);
	update_mmu(vmf);
	spin_unlock(&mm->page_table_lock);
	return FAULT_DONE(TRACE_FAULT_SWAP);
}

/* Entered with page_table_lock held, left without. FAULT_AGAIN: the entry is to be looked at again. */
static vm_fault_t do_swap_page(struct vm_fault *vmf)
{
	swp_entry_t entry = pte_to_swp_entry(vmf->orig_pte);
	struct mm_struct *mm = vmf_mm(vmf);
	vm_fault_t ret = FAULT_AGAIN;
	bool major = false;
	struct page *page;

	spin_unlock(&mm->page_table_lock);
	page = swapin_readahead(entry, vmf, &major);
	if (!page) {
		spin_lock(&mm->page_table_lock);
		ret = pte_unchanged(vmf) ? VM_FAULT_OOM : FAULT_AGAIN;
		spin_unlock(&mm->page_table_lock);
		return ret;
	}
	lock_page(page);
	if (vmf_write(vmf))
		wait_on_page_writeback(page);
	/* What could not be read is in no cache; what is neither has gone its way meanwhile. */
	if (!PageUptodate(page) || (PageSwapCache(page) && page_swap_entry(page).val == entry.val))
		ret = finish_swap_fault(vmf, page, PageUptodate(page));
	unlock_page(page);
	put_page(page);
	return major ? ret | VM_FAULT_MAJOR : ret;
}

/* ---- Markers ------------------------------------------------------------------------------ */

/*
 * What is behind a marker of write protection is mapped with that protection, for reading: a write then
 * is a fault of its own. page_table_lock held, left without.
 */
static vm_fault_t do_anon_marker(struct vm_fault *vmf)
{
	const unsigned long zero_pages = 1UL << ZERO_FOLIO_ORDER;
	unsigned long pfn = zero_pfn + ((vmf->address >> PAGE_SHIFT) & (zero_pages - 1));
	pte_t pte = pte_mkspecial(pfn_pte(pfn, vmf->vma->vm_page_prot));
	bool missing = userfaultfd_missing(vmf->vma);

	if (!missing)
		set_pte(vmf->pte, pte_mkuffd_wp(pte));
	spin_unlock(&vmf_mm(vmf)->page_table_lock);
	return missing ? handle_userfault(vmf, VM_UFFD_MISSING) : FAULT_AGAIN;
}

static vm_fault_t do_file_marker(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf_mm(vmf);
	struct mm_delta delta = { 0 };
	vm_fault_t ret;
	bool same;

	spin_unlock(&mm->page_table_lock);
	ret = do_shmem_userfault(vmf);
	if (!ret)
		ret = vma_fault(vmf);
	if (ret & (VM_FAULT_ERROR | VM_FAULT_RETRY))
		return ret;
	spin_lock(&mm->page_table_lock);
	same = pte_unchanged(vmf);
	if (same) {
		set_backed_pte(
			vmf, vmf->pte, vmf->page,
			pte_mkuffd_wp(pfn_pte(page_to_pfn(vmf->page), vmf->vma->vm_page_prot)),
			&delta);
		mm_delta_add(mm, &delta);
	}
	spin_unlock(&mm->page_table_lock);
	unlock_mapping(vmf->vma);
	if (!same)
		put_page(vmf->page);
	return FAULT_AGAIN;
}

static vm_fault_t do_pte_marker(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf_mm(vmf);
	bool poison = pte_val(vmf->orig_pte) & _PAGE_POISON;

	if (!poison && userfaultfd_wp(vmf->vma))
		return vma_is_anonymous(vmf->vma) ? do_anon_marker(vmf) : do_file_marker(vmf);
	/* Of a VMA that is not registered so any more. */
	if (!poison)
		set_pte(vmf->pte, __pte(0));
	spin_unlock(&mm->page_table_lock);
	return poison ? VM_FAULT_HWPOISON : FAULT_AGAIN;
}

/* ---- The fault ---------------------------------------------------------------------------- */

static vm_fault_t handle_pte_fault(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf_mm(vmf);

	vmf->pte = pte_alloc_map(mm, vmf->address);
	if (!vmf->pte)
		return VM_FAULT_OOM;
	spin_lock(&mm->page_table_lock);
	vmf->orig_pte = ptep_get(vmf->pte);
	if (pte_none(vmf->orig_pte)) {
		bool anon = vma_is_anonymous(vmf->vma), missing = userfaultfd_missing(vmf->vma);

		if (anon && likely(!missing))
			return do_anonymous_page(vmf);
		spin_unlock(&mm->page_table_lock);
		return anon ? handle_userfault(vmf, VM_UFFD_MISSING) : do_fault(vmf);
	}
	if (unlikely(!pte_present(vmf->orig_pte)))
		return is_pte_marker(vmf->orig_pte) ? do_pte_marker(vmf) : do_swap_page(vmf);
	if (vmf_write(vmf) && !pte_write(vmf->orig_pte))
		return do_wp_page(vmf);
	return finish_access(vmf);
}

/*
 * As Linux counts: every fault that asked for something, and in the mm's own record those that got
 * it. Misses of a software TLB are no faults.
 */
static void account_fault(struct mm_struct *mm, vm_fault_t ret)
{
	if (ret & VM_FAULT_RETRY)
		return;
	if (ret & VM_FAULT_ERROR) {
		count_vm_event(PGFAULT);
		return;
	}
	if (vm_fault_kind(ret) == TRACE_FAULT_SPURIOUS) {
		count_mm_event(mm, MM_EV_SPURIOUS, 1);
		return;
	}
	count_vm_event(PGFAULT);
	if (ret & VM_FAULT_MAJOR)
		count_vm_event(PGMAJFAULT);
	count_mm_event(mm, ret & VM_FAULT_MAJOR ? MM_EV_MAJOR : MM_EV_MINOR, 1);
}

vm_fault_t handle_mm_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags)
{
	struct vm_fault vmf = {
		.vma = vma,
		.flags = flags,
		.address = address & PAGE_MASK,
		.real_address = address,
		.pgoff = linear_page_index(vma, address & PAGE_MASK),
	};
	struct mm_struct *mm = vma->vm_mm;
	vm_fault_t ret, major = 0;

	if (unlikely(vma->vm_flags & VM_PFNMAP)) {
		ret = VM_FAULT_SIGBUS;
	} else if (flags & FAULT_FLAG_WRITE && !(vma->vm_flags & VM_SHARED) &&
		   unlikely(anon_vma_prepare(vma))) {
		ret = VM_FAULT_OOM;
	} else {
		do
			major |= ret = handle_pte_fault(&vmf);
		while (unlikely(ret & FAULT_AGAIN));
		ret |= major & VM_FAULT_MAJOR;
	}
	account_fault(mm, ret);
	return ret;
}

/* Grow the stack VMA above addr down to it. mmap_lock is held for reading on success, as before. */
static struct vm_area_struct *grow_stack(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;

	up_read(&mm->mmap_lock);
	down_write(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	if (vma && vma->vm_start > addr &&
	    (!(vma->vm_flags & VM_GROWSDOWN) || expand_stack_locked(vma, addr)))
		vma = NULL;
	if (!vma) {
		up_write(&mm->mmap_lock);
		return NULL;
	}
	downgrade_write(&mm->mmap_lock);
	return vma;
}

struct vm_area_struct *lock_mm_and_find_vma(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	if (likely(vma && vma->vm_start <= addr))
		return vma;
	if (vma && vma->vm_flags & VM_GROWSDOWN)
		return grow_stack(mm, addr);
	up_read(&mm->mmap_lock);
	return NULL;
}
