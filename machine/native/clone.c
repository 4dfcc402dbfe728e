/* SPDX-License-Identifier: MIT */
/*
 * clone.c - fork, vfork, clone, clone3: new tasks.
 *
 * A new task gets a kernel stack of its own with a copy of its parent's signal frame at the same
 * offset; its host thread starts on that stack below the frame and leaves the kernel through it.
 *
 *   CLONE_THREAD       a host thread of the same host process
 *   CLONE_VM alone     a host process of its own (so that it can exec in place) with the same mm
 *   neither            a host process with a copied mm
 *
 * A child process inherits the host's mappings, which are the valid TLB of what it shares or
 * copied: dup_mm() has write-protected them before the host copies them, and mmap_lock keeps new
 * ones out until that is done. A flush asked of the parent in between is repeated by the child.
 */
#include <quire/string.h>
#include <quire/trace.h>
#include <quire/slab.h>
#include <quire/userfaultfd_k.h>
#include <quire/vmstat.h>

#include "callsite.h"
#include "signal.h"

#define CSIGNAL 0xffull
#define CLONE_VM 0x100ull
#define CLONE_FS 0x200ull
#define CLONE_FILES 0x400ull
#define CLONE_SIGHAND 0x800ull
#define CLONE_PIDFD 0x1000ull
#define CLONE_PTRACE 0x2000ull
#define CLONE_VFORK 0x4000ull
#define CLONE_PARENT 0x8000ull
#define CLONE_THREAD 0x10000ull
#define CLONE_NEWNS 0x20000ull
#define CLONE_SYSVSEM 0x40000ull
#define CLONE_SETTLS 0x80000ull
#define CLONE_PARENT_SETTID 0x100000ull
#define CLONE_CHILD_CLEARTID 0x200000ull
#define CLONE_DETACHED 0x400000ull
#define CLONE_UNTRACED 0x800000ull
#define CLONE_CHILD_SETTID 0x1000000ull
#define CLONE_NEW_MASK 0x7e020000ull /* name spaces: NEWNS, NEWCGROUP ... NEWNET */
#define CLONE_NEWPID 0x20000000ull
#define CLONE_IO 0x80000000ull
#define CLONE_CLEAR_SIGHAND 0x100000000ull
#define MAX_PID_NS_LEVEL 32

/* As clone3(2) takes it. */
struct clone_args {
	u64 flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	u64 set_tid, set_tid_size, cgroup;
};

/* The parent of a vfork() sleeps until the child execs or exits; on the parent's stack. */
struct vfork_done {
	u32 done;
};
static spinlock_t vfork_lock;

long native_clone(unsigned long flags, unsigned long stack, s32 *ptid, s32 *ctid, unsigned long tls,
		  void (*fn)(void));

static spinlock_t dead_lock;
static struct native_task *dead_list;

/* ---- Kernel stacks ----------------------------------------------------------------------- */

struct native_task *native_task_alloc(void)
{
	struct page *page;
	struct native_task *nt;

	native_task_reap();
	if (__atomic_load_n(&kernel_shared.nr_tasks, __ATOMIC_RELAXED) >= NATIVE_MAX_THREADS)
		return NULL;
	page = alloc_pages(GFP_KERNEL | __GFP_COMP, KSTACK_ORDER);
	if (!page)
		return NULL;
	nt = page_address(page);
	memset(nt, 0, KSTACK_HEAD);
	if (!thread_slot_claim(nt)) {
		__free_pages(page, KSTACK_ORDER);
		return NULL;
	}
	__atomic_fetch_add(&kernel_shared.nr_tasks, 1, __ATOMIC_SEQ_CST);
	INIT_LIST_HEAD(&nt->hmm_node);
	mod_node_page_state(NR_KERNEL_STACK_KB, KSTACK_SIZE / 1024);
	return nt;
}

void native_task_free(struct native_task *nt)
{
	thread_slot_free(nt);
	__atomic_fetch_sub(&kernel_shared.nr_tasks, 1, __ATOMIC_SEQ_CST);
	mod_node_page_state(NR_KERNEL_STACK_KB, -(long)(KSTACK_SIZE / 1024));
	__free_pages(virt_to_page(nt), KSTACK_ORDER);
}

/* nt's thread will use this stack until the host tells that it has ended. */
void native_task_bury(struct native_task *nt)
{
	thread_slot_bury(nt);
	spin_lock(&dead_lock);
	nt->dead_next = dead_list;
	dead_list = nt;
	spin_unlock(&dead_lock);
}

