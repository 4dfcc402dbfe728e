/* SPDX-License-Identifier: MIT */
/*
 * launch.c - builds the machine and sees it through.
 *
 *   quire (this process)    maps kernel and RAM, boots the kernel, waits for the first guest
 *     +- keeper             file I/O and trace; in a process group of its own
 *     +- first guest        becomes the program; its children are guests, too
 *
 * This process is the subreaper of all guests, so no orphan escapes it. Signals from the terminal
 * reach the guests directly, which are in the same process group; those sent to this process alone
 * are passed on. When the program stops, so does this process, for the shell to see; and when a key
 * ended it, this process ends in the same way.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "cli.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE 2 /* asm/hwcap2.h */
#endif
#define PAGE 4096ul
#define ORPHAN_PATIENCE_MS 10000
#define GUESTS_KILL_PASSES 2000

extern const char quire_kernel_elf[];

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static bool forced(const struct machine *m, const char *what)
{
	return m->opt->force_fallback && strstr(m->opt->force_fallback, what);
}

/* ---- Descriptors over a socket ----------------------------------------------------------- */

static int send_fd(int sock, int fd)
{
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };

	control.h = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.h), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int sock)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&msg))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* ---- RAM --------------------------------------------------------------------------------- */

/*
 * A file on a tmpfs of our own with huge pages, which no guest sees; the open file keeps it alive.
 * Who may mount does so without a place in any tree. For the others a short-lived helper mounts it
 * in a user and a mount name space of its own.
 */
static int open_unattached_tmpfs(void)
{
	static const char *const options[][2] = {
		{ "huge", "always" },
		{ "size", "100%" },
		{ "mode", "700" },
	};
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), mnt, fd;

	if (fs < 0)
		return -1;
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[i][0], options[i][1], 0))
			goto fail;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		goto fail;
	mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	close(fs);
	if (mnt < 0)
		return -1;
	fd = openat(mnt, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	close(mnt);
	return fd;
fail:
	close(fs);
	return -1;
}

static void huge_tmpfs_helper(int sock) __attribute__((noreturn));

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* In the user name space we are still who we were: files can only be made by somebody. */
static bool enter_user_namespace(void)
{
	unsigned int uid = geteuid(), gid = getegid();
	char uid_map[32], gid_map[32];

	snprintf(uid_map, sizeof(uid_map), "%u %u 1", uid, uid);
	snprintf(gid_map, sizeof(gid_map), "%u %u 1", gid, gid);
	return !unshare(CLONE_NEWUSER | CLONE_NEWNS) &&
	       write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", uid_map) &&
	       write_file("/proc/self/gid_map", gid_map);
}

static void huge_tmpfs_helper(int sock)
{
	int fd;

	if (!enter_user_namespace())
		_exit(1);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("quire", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "huge=always,size=100%,mode=700"))
		_exit(1);
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	_exit(fd < 0 || send_fd(sock, fd) ? 1 : 0);
}

static int open_huge_tmpfs(void)
{
	int sock[2], fd = open_unattached_tmpfs(), status;
	pid_t pid;

	if (fd >= 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return fd;
	pid = fork();
	if (!pid) {
		close(sock[0]);
		huge_tmpfs_helper(sock[1]);
	}
	close(sock[1]);
	if (pid > 0) {
		fd = receive_fd(sock[0]);
		waitpid(pid, &status, 0);
	}
	close(sock[0]);
	return fd;
}

/*
 * The limit of file sizes is meant for the program, not for the machine that it runs on: RAM is a file.
 * Here a file that is too large all the same is an error like others.
 */
static struct sigaction program_xfsz, program_bus, program_segv;
static struct rlimit program_fsize;

static void lift_file_limit(void)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct rlimit most;

	sigaction(SIGXFSZ, &ignore, &program_xfsz);
	if (getrlimit(RLIMIT_FSIZE, &program_fsize))
		return;
	most = (struct rlimit){ program_fsize.rlim_max, program_fsize.rlim_max };
	setrlimit(RLIMIT_FSIZE, &most);
}

