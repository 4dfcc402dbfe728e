/* SPDX-License-Identifier: MIT */
/*
 * kswapd.c - reclaim in the background, so that who allocates need not wait for it.
 *
 *	free frames
 *	  high  ---- kswapd stops
 *	  low   ---- an allocation finds no zone above it: wakeup_kswapd()
 *	  min   ---- allocations reclaim themselves
 *
 * A port that has a thread to spare lets it call kswapd(), which returns only after kswapd_stop(). Without
 * one all reclaim is direct.
 *
 * It looks at references as long as it can: what is in use is left to those who find nothing else. When
 * it has come to nothing several times it rests until somebody else has been able to free something.
 */
#include <quire/reclaim.h>
#include <quire/vmstat.h>

#define MAX_FAILURES 16
/* Memory that ran short again so soon after it had been found was not enough. */
#define QUICKLY_NS 100000000ull
/* On a machine with one CPU the program has it in between, for as long. */
#define PAUSE_NS 20000ull

static u32 wanted; /* the word slept on */
static bool running, stopping;
static int failures;
static struct mutex kswapd_lock; /* held while it works */

void kswapd_init(void)
{
	wanted = 0;
	running = stopping = false;
	failures = 0;
	mutex_init(&kswapd_lock);
}

void wakeup_kswapd(void)
{
	if (!READ_ONCE(running) || READ_ONCE(failures) >= MAX_FAILURES || READ_ONCE(wanted))
		return;
	if (!__atomic_exchange_n(&wanted, 1, __ATOMIC_SEQ_CST))
		machine_wake(&wanted, 1);
}

void kswapd_made_progress(void)
{
	if (READ_ONCE(failures))
		WRITE_ONCE(failures, 0);
}

static void pause_for_others(void)
{
	u32 never = 0;

	if (machine_nr_cpus() == 1)
		machine_wait(&never, 0, PAUSE_NS);
}

void balance_pgdat(void)
{
	struct scan_control sc = {
		.gfp = GFP_KERNEL,
		.swappiness = vm_swappiness,
		.floor = reclaim_cache_floor(),
		.kswapd = true,
		.priority = DEF_PRIORITY,
	};
	unsigned long total = 0;

	count_vm_event(PAGEOUTRUN);
	while (sc.priority > 0 && !zones_above(WMARK_HIGH) && !READ_ONCE(stopping)) {
		sc.nr_reclaimed = 0;
		sc.nr_to_reclaim = SWAP_CLUSTER_MAX * 4;
		shrink_node(&sc);
		total += sc.nr_reclaimed;
		if (sc.nr_reclaimed < SWAP_CLUSTER_MAX)
			sc.priority--;
		pause_for_others();
	}
	if (total)
		WRITE_ONCE(failures, 0);
	else if (!zones_above(WMARK_HIGH))
		WRITE_ONCE(failures, failures + 1);
}

void kswapd(void)
{
	u64 finished = 0;

	WRITE_ONCE(running, true);
	while (!READ_ONCE(stopping)) {
		machine_wait(&wanted, 0, MACHINE_WAIT_FOREVER);
		if (!__atomic_exchange_n(&wanted, 0, __ATOMIC_SEQ_CST))
			continue;
		if (finished && machine_clock_ns() - finished < QUICKLY_NS)
			count_vm_event(KSWAPD_LOW_WMARK_HIT_QUICKLY);
		mutex_lock(&kswapd_lock);
		if (!READ_ONCE(stopping))
			balance_pgdat();
		mutex_unlock(&kswapd_lock);
		finished = machine_clock_ns();
	}
	WRITE_ONCE(running, false);
}

void kswapd_stop(void)
{
	WRITE_ONCE(stopping, true);
	__atomic_store_n(&wanted, 1, __ATOMIC_SEQ_CST);
	machine_wake(&wanted, 1);
	mutex_lock(&kswapd_lock);
	mutex_unlock(&kswapd_lock);
}
