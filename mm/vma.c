/* SPDX-License-Identifier: MIT */
/*
 * vma.c - VMAs as members of an address space: found, made, split, merged, taken away, counted.
 *
 * Invariants, under mmap_lock held for writing:
 *   - mm_rt holds every VMA exactly at [vm_start, vm_end); map_count is their number.
 *   - a VMA with a file is in the file's i_mmap, keyed by [vm_pgoff, vm_pgoff + pages). While it
 *     changes bounds mapping->lock is held all the time, so that truncation, which comes through
 *     i_mmap without our mmap_lock, never misses a page that is in the tables.
 *   - total_vm, data_vm, exec_vm and stack_vm are the sums of vma_pages() by vm_flags.
 *   - vm_committed_as has the pages of every VM_ACCOUNT VMA of every mm.
 *
 * Whatever may fail for want of memory comes before the first change: the VMA is allocated and the
 * tree's nodes are set aside, then nothing can fail. A merge that would need memory for its anon_vmas and
 * finds none is not made.
 *
 * Splits and merges of [start, end) within VMA V between P and N (capitals: the VMA that stays):
 *
 *	PPPPVVVVNNNN    left and right: P takes V and N
 *	PPPPVVVV        left:           P takes V, or V's lower part
 *	    VVVVNNNN    right:          N takes V, or V's upper part
 *	  vvVVVVvv      neither:        V is split at start and end
 */
#include <quire/err.h>
#include <quire/fs.h>
#include <quire/kernel.h>
#include <quire/machine.h>
#include <quire/mempolicy.h>
#include <quire/mm.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/string.h>
#include <quire/userfaultfd_k.h>

#include "vma.h"

int sysctl_max_map_count = 65530;

static struct kmem_cache *vm_area_cachep;
static struct kmem_cache *rt_node_cachep;

void vma_init(void)
{
	commit_init();
	vm_area_cachep = kmem_cache_create("vm_area_struct", sizeof(struct vm_area_struct), 0,
					   SLAB_PANIC, NULL);
	rt_node_cachep = kmem_cache_create("range_tree_node", sizeof(struct rt_node), 0,
					   SLAB_HWCACHE_ALIGN | SLAB_PANIC, NULL);
}

struct rt_node *rt_node_alloc(gfp_t gfp)
{
	return kmem_cache_alloc(rt_node_cachep, gfp ? gfp : GFP_KERNEL);
}

void rt_node_free(struct rt_node *node)
{
	kmem_cache_free(rt_node_cachep, node);
}

/* ---- Finding -------------------------------------------------------------------------------- */

struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr)
{
	return rt_next(&mm->mm_rt, addr, NULL, NULL);
}

struct vm_area_struct *vma_lookup(struct mm_struct *mm, unsigned long addr)
{
	return rt_find(&mm->mm_rt, addr);
}

struct vm_area_struct *find_vma_intersection(struct mm_struct *mm, unsigned long start,
					     unsigned long end)
{
	unsigned long vm_start;
	struct vm_area_struct *vma = rt_next(&mm->mm_rt, start, &vm_start, NULL);

	return vma && vm_start < end ? vma : NULL;
}

struct vm_area_struct *vma_next(struct vm_area_struct *vma)
{
	return rt_next(&vma->vm_mm->mm_rt, vma->vm_end, NULL, NULL);
}

struct vm_area_struct *vma_prev(struct vm_area_struct *vma)
{
	return rt_prev(&vma->vm_mm->mm_rt, vma->vm_start, NULL, NULL);
}

/* ---- Counting ------------------------------------------------------------------------------- */

static bool is_data_mapping(vm_flags_t flags)
{
	return (flags & (VM_WRITE | VM_SHARED | VM_STACK)) == VM_WRITE;
}

/* mmap_lock held for writing; /proc reads without it. */
static void account(unsigned long *counter, long npages)
{
	WRITE_ONCE(*counter, *counter + (unsigned long)npages);
}

