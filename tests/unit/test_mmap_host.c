/* SPDX-License-Identifier: MIT */
/*
 * The same random calls of mmap's family to the host's kernel and to the core, in the same arena of
 * addresses: results, layout, flags and contents must agree after every step.
 *
 * Objects behind the mappings: private and shared anonymous memory, and a shared-memory file opened
 * for reading and writing and once for reading only (a memfd on the host). Contents are read and
 * written by process_vm_readv() and its like, which obey protections and raise no signal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include <quire/fs.h>
#include <quire/mm.h>
#include <quire/mman.h>

#include "soft.h"

#define ARENA 0x200000000000UL
#define PAGES 40UL
#define ARENA_END (ARENA + PAGES * PAGE_SIZE)
#define FILE_PAGES 24UL

/* System calls are made directly: sanitizers' libc makes nothing of mlock(), for one. */

/* ---- Random numbers ------------------------------------------------------------------------ */

static u64 rng_state;

static unsigned long rng(unsigned long n)
{
	rng_state = rng_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (rng_state >> 33) % n;
}

/* ---- Both worlds --------------------------------------------------------------------------- */

struct vma_view {
	unsigned long start, end, flags; /* VM_* that SHOWN has */
	unsigned long pgoff;
};

static struct mm_struct *mm;
static struct file *core_file[2]; /* read-write, read-only */
static int host_fd[2];
static char history[1 << 20];
static size_t history_len;
static bool has_forked; /* a child of the host has written to what it shared with us */

#define MAX_VIEW (PAGES + 1)
struct layout {
	struct vma_view vma[MAX_VIEW];
	unsigned int n;
};

static const struct {
	char name[3];
	unsigned long flag;
} flag_names[] = {
	{ "rd", VM_READ },	{ "wr", VM_WRITE },	  { "ex", VM_EXEC },
	{ "sh", VM_SHARED },	{ "mr", VM_MAYREAD },	  { "mw", VM_MAYWRITE },
	{ "me", VM_MAYEXEC },	{ "ms", VM_MAYSHARE },	  { "gd", VM_GROWSDOWN },
	{ "lo", VM_LOCKED },	{ "sr", VM_SEQ_READ },	  { "rr", VM_RAND_READ },
	{ "dc", VM_DONTCOPY },	{ "lf", VM_LOCKONFAULT }, { "ac", VM_ACCOUNT },
	{ "nr", VM_NORESERVE }, { "wf", VM_WIPEONFORK },  { "dd", VM_DONTDUMP },
	{ "hg", VM_HUGEPAGE },	{ "nh", VM_NOHUGEPAGE },  { "mg", VM_MERGEABLE },
};

static unsigned long shown_flags(void)
{
	unsigned long all = 0;

	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		all |= flag_names[i].flag;
	return all;
}

static unsigned long parse_flags(const char *text)
{
	unsigned long flags = 0;

	for (size_t i = 0; i < sizeof(flag_names) / sizeof(flag_names[0]); i++)
		if (strstr(text, flag_names[i].name))
			flags |= flag_names[i].flag;
	return flags;
}

static void host_layout(struct layout *l)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start, end, off;
	struct vma_view *v = NULL;
	char line[512], perms[5];

	assert_non_null(f);
	l->n = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %4s %lx", &start, &end, perms, &off) == 4) {
			v = NULL;
			if (end <= ARENA || start >= ARENA_END)
				continue;
			assert_true(l->n < MAX_VIEW);
			v = &l->vma[l->n++];
			*v = (struct vma_view){ .start = start, .end = end };
			/* Offsets of anonymous memory are not shown. */
			v->pgoff = off / PAGE_SIZE;
		} else if (v && !strncmp(line, "VmFlags:", 8)) {
			v->flags = parse_flags(line + 8);
		}
	}
	fclose(f);
}

