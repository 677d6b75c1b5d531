/* SPDX-License-Identifier: Apache-2.0
 *
 * The usage member of an answer (PROTOCOL section 3).  Pure.
 */
#ifndef SEALWAY_WORKER_USAGE_H
#define SEALWAY_WORKER_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/jscan.h"
#include "proto/limits.h"

enum usage_member {
	USAGE_PROMPT,
	USAGE_COMPLETION,
	USAGE_TOTAL,
	USAGE_C_ACCEPTED,
	USAGE_C_AUDIO,
	USAGE_C_REASONING,
	USAGE_C_REJECTED,
	USAGE_P_AUDIO,
	USAGE_P_CACHED,
	USAGE_MEMBERS
};

/* Reads v into usage, what is left out as 0; *has: it was there and not null.
 * ERR_NODE for anything that is no usage, or numbers over USAGE_MAX. */
enum err usage_take(const struct jval *v, uint64_t usage[USAGE_MEMBERS], bool *has) MUST_USE;

/* Appends ,"usage":{...} with every member. */
void usage_build(const uint64_t usage[USAGE_MEMBERS], struct buf *out);

#endif
