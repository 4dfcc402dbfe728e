/* SPDX-License-Identifier: MIT */
/*
 * reaper.c - threads that were killed from outside the machine: what they leave is put in order as if
 * they had been killed from inside.
 *
 *   thread[slot].word    0 -> THREAD_NONE -> id -> THREAD_DIED -> 0
 *
 * The host writes the id before a new thread runs (CLONE_PARENT_SETTID), and THREAD_DIED when it has
 * ended, since the word is on its robust list. So at any moment every host thread of the machine is in
 * the table, and nobody uses a stack whose thread has died.
 *
 * The keeper calls do_watch() twenty times a second, and when somebody finds a reason (reap_soon()).
 * It takes no lock and no CPU, which the dead may hold. A process of which all threads have died,
 * one of them without SLOT_BURIED, is adopted: for each of its threads a thread of the keeper starts,
 * on the kernel stack of the dead one, with WORK_KILL set,
 *
 *   where a record says  (window.S) in a host call, or a wait without a CPU: it goes on from there,
 *                        so that memory, references and locks held are given back
 *   with do_exit()       when it was in its own code, or about to get a CPU: nothing was held
 *
 * and needs no host process of its own: host_syscall_nested() makes only such calls as have to do
 * with others. A task that holds a CPU without a record was in the middle of a change: nobody
 * knows what is true, and the machine stops.
 */
#include <quire/sprintf.h>
#include <quire/string.h>

#include "signal.h"

#define CLONE_ADOPTER                                                                \
	(0x100 /* VM */ | 0x200 /* FS */ | 0x400 /* FILES */ | 0x800 /* SIGHAND */ | \
	 0x10000 /* THREAD */ | 0x40000 /* SYSVSEM */ | 0x100000 /* PARENT_SETTID */)
#define POLLIN 1
#define RECORD_RESUMABLE (-1)

/* window.S: record_push and what is before it. */
struct record {
	s64 nr;
	long a, b, c;
};

long native_clone(unsigned long flags, unsigned long stack, s32 *ptid, s32 *ctid, unsigned long tls,
		  void (*fn)(void));
void native_resume(const struct record *record, long result) __attribute__((noreturn));
long host_syscall_nested(long nr, long a, long b, long c, long d, long e, long f);

_Static_assert(sizeof(struct native_task) <= KSTACK_HEAD - sizeof(u64), "KSTACK_HEAD");

static struct record **resume_of(struct native_task *t)
{
	return (struct record **)((unsigned long)t + KSTACK_HEAD - sizeof(u64));
}

/* ---- The table --------------------------------------------------------------------------- */

static u32 slot_hint;

static struct thread_slot *slot_of(const struct native_task *t)
{
	return &kernel_shared.thread[t->slot];
}

static u32 slot_word(const struct native_task *t)
{
	return __atomic_load_n(&slot_of(t)->word, __ATOMIC_SEQ_CST);
}

static struct native_task *info_task(u32 info)
{
	return (struct native_task *)(DIRECT_MAP_BASE + ((u64)(info & ~SLOT_FLAGS) << PAGE_SHIFT));
}

