/* SPDX-License-Identifier: MIT */
/*
 * native.h - the native machine: guests are Linux processes of the host, and this kernel, mapped
 * at one address in all of them, owns their memory.
 *
 *   host process            struct hmm: a host address space; its mappings below KERNEL_BASE are
 *     |                     the TLB of hmm->mm
 *     +- host thread        struct native_task at the low end of its kernel stack, which is also its
 *                           host alternate signal stack, in a block aligned to its size
 *
 *   +------------------+ kstack + KSTACK_SIZE
 *   | struct fast_frame|   above the alternate stack
 *   | host signal frame|   the guest's registers while it is in the kernel
 *   | kernel frames    |
 *   |        v         |
 *   +------------------+ kstack + KSTACK_HEAD
 *   | resume           |   what the reaper goes on from (reaper.c)
 *   | struct native_task
 *   +------------------+ kstack (current() = %rsp & ~(KSTACK_SIZE - 1))
 *
 * A task is in one of three states:
 *   USER    guest code runs; the host mappings must be right
 *   KERNEL  holds a virtual CPU (a token), or waits for one, or has lent it for a wait of the
 *           kernel's own; looks at guest memory through host mappings only while it is marked (usercopy.c)
 *   HOST    in a host call that may block; holds no token and no lock; signals interrupt it
 *
 * Kernel mode reaches guest memory only through page tables and direct map (mm.h: copy_to_mm,
 * pin_user_pages), so flushes need to interrupt only tasks in state USER; a task coming back to USER
 * performs what was asked meanwhile.
 */
#ifndef NATIVE_NATIVE_H
#define NATIVE_NATIVE_H

#include <quire/sched.h>
#include <quire/unistd.h>

#include "host.h"
#include "shared.h"

#define KSTACK_ORDER 3
#define KSTACK_SIZE (PAGE_SIZE << KSTACK_ORDER)
#define FAST_FRAME_SIZE 512 /* fastcall.c */
#define KSTACK_HEAD 2560ul

enum task_state {
	TASK_USER,
	TASK_KERNEL,
	TASK_HOST
};

/* Bits of native_task.work: something to do before the task returns to USER. */
#define WORK_KILL 1u /* the thread group is exiting, or this thread must go (exec) */
#define WORK_STOP 2u /* look at hmm->stop_signal */
#define WORK_FLUSH 4u /* the hmm has flush requests */
#define WORK_SIGNAL 16u /* a sync_queue may hold a signal for this thread */
#define WORK_PARENT 32u /* the parent has died: hmm->pdeath_signal */
#define WORK_EXEC 8u /* another thread's exec continues on this one, the host leader */

struct hmm;

/* A guest signal received and not yet delivered; layout of the host's siginfo_t. */
struct host_siginfo {
	s32 si_signo, si_errno, si_code, pad;
	u64 fields[14];
};

/* The host's sigcontext and ucontext, as in a 64-bit signal frame. */
struct host_sigcontext {
	u64 r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2;
	u64 fpstate; /* address of the FXSAVE/XSAVE image */
	u64 reserved1[8];
};

struct host_stack {
	u64 ss_sp;
	s32 ss_flags, pad;
	u64 ss_size;
};

struct host_ucontext {
	u64 uc_flags, uc_link;
	struct host_stack uc_stack;
	struct host_sigcontext uc_mcontext;
	u64 uc_sigmask;
};

/* Signals of the kinds that the host may not block; one of each can be pending. */
#define NR_SYNC_SIGNALS 6
struct sync_queue {
	u64 set;
	struct host_siginfo info[NR_SYNC_SIGNALS];
};

enum user_access {
	USER_ACCESS_NONE,
	USER_ACCESS_COPIES,
	USER_ACCESS_FLUSHES, /* the same, while it carries out a flush */
};

struct native_task {
	struct task_struct task; /* first */
	struct hmm *hmm;
	struct list_head hmm_node;
	u32 state; /* enum task_state */
	u32 user_access; /* enum user_access: it uses the host's mappings in state KERNEL (usercopy.c) */
	u32 work; /* WORK_* */
	u32 last_cpu; /* token it had; task.cpu: the one it holds, valid in KERNEL */
	bool is_service; /* not a guest: the command or the keeper calling into the core */
	bool has_signal; /* siginfo waits for delivery */
	bool service_irq;
	bool fast; /* in a call that came by a jump, and signals are still open (fastcall.c) */
	struct host_siginfo siginfo;
	struct host_ucontext *uc; /* frame of the entry into the kernel */
	u64 enter_tsc;

