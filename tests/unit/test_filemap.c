/* SPDX-License-Identifier: MIT */
/*
 * The page cache against a model: programs map one file, shared and private, while it is
 * written, truncated, punched, refreshed, synced and reclaimed. Then read-ahead, kernel_read(),
 * errors of storage, and the N-th allocation that fails.
 */
#include "cache_fixture.h"

/* ---- The model ----------------------------------------------------------------------------- */

#define PAGES 24UL
#define MMS 3
#define MAPS 8
#define WINDOW 0x40000000UL /* a mapping's place, by its number; two of them, to move between */

struct model_map {
	bool used, shared, writable, moved;
	int mm;
	pgoff_t first;
	unsigned long nr;
	bool gone[PAGES]; /* unmapped piece by piece */
	u8 *copy[PAGES]; /* private: what the program made of the page */
	/* How much of the copy was file: what lay behind its end then, nobody promises. */
	size_t copy_len[PAGES];
};

static struct mm_struct *mms[MMS];
static struct model_map maps[MAPS];
static struct test_file tf;
static u64 rng_state;
static u8 bytes[PAGES * PAGE_SIZE]; /* of the file, and the device's length; zeros from size on */
static loff_t size;

static unsigned long map_addr(const struct model_map *map)
{
	return WINDOW * (1 + 2 * (unsigned long)(map - maps) + map->moved);
}

