/* SPDX-License-Identifier: MIT */
/* System V shared memory: identifiers, permissions, attachments, and what is left of them. */
#include "guest.h"

#include <grp.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif

static const char *err(long ret)
{
	return ret == -1 ? strerrorname_np(errno) : "ok";
}

static int make(size_t size, int flags)
{
	return MUST(shmget(IPC_PRIVATE, size, IPC_CREAT | flags));
}

static unsigned long nattch(int id)
{
	struct shmid_ds ds;

	return shmctl(id, IPC_STAT, &ds) ? 999 : ds.shm_nattch;
}

static void getting(void)
{
	key_t key = 0x51000000 | (getpid() & 0xffffff);
	int id = shmget(key, 10000, 0), other;
	struct shmid_ds ds;

	printf("get: absent %s", err(id));
	id = MUST(shmget(key, 10000, IPC_CREAT | 0640));
	printf(", same %d", shmget(key, 10000, 0) == id);
	printf(", smaller %d", shmget(key, 1, IPC_CREAT) == id);
	printf(", larger %s", err(shmget(key, 10001, 0)));
	printf(", exclusive %s\n", err(shmget(key, 1, IPC_CREAT | IPC_EXCL)));
	printf("get: size 0 %s", err(shmget(IPC_PRIVATE, 0, IPC_CREAT)));
	printf(", huge %s", err(shmget(IPC_PRIVATE, -1ul, IPC_CREAT)));
	printf(", existing with size 0 %d\n", shmget(key, 0, 0) == id);
	MUST(shmctl(id, IPC_STAT, &ds));
	printf("stat: %zu bytes, mode %o, key %d, creator %d, nattch %lu, times %d %d %d\n",
	       ds.shm_segsz, ds.shm_perm.mode, ds.shm_perm.__key == key, ds.shm_cpid == getpid(),
	       (unsigned long)ds.shm_nattch, ds.shm_atime == 0, ds.shm_dtime == 0,
	       ds.shm_ctime > 0);
	ds.shm_perm.mode = 0604;
	printf("set: %s", err(shmctl(id, IPC_SET, &ds)));
	MUST(shmctl(id, IPC_STAT, &ds));
	printf(", mode %o\n", ds.shm_perm.mode);
	other = make(1, 0600);
	printf("ids differ: %d\n", other != id);
	printf("remove: %s", err(shmctl(id, IPC_RMID, NULL)));
	printf(", again %s", err(shmctl(id, IPC_RMID, NULL)));
	printf(", key %s", err(shmget(key, 1, 0)));
	printf(", other %s\n", err(shmctl(other, IPC_RMID, NULL)));
	printf("bad: id %s", err(shmctl(-1, IPC_STAT, &ds)));
	other = make(1, 0600);
	printf(", command %s", err(shmctl(other, 99, &ds)));
	printf(", pointer %s", err(shmctl(other, IPC_STAT, (void *)8)));
	printf(", set %s\n", err(shmctl(other, IPC_SET, (void *)8)));
	shmctl(other, IPC_RMID, NULL);
}

static void attaching(void)
{
	int id = make(3 * PAGE + 5, 0600);
	char *a = shmat(id, NULL, 0), *b = shmat(id, NULL, 0), *r = shmat(id, NULL, SHM_RDONLY);
	char *hole = map_anon(16 * PAGE, MAP_PRIVATE);

	printf("at: three %d, nattch %lu\n", a != (void *)-1 && b != (void *)-1 && r != (void *)-1,
	       nattch(id));
	strcpy(a + PAGE, "shared");
	printf("at: %s %s, last byte %d\n", b + PAGE, r + PAGE, b[4 * PAGE - 1]);
	catch_faults(0);
	printf("at: read-only %d\n", FAULTED(*(volatile char *)r = 1, SIGSEGV, SEGV_ACCERR, r));
	printf("at: occupied %s", err((long)shmat(id, hole, 0)));
	printf(", not aligned %s", err((long)shmat(id, hole + 1, 0)));
	printf(", remap nowhere %s", err((long)shmat(id, NULL, SHM_REMAP)));
	printf(", bad id %s", err((long)shmat(-1, NULL, 0)));
	printf(", rounded %d\n", shmat(id, hole + 1, SHM_RND | SHM_REMAP) == hole);
	printf("at: over the hole %s, nattch %lu\n", hole + PAGE, nattch(id));
	munmap(hole + PAGE, PAGE);
	printf("split: nattch %lu, dt %s", nattch(id), err(shmdt(hole)));
	printf(", nattch %lu\n", nattch(id));
	printf("dt: not aligned %s", err(shmdt(a + 1)));
	printf(", nothing %s", err(shmdt(hole)));
	printf(", inside %s", err(shmdt(a + PAGE)));
	printf(", b %s, r %s", err(shmdt(b)), err(shmdt(r)));
	printf(", nattch %lu\n", nattch(id));
	mprotect(a, PAGE, PROT_READ);
	printf("protected in part: nattch %lu", nattch(id));
	printf(", dt %s, nattch %lu\n", err(shmdt(a)), nattch(id));
	MUST(shmctl(id, IPC_RMID, NULL));
}

