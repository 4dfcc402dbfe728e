/* SPDX-License-Identifier: MIT */
/*
 * linux_fixture.h - what the tests of the Linux ABI share: a soft machine with tasks, executables
 * by path, and the services that the ABI layer asks of a machine beyond machine.h.
 */
#ifndef QUIRE_TEST_LINUX_FIXTURE_H
#define QUIRE_TEST_LINUX_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/fault-inject.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/sched.h>
#include <quire/slab.h>
#include <quire/vmalloc.h>
#include <quire/vmstat.h>

#include "soft.h"

/* For what the host does not permit here. (To readers of TAP cmocka's skip() is a failure.) */
#define NOT_HERE(why)                            \
	do {                                     \
		printf("# not here: " why "\n"); \
		return;                          \
	} while (0)

/* ---- Counters ------------------------------------------------------------------------------ */

struct counters {
	unsigned long state[NR_VM_NODE_STAT_ITEMS];
	unsigned long objects, free;
};

/* With nothing cached: what does not come back to this has leaked. */
static inline struct counters counters_now(void)
{
	struct counters c = { 0 };

	ipc_shutdown();
	assert_int_equal(inodes_shutdown(), 0);
	vm_unmap_aliases();
	c.objects = kmem_cache_shrink_all();
	drain_all_pages();
	for (unsigned int i = 0; i < NR_VM_NODE_STAT_ITEMS; i++)
		c.state[i] = node_page_state((enum node_stat_item)i);
	c.free = nr_free_pages();
	return c;
}

static inline void assert_counters(const struct counters *before)
{
	struct counters now = counters_now();

	for (unsigned int i = 0; i < NR_VM_NODE_STAT_ITEMS; i++) {
		if (now.state[i] != before->state[i])
			fail_msg("node state %u: %lu, was %lu", i, now.state[i], before->state[i]);
	}
	assert_int_equal(now.objects, before->objects);
	assert_int_equal(now.free, before->free);
}

/* ---- Tasks --------------------------------------------------------------------------------- */

struct test_task {
	struct task_struct task;
	u32 interrupted; /* a signal has arrived */
	u32 asleep;
};

static __thread struct test_task *current_test_task;

void machine_current_cred(u32 *euid, u32 *egid)
{
	*euid = *egid = 0;
}

bool machine_in_group(u32 gid)
{
	return !gid;
}

void machine_membarrier(struct mm_struct *mm, bool sync_core)
{
	(void)mm;
	(void)sync_core;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

struct task_struct *machine_current(void)
{
	return current_test_task ? &current_test_task->task : NULL;
}

int machine_wait_interruptible(u32 *word, u32 val, u64 timeout_ns)
{
	const u64 slice = 50000000; /* how soon an interruption is seen */
	struct test_task nobody = { 0 }, *t = current_test_task ? current_test_task : &nobody;
	u64 end = machine_clock_ns() + timeout_ns;
	int ret = 0;

	__atomic_store_n(&t->asleep, 1, __ATOMIC_SEQ_CST);
	while (!ret && __atomic_load_n(word, __ATOMIC_SEQ_CST) == val) {
		if (__atomic_load_n(&t->interrupted, __ATOMIC_SEQ_CST))
			ret = -EINTR;
		else if (timeout_ns != MACHINE_WAIT_FOREVER && machine_clock_ns() >= end)
			ret = -ETIMEDOUT;
		else
			machine_wait(word, val, slice);
	}
	__atomic_store_n(&t->asleep, 0, __ATOMIC_SEQ_CST);
	return ret;
}

/* A thread of group `leader`, or of a group of its own with mm. */
static inline void test_task_init(struct test_task *t, struct test_task *leader,
				  struct mm_struct *mm, pid_t pid)
{
	memset(t, 0, sizeof(*t));
	assert_int_equal(task_init(&t->task, leader ? leader->task.signal : NULL), 0);
	t->task.mm = mm;
	mmget(mm);
	snprintf(t->task.comm, sizeof(t->task.comm), "task%d", pid);
	task_register(&t->task, pid, leader ? leader->task.tgid : pid);
}

static inline void test_task_exit(struct test_task *t)
{
	futex_exit_task(&t->task);
	mmput(task_set_mm(&t->task, NULL));
	exit_shm(&t->task);
	task_unregister(&t->task);
	signal_put(t->task.signal);
}

/* ---- Files --------------------------------------------------------------------------------- */

#define MAX_IMAGES 24

struct test_image {
	char path[128];
	u64 disk, dev, ino;
	size_t len;
	bool not_executable;
};

static struct test_image test_images[MAX_IMAGES];

static inline struct test_image *find_image(const char *path)
{
	for (int i = 0; i < MAX_IMAGES; i++) {
		if (!strcmp(test_images[i].path, path))
			return &test_images[i];
	}
	return NULL;
}

/* The file of that path has this contents from now on; a new inode, since nothing is cached of it. */
static inline struct test_image *set_image(const char *path, const void *data, size_t len)
{
	static u64 last_ino;
	struct test_image *image = find_image(path);

	if (!image) {
		image = find_image("");
		if (!image)
			abort();
		snprintf(image->path, sizeof(image->path), "%s", path);
		image->disk = soft_blk_create(len);
	}
	assert_int_equal(soft_blk_resize(image->disk, len), 0);
	memcpy(soft_blk_data(image->disk), data, len);
	image->len = len;
	image->dev = 0xfe00;
	image->ino = ++last_ino;
	return image;
}

/* The contents of a file of the host; NULL if it cannot be read. The caller frees. */
static inline char *host_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "r");
	size_t size = 0;
	char *data = NULL;

	*len = 0;
	if (!f)
		return NULL;
	do {
		size += 1 << 16;
		data = realloc(data, size + 1);
		*len += fread(data + *len, 1, size - *len, f);
	} while (*len == size);
	fclose(f);
	data[*len] = '\0';
	return data;
}

static inline struct file *open_image(const char *path)
{
	struct test_image *image = find_image(path);
	struct inode *inode;
	struct file *file;
	bool created;

	if (!*path || !image)
		return ERR_PTR(-ENOENT);
	if (image->not_executable)
		return ERR_PTR(-EACCES);
	inode = inode_get(image->dev, image->ino, &created);
	if (IS_ERR(inode))
		return (struct file *)inode;
	inode->i_blkdev = image->disk;
	inode->i_size = (loff_t)image->len;
	file = file_alloc(inode, FMODE_READ, path);
	if (IS_ERR(file))
		iput(inode);
	return file;
}

struct file *machine_open_exec(const char *path)
{
	return open_image(path);
}

/* No descriptors here but one: 3 is the first image. */
struct file *machine_fget(int fd)
{
	return fd == 3 ? open_image(test_images[0].path) : ERR_PTR(-EBADF);
}

/* ---- The machine --------------------------------------------------------------------------- */

static inline int linux_up(u64 ram, unsigned int cpus)
{
	int err = soft_init(ram, cpus);

	memset(test_images, 0, sizeof(test_images));
	if (!err) {
		fork_init();
		futex_init();
		ipc_init();
	}
	return err;
}

#endif
