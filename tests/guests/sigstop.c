/* SPDX-License-Identifier: MIT */
/* Stop and continue: their order, what the parent learns, and stopped processes that are killed. */
#include "guest.h"

static void show(const char *what, int st)
{
	if (WIFSTOPPED(st))
		printf("%s: stopped by %d\n", what, WSTOPSIG(st));
	else if (WIFCONTINUED(st))
		printf("%s: continued\n", what);
	else if (WIFSIGNALED(st))
		printf("%s: killed by %d\n", what, WTERMSIG(st));
	else
		printf("%s: exit %d\n", what, WEXITSTATUS(st));
	fflush(stdout);
}

static void next(const char *what, pid_t pid)
{
	int st = -1;

	while (waitpid(pid, &st, WUNTRACED | WCONTINUED) < 0 && errno == EINTR)
		;
	show(what, st);
}

static volatile int chld, chld_code, chld_status, conts;

static void on_child(int sig, siginfo_t *si, void *uc)
{
	(void)sig;
	(void)uc;
	chld++;
	chld_code = si->si_code;
	chld_status = si->si_status;
}

static void on_cont(int sig)
{
	(void)sig;
	conts++;
}

static void *spin(void *arg)
{
	(void)arg;
	for (volatile long i = 0;; i++)
		;
	return NULL;
}

