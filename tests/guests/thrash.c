/* SPDX-License-Identifier: MIT */
/*
 * More than there is memory, mapped by one process or by many, read and written at random and in
 * sequence while part of it is in steady use: every page says what it is.
 *
 *	thrash [-a | -s] [-p PROCESSES] MEGABYTES	of a file, or private (-a) or shared memory (-s)
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define WORDS (PAGE / sizeof(uint64_t))

static uint64_t *map;
static size_t pages;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static void fail(const char *what, size_t page)
{
	printf("%s: page %zu\n", what, page);
	fflush(stdout);
	_exit(1);
}

/* Word 0 names the page, word 1 counts writes of the process that owns it, the last is both. */
static void write_page(size_t page)
{
	uint64_t *p = map + page * WORDS;

	p[0] = mix(page);
	p[1]++;
	p[WORDS - 1] = p[0] ^ p[1];
}

static void check_page(size_t page)
{
	const volatile uint64_t *p = map + page * WORDS;

	if (p[0] != mix(page))
		fail("another page's contents", page);
}

static void check_own_page(size_t page, uint64_t writes)
{
	const uint64_t *p = map + page * WORDS;

	check_page(page);
	if (p[1] != writes || p[WORDS - 1] != (p[0] ^ p[1]))
		fail("a write is lost", page);
}

static void make_memory(void)
{
	for (size_t i = 0; i < pages; i++) {
		map[i * WORDS] = mix(i);
		map[i * WORDS + WORDS - 1] = mix(i);
	}
}

static int make_file(void)
{
	int fd = open("thrash.dat", O_RDWR | O_CREAT | O_TRUNC, 0600);

	static uint64_t buf[WORDS];

	for (size_t i = 0; i < pages; i++) {
		buf[0] = mix(i);
		buf[WORDS - 1] = buf[0];
		if (write(fd, buf, PAGE) != (ssize_t)PAGE) {
			perror("thrash.dat");
			exit(1);
		}
	}
	unlink("thrash.dat");
	return fd;
}

/* Worker n of nr: its own pages are those with index % nr == n. */
static int work(size_t n, size_t nr)
{
	uint64_t seed = n + 1;

	for (size_t i = n; i < pages; i += nr)
		write_page(i);
	for (size_t i = 0; i < pages / nr; i++) {
		seed = mix(seed + i);
		check_page(seed % pages);
		check_page(i % (pages / 16 + 1)); /* in steady use */
	}
	for (size_t i = n; i < pages; i += nr)
		check_own_page(i, 1);
	for (size_t i = n; i < pages; i += 2 * nr)
		write_page(i);
	for (size_t i = n; i < pages; i += nr)
		check_own_page(i, 1 + ((i - n) % (2 * nr) == 0));
	return 0;
}

int main(int argc, char **argv)
{
	int fd = -1, flags = MAP_SHARED, status, bad = 0;
	size_t nr = 1;

	if (argc > 2 && (!strcmp(argv[1], "-a") || !strcmp(argv[1], "-s"))) {
		flags = MAP_ANONYMOUS | (argv[1][1] == 'a' ? MAP_PRIVATE : MAP_SHARED);
		argv++;
		argc--;
	}
	if (argc > 2 && !strcmp(argv[1], "-p")) {
		nr = strtoul(argv[2], NULL, 10);
		argv += 2;
	}
	pages = strtoul(argv[1], NULL, 10) << 8;
	if (!(flags & MAP_ANONYMOUS))
		fd = make_file();
	map = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (map == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	if (flags & MAP_ANONYMOUS)
		make_memory();
	for (size_t n = 0; n < nr; n++)
		if (fork() == 0)
			_exit(work(n, nr));
	while (wait(&status) > 0)
		bad += status != 0;
	for (size_t i = 0; i < pages; i++)
		check_page(i);
	printf("%zu pages, %zu processes: %d bad\n", pages, nr, bad);
	return bad != 0;
}
