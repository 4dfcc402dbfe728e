/* SPDX-License-Identifier: MIT */
/*
 * anon_vma.c - families of VMAs that may share anonymous pages (rmap.h has the picture).
 *
 * Invariants, under root->lock:
 *   - a page that an entry of VMA V maps names an anon_vma in V's list, or none. So every entry of a
 *     page is in some VMA of the tree that the page names.
 *   - VMAs of one mm with the same vma->anon_vma have lists of the same anon_vmas.
 *   - the tree of an anon_vma has all VMAs of the trees of its descendants: it empties after theirs.
 *
 * Forks. A list as long as the line of ancestors would make a line of n processes cost n * n. Two
 * rules bound it. An anon_vma whose own VMAs are gone and that has one child at most is given to the next
 * child of the line: where parents end before their children fork, lists stay short. And beyond
 * ANON_VMA_DEPTH a child shares its parent's: its pages are looked for in more VMAs, that is all.
 *
 * Life. The VMAs of a tree together hold one reference. A walk comes from a page that says nothing about
 * the life of the anon_vma it names, but as long as it is mapped there is a VMA that holds it: so
 * references are taken by who sees page_mapcount() under anon_vma_ref_lock, where they are dropped, too.
 */
#include <quire/rmap.h>
#include <quire/slab.h>

#include "vma.h"

#define ANON_VMA_DEPTH 16

static struct kmem_cache *anon_vma_cachep;
static struct kmem_cache *anon_vma_chain_cachep;
static spinlock_t anon_vma_ref_lock = SPINLOCK_INIT;

void anon_vma_init(void)
{
	anon_vma_cachep =
		kmem_cache_create("anon_vma", sizeof(struct anon_vma), 0, SLAB_PANIC, NULL);
	anon_vma_chain_cachep = kmem_cache_create("anon_vma_chain", sizeof(struct anon_vma_chain),
						  0, SLAB_PANIC, NULL);
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* A root of its own, until a fork says otherwise. */
static struct anon_vma *anon_vma_alloc(void)
{
	struct anon_vma *anon_vma = kmem_cache_zalloc(anon_vma_cachep, GFP_KERNEL);

	if (!anon_vma)
		return NULL;
	anon_vma->root = anon_vma->parent = anon_vma;
	anon_vma->num_children = 1;
	anon_vma->rb_root = RB_ROOT_CACHED;
	spin_lock_init(&anon_vma->lock);
	atomic_set(&anon_vma->refcount, 1);
	return anon_vma;
}

void put_anon_vma(struct anon_vma *anon_vma)
{
	struct anon_vma *root = anon_vma->root;
	bool last;

	spin_lock(&anon_vma_ref_lock);
	last = atomic_dec_and_test(&anon_vma->refcount);
	spin_unlock(&anon_vma_ref_lock);
	if (!last)
		return;
	kmem_cache_free(anon_vma_cachep, anon_vma);
	if (root != anon_vma)
		put_anon_vma(root);
}

struct anon_vma *page_get_anon_vma(struct page *page)
{
	struct anon_vma *anon_vma = NULL;

	spin_lock(&anon_vma_ref_lock);
	if (page_mapcount(page) > 0)
		anon_vma = page_anon_vma(page);
	if (anon_vma)
		atomic_inc(&anon_vma->refcount);
	spin_unlock(&anon_vma_ref_lock);
	return anon_vma;
}

/* ---- Lists and trees ------------------------------------------------------------------------ */

static void avc_tree_insert(struct anon_vma_chain *avc)
{
	avc->rb.start = avc->vma->vm_pgoff;
	avc->rb.last = avc->vma->vm_pgoff + vma_pages(avc->vma) - 1;
	interval_tree_insert(&avc->rb, &avc->anon_vma->rb_root);
}

/* root->lock held. Among VMAs that begin alike the newest comes last: a walk meets the parent first. */
static void avc_link(struct vm_area_struct *vma, struct anon_vma_chain *avc,
		     struct anon_vma *anon_vma)
{
	avc->vma = vma;
	avc->anon_vma = anon_vma;
	list_add_tail(&avc->same_vma, &vma->anon_vma_chain);
	avc_tree_insert(avc);
}

static struct anon_vma_chain *avc_alloc(void)
{
	return kmem_cache_alloc(anon_vma_chain_cachep, GFP_KERNEL);
}

static void avc_free_list(struct list_head *list)
{
	struct anon_vma_chain *avc, *next;

	list_for_each_entry_safe(avc, next, list, same_vma)
		kmem_cache_free(anon_vma_chain_cachep, avc);
}

/* As many as the list of src has, and `more`. False: no memory, none. */
static bool avc_alloc_list(struct list_head *list, const struct vm_area_struct *src,
			   unsigned int more)
{
	const struct list_head *link;
	struct anon_vma_chain *avc;

	INIT_LIST_HEAD(list);
	list_for_each(link, &src->anon_vma_chain)
		more++;
	for (; more; more--) {
		avc = avc_alloc();
		if (!avc) {
			avc_free_list(list);
			return false;
		}
		list_add(&avc->same_vma, list);
	}
	return true;
}

static struct anon_vma_chain *avc_take(struct list_head *list)
{
	struct anon_vma_chain *avc = list_first_entry(list, struct anon_vma_chain, same_vma);

	list_del(&avc->same_vma);
	return avc;
}

/* root->lock held. dst enters every tree that src is in. */
static void avc_link_all(struct vm_area_struct *dst, const struct vm_area_struct *src,
			 struct list_head *spare)
{
	struct anon_vma_chain *avc;

	list_for_each_entry(avc, &src->anon_vma_chain, same_vma)
		avc_link(dst, avc_take(spare), avc->anon_vma);
}

void anon_vma_pre_update(struct vm_area_struct *vma)
{
	struct anon_vma_chain *avc;

	if (!vma->anon_vma)
		return;
	anon_vma_lock(vma->anon_vma);
	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma)
		interval_tree_remove(&avc->rb, &avc->anon_vma->rb_root);
}

