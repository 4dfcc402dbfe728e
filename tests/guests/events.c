/* SPDX-License-Identifier: MIT */
/* epoll, eventfd, timerfd, signalfd, poll, and descriptors passed over a socket. */
#include "guest.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static int efd;

static void *poster(void *arg)
{
	uint64_t one = 1;

	(void)arg;
	for (int i = 0; i < 1000; i++)
		MUST(write(efd, &one, 8));
	return NULL;
}

static void send_fd(int sock, int fd)
{
	char c = 'f', ctl[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &c, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl)
	};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	MUST(sendmsg(sock, &m, 0));
}

static int recv_fd(int sock)
{
	char c, *ctl = map_anon(PAGE, MAP_PRIVATE);
	struct iovec iov = { &c, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = PAGE
	};
	int fd = -1;

	MUST(recvmsg(sock, &m, 0));
	if (m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

int main(void)
{
	int ep = MUST(epoll_create1(0)), tfd = MUST(timerfd_create(CLOCK_MONOTONIC, 0)), sfd, sv[2],
	    fd;
	struct epoll_event ev[4], *out = (struct epoll_event *)map_anon(PAGE, MAP_PRIVATE);
	struct itimerspec its = { { 0, 2000000 }, { 0, 2000000 } };
	uint64_t total = 0, v;
	char name[] = "scmXXXXXX";
	struct signalfd_siginfo ssi;
	struct pollfd pf[2];
	sigset_t set;
	pthread_t t;
	char *map;
	pid_t pid;

	efd = MUST(eventfd(0, 0));
	ev[0] = (struct epoll_event){ .events = EPOLLIN, .data.fd = efd };
	ev[1] = (struct epoll_event){ .events = EPOLLIN, .data.fd = tfd };
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, efd, &ev[0]));
	MUST(epoll_ctl(ep, EPOLL_CTL_ADD, tfd, &ev[1]));
	pthread_create(&t, NULL, poster, NULL);
	MUST(timerfd_settime(tfd, 0, &its, NULL));
	int ticks = 0;
	while (total < 1000 || ticks < 5) {
		int n = MUST(epoll_wait(ep, out, 4, 5000));

		for (int i = 0; i < n; i++) {
			MUST(read(out[i].data.fd, &v, 8));
			if (out[i].data.fd == efd)
				total += v;
			else
				ticks += v;
		}
	}
	pthread_join(t, NULL);
	CHECK(total == 1000, "epoll over eventfd and timerfd");
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sfd = MUST(signalfd(-1, &set, 0));
	pid = split();
	if (!pid) {
		sigqueue(getppid(), SIGUSR1, (union sigval){ .sival_int = 77 });
		_exit(0);
	}
	CHECK(read(sfd, &ssi, sizeof(ssi)) == sizeof(ssi) && ssi.ssi_signo == SIGUSR1 &&
		      ssi.ssi_int == 77 && ssi.ssi_pid == (uint32_t)pid,
	      "signalfd");
	wait_for(pid);
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pf[0] = (struct pollfd){ sv[0], POLLIN, 0 };
	pf[1] = (struct pollfd){ sv[1], POLLOUT, 0 };
	CHECK(poll(pf, 2, 0) == 1 && pf[1].revents == POLLOUT && !pf[0].revents, "poll");
	pid = split();
	if (!pid) {
		int mine = MUST(mkstemp(name));

		MUST(ftruncate(mine, PAGE));
		map = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, mine, 0));
		strcpy(map, "from the child");
		unlink(name);
		send_fd(sv[1], mine);
		recv_fd(sv[1]);
		_exit(strcmp(map + 100, "from the parent") ? 1 : 3);
	}
	fd = recv_fd(sv[0]);
	map = MUST(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	CHECK(!strcmp(map, "from the child"), "a descriptor received and mapped");
	strcpy(map + 100, "from the parent");
	send_fd(sv[0], fd);
	CHECK(exited(wait_for(pid), 3), "and seen by its sender");
	/* memfd, with seals. */
	fd = MUST(memfd_create("sealed", MFD_ALLOW_SEALING));
	MUST(ftruncate(fd, PAGE));
	MUST(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE));
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED &&
		      errno == EPERM,
	      "a sealed memfd cannot be mapped writable");
	return failures;
}
