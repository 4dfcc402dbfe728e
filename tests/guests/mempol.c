/* SPDX-License-Identifier: MIT */
/*
 * mempol - NUMA policy on a machine of one node: set_mempolicy, get_mempolicy, mbind, move_pages,
 * migrate_pages, set_mempolicy_home_node.
 */
#include "guest.h"

#include <linux/mempolicy.h>

#define AREA 0x200000000000UL
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#define MPOL_WEIGHTED_INTERLEAVE 6
#endif
#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif

static char *at(unsigned long page)
{
	return (char *)AREA + page * PAGE;
}

static const char *result(long r)
{
	static char text[32];

	if (r == -1)
		return strerrorname_np(errno) ?: "E?";
	snprintf(text, sizeof(text), "%ld", r);
	return text;
}

#define SAY(call) (printf("%s = %s\n", #call, result(call)), fflush(stdout))

static unsigned long m0 = 1, m1 = 2, m01 = 3, none, big[17] = { 1 }, high[17];

static long set(int mode, unsigned long *mask, unsigned long max)
{
	return syscall(SYS_set_mempolicy, mode, mask, max);
}

static long bind_(unsigned long page, unsigned long n, int mode, unsigned long *mask,
		  unsigned long max, unsigned int flags)
{
	return syscall(SYS_mbind, at(page), n * PAGE, mode, mask, max, flags);
}

static void get(const char *what, void *addr, unsigned long flags, unsigned long max)
{
	unsigned long mask[20];
	int mode = -1;
	long r;

	memset(mask, 0xff, sizeof(mask));
	r = syscall(SYS_get_mempolicy, &mode, mask, max, addr, flags);
	printf("%s: %s", what, result(r));
	if (!r)
		printf(" mode %#x mask %lx %lx", mode, mask[0], mask[1]);
	printf("\n");
}

