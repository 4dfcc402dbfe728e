/* SPDX-License-Identifier: MIT */
/*
 * Building program images: the layout against the host's own exec, what lies on the stack, scripts,
 * limits, and every kind of broken file.
 */
#include <elf.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The core has its own, of the kernel's value. */
#undef _NSIG
#undef SEGV_MAPERR
#undef SEGV_ACCERR
#undef BUS_ADRERR

#include "linux_fixture.h"

static struct counters at_start;

static int machine_up(void **state)
{
	(void)state;
	if (linux_up(96 << 20, 1))
		return -1;
	at_start = counters_now();
	return 0;
}

static int machine_down(void **state)
{
	(void)state;
	fail_page_alloc.nth = failslab.nth = 0;
	soft_exit();
	return 0;
}

/* ---- A program made for the purpose ----------------------------------------------------------- */

#define MAX_PHDRS 8

struct program {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[MAX_PHDRS];
	char text[8192]; /* at file offset 0x1000 */
	size_t size;
};

static void add_phdr(struct program *p, u32 type, u32 flags, u64 offset, u64 vaddr, u64 filesz,
		     u64 memsz)
{
	p->phdr[p->ehdr.e_phnum++] = (Elf64_Phdr){
		.p_type = type,
		.p_flags = flags,
		.p_offset = offset,
		.p_vaddr = vaddr,
		.p_paddr = vaddr,
		.p_filesz = filesz,
		.p_memsz = memsz,
		.p_align = 4096,
	};
}

/* A header, text at base + 0x1000, data and bss at base + 0x3000. */
static struct program make_program(u16 type, u64 base)
{
	struct program p = {
		.ehdr = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = type,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = base + 0x1010,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
		},
		.size = 0x3000,
	};

	for (size_t i = 0; i < sizeof(p.text); i++)
		p.text[i] = (char)('a' + i % 23);
	add_phdr(&p, PT_LOAD, PF_R, 0, base, 0x1000, 0x1000);
	add_phdr(&p, PT_LOAD, PF_R | PF_X, 0x1000, base + 0x1000, 0x1000, 0x1000);
	add_phdr(&p, PT_LOAD, PF_R | PF_W, 0x2080, base + 0x3080, 0x100, 0x2345);
	add_phdr(&p, PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0);
	return p;
}

/* As bytes of a file of p->size bytes. */
static void set_program(const char *path, const struct program *p)
{
	static char bytes[0x3000];

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, &p->ehdr, sizeof(p->ehdr));
	memcpy(bytes + sizeof(p->ehdr), p->phdr, sizeof(p->phdr));
	memcpy(bytes + 0x1000, p->text, sizeof(p->text));
	set_image(path, bytes, p->size);
}

/* ---- exec, from strings of the kernel's -------------------------------------------------------- */

static int exec_limited(struct linux_binprm *bprm, const char *path, const char *const *argv,
			const char *const *envp, u64 stack, bool randomize)
{
	int err = bprm_init(bprm, path);

	bprm->stack_limit = (struct rlimit64){ stack, stack };
	bprm->randomize = randomize ? 2 : 0;
	bprm->clktck = 100;
	if (!err)
		err = bprm_copy_strings_kernel(bprm, (const char *const *)envp, true);
	if (!err)
		err = bprm_copy_strings_kernel(bprm, (const char *const *)argv, false);
	if (!err)
		err = exec_load(bprm);
	bprm_free(bprm);
	return err;
}

static const char *const no_strings[] = { NULL };
static const char *const one_arg[] = { "prog", NULL };

/* The result alone; an image that was made goes away. */
static int try_exec(const char *path, const char *const *argv)
{
	struct linux_binprm bprm;
	int err = exec_limited(&bprm, path, argv, no_strings, 8 << 20, true);

	if (!err)
		mmput(bprm.mm);
	else
		assert_null(bprm.mm);
	return err;
}

static int try_program(const struct program *p)
{
	set_program("/prog", p);
	return try_exec("/prog", one_arg);
}

static u64 peek(struct mm_struct *mm, unsigned long addr)
{
	u64 v = 0;

	assert_int_equal(access_remote_mm(mm, addr, &v, sizeof(v), false, true), sizeof(v));
	return v;
}

