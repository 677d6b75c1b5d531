/* SPDX-License-Identifier: Apache-2.0
 *
 * The body check of the plain endpoints (PROTOCOL section 2, Plain requests): an
 * OpenAI request, looked at without building a tree; what of it sizes the answer;
 * and the body as it is sent to the node.  Pure.
 */
#ifndef SEALWAY_GATEWAY_SCAN_PLAIN_H
#define SEALWAY_GATEWAY_SCAN_PLAIN_H

#include "gateway/scan.h"
#include "proto/msg.h"

struct scan_plain {
	struct scan base;     /* model and stream; the rest is zero */
	uint64_t input_units; /* an estimate, rather too high than too low; of images all there are */
	bool has_max_units;
	uint64_t max_units; /* max_tokens over all choices */
	bool show_usage;    /* a stream whose client asked for the usage object */
	/* the one change to the body: text in place of the bytes from..to */
	size_t from, to;
	const char *text;
};

/* Checks body for the plain endpoint ep.  ERR_BODY with *fault filled (static
 * text); *out is written only on success. */
enum err scan_plain(struct slice body, enum endpoint ep, struct scan_plain *out,
		    struct scan_fault *fault) MUST_USE;

/* Appends the body sent: compact, and with stream_options.include_usage true when
 * it streams.  At most 48 bytes longer than body. */
void scan_plain_body(struct slice body, const struct scan_plain *s, struct buf *out);

#endif
