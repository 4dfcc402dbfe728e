/* SPDX-License-Identifier: MIT */
/*
 * ipc_shm.c - System V shared memory: shmem objects with a number, a key and an owner.
 *
 *   shm_ids[index] -> shmid_kernel -> inode (shmem) <- struct file, one for each shmat()  <- VMAs
 *
 * A segment outlives its creator. shm_nattch counts its VMAs (open: fork and split; close: unmap
 * and exit) and calls under way; when it falls to zero after IPC_RMID, or with shm_rmid_forced, the segment
 * is destroyed. An identifier is index + sequence number * 32768, so that a removed one is not taken for its successor.
 *
 * shm_lock covers all of it. It nests inside mmap_lock: no user memory is touched under it.
 */
#include <quire/kernel.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/sched.h>
#include <quire/slab.h>
#include <quire/sprintf.h>
#include <quire/string.h>
#include <quire/uaccess.h>

#include "ipc.h"

#define SHMMIN 1
#define SEQ_SHIFT 15
#define SEQ_MAX (INT_MAX >> SEQ_SHIFT)

#define IPC_CREAT 01000
#define IPC_EXCL 02000
#define SHM_HUGETLB 04000
#define SHM_NORESERVE 010000
#define SHM_RDONLY 010000
#define SHM_RND 020000
#define SHM_REMAP 040000
#define SHM_EXEC 0100000
#define SHM_DEST 01000u /* in the mode: to be destroyed with the last detach */
#define SHM_LOCKED 02000u
#define IPC_PRIVATE 0

enum {
	IPC_RMID,
	IPC_SET,
	IPC_STAT,
	IPC_INFO,
	SHM_LOCK = 11,
	SHM_UNLOCK,
	SHM_STAT,
	SHM_INFO,
	SHM_STAT_ANY,
};

/* As user space has them: <asm/ipcbuf.h>, <asm/shmbuf.h>. */
struct ipc64_perm {
	s32 key;
	u32 uid, gid, cuid, cgid;
	u32 mode;
	u16 seq, pad2;
	u32 pad3;
	unsigned long unused[2];
};

struct shmid64_ds {
	struct ipc64_perm shm_perm;
	unsigned long shm_segsz;
	s64 shm_atime, shm_dtime, shm_ctime; /* seconds since 1970 */
	s32 shm_cpid, shm_lpid;
	unsigned long shm_nattch;
	unsigned long unused[2];
};
_Static_assert(sizeof(struct shmid64_ds) == 112, "struct shmid64_ds");

struct shminfo64 {
	unsigned long shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};

struct shm_info {
	s32 used_ids, pad;
	unsigned long shm_tot, shm_rss, shm_swp, swap_attempts, swap_successes; /* pages */
};

struct shmid_kernel {
	struct shmid64_ds ds;
	int id;
	pid_t creator; /* thread; 0: it has ended */
	struct inode *inode;
};

unsigned long shm_ctlmax, shm_ctlall;
int shm_ctlmni, shm_rmid_forced, shm_next_id;

static struct mutex shm_lock;
static struct xarray shm_ids; /* by index */
static unsigned int shm_used;
static unsigned long shm_tot; /* pages */
static unsigned int shm_seq;
static unsigned int shm_creators; /* segments whose creator has not ended */
static struct kmem_cache *shm_cachep;

static s64 now_seconds(void)
{
	return (s64)(machine_realtime_ns() / 1000000000);
}

static unsigned long shm_pages(const struct shmid_kernel *shp)
{
	return (shp->ds.shm_segsz + PAGE_SIZE - 1) >> PAGE_SHIFT;
}

/* ---- Permissions ------------------------------------------------------------------------- */

