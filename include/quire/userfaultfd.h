/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd.h - the ABI of userfaultfd(2): numbers and structures as programs pass them on x86-64.
 */
#ifndef QUIRE_USERFAULTFD_H
#define QUIRE_USERFAULTFD_H

#include <quire/types.h>

#define UFFD_API 0xaaull
#define UFFD_USER_MODE_ONLY 1u /* of the flags of the system call */

/* Of /dev/userfaultfd: a new descriptor; the argument is the flags. */
#define USERFAULTFD_IOC_NEW 0xaa00u

enum {
	_UFFDIO_REGISTER = 0x00,
	_UFFDIO_UNREGISTER = 0x01,
	_UFFDIO_WAKE = 0x02,
	_UFFDIO_COPY = 0x03,
	_UFFDIO_ZEROPAGE = 0x04,
	_UFFDIO_MOVE = 0x05,
	_UFFDIO_WRITEPROTECT = 0x06,
	_UFFDIO_CONTINUE = 0x07,
	_UFFDIO_POISON = 0x08,
	_UFFDIO_API = 0x3f,
};

struct uffdio_api {
	u64 api;
	u64 features; /* in: wanted; out: all there are */
	u64 ioctls;
};

struct uffdio_range {
	u64 start;
	u64 len;
};

struct uffdio_register {
	struct uffdio_range range;
	u64 mode;
	u64 ioctls; /* out */
};

struct uffdio_copy {
	u64 dst, src, len;
	u64 mode;
	s64 copy; /* out: bytes, or a negative errno */
};

/* UFFDIO_ZEROPAGE, CONTINUE, POISON. */
struct uffdio_fill {
	struct uffdio_range range;
	u64 mode;
	s64 done; /* out */
};

struct uffdio_writeprotect {
	struct uffdio_range range;
	u64 mode;
};

#define UFFDIO_IOC(dir, nr, type) ((u32)(dir) << 30 | (u32)sizeof(type) << 16 | 0xaa00u | (u32)(nr))
#define UFFDIO_API UFFDIO_IOC(3, _UFFDIO_API, struct uffdio_api)
#define UFFDIO_REGISTER UFFDIO_IOC(3, _UFFDIO_REGISTER, struct uffdio_register)
#define UFFDIO_UNREGISTER UFFDIO_IOC(2, _UFFDIO_UNREGISTER, struct uffdio_range)
#define UFFDIO_WAKE UFFDIO_IOC(2, _UFFDIO_WAKE, struct uffdio_range)
#define UFFDIO_COPY UFFDIO_IOC(3, _UFFDIO_COPY, struct uffdio_copy)
#define UFFDIO_ZEROPAGE UFFDIO_IOC(3, _UFFDIO_ZEROPAGE, struct uffdio_fill)
#define UFFDIO_MOVE UFFDIO_IOC(3, _UFFDIO_MOVE, struct uffdio_copy)
#define UFFDIO_WRITEPROTECT UFFDIO_IOC(3, _UFFDIO_WRITEPROTECT, struct uffdio_writeprotect)
#define UFFDIO_CONTINUE UFFDIO_IOC(3, _UFFDIO_CONTINUE, struct uffdio_fill)
#define UFFDIO_POISON UFFDIO_IOC(3, _UFFDIO_POISON, struct uffdio_fill)

#define UFFDIO_REGISTER_MODE_MISSING (1ull << 0)
#define UFFDIO_REGISTER_MODE_WP (1ull << 1)
#define UFFDIO_REGISTER_MODE_MINOR (1ull << 2)

#define UFFDIO_MODE_DONTWAKE (1ull << 0) /* COPY, ZEROPAGE, MOVE, CONTINUE, POISON */
#define UFFDIO_MODE_WP (1ull << 1) /* COPY, CONTINUE */
#define UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES (1ull << 1)
#define UFFDIO_WRITEPROTECT_MODE_WP (1ull << 0)
#define UFFDIO_WRITEPROTECT_MODE_DONTWAKE (1ull << 1)

#define UFFD_FEATURE_PAGEFAULT_FLAG_WP (1u << 0)
#define UFFD_FEATURE_EVENT_FORK (1u << 1)
#define UFFD_FEATURE_EVENT_REMAP (1u << 2)
#define UFFD_FEATURE_EVENT_REMOVE (1u << 3)
#define UFFD_FEATURE_MISSING_HUGETLBFS (1u << 4)
#define UFFD_FEATURE_MISSING_SHMEM (1u << 5)
#define UFFD_FEATURE_EVENT_UNMAP (1u << 6)
#define UFFD_FEATURE_SIGBUS (1u << 7)
#define UFFD_FEATURE_THREAD_ID (1u << 8)
#define UFFD_FEATURE_MINOR_HUGETLBFS (1u << 9)
#define UFFD_FEATURE_MINOR_SHMEM (1u << 10)
#define UFFD_FEATURE_EXACT_ADDRESS (1u << 11)
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1u << 12)
#define UFFD_FEATURE_WP_UNPOPULATED (1u << 13)
#define UFFD_FEATURE_POISON (1u << 14)
#define UFFD_FEATURE_WP_ASYNC (1u << 15)
#define UFFD_FEATURE_MOVE (1u << 16)

enum {
	UFFD_EVENT_PAGEFAULT = 0x12,
	UFFD_EVENT_FORK,
	UFFD_EVENT_REMAP,
	UFFD_EVENT_REMOVE,
	UFFD_EVENT_UNMAP,
};

#define UFFD_PAGEFAULT_FLAG_WRITE (1u << 0)
#define UFFD_PAGEFAULT_FLAG_WP (1u << 1)
#define UFFD_PAGEFAULT_FLAG_MINOR (1u << 2)

/* What read() gives. */
struct uffd_msg {
	u8 event;
	u8 reserved1;
	u16 reserved2;
	u32 reserved3;
	union {
		struct {
			u64 flags;
			u64 address;
			u64 ptid; /* thread id, the upper half 0 */
		} pagefault;
		struct {
			u64 ufd; /* descriptor, the upper half 0 */
		} fork;
		struct {
			u64 from, to, len;
		} remap;
		struct {
			u64 start, end;
		} remove; /* and unmap */
	} arg;
};
_Static_assert(sizeof(struct uffd_msg) == 32, "struct uffd_msg");

#endif
