/* SPDX-License-Identifier: MIT */
/*
 * The texts of /proc: paths, layout against the host's own files, numbers against what the address
 * space really has, and reading about a process that changes and exits meanwhile.
 */
#include <pthread.h>
#include <unistd.h>

#include <quire/ptdump.h>

#include "../../linux/ipc.h"
#include "linux_fixture.h"

#define BASE 0x10000000UL
#define IPC_STAT 2
#define PAGES(n) ((unsigned long)(n) << PAGE_SHIFT)

static struct counters at_start;
static struct mm_struct *mm;
static struct test_task self;

static void map_anon(struct mm_struct *m, unsigned long addr, unsigned long pages,
		     unsigned long flags)
{
	assert_int_equal(do_mmap(m, NULL, addr, PAGES(pages), PROT_READ | PROT_WRITE,
				 flags | MAP_ANONYMOUS | MAP_FIXED, 0, NULL),
			 addr);
}

static int machine_up(void **state)
{
	(void)state;
	anon_fault_max_order = 0;
	fault_around_order = 0;
	if (linux_up(64 << 20, 4))
		return -1;
	soft_cpu_enter(0);
	at_start = counters_now();
	mm = mm_alloc();
	map_anon(mm, BASE, 16, MAP_PRIVATE);
	test_task_init(&self, NULL, mm, 1000);
	current_test_task = &self;
	return 0;
}

static int machine_down(void **state)
{
	(void)state;
	test_task_exit(&self);
	current_test_task = NULL;
	mmput(mm);
	assert_counters(&at_start);
	soft_exit();
	return 0;
}

/* ---- Texts -------------------------------------------------------------------------------------- */

/* Terminated; the caller frees. */
static char *text_of(enum proc_kind kind, pid_t pid, const char *host)
{
	char *text, *copy;
	size_t len;

	assert_int_equal(proc_generate(kind, pid, host, host ? strlen(host) : 0, &text, &len), 0);
	copy = calloc(1, len + 1);
	if (len)
		memcpy(copy, text, len);
	proc_free(text, len);
	return copy;
}

static unsigned long value_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	assert_non_null(at);
	return strtoul(at + strlen(key), NULL, 10);
}

static unsigned long pid_value(enum proc_kind kind, const char *key)
{
	char *text = text_of(kind, 1000, NULL);
	unsigned long value = value_of(text, key);

	free(text);
	return value;
}

/* The line without its number, the columns of which become '#'. */
static void shape_of(const char *line, char *shape, size_t size)
{
	size_t n = 0, last = 0;

	while (line[n] && line[n] != '\n' && n < size - 1) {
		shape[n] = line[n];
		if (line[n] >= '0' && line[n] <= '9' && strchr(line, ':') < line + n)
			shape[last = n] = '#';
		n++;
	}
	shape[n] = '\0';
	/* Numbers of any length end in the same column. */
	for (size_t i = last; i > 0 && (shape[i] == '#' || shape[i] == ' '); i--)
		shape[i] = '#';
}

/* Every line of ours stands in the host's text, in the same order and columns. */
static void assert_same_layout(const char *ours, const char *host)
{
	while (*ours) {
		char want[256], have[256] = "";
		const char *at = host;

		shape_of(ours, want, sizeof(want));
		while (*at && strcmp(want, have)) {
			shape_of(at, have, sizeof(have));
			at += strcspn(at, "\n");
			at += *at == '\n';
		}
		assert_string_equal(want, have);
		host = at;
		ours += strcspn(ours, "\n") + 1;
	}
}

/* ---- Paths -------------------------------------------------------------------------------------- */

static enum proc_kind lookup(const char *path, pid_t *pid)
{
	return proc_lookup(path, &self.task, pid);
}

static void test_lookup(void **state)
{
	static const char *const none[] = {
		"",
		"/",
		"/proc",
		"/proc/",
		"/proc/self",
		"/proc/meminfo/",
		"/proc/self/",
		"/proc/self/maps/",
		"/proc/self/fd",
		"/proc/1/maps",
		"/proc/01000/maps",
		"/proc/1000x/maps",
		"/proc/99999999999999999999/maps",
		"/proc/-1/maps",
		"/proc/self/task/1002/maps",
		"/proc/self/task//maps",
		"/proc/1000/task/1000",
		"/tmp/proc/meminfo",
		"proc/meminfo",
	};
	struct test_task thread, other;
	pid_t pid;

	(void)state;
	test_task_init(&thread, &self, mm, 1001);
	test_task_init(&other, NULL, mm, 1002);
	assert_int_equal(lookup("/proc/meminfo", &pid), PROC_MEMINFO);
	assert_int_equal(pid, 0);
	assert_int_equal(lookup("/proc/self/maps", &pid), PROC_PID_MAPS);
	assert_int_equal(pid, 1000);
	assert_int_equal(lookup("/proc/1002/smaps_rollup", &pid), PROC_PID_SMAPS_ROLLUP);
	assert_int_equal(pid, 1002);
	assert_int_equal(lookup("/proc/1000/task/1001/stat", &pid), PROC_PID_STAT);
	assert_int_equal(pid, 1001);
	assert_int_equal(lookup("/proc/self/task/1001/comm", &pid), PROC_PID_COMM);
	assert_int_equal(pid, 1001);
	assert_int_equal(proc_lookup("/proc/thread-self/status", &thread.task, &pid),
			 PROC_PID_STATUS);
	assert_int_equal(pid, 1001);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_int_equal(lookup(none[i], &pid), PROC_NONE);
	test_task_exit(&thread);
	test_task_exit(&other);
}