/* want: bits of a mode for owner, group and others alike. */
static bool ipc_permits(const struct ipc64_perm *perm, unsigned int want)
{
	unsigned int mode = perm->mode;
	u32 uid, gid;

	machine_current_cred(&uid, &gid);
	if (uid == perm->cuid || uid == perm->uid)
		mode >>= 6;
	else if (machine_in_group(perm->cgid) || machine_in_group(perm->gid))
		mode >>= 3;
	want = (want >> 6 | want >> 3 | want) & 7;
	return !(want & ~mode & 7) || uid == 0;
}

static bool ipc_owner(const struct ipc64_perm *perm)
{
	u32 uid, gid;

	machine_current_cred(&uid, &gid);
	return uid == 0 || uid == perm->uid || uid == perm->cuid;
}

/* ---- Life of a segment; shm_lock held ---------------------------------------------------- */

static unsigned long shm_index(int id)
{
	return (unsigned long)id & (IPCMNI - 1);
}

static struct shmid_kernel *shm_find(int id)
{
	struct shmid_kernel *shp = id < 0 ? NULL : xa_load(&shm_ids, shm_index(id));

	return shp && shp->id == id ? shp : NULL;
}

static void shm_destroy(struct shmid_kernel *shp)
{
	xa_erase(&shm_ids, shm_index(shp->id));
	shm_used--;
	shm_tot -= shm_pages(shp);
	shm_creators -= shp->creator != 0;
	iput(shp->inode);
	kmem_cache_free(shm_cachep, shp);
}

static void shm_detach(struct shmid_kernel *shp)
{
	shp->ds.shm_nattch--;
	if (!shp->ds.shm_nattch && (shm_rmid_forced || shp->ds.shm_perm.mode & SHM_DEST))
		shm_destroy(shp);
}

void shm_destroy_orphaned(void)
{
	struct shmid_kernel *shp;
	unsigned long index;

	mutex_lock(&shm_lock);
	xa_for_each(&shm_ids, index, shp) {
		if (!shp->creator && !shp->ds.shm_nattch)
			shm_destroy(shp);
	}
	mutex_unlock(&shm_lock);
}

void exit_shm(struct task_struct *task)
{
	struct shmid_kernel *shp;
	unsigned long index;

	if (!READ_ONCE(shm_creators))
		return;
	mutex_lock(&shm_lock);
	xa_for_each(&shm_ids, index, shp) {
		if (shp->creator != task->pid)
			continue;
		shp->creator = 0;
		shm_creators--;
		if (shm_rmid_forced && !shp->ds.shm_nattch)
			shm_destroy(shp);
	}
	mutex_unlock(&shm_lock);
}

static struct shmid_kernel *shm_find_key(s32 key)
{
	struct shmid_kernel *shp;
	unsigned long index;

	if (key == IPC_PRIVATE)
		return NULL;
	xa_for_each(&shm_ids, index, shp) {
		if (shp->ds.shm_perm.key == key)
			return shp;
	}
	return NULL;
}

/* Enters shp under a new identifier. -ENOSPC, -ENOMEM. */
static int shm_add_id(struct shmid_kernel *shp)
{
	unsigned int from = 0, seq = shm_seq, i;
	int err;

	if ((int)shm_used >= shm_ctlmni)
		return -ENOSPC;
	if (shm_next_id >= 0) {
		from = (unsigned int)shm_index(shm_next_id);
		seq = (unsigned int)shm_next_id >> SEQ_SHIFT;
	}
	for (i = from; i < IPCMNI && xa_load(&shm_ids, i); i++)
		;
	if (i == IPCMNI)
		return -ENOSPC;
	err = xa_insert(&shm_ids, i, shp, GFP_KERNEL);
	if (err)
		return err;
	if (shm_next_id < 0)
		shm_seq = seq == SEQ_MAX ? 0 : seq + 1;
	shm_next_id = -1;
	shp->id = (int)(seq << SEQ_SHIFT | i);
	shp->ds.shm_perm.seq = (u16)seq;
	return 0;
}

/* VM_NORESERVE: nothing is promised. */
static vm_flags_t shm_reserve(int flags)
{
	bool none = flags & SHM_NORESERVE &&
		    READ_ONCE(sysctl_overcommit_memory) != OVERCOMMIT_NEVER;

	return none ? VM_NORESERVE : 0;
}

