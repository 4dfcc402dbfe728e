/* SPDX-License-Identifier: MIT */
/*
 * The B+tree of ranges; range_tree.h has the picture and the invariants.
 *
 * Searching: in each node, the first slot whose end lies past the address. All
 * ends of a node are compared, without a branch among them: a node is small,
 * and a mispredicted branch costs more than the comparisons do.
 *
 * Changing: the way from the root to a leaf is kept in an array (struct step),
 * so nodes need no parent pointers. The leaf is changed, then each inner entry
 * on the way back up is made true again, until one already was. A node splits
 * when it is full and merges with a neighbour under the same parent when both
 * fit into three quarters of one, so a run of insertions and deletions does not
 * split and merge at each step.
 *
 * The caller locks.
 */
#include <quire/range_tree.h>

/* One level of the way down. [0] is the root, [height - 1] the leaf. */
struct step {
	struct rt_node *node;
	unsigned int slot;
};

/* How many of the n ends are <= addr: the first slot past it. Unused ends are ULONG_MAX. */
static __always_inline unsigned int ends_upto(const unsigned long *end, unsigned int n,
					      unsigned long addr)
{
	unsigned int slot = 0;

	for (unsigned int i = 0; i < n; i++)
		slot += end[i] <= addr;
	return slot;
}

static inline unsigned int leaf_slot(const struct rt_node *node, unsigned long addr)
{
	return ends_upto(node->leaf.end, RT_LEAF_SLOTS, addr);
}

static inline unsigned int inner_slot(const struct rt_node *node, unsigned long addr)
{
	return ends_upto(node->inner.end, RT_INNER_SLOTS, addr);
}

void rt_init(struct range_tree *tree, unsigned long min, unsigned long max)
{
	*tree = (struct range_tree){ .min = min, .max = max };
}

/*
 * The leaf and slot of the first range with end > addr. Only if the whole tree
 * has none is the slot the count of the leaf, which is the last one then. The
 * tree is not empty.
 */
static inline struct rt_node *descend(const struct range_tree *tree, unsigned long addr,
				      unsigned int *slot)
{
	struct rt_node *node = tree->root;

	for (unsigned int level = tree->height; level > 1; level--) {
		unsigned int i = inner_slot(node, addr);

		if (unlikely(i >= node->count))
			i = node->count - 1U;
		node = node->inner.child[i];
	}
	*slot = min_t(unsigned int, leaf_slot(node, addr), node->count);
	return node;
}

/* The same, with the way noted. Returns the last step. */
static struct step *descend_noting(const struct range_tree *tree, unsigned long addr,
				   struct step *way)
{
	struct rt_node *node = tree->root;

	for (unsigned int level = tree->height; level > 1; level--) {
		unsigned int i = min_t(unsigned int, inner_slot(node, addr), node->count - 1U);

		*way++ = (struct step){ node, i };
		node = node->inner.child[i];
	}
	*way = (struct step){ node, min_t(unsigned int, leaf_slot(node, addr), node->count) };
	return way;
}

void *rt_find(const struct range_tree *tree, unsigned long addr)
{
	const struct rt_node *leaf;
	unsigned int slot;

	if (!tree->root)
		return NULL;
	leaf = descend(tree, addr, &slot);
	if (slot < leaf->count && leaf->leaf.start[slot] <= addr)
		return leaf->leaf.ptr[slot];
	return NULL;
}

static void *result(const struct rt_node *leaf, unsigned int slot, unsigned long *start,
		    unsigned long *end)
{
	if (start)
		*start = leaf->leaf.start[slot];
	if (end)
		*end = leaf->leaf.end[slot];
	return leaf->leaf.ptr[slot];
}

void *rt_next(const struct range_tree *tree, unsigned long addr, unsigned long *start,
	      unsigned long *end)
{
	const struct rt_node *leaf;
	unsigned int slot;

	if (!tree->root)
		return NULL;
	leaf = descend(tree, addr, &slot);
	return slot < leaf->count ? result(leaf, slot, start, end) : NULL;
}

