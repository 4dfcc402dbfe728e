/* SPDX-License-Identifier: MIT */
/* lib/string.c and lib/vsprintf.c; libc is the model for what it also has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* libc's, before the names below become Quire's. */
static int libc_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}

static char *(*libc_strchr)(const char *, int) = strchr;
static char *(*libc_strrchr)(const char *, int) = strrchr;
static int (*libc_strcmp)(const char *, const char *) = strcmp;
static int (*libc_strncmp)(const char *, const char *, size_t) = strncmp;
static size_t (*libc_strnlen)(const char *, size_t) = strnlen;

#include <quire/errno.h>
#include <quire/kernel.h>
#include <quire/sprintf.h>
#include <quire/string.h>

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

/* Short strings over a small alphabet, so that equal prefixes are common. */
static void random_text(char *s, size_t max)
{
	size_t n = (size_t)rand() % max;

	for (size_t i = 0; i < n; i++)
		s[i] = "ab\xff"[rand() % 3];
	s[n] = '\0';
}

static void strings_agree_with_libc(void **state)
{
	char a[12], b[12];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)rand() % 12;
		char c = "ab\xff"[rand() % 3];

		random_text(a, sizeof(a));
		random_text(b, sizeof(b));
		assert_int_equal(strlen(a), libc_strnlen(a, sizeof(a)));
		assert_int_equal(strnlen(a, n), libc_strnlen(a, n));
		assert_int_equal(sign(strcmp(a, b)), sign(libc_strcmp(a, b)));
		assert_int_equal(sign(strncmp(a, b, n)), sign(libc_strncmp(a, b, n)));
		assert_ptr_equal(strchr(a, c), libc_strchr(a, c));
		assert_ptr_equal(strrchr(a, c), libc_strrchr(a, c));
		assert_ptr_equal(strchr(a, 0), a + strlen(a));
		assert_ptr_equal(strrchr(a, 0), a + strlen(a));
	}
}

