/* SPDX-License-Identifier: MIT */
/*
 * numa.c - the system calls on NUMA policy: masks of nodes from and to programs, and the checks.
 *
 * Masks are of maxnode - 1 bits, whatever their manual says. Nodes above 63 are never there; bits
 * for them are taken, as long as they are below MPOL_MAX_NODES, and forgotten.
 */
#include "calls.h"

#include <quire/kernel.h>
#include <quire/mempolicy.h>
#include <quire/string.h>
#include <quire/uaccess.h>

#define MASK_WORDS (MPOL_MAX_NODES / 64)
/* Pages that move_pages() looks at in one go. */
#define MOVE_CHUNK 16ul

/* ---- Masks ---------------------------------------------------------------------------------- */

/* One word of a mask of `bits`; what lies behind its end is not read. */
static int get_mask_word(const u64 __user *umask, unsigned long word, unsigned long bits, u64 *out)
{
	unsigned long left = bits - word * 64;

	if (get_user(*out, umask + word))
		return -EFAULT;
	if (left < 64)
		*out &= (1ull << left) - 1;
	return 0;
}

/* The nodes of a program's mask. -EFAULT; -EINVAL: too long, or nodes that there cannot be. */
static int get_nodes(const u64 __user *umask, unsigned long maxnode, u64 *nodes)
{
	unsigned long bits = maxnode - 1;

	*nodes = 0;
	if (!bits || !umask)
		return 0;
	if (bits > PAGE_SIZE * 8)
		return -EINVAL;
	/* From the end, where nothing may be set. */
	for (unsigned long w = DIV_ROUND_UP(bits, 64); w--;) {
		u64 word;
		int err = get_mask_word(umask, w, bits, &word);

		if (err)
			return err;
		if (w >= MASK_WORDS && word)
			return -EINVAL;
		if (!w)
			*nodes = word;
	}
	return 0;
}

/* One word of nodes, and zeros for the rest of the caller's mask of maxnode - 1 bits. */
static long put_nodes(u64 __user *umask, unsigned long maxnode, u64 nodes)
{
	unsigned long bytes = ALIGN(maxnode - 1, 64) / 8;

	if (bytes > PAGE_SIZE)
		return -EINVAL;
	if (bytes > sizeof(nodes) && clear_user(umask + 1, bytes - sizeof(nodes)))
		return -EFAULT;
	return copy_to_user(umask, &nodes, min(bytes, sizeof(nodes))) ? -EFAULT : 0;
}

/* Takes the flags off a mode. -EINVAL: there is no such mode, or not with these. */
static int split_mode(u32 *mode, u32 *flags)
{
	*flags = *mode & MPOL_MODE_FLAGS;
	*mode &= ~MPOL_MODE_FLAGS;
	if (*mode >= MPOL_MAX || (*flags & MPOL_USER_NODEMASK_FLAGS) == MPOL_USER_NODEMASK_FLAGS)
		return -EINVAL;
	if (*flags & MPOL_F_NUMA_BALANCING && *mode != MPOL_BIND && *mode != MPOL_PREFERRED_MANY)
		return -EINVAL;
	return 0;
}

/* ---- Policies ------------------------------------------------------------------------------- */

long numa_set_mempolicy(struct task_struct *task, const unsigned long *args)
{
	u32 mode = (u32)args[0], flags;
	struct mempolicy pol;
	u64 nodes;
	int err = split_mode(&mode, &flags);

	if (!err)
		err = get_nodes(u64_to_user_ptr(args[1]), args[2], &nodes);
	if (!err)
		err = mpol_init(&pol, mode, flags, nodes);
	if (!err)
		task->mempolicy = pol;
	return err;
}

/* MPOL_F_NODE: the node of the page at addr, or the next one that the task's interleaving would take. */
static int policy_node(struct task_struct *task, unsigned long addr, bool of_addr)
{
	const struct mempolicy *pol = &task->mempolicy;
	struct page *page;

	if (of_addr) {
		page = get_user_page(task->mm, addr, false);
		if (IS_ERR(page))
			return (int)PTR_ERR(page);
		put_page(page);
		return 0;
	}
	if (pol->mode != MPOL_INTERLEAVE && pol->mode != MPOL_WEIGHTED_INTERLEAVE)
		return -EINVAL;
	return __builtin_ctzll(pol->nodes);
}