void *rt_prev(const struct range_tree *tree, unsigned long addr, unsigned long *start,
	      unsigned long *end)
{
	const struct rt_node *leaf;
	unsigned int slot;

	if (!tree->root)
		return NULL;
	leaf = descend(tree, addr, &slot);
	if (slot == 0) {
		leaf = leaf->leaf.prev;
		if (!leaf)
			return NULL;
		slot = leaf->count;
	}
	return result(leaf, slot - 1, start, end);
}

static void *stand_on(struct rt_iter *it, struct rt_node *leaf, unsigned int slot)
{
	it->leaf = leaf;
	it->slot = slot;
	return result(leaf, slot, &it->start, &it->end);
}

void *rt_iter_first(struct rt_iter *it, const struct range_tree *tree, unsigned long addr)
{
	struct rt_node *leaf;
	unsigned int slot;

	if (!tree->root)
		return NULL;
	leaf = descend(tree, addr, &slot);
	return slot < leaf->count ? stand_on(it, leaf, slot) : NULL;
}

void *rt_iter_next(struct rt_iter *it)
{
	if (it->slot + 1 < it->leaf->count)
		return stand_on(it, it->leaf, it->slot + 1);
	return it->leaf->leaf.next ? stand_on(it, it->leaf->leaf.next, 0) : NULL;
}

void *rt_iter_prev(struct rt_iter *it)
{
	struct rt_node *prev = it->leaf->leaf.prev;

	if (it->slot > 0)
		return stand_on(it, it->leaf, it->slot - 1);
	return prev ? stand_on(it, prev, prev->count - 1U) : NULL;
}

/* Nodes set aside. Every insertion takes its nodes from here. */

static bool reserve(struct range_tree *tree, unsigned int n, gfp_t gfp)
{
	while (tree->nr_spare < n) {
		struct rt_node *node = rt_node_alloc(gfp);

		if (!node)
			return false;
		node->next_spare = tree->spare;
		tree->spare = node;
		tree->nr_spare++;
	}
	return true;
}

static struct rt_node *take_spare(struct range_tree *tree)
{
	struct rt_node *node = tree->spare;

	tree->spare = node->next_spare;
	tree->nr_spare--;
	node->count = 0;
	return node;
}

static struct rt_node *new_leaf(struct range_tree *tree)
{
	struct rt_node *node = take_spare(tree);

	node->leaf.prev = node->leaf.next = NULL;
	for (unsigned int i = 0; i < RT_LEAF_SLOTS; i++)
		node->leaf.end[i] = ULONG_MAX;
	return node;
}

static struct rt_node *new_inner(struct range_tree *tree)
{
	struct rt_node *node = take_spare(tree);

	for (unsigned int i = 0; i < RT_INNER_SLOTS; i++)
		node->inner.end[i] = ULONG_MAX;
	return node;
}

/* An insertion splits at most each level and adds one, and each before it may have added one. */
int rt_preallocate(struct range_tree *tree, unsigned int n, gfp_t gfp)
{
	return reserve(tree, n * tree->height + n * (n + 1) / 2, gfp) ? 0 : -ENOMEM;
}

void rt_release_spare(struct range_tree *tree)
{
	while (tree->nr_spare)
		rt_node_free(take_spare(tree));
}

static void free_below(struct rt_node *node, unsigned int height)
{
	if (height > 1) {
		for (unsigned int i = 0; i < node->count; i++)
			free_below(node->inner.child[i], height - 1);
	}
	rt_node_free(node);
}

void rt_destroy(struct range_tree *tree)
{
	if (tree->root)
		free_below(tree->root, tree->height);
	rt_release_spare(tree);
	tree->root = NULL;
	tree->height = 0;
	tree->count = 0;
}

/* Entries of a node. `to` and `from` may be one node; copying goes the way that is safe then. */

