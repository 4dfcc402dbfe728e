/* SPDX-License-Identifier: MIT */
/*
 * sysctl.c - /proc/sys: the variables of the machine.
 *
 * sysctl_table[] has a row for each, of what is built; what is not there does not exist in the
 * machine, whatever the host has. Who may open a file is the host's to say.
 *
 * Numbers stand in a line with tabs between them. A write takes as many as there are variables, decimal, octal or
 * hexadecimal, and says how much it has used; behind the beginning of the file it does nothing.
 */
#include "ipc.h"
#include "sysctl.h"

#include <quire/errno.h>
#include <quire/mm.h>
#include <quire/reclaim.h>
#include <quire/sched.h>
#include <quire/string.h>

#define NUMBER_MAX 21 /* characters of a number */

/* The port has taken what is below the bound that the machine started with. */
static int store_mmap_min_addr(const struct ctl_table *table, const unsigned long *values)
{
	static unsigned long lowest;

	(void)table;
	if (!lowest)
		lowest = mmap_min_addr;
	if (values[0] < lowest || values[0] > TASK_SIZE_MAX)
		return -EINVAL;
	WRITE_ONCE(mmap_min_addr, values[0]);
	return 0;
}

static int store_shm_rmid_forced(const struct ctl_table *table, const unsigned long *values)
{
	(void)table;
	WRITE_ONCE(shm_rmid_forced, (int)values[0]);
	if (values[0])
		shm_destroy_orphaned();
	return 0;
}

/* Of int rows: stores, and the zones' reserves follow. */
static int store_reserves(const struct ctl_table *table, const unsigned long *values)
{
	for (unsigned int i = 0; i < max(table->nr, 1u); i++)
		WRITE_ONCE(((int *)table->data)[i], (int)values[i]);
	setup_per_zone_wmarks();
	return 0;
}

static int store_drop_caches(const struct ctl_table *table, const unsigned long *values)
{
	(void)table;
	drop_caches((unsigned int)values[0] & 3);
	return 0;
}

/* There are no huge pages to be had: it remains at none. */
static int store_nothing(const struct ctl_table *table, const unsigned long *values)
{
	(void)table;
	(void)values;
	return 0;
}

static unsigned long no_hugepages;

/* Of the two ways to set the limit the latest counts, and reads of the other say 0. */
static int store_overcommit_ratio(const struct ctl_table *table, const unsigned long *values)
{
	(void)table;
	WRITE_ONCE(sysctl_overcommit_kbytes, 0);
	WRITE_ONCE(sysctl_overcommit_ratio, (int)values[0]);
	return 0;
}

static int store_overcommit_kbytes(const struct ctl_table *table, const unsigned long *values)
{
	(void)table;
	WRITE_ONCE(sysctl_overcommit_ratio, 0);
	WRITE_ONCE(sysctl_overcommit_kbytes, values[0]);
	return 0;
}

static const struct ctl_table sysctl_table[] = {
	{ "kernel/shm_next_id", CTL_INT, &shm_next_id, .max = INT_MAX },
	{ "kernel/shm_rmid_forced", CTL_INT, &shm_rmid_forced, .max = 1,
	  .store = store_shm_rmid_forced },
	{ "kernel/shmall", CTL_ULONG, &shm_ctlall, .max = -1 },
	{ "kernel/shmmax", CTL_ULONG, &shm_ctlmax, .max = -1 },
	{ "kernel/shmmni", CTL_INT, &shm_ctlmni, .max = IPCMNI },
	{ "kernel/randomize_va_space", CTL_INT, &randomize_va_space, .max = INT_MAX },
	{ "vm/admin_reserve_kbytes", CTL_ULONG, &sysctl_admin_reserve_kbytes, .max = -1 },
	{ "vm/drop_caches", CTL_INT, NULL, .min = 1, .max = 4, .store = store_drop_caches },
	{ "vm/lowmem_reserve_ratio", CTL_INT, sysctl_lowmem_reserve_ratio, .nr = MAX_NR_ZONES,
	  .max = INT_MAX, .store = store_reserves },
	{ "vm/max_map_count", CTL_INT, &sysctl_max_map_count, .max = INT_MAX },
	{ "vm/min_free_kbytes", CTL_INT, &min_free_kbytes, .max = INT_MAX,
	  .store = store_reserves },
	{ "vm/watermark_scale_factor", CTL_INT, &watermark_scale_factor, .min = 1, .max = 3000,
	  .store = store_reserves },
	{ "vm/overcommit_kbytes", CTL_ULONG, &sysctl_overcommit_kbytes, .max = -1,
	  .store = store_overcommit_kbytes },
	{ "vm/overcommit_memory", CTL_INT, &sysctl_overcommit_memory, .max = OVERCOMMIT_NEVER },
	{ "vm/overcommit_ratio", CTL_INT, &sysctl_overcommit_ratio, .max = INT_MAX,
	  .store = store_overcommit_ratio },
	{ "vm/swappiness", CTL_INT, &vm_swappiness, .max = 200 },
	{ "vm/user_reserve_kbytes", CTL_ULONG, &sysctl_user_reserve_kbytes, .max = -1 },
	{ "vm/mmap_min_addr", CTL_ULONG, &mmap_min_addr, .max = -1, .store = store_mmap_min_addr },
	{ "vm/nr_hugepages", CTL_ULONG, &no_hugepages, .max = -1, .store = store_nothing },
	{ "vm/nr_overcommit_hugepages", CTL_ULONG, &no_hugepages, .max = -1,
	  .store = store_nothing },
};

