/* SPDX-License-Identifier: MIT */
/*
 * Every pointer and every length of the common system calls, each in turn bad in every way: what
 * the call says, what a call that went well has written, and what was consumed of pipes and sockets.
 * (What memory holds after an error is nobody's promise.)
 *
 *   name argument: result at each place
 *
 * Each call gets a process of its own, each trial new descriptors.
 */
#include "guest.h"

#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

/* ---- Descriptors, the same for each trial --------------------------------------------------- */

enum {
	FILE_FD = 3, /* 10000 bytes, at its beginning */
	PIPE_R, /* 100 bytes in it */
	PIPE_W,
	STREAM, /* 100 bytes in it */
	STREAM_PEER,
	DGRAM, /* two messages, of 40 and 60 bytes */
	DGRAM_PEER,
	DIR_FD,
	EPOLL, /* PIPE_R is ready in it */
	EVENT,
	TIMER,
	INOTIFY,
	LISTEN, /* one connection waits */
	SIGNALS, /* SIGUSR2 waits */
	ZERO,
	NULL_FD,
	MEMFD,
	OUT_R, /* an empty pipe */
	OUT_W,
	NR_FDS
};

static char text[10000];

static int at(int fd, int want)
{
	if (fd != want) {
		MUST(dup2(fd, want));
		close(fd);
	}
	return want;
}

static void pair_at(int *fds, int first)
{
	int b = MUST(fcntl(fds[1], F_DUPFD, 100));

	close(fds[1]);
	at(fds[0], first);
	at(b, first + 1);
}

static void fresh_fds(void)
{
	struct sockaddr_un un = { AF_UNIX, "sock" };
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0x1122334455667788 };
	sigset_t set;
	int fds[2];

	MUST(syscall(SYS_close_range, 3, ~0u, 0));
	at(MUST(memfd_create("file", 0)), FILE_FD);
	MUST(write(FILE_FD, text, sizeof(text)));
	lseek(FILE_FD, 0, SEEK_SET);
	MUST(pipe(fds));
	pair_at(fds, PIPE_R);
	MUST(write(PIPE_W, text, 100));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
	pair_at(fds, STREAM);
	MUST(write(STREAM_PEER, text, 100));
	MUST(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
	pair_at(fds, DGRAM);
	MUST(write(DGRAM_PEER, text, 40));
	MUST(write(DGRAM_PEER, text, 60));
	at(MUST(open("dir", O_RDONLY)), DIR_FD);
	at(MUST(epoll_create1(0)), EPOLL);
	MUST(epoll_ctl(EPOLL, EPOLL_CTL_ADD, PIPE_R, &ev));
	at(MUST(eventfd(5, EFD_NONBLOCK)), EVENT);
	at(MUST(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), TIMER);
	at(MUST(inotify_init1(IN_NONBLOCK)), INOTIFY);
	at(MUST(socket(AF_UNIX, SOCK_STREAM, 0)), LISTEN);
	unlink("sock");
	MUST(bind(LISTEN, (void *)&un, sizeof(un)));
	MUST(listen(LISTEN, 5));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	at(MUST(signalfd(-1, &set, SFD_NONBLOCK)), SIGNALS);
	kill(getpid(), SIGUSR2);
	at(MUST(open("/dev/zero", O_RDWR)), ZERO);
	at(MUST(open("/dev/null", O_RDWR)), NULL_FD);
	at(MUST(memfd_create("m", 0)), MEMFD);
	MUST(pipe(fds));
	pair_at(fds, OUT_R);
}

static int queued(int fd)
{
	int n = -1;

	ioctl(fd, FIONREAD, &n);
	return n;
}

/* What differs from fresh descriptors. */
static void print_state(void)
{
	long pos = lseek(FILE_FD, 0, SEEK_CUR), size = lseek(FILE_FD, 0, SEEK_END);
	int pipe = queued(PIPE_R), stream = queued(STREAM), dgram = queued(DGRAM);
	int out = queued(OUT_R), sent = queued(STREAM_PEER), msg = queued(DGRAM_PEER);

	if (pos)
		printf(" pos=%ld", pos);
	if (size != sizeof(text))
		printf(" size=%ld", size);
	if (pipe != 100)
		printf(" pipe=%d", pipe);
	if (stream != 100)
		printf(" stream=%d", stream);
	if (dgram != 40)
		printf(" dgram=%d", dgram);
	if (out > 0 || sent > 0 || msg > 0)
		printf(" out=%d/%d/%d", out, sent, msg);
}

/* ---- Calls ------------------------------------------------------------------------------------- */

enum kind {
	VAL,
	IN, /* size bytes as in init */
	OUT, /* size bytes to be written */
	LEN, /* a length: bad ones are tried as well */
};