void vm_stat_account(struct mm_struct *mm, vm_flags_t flags, long npages)
{
	account(&mm->total_vm, npages);
	if ((flags & (VM_EXEC | VM_WRITE | VM_STACK)) == VM_EXEC)
		account(&mm->exec_vm, npages);
	else if (flags & VM_STACK)
		account(&mm->stack_vm, npages);
	else if (is_data_mapping(flags))
		account(&mm->data_vm, npages);
}

bool may_expand_vm(struct mm_struct *mm, vm_flags_t flags, unsigned long npages)
{
	if (mm->total_vm + npages > mm->rlim_as >> PAGE_SHIFT)
		return false;
	if (!is_data_mapping(flags) || mm->data_vm + npages <= mm->rlim_data >> PAGE_SHIFT)
		return true;
	/* A limit of 0 meant the heap alone, before it meant all data: some set it for that. */
	return !mm->rlim_data && mm->data_vm + npages <= mm->rlim_data_max >> PAGE_SHIFT;
}

bool mlock_future_ok(struct mm_struct *mm, vm_flags_t flags, unsigned long bytes)
{
	if (!(flags & VM_LOCKED))
		return true;
	return (bytes >> PAGE_SHIFT) + mm->locked_vm <= mm->rlim_memlock >> PAGE_SHIFT ||
	       machine_capable(CAP_IPC_LOCK);
}

bool can_do_mlock(struct mm_struct *mm)
{
	return mm->rlim_memlock || machine_capable(CAP_IPC_LOCK);
}

/* ---- Making and linking --------------------------------------------------------------------- */

struct vm_area_struct *vm_area_alloc(struct mm_struct *mm)
{
	struct vm_area_struct *vma = kmem_cache_zalloc(vm_area_cachep, GFP_KERNEL);

	if (!vma)
		return NULL;
	vma->vm_mm = mm;
	INIT_LIST_HEAD(&vma->anon_vma_chain);
	return vma;
}

struct vm_area_struct *vm_area_dup(const struct vm_area_struct *orig)
{
	struct vm_area_struct *vma = kmem_cache_alloc(vm_area_cachep, GFP_KERNEL);

	if (!vma)
		return NULL;
	*vma = *orig;
	vma->anon_vma = NULL;
	INIT_LIST_HEAD(&vma->anon_vma_chain);
	mpol_get(vma->vm_policy);
	if (vma->vm_file)
		get_file(vma->vm_file);
	return vma;
}

void vm_area_free(struct vm_area_struct *vma)
{
	if (vma->vm_file)
		fput(vma->vm_file);
	mpol_put(vma->vm_policy);
	kmem_cache_free(vm_area_cachep, vma);
}

static struct address_space *i_mmap_lock(const struct vm_area_struct *vma)
{
	struct address_space *mapping;

	if (!vma->vm_file)
		return NULL;
	mapping = &vma->vm_file->f_inode->i_data;
	mutex_lock(&mapping->lock);
	return mapping;
}

static void i_mmap_unlock(struct address_space *mapping)
{
	if (mapping)
		mutex_unlock(&mapping->lock);
}

static void i_mmap_insert(struct address_space *mapping, struct vm_area_struct *vma)
{
	if (!mapping)
		return;
	vma->shared.start = vma->vm_pgoff;
	vma->shared.last = vma->vm_pgoff + vma_pages(vma) - 1;
	interval_tree_insert(&vma->shared, &mapping->i_mmap);
}

static void i_mmap_remove(struct address_space *mapping, struct vm_area_struct *vma)
{
	if (mapping)
		interval_tree_remove(&vma->shared, &mapping->i_mmap);
}

static void vma_insert(struct address_space *mapping, struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	BUG_ON(rt_insert(&mm->mm_rt, vma->vm_start, vma->vm_end, vma));
	mm->map_count++;
	i_mmap_insert(mapping, vma);
}

