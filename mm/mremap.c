/* SPDX-License-Identifier: MIT */
/*
 * mremap.c - grow, shrink and move mappings.
 *
 *	in place         shrink: the tail is unmapped      grow: into the hole behind the VMA
 *	to a new place   a VMA is made there (or a neighbour there grows), the page table entries go
 *	                 over, the old range is unmapped - or stays, empty (MREMAP_DONTUNMAP)
 *	old length 0     a second VMA of the same shared object
 *
 * A move of unchanged length to a fixed place may take several VMAs, with the holes between them.
 *
 * A moved VMA keeps its vm_pgoff once it has private pages, and is renumbered by its new address as
 * long as it has none; so what merges with it afterwards is what would on Linux.
 */
#include <quire/err.h>
#include <quire/fs.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/trace.h>
#include <quire/userfaultfd_k.h>

#include "vma.h"

struct vma_remap {
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	unsigned long addr, old_len, new_len, new_addr;
	unsigned long flags;
	bool populate; /* the grown part is locked memory */
};

static bool implies_new_addr(const struct vma_remap *r)
{
	return r->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);
}

static bool ranges_overlap(const struct vma_remap *r)
{
	return r->addr + r->old_len > r->new_addr && r->new_addr + r->new_len > r->addr;
}

/* What can be said without a look at the VMAs. */
static int check_mremap_params(const struct vma_remap *r)
{
	const unsigned long task_size = r->mm->task_size;

	if (r->flags & ~(unsigned long)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) ||
	    !PAGE_ALIGNED(r->addr) || !r->new_len || r->new_len > task_size)
		return -EINVAL;
	if (!implies_new_addr(r))
		return 0;
	if (r->new_addr > task_size - r->new_len || !PAGE_ALIGNED(r->new_addr) ||
	    !(r->flags & MREMAP_MAYMOVE) ||
	    (r->flags & MREMAP_DONTUNMAP && r->old_len != r->new_len) || ranges_overlap(r))
		return -EINVAL;
	return 0;
}

/* May this VMA be grown to the new length? */
static int check_expand(const struct vma_remap *r)
{
	const struct vm_area_struct *vma = r->vma;
	unsigned long delta = r->new_len - r->old_len;
	pgoff_t pgoff = linear_page_index(vma, r->addr);

	if (pgoff + (r->new_len >> PAGE_SHIFT) < pgoff)
		return -EINVAL;
	if (vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP))
		return -EFAULT;
	if (!mlock_future_ok(r->mm, vma->vm_flags, delta))
		return -EAGAIN;
	return may_expand_vm(r->mm, vma->vm_flags, delta >> PAGE_SHIFT) ? 0 : -ENOMEM;
}

/* May this be done to the VMA at addr? */
static int check_prep_vma(const struct vma_remap *r)
{
	const struct vm_area_struct *vma = r->vma;

	if (!vma)
		return -EFAULT;
	if (!r->old_len && !(vma->vm_flags & (VM_SHARED | VM_MAYSHARE)))
		return -EINVAL;
	if (r->flags & MREMAP_DONTUNMAP && vma->vm_flags & (VM_DONTEXPAND | VM_PFNMAP))
		return -EINVAL;
	/* Nothing but unmapping: that may reach over several VMAs. */
	if (r->new_len <= r->old_len && !implies_new_addr(r))
		return 0;
	if (min(r->old_len, r->new_len) > vma->vm_end - r->addr)
		return -EFAULT;
	return r->new_len > r->old_len ? check_expand(r) : 0;
}

/* ---- Moving --------------------------------------------------------------------------------- */

/* Unmap [start, start + len); the VMA at r->addr may be another one after it. */
static int unmap_and_reload(struct vma_remap *r, unsigned long start, unsigned long len)
{
	int err = do_munmap_locked(r->mm, start, len);

	r->vma = vma_lookup(r->mm, r->addr);
	if (!err && !r->vma) /* of old length 0, it lay in what was unmapped */
		err = -EFAULT;
	return err;
}

