/* SPDX-License-Identifier: MIT */
/*
 * swapfile.c - swap areas and their slots (swap_area.h has the picture).
 *
 * Slots are handed out one after the other within a cluster, so that pages which go out together lie
 * together, are written in one transfer, and are read back so. A cluster that is full is followed by
 * one that is empty, as long as there is one, else by one with room. Areas of higher priority
 * come first; equal ones take turns, SWAP_STRIPE slots each.
 *
 * swapoff: no more slots are given out; then entries are replaced by pages, in shared memory objects and
 * in every mm, by a fault for each; then the swap cache gives up what nobody names. Whoever holds an entry may have
 * copied it meanwhile, so this is repeated until nothing is left.
 */
#include <quire/bitmap.h>
#include <quire/err.h>
#include <quire/fs.h>
#include <quire/pagemap.h>
#include <quire/slab.h>
#include <quire/string.h>

#include "ptes.h"
#include "swap_area.h"

#define SWAP_STRIPE 64U

struct swap_info_struct swap_info[MAX_SWAPFILES];
unsigned long total_swap_pages;
unsigned long peak_swap_pages;

static LIST_HEAD(swap_active_head);
static spinlock_t swap_lock; /* the list, total_swap_pages, used of areas */
static struct mutex swapon_mutex; /* one swapon or swapoff at a time */
static atomic_long_t nr_swap_pages;

void swap_init(void)
{
	memset(swap_info, 0, sizeof(swap_info));
	INIT_LIST_HEAD(&swap_active_head);
	spin_lock_init(&swap_lock);
	mutex_init(&swapon_mutex);
	atomic_long_set(&nr_swap_pages, 0);
	total_swap_pages = peak_swap_pages = 0;
}

long get_nr_swap_pages(void)
{
	return atomic_long_read(&nr_swap_pages);
}

/* ---- Slots ---------------------------------------------------------------------------------- */

struct swap_info_struct *swap_area_lock(swp_entry_t entry)
{
	unsigned int type = swp_type(entry);
	struct swap_info_struct *si;

	if (type >= MAX_SWAPFILES)
		return NULL;
	si = &swap_info[type];
	spin_lock(&si->lock);
	if (si->used && swp_offset(entry) < si->max)
		return si;
	spin_unlock(&si->lock);
	return NULL;
}

static unsigned long cluster_size(const struct swap_info_struct *si, unsigned long c)
{
	return min(CLUSTER_SLOTS, si->max - (c << CLUSTER_SHIFT));
}

static bool cluster_start(struct swap_info_struct *si, unsigned long c)
{
	struct swap_cluster *cluster = &si->cluster[c];

	cluster->table =
		(u64 *)__get_free_pages(GFP_ATOMIC | __GFP_MEMALLOC | __GFP_NOWARN | __GFP_ZERO, 0);
	if (!cluster->table)
		return false;
	__clear_bit(c, si->free_map);
	__set_bit(c, si->room_map);
	return true;
}

static void cluster_end(struct swap_info_struct *si, unsigned long c)
{
	struct swap_cluster *cluster = &si->cluster[c];

	free_page((unsigned long)cluster->table);
	cluster->table = NULL;
	__clear_bit(c, si->room_map);
	__set_bit(c, si->free_map);
	if (si->current == c)
		si->current = si->nr_clusters;
}

/* A free slot of the current cluster, at or behind si->next; 0: none. */
static pgoff_t scan_cluster(struct swap_info_struct *si)
{
	pgoff_t end = (si->current << CLUSTER_SHIFT) + cluster_size(si, si->current);
	const u64 *table = si->cluster[si->current].table;

	for (pgoff_t offset = si->next; offset < end; offset++)
		if (!table[offset & (CLUSTER_SLOTS - 1)])
			return offset;
	return 0;
}

static unsigned long find_cluster(const unsigned long *map, const struct swap_info_struct *si)
{
	unsigned long from = si->current < si->nr_clusters ? si->current : 0;
	unsigned long c = find_next_bit(map, si->nr_clusters, from);

	return c < si->nr_clusters ? c : find_first_bit(map, si->nr_clusters);
}

