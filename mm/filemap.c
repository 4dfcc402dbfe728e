/* SPDX-License-Identifier: MIT */
/*
 * filemap.c - the page cache of host files.
 *
 *	mapping->i_pages[index] ──> page: mapping, index, PG_uptodate, one reference of the cache
 *
 * A page is entered only once its contents are valid, so whatever is found can be used. Bytes of
 * the last page beyond i_size are zeros. Everything happens under mapping->lock, I/O included: who
 * finds the page absent reads it, and the others wait for the lock.
 *
 * Read-ahead. A miss reads an aligned window around the index, the absent pages of it in as few
 * transfers as they lie in runs; a miss right behind the last window is sequential reading and
 * doubles the window:
 *
 *	index	0      32     64           128                       256
 *		|miss: |miss: |miss:       |miss:                    |
 *		| 32   | 32   |    64      |         128             |  pages read
 *
 * Frames of a run are allocated in blocks as large as its alignment allows, so that what lies side
 * by side in the file does so in memory and can be mapped as one piece.
 */
#include <quire/mm_inline.h>
#include <quire/pagemap.h>
#include <quire/reclaim.h>
#include <quire/slab.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

#define RA_ORDER_MIN 5
#define RA_ORDER_MAX 7
#define RA_ORDER_SHORT 2 /* what is read now takes the place of what is needed, too */
/* Pages of one transfer. */
#define IO_BATCH (1U << RA_ORDER_MAX)

/*
 * The allocator's own reclaim cannot take the lock that we hold, and would strip every other file
 * before this one gives anything. So we ask for what is free, and reclaim ourselves.
 */
#define GFP_CACHE (GFP_NOWAIT | __GFP_HIGHMEM | __GFP_MOVABLE)

static struct kmem_cache *radix_tree_node_cachep;
static atomic_long_t nr_shadows; /* of all mappings */

/* Where a piece of a page goes that must not be read in place. */
static struct page *bounce_page;
static struct mutex bounce_lock; /* inside mapping->lock */

void pagecache_init(void)
{
	radix_tree_node_cachep =
		kmem_cache_create("radix_tree_node", sizeof(struct xa_node), 0, SLAB_PANIC, NULL);
	bounce_page = alloc_page(GFP_KERNEL);
	if (!bounce_page)
		machine_panic("no memory for the page cache");
	mutex_init(&bounce_lock);
	atomic_long_set(&nr_shadows, 0);
}

struct xa_node *xa_node_alloc(gfp_t gfp)
{
	return kmem_cache_alloc(radix_tree_node_cachep, gfp);
}

void xa_node_free(struct xa_node *node)
{
	kmem_cache_free(radix_tree_node_cachep, node);
}

/* ---- Pages enter and leave ----------------------------------------------------------------- */

int add_to_page_cache(struct page *page, struct address_space *mapping, pgoff_t index, gfp_t gfp)
{
	int err = xa_insert(&mapping->i_pages, index, page, gfp);

	if (err)
		return err;
	page->mapping = mapping;
	page->index = index;
	SetPageUptodate(page);
	mapping->nrpages++;
	mod_node_page_state(NR_FILE_PAGES, 1);
	return 0;
}

void delete_from_page_cache(struct page *page)
{
	struct address_space *mapping = page->mapping;

	xa_erase(&mapping->i_pages, page->index);
	mapping->nrpages--;
	mod_node_page_state(NR_FILE_PAGES, -1);
	if (PageSwapBacked(page))
		mod_node_page_state(NR_SHMEM, -1);
	clear_page_dirty(page);
	lru_forget_mapping(page);
	put_page(page);
}

unsigned long delete_from_page_cache_range(struct address_space *mapping, pgoff_t start,
					   pgoff_t end)
{
	unsigned long index, nr = 0;
	struct page *page;

	xa_for_each_range(&mapping->i_pages, index, page, start, end) {
		if (xa_is_value(page)) {
			shmem_free_swap(mapping, index, radix_to_swp_entry(page));
			continue;
		}
		delete_from_page_cache(page);
		nr++;
	}
	return nr;
}

