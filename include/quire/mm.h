/* SPDX-License-Identifier: MIT */
/*
 * mm.h - address spaces: life, mapping calls, faults, access from the kernel.
 *
 * Every call names its mm_struct: there is no hidden current. Unless a comment says otherwise a
 * function may sleep, takes mmap_lock itself, and returns 0 or a negative errno as the Linux
 * system call of the name does.
 */
#ifndef QUIRE_MM_H
#define QUIRE_MM_H

#include <quire/err.h>
#include <quire/gfp.h>
#include <quire/mm_types.h>
#include <quire/mmzone.h>
#include <quire/page-flags.h>

/* ---- Tunables of the fault path (set at boot) --------------------------------------------- */

extern unsigned int anon_fault_max_order; /* largest anonymous fill, 0 ... 9; 0 in --fill 4k */
extern unsigned int
	fault_around_order; /* pages mapped around a file or zero fault: 2^order, 0 ... 9 */
extern unsigned long mmap_min_addr; /* bytes, 65536 */
/* User addresses that the port has taken for itself: nothing is mapped there. Set before mm_init(). */
extern unsigned long mmap_hole_start, mmap_hole_end;
extern int sysctl_max_map_count; /* VMAs of one mm, 65530 */
#define STACK_GUARD_GAP (256UL << PAGE_SHIFT)

/* ---- Life of an address space ------------------------------------------------------------- */

/* Caches of mm_struct, vm_area_struct and tree nodes: boot, called by mm_init(). */
void proc_caches_init(void);

/* Empty, one user, task_size and mmap_base set to defaults. NULL: no memory. */
struct mm_struct *mm_alloc(void);
static inline void mmget(struct mm_struct *mm)
{
	atomic_inc(&mm->mm_users);
}
/* Returns all flags as they were before. */
static inline u32 mm_set_flag(struct mm_struct *mm, unsigned int flag)
{
	return __atomic_fetch_or(&mm->flags, 1u << flag, __ATOMIC_SEQ_CST);
}
static inline bool mm_test_flag(const struct mm_struct *mm, unsigned int flag)
{
	return __atomic_load_n(&mm->flags, __ATOMIC_SEQ_CST) >> flag & 1;
}
/* The last one unmaps everything and frees the tables (exit_mmap) and drops the struct. */
void mmput(struct mm_struct *mm);
void mmdrop(struct mm_struct *mm);
/*
 * fork: a copy of oldmm, private writable pages write-protected in both and shared until
 * written; pinned pages copied at once. VM_DONTCOPY and VM_WIPEONFORK obeyed. Takes oldmm's
 * mmap_lock for writing and RETURNS WITH IT HELD (also on error), so that a port can clone its
 * own translations before any new one is made; the caller does up_write(). The events of the fork are in
 * the new mm's uffd_events, to be taken and posted by the caller. ERR_PTR(-ENOMEM).
 */
struct mm_struct *dup_mm(struct mm_struct *oldmm);

extern struct list_head mmlist; /* all mms */
/* A walk: the mm behind prev (NULL: the first) that still has users, with one more; drops prev's. May sleep. */
struct mm_struct *mm_list_next(struct mm_struct *prev);
/* No TLB has any user page any more: the next touch of each is a fault. For sampling. May sleep. */
void mm_forget_translations(void);
extern spinlock_t mmlist_lock;

/* ---- VMAs --------------------------------------------------------------------------------- */

/* mmap_lock held (any mode). First VMA with vm_end > addr, or NULL. */
struct vm_area_struct *find_vma(struct mm_struct *mm, unsigned long addr);
/* mmap_lock held. The VMA that contains addr, or NULL. */
struct vm_area_struct *vma_lookup(struct mm_struct *mm, unsigned long addr);
/* mmap_lock held. First VMA that meets [start, end). */
struct vm_area_struct *find_vma_intersection(struct mm_struct *mm, unsigned long start,
					     unsigned long end);
/* mmap_lock held. Next VMA above vma, or NULL. */
struct vm_area_struct *vma_next(struct vm_area_struct *vma);

#define for_each_vma(mm, vma) for (vma = find_vma(mm, 0); vma; vma = vma_next(vma))

/* Whether both map one open file, as far as is known, or none. */
bool vma_same_file(const struct vm_area_struct *a, const struct vm_area_struct *b);

