/* SPDX-License-Identifier: Apache-2.0
 *
 * What a JSON text would come to as a tree, before one is built: a parsed value
 * takes far more room than its text, an empty object a hundred times as much.
 */
#ifndef SEALWAY_COMMON_JWEIGH_H
#define SEALWAY_COMMON_JWEIGH_H

#include "common/mem.h"

/* Counts objects, lists and members, and values altogether (one for each comma), in text that may be no JSON
 * at all. */
void jweigh(struct slice text, size_t *parts, size_t *values);

#endif
