/* SPDX-License-Identifier: Apache-2.0
 *
 * The one word of a node's error object that is believed: its `reason`.
 */
#ifndef SEALWAY_WORKER_REASON_H
#define SEALWAY_WORKER_REASON_H

#include "common/err.h"
#include "common/mem.h"

/* The error of that status which body, a JSON text of a node of ours, gives as its reason; other if it
 * gives none. */
enum err reason_of(struct slice body, int status, enum err other);

#endif
