/* SPDX-License-Identifier: MIT */
/* Copy-on-write in every direction, reuse of a sole owner's page, madvise over fork. */
#include "guest.h"

#define PAGES 256

static long differs(const char *p, int value)
{
	long bad = 0;

	for (int i = 0; i < PAGES; i++)
		bad += p[i * PAGE] != (char)value;
	return bad;
}

static void fill(char *p, int value)
{
	for (int i = 0; i < PAGES; i++)
		p[i * PAGE] = value;
}

/* A chain of generations, each of which changes its share and checks the rest. */
static int generation(char *p, int depth)
{
	pid_t pid;

	if (differs(p, depth))
		return 1;
	fill(p, depth + 1);
	if (depth == 12)
		return 0;
	pid = fork();
	if (!pid)
		_exit(generation(p, depth + 1));
	if (!exited(wait_for(pid), 0))
		return 2;
	return differs(p, depth + 1) ? 3 : 0;
}

int main(void)
{
	char *a = map_anon(PAGES * PAGE, MAP_PRIVATE), *s = map_anon(2 * PAGE, MAP_SHARED), *z;
	pid_t pid;
	int fd, bad = 0;

	fill(a, 1);
	pid = split();
	if (!pid) {
		fill(a, 2);
		s[0] = 42;
		_exit(differs(a, 2) ? 1 : 7);
	}
	CHECK(exited(wait_for(pid), 7) && !differs(a, 1) && s[0] == 42,
	      "a child's stores are its own");
	fill(a, 3);
	pid = split();
	if (!pid) {
		while (!*(volatile char *)(s + PAGE))
			sleep_ms(1);
		_exit(differs(a, 3) ? 1 : 8);
	}
	fill(a, 4);
	s[PAGE] = 1;
	CHECK(exited(wait_for(pid), 8) && !differs(a, 4), "a parent's stores are its own");
	fill(a, 0);
	CHECK(generation(a, 0) == 0, "thirteen generations");
	CHECK(!differs(a, 1), "the first one's pages");
	/* Many children of one page set at once. */
	fill(a, 5);
	for (int i = 0; i < 10; i++)
		if (!split()) {
			fill(a, 10 + i);
			sleep_ms(10);
			_exit(differs(a, 10 + i) ? 1 : 0);
		}
	for (int i = 0; i < 10; i++)
		bad += !exited(wait_for(-1), 0);
	CHECK(!bad && !differs(a, 5), "ten children at once");
	/* Zero pages read, then written in one of the two. */
	z = map_anon(PAGES * PAGE, MAP_PRIVATE);
	bad += differs(z, 0);
	pid = split();
	if (!pid) {
		fill(z, 9);
		_exit(differs(z, 9) ? 1 : 0);
	}
	bad += !exited(wait_for(pid), 0);
	CHECK(!bad && !differs(z, 0), "zero pages");
	/* madvise over fork. */
	fill(a, 6);
	MUST(madvise(a, 16 * PAGE, MADV_WIPEONFORK));
	MUST(madvise(a + 16 * PAGE, 16 * PAGE, MADV_DONTFORK));
	pid = split();
	if (!pid) {
		catch_faults(0);
		_exit(a[0] == 0 && a[15 * PAGE] == 0 && a[32 * PAGE] == 6 &&
				      FAULTED(*(volatile char *)(a + 16 * PAGE), SIGSEGV,
					      SEGV_MAPERR, a + 16 * PAGE)
			      ? 5
			      : 1);
	}
	CHECK(exited(wait_for(pid), 5) && a[0] == 6 && a[20 * PAGE] == 6, "WIPEONFORK, DONTFORK");
	MUST(madvise(a, PAGES * PAGE, MADV_DONTNEED));
	CHECK(!differs(a, 0), "DONTNEED brings zeroes");
	/* A private file mapping's copies over fork. */
	fd = MUST(open("/proc/self/exe", O_RDONLY));
	z = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	z[1] = 'e';
	pid = split();
	if (!pid) {
		z[2] = 'l';
		_exit(z[1] == 'e' && z[3] == 'F' ? 4 : 1);
	}
	CHECK(exited(wait_for(pid), 4) && z[1] == 'e' && z[2] == 'L', "a private file page");
	MUST(madvise(z, PAGE, MADV_DONTNEED));
	CHECK(z[1] == 'E', "DONTNEED brings the file back");
	return failures;
}
