/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps SQLite's log short without holding up the writer: most of a checkpoint
 * runs on a thread and connection of its own, and the writer does only what was
 * written meanwhile.
 */
#ifndef SEALWAY_BROKER_STORE_SQLITE_WAL_H
#define SEALWAY_BROKER_STORE_SQLITE_WAL_H

#include <sqlite3.h>

#include "common/err.h"

struct wal;

/* Takes over checkpoints of the database at path from the connection writer,
 * which one thread uses.  ERR_IO when it cannot be opened a second time. */
enum err wal_start(struct wal **out, sqlite3 *writer, const char *path) MUST_USE;

/* Ends it, before the writer's connection is closed; NULL is fine. */
void wal_stop(struct wal *w);

#endif
