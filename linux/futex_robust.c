/* SPDX-License-Identifier: MIT */
/*
 * Robust futexes: what a thread leaves locked is marked, and one waiter told, when it dies.
 *
 *   robust_list_head (user memory, three words)
 *     list.next -------> entry -> entry -> ... -> back to the head
 *     futex_offset       the futex word of an entry is at entry + futex_offset
 *     list_op_pending    an entry just being locked or unlocked, in the list or not, or 0
 *
 * Bit 0 of a pointer says that the lock is a PI futex. The list is the program's own and may be
 * anything: a pointer that leads nowhere ends the walk, and so does the 2048th entry.
 */
#include "futex.h"

#include <quire/kernel.h>
#include <quire/uaccess.h>

#define ROBUST_LIST_LIMIT 2048

/* Marks the futex at uaddr if the thread has it. pending: it may already have let it go. */
static int handle_futex_death(struct task_struct *task, unsigned long uaddr, bool pi, bool pending)
{
	struct mm_struct *mm = task->mm;
	u32 uval, seen;

	if (uaddr % sizeof(u32) || get_user(seen, user_ptr(u32, uaddr)))
		return -EFAULT;
	do {
		pid_t owner = seen & FUTEX_TID_MASK;

		uval = seen;
		/* Released, and died before the wake that belongs to it. */
		if (pending && !pi && !owner) {
			futex_wake(mm, uaddr, true, 1, FUTEX_BITSET_MATCH_ANY);
			return 0;
		}
		if (owner != task->pid)
			return 0;
		if (cmpxchg_user_u32(mm, uaddr, &seen, (uval & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			return -EFAULT;
	} while (seen != uval);
	if (!pi && uval & FUTEX_WAITERS)
		futex_wake(mm, uaddr, true, 1, FUTEX_BITSET_MATCH_ANY);
	return 0;
}

static void exit_robust_list(struct task_struct *task)
{
	unsigned long head = task->robust_list;
	const unsigned long __user *uhead = u64_to_user_ptr(head);
	unsigned long entry, offset, pending, next;
	int limit = ROBUST_LIST_LIMIT;

	if (get_user(entry, uhead) || get_user(offset, uhead + 1) || get_user(pending, uhead + 2))
		return;
	for (; (entry & ~1UL) != head && limit; entry = next, limit--) {
		/* Another thread may free the entry as soon as it is unlocked: next comes first. */
		int err = get_user(next, user_ptr(unsigned long, entry & ~1UL));

		if ((entry & ~1UL) != (pending & ~1UL) &&
		    handle_futex_death(task, (entry & ~1UL) + offset, entry & 1, false))
			return;
		if (err)
			break;
	}
	if (pending & ~1UL)
		handle_futex_death(task, (pending & ~1UL) + offset, pending & 1, true);
}

/* pthread_join() and its like wait for the id to become 0. */
static void clear_child_tid(struct task_struct *task)
{
	if (atomic_read(&task->mm->mm_users) > 1 &&
	    !put_user(0, user_ptr(u32, task->clear_child_tid)))
		futex_wake(task->mm, task->clear_child_tid, true, 1, FUTEX_BITSET_MATCH_ANY);
}

/*
 * The words of listed locks are marked first; only then is the thread dead to those who would
 * queue for what it owns, and their words no longer name it.
 */
void futex_exit_task(struct task_struct *task)
{
	if (task->mm && task->robust_list)
		exit_robust_list(task);
	task->robust_list = 0;
	spin_lock(&tasklist_lock);
	task->futex_dead = true;
	spin_unlock(&tasklist_lock);
	futex_exit_pi(task);
	if (task->mm && task->clear_child_tid)
		clear_child_tid(task);
	task->clear_child_tid = 0;
}

void futex_exec_task(struct task_struct *task)
{
	futex_exit_task(task);
	spin_lock(&tasklist_lock);
	task->futex_dead = false;
	spin_unlock(&tasklist_lock);
}
