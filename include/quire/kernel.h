/* SPDX-License-Identifier: MIT */
/*
 * The small words every file uses: attributes, single accesses, alignment and
 * comparison. Nothing here has state or takes a lock.
 *
 * Where libc spells the same macro (static_assert, __always_inline), ours gives
 * way, so that a hosted file may include both in any order.
 */
#ifndef QUIRE_KERNEL_H
#define QUIRE_KERNEL_H

#include <stddef.h>

#include <quire/types.h>

#ifndef INT_MAX
#define INT_MAX ((int)(~0U >> 1))
#define INT_MIN (-INT_MAX - 1)
#define UINT_MAX (~0U)
#endif
#ifndef LONG_MAX
#define LONG_MAX ((long)(~0UL >> 1))
#define LONG_MIN (-LONG_MAX - 1)
#define ULONG_MAX (~0UL)
#endif

/* Attributes. */
#ifndef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#endif
#ifndef noinline
#define noinline __attribute__((__noinline__))
#endif
#ifndef __noreturn
#define __noreturn __attribute__((__noreturn__))
#endif
#ifndef __must_check
#define __must_check __attribute__((__warn_unused_result__))
#endif
#ifndef __printf
#define __printf(fmt, args) __attribute__((__format__(__printf__, fmt, args)))
#endif
#ifndef __aligned
#define __aligned(n) __attribute__((__aligned__(n)))
#endif
#ifndef __packed
#define __packed __attribute__((__packed__))
#endif
#ifndef __maybe_unused
#define __maybe_unused __attribute__((__unused__))
#endif
#ifndef __section
#define __section(name) __attribute__((__section__(name)))
#endif
#ifndef __used
#define __used __attribute__((__used__))
#endif
#ifndef __weak
#define __weak __attribute__((__weak__))
#endif
#ifndef __cold
#define __cold __attribute__((__cold__))
#endif
#ifndef fallthrough
#define fallthrough __attribute__((__fallthrough__))
#endif

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif
#ifndef unreachable
#define unreachable() __builtin_unreachable()
#endif

/* The message is optional, as in C23. */
#ifndef static_assert
#define static_assert(expr, ...) quire_static_assert(expr, ##__VA_ARGS__, #expr)
#define quire_static_assert(expr, msg, ...) _Static_assert(expr, msg)
#endif
#ifndef BUILD_BUG_ON
#define BUILD_BUG_ON(cond) _Static_assert(!(cond), "BUILD_BUG_ON: " #cond)
#endif

/*
 * One access, neither torn, repeated nor invented by the compiler. They order
 * nothing else; for that see atomic.h.
 */
#ifndef READ_ONCE
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, val)                               \
	do {                                             \
		*(volatile __typeof__(x) *)&(x) = (val); \
	} while (0)
#endif
/* The compiler is not to know what is in the variable. */
#ifndef OPTIMIZER_HIDE_VAR
#define OPTIMIZER_HIDE_VAR(var) __asm__("" : "+r"(var))
#endif
#ifndef barrier
#define barrier() __asm__ __volatile__("" ::: "memory")
#endif

/* Structures and arrays. */
#ifndef container_of
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#endif
#ifndef offsetofend
#define sizeof_field(type, member) sizeof(((type *)0)->member)
#define offsetofend(type, member) (offsetof(type, member) + sizeof_field(type, member))
#endif
#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

/* Alignment: `a` is a power of two. round_up/round_down are the same operation. */
#define __ALIGN_MASK(x, mask) (((x) + (mask)) & ~(mask))
#define ALIGN(x, a) __ALIGN_MASK(x, (__typeof__(x))(a)-1)
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)
#define PTR_ALIGN(p, a) ((__typeof__(p))ALIGN((unsigned long)(p), a))
#define PTR_ALIGN_DOWN(p, a) ((__typeof__(p))ALIGN_DOWN((unsigned long)(p), a))
#define round_up(x, a) ALIGN(x, a)
#define round_down(x, a) ALIGN_DOWN(x, a)

/* Any divisor. */
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
#define roundup(x, y) (DIV_ROUND_UP(x, y) * (y))
#define rounddown(x, y) ((x) - (x) % (y))

#ifndef BIT
#define BIT(nr) (1UL << (nr))
#endif
/* Bits h..l, both included. */
#ifndef GENMASK
#define GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (sizeof(long) * 8 - 1 - (h))))
#endif

/*
 * Each argument is evaluated once. The names come from __COUNTER__ so that one
 * comparison may stand inside another.
 */
#define __cmp_pick(op, x, y, ux, uy)  \
	({                            \
		__auto_type ux = (x); \
		__auto_type uy = (y); \
		ux op uy ? ux : uy;   \
	})
#define __cmp_cat2(a, b) a##b
#define __cmp_cat(a, b) __cmp_cat2(a, b)
#define __cmp_once(op, x, y, id) __cmp_pick(op, x, y, __cmp_cat(__ux, id), __cmp_cat(__uy, id))
#ifndef min
#define min(x, y) __cmp_once(<, x, y, __COUNTER__)
#endif
#ifndef max
#define max(x, y) __cmp_once(>, x, y, __COUNTER__)
#endif
#define min_t(type, x, y) min((type)(x), (type)(y))
#define max_t(type, x, y) max((type)(x), (type)(y))
#define min3(x, y, z) min(min(x, y), z)
#define max3(x, y, z) max(max(x, y), z)
#define clamp(val, lo, hi) min(max(val, lo), hi)
#define clamp_t(type, val, lo, hi) min_t(type, max_t(type, val, lo), hi)

#define __swap_once(a, b, tmp)         \
	do {                           \
		__auto_type tmp = (a); \
		(a) = (b);             \
		(b) = tmp;             \
	} while (0)
#ifndef swap
#define swap(a, b) __swap_once(a, b, __cmp_cat(__swap_tmp, __COUNTER__))
#endif

#include <quire/bitops.h>

static inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

/* The smallest power of two >= n; n is 1 .. 2^(BITS_PER_LONG - 1). */
static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	return n <= 1 ? 1 : 1UL << fls64(n - 1);
}

/* The largest power of two <= n; n is not 0. */
static inline unsigned long rounddown_pow_of_two(unsigned long n)
{
	return 1UL << (fls64(n) - 1);
}

#endif
