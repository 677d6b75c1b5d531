/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share.  Nobody else includes it, but for the test that checks the sums
 * (test_model.c).
 *
 * Who may enter libh2o: only the flush at the end of a loop turn, the proceed
 * callback and the reading hooks.  hreq_* functions called by the server's
 * user change our own structures and mark the request dirty, so that no
 * callback of ours can pull the floor from under a running h2o function.
 */
#ifndef SEALWAY_COMMON_HTTPD_INTERNAL_H
#define SEALWAY_COMMON_HTTPD_INTERNAL_H

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>

#include "common/httpd/head.h"
#include "common/httpd/httpd.h"

#define WATCH_AFTER_MS 50         /* a request this old gets the disconnect watch */
#define RESET_LINGER_MS 50        /* between the last bytes of a cut HTTP/2 stream and its RST_STREAM */
#define HEAD_MAX 65536            /* bytes of an HTTP/1 request head */
#define FIELDS_MAX 100            /* header fields of a request, trailers included; as h2o on HTTP/1 */
#define BODY_SLACK (1u << 20)     /* what h2o takes beyond twice the limit */
#define RESETS_MAX 100            /* unfinished HTTP/2 requests reset by the client before it is cut */
#define EVICT_MS 3000             /* instead of stall_ms, when answers or requests are too many */
#define TICK_MAX_MS 1000          /* how often deadlines are looked at, at least */
#define TICK_MIN_MS 20            /* ... and at most */
#define ARRIVAL_PER_MS (2u << 20) /* bytes that clients can send in a millisecond */
#define BODY_GRACE_MS 10000       /* a body may be slow for this long ... */
#define MIN_RATE 256              /* ... and must then have come at this many bytes per second on average */

enum conn_state {
	CONN_SNIFF, /* clear text, not one whole preface or method yet */
	CONN_TLS,   /* handshake */
	CONN_HTTP1,
	CONN_HTTP2,
};

/* One accepted socket; lives until h2o closes it (conn_closed). */
struct conn {
	h2o_linklist_t all;       /* httpd.conns, oldest first */
	h2o_linklist_t open_reqs; /* hreq.same_conn */
	h2o_linklist_t idle;      /* httpd.idle while no request is open, longest idle first */
	struct httpd *h;
	h2o_socket_t *sock;
	uv_stream_t *stream; /* under sock */
	SSL_CTX *tls;        /* held for it, or NULL: clear text */
	h2o_socket_cb read;  /* h2o's own HTTP/2 reader, behind our hook */
	struct hreq *h1;     /* the open request of an HTTP/1 connection */
	uint64_t since;      /* ms: accepted, or last request finished */
	uint64_t accepted;   /* ms */
	uint64_t recv_since; /* ms: first byte of a request that is not complete; 0 none */
	size_t held;         /* body bytes counted in httpd.held for incomplete requests */
	unsigned open;       /* requests shown to the user and not finished */
	unsigned resets;     /* see RESETS_MAX */
	uint32_t block;      /* HTTP/2: stream whose header block is not complete, or 0 */
	uint32_t block_size; /* its bytes so far */
	uint32_t told_stop;  /* HTTP/2: last stream told that its body is not wanted */
	unsigned noise;      /* HTTP/2: frames that cost us and mean nothing, minus time */
	uint64_t noise_at;   /* ms: when noise was last lowered */
	uint64_t warned;     /* HTTP/2, draining: ms of the first GOAWAY, or 0 */
	uint32_t last_id;    /* HTTP/2: no stream above is served, when parted */
	bool parted;         /* HTTP/2: the last GOAWAY is said */
	bool retired;        /* draining: its input is at its end */
	bool *gone;          /* set by conn_closed for whoever must know */
	bool greeted;        /* HTTP/2: the preface was seen */
	bool served;         /* had a request */
	bool cut;            /* shut down by us; what it still sends is thrown away */
	bool left;           /* TLS: an alert came */
	bool resized;        /* HTTP/2: the client is yet to be told the new size of our table */
	bool watched;        /* in the epoll set of the disconnect watch */
	bool headed;         /* recv_since: the head is there, the body is missing */
	bool unwritable;     /* a write looked lost at the last look */
	enum conn_state state;
};

