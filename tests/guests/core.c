/* SPDX-License-Identifier: MIT */
/* What a core file holds: memory but for MADV_DONTDUMP, registers, the program's arguments. */
#include "guest.h"

#include <elf.h>
#include <sys/procfs.h>
#include <sys/resource.h>

#define MARK 0x5163497265ul

static char *shown, *hidden;

static void die_in_child(void)
{
	struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	getrlimit(RLIMIT_CORE, &all);
	all.rlim_cur = all.rlim_max;
	setrlimit(RLIMIT_CORE, &all);
	strcpy(shown + 5 * PAGE, "what was there");
	strcpy(hidden, "what nobody is to see");
	__asm__ volatile("mov %0, %%r12\n\tud2" ::"r"(MARK) : "r12");
}

static char *load_core(pid_t pid, size_t *size)
{
	char name[64];
	struct stat st;
	char *image;
	int fd;

	snprintf(name, sizeof(name), "core.%d", pid);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		fd = open("core", O_RDONLY);
	if (fd < 0 || fstat(fd, &st) || !st.st_size)
		return NULL;
	image = MUST(mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0));
	close(fd);
	*size = (size_t)st.st_size;
	return image;
}

/* The file's copy of address at; NULL: it has none. */
static const char *core_at(const char *image, const void *at)
{
	const Elf64_Ehdr *eh = (const void *)image;
	const Elf64_Phdr *ph = (const void *)(image + eh->e_phoff);

	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && (uintptr_t)at - ph[i].p_vaddr < ph[i].p_filesz)
			return image + ph[i].p_offset + ((uintptr_t)at - ph[i].p_vaddr);
	return NULL;
}

static const void *core_note(const char *image, unsigned int type)
{
	const Elf64_Ehdr *eh = (const void *)image;
	const Elf64_Phdr *ph = (const void *)(image + eh->e_phoff);

	for (int i = 0; i < eh->e_phnum; i++) {
		size_t off = ph[i].p_offset, end = off + ph[i].p_filesz;

		if (ph[i].p_type != PT_NOTE)
			continue;
		while (off < end) {
			const Elf64_Nhdr *n = (const void *)(image + off);
			size_t desc = off + sizeof(*n) + ((n->n_namesz + 3u) & ~3u);

			if (n->n_type == type)
				return image + desc;
			off = desc + ((n->n_descsz + 3u) & ~3u);
		}
	}
	return NULL;
}

int main(void)
{
	const struct elf_prstatus *status;
	const char *image;
	size_t size = 0;
	pid_t pid;
	int ws;

	shown = map_anon(8 * PAGE, MAP_PRIVATE);
	hidden = map_anon(8 * PAGE, MAP_PRIVATE);
	MUST(madvise(hidden, 8 * PAGE, MADV_DONTDUMP));
	pid = split();
	if (!pid) {
		die_in_child();
		_exit(1);
	}
	ws = wait_for(pid);
	CHECK(WIFSIGNALED(ws) && WTERMSIG(ws) == SIGILL, "the end");
	image = WCOREDUMP(ws) ? load_core(pid, &size) : NULL;
	if (!image) {
		printf("no core file is written here\n");
		return failures;
	}
	CHECK(core_at(image, shown + 5 * PAGE) &&
		      !strcmp(core_at(image, shown + 5 * PAGE), "what was there"),
	      "memory");
	CHECK(core_at(image, shown) && !*core_at(image, shown), "memory that was never touched");
	CHECK(!core_at(image, hidden), "memory that is not to be dumped");
	CHECK(core_at(image, &shown) && *(char *const *)core_at(image, &shown) == shown,
	      "a variable");
	status = core_note(image, NT_PRSTATUS);
	CHECK(status && status->pr_cursig == SIGILL && status->pr_reg[3 /* r12 */] == MARK,
	      "registers");
	CHECK(core_note(image, NT_AUXV), "the auxiliary vector");
	return failures;
}