/* ---- The machine ---------------------------------------------------------------------------------- */

static void compare_system(enum proc_kind kind, const char *path)
{
	size_t len;
	char *host = host_file(path, &len), *ours;

	if (!host)
		NOT_HERE("the host's text");
	ours = text_of(kind, 0, host);
	assert_true(strlen(ours) > 0);
	assert_same_layout(ours, host);
	free(ours);
	free(host);
}

static void test_meminfo(void **state)
{
	unsigned long before, after;
	char *text;

	(void)state;
	compare_system(PROC_MEMINFO, "/proc/meminfo");
	text = text_of(PROC_MEMINFO, 0, NULL);
	assert_int_equal(value_of(text, "MemTotal:"), totalram_pages() << (PAGE_SHIFT - 10));
	before = value_of(text, "AnonPages:");
	free(text);
	for (int i = 0; i < 5; i++)
		assert_int_equal(soft_store(mm, BASE + PAGES(i), "x", 1).signo, 0);
	text = text_of(PROC_MEMINFO, 0, NULL);
	after = value_of(text, "AnonPages:");
	assert_int_equal(after - before, 20);
	assert_true(value_of(text, "PageTables:") > 0);
	assert_true(value_of(text, "MemFree:") <= value_of(text, "MemTotal:"));
	free(text);
}

static void test_counters(void **state)
{
	static const char *const needed[] = { "nr_free_pages ", "pgpgin ",  "pgpgout ",	  "pswpin ",
					      "pswpout ",	"pgfault ", "pgmajfault " };
	char *text = text_of(PROC_VMSTAT, 0, NULL);
	size_t len;
	char *host = host_file("/proc/vmstat", &len);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		value_of(text, needed[i]);
	/* Linux's names in Linux's order. */
	for (char *line = strtok(text, "\n"), *at = host; host && line; line = strtok(NULL, "\n")) {
		char name[64];

		snprintf(name, sizeof(name), "\n%.*s ", (int)strcspn(line, " "), line);
		at = line == text ? strstr(host, name + 1) : strstr(at, name);
		assert_non_null(at);
	}
	free(host);
	free(text);
}

static void test_zones(void **state)
{
	unsigned long sum = 0, blocks;
	char *text, *line, zone[16];
	int node, at;

	(void)state;
	drain_all_pages();
	text = text_of(PROC_BUDDYINFO, 0, NULL);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		assert_int_equal(sscanf(line, "Node %d, zone %15s%n", &node, zone, &at), 2);
		assert_int_equal(strlen(line), 13 + 8 + 1 + 11 * 7);
		for (unsigned int order = 0; order <= MAX_ORDER; order++) {
			blocks = strtoul(line + 22 + order * 7, NULL, 10);
			sum += blocks << order;
		}
	}
	assert_int_equal(sum, nr_free_pages());
	free(text);
	text = text_of(PROC_ZONEINFO, 0, NULL);
	assert_non_null(strstr(text, "\n  pages free     "));
	assert_non_null(strstr(text, "    cpu: 3\n"));
	assert_non_null(strstr(text, "\n  per-node stats\n      nr_inactive_anon "));
	assert_non_null(strstr(text, "\n      nr_mapped    0\n"));
	free(text);
}

static void test_slabinfo(void **state)
{
	char *text = text_of(PROC_SLABINFO, 0, NULL), *line;
	unsigned long active, total;
	unsigned int size;

	(void)state;
	assert_int_equal(strncmp(text, "slabinfo - version: 2.1\n# name ", 31), 0);
	line = strstr(text, "\nsignal_cache ");
	assert_non_null(line);
	assert_int_equal(sscanf(line, " signal_cache %lu %lu %u", &active, &total, &size), 3);
	assert_true(active >= 1 && total >= active && size >= sizeof(struct signal_struct));
	assert_non_null(strstr(line, " : tunables    0    0    0 : slabdata "));
	free(text);
}

static void test_stat(void **state)
{
	char *text = text_of(PROC_STAT, 0,
			     "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
			     "cpu1 10 20 30 40 50 60 70 80 90 100\ncpu9 1 1 1 1\n"
			     "intr 5 0 1\nctxt 7\nbtime 1795241576\nprocesses 9\n");

	(void)state;
	assert_string_equal(text, "cpu  11 22 33 44 55 66 77 88 99 110\n"
				  "cpu0 1 2 3 4 5 6 7 8 9 10\n"
				  "cpu1 10 20 30 40 50 60 70 80 90 100\n"
				  "cpu2 0 0 0 0 0 0 0 0 0 0\ncpu3 0 0 0 0 0 0 0 0 0 0\n"
				  "intr 5 0 1\nctxt 7\nbtime 1795241576\nprocesses 9\n");
	free(text);
	text = text_of(PROC_STAT, 0, NULL);
	assert_non_null(strstr(text, "\nbtime "));
	free(text);
}

