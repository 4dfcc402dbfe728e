/* SPDX-License-Identifier: MIT */
/*
 * execve(): the argument strings, the fresh address space, its stack.
 *
 * Strings are gathered from the top down in kernel pages, the way they will lie on the stack:
 *
 *   arg_pos                                                             arg_top
 *   | argv[0] argv[1] ... | envp[0] envp[1] ... | filename | 8 zero bytes |
 *
 * A script pushes its interpreter below them. Only when the file is known to be loadable does
 * begin_new_exec() make the new mm. The caller's own image is never touched: an error leaves it
 * as it was, and bprm->point_of_no_return tells whether Linux would have had it left.
 *
 * Nobody else sees the new mm before exec_load() returns; locks are those of the calls used.
 */
#include "binfmts.h"

#include <quire/kernel.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/string.h>

#define SZ_128K 0x20000UL
#define SZ_128M 0x8000000UL
#define _STK_LIM (8UL << 20)
#define ARG_MAX 131072UL
#define MAX_ARG_BYTES (_STK_LIM / 4 * 3)
#define MAX_ARG_PAGES (MAX_ARG_BYTES / PAGE_SIZE + 1)
#define MAX_ARG_STRINGS (MAX_ARG_BYTES / sizeof(void *))
#define MAX_INTERP_DEPTH 5

#define STACK_RND_MASK 0x3fffffUL /* pages */
#define STACK_RND_BYTES ((STACK_RND_MASK + 1) << PAGE_SHIFT)
#define MMAP_RND_BITS 28
/* A vdso this close under the top of user space is in the stack's way. */
#define STACK_ZONE (STACK_RND_BYTES + (1UL << 30))
/* What the machine may need around vdso_addr for [vvar] and [vdso]. */
#define VDSO_ZONE (16 * PAGE_SIZE)

int randomize_va_space = 2;

u64 get_random_u64(void)
{
	u64 v;

	machine_random(&v, sizeof(v));
	return v;
}

/* ---- Argument strings ---------------------------------------------------------------------- */

/* Strings and the pointers to them may fill a quarter of the stack, within bounds. */
static bool bprm_hit_stack_limit(struct linux_binprm *bprm)
{
	unsigned long limit = min(MAX_ARG_BYTES, bprm->stack_limit.rlim_cur / 4);
	unsigned long pointers = ((unsigned long)max(bprm->argc, 1) + bprm->envc) * sizeof(void *);
	unsigned long used = bprm->arg_top - ARG_TOP_GAP - bprm->arg_pos;

	limit = max(limit, ARG_MAX);
	return limit <= pointers || used > limit - pointers;
}

/* Copies n bytes to offset pos of the argument area, making its pages. */
static int bprm_store(struct linux_binprm *bprm, unsigned long pos, const char *src, size_t n)
{
	while (n) {
		unsigned long offset = pos & ~PAGE_MASK;
		size_t chunk = min(n, PAGE_SIZE - offset);
		struct page **slot = &bprm->arg_pages[pos >> PAGE_SHIFT];

		if (!*slot)
			*slot = alloc_page(GFP_KERNEL);
		if (!*slot)
			return -ENOMEM;
		memcpy((char *)page_address(*slot) + offset, src, chunk);
		pos += chunk;
		src += chunk;
		n -= chunk;
	}
	return 0;
}

static int bprm_push(struct linux_binprm *bprm, const char *s, size_t len)
{
	if (len >= bprm->arg_pos)
		return -E2BIG;
	bprm->arg_pos -= len + 1;
	if (bprm_hit_stack_limit(bprm))
		return -E2BIG;
	return bprm_store(bprm, bprm->arg_pos, s, len + 1);
}

int bprm_push_string(struct linux_binprm *bprm, const char *s)
{
	size_t len = strnlen(s, MAX_ARG_STRLEN);

	return len < MAX_ARG_STRLEN ? bprm_push(bprm, s, len) : -E2BIG;
}

unsigned long bprm_strlen(struct linux_binprm *bprm, unsigned long pos)
{
	unsigned long start = pos;

	while (pos < bprm->arg_top) {
		unsigned long offset = pos & ~PAGE_MASK;
		const char *page = page_address(bprm->arg_pages[pos >> PAGE_SHIFT]);
		size_t n = strnlen(page + offset, PAGE_SIZE - offset);

		pos += n;
		if (offset + n < PAGE_SIZE)
			break;
	}
	return pos - start;
}

