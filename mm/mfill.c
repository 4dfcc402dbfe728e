/* SPDX-License-Identifier: MIT */
/*
 * What a userfaultfd monitor does to the memory of its context: fill missing pages, map what a
 * shared object holds already, protect pages against writing.
 *
 * A page is complete before an entry shows it, and it is entered only where nothing is: a program sees
 * either no page or the monitor's. Each page is filled on its own, and mmap_lock is given up in between;
 * its contents are copied without any lock, since the source may have to be faulted in.
 */
#include <quire/err.h>
#include <quire/fs.h>
#include <quire/mm_inline.h>
#include <quire/pagemap.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/userfaultfd_k.h>

#include "ptes.h"

struct mfill {
	struct userfaultfd_ctx *ctx;
	enum mfill_mode mode;
	unsigned long dst, len;
	bool wp;
};

/* ---- Where ------------------------------------------------------------------------------- */

/* mmap_lock held. One registered VMA has all of it, and may be filled so. */
static struct vm_area_struct *mfill_vma(const struct mfill *fill, unsigned long dst,
					unsigned long len)
{
	struct vm_area_struct *vma = vma_lookup(fill->ctx->mm, dst);

	if (!vma || dst + len > vma->vm_end || !vma->vm_userfaultfd_ctx)
		return ERR_PTR(-ENOENT);
	if (fill->wp && !userfaultfd_wp(vma))
		return ERR_PTR(-EINVAL);
	if (fill->mode == MFILL_ATOMIC_CONTINUE ? !vma_is_shmem(vma)
						: !vma_is_anonymous(vma) && !vma_is_shmem(vma))
		return ERR_PTR(-EINVAL);
	return vma;
}

/*
 * mmap_lock taken for reading, unless the result is an error: what the monitor has not heard of yet comes
 * first.
 */
static struct vm_area_struct *mfill_lock(const struct mfill *fill, unsigned long dst,
					 unsigned long len)
{
	struct mm_struct *mm = fill->ctx->mm;
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	if (atomic_read(&fill->ctx->mmap_changing))
		vma = ERR_PTR(-EAGAIN);
	else
		vma = mfill_vma(fill, dst, len);
	if (IS_ERR(vma))
		up_read(&mm->mmap_lock);
	return vma;
}

/* ---- One page ----------------------------------------------------------------------------- */

/*
 * An absent entry gets this one, which holds the caller's reference to page (NULL: none). anon: it becomes
 * private memory of vma.
 */
static int mfill_install_pte(const struct mfill *fill, struct vm_area_struct *vma,
			     unsigned long addr, struct page *page, bool anon, pte_t pte)
{
	struct mm_struct *mm = vma->vm_mm;
	pte_t *ptep = pte_alloc_map(mm, addr);
	struct mm_delta delta = { 0 };
	int err = 0;

	if (!ptep)
		return -ENOMEM;
	if (fill->wp)
		pte = pte_mkuffd_wp(pte);
	spin_lock(&mm->page_table_lock);
	/* Contents may take the place of a marker. */
	if (!pte_none(ptep_get(ptep)) && !(page && is_pte_marker(ptep_get(ptep)))) {
		err = -EEXIST;
	} else {
		if (anon) {
			page_init_anon(page, vma, linear_page_index(vma, addr));
			lru_cache_add(page);
		}
		if (page)
			page_add_rmap(page, &delta);
		set_pte(ptep, pte);
		mm_delta_add(mm, &delta);
	}
	spin_unlock(&mm->page_table_lock);
	return err;
}

/* Nothing but the entry: any access to the page is an error from now on. */
static int mfill_poison(const struct mfill *fill, struct vm_area_struct *vma, unsigned long addr)
{
	return mfill_install_pte(fill, vma, addr, NULL, false, make_pte_marker(_PAGE_POISON));
}

/* The entry for a page that is filled in. A page of the object is written only where it is shared. */
static pte_t mfill_pte(const struct vm_area_struct *vma, struct page *page, bool cached)
{
	pte_t pte = pte_mkdirty(pfn_pte(page_to_pfn(page), vm_get_page_prot(vma->vm_flags)));

	if (cached && !(vma->vm_flags & VM_SHARED))
		return pte_mkclean(pte_wrprotect(pte));
	return vma->vm_flags & VM_WRITE ? pte_mkwrite(pte) : pte;
}

