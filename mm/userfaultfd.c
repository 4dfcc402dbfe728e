/* SPDX-License-Identifier: MIT */
/*
 * Contexts of userfaultfd: who waits for a page, what has happened to registered memory, and which
 * VMAs are registered. userfaultfd_k.h has the picture.
 *
 * A fault enters the queue first and then looks whether it has still to wait; a monitor sets the entry
 * first and then looks for whom to wake. So nobody waits for a page that is there.
 *
 * What waits stands on the kernel stack of the waiter. It is on one of the queues until it is woken, and only
 * under uffd_lock does anybody else look at it; `woken` is set there, and the futex that is woken after
 * that is an address, no more.
 *
 * An event (fork, mremap, munmap, madvise) is its poster's, who sleeps until it has been read. That of a fork is
 * referred to by the queue as well: the reader takes that reference over, while he makes a descriptor.
 * From the moment that an event is noted until it has been read mmap_changing is not 0, and nothing is
 * filled in: or a monitor might put pages where, unknown to it, other memory is.
 *
 * Locks: mmap_lock -> uffd_lock, which is a leaf. Waiting is done with neither.
 */
#include <quire/err.h>
#include <quire/fs.h>
#include <quire/kernel.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/userfaultfd_k.h>

#include "vma.h"

/* A fault that waits. */
struct userfaultfd_wait_queue {
	struct list_head node;
	struct uffd_msg msg;
	unsigned long address; /* of the page */
	u32 woken;
};

struct userfaultfd_event {
	struct list_head node; /* mm->uffd_events, a poster's list, then ctx->events */
	atomic_t count;
	struct userfaultfd_ctx *ctx; /* with a reference, and one of mmap_changing */
	struct userfaultfd_ctx
		*child; /* fork: the child's, with a reference; NULL: it has been taken */
	struct uffd_msg msg;
	bool abandoned; /* the poster waits no more */
	u32 woken;
};

/* ---- Life of a context -------------------------------------------------------------------- */

struct userfaultfd_ctx *userfaultfd_ctx_alloc(struct mm_struct *mm, unsigned int flags,
					      const struct userfaultfd_ops *ops)
{
	struct userfaultfd_ctx *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL);

	if (!ctx)
		return NULL;
	atomic_set(&ctx->count, 1);
	spin_lock_init(&ctx->uffd_lock);
	INIT_LIST_HEAD(&ctx->fault_pending);
	INIT_LIST_HEAD(&ctx->faults);
	INIT_LIST_HEAD(&ctx->events);
	ctx->flags = flags;
	ctx->ops = ops;
	ctx->mm = mm;
	atomic_inc(&mm->mm_count);
	return ctx;
}

void userfaultfd_ctx_put(struct userfaultfd_ctx *ctx)
{
	if (!atomic_dec_and_test(&ctx->count))
		return;
	ctx->ops->free(ctx);
	mmdrop(ctx->mm);
	kfree(ctx);
}

/* uffd_lock held. */
static void wake_fault(struct userfaultfd_wait_queue *uwq)
{
	list_del_init(&uwq->node);
	__atomic_store_n(&uwq->woken, 1, __ATOMIC_SEQ_CST);
	machine_wake(&uwq->woken, 1);
}

static void wake_queue(struct list_head *queue, unsigned long start, unsigned long len)
{
	struct userfaultfd_wait_queue *uwq, *next;

	list_for_each_entry_safe(uwq, next, queue, node)
		if (!len || uwq->address - start < len)
			wake_fault(uwq);
}

void wake_userfault(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len)
{
	spin_lock(&ctx->uffd_lock);
	wake_queue(&ctx->fault_pending, start, len);
	wake_queue(&ctx->faults, start, len);
	spin_unlock(&ctx->uffd_lock);
}

/* uffd_lock held, or nobody else knows of ctx any more. Readers, if any, look again. */
static void wake_readers(struct userfaultfd_ctx *ctx)
{
	__atomic_fetch_add(&ctx->seq, 1, __ATOMIC_SEQ_CST);
	machine_wake(&ctx->seq, INT_MAX);
}

static void event_put(struct userfaultfd_event *event)
{
	if (!atomic_dec_and_test(&event->count))
		return;
	if (event->child)
		userfaultfd_release(event->child);
	userfaultfd_ctx_put(event->ctx);
	kfree(event);
}

