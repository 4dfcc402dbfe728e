/* SPDX-License-Identifier: MIT */
/*
 * pgtable.h - page tables as the x86-64 processor defines them (Intel SDM vol. 3A, 4.5), 4 levels.
 *
 *   63 62    52 51                       12 11  9 8 7 6 5 4   3   2 1 0
 *   NX  ignored  physical address of frame   soft  G S D A PCD PWT U W P
 *
 *   47      39 38      30 29      21 20      12 11         0      virtual address
 *   pgd index  pud index  pmd index  pte index  offset in page
 *
 * The p4d level is folded into the pgd. Tables live in frames and are reached through the direct
 * map. A pte_t is changed only under mm->page_table_lock.
 *
 * Software's use of the ignored bits:
 *   SPECIAL   the frame has no reference of this entry (zero folio, device memory)
 *   UFFD_WP   a monitor has protected the page; RW is clear (userfaultfd_k.h)
 *   PROTNONE  (P clear, G set) a frame is held but the VMA forbids every access
 *   SWAP      (P and G clear) no frame is held: the entry says where the page is (swap.h)
 *
 * Accessed and Dirty are what the MMU would set. On machines whose TLB is filled by software the
 * core sets them just before machine_tlb_fill(), hence: no Accessed bit - not in any TLB; no
 * Dirty or no Write bit - in no TLB as writable.
 */
#ifndef QUIRE_PGTABLE_H
#define QUIRE_PGTABLE_H

#include <quire/kernel.h>
#include <quire/types.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(addr) (((addr) + PAGE_SIZE - 1) & PAGE_MASK)
#define PAGE_ALIGNED(addr) (((unsigned long)(addr) & (PAGE_SIZE - 1)) == 0)

#define PMD_SHIFT 21
#define PUD_SHIFT 30
#define PGDIR_SHIFT 39
#define PMD_SIZE (1UL << PMD_SHIFT)
#define PMD_MASK (~(PMD_SIZE - 1))
#define PUD_SIZE (1UL << PUD_SHIFT)
#define PUD_MASK (~(PUD_SIZE - 1))
#define PGDIR_SIZE (1UL << PGDIR_SHIFT)
#define PGDIR_MASK (~(PGDIR_SIZE - 1))
#define PTRS_PER_PTE 512

/* End of user space: the last page is left free, as on Linux. */
#define TASK_SIZE_MAX ((1UL << 47) - PAGE_SIZE)

#define _PAGE_PRESENT (1UL << 0)
#define _PAGE_RW (1UL << 1)
#define _PAGE_USER (1UL << 2)
#define _PAGE_PWT (1UL << 3)
#define _PAGE_PCD (1UL << 4)
#define _PAGE_ACCESSED (1UL << 5)
#define _PAGE_DIRTY (1UL << 6)
#define _PAGE_PSE (1UL << 7)
#define _PAGE_GLOBAL (1UL << 8)
#define _PAGE_PROTNONE _PAGE_GLOBAL
#define _PAGE_SWAP (1UL << 7)
#define _PAGE_SPECIAL (1UL << 9)
#define _PAGE_EARLY (1UL << 10) /* a copy of a file's page, made before it was written to */
#define _PAGE_UFFD_WP (1UL << 58) /* with RW clear: a write is the monitor's affair */
#define _PAGE_MARKER (1UL << 3) /* not present: no page, but something is known of the place */
#define _PAGE_POISON (1UL << 57) /* of a marker: the contents are lost */
#define _PAGE_NX (1UL << 63)

#define PTE_PFN_MASK 0x000ffffffffff000UL
#define _PAGE_TABLE (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED)

typedef struct {
	u64 pte;
} pte_t;
typedef struct {
	u64 pmd;
} pmd_t;
typedef struct {
	u64 pud;
} pud_t;
typedef struct {
	u64 p4d;
} p4d_t;
typedef struct {
	u64 pgd;
} pgd_t;
typedef struct {
	u64 pgprot;
} pgprot_t;

