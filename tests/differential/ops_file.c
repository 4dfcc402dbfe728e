/* SPDX-License-Identifier: MIT */
/*
 * ops_file.c - steps on the files that are mapped: descriptors and mappings must
 * always agree, in every process.
 */
#include "difftest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FILE_PAGES 24

static const char *const names[] = { "shared", "odd", "memfd", "plain" };
static unsigned char buf[8 * 4096];

/* The odd files end in the second half of a page (see pick_spot()). */
static off_t pick_size(struct rng *r, int f)
{
	off_t size = below(r, MAX_FILE_PAGES) * PAGE;

	if (f == F_ODD || f == F_PLAIN)
		if (one_in(r, 2))
			size += 2048 + below(r, 2048);
	return size;
}

/* Writing must not give the whole-page files another kind of size. */
static void pick_range(struct rng *r, int f, off_t *off, size_t *len)
{
	*off = below(r, MAX_FILE_PAGES) * PAGE;
	*len = (1 + below(r, 4)) * PAGE;
	if (f == F_PLAIN) {
		*off += below(r, PAGE);
		*len -= below(r, PAGE);
	} else if (f == F_ODD) {
		*len -= below(r, 2048);
	}
}

static void fill_buf(struct rng *r, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t v = rnd(r);

		memcpy(buf + i, &v, 8);
	}
}

static void say_size(int f)
{
	struct stat st;

	if (fstat(files.fd[f], &st) == 0)
		say(" size %ld", (long)st.st_size);
}

static void op_pwrite(struct ctx *c)
{
	int f = below(&c->rng, NR_FILES);
	off_t off;
	size_t len;

	pick_range(&c->rng, f, &off, &len);
	fill_buf(&c->rng, len);
	say("%s at %ld %zu = ", names[f], (long)off, len);
	say("%s", res(pwrite(files.fd[f], buf, len, off)));
	say_size(f);
}

static void op_pread(struct ctx *c)
{
	int f = below(&c->rng, NR_FILES);
	off_t off;
	size_t len;
	long n;

	pick_range(&c->rng, f, &off, &len);
	say("%s at %ld %zu = ", names[f], (long)off, len);
	n = pread(files.fd[f], buf, len, off);
	say("%s", res(n));
	if (n > 0)
		say(" hash %lx", hash_bytes(buf, n, 7));
}

/* Where in file f, and how much at addr, is to be read or written. */
static off_t pick_extent(struct rng *r, int f, uintptr_t addr, size_t *len)
{
	off_t off = below(r, MAX_FILE_PAGES) * PAGE;

	*len = (1 + below(r, 2048 / 8)) * 8;
	if (f == F_PLAIN) {
		/* A window's last page may be the last of F_ODD: stay in its first half. */
		*len = (1 + below(r, 4)) * PAGE + 1 + below(r, 2000);
		off += below(r, PAGE);
	}
	if (addr < (1UL << 47) - PAGE && !in_window(addr, *len))
		*len = 8;
	return off;
}

/*
 * Between a file and memory of a window. The mapped files move at most the first
 * half of one page, at the same place in the page, so that even a transfer of a
 * page onto itself has one outcome; the file that is never mapped moves more.
 */
static void op_transfer(struct ctx *c)
{
	struct rng *r = &c->rng;
	bool in = one_in(r, 2), vec = one_in(r, 3);
	int f = below(r, NR_FILES);
	uintptr_t addr = one_in(r, 30) ? pick_addr(r) : pick_page(r);
	size_t len;
	off_t off = pick_extent(r, f, addr, &len);
	long n;

	say("%s %s at %ld, %s %zu = ", in ? "read" : "write", names[f], (long)off, pa(addr), len);
	if (!in && f != F_PLAIN && f != F_ODD) {
		struct stat st;

		/* A write may not extend a whole-page file by a part of a page. */
		if (fstat(files.fd[f], &st) == 0 && off + (off_t)len > st.st_size)
			off = 0;
		if (st.st_size == 0) {
			say("empty");
			return;
		}
	}
	if (vec) {
		struct iovec iov[2] = {
			{ (void *)addr, len / 2 },
			{ (void *)(addr + len / 2), len - len / 2 },
		};

		n = in ? preadv(files.fd[f], iov, 2, off) : pwritev(files.fd[f], iov, 2, off);
	} else {
		n = in ? pread(files.fd[f], (void *)addr, len, off)
		       : pwrite(files.fd[f], (void *)addr, len, off);
	}
	say("%s", res(n));
	say_size(f);
}

