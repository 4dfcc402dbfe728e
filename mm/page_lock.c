/* SPDX-License-Identifier: MIT */
/*
 * page_lock.c - waiting for two bits of page->flags: PG_locked and PG_writeback.
 *
 * The lower half of the flags is itself the word slept on. Whoever is about to sleep sets PG_waiters
 * first; whoever clears one of the bits clears PG_waiters in the same step, and wakes everybody if it
 * was set. So a page that nobody waits for costs one atomic operation. Other flags that change
 * meanwhile let a sleeper look again, no more.
 */
#include <quire/pagemap.h>

#define BIT_LOCKED (1UL << PG_locked)
#define BIT_WRITEBACK (1UL << PG_writeback)
#define BIT_WAITERS (1UL << PG_waiters)

static u32 *page_wait_word(struct page *page)
{
	return (u32 *)&page->flags; /* little endian */
}

/* One sleep, at most, while the bit is set. */
static void wait_on_page_bit(struct page *page, unsigned long bit)
{
	unsigned long flags = __atomic_or_fetch(&page->flags, BIT_WAITERS, __ATOMIC_SEQ_CST);

	if (flags & bit)
		machine_wait(page_wait_word(page), (u32)flags, MACHINE_WAIT_FOREVER);
}

static void clear_page_bit(struct page *page, unsigned long bit)
{
	unsigned long old =
		__atomic_fetch_and(&page->flags, ~(bit | BIT_WAITERS), __ATOMIC_SEQ_CST);

	if (old & BIT_WAITERS)
		machine_wake(page_wait_word(page), INT_MAX);
}

bool trylock_page(struct page *page)
{
	return !(__atomic_fetch_or(&page->flags, BIT_LOCKED, __ATOMIC_ACQUIRE) & BIT_LOCKED);
}

void lock_page(struct page *page)
{
	while (!trylock_page(page))
		wait_on_page_bit(page, BIT_LOCKED);
}

void unlock_page(struct page *page)
{
	clear_page_bit(page, BIT_LOCKED);
}

void wait_on_page_writeback(struct page *page)
{
	while (PageWriteback(page))
		wait_on_page_bit(page, BIT_WRITEBACK);
}

void end_page_writeback(struct page *page)
{
	clear_page_bit(page, BIT_WRITEBACK);
}
