/* SPDX-License-Identifier: MIT */
/*
 * mempolicy.c - NUMA policies of VMAs.
 *
 * A policy is made once and never changed; VMAs share it and count their references. Two VMAs merge only
 * if their policies are equal. A range that gets another policy is cut and merged as for other flags.
 *
 * What a program asks for is folded into the nodes there are: MPOL_F_RELATIVE_NODES counts them round and
 * round, everything else is cut to them. On a machine of one node all policies place memory alike.
 */
#include <quire/mempolicy.h>

#include <quire/err.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/slab.h>
#include <quire/string.h>

#include "vma.h"

u64 mems_allowed(void)
{
	return 1; /* of one node */
}

static int page_node(const struct page *page)
{
	return (int)(page->flags >> 56);
}

/* ---- Policies ------------------------------------------------------------------------------- */

static unsigned int nr_nodes_in(u64 nodes)
{
	unsigned int n = 0;

	for (; nodes; nodes &= nodes - 1)
		n++;
	return n;
}

/* The n-th of nodes. */
static u64 nth_node(u64 nodes, unsigned int n)
{
	while (n--)
		nodes &= nodes - 1;
	return nodes & -nodes;
}

/* Bit k of relative stands for the k-th of the nodes there are, counted round and round. */
static u64 relative_nodes(u64 relative, u64 allowed)
{
	unsigned int weight = nr_nodes_in(allowed);
	u64 nodes = 0;

	for (unsigned int k = 0; k < 64; k++)
		if (relative >> k & 1)
			nodes |= nth_node(allowed, k % weight);
	return nodes;
}

int mpol_init(struct mempolicy *pol, unsigned int mode, unsigned int flags, u64 nodes)
{
	bool user = flags & MPOL_USER_NODEMASK_FLAGS;

	memset(pol, 0, sizeof(*pol));
	pol->home_node = NUMA_NO_NODE;
	if (mode == MPOL_DEFAULT)
		return nodes ? -EINVAL : 0;
	if (mode == MPOL_PREFERRED && !nodes && !user)
		mode = MPOL_LOCAL;
	if (mode == MPOL_LOCAL ? nodes || user : !nodes)
		return -EINVAL;
	pol->mode = (u16)mode;
	pol->flags = (u16)flags;
	pol->user_nodes = nodes;
	if (mode == MPOL_LOCAL)
		return 0;
	if (flags & MPOL_F_RELATIVE_NODES)
		pol->nodes = relative_nodes(nodes, mems_allowed());
	else
		pol->nodes = nodes & mems_allowed();
	if (mode == MPOL_PREFERRED)
		pol->nodes &= -pol->nodes;
	return pol->nodes ? 0 : -EINVAL;
}

u64 mpol_shown_nodes(const struct mempolicy *pol)
{
	return pol->flags ? pol->user_nodes : pol->nodes;
}

bool mpol_equal(const struct mempolicy *a, const struct mempolicy *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->mode != b->mode || a->flags != b->flags || a->home_node != b->home_node)
		return false;
	return mpol_shown_nodes(a) == mpol_shown_nodes(b) && a->nodes == b->nodes;
}

void mpol_put(struct mempolicy *pol)
{
	if (pol && atomic_dec_and_test(&pol->refcnt))
		kfree(pol);
}

/* A counted copy, with one reference; NULL for the default policy. ERR_PTR(-ENOMEM). */
static struct mempolicy *mpol_dup(const struct mempolicy *pol)
{
	struct mempolicy *new;

	if (pol->mode == MPOL_DEFAULT)
		return NULL;
	new = kmalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return ERR_PTR(-ENOMEM);
	*new = *pol;
	atomic_set(&new->refcnt, 1);
	return new;
}

/* ---- Ranges --------------------------------------------------------------------------------- */

/* mmap_lock held for writing. Part [start, end) of vma gets pol. */
static int mbind_range(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		       struct mempolicy *pol)
{
	struct mempolicy *old;

	if (mpol_equal(vma->vm_policy, pol))
		return 0;
	vma = vma_modify_policy(vma, start, end, pol);
	if (IS_ERR(vma))
		return (int)PTR_ERR(vma);
	old = vma->vm_policy;
	vma->vm_policy = mpol_get(pol);
	mpol_put(old);
	return 0;
}

