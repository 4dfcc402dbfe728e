/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - Linux's atomic_t and atomic_long_t over the compiler's __atomic builtins.
 *
 * As in Linux: operations that return a value are fully ordered, the others are relaxed.
 */
#ifndef QUIRE_ATOMIC_H
#define QUIRE_ATOMIC_H

#include <quire/types.h>

typedef struct {
	int counter;
} atomic_t;
typedef struct {
	long counter;
} atomic_long_t;

#define ATOMIC_INIT(i) \
	{              \
		(i)    \
	}

#define QUIRE_ATOMIC_OPS(pfx, typ, val)                                                       \
	static inline val pfx##_read(const typ *v)                                            \
	{                                                                                     \
		return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);                        \
	}                                                                                     \
	static inline void pfx##_set(typ *v, val i)                                           \
	{                                                                                     \
		__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);                           \
	}                                                                                     \
	static inline void pfx##_add(val i, typ *v)                                           \
	{                                                                                     \
		__atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED);                         \
	}                                                                                     \
	static inline void pfx##_sub(val i, typ *v)                                           \
	{                                                                                     \
		__atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED);                         \
	}                                                                                     \
	static inline void pfx##_inc(typ *v)                                                  \
	{                                                                                     \
		pfx##_add(1, v);                                                              \
	}                                                                                     \
	static inline void pfx##_dec(typ *v)                                                  \
	{                                                                                     \
		pfx##_sub(1, v);                                                              \
	}                                                                                     \
	static inline val pfx##_add_return(val i, typ *v)                                     \
	{                                                                                     \
		return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);                  \
	}                                                                                     \
	static inline val pfx##_sub_return(val i, typ *v)                                     \
	{                                                                                     \
		return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST);                  \
	}                                                                                     \
	static inline val pfx##_inc_return(typ *v)                                            \
	{                                                                                     \
		return pfx##_add_return(1, v);                                                \
	}                                                                                     \
	static inline val pfx##_dec_return(typ *v)                                            \
	{                                                                                     \
		return pfx##_sub_return(1, v);                                                \
	}                                                                                     \
	static inline bool pfx##_dec_and_test(typ *v)                                         \
	{                                                                                     \
		return pfx##_sub_return(1, v) == 0;                                           \
	}                                                                                     \
	static inline bool pfx##_sub_and_test(val i, typ *v)                                  \
	{                                                                                     \
		return pfx##_sub_return(i, v) == 0;                                           \
	}                                                                                     \
	static inline val pfx##_xchg(typ *v, val i)                                           \
	{                                                                                     \
		return __atomic_exchange_n(&v->counter, i, __ATOMIC_SEQ_CST);                 \
	}                                                                                     \
	/* Returns the value found; the exchange took place if that equals old. */            \
	static inline val pfx##_cmpxchg(typ *v, val old, val new_)                            \
	{                                                                                     \
		__atomic_compare_exchange_n(&v->counter, &old, new_, false, __ATOMIC_SEQ_CST, \
					    __ATOMIC_SEQ_CST);                                \
		return old;                                                                   \
	}                                                                                     \
	/* Adds 1 unless the value is 0; says whether it did. */                              \
	static inline bool pfx##_inc_not_zero(typ *v)                                         \
	{                                                                                     \
		val c = pfx##_read(v);                                                        \
		while (c) {                                                                   \
			val seen = pfx##_cmpxchg(v, c, c + 1);                                \
			if (seen == c)                                                        \
				return true;                                                  \
			c = seen;                                                             \
		}                                                                             \
		return false;                                                                 \
	}

QUIRE_ATOMIC_OPS(atomic, atomic_t, int)
QUIRE_ATOMIC_OPS(atomic_long, atomic_long_t, long)

#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_load_acquire(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)

#endif
