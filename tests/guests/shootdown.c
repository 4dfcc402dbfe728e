/* SPDX-License-Identifier: MIT */
/*
 * What one thread takes away, another one must not keep: unmap, protect, DONTNEED
 * and truncate against threads of the same process and of others that hammer the
 * page in user mode.
 */
#include "guest.h"

static volatile bool stop;
static volatile unsigned long passes[2];

/* Counts up the words of @arg's pages for as long as it may. */
static void *hammer(void *arg)
{
	volatile uint64_t *word = arg;

	while (!stop) {
		if (!TRY((*word)++))
			sched_yield();
		passes[0]++;
	}
	return NULL;
}

static void *reader(void *arg)
{
	volatile uint64_t *word = arg, sink;

	while (!stop) {
		if (!TRY(sink = *word))
			sched_yield();
		passes[1]++;
	}
	(void)sink;
	return NULL;
}

static void let_run(void)
{
	unsigned long a = passes[0], b = passes[1];

	for (int i = 0; i < 1000 && (passes[0] < a + 3 || passes[1] < b + 3); i++)
		sleep_ms(1);
}

static bool steady(volatile uint64_t *word)
{
	uint64_t v = *word;

	for (int i = 0; i < 2000; i++)
		if (*word != v)
			return false;
	return true;
}

int main(void)
{
	char *area = map_anon(4 * PAGE, MAP_PRIVATE), *shared, *alias, *elsewhere;
	volatile uint64_t *word = (uint64_t *)area, *other;
	int fd = MUST(memfd_create("shoot", 0)), bad = 0, go[2];
	pthread_t t[2];
	pid_t pid;
	char c;

	catch_faults(0);
	pthread_create(&t[0], NULL, hammer, area);
	pthread_create(&t[1], NULL, reader, area);
	for (int i = 0; i < 50; i++) {
		let_run();
		MUST(mprotect(area, PAGE, PROT_READ));
		bad += !steady(word);
		MUST(mprotect(area, PAGE, PROT_READ | PROT_WRITE));
	}
	CHECK(!bad, "mprotect stops writers at once");
	for (int i = 0; i < 50; i++) {
		elsewhere = area + 2 * PAGE;
		let_run();
		/* The page moves away: its new place must not change any more. */
		MUST(mremap(area, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere));
		bad += !steady((uint64_t *)elsewhere);
		MUST(mmap(area, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	}
	CHECK(!bad, "mremap takes the page along");
	MUST(ftruncate(fd, PAGE));
	alias = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	other = (uint64_t *)alias;
	for (int i = 0; i < 50; i++) {
		MUST(mmap(area, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
		let_run();
		if (i & 1)
			MUST(munmap(area, PAGE));
		else
			MUST(mmap(area, PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
		bad += !steady(other);
	}
	CHECK(!bad, "munmap and MAP_FIXED take the page away");
	MUST(mmap(area, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0));
	for (int i = 0; i < 50; i++) {
		let_run();
		pid = split();
		if (!pid)
			_exit(steady(word) ? 0 : 1);
		bad += !exited(wait_for(pid), 0);
	}
	CHECK(!bad, "a forked copy stays");
	stop = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);

	/* Across processes: a shared file is cut while a child hammers it. */
	MUST(pipe(go));
	shared = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	alias = map_anon(PAGE, MAP_SHARED);
	pid = split();
	if (!pid) {
		volatile uint64_t *w = (uint64_t *)shared, *n = (uint64_t *)alias;

		MUST(write(go[1], "x", 1));
		for (;;) {
			if (!TRY((*w)++))
				n[1]++;
			n[0]++;
		}
	}
	MUST(read(go[0], &c, 1));
	for (int i = 0; i < 50; i++) {
		volatile uint64_t *n = (uint64_t *)alias;
		uint64_t before = n[0], faults;

		for (int k = 0; k < 1000 && n[0] < before + 3; k++)
			sleep_ms(1);
		MUST(ftruncate(fd, 0));
		faults = n[1];
		for (int k = 0; k < 1000 && n[1] == faults; k++)
			sleep_ms(1);
		bad += n[1] == faults;
		MUST(ftruncate(fd, PAGE));
	}
	kill(pid, SIGKILL);
	wait_for(pid);
	CHECK(!bad, "truncate reaches a child");
	return failures;
}
