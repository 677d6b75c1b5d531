/* SPDX-License-Identifier: Apache-2.0
 *
 * How many units the input of a plain request may be, without knowing the model's
 * tokens: one unit for every two bytes of JSON (words of English have 4 to 5 bytes
 * per token, a CJK character has 3), 8 for each message, 1500 for each part that
 * is no text, one for each token given by number.  More than a node of ours
 * assumes (node/engine_openai.c), so that max_tokens has its room; what is not
 * used goes back at settlement.  The values have passed a scan.
 */
#ifndef SEALWAY_GATEWAY_ESTIMATE_H
#define SEALWAY_GATEWAY_ESTIMATE_H

#include <stdint.h>

#include "common/jscan.h"

/* Any value: its text.  0 when it is absent or null. */
uint64_t estimate_value(const struct jval *v);

/* prompt or input: a text, texts, token numbers, or lists of them.  *inputs: how
 * many there are. */
uint64_t estimate_input(const struct jval *v, uint64_t *inputs);

/* The messages of a chat. */
uint64_t estimate_messages(const struct jval *v);

#endif
