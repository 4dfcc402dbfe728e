/* SPDX-License-Identifier: MIT */
/*
 * SLUB: caches of equal objects, cut from folios ("slabs").
 *
 *	kmem_cache
 *	  cpu[n].freelist -> obj -> obj -> NULL	   objects that only CPU n hands out,
 *	  cpu[n].page     -> slab (frozen)	   all out of its slab
 *	  node.partial    -> slab -> slab	   slabs with free objects, no CPU's
 *						   (full slabs are on no list)
 *
 * A free object holds the link to the next one: in its first word, or behind the object when its
 * contents must survive (constructor, poison). page->freelist has a slab's free objects, except
 * those that a CPU has taken over; page->inuse counts all that are not on page->freelist.
 *
 *	 object            red zone       link     padding
 *	|......object_size|bb bb bb bb..|--> next|.........|	(red zone, link: where needed)
 *	|<--------------------- size -------------------->|
 *
 * Allocation and free on the CPU's own slab need interrupts off and nothing else. Freeing into
 * another slab puts the object on page->freelist under node.lock; a frozen slab's CPU finds it
 * there when its own list is used up.
 *
 * Locking: node.lock covers page->freelist, inuse, frozen, and the partial list; interrupts are
 * off, a leaf but for zone->lock. slab_mutex covers the list of caches.
 */
#include <quire/fault-inject.h>
#include <quire/slab.h>
#include <quire/mm.h>
#include <quire/string.h>
#include <quire/sprintf.h>
#include <quire/vmstat.h>

#define SLAB_DEBUG (SLAB_POISON | SLAB_RED_ZONE)
#ifdef CONFIG_DEBUG_VM
#define SLAB_ALWAYS SLAB_DEBUG
#else
#define SLAB_ALWAYS 0u
#endif

#define POISON_FREE 0x6b
#define POISON_END 0xa5
#define RED_INACTIVE 0xbb
#define RED_ACTIVE 0xcc

#define SLAB_MAX_ORDER 3
#define CACHE_LINE 64u
#define KMALLOC_MAX_SIZE (PAGE_SIZE << MAX_ORDER)

struct kmem_cache_cpu {
	void *freelist;
	struct page *page;
	char pad[CACHE_LINE - 2 * sizeof(void *)]; /* no two CPUs in a line */
};

struct kmem_cache_node {
	spinlock_t lock;
	struct list_head partial;
	unsigned long nr_partial;
	unsigned long nr_slabs;
	unsigned long total_objects;
};

struct kmem_cache {
	unsigned int offset; /* of the link in a free object */
	unsigned int object_size; /* what the caller asked for */
	unsigned int size; /* from one object to the next */
	unsigned int inuse; /* object and red zone */
	slab_flags_t flags;
	unsigned int order; /* of a slab; min_order when memory is short */
	unsigned int min_order;
	unsigned long min_partial; /* empty slabs beyond it are given back */
	void (*ctor)(void *);
	const char *name;
	struct list_head list;
	struct kmem_cache_node node;
	struct kmem_cache_cpu cpu[MACHINE_MAX_CPUS]; /* allocated for machine_nr_cpus() */
};

/* The cache that struct kmem_cache comes from; the others' are its objects. */
static struct kmem_cache boot_kmem_cache;
static struct list_head slab_caches;
static struct mutex slab_mutex;
static atomic_long_t kmalloc_large_objects;

/* ---- Objects ------------------------------------------------------------------------------ */

__noreturn __cold static void object_err(const struct kmem_cache *s, const void *object,
					 const char *why)
{
	static char text[160];

	snprintf(text, sizeof(text), "slab %s: object %p: %s", s->name, object, why);
	machine_panic(text);
}

static void *get_freepointer(const struct kmem_cache *s, const void *object)
{
	return *(void **)((char *)object + s->offset);
}

static void set_freepointer(const struct kmem_cache *s, void *object, void *next)
{
	*(void **)((char *)object + s->offset) = next;
}

static void poison_object(const struct kmem_cache *s, char *object)
{
	if (s->flags & SLAB_POISON) {
		memset(object, POISON_FREE, s->object_size - 1);
		object[s->object_size - 1] = (char)POISON_END;
	}
}

static void mark_red_zone(const struct kmem_cache *s, char *object, int value)
{
	if (s->flags & SLAB_RED_ZONE)
		memset(object + s->object_size, value, s->inuse - s->object_size);
}

