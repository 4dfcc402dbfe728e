/* SPDX-License-Identifier: MIT */
/*
 * inode.c - inodes by identity, their life, and the open files that hold them.
 *
 *	inode_hashtable[hash(dev, ino)] ──i_hash──> inode ...	every host file that is known
 *	inode_list ──i_lru──> coldest ... hottest		the same inodes
 *
 * A struct file holds one reference; VMAs hold the struct file. A host file's inode with i_count 0
 * is unused: it stays, with its page cache, for the next open, until prune_icache() or until more
 * than INODES_UNUSED_MAX of them wait. Without storage (i_blkdev 0) there is nothing to keep, and a
 * shared-memory object is its page cache: both die with their last reference.
 *
 * inode_lock, a leaf, covers the table, the list, nr_unused, and every change of i_count from or
 * to 0. Nobody holds or waits for the mapping->lock of an unused inode.
 */
#include <quire/fs.h>
#include <quire/mm.h>
#include <quire/pagemap.h>
#include <quire/reclaim.h>
#include <quire/slab.h>
#include <quire/string.h>
#include <quire/vmstat.h>
#include <quire/swap.h>

#define INODE_HASH_SHIFT 10
#define INODES_UNUSED_MAX 4096UL
/* How many go at once when there are too many. */
#define INODES_PRUNE_BATCH 64UL

static unsigned long prune_empty_inodes(unsigned long nr);

static struct kmem_cache *inode_cachep;
static struct kmem_cache *filp_cachep;

static spinlock_t inode_lock = SPINLOCK_INIT;
static struct list_head inode_hashtable[1 << INODE_HASH_SHIFT];
static struct list_head inode_list;
static unsigned long nr_unused;

static unsigned long count_unused_inodes(void)
{
	return READ_ONCE(nr_unused);
}

static struct shrinker inode_shrinker = {
	.name = "inodes",
	.count_objects = count_unused_inodes,
	.scan_objects = prune_empty_inodes,
};

void inode_init(void)
{
	unsigned int i;

	inode_cachep = kmem_cache_create("inode_cache", sizeof(struct inode), 0, SLAB_PANIC, NULL);
	filp_cachep = kmem_cache_create("filp", sizeof(struct file), 0, SLAB_PANIC, NULL);
	for (i = 0; i < ARRAY_SIZE(inode_hashtable); i++)
		INIT_LIST_HEAD(&inode_hashtable[i]);
	INIT_LIST_HEAD(&inode_list);
	nr_unused = 0;
	register_shrinker(&inode_shrinker);
}

struct inode *inode_alloc(enum inode_kind kind)
{
	struct inode *inode = kmem_cache_zalloc(inode_cachep, GFP_KERNEL);

	if (!inode)
		return NULL;
	inode->i_kind = kind;
	inode->i_data.host = inode;
	xa_init(&inode->i_data.i_pages);
	xa_init(&inode->i_data.i_shadows);
	inode->i_data.i_mmap = RB_ROOT_CACHED;
	mutex_init(&inode->i_data.lock);
	atomic_set(&inode->i_count, 1);
	INIT_LIST_HEAD(&inode->i_hash);
	INIT_LIST_HEAD(&inode->i_lru);
	INIT_LIST_HEAD(&inode->i_swaplist);
	return inode;
}

/* Nobody can find it any more; what was not written back is lost. mapping->lock held, it goes with it. */
static unsigned long inode_destroy_locked(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	unsigned long freed;

	freed = delete_from_page_cache_range(mapping, 0, ULONG_MAX);
	filemap_forget_shadows(mapping);
	mutex_unlock(&mapping->lock);
	shmem_evict_inode(inode);
	vm_unacct_memory(inode->i_committed);
	if (inode->i_blkdev)
		machine_block_release(inode->i_blkdev);
	kmem_cache_free(inode_cachep, inode);
	return freed;
}

static unsigned long inode_destroy(struct inode *inode)
{
	mutex_lock(&inode->i_data.lock);
	return inode_destroy_locked(inode);
}