#define __pte(x) ((pte_t){ (x) })
#define __pgprot(x) ((pgprot_t){ (x) })
#define pte_val(x) ((x).pte)
#define pmd_val(x) ((x).pmd)
#define pud_val(x) ((x).pud)
#define p4d_val(x) ((x).p4d)
#define pgd_val(x) ((x).pgd)
#define pgprot_val(x) ((x).pgprot)

extern unsigned long page_offset_base;

#define PAGE_OFFSET page_offset_base
#define __va(pa) ((void *)((unsigned long)(pa) + page_offset_base))
#define __pa(va) ((unsigned long)(va)-page_offset_base)

static inline unsigned long pgd_index(unsigned long addr)
{
	return (addr >> PGDIR_SHIFT) & (PTRS_PER_PTE - 1);
}
static inline unsigned long pud_index(unsigned long addr)
{
	return (addr >> PUD_SHIFT) & (PTRS_PER_PTE - 1);
}
static inline unsigned long pmd_index(unsigned long addr)
{
	return (addr >> PMD_SHIFT) & (PTRS_PER_PTE - 1);
}
static inline unsigned long pte_index(unsigned long addr)
{
	return (addr >> PAGE_SHIFT) & (PTRS_PER_PTE - 1);
}

/*
 * The three upper levels differ in name only. *_none: empty. *_present: points to a table. *_bad:
 * neither: the table is damaged.
 */
#define QUIRE_PGTABLE_LEVEL(lvl)                               \
	static inline bool lvl##_none(lvl##_t e)               \
	{                                                      \
		return e.lvl == 0;                             \
	}                                                      \
	static inline bool lvl##_present(lvl##_t e)            \
	{                                                      \
		return e.lvl & _PAGE_PRESENT;                  \
	}                                                      \
	static inline bool lvl##_bad(lvl##_t e)                \
	{                                                      \
		return (e.lvl & ~PTE_PFN_MASK) != _PAGE_TABLE; \
	}                                                      \
	static inline void *lvl##_page_vaddr(lvl##_t e)        \
	{                                                      \
		return __va(e.lvl & PTE_PFN_MASK);             \
	}

QUIRE_PGTABLE_LEVEL(pgd)
QUIRE_PGTABLE_LEVEL(pud)
QUIRE_PGTABLE_LEVEL(pmd)

/* The folded level: a p4d entry is the pgd entry it lies in. */
static inline bool p4d_none(p4d_t e)
{
	return e.p4d == 0;
}
static inline bool p4d_present(p4d_t e)
{
	return e.p4d & _PAGE_PRESENT;
}
static inline bool p4d_bad(p4d_t e)
{
	return (e.p4d & ~PTE_PFN_MASK) != _PAGE_TABLE;
}

static inline pgd_t *pgd_offset_pgd(pgd_t *pgd, unsigned long addr)
{
	return pgd + pgd_index(addr);
}
#define pgd_offset(mm, addr) pgd_offset_pgd((mm)->pgd, addr)

static inline p4d_t *p4d_offset(pgd_t *pgd, unsigned long addr)
{
	(void)addr;
	return (p4d_t *)pgd;
}
static inline pud_t *pud_offset(p4d_t *p4d, unsigned long addr)
{
	return (pud_t *)__va(p4d->p4d & PTE_PFN_MASK) + pud_index(addr);
}
static inline pmd_t *pmd_offset(pud_t *pud, unsigned long addr)
{
	return (pmd_t *)pud_page_vaddr(*pud) + pmd_index(addr);
}
static inline pte_t *pte_offset_kernel(pmd_t *pmd, unsigned long addr)
{
	return (pte_t *)pmd_page_vaddr(*pmd) + pte_index(addr);
}

