/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of networks in CIDR form, for the settings that name them.
 */
#ifndef SEALWAY_COMMON_NET_NETWORKS_H
#define SEALWAY_COMMON_NET_NETWORKS_H

#include <stdbool.h>
#include <sys/socket.h>

#include "common/err.h"

struct networks;

/* Reads "10.0.0.0/8 fd00::/8", separated by spaces or commas; a bare address is
 * itself.  ERR_CONFIG for anything else or more than 64; *out is written only
 * on success and is never NULL then. */
enum err networks_parse(const char *text, struct networks **out) MUST_USE;

/* Frees n; NULL is fine. */
void networks_free(struct networks *n);

/* Whether sa lies in one of them; v4-mapped addresses count as IPv4. */
bool networks_hold(const struct networks *n, const struct sockaddr *sa);

/* Whether a node may be at sa: what lies inside only where n says so; without TLS nowhere
 * else, because the way there is not ours. */
bool networks_allow(const struct networks *n, const struct sockaddr *sa, bool tls);

#endif
