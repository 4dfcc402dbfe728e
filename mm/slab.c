/* SPDX-License-Identifier: MIT */
/*
 * SLAB: Bonwick's allocator. Slabs are on one of three lists of their node, objects pass through
 * arrays.
 *
 *	kmem_cache
 *	  cpu[n] -> array_cache of CPU n			a stack of free objects
 *	      ^ a batch |
 *	  node[i].shared -> array_cache of node i		what its CPUs give one another
 *	         .alien[j] -> array_cache			freed here, but node j's: a batch at a time
 *	         .full  .partial  .free  -> slabs
 *
 *	a slab:	|colour|free list|block|block|....|
 *
 * The free list is an array of indices: entry i names the free block after block i; page->first_free
 * is the first. So free objects hold no links. Where objects are large it lies elsewhere, in an object
 * of its own (off_slab), so that as many fit as could; page->freelist says where.
 *
 * Colour: what is left of a slab is put at its beginning, a line more of it in each slab than
 * in the one before, so that objects of different slabs do not all fall into the same lines of the
 * processor's cache.
 *
 * Locking: interrupts off for the arrays of a CPU. node.lock for the lists, the shared array and the
 * free lists of the node's slabs; a leaf but for zone->lock. alien[j].lock is node.lock's of the node whose
 * CPUs fill it: they hold one lock at a time.
 */
#ifdef CONFIG_SLAB
#include <quire/errno.h>
#include <quire/string.h>
#include <quire/vmstat.h>

#include "slab.h"

#define NO_BLOCK 0xffffu /* the end of a free list */
#define BLOCK_IN_USE 0xfffeu /* its entry while it is not on it */
#define MAX_BLOCKS 0xfffdu

#define ARRAY_MAX 120u /* entries */
#define INDEX_MAX 64u /* blocks of a slab with its free list elsewhere */
#define INDEX_BYTES (INDEX_MAX * sizeof(u16))
#define OFF_SLAB_MIN 512u /* bytes of an object, from which on it is */

struct array_cache {
	unsigned int avail;
	unsigned int limit;
	unsigned int batchcount;
	void *entry[];
};

struct kmem_cache_node {
	spinlock_t lock;
	struct list_head full, partial, free;
	unsigned long nr_slabs, nr_free_slabs;
	unsigned long free_objects; /* in slabs */
	unsigned long free_limit; /* empty slabs beyond so many objects are given back */
	unsigned int colour_next;
	struct array_cache *shared; /* NULL: one CPU, or large objects */
	struct array_cache *alien[MAX_NUMNODES]; /* NULL: its own, or no memory for it */
} __attribute__((aligned(64)));

const char slab_allocator_name[] = "SLAB, coloured, no links in free objects";

static bool is_debug(const struct kmem_cache *s)
{
	return s->flags & SLAB_DEBUG_FLAGS;
}

/* ---- Slabs ------------------------------------------------------------------------------------ */

static struct kmem_cache *array_cache_cache;
static struct kmem_cache *index_cache; /* free lists of slabs with large objects */

static u16 *free_list(const struct page *slab)
{
	return slab->freelist;
}

static void *slab_object(const struct kmem_cache *s, const struct page *slab, unsigned int i)
{
	return slab_base(slab) + i * (size_t)s->size + s->red_left;
}

static unsigned int block_index(const struct kmem_cache *s, const struct page *slab,
				const void *object)
{
	unsigned long distance =
		(unsigned long)((const char *)object - s->red_left - slab_base(slab));

	return (unsigned int)(distance / s->size);
}

static void init_blocks(struct kmem_cache *s, struct page *slab)
{
	u16 *next = free_list(slab);

	for (unsigned int i = 0; i < slab->objects; i++) {
		void *object = slab_object(s, slab, i);

		next[i] = (u16)(i + 1);
		if (is_debug(s))
			slab_debug_init(s, object);
		if (s->ctor)
			s->ctor(object);
	}
	next[slab->objects - 1] = NO_BLOCK;
	slab->first_free = 0;
	slab_forbid(slab_base(slab), (size_t)slab->objects * s->size);
}

static void *alloc_checked(struct kmem_cache *s, gfp_t gfp, int node, size_t size,
			   unsigned long caller);

