/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of the node that are not sealed: errors in PROTOCOL section 5's shape,
 * and small JSON objects.
 */
#ifndef SEALWAY_NODE_ANSWER_H
#define SEALWAY_NODE_ANSWER_H

#include <stdint.h>

#include "common/err.h"
#include "common/httpd/httpd.h"

/* Answers with e (and counts it).  param: the clear member at fault, static text
 * or NULL; rid (16 bytes, or NULL) is shown by its public name only.  r must not
 * be used afterwards. */
void answer_error(struct hreq *r, enum err e, const char *param, const uint8_t *rid);

/* In a stream, before it is cut: e as an event of type error, for the worker. */
void answer_error_event(struct hreq *r, enum err e, const uint8_t *rid);

/* 200 with a JSON text of ours.  r must not be used afterwards. */
void answer_json(struct hreq *r, struct slice json);

#endif
