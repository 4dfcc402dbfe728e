/* SPDX-License-Identifier: MIT */
/* Signals under load: timers and kills against faults, calls, forks and threads. */
#include "guest.h"

#include <sys/time.h>

static volatile int ticks;
static volatile int chld;
static char *handler_page;

static void on_alarm(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)si;
	(void)uc;
	ticks++;
	/* A fault and a call inside of the handler. */
	handler_page[ticks % 64 * PAGE] = ticks;
	if (ticks % 16 == 0)
		madvise(handler_page, 64 * PAGE, MADV_DONTNEED);
	getppid();
}

static void on_child(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)si;
	(void)uc;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		chld++;
}

static volatile bool enough;

static void *hammer(void *arg)
{
	pthread_t target = *(pthread_t *)arg;

	for (int i = 0; i < 2000 || !enough; i++) {
		pthread_kill(target, SIGUSR1);
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

static volatile int usr;

static void on_usr(int sig)
{
	(void)sig;
	usr++;
}

int main(void)
{
	struct itimerval it = { { 0, 300 }, { 0, 300 } }, off = { 0 };
	pthread_t t, me = pthread_self();
	int bad = 0, forks = 0;
	sigset_t set;

	handler_page = map_anon(64 * PAGE, MAP_PRIVATE);
	handle(SIGALRM, on_alarm, SA_RESTART);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; i < 4000 || ticks < 30; i++) {
		char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		if (p == MAP_FAILED) {
			bad++;
			continue;
		}
		p[0] = i;
		p[2 * PAGE] = i + 1;
		bad += p[0] != (char)i || p[2 * PAGE] != (char)(i + 1) || p[PAGE] != 0;
		bad += munmap(p, 4 * PAGE) != 0;
	}
	CHECK(!bad, "map, touch, unmap under a timer");
	for (int i = 0; i < 40; i++) {
		pid_t pid = split();

		if (!pid) {
			handler_page[0] = 1;
			_exit(i);
		}
		bad += !exited(wait_for(pid), i);
	}
	CHECK(!bad, "fork under a timer");
	setitimer(ITIMER_REAL, &off, NULL);
	handle(SIGCHLD, on_child, SA_RESTART);
	for (int i = 0; i < 60; i++) {
		pid_t pid = split();

		if (!pid)
			_exit(0);
		forks++;
	}
	for (int i = 0; i < 2000 && chld < forks; i++)
		sleep_ms(2);
	CHECK(chld == forks, "%d children reaped in a handler", forks);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGUSR1, on_usr);
	pthread_create(&t, NULL, hammer, &me);
	while (usr < 50) {
		madvise(handler_page, 64 * PAGE, MADV_DONTNEED);
		for (int i = 0; i < 64; i++)
			handler_page[i * PAGE] = 1;
	}
	enough = true;
	pthread_join(t, NULL);
	CHECK(usr >= 50, "another thread's signals");
	/* Only the thread that does not block it gets a signal to the process. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	usr = 0;
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR1);
	bad = usr;
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	CHECK(!bad && usr == 1, "blocked, then taken once");
	return failures;
}
