/* SPDX-License-Identifier: MIT */
/*
 * System calls from sites that are used often, which quire may patch: results and registers stay right,
 * whatever signals, faults, forks, jumps and stacks do meanwhile.
 */
#include "guest.h"

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>

/*
 * long call_mov(struct regs *): getppid with the registers of *regs, which receives what they are
 * afterwards. call_cmp: any call, whose number is in %rax; call_jump enters call_mov at its system call.
 */
struct regs {
	unsigned long ax, di, si, dx, r10, r8, r9, bx, bp, r12, r13, r14, r15, sp;
};
long call_mov(struct regs *r), call_cmp(struct regs *r), call_jump(struct regs *r);
extern char mov_site[], mov_syscall[], text_end[];

#define LOAD(site)                                                                         \
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rdi\n"   \
	"	mov %rsp, saved_sp(%rip)\n"                                                      \
	"	mov %rdi, %rsp; pop %rax; pop %rdi; pop %rsi; pop %rdx; pop %r10; pop %r8\n"     \
	"	pop %r9; pop %rbx; pop %rbp; pop %r12; pop %r13; pop %r14; pop %r15; pop %rsp\n" \
	"	" site "\n"
#define STORE                                                                              \
	"	mov %rsp, now_sp(%rip)\n"                                                        \
	"	mov saved_sp(%rip), %rsp; mov (%rsp), %r11; lea 112(%r11), %rsp\n"               \
	"	push now_sp(%rip); push %r15; push %r14; push %r13; push %r12; push %rbp; push " \
	"%rbx\n"                                                                           \
	"	push %r9; push %r8; push %r10; push %rdx; push %rsi; push %rdi; push %rax\n"     \
	"	mov saved_sp(%rip), %rsp\n"                                                      \
	"	pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"

__asm__(".data\nsaved_sp: .quad 0\nnow_sp: .quad 0\n.text\n.balign 4096\n"
	"call_mov:\n" LOAD("mov_site: mov $110, %eax\nmov_syscall: syscall") STORE
	"call_cmp:\n" LOAD("syscall; cmp $-4096, %rax; ja 1f; nop; 1:") STORE
	"call_jump:\n" LOAD("jmp mov_syscall") ".balign 4096\ntext_end:\n");

static volatile int ticks;
static volatile bool strange_ip;

static void on_tick(int sig, siginfo_t *si, void *ctx)
{
	const ucontext_t *uc = ctx;

	(void)sig, (void)si;
	ticks++;
	/* Below the program and its libraries there is nothing that could be at work. */
	if ((unsigned long)uc->uc_mcontext.gregs[REG_RIP] < 0x100000)
		strange_ip = true;
}

static bool same_but_result(const struct regs *a, const struct regs *b)
{
	return !memcmp(&a->di, &b->di, sizeof(*a) - sizeof(a->ax));
}

/* sp: none at all, and calls that nothing hinders. */
static long wrong_registers(long (*call)(struct regs *), int n)
{
	long wrong = 0, ppid = getppid();

	for (int i = 0; i < n; i++) {
		struct regs r, was;

		for (unsigned int j = 0; j < sizeof(r) / 8; j++)
			((unsigned long *)&r)[j] =
				0x0101010101010101ul * (j + 1) + (unsigned long)i;
		r.ax = SYS_getppid;
		was = r;
		call(&r);
		wrong += !same_but_result(&r, &was) || r.ax != (unsigned long)ppid;
	}
	return wrong;
}

static void registers(void)
{
	struct itimerval timer = { { 0, 70 }, { 0, 70 } }, off = { { 0, 0 }, { 0, 0 } };
	struct sigaction act = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	static char stack[65536];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };

	sigaltstack(&ss, NULL);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	printf("wrong: mov %ld", wrong_registers(call_mov, 30000));
	printf(" cmp %ld", wrong_registers(call_cmp, 30000));
	printf(" jump %ld\n", wrong_registers(call_jump, 300));
	setitimer(ITIMER_REAL, &off, NULL);
	printf("ticks %d, strange address %d\n", ticks > 20, strange_ip);
}

static void red_zone(void)
{
	long bad = 0;

	for (int i = 0; i < 100; i++) {
		unsigned long before = 0x123456789abcdeful + (unsigned long)i, after;
		long ret;

		__asm__ volatile("mov %2, -8(%%rsp); mov $39, %%eax; syscall; mov -8(%%rsp), %1"
				 : "=&a"(ret), "=&r"(after)
				 : "r"(before)
				 : "rcx", "r11", "memory");
		bad += after != before || ret != getpid();
	}
	printf("red zone: %ld bad\n", bad);
}

