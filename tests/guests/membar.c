/* SPDX-License-Identifier: MIT */
/*
 * membar - membarrier(2): the commands, what must be registered first, and that the barriers are there.
 */
#include "guest.h"

#include <sched.h>
#include <linux/membarrier.h>

#ifndef MEMBARRIER_CMD_FLAG_CPU
#define MEMBARRIER_CMD_FLAG_CPU 1
#endif
#define GET_REGISTRATIONS (1 << 9)

static const char *result(long r)
{
	static char text[32];

	if (r == -1)
		return strerrorname_np(errno) ?: "E?";
	snprintf(text, sizeof(text), "%ld", r);
	return text;
}

static long membarrier(int cmd, unsigned int flags, int cpu)
{
	return syscall(SYS_membarrier, cmd, flags, cpu);
}

#define SAY(call) (printf("%s = %s\n", #call, result(call)), fflush(stdout))

/*
 * Store buffering: each side stores one word and loads the other's. With a barrier in between on the
 * slow side, and only the compiler's on the fast one, never do both see zero.
 */
static volatile int x, y, go, done, seen_y;

static void *fast_side(void *arg)
{
	(void)arg;
	for (int i = 1;; i++) {
		while (go < i)
			;
		if (go == INT32_MAX)
			return NULL;
		x = i;
		__asm__ volatile("" ::: "memory");
		seen_y = y;
		__atomic_store_n(&done, i, __ATOMIC_RELEASE);
	}
}

static int both_missed(int rounds)
{
	pthread_t t;
	int missed = 0;

	x = y = go = done = 0;
	pthread_create(&t, NULL, fast_side, NULL);
	for (int i = 1; i <= rounds; i++) {
		int seen_x;

		__atomic_store_n(&go, i, __ATOMIC_RELEASE);
		y = i;
		membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
		seen_x = x;
		while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		missed += seen_x != i && seen_y != i;
	}
	__atomic_store_n(&go, INT32_MAX, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	return missed;
}

static void registered_after_exec(void)
{
	printf("after exec\n");
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	SAY(membarrier(GET_REGISTRATIONS, 0, 0));
}

int main(int argc, char **argv)
{
	pid_t pid;

	if (argc > 1) {
		registered_after_exec();
		return 0;
	}
	long all = membarrier(MEMBARRIER_CMD_QUERY, 0, 0);

	printf("query %#lx\n", all < 0 ? all : all & ~0x180L); /* not those for rseq */
	SAY(membarrier(MEMBARRIER_CMD_QUERY, 1, 0));
	SAY(membarrier(-1, 0, 0));
	SAY(membarrier(3, 0, 0));
	SAY(membarrier(1 << 20, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_GLOBAL, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_GLOBAL, 1, 0));
	SAY(membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
	SAY(membarrier(GET_REGISTRATIONS, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
	SAY(membarrier(GET_REGISTRATIONS, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 1, 0));
	SAY(membarrier(GET_REGISTRATIONS, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 77));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_FLAG_CPU, 0));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
	SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, MEMBARRIER_CMD_FLAG_CPU, 0));
	SAY(membarrier(GET_REGISTRATIONS, 0, 0));
	SAY(membarrier(GET_REGISTRATIONS, 2, 0));
	printf("both missed %d\n", both_missed(2000));
	pid = split();
	if (!pid) {
		printf("in the child\n");
		SAY(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
		SAY(membarrier(GET_REGISTRATIONS, 0, 0));
		execl("/proc/self/exe", argv[0], "again", NULL);
		_exit(1);
	}
	wait_for(pid);
	return 0;
}
