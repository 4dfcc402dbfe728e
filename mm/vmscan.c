/* SPDX-License-Identifier: MIT */
/*
 * vmscan.c - reclaim: frames come back from the page cache.
 *
 * Direct reclaim works for the allocator's caller, who may hold mmap_lock and a mapping->lock, so
 * every mapping->lock here is only tried. It goes over the host files, coldest first, up to three
 * times, each time with less regard:
 *
 *	1. clean pages that nobody maps or holds
 *	2. mapped ones as well: they are unmapped everywhere (mlocked VMAs keep theirs)
 *	3. dirty ones as well, if the caller allows I/O: they are written back first
 *
 * With mapping->lock held, a page with no map count and no reference but the cache's is nobody's:
 * new references need the lock, or an entry that maps it.
 */
#include <quire/pagemap.h>
#include <quire/trace.h>
#include <quire/vmstat.h>

/* At least so many pages are freed at a time. */
#define SWAP_CLUSTER_MAX 32UL

struct scan_control {
	unsigned long nr_to_reclaim;
	unsigned long nr_reclaimed;
	bool may_unmap;
	bool may_writepage;
};

static bool page_is_freeable(struct page *page)
{
	return !PageDirty(page) && page_mapcount(page) == 0 && page_count(page) == 1;
}

/* Mapped, and held by nobody but the cache and the entries that map it. */
static bool page_is_unmappable(struct page *page)
{
	int mapcount = page_mapcount(page);

	return !PageDirty(page) && mapcount > 0 && page_count(page) == 1 + mapcount;
}

/* Unmap the clean mapped pages of [start, end], a run of neighbours at a time. */
static void unmap_clean_pages(struct address_space *mapping, pgoff_t start, pgoff_t end)
{
	pgoff_t index, from = start, nr = 0;
	struct page *page;

	xa_for_each_range(&mapping->i_pages, index, page, start, end) {
		if (!page_is_unmappable(page))
			continue;
		if (nr && index == from + nr) {
			nr++;
			continue;
		}
		if (nr)
			try_to_unmap_range(mapping, from, from + nr - 1);
		from = index;
		nr = 1;
	}
	if (nr)
		try_to_unmap_range(mapping, from, from + nr - 1);
}

static void drop_clean_pages(struct address_space *mapping, pgoff_t start, pgoff_t end,
			     struct scan_control *sc)
{
	unsigned long scanned = 0, stolen = 0;
	struct page *page;
	pgoff_t index;

	xa_for_each_range(&mapping->i_pages, index, page, start, end) {
		scanned++;
		if (!page_is_freeable(page))
			continue;
		delete_from_page_cache(page);
		stolen++;
	}
	sc->nr_reclaimed += stolen;
	count_vm_events(PGSCAN_DIRECT, scanned);
	count_vm_events(PGSTEAL_DIRECT, stolen);
}

/* mapping->lock held. */
static void shrink_mapping(struct address_space *mapping, struct scan_control *sc)
{
	pgoff_t index = 0;

	while (sc->nr_reclaimed < sc->nr_to_reclaim &&
	       xa_find(&mapping->i_pages, &index, ULONG_MAX)) {
		pgoff_t last = index | (SWAP_CLUSTER_MAX - 1);

		if (sc->may_writepage)
			filemap_write_and_wait_range_locked(mapping, index, last);
		if (sc->may_unmap)
			unmap_clean_pages(mapping, index, last);
		drop_clean_pages(mapping, index, last, sc);
		if (last == ULONG_MAX)
			break;
		index = last + 1;
	}
}

static void shrink_inodes(struct scan_control *sc)
{
	struct inode *inode = inode_scan_next(NULL);

	while (inode && sc->nr_reclaimed < sc->nr_to_reclaim) {
		if (mutex_trylock(&inode->i_data.lock)) {
			shrink_mapping(&inode->i_data, sc);
			mutex_unlock(&inode->i_data.lock);
		}
		inode = inode_scan_next(inode);
	}
	if (inode)
		inode_scan_end(inode);
}

unsigned long try_to_free_pages(gfp_t gfp, unsigned int order)
{
	struct scan_control sc = { .nr_to_reclaim = max(SWAP_CLUSTER_MAX, 1UL << order) };
	u64 start = trace_clock();

	if (!(gfp & __GFP_DIRECT_RECLAIM))
		return 0;
	shrink_inodes(&sc);
	if (sc.nr_reclaimed < sc.nr_to_reclaim) {
		sc.may_unmap = true;
		shrink_inodes(&sc);
	}
	if (sc.nr_reclaimed < sc.nr_to_reclaim && (gfp & __GFP_IO)) {
		sc.may_writepage = true;
		shrink_inodes(&sc);
	}
	trace(TRACE_RECLAIM, 0, sc.nr_reclaimed, start);
	return sc.nr_reclaimed;
}
