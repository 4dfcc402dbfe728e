/* SPDX-License-Identifier: MIT */
/*
 * mmap.c - mmap, munmap, brk: where a new mapping goes and what it is; stacks that grow.
 *
 *	0      mmap_min_addr                      mmap_base              task_size
 *	+------+-----+------+-----------+--------------+---------+--------+
 *	| none | exe | heap -> brk      | <- mmap top-down        | stack  |
 *	+------+-----+------+-----------+--------------+---------+--------+
 *
 * A mapping without a wish goes to the highest hole below mmap_base, and when there is none to the
 * lowest above mmap_legacy_base, a third of the way up (as Linux on x86-64). Programs with the personality
 * ADDR_COMPAT_LAYOUT get the lowest hole at once. Below a stack VMA STACK_GUARD_GAP stays free.
 *
 * The order of the checks is Linux's, since a program sees the first one that fails. A mapping over
 * others (MAP_FIXED) cuts these first, then gets all the memory it needs, and only then unmaps them:
 * when memory runs out they are all still there, though perhaps in more pieces.
 */
#include <quire/err.h>
#include <quire/fs.h>
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/pagemap.h>
#include <quire/trace.h>
#include <quire/userfaultfd_k.h>

#include "vma.h"

unsigned long mmap_min_addr = 65536;
unsigned long mmap_hole_start, mmap_hole_end;

/* MAP_32BIT: the second GiB, which fits sign-extended 32-bit offsets. */
#define MAP_32BIT_START 0x40000000UL
#define MAP_32BIT_END 0x80000000UL

/* What MAP_SHARED_VALIDATE lets pass: the flags older than it, and sizes of huge pages. */
#define LEGACY_MAP_MASK                                                                          \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | \
	 MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK |  \
	 MAP_HUGETLB | MAP_32BIT | 31UL << 26)

/* ---- Where -------------------------------------------------------------------------------- */

/* The lowest place for len bytes in [low, high) that keeps the gap below a stack free. */
static unsigned long unmapped_area(struct mm_struct *mm, unsigned long low, unsigned long high,
				   unsigned long len)
{
	for (;;) {
		unsigned long addr;
		struct vm_area_struct *next;

		if (low >= high || high - low < len)
			return (unsigned long)-ENOMEM;
		addr = rt_gap_up(&mm->mm_rt, low, high, len, 1, 0);
		if (IS_ERR_VALUE(addr))
			return addr;
		if (in_mmap_hole(addr, addr + len)) {
			low = mmap_hole_end;
			continue;
		}
		next = find_vma(mm, addr);
		if (!next || addr + len <= vm_start_gap(next))
			return addr;
		low = next->vm_end;
	}
}

/* The highest. */
static unsigned long unmapped_area_topdown(struct mm_struct *mm, unsigned long low,
					   unsigned long high, unsigned long len)
{
	for (;;) {
		unsigned long addr;
		struct vm_area_struct *next;

		if (low >= high || high - low < len)
			return (unsigned long)-ENOMEM;
		addr = rt_gap_down(&mm->mm_rt, low, high, len, 1, 0);
		if (IS_ERR_VALUE(addr))
			return addr;
		if (in_mmap_hole(addr, addr + len)) {
			high = mmap_hole_start;
			continue;
		}
		next = find_vma(mm, addr);
		if (!next || addr + len <= vm_start_gap(next))
			return addr;
		high = vm_start_gap(next);
	}
}

static bool range_is_free(struct mm_struct *mm, unsigned long addr, unsigned long len)
{
	struct vm_area_struct *vma = find_vma(mm, addr);

	return !in_mmap_hole(addr, addr + len) && (!vma || addr + len <= vm_start_gap(vma));
}

