/* SPDX-License-Identifier: MIT */
/*
 * ops_map.c - steps that change mappings, and steps that touch them.
 */
#include "difftest.h"

#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

/* Raw calls: libc checks some arguments itself. */
static long sys_mmap(uintptr_t addr, size_t len, int prot, int flags, int fd, long off)
{
	return syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

static long sys_munmap(uintptr_t addr, size_t len)
{
	if (opt.lie == 2 && len >= 2 * PAGE && !(len % PAGE) && in_window(addr, len))
		len -= PAGE;
	return syscall(SYS_munmap, addr, len);
}

static long sys_mprotect(uintptr_t addr, size_t len, int prot)
{
	if (opt.lie == 4 && prot == PROT_NONE)
		prot = PROT_READ;
	return syscall(SYS_mprotect, addr, len, prot);
}

static long sys_madvise(uintptr_t addr, size_t len, int advice)
{
	if (opt.lie == 1 && advice == MADV_DONTNEED && in_window(addr, len))
		return 0;
	return syscall(SYS_madvise, addr, len, advice);
}

/* With protection keys PROT_EXEC alone means execute-only, without them it is readable. */
static bool have_pkeys(void)
{
	unsigned int a, b, c = 0, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & 1 << 4);
}

static int pick_prot(struct rng *r)
{
	switch (below(r, 16)) {
	case 0:
		return PROT_NONE;
	case 1:
	case 2:
		return PROT_READ;
	case 3:
		return PROT_READ | PROT_EXEC;
	case 4:
		return PROT_READ | PROT_WRITE | PROT_EXEC;
	case 5:
		return PROT_WRITE;
	case 6:
		return have_pkeys() ? PROT_READ : PROT_EXEC;
	default:
		return PROT_READ | PROT_WRITE;
	}
}

static void say_prot(int prot)
{
	say(" %c%c%c", prot & PROT_READ ? 'r' : '-', prot & PROT_WRITE ? 'w' : '-',
	    prot & PROT_EXEC ? 'x' : '-');
	if (prot & ~7)
		say("+%#x", prot & ~7);
}

/* What the kernel put outside of the windows is taken away again. */
static void settle(long r, size_t len)
{
	if (r != -1 && !in_window(r, len))
		syscall(SYS_munmap, r, len);
}

struct map_args {
	uintptr_t addr;
	size_t len;
	int prot;
	int flags;
	int fd;
	long off;
	const char *what;
};

static void choose_backing(struct rng *r, struct map_args *m)
{
	static const char *const names[] = { "shared", "odd", "memfd" };
	bool shared = one_in(r, 2);
	int f;

	m->flags = shared ? MAP_SHARED : MAP_PRIVATE;
	m->fd = -1;
	m->off = 0;
	switch (below(r, 8)) {
	case 0:
	case 1:
	case 2:
		m->flags = MAP_PRIVATE | MAP_ANONYMOUS;
		m->what = "anon";
		return;
	case 3:
		m->flags |= MAP_ANONYMOUS;
		m->what = shared ? "shared-anon" : "anon";
		return;
	case 4:
		if (one_in(r, 4)) {
			m->fd = files.zero;
			m->what = "zero";
			return;
		}
		/* fall through */
	default:
		f = below(r, 3);
		m->what = names[f];
		m->fd = f == F_ODD ? files.odd_ro : files.fd[f];
		m->off = below(r, 20) * PAGE;
	}
}

static void choose_place(struct rng *r, struct map_args *m)
{
	m->addr = pick_page(r);
	switch (below(r, 8)) {
	case 0:
	case 1:
		m->addr = 0;
		break;
	case 2:
		break; /* a hint */
	case 3:
		m->flags |= MAP_FIXED_NOREPLACE;
		break;
	default:
		m->flags |= MAP_FIXED;
	}
	if (one_in(r, 24))
		m->addr += 1 + below(r, PAGE - 1);
}

