/* SPDX-License-Identifier: MIT */
/*
 * commit.c - how much memory programs are promised: vm_committed_as against the limit of the policy.
 *
 *	OVERCOMMIT_GUESS	no single promise may be larger than RAM and swap together
 *	OVERCOMMIT_ALWAYS	everything is promised
 *	OVERCOMMIT_NEVER	all promises together stay below a part of RAM, and swap; a little is kept for
 *				the administrator, and for what a large program's user needs to end it
 *
 * Private writable VMAs are promises (VM_ACCOUNT) of their size, shared objects of theirs while they live.
 */
#include <quire/kernel.h>
#include <quire/machine.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/swap.h>
#include <quire/vmstat.h>

#include "vma.h"

#define KB_TO_PAGES(kb) ((kb) >> (PAGE_SHIFT - 10))

atomic_long_t vm_committed_as;
int sysctl_overcommit_memory = OVERCOMMIT_GUESS;
int sysctl_overcommit_ratio = 50;
unsigned long sysctl_overcommit_kbytes;
unsigned long sysctl_user_reserve_kbytes;
unsigned long sysctl_admin_reserve_kbytes;

void commit_init(void)
{
	unsigned long free_kb = nr_free_pages() << (PAGE_SHIFT - 10);

	atomic_long_set(&vm_committed_as, 0);
	sysctl_user_reserve_kbytes = min(free_kb / 32, 1UL << 17);
	sysctl_admin_reserve_kbytes = min(free_kb / 32, 1UL << 13);
}

unsigned long vm_commit_limit(void)
{
	unsigned long kbytes = READ_ONCE(sysctl_overcommit_kbytes);

	if (kbytes)
		return KB_TO_PAGES(kbytes) + READ_ONCE(total_swap_pages);
	return totalram_pages() * (unsigned long)READ_ONCE(sysctl_overcommit_ratio) / 100 +
	       READ_ONCE(total_swap_pages);
}

/* Whether what has been promised, the latest promise to mm included, is within the limit. */
static bool within_commit_limit(const struct mm_struct *mm)
{
	long allowed = (long)vm_commit_limit();

	if (!machine_capable(CAP_SYS_ADMIN))
		allowed -= (long)KB_TO_PAGES(READ_ONCE(sysctl_admin_reserve_kbytes));
	if (mm)
		allowed -= (long)min(mm->total_vm / 32,
				     KB_TO_PAGES(READ_ONCE(sysctl_user_reserve_kbytes)));
	return atomic_long_read(&vm_committed_as) < allowed;
}

int vm_enough_memory(struct mm_struct *mm, unsigned long pages)
{
	bool enough = true;

	vm_acct_memory(pages);
	switch (READ_ONCE(sysctl_overcommit_memory)) {
	case OVERCOMMIT_ALWAYS:
		break;
	case OVERCOMMIT_GUESS:
		enough = pages <= totalram_pages() + READ_ONCE(total_swap_pages);
		break;
	default:
		enough = within_commit_limit(mm);
	}
	if (!enough)
		vm_unacct_memory(pages);
	return enough ? 0 : -ENOMEM;
}
