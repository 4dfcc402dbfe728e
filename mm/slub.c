/* SPDX-License-Identifier: MIT */
/*
 * SLUB: caches of equal objects, cut from folios ("slabs").
 *
 *	kmem_cache
 *	  cpu[n]	sheaf of CPU n: a stack of free objects, of any slabs
 *	             ^ fast path      |
 *	             | refill: half   | flush: the older half, in one go
 *	  node[i].partial -> slab -> slab	  slabs with free objects; those that are
 *						  used up are on no list (debugging: on full)
 *
 * A slab has one bit for each block, set while it is free: up to 64 of them in its struct page
 * (free_map), more at its end. A sheaf's objects count as used there. So free objects hold
 * no links: nothing a program writes into a freed object can lead the allocator astray, freeing an
 * object twice is seen when it comes back to its slab, and neither a free nor a refill
 * touches the object's memory.
 *
 *	|block|block|....|block|     |map|	(map: more than 64 blocks)
 *
 * What is freed lands on the freeing CPU's sheaf, whosever slab it is from; remote slabs get theirs
 * back in batches. Objects are handed out in the order of their addresses or, with
 * CONFIG_SLAB_FREELIST_RANDOM, each batch shuffled.
 *
 * A sheaf without room is always full and empty: whoever comes to it gets and gives single objects the
 * slow way. So it is with debug flags, with large objects, and in the slot of interrupt handlers.
 *
 * Locking: a sheaf is its CPU's (machine_cpu_slot()), without a lock; others may only read room, and
 * set flush to have it emptied at the next occasion. node.lock covers lists, free_map and
 * inuse of the node's slabs; interrupts off; a leaf but for zone->lock.
 */
#ifdef CONFIG_SLUB
#include <quire/string.h>
#include <quire/vmstat.h>

#include "slab.h"

/* What a sheaf may hold of one size, except that it is SHEAF_MAX objects at most and 4 at least. */
#define SHEAF_MAX_BYTES 32768u

struct kmem_cache_node {
	spinlock_t lock;
	struct list_head partial; /* longest there first: most of it is free again by now */
	struct list_head full; /* caches with debug flags only */
	unsigned long nr_partial; /* empty ones included */
	unsigned long nr_empty;
	unsigned long nr_slabs;
	unsigned long total_objects;
	unsigned long free_objects;
} __attribute__((aligned(64)));

#ifdef CONFIG_SLAB_FREELIST_RANDOM
const char slab_allocator_name[] = "SLUB, no links in free objects, random order";
#else
const char slab_allocator_name[] = "SLUB, no links in free objects, order of addresses";
#endif

struct kmem_cache *slub_last_slow;

static bool is_debug(const struct kmem_cache *s)
{
	return s->flags & SLAB_DEBUG_FLAGS;
}

/* ---- Slabs ------------------------------------------------------------------------------------ */

static unsigned int slab_order(const struct kmem_cache *s, const struct page *slab)
{
	return slab->objects == s->objects ? s->order : s->min_order;
}

static void *slab_object(const struct kmem_cache *s, const struct page *slab, unsigned int i)
{
	return (char *)page_address(slab) + i * (size_t)s->size + s->red_left;
}

/* Which block of the slab the address is in; objects that do not begin there are refused elsewhere. */
static unsigned int block_index(const struct kmem_cache *s, const struct page *slab,
				const void *object)
{
	unsigned long distance = (unsigned long)((const char *)object - s->red_left -
						 (const char *)page_address(slab));

	if (likely(s->reciprocal))
		return (unsigned int)(distance * s->reciprocal >> 32);
	return (unsigned int)(distance / s->size);
}

static unsigned long *slab_map(const struct kmem_cache *s, struct page *slab)
{
	unsigned int bytes;

	if (likely(slab->objects <= BITS_PER_LONG))
		return &slab->free_map;
	bytes = (unsigned int)PAGE_SIZE << slab_order(s, slab);
	return (unsigned long *)((char *)page_address(slab) + bytes -
				 BITS_TO_LONGS(slab->objects) * sizeof(long));
}

static bool block_is_free(const struct kmem_cache *s, struct page *slab, unsigned int i)
{
	return slab_map(s, slab)[i / BITS_PER_LONG] >> i % BITS_PER_LONG & 1;
}

