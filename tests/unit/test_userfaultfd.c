/* SPDX-License-Identifier: MIT */
/*
 * Memory whose pages somebody else supplies: registration, faults, filling, protection, the end of the
 * descriptor. The monitor is the wait of the faulting thread itself.
 */
#include "mm_fixture.h"

#include <quire/userfaultfd_k.h>

#define PAGES 16
#define SOURCE 100 /* a page of the monitor's own, PG(SOURCE) */

static struct counters at_start;
static struct mm_struct *mm;
static struct userfaultfd_ctx *ctx;
static struct uffd_msg heard; /* the monitor's last message */
static int nr_heard, nr_freed;
static enum mfill_mode answer; /* how it fills */
static bool deaf; /* it does not answer; a signal ends the wait */

static void readable(struct userfaultfd_ctx *c)
{
	assert_ptr_equal(c, ctx);
	assert_true(userfaultfd_has_messages(c));
}

/* What the monitor does while the fault waits; *word == val no more after it. */
static int monitor(u32 *word, u32 val, bool user)
{
	struct userfaultfd_event *fork;
	unsigned long at;
	long done;

	(void)word;
	(void)val;
	(void)user;
	if (deaf)
		return -EINTR;
	if (userfaultfd_ctx_read(ctx, false, &heard, &fork))
		return -EINTR;
	nr_heard++;
	if (heard.event != UFFD_EVENT_PAGEFAULT)
		return 0;
	at = heard.arg.pagefault.address & PAGE_MASK;
	if (heard.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
		done = mwriteprotect_range(ctx, at, PAGE_SIZE, false) ?: (long)PAGE_SIZE;
	else
		done = mfill_atomic(ctx, answer, at, mm, PG(SOURCE), PAGE_SIZE, false);
	if (done < 0)
		return -EINTR;
	wake_userfault(ctx, at, PAGE_SIZE);
	return 0;
}

static pid_t thread_id(void)
{
	return 77;
}

static void freed(struct userfaultfd_ctx *c)
{
	(void)c;
	nr_freed++;
}

static const struct userfaultfd_ops ops = { readable, monitor, thread_id, freed };

static int machine_up(void **state)
{
	(void)state;
	fail_page_alloc.nth = failslab.nth = 0;
	anon_fault_max_order = 0;
	if (soft_init(64UL << 20, 1))
		return -1;
	at_start = counters_now();
	mm = mm_alloc();
	map_at(mm, 0, PAGES, RW, ANON);
	map_at(mm, SOURCE, 1, RW, ANON);
	poke(mm, PG(SOURCE), 0x5151);
	ctx = userfaultfd_ctx_alloc(mm, 0, &ops);
	ctx->features = UFFD_FEATURE_INITIALIZED;
	nr_heard = nr_freed = 0;
	answer = MFILL_ATOMIC_COPY;
	deaf = false;
	return 0;
}

static int machine_down(void **state)
{
	(void)state;
	if (ctx)
		userfaultfd_release(ctx);
	assert_mm_sound(mm);
	mmput(mm);
	assert_int_equal(nr_freed, 1);
	assert_counters(&at_start);
	soft_exit();
	return 0;
}

static void do_register(unsigned long page, unsigned long n, vm_flags_t flags)
{
	assert_int_equal(userfaultfd_register(ctx, PG(page), LEN(n), flags), 0);
}

static int nr_vmas(void)
{
	return mm->map_count;
}

static void test_missing(void **state)
{
	int before = nr_vmas();

	(void)state;
	do_register(4, 4, VM_UFFD_MISSING);
	assert_int_equal(nr_vmas(), before + 2);
	assert_int_equal(peek(mm, PG(3)), 0);
	assert_int_equal(nr_heard, 0);
	assert_int_equal(peek(mm, PG(4)), 0x5151);
	assert_int_equal(nr_heard, 1);
	assert_int_equal(heard.arg.pagefault.flags, 0);
	assert_int_equal(heard.arg.pagefault.address, PG(4));
	assert_int_equal(heard.arg.pagefault.ptid, 0);
	ctx->features |= UFFD_FEATURE_EXACT_ADDRESS | UFFD_FEATURE_THREAD_ID;
	poke(mm, PG(5) + 24, 9);
	assert_int_equal(heard.arg.pagefault.flags, UFFD_PAGEFAULT_FLAG_WRITE);
	assert_int_equal(heard.arg.pagefault.address, PG(5) + 24);
	assert_int_equal(heard.arg.pagefault.ptid, 77);
	assert_int_equal(peek(mm, PG(5)), 0x5151);
	assert_int_equal(peek(mm, PG(5) + 24), 9);
	answer = MFILL_ATOMIC_ZEROPAGE;
	assert_int_equal(peek(mm, PG(6)), 0);
	assert_int_equal(nr_heard, 3);
	assert_false(userfaultfd_has_messages(ctx));
	/* A copy of the kernel's is a fault as any other. */
	answer = MFILL_ATOMIC_COPY;
	assert_int_equal(copy_to_mm(mm, PG(7) + 8, "x", 1), 0);
	assert_int_equal(nr_heard, 4);
	assert_int_equal(peek(mm, PG(7)), 0x5151);
	assert_int_equal(userfaultfd_unregister(ctx, PG(4), LEN(4)), 0);
	assert_int_equal(nr_vmas(), before);
}

static void test_fill(void **state)
{
	(void)state;
	do_register(0, 8, VM_UFFD_MISSING);
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_ZEROPAGE, PG(2), mm, 0, LEN(1), false),
			 LEN(1));
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_ZEROPAGE, PG(2), mm, 0, LEN(1), false),
			 -EEXIST);
	/* As far as it goes. */
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_ZEROPAGE, PG(0), mm, 0, LEN(4), false),
			 LEN(2));
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_COPY, PG(4), mm, PG(SOURCE), LEN(2), false),
			 LEN(1));
	assert_int_equal(
		mfill_atomic(ctx, MFILL_ATOMIC_COPY, PG(6), mm, PG(SOURCE + 1), LEN(1), false),
		-EFAULT);
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_ZEROPAGE, PG(8), mm, 0, LEN(1), false),
			 -ENOENT);
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_ZEROPAGE, PG(40), mm, 0, LEN(1), false),
			 -ENOENT);
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_CONTINUE, PG(6), mm, 0, LEN(1), false),
			 -EINVAL);
	assert_int_equal(nr_heard, 0);
	assert_int_equal(mfill_atomic(ctx, MFILL_ATOMIC_POISON, PG(7), mm, 0, LEN(1), false),
			 LEN(1));
	assert_int_equal(soft_load(mm, PG(7), &(u8){ 0 }, 1).signo, 7);
	assert_int_equal(peek(mm, PG(4)), 0x5151);
	assert_int_equal(nr_heard, 0);
}