static void restore_for_program(void)
{
	sigaction(SIGXFSZ, &program_xfsz, NULL);
	if (program_bus.sa_handler == SIG_IGN)
		sigaction(SIGBUS, &program_bus, NULL);
	if (program_segv.sa_handler == SIG_IGN)
		sigaction(SIGSEGV, &program_segv, NULL);
	setrlimit(RLIMIT_FSIZE, &program_fsize);
}

static pid_t first_pid; /* for signal handlers */

/* SIGBUS: the kernel's own, on RAM that the host cannot supply, or one that was sent to be passed on. */
static void bus_error(int sig, siginfo_t *si, void *context)
{
	static const char text[] =
		"quire: the host has no memory left for the machine's RAM; less --ram may help\n";

	(void)context;
	if (si->si_code <= 0) {
		if (first_pid > 0)
			kill(first_pid, sig);
		return;
	}
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_QUIRE);
	_exit(EXIT_QUIRE);
}

static const struct kernel_entry *kernel_loaded; /* for the signal handler */

/*
 * SIGSEGV: the kernel, on memory that this process has no mapping of yet; or one that was sent to be passed
 * on; or a fault of the command's own.
 */
static void kernel_miss(int sig, siginfo_t *si, void *context)
{
	if (si->si_code <= 0 && first_pid > 0)
		kill(first_pid, sig);
	else if (si->si_code <= 0 || !kernel_loaded->fault(si, context))
		signal(sig, SIG_DFL);
}

static void catch_kernel_misses(const struct kernel_entry *entry)
{
	/* Not on a stack of its own: the kernel finds its task by the stack pointer. */
	const struct sigaction segv = { .sa_sigaction = kernel_miss, .sa_flags = SA_SIGINFO };

	kernel_loaded = entry;
	sigaction(SIGSEGV, &segv, &program_segv);
}

static int open_ram(struct machine *m)
{
	const struct sigaction bus = { .sa_sigaction = bus_error,
				       .sa_flags = SA_SIGINFO | SA_ONSTACK };
	/* The kernel's stack, on which it may come, is in RAM, too. */
	static char bus_stack[16384];
	const stack_t stack = { .ss_sp = bus_stack, .ss_size = sizeof(bus_stack) };
	int fd = forced(m, "memfd") ? -1 : open_huge_tmpfs();

	sigaltstack(&stack, NULL);
	sigaction(SIGBUS, &bus, &program_bus);
	m->ram_kind = "tmpfs with huge pages";
	m->huge_ram = fd >= 0;
	if (fd < 0) {
		m->ram_kind = "memfd";
		fd = memfd_create("quire-ram", MFD_CLOEXEC);
	}
	if (fd < 0)
		die(EXIT_QUIRE, "no memory object for the machine's RAM: %s", strerror(errno));
	if (ftruncate(fd, (off_t)m->opt->ram))
		die(EXIT_QUIRE, "--ram %llu: the host cannot make a file of that size: %s",
		    (unsigned long long)m->opt->ram, strerror(errno));
	return fd;
}

/* The machine's descriptors get numbers where programs do not look for theirs. */
static int move_fd(int fd, int to)
{
	if (fcntl(to, F_GETFD) >= 0)
		die(EXIT_QUIRE, "descriptor %d is in use already; close it first", to);
	if (dup2(fd, to) < 0)
		die(EXIT_QUIRE, "cannot move a descriptor to %d: %s", to, strerror(errno));
	close(fd);
	return to;
}

static int choose_fd_floor(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) || lim.rlim_cur > 1024)
		lim.rlim_cur = 1024;
	if (lim.rlim_cur < 16)
		die(EXIT_QUIRE, "the limit of open files (ulimit -n) is below 16");
	return (int)lim.rlim_cur - NATIVE_NR_FDS;
}

/* ---- The kernel -------------------------------------------------------------------------- */

