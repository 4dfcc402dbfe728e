/* SPDX-License-Identifier: MIT */
/*
 * Pages that say of themselves what they are: of which object, at which index, which version, all of it
 * drawn from these three. They are written, read, sent out, forked, cut, moved, lazily freed and copied at
 * random by a family of processes while a thread of each sends out what it finds. A page that is not what
 * was last written to it is told.
 *
 *     integrity [-e] [-m MEGABYTES] [-s SEED] [-t SECONDS] [STEPS]
 *
 * -e: allocations and devices fail: calls and accesses may then fail, too, but what is read must be right.
 * A written file page that could not be stored may be an older one of the same place.
 *
 * Private objects have their versions in the process's own memory, as they are inherited alike. Those of
 * shared ones are in a shared table, under a lock for each object.
 */
#include "guest.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

#define WORDS (PAGE / 8)
#define MAX_PAGES 1024U
#define MAX_OBJECTS 64U
#define SLOTS 128U
#define MAX_DEPTH 3
#define MAX_CHILDREN 3

enum kind {
	NONE,
	ANON,
	SHARED,
	PRIVATE_FILE,
	SHARED_FILE,
	SEGMENT,
	KINDS
};

/* Versions: 0 is a page of zeros. */
#define LAZY 0x80000000U /* with a version: this, or zeros */
#define UNKNOWN 0x40000000U /* half written as an access failed */

struct shared {
	pthread_mutex_t lock;
	uint32_t holders; /* 0: free */
	uint32_t pages; /* of the file */
	uint32_t writing; /* index + 1 of a page that is being written */
	uint32_t version[MAX_PAGES];
};

struct object {
	enum kind kind;
	char *volatile addr;
	volatile uint32_t pages;
	uint32_t id;
	int fd;
	struct shared *shared;
	uint32_t *version;
};

static struct {
	uint32_t ids, bad;
	struct shared slot[SLOTS];
} * table;

static struct object objects[MAX_OBJECTS];
static uint64_t prng_state = 1;
static uint32_t versions = 1;
static unsigned long limit_pages = 24576, live_pages;
static int depth, children;
static bool errors;
static __thread volatile bool looking;

/* TRY() for what may be out of reach; any other memory that is ends the process. */
#define LOOK(access)                      \
	({                                \
		looking = true;           \
		bool seen_ = TRY(access); \
                                          \
		looking = false;          \
		seen_;                    \
	})

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint32_t draw(uint32_t below)
{
	prng_state += 0x9e3779b97f4a7c15;
	return (uint32_t)(mix(prng_state) >> 33) % below;
}

/* ---- Pages ----------------------------------------------------------------------------------- */

static uint64_t seed_of(uint32_t id, uint32_t index, uint32_t version)
{
	return mix((uint64_t)id << 40 ^ (uint64_t)index << 30 ^ version);
}

static void page_fill(uint64_t *p, uint32_t id, uint32_t index, uint32_t version)
{
	uint64_t x = seed_of(id, index, version);

	p[0] = (uint64_t)id << 32 | index;
	p[1] = version;
	for (unsigned int i = 2; i < WORDS; i++)
		p[i] = x += 0x9e3779b97f4a7c15;
}

static bool page_zero(const uint64_t *p)
{
	for (unsigned int i = 0; i < WORDS; i++)
		if (p[i])
			return false;
	return true;
}

static bool page_is(const uint64_t *p, uint32_t id, uint32_t index, uint32_t version)
{
	uint64_t x = seed_of(id, index, version);

	if (!version)
		return page_zero(p);
	if (p[0] != ((uint64_t)id << 32 | index) || p[1] != version)
		return false;
	for (unsigned int i = 2; i < WORDS; i++)
		if (p[i] != (x += 0x9e3779b97f4a7c15))
			return false;
	return true;
}

static bool page_right(const struct object *o, const uint64_t *p, uint32_t index, uint32_t version)
{
	if (version & UNKNOWN)
		return true;
	if (version & LAZY)
		return page_zero(p) || page_is(p, o->id, index, version & ~LAZY);
	if (page_is(p, o->id, index, version))
		return true;
	return errors && o->kind == SHARED_FILE &&
	       (page_zero(p) || (p[1] < version && page_is(p, o->id, index, (uint32_t)p[1])));
}

