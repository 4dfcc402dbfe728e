// SPDX-License-Identifier: MIT
// Many at once, and more than are allowed.
//
//   crowd processes N   that live at the same time
//   crowd threads N     of one process
//   crowd short N       processes one after the other
//   crowd bomb          each process makes two, until RLIMIT_NPROC says no
#include "guest.h"

#include <sys/prctl.h>
#include <sys/resource.h>

static int processes(int n)
{
	int go[2], sum = 0, made = 0, status;
	char c;

	MUST(pipe(go));
	for (int i = 0; i < n; i++) {
		pid_t pid = MUST(fork());

		if (!pid) {
			char *p = map_anon(8 * PAGE, MAP_PRIVATE);

			memset(p, i, 8 * PAGE);
			close(go[1]);
			_exit(read(go[0], &c, 1) == 0 && p[5 * PAGE] == (char)i ? i % 100 : 111);
		}
		made++;
	}
	close(go[1]);
	while (wait(&status) > 0)
		sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000000;
	CHECK(made == n, "%d processes at once", n);
	printf("sum of their statuses: %d\n", sum);
	return failures;
}

static pthread_barrier_t barrier;

static void *stand(void *arg)
{
	volatile char page[3 * PAGE];

	page[PAGE] = (char)(long)arg;
	pthread_barrier_wait(&barrier);
	return (void *)((long)arg + page[PAGE] - (char)(long)arg);
}

static int threads(int n)
{
	pthread_t *t = calloc((size_t)n, sizeof(*t));
	pthread_attr_t attr;
	long sum = 0;
	void *ret;
	int err = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	pthread_barrier_init(&barrier, NULL, (unsigned int)n + 1);
	for (long i = 0; i < n && !err; i++)
		err = pthread_create(&t[i], &attr, stand, (void *)i);
	CHECK(!err, "%d threads at once", n);
	if (err)
		return 1;
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < n; i++) {
		pthread_join(t[i], &ret);
		sum += (long)ret;
	}
	printf("sum of what they return: %ld\n", sum);
	return failures;
}

static int short_lived(int n)
{
	int status, wrong = 0;

	for (int i = 0; i < n; i++) {
		pid_t pid = MUST(vfork());

		if (!pid)
			_exit(i & 127);
		MUST(waitpid(pid, &status, 0));
		wrong += status != (i & 127) << 8;
	}
	CHECK(!wrong, "%d processes", n);
	return failures;
}

static void explode(int depth, int *made, int *refused)
{
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			__atomic_fetch_add(errno == EAGAIN ? refused : &refused[1], 1,
					   __ATOMIC_SEQ_CST);
		if (pid > 0)
			__atomic_fetch_add(made, 1, __ATOMIC_SEQ_CST);
		if (!pid) {
			if (depth < 12)
				explode(depth + 1, made, refused);
			usleep(200000);
			_exit(0);
		}
	}
}

static int bomb(void)
{
	const struct rlimit few = { 40, 40 };
	int *counts = (int *)map_anon(PAGE, MAP_SHARED);

	/* The superuser has no limit. */
	if (!getuid())
		MUST(setresuid(64321, 64321, 64321));
	MUST(setrlimit(RLIMIT_NPROC, &few));
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	explode(0, &counts[0], &counts[1]);
	while (wait(NULL) > 0)
		;
	CHECK(counts[0] >= 20 && counts[0] < 400, "some processes");
	CHECK(counts[1] > 0 && !counts[2], "then EAGAIN");
	pid_t pid = fork();
	if (!pid)
		_exit(0);
	CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid, "when they are gone fork works again");
	return failures;
}

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (argc < 2)
		return 2;
	if (!strcmp(argv[1], "processes"))
		return processes(n);
	if (!strcmp(argv[1], "threads"))
		return threads(n);
	if (!strcmp(argv[1], "short"))
		return short_lived(n);
	return bomb();
}
