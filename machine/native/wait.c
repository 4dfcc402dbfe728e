/* SPDX-License-Identifier: MIT */
/*
 * wait.c - wait4, waitid, getrusage: the host knows who ended and the times used, this machine
 * the memory: faults and the largest resident set are put over the host's figures.
 */
#include <quire/string.h>

#include "signal.h"

#define WNOWAIT 0x01000000
#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD 1

struct host_rusage {
	s64 utime[2], stime[2];
	s64 maxrss; /* KiB */
	s64 ixrss, idrss, isrss;
	s64 minflt, majflt;
	s64 rest[8];
};
_Static_assert(sizeof(struct host_rusage) == 144, "struct rusage");

static void put_counts(struct host_rusage *ru, const struct rusage_counts *c)
{
	ru->maxrss = (s64)c->maxrss;
	ru->minflt = (s64)c->min_flt;
	ru->majflt = (s64)c->maj_flt;
}

/* What a child that has ended used, from its record; the newest of that number. */
static bool record_counts(pid_t pid, struct rusage_counts *c)
{
	u32 n = __atomic_load_n(&kernel_shared.nr_records, __ATOMIC_ACQUIRE);

	for (u32 i = n < MAX_PROCESS_RECORDS ? n : MAX_PROCESS_RECORDS; i-- > 0;) {
		const struct process_record *r = &kernel_shared.record[i];

		if (r->pid != pid)
			continue;
		c->min_flt = r->min_flt;
		c->maj_flt = r->maj_flt;
		c->maxrss = r->peak_rss << (PAGE_SHIFT - 10);
		return true;
	}
	return false;
}

/* A child was reaped: its usage counts as this group's children's from now on. */
static void child_reaped(struct native_task *t, pid_t pid, struct host_rusage *ru)
{
	struct rusage_counts *sum = &t->task.signal->children, c;

	if (!record_counts(pid, &c))
		return;
	put_counts(ru, &c);
	spin_lock(&t->task.signal->siglock);
	sum->min_flt += c.min_flt;
	sum->maj_flt += c.maj_flt;
	if (c.maxrss > sum->maxrss)
		sum->maxrss = c.maxrss;
	spin_unlock(&t->task.signal->siglock);
}

static bool has_ended(s32 status)
{
	return (status & 0xff) != 0x7f && status != 0xffff; /* neither stopped nor continued */
}

static long sys_wait4(struct native_task *t, const unsigned long *a)
{
	struct mm_struct *mm = t->task.mm;
	struct host_rusage ru;
	s32 status = 0;
	long ret = host_call(__NR_wait4, (long)a[0], (long)&status, (long)a[2], (long)&ru, 0, 0);

	if (ret <= 0)
		return ret;
	if (has_ended(status))
		child_reaped(t, (pid_t)ret, &ru);
	if ((status & 0x7f) == SIGKILL)
		reap_soon();
	if (a[1] && copy_to_mm(mm, a[1], &status, sizeof(status)))
		return -EFAULT;
	if (a[3] && copy_to_mm(mm, a[3], &ru, sizeof(ru)))
		return -EFAULT;
	return ret;
}

static long sys_waitid(struct native_task *t, const unsigned long *a)
{
	struct mm_struct *mm = t->task.mm;
	struct host_siginfo si = { 0 };
	struct host_rusage ru = { 0 };
	pid_t pid;
	long ret =
		host_call(__NR_waitid, (long)a[0], (long)a[1], (long)&si, (long)a[3], (long)&ru, 0);

	if (ret == -ERESTARTSYS)
		return ret;
	pid = (pid_t)si.fields[0];
	if (pid && !(a[3] & WNOWAIT) && si.si_code >= 1 &&
	    si.si_code <= 3) /* exited, killed, dumped */
		child_reaped(t, pid, &ru);
	if (pid && si.si_code == 2 /* killed */)
		reap_soon();
	if (si.si_signo && a[4] && copy_to_mm(mm, a[4], &ru, sizeof(ru)))
		return -EFAULT;
	/* Linux writes the fields that it knows, not the whole structure, and after an error zeros. */
	if (a[2] && copy_to_mm(mm, a[2], &si, 28))
		return -EFAULT;
	return ret;
}

static long sys_getrusage(struct native_task *t, int who, unsigned long uru)
{
	struct rusage_counts c;
	struct host_rusage ru;
	long ret = host_syscall(__NR_getrusage, who, &ru);

	if (ret)
		return ret;
	linux_rusage(&t->task, who, &c);
	put_counts(&ru, &c);
	return copy_to_mm(t->task.mm, uru, &ru, sizeof(ru)) ? -EFAULT : 0;
}

long wait_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	switch (nr) {
	case __NR_wait4:
		return sys_wait4(t, args);
	case __NR_waitid:
		return sys_waitid(t, args);
	case __NR_getrusage:
		return sys_getrusage(t, (int)args[0], args[1]);
	default:
		return SYSCALL_NOT_OURS;
	}
}