static void test_cpuinfo(void **state)
{
	char *text =
		text_of(PROC_CPUINFO, 0,
			"processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\nmodel name\t: B\n\n");

	(void)state;
	assert_string_equal(
		text, "processor\t: 0\nmodel name\t: A\n\nprocessor\t: 1\nmodel name\t: B\n\n"
		      "processor\t: 2\nmodel name\t: B\n\nprocessor\t: 3\nmodel name\t: B\n\n");
	free(text);
	text = text_of(PROC_CPUINFO, 0, NULL);
	assert_non_null(strstr(text, "processor\t: 3\n"));
	free(text);
}

static void test_loadavg(void **state)
{
	char *text = text_of(PROC_LOADAVG, 0, "0.04 0.06 0.02 2/95 22605\n");

	(void)state;
	assert_string_equal(text, "0.04 0.06 0.02 1/1 22605\n");
	free(text);
	text = text_of(PROC_LOADAVG, 0, NULL);
	assert_string_equal(text, "0.00 0.00 0.00 1/1 0\n");
	free(text);
}

/* ---- Variables -------------------------------------------------------------------------------------- */

static long write_sysctl(const char *path, u64 pos, const char *text)
{
	pid_t pid;
	enum proc_kind kind = lookup(path, &pid);

	assert_true(proc_is_writable(kind));
	return proc_write(kind, 0, pos, text, strlen(text));
}

static void assert_sysctl(const char *path, const char *want)
{
	pid_t pid;
	char *text = text_of(lookup(path, &pid), 0, NULL);

	assert_string_equal(text, want);
	free(text);
}

static void test_sysctl(void **state)
{
	static const char maps[] = "/proc/sys/vm/max_map_count";
	static const char mni[] = "/proc/sys/kernel/shmmni", max[] = "/proc/sys/kernel/shmmax";
	static const char *const bad[] = { "x",
					   " ",
					   "\n",
					   "-1",
					   "1x",
					   "--1",
					   "+1",
					   "2147483648",
					   "99999999999999999999",
					   "000000000000000000001",
					   "0xg",
					   "1,2" };
	pid_t pid;

	(void)state;
	assert_sysctl(maps, "65530\n");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(write_sysctl(maps, 0, bad[i]), -EINVAL);
	assert_sysctl(maps, "65530\n");
	assert_int_equal(write_sysctl(maps, 0, "70000\n"), 6);
	assert_int_equal(sysctl_max_map_count, 70000);
	assert_int_equal(write_sysctl(maps, 0, " \t0x10 \n"), 8);
	assert_sysctl(maps, "16\n");
	assert_int_equal(write_sysctl(maps, 0, "017 18"), 4);
	assert_sysctl(maps, "15\n");
	assert_int_equal(write_sysctl(maps, 1, "junk"), 4);
	assert_int_equal(write_sysctl(maps, 0, ""), 0);
	assert_int_equal(write_sysctl(maps, 0, "65530"), 5);
	assert_sysctl(max, "18446744073692774399\n");
	assert_int_equal(write_sysctl(max, 0, "18446744073709551615"), 20);
	assert_int_equal(write_sysctl(max, 0, "18446744073709551616"), -EINVAL);
	assert_int_equal(write_sysctl(max, 0, "-5"), 2); /* as if it had not been there */
	assert_sysctl(max, "18446744073709551615\n");
	assert_int_equal(write_sysctl(mni, 0, "32769"), -EINVAL);
	assert_int_equal(write_sysctl("/proc/sys/vm/mmap_min_addr", 0, "4096"), -EINVAL);
	assert_int_equal(lookup("/proc/sys/vm/nothing", &pid), PROC_NONE);
	assert_int_equal(lookup("/proc/sys/vm", &pid), PROC_NONE);
	assert_true(proc_is_sysctl_name("shmmni") && !proc_is_sysctl_name("vm"));
}

static bool segment_exists(int id)
{
	return ipc_shmctl(&self.task, id, IPC_STAT, BASE) != -EINVAL;
}

