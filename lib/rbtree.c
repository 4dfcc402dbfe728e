/* SPDX-License-Identifier: MIT */
/*
 * Red-black trees. The rules, which every public function keeps:
 *
 *	1. the root is black;
 *	2. a red node has no red child;
 *	3. every way down from a node to a NULL passes as many black nodes.
 *
 * A node's parent and colour share a word: nodes are aligned, so bit 0 is free.
 * NULL children count as black. The plain functions are the augmented ones with
 * callbacks that do nothing. The caller locks.
 */
#include <quire/rbtree.h>

#define RB_BLACK 1UL

static inline bool is_red(const struct rb_node *node)
{
	return node && !(node->__rb_parent_color & RB_BLACK);
}

static inline void set_black(struct rb_node *node)
{
	node->__rb_parent_color |= RB_BLACK;
}

static inline void set_red(struct rb_node *node)
{
	node->__rb_parent_color &= ~RB_BLACK;
}

static inline void set_parent(struct rb_node *node, struct rb_node *parent)
{
	node->__rb_parent_color = (unsigned long)parent | (node->__rb_parent_color & RB_BLACK);
}

static inline void copy_color(struct rb_node *to, const struct rb_node *from)
{
	to->__rb_parent_color = (unsigned long)rb_parent(to) | (from->__rb_parent_color & RB_BLACK);
}

/* Whatever held `old` below `parent` (the root, if that is NULL) holds `fresh` now. */
static inline void change_child(struct rb_root *root, struct rb_node *parent, struct rb_node *old,
				struct rb_node *fresh)
{
	if (!parent)
		root->rb_node = fresh;
	else if (parent->rb_left == old)
		parent->rb_left = fresh;
	else
		parent->rb_right = fresh;
}

/*
 * node's child on the far side comes up and node goes down to the near side:
 *
 *	    node                     up
 *	   /    \       left        /  \
 *	  a      up     ──>      node   c
 *	        /  \             /  \
 *	       b    c           a    b
 */
static __always_inline void rotate_left(struct rb_root *root, struct rb_node *node,
					const struct rb_augment_callbacks *augment)
{
	struct rb_node *up = node->rb_right;
	struct rb_node *parent = rb_parent(node);

	node->rb_right = up->rb_left;
	if (up->rb_left)
		set_parent(up->rb_left, node);
	up->rb_left = node;
	set_parent(node, up);
	set_parent(up, parent);
	change_child(root, parent, node, up);
	augment->rotate(node, up);
}

static __always_inline void rotate_right(struct rb_root *root, struct rb_node *node,
					 const struct rb_augment_callbacks *augment)
{
	struct rb_node *up = node->rb_left;
	struct rb_node *parent = rb_parent(node);

	node->rb_left = up->rb_right;
	if (up->rb_right)
		set_parent(up->rb_right, node);
	up->rb_right = node;
	set_parent(node, up);
	set_parent(up, parent);
	change_child(root, parent, node, up);
	augment->rotate(node, up);
}

/*
 * node is red; only rule 2 may be broken, and only between it and its parent. A
 * red uncle lets the redness move two levels up; a black one lets one or two
 * rotations end the matter.
 */
static __always_inline void insert_fixup(struct rb_node *node, struct rb_root *root,
					 const struct rb_augment_callbacks *augment)
{
	struct rb_node *parent = rb_parent(node);

	while (is_red(parent)) {
		struct rb_node *grand = rb_parent(parent);
		bool left = parent == grand->rb_left;
		struct rb_node *uncle = left ? grand->rb_right : grand->rb_left;

		if (is_red(uncle)) {
			set_black(parent);
			set_black(uncle);
			set_red(grand);
			node = grand;
			parent = rb_parent(node);
			continue;
		}
		/* Bring the two reds into one line, then turn the grandparent. */
		if (left && node == parent->rb_right) {
			rotate_left(root, parent, augment);
			parent = node;
		} else if (!left && node == parent->rb_left) {
			rotate_right(root, parent, augment);
			parent = node;
		}
		set_black(parent);
		set_red(grand);
		if (left)
			rotate_right(root, grand, augment);
		else
			rotate_left(root, grand, augment);
		break;
	}
	set_black(root->rb_node);
}

/*
 * The side of `parent` on which `node` stands (NULL counts) lacks one black
 * node. Either the sibling's side can spare one, by rotation, or it is made to
 * lack one too and the want moves up.
 */
static __always_inline void erase_fixup(struct rb_node *node, struct rb_node *parent,
					struct rb_root *root,
					const struct rb_augment_callbacks *augment)
{
	while (parent && !is_red(node)) {
		bool left = node == parent->rb_left;
		struct rb_node *sibling = left ? parent->rb_right : parent->rb_left;
		struct rb_node *near, *far;

		if (is_red(sibling)) {
			set_black(sibling);
			set_red(parent);
			if (left)
				rotate_left(root, parent, augment);
			else
				rotate_right(root, parent, augment);
			sibling = left ? parent->rb_right : parent->rb_left;
		}
		near = left ? sibling->rb_left : sibling->rb_right;
		far = left ? sibling->rb_right : sibling->rb_left;
		if (!is_red(near) && !is_red(far)) {
			set_red(sibling);
			node = parent;
			parent = rb_parent(node);
			continue;
		}
		if (!is_red(far)) {
			set_black(near);
			set_red(sibling);
			if (left)
				rotate_right(root, sibling, augment);
			else
				rotate_left(root, sibling, augment);
			far = sibling;
			sibling = near;
		}
		copy_color(sibling, parent);
		set_black(parent);
		set_black(far);
		if (left)
			rotate_left(root, parent, augment);
		else
			rotate_right(root, parent, augment);
		return;
	}
	if (node)
		set_black(node);
}

