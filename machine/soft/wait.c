/* SPDX-License-Identifier: MIT */
/* Sleeping on a word: the host's futex. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "soft_internal.h"

int machine_wait(u32 *word, u32 val, u64 timeout_ns)
{
	struct timespec timeout = {
		.tv_sec = (time_t)(timeout_ns / 1000000000u),
		.tv_nsec = (long)(timeout_ns % 1000000000u),
	};
	bool forever = timeout_ns == MACHINE_WAIT_FOREVER;

	if (!syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, val, forever ? NULL : &timeout, NULL, 0))
		return 0;
	return errno == ETIMEDOUT ? -ETIMEDOUT : 0;
}

void machine_wake(u32 *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}