static unsigned long arch_get_unmapped_area(struct mm_struct *mm, unsigned long addr,
					    unsigned long len, unsigned long flags)
{
	unsigned long low = mm->mmap_legacy_base, high = mm->task_size;

	if (flags & MAP_32BIT) {
		low = MAP_32BIT_START;
		high = MAP_32BIT_END;
	}
	if (len > high)
		return (unsigned long)-ENOMEM;
	if (addr) {
		addr = PAGE_ALIGN(addr);
		if (high - len >= addr && range_is_free(mm, addr, len))
			return addr;
	}
	return unmapped_area(mm, low, high, len);
}

static unsigned long arch_get_unmapped_area_topdown(struct mm_struct *mm, unsigned long addr,
						    unsigned long len, unsigned long flags)
{
	unsigned long hint = addr & PAGE_MASK;

	if (flags & MAP_32BIT || mm->mmap_upward)
		return arch_get_unmapped_area(mm, addr, len, flags);
	if (hint && mm->task_size - len >= hint && range_is_free(mm, hint, len))
		return hint;
	addr = unmapped_area_topdown(mm, max(PAGE_SIZE, PAGE_ALIGN(mmap_min_addr)), mm->mmap_base,
				     len);
	if (!IS_ERR_VALUE(addr))
		return addr;
	return arch_get_unmapped_area(mm, hint, len, flags);
}

/* Whole huge pages of anonymous memory are placed at huge-page boundaries where there is room. */
static unsigned long thp_get_unmapped_area(struct mm_struct *mm, unsigned long len,
					   unsigned long flags)
{
	unsigned long addr, ahead;

	if (len + PMD_SIZE < len)
		return 0;
	addr = arch_get_unmapped_area_topdown(mm, 0, len + PMD_SIZE, flags);
	if (IS_ERR_VALUE(addr))
		return 0;
	ahead = -addr & (PMD_SIZE - 1);
	return addr + (ahead ? ahead : PMD_SIZE);
}

unsigned long __get_unmapped_area(struct mm_struct *mm, struct file *file, unsigned long addr,
				  unsigned long len, unsigned long flags)
{
	unsigned long place = 0;

	if (len > mm->task_size)
		return (unsigned long)-ENOMEM;
	if (flags & MAP_FIXED) {
		place = addr;
	} else {
		if (!file && !(flags & MAP_SHARED) && !addr && IS_ALIGNED(len, PMD_SIZE))
			place = thp_get_unmapped_area(mm, len, flags);
		if (!place)
			place = arch_get_unmapped_area_topdown(mm, addr, len, flags);
		if (IS_ERR_VALUE(place))
			return place;
	}
	if (place > mm->task_size - len || in_mmap_hole(place, place + len))
		return (unsigned long)-ENOMEM;
	if (!PAGE_ALIGNED(place))
		return (unsigned long)-EINVAL;
	if (place < mmap_min_addr)
		return (unsigned long)-EPERM;
	return place;
}

unsigned long get_unmapped_area(struct mm_struct *mm, unsigned long addr, unsigned long len,
				pgoff_t pgoff, unsigned long flags)
{
	(void)pgoff;
	/* Without MAP_ANONYMOUS a file is behind it; which one does not matter for its place. */
	return __get_unmapped_area(mm, NULL, addr, len,
				   flags & MAP_ANONYMOUS ? flags : flags | MAP_SHARED);
}

/* ---- What --------------------------------------------------------------------------------- */

struct mmap_request {
	struct mm_struct *mm;
	struct file *file;
	unsigned long addr, len;
	unsigned long prot, flags;
	pgoff_t pgoff;
	vm_flags_t vm_flags;
	const struct vm_operations_struct *vm_ops; /* special mappings only */
	void *vm_private_data;
};

static vm_flags_t calc_vm_flags(const struct mmap_request *req)
{
	vm_flags_t f = req->prot & VM_ACCESS_FLAGS; /* PROT_* and VM_* agree */

	if (req->flags & MAP_GROWSDOWN)
		f |= VM_GROWSDOWN;
	if (req->flags & MAP_LOCKED)
		f |= VM_LOCKED;
	if (req->flags & MAP_SYNC)
		f |= VM_SYNC;
	if (req->flags & MAP_STACK)
		f |= VM_NOHUGEPAGE;
	return f | req->mm->def_flags | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
}

