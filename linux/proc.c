/* SPDX-License-Identifier: MIT */
/*
 * /proc: which text a path names, and the text, made fresh at each read.
 *
 *   /proc/meminfo                 system_files[]
 *   /proc/self/maps               self, thread-self or a number, then pid_files[]
 *   /proc/123/task/124/status
 *
 * Only tasks of the machine are found; every other path is the host's. What a text says of an
 * address space is read with a reference on the mm and under its mmap_lock, so any process may ask
 * about any other, also while that one exits.
 */
#include "ipc.h"
#include "proc.h"
#include "sysctl.h"

#include <quire/kernel.h>
#include <quire/string.h>
#include <quire/vmalloc.h>

struct proc_file {
	const char *name;
	enum proc_kind kind;
};

static const struct proc_file system_files[] = {
	{ "meminfo", PROC_MEMINFO },
	{ "vmstat", PROC_VMSTAT },
	{ "buddyinfo", PROC_BUDDYINFO },
	{ "stat", PROC_STAT },
	{ "cpuinfo", PROC_CPUINFO },
	{ "slabinfo", PROC_SLABINFO },
	{ "loadavg", PROC_LOADAVG },
	{ "zoneinfo", PROC_ZONEINFO },
	{ "sysvipc/shm", PROC_SYSVIPC_SHM },
	{ "kpagecount", PROC_KPAGECOUNT },
	{ "kpageflags", PROC_KPAGEFLAGS },
	{ "kpagecgroup", PROC_KPAGECGROUP },
	{ "pagetypeinfo", PROC_PAGETYPEINFO },
	{ "vmallocinfo", PROC_VMALLOCINFO },
	{ "iomem", PROC_IOMEM },
	{ "swaps", PROC_SWAPS },
};

static const struct proc_file pid_files[] = {
	{ "maps", PROC_PID_MAPS },
	{ "smaps", PROC_PID_SMAPS },
	{ "smaps_rollup", PROC_PID_SMAPS_ROLLUP },
	{ "status", PROC_PID_STATUS },
	{ "stat", PROC_PID_STAT },
	{ "statm", PROC_PID_STATM },
	{ "cmdline", PROC_PID_CMDLINE },
	{ "comm", PROC_PID_COMM },
	{ "exe", PROC_PID_EXE },
	{ "auxv", PROC_PID_AUXV },
	{ "environ", PROC_PID_ENVIRON },
	{ "mem", PROC_PID_MEM },
	{ "oom_score", PROC_PID_OOM_SCORE },
	{ "oom_score_adj", PROC_PID_OOM_SCORE_ADJ },
	{ "oom_adj", PROC_PID_OOM_ADJ },
	{ "limits", PROC_PID_LIMITS },
	{ "numa_maps", PROC_PID_NUMA_MAPS },
	{ "page_tables", PROC_PID_PAGE_TABLES },
	{ "clear_refs", PROC_PID_CLEAR_REFS },
	{ "pagemap", PROC_PID_PAGEMAP },
	{ "map_files", PROC_PID_MAP_FILES },
};

static enum proc_kind find_file(const struct proc_file *files, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(files[i].name, name))
			return files[i].kind;
	}
	return PROC_NONE;
}

/* Takes the component `want` and the slash behind it off *path. */
static bool take_component(const char **path, const char *want)
{
	size_t len = strlen(want);

	if (strncmp(*path, want, len) || (*path)[len] != '/')
		return false;
	*path += len + 1;
	return true;
}

/* Takes a pid and the slash behind it off *path; 0: there is none. */
static pid_t take_pid(const char **path)
{
	char *end;
	unsigned long pid = simple_strtoul(*path, &end, 10);

	if (**path < '1' || **path > '9' || *end != '/' || pid > INT_MAX)
		return 0;
	*path = end + 1;
	return (pid_t)pid;
}

/* Whether tid is a thread of tgid; tid 0: whether there is such a group, or a thread of the name. */
static bool task_matches(pid_t tgid, pid_t tid)
{
	struct task_struct *task;
	bool found;

	spin_lock(&tasklist_lock);
	if (tid) {
		task = find_task_by_pid(tid);
		found = task && task->tgid == tgid;
	} else {
		found = find_group_leader(tgid) || find_task_by_pid(tgid);
	}
	spin_unlock(&tasklist_lock);
	return found;
}

enum proc_kind proc_lookup(const char *path, struct task_struct *self, pid_t *pid)
{
	pid_t tgid, tid = 0;

	*pid = 0;
	if (*path != '/')
		return PROC_NONE;
	path++;
	if (!take_component(&path, "proc"))
		return PROC_NONE;
	if (take_component(&path, "sys")) {
		int nr = sysctl_find(path);

		return nr < 0 ? PROC_NONE : (enum proc_kind)(PROC_SYSCTL + nr);
	}
	if (!strchr(path, '/') || !strncmp(path, "sysvipc/", 8))
		return find_file(system_files, ARRAY_SIZE(system_files), path);
	if (take_component(&path, "self")) {
		tgid = self->tgid;
	} else if (take_component(&path, "thread-self")) {
		tgid = self->tgid;
		tid = self->pid;
	} else {
		tgid = take_pid(&path);
	}
	if (tgid && take_component(&path, "task")) {
		tid = take_pid(&path);
		if (!tid)
			return PROC_NONE;
	}
	if (!tgid || !task_matches(tgid, tid))
		return PROC_NONE;
	*pid = tid ?: tgid;
	return find_file(pid_files, ARRAY_SIZE(pid_files), path);
}

/* ---- The task a text is about ----------------------------------------------------------------- */