/* The current cluster has no more: another one. False: the area is full, or there is no memory. */
static bool next_cluster(struct swap_info_struct *si)
{
	unsigned long c = find_cluster(si->free_map, si);

	if (c >= si->nr_clusters || !cluster_start(si, c))
		c = find_cluster(si->room_map, si);
	if (c >= si->nr_clusters)
		return false;
	si->current = c;
	si->next = c << CLUSTER_SHIFT;
	return true;
}

static void slot_take(struct swap_info_struct *si, pgoff_t offset, u64 word)
{
	unsigned long c = offset >> CLUSTER_SHIFT;
	struct swap_cluster *cluster = &si->cluster[c];

	cluster->table[offset & (CLUSTER_SLOTS - 1)] = word;
	if (++cluster->used == cluster_size(si, c))
		__clear_bit(c, si->room_map);
}

/* The area's lock held. 0: none. */
static pgoff_t alloc_slot(struct swap_info_struct *si, u64 word)
{
	pgoff_t offset = si->current < si->nr_clusters ? scan_cluster(si) : 0;

	if (!offset && next_cluster(si))
		offset = scan_cluster(si);
	if (!offset)
		return 0;
	slot_take(si, offset, word);
	si->next = offset + 1;
	si->inuse++;
	atomic_long_dec(&nr_swap_pages);
	return offset;
}

/* swap_lock held. Its equals, if there are any, are next. */
static void requeue_area(struct swap_info_struct *si)
{
	struct list_head *at = &si->list;

	while (at->next != &swap_active_head &&
	       list_entry(at->next, struct swap_info_struct, list)->prio == si->prio)
		at = at->next;
	if (at != &si->list)
		list_move(&si->list, at);
	si->stripe = 0;
}

int get_swap_page(u64 word, swp_entry_t *entry)
{
	struct swap_info_struct *si;
	pgoff_t offset = 0;

	if (get_nr_swap_pages() <= 0)
		return -ENOMEM;
	spin_lock(&swap_lock);
	list_for_each_entry(si, &swap_active_head, list) {
		spin_lock(&si->lock);
		if (si->writeok)
			offset = alloc_slot(si, word);
		spin_unlock(&si->lock);
		if (!offset)
			continue;
		*entry = swp_entry(si->type, offset);
		peak_swap_pages =
			max(peak_swap_pages, total_swap_pages - (unsigned long)get_nr_swap_pages());
		if (++si->stripe == SWAP_STRIPE)
			requeue_area(si);
		break;
	}
	spin_unlock(&swap_lock);
	return offset ? 0 : -ENOMEM;
}

void slot_put(struct swap_info_struct *si, pgoff_t offset)
{
	unsigned long c = offset >> CLUSTER_SHIFT;
	struct swap_cluster *cluster = &si->cluster[c];
	u64 *word = slot_word(si, offset);

	if (*word & ~SLOT_LOW_MASK)
		return;
	*word = 0; /* the shadow as well */
	si->inuse--;
	if (si->writeok)
		atomic_long_inc(&nr_swap_pages);
	if (--cluster->used)
		__set_bit(c, si->room_map);
	else
		cluster_end(si, c);
}

int swap_duplicate(swp_entry_t entry)
{
	struct swap_info_struct *si = swap_area_lock(entry);
	int err = -EINVAL;
	u64 *word;

	if (!si)
		return err;
	word = slot_word(si, swp_offset(entry));
	if (word && *word & ~SLOT_LOW_MASK && slot_count(*word) <= SLOT_COUNT_MAX) {
		err = slot_count(*word) == SLOT_COUNT_MAX ? -ENOMEM : 0;
		if (!err)
			*word += SLOT_COUNT_ONE;
	}
	spin_unlock(&si->lock);
	return err;
}

static bool slot_is_named(const u64 *word)
{
	return word && slot_count(*word) && slot_count(*word) <= SLOT_COUNT_MAX;
}

void swap_free(swp_entry_t entry)
{
	struct swap_info_struct *si = swap_area_lock(entry);
	u64 *word;

	if (!si)
		return;
	word = slot_word(si, swp_offset(entry));
	BUG_ON(!slot_is_named(word));
	*word -= SLOT_COUNT_ONE;
	slot_put(si, swp_offset(entry));
	spin_unlock(&si->lock);
}

