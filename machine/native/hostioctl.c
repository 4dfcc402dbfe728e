/* SPDX-License-Identifier: MIT */
/*
 * hostioctl.c - ioctl() and fcntl(): what the third argument is depends on the second.
 *
 * An ioctl is looked up by number; one not listed is copied by the size and direction that its
 * number tells. Numbers from before that encoding which are not listed either get a page, as far as it
 * can be read, and what the host changes in it is copied back. Arguments too small to be an address
 * are numbers in any case.
 */
#include <quire/mm.h>

#include "hostmem.h"

#define IOC_DIR(cmd) ((cmd) >> 30)
#define IOC_SIZE(cmd) ((cmd) >> 16 & 0x3fff)
#define IOC_WRITE 1u /* the program writes, the kernel reads */
#define IOC_READ 2u
#define UNKNOWN_SIZE 4096

enum ioctl_arg {
	IA_VALUE,
	IA_IN,
	IA_OUT,
	IA_INOUT,
	IA_CHANGED, /* of a form not known: what was changed is copied back */
	IA_STR,
	IA_FD,
	IA_IFCONF, /* struct ifconf: length and pointer */
	IA_IFR_DATA, /* struct ifreq whose data is a pointer */
	IA_ARRAY, /* header, then elements counted in it */
};

struct ioctl_desc {
	u32 cmd;
	u8 arg; /* enum ioctl_arg */
	u8 quick; /* cannot block */
	u16 size;
	u16 count_at, elem; /* IA_ARRAY: offset of the u32 count, size of an element */
};

#define IFREQ_SIZE 40

