/* SPDX-License-Identifier: MIT */
/*
 * hog [-m HOW] [-t THREADS] [-s MS] [-r] [-a ADJ] MIB: touches so much memory, then says so, sleeps so
 * long, and checks that it still holds what was written there.
 *
 *   HOW   anon      private memory, by stores
 *         shared    shared memory, by stores
 *         read      private memory, into which /dev/zero's pages are read
 *         file      a private mapping of a file, each page written
 *   -r    the threads that do not touch block in read() of a pipe meanwhile
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096ul

static const char *how = "anon";
static size_t bytes;
static int threads = 1, blocked;
static char *memory;

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static char *map_file(void)
{
	char name[] = "hog.XXXXXX";
	int fd = mkstemp(name);
	char *p;

	unlink(name);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		die("file");
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	close(fd);
	return p;
}

static char *map(void)
{
	int kind = strcmp(how, "shared") ? MAP_PRIVATE : MAP_SHARED;

	if (!strcmp(how, "file"))
		return map_file();
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
}

/* A page's number in its first word. */
static void *touch(void *arg)
{
	size_t step = PAGE * (size_t)threads;
	int zero = open("/dev/zero", O_RDONLY);

	for (size_t at = PAGE * (size_t)arg; at < bytes; at += step) {
		if (!strcmp(how, "read") && read(zero, memory + at, PAGE) != (ssize_t)PAGE)
			die("read");
		*(size_t *)(memory + at) = at / PAGE + 1;
	}
	close(zero);
	return NULL;
}

static void *block(void *arg)
{
	int fds[2];
	char byte;

	(void)arg;
	if (pipe(fds) || read(fds[0], &byte, 1) != 1)
		die("pipe");
	return NULL;
}

static void set_adj(const char *adj)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	if (fd < 0 || write(fd, adj, strlen(adj)) != (ssize_t)strlen(adj))
		die("oom_score_adj");
	close(fd);
}

static void run_threads(void)
{
	pthread_t id[64];

	for (int i = 0; i < blocked; i++) {
		pthread_t other;

		if (pthread_create(&other, NULL, block, NULL))
			die("thread");
	}
	for (int i = 1; i < threads; i++)
		if (pthread_create(&id[i], NULL, touch, (void *)(size_t)i))
			die("thread");
	touch(NULL);
	for (int i = 1; i < threads; i++)
		pthread_join(id[i], NULL);
}

int main(int argc, char **argv)
{
	int option, ms = 0;

	while ((option = getopt(argc, argv, "m:t:s:a:r")) != -1) {
		if (option == 'm')
			how = optarg;
		else if (option == 't')
			threads = atoi(optarg);
		else if (option == 's')
			ms = atoi(optarg);
		else if (option == 'a')
			set_adj(optarg);
		else if (option == 'r')
			blocked = 3;
	}
	bytes = (size_t)atoi(argv[optind]) << 20;
	memory = map();
	if (memory == MAP_FAILED)
		die("map");
	run_threads();
	printf("touched\n");
	fflush(stdout);
	usleep((useconds_t)ms * 1000);
	for (size_t at = 0; at < bytes; at += PAGE)
		if (*(size_t *)(memory + at) != at / PAGE + 1) {
			printf("lost page %zu\n", at / PAGE);
			return 4;
		}
	printf("held\n");
	return 0;
}
