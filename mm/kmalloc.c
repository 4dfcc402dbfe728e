/* SPDX-License-Identifier: MIT */
/*
 * kmalloc: caches of thirteen sizes, found by a table; what is larger comes from the page allocator
 * as one block. (SLOB has no such caches: it finds room for any size, mm/slob.c.)
 *
 * kfree() knows by the page whose memory it is: PG_slab and the cache stand in every page of a slab.
 */
#include <quire/string.h>
#include <quire/vmstat.h>

#include "slab.h"

static atomic_long_t large_blocks;

/* ---- Large blocks ----------------------------------------------------------------------------- */

unsigned long kmalloc_large_count(void)
{
	return (unsigned long)atomic_long_read(&large_blocks);
}

static struct page *alloc_block(gfp_t gfp, unsigned int order, int node)
{
	if (node == NUMA_NO_NODE)
		return alloc_pages(gfp | __GFP_COMP, order);
	return alloc_pages_node(node, gfp | __GFP_COMP, order);
}

noinline void *kmalloc_large(size_t size, gfp_t gfp, int node)
{
	unsigned int order;
	struct page *page;

	if (!size)
		return ZERO_SIZE_PTR;
	if (size > KMALLOC_MAX_SIZE || slab_should_fail(gfp))
		return NULL;
	order = get_order(size);
	page = alloc_block(gfp, order, node);
	if (!page)
		return NULL;
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, 1L << order);
	atomic_long_inc(&large_blocks);
	return page_address(page);
}

/* A single frame of kmalloc() is no head: its order is 0, as private says. */
__cold noinline static void free_large(const void *p)
{
	struct page *page = slab_page(p);
	unsigned int order = (unsigned int)page->private;

	if (PageTail(page) || !IS_ALIGNED((unsigned long)p, PAGE_SIZE) || PageTable(page) ||
	    (order && !PageHead(page)) || !kmalloc_large_count())
		machine_panic("kfree: not from kmalloc");
	mod_node_page_state(NR_SLAB_UNRECLAIMABLE, -(1L << order));
	atomic_long_dec(&large_blocks);
	__free_pages(page, order);
}

/* ---- Caches by size ---------------------------------------------------------------------------- */

#ifndef CONFIG_SLOB
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

static struct kmem_cache *kmalloc_caches[KMALLOC_MAX_CACHE_SIZE / 8]; /* by (size - 1) / 8 */

void create_kmalloc_caches(void)
{
	unsigned int next = 0;

	atomic_long_set(&large_blocks, 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(kmalloc_info); i++) {
		struct kmem_cache *s = kmem_cache_create(kmalloc_info[i].name, kmalloc_info[i].size,
							 kmalloc_info[i].align,
							 SLAB_PANIC | SLAB_KMALLOC, NULL);

		while (8 * (next + 1) <= kmalloc_info[i].size)
			kmalloc_caches[next++] = s;
	}
}

void *__kmalloc_plain(size_t size, gfp_t gfp)
{
	if (unlikely(size - 1 >= KMALLOC_MAX_CACHE_SIZE))
		return kmalloc_large(size, gfp, NUMA_NO_NODE);
	return slab_alloc_plain(kmalloc_caches[(size - 1) / 8], gfp, size);
}

void *__kmalloc(size_t size, gfp_t gfp)
{
	if (unlikely(size - 1 >= KMALLOC_MAX_CACHE_SIZE))
		return kmalloc_large(size, gfp, NUMA_NO_NODE);
	return slab_alloc(kmalloc_caches[(size - 1) / 8], gfp, size);
}

void *kmalloc_node(size_t size, gfp_t gfp, int node)
{
	if (unlikely(size - 1 >= KMALLOC_MAX_CACHE_SIZE))
		return kmalloc_large(size, gfp, node);
	return slab_alloc_node(kmalloc_caches[(size - 1) / 8], gfp, node, size);
}

void kfree(const void *p)
{
	struct kmem_cache *s;
	struct page *page;

	if (unlikely(ZERO_OR_NULL_PTR(p)))
		return;
	page = slab_page(p);
	s = slab_guess();
	if (page->slab_cache != s) {
		if (unlikely(!is_slab_page(page))) {
			free_large(p);
			return;
		}
		s = READ_ONCE(
			page->slab_cache); /* read anew, so that the guess itself is used if right */
	}
	slab_free(s, (void *)p);
}

size_t ksize(const void *p)
{
	struct page *page;
	struct kmem_cache *s;

	if (ZERO_OR_NULL_PTR(p))
		return 0;
	page = slab_page(p);
	if (!is_slab_page(page))
		return PAGE_SIZE << page->private;
	s = page->slab_cache;
	slab_allow(p, s->object_size);
	return s->object_size;
}
#else
void create_kmalloc_caches(void)
{
	atomic_long_set(&large_blocks, 0);
}

void *kmalloc_node(size_t size, gfp_t gfp, int node)
{
	if (size - 1 >= KMALLOC_MAX_CACHE_SIZE || (gfp & SLAB_GFP_ZONES))
		return kmalloc_large(size, gfp, node);
	return slob_kmalloc(size, gfp, node);
}

void *__kmalloc(size_t size, gfp_t gfp)
{
	return kmalloc_node(size, gfp, NUMA_NO_NODE);
}

void *__kmalloc_plain(size_t size, gfp_t gfp)
{
	return kmalloc_node(size, gfp, NUMA_NO_NODE);
}

void kfree(const void *p)
{
	if (ZERO_OR_NULL_PTR(p))
		return;
	if (is_slab_page(slab_page(p)))
		slob_kfree((void *)p);
	else
		free_large(p);
}

size_t ksize(const void *p)
{
	struct page *page;

	if (ZERO_OR_NULL_PTR(p))
		return 0;
	page = slab_page(p);
	return is_slab_page(page) ? slob_ksize(p) : PAGE_SIZE << page->private;
}
#endif

/* ---- The rest of the family -------------------------------------------------------------------- */

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
