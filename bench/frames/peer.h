/* SPDX-License-Identifier: MIT */
/* peer.h - an allocator of frames as the benchmark sees it. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>

/* Frames are numbers from 0 on; -1: there is none. movable: may go where it likes. */
struct frame_peer {
	const char *name;
	bool (*up)(size_t frames);
	void (*down)(void);
	long (*get)(unsigned int order, bool movable);
	void (*put)(long frame, unsigned int order, bool movable);
	/* Single frames, all at once; NULL: there is no such call. */
	void (*put_many)(const long *frames, size_t nr);
	size_t (*own_bytes)(void); /* of its tables, for so many frames */
};

/* What a shared object of a peer defines. */
extern const struct frame_peer frame_peer;

#endif
