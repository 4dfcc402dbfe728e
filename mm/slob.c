/* SPDX-License-Identifier: MIT */
/*
 * SLOB: objects of all caches and of kmalloc() side by side in pages; the first block that is
 * large enough. The smallest of the three, for machines with little memory, and the slowest.
 *
 *	slob_pages[] -> page -> page		pages with free blocks, for small, medium, large objects
 *
 *	|head|object..|##free##|head|object....|head|object|####free####|
 *	               ^ units, next free block
 *
 * A page consists of units of 8 bytes. A free block says in its first unit how many it has and where the
 * next one begins; page->first_free is the first, page->inuse counts units that are not free. Before
 * each object one unit says whose it is: its cache or, with bit 0 set, the size given to kmalloc(). Objects
 * of caches that do not fit a page have pages of their own; there page->slab_cache is set.
 *
 * No debug flags: what they would watch is in use here. A block freed twice is seen.
 *
 * Locking: slob_lock, interrupts off, covers pages and blocks; a leaf but for zone->lock.
 */
#ifdef CONFIG_SLOB
#include <quire/string.h>
#include <quire/vmstat.h>

#include "slab.h"

#define UNIT 8u
#define PAGE_UNITS ((unsigned int)(PAGE_SIZE / UNIT))
#define NO_BLOCK PAGE_UNITS
#define UNITS(bytes) DIV_ROUND_UP((unsigned int)(bytes), UNIT)

/* Free blocks and heads lie in memory that AddressSanitizer is told nobody may touch. */
#define __no_sanitize_address __attribute__((no_sanitize("address")))

struct free_block {
	u16 units;
	u16 next; /* unit in the page; NO_BLOCK: it is the last */
};

static const unsigned int size_limit[] = { 256, 1024, (unsigned int)PAGE_SIZE };
static struct list_head slob_pages[ARRAY_SIZE(size_limit)];
static spinlock_t slob_lock;
static struct kmem_cache *kmalloc_cache; /* counts what kmalloc() has handed out */

const char slab_allocator_name[] = "SLOB";

/* ---- Blocks of a page: slob_lock held ---------------------------------------------------------- */

static struct free_block *block_at(const struct page *page, unsigned int unit)
{
	return (struct free_block *)((char *)page_address(page) + unit * UNIT);
}

static unsigned int unit_of(const void *p)
{
	return (unsigned int)((unsigned long)p % PAGE_SIZE / UNIT);
}

/* Which unit of block b an object of this alignment would have before it; as far as there is one. */
static unsigned int head_unit(const struct page *page, unsigned int b, unsigned int align)
{
	unsigned long base = (unsigned long)page_address(page);

	return (unsigned int)((ALIGN(base + (b + 1) * UNIT, (unsigned long)align) - base) / UNIT) -
	       1;
}

/* Link what stands after block prev (NO_BLOCK: after none) to b. */
__no_sanitize_address static void link_after(struct page *page, unsigned int prev, unsigned int b)
{
	if (prev == NO_BLOCK)
		page->first_free = (u16)b;
	else
		block_at(page, prev)->next = (u16)b;
}

__no_sanitize_address static void make_block(struct page *page, unsigned int b, unsigned int units,
					     unsigned int next)
{
	*block_at(page, b) = (struct free_block){ (u16)units, (u16)next };
}

/* The head unit of a block of so many, head included; NO_BLOCK: there is none. */
__no_sanitize_address static unsigned int page_alloc_block(struct page *page, unsigned int units,
							   unsigned int align)
{
	unsigned int prev = NO_BLOCK;

	for (unsigned int b = page->first_free; b != NO_BLOCK; b = block_at(page, b)->next) {
		struct free_block found = *block_at(page, b);
		unsigned int head = head_unit(page, b, align), end = b + found.units;

		if (head + units > end) {
			prev = b;
			continue;
		}
		if (head > b) {
			make_block(page, b, head - b, found.next);
			prev = b;
		}
		if (head + units < end) {
			make_block(page, head + units, end - head - units, found.next);
			found.next = (u16)(head + units);
		}
		link_after(page, prev, found.next);
		page->inuse = (u16)(page->inuse + units);
		return head;
	}
	return NO_BLOCK;
}