/* Limits, numbers asked for, and segments that go with their last user or creator. */
static void test_shm_limits(void **state)
{
	struct test_task child;
	long a, b;

	(void)state;
	assert_int_equal(write_sysctl("/proc/sys/kernel/shm_next_id", 0, "98310"), 5);
	a = ipc_shmget(&self.task, 0, 4096, 0600);
	assert_int_equal(a, 98310);
	assert_sysctl("/proc/sys/kernel/shm_next_id", "-1\n");
	assert_int_equal(write_sysctl("/proc/sys/kernel/shm_next_id", 0, "6"), 1);
	assert_int_equal(ipc_shmget(&self.task, 0, 4096, 0600), 7); /* index 6 is taken */
	assert_int_equal(write_sysctl("/proc/sys/kernel/shmmni", 0, "2"), 1);
	assert_int_equal(ipc_shmget(&self.task, 0, 4096, 0600), -ENOSPC);
	assert_int_equal(write_sysctl("/proc/sys/kernel/shmmni", 0, "4096"), 4);
	assert_int_equal(write_sysctl("/proc/sys/kernel/shmall", 0, "2"), 1);
	assert_int_equal(ipc_shmget(&self.task, 0, 4096, 0600), -ENOSPC);
	assert_int_equal(write_sysctl("/proc/sys/kernel/shmall", 0, "1000"), 4);
	assert_int_equal(write_sysctl("/proc/sys/kernel/shmmax", 0, "8192"), 4);
	assert_int_equal(ipc_shmget(&self.task, 0, 8193, 0600), -EINVAL);

	test_task_init(&child, NULL, mm, 1005);
	a = ipc_shmget(&child.task, 0, 4096, 0600);
	b = ipc_shmget(&child.task, 0, 4096, 0600);
	test_task_exit(&child);
	assert_true(segment_exists((int)a) && segment_exists((int)b));
	current_test_task = &self;
	assert_true(ipc_shmat(&self.task, (int)b, BASE + PAGES(32), 0) > 0);
	assert_int_equal(write_sysctl("/proc/sys/kernel/shm_rmid_forced", 0, "1"), 1);
	assert_true(!segment_exists((int)a) && segment_exists((int)b));
	assert_int_equal(ipc_shmdt(&self.task, BASE + PAGES(32)), 0);
	assert_true(!segment_exists((int)b));
	test_task_init(&child, NULL, mm, 1005);
	a = ipc_shmget(&child.task, 0, 4096, 0600);
	assert_true(segment_exists((int)a) && segment_exists(98310));
	test_task_exit(&child);
	assert_true(!segment_exists((int)a) && segment_exists(98310));
}

/* ---- A process -------------------------------------------------------------------------------------- */

static void test_status(void **state)
{
	struct test_task thread;
	size_t len;
	char *host = host_file("/proc/self/status", &len), *text;

	(void)state;
	test_task_init(&thread, &self, mm, 1001);
	self.task.signal->action[2].handler = 1;
	self.task.signal->action[17].handler = 0x401000;
	thread.task.blocked = 0x8000000000000001ULL;
	for (int i = 0; i < 3; i++)
		assert_int_equal(soft_store(mm, BASE + PAGES(i), "x", 1).signo, 0);
	text = text_of(PROC_PID_STATUS, 1001, host);
	assert_int_equal(strncmp(text, "Name:\ttask1001\n", 15), 0);
	assert_int_equal(value_of(text, "\nVmSize:\t"), 64);
	assert_int_equal(value_of(text, "\nVmRSS:\t"), 12);
	assert_int_equal(value_of(text, "\nRssAnon:\t"), 12);
	assert_int_equal(value_of(text, "\nThreads:\t"), 2);
	assert_int_equal(value_of(text, "\nVmPTE:\t"),
			 (unsigned long)atomic_long_read(&mm->pgtables_bytes) >> 10);
	assert_non_null(strstr(text, "\nSigBlk:\t8000000000000001\n"));
	assert_non_null(strstr(text, "\nSigIgn:\t0000000000000002\n"));
	assert_non_null(strstr(text, "\nSigCgt:\t0000000000010000\n"));
	assert_non_null(strstr(text, "\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\n"));
	/* Line for line the host's keys. */
	for (char *a = text, *b = host; *a || *b;) {
		assert_int_equal(strcspn(a, ":"), strcspn(b, ":"));
		assert_int_equal(strncmp(a, b, strcspn(a, ":")), 0);
		a += strcspn(a, "\n") + 1;
		b += strcspn(b, "\n") + 1;
	}
	free(text);
	text = text_of(PROC_PID_STATUS, 1000, NULL);
	assert_int_equal(value_of(text, "\nVmRSS:\t"), 12);
	free(text);
	free(host);
	test_task_exit(&thread);
}

/* The n-th field of /proc/pid/stat, as proc(5) counts. */
static unsigned long stat_field(const char *text, int n)
{
	const char *at = strrchr(text, ')') + 2;

	for (int i = 3; i < n; i++)
		at = strchr(at, ' ') + 1;
	return strtoul(at, NULL, 10);
}

static int count_fields(const char *text)
{
	int n = 3;

	for (const char *at = strrchr(text, ')') + 2; (at = strchr(at, ' ')); at++)
		n++;
	return n;
}

static void test_pid_stat(void **state)
{
	size_t len;
	char *host = host_file("/proc/self/stat", &len);
	const char *const hosts[] = { host, NULL };

	(void)state;
	set_task_comm(&self.task, "odd) (name");
	mm->start_stack = 0x7ffffffde123;
	mm->env_end = 0x7ffffffdefff;
	atomic_long_set(&self.task.signal->min_flt, 77);
	assert_int_equal(soft_store(mm, BASE, "x", 1).signo, 0);
	for (int i = 0; i < 2; i++) {
		char *text = text_of(PROC_PID_STAT, 1000, hosts[i]);

		assert_int_equal(strncmp(text, "1000 (odd) (name) R ", 20), 0);
		assert_int_equal(count_fields(text), 52);
		assert_int_equal(stat_field(text, 10), 77);
		assert_int_equal(stat_field(text, 20), 1);
		assert_int_equal(stat_field(text, 23), PAGES(16));
		assert_int_equal(stat_field(text, 24), 1);
		assert_int_equal(stat_field(text, 25), ~0UL);
		assert_int_equal(stat_field(text, 28), 0x7ffffffde123);
		assert_int_equal(stat_field(text, 51), 0x7ffffffdefff);
		assert_int_equal(text[strlen(text) - 1], '\n');
		if (hosts[i])
			assert_int_equal(stat_field(text, 22), stat_field(host, 22));
		free(text);
	}
	free(host);
}

