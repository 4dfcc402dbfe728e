/* SPDX-License-Identifier: MIT */
/* Rules of signals: masks, flags of actions, alternate stacks, queues, timers, signalfd, core dumps. */
#include "guest.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static volatile int n, seen[64], values[64], codes[64];

static void note(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	if (n < 64) {
		seen[n] = sig;
		values[n] = si->si_value.sival_int;
		codes[n] = si->si_code;
	}
	n++;
}

static void show(const char *what)
{
	printf("%s:", what);
	for (int i = 0; i < n && i < 64; i++)
		printf(" %d/%d/%d", seen[i] - (seen[i] >= SIGRTMIN ? SIGRTMIN - 100 : 0), codes[i],
		       codes[i] == SI_QUEUE || codes[i] == SI_TIMER ? values[i] : 0);
	printf("\n");
	fflush(stdout);
	n = 0;
}

static void result(const char *what, long r)
{
	printf("%s: %ld %s\n", what, r, r < 0 ? strerrorname_np(errno) : "");
	fflush(stdout);
}

/* ---- Actions and masks ---- */

static volatile int depth, max_depth, nested;
static sigset_t in_handler;

static void recursive(int sig)
{
	sigset_t none;

	if (++depth > max_depth)
		max_depth = depth;
	sigemptyset(&none);
	sigprocmask(SIG_BLOCK, &none, &in_handler);
	if (nested++ < 3)
		raise(sig);
	depth--;
}

static void print_mask(const char *what, const sigset_t *s)
{
	printf("%s:", what);
	for (int i = 1; i < 65; i++)
		if (sigismember(s, i) > 0)
			printf(" %d", i);
	printf("\n");
}

static void actions(void)
{
	static const int flags[] = { 0, SA_NODEFER, SA_RESETHAND, SA_NODEFER | SA_RESETHAND };
	struct sigaction sa = { .sa_handler = recursive }, old;
	sigset_t set;

	for (int i = 0; i < 4; i++) {
		pid_t pid = split();
		int st;

		if (!pid) {
			sigemptyset(&sa.sa_mask);
			sigaddset(&sa.sa_mask, SIGUSR2);
			sigaddset(&sa.sa_mask, SIGKILL);
			sa.sa_flags = flags[i];
			sigaction(SIGUSR1, &sa, NULL);
			raise(SIGUSR1);
			printf("flags %d: depth %d, calls %d\n", i, max_depth, nested);
			print_mask("in the handler", &in_handler);
			sigaction(SIGUSR1, NULL, &old);
			printf("after: %s, mask of kill %d\n",
			       old.sa_handler == SIG_DFL ? "default" : "handler",
			       sigismember(&old.sa_mask, SIGKILL));
			sigprocmask(SIG_BLOCK, NULL, &set);
			print_mask("after", &set);
			fflush(stdout);
			_exit(0);
		}
		st = wait_for(pid);
		printf("%d %d\n", WIFEXITED(st), WIFSIGNALED(st) ? WTERMSIG(st) : 0);
	}
	result("kill's action", sigaction(SIGKILL, &sa, NULL));
	result("stop's action", sigaction(SIGSTOP, NULL, &old));
	result("no signal 65", syscall(SYS_rt_sigaction, 65, NULL, NULL, 8));
	result("size", syscall(SYS_rt_sigaction, 10, NULL, NULL, 16));
	result("how", sigprocmask(7, &set, NULL));
	result("how unused", sigprocmask(7, NULL, &set));
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	sigprocmask(SIG_SETMASK, NULL, &set);
	print_mask("all", &set);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

/* ---- Alternate stacks ---- */

static char alt[65536], other[65536];
static volatile int on_alt;
static stack_t in_ss, in_uc;
static long in_ret;
static int in_err;

static void on_stack(int sig, siginfo_t *si, void *ucv)
{
	ucontext_t *uc = ucv;
	stack_t ss = { .ss_sp = other, .ss_size = sizeof(other) };
	char here;

	(void)sig;
	(void)si;
	on_alt = &here >= alt && &here < alt + sizeof(alt);
	sigaltstack(NULL, &in_ss);
	in_uc = uc->uc_stack;
	errno = 0;
	in_ret = sigaltstack(&ss, NULL);
	in_err = errno;
}

static void show_ss(const char *what, const stack_t *ss)
{
	printf("%s: %s, flags %x, size %zu\n", what,
	       ss->ss_sp == alt	    ? "alt"
	       : ss->ss_sp == other ? "other"
	       : ss->ss_sp	    ? "odd"
				    : "none",
	       ss->ss_flags, ss->ss_size);
}

static void recurse_on_alt(int sig, siginfo_t *si, void *uc)
{
	volatile char big[2048];

	(void)si;
	(void)uc;
	memset((void *)big, 1, sizeof(big));
	raise(sig);
}

static void altstacks(void)
{
	static const unsigned flags[] = { 0, SS_ONSTACK, SS_AUTODISARM,
					  SS_ONSTACK | SS_AUTODISARM };
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) }, old;
	pid_t pid;
	int st;

	sigaltstack(NULL, &old);
	show_ss("at first", &old);
	handle(SIGUSR1, on_stack, SA_ONSTACK);
	for (int i = 0; i < 4; i++) {
		ss.ss_flags = flags[i];
		result("set", sigaltstack(&ss, &old));
		show_ss("old", &old);
		raise(SIGUSR1);
		printf("on it: %d; change: %ld %d\n", on_alt, in_ret, in_err);
		show_ss("inside", &in_ss);
		show_ss("frame", &in_uc);
		sigaltstack(NULL, &old);
		show_ss("after", &old);
	}
	ss.ss_flags = 4;
	result("flags 4", sigaltstack(&ss, NULL));
	ss.ss_flags = 0;
	ss.ss_size = 1024;
	result("too small", sigaltstack(&ss, NULL));
	ss.ss_size = 2048;
	result("2048", sigaltstack(&ss, NULL));
	ss.ss_size = 4096;
	result("4096", sigaltstack(&ss, NULL));
	result("bad address", sigaltstack((void *)8, NULL));
	result("bad old", sigaltstack(NULL, (void *)8));
	ss.ss_flags = SS_DISABLE;
	result("off", sigaltstack(&ss, NULL));
	sigaltstack(NULL, &old);
	show_ss("off", &old);
	raise(SIGUSR1);
	printf("on it: %d\n", on_alt);
	/* No room for the frame: SIGSEGV, and with nowhere to handle that, death. */
	for (int i = 0; i < 2; i++) {
		pid = split();
		if (!pid) {
			setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
			ss = (stack_t){ .ss_sp = alt, .ss_size = i ? 16384 : 2048 };
			sigaltstack(&ss, NULL);
			handle(SIGUSR1, i ? recurse_on_alt : on_stack,
			       SA_ONSTACK | (i ? SA_NODEFER : 0));
			raise(SIGUSR1);
			_exit(5);
		}
		st = wait_for(pid);
		if (i)
			printf("overflow: %d\n", WIFSIGNALED(st) ? WTERMSIG(st) : 0);
	}
	pid = split();
	if (!pid) {
		ss = (stack_t){ .ss_sp = alt, .ss_size = sizeof(alt) };
		sigaltstack(&ss, NULL);
		if (!vfork())
			_exit(0);
		if (!fork()) {
			sigaltstack(NULL, &old);
			show_ss("after fork", &old);
			fflush(stdout);
			_exit(0);
		}
		wait(NULL);
		wait(NULL);
		_exit(0);
	}
	wait_for(pid);
}

