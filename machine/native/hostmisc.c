/* SPDX-License-Identifier: MIT */
/*
 * hostmisc.c - the system calls that the table cannot describe, each for a reason of its own.
 */
#include <quire/mm.h>
#include <quire/sprintf.h>

#include "hostmem.h"
#include "signal.h"

static bool usable(unsigned long addr)
{
	return addr && addr != HC_BAD_PTR && !IS_ERR_VALUE(addr);
}

/* ---- Descriptors ------------------------------------------------------------------------- */

/*
 * pipe, pipe2, socketpair: no descriptors are left when their numbers cannot be stored. (Linux
 * stores those of a socketpair before it makes the sockets.)
 */
long hostcall_fdpair(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	bool socket = nr == __NR_socketpair, bad;
	unsigned long upair = socket ? args[3] : args[0];
	s32 fd[2], was[2];
	long ret;

	bad = copy_from_mm(t->task.mm, fd, upair, sizeof(fd)) ||
	      copy_to_mm(t->task.mm, upair, fd, sizeof(fd));
	memcpy(was, fd, sizeof(was));
	if (socket)
		ret = host_syscall(nr, args[0], args[1], args[2],
				   bad ? HC_BAD_PTR : (unsigned long)fd);
	else
		ret = host_syscall(nr, bad ? HC_BAD_PTR : (unsigned long)fd, args[1]);
	if (bad || !memcmp(fd, was, sizeof(fd)))
		return ret;
	if (copy_to_mm(t->task.mm, upair, fd, sizeof(fd)) && !ret) {
		host_syscall(__NR_close, fd[0]);
		host_syscall(__NR_close, fd[1]);
		return -EFAULT;
	}
	return ret;
}

/* Around the machine's descriptors. */
long hostcall_close_range(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	u32 first = (u32)args[0], last = (u32)args[1], flags = (u32)args[2];
	u32 floor = (u32)native_fd_floor, above = floor + NATIVE_NR_FDS;
	long ret = 0;

	(void)t;
	if (first > last || last < floor || first >= above)
		return host_syscall(nr, first, last, flags);
	if (first < floor)
		ret = host_syscall(nr, first, floor - 1, flags);
	if (!ret && last >= above)
		ret = host_syscall(nr, above, last, flags);
	return ret;
}

/* ---- System V semaphores and messages ---------------------------------------------------- */

enum {
	IPC_RMID,
	IPC_SET,
	IPC_STAT,
	IPC_INFO,
	MSG_STAT = 11,
	MSG_INFO,
	MSG_STAT_ANY,
	GETALL = 13,
	SETALL = 17,
	SEM_STAT,
	SEM_INFO,
	SEM_STAT_ANY,
};

#define IPC_64 0x100
#define SEMID_DS 104
#define SEMINFO 40
#define MSQID_DS 120
#define MSGINFO 32
#define SEMID_DS_NSEMS 80
#define MSG_MAX_COPY HC_MAX_COPY

static long ctl_out(struct native_task *t, unsigned long nr, const unsigned long *args,
		    unsigned int buf_at, size_t size)
{
	long a[4] = { (long)args[0], (long)args[1], (long)args[2], (long)args[3] };
	unsigned long uaddr = args[buf_at];
	struct hc_mem mem;
	long ret;

	hc_mem_init(&mem);
	a[buf_at] = uaddr ? (long)hc_alloc(&mem, size) : 0;
	if (uaddr && !a[buf_at])
		return -ENOMEM;
	ret = host_syscall(nr, a[0], a[1], a[2], a[3]);
	if (ret >= 0 && copy_to_mm(t->task.mm, uaddr, (void *)a[buf_at], size))
		ret = -EFAULT;
	hc_mem_free(&mem);
	return ret;
}

static long ctl_in(struct native_task *t, unsigned long nr, const unsigned long *args,
		   unsigned int buf_at, size_t size)
{
	long a[4] = { (long)args[0], (long)args[1], (long)args[2], (long)args[3] };
	struct hc_mem mem;
	long ret;

	hc_mem_init(&mem);
	a[buf_at] = (long)hc_in(t, &mem, args[buf_at], size);
	ret = hc_is_error(a[buf_at]) ? -ENOMEM : host_syscall(nr, a[0], a[1], a[2], a[3]);
	hc_mem_free(&mem);
	return ret;
}

