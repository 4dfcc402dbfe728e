/* SPDX-License-Identifier: MIT */
/*
 * trap.c - the ways into the kernel and out of it.
 *
 *   guest code -- SIGSEGV --> trap_entry --> do_page_fault
 *              -- SIGSYS  --> trap_entry --> syscall_entry     (user dispatch: a system call)
 *              -- SIGSYS  --> trap_entry --> hmm_do_flush      (a kick from another task)
 *              -- others  --> trap_entry --> a signal of the guest's
 *                                 |
 *              <-- rt_sigreturn --+-- exit_to_user: deliver, stop, die, flush
 *
 * The host calls trap_entry() on the task's kernel stack with every signal blocked but those that
 * a fault of the kernel itself would raise. A signal that arrives in native_window() nests there.
 */
#include <quire/trace.h>
#include <quire/vmstat.h>

#include "callsite.h"
#include "native.h"
#include "signal.h"

#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
#define SYS_USER_DISPATCH 2 /* si_code of a dispatched call */
#define SYS_SECCOMP 1
#define TRAP_PAGE_FAULT 14

extern const char __kernel_text_start[], __kernel_text_end[];
extern const char window_begin[], window_syscall[], window_abort[], native_restorer[];
long native_window(const long *args, const u64 *mask, const u32 *work);
void native_sigreturn(struct host_ucontext *uc) __attribute__((noreturn));

static bool in_kernel_text(u64 ip)
{
	return ip >= (u64)__kernel_text_start && ip < (u64)__kernel_text_end;
}

/* Into state KERNEL, unless the process is being stopped: then only when it goes on. */
static void cpu_get_unless_stopping(struct native_task *t)
{
	for (;;) {
		cpu_get(t);
		if (!__atomic_load_n(&t->hmm->stopping, __ATOMIC_SEQ_CST))
			return;
		cpu_put(t);
		host_syscall(__NR_futex, &t->hmm->stopping, 0 /* FUTEX_WAIT */, 1, NULL);
	}
}

/* ---- A host call ---------------------------------------------------------- */

static bool call_must_end(const struct native_task *t)
{
	return t->has_signal || (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & ~WORK_FLUSH);
}

static long call_without_cpu(void *arg)
{
	struct native_task *t = current_native();
	u64 mask = native_host_mask(t->task.blocked);
	long ret;

	if (t->adopted)
		return -ERESTARTSYS;
	cpu_put(t);
	ret = t->fast ? fastcall_window(arg, &t->work, &t->has_signal)
		      : native_window(arg, &mask, &t->work);
	cpu_get_unless_stopping(t);
	return ret;
}

long host_call(long nr, long a, long b, long c, long d, long e, long f)
{
	struct native_task *t = current_native();
	long args[7] = { nr, a, b, c, d, e, f };
	long ret;

	do {
		ret = native_resumable(call_without_cpu, args);
		/* -EINTR for a kick that asked nothing of this task: nobody may know. */
	} while ((ret == -EINTR || ret == -ERESTARTSYS) && !call_must_end(t));
	if (ret == -ERESTARTSYS)
		t->restart_always = true;
	else if (ret == -EINTR)
		t->interrupted = true;
	return ret;
}

/* A signal while the kernel ran: in the window, or the kernel's own mistake. */
static void kernel_mode_signal(struct native_task *t, int sig, const struct host_siginfo *si,
			       struct host_ucontext *uc)
{
	u64 ip = uc->uc_mcontext.ip;

	if (si->si_code > 0 &&
	    (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE)) {
		printk(LOG_ERR, "kernel fault: signal %d at ip %lx, address %lx, pid %d (%s)", sig,
		       (unsigned long)ip, (unsigned long)si->fields[0], t->task.pid, t->task.comm);
		machine_panic("the guest kernel faulted");
	}
	if (sig != SIGSYS) {
		t->siginfo = *si;
		t->has_signal = true;
	}
	if (ip >= (u64)window_begin && ip <= (u64)window_syscall && call_must_end(t))
		uc->uc_mcontext.ip = (u64)window_abort;
	if (ip >= (u64)fastcall_window_begin && ip <= (u64)fastcall_window_syscall &&
	    call_must_end(t))
		uc->uc_mcontext.ip = (u64)fastcall_window_abort;
	if (call_must_end(t))
		uc->uc_sigmask = HOST_MASK_KERNEL;
}

/* ---- Into the kernel and out ------------------------------------------------------------- */

