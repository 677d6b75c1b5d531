/* SPDX-License-Identifier: Apache-2.0
 *
 * The receipt of an answer against everything the client knows (PROTOCOL section
 * 4.8).
 */
#ifndef SEALWAY_CLIENT_VERIFY_H
#define SEALWAY_CLIENT_VERIFY_H

#include "client/open_response.h"
#include "common/jscan.h"

/* Checks o->proof.receipt: its signature by the node's signing key, endpoint,
 * outcome, stack, node key, plaintext hash, model, transcript, number of
 * objects, units against the clear usage, and its time.  The request id is not
 * known to a client.  Fills o->proof.decoded. */
bool verify_receipt(struct opener *o, const struct jval *usage, struct fault *f);

#endif