long hostcall_semctl(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	u8 ds[SEMID_DS] __aligned(8);
	unsigned long nsems;

	switch ((int)args[2] & ~IPC_64) {
	case IPC_STAT:
	case SEM_STAT:
	case SEM_STAT_ANY:
		return ctl_out(t, nr, args, 3, SEMID_DS);
	case IPC_INFO:
	case SEM_INFO:
		return ctl_out(t, nr, args, 3, SEMINFO);
	case IPC_SET:
		return ctl_in(t, nr, args, 3, SEMID_DS);
	case GETALL:
	case SETALL:
		/* How many there are only the set itself knows. */
		nsems = 1;
		if (!host_syscall(nr, args[0], 0, IPC_STAT | IPC_64, ds))
			memcpy(&nsems, ds + SEMID_DS_NSEMS, sizeof(nsems));
		if (((int)args[2] & ~IPC_64) == GETALL)
			return ctl_out(t, nr, args, 3, nsems * sizeof(u16));
		return ctl_in(t, nr, args, 3, nsems * sizeof(u16));
	default:
		return host_syscall(nr, args[0], args[1], args[2], args[3]);
	}
}

static long do_msgctl(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	switch ((int)args[1] & ~IPC_64) {
	case IPC_STAT:
	case MSG_STAT:
	case MSG_STAT_ANY:
		return ctl_out(t, nr, args, 2, MSQID_DS);
	case IPC_INFO:
	case MSG_INFO:
		return ctl_out(t, nr, args, 2, MSGINFO);
	case IPC_SET:
		return ctl_in(t, nr, args, 2, MSQID_DS);
	default:
		return host_syscall(nr, args[0], args[1], args[2]);
	}
}

/* A message is its type, 8 bytes, and then the text, whose length alone is an argument. */
static long do_msgsnd(struct native_task *t, struct hc_mem *mem, const unsigned long *args)
{
	/* Larger than any can be: only the type is looked at before that is found. */
	size_t text = args[2] <= MSG_MAX_COPY - sizeof(long) ? args[2] : 0;
	unsigned long msg = hc_in(t, mem, args[1], text + sizeof(long));

	if (IS_ERR_VALUE(msg))
		return -ENOMEM;
	if (msg == HC_BAD_PTR && text) {
		/* The type, and the queue, are looked at before the text is. */
		unsigned long type = hc_in(t, mem, args[1], sizeof(long));

		if (usable(type) && ((int)args[0] < 0 || *(long *)type < 1))
			return -EINVAL;
	}
	return hc_call(__NR_msgsnd, args[0], msg, args[2], args[3]);
}

static long do_msgrcv(struct native_task *t, struct hc_mem *mem, const unsigned long *args)
{
	size_t size = min(args[2], MSG_MAX_COPY - sizeof(long));
	void *msg = (ssize_t)args[2] < 0 ? (void *)HC_BAD_PTR : hc_alloc(mem, size + sizeof(long));
	long ret;

	if (!msg)
		return -ENOMEM;
	ret = hc_call(__NR_msgrcv, args[0], msg, (ssize_t)args[2] < 0 ? args[2] : size, args[3],
		      args[4]);
	if (ret >= 0 && copy_to_mm(t->task.mm, args[1], msg, (size_t)ret + sizeof(long)))
		return -EFAULT;
	return ret;
}

long hostcall_sysv_msg(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct hc_mem mem;
	long ret;

	if (nr == __NR_msgctl)
		return do_msgctl(t, nr, args);
	hc_mem_init(&mem);
	ret = nr == __NR_msgsnd ? do_msgsnd(t, &mem, args) : do_msgrcv(t, &mem, args);
	hc_mem_free(&mem);
	return ret;
}

/* ---- Message queues, keys ---------------------------------------------------------------- */

