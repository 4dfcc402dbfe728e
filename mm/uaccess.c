/* SPDX-License-Identifier: MIT */
/*
 * The kernel's access to user memory: short copies of the caller's own by way of the MMU, as far as it goes;
 * the rest by way of the tables and the direct map.
 *
 * Each page is read or written under page_table_lock, so that it neither goes away nor changes hands
 * meanwhile and no reference is taken that would look like a second owner. mmap_lock is given up at
 * every table of ptes (2 MiB), so that a long copy does not keep mmap() waiting.
 */
#include <quire/fs.h>
#include <quire/mm.h>
#include <quire/string.h>

#include "ptes.h"
#include "vma.h"

enum access_kind {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_CLEAR
};

struct user_access {
	enum access_kind kind;
	unsigned int foll;
	char *buf; /* the kernel's side; not for ACCESS_CLEAR */
	unsigned long addr; /* the user's side */
	size_t left; /* bytes */
	bool unlocked; /* mmap_lock was released in a fault: look the VMA up again */
};

static void *pte_address(pte_t pte, unsigned long addr)
{
	return (char *)__va(pte_val(pte) & PTE_PFN_MASK) + (addr & ~PAGE_MASK);
}

/* len bytes within one page. False: the page cannot be had. */
static bool access_page(struct vm_area_struct *vma, struct user_access *ua, size_t len)
{
	pte_t *ptep = get_locked_pte(vma, ua->addr & PAGE_MASK, ua->foll | FOLL_UNLOCKABLE);
	void *user;

	if (IS_ERR(ptep)) {
		ua->unlocked = PTR_ERR(ptep) == -EAGAIN;
		return false;
	}
	user = pte_address(*ptep, ua->addr);
	if (ua->kind == ACCESS_READ)
		memcpy(ua->buf, user, len);
	else if (ua->kind == ACCESS_WRITE)
		memcpy(user, ua->buf, len);
	else
		memset(user, 0, len);
	spin_unlock(&vma->vm_mm->page_table_lock);
	if (ua->buf)
		ua->buf += len;
	ua->addr += len;
	ua->left -= len;
	return true;
}

static bool vma_may_be_accessed(const struct vm_area_struct *vma, bool write)
{
	if (vma->vm_flags & VM_PFNMAP)
		return vma->vm_ops && vma->vm_ops->access &&
		       vma->vm_flags & (write ? VM_WRITE : VM_ACCESS_FLAGS);
	return vma_permits(vma, write ? FOLL_WRITE : 0);
}

/* A VMA without frames, or without this one: its own operation, if it has one. mmap_lock held. */
static bool access_special(struct vm_area_struct *vma, struct user_access *ua)
{
	bool write = ua->foll & FOLL_WRITE;
	size_t len = min(ua->left, vma->vm_end - ua->addr);
	long n;

	if (ua->kind == ACCESS_CLEAR || !vma_may_be_accessed(vma, write) || !vma->vm_ops ||
	    !vma->vm_ops->access)
		return false;
	n = vma->vm_ops->access(vma, ua->addr, ua->buf, len, write);
	if (n > 0) {
		ua->buf += n;
		ua->addr += (unsigned long)n;
		ua->left -= (size_t)n;
	}
	return n == (long)len;
}

/* As far as the VMA and the table at ua->addr go. mmap_lock held. False: it ends here. */
static bool access_vma(struct vm_area_struct *vma, struct user_access *ua)
{
	unsigned long end = pmd_addr_end(ua->addr, vma->vm_end);

	if (vma->vm_flags & VM_PFNMAP)
		return access_special(vma, ua);
	if (!vma_permits(vma, ua->foll))
		return false;
	while (ua->left && ua->addr < end) {
		size_t len = min(ua->left, PAGE_SIZE - (ua->addr & ~PAGE_MASK));

		if (!access_page(vma, ua, len))
			return ua->foll & FOLL_FORCE && access_special(vma, ua);
	}
	return true;
}

/* After access_vma(), which said `more`: whether to go on. */
static bool access_unlock(struct mm_struct *mm, struct user_access *ua, bool more)
{
	if (likely(!ua->unlocked)) {
		up_read(&mm->mmap_lock);
		return more;
	}
	ua->unlocked = false;
	return true;
}

static size_t access_mm(struct mm_struct *mm, struct user_access *ua)
{
	bool more = true;

	while (more && ua->left) {
		struct vm_area_struct *vma = lock_mm_and_find_vma(mm, ua->addr);

		if (!vma)
			break;
		more = access_unlock(mm, ua, access_vma(vma, ua));
	}
	return ua->left;
}

size_t copy_to_mm(struct mm_struct *mm, unsigned long dst, const void *src, size_t n)
{
	size_t done = machine_copy_to_user(mm, dst, src, n);
	struct user_access ua = { ACCESS_WRITE, FOLL_WRITE, (char *)src + done,
				  dst + done,	n - done,   false };

	return done == n ? 0 : access_mm(mm, &ua);
}

size_t copy_from_mm(struct mm_struct *mm, void *dst, unsigned long src, size_t n)
{
	size_t done = machine_copy_from_user(mm, dst, src, n);
	struct user_access ua = { ACCESS_READ, 0, (char *)dst + done, src + done, n - done, false };

	return done == n ? 0 : access_mm(mm, &ua);
}

size_t clear_mm(struct mm_struct *mm, unsigned long dst, size_t n)
{
	struct user_access ua = { ACCESS_CLEAR, FOLL_WRITE, NULL, dst, n, false };

	return access_mm(mm, &ua);
}

