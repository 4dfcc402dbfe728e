/* SPDX-License-Identifier: MIT */
/*
 * The page allocator: a buddy system for each zone, and lists of small blocks for each CPU.
 *
 *	alloc_pages --> zonelist of the node --> order 0...3: list of this CPU --(a batch at a time)--.
 *	                                    \--> order n: free_area[n ...] <--------------------------'
 *
 * A free block of order n begins at a multiple of 2^n. Its first frame is of PAGE_TYPE_BUDDY, is
 * on free_area[n].free_list and has the order in `private`; the others are of PAGE_TYPE_FREE. The
 * buddy of block b of order n is b ^ 2^n; when both are free they are one block of order n + 1.
 *
 * Migratetypes keep frames that will not come back soon out of the neighbourhood of those that will:
 * each pageblock has a type, its free blocks are on lists of that type. An allocation that finds
 * nothing of its type lets the zone grow, then takes the largest block of another.
 *
 * PG_zeroed is a property of each frame while it is free, whatever block it lies in.
 *
 * Locking: zone->lock, a leaf, with interrupts off, for blocks; interrupts off alone for the lists
 * of a CPU. The path through those lists has no atomic read-modify-write.
 */
#include <quire/fault-inject.h>
#include <quire/memblock.h>
#include <quire/mm_inline.h>
#include <quire/reclaim.h>
#include <quire/sprintf.h>
#include <quire/string.h>
#include <quire/vmstat.h>

#include "page_alloc.h"

/* Which frames an attempt may take. */
enum alloc_flags {
	ALLOC_WMARK_MIN = WMARK_MIN,
	ALLOC_WMARK_LOW = WMARK_LOW,
	ALLOC_WMARK_MASK = 3,
	ALLOC_NO_WATERMARKS = 4, /* the last reserves: the caller frees memory with them */
	ALLOC_HIGH = 8, /* half of the minimum */
	ALLOC_HARDER = 16, /* a quarter more of it: the caller cannot wait */
	ALLOC_OOM = 32, /* half of what would be kept: the caller is about to end */
};

#define MAX_RECLAIM_RETRIES 16
#define MAX_COSTLY_RETRIES 3
#define NOFAIL_TRIES 10000u
#define MAX_PIECE_WAITS 100u
#define RETRY_WAIT_NS 1000000ull

/* ---- Broken use --------------------------------------------------------------------------- */

/* Flags of a page that something still relies on. */
#define PAGE_FLAGS_CHECK_AT_FREE                                                       \
	(1UL << PG_locked | 1UL << PG_lru | 1UL << PG_active | 1UL << PG_writeback |   \
	 1UL << PG_reserved | 1UL << PG_slab | 1UL << PG_table | 1UL << PG_swapcache | \
	 1UL << PG_unevictable)

static bool page_is_free(const struct page *page)
{
	u32 type = __atomic_load_n(&page->page_type, __ATOMIC_RELAXED);

	return (type & 0xfffffff0u) == 0xf0000000u;
}

/*
 * Debug builds know who took a frame and who gave it back. page->owner is the lower half of the address
 * that asked for the frame, which its last user leaves in place; OWNER_TAIL marks the frames behind the first
 * of a block. page->index of a free frame is the address that freed it, and then the frame is full of POISON.
 */
#ifdef CONFIG_DEBUG_VM
#define POISON 0xaa
#define OWNER_TAIL 1u
#define CALLER ((unsigned long)__builtin_return_address(0))

/* Code lies within 4 GiB of code. */
static unsigned long owner_address(const struct page *page)
{
	while (page->owner == OWNER_TAIL)
		page--;
	return page->owner ? ((unsigned long)owner_address & ~0xfffffffful) | page->owner : 0;
}

static void set_page_owner(struct page *page, unsigned int order, unsigned long caller)
{
	page->owner = (u32)caller;
	for (struct page *p = page + 1; p < page + (1UL << order); p++)
		p->owner = OWNER_TAIL;
}

static int owner_text(const struct page *page, char *text, size_t size)
{
	unsigned long freed_at = page_is_free(page) ? page->index : 0;
	int n = scnprintf(text, size, ", allocated at %#lx", owner_address(page));

	if (freed_at)
		n += scnprintf(text + n, size - (size_t)n, ", freed at %#lx", freed_at);
	return n;
}
#else
#define CALLER 0ul

static void set_page_owner(struct page *page, unsigned int order, unsigned long caller)
{
	(void)page;
	(void)order;
	(void)caller;
}

static int owner_text(const struct page *page, char *text, size_t size)
{
	(void)page;
	(void)size;
	*text = 0;
	return 0;
}
#endif

__noreturn __cold static void bad_page(const struct page *page, const char *why)
{
	static char text[300];
	char owner[80];

	owner_text(page, owner, sizeof(owner));
	snprintf(text, sizeof(text),
		 "bad page: pfn %#lx: %s (flags %#lx, refcount %d, mapcount %d, pincount %d, "
		 "type %#x, mapping %p%s)",
		 page_to_pfn(page), why, page->flags & ~PAGE_FLAGS_KEEP,
		 atomic_read(&page->_refcount), atomic_read(&page->_mapcount) + 1,
		 atomic_read(&page->_pincount), page->page_type, (void *)page->mapping, owner);
	machine_panic(text);
}

