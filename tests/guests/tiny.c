/* SPDX-License-Identifier: MIT */
/* A program without libc, stack protector or dynamic linker: arguments, environment, auxv, exit. */
#define NR_write 1
#define NR_exit 60

static long call3(long nr, long a, long b, long c)
{
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}

static void put(const char *s)
{
	long n = 0;

	while (s[n])
		n++;
	call3(NR_write, 1, (long)s, n);
}

static char zeroed[100000];
static char set[] = "data";

void begin(long *sp);
void begin(long *sp)
{
	long argc = sp[0], bad = 0, n;
	char **argv = (char **)(sp + 1);
	long *aux = (long *)(argv + argc + 1);

	while (*aux++)
		;
	for (long i = 0; i < argc; i++) {
		put(i ? argv[i] : "tiny");
		put(i + 1 < argc ? " " : "\n");
	}
	for (n = 0; aux[2 * n]; n++)
		if (aux[2 * n] == 6 && aux[2 * n + 1] != 4096)
			put("odd page size\n");
	put(n > 10 ? "auxv ok\n" : "auxv FAIL\n");
	put((long)sp % 16 ? "alignment FAIL\n" : "alignment ok\n");
	for (long i = 0; i < (long)sizeof(zeroed); i++)
		bad += zeroed[i];
	zeroed[5] = set[0]++;
	put(bad || zeroed[5] != 'd' || set[0] != 'e' ? "data FAIL\n" : "data ok\n");
	call3(NR_exit, 5, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %rsp,%rdi\n\tandq $-16,%rsp\n\tcall begin\n\thlt\n");
