/* SPDX-License-Identifier: MIT */
/* quire.c - the quire command: options, the machine's run, the report, the exit status. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "cli.h"

static void say(const char *fmt, va_list args)
{
	char text[1024];

	/* One write, so that it does not mix with what guests print meanwhile. */
	vsnprintf(text, sizeof(text), fmt, args);
	fprintf(stderr, "quire: %s\n", text);
}

void complain(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
}

void die(int status, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(fmt, args);
	va_end(args);
	exit(status);
}

/*
 * An unwritable file is found before the program runs, not after it. To open a pipe, a terminal
 * and the like would be noticed at its other end.
 */
static void check_writable(const char *option, const char *path)
{
	struct stat st;
	FILE *file;

	if (!path || (!stat(path, &st) && !S_ISREG(st.st_mode)))
		return;
	file = fopen(path, "we");
	if (!file)
		die(EXIT_QUIRE, "%s %s: %s", option, path, strerror(errno));
	fclose(file);
}

/* A shell goes on with its script after ^C, unless it sees that the program died of it. */
static void end_as_shells_expect(int sig)
{
	const struct rlimit no_core = { 0, 0 };
	sigset_t one;

	fflush(NULL);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
}

int main(int argc, char **argv)
{
	static struct options options;
	static struct machine machine = { .opt = &options };
	int status;

	if (argc > 1 && !strcmp(argv[1], "replay"))
		return replay_main(argc - 1, argv + 1);
	options_parse(&options, argc, argv);
	check_writable("--output", options.output);
	check_writable("--trace", options.trace);
	check_writable("--references", options.references);
	status = machine_run(&machine);
	if (machine.leaked) {
		complain("leaked %llu frames, %llu objects and %llu slots of swap:%s",
			 (unsigned long long)machine.leak.frames,
			 (unsigned long long)machine.leak.objects,
			 (unsigned long long)machine.leak.swap_slots, machine.leak.text);
		status = status ? status : EXIT_QUIRE;
	}
	if (machine.first && options.report != REPORT_NONE && report_write(&machine) && !status)
		status = EXIT_QUIRE;
	if (machine.key_signal && WIFSIGNALED(machine.status) && status == 128 + machine.key_signal)
		end_as_shells_expect(machine.key_signal);
	return status;
}