static inline void move_range(struct rt_node *to, unsigned int i, const struct rt_node *from,
			      unsigned int j)
{
	to->leaf.end[i] = from->leaf.end[j];
	to->leaf.start[i] = from->leaf.start[j];
	to->leaf.ptr[i] = from->leaf.ptr[j];
}

static inline void move_child(struct rt_node *to, unsigned int i, const struct rt_node *from,
			      unsigned int j)
{
	to->inner.end[i] = from->inner.end[j];
	to->inner.start[i] = from->inner.start[j];
	to->inner.gap[i] = from->inner.gap[j];
	to->inner.child[i] = from->inner.child[j];
}

/* Moves the entries of `from` at and after `at` to the end of `to`. */
static void move_tail(struct rt_node *to, struct rt_node *from, unsigned int at, bool leaf)
{
	for (unsigned int i = at; i < from->count; i++) {
		if (leaf) {
			move_range(to, to->count++, from, i);
			from->leaf.end[i] = ULONG_MAX;
		} else {
			move_child(to, to->count++, from, i);
			from->inner.end[i] = ULONG_MAX;
		}
	}
	from->count = (u16)at;
}

static void put_range(struct rt_node *node, unsigned int slot, unsigned long start,
		      unsigned long end, void *ptr)
{
	for (unsigned int i = node->count++; i > slot; i--)
		move_range(node, i, node, i - 1);
	node->leaf.start[slot] = start;
	node->leaf.end[slot] = end;
	node->leaf.ptr[slot] = ptr;
}

static void drop_range(struct rt_node *node, unsigned int slot)
{
	node->count--;
	for (unsigned int i = slot; i < node->count; i++)
		move_range(node, i, node, i + 1);
	node->leaf.end[node->count] = ULONG_MAX;
}

static void drop_child(struct rt_node *node, unsigned int slot)
{
	node->count--;
	for (unsigned int i = slot; i < node->count; i++)
		move_child(node, i, node, i + 1);
	node->inner.end[node->count] = ULONG_MAX;
}

static unsigned long leaf_gap(const struct rt_node *node)
{
	unsigned long gap = 0;

	for (unsigned int i = 1; i < node->count; i++)
		gap = max(gap, node->leaf.start[i] - node->leaf.end[i - 1]);
	return gap;
}

static unsigned long inner_gap(const struct rt_node *node)
{
	unsigned long gap = node->inner.gap[0];

	for (unsigned int i = 1; i < node->count; i++) {
		gap = max(gap, node->inner.gap[i]);
		gap = max(gap, node->inner.start[i] - node->inner.end[i - 1]);
	}
	return gap;
}

/* Makes a parent's entry about `child` true. Returns whether that changed it. */
static bool describe(struct rt_node *parent, unsigned int slot, struct rt_node *child, bool leaf)
{
	unsigned int last = child->count - 1U;
	unsigned long start = leaf ? child->leaf.start[0] : child->inner.start[0];
	unsigned long end = leaf ? child->leaf.end[last] : child->inner.end[last];
	unsigned long gap = leaf ? leaf_gap(child) : inner_gap(child);

	if (parent->inner.child[slot] == child && parent->inner.start[slot] == start &&
	    parent->inner.end[slot] == end && parent->inner.gap[slot] == gap)
		return false;
	parent->inner.child[slot] = child;
	parent->inner.start[slot] = start;
	parent->inner.end[slot] = end;
	parent->inner.gap[slot] = gap;
	return true;
}

/* The node at `level` of the way has changed: what stands above it is made true. */
static void describe_upward(const struct range_tree *tree, struct step *way, unsigned int level)
{
	bool leaf = level == tree->height - 1;

	for (; level > 0; level--, leaf = false) {
		if (!describe(way[level - 1].node, way[level - 1].slot, way[level].node, leaf))
			return;
	}
}

