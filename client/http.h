/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's HTTP: one blocking exchange at a time over a kept connection.
 * http.c is the client's only includer of curl.  No redirects (they would
 * carry the token elsewhere), no cookies; TLS checks chain and host name.
 */
#ifndef SEALWAY_CLIENT_HTTP_H
#define SEALWAY_CLIENT_HTTP_H

#include <stdbool.h>

#include "client/fault.h"
#include "common/mem.h"

struct http;

struct http_opts {
	const char *url;     /* base, checked and copied */
	const char *token;   /* bearer, copied; NULL or "": none */
	const char *ca_file; /* NULL: the system's */
};

struct http_head {
	int status;
	char type[64];        /* content type, lower case, without parameters */
	unsigned retry_after; /* seconds, 0 when absent */
	char request_id[129]; /* X-Request-Id, safe to show, "" when absent */
	bool resent;          /* sent twice: the first time a kept connection ended before an answer */
};

struct http_call {
	const char *path;    /* appended to the base; begins with / */
	struct slice body;   /* POST of JSON; p == NULL: GET */
	bool once;           /* the body is never sent a second time, whatever becomes of the connection */
	bool stream;         /* an event stream is asked for */
	unsigned timeout_ms; /* for this exchange; 0: none */
	unsigned silence_s;  /* so long without a byte is a failure; 0: never */
	/* Body bytes as they come; head is complete by then.  False ends the exchange. */
	bool (*on_data)(void *arg, const struct http_head *head, struct slice data);
	void *arg;
};

/* A client for one base URL.  NULL with f set for an unusable one. */
struct http *http_new(const struct http_opts *o, struct fault *f);

/* Closes connections and frees; NULL is fine. */
void http_free(struct http *h);

/* Runs one exchange.  True when the answer came whole, whatever its status;
 * else f says why (CONNECT before any answer, CUT within one; USAGE for a path that is none, VERIFY for
 * headers without end, LOCAL without memory). */
bool http_run(struct http *h, const struct http_call *c, struct http_head *head, struct fault *f);

/* Whether what is said goes over a network without TLS. */
bool http_exposed(const struct http *h);

/* scheme://host[:port] of the base, lower case, default ports left out. */
const char *http_origin(const struct http *h);

#endif