/* Atomic, because page_is_buddy() also looks at pages that are not free, whosever they are. */
static void set_page_type(struct page *page, u32 type)
{
	__atomic_store_n(&page->page_type, type, __ATOMIC_RELAXED);
}

__cold static void bad_free(const struct page *page)
{
	if (page->page_type == PAGE_TYPE_OFFLINE)
		bad_page(page, "freed, and is no RAM or reserved");
	if (page_is_free(page))
		bad_page(page, "freed twice");
	if (atomic_read(&page->_refcount))
		bad_page(page, "freed with references");
	if (atomic_read(&page->_mapcount) != -1)
		bad_page(page, "freed while mapped");
	if (atomic_read(&page->_pincount))
		bad_page(page, "freed while pinned");
	if (page->flags & PAGE_FLAGS_CHECK_AT_FREE)
		bad_page(page, "freed with flags set");
	bad_page(page, "freed while in the page cache");
}

/*
 * The frame is about to become free: nothing may hold it. An anonymous page may still have its
 * mapping (it dies with its last reference), a page of the cache may not.
 */
static void free_page_prepare(struct page *page, unsigned long caller)
{
	unsigned long mapping = (unsigned long)page->mapping;

	if (unlikely((page->flags & PAGE_FLAGS_CHECK_AT_FREE) || page->page_type != ~0u ||
		     atomic_read(&page->_refcount) || atomic_read(&page->_pincount) ||
		     (mapping && !(mapping & 1))))
		bad_free(page);
	page->flags &= PAGE_FLAGS_KEEP;
	page->mapping = NULL;
	page->compound_head = 0;
	set_page_type(page, PAGE_TYPE_FREE);
#ifdef CONFIG_DEBUG_VM
	page->index = caller;
	memset(page_address(page), POISON, PAGE_SIZE);
#else
	(void)caller;
#endif
}

/* Debug builds: as many frames as were allocated as one block. */
static void check_block(const struct page *page, unsigned int order)
{
#ifdef CONFIG_DEBUG_VM
	const struct page *end = page + (1UL << order);

	if (page->owner == OWNER_TAIL)
		bad_page(page, "freed in the middle of a block");
	for (const struct page *p = page + 1; p < end; p++)
		if (p->owner != OWNER_TAIL)
			bad_page(page, "freed with a larger order than allocated");
	if (page_to_pfn(end) % MAX_ORDER_NR_PAGES && end->owner == OWNER_TAIL && !page_is_free(end))
		bad_page(page, "freed with a smaller order than allocated");
#else
	(void)page;
	(void)order;
#endif
}

static void free_pages_prepare(struct page *page, unsigned int order, unsigned long caller)
{
	for (struct page *p = page; p < page + (1UL << order); p++)
		free_page_prepare(p, caller);
	check_block(page, order);
#ifdef CONFIG_DEBUG_VM
	/* A free frame is not a part of that block any more. */
	for (struct page *p = page; p < page + (1UL << order); p++)
		p->owner = page->owner;
#endif
}

/* ---- Frames on their way out -------------------------------------------------------------- */

/* Consecutive frames that must be cleared: one memset for all. */
struct zero_run {
	struct page *first;
	unsigned long nr;
};

static void zero_run_flush(struct zero_run *run)
{
	if (run->nr)
		machine_clear_pages(page_address(run->first), run->nr);
	run->nr = 0;
}

static void zero_run_add(struct zero_run *run, struct page *page)
{
	if (run->nr && page != run->first + run->nr)
		zero_run_flush(run);
	if (!run->nr)
		run->first = page;
	run->nr++;
}

/* A free frame becomes an allocated one; references are the caller's to set. */
static void prep_new_frame(struct page *page, gfp_t gfp, struct zero_run *run)
{
#ifdef CONFIG_DEBUG_VM
	if (page->index && memchr_inv(page_address(page), POISON, PAGE_SIZE))
		bad_page(page, "written to after it was freed");
	page->index = 0;
#endif
	if ((gfp & __GFP_ZERO) && !PageZeroed(page))
		zero_run_add(run, page);
	page->flags &= PAGE_FLAGS_KEEP;
	page->compound_head = 0;
	page->private = 0;
	set_page_type(page, ~0u); /* _mapcount -1 */
}

static void prep_compound_page(struct page *head, unsigned int order)
{
	__SetPageHead(head);
	head->private = order;
	for (struct page *p = head + 1; p < head + (1UL << order); p++)
		p->compound_head = (unsigned long)head | 1;
}

static void prep_new_page(struct page *page, unsigned int order, gfp_t gfp, unsigned long caller)
{
	struct zero_run run = { NULL, 0 };

	for (struct page *p = page; p < page + (1UL << order); p++)
		prep_new_frame(p, gfp, &run);
	zero_run_flush(&run);
	set_page_owner(page, order, caller);
	if (order && (gfp & __GFP_COMP))
		prep_compound_page(page, order);
	atomic_set(&page->_refcount, 1);
}

void split_page(struct page *page, unsigned int order)
{
	if (PageHead(page) || PageTail(page))
		bad_page(page, "a folio is not split");
	for (struct page *p = page + 1; p < page + (1UL << order); p++) {
		atomic_set(&p->_refcount, 1);
		p->owner = page->owner;
	}
}

