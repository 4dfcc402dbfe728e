/* SPDX-License-Identifier: MIT */
/*
 * The radix tree behind struct xarray; xarray.h has the picture.
 *
 * Invariants: marks[XA_PRESENT] has exactly the bits of the slots that are not
 * NULL; the other marks are subsets of it; a mark's bit in a parent is set
 * exactly when the child has that mark anywhere. No node is without entries.
 * The head has something in a slot other than 0, else it would be one level too
 * high. The caller locks.
 */
#include <quire/string.h>
#include <quire/xarray.h>

static inline unsigned int slot_of(unsigned long index, int shift)
{
	return (index >> shift) & XA_CHUNK_MASK;
}

/* The largest index that the array has a place for, with its head as it is. */
static inline unsigned long max_index(const struct xarray *xa)
{
	int bits = xa->xa_shift + XA_CHUNK_SHIFT;

	return bits >= BITS_PER_LONG ? ULONG_MAX : (1UL << bits) - 1;
}

void *xa_load(const struct xarray *xa, unsigned long index)
{
	int shift = xa->xa_shift;
	void *entry = xa->xa_head;

	if (unlikely(index > max_index(xa)))
		return NULL;
	for (; entry && shift >= 0; shift -= XA_CHUNK_SHIFT)
		entry = ((struct xa_node *)entry)->slots[slot_of(index, shift)];
	return entry;
}

/* The node of shift 0 over index, or NULL. Not for an array without nodes. */
static struct xa_node *leaf_of(const struct xarray *xa, unsigned long index)
{
	struct xa_node *node = xa->xa_head;
	int shift = xa->xa_shift;

	if (index > max_index(xa))
		return NULL;
	for (; node && shift > 0; shift -= XA_CHUNK_SHIFT)
		node = node->slots[slot_of(index, shift)];
	return node;
}

/*
 * Sets or clears one bit of one mark, and above it as far as that changes
 * whether a node has the mark at all.
 */
static void set_mark(struct xa_node *node, unsigned int slot, xa_mark_t mark)
{
	for (; node; slot = node->offset, node = node->parent) {
		u64 before = node->marks[mark];

		node->marks[mark] |= 1UL << slot;
		if (before)
			return;
	}
}

static void clear_mark(struct xa_node *node, unsigned int slot, xa_mark_t mark)
{
	for (; node; slot = node->offset, node = node->parent) {
		if (!(node->marks[mark] & (1UL << slot)))
			return;
		node->marks[mark] &= ~(1UL << slot);
		if (node->marks[mark])
			return;
	}
}

static struct xa_node *new_node(int shift, gfp_t gfp)
{
	struct xa_node *node = xa_node_alloc(gfp);

	if (node) {
		memset(node, 0, sizeof(*node));
		node->shift = (u8)shift;
	}
	return node;
}

static void attach(struct xa_node *parent, unsigned int slot, struct xa_node *child)
{
	parent->slots[slot] = child;
	child->parent = parent;
	child->offset = (u8)slot;
}

/* Takes away levels that hold only index 0's side. */
static void shrink_head(struct xarray *xa)
{
	while (xa->xa_shift >= 0) {
		struct xa_node *node = xa->xa_head;

		if (node->marks[XA_PRESENT] != 1)
			return;
		xa->xa_head = node->slots[0];
		xa->xa_shift -= XA_CHUNK_SHIFT;
		if (xa->xa_shift >= 0) {
			((struct xa_node *)xa->xa_head)->parent = NULL;
		} else {
			xa->xa_marks = 0;
			for (xa_mark_t mark = 0; mark < XA_PRESENT; mark++)
				xa->xa_marks |= (u8)((node->marks[mark] & 1) << mark);
		}
		xa_node_free(node);
	}
}

/* Frees node and what it leaves empty above it, then lowers the head. */
static void prune(struct xarray *xa, struct xa_node *node)
{
	while (node && !node->marks[XA_PRESENT]) {
		struct xa_node *parent = node->parent;

		if (parent) {
			parent->slots[node->offset] = NULL;
			parent->marks[XA_PRESENT] &= ~(1UL << node->offset);
		} else {
			xa_init(xa);
		}
		xa_node_free(node);
		node = parent;
	}
	shrink_head(xa);
}

