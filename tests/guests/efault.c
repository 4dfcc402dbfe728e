/* SPDX-License-Identifier: MIT */
/* Bad pointers in system calls: EFAULT or a short count, never a signal; good ones need not be touched before. */
#include "guest.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#define BAD ((void *)0x123000)
#define IS_EFAULT(call) (errno = 0, (long)(call) == -1 && errno == EFAULT)

int main(void)
{
	int zero = MUST(open("/dev/zero", O_RDWR)), null = MUST(open("/dev/null", O_RDWR));
	char *rw = map_anon(4 * PAGE, MAP_PRIVATE), *ro, *none;
	int p[2], sv[2], n, fd;
	char name[] = "efaultXXXXXX";
	volatile int faults = 0;

	ro = MUST(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	none = MUST(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	MUST(pipe(p));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	fd = MUST(mkstemp(name));
	unlink(name);

	CHECK(IS_EFAULT(read(zero, BAD, 10)), "read to nowhere");
	CHECK(IS_EFAULT(read(zero, none, 10)), "read to PROT_NONE");
	CHECK(IS_EFAULT(read(zero, ro, 10)), "read to a read-only page");
	CHECK(IS_EFAULT(write(p[1], BAD, 10)), "write from nowhere to a pipe");
	CHECK(IS_EFAULT(write(fd, BAD, 10)), "write from nowhere to a file");
	CHECK(IS_EFAULT(write(fd, none, 10)), "write from PROT_NONE");
	CHECK(write(null, BAD, 10) == 10, "/dev/null does not look");
	CHECK(write(fd, ro, 10) == 10, "write from an untouched read-only page");
	CHECK(IS_EFAULT(open(BAD, O_RDONLY)), "open");
	CHECK(IS_EFAULT(stat(BAD, (struct stat *)rw)), "stat, path");
	CHECK(IS_EFAULT(syscall(SYS_newfstatat, AT_FDCWD, "/", BAD, 0)), "stat, result");
	CHECK(IS_EFAULT(uname(BAD)), "uname");
	CHECK(IS_EFAULT(pipe(BAD)), "pipe");
	CHECK(IS_EFAULT(syscall(SYS_clock_gettime, CLOCK_MONOTONIC_RAW, BAD)), "clock_gettime");
	CHECK(IS_EFAULT(nanosleep(BAD, NULL)), "nanosleep");
	CHECK(IS_EFAULT(syscall(SYS_poll, BAD, 1, 0)), "poll");
	CHECK(IS_EFAULT(syscall(SYS_rt_sigaction, SIGUSR1, BAD, NULL, 8)), "sigaction");
	CHECK(IS_EFAULT(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD, NULL, 8)), "sigprocmask");
	CHECK(IS_EFAULT(send(sv[0], BAD, 4, 0)), "send");
	CHECK(IS_EFAULT(syscall(SYS_getcwd, BAD, 100)), "getcwd");
	CHECK(IS_EFAULT(execve(BAD, NULL, NULL)), "execve");
	CHECK(IS_EFAULT(execve("/bin/true", BAD, NULL)), "execve, arguments");
	CHECK(IS_EFAULT(writev(fd, BAD, 2)), "writev, vector");
	CHECK(IS_EFAULT(syscall(SYS_getdents64, open("/", O_RDONLY), BAD, 1000)), "getdents");
	CHECK(IS_EFAULT(syscall(SYS_readlink, "/proc/self/exe", BAD, 100)), "readlink");
	CHECK(IS_EFAULT(syscall(SYS_wait4, split() ? -1 : (_exit(0), 0), BAD, 0, NULL)), "wait4");

	/* A buffer that ends in nothing: a short count. */
	munmap(rw + 2 * PAGE, 2 * PAGE);
	n = read(zero, rw + 2 * PAGE - 100, 300);
	CHECK(n == 100, "read: 100 of 300 (%d)", n);
	n = pwrite(fd, rw + 2 * PAGE - 100, 300, 0);
	CHECK(n == 100, "write to a file: 100 of 300 (%d)", n);
	memset(rw, 5, 2 * PAGE);
	MUST(pwrite(fd, rw, 2 * PAGE, 0));
	n = pread(fd, rw + 2 * PAGE - 100, 300, 0);
	CHECK(n == 100, "read from a file: 100 of 300 (%d)", n);
	{
		struct iovec iov[2] = { { rw, 3 }, { BAD, 3 } };

		n = writev(fd, iov, 2);
		CHECK(n == 3, "writev with a bad second part (%d)", n);
		lseek(fd, 0, SEEK_SET);
		n = readv(fd, iov, 2);
		CHECK(n == 3, "readv with a bad second part (%d)", n);
	}
	CHECK(IS_EFAULT(write(p[1], rw + 2 * PAGE, 10)), "and from its very end");
	CHECK(IS_EFAULT(read(zero, (void *)0xffff800000001000UL, 10)), "the kernel's half");
	CHECK(IS_EFAULT(read(zero, (void *)-1UL, 1)), "the last byte of all");
	CHECK(read(zero, BAD, 0) == 0, "nothing to nowhere");

	/* Untouched memory is as good as any. */
	{
		size_t len = 300 * PAGE;
		char *big = map_anon(len, MAP_PRIVATE);
		ssize_t got;
		long bad = 0;

		got = read(zero, big, len);
		CHECK(got == (ssize_t)len, "read of 300 untouched pages");
		madvise(big, len, MADV_DONTNEED);
		got = write(null, big, len);
		CHECK(got == (ssize_t)len, "write of 300 untouched pages");
		got = pwrite(fd, big, len, 0);
		CHECK(got == (ssize_t)len, "to a file");
		for (size_t i = 0; i < len; i += PAGE)
			bad += big[i];
		CHECK(!bad, "they are zero");
		got = pread(fd, big + 10, len - 10, 0);
		CHECK(got == (ssize_t)len - 10, "read at an odd place");
	}
	/* What cannot be stored stays where it is. */
	MUST(write(p[1], "data", 4));
	CHECK(IS_EFAULT(read(p[0], ro, 4)) && read(p[0], rw, 100) == 4 && !memcmp(rw, "data", 4),
	      "a pipe keeps what could not be read");
	MUST(lseek(fd, 7, SEEK_SET));
	CHECK(IS_EFAULT(read(fd, ro, 10)) && lseek(fd, 0, SEEK_CUR) == 7,
	      "a file keeps its position");
	/* A word of a file that has become shorter is nowhere. */
	{
		uint32_t *word;

		MUST(ftruncate(fd, PAGE));
		word = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
		CHECK(syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0) == 0,
		      "futex in a file");
		MUST(ftruncate(fd, 0));
		CHECK(IS_EFAULT(syscall(SYS_futex, word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0)),
		      "futex beyond the end of a file");
		MUST(ftruncate(fd, 300 * PAGE));
	}
	CHECK(!faults, "no signal came");
	/* A copy that fails for its source has made the destination's page the program's own. */
	{
		struct iovec bad = { BAD, 100 }, good;
		char *copy;

		MUST(ftruncate(fd, 0));
		MUST(ftruncate(fd, PAGE));
		copy = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
		good = (struct iovec){ copy, 100 };
		CHECK(IS_EFAULT(process_vm_writev(getpid(), &bad, 1, &good, 1, 0)) &&
			      pwrite(fd, "x", 1, 0) == 1 && !copy[0],
		      "process_vm_writev from nowhere");
	}
	return failures;
}