static inline bool pte_none(pte_t pte)
{
	return pte.pte == 0;
}
/* A frame is there, though perhaps not accessible (PROTNONE). */
static inline bool pte_present(pte_t pte)
{
	return pte.pte & (_PAGE_PRESENT | _PAGE_PROTNONE);
}
/* The MMU may use the entry. */
static inline bool pte_accessible(pte_t pte)
{
	return pte.pte & _PAGE_PRESENT;
}
static inline bool pte_write(pte_t pte)
{
	return pte.pte & _PAGE_RW;
}
static inline bool pte_dirty(pte_t pte)
{
	return pte.pte & _PAGE_DIRTY;
}
static inline bool pte_young(pte_t pte)
{
	return pte.pte & _PAGE_ACCESSED;
}
static inline bool pte_exec(pte_t pte)
{
	return !(pte.pte & _PAGE_NX);
}
static inline bool pte_special(pte_t pte)
{
	return pte.pte & _PAGE_SPECIAL;
}
static inline unsigned long pte_pfn(pte_t pte)
{
	return (pte.pte & PTE_PFN_MASK) >> PAGE_SHIFT;
}
static inline pte_t pfn_pte(unsigned long pfn, pgprot_t prot)
{
	return __pte((u64)pfn << PAGE_SHIFT | prot.pgprot);
}
static inline pte_t pte_mkwrite(pte_t pte)
{
	return __pte(pte.pte | _PAGE_RW);
}
static inline pte_t pte_wrprotect(pte_t pte)
{
	return __pte(pte.pte & ~_PAGE_RW);
}
static inline pte_t pte_mkdirty(pte_t pte)
{
	return __pte(pte.pte | _PAGE_DIRTY);
}
static inline pte_t pte_mkclean(pte_t pte)
{
	return __pte(pte.pte & ~_PAGE_DIRTY);
}
static inline pte_t pte_mkyoung(pte_t pte)
{
	return __pte(pte.pte | _PAGE_ACCESSED);
}
static inline pte_t pte_mkold(pte_t pte)
{
	return __pte(pte.pte & ~_PAGE_ACCESSED);
}
static inline bool pte_early(pte_t pte)
{
	return pte.pte & _PAGE_EARLY;
}
static inline pte_t pte_mkearly(pte_t pte)
{
	return __pte(pte.pte | _PAGE_EARLY);
}
static inline bool pte_uffd_wp(pte_t pte)
{
	return pte.pte & _PAGE_UFFD_WP;
}
static inline pte_t pte_mkuffd_wp(pte_t pte)
{
	return __pte((pte.pte | _PAGE_UFFD_WP) & ~_PAGE_RW);
}
static inline pte_t pte_clear_uffd_wp(pte_t pte)
{
	return __pte(pte.pte & ~_PAGE_UFFD_WP);
}
/*
 * An absent page that is write-protected (UFFD_WP), or whose contents a monitor has declared lost. Such an entry
 * is neither none nor present nor one of swap.
 */
static inline bool is_pte_marker(pte_t pte)
{
	return (pte.pte & (_PAGE_MARKER | _PAGE_PRESENT | _PAGE_PROTNONE | _PAGE_PSE)) ==
	       _PAGE_MARKER;
}
static inline pte_t make_pte_marker(u64 what)
{
	return __pte(_PAGE_MARKER | what);
}
static inline pte_t pte_mkspecial(pte_t pte)
{
	return __pte(pte.pte | _PAGE_SPECIAL);
}
/* Protection bits from prot; frame, Accessed, Dirty, SPECIAL, EARLY and UFFD_WP kept. */
static inline pte_t pte_modify(pte_t pte, pgprot_t prot)
{
	const u64 keep = PTE_PFN_MASK | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_SPECIAL | _PAGE_EARLY |
			 _PAGE_UFFD_WP;
	pte_t out = __pte((pte.pte & keep) | (prot.pgprot & ~keep));

	return pte_uffd_wp(out) ? pte_wrprotect(out) : out;
}
static inline void set_pte(pte_t *ptep, pte_t pte)
{
	WRITE_ONCE(ptep->pte, pte.pte);
}
static inline pte_t ptep_get(const pte_t *ptep)
{
	return __pte(READ_ONCE(ptep->pte));
}

#endif
