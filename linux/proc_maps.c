/* SPDX-License-Identifier: MIT */
/*
 * /proc/<pid>/maps, smaps, smaps_rollup and pagemap: the VMAs, and the pages behind them.
 *
 *   start-end perms offset major:minor inode                        name
 *
 * mmap_lock is held for reading over a whole text, so it is of one moment. The pages of a VMA are
 * counted under page_table_lock, one table of 512 entries at a time.
 */
#include "proc.h"

#include <quire/pagemap.h>
#include <quire/string.h>
#include <quire/swap.h>

#define NAME_COLUMN 73
#define PSS_SHIFT 12

/* Bytes, by VMA or over several. pss with PSS_SHIFT more bits: pages are shared by odd numbers. */
struct mem_size_stats {
	unsigned long resident, referenced, anonymous;
	unsigned long shared_clean, shared_dirty, private_clean, private_dirty;
	unsigned long vmas, vma_size, swap;
	u64 swap_pss;
	u64 pss, pss_anon, pss_file, pss_shmem, pss_locked, pss_dirty;
};

/* ---- Names ------------------------------------------------------------------------------------ */

static bool is_shmem(const struct vm_area_struct *vma)
{
	return vma->vm_file && vma->vm_file->f_inode->i_kind == INODE_SHMEM;
}

static const char *vma_name(struct vm_area_struct *vma)
{
	if (vma->vm_file)
		return vma->vm_file->f_path;
	if (vma->vm_ops && vma->vm_ops->name)
		return vma->vm_ops->name(vma);
	if (vma_is_initial_heap(vma))
		return "[heap]";
	if (vma_is_initial_stack(vma))
		return "[stack]";
	return NULL;
}

/* The halves of a dev_t as stat() gives it. */
static unsigned int dev_major(u64 dev)
{
	return (dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffu);
}

static unsigned int dev_minor(u64 dev)
{
	return (dev & 0xff) | (dev >> 12 & ~0xffu);
}

static void show_map_line(struct seq_file *m, unsigned long start, unsigned long end,
			  vm_flags_t flags, u64 offset, u64 dev, u64 ino, const char *name)
{
	size_t line = m->count;

	seq_printf(m, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu ", start, end,
		   flags & VM_READ ? 'r' : '-', flags & VM_WRITE ? 'w' : '-',
		   flags & VM_EXEC ? 'x' : '-', flags & VM_MAYSHARE ? 's' : 'p',
		   (unsigned long)offset, dev_major(dev), dev_minor(dev), (unsigned long)ino);
	if (name) {
		seq_pad(m, line, NAME_COLUMN - 1);
		seq_puts(m, " ");
		seq_escape(m, name, "\n");
	}
	seq_puts(m, "\n");
}

static void show_vma(struct seq_file *m, struct vm_area_struct *vma)
{
	const struct inode *inode = vma->vm_file ? vma->vm_file->f_inode : NULL;

	show_map_line(m, vma->vm_start, vma->vm_end, vma->vm_flags,
		      inode ? (u64)vma->vm_pgoff << PAGE_SHIFT : 0, inode ? inode->i_dev : 0,
		      inode ? inode->i_ino : 0, vma_name(vma));
}

/* The page of legacy time calls belongs to the host kernel, and every process has it. */
static bool find_vsyscall(struct host_text host, struct text_line *line)
{
	while (next_line(&host.text, &host.len, line)) {
		if (line_starts(line, "ffffffffff600000-"))
			return true;
	}
	return false;
}

void pid_maps_show(struct seq_file *m, struct proc_task *t, struct host_text host)
{
	struct vm_area_struct *vma;
	struct text_line line;

	if (!t->mm)
		return;
	down_read(&t->mm->mmap_lock);
	for_each_vma(t->mm, vma) show_vma(m, vma);
	up_read(&t->mm->mmap_lock);
	if (find_vsyscall(host, &line)) {
		seq_write(m, line.line, line.len);
		seq_puts(m, "\n");
	}
}

/* ---- Pages ------------------------------------------------------------------------------------ */

static void smaps_pte(struct mem_size_stats *mss, const struct vm_area_struct *vma, pte_t pte)
{
	struct page *page = pfn_to_page(pte_pfn(pte));
	bool dirty = pte_dirty(pte) || PageDirty(page);
	int mapcount = max(page_mapcount(page), 1);
	u64 pss = (PAGE_SIZE << PSS_SHIFT) / (unsigned int)mapcount;

	mss->resident += PAGE_SIZE;
	if (PageAnon(page)) {
		mss->anonymous += PAGE_SIZE;
		mss->pss_anon += pss;
	} else if (is_shmem(vma)) {
		mss->pss_shmem += pss;
	} else {
		mss->pss_file += pss;
	}
	if (pte_young(pte) || PageReferenced(page))
		mss->referenced += PAGE_SIZE;
	mss->pss += pss;
	if (dirty)
		mss->pss_dirty += pss;
	if (vma->vm_flags & VM_LOCKED)
		mss->pss_locked += pss;
	if (mapcount > 1)
		*(dirty ? &mss->shared_dirty : &mss->shared_clean) += PAGE_SIZE;
	else
		*(dirty ? &mss->private_dirty : &mss->private_clean) += PAGE_SIZE;
}

