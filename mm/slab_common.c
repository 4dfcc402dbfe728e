/* SPDX-License-Identifier: MIT */
/*
 * What the slab allocators have in common: the list of caches, how objects are laid out, creation and
 * end, counts for /proc/slabinfo. What is a cache's own is the allocator's: mm/slab.h has the border.
 *
 * Locking: slab_mutex covers the list of caches.
 */
#include <quire/errno.h>
#include <quire/sprintf.h>
#include <quire/string.h>

#include "slab.h"

/* How many objects of a cache that cannot be destroyed are named. */
#define LEFTOVERS_NAMED 8

unsigned long slab_vmemmap;
struct list_head slab_caches;
struct kmem_cache *kmem_cache_cache;
static struct mutex slab_mutex;

#ifdef CONFIG_DEBUG_VM
bool slab_panic_on_error = true;
#else
bool slab_panic_on_error;
#endif

__noreturn void slab_panic(const struct kmem_cache *s, const void *object, const char *why)
{
	static char text[160];

	snprintf(text, sizeof(text), "slab %s: object %p: %s", s->name, object, why);
	machine_panic(text);
}

/* ---- Creation ------------------------------------------------------------------------------- */

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

/* See the picture in slab.h. */
static void lay_out(struct kmem_cache *s)
{
	unsigned int word = sizeof(void *);

	s->red_left = 0;
	s->inuse = ALIGN(s->object_size, word);
	if (s->flags & SLAB_RED_ZONE) {
		s->red_left = ALIGN(word, s->align);
		s->inuse += word;
	}
	s->size = s->red_left + s->inuse;
	if (s->flags & SLAB_STORE_USER)
		s->size += slab_debug_tracks_size();
	s->size = ALIGN(s->size, s->align);
}

static int init_cache(struct kmem_cache *s, const char *name, unsigned int size, unsigned int align,
		      slab_flags_t flags)
{
	if (SLAB_HAS_NO_DEBUG)
		flags &= ~SLAB_DEBUG_FLAGS;
	else if (!(flags & SLAB_NO_DEBUG))
		flags |= SLAB_ALWAYS | slab_debug_flags(name);
	if (s->ctor || s->dtor)
		flags &= ~SLAB_POISON;
	s->name = name;
	s->object_size = size;
	s->flags = flags;
	s->align = calculate_alignment(flags, align, size);
	lay_out(s);
	return __kmem_cache_create(s);
}

static void register_cache(struct kmem_cache *s)
{
	mutex_lock(&slab_mutex);
	list_add_tail(&s->list, &slab_caches);
	mutex_unlock(&slab_mutex);
}

void create_boot_cache(struct kmem_cache *s, const char *name, unsigned int size,
		       slab_flags_t flags)
{
	if (init_cache(s, name, size, 0, flags | SLAB_HWCACHE_ALIGN))
		machine_panic("no memory for the first caches");
	register_cache(s);
}

static struct kmem_cache *create_cache(const char *name, unsigned int size, unsigned int align,
				       slab_flags_t flags, void (*ctor)(void *),
				       void (*dtor)(void *))
{
	struct kmem_cache *s;

	if (!size || size > KMALLOC_MAX_SIZE / 2 || (align & (align - 1)) || align > PAGE_SIZE * 2)
		return NULL;
	s = kmem_cache_zalloc(kmem_cache_cache, GFP_KERNEL);
	if (!s)
		return NULL;
	s->ctor = ctor;
	s->dtor = dtor;
	if (init_cache(s, name, size, align, flags)) {
		kmem_cache_free(kmem_cache_cache, s);
		return NULL;
	}
	register_cache(s);
	return s;
}

struct kmem_cache *kmem_cache_create_dtor(const char *name, unsigned int size, unsigned int align,
					  slab_flags_t flags, void (*ctor)(void *),
					  void (*dtor)(void *))
{
	struct kmem_cache *s = create_cache(name, size, align, flags, ctor, dtor);

	if (!s && (flags & SLAB_PANIC))
		machine_panic("kmem_cache_create: no memory, or impossible sizes");
	return s;
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *))
{
	return kmem_cache_create_dtor(name, size, align, flags, ctor, NULL);
}