/* ---- The buddy system: zone->lock held ---------------------------------------------------- */

static void link_free_block(struct zone *zone, struct page *page, unsigned int order)
{
	page->private = order;
	set_page_type(page, PAGE_TYPE_BUDDY);
	zone->free_area[order].nr_free++;
}

static void add_to_free_list(struct zone *zone, struct page *page, unsigned int order,
			     enum migratetype type)
{
	link_free_block(zone, page, order);
	list_add(&page->lru, &zone->free_area[order].free_list[type]);
}

void add_grown_block(struct zone *zone, struct page *page, unsigned int order,
		     enum migratetype type)
{
	link_free_block(zone, page, order);
	list_add_tail(&page->lru, &zone->free_area[order].free_list[type]);
}

static void del_from_free_list(struct zone *zone, struct page *page, unsigned int order)
{
	__list_del_entry(&page->lru);
	set_page_type(page, PAGE_TYPE_FREE);
	zone->free_area[order].nr_free--;
}

static void mod_zone_free(struct zone *zone, long frames)
{
	atomic_long_set(&zone->nr_free, atomic_long_read(&zone->nr_free) + frames);
}

static bool page_is_buddy(const struct page *page, unsigned int order)
{
	return __atomic_load_n(&page->page_type, __ATOMIC_RELAXED) == PAGE_TYPE_BUDDY &&
	       page->private == order;
}

static void free_one_block(struct zone *zone, struct page *page, unsigned int order)
{
	unsigned long pfn = page_to_pfn(page);

	mod_zone_free(zone, 1L << order);
	for (; order < MAX_ORDER; order++) {
		struct page *buddy = pfn_to_page(pfn ^ (1UL << order));

		if (!page_is_buddy(buddy, order))
			break;
		del_from_free_list(zone, buddy, order);
		pfn &= ~(1UL << order);
	}
	add_to_free_list(zone, pfn_to_page(pfn), order, pageblock_type(pfn));
}

/* Free the upper halves of a block of order `from` until it is one of order `to`. */
static void expand(struct zone *zone, struct page *page, unsigned int from, unsigned int to,
		   enum migratetype type)
{
	while (from > to) {
		from--;
		add_to_free_list(zone, page + (1UL << from), from, type);
	}
}

/*
 * The smallest free block of the type and of at least order `least`, cut down to order `most` if it is
 * larger. *order: what it is.
 */
static struct page *rmqueue_smallest(struct zone *zone, unsigned int least, unsigned int most,
				     enum migratetype type, unsigned int *order)
{
	for (unsigned int o = least; o < NR_PAGE_ORDERS; o++) {
		struct list_head *list = &zone->free_area[o].free_list[type];
		struct page *page;

		if (list_empty(list))
			continue;
		page = list_first_entry(list, struct page, lru);
		del_from_free_list(zone, page, o);
		*order = min(o, most);
		expand(zone, page, o, *order, type);
		return page;
	}
	return NULL;
}

static const u8 fallbacks[MIGRATE_TYPES][MIGRATE_TYPES - 1] = {
	[MIGRATE_UNMOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_MOVABLE },
	[MIGRATE_MOVABLE] = { MIGRATE_RECLAIMABLE, MIGRATE_UNMOVABLE },
	[MIGRATE_RECLAIMABLE] = { MIGRATE_UNMOVABLE, MIGRATE_MOVABLE },
};

static struct page *largest_fallback(struct zone *zone, unsigned int least, enum migratetype type,
				     unsigned int *order, enum migratetype *found)
{
	for (unsigned int o = MAX_ORDER + 1; o-- > least;) {
		for (int i = 0; i < MIGRATE_TYPES - 1; i++) {
			struct list_head *list;

			*found = (enum migratetype)fallbacks[type][i];
			list = &zone->free_area[o].free_list[*found];
			*order = o;
			if (!list_empty(list))
				return list_first_entry(list, struct page, lru);
		}
	}
	return NULL;
}

/*
 * Take from another type: the largest block, so that few pageblocks are mixed. Whole pageblocks
 * change their type; what is left of a smaller block stays where it was.
 */
static struct page *rmqueue_fallback(struct zone *zone, unsigned int order, enum migratetype type)
{
	enum migratetype found;
	unsigned int o;
	struct page *page = largest_fallback(zone, order, type, &o, &found);

	if (!page)
		return NULL;
	del_from_free_list(zone, page, o);
	if (o >= PAGEBLOCK_ORDER) {
		unsigned long pfn = page_to_pfn(page);

		for (unsigned long i = 0; i < 1UL << o; i += PAGEBLOCK_NR_PAGES)
			set_pageblock_type(pfn + i, type);
		found = type;
	}
	expand(zone, page, o, order, found);
	return page;
}

/* A block of order least ... most, out of the type's lists, fresh frames, or another type. */
static struct page *rmqueue_buddy(struct zone *zone, unsigned int least, unsigned int most,
				  enum migratetype type, unsigned int *order)
{
	struct page *page;

	do {
		page = rmqueue_smallest(zone, least, most, type, order);
	} while (!page && zone_grow(zone, type));
	if (!page) {
		*order = least;
		page = rmqueue_fallback(zone, least, type);
	}
	if (page)
		mod_zone_free(zone, -(1L << *order));
	return page;
}

