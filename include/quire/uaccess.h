/* SPDX-License-Identifier: MIT */
/*
 * uaccess.h - the running program's memory, as system calls reach it.
 *
 * A user's address is a number that nobody has checked. In the core it is an unsigned long, or a pointer
 * marked __user, which only the functions here take; there is no other way from one to what lies there
 * (tools/check-user-pointers.py). Memory of other programs: mm.h, copy_to_mm() and its like, to which
 * these come in the end.
 *
 * All run in the context of a thread with an mm, hold no lock and may sleep: a page that is not there
 * is faulted in as for the program itself, mmap_lock taken for reading.
 */
#ifndef QUIRE_UACCESS_H
#define QUIRE_UACCESS_H

#include <quire/errno.h>
#include <quire/mm.h>
#include <quire/sched.h>
#include <quire/string.h>

/* For sparse, which refuses what is done with such a pointer that is not for it. */
#ifdef __CHECKER__
#define __user __attribute__((noderef, address_space(1)))
#define __force __attribute__((force))
#else
#define __user
#define __force
#endif

/* The thread that runs. */
#define current machine_current()

/* An argument of a system call becomes a pointer; as one to a type: user_ptr(u32, args[0]). */
static inline void __user *u64_to_user_ptr(u64 addr)
{
	return (void __user *)addr;
}
#define user_ptr(type, addr) ((type __user *)u64_to_user_ptr(addr))

static inline unsigned long user_address(const void __user *ptr)
{
	return (__force unsigned long)ptr;
}

/* Whether the n bytes lie where programs have memory; that there is any is not said. */
static inline bool access_ok(const void __user *ptr, unsigned long n)
{
	return n <= TASK_SIZE_MAX && user_address(ptr) <= TASK_SIZE_MAX - n;
}

/* Return the number of bytes not copied, 0: all. */
static inline size_t __must_check copy_to_user(void __user *to, const void *from, size_t n)
{
	return access_ok(to, n) ? copy_to_mm(current->mm, user_address(to), from, n) : n;
}

/* What could not be had is zeros in `to`. */
static inline size_t __must_check copy_from_user(void *to, const void __user *from, size_t n)
{
	size_t left = n;

	if (access_ok(from, n))
		left = copy_from_mm(current->mm, to, user_address(from), n);
	if (unlikely(left))
		memset((char *)to + n - left, 0, left);
	return left;
}

/* Writes zeros. Returns the number of bytes that it did not write. */
static inline size_t __must_check clear_user(void __user *to, size_t n)
{
	return access_ok(to, n) ? clear_mm(current->mm, user_address(to), n) : n;
}

/*
 * A string of at most count bytes with its NUL, if there is one among them. Its length without that; count:
 * there is none; -EFAULT.
 */
static inline long __must_check strncpy_from_user(char *dst, const char __user *src, long count)
{
	if (count <= 0)
		return 0;
	return access_ok(src, 0) ? strncpy_from_mm(current->mm, dst, user_address(src), count)
				 : -EFAULT;
}

/* The size of a string with its NUL; more than n: there is none among n bytes; 0: a fault. */
static inline long strnlen_user(const char __user *str, long n)
{
	return n > 0 ? strnlen_mm(current->mm, user_address(str), n) : 0;
}

static inline int __must_check get_user_scalar(u64 *value, const void __user *ptr, size_t size)
{
	*value = 0;
	return copy_from_user(value, ptr, size) ? -EFAULT : 0;
}

static inline int __must_check put_user_scalar(u64 value, void __user *ptr, size_t size)
{
	return copy_to_user(ptr, &value, size) ? -EFAULT : 0;
}

#define check_scalar(ptr) \
	_Static_assert(sizeof(*(ptr)) <= 8 && !(sizeof(*(ptr)) & (sizeof(*(ptr)) - 1)), "scalar")

/* One number of the size that ptr says. 0; -EFAULT: and x is 0. */
#define get_user(x, ptr)                                                    \
	({                                                                  \
		u64 _value;                                                 \
		int _err = get_user_scalar(&_value, (ptr), sizeof(*(ptr))); \
		check_scalar(ptr);                                          \
		(x) = (__force __typeof__(*(ptr)))_value;                   \
		_err;                                                       \
	})
/* 0 or -EFAULT. */
#define put_user(x, ptr)                                                                      \
	({                                                                                    \
		check_scalar(ptr);                                                            \
		put_user_scalar((u64)(__force __typeof__(*(ptr)))(x), (ptr), sizeof(*(ptr))); \
	})
/* Linux's for who has asked access_ok() before: here the walk of the tables asks anyway. */
#define __get_user(x, ptr) get_user(x, ptr)
#define __put_user(x, ptr) put_user(x, ptr)

#endif