static void init_blocks(const struct kmem_cache *s, struct page *slab)
{
	unsigned long *map = slab_map(s, slab);
	unsigned int nr = slab->objects;

	for (unsigned int i = 0; i < nr; i += BITS_PER_LONG)
		map[i / BITS_PER_LONG] = nr - i >= BITS_PER_LONG ? ~0UL : (1UL << (nr - i)) - 1;
	for (unsigned int i = 0; i < nr && (is_debug(s) || s->ctor); i++) {
		void *object = slab_object(s, slab, i);

		if (is_debug(s))
			slab_debug_init(s, object);
		if (s->ctor)
			s->ctor(object);
	}
	slab_forbid(page_address(slab), (size_t)nr * s->size);
}

static struct page *alloc_slab_pages(gfp_t gfp, unsigned int order, int node)
{
	gfp |= order ? __GFP_COMP : 0;
	return node == NUMA_NO_NODE ? alloc_pages(gfp, order) : alloc_pages_node(node, gfp, order);
}

/* An empty slab that nobody knows of yet; may sleep if gfp does. */
static struct page *new_slab(struct kmem_cache *s, gfp_t gfp, int node)
{
	unsigned int order = s->order;
	struct page *slab = NULL;

	gfp &= ~(SLAB_GFP_SLOW | __GFP_MOVABLE | __GFP_COMP | __GFP_HIGHMEM);
	if (order > s->min_order) {
		gfp_t try = (gfp | __GFP_NOWARN | __GFP_NORETRY) &
			    ~(__GFP_NOFAIL | __GFP_DIRECT_RECLAIM);

		slab = alloc_slab_pages(try, order, node);
	}
	if (!slab) {
		order = s->min_order;
		slab = alloc_slab_pages(gfp, order, node);
	}
	if (!slab)
		return NULL;
	for (struct page *page = slab; page < slab + (1UL << order); page++) {
		page->slab_cache = s;
		__SetPageSlab(page);
	}
	slab->objects = (u16)(order == s->order ? s->objects : s->min_objects);
	slab->inuse = 0;
	init_blocks(s, slab);
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, 1L << order);
	return slab;
}

/* To the page allocator, which wants the frames as it gave them. */
static void free_slab(struct kmem_cache *s, struct page *slab)
{
	unsigned int order = slab_order(s, slab);

	slab_allow(page_address(slab), PAGE_SIZE << order);
	for (unsigned int i = 0; s->dtor && i < slab->objects; i++)
		s->dtor(slab_object(s, slab, i));
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, -(1L << order));
	for (struct page *page = slab; page < slab + (1UL << order); page++) {
		__ClearPageSlab(page);
		page->slab_cache = NULL;
	}
	slab->private = order;
	__free_pages(slab, order);
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

static struct kmem_cache_node *slab_node(const struct kmem_cache *s, const struct page *slab)
{
	(void)slab;
	return &s->node[page_to_nid(slab)];
}

static void add_slab(struct kmem_cache_node *n, struct page *slab)
{
	list_add_tail(&slab->slab_list, &n->partial);
	n->nr_partial++;
	n->nr_empty++;
	n->nr_slabs++;
	n->total_objects += slab->objects;
	n->free_objects += slab->objects;
}

/* An empty slab: free_slab() it after unlocking. */
static void remove_slab(struct kmem_cache_node *n, struct page *slab)
{
	__list_del_entry(&slab->slab_list);
	n->nr_partial--;
	n->nr_empty--;
	n->nr_slabs--;
	n->total_objects -= slab->objects;
	n->free_objects -= slab->objects;
}

static void slab_used_up(struct kmem_cache *s, struct kmem_cache_node *n, struct page *slab)
{
	__list_del_entry(&slab->slab_list);
	n->nr_partial--;
	if (unlikely(is_debug(s)))
		list_add(&slab->slab_list, &n->full);
}

static void slab_usable_again(struct kmem_cache *s, struct kmem_cache_node *n, struct page *slab)
{
	if (unlikely(is_debug(s)))
		__list_del_entry(&slab->slab_list);
	list_add_tail(&slab->slab_list, &n->partial);
	n->nr_partial++;
}

