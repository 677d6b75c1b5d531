/* SPDX-License-Identifier: Apache-2.0
 *
 * A sink that notes what an engine says, and a loop to run it on.
 */
#ifndef SEALWAY_TESTS_NODE_SINK_H
#define SEALWAY_TESTS_NODE_SINK_H

#include <uv.h>

#include "node/engine.h"

struct sink {
	uv_loop_t uv;
	struct engine *engine;
	struct engine_run *run; /* NULL once it has ended */
	json_t *chunks;         /* array of what came */
	json_t *whole;
	json_t *beside, *last; /* what beside was called with */
	unsigned ends;
	enum err e;
	char finish[32];
	struct usage used;
	size_t pause_at;  /* pause when so many chunks are there; 0: never */
	size_t cancel_at; /* cancel inside that chunk; 0: never */
	json_t *body;
};

/* An engine on a loop of its own. */
void sink_open(struct sink *s, const char *engine);

/* Starts a request (text with single quotes), within units. */
enum err sink_start(struct sink *s, enum endpoint ep, const char *body, bool stream, uint64_t units);

/* Runs the loop until the end has come; fails the test after 5 s. */
void sink_wait(struct sink *s);

/* Runs the loop for that long. */
void sink_run_ms(struct sink *s, uint64_t ms);

/* Frees what one request left, so that another may start. */
void sink_reset(struct sink *s);

/* Closes engine and loop, and fails when a handle is left. */
void sink_close(struct sink *s);

/* The text of all chunks (text or delta.content) joined. */
const char *sink_text(struct sink *s);

#endif
