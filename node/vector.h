/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of embeddings as OpenAI's API writes them: arrays of numbers, or base64 of
 * 32-bit floats, little-endian.  Pure.
 */
#ifndef SEALWAY_NODE_VECTOR_H
#define SEALWAY_NODE_VECTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "common/mem.h"

/* The array for base64 text, the caller's to decref; NULL when it is none or has what is no number. */
json_t *vector_decode(struct slice b64);

/* Whether the request wants base64.  OpenAI's own client for JavaScript does unless told otherwise, and
 * takes what comes for it without a look. */
bool vector_wants_b64(const json_t *request);

/* Puts base64 in place of each array in the data of an answer. */
void vectors_to_b64(json_t *data);

#endif
