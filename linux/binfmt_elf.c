/* SPDX-License-Identifier: MIT */
/*
 * ELF: maps a program's PT_LOAD segments, its interpreter's, and writes the stack's head.
 *
 *   0x0000555555554aaa + random   program (PIE)      ET_EXEC: where it says
 *                                 brk area, after a random gap
 *   mmap_base and down            interpreter, or a PIE without one (static, or ld.so itself)
 *   STACK_TOP - random            stack:
 *
 *     sp: argc | argv[] 0 | envp[] 0 | auxv | pad | random bytes | "x86_64" | strings | 0
 *
 * A segment is a private mapping of whole pages of the file. Where memory goes on behind the
 * file's bytes, the rest of the last page is cleared and the further pages are anonymous:
 *
 *         p_vaddr          + p_filesz          + p_memsz
 *   |......xxxxxxxxxx|xxxxxxxxxxx00000|0000000000.....|
 *    file mapping      ... cleared    | anonymous
 *
 * Nothing in the file is trusted: sizes are checked before they are added to, and addresses
 * against TASK_SIZE_MAX. Errors are Linux's, up to those that Linux answers with SIGSEGV.
 */
#include "binfmts.h"
#include "elf.h"

#include <quire/kernel.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/string.h>

#define ELF_ET_DYN_BASE (TASK_SIZE_MAX / 3 * 2)
#define ELF_PAGEOFFSET(v) ((v) & ~PAGE_MASK)
#define BAD_ADDR(x) ((unsigned long)(x) >= TASK_SIZE_MAX)
#define PATH_MAX 4096
#define MAX_PHDRS_SIZE 65536
#define BRK_RND_BYTES (1UL << 30)
#define ELF_PLATFORM "x86_64"

/* A file on its way into memory: the program or its interpreter. */
struct elf_image {
	struct file *file;
	struct elf64_hdr ehdr;
	struct elf64_phdr *phdrs;
	unsigned long load_bias; /* address - p_vaddr */
};

static int elf_read(struct file *file, void *buf, size_t len, u64 pos)
{
	ssize_t n;

	if ((loff_t)pos < 0)
		return -EINVAL;
	n = kernel_read(file, buf, len, pos);
	if (n < 0)
		return n;
	return (size_t)n == len ? 0 : -EIO;
}

static bool elf_hdr_valid(const struct elf64_hdr *ehdr)
{
	static const u8 magic[SELFMAG] = { 0x7f, 'E', 'L', 'F' };

	return !memcmp(ehdr->e_ident, magic, SELFMAG) && ehdr->e_machine == EM_X86_64;
}

/* invalid: what to return if there are no program headers, too many, or they cannot be read. */
static int load_phdrs(struct elf_image *image, int invalid)
{
	size_t size = sizeof(struct elf64_phdr) * image->ehdr.e_phnum;
	int err;

	if (image->ehdr.e_phentsize != sizeof(struct elf64_phdr) || !size || size > MAX_PHDRS_SIZE)
		return invalid;
	image->phdrs = kmalloc(size, GFP_KERNEL);
	if (!image->phdrs)
		return -ENOMEM;
	err = elf_read(image->file, image->phdrs, size, image->ehdr.e_phoff);
	return err && err != -ENOMEM ? invalid : err;
}

/* Iterates over the PT_LOAD headers of an image. */
static const struct elf64_phdr *next_load(const struct elf_image *image,
					  const struct elf64_phdr *phdr)
{
	const struct elf64_phdr *end = image->phdrs + image->ehdr.e_phnum;

	for (phdr = phdr ? phdr + 1 : image->phdrs; phdr < end; phdr++) {
		if (phdr->p_type == PT_LOAD)
			return phdr;
	}
	return NULL;
}

#define for_each_load(image, phdr) \
	for ((phdr) = next_load(image, NULL); (phdr); (phdr) = next_load(image, phdr))

