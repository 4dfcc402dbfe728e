/* SPDX-License-Identifier: MIT */
/*
 * System calls that store small results while the pages they store into are taken away by another process:
 * a store must never reach a frame that has become somebody else's.
 */
#include "guest.h"

#include <sched.h>

#define ROUNDS 400

static long store(void *to)
{
	return syscall(SYS_sched_getaffinity, 0, 8, to);
}

/* Stores into the first page of the file until that file is 3 pages long. */
static void storer(int file, char *map)
{
	struct stat st;
	long n = 0, bad = 0;

	do {
		for (int i = 0; i < 64; i++) {
			long ret = store(map + 8 * i);

			n++;
			bad += ret != 8 && !(ret == -1 && errno == EFAULT);
		}
		MUST(fstat(file, &st));
	} while (st.st_size != 3 * (long)PAGE);
	_exit(n && !bad ? 0 : 1);
}

int main(void)
{
	int file = MUST(open("file", O_RDWR | O_CREAT, 0600)), dirty = 0;
	char *map, *anon;
	pid_t pid;

	map = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0));
	MUST(ftruncate(file, PAGE));
	pid = split();
	if (!pid)
		storer(file, map);
	munmap(map, PAGE);
	anon = map_anon(16 * PAGE, MAP_PRIVATE);
	for (int round = 0; round < ROUNDS; round++) {
		MUST(ftruncate(file, 0));
		for (int i = 0; i < 16; i++) /* the frame may be among these now */
			anon[i * PAGE + PAGE - 1] = 1;
		sched_yield();
		for (int i = 0; i < 16; i++)
			for (unsigned long at = 0; at < 512; at++)
				dirty += anon[i * PAGE + at] != 0;
		MUST(madvise(anon, 16 * PAGE, MADV_DONTNEED));
		MUST(ftruncate(file, PAGE));
	}
	MUST(ftruncate(file, 3 * PAGE));
	printf("storer: %d, foreign bytes %d\n", exited(wait_for(pid), 0), dirty);
	printf("addresses: zero %ld", store(NULL));
	printf(", kernel %ld", store((void *)0xffff800000000000));
	printf(", the machine's %ld", store((void *)0x680000000000));
	printf(" %ld", store((void *)0x690000000100));
	printf(", end %ld", store((void *)0x7fffffffefff));
	map = map_anon(2 * PAGE, MAP_PRIVATE);
	munmap(map + PAGE, PAGE);
	printf(", across an end %ld", store(map + PAGE - 4));
	mprotect(map, PAGE, PROT_READ);
	printf(", read-only %ld", store(map));
	mprotect(map, PAGE, PROT_READ | PROT_WRITE);
	printf(", again %ld\n", store(map));
	unlink("file");
	return 0;
}
