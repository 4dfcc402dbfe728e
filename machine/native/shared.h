/* SPDX-License-Identifier: MIT */
/*
 * shared.h - what the quire command (a libc program) and the guest kernel (freestanding, its own
 * ELF) know of each other. Plain integers only; no header but the compiler's.
 *
 * The command loads the kernel's image, finds struct kernel_entry at the ELF entry point, fills
 * in its machine_params and calls boot(). Everything below lies in memory that all processes of the
 * machine share at the same address.
 */
#ifndef NATIVE_SHARED_H
#define NATIVE_SHARED_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Addresses, the same in every process of the machine; between the sanitizers' shadows and the
 * usual mmap area.
 */
#define KERNEL_BASE 0x680000000000ul /* the kernel's image */
#define DIRECT_MAP_BASE 0x690000000000ul /* all RAM */
#define NATIVE_VMALLOC_BASE 0x688000000000ul /* the kernel's scattered memory, filled on demand */
#define NATIVE_VMALLOC_BYTES 0x8000000000ul
#define KERNEL_END 0x700000000000ul

#define NATIVE_MAX_CPUS 64
#define NATIVE_MAX_NODES 8
#define NATIVE_SWAP_FDS 4 /* of the first swap areas */
/* RAM, keeper, log, dump, swap: consecutive numbers from fd_floor on */
#define NATIVE_SWAP_FD(i) (4 + (i))
#define NATIVE_NR_FDS NATIVE_SWAP_FD(NATIVE_SWAP_FDS)
#define NATIVE_MAX_SYSCALL 512
#define NATIVE_EXIT_STOPPED 125 /* exit status of the command when the machine has stopped */
#define NATIVE_MAX_THREADS 32768

/* A swap area that the command has opened: device i + 1 of the keeper's; the first few also have descriptors. */
#define NATIVE_MAX_SWAPS 16
struct swap_param {
	uint64_t bytes;
	int32_t flags; /* as for swapon(2) */
	char name[128];
};

struct machine_params {
	uint64_t ram_bytes;
	uint64_t kernel_data_bytes; /* the first bytes of RAM: the kernel's data */
	uint32_t nr_cpus;
	uint32_t nr_nodes; /* RAM is shared out between so many */
	int32_t ram_fd; /* descriptors in every guest process */
	int32_t keeper_fd;
	int32_t log_fd; /* the command's standard error */
	int32_t dump_fd; /* page tables are written there before exec and exit; -1: not at all */
	int32_t fd_floor; /* the machine's descriptors start here */
	bool fill_4k;
	bool trace;
	bool verbose;
	int32_t randomize; /* the host's randomize_va_space */
	/* What fails of each point: the Nth, or each Nth; 0: none. */
	struct native_fail {
		int32_t nth, interval;
	} fail_slab, fail_page, fail_block;
	char kernel_args[512]; /* boot_command_line */
	bool use_seccomp; /* user dispatch is not available */
	bool patch_calls; /* call sites used often become jumps */
	bool huge_ram; /* the host maps RAM in huge pages, as far as it has them */
	uint8_t thp_disable; /* prctl(PR_GET_THP_DISABLE) of the command */
	uint64_t vdso_start, vdso_end; /* host's vvar and vdso: kept in every process */
	uint64_t vdso_image; /* AT_SYSINFO_EHDR; 0 none */
	uint64_t hwcap, hwcap2, minsigstksz, clktck;
	uint64_t tsc_khz;
	int32_t command_pid; /* parent of the first guest */
	int32_t keeper_pid;
	uint32_t nr_swaps;
	struct swap_param swap[NATIVE_MAX_SWAPS];
};

/* Counters for the report, each per virtual CPU; see native_counter_names[] in the command. */
enum native_counter {
	NC_TLB_FILL, /* host mappings made */
	NC_TLB_FILL_PAGES, /* pages in them */
	NC_TLB_FLUSH, /* host mappings dropped or downgraded, calls */
	NC_TLB_SHOOTDOWN, /* flushes asked of other host processes */
	NC_TLB_KICK, /* of these, ones that had to interrupt running guest code */
	NC_TLB_CAPACITY, /* host mapping limit met: all dropped */
	NC_SYSCALLS,
	NC_FASTCALLS, /* of these, ones that came by a jump */
	NC_CALL_PAGES, /* pages of text with patched call sites */
	NC_FAULTS, /* host SIGSEGVs that were page faults */
	NC_SIGNALS, /* delivered to guest handlers */
	NC_FORKS,
	NC_THREADS,
	NC_EXECS,
	NC_KERNEL_TSC, /* cycles with a virtual CPU held */
	NR_NATIVE_COUNTERS,
};

