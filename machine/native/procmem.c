/* SPDX-License-Identifier: MIT */
/*
 * procmem.c - /proc/<pid>/mem and pagemap of guests: a process's memory and page table, by address; and
 * /proc/kpagecount and its like: the machine's frames, by number.
 *
 * The descriptor is that of the host's own file, which decides who may open it and keeps the position;
 * its read and write are never used, for in the host's memory lie kernel and RAM. What a descriptor
 * is, its link tells.
 *
 * mem is read and written page by page, whatever the protection; where nothing is mapped a transfer ends,
 * with EIO if that is its beginning. Each element of a vector is a transfer of its own.
 */
#include <quire/mm.h>
#include <quire/sprintf.h>

#include "procfile.h"

#define F_GETFL 3
#define SEEK_SET 0
#define SEEK_CUR 1
#define PM_PFN_MASK ((1ull << 55) - 1)

static bool any_mem_file;

void proc_mem_opened(void)
{
	WRITE_ONCE(any_mem_file, true);
}

struct mem_file {
	struct native_task *t;
	enum proc_kind kind;
	pid_t pid;
	struct mm_struct *mm; /* NULL: it has ended */
	u8 *page; /* between the two */
	bool write;
	bool hide_pfn;
};

static enum proc_kind kind_by_name(const char *path)
{
	const char *name = strrchr(path, '/');

	if (!strncmp(path, "/proc/kpage", 11)) {
		if (!strcmp(path, "/proc/kpagecount"))
			return PROC_KPAGECOUNT;
		if (!strcmp(path, "/proc/kpageflags"))
			return PROC_KPAGEFLAGS;
		return strcmp(path, "/proc/kpagecgroup") ? PROC_NONE : PROC_KPAGECGROUP;
	}
	if (strncmp(path, "/proc/", 6) || path[6] < '1' || path[6] > '9')
		return PROC_NONE;
	if (!strcmp(name, "/mem"))
		return PROC_PID_MEM;
	return strcmp(name, "/pagemap") ? PROC_NONE : PROC_PID_PAGEMAP;
}

/* Whether fd is one of these files, and whose. A process that is not there is one that has ended. */
static bool is_mem_file(unsigned long fd, struct mem_file *f)
{
	struct host_stat st = { 0 };
	char link[48], path[64];
	long n;

	if (host_syscall(__NR_fstat, hc_fd(fd), &st) || !HOST_S_ISREG(st.st_mode) || st.st_size)
		return false;
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", (int)fd);
	n = host_syscall(__NR_readlink, link, path, sizeof(path) - 1);
	if (n <= 0 || n == (long)sizeof(path) - 1)
		return false;
	path[n] = '\0';
	f->kind = kind_by_name(path);
	if (f->kind == PROC_NONE)
		return false;
	if (f->kind >= PROC_PID_MAPS && proc_lookup(path, &f->t->task, &f->pid) == f->kind)
		f->mm = get_task_mm(f->pid);
	return true;
}

/* As in Linux only the end of the process cuts a transfer short. */
static bool is_ending(const struct native_task *t)
{
	return __atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & (WORK_KILL | WORK_EXEC);
}

/* One transfer, as much as there is; *pos moves. */
static long mem_transfer(struct mem_file *f, unsigned long uaddr, size_t len, u64 *pos)
{
	struct mm_struct *own = f->t->task.mm;
	long done = 0;

	while (len && !is_ending(f->t)) {
		size_t n = min(len, PAGE_SIZE);

		if (f->write && copy_from_mm(own, f->page, uaddr, n))
			return -EFAULT;
		n = access_remote_mm(f->mm, *pos, f->page, n, f->write, true);
		if (!n)
			return done ? done : -EIO;
		if (!f->write && copy_to_mm(own, uaddr, f->page, n))
			return -EFAULT;
		uaddr += n;
		*pos += n;
		done += (long)n;
		len -= n;
	}
	return done;
}

