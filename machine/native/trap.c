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
#include <quire/vmalloc.h>
#include <quire/vmstat.h>

#include "callsite.h"
#include "hostmem.h"
#include "signal.h"
#include "usercopy.h"

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

/*
 * Into state KERNEL, unless the process is being stopped: then only when it goes on. The state tells
 * first: either the stopper sees it and waits, or it is seen here that the gate is closed.
 */
static void pass_gate(struct native_task *t)
{
	u32 stopping;

	for (;;) {
		__atomic_store_n(&t->state, TASK_KERNEL, __ATOMIC_SEQ_CST);
		stopping = __atomic_load_n(&t->hmm->stopping, __ATOMIC_SEQ_CST);
		if (!stopping)
			return;
		__atomic_store_n(&t->state, TASK_HOST, __ATOMIC_SEQ_CST);
		host_syscall(__NR_futex, &t->hmm->stopping, 0 /* FUTEX_WAIT */, stopping, NULL);
	}
}

void kernel_enter(struct native_task *t)
{
	pass_gate(t);
	cpu_take_back(t);
}

/* In state HOST. The flush has a lock, with which nobody may be stopped. */
void flush_without_cpu(struct native_task *t)
{
	if (!hmm_flush_pending(t->hmm))
		return;
	pass_gate(t);
	hmm_do_flush(t->hmm);
	__atomic_store_n(&t->state, TASK_HOST, __ATOMIC_SEQ_CST);
}

/* ---- A host call ---------------------------------------------------------- */

static void note_signal(struct native_task *t, const struct host_siginfo *si)
{
	t->siginfo = *si;
	t->conts_seen = __atomic_load_n(&t->hmm->nr_conts, __ATOMIC_SEQ_CST);
	t->has_signal = true;
}

static bool call_must_end(const struct native_task *t)
{
	return t->has_signal || (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & ~WORK_FLUSH);
}

/* Whether somebody but this machine is to know that the call was interrupted. */
static bool call_ends(struct native_task *t)
{
	sync_pull(t);
	return call_must_end(t) || (t->sync_wait & sync_pending(t)) ||
	       __atomic_load_n(&t->hmm->nr_stop_asks, __ATOMIC_SEQ_CST) != t->stops_seen;
}

static bool is_interruption(long ret)
{
	return ret == -EINTR || ret == -ERESTARTSYS;
}

static long call_without_cpu(void *arg)
{
	struct native_task *t = current_native();
	u64 mask = native_host_mask(t->task.blocked | t->call_mask);
	long ret;

	if (t->adopted)
		return -ERESTARTSYS;
	cpu_put(t);
	ret = t->fast ? fastcall_window(arg, &t->work, &t->has_signal)
		      : native_window(arg, &mask, &t->work);
	kernel_enter(t);
	return ret;
}

/* Once. *done: the result is final. */
static long host_call_try(struct native_task *t, const long *args, bool *done)
{
	long ret;

	*done = true;
	t->call_begun = false;
	/* A mask of the call's own may let one through that waits here, and not at the host. */
	if (sync_pull(t)) {
		ret = t->temp_mask_set ? -EINTR : -ERESTARTSYS;
	} else {
		ret = native_resumable(call_without_cpu, (void *)args);
		*done = !is_interruption(ret) || call_ends(t);
	}
	if (ret == -ERESTARTSYS)
		t->restart_always = !t->call_begun;
	t->interrupted = ret == -EINTR;
	return ret;
}

long host_call(long nr, long a, long b, long c, long d, long e, long f)
{
	const long args[7] = { nr, a, b, c, d, e, f };
	struct native_task *t = current_native();
	bool done;
	long ret;

	do
		ret = host_call_try(t, args, &done);
	while (!done);
	return ret;
}

/* What is left of the time is a call's next argument. */
static void set_timeout(long *args, const struct call_timeout *timeout, u64 left)
{
	struct host_timespec *ts = (struct host_timespec *)args[1 + timeout->arg];

	if (timeout->in_ms)
		args[1 + timeout->arg] = (long)DIV_ROUND_UP(left, 1000000);
	else
		*ts = (struct host_timespec){ (s64)(left / 1000000000), (s64)(left % 1000000000) };
}

