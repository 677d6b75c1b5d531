/* SPDX-License-Identifier: Apache-2.0
 *
 * `usage` objects, always complete (PROTOCOL section 3).
 */
#ifndef SEALWAY_NODE_USAGE_H
#define SEALWAY_NODE_USAGE_H

#include "node/engine.h"

/* A usage object with both details objects.  The caller's to decref. */
json_t *usage_json(const struct usage *u);

/* Reads an engine's usage object; members that are missing or odd count as 0.
 * False when it is no object or names neither prompt nor completion tokens. */
bool usage_read(const json_t *v, struct usage *out);

/* Holds every number within what a usage object may say (2^31 - 1). */
void usage_clamp(struct usage *u);

#endif
