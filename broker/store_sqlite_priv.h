/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store_sqlite*.c files share.  Not for anybody else.
 */
#ifndef SEALWAY_BROKER_STORE_SQLITE_PRIV_H
#define SEALWAY_BROKER_STORE_SQLITE_PRIV_H

#include <sqlite3.h>

#include "broker/store.h"

/* What the last failure of db comes to: ERR_FORMAT when a row did not fit the
 * tables, else ERR_IO.  Says it in the log; step is what was tried. */
enum err sql_err(sqlite3 *db, const char *step);

/* The system's reason for the last failure of db; "" where SQLite had one of its own. */
const char *sql_why(sqlite3 *db);

/* Runs sql whose rows do not matter. */
enum err sql_exec(sqlite3 *db, const char *sql) MUST_USE;

/* The first column of the first row.  ERR_IO when there is none. */
enum err sql_int(sqlite3 *db, const char *sql, int64_t *out) MUST_USE;

/* --- store_sqlite_schema.c --- */

enum schema_kind {
	SCHEMA_EMPTY,   /* no table yet */
	SCHEMA_LEDGER,  /* of this version or an older one, or damaged beyond telling */
	SCHEMA_NEWER,   /* a ledger of a later version */
	SCHEMA_FOREIGN, /* another program's */
};

/* What the file holds; only reads. */
enum schema_kind schema_kind(sqlite3 *db);

/* Whether it may be served as a ledger.  ERR_VERSION for a newer one, ERR_FORMAT for another program's file,
 * said in the log with what to do. */
enum err schema_accept(sqlite3 *db) MUST_USE;

/* Makes the tables of an accepted file, or what of them is missing, a version at a time. */
enum err schema_migrate(sqlite3 *db) MUST_USE;

/* --- store_sqlite_load.c --- */

/* backend_load (store_backend.h), of a connection. */
enum err rows_load(sqlite3 *db, void (*row)(void *arg, const struct store_op *op), void *arg) MUST_USE;

#endif