/* uffd_lock held. But for a fork's, which has references, the event may be gone after this. */
static void wake_event(struct userfaultfd_event *event)
{
	__atomic_store_n(&event->woken, 1, __ATOMIC_SEQ_CST);
	machine_wake(&event->woken, 1);
}

/* mmap_lock held for writing. vma is registered with nobody any more. */
static void unregister_vma(struct vm_area_struct *vma)
{
	vma->vm_flags &= ~VM_UFFD_FLAGS;
	vma->vm_userfaultfd_ctx = NULL;
}

/* Whole VMAs change their flags: none is split, and merging takes no memory. */
static void unregister_all(struct userfaultfd_ctx *ctx)
{
	struct mm_struct *mm = ctx->mm;
	struct vm_area_struct *vma;

	if (!atomic_inc_not_zero(&mm->mm_users))
		return;
	down_write(&mm->mmap_lock);
	for_each_vma(mm, vma)
	{
		if (vma->vm_userfaultfd_ctx != ctx)
			continue;
		if (userfaultfd_wp(vma))
			uffd_wp_range(vma, vma->vm_start, vma->vm_end, false);
		vma = vma_modify_flags_uffd(vma, vma->vm_start, vma->vm_end,
					    vma->vm_flags & ~VM_UFFD_FLAGS, NULL);
		unregister_vma(vma);
	}
	up_write(&mm->mmap_lock);
	mmput(mm);
}

void userfaultfd_release(struct userfaultfd_ctx *ctx)
{
	struct userfaultfd_event *event, *next;
	LIST_HEAD(forks);

	spin_lock(&ctx->uffd_lock);
	ctx->released = true;
	spin_unlock(&ctx->uffd_lock);
	unregister_all(ctx);
	spin_lock(&ctx->uffd_lock);
	wake_queue(&ctx->fault_pending, 0, 0);
	wake_queue(&ctx->faults, 0, 0);
	list_for_each_entry_safe(event, next, &ctx->events, node) {
		list_del_init(&event->node);
		if (event->child)
			list_add_tail(&event->node, &forks);
		wake_event(event);
	}
	wake_readers(ctx);
	spin_unlock(&ctx->uffd_lock);
	list_for_each_entry_safe(event, next, &forks, node)
		event_put(event);
	userfaultfd_ctx_put(ctx);
}

/* ---- Faults ------------------------------------------------------------------------------- */

static void fault_msg(struct uffd_msg *msg, const struct vm_fault *vmf, unsigned long reason,
		      const struct userfaultfd_ctx *ctx)
{
	*msg = (struct uffd_msg){ .event = UFFD_EVENT_PAGEFAULT };
	msg->arg.pagefault.address = ctx->features & UFFD_FEATURE_EXACT_ADDRESS ? vmf->real_address
										: vmf->address;
	if (vmf->flags & FAULT_FLAG_WRITE)
		msg->arg.pagefault.flags |= UFFD_PAGEFAULT_FLAG_WRITE;
	if (reason & VM_UFFD_WP)
		msg->arg.pagefault.flags |= UFFD_PAGEFAULT_FLAG_WP;
	if (reason & VM_UFFD_MINOR)
		msg->arg.pagefault.flags |= UFFD_PAGEFAULT_FLAG_MINOR;
	if (ctx->features & UFFD_FEATURE_THREAD_ID)
		msg->arg.pagefault.ptid = (u32)ctx->ops->thread_id();
}

/* mmap_lock held: the entry is still as the fault found it. */
static bool userfaultfd_must_wait(const struct vm_fault *vmf, unsigned long reason)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	bool must_wait = true;
	pte_t *ptep, pte;

	spin_lock(&mm->page_table_lock);
	ptep = pte_lookup(mm, vmf->address);
	pte = ptep ? ptep_get(ptep) : __pte(0);
	if (!pte_none(pte) && (!is_pte_marker(pte) || pte_val(pte) & _PAGE_POISON))
		must_wait = reason & VM_UFFD_WP && pte_uffd_wp(pte);
	spin_unlock(&mm->page_table_lock);
	return must_wait;
}

