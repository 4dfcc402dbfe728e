/* SPDX-License-Identifier: MIT */
/* userfaultfd: faults that a monitor resolves, by thread and by process; events; descriptors; errors. */
#include "guest.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#define PAGES 8

static char *area; /* PAGES of them, registered */

static const char *err(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "ok";
}

static int uffd_open(int flags)
{
	return (int)syscall(SYS_userfaultfd, flags);
}

static int uffd_new(int flags, unsigned long long features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = MUST(uffd_open(flags));

	MUST(ioctl(fd, UFFDIO_API, &api));
	return fd;
}

static long reg(int fd, char *at, size_t len, unsigned long long mode)
{
	struct uffdio_register r = { .range = { (unsigned long)at, len }, .mode = mode };

	return ioctl(fd, UFFDIO_REGISTER, &r);
}

static long unreg(int fd, char *at, size_t len)
{
	struct uffdio_range r = { (unsigned long)at, len };

	return ioctl(fd, UFFDIO_UNREGISTER, &r);
}

static long wake(int fd, char *at, size_t len)
{
	struct uffdio_range r = { (unsigned long)at, len };

	return ioctl(fd, UFFDIO_WAKE, &r);
}

/* What was copied, or what stands there after an error. */
static long copied;

static long copy(int fd, char *at, const char *src, size_t len, unsigned long long mode)
{
	struct uffdio_copy c = { .dst = (unsigned long)at,
				 .src = (unsigned long)src,
				 .len = len,
				 .mode = mode,
				 .copy = 77 };
	long ret = ioctl(fd, UFFDIO_COPY, &c);

	copied = c.copy;
	return ret;
}

static long zero(int fd, char *at, size_t len)
{
	struct uffdio_zeropage z = { .range = { (unsigned long)at, len }, .zeropage = 77 };
	long ret = ioctl(fd, UFFDIO_ZEROPAGE, &z);

	copied = z.zeropage;
	return ret;
}

static long protect(int fd, char *at, size_t len, bool on)
{
	struct uffdio_writeprotect w = { .range = { (unsigned long)at, len },
					 .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };

	return ioctl(fd, UFFDIO_WRITEPROTECT, &w);
}

static long cont(int fd, char *at, size_t len)
{
	struct uffdio_continue c = { .range = { (unsigned long)at, len } };

	return ioctl(fd, UFFDIO_CONTINUE, &c);
}

/* Lines of /proc/self/maps within the area. */
static int vmas(char *at, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start < (unsigned long)at + len &&
		    end > (unsigned long)at)
			n++;
	if (f)
		fclose(f);
	return n;
}

/* ---- A monitor ---------------------------------------------------------------------------- */

struct monitor {
	int fd, stop[2];
	pthread_t thread;
	char *base, *page; /* offsets are told from base; page: what missing pages get */
	bool zero, quiet;
	int nr;
	char text[2048];
};