/* The largest order that nr frames make up. */
static unsigned int order_within(unsigned long nr)
{
	return min((unsigned int)__fls(nr), (unsigned int)MAX_ORDER);
}

/* ---- Lists of this CPU: interrupts off ---------------------------------------------------- */

static void pcp_count_add(struct per_cpu_pages *pcp, int frames)
{
	__atomic_store_n(&pcp->count, pcp->count + frames, __ATOMIC_RELAXED);
}

static struct list_head *pcp_list(struct per_cpu_pages *pcp, enum migratetype type,
				  unsigned int order)
{
	return &pcp->lists[order * MIGRATE_TYPES + (unsigned int)type];
}

/* A batch of frames, in blocks of the order; one block at least. */
static void pcp_refill(struct zone *zone, struct per_cpu_pages *pcp, enum migratetype type,
		       unsigned int order)
{
	unsigned long want = max((unsigned long)pcp->batch, 1UL << order);
	struct list_head *list = pcp_list(pcp, type, order);
	struct page *page;
	unsigned int got;

	spin_lock(&zone->lock);
	while (want >= 1UL << order &&
	       (page = rmqueue_buddy(zone, order, order_within(want), type, &got))) {
		for (struct page *p = page; p < page + (1UL << got); p += 1UL << order) {
			set_page_type(p, PAGE_TYPE_PCP);
			list_add_tail(&p->lru, list);
		}
		pcp_count_add(pcp, 1 << got);
		want -= 1UL << got;
	}
	spin_unlock(&zone->lock);
}

static struct page *pcp_pop(struct per_cpu_pages *pcp, enum migratetype type, unsigned int order)
{
	struct list_head *list = pcp_list(pcp, type, order);
	struct page *page;

	if (list_empty(list))
		return NULL;
	page = list_first_entry(list, struct page, lru);
	__list_del_entry(&page->lru);
	pcp_count_add(pcp, -(1 << order));
	return page;
}

/*
 * What free_one_block() will look at, asked for ahead: frames that come back in no order would else wait
 * for memory several times each.
 */
static void prefetch_buddy(const struct page *page, unsigned int order)
{
	const struct page *buddy = pfn_to_page(page_to_pfn(page) ^ (1UL << order));

	if (page_is_buddy(buddy, order)) {
		__builtin_prefetch(buddy->lru.next, 1);
		__builtin_prefetch(buddy->lru.prev, 1);
		__builtin_prefetch(pfn_to_page(page_to_pfn(page) ^ (2UL << order)), 1);
	}
}

/* Blocks that go back together, and frames of one list at a time. */
#define PCP_DRAIN 64
#define PCP_TURN 16

static void pcp_free_blocks(struct zone *zone, struct page **pages, const u8 *orders, int nr)
{
	for (int i = 0; i < nr; i++)
		prefetch_buddy(pages[i], orders[i]);
	spin_lock(&zone->lock);
	for (int i = 0; i < nr; i++) {
		set_page_type(pages[i], PAGE_TYPE_FREE);
		free_one_block(zone, pages[i], orders[i]);
	}
	spin_unlock(&zone->lock);
}

/* Give at least frames of the coldest back, or all that there are, some from each list in turn. */
static void pcp_drain(struct zone *zone, struct per_cpu_pages *pcp, int frames)
{
	struct page *pages[PCP_DRAIN];
	u8 orders[PCP_DRAIN];
	int nr = 0;

	for (unsigned int i = 0; frames > 0 && pcp->count; i = (i + 1) % NR_PCP_LISTS) {
		struct list_head *list = &pcp->lists[i];
		unsigned int order = i / MIGRATE_TYPES;
		int most = min(frames, PCP_TURN) >> order ?: 1, taken = 0;

		for (; taken < most && !list_empty(list); taken++) {
			struct page *page = list_last_entry(list, struct page, lru);

			__list_del_entry(&page->lru);
			pages[nr] = page;
			orders[nr++] = (u8)order;
		}
		pcp_count_add(pcp, -(taken << order));
		frames -= taken << order;
		if (nr > PCP_DRAIN - PCP_TURN) {
			pcp_free_blocks(zone, pages, orders, nr);
			nr = 0;
		}
	}
	pcp_free_blocks(zone, pages, orders, nr);
}

static void pcp_push(struct page *page, unsigned int order)
{
	struct zone *zone = page_zone(page);
	struct per_cpu_pages *pcp = &zone->pcp[machine_cpu_id()];

	__builtin_prefetch(pfn_to_page(page_to_pfn(page) ^ (1UL << order)), 1);
	set_page_type(page, PAGE_TYPE_PCP);
	list_add(&page->lru, pcp_list(pcp, pageblock_type(page_to_pfn(page)), order));
	pcp_count_add(pcp, 1 << order);
	if (unlikely(pcp->count > pcp->high))
		pcp_drain(zone, pcp, pcp->batch);
}

static void drain_cpu(unsigned int cpu)
{
	struct zone *zone;

	for_each_zone(zone)
	{
		if (zone->pcp[cpu].count)
			pcp_drain(zone, &zone->pcp[cpu], zone->pcp[cpu].count);
	}
}

void drain_local_pages(void)
{
	unsigned long flags = machine_irq_save();

	drain_cpu(machine_cpu_id());
	machine_irq_restore(flags);
}