static void test_task(void)
{
	static const int modes[] = { MPOL_DEFAULT,
				     MPOL_PREFERRED,
				     MPOL_BIND,
				     MPOL_INTERLEAVE,
				     MPOL_LOCAL,
				     MPOL_PREFERRED_MANY,
				     MPOL_WEIGHTED_INTERLEAVE,
				     7,
				     100,
				     -1 };
	static const int flags[] = { 0,
				     MPOL_F_STATIC_NODES,
				     MPOL_F_RELATIVE_NODES,
				     MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES,
				     1 << 13,
				     1 << 12 };

	printf("-- policy of the task\n");
	for (unsigned int i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		for (unsigned int k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
			int mode = modes[i] | flags[k];

			printf("mode %d flags %#x\n", modes[i], flags[k]);
			SAY(set(mode, NULL, 0));
			get("  is", NULL, 0, 1024);
			SAY(set(mode, &none, 64));
			get("  is", NULL, 0, 1024);
			SAY(set(mode, &m0, 64));
			get("  is", NULL, 0, 1024);
			SAY(set(mode, &m1, 64));
			SAY(set(mode, &m01, 64));
			get("  is", NULL, 0, 1024);
			SAY(set(mode, &m01, 2));
			get("  is", NULL, 0, 1024);
			SAY(set(mode, &m0, 1));
			SAY(set(mode, big, 1025));
			SAY(set(mode, high, 1025));
			SAY(set(mode, (void *)8, 64));
			SAY(set(mode, (void *)8, 0));
			get("  is", NULL, 0, 1024);
		}
	}
	high[16] = 1;
	SAY(set(MPOL_BIND, high, 1026));
	high[16] = 0;
	high[0] = 1;
	SAY(set(MPOL_BIND, high, 1026));
	SAY(set(MPOL_BIND, high, 1088));
	munmap(at(0), 64 * PAGE);
	mmap(at(0), 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	munmap(at(1), PAGE);
	SAY(set(MPOL_BIND, (void *)at(0), 32769));
	at(0)[0] = 1;
	SAY(set(MPOL_BIND, (void *)at(0), 32769));
	at(0)[4000] = 1;
	SAY(set(MPOL_BIND, (void *)at(0), 32769));
	SAY(set(MPOL_BIND, (void *)at(0), 32770));
	SAY(set(MPOL_BIND, (void *)(at(1) - 8), 1024));
	SAY(set(MPOL_BIND, (void *)(at(1) - 8), 66));
	SAY(set(MPOL_DEFAULT, NULL, 0));
}

static void test_get(void)
{
	int mode;

	printf("-- get_mempolicy\n");
	munmap(at(0), 64 * PAGE);
	mmap(at(0), 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	get("default", NULL, 0, 1024);
	get("short mask", NULL, 0, 63);
	get("short mask", NULL, 0, 1023);
	get("long mask", NULL, 0, 1025);
	get("longer mask", NULL, 0, 1200);
	get("allowed", NULL, MPOL_F_MEMS_ALLOWED, 1024);
	get("allowed, short", NULL, MPOL_F_MEMS_ALLOWED, 64);
	get("allowed with addr", at(0), MPOL_F_MEMS_ALLOWED, 1024);
	get("allowed and addr", at(0), MPOL_F_MEMS_ALLOWED | MPOL_F_ADDR, 1024);
	get("addr", at(0), MPOL_F_ADDR, 1024);
	get("addr of nothing", at(50), MPOL_F_ADDR, 1024);
	get("addr without flag", at(0), 0, 1024);
	get("node", NULL, MPOL_F_NODE, 1024);
	get("bad flag", NULL, 8, 1024);
	SAY(syscall(SYS_get_mempolicy, &mode, NULL, 0, at(0), MPOL_F_NODE | MPOL_F_ADDR));
	printf("node of a page: %d\n", mode);
	SAY(syscall(SYS_get_mempolicy, &mode, NULL, 0, at(50), MPOL_F_NODE | MPOL_F_ADDR));
	mprotect(at(1), PAGE, PROT_NONE);
	SAY(syscall(SYS_get_mempolicy, &mode, NULL, 0, at(1), MPOL_F_NODE | MPOL_F_ADDR));
	SAY(syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0));
	SAY(syscall(SYS_get_mempolicy, (void *)8, NULL, 0, NULL, 0));
	SAY(syscall(SYS_get_mempolicy, NULL, (void *)8, 1024, NULL, 0));
	SAY(syscall(SYS_get_mempolicy, NULL, (void *)8, 0, NULL, 0));
	SAY(set(MPOL_INTERLEAVE, &m0, 64));
	get("next node", NULL, MPOL_F_NODE, 1024);
	get("addr, task's", at(0), MPOL_F_ADDR, 1024);
	SAY(set(MPOL_DEFAULT, NULL, 0));
}

static void policies(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;
	char line[512];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start >= AREA &&
		    end <= AREA + 64 * PAGE) {
			printf("  %lu+%lu ", (start - AREA) / PAGE, (end - start) / PAGE);
			get("", (void *)start, MPOL_F_ADDR, 1024);
		}
	fclose(f);
}