static void vma_erase(struct address_space *mapping, struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	i_mmap_remove(mapping, vma);
	BUG_ON(rt_erase(&mm->mm_rt, vma->vm_start) != vma);
	mm->hiwater_maps = max(mm->hiwater_maps, mm->map_count);
	mm->map_count--;
}

static void vma_resize(struct address_space *mapping, struct vm_area_struct *vma,
		       unsigned long start, unsigned long end)
{
	i_mmap_remove(mapping, vma);
	anon_vma_pre_update(vma);
	BUG_ON(rt_resize(&vma->vm_mm->mm_rt, vma->vm_start, start, end));
	if (start >= vma->vm_start)
		vma->vm_pgoff += (start - vma->vm_start) >> PAGE_SHIFT;
	else
		vma->vm_pgoff -= (vma->vm_start - start) >> PAGE_SHIFT;
	vma->vm_start = start;
	vma->vm_end = end;
	anon_vma_post_update(vma);
	i_mmap_insert(mapping, vma);
}

void vma_link(struct vm_area_struct *vma)
{
	struct address_space *mapping = i_mmap_lock(vma);

	vma_insert(mapping, vma);
	i_mmap_unlock(mapping);
}

void vma_set_bounds(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct address_space *mapping = i_mmap_lock(vma);

	vma_resize(mapping, vma, start, end);
	i_mmap_unlock(mapping);
}

/* ---- Splitting ------------------------------------------------------------------------------ */

int __split_vma(struct vm_area_struct *vma, unsigned long addr, bool new_below)
{
	struct mm_struct *mm = vma->vm_mm;
	struct address_space *mapping;
	struct vm_area_struct *new;
	int err;

	if (vma->vm_ops && vma->vm_ops->may_split) {
		err = vma->vm_ops->may_split(vma, addr);
		if (err)
			return err;
	}
	if (rt_preallocate(&mm->mm_rt, 1, GFP_KERNEL))
		return -ENOMEM;
	new = vm_area_dup(vma);
	if (!new)
		return -ENOMEM;

	if (new_below) {
		new->vm_end = addr;
	} else {
		new->vm_start = addr;
		new->vm_pgoff = linear_page_index(vma, addr);
	}
	if (anon_vma_clone(new, vma)) {
		vm_area_free(new);
		return -ENOMEM;
	}

	mapping = i_mmap_lock(vma);
	if (new_below)
		vma_resize(mapping, vma, addr, vma->vm_end);
	else
		vma_resize(mapping, vma, vma->vm_start, addr);
	vma_insert(mapping, new);
	i_mmap_unlock(mapping);
	if (new->vm_ops &&new->vm_ops->open)
		new->vm_ops->open(new);
	return 0;
}

int split_vma(struct vm_area_struct *vma, unsigned long addr, bool new_below)
{
	if (vma->vm_mm->map_count >= sysctl_max_map_count)
		return -ENOMEM;
	return __split_vma(vma, addr, new_below);
}

/* ---- Merging -------------------------------------------------------------------------------- */

static bool same_file(const struct file *a, const struct file *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->f_inode != b->f_inode || a->f_mode != b->f_mode || a->f_id != b->f_id)
		return false;
	return a->f_path == b->f_path || (a->f_path && b->f_path && !strcmp(a->f_path, b->f_path));
}

bool vma_same_file(const struct vm_area_struct *a, const struct vm_area_struct *b)
{
	return same_file(a->vm_file, b->vm_file);
}

bool anon_vma_compatible(const struct vm_area_struct *a, const struct vm_area_struct *b)
{
	return a->vm_end == b->vm_start && same_file(a->vm_file, b->vm_file) &&
	       mpol_equal(a->vm_policy, b->vm_policy) &&
	       !((a->vm_flags ^ b->vm_flags) & ~VM_ACCESS_FLAGS) &&
	       b->vm_pgoff == a->vm_pgoff + vma_pages(a);
}

