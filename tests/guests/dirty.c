/* SPDX-License-Identifier: MIT */
/*
 * Dirty shared mappings reach the host's files: the driver looks at them from
 * outside. One file for each way: msync, fsync, munmap, exit, a kill, exec, and
 * a mapping replaced by MAP_FIXED.
 */
#include "guest.h"

#define PAGES 20

static char *map_file(const char *name, int *fdp)
{
	int fd = MUST(open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
	char *p;

	MUST(ftruncate(fd, PAGES * PAGE));
	p = MUST(mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	if (fdp)
		*fdp = fd;
	else
		close(fd);
	return p;
}

static void scribble(char *p, const char *word)
{
	for (int i = 0; i < PAGES; i += 3)
		snprintf(p + i * PAGE + 17 * i, 64, "%s %d", word, i);
}

int main(int argc, char **argv)
{
	char *p;
	int fd;
	pid_t pid;

	if (argc > 1)
		return 0;
	p = map_file("by-msync", NULL);
	scribble(p, "msync");
	MUST(msync(p, PAGES * PAGE, MS_SYNC));
	p = map_file("by-fsync", &fd);
	scribble(p, "fsync");
	MUST(fsync(fd));
	p = map_file("by-munmap", NULL);
	scribble(p, "munmap");
	MUST(munmap(p, PAGES * PAGE));
	p = map_file("by-fixed", NULL);
	scribble(p, "fixed");
	MUST(mmap(p, PAGES * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	pid = split();
	if (!pid) {
		scribble(map_file("by-exec", NULL), "exec");
		execl(argv[0], argv[0], "end", (char *)NULL);
		_exit(98);
	}
	CHECK(exited(wait_for(pid), 0), "exec");
	pid = split();
	if (!pid) {
		scribble(map_file("by-kill", NULL), "kill");
		raise(SIGKILL);
	}
	CHECK(killed(wait_for(pid), SIGKILL), "kill");
	pid = split();
	if (!pid) {
		/* Cut after the stores: what lies behind must not come back. */
		p = map_file("cut", &fd);
		scribble(p, "cut");
		MUST(ftruncate(fd, 2 * PAGE + 5));
		_exit(0);
	}
	CHECK(exited(wait_for(pid), 0), "cut");
	p = map_file("by-unlinked", NULL);
	scribble(p, "gone");
	unlink("by-unlinked");
	p = map_file("mixed", &fd);
	scribble(p, "store");
	MUST(pwrite(fd, "write", 5, 3 * PAGE));
	scribble(map_file("by-exit", NULL), "exit");
	return failures;
}
