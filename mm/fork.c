/* SPDX-License-Identifier: MIT */
/*
 * fork.c - the life of an address space.
 *
 *	mm_alloc, dup_mm ---> mm_users 1, mm_count 1, on mmlist
 *	mmput, the last  ---> VMAs, tables and frames go; off mmlist; mmdrop
 *	mmdrop, the last ---> the machine's state, the top table and the struct go
 *
 * Whoever finds an mm on mmlist has it only after mm_users was raised from a value that is not 0.
 */
#include <quire/err.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/string.h>
#include <quire/userfaultfd_k.h>

#include "vma.h"

LIST_HEAD(mmlist);
spinlock_t mmlist_lock = SPINLOCK_INIT;

static struct kmem_cache *mm_cachep;

/* Below the stack's own limit Linux leaves room for its random start and the guard gap. */
#define STACK_RANDOM_ROOM (0x3fffffUL << PAGE_SHIFT)
#define MIN_STACK_ROOM (128UL << 20)
#define DEFAULT_RLIMIT (8UL << 20)

void proc_caches_init(void)
{
	INIT_LIST_HEAD(&mmlist);
	mm_cachep = kmem_cache_create("mm_struct", sizeof(struct mm_struct), 0,
				      SLAB_HWCACHE_ALIGN | SLAB_PANIC, NULL);
	vma_init();
	anon_vma_init();
}

static void mm_init_fields(struct mm_struct *mm)
{
	static atomic_long_t last_id;

	rt_init(&mm->mm_rt, 0, TASK_SIZE_MAX);
	mm->mm_rt.gfp = GFP_KERNEL;
	atomic_set(&mm->mm_users, 1);
	atomic_set(&mm->mm_count, 1);
	init_rwsem(&mm->mmap_lock);
	INIT_LIST_HEAD(&mm->uffd_events);
	spin_lock_init(&mm->page_table_lock);
	mm->task_size = TASK_SIZE_MAX;
	mm->rlim_as = mm->rlim_data = mm->rlim_data_max = ~0UL;
	mm->rlim_stack = mm->rlim_memlock = DEFAULT_RLIMIT;
	mm->mmap_base =
		PAGE_ALIGN(mm->task_size - MIN_STACK_ROOM - STACK_GUARD_GAP - STACK_RANDOM_ROOM);
	mm->mmap_legacy_base = PAGE_ALIGN(mm->task_size / 3);
	mm->id = (unsigned long)atomic_long_inc_return(&last_id);
}

struct mm_struct *mm_alloc(void)
{
	struct mm_struct *mm = kmem_cache_zalloc(mm_cachep, GFP_KERNEL);

	if (!mm)
		return NULL;
	mm_init_fields(mm);
	mm->pgd = pgd_alloc(mm);
	if (!mm->pgd)
		goto free_mm;
	if (machine_mm_init(mm))
		goto free_pgd;
	spin_lock(&mmlist_lock);
	list_add_tail(&mm->mmlist, &mmlist);
	spin_unlock(&mmlist_lock);
	return mm;

free_pgd:
	pgd_free(mm, mm->pgd);
free_mm:
	kmem_cache_free(mm_cachep, mm);
	return NULL;
}

void mmput(struct mm_struct *mm)
{
	if (!atomic_dec_and_test(&mm->mm_users))
		return;
	exit_mmap(mm);
	if (mm->exe_file)
		fput(mm->exe_file);
	mm->exe_file = NULL;
	spin_lock(&mmlist_lock);
	list_del(&mm->mmlist);
	spin_unlock(&mmlist_lock);
	mmdrop(mm);
}

/* What an address space held must be gone when it goes. */
static void check_mm(struct mm_struct *mm)
{
	for (int i = 0; i < NR_MM_COUNTERS; i++)
		if (atomic_long_read(&mm->rss_stat[i]))
			pr_err("Bad rss-counter state mm:%lu type:%d val:%ld", mm->id, i,
			       atomic_long_read(&mm->rss_stat[i]));
	if (atomic_long_read(&mm->pgtables_bytes))
		pr_err("non-zero pgtables_bytes on freeing mm:%lu: %ld", mm->id,
		       atomic_long_read(&mm->pgtables_bytes));
}

void mmdrop(struct mm_struct *mm)
{
	if (!atomic_dec_and_test(&mm->mm_count))
		return;
	check_mm(mm);
	machine_mm_exit(mm);
	pgd_free(mm, mm->pgd);
	kmem_cache_free(mm_cachep, mm);
}

/* ---- fork ----------------------------------------------------------------------------------- */

