/* SPDX-License-Identifier: Apache-2.0
 *
 * The objects of `choices`, in the shapes of OpenAI's API.
 */
#ifndef SEALWAY_NODE_CHOICE_H
#define SEALWAY_NODE_CHOICE_H

#include <jansson.h>
#include <stdbool.h>

#include "common/mem.h"
#include "proto/msg.h"

/* A piece of a stream: text (completions) or a delta (chat; with the role when
 * first).  finish_reason is null.  The caller's to decref. */
json_t *choice_piece(enum endpoint ep, struct slice text, bool first);

/* The last one of a stream: empty text or delta, and its finish_reason; and what the engine's last
 * one (NULL: none) has besides, as vLLM's stop_reason. */
json_t *choice_last(enum endpoint ep, const char *finish, const json_t *engine);

/* A whole answer's. */
json_t *choice_whole(enum endpoint ep, struct slice text, const char *finish);

#endif
