/* SPDX-License-Identifier: MIT */
/*
 * The interval tree: a red-black tree by start whose nodes carry
 *
 *	__subtree_last = max(last of the node, __subtree_last of both children)
 *
 * A query that starts at `start` need not enter a subtree whose __subtree_last is
 * below it, and stops at the first node that starts past its end. The caller
 * locks.
 */
#include <quire/interval_tree.h>

static inline struct interval_tree_node *node_of(struct rb_node *rb)
{
	return rb_entry(rb, struct interval_tree_node, rb);
}

static inline unsigned long compute_subtree_last(const struct interval_tree_node *node)
{
	unsigned long last = node->last;

	if (node->rb.rb_left)
		last = max(last, node_of(node->rb.rb_left)->__subtree_last);
	if (node->rb.rb_right)
		last = max(last, node_of(node->rb.rb_right)->__subtree_last);
	return last;
}

static void propagate(struct rb_node *rb, struct rb_node *stop)
{
	for (; rb != stop; rb = rb_parent(rb)) {
		struct interval_tree_node *node = node_of(rb);
		unsigned long last = compute_subtree_last(node);

		if (last == node->__subtree_last)
			break;
		node->__subtree_last = last;
	}
}

static void copy(struct rb_node *old, struct rb_node *fresh)
{
	node_of(fresh)->__subtree_last = node_of(old)->__subtree_last;
}

static void rotate(struct rb_node *old, struct rb_node *fresh)
{
	copy(old, fresh);
	node_of(old)->__subtree_last = compute_subtree_last(node_of(old));
}

static const struct rb_augment_callbacks callbacks = {
	.propagate = propagate,
	.copy = copy,
	.rotate = rotate,
};

void interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root)
{
	struct rb_node **link = &root->rb_root.rb_node;
	struct rb_node *parent = NULL;
	bool leftmost = true;

	while (*link) {
		struct interval_tree_node *at = node_of(*link);

		parent = *link;
		if (at->__subtree_last < node->last)
			at->__subtree_last = node->last;
		if (node->start < at->start) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			leftmost = false;
		}
	}
	node->__subtree_last = node->last;
	rb_link_node(&node->rb, parent, link);
	rb_insert_augmented_cached(&node->rb, root, leftmost, &callbacks);
}

void interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root)
{
	rb_erase_augmented_cached(&node->rb, root, &callbacks);
}

/* The first overlap in the subtree of rb, which has some interval that reaches `start`. */
static struct interval_tree_node *subtree_search(struct rb_node *rb, unsigned long start,
						 unsigned long last)
{
	for (;;) {
		struct interval_tree_node *node = node_of(rb);

		if (rb->rb_left && node_of(rb->rb_left)->__subtree_last >= start) {
			/* One on the left reaches start; if it begins too late, so do all here. */
			rb = rb->rb_left;
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		rb = rb->rb_right;
		if (!rb || node_of(rb)->__subtree_last < start)
			return NULL;
	}
}

struct interval_tree_node *interval_tree_iter_first(struct rb_root_cached *root,
						    unsigned long start, unsigned long last)
{
	struct rb_node *rb = root->rb_root.rb_node;

	if (!rb || node_of(rb)->__subtree_last < start || node_of(root->rb_leftmost)->start > last)
		return NULL;
	return subtree_search(rb, start, last);
}

struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
						   unsigned long start, unsigned long last)
{
	struct rb_node *rb = &node->rb;

	for (;;) {
		struct rb_node *right = rb->rb_right;
		struct rb_node *from;

		if (right && node_of(right)->__subtree_last >= start)
			return subtree_search(right, start, last);
		do {
			from = rb;
			rb = rb_parent(rb);
			if (!rb)
				return NULL;
		} while (from == rb->rb_right);
		node = node_of(rb);
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
	}
}
