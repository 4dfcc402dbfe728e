/* SPDX-License-Identifier: MIT */
/*
 * mlock.c - memory that stays resident, and the faulting in of ranges.
 *
 * A VM_LOCKED VMA counts wholly in locked_vm, which RLIMIT_MEMLOCK bounds. Locking sets the flags
 * under mmap_lock held for writing and faults the pages in afterwards (VM_LOCKONFAULT: not at all).
 *
 * Its pages leave the lists that reclaim goes over: those that are there when it is locked, and new
 * anonymous ones, at once; others when reclaim meets them. A page that loses a locked VMA goes back, and
 * leaves again when there is another one.
 */
#include <quire/err.h>
#include <quire/kernel.h>
#include <quire/machine.h>
#include <quire/mm.h>
#include <quire/mm_inline.h>
#include <quire/mman.h>

#include "ptes.h"
#include "vma.h"

/* ---- Populating ----------------------------------------------------------------------------- */

/* The tables already permit what the fault would be for. */
static bool page_is_there(struct mm_struct *mm, unsigned long addr, bool write)
{
	pte_t *ptep, pte;
	bool there = false;

	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, addr);
	if (ptep) {
		pte = ptep_get(ptep);
		there = pte_accessible(pte) && (!write || (pte_write(pte) && pte_dirty(pte)));
	}
	spin_unlock(&mm->page_table_lock);
	return there;
}

int populate_vma_page_range(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			    bool write)
{
	for (; start < end; start += PAGE_SIZE) {
		vm_fault_t fault;

		if (page_is_there(vma->vm_mm, start, write))
			continue;
		fault = handle_mm_fault(vma, start, write ? FAULT_FLAG_WRITE : 0);
		if (fault & VM_FAULT_OOM)
			return -ENOMEM;
		if (fault & VM_FAULT_ERROR)
			return -EFAULT;
	}
	return 0;
}

int populate_vma_locked(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	if (vma->vm_flags & VM_LOCKONFAULT)
		return 0;
	if (!vma_is_accessible(vma))
		return -EFAULT;
	return populate_vma_page_range(vma, start, end,
				       (vma->vm_flags & (VM_WRITE | VM_SHARED)) == VM_WRITE);
}

/* Populate at most this much before others may have mmap_lock. */
#define POPULATE_BATCH (512UL << PAGE_SHIFT)

static int __mm_populate(struct mm_struct *mm, unsigned long start, unsigned long len,
			 bool ignore_errors)
{
	unsigned long end = start + len;
	int err = 0;

	while (start < end) {
		struct vm_area_struct *vma;
		unsigned long stop;

		down_read(&mm->mmap_lock);
		vma = find_vma_intersection(mm, start, end);
		if (!vma) {
			up_read(&mm->mmap_lock);
			break;
		}
		start = max(start, vma->vm_start);
		stop = min3(vma->vm_end, end, start + POPULATE_BATCH);
		err = vma->vm_flags & (VM_IO | VM_PFNMAP) ? 0
							  : populate_vma_locked(vma, start, stop);
		if (err && ignore_errors) {
			stop = min(vma->vm_end, end);
			err = 0;
		}
		up_read(&mm->mmap_lock);
		if (err)
			break;
		start = stop;
	}
	return err;
}

int mm_populate(struct mm_struct *mm, unsigned long start, unsigned long len)
{
	return __mm_populate(mm, start, len, true);
}

/* ---- Lists of reclaim ----------------------------------------------------------------------- */

void mlock_vma_pages_range(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			   bool lock)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned long addr = start;
	pte_t *ptep;

	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE, ptep++) {
			pte_t pte = ptep_get(ptep);
			struct page *page = pte_present(pte) ? pte_page(pte) : NULL;

			if (page && lock)
				mlock_page(page);
			else if (page)
				munlock_page(page);
		}
	}
	spin_unlock(&mm->page_table_lock);
}

/* mmap_lock not held. What is there by now of the locked VMAs of the range. */
static void mlock_pages(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	for (vma = find_vma_intersection(mm, start, end); vma && vma->vm_start < end;
	     vma = vma_next(vma))
		if ((vma->vm_flags & (VM_LOCKED | VM_PFNMAP)) == VM_LOCKED)
			mlock_vma_pages_range(vma, max(start, vma->vm_start), min(end, vma->vm_end),
					      true);
	up_read(&mm->mmap_lock);
}

/* ---- Locking -------------------------------------------------------------------------------- */

/* [start, end) of vma gets the lock flags of new_flags. 0 or -ENOMEM. */
static int mlock_fixup(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		       vm_flags_t new_flags)
{
	unsigned long pages = (end - start) >> PAGE_SHIFT;
	vm_flags_t old = vma->vm_flags;

	if (new_flags == old || old & VM_SPECIAL)
		return 0;
	vma = vma_modify_flags(vma, start, end, new_flags);
	if (IS_ERR(vma))
		return (int)PTR_ERR(vma);
	if (!(new_flags & VM_LOCKED))
		vma->vm_mm->locked_vm -= old & VM_LOCKED ? pages : 0;
	else if (!(old & VM_LOCKED))
		vma->vm_mm->locked_vm += pages;
	vma->vm_flags = new_flags;
	if (old & VM_LOCKED && !(new_flags & VM_LOCKED))
		mlock_vma_pages_range(vma, start, end, false);
	return 0;
}

