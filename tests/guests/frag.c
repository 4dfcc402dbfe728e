/* SPDX-License-Identifier: MIT */
/* 80,000 scattered single-page mappings: more than the host allows one process (65,530). */
#include "guest.h"

#define PAGES 80000L

int main(void)
{
	char *big = map_anon(PAGES * PAGE, MAP_PRIVATE | MAP_NORESERVE);
	long wrong = 0, zero = 0;
	pid_t pid;

	/* One touch in the odd pages after all the even ones: no two neighbours are adjacent. */
	for (long i = 0; i < PAGES; i += 2)
		big[i * PAGE] = i % 127;
	for (long i = 1; i < PAGES; i += 2)
		big[i * PAGE] = i % 127;
	for (long i = 0; i < PAGES; i++)
		wrong += big[i * PAGE] != i % 127;
	CHECK(!wrong, "%ld pages, evens then odds", PAGES);
	/* In a scrambled order, with a stride coprime to the number of pages. */
	madvise(big, PAGES * PAGE, MADV_DONTNEED);
	for (long i = 0, at = 0; i < PAGES; i++, at = (at + 33331) % PAGES)
		big[at * PAGE + 8] = at % 101;
	for (long i = 0; i < PAGES; i++)
		wrong += big[i * PAGE + 8] != i % 101 || big[i * PAGE];
	CHECK(!wrong, "scrambled order");
	pid = split();
	if (!pid) {
		for (long i = 0; i < PAGES; i += 3)
			big[i * PAGE + 8] = 1;
		for (long i = 0; i < PAGES; i++)
			wrong += big[i * PAGE + 8] != (i % 3 ? i % 101 : 1);
		_exit(!!wrong);
	}
	CHECK(exited(wait_for(pid), 0), "copied on write in a child");
	for (long i = 0; i < PAGES; i++)
		wrong += big[i * PAGE + 8] != i % 101;
	CHECK(!wrong, "unchanged in the parent");
	munmap(big, PAGES * PAGE);

	/* Real VMAs this time: 20,000 mappings with a hole between them. */
	big = MUST(mmap(NULL, 40000 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0));
	munmap(big, 40000 * PAGE);
	for (long i = 0; i < 20000; i++) {
		char *p = mmap(big + 2 * i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != big + 2 * i * PAGE)
			wrong++;
		else
			*p = i % 99;
	}
	CHECK(!wrong, "20000 VMAs");
	for (long i = 0; i < 20000; i++)
		zero += big[2 * i * PAGE] != i % 99;
	CHECK(!zero, "their contents");
	CHECK(munmap(big, 40000 * PAGE) == 0, "unmapped at once");
	return failures;
}
