/* SPDX-License-Identifier: MIT */
/*
 * membench - what one operation of the memory manager costs, in nanoseconds of
 * wall time. Run by bench.py on the host and under quire in turn.
 *
 *   membench CASE [N]      prints "CASE nanoseconds-per-operation"
 *   membench list
 *
 * With MEMBENCH_CPU in the environment: of CPU time, its children's included.
 *
 * A cold case is the first use of its memory in the process (and so in the
 * machine); a warm one uses memory that was used and given back before.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static const char *self;
static int cpu_time;

static double used_ns(const struct rusage *used)
{
	return (used->ru_utime.tv_sec + used->ru_stime.tv_sec) * 1e9 +
	       (used->ru_utime.tv_usec + used->ru_stime.tv_usec) * 1e3;
}

static double now(void)
{
	struct rusage self_used, children_used;
	struct timespec t;

	if (cpu_time) {
		getrusage(RUSAGE_SELF, &self_used);
		getrusage(RUSAGE_CHILDREN, &children_used);
		return used_ns(&self_used) + used_ns(&children_used);
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static char *map(size_t len)
{
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail("mmap");
	return p;
}

/* Time for one touch in each @stride of @n strides of new memory. */
static double touch(long n, size_t stride)
{
	char *p = map(n * stride);
	double t = now();

	for (long i = 0; i < n; i++)
		*(volatile char *)(p + i * stride) = 1;
	t = now() - t;
	munmap(p, n * stride);
	return t / n;
}

static double seq_cold(long n)
{
	return touch(n, PAGE);
}

static double seq_warm(long n)
{
	touch(n, PAGE);
	return touch(n, PAGE);
}

static double scattered_cold(long n)
{
	return touch(n, 16 * PAGE);
}

static double scattered_warm(long n)
{
	touch(n, 16 * PAGE);
	return touch(n, 16 * PAGE);
}

static double read_untouched(long n)
{
	char *p = map(n * PAGE);
	double t = now();
	long sum = 0;

	for (long i = 0; i < n; i++)
		sum += *(volatile char *)(p + i * PAGE);
	t = now() - t;
	munmap(p, n * PAGE);
	return sum ? -1 : t / n;
}

static double null_call(long n)
{
	double t = now();

	for (long i = 0; i < n; i++)
		syscall(SYS_getppid);
	return (now() - t) / n;
}

static double map_unmap(long n)
{
	double t = now();

	for (long i = 0; i < n; i++)
		munmap(map(16 * PAGE), 16 * PAGE);
	return (now() - t) / n;
}

static double map_touch_unmap(long n)
{
	double t = now();

	for (long i = 0; i < n; i++) {
		char *p = map(16 * PAGE);

		*(volatile char *)p = 1;
		munmap(p, 16 * PAGE);
	}
	return (now() - t) / n;
}

static double protect(long n)
{
	char *p = map(16 * PAGE);
	double t;

	memset(p, 1, 16 * PAGE);
	t = now();
	for (long i = 0; i < n; i++) {
		mprotect(p, PAGE, PROT_READ);
		mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	}
	return (now() - t) / n;
}

static double brk_touch(long n)
{
	double t = now();

	for (long i = 0; i < n; i++) {
		char *p = sbrk(PAGE);

		*(volatile char *)p = 1;
		if (sbrk(-PAGE) == (void *)-1)
			fail("brk");
	}
	return (now() - t) / n;
}

static double forks(long n, size_t resident)
{
	char *p = map(resident);
	double t;

	memset(p, 1, resident);
	t = now();
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	return (now() - t) / n;
}

static double fork_exit(long n)
{
	return forks(n, 1 << 20);
}

static double fork_exit_64m(long n)
{
	return forks(n, 64 << 20);
}

/* A page written by parent after a fork, while the child still has it. */
static double copy_on_write(long n)
{
	char *p = map(n * PAGE);
	int down[2];
	double t;
	pid_t pid;
	char c;

	memset(p, 1, n * PAGE);
	if (pipe(down) < 0)
		fail("pipe");
	pid = fork();
	if (!pid) {
		close(down[1]);
		_exit(read(down[0], &c, 1) < 0);
	}
	t = now();
	for (long i = 0; i < n; i++)
		*(volatile char *)(p + i * PAGE) = 2;
	t = now() - t;
	close(down[1]);
	waitpid(pid, NULL, 0);
	return t / n;
}

static double fork_exec(long n)
{
	double t = now();

	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid) {
			execl(self, self, "exit", (char *)NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
	}
	return (now() - t) / n;
}

static double pipe_round_trip(long n)
{
	int down[2], up[2];
	char c = 1;
	double t;
	pid_t pid;

	if (pipe(down) < 0 || pipe(up) < 0)
		fail("pipe");
	pid = fork();
	if (!pid) {
		close(down[1]);
		while (read(down[0], &c, 1) == 1)
			if (write(up[1], &c, 1) != 1)
				_exit(1);
		_exit(0);
	}
	t = now();
	for (long i = 0; i < n; i++)
		if (write(down[1], &c, 1) != 1 || read(up[0], &c, 1) != 1)
			fail("pipe");
	t = now() - t;
	close(down[1]);
	waitpid(pid, NULL, 0);
	return t / n;
}

static const struct {
	const char *name;
	double (*run)(long n);
	long n;
} cases[] = {
	{ "touch-seq-cold", seq_cold, 32768 },
	{ "touch-seq-warm", seq_warm, 32768 },
	{ "touch-scattered-cold", scattered_cold, 4096 },
	{ "touch-scattered-warm", scattered_warm, 4096 },
	{ "read-untouched", read_untouched, 32768 },
	{ "copy-on-write", copy_on_write, 16384 },
	{ "null-call", null_call, 300000 },
	{ "mmap-munmap", map_unmap, 20000 },
	{ "mmap-touch-munmap", map_touch_unmap, 10000 },
	{ "mprotect-pair", protect, 10000 },
	{ "brk-touch-brk", brk_touch, 10000 },
	{ "fork-exit", fork_exit, 200 },
	{ "fork-exit-64M", fork_exit_64m, 20 },
	{ "fork-exec-exit", fork_exec, 100 },
	{ "pipe-round-trip", pipe_round_trip, 10000 },
};

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "exit"))
		return 0;
	cpu_time = getenv("MEMBENCH_CPU") != NULL;
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!strcmp(argv[1], "list"))
			printf("%s\n", cases[i].name);
		else if (!strcmp(argv[1], cases[i].name)) {
			printf("%s %.2f\n", argv[1],
			       cases[i].run(argc > 2 ? atol(argv[2]) : cases[i].n));
			return 0;
		}
	}
	return strcmp(argv[1], "list") ? 2 : 0;
}
