/* SPDX-License-Identifier: MIT */
/*
 * locks [SECONDS]: two processes of two threads, which fault, map, protect, move, unmap and fork at
 * once, in private memory, in memory that both share, and in a file that both map.
 */
#include "guest.h"

#define PAGES 64UL
#define SHARED_PAGES 256UL

static unsigned char *common; /* anonymous, shared by all */
static int file; /* SHARED_PAGES long */
static double seconds = 3;

static unsigned int next(unsigned int *state)
{
	*state = *state * 1103515245 + 12345;
	return *state >> 8;
}

static void fill(unsigned char *p, unsigned char value)
{
	for (size_t i = 0; i < PAGES; i++)
		p[i * PAGE] = value;
}

static bool holds(const unsigned char *p, unsigned char value)
{
	for (size_t i = 0; i < PAGES; i++)
		if (p[i * PAGE] != value)
			return false;
	return true;
}

/* Memory of its own, moved and protected; a child sees what was there when it was made. */
static bool own_memory(unsigned int *state)
{
	unsigned char value = (unsigned char)(next(state) | 1), *p, *q;
	bool good;
	pid_t pid;

	p = (unsigned char *)map_anon(PAGES * PAGE, MAP_PRIVATE);
	fill(p, value);
	q = MUST(mremap(p, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE));
	good = holds(q, value) && !q[PAGES * PAGE];
	if (next(state) % 4 == 0) {
		pid = MUST(fork());
		if (!pid) {
			good = holds(q, value);
			fill(q, 0);
			_exit(!good);
		}
		fill(q, (unsigned char)(value + 1));
		good &= wait_for(pid) == 0 && holds(q, (unsigned char)(value + 1));
		fill(q, value);
	}
	MUST(mprotect(q, PAGES * PAGE, PROT_READ));
	good &= holds(q, value);
	MUST(mprotect(q, PAGES * PAGE, PROT_READ | PROT_WRITE));
	MUST(madvise(q, PAGE, MADV_DONTNEED));
	good &= !q[0];
	MUST(munmap(q, 2 * PAGES * PAGE));
	return good;
}

/* What others see, too: a page's bytes are all alike, whoever wrote them last. */
static bool common_memory(unsigned int *state)
{
	size_t at = next(state) % (SHARED_PAGES - 8);
	unsigned char value = (unsigned char)next(state), *p;

	p = MUST(
		mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)(at * PAGE)));
	for (size_t i = 0; i < 8; i++) {
		p[i * PAGE + 1] = value;
		common[(at + i) * PAGE] = value;
	}
	if (next(state) % 8 == 0)
		MUST(msync(p, 8 * PAGE, MS_SYNC));
	if (next(state) % 8 == 0)
		MUST(pwrite(file, &value, 1, (off_t)(at * PAGE + 2)));
	MUST(munmap(p, 8 * PAGE));
	p = MUST(mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file,
		      (off_t)(at * PAGE)));
	p[0] = value;
	value = p[0] ^ value;
	MUST(munmap(p, 8 * PAGE));
	return !value;
}

static void *thread(void *arg)
{
	unsigned int state = (unsigned int)(size_t)arg;
	double end = now() + seconds;
	size_t bad = 0;

	while (now() < end)
		bad += !own_memory(&state) + !common_memory(&state);
	return (void *)bad;
}

static size_t process(size_t number)
{
	pthread_t other;
	void *bad, *mine;

	pthread_create(&other, NULL, thread, (void *)(2 * number + 1));
	mine = thread((void *)(2 * number + 2));
	pthread_join(other, &bad);
	return (size_t)bad + (size_t)mine;
}

int main(int argc, char **argv)
{
	char name[] = "locksXXXXXX";
	size_t bad;
	pid_t pid;

	if (argc > 1)
		seconds = atof(argv[1]);
	file = MUST(mkstemp(name));
	unlink(name);
	MUST(ftruncate(file, SHARED_PAGES * PAGE));
	common = (unsigned char *)map_anon(SHARED_PAGES * PAGE, MAP_SHARED);
	pid = MUST(fork());
	bad = process((size_t)!pid);
	if (!pid)
		_exit(bad != 0);
	CHECK(!bad && wait_for(pid) == 0, "faulting, mapping and forking at once");
	return failures;
}
