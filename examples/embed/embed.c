/* SPDX-License-Identifier: MIT */
/*
 * A complete small program on Quire's core: its own port, one CPU, no interrupts, no storage, nobody to
 * wait for; lib/, arch/x86/ and mm/ without linux/. docs/porting.md walks through it.
 *
 * RAM is a memory object of the host, so that frames can also be mapped elsewhere, as page tables do
 * it for a kernel. There is no processor behind it: what a program would do is done by copy_to_mm() and
 * copy_from_mm(), and its faults are do_page_fault().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <quire/errno.h>
#include <quire/machine.h>
#include <quire/mm.h>
#include <quire/mman.h>
#include <quire/slab.h>
#include <quire/trace.h>
#include <quire/vmalloc.h>

#define RAM_BYTES (16ul << 20)
#define VMALLOC_BYTES (64ul << 20)

static int ram_fd;

/* Frames of RAM at consecutive addresses of ours; fd -1: nothing is there. */
static void *map(void *addr, unsigned long bytes, int fd, unsigned long offset)
{
	int flags = (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | (addr ? MAP_FIXED : 0);
	void *p = mmap(addr, bytes, fd < 0 ? PROT_NONE : PROT_READ | PROT_WRITE, flags, fd,
		       (off_t)offset);

	if (p == MAP_FAILED)
		machine_panic("the host has no memory");
	return p;
}

static void power_on(void)
{
	ram_fd = memfd_create("ram", 0);
	if (ram_fd < 0 || ftruncate(ram_fd, RAM_BYTES))
		machine_panic("the host has no memory");
	page_offset_base = (unsigned long)map(NULL, RAM_BYTES, ram_fd, 0);
	vmalloc_base = (unsigned long)map(NULL, VMALLOC_BYTES, -1, 0);
	vmalloc_bytes = VMALLOC_BYTES;
}

/* ---- The port ------------------------------------------------------------------------------- */

int machine_memory_map(struct e820_entry *map, int max)
{
	/* The first megabyte is the firmware's, as on a PC. */
	map[0] = (struct e820_entry){ .addr = 0, .size = RAM_BYTES, .type = E820_TYPE_RAM };
	map[1] =
		(struct e820_entry){ .addr = 0xa0000, .size = 0x60000, .type = E820_TYPE_RESERVED };
	return 2;
}

unsigned int machine_node_distance(unsigned int from, unsigned int to)
{
	return from == to ? 10 : 20;
}

bool machine_ram_is_zeroed(void)
{
	return true;
}

void machine_clear_pages(void *addr, unsigned long nr)
{
	memset(addr, 0, nr << PAGE_SHIFT);
}

unsigned int machine_nr_cpus(void)
{
	return 1;
}

unsigned int machine_cpu_id(void)
{
	return 0;
}

unsigned int machine_cpu_slot(void)
{
	return 0;
}

unsigned long machine_irq_save(void)
{
	return 0;
}

void machine_relax(unsigned int spins)
{
	machine_panic("waits for another CPU, and there is none");
}

int machine_mm_init(struct mm_struct *mm)
{
	return 0;
}

void machine_tlb_flush_kernel(const struct machine_range *ranges, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		map((void *)ranges[i].start, ranges[i].end - ranges[i].start, -1, 0);
}

void machine_tlb_fill_kernel(unsigned long addr, const u64 *ptep, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		map((char *)addr + i * PAGE_SIZE, PAGE_SIZE, ram_fd,
		    pte_pfn(__pte(ptep[i])) * PAGE_SIZE);
}

bool machine_is_dying(void)
{
	return false;
}

bool machine_capable(int cap)
{
	return false;
}

int machine_wait(u32 *word, u32 val, u64 timeout_ns)
{
	machine_panic("waits for another thread, and there is none");
}

int machine_block_rw(u64 dev, pgoff_t index, struct page *const *pages, unsigned int n, bool write)
{
	return -ENODEV;
}

int machine_block_flush(u64 dev)
{
	return 0;
}

size_t machine_copy_from_user(struct mm_struct *mm, void *to, unsigned long from, size_t n)
{
	return 0;
}

size_t machine_copy_to_user(struct mm_struct *mm, unsigned long to, const void *from, size_t n)
{
	return 0;
}

bool machine_block_hole(u64 dev, pgoff_t index)
{
	return false;
}

int machine_block_punch(u64 dev, pgoff_t first, pgoff_t last)
{
	return -EIO;
}

/* A clock that ticks when it is looked at. */
u64 machine_clock_ns(void)
{
	static u64 now;

	return now += 1000;
}

u64 machine_realtime_ns(void)
{
	return machine_clock_ns();
}

void machine_log(enum log_level level, const char *text, size_t len)
{
	printf("<%d>%.*s\n", (int)level, (int)len, text);
}

void machine_panic(const char *text)
{
	printf("panic: %s\n", text);
	exit(1);
}

void machine_random(void *buf, size_t len)
{
	memset(buf, 0x5a, len);
}

/* What there is nothing to do for: no other CPU, no TLB of programs, no task list, no disk, no trace. */
#define NOTHING(name, ...)     \
	void name(__VA_ARGS__) \
	{                      \
	}
NOTHING(machine_irq_restore, unsigned long flags)
NOTHING(machine_ipi, u64 cpumask, void (*fn)(void *arg), void *arg)
NOTHING(machine_mm_exit, struct mm_struct *mm)
NOTHING(machine_tlb_flush, struct mm_struct *mm, unsigned long start, unsigned long end,
	enum tlb_flush how)
NOTHING(machine_tlb_fill, struct mm_struct *mm, unsigned long addr, const u64 *ptep,
	unsigned int nr)
NOTHING(machine_tlb_replace, struct mm_struct *mm, unsigned long addr, const u64 *ptep,
	unsigned int nr)
NOTHING(machine_load_mm, struct mm_struct *mm)
NOTHING(machine_kill_mm, struct mm_struct *mm)
NOTHING(machine_wake, u32 *word, int n)
NOTHING(machine_block_release, u64 dev)
NOTHING(machine_trace, const struct trace_event *event)

/* ---- The kernel ----------------------------------------------------------------------------- */

static void expect(bool true_that, const char *what)
{
	printf("%s: %s\n", true_that ? "ok" : "FAIL", what);
	if (!true_that)
		exit(1);
}

static void frames_and_objects(void)
{
	struct kmem_cache *cache = kmem_cache_create("things", 200, 0, 0, NULL);
	struct page *page = alloc_pages(GFP_KERNEL, 3);
	void *object = kmem_cache_alloc(cache, GFP_KERNEL), *text = kmalloc(3000, GFP_KERNEL);

	expect(page && page_to_pfn(page) % 8 == 0, "eight frames in a row");
	expect(object && text, "an object of a cache, and kmalloc");
	memset(text, 'x', 3000);
	kfree(text);
	kmem_cache_free(cache, object);
	expect(kmem_cache_destroy(cache) == 0, "no object is left");
	__free_pages(page, 3);
}

static void scattered_memory(void)
{
	char *area = vzalloc(300 * PAGE_SIZE);

	expect(area && !area[299 * PAGE_SIZE], "300 pages at consecutive addresses");
	strcpy(area + PAGE_SIZE - 2, "scattered");
	expect(!memcmp(page_address(vmalloc_to_page(area + PAGE_SIZE)), "attered", 8),
	       "each of them a frame");
	vfree(area);
}

static void address_spaces(void)
{
	struct mm_struct *mm = mm_alloc(), *child;
	unsigned long addr = do_mmap(mm, NULL, 0, 1ul << 20, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, 0, NULL);
	char text[6] = "";

	expect(!IS_ERR_VALUE(addr), "a mapping");
	expect(copy_to_mm(mm, addr + 4094, "bare", 5) == 0, "a write over the end of a page");
	child = dup_mm(mm);
	up_write(&mm->mmap_lock);
	expect(!IS_ERR(child) && copy_to_mm(child, addr + 4094, "BARE", 5) == 0,
	       "a child's own copy");
	expect(copy_from_mm(mm, text, addr + 4094, 5) == 0 && !strcmp(text, "bare"),
	       "the parent's is as it was");
	expect(do_page_fault(mm, addr + 8 * PAGE_SIZE, X86_PF_USER | X86_PF_WRITE).signo == 0 &&
		       pte_lookup(mm, addr + 8 * PAGE_SIZE),
	       "a fault in the mapping is resolved");
	expect(do_page_fault(mm, addr - 4096, X86_PF_USER).signo == 11, "a fault in no mapping");
	mmput(child);
	mmput(mm);
}

static unsigned long free_frames(void)
{
	vm_unmap_aliases();
	kmem_cache_shrink_all();
	drain_all_pages();
	return nr_free_pages();
}

int main(void)
{
	unsigned long free_at_first;

	power_on();
	expect(mm_init() == 0, "boot");
	free_at_first = free_frames();
	frames_and_objects();
	scattered_memory();
	address_spaces();
	expect(free_frames() == free_at_first, "every frame is back");
	return 0;
}
