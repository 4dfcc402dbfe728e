/* SPDX-License-Identifier: MIT */
/*
 * The TLBs: 64 translations a CPU, in 16 sets of 4, told apart by address space.
 *
 *	virtual page number  | tag                    | set |
 *						       3   0
 *
 * Each TLB has a lock. An access holds it from the look-up to the end of the copy, and a flush
 * takes it, so no access goes on through a translation once the flush has returned. The lock
 * nests inside mm->page_table_lock, which flushes may come with, and nothing is taken inside it.
 */
#include <string.h>

#include "soft_internal.h"

#define TLB_SETS 16
#define TLB_WAYS 4

static struct soft_tlb {
	u32 lock;
	unsigned int next_way[TLB_SETS]; /* to be pushed out next */
	struct tlb_entry entries[TLB_SETS][TLB_WAYS];
	struct soft_tlb_stats stats;
} __attribute__((aligned(64))) tlbs[MACHINE_MAX_CPUS];

static u64 last_asid;
static struct mm_struct *loaded_mm[MACHINE_MAX_CPUS];

void soft_tlb_reset(void)
{
	memset(tlbs, 0, sizeof(tlbs));
	memset(loaded_mm, 0, sizeof(loaded_mm));
}

u64 soft_asid(const struct mm_struct *mm)
{
	return (u64)(unsigned long)mm->machine;
}

/* Numbers are never used twice, so entries of a dead address space match nothing. */
int machine_mm_init(struct mm_struct *mm)
{
	mm->machine = (void *)__atomic_add_fetch(&last_asid, 1, __ATOMIC_RELAXED);
	return 0;
}

void machine_mm_exit(struct mm_struct *mm)
{
	mm->machine = NULL;
}

void machine_load_mm(struct mm_struct *mm)
{
	loaded_mm[machine_cpu_id()] = mm;
}

static struct soft_tlb *this_tlb(void)
{
	return &tlbs[machine_cpu_id()];
}

/* Lock held. */
static struct tlb_entry *tlb_lookup(struct soft_tlb *tlb, u64 asid, unsigned long vpn)
{
	struct tlb_entry *set = tlb->entries[vpn % TLB_SETS];

	for (int way = 0; way < TLB_WAYS; way++) {
		if (set[way].asid == asid && set[way].vpn == vpn)
			return &set[way];
	}
	return NULL;
}

static bool tlb_allows(const struct tlb_entry *entry, enum soft_access kind)
{
	if (kind == SOFT_STORE)
		return entry->write && entry->dirty;
	return kind == SOFT_LOAD || entry->exec;
}

/*
 * Aligned words are loaded and stored whole and in the processor's order, as on x86: programs
 * build locks on that.
 */
#define COPY_WORD(type, frame, buf, kind)                                          \
	do {                                                                       \
		type word;                                                         \
                                                                                   \
		if ((kind) == SOFT_STORE) {                                        \
			memcpy(&word, buf, sizeof(word));                          \
			__atomic_store_n((type *)(frame), word, __ATOMIC_RELEASE); \
		} else {                                                           \
			word = __atomic_load_n((type *)(frame), __ATOMIC_ACQUIRE); \
			memcpy(buf, &word, sizeof(word));                          \
		}                                                                  \
	} while (0)

static void copy_bytes(void *frame, void *buf, size_t len, enum soft_access kind)
{
	unsigned long at = (unsigned long)frame;

	if (len == sizeof(u32) && at % sizeof(u32) == 0)
		COPY_WORD(u32, frame, buf, kind);
	else if (len == sizeof(u64) && at % sizeof(u64) == 0)
		COPY_WORD(u64, frame, buf, kind);
	else if (kind == SOFT_STORE)
		memcpy(frame, buf, len);
	else
		memcpy(buf, frame, len);
}

bool soft_tlb_access(u64 asid, unsigned long addr, enum soft_access kind, void *buf, size_t len)
{
	struct soft_tlb *tlb = this_tlb();
	struct tlb_entry *entry;
	bool allowed;

	soft_lock(&tlb->lock);
	entry = tlb_lookup(tlb, asid, addr >> PAGE_SHIFT);
	allowed = entry && tlb_allows(entry, kind);
	if (allowed) {
		copy_bytes((char *)__va(entry->pfn << PAGE_SHIFT) + addr % PAGE_SIZE, buf, len,
			   kind);
		tlb->stats.hits++;
	} else {
		tlb->stats.misses++;
	}
	soft_unlock(&tlb->lock);
	return allowed;
}

