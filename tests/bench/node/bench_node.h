/* SPDX-License-Identifier: Apache-2.0
 *
 * The node of the benchmarks: one process that answers raw requests (through
 * nginx, haproxy and others) and sealed ones (through sealway), as fast as it
 * can or paced.  What a request asks for stands in its (sealed) body:
 *
 *	"user":"bench:[chunks, gap in us, phase 0..31, size of a whole answer]"
 *
 * Sealed answers are made once per body with the real node's own code and kept;
 * only the receipt, which names the request id, is made and signed each time.
 * It believes its workers (no signature of theirs is checked), and it answers a
 * body as often as it comes: not a node to use, a node to measure others with.
 */
#ifndef SEALWAY_BENCH_NODE_H
#define SEALWAY_BENCH_NODE_H

#include <uv.h>

#include "common/mem.h"
#include "common/sign.h"
#include "node/keys.h"
#include "proto/receipt.h"

#define PHASES 32
#define GAP_NONE 1 /* for gap: each event in a write of its own, as an engine's come, but without a pause */

/* What a body asks for. */
struct asked {
	uint32_t chunks; /* 0: a whole answer */
	uint32_t gap_us; /* 0: flat out, in as few writes as it takes; GAP_NONE; or 1000 and more */
	uint32_t phase;  /* events are due at times t with t mod gap = phase * gap / PHASES */
	uint32_t size;   /* bytes of text in a whole answer */
};

/* An answer, framed for the wire. */
struct answer {
	struct asked asked;
	struct buf events; /* HTTP chunks of all events but the last */
	uint32_t *ends;    /* where each ends in events */
	struct buf last;   /* the last event and the terminating chunk, or the whole answer with its head */
	size_t receipt_at, signature_at; /* in last; 0: a raw answer */
	struct receipt receipt;
	uint32_t made;             /* events in events: none, or all but the last */
	struct response *response; /* until all are made; NULL: a raw answer, made at once */
};

struct answers; /* all that were made */

/* An empty store; keys and sign outlive it. */
struct answers *answers_new(struct keys *keys, const struct sign_key *sign);

/* The answer to a raw body, or to its beginning; NULL when that asks for nothing. */
struct answer *answers_raw(struct answers *a, struct slice body);

/* The answer to the sealed body with that hash; NULL when it cannot be opened.  An empty body gives only what
 * is known already. */
struct answer *answers_sealed(struct answers *a, const uint8_t hash[KEY_BYTES], struct slice body);

/* Makes the events of a, all but the last, if they are not made yet: before the first of them is sent, so
 * that their signatures cost nothing while they are measured. */
void answer_make(struct answer *a);

/* The last part of a (all others are made): a's own of a raw one, else with a receipt for this request, in
 * out. */
struct slice answer_last(const struct answers *s, struct answer *a, const uint8_t rid[RID_BYTES],
			 struct buf *out);

#define BODY_MAX (64u << 20)

struct request {
	struct slice path;
	size_t head, length; /* bytes of the head; of the body, unless it is chunked */
	bool chunked;
	bool sealed, authentic; /* has our proxy's header; which can be read, then auth is filled */
	struct authz auth;
};

/* 1: q is filled; 0: the head is not complete; -1: not HTTP, or too long. */
int request_head(const uint8_t *p, size_t n, struct request *q);

/* Takes a chunked body out of its framing; used: bytes that it took in in.  1, 0 or -1 as above. */
int request_unchunk(struct slice in, struct buf *out, size_t *used);

/* A connection's stream under the pacer. */
struct paced {
	struct paced *prev, *next;
	struct pacer *pacer;
};

/* Calls fn for s at each of its due times until pace_stop; with GAP_NONE once in every turn of the loop. */
void pace_start(uv_loop_t *uv, struct paced *s, const struct asked *a, void (*fn)(struct paced *));
void pace_stop(struct paced *s);

/* Serves on fd (listening, nonblocking) for ever. */
void serve(uv_loop_t *uv, int fd, struct answers *a);

#endif
