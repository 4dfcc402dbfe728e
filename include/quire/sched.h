/* SPDX-License-Identifier: MIT */
/*
 * sched.h - tasks as the Linux ABI sees them: thread (task_struct) and thread group
 * (signal_struct). The machine embeds task_struct in what it knows of a thread itself.
 */
#ifndef QUIRE_SCHED_H
#define QUIRE_SCHED_H

#include <quire/fs.h>
#include <quire/list.h>
#include <quire/mempolicy.h>
#include <quire/mm.h>

#define TASK_COMM_LEN 16
#define RLIM_NLIMITS 16
#define RLIM_INFINITY (~0UL)
#define _NSIG 64

enum {
	RLIMIT_CPU_,
	RLIMIT_FSIZE_,
	RLIMIT_DATA_,
	RLIMIT_STACK_,
	RLIMIT_CORE_,
	RLIMIT_RSS_,
	RLIMIT_NPROC_,
	RLIMIT_NOFILE_,
	RLIMIT_MEMLOCK_,
	RLIMIT_AS_
};

struct rlimit64 {
	u64 rlim_cur, rlim_max;
};

/* As the kernel's rt_sigaction() takes it on x86-64. */
struct k_sigaction {
	unsigned long handler; /* 0 SIG_DFL, 1 SIG_IGN */
	unsigned long flags; /* SA_* */
	unsigned long restorer;
	u64 mask;
};

struct rusage_counts {
	unsigned long min_flt, maj_flt;
	unsigned long maxrss; /* KiB */
};

/* One per thread group. */
struct signal_struct {
	atomic_t live; /* threads that have not begun to exit */
	atomic_t count; /* references: threads, and who looks at it */
	pid_t tgid;
	spinlock_t siglock; /* action[], threads, rlim, group_exit */
	struct list_head threads; /* task_struct.thread_node */
	struct k_sigaction action[_NSIG + 1];
	bool group_exit;
	int group_exit_code; /* wait status */
	struct rlimit64 rlim[RLIM_NLIMITS];
	s16 oom_score_adj; /* OOM_SCORE_ADJ_MIN ... _MAX; inherited */
	atomic_long_t min_flt, maj_flt, nsyscalls;
	struct rusage_counts children; /* waited-for children, under siglock */
	unsigned long maxrss; /* KiB, of earlier images */
	u64 start_ns;
};

/*
 * An interrupted system call with a relative timeout, which restart_syscall() continues. The machine
 * fills it in when such a call returns -ERESTART_RESTARTBLOCK and no handler runs.
 */
struct restart_block {
	unsigned long nr; /* 0: none */
	unsigned long args[6];
	u64 deadline; /* ns, on the call's clock */
	bool again; /* the call under way is the continuation of one */
};

/* One per thread. The machine's own part follows it in memory. */
struct task_struct {
	u32 cpu; /* the machine's; first, where a port's <quire/machine_inline.h> may look for it */
	struct signal_struct *signal;
	struct mm_struct *mm; /* NULL once it has exited; changed by task_set_mm() */
	pid_t pid; /* thread id */
	pid_t tgid;
	u32 uid; /* real; for messages */
	struct list_head thread_node;
	struct list_head tasks; /* task_list, all threads, under tasklist_lock */
	char comm[TASK_COMM_LEN];
	unsigned long clear_child_tid; /* user address or 0 */
	unsigned long robust_list; /* user address of struct robust_list_head or 0 */
	bool futex_dead; /* owns no PI futex any more, under tasklist_lock */
	u64 blocked; /* the guest's signal mask, bit n-1: signal n */
	unsigned long sas_sp; /* alternate signal stack, guest's */
	size_t sas_size;
	int sas_flags;
	struct restart_block restart;
	u64 cpus_allowed; /* sched_setaffinity(); 0: all. Under tasklist_lock */
	struct mempolicy mempolicy; /* set_mempolicy(); its own affair */
	u32 personality; /* PER_LINUX and flags below; its own affair */
	atomic_t usage;
};

/* The end of a timeout of ns from now, unless the call under way goes on with an earlier one. */
static inline u64 restart_deadline(struct task_struct *task, u64 now, u64 ns)
{
	if (!task->restart.again)
		task->restart.deadline = now + ns;
	return task->restart.deadline;
}

/* mm/oom_kill.c */
extern struct list_head task_list;
extern spinlock_t tasklist_lock;