static void op_ftruncate(struct ctx *c)
{
	int f = below(&c->rng, NR_FILES);
	off_t size = one_in(&c->rng, 40) ? -1 : pick_size(&c->rng, f);

	say("%s %ld = %s", names[f], (long)size, res(ftruncate(files.fd[f], size)));
}

static void op_open_trunc(struct ctx *c)
{
	int f = one_in(&c->rng, 2) ? F_SHARED : F_ODD;
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", opt.dir, names[f]);
	fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
	say("%s = %s", names[f], fd < 0 ? res(-1) : "ok");
	if (fd >= 0)
		close(fd);
	say_size(f);
}

/* Source and destination are different files, each with a range fit for it. */
static void pick_pair(struct rng *r, int *from, int *to, off_t *src, off_t *dst, size_t *len)
{
	*from = below(r, NR_FILES);
	*to = (*from + 1 + below(r, NR_FILES - 1)) % NR_FILES;
	*src = below(r, MAX_FILE_PAGES) * PAGE;
	*dst = below(r, MAX_FILE_PAGES) * PAGE;
	*len = (1 + below(r, 4)) * PAGE;
}

/* Whole pages only arrive whole if the source has them: else end at its last whole page. */
static bool fit(int from, int to, off_t src, size_t *len)
{
	struct stat st;

	if (to == F_PLAIN || to == F_ODD)
		return true;
	if (fstat(files.fd[from], &st) < 0 || src + (off_t)PAGE > st.st_size)
		return false;
	if (src + (off_t)*len > st.st_size)
		*len = (st.st_size - src) & ~(PAGE - 1);
	return true;
}

static void op_sendfile(struct ctx *c)
{
	off_t src, dst;
	size_t len;
	int from, to;

	pick_pair(&c->rng, &from, &to, &src, &dst, &len);
	say("%s at %ld to %s at %ld ", names[from], (long)src, names[to], (long)dst);
	if (!fit(from, to, src, &len)) {
		say("nothing");
		return;
	}
	lseek(files.fd[to], dst, SEEK_SET);
	say("%zu = %s", len, res(sendfile(files.fd[to], files.fd[from], &src, len)));
	say_size(to);
}

static void op_copy_range(struct ctx *c)
{
	off_t src, dst;
	size_t len;
	int from, to;

	pick_pair(&c->rng, &from, &to, &src, &dst, &len);
	say("%s at %ld to %s at %ld ", names[from], (long)src, names[to], (long)dst);
	if (!fit(from, to, src, &len)) {
		say("nothing");
		return;
	}
	say("%zu = %s", len,
	    res(copy_file_range(files.fd[from], &src, files.fd[to], &dst, len, 0)));
	say_size(to);
}

static void op_splice(struct ctx *c)
{
	off_t src, dst;
	size_t len;
	long in, out = 0;
	int from, to;

	pick_pair(&c->rng, &from, &to, &src, &dst, &len);
	say("%s at %ld to %s at %ld ", names[from], (long)src, names[to], (long)dst);
	if (!fit(from, to, src, &len)) {
		say("nothing");
		return;
	}
	in = splice(files.fd[from], &src, files.pipe[1], NULL, len, 0);
	say("%zu = %s", len, res(in));
	while (out < in) {
		long n = splice(files.pipe[0], NULL, files.fd[to], &dst, in - out, 0);

		if (n <= 0) {
			say(" then %s", res(n));
			while (out < in && (n = read(files.pipe[0], buf, in - out)) > 0)
				out += n;
			break;
		}
		out += n;
	}
	say_size(to);
}

