/* SPDX-License-Identifier: MIT */
/* usercopy.h - for trap.c: signals during an access to user memory through host mappings. */
#ifndef NATIVE_USERCOPY_H
#define NATIVE_USERCOPY_H

#include "native.h"

void usercopy_init(void); /* boot */
/* SIGSEGV or SIGBUS in the kernel's text: true if it was such an access, which goes on at its fix-up. */
bool usercopy_fault(struct native_task *t, struct host_ucontext *uc);
void usercopy_kicked(struct native_task *t); /* a kick in the kernel's text */

#endif
