/* SPDX-License-Identifier: MIT */
/*
 * machine.h - the porting contract.
 *
 * Everything that Quire's core asks of the machine below it is declared here, and nothing else is
 * needed to run it: a port defines these functions (they are found at link time) plus memcpy,
 * memset, memmove and memcmp. docs/porting.md leads through a port step by step.
 *
 * Contexts. "early": before mm_init() returns, one CPU. "atomic": a spinlock may be held and
 * interrupts may be off: the function may not sleep nor call back into the core. "may sleep":
 * called with at most sleeping locks held.
 *
 * Direct map. The port maps all RAM, before it calls mm_init(), at page_offset_base: physical
 * address p is at page_offset_base + p. The core reads and writes frames only through it.
 */
#ifndef QUIRE_MACHINE_H
#define QUIRE_MACHINE_H

#include <quire/types.h>

struct mm_struct;
struct page;

/* ---- Memory map ------------------------------------------------------------------------- */

/* As BIOS int 15h/E820 and UEFI report them (ACPI 6.5, section 15, table 15.6). */
enum e820_type {
	E820_TYPE_RAM = 1,
	E820_TYPE_RESERVED = 2,
	E820_TYPE_ACPI = 3,
	E820_TYPE_NVS = 4,
	E820_TYPE_UNUSABLE = 5,
};

struct e820_entry {
	phys_addr_t addr; /* bytes */
	u64 size; /* bytes */
	u32 type; /* enum e820_type */
	u32 node; /* NUMA node, 0 on a machine of one node */
};

/*
 * Fills map[] with at most max ranges; returns how many there are, or a negative errno. Ranges
 * may be unsorted, overlap (the higher type wins) and leave holes. Frames that the port uses
 * itself (kernel image, tables) are reported as a second, reserved range. Early.
 */
int machine_memory_map(struct e820_entry *map, int max);

/* Whether frames that were never handed out read as zeros, so that the core need not clear them. */
bool machine_ram_is_zeroed(void);

/*
 * Clear nr whole frames at addr in the direct map. For ports that know a better way than memset(), which
 * is what all others call. Atomic.
 */
void machine_clear_pages(void *addr, unsigned long nr);

/* Between two nodes of the map, 10 within one (ACPI 6.5, SLIT); 10 and 20 if nobody knows better. Early. */
unsigned int machine_node_distance(unsigned int from, unsigned int to);

/* Virtual address of physical address 0. Set by the port before mm_init(). */
extern unsigned long page_offset_base;

/* ---- CPUs ------------------------------------------------------------------------------- */

#define MACHINE_MAX_CPUS 64

/* CPUs that may run kernel code, 1 ... MACHINE_MAX_CPUS; constant after mm_init(). */
unsigned int machine_nr_cpus(void);

/* Slots of the CPUs are this far apart. */
#define MACHINE_SLOT_BYTES 512ul

/*
 * The five below are on the fastest paths. A port that can do them in a few instructions may supply
 * them as inline functions as well, in a header of its own by the name of <quire/machine_inline.h>; the
 * core is then compiled with -DCONFIG_MACHINE_INLINE and that header's folder in the include path.
 */
#ifdef CONFIG_MACHINE_INLINE
#include <quire/machine_inline.h>
#else
/* The CPU the caller runs on; stable until the caller sleeps or enables interrupts. Any context. */
unsigned int machine_cpu_id(void);

/*
 * Whose lists the caller may use without turning interrupts off: those of its CPU, machine_cpu_id(). In
 * an interrupt handler, which may have come in the middle of such a use, it is machine_nr_cpus().
 * Stable as machine_cpu_id(), so kernel code is not preempted by other kernel code. Any context.
 */
unsigned int machine_cpu_slot(void);

/*
 * Turn interrupts off on this CPU and return what machine_irq_restore() needs to undo it; nests.
 * After it the caller is alone on this CPU's per-CPU data. Any context.
 */
unsigned long machine_irq_save(void);
void machine_irq_restore(unsigned long flags);

/* Where the caller's slot lies among slots of so many bytes. */
static inline unsigned long machine_slot_offset(void)
{
	return machine_cpu_slot() * MACHINE_SLOT_BYTES;
}
#endif

/*
 * One turn of a spin-wait, the spins-th in a row: pause the CPU, and on machines whose CPUs are
 * somebody else's threads, now and then give way to them. Atomic.
 */
void machine_relax(unsigned int spins);

/*
 * Run fn(arg) on every CPU in the mask (bit n: CPU n) other than the caller's, in interrupt
 * context there; return when all have finished. Interrupts on, may spin, called with at most
 * sleeping locks held. Ports with one CPU do nothing.
 */
void machine_ipi(u64 cpumask, void (*fn)(void *arg), void *arg);

/* ---- TLB -------------------------------------------------------------------------------- */

enum tlb_flush {
	TLB_FLUSH_ALL, /* forget the translations */
	TLB_FLUSH_WRITE, /* it suffices that none of them permits writing any more */
};

/* Attach and detach the port's own state (mm->machine) at mm_alloc() and at the last mmdrop(). */
int machine_mm_init(struct mm_struct *mm);
void machine_mm_exit(struct mm_struct *mm);

/*
 * When it returns, no CPU uses a stale translation of mm for user addresses [start, end) (page
 * aligned); the entries in the tables have been changed already. The port may flush more than
 * asked. Called with mm->page_table_lock or with mmap_lock held for writing, so it may not take
 * either; it may wait for other CPUs, and those must not need a lock of the core to answer.
 */
void machine_tlb_flush(struct mm_struct *mm, unsigned long start, unsigned long end,
		       enum tlb_flush how);

