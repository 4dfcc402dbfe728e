/* SPDX-License-Identifier: MIT */
/*
 * Futexes: waiting on a word of user memory until another thread says that it changed.
 *
 *   key --hash--> futex_queues[256]
 *                 +------+
 *                 | lock |--queue--> futex_q <-> futex_q <-> futex_q     (kernel stacks of waiters)
 *                 +------+           key A       key B       key A
 *
 * Keys name what is waited on, not where it is mapped: (mm, address) for private memory, (inode,
 * page index) for shared. They survive copy-on-write and hold across processes.
 *
 * No wake-up is lost: a waiter compares the user word and enters the queue under the bucket's lock.
 * Whoever changes the word wakes afterwards, and takes that lock to do so: either the comparison
 * saw the change, or the waker sees the waiter. The word is read through the page tables under
 * page_table_lock, hence in the frame that is mapped at this moment; a copy-on-write in between
 * cannot show an old frame.
 *
 * Lock order: mmap_lock (read) -> bucket lock (two: by address) -> page_table_lock, tasklist_lock.
 * Waking sleepers and dropping inode references is done after the locks are released.
 */
#include "futex.h"

#include <quire/kernel.h>
#include <quire/slab.h>
#include <quire/string.h>
#include <quire/uaccess.h>

enum {
	FUTEX_WAIT = 0,
	FUTEX_WAKE = 1,
	FUTEX_REQUEUE = 3,
	FUTEX_CMP_REQUEUE = 4,
	FUTEX_WAKE_OP = 5,
	FUTEX_LOCK_PI = 6,
	FUTEX_UNLOCK_PI = 7,
	FUTEX_TRYLOCK_PI = 8,
	FUTEX_WAIT_BITSET = 9,
	FUTEX_WAKE_BITSET = 10,
	FUTEX_LOCK_PI2 = 13,
	FUTEX_PRIVATE_FLAG = 128,
	FUTEX_CLOCK_REALTIME = 256,
};

#define NSEC_PER_SEC 1000000000ull
#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1

struct timespec64 {
	s64 tv_sec;
	s64 tv_nsec;
};

struct futex_bucket futex_queues[FUTEX_HASH_SIZE];

void futex_init(void)
{
	for (int i = 0; i < FUTEX_HASH_SIZE; i++) {
		spin_lock_init(&futex_queues[i].lock);
		INIT_LIST_HEAD(&futex_queues[i].queue);
	}
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static int get_shared_key(struct mm_struct *mm, unsigned long uaddr, bool write,
			  struct futex_key *key)
{
	struct vm_area_struct *vma = vma_lookup(mm, uaddr);

	if (!vma || !(vma->vm_flags & (write ? VM_WRITE : VM_ACCESS_FLAGS)))
		return -EFAULT;
	if (vma->vm_flags & VM_SHARED && vma->vm_file) {
		struct inode *inode = vma->vm_file->f_inode;

		key->index = linear_page_index(vma, uaddr);
		if (key->index >= DIV_ROUND_UP((u64)READ_ONCE(inode->i_size), PAGE_SIZE))
			return -EFAULT;
		ihold(inode);
		key->object = inode;
		key->offset |= FUT_OFF_INODE;
	} else if (vma_is_anonymous(vma) && !(vma->vm_flags & VM_WRITE)) {
		return -EFAULT; /* what nobody can write, nobody can wait for */
	} else {
		key->offset |= FUT_OFF_MMSHARED;
	}
	return 0;
}

int get_futex_key(struct mm_struct *mm, unsigned long uaddr, bool shared, bool write,
		  struct futex_key *key)
{
	key->object = mm;
	key->index = uaddr & PAGE_MASK;
	key->offset = uaddr & ~PAGE_MASK;
	if (uaddr % sizeof(u32))
		return -EINVAL;
	if (uaddr >= TASK_SIZE_MAX)
		return -EFAULT;
	return shared ? get_shared_key(mm, uaddr, write, key) : 0;
}

void put_futex_key(struct futex_key *key)
{
	if (key->offset & FUT_OFF_INODE)
		iput(key->object);
	key->offset &= ~FUT_OFF_INODE;
}

struct futex_bucket *hash_futex(const struct futex_key *key)
{
	u64 h = (unsigned long)key->object >> 4;

	h = (h ^ key->index) * 0x9e3779b97f4a7c15ull;
	h = (h ^ h >> 32 ^ key->offset) * 0x9e3779b97f4a7c15ull;
	return &futex_queues[h >> 56];
}

static void double_lock(struct futex_bucket *a, struct futex_bucket *b)
{
	if (a > b)
		swap(a, b);
	spin_lock(&a->lock);
	if (a != b)
		spin_lock(&b->lock);
}

static void double_unlock(struct futex_bucket *a, struct futex_bucket *b)
{
	spin_unlock(&a->lock);
	if (a != b)
		spin_unlock(&b->lock);
}

/* ---- The user's word ------------------------------------------------------------------------ */

u32 *map_user_word(struct mm_struct *mm, unsigned long uaddr, bool write)
{
	pte_t *ptep, pte;

	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, uaddr);
	if (ptep) {
		pte = ptep_get(ptep);
		if (pte_accessible(pte) && (!write || pte_write(pte))) {
			if (write && !pte_dirty(pte))
				__atomic_fetch_or(&ptep->pte, _PAGE_DIRTY, __ATOMIC_RELAXED);
			return (u32 *)((char *)page_address(pfn_to_page(pte_pfn(pte))) +
				       (uaddr & ~PAGE_MASK));
		}
	}
	spin_unlock(&mm->page_table_lock);
	return NULL;
}

