/* SPDX-License-Identifier: MIT */
/* Futexes shared over fork: mutex, condition, semaphore, barrier, in shared memory and in a file. */
#include "guest.h"

#include <linux/futex.h>
#include <semaphore.h>

#define CHILDREN 4
#define ROUNDS 5000

struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	pthread_barrier_t barrier;
	sem_t sem;
	long counter;
	long turn;
	long seen;
};

static void init(struct shared *s)
{
	pthread_mutexattr_t m;
	pthread_condattr_t c;
	pthread_barrierattr_t b;

	memset(s, 0, sizeof(*s));
	pthread_mutexattr_init(&m);
	pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&s->mutex, &m);
	pthread_condattr_init(&c);
	pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&s->cond, &c);
	pthread_barrierattr_init(&b);
	pthread_barrierattr_setpshared(&b, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&s->barrier, &b, CHILDREN);
	sem_init(&s->sem, 1, 0);
}

static void child(struct shared *s, long me)
{
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&s->mutex);
		s->counter++;
		pthread_mutex_unlock(&s->mutex);
	}
	for (int i = 0; i < 50; i++) {
		pthread_barrier_wait(&s->barrier);
		pthread_mutex_lock(&s->mutex);
		while (s->turn % CHILDREN != me)
			pthread_cond_wait(&s->cond, &s->mutex);
		s->turn++;
		pthread_cond_broadcast(&s->cond);
		pthread_mutex_unlock(&s->mutex);
	}
	for (int i = 0; i < 100; i++) {
		while (sem_wait(&s->sem) < 0)
			;
		__atomic_add_fetch(&s->seen, 1, __ATOMIC_SEQ_CST);
	}
	_exit(0);
}

static void run(struct shared *s, const char *what)
{
	long bad = 0;

	init(s);
	for (long i = 0; i < CHILDREN; i++)
		if (!split())
			child(s, i);
	for (int i = 0; i < CHILDREN * 100; i++)
		sem_post(&s->sem);
	for (int i = 0; i < CHILDREN; i++)
		bad += !exited(wait_for(-1), 0);
	CHECK(!bad && s->counter == CHILDREN * ROUNDS && s->turn == 50 * CHILDREN &&
		      s->seen == CHILDREN * 100,
	      "%s", what);
}

/* A private futex after fork: parent and child each have their own, of one address. */
static pthread_mutex_t private_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t private_cond = PTHREAD_COND_INITIALIZER;
static int stage;

static void *waker(void *arg)
{
	(void)arg;
	sleep_ms(20);
	pthread_mutex_lock(&private_lock);
	stage++;
	pthread_cond_broadcast(&private_cond);
	pthread_mutex_unlock(&private_lock);
	return NULL;
}

static int private_round(void)
{
	pthread_t t;
	int before = stage;

	pthread_create(&t, NULL, waker, NULL);
	pthread_mutex_lock(&private_lock);
	while (stage == before)
		pthread_cond_wait(&private_cond, &private_lock);
	pthread_mutex_unlock(&private_lock);
	pthread_join(t, NULL);
	return 0;
}

int main(void)
{
	struct shared *s = (struct shared *)map_anon(PAGE, MAP_SHARED);
	struct timespec soon;
	char name[] = "futexfileXXXXXX";
	uint32_t *word = (uint32_t *)map_anon(PAGE, MAP_PRIVATE);
	int fd, bad = 0;
	void *other;
	pid_t pid;

	run(s, "in shared anonymous memory");
	fd = MUST(mkstemp(name));
	unlink(name);
	MUST(ftruncate(fd, PAGE));
	run(MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)), "in a file");
	/* Two mappings of one page at different addresses are one futex. */
	s = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	other = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	init(s);
	pid = split();
	if (!pid) {
		sleep_ms(20);
		sem_post(&((struct shared *)other)->sem);
		_exit(0);
	}
	while (sem_wait(&s->sem) < 0)
		;
	CHECK(exited(wait_for(pid), 0), "woken through another mapping");
	for (int i = 0; i < 3; i++) {
		pid = split();
		if (!pid)
			_exit(private_round());
		private_round();
		bad += !exited(wait_for(pid), 0);
	}
	CHECK(!bad, "private ones after fork");
	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 30000000;
	if (soon.tv_nsec >= 1000000000) {
		soon.tv_nsec -= 1000000000;
		soon.tv_sec++;
	}
	CHECK(sem_timedwait(&s->sem, &soon) < 0 && errno == ETIMEDOUT, "a wait times out");
	CHECK(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 1, NULL) < 0 && errno == EAGAIN,
	      "a changed word is not waited for");
	CHECK(syscall(SYS_futex, (char *)word + 1, FUTEX_WAIT_PRIVATE, 0, NULL) < 0 &&
		      errno == EINVAL,
	      "an odd address");
	munmap(word, PAGE);
	CHECK(syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL) < 0 && errno == EFAULT,
	      "no memory there");
	return failures;
}