/* In the order of addresses, together with its neighbours. False: some of it is free. */
__no_sanitize_address static bool page_free_block(struct page *page, unsigned int head,
						  unsigned int units)
{
	unsigned int prev = NO_BLOCK, next = page->first_free, end = head + units;

	while (next < head) {
		prev = next;
		next = block_at(page, next)->next;
	}
	if (end > next || (prev != NO_BLOCK && prev + block_at(page, prev)->units > head))
		return false;
	page->inuse = (u16)(page->inuse - units);
	if (end == next && next != NO_BLOCK) {
		units += block_at(page, next)->units;
		next = block_at(page, next)->next;
	}
	if (prev != NO_BLOCK && prev + block_at(page, prev)->units == head) {
		make_block(page, prev, block_at(page, prev)->units + units, next);
	} else {
		make_block(page, head, units, next);
		link_after(page, prev, head);
	}
	return true;
}

/* Whether the unit lies in a free block. */
__no_sanitize_address static bool unit_is_free(const struct page *page, unsigned int unit)
{
	unsigned int b = page->first_free;

	while (b != NO_BLOCK && b + block_at(page, b)->units <= unit)
		b = block_at(page, b)->next;
	return b <= unit;
}

/* ---- Pages ------------------------------------------------------------------------------------ */

static struct page *new_page(gfp_t gfp, unsigned int order, int node)
{
	struct page *page;

	gfp &= ~(SLAB_GFP_SLOW | __GFP_MOVABLE | __GFP_COMP | __GFP_HIGHMEM);
	gfp |= order ? __GFP_COMP : 0;
	page = node == NUMA_NO_NODE ? alloc_pages(gfp, order) : alloc_pages_node(node, gfp, order);
	if (!page)
		return NULL;
	__SetPageSlab(page);
	page->slab_cache = NULL;
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, 1L << order);
	return page;
}

static void give_back(struct page *page, unsigned int order)
{
	slab_allow(page_address(page), PAGE_SIZE << order);
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, -(1L << order));
	__ClearPageSlab(page);
	page->slab_cache = NULL;
	page->private = order;
	__free_pages(page, order);
}

static struct list_head *list_for(unsigned int bytes)
{
	unsigned int i = 0;

	while (bytes >= size_limit[i] && i + 1 < ARRAY_SIZE(size_limit))
		i++;
	return &slob_pages[i];
}

/* slob_lock held. First fit: pages in the order of the list, blocks in that of their addresses. */
static void *alloc_there(struct list_head *pages, unsigned int units, unsigned int align, int node)
{
	struct page *page;

	list_for_each_entry(page, pages, slab_list) {
		unsigned int head;

		if (page->inuse + units > PAGE_UNITS ||
		    (node != NUMA_NO_NODE && page_to_nid(page) != node))
			continue;
		head = page_alloc_block(page, units, align);
		if (head == NO_BLOCK)
			continue;
		if (page->inuse == PAGE_UNITS)
			list_del_init(&page->slab_list);
		return block_at(page, head);
	}
	return NULL;
}

/* A head unit and the bytes after it, these aligned. */
static unsigned long *slob_alloc(unsigned int bytes, unsigned int align, gfp_t gfp, int node)
{
	struct list_head *pages = list_for(bytes);
	unsigned int units = UNITS(bytes) + 1;
	unsigned long flags;
	struct page *page;
	void *head;

	spin_lock_irqsave(&slob_lock, flags);
	head = alloc_there(pages, units, align, node);
	spin_unlock_irqrestore(&slob_lock, flags);
	if (head)
		return head;
	page = new_page(gfp, 0, node);
	if (!page)
		return NULL;
	page->inuse = 0;
	page->first_free = 0;
	make_block(page, 0, PAGE_UNITS, NO_BLOCK);
	slab_forbid(page_address(page), PAGE_SIZE);
	spin_lock_irqsave(&slob_lock, flags);
	head = block_at(page, page_alloc_block(page, units, align));
	if (page->inuse < PAGE_UNITS)
		list_add(&page->slab_list, pages);
	else
		INIT_LIST_HEAD(&page->slab_list);
	spin_unlock_irqrestore(&slob_lock, flags);
	return head;
}

