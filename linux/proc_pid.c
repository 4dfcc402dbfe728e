/* SPDX-License-Identifier: MIT */
/*
 * The texts under /proc/<pid> that are about a process, but not about its mappings (proc_maps.c).
 *
 * status, stat and limits are the host's with our lines or fields put in: the host knows the parents,
 * credentials and times of the process that runs the guest, we know its memory and signals.
 */
#include "proc.h"

#include <quire/slab.h>
#include <quire/string.h>

/* ---- status ----------------------------------------------------------------------------------- */

static unsigned long mm_hiwater_rss(struct mm_struct *mm)
{
	return max(READ_ONCE(mm->hiwater_rss), get_mm_rss(mm));
}

/* Bit n-1 for each signal n that has such a handler. */
static u64 handler_mask(struct signal_struct *signal, bool ignored)
{
	u64 mask = 0;

	spin_lock(&signal->siglock);
	for (int sig = 1; sig <= _NSIG; sig++) {
		unsigned long handler = signal->action[sig].handler;

		if (ignored ? handler == 1 : handler > 1)
			mask |= 1ull << (sig - 1);
	}
	spin_unlock(&signal->siglock);
	return mask;
}

static void show_cpu_mask(struct seq_file *m)
{
	unsigned int cpus = machine_nr_cpus();
	u64 mask = cpus >= 64 ? ~0ull : (1ull << cpus) - 1;

	if (cpus > 32)
		seq_printf(m, "%lx,%08lx\n", (unsigned long)(mask >> 32),
			   (unsigned long)(mask & 0xffffffff));
	else
		seq_printf(m, "%lx\n", (unsigned long)mask);
}

static void show_cpu_list(struct seq_file *m)
{
	unsigned int cpus = machine_nr_cpus();

	if (cpus > 1)
		seq_printf(m, "0-%u\n", cpus - 1);
	else
		seq_puts(m, "0\n");
}

