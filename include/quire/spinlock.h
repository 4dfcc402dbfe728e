/* SPDX-License-Identifier: MIT */
/*
 * spinlock.h, and the two sleeping locks of the core.
 *
 * spinlock_t   short critical sections; the holder may not sleep. On a machine whose virtual CPUs
 *              can be descheduled the waiter asks machine_relax() to give way.
 * struct mutex, struct rw_semaphore   may sleep in machine_wait(); the holder may sleep. The order
 *              in which locks nest is written at the head of mm/memory.c.
 *
 * Interrupts: the core takes its spinlocks with machine_irq_save() around them wherever an
 * interrupt handler may take the same lock (page allocator, slab). Ports without interrupts in
 * kernel mode define it as nothing.
 */
#ifndef QUIRE_SPINLOCK_H
#define QUIRE_SPINLOCK_H

#include <quire/atomic.h>
#include <quire/lockdep.h>
#include <quire/machine.h>

typedef struct {
	u32 locked;
} spinlock_t;

#define SPINLOCK_INIT \
	{             \
		0     \
	}

static inline void spin_lock_init(spinlock_t *lock)
{
	lock->locked = 0;
}

static inline bool spin_trylock(spinlock_t *lock)
{
	return !__atomic_load_n(&lock->locked, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE);
}

static inline void spin_lock(spinlock_t *lock)
{
	unsigned int spins = 0;

	while (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock->locked, __ATOMIC_RELAXED))
			machine_relax(spins++);
}

static inline void spin_unlock(spinlock_t *lock)
{
	__atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}

/* locking.c itself is not checked. */
#if defined(CONFIG_DEBUG_VM) && !defined(LOCKDEP_OFF)
#define spin_lock(lock) LOCKDEP_LOCK(spin_lock, lock)
#define spin_trylock(lock) LOCKDEP_TRY(spin_trylock, lock)
#define spin_unlock(lock) LOCKDEP_UNLOCK(spin_unlock, lock)
#endif

#define spin_lock_irqsave(lock, flags)        \
	do {                                  \
		(flags) = machine_irq_save(); \
		spin_lock(lock);              \
	} while (0)
#define spin_unlock_irqrestore(lock, flags) \
	do {                                \
		spin_unlock(lock);          \
		machine_irq_restore(flags); \
	} while (0)

/* 0 free, 1 held, 2 held and somebody may sleep on it. */
struct mutex {
	u32 state;
};

#define MUTEX_INIT \
	{          \
		0  \
	}

void mutex_init(struct mutex *lock);
/* May sleep. Not recursive. */
void mutex_lock(struct mutex *lock);
bool mutex_trylock(struct mutex *lock);
void mutex_unlock(struct mutex *lock);

/*
 * Many readers or one writer. A waiting writer keeps new readers out, so a reader must not take
 * it a second time.
 */
struct rw_semaphore {
	s32 count; /* readers inside, or -1 for a writer */
	u32 waiters_w; /* writers waiting */
	u32 seq; /* bumped at each release that may let a waiter in; the word slept on */
	spinlock_t lock;
};

void init_rwsem(struct rw_semaphore *sem);
void down_read(struct rw_semaphore *sem);
bool down_read_trylock(struct rw_semaphore *sem);
/* The same for who may be what a waiting writer waits for: ahead of it. */
bool down_read_try_ahead(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);
void downgrade_write(struct rw_semaphore *sem);

#if defined(CONFIG_DEBUG_VM) && !defined(LOCKDEP_OFF)
#define mutex_lock(lock) LOCKDEP_LOCK(mutex_lock, lock)
#define mutex_trylock(lock) LOCKDEP_TRY(mutex_trylock, lock)
#define mutex_unlock(lock) LOCKDEP_UNLOCK(mutex_unlock, lock)
#define down_read(sem) LOCKDEP_LOCK(down_read, sem)
#define down_read_trylock(sem) LOCKDEP_TRY(down_read_trylock, sem)
#define down_read_try_ahead(sem) LOCKDEP_TRY(down_read_try_ahead, sem)
#define up_read(sem) LOCKDEP_UNLOCK(up_read, sem)
#define down_write(sem) LOCKDEP_LOCK(down_write, sem)
#define up_write(sem) LOCKDEP_UNLOCK(up_write, sem)
#endif

#endif
