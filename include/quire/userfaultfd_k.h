/* SPDX-License-Identifier: MIT */
/*
 * userfaultfd_k.h - memory whose missing pages a program supplies: mm/userfaultfd.c, mm/mfill.c.
 *
 * A context is what a userfaultfd descriptor stands for. It belongs to one mm and is the
 * vm_userfaultfd_ctx of VMAs registered with it, which hold no reference: the last descriptor's end
 * (userfaultfd_release) takes it out of all of them.
 *
 *   faulting thread                  context                     monitor
 *   handle_userfault()  --queue-->   fault_pending  --read-->    message
 *     waits, no lock                 faults                      UFFDIO_COPY ... : page, entry
 *     tried again       <--wake---   off the queue  <----------  wake_userfault()
 */
#ifndef QUIRE_USERFAULTFD_K_H
#define QUIRE_USERFAULTFD_K_H

#include <quire/mm.h>
#include <quire/userfaultfd.h>

struct userfaultfd_ctx;

/* Of who makes contexts. */
struct userfaultfd_ops {
	/* There is something to read. May sleep; no lock held but perhaps those of a fault in a copy. */
	void (*readable)(struct userfaultfd_ctx *ctx);
	/*
	 * Sleep while *word == val; may also return without need. user: until a signal comes that the
	 * caller's program is to see, else until the program is being ended: -EINTR.
	 */
	int (*wait)(u32 *word, u32 val, bool user);
	pid_t (*thread_id)(void); /* of the caller */
	void (*free)(struct userfaultfd_ctx
			     *ctx); /* ctx->machine, if there is one; ctx ends. May sleep */
};

#define UFFD_FEATURE_INITIALIZED (1u << 31) /* UFFDIO_API has been done */

struct userfaultfd_ctx {
	atomic_t count; /* descriptors as a whole, and who waits or works with it */
	spinlock_t uffd_lock; /* the queues, released */
	struct list_head fault_pending; /* waiting, not yet read */
	struct list_head faults; /* waiting, read */
	struct list_head events; /* not yet read */
	u32 seq; /* futex: bumped when there is more to read */
	unsigned int flags; /* as given to userfaultfd(2) */
	unsigned int features; /* UFFD_FEATURE_*, 0 before UFFDIO_API */
	bool released;
	atomic_t mmap_changing; /* changes that the monitor has not heard of yet */
	struct mm_struct *mm; /* with a reference on mm_count */
	const struct userfaultfd_ops *ops;
	void *machine; /* the port's descriptor; NULL: there is none yet */
};

/* A context for mm with one reference. NULL: no memory. */
struct userfaultfd_ctx *userfaultfd_ctx_alloc(struct mm_struct *mm, unsigned int flags,
					      const struct userfaultfd_ops *ops);
static inline void userfaultfd_ctx_get(struct userfaultfd_ctx *ctx)
{
	atomic_inc(&ctx->count);
}
void userfaultfd_ctx_put(struct userfaultfd_ctx *ctx);
/*
 * The last descriptor is gone: all VMAs are ordinary memory again, everybody who waits goes on. The
 * descriptors' reference is dropped. May sleep.
 */
void userfaultfd_release(struct userfaultfd_ctx *ctx);

/* ---- Faults ------------------------------------------------------------------------------- */

static inline bool userfaultfd_missing(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_UFFD_MISSING;
}
static inline bool userfaultfd_wp(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_UFFD_WP;
}
static inline bool userfaultfd_minor(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_UFFD_MINOR;
}
static inline bool userfaultfd_armed(const struct vm_area_struct *vma)
{
	return vma->vm_flags & VM_UFFD_FLAGS;
}
static inline bool userfaultfd_pte_wp(const struct vm_area_struct *vma, pte_t pte)
{
	return userfaultfd_wp(vma) && pte_uffd_wp(pte);
}
/* Whether absent pages are to be protected, too. */
static inline bool userfaultfd_wp_use_markers(const struct vm_area_struct *vma)
{
	return !vma_is_anonymous(vma) ||
	       (vma->vm_userfaultfd_ctx &&
		vma->vm_userfaultfd_ctx->features & UFFD_FEATURE_WP_UNPOPULATED);
}
/* A write to protected memory is no fault for the monitor: the mark goes, no more. */
static inline bool userfaultfd_wp_async(const struct vm_area_struct *vma)
{
	return vma->vm_userfaultfd_ctx && vma->vm_userfaultfd_ctx->features & UFFD_FEATURE_WP_ASYNC;
}

/*
 * The fault is the monitor's, for reason VM_UFFD_MISSING, _WP or _MINOR. mmap_lock held for reading and
 * nothing else. VM_FAULT_RETRY: the lock has been released, the monitor has had its turn
 * (VM_FAULT_INTERRUPTED: or a signal came); VM_FAULT_SIGBUS: nobody may wait, the lock is held.
 */