static void tell(const struct object *o, const uint64_t *p, uint32_t index, uint32_t version)
{
	static const char *const names[] = { "none",	     "private",	    "shared",
					     "private file", "shared file", "segment" };
	unsigned int zeros = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		zeros += !p[i];
	__atomic_add_fetch(&table->bad, 1, __ATOMIC_SEQ_CST);
	printf("FAIL: %s object %u page %u of %u at %p version %x: object %u page %u version %x, "
	       "%u words are 0\n",
	       names[o->kind], o->id, index, o->pages, (void *)p, version, (uint32_t)(p[0] >> 32),
	       (uint32_t)p[0], (uint32_t)p[1], zeros);
	fflush(stdout);
}

/* ---- Objects --------------------------------------------------------------------------------- */

static bool lock(struct object *o)
{
	struct shared *s = o->shared;

	if (s && pthread_mutex_lock(&s->lock) == EOWNERDEAD) {
		if (s->writing)
			s->version[s->writing - 1] = UNKNOWN;
		s->writing = 0;
		pthread_mutex_consistent(&s->lock);
	}
	/* What lies behind the end of a file cannot be looked at. */
	return true;
}

static void unlock(struct object *o)
{
	if (o->shared)
		pthread_mutex_unlock(&o->shared->lock);
}

static uint32_t usable(const struct object *o)
{
	return o->shared && o->shared->pages < o->pages ? o->shared->pages : o->pages;
}

static uint64_t *page_at(const struct object *o, uint32_t index)
{
	return (uint64_t *)(o->addr + index * PAGE);
}

static void check_page(struct object *o, uint32_t index)
{
	const uint64_t *p = page_at(o, index);
	bool right = true;

	if (LOOK(right = page_right(o, p, index, o->version[index]))) {
		if (!right)
			tell(o, p, index, o->version[index]);
	} else if (!errors) {
		printf("FAIL: signal %d, code %d\n", fault_info.si_signo, fault_info.si_code);
		__atomic_add_fetch(&table->bad, 1, __ATOMIC_SEQ_CST);
	}
}

static void write_page(struct object *o, uint32_t index)
{
	uint32_t version = o->shared ? (o->version[index] & ~(LAZY | UNKNOWN)) + 1 : ++versions;

	/* Versions of a page only grow. */
	if (version <= 1)
		version = 2;
	o->version[index] = UNKNOWN;
	if (o->shared)
		o->shared->writing = index + 1;
	if (LOOK(page_fill(page_at(o, index), o->id, index, version)))
		o->version[index] = version;
	else if (!errors)
		CHECK(false, "write");
	if (o->shared)
		o->shared->writing = 0;
}

static struct shared *slot_get(void)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		uint32_t none = 0;

		if (__atomic_compare_exchange_n(&table->slot[i].holders, &none, 1, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return &table->slot[i];
	}
	return NULL;
}

/* A new file of that many pages, of version 1 if filled; without a name. */
static int new_file(uint32_t id, uint32_t pages, bool filled)
{
	char name[] = "integrity-XXXXXX";
	uint64_t page[WORDS];
	int fd = mkstemp(name);

	if (fd < 0)
		return -1;
	unlink(name);
	if (ftruncate(fd, (off_t)(pages * PAGE)))
		goto bad;
	for (uint32_t i = 0; filled && i < pages; i++) {
		page_fill(page, id, i, 1);
		if (pwrite(fd, page, PAGE, (off_t)(i * PAGE)) != (ssize_t)PAGE)
			goto bad;
	}
	return fd;
bad:
	close(fd);
	return -1;
}

static void object_free(struct object *o)
{
	if (o->kind == NONE)
		return;
	if (o->kind == SEGMENT)
		shmdt(o->addr);
	else if (o->pages)
		munmap(o->addr, o->pages * PAGE);
	if (o->fd >= 0)
		close(o->fd);
	live_pages -= o->pages;
	if (o->shared)
		__atomic_sub_fetch(&o->shared->holders, 1, __ATOMIC_SEQ_CST);
	else
		free(o->version);
	o->kind = NONE;
}

