/* SPDX-License-Identifier: MIT */
/*
 * limits - RLIMIT_AS, DATA, STACK, MEMLOCK, with CAP_IPC_LOCK and without, and what /proc/self/status and
 * statm count.
 */
#include "guest.h"

#include <linux/capability.h>
#include <sys/resource.h>

#define MB (1UL << 20)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static const char *result(long r)
{
	static char text[4][40];
	static unsigned int next;
	char *s = text[next++ % 4];

	if (r == -1)
		return strerrorname_np(errno) ?: "E?";
	snprintf(s, 40, r >= 0 && r < 1 << 20 ? "%ld" : "yes", r);
	return s;
}

#define SAY(call) (printf("%s = %s\n", #call, result((long)(call))), fflush(stdout))

static unsigned long status(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long v = 0;
	char line[256];

	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = strtoul(line + strlen(key), NULL, 10);
	fclose(f);
	return v;
}

static int limit(int what, rlim_t cur)
{
	struct rlimit l;

	getrlimit(what, &l);
	l.rlim_cur = cur;
	return setrlimit(what, &l);
}

static void *anon(size_t len, int prot, int flags)
{
	return mmap(NULL, len, prot, ANON | flags, -1, 0);
}

/* Each in a process of its own. */
static void alone(const char *name, void (*test)(void))
{
	fflush(stdout);
	if (!split()) {
		printf("-- %s\n", name);
		test();
		fflush(stdout);
		_exit(0);
	}
	wait_for(-1);
}

