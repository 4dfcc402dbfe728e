/* SPDX-License-Identifier: MIT */
/*
 * device.c - mappings of what is no file of pages: devices, sockets, perf events. The host
 * maps them itself, at the addresses of a VMA with VM_PFNMAP.
 *
 *   mmap              the host's mmap() in the caller's process, which has the last word
 *   munmap, mprotect, mremap    the same calls of the host's
 *   fork, vfork, clone          the child inherits what the host lets it
 *   exec, exit        gone with the process's other mappings
 *   access by the kernel        (read(), write() ...) by the host as well: special_mapping_access()
 *
 * hmm->devices are the ranges of a host process that are such mappings and not entries of the TLB:
 * no flush touches them (hmm_device_gap()). The list may name less than what is mapped, which can cost a
 * program the mapping, but never more than the VMAs do.
 *
 * A mapping is one of the process that made it and of its children. Another host process of the same
 * mm (vfork, CLONE_VM) that has not inherited it finds SIGBUS there, and so it does after
 * mprotect() or mremap() by another one than itself: there is nothing to map it again from.
 */
#include <quire/err.h>
#include <quire/fs.h>
#include <quire/mman.h>
#include <quire/slab.h>
#include <quire/sprintf.h>
#include <quire/string.h>

#include "native.h"

struct device_range {
	struct list_head node; /* hmm->devices, disjoint, in no order */
	unsigned long start, end;
};

/* ---- The ranges of a host process ------------------------------------------------------------ */

static struct device_range *new_range(unsigned long start, unsigned long end, gfp_t gfp)
{
	struct device_range *r = kmalloc(sizeof(*r), gfp);

	if (r) {
		r->start = start;
		r->end = end;
	}
	return r;
}

static int hmm_add_device(struct hmm *hmm, unsigned long start, unsigned long end)
{
	struct device_range *r = new_range(start, end, GFP_KERNEL);

	if (!r)
		return -ENOMEM;
	hmm_lock_devices(hmm);
	list_add(&r->node, &hmm->devices);
	hmm_unlock_devices(hmm);
	return 0;
}

/* device_lock held. Cut [start, end) out of r; the upper part is lost when there is no memory for it. */
static void cut_range(struct device_range *r, unsigned long start, unsigned long end)
{
	if (r->end > end && r->start < start) {
		struct device_range *upper = new_range(end, r->end, GFP_ATOMIC);

		if (upper)
			list_add(&upper->node, &r->node);
		r->end = start;
	} else if (r->start < start) {
		r->end = start;
	} else if (r->end > end) {
		r->start = end;
	} else {
		list_del(&r->node);
		kfree(r);
	}
}

static void hmm_forget_device(struct hmm *hmm, unsigned long start, unsigned long end)
{
	struct device_range *r, *next;

	hmm_lock_devices(hmm);
	list_for_each_entry_safe(r, next, &hmm->devices, node)
		if (r->start < end && r->end > start)
			cut_range(r, start, end);
	hmm_unlock_devices(hmm);
}

void hmm_forget_devices(struct hmm *hmm)
{
	hmm_forget_device(hmm, 0, ULONG_MAX);
}

bool hmm_device_gap(struct hmm *hmm, unsigned long *start, unsigned long *end)
{
	struct device_range *r;
	bool moved = true;

	while (moved) {
		moved = false;
		list_for_each_entry(r, &hmm->devices, node) {
			if (r->start <= *start && r->end > *start) {
				*start = r->end;
				moved = true;
			}
		}
	}
	list_for_each_entry(r, &hmm->devices, node)
		if (r->start > *start && r->start < *end)
			*end = r->start;
	return *start < *end;
}