/* From the first page of the lowest segment to the end of the highest. */
static unsigned long total_mapping_size(const struct elf_image *image)
{
	const struct elf64_phdr *phdr;
	unsigned long low = ~0UL, high = 0;

	for_each_load(image, phdr)
	{
		low = min(low, phdr->p_vaddr & PAGE_MASK);
		high = max(high, phdr->p_vaddr + phdr->p_memsz);
	}
	return high > low ? high - low : 0;
}

static unsigned long maximum_alignment(const struct elf_image *image)
{
	const struct elf64_phdr *phdr;
	unsigned long alignment = PAGE_SIZE;

	for_each_load(image, phdr)
	{
		if (is_power_of_2(phdr->p_align))
			alignment = max(alignment, phdr->p_align);
	}
	return alignment;
}

static unsigned long segment_prot(const struct elf64_phdr *phdr)
{
	unsigned long prot = 0;

	if (phdr->p_flags & PF_R)
		prot |= PROT_READ;
	if (phdr->p_flags & PF_W)
		prot |= PROT_WRITE;
	if (phdr->p_flags & PF_X)
		prot |= PROT_EXEC;
	return prot;
}

/* The segment's memory lies in user space and covers its file part. */
static bool segment_fits(const struct elf64_phdr *phdr, unsigned long addr)
{
	return !BAD_ADDR(addr) && phdr->p_filesz <= phdr->p_memsz &&
	       phdr->p_memsz <= TASK_SIZE_MAX && TASK_SIZE_MAX - phdr->p_memsz >= addr;
}

/*
 * The file part. The first segment of an image that may go anywhere is mapped with the size of
 * the whole, so that there is room for the others; what is too much goes away again.
 */
static unsigned long elf_map(struct mm_struct *mm, struct file *file, unsigned long addr,
			     const struct elf64_phdr *phdr, unsigned long flags,
			     unsigned long total_size)
{
	unsigned long offset = phdr->p_offset - ELF_PAGEOFFSET(phdr->p_vaddr);
	unsigned long size = PAGE_ALIGN(phdr->p_filesz + ELF_PAGEOFFSET(phdr->p_vaddr));
	unsigned long map_size = total_size ? PAGE_ALIGN(total_size) : size;
	unsigned long ret;

	addr &= PAGE_MASK;
	if (!phdr->p_filesz || !size)
		return addr;
	if (offset & ~PAGE_MASK || offset + map_size < offset)
		return -EINVAL;
	ret = do_mmap(mm, file, addr, map_size, segment_prot(phdr), flags, offset >> PAGE_SHIFT,
		      NULL);
	if (!BAD_ADDR(ret) && map_size > size)
		do_munmap(mm, ret + size, map_size - size);
	return ret;
}

/* Anonymous memory behind the file part, executable if the segment is; in any case writable. */
static int map_bss(struct mm_struct *mm, unsigned long start, unsigned long end, unsigned long prot)
{
	unsigned long size = PAGE_ALIGN(end) - PAGE_ALIGN(start);
	unsigned long ret;

	start = PAGE_ALIGN(start);
	if (!size)
		return 0;
	if (size > TASK_SIZE_MAX)
		return -ENOMEM;
	ret = do_mmap(mm, NULL, start, size, PROT_READ | PROT_WRITE | (prot & PROT_EXEC),
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0, NULL);
	return IS_ERR_VALUE(ret) ? (int)ret : 0;
}

/* One segment at addr (a hint, or fixed by flags). The address of its first page, or an errno. */
static unsigned long elf_load(struct mm_struct *mm, struct file *file, unsigned long addr,
			      const struct elf64_phdr *phdr, unsigned long flags,
			      unsigned long total_size)
{
	unsigned long prot = segment_prot(phdr);
	unsigned long map_addr, zero_start, zero_end;
	int err;

	map_addr = elf_map(mm, file, addr, phdr, flags, total_size);
	if (BAD_ADDR(map_addr) || phdr->p_memsz <= phdr->p_filesz)
		return map_addr;
	zero_start = map_addr + ELF_PAGEOFFSET(phdr->p_vaddr) + phdr->p_filesz;
	zero_end = map_addr + ELF_PAGEOFFSET(phdr->p_vaddr) + phdr->p_memsz;
	if (!phdr->p_filesz)
		zero_start = map_addr;
	else if (ELF_PAGEOFFSET(zero_start) &&
		 clear_mm(mm, zero_start, PAGE_SIZE - ELF_PAGEOFFSET(zero_start)) &&
		 (prot & PROT_WRITE))
		return -EFAULT;
	err = map_bss(mm, zero_start, zero_end, prot);
	return err ? (unsigned long)err : map_addr;
}

