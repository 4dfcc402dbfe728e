/* SPDX-License-Identifier: MIT */
/*
 * block.c - storage: files of the host, read and written by the keeper process, which holds a
 * descriptor for every inode that has pages in the cache.
 *
 *   guest                                  keeper
 *   sendmsg(dev, descriptor)  ---------->  table[dev] = descriptor
 *   slot: FREE -> FILLING -> READY  ---->  RUNNING: preadv/pwritev on the direct map
 *               ^----------- taken back by the guest -- DONE
 *
 * The files of --swap are open in every process, too, and read and written there.
 *
 * A guest that has the file open at the moment (exec, mmap) lets machine_block_rw() use that
 * descriptor instead: native_task.io_dev, io_fd.
 */
#include <quire/fault-inject.h>
#include <quire/string.h>

#include "native.h"

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_NOSIGNAL 0x4000

static u64 next_dev; /* numbers are not used twice; the first ones are the command's swap areas */

static int keeper_send(struct keeper_msg body, int fd)
{
	struct host_iovec iov = { (unsigned long)&body, sizeof(body) };
	struct {
		u64 len;
		s32 level, type;
		s32 fd, pad;
	} control = { 16 + sizeof(s32), SOL_SOCKET, SCM_RIGHTS, fd, 0 };
	struct {
		u64 name;
		u32 namelen, pad;
		u64 iov, iovlen, control, controllen;
		u32 flags, pad2;
	} msg = { .iov = (u64)&iov,
		  .iovlen = 1,
		  .control = (u64)&control,
		  .controllen = sizeof(control) };
	long ret = host_syscall(__NR_sendmsg, machine_params.keeper_fd, &msg, MSG_NOSIGNAL);

	return ret < 0 ? (int)ret : 0;
}

int native_keeper_add(u64 blkdev, int fd, bool writable)
{
	return keeper_send((struct keeper_msg){ .dev = blkdev, .writable = writable }, fd);
}

int native_keeper_add_pipe(u64 blkdev, int fd)
{
	return keeper_send((struct keeper_msg){ .dev = blkdev, .pipe = true }, fd);
}

int native_keeper_add_swap(u64 blkdev, int fd)
{
	return keeper_send((struct keeper_msg){ .dev = blkdev, .writable = true, .swap = true },
			   fd);
}

u64 native_new_blkdev(void)
{
	return machine_params.nr_swaps + __atomic_add_fetch(&next_dev, 1, __ATOMIC_SEQ_CST);
}

/* ---- Through a descriptor of this process ------------------------------------------------ */

static int direct_read(int fd, pgoff_t index, struct page *const *pages, unsigned int n)
{
	struct host_iovec iov[64];

	while (n) {
		unsigned int batch = n < 64 ? n : 64;
		size_t want = (size_t)batch << PAGE_SHIFT, got = 0;

		for (unsigned int i = 0; i < batch; i++)
			iov[i] = (struct host_iovec){ (unsigned long)page_address(pages[i]),
						      PAGE_SIZE };
		while (got < want) {
			unsigned int skip = (unsigned int)(got >> PAGE_SHIFT);
			size_t part = got & (PAGE_SIZE - 1);
			long ret;

			iov[skip].base += part;
			iov[skip].len -= part;
			ret = host_syscall(__NR_preadv, fd, iov + skip, batch - skip,
					   (index << PAGE_SHIFT) + got, 0);
			iov[skip].base -= part;
			iov[skip].len += part;
			if (ret < 0)
				return -EIO;
			if (!ret)
				break;
			got += (size_t)ret;
		}
		for (; got < want; got = (got & PAGE_MASK) + PAGE_SIZE)
			memset((u8 *)page_address(pages[got >> PAGE_SHIFT]) +
				       (got & (PAGE_SIZE - 1)),
			       0, PAGE_SIZE - (got & (PAGE_SIZE - 1)));
		pages += batch;
		index += batch;
		n -= batch;
	}
	return 0;
}

/*
 * The first swap areas are open in every process, so that a page comes without waiting for the keeper's turn
 * on a processor. The virtual CPU is lent meanwhile.
 */
struct swap_io {
	u64 dev;
	pgoff_t index;
	struct page *const *pages;
	unsigned int n;
	bool write;
};

#define SWAP_IO_PAGES 64u

static long swap_io_without_cpu(void *arg)
{
	const struct swap_io *io = arg;
	struct native_task *t = current_native();
	struct host_iovec iov[SWAP_IO_PAGES];
	long ret;

	for (unsigned int i = 0; i < io->n; i++)
		iov[i] =
			(struct host_iovec){ (unsigned long)page_address(io->pages[i]), PAGE_SIZE };
	cpu_lend(t);
	ret = host_syscall(io->write ? __NR_pwritev : __NR_preadv,
			   native_fd_floor + NATIVE_SWAP_FD(io->dev - 1), iov, io->n,
			   io->index << PAGE_SHIFT, 0);
	cpu_take_back(t);
	return ret;
}

/* False: not all of it was done, for whatever reason; the keeper will know better. */
static bool swap_io(u64 dev, pgoff_t index, struct page *const *pages, unsigned int n, bool write)
{
	struct swap_io io = { dev, index, pages, n, write };

	if (dev - 1 >= machine_params.nr_swaps || dev > NATIVE_SWAP_FDS || n > SWAP_IO_PAGES)
		return false;
	return native_resumable(swap_io_without_cpu, &io) == (long)n << PAGE_SHIFT;
}

/* ---- Through the keeper ------------------------------------------------------------------ */

static u32 slot_seq; /* futex: bumped when a slot becomes free */

