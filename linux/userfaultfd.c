/* SPDX-License-Identifier: MIT */
/*
 * What a program does with a userfaultfd descriptor: ioctl() and read(). The descriptor itself is the
 * machine's.
 *
 * Results stand in the structures that the ioctls are given, besides the call's own: they are stored even
 * where the call fails, as programs look there for what has been done.
 */
#include <quire/kernel.h>
#include <quire/sched.h>
#include <quire/string.h>
#include <quire/uaccess.h>
#include <quire/userfaultfd_k.h>

#define UFFD_API_FEATURES                                                                          \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |     \
	 UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_MISSING_HUGETLBFS | UFFD_FEATURE_MISSING_SHMEM | \
	 UFFD_FEATURE_EVENT_UNMAP | UFFD_FEATURE_SIGBUS | UFFD_FEATURE_THREAD_ID |                 \
	 UFFD_FEATURE_MINOR_HUGETLBFS | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_EXACT_ADDRESS |    \
	 UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_POISON |     \
	 UFFD_FEATURE_WP_ASYNC)
#define UFFD_API_IOCTLS \
	(1ull << _UFFDIO_REGISTER | 1ull << _UFFDIO_UNREGISTER | 1ull << _UFFDIO_API)
#define UFFD_API_RANGE_IOCTLS                                                     \
	(1ull << _UFFDIO_WAKE | 1ull << _UFFDIO_COPY | 1ull << _UFFDIO_ZEROPAGE | \
	 1ull << _UFFDIO_WRITEPROTECT | 1ull << _UFFDIO_CONTINUE | 1ull << _UFFDIO_POISON)
#define UFFDIO_REGISTER_MODES \
	(UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP | UFFDIO_REGISTER_MODE_MINOR)

static int validate_range(const struct mm_struct *mm, u64 start, u64 len)
{
	if (!PAGE_ALIGNED(start) || !PAGE_ALIGNED(len) || !len || start < mmap_min_addr ||
	    start >= mm->task_size || len > mm->task_size - start)
		return -EINVAL;
	return 0;
}

/* Where bytes come from need not be aligned, nor anything that exists. */
static int validate_source(const struct mm_struct *mm, u64 start, u64 len)
{
	if (!PAGE_ALIGNED(len) || !len || start < mmap_min_addr || start >= mm->task_size ||
	    len > mm->task_size - start)
		return -EINVAL;
	return 0;
}

/* ---- The ioctls --------------------------------------------------------------------------- */

static int api_check(const struct uffdio_api *api)
{
	if (api->api != UFFD_API)
		return -EINVAL;
	if (api->features & UFFD_FEATURE_EVENT_FORK && !machine_capable(CAP_SYS_PTRACE))
		return -EPERM;
	return api->features & ~(u64)UFFD_API_FEATURES ? -EINVAL : 0;
}

