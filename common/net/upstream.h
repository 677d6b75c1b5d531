/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 client on libuv, for what processes ask of nodes and nodes of engines:
 * strict (answer.h), no redirects, no proxies from the environment, no cookies,
 * no codings but chunked; TLS 1.2 or later checks chain and host name.
 * Completion fires exactly once, never from inside the starting call.
 */
#ifndef SEALWAY_COMMON_NET_UPSTREAM_H
#define SEALWAY_COMMON_NET_UPSTREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "common/err.h"
#include "common/mem.h"

struct upstream;     /* one per loop: connection pool */
struct upstream_req; /* one exchange */

enum upstream_result {
	UPSTREAM_OK,      /* the response ended as HTTP says it should */
	UPSTREAM_REFUSED, /* address not allowed (allow_address) */
	UPSTREAM_CONNECT, /* no connection (refused, unreachable, TLS, connect deadline): nothing was sent */
	UPSTREAM_TIMEOUT, /* first byte, gap or total deadline */
	UPSTREAM_CUT,     /* connection lost after sending, or a truncated body */
	UPSTREAM_INVALID, /* not HTTP, over max_body, bad chunking */
};

struct upstream_opts {
	const char *ca_file; /* "" = system trust */
	unsigned max_idle;   /* kept connections; 0 = 64 */
	/* Asked at every connect with the resolved address, and whether TLS will guard it; false
	 * refuses.  NULL: all. */
	bool (*allow_address)(void *arg, const struct sockaddr *sa, bool tls);
	void *arg;
};

struct upstream_header {
	const char *name;
	struct slice value;
};

struct upstream_call {
	const char *method;                    /* "POST" */
	const char *url;                       /* http:// or https://; copied */
	const struct upstream_header *headers; /* copied */
	size_t n_headers;
	struct slice body; /* borrowed until done, or until upstream_sent */
	uint64_t connect_ms, first_byte_ms, gap_ms, total_ms; /* 0 = none */
	uint64_t max_body;                                    /* response bytes; 0 = none */
	/* It changes nothing at the peer: like a GET it is sent anew, once, when a kept connection
	 * turns out to be dead, which shows at once. */
	bool repeatable;
	/* Status line and headers have come; content_type without parameters, lower case. */
	void (*on_head)(void *arg, int status, const char *content_type);
	/* Body bytes, as they come. */
	void (*on_data)(void *arg, struct slice data);
	/* The end, exactly once; the request is freed afterwards. */
	void (*on_done)(void *arg, enum upstream_result r);
	void *arg;
};

/* A pool on uv's thread. */
struct upstream *upstream_new(uv_loop_t *uv, const struct upstream_opts *o);

/* Cancels what runs (without on_done) and frees once handles are closed. */
void upstream_free(struct upstream *u);

/* Whether url is one that can be asked: http or https, a host, no user's name. */
bool upstream_url(const char *url);

/* Starts a call.  Never NULL; a bad URL is reported through on_done. */
struct upstream_req *upstream_start(struct upstream *u, const struct upstream_call *c);

/* Stops reading the response (back-pressure reaches the peer's socket); the gap
 * deadline stands still meanwhile.  Idempotent. */
void upstream_pause(struct upstream_req *r);

/* Reads on; on_data may come later, never from inside this call. */
void upstream_resume(struct upstream_req *r);

/* Ends the exchange now and closes its connection; on_done is not called, the
 * borrowed body is free again when this returns. */
void upstream_cancel(struct upstream_req *r);

/* The body is on its way and not needed any more: the caller may free it.  Never before the head of
 * the answer, since until then it may have to be sent anew. */
bool upstream_sent(const struct upstream_req *r);

/* Name of a result, for logs. */
const char *upstream_result_name(enum upstream_result r);

/* True for loopback, unspecified, private, CGNAT, link-local, unique-local,
 * multicast and other special addresses, and for v4-mapped, v4-translated, NAT64 and 6to4 forms
 * of these; Teredo as a whole. */
bool upstream_address_inward(const struct sockaddr *sa);

#endif
