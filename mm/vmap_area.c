/* SPDX-License-Identifier: MIT */
/*
 * The addresses of vmalloc space: who has which, and which are free.
 *
 *	      alloc_vmap_area()         unlink, free_vmap_area()        purge: flush, merge
 *	free ------------------> in use ------------------> waiting ------------------> free
 *
 * The free ranges are a tree by address, no two of them adjacent. Each node knows the largest range
 * of its subtree, so that the lowest range that is large enough is found in one way down:
 *
 *	             [40,60) max 30
 *	            /              \
 *	   [10,15) max 5        [70,100) max 30         20 bytes: not on the left; here
 *
 * Freed addresses may still be in a TLB, whose flush on every CPU costs more than all else. So they
 * wait until there are many of them, and one flush is for all: lazy_max_pages(), or when no free
 * range is found. Their frames have been freed long before. The page tables that served them alone
 * are freed then, too, which is why a purge takes a range and its free neighbours out of the tree
 * before it returns them as one.
 *
 * Invariant: no address is in the free tree that any TLB has a translation of.
 *
 * Locking: vmap_area_lock, which only the slab allocator's locks nest in, for the trees and the list. vmap_purge_lock, a mutex, is held by
 * who purges, and by who looks once more after a failure, so that he does not miss ranges that a
 * purge has in its hands.
 */
#include <quire/errno.h>
#include <quire/mm.h>
#include <quire/slab.h>
#include <quire/string.h>

#include "vmap_area.h"

#define LAZY_BYTES (32UL << 20) /* for one CPU; with more it rises as their logarithm */

unsigned long vmalloc_base, vmalloc_bytes;

static struct kmem_cache *vmap_area_cachep;
static spinlock_t vmap_area_lock;
static struct mutex vmap_purge_lock;
static struct rb_root free_root, busy_root, purge_root;
static unsigned long lazy_pages;
/* One free range has this node, so that a space of which nothing is in use has no other. */
static struct vmap_area static_area;
static bool static_area_used;

/* ---- The tree of free ranges: vmap_area_lock held ------------------------------------------ */

static struct vmap_area *area_of(struct rb_node *rb)
{
	return rb_entry_safe(rb, struct vmap_area, rb_node);
}

static unsigned long va_size(const struct vmap_area *va)
{
	return va->va_end - va->va_start;
}

static unsigned long subtree_max(struct rb_node *rb)
{
	return rb ? area_of(rb)->subtree_max_size : 0;
}

static unsigned long compute_max(const struct vmap_area *va)
{
	return max(va_size(va),
		   max(subtree_max(va->rb_node.rb_left), subtree_max(va->rb_node.rb_right)));
}

static void propagate(struct rb_node *rb, struct rb_node *stop)
{
	for (; rb != stop; rb = rb_parent(rb)) {
		struct vmap_area *va = area_of(rb);
		unsigned long most = compute_max(va);

		if (most == va->subtree_max_size)
			break;
		va->subtree_max_size = most;
	}
}

static void copy_max(struct rb_node *old, struct rb_node *fresh)
{
	area_of(fresh)->subtree_max_size = area_of(old)->subtree_max_size;
}

static void rotate_max(struct rb_node *old, struct rb_node *fresh)
{
	copy_max(old, fresh);
	area_of(old)->subtree_max_size = compute_max(area_of(old));
}

static const struct rb_augment_callbacks free_callbacks = {
	.propagate = propagate,
	.copy = copy_max,
	.rotate = rotate_max,
};

/* Where an area that begins at start belongs. */
static struct rb_node **find_link(struct rb_root *root, unsigned long start,
				  struct rb_node **parent)
{
	struct rb_node **link = &root->rb_node;

	*parent = NULL;
	while (*link) {
		*parent = *link;
		link = start < area_of(*parent)->va_start ? &(*parent)->rb_left
							  : &(*parent)->rb_right;
	}
	return link;
}

static void insert_area(struct vmap_area *va, struct rb_root *root)
{
	struct rb_node *parent, **link = find_link(root, va->va_start, &parent);

	rb_link_node(&va->rb_node, parent, link);
	rb_insert_color(&va->rb_node, root);
}

static void insert_free(struct vmap_area *va)
{
	struct rb_node *parent, **link = find_link(&free_root, va->va_start, &parent);

	va->subtree_max_size = va_size(va);
	rb_link_node(&va->rb_node, parent, link);
	propagate(parent, NULL);
	rb_insert_augmented(&va->rb_node, &free_root, &free_callbacks);
}

static void erase_free(struct vmap_area *va)
{
	rb_erase_augmented(&va->rb_node, &free_root, &free_callbacks);
}

/* The size has changed in its place. */
static void resized_free(struct vmap_area *va)
{
	propagate(&va->rb_node, NULL);
}

static bool fits(const struct vmap_area *va, unsigned long size, unsigned long align)
{
	unsigned long start = ALIGN(va->va_start, align);

	return start >= va->va_start && start <= va->va_end && va->va_end - start >= size;
}