/* A call that blocks is interrupted, or restarted, as the handler was installed. */
static void blocking(void)
{
	struct itimerval once = { { 0, 0 }, { 0, 3000 } };
	int p[2], eintr = 0, data = 0;
	char c;

	if (pipe(p))
		return;
	for (int i = 0; i < 40; i++) {
		struct sigaction act = { .sa_sigaction = on_tick,
					 .sa_flags = SA_SIGINFO | (i % 2 ? SA_RESTART : 0) };
		pid_t pid;
		long n;

		sigaction(SIGALRM, &act, NULL);
		pid = i % 2 ? fork() : 1;
		if (!pid) {
			usleep(6000);
			_exit(write(p[1], "x", 1) != 1);
		}
		setitimer(ITIMER_REAL, &once, NULL);
		n = read(p[0], &c, 1);
		eintr += n < 0 && errno == EINTR;
		data += n == 1;
		if (i % 2)
			waitpid(pid, NULL, 0);
	}
	printf("blocking: %d interrupted, %d read\n", eintr, data);
}

/* A blocked signal of a fault's kind comes during a call: signals after it still get through. */
static void blocked_fault(void)
{
	int p[2], eintr = 0, taken = 0, st;
	sigset_t set;
	char c;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	handle(SIGALRM, on_tick, 0);
	MUST(pipe(p));
	for (int i = 0; i < 12; i++) {
		pid_t parent = getpid(), pid = split();

		if (!pid) {
			usleep(3000);
			kill(parent, SIGSEGV);
			usleep(3000);
			kill(parent, SIGALRM);
			_exit(0);
		}
		eintr += read(p[0], &c, 1) < 0 && errno == EINTR;
		taken += sigwaitinfo(&set, NULL) == SIGSEGV;
		waitpid(pid, &st, 0);
	}
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	printf("blocked fault: %d interrupted, %d taken\n", eintr, taken);
}

static volatile bool stop;

static void *unmapper(void *arg)
{
	(void)arg;
	while (!stop) {
		char *p = map_anon(16 * PAGE, MAP_PRIVATE);

		memset(p, 1, 16 * PAGE);
		mprotect(p, 16 * PAGE, PROT_READ);
		munmap(p, 16 * PAGE);
	}
	return NULL;
}

static void *caller(void *arg)
{
	long *bad = arg;
	pid_t pid = getpid();
	char c = 0;
	int p[2];

	if (pipe(p))
		return NULL;
	for (int i = 0; i < 20000; i++) {
		*bad += getpid() != pid || syscall(SYS_getpid) != pid;
		if (i % 8 == 0)
			*bad += write(p[1], &i, 1) != 1 || read(p[0], &c, 1) != 1 || c != (char)i;
	}
	return NULL;
}

static void threads(void)
{
	pthread_t t[3];
	long bad[2] = { 0 };

	pthread_create(&t[0], NULL, unmapper, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i + 1], NULL, caller, &bad[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i + 1], NULL);
	stop = true;
	pthread_join(t[0], NULL);
	printf("threads: %ld bad\n", bad[0] + bad[1]);
}

static void forks(void)
{
	int bad = 0, status;

	for (int i = 0; i < 30; i++) {
		pid_t self = getpid(), pid = fork();

		if (!pid) {
			long wrong = 0;

			for (int j = 0; j < 50; j++)
				wrong += getppid() != self || wrong_registers(call_mov, 1);
			_exit(wrong ? 1 : 0);
		}
		bad += waitpid(pid, &status, 0) != pid || status;
	}
	printf("forks: %d bad\n", bad);
}

/* %gs is the program's if it wants it. */
static void gs_base(void)
{
	static unsigned long mine[2] = { 0, 42 };
	unsigned long base = 1, seen;
	long bad = 0;

	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	printf("gs base %lu,", base);
	syscall(SYS_arch_prctl, ARCH_SET_GS, mine);
	for (int i = 0; i < 100; i++)
		bad += getppid() <= 0;
	__asm__("mov %%gs:8, %0" : "=r"(seen));
	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	printf(" then own %d, %lu, bad %ld", base == (unsigned long)mine, seen, bad);
	if (!fork()) {
		__asm__("mov %%gs:8, %0" : "=r"(seen));
		_exit(seen != 42);
	}
	wait(&(int){ 0 });
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
	for (int i = 0; i < 100; i++)
		bad += getppid() <= 0;
	printf(", 0 again, bad %ld\n", bad);
}

/* Text that is unmapped, mapped again, or read. */
static void remapped(void)
{
	unsigned long text = (unsigned long)call_mov & ~(PAGE - 1);
	size_t size = (unsigned long)text_end - text;
	char *copy = map_anon(size, MAP_PRIVATE);

	memcpy(copy, (void *)text, size);
	mprotect((void *)text, size, PROT_READ | PROT_EXEC | PROT_WRITE);
	mprotect((void *)text, size, PROT_READ | PROT_EXEC);
	printf("remapped: wrong %ld", wrong_registers(call_mov, 100));
	madvise((void *)text, size, MADV_DONTNEED);
	printf(" %ld", wrong_registers(call_mov, 100));
	if (mmap((void *)text, size, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return;
	memcpy((void *)text, copy, size);
	mprotect((void *)text, size, PROT_READ | PROT_EXEC);
	printf(" %ld\n", wrong_registers(call_mov, 100));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	registers();
	red_zone();
	blocking();
	blocked_fault();
	threads();
	forks();
	gs_base();
	remapped();
	return 0;
}
