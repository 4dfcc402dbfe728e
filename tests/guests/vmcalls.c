/* SPDX-License-Identifier: MIT */
/*
 * vmcalls - each call of the mmap family with each flag and error of its manual page, where no other guest
 * has it. Prints results; the host's are the right ones. All happens in an area of fixed addresses.
 */
#include "guest.h"

#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#define AREA 0x200000000000UL
#define PAGES 64UL

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 8
#endif
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *at(unsigned long page)
{
	return (char *)AREA + page * PAGE;
}

static const char *result(long r)
{
	static char text[4][40];
	static unsigned int next;
	char *s = text[next++ % 4];

	if (r == -1)
		return strerrorname_np(errno) ?: "E?";
	if ((unsigned long)r >= AREA && (unsigned long)r <= AREA + PAGES * PAGE)
		snprintf(s, 40, "A+%lu", (r - AREA) / PAGE);
	else if (r >= 0 && r < 1L << 20)
		snprintf(s, 40, "%ld", r);
	else
		snprintf(s, 40, "elsewhere");
	return s;
}

#define SAY(call) (printf("%s = %s\n", #call, result((long)(call))), fflush(stdout))

static long map(unsigned long page, unsigned long n, int prot, int flags, int fd, long off)
{
	return syscall(SYS_mmap, page == ~0UL ? 0 : (unsigned long)at(page), n * PAGE, prot, flags,
		       fd, off);
}

static void clear(void)
{
	munmap(at(0), PAGES * PAGE);
}

/* The area's VMAs, and flags of theirs if asked for. */
static void layout(const char *flags)
{
	FILE *f = fopen(flags ? "/proc/self/smaps" : "/proc/self/maps", "r");
	unsigned long start, end, off;
	bool in = false;
	char line[512], perms[8];

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s %lx", &start, &end, perms, &off) == 4) {
			in = start >= AREA && end <= AREA + PAGES * PAGE;
			if (in)
				printf("  %lu+%lu %s\n", (start - AREA) / PAGE,
				       (end - start) / PAGE, perms);
		} else if (in && flags && !strncmp(line, "VmFlags:", 8)) {
			char *save = NULL;

			for (char *w = strtok_r(line + 8, " \n", &save); w;
			     w = strtok_r(NULL, " \n", &save))
				if (strstr(flags, w))
					printf("    %s\n", w);
		}
	}
	fclose(f);
}

static int new_file(unsigned long pages)
{
	int fd = MUST(memfd_create("vmcalls", MFD_ALLOW_SEALING));

	MUST(ftruncate(fd, pages * PAGE));
	return fd;
}

