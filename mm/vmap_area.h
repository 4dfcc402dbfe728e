/* SPDX-License-Identifier: MIT */
/* vmap_area.h - ranges of vmalloc space: what vmap_area.c gives to vmalloc.c. */
#ifndef MM_VMAP_AREA_H
#define MM_VMAP_AREA_H

#include <quire/list.h>
#include <quire/rbtree.h>
#include <quire/vmalloc.h>

/* What an area in use is for. */
struct vm_struct {
	void *addr;
	unsigned long size; /* bytes, with the guard page */
	unsigned long flags; /* VM_ALLOC ... */
	struct page **pages; /* from kvmalloc(), or NULL: the caller of vmap() has them */
	unsigned long nr_pages;
	const void *caller;
};

/* A range [va_start, va_end): free, in use, or freed and waiting for its flush. */
struct vmap_area {
	unsigned long va_start, va_end;
	struct rb_node rb_node;
	union {
		unsigned long subtree_max_size; /* free: the largest free range below this node */
		struct vm_struct *vm; /* in use */
	};
};

/* The lowest free range of so many bytes at a multiple of align; NULL. May sleep. */
struct vmap_area *alloc_vmap_area(unsigned long size, unsigned long align, struct vm_struct *vm);
/* The area in use that begins at addr is that no more; NULL: none does. Its addresses stay taken. */
struct vmap_area *unlink_vmap_area(unsigned long addr);
/* Nothing is mapped in the area any more: its addresses can be used again after the next flush. */
void free_vmap_area(struct vmap_area *va);

/* vmalloc_info() of the area that has addr, if the lock is free: for reports of faults. */
bool vmalloc_peek(unsigned long addr, struct vmap_info *info);

void vmap_area_init(void);

#endif
