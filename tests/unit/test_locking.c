/* SPDX-License-Identifier: MIT */
/* The sleeping locks among threads; a lost wake-up would show as a test that does not end. */
#include <unistd.h>

#include "soft_fixture.h"

#include <quire/errno.h>
#include <quire/fs.h>
#include <quire/spinlock.h>

#define THREADS 4
#define ROUNDS 20000

static struct mutex mutex;
static struct rw_semaphore sem;
static unsigned long shared[2]; /* equal whenever nobody is inside */
static u32 readers_inside, writers_inside, readers_together;

static void power_up(void)
{
	assert_int_equal(soft_init(32 * MiB, THREADS), 0);
	mutex_init(&mutex);
	init_rwsem(&sem);
	memset(shared, 0, sizeof(shared));
	readers_inside = writers_inside = readers_together = 0;
}

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void change_shared(unsigned int rounds)
{
	check(shared[0] == shared[1]);
	shared[0]++;
	for (unsigned int i = 0; i < rounds; i++)
		machine_relax(i);
	shared[1]++;
}

static void use_mutex(unsigned int cpu, void *arg)
{
	u64 seed = 11 + cpu;

	(void)arg;
	for (int i = 0; i < ROUNDS; i++) {
		if (rng_below(&seed, 4) || !mutex_trylock(&mutex))
			mutex_lock(&mutex);
		change_shared((unsigned int)rng_below(&seed, 100));
		mutex_unlock(&mutex);
	}
}

static void a_mutex_excludes(void **state)
{
	(void)state;
	power_up();
	on_cpus(THREADS, use_mutex, NULL);
	assert_int_equal(shared[0], THREADS * ROUNDS);
	assert_int_equal(shared[1], THREADS * ROUNDS);
	assert_true(mutex_trylock(&mutex));
	assert_false(mutex_trylock(&mutex));
	mutex_unlock(&mutex);
}

static void read_inside(u64 *seed)
{
	u32 inside = __atomic_add_fetch(&readers_inside, 1, __ATOMIC_SEQ_CST);

	check(!__atomic_load_n(&writers_inside, __ATOMIC_SEQ_CST));
	if (inside > 1)
		__atomic_store_n(&readers_together, 1, __ATOMIC_RELAXED);
	check(shared[0] == shared[1]);
	for (unsigned int i = 0; i < rng_below(seed, 100); i++)
		machine_relax(i);
	__atomic_sub_fetch(&readers_inside, 1, __ATOMIC_SEQ_CST);
}

static void write_inside(u64 *seed)
{
	check(__atomic_add_fetch(&writers_inside, 1, __ATOMIC_SEQ_CST) == 1);
	check(!__atomic_load_n(&readers_inside, __ATOMIC_SEQ_CST));
	change_shared((unsigned int)rng_below(seed, 50));
	__atomic_sub_fetch(&writers_inside, 1, __ATOMIC_SEQ_CST);
}

static void use_rwsem(unsigned int cpu, void *arg)
{
	u64 seed = 21 + cpu;
	unsigned long *writes = arg;

	for (int i = 0; i < ROUNDS; i++) {
		bool downgrade = rng_below(&seed, 4) == 0;

		if (rng_below(&seed, 4)) {
			if (rng_below(&seed, 4) || !down_read_trylock(&sem))
				down_read(&sem);
			read_inside(&seed);
			up_read(&sem);
			continue;
		}
		down_write(&sem);
		write_inside(&seed);
		writes[cpu]++;
		if (downgrade) {
			downgrade_write(&sem);
			read_inside(&seed);
			up_read(&sem);
		} else {
			up_write(&sem);
		}
	}
}

static void an_rwsem_lets_in_readers_or_one_writer(void **state)
{
	unsigned long writes[THREADS] = { 0 };
	unsigned long sum = 0;

	(void)state;
	power_up();
	on_cpus(THREADS, use_rwsem, writes);
	for (int i = 0; i < THREADS; i++)
		sum += writes[i];
	assert_int_equal(shared[0], sum);
	assert_true(readers_together);
	assert_int_equal(sem.count, 0);
	assert_int_equal(sem.waiters_w, 0);
}

static u32 writer_done;

static void *wait_to_write(void *arg)
{
	(void)arg;
	soft_cpu_enter(1);
	down_write(&sem);
	__atomic_store_n(&writer_done, 1, __ATOMIC_SEQ_CST);
	up_write(&sem);
	return NULL;
}

