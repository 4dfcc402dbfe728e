/* SPDX-License-Identifier: MIT */
/* exec from a thread that is not the leader: the others end, the pid stays. */
#include "guest.h"

static char *self;

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void *spinner(void *arg)
{
	volatile unsigned long n = 0;

	(void)arg;
	for (;;)
		n++;
	return NULL;
}

static void *execer(void *arg)
{
	char pid[32];

	snprintf(pid, sizeof(pid), "%d", getpid());
	execl(self, self, arg, pid, (char *)NULL);
	_exit(98);
}

static int after(const char *pid)
{
	char line[256];
	FILE *f = fopen("/proc/self/status", "r");
	int threads = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "Threads: %d", &threads);
	if (f)
		fclose(f);
	return atoi(pid) == getpid() && getpid() == syscall(SYS_gettid) && threads == 1 ? 17 : 18;
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return after(argv[2]);
	self = argv[0];
	for (int round = 0; round < 10; round++) {
		pid_t pid = split();

		if (!pid) {
			pthread_t t;

			for (int i = 0; i < 3; i++)
				pthread_create(&t, NULL, i ? sleeper : spinner, NULL);
			pthread_create(&t, NULL, execer, (void *)"after");
			if (round & 1)
				pthread_exit(NULL);
			sleeper(NULL);
		}
		CHECK(exited(wait_for(pid), 17), "exec from a thread, leader %s",
		      round & 1 ? "gone" : "asleep");
	}
	return failures;
}