static void put_child(struct rt_node *node, unsigned int slot, struct rt_node *child, bool leaf)
{
	for (unsigned int i = node->count++; i > slot; i--)
		move_child(node, i, node, i - 1);
	node->inner.child[slot] = NULL;
	describe(node, slot, child, leaf);
}

static void link_leaf_after(struct rt_node *leaf, struct rt_node *fresh)
{
	fresh->leaf.prev = leaf;
	fresh->leaf.next = leaf->leaf.next;
	if (fresh->leaf.next)
		fresh->leaf.next->leaf.prev = fresh;
	leaf->leaf.next = fresh;
}

static void unlink_leaf(struct rt_node *leaf)
{
	if (leaf->leaf.prev)
		leaf->leaf.prev->leaf.next = leaf->leaf.next;
	if (leaf->leaf.next)
		leaf->leaf.next->leaf.prev = leaf->leaf.prev;
}

static void add_root(struct range_tree *tree, struct rt_node *left, struct rt_node *right)
{
	struct rt_node *root = new_inner(tree);
	bool leaf = tree->height == 1;

	put_child(root, 0, left, leaf);
	put_child(root, 1, right, leaf);
	tree->root = root;
	tree->height++;
}

/*
 * way[level].node was split and `right` is its right part: enters it beside it
 * in the parent, which may have to be split in turn. Insertions that only append
 * (a fork copying a tree) leave full nodes behind them, not half-full ones.
 */
static void enter_split(struct range_tree *tree, struct step *way, unsigned int level,
			struct rt_node *right, bool append)
{
	bool leaf = true;

	for (; level > 0; level--, leaf = false) {
		struct rt_node *left = way[level].node;
		struct rt_node *parent = way[level - 1].node;
		unsigned int slot = way[level - 1].slot;
		struct rt_node *fresh;
		unsigned int at = append ? RT_INNER_SLOTS : RT_INNER_SLOTS / 2 + 1;

		describe(parent, slot, left, leaf);
		if (parent->count < RT_INNER_SLOTS) {
			put_child(parent, slot + 1, right, leaf);
			describe_upward(tree, way, level - 1);
			return;
		}
		fresh = new_inner(tree);
		move_tail(fresh, parent, at, false);
		if (slot + 1 <= at && at < RT_INNER_SLOTS)
			put_child(parent, slot + 1, right, leaf);
		else
			put_child(fresh, slot + 1 - at, right, leaf);
		right = fresh;
	}
	add_root(tree, way[0].node, right);
}

static void split_and_put(struct range_tree *tree, struct step *way, unsigned long start,
			  unsigned long end, void *ptr)
{
	struct step *last = &way[tree->height - 1];
	struct rt_node *leaf = last->node;
	struct rt_node *right = new_leaf(tree);
	bool append = last->slot == RT_LEAF_SLOTS;
	unsigned int at = append ? RT_LEAF_SLOTS : RT_LEAF_SLOTS / 2;

	move_tail(right, leaf, at, true);
	link_leaf_after(leaf, right);
	if (last->slot > at || append)
		put_range(right, last->slot - at, start, end, ptr);
	else
		put_range(leaf, last->slot, start, end, ptr);
	enter_split(tree, way, tree->height - 1, right, append);
}

/* Nodes that an insertion at the end of this way needs. */
static unsigned int nodes_needed(const struct range_tree *tree, const struct step *way)
{
	unsigned int level = tree->height - 1;

	if (way[level].node->count < RT_LEAF_SLOTS)
		return 0;
	while (level > 0 && way[level - 1].node->count == RT_INNER_SLOTS)
		level--;
	return tree->height - level + (level == 0);
}

