/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds ConfidentialComputeRequest bodies for tests: a valid one, in which any
 * member can be replaced by raw JSON text, left out, or followed by more text.
 */
#ifndef SEALWAY_TESTS_GATEWAY_BODY_H
#define SEALWAY_TESTS_GATEWAY_BODY_H

#include <string.h>

#include "common/mem.h"

struct body_member {
	const char *name, *raw;
};

/* Values of tests/vectors/confidential.json where their size matters. */
static const struct body_member body_members[] = {
	{ "ciphertext", "\"dlydr9OqsivwqEQDadI1a0WKbR6DI1VUg7zt2KBoU0pVp84D\"" },
	{ "nonce", "\"lHmgMHQgDxL5Qul5\"" },
	{ "salt", "\"tdVWMsPtgS939NxVOQAWaw==\"" },
	{ "client_dh_public_key", "\"fLJPcO13vS8QHQBdmoCvTe33Qf6gXe4/t+6HKYBHWFs=\"" },
	{ "node_dh_public_key", "\"GcLFiAH4Xb4bNIFrfzeTI7oKp/UMm4I6CeHNAs1MWiM=\"" },
	{ "plaintext_body_hash", "\"NAUJlxl5TK3J/M50/Pm0iuWDdAtijwkDwN8ifX24vGA=\"" },
	{ "model_name", "\"demo\"" },
	{ "stack_small_id", "42" },
};

#define BODY_MEMBERS (sizeof(body_members) / sizeof(body_members[0]))

static inline void body_put(struct buf *b, const char *name, const char *raw)
{
	buf_fmt(b, "%s\"%s\":", b->n > 1 ? "," : "", name);
	buf_str(b, raw);
}

/* A valid body in which member name has the JSON text raw instead (added when
 * it is none of the required ones); raw NULL leaves it out, name NULL changes
 * nothing. */
static inline void body_with(struct buf *b, const char *name, const char *raw)
{
	bool seen = false;

	buf_str(b, "{");
	for (size_t i = 0; i < BODY_MEMBERS; i++) {
		bool it = name && strcmp(name, body_members[i].name) == 0;

		seen |= it;
		if (!it || raw)
			body_put(b, body_members[i].name, it ? raw : body_members[i].raw);
	}
	if (name && !seen && raw)
		body_put(b, name, raw);
	buf_str(b, "}");
}

#endif