static bool red_zone_is(const struct kmem_cache *s, const char *object, int value)
{
	return !memchr_inv(object + s->object_size, value, s->inuse - s->object_size);
}

__cold static void debug_alloc(const struct kmem_cache *s, char *object)
{
	if ((s->flags & SLAB_RED_ZONE) && !red_zone_is(s, object, RED_INACTIVE))
		object_err(s, object, "written past its end while free");
	if ((s->flags & SLAB_POISON) && (memchr_inv(object, POISON_FREE, s->object_size - 1) ||
					 object[s->object_size - 1] != (char)POISON_END))
		object_err(s, object, "written while free");
	mark_red_zone(s, object, RED_ACTIVE);
}

__cold static void debug_free(const struct kmem_cache *s, const struct page *page, char *object)
{
	unsigned long distance = (unsigned long)(object - (char *)page_address(page));

	if (distance % s->size || distance / s->size >= page->objects)
		object_err(s, object, "freed, but no object begins there");
	if ((s->flags & SLAB_RED_ZONE) && !red_zone_is(s, object, RED_ACTIVE)) {
		object_err(s, object,
			   red_zone_is(s, object, RED_INACTIVE) ? "freed twice"
								: "written past its end");
	}
	mark_red_zone(s, object, RED_INACTIVE);
	poison_object(s, object);
}

/* ---- Slabs -------------------------------------------------------------------------------- */

static unsigned int order_objects(unsigned int order, unsigned int size)
{
	return (unsigned int)(PAGE_SIZE << order) / size;
}

static unsigned int slab_order(const struct kmem_cache *s, const struct page *page)
{
	return page->objects == order_objects(s->order, s->size) ? s->order : s->min_order;
}

/*
 * The slab or large block that p lies in. PG_slab is on heads alone; the word that tells a tail
 * is not looked at in a head, where it is a link of the partial list.
 */
static struct page *virt_to_slab(const void *p)
{
	struct page *page = virt_to_page(p);

	return PageSlab(page) ? page : compound_head(page);
}

/* All objects on the slab's list, in the order of their addresses. */
static void init_slab_objects(struct kmem_cache *s, struct page *page)
{
	char *object = page_address(page);

	page->freelist = object;
	for (unsigned int i = 0; i < page->objects; i++, object += s->size) {
		bool last = i + 1u == page->objects;

		if (unlikely(s->flags & SLAB_DEBUG)) {
			poison_object(s, object);
			mark_red_zone(s, object, RED_INACTIVE);
		}
		if (unlikely(s->ctor))
			s->ctor(object);
		set_freepointer(s, object, last ? NULL : object + s->size);
	}
}

static struct page *alloc_slab_page(struct kmem_cache *s, gfp_t gfp, unsigned int order)
{
	struct page *page = alloc_pages(gfp | (order ? __GFP_COMP : 0), order);

	if (page)
		page->objects = (u16)order_objects(order, s->size);
	return page;
}

/* An empty slab that nobody knows of yet; may sleep if gfp does. */
static struct page *new_slab(struct kmem_cache *s, gfp_t gfp)
{
	struct page *page = NULL;

	gfp &= ~(__GFP_ZERO | __GFP_MOVABLE | __GFP_COMP);
	if (s->order > s->min_order) {
		gfp_t try = (gfp | __GFP_NOWARN | __GFP_NORETRY) &
			    ~(__GFP_NOFAIL | __GFP_DIRECT_RECLAIM);

		page = alloc_slab_page(s, try, s->order);
	}
	if (!page)
		page = alloc_slab_page(s, gfp, s->min_order);
	if (!page)
		return NULL;
	__SetPageSlab(page);
	page->slab_cache = s;
	page->inuse = 0;
	page->frozen = 0;
	init_slab_objects(s, page);
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, 1L << slab_order(s, page));
	return page;
}

/* To the page allocator, which wants the frames as it gave them. */
static void free_slab(struct kmem_cache *s, struct page *page)
{
	unsigned int order = slab_order(s, page);

	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, -(1L << order));
	__ClearPageSlab(page);
	page->slab_cache = NULL;
	page->private = order;
	__free_pages(page, order);
}

/* node.lock held. */
static void add_partial(struct kmem_cache_node *n, struct page *page)
{
	list_add_tail(&page->slab_list, &n->partial);
	n->nr_partial++;
}