void drain_all_pages(void)
{
	for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
		drain_cpu(cpu);
}

static void drain_by_ipi(void *arg)
{
	(void)arg;
	drain_local_pages();
}

static void drain_every_cpu(void)
{
	u64 all = ~0ull >> (64 - machine_nr_cpus());

	drain_local_pages();
	if (machine_nr_cpus() > 1)
		machine_ipi(all & ~(1ull << machine_cpu_id()), drain_by_ipi, NULL);
}

/* ---- Choosing a zone ---------------------------------------------------------------------- */

static enum migratetype gfp_migratetype(gfp_t gfp)
{
	if (gfp & __GFP_MOVABLE)
		return MIGRATE_MOVABLE;
	return gfp & __GFP_RECLAIMABLE ? MIGRATE_RECLAIMABLE : MIGRATE_UNMOVABLE;
}

static enum zone_type gfp_zone(gfp_t gfp)
{
	if (unlikely(gfp & __GFP_DMA))
		return ZONE_DMA;
	return unlikely(gfp & __GFP_DMA32) ? ZONE_DMA32 : ZONE_NORMAL;
}

/* Whether taking nr frames leaves the zone what this caller must not touch. */
static bool zone_watermark_ok(const struct zone *zone, unsigned long nr, enum zone_type highest,
			      unsigned int alloc_flags)
{
	long left = atomic_long_read(&zone->nr_free) - (long)nr;
	long keep = (long)zone->watermark[alloc_flags & ALLOC_WMARK_MASK];

	if (alloc_flags & ALLOC_NO_WATERMARKS)
		return left >= 0;
	if (alloc_flags & ALLOC_HIGH)
		keep -= keep / 2;
	if (alloc_flags & ALLOC_HARDER)
		keep -= keep / 4;
	if (alloc_flags & ALLOC_OOM)
		keep -= keep / 2;
	return left >= keep + (long)zone->lowmem_reserve[highest];
}

static void count_alloc(const struct zone *zone, unsigned long frames)
{
	count_vm_events((enum vm_event_item)(PGALLOC_DMA + (int)zone_idx(zone)), frames);
}

static struct page *rmqueue_pcp(struct zone *zone, unsigned int order, enum migratetype type)
{
	unsigned long flags = machine_irq_save();
	struct per_cpu_pages *pcp = &zone->pcp[machine_cpu_id()];
	struct page *page = pcp_pop(pcp, type, order);

	if (unlikely(!page)) {
		pcp_refill(zone, pcp, type, order);
		page = pcp_pop(pcp, type, order);
	}
	if (likely(page))
		count_alloc(zone, 1UL << order);
	machine_irq_restore(flags);
	return page;
}

static struct page *rmqueue(struct zone *zone, unsigned int order, enum migratetype type)
{
	unsigned long flags;
	unsigned int got;
	struct page *page;

	if (likely(order <= PAGE_ALLOC_COSTLY_ORDER))
		return rmqueue_pcp(zone, order, type);
	spin_lock_irqsave(&zone->lock, flags);
	page = rmqueue_buddy(zone, order, order, type, &got);
	if (page)
		count_alloc(zone, 1UL << order);
	spin_unlock_irqrestore(&zone->lock, flags);
	return page;
}

static const struct zoneref *first_zoneref(gfp_t gfp, int nid)
{
	return NODE_DATA(nid)
		->node_zonelists[gfp & __GFP_THISNODE ? ZONELIST_NOFALLBACK : ZONELIST_FALLBACK]
		.ref;
}

static struct page *get_page_from_freelist(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
					   int nid)
{
	enum zone_type highest = gfp_zone(gfp);
	enum migratetype type = gfp_migratetype(gfp);

	for (const struct zoneref *ref = first_zoneref(gfp, nid); ref->zone; ref++) {
		struct page *page;

		if (ref->idx > highest ||
		    !zone_watermark_ok(ref->zone, 1UL << order, highest, alloc_flags))
			continue;
		page = rmqueue(ref->zone, order, type);
		if (likely(page))
			return page;
	}
	return NULL;
}

/* ---- When memory is short ----------------------------------------------------------------- */

static unsigned int gfp_to_alloc_flags(gfp_t gfp)
{
	unsigned int alloc_flags = ALLOC_WMARK_MIN;

	if (gfp & __GFP_HIGH)
		alloc_flags |= ALLOC_HIGH;
	if ((gfp & __GFP_HIGH) && !(gfp & __GFP_DIRECT_RECLAIM))
		alloc_flags |= ALLOC_HARDER;
	if ((gfp & __GFP_MEMALLOC) && !(gfp & (gfp_t)___GFP_NOMEMALLOC))
		alloc_flags |= ALLOC_NO_WATERMARKS;
	return alloc_flags;
}

static struct page *reclaim_and_retry(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
				      int nid)
{
	int most = order > PAGE_ALLOC_COSTLY_ORDER ? MAX_COSTLY_RETRIES : MAX_RECLAIM_RETRIES;
	struct page *page = NULL;

	for (int retry = 0; !page && retry < most; retry++) {
		unsigned long freed = try_to_free_pages(gfp, order);

		if (!freed || order || !retry)
			drain_every_cpu();
		page = get_page_from_freelist(gfp, order, alloc_flags, nid);
		if (!freed || (gfp & __GFP_NORETRY))
			break;
	}
	return page;
}

