/* SPDX-License-Identifier: MIT */
/*
 * membarrier.c - membarrier(2): a barrier on one side makes barriers on the other superfluous.
 *
 * Which expedited commands an address space has registered for is a property of the mm, lost with it at
 * exec and inherited at fork. The barriers themselves are the machine's.
 */
#include "calls.h"

#include <quire/kernel.h>

enum {
	CMD_QUERY = 0,
	CMD_GLOBAL = 1 << 0,
	CMD_GLOBAL_EXPEDITED = 1 << 1,
	CMD_REGISTER_GLOBAL_EXPEDITED = 1 << 2,
	CMD_PRIVATE_EXPEDITED = 1 << 3,
	CMD_REGISTER_PRIVATE_EXPEDITED = 1 << 4,
	CMD_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 5,
	CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE = 1 << 6,
	CMD_GET_REGISTRATIONS = 1 << 9,
};

/* Bits 7 and 8 are for restartable sequences, which there are none of. */
#define ALL_COMMANDS                                                                  \
	(CMD_GLOBAL | CMD_GLOBAL_EXPEDITED | CMD_REGISTER_GLOBAL_EXPEDITED |          \
	 CMD_PRIVATE_EXPEDITED | CMD_REGISTER_PRIVATE_EXPEDITED |                     \
	 CMD_PRIVATE_EXPEDITED_SYNC_CORE | CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE | \
	 CMD_GET_REGISTRATIONS)

static long private_expedited(struct mm_struct *mm, int registration, bool sync_core)
{
	if (!(__atomic_load_n(&mm->membarrier_state, __ATOMIC_ACQUIRE) & registration))
		return -EPERM;
	machine_membarrier(mm, sync_core);
	return 0;
}

static long register_for(struct mm_struct *mm, int command)
{
	__atomic_fetch_or(&mm->membarrier_state, command, __ATOMIC_SEQ_CST);
	return 0;
}

long membarrier_call(struct task_struct *task, const unsigned long *args)
{
	struct mm_struct *mm = task->mm;
	int cmd = (int)args[0];

	if ((u32)args[1])
		return -EINVAL;
	switch (cmd) {
	case CMD_QUERY:
		return ALL_COMMANDS;
	case CMD_GLOBAL:
	case CMD_GLOBAL_EXPEDITED:
		machine_membarrier(NULL, false);
		return 0;
	case CMD_PRIVATE_EXPEDITED:
		return private_expedited(mm, CMD_REGISTER_PRIVATE_EXPEDITED, false);
	case CMD_PRIVATE_EXPEDITED_SYNC_CORE:
		return private_expedited(mm, CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, true);
	case CMD_REGISTER_GLOBAL_EXPEDITED:
	case CMD_REGISTER_PRIVATE_EXPEDITED:
	case CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		return register_for(mm, cmd);
	case CMD_GET_REGISTRATIONS:
		return __atomic_load_n(&mm->membarrier_state, __ATOMIC_ACQUIRE);
	default:
		return -EINVAL;
	}
}