/* The nr lowest free blocks of a slab that has as many. */
static void take_blocks(const struct kmem_cache *s, struct page *slab, void **p, unsigned int nr)
{
	unsigned long *map = slab_map(s, slab);
	char *base = (char *)page_address(slab) + s->red_left;

	if (s->simple) {
		unsigned long bits = slab->free_map, size = s->size;

		for (; nr; nr--, bits &= bits - 1)
			*p++ = base + __ffs(bits) * size;
		slab->free_map = bits;
		return;
	}
	for (unsigned int word = 0; nr; word++) {
		unsigned long bits = map[word];

		for (; bits && nr; bits &= bits - 1, nr--)
			*p++ = base + (word * BITS_PER_LONG + __ffs(bits)) * (unsigned long)s->size;
		map[word] = bits;
	}
}

#ifdef CONFIG_SLAB_FREELIST_RANDOM
static void shuffle(struct kmem_cache *s, void **p, unsigned int nr)
{
	u64 random = s->random;

	for (unsigned int i = nr; i > 1; i--) {
		unsigned int k;

		random = random * 6364136223846793005u + 1442695040888963407u;
		k = (unsigned int)((random >> 32) * i >> 32);
		swap(p[i - 1], p[k]);
	}
	s->random = random;
}
#endif

/* At most want objects of the node's partial slabs into p[]; how many. */
static unsigned int take_objects(struct kmem_cache *s, struct kmem_cache_node *n, void **p,
				 unsigned int want)
{
	unsigned int got = 0;

	while (got < want && !list_empty(&n->partial)) {
		struct page *slab = list_first_entry(&n->partial, struct page, slab_list);
		unsigned int nr = min(want - got, (unsigned int)(slab->objects - slab->inuse));

		if (!slab->inuse)
			n->nr_empty--;
		take_blocks(s, slab, p + got, nr);
		slab->inuse = (u16)(slab->inuse + nr);
		if (slab->inuse == slab->objects)
			slab_used_up(s, n, slab);
		got += nr;
	}
	n->free_objects -= got;
#ifdef CONFIG_SLAB_FREELIST_RANDOM
	shuffle(s, p, got);
#endif
	return got;
}

/* A few are kept. The others go on the list, to be freed. */
static void slab_empty(struct kmem_cache *s, struct kmem_cache_node *n, struct page *slab,
		       struct list_head *discard)
{
	n->nr_empty++;
	if (n->nr_empty > s->min_partial) {
		remove_slab(n, slab);
		list_add(&slab->slab_list, discard);
	}
}

/* One object back to its slab. Slabs to be freed go on the list. */
static void put_object(struct kmem_cache *s, struct kmem_cache_node *n, struct page *slab,
		       void *object, struct list_head *discard)
{
	unsigned int i = block_index(s, slab, object);
	unsigned long *map = slab_map(s, slab) + i / BITS_PER_LONG;
	unsigned long bit = 1UL << i % BITS_PER_LONG;

	if (unlikely(*map & bit))
		slab_panic(s, object, "freed twice");
	*map |= bit;
	n->free_objects++;
	if (slab->inuse-- == slab->objects)
		slab_usable_again(s, n, slab);
	if (!slab->inuse)
		slab_empty(s, n, slab, discard);
}

/*
 * Many objects of slabs that are single pages with their map in struct page, node.lock held: what
 * put_object() does, in half the instructions.
 */
static void put_simple(struct kmem_cache *s, struct kmem_cache_node *n, void **p, unsigned int nr,
		       struct list_head *discard)
{
	u64 reciprocal = s->reciprocal;

	n->free_objects += nr;
	for (void **end = p + nr; p < end; p++) {
		struct page *slab = slab_page(*p);
		unsigned long distance = (unsigned long)*p & ~PAGE_MASK;
		unsigned long bit = 1UL << (distance * reciprocal >> 32);
		unsigned int inuse = slab->inuse;

		if (unlikely(slab->free_map & bit))
			slab_panic(s, *p, "freed twice");
		slab->free_map |= bit;
		slab->inuse = (u16)(inuse - 1);
		if (unlikely(inuse == slab->objects))
			slab_usable_again(s, n, slab);
		if (unlikely(inuse == 1))
			slab_empty(s, n, slab, discard);
	}
}

/* ---- Batches ---------------------------------------------------------------------------------- */