/* A VMA as r->vma, linked at the new place, or a neighbour there grown; NULL: no memory. */
static struct vm_area_struct *copy_vma(struct vma_remap *r)
{
	struct vm_area_struct *vma = r->vma, *new;
	struct vma_merge m;

	vma_merge_init(&m, r->mm, r->new_addr, r->new_addr + r->new_len);
	vma_merge_like(&m, vma, linear_page_index(vma, r->addr));
	if (vma_is_anonymous(vma) && !vma->anon_vma)
		m.pgoff = r->new_addr >> PAGE_SHIFT;
	new = vma_merge_new_range(&m);
	if (new) {
		/* The one that moves may itself have been merged away. */
		r->vma = vma_lookup(r->mm, r->addr);
		return new;
	}

	if (rt_preallocate(&r->mm->mm_rt, 1, GFP_KERNEL))
		return NULL;
	new = vm_area_dup(vma);
	if (!new)
		return NULL;
	new->vm_start = m.start;
	new->vm_end = m.end;
	new->vm_pgoff = m.pgoff;
	if (anon_vma_clone(new, vma)) {
		vm_area_free(new);
		return NULL;
	}
	vma_link(new);
	if (new->vm_ops &&new->vm_ops->open)
		new->vm_ops->open(new);
	return new;
}

static int may_split(struct vm_area_struct *vma, unsigned long addr)
{
	if (addr == vma->vm_start || addr == vma->vm_end || !vma->vm_ops || !vma->vm_ops->may_split)
		return 0;
	return vma->vm_ops->may_split(vma, addr);
}

/* What has to be granted before anything changes. The charge is for the whole new range. */
static int prep_move_vma(struct vma_remap *r)
{
	unsigned long pages = r->new_len >> PAGE_SHIFT;
	unsigned long freed = r->flags & MREMAP_DONTUNMAP ? 0 : r->old_len >> PAGE_SHIFT;
	int err;

	if (r->mm->map_count >= sysctl_max_map_count - 3)
		return -ENOMEM;
	err = may_split(r->vma, r->addr);
	if (!err)
		err = may_split(r->vma, r->addr + r->old_len);
	if (err || !(r->vma->vm_flags & VM_ACCOUNT))
		return err;
	if (vm_enough_memory(r->mm, pages - min(freed, pages)))
		return -ENOMEM;
	vm_acct_memory(min(freed, pages));
	return 0;
}

/* The entries of the old range go to new_vma; all or, with an error, none. */
static int move_entries(struct vma_remap *r, struct vm_area_struct *new_vma)
{
	unsigned long moved = move_page_tables(r->vma, r->addr, new_vma, r->new_addr, r->old_len);
	int err = moved < r->old_len ? -ENOMEM : 0;

	if (!err && new_vma->vm_ops && new_vma->vm_ops->mremap)
		err = new_vma->vm_ops->mremap(new_vma, r->addr);
	if (err)
		move_page_tables(new_vma, r->new_addr, r->vma, r->addr, moved);
	return err;
}

/* The old range stays, without pages. */
static void dontunmap_complete(struct vma_remap *r, const struct vm_area_struct *new_vma)
{
	struct vm_area_struct *vma = r->vma;

	if (vma->vm_flags & VM_LOCKED)
		r->mm->locked_vm -= vma_pages(vma);
	vma->vm_flags &= ~VM_LOCKED_MASK;
	if (new_vma != vma && vma->vm_start == r->addr && vma->vm_end == r->addr + r->old_len)
		unlink_anon_vmas(vma);
}