static long uffd_api(struct userfaultfd_ctx *ctx, struct uffdio_api __user *arg)
{
	struct uffdio_api api;
	u32 features, none = 0;
	int err;

	if (copy_from_user(&api, arg, sizeof(api)))
		return -EFAULT;
	err = api_check(&api);
	features = (u32)api.features | UFFD_FEATURE_INITIALIZED;
	if (features & UFFD_FEATURE_WP_ASYNC)
		features |= UFFD_FEATURE_WP_UNPOPULATED;
	if (err)
		api = (struct uffdio_api){ 0 };
	else
		api = (struct uffdio_api){ UFFD_API, UFFD_API_FEATURES, UFFD_API_IOCTLS };
	if (copy_to_user(arg, &api, sizeof(api)))
		return -EFAULT;
	if (err || __atomic_compare_exchange_n(&ctx->features, &none, features, false,
					       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return err;
	api = (struct uffdio_api){ 0 };
	return copy_to_user(arg, &api, sizeof(api)) ? -EFAULT : -EINVAL;
}

static long uffd_register(struct userfaultfd_ctx *ctx, struct uffdio_register __user *arg)
{
	struct uffdio_register reg;
	u64 ioctls = UFFD_API_RANGE_IOCTLS;
	vm_flags_t flags = 0;
	int err;

	if (copy_from_user(&reg, arg, offsetof(struct uffdio_register, ioctls)))
		return -EFAULT;
	if (!reg.mode || reg.mode & ~UFFDIO_REGISTER_MODES)
		return -EINVAL;
	if (reg.mode & UFFDIO_REGISTER_MODE_MISSING)
		flags |= VM_UFFD_MISSING;
	if (reg.mode & UFFDIO_REGISTER_MODE_WP)
		flags |= VM_UFFD_WP;
	else
		ioctls &= ~(1ull << _UFFDIO_WRITEPROTECT);
	if (reg.mode & UFFDIO_REGISTER_MODE_MINOR)
		flags |= VM_UFFD_MINOR;
	else
		ioctls &= ~(1ull << _UFFDIO_CONTINUE);
	err = validate_range(ctx->mm, reg.range.start, reg.range.len);
	if (!err)
		err = userfaultfd_register(ctx, reg.range.start, reg.range.len, flags);
	if (err)
		return err;
	return put_user(ioctls, &arg->ioctls);
}

static long uffd_range(struct userfaultfd_ctx *ctx, u32 cmd, const struct uffdio_range __user *arg)
{
	struct uffdio_range range;
	int err;

	if (copy_from_user(&range, arg, sizeof(range)))
		return -EFAULT;
	err = validate_range(ctx->mm, range.start, range.len);
	if (err || cmd == UFFDIO_UNREGISTER)
		return err ?: userfaultfd_unregister(ctx, range.start, range.len);
	wake_userfault(ctx, range.start, range.len);
	return 0;
}

/* What was filled is told, and who waits for it woken. */
static long fill_done(struct userfaultfd_ctx *ctx, s64 __user *uresult, long done,
		      const struct uffdio_range *range, bool wake)
{
	if (put_user(done, uresult))
		return -EFAULT;
	if (done < 0)
		return done;
	if (wake)
		wake_userfault(ctx, range->start, (unsigned long)done);
	return (u64)done == range->len ? 0 : -EAGAIN;
}

static long mfill(struct userfaultfd_ctx *ctx, enum mfill_mode mode, struct task_struct *task,
		  unsigned long src, const struct uffdio_range *dst, bool wp)
{
	long ret = -ESRCH;

	if (atomic_inc_not_zero(&ctx->mm->mm_users)) {
		ret = mfill_atomic(ctx, mode, dst->start, task->mm, src, dst->len, wp);
		mmput(ctx->mm);
	}
	return ret;
}

static long uffd_copy(struct task_struct *task, struct userfaultfd_ctx *ctx,
		      struct uffdio_copy __user *arg)
{
	struct uffdio_range range;
	struct uffdio_copy copy;
	int err;

	if (atomic_read(&ctx->mmap_changing))
		return put_user(-EAGAIN, &arg->copy) ?: -EAGAIN;
	if (copy_from_user(&copy, arg, offsetof(struct uffdio_copy, copy)))
		return -EFAULT;
	err = validate_source(ctx->mm, copy.src, copy.len);
	if (!err)
		err = validate_range(ctx->mm, copy.dst, copy.len);
	if (err || copy.mode & ~(UFFDIO_MODE_DONTWAKE | UFFDIO_MODE_WP))
		return -EINVAL;
	range = (struct uffdio_range){ copy.dst, copy.len };
	return fill_done(
		ctx, &arg->copy,
		mfill(ctx, MFILL_ATOMIC_COPY, task, copy.src, &range, copy.mode & UFFDIO_MODE_WP),
		&range, !(copy.mode & UFFDIO_MODE_DONTWAKE));
}

static long uffd_fill(struct task_struct *task, struct userfaultfd_ctx *ctx, u32 cmd,
		      struct uffdio_fill __user *arg)
{
	enum mfill_mode mode = cmd == UFFDIO_ZEROPAGE	? MFILL_ATOMIC_ZEROPAGE
			       : cmd == UFFDIO_CONTINUE ? MFILL_ATOMIC_CONTINUE
							: MFILL_ATOMIC_POISON;
	u64 modes = UFFDIO_MODE_DONTWAKE | (cmd == UFFDIO_CONTINUE ? UFFDIO_MODE_WP : 0);
	struct uffdio_fill fill;

	if (atomic_read(&ctx->mmap_changing))
		return put_user(-EAGAIN, &arg->done) ?: -EAGAIN;
	if (copy_from_user(&fill, arg, offsetof(struct uffdio_fill, done)))
		return -EFAULT;
	if (validate_range(ctx->mm, fill.range.start, fill.range.len) || fill.mode & ~modes)
		return -EINVAL;
	return fill_done(ctx, &arg->done,
			 mfill(ctx, mode, task, 0, &fill.range, fill.mode & UFFDIO_MODE_WP),
			 &fill.range, !(fill.mode & UFFDIO_MODE_DONTWAKE));
}

static long uffd_writeprotect(struct userfaultfd_ctx *ctx,
			      const struct uffdio_writeprotect __user *arg)
{
	struct uffdio_writeprotect wp;
	bool enable, wake;
	int err;

	if (atomic_read(&ctx->mmap_changing))
		return -EAGAIN;
	if (copy_from_user(&wp, arg, sizeof(wp)))
		return -EFAULT;
	err = validate_range(ctx->mm, wp.range.start, wp.range.len);
	if (err || wp.mode & ~(UFFDIO_WRITEPROTECT_MODE_WP | UFFDIO_WRITEPROTECT_MODE_DONTWAKE))
		return -EINVAL;
	enable = wp.mode & UFFDIO_WRITEPROTECT_MODE_WP;
	wake = !(wp.mode & UFFDIO_WRITEPROTECT_MODE_DONTWAKE);
	if (enable && !wake)
		return -EINVAL;
	if (!atomic_inc_not_zero(&ctx->mm->mm_users))
		return -ESRCH;
	err = mwriteprotect_range(ctx, wp.range.start, wp.range.len, enable);
	mmput(ctx->mm);
	if (!err && !enable && wake)
		wake_userfault(ctx, wp.range.start, wp.range.len);
	return err;
}

long userfaultfd_ioctl(struct task_struct *task, struct userfaultfd_ctx *ctx, u32 cmd,
		       unsigned long uarg)
{
	void __user *arg = u64_to_user_ptr(uarg);

	if (cmd != UFFDIO_API && !ctx->features)
		return -EINVAL;
	switch (cmd) {
	case UFFDIO_API:
		return uffd_api(ctx, arg);
	case UFFDIO_REGISTER:
		return uffd_register(ctx, arg);
	case UFFDIO_UNREGISTER:
	case UFFDIO_WAKE:
		return uffd_range(ctx, cmd, arg);
	case UFFDIO_COPY:
		return uffd_copy(task, ctx, arg);
	case UFFDIO_ZEROPAGE:
	case UFFDIO_CONTINUE:
	case UFFDIO_POISON:
		return uffd_fill(task, ctx, cmd, arg);
	case UFFDIO_WRITEPROTECT:
		return uffd_writeprotect(ctx, arg);
	default:
		return -EINVAL;
	}
}

/* ---- read() ------------------------------------------------------------------------------- */

/* The message with the descriptor in it that the reader gets, or an error: then it can be read again. */
static long install_fork(struct userfaultfd_ctx *ctx, struct userfaultfd_event *fork,
			 struct uffd_msg *msg)
{
	int fd = machine_uffd_install(userfaultfd_fork_ctx(fork));

	userfaultfd_fork_taken(ctx, fork, fd >= 0);
	if (fd < 0)
		return fd;
	msg->arg.fork.ufd = (u32)fd;
	return 0;
}

long userfaultfd_read(struct userfaultfd_ctx *ctx, unsigned long ubuf, size_t count, bool nonblock)
{
	size_t done = 0;

	if (!ctx->features)
		return -EINVAL;
	for (; count - done >= sizeof(struct uffd_msg); done += sizeof(struct uffd_msg)) {
		struct userfaultfd_event *fork;
		struct uffd_msg msg;
		long err = userfaultfd_ctx_read(ctx, !nonblock && !done, &msg, &fork);

		if (!err && fork)
			err = install_fork(ctx, fork, &msg);
		if (!err && copy_to_user(u64_to_user_ptr(ubuf + done), &msg, sizeof(msg)))
			err = -EFAULT;
		if (err)
			return done ? (long)done : err;
	}
	return done ? (long)done : -EINVAL;
}
