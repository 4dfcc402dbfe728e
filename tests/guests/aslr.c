/* SPDX-License-Identifier: MIT */
/*
 * aslr - where a program lies, its heap, stack and mappings. Runs itself again and compares: with
 * randomisation the places change, without it (personality) they do not.
 */
#include "guest.h"

#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/resource.h>

#define RUNS 6

struct places {
	unsigned long text, heap, stack, map, library;
};

/* In a new image: tell the parent. */
static void report(void)
{
	int local;
	struct places p = {
		.text = (unsigned long)&report,
		.heap = (unsigned long)sbrk(0) & -PAGE,
		.stack = (unsigned long)&local,
		.map = (unsigned long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
					   0),
		.library = (unsigned long)&puts,
	};

	write(3, &p, sizeof(p));
}

static void run(unsigned long persona, rlim_t stack, struct places *out)
{
	int fd[2];
	pid_t pid;

	MUST(pipe(fd));
	pid = split();
	if (!pid) {
		struct rlimit lim = { stack, RLIM_INFINITY };

		if (stack)
			setrlimit(RLIMIT_STACK, &lim);
		MUST(personality(persona));
		dup2(fd[1], 3);
		execl("/proc/self/exe", "aslr", "report", NULL);
		_exit(1);
	}
	close(fd[1]);
	if (read(fd[0], out, sizeof(*out)) != sizeof(*out))
		printf("no report\n");
	close(fd[0]);
	wait_for(pid);
}

/* How many of the runs differ from the first, all or none. */
static void compare(const char *what, unsigned long persona)
{
	struct places p[RUNS];
	int text = 0, heap = 0, stack = 0, map = 0, library = 0;

	for (int i = 0; i < RUNS; i++) {
		run(persona, 0, &p[i]);
		text += p[i].text != p[0].text;
		heap += p[i].heap - p[i].text != p[0].heap - p[0].text;
		stack += p[i].stack != p[0].stack;
		map += p[i].map != p[0].map;
		library += p[i].library != p[0].library;
	}
	printf("%s: text %d heap %d stack %d mappings %d libraries %d\n", what, text > 1, heap > 1,
	       stack > 1, map > 1, library > 1);
}

static void test_limits(void)
{
	struct places small, large, huge, legacy;

	run(ADDR_NO_RANDOMIZE, 8UL << 20, &small);
	run(ADDR_NO_RANDOMIZE, 4UL << 30, &large);
	run(ADDR_NO_RANDOMIZE, RLIM_INFINITY, &huge);
	run(ADDR_NO_RANDOMIZE | ADDR_COMPAT_LAYOUT, 8UL << 20, &legacy);
	printf("room for a stack of 4G: %ld M\n", (long)(small.map - large.map) >> 20);
	printf("of any size: %d\n", huge.map < 1UL << 45);
	printf("the stack stays: %d %d\n", small.stack >> 20 == large.stack >> 20,
	       small.stack >> 20 == huge.stack >> 20);
	printf("legacy: %d\n", legacy.map >= (1UL << 47) / 3 && legacy.map < 1UL << 46);
	run(ADDR_COMPAT_LAYOUT, 8UL << 20, &small);
	run(ADDR_COMPAT_LAYOUT, 8UL << 20, &large);
	printf("legacy, random: %d %d\n", small.map >= (1UL << 47) / 3 && small.map < 1UL << 46,
	       small.map != large.map);
}

static int next_mappings(void)
{
	char *a = map_anon(PAGE, MAP_PRIVATE), *b = map_anon(PAGE, MAP_PRIVATE);

	return a < b ? 1 : -1;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		report();
		return 0;
	}
	compare("randomised", 0);
	compare("not randomised", ADDR_NO_RANDOMIZE);
	test_limits();
	printf("downward %d\n", next_mappings());
	printf("personality %#x\n", MUST(personality(ADDR_NO_RANDOMIZE)));
	printf("personality %#x\n", MUST(personality(0xffffffff)));
	if (!split()) {
		printf("inherited %#x\n", MUST(personality(0xffffffff)));
		fflush(stdout);
		_exit(0);
	}
	wait_for(-1);
	return 0;
}