void unmap_user_word(struct mm_struct *mm)
{
	spin_unlock(&mm->page_table_lock);
}

int fault_in_user_word(struct mm_struct *mm, unsigned long uaddr, bool write)
{
	struct page *page = get_user_page(mm, uaddr, write);

	if (IS_ERR_OR_NULL(page))
		return -EFAULT;
	put_page(page);
	return 0;
}

/* Bucket lock and mmap_lock held. 0, or -EAGAIN if the word differs, or FUTEX_NEED_FAULT. */
static int compare_user_word(struct mm_struct *mm, unsigned long uaddr, u32 val)
{
	u32 *word = map_user_word(mm, uaddr, false);
	u32 found;

	if (!word)
		return FUTEX_NEED_FAULT;
	found = READ_ONCE(*word);
	unmap_user_word(mm);
	return found == val ? 0 : -EAGAIN;
}

/* ---- The queue ------------------------------------------------------------------------------ */

void init_futex_q(struct futex_q *q, struct task_struct *task, u32 bitset)
{
	memset(q, 0, sizeof(*q));
	q->task = task;
	q->bitset = bitset;
	q->wake_word = &q->woken;
}

struct futex_q *futex_top_waiter(struct futex_bucket *bucket, const struct futex_key *key)
{
	struct futex_q *q;

	list_for_each_entry(q, &bucket->queue, list) {
		if (match_futex(&q->key, key))
			return q;
	}
	return NULL;
}

void futex_queue(struct futex_q *q, struct futex_bucket *bucket)
{
	q->bucket = bucket;
	list_add_tail(&q->list, &bucket->queue);
}

void futex_do_wakeups(struct futex_wakeups *wakeups)
{
	for (unsigned int i = 0; i < wakeups->n; i++)
		machine_wake(wakeups->words[i], 1);
	wakeups->n = 0;
}

/*
 * The sleeper may return, and its stack be another's, before machine_wake() reaches the word: at
 * worst somebody else looks again without need.
 */
void futex_mark_woken(struct futex_q *q, struct futex_wakeups *wakeups)
{
	u32 *word = q->wake_word;

	if (wakeups->n == ARRAY_SIZE(wakeups->words))
		futex_do_wakeups(wakeups);
	wakeups->words[wakeups->n++] = word;
	if (word != &q->woken)
		smp_store_release(word, 1);
	smp_store_release(&q->woken, 1);
}

static void wake_q(struct futex_q *q, struct futex_wakeups *wakeups)
{
	list_del(&q->list);
	futex_mark_woken(q, wakeups);
}

bool futex_unqueue(struct futex_q *q)
{
	while (!smp_load_acquire(&q->woken)) {
		struct futex_bucket *bucket = READ_ONCE(q->bucket);
		bool queued;

		spin_lock(&bucket->lock);
		queued = bucket == q->bucket && !q->woken;
		if (queued)
			list_del(&q->list);
		spin_unlock(&bucket->lock);
		if (queued)
			return true;
	}
	return false;
}

/*
 * A waiter whose process vanished: what it left in the queues would be written to by wakers. Its
 * references to inodes go too.
 */
