/* SPDX-License-Identifier: MIT */
/*
 * The processor's page fault, from user mode: find the VMA, see whether it permits the access, let
 * mm/memory.c resolve it, and say which signal the program gets if it cannot be.
 *
 *   no VMA, or beyond user space      SIGSEGV, SEGV_MAPERR
 *   the VMA forbids the access        SIGSEGV, SEGV_ACCERR
 *   beyond the end of the file, I/O   SIGBUS, BUS_ADRERR
 *   declared lost by a monitor        SIGBUS, BUS_MCEERR_AR
 *   no memory, nobody to kill for it  SIGKILL
 *
 * The error code's PROT bit does not decide: on a machine with a software TLB the translation that
 * the access met may be an older, stricter one. The VMA does.
 */
#include <quire/mm.h>
#include <quire/trace.h>

/* Signal numbers of x86 Linux. */
#define SIGBUS 7
#define SIGKILL 9
#define SIGSEGV 11

/* What x86 may read includes what may be written or executed. */
static bool access_permitted(const struct vm_area_struct *vma, unsigned int error_code)
{
	return vma->vm_flags & (error_code & X86_PF_WRITE ? VM_WRITE : VM_ACCESS_FLAGS);
}

/* Only a present page says that it must not be executed: the fault before that brings it in. */
static bool fetch_forbidden(const struct vm_area_struct *vma, unsigned int error_code)
{
	return error_code & X86_PF_INSTR && !(vma->vm_flags & VM_EXEC);
}

static struct fault_result fault_signal(int signo, int si_code)
{
	return (struct fault_result){ .signo = signo, .si_code = si_code, .kind = FAULT_WAS_MINOR };
}

static struct fault_result mm_fault_result(vm_fault_t ret)
{
	if (ret & VM_FAULT_OOM)
		return fault_signal(SIGKILL, 0);
	if (ret & VM_FAULT_HWPOISON)
		return fault_signal(SIGBUS, BUS_MCEERR_AR);
	if (ret & VM_FAULT_SIGBUS)
		return fault_signal(SIGBUS, BUS_ADRERR);
	if (ret & VM_FAULT_SIGSEGV)
		return fault_signal(SIGSEGV, SEGV_MAPERR);
	return (struct fault_result){
		.major = ret & VM_FAULT_MAJOR,
		.kind = vm_fault_kind(ret) == TRACE_FAULT_SPURIOUS || ret & VM_FAULT_RETRY
				? FAULT_WAS_FILL
				: FAULT_WAS_MINOR,
	};
}

static unsigned int fault_flags(unsigned int error_code)
{
	unsigned int flags = FAULT_FLAG_USER | FAULT_FLAG_ALLOW_RETRY;

	if (error_code & X86_PF_WRITE)
		flags |= FAULT_FLAG_WRITE;
	if (error_code & X86_PF_INSTR)
		flags |= FAULT_FLAG_INSTRUCTION;
	return flags;
}

/* The fault is not resolved yet, and no signal of the program's is a reason to leave the kernel. */
static bool fault_must_retry(vm_fault_t ret, unsigned int *tries)
{
	if (likely(!(ret & (VM_FAULT_OOM | VM_FAULT_RETRY))))
		return false;
	if (ret & VM_FAULT_RETRY)
		return !(ret & VM_FAULT_INTERRUPTED);
	return pagefault_out_of_memory((*tries)++);
}

/* Once, with mmap_lock held for reading in between. *ret stays as it was if there is no such access. */
static struct fault_result user_fault(struct mm_struct *mm, unsigned long address,
				      unsigned int error_code, vm_fault_t *ret)
{
	struct fault_result result = fault_signal(SIGSEGV, SEGV_MAPERR);
	struct vm_area_struct *vma = NULL;

	if (likely(address < TASK_SIZE_MAX))
		vma = lock_mm_and_find_vma(mm, address);
	if (unlikely(!vma))
		return result;
	if (likely(access_permitted(vma, error_code))) {
		*ret = handle_mm_fault(vma, address, fault_flags(error_code));
		result = mm_fault_result(*ret);
		if (*ret & VM_FAULT_RETRY)
			return result;
		if (!(*ret & VM_FAULT_ERROR) && fetch_forbidden(vma, error_code))
			result = fault_signal(SIGSEGV, SEGV_ACCERR);
	} else {
		result.si_code = SEGV_ACCERR;
	}
	up_read(&mm->mmap_lock);
	return result;
}

struct fault_result do_page_fault(struct mm_struct *mm, unsigned long address,
				  unsigned int error_code)
{
	u64 start = trace_clock();
	struct fault_result result;
	unsigned int tries = 0;
	vm_fault_t ret;

	do {
		ret = VM_FAULT_SIGSEGV;
		result = user_fault(mm, address, error_code, &ret);
	} while (fault_must_retry(ret, &tries));
	trace(TRACE_FAULT, address, ret & VM_FAULT_ERROR ? TRACE_FAULT_ERROR : vm_fault_kind(ret),
	      start);
	return result;
}
