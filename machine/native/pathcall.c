/* SPDX-License-Identifier: MIT */
/*
 * pathcall.c - system calls whose path leads to a file of /proc that the machine answers for.
 *
 * A look at the first bytes decides for nearly all: an absolute path that does not begin with
 * /proc or /sys is the host's. A relative one may be ours only if its last part is the name of such a file;
 * then the directory it starts from is asked for.
 *
 *   opening      a descriptor of procfile.c, or of the program for .../exe
 *   .../exe      is the guest's program, not the host's: also for stat, readlink, access
 *   .../map_files/START-END
 *                is the file that is mapped there, or the link (mapfiles.c)
 *   .../fd/N     is hidden if N is the machine's
 *   sys/vm/NAME  is not there if the machine has no such variable
 */
#include <quire/mm.h>
#include <quire/sprintf.h>

#include "procfile.h"

#define AT_SYMLINK_NOFOLLOW 0x100
#define HOST_O_NOFOLLOW 0400000
/* Offsets in struct statx. */
#define STATX_NLINK 16
#define STATX_MODE 28
#define STATX_INO 32
#define STATX_SIZE 40
#define PATH_SIZE (2 * HC_PATH_MAX)

enum path_use {
	USE_OPEN,
	USE_STAT,
	USE_STATX,
	USE_READLINK,
	USE_ACCESS
};

/* A call with a path, its arguments found. */
struct pathcall {
	struct native_task *t;
	const unsigned long *args;
	enum path_use use;
	bool nofollow;
	bool slash; /* at the end of the path: what is no directory is none */
	int dirfd;
	unsigned long path; /* guest address */
	unsigned long flags; /* of open(), or AT_* */
	unsigned long mode; /* of open(), access() */
	unsigned int out; /* number of the argument with the buffer */
};

/* ---- Which calls, and what their arguments are ------------------------------------------- */

static bool decode_open(struct pathcall *c, unsigned long nr)
{
	const unsigned long *a = c->args;
	u64 how[2] = { 0, 0 };

	c->use = USE_OPEN;
	switch (nr) {
	case __NR_open:
		c->path = a[0];
		c->flags = a[1];
		c->mode = a[2];
		break;
	case __NR_openat:
		c->dirfd = (int)a[0];
		c->path = a[1];
		c->flags = a[2];
		c->mode = a[3];
		break;
	case __NR_openat2:
		c->dirfd = (int)a[0];
		c->path = a[1];
		if (copy_from_mm(c->t->task.mm, how, a[2], sizeof(how)))
			return false;
		c->flags = how[0];
		c->mode = how[1];
		break;
	default:
		return false;
	}
	c->nofollow = c->flags & HOST_O_NOFOLLOW;
	return true;
}

static bool decode(struct pathcall *c, unsigned long nr)
{
	const unsigned long *a = c->args;
	/* The calls that begin with a directory's descriptor. */
	bool at = nr == __NR_newfstatat || nr == __NR_statx || nr == __NR_readlinkat ||
		  nr == __NR_faccessat || nr == __NR_faccessat2;

	if (at)
		c->dirfd = (int)a[0];
	c->path = a[at];
	c->out = 1 + at;
	switch (nr) {
	case __NR_lstat:
		c->flags = AT_SYMLINK_NOFOLLOW;
		c->use = USE_STAT;
		break;
	case __NR_stat:
		c->use = USE_STAT;
		break;
	case __NR_newfstatat:
		c->flags = a[3];
		c->use = USE_STAT;
		break;
	case __NR_statx:
		c->flags = a[2];
		c->out = 4;
		c->use = USE_STATX;
		break;
	case __NR_readlink:
	case __NR_readlinkat:
		c->use = USE_READLINK;
		break;
	case __NR_faccessat2:
		c->flags = a[3];
		c->mode = a[2];
		c->use = USE_ACCESS;
		break;
	case __NR_access:
	case __NR_faccessat:
		c->mode = a[1 + at];
		c->use = USE_ACCESS;
		break;
	default:
		return decode_open(c, nr);
	}
	c->nofollow = c->flags & AT_SYMLINK_NOFOLLOW;
	return true;
}

/* ---- Paths ------------------------------------------------------------------------------- */

static bool starts_with_proc(const char *path)
{
	return !strncmp(path, "/proc", 5) && (path[5] == '/' || !path[5]);
}

