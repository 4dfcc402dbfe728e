/* SPDX-License-Identifier: MIT */
/*
 * shrinker.c - caches of kernel objects that reclaim asks for some of what they could do without, in
 * proportion to what it takes of pages.
 */
#include <quire/reclaim.h>
#include <quire/vmstat.h>

/* Objects asked for at a time. */
#define SHRINK_BATCH 128UL

static struct shrinker *shrinkers; /* changes at boot only */

void shrinker_init(void)
{
	shrinkers = NULL;
}

void register_shrinker(struct shrinker *shrinker)
{
	shrinker->next = shrinkers;
	shrinkers = shrinker;
}

void drop_slab(void)
{
	for (int i = 0; i < 10 && shrink_slab(GFP_KERNEL, 0); i++)
		;
	count_vm_event(DROP_SLAB);
}

unsigned long shrink_slab(gfp_t gfp, int priority)
{
	unsigned long freed = 0;

	if (!(gfp & __GFP_FS))
		return 0;
	for (struct shrinker *s = shrinkers; s; s = s->next) {
		unsigned long want = s->count_objects() >> priority;

		while (want) {
			unsigned long nr = min(want, SHRINK_BATCH);
			unsigned long n = s->scan_objects(nr);

			count_vm_events(SLABS_SCANNED, nr);
			freed += n;
			want -= nr;
			if (!n)
				break;
		}
	}
	return freed;
}
