/* SPDX-License-Identifier: MIT */
/*
 * Long texts of /proc, read by several processes at once, and System V segments that one process makes
 * and another finds: what the kernel keeps for them is memory that each process maps on demand and
 * that changes its meaning under way.
 */
#include "guest.h"

#include <sys/shm.h>

#define MAPPINGS 800
#define CHILDREN 3
#define READS 40

static char *read_all(const char *path, size_t *len)
{
	size_t room = 1 << 16;
	char *text = malloc(room);
	int fd = MUST(open(path, O_RDONLY));
	ssize_t n;

	*len = 0;
	while ((n = read(fd, text + *len, room - *len - 1)) > 0) {
		*len += (size_t)n;
		if (*len + 1 == room)
			text = realloc(text, room *= 2);
	}
	close(fd);
	text[*len] = 0;
	return text;
}

/* Each mapping has its lines, all of them, in the order of addresses. */
static int count_mappings(void)
{
	unsigned long start, end, last = 0, size = 0;
	int mappings = 0, whole = 0;
	char *save, *line, *text;
	size_t len;

	text = read_all("/proc/self/smaps", &len);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 && strchr(line, '-')) {
			if (start < last || end <= start)
				return -1;
			last = end;
			mappings++;
		}
		if (sscanf(line, "Size: %lu", &size) == 1 && size != (end - start) / 1024)
			return -2;
		whole += !strncmp(line, "VmFlags:", 8);
	}
	free(text);
	return mappings == whole ? mappings : -3;
}

static int reader(void)
{
	for (int i = 0; i < READS; i++) {
		int n = count_mappings();

		if (n < MAPPINGS || n > MAPPINGS + 200)
			return n < 0 ? -n : 9;
	}
	return 0;
}

static void segments(void)
{
	int ids[40], right = 0;
	pid_t pid;

	for (int i = 0; i < 40; i++)
		ids[i] = MUST(shmget(IPC_PRIVATE, PAGE * (size_t)(i + 1), 0600));
	pid = MUST(fork());
	if (!pid) {
		struct shmid_ds ds;

		for (int i = 0; i < 40; i++)
			right += !shmctl(ids[i], IPC_STAT, &ds) &&
				 ds.shm_segsz == PAGE * (size_t)(i + 1);
		_exit(right);
	}
	CHECK(exited(wait_for(pid), 40), "a child finds all segments");
	for (int i = 0; i < 40; i++)
		shmctl(ids[i], IPC_RMID, NULL);
}

int main(void)
{
	pid_t pid[CHILDREN];
	bool ok = true;

	for (int i = 0; i < MAPPINGS; i++)
		MUST(mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(count_mappings() >= MAPPINGS, "every mapping has its lines");
	segments();
	for (int i = 0; i < CHILDREN; i++) {
		pid[i] = MUST(fork());
		if (!pid[i])
			_exit(reader());
	}
	for (int i = 0; i < CHILDREN; i++)
		ok &= exited(wait_for(pid[i]), 0);
	CHECK(ok, "texts of several processes at once");
	CHECK(!reader(), "and of the parent");
	return failures;
}