vm_fault_t handle_userfault(struct vm_fault *vmf, unsigned long reason);

/* ---- Events ------------------------------------------------------------------------------- */

/*
 * What happens to registered memory is noted in mm->uffd_events while mmap_lock is held for writing, taken
 * from there before it is released, and posted after that: the caller sleeps until the monitor has read
 * each. Before the monitor has, it cannot fill memory of the context (-EAGAIN).
 */
static inline void userfaultfd_take_events(struct mm_struct *mm, struct list_head *events)
{
	list_splice_init(&mm->uffd_events, events);
}
void __userfaultfd_post_events(struct list_head *events);
static inline void userfaultfd_post_events(struct list_head *events)
{
	if (unlikely(!list_empty(events)))
		__userfaultfd_post_events(events);
}
/* The call came to nothing; the contexts of a child that will not be born go. */
void userfaultfd_cancel_events(struct list_head *events);

/* fork: vma is the child's copy, of a mm of its own, not yet linked. 0 or -ENOMEM. */
int dup_userfaultfd(struct vm_area_struct *vma, struct mm_struct *mm);
/* mremap: vma has got the entries from old_addr on. -ENOMEM: not registered any more. */
void mremap_userfaultfd(struct vm_area_struct *vma, unsigned long old_addr, unsigned long new_addr,
			unsigned long len);
/* [start, end) is about to be unmapped, part of which is vma. 0 or -ENOMEM. */
int userfaultfd_unmap_prep(struct vm_area_struct *vma, unsigned long start, unsigned long end);
/*
 * The pages of [start, end) are about to go, by madvise(). mmap_lock held for reading. False: it has been
 * released, and the monitor knows.
 */
bool userfaultfd_remove(struct vm_area_struct *vma, unsigned long start, unsigned long end);

/* ---- What a monitor does ------------------------------------------------------------------- */

/* Shared memory objects, or files of the host on a tmpfs, which are the same to programs. */
bool vma_is_shmem(const struct vm_area_struct *vma);
/* mapping->lock held. Whether the object has a page at index, be it in swap or in the host's file. May sleep. */
bool shmem_has_page(struct address_space *mapping, pgoff_t index);

/* vm_flags: VM_UFFD_*. 0, -ENOMEM, -EINVAL, -EPERM, -EBUSY. */
int userfaultfd_register(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len,
			 vm_flags_t vm_flags);
int userfaultfd_unregister(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len);
/* Those who wait in [start, start + len) try again; len 0: all. */
void wake_userfault(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len);
/*
 * The next message; wait: sleep for one, until a signal comes (-ERESTARTSYS). 0, -EAGAIN.
 * fork: set to the child's context if the message tells of one, which userfaultfd_fork_taken() must follow.
 */
struct userfaultfd_event;
int userfaultfd_ctx_read(struct userfaultfd_ctx *ctx, bool wait, struct uffd_msg *msg,
			 struct userfaultfd_event **fork);
/* The child's context, whose descriptor is to be made. */
struct userfaultfd_ctx *userfaultfd_fork_ctx(struct userfaultfd_event *fork);
/* It has a descriptor, which holds its reference; or (!taken) the message is to be read again. */
void userfaultfd_fork_taken(struct userfaultfd_ctx *ctx, struct userfaultfd_event *fork,
			    bool taken);
bool userfaultfd_has_messages(struct userfaultfd_ctx *ctx);

enum mfill_mode {
	MFILL_ATOMIC_COPY,
	MFILL_ATOMIC_ZEROPAGE,
	MFILL_ATOMIC_CONTINUE,
	MFILL_ATOMIC_POISON,
};

/*
 * Fill missing pages of [dst, dst + len), all page aligned, in ctx->mm: with the bytes at src of src_mm,
 * zeros, what the object behind them holds, or the mark that they are lost. wp: and protect them. Bytes filled, or if none
 * -ENOENT, -EEXIST, -EFAULT, -ENOMEM, -EINVAL, -EAGAIN.
 */
long mfill_atomic(struct userfaultfd_ctx *ctx, enum mfill_mode mode, unsigned long dst,
		  struct mm_struct *src_mm, unsigned long src, unsigned long len, bool wp);
/* Protect [start, start + len), or (!enable) no more. 0, -ENOENT, -EAGAIN, -ENOMEM (perhaps a part). */
int mwriteprotect_range(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len,
			bool enable);
/* mmap_lock held. The same for a part of one VMA. 0, or if enabled -ENOMEM. */
int uffd_wp_range(struct vm_area_struct *vma, unsigned long start, unsigned long end, bool enable);

#endif
