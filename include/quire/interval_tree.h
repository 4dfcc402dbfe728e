/* SPDX-License-Identifier: MIT */
/*
 * Intervals [start, last], both ends included, that may overlap: a red-black
 * tree ordered by start, in which each node knows the largest `last` of its
 * subtree. Stabbing and overlap queries take O(log n + found). The caller locks.
 *
 *	for (n = interval_tree_iter_first(root, a, b); n;
 *	     n = interval_tree_iter_next(n, a, b))
 *		visits each interval that meets [a, b], by rising start
 */
#ifndef QUIRE_INTERVAL_TREE_H
#define QUIRE_INTERVAL_TREE_H

#include <quire/rbtree.h>

struct interval_tree_node {
	struct rb_node rb;
	unsigned long start; /* may not change while the node is in a tree */
	unsigned long last;
	unsigned long __subtree_last;
};

void interval_tree_insert(struct interval_tree_node *node, struct rb_root_cached *root);
void interval_tree_remove(struct interval_tree_node *node, struct rb_root_cached *root);

struct interval_tree_node *interval_tree_iter_first(struct rb_root_cached *root,
						    unsigned long start, unsigned long last);
struct interval_tree_node *interval_tree_iter_next(struct interval_tree_node *node,
						   unsigned long start, unsigned long last);

#endif
