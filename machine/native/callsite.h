/* SPDX-License-Identifier: MIT */
/* callsite.h - patched call sites (callsite.c) and what they jump to (fastcall.c). */
#ifndef NATIVE_CALLSITE_H
#define NATIVE_CALLSITE_H

#include "native.h"

/* Below mmap_min_addr, which is raised for it; the third byte must be 06. */
#define CALLS_BASE 0x60000ul

/* Whether a call may take the fast way, by its number. */
extern const u8 callsite_fast[NR_SYSCALLS];
static inline bool callsite_is_fast(unsigned long nr)
{
	return nr < NR_SYSCALLS && callsite_fast[nr];
}

void callsite_init(void);
/* fork: the child has the parent's region, which may be NULL. */
struct call_region *callsite_get(struct call_region *region);
void callsite_put(struct call_region *region);

/* A call came by signal from the instruction before ip: patch its page if that happens often. May sleep. */
void callsite_hot(struct native_task *t, unsigned long ip);
/* A fault at addr: true if it is in the region, which is mapped now. */
bool callsite_fault(struct native_task *t, unsigned long addr);
/* SIGILL at regs->ip: true if a patched site caused it. *call: the instruction was a system call. */
bool callsite_illegal(struct native_task *t, struct host_sigcontext *regs, bool *call);
/* What the program may see of ip: an address of its own text instead of one in the region. */
unsigned long callsite_guest_ip(struct native_task *t, unsigned long ip);

/* fastcall.c */
extern const char fastcall_entry[];
/* The way is open to this thread, unless gs, the base that its program set, is not 0. */
void fastcall_init_thread(struct native_task *t, unsigned long gs);
unsigned long fastcall_guest_gs(const struct native_task *t); /* of the caller; 0 if it set none */
/* A signal in kernel text: true if it came on the way in or out, and uc is the guest's now. */
bool fastcall_fixup(struct native_task *t, struct host_ucontext *uc);
/* As native_window(), but signals are open already. */
long fastcall_window(const long *args, const u32 *work, const bool *has_signal);
extern const char fastcall_window_begin[], fastcall_window_syscall[], fastcall_window_abort[];

#endif
