/* SPDX-License-Identifier: MIT */
/*
 * procfile.c - open files under /proc, and a few under /sys, whose text is ours.
 *
 * The descriptor is that of a host memfd, empty at first as files there are. Its text is made when
 * it is read from the beginning:
 *
 *   proc_files[ino % N] = { ino of the memfd, kind, pid, path }
 *
 * An entry may be overwritten by a later file's: that one is read as it was last, then. Entries
 * are under proc_files_lock.
 */
#include <quire/mm.h>
#include <quire/sprintf.h>

#include "procfile.h"

#define NR_PROC_FILES 512u
#define SEEK_CUR 1
#define F_GETFL 3
#define MFD_CLOEXEC 1u
#define DIR_PATH_MAX 64
#define HOST_TEXT_FIRST 16384ul
#define HOST_TEXT_MAX (4ul << 20)

struct proc_file_entry {
	u64 dev, ino;
	enum proc_kind kind;
	pid_t pid;
	bool filled;
	char path[PROC_PATH_MAX];
};

static struct proc_file_entry proc_files[NR_PROC_FILES];
static spinlock_t proc_files_lock = SPINLOCK_INIT;
static bool any_proc_file, any_dir, any_oom_file, any_written_file;

/* ---- The host's text --------------------------------------------------------------------- */

/* A buffer of twice the size in place of the full one; NULL: there is none, the old one is kept. */
static char *grow(char *text, size_t size)
{
	char *bigger = size < HOST_TEXT_MAX ? kzalloc(2 * size, GFP_KERNEL) : NULL;

	if (bigger) {
		memcpy(bigger, text, size);
		kfree(text);
	}
	return bigger;
}

/* The whole of a host file, from kmalloc; NULL and *len 0 if it cannot be had. */
static char *read_host_file(const char *path, size_t *len)
{
	long fd = host_syscall(__NR_open, path, HOST_O_CLOEXEC, 0), n = 0;
	size_t room = HOST_TEXT_FIRST;
	char *text, *bigger;

	*len = 0;
	if (fd < 0)
		return NULL;
	text = kzalloc(room, GFP_KERNEL);
	while (text && (n = host_syscall(__NR_read, fd, text + *len, room - *len)) > 0) {
		*len += (size_t)n;
		if (*len < room)
			continue;
		bigger = grow(text, room);
		if (!bigger)
			break;
		text = bigger;
		room *= 2;
	}
	host_syscall(__NR_close, fd);
	return text;
}

/*
 * Of the host's mappings only the last can matter, [vsyscall], and it never changes: the list may be
 * long, so it is read once.
 */
static char *last_mapping(size_t *len)
{
	static char line[128];
	static u32 known;
	size_t total, start;
	char *text;

	if (!smp_load_acquire(&known)) {
		text = read_host_file("/proc/self/maps", &total);
		for (start = total ? total - 1 : 0; text && start && text[start - 1] != '\n';
		     start--)
			;
		if (text && total - start < sizeof(line))
			memcpy(line, text + start, total - start);
		kfree(text);
		smp_store_release(&known, 1);
	}
	*len = strnlen(line, sizeof(line));
	return kstrdup(line, GFP_KERNEL);
}

static char *host_text(const struct proc_file_entry *e, size_t *len)
{
	*len = 0;
	switch (e->kind) {
	case PROC_PID_MAPS:
	case PROC_PID_SMAPS:
		return last_mapping(len);
	case PROC_STAT:
	case PROC_CPUINFO:
	case PROC_LOADAVG:
	case PROC_PID_STATUS:
	case PROC_PID_STAT:
	case PROC_PID_LIMITS:
		return read_host_file(e->path, len);
	default:
		return NULL;
	}
}

/* ---- Making the text --------------------------------------------------------------------- */

static long write_text(unsigned long fd, const char *text, size_t len)
{
	char link[48];
	long w, n;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", (int)fd);
	w = host_syscall(__NR_open, link, HOST_O_WRONLY | HOST_O_CLOEXEC, 0);
	if (w < 0)
		return w;
	n = host_syscall(__NR_pwrite64, w, text, len, 0);
	if (n >= 0)
		n = host_syscall(__NR_ftruncate, w, len);
	host_syscall(__NR_close, w);
	return n;
}

