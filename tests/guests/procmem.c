/* SPDX-License-Identifier: MIT */
/* /proc/<pid>/mem and pagemap: results and contents of reads and writes, good and bad. */
#include "guest.h"

#include <sys/uio.h>

static int pagemap, mem;
static char *area; /* read-write, read-only, no access, nothing */
static char buf[4 * PAGE];
static void *volatile nowhere = (void *)8;

#define SHOW(call)                                                                 \
	({                                                                         \
		long r_;                                                           \
                                                                                   \
		errno = 0;                                                         \
		r_ = (long)(call);                                                 \
		printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerror(errno) : ""); \
	})

static void show_entry(const char *what, const void *p)
{
	uint64_t entry = 0;
	long n = pread(pagemap, &entry, 8, (off_t)((uintptr_t)p / PAGE * 8));

	printf("%s: %ld, flags %03lx, %s frame\n", what, n, (unsigned long)(entry >> 55),
	       entry << 9 ? "a" : "no");
	fflush(stdout);
}

static void test_pagemap(void)
{
	char *priv = map_anon(8 * PAGE, MAP_PRIVATE), *shared = map_anon(2 * PAGE, MAP_SHARED);
	const off_t at = (off_t)((uintptr_t)priv / PAGE * 8);
	uint64_t entries[600];
	struct iovec iov[2] = { { entries, 16 }, { entries + 2, 8 } };
	pid_t pid;

	madvise(priv, 8 * PAGE, MADV_NOHUGEPAGE);
	priv[0] = shared[0] = 1;
	(void)*(volatile char *)(priv + 4 * PAGE);
	show_entry("written", priv);
	show_entry("only read", priv + 4 * PAGE);
	show_entry("shared", shared);
	show_entry("shared, not touched", shared + PAGE);
	show_entry("nothing", (void *)0x10000000);
	pid = split();
	if (!pid) {
		show_entry("the parent's, for a child", priv);
		close(pagemap);
		pagemap = MUST(open("/proc/self/pagemap", O_RDONLY));
		show_entry("a child's", priv);
		priv[0] = 2;
		show_entry("a child's, copied", priv);
		_exit(0);
	}
	wait_for(pid);
	show_entry("the parent's afterwards", priv);
	show_entry("the top", (void *)0x7ffffffff000);
	show_entry("beyond", (void *)0x7fffffffffff000);
	SHOW(pread(pagemap, entries, 12, 0));
	SHOW(pread(pagemap, entries, 8, 4));
	SHOW(pread(pagemap, entries, 0, 8));
	SHOW(pread(pagemap, nowhere, 8, 0));
	SHOW(pread(pagemap, entries, sizeof(entries), at));
	SHOW(pread(pagemap, entries, 64, (0x7ffffffff000 / PAGE - 3) * 8));
	SHOW(preadv(pagemap, iov, 2, at));
	SHOW(write(pagemap, entries, 8));
	SHOW(lseek(pagemap, at, SEEK_SET) == at);
	SHOW(read(pagemap, entries, 16));
	SHOW(lseek(pagemap, 0, SEEK_CUR) - at);
}

static void test_mem(void)
{
	const off_t at = (off_t)area;
	char *ro = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	struct iovec iov[3] = { { buf, 10 }, { buf + 20, 3 * PAGE }, { buf, 10 } };
	int rdonly = MUST(open("/proc/self/mem", O_RDONLY));

	SHOW(pread(mem, buf, 100, at));
	SHOW(pread(mem, buf, 3 * PAGE, at));
	SHOW(pread(mem, buf, 3 * PAGE, at + PAGE + 1));
	SHOW(pread(mem, buf, 10, at + 3 * PAGE));
	SHOW(pread(mem, buf, 10, 0));
	SHOW(pread(mem, buf, 0, 0));
	SHOW(preadv(mem, iov, 3, at));
	SHOW(preadv2(mem, iov, 3, at, 8));
	SHOW(pwrite(mem, "hello", 5, at + PAGE));
	printf("%.5s\n", area + PAGE);
	SHOW(pwrite(mem, "hello", 5, at + 2 * PAGE));
	SHOW(pread(mem, buf, 5, at + 2 * PAGE));
	printf("%.5s\n", buf);
	SHOW(pwrite(mem, "hello", 5, at + 3 * PAGE - 2));
	SHOW(pread(mem, nowhere, 10, at));
	SHOW(pwrite(mem, nowhere, 10, at));
	SHOW(pread(mem, buf, 10, 0x680000000000));
	SHOW(pread(mem, buf, 10, 0x690000100000));
	SHOW(pwrite(mem, buf, 10, 0x680000000000));
	SHOW(pwrite(mem, buf, 10, 0x690000100000));
	SHOW(pread(mem, buf, 10, -1));
	SHOW(lseek(mem, 0, SEEK_END));
	SHOW(lseek(mem, at, SEEK_SET) == at);
	SHOW(read(mem, buf, 10));
	SHOW(lseek(mem, 0, SEEK_CUR) - at);
	SHOW(write(mem, "abc", 3));
	printf("%.3s\n", area + 10);
	SHOW(lseek(mem, 0, SEEK_CUR) - at);
	SHOW(pwrite(mem, "x", 1, (off_t)ro));
	SHOW(pwrite(mem, "x", 1, (off_t)test_mem) == 1 || errno == EIO);
	SHOW(pwrite(rdonly, "x", 1, at));
	SHOW(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, mem, 0) == MAP_FAILED);
}

static void test_other(void)
{
	const off_t at = (off_t)area;
	char path[64];
	pid_t pid = split();
	int fd;

	if (!pid)
		for (;;)
			pause();
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = MUST(open(path, O_RDWR));
	SHOW(pwrite(fd, "child", 5, at));
	printf("here %d\n", area[0]);
	SHOW(pread(fd, buf, 5, at));
	printf("%.5s\n", buf);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	close(pagemap);
	pagemap = MUST(open(path, O_RDONLY));
	show_entry("another's", area);
	kill(pid, SIGKILL);
	wait_for(pid);
	SHOW(pread(fd, buf, 5, at));
	SHOW(pwrite(fd, buf, 5, at));
	SHOW(pread(pagemap, buf, 8, at / (off_t)PAGE * 8));
}

int main(void)
{
	pagemap = MUST(open("/proc/self/pagemap", O_RDONLY));
	mem = MUST(open("/proc/self/mem", O_RDWR));
	area = map_anon(4 * PAGE, MAP_PRIVATE);
	memset(area, 7, 4 * PAGE);
	MUST(mprotect(area + PAGE, PAGE, PROT_READ));
	MUST(mprotect(area + 2 * PAGE, PAGE, PROT_NONE));
	MUST(munmap(area + 3 * PAGE, PAGE));
	test_pagemap();
	test_mem();
	test_other();
	return 0;
}
