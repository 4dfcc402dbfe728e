/* SPDX-License-Identifier: MIT */
/*
 * msync.c - what was written through shared file mappings reaches the file.
 *
 * MS_ASYNC and MS_INVALIDATE have nothing to do: the page cache is one, and write-back comes by
 * itself. Holes are passed over and reported at the end.
 */
#include <quire/err.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/pagemap.h>

#include "vma.h"

/* Write back what vma shows in [start, end). mmap_lock, held for reading, is let go. */
static int sync_vma(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct file *file = get_file(vma->vm_file);
	pgoff_t first = linear_page_index(vma, start);
	pgoff_t last = linear_page_index(vma, end - PAGE_SIZE);
	int err, wb_err;

	up_read(&vma->vm_mm->mmap_lock);
	err = filemap_write_and_wait_range(&file->f_inode->i_data, first, last);
	wb_err = file_check_wb_err(file);
	if (!err && file->f_inode->i_blkdev)
		err = machine_block_flush(file->f_inode->i_blkdev);
	fput(file);
	return err ? err : wb_err;
}

int do_msync(struct mm_struct *mm, unsigned long start, size_t len, int flags)
{
	int err = 0, hole = 0;
	unsigned long end;

	if (flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || !PAGE_ALIGNED(start) ||
	    (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	end = start + PAGE_ALIGN(len);
	if (end < start)
		return -ENOMEM;

	while (start < end) {
		struct vm_area_struct *vma;
		unsigned long stop;

		down_read(&mm->mmap_lock);
		vma = find_vma_intersection(mm, start, end);
		if (!vma || (vma->vm_start > start && flags == MS_ASYNC))
			err = -ENOMEM;
		else if (flags & MS_INVALIDATE && vma->vm_flags & VM_LOCKED)
			err = -EBUSY;
		if (err) {
			up_read(&mm->mmap_lock);
			return err;
		}
		if (vma->vm_start > start) {
			start = vma->vm_start;
			hole = -ENOMEM;
		}
		stop = min(vma->vm_end, end);
		if (flags & MS_SYNC && vma->vm_file && vma->vm_flags & VM_SHARED)
			err = sync_vma(vma, start, stop);
		else
			up_read(&mm->mmap_lock);
		if (err)
			return err;
		start = stop;
	}
	return hole;
}
