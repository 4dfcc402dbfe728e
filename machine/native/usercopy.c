/* SPDX-License-Identifier: MIT */
/*
 * usercopy.c - the kernel's access to the caller's own memory through the host's mappings.
 *
 * While it lasts the task is marked (native_task.user_access), and everybody who flushes treats it like one
 * in state USER:
 *
 *   task                                     who flushes
 *   mark                                     flush_req + 1
 *   a flush is pending? carry it out         marked? kick it, and wait for flush_done
 *   copy        <---- SIGSYS -----------------'
 *     (handler: carry the flush out, go on)
 *   no mark
 *
 * Marks and requests are sequentially consistent: either the task sees the request before it begins, or the
 * flusher sees the mark. So no access meets a translation that somebody believes to be gone. The task holds
 * neither flush_lock nor device_lock, which the handler takes; other locks it may hold, since neither the
 * handler nor the flusher needs them.
 *
 * A fault ends the copy: the rest is done by way of the tables, where faults are handled like the
 * program's own. It costs a signal, so only short pieces are copied so, which are nearly always there.
 */
#include <quire/extable.h>

#include "usercopy.h"

extern const struct exception_table_entry __start___ex_table[], __stop___ex_table[];

#define NR_EXTABLE ((size_t)(__stop___ex_table - __start___ex_table))
#define USERCOPY_MAX 512ul

/* The bytes not copied. */
static noinline size_t raw_copy(void *to, const void *from, size_t n)
{
	__asm__ volatile("1:	rep movsb\n"
			 "2:\n" _ASM_EXTABLE(1b, 2b)
			 : "+D"(to), "+S"(from), "+c"(n)
			 :
			 : "memory");
	return n;
}

/* Guests have nothing where the machine is. */
static bool range_ok(unsigned long addr, size_t n)
{
	return addr < TASK_SIZE_MAX && n <= TASK_SIZE_MAX - addr &&
	       (addr + n <= KERNEL_BASE || addr >= KERNEL_END);
}

/*
 * A kick that comes in the middle of a flush of the task's own would have the handler wait for a lock that
 * the task holds: it is left to the loop, which looks again when kicks count again.
 */
static void flush_marked(struct native_task *t)
{
	do {
		__atomic_store_n(&t->user_access, USER_ACCESS_FLUSHES, __ATOMIC_SEQ_CST);
		while (hmm_flush_pending(t->hmm))
			hmm_do_flush(t->hmm);
		__atomic_store_n(&t->user_access, USER_ACCESS_COPIES, __ATOMIC_SEQ_CST);
	} while (hmm_flush_pending(t->hmm));
}

static size_t marked_copy(struct native_task *t, void *to, const void *from, size_t n)
{
	size_t left;

	__atomic_store_n(&t->user_access, USER_ACCESS_COPIES, __ATOMIC_SEQ_CST);
	if (unlikely(hmm_flush_pending(t->hmm)))
		flush_marked(t);
	left = raw_copy(to, from, n);
	__atomic_store_n(&t->user_access, USER_ACCESS_NONE, __ATOMIC_RELEASE);
	return n - left;
}

static bool may_copy(const struct native_task *t, const struct mm_struct *mm, unsigned long addr,
		     size_t n)
{
	return n <= USERCOPY_MAX && t->task.mm == mm && !t->is_service && !t->adopted &&
	       t->hmm->mm == mm && range_ok(addr, n);
}

size_t machine_copy_from_user(struct mm_struct *mm, void *to, unsigned long from, size_t n)
{
	struct native_task *t = current_native();

	return may_copy(t, mm, from, n) ? marked_copy(t, to, (const void *)from, n) : 0;
}

size_t machine_copy_to_user(struct mm_struct *mm, unsigned long to, const void *from, size_t n)
{
	struct native_task *t = current_native();

	return may_copy(t, mm, to, n) ? marked_copy(t, (void *)to, from, n) : 0;
}

bool usercopy_fault(struct native_task *t, struct host_ucontext *uc)
{
	unsigned long fixup;

	if (!t->user_access)
		return false;
	fixup = search_extable(__start___ex_table, NR_EXTABLE, uc->uc_mcontext.ip);
	if (fixup)
		uc->uc_mcontext.ip = fixup;
	return fixup;
}

void usercopy_kicked(struct native_task *t)
{
	if (t->user_access == USER_ACCESS_COPIES && hmm_flush_pending(t->hmm))
		flush_marked(t);
}

void usercopy_init(void)
{
	BUG_ON(!extable_is_sorted(__start___ex_table, NR_EXTABLE));
}