/* node.lock held. */
static void remove_partial(struct kmem_cache_node *n, struct page *page)
{
	__list_del_entry(&page->slab_list);
	n->nr_partial--;
}

/* node.lock held. An empty slab that is on no list any more: free_slab() it after unlocking. */
static void discard_slab(struct kmem_cache_node *n, struct page *page)
{
	n->nr_slabs--;
	n->total_objects -= page->objects;
}

/* node.lock held. One object onto its slab's list. */
static void slab_push(struct kmem_cache *s, struct page *page, void *object)
{
	set_freepointer(s, object, page->freelist);
	page->freelist = object;
	page->inuse--;
}

/* ---- Allocation --------------------------------------------------------------------------- */

/*
 * Interrupts off. Give the CPU the free objects of its slab, which others put there, or of a
 * partial one.
 */
static bool refill_cpu_slab(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	struct kmem_cache_node *n = &s->node;
	struct page *page = c->page;

	spin_lock(&n->lock);
	if (page && !page->freelist) {
		page->frozen = 0;
		page = NULL;
	}
	if (!page && !list_empty(&n->partial)) {
		page = list_first_entry(&n->partial, struct page, slab_list);
		remove_partial(n, page);
		page->frozen = 1;
	}
	c->page = page;
	if (page) {
		c->freelist = page->freelist;
		page->freelist = NULL;
		page->inuse = page->objects;
	}
	spin_unlock(&n->lock);
	return page;
}

/* Interrupts off, but on while the page allocator works: then the CPU may change. */
noinline static void *slab_alloc_slow(struct kmem_cache *s, gfp_t gfp, unsigned long *flags)
{
	bool failed = false;

	for (;;) {
		struct kmem_cache_cpu *c = &s->cpu[machine_cpu_id()];
		struct page *page;

		if (c->freelist || refill_cpu_slab(s, c)) {
			void *object = c->freelist;

			c->freelist = get_freepointer(s, object);
			return object;
		}
		if (failed)
			return NULL;
		machine_irq_restore(*flags);
		page = new_slab(s, gfp);
		*flags = machine_irq_save();
		failed = !page;
		if (page) {
			spin_lock(&s->node.lock);
			s->node.nr_slabs++;
			s->node.total_objects += page->objects;
			add_partial(&s->node, page);
			spin_unlock(&s->node.lock);
		}
	}
}

static void *slab_alloc(struct kmem_cache *s, gfp_t gfp)
{
	unsigned long flags = machine_irq_save();
	struct kmem_cache_cpu *c = &s->cpu[machine_cpu_id()];
	void *object = c->freelist;

	if (likely(object))
		c->freelist = get_freepointer(s, object);
	else
		object = slab_alloc_slow(s, gfp, &flags);
	machine_irq_restore(flags);
	if (unlikely(!object))
		return NULL;
	if (unlikely(s->flags & SLAB_DEBUG))
		debug_alloc(s, object);
	if (unlikely(gfp & __GFP_ZERO))
		memset(object, 0, s->object_size);
	return object;
}

static bool slab_should_fail(gfp_t gfp)
{
	return !(gfp & __GFP_NOFAIL) && should_fail(&failslab);
}

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	if (gfp & __GFP_DIRECT_RECLAIM)
		lockdep_may_sleep();
	if (unlikely(slab_should_fail(gfp)))
		return NULL;
	return slab_alloc(s, gfp);
}

/* ---- Free --------------------------------------------------------------------------------- */

/* Interrupts off. Into a slab that is not this CPU's. */
noinline static void slab_free_slow(struct kmem_cache *s, struct page *page, void *object)
{
	struct kmem_cache_node *n = &s->node;
	bool discard = false;
	bool was_full;

	spin_lock(&n->lock);
	if (unlikely(object == page->freelist || !page->inuse))
		object_err(s, object, "freed twice");
	was_full = !page->freelist;
	slab_push(s, page, object);
	if (!page->frozen) {
		discard = !page->inuse && n->nr_partial >= s->min_partial;
		if (was_full && !discard)
			add_partial(n, page);
		else if (!was_full && discard)
			remove_partial(n, page);
		if (discard)
			discard_slab(n, page);
	}
	spin_unlock(&n->lock);
	if (discard)
		free_slab(s, page);
}