int rt_insert(struct range_tree *tree, unsigned long start, unsigned long end, void *ptr)
{
	struct step way[RT_MAX_HEIGHT];
	struct step *last;
	unsigned int needed;

	if (start >= end || start < tree->min || end > tree->max || !ptr)
		return -EINVAL;
	if (!tree->root) {
		if (!reserve(tree, 1, tree->gfp))
			return -ENOMEM;
		tree->root = new_leaf(tree);
		tree->height = 1;
	}
	last = descend_noting(tree, start, way);
	if (last->slot < last->node->count && last->node->leaf.start[last->slot] < end)
		return -EEXIST;
	needed = nodes_needed(tree, way);
	if (needed > tree->height && tree->height == RT_MAX_HEIGHT)
		return -ENOMEM;
	if (!reserve(tree, needed, tree->gfp))
		return -ENOMEM;
	if (needed) {
		split_and_put(tree, way, start, end, ptr);
	} else {
		put_range(last->node, last->slot, start, end, ptr);
		describe_upward(tree, way, tree->height - 1);
	}
	tree->count++;
	return 0;
}

/* Empties the right one of two neighbours under `parent` into the left, if both fit well. */
static bool merge(struct rt_node *parent, unsigned int left_slot, bool leaf)
{
	struct rt_node *left = parent->inner.child[left_slot];
	struct rt_node *right = parent->inner.child[left_slot + 1];
	unsigned int slots = leaf ? RT_LEAF_SLOTS : RT_INNER_SLOTS;

	if (left->count + right->count > slots * 3 / 4)
		return false;
	move_tail(left, right, 0, leaf);
	if (leaf)
		unlink_leaf(right);
	rt_node_free(right);
	drop_child(parent, left_slot + 1);
	describe(parent, left_slot, left, leaf);
	return true;
}

static bool merge_with_neighbour(struct step *up, const struct rt_node *node, bool leaf)
{
	if (node->count > (leaf ? RT_LEAF_SLOTS : RT_INNER_SLOTS) / 2)
		return false;
	if (up->slot > 0 && merge(up->node, up->slot - 1, leaf))
		return true;
	return up->slot + 1 < up->node->count && merge(up->node, up->slot, leaf);
}

static void lower_root(struct range_tree *tree)
{
	while (tree->root && (tree->root->count == 0 || tree->height > 1)) {
		struct rt_node *root = tree->root;

		if (root->count > 1)
			return;
		tree->root = root->count ? root->inner.child[0] : NULL;
		tree->height = root->count ? tree->height - 1 : 0;
		rt_node_free(root);
	}
}

/* The leaf of the way has lost a range: frees or merges nodes as far up as that goes. */
static void shrink(struct range_tree *tree, struct step *way)
{
	unsigned int level;
	bool leaf = true;

	for (level = tree->height - 1; level > 0; level--, leaf = false) {
		struct rt_node *node = way[level].node;
		struct step *up = &way[level - 1];

		if (node->count == 0) {
			if (leaf)
				unlink_leaf(node);
			rt_node_free(node);
			drop_child(up->node, up->slot);
		} else if (!merge_with_neighbour(up, node, leaf)) {
			describe_upward(tree, way, level);
			return;
		}
	}
	lower_root(tree);
}

/* The way to the range that starts exactly at start; NULL if there is none. */
static struct step *find_exact(const struct range_tree *tree, unsigned long start, struct step *way)
{
	struct step *last;

	if (!tree->root)
		return NULL;
	last = descend_noting(tree, start, way);
	if (last->slot == last->node->count || last->node->leaf.start[last->slot] != start)
		return NULL;
	return last;
}

void *rt_erase(struct range_tree *tree, unsigned long start)
{
	struct step way[RT_MAX_HEIGHT];
	struct step *last = find_exact(tree, start, way);
	void *ptr;

	if (!last)
		return NULL;
	ptr = last->node->leaf.ptr[last->slot];
	drop_range(last->node, last->slot);
	tree->count--;
	shrink(tree, way);
	return ptr;
}

