/* SPDX-License-Identifier: Apache-2.0
 *
 * The body check of PROTOCOL section 2: one ConfidentialComputeRequest, looked
 * at without building a tree and without decoding the ciphertext.  Pure.
 */
#ifndef SEALWAY_GATEWAY_SCAN_H
#define SEALWAY_GATEWAY_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/jscan.h"
#include "common/mem.h"
#include "proto/limits.h"

/* What the broker needs of a body. */
struct scan {
	uint64_t stack; /* stack_small_id */
	bool stream;
	bool has_units;
	uint64_t units; /* num_compute_units */
	uint8_t node_key[KEY_BYTES];
	uint8_t plain_hash[KEY_BYTES];
	uint8_t model[MODEL_BYTES_MAX]; /* unescaped, no NUL bytes */
	size_t model_n;
};

struct scan_fault {
	const char *param; /* member at fault, or NULL */
	const char *what;  /* for people */
};

/* Checks body.  streams: the endpoint may stream; else "stream": true is a
 * fault.  ERR_BODY with *fault filled (static text); *out is written only on
 * success. */
enum err scan_confidential(struct slice body, bool streams, struct scan *out,
			   struct scan_fault *fault) MUST_USE;

/* Checks of single members, for the scan of plain bodies, too: what is wrong
 * (static text), or NULL.  tmp is used for a text with escapes. */
const char *scan_model(const struct jval *v, struct buf *tmp, struct scan *out);
const char *scan_stream(const struct jval *v, bool streams, bool *out);

#endif