static inline unsigned long vma_pages(const struct vm_area_struct *vma)
{
	return (vma->vm_end - vma->vm_start) >> PAGE_SHIFT;
}
static inline bool vma_is_anonymous(const struct vm_area_struct *vma)
{
	return !vma->vm_ops;
}
static inline pgoff_t linear_page_index(const struct vm_area_struct *vma, unsigned long addr)
{
	return ((addr - vma->vm_start) >> PAGE_SHIFT) + vma->vm_pgoff;
}

struct vm_fault {
	struct vm_area_struct *vma;
	unsigned int flags; /* FAULT_FLAG_* */
	pgoff_t pgoff; /* of address, in vma's backing */
	unsigned long address; /* page aligned */
	unsigned long real_address;
	pmd_t *pmd;
	pte_t *pte;
	pte_t orig_pte;
	struct page *page; /* what ->fault() found; with a reference, mapping->lock held */
	struct mm_delta *delta; /* memory.c's */
};

/* How a kind of mapping behaves. All called with mmap_lock held. */
struct vm_operations_struct {
	/* The VMA was copied (split, fork), or mapped from an inode that has i_vm_ops. */
	void (*open)(struct vm_area_struct *vma);
	void (*close)(struct vm_area_struct *vma); /* the VMA goes away; such are not merged away */
	/* The VMA's addresses are given up. Merging is none of that: another VMA has them then. */
	void (*unmapped)(struct vm_area_struct *vma);
	int (*may_split)(struct vm_area_struct *vma, unsigned long addr);
	/* vma has taken over the entries of as many bytes from old_addr on; not 0: they go back. */
	int (*mremap)(struct vm_area_struct *vma, unsigned long old_addr);
	/* [start, end) of vma is about to get the access rights of newflags. 0 or negative errno. */
	int (*mprotect)(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			vm_flags_t newflags);
	/*
	 * Copy len bytes at addr from or (write) to a VMA whose pages the core cannot get: of a VM_PFNMAP
	 * one always, of another for a debugger where ->fault() found none. Bytes copied, or negative errno.
	 */
	long (*access)(struct vm_area_struct *vma, unsigned long addr, void *buf, size_t len,
		       bool write);
	/*
	 * Find the page for vmf->pgoff: vmf->page with a reference, and the lock of the file's
	 * mapping HELD (taken by ->fault, released by the caller once the entry is set) if the VMA
	 * has a vm_file. Or VM_FAULT_SIGBUS, _OOM: no page, no lock. May add VM_FAULT_MAJOR.
	 */
	vm_fault_t (*fault)(struct vm_fault *vmf);
	/*
	 * After ->fault() of a read: enter pages [first, last] that are at hand by map_page_around().
	 * The lock that ->fault() took and page_table_lock are held: may not sleep.
	 */
	void (*map_pages)(struct vm_fault *vmf, pgoff_t first, pgoff_t last);
	/*
	 * The shared page vmf->page is about to become writable; mapping->lock held before and
	 * after. 0 or VM_FAULT_SIGBUS, _OOM. The caller then does set_page_dirty(). Objects that are
	 * never written back have none: their pages are writable from the first.
	 */
	vm_fault_t (*page_mkwrite)(struct vm_fault *vmf);
	const char *(*name)(struct vm_area_struct *vma); /* for /proc/<pid>/maps */
};

/* For ->map_pages: page, whose reference it takes, goes where pgoff is, unless something is there. */
void map_page_around(struct vm_fault *vmf, pgoff_t pgoff, struct page *page);
/* ->map_pages of what is in the page cache of the VMA's file. */
void filemap_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last);

extern const struct vm_operations_struct generic_file_vm_ops; /* regular files */
extern const struct vm_operations_struct shmem_vm_ops; /* shared memory objects */
vm_fault_t shmem_fault(struct vm_fault *vmf); /* its fault, for kinds of such objects */

/* ---- mmap and its family: Linux's results and errnos -------------------------------------- */

/*
 * mmap(2). file NULL: MAP_ANONYMOUS (shared anonymous makes its own object). A reference to file
 * is taken when the mapping is made. pgoff in pages. *populate, if not NULL, is set to the bytes the
 * caller should pass to mm_populate() (MAP_POPULATE, MAP_LOCKED) after the call.
 * Returns the address or a negative errno (IS_ERR_VALUE).
 */
