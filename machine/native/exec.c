/* SPDX-License-Identifier: MIT */
/*
 * exec.c - execve: the host process stays, its mm is exchanged.
 *
 * The image is built in a fresh mm first; until that has succeeded nothing has changed. Then all
 * other threads of the group go. The process's id belongs to the host leader thread, so if another
 * thread called, it hands the new image to the leader (parked or not) and ends.
 */
#include <quire/slab.h>
#include <quire/sprintf.h>
#include <quire/string.h>
#include <quire/trace.h>

#include "callsite.h"
#include "signal.h"

#define AT_EMPTY_PATH 0x1000
#define AT_SYMLINK_NOFOLLOW 0x100
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define PR_SET_NAME 15
#define FD_CLOEXEC 1
#define F_GETFD 1
#define CLONE_FILES 0x400

/* An exec on its way from another thread to the leader. */
struct exec_handover {
	struct linux_binprm *bprm;
};

static struct kmem_cache *bprm_cachep, *handover_cachep;

void exec_init(void)
{
	bprm_cachep =
		kmem_cache_create("linux_binprm", sizeof(struct linux_binprm), 0, SLAB_PANIC, NULL);
	handover_cachep = kmem_cache_create("exec_handover", sizeof(struct exec_handover), 0,
					    SLAB_PANIC, NULL);
}

/* ---- Other threads ----------------------------------------------------------------------- */

/* do_exit() of a thread: an exec may wait for it. */
void exec_thread_left(struct hmm *hmm)
{
	__atomic_fetch_add(&hmm->exec_seq, 1, __ATOMIC_SEQ_CST);
	machine_wake(&hmm->exec_seq, 0x7fffffff);
}

static void kill_other_threads(struct native_task *t)
{
	struct hmm *hmm = t->hmm;
	struct native_task *other;

	spin_lock(&hmm->lock);
	list_for_each_entry(other, &hmm->tasks, hmm_node) {
		if (other == t || other == hmm->leader)
			continue;
		__atomic_fetch_or(&other->work, WORK_KILL, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&other->state, __ATOMIC_SEQ_CST) != TASK_KERNEL)
			native_kick(other);
	}
	spin_unlock(&hmm->lock);
}

/* Wait until at most `left` threads of the group have not begun to exit. */
static void wait_for_threads(struct native_task *t, int left)
{
	struct hmm *hmm = t->hmm;

	for (;;) {
		u32 seq = __atomic_load_n(&hmm->exec_seq, __ATOMIC_SEQ_CST);

		if (atomic_read(&t->task.signal->live) <= left)
			return;
		kill_other_threads(t);
		machine_wait(&hmm->exec_seq, seq, 10000000);
	}
}

/* ---- The exchange ------------------------------------------------------------------------ */

/* Descriptors marked close-on-exec, read from /proc/self/fd. */
static void close_on_exec(void)
{
	struct dirent64 {
		u64 ino;
		s64 off;
		u16 reclen;
		u8 type;
		char name[];
	};
	char *buf = kmalloc(4096, GFP_KERNEL);
	long dir, n;

	host_syscall(__NR_unshare, CLONE_FILES);
	dir = host_syscall(__NR_openat, HOST_AT_FDCWD, "/proc/self/fd",
			   HOST_O_DIRECTORY | HOST_O_CLOEXEC);
	if (!buf || dir < 0)
		goto out;
	while ((n = host_syscall(__NR_getdents64, dir, buf, 4096)) > 0) {
		for (long off = 0; off < n;) {
			const struct dirent64 *d = (const struct dirent64 *)(buf + off);
			unsigned long fd = 0;

			off += d->reclen;
			if (d->name[0] < '0' || d->name[0] > '9')
				continue;
			for (const char *c = d->name; *c; c++)
				fd = fd * 10 + (unsigned long)(*c - '0');
			if (native_fd_reserved(fd) || (long)fd == dir)
				continue;
			if (host_syscall(__NR_fcntl, fd, F_GETFD) & FD_CLOEXEC)
				host_syscall(__NR_close, fd);
		}
	}
out:
	if (dir >= 0)
		host_syscall(__NR_close, dir);
	kfree(buf);
}

