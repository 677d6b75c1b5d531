/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus: one ROUTER for gateways and workers.  Checks who may say what on
 * every message, hands it to its verb, and sends.
 */
#ifndef SEALWAY_BROKER_ROUTER_H
#define SEALWAY_BROKER_ROUTER_H

#include "broker/broker.h"
#include "broker/peers.h"
#include "proto/job.h"

/* Binds the bus.  ERR_CONFIG or ERR_IO, said in the log. */
enum err router_open(struct broker *b) MUST_USE;

/* With CURVE: proves that a stranger's key is refused; turns the loop meanwhile, so
 * that everything has to be there already.  ERR_KEY, said in the log. */
enum err router_selftest(struct broker *b) MUST_USE;

/* Sends msg (emptied in any case) to a peer; one that cannot take it now is
 * left to its heartbeat. */
enum err router_send(struct broker *b, const struct party *to, struct buf *msg);

/* The same to whoever sent parts, who need not be a peer.  False: it is no key that may be on the bus. */
bool router_answer(struct broker *b, struct zmsg *parts, struct buf *msg);

/* The same with a body as a second frame, whose bytes are shared: it stays the caller's. */
enum err router_send_body(struct broker *b, const struct party *to, struct buf *msg,
			  struct zmsg *body) MUST_USE;

/* Refuses a request of the gateway with that topic (m->rid). */
void router_refuse_with(struct broker *b, uint64_t topic, const struct refuse *m);

/* The same without a quota. */
void router_refuse(struct broker *b, uint64_t topic, const uint8_t rid[RID_BYTES], enum err e,
		   const char *param, uint32_t retry_after_s);

#endif
