/* SPDX-License-Identifier: MIT */
/*
 * swap_fixture.h - swap areas on in-memory devices, and programs that write, page out and look.
 */
#ifndef QUIRE_TEST_SWAP_FIXTURE_H
#define QUIRE_TEST_SWAP_FIXTURE_H

#include <quire/swap.h>

#include "cache_fixture.h"

#define BASE 0x40000000UL
#define AT(p) (BASE + (p)*PAGE_SIZE)

/* As mkswap leaves the first page. */
static inline void write_header(u64 dev, u32 last_page, const u32 *bad, u32 nr_bad)
{
	u8 *h = soft_blk_data(dev);
	u32 version = 1;

	memset(h, 0, PAGE_SIZE);
	memcpy(h + 1024, &version, 4);
	memcpy(h + 1028, &last_page, 4);
	memcpy(h + 1032, &nr_bad, 4);
	if (nr_bad)
		memcpy(h + 1536, bad, nr_bad * 4);
	memcpy(h + PAGE_SIZE - 10, "SWAPSPACE2", 10);
}

/* A device with so many usable slots. */
static inline u64 swap_device(u32 slots)
{
	u64 dev = soft_blk_create((slots + 1ul) * PAGE_SIZE);

	assert_int_not_equal(dev, 0);
	write_header(dev, slots, NULL, 0);
	return dev;
}

static inline u64 swap_on(u32 slots, int prio)
{
	u64 dev = swap_device(slots);

	assert_int_equal(do_swapon(dev, (slots + 1ul) * PAGE_SIZE, "/dev/swap",
				   prio < 0 ? 0 : SWAP_FLAG_PREFER | prio),
			 0);
	return dev;
}

static inline unsigned long swap_inuse(void)
{
	return total_swap_pages - (unsigned long)get_nr_swap_pages();
}

static inline struct mm_struct *program(unsigned long pages, unsigned long flags)
{
	struct mm_struct *mm = mm_alloc();

	assert_non_null(mm);
	assert_int_equal(do_mmap(mm, NULL, BASE, pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 flags | MAP_ANONYMOUS | MAP_FIXED, 0, NULL),
			 BASE);
	return mm;
}

static inline struct mm_struct *fork_program(struct mm_struct *mm)
{
	struct mm_struct *child = dup_mm(mm);

	up_write(&mm->mmap_lock);
	assert_false(IS_ERR(child));
	return child;
}

/* The page's contents, all over: a word at either end. */
static inline void put_word(struct mm_struct *mm, unsigned long page, u64 word)
{
	assert_int_equal(soft_store(mm, AT(page), &word, 8).signo, 0);
	assert_int_equal(soft_store(mm, AT(page) + PAGE_SIZE - 8, &word, 8).signo, 0);
}

static inline void expect_word(struct mm_struct *mm, unsigned long page, u64 word)
{
	u64 got[2] = { 0 };

	assert_int_equal(soft_load(mm, AT(page), &got[0], 8).signo, 0);
	assert_int_equal(soft_load(mm, AT(page) + PAGE_SIZE - 8, &got[1], 8).signo, 0);
	assert_int_equal(got[0], word);
	assert_int_equal(got[1], word);
}

static inline void put_words(struct mm_struct *mm, unsigned long pages, u64 first)
{
	for (unsigned long p = 0; p < pages; p++)
		put_word(mm, p, first + p);
}

static inline void expect_words(struct mm_struct *mm, unsigned long pages, u64 first)
{
	for (unsigned long p = 0; p < pages; p++)
		expect_word(mm, p, first + p);
}

static inline void page_out(struct mm_struct *mm, unsigned long first, unsigned long pages)
{
	assert_int_equal(do_madvise(mm, AT(first), pages * PAGE_SIZE, MADV_PAGEOUT), 0);
}

#endif
