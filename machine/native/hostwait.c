/* SPDX-License-Identifier: MIT */
/*
 * hostwait.c - waiting for descriptors: select, poll, epoll.
 *
 * The calls that take a signal mask are given the host's version of it; while they wait, the
 * task's temp_mask is what decides on its signals.
 */
#include <quire/mm.h>

#include "hostmem.h"

struct pollfd {
	s32 fd;
	s16 events, revents;
};

#define EPOLL_EVENT_SIZE 12
#define EPOLL_MAX_EVENTS (INT_MAX / EPOLL_EVENT_SIZE) /* more are an error */
#define EPOLL_BATCH ((int)(HC_MAX_COPY / EPOLL_EVENT_SIZE))

/* ---- select, pselect6 -------------------------------------------------------------------- */

struct selecting {
	struct native_task *t;
	unsigned long nr;
	const unsigned long *args;
	struct hc_mem mem;
	size_t bytes; /* of each set */
	unsigned long set[3];
};

/* The last argument of pselect6: where the mask is, and its size. */
struct pselect_mask {
	unsigned long set;
	size_t size;
};

static unsigned long import_pselect_mask(struct selecting *s)
{
	unsigned long addr = hc_in(s->t, &s->mem, s->args[5], sizeof(struct pselect_mask));
	struct pselect_mask *m = (struct pselect_mask *)addr;

	if (!addr || addr == HC_BAD_PTR || IS_ERR_VALUE(addr) || !m->set)
		return addr;
	m->set = hc_temp_mask(s->t, &s->mem, m->set);
	return IS_ERR_VALUE(m->set) ? m->set : addr;
}

static long select_wait(struct selecting *s, long n)
{
	unsigned long timeout = hc_in(s->t, &s->mem, s->args[4], sizeof(struct host_timespec));
	unsigned long mask = s->nr == __NR_pselect6 ? import_pselect_mask(s) : 0;
	long ret;

	if (IS_ERR_VALUE(timeout) || IS_ERR_VALUE(mask))
		return -ENOMEM;
	ret = host_call((long)s->nr, n, (long)s->set[0], (long)s->set[1], (long)s->set[2],
			(long)timeout, (long)mask);
	hc_temp_mask_end(s->t);
	/* The time left; Linux, too, does not mind when it cannot be stored. */
	if (timeout && timeout != HC_BAD_PTR && ret != -ERESTARTSYS)
		copy_to_mm(s->t->task.mm, s->args[4], (void *)timeout,
			   sizeof(struct host_timespec));
	return ret;
}

/* As Linux does with bits beyond the table of descriptors: they are ignored. */
static void hide_reserved_bits(u64 *set, long n)
{
	for (long fd = native_fd_floor; fd < n && fd < native_fd_floor + NATIVE_NR_FDS; fd++)
		set[fd >> 6] &= ~(1ull << (fd & 63));
}

static long do_select(struct selecting *s)
{
	long n = (int)s->args[0];
	long ret;

	s->bytes = n > 0 ? (((size_t)n + 63) >> 6) * 8 : 0;
	for (unsigned int i = 0; i < 3; i++) {
		s->set[i] = s->bytes ? hc_in(s->t, &s->mem, s->args[1 + i], s->bytes) : 0;
		if (IS_ERR_VALUE(s->set[i]))
			return -ENOMEM;
		if (s->set[i] && s->set[i] != HC_BAD_PTR)
			hide_reserved_bits((u64 *)s->set[i], n);
	}
	ret = select_wait(s, n);
	for (unsigned int i = 0; i < 3 && ret >= 0; i++)
		if (s->set[i] &&
		    copy_to_mm(s->t->task.mm, s->args[1 + i], (void *)s->set[i], s->bytes))
			ret = -EFAULT;
	return ret;
}

long hostcall_select(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct selecting s = { .t = t, .nr = nr, .args = args };
	long ret;

	ret = do_select(&s);
	hc_mem_free(&s.mem);
	return ret;
}

/* ---- poll, ppoll ------------------------------------------------------------------------- */

