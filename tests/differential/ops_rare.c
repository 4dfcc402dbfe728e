/* SPDX-License-Identifier: MIT */
/*
 * ops_rare.c - steps with the calls that programs seldom make: locks, policies, barriers, seals, segments,
 * limits, and the memory of other processes.
 */
#include "difftest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mempolicy.h>
#include <signal.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static const int *pick_of(struct rng *r, const int *list, size_t n)
{
	return &list[below(r, n)];
}
#define PICK(r, list) (*pick_of(r, list, sizeof(list) / sizeof((list)[0])))

/* A range that a call may walk through, holes and all, without leaving its window. */
static void pick_range(struct rng *r, uintptr_t *addr, size_t *len)
{
	*addr = pick_addr(r);
	*len = pick_len(r);
	if (*addr + *len > *addr)
		*len = keep_in(*addr, *len < 1UL << 46 ? *len : 1UL << 45);
}

/* ---- Mappings of rare kinds ----------------------------------------------------------------- */

/* Flags that come with a price; what is refused is refused alike. */
static void op_mmap_flags(struct ctx *c)
{
	static const int flags[] = {
		MAP_LOCKED,
		MAP_POPULATE,
		MAP_POPULATE | MAP_NONBLOCK,
		MAP_LOCKED | MAP_NONBLOCK,
		MAP_GROWSDOWN,
		MAP_STACK,
		MAP_NORESERVE,
		MAP_32BIT,
		MAP_HUGETLB,
		MAP_HUGETLB | 21 << 26,
		MAP_SYNC,
		1 << 27,
		MAP_DENYWRITE | MAP_EXECUTABLE,
	};
	static const int types[] = {
		MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, 0, 7
	};
	struct rng *r = &c->rng;
	uintptr_t addr = pick_page(r);
	size_t len = (1 + below(r, 6)) * PAGE;
	int f = below(r, 3), type = PICK(r, types), fl = type | PICK(r, flags), fd = -1;
	bool anon = one_in(r, 2), fixed = one_in(r, 2);
	long got;

	/* Of files on disk, what it comes to depends on the file system. */
	if (fl & MAP_SYNC)
		f = F_MEMFD;
	/* Huge pages are refused by where they would lie, which is known in A alone. */
	if (fl & MAP_HUGETLB)
		addr = A_BASE + below(r, 8) * (below(r, 2) * PAGE);
	if (anon)
		fl |= MAP_ANONYMOUS;
	else
		fd = f == F_ODD ? files.odd_ro : files.fd[f];
	/* Where the kernel would place it is a matter of its random base. */
	if (!(fl & MAP_32BIT))
		fl |= fixed ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	len = keep_in(addr, len);
	say("%s %s %#lx fl %#x", anon ? "anon" : "file", pa(addr), len, fl);
	got = syscall(SYS_mmap, fl & MAP_32BIT ? 0 : addr, len, PROT_READ | PROT_WRITE, fl, fd, 0);
	if (got != -1 && fl & MAP_32BIT)
		say(" = %s", got >= 1L << 30 && got < 1L << 31 ? "low" : "high");
	else
		say(" = %s", got == -1 ? res(got) : pa(got));
	if (got != -1 && !in_window(got, len))
		syscall(SYS_munmap, got, len);
}

static void op_mlock2(struct ctx *c)
{
	static const int flags[] = { 0, 1, 1, 2, -1 };
	struct rng *r = &c->rng;
	int fl = PICK(r, flags);
	uintptr_t addr;
	size_t len;

	pick_range(r, &addr, &len);
	say("%s %#lx %d = ", pa(addr), len, fl);
	if (one_in(r, 2))
		say("%s", res(syscall(SYS_mlock2, addr, len, fl)));
	else
		say("un %s", res(syscall(SYS_munlock, addr, len)));
}

static void op_mlockall(struct ctx *c)
{
	static const int flags[] = { 0, MCL_ONFAULT, MCL_FUTURE, MCL_FUTURE | MCL_ONFAULT, 8 };
	int fl = PICK(&c->rng, flags);

	if (one_in(&c->rng, 2))
		say("un = %s", res(syscall(SYS_munlockall)));
	else
		say("%d = %s", fl, res(syscall(SYS_mlockall, fl)));
}

