/* SPDX-License-Identifier: MIT */
/*
 * calls.h - what the table of system calls takes from other files.
 *
 * args are the six raw arguments of the call; the result is Linux's. No lock held; may sleep.
 */
#ifndef LINUX_CALLS_H
#define LINUX_CALLS_H

#include <quire/sched.h>

/* numa.c */
long numa_get_mempolicy(struct task_struct *task, const unsigned long *args);
long numa_set_mempolicy(struct task_struct *task, const unsigned long *args);
long numa_mbind(struct task_struct *task, const unsigned long *args);
long numa_set_home_node(struct task_struct *task, const unsigned long *args);
long numa_move_pages(struct task_struct *task, const unsigned long *args);
long numa_migrate_pages(struct task_struct *task, const unsigned long *args);

/* membarrier.c */
long membarrier_call(struct task_struct *task, const unsigned long *args);

#endif