static void test_mmap(void)
{
	int fd = new_file(4), zero = MUST(open("/dev/zero", O_RDWR)),
	    null = MUST(open("/dev/null", O_RDWR));

	printf("-- mmap\n");
	SAY(map(0, 4, RW, ANON | MAP_FIXED, -1, 0));
	SAY(map(2, 1, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	SAY(map(3, 2, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	SAY(map(4, 1, RW, ANON | MAP_FIXED_NOREPLACE | MAP_FIXED, -1, 0));
	SAY(map(3, 1, RW, ANON | MAP_FIXED_NOREPLACE | MAP_FIXED, -1, 0));
	SAY(map(8, 1, RW, ANON, -1, 0));
	SAY(map(8, 0, RW, ANON, -1, 0));
	SAY(map(9, 1, RW, MAP_ANONYMOUS, -1, 0));
	SAY(map(9, 1, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE, -1, 0));
	SAY(map(9, 1, RW, MAP_SHARED_VALIDATE, fd, 0));
	SAY(map(10, 1, RW, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
	SAY(map(10, 1, RW, MAP_SHARED | MAP_SYNC, fd, 0));
	SAY(map(11, 1, RW, MAP_PRIVATE | MAP_SYNC, fd, 0));
	SAY(map(12, 1, RW, MAP_SHARED_VALIDATE | 0x8000000, fd, 0));
	SAY(map(12, 1, RW, MAP_SHARED_VALIDATE | MAP_FIXED_NOREPLACE, fd, 0));
	SAY(map(13, 1, RW, MAP_SHARED | 0x8000000, fd, 0));
	SAY(map(14, 1, RW, MAP_SHARED_VALIDATE | MAP_GROWSDOWN, fd, 0));
	SAY(map(14, 1, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
	SAY(map(14, 1, RW, MAP_DROPPABLE | MAP_PRIVATE, fd, 0));
	SAY(map(14, 1, RW, 7 | MAP_ANONYMOUS, -1, 0));
	SAY(map(14, 1, RW, 5, fd, 0));
	SAY(map(14, 1, RW, MAP_PRIVATE | MAP_HUGETLB, fd, 0));
	SAY(map(14, 1, RW, ANON | MAP_HUGETLB, -1, 0));
	SAY(map(14, 1, RW, ANON | MAP_HUGETLB | 21 << 26, -1, 0));
	SAY(map(14, 1, RW, ANON | MAP_HUGETLB | 5 << 26, -1, 0));
	SAY(map(15, 1, RW | 0x100, ANON | MAP_STACK, -1, 0));
	SAY(map(16, 1, RW, MAP_SHARED, zero, 0));
	SAY(map(17, 1, RW, MAP_PRIVATE, zero, 0));
	SAY(map(18, 1, RW, MAP_PRIVATE, null, 0));
	SAY(map(18, 1, RW, MAP_SHARED, fd, 1));
	SAY(map(18, 1, RW, ANON, -1, 1));
	SAY(map(18, 1, RW, MAP_SHARED | MAP_ANONYMOUS, fd, 1L << 40));
	SAY(map(19, 1, RW, MAP_SHARED, fd, (1L << 62) - (long)PAGE));
	SAY(map(20, 1, RW, MAP_SHARED, fd, LONG_MIN));
	SAY(map(20, 1, RW, MAP_SHARED, fd, -(long)PAGE));
	SAY(syscall(SYS_mmap, 1UL << 47, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	SAY(syscall(SYS_mmap, (1UL << 47) - PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	SAY(syscall(SYS_mmap, at(20) + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	SAY(syscall(SYS_mmap, at(20) + 1, PAGE, RW, ANON, -1, 0));
	SAY(syscall(SYS_mmap, at(22) + 1, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	layout(NULL);
	clear();
	for (int k = 0; k < 3; k++) {
		unsigned long p = (unsigned long)mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0);

		printf("32BIT in the second GiB: %d\n", p >= 1UL << 30 && p < 1UL << 31);
	}
	SAY(syscall(SYS_mmap, 0, 1UL << 30, RW, ANON | MAP_32BIT, -1, 0));
	SAY(syscall(SYS_mmap, 0, (1UL << 31) + PAGE, RW, ANON | MAP_32BIT, -1, 0));
	SAY(syscall(SYS_mmap, 0x50000000, PAGE, RW, ANON | MAP_32BIT, -1, 0) == 0x50000000);
	SAY(syscall(SYS_mmap, at(1), PAGE, RW, ANON | MAP_32BIT, -1, 0) < 1L << 31);
	munmap((void *)0x50000000, PAGE);
	/* Flags in smaps. */
	SAY(map(0, 1, RW, ANON | MAP_FIXED | MAP_NORESERVE, -1, 0));
	SAY(map(2, 1, RW, ANON | MAP_FIXED | MAP_LOCKED, -1, 0));
	SAY(map(4, 1, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0));
	SAY(map(6, 1, RW, ANON | MAP_FIXED | MAP_STACK, -1, 0));
	SAY(map(8, 1, RW, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0));
	SAY(map(10, 1, RW, ANON | MAP_FIXED | MAP_POPULATE, -1, 0));
	SAY(map(12, 1, RW, ANON | MAP_FIXED | MAP_POPULATE | MAP_NONBLOCK, -1, 0));
	layout("gd nr lo ac nh sh");
	for (unsigned long p = 2; p <= 12; p += 2) {
		unsigned char v = 0;

		if (p != 8 && p != 4 && p != 6 && !mincore(at(p), PAGE, &v))
			printf("  page %lu resident %d\n", p, v & 1);
	}
	clear();
	close(fd);
	close(zero);
	close(null);
}

/* What is refused only when the place has been cleared; what is not looked at. */
static void test_order(void)
{
	struct iovec none = { at(0), 0 }, bad = { at(0), -1UL };

	printf("-- order\n");
	map(3, 1, RW, ANON | MAP_FIXED, -1, 0);
	SAY(map(0, 1, RW, ANON | MAP_FIXED_NOREPLACE | MAP_HUGETLB, -1, 0));
	SAY(map(0, 1, RW, ANON | MAP_FIXED | MAP_HUGETLB | 5 << 26, -1, 0));
	SAY(map(0, 3, RW, MAP_ANONYMOUS | MAP_SHARED_VALIDATE | MAP_SYNC | MAP_HUGETLB, -1, 0));
	SAY(map(4, 1, RW, ANON | MAP_FIXED | MAP_SYNC, -1, 0)); /* keeps apart */
	layout(NULL);
	SAY(map(0, 1, RW, ANON | MAP_FIXED | MAP_HUGETLB, -1, 0));
	layout(NULL);
	SAY(process_vm_readv(getpid(), &none, 1, &bad, 1, 0));
	SAY(process_vm_readv(getpid(), &bad, 1, &none, 1, 0));
	SAY(process_vm_readv(999999, &none, 1, &none, 1, 0));
	clear();
}

static void test_access_modes(void)
{
	char name[] = "vmcalls.XXXXXX";
	int rw = MUST(mkstemp(name)), ro = MUST(open(name, O_RDONLY)),
	    wo = MUST(open(name, O_WRONLY));
	int dir = MUST(open(".", O_RDONLY | O_DIRECTORY)), path = MUST(open(name, O_PATH)), p[2];

	printf("-- modes of opening\n");
	MUST(ftruncate(rw, 3 * PAGE));
	MUST(pipe(p));
	SAY(map(0, 1, PROT_READ, MAP_SHARED, ro, 0));
	SAY(map(1, 1, RW, MAP_SHARED, ro, 0));
	SAY(map(1, 1, RW, MAP_PRIVATE, ro, 0));
	SAY(map(2, 1, PROT_READ, MAP_SHARED, wo, 0));
	SAY(map(2, 1, PROT_WRITE, MAP_SHARED, wo, 0));
	SAY(map(2, 1, PROT_WRITE, MAP_PRIVATE, wo, 0));
	SAY(map(2, 1, PROT_READ, MAP_PRIVATE, dir, 0));
	SAY(map(2, 1, PROT_READ, MAP_PRIVATE, path, 0));
	SAY(map(2, 1, PROT_READ, MAP_PRIVATE, p[0], 0));
	SAY(map(2, 1, PROT_READ, MAP_PRIVATE, p[1], 0));
	SAY(map(2, 1, PROT_READ, MAP_PRIVATE, 12345, 0));
	SAY(mprotect(at(0), PAGE, RW));
	SAY(mprotect(at(1), PAGE, RW | PROT_EXEC));
	SAY(map(4, 1, PROT_READ, MAP_SHARED, rw, 0));
	SAY(mprotect(at(4), PAGE, RW));
	SAY(map(5, 1, RW, MAP_SHARED, rw, 100 * (long)PAGE));
	layout("sh mw me mr");
	for (int i = 0; i < 2; i++)
		close(p[i]);
	close(rw);
	close(ro);
	close(wo);
	close(dir);
	close(path);
	unlink(name);
	clear();
}

static void test_munmap(void)
{
	printf("-- munmap\n");
	map(0, 8, RW, ANON | MAP_FIXED, -1, 0);
	SAY(munmap(at(0) + 1, PAGE));
	SAY(munmap(at(0), 0));
	SAY(munmap(at(0), 1UL << 47));
	SAY(munmap(at(0), -PAGE));
	SAY(munmap((void *)(1UL << 47), PAGE));
	SAY(munmap((void *)-PAGE, PAGE));
	SAY(munmap(at(20), 4 * PAGE));
	SAY(munmap(at(2), 1));
	SAY(munmap(at(5), 2 * PAGE - 1));
	layout(NULL);
	SAY(munmap(at(0), 40 * PAGE));
	layout(NULL);
}

static void test_mprotect(void)
{
	printf("-- mprotect\n");
	map(0, 4, RW, ANON | MAP_FIXED, -1, 0);
	map(6, 4, PROT_READ, ANON | MAP_FIXED, -1, 0);
	map(20, 4, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	SAY(mprotect(at(0) + 1, PAGE, PROT_READ));
	SAY(mprotect(at(0), 0, PROT_READ));
	SAY(mprotect(at(50), 0, PROT_READ));
	SAY(mprotect(at(0), -PAGE, PROT_READ));
	SAY(mprotect(at(0), -1, PROT_READ));
	SAY(mprotect(at(0), 1UL << 63, PROT_READ));
	SAY(mprotect(at(0), PAGE, 0x40));
	SAY(mprotect(at(0), PAGE, PROT_READ | 8));
	SAY(mprotect(at(0), PAGE, PROT_READ | 0x10));
	SAY(mprotect(at(50), PAGE, PROT_READ));
	SAY(mprotect(at(1), 8 * PAGE, PROT_READ));
	layout(NULL);
	SAY(mprotect(at(1), PAGE, RW | PROT_GROWSDOWN));
	SAY(mprotect(at(1), PAGE, RW | PROT_GROWSUP));
	SAY(mprotect(at(1), PAGE, RW | PROT_GROWSUP | PROT_GROWSDOWN));
	SAY(mprotect(at(18), PAGE, PROT_READ | PROT_GROWSDOWN));
	SAY(mprotect(at(18), 4 * PAGE, PROT_READ | PROT_GROWSDOWN));
	SAY(mprotect(at(22), PAGE, PROT_READ | PROT_GROWSDOWN));
	SAY(mprotect(at(50), PAGE, PROT_READ | PROT_GROWSUP));
	SAY(mprotect((void *)-PAGE, PAGE, PROT_READ));
	SAY(mprotect((void *)(1UL << 47), PAGE, PROT_READ));
	layout(NULL);
	SAY(syscall(SYS_pkey_mprotect, at(0), PAGE, PROT_READ, -1));
	clear();
}

static void test_mremap(void)
{
	int fd = new_file(8);

	printf("-- mremap\n");
	map(0, 4, RW, ANON | MAP_FIXED, -1, 0);
	for (int i = 0; i < 4; i++)
		at(i)[0] = 'a' + i;
	SAY(mremap(at(0) + 1, PAGE, PAGE, 0));
	SAY(mremap(at(0), PAGE, 0, 0));
	SAY(mremap(at(0), 0, PAGE, MREMAP_MAYMOVE));
	SAY(mremap(at(0), PAGE, PAGE, 8));
	SAY(mremap(at(0), PAGE, PAGE, MREMAP_FIXED, at(20)));
	SAY(mremap(at(0), PAGE, PAGE, MREMAP_DONTUNMAP, at(20)));
	SAY(mremap(at(0), PAGE, 2 * PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, at(20)));
	SAY(mremap(at(0), PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, at(20) + 1));
	SAY(mremap(at(0), 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, at(1)));
	SAY(mremap(at(1), 2 * PAGE, 2 * PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, at(0)));
	SAY(mremap(at(0), PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, 1UL << 47));
	SAY(mremap(at(0), PAGE, 1UL << 48, MREMAP_MAYMOVE));
	SAY(mremap(at(0), 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE));
	SAY(mremap(at(0), 5 * PAGE, 6 * PAGE, MREMAP_MAYMOVE));
	SAY(mremap(at(0), 5 * PAGE, 4 * PAGE, 0));
	SAY(mremap(at(40), PAGE, PAGE, 0));
	SAY(mremap(at(40), PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	SAY(mremap((void *)-PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
	SAY(mremap(at(1), PAGE, 2 * PAGE, 0));
	SAY(mremap(at(0), 4 * PAGE, 6 * PAGE, 0));
	SAY(mremap(at(0), 6 * PAGE, 3 * PAGE, 0));
	layout(NULL);
	SAY(mremap(at(0), PAGE, PAGE, MREMAP_FIXED | MREMAP_MAYMOVE, at(20)));
	SAY(mremap(at(1), PAGE, PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE | MREMAP_FIXED, at(22)));
	SAY(mremap(at(2), PAGE, PAGE, MREMAP_DONTUNMAP | MREMAP_MAYMOVE, at(24)));
	layout(NULL);
	printf("contents %c %d %c %d %c\n", at(20)[0], at(1)[0], at(22)[0], at(2)[0], at(24)[0]);
	clear();

	map(0, 4, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	at(1)[0] = 'x';
	SAY(mremap(at(1), 0, PAGE, 0));
	SAY(mremap(at(1), 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED);
	SAY(mremap(at(1), 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(30)));
	SAY(mremap(at(1), 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(1)));
	SAY(mremap(at(1), 0, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, at(34)));
	SAY(mremap(at(2), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, at(34)));
	SAY(mremap(at(2), PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(36)));
	layout(NULL);
	printf("contents %c\n", at(30)[0]);
	clear();
	/* Several VMAs at once, which newer kernels move. */
	map(0, 1, RW, ANON | MAP_FIXED, -1, 0);
	map(1, 1, PROT_READ, ANON | MAP_FIXED, -1, 0);
	map(3, 1, PROT_READ, ANON | MAP_FIXED, -1, 0);
	SAY(mremap(at(0), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(40)));
	SAY(mremap(at(39), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(10)));
	layout(NULL);
	clear();
	close(fd);
}

static void test_brk(void)
{
	unsigned long start = syscall(SYS_brk, 0), r;

	printf("-- brk\n");
	r = syscall(SYS_brk, start + 3 * PAGE + 5);
	printf("grown %ld\n", (long)(r - start));
	r = syscall(SYS_brk, 1UL << 47);
	printf("too far %ld\n", (long)(r - start));
	r = syscall(SYS_brk, 1);
	printf("too low %ld\n", (long)(r - start));
	r = syscall(SYS_brk, start + 5);
	printf("shrunk %ld\n", (long)(r - start));
	MUST(mmap((void *)((start + 4 * PAGE) & -PAGE), PAGE, RW, ANON | MAP_FIXED, -1, 0));
	r = syscall(SYS_brk, start + 6 * PAGE);
	printf("into another %ld\n", (long)(r - start));
	munmap((void *)((start + 4 * PAGE) & -PAGE), PAGE);
	r = syscall(SYS_brk, start);
	printf("back %ld\n", (long)(r - start));
}

static void test_madvise(void)
{
	static const int kinds[] = { 0,	 1,  2,	 3,  4,	 8,  9,	 10, 11, 12, 13, 14, 15, 16, 17,
				     18, 19, 20, 21, 22, 23, 24, 25, 26, 5,  6,	 7,  -1, 99 };
	int fd = new_file(4);

	printf("-- madvise\n");
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int k = kinds[i];

		if (k == MADV_MERGEABLE || k == MADV_UNMERGEABLE)
			continue;
		clear();
		map(0, 2, RW, ANON | MAP_FIXED, -1, 0);
		map(2, 2, RW, MAP_SHARED | MAP_FIXED, fd, 0);
		map(4, 2, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
		map(6, 2, RW, ANON | MAP_FIXED | MAP_LOCKED, -1, 0);
		map(8, 2, PROT_NONE, ANON | MAP_FIXED, -1, 0);
		at(0)[0] = 1;
		at(2)[0] = 1;
		at(6)[0] = 1;
		printf("advice %d\n", k);
		SAY(madvise(at(0), PAGE, k));
		SAY(madvise(at(2), PAGE, k));
		SAY(madvise(at(4), PAGE, k));
		SAY(madvise(at(6), PAGE, k));
		SAY(madvise(at(8), PAGE, k));
		SAY(madvise(at(9), 2 * PAGE, k));
		SAY(madvise(at(20), PAGE, k));
		SAY(madvise(at(0) + 1, PAGE, k));
		SAY(madvise(at(0), 0, k));
		SAY(madvise(at(20), 0, k));
		SAY(madvise(at(0), -1, k));
		SAY(madvise(at(0), -PAGE, k));
		SAY(madvise((void *)-PAGE, PAGE, k));
		SAY(madvise((void *)(1UL << 47), PAGE, k));
		layout("dc de dd sr rr hg nh wf lo");
		if (k != 8)
			printf("contents %d %d %d\n", at(0)[0], at(2)[0], at(6)[0]);
	}
	clear();
	close(fd);
}

static void test_sync(void)
{
	int fd = new_file(4);
	unsigned char vec[8];

	printf("-- msync, mincore\n");
	map(0, 2, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	map(3, 1, RW, ANON | MAP_FIXED, -1, 0);
	map(5, 1, RW, ANON | MAP_FIXED | MAP_LOCKED, -1, 0);
	SAY(msync(at(0), PAGE, MS_SYNC));
	SAY(msync(at(0), PAGE, MS_ASYNC | MS_SYNC));
	SAY(msync(at(0), PAGE, 0));
	SAY(msync(at(0), PAGE, 8));
	SAY(msync(at(0) + 1, PAGE, MS_SYNC));
	SAY(msync(at(0), -1, MS_SYNC));
	SAY(msync(at(0), -PAGE, MS_SYNC));
	SAY(msync(at(0), 0, MS_SYNC));
	SAY(msync(at(40), 0, MS_SYNC));
	SAY(msync(at(0), 4 * PAGE, MS_SYNC));
	SAY(msync(at(0), 4 * PAGE, MS_ASYNC));
	SAY(msync(at(2), PAGE, MS_ASYNC));
	SAY(msync(at(3), PAGE, MS_SYNC | MS_INVALIDATE));
	SAY(msync(at(5), PAGE, MS_SYNC | MS_INVALIDATE));
	SAY(msync(at(5), PAGE, MS_INVALIDATE));
	SAY(mincore(at(0) + 1, PAGE, vec));
	SAY(mincore(at(0), 0, vec));
	SAY(mincore(at(0), -1, vec));
	SAY(mincore(at(0), 1UL << 48, vec));
	SAY(mincore(at(0), PAGE, (void *)8));
	SAY(mincore(at(0), 0, (void *)8));
	SAY(mincore(at(0), PAGE, (void *)-PAGE));
	SAY(mincore(at(2), PAGE, vec));
	SAY(mincore(at(1), 2 * PAGE, vec));
	SAY(mincore((void *)(1UL << 47), PAGE, vec));
	SAY(mincore((void *)-PAGE, PAGE, vec));
	SAY(mincore(at(5), 1, vec));
	clear();
	close(fd);
}

static void test_mlock(void)
{
	printf("-- mlock\n");
	map(0, 4, RW, ANON | MAP_FIXED, -1, 0);
	map(6, 2, PROT_NONE, ANON | MAP_FIXED, -1, 0);
	SAY(mlock(at(0) + 1, PAGE));
	layout("lo lf");
	SAY(mlock(at(1), 0));
	SAY(mlock(at(50), 0));
	SAY(mlock(at(3), 2 * PAGE));
	SAY(mlock(at(6), PAGE));
	SAY(mlock(at(0), -1));
	SAY(mlock(at(0), -PAGE));
	SAY(mlock(at(50), PAGE));
	SAY(syscall(SYS_mlock2, at(2), PAGE, 1));
	SAY(syscall(SYS_mlock2, at(2), PAGE, 2));
	SAY(syscall(SYS_mlock2, at(2), PAGE, -1));
	layout("lo lf");
	SAY(munlock(at(0), 4 * PAGE));
	SAY(munlock(at(0), 6 * PAGE));
	SAY(munlock(at(0), -1));
	SAY(munlock(at(50), PAGE));
	SAY(munlock(at(50), 0));
	layout("lo lf");
	SAY(mlockall(0));
	SAY(mlockall(MCL_ONFAULT));
	SAY(mlockall(8));
	SAY(mlockall(MCL_CURRENT | 8));
	SAY(mlockall(MCL_FUTURE | MCL_ONFAULT));
	map(20, 2, RW, ANON | MAP_FIXED, -1, 0);
	layout("lo lf");
	SAY(mlockall(MCL_FUTURE));
	map(24, 2, RW, ANON | MAP_FIXED, -1, 0);
	layout("lo lf");
	SAY(munlockall());
	layout("lo lf");
	clear();
}

static void test_remap_file_pages(void)
{
	int fd = new_file(8);

	printf("-- remap_file_pages\n");
	map(0, 4, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	map(6, 2, RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
	map(10, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	for (int i = 0; i < 4; i++)
		at(i)[0] = 'a' + i;
	SAY(remap_file_pages(at(0), PAGE, 0, 3, 0));
	SAY(remap_file_pages(at(1), PAGE, 1, 3, 0));
	SAY(remap_file_pages(at(1), PAGE, 0, 3, MAP_NONBLOCK));
	SAY(remap_file_pages(at(2) + 5, PAGE + 5, 0, 0, 0));
	SAY(remap_file_pages(at(3), 2 * PAGE, 0, 0, 0));
	SAY(remap_file_pages(at(3), 0, 0, 0, 0));
	SAY(remap_file_pages(at(3), -PAGE, 0, 0, 0));
	SAY(remap_file_pages(at(3), PAGE, 0, -1UL, 0));
	SAY(remap_file_pages(at(3), PAGE, 0, (1UL << 52) - 1, 0));
	SAY(remap_file_pages(at(6), PAGE, 0, 0, 0));
	SAY(remap_file_pages(at(10), PAGE, 0, 1, 0));
	SAY(remap_file_pages(at(40), PAGE, 0, 1, 0));
	printf("contents %c %c %c %c\n", at(0)[0], at(1)[0], at(2)[0], at(3)[0]);
	layout(NULL);
	/* Over two mappings made apart of one file. */
	map(20, 2, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	map(22, 2, RW, MAP_SHARED | MAP_FIXED, fd, 5 * PAGE);
	SAY(remap_file_pages(at(21), 2 * PAGE, 0, 3, 0));
	layout(NULL);
	clear();
	close(fd);
}

/* The gap that stays free below what grows. */
static void test_grows(void)
{
	unsigned long top = AREA + (1UL << 32);
	int fd;
	char *p = MUST(mmap((void *)top, 2 * PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0));

	printf("-- stacks\n");
	printf("grow %d\n", TRY(*(volatile char *)(p - 1) = 1));
	printf("grow far %d\n", TRY(*(volatile char *)(p - 64 * PAGE) = 1));
	SAY(mmap(p - 200 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p - 200 * PAGE);
	printf("into the gap %d\n", TRY(*(volatile char *)(p - 65 * PAGE) = 1));
	SAY(munmap(p - 200 * PAGE, PAGE));
	SAY(mmap(p - 200 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) == p - 200 * PAGE);
	printf("next to no access %d\n", TRY(*(volatile char *)(p - 199 * PAGE) = 1));
	printf("within the neighbour %d\n", TRY(*(volatile char *)(p - 200 * PAGE) = 1));
	SAY(munmap(p - 200 * PAGE, PAGE));
	/* A hint in the gap is not taken. */
	SAY(mmap(p - 300 * PAGE, PAGE, RW, ANON, -1, 0) == p - 300 * PAGE);
	SAY(mmap(p - 700 * PAGE, PAGE, RW, ANON, -1, 0) == p - 700 * PAGE);
	munmap(p - 1000 * PAGE, 1002 * PAGE);
	/* What is read to where a stack may not grow is not lost. */
	mmap(p, PAGE, RW, ANON | MAP_FIXED, -1, 0);
	mmap(p + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
	fd = MUST(memfd_create("s", 0));
	ftruncate(fd, PAGE);
	SAY(read(fd, p + 3 * PAGE, 100));
	printf("then at %ld\n", (long)lseek(fd, 0, SEEK_CUR));
	close(fd);
	munmap(p, 5 * PAGE);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	catch_faults(0);
	test_mmap();
	test_order();
	test_access_modes();
	test_munmap();
	test_mprotect();
	test_mremap();
	test_brk();
	test_madvise();
	test_sync();
	test_mlock();
	test_remap_file_pages();
	test_grows();
	return 0;
}
