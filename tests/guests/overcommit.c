/* SPDX-License-Identifier: MIT */
/*
 * overcommit - /proc/sys/vm/overcommit_* and what is promised under each policy. Inside only: it sets the
 * machine's policy.
 */
#include "guest.h"

#define MB (1L << 20)
#define RW (PROT_READ | PROT_WRITE)

static long number(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	long v = -1;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!key)
			v = strtol(line, NULL, 10);
		else if (!strncmp(line, key, strlen(key)))
			v = strtol(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return v;
}

static bool set(const char *name, long value)
{
	char path[128], text[32];
	int fd, n;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	n = snprintf(text, sizeof(text), "%ld\n", value);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	n = write(fd, text, n) == n;
	close(fd);
	return n;
}

static long committed(void)
{
	return number("/proc/meminfo", "Committed_AS:") / 4;
}

static char *map(long len, int prot, int flags)
{
	return mmap(NULL, len, prot, MAP_ANONYMOUS | flags, -1, 0);
}

static void test_counting(void)
{
	long at = committed();
	char *p = map(16 * MB, RW, MAP_PRIVATE), *q, *s;

	CHECK(committed() - at == 4096, "private writable memory is promised");
	q = map(16 * MB, PROT_READ, MAP_PRIVATE);
	CHECK(committed() - at == 4096, "what cannot be written is not");
	mprotect(q, 4 * MB, RW);
	CHECK(committed() - at == 5120, "until it can");
	s = map(8 * MB, RW, MAP_SHARED);
	CHECK(committed() - at == 7168, "a shared object is, whole");
	munmap(s, 4 * MB);
	CHECK(committed() - at == 7168, "as long as any of it is mapped");
	munmap(s + 4 * MB, 4 * MB);
	CHECK(committed() - at == 5120, "and no longer");
	s = map(8 * MB, RW, MAP_PRIVATE | MAP_NORESERVE);
	CHECK(committed() - at == 5120, "MAP_NORESERVE asks for no promise");
	munmap(s, 8 * MB);
	if (!split()) {
		CHECK(committed() - at > 5120 + 5120, "a child gets promises of its own");
		_exit(0);
	}
	wait_for(-1);
	CHECK(committed() - at == 5120, "which end with it");
	munmap(p, 16 * MB);
	munmap(q, 16 * MB);
	CHECK(committed() == at, "all given back");
}

static void test_policies(void)
{
	long ram = number("/proc/meminfo", "MemTotal:") * 1024, limit;
	char *p;

	CHECK(set("overcommit_memory", 0) && number("/proc/sys/vm/overcommit_memory", NULL) == 0,
	      "guess");
	CHECK(map(2 * ram, RW, MAP_PRIVATE) == MAP_FAILED, "more than there is");
	p = map(ram / 2, RW, MAP_PRIVATE);
	CHECK(p != MAP_FAILED && map(ram / 4 * 3, RW, MAP_PRIVATE) != MAP_FAILED, "but that twice");
	munmap(p, ram / 2);
	CHECK(set("overcommit_memory", 1), "always");
	p = map(4 * ram, RW, MAP_PRIVATE);
	CHECK(p != MAP_FAILED, "any amount");
	munmap(p, 4 * ram);
	CHECK(!set("overcommit_memory", 3) && !set("overcommit_memory", -1), "no other policy");
	CHECK(set("overcommit_memory", 2), "never");
	CHECK(set("overcommit_kbytes", ram / 1024 * 2), "twice the RAM");
	CHECK(number("/proc/sys/vm/overcommit_ratio", NULL) == 0, "is no ratio");
	limit = number("/proc/meminfo", "CommitLimit:");
	CHECK(limit == (long)(ram / 1024 * 2), "the limit");
	p = map(ram / 2, RW, MAP_PRIVATE);
	CHECK(p != MAP_FAILED, "half the RAM");
	CHECK(map(ram, RW, MAP_PRIVATE | MAP_NORESERVE) == MAP_FAILED,
	      "MAP_NORESERVE does not count");
	CHECK(map(2 * ram, PROT_READ, MAP_PRIVATE) != MAP_FAILED, "what cannot be written goes");
	munmap(p, ram / 2);
	CHECK(set("overcommit_ratio", 300), "thrice");
	CHECK(number("/proc/sys/vm/overcommit_kbytes", NULL) == 0, "in percent");
	CHECK(set("overcommit_ratio", 50) && set("overcommit_memory", 0), "back");
}

int main(void)
{
	test_counting();
	test_policies();
	return failures != 0;
}
