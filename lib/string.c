/* SPDX-License-Identifier: MIT */
/*
 * Strings and text numbers for code that has no libc. Everything is a plain
 * loop over bytes: what the kernel reads here are names and numbers of a few
 * characters. Nothing has state.
 */
#include <quire/errno.h>
#include <quire/kernel.h>
#include <quire/string.h>

/* Seen by the compiler as a load with an effect, so that it does not fold the loops into calls. */
static inline char byte_at(const char *s)
{
	char c = *s;

	__asm__ __volatile__("" : "+r"(c));
	return c;
}

size_t strlen(const char *s)
{
	const char *p = s;

	while (byte_at(p))
		p++;
	return (size_t)(p - s);
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; a++, b++, n--) {
		if (*a != *b)
			return (unsigned char)*a - (unsigned char)*b;
		if (!*a)
			break;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; byte_at(s) != (char)c; s++) {
		if (!*s)
			return NULL;
	}
	return (char *)(uintptr_t)s;
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	do {
		if (*s == (char)c)
			last = s;
	} while (*s++);
	return (char *)(uintptr_t)last;
}

ssize_t strscpy(char *dst, const char *src, size_t size)
{
	size_t n;

	if (!size)
		return -E2BIG;
	n = strnlen(src, size);
	if (n < size) {
		memcpy(dst, src, n + 1);
		return (ssize_t)n;
	}
	memcpy(dst, src, size - 1);
	dst[size - 1] = '\0';
	return -E2BIG;
}

void *memchr_inv(const void *s, int c, size_t n)
{
	const unsigned char *p = s;
	const unsigned char *end = p + n;
	unsigned long pattern = (unsigned char)c * 0x0101010101010101UL;

	for (; p < end && !IS_ALIGNED((uintptr_t)p, sizeof(long)); p++) {
		if (*p != (unsigned char)c)
			return (void *)(uintptr_t)p;
	}
	while ((size_t)(end - p) >= sizeof(long)) {
		unsigned long word;

		memcpy(&word, p, sizeof(word));
		if (word != pattern)
			break;
		p += sizeof(long);
	}
	for (; p < end; p++) {
		if (*p != (unsigned char)c)
			return (void *)(uintptr_t)p;
	}
	return NULL;
}

static unsigned int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	c |= 0x20;
	if (c >= 'a' && c <= 'z')
		return (unsigned int)(c - 'a') + 10;
	return 36;
}

/* Skips the prefix of base 16 (or of 0) and settles which base it is. */
static const char *skip_prefix(const char *s, unsigned int *base)
{
	bool hex = s[0] == '0' && (s[1] | 0x20) == 'x' && digit_of(s[2]) < 16;

	if (*base == 0)
		*base = hex ? 16 : s[0] == '0' ? 8 : 10;
	return hex && *base == 16 ? s + 2 : s;
}

int kstrtoul(const char *s, unsigned int base, unsigned long *res)
{
	unsigned long value = 0;
	const char *start;

	if (*s == '+')
		s++;
	start = s = skip_prefix(s, &base);
	for (; digit_of(*s) < base; s++) {
		if (__builtin_mul_overflow(value, (unsigned long)base, &value) ||
		    __builtin_add_overflow(value, (unsigned long)digit_of(*s), &value))
			return -ERANGE;
	}
	if (s == start)
		return -EINVAL;
	if (*s == '\n')
		s++;
	if (*s)
		return -EINVAL;
	*res = value;
	return 0;
}

int kstrtol(const char *s, unsigned int base, long *res)
{
	bool negative = *s == '-';
	unsigned long value;
	int err;

	if (negative && s[1] == '+')
		return -EINVAL;
	err = kstrtoul(negative ? s + 1 : s, base, &value);
	if (err)
		return err;
	if (value > (unsigned long)LONG_MAX + negative)
		return -ERANGE;
	*res = (long)(negative ? -value : value);
	return 0;
}

unsigned long simple_strtoul(const char *s, char **end, unsigned int base)
{
	unsigned long value = 0;

	s = skip_prefix(s, &base);
	for (; digit_of(*s) < base; s++)
		value = value * base + digit_of(*s);
	if (end)
		*end = (char *)(uintptr_t)s;
	return value;
}

unsigned long long memparse(const char *s, char **end)
{
	static const char suffixes[] = "kmgtpe";
	unsigned long long value;
	const char *suffix;
	char *stop;

	value = simple_strtoul(s, &stop, 0);
	suffix = *stop ? strchr(suffixes, *stop | 0x20) : NULL;
	if (suffix) {
		value <<= 10 * (suffix - suffixes + 1);
		stop++;
	}
	if (end)
		*end = stop;
	return value;
}