static void slab_free(struct kmem_cache *s, struct page *page, void *object)
{
	struct kmem_cache_cpu *c;
	unsigned long flags;

	if (unlikely(s->flags & SLAB_DEBUG))
		debug_free(s, page, object);
	flags = machine_irq_save();
	c = &s->cpu[machine_cpu_id()];
	if (likely(page == c->page)) {
		if (unlikely(object == c->freelist))
			object_err(s, object, "freed twice");
		set_freepointer(s, object, c->freelist);
		c->freelist = object;
	} else {
		slab_free_slow(s, page, object);
	}
	machine_irq_restore(flags);
}

void kmem_cache_free(struct kmem_cache *s, void *object)
{
	struct page *page = virt_to_slab(object);

	if (unlikely(!PageSlab(page) || page->slab_cache != s))
		object_err(s, object, "freed to a cache that it is not from");
	slab_free(s, page, object);
}

/* ---- Giving empty slabs back -------------------------------------------------------------- */

/* On the CPU with interrupts off, or with nobody else in the cache. Its slab is its no more. */
static void flush_cpu_slab(struct kmem_cache *s, struct kmem_cache_cpu *c)
{
	struct kmem_cache_node *n = &s->node;
	struct page *page = c->page;

	if (!page)
		return;
	spin_lock(&n->lock);
	while (c->freelist) {
		void *object = c->freelist;

		c->freelist = get_freepointer(s, object);
		slab_push(s, page, object);
	}
	page->frozen = 0;
	c->page = NULL;
	if (page->freelist)
		add_partial(n, page);
	spin_unlock(&n->lock);
}

static void flush_by_ipi(void *cache)
{
	struct kmem_cache *s = cache;
	unsigned long flags = machine_irq_save();

	flush_cpu_slab(s, &s->cpu[machine_cpu_id()]);
	machine_irq_restore(flags);
}

/* With nobody else in the cache. */
static void flush_all_cpus(struct kmem_cache *s)
{
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		flush_cpu_slab(s, &s->cpu[cpu]);
}

