/* SPDX-License-Identifier: MIT */
/*
 * callsite.c - system calls without a signal: call sites that are used often become jumps.
 *
 *   text (a private copy of the page)        call region, 64K at CALLS_BASE      kernel text
 *
 *   mov $nr, %eax   ]  jmp *cell      --->   cell: mov $nr, %eax
 *   syscall         ]                              lea 1f(%rip), %rcx
 *   (next)          <-----------+                  jmp *header        --->   fastcall_entry
 *                               |            1:    syscall            <---   ... when it will not
 *   syscall         ]  jmp *cell|                  (cmp $imm, %rax)   <---   ... when it has done it
 *   cmp $imm, %rax  ]           +------------      jmp *back(%rip)
 *
 * The jump is 7 bytes, ff 24 sib disp32: absolute, so it needs no register, no stack (the red zone stays
 * intact) and is right in a child of fork, too. What was another instruction's first byte is now
 * 06, an invalid opcode, or 65 06, that with a prefix: who comes there, by a jump or because it was
 * in between when the page was exchanged, raises SIGILL and is put right by callsite_illegal().
 *
 *   form MOV   ff 24 25 lo hi 06 00      the syscall stood at 5
 *   form CMP   ff 24 65 06 hi 06 00      the cmp stood at 2; the cell's address ends in 06
 *
 * Hence cells of 64 bytes at 0x6xxxx, the pointer at offset 6; form CMP has every fourth. The region lies
 * below mmap_min_addr, where no program maps anything. Its frames are the kernel's: mapped into
 * a host process on demand, shared over fork (cells only ever come), freed with the last mm.
 *
 * A site counts as used often after HOT_CALLS signals; then all sites of its page are done at once, on
 * a copy, so no thread sees half of one. Nobody but the program itself, reading its own text, can tell.
 */
#include <quire/mman.h>
#include <quire/slab.h>
#include <quire/string.h>

#include "callsite.h"

#define CALLS_SIZE 0x10000ul
#define CELL_SIZE 64u
#define NR_CELLS (CALLS_SIZE / CELL_SIZE)
#define CELLS_PER_PAGE (PAGE_SIZE / CELL_SIZE)
#define HOT_CALLS 8
#define HOT_NEVER 255
#define JMP_SIZE 7u

struct cell {
	u8 pad[6];
	u64 entry; /* address of code */
	u8 pad2[2];
	u8 code[40];
	u64 back; /* behind what the jump stands for */
} __attribute__((packed));
_Static_assert(sizeof(struct cell) == CELL_SIZE, "cells");
#define CELL_CODE offsetof(struct cell, code)

/* The calls of one family of address spaces: a program and the children it forked. */
struct call_region {
	atomic_t count; /* mm_machines */
	spinlock_t lock; /* all below, and contents of cells */
	unsigned int next[2]; /* cell to be used next, by form; cell 0 is the header */
	u8 *page[CALLS_SIZE / PAGE_SIZE]; /* NULL: not used yet */
};

enum form {
	FORM_MOV,
	FORM_CMP
};

struct site {
	enum form form;
	unsigned int size; /* bytes that the jump stands for */
	unsigned int syscall; /* offset of the system call in them */
};

static struct kmem_cache *region_cachep;

/* ---- Which calls are fast ---------------------------------------------------------------- */

/*
 * Those that need nothing of the caller but its arguments: they change neither its signal mask nor
 * other registers, and start no task.
 */