/* A process that has come to its end (or, in the report at the end, all of them). */
#define PROC_RECORD_EVENTS 8
#define PROC_RECORD_ORDERS 11
struct process_record {
	int32_t pid, parent;
	char comm[16];
	int32_t status; /* wait status */
	uint32_t threads; /* most that it ever created, with the first */
	uint64_t min_flt, maj_flt, nsyscalls;
	uint64_t events[PROC_RECORD_EVENTS]; /* enum mm_event of its address spaces */
	uint64_t folios[PROC_RECORD_ORDERS];
	uint64_t peak_rss; /* pages */
	uint64_t peak_vmas, peak_pgtables; /* VMAs; pages of tables */
	uint64_t start_ns, end_ns;
};
#define MAX_PROCESS_RECORDS 8192

/*
 * A thread of the machine, from before its host thread exists until its kernel stack is free again.
 * The host itself writes word: the thread's id before the thread runs, and when it has died,
 * however that came, THREAD_DIED instead (it is on the thread's robust list).
 */
struct thread_slot {
	uint32_t word; /* 0: free, THREAD_NONE, id, THREAD_DIED */
	uint32_t info; /* frame number of its kernel stack, a multiple of 8, and flags */
} __attribute__((aligned(8)));
#define THREAD_NONE 0x3fffffffu /* no host thread yet */
#define THREAD_DIED 0x40000000u /* FUTEX_OWNER_DIED */
#define SLOT_BURIED 1u /* it has left the machine in order: nothing but the stack is left */
#define SLOT_ARMED 2u /* on the robust list */
#define SLOT_SEEN 4u /* not armed when last looked at; with SLOT_ARMED: adopted, the keeper's */
#define SLOT_ADOPTED (SLOT_ARMED | SLOT_SEEN)
#define SLOT_FLAGS 7u

/* Trace ring: written by guests, drained by the keeper. */
#define TRACE_RING_EVENTS 32768
struct trace_ring {
	uint64_t head; /* next to be written */
	uint64_t tail; /* next to be read */
	uint64_t lost;
	uint32_t wake; /* futex: bumped when half full */
	struct native_trace_record {
		uint64_t time_ns;
		uint32_t dur_ns;
		uint16_t type, cpu;
		uint32_t pid, tid;
		uint64_t addr, arg;
		uint32_t ready; /* sequence + 1, low half */
		char comm[16];
	} event[TRACE_RING_EVENTS];
};

/* A request to the keeper: pages of a file, in or out. */
#define KEEPER_SLOTS 64
#define KEEPER_REQ_PAGES 128
enum keeper_op {
	KEEPER_READ,
	KEEPER_WRITE,
	KEEPER_FLUSH,
	KEEPER_RELEASE,
	KEEPER_HOLD_WRITE, /* be able to write from now on even if a seal forbids it */
	KEEPER_LET_WRITE, /* no longer */
	KEEPER_POKE, /* a byte into a pipe; -EPIPE: nobody has its read end */
	KEEPER_PEEK, /* the same, without the byte */
	KEEPER_HOLE, /* is there a hole at page index? result 1 */
	KEEPER_PUNCH /* a hole of the pages index to frame[0] */
};
enum keeper_state {
	SLOT_FREE,
	SLOT_FILLING,
	SLOT_READY,
	SLOT_RUNNING,
	SLOT_DONE
};
struct keeper_slot {
	uint32_t state; /* enum keeper_state; a futex */
	uint32_t op;
	uint64_t dev, index;
	uint32_t nr;
	int32_t result; /* 0 or negative errno */
	uint64_t size, ctime_ns; /* of the file after a write */
	uint64_t frame[KEEPER_REQ_PAGES]; /* frame numbers */
};

/* What a guest sends over keeper_fd, with the descriptor as SCM_RIGHTS. */
struct keeper_msg {
	uint64_t dev;
	uint32_t writable;
	uint32_t pipe; /* the write end of one: kept as it is, and kernel_entry.hangup() */
	uint32_t swap; /* transfers beyond its end are errors */
};

