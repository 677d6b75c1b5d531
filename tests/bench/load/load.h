/* SPDX-License-Identifier: Apache-2.0
 *
 * The load generator: one thread, one libuv loop.  A lane carries one request at
 * a time (an HTTP/1 connection, or a stream of an HTTP/2 one).  In a closed loop
 * each lane asks again as soon as it has its answer; in an open loop requests are
 * due at a constant rate whatever the answers do, and every latency counts from
 * the time at which its request was due, so waiting for a lane counts too.
 */
#ifndef SEALWAY_BENCH_LOAD_H
#define SEALWAY_BENCH_LOAD_H

#include <uv.h>

#include "client/open_response.h"
#include "common/mem.h"

#define PHASES 32 /* as the bench node has them */
#define GAP_NONE 1

/* --- histograms: 128 buckets per power of two, below 0.8 % of error --- */

#define HIST_SUB 128
#define HIST_N (58 * HIST_SUB)

struct hist {
	uint64_t count[HIST_N], n, max;
	double sum;
};

/* Counts one value in nanoseconds. */
void hist_add(struct hist *h, uint64_t ns);

/* The smallest value at least share of all are not above; 0 when empty. */
uint64_t hist_at(const struct hist *h, double share);

/* {"n":…,"mean":…,"p50":…,…,"buckets":[[upper bound, count],…]} in microseconds. */
void hist_json(const struct hist *h, struct buf *out);

/* --- options --- */

struct opts {
	const char *host; /* an IPv4 address */
	uint16_t port;
	const char *path, *token, *model, *headers; /* headers: more lines, each with CRLF */
	bool sealed, h2, once, locks;
	bool pairs;               /* a lock before each request, on the same connection */
	bool tls;                 /* of HTTP/1 */
	bool singly;              /* flat out, each event in a write of its own */
	const char *ca;           /* whom the lock of the bodies trusts; the lanes check no certificate */
	unsigned lanes, per_conn; /* per_conn: HTTP/2 streams on one connection */
	unsigned bodies, size, chunks, gap_us, answer;
	unsigned sources; /* addresses 127.0.1.1… to connect from; 0: the system's choice */
	double rate, seconds, warmup, ramp, drain;
};

/* Reads the command line; false after a message. */
bool opts_parse(struct opts *o, int argc, char **argv);

/* --- bodies, made before the clock starts --- */

struct body {
	struct buf json;
	struct buf wire; /* HTTP/1 head and json */
	struct sealed sealed;
	unsigned phase;
};

struct bodies {
	struct body *of;
	unsigned n;
	struct node_lock lock;
	struct buf lock_wire; /* a request for a lock, with its head */
};

/* Makes o->bodies bodies; sealed ones to the key of a lock taken now. */
bool bodies_make(const struct opts *o, struct bodies *out, struct fault *f);

/* --- one request and its answer --- */

struct xfer {
	const struct body *body;
	uint64_t due, sent, first, last; /* ns of the monotonic clock */
	uint32_t events;
	size_t nonce_at;    /* in the event before */
	bool done_mark;     /* data: [DONE] */
	uint64_t got;       /* bytes of body */
	struct buf part;    /* an event that has not ended */
	uint64_t *arrivals; /* of each event of a paced stream */
	struct buf *sample; /* the whole answer, to be verified after the run */
	const char *wrong;  /* what was wrong with it first */
	bool locking;       /* the lock before it is under way */
};

struct run;

/* The head came. */
void xfer_head(struct run *r, struct xfer *x, int status);

/* Bytes of the answer's body. */
void xfer_bytes(struct run *r, struct xfer *x, const uint8_t *p, size_t n);

/* --- lanes --- */

struct lane {
	struct run *run;
	struct xfer x;
	bool busy;
	void *via; /* its connection */
	struct lane *next;
};

/* The answer is complete (wrong NULL) or failed; the lane is free again. */
void lane_done(struct lane *l, const char *wrong);

/* TLS between a lane's bytes and its socket, without sockets of its own. */
struct tls;
struct tls *tls_new(void);
void tls_free(struct tls *t); /* NULL is fine */
/* Bytes from the peer; false when they are none of TLS. */
bool tls_take(struct tls *t, const void *p, size_t n);
/* Plaintext that has come; 0 when there is none. */
size_t tls_read(struct tls *t, void *to, size_t n);
void tls_write(struct tls *t, struct slice plain);
/* What is to be sent to the peer now (emptied by the caller). */
struct buf *tls_out(struct tls *t);
bool tls_up(const struct tls *t);

/* HTTP/1 and HTTP/2: makes via; sends l->x.body; closes everything. */
void h1_open(struct lane *l, unsigned index);
void h1_send(struct lane *l);
void h2_open(struct lane *l, unsigned index);
void h2_send(struct lane *l);

/* A TCP connection to the target, nodelay, from the index-th source address. */
void tcp_connect(struct run *r, uv_tcp_t *tcp, uv_connect_t *req, unsigned index, uv_connect_cb cb);

/* --- the run --- */

#define SAMPLES_MAX 64
#define WRONG_KINDS 16

struct wrong {
	const char *what;
	uint64_t n;
};

struct sample {
	const struct body *body;
	struct buf answer;
};

struct run {
	struct opts o;
	struct bodies bodies;
	uv_loop_t *uv;
	struct lane *lanes, *idle;
	unsigned outstanding, open_lanes;
	uint64_t start, from, to; /* from..to is measured */
	uint64_t due_next;        /* open loop: the next request's number */
	unsigned body_next;
	bool stopping;
	int timer_fd;
	uv_poll_t timer;
	uv_timer_t ramp, end;
	struct hist total, first, gap, chunk, late;
	uint64_t answers, all_events; /* of the whole run, for costs per each */
	uint64_t requests, events, bytes, wrong_n, finished_in_time;
	struct wrong wrongs[WRONG_KINDS];
	struct sample samples[SAMPLES_MAX];
	unsigned n_samples;
	uint64_t sample_seen;
	unsigned verified;
	char read[262144], plain[65536];
};

uint64_t now_ns(void);

/* Counts a failure of that kind. */
void run_wrong(struct run *r, const char *what);

/* Opens the kept samples with the client library; counts what fails. */
void samples_verify(struct run *r);

/* The result as JSON on standard output. */
void report(struct run *r);

#endif
