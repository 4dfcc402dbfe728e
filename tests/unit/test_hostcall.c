/* SPDX-License-Identifier: MIT */
/*
 * System calls through machine/native/hostcall.c give what they give directly: result, errno and
 * memory. "Guest memory" here is this process's own, reached with process_vm_readv(), so that an
 * address that is not there is an error and no fault. Each call, its arguments drawn from a seed, runs
 * once so and once so, in two children that begin alike.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../machine/native/hostmem.h"

pid_t waitpid(pid_t pid, int *status, int options); /* its header has names of ours */

/* ---- What the files under test need of the kernel ---------------------------------------- */

int native_fd_floor = 500;
struct kernel_shared kernel_shared;
unsigned long mmap_min_addr = 65536;
unsigned long page_offset_base;
struct page *mem_map;

static size_t vm_copy(void *kernel, unsigned long user, size_t n, bool out)
{
	size_t done = 0;

	while (done < n) {
		size_t piece = 4096 - ((user + done) & 4095);
		struct iovec l = { (char *)kernel + done, piece < n - done ? piece : n - done };
		struct iovec r = { (void *)(user + done), l.iov_len };
		ssize_t got = out ? process_vm_writev(getpid(), &l, 1, &r, 1, 0)
				  : process_vm_readv(getpid(), &l, 1, &r, 1, 0);

		if (got != (ssize_t)l.iov_len)
			break;
		done += l.iov_len;
	}
	return n - done;
}

size_t copy_to_mm(struct mm_struct *mm, unsigned long dst, const void *src, size_t n)
{
	(void)mm;
	return vm_copy((void *)(uintptr_t)src, dst, n, true);
}

size_t copy_from_mm(struct mm_struct *mm, void *dst, unsigned long src, size_t n)
{
	(void)mm;
	return vm_copy(dst, src, n, false);
}

size_t clear_mm(struct mm_struct *mm, unsigned long dst, size_t n)
{
	(void)mm, (void)dst;
	return n;
}

size_t user_access_room(struct mm_struct *mm, unsigned long addr, size_t n, bool write)
{
	size_t done = 0;
	char c;

	(void)mm;
	while (done < n && !vm_copy(&c, addr + done, 1, false) &&
	       (!write || !vm_copy(&c, addr + done, 1, true)))
		done += PAGE_SIZE - ((addr + done) & (PAGE_SIZE - 1));
	return done < n ? done : n;
}

size_t access_remote_mm(struct mm_struct *mm, unsigned long addr, void *buf, size_t n, bool write,
			bool force)
{
	(void)mm, (void)addr, (void)buf, (void)n, (void)write, (void)force;
	return 0;
}

int cmpxchg_user_u32(struct mm_struct *mm, unsigned long uaddr, u32 *old, u32 new_val)
{
	(void)mm, (void)uaddr, (void)old, (void)new_val;
	return -EFAULT;
}

long strncpy_from_mm(struct mm_struct *mm, char *dst, unsigned long src, long max)
{
	(void)mm;
	for (long i = 0; i < max; i++) {
		if (vm_copy(dst + i, src + (unsigned long)i, 1, false))
			return -EFAULT;
		if (!dst[i])
			return i;
	}
	return max;
}

/* A "frame" is the page itself: mem_map and page_offset_base are 0. */
long pin_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr, bool write,
		    struct page **pages)
{
	unsigned long i;
	char c;

	(void)mm;
	for (i = 0; i < nr; i++) {
		if (vm_copy(&c, start + i * PAGE_SIZE, 1, false) ||
		    (write && vm_copy(&c, start + i * PAGE_SIZE, 1, true)))
			break;
		pages[i] = pfn_to_page((start >> PAGE_SHIFT) + i);
	}
	return i ? (long)i : -EFAULT;
}

void unpin_user_pages(struct page **pages, unsigned long nr, bool write)
{
	(void)pages, (void)nr, (void)write;
}

void *__kmalloc(size_t size, gfp_t gfp)
{
	(void)gfp;
	return malloc(size);
}

void *__kmalloc_plain(size_t size, gfp_t gfp)
{
	return __kmalloc(size, gfp);
}

void kfree(const void *p)
{
	free((void *)(uintptr_t)p);
}

u64 machine_clock_ns(void)
{
	return 0;
}

