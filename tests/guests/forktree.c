/* SPDX-License-Identifier: MIT */
/*
 * A line of processes, each the child of the one before, all alive at once and with pages in common and of
 * their own; then many children of one. Each looks whether what it has is what it should have.
 *
 *	forktree DEPTH WIDTH MEGABYTES
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define WORDS (PAGE / sizeof(uint64_t))

static volatile uint64_t *map;
static size_t pages;

/* Generation n has written pages n, n + 1000, ... last, and inherited the others. */
static int check(size_t generation)
{
	for (size_t i = 0; i < pages; i++) {
		size_t mine = i % 1000;
		uint64_t writer = mine && mine <= generation ? mine : 0;

		if (map[i * WORDS] != (writer << 32 | i) || map[i * WORDS + 7] != writer) {
			printf("generation %zu: page %zu is not what it was\n", generation, i);
			fflush(stdout);
			return 1;
		}
	}
	return 0;
}

static void write_own(size_t generation)
{
	for (size_t i = generation; i < pages; i += 1000) {
		map[i * WORDS] = generation << 32 | i;
		map[i * WORDS + 7] = generation;
	}
}

static int wait_for_all(void)
{
	int status, bad = 0;

	while (wait(&status) > 0) {
		if (WIFSIGNALED(status))
			printf("a child was killed: %d\n", WTERMSIG(status));
		fflush(stdout);
		bad |= status != 0;
	}
	return bad;
}

static int descend(size_t generation, size_t depth)
{
	pid_t child;

	if (generation)
		write_own(generation);
	if (generation < depth) {
		child = fork();
		if (child == 0)
			_exit(descend(generation + 1, depth));
		if (child < 0) {
			perror("fork");
			return 1;
		}
	}
	return wait_for_all() | check(generation);
}

int main(int argc, char **argv)
{
	size_t depth, width;
	int bad;

	if (argc != 4)
		return 2;
	depth = strtoul(argv[1], NULL, 10);
	width = strtoul(argv[2], NULL, 10);
	pages = strtoul(argv[3], NULL, 10) << 8;
	map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return 2;
	for (size_t i = 0; i < pages; i++)
		map[i * WORDS] = i;
	bad = descend(0, depth);
	printf("%zu deep: %s\n", depth, bad ? "bad" : "good");
	fflush(stdout);
	for (size_t n = 1; n <= width; n++)
		if (fork() == 0) {
			write_own(1);
			usleep(1000);
			_exit(check(1));
		}
	bad |= wait_for_all() | check(0);
	printf("%zu wide: %s\n", width, bad ? "bad" : "good");
	return bad;
}
