/* SPDX-License-Identifier: MIT */
/*
 * madvise.c - advice on the use of memory.
 *
 *	vm_flags     RANDOM SEQUENTIAL NORMAL, (DONT|DO)FORK, (DONT|DO)DUMP, (WIPE|KEEP)ONFORK,
 *	             (NO)HUGEPAGE, (UN)MERGEABLE: VMAs are split and merged
 *	contents     DONTNEED drops the pages, REMOVE makes a hole in the object behind them;
 *	             after FREE they count as not written to, and stay for as long as there is memory
 *	presence     WILLNEED reads ahead, from files and from swap; POPULATE_READ and _WRITE fault in;
 *	             PAGEOUT sends private and shared memory to swap
 *	order        COLD: the pages are the next to go when memory is short
 *	refused      COLLAPSE: no VMA can have huge pages
 *
 * Advice is applied to every VMA of the range, also beyond holes, which are reported (-ENOMEM) at the
 * end; an error of a VMA ends the call. POPULATE_* alone stops at the first hole.
 */
#include <quire/err.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/trace.h>
#include <quire/userfaultfd_k.h>

#include "vma.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* WILLNEED reads at most this much at once. */
#define WILLNEED_MAX_PAGES 512UL

static bool madvise_behavior_valid(int behavior)
{
	return (behavior >= MADV_NORMAL && behavior <= MADV_DONTNEED) ||
	       (behavior >= MADV_FREE && behavior <= MADV_COLLAPSE);
}

/* Those that change vm_flags hold mmap_lock for writing. */
static bool madvise_need_write(int behavior)
{
	switch (behavior) {
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
	case MADV_FREE:
	case MADV_REMOVE:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_COLLAPSE:
		return false;
	default:
		return true;
	}
}

/* ---- vm_flags ------------------------------------------------------------------------------- */

/* The flags that vma gets; -EINVAL when the advice makes no sense for it. */
static int advised_flags(const struct vm_area_struct *vma, int behavior, vm_flags_t *flags)
{
	vm_flags_t f = vma->vm_flags;

	switch (behavior) {
	case MADV_NORMAL:
		f &= ~(VM_RAND_READ | VM_SEQ_READ);
		break;
	case MADV_SEQUENTIAL:
		f = (f & ~VM_RAND_READ) | VM_SEQ_READ;
		break;
	case MADV_RANDOM:
		f = (f & ~VM_SEQ_READ) | VM_RAND_READ;
		break;
	case MADV_DONTFORK:
		f |= VM_DONTCOPY;
		break;
	case MADV_DOFORK:
		if (f & VM_IO)
			return -EINVAL;
		f &= ~VM_DONTCOPY;
		break;
	case MADV_WIPEONFORK:
		if (vma->vm_file || f & VM_SHARED)
			return -EINVAL;
		f |= VM_WIPEONFORK;
		break;
	case MADV_KEEPONFORK:
		f &= ~VM_WIPEONFORK;
		break;
	case MADV_DONTDUMP:
		f |= VM_DONTDUMP;
		break;
	case MADV_DODUMP:
		if (f & VM_SPECIAL)
			return -EINVAL;
		f &= ~VM_DONTDUMP;
		break;
	case MADV_MERGEABLE:
		/* Nothing is merged, but the VMA says that it might be. */
		if (!(f & (VM_SHARED | VM_MAYSHARE | VM_SPECIAL)))
			f |= VM_MERGEABLE;
		break;
	case MADV_UNMERGEABLE:
		f &= ~VM_MERGEABLE;
		break;
	case MADV_HUGEPAGE:
		f = (f & ~VM_NOHUGEPAGE) | VM_HUGEPAGE;
		break;
	case MADV_NOHUGEPAGE:
		f = (f & ~VM_HUGEPAGE) | VM_NOHUGEPAGE;
		break;
	default:
		return -EINVAL;
	}
	*flags = f;
	return 0;
}

static int madvise_update_vma(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			      int behavior)
{
	vm_flags_t flags;
	int err = advised_flags(vma, behavior, &flags);

	if (err || flags == vma->vm_flags)
		return err;
	vma = vma_modify_flags(vma, start, end, flags);
	if (IS_ERR(vma))
		return PTR_ERR(vma) == -ENOMEM ? -EAGAIN : (int)PTR_ERR(vma);
	vma->vm_flags = flags;
	return 0;
}

