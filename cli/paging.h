/* SPDX-License-Identifier: MIT */
/* paging.h - classical page replacement on a reference string, to compare with. */
#ifndef QUIRE_PAGING_H
#define QUIRE_PAGING_H

#include <stddef.h>
#include <stdint.h>

struct reference_string {
	uint32_t *page; /* numbers below nr_pages, in the order of use */
	size_t nr;
	uint32_t nr_pages;
};

/*
 * How often a page has to be brought in that was in before, with so many frames (at least 1).
 * UINT64_MAX: no memory.
 */
uint64_t paging_lru(const struct reference_string *s, uint32_t frames);
uint64_t paging_clock(const struct reference_string *s, uint32_t frames);
/* The least that is possible: L. A. Belady, A study of replacement algorithms, IBM Systems Journal 5, 1966. */
uint64_t paging_opt(const struct reference_string *s, uint32_t frames);

#endif