static void slob_free(unsigned long *head, unsigned int bytes, const struct kmem_cache *s)
{
	struct page *page = slab_page(head);
	unsigned int units = UNITS(bytes) + 1;
	bool was_full, is_free;
	unsigned long flags;

	slab_forbid(head, units * UNIT);
	spin_lock_irqsave(&slob_lock, flags);
	was_full = page->inuse == PAGE_UNITS;
	if (!page_free_block(page, unit_of(head), units))
		slab_panic(s, head + 1, "freed twice");
	is_free = !page->inuse;
	if (is_free && !was_full)
		__list_del_entry(&page->slab_list);
	else if (was_full && !is_free)
		list_add(&page->slab_list, list_for(bytes));
	spin_unlock_irqrestore(&slob_lock, flags);
	if (is_free)
		give_back(page, 0);
}

__no_sanitize_address static void set_head(unsigned long *head, unsigned long value)
{
	*head = value;
}

/* Of an object, which must be one: 0 if it is free. */
__no_sanitize_address static unsigned long read_head(const void *object)
{
	const unsigned long *head = (const unsigned long *)object - 1;
	unsigned long flags;
	bool is_free;

	spin_lock_irqsave(&slob_lock, flags);
	is_free = unit_is_free(slab_page(head), unit_of(head));
	spin_unlock_irqrestore(&slob_lock, flags);
	return is_free ? 0 : *head;
}

/* ---- Caches ------------------------------------------------------------------------------------ */

static bool has_own_pages(const struct kmem_cache *s)
{
	return s->size > PAGE_SIZE - 2 * UNIT || s->align > PAGE_SIZE / 2;
}

static unsigned int own_order(const struct kmem_cache *s)
{
	return get_order(max(s->size, s->align));
}

static void *alloc_object(struct kmem_cache *s, gfp_t gfp, int node)
{
	unsigned long *head;

	if (has_own_pages(s)) {
		struct page *page = new_page(gfp, own_order(s), node);

		if (!page)
			return NULL;
		page->slab_cache = s;
		return page_address(page);
	}
	head = slob_alloc(s->size, s->align, gfp, node);
	if (!head)
		return NULL;
	set_head(head, (unsigned long)s);
	return head + 1;
}

static void *alloc_counted(struct kmem_cache *s, gfp_t gfp, int node, size_t size)
{
	void *object = alloc_object(s, gfp, node);

	if (!object)
		return NULL;
	atomic_long_inc(&s->active);
	slab_handed_out(s, object, size, gfp);
	if (s->ctor)
		s->ctor(object);
	return object;
}

void *__slab_alloc(struct kmem_cache *s, gfp_t gfp, int node, size_t size, unsigned long caller)
{
	(void)caller;
	if (gfp & __GFP_DIRECT_RECLAIM)
		lockdep_may_sleep();
	return slab_should_fail(gfp) ? NULL : alloc_counted(s, gfp, node, size);
}

void __slab_free(struct kmem_cache *s, void *object, unsigned long caller)
{
	struct page *page = slab_page(object);

	(void)caller;
	if (page->slab_cache ? page->slab_cache != s : read_head(object) != (unsigned long)s)
		slab_panic(s, object, "freed to a cache that it is not from, or freed twice");
	if (s->dtor)
		s->dtor(object);
	atomic_long_dec(&s->active);
	if (has_own_pages(s))
		give_back(page, own_order(s));
	else
		slob_free((unsigned long *)object - 1, s->size, s);
}

size_t slab_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p, unsigned long caller)
{
	size_t got = 0;

	(void)caller;
	while (got < n && (p[got] = alloc_counted(s, gfp, NUMA_NO_NODE, s->object_size)))
		got++;
	return got;
}