/* ---- The interpreter ----------------------------------------------------------------------- */

/* Opens what PT_INTERP names. With image->file NULL after success the program has none. */
static int open_interpreter(const struct elf_image *prog, struct elf_image *interp)
{
	const struct elf64_phdr *phdr = prog->phdrs, *end = phdr + prog->ehdr.e_phnum;
	char *path;
	int err;

	while (phdr < end && phdr->p_type != PT_INTERP)
		phdr++;
	if (phdr == end)
		return 0;
	if (phdr->p_filesz > PATH_MAX || phdr->p_filesz < 2)
		return -ENOEXEC;
	path = kmalloc(phdr->p_filesz, GFP_KERNEL);
	if (!path)
		return -ENOMEM;
	err = elf_read(prog->file, path, phdr->p_filesz, phdr->p_offset);
	if (!err && path[phdr->p_filesz - 1])
		err = -ENOEXEC;
	if (!err) {
		/* Linux takes an empty name for the working directory, which cannot be run. */
		struct file *file = *path ? machine_open_exec(path) : ERR_PTR(-EACCES);

		if (IS_ERR(file))
			err = PTR_ERR(file);
		else
			interp->file = file;
	}
	kfree(path);
	return err ? err : elf_read(interp->file, &interp->ehdr, sizeof(interp->ehdr), 0);
}

/*
 * Maps the interpreter: at mmap_base, or where it says. The addresses in a movable one are a hint
 * if the program lies at its own addresses, and mean nothing (anywhere) if that was moved too.
 * The address of its entry, or an errno.
 */
static unsigned long load_elf_interp(struct mm_struct *mm, struct elf_image *interp, bool anywhere)
{
	unsigned long total_size = total_mapping_size(interp);
	bool dynamic = interp->ehdr.e_type == ET_DYN;
	const struct elf64_phdr *phdr;
	bool placed = !dynamic;

	if (!dynamic && interp->ehdr.e_type != ET_EXEC)
		return -EPERM;
	if (!total_size)
		return -EINVAL;
	for_each_load(interp, phdr)
	{
		unsigned long flags = MAP_PRIVATE | (placed ? MAP_FIXED : 0);
		unsigned long addr;

		if (!placed && anywhere)
			interp->load_bias = -phdr->p_vaddr;
		addr = elf_load(mm, interp->file, interp->load_bias + phdr->p_vaddr, phdr, flags,
				total_size);
		total_size = 0;
		if (BAD_ADDR(addr))
			return addr;
		if (!placed)
			interp->load_bias = addr - (phdr->p_vaddr & PAGE_MASK);
		placed = true;
		if (!segment_fits(phdr, interp->load_bias + phdr->p_vaddr))
			return -ENOMEM;
	}
	return interp->load_bias + interp->ehdr.e_entry;
}

/* ---- The program --------------------------------------------------------------------------- */

/*
 * Where the first segment of a position-independent program goes: load_bias, and MAP_* flags.
 * One with an interpreter goes to the lower part of user space. One without is an interpreter
 * itself, or as good as one, and goes where those go: to mmap_base, by a hint of 0. An alignment
 * above a page is then had by looking where the hint leads, and trying again below.
 */
