/* SPDX-License-Identifier: MIT */
/* Address spaces: placing, merging, splitting, limits, errors, fork, and memory that runs out. */
#include "mm_fixture.h"

/* The host's <signal.h> has SEGV_MAPERR as an enumerator, which <quire/mm.h> cannot. */
enum {
	SIGBUS = 7,
	SIGSEGV = 11
};

static struct mm_struct *mm;
static struct counters before;

static int setup(void **state)
{
	(void)state;
	before = counters_now();
	mm = mm_alloc();
	return mm ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(assert_mm_sound(mm),
			 atomic_long_read(&vm_committed_as) - before.committed);
	mmput(mm);
	assert_counters(&before);
	return 0;
}

/* ---- Merging and splitting ----------------------------------------------------------------- */

static void test_new_range_merges(void **state)
{
	(void)state;
	map_at(mm, 0, 2, RW, ANON);
	map_at(mm, 4, 2, RW, ANON);
	assert_layout(mm, "0-2:rw 4-6:rw");
	map_at(mm, 6, 1, RW, ANON); /* left */
	assert_layout(mm, "0-2:rw 4-7:rw");
	map_at(mm, 3, 1, RW, ANON); /* right */
	assert_layout(mm, "0-2:rw 3-7:rw");
	map_at(mm, 2, 1, RW, ANON); /* both */
	assert_layout(mm, "0-7:rw");
	map_at(mm, 2, 1, PROT_READ, ANON); /* over the middle */
	assert_layout(mm, "0-2:rw 2-3:r 3-7:rw");
	map_at(mm, 1, 4, RW, ANON); /* over parts of three */
	assert_layout(mm, "0-7:rw");
}

/* The eight ways in which [start, end) of a VMA can lie towards neighbours that fit. */
static void test_changed_range_merges(void **state)
{
	(void)state;
	map_at(mm, 0, 12, RW, ANON);
	do_mprotect(mm, PG(4), LEN(4), PROT_READ);
	assert_layout(mm, "0-4:rw 4-8:r 8-12:rw"); /* none: cut free on both sides */
	do_mprotect(mm, PG(3), LEN(1), PROT_READ); /* right, part of the VMA */
	assert_layout(mm, "0-3:rw 3-8:r 8-12:rw");
	do_mprotect(mm, PG(8), LEN(1), PROT_READ); /* left, part */
	assert_layout(mm, "0-3:rw 3-9:r 9-12:rw");
	do_mprotect(mm, PG(3), LEN(6), RW); /* both, whole */
	assert_layout(mm, "0-12:rw");
	do_mprotect(mm, PG(0), LEN(4), PROT_READ); /* cut at the end only */
	assert_layout(mm, "0-4:r 4-12:rw");
	do_mprotect(mm, PG(8), LEN(4), PROT_READ); /* cut at the start only */
	assert_layout(mm, "0-4:r 4-8:rw 8-12:r");
	do_munmap(mm, PG(8), LEN(4));
	do_mprotect(mm, PG(4), LEN(4), PROT_READ); /* left, whole */
	assert_layout(mm, "0-8:r");
	do_mprotect(mm, PG(0), LEN(4), RW);
	do_mprotect(mm, PG(0), LEN(4), PROT_READ); /* right, whole */
	assert_layout(mm, "0-8:r");
}

static void test_file_merges(void **state)
{
	struct file *f = shmem_file(32, FMODE_READ | FMODE_WRITE, "/memfd:a");
	struct file *g = shmem_file(32, FMODE_READ | FMODE_WRITE, "/memfd:b");

	(void)state;
	map_file_at(mm, f, 0, 4, RW, MAP_SHARED, 8);
	map_file_at(mm, f, 4, 4, RW, MAP_SHARED, 12);
	assert_layout(mm, "0-8:rw");
	map_file_at(mm, f, 8, 4, RW, MAP_SHARED, 17); /* the offset does not go on */
	assert_layout(mm, "0-8:rw 8-12:rw");
	map_file_at(mm, g, 12, 4, RW, MAP_SHARED, 21); /* another file */
	assert_layout(mm, "0-8:rw 8-12:rw 12-16:rw");
	map_file_at(mm, f, 20, 4, RW, MAP_PRIVATE, 0);
	map_file_at(mm, f, 24, 4, RW, MAP_SHARED, 4); /* private beside shared */
	assert_layout(mm, "0-8:rw 8-12:rw 12-16:rw 20-24:rw 24-28:rw");
	do_mprotect(mm, PG(2), LEN(2), PROT_READ);
	assert_int_equal(vma_lookup(mm, PG(2))->vm_pgoff, 10);
	assert_int_equal(vma_lookup(mm, PG(4))->vm_pgoff, 12);
	poke(mm, PG(5), 77);
	assert_int_equal(peek(mm, PG(9)), 0);
	do_mprotect(mm, PG(2), LEN(2), RW);
	assert_int_equal(vma_lookup(mm, PG(2))->vm_end, PG(8));
	/* The same page elsewhere. */
	map_file_at(mm, f, 30, 1, PROT_READ, MAP_PRIVATE, 13);
	assert_int_equal(peek(mm, PG(30)), 77);
	fput(f);
	fput(g);
}

/* VMAs whose private pages have different origins stay apart, as on Linux. */
static void test_origins(void **state)
{
	(void)state;
	map_at(mm, 0, 2, RW, ANON);
	poke(mm, PG(0), 1);
	map_at(mm, 4, 2, RW, ANON);
	poke(mm, PG(4), 1);
	map_at(mm, 2, 2, RW, ANON);
	assert_layout(mm, "0-4:rw 4-6:rw");
	do_mprotect(mm, PG(4), LEN(2), PROT_READ);
	do_mprotect(mm, PG(4), LEN(2), RW);
	assert_layout(mm, "0-4:rw 4-6:rw");
	/* Moved with its pages it keeps its numbering; without, it does not. */
	map_at(mm, 20, 2, RW, ANON);
	poke(mm, PG(20), 5);
	do_mremap(mm, PG(20), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(30));
	map_at(mm, 28, 2, RW, ANON);
	assert_layout(mm, "0-4:rw 4-6:rw 28-30:rw 30-32:rw");
	assert_int_equal(peek(mm, PG(30)), 5);
	map_at(mm, 20, 2, RW, ANON);
	do_mremap(mm, PG(20), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(40));
	map_at(mm, 38, 2, RW, ANON);
	assert_layout(mm, "0-4:rw 4-6:rw 28-30:rw 30-32:rw 38-42:rw");
	/* Two parts of one VMA have one origin. */
	do_mprotect(mm, PG(2), LEN(1), PROT_READ);
	do_mprotect(mm, PG(2), LEN(1), RW);
	assert_layout(mm, "0-4:rw 4-6:rw 28-30:rw 30-32:rw 38-42:rw");
}

