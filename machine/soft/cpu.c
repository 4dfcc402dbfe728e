/* SPDX-License-Identifier: MIT */
/*
 * CPUs: threads of the process, each with the number it gave itself.
 *
 * A thread cannot be interrupted in the middle of the core, so an interrupt of another CPU is run by
 * its sender in that CPU's name, while the CPU is kept from turning its interrupts off: "off" is a
 * lock that the CPU holds. A machine of one CPU needs none of this. What uses a CPU's lists without
 * turning interrupts off is not kept out, so the handler has a slot of its own.
 */
#include <sched.h>

#include "soft_internal.h"

unsigned int soft_nr_cpus = 1;

static struct soft_cpu {
	u32 irq_off; /* lock: held by the CPU, or by the sender of an interrupt */
} __attribute__((aligned(64))) cpus[MACHINE_MAX_CPUS];

__thread unsigned int soft_this_cpu;
__thread unsigned long soft_this_offset;
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
	soft_this_cpu = 0;
	soft_this_offset = 0;
	irq_depth = 0;
}

void soft_cpu_enter(unsigned int cpu)
{
	soft_this_cpu = cpu % soft_nr_cpus;
	soft_this_offset = soft_this_cpu * MACHINE_SLOT_BYTES;
	irq_depth = 0;
}

unsigned int machine_nr_cpus(void)
{
	return soft_nr_cpus;
}

unsigned int machine_cpu_id(void)
{
	return soft_this_cpu;
}

unsigned int machine_cpu_slot(void)
{
	return (unsigned int)(soft_this_offset / MACHINE_SLOT_BYTES);
}

void soft_irq_off(void)
{
	if (irq_depth++ == 0)
		soft_lock(&cpus[soft_this_cpu].irq_off);
}

void soft_irq_on(void)
{
	if (--irq_depth == 0)
		soft_unlock(&cpus[soft_this_cpu].irq_off);
}

unsigned long machine_irq_save(void)
{
	if (soft_nr_cpus > 1)
		soft_irq_off();
	return 0;
}

void machine_irq_restore(unsigned long flags)
{
	(void)flags;
	if (soft_nr_cpus > 1)
		soft_irq_on();
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
	unsigned long offset = soft_this_offset;
	unsigned int self = soft_this_cpu;

	for (unsigned int cpu = 0; cpu < soft_nr_cpus; cpu++) {
		if (cpu == self || !(cpumask >> cpu & 1))
			continue;
		soft_lock(&cpus[cpu].irq_off);
		soft_this_cpu = cpu;
		soft_this_offset = soft_nr_cpus * MACHINE_SLOT_BYTES;
		irq_depth = 1;
		fn(arg);
		irq_depth = 0;
		soft_this_cpu = self;
		soft_this_offset = offset;
		soft_unlock(&cpus[cpu].irq_off);
	}
}