static void free_empty_slabs(struct kmem_cache *s)
{
	struct kmem_cache_node *n = &s->node;
	struct page *page, *next;
	unsigned long flags;
	LIST_HEAD(empty);

	spin_lock_irqsave(&n->lock, flags);
	list_for_each_entry_safe(page, next, &n->partial, slab_list) {
		if (page->inuse)
			continue;
		remove_partial(n, page);
		discard_slab(n, page);
		list_add(&page->slab_list, &empty);
	}
	spin_unlock_irqrestore(&n->lock, flags);
	while (!list_empty(&empty)) {
		page = list_first_entry(&empty, struct page, slab_list);
		list_del(&page->slab_list);
		free_slab(s, page);
	}
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

/* Objects handed out; those on the list of a CPU count as such. */
static unsigned long count_active(struct kmem_cache *s)
{
	struct kmem_cache_node *n = &s->node;
	unsigned long active, flags;
	struct page *page;

	spin_lock_irqsave(&n->lock, flags);
	active = n->total_objects;
	list_for_each_entry(page, &n->partial, slab_list)
		active -= page->objects - page->inuse;
	spin_unlock_irqrestore(&n->lock, flags);
	return active;
}

unsigned long kmem_cache_shrink_all(void)
{
	unsigned long left = (unsigned long)atomic_long_read(&kmalloc_large_objects);
	struct kmem_cache *s;

	mutex_lock(&slab_mutex);
	list_for_each_entry(s, &slab_caches, list) {
		flush_all_cpus(s);
		free_empty_slabs(s);
		if (s != &boot_kmem_cache)
			left += count_active(s);
	}
	mutex_unlock(&slab_mutex);
	return left;
}

bool kmem_cache_leftover(unsigned int i, const char **name, unsigned long *objects)
{
	unsigned long large = (unsigned long)atomic_long_read(&kmalloc_large_objects);
	bool found = false;
	struct kmem_cache *s;

	mutex_lock(&slab_mutex);
	list_for_each_entry(s, &slab_caches, list) {
		*objects = s == &boot_kmem_cache ? 0 : count_active(s);
		if (*objects && !i--) {
			*name = s->name;
			found = true;
			break;
		}
	}
	mutex_unlock(&slab_mutex);
	if (!found && large && !i) {
		*name = "kmalloc-large";
		*objects = large;
		found = true;
	}
	return found;
}

/* ---- Caches ------------------------------------------------------------------------------- */

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

static unsigned int calculate_alignment(slab_flags_t flags, unsigned int align, unsigned int size)
{
	if (flags & SLAB_HWCACHE_ALIGN) {
		unsigned int line = CACHE_LINE;

		while (size <= line / 2)
			line /= 2;
		align = max(align, line);
	}
	return max(align, (unsigned int)sizeof(void *));
}

/* Lay the object out; see the head of this file. */
static void calculate_sizes(struct kmem_cache *s, unsigned int align)
{
	s->inuse = ALIGN(s->object_size, (unsigned int)sizeof(void *));
	if (s->flags & SLAB_RED_ZONE)
		s->inuse += sizeof(void *);
	s->size = s->inuse;
	s->offset = 0;
	if (s->ctor || (s->flags & SLAB_POISON)) {
		s->offset = s->size;
		s->size += sizeof(void *);
	}
	s->size = ALIGN(s->size, align);
	s->order = calculate_order(s->size);
	s->min_order = get_order(s->size);
	s->min_partial = clamp((unsigned long)ilog2(s->size) / 2, 5UL, 10UL);
}

static void init_cache(struct kmem_cache *s, const char *name, unsigned int size,
		       unsigned int align, slab_flags_t flags, void (*ctor)(void *))
{
	flags |= SLAB_ALWAYS;
	if (ctor)
		flags &= ~SLAB_POISON;
	s->name = name;
	s->object_size = size;
	s->flags = flags;
	s->ctor = ctor;
	spin_lock_init(&s->node.lock);
	INIT_LIST_HEAD(&s->node.partial);
	calculate_sizes(s, calculate_alignment(flags, align, size));
	mutex_lock(&slab_mutex);
	list_add_tail(&s->list, &slab_caches);
	mutex_unlock(&slab_mutex);
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *))
{
	struct kmem_cache *s = NULL;

	if (size && size <= KMALLOC_MAX_SIZE / 2 && !(align & (align - 1)) &&
	    align <= PAGE_SIZE * 2)
		s = kmem_cache_zalloc(&boot_kmem_cache, GFP_KERNEL);
	if (s)
		init_cache(s, name, size, align, flags, ctor);
	else if (flags & SLAB_PANIC)
		machine_panic("kmem_cache_create: no memory, or impossible sizes");
	return s;
}

int kmem_cache_destroy(struct kmem_cache *s)
{
	if (!s)
		return 0;
	flush_all_cpus(s);
	free_empty_slabs(s);
	if (s->node.nr_slabs) {
		pr_err("slab %s: %lu objects remain", s->name, count_active(s));
		return -EBUSY;
	}
	mutex_lock(&slab_mutex);
	list_del(&s->list);
	mutex_unlock(&slab_mutex);
	kmem_cache_free(&boot_kmem_cache, s);
	return 0;
}

unsigned int kmem_cache_size(struct kmem_cache *s)
{
	return s->object_size;
}

bool get_slabinfo(unsigned int i, struct slabinfo *info)
{
	bool found = false;
	struct kmem_cache *s;

	mutex_lock(&slab_mutex);
	list_for_each_entry(s, &slab_caches, list) {
		if (i--)
			continue;
		found = true;
		info->name = s->name;
		info->active_objs = count_active(s);
		info->num_objs = READ_ONCE(s->node.total_objects);
		info->object_size = s->size;
		info->objs_per_slab = order_objects(s->order, s->size);
		info->pages_per_slab = 1u << s->order;
		info->active_slabs = info->num_slabs = READ_ONCE(s->node.nr_slabs);
		break;
	}
	mutex_unlock(&slab_mutex);
	return found;
}

/* ---- kmalloc ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned int size, align;
} kmalloc_info[] = {
	{ "kmalloc-8", 8, 8 },	      { "kmalloc-16", 16, 16 },	    { "kmalloc-32", 32, 32 },
	{ "kmalloc-64", 64, 64 },     { "kmalloc-96", 96, 32 },	    { "kmalloc-128", 128, 128 },
	{ "kmalloc-192", 192, 64 },   { "kmalloc-256", 256, 256 },  { "kmalloc-512", 512, 512 },
	{ "kmalloc-1k", 1024, 1024 }, { "kmalloc-2k", 2048, 2048 }, { "kmalloc-4k", 4096, 4096 },
	{ "kmalloc-8k", 8192, 8192 },
};

#define KMALLOC_SMALL 192u /* up to it sizes are looked up by eights */
#define KMALLOC_256 7 /* from it on the caches double */

