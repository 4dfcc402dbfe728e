/* SPDX-License-Identifier: MIT */
/*
 * Strings and text numbers.
 *
 * memcpy, memset, memmove and memcmp are the machine's: a port links its own or
 * libc's. The others are lib/string.c's. Their symbols carry a prefix, so that
 * a hosted program which links the core keeps its libc's strlen, and a kernel
 * its own.
 */
#ifndef QUIRE_STRING_H
#define QUIRE_STRING_H

#include <quire/types.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memset(void *s, int c, size_t n);
void *memmove(void *dst, const void *src, size_t n);
int memcmp(const void *a, const void *b, size_t n);

#define strlen quire_strlen
#define strnlen quire_strnlen
#define strcmp quire_strcmp
#define strncmp quire_strncmp
#define strchr quire_strchr
#define strrchr quire_strrchr

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/*
 * Copy src to dst, cutting it to size - 1 characters; dst is always terminated
 * when size is not 0. Returns the characters copied, or -E2BIG if src was cut.
 */
ssize_t strscpy(char *dst, const char *src, size_t size);

/* The first byte of [s, s + n) that is not c, or NULL. */
void *memchr_inv(const void *s, int c, size_t n);

/*
 * The whole of s, with at most one newline at its end, as a number: base 2..36,
 * or 0 to go by the prefix 0x or 0. 0, -EINVAL for anything else in s, -ERANGE
 * when it does not fit; *res is written only on success.
 */
int kstrtoul(const char *s, unsigned int base, unsigned long *res);
int kstrtol(const char *s, unsigned int base, long *res);

/*
 * The number at the start of s, as far as it goes (0 when there is none); *end,
 * if given, is set past it. Overflow wraps.
 */
unsigned long simple_strtoul(const char *s, char **end, unsigned int base);

/* A size with an optional suffix K M G T P E: "64M". *end is set past it. */
unsigned long long memparse(const char *s, char **end);

#endif
