/* SPDX-License-Identifier: MIT */
/*
 * Scripts: "#! interpreter [one argument]" in the first BINPRM_BUF_SIZE bytes of the file.
 *
 *   argv[0] argv[1] ...   becomes   interpreter [argument] path-of-script argv[1] ...
 *
 * The line ends at a newline. Without one in reach, it is taken only if something separates the
 * interpreter's name from what was cut off: a truncated name would run the wrong program.
 */
#include "binfmts.h"

#include <quire/kernel.h>
#include <quire/string.h>

static bool spacetab(char c)
{
	return c == ' ' || c == '\t';
}

/* The first of [s, end) that is neither space nor tab; end if none. */
static char *skip_spacetabs(char *s, char *end)
{
	while (s < end && spacetab(*s))
		s++;
	return s;
}

/* The first space, tab or NUL of [s, end); end if none. */
static char *find_terminator(char *s, char *end)
{
	while (s < end && *s && !spacetab(*s))
		s++;
	return s;
}

/* Cuts the line in buf into strings. *arg NULL: there is none. */
static int parse_line(char *buf, char **name, char **arg)
{
	char *last = buf + BINPRM_BUF_SIZE - 1;
	char *end = buf + 2;
	char *sep;

	while (end <= last && *end != '\n')
		end++;
	if (end > last) {
		char *first = skip_spacetabs(buf + 2, last + 1);

		if (first > last || find_terminator(first, last + 1) > last)
			return -ENOEXEC;
		end = last;
	}
	while (end > buf + 2 && spacetab(end[-1]))
		end--;
	*name = skip_spacetabs(buf + 2, end);
	if (*name == end)
		return -ENOEXEC;
	*end = '\0';
	sep = find_terminator(*name, end);
	*arg = NULL;
	if (*sep) {
		*sep++ = '\0';
		sep = skip_spacetabs(sep, end);
		*arg = sep;
	}
	return 0;
}

static int push_arg(struct linux_binprm *bprm, const char *s)
{
	bprm->argc++;
	return bprm_push_string(bprm, s);
}

int load_script(struct linux_binprm *bprm, const char *buf)
{
	char line[BINPRM_BUF_SIZE];
	char *name, *arg;
	int err;

	memcpy(line, buf, sizeof(line));
	err = parse_line(line, &name, &arg);
	if (err)
		return err;
	bprm_pop_string(bprm);
	err = push_arg(bprm, bprm->interp_path);
	if (!err && arg)
		err = push_arg(bprm, arg);
	if (!err)
		err = push_arg(bprm, name);
	if (!err)
		strscpy(bprm->interp_path, name, sizeof(bprm->interp_path));
	return err;
}
