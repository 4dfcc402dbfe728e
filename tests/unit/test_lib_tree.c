/* SPDX-License-Identifier: MIT */
/* list.h, lib/rbtree.c and lib/interval_tree.c, against plain arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/interval_tree.h>
#include <quire/list.h>
#include <quire/rbtree.h>

struct item {
	int value;
	struct list_head link;
	struct hlist_node hash;
};

static void expect_list(struct list_head *head, const char *digits)
{
	struct item *item;
	size_t n = 0;

	list_for_each_entry(item, head, link)
		assert_int_equal(item->value, digits[n++] - '0');
	assert_int_equal(digits[n], 0);
	list_for_each_entry_reverse(item, head, link)
		assert_int_equal(item->value, digits[--n] - '0');
	assert_int_equal(n, 0);
	assert_int_equal(list_empty(head), digits[0] == '\0');
	assert_int_equal(list_is_singular(head), digits[0] && !digits[1]);
}

static void lists(void **state)
{
	struct item items[6], *item, *next;
	LIST_HEAD(a);
	LIST_HEAD(b);

	(void)state;
	for (int i = 0; i < 6; i++)
		items[i].value = i;
	expect_list(&a, "");
	assert_null(list_first_entry_or_null(&a, struct item, link));
	list_add(&items[1].link, &a);
	list_add(&items[0].link, &a);
	list_add_tail(&items[2].link, &a);
	expect_list(&a, "012");
	list_add(&items[3].link, &b);
	expect_list(&b, "3");
	list_splice_tail_init(&a, &b);
	expect_list(&b, "3012");
	expect_list(&a, "");
	list_move_tail(&items[0].link, &b);
	list_move(&items[1].link, &b);
	expect_list(&b, "1320");
	list_replace(&items[3].link, &items[4].link);
	expect_list(&b, "1420");
	list_rotate_left(&b);
	expect_list(&b, "4201");
	list_bulk_move_tail(&a, &items[4].link, &items[2].link);
	expect_list(&a, "42");
	list_splice(&a, &b);
	expect_list(&b, "4201");
	assert_true(list_is_first(&items[4].link, &b) && list_is_last(&items[1].link, &b));
	list_for_each_entry_safe(item, next, &b, link) {
		if (item->value != 2)
			list_del(&item->link);
	}
	expect_list(&b, "2");
	list_del_init(&items[2].link);
	assert_true(list_empty(&items[2].link) && list_empty(&b));
}

static void hash_lists(void **state)
{
	struct item items[4], *item;
	struct hlist_node *next;
	HLIST_HEAD(head);
	int seen = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		items[i].value = i;
		INIT_HLIST_NODE(&items[i].hash);
	}
	assert_true(hlist_empty(&head) && hlist_unhashed(&items[0].hash));
	hlist_add_head(&items[0].hash, &head);
	hlist_add_before(&items[1].hash, &items[0].hash);
	hlist_add_behind(&items[2].hash, &items[0].hash);
	hlist_for_each_entry(item, &head, hash)
		seen = seen * 10 + item->value;
	assert_int_equal(seen, 102);
	hlist_for_each_entry_safe(item, next, &head, hash)
		hlist_del_init(&item->hash);
	hlist_del_init(&items[0].hash);
	assert_true(hlist_empty(&head));
}

#define NODES 400

struct num {
	struct rb_node rb;
	unsigned long key;
	bool in;
};

/* Returns the black height; checks colours, parents and order. */
static int check_rb(const struct rb_node *node, const struct rb_node *parent)
{
	bool red;
	int left, right;

	if (!node)
		return 1;
	red = !(node->__rb_parent_color & 1);
	assert_ptr_equal(rb_parent(node), parent);
	if (red) {
		assert_non_null(parent);
		assert_true(parent->__rb_parent_color & 1);
	}
	left = check_rb(node->rb_left, node);
	right = check_rb(node->rb_right, node);
	assert_int_equal(left, right);
	return left + !red;
}

static void insert_num(struct rb_root_cached *root, struct num *n)
{
	struct rb_node **link = &root->rb_root.rb_node, *parent = NULL;
	bool leftmost = true;

	while (*link) {
		parent = *link;
		if (n->key < rb_entry(parent, struct num, rb)->key) {
			link = &parent->rb_left;
		} else {
			link = &parent->rb_right;
			leftmost = false;
		}
	}
	rb_link_node(&n->rb, parent, link);
	rb_insert_color_cached(&n->rb, root, leftmost);
	n->in = true;
}

