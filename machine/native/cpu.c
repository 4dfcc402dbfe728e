/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - virtual CPUs. A CPU is a token: a task holds one while it is in state KERNEL and gives
 * it back to run guest code or to block in the host. Who holds CPU n has its per-CPU data alone.
 *
 *   cpu_owner[n]   who holds CPU n, NULL nobody: changed in one step, so that it is known of a task that
 *                  was killed whether it held one
 *
 *   cpu_get, cpu_put          into state KERNEL and out of it
 *   cpu_lend, cpu_take_back   around a wait of the kernel's own: others can have the CPU, but the task
 *                             stays in state KERNEL, may hold sleeping locks, and no signal ends it
 *
 * Whoever holds a CPU waits for nothing but spinlocks and the answer to a flush: who is waited for may need
 * the only CPU. A task prefers the CPU it had last, whose per-CPU lists are warm in its cache.
 */
#include <quire/kernel.h>

#include "native.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1

static struct native_task *cpu_owner[NATIVE_MAX_CPUS];
static u32 cpu_waiters;
static u32 cpu_seq;
static unsigned int nr_cpus;

void cpu_init(unsigned int nr)
{
	nr_cpus = nr;
}

/* What machine_ipi() asks of the CPUs in `pending`. */
static struct {
	u32 busy;
	u64 pending;
	void (*fn)(void *arg);
	void *arg;
} ipi;

/* The caller holds the CPU, and is in no critical section. */
static void ipi_answer(unsigned int cpu)
{
	u64 bit = 1ull << cpu;

	if (likely(!(__atomic_load_n(&ipi.pending, __ATOMIC_SEQ_CST) & bit)))
		return;
	ipi.fn(ipi.arg);
	__atomic_fetch_and(&ipi.pending, ~bit, __ATOMIC_SEQ_CST);
}

static bool cpu_try_get(struct native_task *t, unsigned int cpu)
{
	struct native_task *none = NULL;

	if (__atomic_load_n(&cpu_owner[cpu], __ATOMIC_RELAXED) ||
	    !__atomic_compare_exchange_n(&cpu_owner[cpu], &none, t, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return false;
	t->task.cpu = cpu;
	t->last_cpu = cpu;
	return true;
}

static bool cpu_try_any(struct native_task *t)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		if (cpu_try_get(t, cpu))
			return true;
	return false;
}

static void cpu_wait(struct native_task *t)
{
	struct host_timespec service_patience = { 0, 100000000 };

	__atomic_fetch_add(&cpu_waiters, 1, __ATOMIC_SEQ_CST);
	t->cpu_waiting = true;
	for (;;) {
		u32 seq = __atomic_load_n(&cpu_seq, __ATOMIC_SEQ_CST);

		if (cpu_try_any(t))
			break;
		/* Guests are killed if the machine stops; the command has to see it by itself. */
		if (t->is_service && __atomic_load_n(&kernel_shared.panicked, __ATOMIC_SEQ_CST))
			machine_panic("");
		host_syscall(__NR_futex, &cpu_seq, FUTEX_WAIT, seq,
			     t->is_service ? &service_patience : NULL);
	}
	t->cpu_waiting = false;
	__atomic_fetch_sub(&cpu_waiters, 1, __ATOMIC_SEQ_CST);
}

static void cpu_take(struct native_task *t)
{
	if (!cpu_try_get(t, t->last_cpu) && !cpu_try_any(t))
		cpu_wait(t);
}

/* Without a CPU of its own from here on: the caller touches no per-CPU data until it has one. */
static void cpu_free(unsigned int cpu)
{
	__atomic_store_n(&cpu_owner[cpu], NULL, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&cpu_waiters, __ATOMIC_SEQ_CST)) {
		__atomic_fetch_add(&cpu_seq, 1, __ATOMIC_SEQ_CST);
		host_syscall(__NR_futex, &cpu_seq, FUTEX_WAKE, 1);
	}
}

void cpu_take_back(struct native_task *t)
{
	cpu_take(t);
	kernel_tlb_sync(t);
	t->enter_tsc = rdtsc();
}

