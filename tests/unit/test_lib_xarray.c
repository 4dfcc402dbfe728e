/* SPDX-License-Identifier: MIT */
/* lib/xarray.c against a sorted array, with allocation failures at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/xarray.h>

#define MODEL 600

static long nodes_live;
static int fail_after = -1; /* allocations until one fails; -1: never */

struct xa_node *xa_node_alloc(gfp_t gfp)
{
	struct xa_node *node;

	(void)gfp;
	if (fail_after == 0)
		return NULL;
	if (fail_after > 0)
		fail_after--;
	node = malloc(sizeof(*node));
	memset(node, 0xa5, sizeof(*node));
	nodes_live++;
	return node;
}

void xa_node_free(struct xa_node *node)
{
	nodes_live--;
	free(node);
}

struct item {
	unsigned long index;
	void *entry;
	bool marks[3];
};

static struct item model[MODEL];
static size_t items;

/* The first item at or after index. */
static size_t lower(unsigned long index)
{
	size_t i = 0;

	while (i < items && model[i].index < index)
		i++;
	return i;
}

static struct item *lookup(unsigned long index)
{
	size_t i = lower(index);

	return i < items && model[i].index == index ? &model[i] : NULL;
}

static void model_store(unsigned long index, void *entry)
{
	size_t i = lower(index);

	if (i < items && model[i].index == index) {
		model[i].entry = entry;
		return;
	}
	memmove(&model[i + 1], &model[i], (items - i) * sizeof(model[0]));
	model[i] = (struct item){ .index = index, .entry = entry };
	items++;
}

static void model_erase(unsigned long index)
{
	size_t i = lower(index);

	memmove(&model[i], &model[i + 1], (items - i - 1) * sizeof(model[0]));
	items--;
}

/* What the comments promise about nodes; returns the number of nodes below and with node. */
static long check_node(const struct xa_node *node, const struct xa_node *parent, u64 *marks)
{
	long count = 1;

	assert_ptr_equal(node->parent, parent);
	assert_true(node->marks[XA_PRESENT] != 0);
	for (unsigned int slot = 0; slot < XA_CHUNK_SIZE; slot++) {
		bool present = (node->marks[XA_PRESENT] >> slot) & 1;
		u64 below[XA_MAX_MARKS];

		assert_int_equal(present, node->slots[slot] != NULL);
		if (!present) {
			for (xa_mark_t m = 0; m < XA_PRESENT; m++)
				assert_false((node->marks[m] >> slot) & 1);
			continue;
		}
		if (!node->shift)
			continue;
		const struct xa_node *child = node->slots[slot];

		assert_int_equal(child->offset, slot);
		assert_int_equal(child->shift, node->shift - XA_CHUNK_SHIFT);
		count += check_node(child, node, below);
		for (xa_mark_t m = 0; m < XA_MAX_MARKS; m++)
			assert_int_equal((node->marks[m] >> slot) & 1, below[m] != 0);
	}
	memcpy(marks, node->marks, sizeof(node->marks));
	return count;
}

static void check(const struct xarray *xa)
{
	unsigned long index;
	u64 marks[XA_MAX_MARKS];
	void *entry;
	size_t i = 0;

	if (xa->xa_shift >= 0) {
		const struct xa_node *head = xa->xa_head;

		assert_int_equal(head->shift, xa->xa_shift);
		assert_true(head->marks[XA_PRESENT] != 1);
		assert_int_equal(check_node(head, NULL, marks), nodes_live);
	} else {
		assert_int_equal(nodes_live, 0);
	}
	assert_int_equal(xa_empty(xa), items == 0);
	xa_for_each(xa, index, entry) {
		assert_true(i < items);
		assert_true(model[i].index == index);
		assert_ptr_equal(model[i].entry, entry);
		for (xa_mark_t m = 0; m < 3; m++)
			assert_int_equal(xa_get_mark(xa, index, m), model[i].marks[m]);
		i++;
	}
	assert_int_equal(i, items);
	for (xa_mark_t m = 0; m < 3; m++) {
		i = 0;
		xa_for_each_marked(xa, index, entry, m) {
			while (i < items && !model[i].marks[m])
				i++;
			assert_true(i < items && model[i].index == index);
			i++;
		}
		while (i < items && !model[i].marks[m])
			i++;
		assert_int_equal(i, items);
	}
}

static unsigned long random_index(void)
{
	unsigned long r = ((unsigned long)rand() << 33) ^ ((unsigned long)rand() << 11) ^
			  (unsigned long)rand();

	switch (rand() % 8) {
	case 0:
		return r;
	case 1:
		return ULONG_MAX - (unsigned long)(rand() % 3);
	case 2:
		return r & 0xffffff;
	case 3:
		return 1UL << (rand() % 64);
	case 4:
		return 0;
	default:
		return r & 0x3ff;
	}
}