void filemap_evict(struct page *page, unsigned long shadow)
{
	struct address_space *mapping = page->mapping;
	pgoff_t index = page->index;

	delete_from_page_cache(page);
	/* What was taken long ago is of no interest. */
	if (atomic_long_read(&nr_shadows) >= (long)(totalram_pages() / 2))
		filemap_forget_shadows(mapping);
	if (xa_insert(&mapping->i_shadows, index, xa_mk_value(shadow), GFP_NOWAIT))
		return;
	mapping->nr_shadows++;
	atomic_long_add(1, &nr_shadows);
}

void filemap_forget_shadows(struct address_space *mapping)
{
	xa_destroy(&mapping->i_shadows);
	atomic_long_sub((long)mapping->nr_shadows, &nr_shadows);
	mapping->nr_shadows = 0;
}

struct page *find_get_page(struct address_space *mapping, pgoff_t index)
{
	struct page *page = xa_load(&mapping->i_pages, index);

	if (unlikely(xa_is_value(page)))
		return NULL;
	if (page)
		get_page(page);
	return page;
}

/* ---- Reading ------------------------------------------------------------------------------- */

/* A block of at most 2^*order single frames; *order becomes what it is. NULL: no memory. */
static struct page *alloc_block(unsigned int *order)
{
	for (;; (*order)--) {
		struct page *block = alloc_pages(GFP_CACHE, *order);

		if (block)
			split_page(block, *order);
		if (block || !*order)
			return block;
	}
}

/* Frames for nr pages from index on; returns how many of them there are. */
static unsigned int alloc_run(pgoff_t index, unsigned int nr, struct page **pages)
{
	unsigned int n = 0;

	while (n < nr) {
		unsigned int order = (unsigned int)ilog2(nr - n);
		struct page *block;

		if (index + n)
			order = min(order, (unsigned int)__ffs(index + n));
		block = alloc_block(&order);
		if (!block)
			break;
		for (unsigned int i = 0; i < 1U << order; i++)
			pages[n++] = block + i;
	}
	return n;
}

/* The same, with reclaim; for the first of them somebody may have to end. */
static unsigned int alloc_run_reclaim(struct address_space *mapping, pgoff_t index, unsigned int nr,
				      struct page **pages)
{
	unsigned int n = alloc_run(index, nr, pages), tries = 0;

	do {
		if (n < nr && try_to_free_pages_locked(mapping, nr - n))
			n += alloc_run(index + n, nr - n, pages + n);
	} while (!n && pagefault_out_of_memory(tries++));
	return n;
}

struct page *page_cache_alloc(struct address_space *mapping, gfp_t more)
{
	unsigned int tries = 0;
	struct page *page;

	do {
		page = alloc_page(GFP_CACHE | more);
		if (!page && try_to_free_pages_locked(mapping, 1))
			page = alloc_page(GFP_CACHE | more);
	} while (!page && pagefault_out_of_memory(tries++));
	return page;
}

/* The last page of a file is zero beyond the file's end, whatever storage says. */
static void zero_tail(struct address_space *mapping, pgoff_t index, struct page *page)
{
	loff_t size = mapping->host->i_size;

	if (index == (pgoff_t)size >> PAGE_SHIFT)
		memset((char *)page_address(page) + (size & ~PAGE_MASK), 0,
		       PAGE_SIZE - (size & ~PAGE_MASK));
}

/* mapping->lock held. The page was here before, and reclaim has left a note of when. */
static void check_refault(struct address_space *mapping, struct page *page)
{
	void *shadow = NULL;

	if (mapping->nr_shadows)
		shadow = xa_erase(&mapping->i_shadows, page->index);
	if (!shadow)
		return;
	mapping->nr_shadows--;
	atomic_long_sub(1, &nr_shadows);
	reclaim_policy->refault(page_lruvec(page), page, xa_to_value(shadow));
}

