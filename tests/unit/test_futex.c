/* SPDX-License-Identifier: MIT */
/*
 * Futexes, on the soft machine: its CPUs are threads, so waiters really wait. Every operation, keys
 * over processes and copy-on-write, hand-over of PI locks, death of owners, and races.
 */
#include <pthread.h>
#include <unistd.h>

#include "linux_fixture.h"

enum {
	WAIT = 0,
	WAKE = 1,
	REQUEUE = 3,
	CMP_REQUEUE = 4,
	WAKE_OP = 5,
	LOCK_PI = 6,
	UNLOCK_PI = 7,
	TRYLOCK_PI = 8,
	WAIT_BITSET = 9,
	WAKE_BITSET = 10,
	LOCK_PI2 = 13,
	PRIVATE = 128,
	REALTIME = 256,
};

#define WAITERS 0x80000000u
#define OWNER_DIED 0x40000000u
#define PRIV 0x10000000UL /* private anonymous memory */
#define SHARE 0x20000000UL /* shared */
#define MAX_CPUS 16

static struct counters at_start;
static struct mm_struct *mm;
static struct test_task self;

static void map_at(struct mm_struct *m, unsigned long addr, unsigned long flags)
{
	assert_int_equal(do_mmap(m, NULL, addr, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE,
				 flags | MAP_ANONYMOUS | MAP_FIXED, 0, NULL),
			 addr);
}