struct arg {
	enum kind kind;
	unsigned long val; /* or size */
	const void *init;
};

/* A pointer within what argument `arg` points to, at byte off. */
struct nested {
	int arg, off;
	enum kind kind;
	size_t size;
	const void *init;
};

struct call {
	const char *name;
	long nr;
	int flags;
	struct arg arg[6];
	struct nested nested[4];
};

#define ANY_OUT 1 /* what it writes is different each time */
#define ANY_RESULT 2
#define NEW_FD 4

#define V(x)                                  \
	{                                     \
		VAL, (unsigned long)(x), NULL \
	}
#define I(object)                             \
	{                                     \
		IN, sizeof(object), &(object) \
	}
#define IO(object) I(object)
#define S(string)                          \
	{                                  \
		IN, sizeof(string), string \
	}
#define O(size)                   \
	{                         \
		OUT, (size), NULL \
	}
#define L(x)                   \
	{                      \
		LEN, (x), NULL \
	}
#define CALL(call, fl, ...)                             \
	{                                               \
#call, SYS_##call, fl, { __VA_ARGS__ }, \
		{                                       \
			{                               \
				0                       \
			}                               \
		}                                       \
	}
#define NCALL(name, call, fl, args, ...)    \
	{                                   \
		name, SYS_##call, fl, args, \
		{                           \
			__VA_ARGS__         \
		}                           \
	}
#define ARGS(...)           \
	{                   \
		__VA_ARGS__ \
	}

static struct timespec soon = { 0, 1000 }, none = { 0, 0 };
static struct itimerspec long_ahead = { { 0, 0 }, { 10000, 0 } };
static struct itimerval far_ahead = { { 0, 0 }, { 10000, 0 } };
static struct rlimit64 core_limit = { 0, 0 };
static uint64_t no_signals = 1ul << (SIGUSR2 - 1), zero64, off100 = 100;
static uint32_t word = 0, len16 = 16, len110 = 110, len4 = 4, groups[4];
static struct pollfd polls[3] = { { PIPE_R, POLLIN, 0 }, { OUT_R, POLLIN, 0 }, { -1, 0, 0 } };
static struct epoll_event event = { EPOLLIN, { .u64 = 5 } };
static struct sockaddr_un nowhere = { AF_UNIX, "no/such/socket" };
static struct iovec iov2[2] = { { NULL, 50 }, { NULL, 30 } };
static struct iovec iov3[3] = { { NULL, 50 }, { NULL, 0 }, { NULL, 6000 } };
static struct msghdr msg = { .msg_namelen = 110, .msg_iovlen = 2, .msg_controllen = 64 };
static struct msghdr plain_msg = { .msg_iovlen = 2 };
static struct mmsghdr mmsg[2] = { { { .msg_iovlen = 2 }, 0 }, { { .msg_iovlen = 2 }, 0 } };
static struct flock lock = { F_RDLCK, SEEK_SET, 0, 0, 0 };
static struct {
	int type, pid;
} owner = { 1, 0 };
static struct {
	uint32_t version;
	int pid;
} cap_header = { 0x20080522, 0 };
static struct {
	uint64_t flags, mode, resolve;
} how = { O_RDONLY, 0, 0 };
static struct {
	uint32_t size, policy;
	uint64_t rest[5];
} sched_attributes = { 48, 0, { 0 } };
static struct {
	void *set;
	size_t size;
} pselect_mask = { NULL, 8 };
static struct {
	unsigned int bytes;
	int type;
	char handle[128];
} file_handle = { 128, 0, "" };
static char *words[3];
static fd_set reads;
static struct {
	uint64_t val, uaddr;
	uint32_t flags, pad;
} waiter = { 1, 0, 2, 0 };
static struct {
	uint64_t off, len;
} range = { 0, 10000 };
static stack_t altstack = { NULL, SS_DISABLE, 0 };
static struct {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
} action;
static struct {
	uint64_t a[8];
} clone_arguments = { { ~0ul } };
static const char big[6000];