static void put_objects(struct kmem_cache *s, void **p, unsigned int nr)
{
	unsigned long flags = machine_irq_save();
	struct kmem_cache_node *n = NULL;
	LIST_HEAD(discard);

	if (s->simple && nr_node_ids == 1) {
		n = &s->node[0];
		spin_lock(&n->lock);
		put_simple(s, n, p, nr, &discard);
		nr = 0;
	}
	for (unsigned int i = 0; i < nr; i++) {
		struct page *slab = virt_to_slab(p[i]);

		if (slab_node(s, slab) != n) {
			if (n)
				spin_unlock(&n->lock);
			n = slab_node(s, slab);
			spin_lock(&n->lock);
		}
		put_object(s, n, slab, p[i], &discard);
	}
	if (n)
		spin_unlock(&n->lock);
	machine_irq_restore(flags);
	free_slab_list(s, &discard);
}

static unsigned int take_from_node(struct kmem_cache *s, int node, void **p, unsigned int want)
{
	struct kmem_cache_node *n = &s->node[node];
	unsigned long flags;
	unsigned int got;

	if (!READ_ONCE(n->nr_partial))
		return 0;
	spin_lock_irqsave(&n->lock, flags);
	got = take_objects(s, n, p, want);
	spin_unlock_irqrestore(&n->lock, flags);
	return got;
}

static unsigned int take_from_others(struct kmem_cache *s, int node, void **p, unsigned int want)
{
	unsigned int got = 0;

	for (int other = 0; other < (int)nr_node_ids && !got; other++)
		if (other != node)
			got = take_from_node(s, other, p, want);
	return got;
}

static bool add_new_slab(struct kmem_cache *s, gfp_t gfp, int node)
{
	struct page *slab = new_slab(s, gfp, node);
	struct kmem_cache_node *n;
	unsigned long flags;

	if (!slab)
		return false;
	n = slab_node(s, slab);
	spin_lock_irqsave(&n->lock, flags);
	add_slab(n, slab);
	spin_unlock_irqrestore(&n->lock, flags);
	return true;
}

/* ---- Sheaves ---------------------------------------------------------------------------------- */

/* One object straight from a slab, near the node if any. May sleep if gfp does. */
static void *take_one(struct kmem_cache *s, gfp_t gfp, int node)
{
	int near = node == NUMA_NO_NODE ? numa_node_id() : node;
	bool grown = false, failed = false;
	void *object;

	for (;;) {
		if (take_from_node(s, near, &object, 1))
			return object;
		if (grown && !(gfp & __GFP_THISNODE) && take_from_others(s, near, &object, 1))
			return object;
		if (failed)
			return NULL;
		failed = !add_new_slab(s, gfp, node);
		grown = true;
	}
}

/* Neither the interrupt handlers' nor one of a cache that has none. */
static bool sheaf_usable(const struct kmem_cache *s, const struct kmem_cache_cpu *c)
{
	return s->sheaf_limit && c != &s->cpu[machine_nr_cpus()];
}

static unsigned int sheaf_objects(const struct kmem_cache *s, const struct kmem_cache_cpu *c)
{
	int room = READ_ONCE(c->room);

	return room < 0 ? 0 : s->sheaf_limit - (unsigned int)room;
}

/* There is room. */
static void sheaf_push(struct kmem_cache_cpu *c, void *object)
{
	c->below[sheaf_count(c, -1)] = c->top;
	c->top = object;
}

static void flush_sheaf(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	unsigned int nr = sheaf_objects(s, c);

	WRITE_ONCE(c->flush, 0);
	if (!nr)
		return;
	c->below[s->sheaf_limit - 1] = c->top; /* in the place of the NULL */
	c->top = NULL;
	WRITE_ONCE(c->room, (int)s->sheaf_limit);
	put_objects(s, &c->below[s->sheaf_limit - nr], nr);
}

/* Of a full sheaf the older half: what was freed last is the warmest. */
static void flush_half(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	unsigned int left = s->sheaf_limit - 1 - s->batch;

	WRITE_ONCE(slub_last_slow, s);
	put_objects(s, &c->below[left], s->batch);
	memmove(&c->below[s->batch], &c->below[0], left * sizeof(void *));
	WRITE_ONCE(c->room, (int)s->batch);
}

