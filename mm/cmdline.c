/* SPDX-License-Identifier: MIT */
/* The kernel's command line: looked at in place, whenever somebody asks. */
#include <quire/cmdline.h>
#include <quire/string.h>

char boot_command_line[COMMAND_LINE_SIZE];

const char *cmdline_value(const char *name, size_t *len)
{
	size_t n = strlen(name);
	const char *found = NULL;

	for (const char *p = boot_command_line, *end; *p; p = end) {
		while (*p == ' ')
			p++;
		for (end = p; *end && *end != ' ';)
			end++;
		if ((size_t)(end - p) < n || strncmp(p, name, n))
			continue;
		if (p + n == end)
			found = end;
		else if (p[n] == '=')
			found = p + n + 1;
		else
			continue;
		*len = (size_t)(end - found);
	}
	return found;
}
