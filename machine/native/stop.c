/* SPDX-License-Identifier: MIT */
/*
 * stop.c - the whole thread group at once: its end, its stop and its continuation.
 *
 * A stopped process is stopped by the host, so that its parent and the terminal see it. The host stops
 * threads wherever they are, so none may be in the kernel, with a CPU or a lock:
 *
 *   hmm->stop_signal set, WORK_STOP and a kick for all its threads
 *   the first on its way out of the kernel becomes the stopper
 *     STOP_GATHER   the gate in kernel_enter() is closed, those inside are waited for
 *     STOP_RAISE    the stopper raises the signal, and is back when the process goes on
 *     STOP_NONE     the gate is open
 *
 * A SIGCONT or SIGKILL that comes before STOP_RAISE calls the stop off; one that comes later waits until
 * the stopper is stopped. So none of them is lost. A stop signal that the host has handed over already when
 * a SIGCONT is sent is void.
 */
#include <quire/sprintf.h>
#include <quire/string.h>

#include "signal.h"

extern const char native_restorer[];

/* The letter of a host thread's state, as in /proc/<pid>/stat; X: there is none; 0 not known. */
static char host_thread_state(pid_t tgid, pid_t tid)
{
	char path[48], text[256];
	const char *end;
	long fd, n;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tgid, tid);
	fd = host_syscall(__NR_open, path, HOST_O_CLOEXEC, 0);
	if (fd < 0)
		return fd == -ENOENT ? 'X' : 0;
	n = host_syscall(__NR_read, fd, text, sizeof(text) - 1);
	host_syscall(__NR_close, fd);
	text[n > 0 ? n : 0] = '\0';
	end = strrchr(text, ')');
	return end && end[1] ? end[2] : 0;
}

static bool host_stopped(pid_t tgid, pid_t tid)
{
	char state = host_thread_state(tgid, tid);

	return state == 'T' || state == 't';
}

/*
 * Stopped by the host, or dead: it handles what is queued for it before it runs guest code again, if
 * it ever does.
 */
bool hmm_is_held(const struct hmm *hmm, const struct native_task *t)
{
	char state = host_thread_state(hmm->tgid, t->task.pid);

	return state == 'T' || state == 't' || state == 'X' || state == 'Z';
}

/* ---- Asking ------------------------------------------------------------------------------ */

/* hmm->lock held. Give every thread something to do. */
static void group_set_work(struct hmm *hmm, u32 work)
{
	struct native_task *t;

	list_for_each_entry(t, &hmm->tasks, hmm_node) {
		__atomic_fetch_or(&t->work, work, __ATOMIC_SEQ_CST);
		if (t != current_native() && !t->parked &&
		    __atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != TASK_KERNEL)
			native_kick(t);
	}
}

/* hmm->lock held. */
static void ask_to_stop(struct hmm *hmm, int sig)
{
	hmm->nr_stop_asks++;
	hmm->stop_signal = sig;
	group_set_work(hmm, WORK_STOP);
}

void hmm_stop(struct hmm *hmm, int sig)
{
	spin_lock(&hmm->lock);
	ask_to_stop(hmm, sig);
	spin_unlock(&hmm->lock);
}

/* Whether a guest sent it, as hmm_job_signal() knows. */
static bool sent_by_guest(const struct host_siginfo *si)
{
	bool found;

	if (si->si_code != SI_USER && si->si_code != SI_TKILL && si->si_code != SI_QUEUE)
		return false;
	spin_lock(&tasklist_lock);
	found = find_group_leader((pid_t)si->fields[0]);
	spin_unlock(&tasklist_lock);
	return found;
}

/*
 * The host has handed t->siginfo over, a stop signal without a handler. A SIGCONT that was sent since makes
 * it void: one that came after its arrival here, or when guests sent both, after that.
 */
void stop_signal_taken(struct native_task *t)
{
	int sig = t->siginfo.si_signo;
	bool known = sent_by_guest(&t->siginfo);
	struct hmm *hmm = t->hmm;

	spin_lock(&hmm->lock);
	if (known ? (hmm->stops_sent & SIGBIT(sig)) != 0 : hmm->nr_conts == t->conts_seen)
		ask_to_stop(hmm, sig);
	spin_unlock(&hmm->lock);
}

/* Whether the host has stopped it; waits while it is about to. */
static bool is_stopped(struct hmm *hmm, u32 stops)
{
	for (unsigned int tries = 0;; tries++) {
		if (__atomic_load_n(&hmm->stopping, __ATOMIC_SEQ_CST) != STOP_RAISE ||
		    __atomic_load_n(&hmm->nr_stops, __ATOMIC_SEQ_CST) != stops)
			return false;
		/* With no descriptor to be had it cannot be known, but by now it should be so. */
		if (host_stopped(hmm->tgid, hmm->stopper) || tries == 1000)
			return true;
		machine_wait(&hmm->stopping, STOP_RAISE, 50000);
	}
}

/*
 * Before: a stop that can be called off no more has to be one that the host knows. After: one that came
 * in between is ended once more.
 */
static void job_continue(struct hmm *hmm, bool sent)
{
	u32 stops, ended;

	spin_lock(&hmm->lock);
	hmm->nr_conts++;
	hmm->stop_signal = 0;
	hmm->stops_sent = 0;
	stops = hmm->nr_stops;
	ended = hmm->stops_ended;
	spin_unlock(&hmm->lock);
	if ((sent && stops == ended) || !is_stopped(hmm, stops))
		return;
	__atomic_store_n(&hmm->stops_ended, stops, __ATOMIC_SEQ_CST);
	if (sent)
		host_syscall(__NR_kill, hmm->tgid, SIGCONT);
}