/* An empty sheaf. How many objects it has got. */
static unsigned int refill_sheaf(struct kmem_cache *s, struct kmem_cache_cpu *c, bool from_afar)
{
	void **p = &c->below[s->sheaf_limit - 1 - s->batch];
	unsigned int got = take_from_node(s, numa_node_id(), p, s->batch);

	if (!got && from_afar)
		got = take_from_others(s, numa_node_id(), p, s->batch);
	if (!got)
		return 0;
	WRITE_ONCE(slub_last_slow, s);
	if (unlikely(got < s->batch))
		memmove(p + s->batch - got, p, got * sizeof(void *));
	c->top = p[s->batch - got];
	c->below[s->sheaf_limit - 1] = NULL;
	WRITE_ONCE(c->room, (int)(s->sheaf_limit - got));
	return got;
}

/* ---- Allocation ------------------------------------------------------------------------------- */

/* An object in any way. While the page allocator works the CPU may change. */
static void *pop_or_refill(struct kmem_cache *s, gfp_t gfp)
{
	bool grown = false, failed = false;

	for (;;) {
		struct kmem_cache_cpu *c = this_sheaf(s);

		if (!sheaf_usable(s, c))
			return take_one(s, gfp, NUMA_NO_NODE);
		if (unlikely(READ_ONCE(c->flush)))
			flush_sheaf(s, c);
		if (c->top || refill_sheaf(s, c, grown))
			return sheaf_pop(c);
		if (failed)
			return NULL;
		failed = !add_new_slab(s, gfp, NUMA_NO_NODE);
		grown = true;
	}
}

static void *alloc_any(struct kmem_cache *s, gfp_t gfp, int node)
{
	return node == NUMA_NO_NODE ? pop_or_refill(s, gfp) : take_one(s, gfp, node);
}

static void *alloc_checked(struct kmem_cache *s, gfp_t gfp, int node, size_t size,
			   unsigned long caller)
{
	void *object;

	do {
		object = alloc_any(s, gfp, node);
		if (!object)
			return NULL;
	} while (is_debug(s) && !slab_debug_alloc(s, virt_to_slab(object), object, caller));
	return slab_handed_out(s, object, size, gfp);
}

void *slub_alloc_node(struct kmem_cache *s, gfp_t gfp, int node, size_t size, unsigned long caller)
{
	if (gfp & __GFP_DIRECT_RECLAIM)
		lockdep_may_sleep();
	if ((gfp & SLAB_GFP_ZONES) && (s->flags & SLAB_KMALLOC))
		return kmalloc_large(size, gfp, node);
	if (slab_should_fail(gfp))
		return NULL;
	return alloc_checked(s, gfp, node, size, caller);
}

/* The cache that the caller's sheaf is of. */
static struct kmem_cache *cache_of_sheaf(struct kmem_cache_cpu *c)
{
	return (struct kmem_cache *)((char *)c - machine_slot_offset() -
				     offsetof(struct kmem_cache, cpu));
}

noinline void *slub_alloc_from(struct kmem_cache_cpu *c, gfp_t gfp, size_t size,
			       unsigned long caller)
{
	return slub_alloc_node(cache_of_sheaf(c), gfp, NUMA_NO_NODE, size, caller);
}

noinline void *slub_alloc_slow(struct kmem_cache *s, gfp_t gfp, size_t size, unsigned long caller)
{
	return slub_alloc_node(s, gfp, NUMA_NO_NODE, size, caller);
}

size_t slab_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p, unsigned long caller)
{
	size_t got = 0;

	while (got < n) {
		unsigned int want = (unsigned int)min(n - got, (size_t)SHEAF_MAX), nr = 0;

		if (!is_debug(s) && !(gfp & SLAB_GFP_SLOW))
			nr = take_from_node(s, numa_node_id(), p + got, want);
		for (unsigned int i = 0; i < nr; i++)
			slab_handed_out(s, p[got + i], s->object_size, 0);
		if (!nr) {
			p[got] = alloc_checked(s, gfp, NUMA_NO_NODE, s->object_size, caller);
			nr = p[got] != NULL;
		}
		if (!nr)
			break;
		got += nr;
	}
	return got;
}

/* ---- Free ------------------------------------------------------------------------------------- */