/* The processors: sysconf() and others read them there. By absolute path only. */
static bool is_cpu_list(const char *path)
{
	const char *name = path + sizeof(SYS_CPU_DIR) - 1;

	if (strncmp(path, SYS_CPU_DIR, sizeof(SYS_CPU_DIR) - 1))
		return false;
	return !strcmp(name, "online") || !strcmp(name, "possible") || !strcmp(name, "present");
}

static bool is_range(const char *name)
{
	while ((*name >= '0' && *name <= '9') || (*name >= 'a' && *name <= 'f'))
		name++;
	return *name == '-';
}

/* Whether a file of ours, or a descriptor's link, may have this name. */
static bool may_be_ours(const char *name)
{
	static const char *const names[] = {
		"auxv",	       "buddyinfo",  "clear_refs",   "cmdline",
		"comm",	       "cpuinfo",    "environ",	     "exe",
		"fd",	       "fdinfo",     "iomem",	     "kpagecgroup",
		"kpagecount",  "kpageflags", "limits",	     "loadavg",
		"map_files",   "maps",	     "mem",	     "meminfo",
		"numa_maps",   "oom_adj",    "oom_score",    "oom_score_adj",
		"page_tables", "pagemap",    "pagetypeinfo", "shm",
		"slabinfo",    "smaps",	     "smaps_rollup", "stat",
		"statm",       "status",     "swaps",	     "vmallocinfo",
		"vmstat",      "zoneinfo",
	};
	unsigned long fd;

	if (is_range(name)) /* in map_files */
		return true;
	if (*name >= '0' && *name <= '9')
		return !kstrtoul(name, 10, &fd) && fd <= INT_MAX && native_fd_reserved(fd);
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return proc_is_sysctl_name(name);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Text only: no links are followed, and "/.." at the top stays there. */
static void normalise(char *path)
{
	char *from = path, *to = path;

	while (*from) {
		size_t n = 0;

		while (*from == '/')
			from++;
		while (from[n] && from[n] != '/')
			n++;
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = '\0';
}

/* Puts the directory that dirfd means in front of the path in buf; false if that is not in /proc. */
static bool prepend_directory(int dirfd, char *buf, size_t len)
{
	char dir[PROC_PATH_MAX], link[48];
	long n;

	if (dirfd == HOST_AT_FDCWD) {
		n = host_syscall(__NR_getcwd, dir, sizeof(dir)) - 1;
	} else {
		snprintf(link, sizeof(link), "/proc/thread-self/fd/%d",
			 (int)hc_fd((unsigned long)dirfd));
		n = host_syscall(__NR_readlink, link, dir, sizeof(dir));
	}
	if (n <= 0 || n >= (long)sizeof(dir))
		return false;
	dir[n] = '\0';
	if (!starts_with_proc(dir))
		return false;
	memmove(buf + n + 1, buf, len + 1);
	memcpy(buf, dir, (size_t)n);
	buf[n] = '/';
	return true;
}

/* The path of the call, absolute and normalised, in memory of mem; NULL: not ours. */
static char *proc_path(struct pathcall *c, struct hc_mem *mem)
{
	struct mm_struct *mm = c->t->task.mm;
	char head[8];
	char *path;
	long n = strncpy_from_mm(mm, head, c->path, 6);

	if (n <= 0 || (head[0] == '/' &&
		       (n < 5 || (memcmp(head, "/proc", 5) != 0 && memcmp(head, "/sys/", 5) != 0))))
		return NULL;
	path = hc_alloc(mem, PATH_SIZE);
	if (!path)
		return NULL;
	n = strncpy_from_mm(mm, path, c->path, HC_PATH_MAX - PROC_PATH_MAX);
	if (n <= 0 || n == (long)(HC_PATH_MAX - PROC_PATH_MAX))
		return NULL;
	path[n] = '\0';
	if (path[0] != '/' &&
	    (!may_be_ours(last_part(path)) || !prepend_directory(c->dirfd, path, (size_t)n)))
		return NULL;
	c->slash = path[strlen(path) - 1] == '/';
	normalise(path);
	if (strlen(path) >= PROC_PATH_MAX - 16)
		return NULL;
	return starts_with_proc(path) || is_cpu_list(path) ? path : NULL;
}

/* "self" becomes a number, as the path may be used by another process later. */
static void name_pid(struct native_task *t, char *path)
{
	char rest[PROC_PATH_MAX];

	if (!strncmp(path, "/proc/self/", 11)) {
		strscpy(rest, path + 11, sizeof(rest));
		snprintf(path, PROC_PATH_MAX, "/proc/%d/%s", t->task.tgid, rest);
	} else if (!strncmp(path, "/proc/thread-self/", 18)) {
		strscpy(rest, path + 18, sizeof(rest));
		snprintf(path, PROC_PATH_MAX, "/proc/%d/task/%d/%s", t->task.tgid, t->task.pid,
			 rest);
	}
}

/* ---- /proc/<pid>/exe --------------------------------------------------------------------- */

static long exe_of(pid_t pid, char *buf, size_t size)
{
	struct mm_struct *mm = get_task_mm(pid);
	long ret = -ENOENT;

	if (!mm)
		return -ENOENT;
	down_read(&mm->mmap_lock);
	if (mm->exe_file)
		ret = strscpy(buf, mm->exe_file->f_path, size) < 0 ? -ENAMETOOLONG : 0;
	up_read(&mm->mmap_lock);
	mmput(mm);
	return ret;
}

long native_exe_path(struct native_task *t, const char *path, char *buf, size_t size)
{
	enum proc_kind kind;
	char copy[64];
	pid_t pid;

	if (!starts_with_proc(path) || strscpy(copy, path, sizeof(copy)) < 0)
		return -ENOENT;
	normalise(copy);
	kind = proc_lookup(copy, &t->task, &pid);
	return kind == PROC_PID_EXE ? exe_of(pid, buf, size) : -ENOENT;
}

static long copy_out(struct pathcall *c, long ret, const void *src, size_t n)
{
	if (ret < 0)
		return ret;
	return copy_to_mm(c->t->task.mm, c->args[c->out], src, n) ? -EFAULT : ret;
}

static long answer_readlink(struct pathcall *c, const char *target)
{
	size_t n = min(strlen(target), c->args[c->out + 1]);

	return (int)c->args[c->out + 1] <= 0 ? -EINVAL : copy_out(c, (long)n, target, n);
}

/* The call on the host's file at path instead. runs: a program that runs. */
static long call_on(struct pathcall *c, const char *path, bool runs)
{
	u8 statbuf[256] __aligned(8);
	unsigned long flags = c->flags;
	long ret;

	switch (c->use) {
	case USE_OPEN:
		if (runs && (c->flags & HOST_O_ACCMODE) && !(c->flags & HOST_O_PATH))
			return -ETXTBSY;
		return hc_call(__NR_open, path, c->flags, c->mode);
	case USE_STAT:
		ret = host_syscall(__NR_newfstatat, HOST_AT_FDCWD, path, statbuf, flags);
		return copy_out(c, ret, statbuf, sizeof(struct host_stat));
	case USE_STATX:
		ret = host_syscall(__NR_statx, HOST_AT_FDCWD, path, flags, c->args[3], statbuf);
		return copy_out(c, ret, statbuf, sizeof(statbuf));
	case USE_READLINK:
		return answer_readlink(c, path);
	case USE_ACCESS:
		return flags ? host_syscall(__NR_faccessat2, HOST_AT_FDCWD, path, c->mode, flags)
			     : host_syscall(__NR_access, path, c->mode);
	}
	return SYSCALL_NOT_OURS;
}

static long do_exe(struct pathcall *c, struct hc_mem *mem, pid_t pid)
{
	char *exe;
	long ret;

	if (c->nofollow)
		return SYSCALL_NOT_OURS; /* the link itself: the host's will do */
	exe = hc_alloc(mem, HC_PATH_MAX);
	if (!exe)
		return -ENOMEM;
	ret = exe_of(pid, exe, HC_PATH_MAX);
	return ret ? ret : call_on(c, exe, true);
}

/* ---- /proc/<pid>/map_files --------------------------------------------------------------- */

/* The name of a link in map_files, whose slash is overwritten; NULL: path is none. */
static char *link_in_map_files(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash < path + 10 || memcmp(slash - 10, "/map_files", 10) != 0)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

/* lstat() and its like, of the link. */
static long map_files_link_stat(struct pathcall *c, const char *dir, const char *name,
				const struct file *file)
{
	u8 statxbuf[256] __aligned(8) = { 0 };
	struct host_stat st = { 0 };
	long ret = map_files_lstat(dir, name, file, &st);

	if (c->use == USE_STAT || ret)
		return copy_out(c, ret, &st, sizeof(st));
	ret = host_syscall(__NR_statx, HOST_AT_FDCWD, dir, c->flags, c->args[3], statxbuf);
	*(u32 *)(statxbuf + STATX_NLINK) = (u32)st.st_nlink;
	*(u16 *)(statxbuf + STATX_MODE) = (u16)st.st_mode;
	*(u64 *)(statxbuf + STATX_INO) = st.st_ino;
	*(u64 *)(statxbuf + STATX_SIZE) = (u64)st.st_size;
	return copy_out(c, ret, statxbuf, sizeof(statxbuf));
}

static bool is_exe_of(pid_t pid, const struct file *file)
{
	struct mm_struct *mm = get_task_mm(pid);
	bool same = mm && mm->exe_file && mm->exe_file->f_inode == file->f_inode;

	if (mm)
		mmput(mm);
	return same;
}

static long do_map_files(struct pathcall *c, struct hc_mem *mem, const char *dir, const char *name,
			 pid_t pid)
{
	struct file *file;
	char *target;
	long ret;

	ret = map_files_link(pid, name, &file);
	if (ret)
		return ret;
	target = hc_alloc(mem, HC_PATH_MAX);
	if (c->slash)
		ret = -ENOTDIR;
	else if (!target)
		ret = -ENOMEM;
	else if (c->use == USE_READLINK)
		ret = answer_readlink(c, file->f_path);
	else if (c->nofollow)
		ret = c->use == USE_OPEN ? -ELOOP : map_files_link_stat(c, dir, name, file);
	else
		ret = map_files_target(file, target, HC_PATH_MAX);
	if (!ret && !c->nofollow && c->use != USE_READLINK)
		ret = call_on(c, target, is_exe_of(pid, file));
	fput(file);
	return ret;
}

/* ---- The call ---------------------------------------------------------------------------- */

/* /proc/.../fd/N of the machine's, or the directory itself. */
static bool hidden_fd(const char *path)
{
	const char *name = last_part(path);
	size_t dir = (size_t)(name - path);
	unsigned long fd;

	if (dir < 4 ||
	    (memcmp(name - 4, "/fd/", 4) != 0 && (dir < 8 || memcmp(name - 8, "/fdinfo/", 8) != 0)))
		return false;
	return !kstrtoul(name, 10, &fd) && fd <= INT_MAX && native_fd_reserved(fd);
}

/* The host has no such file: who may open it, and what stat() tells of it, is as of its neighbour. */
static const char *as_pagemap(char *path)
{
	strscpy(strrchr(path, '/'), "/pagemap", sizeof("/pagemap"));
	return path;
}

static pid_t group_of(pid_t pid)
{
	struct task_struct *task;
	pid_t tgid;

	spin_lock(&tasklist_lock);
	task = find_task_by_pid(pid);
	tgid = task ? task->tgid : pid;
	spin_unlock(&tasklist_lock);
	return tgid;
}

static long open_ours(struct pathcall *c, char *path, enum proc_kind kind, pid_t pid)
{
	if (c->flags & HOST_O_PATH)
		return SYSCALL_NOT_OURS;
	switch (kind) {
	case PROC_PID_COMM: /* the host is kept up to date with names */
		return SYSCALL_NOT_OURS;
	case PROC_PID_OOM_SCORE_ADJ:
	case PROC_PID_OOM_ADJ:
		name_pid(c->t, path);
		return proc_oom_file_open(path, kind, group_of(pid), c->flags);
	case PROC_PID_MAP_FILES:
		proc_dir_opened();
		return SYSCALL_NOT_OURS;
	case PROC_PID_MEM:
	case PROC_PID_PAGEMAP:
	case PROC_KPAGECOUNT:
	case PROC_KPAGEFLAGS:
	case PROC_KPAGECGROUP:
		proc_mem_opened();
		return SYSCALL_NOT_OURS;
	default:
		break;
	}
	if (c->flags & HOST_O_ACCMODE && !proc_is_writable(kind))
		return SYSCALL_NOT_OURS; /* not permitted, for all of them */
	name_pid(c->t, path);
	return proc_file_open(c->t, path, kind, pid, c->flags);
}

static long do_pathcall(struct pathcall *c, struct hc_mem *mem)
{
	char *path = proc_path(c, mem), *name;
	enum proc_kind kind;
	pid_t pid = 0;

	if (!path)
		return SYSCALL_NOT_OURS;
	if (hidden_fd(path))
		return -ENOENT;
	name = link_in_map_files(path);
	if (name)
		return proc_lookup(path, &c->t->task, &pid) == PROC_PID_MAP_FILES
			       ? do_map_files(c, mem, path, name, pid)
			       : -ENOENT;
	kind = is_cpu_list(path) ? SYS_CPU_LIST : proc_lookup(path, &c->t->task, &pid);
	if (kind == PROC_NONE && !strncmp(path, SYS_VM_DIR "/", sizeof(SYS_VM_DIR)))
		return -ENOENT; /* not built, whatever the host has */
	if (c->slash && kind != PROC_NONE && kind != PROC_PID_MAP_FILES)
		return SYSCALL_NOT_OURS;
	if (kind == PROC_PID_EXE)
		return do_exe(c, mem, pid);
	if (kind == PROC_PID_PAGE_TABLES && c->use != USE_OPEN)
		return call_on(c, as_pagemap(path), false);
	if (c->use != USE_OPEN)
		return SYSCALL_NOT_OURS;
	if (kind != PROC_NONE)
		return open_ours(c, path, kind, pid);
	if (!strcmp(last_part(path), "fd") || !strcmp(last_part(path), "fdinfo") ||
	    !strcmp(path, SYS_VM_DIR))
		proc_dir_opened();
	return SYSCALL_NOT_OURS;
}

static long before_read(struct native_task *t, unsigned long fd, loff_t pos)
{
	long ret = proc_file_before_read(t, fd, pos);

	return ret ? ret : SYSCALL_NOT_OURS;
}

static long before_transfer(struct native_task *t, unsigned long fd, unsigned long uoff)
{
	loff_t pos = -1;

	if (uoff && copy_from_mm(t->task.mm, &pos, uoff, sizeof(pos)))
		return SYSCALL_NOT_OURS;
	return before_read(t, fd, pos);
}

long pathcall_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct pathcall c = { .t = t, .args = args, .dirfd = HOST_AT_FDCWD };
	struct hc_mem mem;
	long ret;

	switch (nr) {
	case __NR_read:
	case __NR_readv:
		ret = proc_mem_rw(t, nr, args);
		return ret == SYSCALL_NOT_OURS ? before_read(t, args[0], -1) : ret;
	case __NR_pread64:
	case __NR_preadv:
	case __NR_preadv2:
		ret = proc_mem_rw(t, nr, args);
		return ret == SYSCALL_NOT_OURS ? before_read(t, args[0], (loff_t)args[3]) : ret;
	case __NR_sendfile:
		return before_transfer(t, args[1], args[2]);
	case __NR_splice:
	case __NR_copy_file_range:
		return before_transfer(t, args[0], args[1]);
	case __NR_write:
	case __NR_writev:
	case __NR_pwrite64:
	case __NR_pwritev:
	case __NR_pwritev2:
		ret = proc_mem_rw(t, nr, args);
		if (ret == SYSCALL_NOT_OURS)
			ret = proc_file_write(t, nr, args);
		return ret == SYSCALL_NOT_OURS ? proc_oom_file_write(t, nr, args) : ret;
	case __NR_getdents64:
		return proc_dir_getdents(t, args);
	case __NR_open:
	case __NR_openat:
	case __NR_openat2:
	case __NR_stat:
	case __NR_lstat:
	case __NR_newfstatat:
	case __NR_statx:
	case __NR_readlink:
	case __NR_readlinkat:
	case __NR_access:
	case __NR_faccessat:
	case __NR_faccessat2:
		break;
	default:
		return SYSCALL_NOT_OURS;
	}
	if (!decode(&c, nr))
		return SYSCALL_NOT_OURS;
	hc_mem_init(&mem);
	ret = do_pathcall(&c, &mem);
	hc_mem_free(&mem);
	return ret;
}
