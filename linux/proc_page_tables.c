/* SPDX-License-Identifier: MIT */
/*
 * /proc/<pid>/page_tables and quire run --dump-page-tables: the page tables of a process, level by level.
 *
 *   pgd[0aa] 0x0000550000000000 pud 0x2fd3000
 *     pud[157] 0x000055d5c0000000 pmd 0x2fd4000
 *       pmd[0b1] 0x000055d5d6200000 pte 0x2fd5000
 *         pte[0c4-0c7] 0x000055d5d62c4000 frame 0x1d44-0x1d47 USR ro NX A
 *
 * An entry's index in its table, the first address that it translates, and where it leads: to the physical address of
 * a table, frames, or slots of swap. Attributes as in Linux's dumps of kernel page tables; A and D are the
 * accessed and the dirty bit.
 */
#include "proc.h"

#include <quire/ptdump.h>
#include <quire/swap.h>

struct page_tables_writer {
	struct ptdump_state ptdump;
	struct seq_file *m;
	void (*flush)(struct seq_file *m);
};

static void show_index(struct seq_file *m, const struct ptdump_entry *e)
{
	seq_printf(m, "%*s%s[%03x", 2 * (PTDUMP_PGD - (int)e->level), "",
		   ptdump_level_name(e->level), e->index);
	if (e->nr > 1)
		seq_printf(m, "-%03x", e->index + e->nr - 1);
	seq_printf(m, "] 0x%016lx ", e->addr);
}

static void show_range(struct seq_file *m, unsigned long first, unsigned int nr)
{
	seq_printf(m, "0x%lx", first);
	if (nr > 1)
		seq_printf(m, "-0x%lx", first + nr - 1);
}

static void show_attributes(struct seq_file *m, u64 val)
{
	const struct {
		u64 bit;
		const char *set, *clear;
	} bits[] = {
		{ _PAGE_USER, " USR", "" }, { _PAGE_RW, " RW", " ro" },
		{ _PAGE_PWT, " PWT", "" },  { _PAGE_PCD, " PCD", "" },
		{ _PAGE_NX, " NX", " x" },  { _PAGE_ACCESSED, " A", "" },
		{ _PAGE_DIRTY, " D", "" },
	};

	if (!(val & _PAGE_PRESENT)) {
		seq_puts(m, " PROTNONE");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		seq_puts(m, val & bits[i].bit ? bits[i].set : bits[i].clear);
}

static void show_page(struct seq_file *m, const struct ptdump_entry *e)
{
	pte_t pte = __pte(e->val);

	if (is_swap_pte(pte)) {
		swp_entry_t entry = pte_to_swp_entry(pte);

		seq_printf(m, "swap %u:", swp_type(entry));
		show_range(m, swp_offset(entry), e->nr);
		return;
	}
	seq_puts(m, is_zero_pfn(pte_pfn(pte)) ? "zero " : "frame ");
	show_range(m, pte_pfn(pte), e->nr);
	show_attributes(m, e->val);
}

static void note_page(struct ptdump_state *st, const struct ptdump_entry *e)
{
	struct page_tables_writer *w = container_of(st, struct page_tables_writer, ptdump);

	show_index(w->m, e);
	if (e->level == PTDUMP_PTE)
		show_page(w->m, e);
	else
		seq_printf(w->m, "%s 0x%lx", ptdump_level_name(e->level - 1),
			   (unsigned long)(e->val & PTE_PFN_MASK));
	seq_puts(w->m, "\n");
	if (w->flush && w->m->count > PAGE_SIZE - 256)
		w->flush(w->m);
}

static void show_page_tables(struct seq_file *m, struct mm_struct *mm,
			     void (*flush)(struct seq_file *m))
{
	struct page_tables_writer w = { { note_page }, m, flush };

	seq_printf(m, "cr3 0x%lx, %lu kB of tables below it\n", __pa((unsigned long)mm->pgd),
		   (unsigned long)atomic_long_read(&mm->pgtables_bytes) >> 10);
	ptdump_walk_mm(&w.ptdump, mm, 0, TASK_SIZE_MAX);
}

void pid_page_tables_show(struct seq_file *m, struct proc_task *t)
{
	if (t->mm)
		show_page_tables(m, t->mm, NULL);
}

/* ---- In pieces ------------------------------------------------------------------------------- */

struct dump {
	struct seq_file m;
	void (*write)(const char *text, size_t len);
};

static void flush_dump(struct seq_file *m)
{
	struct dump *d = container_of(m, struct dump, m);

	d->write(m->buf, m->count);
	m->count = 0;
}

int dump_page_tables(struct task_struct *task, struct mm_struct *mm, const char *when,
		     void (*write)(const char *text, size_t len))
{
	struct dump d = { .write = write };

	seq_printf(&d.m, "page tables of %d (", task->tgid);
	seq_escape(&d.m, task->comm, "\n\\");
	seq_printf(&d.m, ") before %s: ", when);
	show_page_tables(&d.m, mm, flush_dump);
	seq_puts(&d.m, "\n");
	if (!d.m.failed)
		flush_dump(&d.m);
	seq_release(&d.m);
	return d.m.failed ? -ENOMEM : 0;
}
