/* SPDX-License-Identifier: MIT */
/*
 * hostio.c - bulk data between guest memory and the host: read, write and their kin.
 *
 * Up to BOUNCE_MAX bytes go through a buffer of the kernel. More is pinned, and the host is given
 * its frames by their addresses in the direct map, PIN_MAX_PAGES at a time:
 *
 *   guest's iovec   [....a....][..b..]        virtual, frames anywhere
 *   host's iovec    [..][.....][..][..]       one element for each run of frames
 *
 * A transfer ends early where the host's would: at a short count, or where guest memory ends.
 */
#include <quire/mm.h>

#include "hostmem.h"

#define BOUNCE_MAX PAGE_SIZE
/* The same for a file whose end is not known; with the chunk's head a power of two. */
#define BOUNCE_TAIL (8 * PAGE_SIZE - 64)

#define SPLICE_F_NONBLOCK 2
#define SEEK_CUR 1

/* ---- Positions in guest memory ----------------------------------------------------------- */

static void uiter_skip_empty(struct uiter *it)
{
	while (it->nr && it->off == it->iov->len) {
		it->iov++;
		it->nr--;
		it->off = 0;
	}
}

void uiter_init(struct uiter *it, const struct host_iovec *iov, unsigned int nr)
{
	it->iov = iov;
	it->nr = nr;
	it->off = 0;
	it->left = 0;
	for (unsigned int i = 0; i < nr; i++)
		it->left += iov[i].len;
	uiter_skip_empty(it);
}

void uiter_advance(struct uiter *it, size_t n)
{
	while (n && it->nr) {
		size_t piece = min(n, it->iov->len - it->off);

		it->off += piece;
		it->left -= piece;
		n -= piece;
		uiter_skip_empty(it);
	}
}

size_t uiter_to_user(struct uiter *it, struct mm_struct *mm, const void *src, size_t n)
{
	size_t done = 0;

	while (done < n && it->nr) {
		size_t piece = min(n - done, it->iov->len - it->off);
		size_t bad = copy_to_mm(mm, it->iov->base + it->off, (const u8 *)src + done, piece);

		uiter_advance(it, piece - bad);
		done += piece - bad;
		if (bad)
			break;
	}
	return done;
}

size_t uiter_from_user(struct uiter *it, struct mm_struct *mm, void *dst, size_t n)
{
	size_t done = 0;

	while (done < n && it->nr) {
		size_t piece = min(n - done, it->iov->len - it->off);
		size_t bad = copy_from_mm(mm, (u8 *)dst + done, it->iov->base + it->off, piece);

		uiter_advance(it, piece - bad);
		done += piece - bad;
		if (bad)
			break;
	}
	return done;
}

size_t uiter_room(const struct uiter *start, struct mm_struct *mm, size_t n, bool write)
{
	struct uiter it = *start;
	size_t done = 0;

	while (done < n && it.nr) {
		size_t piece = min(n - done, it.iov->len - it.off);
		size_t room = user_access_room(mm, it.iov->base + it.off, piece, write);

		uiter_advance(&it, room);
		done += room;
		if (room < piece)
			break;
	}
	return done;
}

/* Enters n bytes from addr on, which lie in the pinned pages[from ...]. */
static void pin_add_runs(struct pinned *pin, unsigned int from, unsigned long addr, size_t n)
{
	unsigned long offset = addr & (PAGE_SIZE - 1);

	for (unsigned int i = from; n; i++) {
		unsigned long base = (unsigned long)page_address(pin->pages[i]) + offset;
		size_t piece = min(n, PAGE_SIZE - offset);
		struct host_iovec *last = pin->nr_iov ? &pin->iov[pin->nr_iov - 1] : NULL;

		if (last && last->base + last->len == base) {
			last->len += piece;
		} else {
			pin->iov[pin->nr_iov].base = base;
			pin->iov[pin->nr_iov++].len = piece;
		}
		pin->bytes += piece;
		n -= piece;
		offset = 0;
	}
}

