/* SPDX-License-Identifier: MIT */
/*
 * The example of docs/own-mapping.md: a board of pages that its owner hands to programs, page by page, as
 * they touch them. Everything in vm_operations_struct is used, and the test sees when it is called.
 */
#include "mm_fixture.h"

#define SIGBUS 7

#define BOARD_PAGES 16UL
#define BROKEN 13UL /* a page that cannot be had */
#define ABSENT 14UL /* pages that a debugger alone can see, from here on */

/* ---- The owner ------------------------------------------------------------------------------ */

struct board {
	struct page *page[BOARD_PAGES]; /* with a reference; NULL: nobody has asked for it yet */
	bool written[BOARD_PAGES];
	unsigned int users; /* VMAs */
	unsigned int faults, rounds; /* calls of ->fault and ->map_pages */
	unsigned long at; /* where it was mapped or moved to last */
	bool fixed; /* it may not be moved */
};

/* The page at index, made on demand: each says its number. NULL: no memory. */
static struct page *board_page(struct board *board, pgoff_t index)
{
	if (!board->page[index]) {
		board->page[index] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (board->page[index])
			*(unsigned long *)page_address(board->page[index]) = 100 + index;
	}
	return board->page[index];
}

static vm_fault_t board_fault(struct vm_fault *vmf)
{
	struct board *board = vmf->vma->vm_private_data;

	board->faults++;
	if (vmf->pgoff >= BROKEN || vmf->pgoff >= BOARD_PAGES)
		return VM_FAULT_SIGBUS;
	vmf->page = board_page(board, vmf->pgoff);
	if (!vmf->page)
		return VM_FAULT_OOM;
	get_page(vmf->page);
	return 0;
}

/* Pages that are there already are entered at once: no further faults. */
static void board_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct board *board = vmf->vma->vm_private_data;

	board->rounds++;
	for (; first <= last && first < BOARD_PAGES; first++) {
		if (!board->page[first])
			continue;
		get_page(board->page[first]);
		map_page_around(vmf, first, board->page[first]);
	}
}

static vm_fault_t board_page_mkwrite(struct vm_fault *vmf)
{
	struct board *board = vmf->vma->vm_private_data;

	board->written[vmf->pgoff] = true;
	return 0;
}

static void board_open(struct vm_area_struct *vma)
{
	struct board *board = vma->vm_private_data;

	board->users++;
}

static void board_close(struct vm_area_struct *vma)
{
	struct board *board = vma->vm_private_data;

	board->users--;
}

/* In halves, or not at all. */
static int board_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	return linear_page_index(vma, addr) % (BOARD_PAGES / 2) ? -EINVAL : 0;
}

static int board_mremap(struct vm_area_struct *vma, unsigned long old_addr)
{
	struct board *board = vma->vm_private_data;

	(void)old_addr;
	if (board->fixed)
		return -EBUSY;
	board->at = vma->vm_start;
	return 0;
}

static int board_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			  vm_flags_t newflags)
{
	(void)vma;
	(void)start;
	(void)end;
	return newflags & VM_EXEC ? -EACCES : 0;
}

static long board_access(struct vm_area_struct *vma, unsigned long addr, void *buf, size_t len,
			 bool write)
{
	if (write || linear_page_index(vma, addr) < ABSENT)
		return -EFAULT;
	memset(buf, 'x', len);
	return (long)len;
}

static const char *board_name(struct vm_area_struct *vma)
{
	(void)vma;
	return "[board]";
}

static const struct vm_operations_struct board_vm_ops = {
	.open = board_open,
	.close = board_close,
	.may_split = board_may_split,
	.mremap = board_mremap,
	.mprotect = board_mprotect,
	.access = board_access,
	.fault = board_fault,
	.map_pages = board_map_pages,
	.page_mkwrite = board_page_mkwrite,
	.name = board_name,
};

static int board_map(struct board *board, struct mm_struct *mm, unsigned long addr)
{
	const vm_flags_t flags = VM_READ | VM_WRITE | VM_SHARED | VM_MAYREAD | VM_MAYWRITE |
				 VM_MAYEXEC | VM_MAYSHARE;
	int err = install_special_mapping(mm, addr, LEN(BOARD_PAGES), flags, &board_vm_ops, board);

	if (err)
		return err;
	board->users++; /* ->open is for further VMAs */
	board->at = addr;
	return 0;
}

static void board_end(struct board *board)
{
	assert_int_equal(board->users, 0);
	for (pgoff_t i = 0; i < BOARD_PAGES; i++)
		if (board->page[i])
			put_page(board->page[i]);
}

/* ---- The test ------------------------------------------------------------------------------- */

static struct mm_struct *mm;
static struct counters before;
static struct board board;