static void note(struct monitor *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void note(struct monitor *m, const char *fmt, ...)
{
	size_t len = strlen(m->text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(m->text + len, sizeof(m->text) - len, fmt, args);
	va_end(args);
}

static void on_pagefault(struct monitor *m, const struct uffd_msg *msg)
{
	char *at = (char *)(msg->arg.pagefault.address & ~(PAGE - 1));
	char *base = at >= m->base && at < m->base + PAGES * PAGE ? m->base : area;

	m->nr++;
	if (!m->quiet)
		note(m, " fault %ld/%lld", (long)(at - base) / (long)PAGE,
		     (long long)msg->arg.pagefault.flags);
	if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
		protect(m->fd, at, PAGE, false);
	else if (msg->arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_MINOR)
		cont(m->fd, at, PAGE);
	else if (!m->zero) {
		/* Without memory at the first try (--fail) there may be some at the next. */
		while (copy(m->fd, at, m->page, PAGE, 0) && errno == ENOMEM)
			;
		if (copied == -EEXIST)
			wake(m->fd, at, PAGE);
	} else
		while (zero(m->fd, at, PAGE) && errno == ENOMEM)
			;
}

static void on_message(struct monitor *m, const struct uffd_msg *msg)
{
	switch (msg->event) {
	case UFFD_EVENT_PAGEFAULT:
		on_pagefault(m, msg);
		break;
	case UFFD_EVENT_FORK:
		note(m, " fork %d", (int)msg->arg.fork.ufd >= 0);
		close((int)msg->arg.fork.ufd);
		break;
	case UFFD_EVENT_REMAP:
		note(m, " remap %ld len %lld", (long)(msg->arg.remap.from - (unsigned long)m->base),
		     (long long)msg->arg.remap.len);
		break;
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		note(m, " %s %ld-%ld", msg->event == UFFD_EVENT_REMOVE ? "remove" : "unmap",
		     (long)(msg->arg.remove.start - (unsigned long)m->base),
		     (long)(msg->arg.remove.end - (unsigned long)m->base));
		break;
	default:
		note(m, " event %d?", msg->event);
	}
}

static void *monitor_thread(void *arg)
{
	struct monitor *m = arg;
	struct pollfd p[2] = { { .fd = m->fd, .events = POLLIN },
			       { .fd = m->stop[0], .events = POLLIN } };
	struct uffd_msg msg;

	for (;;) {
		poll(p, 2, -1);
		if (p[0].revents & POLLIN && read(m->fd, &msg, sizeof(msg)) == sizeof(msg)) {
			on_message(m, &msg);
			continue;
		}
		if (p[1].revents)
			return NULL;
	}
}

static void monitor_start(struct monitor *m, int fd, char *base)
{
	*m = (struct monitor){ .fd = fd, .base = base, .page = map_anon(PAGE, MAP_PRIVATE) };
	memset(m->page, 'm', PAGE);
	MUST(pipe2(m->stop, O_CLOEXEC));
	MUST(pthread_create(&m->thread, NULL, monitor_thread, m));
}

static void monitor_stop(struct monitor *m)
{
	MUST(write(m->stop[1], "", 1));
	pthread_join(m->thread, NULL);
	close(m->stop[0]);
	close(m->stop[1]);
	munmap(m->page, PAGE);
}

/* ---- The tests ---------------------------------------------------------------------------- */

static void errors(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = 1ull << 40 };
	struct uffdio_register r = { .range = { (unsigned long)area, PAGE } };
	int fd, other;
	char c[64];

	printf("flags: %s\n", err(uffd_open(0x100)));
	fd = MUST(uffd_open(O_CLOEXEC | O_NONBLOCK));
	printf("descriptor: cloexec %d nonblock %d\n", fcntl(fd, F_GETFD) & FD_CLOEXEC,
	       !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	printf("before api: register %s", err(reg(fd, area, PAGE, UFFDIO_REGISTER_MODE_MISSING)));
	printf(", read %s", err(read(fd, c, 1)));
	printf(", unknown feature %s", err(ioctl(fd, UFFDIO_API, &api)));
	printf(" %llx", (unsigned long long)api.features);
	api = (struct uffdio_api){ .api = 1 };
	printf(", wrong api %s", err(ioctl(fd, UFFDIO_API, &api)));
	api = (struct uffdio_api){ .api = UFFD_API };
	printf(", api %s", err(ioctl(fd, UFFDIO_API, &api)));
	printf(" missing %d", !!(api.features & UFFD_FEATURE_MISSING_SHMEM));
	api = (struct uffdio_api){ .api = UFFD_API };
	printf(", again %s\n", err(ioctl(fd, UFFDIO_API, &api)));
	printf("bad pointer: api %s", err(ioctl(fd, UFFDIO_API, NULL)));
	printf(", register %s\n", err(ioctl(fd, UFFDIO_REGISTER, (void *)8)));

	printf("register: mode 0 %s", err(reg(fd, area, PAGE, 0)));
	printf(", mode 8 %s", err(reg(fd, area, PAGE, 8)));
	printf(", unaligned %s", err(reg(fd, area + 1, PAGE, UFFDIO_REGISTER_MODE_MISSING)));
	printf(", no length %s", err(reg(fd, area, 0, UFFDIO_REGISTER_MODE_MISSING)));
	printf(", low %s", err(reg(fd, NULL, PAGE, UFFDIO_REGISTER_MODE_MISSING)));
	printf(", high %s", err(reg(fd, (char *)-PAGE, PAGE, UFFDIO_REGISTER_MODE_MISSING)));
	printf(", minor private %s", err(reg(fd, area, PAGE, UFFDIO_REGISTER_MODE_MINOR)));
	printf(", text %s\n", err(reg(fd, (char *)((unsigned long)errors & ~(PAGE - 1)), PAGE,
				      UFFDIO_REGISTER_MODE_MISSING)));
	r.mode = UFFDIO_REGISTER_MODE_MISSING;
	printf("register: %s", err(ioctl(fd, UFFDIO_REGISTER, &r)));
	printf(", wake %d copy %d zero %d protect %d continue %d", !!(r.ioctls & 1 << _UFFDIO_WAKE),
	       !!(r.ioctls & 1 << _UFFDIO_COPY), !!(r.ioctls & 1 << _UFFDIO_ZEROPAGE),
	       !!(r.ioctls & 1 << _UFFDIO_WRITEPROTECT), !!(r.ioctls & 1 << _UFFDIO_CONTINUE));
	printf(", VMAs %d", vmas(area, PAGES * PAGE));
	other = uffd_new(0, 0);
	printf(", by another %s", err(reg(other, area, PAGE, UFFDIO_REGISTER_MODE_MISSING)));
	printf(", unregister by another %s\n", err(unreg(other, area, PAGE)));
	close(other);
	printf("read: nothing %s", err(read(fd, c, sizeof(struct uffd_msg))));
	printf(", short %s", err(read(fd, c, 1)));
	printf(", write %s\n", err(write(fd, c, 1)));
	printf("copy: elsewhere %s", err(copy(fd, area + PAGE, area, PAGE, 0)));
	printf(" %ld", copied);
	printf(", mode %s", err(copy(fd, area, area + PAGE, PAGE, 8)));
	printf(", protected %s", err(copy(fd, area, area + PAGE, PAGE, UFFDIO_COPY_MODE_WP)));
	printf(", from nowhere %s", err(copy(fd, area, (char *)0x100000, PAGE, 0)));
	printf(", %ld", copied);
	printf(", from unaligned %s", err(copy(fd, area, area + PAGE + 9, PAGE, 0)));
	printf(" %ld", copied);
	printf(", again %s", err(copy(fd, area, area + PAGE, PAGE, 0)));
	printf(" %ld", copied);
	printf(", unknown ioctl %s\n", err(ioctl(fd, _IOWR(UFFDIO, 0x30, long), c)));
	printf("protect: not registered so %s", err(protect(fd, area, PAGE, true)));
	printf(", continue %s\n", err(cont(fd, area, PAGE)));
	printf("unregister: %s", err(unreg(fd, area, PAGES * PAGE)));
	printf(", VMAs %d, again %s\n", vmas(area, PAGES * PAGE), err(unreg(fd, area, PAGE)));
	close(fd);
	memset(area, 1, PAGES * PAGE);
	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
}

static void missing(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, 0), p[2];
	struct monitor m;
	char buf[2 * PAGE];

	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	monitor_start(&m, fd, area);
	printf("missing: read %c", area[5]);
	area[PAGE + 7] = 'w';
	printf(", written %c%c", area[PAGE + 7], area[PAGE + 8]);
	m.zero = true;
	printf(", zero %d", area[2 * PAGE]);
	area[2 * PAGE] = 'z';
	printf("%c", area[2 * PAGE]);
	area[3 * PAGE] = 'y';
	m.zero = false;
	MUST(pipe(p));
	MUST(write(p[1], "pipe", 4));
	printf(", read() %ld", (long)read(p[0], area + 4 * PAGE + 2, 4));
	printf(" %.7s", area + 4 * PAGE);
	printf(", write() %ld", (long)write(p[1], area + 5 * PAGE - 2, 4));
	printf(" read() %ld", (long)read(p[0], buf, sizeof(buf)));
	printf(" %.4s\n", buf);
	monitor_stop(&m);
	printf("faults:%s\n", m.text);
	close(p[0]);
	close(p[1]);
	close(fd);
	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	printf("after close: %d, VMAs %d\n", area[0] + area[6 * PAGE], vmas(area, PAGES * PAGE));
}

/* A regular file is read into pinned pages. */
static void file_read(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, 0),
	    file = MUST(open("file", O_RDWR | O_CREAT, 0600));
	struct monitor m;
	char buf[3 * PAGE];
	long n;

	memset(buf, 'f', sizeof(buf));
	MUST(write(file, buf, sizeof(buf)));
	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	monitor_start(&m, fd, area);
	n = pread(file, area + 10, 2 * PAGE, 0);
	printf("file: read %ld %c%c%c", n, area[9], area[10], area[2 * PAGE + 9]);
	n = pwrite(file, area + 3 * PAGE, 2 * PAGE, 0);
	printf(", write %ld", n);
	MUST(pread(file, buf, 10, 0));
	printf(" %.3s\n", buf);
	monitor_stop(&m);
	printf("faults: %d\n", m.nr);
	close(file);
	unlink("file");
	close(fd);
}