static void test_write_protection(void **state)
{
	(void)state;
	poke(mm, PG(0), 1);
	poke(mm, PG(1), 2);
	do_register(0, 4, VM_UFFD_WP);
	assert_int_equal(mwriteprotect_range(ctx, PG(0), LEN(2), true), 0);
	assert_int_equal(mwriteprotect_range(ctx, PG(8), LEN(1), true), -ENOENT);
	assert_int_equal(peek(mm, PG(0)), 1);
	assert_int_equal(nr_heard, 0);
	poke(mm, PG(0), 3);
	assert_int_equal(nr_heard, 1);
	assert_int_equal(heard.arg.pagefault.flags,
			 UFFD_PAGEFAULT_FLAG_WRITE | UFFD_PAGEFAULT_FLAG_WP);
	poke(mm, PG(0), 4);
	/* Anonymous memory that is not there is not protected without being asked. */
	assert_int_equal(mwriteprotect_range(ctx, PG(2), LEN(1), true), 0);
	poke(mm, PG(2), 5);
	assert_int_equal(nr_heard, 1);
	/* With the registration goes the protection. */
	assert_int_equal(userfaultfd_unregister(ctx, PG(0), LEN(4)), 0);
	poke(mm, PG(1), 6);
	assert_int_equal(nr_heard, 1);
	assert_int_equal(peek(mm, PG(1)), 6);
}

static void test_who_registers(void **state)
{
	struct userfaultfd_ctx *mine = ctx, *other = userfaultfd_ctx_alloc(mm, 0, &ops);

	(void)state;
	do_register(0, 4, VM_UFFD_MISSING);
	assert_int_equal(userfaultfd_register(other, PG(2), LEN(4), VM_UFFD_MISSING), -EBUSY);
	assert_int_equal(userfaultfd_register(other, PG(4), LEN(4), VM_UFFD_MISSING), 0);
	assert_int_equal(userfaultfd_register(other, PG(50), LEN(1), VM_UFFD_MISSING), -EINVAL);
	ctx = other;
	assert_int_equal(peek(mm, PG(5)), 0x5151);
	ctx = mine;
	assert_int_equal(peek(mm, PG(3)), 0x5151);
	userfaultfd_release(other);
	assert_int_equal(nr_freed, 1);
	nr_freed = 0;
	assert_int_equal(peek(mm, PG(6)), 0);
	assert_int_equal(nr_heard, 2);
}

static void test_nobody_answers(void **state)
{
	u8 byte;

	(void)state;
	do_register(0, 4, VM_UFFD_MISSING);
	ctx->features |= UFFD_FEATURE_SIGBUS;
	assert_int_equal(soft_load(mm, PG(0), &byte, 1).signo, 7);
	assert_int_equal(copy_from_mm(mm, &byte, PG(0), 1), 1);
	ctx->features = UFFD_FEATURE_INITIALIZED;
	ctx->flags = UFFD_USER_MODE_ONLY;
	assert_int_equal(copy_from_mm(mm, &byte, PG(0), 1), 1);
	assert_int_equal(nr_heard, 0);
	assert_int_equal(peek(mm, PG(0)), 0x5151);
	assert_int_equal(nr_heard, 1);
	/* The end of the descriptor makes it memory as any other. */
	userfaultfd_release(ctx);
	ctx = NULL;
	assert_int_equal(peek(mm, PG(1)), 0);
	assert_int_equal(peek(mm, PG(0)), 0x5151);
	assert_int_equal(mm->map_count, 2);
}

