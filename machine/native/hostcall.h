/* SPDX-License-Identifier: MIT */
/*
 * hostcall.h - handing a guest's system call to the host.
 *
 * The host does not know the guest's memory, so each pointer among the arguments is replaced by one
 * to a copy in kernel memory. hostcall_table[] says for each call what its arguments are; calls
 * that no such description fits have a function of their own (enum hostcall_special).
 *
 * What the guest got wrong is left to the host to say, so that errors come in Linux's order: a
 * pointer that cannot be read becomes HC_BAD_PTR, a descriptor of the machine becomes -1.
 */
#ifndef NATIVE_HOSTCALL_H
#define NATIVE_HOSTCALL_H

#include <quire/kernel.h>
#include <quire/types.h>

/* ---- The table --------------------------------------------------------------------------- */

enum hostcall_class {
	HC_UNKNOWN, /* no such call */
	HC_CORE, /* answered by linux/ or the tasks and signals of this machine */
	HC_PLAIN, /* as arg[] says */
	HC_SPECIAL, /* by hostcall_desc.special */
};

enum hostcall_special {
	HCS_NONE,
	HCS_RW, /* read, write, readv ... pwritev2, vmsplice */
	HCS_MSG, /* send*, recv* */
	HCS_GETRANDOM,
	HCS_IOCTL,
	HCS_FCNTL,
	HCS_SELECT, /* select, pselect6 */
	HCS_POLL, /* poll, ppoll */
	HCS_EPOLL, /* epoll_wait, epoll_pwait, epoll_pwait2 */
	HCS_FDPAIR, /* pipe, pipe2, socketpair */
	HCS_CLOSE_RANGE,
	HCS_SOCKOPT, /* getsockopt, setsockopt */
	HCS_SEMCTL,
	HCS_SYSV_MSG, /* msgsnd, msgrcv, msgctl */
	HCS_MQ_NOTIFY,
	HCS_KEYCTL,
	HCS_NAME_TO_HANDLE,
	HCS_SCHED_SETATTR,
	HCS_LDT,
	HCS_PERF, /* perf_event_open */
	HCS_PIDFD_SIGNAL,
	HCS_EINTR, /* restart_syscall: never the guest's to call */
	HCS_EPERM, /* would replace or end what the machine runs on */
	NR_HOSTCALL_SPECIALS,
};

enum hostcall_flags {
	HCF_BLOCK = 1, /* may block: the virtual CPU is given back meanwhile */
	HCF_IF_POSITIVE = 2, /* results are copied out only if the call's result is above 0 */
	HCF_FD_RESULT =
		4, /* the result is a new descriptor: closed again if results cannot be stored */
};

/* Kinds of arguments. "len" is the value of argument number idx, times size where size is not 0. */
enum hostcall_arg {
	HA_NONE, /* not there: 0 is passed */
	HA_VAL, /* number */
	HA_FD, /* descriptor, also AT_FDCWD */
	HA_STR, /* path or other text; longer than Linux permits is cut, still too long for it */
	HA_IN, /* size bytes read */
	HA_IN_MAY, /* at most size bytes read, as many as can be, at least 8 * idx */
	HA_OUT, /* size bytes written on success */
	HA_OUT_INTR, /* size bytes written when a signal ended the call (time left) */
	HA_INOUT, /* size bytes read, and some written, also on errors */
	HA_UPDATE, /* size bytes, some of which are written; index 1: all must be readable, 2: none is read */
	HA_IN_LEN, /* len bytes read */
	HA_OUT_LEN, /* len bytes, some of which are written on success */
	HA_OUT_RET, /* len bytes, of which the result says how many are written */
	HA_OUT_RETI, /* the same, and len is an int: negative ones are refused */
	HA_VR, /* value-result: argument idx points to the length (int), is HA_VR_LEN */
	HA_VR_LEN,
	HA_SIGSET, /* a signal set that the host may not follow to the letter */
	HA_ANY, /* unknown: up to size bytes copied in, what changed copied out */
};

#define HA_ARG(kind, idx, size) ((u32)(kind) | (u32)(idx) << 5 | (u32)(size) << 8)
#define HA_KIND(arg) ((enum hostcall_arg)((arg)&31))
#define HA_IDX(arg) ((arg) >> 5 & 7)
#define HA_SIZE(arg) ((arg) >> 8)

struct hostcall_desc {
	const char *name;
	u8 class;
	u8 special;
	u8 flags;
	u32 arg[6];
};

#define NR_HOSTCALLS 470
extern const struct hostcall_desc hostcall_table[NR_HOSTCALLS];
/* "read", or NULL for a number that is no call. */
const char *hostcall_name(unsigned long nr);

#endif