static int machine_up(void **state)
{
	(void)state;
	anon_fault_max_order = 0;
	if (linux_up(64 << 20, MAX_CPUS))
		return -1;
	soft_cpu_enter(0);
	at_start = counters_now();
	mm = mm_alloc();
	map_at(mm, PRIV, MAP_PRIVATE);
	map_at(mm, SHARE, MAP_SHARED);
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

static u32 get32(struct mm_struct *m, unsigned long addr)
{
	u32 v = 0;

	assert_int_equal(soft_load(m, addr, &v, sizeof(v)).signo, 0);
	return v;
}

static void put32(struct mm_struct *m, unsigned long addr, u32 v)
{
	assert_int_equal(soft_store(m, addr, &v, sizeof(v)).signo, 0);
}

static long futex(unsigned long addr, int op, u32 val, unsigned long val2, unsigned long addr2,
		  u32 val3)
{
	return do_futex(&current_test_task->task, addr, op, val, val2, addr2, val3);
}

/* ---- A call of another thread ------------------------------------------------------------------- */

struct call {
	pthread_t thread;
	struct test_task task;
	unsigned int cpu;
	unsigned long addr, timeout, addr2;
	int op;
	u32 val, val3;
	long ret;
	u32 done;
};

static void *run_call(void *arg)
{
	struct call *c = arg;

	soft_cpu_enter(c->cpu);
	current_test_task = &c->task;
	c->ret = futex(c->addr, c->op, c->val, c->timeout, c->addr2, c->val3);
	__atomic_store_n(&c->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* leader NULL: a process of its own, with m. */
static void prepare_call(struct call *c, unsigned int cpu, struct test_task *leader,
			 struct mm_struct *m, unsigned long addr, int op, u32 val)
{
	memset(c, 0, sizeof(*c));
	c->cpu = cpu;
	c->addr = addr;
	c->op = op;
	c->val = val;
	c->val3 = ~0u;
	test_task_init(&c->task, leader, m, 1000 + (pid_t)cpu);
}

static void await(u32 *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_SEQ_CST))
		usleep(100);
}

/* Returns when it sleeps. */
static void launch_call(struct call *c)
{
	assert_int_equal(pthread_create(&c->thread, NULL, run_call, c), 0);
	await(&c->task.asleep);
}

static void start_call(struct call *c, unsigned int cpu, struct test_task *leader,
		       struct mm_struct *m, unsigned long addr, int op, u32 val)
{
	prepare_call(c, cpu, leader, m, addr, op, val);
	launch_call(c);
}

static bool is_done(struct call *c)
{
	return __atomic_load_n(&c->done, __ATOMIC_SEQ_CST);
}

static long end_call(struct call *c)
{
	pthread_join(c->thread, NULL);
	test_task_exit(&c->task);
	return c->ret;
}

static void interrupt_call(struct call *c)
{
	__atomic_store_n(&c->task.interrupted, 1, __ATOMIC_SEQ_CST);
}

/* ---- Wait and wake ---------------------------------------------------------------------------- */

static void test_arguments(void **state)
{
	const u64 past[2] = { 0, 1 }, bad[2] = { 0, 1000000000 }, negative[2] = { ~0ULL, 0 };

	(void)state;
	put32(mm, PRIV, 5);
	assert_int_equal(futex(PRIV + 2, WAIT, 5, 0, 0, 0), -EINVAL);
	assert_int_equal(futex(0x5000, WAIT | PRIVATE, 5, 0, 0, 0), -EFAULT);
	assert_int_equal(futex(0x5000, WAIT, 5, 0, 0, 0), -EFAULT);
	assert_int_equal(futex(~3UL, WAIT | PRIVATE, 5, 0, 0, 0), -EFAULT);
	assert_int_equal(futex(PRIV, WAIT, 6, 0, 0, 0), -EAGAIN);
	assert_int_equal(futex(PRIV, WAIT_BITSET, 5, 0, 0, 0), -EINVAL);
	assert_int_equal(futex(PRIV, WAKE_BITSET, 1, 0, 0, 0), -EINVAL);
	assert_int_equal(futex(PRIV, WAKE, 1, 0, 0, 0), 0);
	assert_int_equal(futex(0x5000, WAKE | PRIVATE, 1, 0, 0, 0), 0);
	assert_int_equal(futex(0x5000, WAKE, 1, 0, 0, 0), -EFAULT);
	assert_int_equal(futex(PRIV, WAIT | REALTIME, 5, 0, 0, 0), -ENOSYS);
	assert_int_equal(futex(PRIV, 2, 5, 0, 0, 0), -ENOSYS);
	assert_int_equal(futex(PRIV, 11, 5, 0, 0, 0), -ENOSYS);
	assert_int_equal(futex(PRIV, 77, 5, 0, 0, 0), -ENOSYS);
	assert_int_equal(futex(PRIV, REQUEUE, (u32)-1, 1, PRIV + 8, 0), -EINVAL);
	assert_int_equal(futex(PRIV, CMP_REQUEUE, 1, 1, PRIV + 8, 4), -EAGAIN);
	assert_int_equal(futex(PRIV, CMP_REQUEUE, 1, 1, PRIV + 8, 5), 0);
	assert_int_equal(copy_to_mm(mm, PRIV + 64, past, 16), 0);
	assert_int_equal(copy_to_mm(mm, PRIV + 80, bad, 16), 0);
	assert_int_equal(copy_to_mm(mm, PRIV + 96, negative, 16), 0);
	assert_int_equal(futex(PRIV, WAIT, 5, PRIV + 64, 0, 0), -ETIMEDOUT);
	assert_int_equal(futex(PRIV, WAIT_BITSET, 5, PRIV + 64, 0, ~0u), -ETIMEDOUT);
	assert_int_equal(futex(PRIV, WAIT_BITSET | REALTIME, 5, PRIV + 64, 0, ~0u), -ETIMEDOUT);
	assert_int_equal(futex(PRIV, WAIT, 6, PRIV + 64, 0, 0), -EAGAIN);
	assert_int_equal(futex(PRIV, WAIT, 5, PRIV + 80, 0, 0), -EINVAL);
	assert_int_equal(futex(PRIV, WAIT, 5, PRIV + 96, 0, 0), -EINVAL);
	assert_int_equal(futex(PRIV, WAIT, 5, 0x5000, 0, 0), -EFAULT);
}

static void wait_and_wake(unsigned long addr, int flags)
{
	struct call c[3];

	put32(mm, addr, 1);
	for (unsigned int i = 0; i < 3; i++) {
		start_call(&c[i], i + 1, &self, mm, addr, WAIT | flags, 1);
	}
	assert_int_equal(futex(addr + 4, WAKE | flags, 9, 0, 0, 0), 0);
	assert_int_equal(futex(addr, WAKE | (flags ^ PRIVATE), 9, 0, 0, 0), 0);
	assert_int_equal(futex(addr, WAKE | flags, 0, 0, 0, 0), 1);
	await(&c[0].done);
	assert_false(is_done(&c[1]));
	assert_false(is_done(&c[2]));
	assert_int_equal(futex(addr, WAKE | flags, 9, 0, 0, 0), 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(end_call(&c[i]), 0);
}

static void test_wait_wake(void **state)
{
	(void)state;
	wait_and_wake(PRIV, PRIVATE);
	wait_and_wake(PRIV + 64, 0);
	wait_and_wake(SHARE, 0);
	wait_and_wake(SHARE + 5 * PAGE_SIZE + 12, PRIVATE);
}

static void test_bitset(void **state)
{
	struct call a, b;

	(void)state;
	prepare_call(&a, 1, &self, mm, PRIV, WAIT_BITSET, 0);
	a.val3 = 1;
	launch_call(&a);
	prepare_call(&b, 2, &self, mm, PRIV, WAIT_BITSET, 0);
	b.val3 = 6;
	launch_call(&b);
	assert_int_equal(futex(PRIV, WAKE_BITSET, 9, 0, 0, 8), 0);
	assert_int_equal(futex(PRIV, WAKE_BITSET, 9, 0, 0, 4), 1);
	assert_int_equal(end_call(&b), 0);
	assert_false(is_done(&a));
	assert_int_equal(futex(PRIV, WAKE, 9, 0, 0, 0), 1);
	assert_int_equal(end_call(&a), 0);
}

static void test_interrupted(void **state)
{
	const u64 hour[2] = { 3600, 0 }, far[2] = { 1ULL << 60, 0 };
	struct call a, b, c;

	(void)state;
	assert_int_equal(copy_to_mm(mm, PRIV + 64, hour, 16), 0);
	assert_int_equal(copy_to_mm(mm, PRIV + 80, far, 16), 0);
	start_call(&a, 1, &self, mm, PRIV, WAIT, 0);
	prepare_call(&b, 2, &self, mm, PRIV, WAIT, 0);
	b.timeout = PRIV + 64;
	launch_call(&b);
	prepare_call(&c, 3, &self, mm, PRIV, WAIT_BITSET, 0);
	c.timeout = PRIV + 80;
	launch_call(&c);
	interrupt_call(&a);
	interrupt_call(&b);
	interrupt_call(&c);
	assert_int_equal(end_call(&a), -ERESTARTSYS);
	assert_int_equal(end_call(&b), -ERESTART_RESTARTBLOCK);
	assert_int_equal(end_call(&c), -ERESTART_RESTARTBLOCK);
	assert_int_equal(futex(PRIV, WAKE, 9, 0, 0, 0), 0);
}

/* A process and its child: shared memory is one futex, private memory two, copied or not. */
static void test_keys_over_fork(void **state)
{
	struct mm_struct *child;
	struct test_task other;
	struct call a, b;

	(void)state;
	put32(mm, PRIV, 7);
	put32(mm, SHARE, 7);
	child = dup_mm(mm);
	up_write(&mm->mmap_lock);
	assert_false(IS_ERR(child));
	test_task_init(&other, NULL, child, 2000);

	start_call(&a, 1, NULL, child, SHARE, WAIT, 7);
	start_call(&b, 2, NULL, child, PRIV, WAIT, 7);
	assert_int_equal(futex(PRIV, WAKE, 9, 0, 0, 0), 0);
	assert_int_equal(futex(SHARE, WAKE, 9, 0, 0, 0), 1);
	assert_int_equal(end_call(&a), 0);
	put32(child, PRIV, 8);
	assert_int_equal(do_futex(&other.task, PRIV, WAKE, 9, 0, 0, 0), 1);
	assert_int_equal(end_call(&b), 0);
	/* The parent's word is its own still. */
	assert_int_equal(futex(PRIV, WAIT, 8, 0, 0, 0), -EAGAIN);
	test_task_exit(&other);
	mmput(child);
}

/* ---- Requeue and wake-op ------------------------------------------------------------------------- */

static void requeue(unsigned long from, unsigned long to)
{
	struct call c[4];

	put32(mm, from, 3);
	for (unsigned int i = 0; i < 4; i++) {
		start_call(&c[i], i + 1, &self, mm, from, WAIT, 3);
	}
	assert_int_equal(futex(from, CMP_REQUEUE, 1, 2, to, 4), -EAGAIN);
	assert_int_equal(futex(from, CMP_REQUEUE, 1, 2, to, 3), 3);
	await(&c[0].done);
	assert_false(is_done(&c[1]));
	assert_false(is_done(&c[3]));
	assert_int_equal(futex(from, WAKE, 9, 0, 0, 0), 1);
	assert_int_equal(end_call(&c[3]), 0);
	assert_true(!is_done(&c[1]) && !is_done(&c[2]));
	interrupt_call(&c[1]);
	assert_int_equal(end_call(&c[1]), -ERESTARTSYS);
	assert_int_equal(futex(to, WAKE, 9, 0, 0, 0), 1);
	assert_int_equal(end_call(&c[0]), 0);
	assert_int_equal(end_call(&c[2]), 0);
}

static void test_requeue(void **state)
{
	(void)state;
	requeue(PRIV, PRIV + 4);
	requeue(PRIV, SHARE);
	requeue(SHARE, PRIV + 8);
	requeue(SHARE + 4, SHARE + 3 * PAGE_SIZE);
}

static u32 encode(u32 op, u32 cmp, u32 oparg, u32 cmparg)
{
	return op << 28 | cmp << 24 | (oparg & 0xfff) << 12 | (cmparg & 0xfff);
}

static void test_wake_op(void **state)
{
	static const struct {
		u32 op, oparg, before, after;
	} ops[] = {
		{ 0, 9, 5, 9 }, { 1, 3, 5, 8 }, { 1, (u32)-3, 5, 2 }, { 2, 6, 5, 7 },
		{ 3, 4, 5, 1 }, { 4, 7, 5, 2 }, { 8, 4, 5, 16 },      { 9, 4, 5, 21 },
	};
	static const struct {
		u32 cmp, arg;
		bool passes;
	} compares[] = { { 0, 5, true },  { 0, 6, false }, { 1, 5, false },
			 { 2, 6, true },  { 3, 5, true },  { 4, 4, true },
			 { 4, 5, false }, { 5, 5, true },  { 4, (u32)-1, true } };
	struct call a, b;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		put32(mm, PRIV + 4, ops[i].before);
		assert_int_equal(
			futex(PRIV, WAKE_OP, 1, 1, PRIV + 4, encode(ops[i].op, 0, ops[i].oparg, 0)),
			0);
		assert_int_equal(get32(mm, PRIV + 4), ops[i].after);
	}
	for (size_t i = 0; i < ARRAY_SIZE(compares); i++) {
		put32(mm, PRIV, 1);
		put32(mm, PRIV + 4, 5);
		start_call(&a, 1, &self, mm, PRIV, WAIT, 1);
		start_call(&b, 2, &self, mm, PRIV + 4, WAIT, 5);
		assert_int_equal(futex(PRIV, WAKE_OP, 1, 1, PRIV + 4,
				       encode(0, compares[i].cmp, 0, compares[i].arg)),
				 1 + compares[i].passes);
		assert_int_equal(futex(PRIV + 4, WAKE, 1, 0, 0, 0), !compares[i].passes);
		assert_int_equal(end_call(&a), 0);
		assert_int_equal(end_call(&b), 0);
	}
	assert_int_equal(futex(PRIV, WAKE_OP, 1, 1, PRIV + 4, encode(5, 0, 0, 0)), -ENOSYS);
	assert_int_equal(futex(PRIV, WAKE_OP, 1, 1, PRIV + 4, encode(0, 6, 0, 0)), -ENOSYS);
	assert_int_equal(futex(PRIV, WAKE_OP | PRIVATE, 1, 1, 0x5000, encode(0, 0, 0, 0)), -EFAULT);
}

/* The word's page is shared after fork, so it must be copied before the operation. */
static void test_wake_op_cow(void **state)
{
	struct mm_struct *child;

	(void)state;
	put32(mm, PRIV, 5);
	child = dup_mm(mm);
	up_write(&mm->mmap_lock);
	assert_int_equal(futex(PRIV, WAKE_OP, 1, 1, PRIV, encode(1, 0, 1, 0)), 0);
	assert_int_equal(get32(mm, PRIV), 6);
	assert_int_equal(get32(child, PRIV), 5);
	mmput(child);
}

/* ---- Several at once --------------------------------------------------------------------------------- */

struct waitv {
	u64 val, uaddr;
	u32 flags, reserved;
};

static long waitv_ret;

static void *run_waitv(void *arg)
{
	struct call *c = arg;

	soft_cpu_enter(c->cpu);
	current_test_task = &c->task;
	waitv_ret = do_futex_waitv(&c->task.task, PRIV + 0x1000, 3, 0, 0, 1);
	return NULL;
}

static void test_waitv(void **state)
{
	struct waitv v[3] = { { 0, PRIV, 2, 0 }, { 0, PRIV + 4, 2 | 128, 0 }, { 0, SHARE, 2, 0 } };
	const unsigned long at = PRIV + 0x1000;
	const u64 past[2] = { 0, 1 };
	struct call c;

	(void)state;
	assert_int_equal(copy_to_mm(mm, PRIV + 0x2000, past, 16), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(copy_to_mm(mm, at, v, sizeof(v)), 0);
		memset(&c, 0, sizeof(c));
		c.cpu = 1;
		test_task_init(&c.task, &self, mm, 1001);
		assert_int_equal(pthread_create(&c.thread, NULL, run_waitv, &c), 0);
		await(&c.task.asleep);
		assert_int_equal(futex(v[i].uaddr, WAKE | (i == 1 ? PRIVATE : 0), 1, 0, 0, 0), 1);
		end_call(&c);
		assert_int_equal(waitv_ret, i);
	}
	assert_int_equal(do_futex_waitv(&self.task, at, 3, 0, PRIV + 0x2000, 1), -ETIMEDOUT);
	assert_int_equal(do_futex_waitv(&self.task, at, 3, 0, PRIV + 0x2000, 5), -EINVAL);
	assert_int_equal(do_futex_waitv(&self.task, at, 3, 1, 0, 1), -EINVAL);
	assert_int_equal(do_futex_waitv(&self.task, at, 0, 0, 0, 1), -EINVAL);
	assert_int_equal(do_futex_waitv(&self.task, at, 129, 0, 0, 1), -EINVAL);
	assert_int_equal(do_futex_waitv(&self.task, 0x5000, 3, 0, 0, 1), -EFAULT);
	v[2].val = 1;
	assert_int_equal(copy_to_mm(mm, at, v, sizeof(v)), 0);
	assert_int_equal(do_futex_waitv(&self.task, at, 3, 0, 0, 1), -EAGAIN);
	v[2].reserved = 1;
	assert_int_equal(copy_to_mm(mm, at, v, sizeof(v)), 0);
	assert_int_equal(do_futex_waitv(&self.task, at, 3, 0, 0, 1), -EINVAL);
	v[2] = (struct waitv){ 0, 0x5000, 2, 0 };
	assert_int_equal(copy_to_mm(mm, at, v, sizeof(v)), 0);
	assert_int_equal(do_futex_waitv(&self.task, at, 3, 0, 0, 1), -EFAULT);
	assert_int_equal(futex(PRIV, WAKE, 9, 0, 0, 0), 0);
}

/* ---- PI ------------------------------------------------------------------------------------------------ */

static void test_pi_alone(void **state)
{
	(void)state;
	assert_int_equal(futex(PRIV, LOCK_PI, 0, 0, 0, 0), 0);
	assert_int_equal(get32(mm, PRIV), 1000);
	assert_int_equal(futex(PRIV, LOCK_PI, 0, 0, 0, 0), -EDEADLK);
	assert_int_equal(futex(PRIV, UNLOCK_PI, 0, 0, 0, 0), 0);
	assert_int_equal(get32(mm, PRIV), 0);
	assert_int_equal(futex(PRIV, UNLOCK_PI, 0, 0, 0, 0), -EPERM);
	put32(mm, PRIV, OWNER_DIED);
	assert_int_equal(futex(PRIV, TRYLOCK_PI, 0, 0, 0, 0), 0);
	assert_int_equal(get32(mm, PRIV), OWNER_DIED | 1000);
	put32(mm, PRIV, 4242);
	assert_int_equal(futex(PRIV, LOCK_PI, 0, 0, 0, 0), -ESRCH);
	assert_int_equal(futex(0x5000, LOCK_PI | PRIVATE, 0, 0, 0, 0), -EFAULT);
	assert_int_equal(futex(0x5000, UNLOCK_PI, 0, 0, 0, 0), -EFAULT);
}

static void test_pi_handover(void **state)
{
	const u64 past[2] = { 0, 1 };
	struct call a, b;

	(void)state;
	assert_int_equal(copy_to_mm(mm, PRIV + 64, past, 16), 0);
	put32(mm, PRIV, 1000);
	start_call(&a, 1, &self, mm, PRIV, LOCK_PI, 0);
	assert_int_equal(get32(mm, PRIV), WAITERS | 1000);
	start_call(&b, 2, &self, mm, PRIV, LOCK_PI2, 0);
	assert_int_equal(futex(PRIV, WAKE, 1, 0, 0, 0), -EINVAL);
	assert_int_equal(futex(PRIV, UNLOCK_PI, 0, 0, 0, 0), 0);
	assert_int_equal(get32(mm, PRIV), WAITERS | 1001);
	await(&a.done);
	assert_false(is_done(&b));
	assert_int_equal(futex(PRIV, TRYLOCK_PI, 0, 0, 0, 0), -EAGAIN);
	assert_int_equal(futex(PRIV, LOCK_PI, 0, PRIV + 64, 0, 0), -ETIMEDOUT);
	assert_int_equal(do_futex(&a.task.task, PRIV, UNLOCK_PI, 0, 0, 0, 0), 0);
	assert_int_equal(get32(mm, PRIV), WAITERS | 1002);
	assert_int_equal(end_call(&a), 0);
	await(&b.done);
	assert_int_equal(do_futex(&b.task.task, PRIV, UNLOCK_PI, 0, 0, 0, 0), 0);
	assert_int_equal(get32(mm, PRIV), 0);
	assert_int_equal(end_call(&b), 0);
}

static void test_pi_interrupted(void **state)
{
	struct call a;

	(void)state;
	put32(mm, PRIV, 1000);
	start_call(&a, 1, &self, mm, PRIV, LOCK_PI, 0);
	interrupt_call(&a);
	assert_int_equal(end_call(&a), -ERESTARTNOINTR);
	assert_int_equal(futex(PRIV, UNLOCK_PI, 0, 0, 0, 0), 0);
	assert_int_equal(get32(mm, PRIV), 0);
}

/* The owner dies without a word: those who wait inherit, one after the other. */
static void test_pi_owner_dies(void **state)
{
	struct test_task owner;
	struct call a, b;

	(void)state;
	test_task_init(&owner, &self, mm, 1009);
	put32(mm, SHARE, 1009);
	start_call(&a, 1, &self, mm, SHARE, LOCK_PI, 0);
	start_call(&b, 2, &self, mm, SHARE, LOCK_PI, 0);
	test_task_exit(&owner);
	await(&a.done);
	assert_false(is_done(&b));
	assert_int_equal(get32(mm, SHARE), WAITERS | OWNER_DIED | 1001);
	assert_int_equal(end_call(&a), 0);
	await(&b.done);
	assert_int_equal(get32(mm, SHARE), WAITERS | OWNER_DIED | 1002);
	assert_int_equal(end_call(&b), 0);
}

/* ---- Exit -------------------------------------------------------------------------------------------- */

/* head, offset, pending; then entries of { next, futex word } */
static void set_robust(struct test_task *t, unsigned long first, unsigned long pending)
{
	const unsigned long head[3] = { first, 8, pending };

	assert_int_equal(copy_to_mm(mm, PRIV + 0x3000, head, sizeof(head)), 0);
	t->task.robust_list = PRIV + 0x3000;
}

static unsigned long entry_at(int i)
{
	return PRIV + 0x3100 + i * 16;
}

static void set_entry(int i, unsigned long next, u32 word)
{
	assert_int_equal(copy_to_mm(mm, entry_at(i), &next, sizeof(next)), 0);
	put32(mm, entry_at(i) + 8, word);
}

static void test_robust_list(void **state)
{
	struct test_task t;
	struct call a;

	(void)state;
	test_task_init(&t, &self, mm, 1009);
	set_entry(0, entry_at(1), 1009);
	set_entry(1, entry_at(2), 1008 | WAITERS);
	set_entry(2, PRIV + 0x3000, 1009 | WAITERS);
	set_entry(3, 0, 1009);
	set_robust(&t, entry_at(0), entry_at(3));
	start_call(&a, 1, &self, mm, entry_at(2) + 8, WAIT, 1009 | WAITERS);
	test_task_exit(&t);
	assert_int_equal(end_call(&a), 0);
	assert_int_equal(get32(mm, entry_at(0) + 8), OWNER_DIED);
	assert_int_equal(get32(mm, entry_at(1) + 8), 1008 | WAITERS);
	assert_int_equal(get32(mm, entry_at(2) + 8), OWNER_DIED | WAITERS);
	assert_int_equal(get32(mm, entry_at(3) + 8), OWNER_DIED);
}

/* Lists that lead nowhere, in circles, or over misaligned words end. */
static void test_robust_hostile(void **state)
{
	struct test_task t;

	(void)state;
	for (int i = 0; i < 6; i++) {
		test_task_init(&t, &self, mm, 1009);
		set_entry(0, entry_at(0), 1009);
		set_entry(1, 0x5000, 1009);
		set_entry(2, ~0UL, 1009);
		switch (i) {
		case 0:
			t.task.robust_list = 0x5000;
			break;
		case 1:
			set_robust(&t, entry_at(0), 0);
			break;
		case 2:
			set_robust(&t, entry_at(1), 0x5001);
			break;
		case 3:
			set_robust(&t, entry_at(2), ~0UL);
			break;
		case 4:
			set_robust(&t, entry_at(0) + 3, 0);
			break;
		default:
			t.task.robust_list = ~0UL - 4;
			t.task.clear_child_tid = ~0UL - 1;
			break;
		}
		test_task_exit(&t);
	}
}

/* A PI lock in the list: whoever waits gets it marked. */
static void test_robust_pi(void **state)
{
	struct test_task t;
	struct call a;

	(void)state;
	test_task_init(&t, &self, mm, 1009);
	set_entry(0, PRIV + 0x3000, 1009);
	set_robust(&t, entry_at(0) | 1, 0);
	start_call(&a, 1, &self, mm, entry_at(0) + 8, LOCK_PI, 0);
	test_task_exit(&t);
	pthread_join(a.thread, NULL);
	assert_int_equal(a.ret, 0);
	assert_int_equal(get32(mm, entry_at(0) + 8), WAITERS | OWNER_DIED | 1001);
	test_task_exit(&a.task);
}

static void test_clear_child_tid(void **state)
{
	struct test_task t;
	struct call a;

	(void)state;
	put32(mm, PRIV, 1009);
	test_task_init(&t, &self, mm, 1009);
	t.task.clear_child_tid = PRIV;
	start_call(&a, 1, &self, mm, PRIV, WAIT, 1009);
	test_task_exit(&t);
	assert_int_equal(end_call(&a), 0);
	assert_int_equal(get32(mm, PRIV), 0);
}

/* ---- Races --------------------------------------------------------------------------------------------- */

#define ROUNDS 3000

/* A mutex of the usual three-state kind over private futexes, under contention and fork. */
static void lock_mutex(struct test_task *t, unsigned long addr)
{
	u32 c = 0;

	cmpxchg_user_u32(mm, addr, &c, 1);
	if (!c)
		return;
	for (;;) {
		u32 seen;

		do {
			seen = get32(mm, addr);
			c = seen;
			if (cmpxchg_user_u32(mm, addr, &c, 2))
				abort();
		} while (c != seen);
		if (!seen)
			return;
		do_futex(&t->task, addr, WAIT | PRIVATE, 2, 0, 0, 0);
	}
}

static void unlock_mutex(struct test_task *t, unsigned long addr)
{
	u32 seen, c;

	do {
		seen = get32(mm, addr);
		c = seen;
		if (cmpxchg_user_u32(mm, addr, &c, 0))
			abort();
	} while (c != seen);
	if (seen == 2)
		do_futex(&t->task, addr, WAKE | PRIVATE, 1, 0, 0, 0);
}

static void *run_mutex(void *arg)
{
	struct call *c = arg;

	soft_cpu_enter(c->cpu);
	current_test_task = &c->task;
	for (int i = 0; i < ROUNDS; i++) {
		u32 v;

		lock_mutex(&c->task, PRIV);
		v = get32(mm, PRIV + 4);
		put32(mm, PRIV + 4, v + 1);
		unlock_mutex(&c->task, PRIV);
	}
	return NULL;
}

static void test_mutex_race(void **state)
{
	struct call c[6];

	(void)state;
	put32(mm, PRIV, 0);
	for (unsigned int i = 0; i < 6; i++) {
		memset(&c[i], 0, sizeof(c[i]));
		c[i].cpu = i + 1;
		test_task_init(&c[i].task, &self, mm, 1001 + (pid_t)i);
		assert_int_equal(pthread_create(&c[i].thread, NULL, run_mutex, &c[i]), 0);
	}
	/* Copy-on-write below the waiters, again and again. */
	for (int i = 0; i < 200; i++) {
		struct mm_struct *child = dup_mm(mm);

		up_write(&mm->mmap_lock);
		usleep(500);
		mmput(child);
	}
	for (int i = 0; i < 6; i++)
		end_call(&c[i]);
	assert_int_equal(get32(mm, PRIV + 4), 6 * ROUNDS);
}

static void *run_pi(void *arg)
{
	struct call *c = arg;

	soft_cpu_enter(c->cpu);
	current_test_task = &c->task;
	for (int i = 0; i < ROUNDS; i++) {
		u32 v, old = 0;

		cmpxchg_user_u32(mm, SHARE, &old, (u32)c->task.task.pid);
		if (old && futex(SHARE, LOCK_PI, 0, 0, 0, 0))
			abort();
		v = get32(mm, SHARE + 4);
		put32(mm, SHARE + 4, v + 1);
		old = (u32)c->task.task.pid;
		cmpxchg_user_u32(mm, SHARE, &old, 0);
		if (old != (u32)c->task.task.pid && futex(SHARE, UNLOCK_PI, 0, 0, 0, 0))
			abort();
	}
	return NULL;
}

static void test_pi_race(void **state)
{
	struct call c[5];

	(void)state;
	for (unsigned int i = 0; i < 5; i++) {
		memset(&c[i], 0, sizeof(c[i]));
		c[i].cpu = i + 1;
		test_task_init(&c[i].task, &self, mm, 1001 + (pid_t)i);
		assert_int_equal(pthread_create(&c[i].thread, NULL, run_pi, &c[i]), 0);
	}
	for (int i = 0; i < 5; i++)
		end_call(&c[i]);
	assert_int_equal(get32(mm, SHARE + 4), 5 * ROUNDS);
	assert_int_equal(get32(mm, SHARE) & ~WAITERS, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arguments, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_wait_wake, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_bitset, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_interrupted, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_keys_over_fork, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_requeue, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_wake_op, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_wake_op_cow, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_waitv, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pi_alone, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pi_handover, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pi_interrupted, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pi_owner_dies, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_robust_list, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_robust_hostile, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_robust_pi, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_clear_child_tid, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_mutex_race, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pi_race, machine_up, machine_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
