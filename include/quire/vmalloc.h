/* SPDX-License-Identifier: MIT */
/*
 * vmalloc.h - kernel memory that is contiguous in addresses and scattered over frames.
 *
 * Allocation may sleep, and so may freeing; neither under a spinlock. Sizes in bytes, rounded up to
 * pages. Each area is followed by a guard page that is never mapped. Without vmalloc space
 * (vmalloc_bytes 0) nothing can be had.
 *
 * The memory is the same for all: on machines whose kernel addresses go through a TLB filled by
 * software, whoever lacks a translation faults and vmalloc_fault() supplies it.
 */
#ifndef QUIRE_VMALLOC_H
#define QUIRE_VMALLOC_H

#include <quire/gfp.h>
#include <quire/mm_types.h>
#include <quire/pgtable.h>

/* vm_struct.flags */
#define VM_ALLOC 0x00000002ul /* vmalloc() */
#define VM_MAP 0x00000004ul /* vmap() */
#define VM_NO_GUARD 0x00000040ul
#define VM_MAP_PUT_PAGES 0x00000200ul /* vfree() puts the pages of the array and frees it */

/* Addresses [vmalloc_base, vmalloc_base + vmalloc_bytes), page aligned. Set by the port before mm_init(). */
extern unsigned long vmalloc_base, vmalloc_bytes;
#define VMALLOC_START vmalloc_base
#define VMALLOC_END (vmalloc_base + vmalloc_bytes)

#define PAGE_KERNEL \
	__pgprot(_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_GLOBAL | _PAGE_NX)
#define PAGE_KERNEL_RO __pgprot(_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_GLOBAL | _PAGE_NX)

/* NULL: no memory, or no room. Pages come zeroed with __GFP_ZERO. */
void *__vmalloc(unsigned long size, gfp_t gfp);
void *vmalloc(unsigned long size);
void *vzalloc(unsigned long size);
void *vmalloc_node(unsigned long size, int node);
void *vzalloc_node(unsigned long size, int node);
/* In runs of 2 MiB that are contiguous and aligned, as far as there are any. */
void *vmalloc_huge(unsigned long size, gfp_t gfp);
/* addr is what one of them has returned; NULL is fine. */
void vfree(const void *addr);

/*
 * Pages of the caller's, who keeps his references, one behind the other. With VM_MAP_PUT_PAGES the
 * area has them and the array, which is from kvmalloc(), and vfree() gives both up. NULL: no memory.
 */
void *vmap(struct page **pages, unsigned int count, unsigned long flags, pgprot_t prot);
void vunmap(const void *addr);

static inline bool is_vmalloc_addr(const void *addr)
{
	return (unsigned long)addr - vmalloc_base < vmalloc_bytes;
}
/* The page behind an address of vmalloc space; NULL: nothing is mapped there. */
struct page *vmalloc_to_page(const void *addr);
unsigned long vmalloc_to_pfn(const void *addr); /* of an address that is mapped */

/* kmalloc() if it is easily had, else vmalloc(). kvfree() may sleep. */
void *kvmalloc(size_t size, gfp_t gfp);
static inline void *kvzalloc(size_t size, gfp_t gfp)
{
	return kvmalloc(size, gfp | __GFP_ZERO);
}
void *kvcalloc(size_t n, size_t size, gfp_t gfp); /* NULL also when n * size overflows */
/* The first old_size bytes are kept. NULL: no memory, and p is as it was. May sleep. */
void *kvrealloc(const void *p, size_t old_size, size_t new_size, gfp_t gfp);
void kvfree(const void *p);

/* Addresses that were freed and wait for their flush become usable again. May sleep. */
void vm_unmap_aliases(void);

/*
 * A fault of the kernel at an address of vmalloc space. True: something is mapped there, and
 * machine_tlb_fill_kernel() has been called for it and its neighbours. Takes no lock.
 */
bool vmalloc_fault(unsigned long addr);
/* What the address is, for the report of a fault that vmalloc_fault() cannot help. Any context. */
void vmalloc_describe(unsigned long addr, char *buf, size_t size);

/* One line of /proc/vmallocinfo. */
struct vmap_info {
	unsigned long start, end; /* with the guard page */
	unsigned long flags, nr_pages;
	const void *caller;
	bool unpurged; /* freed, and not yet flushed */
};
/* The first area that ends behind addr; false: there is none. */
bool vmalloc_info(unsigned long addr, struct vmap_info *info);
unsigned long vmalloc_nr_pages(void); /* pages of all areas made by vmalloc() */

/* The kernel's own address space: its tables have what vmalloc() maps. */
extern struct mm_struct init_mm;

/* Boot, called by mm_init(). 0 or -ENOMEM. */
int vmalloc_init(void);

#endif
