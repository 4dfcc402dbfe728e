/* SPDX-License-Identifier: MIT */
/* err.h - a pointer that may carry a negative errno in the last page of the address space. */
#ifndef QUIRE_ERR_H
#define QUIRE_ERR_H

#include <quire/errno.h>
#include <quire/types.h>

#define IS_ERR_VALUE(x) ((unsigned long)(x) >= (unsigned long)-MAX_ERRNO)

static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline long PTR_ERR(const void *ptr)
{
	return (long)ptr;
}

static inline bool IS_ERR(const void *ptr)
{
	return IS_ERR_VALUE(ptr);
}

static inline bool IS_ERR_OR_NULL(const void *ptr)
{
	return !ptr || IS_ERR_VALUE(ptr);
}

#endif
