/* SPDX-License-Identifier: MIT */
/*
 * Signals of faults' kinds that are sent, against true faults, calls and forks: each comes with its own
 * siginfo, and nobody dies of it. Also while the whole is stopped and continued.
 */
#include "guest.h"

#include <sys/time.h>

#define NR_PAGES 64

static volatile long sent, faults, wrong;
static volatile bool enough;
static char *area;

static void on_sig(int sig, siginfo_t *si, void *uc)
{
	char *addr = si->si_addr;

	(void)uc;
	if (sig == SIGSEGV && si->si_code == SEGV_ACCERR) {
		__sync_fetch_and_add(&faults, 1);
		if (addr < area || addr >= area + NR_PAGES * PAGE)
			_exit(50);
		mprotect((void *)((uintptr_t)addr & ~(PAGE - 1)), PAGE, PROT_READ | PROT_WRITE);
	} else if (si->si_code <= 0) {
		__sync_fetch_and_add(&sent, 1);
		if (si->si_pid != getpid())
			__sync_fetch_and_add(&wrong, 1);
	} else if (sig != SIGALRM) {
		__sync_fetch_and_add(&wrong, 1);
	}
}

static void *faulter(void *arg)
{
	char *mine = area + (long)arg * 16 * PAGE;

	while (!enough) {
		for (int i = 0; i < 16; i++) {
			mprotect(mine + i * PAGE, PAGE, PROT_NONE);
			*(volatile char *)(mine + i * PAGE) = 1;
		}
		getppid();
	}
	return NULL;
}

static void *waiter(void *arg)
{
	struct timespec ts = { 0, 3000000 };
	sigset_t set;

	sigfillset(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGBUS);
	sigaddset(&set, SIGRTMIN);
	while (!enough) {
		int sig = sigtimedwait(&set, NULL, &ts);

		if (sig > 0 && sig != SIGBUS && sig != SIGRTMIN)
			__sync_fetch_and_add(&wrong, 1);
	}
	return arg;
}

static void send_one(pthread_t t, int how, int sig, int value)
{
	if (how == 0)
		kill(getpid(), sig);
	else if (how == 1)
		pthread_kill(t, sig);
	else if (how == 2)
		sigqueue(getpid(), sig, (union sigval){ .sival_int = value });
	else
		syscall(SYS_tgkill, getpid(), getpid(), sig);
}

static int load(double seconds)
{
	const int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGUSR1, SIGRTMIN };
	struct itimerval it = { { 0, 500 }, { 0, 500 } };
	double end = now() + seconds;
	pthread_t t[4];

	area = map_anon(NR_PAGES * PAGE, MAP_PRIVATE);
	for (int i = 0; i < 8; i++)
		handle(sigs[i], on_sig, i % 2 ? SA_RESTART : 0);
	handle(SIGALRM, on_sig, SA_RESTART);
	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, faulter, (void *)i);
	pthread_create(&t[3], NULL, waiter, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; now() < end; i++) {
		send_one(t[i % 4], i / 8 % 4, sigs[i % 8], i);
		if (i % 64 == 0) {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
			wait_for(pid);
		}
	}
	it = (struct itimerval){ 0 };
	setitimer(ITIMER_REAL, &it, NULL);
	enough = true;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	return wrong ? 3 : sent > 20 && faults > 20 ? 0 : 4;
}

int main(void)
{
	pid_t pid;

	CHECK(load(0.7) == 0, "faults and signals");
	enough = false;
	pid = split();
	if (!pid)
		_exit(load(0.7));
	for (int i = 0; i < 40; i++) {
		kill(pid, i % 2 ? SIGSTOP : SIGTSTP);
		sleep_ms(i % 4 * 3);
		kill(pid, SIGCONT);
		sleep_ms(5);
	}
	CHECK(exited(wait_for(pid), 0), "stopped and continued");
	pid = split();
	if (!pid)
		_exit(load(5));
	sleep_ms(100);
	kill(pid, SIGSTOP);
	sleep_ms(20);
	kill(pid, SIGKILL);
	CHECK(killed(wait_for(pid), SIGKILL), "stopped and killed");
	return failures;
}
