/* SPDX-License-Identifier: Apache-2.0
 *
 * An inference server that says what a test wrote down: it takes one request per
 * connection and sends pieces, one per loop turn and TCP segment.
 */
#ifndef SEALWAY_TESTS_NODE_SCRIPT_H
#define SEALWAY_TESTS_NODE_SCRIPT_H

#include <uv.h>

#include "common/mem.h"

struct script {
	uv_tcp_t listener;
	uv_tcp_t conn;
	uv_timer_t timer;
	const char *const *pieces; /* ends with NULL */
	size_t next;
	bool hold;        /* keep the connection open at the end */
	bool open, gone;  /* a connection is there; the client closed it */
	bool waiting;     /* one more is there */
	struct buf asked; /* what came in */
	char url[64];
};

/* Listens on a free port of loopback. */
void script_open(struct script *s, uv_loop_t *uv);

/* What the next request is answered with. */
void script_set(struct script *s, const char *const *pieces);

/* The body of the last request. */
struct slice script_body(const struct script *s);

/* Closes all. */
void script_close(struct script *s);

#endif
