/* SPDX-License-Identifier: MIT */
/*
 * Red-black trees whose nodes live in the objects. The user walks down to find
 * the place (rb_link_node) and the library balances:
 *
 *	struct rb_node **link = &root->rb_node, *parent = NULL;
 *
 *	while (*link) {
 *		parent = *link;
 *		link = before(new, parent) ? &parent->rb_left : &parent->rb_right;
 *	}
 *	rb_link_node(&new->rb, parent, link);
 *	rb_insert_color(&new->rb, root);
 *
 * A cached root also knows its leftmost node. An augmented tree keeps in each
 * node a value computed from its subtree; its user supplies the three callbacks
 * below. The caller locks.
 */
#ifndef QUIRE_RBTREE_H
#define QUIRE_RBTREE_H

#include <quire/kernel.h>

struct rb_node {
	unsigned long __rb_parent_color; /* parent's address; bit 0 set: black */
	struct rb_node *rb_right;
	struct rb_node *rb_left;
} __aligned(sizeof(long));

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
	struct rb_node *rb_leftmost;
};

struct rb_augment_callbacks {
	/* Recompute node and its ancestors below stop (NULL: to the root). */
	void (*propagate)(struct rb_node *node, struct rb_node *stop);
	/* `fresh` takes the place, and so the subtree, of `old`. */
	void (*copy)(struct rb_node *old, struct rb_node *fresh);
	/* `fresh` has become the parent of `old`: it covers what old did; recompute old. */
	void (*rotate)(struct rb_node *old, struct rb_node *fresh);
};

#define RB_ROOT ((struct rb_root){ NULL })
#define RB_ROOT_CACHED ((struct rb_root_cached){ { NULL }, NULL })
#define rb_entry(ptr, type, member) container_of(ptr, type, member)
#define rb_entry_safe(ptr, type, member)                            \
	({                                                          \
		struct rb_node *__rb_ptr = (struct rb_node *)(ptr); \
		__rb_ptr ? rb_entry(__rb_ptr, type, member) : NULL; \
	})
#define rb_parent(node) ((struct rb_node *)((node)->__rb_parent_color & ~1UL))
#define RB_EMPTY_ROOT(root) (READ_ONCE((root)->rb_node) == NULL)
/* A cleared node is its own parent: "in no tree". Erasing does not clear. */
#define RB_EMPTY_NODE(node) ((node)->__rb_parent_color == (unsigned long)(node))
#define RB_CLEAR_NODE(node) ((node)->__rb_parent_color = (unsigned long)(node))

void rb_insert_color(struct rb_node *node, struct rb_root *root);
void rb_erase(struct rb_node *node, struct rb_root *root);
void rb_replace_node(struct rb_node *old, struct rb_node *fresh, struct rb_root *root);

/* Before the insertion the user updates the values on the path down to node, and node's own. */
void rb_insert_augmented(struct rb_node *node, struct rb_root *root,
			 const struct rb_augment_callbacks *augment);
void rb_erase_augmented(struct rb_node *node, struct rb_root *root,
			const struct rb_augment_callbacks *augment);

struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);

/* Children before parents, so that each node may be freed when it is visited. */
struct rb_node *rb_first_postorder(const struct rb_root *root);
struct rb_node *rb_next_postorder(const struct rb_node *node);

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
	node->__rb_parent_color = (unsigned long)parent;
	node->rb_left = NULL;
	node->rb_right = NULL;
	*link = node;
}

#define rb_first_cached(root) ((root)->rb_leftmost)

static inline void rb_insert_color_cached(struct rb_node *node, struct rb_root_cached *root,
					  bool leftmost)
{
	if (leftmost)
		root->rb_leftmost = node;
	rb_insert_color(node, &root->rb_root);
}

static inline void rb_insert_augmented_cached(struct rb_node *node, struct rb_root_cached *root,
					      bool leftmost,
					      const struct rb_augment_callbacks *augment)
{
	if (leftmost)
		root->rb_leftmost = node;
	rb_insert_augmented(node, &root->rb_root, augment);
}

static inline void rb_erase_cached(struct rb_node *node, struct rb_root_cached *root)
{
	if (root->rb_leftmost == node)
		root->rb_leftmost = rb_next(node);
	rb_erase(node, &root->rb_root);
}

static inline void rb_erase_augmented_cached(struct rb_node *node, struct rb_root_cached *root,
					     const struct rb_augment_callbacks *augment)
{
	if (root->rb_leftmost == node)
		root->rb_leftmost = rb_next(node);
	rb_erase_augmented(node, &root->rb_root, augment);
}

#define rbtree_postorder_for_each_entry_safe(pos, n, root, field)                               \
	for ((pos) = rb_entry_safe(rb_first_postorder(root), __typeof__(*(pos)), field);        \
	     (pos) &&                                                                           \
	     ((n) = rb_entry_safe(rb_next_postorder(&(pos)->field), __typeof__(*(pos)), field), \
	     true);                                                                             \
	     (pos) = (n))

#endif