	/* The system call under way. */
	bool restart_always; /* -ERESTARTSYS came before the call had begun */
	bool call_begun; /* -ERESTARTSYS came after that */
	bool interrupted; /* the host call ended with -EINTR for want of a handler's word */
	bool timed; /* task.restart.deadline is of this system call */
	u32 stops_seen; /* hmm->nr_stop_asks when this system call began */
	u32 conts_seen; /* hmm->nr_conts when siginfo arrived */
	bool temp_mask_set; /* sigsuspend: temp_mask is in force instead of blocked */
	bool clear_sighand; /* CLONE_CLEAR_SIGHAND: tell the host */
	bool started; /* child_start() is through */
	bool adopted; /* its host process is gone: a thread of the keeper ends it (reaper.c) */
	u64 temp_mask;
	u64 call_mask; /* signals that the call under way is not interrupted by, beyond those blocked */
	u64 sync_wait; /* rt_sigtimedwait() waits for these */
	struct sync_queue sync; /* sent to this thread; under hmm->lock */
	struct sync_queue
		raised; /* come from the host; the thread's own, also in its signal handler */
	u64 io_dev; /* machine_block_rw() on this device may use io_fd directly */
	int io_fd;

	u32 slot; /* of kernel_shared.thread[] */
	u32 tid; /* the host's, written by it when the thread starts */
	u32 parent_busy; /* the parent still looks at it: not to be freed */
	struct {
		u64 next; /* the host's robust_list_head */
		s64 offset;
		u64 pending;
		u64 entry;
	} robust;
	bool cpu_waiting; /* counted as a waiter for a CPU */
	bool parked; /* under hmm->lock; the thread has exited, the host thread waits */
	u32 park; /* leader waits here when its thread has exited before the group */
	u32 registered; /* 0, 1 under way, 2 done */
	struct native_task *dead_next;
	struct exec_handover *handover;
	struct vfork_done *vfork_done; /* set and woken when this task execs or exits */

	/* Of a clone: the parent's side, and the child's. */
	struct native_task *cloning; /* the child that a clone under way makes */
	struct hmm *fork_hmm; /* machine_mm_init() attaches it to the mm that dup_mm() makes */
	struct hmm *fork_parent_hmm; /* with a reference, until the child has started */
	u64 fork_flush_req; /* flushes of the parent known before the host copied it */
	unsigned long parent_gs; /* base that the parent's program has set, or 0 */
	unsigned long child_settid; /* user address, written by the child itself */
	unsigned long parent_settid; /* user address in the shared mm, or 0 */
	struct native_task *self;
#ifdef CONFIG_DEBUG_VM
	struct held_locks held_locks;
#endif
};

/* inline/quire/machine_inline.h has these as numbers. */
_Static_assert(KSTACK_SIZE == 0x8000 && offsetof(struct native_task, task.cpu) == 0,
	       "NATIVE_STACK_SIZE, and where machine_cpu_id() looks, in machine_inline.h");

#define current_native() \
	((struct native_task *)((unsigned long)__builtin_frame_address(0) & ~(KSTACK_SIZE - 1)))

/*
 * A host process of the machine. Its mappings of user addresses are entries of mm's TLB; several
 * host processes may share one mm (vfork, CLONE_VM without CLONE_THREAD).
 */
#define HMM_RING 16
enum hmm_stopping {
	STOP_NONE,
	STOP_GATHER, /* the stopper waits for the others to leave the kernel */
	STOP_RAISE, /* the host stops the process, or has */
};

/* A process's host mappings of vmalloc space are right up to flush number `seen` (tlb.c). */
struct kernel_tlb {
	spinlock_t lock;
	u64 seen;
};

