/* SPDX-License-Identifier: MIT */
/*
 * The exception table: instructions of the kernel's that may fault at a user's address, and where to go on
 * then. An entry holds both as distances from itself, so that the table is good wherever it lies.
 */
#include <quire/extable.h>
#include <quire/kernel.h>

static unsigned long ex_insn(const struct exception_table_entry *e)
{
	return (unsigned long)&e->insn + (unsigned long)(long)e->insn;
}

bool extable_is_sorted(const struct exception_table_entry *base, size_t num)
{
	for (size_t i = 1; i < num; i++)
		if (ex_insn(base + i - 1) >= ex_insn(base + i))
			return false;
	return true;
}

unsigned long search_extable(const struct exception_table_entry *base, size_t num, unsigned long ip)
{
	size_t lo = 0, hi = num;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (ex_insn(base + mid) == ip)
			return (unsigned long)&base[mid].fixup +
			       (unsigned long)(long)base[mid].fixup;
		if (ex_insn(base + mid) < ip)
			lo = mid + 1;
		else
			hi = mid;
	}
	return 0;
}
