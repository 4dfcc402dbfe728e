/* SPDX-License-Identifier: MIT */
/*
 * file.c - files of the host as the memory manager knows them: struct file and inode behind a
 * descriptor of a guest, or behind a path for exec.
 *
 *   descriptor --fstat--> (dev, ino) --inode_get--> inode, the first time given to the keeper
 *
 * An inode's cache is good as long as the host file has the size and the change time that
 * i_size and i_version say. What the machine itself does to a file it takes over at once
 * (native_inode_changed()); a difference found when the file is opened or mapped anew is somebody
 * else's doing, and what is cached and clean is forgotten.
 */
#include <quire/err.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/sprintf.h>
#include <quire/string.h>

#include "native.h"

#define F_GETFL 3
#define TMPFS_MAGIC 0x01021994
#define DEV_ZERO 0x105 /* character device 1:5 */
#define HOST_O_NOCTTY 0400
#define X_OK 1
#define AT_EACCESS 0x200
#define PATH_BUF PAGE_SIZE
#define READ_FIRST_MMAP 256ul /* pages */
#define READ_FIRST_EXEC 64ul
#define STABLE_AGE_NS (60 * 1000000000ull) /* a file not written for so long */

static u64 stamp_ns(const struct host_timespec *ts)
{
	return (u64)ts->tv_sec * 1000000000 + (u64)ts->tv_nsec;
}

static u64 change_time(const struct host_stat *st)
{
	return stamp_ns(&st->st_ctim);
}

/* By the age of its contents: a new link to a file, or new rights, do not mean that it will be written. */
static bool is_stable(const struct host_stat *st)
{
	return stamp_ns(&st->st_mtim) + STABLE_AGE_NS < machine_realtime_ns();
}

/* mapping->lock held. The inode's storage becomes fd; writable: also for writing back. */
static int inode_give_storage(struct inode *inode, int fd, bool writable)
{
	u64 dev = inode->i_blkdev ? inode->i_blkdev : native_new_blkdev();
	int err = native_keeper_add(dev, fd, writable);

	if (err)
		return err;
	inode->i_blkdev = dev;
	inode->i_writable |= writable;
	if (writable)
		inode_unstable_locked(inode);
	return 0;
}

static bool is_unchanged(const struct inode *inode, const struct host_stat *st)
{
	return inode->i_size == st->st_size && inode->i_version == change_time(st);
}

/* mapping->lock held. st may be older than the lock. */
static void inode_revalidate(struct inode *inode, int fd, struct host_stat *st)
{
	struct address_space *mapping = &inode->i_data;

	if (is_unchanged(inode, st) || host_syscall(__NR_fstat, fd, st) || is_unchanged(inode, st))
		return;
	if (inode->i_size == st->st_size &&
	    native_block_ctime(inode->i_blkdev) == change_time(st)) {
		inode->i_version = change_time(st); /* our own write-back */
		return;
	}
	inode_unstable_locked(inode);
	if (xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY)) {
		/* Ours may be the change: written back meanwhile. What is dirty stays. */
		filemap_write_and_wait_range_locked(mapping, 0, ULONG_MAX);
	}
	if (inode->i_size != st->st_size)
		truncate_setsize_locked(inode, st->st_size);
	invalidate_mapping_locked(mapping);
	inode->i_version = change_time(st);
}

/*
 * Faults would have the keeper read a file piece by piece. While a descriptor is at hand and the
 * file is new here, its beginning is read through that: at most nr pages, and little of what is free.
 */
static void read_beginning(struct inode *inode, int fd, unsigned long nr)
{
	struct native_task *t = current_native();
	u64 dev = t->io_dev;
	int io_fd = t->io_fd;

	t->io_dev = inode->i_blkdev;
	t->io_fd = fd;
	filemap_read_ahead(&inode->i_data, 0, min(nr, nr_free_pages() / 16));
	t->io_dev = dev;
	t->io_fd = io_fd;
}

static bool is_on_tmpfs(int fd)
{
	struct host_statfs fs = { 0 };

	return !host_syscall(__NR_fstatfs, fd, &fs) && fs.f_type == TMPFS_MAGIC;
}

/* The inode of a regular file that fd has open, with a reference. nr: for read_beginning(). */
static struct inode *inode_of_fd(int fd, struct host_stat *st, bool writable, unsigned long nr)
{
	bool created, is_new;
	struct inode *inode = inode_get(st->st_dev, st->st_ino, &created);
	int err = 0;