/* The value of a "VmXxx:" line in KiB; false: not one of memory. */
static bool status_kb(const struct text_line *line, struct mm_struct *mm, unsigned long *kb)
{
	unsigned long total = READ_ONCE(mm->total_vm), exec = READ_ONCE(mm->exec_vm);
	unsigned long text = min(mm_text_pages(mm), exec);
	const struct {
		const char *key;
		unsigned long pages;
	} values[] = {
		{ "VmPeak:", max(READ_ONCE(mm->hiwater_vm), total) },
		{ "VmSize:", total },
		{ "VmLck:", READ_ONCE(mm->locked_vm) },
		{ "VmPin:", 0 },
		{ "VmHWM:", mm_hiwater_rss(mm) },
		{ "VmRSS:", get_mm_rss(mm) },
		{ "RssAnon:", get_mm_counter(mm, MM_ANONPAGES) },
		{ "RssFile:", get_mm_counter(mm, MM_FILEPAGES) },
		{ "RssShmem:", get_mm_counter(mm, MM_SHMEMPAGES) },
		{ "VmData:", READ_ONCE(mm->data_vm) },
		{ "VmStk:", READ_ONCE(mm->stack_vm) },
		{ "VmExe:", text },
		{ "VmLib:", exec - text },
		{ "VmPTE:", (unsigned long)atomic_long_read(&mm->pgtables_bytes) >> PAGE_SHIFT },
		{ "VmSwap:", get_mm_counter(mm, MM_SWAPENTS) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (line_starts(line, values[i].key)) {
			*kb = values[i].pages << (PAGE_SHIFT - 10);
			return true;
		}
	}
	return false;
}

static bool is_memory_line(const struct text_line *line)
{
	return line_starts(line, "Vm") || line_starts(line, "Rss") ||
	       line_starts(line, "HugetlbPages:");
}

/* The line's key up to and with the colon, and a tab. */
static void show_key(struct seq_file *m, const struct text_line *line)
{
	size_t len = 0;

	while (len < line->len && line->line[len] != ':')
		len++;
	seq_write(m, line->line, len);
	seq_puts(m, ":\t");
}

/* One line: ours if it is about what we know, else the host's. */
static void show_status_line(struct seq_file *m, struct proc_task *t, const struct text_line *line)
{
	unsigned long kb;

	if (is_memory_line(line)) {
		if (!t->mm)
			return;
		if (status_kb(line, t->mm, &kb)) {
			show_key(m, line);
			seq_printf(m, "%8lu kB\n", kb);
			return;
		}
	} else if (line_starts(line, "Name:")) {
		seq_puts(m, "Name:\t");
		seq_escape(m, t->comm, "\n\\");
		seq_puts(m, "\n");
		return;
	} else if (line_starts(line, "Threads:")) {
		seq_printf(m, "Threads:\t%d\n", t->nr_threads);
		return;
	} else if (line_starts(line, "SigBlk:")) {
		seq_printf(m, "SigBlk:\t%016lx\n", (unsigned long)t->blocked);
		return;
	} else if (line_starts(line, "SigIgn:")) {
		seq_printf(m, "SigIgn:\t%016lx\n", (unsigned long)handler_mask(t->signal, true));
		return;
	} else if (line_starts(line, "SigCgt:")) {
		seq_printf(m, "SigCgt:\t%016lx\n", (unsigned long)handler_mask(t->signal, false));
		return;
	} else if (line_starts(line, "Cpus_allowed:")) {
		seq_puts(m, "Cpus_allowed:\t");
		show_cpu_mask(m);
		return;
	} else if (line_starts(line, "Cpus_allowed_list:")) {
		seq_puts(m, "Cpus_allowed_list:\t");
		show_cpu_list(m);
		return;
	}
	seq_write(m, line->line, line->len);
	seq_puts(m, "\n");
}

/* What there is to fill in when the host's text is not at hand. */
static const char status_template[] =
	"Name:\nVmPeak:\nVmSize:\nVmLck:\nVmPin:\nVmHWM:\nVmRSS:\nRssAnon:\nRssFile:\nRssShmem:\n"
	"VmData:\nVmStk:\nVmExe:\nVmLib:\nVmPTE:\nVmSwap:\nHugetlbPages:\t       0 kB\nThreads:\n"
	"SigBlk:\nSigIgn:\nSigCgt:\nCpus_allowed:\nCpus_allowed_list:\n";

void pid_status_show(struct seq_file *m, struct proc_task *t, struct host_text host)
{
	struct text_line line;

	if (!host.len)
		host = (struct host_text){ status_template, sizeof(status_template) - 1 };
	while (next_line(&host.text, &host.len, &line))
		show_status_line(m, t, &line);
}

/* ---- stat and statm --------------------------------------------------------------------------- */

/* Fields of /proc/<pid>/stat as proc(5) numbers them. */
enum {
	STAT_STATE = 3,
	STAT_MIN_FLT = 10,
	STAT_CMIN_FLT,
	STAT_MAJ_FLT,
	STAT_CMAJ_FLT,
	STAT_NUM_THREADS = 20,
	STAT_VSIZE = 23,
	STAT_RSS,
	STAT_RSSLIM,
	STAT_START_CODE,
	STAT_END_CODE,
	STAT_START_STACK,
	STAT_BLOCKED = 32,
	STAT_SIGIGNORE,
	STAT_SIGCATCH,
	STAT_START_DATA = 45,
	STAT_END_DATA,
	STAT_START_BRK,
	STAT_ARG_START,
	STAT_ARG_END,
	STAT_ENV_START,
	STAT_ENV_END,
	STAT_LAST,
};

/* Ours for a field of the address space; without one, what Linux shows then. */
static unsigned long stat_mm_field(struct mm_struct *mm, int field)
{
	if (!mm)
		return 0;
	switch (field) {
	case STAT_VSIZE:
		return READ_ONCE(mm->total_vm) << PAGE_SHIFT;
	case STAT_RSS:
		return get_mm_rss(mm);
	case STAT_START_CODE:
		return mm->start_code;
	case STAT_END_CODE:
		return mm->end_code;
	case STAT_START_STACK:
		return mm->start_stack;
	case STAT_START_DATA:
		return mm->start_data;
	case STAT_END_DATA:
		return mm->end_data;
	case STAT_START_BRK:
		return mm->start_brk;
	case STAT_ARG_START:
		return mm->arg_start;
	case STAT_ARG_END:
		return mm->arg_end;
	case STAT_ENV_START:
		return mm->env_start;
	default:
		return mm->env_end;
	}
}

/* Whether the field is ours, and its value. Signals are the old ones only, 31 bits. */
static bool stat_field(struct proc_task *t, int field, unsigned long *value)
{
	switch (field) {
	case STAT_MIN_FLT:
		*value = atomic_long_read(&t->signal->min_flt);
		return true;
	case STAT_CMIN_FLT:
		*value = READ_ONCE(t->signal->children.min_flt);
		return true;
	case STAT_MAJ_FLT:
		*value = atomic_long_read(&t->signal->maj_flt);
		return true;
	case STAT_CMAJ_FLT:
		*value = READ_ONCE(t->signal->children.maj_flt);
		return true;
	case STAT_NUM_THREADS:
		*value = t->nr_threads;
		return true;
	case STAT_BLOCKED:
		*value = t->blocked & 0x7fffffff;
		return true;
	case STAT_SIGIGNORE:
	case STAT_SIGCATCH:
		*value = handler_mask(t->signal, field == STAT_SIGIGNORE) & 0x7fffffff;
		return true;
	case STAT_RSSLIM:
		return false;
	}
	if ((field < STAT_VSIZE || field > STAT_START_STACK) &&
	    (field < STAT_START_DATA || field > STAT_ENV_END))
		return false;
	*value = stat_mm_field(t->mm, field);
	return true;
}

static const char stat_template[] =
	") R 0 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 18446744073709551615 0 0 0 0 0 0 0 0 0 0 "
	"0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

void pid_stat_show(struct seq_file *m, struct proc_task *t, struct host_text host)
{
	const char *p, *end;
	int field = STAT_STATE;

	/* The name may contain anything; what follows the last parenthesis is numbers. */
	p = host.text + host.len;
	while (p > host.text && p[-1] != ')')
		p--;
	if (p == host.text) {
		host = (struct host_text){ stat_template, sizeof(stat_template) - 1 };
		p = host.text + 1;
	}
	end = host.text + host.len;
	seq_printf(m, "%d (", t->pid);
	seq_escape(m, t->comm, "\n\\");
	seq_puts(m, ")");
	while (p < end && *p == ' ') {
		const char *start = ++p;
		unsigned long value;

		while (p < end && *p != ' ' && *p != '\n')
			p++;
		if (stat_field(t, field++, &value))
			seq_printf(m, " %lu", value);
		else
			seq_printf(m, " %.*s", (int)(p - start), start);
	}
	seq_puts(m, "\n");
}

void pid_statm_show(struct seq_file *m, struct proc_task *t)
{
	struct mm_struct *mm = t->mm;

	if (!mm) {
		seq_puts(m, "0 0 0 0 0 0 0\n");
		return;
	}
	seq_printf(m, "%lu %lu %lu %lu 0 %lu 0\n", READ_ONCE(mm->total_vm), get_mm_rss(mm),
		   get_mm_counter(mm, MM_FILEPAGES) + get_mm_counter(mm, MM_SHMEMPAGES),
		   mm_text_pages(mm), READ_ONCE(mm->data_vm) + READ_ONCE(mm->stack_vm));
}

/* ---- The program's own memory ----------------------------------------------------------------- */

/*
 * Copies [start, end) of the process's memory, up to what cannot be read. until_nul: up to the
 * first NUL. False: it ended early.
 */
static bool show_memory(struct seq_file *m, struct mm_struct *mm, unsigned long start,
			unsigned long end, bool until_nul)
{
	char *buf = (char *)__get_free_pages(GFP_KERNEL, 0);
	bool more = buf;

	if (!buf)
		m->failed = true;
	while (more && start < end) {
		size_t want = min(end - start, PAGE_SIZE);
		size_t got = access_remote_mm(mm, start, buf, want, false, true);
		size_t len = until_nul ? strnlen(buf, got) : got;

		seq_write(m, buf, len);
		more = len == want && !m->failed;
		start += len;
	}
	if (buf)
		free_page((unsigned long)buf);
	return more;
}

/*
 * The arguments with their NULs. A program that has overwritten the last of these shows something
 * else there on purpose, maybe as far as into its environment: one string.
 */
void pid_cmdline_show(struct seq_file *m, struct proc_task *t)
{
	struct mm_struct *mm = t->mm;
	unsigned long start, end, env_end;
	char last = 0;

	if (!mm)
		return;
	start = mm->arg_start;
	end = mm->arg_end;
	env_end = mm->env_start == end && mm->env_end > end ? mm->env_end : end;
	if (start >= end)
		return;
	access_remote_mm(mm, end - 1, &last, 1, false, true);
	if (!last) {
		show_memory(m, mm, start, end, false);
		return;
	}
	show_memory(m, mm, start, env_end, true);
	seq_write(m, "", 1);
}

void pid_environ_show(struct seq_file *m, struct proc_task *t)
{
	if (t->mm && t->mm->env_start < t->mm->env_end)
		show_memory(m, t->mm, t->mm->env_start, t->mm->env_end, false);
}

void pid_auxv_show(struct seq_file *m, struct proc_task *t)
{
	size_t n = 0;

	if (!t->mm)
		return;
	while (n + 2 < AT_VECTOR_SIZE && t->mm->saved_auxv[n])
		n += 2;
	seq_write(m, t->mm->saved_auxv, (n + 2) * sizeof(t->mm->saved_auxv[0]));
}

/* ---- The OOM killer --------------------------------------------------------------------------- */

/* In thousandths of memory, mapped from -1000 ... 2000 to 0 ... 2000, as Linux does. */
void pid_oom_score_show(struct seq_file *m, struct proc_task *t)
{
	long points = LONG_MIN, score = 0;
	struct task_struct *task;

	spin_lock(&tasklist_lock);
	task = find_group_leader(t->tgid);
	if (task)
		points = oom_badness(task);
	spin_unlock(&tasklist_lock);
	if (points != LONG_MIN)
		score = (1000 + points * 1000 / (long)totalram_pages()) * 2 / 3;
	seq_printf(m, "%lu\n", (unsigned long)max(score, 0L));
}

/* The older scale: -17 for never, and -16 ... 15. */
void pid_oom_adj_show(struct seq_file *m, struct proc_task *t)
{
	int adj = t->signal->oom_score_adj;

	seq_printf(m, "%d\n", adj == OOM_SCORE_ADJ_MAX ? 15 : adj * 17 / OOM_SCORE_ADJ_MAX);
}

/* ---- limits ----------------------------------------------------------------------------------- */

static const struct {
	const char *name, *unit;
	bool ours;
} limit_names[RLIM_NLIMITS] = {
	{ "Max cpu time", "seconds", false },
	{ "Max file size", "bytes", false },
	[RLIMIT_DATA_] = { "Max data size", "bytes", true },
	[RLIMIT_STACK_] = { "Max stack size", "bytes", true },
	{ "Max core file size", "bytes", false },
	{ "Max resident set", "bytes", false },
	{ "Max processes", "processes", false },
	{ "Max open files", "files", false },
	[RLIMIT_MEMLOCK_] = { "Max locked memory", "bytes", true },
	[RLIMIT_AS_] = { "Max address space", "bytes", true },
	{ "Max file locks", "locks", false },
	{ "Max pending signals", "signals", false },
	{ "Max msgqueue size", "bytes", false },
	{ "Max nice priority", "", false },
	{ "Max realtime priority", "", false },
	{ "Max realtime timeout", "us", false },
};

static void show_limit_value(struct seq_file *m, u64 value)
{
	if (value == RLIM_INFINITY)
		seq_printf(m, "%-20s ", "unlimited");
	else
		seq_printf(m, "%-20lu ", (unsigned long)value);
}

static void show_limit(struct seq_file *m, const struct proc_task *t, int i)
{
	struct rlimit64 limit;

	spin_lock(&t->signal->siglock);
	limit = t->signal->rlim[i];
	spin_unlock(&t->signal->siglock);
	seq_printf(m, "%-25s ", limit_names[i].name);
	show_limit_value(m, limit.rlim_cur);
	show_limit_value(m, limit.rlim_max);
	seq_printf(m, "%-10s\n", limit_names[i].unit);
}

void pid_limits_show(struct seq_file *m, struct proc_task *t, struct host_text host)
{
	struct text_line line;

	if (!host.len) {
		seq_printf(m, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit",
			   "Units");
		for (int i = 0; i < RLIM_NLIMITS; i++)
			show_limit(m, t, i);
	}
	while (next_line(&host.text, &host.len, &line)) {
		int i = 0;

		while (i < RLIM_NLIMITS &&
		       !(limit_names[i].ours && line_starts(&line, limit_names[i].name)))
			i++;
		if (i < RLIM_NLIMITS) {
			show_limit(m, t, i);
			continue;
		}
		seq_write(m, line.line, line.len);
		seq_puts(m, "\n");
	}
}
