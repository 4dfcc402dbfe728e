/* SPDX-License-Identifier: MIT */
/*
 * slab_debug=: what is found, how it is reported, and that the machine goes on. And what
 * AddressSanitizer is told, in builds with it.
 */
#include "soft_fixture.h"

#include <quire/errno.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

static char report[16384];

static void report_kept(enum log_level level, const char *text)
{
	size_t n = strlen(report);

	(void)level;
	snprintf(report + n, sizeof(report) - n, "%s\n", text);
}

__maybe_unused static void boot_with(const char *command_line)
{
	soft_exit();
	snprintf(boot_command_line, COMMAND_LINE_SIZE, "%s", command_line);
	report[0] = '\0';
	soft_log_hook = report_kept;
	slab_panic_on_error = false;
	assert_int_equal(soft_init(32 * MiB, 1), 0);
}

#define assert_reported(text) assert_non_null(strstr(report, text))

/* A write that no compiler may check. */
__maybe_unused noinline __attribute__((no_sanitize("address"))) static void poke(u8 *p, u8 value)
{
	*(volatile u8 *)p = value;
}

#if !defined(CONFIG_SLOB) && !defined(CONFIG_DEBUG_VM)
static unsigned int block_size(const char *name)
{
	struct slabinfo info;

	for (unsigned int i = 0; get_slabinfo(i, &info); i++)
		if (!strcmp(info.name, name))
			return info.object_size;
	fail_msg("no cache %s", name);
	return 0;
}
#endif

#ifndef CONFIG_SLOB
static struct kmem_cache *watched(void)
{
	boot_with("quiet slab_debug=FZPU,watched");
	return kmem_cache_create("watched", 60, 0, 0, NULL);
}

static void written_past_the_end(void **state)
{
	struct kmem_cache *s = watched();
	u8 *p = kmem_cache_alloc(s, GFP_KERNEL), *q;

	(void)state;
	poke(p + 59, 1);
	kmem_cache_free(s, p);
	assert_string_equal(report, "");
	p = kmem_cache_alloc(s, GFP_KERNEL);
	poke(p + 60, 1);
	kmem_cache_free(s, p);
	assert_reported("First byte 0x1 instead of 0xcc");
	assert_reported("BUG watched (Not tainted): Right Redzone overwritten");
	assert_reported("\nAllocated in 0x");
	assert_reported("FIX watched: Restoring Right Redzone");
	assert_reported("FIX watched: Object at 0x");
	/* It is out of use. */
	q = kmem_cache_alloc(s, GFP_KERNEL);
	assert_ptr_not_equal(p, q);
	kmem_cache_free(s, q);
	kmem_cache_shrink(s);
	assert_int_equal(kmem_cache_destroy(s), -EBUSY);
}

static void written_before_the_beginning(void **state)
{
	struct kmem_cache *s = watched();
	u8 *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	poke(p - 1, 0);
	kmem_cache_free(s, p);
	assert_reported("BUG watched (Not tainted): Left Redzone overwritten");
}

static void written_while_free(void **state)
{
	struct kmem_cache *s = watched();
	u8 *p = kmem_cache_alloc(s, GFP_KERNEL), *others[200];

	(void)state;
	kmem_cache_free(s, p);
	poke(p + 3, 7);
	for (int i = 0; i < 200; i++) {
		others[i] = kmem_cache_alloc(s, GFP_KERNEL);
		assert_non_null(others[i]);
		assert_ptr_not_equal(others[i], p);
	}
	assert_reported("First byte 0x7 instead of 0x6b");
	assert_reported("BUG watched (Not tainted): Poison overwritten");
	assert_reported("\nFreed in 0x");
}

static void freed_twice(void **state)
{
	struct kmem_cache *s = watched();
	u8 *p = kmem_cache_alloc(s, GFP_KERNEL), *q;

	(void)state;
	kmem_cache_free(s, p);
	kmem_cache_free(s, p);
	assert_reported("BUG watched (Not tainted): Object already free");
	p = kmem_cache_alloc(s, GFP_KERNEL);
	q = kmem_cache_alloc(s, GFP_KERNEL);
	assert_ptr_not_equal(p, q);
	kmem_cache_free(s, p);
	kmem_cache_free(s, q);
	assert_int_equal(kmem_cache_destroy(s), 0);
}

static void freed_in_the_middle(void **state)
{
	struct kmem_cache *s = watched();
	u8 *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	kmem_cache_free(s, p + 8);
	assert_reported("BUG watched (Not tainted): Invalid object pointer");
	kmem_cache_free(s, p);
	assert_int_equal(kmem_cache_destroy(s), 0);
}

static void may_be_the_end(void **state)
{
	struct kmem_cache *s = watched();
	u8 *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	slab_panic_on_error = true;
	poke(p + 61, 1);
	assert_panics(kmem_cache_free(s, p), "slab watched: object");
	assert_reported("BUG watched (Not tainted): Right Redzone overwritten");
}