static const char *peek_string(struct mm_struct *mm, unsigned long addr)
{
	static char buf[4][4096];
	static int next;
	char *s = buf[next++ % 4];

	assert_true(strncpy_from_mm(mm, s, addr, 4096) >= 0);
	return s;
}

static u64 auxv_of(struct mm_struct *mm, u64 id)
{
	for (int i = 0; i + 1 < AT_VECTOR_SIZE && mm->saved_auxv[i]; i += 2) {
		if (mm->saved_auxv[i] == id)
			return mm->saved_auxv[i + 1];
	}
	return 0;
}

/* ---- The image ---------------------------------------------------------------------------------- */

static void test_static_image(void **state)
{
	struct program p = make_program(ET_EXEC, 0x400000);
	const char *const argv[] = { "prog", "one", "", "three", NULL };
	const char *const envp[] = { "A=1", "B=22", NULL };
	struct linux_binprm bprm;
	struct mm_struct *mm;
	unsigned long sp;

	(void)state;
	set_program("/bin/prog", &p);
	assert_int_equal(exec_limited(&bprm, "/bin/prog", argv, envp, 8 << 20, false), 0);
	mm = bprm.mm;
	sp = bprm.sp;
	assert_string_equal(bprm.comm, "prog");
	assert_int_equal(bprm.entry, 0x401010);
	assert_int_equal(mm->start_stack, sp);
	assert_int_equal(sp % 16, 0);
	assert_int_equal(peek(mm, sp), 4);
	for (int i = 0; i < 4; i++)
		assert_string_equal(peek_string(mm, peek(mm, sp + 8 + i * 8)), argv[i]);
	assert_int_equal(peek(mm, sp + 40), 0);
	assert_string_equal(peek_string(mm, peek(mm, sp + 48)), "A=1");
	assert_string_equal(peek_string(mm, peek(mm, sp + 56)), "B=22");
	assert_int_equal(peek(mm, sp + 64), 0);
	assert_int_equal(peek(mm, sp + 72), mm->saved_auxv[0]);
	assert_int_equal(peek(mm, sp + 8), mm->arg_start);
	assert_int_equal(mm->arg_end - mm->arg_start, sizeof("prog\0one\0\0three"));
	assert_int_equal(mm->env_start, mm->arg_end);
	assert_int_equal(mm->env_end - mm->env_start, sizeof("A=1\0B=22"));
	assert_string_equal(peek_string(mm, auxv_of(mm, AT_EXECFN)), "/bin/prog");
	assert_int_equal(auxv_of(mm, AT_EXECFN) + sizeof("/bin/prog") + 8, 0x7ffffffff000);
	assert_string_equal(peek_string(mm, auxv_of(mm, AT_PLATFORM)), "x86_64");
	assert_int_equal(auxv_of(mm, AT_PHDR), 0x400040);
	assert_int_equal(auxv_of(mm, AT_PHNUM), 4);
	assert_int_equal(auxv_of(mm, AT_ENTRY), 0x401010);
	assert_int_equal(auxv_of(mm, AT_BASE), 0);
	assert_int_equal(mm->start_code, 0x401000);
	assert_int_equal(mm->end_code, 0x402000);
	assert_int_equal(mm->start_data, 0x403080);
	assert_int_equal(mm->end_data, 0x403180);
	assert_int_equal(mm->start_brk, 0x406000);
	/* Data from the file, cleared behind it, anonymous zeros from the next page on. */
	assert_int_equal(peek(mm, 0x403178) >> 56, (u64)p.text[0x117f]);
	for (unsigned long addr = 0x403180; addr < 0x4053c8; addr += 8)
		assert_int_equal(peek(mm, addr), 0);
	assert_int_equal(do_brk(mm, mm->start_brk + 0x5000), mm->start_brk + 0x5000);
	mmput(mm);
	assert_counters(&at_start);
}

