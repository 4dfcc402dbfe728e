/* SPDX-License-Identifier: MIT */
/*
 * mm/slab.h - what the slab allocators (slub.c, slab.c, slob.c: one of them in a build), what they have
 * in common (slab_common.c, slab_debug.c) and kmalloc (kmalloc.c) know of each other.
 *
 * A block is what an allocator deals in; the object is the part that its caller sees:
 *
 *	 block     object
 *	|bb bb bb|......object_size|.|bb bb bb|alloc track|free track|..|
 *	|red_left|<-------- inuse ---------->|
 *	|<--------------------------- size ---------------------------->|
 *
 * Without debug flags red_left is 0 and inuse is all there is.
 */
#ifndef MM_SLAB_H
#define MM_SLAB_H

#include <quire/fault-inject.h>
#include <quire/mm.h>
#include <quire/slab.h>
#include <quire/string.h>

/* These take every allocation and free the slow way. */
#define SLAB_DEBUG_FLAGS \
	(SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_TRACE)
#ifdef CONFIG_DEBUG_VM
#define SLAB_ALWAYS (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON)
#else
#define SLAB_ALWAYS 0u
#endif
#ifdef CONFIG_SLOB
#define SLAB_HAS_NO_DEBUG true /* its free blocks are lists */
#else
#define SLAB_HAS_NO_DEBUG false
#endif
#define SLAB_INTERNAL 0x10000000u /* the allocator's own: its objects are nobody's leak */
#define SLAB_KMALLOC 0x20000000u
#define SLAB_NO_DEBUG 0x40000000u

/* Zones: only page-sized blocks of kmalloc() can be had from a certain one. */
#define SLAB_GFP_ZONES (__GFP_DMA | __GFP_DMA32)
/* What the fast path does not do. */
#define SLAB_GFP_SLOW (__GFP_ZERO | SLAB_GFP_ZONES)

#define SLAB_MAX_ORDER 3
#define CACHE_LINE 64u
#define KMALLOC_MAX_SIZE (PAGE_SIZE << MAX_ORDER)

/* Of the function that it stands in, or is inlined into: who called that. */
#define SLAB_CALLER ((unsigned long)__builtin_return_address(0))

#ifdef CONFIG_SLUB
/*
 * A sheaf: what a CPU hands out next, as a stack whose top lies apart, so that an object freed and
 * allocated again passes through one word. It grows downward; its lowest entry is a NULL.
 *
 *	below[]  [0] . . [room] b a NULL [limit - 1]	top -> c
 */
#define SHEAF_MAX 61u
struct kmem_cache_cpu {
	void *top; /* NULL: empty */
	int room; /* for so many more objects; far below 0: there shall be none */
	unsigned int flush; /* others want them back */
	void *below[SHEAF_MAX];
} __attribute__((aligned(64)));
#define SHEAF_NEVER (-(1 << 30))
_Static_assert(sizeof(struct kmem_cache_cpu) == MACHINE_SLOT_BYTES,
	       "found by machine_slot_offset()");
#endif

struct kmem_cache {
	slab_flags_t flags;
	unsigned int size; /* from one block to the next */
	unsigned int object_size; /* what the caller asked for */
	unsigned int align;
	unsigned int red_left;
	unsigned int inuse; /* object, and red zone behind it */
	void (*ctor)(void *);
	void (*dtor)(void *);
	const char *name;
	struct list_head list; /* slab_caches, under slab_mutex */
#ifdef CONFIG_SLUB
	unsigned int order; /* of a slab; min_order when memory is short */
	unsigned int min_order;
	unsigned int objects, min_objects; /* in slabs of these orders */
	unsigned int reciprocal; /* 2^32 / size, rounded up; 0: slabs are too large for it */
	unsigned int sheaf_limit, batch;
	bool simple; /* slabs are single pages with their map in struct page, and no debug flags */
	unsigned long min_partial; /* empty slabs beyond it are given back */
	u64 random; /* state of the order in which objects are handed out */
	struct kmem_cache_node *node; /* [nr_node_ids], behind the last of cpu[] */
	struct kmem_cache_cpu cpu[]; /* [machine_nr_cpus() + 1], by machine_cpu_slot() */
#elif defined(CONFIG_SLAB)
	unsigned int order;
	unsigned int objects; /* in a slab */
	unsigned int colour; /* how many colours there are */
	unsigned int colour_off; /* bytes from one to the next */
	unsigned int index_bytes; /* of the free list at a slab's head */
	bool off_slab; /* it is not there */
	unsigned int limit, batchcount, shared;
	struct kmem_cache_node *node; /* [nr_node_ids], behind the last of cpu[] */
	struct array_cache *cpu[]; /* [machine_nr_cpus()] */
#else
	atomic_long_t active;
#endif
};

/* ---- slab_common.c ------------------------------------------------------------------------ */

extern struct list_head slab_caches;
extern struct kmem_cache *kmem_cache_cache; /* that struct kmem_cache comes from */

