/* SPDX-License-Identifier: Apache-2.0
 *
 * A request, sealed or plain, from the worker's bytes to an answer under way.
 */
#ifndef SEALWAY_NODE_REQUEST_H
#define SEALWAY_NODE_REQUEST_H

#include "node/node.h"
#include "proto/receipt.h"

/* Opens (if it is sealed) and checks the body of r, which a carries the permission for, and
 * starts its answer or refuses it.  Takes r over. */
void request_take(struct node *n, struct hreq *r, enum endpoint ep, const struct authz *a);

#endif
