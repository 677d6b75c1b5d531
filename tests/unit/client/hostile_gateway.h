/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway of test_sealway_model.c, with a node behind it: it answers locks and
 * sealed requests as the dice fall, right or in one of many wrong ways, with and
 * without TLS, in any pieces, and keeps a record of what it did.  One thread and one client each.
 */
#ifndef SEALWAY_TESTS_HOSTILE_GATEWAY_H
#define SEALWAY_TESTS_HOSTILE_GATEWAY_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "fake_node.h"

/* What is wrong with an answer: one thing at most. */
enum evil {
	EVIL_NONE,
	/* the connection, anywhere in the answer */
	EVIL_FIN,
	EVIL_RESET,
	EVIL_STALL,
	/* HTTP */
	EVIL_UNBOUNDED, /* nothing marks the end of its body */
	EVIL_GARBAGE,   /* no HTTP */
	EVIL_CHUNK,     /* a chunk without a size */
	EVIL_HEAD,      /* a head without end */
	/* the service */
	EVIL_STATUS,
	EVIL_TYPE,  /* of the content */
	EVIL_EMPTY, /* no byte of a body */
	EVIL_BROKE, /* an error event */
	/* the objects */
	EVIL_DROP,
	EVIL_REPEAT,
	EVIL_SWAP,
	EVIL_ALTER,  /* one character of one member */
	EVIL_SHORT,  /* a ciphertext without its end */
	EVIL_OTHER,  /* an object of another request */
	EVIL_REPLAY, /* the whole answer to an earlier one */
	EVIL_MORE,   /* an object behind the last */
	EVIL_NO_FINAL,
	EVIL_HALF,  /* the last event is not ended */
	EVIL_FLOOD, /* an event without end */
	EVILS
};

enum asked { ASKED_LOCK, ASKED_REQUEST, ASKED_LIST };

/* What the gateway did with one request. */
struct deed {
	enum asked asked;
	unsigned round; /* the client's call it belongs to */
	enum evil evil;
	int status;
	const char *code;   /* of a refusal */
	bool resent;        /* the sealed request came before, to the byte */
	bool later;         /* a refusal that is to be tried again after a second */
	bool begun;         /* the first line of the answer went out whole before it was cut */
	unsigned serial, n; /* the truth: hostile_text of these */
	unsigned good;      /* so many objects come before what is wrong */
};

#define DEEDS_MAX 24

struct hostile {
	int fd, port;
	pthread_t thread;
	SSL_CTX *ctx;
	struct fake_node node;
	pthread_mutex_t lock; /* everything below, which both sides use */
	bool over;
	/* set by the client for its next call */
	unsigned round;
	bool stream, foreign, may_stall, may_wait;
	/* the record of that call */
	struct deed deed[DEEDS_MAX];
	unsigned deeds;
	unsigned done[EVILS]; /* of all calls */
	/* the gateway's own */
	unsigned dice, serial;
	struct buf nonces;  /* of every sealed request that came */
	struct buf earlier; /* the body of an answer to another request */
	bool earlier_stream;
};

/* An answer on its way to the wire. */
struct reply {
	struct deed d;
	struct buf body;
	const char *type;
	const char *headers; /* more of them */
};

/* ctx: of the gateway's TLS. */
void hostile_open(struct hostile *h, SSL_CTX *ctx, unsigned seed);
void hostile_close(struct hostile *h);

/* From 0 to n - 1. */
unsigned hostile_dice(unsigned *state, unsigned n);

/* The plaintext of object i of the answer with that number. */
void hostile_text(unsigned serial, unsigned i, struct buf *out);

/* hostile_answer.c: decides what is said to a request with that body, and writes it to r. */
void hostile_decide(struct hostile *h, struct slice body, struct reply *r);

/* hostile_wire.c: the same as bytes, and where its first line ends. */
size_t hostile_http1(unsigned *dice, struct reply *r, bool *keep, struct buf *out);

/* Ends the test: the gateway or the client did what may not be. */
void hostile_fail(const struct hostile *h, const char *why) __attribute__((noreturn));

#endif
