/* SPDX-License-Identifier: MIT */
/*
 * hostcall.c - a guest's system call made by the host, its arguments as hostcall_table[] has them.
 *
 *   guest's arguments --stage_in()--> host's arguments --> host --> result
 *                                        |                            |
 *                                  copies in kernel memory --stage_out()--> guest memory
 *
 * Nothing is locked. Guest memory is reached through its page tables only.
 */
#include "hostmem.h"

#define CLOCK_TAI 11
#define TIMER_ABSTIME 1

u64 native_unknown_calls[NATIVE_MAX_SYSCALL];

/* ---- Memory of one call ------------------------------------------------------------------ */

struct hc_chunk {
	struct hc_chunk *next;
	u64 pad;
	u8 data[];
};

void *hc_alloc(struct hc_mem *mem, size_t size)
{
	struct hc_chunk *chunk;
	size_t aligned = ALIGN(size, 16ul);

	if (aligned <= HC_MEM_SMALL - mem->used) {
		void *p = mem->small + mem->used;

		mem->used += aligned;
		return p;
	}
	chunk = kmalloc(sizeof(*chunk) + aligned, GFP_KERNEL);
	if (!chunk)
		return NULL;
	chunk->next = mem->chunks;
	mem->chunks = chunk;
	return chunk->data;
}

void hc_mem_free(struct hc_mem *mem)
{
	while (mem->chunks) {
		struct hc_chunk *next = mem->chunks->next;

		kfree(mem->chunks);
		mem->chunks = next;
	}
}

unsigned long hc_in(struct native_task *t, struct hc_mem *mem, unsigned long uaddr, size_t size)
{
	void *buf;

	if (!uaddr)
		return 0;
	if (size > HC_MAX_COPY)
		return HC_BAD_PTR;
	buf = hc_alloc(mem, size);
	if (!buf)
		return (unsigned long)-ENOMEM;
	return copy_from_mm(t->task.mm, buf, uaddr, size) ? HC_BAD_PTR : (unsigned long)buf;
}

unsigned long hc_in_may(struct native_task *t, struct hc_mem *mem, unsigned long uaddr, size_t size,
			size_t min_size)
{
	u8 *buf;
	size_t left;

	if (!uaddr)
		return 0;
	buf = hc_alloc(mem, size);
	if (!buf)
		return (unsigned long)-ENOMEM;
	left = copy_from_mm(t->task.mm, buf, uaddr, size);
	if (left && size - left < max(min_size, 1ul))
		return HC_BAD_PTR;
	memset(buf + size - left, 0, left);
	return (unsigned long)buf;
}

/* Most are short; those of HC_PATH_MAX and more stay too long for the host to accept. */
#define HC_STRING_TRY 192

unsigned long hc_string(struct native_task *t, struct hc_mem *mem, unsigned long uaddr)
{
	char *buf;
	long max = HC_STRING_TRY;
	long len;

	if (!uaddr)
		return 0;
	for (;;) {
		buf = hc_alloc(mem, (size_t)max + 1);
		if (!buf)
			return (unsigned long)-ENOMEM;
		len = strncpy_from_mm(t->task.mm, buf, uaddr, max);
		if (len < 0)
			return HC_BAD_PTR;
		if (len < max || max > HC_STRING_TRY)
			break;
		max = HC_PATH_MAX;
	}
	buf[len] = '\0';
	return (unsigned long)buf;
}

unsigned long hc_temp_mask(struct native_task *t, struct hc_mem *mem, unsigned long uaddr)
{
	unsigned long addr = hc_in(t, mem, uaddr, sizeof(u64));

	if (addr && addr != HC_BAD_PTR && !IS_ERR_VALUE(addr)) {
		u64 *mask = (u64 *)addr;

		t->temp_mask = *mask;
		t->temp_mask_set = true;
		*mask = native_host_mask(*mask);
	}
	return addr;
}

void hc_temp_mask_end(struct native_task *t)
{
	if (!t->has_signal)
		t->temp_mask_set = false;
}

/* ---- Arguments by table ------------------------------------------------------------------ */

struct staged {
	const struct hostcall_desc *desc;
	const unsigned long *args; /* the guest's */
	unsigned long host[6];
	u32 len[6]; /* bytes of the copy; 0: nothing to copy back */
	s32 vr_len; /* length of a value-result argument, as the host was told it */
	struct hc_mem mem;
};

