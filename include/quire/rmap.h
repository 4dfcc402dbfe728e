/* SPDX-License-Identifier: MIT */
/*
 * rmap.h - from a page to the page table entries that map it.
 *
 * A page of a file is found through mapping->i_mmap (mapping->lock held). An anonymous page names an
 * anon_vma, in whose tree are all VMAs that may map it:
 *
 *	page->mapping (| PAGE_MAPPING_ANON) ──> anon_vma ──rb_root──> anon_vma_chain ──> VMA
 *	page->index                                                   by [vm_pgoff, last pgoff]
 *
 * A VMA gets an anon_vma before its first private page. At fork the child's VMA enters the trees of
 * all anon_vmas that its parent's is in, for the pages that both have now, and gets one of its own
 * for the pages it will have alone:
 *
 *	            A (parent)      B (child)     C (grandchild)
 *	parent VMA     x
 *	child          x               x
 *	grandchild     x               x              x
 *
 * Each x is an anon_vma_chain, a member of the list of its VMA and of the tree of its anon_vma.
 *
 * Locks. One spinlock, in the first anon_vma of a family (root), covers all trees of the family and the
 * bounds of the VMAs in them. Order: mapping->lock, root->lock, page_table_lock. Lists of a VMA change
 * under its mmap_lock held for writing, or, from none to one member, under page_table_lock too.
 */
#ifndef QUIRE_RMAP_H
#define QUIRE_RMAP_H

#include <quire/mm.h>

struct anon_vma {
	struct anon_vma *root; /* never changes */
	struct anon_vma *parent; /* a root is its own */
	spinlock_t lock; /* of a root: all trees of the family */
	atomic_t refcount; /* one while there are VMAs; walks; of a root: the rest of the family */
	/* root->lock held. An anon_vma without VMAs of its own may serve another one: see fork. */
	unsigned long num_children; /* whose parent it is; a root counts itself */
	unsigned long num_active_vmas; /* whose vma->anon_vma it is */
	struct rb_root_cached rb_root;
};

struct anon_vma_chain {
	struct vm_area_struct *vma;
	struct anon_vma *anon_vma;
	struct list_head same_vma; /* in vma->anon_vma_chain */
	struct interval_tree_node rb; /* in anon_vma->rb_root */
};

void anon_vma_init(void); /* boot, called by proc_caches_init() */

/* ---- Families: mmap_lock held for writing unless said otherwise ----------------------------- */

/*
 * mmap_lock held (any mode), page_table_lock not. To be called before a private page is put into the
 * VMA; whether a VMA has had one also decides how it merges and moves. May sleep. 0 or -ENOMEM.
 */
int __anon_vma_prepare(struct vm_area_struct *vma);
static inline int anon_vma_prepare(struct vm_area_struct *vma)
{
	if (__builtin_expect(smp_load_acquire(&vma->anon_vma) != NULL, 1))
		return 0;
	return __anon_vma_prepare(vma);
}
/* dst, of the same mm and without an anon_vma, may get pages of src: split and move. 0, -ENOMEM. */
int anon_vma_clone(struct vm_area_struct *dst, struct vm_area_struct *src);
/* dst is the copy of src in a child. 0 or -ENOMEM. */
int anon_vma_fork(struct vm_area_struct *dst, struct vm_area_struct *src);
/* No entry of the VMA maps a private page any more. */
void unlink_anon_vmas(struct vm_area_struct *vma);
/* Around a change of bounds: takes and gives root->lock, if the VMA has an anon_vma. */
void anon_vma_pre_update(struct vm_area_struct *vma);
void anon_vma_post_update(struct vm_area_struct *vma);
/* The VMA's pages may be its parent's, too. */
static inline bool vma_has_parents(const struct vm_area_struct *vma)
{
	return vma->anon_vma && !list_is_singular(&vma->anon_vma_chain);
}

static inline void anon_vma_lock(struct anon_vma *anon_vma)
{
	spin_lock(&anon_vma->root->lock);
}
static inline void anon_vma_unlock(struct anon_vma *anon_vma)
{
	spin_unlock(&anon_vma->root->lock);
}
static inline struct anon_vma *page_anon_vma(const struct page *page)
{
	unsigned long mapping = (unsigned long)READ_ONCE(page->mapping);

	return mapping & PAGE_MAPPING_ANON ? (struct anon_vma *)(mapping - PAGE_MAPPING_ANON)
					   : NULL;
}
/* The anon_vma of a mapped anonymous page to which the caller has a reference; NULL: none. */
struct anon_vma *page_get_anon_vma(struct page *page);
void put_anon_vma(struct anon_vma *anon_vma);

/* ---- Walks ---------------------------------------------------------------------------------- */

/*
 * One entry that maps the page: page_table_lock held. False ends the walk. The entry may be changed;
 * whoever takes permissions from it flushes.
 */
typedef bool rmap_one_t(struct page *page, struct vm_area_struct *vma, unsigned long addr,
			pte_t *ptep, void *arg);
/*
 * Call it for each entry. The caller has a reference to the page; for a page of a file the mapping's
 * lock is held. An anonymous page without an anon_vma (replace_page.c) is found nowhere.
 */
void rmap_walk(struct page *page, rmap_one_t *one, void *arg);
/*
 * How many entries the page was used through since the last call, which starts counting anew. *vm_flags: of
 * the VMAs that have it; with VM_LOCKED in them, perhaps not of all. Same rules as for rmap_walk().
 */
unsigned int page_referenced(struct page *page, vm_flags_t *vm_flags);
/*
 * A locked anonymous page, to which the caller has a reference, leaves all page tables; in the swap cache
 * it leaves its entry there. A page that is not PG_swapbacked must be clean and held by nobody else. Dirty
 * entries make the page dirty. Whether it is mapped nowhere now.
 */
bool try_to_unmap(struct page *page);

#endif