/* In nanoseconds; -1: there is none, or the host will refuse it. */
static s64 get_timeout(const long *args, const struct call_timeout *timeout)
{
	long arg = args[1 + timeout->arg];
	const struct host_timespec *ts = (const struct host_timespec *)arg;

	if (timeout->in_ms)
		return arg < 0 ? -1 : arg * 1000000;
	if (!arg || arg == (long)HC_BAD_PTR || ts->tv_sec < 0 || ts->tv_sec > 1000000000 ||
	    (u64)ts->tv_nsec >= 1000000000)
		return -1;
	return ts->tv_sec * 1000000000 + ts->tv_nsec;
}

long host_call_timed(long nr, const long *a, const struct call_timeout *timeout)
{
	long args[7] = { nr, a[0], a[1], a[2], a[3], a[4], a[5] }, ret;
	struct native_task *t = current_native();
	s64 ns = get_timeout(args, timeout);
	u64 deadline, now;
	bool again, done;

	if (ns < 0)
		return host_call(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	again = t->task.restart.again;
	deadline = restart_deadline(&t->task, native_clock_ns(timeout->clock), (u64)ns);
	t->timed = true;
	for (;; again = true) {
		if (again) {
			now = native_clock_ns(timeout->clock);
			set_timeout(args, timeout, now < deadline ? deadline - now : 0);
		}
		ret = host_call_try(t, args, &done);
		if (done)
			break;
	}
	/* Begun long ago, though not this time. */
	if (again && ret == -ERESTARTSYS) {
		t->interrupted = true;
		ret = -EINTR;
	}
	return ret;
}

static const char no_host_memory[] = "the host has no memory left for the machine's RAM";

static const struct {
	const char *begin, *syscall, *abort;
} windows[] = {
	{ window_begin, window_syscall, window_abort },
	{ fastcall_window_begin, fastcall_window_syscall, fastcall_window_abort },
};

static bool is_page_fault(int sig, const struct host_siginfo *si, const struct host_ucontext *uc)
{
	return sig == SIGSEGV && si->si_code > 0 && uc->uc_mcontext.trapno == TRAP_PAGE_FAULT;
}

/* The kernel's own mistake. */
__noreturn static void kernel_fault(const struct native_task *t, int sig, unsigned long addr,
				    u64 ip)
{
	char what[160] = "";

	if (sig == SIGSEGV && is_vmalloc_addr((void *)addr))
		vmalloc_describe(addr, what, sizeof(what));
	printk(LOG_ERR, "kernel fault: signal %d at ip %lx, address %lx, pid %d (%s) %s", sig,
	       (unsigned long)ip, addr, t->task.pid, t->task.comm, what);
	machine_panic("the guest kernel faulted");
}

/* A signal while the kernel ran: in a window, or the kernel's own mistake. */
static void kernel_mode_signal(struct native_task *t, int sig, const struct host_siginfo *si,
			       struct host_ucontext *uc)
{
	u64 ip = uc->uc_mcontext.ip;

	/* Memory that this process has no host mapping of yet. */
	if (is_page_fault(sig, si, uc) && vmalloc_fault(uc->uc_mcontext.cr2))
		return;
	if (si->si_code > 0 && (sig == SIGSEGV || sig == SIGBUS) && usercopy_fault(t, uc))
		return;
	if (si->si_code > 0 &&
	    (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE)) {
		if (sig == SIGBUS && si->fields[0] >= KERNEL_BASE && si->fields[0] < KERNEL_END)
			machine_panic(no_host_memory);
		kernel_fault(t, sig, si->fields[0], ip);
	}
	if (deadly_parent_died(t, sig, si)) {
		; /* noted */
	} else if (signal_is_sync(sig)) {
		if (signal_is_kick(sig, si))
			usercopy_kicked(t);
		else
			sync_raised(t, si);
	} else {
		note_signal(t, si);
	}
	if (!call_must_end(t))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(windows); i++) {
		if (ip < (u64)windows[i].begin || ip > (u64)windows[i].syscall)
			continue;
		/* The instruction leaves its end in %rcx: then the host wants it made again. */
		t->call_begun = ip == (u64)windows[i].syscall && uc->uc_mcontext.cx == ip + 2;
		uc->uc_mcontext.ip = (u64)windows[i].abort;
	}
	uc->uc_sigmask = HOST_MASK_KERNEL;
	t->fast = false;
}