static void smaps_swap_pte(struct mem_size_stats *mss, pte_t pte)
{
	unsigned int count = max(swap_count(pte_to_swp_entry(pte)), 1u);

	mss->swap += PAGE_SIZE;
	mss->swap_pss += (PAGE_SIZE << PSS_SHIFT) / count;
}

/* Of a shared object it is known what is out, not whose it is. */
static void smaps_shmem_swap(struct mem_size_stats *mss, struct vm_area_struct *vma)
{
	struct address_space *mapping = &vma->vm_file->f_inode->i_data;
	pgoff_t index, first = vma->vm_pgoff, last = first + vma_pages(vma) - 1;
	void *entry;

	mutex_lock(&mapping->lock);
	if (mapping->nrswapped)
		xa_for_each_range(&mapping->i_pages, index, entry, first, last)
			mss->swap += xa_is_value(entry) ? PAGE_SIZE : 0;
	mutex_unlock(&mapping->lock);
}

/* Entries without a frame of their own (zero folio, device memory) are not resident. */
static bool pte_has_page(pte_t pte)
{
	return pte_present(pte) && !pte_special(pte) && pfn_valid(pte_pfn(pte));
}

static void smap_gather_stats(struct mem_size_stats *mss, struct vm_area_struct *vma)
{
	struct mm_struct *mm = vma->vm_mm;

	mss->vmas++;
	mss->vma_size += vma->vm_end - vma->vm_start;
	if (vma->vm_flags & (VM_PFNMAP | VM_IO))
		return;
	if (is_shmem(vma))
		smaps_shmem_swap(mss, vma);
	for (unsigned long addr = vma->vm_start; addr < vma->vm_end;) {
		unsigned long end = min((addr & PMD_MASK) + PMD_SIZE, vma->vm_end);
		pte_t *ptep;

		spin_lock(&mm->page_table_lock);
		ptep = pte_lookup(mm, addr);
		for (; ptep && addr < end; addr += PAGE_SIZE, ptep++) {
			pte_t pte = ptep_get(ptep);

			if (pte_has_page(pte))
				smaps_pte(mss, vma, pte);
			else if (is_swap_pte(pte))
				smaps_swap_pte(mss, pte);
		}
		spin_unlock(&mm->page_table_lock);
		addr = end;
	}
}

static unsigned long pss_kb(u64 pss)
{
	return pss >> (PSS_SHIFT + 10);
}

static void show_smap_values(struct seq_file *m, const struct mem_size_stats *mss, bool rollup)
{
	static const char *const none[] = {
		"KSM:            ", "LazyFree:       ", "AnonHugePages:  ", "ShmemPmdMapped: ",
		"FilePmdMapped:  ", "Shared_Hugetlb: ", "Private_Hugetlb:",
	};

	seq_kb(m, "Rss:            ", mss->resident >> 10);
	seq_kb(m, "Pss:            ", pss_kb(mss->pss));
	seq_kb(m, "Pss_Dirty:      ", pss_kb(mss->pss_dirty));
	if (rollup) {
		seq_kb(m, "Pss_Anon:       ", pss_kb(mss->pss_anon));
		seq_kb(m, "Pss_File:       ", pss_kb(mss->pss_file));
		seq_kb(m, "Pss_Shmem:      ", pss_kb(mss->pss_shmem));
	}
	seq_kb(m, "Shared_Clean:   ", mss->shared_clean >> 10);
	seq_kb(m, "Shared_Dirty:   ", mss->shared_dirty >> 10);
	seq_kb(m, "Private_Clean:  ", mss->private_clean >> 10);
	seq_kb(m, "Private_Dirty:  ", mss->private_dirty >> 10);
	seq_kb(m, "Referenced:     ", mss->referenced >> 10);
	seq_kb(m, "Anonymous:      ", mss->anonymous >> 10);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		seq_kb(m, none[i], 0);
	seq_kb(m, "Swap:           ", mss->swap >> 10);
	seq_kb(m, "SwapPss:        ", pss_kb(mss->swap_pss));
	seq_kb(m, "Locked:         ", pss_kb(mss->pss_locked));
}

static void show_vm_flags(struct seq_file *m, vm_flags_t flags)
{
	static const struct {
		vm_flags_t flag;
		char name[3];
	} names[] = {
		{ VM_READ, "rd" },	 { VM_WRITE, "wr" },	    { VM_EXEC, "ex" },
		{ VM_SHARED, "sh" },	 { VM_MAYREAD, "mr" },	    { VM_MAYWRITE, "mw" },
		{ VM_MAYEXEC, "me" },	 { VM_MAYSHARE, "ms" },	    { VM_GROWSDOWN, "gd" },
		{ VM_PFNMAP, "pf" },	 { VM_LOCKED, "lo" },	    { VM_IO, "io" },
		{ VM_SEQ_READ, "sr" },	 { VM_RAND_READ, "rr" },    { VM_DONTCOPY, "dc" },
		{ VM_DONTEXPAND, "de" }, { VM_LOCKONFAULT, "lf" },  { VM_ACCOUNT, "ac" },
		{ VM_NORESERVE, "nr" },	 { VM_SYNC, "sf" },	    { VM_WIPEONFORK, "wf" },
		{ VM_DONTDUMP, "dd" },	 { VM_HUGEPAGE, "hg" },	    { VM_NOHUGEPAGE, "nh" },
		{ VM_MERGEABLE, "mg" },	 { VM_UFFD_MISSING, "um" }, { VM_UFFD_WP, "uw" },
		{ VM_UFFD_MINOR, "ui" },
	};

	seq_puts(m, "VmFlags: ");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (flags & names[i].flag)
			seq_printf(m, "%s ", names[i].name);
	}
	seq_puts(m, "\n");
}

