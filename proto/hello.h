/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers introduce themselves to the broker and stay in touch.  A peer's
 * identity is its CURVE key where there is one; instance tells its lives
 * apart.  Decoders borrow from bytes; *out is written only on success.
 */
#ifndef SEALWAY_PROTO_HELLO_H
#define SEALWAY_PROTO_HELLO_H

#include "proto/msg.h"

enum role { ROLE_GATEWAY = 1, ROLE_WORKER = 2, ROLE_MAX };

/* [v, HELLO, nil, role, instance, name, version, endpoint, key | nil, capacity, inflight] */
struct hello {
	enum role role;
	uint64_t instance;     /* random per life; of a gateway thread it is also its topic */
	struct slice name;     /* for people: host and pid, <= 64 bytes */
	struct slice version;  /* software, <= 32 bytes */
	struct slice endpoint; /* worker: XPUB endpoint that gateways connect to; else empty */
	struct slice key;      /* CURVE public key of that endpoint (32), or empty */
	uint32_t capacity;     /* worker: jobs at a time; else 0 */
	uint32_t inflight;     /* worker: how many INFLIGHT and SETTLE messages follow the WELCOME */
};

/* [v, WELCOME, nil, epoch, broker instance, interval_ms, member] */
struct welcome {
	uint64_t epoch;    /* of the broker's lease; grows with each broker life */
	uint64_t instance; /* of the broker */
	uint32_t interval_ms;
	uint64_t member; /* grows with each peer that is taken in: another one than before says that this
			  * broker had taken the peer for dead and given up what was its */
};

/* [v, PING, nil, instance, epoch, load, draining]; the PONG has the same shape and
 * carries the broker's instance, or 0: the broker does not know who asked, it has to say HELLO. */
struct ping {
	uint64_t instance;
	uint64_t epoch; /* last seen; 0 before the first WELCOME */
	uint32_t load;  /* jobs in hand */
	bool draining;  /* takes no new work */
};

/* [v, BYE, nil, instance]: leaves now; nothing is in flight any more. */
struct bye {
	uint64_t instance;
};

/* Appends the message to out. */
void hello_encode(const struct hello *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err hello_decode(struct slice bytes, struct hello *out) MUST_USE;
/* Appends the message to out. */
void welcome_encode(const struct welcome *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err welcome_decode(struct slice bytes, struct welcome *out) MUST_USE;
/* Appends the message to out. */
void ping_encode(const struct ping *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err ping_decode(struct slice bytes, struct ping *out) MUST_USE;
/* Appends the message to out. */
void pong_encode(const struct ping *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err pong_decode(struct slice bytes, struct ping *out) MUST_USE;
/* Appends the message to out. */
void bye_encode(const struct bye *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err bye_decode(struct slice bytes, struct bye *out) MUST_USE;

#endif
