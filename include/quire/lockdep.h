/* SPDX-License-Identifier: MIT */
/*
 * lockdep.h - debug builds check the order of locks that ARCHITECTURE.md documents.
 *
 * Each place that takes a lock has a class, found from how it names the lock (mm/lockdep.c). Classes
 * are ordered from outer to inner; a lock may be taken if all that are held are of classes further
 * out. What is only tried is never wrong, but counts as held.
 */
#ifndef QUIRE_LOCKDEP_H
#define QUIRE_LOCKDEP_H

#include <quire/types.h>

#define MAX_HELD_LOCKS 16

/* What one thread of the machine holds. */
struct held_locks {
	unsigned int nr;
	struct {
		const void *lock;
		unsigned int class;
	} lock[MAX_HELD_LOCKS];
};

/* The port's, of the caller: debug builds only. Any context. */
struct held_locks *machine_held_locks(void);

unsigned int lockdep_class(const char *text, const char *file);
void lockdep_acquire(const void *lock, unsigned int class, bool tried);
void lockdep_release(const void *lock);
/* One thread less holds it, which need not be the caller. False: it did not. */
bool lockdep_forget(struct held_locks *held, const void *lock);
/* The caller is about to do what may sleep: it may hold no spinlock. */
#ifdef CONFIG_DEBUG_VM
void lockdep_may_sleep(void);
#else
static inline void lockdep_may_sleep(void)
{
}
#endif

/* The class of this place, looked up once. */
#define LOCK_CLASS(lock)                                         \
	({                                                       \
		static unsigned int class_;                      \
                                                                 \
		if (!class_)                                     \
			class_ = lockdep_class(#lock, __FILE__); \
		class_;                                          \
	})

#define LOCKDEP_LOCK(take, lock)                                  \
	do {                                                      \
		lockdep_acquire((lock), LOCK_CLASS(lock), false); \
		(take)(lock);                                     \
	} while (0)

#define LOCKDEP_TRY(take, lock)                                          \
	({                                                               \
		bool got_ = (take)(lock);                                \
                                                                         \
		if (got_)                                                \
			lockdep_acquire((lock), LOCK_CLASS(lock), true); \
		got_;                                                    \
	})

#define LOCKDEP_UNLOCK(give, lock)       \
	do {                             \
		lockdep_release((lock)); \
		(give)(lock);            \
	} while (0)

#endif
