/* SPDX-License-Identifier: MIT */
/*
 * signal.c - the guest's signals.
 *
 * The host generates, queues, masks and wakes; it is told the guest's mask and, for each signal,
 * one of three actions: ignore (SIG_IGN), default where the default is to ignore, or our handler. So
 * no fatal or stop signal is ever at its default on the host: the guest's death and stopping happen
 * in exit_to_user(), with nothing held.
 *
 * The kinds a fault raises (SYNC_SIGNALS) are never blocked on the host: those that somebody sends wait
 * in queues of our own, see sigsend.c.
 *
 * Frame on the guest's stack, as Linux lays it out:
 *
 *   fpstate (64-byte aligned) | siginfo | ucontext | return address   <- %rsp, 16n + 8
 */
#include <quire/string.h>

#include "callsite.h"
#include "signal.h"

struct guest_frame {
	u64 pretcode;
	struct host_ucontext uc;
	struct host_siginfo info;
};
_Static_assert(sizeof(struct host_siginfo) == 128, "siginfo_t");
_Static_assert(sizeof(struct host_ucontext) == 304, "ucontext of the kernel's");

extern const char native_restorer[];

u64 native_host_mask(u64 guest_mask)
{
	return guest_mask & ~SYNC_SIGNALS;
}

static void set_blocked(struct native_task *t, u64 mask)
{
	t->task.blocked = mask & ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
	t->uc->uc_sigmask = native_host_mask(t->task.blocked);
	if (sync_pending(t) & ~t->task.blocked)
		__atomic_fetch_or(&t->work, WORK_SIGNAL, __ATOMIC_SEQ_CST);
}

/* ---- Actions ----------------------------------------------------------------------------- */

static bool default_is_ignore(int sig)
{
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH;
}

bool default_is_core(int sig)
{
	return signal_is_sync(sig) || sig == SIGQUIT || sig == SIGABRT || sig == SIGXCPU ||
	       sig == SIGXFSZ;
}

