/* SPDX-License-Identifier: MIT */
/*
 * window.S - instructions whose addresses matter.
 *
 * long native_window(const long args[7], const u64 *mask, const u32 *work)
 *
 * A host call that the guest's signals may interrupt: with the host's mask set to *mask, unless
 * *work is non-zero, do the call args[0](args[1] ... args[6]); then block everything again.
 *
 *   window_begin .. window_syscall   the call has not been made (or the host wants it made again):
 *                                    the signal handler moves %rip to window_abort
 *   window_abort                     result -ERESTARTSYS
 *
 * So a signal is either seen before the call blocks, or it interrupts the call.
 */
#define ERESTARTSYS 512
#define NR_rt_sigprocmask 14
#define SIG_SETMASK 2
#define NR_clone 56
#define CLONE_PIDFD 0x1000
#define EAGAIN 11

#define KSTACK_SIZE 0x8000
#define RESUME (2560 - 8) /* KSTACK_HEAD - 8 */

/* The arguments of the call at %rbx; its number comes last. */
.macro	load_args
	mov	8(%rbx), %rdi
	mov	16(%rbx), %rsi
	mov	24(%rbx), %rdx
	mov	32(%rbx), %r10
	mov	40(%rbx), %r8
	mov	48(%rbx), %r9
.endm

	.text
	.globl native_window, window_begin, window_syscall, window_abort
native_window:
	push	%rbx
	push	%rbp
	push	%r12
	mov	%rdi, %rbx
	mov	%rdx, %rbp
	mov	$NR_rt_sigprocmask, %eax
	mov	$SIG_SETMASK, %edi
	xor	%edx, %edx
	mov	$8, %r10d
	syscall
window_begin:
	load_args
	cmpl	$0, (%rbp)
	jne	window_abort
	mov	(%rbx), %rax
window_syscall:
	syscall
	jmp	1f
window_abort:
	mov	$-ERESTARTSYS, %rax
1:	mov	%rax, %r12
	mov	$NR_rt_sigprocmask, %eax
	mov	$SIG_SETMASK, %edi
	lea	all_signals(%rip), %rsi
	xor	%edx, %edx
	mov	$8, %r10d
	syscall
	mov	%r12, %rax
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/*
 * long fastcall_window(const long args[7], const u32 *work, const bool *has_signal)
 * The same when signals are open already: they may have come before.
 */
	.globl fastcall_window, fastcall_window_begin, fastcall_window_syscall
	.globl fastcall_window_abort
fastcall_window:
	push	%rbx
	push	%rbp
	push	%r12
	mov	%rdi, %rbx
	mov	%rsi, %rbp
	mov	%rdx, %r12
	xor	%ecx, %ecx
fastcall_window_begin:
	load_args
	cmpl	$0, (%rbp)
	jne	fastcall_window_abort
	cmpb	$0, (%r12)
	jne	fastcall_window_abort
	mov	(%rbx), %rax
fastcall_window_syscall:
	syscall
	jmp	1f
fastcall_window_abort:
	mov	$-ERESTARTSYS, %rax
1:	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/* void native_restorer(void): where a signal handler of the kernel returns to. */
	.globl native_restorer
native_restorer:
	mov	$15, %eax
	syscall
	ud2

/* void native_sigreturn(struct host_ucontext *uc): load the guest's registers. */
	.globl native_sigreturn
native_sigreturn:
	mov	%rdi, %rsp
	mov	$15, %eax
	syscall
	ud2

/*
 * Records from which the kernel can be gone on with on this stack, by somebody else, when the host
 * thread has died: *(kstack + RESUME) is the address of
 *
 *	nr a b c | pad r15 r14 r13 r12 rbx rbp | return address
 *
 * nr: the call that was under way, or -1 (native_resumable()). native_resume() goes on from there.
 */
.macro	record_push
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
.endm
.macro	record_pop
	add	$40, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
.endm
.macro	kstack to
	mov	%rsp, \to
	and	$-KSTACK_SIZE, \to
.endm

/* long host_syscall6(nr, a, b, c, d, e, f) */
	.globl host_syscall6