/* A guest sends a signal of job control to the process: before and after the host's part of it. */
void hmm_job_signal(struct hmm *hmm, int sig, bool sent)
{
	if (sig == SIGCONT) {
		job_continue(hmm, sent);
	} else if (!sent) {
		spin_lock(&hmm->lock);
		hmm->stops_sent |= SIGBIT(sig);
		spin_unlock(&hmm->lock);
	}
}

static void set_group_exit(struct signal_struct *signal, int wait_status)
{
	spin_lock(&signal->siglock);
	if (!signal->group_exit) {
		signal->group_exit_code = wait_status;
		__atomic_store_n(&signal->group_exit, true, __ATOMIC_SEQ_CST);
	}
	spin_unlock(&signal->siglock);
}

/* hmm->lock held. */
static void group_end(struct hmm *hmm, struct signal_struct *signal, int wait_status)
{
	set_group_exit(signal, wait_status);
	hmm->stop_signal = 0;
	group_set_work(hmm, WORK_KILL);
}

void signal_group_exit(struct native_task *t, int wait_status)
{
	struct hmm *hmm = t->hmm;

	spin_lock(&hmm->lock);
	group_end(hmm, t->task.signal, wait_status);
	spin_unlock(&hmm->lock);
}

/* After that, for a process that may be stopped; does not sleep. What is about to be stopped soon is. */
void hmm_let_die(struct hmm *hmm)
{
	for (unsigned int spins = 0; spins < 100000; spins++) {
		if (__atomic_load_n(&hmm->stopping, __ATOMIC_SEQ_CST) != STOP_RAISE)
			return;
		if (spins % 64 == 63 && host_stopped(hmm->tgid, hmm->stopper))
			break;
		machine_relax(spins);
	}
	host_syscall(__NR_kill, hmm->tgid, SIGCONT);
}

static void hmm_kill(struct hmm *hmm)
{
	spin_lock(&hmm->lock);
	if (!list_empty(&hmm->tasks))
		group_end(hmm,
			  list_first_entry(&hmm->tasks, struct native_task, hmm_node)->task.signal,
			  SIGKILL);
	spin_unlock(&hmm->lock);
	hmm_let_die(hmm);
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

/* ---- Stopping ---------------------------------------------------------------------------- */

/* An exec ends the other threads first; it is the new image that stops. */
bool stop_wanted(struct hmm *hmm)
{
	return __atomic_load_n(&hmm->stop_signal, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&hmm->exec_thread, __ATOMIC_SEQ_CST);
}

static bool must_go(const struct native_task *t)
{
	return __atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & (WORK_KILL | WORK_EXEC);
}

/* Whether a thread of the group is in the kernel, or on its way out of the world. */
static bool others_inside(struct native_task *t)
{
	struct hmm *hmm = t->hmm;
	struct native_task *other;
	bool inside = false;
	u32 n = 0;

	spin_lock(&hmm->lock);
	list_for_each_entry(other, &hmm->tasks, hmm_node) {
		if (other->parked)
			continue;
		n++;
		if (other != t && __atomic_load_n(&other->state, __ATOMIC_SEQ_CST) == TASK_KERNEL)
			inside = true;
	}
	inside |= __atomic_load_n(&hmm->running, __ATOMIC_SEQ_CST) > n;
	spin_unlock(&hmm->lock);
	return inside;
}

static void gather(struct native_task *t)
{
	for (unsigned int tries = 0; stop_wanted(t->hmm) && !must_go(t) && others_inside(t);
	     tries++) {
		machine_wait(&t->hmm->stopping, STOP_GATHER, tries < 50 ? 20000 : 1000000);
	}
}

/* The signal to raise; 0: the stop was called off. */
static int stop_commit(struct native_task *t)
{
	struct hmm *hmm = t->hmm;
	int sig = 0;

	spin_lock(&hmm->lock);
	if (stop_wanted(hmm) && !must_go(t)) {
		sig = hmm->stop_signal;
		hmm->stop_signal = 0;
		hmm->nr_stops++;
		hmm->stopper = t->task.pid;
		__atomic_store_n(&hmm->stopping, STOP_RAISE, __ATOMIC_SEQ_CST);
	}
	spin_unlock(&hmm->lock);
	return sig;
}

/* To this thread, which takes it itself: no other one may stop it later. */
static void stop_raise(struct native_task *t, int sig)
{
	struct k_sigaction dfl = { .flags = SA_RESTORER,
				   .restorer = (unsigned long)native_restorer };
	u64 mask = HOST_MASK_KERNEL & ~SIGBIT(sig);

	if (sig != SIGSTOP)
		host_syscall(__NR_rt_sigaction, sig, &dfl, NULL, 8);
	host_syscall(__NR_tgkill, t->hmm->tgid, t->task.pid, sig);
	host_syscall(__NR_rt_sigprocmask, 2, &mask, NULL, 8);
	mask = HOST_MASK_KERNEL;
	host_syscall(__NR_rt_sigprocmask, 2, &mask, NULL, 8);
	if (sig != SIGSTOP)
		signal_host_action(sig, &t->task.signal->action[sig]);
}

void group_stop(struct native_task *t)
{
	struct hmm *hmm = t->hmm;
	u32 none = STOP_NONE;
	int sig;

	if (!__atomic_compare_exchange_n(&hmm->stopping, &none, STOP_GATHER, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		cpu_put(t);
		kernel_enter(t);
		return;
	}
	gather(t);
	sig = stop_commit(t);
	if (sig) {
		cpu_lend(t);
		stop_raise(t, sig);
		cpu_take_back(t);
	}
	__atomic_store_n(&hmm->stopping, STOP_NONE, __ATOMIC_SEQ_CST);
	host_syscall(__NR_futex, &hmm->stopping, 1 /* FUTEX_WAKE */, 0x7fffffff);
}
