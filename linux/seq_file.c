/* SPDX-License-Identifier: MIT */
/*
 * Text that grows while it is written, in one block that doubles. No locks: a text has one
 * writer.
 */
#include "seq_file.h"

#include <quire/sprintf.h>
#include <quire/string.h>
#include <quire/vmalloc.h>

/* Room for len more bytes. */
static bool seq_reserve(struct seq_file *m, size_t len)
{
	size_t size = max(m->size, PAGE_SIZE);
	char *buf;

	if (m->failed)
		return false;
	if (len <= m->size - m->count)
		return true;
	while (size - m->count < len)
		size *= 2;
	buf = kvrealloc(m->buf, m->count, size, GFP_KERNEL);
	if (!buf) {
		m->failed = true;
		return false;
	}
	m->buf = buf;
	m->size = size;
	return true;
}

void seq_write(struct seq_file *m, const void *data, size_t len)
{
	if (!len || !seq_reserve(m, len))
		return;
	memcpy(m->buf + m->count, data, len);
	m->count += len;
}

void seq_release(struct seq_file *m)
{
	kvfree(m->buf);
	m->buf = NULL;
	m->size = m->count = 0;
}

void seq_puts(struct seq_file *m, const char *s)
{
	seq_write(m, s, strlen(s));
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0 || !seq_reserve(m, (size_t)len + 1))
		return;
	va_start(args, fmt);
	vsnprintf(m->buf + m->count, (size_t)len + 1, fmt, args);
	va_end(args);
	m->count += (size_t)len;
}

void seq_escape(struct seq_file *m, const char *s, const char *esc)
{
	for (; *s; s++) {
		if (strchr(esc, *s))
			seq_printf(m, "\\%03o", (unsigned char)*s);
		else
			seq_write(m, s, 1);
	}
}

void seq_pad(struct seq_file *m, size_t line, size_t to)
{
	while (!m->failed && m->count - line < to)
		seq_write(m, " ", 1);
}

void seq_kb(struct seq_file *m, const char *label, unsigned long kb)
{
	seq_printf(m, "%s%8lu kB\n", label, kb);
}

bool next_line(const char **text, size_t *left, struct text_line *line)
{
	const char *end;

	if (!*left)
		return false;
	line->line = *text;
	line->len = 0;
	while (line->len < *left && (*text)[line->len] != '\n')
		line->len++;
	end = *text + line->len;
	*left -= line->len;
	if (*left) {
		end++;
		(*left)--;
	}
	*text = end;
	return true;
}

bool line_starts(const struct text_line *line, const char *prefix)
{
	size_t len = strlen(prefix);

	return line->len >= len && !memcmp(line->line, prefix, len);
}

bool take_number(struct text_line *line, unsigned long *number)
{
	bool found = false;

	*number = 0;
	while (line->len && *line->line == ' ') {
		line->line++;
		line->len--;
	}
	while (line->len && *line->line >= '0' && *line->line <= '9') {
		*number = *number * 10 + (unsigned long)(*line->line - '0');
		found = true;
		line->line++;
		line->len--;
	}
	return found;
}
