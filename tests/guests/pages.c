/* SPDX-License-Identifier: MIT */
/*
 * What /proc tells of single pages: pagemap and kpagecount, kpageflags behind it, numa_maps, clear_refs; of
 * memory of one's own and of others'.
 */
#include "guest.h"

#include <linux/kernel-page-flags.h>
#include <sys/uio.h>

#define PFN(entry) ((entry) & ((1ULL << 55) - 1))
#define BIT(n) (1ULL << (n))

static const char *err(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "ok";
}

static uint64_t word(const char *path, uint64_t index)
{
	int fd = MUST(open(path, O_RDONLY));
	uint64_t value = 0;

	MUST(pread(fd, &value, 8, (off_t)index * 8));
	close(fd);
	return value;
}

static uint64_t entry_of(const void *p)
{
	return word("/proc/self/pagemap", (uintptr_t)p / PAGE);
}

static void show(const char *what, const void *p)
{
	uint64_t entry = entry_of(p), flags;

	printf("%s: present %d, file %d, exclusive %d", what, !!(entry & BIT(63)),
	       !!(entry & BIT(61)), !!(entry & BIT(56)));
	if (PFN(entry)) { /* who may see it */
		flags = word("/proc/kpageflags", PFN(entry));
		printf(", count %d, mapped %d, anon %d, zero %d, free %d, slab %d",
		       (int)word("/proc/kpagecount", PFN(entry)), !!(flags & BIT(KPF_MMAP)),
		       !!(flags & BIT(KPF_ANON)), !!(flags & BIT(24)), !!(flags & BIT(KPF_BUDDY)),
		       !!(flags & BIT(KPF_SLAB)));
	}
	puts("");
}

static void kinds(void)
{
	char *a = map_anon(8 * PAGE, MAP_PRIVATE), *s = map_anon(4 * PAGE, MAP_SHARED), *f;
	int fd = MUST(open("pages", O_RDWR | O_CREAT, 0600)), to[2], st;

	madvise(a, 8 * PAGE, MADV_NOHUGEPAGE);
	MUST(ftruncate(fd, 4 * PAGE));
	f = MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	a[0] = s[0] = 1;
	f[PAGE] = 1;
	(void)*(volatile char *)(a + 2 * PAGE);
	show("anonymous", a);
	show("untouched", a + 5 * PAGE);
	show("shared", s);
	show("copied from a file", f + PAGE);
	if (geteuid() == 0)
		printf("zero page: %d\n",
		       !!(word("/proc/kpageflags", PFN(entry_of(a + 2 * PAGE))) & BIT(24)));
	MUST(pipe(to));
	if (!split()) {
		show("anonymous, in the child", a);
		a[0] = 2;
		show("written by it", a);
		s[0] = 3;
		show("shared, written by it", s);
		MUST(write(to[1], "x", 1));
		_exit(0);
	}
	wait(&st);
	show("anonymous, when the child is gone", a);
	MUST(munmap(a, PAGE));
	show("unmapped", a);
	MUST(unlink("pages"));
	close(fd);
}

/* Odd places and sizes. */
static void reading(void)
{
	static const char *const files[] = { "/proc/self/pagemap", "/proc/kpagecount",
					     "/proc/kpageflags", "/proc/kpagecgroup" };
	uint64_t buf[1024];

	for (size_t i = 0; i < 4; i++) {
		int fd = open(files[i], O_RDONLY);
		struct iovec iov[2] = { { buf, 8 }, { buf + 1, 16 } };

		if (fd < 0) {
			printf("%s: %s\n", files[i], err(fd));
			continue;
		}
		printf("%s: %s %s %s", files[i], err(pread(fd, buf, 7, 0)),
		       err(pread(fd, buf, 8, 4)), err(pread(fd, buf, 12, 8)));
		printf(", %zd %zd %zd", pread(fd, buf, 0, 0), pread(fd, buf, 8192, 8192),
		       pread(fd, buf, 8, (off_t)1 << 58));
		printf(", %s", err(syscall(SYS_pread64, fd, 8, 16, 0)));
		printf(", %zd", preadv(fd, iov, 2, 8));
		printf(", at %d", (int)lseek(fd, 0, SEEK_CUR));
		printf(", %zd", read(fd, buf, 24));
		printf(", at %d", (int)lseek(fd, 0, SEEK_CUR));
		printf(", write %s\n", err(write(fd, buf, 8)));
		close(fd);
	}
}

/* The line of numa_maps that begins with this address, without what says how active it is. */
static void numa_line(const char *what, const void *p)
{
	FILE *f = fopen("/proc/self/numa_maps", "r");
	char line[512], start[32], *word_;

	snprintf(start, sizeof(start), "%lx ", (unsigned long)p);
	printf("%s:", what);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, start, strlen(start)) != 0)
			continue;
		strtok(line, " \n");
		while ((word_ = strtok(NULL, " \n")))
			if (strncmp(word_, "active=", 7) && strncmp(word_, "mapmax=", 7))
				printf(" %s", word_);
	}
	puts("");
	fclose(f);
}

