/* SPDX-License-Identifier: MIT */
/*
 * vmscan.c - reclaim: frames come back from the page cache.
 *
 * Direct reclaim works for the allocator's caller, who may hold mmap_lock and a mapping->lock, so
 * every mapping->lock here is only tried; the page cache, which holds one whenever it allocates,
 * says which (try_to_free_pages_locked), lest a file that fills memory cannot be read on. It goes over the host files, coldest first, up to three
 * times, each time with less regard:
 *
 *	1. clean pages that nobody maps or holds
 *	2. mapped ones as well: they are unmapped everywhere (mlocked VMAs keep theirs)
 *	3. dirty ones as well, if the caller allows I/O: they are written back first
 *
 * The last few pages of files stay, or programs would do nothing but read their text again and again
 * (cache_floor).
 *
 * With mapping->lock held, a page with no map count and no reference but the cache's is nobody's:
 * new references need the lock, or an entry that maps it.
 */
#include <quire/pagemap.h>
#include <quire/trace.h>
#include <quire/vmstat.h>

/* At least so many pages are freed at a time. */
#define SWAP_CLUSTER_MAX 32UL
/* How often, a millisecond apart, files are tried whose locks others held. */
#define MAX_CONTENDED_RETRIES 16

unsigned long vm_cache_floor = 4096;

struct scan_control {
	struct address_space *locked; /* the caller holds its lock */
	unsigned long nr_to_reclaim;
	unsigned long nr_reclaimed;
	bool may_unmap;
	unsigned long floor; /* so many pages of files stay, if they are mapped; else half of it */
	bool may_writepage;
	bool contended; /* some lock was held by somebody else */
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

static unsigned long file_cache_pages(void)
{
	return node_page_state(NR_FILE_PAGES) - node_page_state(NR_SHMEM);
}

bool cache_is_scarce(void)
{
	unsigned long total = totalram_pages();

	return nr_free_pages() < total / 16 && file_cache_pages() < total - total / 4;
}

/*
 * What other memory may not take from the page cache: text that is evicted is read again at once, so
 * with less than the programs need at a time nobody gets anywhere. Another page of a file may.
 */
static unsigned long cache_floor(void)
{
	return min(totalram_pages() / 8, vm_cache_floor);
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

/*
 * From start on, in pieces; where it ended. What was read last is not the next to go, wherever it lies
 * in the file. mapping->lock held.
 */
static pgoff_t shrink_from(struct address_space *mapping, pgoff_t start, struct scan_control *sc)
{
	pgoff_t index = start;

	while (sc->nr_reclaimed < sc->nr_to_reclaim &&
	       xa_find(&mapping->i_pages, &index, ULONG_MAX)) {
		pgoff_t last = index | (SWAP_CLUSTER_MAX - 1);

		if (file_cache_pages() < sc->floor / 2)
			break;
		if (sc->may_writepage)
			filemap_write_and_wait_range_locked(mapping, index, last);
		if (sc->may_unmap && file_cache_pages() > sc->floor)
			unmap_clean_pages(mapping, index, last);
		drop_clean_pages(mapping, index, last, sc);
		if (last == ULONG_MAX)
			break;
		index = last + 1;
	}
	return index;
}

static void shrink_mapping(struct address_space *mapping, struct scan_control *sc)
{
	pgoff_t start = mapping->scan_next;

	mapping->scan_next = shrink_from(mapping, start, sc);
	if (start && sc->nr_reclaimed < sc->nr_to_reclaim)
		mapping->scan_next = shrink_from(mapping, 0, sc);
}

static void shrink_inodes(struct scan_control *sc)
{
	struct inode *inode = inode_scan_next(NULL);

	while (inode && sc->nr_reclaimed < sc->nr_to_reclaim) {
		struct address_space *mapping = &inode->i_data;

		if (mapping == sc->locked) {
			shrink_mapping(mapping, sc);
		} else if (mutex_trylock(&mapping->lock)) {
			shrink_mapping(mapping, sc);
			mutex_unlock(&mapping->lock);
		} else {
			sc->contended = true;
		}
		inode = inode_scan_next(inode);
	}
	if (inode)
		inode_scan_end(inode);
}

/* The files that could give something are busy, with I/O as a rule: their turn comes. */
static void reclaim_throttle(void)
{
	u32 never = 0;

	machine_wait(&never, 0, 1000000);
}

/* Three times over all files, with less and less regard. */
static void shrink_with_priority(struct scan_control *sc, gfp_t gfp)
{
	sc->may_unmap = sc->may_writepage = sc->contended = false;
	shrink_inodes(sc);
	if (sc->nr_reclaimed < sc->nr_to_reclaim) {
		sc->may_unmap = true;
		shrink_inodes(sc);
	}
	if (sc->nr_reclaimed < sc->nr_to_reclaim && (gfp & __GFP_IO)) {
		sc->may_writepage = true;
		shrink_inodes(sc);
	}
}

static unsigned long do_try_to_free_pages(struct scan_control *sc, gfp_t gfp)
{
	u64 start = trace_clock();

	shrink_with_priority(sc, gfp);
	for (int i = 0; i < MAX_CONTENDED_RETRIES && !sc->nr_reclaimed && sc->contended; i++) {
		reclaim_throttle();
		shrink_with_priority(sc, gfp);
	}
	trace(TRACE_RECLAIM, 0, sc->nr_reclaimed, start);
	return sc->nr_reclaimed;
}

unsigned long try_to_free_pages(gfp_t gfp, unsigned int order)
{
	struct scan_control sc = { .nr_to_reclaim = max(SWAP_CLUSTER_MAX, 1UL << order),
				   .floor = cache_floor() };

	return gfp & __GFP_DIRECT_RECLAIM ? do_try_to_free_pages(&sc, gfp) : 0;
}

unsigned long try_to_free_pages_locked(struct address_space *mapping, unsigned long nr)
{
	struct scan_control sc = { .locked = mapping, .nr_to_reclaim = max(SWAP_CLUSTER_MAX, nr) };

	return do_try_to_free_pages(&sc, GFP_KERNEL);
}
