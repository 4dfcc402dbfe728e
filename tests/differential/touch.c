/* SPDX-License-Identifier: MIT */
/*
 * touch.c - accesses that may fault, and what the fault said.
 *
 * The handler jumps back out, so it must be able to nest (SA_NODEFER) and each
 * thread has its own place to return to. Half of the faults are taken on an
 * alternate stack: touch_init() sets one for the main thread, workers have none.
 */
#include "difftest.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

static __thread sigjmp_buf *volatile resume;
static __thread struct fault last;

static void on_fault(int signo, siginfo_t *si, void *uc)
{
	const ucontext_t *ctx = uc;

	last.signo = signo;
	last.code = si->si_code;
	last.addr = (uintptr_t)si->si_addr;
	last.write = ctx->uc_mcontext.gregs[REG_ERR] & 2;
	if (!resume) {
		say("unexpected signal ");
		say_fault(&last);
		say("\n");
		say_flush();
		_exit(97);
	}
	siglongjmp(*resume, 1);
}

void touch_init(void)
{
	static char stack[64 << 10];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK,
	};

	memset(stack, 0, sizeof(stack));
	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
}

/* Run ACCESS; false, with *f filled in, when it faulted. */
#define GUARDED(f, ACCESS)              \
	do {                            \
		sigjmp_buf jb;          \
                                        \
		if (sigsetjmp(jb, 0)) { \
			resume = NULL;  \
			*(f) = last;    \
			return false;   \
		}                       \
		resume = &jb;           \
		ACCESS;                 \
		resume = NULL;          \
		return true;            \
	} while (0)

bool safe_read(uintptr_t addr, uint64_t *val, struct fault *f)
{
	GUARDED(f, *val = *(volatile uint64_t *)addr);
}

bool safe_write(uintptr_t addr, uint64_t val, struct fault *f)
{
	GUARDED(f, *(volatile uint64_t *)addr = val);
}

bool safe_add(uintptr_t addr, uint64_t val, struct fault *f)
{
	GUARDED(f, __atomic_fetch_add((uint64_t *)addr, val, __ATOMIC_SEQ_CST));
}

bool safe_fill(uintptr_t addr, int byte, size_t len, struct fault *f)
{
	GUARDED(f, __asm__ volatile("rep stosb" : "+D"(addr), "+c"(len) : "a"(byte) : "memory"));
}

static __attribute__((noinline)) uint64_t hash_words(uintptr_t addr, size_t len, bool *zero)
{
	const volatile uint64_t *p = (const volatile uint64_t *)addr;
	uint64_t h = 1, any = 0;

	for (size_t i = 0; i < len / 8; i++) {
		any |= p[i];
		h = (h ^ p[i]) * 0x9e3779b97f4a7c15UL;
		h ^= h >> 29;
	}
	*zero = !any;
	return h;
}

bool safe_hash(uintptr_t addr, size_t len, uint64_t *hash, bool *zero, struct fault *f)
{
	GUARDED(f, *hash = hash_words(addr, len, zero));
}

/* Call a "ret" at @addr. */
bool safe_call(uintptr_t addr, struct fault *f)
{
	GUARDED(f, ((void (*)(void))addr)());
}

void say_fault(const struct fault *f)
{
	int code = f->code;

	if (opt.lie == 3 && code == SEGV_ACCERR)
		code = SEGV_MAPERR;
	say("%s code %d at %s%s", f->signo == SIGBUS ? "SIGBUS" : "SIGSEGV", code, pa(f->addr),
	    f->write ? " w" : "");
}