static void test_statm(void **state)
{
	char *text;

	(void)state;
	mm->start_code = 0x400100;
	mm->end_code = 0x402001;
	assert_int_equal(soft_store(mm, BASE, "x", 1).signo, 0);
	text = text_of(PROC_PID_STATM, 1000, NULL);
	assert_string_equal(text, "16 1 0 3 0 16 0\n");
	free(text);
}

static void put_string(unsigned long addr, const char *s, size_t len)
{
	assert_int_equal(copy_to_mm(mm, addr, s, len), 0);
}

static void test_cmdline(void **state)
{
	char *text;
	size_t len;

	(void)state;
	put_string(BASE + 0xff0, "prog\0-x\0a long argument over the page\0A=1\0B=2\0", 46);
	mm->arg_start = BASE + 0xff0;
	mm->arg_end = mm->env_start = mm->arg_start + 38;
	mm->env_end = mm->env_start + 8;
	assert_int_equal(proc_generate(PROC_PID_CMDLINE, 1000, NULL, 0, &text, &len), 0);
	assert_int_equal(len, 38);
	assert_memory_equal(text, "prog\0-x\0a long argument over the page", 38);
	proc_free(text, len);
	assert_int_equal(proc_generate(PROC_PID_ENVIRON, 1000, NULL, 0, &text, &len), 0);
	assert_int_equal(len, 8);
	assert_memory_equal(text, "A=1\0B=2", 8);
	proc_free(text, len);
	/* setproctitle(): over the end of the arguments, into the environment. */
	memset(&text, 0, sizeof(text));
	put_string(mm->arg_start, "prog: working on something else now, A\0", 40);
	assert_int_equal(proc_generate(PROC_PID_CMDLINE, 1000, NULL, 0, &text, &len), 0);
	assert_string_equal(text, "prog: working on something else now, A");
	proc_free(text, len);
	/* Memory that is gone. */
	assert_int_equal(do_munmap(mm, BASE, PAGES(16)), 0);
	assert_int_equal(proc_generate(PROC_PID_CMDLINE, 1000, NULL, 0, &text, &len), 0);
	assert_int_equal(len, 0);
	proc_free(text, len);
}

static void test_small_files(void **state)
{
	char *text, *host;
	size_t len;

	(void)state;
	text = text_of(PROC_PID_COMM, 1000, NULL);
	assert_string_equal(text, "task1000\n");
	free(text);
	assert_int_equal(proc_generate(PROC_PID_EXE, 1000, NULL, 0, &text, &len), -ENOENT);
	assert_int_equal(proc_generate(PROC_PID_COMM, 4242, NULL, 0, &text, &len), -ESRCH);
	assert_int_equal(proc_generate(PROC_PID_MEM, 1000, NULL, 0, &text, &len), -EINVAL);
	assert_int_equal(proc_generate(PROC_NONE, 0, NULL, 0, &text, &len), -EINVAL);
	mm->saved_auxv[0] = 6;
	mm->saved_auxv[1] = 4096;
	assert_int_equal(proc_generate(PROC_PID_AUXV, 1000, NULL, 0, &text, &len), 0);
	assert_int_equal(len, 4 * sizeof(long));
	proc_free(text, len);
	self.task.signal->rlim[RLIMIT_STACK_] = (struct rlimit64){ 12345, ~0ULL };
	host = host_file("/proc/self/limits", &len);
	text = text_of(PROC_PID_LIMITS, 1000, host);
	assert_int_equal(strlen(text), len);
	assert_non_null(strstr(text,
			       "\nMax stack size            12345                unlimited     "
			       "       bytes     \n"));
	free(text);
	free(host);
	text = text_of(PROC_PID_LIMITS, 1000, NULL);
	assert_non_null(strstr(text, "\nMax realtime timeout      unlimited            unlimited"));
	free(text);
}

/* ---- Mappings --------------------------------------------------------------------------------------- */

static void test_maps(void **state)
{
	char *text;

	(void)state;
	map_anon(mm, BASE + PAGES(20), 2, MAP_SHARED);
	assert_int_equal(do_mprotect(mm, BASE + PAGES(4), PAGES(2), PROT_READ | PROT_EXEC), 0);
	mm->start_brk = BASE + PAGES(6);
	mm->brk = BASE + PAGES(8);
	mm->start_stack = BASE + PAGES(1);
	vma_lookup(mm, BASE + PAGES(20))->vm_file->f_inode->i_ino = 77;
	text = text_of(PROC_PID_MAPS, 1000, "x\nffffffffff600000-ffffffffff601000 --xp vs\n");
	assert_string_equal(
		text,
		"10000000-10004000 rw-p 00000000 00:00 0                                  [stack]\n"
		"10004000-10006000 r-xp 00000000 00:00 0 \n"
		"10006000-10010000 rw-p 00000000 00:00 0                                  [heap]\n"
		"10014000-10016000 rw-s 00000000 00:01 77                                 "
		"/dev/zero (deleted)\n"
		"ffffffffff600000-ffffffffff601000 --xp vs\n");
	free(text);
	mm->start_brk = mm->brk = mm->start_stack = 0;
}