/* ---- Errors -------------------------------------------------------------------------------- */

#define mmap_err(file, addr, len, prot, flags, pgoff) \
	((long)do_mmap(mm, file, addr, len, prot, flags, pgoff, NULL))

static void test_mmap_errors(void **state)
{
	struct file *rw = shmem_file(8, FMODE_READ | FMODE_WRITE, "/memfd:rw");
	struct file *ro = shmem_file(8, FMODE_READ, "/memfd:ro");
	struct file *wo = shmem_file(8, FMODE_WRITE, "/memfd:wo");

	(void)state;
	assert_int_equal(mmap_err(NULL, 0, 0, RW, ANON, 0), -EINVAL);
	assert_int_equal(mmap_err(NULL, 0, ~0UL, RW, ANON, 0), -ENOMEM);
	assert_int_equal(mmap_err(NULL, 0, 1UL << 47, RW, ANON, 0), -ENOMEM);
	assert_int_equal(mmap_err(NULL, 0, 4096, RW, MAP_ANONYMOUS, 0), -EINVAL);
	assert_int_equal(mmap_err(NULL, 0, 4096, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, 0),
			 -EINVAL);
	assert_int_equal(mmap_err(NULL, PG(0) + 1, 4096, RW, ANON | MAP_FIXED, 0), -EINVAL);
	assert_int_equal(mmap_err(NULL, 4096, 4096, RW, ANON | MAP_FIXED, 0), -EPERM);
	assert_int_equal(mmap_err(NULL, TASK_SIZE_MAX, 4096, RW, ANON | MAP_FIXED, 0), -ENOMEM);
	assert_int_equal(mmap_err(NULL, 0, 4096, RW, ANON | MAP_HUGETLB, 0), -ENOMEM);
	assert_int_equal(mmap_err(NULL, 0, 4096, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, 0),
			 -EINVAL);
	assert_int_equal(mmap_err(rw, 0, 4096, RW, MAP_SHARED, ~0UL), -EOVERFLOW);
	assert_int_equal(mmap_err(rw, 0, 4096, RW, MAP_SHARED, ~0UL >> 13), -EOVERFLOW);
	assert_int_equal(mmap_err(rw, 0, 4096, RW, MAP_SHARED_VALIDATE | MAP_SYNC, 0), -EOPNOTSUPP);
	assert_int_equal(mmap_err(rw, 0, 4096, RW, MAP_PRIVATE | MAP_GROWSDOWN, 0), -EINVAL);
	assert_int_equal(mmap_err(rw, 0, 4096, RW, 0, 0), -EINVAL);
	assert_int_equal(mmap_err(ro, 0, 4096, RW, MAP_SHARED, 0), -EACCES);
	assert_int_equal(mmap_err(wo, 0, 4096, RW, MAP_SHARED, 0), -EACCES);
	assert_int_equal(mmap_err(wo, 0, 4096, PROT_READ, MAP_PRIVATE, 0), -EACCES);

	/* What was opened for reading stays so when it is shared. */
	assert_int_equal(map_file_at(mm, ro, 0, 2, PROT_READ, MAP_SHARED, 0), (long)PG(0));
	assert_int_equal(do_mprotect(mm, PG(0), LEN(2), RW), -EACCES);
	assert_int_equal(map_file_at(mm, ro, 0, 2, PROT_READ, MAP_PRIVATE, 0), (long)PG(0));
	assert_int_equal(do_mprotect(mm, PG(0), LEN(2), RW), 0);
	assert_int_equal(mmap_err(NULL, PG(1), LEN(3), RW, ANON | MAP_FIXED_NOREPLACE, 0), -EEXIST);
	assert_int_equal(mmap_err(NULL, PG(2), LEN(3), RW, ANON | MAP_FIXED_NOREPLACE, 0),
			 (long)PG(2));
	fput(rw);
	fput(ro);
	fput(wo);
}

static void test_other_errors(void **state)
{
	unsigned char vec[8];

	(void)state;
	map_at(mm, 0, 2, RW, ANON);
	map_at(mm, 4, 2, RW, ANON);
	assert_int_equal(do_munmap(mm, PG(0), 0), -EINVAL);
	assert_int_equal(do_munmap(mm, PG(0) + 1, 4096), -EINVAL);
	assert_int_equal(do_munmap(mm, PG(0), ~0UL), -EINVAL);
	assert_int_equal(do_munmap(mm, PG(100), 4096), 0);
	assert_int_equal(do_mprotect(mm, PG(0), LEN(5), PROT_READ), -ENOMEM);
	assert_layout(mm, "0-2:r 4-6:rw");
	assert_int_equal(do_mprotect(mm, PG(0), LEN(1), 0x10), -EINVAL);
	assert_int_equal(do_mprotect(mm, PG(0), 0, RW), 0);
	assert_int_equal(do_mprotect(mm, PG(0), -4096UL, RW), -ENOMEM);
	assert_int_equal(do_mprotect(mm, PG(0), LEN(1), RW | PROT_GROWSDOWN), -EINVAL);
	assert_int_equal(do_madvise(mm, PG(0), LEN(6), MADV_DONTFORK), -ENOMEM);
	assert_true(vma_lookup(mm, PG(4))->vm_flags & VM_DONTCOPY); /* beyond the hole */
	assert_int_equal(do_madvise(mm, PG(0), 0, 99), -EINVAL);
	assert_int_equal(do_madvise(mm, PG(0) + 1, 0, MADV_NORMAL), -EINVAL);
	assert_int_equal(do_madvise(mm, PG(0), ~0UL, MADV_NORMAL), -EINVAL);
	assert_int_equal(do_madvise(mm, PG(0), 4096, MADV_REMOVE), -EINVAL);
	assert_int_equal(do_madvise(mm, PG(0), 4096, MADV_POPULATE_WRITE), -EINVAL);
	assert_int_equal(do_madvise(mm, PG(1), LEN(3), MADV_POPULATE_READ), -ENOMEM);
	assert_int_equal(do_msync(mm, PG(0), LEN(6), MS_SYNC), -ENOMEM);
	assert_int_equal(do_msync(mm, PG(0), 4096, MS_SYNC | MS_ASYNC), -EINVAL);
	assert_int_equal(do_msync(mm, PG(0), 4096, 8), -EINVAL);
	assert_int_equal(do_mlock(mm, PG(0), LEN(2), 0), 0);
	assert_int_equal(do_msync(mm, PG(0), 4096, MS_INVALIDATE), -EBUSY);
	assert_int_equal(do_madvise(mm, PG(0), 4096, MADV_DONTNEED), -EINVAL);
	assert_int_equal(do_mincore(mm, PG(1), 2, vec), 1); /* up to the hole */
	assert_int_equal(do_mincore(mm, PG(2), 1, vec), -ENOMEM);
	assert_int_equal(do_mincore(mm, PG(4), 2, vec), 2);
	assert_int_equal(vec[0], 0);
	poke(mm, PG(5), 1);
	assert_int_equal(do_mincore(mm, PG(5), 1, vec), 1);
	assert_int_equal(vec[0], 1);
}

