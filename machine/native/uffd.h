/* SPDX-License-Identifier: MIT */
/* uffd.h - userfaultfd descriptors, for who sees the calls on descriptors. */
#ifndef NATIVE_UFFD_H
#define NATIVE_UFFD_H

#include "native.h"

extern bool any_uffd; /* there has been one: until then no descriptor need be looked at */

/* userfaultfd(2), and the ioctl of /dev/userfaultfd that does the same. */
long uffd_sys_userfaultfd(struct native_task *t, const unsigned long *args);
long uffd_ioc_new(struct native_task *t, const unsigned long *args);
/* Calls whose first argument may be one; SYSCALL_NOT_OURS: it is not. */
long uffd_syscall(struct native_task *t, unsigned long nr, const unsigned long *args);
/* The keeper's word: nobody has the descriptor any more whose pipe is dev. May sleep. */
void uffd_hangup(u64 dev);
/* No guest is left. */
void uffd_shutdown(void);

#endif
