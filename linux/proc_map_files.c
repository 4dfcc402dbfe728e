/* SPDX-License-Identifier: MIT */
/*
 * /proc/<pid>/map_files: a link for each VMA with a file, START-END in hexadecimal.
 *
 * Names are read as Linux reads them: no leading zeros, nothing but the two numbers of a VMA as it is
 * now. The listing is by ordinal number, so one that changes meanwhile may show a VMA twice or not at all.
 */
#include "proc.h"

#include <quire/string.h>

/* Takes a number off *s; false: it is not written as it must be. */
static bool take_address(const char **s, unsigned long *addr)
{
	const char *start = *s;
	char *end;

	if (start[0] == '0' && start[1] != '-' && start[1])
		return false;
	*addr = simple_strtoul(start, &end, 16);
	*s = end;
	return end > start && end - start <= 16;
}

static bool parse_name(const char *name, unsigned long *start, unsigned long *end)
{
	return take_address(&name, start) && *name++ == '-' && take_address(&name, end) && !*name;
}

int proc_map_file(pid_t pid, const char *name, struct file **file)
{
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	unsigned long start, end;

	if (!parse_name(name, &start, &end))
		return -ENOENT;
	mm = get_task_mm(pid);
	if (!mm)
		return -ENOENT;
	down_read(&mm->mmap_lock);
	vma = vma_lookup(mm, start);
	if (vma && vma->vm_start == start && vma->vm_end == end && vma->vm_file) {
		*file = get_file(vma->vm_file);
	} else {
		vma = NULL;
	}
	up_read(&mm->mmap_lock);
	mmput(mm);
	return vma ? 0 : -ENOENT;
}

size_t proc_map_files_list(pid_t pid, unsigned long first, struct proc_map_range *ranges, size_t n)
{
	struct mm_struct *mm = get_task_mm(pid);
	struct vm_area_struct *vma;
	size_t found = 0;

	if (!mm)
		return 0;
	down_read(&mm->mmap_lock);
	for_each_vma(mm, vma)
	{
		if (!vma->vm_file)
			continue;
		if (first) {
			first--;
			continue;
		}
		if (found == n)
			break;
		ranges[found++] = (struct proc_map_range){ vma->vm_start, vma->vm_end };
	}
	up_read(&mm->mmap_lock);
	mmput(mm);
	return found;
}