/* ---- Places -------------------------------------------------------------------------------- */

static void test_placement(void **state)
{
	unsigned long a, b, c;

	(void)state;
	a = do_mmap(mm, NULL, 0, LEN(3), RW, ANON, 0, NULL);
	assert_int_equal(a, mm->mmap_base - LEN(3));
	b = do_mmap(mm, NULL, 0, LEN(2), PROT_READ, ANON, 0, NULL);
	assert_int_equal(b, a - LEN(2));
	/* The highest hole that is large enough. */
	do_munmap(mm, a + LEN(1), LEN(1));
	assert_int_equal(do_mmap(mm, NULL, 0, LEN(1), RW, ANON, 0, NULL), a + LEN(1));
	/* A hint that is free is taken, its low bits dropped; another is not. */
	assert_int_equal(do_mmap(mm, NULL, PG(7) + 5, LEN(1), RW, ANON, 0, NULL), PG(7));
	c = do_mmap(mm, NULL, PG(6), LEN(2), RW, ANON, 0, NULL);
	assert_true(c > PG(8));
	assert_int_equal(do_mmap(mm, NULL, 1, 1, RW, ANON, 0, NULL), c - LEN(1));
	assert_int_equal(do_mmap(mm, NULL, 4097, 1, RW, ANON, 0, NULL), mmap_min_addr);
	assert_int_equal(do_mmap(mm, NULL, 0, 1, RW, ANON | MAP_32BIT, 0, NULL), 0x40000000);
	assert_int_equal(do_mmap(mm, NULL, 0, 1, PROT_READ, ANON | MAP_32BIT, 0, NULL), 0x40001000);
	/* Whole huge pages begin at their boundary. */
	a = do_mmap(mm, NULL, 0, PMD_SIZE, RW, ANON, 0, NULL);
	assert_int_equal(a & (PMD_SIZE - 1), 0);
	do_mmap(mm, NULL, a - LEN(1), LEN(1), RW, ANON | MAP_FIXED, 0, NULL);
	a = do_mmap(mm, NULL, 0, PMD_SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, 0, NULL);
	assert_int_not_equal(a & (PMD_SIZE - 1), 0);
}

/* Full up to mmap_base, a mapping goes above it. */
static void test_placement_bottom_up(void **state)
{
	unsigned long a;

	(void)state;
	mm->mmap_base = BASE;
	assert_true((long)do_mmap(mm, NULL, mmap_min_addr, BASE - mmap_min_addr, PROT_NONE,
				  ANON | MAP_FIXED, 0, NULL) > 0);
	a = do_mmap(mm, NULL, 0, LEN(2), RW, ANON, 0, NULL);
	assert_true(a >= PAGE_ALIGN(mm->task_size / 3));
	assert_true(a < BASE + (1UL << 46));
	/* A page short of everything that is left. */
	assert_int_equal((long)do_mmap(mm, NULL, 0, mm->task_size, PROT_NONE, ANON, 0, NULL),
			 -ENOMEM);
}

static void test_stack(void **state)
{
	struct vm_area_struct *vma;
	unsigned long a;

	(void)state;
	map_at(mm, 1000, 2, RW, ANON | MAP_GROWSDOWN);
	assert_int_equal(mm->stack_vm, 2);
	poke(mm, PG(990), 9);
	assert_layout(mm, "990-1002:rw");
	/* Nothing is placed in the gap below, nor does the stack grow into it. */
	mm->mmap_base = PG(995);
	a = do_mmap(mm, NULL, 0, LEN(4), RW, ANON, 0, NULL);
	assert_int_equal(a, PG(990) - STACK_GUARD_GAP - LEN(4));
	vma = vma_lookup(mm, PG(990));
	down_write(&mm->mmap_lock);
	assert_int_equal(expand_stack_locked(vma, PG(980)), -ENOMEM);
	up_write(&mm->mmap_lock);
	do_munmap(mm, a, LEN(4));
	mm->rlim_stack = LEN(16);
	down_write(&mm->mmap_lock);
	assert_int_equal(expand_stack_locked(vma, PG(985)), -ENOMEM);
	assert_int_equal(expand_stack_locked(vma, PG(986)), 0);
	up_write(&mm->mmap_lock);
	assert_layout(mm, "986-1002:rw");
	assert_int_equal(do_mprotect(mm, PG(1001), LEN(1), PROT_READ | PROT_GROWSDOWN), 0);
	assert_layout(mm, "986-1002:r");
}

