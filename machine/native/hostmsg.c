/* SPDX-License-Identifier: MIT */
/*
 * hostmsg.c - messages on sockets: send*, recv*, and socket options.
 *
 * Every call becomes sendmsg() or recvmsg() on kernel copies of the header, the address and the
 * control data; the message itself goes as hostio.c has it. A message is never cut in two, but for
 * streams, where more than one piece is sent until all is gone.
 */
#include <quire/mm.h>

#include "hostmem.h"

struct user_msghdr {
	unsigned long name;
	s32 namelen, pad;
	unsigned long iov;
	unsigned long iovlen;
	unsigned long control;
	unsigned long controllen;
	u32 flags, pad2;
};

struct mmsghdr {
	struct user_msghdr hdr;
	u32 len, pad;
};

struct cmsghdr {
	size_t len;
	s32 level, type;
};

#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define SO_TYPE 3
#define SOCK_STREAM 1
#define SOCKADDR_MAX 128
#define CONTROL_MAX (256ul << 10)

#define MSG_DONTWAIT 0x40
#define MSG_PEEK 0x02
#define MSG_WAITALL 0x100
#define MSG_WAITFORONE 0x10000
#define MSG_ZEROCOPY 0x4000000

#define BOUNCE_MAX PAGE_SIZE
#define ENOTSOCK 88
#define EMSGSIZE 90
#define ENOBUFS 105

#define UIO_MAXVEC 1024u

/* One message on its way. */
struct hostmsg {
	struct native_task *t;
	int fd;
	bool send;
	u32 flags; /* of the call */
	struct user_msghdr hdr; /* as the host sees it; msg_iov set for each piece */
	struct uiter it;
};

static long msg_issue(struct hostmsg *m, const struct host_iovec *iov, unsigned long nr)
{
	m->hdr.iov = (unsigned long)iov;
	m->hdr.iovlen = nr;
	return hc_call(m->send ? __NR_sendmsg : __NR_recvmsg, hc_fd((unsigned long)m->fd), &m->hdr,
		       m->flags);
}

static bool is_stream(const struct hostmsg *m)
{
	s32 type = 0, len = sizeof(type);

	host_syscall(__NR_getsockopt, hc_fd((unsigned long)m->fd), SOL_SOCKET, SO_TYPE, &type,
		     &len);
	return type == SOCK_STREAM;
}

/* A received datagram may be longer than there was room for (MSG_TRUNC). */
static long msg_bounce(struct hostmsg *m)
{
	struct mm_struct *mm = m->t->task.mm;
	size_t len = m->it.left;
	/* The second is what cannot be read or written. */
	struct host_iovec iov[2] = { { .len = len }, { .base = HC_BAD_PTR } };
	struct hc_mem mem;
	long ret;

	hc_mem_init(&mem);
	iov[0].base = (unsigned long)hc_alloc(&mem, len);
	if (!iov[0].base)
		return -ENOMEM;
	iov[0].len = m->send ? uiter_from_user(&m->it, mm, (void *)iov[0].base, len)
			     : uiter_room(&m->it, mm, len, true);
	iov[1].len = len - iov[0].len;
	ret = msg_issue(m, iov, 1 + !!iov[1].len);
	if (!m->send && ret > 0) {
		size_t n = min((size_t)ret, len);

		if (uiter_to_user(&m->it, mm, (void *)iov[0].base, n) < n)
			ret = -EFAULT;
	}
	hc_mem_free(&mem);
	return ret;
}

/* The next piece of a stream: address and control data went with the first. */
static void msg_next_piece(struct hostmsg *m, long n)
{
	uiter_advance(&m->it, (size_t)n);
	m->hdr.control = m->hdr.controllen = 0;
}

static long msg_pinned(struct hostmsg *m)
{
	struct pinned *pin = kmalloc(sizeof(*pin), GFP_KERNEL);
	bool more = false;
	long done = 0, ret;

	if (!pin)
		return -ENOMEM;
	do {
		ret = uiter_pin(&m->it, m->t->task.mm, !m->send, pin);
		if (ret)
			break;
		if (pin->bytes < m->it.left && !pin->faulted)
			more = is_stream(m) &&
			       (m->send || ((m->flags & MSG_WAITALL) && !(m->flags & MSG_PEEK)));
		if (m->send && !more && pin->bytes < m->it.left && !pin->faulted)
			ret = -EMSGSIZE;
		else
			ret = msg_issue(m, pin->iov, pin->nr_iov);
		uiter_unpin(pin, !m->send);
		if (ret <= 0)
			break;
		done += ret;
		more = more && !pin->faulted && (size_t)ret == pin->bytes;
		if (more)
			msg_next_piece(m, ret);
	} while (more && m->it.left);
	kfree(pin);
	return done ? done : ret;
}