static void core_layout(struct layout *l)
{
	struct vm_area_struct *vma;

	l->n = 0;
	for_each_vma(mm, vma)
	{
		assert_true(l->n < MAX_VIEW);
		l->vma[l->n++] = (struct vma_view){
			.start = vma->vm_start,
			.end = vma->vm_end,
			.flags = vma->vm_flags & shown_flags(),
			.pgoff = vma->vm_file ? vma->vm_pgoff : 0,
		};
	}
}

static void print_layout(const char *who, const struct layout *l)
{
	fprintf(stderr, "# %s:\n", who);
	for (unsigned int i = 0; i < l->n; i++) {
		fprintf(stderr, "#   [%lu, %lu) pgoff %lu ", (l->vma[i].start - ARENA) / PAGE_SIZE,
			(l->vma[i].end - ARENA) / PAGE_SIZE, l->vma[i].pgoff);
		for (size_t j = 0; j < sizeof(flag_names) / sizeof(flag_names[0]); j++)
			if (l->vma[i].flags & flag_names[j].flag)
				fprintf(stderr, " %s", flag_names[j].name);
		fprintf(stderr, "\n");
	}
}

static void differ(const char *what, long host, long core)
{
	struct layout l;

	fprintf(stderr, "# %s", history);
	host_layout(&l);
	print_layout("host", &l);
	core_layout(&l);
	print_layout("core", &l);
	fail_msg("%s: host %ld (%#lx), core %ld (%#lx)", what, host, host, core, core);
}

static void check_layout(void)
{
	struct layout host, core;

	host_layout(&host);
	core_layout(&core);
	if (host.n != core.n)
		differ("number of VMAs", host.n, core.n);
	for (unsigned int i = 0; i < host.n; i++) {
		const struct vma_view *h = &host.vma[i], *c = &core.vma[i];

		if (h->start != c->start || h->end != c->end)
			differ("bounds", (long)h->start, (long)c->start);
		if (h->flags != c->flags)
			differ("flags", (long)h->flags, (long)c->flags);
		if (h->pgoff != c->pgoff)
			differ("offset", (long)h->pgoff, (long)c->pgoff);
	}
}

/* Contents of what both can read. */
static void check_contents(void)
{
	struct layout l;

	core_layout(&l);
	for (unsigned int i = 0; i < l.n; i++) {
		if (!(l.vma[i].flags & VM_READ) ||
		    (has_forked && vma_lookup(mm, l.vma[i].start)->vm_file))
			continue;
		for (unsigned long a = l.vma[i].start; a < l.vma[i].end; a += PAGE_SIZE) {
			unsigned long host = 0, core = 0;
			struct iovec to = { &host, sizeof(host) },
				     from = { (void *)a, sizeof(host) };
			bool h = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(host);
			bool c = !copy_from_mm(mm, &core, a, sizeof(core));

			if (h != c)
				differ("readable", h, c);
			if (host != core)
				differ("contents", (long)host, (long)core);
		}
	}
}

static void record(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	history_len +=
		(size_t)vsnprintf(history + history_len, sizeof(history) - history_len, fmt, ap);
	va_end(ap);
	if (history_len > sizeof(history) - 4096)
		history_len = 0;
}

static long host_result(long ret)
{
	return ret == -1 ? -errno : ret;
}

/* ---- Steps --------------------------------------------------------------------------------- */

static const unsigned long prots[] = {
	PROT_NONE,
	PROT_READ,
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_WRITE,
	PROT_READ | PROT_EXEC,
	PROT_WRITE,
	PROT_READ | PROT_WRITE | PROT_EXEC,
};

static void pick_range(unsigned long *addr, unsigned long *len)
{
	unsigned long first = rng(PAGES), n = 1 + rng(rng(4) ? 6 : 16);

	if (first + n > PAGES)
		n = PAGES - first;
	*addr = ARENA + first * PAGE_SIZE;
	*len = n * PAGE_SIZE;
}