bool default_is_stop(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

u64 signal_fatal_set(const struct native_task *t)
{
	u64 set = 0;

	for (int sig = 1; sig <= _NSIG; sig++)
		if (t->task.signal->action[sig].handler == SIG_DFL && !default_is_ignore(sig) &&
		    !default_is_stop(sig) && !default_is_core(sig))
			set |= SIGBIT(sig);
	return set;
}

void signal_host_action(int sig, const struct k_sigaction *act)
{
	struct k_sigaction host = { .mask = HOST_MASK_KERNEL,
				    .restorer = (unsigned long)native_restorer };

	if (sig == SIGKILL || sig == SIGSTOP)
		return;
	host.flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER;
	if (signal_is_sync(sig)) {
		host.handler = (unsigned long)native_trap_entry;
		host.flags |= SA_NODEFER | (sig == SIGSYS ? SA_RESTART : 0);
	} else if (act->handler == SIG_IGN) {
		host.handler = SIG_IGN;
	} else if (act->handler == SIG_DFL && default_is_ignore(sig)) {
		host.handler = SIG_DFL;
	} else {
		host.handler = (unsigned long)native_trap_entry;
	}
	host.flags |= act->flags & (SA_RESTART | SA_NOCLDSTOP | SA_NOCLDWAIT);
	if (act->handler == SIG_DFL)
		host.flags |= SA_RESTART;
	host_syscall(__NR_rt_sigaction, sig, &host, NULL, 8);
}

void signal_init_process(void)
{
	struct native_task *t = current_native();

	for (int sig = 1; sig <= _NSIG; sig++) {
		struct k_sigaction old, *act = &t->task.signal->action[sig];

		*act = (struct k_sigaction){ 0 };
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		if (!host_syscall(__NR_rt_sigaction, sig, NULL, &old, 8) && old.handler == SIG_IGN)
			act->handler = SIG_IGN;
		signal_host_action(sig, act);
	}
}

/* exec: handlers go, what is ignored stays ignored. */
void signal_flush_handlers(struct native_task *t)
{
	for (int sig = 1; sig <= _NSIG; sig++) {
		struct k_sigaction *act = &t->task.signal->action[sig];
		bool change = act->handler > SIG_IGN || act->flags;

		*act = (struct k_sigaction){ .handler = act->handler == SIG_IGN };
		if (change)
			signal_host_action(sig, act);
	}
	t->task.sas_sp = 0;
	t->task.sas_size = 0;
	t->task.sas_flags = SS_DISABLE;
}

static long sys_rt_sigaction(struct native_task *t, int sig, unsigned long uact, unsigned long uold,
			     size_t sigsetsize)
{
	struct signal_struct *signal = t->task.signal;
	struct k_sigaction new, old;

	if (sigsetsize != 8 || sig < 1 || sig > _NSIG)
		return -EINVAL;
	if (uact && copy_from_mm(t->task.mm, &new, uact, sizeof(new)))
		return -EFAULT;
	if (uact && (sig == SIGKILL || sig == SIGSTOP))
		return -EINVAL;
	spin_lock(&signal->siglock);
	old = signal->action[sig];
	if (uact) {
		new.mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
		signal->action[sig] = new;
		signal_host_action(sig, &new);
	}
	spin_unlock(&signal->siglock);
	if (uact && new.handler == SIG_IGN)
		sync_discard(t->hmm, sig);
	if (uold && copy_to_mm(t->task.mm, uold, &old, sizeof(old)))
		return -EFAULT;
	return 0;
}

static long sys_rt_sigprocmask(struct native_task *t, int how, unsigned long uset,
			       unsigned long uold, size_t sigsetsize)
{
	u64 old = t->task.blocked, set;

	if (sigsetsize != 8)
		return -EINVAL;
	if (uset) {
		if (copy_from_mm(t->task.mm, &set, uset, sizeof(set)))
			return -EFAULT;
		if (how == 0)
			set |= old;
		else if (how == 1)
			set = old & ~set;
		else if (how != 2)
			return -EINVAL;
	}
	if (uset)
		set_blocked(t, set);
	if (uold && copy_to_mm(t->task.mm, uold, &old, sizeof(old)))
		return -EFAULT;
	return 0;
}

static bool within_sig_stack(const struct native_task *t, u64 sp)
{
	return sp > t->task.sas_sp && sp - t->task.sas_sp <= t->task.sas_size;
}

/* One that disarms itself is not there while its handler runs. */
static bool on_sig_stack(const struct native_task *t, u64 sp)
{
	return !(t->task.sas_flags & SS_AUTODISARM) && within_sig_stack(t, sp);
}

/* on: it is in use. */
static long set_altstack(struct task_struct *task, const struct host_stack *new, bool on)
{
	int mode = new->ss_flags & ~SS_AUTODISARM;

	if (on)
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode)
		return -EINVAL;
	if (new->ss_sp == task->sas_sp &&new->ss_size == task->sas_size &&new->ss_flags ==
	    task->sas_flags)
		return 0;
	if (mode != SS_DISABLE && new->ss_size < MINSIGSTKSZ)
		return -ENOMEM;
	task->sas_sp = mode == SS_DISABLE ? 0 : new->ss_sp;
	task->sas_size = mode == SS_DISABLE ? 0 : new->ss_size;
	task->sas_flags = new->ss_flags;
	return 0;
}

static long sys_sigaltstack(struct native_task *t, unsigned long uss, unsigned long uold)
{
	struct task_struct *task = &t->task;
	struct host_stack new, old = { .ss_sp = task->sas_sp, .ss_size = task->sas_size };
	bool on = on_sig_stack(t, t->uc->uc_mcontext.sp);
	long ret = 0;

	old.ss_flags = !task->sas_size ? SS_DISABLE : on ? SS_ONSTACK : 0;
	old.ss_flags |= task->sas_flags & SS_AUTODISARM;
	if (uss) {
		if (copy_from_mm(task->mm, &new, uss, sizeof(new)))
			return -EFAULT;
		ret = set_altstack(task, &new, on);
	}
	if (!ret && uold && copy_to_mm(task->mm, uold, &old, sizeof(old)))
		ret = -EFAULT;
	return ret;
}