static void surviving(void)
{
	int id = make(2 * PAGE, 0600), st;
	struct shmid_ds ds;
	char *a;

	if (!split()) {
		a = shmat(id, NULL, 0);
		strcpy(a, "left behind");
		_exit(0);
	}
	wait(&st);
	a = shmat(id, NULL, 0);
	printf("survives: %s, nattch %lu\n", a, nattch(id));
	if (!split()) {
		a[PAGE] = 42;
		printf("fork: nattch %lu\n", nattch(id));
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	printf("fork: wrote %d, nattch %lu\n", a[PAGE], nattch(id));
	printf("removed while attached: %s", err(shmctl(id, IPC_RMID, NULL)));
	MUST(shmctl(id, IPC_STAT, &ds));
	printf(", mode %o, key %d, still %s", ds.shm_perm.mode, ds.shm_perm.__key, a);
	printf(", at %s", err((long)shmat(id, NULL, 0)));
	printf(", nattch %lu\n", nattch(id));
	shmdt(a);
	shmdt((void *)a);
	if (!split())
		execl("/proc/self/exe", "shm", "count", NULL);
	wait(&st);
	printf("exec: status %d\n", st);
	id = make(PAGE, 0600);
	a = shmat(id, NULL, 0);
	MUST(shmctl(id, IPC_RMID, NULL));
	printf("last detach: %s", err(shmdt(a)));
	printf(", stat %s\n", err(shmctl(id, IPC_STAT, &ds)));
}

/* mremap, and the other calls that know mappings. */
static void moving(void)
{
	int id = make(4 * PAGE, 0600);
	char *a = shmat(id, NULL, 0), *b;

	strcpy(a + 3 * PAGE, "end");
	b = mremap(a, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	printf("grown: %d, %s, nattch %lu\n", b != MAP_FAILED, b + 3 * PAGE, nattch(id));
	catch_faults(0);
	printf("past the end: %d\n",
	       FAULTED(*(volatile char *)(b + 5 * PAGE), SIGBUS, BUS_ADRERR, b + 5 * PAGE));
	madvise(b, 4 * PAGE, MADV_DONTNEED);
	printf("not needed: %s\n", b + 3 * PAGE);
	printf("dt: %s, nattch %lu\n", err(shmdt(b)), nattch(id));
	munmap(b, 8 * PAGE);
	printf("unmapped: nattch %lu\n", nattch(id));
	MUST(shmctl(id, IPC_RMID, NULL));
}

static void others(void)
{
	int id = make(PAGE, 0600), pub = make(PAGE, 0604), st;
	struct shmid_ds ds;

	if (!split()) {
		if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
			puts("not root");
		printf("others: stat %s", err(shmctl(id, IPC_STAT, &ds)));
		printf(", any %d", shmctl(0, SHM_STAT_ANY, &ds) != -2);
		printf(", at %s", err((long)shmat(id, NULL, 0)));
		printf(", public %s", err((long)shmat(pub, NULL, 0)));
		printf(", to read %s", err((long)shmat(pub, NULL, SHM_RDONLY)));
		printf(", remove %s", err(shmctl(pub, IPC_RMID, NULL)));
		printf(", lock %s\n", err(shmctl(pub, SHM_LOCK, NULL)));
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	printf("lock: %s", err(shmctl(id, SHM_LOCK, NULL)));
	MUST(shmctl(id, IPC_STAT, &ds));
	printf(", mode %o", ds.shm_perm.mode);
	printf(", unlock %s\n", err(shmctl(id, SHM_UNLOCK, NULL)));
	MUST(shmctl(id, IPC_RMID, NULL));
	MUST(shmctl(pub, IPC_RMID, NULL));
}

/* What the calls tell of all segments together; others may have some, too. */
static void informing(void)
{
	int id = make(3 * PAGE, 0640), last, found = 0;
	struct shm_info info;
	struct shminfo limits;
	struct shmid_ds ds;

	last = shmctl(0, SHM_INFO, (void *)&info);
	printf("info: %d %d %d\n", last >= 0, info.used_ids >= 1, info.shm_tot >= 3);
	printf("limits: %d", shmctl(0, IPC_INFO, (void *)&limits) == last);
	printf(", %lu %lu %lu, %d %d\n", limits.shmmin, limits.shmmni, limits.shmseg,
	       limits.shmmax > 1ul << 60, limits.shmall > 1ul << 60);
	for (int i = 0; i <= last; i++)
		found += shmctl(i, SHM_STAT, &ds) == id && ds.shm_segsz == 3 * PAGE &&
			 shmctl(i, SHM_STAT_ANY, &ds) == id;
	printf("by index: %d, behind the last %s", found, err(shmctl(last + 1, SHM_STAT, &ds)));
	printf(", nowhere %s %s\n", err(shmctl(0, SHM_INFO, (void *)8)),
	       err(shmctl(0, IPC_INFO, (void *)8)));
	MUST(shmctl(id, IPC_RMID, NULL));
	printf("huge: %s\n", err(shmget(IPC_PRIVATE, 2 << 20, IPC_CREAT | SHM_HUGETLB | 0600)));
}

/* Its line in maps and in /proc/sysvipc/shm. */
static void seen(void)
{
	int id = make(5 * PAGE, 0640);
	char line[512], want[64], *a = shmat(id, NULL, 0);
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long start, end, ino = 0;

	a[0] = a[PAGE] = 1;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "SYSV") &&
		    sscanf(line, "%lx-%lx %*s %*s %*s %lu", &start, &end, &ino))
			printf("maps: %lu pages at it %d, its inode %d,%s", (end - start) / PAGE,
			       start == (unsigned long)a, ino == (unsigned long)id,
			       strstr(line, " /SYSV"));
	fclose(f);
	f = fopen("/proc/sysvipc/shm", "r");
	snprintf(want, sizeof(want), " %d ", id);
	while (fgets(line, sizeof(line), f)) {
		int key, mode;
		unsigned long size, n, rss;

		if (strstr(line, want) &&
		    sscanf(line, "%d %*d %o %lu %*d %*d %lu %*d %*d %*d %*d %*d %*d %*d %lu", &key,
			   &mode, &size, &n, &rss) == 5)
			printf("sysvipc: %d %o %lu %lu, rss %lu\n", key, mode, size, n, rss);
	}
	fclose(f);
	shmdt(a);
	MUST(shmctl(id, IPC_RMID, NULL));
}

/* A segment moves alone, but not as one of several mappings. */
static void moving_with_others(void)
{
	int id = make(2 * PAGE, 0600);
	char *area = (char *)0x200000000000UL;

	MUST(shmat(id, area, 0));
	MUST(mmap(area + 2 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		  0));
	printf("with others: %s",
	       err((long)mremap(area, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				area + 16 * PAGE)));
	printf(", with a hole: %s",
	       err((long)mremap(area, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				area + 16 * PAGE)));
	printf(", beyond it: %s\n",
	       err((long)mremap(area + 16 * PAGE, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				area + 32 * PAGE)));
	MUST(munmap(area, 64 * PAGE));
	MUST(shmctl(id, IPC_RMID, NULL));
}

int main(int argc, char **argv)
{
	(void)argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		return 7;
	getting();
	attaching();
	surviving();
	moving();
	others();
	informing();
	seen();
	moving_with_others();
	return 0;
}
