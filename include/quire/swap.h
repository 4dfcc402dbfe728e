/* SPDX-License-Identifier: MIT */
/*
 * swap.h - memory that is not in RAM: entries, areas, the swap cache.
 *
 * A slot is a page of a swap area. What names it, a swp_entry_t, stands in page table entries and in
 * the page caches of shared memory objects in the place of the page:
 *
 *   swp_entry_t     44   40 39                          0
 *                   | type | offset in area, in pages   |
 *
 *   pte         63 62  57 56     52 51               12 11    8 7  6     1 0
 *               0    k   | type    | offset           | k k 0 0 SWAP  0     0
 *
 * SWAP is set, and every bit that means something in a present entry is clear, so that an entry is none,
 * present or swapped, and a swapped one is not young, dirty, writable or special. k: those of
 * _PAGE_SWP_KEEP are as they were.
 *
 * The life of a page that goes out and comes back (P: in page tables):
 *
 *   P: page  --add_to_swap-->  P: page, swap cache  --try_to_unmap-->  P: entry, swap cache
 *        ^                                                               | swap_writepage
 *        |                     P: page, swap cache  <---do_swap_page---  | delete_from_swap_cache
 *        `---try_to_free_swap------'      ^                              v
 *                                         `---- swapin_readahead ---- P: entry
 *
 * A slot's count says how many entries name it; the swap cache holds the slot besides. A slot with neither
 * is free. Locks: PG_locked of the page covers its being in the swap cache (PG_swapcache, page->private)
 * and its contents while they are read; the area's lock, a spinlock inside page_table_lock, covers
 * counts and the way from slots to pages.
 */
#ifndef QUIRE_SWAP_H
#define QUIRE_SWAP_H

#include <quire/fs.h>
#include <quire/mm.h>
#include <quire/xarray.h>

typedef struct {
	unsigned long val;
} swp_entry_t;

#define MAX_SWAPFILES 28 /* types above are for entries of other kinds */
#define SWP_OFFSET_BITS 40
#define SWP_OFFSET_MASK ((1UL << SWP_OFFSET_BITS) - 1)
#define SWP_ENTRY_MASK ((1UL << (SWP_OFFSET_BITS + 5)) - 1)
#define _PAGE_SWP_KEEP (_PAGE_EARLY | _PAGE_UFFD_WP)

static inline swp_entry_t swp_entry(unsigned int type, pgoff_t offset)
{
	return (swp_entry_t){ (unsigned long)type << SWP_OFFSET_BITS | offset };
}
static inline unsigned int swp_type(swp_entry_t entry)
{
	return (unsigned int)(entry.val >> SWP_OFFSET_BITS);
}
static inline pgoff_t swp_offset(swp_entry_t entry)
{
	return entry.val & SWP_OFFSET_MASK;
}

static inline bool is_swap_pte(pte_t pte)
{
	return (pte_val(pte) & (_PAGE_SWAP | _PAGE_PRESENT | _PAGE_PROTNONE)) == _PAGE_SWAP;
}
static inline pte_t swp_entry_to_pte(swp_entry_t entry)
{
	return __pte(entry.val << PAGE_SHIFT | _PAGE_SWAP);
}
/* Of one that is_swap_pte(). */
static inline swp_entry_t pte_to_swp_entry(pte_t pte)
{
	return (swp_entry_t){ pte_val(pte) >> PAGE_SHIFT & SWP_ENTRY_MASK };
}
/* The entry that takes the place of a present one, with those bits that are not lost in swap; and back. */
static inline pte_t pte_mkswap(pte_t pte, swp_entry_t entry)
{
	return __pte(pte_val(swp_entry_to_pte(entry)) | (pte_val(pte) & _PAGE_SWP_KEEP));
}
static inline pte_t pte_mkpresent(pte_t pte, pte_t swapped)
{
	return __pte(pte_val(pte) | (pte_val(swapped) & _PAGE_SWP_KEEP));
}

/* In the page cache of a shared memory object: a value entry. */
static inline void *swp_to_radix_entry(swp_entry_t entry)
{
	return xa_mk_value(entry.val);
}
static inline swp_entry_t radix_to_swp_entry(const void *value)
{
	return (swp_entry_t){ xa_to_value(value) };
}

/* Of a page in the swap cache. */
static inline swp_entry_t page_swap_entry(const struct page *page)
{
	return (swp_entry_t){ page->private };
}

/* ---- Areas: swapfile.c -------------------------------------------------------------------- */

#define SWAP_FLAG_PREFER 0x8000
#define SWAP_FLAG_PRIO_MASK 0x7fff
#define SWAP_FLAGS_VALID 0x7ffff /* discarding is left to the port's storage */

void swap_init(void); /* boot, called by mm_init() */

/*
 * Swap to the device, which has that many bytes and mkswap's header in its first page. name: as
 * /proc/swaps shows it; copied. flags as for swapon(2). May sleep. 0, or -EINVAL (no such header, damaged,
 * or too short), -EBUSY (the device is in use already), -EPERM (no more areas), -ENOMEM, -EIO.
 */