/* One argument of an otherwise reasonable call is made wrong. */
static void choose_hostile(struct rng *r, struct map_args *m)
{
	switch (below(r, 16)) {
	case 0:
		m->len = 0;
		break;
	case 1:
		m->len = -PAGE;
		break;
	case 2:
		m->len = 1UL << 47;
		break;
	case 3:
		m->len = (1UL << 63) + PAGE;
		break;
	case 4:
		m->fd = 999;
		break;
	case 5:
		m->fd = files.dir;
		m->flags &= ~MAP_ANONYMOUS;
		break;
	case 6:
		m->fd = files.wronly;
		m->flags &= ~MAP_ANONYMOUS;
		break;
	case 7:
		m->fd = files.pipe[0];
		m->flags &= ~MAP_ANONYMOUS;
		break;
	case 8:
		m->off += 1 + below(r, PAGE - 1);
		break;
	case 9:
		m->off = 0x7ffffffffffff000L;
		break;
	case 10:
		m->off = -(long)PAGE;
		break;
	case 11:
		m->flags &= ~MAP_TYPE;
		break;
	case 12:
		m->flags |= MAP_TYPE;
		break;
	case 13:
		m->addr = 1UL << 47;
		break;
	case 14:
		m->addr = (1UL << 47) - PAGE;
		m->flags |= MAP_FIXED;
		m->len = 2 * PAGE;
		break;
	case 15:
		m->addr = 0x8000000000000000UL;
		m->flags |= MAP_FIXED;
		break;
	}
}

/* A long mapping could take a THP-aligned place, which no promise of Linux covers. */
static void op_mmap(struct ctx *c)
{
	struct rng *r = &c->rng;
	struct map_args m;
	bool hostile = one_in(r, 16);
	long got;

	choose_backing(r, &m);
	choose_place(r, &m);
	m.len = one_in(r, 2) ? pick_len(r) : (1 + below(r, 24)) * PAGE;
	m.prot = pick_prot(r);
	if (one_in(r, 12))
		m.flags |= MAP_POPULATE;
	if (one_in(r, 16))
		m.flags |= MAP_NORESERVE;
	if (hostile)
		choose_hostile(r, &m);
	if (m.flags & MAP_FIXED)
		m.len = keep_in(m.addr & ~(PAGE - 1), m.len);
	say("%s %s %#lx", m.what, pa(m.addr), m.len);
	say_prot(m.prot);
	say(" fl %#x off %#lx", m.flags, m.off);
	got = sys_mmap(m.addr, m.len, m.prot, m.flags, m.fd, m.off);
	say(" = %s", got == -1 ? res(got) : pa(got));
	settle(got, m.len);
}

static void op_munmap(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_addr(r);
	size_t len = pick_len(r);

	len = keep_in(addr, len);
	say("%s %#lx = ", pa(addr), len);
	say("%s", res(sys_munmap(addr, len)));
}

/* Now and then begin anew, so that the windows do not silt up. */
static void op_clear(struct ctx *c)
{
	const struct window *w = &win[one_in(&c->rng, 3) ? WIN_A : WIN_T];

	say("%s = %s", w->name, res(syscall(SYS_munmap, w->start, w->end - w->start)));
}

static void op_mprotect(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_addr(r);
	size_t len = pick_len(r);
	int prot = pick_prot(r);

	if (one_in(r, 40)) {
		static const int odd[] = {
			0x8,  0x10, PROT_GROWSDOWN, PROT_GROWSUP, PROT_GROWSDOWN | PROT_GROWSUP,
			0x100
		};

		prot |= odd[below(r, 6)];
	}
	/* Up to the first hole a long range would reach the program itself. */
	if (addr + len > addr)
		len = keep_in(addr, len < 1UL << 46 ? len : 1UL << 45);
	say("%s %#lx", pa(addr), len);
	say_prot(prot);
	say(" = %s", res(sys_mprotect(addr, len, prot)));
}

static void op_mremap(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t old = one_in(r, 16) ? pick_addr(r) : pick_page(r), new = 0;
	size_t old_len = one_in(r, 8) ? pick_len(r) : (1 + below(r, 3)) * PAGE;
	size_t new_len = one_in(r, 3) ? old_len : pick_len(r);
	int flags = one_in(r, 4) ? 0 : MREMAP_MAYMOVE;
	long got;

	if (one_in(r, 3)) {
		flags |= MREMAP_FIXED;
		new = one_in(r, 16) ? pick_addr(r) : pick_page(r);
	}
	if (one_in(r, 8))
		flags |= MREMAP_DONTUNMAP;
	if (one_in(r, 40))
		flags |= 8;
	if (one_in(r, 40))
		old_len = 0;
	if (new)
		new_len = keep_in(new & ~(PAGE - 1), new_len);
	old_len = keep_in(old, old_len);
	say("%s %#lx to %s %#lx fl %d", pa(old), old_len, pa(new), new_len, flags);
	got = syscall(SYS_mremap, old, old_len, new_len, flags, new);
	say(" = %s", got == -1 ? res(got) : pa(got));
	settle(got, new_len);
}