static void test_brk(void **state)
{
	(void)state;
	mm->start_brk = mm->brk = PG(0) + 100;
	assert_int_equal(do_brk(mm, 0), PG(0) + 100);
	assert_int_equal(do_brk(mm, PG(3) + 5), PG(3) + 5);
	assert_layout(mm, "1-4:rw");
	poke(mm, PG(2), 3);
	assert_int_equal(do_brk(mm, PG(8)), PG(8));
	assert_layout(mm, "1-8:rw");
	assert_int_equal(do_brk(mm, PG(2) + 1), PG(2) + 1);
	assert_layout(mm, "1-3:rw");
	assert_int_equal(peek(mm, PG(2)), 3);
	map_at(mm, 6, 1, PROT_READ, ANON);
	assert_int_equal(do_brk(mm, PG(5)), PG(5)); /* a page stays free */
	assert_int_equal(do_brk(mm, PG(6)), PG(5));
	assert_int_equal(do_brk(mm, PG(0)), PG(5));
	do_munmap(mm, PG(6), LEN(1));
	mm->rlim_data = LEN(6);
	assert_int_equal(do_brk(mm, PG(7)), PG(5));
	assert_int_equal(do_brk(mm, PG(6)), PG(6));
	mm->rlim_data = ~0UL;
	assert_int_equal(do_brk(mm, ~0UL), PG(6));
	assert_layout(mm, "1-6:rw");
}

/* ---- Limits -------------------------------------------------------------------------------- */

static void test_limits(void **state)
{
	int saved = sysctl_max_map_count;

	(void)state;
	map_at(mm, 0, 4, RW, ANON);
	mm->rlim_as = LEN(6);
	assert_int_equal(map_at(mm, 10, 3, RW, ANON), -ENOMEM);
	assert_int_equal(map_at(mm, 2, 4, RW, ANON), (long)PG(2)); /* two of them are replaced */
	assert_int_equal((long)do_mremap(mm, PG(0), LEN(6), LEN(7), MREMAP_MAYMOVE, 0), -ENOMEM);
	mm->rlim_as = ~0UL;
	mm->rlim_data = LEN(6);
	assert_int_equal(map_at(mm, 10, 1, RW, ANON), -ENOMEM);
	assert_int_equal(map_at(mm, 10, 1, PROT_READ, ANON), (long)PG(10));
	assert_int_equal(do_mprotect(mm, PG(10), LEN(1), RW), -ENOMEM);
	mm->rlim_data = ~0UL;

	mm->rlim_memlock = LEN(3);
	assert_int_equal(do_mlock(mm, PG(0), LEN(4), 0), -ENOMEM);
	assert_int_equal(do_mlock(mm, PG(0), LEN(2), 0), 0);
	assert_int_equal(do_mlock(mm, PG(0), LEN(3), 0), 0); /* two are locked already */
	assert_int_equal(mm->locked_vm, 3);
	assert_int_equal(map_at(mm, 20, 1, RW, ANON | MAP_LOCKED), -EAGAIN);
	assert_int_equal(do_mlockall(mm, MCL_CURRENT), -ENOMEM);
	assert_int_equal(do_munlockall(mm), 0);
	assert_int_equal(mm->locked_vm, 0);
	mm->rlim_memlock = 0;
	assert_int_equal(do_mlock(mm, PG(0), LEN(1), 0), -EPERM);
	assert_int_equal(map_at(mm, 20, 1, RW, ANON | MAP_LOCKED), -EPERM);
	mm->rlim_memlock = ~0UL;
	assert_int_equal(do_mlockall(mm, MCL_FUTURE), 0);
	assert_int_equal(map_at(mm, 20, 1, RW, ANON), (long)PG(20));
	assert_int_equal(mm->locked_vm, 1);
	assert_int_equal(do_munlockall(mm), 0);

	sysctl_max_map_count = mm->map_count;
	assert_int_equal(do_mprotect(mm, PG(1), LEN(1), PROT_READ), -ENOMEM);
	assert_int_equal(do_munmap(mm, PG(1), LEN(1)), -ENOMEM);
	assert_int_equal(do_madvise(mm, PG(1), LEN(1), MADV_DONTFORK), -EAGAIN);
	assert_int_equal(do_munmap(mm, PG(0), LEN(1)), 0);
	sysctl_max_map_count = saved;
	assert_int_equal(map_at(mm, 0, 1UL << 30, RW, ANON), -ENOMEM); /* more than there is RAM */
	assert_int_equal(map_at(mm, 0, 1UL << 30, RW, ANON | MAP_NORESERVE), (long)PG(0));
}

/* ---- mremap -------------------------------------------------------------------------------- */

static void test_mremap(void **state)
{
	const unsigned long fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
	unsigned long a;

	(void)state;
	map_at(mm, 0, 4, RW, ANON);
	for (unsigned long i = 0; i < 4; i++)
		poke(mm, PG(i), 100 + i);
	assert_int_equal(do_mremap(mm, PG(0), LEN(4), LEN(6), 0, 0), PG(0)); /* in place */
	assert_layout(mm, "0-6:rw");
	map_at(mm, 7, 1, PROT_READ, ANON);
	assert_int_equal((long)do_mremap(mm, PG(0), LEN(6), LEN(8), 0, 0), -ENOMEM);
	a = do_mremap(mm, PG(0), LEN(6), LEN(8), MREMAP_MAYMOVE, 0);
	assert_int_equal(peek(mm, a + LEN(3)), 103);
	assert_int_equal(soft_load(mm, PG(0), &a, 1).signo, SIGSEGV);
	a = mm->mmap_base - LEN(8);
	assert_int_equal(do_mremap(mm, a, LEN(8), LEN(3), 0, 0), a); /* shrink */
	assert_int_equal(do_mremap(mm, a, LEN(3), LEN(3), fixed, PG(20)), PG(20));
	assert_layout(mm, "7-8:r 20-23:rw");
	/* The middle page out of it, over what is there. */
	assert_int_equal(do_mremap(mm, PG(21), LEN(1), LEN(1), fixed, PG(7)), PG(7));
	assert_layout(mm, "7-8:rw 20-21:rw 22-23:rw");
	assert_int_equal(peek(mm, PG(7)), 101);
	/* Several at once, with their hole. */
	assert_int_equal(do_mremap(mm, PG(20), LEN(3), LEN(3), fixed, PG(30)), PG(30));
	assert_layout(mm, "7-8:rw 30-31:rw 32-33:rw");
	assert_int_equal(peek(mm, PG(32)), 102);
	/* The old range stays, empty. */
	assert_int_equal(do_mremap(mm, PG(32), LEN(1), LEN(1), fixed | MREMAP_DONTUNMAP, PG(40)),
			 PG(40));
	assert_int_equal(peek(mm, PG(40)), 102);
	assert_int_equal(peek(mm, PG(32)), 0);

	assert_int_equal((long)do_mremap(mm, PG(7), 0, LEN(1), MREMAP_MAYMOVE, 0), -EINVAL);
	assert_int_equal((long)do_mremap(mm, PG(7), LEN(1), 0, MREMAP_MAYMOVE, 0), -EINVAL);
	assert_int_equal((long)do_mremap(mm, PG(7), LEN(1), LEN(1), 8, 0), -EINVAL);
	assert_int_equal((long)do_mremap(mm, PG(7), LEN(1), LEN(1), MREMAP_FIXED, PG(9)), -EINVAL);
	assert_int_equal((long)do_mremap(mm, PG(7), LEN(2), LEN(2), fixed, PG(8)), -EINVAL);
	assert_int_equal((long)do_mremap(mm, PG(50), LEN(1), LEN(1), 0, 0), -EFAULT);
	assert_int_equal((long)do_mremap(mm, PG(7), LEN(2), LEN(3), MREMAP_MAYMOVE, 0), -EFAULT);
}

