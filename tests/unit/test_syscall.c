/* SPDX-License-Identifier: MIT */
/* The system calls that the ABI layer answers: argument checks, and results in user memory. */
#include "linux_fixture.h"

#include <quire/unistd.h>

#define BASE 0x10000000UL
#define PAGES(n) ((unsigned long)(n) << PAGE_SHIFT)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static struct counters at_start;
static struct mm_struct *mm;
static struct test_task self;

static int machine_up(void **state)
{
	(void)state;
	anon_fault_max_order = 0;
	if (linux_up(64 << 20, 3))
		return -1;
	soft_cpu_enter(0);
	at_start = counters_now();
	mm = mm_alloc();
	test_task_init(&self, NULL, mm, 1000);
	current_test_task = &self;
	return 0;
}

static int machine_down(void **state)
{
	(void)state;
	test_task_exit(&self);
	current_test_task = NULL;
	mmput(mm);
	assert_counters(&at_start);
	soft_exit();
	return 0;
}

static long call(unsigned long nr, unsigned long a, unsigned long b, unsigned long c,
		 unsigned long d, unsigned long e, unsigned long f)
{
	const unsigned long args[6] = { a, b, c, d, e, f };

	return linux_syscall(&self.task, nr, args);
}

static void map_area(void)
{
	assert_int_equal(call(__NR_mmap, BASE, PAGES(16), RW, ANON | MAP_FIXED, -1, 0), BASE);
}

static void put_words(unsigned long addr, const u64 *words, size_t n)
{
	assert_int_equal(copy_to_mm(mm, addr, words, n * 8), 0);
}

static u64 get_word(unsigned long addr)
{
	u64 v = 0;

	assert_int_equal(copy_from_mm(mm, &v, addr, 8), 0);
	return v;
}

static void test_mmap(void **state)
{
	static char data[3 * 4096];

	(void)state;
	memset(data, 'f', sizeof(data));
	set_image("/file", data, sizeof(data));
	assert_int_equal(call(__NR_mmap, 0, PAGES(1), RW, ANON, -1, 100), -EINVAL);
	assert_int_equal(call(__NR_mmap, 0, PAGES(1), RW, MAP_PRIVATE, -1, 0), -EBADF);
	assert_int_equal(call(__NR_mmap, 0, 0, RW, MAP_PRIVATE, 7, 0), -EBADF);
	assert_int_equal(call(__NR_mmap, 0, 0, RW, MAP_PRIVATE, 3, 0), -EINVAL);
	assert_int_equal(call(__NR_mmap, 0, PAGES(1), RW, ANON | MAP_HUGETLB, -1, 0), -ENOMEM);
	assert_int_equal(call(__NR_mmap, 0, PAGES(1), RW, MAP_PRIVATE | MAP_HUGETLB, 3, 0),
			 -EINVAL);
	map_area();
	assert_int_equal(
		call(__NR_mmap, BASE, PAGES(2), PROT_READ, MAP_PRIVATE | MAP_FIXED, 3, PAGES(1)),
		BASE);
	assert_int_equal(get_word(BASE), 0x6666666666666666);
	assert_int_equal(call(__NR_mmap, BASE + PAGES(4), PAGES(4), RW,
			      ANON | MAP_FIXED | MAP_POPULATE, -1, 0),
			 BASE + PAGES(4));
	assert_int_equal(get_mm_counter(mm, MM_ANONPAGES), 4);
	assert_int_equal(call(__NR_mprotect, BASE, PAGES(1), PROT_NONE, 0, 0, 0), 0);
	assert_int_equal(call(__NR_mprotect, BASE + 1, PAGES(1), PROT_NONE, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_pkey_mprotect, BASE, PAGES(1), PROT_READ, -1, 0, 0), 0);
	assert_int_equal(call(__NR_pkey_mprotect, BASE, PAGES(1), PROT_READ, 1, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_munmap, BASE, PAGES(16), 0, 0, 0, 0), 0);
	assert_int_equal(call(__NR_munmap, BASE, 0, 0, 0, 0, 0), -EINVAL);
}

