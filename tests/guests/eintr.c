/* SPDX-License-Identifier: MIT */
/* Signals and blocking calls: EINTR, SA_RESTART, sigsuspend, masks, queues, stop and continue. */
#include "guest.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/time.h>

static volatile int count, last_value, order[8], norder;
static volatile pid_t sender;

static void on_sig(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	count++;
	last_value = si->si_value.sival_int;
	sender = si->si_pid;
	if (norder < 8)
		order[norder++] = sig;
}

static void alarm_in(int ms)
{
	struct itimerval it = { { 0, 0 }, { ms / 1000, ms % 1000 * 1000 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

#define IS_EINTR(call) \
	(count = 0, alarm_in(100), errno = 0, (call) == -1 && errno == EINTR && count == 1)

static void *kicker(void *arg)
{
	sleep_ms(100);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

int main(void)
{
	int p[2], st, ep = MUST(epoll_create1(0));
	struct pollfd pf;
	struct epoll_event ev = { .events = EPOLLIN };
	struct timespec ts = { 5, 0 };
	sigset_t set, old;
	siginfo_t si;
	pthread_t me = pthread_self(), t;
	fd_set fds;
	char c;
	pid_t pid;

	MUST(pipe(p));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	pf = (struct pollfd){ p[0], POLLIN, 0 };
	FD_ZERO(&fds);
	FD_SET(p[0], &fds);
	handle(SIGALRM, on_sig, 0);
	CHECK(IS_EINTR(pause()), "pause");
	CHECK(IS_EINTR(read(p[0], &c, 1)), "read");
	CHECK(IS_EINTR(poll(&pf, 1, 5000)), "poll");
	CHECK(IS_EINTR(select(p[0] + 1, &fds, NULL, NULL, NULL)), "select");
	CHECK(IS_EINTR(epoll_wait(ep, &ev, 1, 5000)), "epoll_wait");
	CHECK(IS_EINTR(nanosleep(&ts, &ts)) && ts.tv_sec == 4, "nanosleep and what is left");
	pid = split();
	if (!pid) {
		sleep_ms(5000);
		_exit(0);
	}
	CHECK(IS_EINTR(waitpid(pid, &st, 0)), "waitpid");
	kill(pid, SIGKILL);
	wait_for(pid);
	handle(SIGALRM, on_sig, SA_RESTART);
	CHECK(IS_EINTR(poll(&pf, 1, 5000)), "poll is never restarted");
	CHECK(IS_EINTR(epoll_wait(ep, &ev, 1, 5000)), "nor epoll_wait");
	ts = (struct timespec){ 5, 0 };
	CHECK(IS_EINTR(nanosleep(&ts, NULL)), "nor nanosleep");
	pid = split();
	if (!pid) {
		sleep_ms(400);
		MUST(write(p[1], "r", 1));
		_exit(3);
	}
	count = 0;
	alarm_in(50);
	CHECK(read(p[0], &c, 1) == 1 && c == 'r' && count == 1, "read is restarted");
	count = 0;
	alarm_in(1);
	CHECK(exited(wait_for(pid), 3), "waitpid is restarted");
	while (!count)
		sleep_ms(1);
	handle(SIGUSR1, on_sig, 0);
	count = 0;
	pthread_create(&t, NULL, kicker, &me);
	CHECK(read(p[0], &c, 1) == -1 && errno == EINTR && count == 1,
	      "pthread_kill to a blocked thread");
	pthread_join(t, NULL);

	/* Masks. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN);
	handle(SIGUSR2, on_sig, 0);
	handle(SIGRTMIN, on_sig, 0);
	MUST(sigprocmask(SIG_BLOCK, &set, &old));
	count = norder = 0;
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR1);
	for (int i = 0; i < 3; i++)
		sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 10 + i });
	MUST(sigpending(&set));
	CHECK(count == 0 && sigismember(&set, SIGUSR1) && sigismember(&set, SIGUSR2) &&
		      sigismember(&set, SIGRTMIN) && !sigismember(&set, SIGALRM),
	      "blocked and pending");
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	CHECK(sigwaitinfo(&set, &si) == SIGRTMIN && si.si_value.sival_int == 10 &&
		      si.si_pid == getpid() && si.si_code == SI_QUEUE,
	      "sigwaitinfo");
	MUST(sigprocmask(SIG_SETMASK, &old, NULL));
	CHECK(count == 4 && sender == getpid(), "delivered once unblocked (%d)", count);
	ts = (struct timespec){ 0, 20000000 };
	MUST(sigprocmask(SIG_BLOCK, &set, &old));
	CHECK(sigtimedwait(&set, &si, &ts) == -1 && errno == EAGAIN, "sigtimedwait");
	MUST(sigprocmask(SIG_SETMASK, &old, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	MUST(sigprocmask(SIG_BLOCK, &set, &old));
	count = 0;
	alarm_in(1);
	sleep_ms(10);
	CHECK(count == 0 && sigsuspend(&old) == -1 && errno == EINTR && count == 1, "sigsuspend");
	MUST(sigprocmask(SIG_SETMASK, &old, NULL));

	/* Stop, continue, kill. */
	pid = split();
	if (!pid)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	CHECK(waitpid(pid, &st, WUNTRACED) == pid && WIFSTOPPED(st) && WSTOPSIG(st) == SIGSTOP,
	      "stop");
	kill(pid, SIGCONT);
	CHECK(waitpid(pid, &st, WCONTINUED) == pid && WIFCONTINUED(st), "continue");
	kill(pid, SIGSTOP);
	waitpid(pid, &st, WUNTRACED);
	kill(pid, SIGKILL);
	CHECK(killed(wait_for(pid), SIGKILL), "kill a stopped one");
	pid = split();
	if (!pid)
		for (volatile long i = 0;; i++)
			;
	sleep_ms(20);
	kill(pid, SIGSTOP);
	CHECK(waitpid(pid, &st, WUNTRACED) == pid && WIFSTOPPED(st), "stop a running one");
	kill(pid, SIGCONT);
	kill(pid, SIGTERM);
	CHECK(killed(wait_for(pid), SIGTERM), "and terminate it");
	pid = split();
	if (!pid) {
		setpgid(0, 0);
		for (int i = 0; i < 3; i++)
			if (!fork())
				for (;;)
					pause();
		MUST(write(p[1], "g", 1));
		for (;;)
			pause();
	}
	MUST(read(p[0], &c, 1));
	kill(-pid, SIGHUP);
	CHECK(killed(wait_for(pid), SIGHUP), "a process group");
	pid = split();
	if (!pid) {
		signal(SIGTERM, SIG_IGN);
		kill(getpid(), SIGTERM);
		abort();
	}
	CHECK(killed(wait_for(pid), SIGABRT), "abort");
	CHECK(kill(pid, 0) == -1 && errno == ESRCH, "no such process");
	memset(&si, 0, sizeof(si));
	pid = split();
	if (!pid)
		_exit(44);
	CHECK(waitid(P_PID, pid, &si, WEXITED | WNOWAIT) == 0 && si.si_status == 44 &&
		      si.si_code == CLD_EXITED && waitid(P_PID, pid, &si, WEXITED) == 0,
	      "waitid");
	CHECK(waitpid(-1, &st, 0) == -1 && errno == ECHILD, "no child is left");
	return failures;
}
