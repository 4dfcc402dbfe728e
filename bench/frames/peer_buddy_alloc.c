/* SPDX-License-Identifier: MIT */
/* buddy_alloc (https://github.com/spaskalev/buddy_alloc): a tree of bits beside an arena. */
#include <stdlib.h>
#include <sys/mman.h>

#define BUDDY_ALLOC_ALIGN 4096
#define BUDDY_ALLOC_IMPLEMENTATION
#include "buddy_alloc.h"

#include "peer.h"

static unsigned char *arena, *tables;
static struct buddy *buddy;
static size_t arena_bytes, table_bytes;

static bool up(size_t frames)
{
	arena_bytes = frames * 4096;
	table_bytes = buddy_sizeof_alignment(arena_bytes, 4096);
	arena = mmap(NULL, arena_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		     0);
	tables = malloc(table_bytes);
	if (arena == MAP_FAILED || !tables)
		return false;
	buddy = buddy_init_alignment(tables, arena, arena_bytes, 4096);
	return buddy;
}

static void down(void)
{
	munmap(arena, arena_bytes);
	free(tables);
}

static long get(unsigned int order, bool movable)
{
	unsigned char *p = buddy_malloc(buddy, 4096ul << order);

	(void)movable;
	return p ? (p - arena) / 4096 : -1;
}

static void put(long frame, unsigned int order, bool movable)
{
	(void)order;
	(void)movable;
	buddy_free(buddy, arena + frame * 4096);
}

static size_t own_bytes(void)
{
	return table_bytes;
}

const struct frame_peer frame_peer = { "buddy_alloc", up, down, get, put, NULL, own_bytes };