/* An interpreter and a PIE: where both come to lie. */
static void test_dynamic_image(void **state)
{
	struct program interp = make_program(ET_DYN, 0), p = make_program(ET_DYN, 0);
	struct linux_binprm bprm;
	struct mm_struct *mm;

	(void)state;
	add_phdr(&p, PT_INTERP, PF_R, 0x2100, 0x3100, 8, 8);
	memcpy(p.text + 0x1100, "/interp", 8);
	set_program("/interp", &interp);
	set_program("/bin/prog", &p);
	assert_int_equal(exec_limited(&bprm, "/bin/prog", one_arg, no_strings, 8 << 20, false), 0);
	mm = bprm.mm;
	assert_int_equal(auxv_of(mm, AT_ENTRY), 0x555555554000 + 0x1010);
	assert_int_equal(auxv_of(mm, AT_PHDR), 0x555555554040);
	assert_int_equal(auxv_of(mm, AT_BASE), 0x7ffff7fff000 - 0x6000);
	assert_int_equal(bprm.entry, auxv_of(mm, AT_BASE) + 0x1010);
	assert_string_equal(mm->exe_file->f_path, "/bin/prog");
	mmput(mm);
	assert_int_equal(exec_limited(&bprm, "/interp", one_arg, no_strings, 8 << 20, false), 0);
	assert_int_equal(bprm.entry, 0x7ffff7fff000 - 0x6000 + 0x1010);
	assert_int_equal(bprm.mm->start_brk, 0x555555555000);
	mmput(bprm.mm);
	assert_counters(&at_start);
}

/* Chance moves everything, within Linux's bounds, and nothing overlaps or fails. */
static void test_randomized(void **state)
{
	struct program interp = make_program(ET_DYN, 0), p = make_program(ET_DYN, 0);
	unsigned long last_sp = 0, last_base = 0, last_entry = 0;

	(void)state;
	add_phdr(&p, PT_INTERP, PF_R, 0x2100, 0x3100, 8, 8);
	memcpy(p.text + 0x1100, "/interp", 8);
	set_program("/interp", &interp);
	set_program("/bin/prog", &p);
	for (int i = 0; i < 200; i++) {
		struct linux_binprm bprm;
		unsigned long base, entry;

		assert_int_equal(
			exec_limited(&bprm, "/bin/prog", one_arg, no_strings, 8 << 20, true), 0);
		base = auxv_of(bprm.mm, AT_BASE);
		entry = auxv_of(bprm.mm, AT_ENTRY);
		assert_true(bprm.sp != last_sp && base != last_base && entry != last_entry);
		assert_in_range(bprm.sp, 0x7ffffffff000 - (17UL << 30), 0x7ffffffff000);
		assert_in_range(entry, 0x555555554000, 0x555555554000 + (1UL << 40) + 0x2000);
		assert_in_range(bprm.mm->start_brk - (entry & PAGE_MASK), 0, (1UL << 30) + 0x10000);
		assert_true(base < bprm.mm->mmap_base);
		last_sp = bprm.sp;
		last_base = base;
		last_entry = entry;
		mmput(bprm.mm);
	}
	assert_counters(&at_start);
}

/* The place of the vdso stays free, wherever the machine says it is. */
static void test_vdso_zone(void **state)
{
	static const unsigned long places[] = { 0x7ffff7ffd000, 0x7ffff7f00000,
						0x7fffffffd000, 0x7fffff000000,
						0x7ffd12345000, 0x7f1234567000,
						0x12345000,	0 };
	struct program p = make_program(ET_DYN, 0);

	(void)state;
	set_program("/bin/prog", &p);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct linux_binprm bprm;
		unsigned long vdso = places[i];

		assert_int_equal(bprm_init(&bprm, "/bin/prog"), 0);
		bprm.stack_limit = (struct rlimit64){ 8 << 20, 8 << 20 };
		bprm.vdso_addr = vdso;
		assert_int_equal(
			bprm_copy_strings_kernel(&bprm, (const char *const *)one_arg, false), 0);
		assert_int_equal(exec_load(&bprm), 0);
		assert_int_equal(auxv_of(bprm.mm, AT_SYSINFO_EHDR), vdso);
		if (vdso)
			assert_int_equal(install_special_mapping(bprm.mm, vdso - 0x6000, 0x8000,
								 VM_READ, NULL, NULL),
					 0);
		mmput(bprm.mm);
		bprm_free(&bprm);
	}
	assert_counters(&at_start);
}

/* ---- Against the host ----------------------------------------------------------------------------- */