/* An empty slab that nobody knows of yet; may sleep if gfp does. */
static struct page *new_slab(struct kmem_cache *s, gfp_t gfp, int node, unsigned int colour)
{
	struct page *slab;
	void *index = NULL;

	gfp &= ~(SLAB_GFP_SLOW | __GFP_MOVABLE | __GFP_COMP | __GFP_HIGHMEM);
	if (s->off_slab) {
		index = alloc_checked(index_cache, gfp, NUMA_NO_NODE, INDEX_BYTES, 0);
		if (!index)
			return NULL;
	}
	gfp |= s->order ? __GFP_COMP : 0;
	slab = node == NUMA_NO_NODE ? alloc_pages(gfp, s->order)
				    : alloc_pages_node(node, gfp, s->order);
	if (!slab) {
		if (index)
			__slab_free(index_cache, index, 0);
		return NULL;
	}
	for (struct page *page = slab; page < slab + (1UL << s->order); page++) {
		page->slab_cache = s;
		__SetPageSlab(page);
	}
	slab->objects = (u16)s->objects;
	slab->inuse = 0;
	slab->colour = (u16)colour;
	slab->freelist = index ? index : slab_base(slab) - s->index_bytes;
	init_blocks(s, slab);
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, 1L << s->order);
	return slab;
}

static void free_slab(struct kmem_cache *s, struct page *slab)
{
	slab_allow(page_address(slab), PAGE_SIZE << s->order);
	for (unsigned int i = 0; s->dtor && i < slab->objects; i++)
		s->dtor(slab_object(s, slab, i));
	if (s->off_slab)
		__slab_free(index_cache, slab->freelist, 0);
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, -(1L << s->order));
	for (struct page *page = slab; page < slab + (1UL << s->order); page++) {
		__ClearPageSlab(page);
		page->slab_cache = NULL;
	}
	slab->private = s->order;
	__free_pages(slab, s->order);
}

static void free_slab_list(struct kmem_cache *s, struct list_head *slabs)
{
	while (!list_empty(slabs)) {
		struct page *slab = list_first_entry(slabs, struct page, slab_list);

		list_del(&slab->slab_list);
		free_slab(s, slab);
	}
}

/* ---- A node's slabs: node.lock held ----------------------------------------------------------- */

/* Onto the list that it belongs on; it is on none. */
static void list_slab(struct kmem_cache_node *n, struct page *slab)
{
	if (!slab->inuse) {
		list_add(&slab->slab_list, &n->free);
		n->nr_free_slabs++;
	} else if (slab->inuse == slab->objects) {
		list_add(&slab->slab_list, &n->full);
	} else {
		list_add(&slab->slab_list, &n->partial);
	}
}

static void unlist_slab(struct kmem_cache_node *n, struct page *slab)
{
	__list_del_entry(&slab->slab_list);
	if (!slab->inuse)
		n->nr_free_slabs--;
}

/* Off the lists for good: free_slab() it after unlocking. */
static void drop_slab(struct kmem_cache_node *n, struct page *slab)
{
	unlist_slab(n, slab);
	n->nr_slabs--;
	n->free_objects -= slab->objects;
}

static unsigned int take_objects(struct kmem_cache *s, struct kmem_cache_node *n, void **p,
				 unsigned int want)
{
	unsigned int got = 0;

	while (got < want && n->free_objects) {
		struct list_head *list = list_empty(&n->partial) ? &n->free : &n->partial;
		struct page *slab = list_first_entry(list, struct page, slab_list);
		u16 *next = free_list(slab);

		unlist_slab(n, slab);
		while (got < want && slab->first_free != NO_BLOCK) {
			unsigned int i = slab->first_free;

			slab->first_free = next[i];
			next[i] = BLOCK_IN_USE;
			slab->inuse++;
			n->free_objects--;
			p[got++] = slab_object(s, slab, i);
		}
		list_slab(n, slab);
	}
	return got;
}

static void put_object(struct kmem_cache *s, struct kmem_cache_node *n, void *object,
		       struct list_head *discard)
{
	struct page *slab = virt_to_slab(object);
	unsigned int i = block_index(s, slab, object);
	u16 *next = free_list(slab);