static long cpu_list_fill(unsigned long fd)
{
	unsigned int last = machine_nr_cpus() - 1;
	char text[16];
	int len = last ? scnprintf(text, sizeof(text), "0-%u\n", last)
		       : scnprintf(text, sizeof(text), "0\n");

	return write_text(fd, text, (size_t)len);
}

static long proc_text_fill(unsigned long fd, const struct proc_file_entry *e)
{
	size_t host_len, len;
	char *host = host_text(e, &host_len), *text;
	long ret = proc_generate(e->kind, e->pid, host, host_len, &text, &len);

	kfree(host);
	if (ret)
		return ret;
	ret = write_text(fd, text, len);
	proc_free(text, len);
	return ret;
}

static long proc_file_fill(unsigned long fd, const struct proc_file_entry *e)
{
	if (e->kind == SYS_CPU_LIST)
		return cpu_list_fill(fd);
	return proc_text_fill(fd, e);
}

/* The entry of the memfd; *e is a copy. first: nothing has been read yet; from now on it has. */
static bool find_entry(const struct host_stat *st, struct proc_file_entry *e, bool *first)
{
	struct proc_file_entry *slot = &proc_files[st->st_ino % NR_PROC_FILES];
	bool found;

	spin_lock(&proc_files_lock);
	found = slot->ino == st->st_ino && slot->dev == st->st_dev;
	if (found) {
		*e = *slot;
		*first = !slot->filled;
		slot->filled = true;
	}
	spin_unlock(&proc_files_lock);
	return found;
}

long proc_file_before_read(struct native_task *t, unsigned long fd, loff_t pos)
{
	struct proc_file_entry e;
	struct host_stat st = { 0 };
	bool first;
	long ret;

	(void)t;
	if (!READ_ONCE(any_proc_file) || host_syscall(__NR_fstat, hc_fd(fd), &st) ||
	    !HOST_S_ISREG(st.st_mode) || st.st_nlink || !find_entry(&st, &e, &first))
		return 0;
	if (pos < 0)
		pos = host_syscall(__NR_lseek, fd, 0, SEEK_CUR);
	if (pos && !first)
		return 0;
	ret = proc_file_fill(fd, &e);
	return ret < 0 ? ret : 0;
}

/* ---- Opening ----------------------------------------------------------------------------- */

static void remember(long fd, const char *path, enum proc_kind kind, pid_t pid)
{
	struct proc_file_entry *slot;
	struct host_stat st = { 0 };

	if (host_syscall(__NR_fstat, fd, &st))
		return;
	slot = &proc_files[st.st_ino % NR_PROC_FILES];
	spin_lock(&proc_files_lock);
	slot->dev = st.st_dev;
	slot->ino = st.st_ino;
	slot->kind = kind;
	slot->pid = pid;
	slot->filled = false;
	strscpy(slot->path, path, sizeof(slot->path));
	spin_unlock(&proc_files_lock);
	WRITE_ONCE(any_proc_file, true);
}

/* An empty memfd, opened as flags say, under the lowest number that is free. */
static long open_memfd(unsigned long flags)
{
	unsigned long cloexec = flags & HOST_O_CLOEXEC;
	long fd = host_syscall(__NR_memfd_create, "proc", cloexec ? MFD_CLOEXEC : 0), again, ret;
	char link[48];

	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", (int)fd);
	again = host_syscall(__NR_open, link, (flags & HOST_O_ACCMODE) | HOST_O_CLOEXEC, 0);
	if (again < 0)
		return fd;
	ret = host_syscall(__NR_dup3, again, fd, cloexec);
	host_syscall(__NR_close, again);
	return ret < 0 ? ret : fd;
}