struct kernel_shared {
	struct machine_params params;
	struct keeper_slot slot[KEEPER_SLOTS];
	uint32_t keeper_seq; /* futex: bumped for each ready slot */
	uint32_t keeper_stop;
	struct trace_ring *trace; /* NULL: off */
	uint64_t counter[NATIVE_MAX_CPUS][NR_NATIVE_COUNTERS];
	uint64_t syscall_count[NATIVE_MAX_SYSCALL];
	uint64_t unknown_syscalls;
	uint32_t nr_records;
	struct process_record record[MAX_PROCESS_RECORDS];
	int32_t first_exec_error; /* errno of the first program's execve, 0 none */
	char panic[256]; /* the machine has stopped; why */
	uint32_t panicked;
	uint32_t stopping; /* the machine is to end: guests exit */
	uint32_t nr_tasks; /* threads whose kernel stacks are in use; counted down by reap() */
	uint32_t nr_slots; /* of thread[], ever used */
	uint32_t watch_seq; /* futex: bumped when watch() is wanted soon */
	struct thread_slot thread[NATIVE_MAX_THREADS];
	uint64_t boot_ns; /* time mm_init() took */
};

/* What kernel_entry.sample() tells: KiB, a number of threads, and from SAMPLE_FAULTS on sums since boot. */
enum sample_field {
	SAMPLE_THREADS,
	SAMPLE_FREE,
	SAMPLE_FILE, /* page cache of files */
	SAMPLE_SHMEM,
	SAMPLE_ANON, /* anonymous pages that are mapped */
	SAMPLE_MAPPED, /* pages of files and shared memory that are mapped */
	SAMPLE_DIRTY,
	SAMPLE_WRITEBACK,
	SAMPLE_SLAB,
	SAMPLE_PAGETABLES,
	SAMPLE_SWAP_USED,
	SAMPLE_SWAP_CACHED,
	SAMPLE_FAULTS,
	SAMPLE_MAJOR_FAULTS,
	SAMPLE_SWAP_IN, /* pages */
	SAMPLE_SWAP_OUT,
	SAMPLE_SCANNED,
	SAMPLE_STOLEN,
	NR_SAMPLE_FIELDS,
};

/* Sums for the report, taken by kernel_entry.snapshot(). */
#define MAX_VM_EVENTS 96
struct machine_snapshot {
	uint64_t total_pages, free_pages;
	uint64_t zone_free[3][PROC_RECORD_ORDERS]; /* blocks */
	const char *zone_name[3];
	uint64_t vm_event[MAX_VM_EVENTS];
	uint64_t failed_allocations; /* on purpose */
	uint64_t failed_transfers; /* on purpose */
	uint64_t swap_pages, swap_peak_pages; /* of all areas; most in use at a time */
	uint64_t file_pages, slab_pages, pgtable_pages, kernel_stack_kb;
};

/* Why shutdown() is not content. */
struct leak_report {
	uint64_t frames; /* not returned */
	uint64_t objects; /* slab objects still allocated */
	uint64_t swap_slots; /* still named by something that is gone */
	char text[512]; /* names the caches and uses */
};

struct kernel_entry {
	uint64_t magic;
	struct kernel_shared *shared;
	/* Builds the machine. Runs on a stack of the kernel's. 0 or negative errno. */
	long (*boot)(void *unused);
	/* The first guest, in its own process; argv, envp of the command's. Does not return. */
	void (*first_guest)(const char *path, char **argv, char **envp) __attribute__((noreturn));
	/*
	 * Puts the swap areas of params to use; the keeper runs. 0, or negative errno, and *failed: which
	 * it was.
	 */
	long (*swapon)(uint32_t *failed);
	long (*snapshot)(struct machine_snapshot *out);
	/* NR_SAMPLE_FIELDS figures as they are now. At any time, on any stack. */
	void (*sample)(uint64_t *out);
	/* Makes the next touch of every page a fault. By one thread of the keeper at a time. */
	long (*forget)(void *unused);
	/* All guests are gone: writes back, frees, counts. 0, or 1 when something leaked. */
	long (*shutdown)(struct leak_report *out);
	/* Reclaim in the background, in a thread of the keeper's: returns when the machine ends. */
	long (*kswapd)(void *unused);
	/* Frees the stacks of threads that are gone; how many threads are left. */
	long (*reap)(void *unused);
	/* Looks for threads killed from outside and has them brought to their end. The keeper's. */
	long (*watch)(void *unused);
	/* Ask every guest to exit, as SIGKILL does; how many there are. */
	long (*kill_guests)(void *unused);
	/* Nobody has the read end of the pipe dev any more. The keeper's, one at a time. */
	long (*hangup)(void *dev);
	/* SIGSEGV of the command and the keeper, on whatever stack it comes: true: tried again. */
	bool (*fault)(const void *siginfo, const void *ucontext);
	uint64_t text_start, text_end;
};
#define KERNEL_ENTRY_MAGIC 0x3265726975514bul

#endif