/* ---- Queues ---- */

static void queues(void)
{
	struct rlimit lim, old;
	sigset_t set, was;
	int sent = 0, got = 0;
	siginfo_t si;
	pid_t pid;
	struct timespec none = { 0, 0 };
	pthread_t me = pthread_self();

	sigfillset(&set);
	for (int i = 0; i < 5; i++)
		handle(SIGRTMIN + i, note, 0);
	handle(SIGUSR1, note, 0);
	handle(SIGUSR2, note, 0);
	sigprocmask(SIG_BLOCK, &set, &was);
	for (int i = 0; i < 4; i++) {
		sigqueue(getpid(), SIGRTMIN + 3 - i, (union sigval){ .sival_int = i });
		sigqueue(getpid(), SIGRTMIN + i, (union sigval){ .sival_int = 10 + i });
		pthread_kill(me, SIGRTMIN + i);
		kill(getpid(), i % 2 ? SIGUSR1 : SIGUSR2);
		pthread_kill(me, i % 2 ? SIGUSR1 : SIGUSR2);
	}
	/* Thread before process, low before high, each in its order. */
	for (int i = 0; i < 9; i++) {
		int sig = sigtimedwait(&set, &si, &none);

		printf("waited: %d code %d value %d\n",
		       sig - (sig >= SIGRTMIN ? SIGRTMIN - 100 : 0), si.si_code,
		       si.si_code == SI_QUEUE ? si.si_value.sival_int : 0);
	}
	sigprocmask(SIG_SETMASK, &was, NULL);
	show("unblocked");
	pid = split();
	if (!pid) {
		getrlimit(RLIMIT_SIGPENDING, &old);
		lim = (struct rlimit){ 0, old.rlim_max };
		MUST(setrlimit(RLIMIT_SIGPENDING, &lim));
		sigprocmask(SIG_BLOCK, &set, NULL);
		result("no room", sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 1 }));
		result("but", kill(getpid(), SIGUSR1));
		result("and", kill(getpid(), SIGRTMIN));
		result("and", pthread_kill(me, SIGRTMIN + 1));
		for (int i = 0; i < 200; i++) {
			void *m = map_anon(16 * PAGE, MAP_PRIVATE);

			memset(m, 1, 16 * PAGE);
			munmap(m, 16 * PAGE);
		}
		lim.rlim_cur = old.rlim_max;
		setrlimit(RLIMIT_SIGPENDING, &lim);
		sigprocmask(SIG_SETMASK, &was, NULL);
		printf("came: %d\n", n);
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 1000; i++)
		sent += !sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i });
	while (sigtimedwait(&set, &si, &none) == SIGRTMIN)
		got += si.si_value.sival_int == got;
	printf("sent %d, got in order %d\n", sent, got);
	/* Claims. */
	memset(&si, 0, sizeof(si));
	si.si_code = SI_USER;
	result("claim, self", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &si));
	result("claim, parent", syscall(SYS_rt_sigqueueinfo, getppid(), 0, &si));
	si.si_code = SI_TKILL;
	result("claim, parent", syscall(SYS_rt_sigqueueinfo, getppid(), 0, &si));
	si.si_code = SI_QUEUE;
	result("claim, parent", syscall(SYS_rt_sigqueueinfo, getppid(), 0, &si));
	result("sigqueue, bad", syscall(SYS_rt_sigqueueinfo, getpid(), 65, &si));
	result("sigqueue, bad", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, 8));
	result("kill, bad", kill(getpid(), 65));
	result("kill, bad", kill(getpid(), -1));
	result("tgkill, bad", syscall(SYS_tgkill, getpid(), 0, SIGUSR1));
	result("tgkill, not there", syscall(SYS_tgkill, getpid(), getppid(), SIGUSR1));
	result("tgkill, not there", syscall(SYS_tgkill, getpid(), getppid(), SIGSEGV));
	result("tgkill, not there", syscall(SYS_tgkill, getpid(), getppid(), SIGKILL));
	result("kill, not there", kill(0x3ffffff, SIGKILL));
	result("kill, not there", kill(0x3ffffff, SIGSEGV));
	result("kill, group not there", kill(-0x3ffffff, SIGSEGV));
	result("kill, group not there", kill(-0x3ffffff, SIGCONT));
	result("waitinfo, bad", syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 4));
	none.tv_nsec = -1;
	result("timedwait, bad", sigtimedwait(&set, NULL, &none));
	result("pending, size", syscall(SYS_rt_sigpending, &set, 16));
	result("pending, size", syscall(SYS_rt_sigpending, &set, 4));
	sigprocmask(SIG_SETMASK, &was, NULL);
	n = 0;
}

