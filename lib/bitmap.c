/* SPDX-License-Identifier: MIT */
/*
 * Searches and runs in arrays of bits, a word at a time. A search for clear bits
 * is a search for set bits in the inverted words. The caller locks.
 */
#include <quire/bitmap.h>

static __always_inline unsigned long find_next(const unsigned long *map, unsigned long size,
					       unsigned long from, unsigned long invert)
{
	unsigned long i = BIT_WORD(from);
	unsigned long word;

	if (from >= size)
		return size;
	word = (map[i] ^ invert) & (~0UL << (from % BITS_PER_LONG));
	while (!word) {
		if (++i >= BITS_TO_LONGS(size))
			return size;
		word = map[i] ^ invert;
	}
	return min(i * BITS_PER_LONG + __ffs(word), size);
}

unsigned long find_next_bit(const unsigned long *map, unsigned long size, unsigned long from)
{
	return find_next(map, size, from, 0);
}

unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size, unsigned long from)
{
	return find_next(map, size, from, ~0UL);
}

/* The bits of the last word that lie below size; size is not 0. */
static inline unsigned long last_word_mask(unsigned long size)
{
	return ~0UL >> (-size % BITS_PER_LONG);
}

unsigned long find_last_bit(const unsigned long *map, unsigned long size)
{
	unsigned long mask;

	if (!size)
		return size;
	mask = last_word_mask(size);
	for (unsigned long i = BITS_TO_LONGS(size); i-- > 0; mask = ~0UL) {
		if (map[i] & mask)
			return i * BITS_PER_LONG + __fls(map[i] & mask);
	}
	return size;
}

static __always_inline void write_run(unsigned long *map, unsigned long start, unsigned long n,
				      bool set)
{
	unsigned long end = start + n;

	while (start < end) {
		unsigned long bit = start % BITS_PER_LONG;
		unsigned long len = min(end - start, BITS_PER_LONG - bit);
		unsigned long mask = (~0UL >> (BITS_PER_LONG - len)) << bit;

		if (set)
			map[BIT_WORD(start)] |= mask;
		else
			map[BIT_WORD(start)] &= ~mask;
		start += len;
	}
}

void bitmap_set(unsigned long *map, unsigned long start, unsigned long n)
{
	write_run(map, start, n, true);
}

void bitmap_clear(unsigned long *map, unsigned long start, unsigned long n)
{
	write_run(map, start, n, false);
}

unsigned long bitmap_find_next_zero_area(const unsigned long *map, unsigned long size,
					 unsigned long from, unsigned long n,
					 unsigned long align_mask)
{
	for (;;) {
		unsigned long start, taken;

		start = find_next_zero_bit(map, size, from);
		start = (start + align_mask) & ~align_mask;
		if (start > size || n > size - start)
			return size + 1;
		taken = find_next_bit(map, start + n, start);
		if (taken == start + n)
			return start;
		from = taken + 1;
	}
}

unsigned long bitmap_weight(const unsigned long *map, unsigned long size)
{
	unsigned long weight = 0;

	for (unsigned long i = 0; i < BIT_WORD(size); i++)
		weight += hweight_long(map[i]);
	if (size % BITS_PER_LONG)
		weight += hweight_long(map[BIT_WORD(size)] & last_word_mask(size));
	return weight;
}
