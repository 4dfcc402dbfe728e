/* SPDX-License-Identifier: MIT */
/*
 * slab.h - caches of equal objects, and kmalloc over them.
 *
 * Alloc with GFP_KERNEL may sleep; free never does. Sizes in bytes.
 */
#ifndef QUIRE_SLAB_H
#define QUIRE_SLAB_H

#include <quire/gfp.h>
#include <quire/types.h>

typedef unsigned int slab_flags_t;
#define SLAB_HWCACHE_ALIGN 0x00002000u
#define SLAB_POISON 0x00000800u
#define SLAB_RED_ZONE 0x00000400u
#define SLAB_PANIC 0x00040000u

struct kmem_cache;

/* NULL on failure (SLAB_PANIC: panics). name must outlive the cache. ctor may be NULL. */
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *));
/* Objects must all be free; else they are reported by machine_log() and -EBUSY is returned. */
int kmem_cache_destroy(struct kmem_cache *s);
void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp);
static inline void *kmem_cache_zalloc(struct kmem_cache *s, gfp_t gfp)
{
	return kmem_cache_alloc(s, gfp | __GFP_ZERO);
}
void kmem_cache_free(struct kmem_cache *s, void *obj); /* obj may not be NULL */
int kmem_cache_shrink(struct kmem_cache *s);
unsigned int kmem_cache_size(struct kmem_cache *s);

#define KMALLOC_MAX_CACHE_SIZE 8192UL

/* What kmalloc(0) returns: not to be read, and kfree() takes it. */
#define ZERO_SIZE_PTR ((void *)16)
#define ZERO_OR_NULL_PTR(p) ((unsigned long)(p) <= (unsigned long)ZERO_SIZE_PTR)

/* NULL: no memory, or larger than 4 MiB. A size that is a power of two is aligned to itself. */
void *kmalloc(size_t size, gfp_t gfp);
static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}
void *kcalloc(size_t n, size_t size, gfp_t gfp); /* NULL also when n * size overflows */
void *krealloc(const void *p, size_t new_size, gfp_t gfp);
void kfree(const void *p); /* NULL is fine */
size_t ksize(const void *p);
char *kstrdup(const char *s, gfp_t gfp);

void kmem_cache_init(void); /* boot, called by mm_init() */
/*
 * All empty slabs of all caches back to the page allocator; returns objects still allocated. Only
 * when no other CPU is in the allocator.
 */
unsigned long kmem_cache_shrink_all(void);
/*
 * After kmem_cache_shrink_all(): the i-th cache that has objects left; false when there are no
 * more. Large blocks of kmalloc() go by the name "kmalloc-large".
 */
bool kmem_cache_leftover(unsigned int i, const char **name, unsigned long *objects);

/* One line of /proc/slabinfo; iterate i from 0 until false. */
struct slabinfo {
	const char *name;
	unsigned long active_objs, num_objs;
	unsigned int object_size, objs_per_slab, pages_per_slab;
	unsigned long active_slabs, num_slabs;
};
bool get_slabinfo(unsigned int i, struct slabinfo *info);

#endif
