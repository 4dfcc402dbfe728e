/* SPDX-License-Identifier: MIT */
/*
 * coredump.c - what a core file is to hold.
 *
 * The host writes the file, by the guest's limit and filter and its own core_pattern. All that it
 * would find in a process of ours is a TLB, so when the last thread is about to die the process is
 * made to look like what the guest was:
 *
 *   VMA of the guest         private memory of the host's at the same place, with copies of what the
 *                            guest's coredump_filter and MADV_DONTDUMP leave of its pages
 *   registers, siginfo       the signal is queued, and the thread that dies returns to where the
 *                            guest was when the signal came; there the host kills it
 *
 * Only the thread that the signal ended is in the file: others have left before.
 */
#include <quire/mman.h>
#include <quire/slab.h>
#include <quire/string.h>

#include "callsite.h"
#include "signal.h"

#define RLIMIT_CORE 4
#define HOST_MADV_DONTDUMP 16
#define PR_SET_MM 35
#define PR_SET_MM_MAP 14
#define HOST_MAP_RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
#define FPU_MAX 16384u

/* /proc/<pid>/coredump_filter, core(5). */
#define FILTER_ANON_PRIVATE 0x01u
#define FILTER_ANON_SHARED 0x02u
#define FILTER_MAPPED_PRIVATE 0x04u
#define FILTER_MAPPED_SHARED 0x08u
#define FILTER_ELF_HEADERS 0x10u