static void debug_free(struct kmem_cache *s, void *object, unsigned long caller)
{
	struct page *slab = virt_to_slab(object);
	struct kmem_cache_node *n = slab_node(s, slab);
	unsigned int i = block_index(s, slab, object);
	unsigned long flags;
	bool is_free;

	spin_lock_irqsave(&n->lock, flags);
	is_free = i < slab->objects && block_is_free(s, slab, i);
	spin_unlock_irqrestore(&n->lock, flags);
	if (slab_debug_free(s, slab, object, is_free, caller))
		put_objects(s, &object, 1);
}

noinline void slub_free_slow(void *object, struct kmem_cache_cpu *c, unsigned long caller)
{
	struct kmem_cache *s = cache_of_sheaf(c);

	if (c->top != object)
		sheaf_count(c, 1); /* that there is no room was found by taking it */
	if (unlikely(is_debug(s))) {
		debug_free(s, object, caller);
		return;
	}
	slab_forbid(object, s->object_size);
	if (!sheaf_usable(s, c)) {
		put_objects(s, &object, 1);
		return;
	}
	if (unlikely(c->top == object))
		slab_panic(s, object, "freed twice");
	if (READ_ONCE(c->flush))
		flush_sheaf(s, c);
	else
		flush_half(s, c);
	sheaf_push(c, object);
}

void slab_free_bulk(struct kmem_cache *s, size_t n, void **p, unsigned long caller)
{
	for (size_t i = 0; i < n;) {
		unsigned int nr = (unsigned int)min(n - i, (size_t)SHEAF_MAX);

		if (is_debug(s)) {
			debug_free(s, p[i++], caller);
			continue;
		}
		for (unsigned int k = 0; k < nr; k++)
			slab_forbid(p[i + k], s->object_size);
		put_objects(s, p + i, nr);
		i += nr;
	}
}

/* ---- Giving empty slabs back ------------------------------------------------------------------ */

static void free_empty_slabs(struct kmem_cache *s)
{
	for (int node = 0; node < (int)nr_node_ids; node++) {
		struct kmem_cache_node *n = &s->node[node];
		struct page *slab, *next;
		unsigned long flags;
		LIST_HEAD(empty);

		spin_lock_irqsave(&n->lock, flags);
		list_for_each_entry_safe(slab, next, &n->partial, slab_list) {
			if (slab->inuse)
				continue;
			remove_slab(n, slab);
			list_add(&slab->slab_list, &empty);
		}
		spin_unlock_irqrestore(&n->lock, flags);
		free_slab_list(s, &empty);
	}
}

/* A handler that may have come in the middle of the sheaf's use leaves a note there. */
static void flush_by_ipi(void *cache)
{
	struct kmem_cache *s = cache;
	struct kmem_cache_cpu *c = &s->cpu[machine_cpu_id()];

	if (machine_cpu_slot() != machine_nr_cpus())
		flush_sheaf(s, c);
	else
		WRITE_ONCE(c->flush, 1);
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
		flush_sheaf(s, &s->cpu[cpu]);
	free_empty_slabs(s);
	for (int node = 0; node < (int)nr_node_ids; node++)
		slabs += READ_ONCE(s->node[node].nr_slabs);
	return !slabs;
}

void __kmem_cache_release(struct kmem_cache *s)
{
	/* It is all one object. */
	if (READ_ONCE(slub_last_slow) == s)
		WRITE_ONCE(slub_last_slow, kmem_cache_cache);
}

/* ---- Counts ----------------------------------------------------------------------------------- */

unsigned long __kmem_cache_active(struct kmem_cache *s)
{
	long active = 0;

	for (int node = 0; node < (int)nr_node_ids; node++) {
		struct kmem_cache_node *n = &s->node[node];
		unsigned long flags;

		spin_lock_irqsave(&n->lock, flags);
		active += (long)(n->total_objects - n->free_objects);
		spin_unlock_irqrestore(&n->lock, flags);
	}
	/* Read one after the other, while objects move: never less than none. */
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		active -= (long)sheaf_objects(s, &s->cpu[cpu]);
	return active > 0 ? (unsigned long)active : 0;
}

void __get_slabinfo(struct kmem_cache *s, struct slabinfo *info)
{
	for (int node = 0; node < (int)nr_node_ids; node++) {
		info->num_objs += READ_ONCE(s->node[node].total_objects);
		info->num_slabs += READ_ONCE(s->node[node].nr_slabs);
	}
	info->active_objs = min(__kmem_cache_active(s), info->num_objs);
	info->active_slabs = info->num_slabs;
	info->objs_per_slab = s->objects;
	info->pages_per_slab = 1u << s->order;
}