/* The host's /proc/pid/maps of a program just started without randomization; NULL: not allowed. */
static char *host_exec_maps(const char *path, u64 *auxv, size_t auxv_size)
{
	char name[64], *maps = NULL;
	size_t len;
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (personality(ADDR_NO_RANDOMIZE) < 0 || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		execle(path, "prog", "one", NULL, (char *[]){ "A=1", NULL });
		_exit(1);
	}
	if (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		FILE *f;

		snprintf(name, sizeof(name), "/proc/%d/maps", pid);
		maps = host_file(name, &len);
		snprintf(name, sizeof(name), "/proc/%d/auxv", pid);
		f = fopen(name, "r");
		memset(auxv, 0, auxv_size);
		if (f && fread(auxv, 1, auxv_size, f)) {
			ptrace(PTRACE_KILL, pid, NULL, NULL);
			fclose(f);
		}
		waitpid(pid, &status, 0);
	}
	return maps;
}

/* Lines about the host kernel's own pages do not count. */
static void drop_special_lines(char *maps)
{
	char *out = maps;

	for (char *line = maps; *line;) {
		char *end = strchr(line, '\n');
		size_t len = end ? (size_t)(end - line) + 1 : strlen(line);

		if (!memmem(line, len, "[v", 2)) {
			memmove(out, line, len);
			out += len;
		}
		line += len;
	}
	*out = '\0';
}

static bool set_host_image(const char *path)
{
	struct test_image *image;
	struct stat st;
	size_t len;
	char *data = host_file(path, &len);

	if (!data)
		return false;
	assert_int_equal(stat(path, &st), 0);
	image = set_image(path, data, len);
	image->dev = st.st_dev;
	image->ino = st.st_ino;
	free(data);
	return true;
}

static void compare_with_host(const char *path)
{
	static const u64 same[] = { AT_PAGESZ, AT_CLKTCK, AT_PHDR,   AT_PHENT,	AT_PHNUM,   AT_BASE,
				    AT_FLAGS,  AT_ENTRY,  AT_EXECFN, AT_RANDOM, AT_PLATFORM };
	const char *const argv[] = { "prog", "one", NULL };
	const char *const envp[] = { "A=1", NULL };
	struct linux_binprm bprm;
	struct test_task t;
	u64 auxv[64];
	char *maps, *text, ours[8192];
	size_t len;

	if (!set_host_image(path) || !set_host_image("/lib64/ld-linux-x86-64.so.2"))
		NOT_HERE("a program to compare with");
	maps = host_exec_maps(path, auxv, sizeof(auxv));
	if (!maps)
		NOT_HERE("tracing of a program without randomization");
	drop_special_lines(maps);
	assert_int_equal(exec_limited(&bprm, path, argv, envp, 8 << 20, false), 0);
	test_task_init(&t, NULL, bprm.mm, 100);
	assert_int_equal(proc_generate(PROC_PID_MAPS, 100, NULL, 0, &text, &len), 0);
	snprintf(ours, sizeof(ours), "%.*s", (int)len, text);
	proc_free(text, len);
	/* The interpreter's path is a symbolic link here and resolved there. */
	for (char *link; (link = strstr(maps, "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"));)
		memmove(link, "/lib64/ld-linux-x86-64.so.2", 27),
			memmove(link + 27, link + 46, strlen(link + 46) + 1);
	assert_string_equal(ours, maps);
	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		for (size_t k = 0; k + 1 < ARRAY_SIZE(auxv) && auxv[k]; k += 2) {
			if (auxv[k] == same[i])
				assert_int_equal(auxv_of(bprm.mm, same[i]), auxv[k + 1]);
		}
	}
	free(maps);
	test_task_exit(&t);
	mmput(bprm.mm);
	assert_counters(&at_start);
}

static void test_host_dynamic(void **state)
{
	(void)state;
	compare_with_host("/usr/bin/cat");
}

static void test_host_static(void **state)
{
	(void)state;
	compare_with_host(access("/usr/bin/busybox", R_OK) ? "/bin/busybox" : "/usr/bin/busybox");
}

static void test_host_loader(void **state)
{
	(void)state;
	compare_with_host("/lib64/ld-linux-x86-64.so.2");
}

/* ---- Arguments from a program's memory, and limits ------------------------------------------------- */

