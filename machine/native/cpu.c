/* SPDX-License-Identifier: MIT */
/*
 * cpu.c - virtual CPUs. A CPU is a token: a task holds one while it is in state KERNEL and gives
 * it back to run guest code or to block in the host. Who holds CPU n has its per-CPU data alone.
 *
 *   free_cpus   bit n set: CPU n is nobody's
 *
 * A task prefers the CPU it had last, whose per-CPU lists are warm in its cache.
 */
#include "native.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1

static u64 free_cpus;
static u32 cpu_waiters;
static u32 cpu_seq;
static unsigned int nr_cpus;

void cpu_init(unsigned int nr)
{
	nr_cpus = nr;
	free_cpus = nr == 64 ? ~0ull : (1ull << nr) - 1;
}

static bool cpu_try_get(struct native_task *t, unsigned int cpu)
{
	u64 bit = 1ull << cpu;

	if (!(__atomic_load_n(&free_cpus, __ATOMIC_RELAXED) & bit))
		return false;
	if (!(__atomic_fetch_and(&free_cpus, ~bit, __ATOMIC_SEQ_CST) & bit))
		return false;
	t->cpu = cpu;
	t->last_cpu = cpu;
	return true;
}

static bool cpu_try_any(struct native_task *t)
{
	u64 free;

	while ((free = __atomic_load_n(&free_cpus, __ATOMIC_SEQ_CST)))
		if (cpu_try_get(t, (unsigned int)__builtin_ctzll(free)))
			return true;
	return false;
}

static void cpu_wait(struct native_task *t)
{
	__atomic_fetch_add(&cpu_waiters, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		u32 seq = __atomic_load_n(&cpu_seq, __ATOMIC_SEQ_CST);

		if (cpu_try_any(t))
			break;
		host_syscall(__NR_futex, &cpu_seq, FUTEX_WAIT, seq);
	}
	__atomic_fetch_sub(&cpu_waiters, 1, __ATOMIC_SEQ_CST);
}

void cpu_get(struct native_task *t)
{
	if (!cpu_try_get(t, t->last_cpu) && !cpu_try_any(t))
		cpu_wait(t);
	t->enter_tsc = rdtsc();
	__atomic_store_n(&t->state, TASK_KERNEL, __ATOMIC_SEQ_CST);
}

void cpu_put(struct native_task *t)
{
	native_count(t, NC_KERNEL_TSC, rdtsc() - t->enter_tsc);
	__atomic_store_n(&t->state, TASK_HOST, __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&free_cpus, 1ull << t->cpu, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&cpu_waiters, __ATOMIC_SEQ_CST)) {
		__atomic_fetch_add(&cpu_seq, 1, __ATOMIC_SEQ_CST);
		host_syscall(__NR_futex, &cpu_seq, FUTEX_WAKE, 1);
	}
}

unsigned int machine_nr_cpus(void)
{
	return nr_cpus;
}

unsigned int machine_cpu_id(void)
{
	return current_native()->cpu;
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
}

/* Kernel code on another virtual CPU cannot be interrupted, and needs not be: see tlb.c. */
void machine_ipi(u64 cpumask, void (*fn)(void *arg), void *arg)
{
	(void)cpumask;
	(void)fn;
	(void)arg;
}
