/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses and engines given to `up`, checked before anything starts.
 */
#ifndef SEALWAY_CLIENT_CLI_UP_LISTEN_H
#define SEALWAY_CLIENT_CLI_UP_LISTEN_H

#include "client/cli/up.h"

/* HOST:PORT that can be bound now.  The gateways share their port, so without
 * this somebody else's listener would share it too.  False: said. */
bool up_check_listen(const char *listen);

/* Keeps listen, until this process ends, from another `up` that starts at the same
 * moment: both would find it free, and each get half of the other's clients.
 * False: said. */
bool up_claim_listen(const char *listen);

/* "echo", "echo:rate=R" or a URL; nothing in engine or model that an INI file
 * would read otherwise.  False: said. */
bool up_check_engine(const struct up_opts *o);

/* Asks an OpenAI-compatible server for its first model, and how much context it has (0: not told);
 * owned text, or NULL: said. */
char *up_engine_model(const char *engine, uint64_t *context);

/* The URL under which this machine reaches a listener. */
void up_url(const char *listen, char *out, size_t n);

#endif