void exit_to_user(struct native_task *t)
{
	for (;;) {
		u32 work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST);

		if (work & WORK_EXEC)
			exec_continue(t);
		else if (work & WORK_KILL)
			do_exit(t, t->task.signal->group_exit_code);
		else if (work & WORK_STOP)
			group_stop(t);
		else if (t->has_signal)
			signal_deliver(t);
		else if (hmm_flush_pending(t->hmm))
			hmm_do_flush(t->hmm);
		else {
			cpu_put(t);
			__atomic_store_n(&t->state, TASK_USER, __ATOMIC_SEQ_CST);
			if (!(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & ~WORK_FLUSH) &&
			    !hmm_flush_pending(t->hmm))
				return;
			/* As in trap_entry(): who wants a flush may hold the only CPU. */
			__atomic_store_n(&t->state, TASK_HOST, __ATOMIC_SEQ_CST);
			cpu_get(t);
		}
	}
}

void return_to_user(struct host_ucontext *uc)
{
	native_sigreturn(uc);
}

/* ---- System calls ------------------------------------------------------------------------ */

static long do_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	long ret = signal_syscall(t, nr, args);

	if (ret == SYSCALL_NOT_OURS)
		ret = clone_syscall(t, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = exec_syscall(t, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = task_syscall(t, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = wait_syscall(t, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = linux_syscall(&t->task, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = fileio_syscall(t, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = pathcall_syscall(t, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = hostcall(t, nr, args);
	return ret;
}

/*
 * The result of an interrupted call: what the guest sees depends on whether a handler runs and
 * what it asked for. Called before the signal frame is built, which saves these registers.
 */
static void syscall_interrupted(struct native_task *t, long nr, long ret)
{
	struct host_sigcontext *regs = &t->uc->uc_mcontext;
	const struct k_sigaction *act = NULL;
	bool again;

	if (t->has_signal)
		act = &t->task.signal->action[t->siginfo.si_signo];
	if (act && act->handler <= SIG_IGN)
		act = NULL;
	if (ret == -ERESTARTNOINTR)
		again = true;
	else if (ret == -ERESTARTSYS)
		again = t->restart_always || !act || (act->flags & SA_RESTART);
	else
		again = !act; /* -EINTR of the host's: it knew SA_RESTART and did not restart */
	if (again) {
		regs->ax = (u64)nr;
		regs->ip -= 2;
	} else {
		regs->ax = (u64)-EINTR;
	}
}

/*
 * The host drops the SIGSYS of a system call when another one, a kick, is pending already: then the
 * call has not been made, but the guest stands behind its instruction. That instruction alone
 * leaves %rcx and %r11 so, and on return from a call they are different.
 */
static void syscall_undropped(struct host_sigcontext *regs)
{
	if (regs->cx == regs->ip && regs->r11 == regs->flags)
		regs->ip -= 2;
}

static void syscall_common(struct native_task *t)
{
	struct host_sigcontext *regs = &t->uc->uc_mcontext;
	const unsigned long args[6] = {
		regs->di, regs->si, regs->dx, regs->r10, regs->r8, regs->r9
	};
	unsigned long nr = regs->ax;
	long ret;

	regs->r11 = 0; /* see syscall_undropped() */
	native_count(t, NC_SYSCALLS, 1);
	atomic_long_inc(&t->task.signal->nsyscalls);
	if (nr < NATIVE_MAX_SYSCALL)
		__atomic_fetch_add(&kernel_shared.syscall_count[nr], 1, __ATOMIC_RELAXED);
	t->restart_always = false;
	t->interrupted = false;
	ret = do_syscall(t, nr, args);
	if (ret == SYSCALL_REGS_SET)
		return;
	if (ret == -ERESTARTSYS || ret == -ERESTARTNOINTR || (ret == -EINTR && t->interrupted))
		syscall_interrupted(t, (long)nr, ret);
	else
		regs->ax = (u64)ret;
}

static void syscall_entry(struct native_task *t)
{
	if (machine_params.patch_calls)
		callsite_hot(t, t->uc->uc_mcontext.ip);
	syscall_common(t);
}

void trap_fastcall(struct native_task *t)
{
	cpu_get_unless_stopping(t);
	native_count(t, NC_FASTCALLS, 1);
	if (!machine_is_dying())
		syscall_common(t);
	if (t->adopted)
		exit_to_user(t); /* there is no program to jump back to */
	cpu_put(t);
}

/* ---- Faults and exceptions --------------------------------------------------------------- */

static void page_fault_entry(struct native_task *t)
{
	const struct host_sigcontext *regs = &t->uc->uc_mcontext;
	struct fault_result res;

	native_count(t, NC_FAULTS, 1);
	if (callsite_fault(t, regs->cr2))
		return;
	res = do_page_fault(t->task.mm, regs->cr2, (u32)regs->err | X86_PF_USER);
	if (res.kind != FAULT_WAS_FILL) {
		atomic_long_t *flt = res.major ? &t->task.signal->maj_flt
					       : &t->task.signal->min_flt;

		atomic_long_inc(flt);
	}
	if (res.signo == SIGKILL) {
		if (!machine_is_dying())
			printk(LOG_ERR, "out of memory, and nobody else to kill: process %d (%s)",
			       t->task.tgid, t->task.comm);
		signal_group_exit(t, SIGKILL);
	} else if (res.signo) {
		signal_force(t, res.signo, res.si_code, regs->cr2);
	}
}

static void guest_signal_entry(struct native_task *t, int sig, const struct host_siginfo *si)
{
	if (signal_is_sync(sig) && si->si_code > 0) {
		signal_force_info(t, si);
	} else if (signal_is_sync(sig) && (t->task.blocked >> (sig - 1) & 1)) {
		t->pending_sync |= 1ull << (sig - 1);
	} else {
		t->siginfo = *si;
		t->has_signal = true;
	}
}

/* Flush and go on, without a CPU: whoever asked may hold the only one. */
static void answer_kick(struct native_task *t)
{
	do {
		if (hmm_flush_pending(t->hmm))
			hmm_do_flush(t->hmm);
		__atomic_store_n(&t->state, TASK_USER, __ATOMIC_SEQ_CST);
	} while (hmm_flush_pending(t->hmm));
}

/* The host's handler for every signal. */
static void trap_entry(int sig, struct host_siginfo *si, struct host_ucontext *uc)
{
	struct native_task *t = current_native();
	bool kick = sig == SIGSYS && si->si_code <= 0, call = false;

	if (in_kernel_text(uc->uc_mcontext.ip) && !fastcall_fixup(t, uc)) {
		kernel_mode_signal(t, sig, si, uc);
		return;
	}
	/* From here on nobody waits for this task to flush, however long it waits for a CPU. */
	__atomic_store_n(&t->state, TASK_HOST, __ATOMIC_SEQ_CST);
	if (kick)
		syscall_undropped(&uc->uc_mcontext);
	if (kick && !__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) && !t->has_signal &&
	    !signal_is_guest_sigsys(si)) {
		answer_kick(t);
		return;
	}
	t->uc = uc;
	cpu_get_unless_stopping(t);
	if (machine_is_dying())
		; /* nothing that it still asks for, maybe on account of memory that is gone */
	else if (sig == SIGSYS && (si->si_code == SYS_USER_DISPATCH || si->si_code == SYS_SECCOMP))
		syscall_entry(t);
	else if (sig == SIGSEGV && si->si_code > 0 && uc->uc_mcontext.trapno == TRAP_PAGE_FAULT)
		page_fault_entry(t);
	else if (sig == SIGILL && si->si_code > 0 && callsite_illegal(t, &uc->uc_mcontext, &call))
		call ? syscall_entry(t) : (void)0;
	else if (!kick || signal_is_guest_sigsys(si))
		guest_signal_entry(t, sig, si);
	exit_to_user(t);
}

void (*const native_trap_entry)(int, struct host_siginfo *, struct host_ucontext *) = trap_entry;

/* ---- Threads ----------------------------------------------------------------------------- */

void native_kick(struct native_task *t)
{
	host_syscall(__NR_tgkill, t->hmm->tgid, t->task.pid, SIGSYS);
}

/* Where the alternate stack, which is the kernel stack, begins: above the task structure. */
static unsigned long kstack_bottom(const struct native_task *t)
{
	return (unsigned long)t + KSTACK_HEAD;
}

void trap_init_thread(struct native_task *t)
{
	struct host_stack ss = { .ss_sp = kstack_bottom(t),
				 .ss_size = (unsigned long)t + KSTACK_SIZE - FAST_FRAME_SIZE -
					    kstack_bottom(t) };
	long ret = host_syscall(__NR_sigaltstack, &ss, NULL);

	if (!ret && !machine_params.use_seccomp)
		ret = host_syscall(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
				   __kernel_text_start, __kernel_text_end - __kernel_text_start, 0);
	if (ret)
		machine_panic("the host refuses an alternate stack or user dispatch");
}

/* The registers of a program that begins at ip: all zero, FPU in its initial state. */
void frame_clear(struct host_ucontext *uc, unsigned long ip, unsigned long sp)
{
	struct host_sigcontext *r = &uc->uc_mcontext;
	u8 *fpu = (u8 *)r->fpstate;

	r->r8 = r->r9 = r->r10 = r->r11 = r->r12 = r->r13 = r->r14 = r->r15 = 0;
	r->di = r->si = r->bp = r->bx = r->dx = r->ax = r->cx = 0;
	r->ip = ip;
	r->sp = sp;
	r->flags = 0x202;
	if (fpu)
		fpu_frame_init(fpu);
}