static void *object_map(const struct object *o)
{
	int flags = o->kind == ANON || o->kind == PRIVATE_FILE ? MAP_PRIVATE : MAP_SHARED, id;
	void *p;

	if (o->kind != SEGMENT)
		return mmap(NULL, o->pages * PAGE, PROT_READ | PROT_WRITE,
			    flags | (o->fd < 0 ? MAP_ANONYMOUS : 0), o->fd, 0);
	id = shmget(IPC_PRIVATE, o->pages * PAGE, 0600);
	if (id < 0)
		return MAP_FAILED;
	p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	return p;
}

static void object_new(struct object *o)
{
	uint32_t pages = 1 + draw(draw(4) ? 256 : MAX_PAGES);
	enum kind kind = 1 + draw(KINDS - 1);
	void *p;

	if (live_pages + pages > limit_pages)
		return;
	*o = (struct object){ .kind = kind, .pages = pages, .fd = -1 };
	o->id = __atomic_add_fetch(&table->ids, 1, __ATOMIC_SEQ_CST);
	if (kind == ANON || kind == PRIVATE_FILE) {
		o->version = calloc(pages, sizeof(*o->version));
	} else {
		o->shared = slot_get();
		o->version = o->shared ? o->shared->version : NULL;
	}
	if (!o->version) {
		o->kind = NONE;
		return;
	}
	for (uint32_t i = 0; i < pages; i++)
		o->version[i] = kind == PRIVATE_FILE;
	if (o->shared)
		o->shared->pages = pages;
	live_pages += pages;
	if (kind == PRIVATE_FILE || kind == SHARED_FILE)
		o->fd = new_file(o->id, pages, kind == PRIVATE_FILE);
	p = (o->fd < 0) == (kind == PRIVATE_FILE || kind == SHARED_FILE) ? MAP_FAILED
									 : object_map(o);
	if (p == MAP_FAILED || p == (void *)-1) {
		if (!errors)
			CHECK(false, "an object of kind %d: %s", kind, strerror(errno));
		live_pages -= pages;
		o->pages = 0;
		o->kind = ANON;
		object_free(o);
		return;
	}
	o->addr = p;
}

/* ---- What is done to them -------------------------------------------------------------------- */

