/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's parts, made by main in this order and destroyed in reverse.
 */
#ifndef SEALWAY_BROKER_BROKER_H
#define SEALWAY_BROKER_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/clock.h"
#include "broker/conf.h"
#include "broker/ledger.h"
#include "broker/node.h"
#include "broker/store.h"
#include "broker/url.h"
#include "broker/verify.h"
#include "common/loop.h"
#include "common/map.h"
#include "common/zauth.h"
#include "common/zsock.h"

struct broker {
	struct broker_conf conf;
	struct loop *loop;
	uv_loop_t *uv;
	struct networks *networks;
	struct zctx *zctx;
	struct zauth *zauth;        /* NULL without CURVE */
	struct allow *allow;        /* the same */
	uint8_t bus_key[KEY_BYTES]; /* public, of the bus */
	struct zsock *bus, *desk;
	struct clock *clock;
	struct alarms *alarms; /* the clock's */
	struct store *store;
	struct ledger *ledger;
	struct registry *registry;
	struct verify *verify;
	struct readings *readings;
	struct peers *peers;
	struct queue *queue;
	struct map *tasks;            /* rid -> struct task */
	struct waiting *lock_answers; /* that wait for a commit (lock.c) */
	struct admin_http *http;
	struct alarm drain_alarm, purge_alarm;
	uint64_t epoch;                           /* of our lease */
	uint64_t instance;                        /* of this life */
	uint64_t body_bytes;                      /* of tasks that wait */
	uint64_t waiting;                         /* tasks that no worker has yet */
	unsigned probes;                          /* under way */
	uint64_t probe_turns;                     /* of workers */
	uint64_t evidence_second, evidence_bytes; /* answered in the running second (models.c) */
	bool draining;
};

/* Opens everything on uv's loop with b->conf (b zero otherwise): ledger, bus,
 * operator's socket.  On failure, said in the log, broker_close still applies. */
enum err broker_open(struct broker *b, uv_loop_t *uv) MUST_USE;

/* Closes everything; run the loop until its handles are closed, then free
 * b->zctx. */
void broker_close(struct broker *b);

/* False while commits fail, or far too many wait: promise nothing that needs one. */
bool broker_can_write(const struct broker *b);

/* ERR_OK when new work may be admitted; what to refuse with otherwise. */
enum err broker_admits(const struct broker *b) MUST_USE;

/* Unix seconds, and the loop's ms. */
static inline int64_t broker_now(void)
{
	return (int64_t)loop_unix();
}

static inline uint64_t broker_ms(const struct broker *b)
{
	return loop_now(b->uv);
}

/* Submits op when there is one, without a callback. */
void broker_keep(struct broker *b, struct store_op *op);

/* Submits op; done(arg) runs after its commit. */
void broker_commit(struct broker *b, struct store_op *op, void (*done)(void *arg, enum err result),
		   void *arg);

#endif
