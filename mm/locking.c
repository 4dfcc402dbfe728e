/* SPDX-License-Identifier: MIT */
/*
 * The sleeping locks: mutex, and a readers-writer semaphore that prefers writers.
 *
 * mutex: one word. Whoever finds it taken writes 2 before sleeping on 2, so that the holder's
 * unlock knows that somebody has to be woken; a sleeper that gets the lock keeps 2, because it
 * cannot know whether others still sleep.
 *
 * rw_semaphore: the fields are changed under its spinlock. `seq` is the word slept on:
 *
 *	| releases that woke somebody | somebody sleeps |
 *	 31			    1		      0
 *
 * A sleeper sets bit 0 under the spinlock and sleeps on that value; a release that can let
 * somebody in changes the value, under the spinlock, before it wakes all. So a release between
 * the sleeper's look and its sleep makes the sleep return at once, and nobody calls the machine
 * when nobody sleeps.
 */
#define LOCKDEP_OFF
#include <quire/kernel.h>
#include <quire/spinlock.h>

void mutex_init(struct mutex *lock)
{
	lock->state = 0;
}

bool mutex_trylock(struct mutex *lock)
{
	u32 free = 0;

	return __atomic_compare_exchange_n(&lock->state, &free, 1, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

void mutex_lock(struct mutex *lock)
{
	if (likely(mutex_trylock(lock)))
		return;
	while (__atomic_exchange_n(&lock->state, 2, __ATOMIC_ACQUIRE))
		machine_wait(&lock->state, 2, MACHINE_WAIT_FOREVER);
}

void mutex_unlock(struct mutex *lock)
{
	if (__atomic_exchange_n(&lock->state, 0, __ATOMIC_RELEASE) == 2)
		machine_wake(&lock->state, 1);
}

#define RWSEM_SLEEPERS 1u

void init_rwsem(struct rw_semaphore *sem)
{
	sem->count = 0;
	sem->waiters_w = 0;
	sem->seq = 0;
	spin_lock_init(&sem->lock);
}

/* Spinlock held; it is given up during the sleep. */
static void rwsem_sleep(struct rw_semaphore *sem)
{
	u32 seq = sem->seq | RWSEM_SLEEPERS;

	__atomic_store_n(&sem->seq, seq, __ATOMIC_RELAXED);
	spin_unlock(&sem->lock);
	machine_wait(&sem->seq, seq, MACHINE_WAIT_FOREVER);
	spin_lock(&sem->lock);
}

/* Spinlock held; it is given up. The state has changed in favour of sleepers. */
static void rwsem_release(struct rw_semaphore *sem)
{
	bool sleepers = sem->seq & RWSEM_SLEEPERS;

	if (sleepers)
		__atomic_store_n(&sem->seq, sem->seq + 1, __ATOMIC_RELAXED);
	spin_unlock(&sem->lock);
	if (sleepers)
		machine_wake(&sem->seq, INT_MAX);
}

static bool rwsem_reader_may_enter(const struct rw_semaphore *sem)
{
	return sem->count >= 0 && !sem->waiters_w;
}

void down_read(struct rw_semaphore *sem)
{
	spin_lock(&sem->lock);
	while (!rwsem_reader_may_enter(sem))
		rwsem_sleep(sem);
	sem->count++;
	spin_unlock(&sem->lock);
}

bool down_read_trylock(struct rw_semaphore *sem)
{
	bool entered;

	spin_lock(&sem->lock);
	entered = rwsem_reader_may_enter(sem);
	if (entered)
		sem->count++;
	spin_unlock(&sem->lock);
	return entered;
}

bool down_read_try_ahead(struct rw_semaphore *sem)
{
	bool entered;

	spin_lock(&sem->lock);
	entered = sem->count >= 0;
	if (entered)
		sem->count++;
	spin_unlock(&sem->lock);
	return entered;
}

void up_read(struct rw_semaphore *sem)
{
	spin_lock(&sem->lock);
	if (--sem->count == 0)
		rwsem_release(sem);
	else
		spin_unlock(&sem->lock);
}

void down_write(struct rw_semaphore *sem)
{
	spin_lock(&sem->lock);
	if (sem->count) {
		sem->waiters_w++;
		while (sem->count)
			rwsem_sleep(sem);
		sem->waiters_w--;
	}
	sem->count = -1;
	spin_unlock(&sem->lock);
}

void up_write(struct rw_semaphore *sem)
{
	spin_lock(&sem->lock);
	sem->count = 0;
	rwsem_release(sem);
}

void downgrade_write(struct rw_semaphore *sem)
{
	spin_lock(&sem->lock);
	sem->count = 1;
	rwsem_release(sem);
}
