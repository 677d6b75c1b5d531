/* SPDX-License-Identifier: Apache-2.0
 *
 * What the settings of a registration come to: where to, and with which evidence.
 */
#ifndef SEALWAY_NODE_REGISTER_CONF_H
#define SEALWAY_NODE_REGISTER_CONF_H

#include "common/err.h"
#include "common/mem.h"

#define GATEWAYS_MAX 16

struct register_conf {
	char *urls[GATEWAYS_MAX]; /* with their path */
	unsigned n;
	struct buf evidence;
};

/* Reads both into *out (all zero before), whose memory is the caller's then: taken over,
 * or given to register_conf_free.  ERR_CONFIG (a bad URL, unreadable or too large evidence)
 * with a log line, and nothing is left. */
enum err register_conf_read(const char *gateways, const char *evidence_file,
			    struct register_conf *out) MUST_USE;

/* Frees what was read, after which c is empty; fine also when all is zero. */
void register_conf_free(struct register_conf *c);

#endif