static struct list_head *inode_bucket(u64 dev, u64 ino)
{
	u64 hash = (ino ^ (dev * 0x9e3779b97f4a7c15ull)) * 0xd6e8feb86659fd93ull;

	return &inode_hashtable[hash >> (64 - INODE_HASH_SHIFT)];
}

/* inode_lock held. With a reference, and hottest from now on. */
static struct inode *find_inode(u64 dev, u64 ino)
{
	struct inode *inode;

	list_for_each_entry(inode, inode_bucket(dev, ino), i_hash) {
		if (inode->i_dev != dev || inode->i_ino != ino)
			continue;
		if (atomic_inc_return(&inode->i_count) == 1)
			nr_unused--;
		list_move_tail(&inode->i_lru, &inode_list);
		return inode;
	}
	return NULL;
}

struct inode *inode_lookup(u64 dev, u64 ino)
{
	struct inode *inode;

	spin_lock(&inode_lock);
	inode = find_inode(dev, ino);
	spin_unlock(&inode_lock);
	return inode;
}

struct inode *inode_get(u64 dev, u64 ino, bool *created)
{
	struct inode *inode = inode_lookup(dev, ino);
	struct inode *fresh;

	if (!inode) {
		fresh = inode_alloc(INODE_FILE);
		if (!fresh)
			return ERR_PTR(-ENOMEM);
		fresh->i_dev = dev;
		fresh->i_ino = ino;
		spin_lock(&inode_lock);
		inode = find_inode(dev, ino); /* somebody may have been faster */
		if (!inode) {
			inode = fresh;
			list_add(&inode->i_hash, inode_bucket(dev, ino));
			list_add_tail(&inode->i_lru, &inode_list);
		}
		spin_unlock(&inode_lock);
		if (inode != fresh)
			kmem_cache_free(inode_cachep, fresh);
	}
	*created = !inode->i_blkdev;
	return inode;
}

void ihold(struct inode *inode)
{
	atomic_inc(&inode->i_count);
}

/* used: not only looked at by a walk, so it counts as hot. */
static void inode_put(struct inode *inode, bool used)
{
	bool last, dead;

	spin_lock(&inode_lock);
	last = atomic_dec_and_test(&inode->i_count);
	dead = last && (inode->i_kind != INODE_FILE || !inode->i_blkdev);
	if (dead) {
		list_del_init(&inode->i_hash);
		list_del_init(&inode->i_lru);
	} else if (last) {
		nr_unused++;
		if (used)
			list_move_tail(&inode->i_lru, &inode_list);
	}
	spin_unlock(&inode_lock);
	if (dead)
		inode_destroy(inode);
}

/*
 * Drop a walk's reference to an unused, clean inode and the inode with it; returns its pages. One
 * that is in use or dirty only loses the reference.
 */
static unsigned long inode_put_evict(struct inode *inode)
{
	bool evict;

	spin_lock(&inode_lock);
	/* Alone with it, we may look at its pages without its lock. */
	evict = atomic_read(&inode->i_count) == 1 &&
		!xa_marked(&inode->i_data.i_pages, PAGECACHE_TAG_DIRTY);
	if (evict) {
		list_del_init(&inode->i_hash);
		list_del_init(&inode->i_lru);
	}
	spin_unlock(&inode_lock);
	if (evict)
		return inode_destroy(inode);
	inode_put(inode, false);
	return 0;
}

/* The inode behind `inode`, to which the caller keeps his reference; NULL: the first. */
static struct inode *inode_next(struct inode *inode)
{
	struct list_head *link;

	spin_lock(&inode_lock);
	link = inode ? inode->i_lru.next : inode_list.next;
	if (link == &inode_list) {
		inode = NULL;
	} else {
		inode = list_entry(link, struct inode, i_lru);
		if (atomic_inc_return(&inode->i_count) == 1)
			nr_unused--;
	}
	spin_unlock(&inode_lock);
	return inode;
}

struct inode *inode_scan_next(struct inode *inode)
{
	struct inode *next = inode_next(inode);

