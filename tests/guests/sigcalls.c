/* SPDX-License-Identifier: MIT */
/*
 * Blocking calls and signals: each with a handler, with SA_RESTART, and with a signal that no handler takes;
 * what is left of a timeout.
 */
#include "guest.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static int p[2], ep, sem, msg, listener, sv[2], tfd, efd, sfd, lockfd;
static uint32_t word;
static volatile int count;
static struct timespec left;

static void on_sig(int sig)
{
	(void)sig;
	count++;
}

/* Those with a timeout take a second; a signal comes after half of it. */
static long do_call(int i)
{
	struct timespec ts = { 1, 0 };
	struct timeval tv = { 1, 0 };
	struct pollfd pf = { p[0], POLLIN, 0 };
	struct epoll_event ev;
	struct sembuf sop = { 0, -1, 0 };
	struct {
		long type;
		char text[8];
	} m;
	struct timespec at;
	struct sockaddr_un un;
	socklen_t len = sizeof(un);
	sigset_t set;
	fd_set fds;
	long r;
	char c[128];

	sigemptyset(&set);
	left = (struct timespec){ 9, 9 };
	FD_ZERO(&fds);
	FD_SET(p[0], &fds);
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec++;
	switch (i) {
	case 0:
		return read(p[0], c, 1);
	case 1:
		return poll(&pf, 1, 1000);
	case 2:
		return ppoll(&pf, 1, &ts, NULL);
	case 3:
		r = select(p[0] + 1, &fds, NULL, NULL, &tv);
		left = (struct timespec){ tv.tv_sec, tv.tv_usec * 1000 };
		return r;
	case 4:
		return pselect(p[0] + 1, &fds, NULL, NULL, &ts, NULL);
	case 5:
		return epoll_wait(ep, &ev, 1, 1000);
	case 6:
		return epoll_pwait(ep, &ev, 1, 1000, &set);
	case 7:
		return syscall(SYS_nanosleep, &ts, &left);
	case 8:
		return -(errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &left));
	case 9:
		return -(errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, &left));
	case 10:
		return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &ts, NULL, 0);
	case 11:
		return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &at,
			       NULL, 1);
	case 12:
		return semtimedop(sem, &sop, 1, &ts);
	case 13:
		return msgrcv(msg, &m, 8, 0, 0);
	case 14:
		return accept(listener, (struct sockaddr *)&un, &len);
	case 15:
		return recv(sv[0], c, 1, 0);
	case 16:
		return sigsuspend(&set);
	case 17:
		sigaddset(&set, SIGUSR2);
		return sigtimedwait(&set, NULL, &ts);
	case 18:
		return pause();
	case 19:
		return read(tfd, c, 8);
	case 20:
		return read(efd, c, 8);
	case 21:
		return read(sfd, c, 128);
	case 22:
		return flock(lockfd, LOCK_EX);
	case 23:
		return waitpid(-1, NULL, 0) > 0;
	case 24:
		return syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0);
	default:
		return semop(sem, &sop, 1);
	}
}

#define NR_CALLS 26
static const char *const name[NR_CALLS] = {
	"read",		  "poll",      "ppoll",		  "select",   "pselect",    "epoll",
	"epoll_pwait",	  "nanosleep", "clock_nanosleep", "until",    "futex",	    "futex until",
	"semtimedop",	  "msgrcv",    "accept",	  "recv",     "sigsuspend", "sigtimedwait",
	"pause",	  "timerfd",   "eventfd",	  "signalfd", "flock",	    "waitpid",
	"futex for ever", "semop"
};

/* Half a second more than its time would be: for all of its time once more. */
static const char *how_long(double d)
{
	return d < 0.45 ? "early" : d < 1.45 ? "in time" : "late";
}

static const char *rest(void)
{
	return left.tv_sec == 9 ? "-" : !left.tv_sec && left.tv_nsec ? "some" : "none";
}

static void until(double t)
{
	if (t > now())
		sleep_ms((t - now()) * 1000);
}