static void step_mmap(void)
{
	unsigned long addr, len, prot = prots[rng(8)], flags = MAP_FIXED, off = 0;
	int fd = -1;
	long h, c;

	pick_range(&addr, &len);
	switch (rng(8)) {
	case 0:
		flags |= MAP_SHARED | MAP_ANONYMOUS;
		break;
	case 1:
	case 2:
		fd = (int)rng(2);
		flags |= rng(2) ? MAP_SHARED : MAP_PRIVATE;
		off = (addr - ARENA) / PAGE_SIZE % FILE_PAGES;
		if (off + len / PAGE_SIZE > FILE_PAGES)
			off = 0;
		break;
	default:
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
	}
	if (!rng(6))
		flags |= MAP_NORESERVE;
	if (!rng(8))
		flags |= MAP_POPULATE;
	if (!rng(8))
		flags |= MAP_STACK;
	if (!rng(16))
		flags |= MAP_LOCKED;
	if (!rng(16))
		flags |= MAP_GROWSDOWN;
	if (!rng(6))
		flags = (flags & ~(unsigned long)MAP_FIXED) | MAP_FIXED_NOREPLACE;
	record("mmap %lu+%lu prot %lx flags %lx fd %d off %lu\n", (addr - ARENA) / PAGE_SIZE,
	       len / PAGE_SIZE, prot, flags, fd, off);
	h = host_result(syscall(SYS_mmap, addr, len, prot, flags, fd < 0 ? -1 : host_fd[fd],
				off * PAGE_SIZE));
	{
		unsigned long populate;

		c = (long)do_mmap(mm, fd < 0 ? NULL : core_file[fd], addr, len, prot, flags, off,
				  &populate);
		if (c > 0 && populate)
			mm_populate(mm, (unsigned long)c, populate);
	}
	if (h != c)
		differ("mmap", h, c);
}

static void step_munmap(void)
{
	unsigned long addr, len;
	long h, c;

	pick_range(&addr, &len);
	record("munmap %lu+%lu\n", (addr - ARENA) / PAGE_SIZE, len / PAGE_SIZE);
	h = host_result(syscall(SYS_munmap, addr, len));
	c = do_munmap(mm, addr, len);
	if (h != c)
		differ("munmap", h, c);
}

static void step_mprotect(void)
{
	unsigned long addr, len, prot = prots[rng(8)];
	long h, c;

	if (!rng(20))
		prot |= PROT_GROWSDOWN;
	pick_range(&addr, &len);
	record("mprotect %lu+%lu prot %lx\n", (addr - ARENA) / PAGE_SIZE, len / PAGE_SIZE, prot);
	h = host_result(syscall(SYS_mprotect, addr, len, prot));
	c = do_mprotect(mm, addr, len, prot);
	if (h != c)
		differ("mprotect", h, c);
}

static void step_mremap(void)
{
	static const unsigned long flag_sets[] = {
		0,
		MREMAP_MAYMOVE | MREMAP_FIXED,
		MREMAP_MAYMOVE | MREMAP_FIXED,
		MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		MREMAP_FIXED,
	};
	unsigned long flags = flag_sets[rng(rng(10) ? 4 : 5)];
	unsigned long addr, old_len, new_addr, new_len;
	long h, c;

	pick_range(&addr, &old_len);
	pick_range(&new_addr, &new_len);
	if (rng(2))
		new_len = old_len;
	if (!rng(16))
		old_len = 0;
	if (new_addr + new_len > ARENA_END || addr + new_len > ARENA_END)
		return;
	record("mremap %lu+%lu -> %lu+%lu flags %lx\n", (addr - ARENA) / PAGE_SIZE,
	       old_len / PAGE_SIZE, (new_addr - ARENA) / PAGE_SIZE, new_len / PAGE_SIZE, flags);
	h = host_result(syscall(SYS_mremap, addr, old_len, new_len, flags, new_addr));
	c = (long)do_mremap(mm, addr, old_len, new_len, flags, new_addr);
	if (h != c)
		differ("mremap", h, c);
}

