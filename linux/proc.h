/* SPDX-License-Identifier: MIT */
/* proc.h - what the writers of /proc's texts share. */
#ifndef QUIRE_LINUX_PROC_H
#define QUIRE_LINUX_PROC_H

#include "seq_file.h"

#include <quire/mempolicy.h>
#include <quire/sched.h>

/* The host's text of the same file; NULL and 0 if there is none. */
struct host_text {
	const char *text;
	size_t len;
};

/* The thread or group that a text is about, as it was when looked up. */
struct proc_task {
	pid_t pid, tgid;
	char comm[TASK_COMM_LEN];
	u64 blocked;
	struct mempolicy mempolicy;
	int nr_threads;
	struct signal_struct *signal; /* with a reference */
	struct mm_struct *mm; /* with a reference, or NULL: it exits */
};

/* proc_system.c */
void meminfo_show(struct seq_file *m);
void vmstat_show(struct seq_file *m);
void buddyinfo_show(struct seq_file *m);
void iomem_show(struct seq_file *m);
void zoneinfo_show(struct seq_file *m);
void pagetypeinfo_show(struct seq_file *m);
void swaps_show(struct seq_file *m);
void slabinfo_show(struct seq_file *m);
void vmallocinfo_show(struct seq_file *m);
void stat_show(struct seq_file *m, struct host_text host);
void cpuinfo_show(struct seq_file *m, struct host_text host);
void loadavg_show(struct seq_file *m, struct host_text host);

/* proc_pid.c */
void pid_status_show(struct seq_file *m, struct proc_task *t, struct host_text host);
void pid_stat_show(struct seq_file *m, struct proc_task *t, struct host_text host);
void pid_statm_show(struct seq_file *m, struct proc_task *t);
void pid_cmdline_show(struct seq_file *m, struct proc_task *t);
void pid_environ_show(struct seq_file *m, struct proc_task *t);
void pid_auxv_show(struct seq_file *m, struct proc_task *t);
void pid_oom_score_show(struct seq_file *m, struct proc_task *t);
void pid_oom_adj_show(struct seq_file *m, struct proc_task *t);
void pid_limits_show(struct seq_file *m, struct proc_task *t, struct host_text host);

/* proc_maps.c */
void pid_maps_show(struct seq_file *m, struct proc_task *t, struct host_text host);
void pid_smaps_show(struct seq_file *m, struct proc_task *t, struct host_text host);
void pid_smaps_rollup_show(struct seq_file *m, struct proc_task *t);

/* proc_numa_maps.c */
void pid_numa_maps_show(struct seq_file *m, struct proc_task *t);

/* proc_page_tables.c */
void pid_page_tables_show(struct seq_file *m, struct proc_task *t);

/* proc_clear_refs.c: what write(2) returns. May sleep. */
long pid_clear_refs_write(struct proc_task *t, const char *text, size_t len);

/* As [heap] and [stack] in the lists of mappings. */
static inline bool vma_is_initial_heap(const struct vm_area_struct *vma)
{
	return vma->vm_start < vma->vm_mm->brk && vma->vm_end > vma->vm_mm->start_brk;
}
static inline bool vma_is_initial_stack(const struct vm_area_struct *vma)
{
	return vma->vm_start <= vma->vm_mm->start_stack && vma->vm_end >= vma->vm_mm->start_stack;
}

/* Pages from the first to the last byte of the program's text. */
static inline unsigned long mm_text_pages(const struct mm_struct *mm)
{
	unsigned long start = mm->start_code & PAGE_MASK, end = PAGE_ALIGN(mm->end_code);

	return end > start ? (end - start) >> PAGE_SHIFT : 0;
}

#endif
