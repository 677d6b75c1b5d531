/* SPDX-License-Identifier: Apache-2.0
 *
 * Statuses and error objects of OpenAI-compatible servers as errors of ours.
 */
#ifndef SEALWAY_NODE_OPENAI_ERROR_H
#define SEALWAY_NODE_OPENAI_ERROR_H

#include <jansson.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/net/upstream.h"

/* A status that is not 200: ERR_BODY, ERR_RATE, ERR_UNAVAILABLE or ERR_ENGINE. */
enum err openai_status_error(int status);

/* An exchange that gave no whole answer: ERR_UNAVAILABLE, ERR_TIMEOUT or ERR_NODE. */
enum err openai_result_error(enum upstream_result result);

/* ERR_OK when object has no error in it, else what that means, as for a status. */
enum err openai_error_in(const json_t *object);

/* What the data of an event means that is an error by its type. */
enum err openai_error_event(struct slice data);

#endif
