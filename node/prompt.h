/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a prompt, in all the shapes that OpenAI's API lets it have.
 */
#ifndef SEALWAY_NODE_PROMPT_H
#define SEALWAY_NODE_PROMPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/msg.h"

struct prompt {
	struct buf text;   /* all texts, joined with a space; secret */
	uint64_t tokens;   /* token numbers given in place of text */
	uint64_t messages; /* of a chat */
	uint64_t others;   /* parts that are no text (images, sound) */
	uint64_t beside;   /* bytes of JSON beside the texts that templates put in: tools, their calls */
};

/* Reads prompt, messages or input of body into *out (all zero before).  ERR_BODY
 * for shapes that the API does not have; call prompt_free in any case. */
enum err prompt_read(enum endpoint ep, const json_t *body, struct prompt *out) MUST_USE;

/* Appends the text of the last message of the role user; nothing when there is
 * none.  body has passed prompt_read. */
void prompt_last_user(const json_t *body, struct buf *out);

/* Wipes and frees what p owns. */
void prompt_free(struct prompt *p);

/* Walks the words of text, which white space parts: *pos starts at 0. */
bool words_next(struct slice text, size_t *pos, struct slice *word);

/* How many words text has. */
uint64_t words_count(struct slice text);

#endif