void cpu_lend(struct native_task *t)
{
	native_count(t, NC_KERNEL_TSC, rdtsc() - t->enter_tsc);
	if (!native_has_record(t))
		ipi_answer(t->task.cpu);
	cpu_free(t->task.cpu);
}

/* The state first: who stops the process must not find a task with a CPU in state HOST. */
void cpu_get(struct native_task *t)
{
	__atomic_store_n(&t->state, TASK_KERNEL, __ATOMIC_SEQ_CST);
	cpu_take_back(t);
}

/* The state last, for the same reason. */
void cpu_put(struct native_task *t)
{
	cpu_lend(t);
	__atomic_store_n(&t->state, TASK_HOST, __ATOMIC_SEQ_CST);
}

/* ---- For the reaper ----------------------------------------------------------------------- */

struct native_task *cpu_holder(unsigned int cpu)
{
	return __atomic_load_n(&cpu_owner[cpu], __ATOMIC_SEQ_CST);
}

int cpu_held_by(const struct native_task *t)
{
	for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
		if (cpu_holder(cpu) == t)
			return (int)cpu;
	return -1;
}

/* Whoever gave a CPU back may have been killed before it woke the next. */
void cpu_unstall(void)
{
	if (!__atomic_load_n(&cpu_waiters, __ATOMIC_SEQ_CST) || cpu_held_by(NULL) < 0)
		return;
	__atomic_fetch_add(&cpu_seq, 1, __ATOMIC_SEQ_CST);
	host_syscall(__NR_futex, &cpu_seq, FUTEX_WAKE, 1);
}

void cpu_forget_waiter(struct native_task *t)
{
	if (t->cpu_waiting)
		__atomic_fetch_sub(&cpu_waiters, 1, __ATOMIC_SEQ_CST);
	t->cpu_waiting = false;
}

unsigned int machine_nr_cpus(void)
{
	return nr_cpus;
}

unsigned int machine_cpu_id(void)
{
	return current_native()->task.cpu;
}

/* Requests of machine_ipi() are answered between two uses of the core, never within one. */
unsigned int machine_cpu_slot(void)
{
	return machine_cpu_id();
}

/* No interrupts reach kernel mode: all host signals are blocked there. */
unsigned long machine_irq_save(void)
{
	return 0;
}

void machine_irq_restore(unsigned long flags)
{
	(void)flags;
}

void machine_relax(unsigned int spins)
{
	if (spins % 64 == 63)
		host_syscall(__NR_sched_yield);
	else
		__builtin_ia32_pause();
	/* Who is waited for may have been killed. */
	if (spins % 4096 == 4095)
		reap_soon();
}

/*
 * One request at a time. A CPU that is nobody's is taken by the caller for the length of fn(); one in
 * use is asked: its holder runs fn() when it gives the CPU back, which it does before it waits for
 * anything but a spinlock.
 */
void machine_ipi(u64 cpumask, void (*fn)(void *arg), void *arg)
{
	struct native_task *t = current_native();
	unsigned int self = t->task.cpu;
	u64 left;

	for (unsigned int spins = 0; __atomic_exchange_n(&ipi.busy, 1, __ATOMIC_ACQUIRE); spins++) {
		ipi_answer(self);
		machine_relax(spins);
	}
	ipi.fn = fn;
	ipi.arg = arg;
	__atomic_store_n(&ipi.pending, cpumask & ~(1ull << self), __ATOMIC_SEQ_CST);
	for (unsigned int spins = 0; (left = __atomic_load_n(&ipi.pending, __ATOMIC_SEQ_CST));
	     spins++) {
		for (; left; left &= left - 1) {
			unsigned int cpu = (unsigned int)__builtin_ctzll(left);

			if (!cpu_try_get(t, cpu))
				continue;
			ipi_answer(cpu);
			cpu_free(cpu);
		}
		t->task.cpu = t->last_cpu = self;
		machine_relax(spins);
	}
	__atomic_store_n(&ipi.busy, 0, __ATOMIC_RELEASE);
}