/* A few frames, for a caller that may wait and counts on them. */
static bool must_try_hard(gfp_t gfp, unsigned int order)
{
	const gfp_t gives_up = __GFP_NORETRY | __GFP_RETRY_MAYFAIL | __GFP_MEMALLOC | __GFP_DMA |
			       __GFP_DMA32 | __GFP_THISNODE;

	return (gfp & __GFP_DIRECT_RECLAIM) && !(gfp & gives_up) &&
	       order <= PAGE_ALLOC_COSTLY_ORDER;
}

bool zones_above(enum zone_watermarks mark)
{
	struct zone *zone;

	for_each_populated_zone(
		zone) if (zone_watermark_ok(zone, 1, ZONE_NORMAL, mark)) return true;
	return false;
}

bool memory_is_short(void)
{
	struct zone *zone;

	for_each_zone(zone)
	{
		if (zone_watermark_ok(zone, 1, ZONE_NORMAL, ALLOC_WMARK_MIN) &&
		    atomic_long_read(&zone->nr_free))
			return false;
	}
	return true;
}

/*
 * Reclaim, and when that gives nothing, somebody's end; the caller's own at worst. In one piece frames
 * may be missing although there is memory: that is no reason to kill, but to wait for what others free.
 */
static struct page *reclaim_or_kill(gfp_t gfp, unsigned int order, unsigned int alloc_flags,
				    int nid)
{
	unsigned int waits = 0;
	struct page *page;
	u32 never = 0;

	for (;;) {
		if (machine_is_dying())
			alloc_flags |= ALLOC_OOM;
		page = reclaim_and_retry(gfp, order, alloc_flags, nid);
		if (page || (alloc_flags & ALLOC_OOM) || !must_try_hard(gfp, order))
			return page;
		if (order && !memory_is_short()) {
			if (waits++ == MAX_PIECE_WAITS)
				return NULL;
			machine_wait(&never, 0, RETRY_WAIT_NS);
		} else if (!out_of_memory(gfp, order)) {
			return NULL;
		}
	}
}

/* The caller has no way to fail: the reserves, then whatever others free. */
static struct page *alloc_nofail(gfp_t gfp, unsigned int order, int nid)
{
	u32 never = 0;

	for (unsigned int i = 0; i < NOFAIL_TRIES; i++) {
		struct page *page = get_page_from_freelist(gfp, order, ALLOC_NO_WATERMARKS, nid);

		if (page)
			return page;
		machine_wait(&never, 0, RETRY_WAIT_NS); /* others may need this CPU to free any */
	}
	machine_panic("out of memory in an allocation that must not fail");
}

__cold static void warn_alloc(gfp_t gfp, unsigned int order)
{
	static u64 last_ns;
	u64 now = machine_clock_ns();
	u64 last = __atomic_load_n(&last_ns, __ATOMIC_RELAXED);

	if ((gfp & __GFP_NOWARN) || (last && now - last < 1000000000ull))
		return;
	__atomic_store_n(&last_ns, now, __ATOMIC_RELAXED);
	pr_warn("page allocation failure: order:%u, mode:%#x, free:%lu of %lu pages", order, gfp,
		nr_free_pages(), totalram_pages());
}

__cold noinline static struct page *alloc_pages_slowpath(gfp_t gfp, unsigned int order, int nid)
{
	unsigned int alloc_flags = gfp_to_alloc_flags(gfp);
	struct page *page;

	if (gfp & (gfp_t)___GFP_KSWAPD_RECLAIM)
		wakeup_kswapd();
	page = get_page_from_freelist(gfp, order, alloc_flags, nid);
	/* Frames on the lists of a CPU merge with nothing, and no watermark counts them. */
	if (!page) {
		drain_local_pages();
		page = get_page_from_freelist(gfp, order, alloc_flags, nid);
	}
	/* With __GFP_MEMALLOC the caller is reclaim itself. */
	if (!page && (gfp & __GFP_DIRECT_RECLAIM) && !(gfp & __GFP_MEMALLOC))
		page = reclaim_or_kill(gfp, order, alloc_flags, nid);
	if (!page && (gfp & __GFP_NOFAIL))
		page = alloc_nofail(gfp, order, nid);
	if (!page)
		warn_alloc(gfp, order);
	return page;
}

/* ---- Allocation --------------------------------------------------------------------------- */

static inline struct page *__alloc_pages(gfp_t gfp, unsigned int order, int nid,
					 unsigned long caller)
{
	struct page *page;

	if (unlikely(order > MAX_ORDER))
		return NULL;
	if (gfp & __GFP_DIRECT_RECLAIM)
		lockdep_may_sleep();
	if (!(gfp & __GFP_NOFAIL) && unlikely(should_fail(&fail_page_alloc)))
		return NULL;
	page = get_page_from_freelist(gfp, order, ALLOC_WMARK_LOW, nid);
	if (unlikely(!page))
		page = alloc_pages_slowpath(gfp, order, nid);
	if (likely(page))
		prep_new_page(page, order, gfp, caller);
	return page;
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	return __alloc_pages(gfp, order, numa_node_id(), CALLER);
}

struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order)
{
	return __alloc_pages(gfp, order, node_online(node) ? node : numa_node_id(), CALLER);
}

