/* SPDX-License-Identifier: MIT */
/*
 * cache_fixture.h - what the tests of the page cache share: a booted soft machine, files on
 * in-memory devices, programs that map them, and a look at every counter that must come back.
 */
#ifndef QUIRE_TEST_CACHE_FIXTURE_H
#define QUIRE_TEST_CACHE_FIXTURE_H

#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/reclaim.h>

#include "soft_fixture.h"

/* As soft_load() and soft_store() report them. */
#define SIGBUS 7
#define SIGSEGV 11

#define KPAGE ((long)PAGE_SIZE)

static inline int boot_machine(void **state)
{
	(void)state;
	return soft_init(32 << 20, 1);
}

static inline int stop_machine(void **state)
{
	(void)state;
	soft_exit();
	return 0;
}

/* A program loads or stores one byte: 0 or the signal it gets. */
static inline int user_access(struct mm_struct *mm, unsigned long addr, u8 *byte, bool write)
{
	return write ? soft_store(mm, addr, byte, 1).signo : soft_load(mm, addr, byte, 1).signo;
}

/* ---- Counters ------------------------------------------------------------------------------ */

struct counters {
	unsigned long state[NR_VM_NODE_STAT_ITEMS];
	unsigned long objects, free;
};

/* With all caches of free memory emptied. Some states only ever rise. */
static inline struct counters counters_now(void)
{
	struct counters c = { .objects = kmem_cache_shrink_all() };

	drain_all_pages();
	for (unsigned int i = 0; i < NR_VM_NODE_STAT_ITEMS; i++)
		if (i != NR_DIRTIED && i != NR_WRITTEN &&
		    (i < WORKINGSET_REFAULT_ANON || i > WORKINGSET_RESTORE_FILE))
			c.state[i] = node_page_state((enum node_stat_item)i);
	c.free = nr_free_pages();
	return c;
}

static inline void assert_counters(const struct counters *before)
{
	struct counters now = counters_now();

	for (unsigned int i = 0; i < NR_VM_NODE_STAT_ITEMS; i++)
		if (now.state[i] != before->state[i])
			fail_msg("node state %u: %lu, was %lu", i, now.state[i], before->state[i]);
	assert_int_equal(now.objects, before->objects);
	assert_int_equal(now.free, before->free);
}

/* Files stay cached when they are closed; this drops them, written back. */
static inline void assert_all_gone(const struct counters *before)
{
	assert_int_equal(inodes_shutdown(), 0);
	assert_counters(before);
}

/* ---- Files --------------------------------------------------------------------------------- */

struct test_file {
	struct inode *inode;
	struct file *file;
	u64 disk, dev, ino;
};

static inline u8 *disk_bytes(const struct test_file *tf)
{
	return soft_blk_data(tf->disk);
}

static inline unsigned long disk_reads(const struct test_file *tf)
{
	return soft_blk_stats(tf->disk).reads;
}

static inline unsigned long disk_writes(const struct test_file *tf)
{
	return soft_blk_stats(tf->disk).writes;
}

static inline void disk_resize(const struct test_file *tf, loff_t size)
{
	assert_int_equal(soft_blk_resize(tf->disk, (u64)size), 0);
}

/*
 * An open file of size random bytes on a device of its own; false: no memory, and nothing of it is
 * left. One at a time: the device is used again.
 */
static inline bool test_file_try_new(struct test_file *tf, loff_t size)
{
	static u64 disk, ino;
	bool created;

	if (!soft_blk_data(disk))
		disk = soft_blk_create((u64)size);
	tf->disk = disk;
	disk_resize(tf, 0);
	disk_resize(tf, size);
	for (loff_t i = 0; i < size; i++)
		disk_bytes(tf)[i] = (u8)(i % 253 + 1);
	tf->dev = 0x801;
	tf->ino = ++ino;
	tf->inode = inode_get(tf->dev, tf->ino, &created);
	if (IS_ERR(tf->inode))
		return false;
	assert_true(created);
	tf->inode->i_blkdev = disk;
	tf->inode->i_size = size;
	tf->inode->i_writable = true;
	tf->file = file_alloc(tf->inode, FMODE_READ | FMODE_WRITE, "/tmp/file");
	if (IS_ERR(tf->file)) {
		iput(tf->inode);
		return false;
	}
	return true;
}

static inline struct test_file test_file_new(loff_t size)
{
	struct test_file tf = { 0 }; /* the compiler does not know that assertions do not return */

	assert_true(test_file_try_new(&tf, size));
	return tf;
}

/* Its inode stays cached. */
static inline void test_file_put(struct test_file *tf)
{
	fput(tf->file);
	tf->file = NULL;
	tf->inode = NULL;
}

#endif