/* Bytes of a regular file end at the largest loff_t. */
static bool file_mmap_ok(const struct file *file, pgoff_t pgoff, unsigned long len)
{
	bool regular = file->f_inode && file->f_inode->i_kind != INODE_ZERO &&
		       file->f_inode->i_kind != INODE_DEVICE;
	const unsigned long max_bytes = regular ? LONG_MAX : ULONG_MAX;

	return len <= max_bytes && pgoff <= (max_bytes - len) >> PAGE_SHIFT;
}

/* May this file be mapped so? Sets what follows from how it was opened. */
static int check_file_mapping(struct mmap_request *req)
{
	const struct file *file = req->file;

	if (!file_mmap_ok(file, req->pgoff, req->len))
		return -EOVERFLOW;
	switch (req->flags & MAP_TYPE) {
	case MAP_SHARED_VALIDATE:
		if (req->flags & ~(LEGACY_MAP_MASK | MAP_TYPE))
			return -EOPNOTSUPP;
		fallthrough;
	case MAP_SHARED:
		if (req->prot & PROT_WRITE && !(file->f_mode & FMODE_WRITE))
			return -EACCES;
		req->vm_flags |= VM_SHARED | VM_MAYSHARE;
		if (!(file->f_mode & FMODE_WRITE))
			req->vm_flags &= ~(VM_MAYWRITE | VM_SHARED);
		if (file->f_mode & FMODE_SEALED ||
		    (file->f_inode && READ_ONCE(file->f_inode->i_sealed))) {
			if (req->prot & PROT_WRITE)
				return -EPERM;
			req->vm_flags &= ~VM_MAYWRITE;
		}
		break;
	case MAP_PRIVATE:
		break;
	default:
		return -EINVAL;
	}
	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	if (file->f_mode & FMODE_NOEXEC) {
		if (req->prot & PROT_EXEC)
			return -EPERM;
		req->vm_flags &= ~VM_MAYEXEC;
	}
	if (!file->f_inode)
		return -ENODEV;
	if (req->vm_flags & VM_GROWSDOWN)
		return -EINVAL;
	if (file->f_op)
		req->vm_flags |= VM_PFNMAP;
	return 0;
}

static int check_anon_mapping(struct mmap_request *req)
{
	switch (req->flags & MAP_TYPE) {
	case MAP_SHARED:
		if (req->vm_flags & VM_GROWSDOWN)
			return -EINVAL;
		req->pgoff = 0;
		req->vm_flags |= VM_SHARED | VM_MAYSHARE;
		return 0;
	case MAP_PRIVATE:
		req->pgoff = req->addr >> PAGE_SHIFT;
		return 0;
	default:
		return -EINVAL;
	}
}

/* The object behind MAP_SHARED | MAP_ANONYMOUS. */
static struct file *shmem_zero_setup(const struct mmap_request *req)
{
	struct inode *inode = shmem_inode_new(req->mm, (loff_t)req->len, req->vm_flags);
	struct file *file;

	if (IS_ERR(inode))
		return ERR_PTR(PTR_ERR(inode));
	file = file_alloc(inode, FMODE_READ | FMODE_WRITE, "/dev/zero (deleted)");
	if (IS_ERR(file))
		iput(inode);
	return file;
}

static const struct vm_operations_struct *file_vm_ops(const struct file *file)
{
	if (!file || file->f_op || file->f_inode->i_kind == INODE_ZERO)
		return NULL;
	if (file->f_inode->i_vm_ops)
		return file->f_inode->i_vm_ops;
	return file->f_inode->i_kind == INODE_SHMEM ? &shmem_vm_ops : &generic_file_vm_ops;
}

/*
 * A VMA for the request, in no tree yet, and room in the tree for it. file's reference is the VMA's
 * on success, and dropped otherwise; it may be an error pointer.
 */