unsigned long do_mmap(struct mm_struct *mm, struct file *file, unsigned long addr,
		      unsigned long len, unsigned long prot, unsigned long flags, pgoff_t pgoff,
		      unsigned long *populate);
/*
 * A mapping of the machine's own making (vdso, device memory): [addr, addr+len) must be free.
 * ops may be NULL for plain anonymous with the given flags. vm_private_data = data.
 */
int install_special_mapping(struct mm_struct *mm, unsigned long addr, unsigned long len,
			    vm_flags_t flags, const struct vm_operations_struct *ops, void *data);
int do_munmap(struct mm_struct *mm, unsigned long start, size_t len);
int do_mprotect(struct mm_struct *mm, unsigned long start, size_t len, unsigned long prot);
unsigned long do_mremap(struct mm_struct *mm, unsigned long addr, unsigned long old_len,
			unsigned long new_len, unsigned long flags, unsigned long new_addr);
/* brk(2): the new end, or the old one when it cannot be had. */
unsigned long do_brk(struct mm_struct *mm, unsigned long brk);
int do_madvise(struct mm_struct *mm, unsigned long start, size_t len, int behavior);
int do_msync(struct mm_struct *mm, unsigned long start, size_t len, int flags);
/* vec: one byte a page, kernel memory, at least len / PAGE_SIZE bytes. */
/* Bytes for the first of the pages from start on, how many of them; -ENOMEM: nothing is there. */
long do_mincore(struct mm_struct *mm, unsigned long start, unsigned long pages, unsigned char *vec);
int do_mlock(struct mm_struct *mm, unsigned long start, size_t len, int flags);
int do_munlock(struct mm_struct *mm, unsigned long start, size_t len);
int do_mlockall(struct mm_struct *mm, int flags);
int do_munlockall(struct mm_struct *mm);
/* Fault in [start, start+len) as MAP_POPULATE does; errors are ignored there. */
int mm_populate(struct mm_struct *mm, unsigned long start, unsigned long len);

/* mmap_lock held for writing. Address for a new mapping; flags MAP_*; or negative errno. */
unsigned long get_unmapped_area(struct mm_struct *mm, unsigned long addr, unsigned long len,
				pgoff_t pgoff, unsigned long flags);
/* mmap_lock held for writing. Grow a VM_GROWSDOWN VMA down to addr. */
int expand_stack_locked(struct vm_area_struct *vma, unsigned long addr);

/* ---- Faults ------------------------------------------------------------------------------- */

enum fault_flag {
	FAULT_FLAG_WRITE = 1 << 0,
	FAULT_FLAG_ALLOW_RETRY = 1 << 2, /* mmap_lock may be released: VM_FAULT_RETRY */
	FAULT_FLAG_USER = 1 << 6,
	FAULT_FLAG_REMOTE = 1 << 7, /* by the kernel or another process: fill no TLB */
	FAULT_FLAG_INSTRUCTION = 1 << 8,
};

#define VM_FAULT_OOM 0x000001u
#define VM_FAULT_SIGBUS 0x000002u
#define VM_FAULT_MAJOR 0x000004u
#define VM_FAULT_HWPOISON 0x000010u
#define VM_FAULT_SIGSEGV 0x000040u
#define VM_FAULT_NOPAGE 0x000100u
#define VM_FAULT_RETRY 0x000400u
#define VM_FAULT_INTERRUPTED 0x080000u /* with RETRY: a signal ended the wait */
#define VM_FAULT_ERROR (VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV | VM_FAULT_HWPOISON)
#define VM_FAULT_KIND_SHIFT 24 /* what was done, enum trace_fault: vm_fault_kind() */
#define vm_fault_kind(ret) ((ret) >> VM_FAULT_KIND_SHIFT)

/*
 * mmap_lock held for reading, and still at the end; the VMA permits the access. address may be
 * unaligned. VM_FAULT_ERROR bits; or VM_FAULT_MAJOR and, in the bits above, enum trace_fault; or, with
 * FAULT_FLAG_ALLOW_RETRY only, VM_FAULT_RETRY: mmap_lock has been released, the VMA is not known any more.
 */
vm_fault_t handle_mm_fault(struct vm_area_struct *vma, unsigned long address, unsigned int flags);
/*
 * Take mmap_lock for reading and find the VMA that contains addr, growing a stack down to it if
 * need be. NULL: there is none, and the lock is not held.
 */
