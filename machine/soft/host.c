/* SPDX-License-Identifier: MIT */
/* Clock, log, panic, entropy and trace: what the process around the machine supplies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "soft_internal.h"

void (*soft_panic_hook)(const char *text);
void (*soft_log_hook)(enum log_level level, const char *text);
void (*soft_kill_hook)(struct mm_struct *mm);
void (*soft_trace_hook)(const struct trace_event *event);

static u64 clock_step;
static u64 clock_now;
static u64 random_state;

void soft_clock_step(u64 ns)
{
	clock_step = ns;
	clock_now = 0;
}

static u64 host_clock(clockid_t id)
{
	struct timespec now;

	if (clock_step)
		return __atomic_add_fetch(&clock_now, clock_step, __ATOMIC_RELAXED);
	clock_gettime(id, &now);
	return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}

u64 machine_clock_ns(void)
{
	return host_clock(CLOCK_MONOTONIC);
}

u64 machine_realtime_ns(void)
{
	return host_clock(CLOCK_REALTIME);
}

void machine_log(enum log_level level, const char *text, size_t len)
{
	char line[512];

	if (len >= sizeof(line))
		len = sizeof(line) - 1;
	memcpy(line, text, len);
	line[len] = '\0';
	if (soft_log_hook)
		soft_log_hook(level, line);
	else if (level <= LOG_WARNING)
		fprintf(stderr, "quire: %s\n", line);
}

void machine_panic(const char *text)
{
	if (soft_panic_hook)
		soft_panic_hook(text);
	fprintf(stderr, "quire: panic: %s\n", text);
	abort();
}

static __thread bool cpu_dying;

void soft_cpu_dying(bool dying)
{
	cpu_dying = dying;
}

bool machine_is_dying(void)
{
	return cpu_dying;
}

static u64 capabilities;

void soft_set_capabilities(u64 caps)
{
	capabilities = caps;
}

bool machine_capable(int cap)
{
	return capabilities >> cap & 1;
}

void machine_kill_mm(struct mm_struct *mm)
{
	if (soft_kill_hook)
		soft_kill_hook(mm);
}

void soft_random_seed(u64 seed)
{
	random_state = seed;
}

/* splitmix64: a counter, and a mix of its value. */
static u64 next_random(void)
{
	u64 x = __atomic_add_fetch(&random_state, 0x9e3779b97f4a7c15u, __ATOMIC_RELAXED);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

void machine_random(void *buf, size_t len)
{
	unsigned char *bytes = buf;

	while (len) {
		u64 r = next_random();
		size_t n = len < sizeof(r) ? len : sizeof(r);

		memcpy(bytes, &r, n);
		bytes += n;
		len -= n;
	}
}

void machine_trace(const struct trace_event *event)
{
	if (soft_trace_hook)
		soft_trace_hook(event);
}
