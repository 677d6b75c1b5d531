/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses that nodes announce, looked at before anybody connects (issue of
 * server-side request forgery): the worker looks again at every connect, at
 * what the name resolved to.
 */
#ifndef SEALWAY_BROKER_URL_H
#define SEALWAY_BROKER_URL_H

#include <stdbool.h>

#include "common/err.h"
#include "common/mem.h"

struct networks;

/* A space separated list of CIDR networks, IPv4 or IPv6; "" is none.  ERR_FORMAT. */
enum err networks_new(struct networks **out, const char *list) MUST_USE;

/* NULL is fine. */
void networks_free(struct networks *n);

/* Whether a literal address ("10.0.0.1", "fd00::1", without brackets) lies in
 * one of them; false for anything that is not a literal. */
bool networks_hold(const struct networks *n, struct slice host);

/* Checks a node's URL: http or https, a host name or literal, an optional port;
 * no user, path (but "/"), query or fragment; at most URL_BYTES_MAX; plain http
 * only for literals inside n.  Gives its length without a trailing slash.
 * ERR_FORMAT or ERR_RANGE (http outside n). */
enum err url_check(struct slice url, const struct networks *n, size_t *bare) MUST_USE;

#endif
