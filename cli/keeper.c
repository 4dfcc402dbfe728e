/* SPDX-License-Identifier: MIT */
/*
 * keeper.c - the process that holds a descriptor of every file with pages in the cache, and does
 * their I/O. It lives as long as the machine and belongs to no guest, so that a guest may close a
 * file, or die, with pages of it in use.
 *
 *   main thread      waits for the end: SIGTERM from the command, or that the command has died
 *   receiver         descriptors from guests -> table
 *   workers          slots READY -> RUNNING -> DONE
 *   background_reclaim  kswapd: frees memory before it is wanted
 *   hangup           tells the kernel that the last reader of a pipe is gone
 *   watch            has the kernel look for guests that were killed from outside
 *   trace            drains the ring into the file
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli.h"

#define NR_WORKERS 2
#define WATCH_NS 50000000
#define PAGE 4096ul

static struct kernel_shared *shared;
static const char *trace_path;
static int trace_error;

/* dev -> descriptor. A request may overtake its descriptor: it waits for it. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t table_grown = PTHREAD_COND_INITIALIZER;
static struct file_entry {
	int fd; /* -1: none */
	bool writable;
	bool swap; /* its size stays: what lies beyond is an error */
	char *hold; /* KEEPER_HOLD_WRITE: the file, as it may become; or NULL */
	bool pipe; /* the write end of one; false again when its readers are known to be gone */
} * table;
static size_t table_size;

static long futex(uint32_t *word, int op, uint32_t val)
{
	return syscall(SYS_futex, word, op, val, NULL, NULL, 0);
}

/* ---- Descriptors ------------------------------------------------------------------------- */

/*
 * An open file description of our own, so that locks and flags of the guest's do not live on in
 * it; where that is not permitted, the guest's.
 */
static int reopen(int fd, bool writable)
{
	char path[64];
	int own;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY);
	if (own < 0)
		return fd;
	close(fd);
	return own;
}

static int table_bell = -1; /* eventfd: there is a new pipe */

static void table_set(uint64_t dev, int fd, bool writable, bool pipe)
{
	pthread_mutex_lock(&table_lock);
	if (dev >= table_size) {
		size_t size = (dev + 1) * 2;
		struct file_entry *bigger = realloc(table, size * sizeof(*table));

		if (!bigger)
			abort();
		for (size_t i = table_size; i < size; i++)
			bigger[i] = (struct file_entry){ .fd = -1 };
		table = bigger;
		table_size = size;
	}
	if (table[dev].fd >= 0 && (table[dev].writable || !writable)) {
		close(fd);
	} else {
		if (table[dev].fd >= 0)
			close(table[dev].fd);
		table[dev].fd = pipe ? fd : reopen(fd, writable);
		table[dev].writable = writable;
		table[dev].pipe = pipe;
	}
	if (pipe)
		eventfd_write(table_bell, 1);
	pthread_cond_broadcast(&table_grown);
	pthread_mutex_unlock(&table_lock);
}

static void table_mark_swap(uint64_t dev)
{
	pthread_mutex_lock(&table_lock);
	table[dev].swap = true;
	pthread_mutex_unlock(&table_lock);
}

static bool table_is_swap(uint64_t dev)
{
	bool swap;

	pthread_mutex_lock(&table_lock);
	swap = dev < table_size && table[dev].swap;
	pthread_mutex_unlock(&table_lock);
	return swap;
}

/* The descriptor, waited for a while; -1. */
static int table_get(uint64_t dev)
{
	struct timespec until;
	int fd = -1, err = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	pthread_mutex_lock(&table_lock);
	while (!err && (dev >= table_size || table[dev].fd < 0))
		err = pthread_cond_timedwait(&table_grown, &table_lock, &until);
	if (dev < table_size)
		fd = table[dev].fd;
	pthread_mutex_unlock(&table_lock);
	return fd;
}

/*
 * F_SEAL_FUTURE_WRITE leaves the mappings that there are writable. Write-back of theirs is a write of
 * ours, which the seal would forbid: a mapping made before it does it.
 */
#define HOLD_BYTES (1ul << 40)

static int table_hold(uint64_t dev)
{
	int fd = table_get(dev), ret = -EPERM;

	pthread_mutex_lock(&table_lock);
	if (fd >= 0 && table[dev].writable && !table[dev].hold) {
		void *p = mmap(NULL, HOLD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			       fd, 0);

		table[dev].hold = p == MAP_FAILED ? NULL : p;
	}
	if (dev < table_size && table[dev].hold)
		ret = 0;
	pthread_mutex_unlock(&table_lock);
	return ret;
}

