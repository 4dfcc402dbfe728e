/* SPDX-License-Identifier: MIT */
/* machine.c - memory map, waiting, clock, log, panic, entropy, trace of the native machine. */
#include <quire/mman.h>
#include <quire/slab.h>
#include <quire/sprintf.h>
#include <quire/string.h>
#include <quire/trace.h>

#include "native.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define NODE_GRANULE (PAGE_SIZE << MAX_ORDER)

#define CAP_VERSION_3 0x20080522u

#define MEMBARRIER_CMD_GLOBAL 1
#define MEMBARRIER_CMD_GLOBAL_EXPEDITED 2
#define MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED 4
#define MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE 32
#define MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE 64

struct kernel_shared kernel_shared;

/* Each node has its share in one piece, of whole blocks of the allocator's. */
int machine_memory_map(struct e820_entry *map, int max)
{
	u64 ram = machine_params.ram_bytes, start = 0;
	u32 nodes = machine_params.nr_nodes;
	int nr = 0;

	if (max < (int)nodes + 1)
		return -EINVAL;
	for (u32 node = 0; node < nodes; node++) {
		u64 end = node + 1 == nodes ? ram
					    : ALIGN_DOWN(ram / nodes * (node + 1), NODE_GRANULE);

		map[nr++] = (struct e820_entry){
			.addr = start, .size = end - start, .type = E820_TYPE_RAM, .node = node
		};
		start = end;
	}
	map[nr++] = (struct e820_entry){ .addr = 0,
					 .size = machine_params.kernel_data_bytes,
					 .type = E820_TYPE_RESERVED };
	return nr;
}

unsigned int machine_node_distance(unsigned int from, unsigned int to)
{
	return from == to ? LOCAL_DISTANCE : REMOTE_DISTANCE;
}

bool machine_ram_is_zeroed(void)
{
	return true;
}

/*
 * The host enters pages of RAM into this process one at a time when they are written first, but many at
 * once when they are read first, and cheapest when it is asked to. Where it has huge pages all of
 * that is no matter.
 */
#define CLEAR_POPULATED 8ul /* from so many pages on: asking for them costs less than the misses */
#define HOST_FAULT_AROUND 65536ul

void machine_clear_pages(void *addr, unsigned long nr)
{
	unsigned long start = (unsigned long)addr, end = start + (nr << PAGE_SHIFT);

	if (!machine_params.huge_ram) {
		if (nr >= CLEAR_POPULATED)
			host_syscall(__NR_madvise, start, end - start, MADV_POPULATE_READ);
		else
			for (unsigned long p = start; p < end;
			     p = (p & ~(HOST_FAULT_AROUND - 1)) + HOST_FAULT_AROUND)
				(void)READ_ONCE(*(const char *)p);
	}
	memset(addr, 0, end - start);
}

/* ---- Waiting ---- */

struct futex_wait {
	u32 *word, val;
	struct host_timespec *timeout;
};

static long wait_without_cpu(void *arg)
{
	const struct futex_wait *w = arg;
	struct native_task *t = current_native();
	long ret;

	cpu_lend(t);
	ret = host_syscall(__NR_futex, w->word, FUTEX_WAIT, w->val, w->timeout);
	cpu_take_back(t);
	return ret;
}