static void test_smaps(void **state)
{
	struct mm_struct *child;
	size_t len;
	char *host = host_file("/proc/self/smaps", &len), *text;

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(soft_store(mm, BASE + PAGES(i), "x", 1).signo, 0);
	child = dup_mm(mm);
	up_write(&mm->mmap_lock);
	for (int i = 0; i < 2; i++)
		assert_int_equal(soft_store(mm, BASE + PAGES(i), "y", 1).signo, 0);
	text = text_of(PROC_PID_SMAPS, 1000, NULL);
	if (host)
		assert_same_layout(strchr(text, '\n') + 1, host);
	assert_int_equal(value_of(text, "\nSize:"), 64);
	assert_int_equal(value_of(text, "\nRss:"), 24);
	assert_int_equal(value_of(text, "\nPss:"), 16);
	assert_int_equal(value_of(text, "\nShared_Dirty:"), 16);
	assert_int_equal(value_of(text, "\nPrivate_Dirty:"), 8);
	assert_int_equal(value_of(text, "\nAnonymous:"), 24);
	assert_non_null(strstr(text, "\nVmFlags: rd wr mr mw me ac \n"));
	free(text);
	assert_int_equal(pid_value(PROC_PID_SMAPS_ROLLUP, "\nPss:"), 16);
	assert_int_equal(pid_value(PROC_PID_SMAPS_ROLLUP, "\nPss_Anon:"), 16);
	text = text_of(PROC_PID_SMAPS_ROLLUP, 1000, NULL);
	assert_non_null(strstr(text, "---p 00000000 00:00 0      "));
	assert_non_null(strstr(text, " [rollup]\n"));
	free(text);
	free(host);
	mmput(child);
}

static void test_pagemap(void **state)
{
	u64 entries[8];

	(void)state;
	assert_int_equal(soft_store(mm, BASE + PAGES(1), "x", 1).signo, 0);
	assert_int_equal(proc_pagemap_read(1000, (BASE >> PAGE_SHIFT) * 8, entries, 8), 8);
	assert_int_equal(entries[0], 0);
	assert_int_equal(entries[1] >> 55, 0x80000000000000ULL >> 47 | 2);
	assert_true(pfn_valid(entries[1] & ((1ULL << 55) - 1)));
	assert_int_equal(
		proc_pagemap_read(1000, (TASK_SIZE_MAX >> PAGE_SHIFT) * 8 - 16, entries, 8), 2);
	assert_int_equal(proc_pagemap_read(1000, ~7ULL, entries, 8), 0);
	assert_int_equal(proc_pagemap_read(4242, 0, entries, 8), -ESRCH);
}

static unsigned long referenced(void)
{
	return pid_value(PROC_PID_SMAPS_ROLLUP, "\nReferenced:");
}

static void test_clear_refs(void **state)
{
	(void)state;
	map_anon(mm, BASE + PAGES(20), 4, MAP_SHARED);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(soft_store(mm, BASE + PAGES(i), "x", 1).signo, 0);
		assert_int_equal(soft_store(mm, BASE + PAGES(20 + i), "x", 1).signo, 0);
	}
	assert_int_equal(referenced(), 32);
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 1000, 0, "3\n", 2), 2);
	assert_int_equal(referenced(), 16);
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 1000, 0, " 2", 2), 2);
	assert_int_equal(referenced(), 0);
	assert_int_equal(pid_value(PROC_PID_SMAPS_ROLLUP, "\nRss:"), 32);
	assert_int_equal(soft_store(mm, BASE, "y", 1).signo, 0);
	assert_int_equal(referenced(), 4);
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 1000, 0, "1", 1), 1);
	assert_int_equal(referenced(), 0);
	mm->hiwater_rss = 1000;
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 1000, 0, "5", 1), 1);
	assert_int_equal(mm->hiwater_rss, 8);
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 1000, 0, "6", 1), -EINVAL);
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 1000, 0, "1 2", 3), -EINVAL);
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 1000, 0, "4294967297", 10), -ERANGE);
	assert_int_equal(proc_write(PROC_PID_CLEAR_REFS, 4242, 0, "1", 1), -ESRCH);
}

static void test_numa_maps(void **state)
{
	char *text;

	(void)state;
	map_anon(mm, BASE + PAGES(20), 2, MAP_SHARED);
	assert_int_equal(soft_store(mm, BASE, "x", 1).signo, 0);
	assert_int_equal(soft_store(mm, BASE + PAGES(20), "x", 1).signo, 0);
	text = text_of(PROC_PID_NUMA_MAPS, 1000, NULL);
	assert_string_equal(text,
			    "10000000 default anon=1 dirty=1 active=0 N0=1 kernelpagesize_kB=4\n"
			    "10014000 default file=/dev/zero\\040(deleted) dirty=1 active=0 N0=1 "
			    "kernelpagesize_kB=4\n");
	free(text);
}

