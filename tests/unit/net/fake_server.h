/* SPDX-License-Identifier: Apache-2.0
 *
 * A tiny TCP server inside the test's own loop, that says exactly the bytes the
 * test wants said, also ones that no HTTP library would.
 */
#ifndef SEALWAY_TESTS_UNIT_NET_FAKE_SERVER_H
#define SEALWAY_TESTS_UNIT_NET_FAKE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/mem.h"

struct fake_server;
struct fake_conn;

struct fake_events {
	/* A whole request (head and Content-Length body) has come; borrowed for the call. */
	void (*request)(void *arg, struct fake_conn *c, struct slice request);
	/* The peer is gone; c is invalid afterwards.  NULL if not wanted. */
	void (*gone)(void *arg, struct fake_conn *c);
	void *arg;
};

struct fake_server *fake_open(uv_loop_t *uv, const struct fake_events *ev);
uint16_t fake_port(const struct fake_server *s);
unsigned fake_accepted(const struct fake_server *s);
/* The connection that was accepted last; NULL: none is open. */
struct fake_conn *fake_newest(const struct fake_server *s);
/* Closes the listener and all connections. */
void fake_close(struct fake_server *s);

void fake_say(struct fake_conn *c, const char *text);
void fake_say_bytes(struct fake_conn *c, struct slice bytes);
/* One chunk of a chunked body. */
void fake_chunk(struct fake_conn *c, struct slice bytes);
/* What the socket holds at most; without it as much as the host allows. */
void fake_send_buffer(struct fake_conn *c, int bytes);
/* Bytes that were given to fake_say and did not fit into the socket yet. */
size_t fake_unsent(const struct fake_conn *c);
/* Reads no more. */
void fake_deafen(struct fake_conn *c);
/* Closes after what was said. */
void fake_hang_up(struct fake_conn *c);
/* Resets the connection, at once: c is invalid afterwards. */
void fake_reset(struct fake_conn *c);

/* Runs uv until *flag or ms have passed; returns *flag. */
bool fake_run(uv_loop_t *uv, const bool *flag, uint64_t ms);

/* The value of a header of a request text, or an empty slice. */
struct slice fake_header(struct slice request, const char *name);
/* What follows the head. */
struct slice fake_body(struct slice request);

#endif
