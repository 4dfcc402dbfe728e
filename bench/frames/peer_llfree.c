/* SPDX-License-Identifier: MIT */
/* LLFree (https://github.com/luhsra/llfree-c), with its own classes for movable and other frames. */
#include <stdlib.h>

#include "llfree.h"
#include "llfree_inner.h"

#include "peer.h"

static llfree_t llfree;
static size_t bytes;

static void *table(size_t size)
{
	void *p = aligned_alloc(4096, (size + 4095) & ~4095ul);

	bytes += size;
	if (p)
		__builtin_memset(p, 0, size);
	return p;
}

static bool up(size_t frames)
{
	llfree_classing_t classing = llfree_classing_movable(1);
	llfree_meta_size_t size = llfree_metadata_size(&classing, frames);
	llfree_meta_t meta;

	bytes = 0;
	meta = (llfree_meta_t){ .local = table(size.local),
				.trees = table(size.trees),
				.lower = table(size.lower) };
	return llfree_is_ok(llfree_init(&llfree, frames, LLFREE_INIT_FREE, meta, &classing));
}

static void down(void)
{
	llfree_meta_t meta = llfree_metadata(&llfree);

	free(meta.local);
	free(meta.trees);
	free(meta.lower);
}

static long get(unsigned int order, bool movable)
{
	llfree_result_t r = llfree_get(&llfree, frame_id_none(),
				       llfree_movable_request(1, (uint8_t)order, 0, movable));

	return llfree_is_ok(r) ? (long)r.frame.value : -1;
}

static void put(long frame, unsigned int order, bool movable)
{
	llfree_result_t r = llfree_put(&llfree, frame_id((uint64_t)frame),
				       llfree_movable_request(1, (uint8_t)order, 0, movable));

	if (!llfree_is_ok(r))
		abort();
}

static size_t own_bytes(void)
{
	return bytes;
}

const struct frame_peer frame_peer = { "LLFree", up, down, get, put, NULL, own_bytes };