static void table_let(uint64_t dev)
{
	pthread_mutex_lock(&table_lock);
	if (dev < table_size && table[dev].hold) {
		munmap(table[dev].hold, HOLD_BYTES);
		table[dev].hold = NULL;
	}
	pthread_mutex_unlock(&table_lock);
}

static char *table_held(uint64_t dev)
{
	char *hold;

	pthread_mutex_lock(&table_lock);
	hold = dev < table_size ? table[dev].hold : NULL;
	pthread_mutex_unlock(&table_lock);
	return hold;
}

static void table_release(uint64_t dev)
{
	table_let(dev);
	pthread_mutex_lock(&table_lock);
	if (dev < table_size && table[dev].fd >= 0) {
		close(table[dev].fd);
		table[dev].fd = -1;
		table[dev].pipe = false;
		table[dev].swap = false;
	}
	pthread_mutex_unlock(&table_lock);
}

static void *receiver(void *arg)
{
	int sock = *(int *)arg;

	for (;;) {
		struct keeper_msg body;
		struct iovec iov = { &body, sizeof(body) };
		union {
			struct cmsghdr h;
			char space[CMSG_SPACE(sizeof(int))];
		} control;
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = &control,
				      .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
		struct cmsghdr *h = n == sizeof(body) ? CMSG_FIRSTHDR(&msg) : NULL;

		if (n == 0 || (n < 0 && errno != EINTR))
			return NULL;
		if (h && h->cmsg_type == SCM_RIGHTS) {
			int fd;

			memcpy(&fd, CMSG_DATA(h), sizeof(fd));
			table_set(body.dev, fd, body.writable, body.pipe);
			if (body.swap)
				table_mark_swap(body.dev);
		}
	}
}

/* ---- I/O --------------------------------------------------------------------------------- */

static char *frame(uint64_t pfn)
{
	return (char *)DIRECT_MAP_BASE + pfn * PAGE;
}

/* Reads past the end give zeros. */
static int slot_read(const struct keeper_slot *s, int fd)
{
	for (uint32_t i = 0; i < s->nr;) {
		struct iovec iov[KEEPER_REQ_PAGES];
		uint32_t n = 0;
		ssize_t got;
		size_t want;

		for (; i + n < s->nr; n++)
			iov[n] = (struct iovec){ frame(s->frame[i + n]), PAGE };
		want = n * PAGE;
		got = preadv(fd, iov, (int)n, (off_t)((s->index + i) * PAGE));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -EIO;
		if ((size_t)got < want && (size_t)got >= PAGE && (size_t)got % PAGE == 0) {
			i += (uint32_t)((size_t)got / PAGE); /* short, or the end: ask again */
			continue;
		}
		if ((size_t)got < want && table_is_swap(s->dev))
			return -EIO;
		for (size_t at = (size_t)got; at < want; at = (at / PAGE + 1) * PAGE)
			memset(frame(s->frame[i + at / PAGE]) + at % PAGE, 0, PAGE - at % PAGE);
		i += n;
	}
	return 0;
}

/* By the call, so that a file that somebody cuts meanwhile is an error and no signal. */
static ssize_t put_held(char *hold, const char *src, size_t len, off_t pos)
{
	struct iovec from = { (void *)src, len }, to = { hold + pos, len };

	return process_vm_writev(getpid(), &from, 1, &to, 1, 0);
}

static ssize_t put_bytes(uint64_t dev, int fd, const char *src, size_t len, off_t pos)
{
	ssize_t put = pwrite(fd, src, len, pos);
	char *hold;

	if (put >= 0 || errno != EPERM)
		return put;
	hold = table_held(dev);
	return hold && (unsigned long)pos + len <= HOLD_BYTES ? put_held(hold, src, len, pos) : put;
}

/* All of the request in one call, if that can be had. */
static bool write_run(const struct keeper_slot *s, int fd)
{
	struct iovec iov[KEEPER_REQ_PAGES];

	for (uint32_t i = 0; i < s->nr; i++)
		iov[i] = (struct iovec){ frame(s->frame[i]), PAGE };
	return pwritev(fd, iov, (int)s->nr, (off_t)(s->index * PAGE)) == (ssize_t)(s->nr * PAGE);
}

