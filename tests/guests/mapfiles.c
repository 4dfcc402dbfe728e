/* SPDX-License-Identifier: MIT */
/* /proc/<pid>/map_files: the listing, the links, and the files behind them. */
#include "guest.h"

#include <dirent.h>
#include <grp.h>

static const char *err(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "ok";
}

/* Links and lines of maps with a file: as many of one as of the other, and the same. */
static void listing(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], link[256], target[512];
	int lines = 0, wrong = 0, links = 0;
	DIR *dir = opendir("/proc/self/map_files");
	struct dirent *d;
	long second = 0;

	while (fgets(line, sizeof(line), f)) {
		unsigned long start, end;
		char *name = strchr(line, '/');
		ssize_t n;

		if (!name || sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		lines++;
		name[strcspn(name, "\n")] = '\0';
		snprintf(link, sizeof(link), "/proc/self/map_files/%lx-%lx", start, end);
		n = readlink(link, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		wrong += n < 0 || strcmp(name, target) != 0;
	}
	fclose(f);
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		if (++links == 1)
			second = telldir(dir);
		wrong += d->d_type != DT_LNK || !d->d_ino;
	}
	printf("listing: all %d, wrong %d\n", links == lines && links > 4, wrong);
	seekdir(dir, second);
	for (links = 0; readdir(dir);)
		links++;
	rewinddir(dir);
	d = readdir(dir);
	printf("seek: %d, rewind: %s\n", links == lines - 1, d->d_name);
	closedir(dir);
}

static void small_buffers(void)
{
	char buf[128];
	int fd = MUST(open("/proc/self/map_files", O_RDONLY | O_DIRECTORY)), n = 0;
	long ret;

	printf("no room: %s\n", err(syscall(SYS_getdents64, fd, buf, 10)));
	while ((ret = syscall(SYS_getdents64, fd, buf, 60)) > 0)
		n++;
	printf("one at a time: %d, %ld\n", n > 6, ret);
	lseek(fd, 0, SEEK_SET);
	printf("nowhere: %s\n", err(syscall(SYS_getdents64, fd, 8, 100)));
	printf("write: %s\n", err(open("/proc/self/map_files", O_WRONLY)));
	close(fd);
}

/* Names that are not those of a mapping. */
static void naming(unsigned long a, unsigned long b)
{
	static const char *const formats[] = {
		"%lx-%lx",
		"0%lx-%lx",
		"%lx-0%lx",
		"%lx-%lx/",
		" %lx-%lx",
		"%lx -%lx",
		"%lx-%lx ",
		"%lx%lx",
		"%lx-",
		"-%lx",
		"0x%lx-%lx",
		"%lx-0x%lx",
		"%lx-%lx-",
		"%lx-%lxg",
		"10000000000000000%lx-%lx",
		"./../map_files/%lx-%lx",
	};
	char path[128], target[256];

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		int n = snprintf(path, sizeof(path), "/proc/self/map_files/");

		snprintf(path + n, sizeof(path) - n, formats[i], a, b);
		printf("'%s': %s\n", formats[i], err(readlink(path, target, sizeof(target))));
	}
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", a, b - PAGE);
	printf("a part: %s\n", err(readlink(path, target, sizeof(target))));
	printf("empty: %s\n", err(readlink("/proc/self/map_files/0-0", target, sizeof(target))));
}

static void opening(void)
{
	int fd = MUST(open("file", O_RDWR | O_CREAT, 0640)), again, dir;
	char path[64], buf[32] = "", *a;
	struct statx stx;
	struct stat st, own;

	MUST(write(fd, "contents of it", 14));
	a = MUST(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)a, (long)a + 2 * PAGE);
	naming((unsigned long)a, (unsigned long)a + 2 * PAGE);
	again = open(path, O_RDWR);
	printf("open: %s", err(again));
	printf(", %zd %s\n", read(again, buf, 14), buf);
	MUST(lstat(path, &st));
	printf("lstat: %o, %d, %d links, mine %d\n", st.st_mode, (int)st.st_size, (int)st.st_nlink,
	       st.st_uid == getuid());
	MUST(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx));
	printf("statx: %o, %d\n", stx.stx_mode, (int)stx.stx_size);
	MUST(stat(path, &st));
	MUST(fstat(fd, &own));
	printf("stat: %d\n", st.st_ino == own.st_ino && st.st_dev == own.st_dev);
	printf("access: %s, %s\n", err(access(path, R_OK)), err(access(path, X_OK)));
	printf("no following: %s\n", err(open(path, O_RDONLY | O_NOFOLLOW)));
	close(again);
	dir = MUST(open("/proc/self/map_files", O_RDONLY | O_DIRECTORY));
	again = openat(dir, strrchr(path, '/') + 1, O_RDONLY);
	printf("relative: %s\n", err(again));
	close(again);
	close(dir);
	MUST(unlink("file"));
	close(fd);
	again = open(path, O_RDONLY);
	printf("deleted: %s", err(again));
	memset(buf, 0, sizeof(buf));
	printf(", %zd %s\n", read(again, buf, 14), buf);
	close(again);
	MUST(munmap(a, PAGE));
	printf("cut: %s", err(readlink(path, buf, sizeof(buf))));
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)a + PAGE,
		 (long)a + 2 * PAGE);
	printf(", the rest: %s\n", err(readlink(path, buf, 5)));
	printf("to nowhere: %s, no room: %s\n", err(syscall(SYS_readlink, path, 8, 10)),
	       err(syscall(SYS_readlink, path, buf, 0)));
}

static void own_program(void)
{
	char line[512], path[64];
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end;

	MUST(fgets(line, sizeof(line), f) ? 0 : -1);
	fclose(f);
	sscanf(line, "%lx-%lx", &start, &end);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", start, end);
	printf("own program: read %s, write %s\n", err(open(path, O_RDONLY)),
	       err(open(path, O_WRONLY)));
	if (!split()) {
		int st;
		pid_t child = getppid();

		snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", child, start, end);
		printf("the parent's: %s\n", err(open(path, O_RDONLY)));
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			puts("not root");
		printf("as nobody: %s, %s\n", err(open(path, O_RDONLY)),
		       err(readlink(path, line, sizeof(line))));
		snprintf(path, sizeof(path), "/proc/%d/map_files", child);
		printf("as nobody, list: %s\n", err(open(path, O_RDONLY)));
		(void)st;
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void ended(void)
{
	int fd;
	pid_t pid = split();
	char path[64], buf[512];

	if (!pid) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/map_files", pid);
	fd = MUST(open(path, O_RDONLY));
	kill(pid, SIGKILL);
	wait_for(pid);
	printf("ended: %s\n", err(syscall(SYS_getdents64, fd, buf, sizeof(buf))));
	close(fd);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	listing();
	small_buffers();
	opening();
	own_program();
	ended();
	return 0;
}
