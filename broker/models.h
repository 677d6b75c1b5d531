/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions that memory answers: model lists and attestation (proto/query.h).
 */
#ifndef SEALWAY_BROKER_MODELS_H
#define SEALWAY_BROKER_MODELS_H

#include "broker/broker.h"
#include "broker/peers.h"

/* QUERY from a gateway; answered at once by ANSWER or REFUSE. */
void models_query(struct broker *b, struct party *from, struct slice msg);

/* USD per unit as decimal text ("0.000000001") from micro-USD per million units. */
void models_price_text(uint64_t price, struct buf *out);

#endif