static pgoff_t mapping_pages(const struct address_space *mapping)
{
	return ((u64)mapping->host->i_size + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* Private memory. page: a new one, whose reference is consumed on success. */
static int mfill_anon(const struct mfill *fill, struct vm_area_struct *vma, unsigned long addr,
		      struct page *page)
{
	if (anon_vma_prepare(vma))
		return -ENOMEM;
	return mfill_install_pte(fill, vma, addr, page, true, mfill_pte(vma, page, false));
}

/* A view of the zero folio is enough for private memory that is to read as zeros. */
static int mfill_zero(const struct mfill *fill, struct vm_area_struct *vma, unsigned long addr)
{
	unsigned long pfn = zero_pfn + ((addr >> PAGE_SHIFT) & ((1UL << ZERO_FOLIO_ORDER) - 1));
	pte_t pte = pfn_pte(pfn, vma->vm_page_prot);

	return mfill_install_pte(fill, vma, addr, NULL, false, pte_mkspecial(pte_wrprotect(pte)));
}

/* mapping->lock held. page becomes the object's at index. */
static int shmem_enter_page(struct address_space *mapping, pgoff_t index, struct page *page)
{
	int err;

	if (shmem_has_page(mapping, index))
		return -EEXIST;
	if (mapping->host->i_kind == INODE_SHMEM)
		__SetPageSwapBacked(page);
	err = add_to_page_cache(page, mapping, index, GFP_KERNEL);
	if (err)
		return err;
	if (mapping->host->i_kind == INODE_SHMEM)
		mod_node_page_state(NR_SHMEM, 1);
	else
		set_page_dirty(page);
	lru_cache_add(page);
	return 0;
}

/* mapping->lock held. page becomes the object's at the place of addr, and is mapped there. */
static int mfill_shmem_locked(const struct mfill *fill, struct vm_area_struct *vma,
			      unsigned long addr, struct page *page)
{
	struct address_space *mapping = &vma->vm_file->f_inode->i_data;
	pgoff_t index = linear_page_index(vma, addr);
	int err;

	if (index >= mapping_pages(mapping))
		return -EFAULT;
	err = shmem_enter_page(mapping, index, page);
	if (err)
		return err;
	get_page(page);
	err = mfill_install_pte(fill, vma, addr, page, false, mfill_pte(vma, page, true));
	if (err) {
		put_page(page);
		delete_from_page_cache(page);
	}
	return err;
}

static int mfill_shmem(const struct mfill *fill, struct vm_area_struct *vma, unsigned long addr,
		       struct page *page)
{
	struct address_space *mapping = &vma->vm_file->f_inode->i_data;
	int err;

	mutex_lock(&mapping->lock);
	err = mfill_shmem_locked(fill, vma, addr, page);
	mutex_unlock(&mapping->lock);
	return err;
}

/* mapping->lock held. The page that the object has at index, with a reference; -EFAULT: none. */
static struct page *mfill_existing(struct address_space *mapping, pgoff_t index)
{
	bool major;

	if (index >= mapping_pages(mapping) || !shmem_has_page(mapping, index))
		return ERR_PTR(-EFAULT);
	if (mapping->host->i_kind == INODE_SHMEM)
		return shmem_get_page(mapping, index, &major);
	return filemap_get_page(mapping, index, false, &major);
}

/* What the object holds at the place of addr is mapped there. */
static int mfill_continue(const struct mfill *fill, struct vm_area_struct *vma, unsigned long addr)
{
	struct address_space *mapping = &vma->vm_file->f_inode->i_data;
	pgoff_t index = linear_page_index(vma, addr);
	struct page *page;
	int err;

	mutex_lock(&mapping->lock);
	page = mfill_existing(mapping, index);
	if (IS_ERR(page)) {
		err = PTR_ERR(page) == -ENOMEM ? -ENOMEM : -EFAULT;
	} else {
		if (mapping->host->i_tmpfs && vma->vm_flags & VM_SHARED)
			set_page_dirty(page);
		err = mfill_install_pte(fill, vma, addr, page, false, mfill_pte(vma, page, true));
		if (err)
			put_page(page);
	}
	mutex_unlock(&mapping->lock);
	return err;
}

/* page: for COPY what is to be seen, for ZEROPAGE zeros; consumed on success. */
static int mfill_page(const struct mfill *fill, unsigned long addr, struct page *page)
{
	struct vm_area_struct *vma = mfill_lock(fill, addr, PAGE_SIZE);
	int err;

	if (IS_ERR(vma))
		return (int)PTR_ERR(vma);
	if (fill->mode == MFILL_ATOMIC_CONTINUE) {
		err = mfill_continue(fill, vma, addr);
	} else if (fill->mode == MFILL_ATOMIC_POISON) {
		err = mfill_poison(fill, vma, addr);
	} else if (vma->vm_flags & VM_SHARED) {
		err = mfill_shmem(fill, vma, addr, page);
	} else if (fill->mode == MFILL_ATOMIC_ZEROPAGE) {
		err = mfill_zero(fill, vma, addr);
		if (!err)
			put_page(page);
	} else {
		err = mfill_anon(fill, vma, addr, page);
	}
	up_read(&fill->ctx->mm->mmap_lock);
	return err;
}

static int mfill_copy_page(const struct mfill *fill, unsigned long addr, struct mm_struct *src_mm,
			   unsigned long src)
{
	struct page *page =
		alloc_page(GFP_ANON | (fill->mode == MFILL_ATOMIC_COPY ? 0 : __GFP_ZERO));
	int err;

	if (!page)
		return -ENOMEM;
	if (fill->mode == MFILL_ATOMIC_COPY &&
	    copy_from_mm(src_mm, page_address(page), src, PAGE_SIZE))
		err = -EFAULT;
	else
		err = mfill_page(fill, addr, page);
	if (err)
		put_page(page);
	return err;
}

long mfill_atomic(struct userfaultfd_ctx *ctx, enum mfill_mode mode, unsigned long dst,
		  struct mm_struct *src_mm, unsigned long src, unsigned long len, bool wp)
{
	const struct mfill fill = { ctx, mode, dst, len, wp };
	struct vm_area_struct *vma = mfill_lock(&fill, dst, len);
	unsigned long done;
	int err = 0;

	if (IS_ERR(vma))
		return PTR_ERR(vma);
	up_read(&ctx->mm->mmap_lock);
	for (done = 0; !err && done < len; done += err ? 0 : PAGE_SIZE) {
		if (mode == MFILL_ATOMIC_CONTINUE || mode == MFILL_ATOMIC_POISON)
			err = mfill_page(&fill, dst + done, NULL);
		else
			err = mfill_copy_page(&fill, dst + done, src_mm, src + done);
		if (!err && machine_is_dying())
			err = -EINTR;
	}
	return done ? (long)done : err;
}

/* ---- Write protection --------------------------------------------------------------------- */

/* page_table_lock held. */
static void wp_pte(pte_t *ptep, unsigned long addr, bool enable, bool markers,
		   struct tlb_hull *hull)
{
	pte_t pte = ptep_get(ptep);

	if (pte_none(pte) && enable && markers)
		set_pte(ptep, make_pte_marker(_PAGE_UFFD_WP));
	if (pte_none(pte) || (is_pte_marker(pte) && !pte_uffd_wp(pte)))
		return;
	if (is_pte_marker(pte)) {
		if (!enable)
			set_pte(ptep, __pte(0));
		return;
	}
	if (!enable) {
		ptep_clear_bits(ptep, _PAGE_UFFD_WP);
		return;
	}
	if (pte_present(pte) && pte_young(pte) && pte_write(pte) && pte_dirty(pte))
		tlb_hull_add(hull, addr, TLB_FLUSH_WRITE);
	/* Of an entry of swap, too, it is the mark that counts when the page comes back. */
	if (pte_present(pte))
		ptep_clear_bits(ptep, _PAGE_RW);
	ptep_set_bits(ptep, _PAGE_UFFD_WP);
}

/* Tables for what is to be marked in them. */
static int alloc_tables(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	for (; start < end; start = pmd_addr_end(start, end))
		if (!pte_alloc_map(mm, start))
			return -ENOMEM;
	return 0;
}

int uffd_wp_range(struct vm_area_struct *vma, unsigned long start, unsigned long end, bool enable)
{
	bool markers = enable && userfaultfd_wp_use_markers(vma);
	struct mm_struct *mm = vma->vm_mm;
	struct tlb_hull hull = TLB_HULL_NONE;
	unsigned long addr = start;
	pte_t *ptep;

	if (markers && alloc_tables(mm, start, end))
		return -ENOMEM;
	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, end))) {
		unsigned long next = pmd_addr_end(addr, end);

		for (; addr < next; addr += PAGE_SIZE)
			wp_pte(ptep++, addr, enable, markers, &hull);
	}
	tlb_hull_flush(mm, &hull);
	spin_unlock(&mm->page_table_lock);
	return 0;
}

int mwriteprotect_range(struct userfaultfd_ctx *ctx, unsigned long start, unsigned long len,
			bool enable)
{
	struct mm_struct *mm = ctx->mm;
	unsigned long end = start + len;
	struct vm_area_struct *vma;
	int err = -ENOENT;

	down_read(&mm->mmap_lock);
	if (atomic_read(&ctx->mmap_changing)) {
		up_read(&mm->mmap_lock);
		return -EAGAIN;
	}
	for (vma = find_vma_intersection(mm, start, end); vma && vma->vm_start < end;
	     vma = vma_next(vma)) {
		err = userfaultfd_wp(vma) ? 0 : -ENOENT;
		if (!err)
			err = uffd_wp_range(vma, max(start, vma->vm_start), min(end, vma->vm_end),
					    enable);
		if (err)
			break;
	}
	up_read(&mm->mmap_lock);
	return err;
}
