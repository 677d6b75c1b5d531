/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of test_model.c share: requests, of which each side notes what it
 * said and heard, and the clients that send them (model_client.c, model_h1.c,
 * model_h2.c).
 */
#ifndef SEALWAY_TESTS_UNIT_HTTPD_MODEL_H
#define SEALWAY_TESTS_UNIT_HTTPD_MODEL_H

#include <openssl/ssl.h>
#include <uv.h>

#include "common/httpd/httpd.h"
#include "common/mem.h"

#define ASKS_MAX 8  /* requests of a client */
#define NOTE_MAX 40 /* bytes of the field that each carries */

enum style {
	RESPOND,
	RESPOND_STATIC,
	STREAM,       /* of unknown length */
	STREAM_SIZED, /* of an announced one */
	GIVE_UP,      /* abort, nothing begun */
	NEVER,
};

struct client;

/* A request and its answer. */
struct ask {
	unsigned id, nth; /* nth of its client */
	struct client *client;
	const char *method;
	struct slice body;
	char note[NOTE_MAX + 1];
	bool chunked, expect, close, old; /* HTTP/1; old: 1.0 */
	/* what the handler is to do */
	enum style style;
	int status;
	struct slice payload;
	size_t stop_at; /* cut there, when below payload.n */
	unsigned delay; /* steps before it begins */
	bool eager;     /* does not wait for what it wrote to be taken */
	bool dropped_body;
	/* what the handler saw and did */
	struct hreq *r; /* NULL: over, or not there yet */
	unsigned seen, gone;
	bool over, begun, ended, aborted;
	size_t written, taken;
	/* what the client did and saw */
	size_t said_to;  /* HTTP/1: where it ends in all that the client says */
	size_t body_out; /* HTTP/2: bytes of the body put into frames */
	uint32_t stream; /* HTTP/2 */
	bool asked;      /* the server may have all of it */
	bool complete;   /* its last byte is with the kernel */
	bool due;        /* was complete, or its stream open, when the drain began */
	bool begged;     /* HTTP/2: HEADERS are said */
	bool dropped;    /* HTTP/2: reset by the client */
	bool told_stop;  /* HTTP/2: the body is not wanted */
	bool interim;    /* 100 came */
	int got_status;  /* 0: none */
	uint64_t length; /* as announced, UINT64_MAX for none */
	size_t got;
	bool whole, cut;
	int64_t window; /* HTTP/2: what the server may still send */
	int64_t room;   /* ... and the client */
};

enum fate {
	WELL,       /* behaves to the end */
	VANISH,     /* closes, at some step */
	RESET,      /* resets the connection */
	HALF_CLOSE, /* says that it will say no more, and reads on */
	DEAF,       /* reads no more, and vanishes later */
	GARBLE,     /* says something that is no protocol */
};

struct client {
	unsigned id;
	int fd; /* -1: over */
	bool h2, narrow;
	SSL *ssl;
	struct buf out;  /* to be said */
	struct buf wire; /* the same as it goes to the socket */
	struct buf in;   /* heard and not taken apart */
	size_t moved;    /* bytes that went from out to wire */
	struct ask *ask[ASKS_MAX];
	unsigned n, next, answered; /* requests; to be said next; HTTP/1: answers done */
	enum fate fate;
	unsigned fate_at, steps;
	unsigned piece_out, piece_in, lazy; /* bytes at once; one step in lazy reads */
	bool excused;                       /* did something that the server may end it for */
	bool ending;  /* the server is to end it, with or after the answer in progress */
	bool may_end; /* the server may end it whenever no answer is due */
	bool deaf, shut, garbled;
	bool pipelines, lingers;
	bool stays; /* leaves only when the server ends the connection */
	/* HTTP/1: where the answer is */
	int at;
	uint64_t left;
	/* HTTP/2 */
	bool greeted, goaway;
	int64_t window, room; /* of the connection */
	int64_t first_window, first_room;
	bool exact; /* opens windows for what the answers have, and no byte more */
	uint32_t max_id;
	unsigned owed; /* answers to its PINGs and SETTINGS */
};

/* From 0 to n - 1. */
unsigned dice(unsigned n);
/* One of these bytes, by and large small: less than n. */
size_t dice_size(size_t n);

/* Fails with all that is known of the request. */
void model_fail(const struct ask *a, const char *why);

static inline void must(const struct ask *a, bool well, const char *why)
{
	if (!well)
		model_fail(a, why);
}

/* Fails with what is known of the client. */
void client_must(const struct client *c, bool well, const char *why);

/* --- model_check.c --- */

extern struct checked {
	bool lenient;                  /* of the round: something is too short or too small */
	unsigned whole, cut, required; /* of all rounds; required: the client had a right to its answer */
} checked;

/* Once the round is over. */
void check_ask(const struct ask *a);

/* --- model_client.c --- */

/* Connects; asks are to be there. */
void client_open(struct client *c, uint16_t port, SSL_CTX *ctx);
/* Does something of all that it has to do. */
void client_step(struct client *c);
void client_close(struct client *c, bool reset);

/* An answer's parts, as they come. */
void answer_head(struct ask *a, int status, uint64_t length);
void answer_bytes(struct ask *a, const uint8_t *p, size_t n);
void answer_end(struct ask *a);
/* No bytes belong to an answer of that status, whatever is announced. */
bool bodiless(const struct ask *a, int status);

/* --- model_h1.c, model_h2.c, model_h2_hear.c --- */

/* Puts what it can say next into out. */
void h1_say(struct client *c);
/* Takes apart what came.  eof: and no more will. */
void h1_hear(struct client *c, bool eof);
bool h1_done(const struct client *c);

void h2_say_hello(struct client *c);
void h2_say(struct client *c);
void h2_hear(struct client *c);
bool h2_done(const struct client *c);

#endif
