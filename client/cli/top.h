/* SPDX-License-Identifier: Apache-2.0
 *
 * A sample of the broker's verb "top" as text, to fit a window.
 */
#ifndef SEALWAY_CLIENT_CLI_TOP_H
#define SEALWAY_CLIENT_CLI_TOP_H

#include <jansson.h>

#include "common/mem.h"

/* Appends the view of now; rates over the time since before (NULL: none are
 * shown).  At most rows lines of at most columns characters. */
void top_view(struct buf *out, const json_t *before, const json_t *now, unsigned rows, unsigned columns);

#endif