/* The host stops where the guest's memory does, and says what it says then. */
static void pin_end(struct pinned *pin, size_t rest)
{
	pin->faulted = true;
	pin->iov[pin->nr_iov].base = HC_BAD_PTR;
	pin->iov[pin->nr_iov++].len = rest;
}

long uiter_pin(const struct uiter *start, struct mm_struct *mm, bool write, struct pinned *pin)
{
	struct uiter it = *start;

	pin->nr_pages = pin->nr_iov = 0;
	pin->bytes = 0;
	pin->faulted = false;
	while (it.nr && it.left && pin->nr_pages < PIN_MAX_PAGES) {
		unsigned long addr = it.iov->base + it.off;
		unsigned long offset = addr & (PAGE_SIZE - 1);
		size_t want = min(it.iov->len - it.off, it.left);
		unsigned long nr = min((offset + want + PAGE_SIZE - 1) >> PAGE_SHIFT,
				       PIN_MAX_PAGES - (unsigned long)pin->nr_pages);
		long got = -EFAULT;

		if (addr + want >= addr && addr + want <= TASK_SIZE_MAX)
			got = pin_user_pages(mm, addr & PAGE_MASK, nr, write,
					     pin->pages + pin->nr_pages);
		if (got == -ENOMEM && !pin->bytes)
			return got;
		if (got > 0) {
			want = min(want, ((size_t)got << PAGE_SHIFT) - offset);
			pin_add_runs(pin, pin->nr_pages, addr, want);
			pin->nr_pages += (unsigned int)got;
			uiter_advance(&it, want);
		}
		if (got < (long)nr) {
			if (got != -ENOMEM)
				pin_end(pin, it.left);
			break;
		}
	}
	return 0;
}

void uiter_unpin(struct pinned *pin, bool write)
{
	unpin_user_pages(pin->pages, pin->nr_pages, write);
}

