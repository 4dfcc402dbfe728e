/* SPDX-License-Identifier: MIT */
/*
 * oom_kill.c - when nothing is left to reclaim, one process ends so that the others go on.
 *
 *	allocator, page cache, fault ---> out_of_memory
 *		memory has come back			try again
 *		a victim is on its way out		wait a moment, try again
 *		else: the worst by oom_badness		kill it, take its memory, try again
 *		nobody may be killed			the allocation fails
 *
 * The caller may hold its own mmap_lock and a mapping->lock, and the victim may need that lock to come
 * to its end. So the victim's private memory is taken without its help (oom_reap_mm), for which its
 * mmap_lock is only tried, and nobody waits for it longer than OOM_PATIENCE: then comes the next one.
 *
 * Memory that was taken would read as zeros. The victim's program does not see them: it was killed
 * before, and a flush makes it stop. The kernel does not either: MMF_UNSTABLE is set before the first
 * page goes, and looked at under page_table_lock (get_locked_pte) and by fork.
 *
 * A victim that needs memory in order to end gets half of the reserves (alloc_pages_slowpath).
 */
#include <quire/fs.h>
#include <quire/kernel.h>
#include <quire/sched.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

#include "page_alloc.h"

/* Every thread of the machine; empty where the core is used without linux/. */
struct list_head task_list = LIST_HEAD_INIT(task_list);
spinlock_t tasklist_lock = SPINLOCK_INIT;

#define OOM_WAIT_NS 1000000ull
#define OOM_PATIENCE_NS 100000000ull
#define MAX_REAP_RETRIES 10
#define MAX_FAULT_RETRIES 16u
/* Tables of tasks: so many in so long a time. */
#define DUMP_BURST 10u
#define DUMP_INTERVAL_NS 5000000000ull

static struct mutex oom_lock; /* choosing; only tried, by whoever finds no memory */
static atomic_t oom_victims; /* killed, and their memory not gone yet */
static u64 last_kill_ns;

/* A process as the table shows it. */
struct oom_task {
	pid_t pid, tgid;
	u32 uid;
	int adj;
	unsigned long total_vm, rss, anon, file, shmem, pgtables, swapents;
	char comm[TASK_COMM_LEN];
};

void oom_init(void)
{
	INIT_LIST_HEAD(&task_list);
	spin_lock_init(&tasklist_lock);
	mutex_init(&oom_lock);
	atomic_set(&oom_victims, 0);
	last_kill_ns = 0;
}

/* ---- Who is worst ------------------------------------------------------------------------- */

/* Pages that the process's end would free, and what its owner thinks of it. mm stays meanwhile. */
static long mm_badness(struct mm_struct *mm, int adj)
{
	long points = (long)(get_mm_rss(mm) + get_mm_counter(mm, MM_SWAPENTS));

	if (adj == OOM_SCORE_ADJ_MIN)
		return LONG_MIN;
	points += atomic_long_read(&mm->pgtables_bytes) >> PAGE_SHIFT;
	return points + adj * ((long)(totalram_pages() + total_swap_pages) / 1000);
}

long oom_badness(const struct task_struct *task)
{
	if (!task->mm || mm_test_flag(task->mm, MMF_OOM_SKIP))
		return LONG_MIN;
	return mm_badness(task->mm, task->signal->oom_score_adj);
}

static void describe(struct oom_task *d, const struct task_struct *task)
{
	struct mm_struct *mm = task->mm;

	d->pid = task->pid;
	d->tgid = task->tgid;
	d->uid = task->uid;
	d->adj = task->signal->oom_score_adj;
	d->total_vm = READ_ONCE(mm->total_vm);
	d->rss = get_mm_rss(mm);
	d->anon = get_mm_counter(mm, MM_ANONPAGES);
	d->file = get_mm_counter(mm, MM_FILEPAGES);
	d->shmem = get_mm_counter(mm, MM_SHMEMPAGES);
	d->pgtables = (unsigned long)atomic_long_read(&mm->pgtables_bytes);
	d->swapents = get_mm_counter(mm, MM_SWAPENTS);
	memcpy(d->comm, task->comm, sizeof(d->comm));
}

/* The mm of the worst process, with a reference on mm_count, or NULL: none may be killed. */
static struct mm_struct *select_bad_process(struct oom_task *chosen)
{
	const struct task_struct *task, *worst = NULL;
	struct mm_struct *mm = NULL;
	long most = LONG_MIN;

	spin_lock(&tasklist_lock);
	list_for_each_entry(task, &task_list, tasks) {
		long points = oom_badness(task);

		if (points > most) {
			most = points;
			worst = task;
		}
	}
	if (worst) {
		describe(chosen, worst);
		mm = worst->mm;
		atomic_inc(&mm->mm_count);
	}
	spin_unlock(&tasklist_lock);
	return mm;
}

/* ---- What is said of it ------------------------------------------------------------------- */

/* The process with the lowest number above `after`. */
static bool next_process(pid_t after, struct oom_task *d)
{
	const struct task_struct *task, *next = NULL;

	spin_lock(&tasklist_lock);
	list_for_each_entry(task, &task_list, tasks)
		if (task->mm && task->tgid > after && (!next || task->tgid < next->tgid))
			next = task;
	if (next)
		describe(d, next);
	spin_unlock(&tasklist_lock);
	return next;
}

