/* SPDX-License-Identifier: Apache-2.0
 *
 * What the echo engine makes of a text besides its words.  Pure.
 */
#ifndef SEALWAY_NODE_ECHO_H
#define SEALWAY_NODE_ECHO_H

#include <jansson.h>

#include "common/mem.h"

#define ECHO_DIMENSIONS 64

/* An array of ECHO_DIMENSIONS reals of length 1, the same for the same words and
 * near each other for texts that share words.  The caller's to decref. */
json_t *echo_vector(struct slice text);

/* Appends a PNG of 16 x 16 pixels whose colours come from the text. */
void echo_png(struct slice text, struct buf *out);

#endif
