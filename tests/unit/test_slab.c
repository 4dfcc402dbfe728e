/* SPDX-License-Identifier: MIT */
/* SLUB and kmalloc, against a model that stamps every object. */
#include "soft_fixture.h"

#include <quire/errno.h>

static unsigned long slab_pages(void)
{
	return node_page_state(NR_SLAB_UNRECLAIMABLE);
}

static struct slabinfo info_of(const char *name)
{
	struct slabinfo info;

	for (unsigned int i = 0; get_slabinfo(i, &info); i++) {
		if (!strcmp(info.name, name))
			return info;
	}
	fail_msg("no cache %s", name);
	return info;
}

/* As the caches themselves count. */
__maybe_unused static unsigned long all_slab_pages(void)
{
	unsigned long pages = 0;
	struct slabinfo info;

	for (unsigned int i = 0; get_slabinfo(i, &info); i++)
		pages += info.num_slabs * info.pages_per_slab;
	return pages;
}

/* What is there once all empty slabs have gone. */
struct idle {
	unsigned long objects, slab_pages, free;
};

static struct idle idle_now(void)
{
	struct idle idle = { .objects = kmem_cache_shrink_all() };

	idle.slab_pages = slab_pages();
	idle.free = nr_free_pages();
	return idle;
}

static void assert_idle(const struct idle *before)
{
	struct idle now = idle_now();

	assert_int_equal(now.objects, before->objects);
	assert_int_equal(now.slab_pages, before->slab_pages);
	assert_int_equal(now.free, before->free);
}

static void boot(void)
{
	assert_int_equal(soft_init(64 * MiB, 1), 0);
}

/* ---- Random operations ------------------------------------------------------------------------ */

#define LIVE_MAX 3000

struct object {
	u8 *p;
	size_t size;
	u8 stamp;
};

static void stamp(struct object *o)
{
	memset(o->p, o->stamp, o->size);
}

static void assert_stamp(const struct object *o)
{
	for (size_t i = 0; i < o->size; i++)
		assert_int_equal(o->p[i], o->stamp);
}

static bool random_kmalloc(struct object *o, u64 *seed)
{
	bool zero = rng_below(seed, 4) == 0;

	switch (rng_below(seed, 20)) {
	case 0:
		o->size = 1 + rng_below(seed, 64 * 1024);
		break;
	case 1:
		o->size = 1ul << rng_below(seed, 17);
		break;
	default:
		o->size = 1 + rng_below(seed, 600);
	}
	o->p = kmalloc(o->size, GFP_KERNEL | __GFP_NOWARN | (zero ? __GFP_ZERO : 0));
	if (!o->p)
		return false;
	assert_true(ksize(o->p) >= o->size);
	assert_int_equal((unsigned long)o->p % 8, 0);
	if (!(o->size & (o->size - 1)))
		assert_int_equal((unsigned long)o->p % min(o->size, PAGE_SIZE), 0);
	for (size_t i = 0; zero && i < o->size; i++)
		assert_int_equal(o->p[i], 0);
	o->stamp = (u8)rng_next(seed);
	stamp(o);
	return true;
}

/* Also of caches, some of which construct, and in bulk; also resized. */
static struct kmem_cache *model_caches[5];
static const unsigned int model_sizes[ARRAY_SIZE(model_caches)] = { 8, 56, 100, 700, 3000 };

struct model {
	struct object live[LIVE_MAX];
	struct kmem_cache *cache[LIVE_MAX]; /* NULL: of kmalloc() */
	unsigned long nr;
	u64 seed;
};

static void model_add(struct model *m, void *p, size_t size, struct kmem_cache *s)
{
	struct object *o = &m->live[m->nr];

	if (!p)
		return;
	*o = (struct object){ p, size, (u8)rng_next(&m->seed) };
	stamp(o);
	m->cache[m->nr++] = s;
}

