/* SPDX-License-Identifier: MIT */
/*
 * fileio.c - file descriptors and mappings of one file agree.
 *
 * The host file is the truth for descriptors, the page cache for mappings. They are brought together
 * where a descriptor is used:
 *
 *   read       dirty pages of the range go to the host first
 *   write      goes to the host; cached pages get the bytes, too
 *   truncate   at the host, then in the cache
 *   fsync      dirty pages go to the host first; what went wrong earlier is told now
 *
 * Writes and truncations hold mapping->lock over both steps, or a write-back in between would put old
 * bytes over new ones. So nothing that may wait for another program is done under it, and no
 * guest memory is faulted in under it: the source of a write may be a mapping of the same file.
 *
 * Most files have no inode here, and their calls are left to hostcall.c.
 */
#include <quire/pagemap.h>
#include <quire/userfaultfd.h>
#include <quire/vmstat.h>

#include "hostmem.h"
#include "uffd.h"

#define F_GETFL 3
#define RWF_APPEND 0x10
#define SEEK_CUR 1
#define SEEK_DATA 3
#define SEEK_HOLE 4
#define FALLOC_FL_COLLAPSE_RANGE 0x08
#define FALLOC_FL_INSERT_RANGE 0x20
#define FICLONE 0x40049409u
#define FICLONERANGE 0x4020940du

/* For disk I/O with a lock held: others get the virtual CPU, signals have to wait. */
struct disk_call {
	unsigned long nr;
	const unsigned long *a;
};

static long call_disk(void *arg)
{
	struct native_task *t = current_native();
	const struct disk_call *c = arg;
	long ret;

	cpu_lend(t);
	ret = host_syscall(c->nr, c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5]);
	cpu_take_back(t);
	return ret;
}

static long host_syscall_uninterruptible(unsigned long nr, const unsigned long *a)
{
	struct disk_call call = { nr, a };

	return native_resumable(call_disk, &call);
}

/* Whether a call may have changed the file: it was killed, and nobody knows how far it came. */
static bool is_unknown(const struct native_task *t)
{
	return t->adopted;
}

static struct inode *cached_inode(unsigned long fd)
{
	struct host_stat st = { 0 };
	long err;

	return native_cached_inode((int)fd, &st, &err);
}

static loff_t file_position(unsigned long fd)
{
	return host_syscall(__NR_lseek, fd, 0, SEEK_CUR);
}

/* ---- Reading ----------------------------------------------------------------------------- */

static bool nothing_is_dirty(void)
{
	return node_page_state(NR_FILE_DIRTY) == 0;
}

/* What mappings changed within [pos, pos + len) of the file goes to the host. */
static void write_back_range(unsigned long fd, loff_t pos, size_t len)
{
	struct inode *inode = cached_inode(fd);
	struct address_space *mapping;

	if (!inode)
		return;
	mapping = &inode->i_data;
	mutex_lock(&mapping->lock);
	if (xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY)) {
		loff_t from = pos >= 0 ? pos : file_position(fd);
		u64 end;

		if (from < 0)
			from = 0;
		if (__builtin_add_overflow((u64)from, len, &end))
			end = ~0ull;
		filemap_write_and_wait_range_locked(mapping, (pgoff_t)from >> PAGE_SHIFT,
						    end >> PAGE_SHIFT);
	}
	mutex_unlock(&mapping->lock);
	iput(inode);
}

