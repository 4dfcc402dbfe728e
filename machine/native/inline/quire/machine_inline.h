/* SPDX-License-Identifier: MIT */
/*
 * machine_inline.h of the native machine: the task is found from the kernel stack, at whose low end
 * it lies with the CPU's number first, and no interrupt reaches the kernel (cpu.c). native.h asserts both.
 */
#ifndef QUIRE_MACHINE_INLINE_H
#define QUIRE_MACHINE_INLINE_H

#define NATIVE_STACK_SIZE 0x8000ul

static inline unsigned int machine_cpu_id(void)
{
	unsigned long sp;

	__asm__("movq %%rsp, %0" : "=r"(sp));
	return *(const volatile unsigned int *)(sp & ~(NATIVE_STACK_SIZE - 1));
}

static inline unsigned int machine_cpu_slot(void)
{
	return machine_cpu_id();
}

static inline unsigned long machine_slot_offset(void)
{
	return machine_cpu_id() * MACHINE_SLOT_BYTES;
}

static inline unsigned long machine_irq_save(void)
{
	return 0;
}

static inline void machine_irq_restore(unsigned long flags)
{
	(void)flags;
}

#endif