/* False: the descriptor is gone, which nobody will ever answer at. */
static bool queue_fault(struct userfaultfd_ctx *ctx, struct userfaultfd_wait_queue *uwq)
{
	bool queued;

	spin_lock(&ctx->uffd_lock);
	queued = !ctx->released;
	if (queued)
		list_add_tail(&uwq->node, &ctx->fault_pending);
	spin_unlock(&ctx->uffd_lock);
	return queued;
}

static void unqueue_fault(struct userfaultfd_ctx *ctx, struct userfaultfd_wait_queue *uwq)
{
	spin_lock(&ctx->uffd_lock);
	list_del_init(&uwq->node);
	spin_unlock(&ctx->uffd_lock);
}

static void announce(struct userfaultfd_ctx *ctx)
{
	wake_readers(ctx);
	ctx->ops->readable(ctx);
}

vm_fault_t handle_userfault(struct vm_fault *vmf, unsigned long reason)
{
	struct userfaultfd_ctx *ctx = vmf->vma->vm_userfaultfd_ctx;
	struct mm_struct *mm = vmf->vma->vm_mm;
	struct userfaultfd_wait_queue uwq = { .address = vmf->address };
	bool user = vmf->flags & FAULT_FLAG_USER, wait;
	vm_fault_t ret = VM_FAULT_RETRY;

	if (ctx->features & UFFD_FEATURE_SIGBUS || (!user && ctx->flags & UFFD_USER_MODE_ONLY) ||
	    machine_is_dying() || !(vmf->flags & FAULT_FLAG_ALLOW_RETRY))
		return VM_FAULT_SIGBUS;
	userfaultfd_ctx_get(ctx);
	INIT_LIST_HEAD(&uwq.node);
	fault_msg(&uwq.msg, vmf, reason, ctx);
	wait = queue_fault(ctx, &uwq) && userfaultfd_must_wait(vmf, reason);
	up_read(&mm->mmap_lock);
	if (wait)
		announce(ctx);
	while (wait && !__atomic_load_n(&uwq.woken, __ATOMIC_SEQ_CST))
		if (ctx->ops->wait(&uwq.woken, 0, user)) {
			ret |= VM_FAULT_INTERRUPTED;
			break;
		}
	unqueue_fault(ctx, &uwq);
	userfaultfd_ctx_put(ctx);
	return ret;
}

/* ---- Events ------------------------------------------------------------------------------- */

/* On mm's list; mmap_lock held for writing. NULL: no memory. */
static struct userfaultfd_event *note_event(struct userfaultfd_ctx *ctx, struct mm_struct *mm,
					    u8 kind)
{
	struct userfaultfd_event *event = kzalloc(sizeof(*event), GFP_KERNEL);

	if (!event)
		return NULL;
	atomic_set(&event->count, 1);
	event->ctx = ctx;
	event->msg.event = kind;
	userfaultfd_ctx_get(ctx);
	atomic_inc(&ctx->mmap_changing);
	list_add_tail(&event->node, &mm->uffd_events);
	return event;
}

static bool queue_event(struct userfaultfd_ctx *ctx, struct userfaultfd_event *event)
{
	bool queued;

	spin_lock(&ctx->uffd_lock);
	queued = !ctx->released;
	if (queued) {
		if (event->child)
			atomic_inc(&event->count);
		list_add_tail(&event->node, &ctx->events);
	}
	spin_unlock(&ctx->uffd_lock);
	return queued;
}

/* The poster has lost patience: nobody is to read it any more. */
static void abandon_event(struct userfaultfd_ctx *ctx, struct userfaultfd_event *event)
{
	bool queued;

	spin_lock(&ctx->uffd_lock);
	event->abandoned = true;
	queued = !list_empty(&event->node);
	list_del_init(&event->node);
	spin_unlock(&ctx->uffd_lock);
	if (queued && event->child)
		event_put(event);
}

/* Until it has been read, or nobody will read it. */
static void post_event(struct userfaultfd_event *event)
{
	struct userfaultfd_ctx *ctx = event->ctx;

	INIT_LIST_HEAD(&event->node);
	if (queue_event(ctx, event)) {
		announce(ctx);
		while (!__atomic_load_n(&event->woken, __ATOMIC_SEQ_CST))
			if (ctx->ops->wait(&event->woken, 0, false)) {
				abandon_event(ctx, event);
				break;
			}
	}
	atomic_dec(&ctx->mmap_changing);
}