static void model_alloc(struct model *m)
{
	unsigned int i = (unsigned int)rng_below(&m->seed, 12);
	void *batch[20];

	if (i >= 2 * ARRAY_SIZE(model_caches)) {
		if (random_kmalloc(&m->live[m->nr], &m->seed))
			m->cache[m->nr++] = NULL;
	} else if (i >= ARRAY_SIZE(model_caches)) {
		i -= ARRAY_SIZE(model_caches);
		model_add(m, kmem_cache_alloc(model_caches[i], GFP_KERNEL | __GFP_NOWARN),
			  model_sizes[i], model_caches[i]);
	} else if (m->nr + ARRAY_SIZE(batch) < LIVE_MAX) {
		unsigned int n = 1 + (unsigned int)rng_below(&m->seed, ARRAY_SIZE(batch));

		n = (unsigned int)kmem_cache_alloc_bulk(model_caches[i], GFP_KERNEL | __GFP_NOWARN,
							n, batch);
		while (n--)
			model_add(m, batch[n], model_sizes[i], model_caches[i]);
	}
}

static void model_free(struct model *m, unsigned long i)
{
	struct object *o = &m->live[i];

	assert_stamp(o);
	if (!m->cache[i] && rng_below(&m->seed, 4) == 0) {
		size_t size = 1 + rng_below(&m->seed, 2 * o->size);
		void *p = krealloc(o->p, size, GFP_KERNEL | __GFP_NOWARN);

		if (p) {
			o->p = p;
			o->size = min(o->size, size);
			assert_stamp(o);
			o->size = size;
			stamp(o);
		}
		return;
	}
	if (m->cache[i] && rng_below(&m->seed, 2))
		kmem_cache_free(m->cache[i], o->p);
	else
		kfree(o->p);
	*o = m->live[--m->nr];
	m->cache[i] = m->cache[m->nr];
}

static void construct_nothing(void *object)
{
	(void)object;
}

/* QUIRE_SLAB_STEPS of them, in the long run. */
static void random_operations(void **state)
{
	const char *steps = getenv("QUIRE_SLAB_STEPS");
	static struct model m;
	struct idle before, all;

	(void)state;
	boot();
	all = idle_now();
	for (unsigned int i = 0; i < ARRAY_SIZE(model_caches); i++)
		model_caches[i] = kmem_cache_create("model", model_sizes[i], i % 2 ? 64 : 0, 0,
						    i % 3 ? construct_nothing : NULL);
	before = idle_now();
	m.nr = 0;
	m.seed = 5;
	for (long step = 0, n = steps ? atol(steps) : 60000; step < n; step++) {
		unsigned long i = rng_below(&m.seed, LIVE_MAX);

		if (i < m.nr)
			model_free(&m, i);
		else
			model_alloc(&m);
		if (step % 1000 == 0)
			kmem_cache_shrink(model_caches[step / 1000 % ARRAY_SIZE(model_caches)]);
		if (step % 10000 == 0)
			assert_int_equal(kmem_cache_shrink_all(), before.objects + m.nr);
	}
	while (m.nr)
		model_free(&m, m.nr - 1);
	assert_idle(&before);
	for (unsigned int i = 0; i < ARRAY_SIZE(model_caches); i++)
		assert_int_equal(kmem_cache_destroy(model_caches[i]), 0);
	assert_idle(&all);
}

static void objects_of_every_size(void **state)
{
	static const unsigned int sizes[] = {
		1, 7, 8, 24, 100, 560, 1000, 2049, 5000, 20000, 40000
	};
	struct idle before;

	(void)state;
	boot();
	before = idle_now();
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned int align = 0; align <= 4096; align = align ? align * 8 : 1) {
			struct kmem_cache *s = kmem_cache_create("sized", sizes[i], align, 0, NULL);
			struct object objects[50];

			assert_non_null(s);
			assert_int_equal(kmem_cache_size(s), sizes[i]);
			for (unsigned int k = 0; k < ARRAY_SIZE(objects); k++) {
				objects[k] = (struct object){ kmem_cache_alloc(s, GFP_KERNEL),
							      sizes[i], (u8)k };
				assert_int_equal((unsigned long)objects[k].p % max(align, 8u), 0);
				stamp(&objects[k]);
			}
			for (unsigned int k = 0; k < ARRAY_SIZE(objects); k++) {
				assert_stamp(&objects[k]);
				kmem_cache_free(s, objects[k].p);
			}
			assert_int_equal(kmem_cache_destroy(s), 0);
		}
	}
	assert_idle(&before);
	assert_null(kmem_cache_create("none", 0, 0, 0, NULL));
	assert_null(kmem_cache_create("crooked", 8, 3, 0, NULL));
}