/* Enter what memory for the tree's nodes there is for: at least the first page, by reclaim. */
static unsigned int add_run(struct address_space *mapping, pgoff_t index, struct page **pages,
			    unsigned int n)
{
	unsigned int done;

	for (done = 0; done < n; done++) {
		struct page *page = pages[done];
		int err;

		zero_tail(mapping, index + done, page);
		err = add_to_page_cache(page, mapping, index + done, GFP_NOWAIT);
		/* Later, reclaim would take what was entered here just before. */
		if (err && !done && try_to_free_pages_locked(mapping, 1))
			err = add_to_page_cache(page, mapping, index, GFP_KERNEL);
		if (err)
			break;
		check_refault(mapping, page);
	}
	lru_cache_add_pages(pages, done);
	return done;
}

/*
 * Read the absent pages [index, index + nr), nr at most IO_BATCH, into the cache, in one transfer.
 * 0; -EIO: none; -ENOMEM: perhaps the first few.
 */
static int read_run(struct address_space *mapping, pgoff_t index, unsigned int nr)
{
	struct page *pages[IO_BATCH];
	unsigned int n = alloc_run_reclaim(mapping, index, nr, pages), done = 0;
	int err;

	if (!n)
		return -ENOMEM;
	err = machine_block_rw(mapping->host->i_blkdev, index, pages, n, false);
	if (!err) {
		count_vm_events(PGPGIN, n * (PAGE_SIZE / 1024));
		done = add_run(mapping, index, pages, n);
	}
	for (unsigned int i = done; i < n; i++)
		put_page(pages[i]);
	if (err)
		return -EIO;
	return done < nr ? -ENOMEM : 0;
}

/* Read what is absent of [first, last], run by run. 0 or the first error, which ends it. */
static int read_absent(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	pgoff_t index = first;

	while (index <= last) {
		pgoff_t present = index;
		unsigned long nr = last - index + 1;
		int err;

		if (xa_find(&mapping->i_pages, &present, last))
			nr = present - index;
		nr = min(nr, (unsigned long)IO_BATCH);
		if (!nr) {
			index++;
			continue;
		}
		err = read_run(mapping, index, (unsigned int)nr);
		if (err)
			return err;
		index += nr;
	}
	return 0;
}

