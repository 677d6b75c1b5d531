/* SPDX-License-Identifier: Apache-2.0
 *
 * One gateway thread between a scripted broker, a scripted worker and plain
 * sockets as clients, all in one process: the test plays every part but the
 * gateway's.  Everything waits on conditions, at most LIVE_MS.
 */
#ifndef SEALWAY_TESTS_GATEWAY_LIVE_H
#define SEALWAY_TESTS_GATEWAY_LIVE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <uv.h>

#include "common/zsock.h"
#include "gateway/conf.h"
#include "gateway/thread.h"
#include "proto/chunk.h"
#include "proto/hello.h"
#include "proto/job.h"
#include "tests/unit/tempdir.h"

#define LIVE_MS 5000

/* The interval that the broker names in its WELCOME; 150 unless a test sets it before live_start. */
extern uint32_t live_interval_ms;

struct live_got { /* one message at the broker */
	enum msg_type type;
	struct buf head, body;
};

struct live {
	uv_loop_t uv;
	uv_timer_t clock;
	bool late;
	struct zctx *ctx;
	struct gw_conf conf;
	char dir[TEMPDIR_ROOM], brokers[200];
	struct thread *gw;
	uint16_t port;
	atomic_bool ended;
	int rcvbuf; /* of the next client, 0 = the system's */
	/* broker */
	struct zsock *bus;
	uint64_t epoch, instance; /* of its present life */
	bool mute;                /* does not answer HELLO and PING */
	bool stranger;            /* does not answer HELLO, and says to PING that it does not know us */
	struct slice foreign;     /* what it answers to HELLO in place of a WELCOME, when not empty */
	uint8_t peer[32];         /* routing id of the gateway */
	size_t peer_n;
	struct hello hello; /* the last one's numbers */
	unsigned hellos, pings, byes, heard;
	bool draining; /* the last PING said so */
	struct live_got got[64];
	size_t n_got;
	/* worker */
	struct zsock *pub;
	uint64_t worker, topic;
	struct credit credits[256];
	size_t n_credits;
	struct cancel cancels[16];
	size_t n_cancels;
};

/* A client's connection: what came back so far. */
struct live_client {
	int fd;
	bool closed;
	struct buf in;
};

/* Starts broker and gateway; tune (may be NULL) changes the configuration first.
 * worker: also starts a worker, introduces it and waits for its subscription. */
void live_start(struct live *l, void (*tune)(struct gw_conf *c), bool worker);

/* Ends everything (live_ended may have ended the gateway before). */
void live_stop(struct live *l);

/* Runs the loop until done(arg); fails the test after LIVE_MS. */
void live_until(struct live *l, bool (*done)(void *arg), void *arg);

/* Runs the loop for ms. */
void live_for(struct live *l, unsigned ms);

/* Waits until the gateway has a broker, or has none. */
void live_linked(struct live *l, bool up);

/* Waits until the gateway thread has ended. */
void live_ended(struct live *l);

/* Closes the broker's socket, or opens it again as another life. */
void live_broker_down(struct live *l);
void live_broker_up(struct live *l);

/* Sends an encoded message (freed) from the broker to the gateway. */
void live_say(struct live *l, struct buf *head);

/* Waits for the n-th message (from 0) of the gateway besides HELLO, PING, BYE. */
const struct live_got *live_message(struct live *l, size_t n, enum msg_type type);

/* Introduces the worker, or says that it is gone. */
void live_intro(struct live *l, bool present);

/* Publishes c for the request of job, filling in what is not the test's point
 * (topic, rid, worker, epoch 1, attempt 1 where they are 0). */
void live_publish(struct live *l, const struct job *job, struct chunk c);

/* Connects and sends text. */
void live_connect(struct live *l, struct live_client *c, struct slice text);

/* Waits until text has come back. */
void live_expect(struct live *l, struct live_client *c, const char *text);

/* Waits until the connection is closed by the gateway. */
void live_expect_close(struct live *l, struct live_client *c);

/* Whether text has come back by now. */
bool live_has(const struct live_client *c, const char *text);

/* Closes the client's side. */
void live_hang_up(struct live_client *c);

/* POSTs a valid confidential body on path and waits for its JOB, the n-th
 * message. */
void live_post(struct live *l, struct live_client *c, const char *path, bool stream, size_t n,
	       struct job *job);

#endif
