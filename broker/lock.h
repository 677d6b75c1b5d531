/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/nodes/lock (PROTOCOL section 6).
 */
#ifndef SEALWAY_BROKER_LOCK_H
#define SEALWAY_BROKER_LOCK_H

#include "broker/broker.h"
#include "broker/peers.h"

/* LOCK from a gateway: picks a node, finds or buys a stack, reserves; answered
 * by LOCKED after the commit, or REFUSE. */
void lock_ask(struct broker *b, struct party *from, struct slice msg);

/* The database cannot be written: whoever waits for a lock's commit is told so.  Their locks end by the
 * clock. */
void lock_refuse_waiting(struct broker *b);

/* Lets a loaded lock end by the clock. */
void lock_watch(struct broker *b, struct lock *k);

/* Ends the locks given for a key that its node does not have. */
void lock_drop_key(struct broker *b, uint64_t node, const uint8_t key[KEY_BYTES]);

#endif
