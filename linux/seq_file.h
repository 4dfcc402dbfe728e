/* SPDX-License-Identifier: MIT */
/*
 * seq_file.h - text that grows while it is written.
 *
 * Memory that cannot be had is remembered in `failed`; writing on is harmless.
 */
#ifndef QUIRE_LINUX_SEQ_FILE_H
#define QUIRE_LINUX_SEQ_FILE_H

#include <quire/kernel.h>
#include <quire/types.h>

struct seq_file {
	char *buf;
	size_t size; /* of buf */
	size_t count; /* bytes of text */
	bool failed;
};

__printf(2, 3) void seq_printf(struct seq_file *m, const char *fmt, ...);
void seq_write(struct seq_file *m, const void *data, size_t len);
void seq_puts(struct seq_file *m, const char *s);
/* Gives the text back. */
void seq_release(struct seq_file *m);
/* Control characters, backslashes and what else is in esc as \ooo. */
void seq_escape(struct seq_file *m, const char *s, const char *esc);
/* Spaces up to column `to` of the line that begins at offset `line`. */
void seq_pad(struct seq_file *m, size_t line, size_t to);
/* "label value kB" with the value 8 wide, as /proc has it. */
void seq_kb(struct seq_file *m, const char *label, unsigned long kb);

/* A line of another text: [line, line + len), without the newline. */
struct text_line {
	const char *line;
	size_t len;
};
/* The next line of *text, advancing it; false at the end. */
bool next_line(const char **text, size_t *left, struct text_line *line);
bool line_starts(const struct text_line *line, const char *prefix);
/* Takes spaces and the decimal number behind them off the line; false: no number is there. */
bool take_number(struct text_line *line, unsigned long *number);

#endif
