/* SPDX-License-Identifier: MIT */
/* 64 processes at once; 200 threads; 500 short-lived threads; a tree of processes. */
#include "guest.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int arrived;
static __thread long tls = 5;

static void *member(void *arg)
{
	char *p = malloc(50000);

	memset(p, (long)arg, 50000);
	tls += (long)arg;
	pthread_mutex_lock(&lock);
	if (++arrived == 200)
		pthread_cond_broadcast(&cond);
	while (arrived < 200)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 50000; i++)
		if (p[i] != (char)(long)arg)
			return NULL;
	free(p);
	return (void *)tls;
}

static void *brief(void *arg)
{
	return (void *)((long)arg * 2);
}

static int tree(int depth)
{
	int n = 1;

	if (!depth)
		return 1;
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		int st;

		if (!pid)
			_exit(tree(depth - 1));
		st = wait_for(pid);
		if (!WIFEXITED(st))
			return 255;
		n += WEXITSTATUS(st);
	}
	return n;
}

static void *background(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void *outlives(void *arg)
{
	(void)arg;
	sleep_ms(50);
	_exit(61);
}

int main(void)
{
	pthread_t t[200];
	long *sums = (long *)map_anon(PAGE, MAP_SHARED), bad = 0;
	int go[2];
	char c;
	pid_t pid;

	MUST(pipe(go));
	for (int i = 0; i < 64; i++)
		if (!split()) {
			char *p = malloc(1 << 20);

			close(go[1]);
			memset(p, i, 1 << 20);
			if (read(go[0], &c, 1) != 0) /* all are there when it closes */
				_exit(1);
			for (int k = 0; k < 1 << 20; k += 512)
				sums[i] += p[k];
			_exit(0);
		}
	close(go[1]);
	for (int i = 0; i < 64; i++)
		bad += !exited(wait_for(-1), 0);
	for (int i = 0; i < 64; i++)
		bad += sums[i] != 2048L * i;
	CHECK(!bad, "64 processes at once");
	for (long i = 0; i < 200; i++)
		bad += pthread_create(&t[i], NULL, member, (void *)i) != 0;
	for (long i = 0; i < 200; i++) {
		void *r;

		pthread_join(t[i], &r);
		bad += r != (void *)(5 + i);
	}
	CHECK(!bad, "200 threads at once");
	for (long i = 0; i < 500; i++) {
		void *r;

		pthread_create(&t[0], NULL, brief, (void *)i);
		pthread_join(t[0], &r);
		bad += r != (void *)(2 * i);
	}
	CHECK(!bad, "500 threads in a row");
	CHECK(tree(4) == 121, "a tree of 121 processes");
	pid = split();
	if (!pid) {
		for (int i = 0; i < 20; i++)
			pthread_create(&t[i], NULL, background, NULL);
		exit(60);
	}
	CHECK(exited(wait_for(pid), 60), "exit with twenty threads asleep");
	pid = split();
	if (!pid) {
		pthread_create(&t[0], NULL, outlives, NULL);
		pthread_exit(NULL);
	}
	CHECK(exited(wait_for(pid), 61), "a thread that outlives the leader");
	pid = split();
	if (!pid) {
		for (int i = 0; i < 20; i++)
			pthread_create(&t[i], NULL, background, NULL);
		for (;;)
			pause();
	}
	sleep_ms(30);
	kill(pid, SIGKILL);
	CHECK(killed(wait_for(pid), SIGKILL), "a process of twenty threads killed");
	pid = split();
	if (!pid) {
		pthread_create(&t[0], NULL, background, NULL);
		sleep_ms(5);
		pthread_cancel(t[0]);
		pthread_join(t[0], NULL);
		_exit(62);
	}
	CHECK(exited(wait_for(pid), 62), "a thread cancelled");
	return failures;
}