/* What get_mempolicy() tells: mode or node, and nodes. */
static long find_policy(struct task_struct *task, unsigned long addr, unsigned long flags,
			u32 *value, u64 *nodes)
{
	struct mempolicy pol = task->mempolicy;
	int node;

	if (flags & ~(unsigned long)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
		return -EINVAL;
	if (flags & MPOL_F_MEMS_ALLOWED) {
		*nodes = mems_allowed();
		*value = 0;
		return flags == MPOL_F_MEMS_ALLOWED ? 0 : -EINVAL;
	}
	if (flags & MPOL_F_ADDR) {
		int err = get_vma_policy(task->mm, addr, &pol);

		if (err)
			return err;
	} else if (addr) {
		return -EINVAL;
	}
	*nodes = mpol_shown_nodes(&pol);
	*value = pol.mode | pol.flags;
	if (!(flags & MPOL_F_NODE))
		return 0;
	node = policy_node(task, addr, flags & MPOL_F_ADDR);
	*value = (u32)node;
	return min(node, 0);
}

long numa_get_mempolicy(struct task_struct *task, const unsigned long *args)
{
	u32 value;
	u64 nodes;
	long err;

	if (args[1] && args[2] < 1)
		return -EINVAL;
	err = find_policy(task, args[3], args[4], &value, &nodes);
	if (err)
		return err;
	if (args[0] && put_user(value, user_ptr(u32, args[0])))
		return -EFAULT;
	return args[1] ? put_nodes(u64_to_user_ptr(args[1]), args[2], nodes) : 0;
}

/* Pages are where the policy wants them already, so MPOL_MF_MOVE and MPOL_MF_STRICT find nothing wrong. */
long numa_mbind(struct task_struct *task, const unsigned long *args)
{
	u32 mode = (u32)args[2], flags;
	struct mempolicy pol;
	u64 nodes;
	int err = split_mode(&mode, &flags);

	if (!err)
		err = get_nodes(u64_to_user_ptr(args[3]), args[4], &nodes);
	if (err)
		return err;
	if (args[5] & ~(unsigned long)MPOL_MF_VALID)
		return -EINVAL;
	if (args[5] & MPOL_MF_MOVE_ALL && !machine_capable(CAP_SYS_NICE))
		return -EPERM;
	/* Of no range no policy is wrong. */
	if (PAGE_ALIGNED(args[0]) && !PAGE_ALIGN(args[1]))
		return 0;
	err = mpol_init(&pol, mode, flags, nodes);
	if (err)
		return err;
	return do_mbind(task->mm, args[0], args[1], &pol);
}

long numa_set_home_node(struct task_struct *task, const unsigned long *args)
{
	if (!PAGE_ALIGNED(args[0]) || args[3] || args[2] >= 64 || !(mems_allowed() >> args[2] & 1))
		return -EINVAL;
	return do_set_mempolicy_home_node(task->mm, args[0], args[1], (int)args[2]);
}

/* ---- Pages ---------------------------------------------------------------------------------- */

/* The mm of a process that the caller may look into; pid 0: his own. ERR_PTR(-ESRCH, -EPERM, none). */
static struct mm_struct *find_mm(struct task_struct *task, pid_t pid, long none)
{
	struct mm_struct *mm;
	long err = ptrace_may_access(task, pid);

	if (err)
		return ERR_PTR(err);
	mm = get_task_mm(pid ? pid : task->pid);
	return mm ? mm : ERR_PTR(none);
}

/* Whether a page may go to a node. */
static int check_target(int node)
{
	if (node < 0 || node >= 64)
		return -ENODEV;
	return mems_allowed() >> node & 1 ? 0 : -ENODEV;
}

/* n <= MOVE_CHUNK pages: where they are. With unodes they are told to go where they are already. */
static long move_chunk(struct mm_struct *mm, const unsigned long __user *upages,
		       const s32 __user *unodes, s32 __user *ustatus, unsigned long n)
{
	unsigned long pages[MOVE_CHUNK];
	s32 nodes[MOVE_CHUNK], status[MOVE_CHUNK];
	unsigned long done = 0;
	long err = 0;

	if (copy_from_user(pages, upages, n * 8) ||
	    (unodes && copy_from_user(nodes, unodes, n * 4)))
		return -EFAULT;
	for (; done < n; done++) {
		err = unodes ? check_target(nodes[done]) : 0;
		if (err)
			break;
		status[done] = lookup_mapped_node(mm, pages[done]);
	}
	if (copy_to_user(ustatus, status, done * 4))
		return -EFAULT;
	return err;
}

long numa_move_pages(struct task_struct *task, const unsigned long *args)
{
	unsigned long left = args[1], at = 0;
	struct mm_struct *mm;
	long err = 0;

	if ((u32)args[5] & ~(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
		return -EINVAL;
	if ((u32)args[5] & MPOL_MF_MOVE_ALL && !machine_capable(CAP_SYS_NICE))
		return -EPERM;
	mm = find_mm(task, (pid_t)args[0], -EINVAL);
	if (IS_ERR(mm))
		return PTR_ERR(mm);
	while (left && !err) {
		unsigned long n = min(left, MOVE_CHUNK);

		err = move_chunk(mm, user_ptr(unsigned long, args[2]) + at,
				 args[3] ? user_ptr(s32, args[3]) + at : NULL,
				 user_ptr(s32, args[4]) + at, n);
		at += n;
		left -= n;
	}
	mmput(mm);
	return err;
}

long numa_migrate_pages(struct task_struct *task, const unsigned long *args)
{
	struct mm_struct *mm;
	u64 from, to;
	long err;

	err = get_nodes(u64_to_user_ptr(args[2]), args[1], &from);
	if (!err)
		err = get_nodes(u64_to_user_ptr(args[3]), args[1], &to);
	if (err)
		return err;
	mm = find_mm(task, (pid_t)args[0], -EINVAL);
	if (IS_ERR(mm))
		return PTR_ERR(mm);
	if (to & ~mems_allowed() && !machine_capable(CAP_SYS_NICE))
		err = -EPERM;
	else if (!(to & mems_allowed()))
		err = -EINVAL;
	mmput(mm);
	return err;
}
