/* SPDX-License-Identifier: MIT */
/* options.c - the command line of quire(1). */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define MIN_RAM (16ull << 20)
#define MAX_RAM (KERNEL_END - DIRECT_MAP_BASE) /* what the direct map has room for */
#define RAM_UNIT (2ull << 20)
#define SWAP_UNIT 4096u
#define MIN_SWAP (64ull << 10)
#define MAX_SWAP (8ull << 40) /* a header counts fewer than 2^32 pages */
#define MAX_PRIO 32767

#define TRY_HELP "try 'quire run --help'"

static const char usage[] = "usage: quire run [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
			    "       quire replay FILE\n"
			    "       quire --help | --version\n";

static const char help[] =
	"\n"
	"Runs an unmodified Linux program in a machine whose memory Quire manages.\n"
	"\n"
	"  --ram SIZE        RAM of the machine: a number of bytes, or with the suffix K, M, G or "
	"T\n"
	"                    (powers of 1024); 16M to 7T, default 4G\n"
	"  --swap SIZE[,FILE][,prio=N]\n"
	"                    swap space; without FILE in a temporary file in $TMPDIR or /var/tmp,\n"
	"                    else in FILE, which is made, or must be a swap file of that size;\n"
	"                    what has a higher priority is used first; may be given several times\n"
	"  --cpus N          virtual CPUs, that is, how many threads of the program may be in the\n"
	"                    machine's kernel at once; 1 to 64, default: as many CPUs as this\n"
	"                    process may use\n"
	"  --numa N          nodes that RAM and virtual CPUs are shared out between; 1 to 8, "
	"default "
	"1\n"
	"  --report KIND     what happened, after the program's end: none, text or json;\n"
	"                    default none\n"
	"  --output FILE     write the report to FILE, not to standard error;\n"
	"                    without --report: a report in text\n"
	"  --trace FILE      write every fault, map, unmap, fork, exec, exit, reclaim and swap\n"
	"                    to FILE, as trace JSON for Perfetto or chrome://tracing\n"
	"  --samples FILE    figures of the machine each 100 ms (memory by use, faults, swap, "
	"reclaim)\n"
	"                    into FILE: CSV with a head line, or JSON if its name ends in .json\n"
	"  --references FILE the pages that are used in each 100 ms, into FILE, for quire replay\n"
	"                    (every page is touched anew in each of them: slow; --fill 4k)\n"
	"  --progress        the same, in short, as a line on the terminal while the program runs\n"
	"  --dump-page-tables[=FILE]\n"
	"                    write each process's page tables, level by level, before it ends or\n"
	"                    starts another program, to FILE or standard error\n"
	"  --fill 4k|auto    pages that a fault fills: always one, or more when the program goes\n"
	"                    through its memory in sequence; default auto. With 4k every system\n"
	"                    call is a signal, too: no page is there but the program's own\n"
	"  --wait            wait for guests that the program leaves in the background;\n"
	"                    without it they end with the program\n"
	"  --fallback LIST   for tests: use the second choice even where the first is there:\n"
	"                    memfd (RAM is a memfd, not a file system with huge pages), seccomp\n"
	"                    (a filter catches system calls, not user dispatch), nopatch (every\n"
	"                    system call is a signal), or several: memfd,seccomp\n"
	"  --kernel-args TEXT  words for the machine's kernel, as Linux has them: "
	"slab_debug=FZPU,NAME\n"
	"                    checks the objects of a slab cache\n"
	"  --fail POINT=N    for tests: the Nth call fails that reaches the point, failslab "
	"(kernel\n"
	"                    objects), fail_page_alloc (pages) or fail_block (transfers of files\n"
	"                    and swap), from the boot on; POINT=every:N: each Nth\n"
	"  --verbose         tell on standard error what the machine is made of, and of its "
	"events\n"
	"  -h, --help        this text\n"
	"  -V, --version     the version\n"
	"\n"
	"Standard streams, terminal, directory and environment are the program's own. The exit\n"
	"status is the program's, 128+N if signal N ended it, 125 if the machine failed, 126 if\n"
	"PROGRAM cannot be run, 127 if it cannot be found.\n";