/* ---- Contents and presence ------------------------------------------------------------------ */

static int madvise_willneed(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	unsigned long nr = (end - start) >> PAGE_SHIFT;
	struct inode *inode = vma->vm_file ? vma->vm_file->f_inode : NULL;
	pgoff_t index = linear_page_index(vma, start);

	/* That it could not be read is the affair of whoever touches it. */
	if (vma->anon_vma)
		swapin_range(vma, start, end);
	if (inode && inode->i_kind == INODE_SHMEM)
		swapin_mapping(&inode->i_data, index, index + nr - 1);
	else if (inode)
		filemap_read_ahead(&inode->i_data, index, min(nr, WILLNEED_MAX_PAGES));
	return 0;
}

static bool can_madv_dontneed_free(const struct vm_area_struct *vma, int behavior)
{
	vm_flags_t forbidden = VM_PFNMAP;

	if (behavior != MADV_DONTNEED_LOCKED)
		forbidden |= VM_LOCKED;
	return !(vma->vm_flags & forbidden) && (behavior != MADV_FREE || vma_is_anonymous(vma));
}

/*
 * A monitor of vma hears of it first, without mmap_lock. The VMA that is at start now, *end within it, or
 * ERR_PTR(-ENOMEM).
 */
static struct vm_area_struct *announce_remove(struct vm_area_struct *vma, unsigned long start,
					      unsigned long *end)
{
	struct mm_struct *mm = vma->vm_mm;

	if (likely(userfaultfd_remove(vma, start, *end)))
		return vma;
	down_read(&mm->mmap_lock);
	vma = vma_lookup(mm, start);
	if (!vma)
		return ERR_PTR(-ENOMEM);
	*end = min(*end, vma->vm_end);
	return vma;
}

static int madvise_dontneed_free(struct vm_area_struct *vma, unsigned long start,
				 unsigned long *end, int behavior)
{
	if (!can_madv_dontneed_free(vma, behavior))
		return -EINVAL;
	vma = announce_remove(vma, start, end);
	if (IS_ERR(vma))
		return (int)PTR_ERR(vma);
	if (!can_madv_dontneed_free(vma, behavior))
		return -EINVAL;
	if (behavior == MADV_FREE)
		clean_anon_range(vma, start, *end);
	else
		zap_page_range(vma, start, *end);
	return 0;
}

static int madvise_cold(const struct vm_area_struct *vma)
{
	return vma->vm_flags & (VM_LOCKED | VM_PFNMAP) ? -EINVAL : 0;
}

/*
 * A hole in a file, as programs see it: its pages read as zeros, written back like any other change.
 * mapping->lock held.
 */
static int zero_file_range(struct address_space *mapping, pgoff_t index, pgoff_t last)
{
	u64 size = (u64)mapping->host->i_size;

	for (; index <= last && index < (size + PAGE_SIZE - 1) >> PAGE_SHIFT; index++) {
		bool major;
		struct page *page = filemap_get_page(mapping, index, false, &major);

		if (IS_ERR(page))
			return (int)PTR_ERR(page);
		set_page_dirty(page);
		memset(page_address(page), 0, PAGE_SIZE);
		put_page(page);
	}
	return 0;
}

static int madvise_remove(struct vm_area_struct *vma, unsigned long start, unsigned long *end)
{
	pgoff_t first = linear_page_index(vma, start);
	pgoff_t last = linear_page_index(vma, *end - PAGE_SIZE);
	struct inode *inode;
	int err = 0;

	if (vma->vm_flags & VM_LOCKED || !vma->vm_file)
		return -EINVAL;
	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) != (VM_SHARED | VM_MAYWRITE))
		return -EACCES;
	inode = vma->vm_file->f_inode;
	if (last >= (pgoff_t)LONG_MAX >> PAGE_SHIFT)
		return -EFBIG;
	if (READ_ONCE(inode->i_sealed))
		return -EPERM;
	ihold(inode);
	vma = announce_remove(vma, start, end);
	mutex_lock(&inode->i_data.lock);
	if (inode->i_kind == INODE_SHMEM || inode->i_tmpfs)
		truncate_pagecache_range_locked(inode, first, last);
	if (inode->i_tmpfs)
		err = machine_block_punch(inode->i_blkdev, first, last);
	else if (inode->i_kind != INODE_SHMEM)
		err = zero_file_range(&inode->i_data, first, last);
	mutex_unlock(&inode->i_data.lock);
	iput(inode);
	return IS_ERR(vma) && !err ? (int)PTR_ERR(vma) : err;
}

