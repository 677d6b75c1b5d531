/* SPDX-License-Identifier: Apache-2.0
 *
 * `usage` objects, always complete (PROTOCOL section 3).
 */
#ifndef SEALWAY_NODE_USAGE_H
#define SEALWAY_NODE_USAGE_H

#include "node/engine.h"

/* A usage object with both details objects.  The caller's to decref. */
json_t *usage_json(const struct usage *u);

/* What an engine has said of its usage so far. */
struct usage_said {
	struct usage n;
	bool prompt, completion; /* these two it has named */
};

/* Reads an engine's usage object into *said.  What is missing there or odd (negative,
 * broken, over 2^31 - 1, no number) stays as it was. */
void usage_read(const json_t *v, struct usage_said *said);

/* Holds every number within what a usage object may say (2^31 - 1). */
void usage_clamp(struct usage *u);

#endif