int rt_resize(struct range_tree *tree, unsigned long old_start, unsigned long new_start,
	      unsigned long new_end)
{
	struct step way[RT_MAX_HEIGHT];
	struct step *last = find_exact(tree, old_start, way);
	struct rt_iter it, neighbour;

	if (!last)
		return -ENOENT;
	if (new_start >= new_end || new_start < tree->min || new_end > tree->max)
		return -EINVAL;
	stand_on(&it, last->node, last->slot);
	neighbour = it;
	if (rt_iter_prev(&neighbour) && neighbour.end > new_start)
		return -EEXIST;
	neighbour = it;
	if (rt_iter_next(&neighbour) && neighbour.start < new_end)
		return -EEXIST;
	last->node->leaf.start[last->slot] = new_start;
	last->node->leaf.end[last->slot] = new_end;
	describe_upward(tree, way, tree->height - 1);
	return 0;
}

void *rt_replace(struct range_tree *tree, unsigned long start, void *ptr)
{
	struct step way[RT_MAX_HEIGHT];
	struct step *last = find_exact(tree, start, way);
	void *old;

	if (!last || !ptr)
		return NULL;
	old = last->node->leaf.ptr[last->slot];
	last->node->leaf.ptr[last->slot] = ptr;
	return old;
}

/*
 * Searching for a hole. `at` travels: upward it is the end of what has been
 * passed, never below `low`; downward its start, never above `high`. A subtree is
 * entered only if its gap is wide enough. Of those that are, only the ones that
 * `low` or `high` cuts can disappoint, so the cost is that of a few ways down.
 */
struct hole {
	unsigned long low, high, len;
	unsigned long at;
};

/* Whether the hole from h->at up to `start` will do. */
static inline bool fits_up(const struct hole *h, unsigned long start)
{
	unsigned long top = min(start, h->high);

	return top > h->at && top - h->at >= h->len;
}

static inline bool fits_down(const struct hole *h, unsigned long end)
{
	unsigned long bottom = max(end, h->low);

	return h->at > bottom && h->at - bottom >= h->len;
}

static bool leaf_hole_up(const struct rt_node *node, struct hole *h)
{
	for (unsigned int i = leaf_slot(node, h->at); i < node->count; i++) {
		if (fits_up(h, node->leaf.start[i]))
			return true;
		h->at = node->leaf.end[i];
	}
	return false;
}

static bool hole_up(const struct rt_node *node, unsigned int height, struct hole *h)
{
	if (height == 1)
		return leaf_hole_up(node, h);
	for (unsigned int i = inner_slot(node, h->at); i < node->count; i++) {
		if (fits_up(h, node->inner.start[i]))
			return true;
		if (node->inner.start[i] >= h->high)
			return false;
		if (node->inner.gap[i] >= h->len && hole_up(node->inner.child[i], height - 1, h))
			return true;
		h->at = node->inner.end[i];
	}
	return false;
}

static bool leaf_hole_down(const struct rt_node *node, struct hole *h)
{
	for (unsigned int i = node->count; i-- > 0;) {
		if (node->leaf.start[i] >= h->at)
			continue;
		if (fits_down(h, node->leaf.end[i]))
			return true;
		h->at = node->leaf.start[i];
	}
	return false;
}

static bool hole_down(const struct rt_node *node, unsigned int height, struct hole *h)
{
	if (height == 1)
		return leaf_hole_down(node, h);
	for (unsigned int i = node->count; i-- > 0;) {
		if (node->inner.start[i] >= h->at)
			continue;
		if (fits_down(h, node->inner.end[i]))
			return true;
		if (node->inner.end[i] <= h->low)
			return false;
		if (node->inner.gap[i] >= h->len && hole_down(node->inner.child[i], height - 1, h))
			return true;
		h->at = node->inner.start[i];
	}
	return false;
}

/* False if no hole can be wide enough. */
static bool hole_init(struct hole *h, const struct range_tree *tree, unsigned long low,
		      unsigned long high, unsigned long size, unsigned long align)
{
	h->low = max(low, tree->min);
	h->high = min(high, tree->max);
	return size && !__builtin_add_overflow(size, align ? align - 1 : 0, &h->len) &&
	       h->low < h->high && h->high - h->low >= h->len;
}

