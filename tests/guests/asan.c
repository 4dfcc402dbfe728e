/* SPDX-License-Identifier: MIT */
/* Built with AddressSanitizer, whose shadow takes 16 TiB: works as usual, and finds an overflow when asked to. */
#include "guest.h"

static void *worker(void *arg)
{
	char *p = malloc(1000);

	memset(p, (long)arg, 1000);
	free(p);
	return NULL;
}

int main(int argc, char **argv)
{
	char *p = malloc(100);
	pthread_t t[4];
	pid_t pid;

	(void)argv;
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, worker, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 20000; i++)
		free(malloc(i));
	pid = split();
	if (!pid) {
		free(malloc(50));
		_exit(3);
	}
	CHECK(exited(wait_for(pid), 3), "threads, malloc, fork");
	p[argc > 1 ? 100 : 99] = 1;
	free(p);
	return failures;
}
