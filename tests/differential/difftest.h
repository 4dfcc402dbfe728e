/* SPDX-License-Identifier: MIT */
/*
 * difftest - draw memory-management steps from a seed and print what they did.
 *
 * One executable is run twice, on the host kernel and under quire, and the two
 * transcripts must be equal. So a transcript may hold nothing that two correct
 * runs could print differently: every address is printed relative to a window.
 *
 *   A  a fixed range that nothing else lives in; steps put most things here
 *   T  the pages below an anchor at the top of the mmap area: what the kernel
 *      chooses itself lands here, top down
 *   B  the pages above the program break
 *
 * Each step has a path ("12", or "12.3" for the third step of step 12's child)
 * and draws from a generator seeded by (seed, path) alone. Leaving a step out
 * therefore changes no argument of another one, which is what lets the driver
 * shrink a difference to the few steps that make it.
 *
 * No step calls malloc: the T and B windows belong to the steps.
 */
#ifndef DIFFTEST_H
#define DIFFTEST_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE 4096UL
#define A_BASE 0x100000000000UL
#define WIN_PAGES 512UL
#define B_PAGES 128UL
#define ANCHOR_ALIGN (2UL << 20)
#define PATH_MAX_LEN 48
#define MAX_DEPTH 3

struct rng {
	uint64_t state;
};

/* What a step may be, and where it may be drawn. */
enum {
	OP_PLAIN = 1, /* also in a worker thread and in a vfork child */
	OP_PROC = 2, /* makes processes or threads: not in those */
	OP_EXTRA = 4, /* only with --extra */
	OP_RSS = 8, /* only with --rss */
};

struct ctx {
	struct rng rng;
	char path[PATH_MAX_LEN];
	int depth;
	unsigned int allowed; /* OP_* classes that may be drawn here */
};

struct op {
	const char *name;
	unsigned int weight;
	unsigned int class;
	void (*run)(struct ctx *c);
};

struct options {
	uint64_t seed;
	unsigned long steps;
	const char *dir;
	const char *prefix; /* of every path: set in an exec'ed child */
	const char *self;
	bool rss;
	bool extra;
	bool no_free; /* MADV_FREE is MADV_NORMAL */
	bool pageout; /* send memory to swap at every turn: nobody may notice */
	bool keep; /* files are left as they are: an exec'ed child */
	bool vma_raw;
	bool vma_none;
	int lie; /* plant a fault of this kind (the driver's self-test) */
};

enum {
	F_SHARED,
	F_ODD,
	F_MEMFD,
	F_PLAIN,
	NR_FILES
};

/*
 * F_SHARED and F_MEMFD are mapped writable, and their sizes are whole pages:
 * what a store beyond the end of a file leaves in its last page is unspecified.
 * F_ODD has any size; it is mapped shared only through a read-only descriptor.
 * F_PLAIN is never mapped: long transfers between it and memory cannot overlap.
 */
struct files {
	int fd[NR_FILES];
	int odd_ro;
	int wronly;
	int dir;
	int zero;
	int pipe[2];
};

struct fault {
	int signo;
	int code;
	uintptr_t addr;
	bool write;
};

extern struct options opt;
extern struct files files;
extern const struct op map_ops[], file_ops[], proc_ops[], look_ops[], rare_ops[];

/* difftest.c */
uint64_t rnd(struct rng *r);
unsigned long below(struct rng *r, unsigned long n);
bool one_in(struct rng *r, unsigned long n);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_flush(void);
void step_line(struct ctx *c, const char *name);
void run_step(struct ctx *c);
bool sub_step(struct ctx *parent, struct ctx *c, unsigned int index);
const char *pa(uintptr_t addr);
const char *res(long r);
void die(const char *what) __attribute__((noreturn));
uint64_t hash_bytes(const void *p, size_t n, uint64_t h);

/* window.c: where steps aim */
struct window {
	const char *name;
	uintptr_t start;
	uintptr_t end;
};
enum {
	WIN_A,
	WIN_T,
	WIN_B,
	NR_WIN
};
extern struct window win[NR_WIN];
extern uintptr_t anchor;
void windows_init(void);
void windows_pageout(void);
uintptr_t pick_page(struct rng *r);
uintptr_t pick_addr(struct rng *r);
size_t pick_len(struct rng *r);
bool in_window(uintptr_t addr, size_t len);
size_t keep_in(uintptr_t addr, size_t len);

/* touch.c: accesses that may fault */
void touch_init(void);
bool safe_read(uintptr_t addr, uint64_t *val, struct fault *f);
bool safe_write(uintptr_t addr, uint64_t val, struct fault *f);
bool safe_add(uintptr_t addr, uint64_t val, struct fault *f);
bool safe_fill(uintptr_t addr, int byte, size_t len, struct fault *f);
bool safe_hash(uintptr_t addr, size_t len, uint64_t *hash, bool *zero, struct fault *f);
bool safe_call(uintptr_t addr, struct fault *f);
void say_fault(const struct fault *f);

/* observe.c */
bool is_segment(uintptr_t addr);
bool is_private_anon(uintptr_t addr);
void say_maps(struct ctx *c);
void say_contents(struct ctx *c, uintptr_t start, uintptr_t end);

#endif