static void leftovers_are_named(void **state)
{
	struct kmem_cache *s = watched();
	void *p = kmem_cache_alloc(s, GFP_KERNEL);
	char line[60];

	(void)state;
	assert_int_equal(kmem_cache_destroy(s), -EBUSY);
	snprintf(line, sizeof(line), "Object %p @offset=", p);
	assert_reported(line);
	assert_reported("\nAllocated in 0x");
	assert_reported("kmem_cache_destroy watched: Slab cache still has objects: 1");
}

static void traced(void **state)
{
	char line[60];
	void *p;

	(void)state;
	boot_with("slab_debug=T,kmalloc-32");
	p = kmalloc(30, GFP_KERNEL);
	snprintf(line, sizeof(line), "TRACE kmalloc-32 alloc %p", p);
	assert_reported(line);
	kfree(p);
	snprintf(line, sizeof(line), "TRACE kmalloc-32 free %p", p);
	assert_reported(line);
}

#ifndef CONFIG_DEBUG_VM
/* Whose blocks grow says whom the flags are for. */
static void which_caches(void **state)
{
	(void)state;
	boot_with("");
	assert_int_equal(block_size("kmalloc-64"), 64);
	boot_with("slab_debug=FZPU,kmalloc-64");
	assert_true(block_size("kmalloc-64") > 64);
	assert_int_equal(block_size("kmalloc-96"), 96);
	boot_with("slab_debug");
	assert_true(block_size("kmalloc-96") > 96);
	boot_with("slab_debug=,kmalloc-1*;Z,kmalloc-32 other=1");
	assert_true(block_size("kmalloc-16") > 16);
	assert_true(block_size("kmalloc-192") > 192);
	assert_int_equal(block_size("kmalloc-32"), 96);
	assert_int_equal(block_size("kmalloc-8"), 8);
	boot_with("slab_debug=- slab_debugger=Z slub_debug=U");
	assert_int_equal(block_size("kmalloc-64"), 64);
	boot_with("slub_debug=U");
	assert_true(block_size("kmalloc-64") > 64);
	boot_with("slab_debug=FZPU,,;;,,kmalloc,kmalloc-64x,*kmalloc-64");
	assert_int_equal(block_size("kmalloc-96"), 96);
}
#endif
#endif

static void words_of_the_command_line(void **state)
{
	const char *value;
	size_t len;

	(void)state;
	strcpy(boot_command_line, "  one=1 two three=a=b one=22  last");
	value = cmdline_value("one", &len);
	assert_int_equal(len, 2);
	assert_memory_equal(value, "22", 2);
	assert_non_null(cmdline_value("two", &len));
	assert_int_equal(len, 0);
	value = cmdline_value("three", &len);
	assert_int_equal(len, 3);
	assert_memory_equal(value, "a=b", 3);
	assert_non_null(cmdline_value("last", &len));
	assert_null(cmdline_value("tw", &len));
	assert_null(cmdline_value("twos", &len));
	boot_command_line[0] = '\0';
	assert_null(cmdline_value("one", &len));
}

#ifdef __SANITIZE_ADDRESS__
static void sanitizer_knows(void **state)
{
	struct kmem_cache *s;
	u8 *p, *q, *neighbour;

	(void)state;
	boot_with("");
	s = kmem_cache_create("plain", 60, 0, 0, NULL);
	neighbour = kmem_cache_alloc(s, GFP_KERNEL);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	assert_false(__asan_address_is_poisoned(p));
	assert_false(__asan_address_is_poisoned(p + 59));
	assert_true(__asan_address_is_poisoned(p + 60));
	kmem_cache_free(s, p);
	assert_true(__asan_address_is_poisoned(p));
	assert_true(__asan_address_is_poisoned(p + 59));
	q = kmalloc(100, GFP_KERNEL);
	assert_false(__asan_address_is_poisoned(q + 99));
	assert_true(__asan_address_is_poisoned(q + 100));
	/* Who asks how much there is may use it. */
	assert_true(ksize(q) >= 100);
	assert_false(__asan_address_is_poisoned(q + ksize(q) - 1));
	kfree(q);
	assert_true(__asan_address_is_poisoned(q));
	kmem_cache_free(s, neighbour);
	assert_int_equal(kmem_cache_destroy(s), 0);
	/* The frames are the page allocator's again, and nobody's to forbid. */
	kmem_cache_shrink_all();
	assert_false(__asan_address_is_poisoned(p));
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef CONFIG_SLOB
		machine_test(written_past_the_end),
		machine_test(written_before_the_beginning),
		machine_test(written_while_free),
		machine_test(freed_twice),
		machine_test(freed_in_the_middle),
		machine_test(may_be_the_end),
		machine_test(leftovers_are_named),
		machine_test(traced),
#ifndef CONFIG_DEBUG_VM
		machine_test(which_caches),
#endif
#endif
		machine_test(words_of_the_command_line),
#ifdef __SANITIZE_ADDRESS__
		machine_test(sanitizer_knows),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
