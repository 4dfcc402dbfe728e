/* SPDX-License-Identifier: MIT */
/*
 * vmalloc: frames from anywhere, one behind the other in kernel addresses.
 *
 *	vm_struct.pages[]   frame 17   frame 4   frame 90
 *	                        |         |         |        entries in init_mm's tables
 *	addresses            |--------|--------|--------|  guard  |
 *
 * Whoever uses the memory does so at those addresses, through the machine's TLB. A hardware walker
 * finds the tables of init_mm. A TLB that is filled by software learns of the entries when they are
 * made, on the CPU that makes them; everybody else faults at his first access, and vmalloc_fault()
 * answers with the entry and its neighbours.
 *
 * vfree() clears the entries and frees the frames at once; the addresses wait for a flush
 * (vmap_area.c), so that no TLB confuses an old area with a new one.
 *
 * Locking. An area's entries are written by its owner alone, when it is made and when it is freed,
 * and read by whoever uses it in between: no lock. Tables are linked and freed under
 * init_mm.page_table_lock; those that an area in use needs stay.
 */
#include <quire/errno.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/slab.h>
#include <quire/sprintf.h>
#include <quire/string.h>

#include "vmap_area.h"

/* Entries that one fault brings in at most, on both sides together. */
#define FAULT_AROUND 64UL
#define BULK 64u

static struct kmem_cache *vm_struct_cachep;
static atomic_long_t nr_vmalloc_pages;

/* ---- Entries --------------------------------------------------------------------------------- */

static void clear_kernel_range(unsigned long addr, unsigned long end)
{
	pte_t *ptep;

	for (; (ptep = pte_next(&init_mm, &addr, end)); addr += PAGE_SIZE)
		set_pte(ptep, __pte(0));
}

/* Up to the end of the table that addr lies in. */
static unsigned long table_end(unsigned long addr, unsigned long end)
{
	unsigned long next = (addr & PMD_MASK) + PMD_SIZE;

	return next - 1 < end - 1 ? next : end;
}

/* 0, or -ENOMEM: then some of the entries are there. */
static int map_kernel_range(unsigned long addr, struct page **pages, unsigned long nr,
			    pgprot_t prot)
{
	unsigned long end = addr + (nr << PAGE_SHIFT), next;

	for (; addr < end; addr = next) {
		pte_t *ptep = pte_alloc_map(&init_mm, addr);
		unsigned int n;

		if (!ptep)
			return -ENOMEM;
		next = table_end(addr, end);
		n = (unsigned int)((next - addr) >> PAGE_SHIFT);
		for (unsigned int i = 0; i < n; i++)
			set_pte(ptep + i, pfn_pte(page_to_pfn(*pages++), prot));
		machine_tlb_fill_kernel(addr, (const u64 *)ptep, n);
	}
	return 0;
}

static bool present(const pte_t *ptep)
{
	return pte_accessible(ptep_get(ptep));
}

bool vmalloc_fault(unsigned long addr)
{
	unsigned long first, last;
	pte_t *ptep;

	if (!is_vmalloc_addr((void *)addr))
		return false;
	addr &= PAGE_MASK;
	ptep = pte_lookup(&init_mm, addr);
	if (!ptep || !present(ptep))
		return false;
	first = last = pte_index(addr);
	ptep -= first;
	/* Aligned blocks, so that a walk through an area faults once for each. */
	while (first % FAULT_AROUND && present(ptep + first - 1))
		first--;
	while ((last + 1) % FAULT_AROUND && present(ptep + last + 1))
		last++;
	machine_tlb_fill_kernel((addr & PMD_MASK) + (first << PAGE_SHIFT),
				(const u64 *)(ptep + first), (unsigned int)(last - first + 1));
	return true;
}

struct page *vmalloc_to_page(const void *addr)
{
	pte_t *ptep = NULL;

	if (is_vmalloc_addr(addr))
		ptep = pte_lookup(&init_mm, (unsigned long)addr);
	return ptep && present(ptep) ? pfn_to_page(pte_pfn(ptep_get(ptep))) : NULL;
}

unsigned long vmalloc_to_pfn(const void *addr)
{
	return page_to_pfn(vmalloc_to_page(addr));
}

/* ---- Areas ----------------------------------------------------------------------------------- */