static void one(int i, int sig, int flags, double start)
{
	struct itimerspec its = { { 0, 0 }, { 1, 0 } };
	struct sigaction sa = { .sa_handler = on_sig, .sa_flags = flags };
	double begin;
	long r;

	if (sig == SIGUSR1)
		sigaction(SIGUSR1, &sa, NULL);
	if (!strcmp(name[i], "waitpid") && !fork()) {
		until(start + 1.1);
		_exit(0);
	}
	until(start);
	MUST(timerfd_settime(tfd, 0, &its, NULL));
	errno = 0;
	begin = now();
	r = do_call(i);
	printf("%s, signal %d%s: %ld, errno %d, %s, left %s, handlers %d\n", name[i], sig,
	       flags ? " restart" : "", r, r < 0 ? errno : 0, how_long(now() - begin), rest(),
	       count);
	fflush(stdout);
	_exit(0);
}

static void setup(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char path[] = "lockXXXXXX";
	sigset_t set;

	MUST(pipe(p));
	ep = MUST(epoll_create1(0));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &(struct epoll_event){ .events = EPOLLIN }));
	listener = MUST(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST(bind(listener, (struct sockaddr *)&un, sizeof(sa_family_t)));
	MUST(listen(listener, 1));
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	tfd = MUST(timerfd_create(CLOCK_MONOTONIC, 0));
	efd = MUST(eventfd(0, 0));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sfd = MUST(signalfd(-1, &set, 0));
	lockfd = MUST(mkstemp(path));
	MUST(flock(lockfd, LOCK_EX));
	lockfd = MUST(open(path, O_RDWR));
	unlink(path);
	signal(SIGALRM, SIG_DFL);
}

static const struct {
	int sig, flags;
} how[] = { { SIGUSR1, 0 }, { SIGUSR1, SA_RESTART }, { SIGSTOP, 0 }, { SIGWINCH, 0 } };

#define NR_HOW 4

static pid_t pid[NR_HOW][NR_CALLS];
static int out[NR_HOW][NR_CALLS];

static void send_all(void)
{
	for (int k = 0; k < NR_HOW; k++)
		for (int i = 0; i < NR_CALLS; i++)
			kill(pid[k][i], how[k].sig);
}

/* Each with an output of its own, all at the same time. */
int main(void)
{
	double start = now() + 0.5;

	sem = MUST(semget(IPC_PRIVATE, 1, 0600));
	msg = MUST(msgget(IPC_PRIVATE, 0600));
	for (int k = 0; k < NR_HOW; k++) {
		for (int i = 0; i < NR_CALLS; i++) {
			int fd[2];

			MUST(pipe(fd));
			pid[k][i] = split();
			if (pid[k][i]) {
				close(fd[1]);
				out[k][i] = fd[0];
				continue;
			}
			MUST(dup2(fd[1], 1));
			close(fd[1]);
			setup();
			one(i, how[k].sig, how[k].flags, start);
		}
	}
	until(start + 0.5);
	send_all();
	sleep_ms(100);
	for (int i = 0; i < NR_CALLS; i++)
		kill(pid[2][i], SIGCONT);
	until(start + 1.6);
	for (int k = 0; k < NR_HOW; k++)
		for (int i = 0; i < NR_CALLS; i++)
			kill(pid[k][i], SIGALRM);
	for (int k = 0; k < NR_HOW; k++) {
		for (int i = 0; i < NR_CALLS; i++) {
			char text[200] = "";
			int st = wait_for(pid[k][i]);

			if (read(out[k][i], text, sizeof(text) - 1) > 0)
				printf("%s", text);
			else
				printf("%s, signal %d%s: killed by %d\n", name[i], how[k].sig,
				       how[k].flags ? " restart" : "", WTERMSIG(st));
		}
	}
	semctl(sem, 0, IPC_RMID);
	msgctl(msg, IPC_RMID, NULL);
	return 0;
}
