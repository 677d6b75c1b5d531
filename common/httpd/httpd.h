/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 and HTTP/2 server: libh2o on libuv, with the guards that libh2o
 * 2.2.5 lacks (head re-scan against smuggling shapes, disconnect watch on
 * HTTP/1, rapid-reset limit, write stall, body and head deadlines, one memory
 * budget for bodies, connection cap).  internal.h is the only includer of h2o.h.  One
 * server per loop thread; everything of a request happens on that thread.
 */
#ifndef SEALWAY_COMMON_HTTPD_HTTPD_H
#define SEALWAY_COMMON_HTTPD_HTTPD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "common/mem.h"

struct httpd;
struct httpd_tls;
struct hreq;

struct httpd_opts {
	const char *listen;    /* "127.0.0.1:8080", "[::1]:0"; port 0 takes a free one */
	bool reuseport;        /* several threads or processes share the port */
	bool later;            /* clients come from httpd_listen on; until then the port is only taken */
	struct httpd_tls *tls; /* outlives the server; NULL: clear text */
	uint64_t max_body;     /* bytes; up to twice this is read and shown as over (hreq_over_limit) */
	uint64_t body_budget;  /* bytes of bodies in memory over all connections of this server */
	uint64_t head_ms;      /* request head */
	uint64_t body_ms;      /* request body */
	uint64_t idle_ms;      /* keep-alive connection without a request */
	uint64_t stall_ms;     /* no progress writing to a client */
	unsigned max_conns;    /* beyond: the oldest idle one goes first, else refused */
	/* Both 0 without a limit.  Once one is reached, whoever takes nothing of a whole answer for 3 s is
	 * cut. */
	unsigned max_requests;  /* open at a time; beyond: reset */
	uint64_t answer_budget; /* bytes of whole answers that wait for clients (httpd_room) */
	void (*on_request)(void *arg, struct hreq *r); /* every request, all paths; answer now or later */
	void *arg;
};

struct hheader {
	const char *name; /* lower case, static or kept alive by the caller until the call returns */
	struct slice value;
};

/* Whether listen is an address that httpd_open could take.  ERR_CONFIG, with the same log line. */
enum err httpd_check(const char *listen) MUST_USE;

/* A certificate chain and its key (PEM files) for any number of servers on any threads.  ERR_CONFIG, said in
 * the log. */
enum err httpd_tls_open(struct httpd_tls **out, const char *cert, const char *key) MUST_USE;

/* Reads the files again: connections from now on are given what is in them, and those that stand keep what
 * they have.  ERR_CONFIG, said in the log, changes nothing.  From any one thread. */
enum err httpd_tls_reload(struct httpd_tls *t) MUST_USE;

/* Once no server uses it.  NULL is fine. */
void httpd_tls_free(struct httpd_tls *t);

/* Whether httpd_tls_open could take them; "" is neither, and fine.  ERR_CONFIG, with the same log line. */
enum err httpd_check_tls(const char *cert, const char *key) MUST_USE;

/* Opens and listens.  ERR_CONFIG (bad address) or ERR_IO (bind; errno), with a log line that says which. */
enum err httpd_open(struct httpd **out, uv_loop_t *uv, const struct httpd_opts *o) MUST_USE;

/* Lets clients come where opts.later kept them away.  ERR_IO, said in the log. */
enum err httpd_listen(struct httpd *h) MUST_USE;

/* The port really bound. */
uint16_t httpd_port(const struct httpd *h);

/* Stops listening and keep-alive, lets requests finish; then calls done once
 * (never from inside this call).  Idle connections are closed at once. */
void httpd_drain(struct httpd *h, void (*done)(void *arg), void *arg);

/* Closes everything still open; frees when libuv has closed the handles (run
 * the loop once more).  NULL is fine. */
void httpd_close(struct httpd *h);

/* Whether answer_budget has room for n more bytes of whole answers (hreq_respond). */
bool httpd_room(struct httpd *h, size_t n) MUST_USE;

/* Connections open now. */
unsigned httpd_conns(const struct httpd *h);

/* --- a request; all slices borrow until it is answered or gone --- */

/* "GET", "POST", ... */
struct slice hreq_method(const struct hreq *r);

/* The path without query, just as it was sent: escapes and dots are not resolved, so that a path
 * reads here as it read to a proxy in front.  Of a whole URL in an HTTP/1 request line, its path. */
struct slice hreq_path(const struct hreq *r);

/* Value of a header (lower-case name), or an empty slice with p == NULL. */
struct slice hreq_header(const struct hreq *r, const char *name);

/* How many headers of that name there are. */
unsigned hreq_header_count(const struct hreq *r, const char *name);

/* The body, at most max_body bytes; empty when over the limit. */
struct slice hreq_body(const struct hreq *r);

/* The body was longer than max_body: answer 413. */
bool hreq_over_limit(const struct hreq *r);

/* 0x100, 0x101 or 0x200. */
unsigned hreq_version(const struct hreq *r);

/* Frees the request body's memory early (bytes return to the budget); hreq_body
 * is empty afterwards.  Also done when the answer begins. */
void hreq_drop_body(struct hreq *r);

/* Called once if the client goes away, resets or stalls before the response is
 * complete; never after hreq_respond, hreq_end or hreq_abort.  r must not be
 * used once it returns. */
void hreq_on_gone(struct hreq *r, void (*gone)(void *arg, struct hreq *r), void *arg);

/* --- answering: exactly one of respond, or begin .. write .. end/abort --- */

/* A whole answer; everything is copied.  r must not be used afterwards. */
void hreq_respond(struct hreq *r, int status, const struct hheader *h, size_t nh, struct slice body);

/* The same with a body that outlives r and is not copied: what waits for a
 * client that does not read costs no memory. */
void hreq_respond_static(struct hreq *r, int status, const struct hheader *h, size_t nh, struct slice body);

/* Starts a streamed answer.  length: bytes that will follow, or UINT64_MAX when
 * unknown.  Headers go out with the first bytes or at the end of the turn. */
void hreq_begin(struct hreq *r, int status, const struct hheader *h, size_t nh, uint64_t length);

/* Copies s behind what waits; sent at the end of the loop turn, all writes of a
 * turn in one. */
void hreq_write(struct hreq *r, struct slice s);

/* Bytes written by the caller that the connection has not taken yet. */
size_t hreq_pending(const struct hreq *r);

/* Called with the number of bytes taken each time the connection has taken
 * some (flow control).  Never from inside hreq_write. */
void hreq_on_taken(struct hreq *r, void (*taken)(void *arg, struct hreq *r, size_t n), void *arg);

/* Clean end after everything pending.  r must not be used afterwards. */
void hreq_end(struct hreq *r);

/* Unclean end: what is pending is sent as well as it can be, then the response
 * is cut (HTTP/1.1: no terminating chunk; HTTP/2: RST_STREAM).  r must not be
 * used afterwards. */
void hreq_abort(struct hreq *r);

#endif