static int place_dyn(struct linux_binprm *bprm, struct elf_image *prog,
		     const struct elf64_phdr *first, bool has_interp, unsigned long *flags)
{
	unsigned long alignment = maximum_alignment(prog);
	unsigned long size = total_mapping_size(prog);
	unsigned long base = 0;

	if (!size)
		return -EINVAL;
	if (has_interp) {
		base = ELF_ET_DYN_BASE;
		if (bprm->randomize)
			base += (get_random_u64() & 0xfffffff) << PAGE_SHIFT;
		base &= -alignment;
		*flags |= MAP_FIXED_NOREPLACE;
	} else if (alignment > PAGE_SIZE) {
		base = elf_load(bprm->mm, prog->file, 0, first, *flags, size);
		if (BAD_ADDR(base))
			return IS_ERR_VALUE(base) ? (int)base : -EINVAL;
		do_munmap(bprm->mm, base, PAGE_ALIGN(size));
		base &= -alignment;
		*flags |= MAP_FIXED_NOREPLACE;
	}
	prog->load_bias = (base - first->p_vaddr) & PAGE_MASK;
	return 0;
}

/* Notes what /proc and brk() want to know of a segment, in addresses of the file. */
static void account_segment(struct mm_struct *mm, const struct elf64_phdr *phdr)
{
	unsigned long start = phdr->p_vaddr, end = start + phdr->p_filesz;

	if (phdr->p_flags & PF_X) {
		mm->start_code = min(mm->start_code, start);
		mm->end_code = max(mm->end_code, end);
	}
	mm->start_data = max(mm->start_data, start);
	mm->end_data = max(mm->end_data, end);
	mm->brk = max(mm->brk, start + phdr->p_memsz);
}

static int load_segment(struct linux_binprm *bprm, struct elf_image *prog,
			const struct elf64_phdr *phdr, bool has_interp, bool first)
{
	bool dynamic = prog->ehdr.e_type == ET_DYN;
	unsigned long flags = MAP_PRIVATE, total_size = 0, addr;
	int err = 0;

	if (!first) {
		flags |= MAP_FIXED;
	} else if (!dynamic) {
		flags |= MAP_FIXED_NOREPLACE;
	} else {
		total_size = total_mapping_size(prog);
		err = place_dyn(bprm, prog, phdr, has_interp, &flags);
	}
	if (err)
		return err;
	addr = elf_load(bprm->mm, prog->file, prog->load_bias + phdr->p_vaddr, phdr, flags,
			total_size);
	if (BAD_ADDR(addr))
		return IS_ERR_VALUE(addr) ? (int)addr : -EINVAL;
	if (first && dynamic)
		prog->load_bias += addr - ((prog->load_bias + phdr->p_vaddr) & PAGE_MASK);
	return segment_fits(phdr, phdr->p_vaddr) ? 0 : -EINVAL;
}

/* All segments; *phdr_addr is where the program headers came to lie, 0 if nowhere. */
static int load_program(struct linux_binprm *bprm, struct elf_image *prog, bool has_interp,
			unsigned long *phdr_addr)
{
	struct mm_struct *mm = bprm->mm;
	const struct elf64_phdr *phdr;
	unsigned long at = 0;
	bool first = true;

	mm->start_code = ~0UL;
	mm->end_code = mm->start_data = mm->end_data = mm->brk = 0;
	for_each_load(prog, phdr)
	{
		int err = load_segment(bprm, prog, phdr, has_interp, first);

		if (err)
			return err;
		first = false;
		if (phdr->p_offset <= prog->ehdr.e_phoff &&
		    prog->ehdr.e_phoff - phdr->p_offset < phdr->p_filesz)
			at = prog->ehdr.e_phoff - phdr->p_offset + phdr->p_vaddr;
		account_segment(mm, phdr);
	}
	*phdr_addr = at + prog->load_bias;
	mm->start_code += prog->load_bias;
	mm->end_code += prog->load_bias;
	mm->start_data += prog->load_bias;
	mm->end_data += prog->load_bias;
	mm->brk += prog->load_bias;
	return 0;
}

/*
 * The heap starts behind the program, or, for what was loaded at mmap_base, where programs
 * usually are, so that it has room.
 */
static void place_brk(struct linux_binprm *bprm, const struct elf_image *prog, bool has_interp)
{
	struct mm_struct *mm = bprm->mm;
	bool moved = prog->ehdr.e_type == ET_DYN && !has_interp;
	unsigned long brk = PAGE_ALIGN(moved ? ELF_ET_DYN_BASE : mm->brk);

	if (bprm->randomize > 1) {
		if (!moved)
			brk += PAGE_SIZE;
		brk += get_random_u64() % (BRK_RND_BYTES >> PAGE_SHIFT) << PAGE_SHIFT;
	}
	mm->start_brk = mm->brk = brk;
}

