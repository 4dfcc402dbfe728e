/* SPDX-License-Identifier: MIT */
/*
 * /proc/<pid>/numa_maps: for each VMA its policy and what it is made of, in pages.
 *
 *   start policy [file=name|heap|stack] [anon=n] [dirty=n] [mapped=n] [mapmax=n] ... N0=n ...
 */
#include "proc.h"

#include <quire/mempolicy.h>
#include <quire/string.h>

#define MAX_NODES 64 /* a policy's masks have no more */

struct numa_stats {
	unsigned long pages, anon, active, writeback, dirty, swapcache;
	unsigned long node[MAX_NODES];
	int mapcount_max;
};

static void show_nodes(struct seq_file *m, u64 nodes)
{
	char before = ':';

	for (unsigned int first = 0; first < MAX_NODES; first++) {
		unsigned int last = first;

		if (!(nodes >> first & 1))
			continue;
		while (last + 1 < MAX_NODES && nodes >> (last + 1) & 1)
			last++;
		seq_printf(m, "%c%u", before, first);
		if (last > first)
			seq_printf(m, "-%u", last);
		before = ',';
		first = last;
	}
}

static void show_policy(struct seq_file *m, const struct mempolicy *pol)
{
	static const char *const names[MPOL_MAX] = {
		"default",
		"prefer",
		"bind",
		"interleave",
		"local",
		"prefer (many)",
		"weighted interleave",
	};

	seq_puts(m, names[pol->mode]);
	if (pol->flags & MPOL_F_STATIC_NODES)
		seq_puts(m, "=static");
	else if (pol->flags & MPOL_F_RELATIVE_NODES)
		seq_puts(m, "=relative");
	if (pol->mode != MPOL_DEFAULT && pol->mode != MPOL_LOCAL)
		show_nodes(m, pol->nodes);
}

static void gather_pte(struct numa_stats *md, pte_t pte)
{
	struct page *page = pfn_to_page(pte_pfn(pte));
	int mapcount = page_mapcount(page);

	md->pages++;
	md->anon += PageAnon(page);
	md->dirty += pte_dirty(pte) || PageDirty(page);
	md->writeback += PageWriteback(page);
	md->swapcache += PageSwapCache(page);
	md->active += PageActive(page);
	md->mapcount_max = max(md->mapcount_max, mapcount);
	md->node[(page->flags >> PAGE_NODE_SHIFT) % MAX_NODES]++;
}

static void gather_stats(struct numa_stats *md, struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned long addr = vma->vm_start;
	pte_t *ptep;

	if (vma->vm_flags & (VM_PFNMAP | VM_IO))
		return;
	spin_lock(&mm->page_table_lock);
	while ((ptep = pte_next(mm, &addr, vma->vm_end))) {
		unsigned long end = min((addr & PMD_MASK) + PMD_SIZE, vma->vm_end);

		for (; addr < end; addr += PAGE_SIZE, ptep++) {
			pte_t pte = ptep_get(ptep);

			if (pte_present(pte) && !pte_special(pte) && pfn_valid(pte_pfn(pte)))
				gather_pte(md, pte);
		}
	}
	spin_unlock(&mm->page_table_lock);
}

static void show_stats(struct seq_file *m, const struct numa_stats *md)
{
	if (md->anon)
		seq_printf(m, " anon=%lu", md->anon);
	if (md->dirty)
		seq_printf(m, " dirty=%lu", md->dirty);
	if (md->pages != md->anon && md->pages != md->dirty)
		seq_printf(m, " mapped=%lu", md->pages);
	if (md->mapcount_max > 1)
		seq_printf(m, " mapmax=%d", md->mapcount_max);
	if (md->swapcache)
		seq_printf(m, " swapcache=%lu", md->swapcache);
	if (md->active < md->pages)
		seq_printf(m, " active=%lu", md->active);
	if (md->writeback)
		seq_printf(m, " writeback=%lu", md->writeback);
	for (int nid = 0; nid < MAX_NODES; nid++)
		if (md->node[nid])
			seq_printf(m, " N%d=%lu", nid, md->node[nid]);
	seq_printf(m, " kernelpagesize_kB=%lu", PAGE_SIZE >> 10);
}

static void show_numa_vma(struct seq_file *m, const struct proc_task *t, struct vm_area_struct *vma)
{
	struct numa_stats md = { 0 };

	seq_printf(m, "%08lx ", vma->vm_start);
	show_policy(m, vma->vm_policy ?: &t->mempolicy);
	if (vma->vm_file) {
		seq_puts(m, " file=");
		seq_escape(m, vma->vm_file->f_path, "\n\t= ");
	} else if (vma_is_initial_heap(vma)) {
		seq_puts(m, " heap");
	} else if (vma_is_initial_stack(vma)) {
		seq_puts(m, " stack");
	}
	gather_stats(&md, vma);
	if (md.pages)
		show_stats(m, &md);
	seq_puts(m, "\n");
}

void pid_numa_maps_show(struct seq_file *m, struct proc_task *t)
{
	struct vm_area_struct *vma;

	if (!t->mm)
		return;
	down_read(&t->mm->mmap_lock);
	for_each_vma(t->mm, vma) show_numa_vma(m, t, vma);
	up_read(&t->mm->mmap_lock);
}
