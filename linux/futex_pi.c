/* SPDX-License-Identifier: MIT */
/*
 * PI futexes: locks whose word names the owner, so that the kernel can hand them over.
 *
 *   word: | WAITERS | OWNER_DIED | thread id of the owner, 0: free |
 *
 * User space takes and releases a lock that nobody waits for by compare-and-swap between 0 and its
 * id. Who finds it taken comes here, sets WAITERS (so that the owner comes here too to release it)
 * and queues. Unlocking gives the lock to the longest waiter: the word is written under the bucket
 * lock, and the waiter wakes up as the owner. Priorities are not inherited.
 *
 * An owner that dies leaves its waiters the lock as well, but may have no access to the word any
 * more. The heir writes it itself (FUTEX_PI_INHERITED) and stays in the queue until then, so that a
 * word that looks free is not taken by a third.
 *
 * futex_q.owner of all waiters for one key agree. A waiter queues only behind an owner that is
 * not futex_dead, checked under the bucket lock; the dying owner sets futex_dead before it looks
 * through the buckets, so one of the two sees the other.
 */
#include "futex.h"

#include <quire/kernel.h>

/* Threads inside futex_lock_pi(): without any, a dying thread has nobody to look for. */
static atomic_t nr_pi_waiters;

static bool cmpxchg_word(u32 *word, u32 old, u32 new_val)
{
	return __atomic_compare_exchange_n(word, &old, new_val, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static bool owner_alive(pid_t tid)
{
	struct task_struct *owner;
	bool alive;

	spin_lock(&tasklist_lock);
	owner = find_task_by_pid(tid);
	alive = owner && !owner->futex_dead;
	spin_unlock(&tasklist_lock);
	return alive;
}

/* Bucket lock held: all that wait for the key now wait for tid. */
static void set_pi_owner(struct futex_bucket *bucket, const struct futex_key *key, pid_t tid)
{
	struct futex_q *q;

	list_for_each_entry(q, &bucket->queue, list) {
		if (match_futex(&q->key, key))
			q->owner = tid;
	}
}

/* Whether one may queue behind top, seeing uval in the word. */
static int check_pi_queue(const struct futex_q *top, u32 uval)
{
	pid_t owner = uval & FUTEX_TID_MASK;

	if (top->pi == FUTEX_NOT_PI)
		return -EINVAL;
	if (top->pi == FUTEX_PI_INHERITED)
		return 0;
	if (!owner)
		return uval & FUTEX_OWNER_DIED ? 0 : -EINVAL;
	return owner == top->owner ? 0 : -EINVAL;
}

/*
 * Bucket lock held and the word mapped: take the lock (*acquired) or find whom to wait for.
 * -EAGAIN: trylock, and it is taken.
 */
static int lock_pi_word(struct futex_q *q, struct futex_bucket *bucket, u32 *word, bool trylock,
			bool *acquired)
{
	const pid_t self = q->task->pid;
	const struct futex_q *top = futex_top_waiter(bucket, &q->key);

	for (;;) {
		u32 uval = READ_ONCE(*word);
		pid_t owner = uval & FUTEX_TID_MASK;

		if (owner == self)
			return -EDEADLK;
		if (top) {
			int err = check_pi_queue(top, uval);

			q->owner = top->owner;
			return err ? err : trylock ? -EAGAIN : 0;
		}
		if (!owner) {
			*acquired = cmpxchg_word(word, uval, (uval & FUTEX_OWNER_DIED) | self);
			if (*acquired)
				return 0;
			continue;
		}
		if (!owner_alive(owner))
			return -ESRCH;
		if (trylock)
			return -EAGAIN;
		q->owner = owner;
		if (uval & FUTEX_WAITERS || cmpxchg_word(word, uval, uval | FUTEX_WAITERS))
			return 0;
	}
}

/* 0: acquired or queued, the latter with a reference of q->key. */
static int lock_pi_setup(struct futex_q *q, unsigned long uaddr, bool shared, bool trylock,
			 bool *acquired)
{
	struct mm_struct *mm = q->task->mm;
	int err;

	do {
		struct futex_bucket *bucket;
		u32 *word;

		down_read(&mm->mmap_lock);
		err = get_futex_key(mm, uaddr, shared, true, &q->key);
		if (err) {
			up_read(&mm->mmap_lock);
			return err;
		}
		bucket = hash_futex(&q->key);
		spin_lock(&bucket->lock);
		word = map_user_word(mm, uaddr, true);
		err = FUTEX_NEED_FAULT;
		if (word) {
			err = lock_pi_word(q, bucket, word, trylock, acquired);
			unmap_user_word(mm);
		}
		if (!err && !*acquired)
			futex_queue(q, bucket);
		spin_unlock(&bucket->lock);
		up_read(&mm->mmap_lock);
		if (err || *acquired)
			put_futex_key(&q->key);
	} while (err == FUTEX_NEED_FAULT && !(err = fault_in_user_word(mm, uaddr, true)));
	return err;
}

/* The lock came from a dead owner: enter ourselves in the word and leave the queue. */
static int inherit_pi(struct futex_q *q, unsigned long uaddr)
{
	const u32 newval = (u32)q->task->pid | FUTEX_WAITERS | FUTEX_OWNER_DIED;
	struct mm_struct *mm = q->task->mm;
	int err;

	do {
		u32 *word;

		down_read(&mm->mmap_lock);
		spin_lock(&q->bucket->lock);
		word = map_user_word(mm, uaddr, true);
		if (word) {
			__atomic_store_n(word, newval, __ATOMIC_SEQ_CST);
			unmap_user_word(mm);
			list_del(&q->list);
		}
		spin_unlock(&q->bucket->lock);
		up_read(&mm->mmap_lock);
		if (word)
			return 0;
		err = fault_in_user_word(mm, uaddr, true);
	} while (!err);
	spin_lock(&q->bucket->lock);
	list_del(&q->list);
	spin_unlock(&q->bucket->lock);
	return err;
}

static long lock_pi(struct futex_q *q, unsigned long uaddr, bool shared,
		    const struct futex_timeout *timeout, bool trylock)
{
	bool acquired = false;
	int err = lock_pi_setup(q, uaddr, shared, trylock, &acquired);

	if (err || acquired)
		return err;
	err = futex_sleep(&q->woken, timeout);
	if (!futex_unqueue(q))
		err = q->pi == FUTEX_PI_INHERITED ? inherit_pi(q, uaddr) : 0;
	put_futex_key(&q->key);
	return err == -EINTR ? -ERESTARTNOINTR : err;
}

long futex_lock_pi(struct task_struct *task, unsigned long uaddr, bool shared,
		   const struct futex_timeout *timeout, bool trylock)
{
	struct futex_q q;
	long ret;

	init_futex_q(&q, task, FUTEX_BITSET_MATCH_ANY);
	q.pi = FUTEX_PI_WAITING;
	atomic_inc(&nr_pi_waiters);
	ret = lock_pi(&q, uaddr, shared, timeout, trylock);
	atomic_dec(&nr_pi_waiters);
	return ret;
}

/* Bucket lock held and the word mapped. */
static int unlock_pi_word(struct futex_bucket *bucket, const struct futex_key *key, u32 *word,
			  pid_t self, struct futex_wakeups *wakeups)
{
	struct futex_q *top = futex_top_waiter(bucket, key);
	u32 uval, newval = top ? (u32)top->task->pid | FUTEX_WAITERS : 0;

	if (top && (top->pi == FUTEX_NOT_PI || top->owner != self))
		return -EINVAL;
	do {
		uval = READ_ONCE(*word);
		if ((pid_t)(uval & FUTEX_TID_MASK) != self)
			return -EPERM;
	} while (!cmpxchg_word(word, uval, newval));
	if (top) {
		list_del(&top->list);
		set_pi_owner(bucket, key, top->task->pid);
		futex_mark_woken(top, wakeups);
	}
	return 0;
}

long futex_unlock_pi(struct task_struct *task, unsigned long uaddr, bool shared)
{
	struct futex_wakeups wakeups = { 0 };
	struct mm_struct *mm = task->mm;
	int err;

	do {
		struct futex_bucket *bucket;
		struct futex_key key;
		u32 *word;

		down_read(&mm->mmap_lock);
		err = get_futex_key(mm, uaddr, shared, true, &key);
		if (err) {
			up_read(&mm->mmap_lock);
			return err;
		}
		bucket = hash_futex(&key);
		spin_lock(&bucket->lock);
		word = map_user_word(mm, uaddr, true);
		err = FUTEX_NEED_FAULT;
		if (word) {
			err = unlock_pi_word(bucket, &key, word, task->pid, &wakeups);
			unmap_user_word(mm);
		}
		spin_unlock(&bucket->lock);
		up_read(&mm->mmap_lock);
		futex_do_wakeups(&wakeups);
		put_futex_key(&key);
	} while (err == FUTEX_NEED_FAULT && !(err = fault_in_user_word(mm, uaddr, true)));
	return err;
}

void futex_exit_pi(struct task_struct *task)
{
	if (!atomic_read(&nr_pi_waiters))
		return;
	for (int i = 0; i < FUTEX_HASH_SIZE; i++) {
		struct futex_bucket *bucket = &futex_queues[i];
		struct futex_wakeups wakeups = { 0 };
		struct futex_q *q;

		spin_lock(&bucket->lock);
		list_for_each_entry(q, &bucket->queue, list) {
			if (q->pi != FUTEX_PI_WAITING || q->owner != task->pid)
				continue;
			q->pi = FUTEX_PI_INHERITED;
			set_pi_owner(bucket, &q->key, q->task->pid);
			futex_mark_woken(q, &wakeups);
		}
		spin_unlock(&bucket->lock);
		futex_do_wakeups(&wakeups);
	}
}
