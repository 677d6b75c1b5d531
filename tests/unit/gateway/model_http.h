/* SPDX-License-Identifier: Apache-2.0
 *
 * common/httpd/httpd.h and the clients behind it, played for test_gateway_model.c: what each was sent is
 * kept, and it takes it when the test says so.  Everything that httpd.h forbids its callers is checked.
 */
#ifndef SEALWAY_TESTS_UNIT_GATEWAY_MODEL_HTTP_H
#define SEALWAY_TESTS_UNIT_GATEWAY_MODEL_HTTP_H

#include "common/httpd/httpd.h"

enum http_end { HTTP_OPEN, HTTP_RESPONDED, HTTP_ENDED, HTTP_ABORTED, HTTP_GONE };

struct hreq {
	const char *method, *path;
	struct buf body;
	enum http_end end;
	bool begun, error_event;
	int status;
	uint64_t length;
	struct buf got; /* of the answer, without comments and error events */
	size_t waiting; /* written, and not taken yet */
	uint64_t took;
	void (*gone)(void *arg, struct hreq *r);
	void (*taken)(void *arg, struct hreq *r, size_t n);
	void *gone_arg, *taken_arg;
};

/* A request with that body (taken). */
void http_init(struct hreq *r, const char *method, const char *path, struct buf *body);
void http_fini(struct hreq *r);

/* The client takes up to n bytes. */
void http_take(struct hreq *r, size_t n);

/* The client goes away, if it is still served. */
void http_leave(struct hreq *r);

#endif
