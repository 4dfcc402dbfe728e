/* SPDX-License-Identifier: MIT */
/*
 * hostmem.h - what the files that hand system calls to the host share: kernel memory for the length
 * of one call, pieces of guest memory, and the calls themselves.
 */
#ifndef NATIVE_HOSTMEM_H
#define NATIVE_HOSTMEM_H

#include <quire/errno.h>
#include <quire/slab.h>
#include <quire/string.h>

#include "hostcall.h"
#include "native.h"

/* No guest or host memory is ever mapped there, so the host finds EFAULT by itself. */
#define HC_BAD_PTR 0x1000ul
/* Larger pieces than this are never copied through the kernel. */
#define HC_MAX_COPY (1ul << 20)
#define HC_MAX_RW 0x7ffff000ul /* most that one read or write transfers, as in Linux */
#define HC_PATH_MAX 4096ul
#define HC_IOV_MAX 1024ul

/* Memory of one system call, all freed at its end: a little on the stack, the rest from kmalloc. */
#define HC_MEM_SMALL 512
struct hc_mem {
	size_t used;
	struct hc_chunk *chunks;
	u8 small[HC_MEM_SMALL] __aligned(16);
};
static inline void hc_mem_init(struct hc_mem *mem)
{
	mem->used = 0;
	mem->chunks = NULL;
}
void *hc_alloc(struct hc_mem *mem, size_t size); /* 16-byte aligned; NULL: no memory */
void hc_mem_free(struct hc_mem *mem);

/*
 * Copies for the host to read. The address to give to it: 0 for NULL, HC_BAD_PTR if the guest cannot
 * read it, or IS_ERR_VALUE (-ENOMEM).
 */
unsigned long hc_in(struct native_task *t, struct hc_mem *mem, unsigned long uaddr, size_t size);
/* At most size bytes, at least min_size of them (and one); the rest is zeros. */
unsigned long hc_in_may(struct native_task *t, struct hc_mem *mem, unsigned long uaddr, size_t size,
			size_t min_size);
unsigned long hc_string(struct native_task *t, struct hc_mem *mem, unsigned long uaddr);

/* The signal mask of a call that blocks with it (8 bytes at uaddr, 0: none). As hc_in(). */
unsigned long hc_temp_mask(struct native_task *t, struct hc_mem *mem, unsigned long uaddr);
/* After that call. */
void hc_temp_mask_end(struct native_task *t);

/* A guest's descriptor number as the host is to see it. */
static inline long hc_fd(unsigned long fd)
{
	return native_fd_reserved(fd) ? -1 : (int)fd;
}

static inline bool hc_is_error(long ret)
{
	return IS_ERR_VALUE(ret);
}

#define hc_call(nr, ...) HC_CALL_N(nr, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define HC_CALL_N(nr, a, b, c, d, e, f, ...) \
	host_call(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/* ---- Bulk data: hostio.c ------------------------------------------------------------------ */

/* A position in a guest's array of buffers. */
struct uiter {
	const struct host_iovec *iov;
	unsigned int nr;
	size_t off; /* within iov[0] */
	size_t left;
};
void uiter_init(struct uiter *it, const struct host_iovec *iov, unsigned int nr);
void uiter_advance(struct uiter *it, size_t n);
/* Copy at most n bytes at the position, which moves; bytes copied, short when memory is not there. */
size_t uiter_to_user(struct uiter *it, struct mm_struct *mm, const void *src, size_t n);
/* At most n bytes from the position on that may be written, or read. As user_access_room(). */
size_t uiter_room(const struct uiter *it, struct mm_struct *mm, size_t n, bool write);
size_t uiter_from_user(struct uiter *it, struct mm_struct *mm, void *dst, size_t n);

/* Guest memory at a position, pinned, as the host may be given it. */
#define PIN_MAX_PAGES 256
struct pinned {
	unsigned int nr_pages, nr_iov;
	size_t bytes; /* pinned */
	bool faulted; /* memory ends there: the last of iov[] is what follows, and is bad */
	struct page *pages[PIN_MAX_PAGES];
	struct host_iovec iov[PIN_MAX_PAGES + 1];
};
/* At most PIN_MAX_PAGES from the position on, which stays. 0 or -ENOMEM. */
long uiter_pin(const struct uiter *it, struct mm_struct *mm, bool write, struct pinned *pin);
void uiter_unpin(struct pinned *pin, bool write);

/*
 * The guest's iovec array, in *iov (memory of mem). Number of elements; -EFAULT, -EINVAL, -ENOMEM. The
 * total is cut at HC_MAX_RW as in Linux.
 */
long hc_import_iovec(struct native_task *t, struct hc_mem *mem, unsigned long uiov,
		     unsigned long nr, struct host_iovec **iov);

/* One read or write call. */
struct hostio {
	struct native_task *t;
	int fd;
	bool write;
	bool has_pos;
	bool vec; /* readv and the like, also for no bytes at all */
	bool splice; /* vmsplice: what memory there is, without an error behind it */
	bool direct; /* cannot block: no window for signals, locks may be held */
	int flags; /* RWF_* */
	loff_t pos; /* with has_pos */
	/* Does a piece; NULL: hostio_issue() itself. */
	long (*issue)(struct hostio *io, const struct host_iovec *iov, unsigned int nr);
	void *data; /* issue()'s */
};
/* Fills io and iov (memory of mem) from a system call of the read and write family; elements. */
long hostio_import(struct native_task *t, struct hc_mem *mem, unsigned long nr,
		   const unsigned long *args, struct hostio *io, struct host_iovec **iov);
long hostio_rw(struct hostio *io, const struct host_iovec *iov, unsigned int nr);
/* The host call for kernel memory. */
long hostio_issue(struct hostio *io, const struct host_iovec *iov, unsigned int nr);

/* ---- Calls with a function of their own --------------------------------------------------- */

typedef long (*hostcall_fn)(struct native_task *t, unsigned long nr, const unsigned long *args);

long hostcall_rw(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_getrandom(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_msg(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_sockopt(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_ioctl(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_fcntl(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_select(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_poll(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_epoll(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_fdpair(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_close_range(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_semctl(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_sysv_msg(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_mq_notify(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_keyctl(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_name_to_handle(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_sched_setattr(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_perf(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_ldt(struct native_task *t, unsigned long nr, const unsigned long *args);
long hostcall_pidfd_signal(struct native_task *t, unsigned long nr, const unsigned long *args);

#endif