void bprm_pop_string(struct linux_binprm *bprm)
{
	if (!bprm->argc)
		return;
	bprm->arg_pos += bprm_strlen(bprm, bprm->arg_pos) + 1;
	bprm->argc--;
}

int bprm_init(struct linux_binprm *bprm, const char *filename)
{
	int err;

	memset(bprm, 0, sizeof(*bprm));
	bprm->filename = filename;
	bprm->arg_pages = kcalloc(MAX_ARG_PAGES, sizeof(struct page *), GFP_KERNEL);
	if (!bprm->arg_pages)
		return -ENOMEM;
	bprm->arg_top = MAX_ARG_PAGES * PAGE_SIZE;
	bprm->arg_pos = bprm->arg_top - ARG_TOP_GAP;
	err = bprm_push_string(bprm, filename);
	if (err)
		bprm_free(bprm);
	return err;
}

void bprm_free(struct linux_binprm *bprm)
{
	if (bprm->arg_pages) {
		for (unsigned long i = 0; i < MAX_ARG_PAGES; i++) {
			if (bprm->arg_pages[i])
				__free_page(bprm->arg_pages[i]);
		}
	}
	kfree(bprm->arg_pages);
	bprm->arg_pages = NULL;
	if (bprm->exe)
		fput(bprm->exe);
	bprm->exe = NULL;
}

/* Where a vector of strings is read from: memory of mm. */
struct arg_source {
	struct mm_struct *mm;
	unsigned long vec;
	char *buf; /* one string at a time; a page, or MAX_ARG_STRLEN once a long one was met */
	size_t buf_size;
};

/* Reads pointers [i, i + n), fewer at the end of the mapping. How many, or -EFAULT. */
static long read_pointers(struct arg_source *src, unsigned long i, unsigned long *pointers,
			  unsigned long n)
{
	unsigned long addr = src->vec + i * sizeof(void *);
	unsigned long got;

	/* Up to the end of the page first: what lies behind the vector may not be mapped. */
	got = (PAGE_SIZE - (addr & ~PAGE_MASK)) / sizeof(void *);
	n = clamp(got, 1UL, n);
	if (copy_from_mm(src->mm, pointers, addr, n * sizeof(void *)))
		return -EFAULT;
	return n;
}

static long count_strings(struct arg_source *src)
{
	unsigned long pointers[32];
	unsigned long i = 0;

	if (!src->vec)
		return 0;
	for (;;) {
		long n = read_pointers(src, i, pointers, ARRAY_SIZE(pointers));

		if (n < 0)
			return n;
		for (long k = 0; k < n; k++) {
			if (!pointers[k])
				return i + k;
		}
		i += n;
		if (i > MAX_ARG_STRINGS)
			return -E2BIG;
	}
}

static int copy_string(struct linux_binprm *bprm, struct arg_source *src, unsigned long str)
{
	long len = strncpy_from_mm(src->mm, src->buf, str, src->buf_size);

	if (len >= 0 && (size_t)len >= src->buf_size && src->buf_size < MAX_ARG_STRLEN) {
		kfree(src->buf);
		src->buf_size = MAX_ARG_STRLEN;
		src->buf = kmalloc(src->buf_size, GFP_KERNEL);
		if (!src->buf)
			return -ENOMEM;
		len = strncpy_from_mm(src->mm, src->buf, str, src->buf_size);
	}
	if (len < 0)
		return len;
	if ((size_t)len >= MAX_ARG_STRLEN)
		return -E2BIG;
	return bprm_push(bprm, src->buf, len);
}

/* Last string first: each goes below the one before. */
static int copy_strings(struct linux_binprm *bprm, struct arg_source *src, unsigned long count)
{
	while (count) {
		unsigned long pointer;
		long n = read_pointers(src, --count, &pointer, 1);
		int err = n < 0 ? (int)n : copy_string(bprm, src, pointer);

		if (err)
			return err;
	}
	return 0;
}

static int begin_strings(struct linux_binprm *bprm, long count, bool is_env)
{
	if (is_env)
		bprm->envc = count;
	else
		bprm->argc = count;
	return bprm_hit_stack_limit(bprm) ? -E2BIG : 0;
}

