/* SPDX-License-Identifier: Apache-2.0
 *
 * Gateways and workers whose messages are not those of this broker: they are told
 * so, as far as they can be, and the operator is.
 */
#ifndef SEALWAY_BROKER_VERSION_H
#define SEALWAY_BROKER_VERSION_H

#include "broker/broker.h"
#include "broker/peers.h"

/* msg (parts[1], behind a routing id) has another version: its sender gets a WELCOME, in front of which
 * stands ours. */
void version_other(struct broker *b, struct zmsg *parts, struct slice msg);

/* After a HELLO of p: whether it shows that p does not understand our WELCOME, which has the same number as
 * its own and another form.  True once; from then on p is foreign, until it says PING. */
bool version_foreign(const struct broker *b, struct party *p);

#endif