static void must_map(uint64_t addr, size_t len, int prot, int flags, int fd, off_t off,
		     const char *what)
{
	void *p = mmap((void *)addr, len, prot, flags | MAP_FIXED_NOREPLACE, fd, off);

	if (p == MAP_FAILED)
		die(EXIT_QUIRE, "cannot map the machine's %s at %#lx: %s", what, addr,
		    strerror(errno));
}

/* Text and constants, in a file of their own. */
static void map_kernel_text(const Elf64_Phdr *ph)
{
	int fd = memfd_create("quire-kernel", MFD_CLOEXEC);

	if (fd < 0 ||
	    write(fd, quire_kernel_elf + ph->p_offset, ph->p_filesz) != (ssize_t)ph->p_filesz)
		die(EXIT_QUIRE, "no memory object for the guest kernel: %s", strerror(errno));
	must_map(ph->p_vaddr, ph->p_filesz, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0,
		 "kernel text");
	close(fd);
}

/* The first frames of RAM. Few of them are ever touched: no huge page is spent on them. */
static uint64_t map_kernel_data(const struct machine *m, const Elf64_Phdr *ph, int ram_fd)
{
	uint64_t bytes = (ph->p_memsz + PAGE - 1) & ~(PAGE - 1);

	if (bytes + (4ul << 20) > m->opt->ram)
		die(EXIT_QUIRE, "--ram is too small: the least that works is 16M");
	must_map(ph->p_vaddr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0, "kernel data");
	madvise((void *)ph->p_vaddr, bytes, MADV_NOHUGEPAGE);
	memcpy((void *)ph->p_vaddr, quire_kernel_elf + ph->p_offset, ph->p_filesz);
	return bytes;
}

static uint64_t load_kernel(struct machine *m, int ram_fd)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)quire_kernel_elf;
	const Elf64_Phdr *ph = (const Elf64_Phdr *)(quire_kernel_elf + eh->e_phoff);
	uint64_t data_bytes = 0;

	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		if (ph[i].p_flags & PF_W)
			data_bytes = map_kernel_data(m, &ph[i], ram_fd);
		else
			map_kernel_text(&ph[i]);
	}
	must_map(DIRECT_MAP_BASE, m->opt->ram, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		 ram_fd, 0, "RAM");
	madvise((void *)DIRECT_MAP_BASE, m->opt->ram, MADV_DONTDUMP);
	m->entry = (const struct kernel_entry *)eh->e_entry;
	if (m->entry->magic != KERNEL_ENTRY_MAGIC)
		die(EXIT_QUIRE, "the embedded kernel is damaged");
	catch_kernel_misses(m->entry);
	m->shared = m->entry->shared;
	return data_bytes;
}

static void find_vdso(struct machine_params *p)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	p->vdso_image = getauxval(AT_SYSINFO_EHDR);
	while (maps && fgets(line, sizeof(line), maps)) {
		uint64_t start, end;

		if (!strstr(line, "[vvar") && !strstr(line, "[vdso]"))
			continue;
		if (sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		if (!p->vdso_start || start < p->vdso_start)
			p->vdso_start = start;
		if (end > p->vdso_end)
			p->vdso_end = end;
	}
	if (maps)
		fclose(maps);
	if (!p->vdso_image || p->vdso_image < p->vdso_start || p->vdso_image >= p->vdso_end)
		p->vdso_image = 0;
}

static int aslr_level(void)
{
	FILE *f = fopen("/proc/sys/kernel/randomize_va_space", "r");
	int level = 2;

	if (f) {
		if (fscanf(f, "%d", &level) != 1)
			level = 2;
		fclose(f);
	}
	return level;
}

/* Whether system calls from outside the kernel's text can be caught by the host. */
static bool have_user_dispatch(void)
{
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1 /* on */, 0, ~0ul >> 1, 0))
		return false;
	return !prctl(PR_SET_SYSCALL_USER_DISPATCH, 0 /* off */, 0, 0, 0);
}

static int open_dump(const struct options *o)
{
	int fd = -1;

	if (o->dump_tables && !o->dump_file)
		fd = dup(STDERR_FILENO);
	if (o->dump_file) {
		fd = open(o->dump_file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0666);
		if (fd < 0)
			die(EXIT_QUIRE, "--dump-page-tables=%s: %s", o->dump_file, strerror(errno));
	}
	return fd;
}