static long sys_rt_sigsuspend(struct native_task *t, unsigned long uset, size_t sigsetsize)
{
	u64 set, host;

	if (sigsetsize != 8)
		return -EINVAL;
	if (copy_from_mm(t->task.mm, &set, uset, sizeof(set)))
		return -EFAULT;
	host = native_host_mask(set & ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP)));
	t->temp_mask = set;
	t->temp_mask_set = true;
	return host_call(__NR_rt_sigsuspend, (long)&host, 8, 0, 0, 0, 0);
}

static long sys_rt_sigpending(struct native_task *t, unsigned long uset, size_t sigsetsize)
{
	u64 set = 0;

	if (sigsetsize > sizeof(set))
		return -EINVAL;
	host_syscall(__NR_rt_sigpending, &set, sizeof(set));
	set = (set & ~SYNC_SIGNALS) | (sync_pending(t) & t->task.blocked);
	return copy_to_mm(t->task.mm, uset, &set, sigsetsize) ? -EFAULT : 0;
}

/* The host knows of all signals but those of ours, whose coming ends its call. */
static long sys_rt_sigtimedwait(struct native_task *t, const unsigned long *a)
{
	static const struct call_timeout timeout = { .arg = 2, .clock = CLOCK_MONOTONIC };
	struct host_siginfo si = { 0 };
	struct host_timespec ts;
	u64 set, host;
	long ret;

	if (a[3] != 8)
		return -EINVAL;
	if (copy_from_mm(t->task.mm, &set, a[0], sizeof(set)) ||
	    (a[2] && copy_from_mm(t->task.mm, &ts, a[2], sizeof(ts))))
		return -EFAULT;
	host = native_host_mask(set);
	t->sync_wait = set & SYNC_SIGNALS;
	if (sync_dequeue(t, t->sync_wait, &si)) {
		ret = si.si_signo;
	} else {
		const long args[6] = { (long)&host, (long)&si, a[2] ? (long)&ts : 0, 8 };

		ret = host_call_timed(__NR_rt_sigtimedwait, args, &timeout);
		if ((ret == -EINTR || ret == -ERESTARTSYS) && sync_dequeue(t, t->sync_wait, &si))
			ret = si.si_signo;
	}
	t->sync_wait = 0;
	if (ret > 0 && a[1] && copy_to_mm(t->task.mm, a[1], &si, sizeof(si)))
		return -EFAULT;
	return ret;
}

/* ---- The FPU part of a frame ------------------------------------------------------------- */

#define FP_XSTATE_MAGIC1 0x46505853u
#define FXSAVE_SIZE 512
#define FPU_SW_RESERVED 464 /* of the FXSAVE image: magic1, extended_size, xfeatures, xstate_size */
#define FPU_MXCSR 24
#define FPU_DEFAULT_FCW 0x37f
#define FPU_DEFAULT_MXCSR 0x1f80u
#define XSAVE_HEADER 512

struct fpu_sw_bytes {
	u32 magic1, extended_size;
	u64 xfeatures;
	u32 xstate_size;
};

static const struct fpu_sw_bytes *fpu_sw(const u8 *fpu)
{
	return (const struct fpu_sw_bytes *)(fpu + FPU_SW_RESERVED);
}

size_t fpu_frame_size(const u8 *fpu)
{
	return fpu_sw(fpu)->magic1 == FP_XSTATE_MAGIC1 ? fpu_sw(fpu)->extended_size : FXSAVE_SIZE;
}

void fpu_frame_init(u8 *fpu)
{
	memset(fpu, 0, FPU_SW_RESERVED);
	*(u16 *)fpu = FPU_DEFAULT_FCW;
	*(u32 *)(fpu + FPU_MXCSR) = FPU_DEFAULT_MXCSR;
	if (fpu_sw(fpu)->magic1 == FP_XSTATE_MAGIC1)
		memset(fpu + XSAVE_HEADER, 0, 64);
}

