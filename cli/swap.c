/* SPDX-License-Identifier: MIT */
/*
 * swap.c - the files behind --swap: a nameless one for the run, or one that the user names.
 *
 * A named file that is there must be a swap file, of the size that is asked for: nobody's data are
 * overwritten by a slip. It is locked, so that no two machines swap to it.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli.h"

#define PAGE 4096u
#define MAGIC "SWAPSPACE2"
#define MAGIC_LEN 10

/* Where mkswap puts them. */
#define VERSION_AT 1024
#define LAST_PAGE_AT 1028

static void write_header(int fd, const struct swap_option *s)
{
	unsigned char page[PAGE] = { 0 };
	uint32_t version = 1, last = (uint32_t)(s->bytes / PAGE - 1);

	memcpy(page + VERSION_AT, &version, sizeof(version));
	memcpy(page + LAST_PAGE_AT, &last, sizeof(last));
	memcpy(page + PAGE - MAGIC_LEN, MAGIC, MAGIC_LEN);
	if (pwrite(fd, page, PAGE, 0) != PAGE)
		die(EXIT_QUIRE, "--swap %s: %s", s->text, strerror(errno));
}

/* Bytes that the file system behind fd has for us; the largest number if it does not say. */
static unsigned long long room(int fd)
{
	struct statvfs vfs;

	if (fstatvfs(fd, &vfs) || !vfs.f_blocks)
		return ~0ull;
	return (unsigned long long)vfs.f_bavail * vfs.f_frsize;
}

static int open_nameless(const char *dir)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	if (snprintf(path, sizeof(path), "%s/quire-swap.XXXXXX", dir) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Its blocks are taken as they are written: it may be much larger than what is ever swapped. */
static int temporary(const struct swap_option *s)
{
	const char *dir = getenv("TMPDIR");
	int fd;

	if (!dir || !*dir)
		dir = "/var/tmp";
	fd = open_nameless(dir);
	if (fd < 0)
		die(EXIT_QUIRE, "--swap %s: no file can be made in %s: %s", s->text, dir,
		    strerror(errno));
	if (room(fd) < s->bytes)
		die(EXIT_QUIRE,
		    "--swap %s: %s has room for %lluM only; name a file elsewhere, or set TMPDIR",
		    s->text, dir, room(fd) >> 20);
	if (ftruncate(fd, (off_t)s->bytes))
		die(EXIT_QUIRE, "--swap %s: %s", s->text, strerror(errno));
	write_header(fd, s);
	return fd;
}

static int created(const struct swap_option *s)
{
	int fd = open(s->file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	if (fallocate(fd, 0, 0, (off_t)s->bytes) &&
	    (errno != EOPNOTSUPP || ftruncate(fd, (off_t)s->bytes))) {
		int err = errno;

		unlink(s->file);
		die(EXIT_QUIRE, "--swap %s: %s cannot be made so large: %s", s->text, s->file,
		    strerror(err));
	}
	write_header(fd, s);
	return fd;
}

static int existing(const struct swap_option *s)
{
	int fd = open(s->file, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char magic[MAGIC_LEN];
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die(EXIT_QUIRE, "--swap %s: %s: %s", s->text, s->file, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die(EXIT_QUIRE, "--swap %s: %s is not a regular file", s->text, s->file);
	if (pread(fd, magic, MAGIC_LEN, PAGE - MAGIC_LEN) != MAGIC_LEN ||
	    memcmp(magic, MAGIC, MAGIC_LEN) != 0)
		die(EXIT_QUIRE,
		    "--swap %s: %s exists and is no swap file: mkswap makes one of it, or remove "
		    "it",
		    s->text, s->file);
	if ((uint64_t)st.st_size != s->bytes)
		die(EXIT_QUIRE, "--swap %s: %s has %lld bytes, not %llu", s->text, s->file,
		    (long long)st.st_size, (unsigned long long)s->bytes);
	return fd;
}

static int named(const struct swap_option *s)
{
	int fd = created(s);

	if (fd < 0 && errno == EEXIST)
		fd = existing(s);
	if (fd < 0)
		die(EXIT_QUIRE, "--swap %s: %s: %s", s->text, s->file, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB))
		die(EXIT_QUIRE, "--swap %s: %s is in use by another machine", s->text, s->file);
	return fd;
}

static void name_area(char *name, size_t size, const struct swap_option *s)
{
	char *path = s->file ? realpath(s->file, NULL) : NULL;

	snprintf(name, size, "%s", path ? path : s->file ? s->file : "/quire-swap (deleted)");
	free(path);
}

void swap_open(struct machine *m)
{
	struct machine_params *p = &m->shared->params;

	for (unsigned int i = 0; i < m->opt->nr_swaps; i++) {
		const struct swap_option *s = &m->opt->swap[i];
		struct swap_param *area = &p->swap[i];

		m->swap_fd[i] = s->file ? named(s) : temporary(s);
		area->bytes = s->bytes;
		area->flags = s->prio < 0 ? 0 : 0x8000 | s->prio; /* SWAP_FLAG_PREFER */
		name_area(area->name, sizeof(area->name), s);
	}
	p->nr_swaps = m->opt->nr_swaps;
}

/* The keeper has them, and all processes the first few. */
void swap_close(struct machine *m)
{
	for (unsigned int i = NATIVE_SWAP_FDS; i < m->opt->nr_swaps; i++)
		close(m->swap_fd[i]);
}

void swap_start(struct machine *m)
{
	uint32_t failed;
	long err = m->entry->swapon(&failed);

	if (err)
		die(EXIT_QUIRE, "--swap %s cannot be used: %s", m->opt->swap[failed].text,
		    strerror((int)-err));
}