#define SIGEV_THREAD 2
#define NOTIFY_COOKIE_LEN 32

struct user_sigevent {
	unsigned long value;
	s32 signo, notify;
	u8 rest[48];
};

/* With SIGEV_THREAD the value points to a cookie, and signo is a socket. */
long hostcall_mq_notify(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct hc_mem mem;
	unsigned long addr;
	long ret;

	hc_mem_init(&mem);
	addr = hc_in(t, &mem, args[1], sizeof(struct user_sigevent));
	if (usable(addr) && ((struct user_sigevent *)addr)->notify == SIGEV_THREAD) {
		struct user_sigevent *ev = (struct user_sigevent *)addr;

		ev->value = hc_in(t, &mem, ev->value, NOTIFY_COOKIE_LEN);
		ev->signo = (s32)hc_fd((unsigned long)ev->signo);
	}
	ret = IS_ERR_VALUE(addr) ? -ENOMEM : host_syscall(nr, hc_fd(args[0]), addr);
	hc_mem_free(&mem);
	return ret;
}

enum {
	KA_VAL,
	KA_STR,
	KA_IN,
	KA_OUT,
	KA_OTHER
};

/* What keyctl()'s arguments 2 to 5 are, by operation; KA_IN and KA_OUT have their length next. */
static const u8 keyctl_args[][4] = {
	[1] = { KA_STR }, /* JOIN_SESSION_KEYRING */
	[2] = { KA_VAL, KA_IN }, /* UPDATE */
	[6] = { KA_VAL, KA_OUT }, /* DESCRIBE */
	[10] = { KA_VAL, KA_STR, KA_STR, KA_VAL }, /* SEARCH */
	[11] = { KA_VAL, KA_OUT }, /* READ */
	[12] = { KA_VAL, KA_IN }, /* INSTANTIATE */
	[17] = { KA_VAL, KA_OUT }, /* GET_SECURITY */
	[20] = { KA_OTHER }, /* INSTANTIATE_IOV */
	[23] = { KA_OTHER }, /* DH_COMPUTE */
	[24] = { KA_OTHER }, /* PKEY_QUERY */
	[25] = { KA_OTHER }, /* PKEY_ENCRYPT */
	[26] = { KA_OTHER }, /* PKEY_DECRYPT */
	[27] = { KA_OTHER }, /* PKEY_SIGN */
	[28] = { KA_OTHER }, /* PKEY_VERIFY */
	[29] = { KA_VAL, KA_STR, KA_STR }, /* RESTRICT_KEYRING */
	[31] = { KA_OUT }, /* CAPABILITIES */
	[32] = { KA_VAL, KA_IN }, /* WATCH_KEY: its length argument is a number */
};

static unsigned long keyctl_arg(struct native_task *t, struct hc_mem *mem, u8 kind,
				unsigned long val, unsigned long len)
{
	switch (kind) {
	case KA_STR:
		return hc_string(t, mem, val);
	case KA_IN:
		return hc_in(t, mem, val, len);
	case KA_OUT:
		if (!val)
			return 0;
		if (len > HC_MAX_COPY)
			return HC_BAD_PTR;
		val = (unsigned long)hc_alloc(mem, len);
		return val ? val : (unsigned long)-ENOMEM;
	default:
		return val;
	}
}

static long do_keyctl(struct native_task *t, struct hc_mem *mem, const unsigned long *args)
{
	unsigned long op = args[0], host[6] = { op };
	const u8 *kinds = op < ARRAY_SIZE(keyctl_args) && op != 32 ? keyctl_args[op]
								   : keyctl_args[0];
	long ret;

	if (kinds[0] == KA_OTHER)
		return -EOPNOTSUPP;
	for (unsigned int i = 0; i < 4; i++) {
		host[1 + i] = keyctl_arg(t, mem, kinds[i], args[1 + i], i < 3 ? args[2 + i] : 0);
		if (kinds[i] != KA_VAL && IS_ERR_VALUE(host[1 + i]))
			return -ENOMEM;
	}
	ret = hc_call(__NR_keyctl, host[0], host[1], host[2], host[3], host[4]);
	for (unsigned int i = 0; i < 3 && ret > 0; i++) {
		/* The result is the full length; it may be more than there was room for. */
		size_t n = min((size_t)ret, args[2 + i]);

		if (kinds[i] == KA_OUT && usable(host[1 + i]) &&
		    copy_to_mm(t->task.mm, args[1 + i], (void *)host[1 + i], n))
			return -EFAULT;
	}
	return ret;
}

