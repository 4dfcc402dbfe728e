/* SPDX-License-Identifier: MIT */
/*
 * Block devices: bytes of the process. A device's number is its place in the table plus 1.
 *
 * One lock for all of them; it is held while pages are copied, so that a transfer is whole.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "soft_internal.h"

#define SOFT_MAX_BLK 64

struct soft_blk {
	unsigned char *data; /* NULL: no such device */
	u64 bytes;
	unsigned long fail_nth[2]; /* by direction: read, write */
	int fail_err[2];
	pgoff_t bad_page;
	bool bad[2]; /* by direction: transfers of bad_page fail */
	struct soft_blk_stats stats;
};

static struct soft_blk devices[SOFT_MAX_BLK];
static pthread_mutex_t blk_lock = PTHREAD_MUTEX_INITIALIZER;

/* blk_lock held. */
static struct soft_blk *blk_find(u64 dev)
{
	if (!dev || dev > SOFT_MAX_BLK || !devices[dev - 1].data)
		return NULL;
	return &devices[dev - 1];
}

u64 soft_blk_create(u64 bytes)
{
	u64 dev = 0;

	pthread_mutex_lock(&blk_lock);
	for (u64 i = 0; i < SOFT_MAX_BLK && !dev; i++) {
		if (devices[i].data)
			continue;
		devices[i] = (struct soft_blk){ .data = calloc(1, bytes + 1), .bytes = bytes };
		if (!devices[i].data)
			break;
		dev = i + 1;
	}
	pthread_mutex_unlock(&blk_lock);
	return dev;
}

int soft_blk_resize(u64 dev, u64 bytes)
{
	struct soft_blk *blk;
	int err = -ENODEV;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	if (blk) {
		unsigned char *data = realloc(blk->data, bytes + 1);

		err = data ? 0 : -ENOMEM;
		if (data && bytes > blk->bytes)
			memset(data + blk->bytes, 0, bytes - blk->bytes);
		if (data) {
			blk->data = data;
			blk->bytes = bytes;
		}
	}
	pthread_mutex_unlock(&blk_lock);
	return err;
}

unsigned char *soft_blk_data(u64 dev)
{
	struct soft_blk *blk;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	pthread_mutex_unlock(&blk_lock);
	return blk ? blk->data : NULL;
}

void soft_blk_fail(u64 dev, bool write, unsigned long nth, int err)
{
	struct soft_blk *blk;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	if (blk) {
		blk->fail_nth[write] = nth;
		blk->fail_err[write] = err;
	}
	pthread_mutex_unlock(&blk_lock);
}

void soft_blk_bad_page(u64 dev, pgoff_t index, bool read, bool write)
{
	struct soft_blk *blk;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	if (blk) {
		blk->bad_page = index;
		blk->bad[false] = read;
		blk->bad[true] = write;
	}
	pthread_mutex_unlock(&blk_lock);
}

struct soft_blk_stats soft_blk_stats(u64 dev)
{
	struct soft_blk_stats stats = { 0 };
	struct soft_blk *blk;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	if (blk)
		stats = blk->stats;
	pthread_mutex_unlock(&blk_lock);
	return stats;
}

void soft_blk_reset(void)
{
	pthread_mutex_lock(&blk_lock);
	for (int i = 0; i < SOFT_MAX_BLK; i++) {
		free(devices[i].data);
		devices[i] = (struct soft_blk){ 0 };
	}
	pthread_mutex_unlock(&blk_lock);
}

/* One page; what lies past the end of the device reads as zeros and is not written. */
static void blk_copy_page(struct soft_blk *blk, pgoff_t index, void *frame, bool write)
{
	u64 pos = (u64)index << PAGE_SHIFT;
	size_t n = 0;

	if (index <= blk->bytes >> PAGE_SHIFT)
		n = blk->bytes - pos < PAGE_SIZE ? blk->bytes - pos : PAGE_SIZE;
	if (write) {
		memcpy(blk->data + (n ? pos : 0), frame, n);
		return;
	}
	memcpy(frame, blk->data + (n ? pos : 0), n);
	memset((char *)frame + n, 0, PAGE_SIZE - n);
}

static int blk_rw_locked(struct soft_blk *blk, pgoff_t index, struct page *const *pages,
			 unsigned int n, bool write)
{
	if (blk->fail_nth[write] && !--blk->fail_nth[write])
		return blk->fail_err[write];
	if (blk->bad[write] && blk->bad_page - index < n)
		return -EIO;
	for (unsigned int i = 0; i < n; i++)
		blk_copy_page(blk, index + i, page_address(pages[i]), write);
	*(write ? &blk->stats.writes : &blk->stats.reads) += 1;
	*(write ? &blk->stats.pages_written : &blk->stats.pages_read) += n;
	return 0;
}

int machine_block_rw(u64 dev, pgoff_t index, struct page *const *pages, unsigned int n, bool write)
{
	struct soft_blk *blk;
	int err = -ENODEV;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	if (blk)
		err = blk_rw_locked(blk, index, pages, n, write);
	pthread_mutex_unlock(&blk_lock);
	return err;
}

int machine_block_flush(u64 dev)
{
	struct soft_blk *blk;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	if (blk)
		blk->stats.flushes++;
	pthread_mutex_unlock(&blk_lock);
	return blk ? 0 : -ENODEV;
}

/* Devices are blocks of memory, without holes. */
bool machine_block_hole(u64 dev, pgoff_t index)
{
	(void)dev;
	(void)index;
	return false;
}

int machine_block_punch(u64 dev, pgoff_t first, pgoff_t last)
{
	(void)dev;
	(void)first;
	(void)last;
	return -EOPNOTSUPP;
}

void machine_block_release(u64 dev)
{
	struct soft_blk *blk;

	pthread_mutex_lock(&blk_lock);
	blk = blk_find(dev);
	if (blk)
		blk->stats.releases++;
	pthread_mutex_unlock(&blk_lock);
}
