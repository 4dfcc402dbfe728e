/* SPDX-License-Identifier: MIT */
/*
 * native.h - the native machine: guests are Linux processes of the host, and this kernel, mapped
 * at one address in all of them, owns their memory.
 *
 *   host process            struct hmm: a host address space; its mappings below KERNEL_BASE are
 *     |                     the TLB of hmm->mm
 *     +- host thread        struct native_task at the low end of its kernel stack, which is also its
 *                           host alternate signal stack, in a block aligned to its size
 *
 *   +------------------+ kstack + KSTACK_SIZE
 *   | host signal frame|   the guest's registers while it is in the kernel
 *   | kernel frames    |
 *   |        v         |
 *   +------------------+
 *   | struct native_task
 *   +------------------+ kstack (current() = %rsp & ~(KSTACK_SIZE - 1))
 *
 * A task is in one of three states:
 *   USER    guest code runs; the host mappings must be right
 *   KERNEL  holds a virtual CPU (a token); never looks at guest memory through host mappings
 *   HOST    in a host call that may block; holds no token and no lock; signals interrupt it
 *
 * Kernel mode reaches guest memory only through page tables and direct map (mm.h: copy_to_mm,
 * pin_user_pages), so flushes need to interrupt only tasks in state USER; a task coming back to USER
 * performs what was asked meanwhile.
 */
#ifndef NATIVE_NATIVE_H
#define NATIVE_NATIVE_H

#include <quire/sched.h>
#include <quire/unistd.h>

#include "host.h"
#include "shared.h"

#define KSTACK_ORDER 3
#define KSTACK_SIZE (PAGE_SIZE << KSTACK_ORDER)

enum task_state { TASK_USER, TASK_KERNEL, TASK_HOST };

/* Bits of native_task.work: something to do before the task returns to USER. */
#define WORK_KILL 1u  /* the thread group is exiting, or this thread must go (exec) */
#define WORK_STOP 2u  /* group stop asked for: native_task.stop_signal */
#define WORK_FLUSH 4u /* the hmm has flush requests */
#define WORK_EXEC 8u  /* another thread's exec continues on this one, the host leader */

struct hmm;

/* A guest signal received and not yet delivered; layout of the host's siginfo_t. */
struct host_siginfo {
	s32 si_signo, si_errno, si_code, pad;
	u64 fields[14];
};

/* The host's sigcontext and ucontext, as in a 64-bit signal frame. */
struct host_sigcontext {
	u64 r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2;
	u64 fpstate; /* address of the FXSAVE/XSAVE image */
	u64 reserved1[8];
};

struct host_stack {
	u64 ss_sp;
	s32 ss_flags, pad;
	u64 ss_size;
};

struct host_ucontext {
	u64 uc_flags, uc_link;
	struct host_stack uc_stack;
	struct host_sigcontext uc_mcontext;
	u64 uc_sigmask;
};

struct native_task {
	struct task_struct task; /* first */
	struct hmm *hmm;
	u32 state;		 /* enum task_state */
	u32 work;		 /* WORK_* */
	u32 cpu;		 /* token held, valid in KERNEL */
	u32 last_cpu;
	bool is_service;	 /* not a guest: the command or the keeper calling into the core */
	bool has_signal;	 /* siginfo waits for delivery */
	struct host_siginfo siginfo;
	struct host_ucontext *uc; /* frame of the entry into the kernel */
	bool restart;		 /* the host call in flight must be restarted after delivery */
	u32 temp_mask_set;	 /* sigsuspend & co: blocked was replaced for one call */
	int stop_signal;
	u64 io_dev;		 /* machine_block_rw() on this device may use io_fd directly */
	int io_fd;
	u32 dead;		 /* set by the last instruction that uses this stack */
	struct native_task *dead_next;
	u32 park;		 /* leader waits here when its thread has exited before the group */
	struct exec_handover *handover;
	u64 enter_tsc;
	unsigned long trace_nr;
};

#define current_native() ((struct native_task *)((unsigned long)__builtin_frame_address(0) &       \
						 ~(KSTACK_SIZE - 1)))

/*
 * A host call that cannot block and touches only kernel memory: plain host_syscall(...).
 *
 * A host call that may block: gives the token back, lets the guest's signals interrupt it, takes a
 * token again. All pointers among the arguments point to kernel memory (direct map, kmalloc) that
 * nobody frees meanwhile; no lock is held. Result as the host's; when a signal of the guest came
 * it may be -EINTR, or -ERESTARTSYS, which the caller must return unchanged as its result: the system
 * call is then restarted after the signal was handled (so nothing may have been consumed).
 */
long host_call(long nr, long a, long b, long c, long d, long e, long f);

/* trap.c and signal.c */
void native_kick(struct native_task *t);	/* make a task in USER or HOST enter the kernel */
u64 native_host_mask(u64 guest_mask);		/* what the host blocks for it */

/* Numbers of descriptors that belong to the machine, in every guest process, are at or above it. */
extern int native_fd_floor;
static inline bool native_fd_reserved(unsigned long fd)
{
	return (unsigned int)fd >= (unsigned int)native_fd_floor;
}

/* hostcall.c: system calls that reach the host. -ENOSYS for those unknown (and counted). */
long hostcall(struct native_task *t, unsigned long nr, const unsigned long *args);
/* fileio.c: calls on descriptors that may concern cached files; SYSCALL_NOT_OURS: none of its. */
long fileio_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);
/* pathcall.c: calls whose path may lead to a /proc file of ours; SYSCALL_NOT_OURS if not. */
long pathcall_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);

/*
 * file.c. The cached inode behind fd with a reference, or NULL; st is filled in (-> return of fstat in *err).
 */
struct inode *native_cached_inode(int fd, struct host_stat *st, long *err);
/* After the machine itself changed the host file: take over its new size and change time. */
void native_inode_changed(struct inode *inode, int fd);

#endif