long hostcall_keyctl(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct hc_mem mem;
	long ret;

	(void)nr;
	hc_mem_init(&mem);
	ret = do_keyctl(t, &mem, args);
	hc_mem_free(&mem);
	return ret;
}

/* ---- File handles ------------------------------------------------------------------------ */

#define MAX_HANDLE_SZ 128
#define AT_HANDLE_MNT_ID_UNIQUE 0x1ul

struct file_handle {
	u32 bytes;
	s32 type;
	u8 handle[MAX_HANDLE_SZ];
};

long hostcall_name_to_handle(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	size_t id_size = args[4] & AT_HANDLE_MNT_ID_UNIQUE ? sizeof(u64) : sizeof(s32);
	struct file_handle *fh;
	struct hc_mem mem;
	unsigned long path;
	u64 mount_id = 0;
	u32 room = 0;
	long ret;

	hc_mem_init(&mem);
	path = hc_string(t, &mem, args[1]);
	fh = hc_alloc(&mem, sizeof(*fh));
	if (IS_ERR_VALUE(path) || !fh) {
		hc_mem_free(&mem);
		return -ENOMEM;
	}
	memset(fh, 0, sizeof(*fh));
	if (copy_from_mm(t->task.mm, &room, args[2], sizeof(room))) {
		ret = host_syscall(nr, hc_fd(args[0]), path, HC_BAD_PTR, &mount_id, args[4]);
	} else {
		fh->bytes = room;
		ret = host_syscall(nr, hc_fd(args[0]), path, fh, &mount_id, args[4]);
		/* A handle that is too small (EOVERFLOW) is told how large it should be. */
		if ((!ret || ret == -EOVERFLOW) &&
		    (copy_to_mm(t->task.mm, args[2], fh, 8 + (ret ? 0 : min(room, fh->bytes))) ||
		     copy_to_mm(t->task.mm, args[3], &mount_id, id_size)))
			ret = -EFAULT;
	}
	hc_mem_free(&mem);
	return ret;
}

/* ---- Scheduling -------------------------------------------------------------------------- */

#define SCHED_ATTR_MIN 48u

/* What is to be copied of a structure that says its own size; of one too large, what says so. */
static u32 sized_struct(u32 size, u32 min_size)
{
	return size > PAGE_SIZE ? min_size : max(size, min_size);
}

/* The structure says its own size, and is told the host's when it is larger (E2BIG). */
long hostcall_sched_setattr(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct hc_mem mem;
	unsigned long attr;
	u32 size = 0;
	long ret;

	if (copy_from_mm(t->task.mm, &size, args[1], sizeof(size)))
		return host_syscall(nr, args[0], args[1] ? HC_BAD_PTR : 0, args[2]);
	hc_mem_init(&mem);
	attr = hc_in(t, &mem, args[1], sized_struct(size, SCHED_ATTR_MIN));
	ret = IS_ERR_VALUE(attr) ? -ENOMEM : host_syscall(nr, args[0], attr, args[2]);
	if (ret == -E2BIG && usable(attr))
		copy_to_mm(t->task.mm, args[1], (void *)attr, sizeof(u32));
	hc_mem_free(&mem);
	return ret;
}

/* ---- Performance events ------------------------------------------------------------------ */

#define PERF_ATTR_MIN 64u
#define PERF_ATTR_SIGTRAP (1ull << 37)

struct perf_attr {
	u32 type, size;
	u64 config, sample_period, sample_type, read_format, flags;
};

