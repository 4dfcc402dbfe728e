/* SPDX-License-Identifier: MIT */
/* FP, SSE and AVX state over faults, calls, and signals whose handlers use them too. */
#include "guest.h"

#include <sys/time.h>

static volatile int count;
static bool have_avx;

static void clobber_avx(void)
{
	__asm__ volatile("vpcmpeqd %%xmm0,%%xmm0,%%xmm0\n\tvinsertf128 $1,%%xmm0,%%ymm0,%%ymm0\n\t"
			 "vmovaps %%ymm0,%%ymm15\n\tvmovaps %%ymm0,%%ymm7\n\tvzeroupper" ::
				 : "xmm0", "xmm7", "xmm15");
}

static void on_alarm(int sig, siginfo_t *si, void *uc)
{
	volatile double x = 1;

	(void)sig;
	(void)si;
	(void)uc;
	count++;
	for (int i = 0; i < 20; i++)
		x = x * 1.5 + i;
	if (have_avx)
		clobber_avx();
}

static void ticking(int us)
{
	struct itimerval it = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &it, NULL);
}

#define EACH(m) \
	m(0) m(1) m(2) m(3) m(4) m(5) m(6) m(7) m(8) m(9) m(10) m(11) m(12) m(13) m(14) m(15)
#define LOAD_XMM(n) "movupd 16*" #n "(%[in]),%%xmm" #n "\n\t"
#define STORE_XMM(n) "movupd %%xmm" #n ",16*" #n "(%[out])\n\t"
#define LOAD_YMM(n) "vmovupd 32*" #n "(%[in]),%%ymm" #n "\n\t"
#define STORE_YMM(n) "vmovupd %%ymm" #n ",32*" #n "(%[out])\n\t"
#define VECTORS                                                                                  \
	"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
		"xmm11", "xmm12", "xmm13", "xmm14", "xmm15"

/* All registers are loaded, @page is stored to, getppid is called, a while passes. */
static long keep_xmm(char *page, long spins)
{
	double in[32], out[32];

	for (int i = 0; i < 32; i++)
		in[i] = 1000.5 + i;
	__asm__ volatile(EACH(LOAD_XMM) "movb $1,(%[page])\n\tmov $110,%%eax\n\tsyscall\n\t"
					"1: dec %[spins]\n\tjnz 1b\n\t" EACH(STORE_XMM)
			 : [spins] "+r"(spins)
			 : [in] "r"(in), [out] "r"(out), [page] "r"(page)
			 : "rax", "rcx", "r11", "memory", VECTORS);
	return memcmp(in, out, sizeof(in)) != 0;
}

static long keep_ymm(char *page, long spins)
{
	double in[64], out[64];

	for (int i = 0; i < 64; i++)
		in[i] = 2000.25 + i;
	__asm__ volatile(
		EACH(LOAD_YMM) "movb $1,(%[page])\n\tmov $110,%%eax\n\tsyscall\n\t"
			       "1: dec %[spins]\n\tjnz 1b\n\t" EACH(STORE_YMM) "vzeroupper\n\t"
		: [spins] "+r"(spins)
		: [in] "r"(in), [out] "r"(out), [page] "r"(page)
		: "rax", "rcx", "r11", "memory", VECTORS);
	return memcmp(in, out, sizeof(in)) != 0;
}

static void *in_thread(void *arg)
{
	char *area = map_anon(256 * PAGE, MAP_PRIVATE);
	long bad = 0;

	(void)arg;
	for (int i = 0; i < 256; i++)
		bad += keep_xmm(area + i * PAGE, 2000) +
		       (have_avx ? keep_ymm(area + i * PAGE, 2000) : 0);
	return (void *)bad;
}

int main(void)
{
	char *area = map_anon(2048 * PAGE, MAP_PRIVATE);
	volatile double x = 1, ref = 1;
	uint16_t cw = 0x027f, got = 0;
	uint32_t csr = 0x1f80 | 0x6000, got_csr = 0; /* round toward zero */
	long bad = 0;
	pthread_t t[4];
	pid_t pid;

	__builtin_cpu_init();
	have_avx = __builtin_cpu_supports("avx");
	handle(SIGALRM, on_alarm, SA_RESTART);
	for (int i = 0; i < 1000; i++)
		bad += keep_xmm(area + i * PAGE, 10);
	CHECK(!bad, "xmm over faults and calls");
	for (int i = 0; have_avx && i < 1000; i++)
		bad += keep_ymm(area + (1000 + i) * PAGE, 10);
	CHECK(!bad, "ymm over faults and calls");
	ticking(500);
	for (int n = 0; n < 20 || count < 50; n++) {
		madvise(area, 64 * PAGE, MADV_DONTNEED);
		for (int i = 0; i < 64; i++) {
			bad += keep_xmm(area + i * PAGE, 30000);
			bad += have_avx ? keep_ymm(area + i * PAGE, 30000) : 0;
		}
	}
	CHECK(!bad, "over signals");
	count = 0;
	for (long i = 0; i < 30000000 || count < 10; i++)
		x = i < 30000000 ? x * 1.0000001 + 0.5 : x;
	ticking(0);
	for (long i = 0; i < 30000000; i++)
		ref = ref * 1.0000001 + 0.5;
	CHECK(x == ref, "a long sum under signals");
	__asm__ volatile("fldcw %0\n\tldmxcsr %1" ::"m"(cw), "m"(csr));
	ticking(1000);
	count = 0;
	while (count < 5)
		area[count * PAGE] = 1;
	ticking(0);
	pid = split();
	if (!pid) {
		__asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(got), "=m"(got_csr));
		_exit(got == cw && (got_csr & ~0x3fU) == csr ? 6 : 1);
	}
	__asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(got), "=m"(got_csr));
	CHECK(got == cw && (got_csr & ~0x3fU) == csr, "control words");
	CHECK(exited(wait_for(pid), 6), "in a child");
	cw = 0x37f;
	csr = 0x1f80;
	__asm__ volatile("fldcw %0\n\tldmxcsr %1" ::"m"(cw), "m"(csr));
	ticking(700);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, in_thread, NULL);
	for (int i = 0; i < 4; i++) {
		void *r;

		pthread_join(t[i], &r);
		bad += (long)r;
	}
	ticking(0);
	CHECK(!bad, "in four threads");
	return failures;
}