static struct kmem_cache *kmalloc_caches[ARRAY_SIZE(kmalloc_info)];
static u8 kmalloc_index[KMALLOC_SMALL / 8]; /* (size - 1) / 8 */

static struct kmem_cache *kmalloc_slab(size_t size)
{
	if (size <= KMALLOC_SMALL)
		return kmalloc_caches[kmalloc_index[(size - 1) / 8]];
	return kmalloc_caches[KMALLOC_256 + fls64(size - 1) - 8];
}

static void *kmalloc_large(size_t size, gfp_t gfp)
{
	unsigned int order = get_order(size);
	struct page *page = alloc_pages(gfp | __GFP_COMP, order);

	if (!page)
		return NULL;
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, 1L << order);
	atomic_long_inc(&kmalloc_large_objects);
	return page_address(page);
}

static void free_large(struct page *page)
{
	unsigned int order = (unsigned int)page->private;

	if (!PageHead(page))
		machine_panic("kfree: not from kmalloc");
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, -(1L << order));
	atomic_long_dec(&kmalloc_large_objects);
	__free_pages(page, order);
}

void *kmalloc(size_t size, gfp_t gfp)
{
	if (unlikely(!size))
		return ZERO_SIZE_PTR;
	if (unlikely(size > KMALLOC_MAX_SIZE || slab_should_fail(gfp)))
		return NULL;
	if (likely(size <= KMALLOC_MAX_CACHE_SIZE))
		return slab_alloc(kmalloc_slab(size), gfp);
	return kmalloc_large(size, gfp);
}

void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kmalloc(bytes, gfp | __GFP_ZERO);
}

void kfree(const void *p)
{
	struct page *page;

	if (ZERO_OR_NULL_PTR(p))
		return;
	page = virt_to_slab(p);
	if (likely(PageSlab(page)))
		slab_free(page->slab_cache, page, (void *)p);
	else
		free_large(page);
}

size_t ksize(const void *p)
{
	struct page *page;

	if (ZERO_OR_NULL_PTR(p))
		return 0;
	page = virt_to_slab(p);
	return PageSlab(page) ? page->slab_cache->object_size : PAGE_SIZE << page->private;
}

void *krealloc(const void *p, size_t new_size, gfp_t gfp)
{
	size_t old_size = ksize(p);
	void *copy;

	if (!new_size) {
		kfree(p);
		return ZERO_SIZE_PTR;
	}
	if (old_size >= new_size)
		return (void *)p;
	copy = kmalloc(new_size, gfp);
	if (copy && old_size) {
		memcpy(copy, p, old_size);
		kfree(p);
	}
	return copy;
}

char *kstrdup(const char *s, gfp_t gfp)
{
	size_t bytes = strlen(s) + 1;
	char *copy = kmalloc(bytes, gfp);

	return copy ? memcpy(copy, s, bytes) : NULL;
}

/* ---- Boot --------------------------------------------------------------------------------- */

static void create_kmalloc_caches(void)
{
	unsigned int small = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(kmalloc_info); i++) {
		kmalloc_caches[i] = kmem_cache_create(kmalloc_info[i].name, kmalloc_info[i].size,
						      kmalloc_info[i].align, SLAB_PANIC, NULL);
		while (small < ARRAY_SIZE(kmalloc_index) && 8 * (small + 1) <= kmalloc_info[i].size)
			kmalloc_index[small++] = (u8)i;
	}
}

void kmem_cache_init(void)
{
	mutex_init(&slab_mutex);
	INIT_LIST_HEAD(&slab_caches);
	atomic_long_set(&kmalloc_large_objects, 0);
	memset(&boot_kmem_cache, 0, sizeof(boot_kmem_cache));
	init_cache(&boot_kmem_cache, "kmem_cache",
		   offsetof(struct kmem_cache, cpu) +
			   machine_nr_cpus() * (unsigned int)sizeof(struct kmem_cache_cpu),
		   0, SLAB_HWCACHE_ALIGN, NULL);
	create_kmalloc_caches();
}
