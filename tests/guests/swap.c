/* SPDX-License-Identifier: MIT */
/*
 * Memory that is sent out of RAM again and again: private, shared, of System V, inherited, by processes
 * and threads at a time. What is read is what was written, and the calls on such memory do what they do
 * otherwise. (On a host without swap it stays where it is.)
 */
#include "guest.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define PAGES 300UL

static void out(char *p, size_t pages)
{
	madvise(p, pages * PAGE, MADV_PAGEOUT);
}

static void fill(char *p, size_t pages, uint64_t salt)
{
	for (size_t i = 0; i < pages; i++)
		for (size_t at = 0; at < PAGE; at += 512)
			*(uint64_t *)(p + i * PAGE + at) = salt ^ (i << 16 | at);
}

static bool holds(const char *p, size_t pages, uint64_t salt)
{
	for (size_t i = 0; i < pages; i++)
		for (size_t at = 0; at < PAGE; at += 512)
			if (*(const uint64_t *)(p + i * PAGE + at) != (salt ^ (i << 16 | at)))
				return false;
	return true;
}

static int end_of(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void round_trips(const char *name, char *p)
{
	bool good = true;

	for (uint64_t salt = 1; salt < 6; salt++) {
		fill(p, PAGES, salt);
		out(p, PAGES);
		good &= holds(p, PAGES, salt);
		out(p + 7 * PAGE, 100);
		good &= holds(p, PAGES, salt);
	}
	CHECK(good, "%s memory comes back", name);
}

/* A child reads and writes what its parent has out, and the parent does not see it. */
static void inherited(void)
{
	char *p = map_anon(PAGES * PAGE, MAP_PRIVATE);
	bool good = true;

	fill(p, PAGES, 11);
	out(p, PAGES);
	for (int i = 0; i < 8; i++) {
		pid_t pid = MUST(fork());

		if (!pid) {
			bool mine = holds(p, PAGES, 11);

			fill(p + (size_t)i * 10 * PAGE, 10, 77);
			out(p, PAGES);
			mine &= holds(p + (size_t)i * 10 * PAGE, 10, 77);
			_exit(!mine);
		}
		out(p, PAGES);
		good &= !end_of(pid);
	}
	CHECK(good, "children have their own");
	CHECK(holds(p, PAGES, 11), "the parent's is as it was");
	munmap(p, PAGES * PAGE);
}

static void calls(void)
{
	char *p = map_anon(PAGES * PAGE, MAP_PRIVATE), *q;
	int fds[2];

	fill(p, PAGES, 5);
	out(p, PAGES);
	MUST(mprotect(p, 50 * PAGE, PROT_NONE));
	MUST(mprotect(p, 50 * PAGE, PROT_READ | PROT_WRITE));
	CHECK(holds(p, 50, 5), "after mprotect");
	out(p, PAGES);
	q = MUST(mremap(p, PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE));
	CHECK(holds(q, PAGES, 5), "after mremap");
	CHECK(!q[PAGES * PAGE] && !q[2 * PAGES * PAGE - 1], "and zeros behind it");
	out(q, PAGES);
	MUST(madvise(q, 10 * PAGE, MADV_DONTNEED));
	CHECK(!q[0] && !q[10 * PAGE - 1], "after MADV_DONTNEED");
	MUST(madvise(q + 10 * PAGE, 10 * PAGE, MADV_WILLNEED));
	fill(q, 10, 5);
	CHECK(holds(q, PAGES, 5), "after MADV_WILLNEED");
	out(q, PAGES);
	MUST(pipe(fds));
	CHECK(write(fds[1], q + 20 * PAGE, 4 * PAGE) == 4 * PAGE, "write from it");
	out(q, PAGES);
	CHECK(read(fds[0], q, 4 * PAGE) == 4 * PAGE, "read into it");
	CHECK(!memcmp(q, q + 20 * PAGE, 4 * PAGE), "the same bytes");
	fill(q, 4, 5);
	MUST(mlock(q, 4 * PAGE));
	errno = 0;
	CHECK(madvise(q, 4 * PAGE, MADV_PAGEOUT) == -1 && errno == EINVAL, "locked memory stays");
	CHECK(holds(q, PAGES, 5), "all of it");
	munmap(q, 2 * PAGES * PAGE);
}

static volatile bool done;

static void *pusher(void *arg)
{
	while (!done)
		out(arg, PAGES);
	return NULL;
}

/* Threads write their pages while another one sends them out. */
static char *arena;

static void *writer(void *arg)
{
	size_t self = (size_t)arg;
	bool good = true;

	for (uint64_t round = 1; round < 40; round++) {
		for (size_t i = self; i < PAGES; i += 3)
			*(uint64_t *)(arena + i * PAGE + round * 8) = round * i;
		for (size_t i = self; i < PAGES; i += 3)
			good &= *(uint64_t *)(arena + i * PAGE + round * 8) == round * i &&
				*(uint64_t *)(arena + i * PAGE + (round / 2) * 8) == round / 2 * i;
	}
	return (void *)good;
}

static void threads(const char *name, int flags)
{
	pthread_t push, thread[3];
	bool good = true;

	arena = map_anon(PAGES * PAGE, flags);
	done = false;
	pthread_create(&push, NULL, pusher, arena);
	for (size_t i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, writer, (void *)i);
	for (int i = 0; i < 3; i++) {
		void *ret;

		pthread_join(thread[i], &ret);
		good &= ret != NULL;
	}
	done = true;
	pthread_join(push, NULL);
	CHECK(good, "threads in %s memory", name);
	munmap(arena, PAGES * PAGE);
}

/* Processes that end, by whatever way, with memory out. */
static void ends(void)
{
	bool good = true;

	for (int i = 0; i < 12; i++) {
		pid_t pid = MUST(fork());

		if (!pid) {
			char *p = map_anon(PAGES * PAGE, i % 2 ? MAP_SHARED : MAP_PRIVATE);

			fill(p, PAGES, 3);
			out(p, PAGES);
			if (i % 3 == 1)
				raise(SIGKILL);
			if (i % 3 == 2)
				execl("/bin/true", "true", NULL);
			_exit(0);
		}
		good &= end_of(pid) == (i % 3 == 1 ? -1 : 0);
	}
	CHECK(good, "ends of processes");
}

int main(void)
{
	char *shared = map_anon(PAGES * PAGE, MAP_SHARED), *seg;
	int id = MUST(shmget(IPC_PRIVATE, PAGES * PAGE, 0600));

	round_trips("private", map_anon(PAGES * PAGE, MAP_PRIVATE));
	round_trips("shared", shared);
	seg = MUST(shmat(id, NULL, 0));
	round_trips("System V", seg);
	shmdt(seg);
	seg = MUST(shmat(id, NULL, 0));
	CHECK(holds(seg, PAGES, 5), "a segment attached again");
	MUST(shmctl(id, IPC_RMID, NULL));
	out(seg, PAGES);
	inherited();
	calls();
	threads("private", MAP_PRIVATE);
	threads("shared", MAP_SHARED);
	ends();
	CHECK(holds(shared, PAGES, 5) && holds(seg, PAGES, 5),
	      "what was there before is still there");
	return failures != 0;
}