void futex_forget_task(struct task_struct *task)
{
	for (int i = 0; i < FUTEX_HASH_SIZE; i++) {
		struct futex_bucket *bucket = &futex_queues[i];
		struct futex_q *q, *next;
		struct futex_key key = { 0 };

		spin_lock(&bucket->lock);
		list_for_each_entry_safe(q, next, &bucket->queue, list) {
			if (q->task != task)
				continue;
			list_del(&q->list);
			key = q->key;
			/* One at a time: an inode is not let go of under a spinlock. */
			if (key.offset & FUT_OFF_INODE) {
				i--;
				break;
			}
		}
		spin_unlock(&bucket->lock);
		put_futex_key(&key);
	}
}

/* ---- Wait ----------------------------------------------------------------------------------- */

int futex_sleep(u32 *word, const struct futex_timeout *timeout)
{
	while (!smp_load_acquire(word)) {
		u64 left = MACHINE_WAIT_FOREVER;

		if (timeout) {
			u64 now = timeout->realtime ? machine_realtime_ns() : machine_clock_ns();

			if (now >= timeout->deadline)
				return -ETIMEDOUT;
			left = timeout->deadline - now;
		}
		if (machine_wait_interruptible(word, 0, left) == -EINTR)
			return -EINTR;
	}
	return 0;
}

/* Queues q if the word still is val; else nothing is held. -EAGAIN, -EFAULT, -EINVAL. */
static int futex_wait_setup(struct futex_q *q, unsigned long uaddr, bool shared, u32 val)
{
	struct mm_struct *mm = q->task->mm;
	struct futex_bucket *bucket;
	int err;

	do {
		down_read(&mm->mmap_lock);
		err = get_futex_key(mm, uaddr, shared, false, &q->key);
		if (err) {
			up_read(&mm->mmap_lock);
			return err;
		}
		bucket = hash_futex(&q->key);
		spin_lock(&bucket->lock);
		err = compare_user_word(mm, uaddr, val);
		if (!err)
			futex_queue(q, bucket);
		spin_unlock(&bucket->lock);
		up_read(&mm->mmap_lock);
		if (err)
			put_futex_key(&q->key);
	} while (err == FUTEX_NEED_FAULT && !(err = fault_in_user_word(mm, uaddr, false)));
	return err;
}

static long futex_wait(struct task_struct *task, unsigned long uaddr, bool shared, u32 val,
		       const struct futex_timeout *timeout, u32 bitset)
{
	struct futex_q q;
	int err;

	if (!bitset)
		return -EINVAL;
	init_futex_q(&q, task, bitset);
	err = futex_wait_setup(&q, uaddr, shared, val);
	if (err)
		return err;
	err = futex_sleep(&q.woken, timeout);
	if (!futex_unqueue(&q))
		err = 0;
	put_futex_key(&q.key);
	return err;
}

/* ---- Wake ----------------------------------------------------------------------------------- */

/* Bucket lock held. How many were woken: at least one if one waits, whatever nr_wake. */
static int wake_matching(struct futex_bucket *bucket, const struct futex_key *key, int nr_wake,
			 u32 bitset, struct futex_wakeups *wakeups)
{
	struct futex_q *q, *next;
	int woken = 0;

	list_for_each_entry_safe(q, next, &bucket->queue, list) {
		if (!match_futex(&q->key, key))
			continue;
		if (q->pi != FUTEX_NOT_PI)
			return -EINVAL;
		if (!(q->bitset & bitset))
			continue;
		wake_q(q, wakeups);
		if (++woken >= nr_wake)
			break;
	}
	return woken;
}

long futex_wake(struct mm_struct *mm, unsigned long uaddr, bool shared, int nr_wake, u32 bitset)
{
	struct futex_wakeups wakeups = { 0 };
	struct futex_bucket *bucket;
	struct futex_key key;
	long ret;

	if (!bitset)
		return -EINVAL;
	if (shared)
		down_read(&mm->mmap_lock);
	ret = get_futex_key(mm, uaddr, shared, false, &key);
	if (shared)
		up_read(&mm->mmap_lock);
	if (ret)
		return ret;
	bucket = hash_futex(&key);
	spin_lock(&bucket->lock);
	ret = wake_matching(bucket, &key, nr_wake, bitset, &wakeups);
	spin_unlock(&bucket->lock);
	futex_do_wakeups(&wakeups);
	put_futex_key(&key);
	return ret;
}