u64 native_host_mask(u64 guest_mask)
{
	return guest_mask;
}

long host_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
	return host_syscall_raw6(nr, a, b, c, d, e, f);
}

long host_call(long nr, long a, long b, long c, long d, long e, long f)
{
	return host_syscall6(nr, a, b, c, d, e, f);
}

long host_call_timed(long nr, const long *a, const struct call_timeout *timeout)
{
	(void)timeout;
	return host_syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

bool signal_is_ours(int sig)
{
	(void)sig;
	return false;
}

long signal_send(struct native_task *t, pid_t pid, int sig)
{
	(void)t, (void)pid, (void)sig;
	return -ENOSYS;
}

long send_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	(void)t, (void)nr, (void)args;
	return -ENOSYS;
}

/* ---- The calls --------------------------------------------------------------------------- */

enum {
	D = 1, /* descriptor */
	N, /* small number */
	L, /* length */
	P, /* memory */
	S, /* path */
	Z, /* 0 */
	M, /* -1 or 0: no timeout that waits */
	T /* memory with a zero timespec */
};

#define VOLATILE 1 /* the memory may differ: times, counters */
#define STORES_SAME 4 /* Linux stores something even if nothing has changed */
#define EFAULT_FIRST 8 /* Linux looks at less than it was given, or at something else first */
#define VOLATILE_RET 2 /* so may results that are no errors */