static void test_events(void **state)
{
	(void)state;
	do_register(0, 8, VM_UFFD_MISSING);
	ctx->features |= UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP |
			 UFFD_FEATURE_EVENT_REMAP;
	assert_int_equal(do_madvise(mm, PG(1), LEN(2), MADV_DONTNEED), 0);
	assert_int_equal(heard.event, UFFD_EVENT_REMOVE);
	assert_int_equal(heard.arg.remove.start, PG(1));
	assert_int_equal(heard.arg.remove.end, PG(3));
	assert_int_equal(do_munmap(mm, PG(2), LEN(1)), 0);
	assert_int_equal(heard.event, UFFD_EVENT_UNMAP);
	assert_int_equal(heard.arg.remove.start, PG(2));
	assert_int_equal(heard.arg.remove.end, PG(3));
	assert_int_equal(nr_heard, 2);
	assert_int_equal(atomic_read(&ctx->mmap_changing), 0);
	/* Memory that is not registered is nobody's business. */
	assert_int_equal(do_munmap(mm, PG(12), LEN(1)), 0);
	assert_int_equal(nr_heard, 2);
}

/* ---- Without memory ----------------------------------------------------------------------- */

/* Any of it may fail; what is read is what was filled, or a signal. */
static void small_program(void)
{
	unsigned long value = 0;
	struct mm_struct *child;
	LIST_HEAD(events);

	mm = mm_alloc();
	if (!mm)
		return;
	nr_freed = 0;
	ctx = userfaultfd_ctx_alloc(mm, 0, &ops);
	map_at(mm, 0, PAGES, RW, ANON);
	map_at(mm, SOURCE, 1, RW, ANON);
	value = 0x5151;
	if (ctx && soft_store(mm, PG(SOURCE), &value, 8).signo == 0) {
		ctx->features = UFFD_FEATURE_INITIALIZED | UFFD_FEATURE_EVENT_UNMAP |
				UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_WP_UNPOPULATED |
				UFFD_FEATURE_EVENT_FORK;
		if (!userfaultfd_register(ctx, PG(2), LEN(4), VM_UFFD_MISSING | VM_UFFD_WP)) {
			deaf = false;
			mwriteprotect_range(ctx, PG(2), LEN(2), true);
			if (soft_load(mm, PG(5), &value, 8).signo == 0)
				assert_int_equal(value, 0x5151);
			value = 4;
			soft_store(mm, PG(2), &value, 8);
			do_madvise(mm, PG(2), LEN(1), MADV_DONTNEED);
			deaf = true;
			child = dup_mm(mm);
			if (!IS_ERR(child))
				userfaultfd_take_events(child, &events);
			up_write(&mm->mmap_lock);
			userfaultfd_post_events(&events);
			if (!IS_ERR(child))
				mmput(child);
			deaf = false;
			do_munmap(mm, PG(3), LEN(1));
		}
		userfaultfd_unregister(ctx, PG(4), LEN(1));
	}
	if (ctx)
		userfaultfd_release(ctx);
	assert_mm_sound(mm);
	mmput(mm);
	if (ctx)
		assert_true(nr_freed > 0);
}

static void sweep(struct fault_attr *attr)
{
	for (long n = 1; n < 10000; n++) {
		long failed = atomic_long_read(&attr->failed);

		attr->nth = n;
		small_program();
		attr->nth = 0;
		assert_counters(&at_start);
		if (atomic_long_read(&attr->failed) == failed)
			return;
	}
	fail_msg("no end");
}

static int bare_up(void **state)
{
	(void)state;
	fail_page_alloc.nth = failslab.nth = 0;
	anon_fault_max_order = 0;
	answer = MFILL_ATOMIC_COPY;
	if (soft_init(64UL << 20, 1))
		return -1;
	at_start = counters_now();
	return 0;
}

static int bare_down(void **state)
{
	(void)state;
	fail_page_alloc.nth = failslab.nth = 0;
	soft_exit();
	return 0;
}

static void test_every_allocation_fails(void **state)
{
	(void)state;
	sweep(&fail_page_alloc);
	sweep(&failslab);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, machine_up, machine_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(missing),
		TEST(fill),
		TEST(write_protection),
		TEST(who_registers),
		TEST(nobody_answers),
		TEST(events),
		cmocka_unit_test_setup_teardown(test_every_allocation_fails, bare_up, bare_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