struct hmm {
	struct mm_struct *mm; /* changed only by its own last thread (exec, exit) */
	struct list_head mm_node; /* in mm_machine.hmms, under mm_machine.lock */
	atomic_t count; /* tasks, and children whose clone is under way */
	s32 tgid;
	struct native_task *leader; /* the host thread whose id is the process's */
	spinlock_t lock; /* tasks */
	struct list_head tasks; /* native_task.hmm_node */
	u32 stopping; /* enum hmm_stopping, a futex: if set, nobody may enter KERNEL but the stopper */
	int stop_signal; /* under lock: the process is to stop; set with WORK_STOP */
	u32 nr_stop_asks; /* under lock: stops asked for */
	u32 nr_stops, nr_conts; /* stops that took place; SIGCONTs sent, under lock */
	u32 stops_ended; /* nr_stops of the last one that a SIGCONT met */
	u64 stops_sent; /* under lock: stop signals of guests, and no SIGCONT since */
	pid_t stopper; /* thread that stops it */
	struct sync_queue sync; /* sent to the process; under lock */
	struct process_record *record; /* NULL: too many processes */
	u32 running; /* host threads not yet gone, a parked leader left out */
	u32 exec_seq; /* futex: bumped when a thread exits */
	struct native_task *exec_thread; /* runs an exec; others are to go */
	struct core_frame *core; /* coredump.c */
	int leader_status; /* wait status the leader's own exit() asked for */
	bool first; /* the program the machine was started for */
	u8 thp_disable; /* prctl(PR_SET_THP_DISABLE), which is not for the host: RAM is huge pages */
	int pdeath_signal; /* prctl(PR_SET_PDEATHSIG) */
	pid_t pdeath_parent; /* whose death counts */
	bool dead; /* killed from outside; reaper.c has it */
	bool dying; /* last thread on its way out: flushes are idle */
	struct list_head devices; /* device.c: mappings that are no entries of the TLB */
	spinlock_t device_lock; /* locked: slot + 1 of the holder; a leaf but for the allocator's */

	/* Flushes asked for by others; flush_req - flush_done of them are outstanding. */
	spinlock_t flush_lock; /* locked: slot + 1 of the holder */
	u64 flush_req;
	u64 flush_done;
	struct kernel_tlb kernel_tlb;
	unsigned int nr_ring; /* HMM_RING + 1: everything */
	struct {
		unsigned long start, end;
	} ring[HMM_RING];
};

/* mm->machine: the host address spaces that are TLBs of the mm. */
struct mm_machine {
	spinlock_t lock;
	struct list_head hmms;
	struct call_region *calls; /* callsite.c; NULL: no site is patched */
	u8 hot_calls[256]; /* by the lowest bits of the address: calls that came by signal */
};

static inline bool hmm_flush_pending(struct hmm *hmm)
{
	return __atomic_load_n(&hmm->flush_req, __ATOMIC_SEQ_CST) !=
	       __atomic_load_n(&hmm->flush_done, __ATOMIC_SEQ_CST);
}

/*
 * A host call that cannot block and touches only kernel memory: plain host_syscall(...).
 *
 * A host call that may block: gives the token back, lets the guest's signals interrupt it, takes a
 * token again. All pointers among the arguments point to kernel memory (direct map, kmalloc) that
 * nobody frees meanwhile; no lock is held. Result as the host's; when a signal of the guest came
 * it may be -EINTR, or -ERESTARTSYS, which the caller must return unchanged as its result: the system
 * call is then restarted after the signal was handled (so nothing may have been consumed).
 */
long host_call(long nr, long a, long b, long c, long d, long e, long f);
/*
 * With a relative timeout in args[arg], the address of a timespec (0: none) or milliseconds (below 0:
 * none). Its time goes on over interruptions that are no affair of the guest's; the timespec is changed.
 */
struct call_timeout {
	unsigned int arg;
	bool in_ms;
	int clock;
};
long host_call_timed(long nr, const long *args, const struct call_timeout *timeout);

extern struct kernel_shared kernel_shared;
#define machine_params (kernel_shared.params)

void native_sample(uint64_t *out); /* sample.c: kernel_entry.sample() */

static inline void native_count(struct native_task *t, enum native_counter c, u64 n)
{
	kernel_shared.counter[t->task.cpu][c] += n;
}

#define CLOCK_REALTIME 0
#define CLOCK_MONOTONIC 1
u64 native_clock_ns(int clock); /* machine.c */

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

/*
 * fn(arg), which gives the CPU back and takes one again, and does nothing between that counts for others:
 * if its process is killed there, the reaper goes on from here with -ERESTARTSYS as the result.
 */
long native_resumable(long (*fn)(void *arg), void *arg);

/* Whether native_resumable() is under way: nothing of the kernel's may be changed. */
static inline bool native_has_record(const struct native_task *t)
{
	return *(const u64 *)((unsigned long)t + KSTACK_HEAD - sizeof(u64));
}

