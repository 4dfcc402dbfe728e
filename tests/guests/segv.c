/* SPDX-License-Identifier: MIT */
/* 10,000 SIGSEGVs: mended by mprotect in the handler, jumped out of, and on an alternate stack. */
#include "guest.h"

static char *area;
static volatile int count;
static volatile bool on_altstack;
static char alt[64 << 10];

static void mend(int sig, siginfo_t *si, void *uc)
{
	char *page = (char *)((uintptr_t)si->si_addr & ~(PAGE - 1));
	char here;

	(void)sig;
	(void)uc;
	count++;
	on_altstack = &here >= alt && &here < alt + sizeof(alt);
	MUST(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
}

static void *in_thread(void *arg)
{
	char *p = arg;
	volatile long bad = 0;

	for (volatile int i = 0; i < 2000; i++) {
		bad += TRY(*(volatile char *)(p + i % 8 * PAGE) = 1);
		bad += fault_info.si_addr != p + i % 8 * PAGE;
	}
	return (void *)bad;
}

int main(void)
{
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
	volatile long bad = 0;
	pthread_t t[3];
	char *ro;

	area = map_anon(512 * PAGE, MAP_PRIVATE);
	handle(SIGSEGV, mend, 0);
	for (int round = 0; round < 20; round++) {
		MUST(mprotect(area, 512 * PAGE, round & 1 ? PROT_NONE : PROT_READ));
		for (int i = 0; i < 512; i++)
			area[i * PAGE + round] = i;
	}
	CHECK(count == 20 * 512, "%d faults mended in the handler", 20 * 512);
	CHECK(!on_altstack, "on the normal stack");
	MUST(sigaltstack(&ss, NULL));
	handle(SIGSEGV, mend, SA_ONSTACK);
	MUST(mprotect(area, PAGE, PROT_NONE));
	*(volatile char *)area = 1;
	CHECK(on_altstack, "on the alternate stack");
	MUST(mprotect(area, 512 * PAGE, PROT_READ | PROT_WRITE));
	for (int i = 0; i < 512; i++)
		for (int round = 0; round < 20; round++)
			bad += round && area[i * PAGE + round] != (char)i;
	CHECK(!bad, "every store arrived");

	catch_faults(SA_ONSTACK);
	ro = MUST(mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < 10000; i++)
		bad += TRY(*(volatile char *)ro = 1);
	CHECK(!bad, "10000 faults jumped out of");
	CHECK(FAULTED(*(volatile char *)(ro + 5) = 1, SIGSEGV, SEGV_ACCERR, ro + 5), "ACCERR");
	munmap(ro + PAGE, PAGE);
	CHECK(FAULTED(*(volatile char *)(ro + PAGE + 7), SIGSEGV, SEGV_MAPERR, ro + PAGE + 7),
	      "MAPERR");
	CHECK(FAULTED(*(volatile char *)16, SIGSEGV, SEGV_MAPERR, 16), "null page");
	CHECK(FAULTED(*(volatile char *)0x8000000000000000UL, SIGSEGV, SI_KERNEL, 0),
	      "not canonical");
	CHECK(FAULTED(((void (*)(void))(area))(), SIGSEGV, SEGV_ACCERR, area), "execute data");
	CHECK(FAULTED(((void (*)(void))0x20)(), SIGSEGV, SEGV_MAPERR, 0x20), "jump to nowhere");
	munmap(ro, 8 * PAGE);
	ro = MUST(mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, in_thread, ro);
	for (int i = 0; i < 3; i++) {
		void *r;

		pthread_join(t[i], &r);
		bad += (long)r;
	}
	CHECK(!bad, "faults in three threads at once");
	signal(SIGSEGV, SIG_IGN);
	if (!split()) {
		*(volatile char *)ro = 1;
		_exit(0);
	}
	CHECK(killed(wait_for(-1), SIGSEGV), "an ignored SIGSEGV kills");
	return failures;
}
