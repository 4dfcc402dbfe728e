/* SPDX-License-Identifier: MIT */
/* sysctl.h - the machine's variables under /proc/sys (sysctl.c). */
#ifndef QUIRE_LINUX_SYSCTL_H
#define QUIRE_LINUX_SYSCTL_H

#include "seq_file.h"

enum ctl_type {
	CTL_INT,
	CTL_ULONG,
};

/*
 * A file of numbers. A value outside [min, max] is -EINVAL and none is stored; for CTL_ULONG the two are
 * read as unsigned. Values are read and stored without a lock, each by itself.
 */
struct ctl_table {
	const char *procname; /* path below /proc/sys/ */
	enum ctl_type type;
	void *data; /* int or unsigned long, nr of them; NULL: nothing to read */
	unsigned int nr; /* 0: one */
	long min, max;
	/*
	 * Instead of storing: takes the values, one for each of nr, those that were not given as they are now. 0
	 * or negative errno. May sleep.
	 */
	int (*store)(const struct ctl_table *table, const unsigned long *values);
};

#define CTL_MAX_VALUES 8

/* The number of the file at path, which begins behind "/proc/sys/"; -1: there is none. */
int sysctl_find(const char *path);
/* Its text. 0 or negative errno. May sleep. */
int sysctl_show(struct seq_file *m, int nr);
/*
 * What a write(2) of len bytes at byte pos does: bytes taken, or -EINVAL or what the file itself finds wrong.
 * text need not be terminated. May sleep.
 */
long sysctl_write(int nr, u64 pos, const char *text, size_t len);

#endif
