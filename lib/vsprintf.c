/* SPDX-License-Identifier: MIT */
/*
 * Formatted text. One pass over the format; each conversion is read into a
 * struct spec and laid out as
 *
 *	[spaces] [sign or 0x] [zeros] digits-or-text [spaces]
 *
 * Output past the end of the buffer is counted but not stored. Nothing here
 * allocates or locks; a buffer belongs to its caller.
 */
#include <quire/kernel.h>
#include <quire/sprintf.h>
#include <quire/string.h>

struct out {
	char *buf;
	size_t size;
	size_t len; /* of the whole text, stored or not */
};

struct spec {
	bool left, zero, alt, plus, space;
	bool has_precision;
	int width;
	int precision;
	int length; /* bytes of an integer argument */
};

/* A va_list that functions may hand on by address. */
struct arguments {
	va_list ap;
};

static void put(struct out *o, char c)
{
	if (o->len < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, int n)
{
	for (; n > 0; n--)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *sp, const char *s, int len)
{
	if (!sp->left)
		pad(o, ' ', sp->width - len);
	for (int i = 0; i < len; i++)
		put(o, s[i]);
	if (sp->left)
		pad(o, ' ', sp->width - len);
}

static void put_string(struct out *o, const struct spec *sp, const char *s)
{
	size_t max = sp->has_precision ? (size_t)sp->precision : INT_MAX;

	if (!s)
		s = "(null)";
	put_text(o, sp, s, (int)strnlen(s, max));
}

/* `prefix` is the sign or 0x; precision is the least number of digits. */
static void put_number(struct out *o, const struct spec *sp, unsigned long long value,
		       unsigned int base, bool upper, const char *prefix)
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	int prefix_len = (int)strlen(prefix);
	char digits[24]; /* 22 octal digits are the most */
	int n = 0, zeros, spaces;

	for (; value; value /= base)
		digits[n++] = set[value % base];
	zeros = (sp->has_precision ? sp->precision : 1) - n;
	if (base == 8 && sp->alt && zeros <= 0)
		zeros = 1;
	if (zeros < 0)
		zeros = 0;
	spaces = sp->width - prefix_len - zeros - n;
	if (sp->zero && !sp->left && !sp->has_precision && spaces > 0) {
		zeros += spaces;
		spaces = 0;
	}
	if (!sp->left)
		pad(o, ' ', spaces);
	while (*prefix)
		put(o, *prefix++);
	pad(o, '0', zeros);
	while (n)
		put(o, digits[--n]);
	if (sp->left)
		pad(o, ' ', spaces);
}

static int parse_int(const char **fmt)
{
	int n = 0;

	for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++) {
		if (n < INT_MAX / 10 - 1)
			n = n * 10 + (**fmt - '0');
	}
	return n;
}

static const char *parse_flags(const char *fmt, struct spec *sp)
{
	for (;; fmt++) {
		switch (*fmt) {
		case '-':
			sp->left = true;
			break;
		case '0':
			sp->zero = true;
			break;
		case '#':
			sp->alt = true;
			break;
		case '+':
			sp->plus = true;
			break;
		case ' ':
			sp->space = true;
			break;
		default:
			return fmt;
		}
	}
}

static const char *parse_length(const char *fmt, struct spec *sp)
{
	sp->length = sizeof(int);
	switch (*fmt) {
	case 'l':
		sp->length = sizeof(long);
		return fmt + (fmt[1] == 'l' ? 2 : 1);
	case 'z':
	case 't':
	case 'j':
		sp->length = sizeof(long);
		return fmt + 1;
	case 'h':
		sp->length = fmt[1] == 'h' ? 1 : 2;
		return fmt + (fmt[1] == 'h' ? 2 : 1);
	default:
		return fmt;
	}
}

static void put_signed(struct out *o, const struct spec *sp, long long value)
{
	unsigned long long magnitude;
	const char *sign = sp->plus ? "+" : sp->space ? " " : "";

	if (sp->length == 1)
		value = (signed char)value;
	else if (sp->length == 2)
		value = (short)value;
	magnitude = (unsigned long long)value;
	if (value < 0) {
		magnitude = -magnitude;
		sign = "-";
	}
	put_number(o, sp, magnitude, 10, false, sign);
}

static void put_unsigned(struct out *o, const struct spec *sp, char conv, unsigned long long value)
{
	bool upper = conv == 'X';
	unsigned int base = conv == 'o' ? 8 : conv == 'u' ? 10 : 16;
	const char *prefix = "";

	if (sp->length < (int)sizeof(long))
		value &= (1ULL << (sp->length * 8)) - 1;
	if (base == 16 && sp->alt && value)
		prefix = upper ? "0X" : "0x";
	put_number(o, sp, value, base, upper, prefix);
}

/* Reads from after the % to the conversion character, which it returns the place of. */
static const char *parse_spec(const char *fmt, struct spec *sp, struct arguments *args)
{
	fmt = parse_flags(fmt, sp);
	if (*fmt == '*') {
		sp->width = va_arg(args->ap, int);
		fmt++;
		if (sp->width < 0) {
			sp->left = true;
			sp->width = sp->width == INT_MIN ? INT_MAX : -sp->width;
		}
	} else {
		sp->width = parse_int(&fmt);
	}
	if (*fmt == '.') {
		fmt++;
		sp->has_precision = true;
		if (*fmt == '*') {
			sp->precision = va_arg(args->ap, int);
			sp->has_precision = sp->precision >= 0;
			fmt++;
		} else {
			sp->precision = parse_int(&fmt);
		}
	}
	return parse_length(fmt, sp);
}

static void convert(struct out *o, const struct spec *sp, char conv, struct arguments *args)
{
	bool is_long = sp->length == sizeof(long);
	char c;

	switch (conv) {
	case 'd':
	case 'i':
		put_signed(o, sp, is_long ? va_arg(args->ap, long) : va_arg(args->ap, int));
		break;
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		put_unsigned(o, sp, conv,
			     is_long ? va_arg(args->ap, unsigned long)
				     : va_arg(args->ap, unsigned int));
		break;
	case 'p':
		put_number(o, sp, (uintptr_t)va_arg(args->ap, void *), 16, false, "0x");
		break;
	case 's':
		put_string(o, sp, va_arg(args->ap, const char *));
		break;
	case 'c':
		c = (char)va_arg(args->ap, int);
		put_text(o, sp, &c, 1);
		break;
	case '%':
		put(o, '%');
		break;
	default: /* shown as it stands, so that the mistake is seen */
		put(o, '%');
		put(o, conv);
	}
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = { .buf = buf, .size = size };
	struct arguments args;

	va_copy(args.ap, ap);
	for (; *fmt; fmt++) {
		struct spec sp = { 0 };

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt = parse_spec(fmt + 1, &sp, &args);
		if (!*fmt)
			break;
		convert(&o, &sp, *fmt, &args);
	}
	va_end(args.ap);
	if (size)
		buf[min(o.len, size - 1)] = '\0';
	return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}

int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	int n = vsnprintf(buf, size, fmt, args);

	if (!size)
		return 0;
	return (size_t)n < size ? n : (int)(size - 1);
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vscnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}