static const char *vdso_name(struct vm_area_struct *vma)
{
	return vma->vm_private_data;
}

static const struct vm_operations_struct special_mapping_ops = {
	.name = vdso_name,
	.access = special_mapping_access,
};

/* The host's own pages, the same in every process. */
static int map_vdso(struct mm_struct *mm)
{
	unsigned long start = machine_params.vdso_start, image = machine_params.vdso_image;
	unsigned long end = machine_params.vdso_end;
	static char vvar[] = "[vvar]", vdso[] = "[vdso]";
	int ret = 0;

	if (!image)
		return 0;
	if (start < image)
		ret = install_special_mapping(mm, start, image - start,
					      VM_READ | VM_MAYREAD | VM_IO | VM_PFNMAP |
						      VM_DONTEXPAND | VM_DONTDUMP,
					      &special_mapping_ops, vvar);
	if (!ret)
		ret = install_special_mapping(mm, image, end - image,
					      VM_READ | VM_EXEC | VM_MAYREAD | VM_MAYEXEC |
						      VM_PFNMAP | VM_DONTEXPAND,
					      &special_mapping_ops, vdso);
	return ret;
}

/* On the host leader, alone in its group: become the new program. */
static void begin_new_exec(struct native_task *t, struct linux_binprm *bprm)
{
	struct mm_struct *old = t->task.mm;
	u64 start = trace_clock();

	futex_exec_task(&t->task);
	if (old)
		record_image(t->hmm, old);
	if (old)
		dump_image(t, old, "exec");
	complete_vfork(t);
	hmm_detach(t->hmm);
	hmm_forget_devices(t->hmm);
	hmm_drop_all();
	hmm_attach(t->hmm, bprm->mm);
	task_set_mm(&t->task, bprm->mm);
	bprm->mm = NULL;
	if (old)
		mmput(old);
	mm_set_rlimits(t->task.mm, t->task.signal);
	signal_flush_handlers(t);
	close_on_exec();
	memcpy(t->task.comm, bprm->comm, TASK_COMM_LEN);
	host_syscall(__NR_prctl, PR_SET_NAME, t->task.comm);
	host_syscall(__NR_arch_prctl, ARCH_SET_FS, 0);
	host_syscall(__NR_arch_prctl, ARCH_SET_GS, 0);
	fastcall_init_thread(t, 0);
	frame_clear(t->uc, bprm->entry, bprm->sp);
	native_count(t, NC_EXECS, 1);
	trace(TRACE_EXEC, bprm->entry, 0, start);
}

static void bprm_destroy(struct linux_binprm *bprm)
{
	if (bprm->mm)
		mmput(bprm->mm);
	bprm_free(bprm);
	kmem_cache_free(bprm_cachep, bprm);
}

/* WORK_EXEC, or the leader was parked: another thread has built our next image. */
void exec_continue(struct native_task *leader)
{
	struct exec_handover *h = leader->handover;
	struct linux_binprm *bprm;

	if (!h) {
		__atomic_fetch_and(&leader->work, ~WORK_EXEC, __ATOMIC_SEQ_CST);
		return;
	}
	bprm = h->bprm;
	wait_for_threads(leader, 1);
	hmm_wait_alone(leader);
	leader->handover = NULL;
	leader->park = 0; /* set for a leader that was parked, and for one that was not */
	kmem_cache_free(handover_cachep, h);
	__atomic_fetch_and(&leader->work, ~WORK_EXEC, __ATOMIC_SEQ_CST);
	signal_give_back(leader);
	leader->task.clear_child_tid = 0;
	leader->task.robust_list = 0;
	begin_new_exec(leader, bprm);
	leader->hmm->exec_thread = NULL;
	bprm_destroy(bprm);
}

static void exec_on_leader(struct native_task *t, struct linux_binprm *bprm)
	__attribute__((noreturn));