/* With all slots in use their users may need the caller's CPU to come to an end. */
static struct keeper_slot *slot_get(void)
{
	for (;;) {
		u32 seq = __atomic_load_n(&slot_seq, __ATOMIC_SEQ_CST);

		for (unsigned int i = 0; i < KEEPER_SLOTS; i++) {
			struct keeper_slot *s = &kernel_shared.slot[i];
			u32 free = SLOT_FREE;

			if (s->state == SLOT_FREE &&
			    __atomic_compare_exchange_n(&s->state, &free, SLOT_FILLING, false,
							__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				return s;
		}
		machine_wait(&slot_seq, seq, 1000000);
	}
}

static void slot_put(struct keeper_slot *s)
{
	__atomic_store_n(&s->state, SLOT_FREE, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&slot_seq, 1, __ATOMIC_SEQ_CST);
}

/*
 * The change times that the latest writes gave to their files, by device: dev is 0 while ctime_ns is
 * changed. A device may be overwritten by another.
 */
#define NR_WRITTEN 256
static struct {
	u64 dev, ctime_ns;
} written[NR_WRITTEN];

static void note_written(u64 dev, u64 ctime_ns)
{
	__atomic_store_n(&written[dev % NR_WRITTEN].dev, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&written[dev % NR_WRITTEN].ctime_ns, ctime_ns, __ATOMIC_SEQ_CST);
	__atomic_store_n(&written[dev % NR_WRITTEN].dev, dev, __ATOMIC_SEQ_CST);
}

u64 native_block_ctime(u64 dev)
{
	u64 ctime_ns;

	if (__atomic_load_n(&written[dev % NR_WRITTEN].dev, __ATOMIC_SEQ_CST) != dev)
		return 0;
	ctime_ns = __atomic_load_n(&written[dev % NR_WRITTEN].ctime_ns, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&written[dev % NR_WRITTEN].dev, __ATOMIC_SEQ_CST) == dev ? ctime_ns
											: 0;
}

struct block_stat {
	u64 size, ctime_ns;
};

/* st: how the file is after a write, or NULL. */
static int slot_run(struct keeper_slot *s, struct block_stat *st)
{
	int ret;

	s->result = 0;
	__atomic_store_n(&s->state, SLOT_READY, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&kernel_shared.keeper_seq, 1, __ATOMIC_SEQ_CST);
	machine_wake(&kernel_shared.keeper_seq, 1);
	for (;;) {
		u32 state = __atomic_load_n(&s->state, __ATOMIC_SEQ_CST);

		if (state == SLOT_DONE)
			break;
		machine_wait(&s->state, state, MACHINE_WAIT_FOREVER);
	}
	ret = s->result;
	if (st) {
		st->size = s->size;
		st->ctime_ns = s->ctime_ns;
	}
	if (s->op == KEEPER_WRITE && !ret)
		note_written(s->dev, s->ctime_ns);
	slot_put(s);
	return ret;
}

/* Of no pages. */
static int keeper_op(u64 dev, enum keeper_op op, struct block_stat *st)
{
	struct keeper_slot *s = slot_get();

	s->op = op;
	s->dev = dev;
	s->index = 0;
	s->nr = 0;
	return slot_run(s, st);
}

int native_block_stat(u64 dev, u64 *size, u64 *ctime_ns)
{
	struct block_stat st;
	int ret = keeper_op(dev, KEEPER_WRITE, &st);

	*size = st.size;
	*ctime_ns = st.ctime_ns;
	return ret;
}

int native_block_hold_write(u64 dev, bool hold)
{
	return keeper_op(dev, hold ? KEEPER_HOLD_WRITE : KEEPER_LET_WRITE, NULL);
}

int machine_block_rw(u64 dev, pgoff_t index, struct page *const *pages, unsigned int n, bool write)
{
	struct native_task *t = current_native();

	if (should_fail(&fail_block))
		return -EIO;
	if (!write && t->io_dev == dev && dev)
		return direct_read(t->io_fd, index, pages, n);
	if (swap_io(dev, index, pages, n, write))
		return 0;
	while (n) {
		unsigned int batch = n < KEEPER_REQ_PAGES ? n : KEEPER_REQ_PAGES;
		struct keeper_slot *s = slot_get();
		int ret;

		s->op = write ? KEEPER_WRITE : KEEPER_READ;
		s->dev = dev;
		s->index = index;
		s->nr = batch;
		for (unsigned int i = 0; i < batch; i++)
			s->frame[i] = page_to_pfn(pages[i]);
		ret = slot_run(s, NULL);
		if (ret)
			return ret;
		pages += batch;
		index += batch;
		n -= batch;
	}
	return 0;
}

int native_keeper_poke(u64 dev)
{
	return keeper_op(dev, KEEPER_POKE, NULL);
}

int native_keeper_peek(u64 dev)
{
	return keeper_op(dev, KEEPER_PEEK, NULL);
}

int machine_block_flush(u64 dev)
{
	return keeper_op(dev, KEEPER_FLUSH, NULL);
}

bool machine_block_hole(u64 dev, pgoff_t index)
{
	struct keeper_slot *s = slot_get();

	s->op = KEEPER_HOLE;
	s->dev = dev;
	s->index = index;
	s->nr = 0;
	return slot_run(s, NULL) == 1;
}

int machine_block_punch(u64 dev, pgoff_t first, pgoff_t last)
{
	struct keeper_slot *s = slot_get();

	s->op = KEEPER_PUNCH;
	s->dev = dev;
	s->index = first;
	s->frame[0] = last;
	s->nr = 0;
	return slot_run(s, NULL);
}

void machine_block_release(u64 dev)
{
	if (dev)
		keeper_op(dev, KEEPER_RELEASE, NULL);
}
