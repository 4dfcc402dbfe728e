/* SPDX-License-Identifier: MIT */
/*
 * vma.h - what the mapping calls share among themselves: VMAs made, split, merged, counted.
 *
 * Everything here is called with mmap_lock held for writing unless it says otherwise.
 */
#ifndef QUIRE_MM_VMA_H
#define QUIRE_MM_VMA_H

#include <quire/fs.h>
#include <quire/mm.h>
#include <quire/rmap.h>

#define VM_SPECIAL (VM_IO | VM_DONTEXPAND | VM_PFNMAP)
#define VM_LOCKED_MASK (VM_LOCKED | VM_LOCKONFAULT)

/*
 * A range, and what a VMA for it would be: does a neighbour take it in?
 *
 *	| prev |   range   | next |	range: a part of middle, or (middle NULL) not yet there
 */
struct vma_merge {
	struct mm_struct *mm;
	unsigned long start, end;
	pgoff_t pgoff;
	vm_flags_t vm_flags;
	struct file *file;
	const struct vm_operations_struct *vm_ops;
	void *vm_private_data;
	struct vm_area_struct *anon_from; /* whose private pages it has or gets, or NULL */
	struct mempolicy *policy; /* borrowed */
	struct userfaultfd_ctx *uffd_ctx;
	struct vm_area_struct *middle;
	struct vm_area_struct *prev, *next; /* touch the range, else NULL */
};

/* Boot. */
void vma_init(void);
void commit_init(void);

static inline bool in_mmap_hole(unsigned long start, unsigned long end)
{
	return start < mmap_hole_end && end > mmap_hole_start;
}

/* ---- vma.c ---------------------------------------------------------------------------------- */

/* Any mode of mmap_lock. */
struct vm_area_struct *vma_prev(struct vm_area_struct *vma);
static inline bool vma_is_accessible(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_ACCESS_FLAGS;
}
/* Where a VMA begins for its neighbour below: a stack keeps a gap free to grow into. */
static inline unsigned long vm_start_gap(const struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_GROWSDOWN))
		return vma->vm_start;
	return vma->vm_start > STACK_GUARD_GAP ? vma->vm_start - STACK_GUARD_GAP : 0;
}

struct vm_area_struct *vm_area_alloc(struct mm_struct *mm);
/* A copy with a reference to the file; in no tree, and without an anon_vma. */
struct vm_area_struct *vm_area_dup(const struct vm_area_struct *orig);
void vm_area_free(struct vm_area_struct *vma); /* drops the file too */

/* Into tree and i_mmap. The tree's node has been preallocated. */
void vma_link(struct vm_area_struct *vma);
/* Other bounds for a VMA whose neighbours make room; pgoff follows the start. */
void vma_set_bounds(struct vm_area_struct *vma, unsigned long start, unsigned long end);

int __split_vma(struct vm_area_struct *vma, unsigned long addr, bool new_below);
/* The same under the limit of map_count. new_below: vma keeps the upper part. */
int split_vma(struct vm_area_struct *vma, unsigned long addr, bool new_below);

/* Sets range and neighbours; the caller says what the VMA would be. */
void vma_merge_init(struct vma_merge *m, struct mm_struct *mm, unsigned long start,
		    unsigned long end);
/* A new range: the neighbour that would take it, or NULL. Changes nothing. */
bool vma_can_merge_new(const struct vma_merge *m);
/*
 * A new, empty range goes to its neighbours: the VMA that has it now, or NULL. For want of memory it can
 * fail only if there is an anon_from.
 */
struct vm_area_struct *vma_merge_new_range(struct vma_merge *m);
/*
 * [start, end) of vma is to have other flags: merged with a neighbour, or cut free. The VMA to set
 * the flags of, ERR_PTR(-ENOMEM).
 */
struct vm_area_struct *vma_modify_flags(struct vm_area_struct *vma, unsigned long start,
					unsigned long end, vm_flags_t new_flags);
/* The same for another policy, which the caller then sets. */
struct vm_area_struct *vma_modify_policy(struct vm_area_struct *vma, unsigned long start,
					 unsigned long end, struct mempolicy *policy);
/* The rest of *m, whose range is set: what lies at vma's page pgoff would be as vma is. */
void vma_merge_like(struct vma_merge *m, struct vm_area_struct *vma, pgoff_t pgoff);

/* The same, and to be registered with ctx. */
struct vm_area_struct *vma_modify_flags_uffd(struct vm_area_struct *vma, unsigned long start,
					     unsigned long end, vm_flags_t new_flags,
					     struct userfaultfd_ctx *ctx);

/* What lies in a range that is about to be unmapped. */
struct munmap_counts {
	unsigned long nr_pages;
	unsigned long nr_accounted;
};
/* Cut VMAs at start and end, so that [start, end) is whole VMAs. 0 or -ENOMEM (perhaps cut). */
int munmap_prepare(struct mm_struct *mm, unsigned long start, unsigned long end,
		   struct munmap_counts *counts);
/* Unmap the whole VMAs of [start, end). */
void munmap_complete(struct mm_struct *mm, unsigned long start, unsigned long end);
int do_munmap_locked(struct mm_struct *mm, unsigned long start, size_t len);
/* All VMAs and tables of an mm that nobody uses any more. */
void exit_mmap(struct mm_struct *mm);

/* a ends where b begins: but for the protection, could they be one VMA? */
bool anon_vma_compatible(const struct vm_area_struct *a, const struct vm_area_struct *b);

/* ---- Accounting ----------------------------------------------------------------------------- */

void vm_stat_account(struct mm_struct *mm, vm_flags_t flags, long npages);
/* Within RLIMIT_AS and RLIMIT_DATA. */
bool may_expand_vm(struct mm_struct *mm, vm_flags_t flags, unsigned long npages);
/* Within RLIMIT_MEMLOCK, if the flags say that it would be locked. */
bool mlock_future_ok(struct mm_struct *mm, vm_flags_t flags, unsigned long bytes);
bool can_do_mlock(struct mm_struct *mm);
static inline void update_hiwater_vm(struct mm_struct *mm)
{
	if (mm->hiwater_vm < mm->total_vm)
		WRITE_ONCE(mm->hiwater_vm, mm->total_vm);
}

/* ---- Others --------------------------------------------------------------------------------- */

/* mmap.c: as get_unmapped_area(), for a backing known by file and flags. */
unsigned long __get_unmapped_area(struct mm_struct *mm, struct file *file, unsigned long addr,
				  unsigned long len, unsigned long flags);
/*
 * pageout.c: mmap_lock held for reading. What the program has there alone goes to swap, as far as there
 * are slots.
 */
void pageout_range(struct vm_area_struct *vma, unsigned long start, unsigned long end);
/* mmap.c: whether a stack could grow to addr below it, an address of a page, for all that lies there. 0 or an error. */
int stack_room(struct vm_area_struct *vma, unsigned long addr);
/* mlock.c: mmap_lock held for reading. Fault pages in; -EFAULT, -ENOMEM. */
int populate_vma_page_range(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			    bool write);
/* mlock.c: the pages of [start, end) are looked at by reclaim no more, or again. Takes page_table_lock. */
void mlock_vma_pages_range(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			   bool lock);
/* mlock.c: as MAP_POPULATE and mlock() want it: broken COW where the VMA is privately writable. */
int populate_vma_locked(struct vm_area_struct *vma, unsigned long start, unsigned long end);

#endif
