/* SPDX-License-Identifier: MIT */
/*
 * Kernel addresses that are not the direct map: vmalloc space.
 *
 * It is a range of the process's own addresses, in which frames are mapped as init_mm's tables say.
 * There is one process, so what is entered is there for all CPUs. An access to what was not is a fault
 * of the kernel's, the process's SIGSEGV: a handler asks vmalloc_fault(), and passes on what that does
 * not know.
 */
#include <signal.h>
#include <sys/mman.h>

/* mm.h has these names, with the same values. */
#undef SEGV_MAPERR
#undef SEGV_ACCERR
#undef BUS_ADRERR

#include <quire/vmalloc.h>

#include "soft_internal.h"

static void *space; /* vmalloc space, and what its alignment costs */
static size_t space_bytes;
static unsigned long wanted_bytes = 4ul << 30;
static struct sigaction old_segv;

void soft_vmalloc_bytes(unsigned long bytes)
{
	wanted_bytes = PAGE_ALIGN(bytes);
}

/* addr NULL: anywhere. */
static void *reserve(void *addr, size_t bytes)
{
	return mmap(addr, bytes, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (addr ? MAP_FIXED : 0), -1, 0);
}

static void segv(int sig, siginfo_t *si, void *context)
{
	if (si->si_code > 0 && vmalloc_fault((unsigned long)si->si_addr))
		return;
	if (old_segv.sa_flags & SA_SIGINFO)
		old_segv.sa_sigaction(sig, si, context);
	else if (old_segv.sa_handler != SIG_DFL && old_segv.sa_handler != SIG_IGN)
		old_segv.sa_handler(sig);
	else
		signal(sig, SIG_DFL); /* and the access is made again */
}

int soft_kernel_map_init(void)
{
	const struct sigaction act = { .sa_sigaction = segv, .sa_flags = SA_SIGINFO | SA_NODEFER };

	vmalloc_base = vmalloc_bytes = 0;
	if (!wanted_bytes)
		return 0;
	/* Huge pages can be had where both addresses are multiples of their size. */
	space_bytes = wanted_bytes + PMD_SIZE;
	space = reserve(NULL, space_bytes);
	if (space == MAP_FAILED || sigaction(SIGSEGV, &act, &old_segv)) {
		space = NULL;
		return -ENOMEM;
	}
	vmalloc_base = ALIGN((unsigned long)space, PMD_SIZE);
	vmalloc_bytes = wanted_bytes;
	return 0;
}

void soft_kernel_map_exit(void)
{
	struct sigaction now;

	if (!space)
		return;
	munmap(space, space_bytes);
	space = NULL;
	vmalloc_base = vmalloc_bytes = 0;
	if (!sigaction(SIGSEGV, NULL, &now) && now.sa_flags & SA_SIGINFO &&
	    now.sa_sigaction == segv)
		sigaction(SIGSEGV, &old_segv, NULL);
}

void machine_tlb_fill_kernel(unsigned long addr, const u64 *ptep, unsigned int nr)
{
	for (unsigned int i = 0, n; i < nr; i += n) {
		pte_t first = __pte(ptep[i]);
		int prot = pte_write(first) ? PROT_READ | PROT_WRITE : PROT_READ;

		for (n = 1; i + n < nr && pte_pfn(__pte(ptep[i + n])) == pte_pfn(first) + n; n++)
			;
		if (mmap((char *)addr + ((size_t)i << PAGE_SHIFT), (size_t)n << PAGE_SHIFT, prot,
			 MAP_SHARED | MAP_FIXED, soft_ram_fd,
			 (off_t)(pte_pfn(first) << PAGE_SHIFT)) == MAP_FAILED)
			machine_panic("soft: the host has no room for a kernel mapping");
	}
}

void machine_tlb_flush_kernel(const struct machine_range *ranges, unsigned int nr)
{
	soft_tlb_count_kernel_flush();
	for (unsigned int i = 0; i < nr; i++)
		if (reserve((void *)ranges[i].start, ranges[i].end - ranges[i].start) == MAP_FAILED)
			machine_panic("soft: the host has no room for a kernel mapping");
}
