/* SPDX-License-Identifier: MIT */
/*
 * uffd.c - userfaultfd descriptors.
 *
 *   guest                              keeper
 *   descriptor = read end of a pipe    write end, table[dev]
 *     identity: the pipe's inode         KEEPER_POKE writes a byte: poll() finds the descriptor readable
 *     read, ioctl: here                  no reader is left: nobody has the descriptor any more
 *     dup, fork, SCM_RIGHTS, poll,
 *     epoll, fcntl: the host's
 *
 * The byte is in the pipe while there are messages that no reader in the kernel is about to take:
 *
 *   POKE_IDLE --a message--> POKE_WRITING --> POKE_SET --the last is read--> POKE_DRAINING --> POKE_IDLE
 *
 * Whoever has made a step looks again whether there are messages, so that none stays unannounced. A byte too
 * many does no harm: the reader finds nothing and takes it out.
 *
 * Files are on a list under uffd_files_lock, a leaf. One leaves it when it is found that nobody has its
 * descriptor: by who closes one, who has a message for it, or the keeper, who waits for that.
 */
#include <quire/userfaultfd_k.h>

#include "hostmem.h"
#include "uffd.h"

#define F_GETFL 3
#define F_SETFL 4
#define RWF_NOWAIT 8
#define FIONREAD 0x541b
#define HOST_O_NONBLOCK 04000

enum poke {
	POKE_IDLE,
	POKE_WRITING,
	POKE_SET,
	POKE_DRAINING
};

struct uffd_file {
	struct list_head node; /* uffd_files */
	struct userfaultfd_ctx *ctx; /* with the descriptors' reference */
	u64 st_dev, st_ino; /* of the pipe */
	u64 dev; /* of the keeper's table */
	u32 poke; /* enum poke */
	u32 readers; /* who are in read(), and will look for messages */
};

bool any_uffd;
static LIST_HEAD(uffd_files);
static spinlock_t uffd_files_lock = SPINLOCK_INIT;
static u32 nr_uffds; /* files not yet freed; a futex for uffd_shutdown() */

/* ---- Readable or not ---------------------------------------------------------------------- */

