/* SPDX-License-Identifier: Apache-2.0
 *
 * A server and its raw clients in one thread: the client's sockets do not
 * block, and waiting for anything turns the server's loop.  Every path has a
 * behaviour of its own; see rig.c.
 */
#ifndef SEALWAY_TESTS_UNIT_HTTPD_RIG_H
#define SEALWAY_TESTS_UNIT_HTTPD_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "common/httpd/httpd.h"

struct rig {
	uv_loop_t loop;
	struct httpd *h;
	int room;            /* in the receive buffers of clients, 0: as much as ever */
	struct httpd_opts o; /* set before rig_open; zero members get test defaults */
	unsigned seen;       /* requests shown to the handler */
	unsigned gone;       /* gone callbacks */
	size_t taken;        /* bytes reported taken */
	unsigned takes;      /* taken callbacks */
	struct hreq *held;   /* last request of /hold or /stream still open */
	bool begun;          /* a test has begun to answer it */
	char body[65536];    /* of the last request that had one, if it fits */
	char path[256];
	bool drained; /* after rig_drain */
};

/* Opens on 127.0.0.1:0; fails the test when that fails. */
void rig_open(struct rig *g);

/* Closes the server, turns the loop until nothing is left of it, and fails the
 * test when a handle stays open. */
void rig_close(struct rig *g);

/* Turns the loop for that long. */
void rig_turn(struct rig *g, unsigned ms);

/* Turns the loop until *what is at least n; false after ms. */
bool rig_until(struct rig *g, const unsigned *what, unsigned n, unsigned ms);

/* Turns the loop until no connection is left; fails the test after ms. */
void rig_nobody_left(struct rig *g, unsigned ms);

/* Begins a drain, whose end may be told once. */
void rig_drain(struct rig *g);

/* Turns the loop until it has ended; false after ms. */
bool rig_drained(struct rig *g, unsigned ms);

/* A connected client socket that does not block. */
int rig_connect(struct rig *g);

/* rig_open, and the socket of its first client. */
int rig_open_client(struct rig *g);

/* Makes the server's ends of all connections take little at once, so that its
 * writes get stuck when the client does not read. */
void rig_narrow(struct rig *g);

/* Sends all n bytes, turning the loop while the socket is full. */
void rig_send(struct rig *g, int fd, const void *p, size_t n);
void rig_say(struct rig *g, int fd, const char *text);

/* Reads until the text was seen (it is then in *in), the peer closed, or ms
 * went by; true for the first. */
bool rig_expect(struct rig *g, int fd, struct buf *in, const char *text, unsigned ms);

/* Reads on until the peer closes; false after ms. */
bool rig_closed(struct rig *g, int fd, struct buf *in, unsigned ms);

/* How many times the text stands in b. */
unsigned rig_count(const struct buf *b, const char *text);

/* Runs a shell command while the loop turns; its output goes to *out, its exit
 * status is returned (-1: killed after ms). */
int rig_run(struct rig *g, const char *command, struct buf *out, unsigned ms);

#endif