/* No program is started without an argv[0]. */
static int end_strings(struct linux_binprm *bprm, long count, bool is_env)
{
	if (is_env || count)
		return 0;
	bprm->argc = 1;
	return bprm_push_string(bprm, "");
}

int bprm_copy_strings(struct linux_binprm *bprm, struct mm_struct *mm, unsigned long vec,
		      bool is_env)
{
	struct arg_source src = { .mm = mm, .vec = vec };
	long count = count_strings(&src);
	int err;

	if (count < 0)
		return count;
	err = begin_strings(bprm, count, is_env);
	if (err)
		return err;
	if (count) {
		src.buf_size = PAGE_SIZE;
		src.buf = kmalloc(src.buf_size, GFP_KERNEL);
		if (!src.buf)
			return -ENOMEM;
	}
	err = copy_strings(bprm, &src, count);
	kfree(src.buf);
	return err ?: end_strings(bprm, count, is_env);
}

int bprm_copy_strings_kernel(struct linux_binprm *bprm, const char *const *vec, bool is_env)
{
	long count = 0;
	int err;

	while (vec[count])
		if ((unsigned long)++count > MAX_ARG_STRINGS)
			return -E2BIG;
	err = begin_strings(bprm, count, is_env);
	for (long i = count; i && !err; i--)
		err = bprm_push_string(bprm, vec[i - 1]);
	return err ?: end_strings(bprm, count, is_env);
}

/* ---- The new address space ----------------------------------------------------------------- */

/* The end of the zone that the stack's random position is counted down from. */
static unsigned long stack_ceiling(const struct linux_binprm *bprm)
{
	unsigned long vdso = bprm->vdso_addr;

	if (vdso < TASK_SIZE_MAX && vdso > TASK_SIZE_MAX - STACK_ZONE)
		return (vdso & PAGE_MASK) - VDSO_ZONE;
	return TASK_SIZE_MAX;
}

/* Pages up or down, at random. */
static unsigned long mmap_rnd(const struct linux_binprm *bprm)
{
	if (!bprm->randomize)
		return 0;
	return (get_random_u64() & ((1UL << MMAP_RND_BITS) - 1)) << PAGE_SHIFT;
}

/* Mappings go down from below the most that the stack can become. */
static unsigned long mmap_base(const struct linux_binprm *bprm, unsigned long rnd)
{
	unsigned long top = stack_ceiling(bprm);
	unsigned long gap = bprm->stack_limit.rlim_cur;
	unsigned long pad = STACK_GUARD_GAP;

	if (bprm->randomize)
		pad += STACK_RND_MASK << PAGE_SHIFT;
	if (gap + pad > gap)
		gap += pad;
	gap = clamp(gap, SZ_128M, TASK_SIZE_MAX / 6 * 5);
	return PAGE_ALIGN(top - gap - rnd);
}

static void set_mmap_bases(const struct linux_binprm *bprm)
{
	struct mm_struct *mm = bprm->mm;
	unsigned long rnd = mmap_rnd(bprm);

	mm->mmap_legacy_base = PAGE_ALIGN(mm->task_size / 3) + rnd;
	mm->mmap_base = mmap_base(bprm, rnd);
	if (bprm->compat_layout) {
		mm->mmap_base = mm->mmap_legacy_base;
		mm->mmap_upward = true;
	}
}

/* Where the machine will map its vdso, after us; 0 if it has none. */
static unsigned long vdso_zone(const struct linux_binprm *bprm)
{
	unsigned long vdso = bprm->vdso_addr & PAGE_MASK;

	return vdso < VDSO_ZONE || vdso >= TASK_SIZE_MAX - VDSO_ZONE ? 0 : vdso - VDSO_ZONE;
}

/* Nothing may settle there meanwhile. */
static int reserve_vdso_zone(struct linux_binprm *bprm)
{
	unsigned long start = vdso_zone(bprm);
	unsigned long ret;

	if (!start)
		return 0;
	ret = do_mmap(bprm->mm, NULL, start, 2 * VDSO_ZONE, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, 0, NULL);
	return IS_ERR_VALUE(ret) ? (int)ret : 0;
}