/* Changes *word as encoded_op says; its former value. -ENOSYS. */
static int do_encoded_op(u32 *word, u32 encoded_op, u32 *old)
{
	u32 oparg = (u32)((s32)(encoded_op << 8) >> 20);

	if (encoded_op >> 31)
		oparg = 1u << (oparg & 31);
	switch (encoded_op >> 28 & 7) {
	case 0:
		*old = __atomic_exchange_n(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	case 1:
		*old = __atomic_fetch_add(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	case 2:
		*old = __atomic_fetch_or(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	case 3:
		*old = __atomic_fetch_and(word, ~oparg, __ATOMIC_SEQ_CST);
		return 0;
	case 4:
		*old = __atomic_fetch_xor(word, oparg, __ATOMIC_SEQ_CST);
		return 0;
	}
	return -ENOSYS;
}

/* Whether the former value passes the comparison in encoded_op: 0, 1, -ENOSYS. */
static int compare_encoded(u32 encoded_op, s32 old)
{
	s32 cmparg = (s32)(encoded_op << 20) >> 20;

	switch (encoded_op >> 24 & 15) {
	case 0:
		return old == cmparg;
	case 1:
		return old != cmparg;
	case 2:
		return old < cmparg;
	case 3:
		return old <= cmparg;
	case 4:
		return old > cmparg;
	case 5:
		return old >= cmparg;
	}
	return -ENOSYS;
}

/* Two futexes of one operation. */
struct futex_pair {
	struct mm_struct *mm;
	unsigned long uaddr1, uaddr2;
	struct futex_key key1, key2;
	struct futex_bucket *bucket1, *bucket2;
};

/* Takes mmap_lock and both bucket locks; on error nothing is held. */
static int lock_pair(struct futex_pair *p, bool shared, bool write2)
{
	int err;

	down_read(&p->mm->mmap_lock);
	err = get_futex_key(p->mm, p->uaddr1, shared, false, &p->key1);
	if (!err) {
		err = get_futex_key(p->mm, p->uaddr2, shared, write2, &p->key2);
		if (err)
			put_futex_key(&p->key1);
	}
	if (err) {
		up_read(&p->mm->mmap_lock);
		return err;
	}
	p->bucket1 = hash_futex(&p->key1);
	p->bucket2 = hash_futex(&p->key2);
	double_lock(p->bucket1, p->bucket2);
	return 0;
}

static void unlock_pair(struct futex_pair *p, struct futex_wakeups *wakeups)
{
	double_unlock(p->bucket1, p->bucket2);
	up_read(&p->mm->mmap_lock);
	futex_do_wakeups(wakeups);
	put_futex_key(&p->key1);
	put_futex_key(&p->key2);
}

/* Both locks held, the word was changed from old. */
static long wake_op_locked(struct futex_pair *p, int nr_wake, int nr_wake2, u32 encoded_op, u32 old,
			   struct futex_wakeups *wakeups)
{
	int passed = compare_encoded(encoded_op, (s32)old);
	int woken, more = 0;

	if (passed < 0)
		return passed;
	woken = wake_matching(p->bucket1, &p->key1, nr_wake, FUTEX_BITSET_MATCH_ANY, wakeups);
	if (woken >= 0 && passed)
		more = wake_matching(p->bucket2, &p->key2, nr_wake2, FUTEX_BITSET_MATCH_ANY,
				     wakeups);
	return woken < 0 ? woken : more < 0 ? more : woken + more;
}

/* Change uaddr2's word, wake on uaddr1, and on uaddr2 if its old value was as asked. */
static long futex_wake_op(struct task_struct *task, unsigned long uaddr1, bool shared,
			  unsigned long uaddr2, int nr_wake, int nr_wake2, u32 encoded_op)
{
	struct futex_pair p = { .mm = task->mm, .uaddr1 = uaddr1, .uaddr2 = uaddr2 };
	struct futex_wakeups wakeups = { 0 };
	u32 *word, old = 0;
	long ret;

	do {
		ret = lock_pair(&p, shared, true);
		if (ret)
			return ret;
		word = map_user_word(p.mm, uaddr2, true);
		if (word) {
			ret = do_encoded_op(word, encoded_op, &old);
			unmap_user_word(p.mm);
			if (!ret)
				ret = wake_op_locked(&p, nr_wake, nr_wake2, encoded_op, old,
						     &wakeups);
		}
		unlock_pair(&p, &wakeups);
		if (!word)
			ret = fault_in_user_word(p.mm, uaddr2, true);
	} while (!word && !ret);
	return ret;
}

/* ---- Requeue -------------------------------------------------------------------------------- */

/*
 * Both locks held: wakes nr_wake waiters of key1 and moves nr_requeue more to key2. *moved_refs:
 * references to key1's inode that the moved ones gave up.
 */
static long requeue_locked(struct futex_pair *p, int nr_wake, int nr_requeue,
			   struct futex_wakeups *wakeups, int *moved_refs)
{
	struct futex_q *q, *next;
	long count = 0;

	list_for_each_entry_safe(q, next, &p->bucket1->queue, list) {
		if (count >= (long)nr_wake + nr_requeue)
			break;
		if (!match_futex(&q->key, &p->key1))
			continue;
		if (q->pi != FUTEX_NOT_PI)
			return -EINVAL;
		if (count++ < nr_wake) {
			wake_q(q, wakeups);
			continue;
		}
		if (match_futex(&p->key1, &p->key2))
			continue;
		if (p->key1.offset & FUT_OFF_INODE)
			(*moved_refs)++;
		if (p->key2.offset & FUT_OFF_INODE)
			ihold(p->key2.object);
		q->key = p->key2;
		list_move_tail(&q->list, &p->bucket2->queue);
		WRITE_ONCE(q->bucket, p->bucket2);
	}
	return count;
}

static long futex_requeue(struct task_struct *task, unsigned long uaddr1, bool shared,
			  unsigned long uaddr2, int nr_wake, int nr_requeue, const u32 *cmpval)
{
	struct futex_pair p = { .mm = task->mm, .uaddr1 = uaddr1, .uaddr2 = uaddr2 };
	struct futex_wakeups wakeups = { 0 };
	int moved_refs = 0, err;
	long ret = 0;

	if (nr_wake < 0 || nr_requeue < 0)
		return -EINVAL;
	do {
		err = lock_pair(&p, shared, false);
		if (err)
			return err;
		if (cmpval)
			err = compare_user_word(p.mm, uaddr1, *cmpval);
		if (!err)
			ret = requeue_locked(&p, nr_wake, nr_requeue, &wakeups, &moved_refs);
		unlock_pair(&p, &wakeups);
		for (; moved_refs; moved_refs--)
			iput(p.key1.object);
	} while (err == FUTEX_NEED_FAULT && !(err = fault_in_user_word(p.mm, uaddr1, false)));
	return err ? err : ret;
}

/* ---- Waiting for several -------------------------------------------------------------------- */

#define FUTEX_WAITV_MAX 128
#define FUTEX2_SIZE_U32 2u
#define FUTEX2_PRIVATE 128u

/* struct futex_waitv of the ABI. */
struct user_waitv {
	u64 val;
	u64 uaddr;
	u32 flags;
	u32 reserved;
};

struct futex_vector {
	u32 wake_word;
	unsigned int queued; /* q[0 ... queued-1] were */
	struct user_waitv user[FUTEX_WAITV_MAX];
	struct futex_q q[FUTEX_WAITV_MAX];
};

static int check_waitv(const struct user_waitv *w)
{
	if (w->flags & ~(FUTEX2_SIZE_U32 | FUTEX2_PRIVATE) || !(w->flags & FUTEX2_SIZE_U32))
		return -EINVAL;
	return w->reserved || w->val >> 32 ? -EINVAL : 0;
}

/* Leaves all queues. The index of one that was woken, or -1. */
static int unqueue_vector(struct futex_vector *v)
{
	int woken = -1;

	for (unsigned int i = 0; i < v->queued; i++) {
		if (!futex_unqueue(&v->q[i]))
			woken = i;
		put_futex_key(&v->q[i].key);
	}
	v->queued = 0;
	return woken;
}

/* Queues on all, as long as each word is as expected. */
static int queue_vector(struct futex_vector *v, struct task_struct *task, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		const struct user_waitv *w = &v->user[i];
		int err;

		init_futex_q(&v->q[i], task, FUTEX_BITSET_MATCH_ANY);
		v->q[i].wake_word = &v->wake_word;
		err = futex_wait_setup(&v->q[i], w->uaddr, !(w->flags & FUTEX2_PRIVATE), w->val);
		if (err)
			return err;
		v->queued++;
	}
	return 0;
}

static long wait_vector(struct futex_vector *v, struct task_struct *task,
			const struct user_waitv __user *waiters, unsigned int nr,
			const struct futex_timeout *timeout)
{
	int err, woken;

	if (copy_from_user(v->user, waiters, nr * sizeof(v->user[0])))
		return -EFAULT;
	for (unsigned int i = 0; i < nr; i++) {
		err = check_waitv(&v->user[i]);
		if (err)
			return err;
	}
	err = queue_vector(v, task, nr);
	if (!err)
		err = futex_sleep(&v->wake_word, timeout);
	woken = unqueue_vector(v);
	if (woken >= 0)
		return woken;
	return err == -EINTR ? -ERESTARTSYS : err;
}

/* ---- System calls --------------------------------------------------------------------------- */

/* The time that a user's timespec names, from now on or since the clock's zero. */
static int read_timeout(struct task_struct *task, const struct timespec64 __user *utime,
			bool relative, struct futex_timeout *timeout)
{
	struct timespec64 ts;
	u64 ns;

	if (copy_from_user(&ts, utime, sizeof(ts)))
		return -EFAULT;
	if (ts.tv_sec < 0 || (u64)ts.tv_nsec >= NSEC_PER_SEC)
		return -EINVAL;
	/* 292 years are as good as for ever. */
	ns = min((u64)ts.tv_sec, (u64)LONG_MAX / NSEC_PER_SEC - 1) * NSEC_PER_SEC + ts.tv_nsec;
	timeout->deadline = relative ? restart_deadline(task, machine_clock_ns(), ns) : ns;
	return 0;
}

/* An interrupted wait goes on after a signal that has no handler, with a timeout for the rest of it. */
static long restart_of(long ret, bool timed)
{
	if (ret != -EINTR)
		return ret;
	return timed ? -ERESTART_RESTARTBLOCK : -ERESTARTSYS;
}

static bool op_has_timeout(int cmd)
{
	return cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI ||
	       cmd == FUTEX_LOCK_PI2;
}

long do_futex(struct task_struct *task, unsigned long uaddr, int op, u32 val,
	      unsigned long timeout_or_val2, unsigned long uaddr2, u32 val3)
{
	int cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
	bool shared = !(op & FUTEX_PRIVATE_FLAG);
	struct futex_timeout t = { .realtime = op & FUTEX_CLOCK_REALTIME };
	struct futex_timeout *timeout = NULL;
	int val2 = (int)timeout_or_val2;

	if (op & FUTEX_CLOCK_REALTIME && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_LOCK_PI2)
		return -ENOSYS;
	if (op_has_timeout(cmd) && timeout_or_val2) {
		int err =
			read_timeout(task, u64_to_user_ptr(timeout_or_val2), cmd == FUTEX_WAIT, &t);

		if (err)
			return err;
		t.realtime |= cmd == FUTEX_LOCK_PI;
		timeout = &t;
	}
	switch (cmd) {
	case FUTEX_WAIT:
		val3 = FUTEX_BITSET_MATCH_ANY;
		return restart_of(futex_wait(task, uaddr, shared, val, timeout, val3), timeout);
	case FUTEX_WAIT_BITSET:
		return restart_of(futex_wait(task, uaddr, shared, val, timeout, val3), timeout);
	case FUTEX_WAKE:
		return futex_wake(task->mm, uaddr, shared, (int)val, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAKE_BITSET:
		return futex_wake(task->mm, uaddr, shared, (int)val, val3);
	case FUTEX_REQUEUE:
		return futex_requeue(task, uaddr, shared, uaddr2, (int)val, val2, NULL);
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(task, uaddr, shared, uaddr2, (int)val, val2, &val3);
	case FUTEX_WAKE_OP:
		return futex_wake_op(task, uaddr, shared, uaddr2, (int)val, val2, val3);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return futex_lock_pi(task, uaddr, shared, timeout, false);
	case FUTEX_TRYLOCK_PI:
		return futex_lock_pi(task, uaddr, shared, NULL, true);
	case FUTEX_UNLOCK_PI:
		return futex_unlock_pi(task, uaddr, shared);
	}
	return -ENOSYS;
}

long do_futex_waitv(struct task_struct *task, unsigned long waiters, unsigned int nr,
		    unsigned int flags, unsigned long timeout, int clockid)
{
	struct futex_timeout t = { .realtime = clockid == CLOCK_REALTIME };
	struct futex_vector *v;
	long ret;

	if (flags || !nr || nr > FUTEX_WAITV_MAX || !waiters)
		return -EINVAL;
	if (timeout) {
		if (clockid != CLOCK_REALTIME && clockid != CLOCK_MONOTONIC)
			return -EINVAL;
		ret = read_timeout(task, u64_to_user_ptr(timeout), false, &t);
		if (ret)
			return ret;
	}
	v = kzalloc(sizeof(*v), GFP_KERNEL);
	if (!v)
		return -ENOMEM;
	ret = wait_vector(v, task, u64_to_user_ptr(waiters), nr, timeout ? &t : NULL);
	kfree(v);
	return ret;
}