static void op_fallocate(struct ctx *c)
{
	struct rng *r = &c->rng;
	int f = below(r, NR_FILES);
	bool hole = one_in(r, 2);
	off_t off = below(r, MAX_FILE_PAGES) * PAGE;
	off_t len = (1 + below(r, 4)) * PAGE;

	if (hole && f == F_PLAIN)
		off += below(r, PAGE);
	say("%s %s at %ld %ld = ", hole ? "punch" : "reserve", names[f], (long)off, (long)len);
	say("%s", res(fallocate(files.fd[f], hole ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0,
				off, len)));
	say_size(f);
}

/* Bytes in the middle become zeros, as do those behind a shorter end. */
static void op_zero_range(struct ctx *c)
{
	struct rng *r = &c->rng;
	int f = one_in(r, 2) ? F_PLAIN : F_ODD;
	off_t off = below(r, MAX_FILE_PAGES) * PAGE + (f == F_PLAIN ? below(r, PAGE) : 0);
	off_t len = (1 + below(r, 4)) * PAGE;
	bool keep = one_in(r, 2);

	say("%s at %ld %ld = ", names[f], (long)off, (long)len);
	say("%s",
	    res(fallocate(files.fd[f], FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0), off,
			  len)));
	say_size(f);
}

static void op_truncate(struct ctx *c)
{
	int f = one_in(&c->rng, 2) ? F_SHARED : F_ODD;
	off_t size = pick_size(&c->rng, f);
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", opt.dir, names[f]);
	say("%s %ld = %s", names[f], (long)size, res(truncate(path, size)));
	say_size(f);
}

/* At the descriptor's own position, which a failed call must leave where it was. */
static void op_position(struct ctx *c)
{
	struct rng *r = &c->rng;
	bool in = one_in(r, 2);
	int f = one_in(r, 2) ? F_PLAIN : F_ODD;
	uintptr_t addr = one_in(r, 10) ? pick_addr(r) : pick_page(r);
	size_t len;
	off_t off = pick_extent(r, f, addr, &len);
	long n;

	lseek(files.fd[f], off, SEEK_SET);
	n = in ? read(files.fd[f], (void *)addr, len) : write(files.fd[f], (void *)addr, len);
	say("%s %s at %ld, %s %zu = %s", in ? "read" : "write", names[f], (long)off, pa(addr), len,
	    res(n));
	say(" then at %ld", (long)lseek(files.fd[f], 0, SEEK_CUR));
	say_size(f);
}

static void op_append(struct ctx *c)
{
	int f = one_in(&c->rng, 3) ? F_ODD : F_PLAIN, fd;
	size_t len = 1 + below(&c->rng, PAGE);
	char path[4096];
	struct stat st;

	if (fstat(files.fd[f], &st) < 0 || st.st_size > MAX_FILE_PAGES * (off_t)PAGE) {
		say("full");
		return;
	}
	/* The odd file's end stays in the second half of a page. */
	if (f == F_ODD)
		len = PAGE + 4095 - st.st_size % PAGE;
	fill_buf(&c->rng, sizeof(buf));
	snprintf(path, sizeof(path), "%s/%s", opt.dir, names[f]);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	say("%s %zu = %s", names[f], len, res(pwrite(fd, buf, len, 0)));
	say_size(f);
	close(fd);
}