/* ---- kmalloc ---------------------------------------------------------------------------------- */

static void kmalloc_sizes(void **state)
{
#ifdef CONFIG_SLOB
	static const size_t steps[] = { 8, 16, 24, 104, 600, 4032 }, large = 4096;
#else
	static const size_t large = 16384;
	static const size_t steps[] = { 8,   16,  32,	64,   96,   128, 192,
					256, 512, 1024, 2048, 4096, 8192 };
#endif
	unsigned long pages;
	size_t size = 1;
	void *p;

	(void)state;
	boot();
	for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
		for (; size <= steps[i]; size++) {
			p = kmalloc(size, GFP_KERNEL);
#ifdef CONFIG_SLOB
			assert_int_equal(ksize(p), ALIGN(size, 8ul));
#else
			assert_int_equal(ksize(p), steps[i]);
#endif
			kfree(p);
		}
	}
	pages = slab_pages();
	p = kmalloc(KMALLOC_MAX_CACHE_SIZE + 1, GFP_KERNEL);
	assert_int_equal(ksize(p), large);
	assert_int_equal(slab_pages(), pages + large / PAGE_SIZE);
	kfree(p);
	p = kmalloc(4 * MiB, GFP_KERNEL);
	assert_non_null(p);
	kfree(p);
	assert_int_equal(slab_pages(), pages);
	assert_null(kmalloc(4 * MiB + 1, GFP_KERNEL));
	assert_null(kmalloc(~0ul, GFP_KERNEL));
	assert_null(kcalloc(1ul << 33, 1ul << 33, GFP_KERNEL));
	assert_ptr_equal(kmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_int_equal(ksize(ZERO_SIZE_PTR), 0);
	kfree(ZERO_SIZE_PTR);
	kfree(NULL);
#ifndef CONFIG_SLOB
	assert_true(info_of("kmalloc-1k").object_size >= 1024);
#endif
}

