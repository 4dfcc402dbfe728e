/* SPDX-License-Identifier: MIT */
/*
 * mm_types.h - struct page, struct vm_area_struct, struct mm_struct.
 */
#ifndef QUIRE_MM_TYPES_H
#define QUIRE_MM_TYPES_H

#include <quire/atomic.h>
#include <quire/list.h>
#include <quire/pgtable.h>
#include <quire/range_tree.h>
#include <quire/rbtree.h>
#include <quire/interval_tree.h>
#include <quire/spinlock.h>
#include <quire/types.h>

struct address_space;
struct anon_vma;
struct file;
struct kmem_cache;
struct mempolicy;
struct userfaultfd_ctx;
struct vm_operations_struct;

/*
 * One per frame, 64 bytes, in the array mem_map (pfn_to_page is arithmetic).
 *
 * flags: PG_* bits below, node in bits 56-63, zone in bits 53-55 (page-flags.h).
 * _refcount: 0 - free, owned by the allocator. Each pte that maps the frame, the page cache, and
 *   each get_page() hold one.
 * _mapcount: number of ptes that map the frame, minus 1. While the frame is not mappable the
 *   word holds a PAGE_TYPE_* value instead (page-flags.h).
 * _pincount: host I/O in flight that writes the frame (pin_user_pages()); fork copies such a page at once.
 * A block of order n > 0 allocated with __GFP_COMP is a folio: its first page is the head; in the
 * others compound_head points to it with bit 0 set. split_page() makes single pages of a block.
 */
struct page {
	unsigned long flags;
	union {
		struct { /* page cache, anonymous memory, free blocks */
			union {
				struct list_head lru; /* LRU or the buddy system's free list */
				unsigned long compound_head;
			};
			struct address_space *mapping; /* PAGE_MAPPING_ANON: an anon_vma (rmap.h) */
			pgoff_t index; /* offset in mapping, in pages */
			unsigned long private; /* free block: its order; head: folio order */
		};
		struct { /* slab */
			struct list_head slab_list;
			struct kmem_cache *slab_cache; /* in every page of a slab, as PG_slab */
			union {
				unsigned long free_map; /* SLUB */
				void *freelist; /* SLAB */
			};
			u16 inuse;
			u16 objects;
			u16 first_free; /* SLAB, SLOB */
			u16 colour; /* SLAB */
		};
	};
	union {
		atomic_t _mapcount;
		u32 page_type;
	};
	atomic_t _refcount;
	atomic_t _pincount;
	u32 owner; /* debug builds: caller id */
};

_Static_assert(sizeof(struct page) == 64, "struct page must stay one cache line");

/* vm_flags, as in Linux. */
#define VM_NONE 0x00000000UL
#define VM_READ 0x00000001UL
#define VM_WRITE 0x00000002UL
#define VM_EXEC 0x00000004UL
#define VM_SHARED 0x00000008UL
#define VM_MAYREAD 0x00000010UL
#define VM_MAYWRITE 0x00000020UL
#define VM_MAYEXEC 0x00000040UL
#define VM_MAYSHARE 0x00000080UL
#define VM_GROWSDOWN 0x00000100UL
#define VM_UFFD_MISSING 0x00000200UL
#define VM_PFNMAP 0x00000400UL /* the machine maps something of its own here; no frames of ours */
#define VM_UFFD_WP 0x00001000UL
#define VM_LOCKED 0x00002000UL
#define VM_IO 0x00004000UL
#define VM_SEQ_READ 0x00008000UL
#define VM_RAND_READ 0x00010000UL
#define VM_DONTCOPY 0x00020000UL
#define VM_DONTEXPAND 0x00040000UL
#define VM_LOCKONFAULT 0x00080000UL
#define VM_ACCOUNT 0x00100000UL
#define VM_NORESERVE 0x00200000UL
#define VM_SYNC 0x00800000UL /* MAP_SYNC; of effect on storage that is memory */
#define VM_WIPEONFORK 0x02000000UL
#define VM_DONTDUMP 0x04000000UL
#define VM_HUGEPAGE 0x20000000UL
#define VM_NOHUGEPAGE 0x40000000UL
#define VM_MERGEABLE 0x80000000UL
#define VM_UFFD_MINOR 0x4000000000UL
#define VM_UFFD_FLAGS (VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR)
#define VM_STACK VM_GROWSDOWN
#define VM_ACCESS_FLAGS (VM_READ | VM_WRITE | VM_EXEC)

/*
 * A range of user addresses with one protection and one backing. Changed under mmap_lock held
 * for writing; vm_start, vm_end and vm_pgoff of a file mapping also under the mapping's lock.
 *
 *   address a is page  (a - vm_start) / PAGE_SIZE + vm_pgoff  of vm_file (or of the VMA's own
 *   anonymous numbering: vm_pgoff = vm_start >> PAGE_SHIFT at creation, kept over mremap)
 */
struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_end;
	struct mm_struct *vm_mm;
	pgprot_t vm_page_prot; /* for a page that may be written without further ado: not for COW */
	vm_flags_t vm_flags;
	pgoff_t vm_pgoff;
	struct file *vm_file; /* NULL: private anonymous */
	const struct vm_operations_struct *vm_ops;
	void *vm_private_data;
	struct mempolicy *vm_policy; /* a reference; NULL: the task's */
	struct userfaultfd_ctx *vm_userfaultfd_ctx; /* NULL if no VM_UFFD_* is set; no reference */
	/*
	 * Where its new private pages are found again, and the list of all whose pages it may have
	 * (rmap.h); NULL: it has had none yet. VMAs with different ones do not merge.
	 */
	struct anon_vma *anon_vma;
	struct list_head anon_vma_chain;
	struct interval_tree_node shared; /* in mapping->i_mmap, [pgoff, last pgoff] */
	/* Adaptive fault order: where the next fault lands if the program walks upward. */
	unsigned long vm_fault_next;
	unsigned int vm_fault_order;
	/* The latest isolated page, how far it lay from the one before, and how often in a row so. */
	unsigned long vm_stride_last;
	long vm_stride; /* bytes */
	unsigned int vm_stride_run;
	/* Where the window of swap read-ahead ended, its pages: 2^vm_swap_order, and how many were used. */
	unsigned long vm_swap_next;
	unsigned int vm_swap_order;
	unsigned int vm_swap_hits;
};

enum mm_counter {
	MM_FILEPAGES,
	MM_ANONPAGES,
	MM_SWAPENTS,
	MM_SHMEMPAGES,
	NR_MM_COUNTERS,
};

/* What happened in an address space since it was made; for the report, never for decisions. */
enum mm_event {
	MM_EV_MINOR, /* faults resolved without storage */
	MM_EV_MAJOR, /* faults that waited for storage */
	MM_EV_ZERO, /* pages mapped to the zero folio */
	MM_EV_ANON, /* anonymous pages filled by a write fault */
	MM_EV_COW, /* pages copied on write */
	MM_EV_REUSE, /* write faults that found a sole owner */
	MM_EV_FILE, /* pages mapped from a file or a shared object */
	MM_EV_SPURIOUS, /* faults that found the entry right: TLB misses on software TLBs */
	NR_MM_EVENTS,
};

/* mm_struct.flags */
#define MMF_UNSTABLE \
	0 /* the OOM killer takes its private memory away: what reads as zero is lost */
#define MMF_OOM_VICTIM 1 /* counted until exit_mmap() is done */
#define MMF_OOM_SKIP 2 /* the OOM killer has had its turn at it */
#define MMF_EXITED 3 /* exit_mmap() is done */

#define NR_FOLIO_ORDERS 11
#define AT_VECTOR_SIZE 48 /* words of the saved auxiliary vector */

struct mm_struct {
	struct range_tree mm_rt; /* [vm_start, vm_end) -> VMA; under mmap_lock */
	pgd_t *pgd;
	atomic_t mm_users; /* tasks using it; the last mmput() unmaps all */
	atomic_t mm_count; /* users as a whole count one; the last mmdrop() frees it */
	struct rw_semaphore mmap_lock;
	spinlock_t page_table_lock; /* all table entries of this mm, and their entry into TLBs */

	unsigned long mmap_base; /* the search starts here: top-down, unless */
	bool mmap_upward;
	unsigned long mmap_legacy_base; /* the search upward starts here */
	unsigned long task_size;
	int map_count; /* VMAs */
	u32 flags; /* bits MMF_*, changed atomically */
	unsigned long total_vm; /* pages, as all counts below */
	unsigned long locked_vm;
	unsigned long data_vm;
	unsigned long exec_vm;
	unsigned long stack_vm;
	unsigned long hiwater_rss;
	unsigned long hiwater_vm;
	/* The most there were before they became fewer; for the report. */
	int hiwater_maps;
	long hiwater_pgtables; /* bytes */
	atomic_long_t pgtables_bytes;
	atomic_long_t rss_stat[NR_MM_COUNTERS]; /* pages */
	atomic_long_t events[NR_MM_EVENTS];
	atomic_long_t folios[NR_FOLIO_ORDERS]; /* anonymous fills by order */

	unsigned long start_code, end_code, start_data, end_data;
	unsigned long start_brk, brk, start_stack;
	unsigned long arg_start, arg_end, env_start, env_end;
	unsigned long saved_auxv[AT_VECTOR_SIZE];
	vm_flags_t def_flags;
	int membarrier_state; /* the registrations, as MEMBARRIER_CMD_REGISTER_* */
	/* Resource limits in bytes; ~0UL none. The ABI layer keeps them as prlimit() sets them. */
	unsigned long rlim_as, rlim_data, rlim_stack, rlim_memlock;
	unsigned long rlim_data_max; /* the hard limit, which counts where rlim_data is 0 */
	struct file *exe_file;
	unsigned long id; /* distinct for each mm since boot */
	struct list_head mmlist; /* all mms, under mmlist_lock */
	struct list_head uffd_events; /* to be posted by who holds mmap_lock for writing */
	void *machine; /* the port's */
};

#endif
