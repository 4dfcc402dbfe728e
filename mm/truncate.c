/* SPDX-License-Identifier: MIT */
/*
 * truncate.c - an object became shorter, longer, or got a hole.
 *
 *	      size
 *	 ______v______________________________
 *	|    |//|  gone  |  gone  |  gone  |	//: zeroed in place, the page stays mapped
 *
 * Entries go before pages do: nobody reaches a page that has left the cache but through a
 * reference of his own. All under mapping->lock, so no fault brings one back in between.
 */
#include <quire/pagemap.h>
#include <quire/string.h>
#include <quire/swap.h>

/* Zero the bytes of the cached page at index from offset on. */
static void zero_page_from(struct address_space *mapping, pgoff_t index, size_t offset)
{
	struct page *page = xa_load(&mapping->i_pages, index);

	/* What cannot be read from swap will not be seen either. */
	if (xa_is_value(page)) {
		bool major;

		page = shmem_get_page(mapping, index, &major);
		if (IS_ERR(page))
			return;
		put_page(page);
	}
	if (page)
		memset((char *)page_address(page) + offset, 0, PAGE_SIZE - offset);
}

static void truncate_shrink(struct address_space *mapping, loff_t size)
{
	pgoff_t first = ((u64)size + PAGE_SIZE - 1) >> PAGE_SHIFT;

	unmap_mapping_range(mapping, first, ULONG_MAX, true);
	delete_from_page_cache_range(mapping, first, ULONG_MAX);
	if (size & ~PAGE_MASK)
		zero_page_from(mapping, (pgoff_t)size >> PAGE_SHIFT, size & ~PAGE_MASK);
}

/*
 * The new bytes of what was the last page are what storage has (the file may have grown by a
 * write()), not what a program left there through a mapping.
 */
static void truncate_grow(struct address_space *mapping, loff_t old, loff_t size)
{
	size_t offset = old & ~PAGE_MASK;

	if (!offset)
		return;
	zero_page_from(mapping, (pgoff_t)old >> PAGE_SHIFT, offset);
	if (mapping->host->i_kind == INODE_FILE)
		filemap_refresh_range_locked(mapping, old,
					     min(size - old, (loff_t)(PAGE_SIZE - offset)));
}

void truncate_setsize_locked(struct inode *inode, loff_t size)
{
	loff_t old = inode->i_size;

	inode->i_size = size;
	if (size < old)
		truncate_shrink(&inode->i_data, size);
	else if (size > old)
		truncate_grow(&inode->i_data, old, size);
}

void truncate_setsize(struct inode *inode, loff_t size)
{
	mutex_lock(&inode->i_data.lock);
	truncate_setsize_locked(inode, size);
	mutex_unlock(&inode->i_data.lock);
}

void truncate_pagecache_range_locked(struct inode *inode, pgoff_t start, pgoff_t end)
{
	unmap_mapping_range(&inode->i_data, start, end, false);
	delete_from_page_cache_range(&inode->i_data, start, end);
}