struct vm_area_struct *lock_mm_and_find_vma(struct mm_struct *mm, unsigned long addr);

/* Page fault error code, as the processor pushes it. */
#define X86_PF_PROT (1u << 0)
#define X86_PF_WRITE (1u << 1)
#define X86_PF_USER (1u << 2)
#define X86_PF_RSVD (1u << 3)
#define X86_PF_INSTR (1u << 4)

/* What a fault came to. signo 0: resolved, the access may be tried again. */
struct fault_result {
	int signo; /* SIGSEGV or SIGBUS, or 0; SIGKILL: out of memory */
	int si_code; /* SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR, BUS_MCEERR_AR */
	bool major;
	enum {
		FAULT_WAS_FILL = 0,
		FAULT_WAS_MINOR
	} kind; /* FILL: the tables had the entry */
};

#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define BUS_ADRERR 2
#ifndef BUS_MCEERR_AR
#define BUS_MCEERR_AR 4 /* the contents are lost; PAGE_SHIFT is how much of it */
#endif

/* arch/x86/fault.c: the processor's (or the host's) fault at address, from user mode. */
struct fault_result do_page_fault(struct mm_struct *mm, unsigned long address,
				  unsigned int error_code);

/* ---- The kernel's access to user memory --------------------------------------------------- */

/*
 * Copy through the page tables and the direct map, faulting pages in as the program's own access
 * would. Return the number of bytes NOT copied. mmap_lock is taken for reading.
 */
size_t copy_to_mm(struct mm_struct *mm, unsigned long dst, const void *src, size_t n);
size_t copy_from_mm(struct mm_struct *mm, void *dst, unsigned long src, size_t n);
size_t clear_mm(struct mm_struct *mm, unsigned long dst, size_t n);
/*
 * How many of the n bytes from addr on lie in VMAs that permit the access, and within their files. Nothing
 * is faulted in, so a copy may still fail for want of memory.
 */
size_t user_access_room(struct mm_struct *mm, unsigned long addr, size_t n, bool write);
/* Length without the NUL; max if there is none within max bytes; -EFAULT. */
long strncpy_from_mm(struct mm_struct *mm, char *dst, unsigned long src, long max);
/* The size of a string with its NUL; max + 1 if there is none within max bytes; 0: a fault. */
long strnlen_mm(struct mm_struct *mm, unsigned long addr, long max);
/*
 * As /proc/<pid>/mem and ptrace see memory: force overrides protection (write breaks COW). Returns
 * the number of bytes copied.
 */
size_t access_remote_mm(struct mm_struct *mm, unsigned long addr, void *buf, size_t n, bool write,
			bool force);

/*
 * Fault in and hold the nr pages from the page of start on for I/O that writes them (write: get_page
 * + _pincount) or reads them (get_page). Returns how many (>= 1) or -EFAULT / -ENOMEM. Until
 * unpin_user_pages(), with the same write, the frames are nobody else's; those to be written stay
 * what the program sees, and fork gives the child a copy.
 */
long pin_user_pages(struct mm_struct *mm, unsigned long start, unsigned long nr, bool write,
		    struct page **pages);
void unpin_user_pages(struct page **pages, unsigned long nr, bool write);

/*
 * Atomically exchange the u32 at uaddr if it equals *old; *old receives what was there.
 * -EFAULT, or 0.
 */
int cmpxchg_user_u32(struct mm_struct *mm, unsigned long uaddr, u32 *old, u32 new_val);
/*
 * The page behind uaddr, faulted in for writing if write, with a reference; for futex keys.
 * *offset_shared: true if it belongs to a shared mapping (then page->mapping/index name it).
 */
struct page *get_user_page(struct mm_struct *mm, unsigned long uaddr, bool write);
/*
 * Put a private copy in the place of the page of a file at addr, if it is text that the program may not
 * write and that has no private copy yet. edit() is given the copy and the page's address, and returns
 * whether the exchange is to take place. May sleep; mmap_lock not held. Whether it has been done.
 */
bool replace_text_page(struct mm_struct *mm, unsigned long addr,
		       bool (*edit)(u8 *copy, unsigned long addr, void *arg), void *arg);

/* ---- Table walking (page_table_lock held for pte_lookup, pte_next, ptes_mkold; others take it) - */