	if (IS_ERR(inode))
		return inode;
	mutex_lock(&inode->i_data.lock);
	is_new = !inode->i_blkdev;
	if (is_new) {
		inode->i_size = st->st_size;
		inode->i_version = change_time(st);
		inode->i_stable = is_stable(st);
		inode->i_tmpfs = is_on_tmpfs(fd);
		err = inode_give_storage(inode, fd, writable);
	} else {
		inode_revalidate(inode, fd, st);
		if (writable && !inode->i_writable)
			err = inode_give_storage(inode, fd, true);
	}
	mutex_unlock(&inode->i_data.lock);
	if (!err) {
		/* Of a file that is all holes there is nothing to read. */
		if (is_new && st->st_blocks)
			read_beginning(inode, fd, nr);
		return inode;
	}
	iput(inode);
	return ERR_PTR(err);
}

/* Takes over the reference to inode. Its path as the host tells it. */
static struct file *file_of_inode(struct inode *inode, int fd, unsigned int mode)
{
	char *path = kmalloc(PATH_BUF, GFP_KERNEL);
	struct file *file = ERR_PTR(-ENOMEM);
	char link[48];
	long n;

	if (path) {
		snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", fd);
		n = host_syscall(__NR_readlink, link, path, PATH_BUF - 1);
		path[n > 0 ? n : 0] = '\0';
		file = file_alloc(inode, mode, path);
		kfree(path);
	}
	if (IS_ERR(file))
		iput(inode);
	return file;
}

/* Where file systems keep what looks like files and is none. */
#define SYSFS_MAGIC 0x62656572
#define PROC_SUPER_MAGIC 0x9fa0

/* Not made of pages that could be read and written: whether it can be mapped is the host's to say. */
static bool may_be_device(const struct host_stat *st, const struct host_statfs *fs)
{
	switch (st->st_mode & HOST_S_IFMT) {
	case HOST_S_IFIFO:
	case HOST_S_IFDIR:
		return false;
	case HOST_S_IFREG:
		return fs->f_type == SYSFS_MAGIC || fs->f_type == PROC_SUPER_MAGIC;
	default:
		return true;
	}
}

static struct inode *device_inode(const struct host_stat *st)
{
	struct inode *inode = inode_alloc(INODE_DEVICE);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_dev = st->st_dev;
	inode->i_ino = st->st_ino;
	return inode;
}