void __userfaultfd_post_events(struct list_head *events)
{
	while (!list_empty(events)) {
		struct userfaultfd_event *event =
			list_first_entry(events, struct userfaultfd_event, node);

		list_del(&event->node);
		post_event(event);
		event_put(event);
	}
}

void userfaultfd_cancel_events(struct list_head *events)
{
	while (!list_empty(events)) {
		struct userfaultfd_event *event =
			list_first_entry(events, struct userfaultfd_event, node);

		list_del(&event->node);
		atomic_dec(&event->ctx->mmap_changing);
		event_put(event);
	}
}

/* The event that this fork has noted for ctx already, or NULL. */
static struct userfaultfd_event *find_fork(struct mm_struct *mm, const struct userfaultfd_ctx *ctx)
{
	struct userfaultfd_event *event;

	list_for_each_entry(event, &mm->uffd_events, node)
		if (event->ctx == ctx)
			return event;
	return NULL;
}

int dup_userfaultfd(struct vm_area_struct *vma, struct mm_struct *mm)
{
	struct userfaultfd_ctx *ctx = vma->vm_userfaultfd_ctx;
	struct userfaultfd_event *event;

	if (likely(!ctx))
		return 0;
	if (!(ctx->features & UFFD_FEATURE_EVENT_FORK)) {
		unregister_vma(vma);
		return 0;
	}
	event = find_fork(mm, ctx);
	if (!event) {
		struct userfaultfd_ctx *child = userfaultfd_ctx_alloc(mm, ctx->flags, ctx->ops);

		event = child ? note_event(ctx, mm, UFFD_EVENT_FORK) : NULL;
		if (!event) {
			if (child)
				userfaultfd_ctx_put(child);
			return -ENOMEM;
		}
		child->features = ctx->features;
		event->child = child;
	}
	vma->vm_userfaultfd_ctx = event->child;
	return 0;
}

void mremap_userfaultfd(struct vm_area_struct *vma, unsigned long old_addr, unsigned long new_addr,
			unsigned long len)
{
	struct userfaultfd_ctx *ctx = vma->vm_userfaultfd_ctx;
	struct userfaultfd_event *event = NULL;

	if (likely(!ctx))
		return;
	if (ctx->features & UFFD_FEATURE_EVENT_REMAP)
		event = note_event(ctx, vma->vm_mm, UFFD_EVENT_REMAP);
	if (!event) {
		if (userfaultfd_wp(vma))
			uffd_wp_range(vma, vma->vm_start, vma->vm_end, false);
		unregister_vma(vma);
		return;
	}
	event->msg.arg.remap.from = old_addr;
	event->msg.arg.remap.to = new_addr;
	event->msg.arg.remap.len = len;
}

static bool unmap_noted(struct mm_struct *mm, const struct userfaultfd_ctx *ctx,
			unsigned long start, unsigned long end)
{
	struct userfaultfd_event *event;

	list_for_each_entry(event, &mm->uffd_events, node)
		if (event->ctx == ctx && event->msg.event == UFFD_EVENT_UNMAP &&
		    event->msg.arg.remove.start == start && event->msg.arg.remove.end == end)
			return true;
	return false;
}

int userfaultfd_unmap_prep(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct userfaultfd_ctx *ctx = vma->vm_userfaultfd_ctx;
	struct userfaultfd_event *event;

	if (likely(!ctx) || !(ctx->features & UFFD_FEATURE_EVENT_UNMAP) ||
	    unmap_noted(vma->vm_mm, ctx, start, end))
		return 0;
	event = note_event(ctx, vma->vm_mm, UFFD_EVENT_UNMAP);
	if (!event)
		return -ENOMEM;
	event->msg.arg.remove.start = start;
	event->msg.arg.remove.end = end;
	return 0;
}

