/* SPDX-License-Identifier: Apache-2.0
 *
 * What complete and chat have in common: answers that are text.
 */
#ifndef SEALWAY_CLIENT_CLI_TEXT_H
#define SEALWAY_CLIENT_CLI_TEXT_H

#include "client/cli/ask.h"

#define TEXT_ARGS(a, max_tokens)                                                                             \
	{ "stream", ARG_FLAG, &(a)->stream, NULL, "show words as they are produced", 0, 0 },                 \
	{                                                                                                    \
		"max-tokens", ARG_U64, (max_tokens), "N",                                                    \
			"length of the answer at most (default: the model's)", 1, 1u << 30                   \
	}

/* Takes the text (ask_text), lets put begin the request with it (a JSON object without
 * its closing brace), adds max_tokens, runs it, prints the text of the first choice as
 * it comes, and frees a.  Returns the exit status. */
int text_run(struct ask *a, enum sealway_kind kind, const char *operand, uint64_t max_tokens,
	     void (*put)(struct buf *json, struct slice text, const void *arg), const void *arg);

/* The text of the first choice of an object: "text", "delta.content" or
 * "message.content", appended to out; nothing when it has none.  False when the
 * object is not shaped like an answer. */
bool text_of(struct slice object, struct buf *out);

#endif
