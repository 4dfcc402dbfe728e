/* SPDX-License-Identifier: MIT */
/*
 * signal.c - the guest's signals.
 *
 * The host generates, queues, masks and wakes; it is told the guest's mask and, for each signal,
 * one of three actions: ignore (SIG_IGN), default where the default is to ignore, or our handler. So
 * no fatal or stop signal is ever at its default on the host: the guest's death and stopping happen
 * in exit_to_user(), with nothing held.
 *
 * The kinds a fault raises (SYNC_SIGNALS) are never blocked on the host; if the guest blocks one and
 * somebody sends it, it waits in pending_sync.
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
	for (int sig = 1; t->pending_sync && sig <= SIGSYS; sig++) {
		u64 bit = SIGBIT(sig);

		if (!(t->pending_sync & bit) || (t->task.blocked & bit) || t->has_signal)
			continue;
		t->pending_sync &= ~bit;
		t->siginfo = (struct host_siginfo){ .si_signo = sig, .si_code = SI_USER };
		t->has_signal = true;
	}
}

/* ---- Actions ----------------------------------------------------------------------------- */

static bool default_is_ignore(int sig)
{
	return sig == SIGCHLD || sig == SIGCONT || sig == SIGURG || sig == SIGWINCH;
}

static bool default_is_stop(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
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

static bool on_sig_stack(const struct native_task *t, u64 sp)
{
	return t->task.sas_size && sp > t->task.sas_sp && sp - t->task.sas_sp <= t->task.sas_size;
}

static long sys_sigaltstack(struct native_task *t, unsigned long uss, unsigned long uold)
{
	struct task_struct *task = &t->task;
	struct host_stack new, old = { .ss_sp = task->sas_sp, .ss_size = task->sas_size };
	bool on = on_sig_stack(t, t->uc->uc_mcontext.sp);

	old.ss_flags = !task->sas_size ? SS_DISABLE : on ? SS_ONSTACK : 0;
	old.ss_flags |= task->sas_flags & SS_AUTODISARM;
	if (uss) {
		int mode;

		if (copy_from_mm(task->mm, &new, uss, sizeof(new)))
			return -EFAULT;
		if (on)
			return -EPERM;
		mode = new.ss_flags & ~SS_AUTODISARM;
		if (mode != SS_DISABLE && mode != SS_ONSTACK && mode)
			return -EINVAL;
		if (mode == SS_DISABLE) {
			new.ss_sp = 0;
			new.ss_size = 0;
		} else if (new.ss_size < 2048 || new.ss_size < machine_params.minsigstksz) {
			return -ENOMEM;
		}
		task->sas_sp = new.ss_sp;
		task->sas_size = new.ss_size;
		task->sas_flags = new.ss_flags;
	}
	if (uold && copy_to_mm(task->mm, uold, &old, sizeof(old)))
		return -EFAULT;
	return 0;
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

static size_t fpu_frame_size(const u8 *fpu)
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
	signal_group_exit(t, sig);
}

static bool setup_frame(struct native_task *t, const struct k_sigaction *act)
{
	struct host_sigcontext *regs = &t->uc->uc_mcontext;
	struct mm_struct *mm = t->task.mm;
	const u8 *fpu = (const u8 *)regs->fpstate;
	unsigned long sp = regs->sp - 128, ufpu = 0;
	struct guest_frame frame;

	if ((act->flags & SA_ONSTACK) && t->task.sas_size && !on_sig_stack(t, regs->sp))
		sp = t->task.sas_sp + t->task.sas_size;
	if (fpu) {
		size_t size = fpu_frame_size(fpu);

		ufpu = (sp - size) & ~63ul;
		sp = ufpu;
		if (copy_to_mm(mm, ufpu, fpu, size))
			return false;
	}
	sp = ((sp - sizeof(frame)) & ~15ul) - 8;
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
		if (default_is_stop(sig)) {
			t->stop_signal = sig;
			__atomic_fetch_or(&t->work, WORK_STOP, __ATOMIC_SEQ_CST);
		} else {
			die_of(t, sig);
		}
		return false;
	}
	if (!setup_frame(t, &act)) {
		if (sig == SIGSEGV)
			signal->action[SIGSEGV].handler = SIG_DFL;
		die_of(t, SIGSEGV);
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
	*regs = uc.uc_mcontext;
	regs->fpstate = keep.fpstate;
	regs->cs = keep.cs;
	regs->gs = keep.gs;
	regs->fs = keep.fs;
	regs->ss = keep.ss;
	/* Of the flags a program may set: CF PF AF ZF SF TF DF OF RF AC. */
	regs->flags = (uc.uc_mcontext.flags & 0x50dd5) | (keep.flags & ~0x50dd5ull);
	t->task.sas_sp = uc.uc_stack.ss_sp;
	t->task.sas_size = (uc.uc_stack.ss_flags & SS_DISABLE) ? 0 : uc.uc_stack.ss_size;
	t->task.sas_flags = uc.uc_stack.ss_flags;
	set_blocked(t, uc.uc_sigmask);
	return SYSCALL_REGS_SET;
}

/* ---- Group exit and stop ----------------------------------------------------------------- */

/* Give every task of t's group something to do. Also from other groups. */
static void group_set_work(struct hmm *hmm, u32 work, int stop_signal)
{
	struct native_task *t;

	spin_lock(&hmm->lock);
	list_for_each_entry(t, &hmm->tasks, hmm_node) {
		if (work == WORK_STOP)
			t->stop_signal = stop_signal;
		__atomic_fetch_or(&t->work, work, __ATOMIC_SEQ_CST);
		if (t != current_native() &&
		    __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != TASK_KERNEL)
			native_kick(t);
		if (work == WORK_STOP)
			break; /* one stops them all */
	}
	spin_unlock(&hmm->lock);
}

void signal_group_exit(struct native_task *t, int wait_status)
{
	struct signal_struct *signal = t->task.signal;

	spin_lock(&signal->siglock);
	if (!signal->group_exit) {
		signal->group_exit = true;
		signal->group_exit_code = wait_status;
	}
	spin_unlock(&signal->siglock);
	group_set_work(t->hmm, WORK_KILL, 0);
}

static void hmm_kill(struct hmm *hmm)
{
	struct signal_struct *signal;

	spin_lock(&hmm->lock);
	if (!list_empty(&hmm->tasks)) {
		signal = list_first_entry(&hmm->tasks, struct native_task, hmm_node)->task.signal;
		spin_lock(&signal->siglock);
		if (!signal->group_exit) {
			signal->group_exit = true;
			signal->group_exit_code = SIGKILL;
		}
		spin_unlock(&signal->siglock);
	}
	spin_unlock(&hmm->lock);
	group_set_work(hmm, WORK_KILL, 0);
	/* Stopped on the host, it could not act on it. */
	if (__atomic_load_n(&hmm->stopping, __ATOMIC_SEQ_CST))
		host_syscall(__NR_kill, hmm->tgid, SIGCONT);
}

/* A kicked task leaves state USER with its answer, and WORK_KILL lets it not return. */
void machine_kill_mm(struct mm_struct *mm)
{
	struct mm_machine *m = mm->machine;
	struct hmm *hmm;

	spin_lock(&m->lock);
	list_for_each_entry(hmm, &m->hmms, mm_node)
		hmm_kill(hmm);
	spin_unlock(&m->lock);
}

bool machine_is_dying(void)
{
	return __atomic_load_n(&current_native()->work, __ATOMIC_SEQ_CST) & WORK_KILL;
}

/*
 * Stop the whole host process, so that its parent and the terminal see it. The host stops all
 * threads wherever they are, so none may be in the kernel with a lock: the gate in enter_kernel()
 * is closed and those inside are waited for.
 */
void group_stop(struct native_task *t)
{
	struct hmm *hmm = t->hmm;
	int sig = t->stop_signal;
	struct k_sigaction dfl = { .flags = SA_RESTORER,
				   .restorer = (unsigned long)native_restorer };
	u64 mask = HOST_MASK_KERNEL & ~SIGBIT(sig);
	struct native_task *other;
	u32 none = 0;
	bool busy;

	__atomic_fetch_and(&t->work, ~WORK_STOP, __ATOMIC_SEQ_CST);
	if (!__atomic_compare_exchange_n(&hmm->stopping, &none, 1, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return;
	do {
		busy = false;
		spin_lock(&hmm->lock);
		list_for_each_entry(other, &hmm->tasks, hmm_node)
			if (other != t && other->state == TASK_KERNEL)
				busy = true;
		spin_unlock(&hmm->lock);
		if (busy) {
			cpu_put(t);
			host_syscall(__NR_sched_yield);
			cpu_get(t);
		}
	} while (busy);
	cpu_put(t);
	if (sig != SIGSTOP)
		host_syscall(__NR_rt_sigaction, sig, &dfl, NULL, 8);
	host_syscall(__NR_kill, hmm->tgid, sig);
	host_syscall(__NR_rt_sigprocmask, 2, &mask, NULL, 8);
	mask = HOST_MASK_KERNEL;
	host_syscall(__NR_rt_sigprocmask, 2, &mask, NULL, 8);
	if (sig != SIGSTOP)
		signal_host_action(sig, &t->task.signal->action[sig]);
	cpu_get(t);
	__atomic_store_n(&hmm->stopping, 0, __ATOMIC_SEQ_CST);
	host_syscall(__NR_futex, &hmm->stopping, 1 /* FUTEX_WAKE */, 0x7fffffff);
}

/* ---- Sending ----------------------------------------------------------------------------- */

/*
 * SIGKILL and SIGSTOP of guests may not be the host's: they would hit anywhere in the kernel.
 * Returns false if pid is no guest's.
 */
static bool kill_guest(pid_t pid, int sig)
{
	struct task_struct *task;
	bool found = false;

	spin_lock(&tasklist_lock);
	task = find_task_by_pid(pid);
	if (task) {
		struct native_task *nt = (struct native_task *)task;

		found = true;
		if (sig == SIGKILL) {
			signal_group_exit(nt, SIGKILL);
			/* Stopped on the host, it could not act on it. */
			if (__atomic_load_n(&nt->hmm->stopping, __ATOMIC_SEQ_CST))
				host_syscall(__NR_kill, nt->hmm->tgid, SIGCONT);
		} else
			group_set_work(nt->hmm, WORK_STOP, SIGSTOP);
	}
	spin_unlock(&tasklist_lock);
	return found;
}

static bool must_be_ours(int sig)
{
	return sig == SIGKILL || sig == SIGSTOP;
}

static long send_one(struct native_task *t, pid_t pid, int sig)
{
	(void)t;
	if (must_be_ours(sig)) {
		long ret = host_syscall(__NR_kill, pid, 0); /* exists, and may we? */

		if (ret)
			return ret;
		if (kill_guest(pid, sig))
			return 0;
	}
	return host_syscall(__NR_kill, pid, sig);
}

/* Guests of process group pgrp (0: all but the caller's), one after the other by thread group. */
static long send_group(struct native_task *t, pid_t pgrp, int sig)
{
	long ret = -ESRCH;
	pid_t last = 0;

	for (;;) {
		struct task_struct *task;
		pid_t next = 0x7fffffff;

		spin_lock(&tasklist_lock);
		list_for_each_entry(task, &task_list, tasks)
			if (task->tgid > last && task->tgid < next)
				next = task->tgid;
		spin_unlock(&tasklist_lock);
		if (next == 0x7fffffff)
			return ret;
		last = next;
		if (pgrp ? host_syscall(__NR_getpgid, next) == pgrp : next != t->task.tgid) {
			long one = send_one(t, next, sig);

			if (ret)
				ret = one;
		}
	}
}

static long sys_kill(struct native_task *t, pid_t pid, int sig)
{
	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	if (pid > 0)
		return send_one(t, pid, sig);
	if (pid == -1)
		return send_group(t, 0, sig);
	if (must_be_ours(sig)) {
		pid_t pgrp = pid ? -pid : (pid_t)host_syscall(__NR_getpgid, 0);

		return send_group(t, pgrp, sig);
	}
	return host_syscall(__NR_kill, pid, sig);
}

static long sys_tgkill(struct native_task *t, pid_t tgid, pid_t tid, int sig, bool has_tgid)
{
	if (sig < 0 || sig > _NSIG || tid <= 0 || (has_tgid && tgid <= 0))
		return -EINVAL;
	if (must_be_ours(sig)) {
		long ret = has_tgid ? host_syscall(__NR_tgkill, tgid, tid, 0)
				    : host_syscall(__NR_tkill, tid, 0);

		if (ret)
			return ret;
		if (kill_guest(tid, sig))
			return 0;
	}
	(void)t;
	return has_tgid ? host_syscall(__NR_tgkill, tgid, tid, sig)
			: host_syscall(__NR_tkill, tid, sig);
}

static long sys_sigqueueinfo(struct native_task *t, bool has_tgid, const unsigned long *args)
{
	pid_t tid = (pid_t)args[has_tgid];
	int sig = (int)args[1 + has_tgid];
	struct host_siginfo si;

	if (copy_from_mm(t->task.mm, &si, args[2 + has_tgid], sizeof(si)))
		return -EFAULT;
	if (must_be_ours(sig))
		return sys_kill(t, tid, sig);
	return has_tgid ? host_syscall(__NR_rt_tgsigqueueinfo, args[0], tid, sig, &si)
			: host_syscall(__NR_rt_sigqueueinfo, tid, sig, &si);
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
	case __NR_kill:
		return sys_kill(t, (pid_t)args[0], (int)args[1]);
	case __NR_tkill:
		return sys_tgkill(t, 0, (pid_t)args[0], (int)args[1], false);
	case __NR_tgkill:
		return sys_tgkill(t, (pid_t)args[0], (pid_t)args[1], (int)args[2], true);
	case __NR_rt_sigqueueinfo:
		return sys_sigqueueinfo(t, false, args);
	case __NR_rt_tgsigqueueinfo:
		return sys_sigqueueinfo(t, true, args);
	default:
		return SYSCALL_NOT_OURS;
	}
}
