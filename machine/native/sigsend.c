/* SPDX-License-Identifier: MIT */
/*
 * sigsend.c - signals that guests send.
 *
 * Most are left to the host, which queues and masks them. Ours are
 *
 *   SIGKILL, SIGSTOP   they would hit anywhere in the kernel: work for the target's threads (stop.c)
 *   SIGCONT, SIGTSTP   and the other signals of job control are noted, so that the last of them
 *                      counts (stop.c), and go to the host
 *   SYNC_SIGNALS       which the host may not block: they wait in the sync_queue of the thread or of
 *                      the process until a thread that does not block them leaves the kernel
 *
 * A signal of SYNC_SIGNALS that comes from outside all the same (a timer, somebody beyond the
 * machine) reaches its thread through the host's handler, maybe in the middle of the kernel:
 * it is noted in native_task.raised, and sorted in at the way out.
 */
#include <quire/kernel.h>
#include <quire/string.h>

#include "signal.h"

/* ---- Queues ------------------------------------------------------------------------------ */

static unsigned int sync_index(int sig)
{
	unsigned int i = 0;

	for (u64 lower = SYNC_SIGNALS & (SIGBIT(sig) - 1); lower; lower &= lower - 1)
		i++;
	return i;
}

/* The earlier one stays. */
static void sync_add(struct sync_queue *q, const struct host_siginfo *si)
{
	u64 bit = SIGBIT(si->si_signo);

	if (q->set & bit)
		return;
	q->info[sync_index(si->si_signo)] = *si;
	__atomic_fetch_or(&q->set, bit, __ATOMIC_SEQ_CST);
}

static bool sync_take(struct sync_queue *q, u64 set, struct host_siginfo *si)
{
	u64 found = q->set & set;
	int sig = __builtin_ctzll(found | 1ull << 63) + 1;

	if (!found)
		return false;
	*si = q->info[sync_index(sig)];
	__atomic_fetch_and(&q->set, ~SIGBIT(sig), __ATOMIC_SEQ_CST);
	return true;
}

static u64 effective_mask(const struct native_task *t)
{
	return (t->temp_mask_set ? t->temp_mask : t->task.blocked) | t->call_mask;
}

/* hmm->lock held. Somebody to take a signal of set out of the process's queue, or out of t's own. */
static void sync_wake(struct hmm *hmm, struct native_task *only, u64 set)
{
	struct native_task *t;

	list_for_each_entry(t, &hmm->tasks, hmm_node) {
		if (t->parked || (only && t != only) ||
		    !(set & (~effective_mask(t) | t->sync_wait)))
			continue;
		__atomic_fetch_or(&t->work, WORK_SIGNAL, __ATOMIC_SEQ_CST);
		if (t != current_native() &&
		    __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != TASK_KERNEL)
			native_kick(t);
		return;
	}
}

/* hmm->lock held. To thread nt, or with NULL to the process. */
static void sync_send(struct hmm *hmm, struct native_task *nt, const struct signal_struct *signal,
		      const struct host_siginfo *si)
{
	struct sync_queue *q = nt ? &nt->sync : &hmm->sync;
	const struct native_task *one =
		nt ? nt : list_first_entry(&hmm->tasks, struct native_task, hmm_node);
	u64 bit = SIGBIT(si->si_signo);

	if (signal->action[si->si_signo].handler == SIG_IGN &&
	    !(bit & (effective_mask(one) | one->sync_wait)))
		return;
	sync_add(q, si);
	sync_wake(hmm, nt, bit);
}

/* In the host's handler, anywhere in the kernel: takes no lock. */
void sync_raised(struct native_task *t, const struct host_siginfo *si)
{
	sync_add(&t->raised, si);
	__atomic_fetch_or(&t->work, WORK_SIGNAL, __ATOMIC_SEQ_CST);
}

static void sync_sort_in(struct native_task *t)
{
	struct host_siginfo si;

	if (likely(!__atomic_load_n(&t->raised.set, __ATOMIC_SEQ_CST)))
		return;
	while (sync_take(&t->raised, ~0ull, &si)) {
		spin_lock(&t->hmm->lock);
		sync_send(t->hmm, si.si_code == SI_TKILL ? t : NULL, t->task.signal, &si);
		spin_unlock(&t->hmm->lock);
	}
}

u64 sync_pending(struct native_task *t)
{
	sync_sort_in(t);
	return __atomic_load_n(&t->sync.set, __ATOMIC_SEQ_CST) |
	       __atomic_load_n(&t->hmm->sync.set, __ATOMIC_SEQ_CST);
}

bool sync_dequeue(struct native_task *t, u64 set, struct host_siginfo *si)
{
	bool found;

	if (!(sync_pending(t) & set))
		return false;
	spin_lock(&t->hmm->lock);
	found = sync_take(&t->sync, set, si) || sync_take(&t->hmm->sync, set, si);
	spin_unlock(&t->hmm->lock);
	return found;
}

