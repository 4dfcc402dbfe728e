/* SPDX-License-Identifier: MIT */
/* ipc.h - System V shared memory (ipc_shm.c), for the table of system calls and /proc. */
#ifndef LINUX_IPC_H
#define LINUX_IPC_H

#include "proc.h"

/* The system calls of those names; results as Linux's. No lock held; may sleep. */
long ipc_shmget(struct task_struct *task, s32 key, unsigned long size, int flags);
long ipc_shmat(struct task_struct *task, int id, unsigned long addr, int flags);
long ipc_shmdt(struct task_struct *task, unsigned long addr);
long ipc_shmctl(struct task_struct *task, int id, int cmd, unsigned long ubuf);

/* Those of the VMAs of segments. */
const struct vm_operations_struct *shm_vm_ops(void);
/*
 * /proc/sys/kernel/shm*: largest segment in bytes, all of them together in pages, how many; whether
 * segments go with their last user or creator; the next identifier that is asked for, -1: any.
 */
extern unsigned long shm_ctlmax, shm_ctlall;
extern int shm_ctlmni, shm_rmid_forced, shm_next_id;
#define SHMMNI 4096
#define IPCMNI 32768 /* most that shm_ctlmni can be */
/* shm_rmid_forced was set: what has neither user nor creator goes. May sleep. */
void shm_destroy_orphaned(void);
void sysvipc_shm_show(struct seq_file *m);

#endif
