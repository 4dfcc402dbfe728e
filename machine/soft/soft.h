/* SPDX-License-Identifier: MIT */
/*
 * soft.h - the soft machine: a computer inside one ordinary process, for embedding and tests.
 *
 *	soft_init(64 << 20, 1);			  64 MiB, one CPU; the core is up
 *	struct mm_struct *mm = mm_alloc();
 *	do_mmap(mm, NULL, 0, 4096, ...);
 *	soft_store(mm, addr, "hello", 5);	  as a program's instruction would: TLB, tables, fault
 *	mmput(mm);
 *	soft_exit();
 *
 * Its CPUs are threads of the process: each thread that calls the core is one CPU, and says
 * which with soft_cpu_enter(). The MMU walks the tables as the processor does, sets Accessed and
 * Dirty, and keeps translations in a small TLB for each CPU, where they stay until
 * machine_tlb_flush() or until they are pushed out: a flush that the core forgets shows.
 */
#ifndef SOFT_H
#define SOFT_H

#include <quire/machine.h>
#include <quire/mm.h>
#include <quire/types.h>

/* ---- The machine -------------------------------------------------------------------------- */

/*
 * Boots a machine with ram_bytes of RAM from physical address 0 and nr_cpus CPUs; the caller is CPU
 * 0. Returns what mm_init() returns, or -EINVAL, -EBUSY (one is up), -ENOMEM. Memory of the host
 * is taken as it is touched.
 */
int soft_init(u64 ram_bytes, unsigned int nr_cpus);

/*
 * The same with a memory map as firmware might report it, sense or nonsense. Physical memory
 * exists in [0, span_bytes) where the map says RAM; other addresses fault the host.
 */
int soft_init_map(const struct e820_entry *map, int nr, u64 span_bytes, unsigned int nr_cpus);

/* Before soft_init_map(): how far it is between two nodes; 0: as usual, 10 within one and 20. */
void soft_node_distance(unsigned int from, unsigned int to, unsigned int distance);

/* Takes the machine down, whatever state it is in. No thread may be in the core. */
void soft_exit(void);

/*
 * Before soft_init(): RAM of the next machine contains garbage at power-on, as on real hardware, so
 * that the core has to clear it. (Otherwise it is zero, and the core is told so.)
 */
void soft_ram_garbage(bool garbage);

/*
 * Before soft_init(): the size of vmalloc space, 4 GiB if not set. 0: there is none, and RAM is in huge pages
 * where the host has them.
 */
void soft_vmalloc_bytes(unsigned long bytes);

/* ---- CPUs --------------------------------------------------------------------------------- */

/* The calling thread is CPU n from now on. One thread to a CPU. */
void soft_cpu_enter(unsigned int cpu);

/* Whether what the calling thread runs is being ended: its allocations take the reserves. */
void soft_cpu_dying(bool dying);
/* What machine_capable() says, bit n: capability n. None at first. */
void soft_set_capabilities(u64 caps);

/* ---- What programs do --------------------------------------------------------------------- */

/* How an access ended. signo 0: it was done. */
struct soft_signal {
	int signo; /* SIGSEGV, SIGBUS; SIGKILL: out of memory */
	int si_code; /* SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR */
	unsigned long addr; /* of the byte that faulted */
};

/*
 * Load, store or fetch through this CPU's TLB and the page tables of mm, faulting as often as
 * needed. What lies before the byte that faulted has been done.
 */
struct soft_signal soft_load(struct mm_struct *mm, unsigned long addr, void *buf, size_t len);
struct soft_signal soft_store(struct mm_struct *mm, unsigned long addr, const void *buf,
			      size_t len);
struct soft_signal soft_exec(struct mm_struct *mm, unsigned long addr);

struct soft_tlb_stats {
	u64 hits, misses; /* of lookups */
	u64 faults; /* do_page_fault() called */
	u64 flushes; /* machine_tlb_flush() called */
	u64 flushed; /* entries it found */
	u64 kernel_flushes; /* machine_tlb_flush_kernel() called */
};
struct soft_tlb_stats soft_tlb_stats(void);

/* Whether this CPU's TLB has a translation of addr (writable: one that lets stores pass). */
bool soft_tlb_holds(struct mm_struct *mm, unsigned long addr, bool writable);

/* ---- Block devices ------------------------------------------------------------------------ */

/* A device of so many bytes, zeros; its number, never 0. 0: no memory of the host. */
u64 soft_blk_create(u64 bytes);
/* A larger or smaller device. Its contents are kept, new bytes are zeros. 0, -ENODEV, -ENOMEM. */
int soft_blk_resize(u64 dev, u64 bytes);
/* Contents, for looking and for writing behind the core's back; NULL: no such device. */
unsigned char *soft_blk_data(u64 dev);
/* The nth transfer in this direction from now on fails with the errno given (negative). 0: none. */
void soft_blk_fail(u64 dev, bool write, unsigned long nth, int err);
/* Every transfer in these directions that includes the page fails with -EIO. One page of a device. */
void soft_blk_bad_page(u64 dev, pgoff_t index, bool read, bool write);

struct soft_blk_stats {
	u64 reads, writes; /* calls */
	u64 pages_read, pages_written;
	u64 flushes, releases;
};
struct soft_blk_stats soft_blk_stats(u64 dev);

/* ---- Hooks -------------------------------------------------------------------------------- */

/* NULL: the text goes to stderr, and the process aborts. May longjmp out. */
extern void (*soft_panic_hook)(const char *text);
/* NULL: warnings and errors go to stderr. The text is terminated. */
extern void (*soft_log_hook)(enum log_level level, const char *text);
/* Out of memory: the programs that run mm are to end. NULL: they go on, and find no memory. */
extern void (*soft_kill_hook)(struct mm_struct *mm);
extern void (*soft_trace_hook)(const struct trace_event *event);

/*
 * ns by which each look at the clocks advances them; 0: the host's clocks. Together with one CPU
 * it makes a run repeat exactly: machine_random() always repeats, from the seed.
 */
void soft_clock_step(u64 ns);
void soft_random_seed(u64 seed);

#endif