static void user_mode_only(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY, 0), p[2];
	struct monitor m;

	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	monitor_start(&m, fd, area);
	MUST(pipe(p));
	MUST(write(p[1], "pipe", 4));
	printf("user mode only: read() %s", err(read(p[0], area, 4)));
	printf(", uname() %s", err(syscall(SYS_uname, area + PAGE)));
	printf(", access %c\n", area[0]);
	monitor_stop(&m);
	close(p[0]);
	close(p[1]);
	close(fd);
}

static void write_protect(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	struct monitor m;
	char src[PAGE];
	int p[2];
	pid_t pid;

	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	memset(area, 'a', 4 * PAGE);
	MUST(madvise(area + 4 * PAGE, 4 * PAGE, MADV_DONTNEED));
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_WP));
	printf("protect: %s", err(protect(fd, area, 4 * PAGE, true)));
	memset(src, 's', PAGE);
	printf(", copy %s", err(copy(fd, area + 4 * PAGE, src, PAGE, UFFDIO_COPY_MODE_WP)));
	printf(", read %c%c\n", area[0], area[4 * PAGE]);
	monitor_start(&m, fd, area);
	area[0] = 'b';
	area[4 * PAGE] = 'c';
	MUST(pipe(p));
	MUST(write(p[1], "k", 1));
	printf("protect: kernel's write %s", err(read(p[0], area + PAGE, 1)));
	printf(" %c%c%c\n", area[0], area[PAGE], area[4 * PAGE]);
	pid = split();
	if (!pid) {
		area[2 * PAGE] = 'd'; /* the child's own */
		_exit(area[2 * PAGE]);
	}
	printf("protect: child %d, parent %c\n", exited(wait_for(pid), 'd'), area[2 * PAGE]);
	area[2 * PAGE] = 'e';
	mprotect(area, PAGES * PAGE, PROT_READ);
	mprotect(area, PAGES * PAGE, PROT_READ | PROT_WRITE);
	area[3 * PAGE] = 'f';
	area[2 * PAGE] = 'g';
	printf("protect: after mprotect %c%c\n", area[2 * PAGE], area[3 * PAGE]);
	MUST(protect(fd, area, PAGE, true));
	MUST(unreg(fd, area, PAGES * PAGE));
	area[0] = 'h'; /* no fault of the monitor's */
	monitor_stop(&m);
	printf("faults:%s\n", m.text);
	close(p[0]);
	close(p[1]);
	close(fd);
}