const u8 callsite_fast[NR_SYSCALLS] = {
	[__NR_read] = 1,
	[__NR_write] = 1,
	[__NR_open] = 1,
	[__NR_close] = 1,
	[__NR_stat] = 1,
	[__NR_fstat] = 1,
	[__NR_lstat] = 1,
	[__NR_poll] = 1,
	[__NR_lseek] = 1,
	[__NR_mmap] = 1,
	[__NR_mprotect] = 1,
	[__NR_munmap] = 1,
	[__NR_brk] = 1,
	[__NR_rt_sigaction] = 1,
	[__NR_ioctl] = 1,
	[__NR_pread64] = 1,
	[__NR_pwrite64] = 1,
	[__NR_readv] = 1,
	[__NR_writev] = 1,
	[__NR_access] = 1,
	[__NR_pipe] = 1,
	[__NR_select] = 1,
	[__NR_sched_yield] = 1,
	[__NR_mremap] = 1,
	[__NR_msync] = 1,
	[__NR_mincore] = 1,
	[__NR_madvise] = 1,
	[__NR_dup] = 1,
	[__NR_dup2] = 1,
	[__NR_nanosleep] = 1,
	[__NR_getpid] = 1,
	[__NR_sendfile] = 1,
	[__NR_socket] = 1,
	[__NR_connect] = 1,
	[__NR_accept] = 1,
	[__NR_sendto] = 1,
	[__NR_recvfrom] = 1,
	[__NR_sendmsg] = 1,
	[__NR_recvmsg] = 1,
	[__NR_shutdown] = 1,
	[__NR_uname] = 1,
	[__NR_fcntl] = 1,
	[__NR_flock] = 1,
	[__NR_fsync] = 1,
	[__NR_fdatasync] = 1,
	[__NR_truncate] = 1,
	[__NR_ftruncate] = 1,
	[__NR_getdents64] = 1,
	[__NR_getcwd] = 1,
	[__NR_chdir] = 1,
	[__NR_rename] = 1,
	[__NR_mkdir] = 1,
	[__NR_rmdir] = 1,
	[__NR_link] = 1,
	[__NR_unlink] = 1,
	[__NR_symlink] = 1,
	[__NR_readlink] = 1,
	[__NR_chmod] = 1,
	[__NR_fchmod] = 1,
	[__NR_umask] = 1,
	[__NR_gettimeofday] = 1,
	[__NR_getrlimit] = 1,
	[__NR_getrusage] = 1,
	[__NR_sysinfo] = 1,
	[__NR_times] = 1,
	[__NR_getuid] = 1,
	[__NR_getgid] = 1,
	[__NR_geteuid] = 1,
	[__NR_getegid] = 1,
	[__NR_getppid] = 1,
	[__NR_getpgrp] = 1,
	[__NR_gettid] = 1,
	[__NR_readahead] = 1,
	[__NR_time] = 1,
	[__NR_futex] = 1,
	[__NR_sched_getaffinity] = 1,
	[__NR_fadvise64] = 1,
	[__NR_clock_gettime] = 1,
	[__NR_clock_getres] = 1,
	[__NR_clock_nanosleep] = 1,
	[__NR_epoll_wait] = 1,
	[__NR_epoll_ctl] = 1,
	[__NR_openat] = 1,
	[__NR_mkdirat] = 1,
	[__NR_newfstatat] = 1,
	[__NR_unlinkat] = 1,
	[__NR_renameat] = 1,
	[__NR_readlinkat] = 1,
	[__NR_faccessat] = 1,
	[__NR_fallocate] = 1,
	[__NR_utimensat] = 1,
	[__NR_dup3] = 1,
	[__NR_pipe2] = 1,
	[__NR_preadv] = 1,
	[__NR_pwritev] = 1,
	[__NR_prlimit64] = 1,
	[__NR_renameat2] = 1,
	[__NR_getrandom] = 1,
	[__NR_copy_file_range] = 1,
	[__NR_statx] = 1,
	[__NR_faccessat2] = 1,
};

/* ---- Regions ----------------------------------------------------------------------------- */

void callsite_init(void)
{
	region_cachep =
		kmem_cache_create("call_region", sizeof(struct call_region), 0, SLAB_PANIC, NULL);
	if (machine_params.patch_calls)
		mmap_min_addr = CALLS_BASE + CALLS_SIZE;
}

struct call_region *callsite_get(struct call_region *region)
{
	if (region)
		atomic_inc(&region->count);
	return region;
}

void callsite_put(struct call_region *region)
{
	if (!region || !atomic_dec_and_test(&region->count))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(region->page); i++)
		if (region->page[i])
			free_page((unsigned long)region->page[i]);
	kmem_cache_free(region_cachep, region);
}

static void *region_at(const struct call_region *region, unsigned long offset)
{
	return region->page[offset >> PAGE_SHIFT] + (offset & ~PAGE_MASK);
}

static bool region_add_page(struct call_region *region, unsigned int i)
{
	if (!region->page[i])
		region->page[i] = (u8 *)get_zeroed_page(GFP_NOWAIT | __GFP_NOWARN);
	return region->page[i];
}

static struct call_region *region_of(struct native_task *t)
{
	struct mm_machine *m = t->task.mm->machine;
	struct call_region *region = __atomic_load_n(&m->calls, __ATOMIC_ACQUIRE), *none = NULL;

