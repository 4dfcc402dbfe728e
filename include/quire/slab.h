/* SPDX-License-Identifier: MIT */
/*
 * slab.h - caches of equal objects, and kmalloc over them.
 *
 * One interface, three allocators behind it (SLUB, SLAB, SLOB), of which the build has one. Alloc with
 * GFP_KERNEL may sleep; free never does. Sizes in bytes.
 */
#ifndef QUIRE_SLAB_H
#define QUIRE_SLAB_H

#include <quire/gfp.h>
#include <quire/kernel.h>
#include <quire/types.h>

typedef unsigned int slab_flags_t;
#define SLAB_CONSISTENCY_CHECKS 0x00000100u /* F: each free is checked; so are free lists */
#define SLAB_RED_ZONE 0x00000400u /* Z: bytes around the object that must not change */
#define SLAB_POISON 0x00000800u /* P: free objects hold a pattern */
#define SLAB_HWCACHE_ALIGN 0x00002000u
#define SLAB_STORE_USER 0x00010000u /* U: who allocated and who freed it last */
#define SLAB_PANIC 0x00040000u
#define SLAB_TRACE 0x00200000u /* T: each allocation and free is logged */

#ifndef NUMA_NO_NODE
#define NUMA_NO_NODE (-1)
#endif

struct kmem_cache;

/*
 * NULL on failure (SLAB_PANIC: panics). name must outlive the cache. align: 0 or a power of two.
 * ctor, if not NULL, is called for each object when its memory comes from the page allocator (SLOB:
 * at each allocation); objects are freed in the state it left them in. May sleep.
 */
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *));
/* With a destructor, called before the object's memory goes back (SLOB: at each free). Atomic. */
struct kmem_cache *kmem_cache_create_dtor(const char *name, unsigned int size, unsigned int align,
					  slab_flags_t flags, void (*ctor)(void *),
					  void (*dtor)(void *));
/*
 * Nobody else may use the cache any more. Objects must all be free; else they are reported by
 * machine_log(), -EBUSY is returned and the cache stays. NULL is fine. May sleep.
 */
int kmem_cache_destroy(struct kmem_cache *s);

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp);
/* From the node if it has memory (with __GFP_THISNODE: or not at all); NUMA_NO_NODE: any. */
void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp, int node);
static inline void *kmem_cache_zalloc(struct kmem_cache *s, gfp_t gfp)
{
	return kmem_cache_alloc(s, gfp | __GFP_ZERO);
}
void kmem_cache_free(struct kmem_cache *s, void *obj); /* obj may not be NULL */
/* All n or none: returns n or 0. Counts as one allocation for fault injection. */
int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p);
/* s NULL: objects of any caches, also of kmalloc(). */
void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p);
/*
 * Empty slabs back to the page allocator. What other CPUs keep for themselves they give back some
 * time later. Returns 0. May sleep.
 */
int kmem_cache_shrink(struct kmem_cache *s);
unsigned int kmem_cache_size(struct kmem_cache *s);

/* Larger sizes come straight from the page allocator. */
#ifdef CONFIG_SLOB
#define KMALLOC_MAX_CACHE_SIZE 4032UL
#else
#define KMALLOC_MAX_CACHE_SIZE 8192UL
#endif

/* What kmalloc(0) returns: not to be read, and kfree() takes it. */
#define ZERO_SIZE_PTR ((void *)16)
#define ZERO_OR_NULL_PTR(p) ((unsigned long)(p) <= (unsigned long)ZERO_SIZE_PTR)

void *__kmalloc(size_t size, gfp_t gfp);
void *__kmalloc_plain(size_t size, gfp_t gfp); /* gfp: without zero, DMA, DMA32 */
/* NULL: no memory, or larger than 4 MiB. A size that is a power of two is aligned to itself. */
static inline void *kmalloc(size_t size, gfp_t gfp)
{
	if (__builtin_constant_p(gfp) && !(gfp & (__GFP_ZERO | __GFP_DMA | __GFP_DMA32)))
		return __kmalloc_plain(size, gfp);
	return __kmalloc(size, gfp);
}
void *kmalloc_node(size_t size, gfp_t gfp, int node);
static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}
/* NULL also when n * size overflows. */
static inline void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : kmalloc(bytes, gfp);
}
static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc_array(n, size, gfp | __GFP_ZERO);
}
/* On failure NULL, and p is as it was. new_size 0 frees. */
void *krealloc(const void *p, size_t new_size, gfp_t gfp);
void kfree(const void *p); /* NULL is fine */
/* How much may be used of what kmalloc() returned: at least what was asked for. */
size_t ksize(const void *p);
char *kstrdup(const char *s, gfp_t gfp);

/* Boot, called by mm_init(): reads "slab_debug=" from the command line. */
void kmem_cache_init(void);
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
	unsigned int limit, batchcount, shared; /* of SLAB's array caches */
	unsigned long active_slabs, num_slabs, shared_avail;
};
bool get_slabinfo(unsigned int i, struct slabinfo *info);

/* Which of the three it is, and how: for benchmarks and reports. */
extern const char slab_allocator_name[];

/*
 * What debugging has found is reported by machine_log(LOG_ERR) and, where possible, repaired. With
 * this set it is the end instead: machine_panic(). Set in builds with CONFIG_DEBUG_VM.
 */
extern bool slab_panic_on_error;

#endif