/* Of old length 0, a shared mapping is mapped once more. */
static void test_mremap_duplicates(void **state)
{
	const unsigned long fixed = MREMAP_MAYMOVE | MREMAP_FIXED;

	(void)state;
	map_at(mm, 0, 4, RW, MAP_SHARED | MAP_ANONYMOUS);
	poke(mm, PG(2), 42);
	assert_int_equal((long)do_mremap(mm, PG(0), 0, LEN(2), 0, 0), -ENOMEM);
	assert_int_equal(do_mremap(mm, PG(1), 0, LEN(2), fixed, PG(10)), PG(10));
	assert_layout(mm, "0-4:rw 10-12:rw");
	assert_int_equal(peek(mm, PG(11)), 42);
	poke(mm, PG(11), 43);
	assert_int_equal(peek(mm, PG(2)), 43);
	assert_int_equal((long)do_mremap(mm, PG(0), 0, LEN(2), fixed, PG(0)), -EFAULT);
}

/* ---- Advice -------------------------------------------------------------------------------- */

static void test_madvise_contents(void **state)
{
	struct file *f = shmem_file(8, FMODE_READ | FMODE_WRITE, "/memfd:f");

	(void)state;
	map_at(mm, 0, 4, RW, ANON);
	map_file_at(mm, f, 10, 4, RW, MAP_SHARED, 0);
	map_file_at(mm, f, 20, 4, RW, MAP_PRIVATE, 0);
	poke(mm, PG(1), 5);
	poke(mm, PG(10), 6);
	poke(mm, PG(20), 7);
	assert_int_equal(do_madvise(mm, PG(1), LEN(1), MADV_FREE), 0);
	assert_int_equal(do_madvise(mm, PG(10), LEN(1), MADV_DONTNEED), 0);
	assert_int_equal(do_madvise(mm, PG(20), LEN(1), MADV_DONTNEED), 0);
	assert_int_equal(peek(mm, PG(1)), 5);
	assert_int_equal(peek(mm, PG(10)), 6);
	assert_int_equal(peek(mm, PG(20)), 6);
	assert_int_equal(do_madvise(mm, PG(1), LEN(1), MADV_DONTNEED), 0);
	assert_int_equal(peek(mm, PG(1)), 0);
	assert_int_equal(do_madvise(mm, PG(20), LEN(1), MADV_REMOVE), -EACCES);
	assert_int_equal(do_madvise(mm, PG(10), LEN(1), MADV_REMOVE), 0);
	assert_int_equal(peek(mm, PG(10)), 0);
	assert_int_equal(peek(mm, PG(20)), 0);
	assert_int_equal(do_madvise(mm, PG(0), LEN(4), MADV_POPULATE_WRITE), 0);
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 4);
	fput(f);
}

/* ---- fork ---------------------------------------------------------------------------------- */

static struct mm_struct *fork_mm(struct mm_struct *parent)
{
	struct mm_struct *child = dup_mm(parent);

	up_write(&parent->mmap_lock);
	return child;
}

static void test_fork(void **state)
{
	struct file *f = shmem_file(8, FMODE_READ | FMODE_WRITE, "/memfd:f");
	struct mm_struct *child;
	unsigned long v;

	(void)state;
	map_at(mm, 0, 4, RW, ANON);
	map_file_at(mm, f, 10, 4, RW, MAP_SHARED, 0);
	map_file_at(mm, f, 20, 4, RW, MAP_PRIVATE, 0);
	map_at(mm, 30, 2, RW, ANON);
	map_at(mm, 40, 2, RW, ANON);
	do_madvise(mm, PG(30), LEN(2), MADV_DONTFORK);
	do_madvise(mm, PG(40), LEN(2), MADV_WIPEONFORK);
	for (unsigned long p = 0; p < 50; p += 10)
		poke(mm, PG(p), 1 + p);
	do_mlock(mm, PG(0), LEN(1), 0);

	child = fork_mm(mm);
	assert_false(IS_ERR(child));
	assert_mm_sound(child);
	assert_int_equal(child->locked_vm, 0);
	/* A child that starts with its parent's TLB must find nothing there of what it has not. */
	assert_false(soft_tlb_holds(mm, PG(30), false));
	assert_false(soft_tlb_holds(mm, PG(40), false));
	assert_int_equal(peek(child, PG(0)), 1);
	assert_int_equal(peek(child, PG(10)), 11);
	assert_int_equal(peek(child, PG(20)), 21);
	assert_int_equal(soft_load(child, PG(30), &v, 8).signo, SIGSEGV);
	assert_int_equal(peek(child, PG(40)), 0);
	poke(child, PG(0), 1001);
	poke(child, PG(10), 1011);
	poke(child, PG(20), 1021);
	assert_int_equal(peek(mm, PG(0)), 1);
	assert_int_equal(peek(mm, PG(10)), 1011);
	assert_int_equal(peek(mm, PG(20)), 21);
	poke(mm, PG(0), 2001);
	assert_int_equal(peek(child, PG(0)), 1001);
	mmput(child);
	fput(f);
}