unsigned long rt_gap_up(const struct range_tree *tree, unsigned long low, unsigned long high,
			unsigned long size, unsigned long align, unsigned long align_offset)
{
	struct hole h;

	if (!hole_init(&h, tree, low, high, size, align))
		return (unsigned long)-ENOMEM;
	h.at = h.low;
	if (tree->root && hole_up(tree->root, tree->height, &h))
		goto found;
	if (!fits_up(&h, h.high))
		return (unsigned long)-ENOMEM;
found:
	return align ? h.at + ((align_offset - h.at) & (align - 1)) : h.at;
}

unsigned long rt_gap_down(const struct range_tree *tree, unsigned long low, unsigned long high,
			  unsigned long size, unsigned long align, unsigned long align_offset)
{
	struct hole h;
	unsigned long addr;

	if (!hole_init(&h, tree, low, high, size, align))
		return (unsigned long)-ENOMEM;
	h.at = h.high;
	if (tree->root && hole_down(tree->root, tree->height, &h))
		goto found;
	if (!fits_down(&h, h.low))
		return (unsigned long)-ENOMEM;
found:
	addr = h.at - size;
	return align ? addr - ((addr - align_offset) & (align - 1)) : addr;
}

/* rt_check. `at` is the end of the last range passed. */
struct check {
	const struct range_tree *tree;
	const struct rt_node *last_leaf;
	unsigned long at;
	unsigned long count;
};

static const char *check_leaf(const struct rt_node *node, struct check *c)
{
	if (node->leaf.prev != c->last_leaf || (c->last_leaf && c->last_leaf->leaf.next != node))
		return "leaves are not linked in order";
	c->last_leaf = node;
	if (node->count == 0 || node->count > RT_LEAF_SLOTS)
		return "a leaf's count";
	for (unsigned int i = 0; i < RT_LEAF_SLOTS; i++) {
		if (i >= node->count) {
			if (node->leaf.end[i] != ULONG_MAX)
				return "an unused end in a leaf";
			continue;
		}
		if (node->leaf.start[i] < c->at)
			return "ranges overlap, are out of order or lie below min";
		if (node->leaf.end[i] <= node->leaf.start[i])
			return "an empty range";
		if (!node->leaf.ptr[i])
			return "a NULL pointer";
		c->at = node->leaf.end[i];
		c->count++;
	}
	return c->at > c->tree->max ? "a range lies above max" : NULL;
}

static const char *check_below(const struct rt_node *node, unsigned int height, struct check *c)
{
	if (height == 1)
		return check_leaf(node, c);
	if (node->count == 0 || node->count > RT_INNER_SLOTS)
		return "an inner node's count";
	for (unsigned int i = 0; i < RT_INNER_SLOTS; i++) {
		struct rt_node truth = { 0 };
		const char *wrong;

		if (i >= node->count) {
			if (node->inner.end[i] != ULONG_MAX)
				return "an unused end in an inner node";
			continue;
		}
		wrong = check_below(node->inner.child[i], height - 1, c);
		if (wrong)
			return wrong;
		move_child(&truth, 0, node, i);
		if (describe(&truth, 0, node->inner.child[i], height == 2))
			return "an inner entry does not describe its child";
	}
	return NULL;
}

const char *rt_check(const struct range_tree *tree)
{
	struct check c = { .tree = tree, .at = tree->min };
	const char *wrong;

	if (!tree->root)
		return tree->height || tree->count ? "an empty tree with a height or a count"
						   : NULL;
	if (tree->height == 0 || tree->height > RT_MAX_HEIGHT)
		return "the height";
	wrong = check_below(tree->root, tree->height, &c);
	if (wrong)
		return wrong;
	if (c.last_leaf->leaf.next)
		return "a leaf after the last";
	return c.count != tree->count ? "the count" : NULL;
}
