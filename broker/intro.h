/* SPDX-License-Identifier: Apache-2.0
 *
 * Introductions between workers and gateway threads (proto/peer.h): PEER to the
 * worker, PEER_OK back, INTRO to the gateway, HEARD from the worker.
 */
#ifndef SEALWAY_BROKER_INTRO_H
#define SEALWAY_BROKER_INTRO_H

#include "broker/broker.h"
#include "broker/peers.h"

/* Introduces p to everybody of the other role; again is harmless. */
void intro_newcomer(struct broker *b, const struct party *p);

/* Tells gateways that a worker is gone, workers that a gateway is. */
void intro_worker_gone(struct broker *b, const struct party *worker);
void intro_gateway_gone(struct broker *b, const struct party *gateway);

#endif