/* Numbers of the machine that it has no use for: a guest's open() must not find them free. */
static void take_spare_fds(int floor, int log_fd)
{
	for (int fd = floor; fd < floor + NATIVE_NR_FDS; fd++)
		if (fcntl(fd, F_GETFD) < 0 && dup2(log_fd, fd) < 0)
			die(EXIT_QUIRE, "no descriptor %d: %s", fd, strerror(errno));
}

static void build(struct machine *m, int keeper_fd)
{
	int floor = choose_fd_floor(), log_fd = dup(STDERR_FILENO), dump_fd = open_dump(m->opt);
	int ram_fd = move_fd(open_ram(m), floor);
	uint64_t data = load_kernel(m, ram_fd);
	struct machine_params *p = &m->shared->params;
	long err;

	p->ram_bytes = m->opt->ram;
	p->kernel_data_bytes = data;
	p->nr_cpus = m->opt->cpus;
	p->nr_nodes = m->opt->nodes;
	p->ram_fd = ram_fd;
	p->huge_ram = m->huge_ram;
	p->keeper_fd = move_fd(keeper_fd, floor + 1);
	if (log_fd < 0)
		log_fd = open("/dev/null", O_WRONLY);
	p->log_fd = move_fd(log_fd, floor + 2);
	p->dump_fd = dump_fd < 0 ? -1 : move_fd(dump_fd, floor + 3);
	swap_open(m);
	for (unsigned int i = 0; i < p->nr_swaps && i < NATIVE_SWAP_FDS; i++)
		m->swap_fd[i] = move_fd(m->swap_fd[i], floor + NATIVE_SWAP_FD((int)i));
	take_spare_fds(floor, p->log_fd);
	p->fd_floor = floor;
	p->fail_slab = m->opt->fail_slab;
	if (m->opt->kernel_args)
		strcpy(p->kernel_args, m->opt->kernel_args);
	p->fail_page = m->opt->fail_page;
	p->fail_block = m->opt->fail_block;
	p->fill_4k = m->opt->fill_4k;
	p->trace = m->opt->trace || m->opt->references;
	p->verbose = m->opt->verbose;
	p->randomize = aslr_level();
	p->thp_disable = (uint8_t)prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	p->use_seccomp = forced(m, "seccomp") || !have_user_dispatch();
	m->dispatch_kind = p->use_seccomp ? "seccomp" : "syscall user dispatch";
	find_vdso(p);
	p->hwcap = getauxval(AT_HWCAP);
	p->hwcap2 = getauxval(AT_HWCAP2);
	/* 4K at a time is for looking at memory: no pages but the program's own. */
	p->patch_calls = (p->hwcap2 & HWCAP2_FSGSBASE) && !forced(m, "nopatch") && !p->fill_4k;
	p->minsigstksz = getauxval(AT_MINSIGSTKSZ);
	p->clktck = (uint64_t)sysconf(_SC_CLK_TCK);
	p->command_pid = getpid();
	err = m->entry->boot(NULL);
	if (err)
		die(EXIT_QUIRE, "the machine does not boot with --ram %llu: %s; try more",
		    (unsigned long long)m->opt->ram, strerror((int)-err));
}

/* ---- The first guest --------------------------------------------------------------------- */

/* Fall-back for hosts without user dispatch: trap every call from outside the kernel's text. */
static int install_seccomp(const struct kernel_entry *entry)
{
	uint32_t hi = (uint32_t)(entry->text_start >> 32);
	uint32_t lo = (uint32_t)entry->text_start, end = (uint32_t)entry->text_end;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, instruction_pointer) + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, hi, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, instruction_pointer)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, lo, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, end, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