static struct vm_area_struct *new_vma_for(const struct mmap_request *req, struct file *file)
{
	struct vm_area_struct *vma;

	if (IS_ERR(file))
		return ERR_PTR(PTR_ERR(file));
	vma = vm_area_alloc(req->mm);
	if (!vma || rt_preallocate(&req->mm->mm_rt, 1, GFP_KERNEL)) {
		if (vma)
			vm_area_free(vma);
		if (file)
			fput(file);
		return ERR_PTR(-ENOMEM);
	}
	vma->vm_start = req->addr;
	vma->vm_end = req->addr + req->len;
	vma->vm_pgoff = req->pgoff;
	vma->vm_flags = req->vm_flags;
	vma->vm_file = file;
	vma->vm_ops = req->vm_ops ? req->vm_ops : file_vm_ops(file);
	vma->vm_private_data = req->vm_private_data;
	vma_set_page_prot(vma);
	return vma;
}

/* What is mapped: a file, a new shared object, or NULL. With a reference. */
static struct file *backing_of(const struct mmap_request *req)
{
	if (req->file && !(req->file->f_inode->i_kind == INODE_ZERO && req->vm_flags & VM_SHARED))
		return get_file(req->file);
	return req->vm_flags & VM_SHARED ? shmem_zero_setup(req) : NULL;
}

/* Private memory that the program may write has to come from somewhere one day. */
static bool accountable_mapping(vm_flags_t flags)
{
	return (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) == VM_WRITE;
}

/*
 * Count what a new mapping of the request takes, given what it replaces: 0 or -ENOMEM. The pages of
 * VM_ACCOUNT mappings it replaces are given back when those are unmapped.
 */
static int charge_mapping(struct mmap_request *req, const struct munmap_counts *old)
{
	unsigned long pages = req->len >> PAGE_SHIFT;

	if (!may_expand_vm(req->mm, req->vm_flags, pages - old->nr_pages))
		return -ENOMEM;
	if (req->vm_ops || !accountable_mapping(req->vm_flags))
		return 0;
	if (vm_enough_memory(req->mm, pages - old->nr_accounted))
		return -ENOMEM;
	vm_acct_memory(old->nr_accounted);
	req->vm_flags |= VM_ACCOUNT;
	return 0;
}

/* The file maps the VMA itself. If it will not, nothing is at these addresses, as on Linux. */
static int mmap_file(struct mmap_request *req, struct vm_area_struct *vma)
{
	int err;

	vma->vm_flags &= ~VM_LOCKED_MASK;
	err = req->file->f_op->mmap(req->file, vma);
	if (err) {
		if (req->vm_flags & VM_ACCOUNT)
			vm_unacct_memory(vma_pages(vma));
		vm_area_free(vma);
		return err;
	}
	req->vm_flags = vma->vm_flags;
	return 0;
}

/* Everything has been checked but memory. */
static int mmap_region(struct mmap_request *req)
{
	unsigned long end = req->addr + req->len, pages = req->len >> PAGE_SHIFT;
	struct mm_struct *mm = req->mm;
	struct vm_area_struct *vma = NULL;
	struct munmap_counts old;
	struct vma_merge m;
	int err;

	err = munmap_prepare(mm, req->addr, end, &old);
	if (!err)
		err = charge_mapping(req, &old);
	if (err)
		return err;

	vma_merge_init(&m, mm, req->addr, end);
	m.pgoff = req->pgoff;
	m.vm_flags = req->vm_flags;
	m.file = req->file;
	m.vm_ops = file_vm_ops(req->file);
	if (!vma_can_merge_new(&m)) {
		vma = new_vma_for(req, backing_of(req));
		if (IS_ERR(vma)) {
			if (req->vm_flags & VM_ACCOUNT)
				vm_unacct_memory(pages);
			return (int)PTR_ERR(vma);
		}
	}
	munmap_complete(mm, req->addr, end);
	if (vma && req->file && req->file->f_op) {
		err = mmap_file(req, vma);
		if (err)
			return err;
	}
	if (vma) {
		vma_link(vma);
		if (req->file && req->file->f_inode->i_vm_ops && vma->vm_ops->open)
			vma->vm_ops->open(vma);
	} else {
		vma_merge_new_range(&m);
	}
	vm_stat_account(mm, req->vm_flags, (long)pages);
	if (req->vm_flags & VM_LOCKED)
		mm->locked_vm += pages;
	return 0;
}