long hc_import_iovec(struct native_task *t, struct hc_mem *mem, unsigned long uiov,
		     unsigned long nr, struct host_iovec **iovp)
{
	size_t room = HC_MAX_RW;
	struct host_iovec *iov = NULL;

	if (nr > HC_IOV_MAX)
		return -EINVAL;
	iov = hc_alloc(mem, nr * sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	if (copy_from_mm(t->task.mm, iov, uiov, nr * sizeof(*iov)))
		return -EFAULT;
	for (unsigned long i = 0; i < nr; i++) {
		if ((ssize_t)iov[i].len < 0)
			return -EINVAL;
		if (nr == 1) /* which Linux cuts before it looks at the addresses */
			iov[i].len = min(iov[i].len, room);
		if (iov[i].base + iov[i].len > TASK_SIZE_MAX || (long)iov[i].base < 0)
			return -EFAULT;
		iov[i].len = min(iov[i].len, room);
		room -= iov[i].len;
	}
	*iovp = iov;
	return (long)nr;
}

/* ---- The transfer ------------------------------------------------------------------------ */

long hostio_issue(struct hostio *io, const struct host_iovec *iov, unsigned int nr)
{
	long fd = hc_fd((unsigned long)io->fd);
	bool one = nr == 1 && !io->flags && (iov->len || !io->vec);
	long call, a = (long)iov, b = nr, pos = io->has_pos ? io->pos : -1;

	if (io->flags)
		call = io->write ? __NR_pwritev2 : __NR_preadv2;
	else if (io->has_pos)
		call = io->write ? (one ? __NR_pwrite64 : __NR_pwritev)
				 : (one ? __NR_pread64 : __NR_preadv);
	else
		call = io->write ? (one ? __NR_write : __NR_writev)
				 : (one ? __NR_read : __NR_readv);
	if (one) {
		a = (long)iov->base;
		b = (long)iov->len;
	}
	if (io->direct)
		return host_syscall6(call, fd, a, b, pos, 0, io->flags);
	return host_call(call, fd, a, b, pos, 0, io->flags);
}

static long issue(struct hostio *io, const struct host_iovec *iov, unsigned int nr)
{
	return io->issue ? io->issue(io, iov, nr) : hostio_issue(io, iov, nr);
}

/* Bytes at positions, which are there or not: a read that came back full may go on. */
static bool read_may_continue(struct hostio *io)
{
	struct host_stat st = { 0 };

	if (host_syscall(__NR_fstat, hc_fd((unsigned long)io->fd), &st))
		return false;
	return HOST_S_ISREG(st.st_mode) || (st.st_mode & HOST_S_IFMT) == 0060000u ||
	       (HOST_S_ISCHR(st.st_mode) && st.st_rdev >> 8 == 1);
}

/* An eventfd or the like, which takes a few words and would see a vector as several writes. */
static bool is_nameless(const struct hostio *io)
{
	struct host_stat st = { 0 };

	return !host_syscall(__NR_fstat, hc_fd((unsigned long)io->fd), &st) &&
	       !(st.st_mode & HOST_S_IFMT);
}

static long rw_bounce(struct hostio *io, struct uiter *it)
{
	struct mm_struct *mm = io->t->task.mm;
	size_t len = it->left;
	/* The second is what cannot be read or written: see pin_end(). */
	struct host_iovec iov[2] = { { .len = len }, { .base = HC_BAD_PTR } };
	struct hc_mem mem;
	long ret;

	hc_mem_init(&mem);
	iov[0].base = (unsigned long)hc_alloc(&mem, len);
	if (!iov[0].base)
		return -ENOMEM;
	iov[0].len = io->write ? uiter_from_user(it, mm, (void *)iov[0].base, len)
			       : uiter_room(it, mm, len, true);
	iov[1].len = len - iov[0].len;
	if (iov[1].len && io->write && !io->vec && is_nameless(io))
		iov[0].len = 0, iov[1].len = len;
	if (io->splice && iov[0].len)
		iov[1].len = 0;
	ret = len && !iov[0].len ? issue(io, iov + 1, 1) : issue(io, iov, 1 + !!iov[1].len);
	if (!io->write && ret > 0) {
		size_t done = uiter_to_user(it, mm, (void *)iov[0].base, (size_t)ret);

		/* Part of a message is none. */
		if (done < (size_t)ret)
			ret = done && read_may_continue(io) ? (long)done : -EFAULT;
	}
	hc_mem_free(&mem);
	return ret;
}

/* What has no frames (device memory), by way of the kernel. */
static long rw_unpinnable(struct hostio *io, struct uiter *it)
{
	struct uiter piece = *it;

	piece.left = min(piece.left, BOUNCE_TAIL);
	return rw_bounce(io, &piece);
}

static long rw_pinned(struct hostio *io, struct uiter *it)
{
	struct pinned *pin = kmalloc(sizeof(*pin), GFP_KERNEL);
	struct mm_struct *mm = io->t->task.mm;
	long done = 0, ret;
	size_t whole;
	bool nothing;

	if (!pin)
		return -ENOMEM;
	do {
		ret = uiter_pin(it, mm, !io->write, pin);
		if (ret)
			break;
		whole = pin->bytes;
		nothing = pin->faulted && !whole;
		if (nothing && uiter_room(it, mm, 1, !io->write)) {
			whole = min(it->left, BOUNCE_TAIL);
			ret = rw_unpinnable(io, it);
		} else if (nothing && done) {
			break;
		} else {
			ret = issue(io, pin->iov, pin->nr_iov);
			uiter_unpin(pin, !io->write);
		}
		if (ret <= 0)
			break;
		done += ret;
		io->pos += ret;
		uiter_advance(it, (size_t)ret);
	} while ((size_t)ret == whole && it->left && (io->write || read_may_continue(io)));
	kfree(pin);
	return done ? done : ret;
}

/*
 * Memory behind what a file has left must not be pinned, for that makes private copies of pages that
 * the read never reaches. A file of size 0 may be one whose contents are made as they are read.
 */
static size_t read_limit(const struct hostio *io, size_t left, size_t *bounce)
{
	int fd = (int)hc_fd((unsigned long)io->fd);
	struct host_stat st;
	loff_t pos = io->pos;

	if (host_syscall(__NR_fstat, fd, &st) || !HOST_S_ISREG(st.st_mode))
		return left;
	if (!io->has_pos)
		pos = host_syscall(__NR_lseek, fd, 0, SEEK_CUR);
	if (pos < 0 || pos >= st.st_size) {
		*bounce = BOUNCE_TAIL;
		return min(left, BOUNCE_TAIL);
	}
	return min(left, (size_t)(st.st_size - pos));
}

long hostio_rw(struct hostio *io, const struct host_iovec *iov, unsigned int nr)
{
	size_t bounce = BOUNCE_MAX;
	struct uiter it;

	uiter_init(&it, iov, nr);
	if (!io->write && it.left > BOUNCE_MAX)
		it.left = read_limit(io, it.left, &bounce);
	if (it.left <= bounce)
		return rw_bounce(io, &it);
	if (io->write && !io->vec && is_nameless(io)) {
		const struct host_iovec bad = { HC_BAD_PTR, it.left };

		return issue(io, &bad, 1);
	}
	return rw_pinned(io, &it);
}

/* ---- read ... pwritev2, vmsplice, getrandom ---------------------------------------------- */

/* A pipe's read or write: the pages are copied, not given. */
static long import_vmsplice(struct hostio *io, unsigned long flags)
{
	struct host_stat st = { 0 };
	long fl = host_syscall(__NR_fcntl, hc_fd((unsigned long)io->fd), 3 /* F_GETFL */);

	if (fl < 0 || host_syscall(__NR_fstat, io->fd, &st) ||
	    (st.st_mode & HOST_S_IFMT) != 0010000u)
		return -EBADF;
	if (flags & ~0xful)
		return -EINVAL;
	io->write = fl & HOST_O_ACCMODE;
	return 0;
}

/* A vector that is not right: the host says so, or what else comes first. */
static long import_verdict(struct hostio *io, unsigned long nr, const unsigned long *args, long err)
{
	struct host_iovec bad = { HC_BAD_PTR, (size_t)-1 };
	long vec = HC_BAD_PTR, n = (long)args[2];

	if (nr == __NR_vmsplice)
		return err;
	if (err == -EINVAL && (u32)args[2] <= HC_IOV_MAX) {
		vec = (long)&bad;
		n = 1;
	}
	err = hc_call((long)nr, hc_fd((unsigned long)io->fd), vec, n, args[3], args[4], args[5]);
	return err < 0 ? err : -EFAULT;
}

long hostio_import(struct native_task *t, struct hc_mem *mem, unsigned long nr,
		   const unsigned long *args, struct hostio *io, struct host_iovec **iovp)
{
	long n;

	*io = (struct hostio){ .t = t, .fd = (int)args[0], .pos = (loff_t)args[3] };
	io->write = nr == __NR_write || nr == __NR_pwrite64 || nr == __NR_writev ||
		    nr == __NR_pwritev || nr == __NR_pwritev2;
	io->has_pos = nr == __NR_pread64 || nr == __NR_pwrite64 || nr == __NR_preadv ||
		      nr == __NR_pwritev;
	if (nr == __NR_preadv2 || nr == __NR_pwritev2) {
		io->flags = (int)args[5];
		io->has_pos = io->pos != -1;
	}
	if (nr == __NR_vmsplice) {
		io->splice = true;
		n = import_vmsplice(io, args[3]);
		if (n)
			return n;
	}
	io->vec = nr != __NR_read && nr != __NR_write && nr != __NR_pread64 && nr != __NR_pwrite64;
	if (!io->vec) {
		/* No buffer can end there. */
		if (args[1] + args[2] > TASK_SIZE_MAX || args[1] + args[2] < args[1]) {
			n = hc_call((long)nr, hc_fd(args[0]), HC_BAD_PTR, -1, args[3]);
			return n < 0 ? n : -EFAULT;
		}
		*iovp = hc_alloc(mem, sizeof(**iovp));
		if (!*iovp)
			return -ENOMEM;
		(*iovp)->base = args[1];
		(*iovp)->len = min(args[2], HC_MAX_RW);
		return 1;
	}
	n = hc_import_iovec(t, mem, args[1], (u32)args[2], iovp);
	if (n == -EINVAL || n == -EFAULT)
		n = import_verdict(io, nr, args, n);
	return n;
}

/*
 * A pipe takes of a vmsplice() what there is room for, at once; only without any it is waited for. A
 * write() would wait until it has taken all, so the pages are copied into a pipe of our own first.
 */
static long vmsplice_to_pipe(struct hostio *io, const struct host_iovec *iov, unsigned int nr,
			     unsigned long flags)
{
	long size = host_syscall(__NR_fcntl, io->fd, HOST_F_GETPIPE_SZ);
	struct hostio fill = *io;
	s32 ours[2];
	long ret = host_syscall(__NR_pipe2, ours, HOST_O_CLOEXEC);

	if (ret)
		return -ENOMEM;
	host_syscall(__NR_fcntl, ours[1], HOST_F_SETPIPE_SZ, size);
	/* Filling it takes what it holds; emptying it waits as the flags say. */
	host_syscall(__NR_fcntl, ours[1], HOST_F_SETFL, HOST_O_NONBLOCK);
	fill.fd = ours[1];
	ret = hostio_rw(&fill, iov, nr);
	if (ret > 0)
		ret = hc_call(__NR_splice, ours[0], 0, io->fd, 0, ret, (long)flags);
	host_syscall(__NR_close, ours[0]);
	host_syscall(__NR_close, ours[1]);
	return ret;
}

static long vmsplice_to_user(struct hostio *io, const struct host_iovec *iov, unsigned int nr,
			     unsigned long flags)
{
	struct {
		s32 fd;
		s16 events, revents;
	} poll = { io->fd, 1 /* POLLIN */, 0 };

	if ((flags & SPLICE_F_NONBLOCK) && !host_syscall(__NR_poll, &poll, 1, 0))
		return -EAGAIN;
	return hostio_rw(io, iov, nr);
}

long hostcall_rw(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct host_iovec *iov = NULL;
	struct hostio io;
	struct hc_mem mem;
	long ret;

	hc_mem_init(&mem);
	ret = hostio_import(t, &mem, nr, args, &io, &iov);
	if (ret >= 0)
		ret = !io.splice ? hostio_rw(&io, iov, (unsigned int)ret)
				 : (io.write ? vmsplice_to_pipe : vmsplice_to_user)(
					   &io, iov, (unsigned int)ret, args[3]);
	hc_mem_free(&mem);
	return ret;
}

long hostcall_getrandom(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	size_t len = min(args[1], 0x7fffffful * 16), done = 0;
	struct hc_mem mem;
	u8 *buf;
	long ret;

	hc_mem_init(&mem);
	buf = hc_alloc(&mem, min(len, PAGE_SIZE));
	if (!buf)
		return -ENOMEM;
	do {
		size_t piece = min(len - done, PAGE_SIZE);

		ret = args[2] ? hc_call((long)nr, buf, piece, args[2])
			      : host_syscall(nr, buf, piece, 0);
		if (ret <= 0)
			break;
		piece = (size_t)ret - copy_to_mm(t->task.mm, args[0] + done, buf, (size_t)ret);
		done += piece;
		if (piece < (size_t)ret) {
			ret = -EFAULT;
			break;
		}
	} while (done < len);
	hc_mem_free(&mem);
	return done ? (long)done : ret;
}