static int setup(void **state)
{
	(void)state;
	before = counters_now();
	memset(&board, 0, sizeof(board));
	mm = mm_alloc();
	assert_int_equal(board_map(&board, mm, PG(0)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_mm_sound(mm);
	mmput(mm);
	board_end(&board);
	assert_counters(&before);
	return 0;
}

static void test_faults(void **state)
{
	(void)state;
	/* A read brings the page asked for, and those that are there. */
	assert_int_equal(peek(mm, PG(3)), 103);
	assert_int_equal(board.faults, 1);
	assert_int_equal(board.rounds, 1);
	assert_int_equal(peek(mm, PG(5)), 105);
	assert_int_equal(board.faults, 2);
	assert_int_equal(do_munmap(mm, PG(8), LEN(8)), 0);
	zap_page_range(vma_lookup(mm, PG(0)), PG(0), PG(8));
	assert_int_equal(get_mm_rss(mm), 0);
	board.faults = 0;
	assert_int_equal(peek(mm, PG(3)), 103);
	assert_int_equal(peek(mm, PG(5)), 105);
	assert_int_equal(board.faults, 1);
	assert_int_equal(get_mm_counter(mm, MM_FILEPAGES), 2);
	/* A write is announced once, to the one page. */
	assert_false(board.written[3]);
	poke(mm, PG(3) + 8, 7);
	assert_true(board.written[3] && !board.written[5]);
	board.written[3] = false;
	poke(mm, PG(3) + 8, 8);
	assert_false(board.written[3]);
	assert_int_equal(((unsigned long *)page_address(board.page[3]))[1], 8);
	poke(mm, PG(6), 9); /* without a read before */
	assert_true(board.written[6]);
}

static void test_errors(void **state)
{
	unsigned long v;

	(void)state;
	assert_int_equal(soft_load(mm, PG(BROKEN), &v, 8).signo, SIGBUS);
	assert_int_equal(soft_store(mm, PG(BROKEN), &v, 8).signo, SIGBUS);
	assert_int_equal(do_mprotect(mm, PG(0), LEN(BOARD_PAGES), PROT_READ | PROT_EXEC), -EACCES);
	assert_int_equal(do_mprotect(mm, PG(0), LEN(3), PROT_READ), -EINVAL);
	assert_int_equal(do_munmap(mm, PG(0), LEN(3)), -EINVAL);
	assert_layout(mm, "0-16:rw");
}

/* What the program cannot touch a debugger may see, if the owner shows it. */
static void test_access(void **state)
{
	char text[4] = "";

	(void)state;
	assert_int_equal(access_remote_mm(mm, PG(ABSENT), text, 3, false, true), 3);
	assert_string_equal(text, "xxx");
	assert_int_equal(access_remote_mm(mm, PG(ABSENT), text, 3, true, true), 0);
	assert_int_equal(access_remote_mm(mm, PG(ABSENT), text, 3, false, false), 0);
	assert_int_equal(access_remote_mm(mm, PG(BROKEN), text, 3, false, true), 0);
	assert_int_equal(access_remote_mm(mm, PG(2), text, 1, false, false), 1);
	assert_int_equal(text[0], 102);
}

static void test_life(void **state)
{
	struct mm_struct *child;

	(void)state;
	poke(mm, PG(1), 5);
	child = dup_mm(mm);
	up_write(&mm->mmap_lock);
	assert_false(IS_ERR(child));
	assert_int_equal(board.users, 2);
	poke(child, PG(1), 6); /* shared */
	assert_int_equal(peek(mm, PG(1)), 6);
	mmput(child);
	assert_int_equal(board.users, 1);
	/* A half of its own, moved; the page goes with it. */
	assert_int_equal(
		do_mremap(mm, PG(0), LEN(8), LEN(8), MREMAP_MAYMOVE | MREMAP_FIXED, PG(100)),
		PG(100));
	assert_int_equal(board.users, 2);
	assert_int_equal(board.at, PG(100));
	board.faults = 0;
	assert_int_equal(peek(mm, PG(101)), 6);
	assert_int_equal(board.faults, 0);
	assert_int_equal(peek(mm, PG(9)), 109);
	/* A move that the owner refuses changes nothing. */
	board.fixed = true;
	assert_int_equal((long)do_mremap(mm, PG(100), LEN(8), LEN(8), MREMAP_MAYMOVE | MREMAP_FIXED,
					 PG(200)),
			 -EBUSY);
	assert_int_equal(board.users, 2);
	assert_int_equal(peek(mm, PG(101)), 6);
	/* It cannot grow, and its VMAs do not merge: each is known to the owner. */
	assert_int_equal((long)do_mremap(mm, PG(100), LEN(8), LEN(9), MREMAP_MAYMOVE, 0), -EFAULT);
	board.fixed = false;
	assert_int_equal(
		do_mremap(mm, PG(100), LEN(8), LEN(8), MREMAP_MAYMOVE | MREMAP_FIXED, PG(0)),
		PG(0));
	assert_layout(mm, "0-8:rw 8-16:rw");
	assert_int_equal(do_munmap(mm, PG(0), LEN(8)), 0);
	assert_int_equal(board.users, 1);
}

/* No memory at any point: an error, and nothing is lost. */
static void test_no_memory(void **state)
{
	(void)state;
	for (unsigned long nth = 1; nth < 20; nth++) {
		struct board other = { 0 };
		struct mm_struct *m = mm_alloc();
		unsigned long v;

		fail_page_alloc.nth = nth;
		if (!board_map(&other, m, PG(0)))
			soft_load(m, PG(nth % 8), &v, 8);
		fail_page_alloc.nth = 0;
		mmput(m);
		board_end(&other);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_faults), T(test_errors), T(test_access), T(test_life), T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, mm_fixture_boot, mm_fixture_shutdown);
}
