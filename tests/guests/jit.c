/* SPDX-License-Identifier: MIT */
/* Code made at run time: RWX, W^X by mprotect, two mappings of one memfd, while another thread runs it. */
#include "guest.h"

typedef int (*code_fn)(void);

static void emit(char *at, int value)
{
	char code[6] = { (char)0xb8, 0, 0, 0, 0, (char)0xc3 }; /* mov $value,%eax; ret */

	memcpy(code + 1, &value, 4);
	memcpy(at, code, sizeof(code));
}

static volatile bool stop, running;

static void *runner(void *arg)
{
	code_fn fn = (code_fn)arg;
	long calls = 0, bad = 0;

	while (!stop) {
		bad += fn() != 7;
		calls++;
		running = true;
	}
	return (void *)(bad || !calls ? 1L : 0L);
}

int main(void)
{
	char *rwx = MUST(mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *wx = map_anon(PAGE, MAP_PRIVATE), *w, *x;
	long bad = 0;
	pthread_t t;
	void *r;
	int fd = MUST(memfd_create("code", 0));
	pid_t pid;

	for (int i = 0; i < 100000; i++) {
		char *at = rwx + i % 16 * PAGE + i % 400 * 8;

		emit(at, i);
		bad += ((code_fn)at)() != i;
	}
	CHECK(!bad, "rewritten 100000 times in RWX pages");
	for (int i = 0; i < 2000; i++) {
		MUST(mprotect(wx, PAGE, PROT_READ | PROT_WRITE));
		emit(wx, i);
		MUST(mprotect(wx, PAGE, PROT_READ | PROT_EXEC));
		bad += ((code_fn)wx)() != i;
	}
	CHECK(!bad, "W^X by mprotect");
	MUST(ftruncate(fd, PAGE));
	w = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	x = MUST(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
	for (int i = 0; i < 2000; i++) {
		emit(w + i % 500 * 8, i);
		bad += ((code_fn)(x + i % 500 * 8))() != i;
	}
	CHECK(!bad, "two mappings of one memfd");
	emit(rwx, 7);
	pthread_create(&t, NULL, runner, rwx);
	while (!running)
		sched_yield();
	for (int i = 0; i < 3000; i++) {
		char *at = rwx + 64 + i % 200 * 8;

		emit(at, i);
		bad += ((code_fn)at)() != i;
	}
	stop = true;
	pthread_join(t, &r);
	CHECK(!bad && !r, "beside a thread that runs the same page");
	pid = split();
	if (!pid) {
		emit(rwx, 8);
		_exit(((code_fn)rwx)());
	}
	CHECK(exited(wait_for(pid), 8) && ((code_fn)rwx)() == 7, "a child's code is its own");
	return failures;
}