/* Where the VMA's memory ends: behind it is no page of its file. */
static unsigned long vma_backed_end(const struct vm_area_struct *vma)
{
	u64 pages;

	if (vma_is_anonymous(vma) || !vma->vm_file || vma->vm_flags & VM_PFNMAP)
		return vma->vm_end;
	pages = ((u64)READ_ONCE(vma->vm_file->f_inode->i_size) + PAGE_SIZE - 1) >> PAGE_SHIFT;
	if (pages <= vma->vm_pgoff)
		return vma->vm_start;
	return vma->vm_start + (min(pages - vma->vm_pgoff, vma_pages(vma)) << PAGE_SHIFT);
}

size_t user_access_room(struct mm_struct *mm, unsigned long addr, size_t n, bool write)
{
	unsigned long at = addr, end = addr + n;

	if (end < addr || end > mm->task_size)
		end = max(addr, mm->task_size);
	down_read(&mm->mmap_lock);
	while (at < end) {
		struct vm_area_struct *vma = find_vma(mm, at);

		if (!vma || !vma_may_be_accessed(vma, write) ||
		    (vma->vm_start > at && stack_room(vma, at & PAGE_MASK)))
			break;
		at = max(at, min(vma_backed_end(vma), end));
		if (at < min(vma->vm_end, end))
			break;
	}
	up_read(&mm->mmap_lock);
	return at - addr;
}

/* What a program itself could read on x86 although it said nothing of reading cannot be read from outside. */
static bool vma_may_be_seen(const struct vm_area_struct *vma, unsigned int foll)
{
	return foll & FOLL_FORCE || (!(vma->vm_flags & VM_PFNMAP) &&
				     vma->vm_flags & (foll & FOLL_WRITE ? VM_WRITE : VM_READ));
}

/* No stack grows for a look from outside. */
size_t access_remote_mm(struct mm_struct *mm, unsigned long addr, void *buf, size_t n, bool write,
			bool force)
{
	unsigned int foll = (write ? FOLL_WRITE : 0) | (force ? FOLL_FORCE : 0);
	struct user_access ua = { write ? ACCESS_WRITE : ACCESS_READ, foll, buf, addr, n, false };
	bool more = true;

	while (more && ua.left) {
		struct vm_area_struct *vma;

		down_read(&mm->mmap_lock);
		vma = vma_lookup(mm, ua.addr);
		more = access_unlock(mm, &ua,
				     vma && vma_may_be_seen(vma, foll) && access_vma(vma, &ua));
	}
	return n - ua.left;
}

/* Copies up to the NUL or len bytes; how many, without the NUL; *ended: there was one. */
static size_t copy_string_piece(char *dst, const char *src, size_t len, bool *ended)
{
	size_t n = strnlen(src, len);

	*ended = n < len;
	memcpy(dst, src, n + *ended);
	return n;
}

long strncpy_from_mm(struct mm_struct *mm, char *dst, unsigned long src, long max)
{
	long done = 0;
	bool ended = false;

	while (!ended && done < max) {
		unsigned long addr = src + (unsigned long)done;
		size_t len = min((size_t)(max - done), PAGE_SIZE - (addr & ~PAGE_MASK));
		struct vm_area_struct *vma = lock_mm_and_find_vma(mm, addr);
		pte_t *ptep = ERR_PTR(-EFAULT);

		if (!vma)
			return -EFAULT;
		if (vma_permits(vma, 0))
			ptep = get_locked_pte(vma, addr & PAGE_MASK, FOLL_UNLOCKABLE);
		if (ptep == ERR_PTR(-EAGAIN))
			continue;
		if (!IS_ERR(ptep)) {
			done += (long)copy_string_piece(dst + done, pte_address(*ptep, addr), len,
							&ended);
			spin_unlock(&mm->page_table_lock);
		}
		up_read(&mm->mmap_lock);
		if (IS_ERR(ptep))
			return -EFAULT;
	}
	return done;
}

long strnlen_mm(struct mm_struct *mm, unsigned long addr, long max)
{
	char piece[128];
	long done = 0;

	while (done < max) {
		long len = min(max - done, (long)sizeof(piece));
		long n = strncpy_from_mm(mm, piece, addr + (unsigned long)done, len);

		if (n < 0)
			return 0;
		done += n;
		if (n < len)
			return done + 1;
	}
	return max + 1;
}

/* Once; -EAGAIN: to be tried again. */
static int try_cmpxchg_user_u32(struct mm_struct *mm, unsigned long uaddr, u32 *old, u32 new_val)
{
	struct vm_area_struct *vma;
	int ret = -EFAULT;
	pte_t *ptep;

	if (uaddr % sizeof(u32) || !(vma = lock_mm_and_find_vma(mm, uaddr)))
		return -EFAULT;
	if (vma_permits(vma, FOLL_WRITE)) {
		ptep = get_locked_pte(vma, uaddr & PAGE_MASK, FOLL_WRITE | FOLL_UNLOCKABLE);
		if (ptep == ERR_PTR(-EAGAIN))
			return -EAGAIN;
		if (!IS_ERR(ptep)) {
			__atomic_compare_exchange_n((u32 *)pte_address(*ptep, uaddr), old, new_val,
						    false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
			spin_unlock(&mm->page_table_lock);
			ret = 0;
		}
	}
	up_read(&mm->mmap_lock);
	return ret;
}

int cmpxchg_user_u32(struct mm_struct *mm, unsigned long uaddr, u32 *old, u32 new_val)
{
	int ret;

	do
		ret = try_cmpxchg_user_u32(mm, uaddr, old, new_val);
	while (unlikely(ret == -EAGAIN));
	return ret;
}