struct hreq {
	h2o_generator_t gen;      /* first: h2o hands it back */
	h2o_linklist_t all;       /* httpd.reqs */
	h2o_linklist_t same_conn; /* conn.open_reqs */
	h2o_linklist_t timed;     /* httpd.young or httpd.linger */
	struct hreq *dirty_next;
	h2o_req_t *req;
	struct conn *conn;
	struct httpd *h;
	void (*gone)(void *arg, struct hreq *r);
	void *gone_arg;
	void (*taken)(void *arg, struct hreq *r, size_t n);
	void *taken_arg;
	struct buf pend;    /* written by the user, not given to h2o */
	struct buf fly;     /* given to h2o; lives until proceed */
	struct slice fixed; /* the whole body in place of both; not ours */
	size_t held;        /* body bytes counted in httpd.held */
	size_t counted;     /* answer bytes counted in httpd.answers */
	uint64_t left;      /* bytes of the announced length to come; UINT64_MAX unknown */
	uint64_t at;        /* ms: began, later the last progress of writing */
	uint64_t own;       /* at the last look: bytes that its stream had sent, HTTP/2 */
	uint64_t acked;     /* and that the client had acknowledged of the connection's */
	uint64_t took;      /* since all of it is there: bytes that have moved since `at` */
	char frame[20];     /* chunk size line */
	bool begun;         /* status and headers are set */
	bool started;       /* h2o_start_response was called */
	bool in_flight;     /* one h2o_send outstanding */
	bool ended;         /* by the user: clean end */
	bool aborted;       /* by the user or by us: unclean end */
	bool killed;        /* aborted, and pending bytes do not matter any more */
	bool finished;      /* the last h2o_send was made; only dispose may follow */
	bool dirty;
	bool chunked;   /* HTTP/1.1 without a length: we frame */
	bool body_less; /* HEAD, 204, 304: bytes are dropped */
	bool over;      /* body over the limit */
	bool dropped;   /* body given back */
};

struct httpd {
	uv_loop_t *uv;
	struct httpd_opts o; /* strings are not valid after open */
	h2o_globalconf_t conf;
	h2o_context_t ctx;
	h2o_accept_ctx_t accept;
	uv_poll_t listener;    /* listen_fd in the loop */
	uv_timer_t rest;       /* until the listener is looked at again */
	uv_timer_t tick, soon; /* deadlines; young and lingering requests */
	uv_timer_t drain;
	uv_check_t check;
	uv_idle_t idle_turn;  /* keeps the loop from blocking while something is dirty */
	uv_poll_t watch;      /* watch_fd in the loop */
	int listen_fd, spare; /* spare: a descriptor to give up when there are no more; -1: gone */
	int watch_fd;         /* epoll set of client sockets to hear EPOLLRDHUP from */
	h2o_linklist_t conns, idle, reqs, young, linger;
	struct hreq *dirty_head, **dirty_tail;
	uint64_t held;    /* bytes of bodies in memory */
	uint64_t answers; /* bytes of whole answers whose requests are not over */
	unsigned nreqs;
	uint64_t tick_ms, checked_at;
	unsigned nconns;
	unsigned ncut;    /* of nconns, those already shut down */
	unsigned handles; /* libuv handles of ours that are open */
	uint16_t port;
	bool pressed;   /* no room for answers or requests since the last tick */
	bool listening; /* bound */
	bool serving;   /* and clients may come */
	bool draining, closing, ready;
	uint64_t say_accept_at;
	uint64_t drain_at;
	void (*drained)(void *arg);
	void *drained_arg;
};

/* --- listen.c, tls.c --- */

/* Binds; from httpd_listen on accepted sockets go to conn_new. */
enum err listen_open(struct httpd *h, const struct httpd_opts *o) MUST_USE;

/* Takes what waits in the accept queue, then closes the listener. */
void listen_close(struct httpd *h);

/* The context for a connection, to be let go of when that has ended: h2o makes the SSL, which would hold it,
 * only at the client's first bytes.  NULL is fine. */
SSL_CTX *tls_hold(struct httpd_tls *t);
void tls_let_go(SSL_CTX *ctx);

/* --- conn.c: sockets --- */

/* Wraps an accepted stream, which it owns from now on. */
void conn_new(struct httpd *h, uv_tcp_t *tcp);

/* The conn behind a request. */
struct conn *conn_of(const h2o_req_t *req);

/* Shuts both directions down; h2o then tears it down by its own error path. */
void conn_cut(struct conn *c);

/* A request was shown to the user, or is finished (clean: answered whole). */
void conn_request_open(struct conn *c);
void conn_request_done(struct conn *c, bool clean);

/* --- h2peek.c: the inside of h2o's HTTP/2 --- */

/* h2o's connection, or NULL when it is none or is being closed. */
h2o_http2_conn_t *h2_conn(const struct conn *c);

/* Does h2o only wait for a write to end before it closes this one? */
bool h2_closing(const h2o_http2_conn_t *h2);

/* The stream of that number, or NULL. */
h2o_http2_stream_t *h2_stream(const h2o_http2_conn_t *h2, uint32_t id);