/* A copy for results: *addr and bytes; contents as the guest has them if prefilled. */
static unsigned long stage_buffer(struct native_task *t, struct staged *s, unsigned int i,
				  size_t size, bool prefill)
{
	u8 *buf;

	if (!s->args[i])
		return 0;
	if (s->args[i] < HC_BAD_PTR)
		return HC_BAD_PTR;
	buf = hc_alloc(&s->mem, size);
	if (!buf)
		return (unsigned long)-ENOMEM;
	if (prefill) {
		size_t left = copy_from_mm(t->task.mm, buf, s->args[i], size);

		memset(buf + size - left, 0, left);
	}
	s->len[i] = (u32)size;
	return (unsigned long)buf;
}

/* A buffer whose length is argument idx: what the host is told is cut with it. */
static unsigned long stage_out_len(struct native_task *t, struct staged *s, unsigned int i)
{
	u32 arg = s->desc->arg[i];
	enum hostcall_arg kind = HA_KIND(arg);
	unsigned long n = s->args[HA_IDX(arg)];
	size_t elem = HA_SIZE(arg);

	if (kind == HA_OUT_RETI) {
		n = s->host[HA_IDX(arg)] = (u32)n;
		if ((int)n < 0)
			return s->args[i] ? HC_BAD_PTR : 0;
	}
	if (n > HC_MAX_COPY / elem) {
		n = HC_MAX_COPY / elem;
		s->host[HA_IDX(arg)] = n;
	}
	return stage_buffer(t, s, i, n * elem, kind == HA_OUT_LEN);
}

static unsigned long stage_in_len(struct native_task *t, struct staged *s, unsigned int i)
{
	u32 arg = s->desc->arg[i];
	unsigned long n = s->args[HA_IDX(arg)];

	if (n > HC_MAX_COPY / HA_SIZE(arg))
		return s->args[i] ? HC_BAD_PTR : 0;
	return hc_in(t, &s->mem, s->args[i], n * HA_SIZE(arg));
}

/* Value-result: the length is read first, and both are written when the call is done. */
static unsigned long stage_value_result(struct native_task *t, struct staged *s, unsigned int i)
{
	unsigned int j = HA_IDX(s->desc->arg[i]);
	s32 len;

	s->host[j] = hc_in(t, &s->mem, s->args[j], sizeof(s32));
	if (!s->host[j] || s->host[j] == HC_BAD_PTR || IS_ERR_VALUE(s->host[j]))
		return s->args[i] ? HC_BAD_PTR : 0;
	len = min(*(s32 *)s->host[j], (s32)HC_MAX_COPY);
	*(s32 *)s->host[j] = len;
	s->vr_len = len;
	s->len[j] = sizeof(s32);
	if (len < 0)
		return s->args[i] ? HC_BAD_PTR : 0;
	return stage_buffer(t, s, i, (size_t)len, false);
}

static unsigned long stage_signal_set(struct native_task *t, struct staged *s, unsigned int i)
{
	unsigned long addr = hc_in(t, &s->mem, s->args[i], sizeof(u64));

	if (addr && addr != HC_BAD_PTR && !IS_ERR_VALUE(addr))
		*(u64 *)addr = native_host_mask(*(u64 *)addr);
	return addr;
}

/* The index of HA_UPDATE. */
enum {
	UPDATE_PART,
	UPDATE_WHOLE,
	UPDATE_OUT
};

/* Twice: for the host, and behind it as it was. */
static unsigned long stage_update(struct native_task *t, struct staged *s, unsigned int i,
				  unsigned int kind)
{
	size_t size = HA_SIZE(s->desc->arg[i]), left;
	u8 *copy;

	if (!s->args[i])
		return 0;
	copy = hc_alloc(&s->mem, 2 * size);
	if (!copy)
		return (unsigned long)-ENOMEM;
	left = kind == UPDATE_OUT ? size : copy_from_mm(t->task.mm, copy, s->args[i], size);
	if (kind != UPDATE_OUT && (left == size || (left && kind == UPDATE_WHOLE)))
		return HC_BAD_PTR;
	/* Zeros that the host writes there are to be seen as changes, too. */
	memset(copy + size - left, 0x5a, left);
	memcpy(copy + size, copy, size);
	s->len[i] = (u32)size;
	return (unsigned long)copy;
}