/* For --help and --version: their text must have arrived. */
static void exit_said(void)
{
	if (fflush(stdout) || ferror(stdout))
		die(EXIT_QUIRE, "standard output: %s", strerror(errno));
	exit(0);
}

static void say_help(void)
{
	fputs(usage, stdout);
	fputs(help, stdout);
	exit_said();
}

static void say_version(void)
{
	puts("quire " QUIRE_VERSION);
	exit_said();
}

static void die_usage(const char *why)
{
	complain("%s", why);
	fputs(usage, stderr);
	complain(TRY_HELP);
	exit(EXIT_QUIRE);
}

/* Shift of a suffix K, M, G, T, also written KiB or k; -1: not one. */
static int suffix_shift(const char *suffix)
{
	static const char letters[] = "KMGT";
	const char *at;

	if (!*suffix)
		return 0;
	at = strchr(letters, toupper((unsigned char)*suffix));
	if (!at || (suffix[1] && strcasecmp(suffix + 1, "iB") != 0))
		return -1;
	return 10 * (int)(at - letters + 1);
}

/* A number with a suffix. False: it is none; *over: it is too large to be a number of bytes. */
static bool parse_size(const char *text, uint64_t *bytes, bool *over)
{
	unsigned long long number;
	char *end;
	int shift;

	errno = 0;
	number = strtoull(text, &end, 10);
	shift = suffix_shift(end);
	if (!isdigit((unsigned char)*text) || shift < 0)
		return false;
	*over = errno == ERANGE || number > UINT64_MAX >> shift;
	*bytes = *over ? 0 : number << shift;
	return true;
}

static uint64_t parse_ram(const char *text)
{
	uint64_t bytes;
	bool over;

	if (!parse_size(text, &bytes, &over))
		die(EXIT_QUIRE,
		    "--ram '%s' is not a size: a number with K, M, G or T after it is; " TRY_HELP,
		    text);
	if (over || bytes > MAX_RAM)
		die(EXIT_QUIRE,
		    "--ram %s is too much: the machine's RAM is mapped at %#lx and must end below "
		    "%#lx, which is room for %lluT",
		    text, DIRECT_MAP_BASE, KERNEL_END, (unsigned long long)MAX_RAM >> 40);
	if (bytes < MIN_RAM)
		die(EXIT_QUIRE,
		    "--ram %s is too little: the machine's kernel and one program need %lluM", text,
		    MIN_RAM >> 20);
	return (bytes + RAM_UNIT - 1) & ~(RAM_UNIT - 1);
}

static int parse_prio(const char *swap, const char *text)
{
	char *end;
	long prio = strtol(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || prio > MAX_PRIO)
		die(EXIT_QUIRE, "--swap %s: a priority is a number from 0 to %d", swap, MAX_PRIO);
	return (int)prio;
}

/* SIZE[,FILE][,prio=N] */
static void take_swap(struct options *o, const char *text)
{
	struct swap_option *s = &o->swap[o->nr_swaps];
	char *part, *next = strdup(text);
	bool over = false;

	if (o->nr_swaps == NATIVE_MAX_SWAPS)
		die(EXIT_QUIRE, "--swap can be given %d times at most", NATIVE_MAX_SWAPS);
	*s = (struct swap_option){ .text = text, .prio = -1 };
	part = strsep(&next, ",");
	if (!part || !parse_size(part, &s->bytes, &over))
		die(EXIT_QUIRE,
		    "--swap '%s' does not begin with a size: a number with K, M, G or T after "
		    "it; " TRY_HELP,
		    text);
	s->bytes &= ~(uint64_t)(SWAP_UNIT - 1);
	if (over || s->bytes < MIN_SWAP || s->bytes > MAX_SWAP)
		die(EXIT_QUIRE, "--swap %s: the size must be from %lluK to %lluT", text,
		    MIN_SWAP >> 10, MAX_SWAP >> 40);
	while ((part = strsep(&next, ","))) {
		if (!strncmp(part, "prio=", 5))
			s->prio = parse_prio(text, part + 5);
		else if (*part && !s->file)
			s->file = part;
		else
			die(EXIT_QUIRE, "--swap '%s' is not SIZE[,FILE][,prio=N]; " TRY_HELP, text);
	}
	o->nr_swaps++;
}

