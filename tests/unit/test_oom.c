/* SPDX-License-Identifier: MIT */
/* mm/oom_kill.c: who is chosen, what becomes of its memory, and who may use the reserves. */
#include "linux_fixture.h"

#include <pthread.h>

#define RAM (32ul << 20)
#define MIB (1ul << 20)

static char said[8192];
static struct mm_struct *killed[8];
static unsigned int nr_killed;

static void log_collected(enum log_level level, const char *text)
{
	(void)level;
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", text);
}

static void kill_noted(struct mm_struct *mm)
{
	if (nr_killed < ARRAY_SIZE(killed))
		killed[nr_killed] = mm;
	nr_killed++;
}

static int machine_up(void **state)
{
	(void)state;
	said[0] = '\0';
	nr_killed = 0;
	soft_kill_hook = kill_noted;
	soft_log_hook = log_collected;
	return linux_up(RAM, 1);
}

static int machine_down(void **state)
{
	(void)state;
	soft_cpu_dying(false);
	soft_exit();
	soft_kill_hook = NULL;
	soft_log_hook = NULL;
	return 0;
}

/* ---- Programs ------------------------------------------------------------------------------ */

struct program {
	struct test_task t;
	struct mm_struct *mm;
	unsigned long addr;
};

static void program_start(struct program *p, pid_t pid, size_t bytes, int adj)
{
	p->mm = mm_alloc();
	assert_non_null(p->mm);
	test_task_init(&p->t, NULL, p->mm, pid);
	mmput(p->mm); /* the task has a reference */
	p->t.task.signal->oom_score_adj = (s16)adj;
	p->addr = do_mmap(p->mm, NULL, 0, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, 0, NULL);
	assert_false(IS_ERR_VALUE(p->addr));
}

static int touch(struct program *p, size_t from, size_t to)
{
	current_test_task = &p->t;
	for (size_t at = from; at < to; at += PAGE_SIZE) {
		struct soft_signal s = soft_store(p->mm, p->addr + at, "x", 1);

		if (s.signo)
			return s.signo;
	}
	return 0;
}

