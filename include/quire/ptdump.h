/* SPDX-License-Identifier: MIT */
/*
 * ptdump.h - page tables to look at: what stands in the tables of an address space, level by level.
 *
 * A caller puts a struct ptdump_state into one of its own and gives it note_page():
 *
 *   struct printer { struct ptdump_state ptdump; FILE *out; };
 *
 *   static void note(struct ptdump_state *st, const struct ptdump_entry *e)
 *   {
 *   	struct printer *p = container_of(st, struct printer, ptdump);
 *   	fprintf(p->out, "%*s%s[%03x] %lx\n", 2 * (4 - e->level), "", ptdump_level_name(e->level), ...);
 *   }
 */
#ifndef QUIRE_PTDUMP_H
#define QUIRE_PTDUMP_H

#include <quire/mm.h>

/* As the processor counts them. */
enum ptdump_level {
	PTDUMP_PTE = 1,
	PTDUMP_PMD,
	PTDUMP_PUD,
	PTDUMP_PGD,
};

/*
 * An entry that is not empty; of pages, several in a row that differ in nothing but that frames (or slots
 * of swap) follow one another.
 */
struct ptdump_entry {
	enum ptdump_level level; /* of the table that it stands in */
	unsigned int index; /* in that table, 0 ... 511 */
	unsigned int nr; /* entries; 1 but for PTDUMP_PTE */
	unsigned long addr; /* first one that it translates */
	unsigned long table; /* physical address of the table */
	u64 val; /* of the first */
};

struct ptdump_state {
	/* For each entry from lower to higher addresses, one of a table before those in the table. May sleep. */
	void (*note_page)(struct ptdump_state *st, const struct ptdump_entry *e);
};

/*
 * Goes through the tables of [start, end), page aligned. Takes mmap_lock for reading over it all; what is in the
 * tables may change meanwhile, tables do not go away. May sleep.
 */
void ptdump_walk_mm(struct ptdump_state *st, struct mm_struct *mm, unsigned long start,
		    unsigned long end);
/* "pte", "pmd", "pud", "pgd". */
const char *ptdump_level_name(enum ptdump_level level);

#endif