static void random_step(struct xarray *xa)
{
	unsigned long index = items && rand() % 3 == 0 ? model[(size_t)rand() % items].index
						       : random_index();
	struct item *item = lookup(index);
	void *old = item ? item->entry : NULL;
	xa_mark_t mark = (xa_mark_t)rand() % 3;
	void *entry = xa_mk_value((unsigned long)rand() + 1);
	void *got;

	switch (rand() % 9) {
	case 0:
	case 1:
	case 2:
		if (items + 1 >= MODEL)
			break;
		fail_after = rand() % 4 ? -1 : rand() % 3;
		got = xa_store(xa, index, entry, 0);
		fail_after = -1;
		if (xa_is_err(got)) {
			assert_int_equal(xa_err(got), -ENOMEM);
			break;
		}
		assert_ptr_equal(got, old);
		model_store(index, entry);
		break;
	case 3:
		if (items + 1 >= MODEL)
			break;
		assert_int_equal(xa_insert(xa, index, entry, 0), old ? -EBUSY : 0);
		if (!old)
			model_store(index, entry);
		break;
	case 4:
	case 5:
		assert_ptr_equal(rand() % 2 ? xa_erase(xa, index) : xa_store(xa, index, NULL, 0),
				 old);
		if (old)
			model_erase(index);
		break;
	case 6:
		xa_set_mark(xa, index, mark);
		if (item)
			item->marks[mark] = true;
		break;
	case 7:
		xa_clear_mark(xa, index, mark);
		if (item)
			item->marks[mark] = false;
		break;
	default:
		assert_ptr_equal(xa_load(xa, index), old);
	}
}

static void find_agrees(const struct xarray *xa)
{
	unsigned long from = random_index(), max = random_index(), at = from;
	size_t i = lower(from);
	void *entry = xa_find(xa, &at, max);

	if (i < items && model[i].index <= max) {
		assert_ptr_equal(entry, model[i].entry);
		assert_true(at == model[i].index);
	} else {
		assert_null(entry);
		assert_true(at == from);
	}
}

static void random_model(void **state)
{
	struct xarray xa;

	(void)state;
	xa_init(&xa);
	for (unsigned int seed = 1; seed <= 20; seed++) {
		srand(seed);
		for (int step = 0; step < 3000; step++) {
			random_step(&xa);
			find_agrees(&xa);
			if (step % 64 == 0)
				check(&xa);
		}
		/* Down to nothing one by one, or at once. */
		while (items && seed % 2) {
			unsigned long index = model[(size_t)rand() % items].index;

			assert_non_null(xa_erase(&xa, index));
			model_erase(index);
			if (items % 16 == 0)
				check(&xa);
		}
		items = 0;
		xa_destroy(&xa);
		assert_int_equal(nodes_live, 0);
		check(&xa);
	}
}

static void one_entry_needs_no_node(void **state)
{
	struct xarray xa = XARRAY_INIT;

	(void)state;
	assert_null(xa_store(&xa, 0, &xa, 0));
	xa_set_mark(&xa, 0, XA_MARK_1);
	assert_int_equal(nodes_live, 0);
	assert_true(xa_marked(&xa, XA_MARK_1));
	assert_null(xa_store(&xa, 5000, &xa, 0));
	assert_int_equal(nodes_live, 5);
	assert_true(xa_get_mark(&xa, 0, XA_MARK_1));
	assert_ptr_equal(xa_erase(&xa, 5000), &xa);
	assert_int_equal(nodes_live, 0);
	assert_true(xa_get_mark(&xa, 0, XA_MARK_1));
	assert_ptr_equal(xa_erase(&xa, 0), &xa);
	assert_true(xa_empty(&xa));
}

static void the_body_of_a_loop_may_erase(void **state)
{
	struct xarray xa = XARRAY_INIT;
	unsigned long index, n = 0;
	void *entry;

	(void)state;
	for (unsigned long i = 0; i < 1000; i++)
		assert_null(xa_store(&xa, i * 37, xa_mk_value(i), 0));
	xa_for_each_range(&xa, index, entry, 37, 37 * 998) {
		assert_int_equal(xa_to_value(entry), ++n);
		assert_ptr_equal(xa_erase(&xa, index), entry);
	}
	assert_int_equal(n, 998);
	xa_destroy(&xa);
	assert_int_equal(nodes_live, 0);
}

static void a_failed_store_changes_nothing(void **state)
{
	struct xarray xa = XARRAY_INIT;

	(void)state;
	for (int n = 0; n < 11; n++) {
		fail_after = n;
		assert_int_equal(xa_err(xa_store(&xa, ULONG_MAX, &xa, 0)), -ENOMEM);
		assert_int_equal(nodes_live, 0);
		assert_true(xa_empty(&xa));
	}
	for (int n = 0; n < 12; n++) {
		fail_after = -1;
		xa_store(&xa, 0, &xa, 0);
		xa_store(&xa, 1, &xa, 0);
		fail_after = n;
		assert_int_equal(xa_err(xa_store(&xa, ULONG_MAX, &xa, 0)), -ENOMEM);
		assert_int_equal(nodes_live, 1);
		assert_ptr_equal(xa_load(&xa, 1), &xa);
	}
	fail_after = -1;
	xa_destroy(&xa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_model),
		cmocka_unit_test(one_entry_needs_no_node),
		cmocka_unit_test(the_body_of_a_loop_may_erase),
		cmocka_unit_test(a_failed_store_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
