/* SPDX-License-Identifier: MIT */
/*
 * mprotect.c - change what a range of addresses permits.
 *
 * The range is worked through VMA by VMA; the part of each is merged with a neighbour or cut free,
 * gets its flags, and then its present entries get the new protection. A hole or an error ends the
 * call; what came before it stays changed, as on Linux.
 */
#include <quire/err.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/trace.h>

#include "vma.h"

/*
 * The commit that goes with new flags: private memory that becomes writable is charged, and
 * untouched memory that stops being so is not charged any more. Adjusts *flags, says how much was
 * charged. 0 or -ENOMEM.
 */
static int recharge(const struct vm_area_struct *vma, unsigned long pages, vm_flags_t *flags,
		    unsigned long *charged)
{
	vm_flags_t old = vma->vm_flags;

	*charged = 0;
	if (!(*flags & VM_WRITE)) {
		if (old & VM_ACCOUNT && vma_is_anonymous(vma) && !vma->anon_vma)
			*flags &= ~VM_ACCOUNT;
		return 0;
	}
	if (!may_expand_vm(vma->vm_mm, *flags, pages) && may_expand_vm(vma->vm_mm, old, pages))
		return -ENOMEM;
	if (old & (VM_ACCOUNT | VM_WRITE | VM_SHARED | VM_NORESERVE) || vma->vm_flags & VM_PFNMAP)
		return 0;
	if (vm_enough_memory(vma->vm_mm, pages))
		return -ENOMEM;
	*charged = pages;
	*flags |= VM_ACCOUNT;
	return 0;
}

static int mprotect_fixup(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			  vm_flags_t new_flags)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned long pages = (end - start) >> PAGE_SHIFT, charged;
	vm_flags_t old = vma->vm_flags;

	if (new_flags == old)
		return 0;
	if (recharge(vma, pages, &new_flags, &charged))
		return -ENOMEM;
	vma = vma_modify_flags(vma, start, end, new_flags);
	if (IS_ERR(vma)) {
		vm_unacct_memory(charged);
		return (int)PTR_ERR(vma);
	}
	vma->vm_flags = new_flags;
	vma_set_page_prot(vma);
	change_protection(vma, start, end, vma->vm_page_prot);
	if (old & VM_ACCOUNT && !(new_flags & VM_ACCOUNT))
		vm_unacct_memory(pages);
	vm_stat_account(mm, old, -(long)pages);
	vm_stat_account(mm, new_flags, (long)pages);
	/* Locked pages must not fault: those that a write would copy are copied now. */
	if ((old & (VM_WRITE | VM_SHARED | VM_LOCKED)) == VM_LOCKED && new_flags & VM_WRITE)
		populate_vma_locked(vma, start, end);
	return 0;
}

/* mmap_lock held for writing. The range is [start, end), or from the bottom of a stack. */
static int mprotect_locked(struct mm_struct *mm, unsigned long start, unsigned long end,
			   unsigned long prot, bool growsdown)
{
	struct vm_area_struct *vma = find_vma_intersection(mm, start, end);

	if (!vma)
		return -ENOMEM;
	if (growsdown) {
		start = vma->vm_start;
		if (!(vma->vm_flags & VM_GROWSDOWN))
			return -EINVAL;
	}
	while (start < end) {
		vm_flags_t flags;
		unsigned long stop;
		int err;

		vma = vma_lookup(mm, start);
		if (!vma)
			return -ENOMEM;
		flags = (vma->vm_flags & ~VM_ACCESS_FLAGS) | (prot & VM_ACCESS_FLAGS);
		if (flags & VM_ACCESS_FLAGS & ~(flags >> 4)) /* VM_MAY* are 4 bits up */
			return -EACCES;
		stop = min(vma->vm_end, end);
		err = 0;
		if (vma->vm_ops && vma->vm_ops->mprotect)
			err = vma->vm_ops->mprotect(vma, start, stop, flags);
		if (!err)
			err = mprotect_fixup(vma, start, stop, flags);
		if (err)
			return err;
		start = stop;
	}
	return 0;
}

int do_mprotect(struct mm_struct *mm, unsigned long start, size_t len, unsigned long prot)
{
	const unsigned long grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP);
	u64 begin = trace_clock();
	unsigned long end;
	int err;

	prot &= ~grows;
	if (grows == (PROT_GROWSDOWN | PROT_GROWSUP) || !PAGE_ALIGNED(start))
		return -EINVAL;
	if (!len)
		return 0;
	len = PAGE_ALIGN(len);
	end = start + len;
	if (end <= start)
		return -ENOMEM;
	if (prot & ~(unsigned long)(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
		return -EINVAL;

	down_write(&mm->mmap_lock);
	if (grows & PROT_GROWSUP) /* no VMA does, on x86 */
		err = vma_lookup(mm, start) ? -EINVAL : -ENOMEM;
	else
		err = mprotect_locked(mm, start, end, prot, grows & PROT_GROWSDOWN);
	up_write(&mm->mmap_lock);
	if (!err)
		trace(TRACE_MPROTECT, start, len, begin);
	return err;
}