static void test_fork_keeps_origins_apart(void **state)
{
	struct mm_struct *child;

	(void)state;
	map_at(mm, 0, 4, RW, ANON);
	poke(mm, PG(0), 1);
	do_mprotect(mm, PG(2), LEN(1), PROT_READ);
	child = fork_mm(mm);
	do_mprotect(child, PG(2), LEN(1), RW);
	map_at(child, 4, 2, RW, ANON);
	assert_layout(child, "0-2:rw 2-3:rw 3-4:rw 4-6:rw");
	mmput(child);
	do_mprotect(mm, PG(2), LEN(1), RW);
	assert_layout(mm, "0-4:rw");
}

/* ---- Special mappings ---------------------------------------------------------------------- */

static int opened, closed;

static void special_open(struct vm_area_struct *vma)
{
	(void)vma;
	opened++;
}

static void special_close(struct vm_area_struct *vma)
{
	(void)vma;
	closed++;
}

static const struct vm_operations_struct special_ops = {
	.open = special_open,
	.close = special_close,
};

static void test_special_mapping(void **state)
{
	const vm_flags_t flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_SHARED |
				 VM_MAYSHARE | VM_PFNMAP | VM_IO;
	struct mm_struct *child;
	unsigned long v;

	(void)state;
	opened = closed = 0;
	assert_int_equal(install_special_mapping(mm, PG(0), LEN(4), flags, &special_ops, &v), 0);
	assert_int_equal(install_special_mapping(mm, PG(3), LEN(4), flags, &special_ops, &v),
			 -ENOMEM);
	assert_int_equal(install_special_mapping(mm, PG(4), LEN(4), flags, &special_ops, &v), 0);
	assert_layout(mm, "0-4:rw 4-8:rw");
	assert_int_equal(soft_load(mm, PG(0), &v, 8).signo, SIGBUS);
	assert_int_equal((long)do_mremap(mm, PG(0), LEN(4), LEN(5), MREMAP_MAYMOVE, 0), -EFAULT);
	assert_int_equal(do_madvise(mm, PG(0), LEN(4), MADV_DONTNEED), -EINVAL);
	assert_int_equal(do_mlock(mm, PG(0), LEN(4), 0), 0);
	assert_int_equal(mm->locked_vm, 0);
	assert_int_equal(do_munmap(mm, PG(1), LEN(1)), 0);
	assert_layout(mm, "0-1:rw 2-4:rw 4-8:rw");
	assert_int_equal(opened, 2);
	assert_int_equal(closed, 1);
	child = fork_mm(mm);
	assert_int_equal(opened, 5);
	mmput(child);
	assert_int_equal(closed, 4);
	/* Plain memory of the machine's choice. */
	assert_int_equal(install_special_mapping(mm, PG(1000), LEN(2),
						 VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE |
							 VM_GROWSDOWN,
						 NULL, NULL),
			 0);
	poke(mm, PG(995), 3);
	assert_int_equal(do_munmap(mm, PG(0), LEN(10)), 0);
	assert_int_equal(closed, 7);
}

static int device_error;
static char device_memory[4 * PAGE_SIZE];

static long device_access(struct vm_area_struct *vma, unsigned long addr, void *buf, size_t len,
			  bool write)
{
	char *at = device_memory + (addr - vma->vm_start);

	memcpy(write ? at : buf, write ? buf : at, len);
	return (long)len;
}

static unsigned long device_moved_from;

static int device_mremap(struct vm_area_struct *vma, unsigned long old_addr)
{
	(void)vma;
	device_moved_from = old_addr;
	return device_error;
}

static int device_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			   vm_flags_t newflags)
{
	(void)vma, (void)start, (void)end;
	return newflags & VM_EXEC ? -EACCES : 0;
}

static const struct vm_operations_struct device_vm_ops = {
	.mremap = device_mremap,
	.mprotect = device_mprotect,
	.access = device_access,
};

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	(void)file;
	vma->vm_flags |= VM_IO | VM_DONTCOPY;
	vma->vm_ops = &device_vm_ops;
	return device_error;
}

static void test_device(void **state)
{
	static const struct file_operations fops = { .mmap = device_mmap };
	struct file *file = file_alloc(inode_alloc(INODE_DEVICE), FMODE_READ | FMODE_WRITE, "dev");
	const unsigned long rw = PROT_READ | PROT_WRITE;
	unsigned long committed = (unsigned long)atomic_long_read(&vm_committed_as), v = 0;
	struct mm_struct *child;

	(void)state;
	file->f_op = &fops;
	device_error = -ENXIO;
	assert_int_equal(
		(long)do_mmap(mm, file, PG(0), LEN(4), rw, MAP_PRIVATE | MAP_FIXED, 0, NULL),
		-ENXIO);
	assert_int_equal(mm->total_vm, 0);
	assert_int_equal(atomic_long_read(&vm_committed_as), committed);
	device_error = 0;
	assert_int_equal(do_mmap(mm, file, PG(0), LEN(4), rw, MAP_SHARED | MAP_FIXED, 0, NULL),
			 PG(0));
	assert_int_equal(soft_load(mm, PG(0), &v, 8).signo, SIGBUS);
	assert_int_equal(copy_to_mm(mm, PG(1) - 4, "inside!", 8), 0);
	assert_string_equal(device_memory + PAGE_SIZE - 4, "inside!");
	assert_int_equal(copy_from_mm(mm, &v, PG(1), 8), 0);
	assert_memory_equal(&v, "de!", 4);
	assert_int_equal(user_access_room(mm, PG(2), LEN(9), true), LEN(2));
	assert_int_equal(access_remote_mm(mm, PG(0), &v, 8, false, false), 0);
	assert_int_equal(access_remote_mm(mm, PG(0), &v, 8, false, true), 8);
	assert_int_equal(do_mprotect(mm, PG(1), LEN(1), PROT_EXEC), -EACCES);
	assert_int_equal(do_mprotect(mm, PG(1), LEN(1), PROT_READ), 0);
	assert_layout(mm, "0-1:rw 1-2:r 2-4:rw");
	assert_int_equal(user_access_room(mm, PG(0), LEN(4), true), LEN(1));
	device_error = -EBUSY;
	assert_int_equal(
		(long)do_mremap(mm, PG(2), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(8)),
		-EBUSY);
	device_error = 0;
	assert_layout(mm, "0-1:rw 1-2:r 2-4:rw");
	assert_int_equal(do_mremap(mm, PG(2), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(8)),
			 PG(8));
	assert_int_equal(device_moved_from, PG(2));
	assert_layout(mm, "0-1:rw 1-2:r 8-10:rw");
	child = fork_mm(mm);
	assert_int_equal(child->map_count, 0);
	mmput(child);
	fput(file);
}

