/* SPDX-License-Identifier: MIT */
/* machine_inline.h of the soft machine: cpu.c has the same as functions, and what is behind them. */
#ifndef QUIRE_MACHINE_INLINE_H
#define QUIRE_MACHINE_INLINE_H

extern unsigned int soft_nr_cpus;
extern __thread unsigned int soft_this_cpu __attribute__((tls_model("local-exec")));
extern __thread unsigned long soft_this_offset __attribute__((tls_model("local-exec")));
void soft_irq_off(void);
void soft_irq_on(void);

static inline unsigned int machine_cpu_id(void)
{
	return soft_this_cpu;
}

static inline unsigned int machine_cpu_slot(void)
{
	return (unsigned int)(soft_this_offset / MACHINE_SLOT_BYTES);
}

static inline unsigned long machine_slot_offset(void)
{
	return soft_this_offset;
}

static inline unsigned long machine_irq_save(void)
{
	if (soft_nr_cpus > 1)
		soft_irq_off();
	return 0;
}

static inline void machine_irq_restore(unsigned long flags)
{
	(void)flags;
	if (soft_nr_cpus > 1)
		soft_irq_on();
}

#endif
