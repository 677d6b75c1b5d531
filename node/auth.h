/* SPDX-License-Identifier: Apache-2.0
 *
 * X-Sealway-Auth: what a proxy allows its worker to ask of this node
 * (PROTOCOL section 7).
 */
#ifndef SEALWAY_NODE_AUTH_H
#define SEALWAY_NODE_AUTH_H

#include "common/err.h"
#include "common/mem.h"
#include "proto/receipt.h"

struct proxies; /* the public keys of the proxies that this node serves */

/* From the setting proxy_auth_keys: base64 keys or paths of .pub files, by
 * spaces.  ERR_CONFIG (with a log line) when there is none or one is bad. */
enum err proxies_open(struct proxies **out, const char *list) MUST_USE;

/* Frees p; NULL is fine. */
void proxies_free(struct proxies *p);

/* Checks the header against the request that carried it: signature by a known
 * proxy, this node, this body, not expired at now (Unix seconds).  Everything
 * wrong is ERR_AUTH, whatever it is; *out is written only on success.  The
 * caller compares rid and stack. */
enum err auth_check(const struct proxies *p, struct slice header, uint64_t node, struct slice body,
		    uint64_t now, struct authz *out) MUST_USE;

#endif