	if (inode)
		inode_put(inode, false);
	return next;
}

void inode_scan_end(struct inode *inode)
{
	inode_put(inode, false);
}

static void prune_unused(void)
{
	struct inode *inode = inode_next(NULL);

	while (inode && READ_ONCE(nr_unused) > INODES_UNUSED_MAX - INODES_PRUNE_BATCH) {
		struct inode *next = inode_next(inode);

		inode_put_evict(inode);
		inode = next;
	}
	if (inode)
		inode_put(inode, false);
}

void iput(struct inode *inode)
{
	/* What a pinned page got after the last unmapping has no other occasion to be written. */
	if (atomic_read(&inode->i_count) == 1 && mapping_has_dirty(&inode->i_data))
		filemap_write_and_wait_range(&inode->i_data, 0, ULONG_MAX);
	inode_put(inode, true);
	if (READ_ONCE(nr_unused) > INODES_UNUSED_MAX)
		prune_unused();
}

unsigned long prune_icache(unsigned long nr_pages)
{
	struct inode *inode = inode_next(NULL);
	unsigned long freed = 0;

	while (inode && freed < nr_pages) {
		struct inode *next = inode_next(inode);

		freed += inode_put_evict(inode);
		inode = next;
	}
	if (inode)
		inode_put(inode, false);
	return freed;
}

void evict_inodes(u64 dev)
{
	struct inode *inode = inode_next(NULL);

	while (inode) {
		struct inode *next;

		if (inode->i_dev == dev)
			filemap_write_and_wait_range(&inode->i_data, 0, ULONG_MAX);
		next = inode_next(inode);
		if (inode->i_dev == dev)
			inode_put_evict(inode);
		else
			inode_put(inode, false);
		inode = next;
	}
}

/* Drop a walk's reference, and the inode with it if nobody else has one, nor it any page. */
static bool inode_put_empty(struct inode *inode)
{
	struct address_space *mapping = &inode->i_data;
	bool evict;

	spin_lock(&inode_lock);
	evict = atomic_read(&inode->i_count) == 1 && !READ_ONCE(mapping->nrpages) &&
		mutex_trylock(&mapping->lock);
	if (evict) {
		list_del_init(&inode->i_hash);
		list_del_init(&inode->i_lru);
	}
	spin_unlock(&inode_lock);
	if (!evict) {
		inode_put(inode, false);
		return false;
	}
	inode_destroy_locked(inode);
	return true;
}

/* For reclaim: the caller may hold the lock of another inode. */
static unsigned long prune_empty_inodes(unsigned long nr)
{
	struct inode *inode = inode_next(NULL);
	unsigned long freed = 0;

	for (; inode && nr; nr--) {
		struct inode *next = inode_next(inode);

		freed += inode_put_empty(inode);
		inode = next;
	}
	if (inode)
		inode_put(inode, false);
	return freed;
}

int inodes_shutdown(void)
{
	struct inode *inode;
	int ret = 0;

	for (inode = inode_scan_next(NULL); inode; inode = inode_scan_next(inode)) {
		int err = filemap_write_and_wait_range(&inode->i_data, 0, ULONG_MAX);

		ret = ret ? ret : err;
	}
	prune_icache(ULONG_MAX);
	return ret;
}

struct file *file_alloc(struct inode *inode, unsigned int mode, const char *path)
{
	struct file *file = kmem_cache_zalloc(filp_cachep, GFP_KERNEL);

	if (!file)
		return ERR_PTR(-ENOMEM);
	file->f_path = kstrdup(path, GFP_KERNEL);
	if (!file->f_path) {
		kmem_cache_free(filp_cachep, file);
		return ERR_PTR(-ENOMEM);
	}
	atomic_set(&file->f_count, 1);
	file->f_mode = mode;
	file->f_inode = inode;
	return file;
}

void fput(struct file *file)
{
	if (!atomic_dec_and_test(&file->f_count))
		return;
	if (file->f_inode)
		iput(file->f_inode);
	kfree(file->f_path);
	kmem_cache_free(filp_cachep, file);
}
