/* SPDX-License-Identifier: MIT */
/*
 * /proc/kpagecount, kpageflags, kpagecgroup: a word of 64 bits for each frame of the machine, by number.
 *
 * What is read is a moment's, without locks: a frame may be freed and used again meanwhile. Frames that a zone
 * has not grown to are free, and have no struct page to look at yet.
 */
#include <quire/kernel.h>
#include <quire/mm.h>
#include <quire/sched.h>

/* <linux/kernel-page-flags.h> */
enum kpf {
	KPF_LOCKED,
	KPF_REFERENCED = 2,
	KPF_UPTODATE,
	KPF_DIRTY,
	KPF_LRU,
	KPF_ACTIVE,
	KPF_SLAB,
	KPF_WRITEBACK,
	KPF_BUDDY = 10,
	KPF_MMAP,
	KPF_ANON,
	KPF_SWAPCACHE,
	KPF_SWAPBACKED,
	KPF_COMPOUND_HEAD,
	KPF_COMPOUND_TAIL,
	KPF_NOPAGE = 20,
	KPF_ZERO_PAGE = 24,
	KPF_PGTABLE = 26,
	KPF_RESERVED = 32,
};

/* Of a frame that programs have mapped, how often. */
static u64 mapcount(const struct page *page)
{
	int count = atomic_read(&page->_mapcount);

	return count >= 0 ? (u64)count + 1 : 0;
}

static bool is_free(const struct page *page)
{
	u32 type = READ_ONCE(page->page_type);

	return type == PAGE_TYPE_BUDDY || type == PAGE_TYPE_FREE;
}

static u64 page_flags(struct page *page)
{
	const struct {
		bool is;
		enum kpf bit;
	} flags[] = {
		{ PageLocked(page), KPF_LOCKED },
		{ PageReferenced(page), KPF_REFERENCED },
		{ PageUptodate(page), KPF_UPTODATE },
		{ PageDirty(page), KPF_DIRTY },
		{ PageLRU(page), KPF_LRU },
		{ PageActive(page), KPF_ACTIVE },
		{ PageSlab(page), KPF_SLAB },
		{ PageWriteback(page), KPF_WRITEBACK },
		{ mapcount(page), KPF_MMAP },
		{ mapcount(page) && PageAnon(page), KPF_ANON },
		{ PageSwapCache(page), KPF_SWAPCACHE },
		{ PageSwapBacked(page), KPF_SWAPBACKED },
		{ PageHead(page), KPF_COMPOUND_HEAD },
		{ PageTable(page), KPF_PGTABLE },
		{ PageReserved(page), KPF_RESERVED },
		{ is_zero_pfn(page_to_pfn(page)), KPF_ZERO_PAGE },
	};
	u64 bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		bits |= (u64)flags[i].is << flags[i].bit;
	return bits;
}

static u64 frame_flags(unsigned long pfn)
{
	if (!pfn_valid(pfn))
		return 1ull << KPF_NOPAGE;
	if (!pfn_is_grown(pfn) || is_free(pfn_to_page(pfn)))
		return 1ull << KPF_BUDDY;
	return page_flags(pfn_to_page(pfn));
}

static u64 frame_count(unsigned long pfn)
{
	return pfn_valid(pfn) && pfn_is_grown(pfn) ? mapcount(pfn_to_page(pfn)) : 0;
}

size_t proc_kpage_read(enum proc_kind kind, u64 pos, u64 *entries, size_t n)
{
	u64 pfn = pos / sizeof(u64);
	size_t i = 0;

	for (; i < n && pfn + i < max_pfn; i++) {
		if (kind == PROC_KPAGEFLAGS)
			entries[i] = frame_flags(pfn + i);
		else
			entries[i] = kind == PROC_KPAGECOUNT ? frame_count(pfn + i) : 0;
	}
	return i;
}
