/* SPDX-License-Identifier: MIT */
/*
 * paging.c - page replacement as textbooks have it: the page not used for longest (LRU), the first one that the
 * hand finds unreferenced (CLOCK), and the one whose next use is farthest away (OPT).
 */
#include "paging.h"

#include <stdbool.h>
#include <stdlib.h>

#define NONE UINT32_MAX
#define NEVER UINT64_MAX

/* ---- LRU: a list of pages by their last use; index nr_pages is its head -------------------- */

struct lru {
	uint32_t *next, *prev;
};

static void lru_unlink(struct lru *l, uint32_t page)
{
	l->next[l->prev[page]] = l->next[page];
	l->prev[l->next[page]] = l->prev[page];
}

static void lru_push(struct lru *l, uint32_t head, uint32_t page)
{
	l->next[page] = l->next[head];
	l->prev[page] = head;
	l->prev[l->next[head]] = page;
	l->next[head] = page;
}

uint64_t paging_lru(const struct reference_string *s, uint32_t frames)
{
	const uint32_t head = s->nr_pages;
	struct lru l = { malloc((head + 1ul) * sizeof(uint32_t)),
			 malloc((head + 1ul) * sizeof(uint32_t)) };
	bool *in = calloc(head + 1ul, 2 * sizeof(bool)), *seen = in + head + 1;
	uint64_t misses = l.next && l.prev && in ? 0 : NEVER;
	uint32_t used = 0;

	for (size_t i = 0; misses != NEVER && i < s->nr; i++) {
		uint32_t page = s->page[i];

		if (!i)
			l.next[head] = l.prev[head] = head;
		if (in[page]) {
			lru_unlink(&l, page);
		} else {
			misses += seen[page];
			seen[page] = in[page] = true;
			if (used == frames) {
				uint32_t victim = l.prev[head];

				lru_unlink(&l, victim);
				in[victim] = false;
			} else {
				used++;
			}
		}
		lru_push(&l, head, page);
	}
	free(l.next);
	free(l.prev);
	free(in);
	return misses;
}

/* ---- CLOCK ---------------------------------------------------------------------------------- */

uint64_t paging_clock(const struct reference_string *s, uint32_t frames)
{
	uint32_t *frame = malloc(frames * sizeof(*frame)),
		 *where = malloc((s->nr_pages + 1ul) * sizeof(*where));
	bool *referenced = calloc(frames, sizeof(bool)),
	     *seen = calloc(s->nr_pages + 1ul, sizeof(bool));
	uint64_t misses = frame && where && referenced && seen ? 0 : NEVER;
	uint32_t used = 0, hand = 0;

	for (uint32_t p = 0; misses != NEVER && p < s->nr_pages; p++)
		where[p] = NONE;
	for (size_t i = 0; misses != NEVER && i < s->nr; i++) {
		uint32_t page = s->page[i];

		if (where[page] == NONE) {
			misses += seen[page];
			seen[page] = true;
			if (used < frames) {
				hand = used++;
			} else {
				while (referenced[hand]) {
					referenced[hand] = false;
					hand = (hand + 1) % frames;
				}
				where[frame[hand]] = NONE;
			}
			frame[hand] = page;
			where[page] = hand;
			referenced[hand] = true;
			hand = (hand + 1) % frames;
		}
		referenced[where[page]] = true;
	}
	free(frame);
	free(where);
	free(referenced);
	free(seen);
	return misses;
}

/* ---- OPT: a heap of what is in, the farthest next use on top --------------------------------- */

struct opt_heap {
	struct opt_entry {
		uint64_t next; /* index of the next use, NEVER: none */
		uint32_t page;
	} * entry;
	size_t n;
};

static void heap_push(struct opt_heap *h, uint64_t next, uint32_t page)
{
	size_t i = h->n++;

	for (; i && h->entry[(i - 1) / 2].next < next; i = (i - 1) / 2)
		h->entry[i] = h->entry[(i - 1) / 2];
	h->entry[i] = (struct opt_entry){ next, page };
}

static struct opt_entry heap_pop(struct opt_heap *h)
{
	struct opt_entry top = h->entry[0], last = h->entry[--h->n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < h->n) {
		if (child + 1 < h->n && h->entry[child + 1].next > h->entry[child].next)
			child++;
		if (h->entry[child].next <= last.next)
			break;
		h->entry[i] = h->entry[child];
		i = child;
	}
	h->entry[i] = last;
	return top;
}

/* next[i]: when the page of reference i is used again. last: scratch, one for each page. */
static void find_next_uses(const struct reference_string *s, uint64_t *next, uint64_t *last)
{
	for (uint32_t p = 0; p < s->nr_pages; p++)
		last[p] = NEVER;
	for (size_t i = s->nr; i-- > 0;) {
		next[i] = last[s->page[i]];
		last[s->page[i]] = i;
	}
}

uint64_t paging_opt(const struct reference_string *s, uint32_t frames)
{
	uint64_t *next = malloc((s->nr + 1) * sizeof(*next));
	uint64_t *due = malloc((s->nr_pages + 1ul) * sizeof(*due)); /* of pages that are in */
	bool *in = calloc(s->nr_pages + 1ul, 2 * sizeof(bool)), *seen = in + s->nr_pages + 1;
	struct opt_heap heap = { malloc((s->nr + 1) * sizeof(*heap.entry)), 0 };
	uint64_t misses = next && due && in && heap.entry ? 0 : NEVER;
	uint32_t used = 0;

	if (misses != NEVER)
		find_next_uses(s, next, due);
	for (size_t i = 0; misses != NEVER && i < s->nr; i++) {
		uint32_t page = s->page[i];

		if (!in[page]) {
			misses += seen[page];
			seen[page] = in[page] = true;
			if (used < frames) {
				used++;
			} else {
				struct opt_entry e;

				/* Entries of an earlier use, or of a page that is out, are stale. */
				do
					e = heap_pop(&heap);
				while (!in[e.page] || due[e.page] != e.next || e.page == page);
				in[e.page] = false;
			}
		}
		due[page] = next[i];
		heap_push(&heap, next[i], page);
	}
	free(next);
	free(due);
	free(in);
	free(heap.entry);
	return misses;
}