static long msg_transfer(struct hostmsg *m)
{
	if (m->it.left <= BOUNCE_MAX && !(m->send && (m->flags & MSG_ZEROCOPY)))
		return msg_bounce(m);
	return msg_pinned(m);
}

/* ---- sendto, recvfrom -------------------------------------------------------------------- */

/* What Linux checks before it looks at the descriptor. */
static bool is_user_range(unsigned long addr, size_t len)
{
	return len <= TASK_SIZE_MAX && addr <= TASK_SIZE_MAX - len;
}

static long do_sendto(struct native_task *t, struct hc_mem *mem, const unsigned long *args)
{
	struct host_iovec iov = { args[1], min(args[2], HC_MAX_RW) };
	struct hostmsg m = { .t = t, .fd = (int)args[0], .send = true, .flags = (u32)args[3] };
	s32 namelen = (s32)args[5];

	if (!is_user_range(iov.base, iov.len))
		return -EFAULT;
	if (args[4] && (namelen < 0 || namelen > SOCKADDR_MAX)) {
		long err = host_syscall(__NR_sendto, hc_fd(args[0]), &iov, 0, args[3], &iov, -1);

		return err == -EBADF || err == -ENOTSOCK ? err : -EINVAL;
	}
	if (args[4]) {
		m.hdr.name = hc_in(t, mem, args[4], (size_t)namelen);
		m.hdr.namelen = namelen;
	}
	uiter_init(&m.it, &iov, 1);
	return msg_transfer(&m);
}

/* The peer's address: as much as there is room for, and how long it is. */
static long name_to_user(struct native_task *t, const struct hostmsg *m, unsigned long uname,
			 s32 room, unsigned long ulen)
{
	s32 n = min(room, m->hdr.namelen);

	if (n > 0 && copy_to_mm(t->task.mm, uname, (void *)m->hdr.name, (size_t)n))
		return -EFAULT;
	return copy_to_mm(t->task.mm, ulen, &m->hdr.namelen, sizeof(s32)) ? -EFAULT : 0;
}

