/* SPDX-License-Identifier: MIT */
/*
 * What slab_debug= has checked: red zones, poison, who allocated and who freed. mm/slab.h has the
 * picture of a block. The allocators call in for each object of a cache with a debug flag.
 *
 *	state        red zones   object (with SLAB_POISON)
 *	free         bb          6b ... 6b a5
 *	allocated    cc          its user's
 *
 * What is found is reported as Linux does, with the object's history, and put in order again; the
 * object concerned goes out of use: it counts as allocated from then on.
 */
#include <quire/cmdline.h>
#include <quire/sprintf.h>
#include <quire/string.h>

#include "slab.h"

#define POISON_FREE 0x6b
#define POISON_END 0xa5
#define RED_INACTIVE 0xbb
#define RED_ACTIVE 0xcc

#define SLAB_DEBUG_DEFAULT (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)

#define DUMP_BYTES 64u /* of an object, in a report */

struct track {
	unsigned long addr; /* 0: never */
	u64 when_ns;
	unsigned int cpu;
};

enum track_item {
	TRACK_ALLOC,
	TRACK_FREE,
	NR_TRACKS
};

unsigned int slab_debug_tracks_size(void)
{
	return NR_TRACKS * sizeof(struct track);
}

static struct track *track_of(const struct kmem_cache *s, const void *object, enum track_item item)
{
	return (struct track *)((char *)object + s->inuse) + item;
}

static void set_track(const struct kmem_cache *s, void *object, enum track_item item,
		      unsigned long caller)
{
	if (s->flags & SLAB_STORE_USER)
		*track_of(s, object, item) =
			(struct track){ caller, machine_clock_ns(), machine_cpu_id() };
}

/* ---- Reports ---------------------------------------------------------------------------------- */

static void print_track(const char *what, const struct track *t)
{
	if (t->addr)
		pr_err("%s in %p age=%lu ms cpu=%u", what, (void *)t->addr,
		       (unsigned long)((machine_clock_ns() - t->when_ns) / 1000000), t->cpu);
}

static unsigned long offset_in_slab(const struct page *slab, const void *p)
{
	return (unsigned long)((const char *)p - (const char *)page_address(slab));
}

void slab_debug_describe(const struct kmem_cache *s, const struct page *slab, const void *object)
{
	pr_err("Object %p @offset=%lu", object, offset_in_slab(slab, object));
	if (s->flags & SLAB_STORE_USER) {
		slab_allow(track_of(s, object, TRACK_ALLOC), slab_debug_tracks_size());
		print_track("Allocated", track_of(s, object, TRACK_ALLOC));
		print_track("Freed", track_of(s, object, TRACK_FREE));
	}
}

/* Sixteen bytes a line. */
static void dump(const char *name, const char *p, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i += 16) {
		unsigned int nr = min(bytes - i, 16u);
		char line[3 * 16 + 1];

		for (unsigned int k = 0; k < nr; k++)
			snprintf(line + 3 * k, 4, " %02x", (unsigned int)(u8)p[i + k]);
		pr_err("%-8s %p:%s", name, (const void *)(p + i), line);
	}
}

static void report(const struct kmem_cache *s, const struct page *slab, const void *object,
		   const char *why)
{
	const char *p = object;

	pr_err("=============================================================================");
	pr_err("BUG %s (Not tainted): %s", s->name, why);
	pr_err("-----------------------------------------------------------------------------");
	pr_err("Slab %p objects=%u used=%u", (const void *)slab, slab->objects, slab->inuse);
	slab_debug_describe(s, slab, object);
	if (s->red_left)
		dump("Redzone", p - s->red_left, s->red_left);
	dump("Object", p, min(s->object_size, DUMP_BYTES));
	if (s->red_left)
		dump("Redzone", p + s->object_size, s->inuse - s->object_size);
	if (slab_panic_on_error)
		slab_panic(s, object, why);
}

/* An address that is no object's, so nothing can be said of one. */
static void report_address(const struct kmem_cache *s, const struct page *slab, const void *p,
			   const char *why)
{
	pr_err("BUG %s (Not tainted): %s", s->name, why);
	pr_err("Slab %p objects=%u used=%u", (const void *)slab, slab->objects, slab->inuse);
	pr_err("Address %p @offset=%lu", p, offset_in_slab(slab, p));
	if (slab_panic_on_error)
		slab_panic(s, p, why);
}

/* ---- Bytes that must not change --------------------------------------------------------------- */

/* Whether they are all value; if not, says so, and they are made so. */
static bool check_bytes(const struct kmem_cache *s, const struct page *slab, void *object, char *p,
			int value, unsigned int bytes, const char *why)
{
	u8 *bad = bytes ? memchr_inv(p, value, bytes) : NULL;
	u8 *last = (u8 *)p + bytes;

	if (!bad)
		return true;
	while (last[-1] == (u8)value)
		last--;
	pr_err("%s: %p-%p @offset=%lu. First byte 0x%x instead of 0x%x", s->name, (void *)bad,
	       (void *)(last - 1), offset_in_slab(slab, bad), *bad, (unsigned int)value);
	report(s, slab, object, why);
	memset(p, value, bytes);
	pr_err("FIX %s: Restoring %s %p-%p=0x%x", s->name, why, (void *)bad, (void *)(last - 1),
	       (unsigned int)value);
	return false;
}

static bool check_red_zones(const struct kmem_cache *s, const struct page *slab, char *object,
			    int value)
{
	if (!(s->flags & SLAB_RED_ZONE))
		return true;
	return check_bytes(s, slab, object, object - s->red_left, value, s->red_left,
			   "Left Redzone overwritten") &&
	       check_bytes(s, slab, object, object + s->object_size, value,
			   s->inuse - s->object_size, "Right Redzone overwritten");
}

