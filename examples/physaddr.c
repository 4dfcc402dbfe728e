/* SPDX-License-Identifier: MIT */
/*
 * physaddr.c - a program asks where its memory is: what /proc/self/pagemap says of it, an entry of 64 bits
 * for each page of the address space (proc(5)). Frame numbers are shown to root only, here as on Linux.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PFN_MASK ((1ull << 55) - 1)

static uint64_t read_word(const char *path, uint64_t index)
{
	uint64_t word = 0;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || pread(fd, &word, sizeof(word), (off_t)(index * sizeof(word))) < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
	return word;
}

static void tell(const char *what, const void *p)
{
	const uintptr_t addr = (uintptr_t)p, page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uint64_t entry = read_word("/proc/self/pagemap", addr / page), pfn = entry & PFN_MASK;

	printf("%-12s virtual 0x%016" PRIxPTR " ", what, addr);
	if (entry >> 62 & 1)
		printf("swapped out: area %u, slot %" PRIu64 "\n", (unsigned)(entry & 31),
		       pfn >> 5);
	else if (!(entry >> 63))
		puts("not present");
	else if (!pfn)
		puts("present");
	else
		printf("physical 0x%" PRIx64 ", mapped %" PRIu64 " times\n",
		       pfn * page + addr % page, read_word("/proc/kpagecount", pfn));
}

static void copy_file(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		fputs(line, stdout);
	if (f)
		fclose(f);
}

int main(void)
{
	static int variable = 1;
	int local = 2;
	char *heap = malloc(100);
	char *untouched =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!heap || untouched == MAP_FAILED)
		return 1;
	strcpy(heap, "touched");
	tell("variable", &variable);
	tell("stack", &local);
	tell("heap", heap);
	tell("text", (const void *)(uintptr_t)main);
	tell("libc", (const void *)(uintptr_t)printf);
	tell("untouched", untouched);
	copy_file("/proc/self/page_tables"); /* nothing, if this is not a machine of Quire's */
	return 0;
}
