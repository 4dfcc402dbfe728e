/* SPDX-License-Identifier: MIT */
/*
 * fastcall.c - a system call that comes by a jump (callsite.c) and not by a signal.
 *
 *   state USER    fastcall_entry: %gs's base says who it is; registers into the fast frame
 *   state HOST    ... kernel stack
 *   state KERNEL  fastcall(): as in syscall_entry(); signals stay open, and are noted when they come
 *   state HOST
 *   state USER    is there anything to do? Registers from the frame, jump back
 *
 * There is no signal frame to return through. So whoever has more to do than to go back - deliver
 * a signal, stop, die - sends itself a kick: the host makes a frame, and trap.c does the rest.
 *
 * A signal that comes while the state is USER but the kernel's text runs is taken for one in the program:
 * fastcall_fixup() puts the registers as if the call had not begun yet, or was over. The fast frame
 * lies above the alternate stack, where no signal frame overwrites it.
 *
 * %gs's base is the task, as long as the program does not want it for itself (arch_prctl); then
 * its calls go the other way. It is not to be trusted, as a program may write it.
 */
#include "callsite.h"
#include "signal.h"

#define DIRECT_MAP_TB (DIRECT_MAP_BASE >> 40)

extern const char fastcall_stack[], fastcall_entered[], fastcall_leaving[], fastcall_left[];
extern const char fastcall_kicking[], fastcall_kicked[];
enum fastcall_next fastcall(struct native_task *t);
enum fastcall_next fastcall_again(struct native_task *t);
void fastcall_asm(void);

/* What is to be done when the call is over. */
enum fastcall_next {
	FAST_RETURN,
	FAST_KICK,
};

/* What the kernel keeps above the alternate stack. */
struct fast_frame {
	struct host_ucontext uc; /* registers that the call may change; no FPU */
	u64 tgid, tid, mask; /* for the kick */
	u64 unused[23];
};
_Static_assert(sizeof(struct fast_frame) == FAST_FRAME_SIZE, "a stack begins there");

static struct fast_frame *fast_frame(struct native_task *t)
{
	return (struct fast_frame *)((unsigned long)t + KSTACK_SIZE) - 1;
}

void fastcall_init_thread(struct native_task *t, unsigned long gs)
{
	t->self = t;
	if (machine_params.patch_calls)
		__asm__ volatile("wrgsbase %0" ::"r"(gs ? gs : (unsigned long)t));
}

unsigned long fastcall_guest_gs(const struct native_task *t)
{
	unsigned long gs = 0;

	if (machine_params.patch_calls)
		__asm__ volatile("rdgsbase %0" : "=r"(gs));
	return gs == (unsigned long)t ? 0 : gs;
}

/* ---- The call ---------------------------------------------------------------------------- */

/* Without a CPU. What is left to do can be done here, or takes a signal frame; so does opening signals. */
enum fastcall_next fastcall_again(struct native_task *t)
{
	struct fast_frame *f = fast_frame(t);

	flush_without_cpu(t);
	if (t->fast && !t->has_signal &&
	    !(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & ~WORK_FLUSH))
		return FAST_RETURN;
	f->mask = native_host_mask(t->task.blocked);
	f->tgid = (u64)t->hmm->tgid;
	f->tid = (u64)t->task.pid;
	return FAST_KICK;
}

/* Registers are in the frame; state HOST. A call that is not for here is left as it was. */
enum fastcall_next fastcall(struct native_task *t)
{
	struct fast_frame *f = fast_frame(t);
	u64 nr = f->uc.uc_mcontext.ax;

	t->fast = true;
	if (callsite_is_fast(nr)) {
		f->uc.uc_mcontext.ip += 2;
		t->uc = &f->uc;
		trap_fastcall(t);
	}
	return fastcall_again(t);
}

/* ---- The way in and out ------------------------------------------------------------------ */

#define REG(r) offsetof(struct native_task, r)
#define FRAME(r) (KSTACK_SIZE - sizeof(struct fast_frame) + offsetof(struct fast_frame, r))
#define UC(r) FRAME(uc.uc_mcontext.r)

/*
 * Entered with %rax the number and %rcx the address of a real system call instruction, to go
 * to if this is not the way. The program's stack is not used: it may have none.
 */