static void a_waiting_writer_keeps_new_readers_out(void **state)
{
	pthread_t writer;

	(void)state;
	power_up();
	writer_done = 0;
	down_read(&sem);
	assert_true(down_read_trylock(&sem));
	up_read(&sem);
	pthread_create(&writer, NULL, wait_to_write, NULL);
	for (unsigned int spins = 0; down_read_trylock(&sem); spins++) {
		up_read(&sem);
		machine_relax(63);
	}
	assert_int_equal(__atomic_load_n(&writer_done, __ATOMIC_SEQ_CST), 0);
	up_read(&sem);
	down_read(&sem);
	up_read(&sem);
	pthread_join(writer, NULL);
	assert_int_equal(writer_done, 1);
	down_write(&sem);
	assert_false(down_read_trylock(&sem));
	downgrade_write(&sem);
	assert_true(down_read_trylock(&sem));
	up_read(&sem);
	up_read(&sem);
}

static void waiting_ends_by_time_and_by_value(void **state)
{
	u32 word = 5;

	(void)state;
	power_up();
	assert_int_equal(machine_wait(&word, 4, MACHINE_WAIT_FOREVER), 0);
	assert_int_equal(machine_wait(&word, 5, 1000000), -ETIMEDOUT);
}

/* An interrupt finds its CPU only between machine_irq_restore() and machine_irq_save(). */
static u32 irq_work[THREADS];
static u32 interrupts, stop;

static void count_interrupt(void *arg)
{
	u32 *work = &irq_work[machine_cpu_id()];
	unsigned long flags = machine_irq_save();

	(void)arg;
	check(!*work);
	interrupts++;
	machine_irq_restore(flags);
}

static void send_or_take_interrupts(unsigned int cpu, void *arg)
{
	(void)arg;
	if (cpu == 0) {
		for (int i = 0; i < 2000; i++) {
			machine_ipi(~0ull, count_interrupt, NULL);
			machine_relax(63);
		}
		__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
		return;
	}
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		unsigned long outer = machine_irq_save(), inner = machine_irq_save();

		irq_work[cpu] = 1;
		machine_irq_restore(inner);
		irq_work[cpu] = 0;
		machine_irq_restore(outer);
	}
}

static void interrupts_wait_until_they_are_on(void **state)
{
	(void)state;
	power_up();
	interrupts = stop = 0;
	on_cpus(2, send_or_take_interrupts, NULL);
	assert_int_equal(interrupts, 2000 * (THREADS - 1));
}

/* ---- The order, which debug builds check ---------------------------------------------------- */

#ifdef CONFIG_DEBUG_VM
static struct mm_struct one, other;
static struct address_space file;

static void order_reset(void)
{
	machine_held_locks()->nr = 0;
	memset(&one, 0, sizeof(one));
	memset(&other, 0, sizeof(other));
	memset(&file, 0, sizeof(file));
}

static void wrong_order(void)
{
	struct address_space *mapping = &file;

	mutex_lock(&mapping->lock);
	down_read(&one.mmap_lock);
}

static void taken_twice(void)
{
	spin_lock(&one.page_table_lock);
	spin_lock(&one.page_table_lock);
}

static void asleep_with_a_spinlock(void)
{
	spin_lock(&one.page_table_lock);
	alloc_page(GFP_KERNEL);
}

static void a_wrong_order_is_found(void **state)
{
	struct address_space *mapping = &file;

	(void)state;
	assert_int_equal(soft_init(16 << 20, 1), 0);
	order_reset();
	down_write(&one.mmap_lock);
	down_write(&other.mmap_lock); /* parent before child */
	mutex_lock(&mapping->lock);
	spin_lock(&one.page_table_lock);
	spin_unlock(&one.page_table_lock);
	up_write(&one.mmap_lock); /* in any order */
	mutex_unlock(&mapping->lock);
	up_write(&other.mmap_lock);
	/* What is only tried cannot hang. */
	spin_lock(&one.page_table_lock);
	assert_true(mutex_trylock(&mapping->lock));
	mutex_unlock(&mapping->lock);
	spin_unlock(&one.page_table_lock);
	assert_int_equal(machine_held_locks()->nr, 0);

	assert_panics((wrong_order(), 0), "taking mmap_lock while mapping->lock is held");
	order_reset();
	assert_panics((taken_twice(), 0), "again page_table_lock");
	order_reset();
	assert_panics((asleep_with_a_spinlock(), 0), "might sleep while page_table_lock is held");
	order_reset();
	assert_panics(({
			      up_read(&one.mmap_lock);
			      0;
		      }),
		      "is not held");
	order_reset();
	soft_exit();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		machine_test(a_mutex_excludes),
		machine_test(an_rwsem_lets_in_readers_or_one_writer),
		machine_test(a_waiting_writer_keeps_new_readers_out),
		machine_test(waiting_ends_by_time_and_by_value),
		machine_test(interrupts_wait_until_they_are_on),
#ifdef CONFIG_DEBUG_VM
		cmocka_unit_test(a_wrong_order_is_found),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