static void test_user_strings(void **state)
{
	struct program p = make_program(ET_EXEC, 0x400000);
	struct mm_struct *mm = mm_alloc();
	const unsigned long base = 0x10000000;
	struct linux_binprm bprm;
	unsigned long argv[3] = { base + 0x1000 - 3, base + 0x2000, 0 };
	static char big[40000];

	(void)state;
	set_program("/prog", &p);
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(do_mmap(mm, NULL, base, 0x20000, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0, NULL),
			 base);
	assert_int_equal(copy_to_mm(mm, argv[0], "straddles", 10), 0);
	assert_int_equal(copy_to_mm(mm, argv[1], big, sizeof(big)), 0);
	/* The vector ends with the mapping, at an odd address. */
	assert_int_equal(copy_to_mm(mm, base + 0x20000 - 24, argv, 24), 0);
	assert_int_equal(bprm_init(&bprm, "/prog"), 0);
	bprm.stack_limit = (struct rlimit64){ 8 << 20, 8 << 20 };
	assert_int_equal(bprm_copy_strings(&bprm, mm, 0, true), 0);
	assert_int_equal(bprm_copy_strings(&bprm, mm, base + 0x20000 - 24, false), 0);
	assert_int_equal(bprm.argc, 2);
	assert_int_equal(exec_load(&bprm), 0);
	assert_string_equal(peek_string(bprm.mm, peek(bprm.mm, bprm.sp + 8)), "straddles");
	assert_int_equal(bprm.mm->arg_end - bprm.mm->arg_start, 10 + sizeof(big));
	mmput(bprm.mm);
	bprm_free(&bprm);

	assert_int_equal(bprm_init(&bprm, "/prog"), 0);
	assert_int_equal(bprm_copy_strings(&bprm, mm, 0x5000, false), -EFAULT);
	assert_int_equal(bprm_copy_strings(&bprm, mm, base + 0x20000 - 16, false), 0);
	argv[0] = 0x5000;
	assert_int_equal(copy_to_mm(mm, base, argv, sizeof(argv)), 0);
	assert_int_equal(bprm_copy_strings(&bprm, mm, base, false), -EFAULT);
	/* No end of the vector before the end of the mapping. */
	assert_int_equal(bprm_copy_strings(&bprm, mm, base + 0x20000 - 8 - 12, false), -EFAULT);
	bprm_free(&bprm);
	mmput(mm);
	assert_counters(&at_start);
}

static int exec_with_bytes(size_t strings, size_t len, u64 stack)
{
	const char **argv = calloc(strings + 1, sizeof(*argv));
	char *s = malloc(len);
	struct linux_binprm bprm;
	int err;

	memset(s, 'y', len - 1);
	s[len - 1] = '\0';
	for (size_t i = 0; i < strings; i++)
		argv[i] = s;
	err = exec_limited(&bprm, "/prog", argv, no_strings, stack, true);
	if (!err)
		mmput(bprm.mm);
	free(s);
	free(argv);
	return err;
}

static void test_limits(void **state)
{
	struct program p = make_program(ET_EXEC, 0x400000);

	(void)state;
	set_program("/prog", &p);
	assert_int_equal(exec_with_bytes(1, 131072, 8 << 20), 0);
	assert_int_equal(exec_with_bytes(1, 131073, 8 << 20), -E2BIG);
	assert_int_equal(exec_with_bytes(15, 131072, 8 << 20), 0);
	assert_int_equal(exec_with_bytes(16, 131072, 8 << 20), -E2BIG);
	assert_int_equal(exec_with_bytes(47, 131072, ~0ULL), 0);
	assert_int_equal(exec_with_bytes(48, 131072, ~0ULL), -E2BIG);
	assert_int_equal(exec_with_bytes(120000, 2, 8 << 20), 0);
	assert_int_equal(exec_with_bytes(220000, 2, 8 << 20), -E2BIG);
	assert_int_equal(exec_with_bytes(1, 100000, 65536), -E2BIG);
	assert_int_equal(exec_with_bytes(1, 30000, 65536), 0);
	assert_counters(&at_start);
}

static void test_no_argv(void **state)
{
	struct program p = make_program(ET_EXEC, 0x400000);
	struct linux_binprm bprm;

	(void)state;
	set_program("/prog", &p);
	assert_int_equal(exec_limited(&bprm, "/prog", no_strings, no_strings, 8 << 20, true), 0);
	assert_int_equal(peek(bprm.mm, bprm.sp), 1);
	assert_string_equal(peek_string(bprm.mm, peek(bprm.mm, bprm.sp + 8)), "");
	mmput(bprm.mm);
	assert_counters(&at_start);
}