static unsigned long stage_arg(struct native_task *t, struct staged *s, unsigned int i)
{
	u32 arg = s->desc->arg[i];

	switch (HA_KIND(arg)) {
	case HA_NONE:
		return 0;
	case HA_FD:
		return (unsigned long)hc_fd(s->args[i]);
	case HA_STR:
		return hc_string(t, &s->mem, s->args[i]);
	case HA_IN:
		return hc_in(t, &s->mem, s->args[i], HA_SIZE(arg));
	case HA_IN_MAY:
		return hc_in_may(t, &s->mem, s->args[i], HA_SIZE(arg), HA_IDX(arg) * 8);
	case HA_INOUT:
		return stage_update(t, s, i, UPDATE_WHOLE);
	case HA_UPDATE:
		return stage_update(t, s, i, HA_IDX(arg));
	case HA_ANY: /* small values are numbers: no memory is mapped there */
		return s->args[i] < mmap_min_addr ? s->args[i] : stage_update(t, s, i, UPDATE_PART);
	case HA_OUT:
	case HA_OUT_INTR:
		return stage_buffer(t, s, i, HA_SIZE(arg), false);
	case HA_IN_LEN:
		return stage_in_len(t, s, i);
	case HA_OUT_LEN:
	case HA_OUT_RET:
	case HA_OUT_RETI:
		return stage_out_len(t, s, i);
	case HA_VR:
		return stage_value_result(t, s, i);
	case HA_SIGSET:
		return stage_signal_set(t, s, i);
	case HA_VAL:
	case HA_VR_LEN:
		break;
	}
	return s->host[i];
}

static long stage_in(struct native_task *t, struct staged *s)
{
	for (unsigned int i = 0; i < 6; i++) {
		s->host[i] = s->args[i];
		s->len[i] = 0;
	}
	for (unsigned int i = 0; i < 6; i++) {
		if (s->desc->arg[i] == HA_VAL)
			continue;
		if (HA_KIND(s->desc->arg[i]) == HA_VR_LEN && s->len[i])
			continue;
		s->host[i] = stage_arg(t, s, i);
		if (s->host[i] == (unsigned long)-ENOMEM)
			return -ENOMEM;
	}
	return 0;
}

/* Only what the host changed: other threads may be writing nearby. */
static long copy_changed(struct native_task *t, unsigned long uaddr, const u8 *now, const u8 *was,
			 size_t size)
{
	size_t first = 0, end = size;

	while (first < size && now[first] == was[first])
		first++;
	while (end > first && now[end - 1] == was[end - 1])
		end--;
	return copy_to_mm(t->task.mm, uaddr + first, now + first, end - first) ? -EFAULT : 0;
}

/* Argument j is the length of some other one. */
static long copy_value_result(struct native_task *t, struct staged *s, unsigned int j, bool ok)
{
	s32 now = *(s32 *)s->host[j];
	size_t n = ok && now > 0 ? (size_t)min(now, s->vr_len) : 0;
	unsigned int i = 0;

	if (!ok && now == s->vr_len)
		return 0;
	while (HA_KIND(s->desc->arg[i]) != HA_VR)
		i++;
	if (s->len[i] && copy_to_mm(t->task.mm, s->args[i], (void *)s->host[i], n))
		return -EFAULT;
	return copy_to_mm(t->task.mm, s->args[j], &now, sizeof(now)) ? -EFAULT : 0;
}

static long copy_arg_back(struct native_task *t, struct staged *s, unsigned int i, long ret)
{
	u32 arg = s->desc->arg[i];
	bool ok = !hc_is_error(ret);
	size_t n = s->len[i];

	switch (HA_KIND(arg)) {
	case HA_OUT_INTR:
		if (ret != -EINTR)
			return 0;
		break;
	case HA_INOUT:
		if (!memcmp((u8 *)s->host[i], (u8 *)s->host[i] + n, n))
			return 0;
		break;
	case HA_UPDATE:
	case HA_ANY:
		return copy_changed(t, s->args[i], (u8 *)s->host[i], (u8 *)s->host[i] + n, n);
	case HA_VR:
		return 0;
	case HA_VR_LEN:
		return copy_value_result(t, s, i, ok);
	case HA_OUT_RET:
	case HA_OUT_RETI:
		if (!ok)
			return 0;
		n = min(n, (size_t)ret * HA_SIZE(arg));
		break;
	default:
		if (!ok)
			return 0;
		break;
	}
	return copy_to_mm(t->task.mm, s->args[i], (void *)s->host[i], n) ? -EFAULT : 0;
}