/*
 * Takes node out of the tree and says below which parent, with which child in
 * the place, a black node is now wanting (parent NULL and child NULL: nowhere).
 * A node with two children gives its place and colour to its successor, which
 * has at most a right child.
 */
static __always_inline bool unlink_node(struct rb_node *node, struct rb_root *root,
					const struct rb_augment_callbacks *augment,
					struct rb_node **child, struct rb_node **parent)
{
	struct rb_node *successor = node->rb_right;
	bool was_black;

	if (!node->rb_left || !node->rb_right) {
		*child = node->rb_left ? node->rb_left : node->rb_right;
		*parent = rb_parent(node);
		was_black = !is_red(node);
		if (*child)
			set_parent(*child, *parent);
		change_child(root, *parent, node, *child);
		augment->propagate(*parent, NULL);
		return was_black;
	}
	while (successor->rb_left)
		successor = successor->rb_left;
	was_black = !is_red(successor);
	*child = successor->rb_right;
	*parent = rb_parent(successor);
	if (*parent == node) {
		*parent = successor;
	} else {
		(*parent)->rb_left = *child;
		if (*child)
			set_parent(*child, *parent);
		successor->rb_right = node->rb_right;
		set_parent(node->rb_right, successor);
	}
	successor->rb_left = node->rb_left;
	set_parent(node->rb_left, successor);
	successor->__rb_parent_color = node->__rb_parent_color;
	change_child(root, rb_parent(node), node, successor);
	augment->copy(node, successor);
	if (*parent != successor)
		augment->propagate(*parent, successor);
	augment->propagate(successor, NULL);
	return was_black;
}

static __always_inline void erase(struct rb_node *node, struct rb_root *root,
				  const struct rb_augment_callbacks *augment)
{
	struct rb_node *child, *parent;

	if (unlink_node(node, root, augment, &child, &parent))
		erase_fixup(child, parent, root, augment);
}

static void no_propagate(struct rb_node *node, struct rb_node *stop)
{
	(void)node;
	(void)stop;
}

static void no_copy(struct rb_node *old, struct rb_node *fresh)
{
	(void)old;
	(void)fresh;
}

/* Constant and static: the compiler drops the calls from the plain functions. */
static const struct rb_augment_callbacks no_augment = {
	.propagate = no_propagate,
	.copy = no_copy,
	.rotate = no_copy,
};

void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	insert_fixup(node, root, &no_augment);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	erase(node, root, &no_augment);
}

void rb_insert_augmented(struct rb_node *node, struct rb_root *root,
			 const struct rb_augment_callbacks *augment)
{
	insert_fixup(node, root, augment);
}

void rb_erase_augmented(struct rb_node *node, struct rb_root *root,
			const struct rb_augment_callbacks *augment)
{
	erase(node, root, augment);
}

void rb_replace_node(struct rb_node *old, struct rb_node *fresh, struct rb_root *root)
{
	*fresh = *old;
	if (fresh->rb_left)
		set_parent(fresh->rb_left, fresh);
	if (fresh->rb_right)
		set_parent(fresh->rb_right, fresh);
	change_child(root, rb_parent(old), old, fresh);
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_left)
		node = node->rb_left;
	return node;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_right)
		node = node->rb_right;
	return node;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *parent;

	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_right) {
		struct rb_node *next = node->rb_right;

		while (next->rb_left)
			next = next->rb_left;
		return next;
	}
	for (parent = rb_parent(node); parent && node == parent->rb_right; parent = rb_parent(node))
		node = parent;
	return parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	struct rb_node *parent;

	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_left) {
		struct rb_node *prev = node->rb_left;

		while (prev->rb_right)
			prev = prev->rb_right;
		return prev;
	}
	for (parent = rb_parent(node); parent && node == parent->rb_left; parent = rb_parent(node))
		node = parent;
	return parent;
}

/* The deepest node on the leftmost way down: the first of its subtree in postorder. */
static struct rb_node *leftmost_leaf(struct rb_node *node)
{
	for (;;) {
		if (node->rb_left)
			node = node->rb_left;
		else if (node->rb_right)
			node = node->rb_right;
		else
			return node;
	}
}

struct rb_node *rb_first_postorder(const struct rb_root *root)
{
	return root->rb_node ? leftmost_leaf(root->rb_node) : NULL;
}

struct rb_node *rb_next_postorder(const struct rb_node *node)
{
	struct rb_node *parent = rb_parent(node);

	if (parent && node == parent->rb_left && parent->rb_right)
		return leftmost_leaf(parent->rb_right);
	return parent;
}