static void hand_out_frame(struct page *page, gfp_t gfp, struct zero_run *run, unsigned long caller)
{
	prep_new_frame(page, gfp, run);
	set_page_owner(page, 0, caller);
	atomic_set(&page->_refcount, 1);
}

static struct page **next_empty_slot(struct page **slot)
{
	while (*slot)
		slot++;
	return slot;
}

/*
 * Fill `want` empty slots from one zone, first what this CPU has, then whole blocks. Returns how
 * many were filled. Interrupts off.
 */
static unsigned long rmqueue_bulk(struct zone *zone, gfp_t gfp, unsigned long want,
				  struct page **slot, struct zero_run *run, unsigned long caller)
{
	struct per_cpu_pages *pcp = &zone->pcp[machine_cpu_id()];
	enum migratetype type = gfp_migratetype(gfp);
	unsigned long got = 0;
	unsigned int order;
	struct page *page;

	while (got < want && (page = pcp_pop(pcp, type, 0))) {
		slot = next_empty_slot(slot);
		*slot = page;
		hand_out_frame(page, gfp, run, caller);
		got++;
	}
	spin_lock(&zone->lock);
	while (got < want &&
	       (page = rmqueue_buddy(zone, 0, order_within(want - got), type, &order))) {
		for (struct page *p = page; p < page + (1UL << order); p++) {
			slot = next_empty_slot(slot);
			*slot = p;
			hand_out_frame(p, gfp, run, caller);
		}
		got += 1UL << order;
	}
	spin_unlock(&zone->lock);
	count_alloc(zone, got);
	return got;
}

/* The first zone that has them all above its low watermark, if there is one. */
static unsigned long bulk_fast(gfp_t gfp, unsigned long want, struct page **pages,
			       unsigned long caller)
{
	enum zone_type highest = gfp_zone(gfp);
	struct zero_run run = { NULL, 0 };

	for (const struct zoneref *ref = first_zoneref(gfp, numa_node_id()); ref->zone; ref++) {
		unsigned long flags, got;

		if (ref->idx > highest ||
		    !zone_watermark_ok(ref->zone, want, highest, ALLOC_WMARK_LOW))
			continue;
		flags = machine_irq_save();
		got = rmqueue_bulk(ref->zone, gfp, want, pages, &run, caller);
		machine_irq_restore(flags);
		zero_run_flush(&run);
		return got;
	}
	return 0;
}

unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long nr, struct page **pages)
{
	unsigned long filled = 0;

	for (unsigned long i = 0; i < nr; i++)
		filled += pages[i] != NULL;
	if (filled == nr)
		return nr;
	if (!(gfp & __GFP_NOFAIL) && unlikely(should_fail(&fail_page_alloc)))
		return filled;
	filled += bulk_fast(gfp, nr - filled, pages, CALLER);

	for (unsigned long i = 0; filled < nr && i < nr; i++) {
		if (pages[i])
			continue;
		pages[i] = __alloc_pages(gfp, 0, numa_node_id(), CALLER);
		if (!pages[i])
			break;
		filled++;
	}
	return filled;
}

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
	struct page *page = __alloc_pages(gfp, order, numa_node_id(), CALLER);

	return page ? (unsigned long)page_address(page) : 0;
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	struct page *page = __alloc_pages(gfp | __GFP_ZERO, 0, numa_node_id(), CALLER);

	return page ? (unsigned long)page_address(page) : 0;
}

/* The block that holds it, and the end of that goes back at once. */
void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	unsigned long used = PAGE_ALIGN(size) >> PAGE_SHIFT;
	unsigned int order;
	struct page *page;

	if (!size || size > PAGE_SIZE << MAX_ORDER)
		return NULL;
	order = get_order(size);
	page = __alloc_pages(gfp & ~__GFP_COMP, order, numa_node_id(), CALLER);
	if (!page)
		return NULL;
	split_page(page, order);
	for (unsigned long i = used; i < 1UL << order; i++)
		__free_page(page + i);
	return page_address(page);
}

void free_pages_exact(void *addr, size_t size)
{
	struct page *page = virt_to_page(addr);

	for (unsigned long i = 0; i < PAGE_ALIGN(size) >> PAGE_SHIFT; i++)
		__free_page(page + i);
}

/* ---- Freeing ------------------------------------------------------------------------------ */

/* A block without references, as it was allocated, onto the list of this CPU. */
static void free_unref_small(struct page *page, unsigned int order, unsigned long caller)
{
	unsigned long flags;

	free_pages_prepare(page, order, caller);
	flags = machine_irq_save();
	count_vm_events(PGFREE, 1UL << order);
	pcp_push(page, order);
	machine_irq_restore(flags);
}

static void free_unref_block(struct page *page, unsigned int order, unsigned long caller)
{
	struct zone *zone = page_zone(page);
	unsigned long flags;

	free_pages_prepare(page, order, caller);
	spin_lock_irqsave(&zone->lock, flags);
	count_vm_events(PGFREE, 1UL << order);
	free_one_block(zone, page, order);
	spin_unlock_irqrestore(&zone->lock, flags);
}