static long do_recvfrom(struct native_task *t, const unsigned long *args)
{
	struct host_iovec iov = { args[1], min(args[2], HC_MAX_RW) };
	struct hostmsg m = { .t = t, .fd = (int)args[0], .flags = (u32)args[3] };
	u8 name[SOCKADDR_MAX];
	s32 room = 0;
	long ret, err;

	if (!is_user_range(iov.base, iov.len))
		return -EFAULT;
	if (args[4]) {
		m.hdr.name = (unsigned long)name;
		m.hdr.namelen = SOCKADDR_MAX;
	}
	uiter_init(&m.it, &iov, 1);
	ret = msg_transfer(&m);
	if (hc_is_error(ret) || !args[4])
		return ret;
	if (copy_from_mm(t->task.mm, &room, args[5], sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	err = name_to_user(t, &m, args[4], room, args[5]);
	return err ? err : ret;
}

/* ---- sendmsg, recvmsg -------------------------------------------------------------------- */

/* The machine's descriptors are nobody's to send. */
static void hide_reserved_rights(u8 *control, size_t len)
{
	size_t pos = 0;

	while (len - pos >= sizeof(struct cmsghdr)) {
		struct cmsghdr *c = (struct cmsghdr *)(control + pos);
		s32 *fd = (s32 *)(c + 1);

		if (c->len < sizeof(*c) || c->len > len - pos)
			return;
		if (c->level == SOL_SOCKET && c->type == SCM_RIGHTS)
			for (size_t n = (c->len - sizeof(*c)) / sizeof(*fd); n; n--, fd++)
				*fd = (s32)hc_fd((unsigned long)*fd);
		if (ALIGN(c->len, 8ul) > len - pos)
			return;
		pos += ALIGN(c->len, 8ul);
	}
}

/* Header, address and control data for the host. */
static long import_header(struct hostmsg *m, struct hc_mem *mem, const struct user_msghdr *u)
{
	s32 namelen = u->name ? min(u->namelen, SOCKADDR_MAX) : 0;
	unsigned long control = u->control;

	m->hdr.controllen = u->controllen;
	if (m->send) {
		m->hdr.name = namelen < 0 ? HC_BAD_PTR
			      : namelen	  ? hc_in(m->t, mem, u->name, (size_t)namelen)
					  : 0;
		if (u->controllen)
			control = u->controllen > CONTROL_MAX
					  ? HC_BAD_PTR
					  : hc_in(m->t, mem, control, u->controllen);
	} else {
		m->hdr.controllen = min(u->controllen, CONTROL_MAX);
		m->hdr.name = u->name ? (unsigned long)hc_alloc(mem, SOCKADDR_MAX) : 0;
		if (namelen >= 0)
			namelen = u->name ? SOCKADDR_MAX : 0;
		control = u->control && m->hdr.controllen
				  ? (unsigned long)hc_alloc(mem, m->hdr.controllen)
				  : 0;
		if ((u->name && !m->hdr.name) || (u->control && m->hdr.controllen && !control))
			return -ENOMEM;
		if (!control)
			m->hdr.controllen = 0;
	}
	if (IS_ERR_VALUE(m->hdr.name) || IS_ERR_VALUE(control))
		return -ENOMEM;
	if (m->send && control && control != HC_BAD_PTR)
		hide_reserved_rights((u8 *)control, m->hdr.controllen);
	m->hdr.namelen = namelen;
	m->hdr.control = control;
	return 0;
}

static long export_header(struct hostmsg *m, unsigned long umsg, const struct user_msghdr *u)
{
	struct mm_struct *mm = m->t->task.mm;
	unsigned long control = m->hdr.control;
	size_t n = min(m->hdr.controllen, u->controllen);

	if (u->name && name_to_user(m->t, m, u->name, u->namelen,
				    umsg + offsetof(struct user_msghdr, namelen)))
		return -EFAULT;
	if (control && n && copy_to_mm(mm, u->control, (void *)control, n))
		return -EFAULT;
	if (copy_to_mm(mm, umsg + offsetof(struct user_msghdr, flags), &m->hdr.flags,
		       sizeof(u32)) ||
	    copy_to_mm(mm, umsg + offsetof(struct user_msghdr, controllen), &n, sizeof(n)))
		return -EFAULT;
	return 0;
}

static long do_one_msg(struct native_task *t, bool send, int fd, unsigned long umsg, u32 flags)
{
	struct hostmsg m = { .t = t, .fd = fd, .send = send, .flags = flags };
	struct host_iovec *iov = NULL;
	struct user_msghdr u;
	struct hc_mem mem;
	long ret, n;

	if (copy_from_mm(t->task.mm, &u, umsg, sizeof(u)))
		return hc_call(send ? __NR_sendmsg : __NR_recvmsg, hc_fd((unsigned long)fd),
			       HC_BAD_PTR, flags);
	hc_mem_init(&mem);
	ret = import_header(&m, &mem, &u);
	n = ret ? ret : hc_import_iovec(t, &mem, u.iov, u.iovlen, &iov);
	if (n == -EFAULT || n == -EINVAL) {
		struct host_iovec bad = { HC_BAD_PTR, (size_t)-1 };

		/* The host says so, or what else comes first. */
		ret = n == -EINVAL && u.iovlen <= HC_IOV_MAX
			      ? msg_issue(&m, &bad, 1)
			      : msg_issue(&m, (struct host_iovec *)HC_BAD_PTR, u.iovlen);
	} else if (n >= 0) {
		uiter_init(&m.it, iov, (unsigned int)n);
		ret = msg_transfer(&m);
		if (!hc_is_error(ret) && !send) {
			long err = export_header(&m, umsg, &u);

			ret = err ? err : ret;
		}
	} else {
		ret = n;
	}
	hc_mem_free(&mem);
	return ret;
}

/* ---- sendmmsg, recvmmsg ------------------------------------------------------------------ */

static long do_sendmmsg(struct native_task *t, const unsigned long *args)
{
	u32 vlen = min((u32)args[2], UIO_MAXVEC);
	unsigned long umsg = args[1];
	long ret = 0;
	u32 i;

	for (i = 0; i < vlen; i++, umsg += sizeof(struct mmsghdr)) {
		u32 len;

		ret = do_one_msg(t, true, (int)args[0], umsg, (u32)args[3]);
		if (hc_is_error(ret))
			break;
		len = (u32)ret;
		if (copy_to_mm(t->task.mm, umsg + offsetof(struct mmsghdr, len), &len,
			       sizeof(len))) {
			ret = -EFAULT;
			break;
		}
	}
	return i ? (long)i : ret;
}

static struct host_timespec time_left(u64 end)
{
	u64 now = machine_clock_ns();
	u64 left = end > now ? end - now : 0;

	return (struct host_timespec){ (s64)(left / 1000000000), (s64)(left % 1000000000) };
}

static long do_recvmmsg(struct native_task *t, const unsigned long *args)
{
	u32 vlen = min((u32)args[2], UIO_MAXVEC), flags = (u32)args[3];
	unsigned long umsg = args[1];
	struct host_timespec ts;
	u64 end = 0;
	long ret = 0;
	u32 i = 0;

	if (args[4]) {
		if (copy_from_mm(t->task.mm, &ts, args[4], sizeof(ts)))
			return -EFAULT;
		if (ts.tv_sec < 0 || (u64)ts.tv_nsec >= 1000000000)
			return -EINVAL;
		end = machine_clock_ns() + (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
	}
	while (i < vlen) {
		u32 len;

		ret = do_one_msg(t, false, (int)args[0], umsg, flags & ~(u32)MSG_WAITFORONE);
		if (hc_is_error(ret))
			break;
		len = (u32)ret;
		if (copy_to_mm(t->task.mm, umsg + offsetof(struct mmsghdr, len), &len,
			       sizeof(len))) {
			ret = -EFAULT;
			break;
		}
		i++;
		umsg += sizeof(struct mmsghdr);
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (!args[4])
			continue;
		ts = time_left(end);
		if (!ts.tv_sec && !ts.tv_nsec)
			break;
	}
	if (i && args[4] && copy_to_mm(t->task.mm, args[4], &ts, sizeof(ts)))
		return -EFAULT;
	return i ? (long)i : ret;
}

long hostcall_msg(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct hc_mem mem;
	long ret;

	switch (nr) {
	case __NR_sendto:
		hc_mem_init(&mem);
		ret = do_sendto(t, &mem, args);
		hc_mem_free(&mem);
		return ret;
	case __NR_recvfrom:
		return do_recvfrom(t, args);
	case __NR_sendmmsg:
		return do_sendmmsg(t, args);
	case __NR_recvmmsg:
		return do_recvmmsg(t, args);
	default:
		return do_one_msg(t, nr == __NR_sendmsg, (int)args[0], args[1], (u32)args[2]);
	}
}

/* ---- Options ----------------------------------------------------------------------------- */

#define SO_ATTACH_FILTER 26 /* also SO_GET_FILTER */
#define SO_ATTACH_REUSEPORT_CBPF 51
#define IPPROTO_TCP 6
#define TCP_ZEROCOPY_RECEIVE 35
#define SOCK_FILTER_SIZE 8
#define OPTION_MAX 65536

struct sock_fprog {
	u16 len, pad[3];
	unsigned long filter;
};

static long do_setsockopt(struct native_task *t, struct hc_mem *mem, const unsigned long *args)
{
	/* Most options look at the first few bytes only, however many there are said to be. */
	int level = (int)args[1], name = (int)args[2], len = min((int)args[4], OPTION_MAX);
	unsigned long val = args[3] && len <= 0 ? HC_BAD_PTR
						: hc_in_may(t, mem, args[3], (size_t)len,
							    min((size_t)len, sizeof(s32)));

	if (level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF) &&
	    len == sizeof(struct sock_fprog) && val && val != HC_BAD_PTR && !IS_ERR_VALUE(val)) {
		struct sock_fprog *prog = (struct sock_fprog *)val;

		prog->filter = hc_in(t, mem, prog->filter, (size_t)prog->len * SOCK_FILTER_SIZE);
		if (IS_ERR_VALUE(prog->filter))
			return -ENOMEM;
	}
	if (IS_ERR_VALUE(val))
		return -ENOMEM;
	return host_syscall(__NR_setsockopt, hc_fd(args[0]), level, name, val, len);
}

static long do_getsockopt(struct native_task *t, struct hc_mem *mem, const unsigned long *args)
{
	int level = (int)args[1], name = (int)args[2];
	s32 room = 0, told, len;
	size_t unit = 1;
	u8 *val;
	long ret;

	if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE)
		return -EOPNOTSUPP;
	if (copy_from_mm(t->task.mm, &room, args[4], sizeof(room)))
		return host_syscall(__NR_getsockopt, hc_fd(args[0]), level, name, HC_BAD_PTR,
				    HC_BAD_PTR);
	/* The one option whose length counts instructions. */
	if (level == SOL_SOCKET && name == SO_ATTACH_FILTER)
		unit = SOCK_FILTER_SIZE;
	len = told = min(room, (s32)(HC_MAX_COPY / SOCK_FILTER_SIZE));
	val = hc_alloc(mem, len > 0 ? (size_t)len * unit : 1);
	if (!val)
		return -ENOMEM;
	if (len > 0) { /* some options are read, too, and some write less than they say */
		size_t left = copy_from_mm(t->task.mm, val, args[3], (size_t)len * unit);

		memset(val + (size_t)len * unit - left, 0, left);
	}
	ret = host_syscall(__NR_getsockopt, hc_fd(args[0]), level, name,
			   args[3] ? (unsigned long)val : 0, &len);
	if (!ret && len > 0 && copy_to_mm(t->task.mm, args[3], val, (size_t)min(len, room) * unit))
		return -EFAULT;
	if ((!ret || len != told) && copy_to_mm(t->task.mm, args[4], &len, sizeof(len)))
		return -EFAULT;
	return ret;
}

long hostcall_sockopt(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct hc_mem mem;
	long ret;

	hc_mem_init(&mem);
	ret = nr == __NR_setsockopt ? do_setsockopt(t, &mem, args) : do_getsockopt(t, &mem, args);
	hc_mem_free(&mem);
	return ret;
}
