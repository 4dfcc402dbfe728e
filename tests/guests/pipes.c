/* SPDX-License-Identifier: MIT */
/* Much data through pipes and sockets, in sizes from one byte to a megabyte, between processes and threads. */
#include "guest.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

static uint32_t next(uint32_t *s)
{
	*s = *s * 1664525 + 1013904223;
	return *s >> 8;
}

static long sum(const char *p, size_t n, long s)
{
	while (n--)
		s = s * 31 + *p++;
	return s;
}

static long produce(int fd, size_t total)
{
	char *buf = malloc(1 << 20);
	uint32_t seed = 1;
	long s = 0;

	while (total) {
		size_t n = 1 + next(&seed) % (next(&seed) % 4 ? 5000 : 1 << 20), at = 0;

		if (n > total)
			n = total;
		for (size_t i = 0; i < n; i += 64)
			buf[i] = next(&seed);
		s = sum(buf, n, s);
		while (at < n) {
			ssize_t k = write(fd, buf + at, n - at);

			if (k <= 0)
				return -1;
			at += k;
		}
		total -= n;
	}
	free(buf);
	return s;
}

/* Reads to memory that is new each time. */
static long consume(int fd, size_t total)
{
	uint32_t seed = 2;
	long s = 0;

	while (total) {
		size_t n = 1 + next(&seed) % (next(&seed) % 4 ? 9000 : 1 << 20);
		char *buf = map_anon(n, MAP_PRIVATE);
		ssize_t k = read(fd, buf, n > total ? total : n);

		if (k <= 0)
			return -2;
		s = sum(buf, k, s);
		total -= k;
		munmap(buf, n);
	}
	return s;
}

static void between(int in, int out, const char *what)
{
	long *res = (long *)map_anon(PAGE, MAP_SHARED);
	size_t total = 24 << 20;
	pid_t pid = split();

	if (!pid) {
		res[0] = produce(in, total);
		_exit(0);
	}
	res[1] = consume(out, total);
	wait_for(pid);
	CHECK(res[0] == res[1] && res[1] != -2, "%s", what);
	munmap(res, PAGE);
}

struct job {
	int fd;
	long result;
};

static void *thread_produce(void *arg)
{
	struct job *j = arg;

	j->result = produce(j->fd, 8 << 20);
	return NULL;
}

int main(void)
{
	int p[2], sv[2], up[2];
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	struct job j;
	pthread_t t;
	int srv, c, n = 0;
	char b = 0;
	pid_t pid;

	MUST(pipe(p));
	between(p[1], p[0], "a pipe");
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	between(sv[0], sv[1], "a socket pair");
	srv = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(bind(srv, (struct sockaddr *)&sin, sizeof(sin)));
	MUST(listen(srv, 1));
	MUST(getsockname(srv, (struct sockaddr *)&sin, &len));
	c = MUST(socket(AF_INET, SOCK_STREAM, 0));
	MUST(connect(c, (struct sockaddr *)&sin, sizeof(sin)));
	between(c, MUST(accept(srv, NULL, NULL)), "TCP");
	j.fd = p[1];
	pthread_create(&t, NULL, thread_produce, &j);
	{
		long s = consume(p[0], 8 << 20);

		pthread_join(t, NULL);
		CHECK(s == j.result, "between threads");
	}
	MUST(pipe(up));
	pid = split();
	if (!pid) {
		while (read(p[0], &b, 1) == 1 && b != 'q')
			MUST(write(up[1], &b, 1));
		_exit(0);
	}
	for (int i = 0; i < 3000; i++) {
		b = i % 100;
		MUST(write(p[1], &b, 1));
		MUST(read(up[0], &b, 1));
		n += b == i % 100;
	}
	MUST(write(p[1], "q", 1));
	CHECK(exited(wait_for(pid), 0) && n == 3000, "3000 round trips");
	{
		struct iovec iov[3];
		char *v = map_anon(3 * PAGE, MAP_PRIVATE), *w = map_anon(3 * PAGE, MAP_PRIVATE);

		for (int i = 0; i < 3; i++) {
			iov[i].iov_base = v + i * PAGE + 100;
			iov[i].iov_len = 1000;
			memset(v + i * PAGE + 100, 'a' + i, 1000);
		}
		MUST(writev(p[1], iov, 3));
		for (int i = 0; i < 3; i++)
			iov[i].iov_base = w + i * PAGE + 3000;
		CHECK(readv(p[0], iov, 3) == 3000 && w[3000] == 'a' && w[2 * PAGE + 3999] == 'c',
		      "vectors");
	}
	/* vmsplice() gives what there is room for, write() waits until all is in. */
	{
		size_t size = 1 << 20;
		char *block = map_anon(size, MAP_PRIVATE), *back = map_anon(size, MAP_PRIVATE);
		struct iovec iov = { block, size };
		ssize_t given, got = 0, r;

		memset(block, 'v', size);
		given = vmsplice(p[1], &iov, 1, 0);
		while (got < given && (r = read(p[0], back, size)) > 0)
			got += r;
		CHECK(given > 0 && given < (ssize_t)size && got == given && back[0] == 'v',
		      "vmsplice of more than a pipe holds");
		while (vmsplice(p[1], &iov, 1, SPLICE_F_NONBLOCK) > 0)
			;
		CHECK(errno == EAGAIN, "vmsplice into a full pipe that does not wait");
		pid = split();
		if (!pid) {
			usleep(20000);
			MUST(read(p[0], back, size));
			_exit(0);
		}
		CHECK(vmsplice(p[1], &iov, 1, 0) > 0, "vmsplice into a full pipe that waits");
		wait_for(pid);
		fcntl(p[0], F_SETFL, O_NONBLOCK);
		while (read(p[0], back, size) > 0)
			;
		fcntl(p[0], F_SETFL, 0);
	}
	signal(SIGPIPE, SIG_IGN);
	close(up[0]);
	CHECK(write(up[1], "x", 1) == -1 && errno == EPIPE, "EPIPE");
	pid = split();
	if (!pid) {
		signal(SIGPIPE, SIG_DFL);
		MUST(write(up[1], "x", 1));
		_exit(0);
	}
	CHECK(killed(wait_for(pid), SIGPIPE), "SIGPIPE");
	return failures;
}