/* Through a pipe: a file's pages, then memory. */
static void op_pipe(struct ctx *c)
{
	struct rng *r = &c->rng;
	int f = below(r, NR_FILES);
	off_t off = below(r, MAX_FILE_PAGES) * PAGE;
	size_t len = 1 + below(r, 3 * PAGE);
	uintptr_t addr = pick_page(r);
	struct iovec iov = { (void *)addr, in_window(addr, 3000) ? 3000 : 8 };
	long n;

	say("%s at %ld %zu = ", names[f], (long)off, len);
	n = sendfile(files.pipe[1], files.fd[f], &off, len);
	say("%s", res(n));
	for (long done = 0; done < n;) {
		long got = read(files.pipe[0], buf, n - done);

		if (got <= 0)
			break;
		say(" hash %lx", hash_bytes(buf, got, 7));
		done += got;
	}
	if (opt.rss) /* see op_vm_copy() */
		return;
	/* Without PROT_READ it depends on whether the page is there. */
	n = process_vm_readv(getpid(), &(struct iovec){ buf, iov.iov_len }, 1, &iov, 1, 0);
	if (n == (long)iov.iov_len)
		n = vmsplice(files.pipe[1], &iov, 1, 0);
	say(", %s %zu = %s", pa(addr), iov.iov_len, res(n));
	if (n == (long)iov.iov_len && read(files.pipe[0], buf, n) == n)
		say(" hash %lx", hash_bytes(buf, n, 7));
}

/* From memory to memory of one's own, as if it were another's. */
static void op_vm_copy(struct ctx *c)
{
	struct rng *r = &c->rng;
	/* Linux copies a page that parent and child share when it is pinned; Quire has no need to. */
	bool in = one_in(r, 2) && !opt.rss;
	uintptr_t a = pick_page(r), b = pick_page(r);
	size_t len = (1 + below(r, 2048 / 8)) * 8;
	struct iovec local, remote;
	long n;

	if (!in_window(a, len) || !in_window(b, len))
		len = 8;
	local = (struct iovec){ (void *)a, len };
	remote = (struct iovec){ (void *)b, len };
	n = in ? process_vm_readv(getpid(), &local, 1, &remote, 1, 0)
	       : process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	say("%s %s, %s %zu = %s", in ? "read" : "write", pa(a), pa(b), len, res(n));
}

static void op_fsync(struct ctx *c)
{
	int f = below(&c->rng, NR_FILES);

	say("%s = %s", names[f], res(fdatasync(files.fd[f])));
}

/* The whole file, as a descriptor shows it. */
static void op_file_sum(struct ctx *c)
{
	int f = below(&c->rng, NR_FILES);
	uint64_t h = 7;
	off_t off = 0;
	long n;

	while ((n = pread(files.fd[f], buf, sizeof(buf), off)) > 0) {
		h = hash_bytes(buf, n, h);
		off += n;
	}
	say("%s size %ld hash %lx", names[f], (long)off, h);
}

const struct op file_ops[] = {
	{ "pwrite", 30, OP_PLAIN, op_pwrite },	       { "pread", 30, OP_PLAIN, op_pread },
	{ "transfer", 60, OP_PLAIN, op_transfer },     { "ftruncate", 25, OP_PLAIN, op_ftruncate },
	{ "open-trunc", 4, OP_PLAIN, op_open_trunc },  { "sendfile", 10, OP_PLAIN, op_sendfile },
	{ "copy-range", 10, OP_PLAIN, op_copy_range }, { "splice", 10, OP_PLAIN, op_splice },
	{ "fallocate", 10, OP_PLAIN, op_fallocate },   { "fsync", 2, OP_PLAIN, op_fsync },
	{ "file-sum", 12, OP_PLAIN, op_file_sum },     { "zero-range", 6, OP_PLAIN, op_zero_range },
	{ "truncate", 6, OP_PLAIN, op_truncate },      { "position", 15, OP_PLAIN, op_position },
	{ "append", 8, OP_PLAIN, op_append },	       { "pipe", 10, OP_PLAIN, op_pipe },
	{ "vm-copy", 15, OP_PLAIN, op_vm_copy },       { 0 },
};