	if (unlikely(next[i] != BLOCK_IN_USE))
		slab_panic(s, object, "freed twice");
	unlist_slab(n, slab);
	next[i] = slab->first_free;
	slab->first_free = (u16)i;
	slab->inuse--;
	n->free_objects++;
	list_slab(n, slab);
	if (!slab->inuse && n->free_objects > n->free_limit) {
		drop_slab(n, slab);
		list_add(&slab->slab_list, discard);
	}
}

/* ---- Arrays ----------------------------------------------------------------------------------- */

static struct array_cache *alloc_array(unsigned int limit, unsigned int batchcount)
{
	struct array_cache *ac = kmem_cache_alloc(array_cache_cache, GFP_KERNEL);

	if (!ac)
		return NULL;
	ac->avail = 0;
	ac->limit = limit;
	ac->batchcount = batchcount;
	return ac;
}

static void free_array(struct array_cache *ac)
{
	if (ac)
		kmem_cache_free(array_cache_cache, ac);
}

static unsigned int transfer(struct array_cache *to, struct array_cache *from, unsigned int most)
{
	unsigned int nr = min3(from->avail, most, to->limit - to->avail);

	memcpy(&to->entry[to->avail], &from->entry[from->avail - nr], nr * sizeof(void *));
	WRITE_ONCE(from->avail, from->avail - nr);
	WRITE_ONCE(to->avail, to->avail + nr);
	return nr;
}

static void drop_oldest(struct array_cache *ac, unsigned int nr)
{
	memmove(ac->entry, ac->entry + nr, (ac->avail - nr) * sizeof(void *));
	WRITE_ONCE(ac->avail, ac->avail - nr);
}

/* Objects of the node's, whose lock is taken. Interrupts off. */
static void put_objects(struct kmem_cache *s, int node, void **p, unsigned int nr)
{
	struct kmem_cache_node *n = &s->node[node];
	LIST_HEAD(discard);

	spin_lock(&n->lock);
	for (unsigned int i = 0; i < nr; i++)
		put_object(s, n, p[i], &discard);
	spin_unlock(&n->lock);
	free_slab_list(s, &discard);
}

/* Interrupts off. An array of objects of any nodes, back to their slabs. */
static void put_anywhere(struct kmem_cache *s, void **p, unsigned int nr)
{
	for (unsigned int i = 0, k; i < nr; i = k) {
		int node = page_to_nid(slab_page(p[i]));

		for (k = i + 1; k < nr && page_to_nid(slab_page(p[k])) == node; k++)
			;
		put_objects(s, node, p + i, k - i);
	}
}

static void flush_array(struct kmem_cache *s, struct array_cache *ac)
{
	if (!ac || !ac->avail)
		return;
	put_anywhere(s, ac->entry, ac->avail);
	WRITE_ONCE(ac->avail, 0);
}

/* Interrupts off. The array of this CPU is full: its oldest go to the shared one or to their slabs. */
static void flush_batch(struct kmem_cache *s, struct array_cache *ac)
{
	struct kmem_cache_node *n = &s->node[numa_node_id()];
	unsigned int nr = ac->batchcount, moved = 0;

	if (n->shared) {
		spin_lock(&n->lock);
		moved = min(nr, n->shared->limit - n->shared->avail);
		memcpy(&n->shared->entry[n->shared->avail], ac->entry, moved * sizeof(void *));
		WRITE_ONCE(n->shared->avail, n->shared->avail + moved);
		spin_unlock(&n->lock);
	}
	put_anywhere(s, ac->entry + moved, nr - moved);
	drop_oldest(ac, nr);
}

/* Interrupts off. Into the array for the object's node; false: there is none. */
static bool free_alien(struct kmem_cache *s, void *object)
{
	struct kmem_cache_node *n = &s->node[numa_node_id()];
	int node = page_to_nid(slab_page(object));
	struct array_cache *alien = n->alien[node];
	unsigned int nr = 0;
	void *batch[16];

	if (!alien)
		return false;
	spin_lock(&n->lock);
	if (alien->avail == alien->limit) {
		nr = min(alien->batchcount, (unsigned int)ARRAY_SIZE(batch));
		memcpy(batch, alien->entry, nr * sizeof(void *));
		drop_oldest(alien, nr);
	}
	alien->entry[alien->avail++] = object;
	spin_unlock(&n->lock);
	if (nr)
		put_objects(s, node, batch, nr);
	return true;
}

/* ---- Allocation ------------------------------------------------------------------------------- */