/* Addresses that the port keeps for itself. */
static void test_hole(void **state)
{
	const unsigned long flags = MAP_PRIVATE | MAP_ANONYMOUS;
	unsigned long addr;

	(void)state;
	mmap_hole_start = PG(4);
	mmap_hole_end = PG(8);
	assert_int_equal(
		(long)do_mmap(mm, NULL, PG(3), LEN(2), PROT_READ, flags | MAP_FIXED, 0, NULL),
		-ENOMEM);
	assert_int_equal(do_mmap(mm, NULL, PG(2), LEN(2), PROT_READ, flags | MAP_FIXED, 0, NULL),
			 PG(2));
	addr = do_mmap(mm, NULL, PG(5), LEN(1), PROT_READ, flags, 0, NULL);
	assert_true(addr >= PG(8) || addr < PG(2));
	assert_int_equal((long)do_mremap(mm, PG(2), LEN(2), LEN(3), 0, 0), -ENOMEM);
	assert_int_equal(
		(long)do_mremap(mm, PG(2), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(7)),
		-ENOMEM);
	mmap_hole_start = mmap_hole_end = 0;
}

/* ---- Memory runs out ----------------------------------------------------------------------- */

static bool is_out_of_memory(long ret)
{
	return ret == -ENOMEM || ret == -EAGAIN;
}

/* Calls of every kind; whatever fails says so, and the mm is sound after each. */
static void scenario(void)
{
	struct inode *inode = shmem_inode_new(NULL, (loff_t)LEN(16), VM_NORESERVE);
	struct file *f = IS_ERR(inode) ? NULL
				       : file_alloc(inode, FMODE_READ | FMODE_WRITE, "/memfd:f");
	struct mm_struct *child;
	unsigned long value = 7;

#define step(call)                                                                   \
	do {                                                                         \
		long ret_ = (long)(call);                                            \
		assert_true(ret_ >= 0 || is_out_of_memory(ret_) || ret_ == -EFAULT); \
		assert_mm_sound(mm);                                                 \
	} while (0)

	if (IS_ERR(f)) {
		iput(inode);
		f = NULL;
	}
	step(map_at(mm, 0, 16, RW, ANON));
	if (vma_lookup(mm, PG(3)))
		soft_store(mm, PG(3), &value, 8);
	step(map_at(mm, 20, 4, RW, MAP_SHARED | MAP_ANONYMOUS));
	if (f)
		step(map_file_at(mm, f, 30, 8, RW, MAP_PRIVATE, 0));
	if (vma_lookup(mm, PG(31)))
		soft_store(mm, PG(31), &value, 8);
	step(map_at(mm, 4, 2, PROT_READ, ANON));
	if (vma_lookup(mm, PG(0))) {
		step(do_munmap(mm, PG(8), LEN(2)));
		step(do_madvise(mm, PG(12), LEN(2), MADV_DONTFORK));
		step(do_mlock(mm, PG(1), LEN(2), 0));
		step(do_mprotect(mm, PG(2), LEN(2), PROT_READ));
		step(do_mremap(mm, PG(2), LEN(2), LEN(4), MREMAP_MAYMOVE, 0));
		step(do_mremap(mm, PG(10), LEN(2), LEN(2), MREMAP_MAYMOVE | MREMAP_FIXED, PG(50)));
	}
	mm->start_brk = mm->brk = PG(60);
	do_brk(mm, PG(64));
	assert_mm_sound(mm);
	child = fork_mm(mm);
	assert_true(!IS_ERR(child) || PTR_ERR(child) == -ENOMEM);
	if (!IS_ERR(child)) {
		assert_mm_sound(child);
		mmput(child);
	}
	assert_mm_sound(mm);
	step(do_munmap(mm, PG(0), LEN(64)));
	if (f)
		fput(f);
#undef step
}

/* The nth allocation fails, for every n until all succeed. */
static void sweep(struct fault_attr *attr)
{
	for (long n = 1; n < 5000; n++) {
		struct counters start = counters_now();

		mm = mm_alloc();
		assert_non_null(mm);
		atomic_long_set(&attr->failed, 0);
		attr->nth = n;
		scenario();
		attr->nth = 0;
		mmput(mm);
		assert_counters(&start);
		if (!atomic_long_read(&attr->failed))
			return;
	}
	fail_msg("no end of allocations");
}

static void test_no_memory_slab(void **state)
{
	(void)state;
	sweep(&failslab);
}

static void test_no_memory_pages(void **state)
{
	(void)state;
	sweep(&fail_page_alloc);
}

/* ---- Against a model ----------------------------------------------------------------------- */

/* One entry a page: what is mapped there and what it reads. */
#define MODEL_PAGES 48UL
static struct model_page {
	bool mapped, shared;
	unsigned long prot;
	unsigned long value; /* private pages */
	unsigned long *common; /* shared ones: the object's page */
} model[MODEL_PAGES];

static unsigned long objects[400][MODEL_PAGES];
static unsigned int nr_objects;

static unsigned long *model_value(struct model_page *p)
{
	return p->shared ? p->common : &p->value;
}

static void pick(unsigned long *first, unsigned long *n)
{
	*first = rng(MODEL_PAGES);
	*n = min(1 + rng(12), MODEL_PAGES - *first);
}

static void model_mmap(void)
{
	static const unsigned long prots[] = { PROT_NONE, PROT_READ, RW, RW, RW };
	unsigned long first, n, prot = prots[rng(5)];
	bool shared = rng(3) == 0 && nr_objects < 400;

	pick(&first, &n);
	assert_int_equal(
		map_at(mm, first, n, prot, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE)),
		(long)PG(first));
	for (unsigned long i = 0; i < n; i++)
		model[first + i] = (struct model_page){
			.mapped = true,
			.shared = shared,
			.prot = prot,
			.common = shared ? &objects[nr_objects][i] : NULL,
		};
	nr_objects += shared;
}