/* ---- The head of the stack ------------------------------------------------------------------ */

/* Writes words upward, some at a time. */
struct word_writer {
	struct mm_struct *mm;
	unsigned long addr;
	unsigned int n;
	bool failed;
	unsigned long words[64];
};

static void flush_words(struct word_writer *w)
{
	size_t bytes = w->n * sizeof(w->words[0]);

	if (copy_to_mm(w->mm, w->addr, w->words, bytes))
		w->failed = true;
	w->addr += bytes;
	w->n = 0;
}

static void put_word(struct word_writer *w, unsigned long word)
{
	w->words[w->n++] = word;
	if (w->n == ARRAY_SIZE(w->words))
		flush_words(w);
}

/* Pointers to count strings, and a 0. addr and pos: one place, as address and in the area. */
static void put_strings(struct linux_binprm *bprm, struct word_writer *w, int count,
			unsigned long *addr, unsigned long *pos)
{
	for (int i = 0; i < count; i++) {
		unsigned long len = bprm_strlen(bprm, *pos) + 1;

		put_word(w, *addr);
		*addr += len;
		*pos += len;
	}
	put_word(w, 0);
}

static void add_aux(struct mm_struct *mm, unsigned int *n, unsigned long id, unsigned long value)
{
	mm->saved_auxv[(*n)++] = id;
	mm->saved_auxv[(*n)++] = value;
}

struct elf_addresses {
	unsigned long phdr, interp_base, entry, random, platform;
};

/* In Linux's order; the words used, AT_NULL included. */
static unsigned int fill_auxv(struct linux_binprm *bprm, const struct elf_image *prog,
			      const struct elf_addresses *at)
{
	struct mm_struct *mm = bprm->mm;
	unsigned long stack_top = mm->arg_start + (bprm->arg_top - bprm->arg_pos);
	unsigned long execfn = stack_top - ARG_TOP_GAP - strlen(bprm->filename) - 1;
	unsigned int n = 0;

	memset(mm->saved_auxv, 0, sizeof(mm->saved_auxv));
	if (bprm->vdso_addr)
		add_aux(mm, &n, AT_SYSINFO_EHDR, bprm->vdso_addr);
	add_aux(mm, &n, AT_MINSIGSTKSZ, bprm->minsigstksz);
	add_aux(mm, &n, AT_HWCAP, bprm->hwcap);
	add_aux(mm, &n, AT_PAGESZ, PAGE_SIZE);
	add_aux(mm, &n, AT_CLKTCK, bprm->clktck);
	add_aux(mm, &n, AT_PHDR, at->phdr);
	add_aux(mm, &n, AT_PHENT, sizeof(struct elf64_phdr));
	add_aux(mm, &n, AT_PHNUM, prog->ehdr.e_phnum);
	add_aux(mm, &n, AT_BASE, at->interp_base);
	add_aux(mm, &n, AT_FLAGS, 0);
	add_aux(mm, &n, AT_ENTRY, at->entry);
	add_aux(mm, &n, AT_UID, bprm->uid);
	add_aux(mm, &n, AT_EUID, bprm->euid);
	add_aux(mm, &n, AT_GID, bprm->gid);
	add_aux(mm, &n, AT_EGID, bprm->egid);
	add_aux(mm, &n, AT_SECURE, bprm->secure);
	add_aux(mm, &n, AT_RANDOM, at->random);
	add_aux(mm, &n, AT_HWCAP2, bprm->hwcap2);
	add_aux(mm, &n, AT_EXECFN, execfn);
	add_aux(mm, &n, AT_PLATFORM, at->platform);
	return n + 2;
}

static int create_elf_tables(struct linux_binprm *bprm, const struct elf_image *prog,
			     struct elf_addresses *at)
{
	struct mm_struct *mm = bprm->mm;
	struct word_writer w = { .mm = mm };
	unsigned long addr = mm->arg_start, pos = bprm->arg_pos;
	unsigned long sp = addr;
	unsigned int auxv_words;
	u8 random[16];

