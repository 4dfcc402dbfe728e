/* SPDX-License-Identifier: MIT */
/*
 * tlb.c - the host's mappings as TLB of Quire's page tables.
 *
 *   fill      mmap(MAP_FIXED | MAP_SHARED | MAP_POPULATE) of frames of the RAM object
 *   flush     munmap, or mprotect when only writing has to end
 *
 * The Accessed bit of an entry says that it may be in the TLB of some host process that runs its
 * mm; with Dirty and Write: there as writable. It may say so wrongly (the fill failed, or another
 * host process did it), never the other way round.
 *
 * Flushing a host process other than one's own: the range is queued in hmm->ring. Kernel mode never
 * uses the host mappings, so only tasks in state USER matter: they are kicked (trap.c answers a kick
 * without taking a CPU or a lock of the core, so whoever waits here may hold both) and everybody
 * else flushes before it becomes USER again.
 */
#include <quire/mman.h>
#include <quire/slab.h>
#include <quire/vmalloc.h>

#include "callsite.h"
#include "native.h"

#define USER_END TASK_SIZE_MAX

static struct kmem_cache *hmm_cachep, *mm_machine_cachep;

void tlb_init(void)
{
	hmm_cachep = kmem_cache_create("hmm_struct", sizeof(struct hmm), 0, SLAB_PANIC, NULL);
	mm_machine_cachep =
		kmem_cache_create("mm_machine", sizeof(struct mm_machine), 0, SLAB_PANIC, NULL);
}

struct hmm *hmm_alloc(void)
{
	struct hmm *hmm = kmem_cache_zalloc(hmm_cachep, GFP_KERNEL);

	if (!hmm)
		return NULL;
	INIT_LIST_HEAD(&hmm->mm_node);
	INIT_LIST_HEAD(&hmm->tasks);
	INIT_LIST_HEAD(&hmm->devices);
	atomic_set(&hmm->count, 1);
	hmm->running = 1;
	return hmm;
}

void hmm_put(struct hmm *hmm)
{
	if (!atomic_dec_and_test(&hmm->count))
		return;
	hmm_forget_devices(hmm);
	kfree(hmm->core);
	kmem_cache_free(hmm_cachep, hmm);
}

/* ---- Which host processes run an mm ---- */

int machine_mm_init(struct mm_struct *mm)
{
	struct native_task *t = current_native();
	struct mm_machine *m = kmem_cache_zalloc(mm_machine_cachep, GFP_KERNEL);

	if (!m)
		return -ENOMEM;
	spin_lock_init(&m->lock);
	INIT_LIST_HEAD(&m->hmms);
	mm->machine = m;
	/*
	 * A fork: the child's process must hear of flushes from the moment its VMAs can be found
	 * through a file, which is before it runs.
	 */
	if (t->fork_hmm && !t->fork_hmm->mm) {
		m->calls = callsite_get(((struct mm_machine *)t->task.mm->machine)->calls);
		hmm_attach(t->fork_hmm, mm);
	}
	return 0;
}

void machine_mm_exit(struct mm_struct *mm)
{
	struct mm_machine *m = mm->machine;
	struct hmm *hmm, *next;

	/* Only a process that was never born (a fork that failed) can still be attached. */
	list_for_each_entry_safe(hmm, next, &m->hmms, mm_node) {
		list_del_init(&hmm->mm_node);
		hmm->mm = NULL;
	}
	callsite_put(m->calls);
	kmem_cache_free(mm_machine_cachep, m);
	mm->machine = NULL;
}

void hmm_attach(struct hmm *hmm, struct mm_struct *mm)
{
	struct mm_machine *m = mm->machine;

	hmm->mm = mm;
	spin_lock(&m->lock);
	list_add_tail(&hmm->mm_node, &m->hmms);
	spin_unlock(&m->lock);
}

void hmm_detach(struct hmm *hmm)
{
	struct mm_machine *m;

	if (!hmm->mm)
		return;
	m = hmm->mm->machine;
	spin_lock(&m->lock);
	list_del_init(&hmm->mm_node);
	spin_unlock(&m->lock);
	hmm->mm = NULL;
}

/* The core switches nothing: a host process always has the mappings of its own mm. */
void machine_load_mm(struct mm_struct *mm)
{
	(void)mm;
}

/* ---- Flush of this process ---- */

