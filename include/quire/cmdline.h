/* SPDX-License-Identifier: MIT */
/* cmdline.h - the kernel's command line: words, some of them with "=value". */
#ifndef QUIRE_CMDLINE_H
#define QUIRE_CMDLINE_H

#include <quire/types.h>

#define COMMAND_LINE_SIZE 512

/* Terminated. Set by the port before mm_init(); empty if it is not. */
extern char boot_command_line[COMMAND_LINE_SIZE];

/*
 * The value of the last word "name=value", not terminated, and its length; of a word "name" an empty
 * one. NULL: there is none. Any context.
 */
const char *cmdline_value(const char *name, size_t *len);

#endif