static u64 frame_word(enum proc_kind kind, unsigned long pfn)
{
	u64 word;

	assert_int_equal(proc_kpage_read(kind, pfn * 8, &word, 1), 1);
	return word;
}

/* Every frame has its words, and those of a page are as its process sees it. */
static void test_frames(void **state)
{
	unsigned long pfn, free_frames = 0;
	struct mm_struct *child;
	u64 entry, word;

	(void)state;
	assert_int_equal(soft_store(mm, BASE, "x", 1).signo, 0);
	assert_int_equal(proc_pagemap_read(1000, (BASE >> PAGE_SHIFT) * 8, &entry, 1), 1);
	pfn = entry & ((1ULL << 55) - 1);
	assert_int_equal(frame_word(PROC_KPAGECOUNT, pfn), 1);
	assert_int_equal(frame_word(PROC_KPAGEFLAGS, pfn) & (1 << 12 | 1 << 11 | 1 << 10),
			 1 << 12 | 1 << 11);
	child = dup_mm(mm);
	up_write(&mm->mmap_lock);
	assert_int_equal(frame_word(PROC_KPAGECOUNT, pfn), 2);
	mmput(child);
	assert_int_equal(do_munmap(mm, BASE, PAGES(1)), 0);
	drain_all_pages();
	assert_int_equal(frame_word(PROC_KPAGECOUNT, pfn), 0);
	for (pfn = 0; proc_kpage_read(PROC_KPAGEFLAGS, pfn * 8, &word, 1); pfn++)
		free_frames += word >> 10 & 1;
	assert_int_equal(pfn, max_pfn);
	assert_int_equal(free_frames, nr_free_pages());
	assert_int_equal(proc_kpage_read(PROC_KPAGEFLAGS, ~7ULL, &word, 1), 0);
	assert_true(frame_word(PROC_KPAGEFLAGS, page_to_pfn(virt_to_page(mm->pgd))) >> 26 & 1);
	assert_int_equal(frame_word(PROC_KPAGECGROUP, 5), 0);
}

static void test_pagetypeinfo(void **state)
{
	unsigned long sum = 0;
	char *text, *line;

	(void)state;
	drain_all_pages();
	text = text_of(PROC_PAGETYPEINFO, 0, NULL);
	assert_int_equal(strncmp(text, "Page block order: 9\nPages per block:  512\n\n", 43), 0);
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		if (!strstr(line, ", type "))
			continue;
		assert_int_equal(strlen(line), 44 + 11 * 7);
		for (int order = 0; order <= MAX_ORDER; order++)
			sum += strtoul(line + 44 + order * 7, NULL, 10) << order;
	}
	assert_int_equal(sum, nr_free_pages());
	free(text);
}

struct seen {
	struct ptdump_state ptdump;
	unsigned int tables, runs, pages;
	struct ptdump_entry last;
};

static void note_page(struct ptdump_state *st, const struct ptdump_entry *e)
{
	struct seen *s = container_of(st, struct seen, ptdump);

	if (e->level > PTDUMP_PTE) {
		s->tables++;
	} else {
		s->runs++;
		s->pages += e->nr;
	}
	assert_int_equal(e->addr >> (PAGE_SHIFT + 9 * (e->level - 1)) & 511, e->index);
	if (s->last.level > e->level)
		assert_int_equal(e->table, s->last.val & PTE_PFN_MASK);
	s->last = *e;
}

static void test_page_tables(void **state)
{
	const unsigned long far = 0x7f0000000000;
	struct seen s = { .ptdump = { note_page } };
	char *text;

	(void)state;
	map_anon(mm, far, 2, MAP_PRIVATE);
	assert_int_equal(soft_store(mm, far, "x", 1).signo, 0);
	assert_int_equal(soft_store(mm, BASE + PAGES(3), "x", 1).signo, 0);
	assert_int_equal(soft_store(mm, BASE + PAGES(9), "x", 1).signo, 0);
	ptdump_walk_mm(&s.ptdump, mm, 0, TASK_SIZE_MAX);
	assert_int_equal(s.tables, 6);
	assert_int_equal(s.tables * PAGE_SIZE, atomic_long_read(&mm->pgtables_bytes));
	assert_int_equal(s.pages, 3);
	assert_int_equal(s.runs, 3);
	s.pages = s.tables = 0;
	ptdump_walk_mm(&s.ptdump, mm, BASE + PAGES(4), BASE + PAGES(10));
	assert_int_equal(s.pages, 1);
	assert_int_equal(s.last.addr, BASE + PAGES(9));
	ptdump_walk_mm(&s.ptdump, mm, BASE + PAGES(4), BASE + PAGES(4));
	ptdump_walk_mm(&s.ptdump, mm, TASK_SIZE_MAX, ~0UL);
	assert_int_equal(s.pages, 1);
	text = text_of(PROC_PID_PAGE_TABLES, 1000, NULL);
	assert_int_equal(strncmp(text, "cr3 0x", 6), 0);
	assert_non_null(
		strstr(text, " 24 kB of tables below it\npgd[000] 0x0000000000000000 pud 0x"));
	assert_non_null(strstr(text, "\n      pte[009] 0x0000000010009000 frame 0x"));
	assert_non_null(strstr(text, " USR RW NX A D\n"));
	free(text);
	assert_int_equal(do_mprotect(mm, BASE, PAGES(16), PROT_NONE), 0);
	text = text_of(PROC_PID_PAGE_TABLES, 1000, NULL);
	assert_non_null(strstr(text, " PROTNONE\n"));
	free(text);
}

