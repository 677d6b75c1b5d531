/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of an answer as it arrives: one JSON object, or server-sent events
 * with one object each (PROTOCOL section 3).
 */
#ifndef SEALWAY_CLIENT_STREAM_H
#define SEALWAY_CLIENT_STREAM_H

#include "client/http.h"
#include "client/open_response.h"

struct stream;

struct stream_opts {
	struct opener *opener;           /* borrowed */
	const struct sealway_request *r; /* borrowed: where objects go */
	/* Every sealed object as it came; NULL if not wanted. */
	void (*on_wire)(void *arg, struct slice json);
	void *arg;
	struct fault *f; /* borrowed: what goes wrong */
};

/* The reader of one answer. */
struct stream *stream_new(const struct stream_opts *o);

/* Takes bytes of a 200 answer; false ends the exchange.  Objects but the last
 * are handed over at once; the last one waits for stream_end. */
bool stream_take(struct stream *s, const struct http_head *head, struct slice data);

/* The HTTP answer ended cleanly: checks that it was complete and hands the last
 * object over. */
bool stream_end(struct stream *s);

/* Whether any object was handed over. */
bool stream_delivered(const struct stream *s);

/* Frees (and wipes) s; NULL is fine. */
void stream_free(struct stream *s);

#endif