static unsigned int host_cpus(void)
{
	static cpu_set_t set[8]; /* 8192 CPUs */
	int n = 0;

	if (!sched_getaffinity(0, sizeof(set), set))
		n = CPU_COUNT_S(sizeof(set), set);
	if (n < 1)
		return 1;
	return n < NATIVE_MAX_CPUS ? (unsigned int)n : NATIVE_MAX_CPUS;
}

static unsigned int parse_count(const char *option, const char *text, unsigned int most)
{
	unsigned long n;
	char *end;

	n = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || n < 1 || n > most)
		die(EXIT_QUIRE, "%s '%s' is not a number from 1 to %u", option, text, most);
	return (unsigned int)n;
}

/* Index of text among the names; dies when it is none of them. */
static unsigned int parse_choice(const char *option, const char *text, const char *const *names)
{
	char known[64] = "";

	for (unsigned int i = 0; names[i]; i++) {
		if (!strcmp(text, names[i]))
			return i;
		if (i)
			strcat(known, ", ");
		strcat(known, names[i]);
	}
	die(EXIT_QUIRE, "--%s '%s' is not known; it can be: %s", option, text, known);
}

static void check_fallback(const char *list)
{
	static const char *const names[] = { "memfd", "seccomp", "nopatch", NULL };
	char copy[64];

	if (strlen(list) >= sizeof(copy))
		parse_choice("fallback", list, names);
	strcpy(copy, list);
	for (char *name = strtok(copy, ","); name; name = strtok(NULL, ","))
		parse_choice("fallback", name, names);
}

enum {
	OPT_RAM = 256,
	OPT_SWAP,
	OPT_CPUS,
	OPT_REPORT,
	OPT_OUTPUT,
	OPT_TRACE,
	OPT_REFERENCES,
	OPT_SAMPLES,
	OPT_PROGRESS,
	OPT_DUMP,
	OPT_FILL,
	OPT_FALLBACK,
	OPT_FAIL,
	OPT_KERNEL_ARGS,
	OPT_VERBOSE,
	OPT_WAIT,
	OPT_NUMA
};

static const struct option long_options[] = {
	{ "ram", required_argument, NULL, OPT_RAM },
	{ "swap", required_argument, NULL, OPT_SWAP },
	{ "cpus", required_argument, NULL, OPT_CPUS },
	{ "numa", required_argument, NULL, OPT_NUMA },
	{ "report", required_argument, NULL, OPT_REPORT },
	{ "output", required_argument, NULL, OPT_OUTPUT },
	{ "trace", required_argument, NULL, OPT_TRACE },
	{ "references", required_argument, NULL, OPT_REFERENCES },
	{ "samples", required_argument, NULL, OPT_SAMPLES },
	{ "progress", no_argument, NULL, OPT_PROGRESS },
	{ "dump-page-tables", optional_argument, NULL, OPT_DUMP },
	{ "fill", required_argument, NULL, OPT_FILL },
	{ "fallback", required_argument, NULL, OPT_FALLBACK },
	{ "fail", required_argument, NULL, OPT_FAIL },
	{ "kernel-args", required_argument, NULL, OPT_KERNEL_ARGS },
	{ "verbose", no_argument, NULL, OPT_VERBOSE },
	{ "wait", no_argument, NULL, OPT_WAIT },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static void take_fail(struct options *o, const char *text)
{
	const struct {
		const char *name;
		struct native_fail *fail;
	} points[] = { { "failslab", &o->fail_slab },
		       { "fail_page_alloc", &o->fail_page },
		       { "fail_block", &o->fail_block } };
	const char *number = strchr(text, '=');
	size_t len = number ? (size_t)(number - text) : 0;
	bool every = number && !strncmp(number, "=every:", 7);
	char *end = NULL;
	long n = number ? strtol(number + (every ? 7 : 1), &end, 10) : 0;

	if (n < 1 || *end)
		die(EXIT_QUIRE, "--fail '%s' is not a point of failure and a number", text);
	if (n > INT32_MAX)
		n = INT32_MAX;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		if (len != strlen(points[i].name) || strncmp(text, points[i].name, len))
			continue;
		*(every ? &points[i].fail->interval : &points[i].fail->nth) = (int32_t)n;
		return;
	}
	die(EXIT_QUIRE,
	    "--fail '%s' is not known; it can be: failslab, fail_page_alloc, fail_block", text);
}