static void test_iomem(void **state)
{
	char *text = text_of(PROC_IOMEM, 0, NULL);

	(void)state;
	assert_int_equal(strncmp(text, "00000000-", 9), 0);
	assert_non_null(strstr(text, " : System RAM\n"));
	free(text);
}

/* Clean file pages that nobody has mapped go; others stay. */
static void test_drop_caches(void **state)
{
	struct test_image *image = set_image("/file", "abc", 3);
	unsigned long before, with;
	struct file *file;

	(void)image;
	(void)state;
	before = node_page_state(NR_FILE_PAGES);
	file = open_image("/file");
	assert_false(IS_ERR(file));
	assert_int_equal(do_mmap(mm, file, BASE + PAGES(20), PAGES(1), PROT_READ,
				 MAP_SHARED | MAP_FIXED, 0, NULL),
			 BASE + PAGES(20));
	assert_int_equal(soft_load(mm, BASE + PAGES(20), &(char){ 0 }, 1).signo, 0);
	with = node_page_state(NR_FILE_PAGES);
	assert_true(with > before);
	assert_int_equal(write_sysctl("/proc/sys/vm/drop_caches", 0, "1"), 1);
	assert_int_equal(node_page_state(NR_FILE_PAGES), with);
	assert_int_equal(do_munmap(mm, BASE + PAGES(20), PAGES(1)), 0);
	assert_int_equal(write_sysctl("/proc/sys/vm/drop_caches", 0, "5"), -EINVAL);
	assert_int_equal(write_sysctl("/proc/sys/vm/drop_caches", 0, "3"), 1);
	assert_int_equal(node_page_state(NR_FILE_PAGES), before);
	assert_int_equal(all_vm_events(DROP_PAGECACHE), 2);
	fput(file);
}

/* ---- While things change --------------------------------------------------------------------------- */

static bool stop;

static void *change_mappings(void *arg)
{
	struct test_task *t = arg;

	soft_cpu_enter(1);
	current_test_task = t;
	for (int i = 0; !__atomic_load_n(&stop, __ATOMIC_SEQ_CST); i++) {
		struct mm_struct *m = mm_alloc();

		map_anon(m, BASE, 64, i % 2 ? MAP_SHARED : MAP_PRIVATE);
		for (int k = 0; k < 64; k += 3)
			soft_store(m, BASE + PAGES(k), "x", 1);
		mmput(task_set_mm(&t->task, m));
		for (int k = 0; k < 64; k += 5)
			do_munmap(m, BASE + PAGES(k), PAGES(1));
	}
	return NULL;
}

static void test_changing(void **state)
{
	struct test_task t;
	pthread_t thread;

	(void)state;
	__atomic_store_n(&stop, false, __ATOMIC_SEQ_CST);
	test_task_init(&t, NULL, mm, 1500);
	assert_int_equal(pthread_create(&thread, NULL, change_mappings, &t), 0);
	for (int i = 0; i < 400; i++) {
		for (enum proc_kind kind = PROC_PID_MAPS; kind <= PROC_PID_CLEAR_REFS; kind++) {
			char *text;
			size_t len;

			if (kind == PROC_PID_CLEAR_REFS)
				proc_write(kind, 1500, 0, "1", 1);
			else if (!proc_generate(kind, 1500, NULL, 0, &text, &len))
				proc_free(text, len);
		}
	}
	__atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
	test_task_exit(&t);
}

/* Memory for the text can be missing at any point. */
static void test_no_memory(void **state)
{
	(void)state;
	for (enum proc_kind kind = PROC_MEMINFO; kind < PROC_PID_PAGEMAP; kind++) {
		int err = -ENOMEM;

		for (long nth = 1; err == -ENOMEM && nth < 50; nth++) {
			char *text;
			size_t len;

			failslab.nth = fail_page_alloc.nth = nth;
			err = proc_generate(kind, 1000, NULL, 0, &text, &len);
			failslab.nth = fail_page_alloc.nth = 0;
			if (!err)
				proc_free(text, len);
		}
		assert_true(err != -ENOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lookup, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_meminfo, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_counters, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_zones, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_slabinfo, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_stat, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_cpuinfo, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_loadavg, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_sysctl, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_shm_limits, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_status, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pid_stat, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_statm, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_cmdline, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_small_files, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_maps, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_smaps, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pagemap, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_clear_refs, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_numa_maps, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_frames, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_pagetypeinfo, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_page_tables, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_iomem, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_drop_caches, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_changing, machine_up, machine_down),
		cmocka_unit_test_setup_teardown(test_no_memory, machine_up, machine_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
