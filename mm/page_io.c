/* SPDX-License-Identifier: MIT */
/*
 * page_io.c - pages of the swap cache to and from their slots.
 *
 * A page that could not be written is dirty again and stays; one that could not be read leaves the cache, so
 * that whoever wants it tries again and whoever had waited for it is told.
 */
#include <quire/pagemap.h>
#include <quire/swap.h>
#include <quire/trace.h>
#include <quire/vmstat.h>

#include "swap_area.h"

/* Pages of one transfer. */
#define IO_MAX 64U

/* How many of the n pages, at most IO_MAX, lie one behind the other. */
static unsigned int run_length(struct page *const *pages, unsigned int n)
{
	unsigned int run = 1;

	while (run < min(n, IO_MAX) && pages[run]->private == pages[0]->private + run)
		run++;
	return run;
}

static int swap_rw(struct page *const *pages, unsigned int n, bool write)
{
	swp_entry_t entry = page_swap_entry(pages[0]);
	u64 start = trace_clock();
	int err = machine_block_rw(swap_info[swp_type(entry)].dev, swp_offset(entry), pages, n,
				   write);

	if (!err) {
		count_vm_events(write ? PSWPOUT : PSWPIN, n);
		count_vm_events(write ? PGPGOUT : PGPGIN, n * (PAGE_SIZE / 1024));
	}
	trace(write ? TRACE_SWAPOUT : TRACE_SWAPIN, entry.val, n, start);
	return err;
}

/* An error of a run says nothing of each page. How many went without one. */
static unsigned int swap_rw_run(struct page *const *pages, unsigned int n, bool write,
				void (*done)(struct page *page, int err))
{
	int err = swap_rw(pages, n, write);
	unsigned int good = 0;

	for (unsigned int i = 0; i < n; i++) {
		int e = err && n > 1 ? swap_rw(pages + i, 1, write) : err;

		good += !e;
		done(pages[i], e);
	}
	return good;
}

/* ---- Writing -------------------------------------------------------------------------------- */

static void complain(const struct page *page, const char *what)
{
	swp_entry_t entry = page_swap_entry(page);

	pr_err("%s-error on swap-device %s, slot %lu", what, swap_info[swp_type(entry)].name,
	       swp_offset(entry));
}

static void write_done(struct page *page, int err)
{
	if (err) {
		complain(page, "Write");
		SetPageDirty(page);
	}
	mod_node_page_state(NR_WRITEBACK, -1);
	end_page_writeback(page);
}

unsigned int swap_write_pages(struct page **pages, unsigned int n)
{
	unsigned int written = 0;

	for (unsigned int i = 0; i < n; i++) {
		ClearPageDirty(pages[i]);
		SetPageWriteback(pages[i]);
		unlock_page(pages[i]);
	}
	mod_node_page_state(NR_WRITEBACK, n);
	for (unsigned int i = 0, run; i < n; i += run) {
		run = run_length(pages + i, n - i);
		written += swap_rw_run(pages + i, run, true, write_done);
	}
	return written;
}

/* ---- Reading -------------------------------------------------------------------------------- */

static void read_done(struct page *page, int err)
{
	get_page(page); /* of one read ahead the cache has the only reference */
	if (err) {
		complain(page, "Read");
		delete_from_swap_cache(page, 0);
	} else {
		SetPageUptodate(page);
	}
	unlock_page(page);
	put_page(page);
}

void swap_read_pages(struct page **pages, unsigned int n)
{
	for (unsigned int i = 0, run; i < n; i += run) {
		run = run_length(pages + i, n - i);
		swap_rw_run(pages + i, run, false, read_done);
	}
}
