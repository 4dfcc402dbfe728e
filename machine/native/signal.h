/* SPDX-License-Identifier: MIT */
/* signal.h - signal numbers, flags, and what trap.c and signal.c ask of each other. */
#ifndef NATIVE_SIGNAL_H
#define NATIVE_SIGNAL_H

#include "native.h"

enum {
	SIGHUP = 1,
	SIGINT,
	SIGQUIT,
	SIGILL,
	SIGTRAP,
	SIGABRT,
	SIGBUS,
	SIGFPE,
	SIGKILL,
	SIGUSR1,
	SIGSEGV,
	SIGUSR2,
	SIGPIPE,
	SIGALRM,
	SIGTERM,
	SIGSTKFLT,
	SIGCHLD,
	SIGCONT,
	SIGSTOP,
	SIGTSTP,
	SIGTTIN,
	SIGTTOU,
	SIGURG,
	SIGXCPU,
	SIGXFSZ,
	SIGVTALRM,
	SIGPROF,
	SIGWINCH,
	SIGIO,
	SIGPWR,
	SIGSYS,
};

#define SIG_DFL 0ul
#define SIG_IGN 1ul

#define SA_NOCLDSTOP 0x1ul
#define SA_NOCLDWAIT 0x2ul
#define SA_SIGINFO 0x4ul
#define SA_ONSTACK 0x08000000ul
#define SA_RESTART 0x10000000ul
#define SA_NODEFER 0x40000000ul
#define SA_RESETHAND 0x80000000ul
#define SA_RESTORER 0x04000000ul

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_QUEUE (-1)
#define SI_TKILL (-6)

#define MINSIGSTKSZ 2048
#define SS_ONSTACK 1
#define SS_DISABLE 2
#define SS_AUTODISARM (1 << 31)

#define SIGBIT(s) (1ull << ((s)-1))
/* Never blocked on the host: a guest's fault, system call or a kick must get through. */
#define SYNC_SIGNALS                                                                            \
	(SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGBUS) | SIGBIT(SIGFPE) | SIGBIT(SIGSEGV) | \
	 SIGBIT(SIGSYS))
/* What the host blocks in kernel mode. */
#define HOST_MASK_KERNEL (~(SYNC_SIGNALS & ~SIGBIT(SIGSYS)))

/* A result of do_syscall(): the registers are as they should be. */
#define SYSCALL_REGS_SET (-100001L)

/* Those of job control that the host queues. */
static inline bool signal_is_job(int sig)
{
	return sig == SIGCONT || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

static inline bool signal_is_sync(int sig)
{
	return SYNC_SIGNALS >> (sig - 1) & 1;
}

/*
 * Whether a SIGSYS was sent by native_kick(), for want of memory perhaps without its sender. A guest's
 * does not come this way: sigsend.c.
 */
static inline bool signal_is_kick(int sig, const struct host_siginfo *si)
{
	return sig == SIGSYS &&
	       (si->si_code == SI_TKILL || (si->si_code == SI_USER && !(s32)si->fields[0]));
}

extern void (*const native_trap_entry)(int, struct host_siginfo *, struct host_ucontext *);

/* deadly.c: what the host would do with SIGKILL and SIGSTOP */
bool signal_is_deadly(long sig);
long deadly_set_pdeath(struct native_task *t, unsigned long sig);
bool deadly_parent_died(struct native_task *t, int sig, const struct host_siginfo *si);
void deadly_do_parent(struct native_task *t);
bool deadly_time_is_up(struct native_task *t);
long deadly_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);

/* sigsend.c */
void sync_raised(struct native_task *t, const struct host_siginfo *si);
bool sync_pull(struct native_task *t);
bool sync_dequeue(struct native_task *t, u64 set, struct host_siginfo *si);
u64 sync_pending(struct native_task *t);
void sync_discard(struct hmm *hmm, int sig);
void signal_give_back(struct native_task *t);
void signal_leaving(struct native_task *t);

void signal_force_info(struct native_task *t, const struct host_siginfo *si);
bool default_is_stop(int sig);
bool default_is_core(int sig);
/* What ends the process at once, without a core dump, unless it is blocked. */
u64 signal_fatal_set(const struct native_task *t);
void fpu_frame_init(u8 *fpu);
size_t fpu_frame_size(const u8 *fpu); /* bytes, with its end mark */

/* coredump.c: where the guest was when the signal came that ends it. */
struct core_frame {
	struct host_siginfo info;
	struct host_ucontext uc;
	size_t fpu_size;
	u8 fpu[] __attribute__((aligned(64)));
};
/* t->siginfo is about to end the process: remember the first of its kind, if it means a core file. */
void core_note(struct native_task *t);
/*
 * The last thread, mm still there, no flush comes any more: make the host process what its core file is to
 * show, if it was noted that sig ends it. Frees the note. What core_die() takes, or NULL: there will be no file, or an empty one.
 */
struct core_frame *core_build(struct native_task *t, int sig);
/* The action of sig is the host's default. */
void core_die(struct core_frame *frame, int sig) __attribute__((noreturn));
long wait_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);
long task_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);

#endif