void anon_vma_post_update(struct vm_area_struct *vma)
{
	struct anon_vma_chain *avc;

	if (!vma->anon_vma)
		return;
	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma)
		avc_tree_insert(avc);
	anon_vma_unlock(vma->anon_vma);
}

/* ---- The first private page ----------------------------------------------------------------- */

/* That of a neighbour with which the VMA might merge some day: it must not come to fail for this. */
static struct anon_vma *find_mergeable_anon_vma(struct vm_area_struct *vma)
{
	struct vm_area_struct *next = vma_next(vma), *prev = vma_prev(vma);
	struct anon_vma *anon_vma = NULL;

	if (next && anon_vma_compatible(vma, next) && !vma_has_parents(next))
		anon_vma = next->anon_vma;
	if (!anon_vma && prev && anon_vma_compatible(prev, vma) && !vma_has_parents(prev))
		anon_vma = prev->anon_vma;
	return anon_vma;
}

int __anon_vma_prepare(struct vm_area_struct *vma)
{
	struct anon_vma_chain *avc = avc_alloc();
	struct anon_vma *fresh = anon_vma_alloc(), *anon_vma;
	struct mm_struct *mm = vma->vm_mm;
	bool used = false;

	if (!avc || !fresh)
		goto out;
	/* Other threads may do the same to this VMA and its neighbours; none of them can vanish. */
	spin_lock(&mm->page_table_lock);
	anon_vma = find_mergeable_anon_vma(vma);
	spin_unlock(&mm->page_table_lock);
	if (!anon_vma)
		anon_vma = fresh;

	anon_vma_lock(anon_vma);
	spin_lock(&mm->page_table_lock);
	if (!vma->anon_vma) {
		avc_link(vma, avc, anon_vma);
		anon_vma->num_active_vmas++;
		smp_store_release(&vma->anon_vma, anon_vma);
		used = true;
	}
	spin_unlock(&mm->page_table_lock);
	anon_vma_unlock(anon_vma);
	if (used) {
		avc = NULL;
		fresh = anon_vma == fresh ? NULL : fresh;
	}
out:
	if (avc)
		kmem_cache_free(anon_vma_chain_cachep, avc);
	if (fresh)
		put_anon_vma(fresh);
	return vma->anon_vma ? 0 : -ENOMEM;
}

