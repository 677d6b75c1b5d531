/* SPDX-License-Identifier: Apache-2.0
 *
 * A hand-made HTTP/2 client: it sends exactly the frames a test wants, right
 * or wrong, and takes the server's frames apart without decoding fields.
 */
#ifndef SEALWAY_TESTS_UNIT_HTTPD_H2CLIENT_H
#define SEALWAY_TESTS_UNIT_HTTPD_H2CLIENT_H

#include "tests/unit/httpd/rig.h"

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION
};
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct h2 {
	struct rig *g;
	int fd;
	struct buf in;
	struct buf out; /* frames that are to go in one piece: h2_flush */
};

/* Connects, sends the preface and SETTINGS with that initial window. */
void h2_open(struct h2 *c, struct rig *g, uint32_t window);
void h2_close(struct h2 *c);

/* The same together with the server that it is the first client of. */
void rig_open_h2(struct rig *g, struct h2 *c, uint32_t window);
void rig_close_h2(struct rig *g, struct h2 *c);

/* Sends what was added to c->out, and empties it. */
void h2_flush(struct h2 *c);

/* Appends one frame to b, or sends one. */
void h2_add(struct buf *b, uint8_t type, uint8_t flags, uint32_t id, const void *p, size_t n);
void h2_send(struct h2 *c, uint8_t type, uint8_t flags, uint32_t id, const void *p, size_t n);

/* HEADERS of a request for a path; with END_STREAM: a GET, else a POST. */
void h2_add_request(struct buf *b, uint32_t id, const char *path, uint8_t flags);
void h2_request(struct h2 *c, uint32_t id, const char *path, uint8_t flags);

/* A 32-bit payload: WINDOW_UPDATE, RST_STREAM. */
void h2_add_u32(struct buf *b, uint8_t type, uint32_t id, uint32_t value);
void h2_send_u32(struct h2 *c, uint8_t type, uint32_t id, uint32_t value);

/* SETTINGS with a new initial window. */
void h2_add_window(struct buf *b, uint32_t window);

/* Frames received of that type for that stream with all these flags set. */
unsigned h2_frames(const struct h2 *c, uint8_t type, uint32_t id, uint8_t flags);

/* Bytes of DATA received for that stream. */
size_t h2_data(const struct h2 *c, uint32_t id);

/* The error of the last RST_STREAM for that stream, or -1. */
int64_t h2_reset_code(const struct h2 *c, uint32_t id);

/* The field block of the stream's first HEADERS holds these bytes. */
bool h2_headers_hold(const struct h2 *c, uint32_t id, const char *bytes);

/* The same block begins with these bytes. */
bool h2_headers_begin(const struct h2 *c, uint32_t id, const char *bytes);

/* Turns the loop until such a frame came; false when closed or after ms. */
bool h2_wait(struct h2 *c, uint8_t type, uint32_t id, uint8_t flags, unsigned ms);

#endif