/* ---- exec and fork ---- */

static void inherited(char *self)
{
	struct itimerval it = { { 0, 0 }, { 5, 0 } };
	sigset_t set, was;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGSEGV);
	handle(SIGUSR2, note, SA_RESTART);
	signal(SIGTERM, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, &was);
	raise(SIGUSR1);
	kill(getpid(), SIGRTMIN);
	kill(getpid(), SIGSEGV);
	setitimer(ITIMER_REAL, &it, NULL);
	pid = split();
	if (!pid) {
		sigset_t pend;

		sigpending(&pend);
		print_mask("pending after fork", &pend);
		printf("alarm after fork: %u\n", alarm(0));
		raise(SIGUSR1);
		kill(getpid(), SIGRTMIN);
		kill(getpid(), SIGSEGV);
		alarm(50);
		fflush(stdout);
		execl(self, self, "exec", (char *)NULL);
		_exit(98);
	}
	wait_for(pid);
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
	signal(SIGSEGV, SIG_IGN); /* discards the one that is pending */
	sigprocmask(SIG_SETMASK, &was, NULL);
}

static int after_exec(void)
{
	struct sigaction sa;
	sigset_t set;

	sigpending(&set);
	print_mask("pending after exec", &set);
	sigprocmask(SIG_BLOCK, NULL, &set);
	print_mask("blocked after exec", &set);
	printf("alarm after exec: %d\n", alarm(0) >= 49);
	sigaction(SIGUSR2, NULL, &sa);
	printf("handler: %s, flags %x\n", sa.sa_handler == SIG_DFL ? "default" : "odd",
	       sa.sa_flags);
	sigaction(SIGTERM, NULL, &sa);
	printf("ignored: %s\n", sa.sa_handler == SIG_IGN ? "ignored" : "odd");
	return 0;
}