/* Fault in; -ENOMEM at a hole, -EINVAL where the VMA forbids the access, -EFAULT: SIGBUS. */
static int madvise_populate(struct mm_struct *mm, unsigned long start, unsigned long end,
			    bool write)
{
	int err = 0;

	while (!err && start < end) {
		struct vm_area_struct *vma;
		unsigned long stop;

		down_read(&mm->mmap_lock);
		vma = vma_lookup(mm, start);
		if (!vma) {
			err = -ENOMEM;
		} else if (vma->vm_flags & (VM_IO | VM_PFNMAP) ||
			   !(vma->vm_flags & (write ? VM_WRITE : VM_READ))) {
			err = -EINVAL;
		} else {
			stop = min3(vma->vm_end, end, start + PMD_SIZE);
			err = populate_vma_page_range(vma, start, stop, write);
			start = stop;
		}
		up_read(&mm->mmap_lock);
	}
	return err;
}

/* ---- The call ------------------------------------------------------------------------------- */

/* *end comes nearer if the VMA has become smaller meanwhile. */
static int madvise_vma_behavior(struct vm_area_struct *vma, unsigned long start, unsigned long *end,
				int behavior)
{
	int err;

	switch (behavior) {
	case MADV_REMOVE:
		return madvise_remove(vma, start, end);
	case MADV_WILLNEED:
		return madvise_willneed(vma, start, *end);
	case MADV_COLD:
	case MADV_PAGEOUT:
		err = madvise_cold(vma);
		if (!err && behavior == MADV_COLD)
			cold_range(vma, start, *end);
		else if (!err)
			pageout_range(vma, start, *end);
		return err;
	case MADV_COLLAPSE: /* no VMA can have huge pages */
		return -EINVAL;
	case MADV_FREE:
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
		return madvise_dontneed_free(vma, start, end, behavior);
	default:
		return madvise_update_vma(vma, start, *end, behavior);
	}
}

/* mmap_lock held. */
static int madvise_walk_vmas(struct mm_struct *mm, unsigned long start, unsigned long end,
			     int behavior)
{
	int hole = 0;

	while (start < end) {
		struct vm_area_struct *vma = find_vma_intersection(mm, start, end);
		unsigned long stop;
		int err;

		if (!vma)
			return -ENOMEM;
		if (vma->vm_start > start) {
			hole = -ENOMEM;
			start = vma->vm_start;
		}
		stop = min(vma->vm_end, end);
		err = madvise_vma_behavior(vma, start, &stop, behavior);
		if (err)
			return err;
		start = stop;
	}
	return hole;
}

int do_madvise(struct mm_struct *mm, unsigned long start, size_t len, int behavior)
{
	unsigned long end = start + PAGE_ALIGN(len);
	u64 begin = trace_clock();
	int err;

	if (!madvise_behavior_valid(behavior) || !PAGE_ALIGNED(start) ||
	    (len && !PAGE_ALIGN(len)) || end < start)
		return -EINVAL;
	if (end == start)
		return 0;

	if (behavior == MADV_POPULATE_READ || behavior == MADV_POPULATE_WRITE) {
		err = madvise_populate(mm, start, end, behavior == MADV_POPULATE_WRITE);
	} else if (madvise_need_write(behavior)) {
		down_write(&mm->mmap_lock);
		err = madvise_walk_vmas(mm, start, end, behavior);
		up_write(&mm->mmap_lock);
	} else {
		down_read(&mm->mmap_lock);
		err = madvise_walk_vmas(mm, start, end, behavior);
		up_read(&mm->mmap_lock);
	}
	trace(TRACE_MADVISE, start, (u64)behavior, begin);
	return err;
}
