// SPDX-License-Identifier: MIT
// SIGKILL and SIGSTOP that the kernel sends by itself: when the parent dies, when CPU time is used up.
#include "guest.h"

#include <sys/prctl.h>
#include <sys/resource.h>

static void spin(void)
{
	for (volatile long i = 0;; i++)
		;
}

/* The child of a process that ends: how it ends itself, or stops. */
static int orphan(int sig, bool spins)
{
	int ready[2], status;
	pid_t middle, pid;

	MUST(pipe(ready));
	middle = MUST(fork());
	if (!middle) {
		pid = MUST(fork());
		if (!pid) {
			int now = 0;

			MUST(prctl(PR_SET_PDEATHSIG, sig));
			MUST(prctl(PR_GET_PDEATHSIG, &now));
			pid = now == sig ? getpid() : -1;
			MUST(write(ready[1], &pid, sizeof(pid)));
			if (spins)
				spin();
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	MUST(read(ready[0], &pid, sizeof(pid)));
	close(ready[0]);
	close(ready[1]);
	MUST(kill(middle, SIGTERM));
	MUST(waitpid(middle, &status, 0));
	MUST(waitpid(pid, &status, WUNTRACED));
	if (WIFSTOPPED(status)) {
		MUST(kill(pid, SIGKILL));
		MUST(waitpid(pid, NULL, 0));
	}
	return status;
}

static int cpu_limit(rlim_t soft, rlim_t hard)
{
	const struct rlimit limit = { soft, hard };
	struct rlimit now;
	pid_t pid = MUST(fork());
	int status;

	if (!pid) {
		MUST(setrlimit(RLIMIT_CPU, &limit));
		MUST(getrlimit(RLIMIT_CPU, &now));
		if (now.rlim_cur != soft || now.rlim_max != hard)
			_exit(1);
		spin();
	}
	MUST(waitpid(pid, &status, 0));
	return status;
}

int main(void)
{
	const struct rlimit wrong = { 2, 1 };

	MUST(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int spins = 0; spins < 2; spins++) {
		CHECK(orphan(SIGKILL, spins) == SIGKILL, "killed at the parent's death");
		CHECK(orphan(SIGTERM, spins) == SIGTERM, "ended by another signal");
		CHECK(WIFSTOPPED(orphan(SIGSTOP, spins)), "stopped");
	}
	CHECK(prctl(PR_SET_PDEATHSIG, 65) == -1 && errno == EINVAL, "no such signal");
	CHECK(cpu_limit(1, 1) == SIGKILL, "hard limit of CPU time");
	CHECK(cpu_limit(1, 5) == SIGXCPU, "soft limit of CPU time");
	CHECK(setrlimit(RLIMIT_CPU, &wrong) == -1 && errno == EINVAL,
	      "soft limit above the hard one");
	return failures != 0;
}