static const struct call calls[] = {
	CALL(read, 0, V(FILE_FD), O(100), L(100)),
	NCALL("read-large", read, 0, ARGS(V(FILE_FD), O(9000), L(9000))),
	NCALL("read-pipe", read, 0, ARGS(V(PIPE_R), O(100), L(100))),
	NCALL("read-stream", read, 0, ARGS(V(STREAM), O(100), L(100))),
	NCALL("read-dgram", read, 0, ARGS(V(DGRAM), O(100), L(100))),
	NCALL("read-event", read, 0, ARGS(V(EVENT), O(8), L(8))),
	NCALL("read-signal", read, ANY_OUT, ARGS(V(SIGNALS), O(128), L(128))),
	NCALL("read-zero", read, 0, ARGS(V(ZERO), O(300), V(300))),
	NCALL("read-proc", read, ANY_OUT | ANY_RESULT, ARGS(V(-1), O(300), V(300))),
	CALL(write, 0, V(FILE_FD), S("hello"), L(6)),
	NCALL("write-large", write, 0, ARGS(V(FILE_FD), I(big), L(6000))),
	NCALL("write-pipe", write, 0, ARGS(V(OUT_W), S("hello"), L(6))),
	NCALL("write-pipe-large", write, 0, ARGS(V(OUT_W), I(big), V(6000))),
	NCALL("write-stream", write, 0, ARGS(V(STREAM), S("hello"), V(6))),
	NCALL("write-stream-large", write, 0, ARGS(V(STREAM), I(big), V(6000))),
	NCALL("write-dgram", write, 0, ARGS(V(DGRAM), S("hello"), V(6))),
	NCALL("write-dgram-large", write, 0, ARGS(V(DGRAM), I(big), V(6000))),
	NCALL("write-event", write, 0, ARGS(V(EVENT), I(off100), L(8))),
	CALL(pread64, 0, V(FILE_FD), O(100), L(100), L(50)),
	CALL(pwrite64, 0, V(FILE_FD), S("hello"), L(6), L(50)),
	NCALL("readv", readv, 0, ARGS(V(FILE_FD), IO(iov2), L(2)), { 1, 0, OUT, 50, NULL },
	      { 1, 16, OUT, 30, NULL }),
	NCALL("readv-large", readv, 0, ARGS(V(FILE_FD), IO(iov3), L(3)), { 1, 0, OUT, 50, NULL },
	      { 1, 16, OUT, 1, NULL }, { 1, 32, OUT, 6000, NULL }),
	NCALL("readv-pipe", readv, 0, ARGS(V(PIPE_R), IO(iov2), L(2)), { 1, 0, OUT, 50, NULL },
	      { 1, 16, OUT, 30, NULL }),
	NCALL("writev", writev, 0, ARGS(V(FILE_FD), IO(iov2), L(2)), { 1, 0, IN, 50, text },
	      { 1, 16, IN, 30, text }),
	NCALL("writev-large", writev, 0, ARGS(V(FILE_FD), IO(iov3), L(3)), { 1, 0, IN, 50, text },
	      { 1, 16, IN, 1, text }, { 1, 32, IN, 6000, text }),
	NCALL("writev-pipe", writev, 0, ARGS(V(OUT_W), IO(iov2), L(2)), { 1, 0, IN, 50, text },
	      { 1, 16, IN, 30, text }),
	NCALL("preadv", preadv, 0, ARGS(V(FILE_FD), IO(iov2), L(2), V(10), V(0)),
	      { 1, 0, OUT, 50, NULL }, { 1, 16, OUT, 30, NULL }),
	NCALL("pwritev", pwritev, 0, ARGS(V(FILE_FD), IO(iov2), L(2), V(10), V(0)),
	      { 1, 0, IN, 50, text }, { 1, 16, IN, 30, text }),
	NCALL("preadv2", preadv2, 0, ARGS(V(FILE_FD), IO(iov2), L(2), V(-1), V(-1), L(0)),
	      { 1, 0, OUT, 50, NULL }, { 1, 16, OUT, 30, NULL }),
	NCALL("pwritev2", pwritev2, 0, ARGS(V(FILE_FD), IO(iov2), L(2), V(-1), V(-1), L(0)),
	      { 1, 0, IN, 50, text }, { 1, 16, IN, 30, text }),
	NCALL("vmsplice", vmsplice, 0, ARGS(V(OUT_W), IO(iov2), L(2), V(0)), { 1, 0, IN, 50, text },
	      { 1, 16, IN, 30, text }),
	CALL(sendto, 0, V(DGRAM), S("hello"), L(6), V(0), V(0), V(0)),
	NCALL("sendto-name", sendto, 0,
	      ARGS(V(DGRAM), S("hello"), V(6), V(0), I(nowhere), L(sizeof(nowhere)))),
	NCALL("recvfrom", recvfrom, 0, ARGS(V(DGRAM), O(100), L(100), V(0), O(110), IO(len110))),
	NCALL("recvfrom-stream", recvfrom, 0, ARGS(V(STREAM), O(100), L(100), V(0), V(0), V(0))),
	NCALL("recvfrom-peek", recvfrom, 0,
	      ARGS(V(STREAM), O(100), V(100), V(MSG_PEEK), V(0), V(0))),
	NCALL("sendmsg", sendmsg, 0, ARGS(V(DGRAM), IO(plain_msg), V(0)),
	      { 1, offsetof(struct msghdr, msg_iov), IN, sizeof(iov2), NULL }),
	NCALL("recvmsg", recvmsg, 0, ARGS(V(DGRAM), IO(msg), V(0)),
	      { 1, offsetof(struct msghdr, msg_name), OUT, 110, NULL },
	      { 1, offsetof(struct msghdr, msg_control), OUT, 64, NULL },
	      { 1, offsetof(struct msghdr, msg_iov), IN, sizeof(iov2), NULL }),
	NCALL("sendmmsg", sendmmsg, 0, ARGS(V(DGRAM), IO(mmsg), L(2), V(0)),
	      { 1, offsetof(struct msghdr, msg_iov), IN, sizeof(iov2), NULL },
	      { 1, sizeof(struct mmsghdr) + offsetof(struct msghdr, msg_iov), IN, sizeof(iov2),
		NULL }),
	NCALL("recvmmsg", recvmmsg, 0, ARGS(V(DGRAM), IO(mmsg), L(2), V(MSG_DONTWAIT), IO(none)),
	      { 1, offsetof(struct msghdr, msg_iov), IN, sizeof(iov2), NULL },
	      { 1, sizeof(struct mmsghdr) + offsetof(struct msghdr, msg_iov), IN, sizeof(iov2),
		NULL }),
	CALL(connect, 0, V(STREAM), I(nowhere), L(sizeof(nowhere))),
	CALL(bind, 0, V(DGRAM), I(nowhere), L(sizeof(nowhere))),
	CALL(getsockname, 0, V(LISTEN), O(110), IO(len110)),
	CALL(getpeername, 0, V(STREAM), O(110), IO(len110)),
	CALL(setsockopt, 0, V(STREAM), V(SOL_SOCKET), V(SO_RCVLOWAT), I(len16), L(4)),
	CALL(getsockopt, 0, V(STREAM), V(SOL_SOCKET), V(SO_TYPE), O(4), IO(len4)),
	NCALL("getsockopt-cred", getsockopt, ANY_OUT,
	      ARGS(V(STREAM), V(SOL_SOCKET), V(SO_PEERCRED), O(12), IO(len16))),
	CALL(socketpair, 0, V(AF_UNIX), V(SOCK_STREAM), V(0), O(8)),
	CALL(pipe, 0, O(8)),
	CALL(pipe2, 0, O(8), L(0)),
	CALL(open, NEW_FD, S("file"), V(O_RDONLY), V(0)),
	CALL(openat, NEW_FD, V(AT_FDCWD), S("file"), V(O_RDONLY), V(0)),
	NCALL("openat2", openat2, NEW_FD, ARGS(V(AT_FDCWD), S("file"), I(how), L(24))),
	CALL(creat, NEW_FD, S("made"), V(0600)),
	CALL(stat, ANY_OUT, S("file"), O(144)),
	CALL(fstat, ANY_OUT, V(FILE_FD), O(144)),
	CALL(lstat, ANY_OUT, S("file"), O(144)),
	CALL(newfstatat, ANY_OUT, V(AT_FDCWD), S("file"), O(144), V(0)),
	CALL(statx, ANY_OUT, V(AT_FDCWD), S("file"), V(0), V(0x7ff), O(256)),
	CALL(statfs, ANY_OUT, S("."), O(120)),
	CALL(fstatfs, ANY_OUT, V(FILE_FD), O(120)),
	CALL(access, 0, S("file"), V(0)),
	CALL(faccessat, 0, V(AT_FDCWD), S("file"), V(0)),
	CALL(faccessat2, 0, V(AT_FDCWD), S("file"), V(0), V(0)),
	CALL(readlink, 0, S("link"), O(100), L(100)),
	CALL(readlinkat, 0, V(AT_FDCWD), S("link"), O(100), L(100)),
	CALL(getcwd, ANY_OUT | ANY_RESULT, O(1000), L(1000)),
	CALL(getdents64, ANY_OUT, V(DIR_FD), O(1000), L(1000)),
	CALL(getdents, ANY_OUT, V(DIR_FD), O(1000), L(1000)),
	CALL(chdir, 0, S(".")),
	CALL(mkdir, 0, S("dir"), V(0700)),
	CALL(mkdirat, 0, V(AT_FDCWD), S("dir"), V(0700)),
	CALL(rmdir, 0, S("no")),
	CALL(unlink, 0, S("no")),
	CALL(unlinkat, 0, V(AT_FDCWD), S("no"), V(0)),
	CALL(rename, 0, S("no"), S("nope")),
	CALL(renameat2, 0, V(AT_FDCWD), S("no"), V(AT_FDCWD), S("nope"), V(0)),
	CALL(link, 0, S("no"), S("nope")),
	CALL(linkat, 0, V(AT_FDCWD), S("no"), V(AT_FDCWD), S("nope"), V(0)),
	CALL(symlink, 0, S("no"), S("file")),
	CALL(symlinkat, 0, S("no"), V(AT_FDCWD), S("file")),
	CALL(chmod, 0, S("file"), V(0600)),
	CALL(fchmodat, 0, V(AT_FDCWD), S("file"), V(0600)),
	CALL(chown, 0, S("file"), V(-1), V(-1)),
	CALL(lchown, 0, S("file"), V(-1), V(-1)),
	CALL(truncate, 0, S("no"), V(0)),
	CALL(utime, 0, S("file"), I(off100)),
	CALL(utimes, 0, S("file"), I(far_ahead)),
	CALL(utimensat, 0, V(AT_FDCWD), S("file"), I(far_ahead), V(0)),
	CALL(memfd_create, NEW_FD, S("name"), L(0)),
	CALL(mount, 0, S("no"), S("no/dir"), S("nofs"), V(0), V(0)),
	CALL(umount2, 0, S("no/dir"), V(0)),
	CALL(setxattr, 0, S("file"), S("user.a"), S("value"), L(5), V(0)),
	CALL(getxattr, 0, S("file"), S("user.a"), O(5), L(5)),
	CALL(fgetxattr, 0, V(FILE_FD), S("user.none"), O(5), L(5)),
	CALL(listxattr, 0, S("file"), O(100), L(100)),
	CALL(removexattr, 0, S("file"), S("user.none")),
	CALL(name_to_handle_at, ANY_OUT, V(AT_FDCWD), S("file"), IO(file_handle), O(4), V(0)),
	CALL(inotify_add_watch, 0, V(INOTIFY), S("file"), V(IN_OPEN)),
	CALL(uname, ANY_OUT, O(390)),
	CALL(sysinfo, ANY_OUT, O(112)),
	CALL(times, ANY_OUT | ANY_RESULT, O(32)),
	CALL(time, ANY_OUT | ANY_RESULT, O(8)),
	CALL(gettimeofday, ANY_OUT, O(16), O(8)),
	CALL(clock_gettime, ANY_OUT, V(CLOCK_MONOTONIC), O(16)),
	CALL(clock_getres, 0, V(CLOCK_MONOTONIC), O(16)),
	CALL(nanosleep, 0, I(soon), O(16)),
	CALL(clock_nanosleep, 0, V(CLOCK_MONOTONIC), V(0), I(soon), O(16)),
	CALL(getitimer, 0, V(ITIMER_VIRTUAL), O(32)),
	CALL(setitimer, ANY_OUT, V(ITIMER_VIRTUAL), I(far_ahead), O(32)),
	CALL(timer_create, ANY_OUT, V(CLOCK_MONOTONIC), V(0), O(4)),
	CALL(timerfd_settime, 0, V(TIMER), V(0), I(long_ahead), O(32)),
	CALL(timerfd_gettime, 0, V(TIMER), O(32)),
	CALL(getrusage, ANY_OUT, V(RUSAGE_SELF), O(144)),
	CALL(getrlimit, ANY_OUT, V(RLIMIT_NOFILE), O(16)),
	NCALL("getrlimit-as", getrlimit, ANY_OUT, ARGS(V(RLIMIT_AS), O(16))),
	CALL(setrlimit, 0, V(RLIMIT_CORE), I(core_limit)),
	CALL(prlimit64, ANY_OUT, V(0), V(RLIMIT_CORE), I(core_limit), O(16)),
	NCALL("prlimit64-as", prlimit64, ANY_OUT, ARGS(V(0), V(RLIMIT_AS), V(0), O(16))),
	CALL(getgroups, ANY_RESULT | ANY_OUT, L(0), O(64)),
	CALL(setgroups, 0, L(4), I(groups)),
	CALL(getresuid, 0, O(4), O(4), O(4)),
	CALL(getresgid, 0, O(4), O(4), O(4)),
	CALL(capget, ANY_OUT, IO(cap_header), O(24)),
	CALL(sched_getparam, 0, V(0), O(4)),
	CALL(sched_setparam, 0, V(0), I(word)),
	CALL(sched_setscheduler, 0, V(0), V(0), I(word)),
	CALL(sched_rr_get_interval, ANY_OUT, V(0), O(16)),
	CALL(sched_getaffinity, ANY_RESULT | ANY_OUT, V(0), L(128), O(128)),
	CALL(sched_getattr, ANY_OUT, V(0), O(48), L(48), V(0)),
	CALL(sched_setattr, 0, V(0), IO(sched_attributes), V(0)),
	CALL(getcpu, ANY_OUT, O(4), O(4), V(0)),
	CALL(arch_prctl, ANY_OUT, V(0x1003), O(8)),
	NCALL("prctl-name", prctl, 0, ARGS(V(16), O(16), V(0), V(0), V(0))),
	NCALL("prctl-set-name", prctl, 0, ARGS(V(15), S("badptr"), V(0), V(0), V(0))),
	NCALL("prctl-deathsig", prctl, 0, ARGS(V(2), O(4), V(0), V(0), V(0))),
	CALL(poll, 0, IO(polls), L(3), V(0)),
	CALL(ppoll, 0, IO(polls), L(3), IO(none), I(no_signals), L(8)),
	CALL(select, 0, V(64), IO(reads), V(0), V(0), IO(none)),
	NCALL("pselect6", pselect6, 0,
	      ARGS(V(64), IO(reads), V(0), V(0), IO(none), I(pselect_mask)),
	      { 5, 0, IN, 8, &no_signals }),
	CALL(epoll_wait, 0, V(EPOLL), O(36), L(3), V(0)),
	CALL(epoll_pwait, 0, V(EPOLL), O(36), L(3), V(0), I(no_signals), L(8)),
	CALL(epoll_pwait2, 0, V(EPOLL), O(36), L(3), I(none), I(no_signals), L(8)),
	CALL(epoll_ctl, 0, V(EPOLL), V(EPOLL_CTL_MOD), V(PIPE_R), I(event)),
	CALL(accept4, 0, V(STREAM), O(110), IO(len110), V(0)),
	CALL(sendfile, 0, V(OUT_W), V(FILE_FD), IO(off100), L(50)),
	CALL(splice, 0, V(FILE_FD), IO(off100), V(OUT_W), V(0), L(50), V(0)),
	CALL(copy_file_range, 0, V(FILE_FD), IO(off100), V(MEMFD), IO(zero64), L(50), V(0)),
	NCALL("fcntl-getlk", fcntl, 0, ARGS(V(FILE_FD), V(F_GETLK), IO(lock))),
	NCALL("fcntl-setlk", fcntl, 0, ARGS(V(FILE_FD), V(F_SETLK), I(lock))),
	NCALL("fcntl-setown", fcntl, 0, ARGS(V(PIPE_R), V(15), I(owner))),
	NCALL("fcntl-getown", fcntl, 0, ARGS(V(PIPE_R), V(16), O(8))),
	NCALL("ioctl-fionread", ioctl, 0, ARGS(V(PIPE_R), V(FIONREAD), O(4))),
	NCALL("ioctl-fionbio", ioctl, 0, ARGS(V(PIPE_R), V(FIONBIO), I(word))),
	NCALL("ioctl-tcgets", ioctl, 0, ARGS(V(FILE_FD), V(TCGETS), O(36))),
	NCALL("ioctl-getflags", ioctl, ANY_OUT, ARGS(V(PIPE_R), V(0x80086601), O(8))),
	CALL(rt_sigaction, ANY_OUT, V(SIGUSR1), I(action), O(32), L(8)),
	CALL(rt_sigprocmask, 0, V(SIG_BLOCK), I(no_signals), O(8), L(8)),
	CALL(rt_sigpending, 0, O(8), L(8)),
	CALL(rt_sigtimedwait, ANY_OUT, I(no_signals), O(128), I(none), L(8)),
	CALL(signalfd4, 0, V(SIGNALS), I(no_signals), L(8), V(0)),
	CALL(sigaltstack, 0, I(altstack), O(24)),
	CALL(wait4, 0, V(-1), O(4), V(WNOHANG), O(144)),
	CALL(waitid, 0, V(P_ALL), V(0), O(128), V(WNOHANG | WEXITED), O(144)),
	NCALL("futex-wait", futex, 0, ARGS(IO(word), V(0), V(1), I(none), V(0), V(0))),
	NCALL("futex-wake", futex, 0, ARGS(IO(word), V(1), V(1), V(0), V(0), V(0))),
	NCALL("futex-requeue", futex, 0, ARGS(IO(word), V(4), V(1), V(1), IO(word), V(0))),
	NCALL("futex-wake-op", futex, 0, ARGS(IO(word), V(5), V(1), V(1), IO(word), V(0))),
	NCALL("futex_waitv", futex_waitv, 0, ARGS(I(waiter), L(1), V(0), I(none), V(1)),
	      { 0, 8, IN, 4, &word }),
	CALL(set_robust_list, 0, O(24), L(24)),
	CALL(get_robust_list, ANY_OUT, V(0), O(8), O(8)),
	CALL(mincore, 0, V(0), L(0), O(1)),
	CALL(get_mempolicy, 0, O(4), O(8), L(64), V(0), V(0)),
	CALL(set_mempolicy, 0, V(0), V(0), L(0)),
	NCALL("process_vm_readv", process_vm_readv, 0,
	      ARGS(V(-1), IO(iov2), L(2), IO(iov2), L(2), V(0)), { 1, 0, OUT, 50, NULL },
	      { 1, 16, OUT, 30, NULL }, { 3, 0, IN, 50, text }, { 3, 16, IN, 30, text }),
	NCALL("process_vm_writev", process_vm_writev, 0,
	      ARGS(V(-1), IO(iov2), L(2), IO(iov2), L(2), V(0)), { 1, 0, IN, 50, text },
	      { 1, 16, IN, 30, text }, { 3, 0, OUT, 50, NULL }, { 3, 16, OUT, 30, NULL }),
	CALL(getrandom, ANY_OUT, O(100), L(100), V(0)),
	NCALL("getrandom-large", getrandom, ANY_OUT, ARGS(O(6000), L(6000), V(0))),
	NCALL("execve", execve, 0, ARGS(S("no/program"), I(words), I(words)),
	      { 1, 0, IN, 5, "word" }, { 2, 8, IN, 5, "word" }),
	CALL(clone3, 0, I(clone_arguments), L(64)),
	CALL(cachestat, ANY_OUT, V(FILE_FD), I(range), O(40), V(0)),
	CALL(pidfd_send_signal, 0, V(FILE_FD), V(0), I(no_signals), V(0)),
};