bool userfaultfd_remove(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct userfaultfd_ctx *ctx = vma->vm_userfaultfd_ctx;
	struct userfaultfd_event event = { .ctx = ctx, .msg = { .event = UFFD_EVENT_REMOVE } };

	if (likely(!ctx) || !(ctx->features & UFFD_FEATURE_EVENT_REMOVE))
		return true;
	event.msg.arg.remove.start = start;
	event.msg.arg.remove.end = end;
	userfaultfd_ctx_get(ctx);
	atomic_inc(&ctx->mmap_changing);
	up_read(&vma->vm_mm->mmap_lock);
	post_event(&event);
	userfaultfd_ctx_put(ctx);
	return false;
}

/* ---- Reading ------------------------------------------------------------------------------ */

bool userfaultfd_has_messages(struct userfaultfd_ctx *ctx)
{
	return !list_empty(&ctx->fault_pending) || !list_empty(&ctx->events);
}

/* uffd_lock held. False: there is none. *fork: as userfaultfd_ctx_read() has it. */
static bool take_message(struct userfaultfd_ctx *ctx, struct uffd_msg *msg,
			 struct userfaultfd_event **fork)
{
	struct userfaultfd_event *event;

	*fork = NULL;
	if (!list_empty(&ctx->fault_pending)) {
		struct userfaultfd_wait_queue *uwq =
			list_first_entry(&ctx->fault_pending, struct userfaultfd_wait_queue, node);

		list_move_tail(&uwq->node, &ctx->faults);
		*msg = uwq->msg;
		return true;
	}
	if (list_empty(&ctx->events))
		return false;
	event = list_first_entry(&ctx->events, struct userfaultfd_event, node);
	list_del_init(&event->node);
	*msg = event->msg;
	/* Who forked waits until the child's context has a descriptor. */
	if (event->child)
		*fork = event;
	else
		wake_event(event);
	return true;
}

int userfaultfd_ctx_read(struct userfaultfd_ctx *ctx, bool wait, struct uffd_msg *msg,
			 struct userfaultfd_event **fork)
{
	for (;;) {
		u32 seq = __atomic_load_n(&ctx->seq, __ATOMIC_SEQ_CST);
		bool found;

		spin_lock(&ctx->uffd_lock);
		found = take_message(ctx, msg, fork);
		spin_unlock(&ctx->uffd_lock);
		if (found)
			return 0;
		if (!wait)
			return -EAGAIN;
		if (ctx->ops->wait(&ctx->seq, seq, true))
			return -ERESTARTSYS;
	}
}

struct userfaultfd_ctx *userfaultfd_fork_ctx(struct userfaultfd_event *fork)
{
	return fork->child;
}

void userfaultfd_fork_taken(struct userfaultfd_ctx *ctx, struct userfaultfd_event *fork, bool taken)
{
	spin_lock(&ctx->uffd_lock);
	if (taken)
		fork->child = NULL;
	if (taken || fork->abandoned || ctx->released) {
		wake_event(fork);
	} else {
		list_add(&fork->node, &ctx->events);
		fork = NULL;
	}
	spin_unlock(&ctx->uffd_lock);
	if (fork)
		event_put(fork);
}

/* ---- Registering -------------------------------------------------------------------------- */

bool vma_is_shmem(const struct vm_area_struct *vma)
{
	const struct inode *inode = vma->vm_file ? vma->vm_file->f_inode : NULL;

	return inode && (inode->i_kind == INODE_SHMEM || inode->i_tmpfs);
}

bool shmem_has_page(struct address_space *mapping, pgoff_t index)
{
	if (xa_load(&mapping->i_pages, index))
		return true;
	return mapping->host->i_tmpfs && !machine_block_hole(mapping->host->i_blkdev, index);
}

static bool vma_can_userfault(const struct userfaultfd_ctx *ctx, const struct vm_area_struct *vma,
			      vm_flags_t vm_flags)
{
	bool shmem = vma_is_shmem(vma);

	vm_flags &= VM_UFFD_FLAGS;
	if (vma->vm_flags & (VM_PFNMAP | VM_IO) || (vm_flags & VM_UFFD_MINOR && !shmem))
		return false;
	if (vm_flags == VM_UFFD_WP && ctx->features & UFFD_FEATURE_WP_ASYNC)
		return true;
	return vma_is_anonymous(vma) || shmem;
}