static bool get_proc_task(pid_t pid, struct proc_task *t)
{
	struct task_struct *task, *thread;

	spin_lock(&tasklist_lock);
	task = find_task_by_pid(pid) ?: find_group_leader(pid);
	if (task) {
		t->pid = task->pid;
		t->tgid = task->tgid;
		t->blocked = task->blocked;
		t->signal = task->signal;
		t->mempolicy = task->mempolicy;
		memcpy(t->comm, task->comm, sizeof(t->comm));
		atomic_inc(&t->signal->count);
		list_for_each_entry(thread, &t->signal->threads, thread_node)
			t->nr_threads++;
	}
	spin_unlock(&tasklist_lock);
	if (task)
		t->mm = get_task_mm(pid);
	return task;
}

static void put_proc_task(struct proc_task *t)
{
	if (t->mm)
		mmput(t->mm);
	signal_put(t->signal);
}

/* ---- The text --------------------------------------------------------------------------------- */

static int show_system(struct seq_file *m, enum proc_kind kind, struct host_text host)
{
	switch (kind) {
	case PROC_MEMINFO:
		meminfo_show(m);
		return 0;
	case PROC_VMSTAT:
		vmstat_show(m);
		return 0;
	case PROC_BUDDYINFO:
		buddyinfo_show(m);
		return 0;
	case PROC_ZONEINFO:
		zoneinfo_show(m);
		return 0;
	case PROC_SYSVIPC_SHM:
		sysvipc_shm_show(m);
		return 0;
	case PROC_VMALLOCINFO:
		vmallocinfo_show(m);
		return 0;
	case PROC_SWAPS:
		swaps_show(m);
		return 0;
	case PROC_IOMEM:
		iomem_show(m);
		return 0;
	case PROC_SLABINFO:
		slabinfo_show(m);
		return 0;
	case PROC_PAGETYPEINFO:
		pagetypeinfo_show(m);
		return 0;
	case PROC_STAT:
		stat_show(m, host);
		return 0;
	case PROC_CPUINFO:
		cpuinfo_show(m, host);
		return 0;
	case PROC_LOADAVG:
		loadavg_show(m, host);
		return 0;
	default:
		return -EINVAL;
	}
}

static int show_pid(struct seq_file *m, enum proc_kind kind, struct proc_task *t,
		    struct host_text host)
{
	switch (kind) {
	case PROC_PID_MAPS:
		pid_maps_show(m, t, host);
		return 0;
	case PROC_PID_SMAPS:
		pid_smaps_show(m, t, host);
		return 0;
	case PROC_PID_SMAPS_ROLLUP:
		pid_smaps_rollup_show(m, t);
		return t->mm ? 0 : -ESRCH;
	case PROC_PID_STATUS:
		pid_status_show(m, t, host);
		return 0;
	case PROC_PID_STAT:
		pid_stat_show(m, t, host);
		return 0;
	case PROC_PID_STATM:
		pid_statm_show(m, t);
		return 0;
	case PROC_PID_CMDLINE:
		pid_cmdline_show(m, t);
		return 0;
	case PROC_PID_ENVIRON:
		pid_environ_show(m, t);
		return 0;
	case PROC_PID_AUXV:
		pid_auxv_show(m, t);
		return 0;
	case PROC_PID_COMM:
		seq_printf(m, "%s\n", t->comm);
		return 0;
	case PROC_PID_EXE:
		if (!t->mm || !t->mm->exe_file)
			return -ENOENT;
		seq_puts(m, t->mm->exe_file->f_path);
		return 0;
	case PROC_PID_LIMITS:
		pid_limits_show(m, t, host);
		return 0;
	case PROC_PID_NUMA_MAPS:
		pid_numa_maps_show(m, t);
		return 0;
	case PROC_PID_PAGE_TABLES:
		pid_page_tables_show(m, t);
		return 0;
	case PROC_PID_OOM_SCORE:
		pid_oom_score_show(m, t);
		return 0;
	case PROC_PID_OOM_SCORE_ADJ:
		seq_printf(m, "%d\n", t->signal->oom_score_adj);
		return 0;
	case PROC_PID_OOM_ADJ:
		pid_oom_adj_show(m, t);
		return 0;
	default:
		return -EINVAL;
	}
}

int proc_generate(enum proc_kind kind, pid_t pid, const char *host, size_t host_len, char **text,
		  size_t *len)
{
	struct host_text host_text = { host, host ? host_len : 0 };
	struct seq_file m = { 0 };
	struct proc_task t = { 0 };
	int err;

	if (kind >= PROC_SYSCTL) {
		err = sysctl_show(&m, kind - PROC_SYSCTL);
	} else if (kind < PROC_PID_MAPS) {
		err = show_system(&m, kind, host_text);
	} else {
		if (!get_proc_task(pid, &t))
			return -ESRCH;
		err = show_pid(&m, kind, &t, host_text);
		put_proc_task(&t);
	}
	if (!err && m.failed)
		err = -ENOMEM;
	if (err) {
		kvfree(m.buf);
		return err;
	}
	*text = m.buf;
	*len = m.count;
	return 0;
}

long proc_write(enum proc_kind kind, pid_t pid, u64 pos, const char *text, size_t len)
{
	struct proc_task t = { 0 };
	long ret;

	if (kind >= PROC_SYSCTL)
		return sysctl_write(kind - PROC_SYSCTL, pos, text, len);
	if (!get_proc_task(pid, &t))
		return -ESRCH;
	ret = pid_clear_refs_write(&t, text, len);
	put_proc_task(&t);
	return ret;
}

void proc_free(char *text, size_t len)
{
	(void)len;
	kvfree(text);
}
