/* SPDX-License-Identifier: MIT */
/*
 * futex.h - what futex.c (waiting and waking), futex_pi.c (locks with owners) and futex_robust.c
 * (exit) share. The picture is in futex.c.
 */
#ifndef QUIRE_LINUX_FUTEX_H
#define QUIRE_LINUX_FUTEX_H

#include <quire/sched.h>

#define FUTEX_WAITERS 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK 0x3fffffffu
#define FUTEX_BITSET_MATCH_ANY 0xffffffffu
#define FUTEX_HASH_SIZE 256

/* Internal result: the user word is not mapped; fault it in without locks and start over. */
#define FUTEX_NEED_FAULT 1

/*
 * What a futex is known by. object: the mm, or the inode with a reference. index: the page's
 * address in the mm, or its index in the inode. offset: bytes in the page, and in the two low bits
 * which kind it is: shared futexes in private memory and process-private ones do not meet.
 */
#define FUT_OFF_INODE 1u
#define FUT_OFF_MMSHARED 2u
struct futex_key {
	void *object;
	unsigned long index;
	u32 offset;
};

struct futex_bucket {
	spinlock_t lock;
	struct list_head queue; /* futex_q.list, longest waiting first */
};

/* Of a PI waiter: how it stands with the lock. */
enum futex_pi_state {
	FUTEX_NOT_PI,
	FUTEX_PI_WAITING,
	FUTEX_PI_INHERITED, /* the owner died: ours, the user word is still to be written */
};

/*
 * A waiter, on its kernel stack. Under bucket->lock; a waker's last store is woken = 1, after which
 * the memory is the waiter's again.
 */
struct futex_q {
	struct list_head list;
	struct futex_bucket *bucket; /* changes when requeued, under both locks */
	struct futex_key key;
	u32 bitset;
	u32 woken;
	u32 *wake_word; /* slept on while 0; &woken, or one for several waiters */
	struct task_struct *task;
	enum futex_pi_state pi;
	pid_t owner; /* PI: who has the lock */
};

/* Sleepers to wake once the locks are released. */
struct futex_wakeups {
	unsigned int n;
	u32 *words[16];
};

struct futex_timeout {
	u64 deadline; /* ns */
	bool realtime;
};

extern struct futex_bucket futex_queues[FUTEX_HASH_SIZE];

/* mmap_lock held (any mode) if shared. -EINVAL, -EFAULT. */
int get_futex_key(struct mm_struct *mm, unsigned long uaddr, bool shared, bool write,
		  struct futex_key *key);
void put_futex_key(struct futex_key *key);
static inline bool match_futex(const struct futex_key *a, const struct futex_key *b)
{
	return a->object == b->object && a->index == b->index && a->offset == b->offset;
}
struct futex_bucket *hash_futex(const struct futex_key *key);
/* The first waiter for key in its bucket, whose lock is held; NULL if there is none. */
struct futex_q *futex_top_waiter(struct futex_bucket *bucket, const struct futex_key *key);

/*
 * The user's word in the direct map, with page_table_lock held until unmap_user_word(); NULL, and
 * not held: fault_in_user_word() first. mmap_lock held.
 */
u32 *map_user_word(struct mm_struct *mm, unsigned long uaddr, bool write);
void unmap_user_word(struct mm_struct *mm);
int fault_in_user_word(struct mm_struct *mm, unsigned long uaddr, bool write);

void init_futex_q(struct futex_q *q, struct task_struct *task, u32 bitset);
/* bucket->lock held. */
void futex_queue(struct futex_q *q, struct futex_bucket *bucket);
void futex_mark_woken(struct futex_q *q, struct futex_wakeups *wakeups);
void futex_do_wakeups(struct futex_wakeups *wakeups);
/* Leave the queue. False: was woken before. */
bool futex_unqueue(struct futex_q *q);
/* Until *word is not 0. 0, -ETIMEDOUT, -EINTR; timeout NULL: none. */
int futex_sleep(u32 *word, const struct futex_timeout *timeout);
long futex_wake(struct mm_struct *mm, unsigned long uaddr, bool shared, int nr_wake, u32 bitset);

/* futex_pi.c */
long futex_lock_pi(struct task_struct *task, unsigned long uaddr, bool shared,
		   const struct futex_timeout *timeout, bool trylock);
long futex_unlock_pi(struct task_struct *task, unsigned long uaddr, bool shared);
/* The task dies: what it owns goes to those who wait for it. */
void futex_exit_pi(struct task_struct *task);

#endif