/* ---- Scripts --------------------------------------------------------------------------------------- */

/* Runs a script of these bytes with argv { "a0", "a1" }; the new argv joined by '|'. */
static int run_script(const char *text, size_t len, char *joined, size_t size)
{
	const char *const argv[] = { "a0", "a1", NULL };
	struct linux_binprm bprm;
	size_t used = 0;
	int err;

	set_image("/script", text, len);
	err = exec_limited(&bprm, "/script", argv, no_strings, 8 << 20, true);
	joined[0] = '\0';
	if (err)
		return err;
	for (u64 i = 0; i < peek(bprm.mm, bprm.sp); i++)
		used += (size_t)snprintf(joined + used, size - used, "%s%s", i ? "|" : "",
					 peek_string(bprm.mm, peek(bprm.mm, bprm.sp + 8 + i * 8)));
	assert_string_equal(bprm.comm, "script");
	assert_string_equal(peek_string(bprm.mm, auxv_of(bprm.mm, AT_EXECFN)), "/script");
	assert_string_equal(bprm.interp_path, "/sh");
	mmput(bprm.mm);
	return 0;
}

static void test_scripts(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *argv;
	} cases[] = {
		{ "#!/sh\n", 0, "/sh|/script|a1" },
		{ "#!/sh", 0, "/sh|/script|a1" },
		{ "#! \t /sh \t \nrest", 0, "/sh|/script|a1" },
		{ "#!/sh -x\n", 0, "/sh|-x|/script|a1" },
		{ "#!/sh  -x  y z\t\n", 0, "/sh|-x  y z|/script|a1" },
		{ "#!\n", -ENOEXEC, "" },
		{ "#!   \n", -ENOEXEC, "" },
		{ "#!", -ENOENT, "" },
		{ "#!/nowhere\n", -ENOENT, "" },
		{ "# !/sh\n", -ENOEXEC, "" },
		{ "", -ENOEXEC, "" },
		{ "echo\n", -ENOEXEC, "" },
	};
	struct program p = make_program(ET_EXEC, 0x400000);
	char joined[1024], text[600];

	(void)state;
	set_program("/sh", &p);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(
			run_script(cases[i].text, strlen(cases[i].text), joined, sizeof(joined)),
			cases[i].err);
		assert_string_equal(joined, cases[i].argv);
	}
	/* A NUL ends the name; what follows it is not an argument. */
	assert_int_equal(run_script("#!/sh\0-x\n", 9, joined, sizeof(joined)), 0);
	assert_string_equal(joined, "/sh|/script|a1");
	/* Too long a line: the argument is cut, a name would be wrong. */
	memset(text, 'z', sizeof(text));
	memcpy(text, "#!/sh ", 6);
	assert_int_equal(run_script(text, sizeof(text), joined, sizeof(joined)), 0);
	assert_int_equal(strlen(joined), strlen("/sh||/script|a1") + 255 - 6);
	memset(text + 2, '/', sizeof(text) - 2);
	assert_int_equal(run_script(text, sizeof(text), joined, sizeof(joined)), -ENOEXEC);
	memset(text + 2, ' ', sizeof(text) - 2);
	assert_int_equal(run_script(text, sizeof(text), joined, sizeof(joined)), -ENOEXEC);
	assert_counters(&at_start);
}

static void test_script_depth(void **state)
{
	struct program p = make_program(ET_EXEC, 0x400000);
	char path[16], text[32];

	(void)state;
	set_program("/s0", &p);
	for (int i = 1; i <= 6; i++) {
		snprintf(path, sizeof(path), "/s%d", i);
		snprintf(text, sizeof(text), "#!/s%d\n", i - 1);
		set_image(path, text, strlen(text));
	}
	assert_int_equal(try_exec("/s5", one_arg), 0);
	assert_int_equal(try_exec("/s6", one_arg), -ELOOP);
	set_image("/self", "#!/self\n", 8);
	assert_int_equal(try_exec("/self", one_arg), -ELOOP);
	assert_counters(&at_start);
}

/* ---- Broken files ------------------------------------------------------------------------------------ */

