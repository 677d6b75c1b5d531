/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/nodes (PROTOCOL section 8).
 */
#ifndef SEALWAY_BROKER_REGISTER_H
#define SEALWAY_BROKER_REGISTER_H

#include "broker/broker.h"
#include "broker/peers.h"

/* REGISTER from a gateway: answered by an empty ANSWER once committed, or REFUSE
 * (401 bad signature, 404 unknown or not admitted node, 400 the rest). */
void register_node(struct broker *b, struct party *from, struct slice msg);

#endif