	if (bprm->randomize)
		sp -= get_random_u64() % 8192;
	sp = (sp & ~0xfUL) - sizeof(ELF_PLATFORM);
	at->platform = sp;
	sp -= sizeof(random);
	at->random = sp;
	machine_random(random, sizeof(random));
	if (copy_to_mm(mm, at->platform, ELF_PLATFORM, sizeof(ELF_PLATFORM)) ||
	    copy_to_mm(mm, at->random, random, sizeof(random)))
		return -EFAULT;

	auxv_words = fill_auxv(bprm, prog, at);
	sp -= (auxv_words + 1 + bprm->argc + 1 + bprm->envc + 1) * sizeof(unsigned long);
	sp &= ~0xfUL;
	w.addr = sp;
	put_word(&w, bprm->argc);
	put_strings(bprm, &w, bprm->argc, &addr, &pos);
	mm->arg_end = mm->env_start = addr;
	put_strings(bprm, &w, bprm->envc, &addr, &pos);
	mm->env_end = addr;
	for (unsigned int i = 0; i < auxv_words; i++)
		put_word(&w, mm->saved_auxv[i]);
	flush_words(&w);
	mm->start_stack = bprm->sp = sp;
	return w.failed ? -EFAULT : 0;
}

/* ---- All of it ------------------------------------------------------------------------------ */

static enum executable_stack wanted_stack(const struct elf_image *prog)
{
	enum executable_stack stack = EXSTACK_DEFAULT;

	for (int i = 0; i < prog->ehdr.e_phnum; i++) {
		if (prog->phdrs[i].p_type == PT_GNU_STACK)
			stack = prog->phdrs[i].p_flags & PF_X ? EXSTACK_ENABLE_X
							      : EXSTACK_DISABLE_X;
	}
	return stack;
}

/* The program is known to be one: build its image. */
static int load_images(struct linux_binprm *bprm, struct elf_image *prog, struct elf_image *interp)
{
	struct elf_addresses at = { 0 };
	int err = begin_new_exec(bprm);

	if (!err)
		err = setup_arg_pages(bprm, wanted_stack(prog));
	if (!err)
		err = load_program(bprm, prog, interp->file, &at.phdr);
	if (err)
		return err;
	place_brk(bprm, prog, interp->file);
	at.entry = bprm->entry = prog->ehdr.e_entry + prog->load_bias;
	if (interp->file) {
		bprm->entry = load_elf_interp(bprm->mm, interp, prog->load_bias);
		if (IS_ERR_VALUE(bprm->entry))
			return (int)bprm->entry;
		at.interp_base = interp->load_bias;
	}
	if (BAD_ADDR(bprm->entry))
		return -EINVAL;
	err = create_elf_tables(bprm, prog, &at);
	if (!err)
		err = finalize_exec(bprm);
	if (!err)
		bprm->mm->exe_file = get_file(prog->file);
	return err;
}

static int read_headers(struct elf_image *prog, struct elf_image *interp)
{
	int err;

	if (!elf_hdr_valid(&prog->ehdr) ||
	    (prog->ehdr.e_type != ET_EXEC && prog->ehdr.e_type != ET_DYN))
		return -ENOEXEC;
	err = load_phdrs(prog, -ENOEXEC);
	if (!err)
		err = open_interpreter(prog, interp);
	if (err || !interp->file)
		return err;
	return elf_hdr_valid(&interp->ehdr) ? load_phdrs(interp, -ELIBBAD) : -ELIBBAD;
}

int load_elf_binary(struct linux_binprm *bprm, struct file *file, const char *buf)
{
	struct elf_image prog = { .file = file }, interp = { 0 };
	int err;

	memcpy(&prog.ehdr, buf, sizeof(prog.ehdr));
	err = read_headers(&prog, &interp);
	if (!err)
		err = load_images(bprm, &prog, &interp);
	if (interp.file)
		fput(interp.file);
	kfree(interp.phdrs);
	kfree(prog.phdrs);
	return err;
}
