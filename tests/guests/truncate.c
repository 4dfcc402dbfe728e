/* SPDX-License-Identifier: MIT */
/* Cutting a file unmaps what lay behind from every process, shared and private; growing brings zeroes. */
#include "guest.h"

static int up[2], down[2];

static void tell(int fd)
{
	MUST(write(fd, "x", 1));
}

static void hear(int fd)
{
	char c;

	MUST(read(fd, &c, 1));
}

static int child(char *shared, char *private)
{
	volatile char sink;
	int bad = 0;

	for (int i = 0; i < 8; i++)
		sink = shared[i * PAGE] + private[i * PAGE];
	(void)sink;
	private[5 * PAGE] = 9; /* a private copy, gone too after the cut */
	tell(up[1]);
	hear(down[0]);
	bad |= !FAULTED(*(volatile char *)(shared + 4 * PAGE), SIGBUS, BUS_ADRERR,
			shared + 4 * PAGE);
	bad |= 2 * !FAULTED(*(volatile char *)(private + 5 * PAGE), SIGBUS, BUS_ADRERR,
			    private + 5 * PAGE);
	bad |= 4 * (shared[3 * PAGE] != 3);
	tell(up[1]);
	hear(down[0]);
	bad |= 8 * (shared[4 * PAGE] != 0 || private[5 * PAGE] != 0);
	shared[6 * PAGE] = 77;
	tell(up[1]);
	hear(down[0]);
	return bad;
}

int main(void)
{
	char name[] = "truncXXXXXX", buf[PAGE];
	int fd = MUST(mkstemp(name)), st;
	char *shared, *private;
	pid_t pid;

	catch_faults(0);
	for (int i = 0; i < 8; i++) {
		memset(buf, i, PAGE);
		MUST(write(fd, buf, PAGE));
	}
	shared = MUST(mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	private = MUST(mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	CHECK(FAULTED(*(volatile char *)(shared + 8 * PAGE), SIGBUS, BUS_ADRERR, shared + 8 * PAGE),
	      "SIGBUS behind the end");
	MUST(pipe(up));
	MUST(pipe(down));
	pid = split();
	if (!pid)
		_exit(child(shared, private));
	hear(up[0]);
	for (int i = 0; i < 8; i++)
		shared[i * PAGE + 1] = private[i * PAGE] + 1;
	MUST(ftruncate(fd, 4 * PAGE));
	CHECK(FAULTED(*(volatile char *)(shared + 4 * PAGE) = 1, SIGBUS, BUS_ADRERR,
		      shared + 4 * PAGE),
	      "cut: SIGBUS here");
	tell(down[1]);
	hear(up[0]);
	MUST(ftruncate(fd, 8 * PAGE));
	CHECK(shared[4 * PAGE] == 0 && shared[7 * PAGE + 1] == 0, "grown: zeroes");
	tell(down[1]);
	hear(up[0]);
	CHECK(shared[6 * PAGE] == 77, "a child's store is seen");
	MUST(pread(fd, buf, 1, 6 * PAGE));
	CHECK(buf[0] == 77, "and read");
	tell(down[1]);
	st = wait_for(pid);
	CHECK(exited(st, 0), "the child's view (%#x)", st);
	/* The partial page: what lies behind the end is zeroed. */
	memset(shared, 5, PAGE);
	MUST(ftruncate(fd, 100));
	CHECK(shared[99] == 5 && shared[100] == 0 && shared[PAGE - 1] == 0, "the last page's tail");
	MUST(ftruncate(fd, PAGE));
	CHECK(shared[100] == 0, "stays zero when the file grows");
	/* O_TRUNC is a cut. */
	memset(shared, 6, PAGE);
	close(MUST(open(name, O_RDWR | O_TRUNC)));
	CHECK(FAULTED(*(volatile char *)shared, SIGBUS, BUS_ADRERR, shared), "O_TRUNC");
	/* A call on the lost page: EFAULT. */
	CHECK(pwrite(down[1], shared, 1, 0) < 0 && write(down[1], shared, 1) < 0 && errno == EFAULT,
	      "EFAULT for a lost page");
	/* The default action. */
	pid = split();
	if (!pid) {
		signal(SIGBUS, SIG_DFL);
		_exit(*(volatile char *)shared);
	}
	CHECK(killed(wait_for(pid), SIGBUS), "SIGBUS kills");
	unlink(name);
	return failures;
}