static bool anon_vma_mergeable(const struct vma_merge *m, const struct vm_area_struct *vma)
{
	const struct anon_vma *anon_vma = m->anon_from ? m->anon_from->anon_vma : NULL;

	if (!vma->anon_vma && anon_vma)
		return !m->middle || !vma_has_parents(m->middle);
	if (vma->anon_vma && !anon_vma)
		return !vma_has_parents(vma);
	return vma->anon_vma == anon_vma;
}

static bool is_mergeable_vma(const struct vma_merge *m, const struct vm_area_struct *vma)
{
	return vma->vm_flags == m->vm_flags && vma->vm_ops == m->vm_ops &&
	       vma->vm_userfaultfd_ctx == m->uffd_ctx &&
	       vma->vm_private_data == m->vm_private_data && same_file(vma->vm_file, m->file) &&
	       mpol_equal(vma->vm_policy, m->policy) && anon_vma_mergeable(m, vma);
}

/* A VMA that wants to hear of its end cannot disappear silently. */
static bool can_merge_remove_vma(const struct vm_area_struct *vma)
{
	return !vma->vm_ops || !vma->vm_ops->close;
}

static bool can_vma_merge_left(const struct vma_merge *m)
{
	return m->prev && m->prev->vm_pgoff + vma_pages(m->prev) == m->pgoff &&
	       is_mergeable_vma(m, m->prev);
}

/* left: prev will take the range; then the three have to become one. */
static bool can_vma_merge_right(const struct vma_merge *m, bool left)
{
	if (!m->next || m->next->vm_pgoff != m->pgoff + ((m->end - m->start) >> PAGE_SHIFT) ||
	    !is_mergeable_vma(m, m->next))
		return false;
	if (!left)
		return true;
	return can_merge_remove_vma(m->next) &&
	       (!m->prev->anon_vma || !m->next->anon_vma || m->prev->anon_vma == m->next->anon_vma);
}

void vma_merge_init(struct vma_merge *m, struct mm_struct *mm, unsigned long start,
		    unsigned long end)
{
	unsigned long edge;

	memset(m, 0, sizeof(*m));
	m->mm = mm;
	m->start = start;
	m->end = end;
	m->prev = rt_prev(&mm->mm_rt, start, NULL, &edge);
	if (m->prev && edge != start)
		m->prev = NULL;
	m->next = rt_next(&mm->mm_rt, end, &edge, NULL);
	if (m->next && edge != end)
		m->next = NULL;
}

/* keep may get private pages of src, which is NULL or has the same anon_vma if keep has one. */
static int dup_anon_vma(struct vm_area_struct *keep, struct vm_area_struct *src)
{
	if (keep->anon_vma || !src)
		return 0;
	return anon_vma_clone(keep, src);
}

/* keep becomes [start, end); cut gives way to [cut_start, cut_end); the others vanish. */
static void vma_take(struct vm_area_struct *keep, unsigned long start, unsigned long end,
		     struct vm_area_struct *const gone[2], struct vm_area_struct *cut,
		     unsigned long cut_start, unsigned long cut_end)
{
	struct address_space *mapping = i_mmap_lock(keep);

	for (int i = 0; i < 2; i++)
		if (gone[i])
			vma_erase(mapping, gone[i]);
	if (cut)
		vma_resize(mapping, cut, cut_start, cut_end);
	vma_resize(mapping, keep, start, end);
	i_mmap_unlock(mapping);

	for (int i = 0; i < 2; i++) {
		if (!gone[i])
			continue;
		unlink_anon_vmas(gone[i]);
		vm_area_free(gone[i]);
	}
}

bool vma_can_merge_new(const struct vma_merge *m)
{
	if (m->vm_flags & VM_SPECIAL)
		return false;
	return can_vma_merge_left(m) || can_vma_merge_right(m, false);
}

struct vm_area_struct *vma_merge_new_range(struct vma_merge *m)
{
	struct vm_area_struct *gone[2] = { NULL, NULL };
	struct vm_area_struct *keep;
	bool left, right;

	if (m->vm_flags & VM_SPECIAL)
		return NULL;
	left = can_vma_merge_left(m);
	right = can_vma_merge_right(m, left);
	if (!left && !right)
		return NULL;