static unsigned long round_hint_to_min(unsigned long hint)
{
	hint &= PAGE_MASK;
	return hint && hint < mmap_min_addr ? PAGE_ALIGN(mmap_min_addr) : hint;
}

static unsigned long do_mmap_locked(struct mmap_request *req)
{
	struct mm_struct *mm = req->mm;
	int err;

	if (mm->map_count > sysctl_max_map_count)
		return (unsigned long)-ENOMEM;
	req->vm_flags = calc_vm_flags(req);
	req->addr = __get_unmapped_area(mm, req->file, req->addr, req->len, req->flags);
	if (IS_ERR_VALUE(req->addr))
		return req->addr;
	if (req->flags & MAP_FIXED_NOREPLACE &&
	    find_vma_intersection(mm, req->addr, req->addr + req->len))
		return (unsigned long)-EEXIST;
	if (req->flags & MAP_LOCKED && !can_do_mlock(mm))
		return (unsigned long)-EPERM;
	if (!mlock_future_ok(mm, req->vm_flags, req->len))
		return (unsigned long)-EAGAIN;
	err = req->file ? check_file_mapping(req) : check_anon_mapping(req);
	if (err)
		return (unsigned long)err;
	/* Where nothing is promised that may not be kept there is no asking for it. */
	if (req->flags & MAP_NORESERVE && READ_ONCE(sysctl_overcommit_memory) != OVERCOMMIT_NEVER)
		req->vm_flags |= VM_NORESERVE;
	err = mmap_region(req);
	return err ? (unsigned long)err : req->addr;
}

unsigned long do_mmap(struct mm_struct *mm, struct file *file, unsigned long addr,
		      unsigned long len, unsigned long prot, unsigned long flags, pgoff_t pgoff,
		      unsigned long *populate)
{
	struct mmap_request req = {
		.mm = mm,
		.file = file,
		.addr = addr,
		.len = PAGE_ALIGN(len),
		.prot = prot,
		.flags = flags,
		.pgoff = pgoff,
	};
	u64 start = trace_clock();
	LIST_HEAD(events);
	unsigned long ret;

	if (populate)
		*populate = 0;
	if (flags & MAP_HUGETLB) /* there is no pool of huge pages */
		return (unsigned long)(file ? -EINVAL : -ENOMEM);
	if (!len)
		return (unsigned long)-EINVAL;
	if (flags & MAP_FIXED_NOREPLACE)
		req.flags |= MAP_FIXED;
	if (!(req.flags & MAP_FIXED))
		req.addr = round_hint_to_min(addr);
	if (!req.len)
		return (unsigned long)-ENOMEM;
	if (pgoff + (req.len >> PAGE_SHIFT) < pgoff)
		return (unsigned long)-EOVERFLOW;

	down_write(&mm->mmap_lock);
	ret = do_mmap_locked(&req);
	userfaultfd_take_events(mm, &events);
	up_write(&mm->mmap_lock);
	userfaultfd_post_events(&events);
	if (IS_ERR_VALUE(ret))
		return ret;
	if (populate &&
	    (req.vm_flags & VM_LOCKED || (flags & (MAP_POPULATE | MAP_NONBLOCK)) == MAP_POPULATE))
		*populate = req.len;
	trace(TRACE_MMAP, ret, req.len, start);
	return ret;
}

