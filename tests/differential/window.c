/* SPDX-License-Identifier: MIT */
/*
 * window.c - the three windows of the address space that steps work in, and the
 * drawing of addresses and lengths.
 */
#include "difftest.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct window win[NR_WIN];
uintptr_t anchor;

/*
 * The anchor fills the top of the mmap area down to a 2 MiB boundary, so that
 * what the kernel chooses is the same distance below it wherever the area starts.
 */
static void anchor_init(void)
{
	char *probe = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uintptr_t top = (uintptr_t)probe + PAGE;
	void *p;

	if (probe == MAP_FAILED)
		die("mmap");
	munmap(probe, PAGE);
	anchor = (top - 2 * ANCHOR_ALIGN) & ~(ANCHOR_ALIGN - 1);
	p = mmap((void *)anchor, top - anchor, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (p != (void *)anchor)
		die("the top of the mmap area is not free");
}

void windows_init(void)
{
	uintptr_t brk = ((uintptr_t)sbrk(0) + PAGE - 1) & ~(PAGE - 1);

	anchor_init();
	win[WIN_A] = (struct window){ "A", A_BASE, A_BASE + WIN_PAGES * PAGE };
	win[WIN_T] = (struct window){ "T", anchor - WIN_PAGES * PAGE, anchor };
	win[WIN_B] = (struct window){ "B", brk, brk + B_PAGES * PAGE };
	for (int w = 0; w < NR_WIN; w++) {
		void *p = mmap((void *)win[w].start, win[w].end - win[w].start, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != (void *)win[w].start)
			die("a window is not free");
		munmap(p, win[w].end - win[w].start);
	}
	if (syscall(SYS_brk, brk) < 0)
		die("brk");
}

bool in_window(uintptr_t addr, size_t len)
{
	for (int w = 0; w < NR_WIN; w++)
		if (addr >= win[w].start && addr + len <= win[w].end && addr + len >= addr)
			return true;
	return false;
}

/* @len, or a page if a range that the kernel may well accept would leave its window. */
size_t keep_in(uintptr_t addr, size_t len)
{
	if (addr < (1UL << 47) - PAGE && len < 1UL << 46 && !in_window(addr, len))
		return PAGE;
	return len;
}

/* A page of a window: mostly of a small part of A, so that steps meet each other. */
uintptr_t pick_page(struct rng *r)
{
	switch (below(r, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return anchor - (1 + below(r, one_in(r, 8) ? WIN_PAGES : 32)) * PAGE;
	case 4:
		return win[WIN_B].start + below(r, 24) * PAGE;
	case 5:
		return A_BASE + below(r, WIN_PAGES) * PAGE;
	default:
		return A_BASE + below(r, 48) * PAGE;
	}
}

/* The start of a range for a call: a page, now and then an odd or a hostile one. */
uintptr_t pick_addr(struct rng *r)
{
	uintptr_t p = pick_page(r);

	if (!one_in(r, 24))
		return p;
	switch (below(r, 6)) {
	case 0:
		return p + 1 + below(r, PAGE - 1);
	case 1:
		return p + 2048;
	case 2:
		return 1UL << 47;
	case 3:
		return (1UL << 47) - PAGE;
	case 4:
		return -PAGE;
	default:
		return 0x8000000000000000UL + A_BASE;
	}
}

size_t pick_len(struct rng *r)
{
	if (one_in(r, 32)) {
		static const size_t odd[] = {
			0, 1, PAGE - 1, PAGE + 1, -1UL, -PAGE, -PAGE + 1, 1UL << 47, 1UL << 63,
		};

		return odd[below(r, sizeof(odd) / sizeof(odd[0]))];
	}
	switch (below(r, 8)) {
	case 0:
		return (1 + below(r, 64)) * PAGE;
	case 1:
		return (1 + below(r, 8)) * PAGE - below(r, PAGE);
	case 2:
	case 3:
		return (1 + below(r, 16)) * PAGE;
	default:
		return (1 + below(r, 4)) * PAGE;
	}
}

/*
 * Locked VMAs end a call, so it is done in pieces; which ones changes from call to call. No step's own
 * draws are touched.
 */
void windows_pageout(void)
{
	static unsigned int turn;
	const uintptr_t piece = 16 * PAGE;

	for (int w = 0; w < NR_WIN; w++)
		for (uintptr_t at = win[w].start; at < win[w].end; at += piece)
			if ((at / piece + turn) % 3)
				madvise((void *)at, piece, 21 /* MADV_PAGEOUT */);
	turn++;
}
