/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus's allow-list while the broker runs: read again when its file changes
 * and on SIGHUP; peers whose key is gone are cut in the same turn.
 */
#ifndef SEALWAY_BROKER_ALLOW_H
#define SEALWAY_BROKER_ALLOW_H

#include "broker/broker.h"

/* Starts watching conf.peers.  A directory that cannot be watched is said in the
 * log: SIGHUP does it then. */
void allow_start(struct broker *b);

/* Stops; run the loop once more.  Fine when it was not started. */
void allow_stop(struct broker *b);

/* Reads the list now.  One with a mistake in it is said in the log and left
 * alone: the old list holds.  One that cannot be read is tried again until it can. */
void allow_reload(struct broker *b);

#endif
