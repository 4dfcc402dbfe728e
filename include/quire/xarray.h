/* SPDX-License-Identifier: MIT */
/*
 * An array of non-NULL pointers indexed by unsigned long: a radix tree of
 * 64-way nodes, as high as its largest index needs.
 *
 *	xa_shift 6:	index = | slot of head | slot of leaf |
 *				    6 bits         6 bits
 *
 *	xa_head ──> node, shift 6 ──slots[1]──> node, shift 0 ──slots[3]──> entry 67
 *
 * A node of shift s > 0 holds nodes of shift s - 6; a node of shift 0 holds
 * entries. One entry at index 0 alone needs no node: xa_head is the entry then,
 * and xa_shift is XA_NO_NODE. An empty array has xa_head NULL.
 *
 * Each node has four bitmaps of its slots: three marks that belong to the user,
 * and `present`. A bit in a node above says that some entry below has it.
 * Nodes with nothing present are freed; the head shrinks with its largest index.
 *
 * Entries are any non-NULL pointers but error pointers. The caller locks: any
 * number of readers, or one writer.
 */
#ifndef QUIRE_XARRAY_H
#define QUIRE_XARRAY_H

#include <quire/err.h>
#include <quire/kernel.h>

#define XA_CHUNK_SHIFT 6
#define XA_CHUNK_SIZE (1UL << XA_CHUNK_SHIFT)
#define XA_CHUNK_MASK (XA_CHUNK_SIZE - 1)
#define XA_NO_NODE (-XA_CHUNK_SHIFT)

typedef unsigned int xa_mark_t;
#define XA_MARK_0 0U
#define XA_MARK_1 1U
#define XA_MARK_2 2U
#define XA_PRESENT 3U
#define XA_MAX_MARKS 4U

struct xa_node {
	u8 shift;
	u8 offset; /* slot of the parent that holds this node */
	struct xa_node *parent;
	u64 marks[XA_MAX_MARKS];
	void *slots[XA_CHUNK_SIZE];
};

struct xarray {
	void *xa_head;
	int xa_shift;
	u8 xa_marks; /* of the entry at index 0, while it has no node */
};

#define XARRAY_INIT                                     \
	{                                               \
		.xa_head = NULL, .xa_shift = XA_NO_NODE \
	}
#define DEFINE_XARRAY(name) struct xarray name = XARRAY_INIT

/*
 * Supplied by the user of the library. xa_node_alloc returns a node of any
 * content, or NULL; gfp is what xa_store was given.
 */
struct xa_node *xa_node_alloc(gfp_t gfp);
void xa_node_free(struct xa_node *node);

static inline void xa_init(struct xarray *xa)
{
	*xa = (struct xarray)XARRAY_INIT;
}

static inline bool xa_empty(const struct xarray *xa)
{
	return !xa->xa_head;
}

/* An integer below 2^63 as an entry, and back; odd, so never equal to a pointer to an object. */
static inline void *xa_mk_value(unsigned long v)
{
	return (void *)((v << 1) | 1);
}

static inline unsigned long xa_to_value(const void *entry)
{
	return (unsigned long)entry >> 1;
}

static inline bool xa_is_value(const void *entry)
{
	return (unsigned long)entry & 1;
}

/* Of what xa_store returned. */
static inline bool xa_is_err(const void *entry)
{
	return IS_ERR(entry);
}

static inline int xa_err(const void *entry)
{
	return IS_ERR(entry) ? (int)PTR_ERR(entry) : 0;
}

void *xa_load(const struct xarray *xa, unsigned long index);

/*
 * Returns the entry that was there (NULL if none), or an error entry: -ENOMEM,
 * with the array as it was. A replaced entry's marks stay. Storing NULL erases;
 * so does xa_erase, which cannot fail.
 */
void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *xa_erase(struct xarray *xa, unsigned long index);

/* Store only where nothing is: 0, -EBUSY or -ENOMEM. */
int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);

/*
 * The first entry at an index >= *index (xa_find) or > *index (xa_find_after),
 * and <= max; *index becomes its index. NULL, and *index as it was, if none.
 */
void *xa_find(const struct xarray *xa, unsigned long *index, unsigned long max);
void *xa_find_after(const struct xarray *xa, unsigned long *index, unsigned long max);

/* The same among the entries that have the mark. */
void *xa_find_marked(const struct xarray *xa, unsigned long *index, unsigned long max,
		     xa_mark_t mark);
void *xa_find_after_marked(const struct xarray *xa, unsigned long *index, unsigned long max,
			   xa_mark_t mark);

/* Marks. Setting the mark of an index with no entry does nothing. */
bool xa_get_mark(const struct xarray *xa, unsigned long index, xa_mark_t mark);
void xa_set_mark(struct xarray *xa, unsigned long index, xa_mark_t mark);
void xa_clear_mark(struct xarray *xa, unsigned long index, xa_mark_t mark);

/* Whether any entry has the mark. */
bool xa_marked(const struct xarray *xa, xa_mark_t mark);

/* Frees all nodes; the entries are the user's. The array is empty and usable afterwards. */
void xa_destroy(struct xarray *xa);

/* In these loops the body may store and erase, at any index. */
#define xa_for_each_range(xa, index, entry, start, max)                        \
	for ((index) = (start), (entry) = xa_find(xa, &(index), max); (entry); \
	     (entry) = xa_find_after(xa, &(index), max))
#define xa_for_each_start(xa, index, entry, start) \
	xa_for_each_range(xa, index, entry, start, ULONG_MAX)
#define xa_for_each(xa, index, entry) xa_for_each_start(xa, index, entry, 0UL)
#define xa_for_each_marked(xa, index, entry, mark)                                          \
	for ((index) = 0, (entry) = xa_find_marked(xa, &(index), ULONG_MAX, mark); (entry); \
	     (entry) = xa_find_after_marked(xa, &(index), ULONG_MAX, mark))

#endif
