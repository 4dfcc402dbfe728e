/* SPDX-License-Identifier: MIT */
/*
 * ptes.h - what the files that change page table entries share (memory.c, mmu_gather.c, pte_range.c,
 * gup.c, uaccess.c): entries changed atomically with respect to an MMU, map counts, the hull of
 * translations to flush, and the counters of a batch.
 */
#ifndef QUIRE_MM_PTES_H
#define QUIRE_MM_PTES_H

#include <quire/mm.h>
#include <quire/rmap.h>
#include <quire/vmstat.h>

/* Private and perhaps to be written: the program must never see its writes in the backing. */
static inline bool is_cow_mapping(vm_flags_t flags)
{
	return (flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE;
}

/*
 * An MMU may set Accessed and Dirty at any moment, so bits are added and taken by single atomic
 * operations; a whole entry is replaced by clearing it first.
 */
static inline pte_t ptep_get_and_clear(pte_t *ptep)
{
	return __pte(__atomic_exchange_n(&ptep->pte, 0, __ATOMIC_RELAXED));
}

static inline void ptep_set_bits(pte_t *ptep, u64 bits)
{
	if ((READ_ONCE(ptep->pte) & bits) != bits)
		__atomic_fetch_or(&ptep->pte, bits, __ATOMIC_RELAXED);
}

static inline void ptep_clear_bits(pte_t *ptep, u64 bits)
{
	__atomic_fetch_and(&ptep->pte, ~bits, __ATOMIC_RELAXED);
}

/* The page that the entry holds a reference to; NULL for the zero folio and device memory. */
static inline struct page *pte_page(pte_t pte)
{
	return pte_special(pte) ? NULL : pfn_to_page(pte_pfn(pte));
}

static inline bool pte_is_zero_page(pte_t pte)
{
	return pte_special(pte) && is_zero_pfn(pte_pfn(pte));
}

/* The first address above addr that is not in addr's table of ptes, or end. */
static inline unsigned long pmd_addr_end(unsigned long addr, unsigned long end)
{
	return min((addr & PMD_MASK) + PMD_SIZE, end);
}

/*
 * Whether this entry's mm alone can see the page, so that it may be written in place. References
 * beyond the entry's own must be pins: those are for I/O of the same mm, because pinning unshares
 * the page first and fork() copies a pinned one. Other I/O, which reads it, wants to see what it is now. Read the references last: a pin that ends in
 * between makes the answer no, which costs a copy and nothing else.
 */
static inline bool page_sole_owner(struct page *page)
{
	int pins = atomic_read(&page->_pincount);

	return PageAnon(page) && page_mapcount(page) == 1 && page_count(page) == 1 + pins;
}

static inline enum mm_counter mm_counter(const struct page *page)
{
	if (PageAnon(page))
		return MM_ANONPAGES;
	return PageSwapBacked(page) ? MM_SHMEMPAGES : MM_FILEPAGES;
}

/* Counts gathered while entries change and added at once by mm_delta_add(). */
struct mm_delta {
	long rss[NR_MM_COUNTERS];
	long mapped[2]; /* NR_ANON_MAPPED, NR_FILE_MAPPED */
};

static inline void page_add_rmap(struct page *page, struct mm_delta *delta)
{
	delta->rss[mm_counter(page)]++;
	if (atomic_inc_return(&page->_mapcount) == 0)
		delta->mapped[!PageAnon(page)]++;
}

static inline void page_remove_rmap(struct page *page, struct mm_delta *delta)
{
	delta->rss[mm_counter(page)]--;
	if (atomic_dec_return(&page->_mapcount) == -1)
		delta->mapped[!PageAnon(page)]--;
}

static inline void mm_delta_add(struct mm_struct *mm, struct mm_delta *delta)
{
	for (int c = 0; c < NR_MM_COUNTERS; c++) {
		if (delta->rss[c])
			add_mm_counter(mm, c, delta->rss[c]);
		delta->rss[c] = 0;
	}
	for (int i = 0; i < 2; i++) {
		if (delta->mapped[i])
			mod_node_page_state(i ? NR_FILE_MAPPED : NR_ANON_MAPPED, delta->mapped[i]);
		delta->mapped[i] = 0;
	}
}

/* [start, end) covers every address whose translation may be in a TLB and is wrong now. */
struct tlb_hull {
	unsigned long start, end;
	enum tlb_flush how;
};

#define TLB_HULL_NONE                                           \
	{                                                       \
		.start = ~0UL, .end = 0, .how = TLB_FLUSH_WRITE \
	}

static inline void tlb_hull_add(struct tlb_hull *hull, unsigned long addr, enum tlb_flush how)
{
	hull->start = min(hull->start, addr);
	hull->end = max(hull->end, addr + PAGE_SIZE);
	if (how == TLB_FLUSH_ALL)
		hull->how = TLB_FLUSH_ALL;
}

/* page_table_lock held. Leaves the hull empty. */
static inline void tlb_hull_flush(struct mm_struct *mm, struct tlb_hull *hull)
{
	if (hull->start < hull->end)
		machine_tlb_flush(mm, hull->start, hull->end, hull->how);
	*hull = (struct tlb_hull)TLB_HULL_NONE;
}

/* The page is mapped in the VMA alone: there it is found from now on. */
static inline void page_move_anon_rmap(struct page *page, const struct vm_area_struct *vma)
{
	unsigned long mapping = (unsigned long)vma->anon_vma | PAGE_MAPPING_ANON;

	WRITE_ONCE(page->mapping, (struct address_space *)mapping);
}

/* A frame that has just been allocated becomes anonymous memory of the VMA, at page index. */
static inline void page_init_anon(struct page *page, const struct vm_area_struct *vma,
				  pgoff_t index)
{
	page_move_anon_rmap(page, vma);
	page->flags |= 1UL << PG_swapbacked | 1UL << PG_uptodate;
	page->index = index;
}

#define GFP_ANON (GFP_HIGHUSER_MOVABLE)

/* The kernel's own access to a user page: gup.c. */
enum foll_flags {
	FOLL_WRITE = 1 << 0,
	FOLL_FORCE = 1 << 1, /* the VMA's protection does not count */
	FOLL_UNLOCKABLE = 1 << 2, /* mmap_lock may be released: -EAGAIN */
};

/*
 * mmap_lock held for reading. The entry for addr, faulted in so that it serves the access, with
 * page_table_lock HELD. Or ERR_PTR(-EFAULT, -ENOMEM) without it; with FOLL_UNLOCKABLE also
 * ERR_PTR(-EAGAIN): mmap_lock has been released while a monitor had its turn, and the VMA is to be looked up anew.
 */
pte_t *get_locked_pte(struct vm_area_struct *vma, unsigned long addr, unsigned int foll);
/* Whether the VMA lets the program itself do that access. */
bool vma_permits(const struct vm_area_struct *vma, unsigned int foll);

#endif
