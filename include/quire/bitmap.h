/* SPDX-License-Identifier: MIT */
/*
 * Arrays of bits: searches and runs. Bit nr is bit nr % 64 of word nr / 64. The
 * searches return `size` when they find nothing. What lies past `size` in the
 * last word is never looked at. Nothing here is atomic; the caller locks.
 */
#ifndef QUIRE_BITMAP_H
#define QUIRE_BITMAP_H

#include <quire/kernel.h>

/* The first set or clear bit at or after `from`. */
unsigned long find_next_bit(const unsigned long *map, unsigned long size, unsigned long from);
unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size, unsigned long from);

static inline unsigned long find_first_bit(const unsigned long *map, unsigned long size)
{
	return find_next_bit(map, size, 0);
}

static inline unsigned long find_first_zero_bit(const unsigned long *map, unsigned long size)
{
	return find_next_zero_bit(map, size, 0);
}

/* The last set bit. */
unsigned long find_last_bit(const unsigned long *map, unsigned long size);

/* Runs of n bits from `start`. */
void bitmap_set(unsigned long *map, unsigned long start, unsigned long n);
void bitmap_clear(unsigned long *map, unsigned long start, unsigned long n);

/*
 * The first run of n clear bits that starts at or after `from`, at a multiple of
 * align_mask + 1 (a power of two). A value above `size` when there is none.
 */
unsigned long bitmap_find_next_zero_area(const unsigned long *map, unsigned long size,
					 unsigned long from, unsigned long n,
					 unsigned long align_mask);

/* Number of set bits below `size`. */
unsigned long bitmap_weight(const unsigned long *map, unsigned long size);

static inline void bitmap_zero(unsigned long *map, unsigned long size)
{
	for (unsigned long i = 0; i < BITS_TO_LONGS(size); i++)
		map[i] = 0;
}

static inline void bitmap_fill(unsigned long *map, unsigned long size)
{
	bitmap_zero(map, size);
	bitmap_set(map, 0, size);
}

static inline bool bitmap_empty(const unsigned long *map, unsigned long size)
{
	return find_first_bit(map, size) == size;
}

static inline bool bitmap_full(const unsigned long *map, unsigned long size)
{
	return find_first_zero_bit(map, size) == size;
}

#define for_each_set_bit(bit, map, size)                        \
	for ((bit) = find_first_bit(map, size); (bit) < (size); \
	     (bit) = find_next_bit(map, size, (bit) + 1))
#define for_each_clear_bit(bit, map, size)                           \
	for ((bit) = find_first_zero_bit(map, size); (bit) < (size); \
	     (bit) = find_next_zero_bit(map, size, (bit) + 1))

#endif