static bool cmpxchg_poke(struct uffd_file *f, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(&f->poke, &from, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

/* Nobody has the descriptor any more. Once only; ctx may be gone after that. */
static void uffd_gone(struct uffd_file *f)
{
	bool first;

	spin_lock(&uffd_files_lock);
	first = !list_empty(&f->node);
	list_del_init(&f->node);
	spin_unlock(&uffd_files_lock);
	if (first)
		userfaultfd_release(f->ctx);
}

static void uffd_readable(struct userfaultfd_ctx *ctx)
{
	struct uffd_file *f = __atomic_load_n((struct uffd_file **)&ctx->machine, __ATOMIC_ACQUIRE);
	int ret;

	if (!f || __atomic_load_n(&f->readers, __ATOMIC_SEQ_CST) ||
	    !cmpxchg_poke(f, POKE_IDLE, POKE_WRITING))
		return;
	ret = native_keeper_poke(f->dev);
	__atomic_store_n(&f->poke, POKE_SET, __ATOMIC_SEQ_CST);
	machine_wake(&f->poke, INT_MAX);
	if (ret == -EPIPE)
		uffd_gone(f);
}

/* Take the byte out of the pipe; not to wait for one that somebody has stolen. */
static void take_byte(long fd)
{
	struct host_iovec iov;
	char byte;
	int n = 0;

	iov = (struct host_iovec){ (unsigned long)&byte, 1 };
	if (host_syscall(__NR_preadv2, fd, &iov, 1, -1L, -1L, RWF_NOWAIT) == -EOPNOTSUPP &&
	    !host_syscall(__NR_ioctl, fd, FIONREAD, &n) && n > 0)
		host_syscall(__NR_read, fd, &byte, 1);
}

/*
 * After reading: is there more? Who found nothing comes for a byte that is on its way: or he would be called
 * again and again until it is known to be there.
 */
static void uffd_settle(struct uffd_file *f, long fd, bool found)
{
	while (!found && __atomic_load_n(&f->poke, __ATOMIC_SEQ_CST) == POKE_WRITING)
		machine_wait(&f->poke, POKE_WRITING, 10000000);
	if (!userfaultfd_has_messages(f->ctx) && cmpxchg_poke(f, POKE_SET, POKE_DRAINING)) {
		take_byte(fd);
		__atomic_store_n(&f->poke, POKE_IDLE, __ATOMIC_SEQ_CST);
	}
	if (userfaultfd_has_messages(f->ctx))
		uffd_readable(f->ctx);
}

/* ---- The context's view of the machine ----------------------------------------------------- */

static int uffd_wait(u32 *word, u32 val, bool user)
{
	struct native_task *t = current_native();

	if (!user) {
		/* A kill wakes nobody who sleeps with his signals blocked. */
		machine_wait(word, val, 20000000);
		return machine_is_dying() ? -EINTR : 0;
	}
	t->stops_seen = __atomic_load_n(&t->hmm->nr_stop_asks, __ATOMIC_SEQ_CST);
	return machine_wait_interruptible(word, val, MACHINE_WAIT_FOREVER) == -EINTR ? -EINTR : 0;
}

static pid_t uffd_thread_id(void)
{
	return current_native()->task.pid;
}

static void uffd_free(struct userfaultfd_ctx *ctx)
{
	struct uffd_file *f = ctx->machine;

	if (!f)
		return;
	machine_block_release(f->dev);
	kfree(f);
	__atomic_fetch_sub(&nr_uffds, 1, __ATOMIC_SEQ_CST);
	machine_wake(&nr_uffds, INT_MAX);
}

static const struct userfaultfd_ops uffd_ops = {
	.readable = uffd_readable,
	.wait = uffd_wait,
	.thread_id = uffd_thread_id,
	.free = uffd_free,
};

/* ---- New descriptors ----------------------------------------------------------------------- */

/* Both ends, above none of the machine's own numbers; the write end for the keeper. */
static long make_pipe(struct uffd_file *f, s32 fd[2], unsigned int flags)
{
	struct host_stat st = { 0 };
	long err = host_syscall(__NR_pipe2, fd, HOST_O_CLOEXEC);

	if (err)
		return err;
	err = host_syscall(__NR_fstat, fd[0], &st);
	if (!err && flags & HOST_O_NONBLOCK)
		err = host_syscall(__NR_fcntl, fd[0], F_SETFL, HOST_O_NONBLOCK);
	if (!err && !(flags & HOST_O_CLOEXEC))
		err = host_syscall(__NR_fcntl, fd[0], 2 /* F_SETFD */, 0);
	f->st_dev = st.st_dev;
	f->st_ino = st.st_ino;
	f->dev = native_new_blkdev();
	if (!err)
		err = native_keeper_add_pipe(f->dev, fd[1]);
	host_syscall(__NR_close, fd[1]);
	if (err)
		host_syscall(__NR_close, fd[0]);
	return err;
}

int machine_uffd_install(struct userfaultfd_ctx *ctx)
{
	struct uffd_file *f = kzalloc(sizeof(*f), GFP_KERNEL);
	s32 fd[2];
	long err;

	if (!f)
		return -ENOMEM;
	err = make_pipe(f, fd, ctx->flags);
	if (err) {
		kfree(f);
		return (int)err;
	}
	f->ctx = ctx;
	__atomic_fetch_add(&nr_uffds, 1, __ATOMIC_SEQ_CST);
	WRITE_ONCE(any_uffd, true);
	spin_lock(&uffd_files_lock);
	list_add_tail(&f->node, &uffd_files);
	spin_unlock(&uffd_files_lock);
	__atomic_store_n((struct uffd_file **)&ctx->machine, f, __ATOMIC_RELEASE);
	/* A child that was forked may have had faults already. */
	if (userfaultfd_has_messages(ctx))
		uffd_readable(ctx);
	return fd[0];
}

/* hostfd: what the host says to a call that makes one of its own; it knows who may. */
static long new_userfaultfd(struct native_task *t, long hostfd, unsigned int flags)
{
	struct userfaultfd_ctx *ctx;
	long fd;

	if (hostfd < 0 && hostfd != -ENOSYS)
		return hostfd;
	if (hostfd >= 0)
		host_syscall(__NR_close, hostfd);
	ctx = userfaultfd_ctx_alloc(t->task.mm, flags, &uffd_ops);
	if (!ctx)
		return -ENOMEM;
	fd = machine_uffd_install(ctx);
	if (fd < 0)
		userfaultfd_ctx_put(ctx);
	return fd;
}

/* ---- Calls on them ------------------------------------------------------------------------- */

/* What fd is, with a reference to its context; NULL: none of ours. */
static struct uffd_file *uffd_get(unsigned long fd)
{
	struct host_stat st = { 0 };
	struct uffd_file *f, *found = NULL;

	if (host_syscall(__NR_fstat, hc_fd(fd), &st) || (st.st_mode & HOST_S_IFMT) != HOST_S_IFIFO)
		return NULL;
	spin_lock(&uffd_files_lock);
	list_for_each_entry(f, &uffd_files, node)
		if (f->st_ino == st.st_ino && f->st_dev == st.st_dev)
			found = f;
	if (found)
		userfaultfd_ctx_get(found->ctx);
	spin_unlock(&uffd_files_lock);
	return found;
}

static void uffd_put(struct uffd_file *f)
{
	userfaultfd_ctx_put(f->ctx);
}

static long uffd_read_iov(struct uffd_file *f, long fd, const struct host_iovec *iov, long nr)
{
	bool nonblock = host_syscall(__NR_fcntl, fd, F_GETFL) & HOST_O_NONBLOCK;
	long done = 0, ret = 0;

	for (long i = 0; i < nr; i++) {
		ret = userfaultfd_read(f->ctx, iov[i].base, iov[i].len, nonblock || done);
		if (ret < 0)
			break;
		done += ret;
	}
	return done ? done : ret;
}

static long uffd_read(struct native_task *t, struct uffd_file *f, unsigned long nr,
		      const unsigned long *args)
{
	struct host_iovec one = { args[1], args[2] }, *iov = &one;
	struct hc_mem mem;
	long n = 1, ret;

	hc_mem_init(&mem);
	if (nr == __NR_readv)
		n = hc_import_iovec(t, &mem, args[1], args[2], &iov);
	ret = n;
	if (n >= 0) {
		__atomic_fetch_add(&f->readers, 1, __ATOMIC_SEQ_CST);
		ret = uffd_read_iov(f, (long)args[0], iov, n);
		__atomic_fetch_sub(&f->readers, 1, __ATOMIC_SEQ_CST);
		uffd_settle(f, (long)args[0], ret > 0);
	}
	hc_mem_free(&mem);
	return ret;
}

static long uffd_close(struct uffd_file *f, unsigned long fd)
{
	long ret = host_syscall(__NR_close, hc_fd(fd));

	if (native_keeper_peek(f->dev) == -EPIPE)
		uffd_gone(f);
	return ret;
}

static long uffd_call(struct native_task *t, struct uffd_file *f, unsigned long nr,
		      const unsigned long *args)
{
	switch (nr) {
	case __NR_ioctl:
		if (((u32)args[1] & 0xff00) != (USERFAULTFD_IOC_NEW & 0xff00))
			return SYSCALL_NOT_OURS;
		return userfaultfd_ioctl(&t->task, f->ctx, (u32)args[1], args[2]);
	case __NR_read:
	case __NR_readv:
		return uffd_read(t, f, nr, args);
	case __NR_close:
		return uffd_close(f, args[0]);
	default:
		return -EINVAL; /* the byte in the pipe is nobody's affair */
	}
}

long uffd_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct uffd_file *f = uffd_get(args[0]);
	long ret;

	if (!f)
		return SYSCALL_NOT_OURS;
	ret = uffd_call(t, f, nr, args);
	uffd_put(f);
	return ret;
}

long uffd_sys_userfaultfd(struct native_task *t, const unsigned long *args)
{
	return new_userfaultfd(t, host_syscall(__NR_userfaultfd, args[0]), (unsigned int)args[0]);
}

long uffd_ioc_new(struct native_task *t, const unsigned long *args)
{
	return new_userfaultfd(t, host_syscall(__NR_ioctl, hc_fd(args[0]), args[1], args[2]),
			       (unsigned int)args[2]);
}

/* ---- The end ------------------------------------------------------------------------------- */

void uffd_hangup(u64 dev)
{
	struct uffd_file *f, *found = NULL;

	spin_lock(&uffd_files_lock);
	list_for_each_entry(f, &uffd_files, node)
		if (f->dev == dev)
			found = f;
	if (found)
		userfaultfd_ctx_get(found->ctx);
	spin_unlock(&uffd_files_lock);
	if (!found)
		return;
	uffd_gone(found);
	uffd_put(found);
}

void uffd_shutdown(void)
{
	u32 left;

	for (;;) {
		struct uffd_file *f;

		spin_lock(&uffd_files_lock);
		f = list_first_entry_or_null(&uffd_files, struct uffd_file, node);
		if (f)
			userfaultfd_ctx_get(f->ctx);
		spin_unlock(&uffd_files_lock);
		if (!f)
			break;
		uffd_gone(f);
		uffd_put(f);
	}
	/* The keeper may be about to do the same. */
	while ((left = __atomic_load_n(&nr_uffds, __ATOMIC_SEQ_CST)))
		machine_wait(&nr_uffds, left, 1000000);
}
