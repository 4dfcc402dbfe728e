/* SPDX-License-Identifier: MIT */
/*
 * The system calls that Quire answers: memory, futexes, and what tells a program of its machine.
 *
 * syscall_table[] is indexed by number; an empty slot is not ours. Each handler gets the six raw
 * arguments, checks what Linux checks before the work, and calls the memory manager. Handlers run
 * in the caller's context with no lock held and may sleep.
 */
#include <quire/kernel.h>
#include <quire/mman.h>
#include <quire/sched.h>
#include <quire/slab.h>
#include <quire/string.h>
#include <quire/swap.h>
#include <quire/uaccess.h>
#include <quire/unistd.h>
#include <quire/vmstat.h>

#include "calls.h"
#include "ipc.h"

typedef long (*syscall_fn)(struct task_struct *task, const unsigned long *args);

#define SYSCALL(name) static long sys_##name(struct task_struct *task, const unsigned long *args)
/* For handlers that look at one of the two only. */
#define UNUSED(x) ((void)(x))

#define UIO_MAXIOV 1024
#define MAX_RW_COUNT ((unsigned long)INT_MAX & PAGE_MASK)
#define ROBUST_LIST_HEAD_SIZE 24
#define PIN_BATCH 1024ul /* pages of another process that process_vm_*v() holds at once */
#define NSEC_PER_SEC 1000000000ull

struct iovec {
	unsigned long base, len;
};

/* ---- Mappings ------------------------------------------------------------------------------- */

/* What can be said without the memory manager about MAP_HUGETLB: there are no huge pages. */
static long refuse_hugetlb(struct mm_struct *mm, unsigned long addr, unsigned long len,
			   unsigned long flags)
{
	unsigned long shift = flags >> 26 & 63 ?: 21, size = 1UL << shift, type = flags & MAP_TYPE;
	bool taken;

	if (!(flags & MAP_ANONYMOUS) || (shift != 21 && shift != 30) || !ALIGN(len, size))
		return -EINVAL;
	len = ALIGN(len, size);
	if (len > mm->task_size)
		return -ENOMEM;
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (addr % size)
			return -EINVAL;
		down_read(&mm->mmap_lock);
		taken = find_vma_intersection(mm, addr, addr + len);
		up_read(&mm->mmap_lock);
		if (flags & MAP_FIXED_NOREPLACE && taken)
			return -EEXIST;
	}
	if (type == MAP_SHARED_VALIDATE && flags & (MAP_SYNC | MAP_FIXED_NOREPLACE))
		return -EOPNOTSUPP;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	/* That there are none is found out when the place has been cleared. */
	if (flags & MAP_FIXED && !(flags & MAP_FIXED_NOREPLACE))
		do_munmap(mm, addr, len);
	return -ENOMEM;
}

SYSCALL(mmap)
{
	unsigned long flags = args[3], populate = 0, ret;
	struct file *file = NULL;

	if (!PAGE_ALIGNED(args[5]))
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		file = machine_fget((int)args[4]);
		if (IS_ERR(file))
			return PTR_ERR(file);
	}
	if (flags & MAP_HUGETLB) {
		if (file)
			fput(file);
		return refuse_hugetlb(task->mm, args[0], args[1], flags);
	}
	ret = do_mmap(task->mm, file, args[0], args[1], args[2], flags, args[5] >> PAGE_SHIFT,
		      &populate);
	if (file)
		fput(file);
	if (!IS_ERR_VALUE(ret) && populate)
		mm_populate(task->mm, ret, populate);
	return ret;
}

SYSCALL(munmap)
{
	return do_munmap(task->mm, args[0], args[1]);
}

SYSCALL(mprotect)
{
	return do_mprotect(task->mm, args[0], args[1], args[2]);
}

/* Without protection keys, key -1 is all there is. */
SYSCALL(pkey_mprotect)
{
	return (int)args[3] == -1 ? do_mprotect(task->mm, args[0], args[1], args[2]) : -EINVAL;
}