void slab_free_bulk(struct kmem_cache *s, size_t n, void **p, unsigned long caller)
{
	for (size_t i = 0; i < n; i++)
		__slab_free(s, p[i], caller);
}

/* ---- kmalloc ------------------------------------------------------------------------------------ */

void *slob_kmalloc(size_t size, gfp_t gfp, int node)
{
	unsigned int align = is_power_of_2(size) ? max((unsigned int)size, UNIT) : UNIT;
	unsigned long *head;

	if (gfp & __GFP_DIRECT_RECLAIM)
		lockdep_may_sleep();
	if (slab_should_fail(gfp))
		return NULL;
	head = slob_alloc((unsigned int)size, align, gfp, node);
	if (!head)
		return NULL;
	set_head(head, size << 1 | 1);
	atomic_long_inc(&kmalloc_cache->active);
	return slab_handed_out(kmalloc_cache, head + 1, size, gfp);
}

void slob_kfree(void *p)
{
	struct page *page = slab_page(p);
	unsigned long head;

	if (page->slab_cache) {
		__slab_free(page->slab_cache, p, 0);
		return;
	}
	head = read_head(p);
	if (head & 1) {
		atomic_long_dec(&kmalloc_cache->active);
		slob_free((unsigned long *)p - 1, (unsigned int)(head >> 1), kmalloc_cache);
	} else if (head) {
		__slab_free((struct kmem_cache *)head, p, 0);
	} else {
		slab_panic(kmalloc_cache, p, "freed twice");
	}
}

size_t slob_ksize(const void *p)
{
	struct page *page = slab_page(p);
	unsigned long head;
	size_t size;

	if (page->slab_cache)
		return page->slab_cache->object_size;
	head = read_head(p);
	size = head & 1 ? ALIGN(head >> 1, (unsigned long)UNIT)
			: ((struct kmem_cache *)head)->object_size;
	slab_allow(p, size);
	return size;
}

/* ---- What there is to say of a cache -------------------------------------------------------------- */

int __kmem_cache_create(struct kmem_cache *s)
{
	atomic_long_set(&s->active, 0);
	return 0;
}

bool __kmem_cache_shutdown(struct kmem_cache *s)
{
	return !__kmem_cache_active(s); /* empty pages went at once */
}

int kmem_cache_shrink(struct kmem_cache *s)
{
	(void)s;
	return 0;
}

void __kmem_cache_release(struct kmem_cache *s)
{
	(void)s;
}

unsigned long __kmem_cache_active(struct kmem_cache *s)
{
	return (unsigned long)atomic_long_read(&s->active);
}

void __kmem_cache_report(struct kmem_cache *s, unsigned int max)
{
	(void)s;
	(void)max;
}

/* As if the cache's objects had pages to themselves. */
void __get_slabinfo(struct kmem_cache *s, struct slabinfo *info)
{
	unsigned int order = has_own_pages(s) ? own_order(s) : 0;

	info->active_objs = info->num_objs = __kmem_cache_active(s);
	info->pages_per_slab = 1u << order;
	info->objs_per_slab = order ? 1 : max((unsigned int)PAGE_SIZE / (s->size + UNIT), 1u);
	info->num_slabs = DIV_ROUND_UP(info->num_objs, (unsigned long)info->objs_per_slab);
	info->active_slabs = info->num_slabs;
}

unsigned int kmem_cache_bytes(void)
{
	return sizeof(struct kmem_cache);
}

void kmem_cache_bootstrap(void)
{
	static struct kmem_cache boot_caches[2];

	memset(boot_caches, 0, sizeof(boot_caches));
	spin_lock_init(&slob_lock);
	for (unsigned int i = 0; i < ARRAY_SIZE(slob_pages); i++)
		INIT_LIST_HEAD(&slob_pages[i]);
	kmem_cache_cache = &boot_caches[0];
	kmalloc_cache = &boot_caches[1];
	create_boot_cache(kmem_cache_cache, "kmem_cache", kmem_cache_bytes(), SLAB_INTERNAL);
	create_boot_cache(kmalloc_cache, "kmalloc", UNIT, 0);
}
#endif