void core_note(struct native_task *t)
{
	const u8 *fpu = (const u8 *)t->uc->uc_mcontext.fpstate;
	size_t size = fpu ? min(fpu_frame_size(fpu), (size_t)FPU_MAX) : 0;
	struct core_frame *core, *none = NULL;

	if (!default_is_core(t->siginfo.si_signo) ||
	    __atomic_load_n(&t->hmm->core, __ATOMIC_ACQUIRE))
		return;
	core = kmalloc(sizeof(*core) + size, GFP_KERNEL | __GFP_NOWARN);
	if (!core)
		return;
	core->info = t->siginfo;
	core->uc = *t->uc;
	core->uc.uc_mcontext.ip = callsite_guest_ip(t, core->uc.uc_mcontext.ip);
	core->fpu_size = size;
	memcpy(core->fpu, fpu, size);
	if (!__atomic_compare_exchange_n(&t->hmm->core, &none, core, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		kfree(core);
}

/* As the host has it for this process; the guest reads and writes the same file. */
static u32 coredump_filter(void)
{
	long fd = host_syscall(__NR_open, "/proc/self/coredump_filter", 0, 0);
	char text[16] = "";
	u32 filter = 0;

	if (fd < 0)
		return 0;
	host_syscall(__NR_read, fd, text, sizeof(text) - 1);
	host_syscall(__NR_close, fd);
	for (const char *p = text; *p && *p != '\n'; p++)
		filter = filter << 4 | (u32)(*p <= '9' ? *p - '0' : (*p | 0x20) - 'a' + 10);
	return filter;
}

/* How much of a VMA goes into the file. */
static unsigned long dump_size(const struct vm_area_struct *vma, u32 filter)
{
	unsigned long all = vma->vm_end - vma->vm_start;
	const struct inode *inode = vma->vm_file ? vma->vm_file->f_inode : NULL;

	if (vma->vm_flags & (VM_DONTDUMP | VM_IO | VM_PFNMAP))
		return 0;
	if (vma->vm_flags & VM_SHARED) {
		bool anon = inode && inode->i_kind == INODE_SHMEM;

		return filter & (anon ? FILTER_ANON_SHARED : FILTER_MAPPED_SHARED) ? all : 0;
	}
	if ((!inode || vma->anon_vma) && (filter & FILTER_ANON_PRIVATE))
		return all;
	if (!inode)
		return 0;
	if (filter & FILTER_MAPPED_PRIVATE)
		return all;
	return (filter & FILTER_ELF_HEADERS) && !vma->vm_pgoff && (vma->vm_flags & VM_READ)
		       ? PAGE_SIZE
		       : 0;
}

/* The page has contents of its own; untouched memory needs no copy. */
static bool entry_has_contents(pte_t pte, unsigned long unused)
{
	(void)unused;
	return !pte_none(pte) && !pte_special(pte);
}

/* What the core file gets of a VMA; bounds and flags as they were when it was found. */
struct core_vma {
	unsigned long start, end, dump; /* [start, dump) is copied */
	bool sparse; /* untouched pages are zeros */
	u32 prot;
};

static void copy_vma(struct mm_struct *mm, const struct core_vma *v)
{
	if (host_syscall(__NR_mmap, v->start, v->end - v->start, PROT_READ | PROT_WRITE,
			 HOST_MAP_RESERVED | MAP_FIXED, -1) < 0)
		return;
	for (unsigned long addr = v->start; addr < v->dump; addr += PAGE_SIZE) {
		if (v->sparse)
			addr = pte_find(mm, addr, v->dump, entry_has_contents, 0);
		if (addr < v->dump)
			access_remote_mm(mm, addr, (void *)addr, PAGE_SIZE, false, true);
	}
	if (v->dump < v->end)
		host_syscall(__NR_madvise, v->dump, v->end - v->dump, HOST_MADV_DONTDUMP);
	host_syscall(__NR_mprotect, v->start, v->end - v->start, v->prot);
}

static bool core_vma_from(struct mm_struct *mm, unsigned long addr, u32 filter, struct core_vma *v)
{
	struct vm_area_struct *vma;

	down_read(&mm->mmap_lock);
	vma = find_vma(mm, addr);
	if (vma) {
		v->start = vma->vm_start;
		v->end = vma->vm_end;
		v->dump = v->start + dump_size(vma, filter);
		v->sparse = !vma->vm_file;
		v->prot = (vma->vm_flags & VM_READ ? PROT_READ : 0) |
			  (vma->vm_flags & VM_WRITE ? PROT_WRITE : 0) |
			  (vma->vm_flags & VM_EXEC ? PROT_EXEC : 0);
	}
	up_read(&mm->mmap_lock);
	return vma;
}

/*
 * Where the program lies and what its arguments are, for the notes in the file. A host that was built
 * without it (CONFIG_CHECKPOINT_RESTORE) shows its own: a debugger then has to be told.
 */
static void show_image(const struct mm_struct *mm)
{
	const struct {
		u64 start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
		u64 arg_start, arg_end, env_start, env_end;
		const unsigned long *auxv;
		u32 auxv_size, exe_fd;
	} map = {
		mm->start_code,		mm->end_code,  mm->start_data,
		mm->end_data,		mm->start_brk, mm->brk,
		mm->start_stack,	mm->arg_start, mm->arg_end,
		mm->env_start,		mm->env_end,   mm->saved_auxv,
		sizeof(mm->saved_auxv), (u32)-1,
	};

	host_syscall(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map));
}

/* A copy in memory that stays when the machine's is given back, behind the VMAs. */
static struct core_frame *frame_for_host(const struct core_frame *core)
{
	size_t size = PAGE_ALIGN(sizeof(*core) + core->fpu_size);
	long at = host_syscall(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, HOST_MAP_RESERVED, -1);
	struct core_frame *frame = (struct core_frame *)at;

	if (at < 0)
		return NULL;
	memcpy(frame, core, sizeof(*core) + core->fpu_size);
	if (core->fpu_size)
		frame->uc.uc_mcontext.fpstate = (u64)frame->fpu;
	host_syscall(__NR_madvise, at, size, HOST_MADV_DONTDUMP);
	return frame;
}

struct core_frame *core_build(struct native_task *t, int sig)
{
	struct core_frame *core = t->hmm->core, *frame = NULL;
	struct mm_struct *mm = t->task.mm;
	struct core_vma v = { .end = 0 };
	u64 limit[2] = { 0, 0 };
	u32 filter;

	t->hmm->core = NULL;
	if (core->info.si_signo == sig && !t->adopted &&
	    !host_syscall(__NR_getrlimit, RLIMIT_CORE, limit) && limit[0]) {
		filter = coredump_filter();
		while (core_vma_from(mm, v.end, filter, &v))
			copy_vma(mm, &v);
		show_image(mm);
		frame = frame_for_host(core);
	}
	kfree(core);
	return frame;
}

void core_die(struct core_frame *frame, int sig)
{
	u64 all = ~0ull;

	host_syscall(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, NULL, 8);
	host_syscall(__NR_rt_tgsigqueueinfo, host_syscall(__NR_getpid), host_syscall(__NR_gettid),
		     sig, &frame->info);
	frame->uc.uc_sigmask = ~SIGBIT(sig);
	return_to_user(&frame->uc);
}