static void do_move(struct object *o)
{
	uint32_t pages = draw(2) ? 1 + draw(o->pages) : o->pages;
	char *target, *p;

	if (o->kind == SEGMENT)
		return;
	/* Half the time to a place where the tables do not lie alike. */
	target = mmap(NULL, (pages + 1) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (target == MAP_FAILED)
		return;
	munmap(target, PAGE);
	p = mremap(o->addr, o->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   target + PAGE);
	if (p == MAP_FAILED) {
		/* The shrinking, and making room, come first: as on Linux. */
		munmap(target + PAGE, pages * PAGE);
		if (!errors)
			CHECK(false, "mremap: %s", strerror(errno));
		munmap(o->addr + pages * PAGE, (o->pages - pages) * PAGE);
	} else {
		o->addr = p;
	}
	live_pages -= o->pages - pages;
	o->pages = pages;
}

static void do_grow(struct object *o)
{
	uint32_t pages = o->pages + 1 + draw(64), *v;
	char *p;

	if (o->kind != ANON || pages > MAX_PAGES || live_pages + 64 > limit_pages)
		return;
	v = realloc(o->version, pages * sizeof(*v));
	if (!v)
		return;
	o->version = v;
	p = mremap(o->addr, o->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return;
	memset(v + o->pages, 0, (pages - o->pages) * sizeof(*v));
	live_pages += pages - o->pages;
	o->addr = p;
	o->pages = pages;
}

static void do_drop(struct object *o, uint32_t first, uint32_t n)
{
	uint32_t to = o->kind == PRIVATE_FILE;

	if (o->kind == ANON && draw(2)) {
		if (madvise(o->addr + first * PAGE, n * PAGE, MADV_FREE))
			return;
		for (uint32_t i = first; i < first + n; i++)
			if (!(o->version[i] & UNKNOWN))
				o->version[i] |= LAZY;
		return;
	}
	if (o->kind == ANON || o->kind == PRIVATE_FILE) {
		if (!madvise(o->addr + first * PAGE, n * PAGE, MADV_DONTNEED))
			for (uint32_t i = first; i < first + n; i++)
				o->version[i] = to;
	} else if (o->kind == SHARED) {
		if (!madvise(o->addr + first * PAGE, n * PAGE, MADV_REMOVE))
			memset(o->version + first, 0, n * sizeof(*o->version));
	} else {
		madvise(o->addr + first * PAGE, n * PAGE, MADV_DONTNEED);
	}
}

static void do_truncate(struct object *o)
{
	struct shared *s = o->shared;
	uint32_t pages = draw(2) ? MAX_PAGES : 1 + draw(o->pages), old = s->pages;

	if (o->kind != SHARED_FILE)
		return;
	if (ftruncate(o->fd, (off_t)(pages * PAGE))) {
		if (!errors)
			CHECK(false, "ftruncate: %s", strerror(errno));
		return;
	}
	s->pages = pages;
	if (pages < old)
		memset(s->version + pages, 0, (old - pages) * sizeof(*s->version));
	else
		memset(s->version + old, 0, (pages - old) * sizeof(*s->version));
}

/* The file's own view of a shared page. */
static void do_pread(struct object *o, uint32_t index)
{
	uint64_t page[WORDS];
	ssize_t n;

	if (o->kind != SHARED_FILE)
		return;
	if (draw(2))
		msync(o->addr + index * PAGE, PAGE, MS_SYNC);
	n = pread(o->fd, page, PAGE, (off_t)(index * PAGE));
	if (n == (ssize_t)PAGE && !page_right(o, page, index, o->version[index]))
		tell(o, page, index, o->version[index]);
	else if (n != (ssize_t)PAGE && !errors)
		CHECK(false, "pread: %zd", n);
}

/* Through a pipe: the kernel reads and writes the pages. */
static void do_pipe(struct object *o, uint32_t index)
{
	uint64_t page[WORDS];
	int fds[2];
	ssize_t n, m = 0;

	if (pipe(fds))
		return;
	n = write(fds[1], page_at(o, index), PAGE);
	if (n == (ssize_t)PAGE)
		m = read(fds[0], page, PAGE);
	if (m == (ssize_t)PAGE && !page_right(o, page, index, o->version[index]))
		tell(o, page, index, o->version[index]);
	else if (m != (ssize_t)PAGE && !errors)
		CHECK(false, "pipe: %zd %zd %s", n, m, strerror(errno));
	close(fds[0]);
	close(fds[1]);
}

static void do_pages(struct object *o, uint32_t first, uint32_t n)
{
	char *p = o->addr + first * PAGE;

	switch (draw(12)) {
	case 0 ... 3:
		for (uint32_t i = first; i < first + n; i++)
			write_page(o, i);
		break;
	case 4:
		madvise(p, n * PAGE, draw(3) ? MADV_PAGEOUT : MADV_COLD);
		break;
	case 5:
		if (!draw(3))
			do_drop(o, first, n);
		break;
	case 6:
		do_pread(o, first);
		break;
	case 7:
		do_pipe(o, first);
		break;
	case 8:
		if (!mprotect(p, n * PAGE, draw(2) ? PROT_READ : PROT_NONE))
			while (mprotect(p, n * PAGE, PROT_READ | PROT_WRITE))
				if (!errors)
					MUST(-1);
		break;
	case 9:
		madvise(p, n * PAGE, MADV_WILLNEED);
		break;
	default:
		for (uint32_t i = first; i < first + n; i++)
			check_page(o, i);
	}
}

static void check_object(struct object *o)
{
	if (o->kind == NONE)
		return;
	lock(o);
	for (uint32_t i = 0; i < usable(o); i++)
		check_page(o, i);
	unlock(o);
}

/* ---- Processes ------------------------------------------------------------------------------- */

static void *sender(void *unused)
{
	uint64_t x = (uint64_t)getpid();

	for (;;) {
		struct object *o = &objects[(x = mix(x)) % MAX_OBJECTS];
		uint32_t pages = o->pages;
		char *p = o->addr;

		if (o->kind != NONE && pages > 1) {
			uint32_t first = (uint32_t)(x >> 20) % pages;

			madvise(p + first * PAGE, (1 + (x >> 40) % (pages - first)) * PAGE,
				MADV_PAGEOUT);
		}
		sleep_ms(1 + (long)(x >> 10) % 20);
	}
	return unused;
}

static void reap(bool all)
{
	int st;

	while (children && waitpid(-1, &st, all ? 0 : WNOHANG) > 0) {
		children--;
		if (!exited(st, 0) && !errors) {
			printf("FAIL: a child ended with %x\n", (unsigned int)st);
			__atomic_add_fetch(&table->bad, 1, __ATOMIC_SEQ_CST);
		}
	}
}

static void work(unsigned long steps, double until);

static void do_fork(unsigned long steps, double until)
{
	pid_t pid;

	reap(false);
	if (depth == MAX_DEPTH || children == MAX_CHILDREN)
		return;
	fflush(stdout);
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		if (objects[i].kind != NONE && objects[i].shared)
			__atomic_add_fetch(&objects[i].shared->holders, 1, __ATOMIC_SEQ_CST);
	pid = fork();
	if (!pid) {
		prng_state = mix(prng_state + (uint64_t)++depth);
		children = 0;
		work(steps / 4 + 1, until);
		_exit(0);
	}
	if (pid > 0) {
		children++;
		return;
	}
	if (!errors)
		MUST(pid);
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		if (objects[i].kind != NONE && objects[i].shared)
			__atomic_sub_fetch(&objects[i].shared->holders, 1, __ATOMIC_SEQ_CST);
}

static void step(struct object *o)
{
	uint32_t n = usable(o), first = draw(n), most = n - first;

	do_pages(o, first, 1 + draw(most < 64 ? most : 64));
}

static void work(unsigned long steps, double until)
{
	pthread_t thread;

	pthread_create(&thread, NULL, sender, NULL);
	for (unsigned long i = 0; i < steps && (until == 0 || now() < until); i++) {
		struct object *o = &objects[draw(MAX_OBJECTS)];
		uint32_t what = draw(200);

		if (what < 2) {
			do_fork(until == 0 ? steps - i : 4000, until);
			continue;
		}
		if (o->kind == NONE) {
			object_new(o);
			continue;
		}
		lock(o);
		if (what < 4)
			do_move(o);
		else if (what < 8)
			do_grow(o);
		else if (what < 11 && o->shared)
			do_truncate(o);
		else if (what > 11)
			step(o);
		unlock(o);
		if (what == 11)
			object_free(o);
	}
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		check_object(&objects[i]);
	reap(true);
	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		object_free(&objects[i]);
}

static void on_loss(int sig, siginfo_t *si, void *uc)
{
	if (looking)
		on_fault(sig, si, uc);
	_exit(128 + sig);
}

static void table_make(void)
{
	pthread_mutexattr_t a;

	table = MUST(mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0));
	mlock(table, sizeof(*table));
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	for (unsigned int i = 0; i < SLOTS; i++)
		pthread_mutex_init(&table->slot[i].lock, &a);
}

int main(int argc, char **argv)
{
	unsigned long steps = 3000;
	double until = 0;
	int c;

	while ((c = getopt(argc, argv, "em:s:t:")) != -1) {
		if (c == 'e')
			errors = true;
		else if (c == 'm')
			limit_pages = strtoul(optarg, NULL, 10) << 8;
		else if (c == 's')
			prng_state = strtoull(optarg, NULL, 10);
		else if (c == 't')
			until = now() + strtod(optarg, NULL);
		else
			return 2;
	}
	if (until != 0)
		steps = ~0UL;
	else if (optind < argc)
		steps = strtoul(argv[optind], NULL, 10);
	prng_state = mix(prng_state);
	table_make();
	handle(SIGSEGV, on_loss, SA_NODEFER);
	handle(SIGBUS, on_loss, SA_NODEFER);
	work(steps, until);
	CHECK(!table->bad, "every page is what was last written to it");
	return table->bad || failures;
}