static void op_brk(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t to = win[WIN_B].start + below(r, 40) * PAGE;

	if (one_in(r, 4))
		to += below(r, PAGE);
	if (one_in(r, 16))
		to = one_in(r, 2) ? 0 : 0x1000;
	if (one_in(r, 32))
		to = one_in(r, 2) ? 1UL << 47 : -PAGE;
	say("%s = ", pa(to));
	say("%s", pa(syscall(SYS_brk, to)));
}

struct advice {
	const char *name;
	int value;
};

static void advise(struct ctx *c, const struct advice *list, size_t n)
{
	struct rng *r = &c->rng;
	const struct advice *a = &list[below(r, n)];
	uintptr_t addr = pick_addr(r);
	size_t len = pick_len(r);
	int value = a->value;

	/* What was freed may be gone or not; who swaps drops it. */
	if (value == MADV_FREE && opt.no_free)
		value = MADV_NORMAL;
	/* madvise walks on over holes: a long range would reach the program itself. */
	if (addr + len > addr)
		len = keep_in(addr, len < 1UL << 46 ? len : 1UL << 45);
	say("%s %s %#lx = ", a->name, pa(addr), len);
	say("%s", res(sys_madvise(addr, len, value)));
}

static void op_madvise(struct ctx *c)
{
	static const struct advice list[] = {
		{ "DONTNEED", MADV_DONTNEED },
		{ "DONTNEED", MADV_DONTNEED },
		{ "DONTNEED", MADV_DONTNEED },
		{ "DONTNEED", MADV_DONTNEED },
		{ "FREE", MADV_FREE },
		{ "NORMAL", MADV_NORMAL },
		{ "RANDOM", MADV_RANDOM },
		{ "SEQUENTIAL", MADV_SEQUENTIAL },
		{ "WILLNEED", MADV_WILLNEED },
		{ "DONTFORK", MADV_DONTFORK },
		{ "DOFORK", MADV_DOFORK },
		{ "WIPEONFORK", MADV_WIPEONFORK },
		{ "KEEPONFORK", MADV_KEEPONFORK },
		{ "DONTDUMP", MADV_DONTDUMP },
		{ "DODUMP", MADV_DODUMP },
		{ "bad", 1000 },
		{ "bad", -1 },
		{ "bad", 5 },
	};

	advise(c, list, sizeof(list) / sizeof(list[0]));
}

/* Not PAGEOUT: it may drop what FREE was said of, depending on the CPU that either runs on. */
static void op_madvise_extra(struct ctx *c)
{
	static const struct advice list[] = {
		{ "REMOVE", MADV_REMOVE },
		{ "COLD", MADV_COLD },
		{ "POPULATE_READ", MADV_POPULATE_READ },
		{ "POPULATE_WRITE", MADV_POPULATE_WRITE },
		{ "NOHUGEPAGE", MADV_NOHUGEPAGE },
	};

	advise(c, list, sizeof(list) / sizeof(list[0]));
}

static void op_msync(struct ctx *c)
{
	static const int modes[] = {
		MS_SYNC, MS_ASYNC, MS_INVALIDATE, MS_SYNC | MS_INVALIDATE, 0, MS_ASYNC | MS_SYNC, 8,
	};
	struct rng *r = &c->rng;
	uintptr_t addr = pick_addr(r);
	size_t len = pick_len(r);
	int mode = modes[below(r, sizeof(modes) / sizeof(modes[0]))];

	say("%s %#lx %d = ", pa(addr), len, mode);
	say("%s", res(syscall(SYS_msync, addr, len, mode)));
}

static void op_mlock(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_page(r);
	size_t len = (1 + below(r, 4)) * PAGE;
	bool lock = one_in(r, 2);

	say("%slock %s %#lx = ", lock ? "" : "un", pa(addr), len);
	say("%s", res(syscall(lock ? SYS_mlock : SYS_munlock, addr, len)));
}