static void op_remap_file_pages(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_addr(r);
	size_t len = one_in(r, 16) ? pick_len(r) : (1 + below(r, 4)) * PAGE;
	unsigned long pgoff = one_in(r, 16) ? rnd(r) : below(r, 20);
	int prot = one_in(r, 16), flags = one_in(r, 2) ? MAP_NONBLOCK : 0;

	if (addr + len > addr)
		len = keep_in(addr, len);
	/* Of a removed segment Linux loses what it had already unmapped; Quire does not. */
	if (is_segment(addr)) {
		say("segment");
		return;
	}
	say("%s %#lx %d %#lx = ", pa(addr), len, prot, pgoff);
	say("%s", res(syscall(SYS_remap_file_pages, addr, len, prot, pgoff, flags)));
}

static void op_madvise_rare(struct ctx *c)
{
	static const int advice[] = {
		MADV_DONTNEED_LOCKED,
		MADV_DONTNEED_LOCKED,
		MADV_HUGEPAGE,
		MADV_NOHUGEPAGE,
		MADV_MERGEABLE,
		MADV_UNMERGEABLE,
		MADV_POPULATE_READ,
		MADV_POPULATE_WRITE,
		MADV_COLLAPSE,
		MADV_REMOVE,
		MADV_COLD,
		6,
		26,
	};
	struct rng *r = &c->rng;
	int a = PICK(r, advice);
	uintptr_t addr;
	size_t len;

	pick_range(r, &addr, &len);
	say("%d %s %#lx = ", a, pa(addr), len);
	say("%s", res(syscall(SYS_madvise, addr, len, a)));
}

/* ---- Policies and barriers ------------------------------------------------------------------ */

static void op_mbind(struct ctx *c)
{
	static const int modes[] = {
		MPOL_DEFAULT,	MPOL_DEFAULT, MPOL_DEFAULT, MPOL_BIND,		 MPOL_INTERLEAVE,
		MPOL_PREFERRED, MPOL_LOCAL,   MPOL_MAX + 3, MPOL_BIND | 1 << 15,
	};
	struct rng *r = &c->rng;
	int mode = PICK(r, modes);
	unsigned long mask = one_in(r, 4) ? below(r, 4) : mode != MPOL_DEFAULT;
	uintptr_t addr;
	size_t len;

	pick_range(r, &addr, &len);
	say("%#x %s %#lx %#lx = ", mode, pa(addr), len, mask);
	say("%s", res(syscall(SYS_mbind, addr, len, mode, &mask, 64, one_in(r, 16) ? 8 : 0)));
}

/* Of objects in memory Linux keeps policies by page of the object; Quire keeps those of mappings. */
static void op_get_mempolicy(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_addr(r);
	unsigned long flags = one_in(r, 16) ? 8 : MPOL_F_ADDR, mask = 0;
	int mode = -1;
	long n = syscall(SYS_get_mempolicy, &mode, &mask, 64, addr, flags);

	say("%s = %s", pa(addr), res(n));
	if (!n && is_private_anon(addr))
		say(" %#x %#lx", mode, mask);
}

static void op_membarrier(struct ctx *c)
{
	int cmd = one_in(&c->rng, 8) ? (int)rnd(&c->rng) : 1 << below(&c->rng, 7);

	/* Global barriers take the host milliseconds. */
	if (cmd == 1)
		cmd = 2;
	say("%#x = %s", cmd, res(syscall(SYS_membarrier, cmd, one_in(&c->rng, 16), 0)));
}

/* ---- Objects -------------------------------------------------------------------------------- */