static void test_mincore(void **state)
{
	unsigned char vec[16];

	(void)state;
	map_area();
	assert_int_equal(soft_store(mm, BASE + PAGES(2), "x", 1).signo, 0);
	assert_int_equal(call(__NR_mincore, BASE, PAGES(8) - 5, BASE + PAGES(12), 0, 0, 0), 0);
	assert_int_equal(copy_from_mm(mm, vec, BASE + PAGES(12), 16), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(vec[i] & 1, i == 2);
	assert_int_equal(call(__NR_mincore, BASE + 1, PAGES(1), BASE, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_mincore, BASE, PAGES(17), BASE, 0, 0, 0), -ENOMEM);
	assert_int_equal(call(__NR_mincore, BASE, PAGES(17), 0x5000, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_mincore, BASE, ~0UL, BASE, 0, 0, 0), -ENOMEM);
	assert_int_equal(call(__NR_mincore, BASE, PAGES(1), 0x5000, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_mincore, BASE, PAGES(1), ~0UL, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_mincore, BASE, 0, 0, 0, 0, 0), 0);
}

static void test_mlock(void **state)
{
	(void)state;
	map_area();
	assert_int_equal(call(__NR_mlock2, BASE, PAGES(1), 2, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_mlock, BASE, PAGES(1), 0, 0, 0, 0), 0);
	assert_int_equal(mm->locked_vm, 1);
	assert_int_equal(call(__NR_munlock, BASE, PAGES(1), 0, 0, 0, 0), 0);
	assert_int_equal(call(__NR_mlockall, 0, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_mlockall, MCL_ONFAULT, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_mlockall, 8, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_munlockall, 0, 0, 0, 0, 0, 0), 0);
}

static void test_remap_file_pages(void **state)
{
	const u64 one = 1, two = 2;

	(void)state;
	assert_int_equal(
		call(__NR_mmap, BASE, PAGES(4), RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		BASE);
	put_words(BASE, &one, 1);
	put_words(BASE + PAGES(1), &two, 1);
	assert_int_equal(call(__NR_remap_file_pages, BASE, PAGES(1), 0, 1, 0, 0), 0);
	assert_int_equal(get_word(BASE), 2);
	assert_int_equal(call(__NR_remap_file_pages, BASE, PAGES(1), RW, 1, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_remap_file_pages, BASE, 0, 0, 1, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_remap_file_pages, BASE, PAGES(1), 0, ~0UL, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_remap_file_pages, BASE + PAGES(2), PAGES(9), 0, 0, 0, 0),
			 -EINVAL);
	assert_int_equal(call(__NR_remap_file_pages, 0x5000, PAGES(1), 0, 0, 0, 0), -EINVAL);
}

static void test_process_vm(void **state)
{
	/* At BASE: two vectors. Data around a page boundary. */
	const u64 local[] = { BASE + 0x1000, 3, BASE + 0x2000, 5 };
	const u64 remote[] = { BASE + 0x4ffe, 8 };
	const u64 broken[] = { BASE + 0x4000, 4, 0x5000, 4 };
	const u64 negative[] = { BASE, ~0ULL };
	char buf[9] = "";

	(void)state;
	map_area();
	put_words(BASE, local, 4);
	put_words(BASE + 64, remote, 2);
	put_words(BASE + 96, broken, 4);
	put_words(BASE + 160, negative, 2);
	assert_int_equal(copy_to_mm(mm, BASE + 0x4ffe, "abcdefgh", 8), 0);
	assert_int_equal(call(__NR_process_vm_readv, 1000, BASE, 2, BASE + 64, 1, 0), 8);
	assert_int_equal(copy_from_mm(mm, buf, BASE + 0x1000, 3), 0);
	assert_int_equal(copy_from_mm(mm, buf + 3, BASE + 0x2000, 5), 0);
	assert_string_equal(buf, "abcdefgh");
	assert_int_equal(copy_to_mm(mm, BASE + 0x2000, "VWXYZ", 5), 0);
	assert_int_equal(call(__NR_process_vm_writev, 1000, BASE, 2, BASE + 64, 1, 0), 8);
	assert_int_equal(copy_from_mm(mm, buf, BASE + 0x4ffe, 8), 0);
	assert_string_equal(buf, "abcVWXYZ");
	assert_int_equal(call(__NR_process_vm_readv, 1000, BASE, 2, BASE + 96, 2, 0), 4);
	assert_int_equal(call(__NR_process_vm_readv, 1000, BASE, 2, BASE + 112, 1, 0), -EFAULT);
	assert_int_equal(call(__NR_process_vm_readv, 1000, BASE, 2, BASE + 160, 1, 0), -EINVAL);
	assert_int_equal(call(__NR_process_vm_readv, 1000, BASE, 1025, BASE + 64, 1, 0), -EINVAL);
	assert_int_equal(call(__NR_process_vm_readv, 1000, 0x5000, 1, BASE + 64, 1, 0), -EFAULT);
	assert_int_equal(call(__NR_process_vm_readv, 4242, BASE, 2, BASE + 64, 1, 0), -ESRCH);
	assert_int_equal(call(__NR_process_vm_readv, 4242, BASE, 0, BASE + 64, 1, 0), 0);
	assert_int_equal(call(__NR_process_vm_readv, 1000, BASE, 2, BASE + 64, 1, 1), -EINVAL);
}

static void test_machine(void **state)
{
	u32 cpu[2];

	(void)state;
	map_area();
	assert_int_equal(call(__NR_sysinfo, BASE, 0, 0, 0, 0, 0), 0);
	assert_int_equal(get_word(BASE + 32), totalram_pages() << PAGE_SHIFT);
	assert_true(get_word(BASE + 40) <= get_word(BASE + 32));
	assert_int_equal(get_word(BASE + 80) & 0xffff, 1);
	assert_int_equal(get_word(BASE + 104) & 0xffffffff, 1);
	assert_int_equal(call(__NR_sysinfo, 0x5000, 0, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_sched_getaffinity, 0, 128, BASE, 0, 0, 0), 8);
	assert_int_equal(get_word(BASE), 7);
	assert_int_equal(call(__NR_sched_getaffinity, 1000, 8, BASE, 0, 0, 0), 8);
	assert_int_equal(call(__NR_sched_getaffinity, 0, 0, BASE, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_sched_getaffinity, 0, 12, BASE, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_sched_getaffinity, 4242, 8, BASE, 0, 0, 0), -ESRCH);
	assert_int_equal(call(__NR_sched_getaffinity, 0, 8, 0x5000, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_getcpu, BASE, BASE + 4, 0, 0, 0, 0), 0);
	assert_int_equal(copy_from_mm(mm, cpu, BASE, 8), 0);
	assert_true(cpu[0] < 3 && cpu[1] == 0);
	assert_int_equal(call(__NR_getcpu, 0, 0, 0, 0, 0, 0), 0);
	assert_int_equal(call(__NR_getcpu, 0x5000, 0, 0, 0, 0, 0), -EFAULT);
}

static void test_numa(void **state)
{
	const u64 ones[3] = { ~0ULL, ~0ULL, ~0ULL }, node[2] = { 1, 2 };

	(void)state;
	map_area();
	put_words(BASE, ones, 3);
	assert_int_equal(call(__NR_get_mempolicy, BASE, BASE + 8, 129, 0, 0, 0), 0);
	assert_int_equal(get_word(BASE) & 0xffffffff, 0);
	assert_int_equal(get_word(BASE + 8), 0);
	assert_int_equal(get_word(BASE + 16), 0);
	assert_int_equal(call(__NR_get_mempolicy, 0, BASE + 8, 65, 0, 4, 0), 0);
	assert_int_equal(get_word(BASE + 8), 1);
	assert_int_equal(call(__NR_get_mempolicy, BASE, 0, 0, BASE, 3, 0), 0);
	assert_int_equal(call(__NR_get_mempolicy, BASE, 0, 0, 0x5000, 3, 0), -EFAULT);
	assert_int_equal(call(__NR_get_mempolicy, BASE, 0, 0, BASE, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_get_mempolicy, BASE, 0, 0, 0, 1, 0), -EINVAL);
	assert_int_equal(call(__NR_get_mempolicy, BASE, 0, 0, 0, 8, 0), -EINVAL);
	put_words(BASE, node, 2);
	assert_int_equal(call(__NR_set_mempolicy, MPOL_BIND, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_set_mempolicy, MPOL_BIND, BASE + 8, 64, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_set_mempolicy, MPOL_BIND, BASE, 64, 0, 0, 0), 0);
	assert_int_equal(call(__NR_get_mempolicy, BASE + 16, 0, 0, 0, 0, 0), 0);
	assert_int_equal(get_word(BASE + 16) & 0xffffffff, MPOL_BIND);
	assert_int_equal(call(__NR_set_mempolicy, MPOL_DEFAULT, 0, 0, 0, 0, 0), 0);
	assert_int_equal(call(__NR_mbind, BASE, PAGE_SIZE, MPOL_BIND, BASE, 64, 0), 0);
	assert_int_equal(vma_lookup(mm, BASE)->vm_end, BASE + PAGE_SIZE);
	assert_int_equal(call(__NR_mbind, BASE, PAGE_SIZE, MPOL_DEFAULT, 0, 0, 0), 0);
	assert_true(vma_lookup(mm, BASE)->vm_end > BASE + PAGE_SIZE);
	assert_int_equal(call(__NR_set_mempolicy, 99, 0, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_mbind, BASE + 1, 0, 0, 0, 0, 0), -EINVAL);
}

static void test_limits(void **state)
{
	const u64 limit[] = { PAGES(32), PAGES(64) }, wrong[] = { 2, 1 }, more[] = { 1, PAGES(65) };

	(void)state;
	map_area();
	put_words(BASE, limit, 2);
	put_words(BASE + 16, wrong, 2);
	put_words(BASE + 32, more, 2);
	assert_int_equal(call(__NR_prlimit64, 0, RLIMIT_NOFILE_, 0, BASE + 64, 0, 0),
			 SYSCALL_NOT_OURS);
	assert_int_equal(call(__NR_prlimit64, 0, RLIMIT_AS_, BASE, BASE + 64, 0, 0), 0);
	assert_int_equal(get_word(BASE + 64), ~0ULL);
	assert_int_equal(mm->rlim_as, PAGES(32));
	assert_int_equal(call(__NR_getrlimit, RLIMIT_AS_, BASE + 64, 0, 0, 0, 0), 0);
	assert_int_equal(get_word(BASE + 72), PAGES(64));
	assert_int_equal(call(__NR_setrlimit, RLIMIT_AS_, BASE + 16, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_setrlimit, RLIMIT_AS_, BASE + 32, 0, 0, 0, 0), -EPERM);
	assert_int_equal(call(__NR_setrlimit, RLIMIT_AS_, 0, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_getrlimit, RLIMIT_AS_, 0x5000, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_prlimit64, 4242, RLIMIT_AS_, 0, BASE, 0, 0), -ESRCH);
	assert_int_equal(call(__NR_mmap, 0, PAGES(17), RW, ANON, -1, 0), -ENOMEM);
	assert_true(call(__NR_mmap, 0, PAGES(16), RW, ANON, -1, 0) > 0);
}

static void test_thread_calls(void **state)
{
	(void)state;
	map_area();
	assert_int_equal(call(__NR_set_robust_list, BASE, 24, 0, 0, 0, 0), 0);
	assert_int_equal(call(__NR_set_robust_list, BASE, 20, 0, 0, 0, 0), -EINVAL);
	assert_int_equal(call(__NR_get_robust_list, 1000, BASE + 64, BASE + 72, 0, 0, 0), 0);
	assert_int_equal(get_word(BASE + 64), BASE);
	assert_int_equal(get_word(BASE + 72), 24);
	assert_int_equal(call(__NR_get_robust_list, 4242, BASE, BASE, 0, 0, 0), -ESRCH);
	assert_int_equal(call(__NR_get_robust_list, 0, 0x5000, BASE, 0, 0, 0), -EFAULT);
	assert_int_equal(call(__NR_set_tid_address, BASE, 0, 0, 0, 0, 0), 1000);
	assert_int_equal(self.task.clear_child_tid, BASE);
	self.task.robust_list = self.task.clear_child_tid = 0;
}

static void test_usage(void **state)
{
	struct rusage_counts counts;

	(void)state;
	map_area();
	assert_int_equal(soft_store(mm, BASE, "x", 1).signo, 0);
	self.task.signal->children = (struct rusage_counts){ 1, 2, 3 };
	atomic_long_set(&self.task.signal->min_flt, 9);
	linux_rusage(&self.task, -1, &counts);
	assert_int_equal(counts.maxrss, 3);
	linux_rusage(&self.task, 0, &counts);
	assert_int_equal(counts.min_flt, 9);
	assert_int_equal(counts.maxrss, 4);
}

/* No number and no argument may do harm. */
static void test_any_number(void **state)
{
	static const unsigned long values[] = { 0, 1, BASE, BASE + 1, ~0UL, 1UL << 47, 4096 };
	u64 seed = 12345;

	(void)state;
	assert_int_equal(call(__NR_read, 0, 0, 0, 0, 0, 0), SYSCALL_NOT_OURS);
	assert_int_equal(call(~0UL, 0, 0, 0, 0, 0, 0), SYSCALL_NOT_OURS);
	assert_int_equal(call(__NR_rseq, 0, 0, 0, 0, 0, 0), -ENOSYS);
	assert_int_equal(call(__NR_ptrace, 0, 0, 0, 0, 0, 0), -EPERM);
	assert_int_equal(call(__NR_seccomp, 0, 0, 0, 0, 0, 0), -EINVAL);
	map_area();
	/* So that a wait ends at once. */
	self.interrupted = 1;
	for (int round = 0; round < 20000; round++) {
		unsigned long args[6];

		for (int i = 0; i < 6; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			args[i] = values[(seed >> 33) % ARRAY_SIZE(values)];
		}
		linux_syscall(&self.task, (seed >> 20) % (NR_SYSCALLS + 10), args);
		self.task.robust_list = self.task.clear_child_tid = 0;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mmap, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_mincore, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_mlock, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_remap_file_pages, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_process_vm, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_machine, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_numa, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_limits, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_thread_calls, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_usage, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_any_number, machine_up, machine_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
