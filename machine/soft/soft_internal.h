/* SPDX-License-Identifier: MIT */
/* soft_internal.h - what the files of the soft machine share. */
#ifndef SOFT_INTERNAL_H
#define SOFT_INTERNAL_H

#include "soft.h"

/* A lock for a few instructions, of the machine's own: the core cannot be asked for one. */
static inline void soft_lock(u32 *lock)
{
	unsigned int spins = 0;

	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		machine_relax(spins++);
}

static inline void soft_unlock(u32 *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

/* cpu.c; these also machine_inline.h knows. */
extern unsigned int soft_nr_cpus;
extern __thread unsigned int soft_this_cpu;
extern __thread unsigned long soft_this_offset; /* machine_slot_offset() */
void soft_irq_off(void);
void soft_irq_on(void);
void soft_cpu_reset(void);

/* tlb.c: one translation, as the walker found it. */
struct tlb_entry {
	u64 asid; /* 0: empty */
	unsigned long vpn;
	unsigned long pfn;
	bool write, exec;
	bool dirty; /* the walker has set Dirty: stores need not walk again */
};

enum soft_access {
	SOFT_LOAD,
	SOFT_STORE,
	SOFT_EXEC
};

void soft_tlb_reset(void);
u64 soft_asid(const struct mm_struct *mm);
/*
 * If this CPU's TLB allows the access: copy between buf and the page, and true. The copy is over
 * before any flush returns.
 */
bool soft_tlb_access(u64 asid, unsigned long addr, enum soft_access kind, void *buf, size_t len);
void soft_tlb_insert(const struct tlb_entry *entry);
void soft_tlb_count_fault(void);
void soft_tlb_count_kernel_flush(void);

/* ram.c */
extern int soft_ram_fd; /* the object that has the RAM: byte n is physical address n */

/* kernel_map.c */
int soft_kernel_map_init(void); /* 0 or -ENOMEM */
void soft_kernel_map_exit(void);

/* block.c */
void soft_blk_reset(void);

#endif
