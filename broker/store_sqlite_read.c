/* SPDX-License-Identifier: Apache-2.0
 *
 * Long reads of a ledger that may be serving at the same time: each opens a
 * connection of its own and sees one snapshot (WAL), so none of them holds up a
 * commit.  A backup is such a snapshot written out, proven, and only then given
 * its name.
 */
#include "broker/store_read.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store_schema.h"
#include "broker/store_sqlite_priv.h"
#include "common/mem.h"

struct finding {
	void (*problem)(void *arg, const char *text);
	void *arg;
	bool sound;
};

static void found(struct finding *f, const char *what, const char *detail)
{
	char text[256];

	f->sound = false;
	snprintf(text, sizeof(text), "%s: %s", what, detail);
	f->problem(f->arg, text);
}

/* Every row of sql is a finding, except the single row "ok" of integrity_check.
 * At most 20 are told. */
static void check_query(sqlite3 *db, const char *what, const char *sql, struct finding *f)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL), n = 0;

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc != SQLITE_ROW || n++ == 20)
			break;
		if (strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
			found(f, what, (const char *)sqlite3_column_text(st, 0));
	}
	if (rc != SQLITE_DONE && rc != SQLITE_ROW) /* which says nothing of what the query is for */
		found(f, "it cannot be read", sqlite3_errmsg(db));
	sqlite3_finalize(st);
}

static sqlite3 *open_reader(const char *path)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		sqlite3_close(db);
		return NULL;
	}
	sqlite3_busy_timeout(db, 2000);
	return db;
}

/* The same of a SQLite file. */
static const char *no_ledger_within(const char *path)
{
	sqlite3 *db = open_reader(path);
	enum schema_kind kind = db ? schema_kind(db) : SCHEMA_LEDGER;

	sqlite3_close(db);
	switch (kind) {
	case SCHEMA_EMPTY:
		return "it has no tables";
	case SCHEMA_FOREIGN:
		return "it is another program's SQLite file";
	case SCHEMA_NEWER:
		return "it is of a later version of sealway";
	case SCHEMA_LEDGER:
		break;
	}
	return NULL;
}

const char *store_no_ledger(const char *path)
{
	static const char magic[16] = "SQLite format 3";
	char head[sizeof(magic)];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head));
	const char *why = n < 0 ? strerror(errno) : NULL;

	if (fd >= 0)
		close(fd);
	if (why)
		return why;
	if (n != (ssize_t)sizeof(head) || memcmp(head, magic, sizeof(magic)) != 0)
		return "it is no SQLite file";
	return no_ledger_within(path);
}

bool store_check(const char *path, void (*problem)(void *arg, const char *text), void *arg)
{
	struct finding f = { problem, arg, true };
	sqlite3 *db = open_reader(path);

	if (!db || sqlite3_exec(db, "PRAGMA query_only=ON; BEGIN", NULL, NULL, NULL) != SQLITE_OK) {
		found(&f, "database", db ? sqlite3_errmsg(db) : "cannot be opened");
		sqlite3_close(db);
		return false;
	}
	check_query(db, "structure", "PRAGMA integrity_check(20)", &f);
	check_query(db, "row without the one it refers to", "PRAGMA foreign_key_check", &f);
	for (size_t i = 0; i < n_store_laws; i++)
		check_query(db, store_laws[i].what, store_laws[i].sql, &f);
	sqlite3_close(db);
	return f.sound;
}

static uint64_t column(sqlite3_stmt *st, int i)
{
	int64_t v = sqlite3_column_int64(st, i);

	return v < 0 ? 0 : (uint64_t)v;
}

enum err store_usage(const char *path, uint64_t user, void (*row)(void *arg, const struct usage_row *r),
		     void *arg)
{
	static const char sql[] = "SELECT user, model, day, requests, prompt, completion, billed FROM usage "
				  "WHERE ?1 = 0 OR user = ?1 ORDER BY user, model, day";
	sqlite3 *db = open_reader(path);
	sqlite3_stmt *st = NULL;
	struct usage_row r;
	int rc = SQLITE_ERROR;

	if (db && sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK) {
		sqlite3_bind_int64(st, 1, (int64_t)user);
		while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
			r = (struct usage_row){ column(st, 0), column(st, 1), sqlite3_column_int64(st, 2),
						column(st, 3), column(st, 4), column(st, 5),
						column(st, 6) };
			row(arg, &r);
		}
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return rc == SQLITE_DONE ? ERR_OK : ERR_IO;
}

/* --- rows, page by page --- */

#define NAMED "(SELECT name FROM users WHERE id = r.user)"