static void model_munmap(void)
{
	unsigned long first, n;

	pick(&first, &n);
	assert_int_equal(do_munmap(mm, PG(first), LEN(n)), 0);
	memset(&model[first], 0, n * sizeof(model[0]));
}

static void model_mprotect(void)
{
	unsigned long first, n, prot = rng(2) ? RW : rng(2) ? PROT_READ : PROT_NONE;
	long expect = 0;

	pick(&first, &n);
	for (unsigned long i = first; i < first + n; i++) {
		if (!model[i].mapped) {
			expect = -ENOMEM;
			break;
		}
		model[i].prot = prot;
	}
	assert_int_equal(do_mprotect(mm, PG(first), LEN(n), prot), expect);
}

static void model_dontneed(void)
{
	unsigned long first, n;
	long expect = 0;

	pick(&first, &n);
	for (unsigned long i = first; i < first + n; i++) {
		if (!model[i].mapped)
			expect = -ENOMEM;
		model[i].value = 0;
	}
	assert_int_equal(do_madvise(mm, PG(first), LEN(n), MADV_DONTNEED), expect);
}

/* A move without a hole in the source, to somewhere else. */
static void model_mremap(void)
{
	unsigned long first, n, to;

	pick(&first, &n);
	to = rng(MODEL_PAGES - n + 1);
	for (unsigned long i = first; i < first + n; i++)
		if (!model[i].mapped)
			return;
	if (to < first + n && first < to + n)
		return;
	assert_int_equal(
		do_mremap(mm, PG(first), LEN(n), LEN(n), MREMAP_MAYMOVE | MREMAP_FIXED, PG(to)),
		PG(to));
	memcpy(&model[to], &model[first], n * sizeof(model[0]));
	memset(&model[first], 0, n * sizeof(model[0]));
}

static void model_store(void)
{
	unsigned long i = rng(MODEL_PAGES), value = 1 + rng(1UL << 30);
	struct soft_signal s = soft_store(mm, PG(i), &value, sizeof(value));

	if (!(model[i].prot & PROT_WRITE)) {
		assert_int_equal(s.signo, SIGSEGV);
		assert_int_equal(s.si_code, model[i].mapped ? SEGV_ACCERR : SEGV_MAPERR);
		return;
	}
	assert_int_equal(s.signo, 0);
	*model_value(&model[i]) = value;
}

static void model_load_all(void)
{
	for (unsigned long i = 0; i < MODEL_PAGES; i++) {
		unsigned long value;
		struct soft_signal s = soft_load(mm, PG(i), &value, sizeof(value));

		assert_int_equal(s.signo, model[i].prot & PROT_READ ? 0 : SIGSEGV);
		if (!s.signo)
			assert_int_equal(value, *model_value(&model[i]));
	}
}

/* The same through a child, which then goes. */
static void model_fork(void)
{
	struct mm_struct *parent = mm, *child = fork_mm(mm);

	assert_false(IS_ERR(child));
	mm = child;
	model_load_all();
	assert_mm_sound(mm);
	for (unsigned long i = 0; i < MODEL_PAGES; i++)
		if (model[i].prot & PROT_WRITE && !model[i].shared && rng(2))
			poke(child, PG(i), 12345);
	mm = parent;
	model_load_all();
	mmput(child);
}

static void test_model(void **state)
{
	static void (*const steps[])(void) = {
		model_mmap,  model_mmap,  model_munmap, model_mprotect, model_mprotect,
		model_store, model_store, model_store,	model_mremap,	model_dontneed,
	};

	(void)state;
	for (unsigned int seed = 1; seed <= 40; seed++) {
		rng_state = seed * 77777;
		nr_objects = 0;
		memset(model, 0, sizeof(model));
		memset(objects, 0, sizeof(objects));
		do_munmap(mm, PG(0), LEN(MODEL_PAGES));
		for (int i = 0; i < 500; i++) {
			steps[rng(10)]();
			assert_mm_sound(mm);
			if (!rng(8))
				model_load_all();
			if (!rng(40))
				model_fork();
		}
	}
}

/* Untouched private memory: equal neighbours are always one VMA. */
static void test_no_mergeable_neighbours(void **state)
{
	(void)state;
	rng_state = 5;
	for (int i = 0; i < 20000; i++) {
		unsigned long first = rng(200), n = 1 + rng(20);
		struct vm_area_struct *vma, *prev = NULL;

		switch (rng(5)) {
		case 0:
			do_munmap(mm, PG(first), LEN(n));
			break;
		case 1:
			do_mprotect(mm, PG(first), LEN(n), rng(2) ? RW : PROT_READ);
			break;
		case 2:
			do_madvise(mm, PG(first), LEN(n), rng(2) ? MADV_DONTFORK : MADV_DOFORK);
			break;
		case 3:
			do_mremap(mm, PG(first), LEN(n), LEN(n), MREMAP_MAYMOVE | MREMAP_FIXED,
				  PG(rng(200)));
			break;
		default:
			map_at(mm, first, n, rng(2) ? RW : PROT_READ, ANON | MAP_NORESERVE);
		}
		for_each_vma(mm, vma)
		{
			if (prev && prev->vm_end == vma->vm_start)
				assert_int_not_equal(prev->vm_flags, vma->vm_flags);
			prev = vma;
		}
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_new_range_merges),
		T(test_changed_range_merges),
		T(test_file_merges),
		T(test_origins),
		T(test_mmap_errors),
		T(test_other_errors),
		T(test_placement),
		T(test_placement_bottom_up),
		T(test_stack),
		T(test_brk),
		T(test_limits),
		T(test_mremap),
		T(test_mremap_duplicates),
		T(test_madvise_contents),
		T(test_fork),
		T(test_fork_keeps_origins_apart),
		T(test_special_mapping),
		T(test_device),
		T(test_hole),
		cmocka_unit_test(test_no_memory_slab),
		cmocka_unit_test(test_no_memory_pages),
		T(test_model),
		T(test_no_mergeable_neighbours),
	};

	return cmocka_run_group_tests(tests, mm_fixture_boot, mm_fixture_shutdown);
}