/* Never makes the file longer: its size is the guests' business, not that of the page cache. */
static int slot_write(struct keeper_slot *s, int fd)
{
	struct stat st;
	bool whole;

	if (fstat(fd, &st))
		return -EIO;
	whole = (s->index + s->nr) * PAGE <= (uint64_t)st.st_size;
	if (!whole && table_is_swap(s->dev))
		return -EIO;
	for (uint32_t i = whole && s->nr > 1 && write_run(s, fd) ? s->nr : 0; i < s->nr; i++) {
		off_t pos = (off_t)((s->index + i) * PAGE);
		size_t len = PAGE, done = 0;

		if (pos >= st.st_size)
			break;
		if ((off_t)len > st.st_size - pos)
			len = (size_t)(st.st_size - pos);
		while (done < len) {
			ssize_t put = put_bytes(s->dev, fd, frame(s->frame[i]) + done, len - done,
						pos + (off_t)done);

			if (put < 0 && errno != EINTR)
				return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
			if (put > 0)
				done += (size_t)put;
		}
	}
	if (!fstat(fd, &st)) {
		s->size = (uint64_t)st.st_size;
		s->ctime_ns =
			(uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
	}
	return 0;
}

static int pipe_peek(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return poll(&pfd, 1, 0) > 0 && pfd.revents & POLLERR ? -EPIPE : 0;
}

/* There is a byte in the pipe at most, so this does not wait. */
static int pipe_poke(int fd)
{
	return write(fd, "", 1) < 0 ? -errno : 0;
}

static int file_hole(const struct keeper_slot *s, int fd)
{
	off_t pos = (off_t)(s->index * PAGE), data = lseek(fd, pos, SEEK_DATA);

	return data < 0 ? errno == ENXIO : data >= pos + (off_t)PAGE;
}

static int file_punch(const struct keeper_slot *s, int fd)
{
	off_t pos = (off_t)(s->index * PAGE), len = (off_t)((s->frame[0] - s->index + 1) * PAGE);

	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos, len) ? -errno : 0;
}

static int slot_do(struct keeper_slot *s)
{
	int fd;

	if (s->op == KEEPER_RELEASE) {
		table_release(s->dev);
		return 0;
	}
	if (s->op == KEEPER_HOLD_WRITE)
		return table_hold(s->dev);
	if (s->op == KEEPER_LET_WRITE) {
		table_let(s->dev);
		return 0;
	}
	fd = table_get(s->dev);
	if (fd < 0)
		return -ENODEV;
	switch (s->op) {
	case KEEPER_READ:
		return slot_read(s, fd);
	case KEEPER_WRITE:
		return slot_write(s, fd);
	case KEEPER_POKE:
		return pipe_poke(fd);
	case KEEPER_PEEK:
		return pipe_peek(fd);
	case KEEPER_HOLE:
		return file_hole(s, fd);
	case KEEPER_PUNCH:
		return file_punch(s, fd);
	default:
		return fsync(fd) ? -EIO : 0;
	}
}