static void unmap_around(unsigned long start, unsigned long end)
{
	unsigned long keep_start = machine_params.vdso_start, keep_end = machine_params.vdso_end;

	if (start < keep_end && end > keep_start) {
		if (start < keep_start)
			unmap_around(start, keep_start);
		if (end > keep_end)
			unmap_around(keep_end, end);
		return;
	}
	/* Above the kernel is user space, too. */
	if (start < KERNEL_END && end > KERNEL_BASE) {
		if (start < KERNEL_BASE)
			unmap_around(start, KERNEL_BASE);
		if (end > KERNEL_END)
			unmap_around(KERNEL_END, end);
		return;
	}
	host_syscall(__NR_munmap, start, end - start);
}

/* With the holder in it, since one without a CPU may be killed: see reaper.c. */
static void owned_lock(spinlock_t *lock)
{
	const u32 me = current_native()->slot + 1;

	for (u32 none, spins = 0;; spins++) {
		none = 0;
		if (__atomic_compare_exchange_n(&lock->locked, &none, me, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
		machine_relax(spins);
	}
}

/* As the checked ones of spinlock.h are. */
#ifdef CONFIG_DEBUG_VM
#define owned_lock(lock) LOCKDEP_LOCK(owned_lock, lock)
#endif

static void drop_owned_lock(spinlock_t *lock, struct native_task *t)
{
	u32 holder = t->slot + 1;

#ifdef CONFIG_DEBUG_VM
	lockdep_forget(&t->held_locks, lock);
#endif
	__atomic_compare_exchange_n(&lock->locked, &holder, 0, false, __ATOMIC_RELEASE,
				    __ATOMIC_RELAXED);
}

void hmm_drop_locks(struct hmm *hmm, struct native_task *t)
{
	drop_owned_lock(&hmm->device_lock, t);
	drop_owned_lock(&hmm->flush_lock, t);
}

void hmm_lock_devices(struct hmm *hmm)
{
	owned_lock(&hmm->device_lock);
}

void hmm_unlock_devices(struct hmm *hmm)
{
	spin_unlock(&hmm->device_lock);
}

/* hmm is this process. The lock keeps device mappings from being made in the gaps meanwhile. */
static void host_unmap(struct hmm *hmm, unsigned long start, unsigned long end)
{
	unsigned long stop;

	hmm_lock_devices(hmm);
	for (; stop = end, hmm_device_gap(hmm, &start, &stop); start = stop)
		unmap_around(start, stop);
	hmm_unlock_devices(hmm);
}

void hmm_drop_all(void)
{
	host_unmap(current_native()->hmm, 0, USER_END);
}

static unsigned long host_prot(pte_t pte)
{
	unsigned long prot = PROT_READ;

	if (pte_write(pte) && pte_dirty(pte))
		prot |= PROT_WRITE;
	if (pte_exec(pte))
		prot |= PROT_EXEC;
	return prot;
}

/* Take the right to write from the run [start, end) of filled entries with one protection. */
static void downgrade_run(unsigned long start, unsigned long end, unsigned long prot)
{
	/* A hole in the host's mappings ends mprotect early: then drop what is there. */
	if (host_syscall(__NR_mprotect, start, end - start, prot))
		host_unmap(current_native()->hmm, start, end);
}

/* The entries are write-protected already; those in the TLB follow, in runs. */
static void downgrade_range(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	unsigned long addr = start, run = 0, run_prot = 0;

	while (addr < end) {
		pte_t *ptep = pte_lookup(mm, addr);
		pte_t pte;

		if (!ptep) {
			if (run)
				downgrade_run(run, addr, run_prot);
			run = 0;
			addr = (addr & PMD_MASK) + PMD_SIZE;
			continue;
		}
		pte = ptep_get(ptep);
		if (pte_accessible(pte) && pte_young(pte)) {
			unsigned long prot = host_prot(pte);

			if (run && prot != run_prot) {
				downgrade_run(run, addr, run_prot);
				run = 0;
			}
			if (!run) {
				run = addr;
				run_prot = prot;
			}
		} else if (run) {
			downgrade_run(run, addr, run_prot);
			run = 0;
		}
		addr += PAGE_SIZE;
	}
	if (run)
		downgrade_run(run, end, run_prot);
}

/* ---- Flush of other host processes ---- */

static u64 hmm_queue_flush(struct hmm *hmm, unsigned long start, unsigned long end)
{
	u64 req;

	owned_lock(&hmm->flush_lock);
	if (hmm->nr_ring < HMM_RING) {
		hmm->ring[hmm->nr_ring].start = start;
		hmm->ring[hmm->nr_ring].end = end;
		hmm->nr_ring++;
	} else {
		hmm->nr_ring = HMM_RING + 1;
	}
	req = __atomic_add_fetch(&hmm->flush_req, 1, __ATOMIC_SEQ_CST);
	spin_unlock(&hmm->flush_lock);
	return req;
}

void hmm_do_flush(struct hmm *hmm)
{
	owned_lock(&hmm->flush_lock);
	if (hmm->nr_ring > HMM_RING)
		host_unmap(hmm, 0, USER_END);
	else
		for (unsigned int i = 0; i < hmm->nr_ring; i++)
			host_unmap(hmm, hmm->ring[i].start, hmm->ring[i].end);
	hmm->nr_ring = 0;
	__atomic_store_n(&hmm->flush_done, hmm->flush_req, __ATOMIC_SEQ_CST);
	spin_unlock(&hmm->flush_lock);
}

/*
 * Whether some task may be running guest code. One that the host has stopped, with the kick queued
 * for it, is not: looked for only after a while, or when the process is known to be stopped.
 */
static bool hmm_kick_users(struct hmm *hmm, bool kick, bool look)
{
	struct native_task *t;
	bool any = false;

	spin_lock(&hmm->lock);
	list_for_each_entry(t, &hmm->tasks, hmm_node) {
		if (__atomic_load_n(&t->state, __ATOMIC_SEQ_CST) != TASK_USER &&
		    !__atomic_load_n(&t->user_access, __ATOMIC_SEQ_CST))
			continue;
		if (kick)
			native_kick(t);
		any |= !look || !hmm_is_held(hmm, t);
	}
	spin_unlock(&hmm->lock);
	return any;
}

static void hmm_flush_remote(struct hmm *hmm, unsigned long start, unsigned long end)
{
	struct native_task *self = current_native();
	u64 req = hmm_queue_flush(hmm, start, end);
	bool late, stopped;

	native_count(self, NC_TLB_SHOOTDOWN, 1);
	if (hmm->dead || !hmm_kick_users(hmm, false, false))
		return;
	native_count(self, NC_TLB_KICK, 1);
	hmm_kick_users(hmm, true, false);
	for (unsigned int spins = 1;; spins++) {
		if (__atomic_load_n(&hmm->flush_done, __ATOMIC_SEQ_CST) >= req)
			return;
		machine_relax(spins);
		/* Nobody left in user mode, or someone whose signal came to nothing. */
		late = spins % 65536 == 0;
		stopped = __atomic_load_n(&hmm->stopping, __ATOMIC_SEQ_CST) == STOP_RAISE;
		if (spins % 1024 == 0 && !hmm_kick_users(hmm, late, late || stopped))
			return;
	}
}

/* In all host processes that run mm but `except`. */
static void flush_range(struct mm_struct *mm, unsigned long start, unsigned long end,
			enum tlb_flush how, const struct hmm *except)
{
	struct native_task *self = current_native();
	struct mm_machine *m = mm->machine;
	struct hmm *hmm;

	if (!m)
		return;
	spin_lock(&m->lock);
	list_for_each_entry(hmm, &m->hmms, mm_node) {
		if (hmm->dying || hmm == except)
			continue;
		native_count(self, NC_TLB_FLUSH, 1);
		if (hmm != self->hmm)
			hmm_flush_remote(hmm, start, end);
		else if (how == TLB_FLUSH_WRITE)
			downgrade_range(mm, start, end);
		else
			host_unmap(hmm, start, end);
	}
	spin_unlock(&m->lock);
}

void machine_tlb_flush(struct mm_struct *mm, unsigned long start, unsigned long end,
		       enum tlb_flush how)
{
	flush_range(mm, start, end, how, NULL);
}

/* ---- vmalloc space ---- */

/*
 * Kernel addresses of the image and the direct map are the same in all processes for ever. Those of
 * vmalloc space are a TLB, too: each process is given them when its kernel mode misses them, and has to
 * give them up when the core says so, before the addresses mean something else.
 *
 * Only a task with a CPU uses them. Invariant: whoever has a CPU has flushed, in the process that he
 * runs in, every range up to the kernel_flush_seq of the moment when he took it, or when he last
 * answered machine_ipi(). machine_tlb_flush_kernel() raises the number and then asks every CPU: so when
 * it returns nobody uses what went before. A process that runs guest code or sleeps is left alone.
 *
 * Some ranges are remembered; who comes later than that drops everything, and faults it back in. So a
 * host call that gives up the CPU must not be handed addresses of vmalloc space; a short one may.
 */
#define KERNEL_RING 128

static u64 kernel_flush_seq; /* ranges so far; written under kernel_ring_lock */
static spinlock_t kernel_ring_lock;
static struct machine_range kernel_ring[KERNEL_RING];

/* Of the two processes that are no guests. */
static struct kernel_tlb command_tlb, keeper_tlb;

/* Of the process that the task runs in; whose hmm is dead a thread of the keeper adopts. */
static struct kernel_tlb *this_kernel_tlb(const struct native_task *t)
{
	if (t->adopted || (t->is_service && t->task.pid == machine_params.keeper_pid))
		return &keeper_tlb;
	return t->is_service || !t->hmm ? &command_tlb : &t->hmm->kernel_tlb;
}

static void unmap_kernel(const struct machine_range *r)
{
	host_syscall(__NR_munmap, r->start, r->end - r->start);
}

/* No lock but the process's own: it may be killed here without holding the machine up. */
static noinline void kernel_tlb_catch_up(struct kernel_tlb *tlb)
{
	const struct machine_range everything = { VMALLOC_START, VMALLOC_END };
	struct machine_range range;
	u64 seq, i;

	spin_lock(&tlb->lock);
	seq = __atomic_load_n(&kernel_flush_seq, __ATOMIC_SEQ_CST);
	for (i = tlb->seen; i < seq; i++) {
		range = kernel_ring[i % KERNEL_RING];
		if (__atomic_load_n(&kernel_flush_seq, __ATOMIC_SEQ_CST) - i >= KERNEL_RING)
			break; /* it may have been overwritten */
		unmap_kernel(&range);
	}
	if (i < seq)
		unmap_kernel(&everything);
	__atomic_store_n(&tlb->seen, seq, __ATOMIC_SEQ_CST);
	spin_unlock(&tlb->lock);
}

void kernel_tlb_sync(struct native_task *t)
{
	struct kernel_tlb *tlb = this_kernel_tlb(t);

	if (unlikely(__atomic_load_n(&tlb->seen, __ATOMIC_SEQ_CST) !=
		     __atomic_load_n(&kernel_flush_seq, __ATOMIC_SEQ_CST)))
		kernel_tlb_catch_up(tlb);
}

static void sync_this_process(void *unused)
{
	(void)unused;
	kernel_tlb_sync(current_native());
}

void machine_tlb_flush_kernel(const struct machine_range *ranges, unsigned int nr)
{
	u64 all = ~0ull >> (64 - machine_nr_cpus());

	spin_lock(&kernel_ring_lock);
	for (unsigned int i = 0; i < nr; i++) {
		kernel_ring[kernel_flush_seq % KERNEL_RING] = ranges[i];
		__atomic_store_n(&kernel_flush_seq, kernel_flush_seq + 1, __ATOMIC_SEQ_CST);
	}
	spin_unlock(&kernel_ring_lock);
	sync_this_process(NULL);
	machine_ipi(all, sync_this_process, NULL);
}

static long map_kernel(unsigned long addr, pte_t first, unsigned int nr)
{
	unsigned long prot = pte_write(first) ? PROT_READ | PROT_WRITE : PROT_READ;

	return host_syscall(__NR_mmap, addr, (unsigned long)nr << PAGE_SHIFT, prot,
			    MAP_SHARED | MAP_FIXED | MAP_POPULATE, machine_params.ram_fd,
			    pte_pfn(first) << PAGE_SHIFT);
}

/*
 * In a fault of the kernel's, whatever it holds. When the host allows no more mappings the program's
 * make room: they are a TLB, too, and come back when they are missed.
 */
void machine_tlb_fill_kernel(unsigned long addr, const u64 *ptep, unsigned int nr)
{
	struct native_task *t = current_native();

	for (unsigned int i = 0, n; i < nr; i += n) {
		unsigned long at = addr + ((unsigned long)i << PAGE_SHIFT);
		pte_t first = __pte(ptep[i]);

		for (n = 1; i + n < nr && pte_pfn(__pte(ptep[i + n])) == pte_pfn(first) + n; n++)
			;
		if (map_kernel(at, first, n) != -ENOMEM)
			continue;
		native_count(t, NC_TLB_CAPACITY, 1);
		if (!t->is_service && !t->adopted && t->hmm)
			host_unmap(t->hmm, 0, USER_END);
		if (map_kernel(at, first, n) == -ENOMEM)
			machine_panic("the host has no room for the kernel's mappings");
	}
}

/* ---- Fill ---- */

/* The host allows only so many mappings of a process: forget all but its own of ours. */
static void hmm_capacity_miss(struct mm_struct *mm)
{
	struct native_task *self = current_native();
	struct mm_machine *m = mm->machine;
	struct hmm *hmm;

	native_count(self, NC_TLB_CAPACITY, 1);
	/* The entries become old, which must be true of every process that runs this mm. */
	spin_lock(&m->lock);
	list_for_each_entry(hmm, &m->hmms, mm_node)
		if (hmm != self->hmm && !hmm->dying)
			hmm_flush_remote(hmm, 0, USER_END);
	spin_unlock(&m->lock);
	host_unmap(self->hmm, 0, USER_END);
	ptes_mkold(mm, 0, USER_END);
}

void tlb_make_room(struct mm_struct *mm)
{
	spin_lock(&mm->page_table_lock);
	hmm_capacity_miss(mm);
	spin_unlock(&mm->page_table_lock);
}

/*
 * The host enters many pages at once when one is read, but each on its own when it is written: so
 * what is to be written is entered now, and what is read when it is.
 */
static long fill_run(unsigned long addr, pte_t first, unsigned int nr)
{
	unsigned long prot = host_prot(first), flags = MAP_SHARED | MAP_FIXED;

	if (nr == 1 || prot & PROT_WRITE)
		flags |= MAP_POPULATE;
	return host_syscall(__NR_mmap, addr, (unsigned long)nr << PAGE_SHIFT, prot, flags,
			    machine_params.ram_fd, pte_pfn(first) << PAGE_SHIFT);
}

/* False: not all of them were entered, and what was there before may still be. */
static bool fill_entries(struct mm_struct *mm, unsigned long addr, const u64 *ptep, unsigned int nr)
{
	struct native_task *t = current_native();

	for (unsigned int i = 0, n; i < nr; i += n) {
		unsigned long at = addr + ((unsigned long)i << PAGE_SHIFT);
		pte_t first = __pte(ptep[i]);
		unsigned long prot = host_prot(first);
		long ret;

		for (n = 1; i + n < nr; n++) {
			pte_t next = __pte(ptep[i + n]);

			if (pte_pfn(next) != pte_pfn(first) + n || host_prot(next) != prot)
				break;
		}
		ret = fill_run(at, first, n);
		native_count(t, NC_TLB_FILL, 1);
		native_count(t, NC_TLB_FILL_PAGES, n);
		if (ret == -ENOMEM) {
			/* The entries stay accessible but old; those of this call will fault again. */
			hmm_capacity_miss(mm);
			return true;
		}
		if (IS_ERR_VALUE(ret))
			return false;
	}
	return true;
}

/* Whether this task's host process is where mm's program runs. */
static bool runs_here(const struct native_task *t, const struct mm_struct *mm)
{
	return !t->is_service && !t->adopted && t->hmm->mm == mm;
}

void machine_tlb_fill(struct mm_struct *mm, unsigned long addr, const u64 *ptep, unsigned int nr)
{
	if (runs_here(current_native(), mm))
		fill_entries(mm, addr, ptep, nr);
}

/* MAP_FIXED puts the new mapping in the place of the old one, in one step for all threads. */
void machine_tlb_replace(struct mm_struct *mm, unsigned long addr, const u64 *ptep, unsigned int nr)
{
	unsigned long end = addr + ((unsigned long)nr << PAGE_SHIFT);
	struct native_task *t = current_native();

	if (!runs_here(t, mm)) {
		flush_range(mm, addr, end, TLB_FLUSH_ALL, NULL);
		return;
	}
	flush_range(mm, addr, end, TLB_FLUSH_ALL, t->hmm);
	if (!fill_entries(mm, addr, ptep, nr))
		host_unmap(t->hmm, addr, end);
}
