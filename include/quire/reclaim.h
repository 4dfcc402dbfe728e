/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - which pages go when memory is short: the interface between mechanism and policy.
 *
 *	mm/vmscan.c   the mechanism: how a page is unmapped, written and freed, under which locks
 *	mm/lru.c      the policy that is used: Linux's two lists with second chance and refault distance
 *
 * Another policy is another file like lru.c, and its name in reclaim_policy. All it decides with is in
 * struct lruvec (lengths and order of the lists, ages), in the flags of a page (PG_active,
 * PG_referenced, PG_workingset are the policy's) and in what reclaim tells of references. Its functions
 * are called with or without lru_lock, as each says; none of them may sleep, or allocate.
 */
#ifndef QUIRE_RECLAIM_H
#define QUIRE_RECLAIM_H

#include <quire/mm.h>

/* What is kept free; /proc/sys/vm. After a change setup_per_zone_wmarks() makes it take effect. */
extern int min_free_kbytes; /* of all zones together */
extern int watermark_scale_factor; /* distance of the watermarks, in ten thousandths of a zone */
extern int sysctl_lowmem_reserve_ratio[MAX_NR_ZONES];
void setup_per_zone_wmarks(void);

#define DEF_PRIORITY 12

/* One pass of reclaim, or a series of them with rising pressure. */
struct scan_control {
	gfp_t gfp;
	unsigned int order;
	unsigned long nr_to_reclaim, nr_reclaimed;
	unsigned long nr_scanned;
	int priority; /* 2^-priority of the lists is looked at; 0: all, and references do not count */
	unsigned int
		swappiness; /* 0 ... 200: what anonymous pages' I/O costs, against that of files */
	unsigned long floor; /* so many pages of files stay, if they are mapped; else half of it */
	bool may_writepage, may_unmap, may_swap;
	bool kswapd;
	struct address_space *locked; /* the caller holds its lock */
	bool contended; /* some lock was held by somebody else */
};

/* What becomes of a page that reclaim has looked at. */
enum page_verdict {
	PAGE_RECLAIM,
	PAGE_KEEP, /* to the young end of the list it came from */
	PAGE_ACTIVATE, /* to the active list */
};

struct reclaim_policy {
	const char *name;
	/*
	 * The page, on no list yet, comes back after it was reclaimed; shadow is what evict() returned for it
	 * then. Sets the flags that say which list it gets on. lru_lock not held.
	 */
	void (*refault)(struct lruvec *lruvec, struct page *page, unsigned long shadow);
	/*
	 * A page of an inactive list. refs: the entries that it was used through since it was last looked
	 * at; vm_flags: of their VMAs. lru_lock not held.
	 */
	enum page_verdict (*examine)(struct page *page, unsigned int refs, vm_flags_t vm_flags);
	/* A page from the old end of an active list: does it stay active? lru_lock not held. */
	bool (*stays_active)(struct page *page, unsigned int refs, vm_flags_t vm_flags);
	/* Whether the active list of the kind (LRU_INACTIVE_ANON or _FILE) is to be aged. */
	bool (*inactive_is_low)(const struct lruvec *lruvec, enum lru_list inactive);
	/* How many pages of each list to look at: nr[NR_LRU_LISTS]. */
	void (*scan_count)(const struct lruvec *lruvec, const struct scan_control *sc,
			   unsigned long *nr);
	/* Of nr pages of the inactive list that were looked at so many had to stay: rotated. */
	void (*note_cost)(struct lruvec *lruvec, enum lru_list inactive, unsigned long nr,
			  unsigned long rotated);
	/* The page goes. What refault() is to know of it, below 2^40 and not 0. lru_lock not held. */
	unsigned long (*evict)(struct lruvec *lruvec, struct page *page);
};

extern const struct reclaim_policy lru_policy;
extern const struct reclaim_policy *reclaim_policy;

/* ---- Kernel objects ------------------------------------------------------------------------- */

/* A cache that can do without some of its objects. Called as reclaim is: sleeping locks are tried only. */
struct shrinker {
	const char *name;
	unsigned long (*count_objects)(void); /* how many it could give up */
	unsigned long (*scan_objects)(unsigned long nr); /* look at nr; how many were freed */
	struct shrinker *next;
};

void shrinker_init(void); /* boot, before any is registered */
void register_shrinker(struct shrinker *shrinker); /* boot */
/* Of each cache the 2^-priority-th part. Objects freed. */
unsigned long shrink_slab(gfp_t gfp, int priority);

/* All of them, as far as they can: /proc/sys/vm/drop_caches. May sleep. */
void drop_slab(void);

/* ---- Background: kswapd.c ------------------------------------------------------------------- */

void kswapd_init(void); /* boot */
/* A thread of the port that has a CPU, and holds nothing, does this until kswapd_stop(). */
void kswapd(void);
/* It frees nothing any more when this returns, and gives back its thread. May sleep. */
void kswapd_stop(void);
/* Until enough is free: one turn of it. May sleep. */
void balance_pgdat(void);
/* An allocation has found no zone above its low watermark. Any context. */
void wakeup_kswapd(void);
void kswapd_made_progress(void); /* somebody else was able to free something */

/* ---- The mechanism -------------------------------------------------------------------------- */

extern int vm_swappiness; /* 0 ... 200; 60 */
/* Pages of files that reclaim for other memory leaves, at most: an eighth of RAM if that is less. */
extern unsigned long vm_cache_floor;

/* At least so many pages are freed, and looked at, at a time. */
#define SWAP_CLUSTER_MAX 32UL
/* How many pages of files reclaim for other memory leaves now. */
unsigned long reclaim_cache_floor(void);
/* One pass with sc's priority, until nr_to_reclaim is reached. May sleep, holds nothing afterwards. */
void shrink_node(struct scan_control *sc);
/* Some zone has more free frames than its watermark. */
bool zones_above(enum zone_watermarks mark);
/* Called by the allocator's slow path (may sleep). Pages freed. */
unsigned long try_to_free_pages(gfp_t gfp, unsigned int order);

#endif