unsigned int swap_count(swp_entry_t entry)
{
	struct swap_info_struct *si = swap_area_lock(entry);
	unsigned int count = 0;
	u64 *word;

	if (!si)
		return 0;
	word = slot_word(si, swp_offset(entry));
	if (slot_is_named(word))
		count = (unsigned int)slot_count(*word);
	spin_unlock(&si->lock);
	return count;
}

void free_swap_and_cache(swp_entry_t entry)
{
	struct page *page;

	swap_free(entry);
	page = lookup_swap_cache(entry);
	if (!page)
		return;
	if (trylock_page(page)) {
		if (!page_mapcount(page) && PageSwapCache(page) &&
		    page_swap_entry(page).val == entry.val)
			try_to_free_swap(page);
		unlock_page(page);
	}
	put_page(page);
}

/* ---- swapon --------------------------------------------------------------------------------- */

/* mkswap's first page, in the byte order of the machine. */
struct swap_header {
	u8 bootbits[1024];
	u32 version;
	u32 last_page;
	u32 nr_badpages;
	u8 uuid[16];
	u8 volume_name[16];
	u32 padding[117];
	u32 badpages[637];
	u8 pad[2];
	u8 magic[10];
};
_Static_assert(sizeof(struct swap_header) == PAGE_SIZE, "the header is a page");

#define MAX_SWAP_BADPAGES 637U

static int check_header(const struct swap_header *h, u64 bytes)
{
	if (memcmp(h->magic, "SWAPSPACE2", 10) != 0 || h->version != 1 || !h->last_page ||
	    h->nr_badpages > MAX_SWAP_BADPAGES || bytes >> PAGE_SHIFT <= h->last_page)
		return -EINVAL;
	for (u32 i = 0; i < h->nr_badpages; i++)
		if (!h->badpages[i] || h->badpages[i] > h->last_page)
			return -EINVAL;
	return 0;
}

static int mark_bad(struct swap_info_struct *si, pgoff_t offset)
{
	u64 *word = slot_word(si, offset);

	if (!word && !cluster_start(si, offset >> CLUSTER_SHIFT))
		return -ENOMEM;
	word = slot_word(si, offset);
	if (*word)
		return offset ? -EINVAL : 0;
	slot_take(si, offset, SLOT_BAD);
	return 0;
}

static void area_free(struct swap_info_struct *si)
{
	for (unsigned long c = 0; si->cluster && c < si->nr_clusters; c++)
		if (si->cluster[c].table)
			free_page((unsigned long)si->cluster[c].table);
	kfree(si->cluster);
	kfree(si->free_map);
	kfree(si->room_map);
	si->cluster = NULL;
	si->free_map = si->room_map = NULL;
}

/* Everything of an area that needs memory. */
static int area_setup(struct swap_info_struct *si, const struct swap_header *h)
{
	unsigned long words;
	int err = 0;

	si->max = (pgoff_t)h->last_page + 1;
	si->nr_clusters = (si->max + CLUSTER_SLOTS - 1) >> CLUSTER_SHIFT;
	words = BITS_TO_LONGS(si->nr_clusters);
	si->cluster = kcalloc(si->nr_clusters, sizeof(*si->cluster), GFP_KERNEL);
	si->free_map = kcalloc(words, sizeof(long), GFP_KERNEL);
	si->room_map = kcalloc(words, sizeof(long), GFP_KERNEL);
	if (!si->cluster || !si->free_map || !si->room_map)
		return -ENOMEM;
	bitmap_fill(si->free_map, si->nr_clusters);
	err = mark_bad(si, 0);
	for (u32 i = 0; i < h->nr_badpages && !err; i++)
		err = mark_bad(si, h->badpages[i]);
	si->current = 0; /* it has the header, so it is no empty one */
	si->next = 1;
	si->pages = si->max - 1 - h->nr_badpages;
	return err ? err : si->pages ? 0 : -EINVAL;
}

/* swapon_mutex held. A free place for the area; or -EBUSY: the device has one, -EPERM: there is none. */
static int area_find(u64 dev)
{
	int type = -EPERM;

	for (int i = MAX_SWAPFILES - 1; i >= 0; i--) {
		if (!swap_info[i].used)
			type = i;
		else if (swap_info[i].dev == dev)
			return -EBUSY;
	}
	return type;
}

