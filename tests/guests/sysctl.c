/* SPDX-License-Identifier: MIT */
/*
 * /proc/sys: what writing numbers to it does. On the host, too, and nothing is changed there: what is valid
 * is the value that stands there already.
 */
#include "guest.h"

#include <dirent.h>
#include <sys/uio.h>

static const char *err(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "ok";
}

static int open_or_say(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0) /* as nobody, or where /proc/sys is read-only */
		printf("%s: %s\n", path, strerrorname_np(errno));
	return fd;
}

static long value(const char *path)
{
	char text[64] = "";
	int fd = MUST(open(path, O_RDONLY));

	MUST(read(fd, text, sizeof(text) - 1));
	close(fd);
	return strtol(text, NULL, 10);
}

static void writing(const char *path)
{
	static const char *const bad[] = {
		"x",   " ", "1x", "--1", "99999999999999999999999", "000000000000000000001",
		"1,2", "-"
	};
	int fd = open_or_say(path, O_RDWR);
	long before = value(path);
	char text[64];
	size_t len;

	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		printf("'%s': %s\n", bad[i], err(pwrite(fd, bad[i], strlen(bad[i]), 0)));
	printf("NUL behind it: %s\n", err(pwrite(fd, "1", 2, 0)));
	len = (size_t)snprintf(text, sizeof(text), " \t%#lx \n", before);
	printf("hexadecimal: %d\n", pwrite(fd, text, len, 0) == (ssize_t)len);
	len = (size_t)snprintf(text, sizeof(text), "%ld 5 6", before);
	printf("more than one: %d\n", pwrite(fd, text, len, 0) == (ssize_t)len - 3);
	printf("behind the beginning: %zd\n", pwrite(fd, "junk", 4, 1));
	printf("nothing: %zd, from nowhere: %s\n", write(fd, "", 0),
	       err(syscall(SYS_pwrite64, fd, 8, 4, 0)));
	printf("at a bad place: %s\n", err(pwrite(fd, "1", 1, -1)));
	len = (size_t)snprintf(text, sizeof(text), "%ld", before);
	{
		struct iovec iov[3] = { { text, 1 }, { NULL, 0 }, { text + 1, len - 1 } };

		printf("in pieces: %d\n", writev(fd, iov, 3) == (ssize_t)len);
	}
	printf("moved: %d, then: %zd\n", lseek(fd, 0, SEEK_CUR) == (off_t)len, write(fd, "x", 1));
	printf("as it was: %d\n", value(path) == before);
	close(fd);
	fd = MUST(open(path, O_RDONLY));
	printf("read-only: %s\n", err(write(fd, "1", 1)));
	close(fd);
	fd = MUST(open(path, O_WRONLY | O_TRUNC));
	printf("write-only: %s\n", err(read(fd, text, 1)));
	close(fd);
}

static void naming(void)
{
	struct stat st;
	struct dirent *d;
	DIR *dir;
	int fd, n = 0;

	printf("none: %s, %s, %s\n", err(open("/proc/sys/vm/no_such", O_RDONLY)),
	       err(stat("/proc/sys/vm/no_such", &st)), err(access("/proc/sys/vm/no_such", F_OK)));
	MUST(stat("/proc/sys/vm/max_map_count", &st));
	printf("mode %o, %d bytes\n", st.st_mode, (int)st.st_size);
	dir = opendir("/proc/sys/vm");
	while ((d = readdir(dir)))
		n += !strcmp(d->d_name, "max_map_count") || !strcmp(d->d_name, "mmap_min_addr");
	printf("listed: %d\n", n);
	fd = openat(dirfd(dir), "max_map_count", O_RDONLY);
	printf("relative: %s\n", err(fd));
	closedir(dir);
	MUST(chdir("/proc/sys/vm"));
	printf("from there: %s, %s\n", err(open("../vm/./max_map_count", O_RDONLY)),
	       err(open("../kernel/shmmni", O_RDONLY)));
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	writing("/proc/sys/vm/max_map_count");
	writing("/proc/sys/kernel/shmmni");
	naming();
	return 0;
}