static void test_broken_headers(void **state)
{
	struct program good = make_program(ET_EXEC, 0x400000), p;

	(void)state;
	assert_int_equal(try_program(&good), 0);
	assert_int_equal(try_exec("/nowhere", one_arg), -ENOENT);
	find_image("/prog")->not_executable = true;
	assert_int_equal(try_exec("/prog", one_arg), -EACCES);
	find_image("/prog")->not_executable = false;

	p = good;
	p.ehdr.e_ident[1] = 'F';
	assert_int_equal(try_program(&p), -ENOEXEC);
	p = good;
	p.ehdr.e_machine = EM_386;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p = good;
	p.ehdr.e_type = ET_REL;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p = good;
	p.ehdr.e_phentsize = 32;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p = good;
	p.ehdr.e_phnum = 0;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p.ehdr.e_phnum = 0xffff;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p = good;
	p.ehdr.e_phoff = 0x2ff0;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p.ehdr.e_phoff = ~0ULL - 10;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p = good;
	p.size = 40;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p = good;
	p.ehdr.e_entry = ~0ULL - 1;
	assert_int_equal(try_program(&p), -EINVAL);
	assert_counters(&at_start);
}

static void test_broken_segments(void **state)
{
	struct program good = make_program(ET_EXEC, 0x400000), p;

	(void)state;
	p = good;
	p.phdr[2].p_filesz = p.phdr[2].p_memsz + 1;
	assert_int_equal(try_program(&p), -EINVAL);
	p = good;
	p.phdr[2].p_memsz = 1ULL << 47;
	assert_int_equal(try_program(&p), -ENOMEM);
	p.phdr[2].p_memsz = ~0ULL;
	assert_true(try_program(&p) < 0);
	p = good;
	p.phdr[1].p_offset += 8;
	assert_int_equal(try_program(&p), -EINVAL);
	p = good;
	p.phdr[1].p_vaddr = 0x7fffffffe000;
	p.phdr[1].p_memsz = p.phdr[1].p_filesz = 0x3000;
	assert_true(try_program(&p) < 0);
	p = good;
	p.phdr[0].p_vaddr = 0xffffffffff000000;
	assert_true(try_program(&p) < 0);
	p = good;
	p.phdr[2].p_offset = 0xfffffffffffff080;
	assert_true(try_program(&p) < 0);
	/* A writable segment whose last page lies behind the end of the file cannot be cleared. */
	p = good;
	p.phdr[2].p_offset = 0x10080;
	assert_int_equal(try_program(&p), -EFAULT);
	/* Overlap is the program's business. */
	p = good;
	p.phdr[2].p_vaddr = 0x401080;
	assert_int_equal(try_program(&p), 0);
	/* No segment at all. */
	p = good;
	for (int i = 0; i < 3; i++)
		p.phdr[i].p_type = PT_NOTE;
	assert_int_equal(try_program(&p), 0);
	assert_counters(&at_start);
}

static void test_broken_interpreter(void **state)
{
	struct program good = make_program(ET_DYN, 0), interp = make_program(ET_DYN, 0), p;

	(void)state;
	add_phdr(&good, PT_INTERP, PF_R, 0x2100, 0x3100, 8, 8);
	memcpy(good.text + 0x1100, "/interp", 8);
	set_program("/prog", &good);
	assert_int_equal(try_exec("/prog", one_arg), -ENOENT);
	set_program("/interp", &interp);
	assert_int_equal(try_exec("/prog", one_arg), 0);
	set_image("/interp", "#!/x\n", 5);
	assert_int_equal(try_exec("/prog", one_arg), -EIO);
	p = interp;
	p.ehdr.e_machine = EM_AARCH64;
	set_program("/interp", &p);
	assert_int_equal(try_exec("/prog", one_arg), -ELIBBAD);
	p = interp;
	p.ehdr.e_phnum = 65536 / sizeof(Elf64_Phdr) + 1;
	set_program("/interp", &p);
	assert_int_equal(try_exec("/prog", one_arg), -ELIBBAD);
	p = interp;
	for (int i = 0; i < 3; i++)
		p.phdr[i].p_type = PT_NOTE;
	set_program("/interp", &p);
	assert_int_equal(try_exec("/prog", one_arg), -EINVAL);
	set_program("/interp", &interp);

	p = good;
	p.phdr[4].p_filesz = 1;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p.phdr[4].p_filesz = 4097;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p.phdr[4].p_filesz = 7;
	assert_int_equal(try_program(&p), -ENOEXEC);
	p.phdr[4].p_filesz = 8;
	p.phdr[4].p_offset = 0x2ffc;
	assert_int_equal(try_program(&p), -EIO);
	assert_counters(&at_start);
}