static void program_end(struct program *p)
{
	current_test_task = NULL;
	test_task_exit(&p->t);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void the_largest_is_killed_and_its_memory_is_there_at_once(void **state)
{
	struct program big, small;
	char byte;

	(void)state;
	program_start(&big, 10, 64 * MIB, 0);
	program_start(&small, 11, 64 * MIB, 0);
	assert_int_equal(touch(&big, 0, 18 * MIB), 0);
	/* More than is left: the other has to go, who does nothing for it. */
	assert_int_equal(touch(&small, 0, 16 * MIB), 0);
	assert_int_equal(nr_killed, 1);
	assert_ptr_equal(killed[0], big.mm);
	assert_int_equal(all_vm_events(OOM_KILL), 1);
	assert_int_equal(get_mm_counter(big.mm, MM_ANONPAGES), 0);

	/* What is gone is no zeros: neither the kernel reads it, nor a child. */
	assert_int_equal(copy_from_mm(big.mm, &byte, big.addr, 1), 1);
	assert_true(IS_ERR(dup_mm(big.mm)));
	up_write(&big.mm->mmap_lock);
	assert_non_null(strstr(said, "Out of memory: Killed process 10 (task10) total-vm:"));
	assert_non_null(strstr(said, "[     11]     0    11 "));
	program_end(&big);
	program_end(&small);
}

static struct program *ends_when_chosen;

/* By another thread: whoever chooses him holds a lock that he has nothing to do with. */
static void *end_elsewhere(void *program)
{
	soft_cpu_enter(0); /* who waits for us is not on it */
	program_end(program);
	return NULL;
}

static void end_when_chosen(enum log_level level, const char *text)
{
	struct test_task *caller = current_test_task;
	struct program *p = ends_when_chosen;
	pthread_t thread;

	(void)level;
	if (!p || !strstr(text, "Killed process"))
		return;
	ends_when_chosen = NULL;
	assert_int_equal(pthread_create(&thread, NULL, end_elsewhere, p), 0);
	pthread_join(thread, NULL);
	current_test_task = caller;
}

/* How long the second needs who needs memory after the first victim has ended by himself. */
static u64 second_kill_takes(void)
{
	struct program big, second, small;
	u64 begin;

	nr_killed = 0;
	program_start(&big, 10, 64 * MIB, 0);
	program_start(&second, 11, 64 * MIB, 0);
	program_start(&small, 12, 64 * MIB, 0);
	assert_int_equal(touch(&big, 0, 18 * MIB), 0);
	ends_when_chosen = &big;
	assert_int_equal(touch(&second, 0, 16 * MIB), 0);
	assert_null(ends_when_chosen);
	begin = machine_clock_ns();
	assert_int_equal(touch(&small, 0, 15 * MIB), 0);
	begin = machine_clock_ns() - begin;
	assert_int_equal(nr_killed, 2);
	assert_ptr_equal(killed[1], second.mm);
	program_end(&second);
	program_end(&small);
	return begin;
}

/* Nobody waits OOM_PATIENCE (100 ms) for him. */
static void a_victim_may_have_ended_already(void **state)
{
	u64 best = ~0ull;

	(void)state;
	soft_log_hook = end_when_chosen;
	for (int i = 0; i < 10 && best > 70000000; i++)
		best = min(best, second_kill_takes());
	assert_true(best <= 70000000);
}

static void oom_score_adj_decides(void **state)
{
	struct program big, loved, hated;

	(void)state;
	program_start(&big, 10, 64 * MIB, 0);
	program_start(&loved, 11, 64 * MIB, OOM_SCORE_ADJ_MIN);
	program_start(&hated, 12, 64 * MIB, 800);
	assert_int_equal(touch(&loved, 0, 15 * MIB), 0);
	assert_int_equal(touch(&hated, 0, 4 * MIB), 0);
	assert_int_equal(touch(&big, 0, 14 * MIB), 0);
	assert_int_equal(nr_killed, 1);
	assert_ptr_equal(killed[0], hated.mm);

	/* Next comes the one who asks, for nobody touches the third. */
	soft_cpu_dying(false);
	assert_int_equal(touch(&big, 10 * MIB, 40 * MIB), 9 /* SIGKILL */);
	assert_int_equal(nr_killed, 2);
	assert_ptr_equal(killed[1], big.mm);
	program_end(&big);
	program_end(&hated);
	program_end(&loved);
}

static void with_nobody_to_kill_the_allocation_fails(void **state)
{
	struct program p;

	(void)state;
	program_start(&p, 10, 64 * MIB, OOM_SCORE_ADJ_MIN);
	assert_int_equal(touch(&p, 0, 64 * MIB), 9 /* SIGKILL */);
	assert_int_equal(nr_killed, 0);
	assert_null(alloc_page(GFP_KERNEL));
	/* Who ends anyway takes from the reserves. */
	soft_cpu_dying(true);
	for (int i = 0; i < 8; i++) {
		struct page *page = alloc_page(GFP_KERNEL);

		assert_non_null(page);
		__free_page(page);
	}
	soft_cpu_dying(false);
	program_end(&p);
}

static void nobody_is_killed_for_what_can_fail(void **state)
{
	struct program p;

	(void)state;
	program_start(&p, 10, 64 * MIB, 0);
	assert_int_equal(touch(&p, 0, 26 * MIB), 0);
	while (alloc_page(GFP_KERNEL | __GFP_NORETRY))
		;
	assert_null(alloc_page(GFP_NOWAIT));
	assert_null(alloc_pages(GFP_KERNEL | __GFP_NORETRY, 0));
	assert_null(alloc_pages(GFP_KERNEL, MAX_ORDER));
	assert_int_equal(nr_killed, 0);
	program_end(&p);
}

/* A fault whose allocation fails although there is memory is tried again. */
static void a_fault_outlives_a_single_failure(void **state)
{
	struct program p;

	(void)state;
	program_start(&p, 10, 64 * MIB, 0);
	for (long nth = 1; nth < 6; nth++) {
		fail_page_alloc.nth = nth;
		assert_int_equal(touch(&p, (size_t)nth * MIB, (size_t)nth * MIB + 1), 0);
	}
	fail_page_alloc.nth = 0;
	assert_int_equal(nr_killed, 0);
	program_end(&p);
}

static void proc_tells_the_score(void **state)
{
	struct program p;
	char *text;
	size_t len;

	(void)state;
	program_start(&p, 10, 64 * MIB, 300);
	assert_int_equal(proc_generate(PROC_PID_OOM_SCORE, 10, NULL, 0, &text, &len), 0);
	assert_in_range(atoi(text), 850, 880);
	proc_free(text, len);
	assert_int_equal(proc_generate(PROC_PID_OOM_SCORE_ADJ, 10, NULL, 0, &text, &len), 0);
	assert_int_equal(atoi(text), 300);
	proc_free(text, len);
	assert_int_equal(proc_generate(PROC_PID_OOM_ADJ, 10, NULL, 0, &text, &len), 0);
	assert_int_equal(atoi(text), 5);
	proc_free(text, len);
	program_end(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			the_largest_is_killed_and_its_memory_is_there_at_once, machine_up,
			machine_down),
		cmocka_unit_test_setup_teardown(a_victim_may_have_ended_already, machine_up,
						machine_down),
		cmocka_unit_test_setup_teardown(oom_score_adj_decides, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(with_nobody_to_kill_the_allocation_fails,
						machine_up, machine_down),
		cmocka_unit_test_setup_teardown(nobody_is_killed_for_what_can_fail, machine_up,
						machine_down),
		cmocka_unit_test_setup_teardown(a_fault_outlives_a_single_failure, machine_up,
						machine_down),
		cmocka_unit_test_setup_teardown(proc_tells_the_score, machine_up, machine_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