/*
 * Offsets stay in the first half of a page: F_ODD ends in the second half of one,
 * so that no store ever lies beyond the end of a file in its last page.
 */
static uintptr_t pick_spot(struct rng *r)
{
	return pick_page(r) + below(r, 250) * 8;
}

static void op_read(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_spot(r);
	uint64_t val;
	struct fault f;

	switch (below(r, 40)) {
	case 0:
		addr = (addr & ~(PAGE - 1)) + PAGE - 4;
		break; /* over a page's end */
	case 1:
		addr = 0x8000000000000000UL;
		break; /* not canonical */
	case 2:
		addr = 8;
		break;
	case 3:
		addr = 0xffff800000000000UL;
		break; /* the kernel's half */
	}
	say("%s = ", pa(addr));
	if (safe_read(addr, &val, &f))
		say("%lx", val);
	else
		say_fault(&f);
}

static void op_write(struct ctx *c)
{
	uintptr_t addr = pick_spot(&c->rng);
	uint64_t val = rnd(&c->rng);
	struct fault f;
	bool ok;

	say("%s = ", pa(addr));
	if (one_in(&c->rng, 4))
		ok = safe_add(addr, val, &f);
	else
		ok = safe_write(addr, val, &f);
	if (ok)
		say("ok");
	else
		say_fault(&f);
}

/* Many single touches: the usual life of memory. */
static void op_stride(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_page(r);
	unsigned long n = 1 + below(r, 32), stride = 1 + below(r, 3), faults = 0;
	struct fault f, first = { 0 };

	say("%s n %lu by %lu = ", pa(addr), n, stride);
	for (unsigned long i = 0; i < n; i++) {
		uintptr_t p = addr + i * stride * PAGE + below(r, 250) * 8;

		if (!in_window(p, 8) || safe_write(p, rnd(r), &f))
			continue;
		if (!faults++)
			first = f;
	}
	say("%lu faults", faults);
	if (faults) {
		say(", first ");
		say_fault(&first);
	}
}

/* A string store that may run into a fault in its middle; not into a file's last page. */
static void op_fill(struct ctx *c)
{
	struct rng *r = &c->rng;
	uintptr_t addr = pick_page(r) + below(r, 1000);
	int byte = rnd(r) & 0xff;
	size_t len = 1 + below(r, 1000);
	struct fault f;

	say("%s %lu = ", pa(addr), len);
	if (safe_fill(addr, byte, len, &f))
		say("ok");
	else
		say_fault(&f);
}

/* Write a "ret" and call it; what is already there is called only if it is one. */
static void op_exec(struct ctx *c)
{
	uintptr_t addr = pick_spot(&c->rng);
	uint64_t val;
	struct fault f;

	say("%s = ", pa(addr));
	if (!safe_write(addr, 0xc3c3c3c3c3c3c3c3UL, &f)) {
		say("store ");
		say_fault(&f);
		say(", ");
	}
	if (!safe_read(addr, &val, &f) || val == 0xc3c3c3c3c3c3c3c3UL) {
		if (safe_call(addr, &f)) {
			say("returned");
			return;
		}
		say("call ");
		say_fault(&f);
	} else {
		say("no code there");
	}
}

const struct op map_ops[] = {
	{ "mmap", 160, OP_PLAIN, op_mmap },
	{ "munmap", 70, OP_PLAIN, op_munmap },
	{ "clear", 3, OP_PLAIN, op_clear },
	{ "mprotect", 90, OP_PLAIN, op_mprotect },
	{ "mremap", 70, OP_PLAIN, op_mremap },
	{ "brk", 30, OP_PLAIN, op_brk },
	{ "madvise", 80, OP_PLAIN, op_madvise },
	{ "madvise-extra", 30, OP_PLAIN | OP_EXTRA, op_madvise_extra },
	{ "msync", 15, OP_PLAIN, op_msync },
	{ "mlock", 20, OP_PLAIN | OP_EXTRA, op_mlock },
	{ "read", 130, OP_PLAIN, op_read },
	{ "write", 170, OP_PLAIN, op_write },
	{ "stride", 80, OP_PLAIN, op_stride },
	{ "fill", 30, OP_PLAIN, op_fill },
	{ "exec", 15, OP_PLAIN, op_exec },
	{ 0 },
};