/* The top table of a new mm and its end. pgd_alloc: NULL: no memory. */
pgd_t *pgd_alloc(struct mm_struct *mm);
void pgd_free(struct mm_struct *mm, pgd_t *pgd);
/* The pte slot for addr or NULL if there is no table there. */
pte_t *pte_lookup(struct mm_struct *mm, unsigned long addr);
/*
 * The slot of the first address in [*addr, end) that has a page table; *addr is moved up to it.
 * The slots behind it, up to the next multiple of PMD_SIZE, follow in memory. NULL: none.
 */
pte_t *pte_next(struct mm_struct *mm, unsigned long *addr, unsigned long end);
/*
 * The first address in [addr, end) whose slot, in a table that is there, holds what is wanted; end: none
 * does. Takes page_table_lock; what is there may have changed when it returns.
 */
unsigned long pte_find(struct mm_struct *mm, unsigned long addr, unsigned long end,
		       bool (*wanted)(pte_t pte, unsigned long arg), unsigned long arg);
/* Makes the tables. Takes page_table_lock itself only to link a new table. NULL: no memory. */
pte_t *pte_alloc_map(struct mm_struct *mm, unsigned long addr);
/*
 * mmap_lock for writing, or the last user. Free the tables that [addr, end) reaches into and that
 * lie wholly in [floor, ceiling) (ceiling 0: no bound), where no VMA is left. Their entries are
 * empty; file VMAs have left i_mmap.
 */
void free_pgd_range(struct mm_struct *mm, unsigned long addr, unsigned long end,
		    unsigned long floor, unsigned long ceiling);
/* mmap_lock (read suffices, or the mapping's lock for files). Unmap pages, keep the VMA. */
void zap_page_range(struct vm_area_struct *vma, unsigned long start, unsigned long end);
/* mapping->lock held: the same for truncation; private copies are spared unless even_cows. */
void zap_vma_range_locked(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			  bool even_cows);
/*
 * mmap_lock for writing. Unmap all pages of [start, end) in vma and the VMAs after it (which are
 * still in mm_rt); frames are freed after the TLB flush.
 */
void unmap_vmas(struct mm_struct *mm, struct vm_area_struct *vma, unsigned long start,
		unsigned long end);
/* mmap_lock for writing. Move entries (mremap); both in one mm; returns bytes moved. */
unsigned long move_page_tables(struct vm_area_struct *vma, unsigned long old_addr,
			       struct vm_area_struct *new_vma, unsigned long new_addr,
			       unsigned long len);
/* mmap_lock for writing. New protection for present entries, and flush. */
void change_protection(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		       pgprot_t newprot);
/* mmap_lock for reading. What is present there has not been used since. */
void clear_young_range(struct vm_area_struct *vma, unsigned long start, unsigned long end);
/* mmap_lock for reading. The private pages of the range count as not written to, for now. */
void clean_anon_range(struct vm_area_struct *vma, unsigned long start, unsigned long end);
/* mmap_lock for reading. The pages of the range that nobody else maps are the next to be reclaimed. */
void cold_range(struct vm_area_struct *vma, unsigned long start, unsigned long end);
/* mmap_lock for writing on both. Copy the entries of one VMA at fork. 0 or -ENOMEM. */
int copy_page_range(struct vm_area_struct *dst_vma, struct vm_area_struct *src_vma);
/*
 * TLBs of the software kind only: forget that any entry of [start, end) was filled (clears
 * Accessed), because the port has dropped those translations on its own account. page_table_lock
 * held, so machine_tlb_fill() may call it.
 */
void ptes_mkold(struct mm_struct *mm, unsigned long start, unsigned long end);
/*
 * No TLB has anything of the VMA any more; what is present comes back when it is touched. For fork(),
 * of what the child does not get: on some machines it starts with its parent's TLB.
 */
void forget_translations(struct vm_area_struct *vma);

pgprot_t vm_get_page_prot(vm_flags_t vm_flags);
/* For writing at once: shared writable mapping without need of page_mkwrite, or private & owned. */
void vma_set_page_prot(struct vm_area_struct *vma);

/* ---- References and mapcounts ------------------------------------------------------------- */