/*
 * The lowest range that fits. A subtree is entered only if it has a range of the size; where
 * alignment spoils that range, the search goes on behind it.
 */
static struct vmap_area *find_lowest(struct rb_node *rb, unsigned long size, unsigned long align)
{
	struct rb_node *from;

	while (rb && subtree_max(rb) >= size) {
		if (subtree_max(rb->rb_left) >= size) {
			rb = rb->rb_left;
			continue;
		}
		for (;;) {
			if (fits(area_of(rb), size, align))
				return area_of(rb);
			if (subtree_max(rb->rb_right) >= size) {
				rb = rb->rb_right;
				break;
			}
			do {
				from = rb;
				rb = rb_parent(rb);
			} while (rb && from == rb->rb_right);
			if (!rb)
				return NULL;
		}
	}
	return NULL;
}

/* The node is in no tree. */
static void free_node(struct vmap_area *va)
{
	if (va == &static_area)
		static_area_used = false;
	else
		kmem_cache_free(vmap_area_cachep, va);
}

/*
 * Cut [start, end) out of a free range. What is left on its right needs a node of its own if something is
 * left on the left, too: *spare, which is NULL then. A node that is not needed any more becomes *spare.
 */
static void cut_free(struct vmap_area *va, unsigned long start, unsigned long end,
		     struct vmap_area **spare)
{
	struct vmap_area *right = *spare;

	if (va->va_start == start && va->va_end == end) {
		erase_free(va);
		free_node(va);
	} else if (va->va_start == start) {
		va->va_start = end;
		resized_free(va);
	} else if (va->va_end == end) {
		va->va_end = start;
		resized_free(va);
	} else {
		right->va_start = end;
		right->va_end = va->va_end;
		va->va_end = start;
		resized_free(va);
		insert_free(right);
		*spare = NULL;
	}
}

/* ---- Purging -------------------------------------------------------------------------------- */

static unsigned long lazy_max_pages(void)
{
	return (unsigned long)fls64(machine_nr_cpus()) * (LAZY_BYTES >> PAGE_SHIFT);
}

/* The free range beside va, out of the tree; NULL: what is there is not free. */
static struct vmap_area *take_neighbour(const struct vmap_area *va, bool left)
{
	struct rb_node *rb = free_root.rb_node;

	while (rb) {
		struct vmap_area *at = area_of(rb);

		if (left ? at->va_end == va->va_start : at->va_start == va->va_end) {
			erase_free(at);
			return at;
		}
		rb = va->va_start < at->va_start ? rb->rb_left : rb->rb_right;
	}
	return NULL;
}

/* No TLB has anything of it. Its tables go, and it is free, with its neighbours as one range. */
static void purge_area(struct vmap_area *va)
{
	unsigned long start = va->va_start, end = va->va_end;
	struct vmap_area *left, *right;

	spin_lock(&vmap_area_lock);
	left = take_neighbour(va, true);
	if (left)
		va->va_start = left->va_start;
	right = take_neighbour(va, false);
	if (right)
		va->va_end = right->va_end;
	if (left)
		free_node(left);
	if (right)
		free_node(right);
	if (!static_area_used) {
		static_area_used = true;
		static_area = *va;
		free_node(va);
		va = &static_area;
	}
	spin_unlock(&vmap_area_lock);

	free_pgd_range(&init_mm, start, end, va->va_start == VMALLOC_START ? 0 : va->va_start,
		       va->va_end == VMALLOC_END ? 0 : va->va_end);
	spin_lock(&vmap_area_lock);
	insert_free(va);
	spin_unlock(&vmap_area_lock);
}

#define FLUSH_RANGES 64

/*
 * From *rb on, as many ranges as one flush takes, areas side by side as one; *rb is moved up. Only what
 * is waiting: on some machines areas in use in between would have to be mapped again.
 */
static unsigned int gather_ranges(struct rb_node **rb, struct machine_range *ranges)
{
	unsigned int nr = 0;

	for (; *rb; *rb = rb_next(*rb)) {
		struct vmap_area *va = area_of(*rb);

		if (nr && ranges[nr - 1].end == va->va_start) {
			ranges[nr - 1].end = va->va_end;
			continue;
		}
		if (nr == FLUSH_RANGES)
			break;
		ranges[nr].start = va->va_start;
		ranges[nr++].end = va->va_end;
	}
	return nr;
}

/* vmap_purge_lock held. */
static void purge_vmap_areas(void)
{
	struct machine_range ranges[FLUSH_RANGES];
	struct rb_root waiting;
	struct rb_node *rb;
	unsigned int nr;

	spin_lock(&vmap_area_lock);
	waiting = purge_root;
	purge_root = RB_ROOT;
	lazy_pages = 0;
	spin_unlock(&vmap_area_lock);

	rb = rb_first(&waiting);
	while ((nr = gather_ranges(&rb, ranges)))
		machine_tlb_flush_kernel(ranges, nr);
	while ((rb = rb_first(&waiting))) {
		rb_erase(rb, &waiting);
		purge_area(area_of(rb));
	}
}