/* Interrupts off. */
static unsigned int take_from_node(struct kmem_cache *s, int node, void **p, unsigned int want)
{
	struct kmem_cache_node *n = &s->node[node];
	unsigned int got;

	spin_lock(&n->lock);
	got = take_objects(s, n, p, want);
	spin_unlock(&n->lock);
	return got;
}

/* Interrupts off. One object at least into the CPU's empty array, unless its node has none. */
static bool refill_array(struct kmem_cache *s, struct array_cache *ac)
{
	struct kmem_cache_node *n = &s->node[numa_node_id()];
	unsigned int got = 0;

	spin_lock(&n->lock);
	if (n->shared)
		got = transfer(ac, n->shared, ac->batchcount);
	if (!got) {
		got = take_objects(s, n, ac->entry, ac->batchcount);
		WRITE_ONCE(ac->avail, got);
	}
	spin_unlock(&n->lock);
	return got;
}

static bool grow(struct kmem_cache *s, gfp_t gfp, int node)
{
	struct kmem_cache_node *n = &s->node[node == NUMA_NO_NODE ? numa_node_id() : node];
	unsigned int colour = __atomic_fetch_add(&n->colour_next, 1, __ATOMIC_RELAXED);
	struct page *slab = new_slab(s, gfp, node, colour % s->colour);
	unsigned long flags;

	if (!slab)
		return false;
	n = &s->node[page_to_nid(slab)];
	spin_lock_irqsave(&n->lock, flags);
	n->nr_slabs++;
	n->free_objects += slab->objects;
	list_slab(n, slab);
	spin_unlock_irqrestore(&n->lock, flags);
	return true;
}

/* Interrupts off. What there is without a new slab. */
static void *alloc_there(struct kmem_cache *s, int node, bool from_afar)
{
	struct array_cache *ac = s->cpu[machine_cpu_id()];
	void *object = NULL;

	if (node == NUMA_NO_NODE && ac && (ac->avail || refill_array(s, ac))) {
		WRITE_ONCE(ac->avail, ac->avail - 1);
		return ac->entry[ac->avail];
	}
	if (node == NUMA_NO_NODE)
		node = numa_node_id();
	if (take_from_node(s, node, &object, 1))
		return object;
	for (int other = 0; from_afar && other < (int)nr_node_ids; other++)
		if (other != node && take_from_node(s, other, &object, 1))
			return object;
	return NULL;
}

static void *alloc_object(struct kmem_cache *s, gfp_t gfp, int node)
{
	bool grown = false, failed = false;

	for (;;) {
		unsigned long flags = machine_irq_save();
		void *object = alloc_there(s, node, grown && !(gfp & __GFP_THISNODE));

		machine_irq_restore(flags);
		if (object || failed)
			return object;
		failed = !grow(s, gfp, node);
		grown = true;
	}
}

static void *alloc_checked(struct kmem_cache *s, gfp_t gfp, int node, size_t size,
			   unsigned long caller)
{
	void *object;

	do {
		object = alloc_object(s, gfp, node);
		if (!object)
			return NULL;
	} while (is_debug(s) && !slab_debug_alloc(s, virt_to_slab(object), object, caller));
	return slab_handed_out(s, object, size, gfp);
}

void *__slab_alloc(struct kmem_cache *s, gfp_t gfp, int node, size_t size, unsigned long caller)
{
	if (gfp & __GFP_DIRECT_RECLAIM)
		lockdep_may_sleep();
	if (unlikely(gfp & SLAB_GFP_ZONES) && (s->flags & SLAB_KMALLOC))
		return kmalloc_large(size, gfp, node);
	if (slab_should_fail(gfp))
		return NULL;
	return alloc_checked(s, gfp, node, size, caller);
}

size_t slab_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p, unsigned long caller)
{
	size_t got = 0;

	while (got < n) {
		p[got] = alloc_checked(s, gfp, NUMA_NO_NODE, s->object_size, caller);
		if (!p[got])
			break;
		got++;
	}
	return got;
}

/* ---- Free ------------------------------------------------------------------------------------- */