static void shared(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK,
			  UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM);
	char *a = map_anon(PAGES * PAGE, MAP_SHARED), *b;
	struct monitor m;

	b = MUST(mremap(a, 0, PAGES * PAGE, MREMAP_MAYMOVE)); /* the same object */
	MUST(reg(fd, a, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR));
	monitor_start(&m, fd, a);
	b[0] = 'b';
	printf("shared: minor %c", a[0]);
	printf(", missing %c", a[PAGE]);
	a[PAGE] = 'a';
	printf("%c", b[PAGE]);
	m.zero = true;
	printf(", zero %d", a[2 * PAGE]);
	MUST(madvise(a, PAGES * PAGE, MADV_DONTNEED)); /* the entries go, not the pages */
	printf(", again %c%c", a[0], a[PAGE]);
	MUST(madvise(b, PAGES * PAGE, MADV_REMOVE));
	printf(", removed %d\n", a[0]);
	printf("shared: continue nothing %s", err(cont(fd, a + 6 * PAGE, PAGE)));
	printf(", there %s", err(cont(fd, a, PAGE)));
	m.zero = false;
	b[3 * PAGE] = 'c';
	printf(", copy over %s\n", err(copy(fd, a + 3 * PAGE, a, PAGE, 0)));
	monitor_stop(&m);
	printf("faults:%s\n", m.text);
	close(fd);
	munmap(a, PAGES * PAGE);
	munmap(b, PAGES * PAGE);
}

