/* SPDX-License-Identifier: MIT */
/*
 * boot.c - the kernel's entry points for the quire command: build the machine, start the first
 * guest, look at counters, and at the end count every frame.
 *
 * The command calls from its own libc stack; the core needs a kernel stack with a task at its low
 * end, so each call moves to a service stack. The command makes one call at a time.
 */
#include <quire/cmdline.h>
#include <quire/fault-inject.h>
#include <quire/reclaim.h>
#include <quire/slab.h>
#include <quire/sprintf.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/trace.h>
#include <quire/vmalloc.h>
#include <quire/vmstat.h>

#include "callsite.h"
#include "signal.h"
#include "uffd.h"
#include "usercopy.h"

extern const char __kernel_text_start[], __kernel_text_end[];
long native_on_stack(long (*fn)(void *), void *arg, void *stack_top);
void native_gone(long nr, long arg, long sig, const u64 *mask) __attribute__((noreturn));

int native_fd_floor;
static u8 service_stack[KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE)));
static u8 hangup_stack[KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE)));
static u8 kswapd_stack[KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE)));
static u8 watch_stack[KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE)));
static u8 forget_stack[KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE)));
static unsigned long free_at_boot; /* pages, everything drained */
static unsigned long objects_at_boot;

static long on_stack(u8 *stack, long (*fn)(void *), void *arg)
{
	struct native_task *t = (struct native_task *)stack;

	memset(t, 0, KSTACK_HEAD);
	t->is_service = true;
	t->task.pid = t->task.tgid = (pid_t)host_syscall_raw(__NR_getpid);
	return native_on_stack(fn, arg, stack + KSTACK_SIZE);
}

static long on_service_stack(long (*fn)(void *), void *arg)
{
	return on_stack(service_stack, fn, arg);
}

/* ---- Boot -------------------------------------------------------------------------------- */

static unsigned long settle(void)
{
	unsigned long objects;

	vm_unmap_aliases();
	objects = kmem_cache_shrink_all();
	drain_all_pages();
	return objects;
}

static void arm(struct fault_attr *attr, const struct native_fail *fail)
{
	attr->nth = fail->nth;
	attr->interval = fail->interval;
}

static long do_boot(void *unused)
{
	struct native_task *t = current_native();
	u64 start = machine_clock_ns();
	long ret;

	(void)unused;
	page_offset_base = DIRECT_MAP_BASE;
	vmalloc_base = NATIVE_VMALLOC_BASE;
	vmalloc_bytes = NATIVE_VMALLOC_BYTES;
	mmap_hole_start = KERNEL_BASE;
	mmap_hole_end = KERNEL_END;
	native_fd_floor = machine_params.fd_floor;
	cpu_init(machine_params.nr_cpus);
	cpu_get(t);
	strscpy(boot_command_line, machine_params.kernel_args, sizeof(boot_command_line));
	arm(&failslab, &machine_params.fail_slab);
	arm(&fail_page_alloc, &machine_params.fail_page);
	arm(&fail_block, &machine_params.fail_block);
	ret = mm_init();
	if (!ret) {
		fork_init();
		futex_init();
		ipc_init();
		dump_init();
		tlb_init();
		callsite_init();
		usercopy_init();
		exec_init();
		randomize_va_space = machine_params.randomize;
		native_membarrier_init();
		native_swap_init();
		if (machine_params.fill_4k) {
			anon_fault_max_order = 0;
			fault_around_order = 0;
		}
		if (machine_params.trace) {
			unsigned int order = 0;
			struct page *page;

			while ((PAGE_SIZE << order) < sizeof(struct trace_ring))
				order++;
			page = alloc_pages(GFP_KERNEL | __GFP_ZERO, order);
			if (page) {
				kernel_shared.trace = page_address(page);
				trace_enabled = true;
			} else {
				ret = -ENOMEM;
			}
		}
	}
	if (!ret) {
		objects_at_boot = settle();
		free_at_boot = nr_free_pages();
	}
	kernel_shared.boot_ns = machine_clock_ns() - start;
	cpu_put(t);
	return ret;
}

