/* SPDX-License-Identifier: MIT */
/*
 * soft_fixture.h - what tests on the soft machine share: panics as results, random numbers,
 * threads that are CPUs.
 */
#ifndef QUIRE_TEST_SOFT_FIXTURE_H
#define QUIRE_TEST_SOFT_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <quire/cmdline.h>
#include <quire/fault-inject.h>
#include <quire/mm.h>
#include <quire/slab.h>
#include <quire/vmstat.h>

#include "soft.h"

#define MiB (1ul << 20)
#define GiB (1ul << 30)

/* ---- Panics and the log ------------------------------------------------------------------- */

static jmp_buf panic_return;
static char panic_text[300];
static char log_text[300]; /* the last message */

static inline void panic_caught(const char *text)
{
	snprintf(panic_text, sizeof(panic_text), "%s", text);
	longjmp(panic_return, 1);
}

static inline void log_kept(enum log_level level, const char *text)
{
	(void)level;
	snprintf(log_text, sizeof(log_text), "%s", text);
}

/* The expression must panic, with a text that contains `with`. The machine is of no use after it. */
#define assert_panics(expr, with)                               \
	do {                                                    \
		soft_panic_hook = panic_caught;                 \
		if (!setjmp(panic_return)) {                    \
			(void)(expr);                           \
			fail_msg("no panic: " #expr);           \
		}                                               \
		soft_panic_hook = NULL;                         \
		if (!strstr(panic_text, with))                  \
			fail_msg("panic says: %s", panic_text); \
	} while (0)

/* ---- Random numbers ------------------------------------------------------------------------ */

/* xorshift; one state for each thread. */
static inline u64 rng_next(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline unsigned long rng_below(u64 *state, unsigned long n)
{
	return (unsigned long)(rng_next(state) % n);
}

/* ---- CPUs --------------------------------------------------------------------------------- */

struct cpu_thread {
	pthread_t thread;
	unsigned int cpu;
	void (*fn)(unsigned int cpu, void *arg);
	void *arg;
};

static inline void *cpu_thread_main(void *data)
{
	struct cpu_thread *t = data;

	soft_cpu_enter(t->cpu);
	t->fn(t->cpu, t->arg);
	return NULL;
}

/* Runs fn on CPUs 0 ... nr - 1, each a thread. The caller calls nothing of the core meanwhile. */
static inline void on_cpus(unsigned int nr, void (*fn)(unsigned int cpu, void *arg), void *arg)
{
	struct cpu_thread threads[MACHINE_MAX_CPUS];

	for (unsigned int i = 0; i < nr; i++) {
		threads[i] = (struct cpu_thread){ .cpu = i, .fn = fn, .arg = arg };
		assert_int_equal(
			pthread_create(&threads[i].thread, NULL, cpu_thread_main, &threads[i]), 0);
	}
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i].thread, NULL);
}

/* ---- A machine for each test --------------------------------------------------------------- */

static inline int machine_down(void **state)
{
	(void)state;
	soft_exit();
	soft_ram_garbage(false);
	soft_log_hook = NULL;
	soft_panic_hook = NULL;
	boot_command_line[0] = '\0';
#ifndef CONFIG_DEBUG_VM
	slab_panic_on_error = false;
#endif
	memset(&fail_page_alloc, 0, sizeof(fail_page_alloc));
	memset(&failslab, 0, sizeof(failslab));
	return 0;
}

/* A test that leaves its machine as it is. */
#define machine_test(fn) cmocka_unit_test_teardown(fn, machine_down)

#endif
