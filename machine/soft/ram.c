/* SPDX-License-Identifier: MIT */
/*
 * Physical memory, power-on and power-off.
 *
 * RAM is one memory object of the host, mapped so that spans all physical addresses; what the memory map
 * does not call RAM stays inaccessible. The direct map is that mapping. kernel_map.c maps frames
 * of the same object a second time.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include <quire/vmalloc.h>

#include "soft_internal.h"

#define SOFT_MAX_MAP 256

static struct e820_entry soft_map[SOFT_MAX_MAP];
static int soft_map_nr;
static void *soft_ram;
int soft_ram_fd = -1;
static u64 soft_ram_span;
static bool ram_garbage;
static unsigned int distances[MAX_NUMNODES * MAX_NUMNODES]; /* 0: as usual */

void soft_ram_garbage(bool garbage)
{
	ram_garbage = garbage;
}

int machine_memory_map(struct e820_entry *map, int max)
{
	for (int i = 0; i < soft_map_nr && i < max; i++)
		map[i] = soft_map[i];
	return soft_map_nr;
}

unsigned int machine_node_distance(unsigned int from, unsigned int to)
{
	unsigned int known = distances[from * MAX_NUMNODES + to];

	return known ? known : from == to ? LOCAL_DISTANCE : REMOTE_DISTANCE;
}

void soft_node_distance(unsigned int from, unsigned int to, unsigned int distance)
{
	distances[from * MAX_NUMNODES + to] = distance;
}

bool machine_ram_is_zeroed(void)
{
	return !ram_garbage;
}

void machine_clear_pages(void *addr, unsigned long nr)
{
	memset(addr, 0, nr << PAGE_SHIFT);
}

/* Make the part of one entry that lies within the span accessible. */
static int power_up_range(const struct e820_entry *entry)
{
	u64 start = entry->addr, end;

	if (entry->type != E820_TYPE_RAM || !entry->size || start >= soft_ram_span)
		return 0;
	end = entry->size > soft_ram_span - start ? soft_ram_span : start + entry->size;
	start &= PAGE_MASK;
	end = PAGE_ALIGN(end);
	if (mprotect((void *)(page_offset_base + start), end - start, PROT_READ | PROT_WRITE))
		return -ENOMEM;
	if (ram_garbage)
		memset((void *)(page_offset_base + start), 0x5a, end - start);
	return 0;
}

/*
 * Without vmalloc space no frame is ever mapped twice: then it can be memory that the host has in huge pages,
 * as a kernel's direct map is.
 */
static int plug_in_ram(void)
{
	int flags = MAP_NORESERVE | (vmalloc_bytes ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
	unsigned long start;

	if (vmalloc_bytes) {
		soft_ram_fd = memfd_create("soft-ram", MFD_CLOEXEC);
		if (soft_ram_fd < 0 || ftruncate(soft_ram_fd, (off_t)soft_ram_span))
			return -ENOMEM;
	}
	soft_ram = mmap(NULL, soft_ram_span + PMD_SIZE, PROT_NONE, flags, soft_ram_fd, 0);
	if (soft_ram == MAP_FAILED) {
		soft_ram = NULL;
		return -ENOMEM;
	}
	/* Physical and virtual addresses are multiples of a huge page together. */
	start = ALIGN((unsigned long)soft_ram, PMD_SIZE);
	if (vmalloc_bytes && mmap((void *)start, soft_ram_span, PROT_NONE, flags | MAP_FIXED,
				  soft_ram_fd, 0) == MAP_FAILED)
		return -ENOMEM;
	if (!vmalloc_bytes)
		madvise((void *)start, soft_ram_span, MADV_HUGEPAGE);
	page_offset_base = start;
	return 0;
}

static int power_up(u64 span_bytes)
{
	int err;

	soft_ram_span = PAGE_ALIGN(span_bytes);
	err = soft_kernel_map_init();
	if (!err)
		err = plug_in_ram();
	if (err)
		return err;
	for (int i = 0; i < soft_map_nr; i++) {
		err = power_up_range(&soft_map[i]);
		if (err)
			return err;
	}
	return 0;
}

int soft_init_map(const struct e820_entry *map, int nr, u64 span_bytes, unsigned int nr_cpus)
{
	int err;

	if (soft_ram)
		return -EBUSY;
	if (nr < 0 || nr > SOFT_MAX_MAP || !span_bytes || !nr_cpus || nr_cpus > MACHINE_MAX_CPUS)
		return -EINVAL;
	memcpy(soft_map, map, (size_t)nr * sizeof(*map));
	soft_map_nr = nr;
	soft_nr_cpus = nr_cpus;
	soft_cpu_reset();
	soft_tlb_reset();
	err = power_up(span_bytes);
	if (!err)
		err = mm_init();
	if (err)
		soft_exit();
	return err;
}

int soft_init(u64 ram_bytes, unsigned int nr_cpus)
{
	const struct e820_entry ram = { .addr = 0, .size = ram_bytes, .type = E820_TYPE_RAM };

	return soft_init_map(&ram, 1, ram_bytes, nr_cpus);
}

void soft_exit(void)
{
	if (soft_ram) {
#ifdef __SANITIZE_ADDRESS__
		/* What was forbidden there (mm/slab.h) is nobody's business any more. */
		__asan_unpoison_memory_region(soft_ram, soft_ram_span);
#endif
		munmap(soft_ram, soft_ram_span + PMD_SIZE);
	}
	soft_ram = NULL;
	if (soft_ram_fd >= 0)
		close(soft_ram_fd);
	soft_ram_fd = -1;
	soft_kernel_map_exit();
	soft_blk_reset();
}