/* ---- Timers ---- */

static volatile pid_t tid;

static void note_tid(int sig, siginfo_t *si, void *uc)
{
	tid = syscall(SYS_gettid);
	note(sig, si, uc);
}

static void *timed_thread(void *arg)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + 4 };
	struct itimerspec its = { .it_value = { 0, 2000000 } };
	timer_t timer;

	ev._sigev_un._tid = *(pid_t *)arg;
	ev.sigev_value.sival_int = 44;
	MUST(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	MUST(timer_settime(timer, 0, &its, NULL));
	while (!tid)
		sleep_ms(1);
	timer_delete(timer);
	return NULL;
}

static void timers(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2 };
	struct itimerspec its = { .it_value = { 0, 1000000 } };
	pid_t me = syscall(SYS_gettid);
	timer_t timer;
	pthread_t t;

	n = 0;
	ev.sigev_value.sival_int = 33;
	handle(SIGRTMIN + 2, note, 0);
	handle(SIGRTMIN + 4, note_tid, 0);
	MUST(timer_create(CLOCK_REALTIME, &ev, &timer));
	MUST(timer_settime(timer, 0, &its, NULL));
	while (!n)
		sleep_ms(1);
	timer_delete(timer);
	show("timer");
	pthread_create(&t, NULL, timed_thread, &me);
	pthread_join(t, NULL);
	printf("to the right thread: %d\n", tid == me);
	show("timer");
	/* A signal of a fault's kind from a timer. */
	handle(SIGSEGV, note, 0);
	ev.sigev_signo = SIGSEGV;
	MUST(timer_create(CLOCK_REALTIME, &ev, &timer));
	MUST(timer_settime(timer, 0, &its, NULL));
	for (int i = 0; !n && i < 1000; i++)
		sleep_ms(1);
	timer_delete(timer);
	show("timer");
	handle(SIGVTALRM, note, 0);
	handle(SIGPROF, note, 0);
	setitimer(ITIMER_VIRTUAL, &(struct itimerval){ .it_value = { 0, 1000 } }, NULL);
	while (!n)
		;
	show("virtual");
	setitimer(ITIMER_PROF, &(struct itimerval){ .it_value = { 0, 1000 } }, NULL);
	while (!n)
		;
	show("profiling");
	alarm(1);
	printf("pause %d\n", (handle(SIGALRM, note, 0), pause()));
	show("alarm");
}

static void by_descriptor(void)
{
	struct signalfd_siginfo ssi[4];
	sigset_t set, was;
	struct pollfd pf;
	int fd;
	long r;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, &was);
	fd = MUST(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	pf = (struct pollfd){ fd, POLLIN, 0 };
	result("nothing", read(fd, ssi, sizeof(ssi)));
	result("poll", poll(&pf, 1, 0));
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 5 });
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 6 });
	kill(getpid(), SIGUSR1);
	result("poll", poll(&pf, 1, 0));
	r = read(fd, ssi, sizeof(ssi));
	printf("%ld: %d/%d %d/%d %d/%d\n", r / 128, ssi[0].ssi_signo == SIGUSR1, ssi[0].ssi_code,
	       ssi[1].ssi_signo == (uint32_t)SIGRTMIN, ssi[1].ssi_int,
	       ssi[2].ssi_signo == (uint32_t)SIGRTMIN, ssi[2].ssi_int);
	result("too short", read(fd, ssi, 100));
	close(fd);
	sigprocmask(SIG_SETMASK, &was, NULL);
}

static void dumps(void)
{
	static const int sigs[] = { SIGQUIT, SIGSEGV, SIGABRT, SIGSYS, SIGTERM, SIGXCPU };

	for (int i = 0; i < 6; i++)
		for (int core = 0; core < 2; core++) {
			pid_t pid = split();
			int st;

			if (!pid) {
				struct rlimit lim;

				getrlimit(RLIMIT_CORE, &lim);
				lim.rlim_cur = core ? lim.rlim_max : 0;
				setrlimit(RLIMIT_CORE, &lim);
				signal(sigs[i], SIG_DFL);
				kill(getpid(), sigs[i]);
				_exit(9);
			}
			st = wait_for(pid);
			printf("limit %d, signal %d: %d, core %d\n", core, sigs[i],
			       WIFSIGNALED(st) ? WTERMSIG(st) : 0, !!WCOREDUMP(st));
			unlink("core");
		}
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return after_exec();
	actions();
	altstacks();
	queues();
	inherited(argv[0]);
	timers();
	by_descriptor();
	dumps();
	return 0;
}
