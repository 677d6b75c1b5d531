/* SPDX-License-Identifier: Apache-2.0
 *
 * An error object of PROTOCOL section 5, safe to show.
 */
#ifndef SEALWAY_CLIENT_REFUSAL_H
#define SEALWAY_CLIENT_REFUSAL_H

#include "client/http.h"

struct refusal {
	int status; /* 0: an error event inside a stream */
	unsigned retry_after;
	char code[48], reason[48], message[256], param[64], request_id[129];
	bool final; /* of a sealed request that was sent twice: the first one may have been answered and
		       billed */
};

/* Reads {"error":{...}}; what cannot be read stays empty. */
void refusal_read(struct slice json, struct refusal *out);

/* Sets f: "400 INVALID_BODY: malformed ... (max_tokens) [request ...]". */
bool refusal_tell(const struct refusal *r, const char *during, enum sealway_status status, struct fault *f);

#endif