static const struct trial {
	short nr;
	unsigned char flags;
	unsigned char arg[6];
} trials[] = {
	{ SYS_read, 0, { D, P, L } },
	{ SYS_write, 0, { D, P, L } },
	{ SYS_pread64, 0, { D, P, L, N } },
	{ SYS_pwrite64, 0, { D, P, L, N } },
	{ SYS_readv, 0, { D, P, N } },
	{ SYS_writev, 0, { D, P, N } },
	{ SYS_preadv, 0, { D, P, N, N } },
	{ SYS_preadv2, 0, { D, P, N, N, Z, Z } },
	{ SYS_pwritev2, 0, { D, P, N, N, Z, N } },
	{ SYS_open, 0, { S, Z } },
	{ SYS_openat, 0, { D, S, Z } },
	{ SYS_openat2, 0, { D, S, P, L } },
	{ SYS_close, 0, { D } },
	{ SYS_stat, VOLATILE, { S, P } },
	{ SYS_lstat, VOLATILE, { S, P } },
	{ SYS_fstat, VOLATILE, { D, P } },
	{ SYS_newfstatat, VOLATILE, { D, S, P, N } },
	{ SYS_statx, VOLATILE, { D, S, N, N, P } },
	{ SYS_access, 0, { S, N } },
	{ SYS_faccessat, 0, { D, S, N } },
	{ SYS_faccessat2, 0, { D, S, N, N } },
	{ SYS_readlink, 0, { S, P, L } },
	{ SYS_readlinkat, 0, { D, S, P, L } },
	{ SYS_getcwd, 0, { P, L } },
	{ SYS_chdir, 0, { S } },
	{ SYS_fchdir, 0, { D } },
	{ SYS_lseek, 0, { D, N, N } },
	{ SYS_dup, 0, { D } },
	{ SYS_dup2, 0, { D, D } },
	{ SYS_dup3, 0, { D, D, N } },
	{ SYS_pipe, 0, { P } },
	{ SYS_pipe2, 0, { P, N } },
	{ SYS_socketpair, 0, { N, N, Z, P } },
	{ SYS_socket, 0, { N, N, Z } },
	{ SYS_getsockname, 0, { D, P, P } },
	{ SYS_getpeername, 0, { D, P, P } },
	{ SYS_getsockopt, VOLATILE, { D, N, N, P, P } },
	{ SYS_setsockopt, 0, { D, N, N, P, L } },
	{ SYS_bind, 0, { D, P, L } },
	{ SYS_connect, 0, { D, P, L } },
	{ SYS_accept4, 0, { D, P, P, N } },
	{ SYS_sendto, 0, { D, P, L, Z, P, L } },
	{ SYS_recvfrom, 0, { D, P, L, Z, P, P } },
	{ SYS_sendmsg, 0, { D, P, Z } },
	{ SYS_recvmsg, 0, { D, P, Z } },
	{ SYS_poll, 0, { P, N, Z } },
	{ SYS_ppoll, 0, { P, N, T, Z } },
	{ SYS_select, EFAULT_FIRST, { N, P, P, P, T } },
	{ SYS_pselect6, EFAULT_FIRST, { N, P, Z, P, T, Z } },
	{ SYS_epoll_ctl, 0, { D, N, D, P } },
	{ SYS_epoll_wait, 0, { D, P, N, Z } },
	{ SYS_fcntl, VOLATILE, { D, N, P } },
	{ SYS_ioctl, VOLATILE, { D, N, P } },
	{ SYS_getdents64, VOLATILE, { D, P, L } },
	{ SYS_uname, 0, { P } },
	{ SYS_times, VOLATILE | VOLATILE_RET, { P } },
	{ SYS_gettimeofday, VOLATILE, { P, P } },
	{ SYS_getitimer, VOLATILE, { N, P } },
	{ SYS_setitimer, VOLATILE, { N, T, P } },
	{ SYS_nanosleep, 0, { T, P } },
	{ SYS_clock_nanosleep, 0, { N, N, T, P } },
	{ SYS_clock_gettime, VOLATILE, { N, P } },
	{ SYS_clock_getres, 0, { N, P } },
	{ SYS_timerfd_create, 0, { N, N } },
	{ SYS_timerfd_gettime, 0, { D, P } },
	{ SYS_timerfd_settime, 0, { D, N, T, P } },
	{ SYS_eventfd2, 0, { N, N } },
	{ SYS_signalfd4, 0, { D, P, L, N } },
	{ SYS_epoll_create1, 0, { N } },
	{ SYS_memfd_create, 0, { S, N } },
	{ SYS_inotify_add_watch, 0, { D, S, N } },
	{ SYS_statfs, VOLATILE, { S, P } },
	{ SYS_fstatfs, VOLATILE, { D, P } },
	{ SYS_getgroups, 0, { L, P } },
	{ SYS_getresuid, 0, { P, P, P } },
	{ SYS_getresgid, 0, { P, P, P } },
	{ SYS_capget, 0, { P, P } },
	{ SYS_getrlimit, 0, { N, P } },
	{ SYS_prlimit64, 0, { Z, N, Z, P } },
	{ SYS_getrusage, VOLATILE, { N, P } },
	{ SYS_getrandom, VOLATILE, { P, L, Z } },
	{ SYS_sched_getparam, 0, { Z, P } },
	{ SYS_sched_rr_get_interval, 0, { Z, P } },
	{ SYS_sched_getattr, VOLATILE, { Z, P, L, Z } },
	{ SYS_rt_sigpending, 0, { P, L } },
	{ SYS_rt_sigtimedwait, 0, { P, P, T, L } },
	{ SYS_wait4, 0, { M, P, N, P } },
	{ SYS_waitid, STORES_SAME, { N, N, P, N, P } },
	{ SYS_getxattr, 0, { S, S, P, L } },
	{ SYS_listxattr, 0, { S, P, L } },
	{ SYS_fgetxattr, 0, { D, S, P, L } },
	{ SYS_sendfile, STORES_SAME, { D, D, P, N } },
	{ SYS_splice, 0, { D, P, D, P, N, N } },
	{ SYS_copy_file_range, 0, { D, P, D, P, N, Z } },
	{ SYS_ftruncate, 0, { D, N } },
	{ SYS_fallocate, 0, { D, N, N, N } },
	{ SYS_msgsnd, EFAULT_FIRST, { M, P, L, N } },
	{ SYS_msgrcv, 0, { M, P, L, Z, N } },
	{ SYS_semop, 0, { M, P, L } },
	{ SYS_semctl, 0, { M, N, N, P } },
	{ SYS_mq_open, 0, { S, Z, Z, P } },
	{ SYS_keyctl, VOLATILE | VOLATILE_RET, { N, M, P, L } },
	{ SYS_close_range, 0, { N, N, N } },
	{ SYS_name_to_handle_at, 0, { D, S, P, P, N } },
	{ SYS_open_by_handle_at, 0, { D, P, Z } },
};

#define AREA_PAGES 24u
#define AREA_SIZE (AREA_PAGES * 4096ul)
static unsigned char *area; /* shared with the children; a hole behind it */

static uint64_t seed;

static unsigned int draw(unsigned int n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned int)(seed >> 33) % n;
}

