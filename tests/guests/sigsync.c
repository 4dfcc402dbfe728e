/* SPDX-License-Identifier: MIT */
/* Signals of the kinds that faults raise, sent by programs: blocked, ignored, queued, waited for. */
#include "guest.h"

static const int kinds[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
#define NR_KINDS 6

static volatile int count, last_sig, last_code, last_value;
static volatile pid_t last_pid, last_tid;

static void on_sig(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	count++;
	last_sig = sig;
	last_code = si->si_code;
	last_pid = si->si_pid;
	last_value = si->si_value.sival_int;
	last_tid = syscall(SYS_gettid);
}

static void show(const char *what)
{
	printf("%s: %d, signal %d, code %d, value %d, from %s, in %s\n", what, count, last_sig,
	       last_code, last_code == SI_QUEUE ? last_value : 0,
	       last_pid == getpid() ? "self" : "another",
	       last_tid == getpid() ? "leader" : "thread");
	count = last_sig = last_code = last_value = 0;
	last_tid = 0;
}

static void send(int how, pid_t pid, int sig)
{
	if (how == 0)
		MUST(kill(pid, sig));
	else if (how == 1)
		MUST(syscall(SYS_tgkill, pid, pid, sig));
	else
		MUST(sigqueue(pid, sig, (union sigval){ .sival_int = 77 }));
}

static void to_self(int sig)
{
	static const char *const name[] = { "kill", "tgkill", "sigqueue" };
	struct timespec none = { 0, 0 };
	sigset_t set, old, pending;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, sig);
	for (int how = 0; how < 3; how++) {
		handle(sig, on_sig, 0);
		send(how, getpid(), sig);
		show(name[how]);
		MUST(sigprocmask(SIG_BLOCK, &set, &old));
		send(how, getpid(), sig);
		send(how, getpid(), sig);
		MUST(sigpending(&pending));
		printf("blocked: %d, pending %d\n", count, sigismember(&pending, sig));
		MUST(sigprocmask(SIG_SETMASK, &old, NULL));
		show("unblocked");
		MUST(sigprocmask(SIG_BLOCK, &set, &old));
		send(how, getpid(), sig);
		memset(&si, 0, sizeof(si));
		printf("waited for: %d", sigwaitinfo(&set, &si));
		printf(", code %d, from %d\n", si.si_code, si.si_pid == getpid());
		printf("once: %d\n", sigtimedwait(&set, &si, &none));
		send(how, getpid(), sig);
		signal(sig, SIG_IGN);
		MUST(sigpending(&pending));
		printf("ignoring discards: %d\n", sigismember(&pending, sig));
		MUST(sigprocmask(SIG_SETMASK, &old, NULL));
		send(how, getpid(), sig);
		show("ignored");
	}
	signal(sig, SIG_DFL);
}

static int p[2];

static void *blocked_thread(void *arg)
{
	sigset_t all;
	char c;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	MUST(read(*(int *)arg, &c, 1));
	return NULL;
}

/* To the process: the thread that does not block it takes it, wherever it is. */
static void to_the_right_thread(int sig)
{
	sigset_t set, old;
	pthread_t t;
	char c = 0;
	pid_t pid;

	handle(sig, on_sig, 0);
	MUST(pipe(p));
	pthread_create(&t, NULL, blocked_thread, &p[0]);
	pid = split();
	if (!pid) {
		sleep_ms(50);
		kill(getppid(), sig);
		_exit(0);
	}
	errno = 0;
	printf("pause %d %d\n", pause(), errno);
	show("to the leader");
	wait_for(pid);
	MUST(write(p[1], &c, 1));
	pthread_join(t, NULL);
	sigfillset(&set);
	sigdelset(&set, SIGINT);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	kill(getpid(), sig);
	show("blocked by all");
	sigdelset(&set, sig);
	errno = 0;
	printf("sigsuspend %d %d\n", sigsuspend(&set), errno);
	show("let in");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(p[0]);
	close(p[1]);
}

static void interrupts(int sig, int flags)
{
	char c = 0;
	pid_t pid;
	long r;

	handle(sig, on_sig, flags);
	MUST(pipe(p));
	pid = split();
	if (!pid) {
		sleep_ms(50);
		kill(getppid(), sig);
		sleep_ms(50);
		MUST(write(p[1], "x", 1));
		_exit(0);
	}
	errno = 0;
	r = read(p[0], &c, 1);
	printf("read %ld %d %c\n", r, r < 0 ? errno : 0, c ? c : '-');
	show("meanwhile");
	wait_for(pid);
	close(p[0]);
	close(p[1]);
}

int main(void)
{
	for (int i = 0; i < NR_KINDS; i++) {
		int sig = kinds[i];
		pid_t pid;
		int st;

		printf("== %d\n", sig);
		to_self(sig);
		to_the_right_thread(sig);
		interrupts(sig, 0);
		interrupts(sig, SA_RESTART);
		signal(sig, SIG_DFL);
		for (int how = 0; how < 3; how++) {
			pid = split();
			if (!pid)
				for (;;)
					pause();
			send(how, pid, sig);
			st = wait_for(pid);
			printf("default: %d %d\n", WIFSIGNALED(st), WTERMSIG(st));
		}
		/* Blocked, it waits; a true fault of that kind kills all the same. */
		pid = split();
		if (!pid) {
			sigset_t all;

			sigfillset(&all);
			sigprocmask(SIG_SETMASK, &all, NULL);
			kill(getpid(), sig);
			sleep_ms(20);
			if (sig == SIGSEGV)
				*(volatile int *)8 = 1;
			if (sig == SIGILL)
				__asm__ volatile("ud2");
			_exit(11);
		}
		st = wait_for(pid);
		printf("blocked: %d %d\n", WIFSIGNALED(st) ? WTERMSIG(st) : 0,
		       WIFEXITED(st) ? WEXITSTATUS(st) : 0);
	}
	return failures;
}