void native_task_reap(void)
{
	struct native_task **link, *nt, *free = NULL;

	if (!__atomic_load_n(&dead_list, __ATOMIC_RELAXED))
		return;
	spin_lock(&dead_lock);
	for (link = &dead_list; (nt = *link);) {
		if (!thread_is_gone(nt) || __atomic_load_n(&nt->parent_busy, __ATOMIC_ACQUIRE)) {
			link = &nt->dead_next;
			continue;
		}
		*link = nt->dead_next;
		nt->dead_next = free;
		free = nt;
	}
	spin_unlock(&dead_lock);
	while ((nt = free)) {
		free = nt->dead_next;
		native_task_free(nt);
	}
}

/* The parent's frame, for the child: same offset in its stack, pointers moved along. */
static void copy_frame(struct native_task *child, const struct native_task *parent)
{
	const struct host_ucontext *uc = parent->uc;
	long delta = (long)((unsigned long)child - (unsigned long)parent);
	unsigned long from = (unsigned long)uc - 8, end = (unsigned long)parent + KSTACK_SIZE;

	memcpy((void *)(from + (unsigned long)delta), (const void *)from, end - from);
	child->uc = (struct host_ucontext *)((unsigned long)uc + (unsigned long)delta);
	if (uc->uc_mcontext.fpstate)
		child->uc->uc_mcontext.fpstate += (u64)delta;
	child->uc->uc_stack.ss_sp += (u64)delta;
}

/* ---- The child --------------------------------------------------------------------------- */

/*
 * Done by parent or child, whoever comes first, before either goes on: the task can be found, and
 * its id stands where CLONE_PARENT_SETTID wants it (a thread that ends at once clears that word
 * again for pthread_join(), and must not be overtaken).
 */
static void register_once(struct native_task *nt, pid_t pid, pid_t tgid)
{
	u32 none = 0;

	if (__atomic_compare_exchange_n(&nt->registered, &none, 1, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST)) {
		task_register(&nt->task, pid, tgid);
		if (nt->parent_settid)
			copy_to_mm(nt->task.mm, nt->parent_settid, &pid, sizeof(pid));
		__atomic_store_n(&nt->registered, 2, __ATOMIC_SEQ_CST);
		machine_wake(&nt->registered, 1);
	}
	while (__atomic_load_n(&nt->registered, __ATOMIC_SEQ_CST) != 2)
		machine_wait(&nt->registered, 1, MACHINE_WAIT_FOREVER);
}

/* What a task has to do before it may exit. Harmless if done twice. */
void child_begin(struct native_task *nt, pid_t pid, pid_t tgid)
{
	if (nt->hmm->leader == nt)
		nt->hmm->tgid = tgid;
	register_once(nt, pid, tgid);
	if (nt->hmm->leader == nt && !nt->hmm->record)
		record_begin(nt, (pid_t)host_syscall(__NR_getppid));
	else if (nt->hmm->leader != nt && nt->hmm->record)
		__atomic_fetch_add(&nt->hmm->record->threads, 1, __ATOMIC_RELAXED);
	if (nt->fork_parent_hmm) {
		struct hmm *parent = nt->fork_parent_hmm;

		/* Translations that the parent was told to drop while the host copied them. */
		if (__atomic_load_n(&parent->flush_req, __ATOMIC_SEQ_CST) != nt->fork_flush_req)
			hmm_drop_all();
		nt->fork_parent_hmm = NULL;
		hmm_put(parent);
	}
}

/* First C code of a new host thread, on its own kernel stack. */
static void child_start(void)
{
	struct native_task *nt = current_native();
	pid_t pid = (pid_t)host_syscall(__NR_gettid), tgid = (pid_t)host_syscall(__NR_getpid);

	thread_slot_arm(nt);
	kernel_enter(nt);
	child_begin(nt, pid, tgid);
	trap_init_thread(nt);
	if (nt->clear_sighand)
		for (int sig = 1; sig <= _NSIG; sig++)
			signal_host_action(sig, &nt->task.signal->action[sig]);
	if (nt->child_settid)
		copy_to_mm(nt->task.mm, nt->child_settid, &pid, sizeof(pid));
	nt->started = true;
	exit_to_user(nt);
	return_to_user(nt->uc);
}

/* ---- The parent -------------------------------------------------------------------------- */

