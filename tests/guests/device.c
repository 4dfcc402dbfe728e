/* SPDX-License-Identifier: MIT */
/*
 * Mappings that are not of files of pages: the ring of a packet socket, the buffer of a perf event, a
 * block device, /dev/zero. What may not be had here is left out, on the host as well.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <net/ethernet.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define RING_PAGES 8UL
#define POKE(place) (*(volatile char *)&(place) = 1)

extern char **environ;

static void zero_device(void)
{
	int fd = MUST(open("/dev/zero", O_RDWR));
	char *priv = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	char *shared = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	char *other = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	pid_t pid = split();

	if (!pid) {
		priv[0] = shared[PAGE] = 7;
		_exit(0);
	}
	wait_for(pid);
	CHECK(!priv[0] && shared[PAGE] == 7 && !other[PAGE], "/dev/zero private and shared");
	close(fd);
}

static const char *map_error(const char *path, int flags)
{
	int fd = open(path, O_RDONLY);
	void *p;

	if (fd < 0)
		return "not there";
	p = mmap(NULL, PAGE, PROT_READ, flags, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return strerror(errno);
	munmap(p, PAGE);
	return "mapped";
}

static void unmappable(void)
{
	static const char *const paths[] = { "/dev/null", "/dev/full",	       "/dev/urandom",
					     "/dev/ptmx", "/dev/fuse",	       "/dev/kvm",
					     "/tmp",	  "/sys/kernel/notes", "/proc/version" };
	int fds[2];

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		printf("%s: %s, %s\n", paths[i], map_error(paths[i], MAP_SHARED),
		       map_error(paths[i], MAP_PRIVATE));
	MUST(pipe(fds));
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[0], 0) == MAP_FAILED && errno == ENODEV,
	      "a pipe cannot be mapped");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fds[0], 0) == MAP_FAILED && errno == ENODEV,
	      "a socket cannot be mapped");
}

static void block_device(void)
{
	int fd = open("/dev/loop0", O_RDONLY);
	volatile char *p;

	if (fd < 0)
		return;
	p = MUST(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
	if (lseek(fd, 0, SEEK_END) == 0)
		CHECK(FAULTED((void)p[5], SIGBUS, BUS_ADRERR, p + 5), "an empty block device");
	munmap((void *)p, PAGE);
	close(fd);
}

/* ---- The ring of a packet socket ---------------------------------------------------------- */