/*
 * Life. All in linux/task.c; the machine calls them. task is the machine's allocation, its
 * task_struct part zeroed. With signal NULL a new group is made. -ENOMEM.
 */
void fork_init(void); /* boot, after mm_init() */
int task_init(struct task_struct *task, struct signal_struct *signal);
void task_register(struct task_struct *task, pid_t pid, pid_t tgid); /* visible in task_list */
void task_unregister(struct task_struct *task);
void signal_put(struct signal_struct *signal);
/* tasklist_lock held. */
struct task_struct *find_task_by_pid(pid_t pid); /* any thread */
struct task_struct *find_group_leader(pid_t tgid); /* some thread of the group */
/* A registered task gets another mm, or NULL; returns the old one, whose reference is the caller's. */
struct mm_struct *task_set_mm(struct task_struct *task, struct mm_struct *mm);
/* The mm of thread group pid with a reference on mm_users, or NULL. */
struct mm_struct *get_task_mm(pid_t pid);
/* Whether task may look into process pid, 0 for itself: 0, -ESRCH, -EPERM. */
int ptrace_may_access(struct task_struct *task, pid_t pid);
void set_task_comm(struct task_struct *task, const char *path_or_name);
/* mm->rlim_* from the group's limits: for a new mm, and after prlimit(). */
void mm_set_rlimits(struct mm_struct *mm, struct signal_struct *signal);

/* ---- The machine's services to linux/, beyond machine.h ------------------------------------ */

/* The thread that runs. */
struct task_struct *machine_current(void);
/* Effective user and group of the thread that runs; whether it is in a group. */
void machine_current_cred(u32 *euid, u32 *egid);
bool machine_in_group(u32 gid);
/*
 * A new descriptor of the caller's for a userfaultfd context, which has the caller's reference from then on.
 * Close-on-exec and non-blocking as a parent's. -EMFILE, -ENOMEM ...
 */
struct userfaultfd_ctx;
int machine_uffd_install(struct userfaultfd_ctx *ctx);
/*
 * Every thread that runs mm, NULL: that runs at all, passes a memory barrier between call and return,
 * sync_core: and executes no instruction that it has fetched before.
 */
void machine_membarrier(struct mm_struct *mm, bool sync_core);
/*
 * As machine_wait(), but ends with -EINTR when a signal of the guest or a kill arrives. Signals are
 * delivered with the guest's mask.
 */
int machine_wait_interruptible(u32 *word, u32 val, u64 timeout_ns);
/* The file behind a guest's descriptor, for mapping; without an inode if it cannot be mapped, which
 * do_mmap() says when its turn has come. ERR_PTR(-EBADF, -ENOMEM). */
struct file *machine_fget(int fd);
/* Opens a file of the host by path for the kernel (exec). follow: its permission to execute is
 * checked. ERR_PTR(-ENOENT, -EACCES ...). */
struct file *machine_open_exec(const char *path);

/* Of personality(2); the others are the host's affair. */
#define ADDR_NO_RANDOMIZE 0x0040000u
#define ADDR_COMPAT_LAYOUT 0x0200000u
#define READ_IMPLIES_EXEC 0x0400000u

/* ---- linux/exec.c: building a program image ------------------------------------------------ */

#define MAX_ARG_STRLEN (PAGE_SIZE * 32)
#define BINPRM_BUF_SIZE 256

/*
 * An execve() under way. Filled in by the caller: filename (as given), argv/envp strings by
 * bprm_copy_strings(), the auxv values that only the machine knows. exec_load() then follows #!
 * lines and builds the image in a fresh mm; nothing of the caller's mm is touched.
 */
struct linux_binprm {
	const char *filename; /* path given to execve */
	char interp_path[4096]; /* file loaded at last (after #!) */
	struct mm_struct *mm; /* the new image; the caller's after success */
	struct rlimit64 stack_limit; /* RLIMIT_STACK */
	/* ASLR: 0 none, 1 of stack, mappings and programs, 2 of the heap as well. */
	int randomize;
	bool compat_layout; /* mappings go upward, from a third of the address space on */
	/* Argument pages: strings packed from the top down, in kernel pages. */
	struct page **arg_pages;
	unsigned long arg_top, arg_pos; /* bytes; arg_pos falls */
	int argc, envc;
	/* Auxiliary vector inputs. */
	unsigned long vdso_addr, hwcap, hwcap2, minsigstksz, clktck;
	u32 uid, euid, gid, egid;
	bool secure;
	/* Results. */
	unsigned long entry, sp;
	bool point_of_no_return; /* on error: Linux would have killed the caller with SIGSEGV */
	struct file *exe; /* referenced by mm->exe_file too */
	char comm[TASK_COMM_LEN];
};

