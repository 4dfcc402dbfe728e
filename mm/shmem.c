/* SPDX-License-Identifier: MIT */
/*
 * shmem.c - shared memory objects: inodes whose page cache is the only copy of their contents.
 *
 * A page comes into being, zeroed, when it is first touched, and lives until a truncation, a hole
 * or the end of the object. It is PG_swapbacked, and counted as NR_SHMEM besides NR_FILE_PAGES.
 * With no file behind it there is nothing to write back: a shared mapping's page may be written
 * from the first, without page_mkwrite.
 *
 * When memory runs short a page that nobody maps goes to swap, and leaves its swap entry at its index:
 *
 *	i_pages[index]  page <--shmem_take_back--- ---shmem_add_to_swap--> swap entry, page in the swap cache
 */
#include <quire/mm_inline.h>
#include <quire/pagemap.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

/* Linux's internal tmpfs has an anonymous device number, 0:1 as a rule. */
#define SHMEM_DEV 1

struct inode *shmem_inode_new(struct mm_struct *mm, loff_t size, vm_flags_t flags)
{
	static atomic_long_t last_ino;
	unsigned long pages = flags & VM_NORESERVE ? 0 : ((u64)size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct inode *inode;

	if (vm_enough_memory(mm, pages))
		return ERR_PTR(-ENOMEM);
	inode = inode_alloc(INODE_SHMEM);
	if (!inode) {
		vm_unacct_memory(pages);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_committed = pages;
	inode->i_dev = SHMEM_DEV;
	inode->i_ino = (u64)atomic_long_inc_return(&last_ino);
	inode->i_size = size;
	inode->i_writable = true;
	return inode;
}

/* ---- Swap ----------------------------------------------------------------------------------- */

static LIST_HEAD(shmem_swaplist);
static spinlock_t shmem_swaplist_lock = SPINLOCK_INIT;

/* mapping->lock held. nr entries more, or fewer; where there are some, swapoff finds them. */
static void shmem_swapped(struct address_space *mapping, long nr)
{
	struct inode *inode = mapping->host;

	mapping->nrswapped += (unsigned long)nr;
	if (!list_empty(&inode->i_swaplist) == !!mapping->nrswapped)
		return;
	spin_lock(&shmem_swaplist_lock);
	if (mapping->nrswapped)
		list_add_tail(&inode->i_swaplist, &shmem_swaplist);
	else
		list_del_init(&inode->i_swaplist);
	spin_unlock(&shmem_swaplist_lock);
}

void shmem_evict_inode(struct inode *inode)
{
	BUG_ON(!list_empty(&inode->i_swaplist));
}

static void count_shmem_page(struct address_space *mapping, long nr)
{
	mapping->nrpages += (unsigned long)nr;
	mod_node_page_state(NR_FILE_PAGES, nr);
	mod_node_page_state(NR_SHMEM, nr);
}

int shmem_add_to_swap(struct page *page)
{
	struct address_space *mapping = page->mapping;
	int err;

	if (page_mapcount(page) || page_count(page) != 2 || page_maybe_pinned(page))
		return -EBUSY;
	err = add_to_swap(page);
	if (err)
		return err;
	swap_duplicate(page_swap_entry(page));
	xa_store(&mapping->i_pages, page->index, swp_to_radix_entry(page_swap_entry(page)),
		 GFP_NOWAIT); /* in the page's own place: that takes no memory */
	lru_clear_mapping(page);
	count_shmem_page(mapping, -1);
	shmem_swapped(mapping, 1);
	put_page(page);
	return 0;
}

void shmem_free_swap(struct address_space *mapping, pgoff_t index, swp_entry_t entry)
{
	xa_erase(&mapping->i_pages, index);
	shmem_swapped(mapping, -1);
	free_swap_and_cache(entry);
}

/*
 * mapping->lock held. A page of the swap cache, locked, goes back to the index it came from. The slot is
 * given up: unlike private memory, this is nobody's to be kept clean.
 */
static void shmem_take_back(struct address_space *mapping, pgoff_t index, struct page *page)
{
	wait_on_page_writeback(page);
	get_page(page);
	xa_store(&mapping->i_pages, index, page, GFP_NOWAIT);
	page->mapping = mapping;
	page->index = index;
	count_shmem_page(mapping, 1);
	shmem_swapped(mapping, -1);
	swap_free(page_swap_entry(page));
	try_to_free_swap(page);
}

/* mapping->lock held. As shmem_get_page(), of what is in swap. */
static struct page *shmem_swapin_page(struct address_space *mapping, pgoff_t index,
				      swp_entry_t entry, bool *major)
{
	struct page *page;
	bool taken = false;

	/* The allocator's own reclaim would find this object locked. */
	if (memory_is_short())
		try_to_free_pages_locked(mapping, 1);
	while (!taken) {
		page = swapin_readahead(entry, NULL, major);
		if (!page)
			return ERR_PTR(-ENOMEM);
		lock_page(page);
		taken = PageUptodate(page) && PageSwapCache(page) &&
			page_swap_entry(page).val == entry.val;
		if (taken)
			shmem_take_back(mapping, index, page);
		unlock_page(page);
		if (!PageUptodate(page)) {
			put_page(page);
			return ERR_PTR(-EIO);
		}
		if (!taken)
			put_page(page);
	}
	return page;
}

/* The object behind prev (NULL: the first) with swapped pages, with a reference; drops prev's. */
static struct inode *shmem_next_swapped(struct inode *prev)
{
	struct list_head *at;
	struct inode *inode = NULL;

	spin_lock(&shmem_swaplist_lock);
	at = prev && !list_empty(&prev->i_swaplist) ? prev->i_swaplist.next : shmem_swaplist.next;
	for (; !inode && at != &shmem_swaplist; at = at->next) {
		inode = list_entry(at, struct inode, i_swaplist);
		if (!atomic_inc_not_zero(&inode->i_count))
			inode = NULL;
	}
	spin_unlock(&shmem_swaplist_lock);
	if (prev)
		iput(prev);
	return inode;
}

static int shmem_unuse_inode(struct address_space *mapping, unsigned int type)
{
	struct page *page;
	pgoff_t index;
	bool major;

	xa_for_each(&mapping->i_pages, index, page) {
		if (!xa_is_value(page) || swp_type(radix_to_swp_entry(page)) != type)
			continue;
		page = shmem_swapin_page(mapping, index, radix_to_swp_entry(page), &major);
		if (IS_ERR(page))
			return (int)PTR_ERR(page);
		put_page(page);
	}
	return 0;
}

int shmem_unuse(unsigned int type)
{
	struct inode *inode = NULL;
	int err = 0;

	while (!err && (inode = shmem_next_swapped(inode))) {
		mutex_lock(&inode->i_data.lock);
		err = shmem_unuse_inode(&inode->i_data, type);
		mutex_unlock(&inode->i_data.lock);
	}
	if (inode)
		iput(inode);
	return err;
}

/* ---- Pages ---------------------------------------------------------------------------------- */

struct page *shmem_get_page(struct address_space *mapping, pgoff_t index, bool *major)
{
	void *entry = xa_load(&mapping->i_pages, index);
	struct page *page = entry;
	int err;

	if (unlikely(xa_is_value(entry)))
		return shmem_swapin_page(mapping, index, radix_to_swp_entry(entry), major);
	if (page) {
		get_page(page);
		return page;
	}
	page = page_cache_alloc(mapping, __GFP_ZERO);
	if (!page)
		return ERR_PTR(-ENOMEM);
	__SetPageSwapBacked(page);
	/* The allocator's own reclaim would find this object locked, which may be all that there is. */
	err = add_to_page_cache(page, mapping, index, GFP_NOWAIT);
	if (err && try_to_free_pages_locked(mapping, 1))
		err = add_to_page_cache(page, mapping, index, GFP_KERNEL);
	if (err) {
		put_page(page);
		return ERR_PTR(err);
	}
	mod_node_page_state(NR_SHMEM, 1);
	lru_cache_add(page);
	get_page(page);
	return page;
}

vm_fault_t shmem_fault(struct vm_fault *vmf)
{
	struct inode *inode = vmf->vma->vm_file->f_inode;
	struct address_space *mapping = &inode->i_data;
	struct page *page;
	bool major = false;

	mutex_lock(&mapping->lock);
	if (vmf->pgoff >= ((u64)inode->i_size + PAGE_SIZE - 1) >> PAGE_SHIFT) {
		mutex_unlock(&mapping->lock);
		return VM_FAULT_SIGBUS;
	}
	page = shmem_get_page(mapping, vmf->pgoff, &major);
	if (IS_ERR(page)) {
		mutex_unlock(&mapping->lock);
		return PTR_ERR(page) == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
	}
	vmf->page = page;
	return major ? VM_FAULT_MAJOR : 0;
}

const struct vm_operations_struct shmem_vm_ops = {
	.fault = shmem_fault,
	.map_pages = filemap_map_pages,
};