/* Whether all of the range may be registered, as far as there is memory in it. */
static int check_register(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long end,
			  vm_flags_t vm_flags)
{
	struct vm_area_struct *vma = find_vma_intersection(ctx->mm, start, end);

	if (!vma)
		return -EINVAL;
	for (; vma && vma->vm_start < end; vma = vma_next(vma)) {
		if (!vma_can_userfault(ctx, vma, vm_flags))
			return -EINVAL;
		if (!(vma->vm_flags & VM_MAYWRITE))
			return -EPERM;
		if (vma->vm_userfaultfd_ctx && vma->vm_userfaultfd_ctx != ctx)
			return -EBUSY;
	}
	return 0;
}

/*
 * From now on it matters what the object has. What the cache has of a hole in the host's file, and nobody has
 * mapped, is there for no reason of a program's.
 */
static void register_inode(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	struct page *page;
	pgoff_t index;

	mutex_lock(&mapping->lock);
	if (!inode->i_uffd && inode->i_tmpfs)
		xa_for_each(&mapping->i_pages, index, page)
			if (!PageDirty(page) && page_mapcount(page) == 0 &&
			    machine_block_hole(inode->i_blkdev, index))
				delete_from_page_cache(page);
	inode->i_uffd = true;
	mutex_unlock(&mapping->lock);
}

static int register_range(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long end,
			  vm_flags_t vm_flags)
{
	struct vm_area_struct *vma;

	while (start < end && (vma = find_vma_intersection(ctx->mm, start, end))) {
		vm_flags_t flags = (vma->vm_flags & ~VM_UFFD_FLAGS) | vm_flags;
		unsigned long stop = min(vma->vm_end, end);

		start = max(start, vma->vm_start);
		if (vma->vm_userfaultfd_ctx != ctx || (vma->vm_flags & vm_flags) != vm_flags) {
			vma = vma_modify_flags_uffd(vma, start, stop, flags, ctx);
			if (IS_ERR(vma))
				return (int)PTR_ERR(vma);
			vma->vm_flags = flags;
			vma->vm_userfaultfd_ctx = ctx;
			if (vma->vm_file)
				register_inode(vma->vm_file->f_inode);
		}
		start = stop;
	}
	return 0;
}

int userfaultfd_register(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len,
			 vm_flags_t vm_flags)
{
	struct mm_struct *mm = ctx->mm;
	int err;

	if (!atomic_inc_not_zero(&mm->mm_users))
		return -ENOMEM;
	down_write(&mm->mmap_lock);
	err = check_register(ctx, start, start + len, vm_flags);
	if (!err)
		err = register_range(ctx, start, start + len, vm_flags);
	up_write(&mm->mmap_lock);
	mmput(mm);
	return err;
}

static int check_unregister(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma = find_vma_intersection(ctx->mm, start, end);

	if (!vma)
		return -EINVAL;
	for (; vma && vma->vm_start < end; vma = vma_next(vma))
		if ((vma->vm_userfaultfd_ctx && vma->vm_userfaultfd_ctx != ctx) ||
		    !vma_can_userfault(ctx, vma, vma->vm_flags))
			return -EINVAL;
	return 0;
}

static int unregister_range(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long end)
{
	struct vm_area_struct *vma;

	while (start < end && (vma = find_vma_intersection(ctx->mm, start, end))) {
		unsigned long stop = min(vma->vm_end, end);

		start = max(start, vma->vm_start);
		if (vma->vm_userfaultfd_ctx) {
			if (userfaultfd_wp(vma))
				uffd_wp_range(vma, start, stop, false);
			vma = vma_modify_flags_uffd(vma, start, stop,
						    vma->vm_flags & ~VM_UFFD_FLAGS, NULL);
			if (IS_ERR(vma))
				return (int)PTR_ERR(vma);
			unregister_vma(vma);
		}
		start = stop;
	}
	return 0;
}

int userfaultfd_unregister(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len)
{
	struct mm_struct *mm = ctx->mm;
	int err;

	if (!atomic_inc_not_zero(&mm->mm_users))
		return -ENOMEM;
	down_write(&mm->mmap_lock);
	err = check_unregister(ctx, start, start + len);
	if (!err)
		err = unregister_range(ctx, start, start + len);
	up_write(&mm->mmap_lock);
	if (!err)
		wake_userfault(ctx, start, len);
	mmput(mm);
	return err;
}
