/* SPDX-License-Identifier: MIT */
/*
 * shmem.c - shared memory objects: inodes whose page cache is the only copy of their contents.
 *
 * A page comes into being, zeroed, when it is first touched, and lives until a truncation, a hole
 * or the end of the object. It is PG_swapbacked, and counted as NR_SHMEM besides NR_FILE_PAGES.
 * With no storage behind it there is nothing to write back: a shared mapping's page may be written
 * from the first, without page_mkwrite.
 */
#include <quire/pagemap.h>
#include <quire/vmstat.h>

/* Linux's internal tmpfs has an anonymous device number, 0:1 as a rule. */
#define SHMEM_DEV 1

struct inode *shmem_inode_new(loff_t size)
{
	static atomic_long_t last_ino;
	struct inode *inode = inode_alloc(INODE_SHMEM);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_dev = SHMEM_DEV;
	inode->i_ino = (u64)atomic_long_inc_return(&last_ino);
	inode->i_size = size;
	inode->i_writable = true;
	return inode;
}

/* mapping->lock held. The page at index, made if need be, with a reference. NULL: no memory. */
static struct page *shmem_get_page(struct address_space *mapping, pgoff_t index)
{
	struct page *page = find_get_page(mapping, index);

	if (page)
		return page;
	page = alloc_page(GFP_HIGHUSER_MOVABLE | __GFP_ZERO);
	if (!page)
		return NULL;
	__SetPageSwapBacked(page);
	if (add_to_page_cache(page, mapping, index, GFP_KERNEL)) {
		put_page(page);
		return NULL;
	}
	mod_node_page_state(NR_SHMEM, 1);
	get_page(page);
	return page;
}

vm_fault_t shmem_fault(struct vm_fault *vmf)
{
	struct inode *inode = vmf->vma->vm_file->f_inode;
	struct address_space *mapping = &inode->i_data;

	mutex_lock(&mapping->lock);
	if (vmf->pgoff >= ((u64)inode->i_size + PAGE_SIZE - 1) >> PAGE_SHIFT) {
		mutex_unlock(&mapping->lock);
		return VM_FAULT_SIGBUS;
	}
	vmf->page = shmem_get_page(mapping, vmf->pgoff);
	if (!vmf->page) {
		mutex_unlock(&mapping->lock);
		return VM_FAULT_OOM;
	}
	return 0;
}

const struct vm_operations_struct shmem_vm_ops = {
	.fault = shmem_fault,
};