	keep = left ? m->prev : m->next;
	if (dup_anon_vma(keep, m->anon_from))
		return NULL;
	if (left && right && dup_anon_vma(keep, m->next))
		right = false;
	if (left && right)
		gone[0] = m->next;
	vma_take(keep, left ? keep->vm_start : m->start, right ? m->next->vm_end : m->end, gone,
		 NULL, 0, 0);
	return keep;
}

/* Part [start, end) of m->middle with its new flags joins a neighbour; NULL if none takes it. */
static struct vm_area_struct *vma_merge_existing_range(struct vma_merge *m)
{
	struct vm_area_struct *vma = m->middle, *gone[2] = { NULL, NULL }, *keep;
	bool whole = vma->vm_start == m->start && vma->vm_end == m->end;
	bool left, right;

	if ((m->vm_flags & VM_SPECIAL) || (whole && !can_merge_remove_vma(vma)))
		return NULL;
	left = can_vma_merge_left(m);
	right = can_vma_merge_right(m, left);
	if (!left && !right)
		return NULL;

	keep = left ? m->prev : m->next;
	if (dup_anon_vma(keep, vma))
		return NULL;
	if (left && right && dup_anon_vma(keep, m->next))
		right = false;
	if (whole) {
		gone[0] = vma;
		if (left && right)
			gone[1] = m->next;
		vma_take(keep, left ? keep->vm_start : m->start, right ? m->next->vm_end : m->end,
			 gone, NULL, 0, 0);
	} else if (left) {
		vma_take(keep, keep->vm_start, m->end, gone, vma, m->end, vma->vm_end);
	} else {
		vma_take(keep, m->start, keep->vm_end, gone, vma, vma->vm_start, m->start);
	}
	return keep;
}

void vma_merge_like(struct vma_merge *m, struct vm_area_struct *vma, pgoff_t pgoff)
{
	m->pgoff = pgoff;
	m->vm_flags = vma->vm_flags;
	m->file = vma->vm_file;
	m->vm_ops = vma->vm_ops;
	m->vm_private_data = vma->vm_private_data;
	m->policy = vma->vm_policy;
	m->uffd_ctx = vma->vm_userfaultfd_ctx;
	m->anon_from = vma;
}

/* *m is part of vma, and says what it is to become. */
static struct vm_area_struct *vma_modify(struct vma_merge *m, struct vm_area_struct *vma)
{
	struct vm_area_struct *merged = vma_merge_existing_range(m);
	int err;

	if (merged)
		return merged;
	if (vma->vm_start < m->start) {
		err = split_vma(vma, m->start, true);
		if (err)
			return ERR_PTR(err);
	}
	if (vma->vm_end > m->end) {
		err = split_vma(vma, m->end, false);
		if (err)
			return ERR_PTR(err);
	}
	return vma;
}

/* Part [start, end) of vma as it is. */
static void vma_merge_part(struct vma_merge *m, struct vm_area_struct *vma, unsigned long start,
			   unsigned long end)
{
	vma_merge_init(m, vma->vm_mm, start, end);
	vma_merge_like(m, vma, linear_page_index(vma, start));
	m->middle = vma;
}

struct vm_area_struct *vma_modify_flags(struct vm_area_struct *vma, unsigned long start,
					unsigned long end, vm_flags_t new_flags)
{
	struct vma_merge m;

	vma_merge_part(&m, vma, start, end);
	m.vm_flags = new_flags;
	return vma_modify(&m, vma);
}

struct vm_area_struct *vma_modify_flags_uffd(struct vm_area_struct *vma, unsigned long start,
					     unsigned long end, vm_flags_t new_flags,
					     struct userfaultfd_ctx *ctx)
{
	struct vma_merge m;

	vma_merge_part(&m, vma, start, end);
	m.vm_flags = new_flags;
	m.uffd_ctx = ctx;
	return vma_modify(&m, vma);
}