static void show_smap(struct seq_file *m, const struct mem_size_stats *mss, vm_flags_t flags)
{
	seq_kb(m, "Size:           ", mss->vma_size >> 10);
	seq_kb(m, "KernelPageSize: ", PAGE_SIZE >> 10);
	seq_kb(m, "MMUPageSize:    ", PAGE_SIZE >> 10);
	show_smap_values(m, mss, false);
	seq_puts(m, "THPeligible:           0\n");
	show_vm_flags(m, flags);
}

void pid_smaps_show(struct seq_file *m, struct proc_task *t, struct host_text host)
{
	const struct mem_size_stats vsyscall = { .vma_size = PAGE_SIZE };
	struct vm_area_struct *vma;
	struct text_line line;

	if (!t->mm)
		return;
	down_read(&t->mm->mmap_lock);
	for_each_vma(t->mm, vma)
	{
		struct mem_size_stats mss = { 0 };

		smap_gather_stats(&mss, vma);
		show_vma(m, vma);
		show_smap(m, &mss, vma->vm_flags);
	}
	up_read(&t->mm->mmap_lock);
	if (find_vsyscall(host, &line)) {
		seq_write(m, line.line, line.len);
		seq_puts(m, "\n");
		show_smap(m, &vsyscall, VM_EXEC);
	}
}

void pid_smaps_rollup_show(struct seq_file *m, struct proc_task *t)
{
	struct mem_size_stats mss = { 0 };
	struct vm_area_struct *vma;
	unsigned long start = 0, end = 0;

	if (!t->mm)
		return;
	down_read(&t->mm->mmap_lock);
	for_each_vma(t->mm, vma)
	{
		if (!mss.vmas)
			start = vma->vm_start;
		end = vma->vm_end;
		smap_gather_stats(&mss, vma);
	}
	up_read(&t->mm->mmap_lock);
	show_map_line(m, start, end, 0, 0, 0, 0, "[rollup]");
	show_smap_values(m, &mss, true);
}

/* ---- pagemap ---------------------------------------------------------------------------------- */

#define PM_MMAP_EXCLUSIVE (1ull << 56)
#define PM_UFFD_WP (1ull << 57)
#define PM_FILE (1ull << 61)
#define PM_SWAP (1ull << 62)
/* Of a page in swap: its area, and its offset in it. */
#define PM_SWAP_OFFSET_SHIFT 5
#define PM_PFN_BITS 55
#define PM_PRESENT (1ull << 63)

/* page_table_lock held. */
static u64 pagemap_entry(struct mm_struct *mm, unsigned long addr)
{
	pte_t *ptep = pte_lookup(mm, addr);
	pte_t pte = ptep ? ptep_get(ptep) : __pte(0);
	u64 wp = pte_uffd_wp(pte) ? PM_UFFD_WP : 0, entry;
	struct page *page;

	if (is_swap_pte(pte)) {
		swp_entry_t swp = pte_to_swp_entry(pte);

		entry = swp_type(swp) | (u64)swp_offset(swp) << PM_SWAP_OFFSET_SHIFT;
		return wp | PM_SWAP | (entry & ((1ull << PM_PFN_BITS) - 1));
	}
	if (!pte_present(pte))
		return wp;
	entry = wp | PM_PRESENT | pte_pfn(pte);
	if (!pte_has_page(pte))
		return entry;
	page = pfn_to_page(pte_pfn(pte));
	if (!PageAnon(page))
		entry |= PM_FILE;
	if (page_mapcount(page) == 1)
		entry |= PM_MMAP_EXCLUSIVE;
	return entry;
}

ssize_t proc_pagemap_read(pid_t pid, u64 pos, u64 *entries, size_t n)
{
	struct mm_struct *mm = get_task_mm(pid);
	u64 page = pos / sizeof(u64);
	size_t done = 0;

	if (!mm)
		return -ESRCH;
	down_read(&mm->mmap_lock);
	for (; done < n && page + done < TASK_SIZE_MAX >> PAGE_SHIFT; done++) {
		spin_lock(&mm->page_table_lock);
		entries[done] = pagemap_entry(mm, (page + done) << PAGE_SHIFT);
		spin_unlock(&mm->page_table_lock);
	}
	up_read(&mm->mmap_lock);
	mmput(mm);
	return (ssize_t)done;
}