host_syscall6:
	kstack	%r11
	cmpq	$0, RESUME(%r11)
	jne	host_syscall_nested
	mov	8(%rsp), %rax
	record_push
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	mov	%rsp, RESUME(%r11)
	mov	%r11, %rbx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	%rax, %r9
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	syscall
	movq	$0, RESUME(%rbx)
	record_pop
	ret

/* long native_resumable(long (*fn)(void *), void *arg) */
	.globl native_resumable
native_resumable:
	kstack	%r11
	mov	%rdi, %rax
	mov	%rsi, %rdi
	cmpq	$0, RESUME(%r11)
	je	1f
	jmp	*%rax
1:	record_push
	sub	$24, %rsp
	push	$-1
	mov	%rsp, RESUME(%r11)
	mov	%r11, %rbx
	call	*%rax
	movq	$0, RESUME(%rbx)
	record_pop
	ret

/* void native_resume(void *record, long result) */
	.globl native_resume
native_resume:
	mov	%rdi, %rsp
	mov	%rsi, %rax
	record_pop
	ret

/*
 * long native_clone(flags, stack, ptid, ctid, tls, fn)
 * In the child: %rsp = stack, calls fn(), which does not return. With CLONE_PIDFD, *ptid tells not
 * whether there is a child: no record.
 */
	.globl native_clone
native_clone:
	kstack	%r11
	mov	$-EAGAIN, %rax
	cmpq	$0, RESUME(%r11)
	jne	2f
	record_push
	sub	$24, %rsp
	push	$NR_clone
	mov	%r11, %rbx
	test	$CLONE_PIDFD, %edi
	jnz	1f
	mov	%rsp, RESUME(%rbx)
1:	mov	%rcx, %r10
	mov	$NR_clone, %eax
	syscall
	test	%rax, %rax
	jz	3f
	movq	$0, RESUME(%rbx)
	record_pop
2:	ret
3:	xor	%ebp, %ebp
	call	*%r9
	ud2

/*
 * void native_gone(long nr, long arg, long sig, const u64 *mask)
 * The last steps of a host thread, without its stack: the host tells when it is no longer used.
 * sig == 0: --*(u32 *)mask, the threads of the process that still run, if mask is not NULL.
 * sig != 0: kill the process with sig (its action is SIG_DFL, *mask blocks all but it); then
 * nr(arg).
 */
	.globl native_gone
native_gone:
	mov	%rdi, %r12
	mov	%rsi, %r13
	mov	%rdx, %r14
	mov	%rcx, %r15
	test	%r14, %r14
	jnz	3f
	test	%r15, %r15
	jz	1f
	lock decl (%r15)
	jmp	1f
3:
	mov	$39, %eax		/* getpid */
	syscall
	mov	%rax, %rdi
	mov	%r14, %rsi
	mov	$62, %eax		/* kill */
	syscall
	mov	$NR_rt_sigprocmask, %eax
	mov	$SIG_SETMASK, %edi
	mov	%r15, %rsi
	xor	%edx, %edx
	mov	$8, %r10d
	syscall
1:	mov	%r12, %rax
	mov	%r13, %rdi
	syscall
	jmp	1b

/*
 * void native_park(u32 *word, u32 *running): --*running, then sleep until *word is PARK_WAKE, without touching the stack, so
 * that the process may be ended, and the stack be given away, at any moment.
 */
	.globl native_park
native_park:
	lock decl (%rsi)
2:	mov	(%rdi), %edx		/* a system call keeps %rdi */
	cmp	$0x71756972, %edx	/* PARK_WAKE */
	je	1f
	mov	$202, %eax		/* futex(word, FUTEX_WAIT, value, NULL) */
	xor	%esi, %esi
	xor	%r10d, %r10d
	syscall
	jmp	2b
1:	ret

/* long native_on_stack(long (*fn)(void *), void *arg, void *stack_top) */
	.globl native_on_stack
native_on_stack:
	push	%rbp
	mov	%rsp, %rbp
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsp
	call	*%rax
	mov	%rbp, %rsp
	pop	%rbp
	ret

	.section .rodata
	.balign 8
all_signals:
	/* All but SIGILL 4, SIGTRAP 5, SIGBUS 7, SIGFPE 8, SIGSEGV 11: a fault in the kernel must show. */
	.quad	~((1 << 3) | (1 << 4) | (1 << 6) | (1 << 7) | (1 << 10))
	.section .note.GNU-stack,"",@progbits