static void sigbus(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, UFFD_FEATURE_SIGBUS);

	catch_faults(0);
	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	printf("SIGBUS: %d", TRY(area[PAGE + 5]++));
	printf(" %d %d %ld", fault_info.si_signo, fault_info.si_code,
	       (long)((char *)fault_info.si_addr - area));
	MUST(zero(fd, area + PAGE, PAGE));
	printf(", filled %d, uname() %s\n", TRY(area[PAGE + 5]++), err(syscall(SYS_uname, area)));
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	close(fd);
}

static void events(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK,
			  UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
				  UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP);
	char *a = map_anon(PAGES * PAGE, MAP_PRIVATE), *b;
	struct monitor m;
	pid_t pid;

	MUST(reg(fd, a, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	monitor_start(&m, fd, a);
	a[0] = 'a';
	pid = split();
	if (!pid) /* the monitor closes the child's descriptor: these are zeros */
		_exit(a[0] == 'a' && !a[PAGE]);
	printf("events: child %d\n", exited(wait_for(pid), 1));
	MUST(madvise(a, 2 * PAGE, MADV_DONTNEED));
	printf("events: after removal %c\n", a[0]);
	b = MUST(mremap(a, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, area));
	printf("events: moved %c", b[0]);
	printf("%c\n", b[PAGE]);
	munmap(a + 2 * PAGE, PAGE);
	MUST(mmap(a + 3 * PAGE, PAGE, PROT_READ, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, -1, 0));
	printf("events: mapped over %d\n", a[3 * PAGE]);
	munmap(a, PAGES * PAGE);
	monitor_stop(&m);
	printf("seen:%s\n", m.text);
	close(fd);
	area = MUST(mmap(area, PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, -1, 0));
}

/* Without the features a child, or a new place, is ordinary memory. */
static void without_events(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, 0);
	char *a = map_anon(2 * PAGE, MAP_PRIVATE), *b = map_anon(2 * PAGE, MAP_PRIVATE);
	pid_t pid;

	MUST(reg(fd, a, 2 * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	pid = split();
	if (!pid)
		_exit(a[0] + 3);
	printf("no events: child %d", exited(wait_for(pid), 3));
	b = MUST(mremap(a, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b));
	printf(", moved %d\n", b[0]);
	munmap(b, 2 * PAGE);
	close(fd);
}

static volatile int alarms;

static void on_alarm(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)si;
	(void)uc;
	alarms++;
}

static void *touch(void *at)
{
	return (void *)(long)*(volatile char *)at;
}

/* Descriptors are the host's: dup(), epoll, another process by a socket, blocking reads. */
static void descriptors(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, UFFD_FEATURE_THREAD_ID), ep = epoll_create1(0),
	    two;
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = 5 };
	struct uffd_msg msg[3];
	char src[PAGE];
	pthread_t t[2];
	void *res;

	memset(src, 'd', PAGE);
	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	two = dup(fd);
	close(fd);
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, two, &ev));
	printf("descriptor: epoll %d", epoll_wait(ep, &ev, 1, 0));
	MUST(pthread_create(&t[0], NULL, touch, area));
	printf(", fault %d %d", epoll_wait(ep, &ev, 1, 10000), ev.data.u32);
	MUST(pthread_create(&t[1], NULL, touch, area + PAGE));
	sleep_ms(100);
	printf(", read %ld", (long)read(two, msg, sizeof(msg)) / (long)sizeof(*msg));
	printf(", ids differ %d", msg[0].arg.pagefault.feat.ptid != msg[1].arg.pagefault.feat.ptid);
	printf(", epoll %d", epoll_wait(ep, &ev, 1, 0));
	MUST(copy(two, area, src, PAGE, UFFDIO_COPY_MODE_DONTWAKE));
	MUST(copy(two, area + PAGE, src, PAGE, 0));
	pthread_join(t[1], &res);
	printf(", woken %c", (char)(long)res);
	MUST(wake(two, area, PAGES * PAGE));
	pthread_join(t[0], &res);
	printf(" %c\n", (char)(long)res);
	fcntl(two, F_SETFL, 0);
	MUST(pthread_create(&t[0], NULL, touch, area + 2 * PAGE));
	printf("descriptor: blocking read %ld", (long)read(two, msg, sizeof(*msg)));
	MUST(copy(two, area + 2 * PAGE, src, PAGE, 0));
	pthread_join(t[0], &res);
	printf(" %c", (char)(long)res);
	handle(SIGALRM, on_alarm, 0);
	alarms = 0;
	ualarm(50000, 0);
	printf(", interrupted %s", err(read(two, msg, sizeof(*msg))));
	printf(" %d\n", alarms);
	close(two);
	close(ep);
}