int kmem_cache_destroy(struct kmem_cache *s)
{
	if (!s)
		return 0;
	if (!__kmem_cache_shutdown(s)) {
		__kmem_cache_report(s, LEFTOVERS_NAMED);
		pr_err("kmem_cache_destroy %s: Slab cache still has objects: %lu", s->name,
		       __kmem_cache_active(s));
		return -EBUSY;
	}
	mutex_lock(&slab_mutex);
	list_del(&s->list);
	mutex_unlock(&slab_mutex);
	__kmem_cache_release(s);
	kmem_cache_free(kmem_cache_cache, s);
	return 0;
}

unsigned int kmem_cache_size(struct kmem_cache *s)
{
	return s->object_size;
}

/* ---- Objects ----------------------------------------------------------------------------------- */

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	return slab_alloc(s, gfp, s->object_size);
}

void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp, int node)
{
	return slab_alloc_node(s, gfp, node, s->object_size);
}

void kmem_cache_free(struct kmem_cache *s, void *object)
{
	if (unlikely(!slab_is_of(slab_page(object), s)))
		slab_panic(s, object, "freed to a cache that it is not from");
	slab_free(s, object);
}

void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++) {
		if (!s)
			kfree(p[i]);
		else if (unlikely(!slab_is_of(slab_page(p[i]), s)))
			slab_panic(s, p[i], "freed to a cache that it is not from");
	}
	if (s)
		slab_free_bulk(s, n, p, SLAB_CALLER);
}

int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p)
{
	size_t got;

	if (slab_should_fail(gfp))
		return 0;
	got = slab_alloc_bulk(s, gfp, n, p, SLAB_CALLER);
	if (got == n)
		return (int)n;
	slab_free_bulk(s, got, p, SLAB_CALLER);
	return 0;
}

/* ---- All caches ------------------------------------------------------------------------------ */

/* slab_mutex held. The one after s; of NULL the first; NULL at the end. */
static struct kmem_cache *next_cache(struct kmem_cache *s)
{
	struct list_head *next = s ? s->list.next : slab_caches.next;

	return next == &slab_caches ? NULL : list_entry(next, struct kmem_cache, list);
}

unsigned long kmem_cache_shrink_all(void)
{
	unsigned long left = kmalloc_large_count();
	struct kmem_cache *s;

	mutex_lock(&slab_mutex);
	for (s = next_cache(NULL); s; s = next_cache(s)) {
		__kmem_cache_shutdown(s);
		if (!(s->flags & SLAB_INTERNAL))
			left += __kmem_cache_active(s);
	}
	/* The first ones have what the others consisted of. */
	for (s = next_cache(NULL); s; s = next_cache(s)) {
		if (s->flags & SLAB_INTERNAL)
			__kmem_cache_shutdown(s);
	}
	mutex_unlock(&slab_mutex);
	return left;
}

bool kmem_cache_leftover(unsigned int i, const char **name, unsigned long *objects)
{
	unsigned long large = kmalloc_large_count();
	bool found = false;
	struct kmem_cache *s;

	mutex_lock(&slab_mutex);
	for (s = next_cache(NULL); s; s = next_cache(s)) {
		*objects = s->flags & SLAB_INTERNAL ? 0 : __kmem_cache_active(s);
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

bool get_slabinfo(unsigned int i, struct slabinfo *info)
{
	bool found = false;
	struct kmem_cache *s;

	mutex_lock(&slab_mutex);
	for (s = next_cache(NULL); s; s = next_cache(s)) {
		if (i--)
			continue;
		found = true;
		memset(info, 0, sizeof(*info));
		info->name = s->name;
		info->object_size = s->size;
		__get_slabinfo(s, info);
		break;
	}
	mutex_unlock(&slab_mutex);
	return found;
}

void kmem_cache_init(void)
{
	slab_vmemmap = (unsigned long)mem_map - (PAGE_OFFSET >> PAGE_SHIFT) * sizeof(struct page);
	mutex_init(&slab_mutex);
	INIT_LIST_HEAD(&slab_caches);
	kmem_cache_bootstrap();
	create_kmalloc_caches();
}