/* reaper.c */
bool thread_slot_claim(struct native_task *t);
void thread_slot_free(struct native_task *t);
void thread_slot_arm(struct native_task *t); /* on the thread itself */
void thread_slot_bury(struct native_task *t);
bool thread_is_gone(const struct native_task *t); /* the host thread uses the stack no more */
void machine_stop(const char *text); /* machine_panic() that returns; the keeper ends everything */
struct hmm *thread_slot_hmm(u32 slot); /* NULL: none */
bool process_has_died(pid_t pid);
void reap_soon(void); /* somebody was killed, it seems */
long do_watch(void *unused);

/* cpu.c: virtual CPUs */
int cpu_held_by(const struct native_task *t); /* -1: none */
struct native_task *cpu_holder(unsigned int cpu);
void cpu_unstall(void); /* wakes a waiter whose turn it is */
void cpu_forget_waiter(struct native_task *t);
void cpu_init(unsigned int nr);
void cpu_get(struct native_task *t); /* may sleep; state becomes KERNEL */
void cpu_put(struct native_task *t); /* state becomes HOST */
/* Around a wait in the host, in state KERNEL throughout. */
void cpu_lend(struct native_task *t);
void cpu_take_back(struct native_task *t);

/* tlb.c */
void tlb_init(void);
void hmm_do_flush(struct hmm *hmm); /* carry out what others asked; any state, takes no token */
void hmm_attach(struct hmm *hmm, struct mm_struct *mm);
void hmm_detach(struct hmm *hmm);
void kernel_tlb_sync(struct native_task *t); /* with a CPU: flush what vmalloc has given up */
void tlb_make_room(struct mm_struct *mm); /* the host allows no more mappings: drop them all */
void hmm_drop_all(void); /* host-unmap every user address of this process but vdso and devices */
void hmm_drop_locks(struct hmm *hmm, struct native_task *t);
void hmm_lock_devices(struct hmm *hmm);
void hmm_unlock_devices(struct hmm *hmm);
struct hmm *hmm_alloc(void);
void hmm_put(struct hmm *hmm);

/* device.c: mappings of the host's own */
void hmm_forget_devices(struct hmm *hmm);
/* device_lock held. The first part of [*start, *end) without one, if there is any. */
bool hmm_device_gap(struct hmm *hmm, unsigned long *start, unsigned long *end);
/*
 * The parent's mmap_lock is held for writing. child, not yet running, will have what the host gives to a
 * child of parent's; mm is its own. 0 or -ENOMEM.
 */
int hmm_inherit_devices(struct hmm *child, struct hmm *parent, struct mm_struct *mm);
/* vm_operations.access for what only the caller's host process can read. */
long special_mapping_access(struct vm_area_struct *vma, unsigned long addr, void *buf, size_t len,
			    bool write);
extern const struct file_operations device_file_ops;

/* trap.c */
void trap_init_thread(struct native_task *t); /* alternate stack, dispatch; on the thread itself */
void kernel_enter(struct native_task *t); /* cpu_get() for whoever was not in the kernel */
void exit_to_user(struct native_task *t);
void flush_without_cpu(struct native_task *t); /* what others asked; state HOST before and after */
void trap_fastcall(struct native_task *t); /* state HOST before and after; t->uc is set */
void return_to_user(struct host_ucontext *uc) __attribute__((noreturn));
void frame_clear(struct host_ucontext *uc, unsigned long ip, unsigned long sp);

/* signal.c */
void signal_init_process(void);
bool signal_deliver(struct native_task *t); /* false: it was ignored, no handler runs */
void signal_force(struct native_task *t, int sig, int code, unsigned long addr);
void signal_flush_handlers(struct native_task *t); /* exec */
void signal_host_action(int sig, const struct k_sigaction *act);
long signal_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);

/* sigsend.c: what the host cannot be left alone with; kill(), sigqueue() and their kin */
bool signal_is_ours(int sig);
long signal_send(struct native_task *t, pid_t pid, int sig);
long send_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);

/* stop.c */
bool stop_wanted(struct hmm *hmm);
void group_stop(struct native_task *t);
void hmm_stop(struct hmm *hmm, int sig);
void stop_signal_taken(struct native_task *t);
void hmm_job_signal(struct hmm *hmm, int sig, bool sent); /* may sleep */
void hmm_let_die(struct hmm *hmm);
bool hmm_is_held(const struct hmm *hmm, const struct native_task *t);
void signal_group_exit(struct native_task *t, int wait_status); /* whole group, current or not */