static void test_mbind(void)
{
	printf("-- mbind\n");
	munmap(at(0), 64 * PAGE);
	mmap(at(0), 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	memset(at(0), 1, 8 * PAGE);
	SAY(bind_(1, 2, MPOL_BIND, &m0, 64, 0));
	policies();
	SAY(bind_(3, 1, MPOL_BIND, &m0, 64, 0));
	SAY(bind_(4, 1, MPOL_BIND | MPOL_F_STATIC_NODES, &m0, 64, 0));
	SAY(bind_(5, 1, MPOL_PREFERRED, NULL, 0, 0));
	SAY(bind_(6, 1, MPOL_LOCAL, NULL, 0, 0));
	SAY(bind_(7, 1, MPOL_PREFERRED, &m0, 64, 0));
	policies();
	get("in the middle", at(2) + 100, MPOL_F_ADDR, 1024);
	SAY(bind_(0, 8, MPOL_DEFAULT, NULL, 0, 0));
	policies();
	SAY(bind_(0, 1, MPOL_BIND, &m1, 64, 0));
	SAY(bind_(0, 1, MPOL_BIND, &none, 64, 0));
	SAY(bind_(0, 1, MPOL_BIND, &m0, 64, 8));
	SAY(bind_(0, 1, MPOL_BIND, &m0, 64, MPOL_MF_STRICT));
	SAY(bind_(0, 1, MPOL_BIND, &m0, 64, MPOL_MF_MOVE));
	SAY(bind_(0, 1, MPOL_BIND, &m0, 64, MPOL_MF_MOVE | MPOL_MF_STRICT));
	SAY(bind_(0, 1, MPOL_BIND, &m0, 64, 1 << 3));
	SAY(bind_(0, 1, MPOL_BIND, &m0, 64, 1 << 10));
	SAY(bind_(0, 1, 99, &m0, 64, 0));
	SAY(bind_(0, 0, MPOL_BIND, &m0, 64, 0));
	SAY(bind_(50, 0, MPOL_BIND, &m0, 64, 0));
	SAY(bind_(0, 0, 99, &m0, 64, 0));
	SAY(bind_(0, 0, MPOL_DEFAULT, &m01, 64, 0));
	SAY(bind_(0, 1, MPOL_DEFAULT, &m01, 64, 0));
	SAY(bind_(50, 1, MPOL_DEFAULT, &m01, 64, 0));
	SAY(syscall(SYS_mbind, at(0) + 1, PAGE, MPOL_BIND, &m0, 64, 0));
	SAY(syscall(SYS_mbind, at(0), 1, MPOL_BIND, &m0, 64, 0));
	SAY(syscall(SYS_mbind, at(0), -1UL, MPOL_BIND, &m0, 64, 0));
	SAY(syscall(SYS_mbind, at(0), -PAGE, MPOL_BIND, &m0, 64, 0));
	SAY(bind_(0, 1, MPOL_BIND, (void *)8, 64, 0));
	SAY(bind_(20, 1, MPOL_BIND, &m0, 64, 0));
	SAY(bind_(20, 1, MPOL_DEFAULT, NULL, 0, 0));
	SAY(bind_(7, 2, MPOL_BIND, &m0, 64, 0));
	SAY(bind_(7, 2, MPOL_DEFAULT, NULL, 0, 0));
	policies();
	munmap(at(2), PAGE);
	SAY(bind_(0, 6, MPOL_INTERLEAVE, &m0, 64, 0));
	policies();
	SAY(bind_(0, 6, MPOL_DEFAULT, NULL, 0, 0));
	policies();
	mmap(at(20), 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	SAY(bind_(21, 1, MPOL_BIND, &m0, 64, 0));
	get("shared", at(21), MPOL_F_ADDR, 1024);
	get("shared, beside", at(20), MPOL_F_ADDR, 1024);
	/* Policies go with their memory. */
	SAY(bind_(0, 2, MPOL_BIND, &m0, 64, 0));
	SAY((long)mremap(at(0), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at(30)) == (long)at(30));
	get("moved", at(30), MPOL_F_ADDR, 1024);
	if (!split()) {
		get("child", at(1), MPOL_F_ADDR, 1024);
		fflush(stdout);
		_exit(0);
	}
	wait_for(-1);
}

static void test_inherit(void)
{
	printf("-- inherited\n");
	SAY(set(MPOL_INTERLEAVE, &m0, 64));
	if (!split()) {
		get("child", NULL, 0, 1024);
		fflush(stdout);
		execl("/proc/self/exe", "mempol", "exec", NULL);
	}
	wait_for(-1);
	SAY(set(MPOL_DEFAULT, NULL, 0));
}

static void test_home(void)
{
	printf("-- set_mempolicy_home_node\n");
	munmap(at(0), 64 * PAGE);
	mmap(at(0), 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), PAGE, 0, 0));
	SAY(bind_(0, 2, MPOL_BIND, &m0, 64, 0));
	SAY(bind_(2, 2, MPOL_INTERLEAVE, &m0, 64, 0));
	SAY(bind_(4, 2, MPOL_PREFERRED_MANY, &m0, 64, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), PAGE, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), PAGE, 1, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), PAGE, 5000, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), PAGE, -1UL, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), PAGE, 0, 1));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0) + 1, PAGE, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), 0, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), -1UL, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), -PAGE, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(2), PAGE, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(0), 4 * PAGE, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(4), PAGE, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(6), PAGE, 0, 0));
	SAY(syscall(SYS_set_mempolicy_home_node, at(40), PAGE, 0, 0));
	policies();
}

static long move(pid_t pid, unsigned long n, void **pages, int *nodes, int *status, int flags)
{
	return syscall(SYS_move_pages, pid, n, pages, nodes, status, flags);
}