int install_special_mapping(struct mm_struct *mm, unsigned long addr, unsigned long len,
			    vm_flags_t flags, const struct vm_operations_struct *ops, void *data)
{
	struct mmap_request req = {
		.mm = mm,
		.addr = addr,
		.len = PAGE_ALIGN(len),
		.vm_flags = flags,
		.pgoff = ops ? 0 : addr >> PAGE_SHIFT,
		.vm_ops = ops,
		.vm_private_data = data,
	};
	const struct munmap_counts none = { 0 };
	struct vm_area_struct *vma;
	int err;

	if (!len || !PAGE_ALIGNED(addr) || req.len > mm->task_size ||
	    addr > mm->task_size - req.len)
		return -EINVAL;
	if (ops)
		req.vm_flags |= VM_DONTEXPAND;
	down_write(&mm->mmap_lock);
	err = -ENOMEM;
	if (!find_vma_intersection(mm, addr, addr + req.len) &&
	    mm->map_count < sysctl_max_map_count)
		err = charge_mapping(&req, &none);
	if (err)
		goto out;
	vma = new_vma_for(&req, NULL);
	if (IS_ERR(vma)) {
		err = (int)PTR_ERR(vma);
		if (req.vm_flags & VM_ACCOUNT)
			vm_unacct_memory(req.len >> PAGE_SHIFT);
		goto out;
	}
	vma_link(vma);
	vm_stat_account(mm, req.vm_flags, (long)vma_pages(vma));
out:
	up_write(&mm->mmap_lock);
	return err;
}

int do_munmap(struct mm_struct *mm, unsigned long start, size_t len)
{
	u64 begin = trace_clock();
	LIST_HEAD(events);
	int err;

	down_write(&mm->mmap_lock);
	err = do_munmap_locked(mm, start, len);
	userfaultfd_take_events(mm, &events);
	up_write(&mm->mmap_lock);
	userfaultfd_post_events(&events);
	if (!err)
		trace(TRACE_MUNMAP, start, PAGE_ALIGN(len), begin);
	return err;
}

/* ---- brk ------------------------------------------------------------------------------------ */

/* [addr, addr + len) becomes heap: 0 or an error. */
static int do_brk_flags(struct mm_struct *mm, unsigned long addr, unsigned long len)
{
	struct mmap_request req = {
		.mm = mm,
		.addr = addr,
		.len = len,
		.pgoff = addr >> PAGE_SHIFT,
		.vm_flags = VM_READ | VM_WRITE | VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC |
			    VM_ACCOUNT | mm->def_flags,
	};
	struct vm_area_struct *vma;
	struct vma_merge m;

	if (!may_expand_vm(mm, req.vm_flags, len >> PAGE_SHIFT) ||
	    mm->map_count > sysctl_max_map_count || vm_enough_memory(mm, len >> PAGE_SHIFT))
		return -ENOMEM;
	vma_merge_init(&m, mm, addr, addr + len);
	m.next = NULL; /* the heap grows upward only */
	m.pgoff = req.pgoff;
	m.vm_flags = req.vm_flags;
	if (!vma_merge_new_range(&m)) {
		vma = new_vma_for(&req, NULL);
		if (IS_ERR(vma)) {
			vm_unacct_memory(len >> PAGE_SHIFT);
			return -ENOMEM;
		}
		vma_link(vma);
	}
	vm_stat_account(mm, req.vm_flags, (long)(len >> PAGE_SHIFT));
	if (req.vm_flags & VM_LOCKED)
		mm->locked_vm += len >> PAGE_SHIFT;
	return 0;
}

/* Room for the heap up to new_end, a page and the next stack's gap left free. */
static bool brk_room(struct mm_struct *mm, unsigned long old_end, unsigned long new_end)
{
	struct vm_area_struct *next;

	if (new_end > mm->task_size || old_end < mmap_min_addr)
		return false;
	next = find_vma(mm, old_end);
	return !next || new_end + PAGE_SIZE <= vm_start_gap(next);
}

static bool brk_within_limit(const struct mm_struct *mm, unsigned long brk)
{
	return mm->rlim_data == ~0UL ||
	       (brk - mm->start_brk) + (mm->end_data - mm->start_data) <= mm->rlim_data;
}

