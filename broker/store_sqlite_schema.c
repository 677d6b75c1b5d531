/* SPDX-License-Identifier: Apache-2.0
 *
 * What a SQLite file holds, and how a ledger of an older version becomes one of
 * this.  A file that is another program's gets none of our tables.
 */
#include <stdio.h>

#include "broker/store_schema.h"
#include "broker/store_sqlite_priv.h"
#include "common/log.h"
#include "common/loop.h"

static const char others[] = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name NOT IN "
			     "('schema_version', 'sqlite_sequence', 'sqlite_stat1', 'sqlite_stat4')";
static const char ours[] = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN "
			   "('schema_version', 'leases')";
static const char newest[] = "SELECT coalesce(max(version), 0) FROM schema_version";

enum schema_kind schema_kind(sqlite3 *db)
{
	int64_t n, marks, version;

	if (sql_int(db, others, &n) != ERR_OK || sql_int(db, ours, &marks) != ERR_OK)
		return SCHEMA_LEDGER;
	if (n == 0)
		return SCHEMA_EMPTY;
	if (marks < 2)
		return SCHEMA_FOREIGN;
	if (sql_int(db, newest, &version) == ERR_OK && (version < 0 || (size_t)version > store_versions))
		return SCHEMA_NEWER;
	return SCHEMA_LEDGER;
}

enum err schema_accept(sqlite3 *db)
{
	int64_t version = 0;

	switch (schema_kind(db)) {
	case SCHEMA_NEWER:
		if (sql_int(db, newest, &version) != ERR_OK)
			version = 0;
		log_error("store_schema_newer", L_S("database", sqlite3_db_filename(db, "main")),
			  L_I("form", version), L_U("known", store_versions),
			  L_S("our_version", SEALWAY_VERSION),
			  L_S("why",
			      "a newer sealway has opened this ledger, and this one does not know its form"),
			  L_S("do", "start that version, or this one on a backup from before"));
		return ERR_VERSION;
	case SCHEMA_FOREIGN:
		log_error("store_foreign", L_S("database", sqlite3_db_filename(db, "main")),
			  L_S("why", "the database is another program's"),
			  L_S("do", "name another file as database"));
		return ERR_FORMAT;
	case SCHEMA_EMPTY:
	case SCHEMA_LEDGER:
		break;
	}
	return ERR_OK;
}

/* One migration and its version number, in one transaction. */
static enum err migrate_one(sqlite3 *db, size_t from)
{
	char version[160];
	enum err e = sql_exec(db, "BEGIN IMMEDIATE");

	snprintf(version, sizeof(version), "INSERT INTO schema_version (version, applied) VALUES (%zu, %lld)",
		 from + 1, (long long)loop_unix());
	if (e == ERR_OK)
		e = sql_exec(db, store_migrations[from]);
	if (e == ERR_OK)
		e = sql_exec(db, version);
	if (e == ERR_OK)
		e = sql_exec(db, "COMMIT");
	if (e != ERR_OK && !sqlite3_get_autocommit(db))
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return e;
}

enum err schema_migrate(sqlite3 *db)
{
	int64_t version;
	enum err e = sql_exec(db, "CREATE TABLE IF NOT EXISTS schema_version "
				  "(version INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT");

	if (e == ERR_OK)
		e = sql_int(db, newest, &version);
	for (size_t v = e == ERR_OK ? (size_t)version : 0; v < store_versions && e == ERR_OK; v++) {
		e = migrate_one(db, v);
		if (e == ERR_OK)
			log_info("store_migrated", L_U("version", v + 1));
	}
	return e;
}