int do_swapon(u64 dev, u64 bytes, const char *name, int flags);
/*
 * Bring everything back that is on the device, and use it no more. May sleep. 0, -EINVAL (it is not in use),
 * -ENOMEM (not all has room: it is used on), -EIO (some could not be read; it is used on), -EBUSY.
 */
int do_swapoff(u64 dev);

/*
 * The end of the machine: no mm and no shared memory object is left. All areas go; returns how many slots
 * entries had that are gone without a swap_free().
 */
unsigned long swap_shutdown(void);

struct swap_area_info {
	char name[128];
	u64 dev;
	unsigned long pages, inuse; /* slots */
	int prio;
};
/* The n-th area in use, from 0, in order of their types; false: there are fewer. */
bool swap_area_info(unsigned int n, struct swap_area_info *info);

extern unsigned long total_swap_pages; /* slots of all areas */
long get_nr_swap_pages(void); /* free ones */
extern unsigned long peak_swap_pages; /* most that were ever in use at a time */

/* ---- Slots -------------------------------------------------------------------------------- */

/* One entry more, or fewer, names the slot. Any context without the area's lock. */
int swap_duplicate(swp_entry_t entry); /* 0; -EINVAL: no such slot; -ENOMEM: too many share it */
void swap_free(swp_entry_t entry);
/* As swap_free(); if it was the last, the cached page goes as well, unless it is locked or mapped. */
void free_swap_and_cache(swp_entry_t entry);
/* Entries that name the slot, besides the swap cache. */
unsigned int swap_count(swp_entry_t entry);
/* The same for a page in the swap cache. */
unsigned int page_swapcount(struct page *page);

/* ---- The swap cache: swap_state.c --------------------------------------------------------- */

/*
 * For reclaim. A locked, uptodate page that is in no swap cache gets a slot, enters the swap cache (which
 * holds a reference) and is marked dirty. 0 or -ENOMEM: no slot. Atomic.
 */
int add_to_swap(struct page *page);
/*
 * A locked page leaves the swap cache; its reference is dropped. Unless its slot is free after that, the
 * page was clean: the slot is what is left of it. shadow: what swap_shadow() will say of the slot
 * until it is used again, below 2^40.
 */
void delete_from_swap_cache(struct page *page, u64 shadow);
u64 swap_shadow(swp_entry_t entry);
/*
 * A locked page in the swap cache whose slot no entry names, and which is not being written, leaves it
 * and is marked dirty. Whether that was done.
 */
bool try_to_free_swap(struct page *page);
/* The caller has let go of an entry that was the page: if it was the last, so does the swap cache. */
void free_swap_cache(struct page *page);

/* The page in the swap cache, with a reference; or NULL. Any context. */
struct page *lookup_swap_cache(swp_entry_t entry);
/*
 * The page of the entry, with a reference: from the cache, or entered into it and being read, with
 * neighbours: vmf NULL or those that follow in the area, else those beside the address. *major is set if
 * it waited for storage. May sleep. NULL: no memory, or the slot is free by now. The caller locks it and
 * looks whether it is still what he wants; not PageUptodate() then: it could not be read.
 */
struct page *swapin_readahead(swp_entry_t entry, struct vm_fault *vmf, bool *major);
/* For MADV_WILLNEED: read into the cache what is out of a range, as long as memory is free. May sleep. */
void swapin_range(struct vm_area_struct *vma, unsigned long start, unsigned long end);
void swapin_mapping(struct address_space *mapping, pgoff_t index, pgoff_t last);
unsigned long total_swapcache_pages(void);

/* ---- I/O: page_io.c ----------------------------------------------------------------------- */

/*
 * Write n locked dirty pages of the swap cache, sorted by entry as far as possible; runs of
 * neighbouring slots go in one transfer. They are unlocked, PG_writeback is set meanwhile, and those that
 * could not be written are dirty again. May sleep. How many were written.
 */
unsigned int swap_write_pages(struct page **pages, unsigned int n);
static inline int swap_writepage(struct page *page)
{
	return swap_write_pages(&page, 1) == 1 ? 0 : -EIO;
}
/* The same for reading into pages that are not uptodate; those that cannot be read leave the swap cache. */
void swap_read_pages(struct page **pages, unsigned int n);

/* ---- Shared memory: shmem.c --------------------------------------------------------------- */

/*
 * For reclaim. mapping->lock held. A locked page of a shared memory object that nobody maps and that only the page
 * cache and the caller hold goes over to the swap cache, where it is as any other: dirty, to be written by
 * swap_writepage(). 0; -ENOMEM: no slot; -EBUSY: somebody else holds it.
 */
int shmem_add_to_swap(struct page *page);
/*
 * mapping->lock held. The page at index, made or brought back if need be, with a reference; *major set if that
 * took storage. ERR_PTR(-ENOMEM, -EIO).
 */
struct page *shmem_get_page(struct address_space *mapping, pgoff_t index, bool *major);
/* mapping->lock held. The entry at index goes, and its slot. */
void shmem_free_swap(struct address_space *mapping, pgoff_t index, swp_entry_t entry);
void shmem_evict_inode(struct inode *inode); /* nobody can find it any more, and it is empty */
/* For swapoff: bring back what is on areas of the type. May sleep. 0, -ENOMEM or -EIO. */
int shmem_unuse(unsigned int type);

#endif
