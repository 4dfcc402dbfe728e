/* SPDX-License-Identifier: MIT */
/*
 * exit.c - the end of threads and processes, with nothing held and no frame left behind.
 *
 *   thread that is not the host leader   its host thread ends
 *   host leader, others alive            parks: a process whose leader is gone could not exec
 *   last thread                          gives back the mm and ends the host process in the way that
 *                                        its parent is to see (exit status, or the signal itself)
 */
#include <quire/string.h>
#include <quire/trace.h>

#include "signal.h"

#define RLIMIT_CORE 4

void native_gone(long nr, long arg, long sig, const u64 *mask) __attribute__((noreturn));
void native_park(u32 *word, u32 *running);
extern const char native_restorer[];

/* only[sig]: everything blocked but sig. */
#define ONLY(s) [s] = ~SIGBIT(s)
static const u64 only[_NSIG + 1] = {
	ONLY(1),  ONLY(2),  ONLY(3),  ONLY(4),	ONLY(5),  ONLY(6),  ONLY(7),  ONLY(8),
	ONLY(9),  ONLY(10), ONLY(11), ONLY(12), ONLY(13), ONLY(14), ONLY(15), ONLY(16),
	ONLY(17), ONLY(18), ONLY(19), ONLY(20), ONLY(21), ONLY(22), ONLY(23), ONLY(24),
	ONLY(25), ONLY(26), ONLY(27), ONLY(28), ONLY(29), ONLY(30), ONLY(31), ONLY(32),
	ONLY(33), ONLY(34), ONLY(35), ONLY(36), ONLY(37), ONLY(38), ONLY(39), ONLY(40),
	ONLY(41), ONLY(42), ONLY(43), ONLY(44), ONLY(45), ONLY(46), ONLY(47), ONLY(48),
	ONLY(49), ONLY(50), ONLY(51), ONLY(52), ONLY(53), ONLY(54), ONLY(55), ONLY(56),
	ONLY(57), ONLY(58), ONLY(59), ONLY(60), ONLY(61), ONLY(62), ONLY(63), ONLY(64),
};

/*
 * The host's core file tells the parent that there is one, as its limit permits. Of a process that is not
 * made for it (core_build()) it holds nothing: what it could is the machine's memory.
 */
static void prepare_core(int sig, bool built)
{
	u64 no_core[2] = { 0, 0 };
	long fd = -1, n = 0;

	if (default_is_core(sig))
		fd = host_syscall(__NR_open, "/proc/self/coredump_filter", HOST_O_WRONLY, 0);
	if (fd >= 0) {
		n = host_syscall(__NR_write, fd, built ? "1" : "0", 1);
		host_syscall(__NR_close, fd);
	}
	if (n != 1)
		host_syscall(__NR_setrlimit, RLIMIT_CORE, no_core);
}

static void die_as(struct native_task *t, int wait_status, struct core_frame *core)
	__attribute__((noreturn));

/* The host process ends so that its parent sees wait_status. The CPU was given back. */
static void die_as(struct native_task *t, int wait_status, struct core_frame *core)
{
	int sig = wait_status & 0x7f;

	if (t->adopted)
		native_gone(__NR_exit, 0, 0, NULL);
	if (sig) {
		struct k_sigaction dfl = { .flags = SA_RESTORER,
					   .restorer = (unsigned long)native_restorer };
		prepare_core(sig, core);
		if (sig != SIGKILL)
			host_syscall(__NR_rt_sigaction, sig, &dfl, NULL, 8);
		if (core)
			core_die(core, sig);
		native_gone(__NR_exit_group, 128 + sig, sig, &only[sig]);
	}
	native_gone(__NR_exit_group, wait_status >> 8 & 0xff, 0, NULL);
}

/*
 * Threads that have left the group still run the last of the kernel's code. The host must not end
 * them in the middle of it, nor may they be seen after an exec.
 */
void hmm_wait_alone(struct native_task *t)
{
	u32 n;

	while ((n = __atomic_load_n(&t->hmm->running, __ATOMIC_SEQ_CST)) > 1)
		machine_wait(&t->hmm->running, n, 100000);
}

static struct core_frame *process_exit(struct native_task *t, int wait_status)
{
	struct hmm *hmm = t->hmm;
	struct native_task *leader = hmm->leader;
	struct mm_struct *mm = t->task.mm;
	struct core_frame *core = NULL;

	hmm_wait_alone(t);
	record_image(hmm, mm);
	dump_image(t, mm, "exit");
	record_end(t, wait_status);
	trace(TRACE_EXIT, 0, (u64)wait_status, trace_clock());
	__atomic_store_n(&hmm->dying, true, __ATOMIC_SEQ_CST);
	hmm_detach(hmm);
	if (hmm->core)
		core = core_build(t, wait_status & 0x7f);
	mmput(task_set_mm(&t->task, NULL));
	if (leader != t) {
		/* Parked, and never to run again. */
		exit_shm(&leader->task);
		task_unregister(&leader->task);
		hmm_del_task(leader);
		signal_put(leader->task.signal);
		native_task_bury(leader);
	}
	return core;
}

static void thread_gone(struct native_task *t)
{
	exit_shm(&t->task);
	signal_leaving(t);
	task_unregister(&t->task);
	hmm_del_task(t);
	signal_put(t->task.signal);
	native_task_reap();
	native_task_bury(t);
	cpu_put(t);
}

/* The leader's thread has exited: another one's exec goes on here. */
static void leader_resume(struct native_task *t) __attribute__((noreturn));

static void leader_resume(struct native_task *t)
{
	exec_continue(t);
	exit_to_user(t);
	return_to_user(t->uc);
}

/* Its host thread waits for exec, or to be ended. */
static void leader_park(struct native_task *t)
{
	mmput(task_set_mm(&t->task, NULL));
	cpu_put(t);
	if (t->adopted)
		native_gone(__NR_exit, 0, 0, (const u64 *)&t->hmm->running);
	native_park(&t->park, &t->hmm->running);
	__atomic_fetch_add(&t->hmm->running, 1, __ATOMIC_SEQ_CST);
	kernel_enter(t);
	leader_resume(t);
}

void do_exit(struct native_task *t, int wait_status)
{
	struct signal_struct *signal = t->task.signal;
	struct hmm *hmm = t->hmm;
	struct core_frame *core;
	bool last, handed;

	futex_exit_task(&t->task);
	complete_vfork(t);
	if (!signal->group_exit)
		signal_give_back(t);
	if (hmm->leader == t)
		hmm->leader_status = wait_status;
	spin_lock(&hmm->lock);
	handed = t->handover; /* an exec came while this thread was leaving */
	last = !handed && atomic_dec_and_test(&signal->live);
	t->parked = !handed && !last && hmm->leader == t;
	spin_unlock(&hmm->lock);
	if (handed)
		leader_resume(t);
	if (t->parked)
		leader_park(t);
	if (!last) {
		mmput(task_set_mm(&t->task, NULL));
		exec_thread_left(hmm);
		thread_gone(t);
		native_gone(__NR_exit, 0, 0, (const u64 *)&hmm->running);
	}
	wait_status = signal->group_exit ? signal->group_exit_code : hmm->leader_status;
	core = process_exit(t, wait_status);
	thread_gone(t);
	die_as(t, wait_status, core);
}
