/* SPDX-License-Identifier: MIT */
/*
 * The order of locks, checked in debug builds: see lockdep.h.
 *
 * A new lock gets a line in the table below, where it nests, and one in ARCHITECTURE.md.
 */
#ifdef CONFIG_DEBUG_VM
#include <quire/kernel.h>
#include <quire/lockdep.h>
#include <quire/machine.h>
#include <quire/sprintf.h>
#include <quire/string.h>

/* Outer to inner. */
enum lock_rank {
	RANK_UNCHECKED = 1, /* of a test */
	RANK_SWAP_FILES,
	RANK_SWAPON,
	RANK_DUMP,
	RANK_SLAB_MUTEX,
	RANK_MMAP,
	RANK_SHM,
	RANK_MAPPING,
	RANK_BOUNCE,
	RANK_VMAP_PURGE,
	RANK_FIRST_SPIN,
	RANK_FUTEX = RANK_FIRST_SPIN,
	RANK_ANON_VMA,
	RANK_PAGE_TABLE,
	RANK_TASKLIST,
	RANK_MM_MACHINE,
	RANK_HMM,
	RANK_FLUSH,
	RANK_DEVICE,
	RANK_SIGLOCK,
	RANK_CALLS,
	RANK_SWAP,
	RANK_SWAP_AREA,
	RANK_LRU,
	RANK_VMAP_AREA,
	RANK_SLAB_NODE,
	RANK_ZONE,
	RANK_LEAF, /* nothing is taken inside */
};

/* clang-format off */
static const struct {
	const char *name; /* how the end of the expression reads */
	enum lock_rank rank;
	bool nests; /* in another one of its kind, in an order of their own */
} classes[] = {
	{ "swap_files_lock", RANK_SWAP_FILES, false },
	{ "swapon_mutex", RANK_SWAPON, false },
	{ "dump_lock", RANK_DUMP, false },
	{ "swap_lock", RANK_SWAP, false },
	{ "si->lock", RANK_SWAP_AREA, false },
	{ "slab_mutex", RANK_SLAB_MUTEX, false },
	{ "kswapd_lock", RANK_SLAB_MUTEX, false },
	{ "mmap_lock", RANK_MMAP, true },
	{ "shm_lock", RANK_SHM, false },
	{ "mapping->lock", RANK_MAPPING, false },
	{ "i_data.lock", RANK_MAPPING, false },
	{ "bounce_lock", RANK_BOUNCE, false },
	{ "oom_lock", RANK_BOUNCE, false },
	{ "vmap_purge_lock", RANK_VMAP_PURGE, false },
	{ "bucket->lock", RANK_FUTEX, true },
	{ "&a->lock", RANK_FUTEX, true },
	{ "&b->lock", RANK_FUTEX, true },
	{ "root->lock", RANK_ANON_VMA, false },
	{ "page_table_lock", RANK_PAGE_TABLE, true },
	{ "&m->lock", RANK_MM_MACHINE, false },
	{ "hmm->lock", RANK_HMM, false },
	{ "flush_lock", RANK_FLUSH, false },
	{ "device_lock", RANK_DEVICE, false },
	{ "tasklist_lock", RANK_TASKLIST, false },
	{ "siglock", RANK_SIGLOCK, false },
	{ "lru_lock", RANK_LRU, false },
	{ "vmap_area_lock", RANK_VMAP_AREA, false },
	{ "&n->lock", RANK_SLAB_NODE, false },
	{ "slob_lock", RANK_SLAB_NODE, false },
	{ "zone->lock", RANK_ZONE, false },
	{ "region->lock", RANK_CALLS, false },
	{ "uffd_lock", RANK_LEAF, false },
	{ "uffd_files_lock", RANK_LEAF, false },
	{ "mmlist_lock", RANK_LEAF, false },
	{ "inode_lock", RANK_LEAF, false },
	{ "anon_vma_ref_lock", RANK_LEAF, false },
	{ "shmem_swaplist_lock", RANK_LEAF, false },
	{ "vfork_lock", RANK_LEAF, false },
	{ "kernel_ring_lock", RANK_LEAF, false },
	{ "tlb->lock", RANK_LEAF, false },
	{ "dead_lock", RANK_LEAF, false },
	{ "proc_files_lock", RANK_LEAF, false },
};
/* clang-format on */

/* A class is an index into the table, plus this. */
#define CLASS_BASE 2u
#define CLASS_UNCHECKED 1u

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

unsigned int lockdep_class(const char *text, const char *file)
{
	const char *name = file;
	char why[160];

	for (unsigned int i = 0; i < ARRAY_SIZE(classes); i++)
		if (ends_with(text, classes[i].name))
			return i + CLASS_BASE;
	for (; *file; file++)
		if (!strncmp(file, "tests/", 6))
			return CLASS_UNCHECKED;
	snprintf(why, sizeof(why), "lock %s of %s has no place in the order (mm/lockdep.c)", text,
		 name);
	machine_panic(why);
}

static const char *class_name(unsigned int class)
{
	return class >= CLASS_BASE ? classes[class - CLASS_BASE].name : "a test's";
}

static bool may_nest(unsigned int outer, unsigned int inner)
{
	enum lock_rank o, i;

	if (outer < CLASS_BASE || inner < CLASS_BASE)
		return true;
	o = classes[outer - CLASS_BASE].rank;
	i = classes[inner - CLASS_BASE].rank;
	return o < i || (o == i && classes[inner - CLASS_BASE].nests);
}

__noreturn static void bad_order(const char *what, unsigned int held, unsigned int wanted)
{
	char why[160];

	snprintf(why, sizeof(why), "lock order: %s %s while %s is held", what, class_name(wanted),
		 class_name(held));
	machine_panic(why);
}

void lockdep_acquire(const void *lock, unsigned int class, bool tried)
{
	struct held_locks *h = machine_held_locks();

	for (unsigned int i = 0; i < h->nr && !tried; i++) {
		if (h->lock[i].lock == lock)
			bad_order("again", h->lock[i].class, class);
		if (!may_nest(h->lock[i].class, class))
			bad_order("taking", h->lock[i].class, class);
	}
	if (h->nr == MAX_HELD_LOCKS)
		bad_order("the seventeenth,", h->lock[0].class, class);
	h->lock[h->nr].lock = lock;
	h->lock[h->nr].class = class;
	h->nr++;
}

void lockdep_may_sleep(void)
{
	const struct held_locks *h = machine_held_locks();
	char why[120];

	for (unsigned int i = 0; i < h->nr; i++) {
		unsigned int class = h->lock[i].class;

		if (class < CLASS_BASE || classes[class - CLASS_BASE].rank < RANK_FIRST_SPIN)
			continue;
		snprintf(why, sizeof(why), "lock order: might sleep while %s is held",
			 class_name(class));
		machine_panic(why);
	}
}

bool lockdep_forget(struct held_locks *h, const void *lock)
{
	unsigned int i = h->nr;

	while (i && h->lock[i - 1].lock != lock)
		i--;
	if (!i)
		return false;
	for (h->nr--; i <= h->nr; i++)
		h->lock[i - 1] = h->lock[i];
	return true;
}

void lockdep_release(const void *lock)
{
	char why[120];

	if (lockdep_forget(machine_held_locks(), lock))
		return;
	snprintf(why, sizeof(why), "lock order: %p is released at %p, and is not held", lock,
		 __builtin_return_address(0));
	machine_panic(why);
}
#endif