/* The file that execvp() would find; NULL and errno if none. */
static const char *find_program(const char *name)
{
	static char path[4096];
	const char *dirs = getenv("PATH");
	int err = ENOENT;

	if (strchr(name, '/'))
		return name;
	if (!dirs)
		dirs = "/bin:/usr/bin";
	while (*dirs || err == ENOENT) {
		size_t len = strcspn(dirs, ":");
		struct stat st;

		snprintf(path, sizeof(path), "%.*s%s%s", (int)len, dirs, len ? "/" : "", name);
		if (!stat(path, &st) && S_ISREG(st.st_mode)) {
			if (!access(path, X_OK))
				return path;
			err = EACCES;
		}
		dirs += len;
		if (!*dirs++)
			break;
	}
	errno = err;
	return NULL;
}

/* What the C library told the host about its memory, which is about to go. */
static void forget_libc(void)
{
	if (__rseq_size) {
		char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

		/* 32 bytes is what glibc registers whatever it says of the size it uses. */
		syscall(SYS_rseq, area, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
	}
	syscall(SYS_set_robust_list, NULL, 24);
	syscall(SYS_set_tid_address, NULL);
}

static void first_guest(struct machine *m, const char *path, const sigset_t *mask)
	__attribute__((noreturn));

static void first_guest(struct machine *m, const char *path, const sigset_t *mask)
{
	extern char **environ;

	restore_for_program();
	forget_libc();
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (m->shared->params.use_seccomp && install_seccomp(m->entry)) {
		complain("neither user dispatch nor seccomp: %s", strerror(errno));
		_exit(EXIT_QUIRE);
	}
	m->entry->first_guest(path, m->opt->program, environ);
}

/* ---- Waiting ----------------------------------------------------------------------------- */

/* However it stands with the machine: until no host thread of a guest is left. */
void guests_kill(const struct kernel_shared *shared)
{
	const struct timespec nap = { 0, 1000000 };

	/* Twice, as a child may have come into a slot that was looked at before its parent died. */
	for (int pass = 0, clean = 0; clean < 2 && pass < GUESTS_KILL_PASSES; pass++) {
		bool any = false;

		for (uint32_t i = 0; i < shared->nr_slots; i++) {
			uint32_t word = __atomic_load_n(&shared->thread[i].word, __ATOMIC_SEQ_CST);
			uint32_t info = __atomic_load_n(&shared->thread[i].info, __ATOMIC_SEQ_CST);

			if (word && word < THREAD_NONE && (info & SLOT_FLAGS) != SLOT_ADOPTED)
				any |= !kill((pid_t)word, SIGKILL);
		}
		clean = any ? 0 : clean + 1;
		nanosleep(&nap, NULL);
	}
}

/* As the program did. Continued, sees to it that the program is, too. */
static void stop_as(struct machine *m, int sig)
{
	const struct timespec nap = { 0, 10000000 };
	sigset_t one;
	siginfo_t changed = { 0 };

	sigemptyset(&one);
	sigaddset(&one, sig);
	kill(getpid(), sig);
	if (sig != SIGSTOP) {
		sigprocmask(SIG_UNBLOCK, &one, NULL);
		sigprocmask(SIG_BLOCK, &one, NULL);
	}
	/* A shell continues the whole process group. */
	nanosleep(&nap, NULL);
	/* Its end is not for here: reap() wants to see it. */
	if (!waitid(P_PID, (id_t)m->first, &changed, WCONTINUED | WNOHANG) && !changed.si_pid)
		kill(m->first, SIGCONT);
}

/* A child changed state. True once the first guest has ended. */
static bool reap(struct machine *m)
{
	bool ended = false;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0) {
		if (WIFSTOPPED(status)) {
			if (pid == m->first)
				stop_as(m, WSTOPSIG(status));
			continue;
		}
		if (pid == m->keeper) {
			m->keeper = 0;
			if (!m->shared->keeper_stop) {
				guests_kill(m->shared);
				if (m->shared->panicked) /* who stopped it has said why */
					exit(EXIT_QUIRE);
				die(EXIT_QUIRE, "the machine stopped: its keeper was killed");
			}
		}
		if (pid == m->first) {
			m->status = status;
			ended = true;
		}
	}
	return ended;
}