/*
 * For TLBs that are filled by software: nr consecutive present entries of mm from addr on, as
 * they stand in the tables, may be entered. Called under mm->page_table_lock right after a fault
 * was resolved. The port sets no bits in the tables: the core has set Accessed, and Dirty
 * for a write. Hardware walkers do nothing. The port may enter fewer or none: the next access then
 * faults again and the core answers with the same entries.
 */
void machine_tlb_fill(struct mm_struct *mm, unsigned long addr, const u64 *ptep, unsigned int nr);

/*
 * As machine_tlb_flush() and then machine_tlb_fill() of nr entries, all young and present, which have
 * got other frames: a port that can put a translation in the place of another saves the first
 * step. When it returns no CPU uses the old ones, whether or not the new ones were entered.
 */
void machine_tlb_replace(struct mm_struct *mm, unsigned long addr, const u64 *ptep,
			 unsigned int nr);

/* Addresses [start, end), page aligned. */
struct machine_range {
	unsigned long start, end;
};

/*
 * As machine_tlb_flush() for kernel addresses, whose entries are those of init_mm: when it returns,
 * nobody in kernel mode uses a stale one, whatever process he is in. nr ranges, none adjacent to
 * another. May sleep.
 */
void machine_tlb_flush_kernel(const struct machine_range *ranges, unsigned int nr);

/*
 * As machine_tlb_fill() for kernel addresses: nr consecutive present entries of init_mm, just made or
 * just missed (vmalloc_fault()). Hardware walkers do nothing. Any context.
 */
void machine_tlb_fill_kernel(unsigned long addr, const u64 *ptep, unsigned int nr);

/* Make mm the address space that user-mode accesses of this CPU go through. Atomic. */
void machine_load_mm(struct mm_struct *mm);

/* ---- User memory --------------------------------------------------------------------------- */

/*
 * Copy between the kernel and user memory through the MMU, if mm is what the caller's CPU has loaded: as far as
 * that is possible without handling a fault. The bytes copied, from the first on; the caller does the rest by way of
 * the tables, so a port may always say 0. Any context but with locks of the port's own held.
 */
size_t machine_copy_from_user(struct mm_struct *mm, void *to, unsigned long from, size_t n);
size_t machine_copy_to_user(struct mm_struct *mm, unsigned long to, const void *from, size_t n);

/* ---- Out of memory ---------------------------------------------------------------------- */

/*
 * End every program that runs mm, as SIGKILL does, and return at once. After the next
 * machine_tlb_flush() of mm none of them executes an instruction any more. Atomic.
 */
void machine_kill_mm(struct mm_struct *mm);

/* Whether the caller's program is being ended: then it gets the last reserves. Any context. */
bool machine_is_dying(void);

/* ---- Privileges ------------------------------------------------------------------------- */

/* By Linux's numbers. */
#define CAP_IPC_LOCK 14
#define CAP_SYS_PTRACE 19
#define CAP_SYS_ADMIN 21
#define CAP_SYS_NICE 23
#define CAP_SYS_RESOURCE 24

/* Whether the program that the caller runs has the capability. Any context. */
bool machine_capable(int cap);

/* ---- Waiting ---------------------------------------------------------------------------- */

#define MACHINE_WAIT_FOREVER (~0ull)

/*
 * Sleep while *word == val, at most timeout_ns nanoseconds. Returns 0 when woken or when the
 * value differs (also spuriously: the caller looks again), -ETIMEDOUT. The CPU is free for
 * others meanwhile. Signals do not end it. May sleep.
 */
int machine_wait(u32 *word, u32 val, u64 timeout_ns);

/* Wake at most n sleepers on word. Any context; takes no lock of the core. */
void machine_wake(u32 *word, int n);

/* ---- Storage ---------------------------------------------------------------------------- */

/*
 * Read or write n whole pages of a device, starting at its page `index`, from or to the frames
 * pages[0 ... n-1]. A device is anything addressed in pages: a swap area, a disk, a file that the
 * port knows by number. Bytes past the end of a device read as zeros; writes past the end of a
 * file-like device are cut at its end. Returns 0 or -EIO, -ENOSPC, -ENODEV. May sleep.
 */
int machine_block_rw(u64 dev, pgoff_t index, struct page *const *pages, unsigned int n, bool write);

/* Make what was written durable. 0 or -EIO ... May sleep. */
int machine_block_flush(u64 dev);

/* Whether there is a hole at the page of a file-like device, so that it reads as zeros. May sleep. */
bool machine_block_hole(u64 dev, pgoff_t index);
/* Make a hole of the pages first to last of such a device. 0 or negative errno. May sleep. */
int machine_block_punch(u64 dev, pgoff_t first, pgoff_t last);

/* The core holds no page of the device any more. May sleep. */
void machine_block_release(u64 dev);

/* ---- Clock, log, end, entropy ----------------------------------------------------------- */

u64 machine_clock_ns(void); /* monotonic; any context */
u64 machine_realtime_ns(void); /* since 1970; any context */

enum log_level {
	LOG_ERR = 3,
	LOG_WARNING = 4,
	LOG_INFO = 6,
	LOG_DEBUG = 7
};

/* One message of len bytes without a newline. Any context; may drop, may not block for long. */
void machine_log(enum log_level level, const char *text, size_t len);

/* The core found its own state broken. Does not return. Any context. */
void machine_panic(const char *text) __attribute__((noreturn));

/* Unpredictable bytes where the machine has them. Any context. */
void machine_random(void *buf, size_t len);

struct trace_event;
/* Receives each event while trace_enabled (trace.h) is set. Atomic. */
void machine_trace(const struct trace_event *event);

#endif