/* Load the guest's image into our frame, so that the host will accept it whatever it holds. */
static bool fpu_frame_load(struct native_task *t, unsigned long ufpu)
{
	u8 *fpu = (u8 *)t->uc->uc_mcontext.fpstate;
	struct mm_struct *mm = t->task.mm;
	struct fpu_sw_bytes theirs;
	u64 *header;

	if (!fpu)
		return true;
	if (!ufpu) {
		fpu_frame_init(fpu);
		return true;
	}
	if (copy_from_mm(mm, &theirs, ufpu + FPU_SW_RESERVED, sizeof(theirs)) ||
	    copy_from_mm(mm, fpu, ufpu, FPU_SW_RESERVED))
		return false;
	*(u32 *)(fpu + FPU_MXCSR) &= 0xffff;
	if (fpu_sw(fpu)->magic1 != FP_XSTATE_MAGIC1)
		return true;
	header = (u64 *)(fpu + XSAVE_HEADER);
	if (theirs.magic1 != FP_XSTATE_MAGIC1 || theirs.xstate_size != fpu_sw(fpu)->xstate_size) {
		memset(header, 0, 64);
		header[0] = 3; /* x87 and SSE from the legacy part */
		return true;
	}
	if (copy_from_mm(mm, header, ufpu + XSAVE_HEADER, theirs.xstate_size - XSAVE_HEADER))
		return false;
	header[0] &= fpu_sw(fpu)->xfeatures;
	memset(header + 1, 0, 56);
	return true;
}

/* ---- Delivery ---------------------------------------------------------------------------- */

static void die_of(struct native_task *t, int sig)
{
	t->has_signal = false;
	core_note(t);
	signal_group_exit(t, sig);
}

static bool setup_frame(struct native_task *t, const struct k_sigaction *act)
{
	struct host_sigcontext *regs = &t->uc->uc_mcontext;
	struct mm_struct *mm = t->task.mm;
	const u8 *fpu = (const u8 *)regs->fpstate;
	unsigned long sp = regs->sp - 128, ufpu = 0;
	bool on = on_sig_stack(t, regs->sp);
	struct guest_frame frame;

	if ((act->flags & SA_ONSTACK) && t->task.sas_size && !on_sig_stack(t, sp)) {
		sp = t->task.sas_sp + t->task.sas_size;
		on = true;
	}
	if (fpu)
		sp = ufpu = (sp - fpu_frame_size(fpu)) & ~63ul;
	sp = ((sp - sizeof(frame)) & ~15ul) - 8;
	/* What does not fit on the alternate stack may not go below it. */
	if ((on && !within_sig_stack(t, sp)) ||
	    (fpu && copy_to_mm(mm, ufpu, fpu, fpu_frame_size(fpu))))
		return false;
	frame.pretcode = act->restorer;
	frame.uc = *t->uc;
	frame.uc.uc_link = 0;
	frame.uc.uc_mcontext.fpstate = ufpu;
	frame.uc.uc_mcontext.ip = callsite_guest_ip(t, regs->ip);
	frame.uc.uc_sigmask = t->task.blocked;
	frame.uc.uc_stack = (struct host_stack){ .ss_sp = t->task.sas_sp,
						 .ss_flags = t->task.sas_flags,
						 .ss_size = t->task.sas_size };
	frame.info = t->siginfo;
	if (copy_to_mm(mm, sp, &frame, sizeof(frame)))
		return false;
	regs->ip = act->handler;
	regs->sp = sp;
	regs->di = (u64)t->siginfo.si_signo;
	regs->si = sp + offsetof(struct guest_frame, info);
	regs->dx = sp + offsetof(struct guest_frame, uc);
	regs->ax = 0;
	regs->flags &= ~(0x400ull | 0x10000ull | 0x100ull); /* DF, RF, TF */
	if (t->task.sas_flags & SS_AUTODISARM) {
		t->task.sas_sp = t->task.sas_size = 0;
		t->task.sas_flags = SS_DISABLE;
	}
	return true;
}