/* Before an allocation: may it be made, or shall it fail? */
static inline bool slab_should_fail(gfp_t gfp)
{
	return !(gfp & __GFP_NOFAIL) && unlikely(should_fail(&failslab));
}

__noreturn __cold void slab_panic(const struct kmem_cache *s, const void *object, const char *why);

/* Boot: a cache in memory of the allocator's own. */
void create_boot_cache(struct kmem_cache *s, const char *name, unsigned int size,
		       slab_flags_t flags);

/* ---- What an allocator supplies ------------------------------------------------------------ */

/* Bytes of a struct kmem_cache on this machine. */
unsigned int kmem_cache_bytes(void);
/* Boot: the caches that caches are made of, kmem_cache_cache among them. */
void kmem_cache_bootstrap(void);
/* Fill in the allocator's part: size, inuse, red_left and flags are set. 0 or -ENOMEM. */
int __kmem_cache_create(struct kmem_cache *s);
/* Give back what is free; nobody else is in the cache. Says whether nothing is left. */
bool __kmem_cache_shutdown(struct kmem_cache *s);
/* After that: what the cache consists of. */
void __kmem_cache_release(struct kmem_cache *s);
/* Objects handed out. */
unsigned long __kmem_cache_active(struct kmem_cache *s);
/* Log at most max objects that were not freed. */
void __kmem_cache_report(struct kmem_cache *s, unsigned int max);
void __get_slabinfo(struct kmem_cache *s, struct slabinfo *info);

/* ---- kmalloc.c ------------------------------------------------------------------------------ */

void create_kmalloc_caches(void);
void *kmalloc_large(size_t size, gfp_t gfp, int node);
unsigned long kmalloc_large_count(void); /* blocks */

#ifdef CONFIG_SLOB
void *slob_kmalloc(size_t size, gfp_t gfp, int node);
void slob_kfree(void *p);
size_t slob_ksize(const void *p);
#endif

/* ---- Addresses ------------------------------------------------------------------------------ */

/* virt_to_page(p) in fewer instructions: struct page of address 0, if there were one. */
extern unsigned long slab_vmemmap;

static __always_inline struct page *slab_page(const void *p)
{
	return (struct page *)(slab_vmemmap +
			       ((unsigned long)p >> PAGE_SHIFT) * sizeof(struct page));
}

/* PageSlab() of a page whose flags nobody changes. */
static __always_inline bool is_slab_page(const struct page *page)
{
	return page->flags & 1UL << PG_slab;
}

/* The first page of the slab or large block that p lies in. */
static inline struct page *virt_to_slab(const void *p)
{
	return compound_head(slab_page(p));
}

/* The first block of a slab. */
static inline char *slab_base(const struct page *slab)
{
#ifdef CONFIG_SLAB
	const struct kmem_cache *s = slab->slab_cache;

	return (char *)page_address(slab) + slab->colour * s->colour_off + s->index_bytes;
#else
	return page_address(slab);
#endif
}

/* SLOB's pages hold objects of many caches. */
static inline bool slab_is_of(const struct page *page, const struct kmem_cache *s)
{
#ifdef CONFIG_SLOB
	(void)s;
	return is_slab_page(page);
#else
	return is_slab_page(page) && page->slab_cache == s;
#endif
}

/* ---- slab_debug.c ----------------------------------------------------------------------------- */

/* "slab_debug=" of the command line, for this cache. */
slab_flags_t slab_debug_flags(const char *name);

/* Bytes of the two tracks behind an object. */
unsigned int slab_debug_tracks_size(void);

/* A block of a new slab. */
void slab_debug_init(const struct kmem_cache *s, void *object);
/* False: the object is damaged, and better not used. */
bool slab_debug_alloc(const struct kmem_cache *s, const struct page *slab, void *object,
		      unsigned long caller);
/* False: it is not to be freed. is_free: the allocator knows it as free. */
bool slab_debug_free(const struct kmem_cache *s, const struct page *slab, void *object,
		     bool is_free, unsigned long caller);
/* One line or more about an object and who allocated it. */
void slab_debug_describe(const struct kmem_cache *s, const struct page *slab, const void *object);

/*
 * AddressSanitizer, in builds with it, is told what of a slab nobody may touch: all but the objects
 * that are allocated.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
void __asan_poison_memory_region(const volatile void *addr, size_t size);
void __asan_unpoison_memory_region(const volatile void *addr, size_t size);
#define slab_forbid(p, size) __asan_poison_memory_region(p, size)
#define slab_allow(p, size) __asan_unpoison_memory_region(p, size)
#else
#define slab_forbid(p, size) ((void)(p), (void)(size))
#define slab_allow(p, size) ((void)(p), (void)(size))
#endif

/* Each object on its way out. size: what the caller asked for. */
static __always_inline void *slab_handed_out(const struct kmem_cache *s, void *object, size_t size,
					     gfp_t gfp)
{
	(void)s;
	slab_allow(object, size);
	if (unlikely(gfp & __GFP_ZERO))
		memset(object, 0, size);
	return object;
}

