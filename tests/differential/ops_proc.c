/* SPDX-License-Identifier: MIT */
/*
 * ops_proc.c - steps that make processes and threads, which then do steps of
 * their own. At any time one of them runs and the others wait, in a pipe, a
 * semaphore or a spin, so that the order of the transcript is fixed while the
 * memory manager still meets several processes, CPUs and waiting states.
 */
#include "difftest.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say_status(int st)
{
	if (WIFEXITED(st))
		say("exit %d", WEXITSTATUS(st));
	else if (WIFSIGNALED(st))
		say("signal %d", WTERMSIG(st));
	else
		say("status %#x", st);
}

static void reap(struct ctx *c, const char *name, pid_t pid)
{
	int st;

	step_line(c, name);
	if (waitpid(pid, &st, 0) != pid)
		say("wait %s", strerrorname_np(errno));
	else
		say_status(st);
}

static void sub_steps(struct ctx *c, unsigned int from, unsigned int n)
{
	struct ctx s;

	for (unsigned int i = from; i < from + n; i++)
		if (sub_step(c, &s, i))
			run_step(&s);
}

/* The parent waits while the child works, and looks afterwards. */
static void op_fork(struct ctx *c)
{
	unsigned int n = 1 + below(&c->rng, 12), code = below(&c->rng, 256);
	pid_t pid;

	say("\n");
	say_flush();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		sub_steps(c, 0, n);
		_exit(code);
	}
	reap(c, "forked", pid);
}

static void pass(int fd)
{
	char b = 1;

	if (write(fd, &b, 1) != 1)
		_exit(96);
}

static void await(int fd)
{
	char b;

	if (read(fd, &b, 1) != 1)
		_exit(95);
}

/* Parent and child take turns: copy-on-write in both directions. */
static void op_fork_turns(struct ctx *c)
{
	unsigned int rounds = 1 + below(&c->rng, 3), n = 1 + below(&c->rng, 4);
	int down[2], up[2];
	pid_t pid;

	say("\n");
	say_flush();
	if (pipe(down) < 0 || pipe(up) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	for (unsigned int i = 0; i < rounds; i++) {
		if (pid == 0) {
			await(down[0]);
			sub_steps(c, (2 * i + 1) * n, n);
			pass(up[1]);
		} else {
			sub_steps(c, 2 * i * n, n);
			pass(down[1]);
			await(up[0]);
		}
	}
	if (pid == 0)
		_exit(0);
	close(down[0]);
	close(down[1]);
	close(up[0]);
	close(up[1]);
	reap(c, "took-turns", pid);
}

/* A child that may die of its first fault. */
static void op_fork_crash(struct ctx *c)
{
	uintptr_t addr = pick_page(&c->rng);
	bool store = one_in(&c->rng, 2);
	pid_t pid;

	say("%s %s", store ? "write" : "read", pa(addr));
	say_flush();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		if (store)
			*(volatile char *)addr = 1;
		_exit(*(volatile unsigned char *)addr);
	}
	say("\n");
	reap(c, "crashed", pid);
}

/* The child shares the address space, and what it does there stays. */
static void op_vfork(struct ctx *c)
{
	volatile unsigned int n = 1 + below(&c->rng, 6);
	pid_t pid;

	say("\n");
	say_flush();
	pid = vfork();
	if (pid < 0)
		die("vfork");
	if (pid == 0) {
		c->allowed &= ~OP_PROC;
		sub_steps(c, 0, n);
		_exit(n);
	}
	reap(c, "vforked", pid);
}

/* The program anew, with a few steps: its windows start empty, the files stay. */
static void op_exec_self(struct ctx *c)
{
	char seed[32], steps[32], prefix[2 * PATH_MAX_LEN];
	bool by_vfork = one_in(&c->rng, 2);
	char *argv[20] = {
		(char *)opt.self, "--seed",	   seed,     "--steps", steps, "--prefix", prefix,
		"--dir",	  (char *)opt.dir, "--keep", NULL,
	};
	pid_t pid;

	snprintf(seed, sizeof(seed), "%lu", rnd(&c->rng));
	snprintf(steps, sizeof(steps), "%lu", 5 + below(&c->rng, 20));
	snprintf(prefix, sizeof(prefix), "%.40s%.40s/", opt.prefix, c->path);
	if (opt.vma_none) {
		argv[10] = "--vma";
		argv[11] = "none";
	}
	if (opt.no_free)
		argv[opt.vma_none ? 12 : 10] = "--no-free";
	if (opt.pageout)
		argv[opt.vma_none ? 13 : 11] = "--pageout"; /* and --no-free */
	say("\n");
	say_flush();
	pid = by_vfork ? vfork() : fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		char *env[] = { NULL };

		execve(opt.self, argv, env);
		_exit(127);
	}
	reap(c, "execed", pid);
}

/*
 * Threads. Step i is done by worker i % NR_WORKERS, which then hands the turn on;
 * the waiting ones sleep in a semaphore or spin in user mode, as a remote
 * shoot-down must reach both. Their stacks are static: a step may unmap T.
 */
#define NR_WORKERS 3

static struct {
	struct ctx *c;
	unsigned int steps;
	bool spin;
	sem_t sem[NR_WORKERS];
	volatile unsigned int turn;
} team;

static void wait_turn(unsigned int step)
{
	if (!team.spin) {
		while (sem_wait(&team.sem[step % NR_WORKERS]) < 0)
			;
		return;
	}
	for (unsigned int n = 0; __atomic_load_n(&team.turn, __ATOMIC_ACQUIRE) != step; n++) {
		if (n > 2000)
			sched_yield();
		__builtin_ia32_pause();
	}
}

static void hand_on(unsigned int step)
{
	if (team.spin)
		__atomic_store_n(&team.turn, step, __ATOMIC_RELEASE);
	else
		sem_post(&team.sem[step % NR_WORKERS]);
}

static void *work(void *arg)
{
	struct ctx s;

	for (unsigned int i = (uintptr_t)arg; i < team.steps; i += NR_WORKERS) {
		wait_turn(i);
		if (sub_step(team.c, &s, i)) {
			s.allowed &= ~OP_PROC;
			run_step(&s);
		}
		hand_on(i + 1);
	}
	return NULL;
}

static void op_threads(struct ctx *c)
{
	static char stacks[NR_WORKERS][128 << 10] __attribute__((aligned(4096)));
	pthread_t t[NR_WORKERS];
	pthread_attr_t attr;

	team.c = c;
	team.steps = 3 + below(&c->rng, 12);
	team.spin = one_in(&c->rng, 2);
	team.turn = ~0U;
	say("\n");
	say_flush();
	pthread_attr_init(&attr);
	for (uintptr_t i = 0; i < NR_WORKERS; i++) {
		sem_init(&team.sem[i], 0, 0);
		pthread_attr_setstack(&attr, stacks[i], sizeof(stacks[i]));
		if (pthread_create(&t[i], &attr, work, (void *)i))
			die("pthread_create");
	}
	hand_on(0);
	for (int i = 0; i < NR_WORKERS; i++)
		pthread_join(t[i], NULL);
	pthread_attr_destroy(&attr);
	step_line(c, "joined");
}

const struct op proc_ops[] = {
	{ "fork", 14, OP_PROC, op_fork },
	{ "fork-turns", 10, OP_PROC, op_fork_turns },
	{ "fork-crash", 5, OP_PROC, op_fork_crash },
	{ "vfork", 4, OP_PROC, op_vfork },
	{ "exec-self", 2, OP_PROC, op_exec_self },
	{ "threads", 8, OP_PROC, op_threads },
	{ 0 },
};
