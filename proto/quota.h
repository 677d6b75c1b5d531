/* SPDX-License-Identifier: Apache-2.0
 *
 * What is left of a user's request limit, as it travels beside an answer to the
 * RateLimit headers (docs/PROTOCOL.md section 5).
 */
#ifndef SEALWAY_PROTO_QUOTA_H
#define SEALWAY_PROTO_QUOTA_H

#include <stdint.h>

/* limit 0: no limit is told, and the rest is 0, too. */
struct quota {
	uint64_t limit;     /* at most, in the limit's own window */
	uint64_t remaining; /* at most limit */
	uint32_t reset_s;   /* until all of it is there again */
};

#endif