/* ---- Into the kernel and out ------------------------------------------------------------- */

void exit_to_user(struct native_task *t)
{
	for (;;) {
		u32 work = __atomic_load_n(&t->work, __ATOMIC_SEQ_CST);

		if (work & WORK_STOP)
			__atomic_fetch_and(&t->work, ~WORK_STOP, __ATOMIC_SEQ_CST);
		if (work & WORK_PARENT) {
			__atomic_fetch_and(&t->work, ~WORK_PARENT, __ATOMIC_SEQ_CST);
			deadly_do_parent(t);
		}
		if (work & WORK_EXEC)
			exec_continue(t);
		else if (work & WORK_KILL)
			do_exit(t, t->task.signal->group_exit_code);
		else if (stop_wanted(t->hmm))
			group_stop(t);
		else if (t->has_signal || sync_pull(t))
			signal_deliver(t);
		else if (hmm_flush_pending(t->hmm))
			hmm_do_flush(t->hmm);
		else {
			cpu_put(t);
			__atomic_store_n(&t->state, TASK_USER, __ATOMIC_SEQ_CST);
			if (!(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & ~WORK_FLUSH) &&
			    !hmm_flush_pending(t->hmm))
				return;
			kernel_enter(t);
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
		ret = deadly_syscall(t, nr, args);
	if (ret == SYSCALL_NOT_OURS)
		ret = hostcall(t, nr, args);
	return ret;
}

/* Calls that end with EINTR when the process was stopped meanwhile, as in Linux. */
static bool ends_by_stop(long nr)
{
	return nr == __NR_epoll_wait || nr == __NR_epoll_pwait || nr == __NR_epoll_pwait2 ||
	       nr == __NR_semop || nr == __NR_semtimedop || nr == __NR_rt_sigtimedwait;
}

/* The process was stopped during the call, or is about to be. */
static bool call_met_stop(struct native_task *t)
{
	int sig = t->siginfo.si_signo;

	if (__atomic_load_n(&t->hmm->nr_stop_asks, __ATOMIC_SEQ_CST) != t->stops_seen ||
	    stop_wanted(t->hmm))
		return true;
	return t->has_signal && t->task.signal->action[sig].handler == SIG_DFL &&
	       default_is_stop(sig);
}

/*
 * The result of an interrupted call: what the guest sees depends on whether a handler runs and
 * what it asked for. Called before the signal frame is built, which saves these registers. The call
 * is made again as it was, or if time has gone by as restart_syscall().
 */
static void syscall_interrupted(struct native_task *t, unsigned long nr, const unsigned long *args,
				long ret)
{
	struct host_sigcontext *regs = &t->uc->uc_mcontext;
	struct restart_block *restart = &t->task.restart;
	const struct k_sigaction *act = NULL;
	bool timed = ret == -ERESTART_RESTARTBLOCK || (ret == -EINTR && t->timed);
	bool again;

	if (t->has_signal)
		act = &t->task.signal->action[t->siginfo.si_signo];
	if (act && act->handler <= SIG_IGN)
		act = NULL;
	if (ret == -ERESTARTNOINTR)
		again = true;
	else if (ret == -ERESTARTSYS)
		again = t->restart_always || !act || (act->flags & SA_RESTART);
	else if (ends_by_stop((long)nr))
		again = !act && !call_met_stop(t);
	else
		again = !act; /* -EINTR of the host's: it knew SA_RESTART and did not restart */
	if (!again) {
		regs->ax = (u64)-EINTR;
		return;
	}
	if (timed) {
		restart->nr = nr;
		for (unsigned int i = 0; i < 6; i++)
			restart->args[i] = args[i];
	}
	regs->ax = timed ? __NR_restart_syscall : nr;
	regs->ip -= 2;
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
	struct restart_block *restart = &t->task.restart;
	unsigned long args[6] = { regs->di, regs->si, regs->dx, regs->r10, regs->r8, regs->r9 };
	unsigned long nr = regs->ax;
	long ret;

	regs->r11 = 0; /* see syscall_undropped() */
	native_count(t, NC_SYSCALLS, 1);
	atomic_long_inc(&t->task.signal->nsyscalls);
	if (nr < NATIVE_MAX_SYSCALL)
		__atomic_fetch_add(&kernel_shared.syscall_count[nr], 1, __ATOMIC_RELAXED);
	restart->again = nr == __NR_restart_syscall && restart->nr;
	if (restart->again) {
		nr = restart->nr;
		for (unsigned int i = 0; i < 6; i++)
			args[i] = restart->args[i];
	}
	t->restart_always = t->interrupted = t->timed = false;
	t->stops_seen = __atomic_load_n(&t->hmm->nr_stop_asks, __ATOMIC_SEQ_CST);
	ret = do_syscall(t, nr, args);
	if (ret == SYSCALL_REGS_SET)
		return;
	if (ret == -ERESTARTSYS || ret == -ERESTARTNOINTR || ret == -ERESTART_RESTARTBLOCK ||
	    (ret == -EINTR && t->interrupted))
		syscall_interrupted(t, nr, args, ret);
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
	kernel_enter(t);
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
	if (!signal_is_sync(sig))
		note_signal(t, si);
	else if (si->si_code > 0)
		signal_force_info(t, si);
	else
		sync_raised(t, si);
}

/*
 * Flush and go on, without a CPU: whoever asked may hold the only one. False: there is work by now, which
 * nobody kicks a task for that is in state KERNEL.
 */
static bool answer_kick(struct native_task *t)
{
	do {
		flush_without_cpu(t);
		__atomic_store_n(&t->state, TASK_USER, __ATOMIC_SEQ_CST);
	} while (hmm_flush_pending(t->hmm));
	return !(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & ~WORK_FLUSH);
}

/*
 * A page that the program may touch, and the host cannot supply it. Beyond the end of a file no
 * host mapping is made, so that is none of these; devices may answer so.
 */
static void host_bus_error(struct native_task *t, const struct host_siginfo *si)
{
	struct mm_struct *mm = t->task.mm;
	struct vm_area_struct *vma = lock_mm_and_find_vma(mm, si->fields[0]);
	bool device = vma && vma->vm_flags & VM_PFNMAP;

	if (vma)
		up_read(&mm->mmap_lock);
	if (!device)
		machine_panic(no_host_memory);
	guest_signal_entry(t, SIGBUS, si);
}

/* The host's handler for every signal. */
static void trap_entry(int sig, struct host_siginfo *si, struct host_ucontext *uc)
{
	struct native_task *t = current_native();
	bool kick = signal_is_kick(sig, si), call = false;

	if (in_kernel_text(uc->uc_mcontext.ip) && !fastcall_fixup(t, uc)) {
		kernel_mode_signal(t, sig, si, uc);
		return;
	}
	t->fast = false;
	/* From here on nobody waits for this task to flush, however long it waits for a CPU. */
	__atomic_store_n(&t->state, TASK_HOST, __ATOMIC_SEQ_CST);
	if (sig == SIGSYS && si->si_code <= 0)
		syscall_undropped(&uc->uc_mcontext);
	if (kick && !__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) && !t->has_signal &&
	    answer_kick(t))
		return;
	t->uc = uc;
	kernel_enter(t);
	if (machine_is_dying())
		; /* nothing that it still asks for, maybe on account of memory that is gone */
	else if (sig == SIGSYS && (si->si_code == SYS_USER_DISPATCH || si->si_code == SYS_SECCOMP))
		syscall_entry(t);
	else if (is_page_fault(sig, si, uc))
		page_fault_entry(t);
	else if (sig == SIGBUS && si->si_code == BUS_ADRERR)
		host_bus_error(t, si);
	else if (sig == SIGILL && si->si_code > 0 && callsite_illegal(t, &uc->uc_mcontext, &call))
		call ? syscall_entry(t) : (void)0;
	else if (!kick && !deadly_parent_died(t, sig, si))
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
	fastcall_init_thread(t, t->parent_gs);
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