static void strscpy_cuts_and_terminates(void **state)
{
	char buf[6];

	(void)state;
	assert_int_equal(strscpy(buf, "hello", sizeof(buf)), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(strscpy(buf, "hello!", sizeof(buf)), -E2BIG);
	assert_string_equal(buf, "hello");
	assert_int_equal(strscpy(buf, "", sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(strscpy(buf, "x", 1), -E2BIG);
	assert_string_equal(buf, "");
	assert_int_equal(strscpy(buf, "x", 0), -E2BIG);
}

static void memchr_inv_finds_the_odd_byte(void **state)
{
	unsigned char buf[80];

	(void)state;
	for (size_t from = 0; from < 9; from++) {
		for (size_t n = 0; n + from <= sizeof(buf); n++) {
			memset(buf, 0x6b, sizeof(buf));
			assert_null(memchr_inv(buf + from, 0x6b, n));
			for (size_t odd = 0; odd < n; odd++) {
				buf[from + odd] = 0;
				assert_ptr_equal(memchr_inv(buf + from, 0x6b, n), buf + from + odd);
				buf[from + odd] = 0x6b;
			}
		}
	}
}

static void numbers_parse_whole(void **state)
{
	unsigned long v = 7;
	long l;

	(void)state;
	assert_int_equal(kstrtoul("42\n", 10, &v), 0);
	assert_int_equal(v, 42);
	assert_int_equal(kstrtoul("0x1F", 0, &v), 0);
	assert_int_equal(v, 31);
	assert_int_equal(kstrtoul("017", 0, &v), 0);
	assert_int_equal(v, 15);
	assert_int_equal(kstrtoul("0", 0, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(kstrtoul("18446744073709551615", 10, &v), 0);
	assert_true(v == ULONG_MAX);
	assert_int_equal(kstrtoul("18446744073709551616", 10, &v), -ERANGE);
	assert_int_equal(kstrtoul("", 10, &v), -EINVAL);
	assert_int_equal(kstrtoul("-1", 10, &v), -EINVAL);
	assert_int_equal(kstrtoul("1 ", 10, &v), -EINVAL);
	assert_int_equal(kstrtoul("0x", 16, &v), -EINVAL);
	assert_true(v == ULONG_MAX);
	assert_int_equal(kstrtol("-9223372036854775808", 10, &l), 0);
	assert_true(l == LONG_MIN);
	assert_int_equal(kstrtol("9223372036854775808", 10, &l), -ERANGE);
	assert_int_equal(kstrtol("-+1", 10, &l), -EINVAL);
}

static void sizes_take_suffixes(void **state)
{
	char *end;

	(void)state;
	assert_int_equal(memparse("64M,next", &end), 64 << 20);
	assert_string_equal(end, ",next");
	assert_int_equal(memparse("0x10k", &end), 16 << 10);
	assert_int_equal(memparse("3g", NULL), 3L << 30);
	assert_int_equal(memparse("12", &end), 12);
	assert_string_equal(end, "");
}

#define SAME(...)                                                                \
	do {                                                                     \
		char ours[200], theirs[200];                                     \
		int ours_n = snprintf(ours, sizeof(ours), __VA_ARGS__);          \
		int libc_n = libc_snprintf(theirs, sizeof(theirs), __VA_ARGS__); \
		assert_string_equal(ours, theirs);                               \
		assert_int_equal(ours_n, libc_n);                                \
	} while (0)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

static void formats_agree_with_libc(void **state)
{
	static const char *const conversions[] = { "d", "i", "u",  "x",	  "X",
						   "o", "c", "hd", "hhu", "hx" };
	static const char *const longs[] = {
		"ld", "lu", "lx", "llu", "lld", "zu", "zd", "lX", "lo"
	};
	static const long values[] = { 0,
				       1,
				       -1,
				       9,
				       10,
				       255,
				       4096,
				       -4096,
				       INT_MAX,
				       INT_MIN,
				       LONG_MAX,
				       LONG_MIN,
				       0x123456789abcdefL };

	(void)state;
	for (int i = 0; i < 40000; i++) {
		char fmt[40];
		long value = values[(size_t)rand() % ARRAY_SIZE(values)];
		int n = 0;

		fmt[n++] = '<';
		fmt[n++] = '%';
		for (const char *f = "-0#+ "; *f; f++) {
			if (rand() % 4 == 0)
				fmt[n++] = *f;
		}
		if (rand() % 2)
			n += libc_snprintf(fmt + n, 8, "%d", rand() % 30 + 1);
		if (rand() % 3 == 0)
			n += libc_snprintf(fmt + n, 8, ".%d", rand() % 30);
		if (rand() % 2) {
			libc_snprintf(fmt + n, 8, "%s>",
				      conversions[(size_t)rand() % ARRAY_SIZE(conversions)]);
			if (fmt[n] == 'c')
				value = 'a' + (value & 15);
			SAME(fmt, (int)value);
		} else {
			libc_snprintf(fmt + n, 8, "%s>", longs[(size_t)rand() % ARRAY_SIZE(longs)]);
			SAME(fmt, value);
		}
	}
}

static void formats_text_and_pointers(void **state)
{
	int here;

	(void)state;
	SAME("%s|%10s|%-10s|%.2s|%10.2s|%.*s", "abc", "abc", "abc", "abc", "abc", 1, "abc");
	SAME("%*d|%-*d|%*d", 5, 42, 5, 42, -5, 42);
	SAME("%p %20p %-20p|", (void *)&here, (void *)&here, (void *)&here);
	SAME("100%% %c%c", 'o', 'k');
	SAME("%08lx-%08lx %s %08llx", 0x400000UL, 0x401000UL, "r-xp", 0ULL);
}

#pragma GCC diagnostic pop

static void a_short_buffer_is_terminated(void **state)
{
	char buf[4] = "zzz";

	(void)state;
	assert_int_equal(snprintf(buf, sizeof(buf), "%d", 123456), 6);
	assert_string_equal(buf, "123");
	assert_int_equal(scnprintf(buf, sizeof(buf), "%d", 123456), 3);
	assert_int_equal(scnprintf(buf, sizeof(buf), "%d", 12), 2);
	assert_int_equal(snprintf(NULL, 0, "%s", "abc"), 3);
	assert_int_equal(scnprintf(NULL, 0, "%s", "abc"), 0);
	assert_int_equal(snprintf(buf, 1, "%s", "abc"), 3);
	assert_string_equal(buf, "");
}

static void numbers_of_kernel_h(void **state)
{
	int calls = 0;

	(void)state;
	assert_int_equal(ALIGN(5000, 4096), 8192);
	assert_int_equal(ALIGN_DOWN(8191, 4096), 4096);
	assert_true(IS_ALIGNED(8192UL, 4096));
	assert_int_equal(DIV_ROUND_UP(9, 4), 3);
	assert_int_equal(roundup(9, 6), 12);
	assert_int_equal(min(max(3, 5), 4), 4);
	assert_int_equal(clamp(9, 1, 7), 7);
	assert_int_equal(max(calls++, -1), 0);
	assert_int_equal(calls, 1);
	assert_true(GENMASK(7, 4) == 0xf0 && GENMASK(63, 0) == ULONG_MAX);
	assert_int_equal(roundup_pow_of_two(1), 1);
	assert_int_equal(roundup_pow_of_two(4097), 8192);
	assert_int_equal(rounddown_pow_of_two(4097), 4096);
	assert_int_equal(fls(0), 0);
	assert_int_equal(fls(0x80000000U), 32);
	assert_int_equal(fls64(1ULL << 63), 64);
	assert_int_equal(ilog2(4097), 12);
	assert_int_equal(__ffs(0x10), 4);
	for (int i = 0; i < 1000; i++) {
		unsigned long w = ((unsigned long)rand() << 40) ^ ((unsigned long)rand() << 13);

		assert_int_equal(hweight_long(w), __builtin_popcountl(w));
	}
}

static void bits_of_an_array(void **state)
{
	unsigned long map[3] = { 0 };

	(void)state;
	set_bit(70, map);
	assert_true(map[1] == 1UL << 6 && test_bit(70, map));
	assert_true(test_and_set_bit(70, map));
	assert_false(test_and_set_bit(191, map));
	assert_true(test_and_clear_bit(191, map));
	assert_false(test_and_change_bit(0, map));
	change_bit(0, map);
	assert_false(test_bit(0, map));
	assert_false(test_and_set_bit_lock(63, map));
	assert_true(test_and_set_bit_lock(63, map));
	clear_bit_unlock(63, map);
	clear_bit(70, map);
	assert_false(__test_and_set_bit(128, map));
	assert_true(__test_and_clear_bit(128, map));
	assert_true(!map[0] && !map[1] && !map[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_agree_with_libc),
		cmocka_unit_test(strscpy_cuts_and_terminates),
		cmocka_unit_test(memchr_inv_finds_the_odd_byte),
		cmocka_unit_test(numbers_parse_whole),
		cmocka_unit_test(sizes_take_suffixes),
		cmocka_unit_test(formats_agree_with_libc),
		cmocka_unit_test(formats_text_and_pointers),
		cmocka_unit_test(a_short_buffer_is_terminated),
		cmocka_unit_test(numbers_of_kernel_h),
		cmocka_unit_test(bits_of_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