/* The next of ours that is not blocked becomes the one to deliver. */
bool sync_pull(struct native_task *t)
{
	if (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & WORK_SIGNAL)
		__atomic_fetch_and(&t->work, ~WORK_SIGNAL, __ATOMIC_SEQ_CST);
	if (!t->has_signal && sync_pending(t))
		t->has_signal = sync_dequeue(t, ~effective_mask(t), &t->siginfo);
	return t->has_signal;
}

void sync_discard(struct hmm *hmm, int sig)
{
	struct native_task *t;

	if (!signal_is_sync(sig))
		return;
	spin_lock(&hmm->lock);
	hmm->sync.set &= ~SIGBIT(sig);
	list_for_each_entry(t, &hmm->tasks, hmm_node)
		t->sync.set &= ~SIGBIT(sig);
	spin_unlock(&hmm->lock);
}

/* ---- To one ------------------------------------------------------------------------------ */

/*
 * Threads that can be found no more but still run the last of the kernel's code, the latest of them.
 * A signal to one of these is for nobody, and least of all for the host to act on.
 */
#define NR_LEAVING 256
static pid_t leaving[NR_LEAVING];
static u32 next_leaving;

void signal_leaving(struct native_task *t)
{
	u32 i = __atomic_fetch_add(&next_leaving, 1, __ATOMIC_RELAXED) % NR_LEAVING;

	__atomic_store_n(&leaving[i], t->task.pid, __ATOMIC_SEQ_CST);
}

static bool is_leaving(pid_t pid)
{
	for (unsigned int i = 0; i < NR_LEAVING; i++)
		if (__atomic_load_n(&leaving[i], __ATOMIC_SEQ_CST) == pid)
			return true;
	return false;
}

bool signal_is_ours(int sig)
{
	return sig == SIGKILL || sig == SIGSTOP || signal_is_job(sig) ||
	       (sig > 0 && sig <= _NSIG && signal_is_sync(sig));
}

/* One signal to one thread or process. */
struct sending {
	pid_t tgid; /* of a thread; 0 not told */
	pid_t pid;
	bool thread, queue;
	struct host_siginfo si;
};

static long host_send(const struct sending *s, int sig)
{
	/* 0 in its place: whether it may. */
	if (s->queue && sig == s->si.si_signo)
		return s->thread
			       ? host_syscall(__NR_rt_tgsigqueueinfo, s->tgid, s->pid, sig, &s->si)
			       : host_syscall(__NR_rt_sigqueueinfo, s->pid, sig, &s->si);
	if (!s->thread)
		return host_syscall(__NR_kill, s->pid, sig);
	return s->tgid ? host_syscall(__NR_tgkill, s->tgid, s->pid, sig)
		       : host_syscall(__NR_tkill, s->pid, sig);
}

/* SIGKILL, SIGSTOP, SYNC_SIGNALS. tasklist_lock held. */
static void send_to_guest(struct native_task *nt, const struct sending *s)
{
	struct hmm *hmm = nt->hmm;

	switch (s->si.si_signo) {
	case SIGKILL:
		signal_group_exit(nt, SIGKILL);
		break;
	case SIGSTOP:
		hmm_stop(hmm, SIGSTOP);
		break;
	default:
		spin_lock(&hmm->lock);
		sync_send(hmm, s->thread ? nt : NULL, nt->task.signal, &s->si);
		spin_unlock(&hmm->lock);
	}
}

static long send(const struct sending *s)
{
	int sig = s->si.si_signo;
	struct native_task *nt;
	struct hmm *hmm = NULL;
	long ret = 0;

	if (!signal_is_ours(sig) || host_send(s, 0))
		return host_send(s, sig); /* or its error */
	spin_lock(&tasklist_lock);
	nt = (struct native_task *)find_task_by_pid(s->pid);
	if (nt) {
		hmm = nt->hmm;
		atomic_inc(&hmm->count);
		if (!signal_is_job(sig))
			send_to_guest(nt, s);
	}
	spin_unlock(&tasklist_lock);
	if (!hmm)
		return is_leaving(s->pid) ? 0 : host_send(s, sig);
	if (signal_is_job(sig)) {
		hmm_job_signal(hmm, sig, false);
		ret = host_send(s, sig);
		hmm_job_signal(hmm, sig, true);
	} else if (sig == SIGKILL) {
		hmm_job_signal(hmm, SIGCONT, true);
	}
	hmm_put(hmm);
	return ret;
}

static struct host_siginfo from_user(struct native_task *t, int sig, int code)
{
	struct host_siginfo si = { .si_signo = sig, .si_code = code };

	si.fields[0] = (u32)t->task.tgid | (u64)host_syscall(__NR_getuid) << 32;
	return si;
}

long signal_send(struct native_task *t, pid_t pid, int sig)
{
	const struct sending s = { .pid = pid, .si = from_user(t, sig, SI_USER) };

	return send(&s);
}

