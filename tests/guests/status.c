/* SPDX-License-Identifier: MIT */
/* status exit N: leaves with N. status kill N: dies by signal N. status orphan: leaves a child behind. */
#include "guest.h"

int main(int argc, char **argv)
{
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (argc > 1 && !strcmp(argv[1], "exit"))
		exit(n);
	if (argc > 1 && !strcmp(argv[1], "kill")) {
		signal(n, SIG_DFL);
		kill(getpid(), n);
		pause();
	}
	if (argc > 1 && !strcmp(argv[1], "segv"))
		*(volatile int *)8 = 1;
	if (argc > 1 && !strcmp(argv[1], "orphan")) {
		if (!split()) {
			sleep_ms(n);
			close(MUST(open("orphan-finished", O_WRONLY | O_CREAT, 0644)));
			_exit(0);
		}
		puts("left");
		return 4;
	}
	return 98;
}