static bool dump_allowed(void)
{
	static u64 begin_ns;
	static unsigned int dumps;
	u64 now = machine_clock_ns();

	if (now - begin_ns > DUMP_INTERVAL_NS) {
		begin_ns = now;
		dumps = 0;
	}
	return dumps++ < DUMP_BURST;
}

static void dump_tasks(gfp_t gfp, unsigned int order)
{
	struct oom_task d = { .tgid = 0 };

	pr_err("out of memory: gfp_mask=%#x, order=%u; %lu of %lu pages free", gfp, order,
	       nr_free_pages(), totalram_pages());
	pr_err("Tasks state (memory values in pages):");
	pr_err("[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj "
	       "name");
	while (next_process(d.tgid, &d))
		pr_err("[%7d] %5u %5d %8lu %8lu %8lu %8lu         %5d %s", d.pid, d.uid, d.tgid,
		       d.total_vm, d.rss, d.pgtables, d.swapents, d.adj, d.comm);
}

#define K(pages) ((pages) << (PAGE_SHIFT - 10))

static void tell_victim(const struct oom_task *v)
{
	pr_err("Out of memory: Killed process %d (%s) total-vm:%lukB, anon-rss:%lukB, "
	       "file-rss:%lukB, shmem-rss:%lukB, UID:%u pgtables:%lukB oom_score_adj:%d",
	       v->tgid, v->comm, K(v->total_vm), K(v->anon), K(v->file), K(v->shmem), v->uid,
	       v->pgtables >> 10, v->adj);
}

/* ---- Its end ------------------------------------------------------------------------------ */

static void oom_wait(void)
{
	u32 never = 0;

	machine_wait(&never, 0, OOM_WAIT_NS);
}

/* mmap_lock held. What nobody else can see goes; files and shared memory need the victim's own end. */
static void reap_private_memory(struct mm_struct *mm)
{
	struct vm_area_struct *vma;

	mm_set_flag(mm, MMF_UNSTABLE);
	for_each_vma(mm, vma)
	{
		if (!(vma->vm_flags & (VM_PFNMAP | VM_SHARED)))
			zap_page_range(vma, vma->vm_start, vma->vm_end);
	}
}

static void oom_reap_mm(struct mm_struct *mm)
{
	for (int i = 0; i < MAX_REAP_RETRIES; i++) {
		if (down_read_try_ahead(&mm->mmap_lock)) {
			/* With no users left its VMAs are going, or gone. */
			if (atomic_read(&mm->mm_users))
				reap_private_memory(mm);
			up_read(&mm->mmap_lock);
			return;
		}
		oom_wait();
	}
}

/* The caller has a reference on mm_count. */
static void oom_kill_mm(struct mm_struct *mm)
{
	/* It may have come to its end by itself since it was chosen. */
	if (!(mm_set_flag(mm, MMF_OOM_VICTIM) & (1u << MMF_OOM_VICTIM | 1u << MMF_EXITED)))
		atomic_inc(&oom_victims);
	last_kill_ns = machine_clock_ns();
	count_vm_event(OOM_KILL);
	machine_kill_mm(mm);
	/* One's own memory goes when one has come to one's end, which is not far. */
	if (!machine_is_dying())
		oom_reap_mm(mm);
	mm_set_flag(mm, MMF_OOM_SKIP);
}

void exit_oom_victim(struct mm_struct *mm)
{
	/* Perhaps a moment before it is counted in. */
	if (mm_set_flag(mm, MMF_EXITED) & 1u << MMF_OOM_VICTIM)
		atomic_dec_return(&oom_victims);
}

/* oom_lock held. */
static bool victim_is_leaving(void)
{
	return atomic_read(&oom_victims) > 0 && machine_clock_ns() - last_kill_ns < OOM_PATIENCE_NS;
}

/* oom_lock held. */
static bool kill_somebody(gfp_t gfp, unsigned int order)
{
	struct oom_task victim;
	struct mm_struct *mm = select_bad_process(&victim);

	if (!mm)
		return false;
	if (dump_allowed())
		dump_tasks(gfp, order);
	tell_victim(&victim);
	oom_kill_mm(mm);
	mmdrop(mm);
	return true;
}

bool out_of_memory(gfp_t gfp, unsigned int order)
{
	bool again = true, wait = false;

	if (!memory_is_short())
		return true;
	if (!mutex_trylock(&oom_lock)) {
		oom_wait();
		return true;
	}
	if (victim_is_leaving())
		wait = true;
	else
		again = kill_somebody(gfp, order);
	mutex_unlock(&oom_lock);
	if (wait)
		oom_wait();
	return again;
}

bool pagefault_out_of_memory(unsigned int tries)
{
	if (tries >= MAX_FAULT_RETRIES || machine_is_dying())
		return false;
	/* The allocator has killed already if there was a reason: one failure is tried again. */
	return !tries || out_of_memory(GFP_HIGHUSER_MOVABLE, 0);
}