/* A memfd of its own, mapped and sealed; what is mapped outlives the descriptor. */
static void op_seals(struct ctx *c)
{
	static const int seals[] = { F_SEAL_SHRINK,	F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_WRITE,
				     0x10 /* future */, 0x10,	     F_SEAL_SEAL,  0x100 };
	struct rng *r = &c->rng;
	int fd = memfd_create("sealed", one_in(r, 8) ? 0 : MFD_ALLOW_SEALING);
	unsigned long h = 7, n = 2 + below(r, 4);
	struct fault f;
	char buf[64];

	if (fd < 0 || ftruncate(fd, 4 * PAGE) < 0)
		die("memfd");
	for (unsigned long i = 0; i < n; i++) {
		uintptr_t addr = A_BASE + below(r, 44) * PAGE;
		int prot = one_in(r, 3) ? PROT_READ : PROT_READ | PROT_WRITE, s;
		long got;

		switch (below(r, 6)) {
		case 0:
		case 1:
			got = syscall(SYS_mmap, addr, 2 * PAGE, prot,
				      (one_in(r, 3) ? MAP_PRIVATE : MAP_SHARED) | MAP_FIXED, fd, 0);
			say(" map %s %d %s;", pa(addr), prot, got == -1 ? res(got) : "ok");
			if (got != -1 && safe_write(addr + 8, rnd(r), &f))
				say(" stored;");
			break;
		case 2:
		case 3:
			s = PICK(r, seals);
			say(" seal %#x %s;", s, res(fcntl(fd, F_ADD_SEALS, s)));
			break;
		case 4:
			say(" write %s;", res(pwrite(fd, "hello", 5, below(r, 4) * PAGE)));
			break;
		default:
			say(" size %s;", res(ftruncate(fd, (3 + below(r, 3)) * PAGE)));
		}
	}
	for (int i = 0; i < 4; i++) {
		long got = pread(fd, buf, sizeof(buf), i * PAGE);

		h = hash_bytes(buf, got > 0 ? got : 0, h);
	}
	say(" %#x hash %lx", fcntl(fd, F_GET_SEALS), h);
	close(fd);
}

/* A segment that lives as long as it is attached. */
static void op_shm(struct ctx *c)
{
	static const int flags[] = { 0, SHM_RDONLY, SHM_REMAP, SHM_REMAP | SHM_RND,
				     SHM_EXEC | SHM_REMAP };
	struct rng *r = &c->rng;
	int id = shmget(IPC_PRIVATE, (1 + below(r, 4)) * PAGE - below(r, 100), IPC_CREAT | 0600);
	uintptr_t addr = one_in(r, 8) ? pick_page(r) + 5 : A_BASE + below(r, 44) * PAGE;
	int fl = PICK(r, flags);
	long got;

	if (id < 0)
		die("shmget");
	got = syscall(SYS_shmat, id, addr, fl);
	say("at %s %#x = %s", pa(addr), fl, got == -1 ? res(got) : pa(got));
	shmctl(id, IPC_RMID, NULL);
	addr = pick_page(r);
	say(", dt %s = ", pa(addr));
	say("%s", res(syscall(SYS_shmdt, addr)));
}

/* ---- Other processes ------------------------------------------------------------------------ */

static struct iovec pick_iov(struct rng *r)
{
	struct iovec v = { (void *)pick_page(r), (1 + below(r, 250)) * 8 };

	if (one_in(r, 12))
		v.iov_base = (void *)pick_addr(r);
	if (one_in(r, 24))
		v.iov_len = one_in(r, 2) ? 0 : -1UL;
	else if (!in_window((uintptr_t)v.iov_base, v.iov_len))
		v.iov_len = 8;
	return v;
}

static void child_waits(int fd)
{
	char b;

	while (read(fd, &b, 1) < 0)
		;
}

/* A child stands still while its parent reads and writes in it; then it looks at itself. */
static void op_vm_child(struct ctx *c)
{
	struct rng *r = &c->rng;
	unsigned int rounds = 1 + below(r, 4);
	int go[2], st;
	pid_t pid;

	say_flush();
	if (pipe(go) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		close(go[1]);
		child_waits(go[0]);
		step_line(c, " child");
		say_contents(c, A_BASE, A_BASE + 48 * PAGE);
		say("\n");
		say_flush();
		_exit(0);
	}
	for (unsigned int i = 0; i < rounds; i++) {
		struct iovec local[2] = { pick_iov(r), pick_iov(r) };
		struct iovec remote[2] = { pick_iov(r), pick_iov(r) };
		bool in = one_in(r, 2);
		long n = syscall(in ? SYS_process_vm_readv : SYS_process_vm_writev, pid, local,
				 1 + one_in(r, 2), remote, 1 + one_in(r, 2), one_in(r, 24) ? 1 : 0);

		say(" %s %s %s: %s;", in ? "read" : "write", pa((uintptr_t)local[0].iov_base),
		    pa((uintptr_t)remote[0].iov_base), res(n));
	}
	say("\n");
	say_flush();
	close(go[1]);
	close(go[0]);
	waitpid(pid, &st, 0);
	step_line(c, "ended");
	say("%d", st);
}