/* n objects into p[]; how many it were. The caller has asked slab_should_fail(). */
size_t slab_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p, unsigned long caller);
void slab_free_bulk(struct kmem_cache *s, size_t n, void **p, unsigned long caller);

/* ---- The way in: one of the allocators -------------------------------------------------------- */

#ifdef CONFIG_SLUB
/*
 * Which cache has been to the slow path last. Where many objects of one cache are freed, a processor that
 * has guessed it need not wait for the page's word to go on with the sheaf. Never NULL, which is what pages
 * that are no slab's have there.
 */
extern struct kmem_cache *slub_last_slow;

static __always_inline struct kmem_cache *slab_guess(void)
{
	struct kmem_cache *s = READ_ONCE(slub_last_slow);

	OPTIMIZER_HIDE_VAR(s);
	return s;
}

void *slub_alloc_from(struct kmem_cache_cpu *c, gfp_t gfp, size_t size, unsigned long caller);
void *slub_alloc_slow(struct kmem_cache *s, gfp_t gfp, size_t size, unsigned long caller);
void *slub_alloc_node(struct kmem_cache *s, gfp_t gfp, int node, size_t size, unsigned long caller);
void slub_free_slow(void *object, struct kmem_cache_cpu *c, unsigned long caller);

/* Hidden, so that no register keeps the cache, which the fast path needs no more. */
static __always_inline struct kmem_cache_cpu *this_sheaf(struct kmem_cache *s)
{
	unsigned long base = (unsigned long)s + machine_slot_offset();

	OPTIMIZER_HIDE_VAR(base);
	return ((struct kmem_cache *)base)->cpu;
}

/* One instruction; others look at it, to count. */
static __always_inline int sheaf_count(struct kmem_cache_cpu *c, int change)
{
#ifdef __SANITIZE_THREAD__
	return __atomic_add_fetch(&c->room, change, __ATOMIC_RELAXED);
#else
	return c->room += change;
#endif
}

/* Sheaf not empty. */
static __always_inline void *sheaf_pop(struct kmem_cache_cpu *c)
{
	void *object = c->top;

	c->top = c->below[(unsigned int)c->room];
	barrier();
	sheaf_count(c, 1);
	return object;
}

/* An object off the CPU's sheaf: no lock, no interrupts off, nothing of the object touched. */
static __always_inline void *slab_alloc_plain(struct kmem_cache *s, gfp_t gfp, size_t size)
{
	struct kmem_cache_cpu *c = this_sheaf(s);
	void *object = c->top;

	if (unlikely(failslab.armed) || unlikely(!object))
		return slub_alloc_from(c, gfp, size, SLAB_CALLER);
	sheaf_pop(c);
	return slab_handed_out(s, object, size, 0);
}

static __always_inline void *slab_alloc(struct kmem_cache *s, gfp_t gfp, size_t size)
{
	if (unlikely(gfp & SLAB_GFP_SLOW))
		return slub_alloc_slow(s, gfp, size, SLAB_CALLER);
	return slab_alloc_plain(s, gfp, size);
}

static __always_inline void slab_free(struct kmem_cache *s, void *object)
{
	struct kmem_cache_cpu *c = this_sheaf(s);
	void *top = c->top;

	if (unlikely(top == object) || unlikely(sheaf_count(c, -1) < 0)) {
		slub_free_slow(object, c, SLAB_CALLER);
		return;
	}
	slab_forbid(object, s->object_size);
	barrier();
	c->below[(unsigned int)c->room] = top;
	c->top = object;
}

static __always_inline void *slab_alloc_node(struct kmem_cache *s, gfp_t gfp, int node, size_t size)
{
	if (nr_node_ids == 1 || node == NUMA_NO_NODE)
		return slab_alloc(s, gfp, size);
	return slub_alloc_node(s, gfp, node, size, SLAB_CALLER);
}
#else
void *__slab_alloc(struct kmem_cache *s, gfp_t gfp, int node, size_t size, unsigned long caller);
void __slab_free(struct kmem_cache *s, void *object, unsigned long caller);

static __always_inline void *slab_alloc_node(struct kmem_cache *s, gfp_t gfp, int node, size_t size)
{
	return __slab_alloc(s, gfp, node, size, SLAB_CALLER);
}

static __always_inline void *slab_alloc(struct kmem_cache *s, gfp_t gfp, size_t size)
{
	return __slab_alloc(s, gfp, NUMA_NO_NODE, size, SLAB_CALLER);
}

#define slab_alloc_plain slab_alloc

static inline struct kmem_cache *slab_guess(void)
{
	return kmem_cache_cache;
}

static __always_inline void slab_free(struct kmem_cache *s, void *object)
{
	__slab_free(s, object, SLAB_CALLER);
}
#endif

#endif
