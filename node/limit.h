/* SPDX-License-Identifier: Apache-2.0
 *
 * Agreements between the clear part of a request and its plaintext, and the
 * bounds of its answer (PROTOCOL section 2 "Units", section 7).  Pure.
 */
#ifndef SEALWAY_NODE_LIMIT_H
#define SEALWAY_NODE_LIMIT_H

#include "node/engine.h"
#include "node/json.h"

/* The member with which a client blinds its plaintext (PROTOCOL section 4.6);
 * removed before an engine sees the request. */
#define BLIND_MEMBER "sealway_blind"

struct agreement {
	enum endpoint endpoint;
	struct slice model; /* clear model_name */
	bool stream;        /* clear stream */
};

/* Compares the plaintext with the clear members, and removes the blinding
 * member.  *include_usage: stream_options.include_usage of a stream.  ERR_BODY. */
enum err limit_agree(json_t *plain, const struct agreement *a, bool *include_usage) MUST_USE;

/* Works out the bounds within units (the reservation) and max_units (of the
 * model), and puts max_tokens within them into plain, with the same number as
 * max_completion_tokens if the caller used that.
 * ERR_BODY for malformed members, a prompt that alone exceeds the bounds, more
 * than one prompt or choice per answer, or images over the reservation. */
enum err limit_apply(json_t *plain, enum endpoint ep, struct engine *engine, uint64_t units,
		     uint64_t max_units, struct bounds *out) MUST_USE;

#endif