int hmm_inherit_devices(struct hmm *child, struct hmm *parent, struct mm_struct *mm)
{
	struct device_range *r, *copy;
	struct vm_area_struct *vma;
	int err = 0;

	if (list_empty(&parent->devices))
		return 0;
	hmm_lock_devices(parent);
	list_for_each_entry(r, &parent->devices, node) {
		copy = new_range(r->start, r->end, GFP_ATOMIC);
		if (copy)
			list_add(&copy->node, &child->devices);
		else
			err = -ENOMEM;
	}
	hmm_unlock_devices(parent);
	if (err || mm == parent->mm)
		return err;
	/* What the program does not want in its children: the host knows nothing of that. */
	for_each_vma(parent->mm, vma)
	{
		if ((vma->vm_flags & (VM_PFNMAP | VM_DONTCOPY)) != (VM_PFNMAP | VM_DONTCOPY))
			continue;
		hmm_forget_device(child, vma->vm_start, vma->vm_end);
		machine_tlb_flush(mm, vma->vm_start, vma->vm_end, TLB_FLUSH_ALL);
	}
	return 0;
}

/* ---- Operations of a VMA ----------------------------------------------------------------------- */

/* Unmap in all host processes of the mm but `except`. */
static void unmap_device(struct mm_struct *mm, unsigned long start, unsigned long end,
			 const struct hmm *except)
{
	struct mm_machine *m = mm->machine;
	struct hmm *hmm;

	spin_lock(&m->lock);
	list_for_each_entry(hmm, &m->hmms, mm_node)
		if (hmm != except)
			hmm_forget_device(hmm, start, end);
	spin_unlock(&m->lock);
	/* In `except` there is nothing that a flush would touch. */
	machine_tlb_flush(mm, start, end, TLB_FLUSH_ALL);
}

static void device_unmapped(struct vm_area_struct *vma)
{
	unmap_device(vma->vm_mm, vma->vm_start, vma->vm_end, NULL);
}

static unsigned long prot_of(vm_flags_t flags)
{
	return flags & VM_ACCESS_FLAGS; /* PROT_* and VM_* agree */
}

static int device_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			   vm_flags_t newflags)
{
	struct hmm *hmm = current_native()->hmm;
	long ret;

	unmap_device(vma->vm_mm, start, end, hmm);
	ret = host_syscall(__NR_mprotect, start, end - start, prot_of(newflags));
	return ret == -ENOMEM ? 0 : (int)ret; /* not mapped in this process */
}

static int device_mremap(struct vm_area_struct *vma, unsigned long old_addr)
{
	unsigned long start = vma->vm_start, len = vma->vm_end - start;
	struct hmm *hmm = current_native()->hmm;
	long ret = hmm_add_device(hmm, start, vma->vm_end);

	if (ret)
		return (int)ret;
	ret = host_syscall(__NR_mremap, old_addr, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, start);
	return IS_ERR_VALUE(ret) && ret != -EFAULT ? (int)ret : 0;
}

long special_mapping_access(struct vm_area_struct *vma, unsigned long addr, void *buf, size_t len,
			    bool write)
{
	unsigned long page, nr = write ? __NR_pread64 : __NR_pwrite64;
	size_t done = 0;
	long n = -EFAULT;

	if (current_native()->is_service || current_native()->hmm->mm != vma->vm_mm)
		return -EFAULT;
	page = __get_free_pages(GFP_KERNEL, 0);
	if (!page)
		return -ENOMEM;
	/* Seen from the host it is the program that writes to RAM, or reads from it. */
	while (done < len) {
		size_t piece = min(len - done, PAGE_SIZE);

		if (write)
			memcpy((void *)page, (u8 *)buf + done, piece);
		n = host_syscall(nr, machine_params.ram_fd, addr + done, piece, __pa(page));
		if (n <= 0)
			break;
		if (!write)
			memcpy((u8 *)buf + done, (void *)page, (size_t)n);
		done += (size_t)n;
	}
	free_page(page);
	return done ? (long)done : -EFAULT;
}

static const struct vm_operations_struct device_vm_ops = {
	.unmapped = device_unmapped,
	.mprotect = device_mprotect,
	.mremap = device_mremap,
	.access = special_mapping_access,
};

