/* SPDX-License-Identifier: MIT */
/* Robust mutexes: an owner that dies, as a thread, by exit, by a kill and by exec, is reported. */
#include "guest.h"

static pthread_mutex_t *m;
static char *self;

static void *owner(void *arg)
{
	(void)arg;
	pthread_mutex_lock(m);
	return NULL;
}

static void expect_dead(const char *how)
{
	int r = pthread_mutex_lock(m);

	CHECK(r == EOWNERDEAD, "owner gone by %s", how);
	pthread_mutex_consistent(m);
	pthread_mutex_unlock(m);
	CHECK(pthread_mutex_lock(m) == 0 && pthread_mutex_unlock(m) == 0, "consistent again");
}

static void *waiter(void *arg)
{
	long r = pthread_mutex_lock(m);

	(void)arg;
	pthread_mutex_consistent(m);
	pthread_mutex_unlock(m);
	return (void *)r;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t a;
	pthread_t t;
	void *r;
	int p[2];
	char c;
	pid_t pid;

	if (argc > 1)
		return 0;
	self = argv[0];
	m = (pthread_mutex_t *)map_anon(PAGE, MAP_SHARED);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(m, &a);
	MUST(pipe(p));

	pthread_create(&t, NULL, owner, NULL);
	pthread_join(t, NULL);
	expect_dead("the end of a thread");
	pid = split();
	if (!pid) {
		pthread_mutex_lock(m);
		_exit(0);
	}
	wait_for(pid);
	expect_dead("exit");
	pid = split();
	if (!pid) {
		pthread_mutex_lock(m);
		execl(self, self, "again", (char *)NULL);
		_exit(98);
	}
	wait_for(pid);
	expect_dead("exec");
	pid = split();
	if (!pid) {
		pthread_mutex_lock(m);
		MUST(write(p[1], "x", 1));
		for (;;)
			pause();
	}
	MUST(read(p[0], &c, 1));
	pthread_create(&t, NULL, waiter, NULL);
	sleep_ms(30);
	kill(pid, SIGKILL);
	wait_for(pid);
	pthread_join(t, &r);
	CHECK(r == (void *)EOWNERDEAD, "a waiter is woken by the owner's kill");
	return failures;
}
