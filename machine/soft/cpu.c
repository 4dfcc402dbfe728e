/* SPDX-License-Identifier: MIT */
/*
 * CPUs: threads of the process, each with the number it gave itself.
 *
 * A thread cannot be interrupted in the middle of the core, so an interrupt of another CPU is run by
 * its sender in that CPU's name, while the CPU is kept from turning its interrupts off: "off" is a
 * lock that the CPU holds. A machine of one CPU needs none of this.
 */
#include <sched.h>

#include "soft_internal.h"

unsigned int soft_nr_cpus = 1;

static struct soft_cpu {
	u32 irq_off; /* lock: held by the CPU, or by the sender of an interrupt */
} __attribute__((aligned(64))) cpus[MACHINE_MAX_CPUS];

static __thread unsigned int this_cpu;
static __thread unsigned int irq_depth;
#ifdef CONFIG_DEBUG_VM
static __thread struct held_locks held_locks;

struct held_locks *machine_held_locks(void)
{
	return &held_locks;
}
#endif

void soft_cpu_reset(void)
{
	for (unsigned int i = 0; i < MACHINE_MAX_CPUS; i++)
		cpus[i].irq_off = 0;
	this_cpu = 0;
	irq_depth = 0;
}

void soft_cpu_enter(unsigned int cpu)
{
	this_cpu = cpu % soft_nr_cpus;
	irq_depth = 0;
}

unsigned int machine_nr_cpus(void)
{
	return soft_nr_cpus;
}

unsigned int machine_cpu_id(void)
{
	return this_cpu;
}

unsigned long machine_irq_save(void)
{
	if (soft_nr_cpus > 1 && irq_depth++ == 0)
		soft_lock(&cpus[this_cpu].irq_off);
	return 0;
}

void machine_irq_restore(unsigned long flags)
{
	(void)flags;
	if (soft_nr_cpus > 1 && --irq_depth == 0)
		soft_unlock(&cpus[this_cpu].irq_off);
}

void machine_relax(unsigned int spins)
{
	if (spins % 64 == 63)
		sched_yield();
	else
		__builtin_ia32_pause();
}

void machine_ipi(u64 cpumask, void (*fn)(void *arg), void *arg)
{
	unsigned int self = this_cpu;

	for (unsigned int cpu = 0; cpu < soft_nr_cpus; cpu++) {
		if (cpu == self || !(cpumask >> cpu & 1))
			continue;
		soft_lock(&cpus[cpu].irq_off);
		this_cpu = cpu;
		irq_depth = 1;
		fn(arg);
		irq_depth = 0;
		this_cpu = self;
		soft_unlock(&cpus[cpu].irq_off);
	}
}