/* Sent to this process by somebody, and not by the terminal to all of its group. */
static bool is_for_us_alone(const struct machine *m, const siginfo_t *si)
{
	if (si->si_signo == SIGCHLD || si->si_signo == SIGCONT)
		return false;
	/* That the terminal is gone is told to the leader of the session only. */
	if (si->si_code > 0)
		return si->si_signo == SIGHUP && getsid(0) == getpid();
	return si->si_pid != m->first;
}

static void wait_first(struct machine *m, const sigset_t *all)
{
	siginfo_t si;

	while (!reap(m)) {
		if (sigwaitinfo(all, &si) < 0)
			continue;
		if (is_for_us_alone(m, &si))
			kill(m->first, si.si_signo);
		else if (si.si_code > 0 && (si.si_signo == SIGINT || si.si_signo == SIGQUIT))
			m->key_signal = si.si_signo;
	}
}

/* Guests that the program left behind: wait for them, or end them. */
static void wait_rest(struct machine *m)
{
	uint64_t deadline = clock_ns() + ORPHAN_PATIENCE_MS * 1000000ull;

	while (m->entry->reap(NULL)) {
		struct timespec nap = { 0, 1000000 };

		if (!m->opt->wait) {
			m->entry->kill_guests(NULL);
			if (clock_ns() > deadline) {
				complain("%u guests do not end", m->shared->nr_tasks);
				break;
			}
		}
		nanosleep(&nap, NULL);
		reap(m);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* Whether it did all its work: false when a trace or samples could not be written, as it has said. */
static bool stop_keeper(struct machine *m)
{
	bool good = true;
	int status;

	__atomic_store_n(&m->shared->keeper_stop, 1, __ATOMIC_SEQ_CST);
	if (m->keeper > 0) {
		kill(m->keeper, SIGTERM);
		waitpid(m->keeper, &status, 0);
		good = !WIFEXITED(status) || !WEXITSTATUS(status);
	}
	m->keeper = 0;
	return good;
}

static int exit_status(struct machine *m, const char *path)
{
	int err = m->shared->first_exec_error;

	if (err) {
		complain("cannot run '%s': %s", path, strerror(err));
		return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
	}
	return WIFSIGNALED(m->status) ? 128 + WTERMSIG(m->status) : WEXITSTATUS(m->status);
}

int machine_run(struct machine *m)
{
	const char *path = find_program(m->opt->program[0]);
	int sock[2], status;
	sigset_t all, old;
	bool recorded;

	if (!path) {
		complain("cannot run '%s': %s", m->opt->program[0], strerror(errno));
		return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		die(EXIT_QUIRE, "no socket: %s", strerror(errno));
	if (m->opt->samples)
		m->samples = samples_open(m->opt->samples);
	lift_file_limit();
	build(m, sock[1]);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	sigprocmask(SIG_BLOCK, &all, &old);
	m->start_ns = clock_ns();
	m->start_tsc = __rdtsc();
	m->keeper = fork();
	if (m->keeper < 0)
		die(EXIT_QUIRE, "cannot start the keeper process: %s", strerror(errno));
	if (!m->keeper)
		keeper_main(m, sock[0]);
	m->shared->params.keeper_pid = m->keeper;
	close(sock[0]);
	swap_close(m);
	swap_start(m);
	m->first = fork();
	if (m->first < 0)
		die(EXIT_QUIRE, "cannot start a process: %s", strerror(errno));
	first_pid = m->first;
	if (!m->first)
		first_guest(m, path, &old);
	wait_first(m, &all);
	wait_rest(m);
	m->end_ns = clock_ns();
	m->end_tsc = __rdtsc();
	m->entry->snapshot(&m->at_end);
	m->leaked = m->entry->shutdown(&m->leak);
	recorded = stop_keeper(m);
	status = exit_status(m, path);
	if (!status && !recorded)
		status = EXIT_QUIRE;
	sigprocmask(SIG_SETMASK, &old, NULL);
	return status;
}