/* In a cache with debug flags objects go straight back to their slabs: nothing free is in an array. */
static bool debug_free(struct kmem_cache *s, void *object, unsigned long caller)
{
	struct page *slab = virt_to_slab(object);
	unsigned int i = block_index(s, slab, object);
	bool is_free = i < slab->objects && READ_ONCE(free_list(slab)[i]) != BLOCK_IN_USE;

	return slab_debug_free(s, slab, object, is_free, caller);
}

void __slab_free(struct kmem_cache *s, void *object, unsigned long caller)
{
	struct array_cache *ac;
	unsigned long flags;

	if (unlikely(is_debug(s)) && !debug_free(s, object, caller))
		return;
	slab_forbid(object, s->object_size);
	flags = machine_irq_save();
	ac = s->cpu[machine_cpu_id()];
	if (nr_node_ids > 1 && page_to_nid(slab_page(object)) != numa_node_id() &&
	    free_alien(s, object)) {
		machine_irq_restore(flags);
		return;
	}
	if (ac) {
		if (unlikely(ac->avail && ac->entry[ac->avail - 1] == object))
			slab_panic(s, object, "freed twice");
		if (unlikely(ac->avail == ac->limit))
			flush_batch(s, ac);
		ac->entry[ac->avail] = object;
		WRITE_ONCE(ac->avail, ac->avail + 1);
	} else {
		put_objects(s, page_to_nid(slab_page(object)), &object, 1);
	}
	machine_irq_restore(flags);
}

void slab_free_bulk(struct kmem_cache *s, size_t n, void **p, unsigned long caller)
{
	for (size_t i = 0; i < n; i++)
		__slab_free(s, p[i], caller);
}

/* ---- Giving back ------------------------------------------------------------------------------ */

static void flush_node_arrays(struct kmem_cache *s, struct kmem_cache_node *n)
{
	struct array_cache *arrays[MAX_NUMNODES + 1];
	unsigned long flags = machine_irq_save();

	memcpy(arrays, n->alien, sizeof(n->alien));
	arrays[MAX_NUMNODES] = n->shared;
	for (unsigned int i = 0; i <= MAX_NUMNODES; i++) {
		void *batch[16];
		unsigned int nr;

		while (arrays[i] && READ_ONCE(arrays[i]->avail)) {
			spin_lock(&n->lock);
			nr = min(arrays[i]->avail, (unsigned int)ARRAY_SIZE(batch));
			memcpy(batch, arrays[i]->entry, nr * sizeof(void *));
			drop_oldest(arrays[i], nr);
			spin_unlock(&n->lock);
			put_anywhere(s, batch, nr);
		}
	}
	machine_irq_restore(flags);
}

static void free_empty_slabs(struct kmem_cache *s)
{
	for (int node = 0; node < (int)nr_node_ids; node++) {
		struct kmem_cache_node *n = &s->node[node];
		unsigned long flags;
		LIST_HEAD(empty);

		flush_node_arrays(s, n);
		spin_lock_irqsave(&n->lock, flags);
		while (!list_empty(&n->free)) {
			struct page *slab = list_first_entry(&n->free, struct page, slab_list);

			drop_slab(n, slab);
			list_add(&slab->slab_list, &empty);
		}
		spin_unlock_irqrestore(&n->lock, flags);
		free_slab_list(s, &empty);
	}
}

static void flush_by_ipi(void *cache)
{
	struct kmem_cache *s = cache;
	unsigned long flags = machine_irq_save();

	flush_array(s, s->cpu[machine_cpu_id()]);
	machine_irq_restore(flags);
}

int kmem_cache_shrink(struct kmem_cache *s)
{
	unsigned int nr_cpus = machine_nr_cpus();

	flush_by_ipi(s);
	if (nr_cpus > 1)
		machine_ipi((~0ull >> (64 - nr_cpus)) & ~(1ull << machine_cpu_id()), flush_by_ipi,
			    s);
	free_empty_slabs(s);
	return 0;
}

bool __kmem_cache_shutdown(struct kmem_cache *s)
{
	unsigned long slabs = 0;

	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		flush_array(s, s->cpu[cpu]);
	free_empty_slabs(s);
	for (int node = 0; node < (int)nr_node_ids; node++)
		slabs += READ_ONCE(s->node[node].nr_slabs);
	return !slabs;
}

void __kmem_cache_release(struct kmem_cache *s)
{
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		free_array(s->cpu[cpu]);
	for (int node = 0; node < (int)nr_node_ids; node++) {
		free_array(s->node[node].shared);
		for (int other = 0; other < (int)nr_node_ids; other++)
			free_array(s->node[node].alien[other]);
	}
}