struct vm_area_struct *vma_modify_policy(struct vm_area_struct *vma, unsigned long start,
					 unsigned long end, struct mempolicy *policy)
{
	struct vma_merge m;

	vma_merge_part(&m, vma, start, end);
	m.policy = policy;
	return vma_modify(&m, vma);
}

/* ---- Taking away ---------------------------------------------------------------------------- */

int munmap_prepare(struct mm_struct *mm, unsigned long start, unsigned long end,
		   struct munmap_counts *counts)
{
	struct vm_area_struct *vma = find_vma_intersection(mm, start, end);
	int err;

	counts->nr_pages = counts->nr_accounted = 0;
	if (!vma)
		return 0;
	err = userfaultfd_unmap_prep(vma, start, end);
	if (err)
		return err;
	if (vma->vm_start < start) {
		/* A hole in the middle makes one VMA more in the end. */
		if (vma->vm_end > end && mm->map_count >= sysctl_max_map_count)
			return -ENOMEM;
		err = __split_vma(vma, start, true);
		if (err)
			return err;
	}
	for (; vma && vma->vm_start < end; vma = vma_next(vma)) {
		err = userfaultfd_unmap_prep(vma, start, end);
		if (err)
			return err;
		if (vma->vm_end > end) {
			err = __split_vma(vma, end, false);
			if (err)
				return err;
		}
		counts->nr_pages += vma_pages(vma);
		if (vma->vm_flags & VM_ACCOUNT)
			counts->nr_accounted += vma_pages(vma);
	}
	return 0;
}

static void remove_vma(struct vm_area_struct *vma)
{
	if (vma->vm_ops && vma->vm_ops->unmapped)
		vma->vm_ops->unmapped(vma);
	if (vma->vm_ops && vma->vm_ops->close)
		vma->vm_ops->close(vma);
	unlink_anon_vmas(vma);
	vm_area_free(vma);
}

/* The pages are unmapped: the VMA leaves tree, i_mmap and all counts. */
static void vma_detach(struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;
	struct address_space *mapping = i_mmap_lock(vma);

	vma_erase(mapping, vma);
	i_mmap_unlock(mapping);
	vm_stat_account(mm, vma->vm_flags, -(long)vma_pages(vma));
	if (vma->vm_flags & VM_LOCKED)
		mm->locked_vm -= vma_pages(vma);
	if (vma->vm_flags & VM_ACCOUNT)
		vm_unacct_memory(vma_pages(vma));
}

void munmap_complete(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma = find_vma_intersection(mm, start, end);
	unsigned long first, last = 0, floor = 0, ceiling = 0;

	if (!vma)
		return;
	update_hiwater_rss(mm);
	update_hiwater_vm(mm);
	first = vma->vm_start;
	unmap_vmas(mm, vma, start, end);
	while ((vma = find_vma_intersection(mm, start, end))) {
		last = vma->vm_end;
		vma_detach(vma);
		remove_vma(vma);
	}
	rt_prev(&mm->mm_rt, first, NULL, &floor);
	rt_next(&mm->mm_rt, last, &ceiling, NULL);
	free_pgd_range(mm, first, last, floor, ceiling);
}

int do_munmap_locked(struct mm_struct *mm, unsigned long start, size_t len)
{
	struct munmap_counts counts;
	unsigned long end;
	int err;

	if (!PAGE_ALIGNED(start) || start > mm->task_size || len > mm->task_size - start)
		return -EINVAL;
	end = start + PAGE_ALIGN(len);
	if (end == start)
		return -EINVAL;
	err = munmap_prepare(mm, start, end, &counts);
	if (err)
		return err;
	munmap_complete(mm, start, end);
	return 0;
}

void exit_mmap(struct mm_struct *mm)
{
	down_write(&mm->mmap_lock);
	munmap_complete(mm, 0, mm->task_size);
	rt_destroy(&mm->mm_rt);
	up_write(&mm->mmap_lock);
	exit_oom_victim(mm);
}
