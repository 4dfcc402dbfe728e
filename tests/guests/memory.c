/* SPDX-License-Identifier: MIT */
/* malloc under threads, brk, mremap, growing mappings, msync, mincore, large areas, limits. */
#include "guest.h"

#include <malloc.h>
#include <sys/resource.h>

#define THREADS 4

static void *churn(void *arg)
{
	unsigned int seed = (long)arg * 7919 + 1;
	char *p[64] = { 0 };
	size_t n[64] = { 0 };
	long bad = 0;

	for (int i = 0; i < 20000; i++) {
		int k = (seed = seed * 1103515245 + 12345) >> 16 & 63;

		if (p[k]) {
			bad += p[k][0] != (char)k || p[k][n[k] - 1] != (char)k;
			free(p[k]);
			p[k] = NULL;
		} else {
			n[k] = 1 + (seed >> 8) % (k % 8 ? 3000 : 300000);
			p[k] = malloc(n[k]);
			p[k][0] = p[k][n[k] - 1] = k;
		}
	}
	for (int k = 0; k < 64; k++)
		free(p[k]);
	return (void *)bad;
}

int main(void)
{
	pthread_t t[THREADS];
	char *a, *b, *c;
	unsigned char vec[8];
	long bad = 0;
	struct rlimit rl = { 64 << 20, 64 << 20 };
	pid_t pid;

	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, churn, (void *)i);
	for (int i = 0; i < THREADS; i++) {
		void *r;

		pthread_join(t[i], &r);
		bad += (long)r;
	}
	CHECK(!bad, "malloc in four threads");
	a = sbrk(0);
	CHECK(sbrk(1 << 20) == a && (memset(a, 1, 1 << 20), a[(1 << 20) - 1] == 1), "brk grows");
	CHECK(sbrk(-(1 << 20)) != (void *)-1 && sbrk(1 << 20) == a && a[5000] == 0, "and forgets");
	a = map_anon(64 << 20, MAP_PRIVATE);
	for (size_t i = 0; i < 64UL << 20; i += PAGE)
		*(uint64_t *)(a + i) = i;
	b = mremap(a, 64 << 20, 128 << 20, MREMAP_MAYMOVE);
	for (size_t i = 0; i < 64UL << 20; i += PAGE)
		bad += *(uint64_t *)(b + i) != i;
	for (size_t i = 64UL << 20; i < 128UL << 20; i += PAGE)
		bad += b[i] != 0;
	CHECK(b != MAP_FAILED && !bad, "mremap of 64 MiB");
	c = mremap(b, 128 << 20, 32 << 20, 0);
	CHECK(c == b && *(uint64_t *)(c + (31 << 20)) == 31 << 20, "and back");
	munmap(c, 32 << 20);
	a = map_anon(8 * PAGE, MAP_PRIVATE);
	a[0] = a[3 * PAGE] = 1;
	MUST(mincore(a, 8 * PAGE, vec));
	CHECK((vec[0] & 1) && (vec[3] & 1), "mincore");
	CHECK(mincore(a + 1, PAGE, vec) == -1 && errno == EINVAL, "mincore, odd address");
	CHECK(mlock(a, 2 * PAGE) == 0 && munlock(a, 2 * PAGE) == 0, "mlock");
	CHECK(msync(a + 9 * PAGE * 1000000, PAGE, MS_SYNC) == -1 && errno == ENOMEM,
	      "msync of nothing");
	b = MUST(mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
	MUST(mincore(b, 8 * PAGE, vec));
	CHECK((vec[0] & vec[7] & 1) && b[0] == 0, "populated");
	c = MUST(mmap(NULL, 1UL << 40, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	for (size_t i = 0; i < 1UL << 40; i += 1UL << 32)
		c[i] = 1;
	for (size_t i = 0; i < 1UL << 40; i += 1UL << 32)
		bad += c[i] != 1 || c[i + PAGE] != 0;
	CHECK(!bad, "a terabyte, sparsely");
	munmap(c, 1UL << 40);
	pid = split();
	if (!pid) {
		setrlimit(RLIMIT_AS, &rl);
		_exit(mmap(NULL, 128 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
					      MAP_FAILED &&
				      errno == ENOMEM && malloc(1000)
			      ? 3
			      : 4);
	}
	CHECK(exited(wait_for(pid), 3), "RLIMIT_AS");
	pid = split();
	if (!pid) {
		rl.rlim_cur = rl.rlim_max = 1 << 20;
		setrlimit(RLIMIT_DATA, &rl);
		_exit(sbrk(16 << 20) == (void *)-1 && errno == ENOMEM ? 3 : 4);
	}
	CHECK(exited(wait_for(pid), 3), "RLIMIT_DATA");
	CHECK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
		      errno == EINVAL,
	      "no length");
	return failures;
}
