/* SPDX-License-Identifier: MIT */
/* Descriptors and mappings of one file agree at all times, over processes. */
#include "guest.h"

#include <sys/sendfile.h>
#include <sys/uio.h>

#define PAGES 16

static char buf[PAGES * 4096];

static int child(int fd, const char *name, int in, int out)
{
	int again = open(name, O_RDWR);
	char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0);
	char c;

	for (int i = 0; i < 200; i++) {
		int page = i % PAGES;
		char got;

		if (read(in, &c, 1) != 1)
			return 1;
		if (map[page * PAGE + i] != (char)i)
			return 2;
		if (pread(fd, &got, 1, page * PAGE + i) != 1 || got != (char)i)
			return 3;
		if (i & 1) {
			map[page * PAGE + i] = i + 1;
		} else {
			got = i + 1;
			if (pwrite(again, &got, 1, page * PAGE + i) != 1)
				return 4;
		}
		if (write(out, "x", 1) != 1)
			return 5;
	}
	return 0;
}

int main(void)
{
	char name[] = "cohXXXXXX", other[] = "coh2XXXXXX", c;
	int fd = MUST(mkstemp(name)), fd2 = MUST(mkstemp(other)), st, bad = 0;
	int down[2], up[2], pipefd[2];
	char *map, *map2, *private;
	off_t off;
	pid_t pid;

	MUST(ftruncate(fd, PAGES * PAGE));
	MUST(ftruncate(fd2, PAGES * PAGE));
	map = MUST(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	map2 = MUST(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd2, 0));
	private = MUST(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));

	memset(map, 1, PAGES * PAGE);
	MUST(pread(fd, buf, sizeof(buf), 0));
	for (size_t i = 0; i < sizeof(buf); i++)
		bad += buf[i] != 1;
	CHECK(!bad, "stores are read");
	memset(buf, 2, sizeof(buf));
	MUST(pwrite(fd, buf, sizeof(buf), 0));
	for (size_t i = 0; i < sizeof(buf); i++)
		bad += map[i] != 2;
	CHECK(!bad, "writes are seen");
	CHECK(private[0] == 2 && private[PAGE * 7] == 2, "in an untouched private page too");
	private[0] = 3;
	memset(map, 4, PAGE);
	CHECK(private[0] == 3 && private[100] == 2 && map[0] == 4, "not in a private copy");

	MUST(pipe(down));
	MUST(pipe(up));
	pid = split();
	if (!pid)
		_exit(child(fd, name, down[0], up[1]));
	for (int i = 0; i < 200; i++) {
		if (i % 3) {
			map[i % PAGES * PAGE + i] = i;
		} else {
			c = i;
			MUST(pwrite(fd, &c, 1, i % PAGES * PAGE + i));
		}
		MUST(write(down[1], "x", 1));
		MUST(read(up[0], &c, 1));
		bad += map[i % PAGES * PAGE + i] != (char)(i + 1);
	}
	st = wait_for(pid);
	CHECK(!bad && exited(st, 0), "two processes in turns (%#x)", st);

	for (int i = 0; i < PAGES; i++)
		memset(map + i * PAGE, 20 + i, PAGE);
	off = 0;
	lseek(fd2, 0, SEEK_SET);
	CHECK(sendfile(fd2, fd, &off, PAGES * PAGE) == (ssize_t)(PAGES * PAGE) &&
		      !memcmp(map, map2, PAGES * PAGE),
	      "sendfile");
	for (int i = 0; i < PAGES; i++)
		memset(map2 + i * PAGE, 60 + i, PAGE);
	off = 0;
	{
		loff_t from = 0, to = 0;
		ssize_t n = copy_file_range(fd2, &from, fd, &to, PAGES * PAGE, 0);

		CHECK(n == (ssize_t)(PAGES * PAGE) && !memcmp(map, map2, PAGES * PAGE),
		      "copy_file_range");
	}
	memset(map, 7, PAGES * PAGE);
	MUST(pipe(pipefd));
	{
		loff_t from = 0, to = 0;
		bool ok = true;

		while (from < (loff_t)(4 * PAGE) && ok) {
			ssize_t n = splice(fd, &from, pipefd[1], NULL, PAGE, 0);

			ok = n > 0 && splice(pipefd[0], NULL, fd2, &to, n, 0) == n;
		}
		CHECK(ok && !memcmp(map, map2, 4 * PAGE) && map2[4 * PAGE] == 64, "splice");
	}
	/* readv into two pieces, one of them a mapping of the same file. */
	{
		struct iovec iov[2] = { { buf, 10 }, { map + 8 * PAGE, 10 } };

		memset(map, 9, 20);
		lseek(fd, 0, SEEK_SET);
		CHECK(readv(fd, iov, 2) == 20 && buf[9] == 9 && map[8 * PAGE + 9] == 9 &&
			      map[8 * PAGE + 10] == 7,
		      "readv into the file's own mapping");
	}
	CHECK(pwrite(fd, map, PAGE, 0) == (ssize_t)PAGE && map[0] == 9,
	      "a page written onto itself");
	CHECK(pwrite(fd, map + 12 * PAGE, PAGE, 2 * PAGE) == (ssize_t)PAGE && map[2 * PAGE] == 7,
	      "from the mapping to another page");
	/* Through a second descriptor, appended. */
	{
		int ap = MUST(open(name, O_WRONLY | O_APPEND));
		char *more;

		memset(buf, 33, PAGE);
		MUST(write(ap, buf, PAGE));
		more = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGES * PAGE));
		CHECK(more[0] == 33 && more[PAGE - 1] == 33, "appended, then mapped");
		memset(buf, 34, 100);
		MUST(pwrite(fd, buf, 100, PAGES * PAGE));
		CHECK(more[99] == 34 && more[100] == 33, "written behind the mapping's back");
	}
	/* A hole punched, a rename, an unlink: the mapping goes on. */
	MUST(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
	CHECK(map[PAGE] == 0 && map[2 * PAGE] == 7 && map[PAGE - 1] == 7, "a punched hole");
	unlink(name);
	map[0] = 55;
	MUST(pread(fd, buf, 1, 0));
	CHECK(buf[0] == 55, "after unlink");
	close(fd);
	map[1] = 56;
	CHECK(map[0] == 55 && map[1] == 56 && map[5 * PAGE] == 7, "after close");
	unlink(other);
	return failures;
}
