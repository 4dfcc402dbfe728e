/* SPDX-License-Identifier: MIT */
/*
 * dump.c - quire run --dump-page-tables: what a process's page tables are when it leaves its memory, by exec
 * or by its end. One dump at a time, so that each stands together in the file.
 */
#include <quire/kernel.h>

#include "native.h"

static struct mutex dump_lock;

void dump_init(void)
{
	mutex_init(&dump_lock);
}

static void write_dump(const char *text, size_t len)
{
	while (len) {
		long n = host_syscall(__NR_write, machine_params.dump_fd, text, len);

		if (n <= 0 && n != -EINTR)
			return;
		text += max(n, 0L);
		len -= (size_t)max(n, 0L);
	}
}

/* Who has been killed from outside only gives back what it held. */
void dump_image(struct native_task *t, struct mm_struct *mm, const char *when)
{
	if (machine_params.dump_fd < 0 || t->adopted || atomic_read(&mm->mm_users) > 1)
		return;
	mutex_lock(&dump_lock);
	if (dump_page_tables(&t->task, mm, when, write_dump))
		write_dump("(no memory for more)\n\n", 22);
	mutex_unlock(&dump_lock);
}