static void slot_took(u32 n)
{
	u32 seen = __atomic_load_n(&kernel_shared.nr_slots, __ATOMIC_SEQ_CST);

	while (seen <= n && !__atomic_compare_exchange_n(&kernel_shared.nr_slots, &seen, n + 1,
							 false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

bool thread_slot_claim(struct native_task *t)
{
	u32 hint = __atomic_load_n(&slot_hint, __ATOMIC_RELAXED);

	for (u32 i = 0; i < NATIVE_MAX_THREADS; i++) {
		u32 n = (hint + i) % NATIVE_MAX_THREADS, none = 0;
		struct thread_slot *slot = &kernel_shared.thread[n];

		if (slot->word ||
		    !__atomic_compare_exchange_n(&slot->word, &none, THREAD_NONE, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		t->slot = n;
		__atomic_store_n(&slot->info,
				 (u32)(((unsigned long)t - DIRECT_MAP_BASE) >> PAGE_SHIFT),
				 __ATOMIC_SEQ_CST);
		slot_took(n);
		__atomic_store_n(&slot_hint, n + 1, __ATOMIC_RELAXED);
		return true;
	}
	return false;
}

void thread_slot_free(struct native_task *t)
{
	struct thread_slot *slot = slot_of(t);

	__atomic_store_n(&slot->info, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&slot->word, 0, __ATOMIC_SEQ_CST);
	if (t->slot < __atomic_load_n(&slot_hint, __ATOMIC_RELAXED))
		__atomic_store_n(&slot_hint, t->slot, __ATOMIC_RELAXED);
}

/* In one step: SLOT_SEEN must not be there with SLOT_ARMED by chance. */
static void set_flags(struct thread_slot *slot, u32 flags)
{
	u32 info = slot->info;

	while (!__atomic_compare_exchange_n(&slot->info, &info,
					    (info & ~(SLOT_ARMED | SLOT_SEEN)) | flags, false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

void thread_slot_arm(struct native_task *t)
{
	u64 entry = (u64)&t->robust.entry;

	t->robust.next = entry;
	t->robust.entry = (u64)&t->robust.next;
	t->robust.offset = (s64)((u64)&slot_of(t)->word - entry);
	__atomic_store_n(&slot_of(t)->word, (u32)host_syscall_raw(__NR_gettid), __ATOMIC_SEQ_CST);
	host_syscall_raw(__NR_set_robust_list, &t->robust.next, 24);
	set_flags(slot_of(t), t->adopted ? SLOT_ADOPTED : SLOT_ARMED);
}

void thread_slot_bury(struct native_task *t)
{
	__atomic_fetch_or(&slot_of(t)->info, SLOT_BURIED, __ATOMIC_SEQ_CST);
}

bool thread_is_gone(const struct native_task *t)
{
	return slot_word(t) & THREAD_DIED;
}

/* ---- Who has died ------------------------------------------------------------------------ */

void reap_soon(void)
{
	__atomic_fetch_add(&kernel_shared.watch_seq, 1, __ATOMIC_SEQ_CST);
	machine_wake(&kernel_shared.watch_seq, 1);
}

/* All its threads have, whether or not somebody has waited for it. */
bool process_has_died(pid_t pid)
{
	struct {
		s32 fd;
		s16 events, revents;
	} poll = { .events = POLLIN };
	bool died;

	poll.fd = (s32)host_syscall(__NR_pidfd_open, pid, 0);
	if (poll.fd < 0)
		return poll.fd == -ESRCH;
	died = host_syscall(__NR_poll, &poll, 1, 0) == 1;
	host_syscall(__NR_close, poll.fd);
	return died;
}

/* A thread that never came to be on its robust list, with id `tid`. */
static bool unarmed_is_gone(pid_t tgid, pid_t tid)
{
	return host_syscall(__NR_tgkill, tgid, tid, 0) == -ESRCH ||
	       (tid == tgid && process_has_died(tgid));
}

static struct thread_slot slot_read(u32 n)
{
	union {
		u64 all;
		struct thread_slot slot;
	} u = { .all = __atomic_load_n((u64 *)&kernel_shared.thread[n], __ATOMIC_SEQ_CST) };

	return u.slot;
}

struct hmm *thread_slot_hmm(u32 slot)
{
	u32 info = slot_read(slot).info;

	return info ? info_task(info)->hmm : NULL;
}

/* The next task of hmm from slot *n on that has not left in order; the dead do not go away meanwhile. */
static struct native_task *next_of(const struct hmm *hmm, u32 *n)
{
	for (; *n < kernel_shared.nr_slots; (*n)++) {
		struct thread_slot slot = slot_read(*n);
		struct native_task *t = info_task(slot.info);

		if (!slot.word || !slot.info || (slot.info & SLOT_BURIED) || t->hmm != hmm)
			continue;
		if (slot_read(*n).info != slot.info)
			continue; /* another's by now */
		return t;
	}
	return NULL;
}

static bool process_is_gone(const struct hmm *hmm)
{
	bool any = false;

	for (u32 n = 0; next_of(hmm, &n); n++) {
		struct thread_slot slot = slot_read(n);
		pid_t tgid = hmm->tgid ? hmm->tgid : (pid_t)slot.word;

		any = true;
		if ((slot.word & THREAD_DIED) || slot.word == THREAD_NONE)
			continue;
		if ((slot.info & SLOT_ARMED) || !unarmed_is_gone(tgid, (pid_t)slot.word))
			return false;
	}
	return any;
}

/* ---- Adoption ---------------------------------------------------------------------------- */

/* Whether somebody can go on from where t is: it holds no CPU, or has left a record. */
static bool can_be_adopted(struct native_task *t)
{
	return *resume_of(t) || cpu_held_by(t) < 0;
}

/* A call's record counts only with the CPU: without one nothing is under way. */
static const struct record *valid_record(struct native_task *t)
{
	const struct record *record = *resume_of(t);

	return record && (record->nr == RECORD_RESUMABLE || cpu_held_by(t) >= 0) ? record : NULL;
}

/* A leader that has exited: its stack is the last thread's to give back. */
static bool is_parked(struct native_task *t)
{
	return t->parked && !valid_record(t) && cpu_held_by(t) < 0;
}

static void stop_for(const struct native_task *t)
{
	char text[160];

	snprintf(
		text, sizeof(text),
		"process %d (%s) was killed from outside in a critical section of the guest kernel",
		t->task.tgid, t->task.comm);
	machine_stop(text);
}

/* What the call that was under way gives to the one that goes on: made now if others need it. */
static long result_of(struct native_task *t, const struct record *r)
{
	u32 word;

	if (r->nr == RECORD_RESUMABLE)
		return -ERESTARTSYS;
	if (r->nr != __NR_clone)
		return host_syscall_nested(r->nr, r->a, r->b, r->c, 0, 0, 0);
	word = slot_word(t->cloning);
	if (word == THREAD_NONE)
		return -EAGAIN;
	return word & THREAD_DIED ? (long)t->cloning->tid : (long)word;
}

static void adopter_start(void)
{
	struct native_task *t = current_native();
	const struct record *record = valid_record(t);
	int cpu = cpu_held_by(t);
	pid_t tid = (pid_t)t->tid;

	thread_slot_arm(t);
	*resume_of(t) = (struct record *)1; /* all calls are nested ones */
	cpu_forget_waiter(t);
	if (record) {
		if (cpu < 0)
			cpu_get(t);
		else if (record->nr == RECORD_RESUMABLE)
			t->task.cpu = (u32)cpu;
		t->state = TASK_KERNEL;
		native_resume(record, result_of(t, record));
	}
	hmm_drop_locks(t->hmm, t);
	cpu_get(t);
	if (!t->started)
		child_begin(t, tid, t->hmm->tgid ? t->hmm->tgid : tid);
	do_exit(t, SIGKILL);
}

/* Below everything that may still be of use on t's stack. */
static unsigned long adopter_stack(struct native_task *t)
{
	unsigned long top = (unsigned long)t + KSTACK_SIZE;

	if (*resume_of(t))
		top = (unsigned long)*resume_of(t);
	else if (t->uc)
		top = (unsigned long)t->uc;
	return ((top - 256) & ~15ul) - 8;
}

/* Before any of the process's adopters runs. */
static void prepare(struct native_task *t)
{
	u32 was = slot_word(t);

	if (!(was & THREAD_DIED))
		t->tid = was;
	t->adopted = true;
	/* Nobody is to kick it: its id is no longer its own. */
	__atomic_store_n(&t->state, TASK_KERNEL, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&t->work, WORK_KILL, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&t->hmm->running, 1, __ATOMIC_SEQ_CST);
}

/* False: no thread can be made at the moment. */
static bool adopt(struct native_task *t)
{
	struct thread_slot *slot = slot_of(t);
	u32 was = slot_word(t);

	set_flags(slot, SLOT_ADOPTED);
	if (native_clone(CLONE_ADOPTER, adopter_stack(t), (s32 *)&slot->word, NULL, 0,
			 adopter_start) > 0)
		return true;
	set_flags(slot, was & THREAD_DIED ? SLOT_ARMED : SLOT_SEEN);
	return false;
}

/* A child that no host thread was made for is its parent's, not to be adopted. */
static bool is_orphan(u32 n, struct native_task *t)
{
	struct thread_slot slot = slot_read(n);

	return slot.word != THREAD_NONE && (slot.info & SLOT_FLAGS) != SLOT_ADOPTED &&
	       !is_parked(t);
}

/* All threads are dead. */
static void adopt_process(struct hmm *hmm, struct signal_struct *signal)
{
	struct native_task *t;

	for (u32 n = 0; (t = next_of(hmm, &n)); n++) {
		if (!can_be_adopted(t)) {
			stop_for(t);
			return;
		}
	}
	if (!hmm->dead) {
		hmm->dead = true;
		__atomic_store_n(&hmm->dying, true, __ATOMIC_SEQ_CST);
		__atomic_store_n(&hmm->stopping, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&hmm->running, 0, __ATOMIC_SEQ_CST);
		signal->group_exit_code = SIGKILL;
		__atomic_store_n(&signal->group_exit, true, __ATOMIC_SEQ_CST);
		for (u32 n = 0; (t = next_of(hmm, &n)); n++)
			if (is_orphan(n, t))
				prepare(t);
	}
	for (u32 n = 0; (t = next_of(hmm, &n)); n++)
		if (t->adopted && is_orphan(n, t) && !adopt(t))
			return;
}

/* A task of a process to look at: it died unexpectedly, or never armed itself; or NULL. */
static struct native_task *suspect(u32 n)
{
	struct thread_slot slot = slot_read(n);
	struct native_task *t = info_task(slot.info);

	if (!slot.word || !slot.info || slot.word == THREAD_NONE || (slot.info & SLOT_BURIED) ||
	    (slot.info & SLOT_FLAGS) == SLOT_ADOPTED)
		return NULL;
	if (slot.word & THREAD_DIED)
		return is_parked(t) ? NULL : t;
	if (slot.info & SLOT_ARMED)
		return NULL;
	if (slot.info & SLOT_SEEN)
		return t;
	__atomic_compare_exchange_n(&kernel_shared.thread[n].info, &slot.info,
				    slot.info | SLOT_SEEN, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	return NULL;
}

/* A dead task with a CPU and no record: all others wait for it, sooner or later. */
static bool critical_death(void)
{
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++) {
		struct native_task *t = cpu_holder(cpu);

		if (t && !t->is_service && thread_is_gone(t) && !can_be_adopted(t) &&
		    cpu_holder(cpu) == t) {
			stop_for(t);
			return true;
		}
	}
	return false;
}

long do_watch(void *unused)
{
	(void)unused;
	if (critical_death())
		return 0;
	for (u32 n = 0; n < kernel_shared.nr_slots; n++) {
		struct native_task *t = suspect(n);

		if (t && process_is_gone(t->hmm))
			adopt_process(t->hmm, t->task.signal);
	}
	cpu_unstall();
	return 0;
}

/* ---- Host calls of those adopted, and within native_resumable() -------------------------- */

/*
 * An adopted task has no address space, descriptors or identity of its own in the host: what it does
 * to these has been done or is of no account.
 */
long host_syscall_nested(long nr, long a, long b, long c, long d, long e, long f)
{
	const struct native_task *t = current_native();

	if (!t->adopted)
		return host_syscall_raw6(nr, a, b, c, d, e, f);
	switch (nr) {
	case __NR_futex:
	case __NR_sched_yield:
	case __NR_clock_gettime:
	case __NR_getrandom:
		return host_syscall_raw6(nr, a, b, c, d, e, f);
	case __NR_tgkill: /* a kick */
		return c == SIGSYS ? host_syscall_raw6(nr, a, b, c, d, e, f) : 0;
	case __NR_writev: /* machine_log() */
		return a == machine_params.log_fd ? host_syscall_raw6(nr, a, b, c, d, e, f) : -EIO;
	case __NR_mmap:
		return a;
	case __NR_munmap:
	case __NR_mprotect:
	case __NR_sigaltstack:
	case __NR_prctl:
	case __NR_rt_sigaction:
	case __NR_rt_sigprocmask:
		return 0;
	case __NR_getpid:
		return t->task.tgid;
	case __NR_gettid:
		return t->task.pid;
	default:
		return -EIO;
	}
}
