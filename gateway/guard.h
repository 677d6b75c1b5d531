/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks on request heads, in the order of PROTOCOL section 2: 401 for an
 * absent or malformed Authorization, then 415, then 413.  Pure.
 */
#ifndef SEALWAY_GATEWAY_GUARD_H
#define SEALWAY_GATEWAY_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

#define GUARD_TOKEN_MAX 512 /* bytes; ours have 54 */
#define GUARD_SHOWN_MAX 128 /* X-Request-Id, PROTOCOL section 1 */

/* The bearer token of an Authorization header (RFC 6750; scheme in any case):
 * writes H(token), never the token.  count: how many such headers came.
 * ERR_AUTH for none, several, another scheme or characters no token has. */
enum err guard_bearer(struct slice value, unsigned count, uint8_t token_hash[32]) MUST_USE;

/* ERR_MEDIA unless exactly one Content-Type says application/json (any case,
 * parameters allowed: the body's own check decides about the encoding). */
enum err guard_media(struct slice value, unsigned count) MUST_USE;

/* Whether a client's X-Request-Id may be shown back: exactly one, 1..128 bytes
 * of visible ASCII. */
bool guard_shown(struct slice value, unsigned count);

#endif
