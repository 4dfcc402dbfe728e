/* SPDX-License-Identifier: MIT */
/* One formatted message to the machine's log; what does not fit the line is cut. */
#include <quire/mm.h>
#include <quire/sprintf.h>

#define PRINTK_LINE_MAX 256

void printk(enum log_level level, const char *fmt, ...)
{
	char line[PRINTK_LINE_MAX];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vscnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	while (len > 0 && line[len - 1] == '\n')
		len--;
	machine_log(level, line, (size_t)len);
}
