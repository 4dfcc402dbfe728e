/* SPDX-License-Identifier: MIT */
/*
 * writeback.c - dirty pages of host files, and their way to storage.
 *
 * PG_dirty and the mark PAGECACHE_TAG_DIRTY in i_pages are set and cleared together, under
 * mapping->lock. An entry through which a shared page can be written exists only while the page is
 * dirty: memory.c calls set_page_dirty before it makes one, and cleaning a page write-protects every
 * entry first. So the marks alone find all that must be written.
 *
 * Pages of shared-memory objects are the only copy of what they hold; dirty means nothing for them
 * and is neither marked nor counted.
 */
#include <quire/pagemap.h>
#include <quire/vmstat.h>

/* Pages of one transfer. */
#define WB_BATCH 64U

bool set_page_dirty(struct page *page)
{
	/* Nobody's page cache: whose it is knows that it may have been written. */
	if (!page->mapping)
		return false;
	if (test_and_set_bit(PG_dirty, &page->flags))
		return false;
	if (!PageSwapBacked(page)) {
		xa_set_mark(&page->mapping->i_pages, page->index, PAGECACHE_TAG_DIRTY);
		mod_node_page_state(NR_FILE_DIRTY, 1);
		mod_node_page_state(NR_DIRTIED, 1);
	}
	return true;
}

void clear_page_dirty(struct page *page)
{
	if (!test_and_clear_bit(PG_dirty, &page->flags) || PageSwapBacked(page))
		return;
	xa_clear_mark(&page->mapping->i_pages, page->index, PAGECACHE_TAG_DIRTY);
	mod_node_page_state(NR_FILE_DIRTY, -1);
}

bool mapping_has_dirty(struct address_space *mapping)
{
	bool dirty;

	mutex_lock(&mapping->lock);
	dirty = xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY);
	mutex_unlock(&mapping->lock);
	return dirty;
}

/* The first run of dirty pages in [*index, end]: its length, 0 for none; *index: its start. */
static unsigned int find_dirty_run(struct address_space *mapping, pgoff_t *index, pgoff_t end,
				   struct page **pages)
{
	struct page *page = xa_find_marked(&mapping->i_pages, index, end, PAGECACHE_TAG_DIRTY);
	pgoff_t next = *index;
	unsigned int n = 0;

	while (page && n < WB_BATCH && next == *index + n) {
		pages[n++] = page;
		page = xa_find_after_marked(&mapping->i_pages, &next, end, PAGECACHE_TAG_DIRTY);
	}
	return n;
}

static int write_pages(struct address_space *mapping, pgoff_t index, struct page **pages,
		       unsigned int n)
{
	int err = mapping->host->i_writable
			  ? machine_block_rw(mapping->host->i_blkdev, index, pages, n, true)
			  : -EIO;

	if (err)
		return err;
	mod_node_page_state(NR_WRITTEN, n);
	count_vm_events(PGPGOUT, n * (PAGE_SIZE / 1024));
	return 0;
}

/* One bad page must not cost its neighbours: after an error each goes alone. */
static int write_run(struct address_space *mapping, pgoff_t index, struct page **pages,
		     unsigned int n)
{
	int err;

	mapping_mkclean_range(mapping, index, index + n - 1);
	for (unsigned int i = 0; i < n; i++) {
		clear_page_dirty(pages[i]);
		SetPageWriteback(pages[i]);
	}
	mod_node_page_state(NR_WRITEBACK, n);
	err = write_pages(mapping, index, pages, n);
	if (err && n > 1) {
		err = 0;
		for (unsigned int i = 0; i < n; i++) {
			int e = write_pages(mapping, index + i, pages + i, 1);

			err = err ? err : e;
		}
	}
	for (unsigned int i = 0; i < n; i++) {
		ClearPageWriteback(pages[i]);
		/* The machine may be writing into a pinned page right now: the next turn has it again. */
		if (page_maybe_pinned(pages[i]))
			set_page_dirty(pages[i]);
	}
	mod_node_page_state(NR_WRITEBACK, -(long)n);
	return err;
}

int filemap_write_and_wait_range_locked(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	struct page *pages[WB_BATCH];
	pgoff_t index = start;
	unsigned int n;
	int ret = 0;

	while (index <= end && (n = find_dirty_run(mapping, &index, end, pages))) {
		int err = write_run(mapping, index, pages, n);

		if (err) {
			mapping->wb_err = err;
			ret = ret ? ret : err;
		}
		if (index + n < index)
			break;
		index += n;
	}
	return ret;
}

int filemap_write_and_wait_range(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	int ret;

	mutex_lock(&mapping->lock);
	ret = filemap_write_and_wait_range_locked(mapping, start, end);
	mutex_unlock(&mapping->lock);
	return ret;
}

int file_check_wb_err(struct file *file)
{
	struct address_space *mapping = &file->f_inode->i_data;
	int err;

	mutex_lock(&mapping->lock);
	err = mapping->wb_err;
	mapping->wb_err = 0;
	mutex_unlock(&mapping->lock);
	return err;
}
