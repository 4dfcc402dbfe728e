/* SPDX-License-Identifier: MIT */
/* procfile.h - what pathcall.c and procfile.c ask of each other. */
#ifndef NATIVE_PROCFILE_H
#define NATIVE_PROCFILE_H

#include "hostmem.h"

#define PROC_PATH_MAX 128

/* Besides the kinds of linux/proc.c: the lists of processors in SYS_CPU_DIR. */
#define SYS_CPU_LIST ((enum proc_kind)1000)
#define SYS_VM_DIR "/proc/sys/vm"
#define SYS_CPU_DIR "/sys/devices/system/cpu/"

/*
 * A descriptor for the file at path (absolute, normalised, of kind and pid), opened with flags of
 * open(). The number, or negative errno.
 */
long proc_file_open(struct native_task *t, const char *path, enum proc_kind kind, pid_t pid,
		    unsigned long flags);
/* fd is about to be read at pos (-1: its own position): its text is made anew at the beginning. 0
 * or negative errno. */
long proc_file_before_read(struct native_task *t, unsigned long fd, loff_t pos);

/*
 * A call that writes to args[0]; SYSCALL_NOT_OURS if that is no file of ours that takes numbers, or is not open
 * for writing.
 */
long proc_file_write(struct native_task *t, unsigned long nr, const unsigned long *args);

/* The host's own file, which is watched if it may be written. */
long proc_oom_file_open(const char *path, enum proc_kind kind, pid_t tgid, unsigned long flags);
/* A call that writes to args[0]; SYSCALL_NOT_OURS if that is none of these. */
long proc_oom_file_write(struct native_task *t, unsigned long nr, const unsigned long *args);

/* procmem.c: /proc/<pid>/mem or pagemap was opened, as the host's own file. */
void proc_mem_opened(void);
/* A call that reads or writes args[0]; SYSCALL_NOT_OURS if that is none of these. */
long proc_mem_rw(struct native_task *t, unsigned long nr, const unsigned long *args);

/* mapfiles.c: what map_files in dir lists from fd's position on, in kernel memory; bytes, negative errno. */
long map_files_getdents(struct native_task *t, const char *dir, unsigned long fd, u8 *buf,
			size_t size);
/* The link of that name, as proc_map_file(), or -EACCES. */
long map_files_link(pid_t pid, const char *name, struct file **file);
/* A path of the host's that leads to the file. 0; -EPERM, -ENXIO, -ENAMETOOLONG. */
long map_files_target(const struct file *file, char *buf, size_t size);
/* What lstat() tells of the link. 0 or negative errno. */
long map_files_lstat(const char *dir, const char *name, const struct file *file,
		     struct host_stat *st);

/* An entry of a directory, as getdents64() has it. */
struct dirent64 {
	u64 ino;
	s64 off;
	u16 reclen;
	u8 type;
	char name[];
};

/* A directory /proc/.../fd or /proc/sys/vm was opened: from now on listings are looked at. */
void proc_dir_opened(void);
/*
 * getdents64, without the machine's descriptors, or the host's variables; SYSCALL_NOT_OURS if it is no such
 * directory.
 */
long proc_dir_getdents(struct native_task *t, const unsigned long *args);

#endif