extern int randomize_va_space; /* the level, for programs without ADDR_NO_RANDOMIZE */

int bprm_init(struct linux_binprm *bprm, const char *filename);
/* Copies a NULL-terminated vector of strings from memory of mm, or from the kernel's own; to be called
 * for envp first, then argv. -EFAULT, -E2BIG, -ENOMEM. */
int bprm_copy_strings(struct linux_binprm *bprm, struct mm_struct *mm, unsigned long vec,
		      bool is_env);
int bprm_copy_strings_kernel(struct linux_binprm *bprm, const char *const *vec, bool is_env);
/* -ENOENT, -EACCES, -ENOEXEC, -ELIBBAD, -ENOMEM, -ELOOP, -EIO, -E2BIG; on success mm, entry, sp. */
int exec_load(struct linux_binprm *bprm);
void bprm_free(struct linux_binprm *bprm);

/* ---- linux/futex.c ------------------------------------------------------------------------- */

long do_futex(struct task_struct *task, unsigned long uaddr, int op, u32 val,
	      unsigned long timeout_or_val2, unsigned long uaddr2, u32 val3);
long do_futex_waitv(struct task_struct *task, unsigned long waiters, unsigned int nr,
		    unsigned int flags, unsigned long timeout, int clockid);
/* At thread exit: robust list walk, clear_child_tid and its wake. mm still there. */
void futex_exit_task(struct task_struct *task);
/* The same when a thread leaves its old image by exec: it lives on and may use futexes again. */
void futex_exec_task(struct task_struct *task);
/* A thread vanished without exiting: take it out of all queues. Its kernel stack still exists. */
void futex_forget_task(struct task_struct *task);
void futex_init(void);

/* ---- linux/ipc_shm.c: System V shared memory ----------------------------------------------- */

void ipc_init(void); /* boot, after mm_init() */
void exit_shm(struct task_struct *task); /* the thread ends; its mm is gone. May sleep */
void ipc_shutdown(void); /* no task is left: all segments go */

/* ---- linux/userfaultfd.c: what is done to a userfaultfd descriptor --------------------------- */

/* As the calls of the names, for the caller; -ERESTARTSYS if a signal ended a wait. May sleep. */
long userfaultfd_ioctl(struct task_struct *task, struct userfaultfd_ctx *ctx, u32 cmd,
		       unsigned long arg);
long userfaultfd_read(struct userfaultfd_ctx *ctx, unsigned long ubuf, size_t count, bool nonblock);

/* ---- linux/syscall.c: the calls that Quire answers itself ---------------------------------- */

#define SYSCALL_NOT_OURS (-100000L)
/*
 * mmap, munmap, mprotect, mremap, brk, madvise, msync, mincore, mlock*, munlock*, futex*,
 * set_robust_list, get_robust_list, set_tid_address, sysinfo, prlimit64/getrlimit/setrlimit (memory
 * limits), sched_getaffinity, getcpu, NUMA policy, process_vm_readv/writev, and errors for what is
 * not built, membarrier. Others: SYSCALL_NOT_OURS, among them getrusage, whose memory fields the machine
 * takes from linux_rusage().
 * -ERESTARTSYS, -ERESTARTNOINTR, -ERESTART_RESTARTBLOCK (errno.h): interrupted. May sleep.
 */
long linux_syscall(struct task_struct *task, unsigned long nr, const unsigned long *args);
/* struct sysinfo of <linux/sysinfo.h>. */
struct sysinfo {
	long uptime; /* s */
	unsigned long loads[3];
	unsigned long totalram, freeram, sharedram, bufferram, totalswap,
		freeswap; /* mem_unit bytes */
	u16 procs, pad;
	unsigned long totalhigh, freehigh;
	u32 mem_unit;
};
/* What sysinfo(2) tells of memory and tasks: all but uptime and loads, which are the machine's. */
void linux_sysinfo(struct sysinfo *info);
/* The memory fields of getrusage(): who is RUSAGE_SELF 0, CHILDREN -1 or THREAD 1. */
void linux_rusage(struct task_struct *task, int who, struct rusage_counts *out);