static void step_madvise(void)
{
	static const int advice[] = {
		MADV_NORMAL,
		MADV_RANDOM,
		MADV_SEQUENTIAL,
		MADV_WILLNEED,
		MADV_DONTNEED,
		MADV_DONTNEED,
		MADV_DONTFORK,
		MADV_DOFORK,
		MADV_MERGEABLE,
		MADV_UNMERGEABLE,
		MADV_DONTDUMP,
		MADV_DODUMP,
		MADV_WIPEONFORK,
		MADV_KEEPONFORK,
		MADV_COLD,
		MADV_PAGEOUT,
		MADV_REMOVE,
		MADV_NOHUGEPAGE,
		MADV_POPULATE_WRITE,
		MADV_POPULATE_READ,
		5,
		99,
	};
	int a = advice[rng(sizeof(advice) / sizeof(advice[0]))];
	unsigned long addr, len;
	long h, c;

	pick_range(&addr, &len);
	record("madvise %lu+%lu advice %d\n", (addr - ARENA) / PAGE_SIZE, len / PAGE_SIZE, a);
	h = host_result(syscall(SYS_madvise, addr, len, a));
	c = do_madvise(mm, addr, len, a);
	if (h != c)
		differ("madvise", h, c);
}

static void step_mlock(void)
{
	unsigned long addr, len;
	int kind = (int)rng(4);
	long h, c;

	pick_range(&addr, &len);
	record("mlock%d %lu+%lu\n", kind, (addr - ARENA) / PAGE_SIZE, len / PAGE_SIZE);
	if (kind < 2) {
		h = host_result(syscall(SYS_munlock, addr, len));
		c = do_munlock(mm, addr, len);
	} else {
		int flags = kind == 3 ? MLOCK_ONFAULT : 0;

		h = host_result(syscall(SYS_mlock2, addr, len, flags));
		c = do_mlock(mm, addr, len, flags);
	}
	if (h != c)
		differ("mlock", h, c);
}

static void step_msync(void)
{
	static const int flag_sets[] = { MS_ASYNC, MS_SYNC, MS_SYNC | MS_INVALIDATE, 0, 7 };
	int flags = flag_sets[rng(5)];
	unsigned long addr, len;
	long h, c;

	pick_range(&addr, &len);
	record("msync %lu+%lu flags %d\n", (addr - ARENA) / PAGE_SIZE, len / PAGE_SIZE, flags);
	h = host_result(syscall(SYS_msync, addr, len, flags));
	c = do_msync(mm, addr, len, flags);
	if (h != c)
		differ("msync", h, c);
}

static void step_write(void)
{
	unsigned long addr = ARENA + rng(PAGES) * PAGE_SIZE, value = rng(1UL << 30);
	struct vm_area_struct *vma = vma_lookup(mm, addr);
	struct iovec from = { &value, sizeof(value) }, to = { (void *)addr, sizeof(value) };
	bool h, c;

	if (!vma || !(vma->vm_flags & VM_WRITE))
		return;
	record("write %lu\n", (addr - ARENA) / PAGE_SIZE);
	h = process_vm_writev(getpid(), &from, 1, &to, 1, 0) == sizeof(value);
	c = !copy_to_mm(mm, addr, &value, sizeof(value));
	if (h != c)
		differ("write", h, c);
}

/* Host and core go on in a child; the parents wait, and go on after it. */
static void step_fork(void);

static void one_step(bool may_fork)
{
	switch (rng(may_fork ? 41 : 40)) {
	case 0 ... 8:
		step_mmap();
		break;
	case 9 ... 12:
		step_munmap();
		break;
	case 13 ... 18:
		step_mprotect();
		break;
	case 19 ... 23:
		step_mremap();
		break;
	case 24 ... 28:
		step_madvise();
		break;
	case 29 ... 30:
		step_mlock();
		break;
	case 31:
		step_msync();
		break;
	case 40:
		step_fork();
		return;
	default:
		step_write();
	}
	check_layout();
	if (!rng(4))
		check_contents();
}