	if (region)
		return region;
	region = kmem_cache_zalloc(region_cachep, GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
	if (!region)
		return NULL;
	atomic_set(&region->count, 1);
	spin_lock_init(&region->lock);
	region->next[FORM_MOV] = 1;
	region->next[FORM_CMP] = 4;
	if (region_add_page(region, 0)) {
		*(u64 *)region->page[0] = (u64)fastcall_entry;
		if (__atomic_compare_exchange_n(&m->calls, &none, region, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return region;
	}
	callsite_put(region);
	return none;
}

bool callsite_fault(struct native_task *t, unsigned long addr)
{
	struct mm_machine *m = t->task.mm->machine;
	struct call_region *region = __atomic_load_n(&m->calls, __ATOMIC_ACQUIRE);
	unsigned long offset = addr - CALLS_BASE;
	const u8 *page;
	long ret;

	if (offset >= CALLS_SIZE || !region)
		return false;
	page = __atomic_load_n(&region->page[offset >> PAGE_SHIFT], __ATOMIC_ACQUIRE);
	if (!page)
		return false;
	ret = host_syscall(__NR_mmap, addr & PAGE_MASK, PAGE_SIZE, PROT_READ | PROT_EXEC,
			   MAP_SHARED | MAP_FIXED | MAP_POPULATE, machine_params.ram_fd,
			   __pa(page));
	if (ret == -ENOMEM)
		tlb_make_room(t->task.mm); /* and it will fault again */
	return ret == -ENOMEM || !IS_ERR_VALUE(ret);
}

/* ---- Cells ------------------------------------------------------------------------------- */

static u8 *emit(u8 *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

static u8 *emit32(u8 *p, u32 v)
{
	return emit(p, &v, sizeof(v));
}

/* The code of a cell, for the site whose bytes are at text. */
static void write_cell(struct cell *cell, unsigned long addr, const u8 *text,
		       const struct site *site, u64 back)
{
	static const u8 jmp_header[JMP_SIZE] = { 0xff, 0x24, 0x25, 0, 0, 6, 0 };
	u8 *p = cell->code, *next;

	if (site->form == FORM_MOV)
		p = emit(p, text, site->syscall);
	p = emit(p, "\x48\x8d\x0d", 3); /* lea JMP_SIZE(%rip), %rcx */
	p = emit32(p, JMP_SIZE);
	p = emit(p, jmp_header, JMP_SIZE);
	p = emit(p, "\x0f\x05", 2);
	if (site->form == FORM_CMP)
		p = emit(p, text + 2, site->size - 2);
	p = emit(p, "\xff\x25", 2); /* jmp *back(%rip) */
	next = p + 4;
	emit32(p, (u32)((u8 *)&cell->back - next));
	cell->back = back;
	cell->entry = addr + CELL_CODE;
}

/* Where in a cell's code the system call stands. */
static unsigned long cell_syscall(enum form form)
{
	return CELL_CODE + (form == FORM_MOV ? 5 : 0) + 7 + JMP_SIZE;
}

static enum form cell_form(const struct cell *cell)
{
	return cell->code[0] == 0xb8 ? FORM_MOV : FORM_CMP;
}

/* Form MOV leaves every fourth cell to the other form. */
static unsigned int cell_after(enum form form, unsigned int i)
{
	if (form == FORM_CMP)
		return i + 4;
	return i % 4 == 3 ? i + 2 : i + 1;
}

/* A cell for the site that ends at back: one it had before, or a new one. 0: none is left. */
static unsigned long get_cell(struct call_region *region, const u8 *text, const struct site *site,
			      u64 back)
{
	unsigned int i = site->form == FORM_MOV ? 1 : 4, end = region->next[site->form];
	unsigned long offset;

	for (; i < end; i = cell_after(site->form, i)) {
		const struct cell *cell = region_at(region, i * CELL_SIZE);
		const u8 *call = cell->code + cell_syscall(site->form) - CELL_CODE;

		if (cell->back != back)
			continue;
		if (site->form == FORM_MOV ? !memcmp(cell->code, text, site->syscall)
					   : !memcmp(call, text, site->size))
			return i * CELL_SIZE;
	}
	if (end >= NR_CELLS || !region_add_page(region, end / CELLS_PER_PAGE))
		return 0;
	offset = end * CELL_SIZE;
	write_cell(region_at(region, offset), CALLS_BASE + offset, text, site, back);
	region->next[site->form] = cell_after(site->form, end);
	return offset;
}

/* ---- Sites ------------------------------------------------------------------------------- */

/* Whether a site begins at p, n bytes of the page being left, and what it is. */
static bool site_at(const u8 *p, size_t n, struct site *site)
{
	u32 nr;

	if (n >= JMP_SIZE && p[0] == 0xb8 && p[5] == 0x0f && p[6] == 0x05) {
		memcpy(&nr, p + 1, sizeof(nr));
		*site = (struct site){ FORM_MOV, JMP_SIZE, 5 };
		return callsite_is_fast(nr) && (p[-1] & 0xf0) != 0x40 /* REX: not %eax */;
	}
	if (n < 8 || p[0] != 0x0f || p[1] != 0x05)
		return false;
	*site = (struct site){ FORM_CMP, p[2] == 0x48 ? 8 : 7, 0 };
	return p[2] == 0x3d || (p[2] == 0x48 && p[3] == 0x3d);
}

static void patch_site(u8 *p, unsigned long cell, enum form form)
{
	unsigned long at = CALLS_BASE + cell + offsetof(struct cell, entry);

	p[0] = 0xff;
	p[1] = 0x24;
	p[2] = form == FORM_MOV ? 0x25 : 0x65;
	emit32(p + 3, (u32)at);
}

static bool patch_page(u8 *copy, unsigned long addr, void *arg)
{
	struct call_region *region = arg;
	struct site site;
	bool any = false;

	spin_lock(&region->lock);
	for (size_t i = 1; i + JMP_SIZE < PAGE_SIZE; i++) {
		unsigned long cell;

		if (copy[i + 1] != 0x05 && copy[i] != 0xb8)
			continue;
		if (!site_at(copy + i, PAGE_SIZE - i, &site)) {
			/* Not the system call of a mov that is not for us. */
			if (copy[i] == 0xb8 && copy[i + 5] == 0x0f && copy[i + 6] == 0x05)
				i += JMP_SIZE - 1;
			continue;
		}
		cell = get_cell(region, copy + i, &site, addr + i + site.size);
		if (!cell)
			break;
		patch_site(copy + i, cell, site.form);
		i += site.size - 1;
		any = true;
	}
	spin_unlock(&region->lock);
	return any;
}

void callsite_hot(struct native_task *t, unsigned long ip)
{
	struct mm_machine *m = t->task.mm->machine;
	u8 *hot = &m->hot_calls[ip % ARRAY_SIZE(m->hot_calls)];
	struct call_region *region;

	if (*hot == HOT_NEVER || ip - CALLS_BASE < CALLS_SIZE || ++*hot < HOT_CALLS)
		return;
	*hot = HOT_NEVER;
	region = region_of(t);
	if (region && replace_text_page(t->task.mm, ip - 2, patch_page, region))
		native_count(t, NC_CALL_PAGES, 1);
}

/* ---- Putting right ----------------------------------------------------------------------- */

/* The cell whose code ip is in, or NULL. */
static const struct cell *cell_of(struct native_task *t, unsigned long ip)
{
	struct mm_machine *m = t->task.mm->machine;
	struct call_region *region = __atomic_load_n(&m->calls, __ATOMIC_ACQUIRE);
	unsigned long offset = ip - CALLS_BASE;

	if (!region || offset >= CALLS_SIZE || !region->page[offset >> PAGE_SHIFT])
		return NULL;
	return region_at(region, offset & ~(CELL_SIZE - 1ul));
}

unsigned long callsite_guest_ip(struct native_task *t, unsigned long ip)
{
	const struct cell *cell = cell_of(t, ip);
	unsigned long at = ip % CELL_SIZE, call, cmp;
	enum form form;

	if (!cell || !cell->entry)
		return ip;
	form = cell_form(cell);
	call = cell_syscall(form);
	/* At the system call itself %rax may hold another number than the site's: that of a restart. */
	if (form == FORM_MOV)
		return at < call ? cell->back - JMP_SIZE : at == call ? cell->back - 2 : cell->back;
	cmp = cell->code[call + 2 - CELL_CODE] == 0x48 ? 6 : 5;
	if (at <= call)
		return cell->back - cmp - 2;
	return at == call + 2 ? cell->back - cmp : cell->back;
}

bool callsite_illegal(struct native_task *t, struct host_sigcontext *regs, bool *call)
{
	const struct cell *cell = NULL;
	unsigned int back = 0;
	u8 jmp[JMP_SIZE];
	u32 at;

	/* As many bytes behind the jump's first one as a syscall, or a cmp, stood before. */
	for (unsigned int i = 0; i < 2 && !cell; i++) {
		back = i ? 2 : 5;
		if (copy_from_mm(t->task.mm, jmp, regs->ip - back, sizeof(jmp)) || jmp[0] != 0xff ||
		    jmp[1] != 0x24 || jmp[2] != (i ? 0x65 : 0x25))
			continue;
		memcpy(&at, jmp + 3, sizeof(at));
		cell = cell_of(t, at);
		if (cell && (!cell->entry || at % CELL_SIZE != offsetof(struct cell, entry)))
			cell = NULL;
	}
	if (!cell)
		return false;
	*call = back == 5;
	if (*call)
		regs->ip += 2;
	else
		regs->ip = (at & ~(CELL_SIZE - 1ul)) + cell_syscall(FORM_CMP) + 2;
	return true;
}
