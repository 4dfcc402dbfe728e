/* SPDX-License-Identifier: MIT */
/*
 * seals - memfd_create(2) with its flags and errors, seals against what mappings there are, and holes that
 * fallocate(2) makes in what is mapped.
 */
#include "guest.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MFD_EXEC
#define MFD_NOEXEC_SEAL 8
#define MFD_EXEC 16
#endif

#define RW (PROT_READ | PROT_WRITE)

static const char *result(long r)
{
	static char text[4][40];
	static unsigned int next;
	char *s = text[next++ % 4];

	if (r == -1)
		return strerrorname_np(errno) ?: "E?";
	snprintf(s, 40, r >= 0 && r < 1 << 20 ? "%ld" : "yes", r);
	return s;
}

#define SAY(call) (printf("%s = %s\n", #call, result((long)(call))), fflush(stdout))

static long create(const char *name, unsigned int flags)
{
	long fd = syscall(SYS_memfd_create, name, flags);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static void test_create(void)
{
	static char name[300];

	printf("-- memfd_create\n");
	memset(name, 'x', 249);
	SAY(create(name, 0));
	name[249] = 'x';
	SAY(create(name, 0));
	SAY(create("", 0));
	SAY(create((void *)8, 0));
	SAY(create("a", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	SAY(create("a", 0x20));
	SAY(create("a", 0x80000000));
	SAY(create("a", MFD_EXEC));
	SAY(create("a", MFD_NOEXEC_SEAL));
	SAY(create("a", MFD_NOEXEC_SEAL | MFD_EXEC));
	SAY(create("a", 1 << 26));
}

static int memfd(unsigned int flags)
{
	int fd = MUST(memfd_create("seals", flags));

	MUST(ftruncate(fd, 4 * PAGE));
	return fd;
}

static char *map(int fd, int prot, int flags)
{
	return mmap(NULL, 4 * PAGE, prot, flags, fd, 0);
}

static void test_seals(void)
{
	int fd = memfd(0), ro;
	char path[64], *p, *q, c;

	printf("-- without sealing\n");
	SAY(fcntl(fd, F_GET_SEALS));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	close(fd);

	printf("-- size\n");
	fd = memfd(MFD_ALLOW_SEALING);
	SAY(fcntl(fd, F_GET_SEALS));
	SAY(fcntl(fd, F_ADD_SEALS, 0x100));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	SAY(ftruncate(fd, PAGE));
	SAY(ftruncate(fd, 8 * PAGE));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	SAY(ftruncate(fd, 9 * PAGE));
	SAY(pwrite(fd, "x", 1, 8 * PAGE));
	SAY(pwrite(fd, "x", 1, 8 * PAGE - 1));
	SAY(fallocate(fd, 0, 0, 9 * PAGE));
	SAY(fcntl(fd, F_GET_SEALS));
	close(fd);

	printf("-- write\n");
	fd = memfd(MFD_ALLOW_SEALING);
	p = map(fd, RW, MAP_SHARED);
	p[0] = 'a';
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(mprotect(p, 4 * PAGE, PROT_READ));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(munmap(p, 2 * PAGE));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	if (!split()) {
		munmap(p + 2 * PAGE, 2 * PAGE);
		SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
		fflush(stdout);
		_exit(0);
	}
	wait_for(-1);
	SAY(munmap(p + 2 * PAGE, 2 * PAGE));
	p = map(fd, RW, MAP_PRIVATE);
	p[PAGE] = 'b';
	q = map(fd, PROT_READ, MAP_SHARED); /* may be made writable */
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = MUST(open(path, O_RDONLY));
	munmap(q, 4 * PAGE);
	q = map(ro, PROT_READ, MAP_SHARED);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(map(fd, RW, MAP_SHARED));
	SAY(map(fd, PROT_WRITE, MAP_SHARED));
	SAY(map(fd, PROT_READ, MAP_SHARED) != MAP_FAILED);
	SAY(map(fd, RW, MAP_PRIVATE) != MAP_FAILED);
	SAY(mprotect(q, PAGE, RW));
	q = map(fd, PROT_READ, MAP_SHARED);
	SAY(mprotect(q, PAGE, RW));
	SAY(pwrite(fd, "x", 1, 0));
	SAY(ftruncate(fd, PAGE));
	SAY(ftruncate(fd, 8 * PAGE));
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	SAY(madvise(q, PAGE, MADV_REMOVE));
	printf("contents %d %d\n", q[0], p[PAGE]);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	SAY(fcntl(fd, F_GET_SEALS));
	SAY(fcntl(ro, F_ADD_SEALS, F_SEAL_SHRINK));
	close(fd);
	close(ro);

	printf("-- future write\n");
	fd = memfd(MFD_ALLOW_SEALING);
	p = map(fd, RW, MAP_SHARED);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	p[0] = 'c';
	SAY(map(fd, RW, MAP_SHARED));
	q = map(fd, PROT_READ, MAP_SHARED);
	SAY(mprotect(q, PAGE, RW));
	SAY(mprotect(p, PAGE, PROT_READ));
	SAY(mprotect(p, PAGE, RW));
	SAY(pwrite(fd, "x", 1, 0));
	SAY(map(fd, RW, MAP_PRIVATE) != MAP_FAILED);
	SAY(madvise(p, PAGE, MADV_REMOVE));
	SAY(remap_file_pages(p + PAGE, PAGE, 0, 0, 0));
	p[1] = 'e';
	c = 0;
	SAY(pread(fd, &c, 1, 1));
	printf("read %d\n", c);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	p[2] = 'f';
	SAY(munmap(p, 4 * PAGE));
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(pread(fd, &c, 1, 2));
	printf("contents %d %d\n", q[0], c);
	close(fd);
}

/* Seals are against the object, wherever it is mapped: another process, a mapping that moved or grew. */
static void test_elsewhere(void)
{
	int fd = memfd(MFD_ALLOW_SEALING), up[2], down[2];
	char c, *p;
	pid_t pid;

	printf("-- mapped by another\n");
	MUST(pipe(up));
	MUST(pipe(down));
	pid = split();
	if (!pid) {
		p = map(fd, RW, MAP_SHARED);
		p = mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
		p[0] = 'd';
		write(up[1], "x", 1);
		read(down[0], &c, 1);
		_exit(0);
	}
	read(up[0], &c, 1);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	write(down[1], "x", 1);
	wait_for(pid);
	SAY(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	SAY(pread(fd, &c, 1, 0));
	printf("contents %d\n", c);
	close(fd);
}

static void test_punch(int fd, const char *what)
{
	char buf[3 * 4096], *p, *q;
	struct stat st;

	printf("-- holes in %s\n", what);
	MUST(ftruncate(fd, 4 * PAGE));
	p = map(fd, RW, MAP_SHARED);
	q = map(fd, RW, MAP_PRIVATE);
	for (int i = 0; i < 4; i++)
		memset(p + i * PAGE, 'a' + i, PAGE);
	q[PAGE] = 'z';
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE, PAGE, PAGE));
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, 0));
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, -1, PAGE));
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
	printf("shared %d, private %d %d\n", p[PAGE], q[PAGE], q[PAGE + 1]);
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE + 100, 200));
	printf("within a page %d %d %d\n", p[2 * PAGE + 99], p[2 * PAGE + 100], p[2 * PAGE + 300]);
	p[PAGE + 5] = 'y';
	SAY(pread(fd, buf, sizeof(buf), 0));
	printf("read %d %d %d %d\n", buf[0], buf[PAGE], buf[PAGE + 5], buf[2 * PAGE + 100]);
	SAY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 3 * PAGE, 100 * PAGE));
	fstat(fd, &st);
	printf("size %ld, page %d\n", (long)st.st_size / 4096, p[3 * PAGE]);
	SAY(fallocate(fd, 0, 5 * PAGE, PAGE));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size / 4096);
	SAY(madvise(p, PAGE, MADV_REMOVE));
	printf("removed %d %d\n", p[0], q[0]);
	munmap(p, 4 * PAGE);
	munmap(q, 4 * PAGE);
}

int main(void)
{
	int fd, file = MUST(open("punched", O_RDWR | O_CREAT | O_TRUNC, 0600));

	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	test_create();
	test_seals();
	test_elsewhere();
	fd = MUST(memfd_create("p", 0));
	test_punch(fd, "a memfd");
	test_punch(file, "a file");
	return 0;
}
