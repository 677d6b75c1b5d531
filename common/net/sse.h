/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events by the line rules of the HTML standard: CR, LF or CRLF in
 * any split across packets, comments, a leading BOM, multi-line data joined
 * with LF, fields without a colon.  Events without data are not delivered.  Beyond the
 * standard, `error: DATA` is an event of type error with that data.
 */
#ifndef SEALWAY_COMMON_NET_SSE_H
#define SEALWAY_COMMON_NET_SSE_H

#include "common/err.h"
#include "common/mem.h"

struct sse;

/* An event: its type ("message" when it named none) and data, borrowed for the
 * call.  Returning anything but ERR_OK stops the feed with that error. */
typedef enum err (*sse_event_fn)(void *arg, struct slice type, struct slice data);

/* max_event: bytes of one event's data (and of one line); over it, sse_feed
 * returns ERR_LIMIT. */
struct sse *sse_new(size_t max_event, sse_event_fn fn, void *arg);

/* Frees (and wipes) s; NULL is fine. */
void sse_free(struct sse *s);

/* Takes the next bytes as they came.  After an error s only takes sse_free. */
enum err sse_feed(struct sse *s, struct slice bytes) MUST_USE;

/* The stream ended: ERR_FORMAT when an event or a line was left unfinished. */
enum err sse_end(struct sse *s) MUST_USE;

#endif