#define PARK_WAKE 0x71756972u /* native_task.park: go on */

/* clone.c, exit.c, exec.c */
void hmm_del_task(struct native_task *nt);
struct native_task *native_task_alloc(void);
void native_task_free(struct native_task *nt); /* no thread has run on it */
void native_task_bury(struct native_task *nt);
void native_task_reap(void); /* frees the stacks of the dead */
long clone_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);
void child_begin(struct native_task *nt, pid_t pid, pid_t tgid);
void do_exit(struct native_task *t, int wait_status) __attribute__((noreturn));
void complete_vfork(struct native_task *t);
long exec_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);
void exec_init(void);
/* In the process that all guests descend from. */
void native_membarrier_init(void);
void exec_continue(struct native_task *leader); /* WORK_EXEC */
long first_exec(struct native_task *t, const char *path, char **argv, char **envp);
void hmm_wait_alone(struct native_task *t); /* until the other threads' stacks are unused */
void exec_thread_left(struct hmm *hmm);

/* dump.c: the tables of an image that ends, by what is in `when`; the caller is its last user. May sleep. */
void dump_init(void);
void dump_image(struct native_task *t, struct mm_struct *mm, const char *when);

/* record.c: what the report will say of a process */
void record_begin(struct native_task *t, pid_t parent);
void record_image(struct hmm *hmm, struct mm_struct *mm); /* an image ends: exec, exit */
void record_end(struct native_task *t, int wait_status);

/* block.c: numbers for inode.i_blkdev; the keeper gets a descriptor to go with each. */
u64 native_new_blkdev(void);
u64 native_block_ctime(u64 dev); /* of the file after the latest write to it, ns; 0 not known */
/* The keeper can write the file whatever its seals become, or not any more. */
int native_block_hold_write(u64 dev, bool hold);
int native_block_stat(u64 dev, u64 *size, u64 *ctime_ns); /* of the file */
int native_keeper_add(u64 blkdev, int fd, bool writable);
int native_keeper_add_pipe(u64 blkdev, int fd); /* the write end */
int native_keeper_poke(u64 blkdev); /* a byte into the pipe; -EPIPE: nobody has the read end */
int native_keeper_peek(u64 blkdev); /* the same without the byte */
int native_keeper_add_swap(u64 blkdev, int fd); /* for swapping: transfers beyond its end fail */

/* trap.c */
void native_kick(struct native_task *t); /* make a task in USER or HOST enter the kernel */
u64 native_host_mask(u64 guest_mask); /* what the host blocks for it */

/* The descriptors that belong to the machine, in every guest process: a few numbers from here on. */
extern int native_fd_floor;
static inline bool native_fd_reserved(unsigned long fd)
{
	return (unsigned int)fd - (unsigned int)native_fd_floor < NATIVE_NR_FDS;
}

/* swap.c: swapon(2) and swapoff(2). */
void native_swap_init(void);
long native_swapon(struct native_task *t, unsigned long path, int flags);
long native_swapoff(struct native_task *t, unsigned long path);

/* hostcall.c: system calls that reach the host. -ENOSYS for those unknown (and counted). */
long hostcall(struct native_task *t, unsigned long nr, const unsigned long *args);
/* fileio.c: calls on descriptors that may concern cached files; SYSCALL_NOT_OURS: none of its. */
long fileio_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);
/* pathcall.c: calls whose path may lead to a /proc file of ours; SYSCALL_NOT_OURS if not. */
long pathcall_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);

/*
 * file.c. The cached inode behind fd with a reference, or NULL; st is filled in (-> return of fstat in *err).
 */
struct inode *native_cached_inode(int fd, struct host_stat *st, long *err);
/* mapping->lock held. After the machine itself changed the host file: its new size and change time. */
void native_inode_changed(struct inode *inode, int fd);
/* exec is through with reading what machine_open_exec() opened. */
void native_exec_close(void);
/* procfile.c: the host's oom_score_adj of a process is ours from now on. */
void proc_oom_adj_changed(pid_t tgid);
/* pathcall.c: if path leads to /proc/<pid>/exe of a guest, the program's own; 0, or negative errno. */
long native_exe_path(struct native_task *t, const char *path, char *buf, size_t size);

#endif