/* ---- Places ------------------------------------------------------------------------------------ */

enum place {
	GOOD, /* up to the end of a page; nothing behind it */
	NULLPTR,
	UNMAPPED,
	READ_ONLY,
	NO_ACCESS,
	KERNEL_TEXT, /* where quire's own kernel is */
	KERNEL_RAM,
	NON_CANONICAL,
	MINUS_ONE,
	TOP, /* of user space */
	LAST_BYTE, /* of a page; nothing behind it */
	HALF,
	BEFORE, /* begins in nothing */
	INTO_READ_ONLY, /* the second half is read-only */
	NR_PLACES
};

#define NR_AREAS 12
#define AREA_PAGES 8 /* 3 without, 3 read-write, 1 read-only, 1 without */

static char *areas;

static char *area_end(int i)
{
	return areas + ((size_t)i * AREA_PAGES + 6) * PAGE;
}

static void fresh_areas(void)
{
	const size_t size = (size_t)NR_AREAS * AREA_PAGES * PAGE;

	areas = MUST(mmap((void *)0x500000000000, size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0));
	for (int i = 0; i < NR_AREAS; i++) {
		char *end = area_end(i);

		MUST(mprotect(end - 3 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE));
		memset(end - 3 * PAGE, 0xa5, 3 * PAGE);
	}
}