static void take_option(struct options *o, int option)
{
	static const char *const reports[] = { "none", "text", "json", NULL };
	static const char *const fills[] = { "4k", "auto", NULL };

	switch (option) {
	case OPT_RAM:
		o->ram = parse_ram(optarg);
		break;
	case OPT_SWAP:
		take_swap(o, optarg);
		break;
	case OPT_CPUS:
		o->cpus = parse_count("--cpus", optarg, NATIVE_MAX_CPUS);
		break;
	case OPT_NUMA:
		o->nodes = parse_count("--numa", optarg, NATIVE_MAX_NODES);
		break;
	case OPT_REPORT:
		o->report = (enum report_kind)parse_choice("report", optarg, reports);
		break;
	case OPT_OUTPUT:
		o->output = optarg;
		break;
	case OPT_TRACE:
		o->trace = optarg;
		break;
	case OPT_REFERENCES:
		o->references = optarg;
		o->fill_4k = true;
		break;
	case OPT_SAMPLES:
		o->samples = optarg;
		break;
	case OPT_PROGRESS:
		o->progress = isatty(STDERR_FILENO);
		if (!o->progress)
			complain("--progress: standard error is no terminal, nothing is shown");
		break;
	case OPT_DUMP:
		o->dump_tables = true;
		o->dump_file = optarg;
		break;
	case OPT_FILL:
		o->fill_4k = parse_choice("fill", optarg, fills) == 0;
		break;
	case OPT_FALLBACK:
		check_fallback(optarg);
		o->force_fallback = optarg;
		break;
	case OPT_FAIL:
		take_fail(o, optarg);
		break;
	case OPT_KERNEL_ARGS:
		if (strlen(optarg) >= KERNEL_ARGS_MAX)
			die(EXIT_QUIRE, "--kernel-args: longer than %d bytes", KERNEL_ARGS_MAX - 1);
		o->kernel_args = optarg;
		break;
	case OPT_VERBOSE:
		o->verbose = true;
		break;
	case OPT_WAIT:
		o->wait = true;
		break;
	case 'h':
		say_help();
		break;
	case 'V':
		say_version();
		break;
	}
}

/* The word that getopt_long() could not use. */
static void bad_option(int option, char **argv)
{
	char letter[] = { '-', (char)optopt, 0 };
	const char *word = optopt && optopt < OPT_RAM ? letter : argv[optind - 1];

	if (option == ':')
		die(EXIT_QUIRE, "option %s needs a value; " TRY_HELP, word);
	if (optopt >= OPT_RAM)
		die(EXIT_QUIRE, "option %s takes no value; " TRY_HELP, word);
	die(EXIT_QUIRE, "unknown option %s; " TRY_HELP, word);
}

static void parse_run(struct options *o, int argc, char **argv)
{
	bool report_chosen = false;
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "+:hV", long_options, NULL)) != -1) {
		if (option == '?' || option == ':')
			bad_option(option, argv);
		report_chosen |= option == OPT_REPORT;
		take_option(o, option);
	}
	if (o->output && !report_chosen)
		o->report = REPORT_TEXT;
	if (o->references && o->trace)
		die(EXIT_QUIRE,
		    "--references and --trace use the same record of events: one of them");
	if (optind == argc)
		die_usage("no program to run");
	o->program = argv + optind;
}

void options_parse(struct options *o, int argc, char **argv)
{
	*o = (struct options){
		.ram = DEFAULT_RAM, .cpus = host_cpus(), .nodes = 1, .report = REPORT_NONE
	};
	if (argc < 2)
		die_usage("no command");
	if (!strcmp(argv[1], "run"))
		parse_run(o, argc - 1, argv + 1);
	else if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		say_help();
	else if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		say_version();
	else if (argv[1][0] == '-')
		die(EXIT_QUIRE, "unknown option %s; try 'quire --help'", argv[1]);
	else
		die(EXIT_QUIRE,
		    "unknown command '%s': 'quire run %s' runs a program; "
		    "try 'quire --help'",
		    argv[1], argv[1]);
}