/*
 * Adds one level on top; what was the head is in its slot 0. An empty array
 * gets its whole height at once, so that no level is ever on top of nothing.
 */
static int grow_head(struct xarray *xa, unsigned long index, gfp_t gfp)
{
	int shift = xa->xa_shift + XA_CHUNK_SHIFT;
	struct xa_node *node;

	if (!xa->xa_head)
		shift = index ? ilog2(index) / XA_CHUNK_SHIFT * XA_CHUNK_SHIFT : 0;
	node = new_node(shift, gfp);
	if (!node)
		return -ENOMEM;
	if (xa->xa_head && xa->xa_shift < 0) {
		node->slots[0] = xa->xa_head;
		for (xa_mark_t mark = 0; mark < XA_PRESENT; mark++)
			node->marks[mark] = (xa->xa_marks >> mark) & 1;
		node->marks[XA_PRESENT] = 1;
	} else if (xa->xa_head) {
		struct xa_node *old = xa->xa_head;

		attach(node, 0, old);
		for (xa_mark_t mark = 0; mark < XA_MAX_MARKS; mark++)
			node->marks[mark] = old->marks[mark] != 0;
	}
	xa->xa_head = node;
	xa->xa_shift = shift;
	xa->xa_marks = 0;
	return 0;
}

/* The leaf for index, with the way to it made where it was wanting. */
static struct xa_node *make_leaf(struct xarray *xa, unsigned long index, gfp_t gfp)
{
	struct xa_node *node;

	while (xa->xa_shift < 0 || index > max_index(xa)) {
		if (grow_head(xa, index, gfp)) {
			shrink_head(xa);
			return NULL;
		}
	}
	node = xa->xa_head;
	while (node->shift) {
		unsigned int slot = slot_of(index, node->shift);
		struct xa_node *child = node->slots[slot];

		if (!child) {
			child = new_node(node->shift - XA_CHUNK_SHIFT, gfp);
			if (!child) {
				prune(xa, node);
				return NULL;
			}
			attach(node, slot, child);
		}
		node = child;
	}
	return node;
}

void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	struct xa_node *leaf;
	unsigned int slot;
	void *old;

	if (!entry)
		return xa_erase(xa, index);
	if (index == 0 && xa->xa_shift < 0) {
		old = xa->xa_head;
		xa->xa_head = entry;
		return old;
	}
	leaf = make_leaf(xa, index, gfp);
	if (!leaf)
		return ERR_PTR(-ENOMEM);
	slot = slot_of(index, 0);
	old = leaf->slots[slot];
	leaf->slots[slot] = entry;
	if (!old)
		set_mark(leaf, slot, XA_PRESENT);
	return old;
}

int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	if (xa_load(xa, index))
		return -EBUSY;
	return xa_err(xa_store(xa, index, entry, gfp));
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	struct xa_node *leaf;
	unsigned int slot;
	void *old;

	if (xa->xa_shift < 0) {
		old = xa->xa_head;
		if (index || !old)
			return NULL;
		xa_init(xa);
		return old;
	}
	leaf = leaf_of(xa, index);
	slot = slot_of(index, 0);
	if (!leaf || !leaf->slots[slot])
		return NULL;
	old = leaf->slots[slot];
	leaf->slots[slot] = NULL;
	for (xa_mark_t mark = 0; mark < XA_PRESENT; mark++)
		clear_mark(leaf, slot, mark);
	leaf->marks[XA_PRESENT] &= ~(1UL << slot);
	prune(xa, leaf);
	return old;
}

/*
 * Goes down by the mark's bits. Where a node has none at or after the wanted
 * slot, the search begins anew from the first index past that node.
 */