/* ---- mmap ---------------------------------------------------------------------------------------- */

#define SMAPS_BUF 4096

static vm_flags_t flags_by_name(const char *line, const char *end)
{
	static const struct {
		char name[3];
		vm_flags_t flag;
	} names[] = {
		{ "mr", VM_MAYREAD },  { "mw", VM_MAYWRITE },	{ "me", VM_MAYEXEC },
		{ "io", VM_IO },       { "de", VM_DONTEXPAND }, { "dc", VM_DONTCOPY },
		{ "dd", VM_DONTDUMP },
	};
	vm_flags_t flags = 0;

	for (; line + 2 <= end; line += 3)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (!memcmp(line, names[i].name, 2))
				flags |= names[i].flag;
	return flags;
}

static unsigned long hex(const char **p)
{
	unsigned long v = 0;

	for (;; (*p)++) {
		char c = **p;

		if (c >= '0' && c <= '9')
			v = v << 4 | (unsigned long)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (unsigned long)(c - 'a' + 10);
		else
			return v;
	}
}

/* A line of smaps; *here: it is about the mapping at addr. True: *flags are known. */
static bool smaps_line(const char *line, const char *end, unsigned long addr, bool *here,
		       vm_flags_t *flags)
{
	const char *p = line;
	unsigned long start = hex(&p);

	if (p > line && *p == '-') {
		p++;
		*here = start <= addr && hex(&p) > addr;
	} else if (*here && end - line > 9 && !memcmp(line, "VmFlags: ", 9)) {
		*flags = flags_by_name(line + 9, end);
		return true;
	}
	return false;
}

/* The flags that the driver has given to the mapping at addr, which only smaps tells. */
static bool host_vm_flags(unsigned long addr, vm_flags_t *flags)
{
	long fd = host_syscall(__NR_open, "/proc/thread-self/smaps", HOST_O_CLOEXEC, 0), n = 0;
	char *buf = fd < 0 ? NULL : kmalloc(SMAPS_BUF + 1, GFP_KERNEL);
	bool here = false, found = false;
	size_t len = 0;

	while (buf && !found && (n = host_syscall(__NR_read, fd, buf + len, SMAPS_BUF - len)) > 0) {
		char *line = buf, *end;

		len += (size_t)n;
		buf[len] = '\0';
		while (!found && (end = strchr(line, '\n'))) {
			found = smaps_line(line, end, addr, &here, flags);
			line = end + 1;
		}
		len -= (size_t)(line - buf);
		memmove(buf, line, len);
		if (len == SMAPS_BUF)
			len = 0;
	}
	kfree(buf);
	if (fd >= 0)
		host_syscall(__NR_close, fd);
	return found;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long start = vma->vm_start, len = vma->vm_end - start;
	unsigned long share = vma->vm_flags & VM_MAYSHARE ? MAP_SHARED : MAP_PRIVATE;
	const vm_flags_t drivers = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
	struct hmm *hmm = current_native()->hmm;
	vm_flags_t flags = drivers | VM_IO | VM_DONTEXPAND;
	long ret;

	ret = hmm_add_device(hmm, start, vma->vm_end);
	if (ret)
		return (int)ret;
	ret = host_syscall(__NR_mmap, start, len, prot_of(vma->vm_flags), share | MAP_FIXED,
			   file->f_id - 1, vma->vm_pgoff << PAGE_SHIFT);
	if (IS_ERR_VALUE(ret)) {
		hmm_forget_device(hmm, start, vma->vm_end);
		return (int)ret;
	}
	host_vm_flags(start, &flags);
	vma->vm_flags = (vma->vm_flags & ~(drivers & ~flags)) | (flags & ~drivers);
	vma->vm_ops = &device_vm_ops;
	return 0;
}

const struct file_operations device_file_ops = { .mmap = device_mmap };
