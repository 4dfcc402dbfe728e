/* SPDX-License-Identifier: MIT */
/*
 * samples.c - figures of the machine every 100 ms: into a file (--samples), and the latest as a line on the
 * terminal (--progress). A thread of the keeper takes them; nobody in the machine waits for it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define SAMPLE_NS 100000000l
#define PROGRESS_SAMPLES 5u /* a line each half second */

/* KiB; threads, and what has happened since the start, as numbers. */
static const char *const names[NR_SAMPLE_FIELDS] = {
	[SAMPLE_THREADS] = "threads",	      [SAMPLE_FREE] = "free_kib",
	[SAMPLE_FILE] = "file_kib",	      [SAMPLE_SHMEM] = "shmem_kib",
	[SAMPLE_ANON] = "anon_kib",	      [SAMPLE_MAPPED] = "mapped_kib",
	[SAMPLE_DIRTY] = "dirty_kib",	      [SAMPLE_WRITEBACK] = "writeback_kib",
	[SAMPLE_SLAB] = "slab_kib",	      [SAMPLE_PAGETABLES] = "pagetables_kib",
	[SAMPLE_SWAP_USED] = "swap_used_kib", [SAMPLE_SWAP_CACHED] = "swap_cached_kib",
	[SAMPLE_FAULTS] = "faults",	      [SAMPLE_MAJOR_FAULTS] = "major_faults",
	[SAMPLE_SWAP_IN] = "swap_in_pages",   [SAMPLE_SWAP_OUT] = "swap_out_pages",
	[SAMPLE_SCANNED] = "scanned_pages",   [SAMPLE_STOLEN] = "stolen_pages",
};

struct sampler {
	const struct machine *m;
	FILE *out; /* NULL: no file */
	bool json;
	unsigned int n; /* samples so far */
	double time, shown; /* s since the start: of this one, of the line on the terminal */
	uint64_t value[NR_SAMPLE_FIELDS];
	uint64_t faults_shown;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended;
static bool end;

FILE *samples_open(const char *path)
{
	FILE *out = fopen(path, "we");

	if (!out)
		die(EXIT_QUIRE, "--samples %s: %s", path, strerror(errno));
	return out;
}

static void put_csv(const struct sampler *s)
{
	if (!s->n) {
		fputs("time_s", s->out);
		for (unsigned int i = 0; i < NR_SAMPLE_FIELDS; i++)
			fprintf(s->out, ",%s", names[i]);
		fputc('\n', s->out);
	}
	fprintf(s->out, "%.3f", s->time);
	for (unsigned int i = 0; i < NR_SAMPLE_FIELDS; i++)
		fprintf(s->out, ",%llu", (unsigned long long)s->value[i]);
	fputc('\n', s->out);
}

/* An array of objects, one a line. */
static void put_json(const struct sampler *s)
{
	json_t *object = json_object();

	json_object_set_new(object, "time_s", json_real(s->time));
	for (unsigned int i = 0; i < NR_SAMPLE_FIELDS; i++)
		json_object_set_new(object, names[i], json_integer((json_int_t)s->value[i]));
	fputs(s->n ? ",\n" : "[\n", s->out);
	json_dumpf(object, s->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(object);
}

static unsigned long mib(uint64_t kib)
{
	return (unsigned long)((kib + 512) >> 10);
}

/* Over the last line; the cursor stays at its beginning, where the program's own output goes. */
static void show_progress(struct sampler *s)
{
	const uint64_t *v = s->value;
	double seconds = s->time - s->shown;

	dprintf(STDERR_FILENO,
		"\033[K%7.1f s  RSS %luM  files %luM  free %luM  swap %luM  %.0f faults/s\r",
		s->time, mib(v[SAMPLE_ANON] + v[SAMPLE_MAPPED]), mib(v[SAMPLE_FILE]),
		mib(v[SAMPLE_FREE]), mib(v[SAMPLE_SWAP_USED]),
		seconds > 0 ? (double)(v[SAMPLE_FAULTS] - s->faults_shown) / seconds : 0.0);
	s->shown = s->time;
	s->faults_shown = v[SAMPLE_FAULTS];
}

static void take_sample(struct sampler *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	s->time = (double)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec -
			   s->m->start_ns) /
		  1e9;
	s->m->entry->sample(s->value);
	if (s->out)
		(s->json ? put_json : put_csv)(s);
	if (s->m->opt->progress && s->n % PROGRESS_SAMPLES == 0)
		show_progress(s);
	s->n++;
}

/* Sleeps until the next sample is due; whether there is to be one. */
static bool wait_for_turn(struct timespec *due)
{
	bool go_on;

	due->tv_nsec += SAMPLE_NS;
	if (due->tv_nsec >= 1000000000l) {
		due->tv_sec++;
		due->tv_nsec -= 1000000000l;
	}
	pthread_mutex_lock(&lock);
	while (!end && pthread_cond_timedwait(&ended, &lock, due) != ETIMEDOUT)
		;
	go_on = !end;
	pthread_mutex_unlock(&lock);
	return go_on;
}

void *samples_run(void *machine)
{
	struct sampler s = { .m = machine };
	const char *path = s.m->opt->samples;
	size_t len = path ? strlen(path) : 0;
	struct timespec due;
	intptr_t err = 0;

	s.out = s.m->samples;
	s.json = len > 5 && !strcmp(path + len - 5, ".json");
	clock_gettime(CLOCK_MONOTONIC, &due);
	do
		take_sample(&s);
	while (wait_for_turn(&due));
	take_sample(&s);
	if (s.m->opt->progress)
		dprintf(STDERR_FILENO, "\033[K");
	if (s.out) {
		if (s.json)
			fputs("\n]\n", s.out);
		errno = 0;
		if (fflush(s.out) || ferror(s.out))
			err = errno ? errno : EIO;
	}
	if (err)
		complain("--samples %s: %s", path, strerror((int)err));
	return (void *)err;
}

void samples_init(void)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ended, &attr);
}

void samples_end(void)
{
	pthread_mutex_lock(&lock);
	end = true;
	pthread_cond_signal(&ended);
	pthread_mutex_unlock(&lock);
}