static void mark_red_zones(const struct kmem_cache *s, char *object, int value)
{
	if (!(s->flags & SLAB_RED_ZONE))
		return;
	memset(object - s->red_left, value, s->red_left);
	memset(object + s->object_size, value, s->inuse - s->object_size);
}

static bool check_poison(const struct kmem_cache *s, const struct page *slab, char *object)
{
	unsigned int last = s->object_size - 1;

	if (!(s->flags & SLAB_POISON))
		return true;
	return check_bytes(s, slab, object, object, POISON_FREE, last, "Poison overwritten") &&
	       check_bytes(s, slab, object, object + last, POISON_END, 1, "End Poison overwritten");
}

static void poison(const struct kmem_cache *s, char *object)
{
	if (!(s->flags & SLAB_POISON))
		return;
	memset(object, POISON_FREE, s->object_size - 1);
	object[s->object_size - 1] = (char)POISON_END;
}

/* ---- What the allocators call ----------------------------------------------------------------- */

static char *block_of(const struct kmem_cache *s, void *object)
{
	return (char *)object - s->red_left;
}

void slab_debug_init(const struct kmem_cache *s, void *object)
{
	if (s->flags & SLAB_STORE_USER)
		memset(track_of(s, object, TRACK_ALLOC), 0, slab_debug_tracks_size());
	mark_red_zones(s, object, RED_INACTIVE);
	poison(s, object);
}

bool slab_debug_alloc(const struct kmem_cache *s, const struct page *slab, void *object,
		      unsigned long caller)
{
	bool sound;

	slab_allow(block_of(s, object), s->size);
	sound = check_red_zones(s, slab, object, RED_INACTIVE) && check_poison(s, slab, object);
	if (sound) {
		mark_red_zones(s, object, RED_ACTIVE);
		set_track(s, object, TRACK_ALLOC, caller);
	}
	if (s->flags & SLAB_TRACE)
		pr_info("TRACE %s alloc %p inuse=%u by %p", s->name, object, slab->inuse,
			(void *)caller);
	slab_forbid(block_of(s, object), s->size);
	return sound;
}

static bool is_object(const struct kmem_cache *s, const struct page *slab, void *object)
{
	unsigned long distance = (unsigned long)(block_of(s, object) - slab_base(slab));

	return distance % s->size == 0 && distance / s->size < slab->objects;
}

bool slab_debug_free(const struct kmem_cache *s, const struct page *slab, void *object,
		     bool is_free, unsigned long caller)
{
	bool sound;

	if (!is_object(s, slab, object)) {
		report_address(s, slab, object, "Invalid object pointer");
		return false;
	}
	slab_allow(block_of(s, object), s->size);
	if (is_free)
		report(s, slab, object, "Object already free");
	sound = !is_free && check_red_zones(s, slab, object, RED_ACTIVE);
	if (sound) {
		set_track(s, object, TRACK_FREE, caller);
		mark_red_zones(s, object, RED_INACTIVE);
		poison(s, object);
	} else {
		pr_err("FIX %s: Object at %p not freed", s->name, object);
	}
	if (s->flags & SLAB_TRACE)
		pr_info("TRACE %s free %p inuse=%u by %p", s->name, object, slab->inuse,
			(void *)caller);
	slab_forbid(block_of(s, object), s->size);
	return sound;
}

/* ---- slab_debug= ------------------------------------------------------------------------------ */

/* Linux's letters. Those that it does not know it ignores, too. */
static slab_flags_t flags_of_letters(const char **p, const char *end)
{
	slab_flags_t flags = 0;
	const char *start = *p;

	for (; *p < end && **p != ',' && **p != ';'; ++*p) {
		switch (**p | 0x20) {
		case 'f':
			flags |= SLAB_CONSISTENCY_CHECKS;
			break;
		case 'z':
			flags |= SLAB_RED_ZONE;
			break;
		case 'p':
			flags |= SLAB_POISON;
			break;
		case 'u':
			flags |= SLAB_STORE_USER;
			break;
		case 't':
			flags |= SLAB_TRACE;
			break;
		default:
			break;
		}
	}
	return *p == start ? SLAB_DEBUG_DEFAULT : flags;
}

/* A name, or the beginning of one and a star. */
static bool name_matches(const char *pattern, size_t len, const char *name)
{
	if (len && pattern[len - 1] == '*')
		return !strncmp(pattern, name, len - 1);
	return strlen(name) == len && !strncmp(pattern, name, len);
}

/* One block, "flags" or "flags,name,name": whether it is about the cache. */
static bool block_names(const char **p, const char *end, const char *name)
{
	bool all = *p >= end || **p == ';', found = all;

	while (*p < end && **p == ',') {
		const char *pattern = ++*p;

		while (*p < end && **p != ',' && **p != ';')
			++*p;
		found |= name_matches(pattern, (size_t)(*p - pattern), name);
	}
	return found;
}

/* slab_debug=flags,caches;flags,caches: the last block that names the cache counts. */
slab_flags_t slab_debug_flags(const char *name)
{
	slab_flags_t result = 0;
	const char *p, *end;
	size_t len;

	p = cmdline_value("slab_debug", &len);
	if (!p)
		p = cmdline_value("slub_debug", &len);
	if (!p)
		return 0;
	if (!len)
		return SLAB_DEBUG_DEFAULT;
	for (end = p + len; p < end; p++) {
		slab_flags_t flags;

		if (*p == ';')
			continue;
		flags = flags_of_letters(&p, end);
		if (block_names(&p, end, name))
			result = flags;
	}
	return result;
}