static long stage_out(struct native_task *t, struct staged *s, long ret)
{
	long err = 0;

	if (ret == -ERESTARTSYS || ((s->desc->flags & HCF_IF_POSITIVE) && ret <= 0))
		return ret;
	for (unsigned int i = 0; i < 6 && !err; i++)
		if (s->len[i])
			err = copy_arg_back(t, s, i, ret);
	if (!err)
		return ret;
	if (!hc_is_error(ret) && (s->desc->flags & HCF_FD_RESULT))
		host_syscall(__NR_close, ret);
	return err;
}

/* Where a call's relative timeout is; false: it has none. */
static bool plain_timeout(unsigned long nr, const unsigned long *args, struct call_timeout *timeout)
{
	*timeout = (struct call_timeout){ .clock = CLOCK_MONOTONIC };
	switch (nr) {
	case __NR_nanosleep:
		return true;
	case __NR_clock_nanosleep:
		timeout->arg = 2;
		if (args[0] != CLOCK_REALTIME && args[0] != CLOCK_TAI)
			timeout->clock = (int)args[0];
		return !(args[1] & TIMER_ABSTIME);
	case __NR_semtimedop:
		timeout->arg = 3;
		return true;
	default:
		return false;
	}
}

static long hostcall_plain(struct native_task *t, const struct hostcall_desc *desc,
			   unsigned long nr, const unsigned long *args)
{
	struct call_timeout timeout;
	struct staged s;
	long ret;

	s.desc = desc;
	s.args = args;
	hc_mem_init(&s.mem);
	ret = stage_in(t, &s);
	if (nr == __NR_clock_nanosleep && (args[1] & TIMER_ABSTIME))
		s.len[3] = 0; /* no time is left of a point in time */
	if (!ret) {
		const long *h = (const long *)s.host;

		if (plain_timeout(nr, args, &timeout))
			ret = host_call_timed((long)nr, h, &timeout);
		else if (desc->flags & HCF_BLOCK)
			ret = host_call((long)nr, h[0], h[1], h[2], h[3], h[4], h[5]);
		else
			ret = host_syscall6((long)nr, h[0], h[1], h[2], h[3], h[4], h[5]);
		ret = stage_out(t, &s, ret);
	}
	hc_mem_free(&s.mem);
	return ret;
}

/* ---- Dispatch ---------------------------------------------------------------------------- */

static long hostcall_eintr(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	(void)t, (void)nr, (void)args;
	return -EINTR;
}

static long hostcall_eperm(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	(void)t, (void)nr, (void)args;
	return -EPERM;
}

static const hostcall_fn hostcall_special[NR_HOSTCALL_SPECIALS] = {
	[HCS_RW] = hostcall_rw,
	[HCS_MSG] = hostcall_msg,
	[HCS_GETRANDOM] = hostcall_getrandom,
	[HCS_IOCTL] = hostcall_ioctl,
	[HCS_FCNTL] = hostcall_fcntl,
	[HCS_SELECT] = hostcall_select,
	[HCS_POLL] = hostcall_poll,
	[HCS_EPOLL] = hostcall_epoll,
	[HCS_FDPAIR] = hostcall_fdpair,
	[HCS_CLOSE_RANGE] = hostcall_close_range,
	[HCS_SOCKOPT] = hostcall_sockopt,
	[HCS_SEMCTL] = hostcall_semctl,
	[HCS_SYSV_MSG] = hostcall_sysv_msg,
	[HCS_MQ_NOTIFY] = hostcall_mq_notify,
	[HCS_KEYCTL] = hostcall_keyctl,
	[HCS_NAME_TO_HANDLE] = hostcall_name_to_handle,
	[HCS_SCHED_SETATTR] = hostcall_sched_setattr,
	[HCS_LDT] = hostcall_ldt,
	[HCS_PERF] = hostcall_perf,
	[HCS_PIDFD_SIGNAL] = hostcall_pidfd_signal,
	[HCS_EINTR] = hostcall_eintr,
	[HCS_EPERM] = hostcall_eperm,
};

long hostcall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	const struct hostcall_desc *desc = nr < NR_HOSTCALLS ? &hostcall_table[nr] : NULL;

	if (desc && desc->class == HC_PLAIN)
		return hostcall_plain(t, desc, nr, args);
	if (desc && desc->class == HC_SPECIAL)
		return hostcall_special[desc->special](t, nr, args);
	__atomic_fetch_add(&native_unknown_calls[min(nr, NATIVE_MAX_SYSCALL - 1ul)], 1,
			   __ATOMIC_RELAXED);
	__atomic_fetch_add(&kernel_shared.unknown_syscalls, 1, __ATOMIC_RELAXED);
	return -ENOSYS;
}
