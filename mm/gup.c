/* SPDX-License-Identifier: MIT */
/*
 * User pages for the kernel: one entry at a time, looked up and faulted in (get_locked_pte), and
 * pages pinned for I/O that goes on without any lock.
 *
 * For I/O that reads memory a reference will do: whoever writes a private page meanwhile gets a copy.
 * A pin, for I/O that writes, is a reference plus a count in _pincount. What it promises - the frame
 * stays, and the program and the I/O see the same contents - holds because a pinned private page has
 * one owner: the write fault unshares it, fork() gives the child a copy, and so nothing ever moves it.
 */
#include <quire/mm.h>

#include "ptes.h"

/* What is mapped are frames of RAM, which the kernel can reach. */
static bool vma_has_frames(const struct vm_area_struct *vma)
{
	return !(vma->vm_flags & (VM_PFNMAP | VM_IO));
}

/* As x86 has it, what may be written or executed may be read. */
bool vma_permits(const struct vm_area_struct *vma, unsigned int foll)
{
	vm_flags_t flags = vma->vm_flags;

	if (!vma_has_frames(vma))
		return false;
	if (!(foll & FOLL_FORCE))
		return flags & (foll & FOLL_WRITE ? VM_WRITE : VM_ACCESS_FLAGS);
	if (foll & FOLL_WRITE)
		return flags & VM_WRITE || is_cow_mapping(flags);
	return flags & (VM_ACCESS_FLAGS | VM_MAYREAD);
}

/* Whether the access may go through the entry as it stands. page_table_lock held. */
static bool pte_serves(const struct vm_area_struct *vma, pte_t pte, unsigned int foll)
{
	struct page *page;

	if (!pte_present(pte))
		return false;
	if (pte_write(pte) || !(foll & FOLL_WRITE))
		return true;
	page = pte_page(pte);
	return foll & FOLL_FORCE && !pte_uffd_wp(pte) && page && PageAnon(page) &&
	       !(vma->vm_flags & VM_SHARED) && page_sole_owner(page);
}

/* The OOM killer has taken, or is taking, what the program had written. page_table_lock held. */
static bool contents_are_lost(const struct vm_area_struct *vma)
{
	return mm_test_flag(vma->vm_mm, MMF_UNSTABLE) && !(vma->vm_flags & VM_SHARED);
}

pte_t *get_locked_pte(struct vm_area_struct *vma, unsigned long addr, unsigned int foll)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned int flags = FAULT_FLAG_REMOTE, tries = 0;

	if (foll & FOLL_WRITE)
		flags |= FAULT_FLAG_WRITE;
	if (foll & FOLL_UNLOCKABLE)
		flags |= FAULT_FLAG_ALLOW_RETRY;
	for (;;) {
		vm_fault_t ret;
		pte_t *ptep;

		spin_lock(&mm->page_table_lock);
		if (unlikely(contents_are_lost(vma))) {
			spin_unlock(&mm->page_table_lock);
			return ERR_PTR(-EFAULT);
		}
		ptep = pte_lookup(mm, addr);
		if (ptep && pte_serves(vma, ptep_get(ptep), foll)) {
			if (foll & FOLL_WRITE)
				ptep_set_bits(ptep, _PAGE_DIRTY);
			return ptep;
		}
		spin_unlock(&mm->page_table_lock);

		ret = handle_mm_fault(vma, addr, flags);
		if (ret & VM_FAULT_OOM && pagefault_out_of_memory(tries++))
			continue;
		if (ret & VM_FAULT_ERROR)
			return ERR_PTR(ret & VM_FAULT_OOM ? -ENOMEM : -EFAULT);
		if (ret & VM_FAULT_RETRY)
			return ERR_PTR(-EAGAIN);
	}
}

/*
 * The pages of [start, end) in one VMA; how many were pinned, or an error when none was. *locked: whether
 * mmap_lock is still held.
 */
static long pin_vma_pages(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			  unsigned int foll, struct page **pages, bool *locked)
{
	struct mm_struct *mm = vma->vm_mm;
	long n = 0;

	if (!vma_permits(vma, foll))
		return -EFAULT;
	for (; start < end; start += PAGE_SIZE) {
		pte_t *ptep = get_locked_pte(vma, start, foll | FOLL_UNLOCKABLE);
		struct page *page;

		if (IS_ERR(ptep)) {
			*locked = PTR_ERR(ptep) != -EAGAIN;
			return n ? n : PTR_ERR(ptep);
		}
		page = pfn_to_page(pte_pfn(*ptep));
		get_page(page);
		if (foll & FOLL_WRITE)
			atomic_inc(&page->_pincount);
		spin_unlock(&mm->page_table_lock);
		pages[n++] = page;
	}
	return n;
}

long pin_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr, bool write,
		    struct page **pages)
{
	unsigned int foll = write ? FOLL_WRITE : 0;
	unsigned long addr = start & PAGE_MASK;
	long done = 0;

	while (done < (long)nr) {
		struct vm_area_struct *vma = lock_mm_and_find_vma(mm, addr);
		bool locked = true;
		unsigned long end;
		long n;

		if (!vma)
			return done ? done : -EFAULT;
		end = min(addr + ((nr - (unsigned long)done) << PAGE_SHIFT), vma->vm_end);
		n = pin_vma_pages(vma, addr, end, foll, pages + done, &locked);
		if (locked)
			up_read(&mm->mmap_lock);
		if (n == -EAGAIN)
			continue;
		if (n < 0)
			return done ? done : n;
		done += n;
		addr += (unsigned long)n << PAGE_SHIFT;
	}
	return done;
}

/*
 * The entries through which pages were pinned for writing are dirty, and so are the pages of files:
 * write-back leaves the mark on what is pinned.
 */
void unpin_user_pages(struct page **pages, unsigned long nr, bool write)
{
	for (unsigned long i = 0; i < nr; i++) {
		if (write)
			atomic_dec_return(&pages[i]->_pincount);
		put_page(pages[i]);
	}
}

/* Once. -EAGAIN: to be tried again. */
static struct page *try_get_user_page(struct mm_struct *mm, unsigned long uaddr, unsigned int foll)
{
	struct vm_area_struct *vma = lock_mm_and_find_vma(mm, uaddr);
	struct page *page = ERR_PTR(-EFAULT);
	pte_t *ptep;

	if (!vma)
		return page;
	if (vma_permits(vma, foll)) {
		ptep = get_locked_pte(vma, uaddr & PAGE_MASK, foll | FOLL_UNLOCKABLE);
		if (IS_ERR(ptep)) {
			page = (struct page *)ptep;
		} else {
			page = pfn_to_page(pte_pfn(*ptep));
			get_page(page);
			spin_unlock(&mm->page_table_lock);
		}
	}
	if (page != ERR_PTR(-EAGAIN))
		up_read(&mm->mmap_lock);
	return page;
}

struct page *get_user_page(struct mm_struct *mm, unsigned long uaddr, bool write)
{
	struct page *page;

	do
		page = try_get_user_page(mm, uaddr, write ? FOLL_WRITE : 0);
	while (unlikely(page == ERR_PTR(-EAGAIN)));
	return page;
}
