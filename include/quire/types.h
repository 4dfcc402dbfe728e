/* SPDX-License-Identifier: MIT */
/*
 * types.h - the integer types of the core, spelled as Linux spells them.
 *
 * The names that a hosted C library also defines (loff_t, pid_t ...) have the same underlying
 * type as in glibc on x86-64, so that a unit test may include both.
 */
#ifndef QUIRE_TYPES_H
#define QUIRE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

typedef unsigned int gfp_t; /* allocation flags, gfp.h */
typedef unsigned long pgoff_t; /* index in pages within an object */
typedef unsigned long vm_flags_t;
typedef u64 phys_addr_t; /* bytes */
typedef unsigned int vm_fault_t; /* VM_FAULT_* bits, mm.h */

typedef long loff_t;
typedef long ssize_t;
typedef int pid_t;

#endif