static long entry_boot(void *unused)
{
	return on_service_stack(do_boot, unused);
}

static long do_boot_swapon(void *arg)
{
	struct native_task *t = current_native();
	u32 *failed = arg;
	long err = 0;

	cpu_get(t);
	for (*failed = 0; *failed < machine_params.nr_swaps; ++*failed) {
		const struct swap_param *swap = &machine_params.swap[*failed];

		err = do_swapon(*failed + 1, swap->bytes, swap->name, swap->flags);
		if (err)
			break;
	}
	cpu_put(t);
	return err;
}

static long entry_swapon(u32 *failed)
{
	return on_service_stack(do_boot_swapon, failed);
}

/* ---- The first guest --------------------------------------------------------------------- */

struct first_guest {
	const char *path;
	char **argv, **envp;
	struct native_task *task;
};

static int first_task_alloc(struct native_task **nt, struct hmm **hmm)
{
	*nt = native_task_alloc();
	if (!*nt)
		return -ENOMEM;
	*hmm = hmm_alloc();
	if (*hmm && !task_init(&(*nt)->task, NULL))
		return 0;
	if (*hmm)
		hmm_put(*hmm);
	native_task_free(*nt);
	return -ENOMEM;
}

static long first_guest_make(void *arg)
{
	struct first_guest *first = arg;
	struct native_task *self = current_native(), *nt;
	struct hmm *hmm;
	int err;

	cpu_get(self);
	err = first_task_alloc(&nt, &hmm);
	if (err) {
		cpu_put(self);
		return err;
	}
	first->task = nt;
	nt->hmm = hmm; /* with the reference of hmm_alloc() */
	list_add_tail(&nt->hmm_node, &hmm->tasks);
	hmm->leader = nt;
	hmm->first = true;
	hmm->thp_disable = machine_params.thp_disable;
	hmm->tgid = self->task.pid;
	cpu_put(self);
	return 0;
}

static void first_guest_failed(struct native_task *t, int error) __attribute__((noreturn));

static void first_guest_failed(struct native_task *t, int error)
{
	kernel_shared.first_exec_error = error;
	task_unregister(&t->task);
	hmm_del_task(t);
	signal_put(t->task.signal);
	native_task_bury(t);
	cpu_put(t);
	native_gone(__NR_exit_group, error == ENOENT ? 127 : 126, 0, NULL);
}

static long first_guest_run(void *arg)
{
	struct first_guest *first = arg;
	struct native_task *t = current_native();
	u64 all = HOST_MASK_KERNEL, mask = 0;
	long ret;

	thread_slot_arm(t);
	deadly_set_pdeath(t, 0);
	if (t->hmm->pdeath_parent != machine_params.command_pid)
		host_syscall(__NR_exit_group, NATIVE_EXIT_STOPPED);
	host_syscall(__NR_rt_sigprocmask, 2, &all, &mask, 8);
	t->task.blocked = mask;
	cpu_get(t);
	task_register(&t->task, t->hmm->tgid, t->hmm->tgid);
	record_begin(t, machine_params.command_pid);
	for (unsigned int i = 0; i < RLIM_NLIMITS; i++)
		host_syscall(__NR_prlimit64, 0, i, NULL, &t->task.signal->rlim[i]);
	t->task.signal->start_ns = machine_clock_ns();
	t->task.uid = (u32)host_syscall(__NR_getuid);
	t->task.personality = (u32)host_syscall(__NR_personality, ~0u);
	proc_oom_adj_changed(t->hmm->tgid);
	/* A frame to leave through; the FPU begins in its initial state. */
	t->uc = (struct host_ucontext *)((((unsigned long)t + KSTACK_SIZE) & ~63ul) -
					 sizeof(struct host_ucontext) - 64);
	memset(t->uc, 0, sizeof(*t->uc));
	t->uc->uc_flags = 6; /* UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS */
	t->uc->uc_mcontext.cs = 0x33;
	t->uc->uc_mcontext.ss = 0x2b;
	t->uc->uc_sigmask = native_host_mask(mask);
	ret = first_exec(t, first->path, first->argv, first->envp);
	if (ret)
		first_guest_failed(t, (int)-ret);
	signal_init_process();
	trap_init_thread(t);
	t->started = true;
	t->uc->uc_stack.ss_flags = SS_DISABLE;
	host_syscall(__NR_sigaltstack, NULL, &t->uc->uc_stack);
	exit_to_user(t);
	return_to_user(t->uc);
}