static void step_fork(void)
{
	struct mm_struct *parent = mm, *child = dup_mm(parent);
	pid_t pid;
	int status;

	up_write(&parent->mmap_lock);
	assert_false(IS_ERR(child));
	record("fork\n");
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		/* The child of the host has a copy of the whole soft machine, too. */
		mm = child;
		check_layout();
		check_contents();
		for (int i = 0; i < 60; i++)
			one_step(false);
		_exit(0);
	}
	assert_int_equal(syscall(SYS_wait4, pid, &status, 0, NULL), pid);
	assert_int_equal(status, 0);
	mmput(child);
	has_forked = true;
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void arena_setup(void)
{
	struct inode *inode = shmem_inode_new(NULL, (loff_t)(FILE_PAGES * PAGE_SIZE), 0);
	char path[64];

	assert_false(IS_ERR(inode));
	core_file[0] = file_alloc(inode, FMODE_READ | FMODE_WRITE, "/memfd:test (deleted)");
	ihold(inode);
	core_file[1] = file_alloc(inode, FMODE_READ, "/memfd:test (deleted)");
	core_file[0]->f_id = 1;
	core_file[1]->f_id = 2;
	host_fd[0] = (int)syscall(SYS_memfd_create, "test", 0);
	assert_true(host_fd[0] >= 0);
	assert_int_equal(ftruncate(host_fd[0], (off_t)(FILE_PAGES * PAGE_SIZE)), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", host_fd[0]);
	host_fd[1] = open(path, O_RDONLY);
	assert_true(host_fd[1] >= 0);
	mm = mm_alloc();
	assert_non_null(mm);
	mm->rlim_memlock = ~0UL;
	history_len = 0;
	has_forked = false;
}

static void arena_teardown(void)
{
	munmap((void *)ARENA, PAGES * PAGE_SIZE);
	mmput(mm);
	for (int i = 0; i < 2; i++) {
		fput(core_file[i]);
		close(host_fd[i]);
	}
}

static void run_sequences(unsigned long first, unsigned long count, int steps, bool may_fork)
{
	for (unsigned long seed = first; seed < first + count; seed++) {
		arena_setup();
		rng_state = seed * 0x9e3779b97f4a7c15ULL + 1;
		record("seed %lu\n", seed);
		for (int i = 0; i < steps; i++)
			one_step(may_fork);
		arena_teardown();
		assert_int_equal(atomic_long_read(&vm_committed_as), 0);
	}
}

static unsigned long env_or(const char *name, unsigned long value)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 0) : value;
}

/* How VMAs merge and what mremap takes is that of the kernels from 6.17 on. */
static bool host_is_reference(void)
{
	struct rlimit lim;
	struct utsname u;
	int major, minor;

	uname(&u);
	if (sscanf(u.release, "%d.%d", &major, &minor) != 2 || major * 1000 + minor < 6017)
		return false;
	return geteuid() == 0 ||
	       (!getrlimit(RLIMIT_MEMLOCK, &lim) && lim.rlim_cur == RLIM_INFINITY);
}

static void test_against_host(void **state)
{
	(void)state;
	run_sequences(env_or("SEED", 1), env_or("SEQUENCES", 60), 120, false);
}

static void test_against_host_with_forks(void **state)
{
	(void)state;
	run_sequences(env_or("SEED", 1) + 100000, env_or("SEQUENCES", 60) / 4, 120, true);
}

static int boot(void **state)
{
	(void)state;
	/* Without vmalloc space RAM is the process's own: a forked child has a machine of its own. */
	soft_vmalloc_bytes(0);
	return soft_init(64 << 20, 1);
}

static int shutdown(void **state)
{
	(void)state;
	soft_exit();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_host),
		cmocka_unit_test(test_against_host_with_forks),
	};

	if (!host_is_reference()) {
		puts("1..0 # SKIP the host is older than 6.17, or may not lock memory");
		return 0;
	}
	return cmocka_run_group_tests(tests, boot, shutdown);
}
