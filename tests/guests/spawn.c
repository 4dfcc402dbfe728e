/* SPDX-License-Identifier: MIT */
/* vfork, posix_spawn, clone3, system, popen; statuses of all kinds; failing exec. */
#include "guest.h"

#include <linux/sched.h>
#include <spawn.h>

extern char **environ;

static int spawn(const char *path, char *const argv[])
{
	pid_t pid;
	int r = posix_spawn(&pid, path, NULL, NULL, argv, environ);

	return r ? -r : wait_for(pid);
}

int main(void)
{
	char *t[] = { "true", NULL }, *sh[] = { "sh", "-c", "exit 9", NULL };
	char name[] = "spawnXXXXXX", buf[64];
	struct clone_args ca = { .flags = 0, .exit_signal = SIGCHLD };
	volatile int shared = 0;
	int bad = 0, fd, pidfd = -1;
	pid_t pid;
	FILE *f;

	CHECK(spawn("/bin/true", t) == 0, "posix_spawn");
	CHECK(spawn("/nonexistent", t) == -ENOENT, "of nothing");
	CHECK(spawn("/etc/passwd", t) == -EACCES, "of what is no program");
	CHECK(exited(spawn("/bin/sh", sh), 9), "its status");
	pid = vfork();
	if (!pid) {
		shared = 5;
		_exit(3);
	}
	CHECK(shared == 5 && exited(wait_for(pid), 3), "vfork shares memory");
	pid = vfork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", "exit 12", (char *)NULL);
		_exit(98);
	}
	CHECK(exited(wait_for(pid), 12), "vfork and exec");
	pid = vfork();
	if (!pid) {
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	CHECK(killed(wait_for(pid), SIGKILL), "vfork, killed");
	fflush(stdout);
	pid = syscall(SYS_clone3, &ca, sizeof(ca));
	if (!pid)
		_exit(21);
	CHECK(exited(wait_for(pid), 21), "clone3");
	ca.flags = CLONE_PIDFD;
	ca.pidfd = (uintptr_t)&pidfd;
	pid = syscall(SYS_clone3, &ca, sizeof(ca));
	if (!pid)
		_exit(22);
	{
		siginfo_t si = { 0 };

		CHECK(pidfd >= 0 && waitid(P_PIDFD, pidfd, &si, WEXITED) == 0 && si.si_status == 22,
		      "clone3 with a pidfd");
	}
	for (int i = 0; i < 256; i += 5) {
		pid = split();
		if (!pid)
			_exit(i);
		bad += !exited(wait_for(pid), i);
	}
	CHECK(!bad, "exit statuses");
	for (int s = 1; s < 32; s++) {
		if (s == SIGCHLD || s == SIGCONT || s == SIGURG || s == SIGWINCH || s == SIGSTOP ||
		    s == SIGTSTP || s == SIGTTIN || s == SIGTTOU)
			continue;
		pid = split();
		if (!pid) {
			signal(s, SIG_DFL);
			kill(getpid(), s);
			pause();
			_exit(1);
		}
		if (!killed(wait_for(pid), s)) {
			printf("signal %d did not kill\n", s);
			bad++;
		}
	}
	CHECK(!bad, "death by each signal");
	{
		uint64_t ids[1] = { 1 };

		ca = (struct clone_args){ .flags = CLONE_PIDFD,
					  .pidfd = 8,
					  .exit_signal = SIGCHLD };
		CHECK(syscall(SYS_clone3, &ca, sizeof(ca)) == -1 && errno == EFAULT,
		      "clone3 with a pidfd that cannot be stored");
		ca = (struct clone_args){ .set_tid = (uintptr_t)ids, .exit_signal = SIGCHLD };
		CHECK(syscall(SYS_clone3, &ca, sizeof(ca)) == -1 && errno == EINVAL,
		      "clone3 with ids, but without their number");
	}
	CHECK(exited(system("exit 7"), 7), "system");
	CHECK(system("kill -9 $$") == SIGKILL, "system, killed");
	f = popen("echo through a pipe", "r");
	CHECK(f && fgets(buf, sizeof(buf), f) && !strcmp(buf, "through a pipe\n") && pclose(f) == 0,
	      "popen");
	/* Scripts and failures. */
	fd = MUST(mkstemp(name));
	dprintf(fd, "#!/bin/sh -e\necho script $0 $* >/dev/null\nexit 33\n");
	fchmod(fd, 0755);
	close(fd);
	snprintf(buf, sizeof(buf), "./%s", name);
	CHECK(exited(spawn(buf, t), 33), "a script");
	fd = MUST(open(name, O_WRONLY | O_TRUNC));
	dprintf(fd, "#!/nonexistent/interpreter\n");
	close(fd);
	CHECK(spawn(buf, t) == -ENOENT, "without its interpreter");
	fd = MUST(open(name, O_WRONLY | O_TRUNC));
	dprintf(fd, "no program");
	close(fd);
	CHECK(spawn(buf, t) == -ENOEXEC, "of an unknown format");
	fd = MUST(open(name, O_WRONLY | O_TRUNC));
	dprintf(fd, "\177ELF and then nothing");
	close(fd);
	CHECK(spawn(buf, t) == -ENOEXEC, "a broken ELF file");
	CHECK(spawn("/", t) == -EACCES, "a directory");
	CHECK(spawn("/bin/true/x", t) == -ENOTDIR, "a path through a file");
	unlink(name);
	/* The failed exec left everything as it was. */
	CHECK(shared == 5 && access("/bin/true", X_OK) == 0, "the caller lives on");
	pid = split();
	if (!pid) {
		char *big = malloc(200 << 10);

		memset(big, 'x', (200 << 10) - 1);
		big[(200 << 10) - 1] = 0;
		execl("/bin/true", "true", big, (char *)NULL);
		_exit(errno == E2BIG ? 50 : 51);
	}
	CHECK(exited(wait_for(pid), 50), "an argument too long");
	pid = split();
	if (!pid) {
		static char *argv[3002];
		char word[] = "an argument of some thirty bytes";

		argv[0] = "sh";
		argv[1] = "-c";
		argv[2] = "exit $(($# % 256))";
		for (int i = 3; i < 3001; i++)
			argv[i] = word;
		execv("/bin/sh", argv);
		_exit(98);
	}
	CHECK(exited(wait_for(pid), (3001 - 4) % 256), "three thousand arguments");
	return failures;
}