static unsigned long move_vma(struct vma_remap *r)
{
	unsigned long pages = r->new_len >> PAGE_SHIFT;
	struct mm_struct *mm = r->mm;
	struct vm_area_struct *new_vma;
	vm_flags_t flags = r->vma->vm_flags;
	int err = prep_move_vma(r);

	if (err)
		return (unsigned long)err;
	new_vma = copy_vma(r);
	if (!new_vma) {
		if (flags & VM_ACCOUNT)
			vm_unacct_memory(pages);
		return (unsigned long)-ENOMEM;
	}
	update_hiwater_vm(mm);
	vm_stat_account(mm, flags, (long)pages);
	if (flags & VM_LOCKED)
		mm->locked_vm += pages;
	err = move_entries(r, new_vma);
	if (err) {
		do_munmap_locked(mm, r->new_addr, r->new_len);
		return (unsigned long)err;
	}
	mremap_userfaultfd(new_vma, r->addr, r->new_addr, r->old_len);
	r->populate = flags & VM_LOCKED && r->new_len > r->old_len;
	if (r->flags & MREMAP_DONTUNMAP)
		dontunmap_complete(r, new_vma);
	else if (
		r->old_len) /* without memory to split it the old range stays, empty, as on Linux */
		do_munmap_locked(mm, r->addr, r->old_len);
	return r->new_addr;
}

static int set_new_addr(struct vma_remap *r, unsigned long hint)
{
	unsigned long flags = r->vma->vm_flags & VM_MAYSHARE ? MAP_SHARED : 0;

	if (r->flags & MREMAP_FIXED)
		flags |= MAP_FIXED;
	r->new_addr = __get_unmapped_area(r->mm, r->vma->vm_file, hint, r->new_len, flags);
	return IS_ERR_VALUE(r->new_addr) ? (int)r->new_addr : 0;
}

/* To the place that the caller names, or (MREMAP_DONTUNMAP alone) hints at. */
static unsigned long mremap_to(struct vma_remap *r)
{
	int err = 0;

	if (r->mm->map_count + 2 >= sysctl_max_map_count - 3)
		return (unsigned long)-ENOMEM;
	if (r->flags & MREMAP_FIXED)
		err = unmap_and_reload(r, r->new_addr, r->new_len);
	if (!err && r->old_len > r->new_len) {
		err = unmap_and_reload(r, r->addr + r->new_len, r->old_len - r->new_len);
		r->old_len = r->new_len;
	}
	if (!err && r->flags & MREMAP_DONTUNMAP &&
	    !may_expand_vm(r->mm, r->vma->vm_flags, r->old_len >> PAGE_SHIFT))
		err = -ENOMEM;
	if (!err)
		err = set_new_addr(r, r->new_addr);
	return err ? (unsigned long)err : move_vma(r);
}

/*
 * /dev/zero and System V segments, as on Linux, have a say in where they are mapped: a move of several VMAs
 * might not get the places it asks for.
 */
static bool vma_multi_allowed(const struct vm_area_struct *vma)
{
	const struct inode *inode = vma->vm_file ? vma->vm_file->f_inode : NULL;

	return !inode || (inode->i_kind != INODE_ZERO && !inode->i_vm_ops);
}

/* Several VMAs, each of its own, at the distances they have now. */
static unsigned long remap_move(struct vma_remap *r)
{
	unsigned long start = r->addr, end = r->addr + r->old_len, cursor = start;
	const unsigned long new_start = r->new_addr;
	unsigned long ret = (unsigned long)-EFAULT, first = 0;

	while (cursor < end) {
		r->vma = find_vma_intersection(r->mm, cursor, end);
		if (!r->vma)
			break;
		r->addr = max(r->vma->vm_start, cursor);
		if (cursor == start && r->addr != start)
			return (unsigned long)-EFAULT;
		if (!vma_multi_allowed(r->vma) && (first || r->vma->vm_end < end))
			return (unsigned long)-EFAULT;
		r->old_len = r->new_len = min(end, r->vma->vm_end) - r->addr;
		r->new_addr = new_start + (r->addr - start);
		cursor = r->addr + r->new_len;
		ret = (unsigned long)check_prep_vma(r);
		if (!ret)
			ret = mremap_to(r);
		if (IS_ERR_VALUE(ret))
			return ret;
		if (r->addr == start)
			first = ret;
	}
	return first ? first : ret;
}

