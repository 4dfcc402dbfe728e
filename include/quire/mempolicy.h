/* SPDX-License-Identifier: MIT */
/*
 * mempolicy.h - on which nodes memory is to lie: of a task by value, of VMAs shared and counted.
 *
 * Of the two masks `nodes` is where the policy leads to, and never empty but for MPOL_LOCAL; user_nodes
 * is what was asked for, which programs see again if they asked with any of MPOL_MODE_FLAGS.
 */
#ifndef QUIRE_MEMPOLICY_H
#define QUIRE_MEMPOLICY_H

#include <quire/mm_types.h>

enum {
	MPOL_DEFAULT, /* none: the task's, or where the task runs */
	MPOL_PREFERRED,
	MPOL_BIND,
	MPOL_INTERLEAVE,
	MPOL_LOCAL,
	MPOL_PREFERRED_MANY,
	MPOL_WEIGHTED_INTERLEAVE,
	MPOL_MAX,
};

/* Beside the mode. */
#define MPOL_F_STATIC_NODES 0x8000u
#define MPOL_F_RELATIVE_NODES 0x4000u
#define MPOL_F_NUMA_BALANCING 0x2000u
#define MPOL_MODE_FLAGS (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES | MPOL_F_NUMA_BALANCING)
#define MPOL_USER_NODEMASK_FLAGS (MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES)

/* Of get_mempolicy(). */
#define MPOL_F_NODE 1u
#define MPOL_F_ADDR 2u
#define MPOL_F_MEMS_ALLOWED 4u

/* Of mbind() and move_pages(). */
#define MPOL_MF_STRICT 1u
#define MPOL_MF_MOVE 2u
#define MPOL_MF_MOVE_ALL 4u
#define MPOL_MF_VALID (MPOL_MF_STRICT | MPOL_MF_MOVE | MPOL_MF_MOVE_ALL)

#define MPOL_MAX_NODES 1024 /* bits of a mask that programs may pass */
#define NUMA_NO_NODE (-1)

struct mempolicy {
	atomic_t refcnt; /* VMAs that have it */
	u16 mode;
	u16 flags; /* MPOL_MODE_FLAGS */
	s32 home_node; /* or NUMA_NO_NODE */
	u64 nodes;
	u64 user_nodes;
};

/* The nodes that memory may come from. */
u64 mems_allowed(void);
/*
 * The policy of these arguments: mode below MPOL_MAX, flags that go with it, the nodes a program named.
 * -EINVAL: they do not fit, or lead nowhere.
 */
int mpol_init(struct mempolicy *pol, unsigned int mode, unsigned int flags, u64 nodes);
/* What get_mempolicy() shows. */
u64 mpol_shown_nodes(const struct mempolicy *pol);

/* NULL is the default, and equals it alone. */
bool mpol_equal(const struct mempolicy *a, const struct mempolicy *b);
static inline struct mempolicy *mpol_get(struct mempolicy *pol)
{
	if (pol)
		atomic_inc(&pol->refcnt);
	return pol;
}
void mpol_put(struct mempolicy *pol);

/*
 * mbind(2): [start, start + len) of mm gets a copy of pol, or with mode MPOL_DEFAULT none. Takes mmap_lock.
 * -EINVAL, -EFAULT: a hole, -ENOMEM.
 */
int do_mbind(struct mm_struct *mm, unsigned long start, size_t len, const struct mempolicy *pol);
/* set_mempolicy_home_node(2). -ENOENT: no policy there. */
int do_set_mempolicy_home_node(struct mm_struct *mm, unsigned long start, size_t len, int node);
/* A copy of the policy of the VMA at addr. -EFAULT. */
int get_vma_policy(struct mm_struct *mm, unsigned long addr, struct mempolicy *pol);
/* The node of the page mapped at addr: -ENOENT: none is, -EFAULT: nothing of a node's can be. */
int lookup_mapped_node(struct mm_struct *mm, unsigned long addr);

#endif