/* Each allocation in turn fails: the error is reported, and nothing is left behind. */
static void test_allocation_failures(void **state)
{
	struct fault_attr *const points[] = { &fail_page_alloc, &failslab };
	struct program interp = make_program(ET_DYN, 0), p = make_program(ET_DYN, 0);

	(void)state;
	add_phdr(&p, PT_INTERP, PF_R, 0x2100, 0x3100, 8, 8);
	memcpy(p.text + 0x1100, "/interp", 8);
	set_program("/interp", &interp);
	set_program("/prog", &p);
	set_image("/script", "#!/prog -x\n", 11);
	for (size_t k = 0; k < ARRAY_SIZE(points); k++) {
		int err = -1;

		for (long nth = 1; err && nth < 2000; nth++) {
			assert_counters(&at_start);
			points[k]->nth = nth;
			err = try_exec("/script", one_arg);
			points[k]->nth = 0;
			assert_true(!err || err == -ENOMEM || err == -EFAULT || err == -EIO ||
				    err == -ENOEXEC || err == -ELIBBAD);
		}
		assert_int_equal(err, 0);
	}
	assert_counters(&at_start);
}

/* ---- Mutations ------------------------------------------------------------------------------------------ */

static u64 rng_state = 88172645463325252ULL;

static u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state;
}

/* Changes some of the bytes that the loader looks at, and at times the length. */
static size_t mutate(char *bytes, size_t len, size_t headers)
{
	static const u64 numbers[] = { 0,	   1,	       0xfff,
				       0x1000,	   0x7fffffff, 1ULL << 47,
				       1ULL << 46, ~0ULL >> 1, ~0ULL - 0xfff,
				       ~0ULL };
	unsigned int changes = 1 + rng() % 4;

	while (changes--) {
		size_t at = rng() % headers;
		u64 number = numbers[rng() % ARRAY_SIZE(numbers)];

		switch (rng() % 4) {
		case 0:
			bytes[at] = (char)rng();
			break;
		case 1:
			bytes[at] ^= (char)(1 << rng() % 8);
			break;
		case 2:
			memcpy(bytes + at / 8 * 8, &number, 8);
			break;
		default:
			number = rng() % 0x10000;
			memcpy(bytes + at / 8 * 8, &number, 8);
			break;
		}
	}
	return rng() % 8 ? len : rng() % len;
}

static void mutate_file(const char *victim, const char *start, int rounds)
{
	size_t len, headers = 64 + 14 * 56;
	char *original = host_file("/bin/true", &len), *bytes;
	const char *more = getenv("QUIRE_MUTATIONS"); /* times as many */

	if (!original)
		NOT_HERE("/bin/true");
	if (strcmp(victim, "/bin/true")) {
		free(original);
		original = host_file(victim, &len);
	}
	bytes = malloc(len);
	if (more)
		rounds *= atoi(more);
	for (int i = 0; i < rounds; i++) {
		memcpy(bytes, original, len);
		set_image(victim, bytes, mutate(bytes, len, headers));
		memcpy(soft_blk_data(find_image(victim)->disk), bytes, find_image(victim)->len);
		try_exec(start, one_arg);
		if (i % 64 == 0)
			assert_int_equal(inodes_shutdown(), 0);
	}
	free(bytes);
	free(original);
	assert_counters(&at_start);
}

static void test_mutated_program(void **state)
{
	(void)state;
	set_host_image("/lib64/ld-linux-x86-64.so.2");
	mutate_file("/bin/true", "/bin/true", 14000);
}

static void test_mutated_interpreter(void **state)
{
	(void)state;
	set_host_image("/bin/true");
	mutate_file("/lib64/ld-linux-x86-64.so.2", "/bin/true", 6000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_static_image, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_dynamic_image, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_randomized, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_vdso_zone, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_host_dynamic, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_host_static, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_host_loader, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_user_strings, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_limits, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_no_argv, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_scripts, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_script_depth, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_broken_headers, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_broken_segments, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_broken_interpreter, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_allocation_failures, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_mutated_program, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_mutated_interpreter, machine_up, machine_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