static const struct ioctl_desc ioctl_table[] = {
	/* Terminals. */
	{ 0x5401, IA_OUT, 1, 36, 0, 0 }, /* TCGETS */
	{ 0x5402, IA_IN, 0, 36, 0, 0 }, /* TCSETS */
	{ 0x5403, IA_IN, 0, 36, 0, 0 }, /* TCSETSW */
	{ 0x5404, IA_IN, 0, 36, 0, 0 }, /* TCSETSF */
	{ 0x5405, IA_OUT, 1, 18, 0, 0 }, /* TCGETA */
	{ 0x5406, IA_IN, 0, 18, 0, 0 }, /* TCSETA */
	{ 0x5407, IA_IN, 0, 18, 0, 0 }, /* TCSETAW */
	{ 0x5408, IA_IN, 0, 18, 0, 0 }, /* TCSETAF */
	{ 0x5409, IA_VALUE, 0, 0, 0, 0 }, /* TCSBRK */
	{ 0x540a, IA_VALUE, 0, 0, 0, 0 }, /* TCXONC */
	{ 0x540b, IA_VALUE, 0, 0, 0, 0 }, /* TCFLSH */
	{ 0x540c, IA_VALUE, 0, 0, 0, 0 }, /* TIOCEXCL */
	{ 0x540d, IA_VALUE, 0, 0, 0, 0 }, /* TIOCNXCL */
	{ 0x540e, IA_VALUE, 0, 0, 0, 0 }, /* TIOCSCTTY */
	{ 0x540f, IA_OUT, 1, 4, 0, 0 }, /* TIOCGPGRP */
	{ 0x5410, IA_IN, 0, 4, 0, 0 }, /* TIOCSPGRP */
	{ 0x5411, IA_OUT, 1, 4, 0, 0 }, /* TIOCOUTQ */
	{ 0x5412, IA_IN, 0, 1, 0, 0 }, /* TIOCSTI */
	{ 0x5413, IA_OUT, 1, 8, 0, 0 }, /* TIOCGWINSZ */
	{ 0x5414, IA_IN, 0, 8, 0, 0 }, /* TIOCSWINSZ */
	{ 0x5415, IA_OUT, 0, 4, 0, 0 }, /* TIOCMGET */
	{ 0x5416, IA_IN, 0, 4, 0, 0 }, /* TIOCMBIS */
	{ 0x5417, IA_IN, 0, 4, 0, 0 }, /* TIOCMBIC */
	{ 0x5418, IA_IN, 0, 4, 0, 0 }, /* TIOCMSET */
	{ 0x5419, IA_OUT, 0, 4, 0, 0 }, /* TIOCGSOFTCAR */
	{ 0x541a, IA_IN, 0, 4, 0, 0 }, /* TIOCSSOFTCAR */
	{ 0x541b, IA_OUT, 1, 4, 0, 0 }, /* FIONREAD */
	{ 0x541e, IA_OUT, 0, 72, 0, 0 }, /* TIOCGSERIAL */
	{ 0x541f, IA_IN, 0, 72, 0, 0 }, /* TIOCSSERIAL */
	{ 0x5420, IA_IN, 0, 4, 0, 0 }, /* TIOCPKT */
	{ 0x5421, IA_IN, 1, 4, 0, 0 }, /* FIONBIO */
	{ 0x5422, IA_VALUE, 0, 0, 0, 0 }, /* TIOCNOTTY */
	{ 0x5423, IA_IN, 0, 4, 0, 0 }, /* TIOCSETD */
	{ 0x5424, IA_OUT, 0, 4, 0, 0 }, /* TIOCGETD */
	{ 0x5425, IA_VALUE, 0, 0, 0, 0 }, /* TCSBRKP */
	{ 0x5429, IA_OUT, 1, 4, 0, 0 }, /* TIOCGSID */
	{ 0x542e, IA_OUT, 0, 32, 0, 0 }, /* TIOCGRS485 */
	{ 0x542f, IA_INOUT, 0, 32, 0, 0 }, /* TIOCSRS485 */
	{ 0x5437, IA_VALUE, 0, 0, 0, 0 }, /* TIOCVHANGUP */
	{ 0x5441, IA_VALUE, 0, 0, 0, 0 }, /* TIOCGPTPEER */
	{ 0x5450, IA_VALUE, 1, 0, 0, 0 }, /* FIONCLEX */
	{ 0x5451, IA_VALUE, 1, 0, 0, 0 }, /* FIOCLEX */
	{ 0x5452, IA_IN, 1, 4, 0, 0 }, /* FIOASYNC */
	{ 0x545c, IA_VALUE, 0, 0, 0, 0 }, /* TIOCMIWAIT */
	{ 0x545d, IA_OUT, 0, 80, 0, 0 }, /* TIOCGICOUNT */
	{ 0x5460, IA_OUT, 1, 8, 0, 0 }, /* FIOQSIZE */
	/* Files and block devices. */
	{ 0x0001, IA_INOUT, 0, 4, 0, 0 }, /* FIBMAP */
	{ 0x0002, IA_OUT, 0, 4, 0, 0 }, /* FIGETBSZ */
	{ 0x40049409, IA_FD, 0, 0, 0, 0 }, /* FICLONE */
	{ 0x4020940d, IA_IN, 0, 32, 0, 0 }, /* FICLONERANGE; its descriptor: below */
	{ 0xc020660b, IA_ARRAY, 0, 32, 24, 56 }, /* FS_IOC_FIEMAP */
	{ 0xc0189436, IA_ARRAY, 0, 24, 16, 32 }, /* FIDEDUPERANGE; count is a u16 and zeros */
	{ 0x125d, IA_IN, 0, 4, 0, 0 }, /* BLKROSET */
	{ 0x125e, IA_OUT, 0, 4, 0, 0 }, /* BLKROGET */
	{ 0x1260, IA_OUT, 0, 8, 0, 0 }, /* BLKGETSIZE */
	{ 0x1261, IA_VALUE, 0, 0, 0, 0 }, /* BLKFLSBUF */
	{ 0x1263, IA_OUT, 0, 8, 0, 0 }, /* BLKRAGET */
	{ 0x1267, IA_OUT, 0, 2, 0, 0 }, /* BLKSECTGET */
	{ 0x1268, IA_OUT, 0, 4, 0, 0 }, /* BLKSSZGET */
	{ 0x1277, IA_IN, 0, 16, 0, 0 }, /* BLKDISCARD */
	{ 0x1278, IA_OUT, 0, 4, 0, 0 }, /* BLKIOMIN */
	{ 0x1279, IA_OUT, 0, 4, 0, 0 }, /* BLKIOOPT */
	{ 0x127a, IA_OUT, 0, 4, 0, 0 }, /* BLKALIGNOFF */
	{ 0x127b, IA_OUT, 0, 4, 0, 0 }, /* BLKPBSZGET */
	{ 0x127c, IA_OUT, 0, 4, 0, 0 }, /* BLKDISCARDZEROES */
	{ 0x127d, IA_IN, 0, 16, 0, 0 }, /* BLKSECDISCARD */
	{ 0x127e, IA_OUT, 0, 2, 0, 0 }, /* BLKROTATIONAL */
	{ 0x127f, IA_IN, 0, 16, 0, 0 }, /* BLKZEROOUT */
	/* Sockets. */
	{ 0x8901, IA_IN, 0, 4, 0, 0 }, /* FIOSETOWN */
	{ 0x8902, IA_IN, 0, 4, 0, 0 }, /* SIOCSPGRP */
	{ 0x8903, IA_OUT, 0, 4, 0, 0 }, /* FIOGETOWN */
	{ 0x8904, IA_OUT, 0, 4, 0, 0 }, /* SIOCGPGRP */
	{ 0x8905, IA_OUT, 0, 4, 0, 0 }, /* SIOCATMARK */
	{ 0x8906, IA_OUT, 0, 16, 0, 0 }, /* SIOCGSTAMP */
	{ 0x8907, IA_OUT, 0, 16, 0, 0 }, /* SIOCGSTAMPNS */
	{ 0x8912, IA_IFCONF, 0, 16, 0, 0 }, /* SIOCGIFCONF */
	{ 0x8946, IA_IFR_DATA, 0, IFREQ_SIZE, 0, 0 }, /* SIOCETHTOOL */
	{ 0x8993, IA_IFR_DATA, 0, IFREQ_SIZE, 0, 0 }, /* SIOCBONDSLAVEINFOQUERY */
	{ 0x8994, IA_IFR_DATA, 0, IFREQ_SIZE, 0, 0 }, /* SIOCBONDINFOQUERY */
	{ 0x89b0, IA_IFR_DATA, 0, IFREQ_SIZE, 0, 0 }, /* SIOCSHWTSTAMP */
	{ 0x89b1, IA_IFR_DATA, 0, IFREQ_SIZE, 0, 0 }, /* SIOCGHWTSTAMP */
	/* Ones whose number says something else than the truth. */
	{ 0x400454ca, IA_INOUT, 0, IFREQ_SIZE, 0, 0 }, /* TUNSETIFF */
	{ 0x400454c8, IA_VALUE, 0, 0, 0, 0 }, /* TUNSETNOCSUM */
	{ 0x400454cb, IA_VALUE, 0, 0, 0, 0 }, /* TUNSETPERSIST */
	{ 0x400454cc, IA_VALUE, 0, 0, 0, 0 }, /* TUNSETOWNER */
	{ 0x400454cd, IA_VALUE, 0, 0, 0, 0 }, /* TUNSETLINK */
	{ 0x400454ce, IA_VALUE, 0, 0, 0, 0 }, /* TUNSETGROUP */
	{ 0x400454d0, IA_VALUE, 0, 0, 0, 0 }, /* TUNSETOFFLOAD */
	{ 0x40044590, IA_VALUE, 0, 0, 0, 0 }, /* EVIOCGRAB */
	{ 0x2400, IA_VALUE, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_ENABLE */
	{ 0x2401, IA_VALUE, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_DISABLE */
	{ 0x2402, IA_VALUE, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_REFRESH */
	{ 0x2403, IA_VALUE, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_RESET */
	{ 0x2405, IA_FD, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_SET_OUTPUT */
	{ 0x40042408, IA_FD, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_SET_BPF */
	{ 0x40042409, IA_VALUE, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_PAUSE_OUTPUT */
	{ 0x40082406, IA_STR, 0, 0, 0, 0 }, /* PERF_EVENT_IOC_SET_FILTER */
	{ 0xc008240a, IA_ARRAY, 0, 8, 0, 4 }, /* PERF_EVENT_IOC_QUERY_BPF */
	{ 0x4008240b, IA_CHANGED, 0, UNKNOWN_SIZE, 0, 0 }, /* PERF_EVENT_IOC_MODIFY_ATTRIBUTES */
};

#define FICLONERANGE 0x4020940du
#define FIDEDUPERANGE 0xc0189436u

static bool is_netdevice(u32 cmd)
{
	return cmd >= 0x8910 && cmd < 0x8a00;
}

static struct ioctl_desc ioctl_lookup(u32 cmd)
{
	struct ioctl_desc d = { .cmd = cmd };
	u32 dir = IOC_DIR(cmd);

	for (unsigned int i = 0; i < ARRAY_SIZE(ioctl_table); i++)
		if (ioctl_table[i].cmd == cmd)
			return ioctl_table[i];
	if (is_netdevice(cmd)) {
		d.arg = IA_INOUT;
		d.size = IFREQ_SIZE;
	} else if (dir && IOC_SIZE(cmd)) {
		d.arg = dir == IOC_WRITE ? IA_IN : dir == IOC_READ ? IA_OUT : IA_INOUT;
		d.size = (u16)IOC_SIZE(cmd);
	} else {
		d.arg = IA_CHANGED;
		d.size = UNKNOWN_SIZE;
	}
	return d;
}

static long do_ioctl(long fd, u32 cmd, unsigned long arg, bool quick)
{
	return quick ? host_syscall(__NR_ioctl, fd, cmd, arg) : hc_call(__NR_ioctl, fd, cmd, arg);
}

static bool usable(unsigned long addr)
{
	return addr && addr != HC_BAD_PTR && !IS_ERR_VALUE(addr);
}

/* A pointer within a copied structure: its target goes through a page of the kernel, both ways. */
static long ioctl_nested(struct native_task *t, struct hc_mem *mem, long fd, u32 cmd,
			 unsigned long uarg, u8 *copy, size_t size, unsigned long *ptr,
			 size_t target)
{
	unsigned long uptr = *ptr;
	u8 *buf = hc_alloc(mem, target + !target);
	size_t readable;
	long ret;

	if (!buf)
		return -ENOMEM;
	readable = target - copy_from_mm(t->task.mm, buf, uptr, target);
	memset(buf + readable, 0, target - readable);
	*ptr = uptr ? (unsigned long)buf : 0;
	ret = do_ioctl(fd, cmd, (unsigned long)copy, false);
	*ptr = uptr;
	if (ret < 0)
		return ret;
	if (copy_to_mm(t->task.mm, uarg, copy, size) ||
	    (uptr && copy_to_mm(t->task.mm, uptr, buf, readable)))
		return -EFAULT;
	return ret;
}

static long ioctl_ifconf(struct native_task *t, struct hc_mem *mem, long fd, u32 cmd,
			 unsigned long uarg)
{
	struct {
		s32 len, pad;
		unsigned long buf;
	} *conf = (void *)hc_in(t, mem, uarg, sizeof(*conf));

	if (!usable((unsigned long)conf))
		return do_ioctl(fd, cmd, (unsigned long)conf, false);
	if (conf->len < 0)
		conf->len = 0;
	conf->len = min(conf->len, 65536);
	return ioctl_nested(t, mem, fd, cmd, uarg, (u8 *)conf, sizeof(*conf), &conf->buf,
			    conf->buf ? (size_t)conf->len : 0);
}

static long ioctl_ifr_data(struct native_task *t, struct hc_mem *mem, long fd, u32 cmd,
			   unsigned long uarg)
{
	u8 *ifr = (u8 *)hc_in(t, mem, uarg, IFREQ_SIZE);

	if (!usable((unsigned long)ifr))
		return do_ioctl(fd, cmd, (unsigned long)ifr, false);
	return ioctl_nested(t, mem, fd, cmd, uarg, ifr, IFREQ_SIZE, (unsigned long *)(ifr + 16),
			    UNKNOWN_SIZE);
}

static long ioctl_string(struct native_task *t, struct hc_mem *mem, long fd, u32 cmd,
			 unsigned long uarg)
{
	unsigned long str = hc_string(t, mem, uarg);

	return str == (unsigned long)-ENOMEM ? -ENOMEM : do_ioctl(fd, cmd, str, false);
}

/* The length of what an ioctl takes, or 0 if it is more than is sensible. */
static size_t array_size(struct native_task *t, const struct ioctl_desc *d, unsigned long uarg)
{
	u32 n;

	if (copy_from_mm(t->task.mm, &n, uarg + d->count_at, sizeof(n)))
		return d->size;
	if (d->cmd == FIDEDUPERANGE)
		n &= 0xffff;
	return n > (HC_MAX_COPY - d->size) / d->elem ? 0 : d->size + (size_t)n * d->elem;
}

/* Descriptors of the machine, named inside. */
static void hide_reserved(u32 cmd, u8 *copy, size_t size)
{
	if (cmd == FICLONERANGE)
		*(s64 *)copy = hc_fd((unsigned long)*(s64 *)copy);
	if (cmd == FIDEDUPERANGE)
		for (size_t at = 24; at + 32 <= size; at += 32)
			*(s64 *)(copy + at) = hc_fd((unsigned long)*(s64 *)(copy + at));
}

static long ioctl_copied(struct native_task *t, struct hc_mem *mem, long fd,
			 const struct ioctl_desc *d, unsigned long uarg, size_t size)
{
	bool in = d->arg == IA_IN || d->arg == IA_INOUT || d->arg == IA_ARRAY;
	u8 *copy = hc_alloc(mem, 2 * size), *was = copy + size;
	size_t left;
	long ret;

	if (!copy)
		return -ENOMEM;
	left = copy_from_mm(t->task.mm, copy, uarg, size);
	if (in && left)
		return do_ioctl(fd, d->cmd, HC_BAD_PTR, d->quick);
	memset(copy + size - left, 0, left);
	memcpy(was, copy, size);
	hide_reserved(d->cmd, copy, size);
	ret = do_ioctl(fd, d->cmd, (unsigned long)copy, d->quick);
	if (d->arg == IA_IN || ret == -ERESTARTSYS)
		return ret;
	if (d->arg == IA_CHANGED || ret < 0) {
		size_t first = 0, end = size;

		while (first < size && copy[first] == was[first])
			first++;
		while (end > first && copy[end - 1] == was[end - 1])
			end--;
		left = copy_to_mm(t->task.mm, uarg + first, copy + first, end - first);
	} else {
		left = copy_to_mm(t->task.mm, uarg, copy, size);
	}
	return left && ret >= 0 ? -EFAULT : ret;
}

long hostcall_ioctl(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct ioctl_desc d = ioctl_lookup((u32)args[1]);
	size_t size = d.size;
	long fd = hc_fd(args[0]);
	struct hc_mem mem;
	long ret;

	(void)nr;
	if (d.arg == IA_VALUE)
		return do_ioctl(fd, d.cmd, args[2], d.quick);
	if (d.arg == IA_FD)
		return do_ioctl(fd, d.cmd, (unsigned long)hc_fd(args[2]), false);
	if (args[2] < mmap_min_addr)
		return do_ioctl(fd, d.cmd, args[2], d.quick);
	hc_mem_init(&mem);
	if (d.arg == IA_ARRAY)
		size = array_size(t, &d, args[2]);
	if (!size && d.arg != IA_STR)
		ret = -ENOMEM;
	else if (d.arg == IA_STR)
		ret = ioctl_string(t, &mem, fd, d.cmd, args[2]);
	else if (d.arg == IA_IFCONF)
		ret = ioctl_ifconf(t, &mem, fd, d.cmd, args[2]);
	else if (d.arg == IA_IFR_DATA)
		ret = ioctl_ifr_data(t, &mem, fd, d.cmd, args[2]);
	else
		ret = ioctl_copied(t, &mem, fd, &d, args[2], size);
	hc_mem_free(&mem);
	return ret;
}

/* ---- fcntl ------------------------------------------------------------------------------- */

enum {
	F_GETLK = 5,
	F_SETLK,
	F_SETLKW,
	F_SETOWN_EX = 15,
	F_GETOWN_EX,
	F_GETOWNER_UIDS,
	F_OFD_GETLK = 36,
	F_OFD_SETLK,
	F_OFD_SETLKW,
	F_DUPFD_QUERY = 1027,
	F_GET_RW_HINT = 1035,
	F_SET_RW_HINT,
	F_GET_FILE_RW_HINT,
	F_SET_FILE_RW_HINT,
};

#define FLOCK_SIZE 32

/* Bytes behind the third argument; 0: a number. */
static size_t fcntl_size(int cmd, bool *in, bool *out)
{
	*in = *out = true;
	switch (cmd) {
	case F_GETLK:
	case F_OFD_GETLK:
		return FLOCK_SIZE;
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		*out = false;
		return FLOCK_SIZE;
	case F_SETOWN_EX:
	case F_SET_RW_HINT:
	case F_SET_FILE_RW_HINT:
		*out = false;
		return 8;
	case F_GETOWN_EX:
	case F_GETOWNER_UIDS:
	case F_GET_RW_HINT:
	case F_GET_FILE_RW_HINT:
		*in = false;
		return 8;
	default:
		*in = *out = false;
		return 0;
	}
}

long hostcall_fcntl(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	int cmd = (int)args[1];
	unsigned long arg = args[2];
	long fd = hc_fd(args[0]), ret;
	bool in, out;
	size_t size = fcntl_size(cmd, &in, &out);
	u8 copy[FLOCK_SIZE] __aligned(8) = { 0 };

	if (!size) {
		if (cmd == F_DUPFD_QUERY)
			arg = (unsigned long)hc_fd(arg);
		return host_syscall(nr, fd, cmd, arg);
	}
	if (in && copy_from_mm(t->task.mm, copy, arg, size))
		return host_syscall(nr, fd, cmd, HC_BAD_PTR);
	if (cmd == F_SETLKW || cmd == F_OFD_SETLKW)
		ret = hc_call((long)nr, fd, cmd, copy);
	else
		ret = host_syscall(nr, fd, cmd, copy);
	if (out && ret >= 0 && copy_to_mm(t->task.mm, arg, copy, size))
		return -EFAULT;
	return ret;
}