static void report_list(struct kmem_cache *s, struct list_head *slabs, unsigned int *max)
{
	struct page *slab;

	list_for_each_entry(slab, slabs, slab_list) {
		for (unsigned int i = 0; i < slab->objects && *max; i++) {
			if (block_is_free(s, slab, i))
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

static unsigned int order_objects(unsigned int order, unsigned int size)
{
	unsigned int bytes = (unsigned int)PAGE_SIZE << order, nr = bytes / size;

	while (nr > BITS_PER_LONG && nr * size + BITS_TO_LONGS(nr) * sizeof(long) > bytes)
		nr--;
	return nr;
}

/* The smallest order that wastes little and has enough objects, at most SLAB_MAX_ORDER. */
static unsigned int calculate_order(unsigned int size)
{
	unsigned int want = 4 * ((unsigned int)fls(machine_nr_cpus()) + 1);

	for (; want > 1; want--) {
		for (unsigned int fraction = 16; fraction >= 4; fraction /= 2) {
			for (unsigned int order = 0; order <= SLAB_MAX_ORDER; order++) {
				unsigned int bytes = (unsigned int)PAGE_SIZE << order;

				if (bytes / size >= want && bytes % size * fraction <= bytes)
					return order;
			}
		}
	}
	return get_order(size);
}

int __kmem_cache_create(struct kmem_cache *s)
{
	unsigned int cpus = machine_nr_cpus();

	s->order = calculate_order(s->size);
	s->min_order = get_order(s->size);
	s->objects = order_objects(s->order, s->size);
	s->min_objects = order_objects(s->min_order, s->size);
	if (s->order <= 4)
		s->reciprocal = (unsigned int)(((1ull << 32) + s->size - 1) / s->size);
	if (!is_debug(s) && s->size <= KMALLOC_MAX_CACHE_SIZE)
		s->sheaf_limit = clamp(SHEAF_MAX_BYTES / s->size, 4u, SHEAF_MAX);
	s->simple = !s->order && s->objects <= BITS_PER_LONG && !is_debug(s);
	s->batch = s->sheaf_limit / 2;
	s->min_partial = clamp((unsigned long)ilog2(s->size) / 2, 5UL, 10UL);
#ifdef CONFIG_SLAB_FREELIST_RANDOM
	machine_random(&s->random, sizeof(s->random));
#endif
	for (unsigned int cpu = 0; cpu < cpus; cpu++)
		s->cpu[cpu].room = s->sheaf_limit ? (int)s->sheaf_limit : SHEAF_NEVER;
	s->cpu[cpus].room = SHEAF_NEVER;
	/* Of the last slot there is only the beginning. */
	s->node = (struct kmem_cache_node *)((char *)&s->cpu[cpus] + CACHE_LINE);
	for (int node = 0; node < (int)nr_node_ids; node++) {
		spin_lock_init(&s->node[node].lock);
		INIT_LIST_HEAD(&s->node[node].partial);
		INIT_LIST_HEAD(&s->node[node].full);
	}
	return 0;
}

unsigned int kmem_cache_bytes(void)
{
	return (unsigned int)sizeof(struct kmem_cache) +
	       machine_nr_cpus() * (unsigned int)sizeof(struct kmem_cache_cpu) + CACHE_LINE +
	       (unsigned int)nr_node_ids * (unsigned int)sizeof(struct kmem_cache_node);
}

/* The cache that caches come from, in memory that is nobody's object. */
static u8 boot_memory[sizeof(struct kmem_cache) + MACHINE_MAX_CPUS * sizeof(struct kmem_cache_cpu) +
		      CACHE_LINE + MAX_NUMNODES * sizeof(struct kmem_cache_node)]
	__attribute__((aligned(64)));

void kmem_cache_bootstrap(void)
{
	memset(boot_memory, 0, sizeof(boot_memory));
	kmem_cache_cache = (struct kmem_cache *)boot_memory;
	slub_last_slow = kmem_cache_cache;
	create_boot_cache(kmem_cache_cache, "kmem_cache", kmem_cache_bytes(), SLAB_INTERNAL);
}
#endif
