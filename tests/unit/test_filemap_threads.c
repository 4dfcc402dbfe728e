/* SPDX-License-Identifier: MIT */
/*
 * One file under several CPUs at once: programs load and store, fork and unmap, while it is
 * truncated, synced, refreshed and reclaimed. Every access is done or ends in SIGBUS, every
 * synced byte is one that was stored, and nothing is left at the end.
 */
#include "cache_fixture.h"

#define CPUS 4U
#define PAGES 64UL
#define SHARED 0x40000000UL
#define PRIVATE 0x80000000UL
#define STEPS 4000

static struct test_file tf;
static struct mm_struct *mms[2];

/* Page p of the file holds p + 1 everywhere, or zeros where it was cut off and grew again. */
static void program_step(struct mm_struct *mm, u64 r)
{
	unsigned long page = r % PAGES, addr = page * PAGE_SIZE + (r >> 8) % PAGE_SIZE;
	u8 byte = (u8)(page + 1);
	bool write = r >> 60 & 1;
	int signo = user_access(mm, (r >> 61 & 1 ? SHARED : PRIVATE) + addr, &byte, write);

	if (signo != 0 && signo != SIGBUS)
		abort();
	if (!signo && byte != 0 && byte != (u8)(page + 1))
		abort();
}

static void file_step(u64 r)
{
	struct address_space *mapping = &tf.inode->i_data;

	switch (r % 5) {
	case 0:
		truncate_setsize(tf.inode, (loff_t)((r >> 8) % (PAGES * PAGE_SIZE)));
		truncate_setsize(tf.inode, (loff_t)(PAGES * PAGE_SIZE));
		break;
	case 1:
		if (filemap_write_and_wait_range(mapping, (r >> 8) % PAGES, PAGES))
			abort();
		break;
	case 2:
		mutex_lock(&mapping->lock);
		filemap_refresh_range_locked(mapping, (loff_t)((r >> 8) % (PAGES * PAGE_SIZE)),
					     5000);
		mutex_unlock(&mapping->lock);
		break;
	case 3:
		mutex_lock(&mapping->lock);
		invalidate_mapping_locked(mapping);
		mutex_unlock(&mapping->lock);
		break;
	default:
		try_to_free_pages(GFP_KERNEL, (unsigned int)(r >> 8) % 6);
	}
}

static void space_step(struct mm_struct *mm, u64 r)
{
	struct mm_struct *child;

	switch (r % 4) {
	case 0:
		child = dup_mm(mm);
		up_write(&mm->mmap_lock);
		for (int i = 0; !IS_ERR(child) && i < 20; i++)
			program_step(child, rng_next(&r));
		if (!IS_ERR(child))
			mmput(child);
		break;
	case 1:
		do_madvise(mm, PRIVATE, PAGES * PAGE_SIZE, MADV_DONTNEED);
		break;
	case 2:
		do_mprotect(mm, SHARED + (r >> 8) % PAGES * PAGE_SIZE, PAGE_SIZE,
			    PROT_READ | PROT_WRITE | PROT_EXEC);
		break;
	default:
		do_msync(mm, SHARED, PAGES * PAGE_SIZE, MS_SYNC);
	}
}

static void work(unsigned int cpu, void *arg)
{
	u64 state = 88172645463325252ull + cpu;

	(void)arg;
	for (int i = 0; i < STEPS; i++) {
		u64 r = rng_next(&state);
		struct mm_struct *mm = mms[r >> 62 & 1];

		if (cpu == 0)
			file_step(r);
		else if (cpu == 1 && i % 8 == 0)
			space_step(mm, r);
		else
			program_step(mm, r);
	}
}

static void everything_at_once(void **state)
{
	struct counters before = counters_now();
	u8 *disk;

	(void)state;
	tf = test_file_new((loff_t)(PAGES * PAGE_SIZE));
	disk = disk_bytes(&tf);
	for (unsigned long i = 0; i < PAGES * PAGE_SIZE; i++)
		disk[i] = (u8)(i / PAGE_SIZE + 1);
	for (int i = 0; i < 2; i++) {
		mms[i] = mm_alloc();
		assert_int_equal(do_mmap(mms[i], tf.file, SHARED, PAGES * PAGE_SIZE,
					 PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, 0, NULL),
				 SHARED);
		assert_int_equal(do_mmap(mms[i], tf.file, PRIVATE, PAGES * PAGE_SIZE,
					 PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, 0, NULL),
				 PRIVATE);
	}
	on_cpus(CPUS, work, NULL);
	for (int i = 0; i < 2; i++)
		mmput(mms[i]);
	for (unsigned long i = 0; i < PAGES * PAGE_SIZE; i++)
		assert_true(disk[i] == 0 || disk[i] == (u8)(i / PAGE_SIZE + 1));
	test_file_put(&tf);
	assert_all_gone(&before);
}

static int boot_cpus(void **state)
{
	(void)state;
	return soft_init(32 << 20, CPUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_at_once),
	};

	return cmocka_run_group_tests(tests, boot_cpus, stop_machine);
}