static const char *const page_sql[] = {
	[PAGE_SETTLEMENTS] =
		"SELECT id, json_object('id', id, 'request', request, 'at', at, 'user', " NAMED
		", 'model', (SELECT name FROM models WHERE id = r.model), 'node', node, 'stack', stack, "
		"'endpoint', endpoint, 'units', units, 'billed', billed, 'prompt', prompt, 'completion', "
		"completion, 'outcome', outcome, 'error', error, 'flags', flags, 'chunks', chunks, 'bytes', "
		"bytes) FROM settlements AS r WHERE id > ?1 AND (?2 = 0 OR user = ?2) AND at >= ?3 AND at < "
		"?4 "
		"AND (?5 IS NULL OR request = ?5) ORDER BY id LIMIT ?6",
	[PAGE_JOURNAL] =
		"SELECT id, json_object('id', id, 'at', at, 'user', " NAMED ", 'who', who, 'why', why, "
		"'micro_usd', delta, 'balance', balance_after, 'stack', stack) FROM journal AS r WHERE id > "
		"?1 "
		"AND (?2 = 0 OR user = ?2) AND at >= ?3 AND at < ?4 AND ?5 IS NULL ORDER BY id LIMIT ?6",
};

static void bind_page(sqlite3_stmt *st, const struct store_page *q)
{
	sqlite3_bind_int64(st, 1, (int64_t)q->after);
	sqlite3_bind_int64(st, 2, (int64_t)q->user);
	sqlite3_bind_int64(st, 3, q->from);
	sqlite3_bind_int64(st, 4, q->to);
	sqlite3_bind_text(st, 5, q->request, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 6, q->limit);
}

enum err store_page(const char *path, const struct store_page *q,
		    void (*row)(void *arg, uint64_t id, const char *json), void *arg)
{
	sqlite3 *db = open_reader(path);
	sqlite3_stmt *st = NULL;
	int rc = SQLITE_ERROR;

	if (db && sqlite3_prepare_v2(db, page_sql[q->what], -1, &st, NULL) == SQLITE_OK) {
		bind_page(st, q);
		while ((rc = sqlite3_step(st)) == SQLITE_ROW)
			row(arg, column(st, 0), (const char *)sqlite3_column_text(st, 1));
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return rc == SQLITE_DONE ? ERR_OK : ERR_IO;
}

/* --- backup --- */

#define EPOCHS_AHEAD 1000000 /* more starts than a ledger will ever see after its backup */

static enum err failed(char why[STORE_WHY], const char *what, const char *detail)
{
	snprintf(why, STORE_WHY, "%s: %s", what, detail);
	return ERR_IO;
}

/* The snapshot into the empty file tmp.  Its epoch is moved ahead, so that a broker
 * that serves the copy never counts an epoch that the original gave out after it. */
static enum err write_copy(const char *path, const char *tmp, char why[STORE_WHY])
{
	sqlite3 *db = open_reader(path), *copy = NULL;
	sqlite3_stmt *st = NULL;
	char sql[96];
	enum err e = ERR_OK;

	snprintf(sql, sizeof(sql), "UPDATE leases SET epoch = epoch + %d", EPOCHS_AHEAD);
	if (!db || sqlite3_prepare_v2(db, "VACUUM INTO ?", -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_bind_text(st, 1, tmp, -1, SQLITE_STATIC) != SQLITE_OK || sqlite3_step(st) != SQLITE_DONE)
		e = failed(why, "copying the ledger", db ? sqlite3_errmsg(db) : "it cannot be opened");
	sqlite3_finalize(st);
	sqlite3_close(db);
	if (e != ERR_OK)
		return e;
	copy = open_reader(tmp);
	if (!copy || sqlite3_exec(copy, sql, NULL, NULL, NULL) != SQLITE_OK)
		e = failed(why, "finishing the copy", copy ? sqlite3_errmsg(copy) : "it cannot be opened");
	sqlite3_close(copy);
	return e;
}

static void keep_problem(void *arg, const char *text)
{
	(void)failed(arg, "the copy does not add up", text);
}

/* Waits until what fd stands for is on the disk. */
static bool synced(const char *path, int flags)
{
	int fd = open(path, flags | O_RDONLY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Gives tmp its name; never over a file that is there. */
static enum err name_copy(const char *tmp, const char *to, char why[STORE_WHY])
{
	struct buf dir = { 0 };
	enum err e = ERR_OK;

	buf_add(&dir, to, strlen(to) + 1);
	if (!synced(tmp, 0) || link(tmp, to) != 0 || !synced(dirname((char *)dir.p), O_DIRECTORY))
		e = failed(why, to, strerror(errno));
	buf_free(&dir);
	return e;
}

static void try_backup(const char *path, const char *tmp, const char *to, enum err *e, char why[STORE_WHY])
{
	int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0) {
		*e = failed(why, tmp, strerror(errno));
		return;
	}
	close(fd);
	*e = write_copy(path, tmp, why);
	if (*e == ERR_OK && !store_check(tmp, keep_problem, why))
		*e = ERR_IO;
	if (*e == ERR_OK)
		*e = name_copy(tmp, to, why);
	unlink(tmp);
}

enum err store_backup(const char *path, const char *to, char why[STORE_WHY])
{
	struct buf tmp = { 0 };
	enum err e = ERR_EXISTS;

	if (access(to, F_OK) == 0) {
		(void)failed(why, to, "it is there already; a backup never replaces a file");
		return e;
	}
	buf_fmt(&tmp, "%s.%ld.part%c", to, (long)getpid(), 0);
	try_backup(path, (const char *)tmp.p, to, &e, why);
	buf_free(&tmp);
	return e;
}
