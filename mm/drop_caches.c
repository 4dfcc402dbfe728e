/* SPDX-License-Identifier: MIT */
/*
 * vm.drop_caches: gives back what is only kept in case somebody wants it again - clean pages of files that no
 * program has mapped, and kernel objects that shrinkers can do without. Dirty pages stay: sync first.
 */
#include <quire/mm.h>
#include <quire/pagemap.h>
#include <quire/reclaim.h>
#include <quire/vmstat.h>

/* The page cache's reference is the only one. */
static bool is_droppable(struct page *page)
{
	return !PageDirty(page) && !PageWriteback(page) && !page_mapcount(page) &&
	       page_count(page) == 1;
}

static void drop_mapping(struct address_space *mapping)
{
	pgoff_t index;
	void *entry;

	mutex_lock(&mapping->lock);
	xa_for_each(&mapping->i_pages, index, entry) {
		if (!xa_is_value(entry) && is_droppable(entry))
			delete_from_page_cache(entry);
	}
	mutex_unlock(&mapping->lock);
}

static void drop_pagecache(void)
{
	struct inode *inode = NULL;

	while ((inode = inode_scan_next(inode)))
		drop_mapping(&inode->i_data);
	count_vm_event(DROP_PAGECACHE);
}

void drop_caches(unsigned int what)
{
	if (what & DROP_CACHES_PAGES)
		drop_pagecache();
	if (what & DROP_CACHES_SLAB)
		drop_slab();
}
