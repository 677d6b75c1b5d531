/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses that nodes announce, looked at before anybody connects (issue of
 * server-side request forgery): the worker looks again at every connect, at
 * what the name resolved to.
 */
#ifndef SEALWAY_BROKER_URL_H
#define SEALWAY_BROKER_URL_H

#include "common/err.h"
#include "common/mem.h"
#include "common/net/networks.h"

/* Checks a node's URL: http or https, a host name or literal, an optional port;
 * no user, path (but "/"), query or fragment; at most URL_BYTES_MAX; plain http
 * and inward addresses only as literals inside n.  Gives its length without a
 * trailing slash.  ERR_FORMAT or ERR_RANGE (http or inward, outside n). */
enum err url_check(struct slice url, const struct networks *n, size_t *bare) MUST_USE;

#endif