/* Whether mbind() may go over [start, end): something is there, and without holes if it must be. */
static bool range_is_mapped(struct mm_struct *mm, unsigned long start, unsigned long end,
			    bool holes)
{
	struct vm_area_struct *vma = find_vma_intersection(mm, start, end);

	if (!vma || holes)
		return vma;
	while (vma && vma->vm_start <= start && vma->vm_end < end) {
		start = vma->vm_end;
		vma = vma_next(vma);
	}
	return vma && vma->vm_start <= start;
}

/* end of a range of bytes as the calls here see it. -EINVAL. */
static int policy_range(unsigned long start, size_t len, unsigned long *end)
{
	if (!PAGE_ALIGNED(start))
		return -EINVAL;
	*end = start + PAGE_ALIGN(len);
	return *end < start ? -EINVAL : 0;
}

int do_mbind(struct mm_struct *mm, unsigned long start, size_t len, const struct mempolicy *pol)
{
	struct mempolicy *new;
	unsigned long end;
	int err = policy_range(start, len, &end);

	if (err || start == end)
		return err;
	new = mpol_dup(pol);
	if (IS_ERR(new))
		return (int)PTR_ERR(new);
	down_write(&mm->mmap_lock);
	if (!range_is_mapped(mm, start, end, !new))
		err = -EFAULT;
	while (!err && start < end) {
		struct vm_area_struct *vma = find_vma_intersection(mm, start, end);
		unsigned long stop;

		if (!vma)
			break;
		stop = min(vma->vm_end, end);
		err = mbind_range(vma, max(vma->vm_start, start), stop, new);
		start = stop;
	}
	up_write(&mm->mmap_lock);
	mpol_put(new);
	return err;
}

/* mmap_lock held for writing. */
static int set_home_node(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			 int node)
{
	struct mempolicy pol = *vma->vm_policy, *new;
	int err;

	if (pol.mode != MPOL_BIND && pol.mode != MPOL_PREFERRED_MANY)
		return -EOPNOTSUPP;
	pol.home_node = node;
	new = mpol_dup(&pol);
	if (IS_ERR(new))
		return (int)PTR_ERR(new);
	err = mbind_range(vma, start, end, new);
	mpol_put(new);
	return err;
}

int do_set_mempolicy_home_node(struct mm_struct *mm, unsigned long start, size_t len, int node)
{
	bool found = false;
	unsigned long end;
	int err = policy_range(start, len, &end);

	if (err || start == end)
		return err;
	down_write(&mm->mmap_lock);
	while (!err && start < end) {
		struct vm_area_struct *vma = find_vma_intersection(mm, start, end);
		unsigned long stop;

		if (!vma)
			break;
		stop = min(vma->vm_end, end);
		if (vma->vm_policy) {
			found = true;
			err = set_home_node(vma, max(vma->vm_start, start), stop, node);
		}
		start = stop;
	}
	up_write(&mm->mmap_lock);
	return err || found ? err : -ENOENT;
}

/* ---- Questions ------------------------------------------------------------------------------ */

int get_vma_policy(struct mm_struct *mm, unsigned long addr, struct mempolicy *pol)
{
	struct vm_area_struct *vma;

	memset(pol, 0, sizeof(*pol));
	down_read(&mm->mmap_lock);
	vma = vma_lookup(mm, addr);
	if (vma && vma->vm_policy)
		*pol = *vma->vm_policy;
	up_read(&mm->mmap_lock);
	return vma ? 0 : -EFAULT;
}

int lookup_mapped_node(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;
	int node = -ENOENT;
	pte_t *ptep, pte;

	down_read(&mm->mmap_lock);
	vma = vma_lookup(mm, addr);
	if (!vma || vma->vm_flags & VM_PFNMAP) {
		up_read(&mm->mmap_lock);
		return -EFAULT;
	}
	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, addr & PAGE_MASK);
	pte = ptep ? ptep_get(ptep) : (pte_t){ 0 };
	if (ptep && pte_present(pte))
		node = is_zero_pfn(pte_pfn(pte)) ? -EFAULT : page_node(pfn_to_page(pte_pfn(pte)));
	spin_unlock(&mm->page_table_lock);
	up_read(&mm->mmap_lock);
	return node;
}
