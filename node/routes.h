/* SPDX-License-Identifier: Apache-2.0
 *
 * What the node serves to workers (PROTOCOL section 7).
 */
#ifndef SEALWAY_NODE_ROUTES_H
#define SEALWAY_NODE_ROUTES_H

#include "common/httpd/httpd.h"

/* on_request of the HTTP server; arg is the struct node. */
void routes_request(void *arg, struct hreq *r);

#endif