/* The same among those whose bytes are in a write under way, or NULL. */
h2o_http2_stream_t *h2_in_flight(const h2o_http2_conn_t *h2, uint32_t id);

/* Are there incomplete requests, or such up to a stream; how many bytes their fields and bodies hold. */
bool h2_uploads(const h2o_http2_conn_t *h2);
bool h2_uploads_to(const h2o_http2_conn_t *h2, uint32_t last_id);
size_t h2_upload_bytes(const h2o_http2_conn_t *h2);

/* Has one of the incomplete requests more than FIELDS_MAX fields? */
bool h2_too_many_fields(const h2o_http2_conn_t *h2);

/* The oldest of the incomplete requests, and since when in ms; NULL, and *age_ms untouched, when there is
 * none. */
h2o_http2_stream_t *h2_oldest_upload(const h2o_http2_conn_t *h2, uint64_t *age_ms);

/* Bytes waiting for the socket. */
size_t h2_backlog(const h2o_http2_conn_t *h2);

/* RST_STREAM with that error, now; whatever the windows say.  The request may
 * be disposed of before this returns.  False, and nothing done, when the stream
 * or its connection is at its end and waits for a write. */
bool h2_reset(h2o_http2_conn_t *h2, h2o_http2_stream_t *s, int error);

/* Has the client's half of that stream ended, or the stream? */
bool h2_over(const h2o_http2_conn_t *h2, uint32_t id);

/* Reads a header block that is for nobody: what it says of the compression of later ones counts.  False when
 * it is malformed. */
bool h2_pass_over(h2o_http2_conn_t *h2, struct slice block);

/* GOAWAY without an error: streams above last_id are not served. */
void h2_goaway(h2o_http2_conn_t *h2, uint32_t last_id);

/* --- h2guard.c: frames before h2o sees them --- */

/* Stands in for h2o's reader on HTTP/2 connections. */
void h2guard_read(h2o_socket_t *sock, const char *err);

/* --- h2table.c: the compression of answers' fields --- */

/* Follows the sizes of the table that a client's SETTINGS name. */
void h2_table_settings(struct conn *c, h2o_http2_conn_t *h2, struct slice settings);

/* --- uvguard.c: libuv as libh2o calls it --- */

/* To be called when h2o has begun to read a TLS connection, whose conn is known. */
void uvguard_tls(uv_stream_t *s);

/* --- request.c --- */

/* Registers the handler for every path. */
void request_register(struct httpd *h, h2o_hostconf_t *host);

/* The client is gone, or we want it gone: tells the user, ends the request. */
void request_kill(struct hreq *r);

/* --- stream.c: answering --- */

/* Marks for the flush at the end of this loop turn. */
void stream_dirty(struct hreq *r);

/* Takes r out of the flush queue. */
void stream_forget(struct hreq *r);

/* Flushes everything dirty. */
void stream_flush_all(struct httpd *h);

/* Gives one request's bytes to h2o.  r may be gone afterwards. */
void stream_flush(struct hreq *r);

/* --- answer.c --- */

/* The reason phrase of a status (RFC 9110 15).  Static storage. */
const char *answer_reason(int status);

/* An error of ours, before any handler saw the request; closes HTTP/1. */
void answer_refuse(struct hreq *r, enum err e);

/* --- watch.c: time and hang-ups --- */

/* Starts to look after h's connections.  ERR_IO, said in the log, when the process has no descriptor left. */
enum err watch_open(struct httpd *h) MUST_USE;

/* Ends that, also of an h that watch_open failed for. */
void watch_close(struct httpd *h);

/* Starts the clock of a new HTTP/1 request, or of an HTTP/2 reset. */
void watch_soon(struct hreq *r, h2o_linklist_t *list);

/* Out of the epoll set. */
void watch_stop(struct conn *c);

/* Ends connections whose last write libuv refused.  To be called more than once:
 * what looks so twice is so. */
void watch_lost_writes(struct httpd *h);

/* --- stall.c: clients that do not take their answers --- */

/* Bytes written to the socket that the client has not acknowledged. */
uint64_t stall_under_way(const struct conn *c);

/* Ends requests whose answers do not move. */
void stall_check(struct httpd *h, uint64_t now);

/* --- body.c: one budget --- */

/* Counts what an incomplete request of c holds now; over the budget the
 * oldest upload is cut. */
void body_count(struct conn *c);

/* Moves the count from the connection to its complete request. */
void body_arrived(struct hreq *r);

/* Gives the count back. */
void body_release(struct hreq *r);

/* --- httpd.c --- */

/* A handle of ours was closed; frees the server after the last one. */
void httpd_handle_closed(uv_handle_t *handle);

/* Looks whether a drain or a close is complete. */
void httpd_settle(struct httpd *h);

#endif
