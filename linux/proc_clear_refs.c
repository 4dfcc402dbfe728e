/* SPDX-License-Identifier: MIT */
/*
 * /proc/<pid>/clear_refs: writing a number to it forgets which pages have been used.
 *
 *   1  all pages        2  those of anonymous VMAs       3  those of file VMAs
 *   5  the peak of the RSS starts anew
 *   4  nothing: pages are not marked when they are written to, as without CONFIG_MEM_SOFT_DIRTY
 */
#include "proc.h"

#include <quire/string.h>

#define NUMBER_SIZE 13

enum clear_refs {
	CLEAR_REFS_ALL = 1,
	CLEAR_REFS_ANON,
	CLEAR_REFS_MAPPED,
	CLEAR_REFS_SOFT_DIRTY,
	CLEAR_REFS_MM_HIWATER_RSS,
	CLEAR_REFS_LAST,
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int parse(const char *text, size_t len, long *type)
{
	char number[NUMBER_SIZE + 1] = "", *start = number;
	int err;

	len = min(len, sizeof(number) - 2);
	memcpy(number, text, len);
	while (is_space(*start))
		start++;
	for (len = strlen(start); len && is_space(start[len - 1]);)
		start[--len] = '\0';
	err = kstrtol(start, 10, type);
	if (err)
		return err;
	return *type > INT_MAX || *type < INT_MIN ? -ERANGE : 0;
}

static void clear_refs(struct mm_struct *mm, long type)
{
	struct vm_area_struct *vma;

	if (type == CLEAR_REFS_MM_HIWATER_RSS) {
		down_write(&mm->mmap_lock);
		mm->hiwater_rss = get_mm_rss(mm);
		up_write(&mm->mmap_lock);
		return;
	}
	down_read(&mm->mmap_lock);
	for_each_vma(mm, vma)
	{
		if (vma->vm_flags & (VM_PFNMAP | VM_IO) ||
		    (type == CLEAR_REFS_ANON && vma->vm_file) ||
		    (type == CLEAR_REFS_MAPPED && !vma->vm_file))
			continue;
		clear_young_range(vma, vma->vm_start, vma->vm_end);
	}
	up_read(&mm->mmap_lock);
}

long pid_clear_refs_write(struct proc_task *t, const char *text, size_t len)
{
	long type;
	int err = parse(text, len, &type);

	if (err)
		return err;
	if (type < CLEAR_REFS_ALL || type >= CLEAR_REFS_LAST)
		return -EINVAL;
	if (t->mm && type != CLEAR_REFS_SOFT_DIRTY)
		clear_refs(t->mm, type);
	return (long)len;
}
