/* SPDX-License-Identifier: MIT */
/* extable.h - where the kernel goes on after a fault of its own at a user's address. */
#ifndef QUIRE_EXTABLE_H
#define QUIRE_EXTABLE_H

#include <quire/types.h>

struct exception_table_entry {
	s32 insn, fixup; /* distances from the fields themselves */
};

/* For inline assembly: a fault at the label `from` goes on at `to`. */
#define _ASM_EXTABLE(from, to)             \
	".pushsection __ex_table, \"a\"\n" \
	".balign 4\n"                      \
	".long " #from " - .\n"            \
	".long " #to " - .\n"              \
	".popsection\n"

/* The address to go on at after a fault at ip, or 0: the instruction must not fault. The table is sorted. */
unsigned long search_extable(const struct exception_table_entry *base, size_t num,
			     unsigned long ip);
bool extable_is_sorted(const struct exception_table_entry *base, size_t num);

#endif