static long clone_check(struct native_task *t, const struct clone_args *a)
{
	u64 f = a->flags;

	if ((f & CLONE_SIGHAND) && !(f & CLONE_VM))
		return -EINVAL;
	/* The machine's processes know each other by their ids. */
	if (f & CLONE_NEWPID)
		return -EPERM;
	if ((f & CLONE_THREAD) && !(f & CLONE_SIGHAND))
		return -EINVAL;
	if ((f & CLONE_FS) && (f & CLONE_NEWNS))
		return -EINVAL;
	if ((f & CLONE_SIGHAND) && (f & CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((f & CLONE_THREAD) && (f & (CLONE_NEW_MASK & ~CLONE_NEWNS)))
		return -EINVAL;
	if (a->exit_signal > _NSIG || signal_is_deadly((long)a->exit_signal))
		return -EINVAL;
	if ((f & CLONE_PIDFD) &&
	    user_access_room(t->task.mm, a->pidfd, sizeof(s32), true) < sizeof(s32))
		return -EFAULT;
	return 0;
}

static struct native_task *new_task(struct native_task *t, const struct clone_args *a)
{
	struct native_task *nt = native_task_alloc();
	bool thread = a->flags & CLONE_THREAD;

	if (!nt)
		return NULL;
	if (task_init(&nt->task, thread ? t->task.signal : NULL)) {
		native_task_free(nt);
		return NULL;
	}
	copy_frame(nt, t);
	nt->last_cpu = t->last_cpu;
	nt->state = TASK_HOST;
	nt->uc->uc_mcontext.ax = 0;
	if (a->stack)
		nt->uc->uc_mcontext.sp = a->stack + a->stack_size;
	memcpy(nt->task.comm, t->task.comm, sizeof(nt->task.comm));
	nt->task.uid = t->task.uid;
	nt->task.blocked = t->task.blocked;
	nt->task.cpus_allowed = t->task.cpus_allowed;
	nt->task.personality = t->task.personality;
	nt->task.mempolicy = t->task.mempolicy;
	nt->parent_gs = fastcall_guest_gs(t);
	if (!(a->flags & CLONE_VM) || (a->flags & CLONE_VFORK)) {
		nt->task.sas_sp = t->task.sas_sp;
		nt->task.sas_size = t->task.sas_size;
		nt->task.sas_flags = t->task.sas_flags;
	} else {
		nt->task.sas_flags = SS_DISABLE;
	}
	if (a->flags & CLONE_CHILD_CLEARTID)
		nt->task.clear_child_tid = a->child_tid;
	if (a->flags & CLONE_CHILD_SETTID)
		nt->child_settid = a->child_tid;
	if ((a->flags & CLONE_PARENT_SETTID) && (a->flags & CLONE_VM))
		nt->parent_settid = a->parent_tid;
	if (!thread) {
		struct signal_struct *from = t->task.signal, *to = nt->task.signal;

		memcpy(to->action, from->action, sizeof(to->action));
		memcpy(to->rlim, from->rlim, sizeof(to->rlim));
		to->oom_score_adj = from->oom_score_adj;
		to->start_ns = machine_clock_ns();
		if (a->flags & CLONE_CLEAR_SIGHAND) {
			for (int sig = 1; sig <= _NSIG; sig++)
				if (to->action[sig].handler != SIG_IGN)
					to->action[sig] = (struct k_sigaction){ 0 };
			nt->clear_sighand = true;
		}
	}
	return nt;
}

/* Frees what new_task() made; no host thread has it. */
static void drop_task(struct native_task *nt)
{
	signal_put(nt->task.signal);
	native_task_free(nt);
}

static long host_clone(struct native_task *nt, const struct clone_args *a, u64 host_flags,
		       s32 *pidfd)
{
	/* Below the frame, as if called. */
	unsigned long sp = (((unsigned long)nt->uc - 256) & ~15ul) - 8;
	s32 *word = (s32 *)&kernel_shared.thread[nt->slot].word;

	host_flags |= a->flags & (CLONE_FS | CLONE_FILES | CLONE_PIDFD | CLONE_PARENT |
				  CLONE_SYSVSEM | CLONE_SETTLS | CLONE_NEW_MASK | CLONE_IO);
	/* The host notes its id before it runs: nobody can be killed unknown. */
	if (a->flags & CLONE_PIDFD)
		return native_clone(host_flags | CLONE_CHILD_SETTID, sp, pidfd, word, a->tls,
				    child_start);
	current_native()->cloning = nt;
	return native_clone(host_flags | CLONE_PARENT_SETTID | CLONE_CHILD_SETTID, sp, word,
			    (s32 *)&nt->tid, a->tls, child_start);
}

static void hmm_add_task(struct hmm *hmm, struct native_task *nt)
{
	nt->hmm = hmm;
	atomic_inc(&hmm->count);
	spin_lock(&hmm->lock);
	list_add_tail(&nt->hmm_node, &hmm->tasks);
	spin_unlock(&hmm->lock);
}

void hmm_del_task(struct native_task *nt)
{
	struct hmm *hmm = nt->hmm;

	spin_lock(&hmm->lock);
	list_del_init(&nt->hmm_node);
	spin_unlock(&hmm->lock);
	hmm_put(hmm);
}

static long clone_thread(struct native_task *t, struct native_task *nt, const struct clone_args *a,
			 s32 *pidfd)
{
	const u64 thread_flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;
	long pid;

	nt->task.mm = t->task.mm;
	mmget(nt->task.mm);
	hmm_add_task(t->hmm, nt);
	__atomic_fetch_add(&t->hmm->running, 1, __ATOMIC_SEQ_CST);
	pid = host_clone(nt, a, thread_flags | CLONE_SYSVSEM, pidfd);
	if (pid < 0) {
		__atomic_fetch_sub(&t->hmm->running, 1, __ATOMIC_SEQ_CST);
		hmm_del_task(nt);
		mmput(nt->task.mm);
		return pid;
	}
	native_count(t, NC_THREADS, 1);
	/* A group exit that began before nt was in the list has not seen it. */
	if (__atomic_load_n(&t->task.signal->group_exit, __ATOMIC_SEQ_CST))
		__atomic_fetch_or(&nt->work, WORK_KILL, __ATOMIC_SEQ_CST);
	return pid;
}

static long clone_process(struct native_task *t, struct native_task *nt, const struct clone_args *a,
			  s32 *pidfd)
{
	struct hmm *hmm = hmm_alloc();
	struct mm_struct *old = t->task.mm, *mm = old;
	bool copy = !(a->flags & CLONE_VM);
	LIST_HEAD(events);
	long pid;

	if (!hmm)
		return -ENOMEM;
	hmm->leader = nt;
	hmm->thp_disable = t->hmm->thp_disable;
	hmm->kernel_tlb.seen = t->hmm->kernel_tlb.seen; /* the host copies the mappings later */
	hmm_add_task(hmm, nt); /* and the reference of hmm_alloc() is dropped at the end */
	hmm_do_flush(t->hmm);
	nt->fork_flush_req = __atomic_load_n(&t->hmm->flush_done, __ATOMIC_SEQ_CST);
	nt->fork_parent_hmm = t->hmm;
	atomic_inc(&t->hmm->count);
	if (copy) {
		t->fork_hmm = hmm;
		mm = dup_mm(old);
		t->fork_hmm = NULL;
	} else {
		mmget(mm);
		down_write(&old->mmap_lock);
		hmm_attach(hmm, mm);
	}
	if (IS_ERR(mm)) {
		up_write(&old->mmap_lock);
		pid = PTR_ERR(mm);
		hmm_detach(hmm);
	} else {
		if (copy)
			userfaultfd_take_events(mm, &events);
		nt->task.mm = mm;
		pid = hmm_inherit_devices(hmm, t->hmm, mm);
		if (!pid)
			pid = host_clone(nt, a, a->exit_signal, pidfd);
		up_write(&old->mmap_lock);
		if (pid < 0) {
			userfaultfd_cancel_events(&events);
			hmm_detach(hmm);
			mmput(mm);
		}
	}
	if (pid < 0) {
		hmm_put(t->hmm);
		hmm_del_task(nt);
	} else {
		native_count(t, NC_FORKS, 1);
		userfaultfd_post_events(&events);
	}
	hmm_put(hmm);
	return pid;
}

/* Until the child is done or something asks for t, at most 50 ms. */
static void vfork_sleep(struct native_task *t, struct vfork_done *done)
{
	struct host_timespec ts = { 0, 50000000 };

	/* It is not let go for a stop. */
	if (__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & ~WORK_FLUSH) {
		machine_wait(&done->done, 0, 50000000);
		return;
	}
	t->call_mask = ~signal_fatal_set(t);
	host_call(__NR_futex, (long)&done->done, 0 /* FUTEX_WAIT */, 0, (long)&ts, 0, 0);
	t->call_mask = 0;
	if (t->has_signal) {
		t->has_signal = false;
		signal_group_exit(t, t->siginfo.si_signo);
	}
}

/* Only what kills ends it before its time. */
static void vfork_wait(struct native_task *t, struct vfork_done *done, struct native_task *child)
{
	while (!__atomic_load_n(&done->done, __ATOMIC_SEQ_CST)) {
		vfork_sleep(t, done);
		if (!(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & WORK_KILL))
			continue;
		/* The child must not write into a stack that is going away. */
		spin_lock(&vfork_lock);
		if (!done->done)
			child->vfork_done = NULL;
		done->done = 1;
		spin_unlock(&vfork_lock);
	}
}

void complete_vfork(struct native_task *t)
{
	struct vfork_done *done;

	if (!t->vfork_done)
		return;
	spin_lock(&vfork_lock);
	done = t->vfork_done;
	t->vfork_done = NULL;
	if (done) {
		__atomic_store_n(&done->done, 1, __ATOMIC_SEQ_CST);
		machine_wake(&done->done, 1);
	}
	spin_unlock(&vfork_lock);
}

static long do_clone(struct native_task *t, const struct clone_args *a)
{
	u64 start = trace_clock();
	struct vfork_done done = { 0 };
	struct native_task *nt;
	s32 pidfd = -1;
	long pid = clone_check(t, a);

	if (pid)
		return pid;
	nt = new_task(t, a);
	if (!nt)
		return -ENOMEM;
	if (a->flags & CLONE_VFORK)
		nt->vfork_done = &done;
	nt->parent_busy = 1;
	pid = (a->flags & CLONE_THREAD) ? clone_thread(t, nt, a, &pidfd)
					: clone_process(t, nt, a, &pidfd);
	if (pid < 0) {
		drop_task(nt);
		return pid;
	}
	register_once(nt, (pid_t)pid, (a->flags & CLONE_THREAD) ? t->task.tgid : (pid_t)pid);
	if ((a->flags & CLONE_PARENT_SETTID) && !(a->flags & CLONE_VM)) {
		s32 tid = (s32)pid;

		copy_to_mm(t->task.mm, a->parent_tid, &tid, sizeof(tid));
	}
	if (a->flags & CLONE_PIDFD)
		copy_to_mm(t->task.mm, a->pidfd, &pidfd, sizeof(pidfd));
	trace(TRACE_FORK, 0, (u64)pid, start);
	if (a->flags & CLONE_VFORK)
		vfork_wait(t, &done, nt);
	__atomic_store_n(&nt->parent_busy, 0, __ATOMIC_RELEASE);
	return pid;
}

static long sys_clone3(struct native_task *t, unsigned long uargs, size_t size)
{
	struct clone_args a = { 0 };
	u8 rest;

	if (size > PAGE_SIZE)
		return -E2BIG;
	if (size < 64)
		return -EINVAL;
	if (copy_from_mm(t->task.mm, &a, uargs, size < sizeof(a) ? size : sizeof(a)))
		return -EFAULT;
	for (size_t i = sizeof(a); i < size; i++) {
		if (copy_from_mm(t->task.mm, &rest, uargs + i, 1))
			return -EFAULT;
		if (rest)
			return -E2BIG;
	}
	if (a.flags & (CLONE_DETACHED | CSIGNAL))
		return -EINVAL;
	if ((a.flags & (CLONE_THREAD | CLONE_PARENT)) && a.exit_signal)
		return -EINVAL;
	if (!a.stack != !a.stack_size)
		return -EINVAL;
	if (a.set_tid_size > MAX_PID_NS_LEVEL || !a.set_tid != !a.set_tid_size ||
	    (a.flags >> 33)) /* CLONE_INTO_CGROUP: not for guests */
		return -EINVAL;
	if (a.set_tid)
		return -EPERM; /* ids are the host's to choose */
	return do_clone(t, &a);
}

long clone_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct clone_args a = { 0 };

	switch (nr) {
	case __NR_fork:
		a.exit_signal = SIGCHLD;
		return do_clone(t, &a);
	case __NR_vfork:
		a.flags = CLONE_VFORK | CLONE_VM;
		a.exit_signal = SIGCHLD;
		return do_clone(t, &a);
	case __NR_clone:
		a.flags = args[0] & 0xffffffff & ~CSIGNAL;
		a.exit_signal = args[0] & CSIGNAL;
		a.stack = args[1];
		a.parent_tid = args[2];
		a.pidfd = args[2];
		a.child_tid = args[3];
		a.tls = args[4];
		if (a.flags & CLONE_THREAD)
			a.exit_signal = 0;
		if ((a.flags & CLONE_PIDFD) && (a.flags & (CLONE_DETACHED | CLONE_PARENT_SETTID)))
			return -EINVAL;
		return do_clone(t, &a);
	case __NR_clone3:
		return sys_clone3(t, args[0], args[1]);
	default:
		return SYSCALL_NOT_OURS;
	}
}