/* Steps without the right to lock what one likes. */
static void op_fork_limited(struct ctx *c)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct d[2];
	unsigned int n = 1 + below(&c->rng, 10);
	unsigned long pages = below(&c->rng, 24);
	struct rlimit lim;
	struct ctx s;
	pid_t pid;
	int st;

	say("%lu\n", pages);
	say_flush();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		syscall(SYS_capget, &h, d);
		d[0].effective &= ~(1U << CAP_IPC_LOCK);
		syscall(SYS_capset, &h, d);
		getrlimit(RLIMIT_MEMLOCK, &lim);
		lim.rlim_cur = pages * PAGE;
		setrlimit(RLIMIT_MEMLOCK, &lim);
		for (unsigned int i = 0; i < n; i++) {
			if (one_in(&c->rng, 2)) {
				struct ctx l = *c;

				step_line(c, " lock");
				op_mlock2(&l);
				c->rng = l.rng;
				say("\n");
			}
			if (sub_step(c, &s, i))
				run_step(&s);
		}
		say_flush();
		_exit(0);
	}
	waitpid(pid, &st, 0);
	step_line(c, "limited");
	say("%d", st);
}

/* ---- Signals -------------------------------------------------------------------------------- */

static struct ctx *signal_ctx;

static void on_signal(int sig)
{
	struct ctx s;

	(void)sig;
	for (unsigned int i = 0; i < 3; i++)
		if (sub_step(signal_ctx, &s, i)) {
			s.allowed &= ~OP_PROC;
			run_step(&s);
		}
}

/*
 * A handler that takes steps; or one on a stack of its own in a window, of which only some pages are there. In
 * a child, which may die of it.
 */
static void op_signal(struct ctx *c)
{
	struct rng *r = &c->rng;
	bool windowed = one_in(r, 2);
	uintptr_t at = A_BASE + below(r, 32) * PAGE;
	static char own[1 << 16] __attribute__((aligned(64)));
	stack_t ss = { .ss_sp = windowed ? (void *)at : own,
		       .ss_size = windowed ? 16 * PAGE : sizeof(own) };
	pid_t pid;
	int st;

	say("%s\n", windowed ? pa(at) : "own");
	say_flush();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

		if (windowed) {
			unsigned long pages = below(r, 5);

			/* Private: what a frame looks like is not for others to see. */
			munmap((void *)at, 16 * PAGE);
			if (pages)
				mmap((void *)(at + (16 - pages) * PAGE), pages * PAGE,
				     PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			/* Nothing but the first steps of a handler: its frame is too large to be looked at. */
			struct sigaction quit = { .sa_handler = _exit, .sa_flags = SA_ONSTACK };

			sa = quit;
			signal(SIGSEGV, SIG_DFL);
			signal(SIGBUS, SIG_DFL);
		}
		signal_ctx = c;
		sigaltstack(&ss, NULL);
		sigaction(SIGUSR1, &sa, NULL);
		raise(SIGUSR1);
		say_flush();
		_exit(0);
	}
	waitpid(pid, &st, 0);
	step_line(c, "signalled");
	say("%#x", st);
}

const struct op rare_ops[] = {
	{ "mmap-flags", 30, OP_PLAIN, op_mmap_flags },
	{ "mlock2", 20, OP_PLAIN, op_mlock2 },
	{ "mlockall", 3, OP_PLAIN, op_mlockall },
	{ "remap-file-pages", 12, OP_PLAIN, op_remap_file_pages },
	{ "madvise-rare", 40, OP_PLAIN, op_madvise_rare },
	{ "mbind", 20, OP_PLAIN, op_mbind },
	{ "get-mempolicy", 10, OP_PLAIN, op_get_mempolicy },
	{ "membarrier", 3, OP_PLAIN, op_membarrier },
	{ "seals", 12, OP_PLAIN, op_seals },
	{ "shm", 12, OP_PLAIN, op_shm },
	{ "vm-child", 6, OP_PROC, op_vm_child },
	{ "fork-limited", 4, OP_PROC, op_fork_limited },
	{ "signal", 5, OP_PROC, op_signal },
	{ 0 },
};