static void send_fd(int sock, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} c = { 0 };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};

	c.h = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&c.h), &fd, sizeof(fd));
	MUST(sendmsg(sock, &msg, 0));
}

static int recv_fd(int sock)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} c;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)
	};
	int fd;

	MUST(recvmsg(sock, &msg, 0));
	memcpy(&fd, CMSG_DATA(&c.h), sizeof(fd));
	return fd;
}

/* A monitor in another process. It serves n faults and dies with the next one unanswered. */
static void other_monitor(int sock, int n)
{
	int fd = recv_fd(sock);
	struct uffd_msg msg;
	char src[PAGE];

	memset(src, 'o', PAGE);
	for (; n >= 0; n--) {
		MUST(read(fd, &msg, sizeof(msg)));
		if (n)
			MUST(copy(fd, (char *)(msg.arg.pagefault.address & ~(PAGE - 1)), src, PAGE,
				  0));
	}
	kill(getpid(), SIGKILL);
}

static void other_process(void)
{
	int fd, sock[2];
	pid_t pid;

	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = split();
	if (!pid)
		other_monitor(sock[1], 2);
	fd = uffd_new(O_CLOEXEC, 0);
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	send_fd(sock[0], fd);
	close(fd);
	close(sock[0]);
	close(sock[1]);
	printf("other process: %c", area[0]);
	printf("%c", area[PAGE]);
	printf(", dead %d", area[2 * PAGE]);
	printf(" %d\n", killed(wait_for(pid), SIGKILL));
	printf("other process: VMAs %d\n", vmas(area, PAGES * PAGE));
}