static void put(char *p, enum kind kind, size_t size, const void *init, size_t from)
{
	if (kind == IN && init)
		memcpy(p, (const char *)init + from, size - from);
}

/* The address of `size` bytes at a place of area i, contents and all. */
static unsigned long place(int i, enum place where, enum kind kind, size_t size, const void *init)
{
	char *end = area_end(i);

	switch (where) {
	case NULLPTR:
		return 0;
	case UNMAPPED:
	case NO_ACCESS:
		if (where == UNMAPPED)
			munmap(end + PAGE, PAGE);
		return (unsigned long)end + PAGE;
	case READ_ONLY:
		put(end - size, kind, size, init, 0);
		MUST(mprotect(end - 3 * PAGE, 3 * PAGE, PROT_READ));
		return (unsigned long)end - size;
	case KERNEL_TEXT:
		return 0x680000001000;
	case KERNEL_RAM:
		return 0x690000100000;
	case NON_CANONICAL:
		return 0x8000000000000000;
	case MINUS_ONE:
		return -1ul;
	case TOP:
		return 0x7ffffffff000 - 4;
	case LAST_BYTE:
		put(end - 1, kind, 1, init, 0);
		return (unsigned long)end - 1;
	case HALF:
		put(end - size / 2, kind, size / 2, init, 0);
		return (unsigned long)end - size / 2;
	case BEFORE:
		return (unsigned long)end - 3 * PAGE - size / 2;
	case INTO_READ_ONLY:
		MUST(mprotect(end, PAGE, PROT_READ | PROT_WRITE));
		put(end - size / 2, kind, size, init, 0);
		MUST(mprotect(end, PAGE, PROT_READ));
		return (unsigned long)end - size / 2;
	default:
		put(end - size, kind, size, init, 0);
		return (unsigned long)end - size;
	}
}

