/* SPDX-License-Identifier: MIT */
/*
 * mapfiles.c - /proc/<pid>/map_files of guests: links to the files that are mapped.
 *
 * The directory's descriptor is that of the host's own; its position counts entries. Links are made up from
 * the VMAs. To follow one, the file is opened by the path it was mapped under, if that still leads there,
 * else through the keeper, which has a descriptor of every file with cached pages. Segments of shared memory, of
 * which the host knows nothing, cannot be followed.
 */
#include <quire/mm.h>
#include <quire/sprintf.h>

#include "procfile.h"

#define AT_SYMLINK_NOFOLLOW 0x100
#define SEEK_SET 0
#define SEEK_CUR 1
#define DT_DIR 4
#define DT_LNK 10
#define LINK_MODE 0120000u
#define LINK_SIZE 64
#define LIST_PIECE 32
#define NAME_SIZE 40
#define KEEPER_FDS 4096 /* as many are looked at */
#define KEEPER_TRIES 100
#define KEEPER_DELAY_NS 2000000

/* ---- The listing ------------------------------------------------------------------------- */

struct listing {
	u8 *buf;
	size_t used, size;
	u64 pos; /* of the next entry */
};

static bool add_entry(struct listing *l, const char *name, u64 ino, u8 type)
{
	size_t len = sizeof(struct dirent64) + strlen(name) + 1;
	size_t reclen = (len + 7) & ~7ul;
	struct dirent64 *d = (struct dirent64 *)(l->buf + l->used);

	if (reclen > l->size - l->used)
		return false;
	memset(d, 0, reclen);
	*d = (struct dirent64){ ino, (s64)++l->pos, (u16)reclen, type };
	memcpy(d->name, name, strlen(name));
	l->used += reclen;
	return true;
}

/* Any that is not 0 and differs from the others'. */
static u64 link_ino(unsigned long start)
{
	return start >> PAGE_SHIFT | 1ull << 52;
}

/* False: there was one more, but no room for it. */
static bool list_links(struct listing *l, pid_t pid)
{
	struct proc_map_range range[LIST_PIECE];
	char name[NAME_SIZE];
	size_t n = LIST_PIECE;

	while (n == LIST_PIECE) {
		n = proc_map_files_list(pid, l->pos - 2, range, LIST_PIECE);
		for (size_t i = 0; i < n; i++) {
			snprintf(name, sizeof(name), "%lx-%lx", range[i].start, range[i].end);
			if (!add_entry(l, name, link_ino(range[i].start), DT_LNK))
				return false;
		}
	}
	return true;
}

long map_files_getdents(struct native_task *t, const char *dir, unsigned long fd, u8 *buf,
			size_t size)
{
	struct listing l = { .buf = buf, .size = size };
	struct host_stat st = { 0 };
	bool all = true;
	pid_t pid;

	if (proc_lookup(dir, &t->task, &pid) != PROC_PID_MAP_FILES)
		return -ENOENT;
	l.pos = (u64)host_syscall(__NR_lseek, hc_fd(fd), 0, SEEK_CUR);
	host_syscall(__NR_fstat, hc_fd(fd), &st);
	if (l.pos == 0 && !add_entry(&l, ".", st.st_ino, DT_DIR))
		return -EINVAL;
	if (l.pos == 1)
		add_entry(&l, "..", st.st_ino, DT_DIR);
	if (l.pos >= 2)
		all = list_links(&l, pid);
	if (!l.used && !all)
		return -EINVAL;
	host_syscall(__NR_lseek, hc_fd(fd), l.pos, SEEK_SET);
	return (long)l.used;
}

/* ---- Links ------------------------------------------------------------------------------- */

/* Who may not look into the process sees no links. */
static bool may_look_into(pid_t pid)
{
	char path[32], target[8];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return host_syscall(__NR_readlink, path, target, sizeof(target)) != -EACCES;
}

long map_files_link(pid_t pid, const char *name, struct file **file)
{
	return may_look_into(pid) ? proc_map_file(pid, name, file) : -EACCES;
}

static bool leads_to(const char *path, const struct inode *inode)
{
	struct host_stat st = { 0 };

	return !host_syscall(__NR_newfstatat, HOST_AT_FDCWD, path, &st, 0) &&
	       st.st_dev == inode->i_dev && st.st_ino == inode->i_ino;
}

static bool keeper_has(const struct inode *inode, char *buf, size_t size)
{
	for (int fd = 0; fd < KEEPER_FDS; fd++) {
		snprintf(buf, size, "/proc/%d/fd/%d", machine_params.keeper_pid, fd);
		if (leads_to(buf, inode))
			return true;
	}
	return false;
}

long map_files_target(const struct file *file, char *buf, size_t size)
{
	if (!machine_capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (leads_to(file->f_path, file->f_inode))
		return strscpy(buf, file->f_path, size) < 0 ? -ENAMETOOLONG : 0;
	if (file->f_inode->i_kind != INODE_FILE)
		return -ENXIO;
	/* A descriptor that has been sent to the keeper may still be under way. */
	for (int tries = 0; tries < KEEPER_TRIES; tries++) {
		u32 never = 0;

		if (keeper_has(file->f_inode, buf, size))
			return 0;
		machine_wait(&never, 0, KEEPER_DELAY_NS);
	}
	return -ENXIO;
}

long map_files_lstat(const char *dir, const char *name, const struct file *file,
		     struct host_stat *st)
{
	long ret = host_syscall(__NR_newfstatat, HOST_AT_FDCWD, dir, st, AT_SYMLINK_NOFOLLOW);

	st->st_mode = LINK_MODE | (file->f_mode & FMODE_READ ? 0400 : 0) |
		      (file->f_mode & FMODE_WRITE ? 0200 : 0);
	st->st_nlink = 1;
	st->st_ino = link_ino(simple_strtoul(name, NULL, 16));
	st->st_size = LINK_SIZE;
	return ret;
}
