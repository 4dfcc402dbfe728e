/* SPDX-License-Identifier: MIT */
/*
 * The MMU: an access of a program, from the address to the byte.
 *
 *	TLB hit --------------------------------------> copy
 *	TLB miss -> walk the tables -> set A, D -> TLB -^
 *	                 | not there, not allowed
 *	                 v
 *	            do_page_fault() -> again, or a signal
 *
 * The walk sets Accessed and Dirty under page_table_lock, where hardware would use locked cycles:
 * the core changes entries under that lock only, so no bit is lost. The translation enters the TLB
 * before the lock is let go: a flush that follows a change of the entry finds it.
 */
#include "soft_internal.h"

/* A fault that is resolved again and again without the access getting through is a bug. */
#define MAX_FAULTS 1000

/* page_table_lock held. The entry for addr, or NULL if there is no table for it. */
static pte_t *walk_tables(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d = p4d_offset(pgd, addr);
	pud_t *pud;
	pmd_t *pmd;

	if (!p4d_present(*p4d))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (!pud_present(*pud))
		return NULL;
	pmd = pmd_offset(pud, addr);
	return pmd_present(*pmd) ? pte_offset_kernel(pmd, addr) : NULL;
}

/* The error code of the fault that the entry makes of the access; 0: it may go ahead. */
static unsigned int check_entry(pte_t pte, enum soft_access kind)
{
	unsigned int code = X86_PF_USER;

	if (kind == SOFT_STORE)
		code |= X86_PF_WRITE;
	if (kind == SOFT_EXEC)
		code |= X86_PF_INSTR;
	if (!pte_accessible(pte))
		return code;
	if (!(pte_val(pte) & _PAGE_USER) || (kind == SOFT_STORE && !pte_write(pte)) ||
	    (kind == SOFT_EXEC && !pte_exec(pte)))
		return code | X86_PF_PROT;
	return 0;
}

/* Bring the translation into the TLB; 0, or the error code of a fault. */
static unsigned int tlb_miss(struct mm_struct *mm, unsigned long addr, enum soft_access kind)
{
	unsigned int code = check_entry(__pte(0), kind);
	pte_t *ptep;

	if (addr >> 47)
		return code;
	spin_lock(&mm->page_table_lock);
	ptep = walk_tables(mm, addr);
	if (ptep)
		code = check_entry(ptep_get(ptep), kind);
	if (ptep && !code) {
		pte_t pte = pte_mkyoung(ptep_get(ptep));
		struct tlb_entry entry = {
			.asid = soft_asid(mm),
			.vpn = addr >> PAGE_SHIFT,
			.pfn = pte_pfn(pte),
			.write = pte_write(pte),
			.exec = pte_exec(pte),
		};

		if (kind == SOFT_STORE)
			pte = pte_mkdirty(pte);
		entry.dirty = pte_dirty(pte);
		set_pte(ptep, pte);
		soft_tlb_insert(&entry);
	}
	spin_unlock(&mm->page_table_lock);
	return code;
}

/* An access within one page. */
static struct soft_signal access_page(struct mm_struct *mm, unsigned long addr,
				      enum soft_access kind, void *buf, size_t len)
{
	struct soft_signal none = { 0, 0, 0 };
	unsigned int faults = 0;

	while (!soft_tlb_access(soft_asid(mm), addr, kind, buf, len)) {
		unsigned int code = tlb_miss(mm, addr, kind);
		struct fault_result result;

		if (!code)
			continue;
		if (++faults > MAX_FAULTS)
			machine_panic("soft: a fault is resolved, but the access faults again");
		soft_tlb_count_fault();
		result = do_page_fault(mm, addr, code);
		if (result.signo)
			return (struct soft_signal){ result.signo, result.si_code, addr };
	}
	return none;
}

static struct soft_signal access_bytes(struct mm_struct *mm, unsigned long addr,
				       enum soft_access kind, void *buf, size_t len)
{
	struct soft_signal signal = { 0, 0, 0 };
	char *bytes = buf;

	while (len && !signal.signo) {
		size_t n = PAGE_SIZE - addr % PAGE_SIZE;

		if (n > len)
			n = len;
		signal = access_page(mm, addr, kind, bytes, n);
		addr += n;
		bytes += n;
		len -= n;
	}
	return signal;
}

struct soft_signal soft_load(struct mm_struct *mm, unsigned long addr, void *buf, size_t len)
{
	return access_bytes(mm, addr, SOFT_LOAD, buf, len);
}

struct soft_signal soft_store(struct mm_struct *mm, unsigned long addr, const void *buf, size_t len)
{
	return access_bytes(mm, addr, SOFT_STORE, (void *)buf, len);
}

struct soft_signal soft_exec(struct mm_struct *mm, unsigned long addr)
{
	char instruction;

	return access_bytes(mm, addr, SOFT_EXEC, &instruction, 1);
}