static void check_nums(struct rb_root_cached *root, size_t live)
{
	struct rb_node *node, *prev = NULL;
	struct num *pos, *next;
	size_t n = 0;

	check_rb(root->rb_root.rb_node, NULL);
	assert_ptr_equal(rb_first_cached(root), rb_first(&root->rb_root));
	for (node = rb_first(&root->rb_root); node; node = rb_next(node)) {
		assert_ptr_equal(rb_prev(node), prev);
		if (prev)
			assert_true(rb_entry(prev, struct num, rb)->key <=
				    rb_entry(node, struct num, rb)->key);
		prev = node;
		n++;
	}
	assert_ptr_equal(rb_last(&root->rb_root), prev);
	assert_int_equal(n, live);
	rbtree_postorder_for_each_entry_safe(pos, next, &root->rb_root, rb) {
		assert_true(pos->in);
		n--;
	}
	assert_int_equal(n, 0);
}

static void red_black_trees(void **state)
{
	static struct num nums[NODES], spare;
	struct rb_root_cached root = RB_ROOT_CACHED;
	size_t live = 0;

	(void)state;
	srand(1);
	for (int step = 0; step < 40000; step++) {
		struct num *n = &nums[rand() % NODES];
		int grow = (step / 4000) % 2 ? 3 : 7;

		if (n->in && rand() % 10 >= grow) {
			rb_erase_cached(&n->rb, &root);
			n->in = false;
			live--;
		} else if (!n->in && rand() % 10 < grow) {
			n->key = (unsigned long)rand() % 500;
			insert_num(&root, n);
			live++;
		}
		if (step % 50 == 0)
			check_nums(&root, live);
	}
	struct rb_node *mid = root.rb_root.rb_node->rb_left;

	spare.in = true;
	spare.key = rb_entry(mid, struct num, rb)->key;
	rb_replace_node(mid, &spare.rb, &root.rb_root);
	check_nums(&root, live);
	RB_CLEAR_NODE(mid);
	assert_true(RB_EMPTY_NODE(mid) && !rb_next(mid) && !rb_prev(mid));
}

struct interval {
	struct interval_tree_node node;
	bool in;
	bool seen;
};

static unsigned long check_last(const struct rb_node *rb)
{
	const struct interval_tree_node *node;
	unsigned long last;

	if (!rb)
		return 0;
	node = rb_entry(rb, const struct interval_tree_node, rb);
	last = max(node->last, max(check_last(rb->rb_left), check_last(rb->rb_right)));
	assert_int_equal(node->__subtree_last, last);
	return last;
}

static void query(struct rb_root_cached *root, struct interval *all, unsigned long start,
		  unsigned long last)
{
	struct interval_tree_node *node;
	unsigned long previous = 0;

	for (node = interval_tree_iter_first(root, start, last); node;
	     node = interval_tree_iter_next(node, start, last)) {
		struct interval *interval = container_of(node, struct interval, node);

		assert_true(node->start >= previous);
		previous = node->start;
		assert_false(interval->seen);
		interval->seen = true;
	}
	for (int i = 0; i < NODES; i++) {
		bool meets = all[i].in && all[i].node.start <= last && all[i].node.last >= start;

		assert_int_equal(all[i].seen, meets);
		all[i].seen = false;
	}
}

static void interval_trees(void **state)
{
	static struct interval all[NODES];
	struct rb_root_cached root = RB_ROOT_CACHED;

	(void)state;
	srand(2);
	for (int step = 0; step < 20000; step++) {
		struct interval *n = &all[rand() % NODES];
		unsigned long start = (unsigned long)rand() % 1000;

		if (n->in) {
			interval_tree_remove(&n->node, &root);
			n->in = false;
		} else {
			n->node.start = start;
			n->node.last = start + (unsigned long)rand() % (rand() % 8 ? 20 : 600);
			interval_tree_insert(&n->node, &root);
			n->in = true;
		}
		if (step % 20 == 0) {
			check_rb(root.rb_root.rb_node, NULL);
			check_last(root.rb_root.rb_node);
			query(&root, all, start, start + (unsigned long)rand() % 30);
			query(&root, all, start, start);
		}
	}
	query(&root, all, 0, ULONG_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(hash_lists),
		cmocka_unit_test(red_black_trees),
		cmocka_unit_test(interval_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
