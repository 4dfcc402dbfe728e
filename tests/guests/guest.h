/* SPDX-License-Identifier: MIT */
/*
 * What the guest programs of the tests share. A guest prints one line for each
 * check and nothing that two correct runs could print differently: its output on
 * the host and under quire is compared.
 */
#ifndef GUEST_H
#define GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL

static int failures __attribute__((unused));

#define CHECK(cond, ...)                               \
	do {                                           \
		bool ok_ = (cond);                     \
                                                       \
		printf(__VA_ARGS__);                   \
		printf(": %s\n", ok_ ? "ok" : "FAIL"); \
		fflush(stdout);                        \
		failures += !ok_;                      \
	} while (0)

/* A call that must work for the guest to make sense. */
#define MUST(call)                                                  \
	({                                                          \
		__typeof__(call) r_ = (call);                       \
                                                                    \
		if ((long)r_ == -1) {                               \
			printf("%s: %s\n", #call, strerror(errno)); \
			fflush(stdout);                             \
			_exit(99);                                  \
		}                                                   \
		r_;                                                 \
	})

static inline char *map_anon(size_t len, int flags)
{
	return MUST(mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0));
}

static inline int wait_for(pid_t pid)
{
	int st = -1;

	while (waitpid(pid, &st, 0) < 0 && errno == EINTR)
		;
	return st;
}

static inline bool exited(int st, int code)
{
	return WIFEXITED(st) && WEXITSTATUS(st) == code;
}

static inline bool killed(int st, int sig)
{
	return WIFSIGNALED(st) && WTERMSIG(st) == sig;
}

/* fork() with nothing left in the buffer of stdout. */
static inline pid_t split(void)
{
	fflush(stdout);
	return MUST(fork());
}

static inline void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	MUST(sigaction(sig, &sa, NULL));
}

/* Faults that are looked at: TRY(access) is true when it did not fault. */
static __thread sigjmp_buf fault_jmp __attribute__((unused));
static __thread siginfo_t fault_info __attribute__((unused));

static inline void on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	fault_info = *si;
	siglongjmp(fault_jmp, 1);
}

static inline void catch_faults(int flags)
{
	handle(SIGSEGV, on_fault, flags | SA_NODEFER);
	handle(SIGBUS, on_fault, flags | SA_NODEFER);
}

#define TRY(access)                             \
	({                                      \
		volatile bool done_ = false;    \
                                                \
		if (!sigsetjmp(fault_jmp, 0)) { \
			access;                 \
			done_ = true;           \
		}                               \
		done_;                          \
	})

#define FAULTED(access, sig, code, addr)                                                 \
	(!TRY(access) && fault_info.si_signo == (sig) && fault_info.si_code == (code) && \
	 fault_info.si_addr == (void *)(addr))

#endif