/* Addresses for nr pages and the guard behind them. NULL: no memory, no room. */
static struct vm_struct *get_vm_area(unsigned long nr, unsigned long align, unsigned long flags,
				     const void *caller)
{
	struct vm_struct *vm = kmem_cache_zalloc(vm_struct_cachep, GFP_KERNEL);
	struct vmap_area *va;

	if (!vm)
		return NULL;
	vm->size = (nr + !(flags & VM_NO_GUARD)) << PAGE_SHIFT;
	vm->flags = flags;
	vm->caller = caller;
	va = alloc_vmap_area(vm->size, align, vm);
	if (!va) {
		kmem_cache_free(vm_struct_cachep, vm);
		return NULL;
	}
	vm->addr = (void *)va->va_start;
	return vm;
}

static void free_pages_array(struct vm_struct *vm)
{
	for (unsigned long i = 0; i < vm->nr_pages && vm->pages[i]; i++)
		put_page(vm->pages[i]);
	kvfree(vm->pages);
}

/* The area that begins at addr, and all that is its own. */
static void remove_vm_area(const void *addr, bool may_have_pages)
{
	struct vmap_area *va = unlink_vmap_area((unsigned long)addr);
	struct vm_struct *vm;

	if (!va) {
		pr_err("no vmalloc area begins at %p", addr);
		BUG_ON(!va);
	}
	vm = va->vm;
	BUG_ON(!may_have_pages && vm->flags & (VM_ALLOC | VM_MAP_PUT_PAGES));
	clear_kernel_range(va->va_start, va->va_end);
	free_vmap_area(va);
	if (vm->flags & VM_ALLOC)
		atomic_long_sub((long)vm->nr_pages, &nr_vmalloc_pages);
	if (vm->flags & (VM_ALLOC | VM_MAP_PUT_PAGES))
		free_pages_array(vm);
	kmem_cache_free(vm_struct_cachep, vm);
}

void vfree(const void *addr)
{
	if (addr)
		remove_vm_area(addr, true);
}

void vunmap(const void *addr)
{
	if (addr)
		remove_vm_area(addr, false);
}

void *vmap(struct page **pages, unsigned int count, unsigned long flags, pgprot_t prot)
{
	struct vm_struct *vm;

	if (!count || count > totalram_pages())
		return NULL;
	vm = get_vm_area(count, PAGE_SIZE, (flags & ~VM_ALLOC) | VM_MAP,
			 __builtin_return_address(0));
	if (!vm)
		return NULL;
	if (map_kernel_range((unsigned long)vm->addr, pages, count, prot)) {
		vm->flags &= ~VM_MAP_PUT_PAGES; /* they stay the caller's */
		vunmap(vm->addr);
		return NULL;
	}
	vm->nr_pages = count;
	if (flags & VM_MAP_PUT_PAGES)
		vm->pages = pages;
	return vm->addr;
}

/* ---- vmalloc --------------------------------------------------------------------------------- */

/* As many pages as one huge block has, in one piece, if one is easily had. */
static bool take_huge_block(struct page **pages, gfp_t gfp, int node)
{
	const unsigned int order = PMD_SHIFT - PAGE_SHIFT;
	struct page *block = alloc_pages_node(node, gfp | __GFP_NOWARN | __GFP_NORETRY, order);

	if (!block)
		return false;
	split_page(block, order);
	for (unsigned long i = 0; i < 1UL << order; i++)
		pages[i] = block + i;
	return true;
}

static bool fill_pages_array(struct page **pages, unsigned long nr, gfp_t gfp, int node, bool huge)
{
	const unsigned long block = 1UL << (PMD_SHIFT - PAGE_SHIFT);
	unsigned long done = 0;

	while (huge && nr - done >= block && take_huge_block(pages + done, gfp, node))
		done += block;
	while (done < nr) {
		unsigned long n = min(nr - done, (unsigned long)BULK);

		if (node == NUMA_NO_NODE) {
			if (alloc_pages_bulk(gfp, n, pages + done) < n)
				return false;
		} else {
			n = 1;
			pages[done] = alloc_pages_node(node, gfp, 0);
			if (!pages[done])
				return false;
		}
		done += n;
	}
	return true;
}

static int populate_area(struct vm_struct *vm, unsigned long nr, gfp_t gfp, int node, bool huge)
{
	vm->pages = kvcalloc(nr, sizeof(*vm->pages), GFP_KERNEL | (gfp & __GFP_NOWARN));
	if (!vm->pages)
		return -ENOMEM;
	vm->nr_pages = nr;
	atomic_long_add((long)nr, &nr_vmalloc_pages);
	if (!fill_pages_array(vm->pages, nr, gfp, node, huge))
		return -ENOMEM;
	return map_kernel_range((unsigned long)vm->addr, vm->pages, nr, PAGE_KERNEL);
}