/* A handler runs while a fault waits; a kill ends it. */
static void signals(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, 0);
	struct uffd_msg msg;
	pthread_t t;
	pid_t pid;
	void *res;

	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	pid = split();
	if (!pid) {
		int own = uffd_new(0, 0);

		MUST(reg(own, area, PAGE, UFFDIO_REGISTER_MODE_MISSING));
		_exit(area[0]);
	}
	sleep_ms(100);
	kill(pid, SIGKILL);
	printf("signals: killed %d", killed(wait_for(pid), SIGKILL));
	pid = split();
	if (!pid) {
		int own = uffd_new(0, 0);

		MUST(reg(own, area, PAGE, UFFDIO_REGISTER_MODE_MISSING));
		syscall(SYS_uname, area);
		_exit(0);
	}
	sleep_ms(100);
	kill(pid, SIGKILL);
	printf(", in a call %d", killed(wait_for(pid), SIGKILL));
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
	alarms = 0;
	MUST(pthread_create(&t, NULL, touch, area));
	sleep_ms(50);
	pthread_kill(t, SIGALRM);
	for (int i = 0; i < 100 && !alarms; i++)
		sleep_ms(10);
	printf(", handler %d", alarms);
	while (read(fd, &msg, sizeof(msg)) < 0)
		sleep_ms(1);
	MUST(zero(fd, area, PAGE));
	pthread_join(t, &res);
	printf(", went on %ld\n", (long)res);
	close(fd);
}

/* A memfd is shared memory: its holes are missing pages, and what is written to it is there. */
static void memory_file(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK,
			  UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM);
	int file = MUST(memfd_create("memory", 0));
	struct monitor m;
	char *a, buf[4];

	MUST(ftruncate(file, PAGES * PAGE));
	MUST(pwrite(file, "file", 4, 2 * PAGE));
	a = MUST(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
	MUST(reg(fd, a, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR));
	monitor_start(&m, fd, a);
	printf("memfd: missing %c%c", a[0], a[PAGE]);
	printf(", written %.4s", a + 2 * PAGE);
	m.zero = true;
	printf(", zero %d", a[3 * PAGE]);
	MUST(pread(file, buf, 4, 0));
	printf(", read() %.4s", buf);
	MUST(madvise(a, PAGES * PAGE, MADV_REMOVE));
	printf(", removed %d", a[0]);
	MUST(pread(file, buf, 1, 2 * PAGE));
	printf(" %d\n", buf[0]);
	printf("memfd: copy over %s", err(copy(fd, a + 3 * PAGE, area, PAGE, 0)));
	printf(", continue nothing %s", err(cont(fd, a + 6 * PAGE, PAGE)));
	MUST(ftruncate(file, 4 * PAGE));
	printf(", beyond the end %s\n", err(copy(fd, a + 5 * PAGE, area, PAGE, 0)));
	monitor_stop(&m);
	printf("faults:%s\n", m.text);
	close(fd);
	close(file);
	munmap(a, PAGES * PAGE);
}

#ifdef UFFDIO_POISON
static long poison(int fd, char *at, size_t len)
{
	struct uffdio_poison p = { .range = { (unsigned long)at, len } };

	return ioctl(fd, UFFDIO_POISON, &p);
}
#else
static long poison(int fd, char *at, size_t len)
{
	struct uffdio_zeropage p = { .range = { (unsigned long)at, len } };

	return ioctl(fd, _IOWR(UFFDIO, 8, struct uffdio_zeropage), &p);
}
#endif

#define FEATURE_WP_SHMEM (1ull << 12)
#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_POISON (1ull << 14)
#define FEATURE_WP_ASYNC (1ull << 15)

