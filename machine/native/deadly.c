/* SPDX-License-Identifier: MIT */
/*
 * deadly.c - ways in which a guest can have the host send SIGKILL or SIGSTOP, which would hit anywhere
 * in the kernel.
 *
 *   death of the parent   the host sends SIGSYS instead, and we what was asked for
 *   RLIMIT_CPU            at the hard limit the guest is killed when SIGXCPU comes; the host, a second
 *                         later, kills only who ignores or blocks that
 *   timers, SIGIO, message queues, the signal at a child's end: refused with EINVAL
 *
 * The first guest is told in the first way that the command has been killed. The keeper ends all guests
 * then; if it was killed, too, the first guest does.
 */
#include "signal.h"

#define PR_SET_PDEATHSIG 1
#define F_SETSIG 10
#define SIGEV_SIGNO 8 /* offset in struct sigevent */
#define RLIMIT_CPU 0
#define CLOCK_OF_LIMITS (-8) /* of this process, counted in ticks: what the host compares */
#define KEEPER_PATIENCE 200 /* times 10 ms */

bool signal_is_deadly(long sig)
{
	return sig == SIGKILL || sig == SIGSTOP;
}

/* ---- The parent's death ------------------------------------------------------------------- */

long deadly_set_pdeath(struct native_task *t, unsigned long sig)
{
	struct hmm *hmm = t->hmm;

	if (sig > _NSIG)
		return -EINVAL;
	hmm->pdeath_signal = (int)sig;
	hmm->pdeath_parent = (pid_t)host_syscall(__NR_getppid);
	if (hmm->first || signal_is_deadly((long)sig))
		sig = SIGSYS;
	return host_syscall(__NR_prctl, PR_SET_PDEATHSIG, sig);
}

/* Whether it is that news. In the host's handler, anywhere in the kernel. */
bool deadly_parent_died(struct native_task *t, int sig, const struct host_siginfo *si)
{
	if (sig != SIGSYS || si->si_code != SI_USER || !t->hmm->pdeath_parent ||
	    (pid_t)(u32)si->fields[0] != t->hmm->pdeath_parent)
		return false;
	__atomic_fetch_or(&t->work, WORK_PARENT, __ATOMIC_SEQ_CST);
	return true;
}

static void kill_everybody(struct native_task *t)
{
	for (int pass = 0; pass < 2; pass++) {
		for (u32 i = 0; i < kernel_shared.nr_slots; i++) {
			u32 tid = __atomic_load_n(&kernel_shared.thread[i].word, __ATOMIC_SEQ_CST);

			if (tid && tid < THREAD_NONE && thread_slot_hmm(i) != t->hmm)
				host_syscall(__NR_kill, tid, SIGKILL);
		}
	}
	host_syscall(__NR_kill, t->hmm->tgid, SIGKILL);
}

static void command_died(struct native_task *t)
{
	u32 never = 0;

	for (int i = 0; i < KEEPER_PATIENCE; i++) {
		if (process_has_died(machine_params.keeper_pid))
			kill_everybody(t);
		machine_wait(&never, 0, 10000000);
	}
}

/* WORK_PARENT */
void deadly_do_parent(struct native_task *t)
{
	struct hmm *hmm = t->hmm;
	int sig = hmm->pdeath_signal;

	if (hmm->first && hmm->pdeath_parent == machine_params.command_pid)
		command_died(t);
	hmm->pdeath_parent = (pid_t)host_syscall(__NR_getppid);
	if (sig)
		signal_send(t, t->task.tgid, sig);
}

/* ---- CPU time ----------------------------------------------------------------------------- */

bool deadly_time_is_up(struct native_task *t)
{
	u64 max = t->task.signal->rlim[RLIMIT_CPU].rlim_max;
	struct host_timespec used;

	return max != RLIM_INFINITY && !host_syscall(__NR_clock_gettime, CLOCK_OF_LIMITS, &used) &&
	       (u64)used.tv_sec >= max;
}

static long set_cpu_limit(struct native_task *t, const struct rlimit64 *limit)
{
	struct signal_struct *signal = t->task.signal;
	struct rlimit64 host = *limit, *slot = &signal->rlim[RLIMIT_CPU];
	long ret;

	if (limit->rlim_cur > limit->rlim_max)
		return -EINVAL;
	if (limit->rlim_max > slot->rlim_max && host_syscall(__NR_geteuid))
		return -EPERM;
	if (host.rlim_max < RLIM_INFINITY - 1)
		host.rlim_max++;
	ret = host_syscall(__NR_prlimit64, 0, RLIMIT_CPU, &host, NULL);
	if (ret)
		return ret;
	spin_lock(&signal->siglock);
	*slot = *limit;
	spin_unlock(&signal->siglock);
	return 0;
}

static long cpu_limit(struct native_task *t, unsigned long unew, unsigned long uold)
{
	struct rlimit64 old = t->task.signal->rlim[RLIMIT_CPU], limit;
	long ret = 0;

	if (unew && copy_from_mm(t->task.mm, &limit, unew, sizeof(limit)))
		return -EFAULT;
	if (unew)
		ret = set_cpu_limit(t, &limit);
	if (!ret && uold && copy_to_mm(t->task.mm, uold, &old, sizeof(old)))
		return -EFAULT;
	return ret;
}

/* ---- System calls ------------------------------------------------------------------------- */

static long refuse_event(struct native_task *t, unsigned long uevent)
{
	s32 signo = 0;

	if (!uevent || copy_from_mm(t->task.mm, &signo, uevent + SIGEV_SIGNO, sizeof(signo)))
		return SYSCALL_NOT_OURS;
	return signal_is_deadly(signo) ? -EINVAL : SYSCALL_NOT_OURS;
}

/* Before the call reaches the host. */
long deadly_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	switch (nr) {
	case __NR_timer_create:
	case __NR_mq_notify:
		return refuse_event(t, args[1]);
	case __NR_fcntl:
		return args[1] == F_SETSIG && signal_is_deadly((int)args[2]) ? -EINVAL
									     : SYSCALL_NOT_OURS;
	case __NR_prlimit64:
		if ((u32)args[1] == RLIMIT_CPU && (!args[0] || (pid_t)args[0] == t->task.tgid))
			return cpu_limit(t, args[2], args[3]);
		return SYSCALL_NOT_OURS;
	case __NR_getrlimit:
	case __NR_setrlimit:
		if ((u32)args[0] != RLIMIT_CPU || !args[1])
			return SYSCALL_NOT_OURS;
		return nr == __NR_setrlimit ? cpu_limit(t, args[1], 0) : cpu_limit(t, 0, args[1]);
	default:
		return SYSCALL_NOT_OURS;
	}
}