static void *call(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static pid_t sleeper(int threads)
{
	pid_t pid = split();
	pthread_t t;

	/* In a group of its own, which is no orphaned one: its parent is in another. */
	if (pid) {
		setpgid(pid, pid);
		return pid;
	}
	setpgid(0, 0);
	for (int i = 0; i < threads; i++)
		pthread_create(&t, NULL, i % 2 ? spin : call, NULL);
	call(NULL);
	return 0;
}

static void what_parents_see(void)
{
	static const int sigs[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	pid_t pid;

	for (int i = 0; i < 4; i++) {
		for (int threads = 0; threads < 4; threads += 3) {
			pid = sleeper(threads);
			sleep_ms(20);
			kill(pid, sigs[i]);
			next("signal", pid);
			kill(pid, SIGCONT);
			next("SIGCONT", pid);
			kill(pid, sigs[i]);
			next("again", pid);
			kill(pid, SIGTERM);
			kill(pid, SIGCONT);
			/* That it went on may have been noticed or not. */
			printf("ends by %d\n", WTERMSIG(wait_for(pid)));
			pid = sleeper(threads);
			kill(pid, sigs[i]);
			next("signal", pid);
			kill(pid, SIGKILL);
			printf("ends by %d\n", WTERMSIG(wait_for(pid)));
		}
	}
}

static void signal_of_the_child(int flags)
{
	pid_t pid;

	handle(SIGCHLD, on_child, flags);
	pid = sleeper(0);
	chld = chld_code = chld_status = 0;
	kill(pid, SIGSTOP);
	next("SIGCHLD", pid);
	sleep_ms(50);
	printf("%d: %d, code %d, status %d\n", !!flags, chld, chld_code, chld_status);
	kill(pid, SIGCONT);
	next("SIGCHLD", pid);
	sleep_ms(50);
	printf("%d: %d, code %d, status %d\n", !!flags, chld, chld_code, chld_status);
	kill(pid, SIGTERM);
	wait_for(pid);
	sleep_ms(20);
	printf("%d: %d, code %d, status %d\n", !!flags, chld, chld_code, chld_status);
	signal(SIGCHLD, SIG_DFL);
}

/* Whatever the order in which they arrive, the last one counts. */
static void races(void)
{
	static const int sigs[] = { SIGSTOP, SIGTSTP };
	int bad = 0, st;

	for (int i = 0; i < 40; i++) {
		pid_t pid = sleeper(i % 3);

		if (i % 2)
			sleep_ms(2);
		for (int k = 0; k < 20; k++) {
			kill(pid, sigs[i % 4 / 2]);
			kill(pid, SIGCONT);
		}
		kill(pid, i % 5 ? SIGTERM : SIGKILL);
		for (int k = 0; k < 3000; k++) {
			if (waitpid(pid, &st, WNOHANG) == pid)
				goto ended;
			sleep_ms(1);
		}
		bad++;
		kill(pid, SIGKILL);
		wait_for(pid);
ended:;
	}
	printf("left stopped: %d\n", bad);
	fflush(stdout);
}

static void in_the_process(void)
{
	pid_t pid = split();

	if (!pid) {
		sigset_t set;

		setpgid(0, 0);
		/* A pending stop is discarded by SIGCONT, and the other way round. */
		sigemptyset(&set);
		sigaddset(&set, SIGTSTP);
		sigaddset(&set, SIGCONT);
		signal(SIGCONT, on_cont);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGTSTP);
		raise(SIGCONT);
		sigpending(&set);
		printf("pending: stop %d, cont %d\n", sigismember(&set, SIGTSTP),
		       sigismember(&set, SIGCONT));
		raise(SIGTSTP);
		sigpending(&set);
		printf("pending: stop %d, cont %d\n", sigismember(&set, SIGTSTP),
		       sigismember(&set, SIGCONT));
		fflush(stdout);
		sigemptyset(&set);
		sigprocmask(SIG_SETMASK, &set, NULL);
		printf("handler: %d\n", conts);
		sleep_ms(30);
		raise(SIGSTOP);
		printf("handler: %d\n", conts);
		fflush(stdout);
		_exit(6);
	}
	next("child", pid);
	kill(pid, SIGCONT);
	next("child", pid);
	next("child", pid);
	kill(pid, SIGCONT);
	printf("then exit %d\n", WEXITSTATUS(wait_for(pid)));
	/* An orphaned group is not stopped from a terminal. */
	pid = split();
	if (!pid) {
		setsid();
		raise(SIGTSTP);
		raise(SIGTTIN);
		printf("an orphan goes on\n");
		fflush(stdout);
		raise(SIGSTOP);
		_exit(7);
	}
	next("orphan", pid);
	kill(pid, SIGCONT);
	printf("then exit %d\n", WEXITSTATUS(wait_for(pid)));
	/* Without a leader. */
	pid = split();
	if (!pid) {
		pthread_t t;

		pthread_create(&t, NULL, call, NULL);
		pthread_create(&t, NULL, spin, NULL);
		pthread_exit(NULL);
	}
	sleep_ms(50);
	kill(pid, SIGSTOP);
	next("no leader", pid);
	kill(pid, SIGCONT);
	next("no leader", pid);
	kill(pid, SIGKILL);
	next("no leader", pid);
}

/* What others do to a file concerns the mappings of a stopped process, too. */
static void file_of_a_stopped_one(void)
{
	char path[] = "mapXXXXXX";
	int fd = MUST(mkstemp(path)), st;
	volatile char *m;
	pid_t pid;

	unlink(path);
	MUST(ftruncate(fd, 16 * PAGE));
	m = MUST(mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	pid = split();
	if (!pid)
		for (;;)
			for (int i = 0; i < 8; i++)
				m[i * PAGE]++;
	sleep_ms(20);
	for (int i = 0; i < 3; i++) {
		kill(pid, SIGSTOP);
		waitpid(pid, &st, WUNTRACED);
		MUST(msync((void *)m, 16 * PAGE, MS_SYNC));
		MUST(ftruncate(fd, 8 * PAGE));
		MUST(ftruncate(fd, 16 * PAGE));
		kill(pid, SIGCONT);
		sleep_ms(2);
	}
	kill(pid, SIGKILL);
	show("file of a stopped one", wait_for(pid));
}

int main(void)
{
	what_parents_see();
	signal_of_the_child(0);
	signal_of_the_child(SA_NOCLDSTOP);
	in_the_process();
	file_of_a_stopped_one();
	races();
	return failures;
}