static void entry_first_guest(const char *path, char **argv, char **envp) __attribute__((noreturn));

static void entry_first_guest(const char *path, char **argv, char **envp)
{
	static struct first_guest first; /* the caller's stack will be unmapped */

	first = (struct first_guest){ .path = path, .argv = argv, .envp = envp };
	kernel_shared.first_exec_error = (int)-on_service_stack(first_guest_make, &first);
	if (kernel_shared.first_exec_error)
		host_syscall(__NR_exit_group, 126);
	/* Room for the frame above. */
	native_on_stack(first_guest_run, &first, (u8 *)first.task + KSTACK_SIZE - 1024);
	__builtin_unreachable();
}

/* ---- Looking, ending --------------------------------------------------------------------- */

_Static_assert(NR_VM_EVENT_ITEMS <= MAX_VM_EVENTS, "the report has room for all events");

static long do_snapshot(void *arg)
{
	struct machine_snapshot *s = arg;
	struct native_task *t = current_native();
	struct zone *zone;

	cpu_get(t);
	s->total_pages = totalram_pages();
	s->free_pages = nr_free_pages();
	memset(s->zone_free, 0, sizeof(s->zone_free));
	for_each_zone(zone)
	{
		unsigned int z = zone_idx(zone);

		s->zone_name[z] = zone->name;
		for (unsigned int o = 0; o < NR_PAGE_ORDERS; o++)
			s->zone_free[z][o] += zone->free_area[o].nr_free;
		/* What was never touched counts as whole blocks of the largest order. */
		s->zone_free[z][MAX_ORDER] += zone->ungrown_pages >> MAX_ORDER;
	}
	for (unsigned int e = 0; e < NR_VM_EVENT_ITEMS; e++)
		s->vm_event[e] = all_vm_events(e);
	s->swap_pages = total_swap_pages;
	s->swap_peak_pages = peak_swap_pages;
	s->failed_allocations = (u64)atomic_long_read(&failslab.failed) +
				(u64)atomic_long_read(&fail_page_alloc.failed);
	s->failed_transfers = (u64)atomic_long_read(&fail_block.failed);
	s->file_pages = node_page_state(NR_FILE_PAGES);
	s->slab_pages = node_page_state(NR_SLAB_UNRECLAIMABLE);
	s->pgtable_pages = node_page_state(NR_PAGETABLE);
	s->kernel_stack_kb = node_page_state(NR_KERNEL_STACK_KB);
	cpu_put(t);
	return 0;
}

static long entry_snapshot(struct machine_snapshot *out)
{
	return on_service_stack(do_snapshot, out);
}

static long do_forget(void *unused)
{
	struct native_task *t = current_native();

	(void)unused;
	cpu_get(t);
	mm_forget_translations();
	cpu_put(t);
	return 0;
}

static long entry_forget(void *unused)
{
	return on_stack(forget_stack, do_forget, unused);
}

static void name_leaks(struct leak_report *out)
{
	size_t len = 0, size = sizeof(out->text);
	struct slabinfo info;

	for (unsigned int i = 0; get_slabinfo(i, &info); i++)
		if (info.active_objs)
			len += (size_t)scnprintf(out->text + len, size - len, " %s %lu", info.name,
						 info.active_objs);
	scnprintf(out->text + len, size - len,
		  "; page tables %lu, kernel stacks %lu KiB, "
		  "page cache %lu, shared memory %lu",
		  node_page_state(NR_PAGETABLE), node_page_state(NR_KERNEL_STACK_KB),
		  node_page_state(NR_FILE_PAGES), node_page_state(NR_SHMEM));
}