static void free_unref(struct page *page, unsigned int order, unsigned long caller)
{
	if (PageLRU(page))
		lru_release_pages(&page, 1);
	if (unlikely(order) && (order > MAX_ORDER || !IS_ALIGNED(page_to_pfn(page), 1UL << order)))
		bad_page(page, "freed with a wrong order");
	if (likely(order <= PAGE_ALLOC_COSTLY_ORDER))
		free_unref_small(page, order, caller);
	else
		free_unref_block(page, order, caller);
}

/*
 * Whether the reference given up was the last. The holder of the only reference has no one to race
 * with: whoever takes another one must have one.
 */
static bool put_page_testzero(struct page *page)
{
	int count = smp_load_acquire(&page->_refcount.counter);

	if (likely(count == 1)) {
		atomic_set(&page->_refcount, 0);
		return true;
	}
	if (unlikely(count <= 0))
		bad_page(page, page_is_free(page) ? "freed twice" : "put without a reference");
	return atomic_dec_and_test(&page->_refcount);
}

void put_page(struct page *page)
{
	page = compound_head(page);
	if (put_page_testzero(page))
		free_unref(page, PageHead(page) ? (unsigned int)page->private : 0, CALLER);
}

static inline void free_block(struct page *page, unsigned int order, unsigned long caller)
{
	bool folio = PageHead(page);

	if (unlikely(PageTail(page) || (folio && page->private != order)))
		bad_page(page, "freed with a wrong order");
	if (put_page_testzero(page)) {
		free_unref(page, order, caller);
		return;
	}
	/*
	 * Somebody holds a reference to the first frame of a plain block, and will free that alone:
	 * free the others now.
	 */
	if (!folio) {
		while (order-- > 0) {
			set_page_owner(page + (1UL << order), order, caller);
			free_unref(page + (1UL << order), order, caller);
		}
	}
}

void __free_pages(struct page *page, unsigned int order)
{
	free_block(page, order, CALLER);
}

void free_pages(unsigned long addr, unsigned int order)
{
	if (addr)
		free_block(virt_to_page(addr), order, CALLER);
}

/* zone->lock held. Consecutive frames, in as few blocks as alignment allows. */
static void free_frame_run(struct zone *zone, struct page *page, unsigned long nr)
{
	unsigned long pfn = page_to_pfn(page);

	while (nr) {
		unsigned int order = order_within(nr);

		if (pfn)
			order = min(order, (unsigned int)__ffs(pfn));
		free_one_block(zone, pfn_to_page(pfn), order);
		pfn += 1UL << order;
		nr -= 1UL << order;
	}
}

/* Frames that are given back together: enough that memory answers for all of them at once. */
#define FREE_BATCH 64

/* How many of the frames from pages[0] on lie one behind the other. */
static unsigned long run_length(struct page *const *pages, unsigned long nr)
{
	unsigned long i = 1;

	while (i < nr && pages[i] == pages[i - 1] + 1 && page_zone(pages[i]) == page_zone(pages[0]))
		i++;
	return i;
}

/* Too many for the list of a CPU: straight to the buddy system, neighbours together. */
static void free_unref_many(struct page **pages, unsigned long nr, unsigned long caller)
{
	struct zone *zone = page_zone(pages[0]);
	unsigned long i, n, flags;

	for (i = 0; i < nr; i++)
		free_page_prepare(pages[i], caller);
	for (i = 0; i < nr; i += n) {
		n = run_length(pages + i, nr - i);
		if (n == 1)
			prefetch_buddy(pages[i], 0);
	}
	spin_lock_irqsave(&zone->lock, flags);
	for (i = 0; i < nr; i += n) {
		if (unlikely(page_zone(pages[i]) != zone)) {
			spin_unlock_irqrestore(&zone->lock, flags);
			zone = page_zone(pages[i]);
			spin_lock_irqsave(&zone->lock, flags);
		}
		n = run_length(pages + i, nr - i);
		free_frame_run(zone, pages[i], n);
	}
	count_vm_events(PGFREE, nr);
	spin_unlock_irqrestore(&zone->lock, flags);
}

void free_unref_pages(struct page **pages, unsigned long nr)
{
	bool many = nr > FREE_BATCH;

	/* From the end, so that the first is the first to be handed out again. */
	for (unsigned long n; nr; nr -= n) {
		struct page **batch;

		n = many ? min(nr, (unsigned long)MAX_ORDER_NR_PAGES) : nr;
		batch = pages + nr - n;
		for (unsigned long i = 0; i < n; i++)
			__builtin_prefetch(batch[i], 1);
		lru_release_pages(batch, n);
		if (many)
			free_unref_many(batch, n, CALLER);
		for (unsigned long i = many ? 0 : n; i-- > 0;)
			free_unref_small(batch[i], 0, CALLER);
	}
}

/* ---- How much there is -------------------------------------------------------------------- */

unsigned long totalram_pages(void)
{
	unsigned long frames = 0;
	struct zone *zone;

	for_each_zone(zone) frames += (unsigned long)atomic_long_read(&zone->managed_pages);
	return frames;
}

unsigned long nr_free_pages(void)
{
	unsigned long frames = 0;
	struct zone *zone;

	for_each_zone(zone)
	{
		frames += (unsigned long)atomic_long_read(&zone->nr_free);
		for (unsigned int cpu = 0; cpu < machine_nr_cpus(); cpu++)
			frames += (unsigned long)__atomic_load_n(&zone->pcp[cpu].count,
								 __ATOMIC_RELAXED);
	}
	return frames;
}