long proc_file_open(struct native_task *t, const char *path, enum proc_kind kind, pid_t pid,
		    unsigned long flags)
{
	char host[PROC_PATH_MAX];
	long fd;

	(void)t;
	/* Whether it may be opened is the host's to say. Of what it does not have, it is asked for a neighbour. */
	strscpy(host, path, sizeof(host));
	if (kind == PROC_PID_PAGE_TABLES)
		strscpy(strrchr(host, '/'), "/pagemap", sizeof("/pagemap"));
	fd = host_syscall(__NR_open, host, flags | HOST_O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	host_syscall(__NR_close, fd);
	fd = open_memfd(flags);
	if (fd >= 0)
		remember(fd, path, kind, pid);
	if (fd >= 0 && (flags & HOST_O_ACCMODE))
		WRITE_ONCE(any_written_file, true);
	return fd;
}

/* ---- Writing ----------------------------------------------------------------------------- */

/* The first page of what is written has all that counts. */
static long write_to_kind(const struct proc_file_entry *e, struct hostio *io,
			  const struct host_iovec *iov, unsigned int nr)
{
	long fd = hc_fd((unsigned long)io->fd), ret;
	u64 pos = io->has_pos ? (u64)io->pos : (u64)host_syscall(__NR_lseek, fd, 0, SEEK_CUR);
	char *text = (char *)__get_free_pages(GFP_KERNEL, 0);
	struct uiter it;
	size_t total, n;

	if (!text)
		return -ENOMEM;
	uiter_init(&it, iov, nr);
	total = it.left;
	n = min(total, PAGE_SIZE);
	ret = uiter_from_user(&it, io->t->task.mm, text, n) == n
		      ? proc_write(e->kind, e->pid, pos, text, n)
		      : -EFAULT;
	free_page((unsigned long)text);
	if (ret < 0)
		return ret;
	ret += (long)(total - n);
	if (!io->has_pos)
		host_syscall(__NR_lseek, fd, ret, SEEK_CUR);
	return ret;
}

long proc_file_write(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct host_iovec *iov = NULL;
	struct host_stat st = { 0 };
	struct proc_file_entry e;
	struct hostio io;
	struct hc_mem mem;
	bool first;
	long ret;

	if (!READ_ONCE(any_written_file) || host_syscall(__NR_fstat, hc_fd(args[0]), &st) ||
	    !HOST_S_ISREG(st.st_mode) || st.st_nlink || !find_entry(&st, &e, &first) ||
	    !proc_is_writable(e.kind) ||
	    !(host_syscall(__NR_fcntl, hc_fd(args[0]), F_GETFL) & HOST_O_ACCMODE))
		return SYSCALL_NOT_OURS;
	hc_mem_init(&mem);
	ret = hostio_import(t, &mem, nr, args, &io, &iov);
	if (ret >= 0 && io.has_pos && io.pos < 0)
		ret = -EINVAL;
	if (ret >= 0)
		ret = write_to_kind(&e, &io, iov, (unsigned int)ret);
	hc_mem_free(&mem);
	return ret;
}

/* ---- oom_score_adj and oom_adj ----------------------------------------------------------- */

/*
 * Who may set them, to what, is the host's to decide, whose files they are: it is as fond of the
 * process as the guest wants our OOM killer to be. We look what it is afterwards.
 */
void proc_oom_adj_changed(pid_t tgid)
{
	struct task_struct *task;
	char path[32], text[16];
	long fd, n, adj = 0;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", tgid);
	fd = host_syscall(__NR_open, path, HOST_O_CLOEXEC, 0);
	if (fd < 0)
		return;
	n = host_syscall(__NR_read, fd, text, sizeof(text) - 1);
	host_syscall(__NR_close, fd);
	text[max(n, 0L)] = '\0';
	if (text[0] == '-')
		adj = -(long)simple_strtoul(text + 1, NULL, 10);
	else
		adj = (long)simple_strtoul(text, NULL, 10);
	spin_lock(&tasklist_lock);
	task = find_group_leader(tgid);
	if (task)
		task->signal->oom_score_adj = (s16)clamp(adj, -1000L, 1000L);
	spin_unlock(&tasklist_lock);
}

long proc_oom_file_open(const char *path, enum proc_kind kind, pid_t tgid, unsigned long flags)
{
	long fd = host_syscall(__NR_open, path, flags, 0);

	if (fd >= 0 && (flags & HOST_O_ACCMODE)) {
		remember(fd, path, kind, tgid);
		WRITE_ONCE(any_oom_file, true);
	}
	return fd;
}

long proc_oom_file_write(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	struct host_stat st = { 0 };
	struct proc_file_entry e;
	bool first;
	long ret;

	if (!READ_ONCE(any_oom_file) || host_syscall(__NR_fstat, hc_fd(args[0]), &st) ||
	    !find_entry(&st, &e, &first) ||
	    (e.kind != PROC_PID_OOM_SCORE_ADJ && e.kind != PROC_PID_OOM_ADJ))
		return SYSCALL_NOT_OURS;
	ret = hostcall(t, nr, args);
	if (ret > 0)
		proc_oom_adj_changed(e.pid);
	return ret;
}

/* ---- Directories that are not shown as they are ------------------------------------------- */

void proc_dir_opened(void)
{
	WRITE_ONCE(any_dir, true);
}

enum dir_kind {
	DIR_OTHER,
	DIR_FD, /* of descriptors */
	DIR_SYS_VM,
	DIR_MAP_FILES,
};

/* target: room for the path. */
static enum dir_kind dir_kind(unsigned long fd, char *target)
{
	char link[48];
	long n;

	snprintf(link, sizeof(link), "/proc/thread-self/fd/%d", (int)fd);
	n = host_syscall(__NR_readlink, link, target, DIR_PATH_MAX - 1);
	if (n < 9 || strncmp(target, "/proc/", 6))
		return DIR_OTHER;
	target[n] = '\0';
	if (!strcmp(target, SYS_VM_DIR))
		return DIR_SYS_VM;
	if (n > 10 && !strcmp(target + n - 10, "/map_files"))
		return DIR_MAP_FILES;
	if (!strcmp(target + n - 3, "/fd") || !strcmp(target + n - 7, "/fdinfo"))
		return DIR_FD;
	return DIR_OTHER;
}

static bool is_hidden_name(enum dir_kind kind, const char *name)
{
	unsigned long fd;

	if (kind == DIR_SYS_VM)
		return name[0] != '.' && !proc_is_sysctl_name(name);
	return !kstrtoul(name, 10, &fd) && fd <= INT_MAX && native_fd_reserved(fd);
}

/* Bytes that remain of n. */
static size_t drop_hidden(enum dir_kind kind, u8 *buf, size_t n)
{
	size_t from = 0, to = 0;

	while (from < n) {
		struct dirent64 *d = (struct dirent64 *)(buf + from);
		size_t len = d->reclen;

		from += len;
		if (is_hidden_name(kind, d->name))
			continue;
		memmove(buf + to, d, len);
		to += len;
	}
	return to;
}

long proc_dir_getdents(struct native_task *t, const unsigned long *args)
{
	size_t size = min((size_t)(u32)args[2], 32768ul);
	enum dir_kind kind = DIR_OTHER;
	char path[DIR_PATH_MAX];
	struct hc_mem mem;
	long ret;
	u8 *buf;

	if (READ_ONCE(any_dir) && !native_fd_reserved(args[0]))
		kind = dir_kind(args[0], path);
	if (kind == DIR_OTHER)
		return SYSCALL_NOT_OURS;
	hc_mem_init(&mem);
	buf = hc_alloc(&mem, size);
	if (!buf)
		return -ENOMEM;
	do {
		size_t n;

		if (kind == DIR_MAP_FILES) {
			ret = map_files_getdents(t, path, args[0], buf, size);
			break;
		}
		ret = host_syscall(__NR_getdents64, args[0], buf, size);
		if (ret <= 0)
			break;
		n = drop_hidden(kind, buf, (size_t)ret);
		ret = (long)n;
	} while (!ret);
	if (ret > 0 && copy_to_mm(t->task.mm, args[1], buf, (size_t)ret))
		ret = -EFAULT;
	hc_mem_free(&mem);
	return ret;
}