/* Of pages that are not there: protection, and lost contents. */
static void absent(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK,
			  FEATURE_WP_SHMEM | FEATURE_WP_UNPOPULATED | FEATURE_POISON);
	char *a = map_anon(PAGES * PAGE, MAP_SHARED);
	struct monitor m;
	int p[2];

	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
	MUST(reg(fd, a, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
	a[0] = 'a';
	MUST(protect(fd, area, PAGES * PAGE, true));
	MUST(protect(fd, a, PAGES * PAGE, true));
	monitor_start(&m, fd, area);
	printf("absent: private %d", area[0]);
	area[0] = 'b';
	area[PAGE] = 'c';
	printf(" %c%c\nfaults:%s\n", area[0], area[PAGE], m.text);
	m.base = a;
	m.text[0] = 0;
	a[0] = 'd';
	a[PAGE] = 'e';
	MUST(madvise(a, 4 * PAGE, MADV_DONTNEED));
	a[0] = 'f';
	a[2 * PAGE] = 'g';
	MUST(madvise(a, 4 * PAGE, MADV_DONTNEED));
	printf("absent: shared %c%c%c\nfaults:%s\n", a[0], a[PAGE], a[2 * PAGE], m.text);
	MUST(protect(fd, a, PAGES * PAGE, false));
	m.text[0] = 0;
	a[3 * PAGE] = 'h';
	printf("absent: no more%s\n", m.text);
	catch_faults(0);
	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	printf("poison: %s", err(poison(fd, area, PAGE)));
	printf(", again %s", err(poison(fd, area, PAGE)));
	printf(", read %d", TRY(area[8]++));
	printf(" %d %ld", fault_info.si_signo, (long)((char *)fault_info.si_addr - area));
	MUST(pipe(p));
	printf(", write() %s", err(write(p[1], area, 1)));
	printf(", copy over %s", err(copy(fd, area, a, PAGE, 0)));
	printf(", gone %s", err(madvise(area, PAGE, MADV_DONTNEED)));
	printf(" %d\n", area[8]);
	monitor_stop(&m);
	close(p[0]);
	close(p[1]);
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	munmap(a, PAGES * PAGE);
	close(fd);
}

/* The kernel takes the protection away by itself. */
static void async(void)
{
	int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, FEATURE_WP_ASYNC);
	uint64_t entry[4];
	int map = MUST(open("/proc/self/pagemap", O_RDONLY));

	MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
	area[0] = 'a';
	area[PAGE] = 'b';
	MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_WP));
	MUST(protect(fd, area, PAGES * PAGE, true));
	area[PAGE] = 'c';
	area[2 * PAGE] = 'd';
	MUST(pread(map, entry, sizeof(entry), (off_t)((unsigned long)area / PAGE * 8)));
	printf("async: protected");
	for (int i = 0; i < 4; i++)
		printf(" %d", (int)(entry[i] >> 57 & 1));
	printf("\n");
	close(map);
	close(fd);
}

static bool host_is_new(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	return major > 6 || (major == 6 && minor >= 7);
}

/* Many threads at the same pages. */
static void *crowd(void *arg)
{
	for (int i = 0; i < PAGES; i++)
		if (*(volatile char *)(area + i * PAGE) != 'm')
			*(int *)arg = 1;
	return NULL;
}

static void storm(void)
{
	struct monitor m;
	pthread_t t[8];
	int bad = 0;

	for (int round = 0; round < 20; round++) {
		int fd = uffd_new(O_CLOEXEC | O_NONBLOCK, 0);

		MUST(madvise(area, PAGES * PAGE, MADV_DONTNEED));
		MUST(reg(fd, area, PAGES * PAGE, UFFDIO_REGISTER_MODE_MISSING));
		monitor_start(&m, fd, area);
		m.quiet = true;
		for (int i = 0; i < 8; i++)
			MUST(pthread_create(&t[i], NULL, crowd, &bad));
		for (int i = 0; i < 8; i++)
			pthread_join(t[i], NULL);
		monitor_stop(&m);
		close(fd);
	}
	printf("storm: %s\n", bad ? "wrong contents" : "ok");
}

int main(void)
{
	int fd = uffd_open(O_CLOEXEC);

	setlinebuf(stdout);
	if (fd < 0) {
		printf("userfaultfd: %s\n", err(fd));
		return 0;
	}
	close(fd);
	area = map_anon((PAGES + 2) * PAGE, MAP_PRIVATE);
	munmap(area, PAGE);
	munmap(area + (PAGES + 1) * PAGE, PAGE);
	area += PAGE;
	errors();
	missing();
	file_read();
	user_mode_only();
	write_protect();
	shared();
	sigbus();
	events();
	without_events();
	descriptors();
	other_process();
	signals();
	memory_file();
	if (host_is_new()) {
		absent();
		async();
	}
	storm();
	return 0;
}
