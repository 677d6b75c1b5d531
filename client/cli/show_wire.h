/* SPDX-License-Identifier: Apache-2.0
 *
 * --show-wire: what crossed the wire, with long ciphertexts cut short.
 */
#ifndef SEALWAY_CLIENT_CLI_SHOW_WIRE_H
#define SEALWAY_CLIENT_CLI_SHOW_WIRE_H

#include "client/cli/ask.h"

/* One body, on stderr. */
void show_wire(enum sealway_wire what, struct slice json);

/* What somebody who saw all of it knows, on stderr. */
void show_wire_summary(const char *model, uint64_t stack, const struct wire_count *w);

#endif
