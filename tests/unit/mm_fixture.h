/* SPDX-License-Identifier: MIT */
/*
 * mm_fixture.h - what the tests of address spaces share: the invariants of an mm, looked at from
 * outside, short spellings of the calls, and counters that must come back.
 */
#ifndef QUIRE_TEST_MM_FIXTURE_H
#define QUIRE_TEST_MM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/fault-inject.h>
#include <quire/fs.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/vmstat.h>

#include "soft.h"

#define BASE 0x200000000000UL
#define PG(n) (BASE + (unsigned long)(n)*PAGE_SIZE)
#define LEN(n) ((unsigned long)(n)*PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* ---- Random numbers ------------------------------------------------------------------------ */

static u64 rng_state = 1;

static inline unsigned long rng(unsigned long n)
{
	rng_state = rng_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned long)(rng_state >> 33) % n;
}

/* ---- Calls --------------------------------------------------------------------------------- */

static inline long map_at(struct mm_struct *mm, unsigned long page, unsigned long n,
			  unsigned long prot, unsigned long flags)
{
	return (long)do_mmap(mm, NULL, PG(page), LEN(n), prot, flags | MAP_FIXED, 0, NULL);
}

static inline long map_file_at(struct mm_struct *mm, struct file *file, unsigned long page,
			       unsigned long n, unsigned long prot, unsigned long flags,
			       pgoff_t pgoff)
{
	return (long)do_mmap(mm, file, PG(page), LEN(n), prot, flags | MAP_FIXED, pgoff, NULL);
}

static inline void poke(struct mm_struct *mm, unsigned long addr, unsigned long value)
{
	assert_int_equal(soft_store(mm, addr, &value, sizeof(value)).signo, 0);
}

static inline unsigned long peek(struct mm_struct *mm, unsigned long addr)
{
	unsigned long value = ~0UL;

	assert_int_equal(soft_load(mm, addr, &value, sizeof(value)).signo, 0);
	return value;
}

/* A shared-memory file of so many pages; one reference. */
static inline struct file *shmem_file(unsigned long pages, unsigned int mode, const char *path)
{
	struct inode *inode = shmem_inode_new(NULL, (loff_t)LEN(pages), VM_NORESERVE);
	struct file *file;

	assert_false(IS_ERR(inode));
	file = file_alloc(inode, mode, path);
	assert_false(IS_ERR(file));
	return file;
}

/* ---- Invariants ---------------------------------------------------------------------------- */

static inline bool in_i_mmap(struct vm_area_struct *vma)
{
	struct rb_root_cached *root = &vma->vm_file->f_inode->i_data.i_mmap;
	pgoff_t first = vma->vm_pgoff, last = first + vma_pages(vma) - 1;
	struct interval_tree_node *n;

	for (n = interval_tree_iter_first(root, first, last); n;
	     n = interval_tree_iter_next(n, first, last))
		if (n == &vma->shared)
			return n->start == first && n->last == last;
	return false;
}

/* No VMA below maps the same file. */
static inline bool first_of_file(struct mm_struct *mm, const struct vm_area_struct *vma)
{
	struct vm_area_struct *other;

	for_each_vma(mm, other)
	{
		if (other == vma)
			return true;
		if (other->vm_file && other->vm_file->f_inode == vma->vm_file->f_inode)
			return false;
	}
	return true;
}