static void *worker(void *unused)
{
	(void)unused;
	for (;;) {
		uint32_t seq = __atomic_load_n(&shared->keeper_seq, __ATOMIC_SEQ_CST);
		bool any = false;

		for (unsigned int i = 0; i < KEEPER_SLOTS; i++) {
			struct keeper_slot *s = &shared->slot[i];
			uint32_t ready = SLOT_READY;

			if (!__atomic_compare_exchange_n(&s->state, &ready, SLOT_RUNNING, false,
							 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				continue;
			any = true;
			s->result = slot_do(s);
			__atomic_store_n(&s->state, SLOT_DONE, __ATOMIC_SEQ_CST);
			futex(&s->state, FUTEX_WAKE, 1);
		}
		if (!any)
			futex(&shared->keeper_seq, FUTEX_WAIT, seq);
	}
	return NULL;
}

/* ---- Pipes --------------------------------------------------------------------------------- */

/* The pipes that have readers, as far as known, after the bell: pfd[i] is of dev[i]. How many in all. */
static size_t list_pipes(struct pollfd **pfd, uint64_t **dev)
{
	size_t n = 1;

	pthread_mutex_lock(&table_lock);
	*pfd = calloc(table_size + 1, sizeof(**pfd));
	*dev = calloc(table_size + 1, sizeof(**dev));
	if (!*pfd || !*dev)
		abort();
	(*pfd)[0] = (struct pollfd){ .fd = table_bell, .events = POLLIN };
	for (size_t i = 0; i < table_size; i++)
		if (table[i].pipe) {
			(*pfd)[n].fd = table[i].fd;
			(*dev)[n++] = i;
		}
	pthread_mutex_unlock(&table_lock);
	return n;
}

/* True: the kernel has not been told yet. */
static bool pipe_is_over(uint64_t dev)
{
	bool first;

	pthread_mutex_lock(&table_lock);
	first = table[dev].pipe && pipe_peek(table[dev].fd);
	if (first)
		table[dev].pipe = false;
	pthread_mutex_unlock(&table_lock);
	return first;
}

static void *hangup(void *entry)
{
	const struct kernel_entry *kernel = entry;

	for (;;) {
		struct pollfd *pfd;
		uint64_t *dev;
		size_t n = list_pipes(&pfd, &dev);
		eventfd_t ignored;

		if (poll(pfd, n, -1) > 0) {
			if (pfd[0].revents)
				eventfd_read(table_bell, &ignored);
			for (size_t i = 1; i < n; i++)
				if (pfd[i].revents && pipe_is_over(dev[i]))
					kernel->hangup((void *)dev[i]);
		}
		free(pfd);
		free(dev);
	}
	return NULL;
}

static void *background_reclaim(void *entry)
{
	const struct kernel_entry *kernel = entry;

	kernel->kswapd(NULL);
	return NULL;
}

static void *watch(void *entry)
{
	const struct kernel_entry *kernel = entry;

	for (;;) {
		uint32_t seq = __atomic_load_n(&shared->watch_seq, __ATOMIC_SEQ_CST);
		struct timespec patience = { 0, WATCH_NS };

		if (!__atomic_load_n(&shared->panicked, __ATOMIC_SEQ_CST))
			kernel->watch(NULL);
		syscall(SYS_futex, &shared->watch_seq, FUTEX_WAIT, seq, &patience, NULL, 0);
	}
	return NULL;
}

static void *tracer(void *machine)
{
	const struct machine *m = machine;

	trace_error = m->opt->references ? references_drain(shared, trace_path, m->start_ns)
					 : trace_drain(shared, trace_path);
	return NULL;
}

/* ---- The process ------------------------------------------------------------------------- */

static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	if (pthread_create(thread, NULL, fn, arg)) {
		complain("the keeper cannot start a thread");
		_exit(EXIT_QUIRE);
	}
}

static void *killer(void *entry)
{
	const struct kernel_entry *kernel = entry;

	/* Takes a virtual CPU, which a guest that is stuck may never give back. */
	for (;;) {
		kernel->kill_guests(NULL);
		usleep(10000);
	}
	return NULL;
}

/*
 * The command was killed, or the kernel panicked: no guest may go on. Politely at first, so that what was
 * written to mappings reaches the files.
 */
static void kill_all(const struct machine *m)
{
	pthread_t thread;

	if (!shared->panicked) {
		start(&thread, killer, (void *)(uintptr_t)m->entry);
		for (int i = 0; i < 50 && __atomic_load_n(&shared->nr_tasks, __ATOMIC_SEQ_CST); i++)
			usleep(10000);
	}
	guests_kill(shared);
}

void keeper_main(struct machine *m, int sock)
{
	bool sampling = m->samples || m->opt->progress;
	pthread_t thread, trace_thread = 0, sample_thread = 0;
	void *sample_error = NULL;
	struct rlimit lim;
	sigset_t set;
	int sig;

	shared = m->shared;
	trace_path = m->opt->references ? m->opt->references : m->opt->trace;
	setpgid(0, 0);
	prctl(PR_SET_NAME, "quire-keeper");
	if (!getrlimit(RLIMIT_NOFILE, &lim)) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	close(shared->params.keeper_fd); /* the guests' end */
	signal(SIGPIPE, SIG_IGN);
	table_bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (table_bell < 0) {
		complain("the keeper has no descriptors left");
		_exit(EXIT_QUIRE);
	}
	for (unsigned int i = 0; i < m->opt->nr_swaps; i++) {
		/* The first descriptor holds the lock on the file. */
		table_set(i + 1, dup(m->swap_fd[i]), true, false);
		table_mark_swap(i + 1);
	}
	start(&thread, receiver, &sock);
	for (int i = 0; i < NR_WORKERS; i++)
		start(&thread, worker, NULL);
	start(&thread, watch, (void *)(uintptr_t)m->entry);
	start(&thread, hangup, (void *)(uintptr_t)m->entry);
	start(&thread, background_reclaim, (void *)(uintptr_t)m->entry);
	if (trace_path)
		start(&trace_thread, tracer, m);
	if (m->opt->references)
		start(&thread, references_pace, m);
	if (sampling) {
		samples_init();
		start(&sample_thread, samples_run, m);
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == shared->params.command_pid)
		while (sigwait(&set, &sig))
			;
	if (!__atomic_load_n(&shared->keeper_stop, __ATOMIC_SEQ_CST))
		kill_all(m);
	if (trace_path) {
		__atomic_store_n(&shared->keeper_stop, 1, __ATOMIC_SEQ_CST);
		if (shared->trace)
			futex(&shared->trace->wake, FUTEX_WAKE, 1);
		pthread_join(trace_thread, NULL);
	}
	if (sampling) {
		samples_end();
		pthread_join(sample_thread, &sample_error);
	}
	if (trace_error)
		complain("--%s %s: %s", m->opt->references ? "references" : "trace", trace_path,
			 strerror(trace_error));
	_exit(trace_error || sample_error);
}