static void test_move_pages(void)
{
	int fd = MUST(memfd_create("m", 0)), nodes[8] = { 0 }, status[8];
	void *pages[8];
	pid_t child;

	printf("-- move_pages\n");
	munmap(at(0), 64 * PAGE);
	mmap(at(0), 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
	ftruncate(fd, PAGE);
	mmap(at(5), PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	mmap(at(6), PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0);
	at(0)[0] = at(1)[0] = at(5)[0] = 1;
	*(volatile char *)at(3); /* the zero page */
	pages[0] = at(0);
	pages[1] = at(1) + 17;
	pages[2] = at(2);
	pages[3] = at(3);
	pages[4] = at(20);
	pages[5] = at(5);
	pages[6] = at(6);
	pages[7] = (void *)-PAGE;
	memset(status, 77, sizeof(status));
	SAY(move(0, 8, pages, NULL, status, 0));
	for (int i = 0; i < 8; i++)
		printf("  %d: %d\n", i, status[i]);
	memset(status, 77, sizeof(status));
	SAY(move(0, 8, pages, nodes, status, MPOL_MF_MOVE));
	for (int i = 0; i < 8; i++)
		printf("  %d: %d\n", i, status[i]);
	SAY(move(0, 8, pages, nodes, status, 0));
	SAY(move(0, 2, pages, nodes, NULL, MPOL_MF_MOVE));
	SAY(move(0, 0, NULL, NULL, NULL, 0));
	SAY(move(0, 0, pages, nodes, status, MPOL_MF_MOVE));
	SAY(move(0, 8, pages, NULL, NULL, 0));
	SAY(move(0, 8, (void *)8, NULL, status, 0));
	SAY(move(0, 8, (void *)8, nodes, status, 0));
	SAY(move(0, 8, pages, (void *)8, status, 0));
	SAY(move(0, 8, pages, nodes, (void *)8, 0));
	SAY(move(0, 8, pages, nodes, status, 8));
	SAY(move(0, 8, pages, nodes, status, MPOL_MF_STRICT));
	SAY(move(999999, 8, pages, NULL, status, 0));
	SAY(move(getpid(), 1, pages, NULL, status, 0));
	nodes[1] = 1;
	SAY(move(0, 2, pages, nodes, status, MPOL_MF_MOVE));
	nodes[1] = -1;
	SAY(move(0, 2, pages, nodes, status, MPOL_MF_MOVE));
	nodes[1] = 5000;
	SAY(move(0, 2, pages, nodes, status, MPOL_MF_MOVE));
	nodes[1] = 0;
	child = split();
	if (!child) {
		sleep_ms(60000);
		_exit(0);
	}
	SAY(move(child, 2, pages, NULL, status, 0));
	printf("  child's %d %d\n", status[0], status[1]);
	kill(child, SIGKILL);
	wait_for(child);
	SAY(move(child, 2, pages, NULL, status, 0));
	close(fd);
}

static void test_migrate_pages(void)
{
	printf("-- migrate_pages\n");
	SAY(syscall(SYS_migrate_pages, 0, 64, &m0, &m0));
	SAY(syscall(SYS_migrate_pages, getpid(), 64, &m0, &m0));
	SAY(syscall(SYS_migrate_pages, 0, 64, &m0, &m1));
	SAY(syscall(SYS_migrate_pages, 0, 64, &m1, &m0));
	SAY(syscall(SYS_migrate_pages, 0, 64, &m01, &m0));
	SAY(syscall(SYS_migrate_pages, 0, 64, &none, &m0));
	SAY(syscall(SYS_migrate_pages, 0, 64, &m0, &none));
	SAY(syscall(SYS_migrate_pages, 0, 0, NULL, NULL));
	SAY(syscall(SYS_migrate_pages, 0, 64, NULL, &m0));
	SAY(syscall(SYS_migrate_pages, 0, 64, &m0, NULL));
	SAY(syscall(SYS_migrate_pages, 0, 64, (void *)8, &m0));
	SAY(syscall(SYS_migrate_pages, 0, 64, &m0, (void *)8));
	SAY(syscall(SYS_migrate_pages, 0, 40000, big, big));
	SAY(syscall(SYS_migrate_pages, 999999, 64, &m0, &m0));
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1) {
		get("after exec", NULL, 0, 1024);
		return 0;
	}
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	test_task();
	test_get();
	test_mbind();
	test_inherit();
	test_home();
	test_move_pages();
	test_migrate_pages();
	return 0;
}