/* Whether the heap ends at brk now. */
static bool brk_locked(struct mm_struct *mm, unsigned long brk)
{
	unsigned long old_end = PAGE_ALIGN(mm->brk), new_end = PAGE_ALIGN(brk);

	if (brk < mm->start_brk || new_end < brk || !brk_within_limit(mm, brk))
		return false;
	if (new_end < old_end) {
		struct vm_area_struct *vma = find_vma_intersection(mm, new_end, old_end);

		if (!vma || do_munmap_locked(mm, new_end, old_end - new_end))
			return false;
	} else if (new_end > old_end) {
		if (!brk_room(mm, old_end, new_end) ||
		    !mlock_future_ok(mm, mm->def_flags, new_end - old_end) ||
		    do_brk_flags(mm, old_end, new_end - old_end))
			return false;
	}
	mm->brk = brk;
	return true;
}

unsigned long do_brk(struct mm_struct *mm, unsigned long brk)
{
	u64 start = trace_clock();
	unsigned long old, ret;
	LIST_HEAD(events);
	bool populate;

	down_write(&mm->mmap_lock);
	old = mm->brk;
	populate = brk_locked(mm, brk) && mm->brk > old && mm->def_flags & VM_LOCKED;
	ret = mm->brk;
	userfaultfd_take_events(mm, &events);
	up_write(&mm->mmap_lock);
	userfaultfd_post_events(&events);
	if (populate)
		mm_populate(mm, PAGE_ALIGN(old), PAGE_ALIGN(ret) - PAGE_ALIGN(old));
	if (ret != old)
		trace(TRACE_BRK, ret, 0, start);
	return ret;
}

/* ---- Stacks --------------------------------------------------------------------------------- */

/* Limits of a stack VMA that would be size bytes long, grow pages more than now: 0 or -ENOMEM. */
static int acct_stack_growth(struct vm_area_struct *vma, unsigned long size, unsigned long grow)
{
	struct mm_struct *mm = vma->vm_mm;

	if (!may_expand_vm(mm, vma->vm_flags, grow) || size > mm->rlim_stack ||
	    !mlock_future_ok(mm, vma->vm_flags, grow << PAGE_SHIFT))
		return -ENOMEM;
	return vma->vm_flags & VM_ACCOUNT ? vm_enough_memory(mm, grow) : 0;
}

int stack_room(struct vm_area_struct *vma, unsigned long addr)
{
	struct vm_area_struct *prev = vma_prev(vma);

	if (!(vma->vm_flags & VM_GROWSDOWN))
		return -EFAULT;
	if (addr < mmap_min_addr)
		return -EPERM;
	if ((prev && addr < prev->vm_end) || in_mmap_hole(addr, vma->vm_end))
		return -ENOMEM;
	if (prev && !(prev->vm_flags & VM_GROWSDOWN) && vma_is_accessible(prev) &&
	    addr - prev->vm_end < STACK_GUARD_GAP)
		return -ENOMEM;
	return vma->vm_end - addr > vma->vm_mm->rlim_stack ? -ENOMEM : 0;
}

int expand_stack_locked(struct vm_area_struct *vma, unsigned long addr)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned long grow;
	int err;

	addr &= PAGE_MASK;
	if (vma->vm_flags & VM_GROWSDOWN && addr >= vma->vm_start)
		return 0;
	err = stack_room(vma, addr);
	if (err)
		return err;

	grow = (vma->vm_start - addr) >> PAGE_SHIFT;
	if (grow > vma->vm_pgoff)
		return -ENOMEM;
	err = acct_stack_growth(vma, vma->vm_end - addr, grow);
	if (err)
		return err;
	vma_set_bounds(vma, addr, vma->vm_end);
	vm_stat_account(mm, vma->vm_flags, (long)grow);
	if (vma->vm_flags & VM_LOCKED)
		mm->locked_vm += grow;
	return 0;
}