/* There are none, but not everybody is told so. */
static bool may_have_huge_pages(struct task_struct *task, unsigned long size)
{
	return machine_capable(CAP_IPC_LOCK) || machine_in_group(0) ||
	       size <= task->signal->rlim[RLIMIT_MEMLOCK_].rlim_cur;
}

static long shm_create(struct task_struct *task, s32 key, unsigned long size, int flags)
{
	unsigned long pages = (size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct shmid_kernel *shp;
	int err;

	if (size < SHMMIN || size > shm_ctlmax)
		return -EINVAL;
	if (shm_tot + pages < shm_tot || shm_tot + pages > shm_ctlall)
		return -ENOSPC;
	if (flags & SHM_HUGETLB)
		return may_have_huge_pages(task, size) ? -ENOMEM : -EPERM;
	if ((long)size < 0)
		return -ENOMEM;
	shp = kmem_cache_zalloc(shm_cachep, GFP_KERNEL);
	if (!shp)
		return -ENOMEM;
	shp->inode = shmem_inode_new(task->mm, (loff_t)(pages << PAGE_SHIFT), shm_reserve(flags));
	if (IS_ERR(shp->inode)) {
		kmem_cache_free(shm_cachep, shp);
		return -ENOMEM;
	}
	err = shm_add_id(shp);
	if (err) {
		iput(shp->inode);
		kmem_cache_free(shm_cachep, shp);
		return err;
	}
	machine_current_cred(&shp->ds.shm_perm.uid, &shp->ds.shm_perm.gid);
	shp->ds.shm_perm.cuid = shp->ds.shm_perm.uid;
	shp->ds.shm_perm.cgid = shp->ds.shm_perm.gid;
	shp->ds.shm_perm.key = key;
	shp->ds.shm_perm.mode = (u32)flags & 0777;
	shp->ds.shm_segsz = size;
	shp->ds.shm_ctime = now_seconds();
	shp->ds.shm_cpid = task->tgid;
	shp->creator = task->pid;
	shp->inode->i_ino = (u64)shp->id;
	shp->inode->i_private = shp;
	shp->inode->i_vm_ops = shm_vm_ops();
	shm_used++;
	shm_creators++;
	shm_tot += pages;
	return shp->id;
}

long ipc_shmget(struct task_struct *task, s32 key, unsigned long size, int flags)
{
	struct shmid_kernel *shp;
	long ret;

	mutex_lock(&shm_lock);
	shp = shm_find_key(key);
	if (!shp)
		ret = key == IPC_PRIVATE || flags & IPC_CREAT ? shm_create(task, key, size, flags)
							      : -ENOENT;
	else if ((flags & (IPC_CREAT | IPC_EXCL)) == (IPC_CREAT | IPC_EXCL))
		ret = -EEXIST;
	else if (shp->ds.shm_segsz < size)
		ret = -EINVAL;
	else
		ret = ipc_permits(&shp->ds.shm_perm, (unsigned int)flags) ? shp->id : -EACCES;
	mutex_unlock(&shm_lock);
	return ret;
}

/* ---- Mappings ---------------------------------------------------------------------------- */

static struct shmid_kernel *vma_segment(const struct vm_area_struct *vma)
{
	return vma->vm_file->f_inode->i_private;
}

static void shm_open(struct vm_area_struct *vma)
{
	struct shmid_kernel *shp = vma_segment(vma);

	mutex_lock(&shm_lock);
	shp->ds.shm_nattch++;
	shp->ds.shm_atime = now_seconds();
	shp->ds.shm_lpid = machine_current()->tgid;
	mutex_unlock(&shm_lock);
}

static void shm_close(struct vm_area_struct *vma)
{
	struct shmid_kernel *shp = vma_segment(vma);

	mutex_lock(&shm_lock);
	shp->ds.shm_dtime = now_seconds();
	shp->ds.shm_lpid = machine_current()->tgid;
	shm_detach(shp);
	mutex_unlock(&shm_lock);
}

const struct vm_operations_struct *shm_vm_ops(void)
{
	static const struct vm_operations_struct ops = {
		.open = shm_open,
		.close = shm_close,
		.fault = shmem_fault,
		.map_pages = filemap_map_pages,
	};

	return &ops;
}

static bool vma_is_shm(const struct vm_area_struct *vma)
{
	return vma->vm_ops == shm_vm_ops();
}

/* An attachment: a file of its own, so that two of one segment do not merge. */
static struct file *shm_file(struct shmid_kernel *shp, bool write)
{
	static atomic_long_t attachments;
	struct file *file;
	char name[32];

	scnprintf(name, sizeof(name), "/SYSV%08x (deleted)", (u32)shp->ds.shm_perm.key);
	ihold(shp->inode);
	file = file_alloc(shp->inode, FMODE_READ | (write ? FMODE_WRITE : 0), name);
	if (IS_ERR(file))
		iput(shp->inode);
	else
		file->f_id = (u64)atomic_long_inc_return(&attachments) | 1ull << 63;
	return file;
}

/* Permission to attach: the segment with one more in shm_nattch, and a file of it. */
static struct shmid_kernel *shm_get_attached(int id, unsigned int want, bool write,
					     struct file **file)
{
	struct shmid_kernel *shp;

	mutex_lock(&shm_lock);
	shp = shm_find(id);
	if (!shp)
		shp = ERR_PTR(-EINVAL);
	else if (!ipc_permits(&shp->ds.shm_perm, want))
		shp = ERR_PTR(-EACCES);
	else
		*file = shm_file(shp, write);
	if (!IS_ERR(shp) && IS_ERR(*file))
		shp = ERR_PTR(-ENOMEM);
	if (!IS_ERR(shp))
		shp->ds.shm_nattch++;
	mutex_unlock(&shm_lock);
	return shp;
}

static void shm_put_attached(struct shmid_kernel *shp, struct file *file)
{
	fput(file);
	mutex_lock(&shm_lock);
	shm_detach(shp);
	mutex_unlock(&shm_lock);
}

long ipc_shmat(struct task_struct *task, int id, unsigned long addr, int flags)
{
	bool write = !(flags & SHM_RDONLY);
	unsigned long prot = PROT_READ | (write ? PROT_WRITE : 0), map = MAP_SHARED, ret, size;
	unsigned int want = 0444 | (write ? 0222 : 0);
	unsigned long populate = 0;
	struct shmid_kernel *shp;
	struct file *file;

	if (id < 0)
		return -EINVAL;
	if (addr) {
		if (flags & SHM_RND)
			addr &= PAGE_MASK;
		if (!PAGE_ALIGNED(addr) || (!addr && flags & SHM_REMAP))
			return -EINVAL;
		map |= flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	} else if (flags & SHM_REMAP) {
		return -EINVAL;
	}
	if (flags & SHM_EXEC) {
		prot |= PROT_EXEC;
		want |= 0111;
	}
	shp = shm_get_attached(id, want, write, &file);
	if (IS_ERR(shp))
		return PTR_ERR(shp);
	size = (unsigned long)shp->inode->i_size;
	if (addr && !(flags & SHM_REMAP) && addr + size < addr)
		ret = (unsigned long)-EINVAL;
	else
		ret = do_mmap(task->mm, file, addr, size, prot, map, 0, &populate);
	if (ret == (unsigned long)-EEXIST)
		ret = (unsigned long)-EINVAL;
	shm_put_attached(shp, file);
	if (!IS_ERR_VALUE(ret) && populate)
		mm_populate(task->mm, ret, populate);
	return (long)ret;
}

/* What was attached by one shmat(), which is being detached. */
struct attachment {
	unsigned long addr, size;
	u64 id; /* of its file; 0: not known yet */
};

/* The first VMA from there on that is a part of the attachment and stands at its place. */
static struct vm_area_struct *attached_vma(struct mm_struct *mm, struct attachment *a,
					   unsigned long from)
{
	struct vm_area_struct *vma = find_vma(mm, from);

	for (; vma; vma = vma_next(vma)) {
		if (a->id && vma->vm_end - a->addr > a->size)
			return NULL;
		if (!vma_is_shm(vma) || (vma->vm_start - a->addr) >> PAGE_SHIFT != vma->vm_pgoff)
			continue;
		if (!a->id) {
			a->id = vma->vm_file->f_id;
			a->size = (unsigned long)vma->vm_file->f_inode->i_size;
		}
		if (vma->vm_file->f_id == a->id)
			return vma;
	}
	return NULL;
}

long ipc_shmdt(struct task_struct *task, unsigned long addr)
{
	struct mm_struct *mm = task->mm;
	struct attachment a = { .addr = addr };
	unsigned long from = addr;
	long ret = -EINVAL;

	if (!PAGE_ALIGNED(addr))
		return -EINVAL;
	for (;;) {
		struct vm_area_struct *vma;
		unsigned long start = 0, end = 0;

		down_read(&mm->mmap_lock);
		vma = attached_vma(mm, &a, from);
		if (vma) {
			start = vma->vm_start;
			end = vma->vm_end;
		}
		up_read(&mm->mmap_lock);
		if (!vma)
			return ret;
		ret = do_munmap(mm, start, end - start);
		if (ret)
			return ret;
		from = end;
	}
}

/* ---- Control ----------------------------------------------------------------------------- */

static int shm_max_index(void)
{
	struct shmid_kernel *shp;
	unsigned long index;
	int last = 0;

	xa_for_each(&shm_ids, index, shp)
		last = (int)index;
	return last;
}

/* What a call answers with, to be copied out when shm_lock is released. */
struct shm_answer {
	size_t size;
	union {
		struct shminfo64 limits;
		struct shm_info info;
		struct shmid64_ds ds;
	};
};

static long shmctl_info(int cmd, struct shm_answer *out)
{
	struct shmid_kernel *shp;
	unsigned long index;

	if (cmd == IPC_INFO) {
		out->size = sizeof(out->limits);
		out->limits = (struct shminfo64){
			shm_ctlmax, SHMMIN, (unsigned long)shm_ctlmni, (unsigned long)shm_ctlmni,
			shm_ctlall, { 0 }
		};
		return shm_max_index();
	}
	out->size = sizeof(out->info);
	out->info = (struct shm_info){ .used_ids = (s32)shm_used, .shm_tot = shm_tot };
	xa_for_each(&shm_ids, index, shp)
		out->info.shm_rss += shp->inode->i_data.nrpages;
	return shm_max_index();
}

static long shmctl_stat(int id, int cmd, struct shm_answer *out)
{
	bool by_index = cmd != IPC_STAT;
	struct shmid_kernel *shp;

	shp = by_index ? (id < IPCMNI ? xa_load(&shm_ids, (unsigned long)id) : NULL) : shm_find(id);
	if (!shp)
		return -EINVAL;
	if (cmd != SHM_STAT_ANY && !ipc_permits(&shp->ds.shm_perm, 0444))
		return -EACCES;
	out->size = sizeof(out->ds);
	out->ds = shp->ds;
	return by_index ? shp->id : 0;
}

static void shm_remove(struct shmid_kernel *shp)
{
	if (!shp->ds.shm_nattch) {
		shm_destroy(shp);
		return;
	}
	shp->ds.shm_perm.mode |= SHM_DEST;
	shp->ds.shm_perm.key = IPC_PRIVATE;
}

static long shmctl_change(struct task_struct *task, int id, int cmd, const struct shmid64_ds *set)
{
	struct shmid_kernel *shp = shm_find(id);
	struct ipc64_perm *perm;

	if (!shp)
		return -EINVAL;
	perm = &shp->ds.shm_perm;
	if (!ipc_owner(perm))
		return -EPERM;
	switch (cmd) {
	case IPC_RMID:
		shm_remove(shp);
		return 0;
	case IPC_SET:
		perm->uid = set->shm_perm.uid;
		perm->gid = set->shm_perm.gid;
		perm->mode = (perm->mode & ~0777u) | (set->shm_perm.mode & 0777);
		shp->ds.shm_ctime = now_seconds();
		return 0;
	case SHM_LOCK:
		if (task->uid && !task->signal->rlim[RLIMIT_MEMLOCK_].rlim_cur)
			return -EPERM;
		perm->mode |= SHM_LOCKED;
		return 0;
	default:
		perm->mode &= ~SHM_LOCKED;
		return 0;
	}
}

long ipc_shmctl(struct task_struct *task, int id, int cmd, unsigned long ubuf)
{
	struct shm_answer answer = { 0 };
	struct shmid64_ds set;
	long ret;

	if (cmd < 0 || id < 0)
		return -EINVAL;
	if (cmd == IPC_SET && copy_from_user(&set, u64_to_user_ptr(ubuf), sizeof(set)))
		return -EFAULT;
	mutex_lock(&shm_lock);
	switch (cmd) {
	case IPC_INFO:
	case SHM_INFO:
		ret = shmctl_info(cmd, &answer);
		break;
	case IPC_STAT:
	case SHM_STAT:
	case SHM_STAT_ANY:
		ret = shmctl_stat(id, cmd, &answer);
		break;
	case IPC_RMID:
	case IPC_SET:
	case SHM_LOCK:
	case SHM_UNLOCK:
		ret = shmctl_change(task, id, cmd, &set);
		break;
	default:
		ret = -EINVAL;
	}
	mutex_unlock(&shm_lock);
	if (answer.size && copy_to_user(u64_to_user_ptr(ubuf), &answer.limits, answer.size))
		return -EFAULT;
	return ret;
}

/* ---- /proc/sysvipc/shm, boot, shutdown ---------------------------------------------------- */

void sysvipc_shm_show(struct seq_file *m)
{
	struct shmid_kernel *shp;
	unsigned long index;

	seq_puts(m,
		 "       key      shmid perms                  size  cpid  lpid nattch   uid   gid "
		 " cuid  cgid      atime      dtime      ctime                   rss               "
		 "   "
		 "swap\n");
	mutex_lock(&shm_lock);
	xa_for_each(&shm_ids, index, shp) {
		const struct shmid64_ds *ds = &shp->ds;

		seq_printf(m,
			   "%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10lu %10lu %10lu "
			   "%21lu %21lu\n",
			   ds->shm_perm.key, shp->id, ds->shm_perm.mode, ds->shm_segsz,
			   ds->shm_cpid, ds->shm_lpid, ds->shm_nattch, ds->shm_perm.uid,
			   ds->shm_perm.gid, ds->shm_perm.cuid, ds->shm_perm.cgid,
			   (unsigned long)ds->shm_atime, (unsigned long)ds->shm_dtime,
			   (unsigned long)ds->shm_ctime, shp->inode->i_data.nrpages << PAGE_SHIFT,
			   0ul);
	}
	mutex_unlock(&shm_lock);
}

void ipc_init(void)
{
	mutex_init(&shm_lock);
	xa_init(&shm_ids);
	shm_used = shm_seq = shm_creators = 0;
	shm_ctlmax = shm_ctlall = ULONG_MAX - (1UL << 24);
	shm_ctlmni = SHMMNI;
	shm_rmid_forced = 0;
	shm_next_id = -1;
	shm_tot = 0;
	shm_cachep =
		kmem_cache_create("shmid_kernel", sizeof(struct shmid_kernel), 0, SLAB_PANIC, NULL);
}

void ipc_shutdown(void)
{
	struct shmid_kernel *shp;
	unsigned long index;

	xa_for_each(&shm_ids, index, shp)
		shm_destroy(shp);
}