/* What kind of file it is, beyond those that can be mapped, the host knows best. */
static bool refuses_exec(int fd)
{
	long ret = host_syscall(__NR_mmap, 0, PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (!IS_ERR_VALUE(ret))
		host_syscall(__NR_munmap, ret, PAGE_SIZE);
	return ret == -EPERM;
}

/* Seals exist on files without a name only (memfd_create). */
static bool is_write_sealed(int fd)
{
	long seals = host_syscall(__NR_fcntl, fd, HOST_F_GET_SEALS);

	return seals > 0 && (seals & (HOST_F_SEAL_WRITE | HOST_F_SEAL_FUTURE_WRITE));
}

static struct inode *zero_inode(const struct host_stat *st)
{
	bool created;
	struct inode *inode = inode_get(st->st_dev, st->st_ino, &created);

	if (!IS_ERR(inode))
		inode->i_kind = INODE_ZERO;
	return inode;
}

struct file *machine_fget(int fd)
{
	struct host_statfs fs = { 0 };
	struct host_stat st = { 0 };
	struct inode *inode;
	struct file *file;
	unsigned int acc, mode;
	long fl;

	fl = native_fd_reserved((unsigned long)fd) ? -EBADF : host_syscall(__NR_fcntl, fd, F_GETFL);
	if (fl < 0 || (fl & HOST_O_PATH) || host_syscall(__NR_fstat, fd, &st))
		return ERR_PTR(-EBADF);
	acc = fl & HOST_O_ACCMODE;
	if (acc == HOST_O_WRONLY)
		return file_alloc(NULL, FMODE_WRITE, "");
	mode = acc == HOST_O_RDWR ? FMODE_READ | FMODE_WRITE : FMODE_READ;
	host_syscall(__NR_fstatfs, fd, &fs);
	if (HOST_S_ISCHR(st.st_mode) && st.st_rdev == DEV_ZERO)
		inode = zero_inode(&st);
	else if (may_be_device(&st, &fs))
		inode = device_inode(&st);
	else if (HOST_S_ISREG(st.st_mode))
		inode = inode_of_fd(fd, &st, acc == HOST_O_RDWR, READ_FIRST_MMAP);
	else
		return file_alloc(NULL, mode | (refuses_exec(fd) ? FMODE_NOEXEC : 0), "");
	if (fs.f_flags & HOST_ST_NOEXEC)
		mode |= FMODE_NOEXEC;
	if (!st.st_nlink && is_write_sealed(fd))
		mode |= FMODE_SEALED;
	if (IS_ERR(inode))
		return (struct file *)inode;
	file = file_of_inode(inode, fd, mode);
	if (IS_ERR(file))
		return file;
	file->f_id = (u64)fd + 1; /* the same number is the same open file, almost always */
	if (inode->i_kind == INODE_DEVICE)
		file->f_op = &device_file_ops;
	return file;
}

struct inode *native_cached_inode(int fd, struct host_stat *st, long *err)
{
	*err = native_fd_reserved((unsigned long)fd) ? -EBADF : host_syscall(__NR_fstat, fd, st);
	if (*err || !HOST_S_ISREG(st->st_mode))
		return NULL;
	return inode_lookup(st->st_dev, st->st_ino);
}

/* The descriptor has died with its process: the keeper tells what became of the file. */
static void inode_changed_somehow(struct inode *inode)
{
	u64 size, ctime_ns;

	filemap_write_and_wait_range_locked(&inode->i_data, 0, ULONG_MAX);
	if (native_block_stat(inode->i_blkdev, &size, &ctime_ns))
		return;
	if ((loff_t)size != inode->i_size)
		truncate_setsize_locked(inode, (loff_t)size);
	filemap_refresh_range_locked(&inode->i_data, 0, (loff_t)size);
	inode->i_stable = false;
	inode->i_version = ctime_ns;
}

void native_inode_changed(struct inode *inode, int fd)
{
	struct host_stat st = { 0 };

	if (current_native()->adopted) {
		inode_changed_somehow(inode);
		return;
	}
	if (host_syscall(__NR_fstat, fd, &st))
		return;
	if (st.st_size != inode->i_size)
		truncate_setsize_locked(inode, st.st_size);
	inode->i_stable = false;
	inode->i_version = change_time(&st);
}

/* ---- exec -------------------------------------------------------------------------------- */

/* The file opened last stays open until the next one is, or exec is through with reading. */
void native_exec_close(void)
{
	struct native_task *t = current_native();

	if (t->io_dev)
		host_syscall(__NR_close, t->io_fd);
	t->io_dev = 0;
}

static long may_execute(const char *path)
{
	long ret = host_syscall(__NR_faccessat2, HOST_AT_FDCWD, path, X_OK, AT_EACCESS);

	return ret == -ENOSYS ? host_syscall(__NR_faccessat, HOST_AT_FDCWD, path, X_OK) : ret;
}

static struct file *open_exec(struct native_task *t, const char *path)
{
	struct host_stat st = { 0 };
	struct inode *inode;
	struct file *file;
	long fd =
		host_syscall(__NR_open, path, HOST_O_CLOEXEC | HOST_O_NOCTTY | HOST_O_NONBLOCK, 0);
	long err;

	if (fd < 0)
		return ERR_PTR(fd == -ENXIO ? -EACCES : fd);
	err = host_syscall(__NR_fstat, fd, &st);
	if (!err && !HOST_S_ISREG(st.st_mode))
		err = -EACCES;
	if (!err)
		err = may_execute(path);
	inode = err ? ERR_PTR(err) : inode_of_fd((int)fd, &st, false, READ_FIRST_EXEC);
	file = IS_ERR(inode) ? (struct file *)inode : file_of_inode(inode, (int)fd, FMODE_READ);
	if (IS_ERR(file)) {
		host_syscall(__NR_close, fd);
		return file;
	}
	native_exec_close();
	t->io_dev = file->f_inode->i_blkdev;
	t->io_fd = (int)fd;
	return file;
}

struct file *machine_open_exec(const char *path)
{
	struct native_task *t = current_native();
	struct file *file;
	char *exe;

	if (strncmp(path, "/proc/", 6))
		return open_exec(t, path);
	exe = kmalloc(PATH_BUF, GFP_KERNEL);
	if (!exe)
		return ERR_PTR(-ENOMEM);
	file = open_exec(t, native_exe_path(t, path, exe, PATH_BUF) ? path : exe);
	kfree(exe);
	return file;
}