/* Paths lie in the first page of the area, offsets below 2048. */
static const char *const paths[] = { "file",	"dir",	     "link",
				     "nothing", "",	     "/dev/null",
				     "dir/..",	"user.test", "/proc/self/nothing",
				     "link/x" };

static unsigned long draw_arg(int kind)
{
	static const unsigned long lengths[] = { 0,
						 1,
						 2,
						 4,
						 8,
						 16,
						 40,
						 64,
						 128,
						 4096,
						 5000,
						 70000,
						 (unsigned long)-1,
						 0x7fffffff,
						 0x80000000 };
	static const unsigned long numbers[] = { 0,
						 1,
						 2,
						 3,
						 4,
						 5,
						 6,
						 8,
						 16,
						 63,
						 100,
						 1030,
						 0x400,
						 4096,
						 FIONREAD,
						 TIOCGWINSZ,
						 FIONBIO,
						 (unsigned long)-1,
						 (unsigned long)-100 };

	switch (kind) {
	case D:
		return draw(12) ? draw(16) : draw(2) ? (unsigned long)AT_FDCWD : 600;
	case N:
		return draw(3) ? draw(9) : numbers[draw(ARRAY_SIZE(numbers))];
	case L:
		return lengths[draw(ARRAY_SIZE(lengths))];
	case P:
		switch (draw(8)) {
		case 0:
			return 0;
		case 1:
			return (unsigned long)area + AREA_SIZE - draw(64); /* runs into the hole */
		case 2:
			return (unsigned long)area + AREA_SIZE + draw(4096);
		case 3:
			return (unsigned long)area + 4096 * 3; /* read only */
		default:
			return (unsigned long)area + 4096 * 4 + 8 * draw(2000);
		}
	case S:
		if (!draw(8))
			return (unsigned long)area + AREA_SIZE - 2; /* not ended */
		if (!draw(8))
			return (unsigned long)area + 4096; /* too long */
		return (unsigned long)area + 64 * draw(ARRAY_SIZE(paths));
	case M:
		return draw(2) ? 0 : (unsigned long)-1;
	case T:
		return draw(4)	     ? (unsigned long)area + 1024
		       : draw_arg(P) ? (unsigned long)area + AREA_SIZE
				     : (unsigned long)area + 1024;
	default:
		return 0;
	}
}

static void fill_area(uint64_t s)
{
	uint64_t keep = seed;

	seed = s;
	assert_int_equal(mprotect(area, AREA_SIZE, PROT_READ | PROT_WRITE), 0);
	memset(area, 0, AREA_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		strcpy((char *)area + 64 * i, paths[i]);
	memset(area + 4096, 'a', 8192 + 4096);
	/* Small numbers, some of which are addresses: structures that make sense now and then. */
	for (size_t at = 4096ul * 4; at < 4096ul * 8; at += 4) {
		uint32_t v = draw(4) ? draw(20) : 0;

		memcpy(area + at, &v, 4);
	}
	for (size_t at = 4096ul * 4; at < 4096ul * 8; at += 16) {
		unsigned long v = draw_arg(P);

		if (draw(2))
			memcpy(area + at, &v, 8);
	}
	assert_int_equal(mprotect(area + 4096 * 3, 4096, PROT_READ), 0);
	assert_int_equal(mprotect(area, 4096, PROT_READ), 0);
	seed = keep;
}

/* Descriptors 0 to 11, the same in every child. */
static void open_descriptors(void)
{
	int p[2], s[2], file, fd;

	close_range(0, 400, 0);
	fd = open("file", O_RDWR | O_CREAT, 0600); /* 0 */
	if (write(fd, "0123456789abcdef", 16) != 16 || lseek(fd, 0, SEEK_SET))
		_exit(99);
	open("dir", O_RDONLY | O_DIRECTORY); /* 1 */
	pipe2(p, O_NONBLOCK); /* 2 3 */
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s); /* 4 5 */
	epoll_create1(0); /* 6 */
	open("/dev/null", O_RDWR); /* 7 */
	socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, s); /* 8 9 */
	file = open("file", O_RDONLY); /* 10 */
	open("file", O_WRONLY | O_APPEND); /* 11 */
	if (file != 10 || write(p[1], "pipe", 4) != 4 || write(5, "stream", 6) != 6 ||
	    write(9, "datagram", 8) != 8)
		_exit(99);
}

