/* SPDX-License-Identifier: MIT */
/*
 * host.h - system calls to the host kernel, from the guest kernel's own text (which user dispatch
 * lets pass), and the host's structures that they take.
 */
#ifndef NATIVE_HOST_H
#define NATIVE_HOST_H

#include <quire/types.h>
#include <quire/unistd.h>

/* Without a record for the reaper (reaper.c): on stacks that are not the kernel's. */
static inline long host_syscall_raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

long host_syscall6(long nr, long a, long b, long c, long d, long e, long f);

/* host_syscall(nr, up to six arguments of any scalar type): the raw result, negative errno. */
#define host_syscall(...) HOST_SYSCALL_N(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define host_syscall_raw(...) HOST_SYSCALL_RAW_N(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define HOST_SYSCALL_RAW_N(nr, a, b, c, d, e, f, ...)                                        \
	host_syscall_raw6((long)(nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), \
			  (long)(f))
#define HOST_SYSCALL_N(nr, a, b, c, d, e, f, ...) \
	host_syscall6((long)(nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

struct host_timespec {
	s64 tv_sec, tv_nsec;
};

struct host_stat {
	u64 st_dev, st_ino, st_nlink;
	u32 st_mode, st_uid, st_gid, pad0;
	u64 st_rdev;
	s64 st_size, st_blksize, st_blocks;
	struct host_timespec st_atim, st_mtim, st_ctim;
	s64 unused[3];
};

struct host_statfs {
	long f_type, f_bsize;
	u64 f_blocks, f_bfree, f_bavail, f_files, f_ffree, f_fsid;
	long f_namelen, f_frsize, f_flags, f_spare[4];
};
#define HOST_ST_NOEXEC 8

struct host_iovec {
	unsigned long base;
	size_t len;
};

#define HOST_S_IFMT 0170000u
#define HOST_S_IFIFO 0010000u
#define HOST_S_IFDIR 0040000u
#define HOST_S_IFREG 0100000u
#define HOST_S_ISREG(m) (((m)&HOST_S_IFMT) == 0100000u)
#define HOST_S_ISDIR(m) (((m)&HOST_S_IFMT) == 0040000u)
#define HOST_S_ISCHR(m) (((m)&HOST_S_IFMT) == 0020000u)

#define HOST_O_WRONLY 01
#define HOST_O_RDWR 02
#define HOST_O_ACCMODE 03
#define HOST_O_CREAT 0100
#define HOST_O_TRUNC 01000
#define HOST_O_APPEND 02000
#define HOST_O_DIRECTORY 0200000
#define HOST_O_CLOEXEC 02000000
#define HOST_O_PATH 010000000
#define HOST_O_NONBLOCK 04000
#define HOST_F_SETFL 4
#define HOST_F_SETPIPE_SZ 1031
#define HOST_F_GETPIPE_SZ 1032
#define HOST_F_ADD_SEALS 1033
#define HOST_F_GET_SEALS 1034
#define HOST_F_SEAL_SEAL 0x1
#define HOST_F_SEAL_WRITE 0x8
#define HOST_F_SEAL_FUTURE_WRITE 0x10
#define HOST_F_ALL_SEALS 0x3fu
#define HOST_AT_FDCWD (-100)
#define HOST_AT_EMPTY_PATH 0x1000

#endif