int begin_new_exec(struct linux_binprm *bprm)
{
	struct task_struct *task = machine_current();
	const char *slash = strrchr(bprm->filename, '/');
	struct mm_struct *mm = mm_alloc();

	if (!mm)
		return -ENOMEM;
	bprm->mm = mm;
	bprm->point_of_no_return = true;
	strscpy(bprm->comm, slash ? slash + 1 : bprm->filename, TASK_COMM_LEN);
	if (task)
		mm_set_rlimits(mm, task->signal);
	mm->rlim_stack = bprm->stack_limit.rlim_cur;
	set_mmap_bases(bprm);
	return reserve_vdso_zone(bprm);
}

int finalize_exec(struct linux_binprm *bprm)
{
	unsigned long start = vdso_zone(bprm);
	int err = start ? do_munmap(bprm->mm, start, 2 * VDSO_ZONE) : 0;

	bprm->mm->hiwater_vm = bprm->mm->total_vm;
	return err;
}

static unsigned long pick_stack_top(const struct linux_binprm *bprm)
{
	unsigned long top = stack_ceiling(bprm);

	if (!bprm->randomize)
		return top;
	top -= (get_random_u64() & STACK_RND_MASK) << PAGE_SHIFT;
	top -= get_random_u64() % 8192;
	return PAGE_ALIGN(top & ~0xfUL);
}

/* Copies the gathered strings to the end of the stack. */
static int copy_arg_pages(struct linux_binprm *bprm, unsigned long stack_top)
{
	unsigned long end = bprm->arg_top - ARG_TOP_GAP;

	for (unsigned long pos = bprm->arg_pos; pos < end;) {
		unsigned long offset = pos & ~PAGE_MASK;
		size_t n = min(end - pos, PAGE_SIZE - offset);
		char *page = page_address(bprm->arg_pages[pos >> PAGE_SHIFT]);

		if (copy_to_mm(bprm->mm, stack_top - bprm->arg_top + pos, page + offset, n))
			return -EFAULT;
		pos += n;
	}
	return 0;
}

int setup_arg_pages(struct linux_binprm *bprm, enum executable_stack executable)
{
	unsigned long stack_top = pick_stack_top(bprm);
	unsigned long strings = PAGE_ALIGN(bprm->arg_top - bprm->arg_pos);
	unsigned long rlim = bprm->stack_limit.rlim_cur & PAGE_MASK;
	unsigned long size = max(strings, min(rlim, strings + SZ_128K));
	unsigned long prot = PROT_READ | PROT_WRITE;
	unsigned long ret;

	/* The first page comes free, growth is limited. */
	if (strings > PAGE_SIZE && strings > rlim)
		return -E2BIG;
	if (executable == EXSTACK_ENABLE_X)
		prot |= PROT_EXEC;
	ret = do_mmap(bprm->mm, NULL, stack_top - size, size, prot,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN | MAP_STACK,
		      0, NULL);
	if (IS_ERR_VALUE(ret))
		return ret == (unsigned long)-ENOMEM ? -ENOMEM : -EFAULT;
	bprm->sp = stack_top - (bprm->arg_top - bprm->arg_pos);
	bprm->mm->arg_start = bprm->sp;
	return copy_arg_pages(bprm, stack_top);
}

/* ---- Finding the format -------------------------------------------------------------------- */

/* One file of the chain: ELF is loaded; a script sets interp_path, *again. */
static int load_one(struct linux_binprm *bprm, struct file *file, bool *again)
{
	char buf[BINPRM_BUF_SIZE] = "";
	ssize_t n = kernel_read(file, buf, sizeof(buf), 0);
	int err;

	if (n < 0)
		return n;
	*again = buf[0] == '#' && buf[1] == '!';
	if (*again)
		return load_script(bprm, buf);
	err = load_elf_binary(bprm, file, buf);
	if (!err)
		bprm->exe = get_file(file);
	return err;
}

int exec_load(struct linux_binprm *bprm)
{
	bool again = true;
	int err = 0;

	if (strscpy(bprm->interp_path, bprm->filename, sizeof(bprm->interp_path)) < 0)
		return -ENAMETOOLONG;
	for (int depth = 0; again && !err; depth++) {
		struct file *file;

		if (depth > MAX_INTERP_DEPTH)
			return -ELOOP;
		file = machine_open_exec(bprm->interp_path);
		if (IS_ERR(file))
			return PTR_ERR(file);
		err = load_one(bprm, file, &again);
		fput(file);
	}
	if (err && bprm->mm) {
		mmput(bprm->mm);
		bprm->mm = NULL;
	}
	return err;
}
