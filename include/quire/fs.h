/* SPDX-License-Identifier: MIT */
/*
 * fs.h - what the memory manager needs to know of files: inode, its page cache, open file.
 *
 * An inode here is an object addressed in pages: a file of the host (i_dev, i_ino name it; its
 * storage is machine_block_rw(i_blkdev, ...)), or a shared-memory object, whose only copy is its
 * page cache.
 *
 * mapping->lock (a sleeping mutex) covers i_pages, i_mmap, i_size, nrpages and page-cache I/O of
 * the inode. It nests inside mmap_lock and outside page_table_lock.
 */
#ifndef QUIRE_FS_H
#define QUIRE_FS_H

#include <quire/atomic.h>
#include <quire/list.h>
#include <quire/mm_types.h>
#include <quire/spinlock.h>
#include <quire/xarray.h>

struct inode;

#define PAGECACHE_TAG_DIRTY XA_MARK_0

struct address_space {
	struct inode *host;
	struct xarray
		i_pages; /* pgoff -> struct page, each with a reference; or a swap entry (swap.h) */
	struct rb_root_cached i_mmap; /* VMAs that map it (vma->shared) */
	struct mutex lock;
	unsigned long nrpages;
	unsigned long nrswapped; /* shared memory: entries of i_pages that are swap entries */
	int wb_err; /* last write-back error, 0 none; reported once by file_check_wb_err() */
	unsigned long nr_shadows;
	struct xarray i_shadows; /* pgoff -> value: when reclaim took the page, for the policy */
	pgoff_t ra_next; /* read-ahead: one past the last window; a miss there is sequential */
	unsigned int ra_order; /* pages of the last window: 2^ra_order */
};

enum inode_kind {
	INODE_FILE, /* regular file of the host */
	INODE_SHMEM, /* MAP_SHARED|MAP_ANONYMOUS */
	INODE_ZERO, /* /dev/zero: its shared mappings are such objects, private ones anonymous */
	INODE_DEVICE, /* f_op->mmap() maps it: no frames of ours */
};

struct inode {
	struct address_space i_data;
	enum inode_kind i_kind;
	atomic_t i_count; /* open files and VMAs through struct file; page cache alone holds none */
	u64 i_dev, i_ino; /* identity; i_dev in the host's dev_t encoding (stat) */
	loff_t i_size; /* bytes */
	unsigned long i_committed; /* pages that were promised; given back at the end */
	u64 i_version; /* change time of the host file in ns, when the cache was known good */
	u64 i_blkdev; /* number for machine_block_rw(); 0 none */
	const struct vm_operations_struct *i_vm_ops; /* of its VMAs; NULL: those of its kind */
	void *i_private; /* of who set i_vm_ops */
	bool i_tmpfs; /* host file whose holes are missing pages: to programs a shared memory object */
	bool i_uffd; /* has been registered with a userfaultfd: nothing is read ahead */
	bool i_writable; /* the port can write it back */
	bool i_sealed; /* a memfd sealed against writing, though mappings from before may */
	bool i_stable; /* nobody is likely to change it: it may be copied before it must be */
	struct list_head i_hash; /* host files: by identity; under the inode lock, as i_lru */
	struct list_head i_lru; /* host files: coldest first */
	struct list_head i_swaplist; /* shared memory with nrswapped, under shmem_swaplist_lock */
};

#define FMODE_READ 1u
#define FMODE_WRITE 2u
#define FMODE_NOEXEC 4u /* lies where no program may come from: a mount with noexec, a pipe */
#define FMODE_SEALED 8u /* a memfd sealed against writing */

struct file;

/* For files whose mappings are not made of the inode's page cache. */
struct file_operations {
	/*
	 * Map the VMA, which is in no tree yet and has VM_PFNMAP; sets vm_ops and may change
	 * vm_flags. mmap_lock held for writing; nothing is mapped at its addresses. 0 or negative errno.
	 */
	int (*mmap)(struct file *file, struct vm_area_struct *vma);
};

/* An open file that something is mapped from. path: as /proc/<pid>/maps shows it. */
struct file {
	atomic_t f_count;
	unsigned int f_mode; /* FMODE_* */
	struct inode *f_inode; /* NULL: of a kind that cannot be mapped */
	const struct file_operations *f_op; /* INODE_DEVICE only, else NULL */
	u64 f_id; /* equal for mappings made through one open file description, where known */
	char *f_path;
};

/*
 * The host file (dev, ino): found in the table or made. *created tells the caller that i_blkdev is
 * still 0 and the port has to supply storage. May sleep. ERR_PTR(-ENOMEM).
 */
struct inode *inode_get(u64 dev, u64 ino, bool *created);
/* The inode if it is cached, with a reference, else NULL. */
struct inode *inode_lookup(u64 dev, u64 ino);
void ihold(struct inode *inode);
/*
 * Drop a reference. The inode and its clean cache stay (for the next open) until memory runs
 * short or inode_evict() is called. May sleep.
 */
void iput(struct inode *inode);
/*
 * A new shared-memory object of size bytes with a reference, promised to mm unless flags have VM_NORESERVE.
 * May sleep. ERR_PTR(-ENOMEM).
 */
struct inode *shmem_inode_new(struct mm_struct *mm, loff_t size, vm_flags_t flags);
/* Free unused inodes with all their clean pages; returns pages freed. May sleep. */
unsigned long prune_icache(unsigned long nr_pages);
/* Before the file system of device dev is unmounted: its files that nobody uses go. May sleep. */
void evict_inodes(u64 dev);
/* Write back all and drop every inode of the machine: shutdown. Returns 0 or the first error. */
int inodes_shutdown(void);
/*
 * A walk over the cached host files, coldest first: the one after inode (NULL: the first) with a
 * reference, or NULL; drops the reference to inode. May sleep.
 */
struct inode *inode_scan_next(struct inode *inode);
void inode_scan_end(struct inode *inode); /* ends the walk at inode, before its end */
/* An empty inode with one reference, in no list. NULL: no memory. */
struct inode *inode_alloc(enum inode_kind kind);
void inode_init(void); /* boot, called by mm_init() */

/*
 * Takes over the caller's reference to inode (or NULL), on success only. path is copied. ERR_PTR(-ENOMEM).
 */
struct file *file_alloc(struct inode *inode, unsigned int mode, const char *path);
static inline struct file *get_file(struct file *f)
{
	atomic_inc(&f->f_count);
	return f;
}
void fput(struct file *f);

#endif