/* mmap_lock held for writing. */
static int apply_vma_lock_flags(struct mm_struct *mm, unsigned long start, size_t len,
				vm_flags_t lock)
{
	unsigned long end = start + len;

	if (end < start)
		return -EINVAL;
	while (start < end) {
		struct vm_area_struct *vma = vma_lookup(mm, start);
		unsigned long stop;
		int err;

		if (!vma)
			return -ENOMEM;
		stop = min(vma->vm_end, end);
		err = mlock_fixup(vma, start, stop, (vma->vm_flags & ~VM_LOCKED_MASK) | lock);
		if (err)
			return err;
		start = stop;
	}
	return 0;
}

/* Pages of [start, end) that are locked already. */
static unsigned long count_mlocked(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma = find_vma(mm, start);
	unsigned long n = 0;

	if (end < start)
		end = ~0UL;
	for (; vma && vma->vm_start < end; vma = vma_next(vma))
		if (vma->vm_flags & VM_LOCKED)
			n += (min(vma->vm_end, end) - max(vma->vm_start, start)) >> PAGE_SHIFT;
	return n;
}

static bool mlock_within_limit(struct mm_struct *mm, unsigned long start, unsigned long len)
{
	unsigned long limit = mm->rlim_memlock >> PAGE_SHIFT;
	unsigned long pages = (len >> PAGE_SHIFT) + mm->locked_vm;

	return pages <= limit || machine_capable(CAP_IPC_LOCK) ||
	       pages - count_mlocked(mm, start, start + len) <= limit;
}

int do_mlock(struct mm_struct *mm, unsigned long start, size_t len, int flags)
{
	vm_flags_t lock = VM_LOCKED | (flags & MLOCK_ONFAULT ? VM_LOCKONFAULT : 0);
	int err = -ENOMEM;

	if (flags & ~MLOCK_ONFAULT)
		return -EINVAL;
	if (!can_do_mlock(mm))
		return -EPERM;
	len = PAGE_ALIGN(len + (start & ~PAGE_MASK));
	start &= PAGE_MASK;

	down_write(&mm->mmap_lock);
	if (mlock_within_limit(mm, start, len))
		err = apply_vma_lock_flags(mm, start, len, lock);
	up_write(&mm->mmap_lock);
	if (err)
		return err;
	err = __mm_populate(mm, start, len, false);
	mlock_pages(mm, start, start + len);
	if (err == -EFAULT)
		return -ENOMEM; /* POSIX says so */
	return err == -ENOMEM ? -EAGAIN : err;
}

int do_munlock(struct mm_struct *mm, unsigned long start, size_t len)
{
	int err;

	len = PAGE_ALIGN(len + (start & ~PAGE_MASK));
	start &= PAGE_MASK;
	down_write(&mm->mmap_lock);
	err = apply_vma_lock_flags(mm, start, len, 0);
	up_write(&mm->mmap_lock);
	return err;
}

/* mmap_lock held for writing. All VMAs; one that cannot be split for want of memory is left. */
static void lock_all_vmas(struct mm_struct *mm, vm_flags_t lock)
{
	unsigned long addr = 0;
	struct vm_area_struct *vma;

	while ((vma = find_vma(mm, addr))) {
		addr = vma->vm_end;
		mlock_fixup(vma, vma->vm_start, vma->vm_end,
			    (vma->vm_flags & ~VM_LOCKED_MASK) | lock);
	}
}

int do_mlockall(struct mm_struct *mm, int flags)
{
	vm_flags_t lock = VM_LOCKED | (flags & MCL_ONFAULT ? VM_LOCKONFAULT : 0);

	if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
		return -EINVAL;
	if (!can_do_mlock(mm))
		return -EPERM;
	down_write(&mm->mmap_lock);
	if (flags & MCL_CURRENT && mm->total_vm > mm->rlim_memlock >> PAGE_SHIFT &&
	    !machine_capable(CAP_IPC_LOCK)) {
		up_write(&mm->mmap_lock);
		return -ENOMEM;
	}
	mm->def_flags &= ~VM_LOCKED_MASK;
	if (flags & MCL_FUTURE)
		mm->def_flags |= lock;
	if (flags & MCL_CURRENT)
		lock_all_vmas(mm, lock);
	up_write(&mm->mmap_lock);
	if (flags & MCL_CURRENT) {
		mm_populate(mm, 0, mm->task_size);
		mlock_pages(mm, 0, mm->task_size);
	}
	return 0;
}

int do_munlockall(struct mm_struct *mm)
{
	down_write(&mm->mmap_lock);
	mm->def_flags &= ~VM_LOCKED_MASK;
	lock_all_vmas(mm, 0);
	up_write(&mm->mmap_lock);
	return 0;
}