static void numa(void)
{
	char *a = map_anon(16 * PAGE, MAP_PRIVATE), *b = a + 4 * PAGE, *s, *f;
	int fd = MUST(open("a = b", O_RDWR | O_CREAT, 0600)), found = 0;
	char line[512];
	FILE *maps;

	MUST(ftruncate(fd, 4 * PAGE));
	MUST(mprotect(b, PAGE, PROT_NONE));
	madvise(a, 4 * PAGE, MADV_NOHUGEPAGE);
	a[0] = a[PAGE] = 1;
	s = map_anon(4 * PAGE, MAP_SHARED);
	s[0] = 1;
	f = MUST(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	f[0] = 1;
	numa_line("anonymous", a);
	numa_line("without access", b);
	numa_line("shared", s);
	f = MUST(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0));
	maps = fopen("/proc/self/numa_maps", "r");
	while (fgets(line, sizeof(line), maps)) {
		found |= strstr(line, "/a\\040\\075\\040b") ? 1 : 0;
		found |= strstr(line, " default heap ") ? 2 : 0;
		found |= strstr(line, " default stack ") ? 4 : 0;
	}
	fclose(maps);
	printf("named: %d\n", found);
	MUST(unlink("a = b"));
	close(fd);
	(void)f;
}

static long smaps_value(const void *p, const char *key)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], start[32];
	bool here = false;
	long kb = -1;

	snprintf(start, sizeof(start), "%lx-", (unsigned long)p);
	while (fgets(line, sizeof(line), f) && kb < 0) {
		here |= !strncmp(line, start, strlen(start));
		if (here && !strncmp(line, key, strlen(key)))
			kb = atol(line + strlen(key));
	}
	fclose(f);
	return kb;
}

static long status_value(const char *key)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[512];
	long kb = -1;

	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kb = atol(line + strlen(key));
	fclose(f);
	return kb;
}

static void clear(const char *what)
{
	int fd = MUST(open("/proc/self/clear_refs", O_WRONLY));

	if (write(fd, what, strlen(what)) != (ssize_t)strlen(what))
		printf("clear_refs '%s': %s\n", what, strerrorname_np(errno));
	close(fd);
}

/* Linux leaves it to chance whether a use that the processor need not look up is noticed. */
static void flush(char *a)
{
	MUST(mprotect(a, 8 * PAGE, PROT_READ));
	MUST(mprotect(a, 8 * PAGE, PROT_READ | PROT_WRITE));
}

static void clearing(void)
{
	static const char *const texts[] = { "0",
					     "6",
					     "",
					     "x",
					     " 1 \n",
					     "1 2",
					     "0x1",
					     "-1",
					     "+1",
					     "01",
					     "99999999999999999999",
					     "2147483648",
					     "4294967297",
					     "1\n" };
	char *a = map_anon(8 * PAGE, MAP_PRIVATE), *big;
	int fd;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		fd = MUST(open("/proc/self/clear_refs", O_WRONLY));
		printf("'%s': %s\n", texts[i], err(write(fd, texts[i], strlen(texts[i]))));
		close(fd);
	}
	fd = open("/proc/self/clear_refs", O_RDWR);
	printf("to read: %s", err(fd));
	printf(", %s\n", err(read(fd, &fd, 1)));
	close(fd);
	madvise(a, 8 * PAGE, MADV_NOHUGEPAGE);
	memset(a, 1, 8 * PAGE);
	printf("used: %ld of %ld\n", smaps_value(a, "Referenced:"), smaps_value(a, "Rss:"));
	clear("3");
	printf("files cleared: %ld\n", smaps_value(a, "Referenced:"));
	clear("2");
	flush(a);
	printf("anonymous cleared: %ld of %ld\n", smaps_value(a, "Referenced:"),
	       smaps_value(a, "Rss:"));
	a[PAGE] = 2;
	(void)*(volatile char *)(a + 4 * PAGE);
	printf("two used: %ld, dirty %ld\n", smaps_value(a, "Referenced:"),
	       smaps_value(a, "Private_Dirty:"));
	clear("1");
	flush(a);
	printf("all cleared: %ld", smaps_value(a, "Referenced:"));
	printf(", %d %d\n", a[PAGE], a[0]);
	big = map_anon(16 << 20, MAP_PRIVATE);
	memset(big, 1, 16 << 20);
	munmap(big, 16 << 20);
	printf("peak: %d", status_value("VmHWM:") - status_value("VmRSS:") > 12 << 10);
	clear("5");
	printf(", and forgotten: %d\n", status_value("VmHWM:") - status_value("VmRSS:") > 4 << 10);
}

/* While the other one changes its mappings, forks and ends. */
static void others(void)
{
	static const char *const files[] = { "maps",	"smaps",   "smaps_rollup", "numa_maps",
					     "status",	"statm",   "stat",	   "clear_refs",
					     "pagemap", "environ", "auxv",	   "oom_score",
					     "limits",	"comm",	   "cmdline" };
	char path[64], buf[4096];
	int ok = 1;

	for (int round = 0; round < 20; round++) {
		pid_t pid = split();

		if (!pid) {
			for (int i = 0; i < 200; i++) {
				char *p = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

				if (p == MAP_FAILED)
					_exit(1);
				p[i % 64 * PAGE] = 1;
				mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ);
				munmap(p + PAGE * (i % 32), 16 * PAGE);
				munmap(p, 64 * PAGE);
			}
			_exit(0);
		}
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			bool writes = !strcmp(files[i], "clear_refs");
			int fd;

			snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
			fd = open(path, writes ? O_WRONLY : O_RDONLY);
			if (fd < 0)
				continue;
			if (writes)
				ok &= write(fd, "1", 1) == 1 || errno == ESRCH;
			else
				while (read(fd, buf, 1000) > 0 && strcmp(files[i], "pagemap"))
					;
			close(fd);
		}
		ok &= exited(wait_for(pid), 0);
	}
	printf("others: %d\n", ok);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	kinds();
	reading();
	numa();
	clearing();
	others();
	return 0;
}