__attribute__((naked)) void fastcall_asm(void)
{
	__asm__ volatile(
		".globl fastcall_entry, fastcall_stack, fastcall_entered\n"
		".globl fastcall_leaving, fastcall_left, fastcall_kicking, fastcall_kicked\n"
		"fastcall_entry:\n"
		"	rdgsbase %%r11\n"
		"	shr	$40, %%r11\n"
		"	cmp	%[tb], %%r11\n"
		"	jne	9f\n"
		"	rdgsbase %%r11\n"
		"	test	%[low], %%r11d\n"
		"	jnz	9f\n"
		"	cmp	%%r11, %c[self](%%r11)\n"
		"	jne	9f\n"
		"	mov	%%rdi, %c[di](%%r11)\n"
		"	mov	%%rsi, %c[si](%%r11)\n"
		"	mov	%%rdx, %c[dx](%%r11)\n"
		"	mov	%%r10, %c[r10](%%r11)\n"
		"	mov	%%r8, %c[r8](%%r11)\n"
		"	mov	%%r9, %c[r9](%%r11)\n"
		"	mov	%%rax, %c[ax](%%r11)\n"
		"	mov	%%rcx, %c[ip](%%r11)\n"
		"	mov	%%rsp, %c[sp](%%r11)\n"
		"	lea	%c[frame](%%r11), %%rsp\n"
		"fastcall_stack:\n"
		"	movl	%[host], %c[state](%%r11)\n"
		"fastcall_entered:\n"
		"	mov	%%r11, %%rdi\n"
		"	cld\n"
		"	call	fastcall\n"
		"1:	lea	-%c[frame](%%rsp), %%r11\n"
		"	test	%%eax, %%eax\n"
		"	jnz	3f\n"
		"	mov	%[user], %%edx\n"
		"	xchg	%%edx, %c[state](%%r11)\n"
		"fastcall_leaving:\n"
		"	testl	%[unless], %c[work](%%r11)\n"
		"	jnz	2f\n"
		"	cmpb	$0, %c[signal](%%r11)\n"
		"	jne	2f\n"
		"	mov	%c[hmm](%%r11), %%rcx\n"
		"	mov	%c[req](%%rcx), %%rdx\n"
		"	cmp	%%rdx, %c[done](%%rcx)\n"
		"	jne	2f\n"
		"	mov	%c[di](%%r11), %%rdi\n"
		"	mov	%c[si](%%r11), %%rsi\n"
		"	mov	%c[dx](%%r11), %%rdx\n"
		"	mov	%c[r10](%%r11), %%r10\n"
		"	mov	%c[r8](%%r11), %%r8\n"
		"	mov	%c[r9](%%r11), %%r9\n"
		"	mov	%c[ax](%%r11), %%rax\n"
		"	mov	%c[ip](%%r11), %%rcx\n"
		"	mov	%c[sp](%%r11), %%rsp\n"
		"	xor	%%r11d, %%r11d\n" /* see syscall_undropped() */
		"fastcall_left:\n"
		"9:	jmp	*%%rcx\n"
		"2:	movl	%[host], %c[state](%%r11)\n"
		"	mov	%%r11, %%rdi\n"
		"	call	fastcall_again\n"
		"	jmp	1b\n"
		/* One of the two system calls does not return: the kick is there. */
		"3:	mov	%[user], %%edx\n"
		"	xchg	%%edx, %c[state](%%r11)\n"
		"fastcall_kicking:\n"
		"	mov	%[tgkill], %%eax\n"
		"	mov	%c[tgid](%%rsp), %%rdi\n"
		"	mov	%c[tid](%%rsp), %%rsi\n"
		"	mov	%[sigsys], %%edx\n"
		"	syscall\n"
		"	mov	%[sigprocmask], %%eax\n"
		"	mov	$2, %%edi\n"
		"	lea	%c[mask](%%rsp), %%rsi\n"
		"	xor	%%edx, %%edx\n"
		"	mov	$8, %%r10d\n"
		"	syscall\n"
		"fastcall_kicked:\n"
		"	ud2\n" ::[tb] "i"(DIRECT_MAP_TB),
		[low] "i"(KSTACK_SIZE - 1), [self] "i"(REG(self)), [state] "i"(REG(state)),
		[work] "i"(REG(work)), [signal] "i"(REG(has_signal)), [hmm] "i"(REG(hmm)),
		[req] "i"(offsetof(struct hmm, flush_req)),
		[done] "i"(offsetof(struct hmm, flush_done)), [frame] "i"(FRAME(uc)),
		[di] "i"(UC(di)), [si] "i"(UC(si)), [dx] "i"(UC(dx)), [r10] "i"(UC(r10)),
		[r8] "i"(UC(r8)), [r9] "i"(UC(r9)), [ax] "i"(UC(ax)), [ip] "i"(UC(ip)),
		[sp] "i"(UC(sp)), [host] "i"(TASK_HOST), [user] "i"(TASK_USER),
		[unless] "i"(~WORK_FLUSH), [tgkill] "i"(__NR_tgkill), [sigsys] "i"(SIGSYS),
		[sigprocmask] "i"(__NR_rt_sigprocmask),
		[tgid] "i"(offsetof(struct fast_frame, tgid)),
		[tid] "i"(offsetof(struct fast_frame, tid)),
		[mask] "i"(offsetof(struct fast_frame, mask)));
}

/* As if the call were over: what the program has in its registers then. */
static void load_frame(struct native_task *t, struct host_sigcontext *regs)
{
	const struct host_sigcontext *f = &fast_frame(t)->uc.uc_mcontext;

	regs->di = f->di;
	regs->si = f->si;
	regs->dx = f->dx;
	regs->r10 = f->r10;
	regs->r8 = f->r8;
	regs->r9 = f->r9;
	regs->ax = f->ax;
	regs->ip = f->ip;
	regs->sp = f->sp;
	regs->cx = 0;
	regs->r11 = 0;
}

/* Text in which the state is USER: see the labels. */

bool fastcall_fixup(struct native_task *t, struct host_ucontext *uc)
{
	struct host_sigcontext *regs = &uc->uc_mcontext;
	u64 ip = regs->ip;

	if (ip >= (u64)fastcall_entry && ip <= (u64)fastcall_stack) {
		if (ip == (u64)fastcall_stack)
			regs->sp = fast_frame(t)->uc.uc_mcontext.sp;
		regs->ip = regs->cx;
		regs->r11 = 0;
		return true;
	}
	if ((ip >= (u64)fastcall_leaving && ip < (u64)fastcall_left) ||
	    (ip >= (u64)fastcall_kicking && ip <= (u64)fastcall_kicked)) {
		/* The jump away from here, to give the state back, is not taken any more. */
		load_frame(t, regs);
		uc->uc_sigmask = native_host_mask(t->task.blocked);
		return true;
	}
	if (ip == (u64)fastcall_left) {
		regs->ip = regs->cx;
		regs->cx = 0;
		return true;
	}
	return false;
}