/* Called by a thread that is not the leader, with all others but the leader gone. */
static void exec_on_leader(struct native_task *t, struct linux_binprm *bprm)
{
	struct native_task *leader = t->hmm->leader;
	struct exec_handover *h = kmem_cache_zalloc(handover_cachep, GFP_KERNEL | __GFP_NOFAIL);

	h->bprm = bprm;
	if (t->adopted) {
		/* No leader can go on with it. */
		kmem_cache_free(handover_cachep, h);
		bprm_destroy(bprm);
		do_exit(t, 0);
	}
	spin_lock(&t->hmm->lock);
	if (leader->parked) {
		leader->parked = false; /* it lives again */
		atomic_inc(&t->task.signal->live);
	}
	leader->task.blocked = t->task.blocked;
	leader->uc->uc_sigmask = native_host_mask(t->task.blocked);
	leader->sync = t->sync;
	leader->handover = h;
	__atomic_fetch_or(&leader->work, WORK_EXEC, __ATOMIC_SEQ_CST);
	__atomic_store_n(&leader->park, PARK_WAKE, __ATOMIC_SEQ_CST);
	machine_wake(&leader->park, 1);
	if (__atomic_load_n(&leader->state, __ATOMIC_SEQ_CST) != TASK_KERNEL)
		native_kick(leader);
	spin_unlock(&t->hmm->lock);
	do_exit(t, 0);
}

/*
 * Two threads at once: the first wins, the other is one of those to go, or if it is the leader the one
 * that goes on with the other's image. It must not see its program again.
 */
static int exec_lost(struct native_task *t)
{
	struct hmm *hmm = t->hmm;

	if (t != hmm->leader)
		__atomic_fetch_or(&t->work, WORK_KILL, __ATOMIC_SEQ_CST);
	while (!(__atomic_load_n(&t->work, __ATOMIC_SEQ_CST) & (WORK_KILL | WORK_EXEC)))
		machine_wait(&t->park, 0, 1000000);
	return -EAGAIN;
}

static int de_thread(struct native_task *t)
{
	struct native_task *none = NULL;
	struct hmm *hmm = t->hmm;
	int left;

	if (!__atomic_compare_exchange_n(&hmm->exec_thread, &none, t, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_SEQ_CST))
		return exec_lost(t);
	left = t == hmm->leader || hmm->leader->parked ? 1 : 2;
	wait_for_threads(t, left);
	return 0;
}

/* ---- execve ------------------------------------------------------------------------------ */

static struct linux_binprm *bprm_new(struct native_task *t, const char *path)
{
	struct linux_binprm *bprm = kmem_cache_zalloc(bprm_cachep, GFP_KERNEL);

	if (!bprm)
		return ERR_PTR(-ENOMEM);
	if (bprm_init(bprm, path)) {
		kmem_cache_free(bprm_cachep, bprm);
		return ERR_PTR(-ENOMEM);
	}
	bprm->stack_limit = t->task.signal->rlim[RLIMIT_STACK_];
	if (!(t->task.personality & ADDR_NO_RANDOMIZE))
		bprm->randomize = READ_ONCE(randomize_va_space);
	bprm->compat_layout = t->task.personality & ADDR_COMPAT_LAYOUT;
	bprm->vdso_addr = machine_params.vdso_image;
	bprm->hwcap = machine_params.hwcap;
	bprm->hwcap2 = machine_params.hwcap2;
	bprm->minsigstksz = machine_params.minsigstksz;
	bprm->clktck = machine_params.clktck;
	bprm->uid = (u32)host_syscall(__NR_getuid);
	bprm->euid = (u32)host_syscall(__NR_geteuid);
	bprm->gid = (u32)host_syscall(__NR_getgid);
	bprm->egid = (u32)host_syscall(__NR_getegid);
	return bprm;
}

static int bprm_load(struct linux_binprm *bprm)
{
	int ret = exec_load(bprm);

	native_exec_close();
	if (!ret)
		ret = map_vdso(bprm->mm);
	return ret;
}