void vm_unmap_aliases(void)
{
	mutex_lock(&vmap_purge_lock);
	purge_vmap_areas();
	mutex_unlock(&vmap_purge_lock);
}

void free_vmap_area(struct vmap_area *va)
{
	bool many;

	spin_lock(&vmap_area_lock);
	insert_area(va, &purge_root);
	lazy_pages += va_size(va) >> PAGE_SHIFT;
	many = lazy_pages > min(lazy_max_pages(), vmalloc_bytes / 4 >> PAGE_SHIFT);
	spin_unlock(&vmap_area_lock);
	if (many && mutex_trylock(&vmap_purge_lock)) {
		purge_vmap_areas();
		mutex_unlock(&vmap_purge_lock);
	}
}

/* ---- Areas in use --------------------------------------------------------------------------- */

static bool place_area(struct vmap_area *va, unsigned long size, unsigned long align,
		       struct vmap_area **spare)
{
	struct vmap_area *space;

	spin_lock(&vmap_area_lock);
	space = find_lowest(free_root.rb_node, size, align);
	if (space) {
		va->va_start = ALIGN(space->va_start, align);
		va->va_end = va->va_start + size;
		cut_free(space, va->va_start, va->va_end, spare);
		insert_area(va, &busy_root);
	}
	spin_unlock(&vmap_area_lock);
	return space;
}

struct vmap_area *alloc_vmap_area(unsigned long size, unsigned long align, struct vm_struct *vm)
{
	struct vmap_area *va, *spare;
	bool placed;

	if (!size || size > vmalloc_bytes)
		return NULL;
	va = kmem_cache_alloc(vmap_area_cachep, GFP_KERNEL);
	spare = kmem_cache_alloc(vmap_area_cachep, GFP_KERNEL);
	placed = false;
	if (va && spare) {
		va->vm = vm;
		placed = place_area(va, size, align, &spare);
		if (!placed) {
			mutex_lock(&vmap_purge_lock);
			purge_vmap_areas();
			placed = place_area(va, size, align, &spare);
			mutex_unlock(&vmap_purge_lock);
		}
	}
	if (spare)
		kmem_cache_free(vmap_area_cachep, spare);
	if (va && !placed)
		kmem_cache_free(vmap_area_cachep, va);
	return placed ? va : NULL;
}

/* vmap_area_lock held. The first area in the tree that ends behind addr. */
static struct vmap_area *find_area(const struct rb_root *root, unsigned long addr)
{
	struct rb_node *rb = root->rb_node;
	struct vmap_area *found = NULL;

	while (rb) {
		struct vmap_area *va = area_of(rb);

		if (va->va_end > addr) {
			found = va;
			rb = rb->rb_left;
		} else {
			rb = rb->rb_right;
		}
	}
	return found;
}

struct vmap_area *unlink_vmap_area(unsigned long addr)
{
	struct vmap_area *va;

	spin_lock(&vmap_area_lock);
	va = find_area(&busy_root, addr);
	if (va && va->va_start == addr)
		rb_erase(&va->rb_node, &busy_root);
	else
		va = NULL;
	spin_unlock(&vmap_area_lock);
	return va;
}

/* vmap_area_lock held. */
static bool area_info(unsigned long addr, struct vmap_info *info)
{
	struct vmap_area *busy = find_area(&busy_root, addr),
			 *waiting = find_area(&purge_root, addr);
	struct vmap_area *va;

	memset(info, 0, sizeof(*info));
	va = busy && (!waiting || busy->va_start < waiting->va_start) ? busy : waiting;
	if (!va)
		return false;
	info->start = va->va_start;
	info->end = va->va_end;
	info->unpurged = va == waiting;
	if (va == busy) {
		info->flags = va->vm->flags;
		info->nr_pages = va->vm->nr_pages;
		info->caller = va->vm->caller;
	}
	return true;
}

bool vmalloc_info(unsigned long addr, struct vmap_info *info)
{
	bool found;

	spin_lock(&vmap_area_lock);
	found = area_info(addr, info);
	spin_unlock(&vmap_area_lock);
	return found;
}

bool vmalloc_peek(unsigned long addr, struct vmap_info *info)
{
	bool found;

	/* Whoever reports a fault may have interrupted the holder. */
	if (!spin_trylock(&vmap_area_lock))
		return false;
	found = area_info(addr, info) && info->start <= addr;
	spin_unlock(&vmap_area_lock);
	return found;
}

void vmap_area_init(void)
{
	vmap_area_cachep =
		kmem_cache_create("vmap_area", sizeof(struct vmap_area), 0, SLAB_PANIC, NULL);
	spin_lock_init(&vmap_area_lock);
	mutex_init(&vmap_purge_lock);
	free_root = busy_root = purge_root = RB_ROOT;
	lazy_pages = 0;
	static_area_used = vmalloc_bytes;
	static_area.va_start = VMALLOC_START;
	static_area.va_end = VMALLOC_END;
	if (vmalloc_bytes)
		insert_free(&static_area);
}
