/* SPDX-License-Identifier: MIT */
/*
 * The example of an embedding program: an address space on the soft machine, a child that shares
 * its pages until it writes, and what the two cost. Links the installed library (quire.pc), or the
 * sources of quire.files together with machine/soft/.
 */
#include <stdio.h>
#include <string.h>

#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/slab.h>
#include <quire/vmstat.h>

#ifdef QUIRE_INSTALLED
#include <quire/machine/soft.h>
#else
#include "soft.h"
#endif

#define LENGTH (1ul << 20)

/* Frames that are free when the caches keep none in reserve. */
static unsigned long free_frames(void)
{
	kmem_cache_shrink_all();
	drain_all_pages();
	return nr_free_pages();
}

static int failed(const char *what)
{
	printf("failed: %s\n", what);
	return 1;
}

int main(void)
{
	struct mm_struct *parent, *child;
	unsigned long addr, free_at_first;
	char text[32] = "";

	if (soft_init(64ul << 20, 1))
		return failed("boot");
	printf("up: %lu frames free of %lu\n", nr_free_pages(), totalram_pages());

	free_at_first = free_frames();
	parent = mm_alloc();
	addr = do_mmap(parent, NULL, 0, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       0, NULL);
	if (IS_ERR_VALUE(addr))
		return failed("do_mmap");
	if (soft_store(parent, addr + 4090, "across two pages", 17).signo)
		return failed("a store");

	child = dup_mm(parent); /* and the parent's lock, so that nothing changes meanwhile */
	up_write(&parent->mmap_lock);
	if (IS_ERR_OR_NULL(child))
		return failed("dup_mm");
	if (soft_store(child, addr + 4097, "THE CHILD", 9).signo)
		return failed("the child's store");
	if (soft_load(parent, addr + 4090, text, 17).signo || strcmp(text, "across two pages"))
		return failed("what the parent sees");
	printf("parent: %s, %lu pages resident\n", text, get_mm_rss(parent));
	printf("copies made: %ld\n", atomic_long_read(&child->events[MM_EV_COW]));
	mmput(child);

	if (soft_load(parent, addr + LENGTH, text, 1).signo != 11)
		return failed("no SIGSEGV behind the end");
	if (do_munmap(parent, addr, LENGTH))
		return failed("do_munmap");
	mmput(parent);
	if (free_frames() != free_at_first)
		return failed("frames are missing");
	soft_exit();
	puts("done");
	return 0;
}