int machine_wait(u32 *word, u32 val, u64 timeout_ns)
{
	struct host_timespec ts = { (s64)(timeout_ns / 1000000000),
				    (s64)(timeout_ns % 1000000000) };
	struct futex_wait w = { word, val, timeout_ns == MACHINE_WAIT_FOREVER ? NULL : &ts };

	return native_resumable(wait_without_cpu, &w) == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

int machine_wait_interruptible(u32 *word, u32 val, u64 timeout_ns)
{
	struct host_timespec ts = { (s64)(timeout_ns / 1000000000),
				    (s64)(timeout_ns % 1000000000) };
	bool forever = timeout_ns == MACHINE_WAIT_FOREVER;
	long ret =
		host_call(__NR_futex, (long)word, FUTEX_WAIT, val, forever ? 0 : (long)&ts, 0, 0);

	if (ret == -EINTR || ret == -ERESTARTSYS)
		return -EINTR;
	return ret == -ETIMEDOUT ? -ETIMEDOUT : 0;
}

void machine_wake(u32 *word, int n)
{
	host_syscall(__NR_futex, word, FUTEX_WAKE, n);
}

/* ---- Clock ---- */

u64 native_clock_ns(int clock)
{
	struct host_timespec ts = { 0 };

	host_syscall(__NR_clock_gettime, clock, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

u64 machine_clock_ns(void)
{
	return native_clock_ns(CLOCK_MONOTONIC);
}

u64 machine_realtime_ns(void)
{
	return native_clock_ns(CLOCK_REALTIME);
}

/* ---- Log, panic ---- */

void machine_log(enum log_level level, const char *text, size_t len)
{
	static const char prefix[] = "quire: ";
	struct host_iovec iov[3] = { { (unsigned long)prefix, sizeof(prefix) - 1 },
				     { (unsigned long)text, len },
				     { (unsigned long)"\n", 1 } };

	if (level <= LOG_ERR || machine_params.verbose)
		host_syscall(__NR_writev, machine_params.log_fd, iov, 3);
}

/*
 * The machine's state cannot be trusted: say why and have the keeper take every process down. The
 * command sees `panicked` and reports it.
 */
void machine_stop(const char *text)
{
	if (__atomic_exchange_n(&kernel_shared.panicked, 1, __ATOMIC_SEQ_CST))
		return;
	snprintf(kernel_shared.panic, sizeof(kernel_shared.panic), "the machine stopped: %s", text);
	machine_log(LOG_ERR, kernel_shared.panic, strlen(kernel_shared.panic));
	/* There is none while the machine boots. */
	if (machine_params.keeper_pid)
		host_syscall_raw(__NR_kill, machine_params.keeper_pid, 15);
}

void machine_panic(const char *text)
{
	machine_stop(text);
	for (;;)
		host_syscall_raw(__NR_exit_group, NATIVE_EXIT_STOPPED);
}

void machine_random(void *buf, size_t len)
{
	host_syscall(__NR_getrandom, buf, len, 0);
}

void machine_current_cred(u32 *euid, u32 *egid)
{
	*euid = (u32)host_syscall(__NR_geteuid);
	*egid = (u32)host_syscall(__NR_getegid);
}

bool machine_capable(int cap)
{
	const struct {
		u32 version;
		s32 pid;
	} header = { .version = CAP_VERSION_3 };
	struct {
		u32 effective, permitted, inheritable;
	} data[2] = { 0 };

	return !host_syscall(__NR_capget, &header, data) &&
	       data[cap / 32].effective >> cap % 32 & 1;
}

/*
 * All guests descend from a process that is registered with the host for MEMBARRIER_CMD_GLOBAL_EXPEDITED, so
 * one call reaches every thread that runs guest code, also where several host processes run one mm. A
 * host process at work is interrupted for that, from which its processor returns with no old instructions;
 * for one that is just then on its way out of the host's kernel the private command takes care.
 */
void machine_membarrier(struct mm_struct *mm, bool sync_core)
{
	(void)mm;
	if (sync_core) {
		host_syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE,
			     0, 0);
		host_syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
	}
	if (host_syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0))
		host_syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

void native_membarrier_init(void)
{
	host_syscall(__NR_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
}

static bool in_further_group(u32 gid)
{
	long n = host_syscall(__NR_getgroups, 0, NULL);
	u32 *groups = n > 0 ? kmalloc((size_t)n * sizeof(u32), GFP_KERNEL) : NULL;
	bool found = false;

	if (groups)
		n = host_syscall(__NR_getgroups, n, groups);
	for (long i = 0; groups && i < n && !found; i++)
		found = groups[i] == gid;
	kfree(groups);
	return found;
}

bool machine_in_group(u32 gid)
{
	u32 uid, egid;

	machine_current_cred(&uid, &egid);
	return gid == egid || in_further_group(gid);
}

#ifdef CONFIG_DEBUG_VM
struct held_locks *machine_held_locks(void)
{
	return &current_native()->held_locks;
}
#endif

struct task_struct *machine_current(void)
{
	return &current_native()->task;
}

/* ---- Trace ---- */

void machine_trace(const struct trace_event *event)
{
	struct trace_ring *ring = kernel_shared.trace;
	struct native_task *t = current_native();
	struct native_trace_record *r;
	u64 seq;

	if (!ring)
		return;
	seq = __atomic_fetch_add(&ring->head, 1, __ATOMIC_SEQ_CST);
	/* Wait for room: no event is lost while the keeper lives. */
	for (unsigned int spins = 0;
	     seq - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) >= TRACE_RING_EVENTS; spins++) {
		__atomic_fetch_add(&ring->wake, 1, __ATOMIC_SEQ_CST);
		host_syscall(__NR_futex, &ring->wake, FUTEX_WAKE, 1);
		host_syscall(__NR_sched_yield);
	}
	r = &ring->event[seq % TRACE_RING_EVENTS];
	r->time_ns = event->time_ns;
	r->dur_ns = event->dur_ns;
	r->type = event->type;
	r->cpu = event->cpu;
	r->pid = (u32)t->task.tgid;
	r->tid = (u32)t->task.pid;
	r->addr = event->addr;
	r->arg = event->arg;
	memcpy(r->comm, t->task.comm, sizeof(r->comm) - 1);
	__atomic_store_n(&r->ready, (u32)seq + 1, __ATOMIC_RELEASE);
	if (seq % (TRACE_RING_EVENTS / 4) == 0) {
		__atomic_fetch_add(&ring->wake, 1, __ATOMIC_SEQ_CST);
		host_syscall(__NR_futex, &ring->wake, FUTEX_WAKE, 1);
	}
}