int sysctl_find(const char *path)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sysctl_table); i++)
		if (!strcmp(path, sysctl_table[i].procname))
			return (int)i;
	return -1;
}

bool proc_is_sysctl_name(const char *name)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(sysctl_table); i++)
		if (!strcmp(name, strrchr(sysctl_table[i].procname, '/') + 1))
			return true;
	return false;
}

static unsigned int nr_values(const struct ctl_table *table)
{
	return table->nr ?: 1;
}

/* An int is a long with its sign. */
static unsigned long load_value(const struct ctl_table *table, unsigned int i)
{
	if (!table->data)
		return 0;
	if (table->type == CTL_INT)
		return (unsigned long)(long)READ_ONCE(((int *)table->data)[i]);
	return READ_ONCE(((unsigned long *)table->data)[i]);
}

static void store_values(const struct ctl_table *table, const unsigned long *values)
{
	for (unsigned int i = 0; i < nr_values(table); i++) {
		if (table->type == CTL_INT)
			WRITE_ONCE(((int *)table->data)[i], (int)values[i]);
		else
			WRITE_ONCE(((unsigned long *)table->data)[i], values[i]);
	}
}

int sysctl_show(struct seq_file *m, int nr)
{
	const struct ctl_table *table = &sysctl_table[nr];

	if (!table->data)
		return 0;
	for (unsigned int i = 0; i < nr_values(table); i++) {
		unsigned long value = load_value(table, i);

		if (i)
			seq_puts(m, "\t");
		if (table->type == CTL_INT)
			seq_printf(m, "%ld", (long)value);
		else
			seq_printf(m, "%lu", value);
	}
	seq_puts(m, "\n");
	return 0;
}

/* ---- Writing ------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Takes spaces, a number and the character behind it off the text. 0 or -EINVAL: it is none. */
static int take_value(struct text_line *text, unsigned long *value, bool *negative)
{
	char number[NUMBER_MAX + 1], *end;
	size_t n = 0;

	while (n < text->len && n < NUMBER_MAX) {
		number[n] = text->line[n];
		n++;
	}
	number[n] = '\0';
	*negative = number[0] == '-' && n > 1;
	if (number[*negative] < '0' || number[*negative] > '9')
		return -EINVAL;
	simple_strtoul(number + *negative, &end, 0);
	n = (size_t)(end - number);
	if (n == NUMBER_MAX || (n < text->len && *end != ' ' && *end != '\t' && *end != '\n'))
		return -EINVAL;
	*end = '\0';
	if (kstrtoul(number + *negative, 0, value))
		return -EINVAL;
	text->line += n;
	text->len -= n;
	return 0;
}

static bool in_range(const struct ctl_table *table, unsigned long value)
{
	if (table->type == CTL_INT)
		return (long)value >= max(table->min, (long)INT_MIN) &&
		       (long)value <= min(table->max, (long)INT_MAX);
	return value >= (unsigned long)table->min && value <= (unsigned long)table->max;
}

static void skip_spaces(struct text_line *text)
{
	while (text->len && is_space(*text->line)) {
		text->line++;
		text->len--;
	}
}

/* How many values the text has, put into values[] as they come; or -EINVAL. */
static int parse_values(const struct ctl_table *table, struct text_line *text,
			unsigned long *values)
{
	unsigned int n = 0;

	for (; n < nr_values(table); n++) {
		unsigned long value;
		bool negative;

		skip_spaces(text);
		if (!text->len)
			break;
		if (take_value(text, &value, &negative))
			return -EINVAL;
		if (negative && table->type == CTL_ULONG)
			continue; /* as if it had not been there */
		if (table->type == CTL_INT && value > (unsigned long)INT_MAX + negative)
			return -EINVAL;
		values[n] = negative ? -value : value;
		if (!in_range(table, values[n]))
			return -EINVAL;
	}
	return n ? (int)n : -EINVAL;
}

long sysctl_write(int nr, u64 pos, const char *text, size_t len)
{
	const struct ctl_table *table = &sysctl_table[nr];
	struct text_line line = { text, min(len, PAGE_SIZE - 1) };
	unsigned long values[CTL_MAX_VALUES];
	int err;

	if (!len || pos)
		return (long)len;
	for (unsigned int i = 0; i < nr_values(table); i++)
		values[i] = load_value(table, i);
	err = parse_values(table, &line, values);
	if (err < 0)
		return err;
	if (table->store) {
		err = table->store(table, values);
		if (err)
			return err;
	} else {
		store_values(table, values);
	}
	skip_spaces(&line);
	return (long)(len - line.len);
}