static char *map_ring(void)
{
	struct tpacket_req req = { PAGE, RING_PAGES, PAGE, RING_PAGES };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	char *p;

	if (fd < 0)
		return NULL;
	MUST(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof(req)));
	p = MUST(mmap(NULL, RING_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	close(fd);
	return p;
}

/* Whether each page of the ring holds its number. */
static bool numbered(const char *p, unsigned long from, unsigned long to)
{
	for (; from < to; from++)
		if (p[from * PAGE + 100] != (char)(from + 1))
			return false;
	return true;
}

static bool shown_in_maps(const char *p)
{
	char line[512], want[64];
	FILE *f = fopen("/proc/self/maps", "r");
	bool found = false;

	snprintf(want, sizeof(want), "%lx-%lx rw-s 00000000", (unsigned long)p,
		 (unsigned long)p + RING_PAGES * PAGE);
	while (f && fgets(line, sizeof(line), f))
		found |= !strncmp(line, want, strlen(want)) && strstr(line, "socket:[");
	if (f)
		fclose(f);
	return found;
}

static void ring_io(char *p)
{
	char buf[RING_PAGES * PAGE], word[8] = "abcdefg";
	int fd = MUST(memfd_create("copy", 0)), fds[2];
	const size_t len = sizeof(buf);

	MUST(pipe(fds));
	CHECK(write(fds[1], p + 96, 8) == 8 && read(fds[0], buf, 8) == 8 &&
		      numbered(buf - 96, 0, 1),
	      "write from a ring");
	CHECK(write(fds[1], word, 8) == 8 && read(fds[0], p + PAGE - 4, 8) == 8 &&
		      !memcmp(p + PAGE - 4, word, 8),
	      "read into a ring");
	CHECK(write(fd, p, len) == (ssize_t)len && pread(fd, buf, len, 0) == (ssize_t)len &&
		      numbered(buf, 0, RING_PAGES),
	      "write all of a ring");
	memset(p, 0, len);
	CHECK(pread(fd, p, len, 0) == (ssize_t)len && numbered(p, 0, RING_PAGES),
	      "read all of a ring");
	close(fd);
}

static void ring_fork(char *p)
{
	pid_t pid = split();

	if (!pid) {
		p[200] = 9;
		_exit(!numbered(p, 0, RING_PAGES));
	}
	CHECK(exited(wait_for(pid), 0) && p[200] == 9, "a child shares a ring");
	MUST(madvise(p + PAGE, PAGE, MADV_DONTFORK));
	pid = split();
	if (!pid)
		_exit(numbered(p, 0, 1) && numbered(p, 2, RING_PAGES) &&
				      FAULTED(POKE(p[PAGE]), SIGSEGV, SEGV_MAPERR, p + PAGE)
			      ? 0
			      : 1);
	CHECK(exited(wait_for(pid), 0), "a child without a page of a ring");
	CHECK(numbered(p, 0, RING_PAGES), "the parent's ring");
}

/* A vfork child that changes so many mappings that its parent has to drop them all. */
static void ring_vfork(char *p)
{
	char *argv[] = { "true", NULL };
	volatile pid_t pid;
	int st;

	fflush(stdout);
	pid = vfork();
	if (!pid) {
		for (int i = 0; i < 200; i++) {
			char *q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			*q = 1;
			munmap(q, PAGE);
		}
		_exit(!numbered(p, 0, RING_PAGES));
	}
	CHECK(exited(wait_for(pid), 0) && numbered(p, 0, RING_PAGES), "a ring and a vfork");
	CHECK(!posix_spawnp((pid_t *)&pid, "true", NULL, NULL, argv, environ) &&
		      waitpid(pid, &st, 0) == pid && exited(st, 0) && numbered(p, 0, RING_PAGES),
	      "a ring and a spawn");
}

static void ring_change(char *p)
{
	char *q = map_anon((RING_PAGES + 2) * PAGE, MAP_PRIVATE);

	MUST(mprotect(p + 2 * PAGE, PAGE, PROT_READ));
	CHECK(FAULTED(POKE(p[2 * PAGE]), SIGSEGV, SEGV_ACCERR, p + 2 * PAGE) &&
		      numbered(p, 0, RING_PAGES),
	      "a read-only page of a ring");
	MUST(mprotect(p + 2 * PAGE, PAGE, PROT_NONE));
	CHECK(FAULTED((void)*(volatile char *)(p + 2 * PAGE), SIGSEGV, SEGV_ACCERR, p + 2 * PAGE),
	      "an inaccessible page of a ring");
	MUST(mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE));
	CHECK(TRY(POKE(p[2 * PAGE])) && numbered(p, 0, RING_PAGES), "a ring made writable again");
	CHECK(madvise(p, PAGE, MADV_DONTFORK) == 0, "advice on a ring");
	MUST(munmap(p + PAGE, PAGE));
	CHECK(FAULTED(POKE(p[PAGE]), SIGSEGV, SEGV_MAPERR, p + PAGE) && numbered(p, 0, 1) &&
		      numbered(p, 2, RING_PAGES),
	      "a page of a ring unmapped");
	CHECK(mremap(p + 2 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + PAGE) ==
			      q + PAGE &&
		      numbered(q - PAGE, 2, 6) &&
		      FAULTED(POKE(p[3 * PAGE]), SIGSEGV, SEGV_MAPERR, p + 3 * PAGE),
	      "a part of a ring moved");
	CHECK(TRY((POKE(q[0]), POKE(q[5 * PAGE]))), "what lies around it");
	MUST(mmap(q, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0));
	CHECK(!q[0] && !q[PAGE + 100] && !q[2 * PAGE] && numbered(q - PAGE, 4, 6),
	      "memory mapped over a ring");
}

static void packet_ring(void)
{
	char *p = map_ring();

	if (!p)
		return;
	for (unsigned long i = 0; i < RING_PAGES; i++)
		p[i * PAGE + 100] = (char)(i + 1);
	CHECK(shown_in_maps(p), "a ring is in maps");
	ring_io(p);
	ring_fork(p);
	ring_vfork(p);
	ring_change(p);
}

/* ---- A perf event ---------------------------------------------------------------------------- */

static void perf_event(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_CPU_CLOCK,
					.sample_period = 100000,
					.sample_type = PERF_SAMPLE_IP,
					.exclude_kernel = 1 };
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	volatile struct perf_event_mmap_page *p;
	struct iovec local = { &attr, 8 }, there;
	uint64_t count = 0;
	double end;
	pid_t pid;

	if (fd < 0)
		return;
	p = MUST(mmap(NULL, 9 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	for (end = now() + 1; !p->data_head && now() < end;)
		;
	CHECK(p->data_size == 8 * PAGE && p->data_head > 0, "samples in a perf buffer");
	CHECK(read(fd, &count, 8) == 8 && count > 0, "a perf counter");
	there = (struct iovec){ (void *)p, 8 };
	CHECK(process_vm_readv(getpid(), &local, 1, &there, 1, 0) == -1 && errno == EFAULT,
	      "a perf buffer from outside");
	pid = split();
	if (!pid)
		_exit(!FAULTED((void)p->version, SIGSEGV, SEGV_MAPERR, &p->version));
	CHECK(exited(wait_for(pid), 0), "no perf buffer for a child");
	CHECK(mremap((void *)p, 9 * PAGE, 10 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED &&
		      errno == EFAULT,
	      "a perf buffer does not grow");
	CHECK(!munmap((void *)p, 9 * PAGE) &&
		      FAULTED((void)p->version, SIGSEGV, SEGV_MAPERR, &p->version),
	      "a perf buffer unmapped");
	CHECK(mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL,
	      "a perf buffer is not private");
	attr.size = 0x1001;
	CHECK(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) == -1 && errno == E2BIG &&
		      attr.size >= 64 && attr.size < 4096,
	      "a perf event of the wrong size");
	close(fd);
}

int main(void)
{
	catch_faults(0);
	zero_device();
	unmappable();
	block_device();
	packet_ring();
	perf_event();
	return failures;
}