/*
 * As sched_setattr() has its structure. A SIGTRAP at an event, which may be one of the machine's own, is
 * refused as by a host that does not know it.
 */
long hostcall_perf(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct perf_attr *attr;
	struct hc_mem mem;
	unsigned long addr;
	u32 size = 0;
	long ret;

	if (copy_from_mm(t->task.mm, &size, args[0] + 4, sizeof(size)))
		return host_syscall(nr, HC_BAD_PTR, args[1], args[2], args[3], args[4]);
	hc_mem_init(&mem);
	addr = hc_in(t, &mem, args[0], sized_struct(size, PERF_ATTR_MIN));
	attr = (struct perf_attr *)addr;
	if (IS_ERR_VALUE(addr))
		ret = -ENOMEM;
	else if (usable(addr) && attr->flags & PERF_ATTR_SIGTRAP)
		ret = -EINVAL;
	else
		ret = host_syscall(nr, addr, args[1], args[2], hc_fd(args[3]), args[4]);
	if (ret == -E2BIG && usable(addr))
		copy_to_mm(t->task.mm, args[0] + 4, &attr->size, sizeof(u32));
	hc_mem_free(&mem);
	return ret;
}

/* ---- Descriptor tables of the processor -------------------------------------------------- */

long hostcall_ldt(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	int func = (int)args[0];
	struct hc_mem mem;
	unsigned long buf;
	long ret;

	hc_mem_init(&mem);
	if (func == 0 || func == 2) {
		size_t size = min(args[2], 65536ul);

		buf = (unsigned long)hc_alloc(&mem, size);
		ret = buf ? host_syscall(nr, func, buf, size) : -ENOMEM;
		if ((int)ret > 0 && copy_to_mm(t->task.mm, args[1], (void *)buf, (size_t)ret))
			ret = -EFAULT;
	} else {
		buf = hc_in(t, &mem, args[1], min(args[2], 64ul));
		ret = IS_ERR_VALUE(buf) ? -ENOMEM : host_syscall(nr, func, buf, args[2]);
	}
	hc_mem_free(&mem);
	return ret;
}

/* ---- Signals by descriptor --------------------------------------------------------------- */

/* The process behind a pidfd, as the host tells it; -EBADF if it is none. */
static long pidfd_pid(long fd)
{
	char path[40], text[512];
	long n, pid = -EBADF;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%ld", fd);
	fd = host_syscall(__NR_open, path, HOST_O_CLOEXEC, 0);
	if (fd < 0)
		return -EBADF;
	n = host_syscall(__NR_read, fd, text, sizeof(text) - 1);
	host_syscall(__NR_close, fd);
	text[n > 0 ? n : 0] = '\0';
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, "Pid:\t", 5))
			pid = (long)simple_strtoul(line + 5, NULL, 10);
	}
	return pid;
}

/* As kill() and sigqueue() do it, the process being known by a descriptor. */
long hostcall_pidfd_signal(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	long fd = hc_fd(args[0]), ret;
	int sig = (int)args[1];
	struct hc_mem mem;
	unsigned long info;

	hc_mem_init(&mem);
	info = hc_in(t, &mem, args[2], sizeof(struct host_siginfo));
	if (IS_ERR_VALUE(info)) {
		ret = -ENOMEM;
	} else if (!info && signal_is_ours(sig)) {
		/* Good for an error? */
		ret = host_syscall(nr, fd, 0, 0, args[3]);
		if (!ret)
			ret = pidfd_pid(fd);
		if (ret > 0)
			ret = signal_send(t, (pid_t)ret, sig);
	} else if (info && info != HC_BAD_PTR && signal_is_ours(sig)) {
		const unsigned long queue_args[3] = { (unsigned long)pidfd_pid(fd),
						      (unsigned long)sig, args[2] };

		ret = ((struct host_siginfo *)info)->si_signo != sig || args[3]
			      ? -EINVAL
			      : send_syscall(t, __NR_rt_sigqueueinfo, queue_args);
	} else {
		ret = host_syscall(nr, fd, sig, info, args[3]);
	}
	hc_mem_free(&mem);
	return ret;
}