static pgoff_t size_pages(void)
{
	return ((u64)size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static void model_forget(struct model_map *map, unsigned long page)
{
	free(map->copy[page]);
	map->copy[page] = NULL;
}

static void model_resize(loff_t to)
{
	if (to < size)
		memset(bytes + to, 0, (size_t)(size - to));
	size = to;
	for (int i = 0; i < MAPS; i++)
		for (unsigned long p = 0; maps[i].used && p < maps[i].nr; p++)
			if (maps[i].first + p >= size_pages())
				model_forget(&maps[i], p);
}

static struct model_map *any_map(void)
{
	struct model_map *map = &maps[rng_below(&rng_state, MAPS)];

	return map->used ? map : NULL;
}

/* ---- Steps --------------------------------------------------------------------------------- */

static void step_map(void)
{
	struct model_map *map = &maps[rng_below(&rng_state, MAPS)];
	unsigned long prot = PROT_READ, addr;

	if (map->used)
		return;
	memset(map, 0, sizeof(*map));
	map->mm = (int)rng_below(&rng_state, MMS);
	map->shared = rng_next(&rng_state) & 1;
	map->writable = rng_next(&rng_state) % 4;
	map->first = rng_below(&rng_state, PAGES);
	map->nr = 1 + rng_below(&rng_state, PAGES - map->first);
	if (map->writable)
		prot |= PROT_WRITE;
	addr = do_mmap(mms[map->mm], tf.file, map_addr(map), map->nr * PAGE_SIZE, prot,
		       MAP_FIXED | (map->shared ? MAP_SHARED : MAP_PRIVATE), map->first, NULL);
	assert_int_equal(addr, map_addr(map));
	map->used = true;
}

static void step_unmap(void)
{
	struct model_map *map = any_map();
	unsigned long from, nr;
	bool whole = rng_next(&rng_state) & 1;

	if (!map)
		return;
	from = whole ? 0 : rng_below(&rng_state, map->nr);
	nr = whole ? map->nr : 1 + rng_below(&rng_state, map->nr - from);
	assert_int_equal(do_munmap(mms[map->mm], map_addr(map) + from * PAGE_SIZE, nr * PAGE_SIZE),
			 0);
	for (unsigned long p = from; p < from + nr; p++) {
		model_forget(map, p);
		map->gone[p] = true;
	}
	map->used = !whole;
}

static void step_move(void)
{
	struct model_map *map = any_map();
	unsigned long old;

	if (!map)
		return;
	for (unsigned long p = 0; p < map->nr; p++)
		if (map->gone[p])
			return;
	old = map_addr(map);
	map->moved = !map->moved;
	assert_int_equal(do_mremap(mms[map->mm], old, map->nr * PAGE_SIZE, map->nr * PAGE_SIZE,
				   MREMAP_MAYMOVE | MREMAP_FIXED, map_addr(map)),
			 map_addr(map));
}

/* What the access must come to; *at: the model's byte (writing: the private copy made first). */
static int model_access(struct model_map *map, unsigned long page, unsigned long offset, bool write,
			u8 **at)
{
	pgoff_t index = map->first + page;

	if (map->gone[page] || (write && !map->writable))
		return SIGSEGV;
	if (!map->copy[page]) {
		if (index >= size_pages())
			return SIGBUS;
		if (write && !map->shared) {
			map->copy[page] = malloc(PAGE_SIZE);
			map->copy_len[page] = min(PAGE_SIZE, (size_t)size - index * PAGE_SIZE);
			memcpy(map->copy[page], bytes + index * PAGE_SIZE, PAGE_SIZE);
		}
	}
	if (map->copy[page])
		*at = offset < map->copy_len[page] ? map->copy[page] + offset : NULL;
	else if ((loff_t)(index * PAGE_SIZE + offset) < size)
		*at = bytes + index * PAGE_SIZE + offset;
	return 0;
}

static void step_access(void)
{
	struct model_map *map = any_map();
	unsigned long page, offset;
	bool write = rng_next(&rng_state) & 1;
	u8 byte = (u8)rng_next(&rng_state), *at = NULL;
	int want;

	if (!map)
		return;
	page = rng_below(&rng_state, map->nr);
	offset = rng_next(&rng_state) & 1 ? rng_below(&rng_state, PAGE_SIZE)
					  : (unsigned long)size & ~PAGE_MASK;
	want = model_access(map, page, offset, write, &at);
	assert_int_equal(
		user_access(mms[map->mm], map_addr(map) + page * PAGE_SIZE + offset, &byte, write),
		want);
	/* Past the end of the file, in its last page, there is memory that nobody promises. */
	if (want || !at)
		return;
	if (write)
		*at = byte;
	else
		assert_int_equal(byte, *at);
}

static void step_truncate(void)
{
	loff_t to = (loff_t)rng_below(&rng_state, PAGES * PAGE_SIZE + 1);

	if (rng_next(&rng_state) & 1)
		to &= (loff_t)PAGE_MASK;
	disk_resize(&tf, to);
	truncate_setsize(tf.inode, to);
	model_resize(to);
}

/* A write() that goes past the cache to the host's file. */
static void step_write(void)
{
	loff_t pos = (loff_t)rng_below(&rng_state, PAGES * PAGE_SIZE);
	loff_t len =
		1 + (loff_t)rng_below(&rng_state, rng_next(&rng_state) & 1 ? 100 : 5 * PAGE_SIZE);
	bool size_first = rng_next(&rng_state) & 1;

	len = min(len, (loff_t)(PAGES * PAGE_SIZE) - pos);
	if (pos + len > size)
		disk_resize(&tf, pos + len);
	for (loff_t i = pos; i < pos + len; i++)
		disk_bytes(&tf)[i] = bytes[i] = (u8)rng_next(&rng_state);
	mutex_lock(&tf.inode->i_data.lock);
	if (pos + len > size && size_first)
		truncate_setsize_locked(tf.inode, pos + len);
	assert_int_equal(filemap_refresh_range_locked(&tf.inode->i_data, pos, len), 0);
	if (pos + len > size && !size_first)
		truncate_setsize_locked(tf.inode, pos + len);
	mutex_unlock(&tf.inode->i_data.lock);
	size = max(size, pos + len);
}

static void step_punch(void)
{
	pgoff_t start = rng_below(&rng_state, PAGES),
		end = start + rng_below(&rng_state, PAGES - start);
	size_t len = (end - start + 1) * PAGE_SIZE;

	memset(bytes + start * PAGE_SIZE, 0, len);
	/* Storage keeps its length. */
	len = (loff_t)(start * PAGE_SIZE) < size ? min(len, (size_t)size - start * PAGE_SIZE) : 0;
	if (len)
		memset(disk_bytes(&tf) + start * PAGE_SIZE, 0, len);
	mutex_lock(&tf.inode->i_data.lock);
	truncate_pagecache_range_locked(tf.inode, start, end);
	mutex_unlock(&tf.inode->i_data.lock);
}

static void step_sync(void)
{
	struct model_map *map = any_map();
	pgoff_t first = 0, last = PAGES - 1;
	bool all = !map || rng_next(&rng_state) & 1;

	if (!all) {
		first = map->first;
		last = first + map->nr - 1;
	}
	assert_int_equal(filemap_write_and_wait_range(&tf.inode->i_data, first, last), 0);
	if (all)
		assert_false(mapping_has_dirty(&tf.inode->i_data));
	for (loff_t i = (loff_t)(first * PAGE_SIZE);
	     i < size && i < (loff_t)((last + 1) * PAGE_SIZE); i++)
		if (disk_bytes(&tf)[i] != bytes[i])
			fail_msg("byte %ld of storage is not what was synced", i);
}

/* The host's file is changed by somebody outside. */
static void step_outside(void)
{
	assert_int_equal(filemap_write_and_wait_range(&tf.inode->i_data, 0, ULONG_MAX), 0);
	for (loff_t i = (loff_t)rng_below(&rng_state, 100); i < size;
	     i += 1 + (loff_t)rng_below(&rng_state, 5000))
		disk_bytes(&tf)[i] = bytes[i] = (u8)rng_next(&rng_state);
	mutex_lock(&tf.inode->i_data.lock);
	invalidate_mapping_locked(&tf.inode->i_data);
	mutex_unlock(&tf.inode->i_data.lock);
	assert_int_equal(tf.inode->i_data.nrpages, 0);
}

static void step_reclaim(void)
{
	try_to_free_pages(rng_next(&rng_state) & 1 ? GFP_KERNEL : GFP_NOIO,
			  (unsigned int)rng_below(&rng_state, 6));
}

static void step_read(void)
{
	static u8 buf[PAGES * PAGE_SIZE];
	loff_t pos = (loff_t)rng_below(&rng_state, PAGES * PAGE_SIZE);
	size_t len = rng_below(&rng_state, 4 * PAGE_SIZE);
	ssize_t want = pos >= size ? 0 : min((ssize_t)len, size - pos);

	assert_int_equal(kernel_read(tf.file, buf, len, pos), want);
	assert_memory_equal(buf, bytes + pos, (size_t)want);
}

static void step_dontneed(void)
{
	struct model_map *map = any_map();
	unsigned long page;

	if (!map)
		return;
	page = rng_below(&rng_state, map->nr);
	if (map->gone[page])
		return;
	assert_int_equal(do_madvise(mms[map->mm], map_addr(map) + page * PAGE_SIZE, PAGE_SIZE,
				    MADV_DONTNEED),
			 0);
	model_forget(map, page);
}

static void drop_mm(int mm)
{
	for (int i = 0; i < MAPS; i++) {
		if (!maps[i].used || maps[i].mm != mm)
			continue;
		for (unsigned long p = 0; p < maps[i].nr; p++)
			model_forget(&maps[i], p);
		maps[i].used = false;
	}
	mmput(mms[mm]);
	mms[mm] = NULL;
}

/* One program ends, another forks: the child gets copies of what mappings there is room for. */
static void step_fork(void)
{
	int child = (int)rng_below(&rng_state, MMS), parent = (int)rng_below(&rng_state, MMS);

	if (child == parent)
		return;
	drop_mm(child);
	mms[child] = dup_mm(mms[parent]);
	assert_false(IS_ERR(mms[child]));
	up_write(&mms[parent]->mmap_lock);
	for (int i = 0; i < MAPS; i++) {
		if (!maps[i].used || maps[i].mm != parent)
			continue;
		/* Which of the two keeps it in the model is drawn: both must be right. */
		bool keep = rng_next(&rng_state) & 1;
		struct mm_struct *loser = mms[keep ? child : parent];

		assert_int_equal(do_munmap(loser, map_addr(&maps[i]), maps[i].nr * PAGE_SIZE), 0);
		maps[i].mm = keep ? parent : child;
	}
}

static void check_everything(void)
{
	for (int i = 0; i < MAPS; i++) {
		for (unsigned long p = 0; maps[i].used && p < maps[i].nr; p++) {
			u8 *at = NULL, byte = 0;
			int want = model_access(&maps[i], p, 17, false, &at);

			assert_int_equal(user_access(mms[maps[i].mm],
						     map_addr(&maps[i]) + p * PAGE_SIZE + 17, &byte,
						     false),
					 want);
			if (!want && at)
				assert_int_equal(byte, *at);
		}
	}
}

static void random_model(void **state)
{
	static void (*const steps[])(void) = {
		step_map,     step_map,	  step_unmap,	 step_move, step_truncate,
		step_write,   step_write, step_punch,	 step_sync, step_outside,
		step_reclaim, step_read,  step_dontneed, step_fork,
	};
	struct counters before = counters_now();

	(void)state;
	for (unsigned int seed = 1; seed <= 20; seed++) {
		rng_state = seed * 0x9e3779b97f4a7c15ull;
		tf = test_file_new((loff_t)(PAGES / 2 * PAGE_SIZE + 100));
		size = (loff_t)(PAGES / 2 * PAGE_SIZE + 100);
		memset(bytes, 0, sizeof(bytes));
		memcpy(bytes, disk_bytes(&tf), (size_t)size);
		for (int i = 0; i < MMS; i++)
			mms[i] = mm_alloc();
		for (int n = 0; n < 3000; n++) {
			if (rng_next(&rng_state) % 4)
				step_access();
			else
				steps[rng_below(&rng_state, ARRAY_SIZE(steps))]();
			if (n % 500 == 0)
				check_everything();
		}
		check_everything();
		for (int i = 0; i < MMS; i++)
			drop_mm(i);
		assert_memory_equal(disk_bytes(&tf), bytes, (size_t)size);
		test_file_put(&tf);
		assert_all_gone(&before);
	}
}

/* ---- Reading ------------------------------------------------------------------------------- */

static unsigned long transfers_for(struct mm_struct *mm, unsigned long addr, int want)
{
	unsigned long before = disk_reads(&tf);
	u8 byte;

	assert_int_equal(user_access(mm, addr, &byte, false), want);
	return disk_reads(&tf) - before;
}

static void read_ahead_doubles(void **state)
{
	struct counters before = counters_now();
	struct mm_struct *mm = mm_alloc();
	struct address_space *mapping;
	bool major = false;
	struct page *page;

	(void)state;
	tf = test_file_new(1000 * KPAGE);
	mapping = &tf.inode->i_data;
	assert_int_equal(do_mmap(mm, tf.file, WINDOW, 1000 * PAGE_SIZE, PROT_READ,
				 MAP_SHARED | MAP_FIXED, 0, NULL),
			 WINDOW);
	/* Each window in one transfer: 32, 32, 64, 128, then 128 at a time. */
	assert_int_equal(transfers_for(mm, WINDOW, 0), 1);
	assert_int_equal(mapping->nrpages, 32);
	assert_int_equal(transfers_for(mm, WINDOW + 31 * PAGE_SIZE, 0), 0);
	assert_int_equal(transfers_for(mm, WINDOW + 32 * PAGE_SIZE, 0), 1);
	assert_int_equal(mapping->nrpages, 64);
	assert_int_equal(transfers_for(mm, WINDOW + 64 * PAGE_SIZE, 0), 1);
	assert_int_equal(mapping->nrpages, 128);
	assert_int_equal(transfers_for(mm, WINDOW + 128 * PAGE_SIZE, 0), 1);
	assert_int_equal(mapping->nrpages, 256);
	assert_int_equal(transfers_for(mm, WINDOW + 256 * PAGE_SIZE, 0), 1);
	assert_int_equal(mapping->nrpages, 384);
	/* A jump starts anew, and the file's end cuts a window. */
	assert_int_equal(transfers_for(mm, WINDOW + 999 * PAGE_SIZE, 0), 1);
	assert_int_equal(mapping->nrpages, 384 + 1000 - 992);
	/* Without read-ahead, a page is a page; around it the window is read in two runs. */
	mutex_lock(&mapping->lock);
	page = filemap_get_page(mapping, 720, false, &major);
	assert_false(IS_ERR(page));
	assert_true(major);
	put_page(page);
	mutex_unlock(&mapping->lock);
	assert_int_equal(mapping->nrpages, 393);
	assert_int_equal(transfers_for(mm, WINDOW + 710 * PAGE_SIZE, 0), 2);
	assert_int_equal(mapping->nrpages, 393 + 31);
	assert_int_equal(transfers_for(mm, WINDOW + 1000 * PAGE_SIZE, SIGSEGV), 0);
	/* MADV_WILLNEED. */
	assert_int_equal(filemap_read_ahead(mapping, 0, ULONG_MAX), 0);
	assert_int_equal(mapping->nrpages, 1000);

	mmput(mm);
	test_file_put(&tf);
	assert_all_gone(&before);
}

static void runs_lie_in_one_piece(void **state)
{
	struct counters before = counters_now();
	struct page *first, *page;
	bool major;

	(void)state;
	tf = test_file_new(32 * KPAGE);
	mutex_lock(&tf.inode->i_data.lock);
	first = filemap_get_page(&tf.inode->i_data, 0, true, &major);
	for (pgoff_t i = 0; i < 32; i++) {
		page = find_get_page(&tf.inode->i_data, i);
		assert_ptr_equal(page, first + i);
		assert_memory_equal(page_address(page), disk_bytes(&tf) + i * PAGE_SIZE, PAGE_SIZE);
		assert_int_equal(page_count(page), i ? 2 : 3);
		put_page(page);
	}
	put_page(first);
	mutex_unlock(&tf.inode->i_data.lock);
	test_file_put(&tf);
	assert_all_gone(&before);
}

/* One bad sector costs the pages around it nothing but the shared transfer. */
static void read_errors(void **state)
{
	struct counters before = counters_now();
	struct mm_struct *mm = mm_alloc();
	char buf[8];
	u8 byte;

	(void)state;
	tf = test_file_new(64 * KPAGE);
	assert_int_equal(do_mmap(mm, tf.file, WINDOW, 64 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_FIXED, 0, NULL),
			 WINDOW);
	soft_blk_bad_page(tf.disk, 5, true, false);
	assert_int_equal(user_access(mm, WINDOW + 5 * PAGE_SIZE, &byte, false), SIGBUS);
	assert_int_equal(user_access(mm, WINDOW + 5 * PAGE_SIZE, &byte, true), SIGBUS);
	assert_int_equal(user_access(mm, WINDOW + 4 * PAGE_SIZE, &byte, false), 0);
	assert_int_equal(byte, disk_bytes(&tf)[4 * PAGE_SIZE]);
	assert_int_equal(kernel_read(tf.file, buf, 8, 5 * KPAGE), -EIO);
	assert_int_equal(kernel_read(tf.file, buf, 8, 6 * KPAGE), 8);
	assert_int_equal(filemap_read_ahead(&tf.inode->i_data, 0, 64), -EIO);
	soft_blk_bad_page(tf.disk, 5, false, false);
	assert_int_equal(user_access(mm, WINDOW + 5 * PAGE_SIZE, &byte, false), 0);
	assert_int_equal(byte, disk_bytes(&tf)[5 * PAGE_SIZE]);
	mmput(mm);
	test_file_put(&tf);
	assert_all_gone(&before);
}

static void refresh_errors(void **state)
{
	struct counters before = counters_now();
	struct address_space *mapping;
	struct mm_struct *mm = mm_alloc();
	u8 byte = 1;

	(void)state;
	tf = test_file_new(8 * KPAGE);
	mapping = &tf.inode->i_data;
	assert_int_equal(do_mmap(mm, tf.file, WINDOW, 8 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_FIXED, 0, NULL),
			 WINDOW);
	assert_int_equal(user_access(mm, WINDOW + 3, &byte, true), 0);
	assert_int_equal(user_access(mm, WINDOW + PAGE_SIZE, &byte, false), 0);
	soft_blk_bad_page(tf.disk, 1, true, false);
	disk_bytes(&tf)[8] = 77;
	mutex_lock(&mapping->lock);
	/* The dirty page keeps what was stored, and gets its byte; the clean one is forgotten. */
	assert_int_equal(filemap_refresh_range_locked(mapping, 8, KPAGE), -EIO);
	assert_null(find_get_page(mapping, 1));
	mutex_unlock(&mapping->lock);
	assert_int_equal(user_access(mm, WINDOW + PAGE_SIZE, &byte, false), SIGBUS);
	soft_blk_bad_page(tf.disk, 1, false, false);
	assert_int_equal(user_access(mm, WINDOW + PAGE_SIZE, &byte, false), 0);
	assert_int_equal(user_access(mm, WINDOW + 8, &byte, false), 0);
	assert_int_equal(byte, 77);
	assert_int_equal(user_access(mm, WINDOW + 3, &byte, false), 0);
	assert_int_equal(byte, 1);
	mmput(mm);
	test_file_put(&tf);
	assert_all_gone(&before);
}

static void kernel_read_edges(void **state)
{
	struct counters before = counters_now();
	char buf[100];

	(void)state;
	tf = test_file_new(KPAGE + 10);
	assert_int_equal(kernel_read(tf.file, buf, 100, -1), -EINVAL);
	assert_int_equal(kernel_read(tf.file, buf, 100, KPAGE), 10);
	assert_int_equal(kernel_read(tf.file, buf, 100, KPAGE - 50), 60);
	assert_memory_equal(buf, disk_bytes(&tf) + KPAGE - 50, 60);
	assert_int_equal(kernel_read(tf.file, buf, 100, KPAGE + 10), 0);
	assert_int_equal(kernel_read(tf.file, buf, 100, LONG_MAX), 0);
	test_file_put(&tf);
	assert_all_gone(&before);
}

/* Storage may be longer than what we know of the file: nothing of it shows behind the end. */
static void the_tail_reads_as_zeros(void **state)
{
	struct counters before = counters_now();
	struct mm_struct *mm = mm_alloc();
	u8 byte;

	(void)state;
	tf = test_file_new(KPAGE + 10);
	disk_resize(&tf, 3 * KPAGE);
	memset(disk_bytes(&tf), 3, 3 * PAGE_SIZE);
	assert_int_equal(do_mmap(mm, tf.file, WINDOW, 3 * PAGE_SIZE, PROT_READ,
				 MAP_SHARED | MAP_FIXED, 0, NULL),
			 WINDOW);
	for (unsigned long i = 0; i < PAGE_SIZE; i++) {
		assert_int_equal(user_access(mm, WINDOW + PAGE_SIZE + i, &byte, false), 0);
		assert_int_equal(byte, i < 10 ? 3 : 0);
	}
	assert_int_equal(user_access(mm, WINDOW + 2 * PAGE_SIZE, &byte, false), SIGBUS);
	mmput(mm);
	test_file_put(&tf);
	assert_all_gone(&before);
}

/* ---- Inodes -------------------------------------------------------------------------------- */

static void inodes_by_identity(void **state)
{
	struct counters before = counters_now();
	struct inode *a, *b;
	bool created;

	(void)state;
	tf = test_file_new(10 * KPAGE);
	a = inode_get(tf.inode->i_dev, tf.inode->i_ino, &created);
	assert_ptr_equal(a, tf.inode);
	assert_false(created);
	assert_null(inode_lookup(tf.inode->i_dev, tf.inode->i_ino + 1));
	/* One that never got storage leaves nothing behind. */
	b = inode_get(99, 1, &created);
	assert_true(created);
	assert_ptr_not_equal(a, b);
	iput(b);
	assert_null(inode_lookup(99, 1));
	assert_int_equal(filemap_read_ahead(&a->i_data, 0, 10), 0);
	iput(a);
	/* Unused, it keeps its pages, until there is pressure. */
	test_file_put(&tf);
	a = inode_lookup(tf.dev, tf.ino);
	assert_non_null(a);
	assert_int_equal(a->i_data.nrpages, 10);
	iput(a);
	assert_int_equal(prune_icache(0), 0);
	assert_int_equal(prune_icache(1), 10);
	assert_null(inode_lookup(tf.dev, tf.ino));
	assert_all_gone(&before);
}

static void unused_inodes_are_bounded(void **state)
{
	struct counters before = counters_now();
	struct inode *inode;
	unsigned long left = 0;
	bool created;

	u64 disk = soft_blk_create(PAGE_SIZE);

	(void)state;
	for (u64 ino = 1; ino <= 5000; ino++) {
		inode = inode_get(7, ino, &created);
		inode->i_blkdev = disk;
		iput(inode);
	}
	for (u64 ino = 1; ino <= 5000; ino++) {
		inode = inode_lookup(7, ino);
		if (inode) {
			left++;
			iput(inode);
		}
	}
	assert_in_range(left, 4000, 4096);
	assert_null(inode_lookup(7, 1)); /* the coldest went */
	assert_all_gone(&before);
}

/* ---- Allocations that fail ----------------------------------------------------------------- */

/* Everything once, with whatever errors; afterwards nothing is left. */
static void scenario(void)
{
	struct mm_struct *mm = mm_alloc(), *child;
	u8 byte = 5;

	if (!test_file_try_new(&tf, 40 * KPAGE)) {
		if (mm)
			mmput(mm);
		return;
	}
	if (mm) {
		do_mmap(mm, tf.file, WINDOW, 40 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED, 0, NULL);
		do_mmap(mm, tf.file, 2 * WINDOW, 40 * PAGE_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_FIXED, 0, NULL);
		for (unsigned long i = 0; i < 40; i += 7) {
			user_access(mm, WINDOW + i * PAGE_SIZE, &byte, i & 1);
			user_access(mm, 2 * WINDOW + i * PAGE_SIZE, &byte, true);
		}
		child = dup_mm(mm);
		up_write(&mm->mmap_lock);
		if (!IS_ERR(child)) {
			user_access(child, WINDOW + 3 * PAGE_SIZE, &byte, true);
			mmput(child);
		}
		truncate_setsize(tf.inode, 20 * KPAGE + 5);
		filemap_write_and_wait_range(&tf.inode->i_data, 0, ULONG_MAX);
		mmput(mm);
	}
	test_file_put(&tf);
}

static void sweep(struct fault_attr *attr)
{
	struct counters before = counters_now();
	long nth = 1, failed;

	do {
		atomic_long_set(&attr->failed, 0);
		attr->nth = nth++;
		scenario();
		attr->nth = 0;
		failed = atomic_long_read(&attr->failed);
		assert_all_gone(&before);
	} while (failed);
	assert_true(nth > 10);
}

static void page_allocations_fail(void **state)
{
	(void)state;
	sweep(&fail_page_alloc);
}

static void slab_allocations_fail(void **state)
{
	(void)state;
	sweep(&failslab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_model),
		cmocka_unit_test(read_ahead_doubles),
		cmocka_unit_test(runs_lie_in_one_piece),
		cmocka_unit_test(read_errors),
		cmocka_unit_test(refresh_errors),
		cmocka_unit_test(kernel_read_edges),
		cmocka_unit_test(the_tail_reads_as_zeros),
		cmocka_unit_test(inodes_by_identity),
		cmocka_unit_test(unused_inodes_are_bounded),
		cmocka_unit_test(page_allocations_fail),
		cmocka_unit_test(slab_allocations_fail),
	};

	return cmocka_run_group_tests(tests, boot_machine, stop_machine);
}