static inline void get_page(struct page *page)
{
	atomic_inc(&compound_head(page)->_refcount);
}
void put_page(struct page *page);
static inline int page_count(struct page *page)
{
	return atomic_read(&compound_head(page)->_refcount);
}
static inline int page_mapcount(struct page *page)
{
	return atomic_read(&page->_mapcount) + 1;
}
static inline bool page_maybe_pinned(struct page *page)
{
	return atomic_read(&page->_pincount) > 0;
}

extern unsigned long zero_pfn; /* first frame of the zero folio */
#define ZERO_FOLIO_ORDER 4
static inline bool is_zero_pfn(unsigned long pfn)
{
	return pfn - zero_pfn < (1UL << ZERO_FOLIO_ORDER);
}

static inline unsigned long get_mm_counter(struct mm_struct *mm, enum mm_counter c)
{
	long v = atomic_long_read(&mm->rss_stat[c]);

	return v < 0 ? 0 : (unsigned long)v;
}
static inline void add_mm_counter(struct mm_struct *mm, enum mm_counter c, long v)
{
	atomic_long_add(v, &mm->rss_stat[c]);
}
static inline unsigned long get_mm_rss(struct mm_struct *mm)
{
	return get_mm_counter(mm, MM_FILEPAGES) + get_mm_counter(mm, MM_ANONPAGES) +
	       get_mm_counter(mm, MM_SHMEMPAGES);
}
static inline void count_mm_event(struct mm_struct *mm, enum mm_event e, long n)
{
	atomic_long_add(n, &mm->events[e]);
}
void update_hiwater_rss(struct mm_struct *mm);

/* mm/drop_caches.c: what /proc/sys/vm/drop_caches asks for. No lock held; may sleep. */
#define DROP_CACHES_PAGES 1u
#define DROP_CACHES_SLAB 2u
void drop_caches(unsigned int what);

/* ---- Out of memory ------------------------------------------------------------------------- */

#define OOM_SCORE_ADJ_MIN (-1000) /* never killed */
#define OOM_SCORE_ADJ_MAX 1000

void oom_init(void);
/*
 * Nothing can be reclaimed: end a process, or wait a moment for one that is on its way. May sleep, with
 * sleeping locks held. False: there is none that may be killed.
 */
bool out_of_memory(gfp_t gfp, unsigned int order);
/* The same after a fault that found no memory, tried `tries` times: whether it is to be tried again. */
bool pagefault_out_of_memory(unsigned int tries);
/* exit_mmap() is done. */
void exit_oom_victim(struct mm_struct *mm);
/* No frame can be had without touching the reserves. */
bool memory_is_short(void);
/* How much the OOM killer would like it, in pages; LONG_MIN: not at all. tasklist_lock held. */
struct task_struct;
long oom_badness(const struct task_struct *task);

/* ---- Promises (commit.c) -------------------------------------------------------------------- */

extern atomic_long_t vm_committed_as; /* pages */
enum {
	OVERCOMMIT_GUESS,
	OVERCOMMIT_ALWAYS,
	OVERCOMMIT_NEVER,
};
extern int sysctl_overcommit_memory; /* OVERCOMMIT_* */
extern int sysctl_overcommit_ratio; /* percent of RAM */
extern unsigned long sysctl_overcommit_kbytes; /* instead of the ratio, unless 0 */
extern unsigned long sysctl_user_reserve_kbytes, sysctl_admin_reserve_kbytes;
/* What OVERCOMMIT_NEVER allows in all, in pages. */
unsigned long vm_commit_limit(void);
/* Promise mm (or nobody: NULL) that pages will be there when they are touched: 0 or -ENOMEM. Any context. */
int vm_enough_memory(struct mm_struct *mm, unsigned long pages);
static inline void vm_acct_memory(unsigned long pages)
{
	atomic_long_add((long)pages, &vm_committed_as);
}
static inline void vm_unacct_memory(unsigned long pages)
{
	atomic_long_sub((long)pages, &vm_committed_as);
}

/* printk over machine_log(). */
void printk(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define pr_err(...) printk(LOG_ERR, __VA_ARGS__)
#define pr_warn(...) printk(LOG_WARNING, __VA_ARGS__)
#define pr_info(...) printk(LOG_INFO, __VA_ARGS__)
/* The core's own state is broken; nothing a guest does may reach it. */
#define BUG_ON(cond)                                                   \
	do {                                                           \
		if (__builtin_expect(!!(cond), 0))                     \
			machine_panic(__FILE__ ": BUG_ON(" #cond ")"); \
	} while (0)

#endif
