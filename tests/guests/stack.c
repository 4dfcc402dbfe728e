/* SPDX-License-Identifier: MIT */
/* The stack grows on demand to its limit and no further; threads' stacks have guards. */
#include "guest.h"

#include <sys/resource.h>

static char alt[64 << 10];
static volatile long depth;

static __attribute__((noinline)) long dig(long n)
{
	volatile char frame[1000];

	frame[0] = n;
	frame[999] = n;
	depth = n;
	if (!n)
		return 0;
	return dig(n - 1) + frame[0] - frame[999] + 1;
}

static __attribute__((noinline)) int endless(int n)
{
	volatile char frame[4096];

	frame[n % 4096] = n;
	depth++;
	return endless(n + 1) + frame[(n + 1) % 4096];
}

static void overflow(int sig, siginfo_t *si, void *uc)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "signal %d code %d\n", sig, si->si_code);

	(void)uc;
	if (write(1, line, n) != n)
		_exit(2);
	_exit(depth > 1500 && depth < 2100 ? 0 : 1);
}

static void *thread_dig(void *arg)
{
	return (void *)dig((long)arg);
}

static void *thread_overflow(void *arg)
{
	stack_t ss = { .ss_sp = arg, .ss_size = sizeof(alt) };

	sigaltstack(&ss, NULL);
	return (void *)(long)endless(0);
}

int main(void)
{
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
	struct rlimit rl;
	pthread_t t;
	void *r;
	pid_t pid;
	int st;

	MUST(getrlimit(RLIMIT_STACK, &rl));
	CHECK(rl.rlim_cur == 8UL << 20, "the usual limit");
	CHECK(dig(6000) == 6000, "six megabytes deep");
	pid = split();
	if (!pid) {
		sigaltstack(&ss, NULL);
		handle(SIGSEGV, overflow, SA_ONSTACK);
		_exit(endless(0) & 1);
	}
	CHECK(exited(wait_for(pid), 0), "overflow caught on the alternate stack at the limit");
	pid = split();
	if (!pid)
		_exit(endless(0) & 1);
	st = wait_for(pid);
	CHECK(killed(st, SIGSEGV), "overflow without a handler kills");
	pid = split();
	if (!pid) {
		handle(SIGSEGV, overflow, 0); /* no room for its frame */
		_exit(endless(0) & 1);
	}
	CHECK(killed(wait_for(pid), SIGSEGV), "and with a handler that has no stack");
	pid = split();
	if (!pid) {
		volatile char *far = (char *)((uintptr_t)__builtin_frame_address(0) - (64 << 20));

		catch_faults(0);
		/* The gap below the stack is not stack: far below the limit there is nothing. */
		_exit(FAULTED(*far = 1, SIGSEGV, SEGV_MAPERR, far) ? 0 : 1);
	}
	CHECK(exited(wait_for(pid), 0), "far below the stack");
	pid = split();
	if (!pid) {
		volatile char *low = (char *)((uintptr_t)__builtin_frame_address(0) - (1 << 20));

		*low = 5; /* no need to go page by page */
		_exit(*low == 5 ? 0 : 1);
	}
	CHECK(exited(wait_for(pid), 0), "a store a megabyte below");
	pthread_create(&t, NULL, thread_dig, (void *)6000L);
	pthread_join(t, &r);
	CHECK(r == (void *)6000L, "a thread's stack");
	pid = split();
	if (!pid) {
		handle(SIGSEGV, overflow, SA_ONSTACK);
		pthread_create(&t, NULL, thread_overflow, alt);
		pthread_join(t, &r);
		_exit(9);
	}
	CHECK(exited(wait_for(pid), 0), "a thread's overflow meets its guard");
	return failures;
}
