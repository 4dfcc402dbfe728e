/* SPDX-License-Identifier: MIT */
/*
 * Formatted text, from lib/vsprintf.c.
 *
 * Conversions: d i u x X o s c p %; lengths hh h l ll z t; flags - 0 # + space;
 * width and precision as digits or *. %p is 0x and hexadecimal digits. There is
 * no floating point, and no %n.
 */
#ifndef QUIRE_SPRINTF_H
#define QUIRE_SPRINTF_H

#include <stdarg.h>

#include <quire/kernel.h>

#define vsnprintf quire_vsnprintf
#define snprintf quire_snprintf

/*
 * The text, cut to size - 1 characters and terminated when size is not 0. The
 * snprintf forms return the length the whole text has; the scnprintf forms what
 * was written, without the terminator.
 */
__printf(3, 0) int vsnprintf(char *buf, size_t size, const char *fmt, va_list args);
__printf(3, 4) int snprintf(char *buf, size_t size, const char *fmt, ...);
__printf(3, 0) int vscnprintf(char *buf, size_t size, const char *fmt, va_list args);
__printf(3, 4) int scnprintf(char *buf, size_t size, const char *fmt, ...);

#endif
