// SPDX-License-Identifier: MIT
// Processes full of forks, threads, execs and faults are killed, stopped, continued and made to
// exit at random moments.
//
//   killstorm storm EVENTS SEED   the first process does it, and starts them anew
//   killstorm bear SECONDS SEED   it is done from outside; what dies is started anew
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NR_LOADS 5
#define PAGE 4096

static char self[4096];
static unsigned int seed;

static unsigned int rnd(unsigned int below)
{
	seed = seed * 1103515245u + 12345u;
	return (seed >> 8) % below;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- The load ----------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char data[64 * PAGE];

static void touch(void)
{
	size_t n = 1 + rnd(64), at = rnd(8);
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE,
		       (rnd(2) ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return;
	for (size_t i = 0; i < n; i++)
		p[i * PAGE + at] = data[i * PAGE]++;
	mprotect(p, n / 2 * PAGE, PROT_READ);
	madvise(p + n / 2 * PAGE, (n - n / 2) * PAGE, MADV_DONTNEED);
	munmap(p, n * PAGE);
}

static void *thread(void *arg)
{
	for (int i = 0; i < 20; i++) {
		pthread_mutex_lock(&mutex);
		touch();
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

static void *exec_thread(void *arg)
{
	execl(self, "killstorm", "nothing", NULL);
	return arg;
}

static void *exit_thread(void *arg)
{
	touch();
	_exit(3);
	return arg;
}

static void start(void *(*fn)(void *), pthread_t *t)
{
	if (pthread_create(t, NULL, fn, NULL))
		_exit(0);
}

static void child(int what)
{
	pthread_t t[3];

	seed += (unsigned int)getpid();
	switch (what) {
	case 0:
		touch();
		_exit((int)rnd(3));
	case 1:
		execl(self, "killstorm", "nothing", NULL);
		_exit(9);
	case 2:
		start(thread, &t[0]);
		start(exec_thread, &t[1]);
		pause();
		_exit(0);
	case 3:
		start(thread, &t[0]);
		start(exit_thread, &t[1]);
		pthread_join(t[0], NULL);
		pause();
		_exit(0);
	case 4:
		*(volatile char *)16 = 1;
		_exit(0);
	case 5:
		start(thread, &t[0]);
		raise(SIGQUIT);
		_exit(0);
	default:
		start(thread, &t[0]);
		start(thread, &t[1]);
		if (!fork())
			_exit(0);
		pthread_exit(NULL);
	}
}

static void on_exec(int sig)
{
	char text[16];

	(void)sig;
	snprintf(text, sizeof(text), "%u", seed);
	execl(self, "killstorm", "load", text, NULL);
	_exit(8);
}

static void on_exit_group(int sig)
{
	(void)sig;
	_exit(7);
}

static void load(void)
{
	sigset_t none;

	sigemptyset(&none);
	signal(SIGUSR1, on_exec);
	signal(SIGUSR2, on_exit_group);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (;;) {
		int what = (int)rnd(9);
		pthread_t t[2];
		pid_t pid;

		if (what == 7) {
			start(thread, &t[0]);
			start(thread, &t[1]);
			pthread_join(t[0], NULL);
			pthread_join(t[1], NULL);
		} else if (what == 8) {
			pid = vfork();
			if (!pid) {
				execl(self, "killstorm", "nothing", NULL);
				_exit(9);
			}
		} else {
			pid = fork();
			if (!pid)
				child(what);
			touch();
		}
		while (waitpid(-1, NULL, rnd(2) ? WNOHANG : 0) > 0)
			;
	}
}

/* ---- The storm ---------------------------------------------------------------------------- */

static pid_t loads[NR_LOADS];

static void start_load(int i)
{
	unsigned int with = rnd(1u << 30);

	loads[i] = fork();
	if (loads[i] < 0)
		loads[i] = 0;
	if (!loads[i]) {
		seed = with;
		load();
	}
}

static void wrong(const char *what, int sig, int status)
{
	printf("%s: signal %d gives status %#x\n", what, sig, (unsigned int)status);
}

/* It must end of sig, or of what it had been asked before. */
static void strike(int i, int sig, int wanted)
{
	int status;

	kill(loads[i], sig);
	if (waitpid(loads[i], &status, 0) != loads[i])
		printf("waitpid: %s\n", strerror(errno));
	else if (status != wanted)
		wrong("struck", sig, status);
	start_load(i);
}

/* Again and again: an exec may end the thread that is about to handle it. */
static void ask_to_exit(int i)
{
	do {
		kill(loads[i], SIGUSR2);
		usleep(rnd(300));
	} while (waitpid(loads[i], NULL, WNOHANG) == 0);
	start_load(i);
}

static void stop_and_go(int i)
{
	int status;

	kill(loads[i], SIGSTOP);
	if (waitpid(loads[i], &status, WUNTRACED) != loads[i] || status != (SIGSTOP << 8 | 0x7f))
		wrong("stopped", SIGSTOP, status);
	if (rnd(3) == 0)
		strike(i, SIGKILL, SIGKILL);
	else
		kill(loads[i], SIGCONT);
}

static void storm(long events)
{
	for (int i = 0; i < NR_LOADS; i++)
		start_load(i);
	for (long n = 0; n < events; n++) {
		int i = (int)rnd(NR_LOADS);

		usleep(rnd(1500));
		switch (rnd(6)) {
		case 0:
		case 1:
			strike(i, SIGKILL, SIGKILL);
			break;
		case 2:
			strike(i, SIGTERM, SIGTERM);
			break;
		case 3:
			stop_and_go(i);
			break;
		case 4:
			kill(loads[i], SIGUSR1); /* before its handler is there, it dies of it */
			break;
		default:
			ask_to_exit(i);
		}
	}
	for (int i = 0; i < NR_LOADS; i++)
		kill(loads[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	printf("%ld events\n", events);
}

static void bear(double seconds)
{
	double end = now() + seconds;
	pid_t pid;

	for (int i = 0; i < NR_LOADS; i++)
		start_load(i);
	while (now() < end) {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid <= 0)
			usleep(1000);
		for (int i = 0; i < NR_LOADS && pid > 0; i++)
			if (loads[i] == pid)
				start_load(i);
	}
	for (int i = 0; i < NR_LOADS; i++)
		kill(loads[i], SIGKILL);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	printf("borne\n");
}

int main(int argc, char **argv)
{
	sigset_t usr;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0 || argc < 2)
		return 2;
	if (!strcmp(argv[1], "nothing"))
		return 0;
	setvbuf(stdout, NULL, _IONBF, 0);
	seed = argc > 3 ? (unsigned int)atoi(argv[3]) : 1;
	if (!strcmp(argv[1], "load")) {
		seed = (unsigned int)atoi(argv[2]);
		load();
	}
	/* A load has its handlers before such a signal reaches it. */
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	sigaddset(&usr, SIGUSR2);
	sigprocmask(SIG_BLOCK, &usr, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!strcmp(argv[1], "storm"))
		storm(atol(argv[2]));
	else
		bear(atof(argv[2]));
	return 0;
}
