/* SPDX-License-Identifier: Apache-2.0
 *
 * Between OpenAI's API as clients know it and as servers really speak it.
 * Pure: JSON in, JSON out.
 */
#ifndef SEALWAY_NODE_OPENAI_FIX_H
#define SEALWAY_NODE_OPENAI_FIX_H

#include <jansson.h>

#include "node/engine.h"

/* One event of a stream. */
struct openai_event {
	json_t *choice;      /* to pass on, with text, or delta (an object); borrowed; or NULL */
	const char *finish;  /* static, or NULL */
	json_t *last;        /* the choice with finish, or NULL; borrowed */
	const json_t *usage; /* for usage_read; borrowed; or NULL */
};

/* Makes the request one for the server: stream with usage, floats, base64 images,
 * and no other word or case of a member than those that limit_agree and limit_apply have
 * checked. */
void openai_shape(enum endpoint ep, json_t *body, bool stream);

/* Reads an event's object, which it may change.  ERR_NODE for a shape that is none of the
 * API's; an error in the stream is what openai_error_in makes of it. */
enum err openai_event_read(enum endpoint ep, json_t *event, struct openai_event *out) MUST_USE;

/* Makes a whole answer one that official clients accept: indices, roles,
 * embeddings as floats, images with a data: URL (b64_json stays only when
 * keep_b64).  ERR_NODE when that cannot be done, or for more images than the
 * number asked for; an error in it is what openai_error_in makes of that. */
enum err openai_whole(enum endpoint ep, json_t *object, uint64_t images, bool keep_b64) MUST_USE;

/* Bytes of text in a piece of a stream. */
uint64_t openai_bytes(enum endpoint ep, const json_t *choice);

/* Words in the text of a whole answer, for servers that send no usage. */
uint64_t openai_words(const json_t *object);

#endif