/* VMAs disjoint and indexed, counts exact. The commit of this mm, in pages. */
static inline unsigned long assert_mm_sound(struct mm_struct *mm)
{
	unsigned long total = 0, locked = 0, data = 0, exec = 0, stack = 0, account = 0, end = 0;
	struct vm_area_struct *vma;
	const char *wrong = rt_check(&mm->mm_rt);
	int count = 0;

	if (wrong)
		fail_msg("range tree: %s", wrong);
	for_each_vma(mm, vma)
	{
		unsigned long pages = vma_pages(vma);

		assert_ptr_equal(vma->vm_mm, mm);
		assert_true(vma->vm_start >= end && vma->vm_start < vma->vm_end);
		assert_true(PAGE_ALIGNED(vma->vm_start) && PAGE_ALIGNED(vma->vm_end));
		assert_ptr_equal(vma_lookup(mm, vma->vm_start), vma);
		assert_ptr_equal(vma_lookup(mm, vma->vm_end - 1), vma);
		end = vma->vm_end;
		count++;
		total += pages;
		if (vma->vm_flags & VM_LOCKED)
			locked += pages;
		if (vma->vm_flags & VM_ACCOUNT)
			account += pages;
		if ((vma->vm_flags & (VM_EXEC | VM_WRITE | VM_STACK)) == VM_EXEC)
			exec += pages;
		else if (vma->vm_flags & VM_STACK)
			stack += pages;
		else if ((vma->vm_flags & (VM_WRITE | VM_SHARED)) == VM_WRITE)
			data += pages;
		if (vma->vm_file) {
			assert_true(in_i_mmap(vma));
			if (first_of_file(mm, vma))
				account += vma->vm_file->f_inode->i_committed;
		}
	}
	assert_int_equal(mm->map_count, count);
	assert_int_equal(mm->total_vm, total);
	assert_int_equal(mm->locked_vm, locked);
	assert_int_equal(mm->data_vm, data);
	assert_int_equal(mm->exec_vm, exec);
	assert_int_equal(mm->stack_vm, stack);
	return account;
}

/* The VMAs in BASE's neighbourhood as text: "0-2:rw 4-5:r". A page in front of each as number. */
static inline const char *layout(struct mm_struct *mm)
{
	static char text[4096];
	struct vm_area_struct *vma;
	size_t n = 0;

	text[0] = 0;
	for_each_vma(mm, vma) n += (size_t)snprintf(
		text + n, sizeof(text) - n, "%s%ld-%ld:%s%s%s", n ? " " : "",
		(long)(vma->vm_start - BASE) / (long)PAGE_SIZE,
		(long)(vma->vm_end - BASE) / (long)PAGE_SIZE, vma->vm_flags & VM_READ ? "r" : "",
		vma->vm_flags & VM_WRITE ? "w" : "", vma->vm_flags & VM_EXEC ? "x" : "");
	return text;
}

#define assert_layout(mm, text)                        \
	do {                                           \
		assert_mm_sound(mm);                   \
		assert_string_equal(layout(mm), text); \
	} while (0)

/* ---- What must come back ------------------------------------------------------------------- */

struct counters {
	unsigned long state[NR_VM_NODE_STAT_ITEMS];
	unsigned long objects, free;
	long committed;
};

static inline struct counters counters_now(void)
{
	struct counters c = { .objects = kmem_cache_shrink_all() };

	drain_all_pages();
	for (unsigned int i = 0; i < NR_VM_NODE_STAT_ITEMS; i++)
		if (i != NR_DIRTIED && i != NR_WRITTEN &&
		    (i < WORKINGSET_REFAULT_ANON || i > WORKINGSET_RESTORE_FILE))
			c.state[i] = node_page_state((enum node_stat_item)i);
	c.free = nr_free_pages();
	c.committed = atomic_long_read(&vm_committed_as);
	return c;
}

static inline void assert_counters(const struct counters *before)
{
	struct counters now = counters_now();

	for (unsigned int i = 0; i < NR_VM_NODE_STAT_ITEMS; i++)
		if (now.state[i] != before->state[i])
			fail_msg("node state %u: %lu, was %lu", i, now.state[i], before->state[i]);
	assert_int_equal(now.committed, before->committed);
	assert_int_equal(now.objects, before->objects);
	assert_int_equal(now.free, before->free);
}

static inline int mm_fixture_boot(void **state)
{
	(void)state;
	return soft_init(64 << 20, 1);
}

static inline int mm_fixture_shutdown(void **state)
{
	(void)state;
	soft_exit();
	return 0;
}

#endif