/* A thread that goes has taken a signal from the host and not delivered it: others are to have it. */
void signal_give_back(struct native_task *t)
{
	const struct host_siginfo *si = &t->siginfo;

	if (!t->has_signal)
		return;
	t->has_signal = false;
	if (si->si_code != SI_TKILL && !signal_is_sync(si->si_signo))
		host_syscall(__NR_kill, t->hmm->tgid, si->si_signo);
}

/* ---- To many ----------------------------------------------------------------------------- */

#define PID_NONE 0x7fffffff

/* The next guest process after number `last` in process group pgrp; 0: of all but t's own. */
static pid_t next_guest(struct native_task *t, pid_t pgrp, pid_t last)
{
	struct task_struct *task;
	pid_t next;

	do {
		next = PID_NONE;
		spin_lock(&tasklist_lock);
		list_for_each_entry(task, &task_list, tasks)
			if (task->tgid > last && task->tgid < next)
				next = task->tgid;
		spin_unlock(&tasklist_lock);
		last = next;
	} while (next != PID_NONE &&
		 (pgrp ? host_syscall(__NR_getpgid, next) != pgrp : next == t->task.tgid));
	return next;
}

static long send_each(struct native_task *t, pid_t pgrp, int sig)
{
	long ret = -ESRCH;

	for (pid_t pid = 0; (pid = next_guest(t, pgrp, pid)) != PID_NONE;) {
		long one = signal_send(t, pid, sig);

		if (ret)
			ret = one;
	}
	return ret;
}

static void job_signal_each(struct native_task *t, pid_t pgrp, int sig, bool sent)
{
	for (pid_t pid = 0; (pid = next_guest(t, pgrp, pid)) != PID_NONE;) {
		struct task_struct *task;
		struct hmm *hmm = NULL;

		spin_lock(&tasklist_lock);
		task = find_task_by_pid(pid);
		if (task) {
			hmm = ((struct native_task *)task)->hmm;
			atomic_inc(&hmm->count);
		}
		spin_unlock(&tasklist_lock);
		if (!hmm)
			continue;
		hmm_job_signal(hmm, sig, sent);
		hmm_put(hmm);
	}
}

static long send_group(struct native_task *t, pid_t pid, int sig)
{
	pid_t pgrp = pid ? -pid : (pid_t)host_syscall(__NR_getpgid, 0);
	long ret;

	if (signal_is_ours(sig) && !signal_is_job(sig))
		return send_each(t, pgrp, sig);
	if (signal_is_job(sig))
		job_signal_each(t, pgrp, sig, false);
	ret = host_syscall(__NR_kill, pid, sig);
	if (signal_is_job(sig))
		job_signal_each(t, pgrp, sig, true);
	return ret;
}

static long sys_kill(struct native_task *t, pid_t pid, int sig)
{
	if (sig < 0 || sig > _NSIG)
		return -EINVAL;
	if (pid > 0)
		return signal_send(t, pid, sig);
	return pid == -1 ? send_each(t, 0, sig) : send_group(t, pid, sig);
}

static long sys_tgkill(struct native_task *t, pid_t tgid, pid_t tid, int sig)
{
	const struct sending s = {
		.tgid = tgid, .pid = tid, .thread = true, .si = from_user(t, sig, SI_TKILL)
	};

	return sig < 0 || sig > _NSIG ? -EINVAL : send(&s);
}

/* Nobody may pretend that the kernel, or kill(), sent it; to oneself everything may be sent. */
static bool may_claim(const struct native_task *t, const struct sending *s)
{
	int code = s->si.si_code;

	return (code < 0 && code != SI_TKILL) || s->pid == (s->thread ? t->task.pid : t->task.tgid);
}

static long sys_sigqueueinfo(struct native_task *t, bool thread, const unsigned long *args)
{
	struct sending s = {
		.tgid = (pid_t)args[0], .pid = (pid_t)args[thread], .thread = thread, .queue = true
	};
	int sig = (int)args[1 + thread];

	if (copy_from_mm(t->task.mm, &s.si, args[2 + thread], sizeof(s.si)))
		return -EFAULT;
	s.si.si_signo = sig;
	/* What is wrong with it the host will say. */
	if (sig < 0 || sig > _NSIG || !may_claim(t, &s))
		return host_send(&s, sig);
	return send(&s);
}

long send_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	switch (nr) {
	case __NR_kill:
		return sys_kill(t, (pid_t)args[0], (int)args[1]);
	case __NR_tkill:
		return (pid_t)args[0] <= 0 ? -EINVAL
					   : sys_tgkill(t, 0, (pid_t)args[0], (int)args[1]);
	case __NR_tgkill:
		return (pid_t)args[0] <= 0 || (pid_t)args[1] <= 0
			       ? -EINVAL
			       : sys_tgkill(t, (pid_t)args[0], (pid_t)args[1], (int)args[2]);
	case __NR_rt_sigqueueinfo:
		return sys_sigqueueinfo(t, false, args);
	case __NR_rt_tgsigqueueinfo:
		return sys_sigqueueinfo(t, true, args);
	default:
		return SYSCALL_NOT_OURS;
	}
}