static void test_as(void)
{
	unsigned long size = status("VmSize:") * 1024;
	char *p;

	SAY(limit(RLIMIT_AS, size + 16 * MB));
	SAY(anon(17 * MB, RW, 0));
	p = anon(15 * MB, RW, 0);
	printf("within %d\n", p != MAP_FAILED);
	SAY(anon(2 * MB, PROT_NONE, 0));
	/* What is replaced does not count twice. */
	SAY(mmap(p, 15 * MB, RW, ANON | MAP_FIXED, -1, 0) == p);
	SAY(mremap(p, 15 * MB, 18 * MB, MREMAP_MAYMOVE));
	SAY(mremap(p, 15 * MB, 15 * MB, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
	SAY((long)sbrk(4 * MB) == -1);
	SAY(munmap(p, 8 * MB));
	SAY((long)sbrk(4 * MB) != -1);
	SAY(syscall(SYS_shmat, -1, 0, 0));
	SAY(limit(RLIMIT_AS, PAGE));
	SAY(munmap(p + 8 * MB, PAGE));
	SAY(anon(PAGE, RW, 0));
}

static void test_data(void)
{
	unsigned long data = status("VmData:") * 1024;
	char *p;

	SAY(limit(RLIMIT_DATA, data + 8 * MB));
	SAY(anon(9 * MB, RW, 0));
	SAY(anon(9 * MB, PROT_READ, 0) != MAP_FAILED);
	SAY(mmap(NULL, 9 * MB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	p = anon(9 * MB, PROT_READ, 0);
	SAY(mprotect(p, 9 * MB, RW));
	SAY(mprotect(p, 7 * MB, RW));
	SAY((long)sbrk(4 * MB) == -1);
	SAY(mprotect(p, 7 * MB, PROT_READ));
	SAY(mprotect(p, 6 * MB, RW));
	SAY(mremap(p, 6 * MB, 9 * MB, MREMAP_MAYMOVE));
	SAY(anon(MB, RW, MAP_GROWSDOWN) != MAP_FAILED);
	SAY(limit(RLIMIT_DATA, 0));
	SAY((long)sbrk(PAGE) == -1);
	SAY(anon(PAGE, RW, 0));
}

static volatile int depth;

static __attribute__((noinline)) void dive(int levels)
{
	volatile char room[4096];

	room[0] = (char)levels;
	if (levels)
		dive(levels - 1);
	depth += room[0];
}

static char alt[65536];

static void test_stack(void)
{
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };

	sigaltstack(&ss, NULL);
	catch_faults(SA_ONSTACK);
	SAY(limit(RLIMIT_STACK, MB));
	printf("deep %d\n", TRY(dive(200)));
	printf("too deep %d\n", TRY(dive(400)));
	SAY(limit(RLIMIT_STACK, 4 * MB));
	printf("deeper %d\n", TRY(dive(800)));
	printf("too deep %d\n", TRY(dive(1400)));
	SAY(status("VmStk:") >= 3000 && status("VmStk:") <= 4096);
	SAY(limit(RLIMIT_STACK, 64 * 1024));
	printf("what is there stays %d\n", TRY(dive(700)));
}

static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];

	syscall(SYS_capget, &h, d);
	d[0].effective &= ~(1U << CAP_IPC_LOCK);
	SAY(syscall(SYS_capset, &h, d));
}

static void memlock(void)
{
	char *p = anon(16 * MB, RW, 0), *q;

	SAY(limit(RLIMIT_MEMLOCK, MB));
	SAY(mlock(p, MB));
	SAY(mlock(p, MB)); /* again: nothing more */
	SAY(mlock(p + MB, PAGE));
	SAY(mlock(p + MB / 2, MB));
	printf("locked %lu\n", status("VmLck:"));
	q = anon(MB, RW, MAP_LOCKED);
	SAY(q);
	printf("locked %lu\n", status("VmLck:"));
	SAY(mremap(p, MB, 17 * MB, MREMAP_MAYMOVE));
	SAY(syscall(SYS_mlock2, p + 4 * MB, PAGE, 1));
	SAY(munlock(p, 16 * MB));
	SAY(munlockall());
	printf("locked %lu\n", status("VmLck:"));
	SAY(mlockall(MCL_CURRENT) == 0 || errno == ENOMEM);
	munlockall();
	SAY(mlockall(MCL_FUTURE));
	SAY(anon(2 * MB, RW, 0));
	SAY((long)sbrk(2 * MB) == -1);
	munlockall();
	SAY(limit(RLIMIT_MEMLOCK, 0));
	SAY(mlock(p, PAGE));
	SAY(mlock(p, 0));
	SAY(mlockall(MCL_FUTURE));
	SAY(anon(PAGE, RW, MAP_LOCKED));
	SAY(munlock(p, PAGE));
	SAY(munlockall());
	printf("locked %lu\n", status("VmLck:"));
}

static void memlock_unprivileged(void)
{
	if (!geteuid())
		drop_ipc_lock();
	else
		printf("syscall(SYS_capset, &h, d) = 0\n");
	memlock();
}

static void test_limits(void)
{
	struct rlimit l = { 2, 1 }, old = { 8, 9 };

	SAY(setrlimit(RLIMIT_AS, &l));
	SAY(prlimit(0, 99, NULL, &old));
	SAY(prlimit(0, RLIMIT_AS, &l, &old));
	printf("%lu %lu\n", (unsigned long)old.rlim_cur, (unsigned long)old.rlim_max);
	SAY(prlimit(999999, RLIMIT_AS, NULL, &old));
	SAY(syscall(SYS_prlimit64, 0, RLIMIT_AS, 8, NULL));
	SAY(syscall(SYS_prlimit64, 0, RLIMIT_AS, NULL, 8));
	SAY(syscall(SYS_getrlimit, RLIMIT_AS, NULL));
	SAY(syscall(SYS_setrlimit, RLIMIT_AS, NULL));
	l = (struct rlimit){ 1UL << 40, 1UL << 40 };
	SAY(setrlimit(RLIMIT_AS, &l));
	l.rlim_max++;
	SAY(setrlimit(RLIMIT_AS, &l) == (geteuid() ? -1 : 0));
}

/* Sizes that must agree exactly with what was mapped. */
static void counts(const char *what)
{
	static unsigned long size, data, stack, exe, lock;
	unsigned long now[] = { status("VmSize:"), status("VmData:"), status("VmStk:"),
				status("VmExe:"), status("VmLck:") };

	printf("%s: size %+ld data %+ld stack %+ld text %+ld locked %+ld\n", what,
	       (long)(now[0] - size), (long)(now[1] - data), (long)(now[2] - stack),
	       (long)(now[3] - exe), (long)(now[4] - lock));
	size = now[0];
	data = now[1];
	stack = now[2];
	exe = now[3];
	lock = now[4];
}

static void test_counts(void)
{
	char *p, *q, *s;
	int fd = MUST(memfd_create("c", 0));

	MUST(ftruncate(fd, MB));
	status("VmSize:");
	fflush(stdout);
	p = anon(PAGE, RW, 0);
	freopen("/dev/null", "w", stderr);
	setvbuf(stdout, NULL, _IOFBF, 4096);
	{
		FILE *null = fopen("/dev/null", "w");

		fclose(null);
	}
	/* The first line would tell of the program. */
	fflush(stdout);
	{
		int out = dup(1), null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		counts("first");
		fflush(stdout);
		dup2(out, 1);
		close(out);
		close(null);
	}
	q = anon(10 * PAGE, RW, 0);
	counts("private");
	s = mmap(NULL, 10 * PAGE, RW, MAP_SHARED, fd, 0);
	counts("shared");
	mprotect(q, 4 * PAGE, PROT_READ);
	counts("read-only");
	mprotect(q, 2 * PAGE, PROT_READ | PROT_EXEC);
	counts("executable");
	mprotect(q, 4 * PAGE, RW);
	counts("again");
	mlock(q, 4 * PAGE);
	counts("locked");
	munmap(q + 2 * PAGE, 4 * PAGE);
	counts("part unmapped");
	munmap(q, 10 * PAGE);
	munmap(s, 10 * PAGE);
	counts("unmapped");
	q = mmap((void *)0x200000000000UL, 10 * PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
	counts("grows down");
	q[-1] = 1;
	counts("grown");
	munmap(q - PAGE, 11 * PAGE);
	counts("unmapped");
	munmap(p, PAGE);
}

int main(void)
{
	alone("RLIMIT_AS", test_as);
	alone("RLIMIT_DATA", test_data);
	alone("RLIMIT_STACK", test_stack);
	if (!geteuid())
		alone("RLIMIT_MEMLOCK with CAP_IPC_LOCK", memlock);
	alone("RLIMIT_MEMLOCK", memlock_unprivileged);
	alone("prlimit", test_limits);
	alone("counts", test_counts);
	return 0;
}