/* ---- linux/proc.c -------------------------------------------------------------------------- */

/* Which text a path under /proc asks for; pid 0 for system-wide ones. */
enum proc_kind {
	PROC_NONE,
	PROC_MEMINFO,
	PROC_VMSTAT,
	PROC_BUDDYINFO,
	PROC_STAT,
	PROC_CPUINFO,
	PROC_SLABINFO,
	PROC_LOADAVG,
	PROC_ZONEINFO,
	PROC_VMALLOCINFO,
	PROC_IOMEM,
	PROC_SYSVIPC_SHM,
	PROC_KPAGECOUNT,
	PROC_KPAGEFLAGS,
	PROC_KPAGECGROUP,
	PROC_PAGETYPEINFO,
	PROC_SWAPS,
	PROC_PID_MAPS,
	PROC_PID_SMAPS,
	PROC_PID_SMAPS_ROLLUP,
	PROC_PID_STATUS,
	PROC_PID_STAT,
	PROC_PID_STATM,
	PROC_PID_CMDLINE,
	PROC_PID_COMM,
	PROC_PID_EXE,
	PROC_PID_AUXV,
	PROC_PID_ENVIRON,
	PROC_PID_MEM,
	PROC_PID_OOM_SCORE,
	PROC_PID_OOM_SCORE_ADJ,
	PROC_PID_OOM_ADJ,
	PROC_PID_LIMITS,
	PROC_PID_NUMA_MAPS,
	PROC_PID_PAGE_TABLES,
	PROC_PID_CLEAR_REFS,
	PROC_PID_PAGEMAP,
	PROC_PID_MAP_FILES,
	PROC_SYSCTL = 0x10000, /* and more: rows of linux/sysctl.c */
};
/*
 * Parse an absolute, normalised path ("/proc/self/maps", "/proc/123/task/124/stat"); self is the
 * caller. Only pids that are tasks of the machine match.
 */
enum proc_kind proc_lookup(const char *path, struct task_struct *self, pid_t *pid);
/*
 * Produce the whole text into a buffer made with kmalloc pages; *len bytes. The caller frees with
 * proc_free(). host: the host's own text of the same file (stat, status, cpuinfo ...), from which
 * lines that Quire does not own (signals, credentials, CPU times) are taken; may be NULL.
 */
int proc_generate(enum proc_kind kind, pid_t pid, const char *host, size_t host_len, char **text,
		  size_t *len);
void proc_free(char *text, size_t len);
/* Whether files of the kind are written to with proc_write(). */
static inline bool proc_is_writable(enum proc_kind kind)
{
	return kind >= PROC_SYSCTL || kind == PROC_PID_CLEAR_REFS;
}
/* Whether there is a file of this name, of any folder, under /proc/sys. */
bool proc_is_sysctl_name(const char *name);
/*
 * What a write of len bytes at byte pos of such a file does: the bytes taken, or a negative errno as Linux has
 * it. May sleep.
 */
long proc_write(enum proc_kind kind, pid_t pid, u64 pos, const char *text, size_t len);
/*
 * The page tables of mm, which task runs, as /proc/<pid>/page_tables shows them, under a head line that says before
 * what. write() is called several times, with mmap_lock held. May sleep. 0 or -ENOMEM: the text ended early.
 */
int dump_page_tables(struct task_struct *task, struct mm_struct *mm, const char *when,
		     void (*write)(const char *text, size_t len));
/*
 * /proc/<pid>/map_files. The file of the VMA that has this name there, with a reference (fput()).
 * -ENOENT. May sleep.
 */
int proc_map_file(pid_t pid, const char *name, struct file **file);
struct proc_map_range {
	unsigned long start, end;
};
/* At most n of the VMAs with files, the first-th and those after it; how many. May sleep. */
size_t proc_map_files_list(pid_t pid, unsigned long first, struct proc_map_range *ranges, size_t n);
/*
 * /proc/kpagecount, kpageflags or kpagecgroup from byte pos (a multiple of 8) on: at most n entries, how many
 * there were; 0 behind the last frame.
 */
size_t proc_kpage_read(enum proc_kind kind, u64 pos, u64 *entries, size_t n);
/*
 * /proc/<pid>/pagemap from byte pos (a multiple of 8) on: at most n entries, how many there were;
 * 0 behind the end of user space. -ESRCH.
 */
ssize_t proc_pagemap_read(pid_t pid, u64 pos, u64 *entries, size_t n);

#endif