void *xa_find_marked(const struct xarray *xa, unsigned long *indexp, unsigned long max,
		     xa_mark_t mark)
{
	unsigned long index = *indexp;

	if (xa->xa_shift < 0) {
		bool marked = mark == XA_PRESENT || (xa->xa_marks >> mark) & 1;

		return index == 0 && marked ? xa->xa_head : NULL;
	}
	while (index <= max && index <= max_index(xa)) {
		const struct xa_node *node = xa->xa_head;

		for (;;) {
			unsigned int slot = slot_of(index, node->shift);
			u64 bits = node->marks[mark] >> slot;
			unsigned int skip;

			if (!bits) {
				int above = node->shift + XA_CHUNK_SHIFT;

				/* The last node there can be: nothing follows it. */
				if (above >= BITS_PER_LONG || index >> above == ULONG_MAX >> above)
					return NULL;
				index = ((index >> above) + 1) << above;
				break;
			}
			skip = (unsigned int)__ffs(bits);
			if (skip) {
				index = ((index >> node->shift) + skip) << node->shift;
				if (index > max)
					return NULL;
			}
			if (!node->shift) {
				*indexp = index;
				return node->slots[slot + skip];
			}
			node = node->slots[slot + skip];
		}
	}
	return NULL;
}

void *xa_find_after_marked(const struct xarray *xa, unsigned long *indexp, unsigned long max,
			   xa_mark_t mark)
{
	unsigned long index = *indexp + 1;
	void *entry;

	if (!index)
		return NULL;
	entry = xa_find_marked(xa, &index, max, mark);
	if (entry)
		*indexp = index;
	return entry;
}

void *xa_find(const struct xarray *xa, unsigned long *indexp, unsigned long max)
{
	return xa_find_marked(xa, indexp, max, XA_PRESENT);
}

void *xa_find_after(const struct xarray *xa, unsigned long *indexp, unsigned long max)
{
	return xa_find_after_marked(xa, indexp, max, XA_PRESENT);
}

bool xa_get_mark(const struct xarray *xa, unsigned long index, xa_mark_t mark)
{
	const struct xa_node *leaf;

	if (xa->xa_shift < 0)
		return index == 0 && (xa->xa_marks >> mark) & 1;
	leaf = leaf_of(xa, index);
	return leaf && (leaf->marks[mark] >> slot_of(index, 0)) & 1;
}

void xa_set_mark(struct xarray *xa, unsigned long index, xa_mark_t mark)
{
	struct xa_node *leaf;

	if (xa->xa_shift < 0) {
		if (index == 0 && xa->xa_head)
			xa->xa_marks |= (u8)(1U << mark);
		return;
	}
	leaf = leaf_of(xa, index);
	if (leaf && leaf->slots[slot_of(index, 0)])
		set_mark(leaf, slot_of(index, 0), mark);
}

void xa_clear_mark(struct xarray *xa, unsigned long index, xa_mark_t mark)
{
	struct xa_node *leaf;

	if (xa->xa_shift < 0) {
		if (index == 0)
			xa->xa_marks &= (u8) ~(1U << mark);
		return;
	}
	leaf = leaf_of(xa, index);
	if (leaf)
		clear_mark(leaf, slot_of(index, 0), mark);
}

bool xa_marked(const struct xarray *xa, xa_mark_t mark)
{
	if (xa->xa_shift < 0)
		return (xa->xa_marks >> mark) & 1;
	return ((struct xa_node *)xa->xa_head)->marks[mark] != 0;
}

/* Depth first; a node's bits say which children are still there. */
void xa_destroy(struct xarray *xa)
{
	struct xa_node *node = xa->xa_shift < 0 ? NULL : xa->xa_head;

	while (node) {
		struct xa_node *parent = node->parent;

		if (node->shift && node->marks[XA_PRESENT]) {
			unsigned int slot = (unsigned int)__ffs(node->marks[XA_PRESENT]);

			node->marks[XA_PRESENT] &= node->marks[XA_PRESENT] - 1;
			node = node->slots[slot];
		} else {
			xa_node_free(node);
			node = parent;
		}
	}
	xa_init(xa);
}
