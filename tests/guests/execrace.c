/* SPDX-License-Identifier: MIT */
/*
 * exec against all else: threads that exec at the same time, exit, fork, take signals, and are stopped,
 * continued and killed meanwhile. What a round comes to is not the same twice; that it comes to one of the
 * ends there can be is.
 */
#include "guest.h"

static char *self;
static volatile int usr;

static void on_usr(int sig)
{
	(void)sig;
	usr++;
}

static void *execer(void *arg)
{
	execl(self, self, (char *)arg, (char *)NULL);
	_exit(98);
}

static void *sender(void *arg)
{
	pid_t pid = getpid();

	(void)arg;
	for (;;) {
		kill(pid, SIGUSR1);
		kill(pid, SIGSEGV);
		syscall(SYS_tgkill, pid, pid, SIGUSR2);
	}
	return NULL;
}

static void *caller(void *arg)
{
	int p[2];
	char c;

	(void)arg;
	MUST(pipe(p));
	for (;;)
		if (read(p[0], &c, 1) < 0 && errno != EINTR)
			_exit(97);
	return NULL;
}

static void *forker(void *arg)
{
	(void)arg;
	for (;;) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
	return NULL;
}

static void *spinner(void *arg)
{
	for (volatile unsigned long i = 0;; i++)
		;
	return arg;
}

static void *leaver(void *arg)
{
	_exit(5);
	return arg;
}

static void run(int round)
{
	static void *(*const crowd[])(void *) = { sender, caller, forker, spinner };
	pthread_t t;

	signal(SIGUSR1, on_usr);
	signal(SIGUSR2, on_usr);
	signal(SIGSEGV, on_usr);
	for (int i = 0; i < 4; i++)
		if (round >> i & 1)
			pthread_create(&t, NULL, crowd[i], NULL);
	for (int i = 0; i < 1 + round % 3; i++)
		pthread_create(&t, NULL, execer, (void *)"after");
	if (round % 7 == 0)
		pthread_create(&t, NULL, leaver, NULL);
	if (round % 5 == 0)
		pthread_exit(NULL);
	if (round % 5 == 1)
		execer((void *)"after");
	for (;;)
		pause();
}

static bool allowed(int st)
{
	if (WIFSIGNALED(st))
		return WTERMSIG(st) == SIGUSR1 || WTERMSIG(st) == SIGUSR2 ||
		       WTERMSIG(st) == SIGSEGV || WTERMSIG(st) == SIGKILL;
	return exited(st, 17) || exited(st, 5);
}

/* Signals while a process waits for its vfork() child. */
static void in_vfork(int sig, bool handler)
{
	pid_t pid = split();
	double begin = now();
	int st;

	if (!pid) {
		if (handler)
			signal(sig, on_usr);
		pid = vfork();
		if (!pid) {
			struct timespec ts = { 0, 300000000 };

			nanosleep(&ts, NULL);
			_exit(0);
		}
		_exit(usr ? 7 : 8);
	}
	sleep_ms(100);
	kill(pid, sig);
	st = wait_for(pid);
	printf("vfork, signal %d%s: %s %d, %s\n", sig, handler ? " with a handler" : "",
	       WIFSIGNALED(st) ? "killed by" : "exit",
	       WIFSIGNALED(st) ? WTERMSIG(st) : WEXITSTATUS(st),
	       now() - begin < 0.2 ? "at once" : "when the child had ended");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 48, bad = 0;

	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "after"))
		return 17;
	in_vfork(SIGTERM, false);
	in_vfork(SIGTERM, true);
	in_vfork(SIGKILL, false);
	in_vfork(SIGWINCH, false);
	in_vfork(SIGSEGV, false);
	for (int i = 0; i < rounds; i++) {
		pid_t pid = split();
		int st = 0, n;

		if (!pid)
			run(i);
		if (i % 4 == 3) {
			kill(pid, SIGSTOP);
			kill(pid, SIGCONT);
		}
		if (i % 8 == 6) {
			sleep_ms(1);
			kill(pid, SIGKILL);
		}
		for (n = 0; n < 5000; n++) {
			if (waitpid(pid, &st, WNOHANG) == pid)
				break;
			sleep_ms(1);
		}
		if (n == 5000) {
			printf("round %d does not end\n", i);
			fflush(stdout);
			kill(pid, SIGKILL);
			wait_for(pid);
			bad++;
		} else if (!allowed(st)) {
			printf("round %d: status %x\n", i, st);
			bad++;
		}
	}
	printf("bad: %d\n", bad);
	return failures;
}