static long poll_wait(struct native_task *t, struct hc_mem *mem, unsigned long nr,
		      const unsigned long *args, unsigned long fds)
{
	unsigned long timeout, mask;
	long ret;

	if (nr == __NR_poll) {
		static const struct call_timeout in_ms = { 2, true, CLOCK_MONOTONIC };
		const long a[6] = { (long)fds, (long)args[1], (int)args[2] };

		return host_call_timed((long)nr, a, &in_ms);
	}
	timeout = hc_in(t, mem, args[2], sizeof(struct host_timespec));
	mask = hc_temp_mask(t, mem, args[3]);
	if (IS_ERR_VALUE(timeout) || IS_ERR_VALUE(mask))
		return -ENOMEM;
	ret = hc_call((long)nr, fds, args[1], timeout, mask, args[4]);
	hc_temp_mask_end(t);
	if (timeout && timeout != HC_BAD_PTR && ret != -ERESTARTSYS)
		copy_to_mm(t->task.mm, args[2], (void *)timeout, sizeof(struct host_timespec));
	return ret;
}

/* Only the answers are stored, as other threads may be changing the rest. */
static long export_revents(struct native_task *t, unsigned long ufds, const struct pollfd *fds,
			   unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		if (copy_to_mm(t->task.mm,
			       ufds + i * sizeof(*fds) + offsetof(struct pollfd, revents),
			       &fds[i].revents, sizeof(fds[i].revents)))
			return -EFAULT;
	return 0;
}

long hostcall_poll(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	unsigned int n = (unsigned int)args[1];
	struct hc_mem mem;
	unsigned long addr;
	struct pollfd *fds;
	long ret;

	hc_mem_init(&mem);
	addr = n ? hc_in(t, &mem, args[0], n * sizeof(*fds)) : 0;
	if (n && !addr)
		addr = HC_BAD_PTR;
	fds = (struct pollfd *)addr;
	if (IS_ERR_VALUE(addr)) {
		ret = -ENOMEM;
	} else {
		bool copied = n && addr != HC_BAD_PTR;

		/* No such descriptor: POLLNVAL, which a negative one would not give. */
		for (unsigned int i = 0; copied && i < n; i++)
			if (native_fd_reserved((unsigned long)fds[i].fd))
				fds[i].fd = INT_MAX;
		ret = poll_wait(t, &mem, nr, args, addr);
		if (copied && ret >= 0 && export_revents(t, args[0], fds, n))
			ret = -EFAULT;
	}
	hc_mem_free(&mem);
	return ret;
}

/* ---- epoll_wait and its kin -------------------------------------------------------------- */

long hostcall_epoll(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	int max = (int)args[2];
	unsigned long timeout = args[3], mask = 0;
	struct hc_mem mem;
	void *events;
	long ret;

	hc_mem_init(&mem);
	/* There may be more: they come with the next call. */
	if (max <= EPOLL_MAX_EVENTS)
		max = min(max, EPOLL_BATCH);
	events = hc_alloc(&mem, (size_t)clamp(max, 1, EPOLL_BATCH) * EPOLL_EVENT_SIZE);
	if (nr == __NR_epoll_pwait2)
		timeout = hc_in(t, &mem, args[3], sizeof(struct host_timespec));
	if (nr != __NR_epoll_wait)
		mask = hc_temp_mask(t, &mem, args[4]);
	if (!events || IS_ERR_VALUE(mask) || (nr == __NR_epoll_pwait2 && IS_ERR_VALUE(timeout))) {
		ret = -ENOMEM;
	} else {
		const struct call_timeout how = { 3, nr != __NR_epoll_pwait2, CLOCK_MONOTONIC };
		const long a[6] = {
			hc_fd(args[0]), (long)events, max, how.in_ms ? (int)timeout : (long)timeout,
			(long)mask,	(long)args[5]
		};

		ret = host_call_timed((long)nr, a, &how);
		if (ret > 0 &&
		    copy_to_mm(t->task.mm, args[1], events, (size_t)ret * EPOLL_EVENT_SIZE))
			ret = -EFAULT;
	}
	if (nr != __NR_epoll_wait)
		hc_temp_mask_end(t);
	hc_mem_free(&mem);
	return ret;
}