/* ---- Counts ----------------------------------------------------------------------------------- */

/* Free objects in arrays, read while they change. */
static unsigned long objects_in_arrays(const struct kmem_cache *s, unsigned long *shared)
{
	unsigned long nr = 0;

	*shared = 0;
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		nr += s->cpu[cpu] ? READ_ONCE(s->cpu[cpu]->avail) : 0;
	for (int node = 0; node < (int)nr_node_ids; node++) {
		const struct kmem_cache_node *n = &s->node[node];

		*shared += n->shared ? READ_ONCE(n->shared->avail) : 0;
		for (int other = 0; other < (int)nr_node_ids; other++)
			nr += n->alien[other] ? READ_ONCE(n->alien[other]->avail) : 0;
	}
	return nr + *shared;
}

static void count_slabs(struct kmem_cache *s, struct slabinfo *info)
{
	unsigned long in_arrays = objects_in_arrays(s, &info->shared_avail), free = in_arrays;

	for (int node = 0; node < (int)nr_node_ids; node++) {
		struct kmem_cache_node *n = &s->node[node];
		unsigned long flags;

		spin_lock_irqsave(&n->lock, flags);
		info->num_slabs += n->nr_slabs;
		info->active_slabs += n->nr_slabs - n->nr_free_slabs;
		free += n->free_objects;
		spin_unlock_irqrestore(&n->lock, flags);
	}
	info->num_objs = info->num_slabs * s->objects;
	info->active_objs = info->num_objs - min(free, info->num_objs);
}

unsigned long __kmem_cache_active(struct kmem_cache *s)
{
	struct slabinfo info = { 0 };

	count_slabs(s, &info);
	return info.active_objs;
}

void __get_slabinfo(struct kmem_cache *s, struct slabinfo *info)
{
	count_slabs(s, info);
	info->objs_per_slab = s->objects;
	info->pages_per_slab = 1u << s->order;
	info->limit = s->limit;
	info->batchcount = s->batchcount;
	info->shared = s->shared;
}

static void report_list(struct kmem_cache *s, struct list_head *slabs, unsigned int *max)
{
	struct page *slab;

	list_for_each_entry(slab, slabs, slab_list) {
		for (unsigned int i = 0; i < slab->objects && *max; i++) {
			if (free_list(slab)[i] != BLOCK_IN_USE)
				continue;
			slab_debug_describe(s, slab, slab_object(s, slab, i));
			--*max;
		}
	}
}

void __kmem_cache_report(struct kmem_cache *s, unsigned int max)
{
	for (int node = 0; node < (int)nr_node_ids; node++) {
		report_list(s, &s->node[node].partial, &max);
		report_list(s, &s->node[node].full, &max);
	}
}

/* ---- Caches ----------------------------------------------------------------------------------- */

static unsigned int index_bytes(const struct kmem_cache *s, unsigned int objects)
{
	return s->off_slab ? 0 : ALIGN(objects * (unsigned int)sizeof(u16), s->align);
}

/* So many blocks, and their free list if it is there, fit a slab of the order. */
static unsigned int objects_in(const struct kmem_cache *s, unsigned int order)
{
	unsigned int bytes = (unsigned int)PAGE_SIZE << order;
	unsigned int nr = min(bytes / s->size, s->off_slab ? INDEX_MAX : MAX_BLOCKS);

	while (nr && nr * s->size + index_bytes(s, nr) > bytes)
		nr--;
	return nr;
}

/* The smallest order that wastes no more than an eighth, or the smallest that does at all. */
static void choose_order(struct kmem_cache *s)
{
	unsigned int least = get_order(s->size), bytes;

	s->off_slab = s->size >= OFF_SLAB_MIN && !(s->flags & SLAB_INTERNAL);
	while (!objects_in(s, least))
		least++;
	s->order = least;
	for (unsigned int order = least; order <= SLAB_MAX_ORDER; order++) {
		bytes = (unsigned int)PAGE_SIZE << order;
		if (bytes - objects_in(s, order) * s->size <= bytes / 8) {
			s->order = order;
			break;
		}
	}
	bytes = (unsigned int)PAGE_SIZE << s->order;
	s->objects = objects_in(s, s->order);
	s->index_bytes = index_bytes(s, s->objects);
	s->colour_off = max(s->align, CACHE_LINE);
	s->colour = (bytes - s->objects * s->size - s->index_bytes) / s->colour_off + 1;
	s->colour = min(s->colour, 0xffffu);
}