/* Linux gives areas without a priority falling ones, from -2 on. */
static int area_prio(int flags)
{
	int least = -1;

	if (flags & SWAP_FLAG_PREFER)
		return flags & SWAP_FLAG_PRIO_MASK;
	for (int i = 0; i < MAX_SWAPFILES; i++)
		if (swap_info[i].used)
			least = min(least, swap_info[i].prio);
	return least - 1;
}

/* swap_lock held. Behind those of the same priority. */
static void area_link(struct swap_info_struct *si)
{
	struct swap_info_struct *other;

	list_for_each_entry(other, &swap_active_head, list)
		if (other->prio < si->prio)
			break;
	list_add_tail(&si->list, &other->list);
}

static void area_enable(struct swap_info_struct *si)
{
	spin_lock(&swap_lock);
	spin_lock(&si->lock);
	si->used = si->writeok = true;
	atomic_long_add((long)(si->pages - si->inuse), &nr_swap_pages);
	spin_unlock(&si->lock);
	total_swap_pages += si->pages;
	area_link(si);
	spin_unlock(&swap_lock);
}

static int swapon_locked(u64 dev, const struct swap_header *h, const char *name, int flags)
{
	struct swap_info_struct *si;
	int type = area_find(dev), err;

	if (type < 0)
		return type;
	si = &swap_info[type];
	/* Somebody with an old entry may be holding the lock to see that there is no area. */
	memset(&si->used, 0, sizeof(*si) - offsetof(struct swap_info_struct, used));
	si->type = (unsigned int)type;
	si->dev = dev;
	si->prio = area_prio(flags);
	strscpy(si->name, name, sizeof(si->name));
	err = area_setup(si, h);
	if (err)
		area_free(si);
	else
		area_enable(si);
	return err;
}