void soft_tlb_insert(const struct tlb_entry *entry)
{
	struct soft_tlb *tlb = this_tlb();
	unsigned long set = entry->vpn % TLB_SETS;
	struct tlb_entry *slot;

	soft_lock(&tlb->lock);
	slot = tlb_lookup(tlb, entry->asid, entry->vpn);
	if (!slot)
		slot = &tlb->entries[set][tlb->next_way[set]++ % TLB_WAYS];
	*slot = *entry;
	soft_unlock(&tlb->lock);
}

bool soft_tlb_holds(struct mm_struct *mm, unsigned long addr, bool writable)
{
	struct soft_tlb *tlb = this_tlb();
	struct tlb_entry *entry;
	bool holds;

	soft_lock(&tlb->lock);
	entry = tlb_lookup(tlb, soft_asid(mm), addr >> PAGE_SHIFT);
	holds = entry && (!writable || tlb_allows(entry, SOFT_STORE));
	soft_unlock(&tlb->lock);
	return holds;
}

static void flush_one_tlb(struct soft_tlb *tlb, u64 asid, unsigned long start, unsigned long end,
			  enum tlb_flush how)
{
	struct tlb_entry *entry = tlb->entries[0];

	soft_lock(&tlb->lock);
	for (int i = 0; i < TLB_SETS * TLB_WAYS; i++, entry++) {
		if (entry->asid != asid || entry->vpn < start >> PAGE_SHIFT ||
		    entry->vpn >= end >> PAGE_SHIFT)
			continue;
		tlb->stats.flushed++;
		entry->write = false;
		if (how == TLB_FLUSH_ALL)
			entry->asid = 0;
	}
	soft_unlock(&tlb->lock);
}

void machine_tlb_flush(struct mm_struct *mm, unsigned long start, unsigned long end,
		       enum tlb_flush how)
{
	struct soft_tlb *own = this_tlb();

	for (unsigned int cpu = 0; cpu < soft_nr_cpus; cpu++)
		flush_one_tlb(&tlbs[cpu], soft_asid(mm), start, end, how);
	soft_lock(&own->lock);
	own->stats.flushes++;
	soft_unlock(&own->lock);
}

/* The walker fills the TLBs, at the next access. */
void machine_tlb_fill(struct mm_struct *mm, unsigned long addr, const u64 *ptep, unsigned int nr)
{
	(void)mm;
	(void)addr;
	(void)ptep;
	(void)nr;
}

void machine_tlb_replace(struct mm_struct *mm, unsigned long addr, const u64 *ptep, unsigned int nr)
{
	(void)ptep;
	machine_tlb_flush(mm, addr, addr + ((unsigned long)nr << PAGE_SHIFT), TLB_FLUSH_ALL);
}

void soft_tlb_count_fault(void)
{
	struct soft_tlb *tlb = this_tlb();

	soft_lock(&tlb->lock);
	tlb->stats.faults++;
	soft_unlock(&tlb->lock);
}

void soft_tlb_count_kernel_flush(void)
{
	struct soft_tlb *tlb = this_tlb();

	soft_lock(&tlb->lock);
	tlb->stats.kernel_flushes++;
	soft_unlock(&tlb->lock);
}

struct soft_tlb_stats soft_tlb_stats(void)
{
	struct soft_tlb_stats sum = { 0 };

	for (unsigned int cpu = 0; cpu < soft_nr_cpus; cpu++) {
		struct soft_tlb *tlb = &tlbs[cpu];

		soft_lock(&tlb->lock);
		sum.hits += tlb->stats.hits;
		sum.misses += tlb->stats.misses;
		sum.faults += tlb->stats.faults;
		sum.flushes += tlb->stats.flushes;
		sum.flushed += tlb->stats.flushed;
		sum.kernel_flushes += tlb->stats.kernel_flushes;
		soft_unlock(&tlb->lock);
	}
	return sum;
}

/* Programs here have no addresses that the kernel could use: it always goes by the tables. */
size_t machine_copy_from_user(struct mm_struct *mm, void *to, unsigned long from, size_t n)
{
	(void)mm;
	(void)to;
	(void)from;
	(void)n;
	return 0;
}

size_t machine_copy_to_user(struct mm_struct *mm, unsigned long to, const void *from, size_t n)
{
	(void)mm;
	(void)to;
	(void)from;
	(void)n;
	return 0;
}