/* ---- Split, move, fork, end ----------------------------------------------------------------- */

int anon_vma_clone(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	struct list_head spare;

	if (!src->anon_vma)
		return 0;
	if (!avc_alloc_list(&spare, src, 0))
		return -ENOMEM;
	anon_vma_lock(src->anon_vma);
	avc_link_all(dst, src, &spare);
	dst->anon_vma = src->anon_vma;
	dst->anon_vma->num_active_vmas++;
	anon_vma_unlock(src->anon_vma);
	return 0;
}

/* root->lock held. One of src's ancestors that serves nobody any more, or NULL. */
static struct anon_vma *find_reusable(const struct vm_area_struct *src)
{
	struct anon_vma_chain *avc;
	unsigned int depth = 0;

	list_for_each_entry(avc, &src->anon_vma_chain, same_vma) {
		const struct anon_vma *anon_vma = avc->anon_vma;

		if (!anon_vma->num_active_vmas && anon_vma->num_children < 2)
			return avc->anon_vma;
		depth++;
	}
	return depth < ANON_VMA_DEPTH ? NULL : src->anon_vma;
}

/* root->lock held. A new member of the family, for dst alone. */
static void anon_vma_adopt(struct vm_area_struct *dst, struct anon_vma *child,
			   struct anon_vma *parent, struct anon_vma_chain *avc)
{
	child->root = parent->root;
	child->parent = parent;
	child->num_children = 0;
	parent->num_children++;
	atomic_inc(&parent->root->refcount);
	avc_link(dst, avc, child);
	dst->anon_vma = child;
}

int anon_vma_fork(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	struct list_head spare;
	struct anon_vma *fresh;

	if (!src->anon_vma)
		return 0;
	if (!avc_alloc_list(&spare, src, 1))
		return -ENOMEM;
	fresh = anon_vma_alloc();
	if (!fresh) {
		avc_free_list(&spare);
		return -ENOMEM;
	}
	anon_vma_lock(src->anon_vma);
	avc_link_all(dst, src, &spare);
	dst->anon_vma = find_reusable(src);
	if (!dst->anon_vma) {
		anon_vma_adopt(dst, fresh, src->anon_vma, avc_take(&spare));
		fresh = NULL;
	}
	dst->anon_vma->num_active_vmas++;
	anon_vma_unlock(src->anon_vma);
	avc_free_list(&spare);
	if (fresh)
		put_anon_vma(fresh);
	return 0;
}

void unlink_anon_vmas(struct vm_area_struct *vma)
{
	struct anon_vma *anon_vma = vma->anon_vma;
	struct anon_vma_chain *avc, *next;

	if (!anon_vma)
		return;
	anon_vma_lock(anon_vma);
	list_for_each_entry(avc, &vma->anon_vma_chain, same_vma) {
		struct anon_vma *member = avc->anon_vma;

		interval_tree_remove(&avc->rb, &member->rb_root);
		if (rb_first_cached(&member->rb_root))
			avc->anon_vma = NULL;
		else
			member->parent->num_children--;
	}
	anon_vma->num_active_vmas--;
	vma->anon_vma = NULL;
	anon_vma_unlock(anon_vma);

	/* Those whose last VMA this was go, now that nothing of them is needed: the lock is in one. */
	list_for_each_entry_safe(avc, next, &vma->anon_vma_chain, same_vma) {
		if (avc->anon_vma)
			put_anon_vma(avc->anon_vma);
		kmem_cache_free(anon_vma_chain_cachep, avc);
	}
	INIT_LIST_HEAD(&vma->anon_vma_chain);
}