static void dup_mm_fields(struct mm_struct *mm, const struct mm_struct *old)
{
	mm->mmap_base = old->mmap_base;
	mm->mmap_upward = old->mmap_upward;
	mm->mmap_legacy_base = old->mmap_legacy_base;
	mm->task_size = old->task_size;
	mm->start_code = old->start_code;
	mm->end_code = old->end_code;
	mm->start_data = old->start_data;
	mm->end_data = old->end_data;
	mm->start_brk = old->start_brk;
	mm->brk = old->brk;
	mm->start_stack = old->start_stack;
	mm->arg_start = old->arg_start;
	mm->arg_end = old->arg_end;
	mm->env_start = old->env_start;
	mm->env_end = old->env_end;
	memcpy(mm->saved_auxv, old->saved_auxv, sizeof(mm->saved_auxv));
	mm->rlim_as = old->rlim_as;
	mm->rlim_data = old->rlim_data;
	mm->rlim_data_max = old->rlim_data_max;
	mm->rlim_stack = old->rlim_stack;
	mm->rlim_memlock = old->rlim_memlock;
	mm->membarrier_state = old->membarrier_state;
	mm->exe_file = old->exe_file ? get_file(old->exe_file) : NULL;
}

/* The child's VMA, counted and linked but empty; or ERR_PTR(-ENOMEM). */
static struct vm_area_struct *dup_vma(struct mm_struct *mm, struct vm_area_struct *src)
{
	struct vm_area_struct *vma = vm_area_dup(src);

	if (!vma)
		return ERR_PTR(-ENOMEM);
	vma->vm_mm = mm;
	if (dup_userfaultfd(vma, mm) ||
	    (!(src->vm_flags & VM_WIPEONFORK) && anon_vma_fork(vma, src)) ||
	    rt_preallocate(&mm->mm_rt, 1, GFP_KERNEL) ||
	    (src->vm_flags & VM_ACCOUNT && vm_enough_memory(mm, vma_pages(src)))) {
		unlink_anon_vmas(vma);
		vm_area_free(vma);
		return ERR_PTR(-ENOMEM);
	}
	vma->vm_flags &= ~VM_LOCKED_MASK;
	vma->vm_fault_next = 0;
	vma->vm_fault_order = 0;
	vma->vm_stride_run = 0;
	vma->vm_swap_next = 0;
	vma_link(vma);
	vm_stat_account(mm, vma->vm_flags, (long)vma_pages(vma));
	return vma;
}

/*
 * Does the child start with what the parent has here? Not with views of the zero folio, where the
 * parent has never written.
 */
static bool vma_needs_copy(const struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_DONTCOPY | VM_WIPEONFORK))
		return false;
	return vma->anon_vma || !vma_is_anonymous(vma);
}

static int dup_mmap(struct mm_struct *mm, struct mm_struct *oldmm)
{
	struct vm_area_struct *src, *vma;
	int err = 0;

	for_each_vma(oldmm, src)
	{
		bool copy = vma_needs_copy(src) || userfaultfd_wp(src);

		/* What the machine maps itself is its own affair. */
		if (!copy && !(src->vm_flags & VM_PFNMAP))
			forget_translations(src);
		if (src->vm_flags & VM_DONTCOPY)
			continue;
		vma = dup_vma(mm, src);
		if (IS_ERR(vma))
			return (int)PTR_ERR(vma);
		if (copy)
			err = copy_page_range(vma, src);
		if (vma->vm_ops && vma->vm_ops->open)
			vma->vm_ops->open(vma);
		if (err)
			return err;
	}
	return 0;
}

struct mm_struct *dup_mm(struct mm_struct *oldmm)
{
	struct mm_struct *mm = mm_alloc();
	int err;

	down_write(&oldmm->mmap_lock);
	if (!mm)
		return ERR_PTR(-ENOMEM);
	dup_mm_fields(mm, oldmm);
	down_write(&mm->mmap_lock);
	/* Who was killed for want of memory has lost some: there is nothing to copy. */
	err = mm_test_flag(oldmm, MMF_UNSTABLE) ? -ENOMEM : dup_mmap(mm, oldmm);
	mm->hiwater_vm = mm->total_vm;
	mm->hiwater_rss = get_mm_rss(mm);
	up_write(&mm->mmap_lock);
	if (err) {
		LIST_HEAD(events);

		userfaultfd_take_events(mm, &events);
		userfaultfd_cancel_events(&events);
		mmput(mm);
		return ERR_PTR(err);
	}
	return mm;
}

struct mm_struct *mm_list_next(struct mm_struct *prev)
{
	struct mm_struct *mm = NULL;
	struct list_head *at;

	spin_lock(&mmlist_lock);
	at = prev ? prev->mmlist.next : mmlist.next;
	for (; at != &mmlist; at = at->next) {
		mm = list_entry(at, struct mm_struct, mmlist);
		if (atomic_inc_not_zero(&mm->mm_users))
			break;
	}
	if (at == &mmlist)
		mm = NULL;
	spin_unlock(&mmlist_lock);
	if (prev)
		mmput(prev);
	return mm;
}

void mm_forget_translations(void)
{
	struct mm_struct *mm = NULL;
	struct vm_area_struct *vma;

	while ((mm = mm_list_next(mm))) {
		down_read(&mm->mmap_lock);
		for_each_vma(mm, vma)
		{
			forget_translations(vma);
		}
		up_read(&mm->mmap_lock);
	}
}