static uint32_t hash_area(int i)
{
	const char *end = area_end(i);
	uint64_t h = 1, bits;

	for (const char *p = end - 3 * PAGE; p < end; p += sizeof(bits)) {
		memcpy(&bits, p, sizeof(bits));
		h = (h ^ bits) * 0x9e3779b97f4a7c15ul;
		h ^= h >> 32;
	}
	return (uint32_t)h;
}

/* ---- A trial ------------------------------------------------------------------------------------ */

static const unsigned long bad_lengths[] = { 0,
					     1,
					     7,
					     1024,
					     1025,
					     0x7fffffff,
					     0x80000000,
					     0xffffffff,
					     0x7ffff000,
					     1ul << 47,
					     0x7fffffffffffffff,
					     -1ul };

/* Argument or (from 6 on) nested pointer `which` is at `where`, or is the length `len`. */
static void trial(const struct call *c, int which, enum place where, const unsigned long *len)
{
	unsigned long a[6];
	uint32_t before[NR_AREAS];
	long ret;

	fresh_fds();
	fresh_areas();
	for (int i = 0; i < 6; i++) {
		const struct arg *arg = &c->arg[i];

		a[i] = arg->val;
		if (arg->kind == LEN && which == i && len)
			a[i] = *len;
		if (arg->kind == IN || arg->kind == OUT)
			a[i] = place(i, which == i ? where : GOOD, arg->kind, arg->val, arg->init);
	}
	if (c->nr == SYS_process_vm_readv || c->nr == SYS_process_vm_writev)
		a[0] = (unsigned long)getpid();
	if (c->nr == SYS_read && (int)a[0] < 0)
		a[0] = (unsigned long)MUST(open("/proc/self/status", O_RDONLY));
	for (int i = 0; i < 4 && c->nested[i].size; i++) {
		const struct nested *n = &c->nested[i];
		unsigned long p;
		struct iovec iov[2];
		const void *init = n->init;

		if (n->kind == IN && !init) { /* an array of buffers */
			iov[0] = (struct iovec){ text, 50 };
			iov[1] = (struct iovec){ text + 50, 30 };
			init = iov;
		}
		p = place(6 + i, which == 6 + i ? where : GOOD, n->kind, n->size, init);
		if (which != n->arg || where == GOOD)
			memcpy((char *)a[n->arg] + n->off, &p, sizeof(p));
	}
	for (int i = 0; i < NR_AREAS; i++)
		before[i] = hash_area(i);
	ret = syscall(c->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (ret == -1)
		printf(" %s", strerrorname_np(errno));
	else if (c->flags & ANY_RESULT)
		printf(" ok");
	else
		printf(" %ld", ret);
	for (int i = 0; ret != -1 && i < NR_AREAS; i++) {
		uint32_t now = hash_area(i);

		if (now != before[i] && c->flags & ANY_OUT)
			printf(" *%d", i);
		else if (now != before[i])
			printf(" *%d:%x", i, now);
	}
	print_state();
	printf(",");
}

static void try_pointer(const struct call *c, int which)
{
	printf("%s %d:", c->name, which);
	for (enum place p = GOOD; p < NR_PLACES; p++)
		trial(c, which, p, NULL);
	printf("\n");
}

static void try_length(const struct call *c, int which)
{
	printf("%s %d, lengths:", c->name, which);
	for (size_t i = 0; i < sizeof(bad_lengths) / sizeof(bad_lengths[0]); i++)
		trial(c, which, GOOD, &bad_lengths[i]);
	printf("\n");
}

static void try_call(const struct call *c)
{
	for (int i = 0; i < 6; i++) {
		if (c->arg[i].kind == IN || c->arg[i].kind == OUT)
			try_pointer(c, i);
		else if (c->arg[i].kind == LEN)
			try_length(c, i);
	}
	for (int i = 0; i < 4 && c->nested[i].size; i++)
		try_pointer(c, 6 + i);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	sigset_t set;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i % 251);
	FD_SET(PIPE_R, &reads);
	FD_SET(OUT_R, &reads);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	MUST(mkdir("dir", 0700));
	close(MUST(open("file", O_RDWR | O_CREAT, 0600)));
	MUST(symlink("where it leads", "link"));
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int st;
		pid_t pid;

		if (argc > 1 && strcmp(argv[1], calls[i].name))
			continue;
		pid = split();
		if (!pid) {
			signal(SIGPIPE, SIG_IGN);
			alarm(20);
			try_call(&calls[i]);
			_exit(0);
		}
		st = wait_for(pid);
		if (st)
			printf("%s: status %x\n", calls[i].name, st);
	}
	return 0;
}
