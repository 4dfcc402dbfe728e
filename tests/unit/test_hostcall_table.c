/* SPDX-License-Identifier: MIT */
/* machine/native/hostcall_table.c: every system call is there, and its description makes sense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <mqueue.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/timex.h>
#include <sys/utsname.h>

#include <quire/unistd.h>

#include "../../machine/native/hostcall.h"

/* Numbers that x86-64 does not have: the range of the other ABI, and what lies behind it. */
static int is_gap(unsigned int nr)
{
	return nr >= 335 && nr < 424;
}

static void every_number_is_classified(void **state)
{
	(void)state;
	for (unsigned int nr = 0; nr < NR_HOSTCALLS; nr++) {
		const struct hostcall_desc *d = &hostcall_table[nr];

		if (is_gap(nr)) {
			assert_null(d->name);
			assert_int_equal(d->class, HC_UNKNOWN);
		} else if (!d->name) {
			fail_msg("system call %u has no entry", nr);
		}
	}
	assert_null(hostcall_name(NR_HOSTCALLS));
	assert_null(hostcall_name(~0ul));
}

static void names_stand_at_their_numbers(void **state)
{
	static const struct {
		unsigned int nr;
		const char *name;
	} known[] = {
		{ 0, "read" },		 { 1, "write" },	 { 9, "mmap" },
		{ 39, "getpid" },	 { 59, "execve" },	 { 61, "wait4" },
		{ 72, "fcntl" },	 { 89, "readlink" },	 { 128, "rt_sigtimedwait" },
		{ 186, "gettid" },	 { 217, "getdents64" },	 { 231, "exit_group" },
		{ 257, "openat" },	 { 262, "newfstatat" },	 { 270, "pselect6" },
		{ 281, "epoll_pwait" },	 { 302, "prlimit64" },	 { 318, "getrandom" },
		{ 332, "statx" },	 { 334, "rseq" },	 { 424, "pidfd_send_signal" },
		{ 435, "clone3" },	 { 437, "openat2" },	 { 439, "faccessat2" },
		{ 441, "epoll_pwait2" }, { 449, "futex_waitv" }, { 452, "fchmodat2" },
		{ 462, "mseal" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_string_equal(hostcall_name(known[i].nr), known[i].name);
	for (unsigned int a = 0; a < NR_HOSTCALLS; a++)
		for (unsigned int b = 0; b < a; b++)
			if (hostcall_table[a].name && hostcall_table[b].name)
				assert_string_not_equal(hostcall_table[a].name,
							hostcall_table[b].name);
}

static int takes_length(enum hostcall_arg kind)
{
	return kind == HA_IN_LEN || kind == HA_OUT_LEN || kind == HA_OUT_RET || kind == HA_OUT_RETI;
}

static int takes_size(enum hostcall_arg kind)
{
	return takes_length(kind) || kind == HA_IN || kind == HA_IN_MAY || kind == HA_OUT ||
	       kind == HA_OUT_INTR || kind == HA_INOUT || kind == HA_UPDATE || kind == HA_ANY;
}

static void check_arg(const struct hostcall_desc *d, unsigned int i)
{
	enum hostcall_arg kind = HA_KIND(d->arg[i]);
	unsigned int refs = 0;

	if (takes_size(kind))
		assert_in_range(HA_SIZE(d->arg[i]), 1, 4096);
	if (takes_length(kind))
		assert_int_equal(HA_KIND(d->arg[HA_IDX(d->arg[i])]), HA_VAL);
	if (kind == HA_VR) {
		assert_int_equal(HA_KIND(d->arg[HA_IDX(d->arg[i])]), HA_VR_LEN);
		assert_true(HA_IDX(d->arg[i]) > i);
	}
	for (unsigned int j = 0; kind == HA_VR_LEN && j < 6; j++)
		refs += HA_KIND(d->arg[j]) == HA_VR && HA_IDX(d->arg[j]) == i;
	if (kind == HA_VR_LEN)
		assert_int_equal(refs, 1);
}

static void descriptions_are_consistent(void **state)
{
	(void)state;
	for (unsigned int nr = 0; nr < NR_HOSTCALLS; nr++) {
		const struct hostcall_desc *d = &hostcall_table[nr];
		int ended = 0;

		assert_int_equal(d->class == HC_SPECIAL, d->special != HCS_NONE);
		assert_in_range(d->special, 0, NR_HOSTCALL_SPECIALS - 1);
		for (unsigned int i = 0; i < 6; i++) {
			if (d->class != HC_PLAIN)
				assert_int_equal(d->arg[i], 0);
			if (ended)
				assert_int_equal(d->arg[i], HA_NONE);
			ended |= d->arg[i] == HA_NONE;
			check_arg(d, i);
		}
	}
}

static void sizes_are_those_of_the_host(void **state)
{
	static const struct {
		unsigned int nr, arg;
		size_t size;
	} known[] = {
		{ __NR_stat, 1, sizeof(struct stat) },
		{ __NR_newfstatat, 2, sizeof(struct stat) },
		{ __NR_statx, 4, sizeof(struct statx) },
		{ __NR_statfs, 1, sizeof(struct statfs) },
		{ __NR_uname, 0, sizeof(struct utsname) },
		{ __NR_sysinfo, 0, sizeof(struct sysinfo) },
		{ __NR_times, 0, sizeof(struct tms) },
		{ __NR_getrusage, 1, sizeof(struct rusage) },
		{ __NR_wait4, 3, sizeof(struct rusage) },
		{ __NR_waitid, 2, sizeof(siginfo_t) },
		{ __NR_adjtimex, 0, sizeof(struct timex) },
		{ __NR_epoll_ctl, 3, sizeof(struct epoll_event) },
		{ __NR_timer_create, 1, sizeof(struct sigevent) },
		{ __NR_prlimit64, 2, sizeof(struct rlimit) },
		{ __NR_mq_open, 3, sizeof(struct mq_attr) },
		{ __NR_nanosleep, 0, sizeof(struct timespec) },
		{ __NR_setitimer, 1, 2 * sizeof(struct timeval) },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		assert_int_equal(HA_SIZE(hostcall_table[known[i].nr].arg[known[i].arg]),
				 known[i].size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_number_is_classified),
		cmocka_unit_test(names_stand_at_their_numbers),
		cmocka_unit_test(descriptions_are_consistent),
		cmocka_unit_test(sizes_are_those_of_the_host),
	};

	return cmocka_run_group_tests_name("hostcall_table", tests, NULL, NULL);
}