/* ---- In place ------------------------------------------------------------------------------- */

static bool vma_expandable(const struct vma_remap *r)
{
	const struct vm_area_struct *vma = r->vma;
	unsigned long end = vma->vm_end + (r->new_len - r->old_len);

	return r->addr + r->old_len == vma->vm_end && end > vma->vm_end &&
	       end <= r->mm->task_size && !in_mmap_hole(vma->vm_end, end) &&
	       !find_vma_intersection(r->mm, vma->vm_end, end);
}

static unsigned long expand_in_place(struct vma_remap *r)
{
	unsigned long delta = r->new_len - r->old_len, pages = delta >> PAGE_SHIFT;
	struct vm_area_struct *vma = r->vma;
	vm_flags_t flags = vma->vm_flags;
	struct vma_merge m;

	if (flags & VM_ACCOUNT && vm_enough_memory(r->mm, pages))
		return (unsigned long)-ENOMEM;
	vma_merge_init(&m, r->mm, vma->vm_end, vma->vm_end + delta);
	vma_merge_like(&m, vma, vma->vm_pgoff + vma_pages(vma));
	if (!vma_merge_new_range(&m)) {
		if (flags & VM_ACCOUNT)
			vm_unacct_memory(pages);
		return (unsigned long)-ENOMEM;
	}
	vm_stat_account(r->mm, flags, (long)pages);
	if (flags & VM_LOCKED) {
		r->mm->locked_vm += pages;
		r->populate = true;
	}
	return r->addr;
}

static unsigned long mremap_at(struct vma_remap *r)
{
	int err = 0;

	if (r->old_len == r->new_len)
		return r->addr;
	if (r->old_len > r->new_len) {
		err = do_munmap_locked(r->mm, r->addr + r->new_len, r->old_len - r->new_len);
		return err ? (unsigned long)err : r->addr;
	}
	if (vma_expandable(r))
		return expand_in_place(r);
	if (!(r->flags & MREMAP_MAYMOVE))
		return (unsigned long)-ENOMEM;
	err = set_new_addr(r, 0);
	return err ? (unsigned long)err : move_vma(r);
}

static unsigned long mremap_locked(struct vma_remap *r)
{
	int err;

	if (r->flags & MREMAP_FIXED && r->old_len == r->new_len)
		return remap_move(r);
	r->vma = vma_lookup(r->mm, r->addr);
	err = check_prep_vma(r);
	if (err)
		return (unsigned long)err;
	return implies_new_addr(r) ? mremap_to(r) : mremap_at(r);
}

unsigned long do_mremap(struct mm_struct *mm, unsigned long addr, unsigned long old_len,
			unsigned long new_len, unsigned long flags, unsigned long new_addr)
{
	struct vma_remap r = {
		.mm = mm,
		.addr = addr,
		.old_len = PAGE_ALIGN(old_len),
		.new_len = PAGE_ALIGN(new_len),
		.new_addr = new_addr,
		.flags = flags,
	};
	u64 start = trace_clock();
	LIST_HEAD(events);
	unsigned long ret;
	int err = check_mremap_params(&r);

	if (err)
		return (unsigned long)err;
	down_write(&mm->mmap_lock);
	ret = mremap_locked(&r);
	userfaultfd_take_events(mm, &events);
	up_write(&mm->mmap_lock);
	userfaultfd_post_events(&events);
	if (IS_ERR_VALUE(ret))
		return ret;
	if (r.populate)
		mm_populate(mm, ret + r.old_len, r.new_len - r.old_len);
	trace(TRACE_MREMAP, ret, PAGE_ALIGN(new_len), start);
	return ret;
}