int do_swapon(u64 dev, u64 bytes, const char *name, int flags)
{
	struct page *page;
	int err;

	if (bytes < 2 * PAGE_SIZE) /* the header, and a slot */
		return -EINVAL;
	page = alloc_page(GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	err = machine_block_rw(dev, 0, &page, 1, false);
	if (!err)
		err = check_header(page_address(page), bytes);
	mutex_lock(&swapon_mutex);
	if (!err)
		err = swapon_locked(dev, page_address(page), name, flags);
	mutex_unlock(&swapon_mutex);
	put_page(page);
	return err;
}

bool swap_area_info(unsigned int n, struct swap_area_info *info)
{
	bool found = false;

	spin_lock(&swap_lock);
	for (unsigned int i = 0; i < MAX_SWAPFILES && !found; i++) {
		const struct swap_info_struct *si = &swap_info[i];

		if (!si->used || n--)
			continue;
		found = true;
		memcpy(info->name, si->name, sizeof(info->name));
		info->dev = si->dev;
		info->pages = si->pages;
		info->inuse = READ_ONCE(si->inuse);
		info->prio = si->prio;
	}
	spin_unlock(&swap_lock);
	return found;
}

/* ---- swapoff -------------------------------------------------------------------------------- */

static bool entry_is_of_area(pte_t pte, unsigned long type)
{
	return is_swap_pte(pte) && swp_type(pte_to_swp_entry(pte)) == type;
}

static int unuse_vma(struct vm_area_struct *vma, unsigned int type)
{
	unsigned long addr = vma->vm_start;

	if (!vma->anon_vma)
		return 0;
	while ((addr = pte_find(vma->vm_mm, addr, vma->vm_end, entry_is_of_area, type)) <
	       vma->vm_end) {
		vm_fault_t ret = handle_mm_fault(vma, addr, FAULT_FLAG_REMOTE);

		if (ret & VM_FAULT_ERROR)
			return ret & VM_FAULT_OOM ? -ENOMEM : -EIO;
	}
	return 0;
}

static int unuse_mm(struct mm_struct *mm, unsigned int type)
{
	struct vm_area_struct *vma;
	int err = 0;

	if (!get_mm_counter(mm, MM_SWAPENTS))
		return 0;
	down_read(&mm->mmap_lock);
	for_each_vma(mm, vma)
	{
		err = unuse_vma(vma, type);
		if (err)
			break;
	}
	up_read(&mm->mmap_lock);
	return err;
}

static int unuse_mms(unsigned int type)
{
	struct mm_struct *mm = NULL;
	int err = 0;

	while ((mm = mm_list_next(mm))) {
		err = unuse_mm(mm, type);
		if (err) {
			mmput(mm);
			return err;
		}
	}
	return 0;
}

/* The first slot from *offset on whose page is in the swap cache and that no entry names. */
static struct page *next_unnamed(struct swap_info_struct *si, pgoff_t *offset)
{
	struct page *page = NULL;

	spin_lock(&si->lock);
	for (; *offset < si->max; ++*offset) {
		const u64 *word = slot_word(si, *offset);

		if (!word) {
			*offset |= CLUSTER_SLOTS - 1;
		} else if (*word & SLOT_CACHE && !slot_count(*word)) {
			page = pfn_to_page(*word & SLOT_LOW_MASK);
			get_page(page);
			break;
		}
	}
	spin_unlock(&si->lock);
	return page;
}

/* What is in the swap cache and no entry names leaves it. */
static void unuse_cache(struct swap_info_struct *si)
{
	struct page *page;

	for (pgoff_t offset = 1; (page = next_unnamed(si, &offset)); offset++) {
		lock_page(page);
		wait_on_page_writeback(page);
		if (PageSwapCache(page) &&
		    page_swap_entry(page).val == swp_entry(si->type, offset).val)
			try_to_free_swap(page);
		unlock_page(page);
		put_page(page);
	}
}

/* Entries on their way from one place to another, or of an mm that is going: they turn up soon. */
#define UNUSE_PATIENCE_NS 1000000
#define UNUSE_MAX_TRIES 10000

static int try_to_unuse(struct swap_info_struct *si)
{
	u32 never = 0;

	for (int tries = 0; READ_ONCE(si->inuse); tries++) {
		int err = shmem_unuse(si->type);

		if (!err)
			err = unuse_mms(si->type);
		if (err)
			return err;
		unuse_cache(si);
		if (!READ_ONCE(si->inuse))
			break;
		if (tries == UNUSE_MAX_TRIES)
			return -EBUSY;
		machine_wait(&never, 0, UNUSE_PATIENCE_NS);
	}
	return 0;
}

static void area_disable(struct swap_info_struct *si)
{
	spin_lock(&swap_lock);
	list_del(&si->list);
	total_swap_pages -= si->pages;
	spin_lock(&si->lock);
	si->writeok = false;
	atomic_long_sub((long)(si->pages - si->inuse), &nr_swap_pages);
	spin_unlock(&si->lock);
	spin_unlock(&swap_lock);
}

static void area_end(struct swap_info_struct *si)
{
	struct swap_info_struct gone;

	spin_lock(&swap_lock);
	spin_lock(&si->lock);
	gone = *si;
	si->used = false;
	spin_unlock(&si->lock);
	spin_unlock(&swap_lock);
	area_free(&gone);
	machine_block_release(gone.dev);
}

static int swapoff_locked(struct swap_info_struct *si)
{
	int err;

	area_disable(si);
	err = try_to_unuse(si);
	if (err) {
		area_enable(si);
		return err;
	}
	area_end(si);
	return 0;
}

int do_swapoff(u64 dev)
{
	int err = -EINVAL;

	mutex_lock(&swapon_mutex);
	for (unsigned int i = 0; i < MAX_SWAPFILES; i++) {
		if (swap_info[i].used && swap_info[i].dev == dev) {
			err = swapoff_locked(&swap_info[i]);
			break;
		}
	}
	mutex_unlock(&swapon_mutex);
	return err;
}

unsigned long swap_shutdown(void)
{
	unsigned long leaked = 0;

	mutex_lock(&swapon_mutex);
	for (unsigned int i = 0; i < MAX_SWAPFILES; i++) {
		struct swap_info_struct *si = &swap_info[i];

		if (!si->used)
			continue;
		unuse_cache(si);
		leaked += si->inuse;
		area_disable(si);
		area_end(si);
	}
	mutex_unlock(&swapon_mutex);
	return leaked;
}
