/* SPDX-License-Identifier: MIT */
/*
 * Boot, in the order in which one thing needs the other. Everything that the core keeps in static
 * data is set here or by the functions called: a machine that has gone down can be booted again
 * in the same process.
 */
#include <quire/errno.h>
#include <quire/memblock.h>
#include <quire/mm.h>
#include <quire/pagemap.h>
#include <quire/reclaim.h>
#include <quire/slab.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/vmalloc.h>
#include <quire/vmstat.h>

#include "page_alloc.h"

unsigned long page_offset_base;
unsigned long zero_pfn;
struct mm_struct init_mm;

static int zero_folio_init(void)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_ZERO, ZERO_FOLIO_ORDER);

	if (!page)
		return -ENOMEM;
	zero_pfn = page_to_pfn(page);
	return 0;
}

int mm_init(void)
{
	int err;

	memset(vm_event_states, 0, sizeof(vm_event_states));
	memset(vm_node_stat, 0, sizeof(vm_node_stat));
	err = memblock_init();
	if (err)
		return err;
	err = free_area_init();
	if (err)
		return err;
	kmem_cache_init();
	err = zero_folio_init();
	if (!err)
		err = vmalloc_init();
	if (err)
		return err;
	oom_init();
	kswapd_init();
	shrinker_init();
	proc_caches_init();
	inode_init();
	pagecache_init();
	swap_init();
	return 0;
}
