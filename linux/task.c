/* SPDX-License-Identifier: MIT */
/*
 * Tasks: threads (task_struct) and thread groups (signal_struct), as the ABI sees them.
 *
 *   task_list <-> task <-> task <-> task          all threads of the machine, oldest first
 *                  |        |        |
 *                  +- signal A       +- signal B  one per thread group, counted
 *
 * The machine allocates a task with its own part behind the task_struct; a signal_struct is ours.
 * The list itself is mm/oom_kill.c's, which looks for its victims there.
 * Each thread holds one reference to its group from task_init() until the machine's signal_put().
 *
 * Locking: tasklist_lock covers task_list, pid, tgid and the pointer task->mm: who clears or
 * replaces task->mm does so under it, so that get_task_mm() never meets a freed mm. It is taken
 * before siglock, and is a leaf to everything else.
 */
#include <quire/kernel.h>
#include <quire/sched.h>
#include <quire/slab.h>
#include <quire/string.h>

static struct kmem_cache *signal_cache;

void fork_init(void)
{
	signal_cache = kmem_cache_create("signal_cache", sizeof(struct signal_struct), 0,
					 SLAB_HWCACHE_ALIGN | SLAB_PANIC, NULL);
}

static struct signal_struct *signal_alloc(void)
{
	struct signal_struct *signal = kmem_cache_zalloc(signal_cache, GFP_KERNEL);

	if (!signal)
		return NULL;
	spin_lock_init(&signal->siglock);
	INIT_LIST_HEAD(&signal->threads);
	for (int i = 0; i < RLIM_NLIMITS; i++)
		signal->rlim[i] = (struct rlimit64){ RLIM_INFINITY, RLIM_INFINITY };
	signal->start_ns = machine_clock_ns();
	return signal;
}

int task_init(struct task_struct *task, struct signal_struct *signal)
{
	if (!signal)
		signal = signal_alloc();
	if (!signal)
		return -ENOMEM;
	atomic_inc(&signal->count);
	atomic_inc(&signal->live);
	task->signal = signal;
	INIT_LIST_HEAD(&task->thread_node);
	INIT_LIST_HEAD(&task->tasks);
	atomic_set(&task->usage, 1);
	return 0;
}

void task_register(struct task_struct *task, pid_t pid, pid_t tgid)
{
	struct signal_struct *signal = task->signal;

	spin_lock(&tasklist_lock);
	task->pid = pid;
	task->tgid = tgid;
	list_add_tail(&task->tasks, &task_list);
	spin_lock(&signal->siglock);
	signal->tgid = tgid;
	list_add_tail(&task->thread_node, &signal->threads);
	spin_unlock(&signal->siglock);
	spin_unlock(&tasklist_lock);
}

void task_unregister(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;

	spin_lock(&tasklist_lock);
	list_del_init(&task->tasks);
	spin_lock(&signal->siglock);
	list_del_init(&task->thread_node);
	spin_unlock(&signal->siglock);
	spin_unlock(&tasklist_lock);
}

void signal_put(struct signal_struct *signal)
{
	if (atomic_dec_and_test(&signal->count))
		kmem_cache_free(signal_cache, signal);
}

struct task_struct *find_task_by_pid(pid_t pid)
{
	struct task_struct *task;

	list_for_each_entry(task, &task_list, tasks) {
		if (task->pid == pid)
			return task;
	}
	return NULL;
}

/* A thread that still has its mm is preferred: the first thread may have exited before the rest. */
struct task_struct *find_group_leader(pid_t tgid)
{
	struct task_struct *task, *found = NULL;

	list_for_each_entry(task, &task_list, tasks) {
		if (task->tgid != tgid)
			continue;
		if (task->mm)
			return task;
		if (!found)
			found = task;
	}
	return found;
}

struct mm_struct *task_set_mm(struct task_struct *task, struct mm_struct *mm)
{
	struct mm_struct *old;

	spin_lock(&tasklist_lock);
	old = task->mm;
	task->mm = mm;
	spin_unlock(&tasklist_lock);
	return old;
}

struct mm_struct *get_task_mm(pid_t pid)
{
	struct mm_struct *mm = NULL;
	struct task_struct *task;

	spin_lock(&tasklist_lock);
	task = find_group_leader(pid);
	if (!task)
		task = find_task_by_pid(pid);
	if (task && task->mm && atomic_inc_not_zero(&task->mm->mm_users))
		mm = task->mm;
	spin_unlock(&tasklist_lock);
	return mm;
}

/* By user, as there is nothing else to go by. */
int ptrace_may_access(struct task_struct *task, pid_t pid)
{
	struct task_struct *other;
	int err = 0;

	if (!pid)
		return 0;
	spin_lock(&tasklist_lock);
	other = find_task_by_pid(pid) ?: find_group_leader(pid);
	if (!other)
		err = -ESRCH;
	else if (other->signal != task->signal && other->uid != task->uid)
		err = -EPERM;
	spin_unlock(&tasklist_lock);
	return err == -EPERM && machine_capable(CAP_SYS_PTRACE) ? 0 : err;
}

/* Of an absolute path the last component; anything else as it is, as PR_SET_NAME has it. */
void set_task_comm(struct task_struct *task, const char *path_or_name)
{
	if (path_or_name[0] == '/')
		path_or_name = strrchr(path_or_name, '/') + 1;
	strscpy(task->comm, path_or_name, TASK_COMM_LEN);
}

/*
 * The limits that the memory manager obeys, from where prlimit() keeps them. The caller's mm, or
 * one that nobody runs on yet.
 */
void mm_set_rlimits(struct mm_struct *mm, struct signal_struct *signal)
{
	spin_lock(&signal->siglock);
	mm->rlim_as = signal->rlim[RLIMIT_AS_].rlim_cur;
	mm->rlim_data = signal->rlim[RLIMIT_DATA_].rlim_cur;
	mm->rlim_data_max = signal->rlim[RLIMIT_DATA_].rlim_max;
	mm->rlim_stack = signal->rlim[RLIMIT_STACK_].rlim_cur;
	mm->rlim_memlock = signal->rlim[RLIMIT_MEMLOCK_].rlim_cur;
	spin_unlock(&signal->siglock);
}