static void krealloc_keeps_contents(void **state)
{
	struct idle before;
	char *p, *copy;

	(void)state;
	boot();
	before = idle_now();
	p = krealloc(NULL, 5, GFP_KERNEL);
	memcpy(p, "abcd", 5);
	assert_ptr_equal(krealloc(p, 8, GFP_KERNEL), p);
	p = krealloc(p, 20000, GFP_KERNEL);
	assert_string_equal(p, "abcd");
	failslab.nth = 1;
	assert_null(krealloc(p, 100000, GFP_KERNEL));
	assert_string_equal(p, "abcd");
	copy = kstrdup(p, GFP_KERNEL);
	assert_string_equal(copy, "abcd");
	kfree(copy);
	assert_ptr_equal(krealloc(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_idle(&before);
}

static void bulk_is_all_or_nothing(void **state)
{
	struct kmem_cache *s;
	void *objects[500];
	struct idle before;

	(void)state;
	boot();
	before = idle_now();
	s = kmem_cache_create("bulk", 120, 0, 0, NULL);
	for (unsigned int n = 1; n <= ARRAY_SIZE(objects); n = n * 3 + 1) {
		assert_int_equal(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_ZERO, n, objects), n);
		for (unsigned int i = 0; i < n; i++) {
			for (unsigned int b = 0; b < 120; b++)
				assert_int_equal(((u8 *)objects[i])[b], 0);
			memset(objects[i], 0xee, 120);
		}
		kmem_cache_free_bulk(s, n, objects);
	}
	assert_int_equal(kmem_cache_alloc_bulk(s, GFP_KERNEL, 500, objects), 500);
	kmem_cache_shrink_all();
	assert_int_equal(info_of("bulk").active_objs, 500);
	kmem_cache_free_bulk(NULL, 250, objects);
	kmem_cache_free_bulk(s, 250, objects + 250);
	failslab.nth = 1;
	assert_int_equal(kmem_cache_alloc_bulk(s, GFP_KERNEL, 5, objects), 0);
	kmem_cache_shrink_all();
	fail_page_alloc.nth = 3;
	assert_int_equal(kmem_cache_alloc_bulk(s, GFP_NOWAIT | __GFP_NOWARN, 500, objects), 0);
	assert_int_equal(atomic_long_read(&fail_page_alloc.failed), 1);
	assert_int_equal(kmem_cache_destroy(s), 0);
	assert_idle(&before);
}

static void the_family_of_kmalloc(void **state)
{
	struct idle before;
	u8 *p;

	(void)state;
	boot();
	before = idle_now();
	p = kcalloc(7, 9, GFP_KERNEL);
	for (int i = 0; i < 63; i++)
		assert_int_equal(p[i], 0);
	kfree(p);
	p = kmalloc_array(7, 9, GFP_KERNEL);
	assert_in_range(ksize(p), 63, 64);
	kfree(p);
	assert_null(kmalloc_array(1ul << 60, 1ul << 60, GFP_KERNEL));
	p = kmalloc_node(100, GFP_KERNEL, 0);
	kfree(p);
	p = kmalloc_node(100000, GFP_KERNEL | __GFP_THISNODE, 0);
	kfree(p);
	/* A zone is a matter of pages. */
	p = kmalloc(100, GFP_KERNEL | GFP_DMA);
	assert_true(__pa(p) < 16 * MiB);
	assert_int_equal(ksize(p), PAGE_SIZE);
	kfree(p);
	assert_idle(&before);
}

/* ---- Counters --------------------------------------------------------------------------------- */

static void counters_are_exact(void **state)
{
	void *objects[1000];
	struct idle before;
	struct kmem_cache *s;
	struct slabinfo info;
	const char *name;
	unsigned long left;

	(void)state;
	boot();
	before = idle_now();
	s = kmem_cache_create("counted", 200, 0, 0, NULL);
	for (int i = 0; i < 1000; i++)
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
	info = info_of("counted");
#ifdef CONFIG_SLOB
	assert_int_equal(info.num_objs, 1000);
#else
	assert_int_equal(slab_pages(), all_slab_pages());
	assert_int_equal(info.num_objs, info.num_slabs * info.objs_per_slab);
#endif
	for (int i = 0; i < 1000; i += 2)
		kmem_cache_free(s, objects[i]);
	assert_int_equal(kmem_cache_shrink_all(), before.objects + 500);
	assert_int_equal(info_of("counted").active_objs, 500);
	assert_true(kmem_cache_leftover(0, &name, &left));
	assert_string_equal(name, "counted");
	assert_int_equal(left, 500);
	assert_false(kmem_cache_leftover(1, &name, &left));
	soft_log_hook = log_kept;
	assert_int_equal(kmem_cache_destroy(s), -EBUSY);
	assert_string_equal(log_text,
			    "kmem_cache_destroy counted: Slab cache still has objects: 500");
	for (int i = 1; i < 1000; i += 2)
		kmem_cache_free(s, objects[i]);
	kmem_cache_shrink(s);
	assert_int_equal(info_of("counted").num_slabs, 0);
	assert_int_equal(kmem_cache_destroy(s), 0);
	assert_idle(&before);

	objects[0] = kmalloc(100000, GFP_KERNEL);
	assert_int_equal(kmem_cache_shrink_all(), before.objects + 1);
	assert_true(kmem_cache_leftover(0, &name, &left));
	assert_string_equal(name, "kmalloc-large");
	kfree(objects[0]);
	assert_idle(&before);
}

static void few_empty_slabs_are_kept(void **state)
{
	static void *objects[20000];
	unsigned long pages;

	(void)state;
	boot();
	pages = slab_pages();
	for (int i = 0; i < 20000; i++)
		objects[i] = kmalloc(64, GFP_KERNEL);
	assert_true(slab_pages() - pages >= 20000 / 64);
	for (int i = 0; i < 20000; i++)
		kfree(objects[i]);
	assert_in_range(slab_pages() - pages, 0, 8);
}

#if defined(CONFIG_SLAB) && !defined(CONFIG_DEBUG_VM)
/* Where the first object of each slab lies moves on by a line, and begins anew when there is no more room. */
static void slabs_are_coloured(void **state)
{
	unsigned long first[12], least = ~0ul, most = 0;
	unsigned int per_slab;
	struct kmem_cache *s;

	(void)state;
	boot();
	s = kmem_cache_create("coloured", 360, 64, 0, NULL);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_shrink_all();
	per_slab = info_of("coloured").objs_per_slab;
	for (unsigned int i = 0; i < ARRAY_SIZE(first); i++) {
		unsigned long lowest = ~0ul;
		void *objects[200];

		assert_int_equal(kmem_cache_alloc_bulk(s, GFP_KERNEL, per_slab, objects), per_slab);
		for (unsigned int k = 0; k < per_slab; k++)
			lowest = min(lowest, (unsigned long)objects[k]);
		first[i] = lowest % (PAGE_SIZE * info_of("coloured").pages_per_slab);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(first); i++) {
		least = min(least, first[i]);
		most = max(most, first[i]);
	}
	/* 10 objects of 384 bytes and a line for the free list leave room for three lines. */
	assert_int_equal(per_slab, 10);
	assert_int_equal(most - least, 3 * 64);
	for (unsigned int i = 1; i < ARRAY_SIZE(first); i++)
		assert_int_equal(first[i], first[i - 1] == most ? least : first[i - 1] + 64);
}
#endif

/* ---- Constructor, wrong use ------- ------------------------------------------------------------- */

static void construct(void *object)
{
	memset(object, 0x5c, 100);
}

static void constructed_objects_stay_so(void **state)
{
	struct kmem_cache *s;

	(void)state;
	boot();
	s = kmem_cache_create("constructed", 100, 0, 0, construct);
	for (int i = 0; i < 500; i++) {
		u8 *objects[10];

		for (int k = 0; k < 10; k++) {
			objects[k] = kmem_cache_alloc(s, GFP_KERNEL);
			for (int b = 0; b < 100; b++)
				assert_int_equal(objects[k][b], 0x5c);
		}
		for (int k = 0; k < 10; k++)
			kmem_cache_free(s, objects[k]);
	}
	assert_int_equal(kmem_cache_destroy(s), 0);
}

static unsigned int destroyed;

static void destruct(void *object)
{
	(void)object;
	destroyed++;
}

static void destructors_are_called_once(void **state)
{
	void *objects[300];
	unsigned long there;
	struct kmem_cache *s;

	(void)state;
	boot();
	destroyed = 0;
	s = kmem_cache_create_dtor("destructed", 100, 0, 0, construct, destruct);
	for (unsigned int i = 0; i < ARRAY_SIZE(objects); i++)
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
	there = info_of("destructed").num_objs;
	for (unsigned int i = 0; i < ARRAY_SIZE(objects); i++)
		kmem_cache_free(s, objects[i]);
	assert_int_equal(kmem_cache_destroy(s), 0);
	assert_int_equal(destroyed, there);
}

static void wrong_frees_are_found(void **state)
{
	struct kmem_cache *s;
	void *p;

	(void)state;
	slab_panic_on_error = true;
	boot();
	p = kmalloc(100, GFP_KERNEL);
	kfree(p);
#ifndef CONFIG_DEBUG_VM
	assert_panics(kfree(p), "freed twice");
#endif
	soft_exit();
	boot();
	s = kmem_cache_create("other", 100, 0, 0, NULL);
	p = kmalloc(100, GFP_KERNEL);
	assert_panics(kmem_cache_free(s, p), "not from");
	soft_exit();
	boot();
	p = (void *)__get_free_pages(GFP_KERNEL, 1);
	assert_panics(kfree(p), "not from kmalloc");
}

/* ---- Failure ------------------------------------------------------------------------------------ */

static void the_nth_slab_allocation_fails(void **state)
{
	(void)state;
	boot();
	failslab.nth = 2;
	kfree(kmalloc(10, GFP_KERNEL));
	assert_null(kmalloc(10, GFP_KERNEL));
	failslab.nth = 1;
	assert_null(kmalloc(100000, GFP_KERNEL));
	failslab.nth = 1;
	kfree(kmalloc(10, GFP_KERNEL | __GFP_NOFAIL));
	assert_null(kmem_cache_create("fails", 10, 0, 0, NULL));
	assert_int_equal(atomic_long_read(&failslab.failed), 3);
}

static unsigned long allocate_some(void **objects, unsigned long nr)
{
	unsigned long got = 0;

	for (unsigned long i = 0; i < nr; i++) {
		objects[i] = kmalloc(8ul << (i % 11), GFP_KERNEL);
		got += objects[i] != NULL;
	}
	return got;
}

/* Whatever page cannot be had, what was had can be given back and nothing is lost. */
static void every_page_allocation_fails_once(void **state)
{
	void *objects[400];
	struct idle before;
	long nth = 1;

	(void)state;
	boot();
	before = idle_now();
	do {
		fail_page_alloc.nth = nth++;
		atomic_long_set(&fail_page_alloc.failed, 0);
		allocate_some(objects, ARRAY_SIZE(objects));
		for (unsigned int i = 0; i < ARRAY_SIZE(objects); i++)
			kfree(objects[i]);
		assert_idle(&before);
	} while (atomic_long_read(&fail_page_alloc.failed));
	assert_in_range(nth, 20, 400);
	fail_page_alloc.nth = 0;
}

static void memory_runs_out(void **state)
{
	struct idle before;
	void **chain = NULL, **next;
	unsigned long got = 0;

	(void)state;
	assert_int_equal(soft_init(8 * MiB, 1), 0);
	before = idle_now();
	while ((next = kmalloc(256, GFP_KERNEL | __GFP_NOWARN))) {
		*next = chain;
		chain = next;
		got++;
	}
	assert_in_range(got, 5000, 32768);
	for (; chain; chain = next) {
		next = *chain;
		kfree(chain);
	}
	assert_idle(&before);
}

/* ---- Two CPUs ------------------------------------------------------------------------------------ */

#define RING 256

static struct kmem_cache *shared_cache;
static u64 *ring[RING];

/* CPU 0 allocates, CPU 1 frees; and both do some of the other. */
static void produce_and_consume(unsigned int cpu, void *arg)
{
	u64 seed = 3 + cpu;

	(void)arg;
	for (int step = 0; step < 100000; step++) {
		unsigned long slot = rng_below(&seed, RING);
		u64 *object = NULL;

		if (rng_below(&seed, 10) < (cpu ? 2u : 9u)) {
			object = kmem_cache_alloc(shared_cache, GFP_KERNEL);
			object[0] = object[6] = (u64)(unsigned long)object;
		}
		object = __atomic_exchange_n(&ring[slot], object, __ATOMIC_ACQ_REL);
		if (!object)
			continue;
		if (object[0] != (u64)(unsigned long)object || object[6] != object[0])
			abort();
		kmem_cache_free(shared_cache, object);
		if (step % 20000 == 0)
			kmem_cache_shrink(shared_cache);
	}
}

static void two_cpus_share_a_cache(void **state)
{
	struct idle before;

	(void)state;
	assert_int_equal(soft_init(64 * MiB, 2), 0);
	before = idle_now();
	shared_cache = kmem_cache_create("shared", 56, 0, 0, NULL);
	on_cpus(2, produce_and_consume, NULL);
	for (int i = 0; i < RING; i++) {
		if (ring[i])
			kmem_cache_free(shared_cache, ring[i]);
		ring[i] = NULL;
	}
	assert_int_equal(kmem_cache_destroy(shared_cache), 0);
	assert_idle(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(random_operations),
		machine_test(objects_of_every_size),
		machine_test(kmalloc_sizes),
		machine_test(krealloc_keeps_contents),
		machine_test(bulk_is_all_or_nothing),
		machine_test(the_family_of_kmalloc),
		machine_test(counters_are_exact),
		machine_test(few_empty_slabs_are_kept),
#if defined(CONFIG_SLAB) && !defined(CONFIG_DEBUG_VM)
		machine_test(slabs_are_coloured),
#endif
		machine_test(constructed_objects_stay_so),
		machine_test(destructors_are_called_once),
		machine_test(wrong_frees_are_found),
		machine_test(the_nth_slab_allocation_fails),
		machine_test(every_page_allocation_fails_once),
		machine_test(memory_runs_out),
		machine_test(two_cpus_share_a_cache),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
