/* SPDX-License-Identifier: MIT */
/*
 * swap.c - swapon(2) and swapoff(2) of guests: a regular file that mkswap has prepared. The keeper gets a
 * descriptor of it and does the transfers; the areas that --swap names are there from the start, and a guest can
 * give up none but its own.
 *
 * The host's file stays as it is, and so does the right of others to write to it: who does that to a file
 * that is swapped to destroys programs' memory, on Linux only root may.
 */
#include <quire/sprintf.h>
#include <quire/string.h>
#include <quire/swap.h>

#include "native.h"

#define HOST_O_NONBLOCK 04000
#define HOST_O_NOCTTY 0400
#define SWAP_OPEN (HOST_O_RDWR | HOST_O_CLOEXEC | HOST_O_NOCTTY | HOST_O_NONBLOCK)
#define SWAP_PATH_MAX 512

/* Files in use, by identity. */
static struct swap_file {
	u64 st_dev, st_ino;
	u64 blkdev; /* 0: free */
} swap_files[MAX_SWAPFILES];
static struct mutex swap_files_lock;

void native_swap_init(void)
{
	mutex_init(&swap_files_lock);
}

static struct swap_file *swap_file_find(const struct host_stat *st)
{
	for (unsigned int i = 0; i < MAX_SWAPFILES; i++)
		if (swap_files[i].blkdev && swap_files[i].st_dev == st->st_dev &&
		    swap_files[i].st_ino == st->st_ino)
			return &swap_files[i];
	return NULL;
}

static struct swap_file *swap_file_new(void)
{
	for (unsigned int i = 0; i < MAX_SWAPFILES; i++)
		if (!swap_files[i].blkdev)
			return &swap_files[i];
	return NULL;
}

/* The file that the guest names, open; or negative errno. */
static long swap_open(struct native_task *t, unsigned long upath, char *path, struct host_stat *st)
{
	long fd = strncpy_from_mm(t->task.mm, path, upath, SWAP_PATH_MAX), err;

	if (fd < 0)
		return fd;
	if (fd == SWAP_PATH_MAX)
		return -ENAMETOOLONG;
	fd = host_syscall(__NR_open, path, SWAP_OPEN, 0);
	if (fd < 0)
		return fd == -EISDIR ? -EINVAL : fd;
	err = host_syscall(__NR_fstat, fd, st);
	if (!err && !HOST_S_ISREG(st->st_mode))
		err = -EINVAL;
	if (!err)
		return fd;
	host_syscall(__NR_close, fd);
	return err;
}

/* As /proc/swaps names it: the whole path. */
static void swap_name(long fd, char *name, size_t size)
{
	char link[32];
	long n;

	snprintf(link, sizeof(link), "/proc/self/fd/%ld", fd);
	n = host_syscall(__NR_readlink, link, name, size - 1);
	name[n < 0 ? 0 : n] = 0;
}

/* swap_files_lock held. */
static long swapon_fd(long fd, const struct host_stat *st, int flags)
{
	struct swap_file *file = swap_file_new();
	u64 blkdev = native_new_blkdev();
	char name[128];
	long err;

	if (swap_file_find(st))
		return -EBUSY;
	if (!file)
		return -EPERM;
	/* No descriptor is on its way to the keeper that nobody waits for. */
	if (st->st_size < (s64)(2 * PAGE_SIZE))
		return -EINVAL;
	err = native_keeper_add_swap(blkdev, (int)fd);
	if (err)
		return err;
	swap_name(fd, name, sizeof(name));
	err = do_swapon(blkdev, (u64)st->st_size, name, flags);
	if (err)
		machine_block_release(blkdev);
	else
		*file = (struct swap_file){ st->st_dev, st->st_ino, blkdev };
	return err;
}

long native_swapon(struct native_task *t, unsigned long upath, int flags)
{
	struct host_stat st = { 0 };
	char path[SWAP_PATH_MAX];
	long fd, err;

	if (flags & ~SWAP_FLAGS_VALID)
		return -EINVAL;
	if (!machine_capable(CAP_SYS_ADMIN))
		return -EPERM;
	fd = swap_open(t, upath, path, &st);
	if (fd < 0)
		return fd;
	mutex_lock(&swap_files_lock);
	err = swapon_fd(fd, &st, flags);
	mutex_unlock(&swap_files_lock);
	host_syscall(__NR_close, fd);
	return err;
}

long native_swapoff(struct native_task *t, unsigned long upath)
{
	struct host_stat st = { 0 };
	char path[SWAP_PATH_MAX];
	struct swap_file *file;
	long fd, err = -EINVAL;

	if (!machine_capable(CAP_SYS_ADMIN))
		return -EPERM;
	fd = swap_open(t, upath, path, &st);
	if (fd < 0)
		return fd;
	host_syscall(__NR_close, fd);
	mutex_lock(&swap_files_lock);
	file = swap_file_find(&st);
	if (file)
		err = do_swapoff(file->blkdev);
	if (!err)
		file->blkdev = 0;
	mutex_unlock(&swap_files_lock);
	return err;
}