static void *vmalloc_pages(unsigned long size, gfp_t gfp, int node, bool huge, const void *caller)
{
	unsigned long nr = PAGE_ALIGN(size) >> PAGE_SHIFT;
	struct vm_struct *vm;

	/* More than there is need not be tried: it would drive everything else out first. */
	if (!nr || nr > totalram_pages())
		return NULL;
	huge &= nr << PAGE_SHIFT >= PMD_SIZE;
	vm = get_vm_area(nr, huge ? PMD_SIZE : PAGE_SIZE, VM_ALLOC, caller);
	if (!vm)
		return NULL;
	if (populate_area(vm, nr, gfp, node, huge)) {
		vfree(vm->addr);
		return NULL;
	}
	return vm->addr;
}

void *__vmalloc(unsigned long size, gfp_t gfp)
{
	return vmalloc_pages(size, gfp, NUMA_NO_NODE, false, __builtin_return_address(0));
}

void *vmalloc(unsigned long size)
{
	return vmalloc_pages(size, GFP_KERNEL, NUMA_NO_NODE, false, __builtin_return_address(0));
}

void *vzalloc(unsigned long size)
{
	return vmalloc_pages(size, GFP_KERNEL | __GFP_ZERO, NUMA_NO_NODE, false,
			     __builtin_return_address(0));
}

void *vmalloc_node(unsigned long size, int node)
{
	return vmalloc_pages(size, GFP_KERNEL, node, false, __builtin_return_address(0));
}

void *vzalloc_node(unsigned long size, int node)
{
	return vmalloc_pages(size, GFP_KERNEL | __GFP_ZERO, node, false,
			     __builtin_return_address(0));
}

void *vmalloc_huge(unsigned long size, gfp_t gfp)
{
	return vmalloc_pages(size, gfp, NUMA_NO_NODE, true, __builtin_return_address(0));
}

/* ---- Either way ------------------------------------------------------------------------------ */

/*
 * What takes a block of more than a few frames is not worth it: large blocks are for those who have
 * no other way.
 */
#define KVMALLOC_MAX_PIECE (PAGE_SIZE << 2)

void *kvmalloc(size_t size, gfp_t gfp)
{
	gfp_t first = gfp;
	void *p = NULL;

	if (size > PAGE_SIZE)
		first |= __GFP_NOWARN | __GFP_NORETRY;
	if (size <= KVMALLOC_MAX_PIECE || !vmalloc_bytes)
		p = kmalloc(size, first);
	if (p || size <= PAGE_SIZE)
		return p;
	return vmalloc_pages(size, gfp, NUMA_NO_NODE, true, __builtin_return_address(0));
}

void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kvmalloc(bytes, gfp | __GFP_ZERO);
}

void *kvrealloc(const void *p, size_t old_size, size_t new_size, gfp_t gfp)
{
	void *copy = kvmalloc(new_size, gfp);

	if (!copy)
		return NULL;
	if (p)
		memcpy(copy, p, min(old_size, new_size));
	kvfree(p);
	return copy;
}

void kvfree(const void *p)
{
	if (is_vmalloc_addr(p))
		vfree(p);
	else
		kfree(p);
}

/* ---- Telling --------------------------------------------------------------------------------- */

unsigned long vmalloc_nr_pages(void)
{
	return (unsigned long)max(atomic_long_read(&nr_vmalloc_pages), 0L);
}

void vmalloc_describe(unsigned long addr, char *buf, size_t size)
{
	struct vmap_info info;

	if (!vmalloc_peek(addr, &info))
		snprintf(buf, size, "in no vmalloc area");
	else if (info.unpurged)
		snprintf(buf, size, "in a vmalloc area that was freed, %#lx to %#lx", info.start,
			 info.end);
	else if (!(info.flags & VM_NO_GUARD) && addr >= info.end - PAGE_SIZE)
		snprintf(buf, size,
			 "in the guard page behind the vmalloc area of %lu pages at %#lx, made at "
			 "%p",
			 info.nr_pages, info.start, info.caller);
	else
		snprintf(buf, size, "in the vmalloc area at %#lx, made at %p", info.start,
			 info.caller);
}

int vmalloc_init(void)
{
	memset(&init_mm, 0, sizeof(init_mm));
	atomic_set(&init_mm.mm_users, 1);
	atomic_set(&init_mm.mm_count, 1);
	init_rwsem(&init_mm.mmap_lock);
	spin_lock_init(&init_mm.page_table_lock);
	atomic_long_set(&nr_vmalloc_pages, 0);
	vm_struct_cachep =
		kmem_cache_create("vm_struct", sizeof(struct vm_struct), 0, SLAB_PANIC, NULL);
	init_mm.pgd = pgd_alloc(&init_mm);
	if (!init_mm.pgd)
		return -ENOMEM;
	vmap_area_init();
	return 0;
}