static long before_read(unsigned long nr, const unsigned long *args)
{
	bool vec = nr == __NR_readv || nr == __NR_preadv || nr == __NR_preadv2;
	bool has_pos = nr == __NR_pread64 || nr == __NR_preadv || nr == __NR_preadv2;

	if (!nothing_is_dirty())
		write_back_range(args[0], has_pos ? (loff_t)args[3] : -1,
				 vec ? HC_MAX_RW : args[2]);
	return SYSCALL_NOT_OURS;
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* mapping->lock held. Bytes that were just written to the file, into the pages that are cached. */
static void copy_to_cache(struct address_space *mapping, loff_t pos, const struct host_iovec *iov,
			  size_t n)
{
	size_t off = 0;

	while (n && mapping->nrpages) {
		size_t in_page = (size_t)pos & (PAGE_SIZE - 1);
		size_t piece = min3(n, PAGE_SIZE - in_page, iov->len - off);
		struct page *page = find_get_page(mapping, (pgoff_t)pos >> PAGE_SHIFT);

		if (page) {
			memmove((u8 *)page_address(page) + in_page, (void *)(iov->base + off),
				piece);
			put_page(page);
		}
		pos += (loff_t)piece;
		n -= piece;
		off += piece;
		if (off == iov->len) {
			iov++;
			off = 0;
		}
	}
}

/* mapping->lock held. Where the n bytes that a write of io wrote now begin. */
static loff_t written_at(const struct hostio *io, const struct inode *inode, long n)
{
	long fl = host_syscall(__NR_fcntl, io->fd, F_GETFL);

	if (!io->has_pos)
		return file_position((unsigned long)io->fd) - n;
	if ((fl >= 0 && (fl & HOST_O_APPEND)) || (io->flags & RWF_APPEND))
		return inode->i_size - n;
	return io->pos;
}

struct piece {
	struct hostio *io;
	const struct host_iovec *iov;
	unsigned int nr;
};

static long issue_without_cpu(void *arg)
{
	const struct piece *p = arg;
	struct native_task *t = p->io->t;
	long ret;

	cpu_lend(t);
	ret = hostio_issue(p->io, p->iov, p->nr);
	cpu_take_back(t);
	return ret;
}

static long write_piece(struct hostio *io, const struct host_iovec *iov, unsigned int nr)
{
	struct inode *inode = io->data;
	struct address_space *mapping = &inode->i_data;
	struct piece piece = { io, iov, nr };
	long ret;

	mutex_lock(&mapping->lock);
	inode_unstable_locked(inode);
	ret = native_resumable(issue_without_cpu, &piece);
	/* A write that fails for its source may have moved the end of the file all the same. */
	native_inode_changed(inode, io->fd);
	if (ret > 0)
		copy_to_cache(mapping, written_at(io, inode, ret), iov, (size_t)ret);
	mutex_unlock(&mapping->lock);
	return ret;
}

/*
 * A file system may move the end of the file to the place of the write before it looks at the source;
 * what the source maps of the same file is there then.
 */
static long write_grown(struct hostio *io, const struct host_iovec *iov, unsigned int nr)
{
	const struct inode *inode = io->data;
	loff_t size = READ_ONCE(inode->i_size);
	long ret = hostio_rw(io, iov, nr);

	if (ret == -EFAULT && READ_ONCE(inode->i_size) > size)
		ret = hostio_rw(io, iov, nr);
	return ret;
}

static long file_write(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct inode *inode = cached_inode(args[0]);
	struct host_iovec *iov = NULL;
	struct hostio io;
	struct hc_mem mem;
	long ret;

	if (!inode)
		return SYSCALL_NOT_OURS;
	hc_mem_init(&mem);
	ret = hostio_import(t, &mem, nr, args, &io, &iov);
	if (ret >= 0) {
		io.direct = true;
		io.issue = write_piece;
		io.data = inode;
		ret = write_grown(&io, iov, (unsigned int)ret);
	}
	hc_mem_free(&mem);
	iput(inode);
	return ret;
}

/* ---- From file to file: sendfile, splice, copy_file_range -------------------------------- */

struct transfer {
	unsigned int in_fd, in_off, out_fd,
		out_off; /* numbers of the arguments; 9: there is none */
	unsigned int len;
};

#define NO_ARG 9

/* The position that an offset argument gives, or -1: the descriptor's own. */
static loff_t offset_arg(struct native_task *t, const unsigned long *args, unsigned int i)
{
	loff_t pos = -1;

	if (i != NO_ARG && args[i] && copy_from_mm(t->task.mm, &pos, args[i], sizeof(pos)))
		pos = -1;
	return pos;
}

/* Whether reading from it takes only as long as the disk does. */
static bool is_regular(unsigned long fd)
{
	struct host_stat st = { 0 };

	return !host_syscall(__NR_fstat, hc_fd(fd), &st) && HOST_S_ISREG(st.st_mode);
}

/* The call, its offsets in kernel memory. locked: it cannot wait for anybody. */
static long transfer_call(unsigned long nr, const unsigned long *args, const struct transfer *x,
			  bool locked, loff_t *off)
{
	unsigned long a[6] = { args[0], args[1], args[2], args[3], args[4], args[5] };

	a[x->in_fd] = (unsigned long)hc_fd(args[x->in_fd]);
	a[x->out_fd] = (unsigned long)hc_fd(args[x->out_fd]);
	if (args[x->in_off])
		a[x->in_off] = (unsigned long)&off[0];
	if (x->out_off != NO_ARG && args[x->out_off])
		a[x->out_off] = (unsigned long)&off[1];
	if (locked)
		return host_syscall_uninterruptible(nr, a);
	return hc_call((long)nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The out file is cached. */
static long transfer_to_cached(struct native_task *t, unsigned long nr, const unsigned long *args,
			       const struct transfer *x, struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	loff_t off[2] = { offset_arg(t, args, x->in_off), offset_arg(t, args, x->out_off) };
	bool explicit_out = x->out_off != NO_ARG && args[x->out_off];
	bool locked = is_regular(args[x->in_fd]);
	long ret;

	if ((args[x->in_off] && off[0] == -1) || (explicit_out && off[1] == -1))
		return SYSCALL_NOT_OURS; /* an error, which the host can tell as well */
	mutex_lock(&mapping->lock);
	inode_unstable_locked(inode);
	if (!locked)
		mutex_unlock(&mapping->lock);
	ret = transfer_call(nr, args, x, locked, off);
	if (!locked)
		mutex_lock(&mapping->lock);
	if (is_unknown(t)) {
		native_inode_changed(inode, (int)args[x->out_fd]);
	} else if (ret > 0) {
		loff_t end = explicit_out ? off[1] : file_position(args[x->out_fd]);

		native_inode_changed(inode, (int)args[x->out_fd]);
		filemap_refresh_range_locked(mapping, end - ret, ret);
	}
	mutex_unlock(&mapping->lock);
	if (ret >= 0 && ((args[x->in_off] && copy_to_mm(t->task.mm, args[x->in_off], &off[0], 8)) ||
			 (explicit_out && copy_to_mm(t->task.mm, args[x->out_off], &off[1], 8))))
		return -EFAULT;
	return ret;
}

static long file_transfer(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	static const struct transfer sendfile = { 1, 2, 0, NO_ARG, 3 };
	static const struct transfer splice = { 0, 1, 2, 3, 4 };
	const struct transfer *x = nr == __NR_sendfile ? &sendfile : &splice;
	struct inode *inode;
	long ret;

	if (!nothing_is_dirty())
		write_back_range(args[x->in_fd], offset_arg(t, args, x->in_off), args[x->len]);
	inode = cached_inode(args[x->out_fd]);
	if (!inode)
		return SYSCALL_NOT_OURS;
	ret = transfer_to_cached(t, nr, args, x, inode);
	iput(inode);
	return ret;
}

/* ---- Size, holes ------------------------------------------------------------------------- */

static long file_ftruncate(struct native_task *t, const unsigned long *args)
{
	struct inode *inode = cached_inode(args[0]);
	long ret;

	if (!inode)
		return SYSCALL_NOT_OURS;
	mutex_lock(&inode->i_data.lock);
	inode_unstable_locked(inode);
	ret = host_syscall_uninterruptible(__NR_ftruncate, args);
	if (!ret || is_unknown(t))
		native_inode_changed(inode, (int)args[0]);
	mutex_unlock(&inode->i_data.lock);
	iput(inode);
	return ret;
}

static long truncate_cached(const struct native_task *t, const char *path, unsigned long len,
			    struct inode *inode)
{
	const unsigned long host_args[6] = { (unsigned long)path, len };
	struct host_stat st = { 0 };
	long ret;

	mutex_lock(&inode->i_data.lock);
	inode_unstable_locked(inode);
	ret = host_syscall_uninterruptible(__NR_truncate, host_args);
	if (is_unknown(t)) {
		native_inode_changed(inode, -1);
	} else if (!ret) {
		truncate_setsize_locked(inode, (loff_t)len);
		if (!host_syscall(__NR_stat, path, &st))
			inode->i_version =
				(u64)st.st_ctim.tv_sec * 1000000000 + (u64)st.st_ctim.tv_nsec;
	}
	mutex_unlock(&inode->i_data.lock);
	return ret;
}

static long file_truncate(struct native_task *t, const unsigned long *args)
{
	long ret = SYSCALL_NOT_OURS;
	struct inode *inode = NULL;
	struct host_stat st = { 0 };
	struct hc_mem mem;
	unsigned long path;

	hc_mem_init(&mem);
	path = hc_string(t, &mem, args[0]);
	if (path && path != HC_BAD_PTR && !IS_ERR_VALUE(path) &&
	    !host_syscall(__NR_stat, path, &st) && HOST_S_ISREG(st.st_mode))
		inode = inode_lookup(st.st_dev, st.st_ino);
	if (inode) {
		ret = truncate_cached(t, (const char *)path, args[1], inode);
		iput(inode);
	}
	hc_mem_free(&mem);
	return ret;
}

/* Contents may change from pos on without passing through here: len 0 means up to the end. */
static long file_changing_call(struct native_task *t, unsigned long nr, const unsigned long *args,
			       struct inode *inode, loff_t pos, loff_t len)
{
	struct address_space *mapping = &inode->i_data;
	long ret;

	mutex_lock(&mapping->lock);
	inode_unstable_locked(inode);
	filemap_write_and_wait_range_locked(mapping, 0, ULONG_MAX);
	ret = host_syscall_uninterruptible(nr, args);
	if (is_unknown(t)) {
		native_inode_changed(inode, -1);
	} else if (!ret) {
		native_inode_changed(inode, (int)args[0]);
		filemap_refresh_range_locked(mapping, pos, len ? len : inode->i_size - pos);
	}
	mutex_unlock(&mapping->lock);
	return ret;
}

static long file_fallocate(struct native_task *t, const unsigned long *args)
{
	const int moves = FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE;
	struct inode *inode = cached_inode(args[0]);
	loff_t len = (int)args[1] & moves ? 0 : (loff_t)args[3];
	long ret;

	if (!inode)
		return SYSCALL_NOT_OURS;
	ret = file_changing_call(t, __NR_fallocate, args, inode, (loff_t)args[2], len);
	iput(inode);
	return ret;
}

/* A file that becomes a clone of another: args[2] is a descriptor, or a structure with one in it. */
static long file_clone(struct native_task *t, const unsigned long *args)
{
	struct {
		s64 src_fd;
		u64 src_offset, src_length, dest_offset;
	} range = { .src_fd = (s64)args[2] };
	unsigned long host_args[6] = { args[0], args[1], (unsigned long)hc_fd(args[2]) };
	struct inode *inode;
	long ret;

	if ((u32)args[1] == FICLONERANGE) {
		if (copy_from_mm(t->task.mm, &range, args[2], sizeof(range)))
			return SYSCALL_NOT_OURS;
		range.src_fd = hc_fd((unsigned long)range.src_fd);
		host_args[2] = (unsigned long)&range;
	}
	if (!nothing_is_dirty())
		write_back_range((unsigned long)range.src_fd, 0, (size_t)-1);
	inode = cached_inode(args[0]);
	if (!inode)
		return SYSCALL_NOT_OURS;
	ret = file_changing_call(t, __NR_ioctl, host_args, inode, (loff_t)range.dest_offset,
				 (loff_t)range.src_length);
	iput(inode);
	return ret;
}

/* ---- Seals ------------------------------------------------------------------------------- */

/*
 * The host knows nothing of the guests' mappings. Nobody may be able to write through one when it is told to
 * forbid all writing, and what was written before has to be there. Mappings that stay writable under
 * F_SEAL_FUTURE_WRITE are written back by the keeper's own.
 */
static long add_seals_cached(const unsigned long *args, struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	unsigned long host_args[6] = { args[0], args[1], args[2] };
	long had = host_syscall(__NR_fcntl, hc_fd(args[0]), HOST_F_GET_SEALS);
	bool mapped = mapping_writably_mapped(mapping);
	long ret;

	if (args[2] & HOST_F_SEAL_WRITE && had >= 0 &&
	    !(had & (HOST_F_SEAL_SEAL | HOST_F_SEAL_WRITE))) {
		if (mapped)
			return -EBUSY;
		filemap_write_and_wait_range_locked(mapping, 0, ULONG_MAX);
		native_block_hold_write(inode->i_blkdev, false);
	}
	if (args[2] & HOST_F_SEAL_FUTURE_WRITE && had >= 0) {
		filemap_write_and_wait_range_locked(mapping, 0, ULONG_MAX);
		if (mapped && native_block_hold_write(inode->i_blkdev, true))
			return -EBUSY;
	}
	host_args[0] = (unsigned long)hc_fd(args[0]);
	ret = host_syscall_uninterruptible(__NR_fcntl, host_args);
	if (!ret && args[2] & (HOST_F_SEAL_WRITE | HOST_F_SEAL_FUTURE_WRITE))
		WRITE_ONCE(inode->i_sealed, true);
	return ret;
}

static long file_add_seals(const unsigned long *args)
{
	long fl = host_syscall(__NR_fcntl, hc_fd(args[0]), F_GETFL);
	struct inode *inode;
	long ret;

	/* What is refused for reasons of its own is the host's to refuse. */
	if (fl < 0 || !(fl & HOST_O_ACCMODE) || (u32)args[2] & ~HOST_F_ALL_SEALS)
		return SYSCALL_NOT_OURS;
	inode = cached_inode(args[0]);
	if (!inode)
		return SYSCALL_NOT_OURS;
	mutex_lock(&inode->i_data.lock);
	ret = add_seals_cached(args, inode);
	mutex_unlock(&inode->i_data.lock);
	iput(inode);
	return ret;
}

/* ---- open with O_TRUNC ------------------------------------------------------------------- */

static unsigned long open_flags(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	u64 flags = 0;

	switch (nr) {
	case __NR_open:
		return args[1];
	case __NR_openat:
		return args[2];
	case __NR_creat:
		return HOST_O_TRUNC;
	default:
		return copy_from_mm(t->task.mm, &flags, args[2], sizeof(flags)) ? 0 : flags;
	}
}

static long file_open(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct inode *inode;
	long fd;

	if (!(open_flags(t, nr, args) & HOST_O_TRUNC))
		return SYSCALL_NOT_OURS;
	fd = pathcall_syscall(t, nr, args);
	if (fd == SYSCALL_NOT_OURS)
		fd = hostcall(t, nr, args);
	inode = fd >= 0 ? cached_inode((unsigned long)fd) : NULL;
	if (inode) {
		mutex_lock(&inode->i_data.lock);
		/* All that was cached is gone, though the file may have grown again since. */
		truncate_setsize_locked(inode, 0);
		native_inode_changed(inode, (int)fd);
		mutex_unlock(&inode->i_data.lock);
		iput(inode);
	}
	return fd;
}

/* ---- fsync and its kin ------------------------------------------------------------------- */

static long inode_sync(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	long err;

	mutex_lock(&mapping->lock);
	filemap_write_and_wait_range_locked(mapping, 0, ULONG_MAX);
	err = mapping->wb_err;
	mapping->wb_err = 0;
	mutex_unlock(&mapping->lock);
	return err;
}

static long file_sync(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct inode *inode = cached_inode(args[0]);
	long err, ret;

	if (!inode)
		return SYSCALL_NOT_OURS;
	err = inode_sync(inode);
	iput(inode);
	ret = hostcall(t, nr, args);
	return ret ? ret : err;
}

static void sync_inodes(bool all, u64 dev)
{
	struct inode *inode;

	if (nothing_is_dirty())
		return;
	for (inode = inode_scan_next(NULL); inode; inode = inode_scan_next(inode))
		if (all || inode->i_dev == dev)
			filemap_write_and_wait_range(&inode->i_data, 0, ULONG_MAX);
}

static void before_syncfs(unsigned long fd)
{
	struct host_stat st = { 0 };

	if (!host_syscall(__NR_fstat, hc_fd(fd), &st))
		sync_inodes(false, st.st_dev);
}

/* The keeper's descriptors of files that nobody uses any more would keep the file system busy. */
static void before_umount(struct native_task *t, const unsigned long *args)
{
	struct host_stat st = { 0 };
	struct hc_mem mem;
	unsigned long path;

	hc_mem_init(&mem);
	path = hc_string(t, &mem, args[0]);
	if (path && path != HC_BAD_PTR && !IS_ERR_VALUE(path) &&
	    !host_syscall(__NR_stat, path, &st))
		evict_inodes(st.st_dev);
	hc_mem_free(&mem);
}

/* ---- Dispatch ---------------------------------------------------------------------------- */

static bool may_be_uffd(unsigned long nr)
{
	switch (nr) {
	case __NR_read:
	case __NR_readv:
	case __NR_preadv2:
	case __NR_splice:
	case __NR_tee:
	case __NR_ioctl:
	case __NR_close:
		return READ_ONCE(any_uffd);
	default:
		return false;
	}
}

long fileio_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	if (unlikely(may_be_uffd(nr))) {
		long ret = uffd_syscall(t, nr, args);

		if (ret != SYSCALL_NOT_OURS)
			return ret;
	}
	switch (nr) {
	case __NR_read:
	case __NR_pread64:
	case __NR_readv:
	case __NR_preadv:
	case __NR_preadv2:
		return before_read(nr, args);
	case __NR_write:
	case __NR_pwrite64:
	case __NR_writev:
	case __NR_pwritev:
	case __NR_pwritev2:
		return file_write(t, nr, args);
	case __NR_sendfile:
	case __NR_splice:
	case __NR_copy_file_range:
		return file_transfer(t, nr, args);
	case __NR_lseek:
		if ((args[2] == SEEK_DATA || args[2] == SEEK_HOLE) && !nothing_is_dirty())
			write_back_range(args[0], 0, (size_t)-1);
		return SYSCALL_NOT_OURS;
	case __NR_fcntl:
		return (u32)args[1] == HOST_F_ADD_SEALS ? file_add_seals(args) : SYSCALL_NOT_OURS;
	case __NR_ftruncate:
		return file_ftruncate(t, args);
	case __NR_truncate:
		return file_truncate(t, args);
	case __NR_fallocate:
		return file_fallocate(t, args);
	case __NR_userfaultfd:
		return uffd_sys_userfaultfd(t, args);
	case __NR_ioctl:
		if ((u32)args[1] == USERFAULTFD_IOC_NEW)
			return uffd_ioc_new(t, args);
		return (u32)args[1] == FICLONE || (u32)args[1] == FICLONERANGE ? file_clone(t, args)
									       : SYSCALL_NOT_OURS;
	case __NR_open:
	case __NR_openat:
	case __NR_openat2:
	case __NR_creat:
		return file_open(t, nr, args);
	case __NR_fsync:
	case __NR_fdatasync:
	case __NR_sync_file_range:
		return file_sync(t, nr, args);
	case __NR_sync:
		sync_inodes(true, 0);
		return SYSCALL_NOT_OURS;
	case __NR_syncfs:
		before_syncfs(args[0]);
		return SYSCALL_NOT_OURS;
	case __NR_umount2:
		before_umount(t, args);
		return SYSCALL_NOT_OURS;
	default:
		return SYSCALL_NOT_OURS;
	}
}