SYSCALL(mremap)
{
	return do_mremap(task->mm, args[0], args[1], args[2], args[3], args[4]);
}

SYSCALL(brk)
{
	return do_brk(task->mm, args[0]);
}

SYSCALL(madvise)
{
	return do_madvise(task->mm, args[0], args[1], (int)args[2]);
}

SYSCALL(msync)
{
	return do_msync(task->mm, args[0], args[1], (int)args[2]);
}

SYSCALL(mlock)
{
	return do_mlock(task->mm, args[0], args[1], 0);
}

SYSCALL(mlock2)
{
	if ((int)args[2] & ~MLOCK_ONFAULT)
		return -EINVAL;
	return do_mlock(task->mm, args[0], args[1], (int)args[2]);
}

SYSCALL(munlock)
{
	return do_munlock(task->mm, args[0], args[1]);
}

SYSCALL(mlockall)
{
	int flags = (int)args[0];

	if (!flags || flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
		return -EINVAL;
	return do_mlockall(task->mm, flags);
}

SYSCALL(munlockall)
{
	UNUSED(args);
	return do_munlockall(task->mm);
}

/* mincore(2) a page of answers at a time. */
SYSCALL(mincore)
{
	unsigned char __user *vec = u64_to_user_ptr(args[2]);
	unsigned long start = args[0];
	unsigned long pages = DIV_ROUND_UP(args[1], PAGE_SIZE);
	unsigned char *buf;
	long n = 0, err = 0;

	if (!PAGE_ALIGNED(start))
		return -EINVAL;
	if (start > TASK_SIZE_MAX || args[1] > TASK_SIZE_MAX - start)
		return -ENOMEM;
	if (!access_ok(vec, pages))
		return -EFAULT;
	buf = (unsigned char *)__get_free_pages(GFP_KERNEL, 0);
	if (!buf)
		return -EAGAIN;
	for (; pages && !err; pages -= (unsigned long)n) {
		n = do_mincore(task->mm, start, min(pages, PAGE_SIZE), buf);
		if (n < 0) {
			err = n;
			break;
		}
		err = copy_to_user(vec, buf, (size_t)n) ? -EFAULT : 0;
		start += (unsigned long)n << PAGE_SHIFT;
		vec += n;
	}
	free_page((unsigned long)buf);
	return err;
}

/* The shared file mapping that covers [start, start + size) as one, maybe in several VMAs. */
static struct file *file_behind(struct mm_struct *mm, unsigned long start, unsigned long size,
				vm_flags_t *vm_flags)
{
	struct vm_area_struct *vma, *next;
	struct file *file = NULL;

	down_read(&mm->mmap_lock);
	vma = vma_lookup(mm, start);
	if (vma && vma->vm_flags & VM_SHARED && vma->vm_file) {
		next = vma;
		while (next && next->vm_end < start + size) {
			struct vm_area_struct *after = vma_next(next);
			bool same = after && after->vm_start == next->vm_end &&
				    vma_same_file(after, vma) && after->vm_flags == vma->vm_flags;

			next = same ? after : NULL;
		}
		if (next) {
			file = get_file(vma->vm_file);
			*vm_flags = vma->vm_flags;
		}
	}
	up_read(&mm->mmap_lock);
	return file;
}

/* remap_file_pages(2), which is a MAP_FIXED mapping of another part of the same file. */
SYSCALL(remap_file_pages)
{
	unsigned long start = args[0] & PAGE_MASK, size = args[1] & PAGE_MASK;
	unsigned long prot = 0, flags, populate = 0, ret;
	vm_flags_t vm_flags = 0;
	struct file *file;

	if (args[2] || start + size <= start || args[3] + (size >> PAGE_SHIFT) < args[3])
		return -EINVAL;
	file = file_behind(task->mm, start, size, &vm_flags);
	if (!file)
		return -EINVAL;
	prot |= vm_flags & VM_READ ? PROT_READ : 0;
	prot |= vm_flags & VM_WRITE ? PROT_WRITE : 0;
	prot |= vm_flags & VM_EXEC ? PROT_EXEC : 0;
	flags = (args[4] & MAP_NONBLOCK) | MAP_SHARED | MAP_FIXED | MAP_POPULATE;
	if (vm_flags & VM_LOCKED)
		flags |= MAP_LOCKED;
	ret = do_mmap(task->mm, file, start, size, prot, flags, args[3], &populate);
	fput(file);
	if (IS_ERR_VALUE(ret))
		return ret;
	if (populate)
		mm_populate(task->mm, ret, populate);
	return 0;
}

/* ---- Other processes' memory ---------------------------------------------------------------- */

/*
 * A copy of the caller's vector, or NULL for an empty one. own: the buffers are his, too. ERR_PTR(-EINVAL,
 * -EFAULT, -ENOMEM).
 */
static struct iovec *get_iovec(const struct iovec __user *uvec, unsigned long count, bool own)
{
	struct iovec *iov;
	long err;

	if (count > UIO_MAXIOV)
		return ERR_PTR(-EINVAL);
	if (!count)
		return NULL;
	iov = kmalloc(count * sizeof(*iov), GFP_KERNEL);
	if (!iov)
		return ERR_PTR(-ENOMEM);
	err = copy_from_user(iov, uvec, count * sizeof(*iov)) ? -EFAULT : 0;
	for (unsigned long i = 0; !err && i < count; i++) {
		if ((long)iov[i].len < 0)
			err = -EINVAL;
		else if (own && !access_ok(u64_to_user_ptr(iov[i].base), iov[i].len))
			err = -EFAULT;
	}
	if (!err)
		return iov;
	kfree(iov);
	return ERR_PTR(err);
}

/* A place in a vector. */
struct iov_cursor {
	const struct iovec *iov;
	unsigned long left; /* entries */
	unsigned long done; /* bytes of the first */
	unsigned long ready; /* remote: bytes from there on whose pages are there */
};

/* Bytes that lie together at the cursor; *addr is where. 0: the end. */
static unsigned long iov_here(struct iov_cursor *c, unsigned long *addr)
{
	while (c->left && c->done == c->iov->len) {
		c->iov++;
		c->left--;
		c->done = 0;
	}
	if (!c->left)
		return 0;
	*addr = c->iov->base + c->done;
	return c->iov->len - c->done;
}

/*
 * As on Linux the remote pages are there, and the program's own if they are to be written, before
 * anything is copied. How many bytes from addr on that holds for.
 */
static unsigned long fault_in_remote(struct mm_struct *remote, unsigned long addr,
				     unsigned long len, bool write)
{
	unsigned long end = addr + min(len, PIN_BATCH << PAGE_SHIFT);

	for (unsigned long at = addr & PAGE_MASK; at < end; at += PAGE_SIZE) {
		struct page *page = get_user_page(remote, at, write);

		if (IS_ERR(page))
			return at > addr ? at - addr : 0;
		put_page(page);
	}
	return end - addr;
}

/* Through one page of the kernel; what was copied before an error counts. */
static long copy_between(struct mm_struct *remote, struct iov_cursor *local,
			 struct iov_cursor *there, char *buf, bool write)
{
	unsigned long total = 0;
	long err = 0;

	while (total < MAX_RW_COUNT) {
		unsigned long la = 0, ra = 0, got, left = 0;
		unsigned long n = min(iov_here(local, &la), iov_here(there, &ra));

		n = min3(n, PAGE_SIZE - (ra & ~PAGE_MASK), MAX_RW_COUNT - total);
		if (!n)
			break;
		if (!there->ready)
			there->ready =
				fault_in_remote(remote, ra, there->iov->len - there->done, write);
		if (!there->ready) {
			err = -EFAULT;
			break;
		}
		n = min(n, there->ready);
		if (write)
			left = copy_from_user(buf, u64_to_user_ptr(la), n);
		got = access_remote_mm(remote, ra, buf, n - left, write, false);
		if (!write)
			got -= copy_to_user(u64_to_user_ptr(la), buf, got);
		total += got;
		local->done += got;
		there->done += got;
		there->ready -= got;
		if (got < n) {
			err = -EFAULT;
			break;
		}
	}
	return total ? (long)total : err;
}

static long process_vm_rw(struct task_struct *task, const unsigned long *args, bool write)
{
	struct iov_cursor local = { .left = (u32)args[2] }, there = { .left = args[4] };
	struct iovec *liov, *riov;
	struct mm_struct *mm;
	unsigned long addr;
	long ret = 0;
	char *buf;

	if (args[5])
		return -EINVAL;
	liov = get_iovec(u64_to_user_ptr(args[1]), local.left, true);
	if (IS_ERR(liov))
		return PTR_ERR(liov);
	local.iov = liov;
	if (!iov_here(&local, &addr)) { /* nobody looks at the other vector */
		kfree(liov);
		return 0;
	}
	riov = get_iovec(u64_to_user_ptr(args[3]), there.left, false);
	if (IS_ERR(riov)) {
		kfree(liov);
		return PTR_ERR(riov);
	}
	there.iov = riov;
	if (iov_here(&there, &addr)) {
		ret = ptrace_may_access(task, (pid_t)args[0] ?: -1);
		mm = get_task_mm((pid_t)args[0]);
		buf = (char *)__get_free_pages(GFP_KERNEL, 0);
		if (!ret && (!mm || !buf))
			ret = mm ? -ENOMEM : -ESRCH;
		if (!ret)
			ret = copy_between(mm, &local, &there, buf, write);
		if (buf)
			free_page((unsigned long)buf);
		if (mm)
			mmput(mm);
	}
	kfree(riov);
	kfree(liov);
	return ret;
}

SYSCALL(process_vm_readv)
{
	return process_vm_rw(task, args, false);
}

SYSCALL(process_vm_writev)
{
	return process_vm_rw(task, args, true);
}

/* ---- System V shared memory ----------------------------------------------------------------- */

SYSCALL(shmget)
{
	return ipc_shmget(task, (s32)args[0], args[1], (int)args[2]);
}

SYSCALL(shmat)
{
	return ipc_shmat(task, (int)args[0], args[1], (int)args[2]);
}

SYSCALL(shmdt)
{
	return ipc_shmdt(task, args[0]);
}

SYSCALL(shmctl)
{
	return ipc_shmctl(task, (int)args[0], (int)args[1], args[2]);
}

/* ---- Futexes and threads -------------------------------------------------------------------- */

SYSCALL(futex)
{
	return do_futex(task, args[0], (int)args[1], (u32)args[2], args[3], args[4], (u32)args[5]);
}

SYSCALL(futex_waitv)
{
	return do_futex_waitv(task, args[0], (unsigned int)args[1], (unsigned int)args[2], args[3],
			      (int)args[4]);
}

SYSCALL(set_robust_list)
{
	if (args[1] != ROBUST_LIST_HEAD_SIZE)
		return -EINVAL;
	task->robust_list = args[0];
	return 0;
}

SYSCALL(get_robust_list)
{
	unsigned long head = task->robust_list, size = ROBUST_LIST_HEAD_SIZE;
	pid_t pid = (pid_t)args[0];
	struct task_struct *other;

	if (pid) {
		spin_lock(&tasklist_lock);
		other = find_task_by_pid(pid);
		head = other ? other->robust_list : 0;
		spin_unlock(&tasklist_lock);
		if (!other)
			return -ESRCH;
	}
	if (put_user(size, user_ptr(unsigned long, args[2])))
		return -EFAULT;
	return put_user(head, user_ptr(unsigned long, args[1]));
}

SYSCALL(set_tid_address)
{
	task->clear_child_tid = args[0];
	return task->pid;
}

/* ---- The machine, as programs ask for it ------------------------------------------------------ */

void linux_sysinfo(struct sysinfo *info)
{
	struct task_struct *t;

	info->totalram = totalram_pages() << PAGE_SHIFT;
	info->freeram = nr_free_pages() << PAGE_SHIFT;
	info->sharedram = node_page_state(NR_SHMEM) << PAGE_SHIFT;
	info->bufferram = 0;
	info->totalswap = READ_ONCE(total_swap_pages) << PAGE_SHIFT;
	info->freeswap = (unsigned long)max(get_nr_swap_pages(), 0L) << PAGE_SHIFT;
	info->totalhigh = info->freehigh = 0;
	info->procs = 0;
	info->mem_unit = 1;
	spin_lock(&tasklist_lock);
	list_for_each_entry(t, &task_list, tasks)
		info->procs++;
	spin_unlock(&tasklist_lock);
}

SYSCALL(sysinfo)
{
	struct sysinfo info = { .uptime = DIV_ROUND_UP(machine_clock_ns(), NSEC_PER_SEC) };

	UNUSED(task);
	linux_sysinfo(&info);
	return copy_to_user(u64_to_user_ptr(args[0]), &info, sizeof(info)) ? -EFAULT : 0;
}

static u64 all_cpus(void)
{
	return ~0ULL >> (64 - machine_nr_cpus());
}

/* The thread pid's, 0 for the caller's: *set, if given, becomes its mask. 0: there is no such thread. */
static u64 thread_cpus(struct task_struct *task, pid_t pid, const u64 *set)
{
	u64 cpus = 0;

	spin_lock(&tasklist_lock);
	if (pid)
		task = find_task_by_pid(pid);
	if (task && set)
		task->cpus_allowed = *set;
	if (task)
		cpus = task->cpus_allowed ? task->cpus_allowed : all_cpus();
	spin_unlock(&tasklist_lock);
	return cpus;
}

SYSCALL(sched_getaffinity)
{
	u32 len = (u32)args[1];
	u64 mask;

	if (len * 8 < machine_nr_cpus() || len % sizeof(mask))
		return -EINVAL;
	mask = thread_cpus(task, (pid_t)args[0], NULL);
	if (!mask)
		return -ESRCH;
	return put_user(mask, user_ptr(u64, args[2])) ?: (long)sizeof(mask);
}

/* Kept for who asks: what a program sees as processors are not what it runs on. */
SYSCALL(sched_setaffinity)
{
	size_t len = min((size_t)(u32)args[1], sizeof(u64));
	u64 mask = 0;

	if (copy_from_user(&mask, u64_to_user_ptr(args[2]), len))
		return -EFAULT;
	if (!thread_cpus(task, (pid_t)args[0], NULL))
		return -ESRCH;
	mask &= all_cpus();
	if (!mask)
		return -EINVAL;
	return thread_cpus(task, (pid_t)args[0], &mask) ? 0 : -ESRCH;
}

SYSCALL(getcpu)
{
	u32 cpu = machine_cpu_id(), node = 0;

	UNUSED(task);
	if (args[0] && put_user(cpu, user_ptr(u32, args[0])))
		return -EFAULT;
	return args[1] ? put_user(node, user_ptr(u32, args[1])) : 0;
}

/* ---- Limits and usage ------------------------------------------------------------------------- */

/* The limits that the memory manager obeys; the others are the host's. */
static bool is_memory_rlimit(unsigned int resource)
{
	return resource == RLIMIT_AS_ || resource == RLIMIT_DATA_ || resource == RLIMIT_STACK_ ||
	       resource == RLIMIT_MEMLOCK_;
}

/* The group of pid (0: the caller's) with a reference, or NULL. */
static struct signal_struct *get_signal(struct task_struct *task, pid_t pid)
{
	struct task_struct *other = task;
	struct signal_struct *signal = NULL;

	spin_lock(&tasklist_lock);
	if (pid)
		other = find_task_by_pid(pid) ?: find_group_leader(pid);
	if (other) {
		signal = other->signal;
		atomic_inc(&signal->count);
	}
	spin_unlock(&tasklist_lock);
	return signal;
}

static long set_rlimit(struct signal_struct *signal, unsigned int resource,
		       const struct rlimit64 *limit)
{
	bool privileged = limit->rlim_max > signal->rlim[resource].rlim_max &&
			  machine_capable(CAP_SYS_RESOURCE);
	struct rlimit64 *slot = &signal->rlim[resource];
	struct mm_struct *mm;
	long err = 0;

	if (limit->rlim_cur > limit->rlim_max)
		return -EINVAL;
	spin_lock(&signal->siglock);
	if (limit->rlim_max > slot->rlim_max && !privileged)
		err = -EPERM;
	else
		*slot = *limit;
	spin_unlock(&signal->siglock);
	mm = err ? NULL : get_task_mm(signal->tgid);
	if (mm) {
		mm_set_rlimits(mm, signal);
		mmput(mm);
	}
	return err;
}

/* unew and uold may be NULL. */
static long do_prlimit(struct task_struct *task, pid_t pid, unsigned int resource,
		       const void __user *unew, void __user *uold)
{
	struct signal_struct *signal;
	struct rlimit64 limit, old;
	long err = 0;

	if (!is_memory_rlimit(resource))
		return SYSCALL_NOT_OURS;
	if (unew && copy_from_user(&limit, unew, sizeof(limit)))
		return -EFAULT;
	signal = get_signal(task, pid);
	if (!signal)
		return -ESRCH;
	spin_lock(&signal->siglock);
	old = signal->rlim[resource];
	spin_unlock(&signal->siglock);
	if (unew)
		err = set_rlimit(signal, resource, &limit);
	signal_put(signal);
	if (!err && uold)
		err = copy_to_user(uold, &old, sizeof(old)) ? -EFAULT : 0;
	return err;
}

SYSCALL(prlimit64)
{
	return do_prlimit(task, (pid_t)args[0], (unsigned int)args[1], u64_to_user_ptr(args[2]),
			  u64_to_user_ptr(args[3]));
}

SYSCALL(getrlimit)
{
	if (is_memory_rlimit((unsigned int)args[0]) && !args[1])
		return -EFAULT;
	return do_prlimit(task, 0, (unsigned int)args[0], NULL, u64_to_user_ptr(args[1]));
}

SYSCALL(setrlimit)
{
	if (is_memory_rlimit((unsigned int)args[0]) && !args[1])
		return -EFAULT;
	return do_prlimit(task, 0, (unsigned int)args[0], u64_to_user_ptr(args[1]), NULL);
}

/* getrusage() itself is the host's, which knows the times; the machine puts these in. */
void linux_rusage(struct task_struct *task, int who, struct rusage_counts *out)
{
	struct signal_struct *signal = task->signal;
	struct mm_struct *mm = task->mm;
	unsigned long rss;

	spin_lock(&signal->siglock);
	*out = signal->children;
	rss = signal->maxrss;
	spin_unlock(&signal->siglock);
	if (who == -1)
		return;
	out->min_flt = atomic_long_read(&signal->min_flt);
	out->maj_flt = atomic_long_read(&signal->maj_flt);
	if (mm)
		rss = max3(rss, mm->hiwater_rss << (PAGE_SHIFT - 10),
			   get_mm_rss(mm) << (PAGE_SHIFT - 10));
	out->maxrss = rss;
}

/* ---- What is not built, and what is not for guests ------------------------------------------ */

SYSCALL(ni_syscall)
{
	UNUSED(task);
	UNUSED(args);
	return -ENOSYS;
}

SYSCALL(not_permitted)
{
	UNUSED(task);
	UNUSED(args);
	return -EPERM;
}

SYSCALL(invalid)
{
	UNUSED(task);
	UNUSED(args);
	return -EINVAL;
}

static const syscall_fn syscall_table[NR_SYSCALLS] = {
	[__NR_mmap] = sys_mmap,
	[__NR_munmap] = sys_munmap,
	[__NR_mprotect] = sys_mprotect,
	[__NR_pkey_mprotect] = sys_pkey_mprotect,
	[__NR_mremap] = sys_mremap,
	[__NR_remap_file_pages] = sys_remap_file_pages,
	[__NR_brk] = sys_brk,
	[__NR_madvise] = sys_madvise,
	[__NR_msync] = sys_msync,
	[__NR_mincore] = sys_mincore,
	[__NR_mlock] = sys_mlock,
	[__NR_mlock2] = sys_mlock2,
	[__NR_munlock] = sys_munlock,
	[__NR_mlockall] = sys_mlockall,
	[__NR_munlockall] = sys_munlockall,
	[__NR_membarrier] = membarrier_call,
	[__NR_process_vm_readv] = sys_process_vm_readv,
	[__NR_process_vm_writev] = sys_process_vm_writev,

	[__NR_futex] = sys_futex,
	[__NR_futex_waitv] = sys_futex_waitv,
	[__NR_set_robust_list] = sys_set_robust_list,
	[__NR_get_robust_list] = sys_get_robust_list,
	[__NR_set_tid_address] = sys_set_tid_address,

	[__NR_sysinfo] = sys_sysinfo,
	[__NR_sched_getaffinity] = sys_sched_getaffinity,
	[__NR_sched_setaffinity] = sys_sched_setaffinity,
	[__NR_getcpu] = sys_getcpu,
	[__NR_get_mempolicy] = numa_get_mempolicy,
	[__NR_set_mempolicy] = numa_set_mempolicy,
	[__NR_mbind] = numa_mbind,
	[__NR_prlimit64] = sys_prlimit64,
	[__NR_getrlimit] = sys_getrlimit,
	[__NR_setrlimit] = sys_setrlimit,

	[__NR_rseq] = sys_ni_syscall,
	[__NR_io_uring_setup] = sys_ni_syscall,
	[__NR_io_uring_enter] = sys_ni_syscall,
	[__NR_io_uring_register] = sys_ni_syscall,
	[__NR_io_setup] = sys_ni_syscall,
	[__NR_io_destroy] = sys_ni_syscall,
	[__NR_io_getevents] = sys_ni_syscall,
	[__NR_io_pgetevents] = sys_ni_syscall,
	[__NR_io_submit] = sys_ni_syscall,
	[__NR_io_cancel] = sys_ni_syscall,
	[__NR_pkey_alloc] = sys_ni_syscall,
	[__NR_pkey_free] = sys_ni_syscall,
	[__NR_mseal] = sys_ni_syscall,
	[__NR_process_madvise] = sys_ni_syscall,
	[__NR_process_mrelease] = sys_ni_syscall,
	[__NR_memfd_secret] = sys_ni_syscall,
	[__NR_map_shadow_stack] = sys_ni_syscall,
	[__NR_futex_wake] = sys_ni_syscall,
	[__NR_futex_wait] = sys_ni_syscall,
	[__NR_futex_requeue] = sys_ni_syscall,
	[__NR_shmget] = sys_shmget,
	[__NR_shmat] = sys_shmat,
	[__NR_shmdt] = sys_shmdt,
	[__NR_shmctl] = sys_shmctl,
	[__NR_migrate_pages] = numa_migrate_pages,
	[__NR_move_pages] = numa_move_pages,
	[__NR_set_mempolicy_home_node] = numa_set_home_node,
	[__NR_uselib] = sys_ni_syscall,

	[__NR_ptrace] = sys_not_permitted,
	[__NR_bpf] = sys_not_permitted,
	[__NR_swapon] = sys_not_permitted,
	[__NR_swapoff] = sys_not_permitted,
	[__NR_seccomp] = sys_invalid,
};

long linux_syscall(struct task_struct *task, unsigned long nr, const unsigned long *args)
{
	syscall_fn handler = nr < NR_SYSCALLS ? syscall_table[nr] : NULL;

	return handler ? handler(task, args) : SYSCALL_NOT_OURS;
}