static long do_shutdown(void *arg)
{
	struct leak_report *out = arg;
	struct native_task *t = current_native();
	unsigned long free;
	int ret;

	cpu_get(t);
	kswapd_stop();
	native_task_reap();
	uffd_shutdown();
	ipc_shutdown();
	ret = inodes_shutdown();
	if (ret)
		printk(LOG_ERR, "a file could not be written back: error %d", -ret);
	out->swap_slots = swap_shutdown();
	out->objects = settle();
	free = nr_free_pages();
	out->frames = free < free_at_boot ? free_at_boot - free : 0;
	out->objects = out->objects > objects_at_boot ? out->objects - objects_at_boot : 0;
	if (out->frames || out->objects || out->swap_slots)
		name_leaks(out);
	cpu_put(t);
	return out->frames || out->objects || out->swap_slots;
}

static long entry_shutdown(struct leak_report *out)
{
	return on_service_stack(do_shutdown, out);
}

static long do_kswapd(void *unused)
{
	struct native_task *t = current_native();

	(void)unused;
	cpu_get(t);
	kswapd();
	cpu_put(t);
	return 0;
}

static long entry_kswapd(void *unused)
{
	return on_stack(kswapd_stack, do_kswapd, unused);
}

static long do_reap(void *unused)
{
	struct native_task *t = current_native();

	(void)unused;
	cpu_get(t);
	native_task_reap();
	cpu_put(t);
	return kernel_shared.nr_tasks;
}

static long entry_reap(void *unused)
{
	return on_service_stack(do_reap, unused);
}

static long entry_watch(void *unused)
{
	return on_stack(watch_stack, do_watch, unused);
}

static long do_kill_guests(void *unused)
{
	struct native_task *t = current_native();
	struct task_struct *task;
	long n = 0;

	(void)unused;
	cpu_get(t);
	native_task_reap();
	spin_lock(&tasklist_lock);
	list_for_each_entry(task, &task_list, tasks) {
		struct native_task *nt = (struct native_task *)task;

		signal_group_exit(nt, SIGKILL);
		hmm_let_die(nt->hmm);
		n++;
	}
	spin_unlock(&tasklist_lock);
	cpu_put(t);
	return n;
}

static long entry_kill_guests(void *unused)
{
	return on_service_stack(do_kill_guests, unused);
}

static long do_hangup(void *dev)
{
	struct native_task *t = current_native();

	cpu_get(t);
	uffd_hangup((u64)dev);
	cpu_put(t);
	return 0;
}

static long entry_hangup(void *dev)
{
	return on_stack(hangup_stack, do_hangup, dev);
}

static bool entry_fault(const void *siginfo, const void *ucontext)
{
	const struct host_siginfo *si = siginfo;
	const struct host_ucontext *uc = ucontext;
	u64 ip = uc->uc_mcontext.ip;

	return ip >= (u64)__kernel_text_start && ip < (u64)__kernel_text_end &&
	       vmalloc_fault(si->fields[0]);
}

const struct kernel_entry kernel_entry = {
	.magic = KERNEL_ENTRY_MAGIC,
	.shared = &kernel_shared,
	.boot = entry_boot,
	.first_guest = entry_first_guest,
	.swapon = entry_swapon,
	.snapshot = entry_snapshot,
	.sample = native_sample,
	.forget = entry_forget,
	.shutdown = entry_shutdown,
	.kswapd = entry_kswapd,
	.reap = entry_reap,
	.watch = entry_watch,
	.kill_guests = entry_kill_guests,
	.hangup = entry_hangup,
	.fault = entry_fault,
	.text_start = (u64)__kernel_text_start,
	.text_end = (u64)__kernel_text_end,
};
