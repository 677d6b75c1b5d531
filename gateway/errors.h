/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON body of a refusal (PROTOCOL section 5).  Pure.
 */
#ifndef SEALWAY_GATEWAY_ERRORS_H
#define SEALWAY_GATEWAY_ERRORS_H

#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

/* Why a request is refused, beside its error.  All zero is a refusal without details. */
struct refusal {
	struct slice param;     /* member at fault; empty = null */
	const char *what;       /* static text added to the message, or NULL; never the client's own bytes */
	uint32_t retry_after_s; /* 0 = the default of the status */
};

/* Appends {"error":{...}} for e.  shown is the X-Request-Id of the answer
 * (visible ASCII).  Every member of section 5 is there, null where unknown. */
void error_write(struct buf *out, enum err e, const struct refusal *why, const char *shown);

/* Seconds for Retry-After: 429 and 503 always have one (asked, or 1); 0 = no header. */
uint32_t error_retry_after(enum err e, uint32_t asked);

/* What a peer's error number means to a client: numbers out of range, ERR_OK
 * and errors that are inside a process only read as ERR_INTERNAL. */
enum err error_outward(enum err e);

#endif