bool signal_deliver(struct native_task *t)
{
	struct signal_struct *signal = t->task.signal;
	int sig = t->siginfo.si_signo;
	struct k_sigaction act;
	u64 during;

	t->has_signal = false;
	if (sig == SIGXCPU && t->siginfo.si_code == SI_KERNEL && deadly_time_is_up(t)) {
		die_of(t, SIGKILL);
		return false;
	}
	spin_lock(&signal->siglock);
	act = signal->action[sig];
	if (act.handler > SIG_IGN && (act.flags & SA_RESETHAND)) {
		signal->action[sig].handler = SIG_DFL;
		signal_host_action(sig, &signal->action[sig]);
	}
	spin_unlock(&signal->siglock);
	during = t->temp_mask_set ? t->temp_mask : t->task.blocked;
	t->temp_mask_set = false;
	if (act.handler <= SIG_IGN) {
		/* The mask of the interrupted frame is the kernel's own if it came in the window. */
		t->uc->uc_sigmask = native_host_mask(t->task.blocked);
		if (act.handler == SIG_IGN || default_is_ignore(sig))
			return false;
		if (default_is_stop(sig))
			stop_signal_taken(t);
		else
			die_of(t, sig);
		return false;
	}
	if (!setup_frame(t, &act)) {
		if (sig == SIGSEGV)
			die_of(t, SIGSEGV);
		else
			signal_force(t, SIGSEGV, SI_KERNEL, 0);
		return false;
	}
	native_count(t, NC_SIGNALS, 1);
	during |= act.mask;
	if (!(act.flags & SA_NODEFER))
		during |= SIGBIT(sig);
	set_blocked(t, during);
	return true;
}

/* A signal that the guest cannot block or ignore: its own instruction raised it. */
void signal_force_info(struct native_task *t, const struct host_siginfo *si)
{
	int sig = si->si_signo;

	if ((t->task.blocked & SIGBIT(sig)) || t->task.signal->action[sig].handler == SIG_IGN) {
		die_of(t, sig);
		return;
	}
	t->siginfo = *si;
	t->has_signal = true;
}

void signal_force(struct native_task *t, int sig, int code, unsigned long addr)
{
	struct host_siginfo si = { .si_signo = sig, .si_code = code, .fields = { addr } };

	if (sig == SIGBUS && code == BUS_MCEERR_AR)
		si.fields[1] = PAGE_SHIFT; /* si_addr_lsb */

	signal_force_info(t, &si);
}

static long sys_rt_sigreturn(struct native_task *t)
{
	struct host_sigcontext *regs = &t->uc->uc_mcontext;
	struct host_sigcontext keep = *regs;
	unsigned long frame = regs->sp - 8;
	struct host_ucontext uc;

	if (copy_from_mm(t->task.mm, &uc, frame + offsetof(struct guest_frame, uc), sizeof(uc)) ||
	    !fpu_frame_load(t, uc.uc_mcontext.fpstate)) {
		signal_force(t, SIGSEGV, SI_KERNEL, 0);
		return SYSCALL_REGS_SET;
	}
	t->task.restart.nr = 0;
	*regs = uc.uc_mcontext;
	regs->fpstate = keep.fpstate;
	regs->cs = keep.cs;
	regs->gs = keep.gs;
	regs->fs = keep.fs;
	regs->ss = keep.ss;
	/* Of the flags a program may set: CF PF AF ZF SF TF DF OF RF AC. */
	regs->flags = (uc.uc_mcontext.flags & 0x50dd5) | (keep.flags & ~0x50dd5ull);
	set_altstack(&t->task, &uc.uc_stack, on_sig_stack(t, regs->sp));
	set_blocked(t, uc.uc_sigmask);
	return SYSCALL_REGS_SET;
}

long signal_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	switch (nr) {
	case __NR_rt_sigaction:
		return sys_rt_sigaction(t, (int)args[0], args[1], args[2], args[3]);
	case __NR_rt_sigprocmask:
		return sys_rt_sigprocmask(t, (int)args[0], args[1], args[2], args[3]);
	case __NR_rt_sigreturn:
		return sys_rt_sigreturn(t);
	case __NR_sigaltstack:
		return sys_sigaltstack(t, args[0], args[1]);
	case __NR_rt_sigsuspend:
		return sys_rt_sigsuspend(t, args[0], args[1]);
	case __NR_rt_sigpending:
		return sys_rt_sigpending(t, args[0], args[1]);
	case __NR_rt_sigtimedwait:
		return sys_rt_sigtimedwait(t, args);
	default:
		return send_syscall(t, nr, args);
	}
}
