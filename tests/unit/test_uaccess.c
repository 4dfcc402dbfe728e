/* SPDX-License-Identifier: MIT */
/*
 * The running program's memory by uaccess.h's names, and the table of where the kernel goes on after
 * a fault of its own.
 */
#include "linux_fixture.h"

#include <quire/extable.h>
#include <quire/uaccess.h>

#define BASE 0x10000000UL
#define EDGE (BASE + 2 * PAGE_SIZE)
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)

static struct counters at_start;
static struct mm_struct *mm;
static struct test_task self;

/* Two pages at BASE; nothing behind EDGE. */
static int machine_up(void **state)
{
	(void)state;
	if (linux_up(64 << 20, 1))
		return -1;
	soft_cpu_enter(0);
	at_start = counters_now();
	mm = mm_alloc();
	test_task_init(&self, NULL, mm, 1000);
	current_test_task = &self;
	return do_mmap(mm, NULL, BASE, 2 * PAGE_SIZE, RW, ANON, 0, NULL) != BASE;
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

static void test_access_ok(void **state)
{
	(void)state;
	assert_true(access_ok(NULL, 0));
	assert_true(access_ok(NULL, TASK_SIZE_MAX));
	assert_false(access_ok(NULL, TASK_SIZE_MAX + 1));
	assert_true(access_ok(u64_to_user_ptr(TASK_SIZE_MAX), 0));
	assert_false(access_ok(u64_to_user_ptr(TASK_SIZE_MAX), 1));
	assert_false(access_ok(u64_to_user_ptr(TASK_SIZE_MAX - 1), 2));
	assert_true(access_ok(u64_to_user_ptr(TASK_SIZE_MAX - 1), 1));
	assert_false(access_ok(u64_to_user_ptr(~0UL), 0));
	assert_false(access_ok(u64_to_user_ptr(BASE), ~0UL));
}

static void test_copies(void **state)
{
	char buf[8] = "seven77", zeros[4] = { 0 };

	(void)state;
	assert_int_equal(copy_to_user(u64_to_user_ptr(EDGE - 8), buf, 8), 0);
	memset(buf, 'x', 8);
	assert_int_equal(copy_from_user(buf, u64_to_user_ptr(EDGE - 8), 8), 0);
	assert_string_equal(buf, "seven77");
	/* As far as it goes; what there is not reads as zeros. */
	assert_int_equal(copy_to_user(u64_to_user_ptr(EDGE - 3), "abcdef", 6), 3);
	memset(buf, 'x', 8);
	assert_int_equal(copy_from_user(buf, u64_to_user_ptr(EDGE - 4), 8), 4);
	assert_memory_equal(buf, "nabc\0\0\0\0", 8);
	assert_int_equal(clear_user(u64_to_user_ptr(EDGE - 4), 6), 2);
	assert_int_equal(copy_from_user(buf, u64_to_user_ptr(EDGE - 4), 4), 0);
	assert_memory_equal(buf, zeros, 4);
	/* Nothing of what cannot be a program's. */
	memset(buf, 'x', 8);
	assert_int_equal(copy_from_user(buf, u64_to_user_ptr(TASK_SIZE_MAX - 4), 8), 8);
	assert_int_equal(buf[0], 0);
	assert_int_equal(copy_to_user(u64_to_user_ptr(~0UL - 2), buf, 8), 8);
	assert_int_equal(clear_user(u64_to_user_ptr(1UL << 63), 8), 8);
}

static void test_scalars(void **state)
{
	u64 wide = 0;
	s32 small = 0;
	u8 byte = 0;

	(void)state;
	assert_int_equal(put_user(0x1122334455667788, user_ptr(u64, BASE)), 0);
	assert_int_equal(put_user(-2, user_ptr(s16, BASE)), 0);
	assert_int_equal(get_user(wide, user_ptr(u64, BASE)), 0);
	assert_int_equal(wide, 0x112233445566fffe);
	assert_int_equal(get_user(small, user_ptr(s16, BASE)), 0);
	assert_int_equal(small, -2);
	assert_int_equal(get_user(byte, user_ptr(u8, BASE) + 7), 0);
	assert_int_equal(byte, 0x11);
	assert_int_equal(get_user(wide, user_ptr(u64, EDGE - 4)), -EFAULT);
	assert_int_equal(wide, 0);
	assert_int_equal(put_user(1, user_ptr(u64, EDGE)), -EFAULT);
	assert_int_equal(__put_user(5, user_ptr(u8, EDGE - 1)), 0);
	assert_int_equal(__get_user(byte, user_ptr(u8, EDGE - 1)), 0);
	assert_int_equal(byte, 5);
	assert_int_equal(__get_user(byte, user_ptr(u8, TASK_SIZE_MAX)), -EFAULT);
}

static void test_strings(void **state)
{
	const char __user *text = u64_to_user_ptr(BASE + PAGE_SIZE - 3);
	char buf[300], many[300];

	(void)state;
	assert_int_equal(copy_to_user(u64_to_user_ptr(BASE + PAGE_SIZE - 3), "hello", 6), 0);
	assert_int_equal(strncpy_from_user(buf, text, 64), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(strncpy_from_user(buf, text, 5), 5);
	assert_int_equal(strncpy_from_user(buf, text, 0), 0);
	assert_int_equal(strncpy_from_user(buf, u64_to_user_ptr(EDGE), 8), -EFAULT);
	assert_int_equal(strncpy_from_user(buf, u64_to_user_ptr(~0UL), 8), -EFAULT);
	assert_int_equal(strnlen_user(text, 64), 6);
	assert_int_equal(strnlen_user(text, 6), 6);
	assert_int_equal(strnlen_user(text, 5), 6);
	assert_int_equal(strnlen_user(text, 2), 3);
	assert_int_equal(strnlen_user(text, 0), 0);
	assert_int_equal(strnlen_user(u64_to_user_ptr(EDGE), 8), 0);
	/* Longer than what is looked at in one go, and up to the end of the mapping. */
	memset(many, 'y', sizeof(many));
	assert_int_equal(copy_to_user(u64_to_user_ptr(EDGE - 300), many, 300), 0);
	assert_int_equal(strnlen_user(u64_to_user_ptr(EDGE - 300), 300), 301);
	assert_int_equal(strnlen_user(u64_to_user_ptr(EDGE - 300), 301), 0);
	assert_int_equal(put_user(0, user_ptr(char, EDGE - 1)), 0);
	assert_int_equal(strnlen_user(u64_to_user_ptr(EDGE - 300), 1000), 300);
}

/* ---- The exception table ------------------------------------------------------------------ */

#define ENTRIES 7

/* What the table is about: instructions at insn_at(i), which go on at fixup_at(i). */
static struct {
	struct exception_table_entry table[ENTRIES];
	char text[ENTRIES * 16 + 16], fixup[ENTRIES];
} code;

static unsigned long insn_at(size_t i)
{
	return (unsigned long)&code.text[16 + i * 16];
}

static unsigned long fixup_at(size_t i)
{
	return (unsigned long)&code.fixup[ENTRIES - 1 - i];
}

static void fill_table(void)
{
	for (size_t i = 0; i < ENTRIES; i++) {
		struct exception_table_entry *e = &code.table[i];

		e->insn = (s32)(insn_at(i) - (unsigned long)&e->insn);
		e->fixup = (s32)(fixup_at(i) - (unsigned long)&e->fixup);
	}
}

static void test_extable_search(void **state)
{
	(void)state;
	fill_table();
	/* Of every length: each that is there, and nothing before, between and behind them. */
	for (size_t n = 0; n <= ENTRIES; n++) {
		for (size_t i = 0; i < ENTRIES; i++) {
			assert_int_equal(search_extable(code.table, n, insn_at(i)),
					 i < n ? fixup_at(i) : 0);
			assert_int_equal(search_extable(code.table, n, insn_at(i) - 1), 0);
			assert_int_equal(search_extable(code.table, n, insn_at(i) + 1), 0);
		}
		assert_int_equal(search_extable(code.table, n, 0), 0);
		assert_int_equal(search_extable(code.table, n, ~0UL), 0);
	}
}

static void test_extable_sorted(void **state)
{
	(void)state;
	fill_table();
	for (size_t n = 0; n <= ENTRIES; n++)
		assert_true(extable_is_sorted(code.table, n));
	for (size_t i = 1; i < ENTRIES; i++) {
		s32 right = code.table[i].insn;

		/* The one before over again, and one before that. */
		code.table[i].insn = (s32)(insn_at(i - 1) - (unsigned long)&code.table[i].insn);
		assert_false(extable_is_sorted(code.table, ENTRIES));
		code.table[i].insn--;
		assert_false(extable_is_sorted(code.table, ENTRIES));
		assert_true(extable_is_sorted(code.table, i));
		code.table[i].insn = right;
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, machine_up, machine_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(access_ok),
		TEST(copies),
		TEST(scalars),
		TEST(strings),
		cmocka_unit_test(test_extable_search),
		cmocka_unit_test(test_extable_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