/* Fewer objects, the larger they are. */
static void choose_limits(struct kmem_cache *s)
{
	if (s->size > 131072)
		s->limit = 1;
	else if (s->size > PAGE_SIZE)
		s->limit = 8;
	else if (s->size > 1024)
		s->limit = 24;
	else if (s->size > 256)
		s->limit = 54;
	else
		s->limit = ARRAY_MAX;
	s->batchcount = (s->limit + 1) / 2;
	s->shared = s->size <= PAGE_SIZE && machine_nr_cpus() > 1 ? 2 : 0;
}

static int make_arrays(struct kmem_cache *s)
{
	if (is_debug(s))
		return 0;
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++) {
		s->cpu[cpu] = alloc_array(s->limit, s->batchcount);
		if (!s->cpu[cpu])
			return -ENOMEM;
	}
	for (int node = 0; node < (int)nr_node_ids; node++) {
		struct kmem_cache_node *n = &s->node[node];

		if (s->shared &&
		    !(n->shared = alloc_array(s->shared * s->batchcount, s->batchcount)))
			return -ENOMEM;
		for (int other = 0; other < (int)nr_node_ids; other++)
			if (other != node && !(n->alien[other] = alloc_array(12, 12)))
				return -ENOMEM;
	}
	return 0;
}

int __kmem_cache_create(struct kmem_cache *s)
{
	choose_order(s);
	choose_limits(s);
	s->node = PTR_ALIGN((struct kmem_cache_node *)&s->cpu[machine_nr_cpus()], CACHE_LINE);
	for (int node = 0; node < (int)nr_node_ids; node++) {
		struct kmem_cache_node *n = &s->node[node];

		spin_lock_init(&n->lock);
		INIT_LIST_HEAD(&n->full);
		INIT_LIST_HEAD(&n->partial);
		INIT_LIST_HEAD(&n->free);
		n->free_limit = s->batchcount + 2 * s->objects;
	}
	/* The first caches get theirs when all of them are there. */
	if (!(s->flags & SLAB_INTERNAL) && make_arrays(s)) {
		__kmem_cache_release(s);
		return -ENOMEM;
	}
	return 0;
}

unsigned int kmem_cache_bytes(void)
{
	unsigned int head = (unsigned int)(sizeof(struct kmem_cache) +
					   machine_nr_cpus() * sizeof(struct array_cache *));

	return ALIGN(head, CACHE_LINE) +
	       (unsigned int)nr_node_ids * (unsigned int)sizeof(struct kmem_cache_node);
}

/* The caches that caches consist of, in memory that is nobody's object. */
static u8 boot_memory[3][ALIGN(sizeof(struct kmem_cache) +
				       MACHINE_MAX_CPUS * sizeof(struct array_cache *),
			       CACHE_LINE) +
			 MAX_NUMNODES * sizeof(struct kmem_cache_node)]
	__attribute__((aligned(64)));

/* Until they have arrays, objects come straight from slabs. */
void kmem_cache_bootstrap(void)
{
	memset(boot_memory, 0, sizeof(boot_memory));
	kmem_cache_cache = (struct kmem_cache *)boot_memory[0];
	array_cache_cache = (struct kmem_cache *)boot_memory[1];
	index_cache = (struct kmem_cache *)boot_memory[2];
	create_boot_cache(kmem_cache_cache, "kmem_cache", kmem_cache_bytes(), SLAB_INTERNAL);
	create_boot_cache(array_cache_cache, "array_cache",
			  sizeof(struct array_cache) + ARRAY_MAX * sizeof(void *),
			  SLAB_INTERNAL | SLAB_NO_DEBUG);
	create_boot_cache(index_cache, "slab_index", INDEX_BYTES, SLAB_INTERNAL | SLAB_NO_DEBUG);
	if (make_arrays(kmem_cache_cache) || make_arrays(array_cache_cache) ||
	    make_arrays(index_cache))
		machine_panic("no memory for the first caches");
}
#endif
