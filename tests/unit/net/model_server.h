/* SPDX-License-Identifier: Apache-2.0
 *
 * The server of test_upstream_model.c: it answers each request as the dice fall,
 * whole or cut, at once or piece by piece, before or after it has read it, with
 * or without TLS, and keeps a record of what it saw and said.
 */
#ifndef SEALWAY_TESTS_UNIT_NET_MODEL_SERVER_H
#define SEALWAY_TESTS_UNIT_NET_MODEL_SERVER_H

#include <openssl/ssl.h>
#include <uv.h>

#include "common/mem.h"

/* How the server leaves off. */
enum model_cut {
	CUT_NONE,  /* it says all that it has to say */
	CUT_FIN,   /* it closes within the answer */
	CUT_RESET, /* or resets the connection there */
	CUT_STALL, /* or says no more */
};

/* One answer to one request. */
struct model_reply {
	bool reused;    /* its connection carried another exchange before */
	bool bounded;   /* the end of the body is marked */
	bool malformed; /* not HTTP, within its head */
	bool lossy;     /* closed with bytes unread: the kernel may have thrown some of the answer away */
	enum model_cut cut;
	int status;
	size_t said, whole; /* bytes that went to the socket; that the answer has */
	struct buf payload;
};

/* One request: what the server has to know of it, and its record. */
struct model_ask {
	unsigned id;
	const char *method;
	bool may_stall; /* the client has short deadlines */
	struct slice body;
	unsigned seen; /* how often its head came */
	struct model_reply reply[2];
};

struct model_server;

/* ctx NULL: without TLS.  find: the request of an id, or NULL. */
struct model_server *model_open(uv_loop_t *uv, SSL_CTX *ctx, struct model_ask *(*find)(unsigned id));
void model_close(struct model_server *s);
uint16_t model_port(const struct model_server *s);
/* Connections that the server closed between exchanges without having said that it would. */
unsigned model_idle_ends(const struct model_server *s);
/* Those of them that had not carried a request yet. */
unsigned model_stillborn(const struct model_server *s);

/* From 0 to n - 1. */
unsigned model_dice(unsigned n);

#endif
