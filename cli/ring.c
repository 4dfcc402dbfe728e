/* SPDX-License-Identifier: MIT */
/*
 * ring.c - the one reader of the machine's trace ring.
 *
 * A guest takes the number `head` and makes it one more, fills event[number % size] and
 * then sets its `ready` to the number + 1. The reader takes them in order and moves
 * `tail` on, which gives the place free. Guests wait for room, so the reader reads on whatever happens
 * to its file. A guest that was killed from outside amid an event leaves it unready for ever: it is
 * given up after a while.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define NAP_NS 20000000 /* longest sleep with an unfilled quarter of the ring */
#define GIVE_UP_NAPS 100 /* an event that is not ready for so long never will be */

/* Takes what is ready. False: there is an event under way that is not. */
static bool take_events(struct trace_ring *ring, ring_put_t *put, void *arg)
{
	uint64_t seq = ring->tail;

	while (seq != __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE)) {
		struct native_trace_record *r = &ring->event[seq % TRACE_RING_EVENTS];

		if (__atomic_load_n(&r->ready, __ATOMIC_ACQUIRE) != (uint32_t)seq + 1)
			return false;
		put(arg, r);
		__atomic_store_n(&ring->tail, ++seq, __ATOMIC_RELEASE);
	}
	return true;
}

uint64_t ring_drain(struct kernel_shared *shared, ring_put_t *put, void *arg)
{
	static const struct timespec nap = { 0, NAP_NS };
	struct trace_ring *ring = shared->trace;
	uint64_t stuck_at = 0, lost = 0;
	unsigned int stuck = 0;

	for (;;) {
		uint32_t wake = __atomic_load_n(&ring->wake, __ATOMIC_SEQ_CST);
		bool stop = __atomic_load_n(&shared->keeper_stop, __ATOMIC_SEQ_CST);
		bool all = take_events(ring, put, arg);

		if (all && stop)
			return lost;
		if (all || ring->tail != stuck_at)
			stuck = 0;
		else
			stuck++;
		stuck_at = ring->tail;
		if (stuck > GIVE_UP_NAPS || (stuck && stop)) {
			lost++;
			__atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
			continue;
		}
		syscall(SYS_futex, &ring->wake, FUTEX_WAIT, wake, &nap, NULL, 0);
	}
}