static ssize_t read_words(struct mem_file *f, u64 pos, u64 *entries, size_t n)
{
	if (f->kind == PROC_PID_PAGEMAP)
		return proc_pagemap_read(f->pid, pos, entries, n);
	return (ssize_t)proc_kpage_read(f->kind, pos, entries, n);
}

static long words_transfer(struct mem_file *f, unsigned long uaddr, size_t len, u64 *pos)
{
	u64 *entries = (u64 *)f->page;
	size_t done = 0;

	while (done < len && !is_ending(f->t)) {
		size_t room = min(len - done, PAGE_SIZE) / sizeof(u64);
		ssize_t n = read_words(f, *pos, entries, room);
		size_t bytes = n > 0 ? (size_t)n * sizeof(u64) : 0;

		for (ssize_t i = 0; f->hide_pfn && i < n; i++)
			entries[i] &= ~PM_PFN_MASK;
		if (copy_to_mm(f->t->task.mm, uaddr + done, entries, bytes))
			return -EFAULT;
		*pos += bytes;
		done += bytes;
		if (n < (ssize_t)room)
			break;
	}
	return (long)done;
}

static long transfer(struct mem_file *f, const struct host_iovec *iov, u64 *pos)
{
	if (f->kind != PROC_PID_MEM && (*pos | iov->len) % sizeof(u64))
		return -EINVAL;
	if (f->kind >= PROC_PID_MAPS && !f->mm)
		return 0;
	return f->kind == PROC_PID_MEM ? mem_transfer(f, iov->base, iov->len, pos)
				       : words_transfer(f, iov->base, iov->len, pos);
}

static long transfer_all(struct mem_file *f, const struct host_iovec *iov, long nr, u64 *pos)
{
	long done = 0, ret = 0;

	for (; nr; nr--, iov++) {
		ret = transfer(f, iov, pos);
		if (ret < 0)
			break;
		done += ret;
		if ((size_t)ret < iov->len)
			break;
	}
	return done ? done : ret;
}

static long do_mem_rw(struct mem_file *f, struct hostio *io, const struct host_iovec *iov, long nr)
{
	long fd = hc_fd((unsigned long)io->fd);
	u64 pos = io->has_pos ? (u64)io->pos : (u64)host_syscall(__NR_lseek, fd, 0, SEEK_CUR);
	long ret;

	f->write = io->write;
	f->page = (u8 *)__get_free_pages(GFP_KERNEL, 0);
	if (!f->page)
		return -ENOMEM;
	ret = transfer_all(f, iov, nr, &pos);
	free_page((unsigned long)f->page);
	if (!io->has_pos)
		host_syscall(__NR_lseek, fd, pos, SEEK_SET);
	return ret;
}

long proc_mem_rw(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct mem_file f = { .t = t };
	struct host_iovec *iov = NULL;
	struct hostio io;
	struct hc_mem mem;
	unsigned int acc;
	long ret;

	if (!READ_ONCE(any_mem_file) || !is_mem_file(args[0], &f))
		return SYSCALL_NOT_OURS;
	hc_mem_init(&mem);
	ret = hostio_import(t, &mem, nr, args, &io, &iov);
	acc = (unsigned int)host_syscall(__NR_fcntl, hc_fd(args[0]), F_GETFL) & HOST_O_ACCMODE;
	/* What is an error in any case the host may say: it gets no memory to do it with. */
	if (ret >= 0 &&
	    (io.flags || (io.has_pos && io.pos < 0) || acc == (io.write ? 0u : HOST_O_WRONLY) ||
	     (io.write && f.kind != PROC_PID_MEM))) {
		const struct host_iovec bad = { HC_BAD_PTR, 1 };

		ret = hostio_issue(&io, &bad, 1);
	} else if (ret >= 0) {
		/* Frame numbers are for those only who may know everything. */
		f.hide_pfn = f.kind == PROC_PID_PAGEMAP && !machine_capable(CAP_SYS_ADMIN);
		ret = do_mem_rw(&f, &io, iov, ret);
	}
	if (f.mm)
		mmput(f.mm);
	hc_mem_free(&mem);
	return ret;
}