/* Pages that i_size covers. */
static pgoff_t mapping_end(const struct address_space *mapping)
{
	return ((u64)mapping->host->i_size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

static void read_ahead_window(struct address_space *mapping, pgoff_t index)
{
	pgoff_t first, last;

	if (index && index == mapping->ra_next)
		mapping->ra_order = min(mapping->ra_order + 1, (unsigned int)RA_ORDER_MAX);
	else
		mapping->ra_order = cache_is_scarce() ? RA_ORDER_SHORT : RA_ORDER_MIN;
	first = round_down(index, 1UL << mapping->ra_order);
	last = first + (1UL << mapping->ra_order) - 1;
	mapping->ra_next = last + 1;
	/* Errors are of interest only where the page itself is wanted. */
	read_absent(mapping, first, min(last, mapping_end(mapping) - 1));
}

struct page *filemap_get_page(struct address_space *mapping, pgoff_t index, bool ra, bool *major)
{
	struct page *page = find_get_page(mapping, index);
	int err;

	if (page)
		return page;
	if (index >= mapping_end(mapping))
		return ERR_PTR(-EIO);
	*major = true;
	if (ra) {
		read_ahead_window(mapping, index);
		page = find_get_page(mapping, index);
		if (page)
			return page;
	}
	err = read_run(mapping, index, 1);
	return err ? ERR_PTR(err) : find_get_page(mapping, index);
}

int filemap_read_ahead(struct address_space *mapping, pgoff_t index, unsigned long nr)
{
	pgoff_t last = index + nr - 1;
	int err = 0;

	if (!nr || mapping->host->i_kind != INODE_FILE)
		return 0;
	if (last < index)
		last = ULONG_MAX;
	/* The lock is given up between windows: faults on what is there need not wait for all. */
	while (!err && index <= last) {
		pgoff_t window_last = index | (IO_BATCH - 1);
		pgoff_t end;

		mutex_lock(&mapping->lock);
		end = mapping_end(mapping);
		if (index < end)
			err = read_absent(mapping, index, min3(last, end - 1, window_last));
		mutex_unlock(&mapping->lock);
		if (window_last >= end)
			break;
		index = window_last + 1;
	}
	return err;
}

/* mapping->lock held. Bytes of one page; 0 at end of file. */
static ssize_t read_piece(struct address_space *mapping, char *buf, size_t count, loff_t pos)
{
	loff_t size = mapping->host->i_size;
	size_t offset = pos & ~PAGE_MASK;
	bool major = false;
	struct page *page;

	if (pos >= size)
		return 0;
	count = min3(count, PAGE_SIZE - offset, (size_t)(size - pos));
	page = filemap_get_page(mapping, (pgoff_t)pos >> PAGE_SHIFT, true, &major);
	if (IS_ERR(page))
		return PTR_ERR(page);
	memcpy(buf, (char *)page_address(page) + offset, count);
	mark_page_accessed(page);
	put_page(page);
	return (ssize_t)count;
}

ssize_t kernel_read(struct file *file, void *buf, size_t count, loff_t pos)
{
	struct address_space *mapping = &file->f_inode->i_data;
	size_t done = 0;

	if (pos < 0)
		return -EINVAL;
	while (done < count) {
		ssize_t n;

		mutex_lock(&mapping->lock);
		n = read_piece(mapping, (char *)buf + done, count - done, pos + (loff_t)done);
		mutex_unlock(&mapping->lock);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* ---- Storage changed ----------------------------------------------------------------------- */

/*
 * Read [from, to) of a page from storage and leave its other bytes, which may be newer than
 * storage, alone.
 */
static int refresh_piece(struct address_space *mapping, struct page *page, size_t from, size_t to)
{
	int err;

	mutex_lock(&bounce_lock);
	err = machine_block_rw(mapping->host->i_blkdev, page->index, &bounce_page, 1, false);
	if (!err)
		memcpy((char *)page_address(page) + from, (char *)page_address(bounce_page) + from,
		       to - from);
	mutex_unlock(&bounce_lock);
	return err ? -EIO : 0;
}

/*
 * Read n pages in place. Should that fail they are no longer known to be good, so clean ones
 * are forgotten: the next access reads them again.
 */
static int refresh_run(struct address_space *mapping, struct page **pages, unsigned int n)
{
	int err;

	if (!n)
		return 0;
	err = machine_block_rw(mapping->host->i_blkdev, pages[0]->index, pages, n, false);
	if (!err)
		return 0;
	unmap_mapping_range(mapping, pages[0]->index, pages[0]->index + n - 1, false);
	for (unsigned int i = 0; i < n; i++)
		if (!PageDirty(pages[i]))
			delete_from_page_cache(pages[i]);
	return -EIO;
}

int filemap_refresh_range_locked(struct address_space *mapping, loff_t pos, loff_t len)
{
	struct page *pages[IO_BATCH], *page;
	pgoff_t first = (pgoff_t)pos >> PAGE_SHIFT, last, index;
	unsigned int n = 0;
	int err = 0, e;

	if (len <= 0 || pos < 0 || mapping->host->i_kind != INODE_FILE)
		return 0;
	len = min(len, LONG_MAX - pos);
	last = (pgoff_t)(pos + len - 1) >> PAGE_SHIFT;
	xa_for_each_range(&mapping->i_pages, index, page, first, last) {
		size_t from = index == first ? (size_t)pos & ~PAGE_MASK : 0;
		size_t to = index == last ? ((size_t)(pos + len - 1) & ~PAGE_MASK) + 1 : PAGE_SIZE;
		bool piece = to - from < PAGE_SIZE && (PageDirty(page) || page_maybe_pinned(page));

		if (n && (piece || n == IO_BATCH || index != pages[n - 1]->index + 1)) {
			e = refresh_run(mapping, pages, n);
			err = err ? err : e;
			n = 0;
		}
		if (piece) {
			e = refresh_piece(mapping, page, from, to);
			err = err ? err : e;
		} else {
			pages[n++] = page;
		}
	}
	e = refresh_run(mapping, pages, n);
	return err ? err : e;
}

void invalidate_mapping_locked(struct address_space *mapping)
{
	struct page *page;
	pgoff_t index;

	if (mapping->host->i_kind != INODE_FILE)
		return;
	xa_for_each(&mapping->i_pages, index, page) {
		if (PageDirty(page))
			continue;
		if (page_mapcount(page))
			unmap_mapping_range(mapping, index, index, false);
		delete_from_page_cache(page);
	}
}

/* ---- Mappings of files --------------------------------------------------------------------- */

static vm_fault_t filemap_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct address_space *mapping = &vma->vm_file->f_inode->i_data;
	struct page *page = ERR_PTR(-EIO);
	bool major = false;

	mutex_lock(&mapping->lock);
	if (vmf->pgoff < mapping_end(mapping))
		page = filemap_get_page(mapping, vmf->pgoff,
					!(vma->vm_flags & VM_RAND_READ) && !mapping->host->i_uffd,
					&major);
	if (IS_ERR(page)) {
		mutex_unlock(&mapping->lock);
		return PTR_ERR(page) == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	}
	vmf->page = page;
	return major ? VM_FAULT_MAJOR : 0;
}

void filemap_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct address_space *mapping = &vmf->vma->vm_file->f_inode->i_data;
	pgoff_t eof = mapping_end(mapping);
	pte_t *ptep = vmf->pte - (vmf->pgoff - first);

	for (; first <= last && first < eof; first++, ptep++) {
		struct page *page;

		if (!pte_none(ptep_get(ptep)))
			continue;
		page = find_get_page(mapping, first);
		if (!page)
			continue;
		if (PageUptodate(page))
			map_page_around(vmf, first, page);
		else
			put_page(page);
	}
}

/* No dirt where it could never be written back. */
static vm_fault_t filemap_page_mkwrite(struct vm_fault *vmf)
{
	return vmf->vma->vm_file->f_inode->i_writable ? 0 : VM_FAULT_SIGBUS;
}

/* What a program wrote is in the host's file when its mapping is gone. */
static void filemap_unmapped(struct vm_area_struct *vma)
{
	const vm_flags_t writable = VM_SHARED | VM_MAYWRITE;

	if ((vma->vm_flags & writable) == writable)
		filemap_write_and_wait_range(&vma->vm_file->f_inode->i_data, vma->vm_pgoff,
					     vma->vm_pgoff + vma_pages(vma) - 1);
}

const struct vm_operations_struct generic_file_vm_ops = {
	.unmapped = filemap_unmapped,
	.fault = filemap_fault,
	.map_pages = filemap_map_pages,
	.page_mkwrite = filemap_page_mkwrite,
};

bool mapping_writably_mapped(struct address_space *mapping)
{
	const vm_flags_t writable = VM_SHARED | VM_MAYWRITE;
	struct interval_tree_node *node;

	for (node = interval_tree_iter_first(&mapping->i_mmap, 0, ULONG_MAX); node;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX)) {
		const struct vm_area_struct *vma =
			container_of(node, struct vm_area_struct, shared);

		if ((vma->vm_flags & writable) == writable)
			return true;
	}
	return false;
}