/* Whether the file is there is said before anything about the strings. */
static long bad_strings(const char *path, long err)
{
	struct file *file = machine_open_exec(path);

	if (IS_ERR(file))
		return PTR_ERR(file);
	fput(file);
	native_exec_close();
	return err;
}

/* Takes over path, from kmalloc(). */
static long do_execve(struct native_task *t, char *path, unsigned long argv, unsigned long envp)
{
	struct linux_binprm *bprm = bprm_new(t, path);
	struct mm_struct *mm = t->task.mm;
	long ret;

	if (IS_ERR(bprm)) {
		kfree(path);
		return PTR_ERR(bprm);
	}
	ret = bprm_copy_strings(bprm, mm, envp, true);
	if (!ret)
		ret = bprm_copy_strings(bprm, mm, argv, false);
	ret = ret ? bad_strings(path, ret) : bprm_load(bprm);
	bprm->filename = NULL;
	kfree(path);
	if (!ret) {
		bprm->point_of_no_return = false;
		ret = de_thread(t);
	}
	if (ret) {
		/* Linux has given up the old image by then and cannot return to it. */
		if (bprm->point_of_no_return)
			signal_group_exit(t, SIGSEGV);
		bprm_destroy(bprm);
		return ret;
	}
	if (t != t->hmm->leader)
		exec_on_leader(t, bprm);
	hmm_wait_alone(t);
	begin_new_exec(t, bprm);
	t->task.clear_child_tid = 0;
	t->task.robust_list = 0;
	t->hmm->exec_thread = NULL;
	bprm_destroy(bprm);
	return SYSCALL_REGS_SET;
}

/* The path that execveat() means, into buf. */
static long execveat_path(struct native_task *t, int dirfd, char *path, int flags)
{
	char *buf;

	(void)t;
	if (path[0] == '/' || (dirfd == HOST_AT_FDCWD && path[0]))
		return 0;
	if (!path[0] && !(flags & AT_EMPTY_PATH))
		return -ENOENT;
	buf = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!buf)
		return -ENOMEM;
	if (!path[0])
		snprintf(buf, PAGE_SIZE, "/proc/self/fd/%d", dirfd);
	else
		snprintf(buf, PAGE_SIZE, "/proc/self/fd/%d/%s", dirfd, path);
	strscpy(path, buf, PAGE_SIZE);
	kfree(buf);
	return 0;
}

static long sys_execve(struct native_task *t, int dirfd, unsigned long upath, unsigned long argv,
		       unsigned long envp, int flags)
{
	char *path = kmalloc(PAGE_SIZE, GFP_KERNEL);
	long ret;

	if (!path)
		return -ENOMEM;
	ret = strncpy_from_mm(t->task.mm, path, upath, PAGE_SIZE);
	if (ret == (long)PAGE_SIZE)
		ret = -ENAMETOOLONG;
	if (ret >= 0)
		ret = execveat_path(t, dirfd, path, flags);
	if (!ret)
		return do_execve(t, path, argv, envp);
	kfree(path);
	return ret;
}

long exec_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	switch (nr) {
	case __NR_execve:
		return sys_execve(t, HOST_AT_FDCWD, args[0], args[1], args[2], 0);
	case __NR_execveat:
		return sys_execve(t, (int)args[0], args[1], args[2], args[3], (int)args[4]);
	default:
		return SYSCALL_NOT_OURS;
	}
}

long first_exec(struct native_task *t, const char *path, char **argv, char **envp)
{
	struct linux_binprm *bprm = bprm_new(t, path);
	long ret;

	if (IS_ERR(bprm))
		return PTR_ERR(bprm);
	ret = bprm_copy_strings_kernel(bprm, (const char *const *)envp, true);
	if (!ret)
		ret = bprm_copy_strings_kernel(bprm, (const char *const *)argv, false);
	if (!ret)
		ret = bprm_load(bprm);
	if (!ret)
		begin_new_exec(t, bprm);
	bprm_destroy(bprm);
	return ret;
}
