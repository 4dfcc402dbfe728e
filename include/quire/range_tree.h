/* SPDX-License-Identifier: MIT */
/*
 * Disjoint half-open ranges [start, end) of addresses, each with a non-NULL
 * pointer, in order: a B+tree with the bounds in the nodes, so that a search
 * reads no object, and with the free gaps indexed.
 *
 *		       +-------------------------------+
 *	inner node     | end  | end  | ...             |  of the last range below
 *		       | start| start|                 |  of the first range below
 *		       | gap  | gap  |                 |  widest hole between ranges below
 *		       | child| child|                 |
 *		       +--|-------|--------------------+
 *		          v       v
 *	leaves	       [ranges]<->[ranges]<-> ...	   linked in order
 *
 * The hole between two neighbouring children is not part of either's gap: it is
 * start[i + 1] - end[i]. What is free before the first range and after the last
 * is bounded by the tree's own [min, max).
 *
 * Invariants (rt_check proves them): all leaves at one depth; no node but an
 * empty root is empty; bounds rise strictly, start < end <= next start; each
 * inner entry states its child's bounds and gap exactly; unused `end` slots are
 * ULONG_MAX, so that a search may run over the whole array.
 *
 * The caller locks: any number of readers, or one writer.
 */
#ifndef QUIRE_RANGE_TREE_H
#define QUIRE_RANGE_TREE_H

#include <quire/err.h>
#include <quire/kernel.h>

#define RT_LEAF_SLOTS 20
#define RT_INNER_SLOTS 15
#define RT_MAX_HEIGHT 16

struct rt_node {
	u16 count;
	union {
		struct {
			struct rt_node *prev, *next;
			unsigned long end[RT_LEAF_SLOTS];
			unsigned long start[RT_LEAF_SLOTS];
			void *ptr[RT_LEAF_SLOTS];
		} leaf;
		struct {
			unsigned long end[RT_INNER_SLOTS];
			unsigned long start[RT_INNER_SLOTS];
			unsigned long gap[RT_INNER_SLOTS];
			struct rt_node *child[RT_INNER_SLOTS];
		} inner;
		struct rt_node *next_spare;
	};
};
static_assert(sizeof(struct rt_node) <= 512);

struct range_tree {
	struct rt_node *root; /* NULL: no ranges */
	struct rt_node *spare; /* preallocated nodes */
	unsigned long min, max; /* ranges lie in [min, max) */
	unsigned long count; /* of ranges */
	unsigned int nr_spare;
	unsigned int height; /* levels; 1: the root is a leaf */
	gfp_t gfp; /* what rt_insert passes to rt_node_alloc; 0 unless the owner sets it */
};

/* A position; valid until the tree changes. */
struct rt_iter {
	struct rt_node *leaf;
	unsigned int slot;
	unsigned long start, end; /* of the range at the position */
};

/*
 * Supplied by the user of the library. rt_node_alloc returns a node of any
 * content, or NULL.
 */
struct rt_node *rt_node_alloc(gfp_t gfp);
void rt_node_free(struct rt_node *node);

void rt_init(struct range_tree *tree, unsigned long min, unsigned long max);

/* Frees all nodes, preallocated ones too; the pointers are the user's. The tree is empty then. */
void rt_destroy(struct range_tree *tree);

static inline bool rt_empty(const struct range_tree *tree)
{
	return !tree->root;
}

/* The pointer of the range that contains addr, or NULL. */
void *rt_find(const struct range_tree *tree, unsigned long addr);

/*
 * The first range with end > addr, which may contain addr (rt_next), and the
 * last with end <= addr (rt_prev): its pointer, or NULL. start and end, if not
 * NULL, receive its bounds.
 */
void *rt_next(const struct range_tree *tree, unsigned long addr, unsigned long *start,
	      unsigned long *end);
void *rt_prev(const struct range_tree *tree, unsigned long addr, unsigned long *start,
	      unsigned long *end);

/*
 * 0; -EEXIST if it meets a range that is there; -EINVAL if it is empty or leaves
 * [min, max); -ENOMEM (never after a sufficient rt_preallocate). On error nothing
 * has changed.
 */
int rt_insert(struct range_tree *tree, unsigned long start, unsigned long end, void *ptr);

/* Sets nodes aside so that the next n insertions allocate none: 0 or -ENOMEM. */
int rt_preallocate(struct range_tree *tree, unsigned int n, gfp_t gfp);

/* Gives the nodes set aside back. */
void rt_release_spare(struct range_tree *tree);

/* Removes the range that starts at start: its pointer, or NULL. Never allocates. */
void *rt_erase(struct range_tree *tree, unsigned long start);

/*
 * Gives the range that starts at old_start other bounds, at its place in the
 * order. 0; -ENOENT; -EINVAL if the new range is empty or leaves [min, max);
 * -EEXIST if it would meet or pass a neighbour. Never allocates.
 */
int rt_resize(struct range_tree *tree, unsigned long old_start, unsigned long new_start,
	      unsigned long new_end);

/* Gives the range that starts at start another pointer: the old one, or NULL if there is none. */
void *rt_replace(struct range_tree *tree, unsigned long start, void *ptr);

/*
 * A free place of `size` inside [low, high): in the lowest (up) or the highest
 * (down) hole that could hold it at any alignment, at that hole's lowest or
 * highest address a with a % align == align_offset % align. align is a power of
 * two (1: any address). As Linux's vm_unmapped_area, a hole that could hold it
 * only by luck of its own alignment is passed over: it must have size + align -
 * 1. Returns the address, or -ENOMEM (ask IS_ERR_VALUE).
 */
unsigned long rt_gap_up(const struct range_tree *tree, unsigned long low, unsigned long high,
			unsigned long size, unsigned long align, unsigned long align_offset);
unsigned long rt_gap_down(const struct range_tree *tree, unsigned long low, unsigned long high,
			  unsigned long size, unsigned long align, unsigned long align_offset);

/* rt_iter_first stands on the first range with end > addr. All three: the pointer, or NULL. */
void *rt_iter_first(struct rt_iter *it, const struct range_tree *tree, unsigned long addr);
void *rt_iter_next(struct rt_iter *it);
void *rt_iter_prev(struct rt_iter *it);

#define rt_for_each_from(it, tree, ptr, addr) \
	for ((ptr) = rt_iter_first(it, tree, addr); (ptr); (ptr) = rt_iter_next(it))
#define rt_for_each(it, tree, ptr) rt_for_each_from(it, tree, ptr, 0UL)

/* Checks every invariant: NULL, or what is wrong. For tests. */
const char *rt_check(const struct range_tree *tree);

#endif
