/* SPDX-License-Identifier: MIT */
/*
 * Threads that fork, and fork while other threads work on the memory that is copied.
 *
 *   threadfork [PART]      only one PART-th of the forks
 */
#include "guest.h"

#define THREADS 4
#define FORKS 12

static int part = 1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long done;
static volatile bool stop;
static char *area;

static void *forker(void *arg)
{
	long me = (long)arg, bad = 0;
	char *mine = malloc(200000);

	for (int i = 0; i < FORKS / part; i++) {
		pid_t pid;

		memset(mine, me * 16 + i, 200000);
		pid = fork();
		if (pid == 0) {
			for (int k = 0; k < 200000; k += 1000)
				bad += mine[k] != (char)(me * 16 + i);
			memset(mine, 0, 200000);
			_exit(bad ? 1 : 40 + me);
		}
		for (int k = 0; k < 200000; k += 1000)
			bad += mine[k] != (char)(me * 16 + i);
		bad += pid < 0 || !exited(wait_for(pid), 40 + me);
	}
	free(mine);
	pthread_mutex_lock(&lock);
	done += FORKS / part;
	pthread_mutex_unlock(&lock);
	return (void *)bad;
}

/*
 * Keeps pairs of words equal, the second stored after the first. A copy taken by
 * fork may be between the two, never with the second ahead of the first.
 */
static void *writer(void *arg)
{
	volatile uint64_t *a = (uint64_t *)area, *b = (uint64_t *)(area + 8 * PAGE);

	(void)arg;
	for (uint64_t i = 1; !stop; i++) {
		for (int k = 0; k < 8; k++)
			a[k * PAGE / 8] = i;
		for (int k = 0; k < 8; k++)
			b[k * PAGE / 8] = i;
	}
	return NULL;
}

/* The copy must not change under the child while the parent's thread writes on. */
static int child_looks(void)
{
	volatile uint64_t *a = (uint64_t *)area, *b = (uint64_t *)(area + 8 * PAGE);
	uint64_t first[16];

	for (int k = 0; k < 8; k++) {
		first[k] = a[k * PAGE / 8];
		first[8 + k] = b[k * PAGE / 8];
		if (first[8 + k] > first[k])
			return 1;
	}
	for (int n = 0; n < 200; n++)
		for (int k = 0; k < 8; k++)
			if (a[k * PAGE / 8] != first[k] || b[k * PAGE / 8] != first[8 + k])
				return 2;
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t t[THREADS];
	long bad = 0;
	int st = 0;

	if (argc > 1)
		part = atoi(argv[1]);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, forker, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		void *r;

		pthread_join(t[i], &r);
		bad += (long)r;
	}
	CHECK(!bad && done == THREADS * (FORKS / part), "%d threads fork %d times each", THREADS,
	      FORKS / part);
	area = map_anon(16 * PAGE, MAP_PRIVATE);
	pthread_create(&t[0], NULL, writer, NULL);
	for (int i = 0; i < 100 / part && !bad; i++) {
		pid_t pid = split();

		if (!pid)
			_exit(child_looks());
		st = wait_for(pid);
		bad += !exited(st, 0);
	}
	stop = true;
	pthread_join(t[0], NULL);
	if (bad)
		printf("child status %#x\n", st);
	CHECK(!bad, "a copy is of one moment and stays");
	return failures;
}
