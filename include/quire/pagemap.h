/* SPDX-License-Identifier: MIT */
/*
 * pagemap.h - the page cache, file reverse mapping, and the lock of a page.
 *
 * Unless said otherwise: may sleep; mapping->lock is taken inside ("locked" variants: is held).
 */
#ifndef QUIRE_PAGEMAP_H
#define QUIRE_PAGEMAP_H

#include <quire/fs.h>
#include <quire/mm.h>

void pagecache_init(void); /* boot, called by mm_init() */

/*
 * mapping->lock held. Enter a page that nobody else knows, with its contents valid: the caller's
 * reference becomes the cache's, and lru_cache_add() is left to him. 0 or -ENOMEM.
 */
int add_to_page_cache(struct page *page, struct address_space *mapping, pgoff_t index, gfp_t gfp);
/*
 * mapping->lock held. A frame for a page of the mapping, to make room for which other pages of it may go.
 * more: further flags. NULL: no memory.
 */
struct page *page_cache_alloc(struct address_space *mapping, gfp_t more);
/* mapping->lock held, the page is mapped nowhere. Forget it, dirty or not; drops the cache's
 * reference. */
void delete_from_page_cache(struct page *page);
/* The same for all pages with indices in [start, end]; returns how many there were. */
unsigned long delete_from_page_cache_range(struct address_space *mapping, pgoff_t start,
					   pgoff_t end);

/* mapping->lock held. The cached page with a reference, or NULL. Does no I/O. */
struct page *find_get_page(struct address_space *mapping, pgoff_t index);
/*
 * mapping->lock held. The page at index, read from storage if need be (with read-ahead when ra is
 * set), with a reference; *major set if it waited for storage. ERR_PTR(-ENOMEM, -EIO). The caller
 * has checked index against i_size.
 */
struct page *filemap_get_page(struct address_space *mapping, pgoff_t index, bool ra, bool *major);
/*
 * Fill the cache for [index, index + nr) (MADV_WILLNEED). Reads at most what i_size covers; absent
 * pages only. 0, -ENOMEM or -EIO.
 */
int filemap_read_ahead(struct address_space *mapping, pgoff_t index, unsigned long nr);
/* File contents for the kernel (ELF headers); short at end of file. Bytes or -EIO, -ENOMEM. */
ssize_t kernel_read(struct file *file, void *buf, size_t count, loff_t pos);

/*
 * Write back dirty pages with indices in [start, end]; cleans and write-protects every pte. Returns
 * the first error of this call; every error is also kept for file_check_wb_err(). A page that could
 * not be written counts as clean, as in Linux.
 */
int filemap_write_and_wait_range(struct address_space *mapping, pgoff_t start, pgoff_t end);
int filemap_write_and_wait_range_locked(struct address_space *mapping, pgoff_t start, pgoff_t end);
bool mapping_has_dirty(struct address_space *mapping);
/* Returns and clears the stored write-back error. */
int file_check_wb_err(struct file *file);

/*
 * The file became size bytes long: unmaps what lies beyond from every process (private copies
 * beyond the end included), drops those pages, zeroes the tail of the last one.
 */
void truncate_setsize(struct inode *inode, loff_t size);
void truncate_setsize_locked(struct inode *inode, loff_t size);
/* The bytes [pos, pos+len) of the host file were changed behind the cache by a guest's write():
 * cached pages get them again from storage, in place, dirty bytes elsewhere in the page kept.
 * mapping->lock held. 0 or -EIO. */
int filemap_refresh_range_locked(struct address_space *mapping, loff_t pos, loff_t len);
/* Storage changed outside the machine: drop clean pages everywhere, unmapping them. */
void invalidate_mapping_locked(struct address_space *mapping);
/*
 * mapping->lock held. Hole: forget the pages with indices in [start, end] (MADV_REMOVE, fallocate);
 * private copies stay. The storage is the caller's affair.
 */
void truncate_pagecache_range_locked(struct inode *inode, pgoff_t start, pgoff_t end);

/* mapping->lock held: unmap indices [start, end] from every VMA of the mapping; even_cows: private
 * copies too. */
void unmap_mapping_range(struct address_space *mapping, pgoff_t start, pgoff_t end, bool even_cows);
/*
 * mapping->lock held. Direct reclaim as try_to_free_pages(), of nr pages at least, that may take them
 * from this file too; those that the caller holds a reference to are safe.
 */
unsigned long try_to_free_pages_locked(struct address_space *mapping, unsigned long nr);
/*
 * mapping->lock held. Reclaim deletes a page from the cache: shadow (not 0) is for the policy, when
 * it comes back. Forgotten if there is no memory for the note.
 */
void filemap_evict(struct page *page, unsigned long shadow);
void filemap_forget_shadows(
	struct address_space *mapping); /* mapping->lock held, or nobody else's */
/* What is read into the cache pushes out what is needed: nothing is free, and other memory has much. */
bool cache_is_scarce(void);
/* mapping->lock held: for reclaim. Private copies, and what is mlocked, stay mapped. */
void try_to_unmap_range(struct address_space *mapping, pgoff_t start, pgoff_t end);
/* mapping->lock held: clean and write-protect all ptes of the page; whether one was dirty. */
bool page_mkclean(struct page *page);
/* The same for all pages with indices in [start, end]. */
bool mapping_mkclean_range(struct address_space *mapping, pgoff_t start, pgoff_t end);
/*
 * mapping->lock held. A file that was expected not to change (i_stable) is about to: its early copies that no
 * program has written are dropped, so that the change will be seen in their places. May sleep.
 */
void inode_unstable_locked(struct inode *inode);

/* ---- PG_locked and PG_writeback: page_lock.c ----------------------------------------------- */

/* The caller has a reference. May sleep. Inside mmap_lock and mapping->lock; of two pages, the second is tried. */
void lock_page(struct page *page);
bool trylock_page(struct page *page); /* any context */
void unlock_page(struct page *page);
/* May sleep. */
void wait_on_page_writeback(struct page *page);
void end_page_writeback(struct page *page);

/* mapping->lock held, page->mapping checked under it. Marks a page-cache page dirty; true: it was
 * clean. */
bool set_page_dirty(struct page *page);
/* mapping->lock held. The page is clean, or about to be: its entries are the caller's affair. */
void clear_page_dirty(struct page *page);

/* mapping->lock held. Whether a shared mapping is writable, or could be made so. */
bool mapping_writably_mapped(struct address_space *mapping);

#endif
