/* SPDX-License-Identifier: MIT */
/* cli.h - the parts of the quire command. A hosted program: libc, pthread, jansson. */
#ifndef QUIRE_CLI_H
#define QUIRE_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "../machine/native/shared.h"

enum report_kind {
	REPORT_NONE,
	REPORT_TEXT,
	REPORT_JSON
};

/* Exit statuses of the command itself, as env(1) has them. */
#define EXIT_QUIRE 125 /* the machine could not be had */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND 127

/* One --swap. */
struct swap_option {
	const char *text; /* as it was given */
	uint64_t bytes; /* whole pages */
	const char *file; /* NULL: a nameless one */
	int prio; /* -1: none given */
};

#define KERNEL_ARGS_MAX 512 /* with the end */

struct options {
	uint64_t ram; /* bytes */
	unsigned int cpus; /* 1 ... NATIVE_MAX_CPUS */
	unsigned int nodes; /* 1 ... NATIVE_MAX_NODES */
	enum report_kind report;
	const char *output; /* report goes here; NULL: standard error */
	const char *trace; /* NULL: none */
	const char *references; /* NULL: none */
	const char *samples; /* NULL: none */
	bool progress;
	bool dump_tables;
	const char *dump_file; /* NULL: standard error */
	bool fill_4k;
	bool verbose;
	bool wait; /* for guests left in the background */
	const char *force_fallback; /* NULL, or a comma list of: memfd, seccomp (for tests) */
	const char *kernel_args; /* shorter than the place for it in machine_params; NULL: none */
	struct native_fail fail_slab, fail_page, fail_block; /* for tests */
	struct swap_option swap[NATIVE_MAX_SWAPS];
	unsigned int nr_swaps;
	char **program; /* argv of the guest */
};

#define DEFAULT_RAM (4ull << 30)

/* options.c. Exits with a message on bad ones (125), or after --help and --version (0). */
void options_parse(struct options *o, int argc, char **argv);

/* launch.c */
struct machine {
	const struct options *opt;
	struct kernel_shared *shared;
	const struct kernel_entry *entry;
	const char *ram_kind; /* "tmpfs with huge pages" or "memfd" */
	bool huge_ram; /* the former */
	const char *dispatch_kind; /* "syscall user dispatch" or "seccomp" */
	int swap_fd[NATIVE_MAX_SWAPS];
	pid_t first, keeper;
	FILE *samples; /* NULL: none */
	uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
	uint64_t start_tsc, end_tsc;
	struct machine_snapshot at_end; /* before shutdown() */
	struct leak_report leak;
	bool leaked;
	int status; /* wait status of the first guest */
	int key_signal; /* SIGINT, SIGQUIT: that a key of the terminal sent last */
};
/* Builds the machine, runs the program to its end, shuts down. Exit status for main(). */
int machine_run(struct machine *m);
/* Ends every process of a guest, without the guest kernel. */
void guests_kill(const struct kernel_shared *shared);

/* swap.c. Opens the files of --swap; closes them again; has the kernel, and the keeper, use them. */
void swap_open(struct machine *m);
void swap_close(struct machine *m);
void swap_start(struct machine *m);

/* keeper.c. In the keeper's own process; does not return. sock: where descriptors come in. */
void keeper_main(struct machine *m, int sock) __attribute__((noreturn));

/* ring.c. Reads shared->trace until keeper_stop is set, by one thread. Returns how many events were lost. */
typedef void ring_put_t(void *arg, const struct native_trace_record *record);
uint64_t ring_drain(struct kernel_shared *shared, ring_put_t *put, void *arg);

/* references.c. The same into a file of page references. Returns 0 or an errno. */
int references_drain(struct kernel_shared *shared, const char *path, uint64_t start_ns);
/* A thread of the keeper that begins the intervals. */
void *references_pace(void *machine);

/* replay.c: the command of that name; argv[0] is its name. Exit status. */
int replay_main(int argc, char **argv);

/* tracefile.c. Drains shared->trace into the file until keeper_stop is set; runs in a keeper thread.
 * Returns 0 or an errno of writing. */
int trace_drain(struct kernel_shared *shared, const char *path);

/* samples.c. Opens the file of --samples, or exits with a message. */
FILE *samples_open(const char *path);
/* A thread of the keeper: samples until samples_end(), after samples_init(). Its result: 0, or a message was printed. */
void samples_init(void);
void *samples_run(void *machine);
void samples_end(void);

/* report.c: what happened, after shutdown. Returns 0 or -1 with a message printed. */
int report_write(const struct machine *m);

/* "quire: message" on standard error. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void die(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