struct outcome {
	long ret;
	unsigned char area[AREA_SIZE];
};
static struct outcome *outcome[2];

static void run_child(int direct, const struct trial *c, const unsigned long *args)
{
	static struct native_task task;
	struct outcome *o = outcome[direct];

	open_descriptors();
	alarm(20);
	if (direct)
		o->ret = host_syscall6(c->nr, (long)args[0], (long)args[1], (long)args[2],
				       (long)args[3], (long)args[4], (long)args[5]);
	else
		o->ret = hostcall(&task, (unsigned long)c->nr, args);
	memcpy(o->area, area, AREA_SIZE);
	_exit(0);
}

static void run(int direct, const struct trial *c, const unsigned long *args)
{
	int status;
	pid_t pid;

	unlink("file");
	memset(outcome[direct], 0, sizeof(*outcome[direct]));
	pid = fork();
	if (!pid)
		run_child(direct, c, args);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		outcome[direct]->ret = -100000 - status;
}

static void describe(const struct trial *c, const unsigned long *args, unsigned long trial_seed)
{
	print_error(
		"trial %lu: %s(%lx, %lx, %lx, %lx, %lx, %lx) area %p: host call %ld, direct %ld\n",
		trial_seed, hostcall_name((unsigned long)c->nr), args[0], args[1], args[2], args[3],
		args[4], args[5], (void *)area, outcome[0]->ret, outcome[1]->ret);
	for (size_t i = 0; i < AREA_SIZE; i++)
		if (outcome[0]->area[i] != outcome[1]->area[i]) {
			print_error("  at area + %zx: %02x, %02x\n", i, outcome[0]->area[i],
				    outcome[1]->area[i]);
			break;
		}
}

/* What stands in memory after EFAULT is nobody's promise. */
static bool both_fine(const struct trial *c)
{
	if ((c->flags & VOLATILE_RET) && outcome[0]->ret >= 0 && outcome[1]->ret >= 0)
		return true;
	if ((c->flags & STORES_SAME) && outcome[1]->ret == -EFAULT)
		return true;
	if ((c->flags & EFAULT_FIRST) && outcome[0]->ret == -EFAULT)
		return true;
	return outcome[0]->ret == outcome[1]->ret &&
	       ((c->flags & VOLATILE) || outcome[0]->ret == -EFAULT ||
		!memcmp(outcome[0]->area, outcome[1]->area, AREA_SIZE));
}

static unsigned int run_trial(unsigned long n)
{
	const struct trial *c;
	unsigned long args[6];

	seed = n * 0x9e3779b97f4a7c15ull;
	c = &trials[draw(ARRAY_SIZE(trials))];
	for (int i = 0; i < 6; i++)
		args[i] = draw_arg(c->arg[i]);
	for (int direct = 0; direct < 2; direct++) {
		fill_area(n);
		run(direct, c, args);
	}
	if (both_fine(c))
		return 0;
	describe(c, args, n);
	return 1;
}

static void same_as_direct(void **state)
{
	const char *env = getenv("HOSTCALL_TRIALS"), *first = getenv("HOSTCALL_FIRST");
	unsigned long begin = first ? strtoul(first, NULL, 10) : 1;
	unsigned long end = begin + (env ? strtoul(env, NULL, 10) : 2000);
	unsigned int bad = 0;

	(void)state;
	for (unsigned long n = begin; n < end && bad < 20; n++)
		bad += run_trial(n);
	assert_int_equal(bad, 0);
}

static int setup(void **state)
{
	char dir[] = "/tmp/hostcall-XXXXXX";

	(void)state;
	if (!mkdtemp(dir) || chdir(dir) || mkdir("dir", 0700) || symlink("file", "link"))
		return -1;
	area = mmap(NULL, AREA_SIZE + 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		    0);
	munmap(area + AREA_SIZE, 8192);
	for (int i = 0; i < 2; i++)
		outcome[i] = mmap(NULL, sizeof(*outcome[i]), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return 0;
}

static int teardown(void **state)
{
	char dir[256];

	(void)state;
	unlink("file");
	unlink("link");
	rmdir("dir");
	return getcwd(dir, sizeof(dir)) ? rmdir(dir) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_direct),
	};

	return cmocka_run_group_tests_name("hostcall", tests, setup, teardown);
}
