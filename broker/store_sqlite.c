/* SPDX-License-Identifier: Apache-2.0
 *
 * The store on SQLite; no file but the store_sqlite*.c includes sqlite3.h.  WAL with
 * synchronous=NORMAL gives commits that outlive the process; backend_sync adds
 * what synchronous=FULL adds, the sync of the log after the commit, from a
 * second thread and once for many commits.  A lock on FILE.lease keeps a second
 * broker away for as long as the first lives; the epoch grows at each start.  FILE
 * is what SQLite opened: behind a symbolic link it has another name than we were told.
 */
#include "broker/store_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "broker/store_sqlite_priv.h"
#include "broker/store_sqlite_wal.h"
#include "broker/store_statements.h"
#include "common/log.h"
#include "common/loop.h"

#define SAY_AGAIN_S 10

enum statement {
#define S(name, sql) name,
	STATEMENTS(S)
#undef S
		S_COUNT
};

static const char *const sql_of[] = {
#define S(name, sql) sql,
	STATEMENTS(S)
#undef S
};

struct backend {
	sqlite3 *db;
	sqlite3_stmt *st[S_COUNT];
	struct wal *log;
	int lease; /* descriptor of FILE.lease, locked */
	int wal;   /* descriptor of FILE-wal, for syncing */
};

/* --- running statements --- */

/* A database that cannot be written is tried five times a second, for hours if need be. */
static bool said_lately(int rc)
{
	static _Atomic uint64_t last; /* when, and which */
	uint64_t now = loop_unix() / SAY_AGAIN_S << 32 | (uint32_t)rc;

	return atomic_exchange(&last, now) == now;
}

/* What the system said, or 0: a full quota, say, is no more than an "I/O error" to SQLite. */
static int system_error(sqlite3 *db)
{
	int rc = sqlite3_errcode(db) & 0xff;

	return rc == SQLITE_IOERR || rc == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
}

const char *sql_why(sqlite3 *db)
{
	int e = system_error(db);

	return e ? strerror(e) : "";
}

enum err sql_err(sqlite3 *db, const char *step)
{
	int rc = sqlite3_extended_errcode(db);

	if (!said_lately(rc))
		log_warn("store_sqlite", L_S("step", step), L_I("code", rc), L_S("text", sqlite3_errstr(rc)),
			 L_S("why", sql_why(db)));
	return (rc & 0xff) == SQLITE_CONSTRAINT || (rc & 0xff) == SQLITE_MISMATCH ? ERR_FORMAT : ERR_IO;
}

/* Binds by format: i int64_t, b pointer and int length (NULL pointer: NULL),
 * t char pointer (NULL: NULL). */
static int bind_args(sqlite3_stmt *st, const char *fmt, va_list ap)
{
	const void *p;
	int rc = SQLITE_OK;

	for (int i = 1; *fmt && rc == SQLITE_OK; fmt++, i++) {
		switch (*fmt) {
		case 'i':
			rc = sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
			break;
		case 't':
			rc = sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
			break;
		default:
			p = va_arg(ap, const void *);
			rc = sqlite3_bind_blob(st, i, p, va_arg(ap, int), SQLITE_STATIC);
		}
	}
	return rc;
}

/* Runs one prepared statement to its end; *rows (may be NULL) gets the number
 * of rows it changed. */
static enum err run(struct backend *b, enum statement which, int *rows, const char *fmt, ...)
{
	sqlite3_stmt *st = b->st[which];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = bind_args(st, fmt, ap);
	va_end(ap);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rows)
		*rows = sqlite3_changes(b->db);
	sqlite3_reset(st);
	return rc == SQLITE_DONE ? ERR_OK : sql_err(b->db, sql_of[which]);
}

/* For statements whose WHERE must find its row: anything else is a difference
 * between memory and database. */
static enum err one_row(enum err e, const int *rows)
{
	return e != ERR_OK ? e : *rows == 1 ? ERR_OK : ERR_FORMAT;
}

enum err sql_exec(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? ERR_OK : sql_err(db, "exec");
}

enum err sql_int(sqlite3 *db, const char *sql, int64_t *out)
{
	sqlite3_stmt *st = NULL;
	enum err e = ERR_IO;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
		*out = sqlite3_column_int64(st, 0);
		e = ERR_OK;
	}
	sqlite3_finalize(st);
	return e;
}

/* --- ops --- */

#define I(x) ((int64_t)(x))

static enum err put_journal(struct backend *b, const struct store_op *op, const struct row_journal *r)
{
	int rows;
	enum err e = run(b, S_BALANCE, &rows, "iii", r->delta, I(r->user), I(r->balance));

	e = one_row(e, &rows);
	if (e == ERR_OK)
		e = run(b, S_JOURNAL, NULL, "iittiii", I(r->user), r->at, op->text[0], op->text[1], r->delta,
			I(r->balance), I(r->stack));
	return e;
}

static enum err put_stack(struct backend *b, const struct store_op *op)
{
	const struct row_stack *r = &op->u.buy.stack;
	enum err e = run(b, S_STACK, NULL, "iiiiiiii", I(r->id), I(r->user), I(r->node), I(r->model),
			 I(r->bought), I(r->price), I(r->paid), r->created);

	return e == ERR_OK ? put_journal(b, op, &op->u.buy.journal) : e;
}

static enum err put_node(struct backend *b, const struct store_op *op)
{
	const struct row_node *r = &op->u.node;

	return run(b, S_NODE, NULL, "ibtttiiiiiii", I(r->id), r->sign_key, KEY_BYTES, op->text[0],
		   op->text[1], op->text[2], I(r->counter), I(r->validity_s), I(r->state), I(r->original),
		   r->admitted, r->seen, I(r->faults));
}

static enum err put_key(struct backend *b, const struct store_op *op)
{
	const struct row_node_key *r = &op->u.key;

	enum err e = run(b, S_NODE_KEY, NULL, "ibiiibtiii", I(r->node), r->key, KEY_BYTES, I(r->counter),
			 r->not_before, r->not_after, op->blob.n ? op->blob.p : NULL, (int)op->blob.n,
			 op->text[0], r->added, r->superseded, I(r->dropped));

	return e == ERR_OK ? run(b, S_NODE_KEY_TRIM, NULL, "ii", I(r->node), I(NODE_KEYS)) : e;
}

static enum err put_sub(struct backend *b, const struct row_sub *r)
{
	return run(b, S_SUB, NULL, "iiiiiii", I(r->node), I(r->model), I(r->price), I(r->max_concurrent),
		   I(r->max_units), I(r->lock_units), I(r->active));
}

static enum err put_price(struct backend *b, const struct row_price *r)
{
	if (r->removed)
		return run(b, S_PRICE_DEL, NULL, "iii", I(r->user), I(r->node), I(r->model));
	return run(b, S_PRICE, NULL, "iiii", I(r->user), I(r->node), I(r->model), I(r->price));
}

static enum err put_lock(struct backend *b, const struct row_lock *r)
{
	return run(b, S_LOCK, NULL, "iibiii", I(r->id), I(r->stack), r->node_key, KEY_BYTES, I(r->units),
		   r->created_ms, r->expires_ms);
}

/* The lock goes in any case: a consumed lock does not come back. */
static enum err put_reservation(struct backend *b, struct store_op *op)
{
	const struct row_reservation *r = &op->u.reservation;
	char name[33];
	int rows = 1;
	enum err e = ERR_OK;

	log_rid(name, r->rid);
	if (r->lock)
		e = one_row(run(b, S_LOCK_END, &rows, "i", I(r->lock)), &rows);
	if (e == ERR_OK)
		e = run(b, S_RESERVE, &rows, "biibiiiit", r->rid, RID_BYTES, I(r->stack), I(r->node),
			r->node_key, KEY_BYTES, I(r->endpoint), I(r->units), I(r->epoch), r->created, name);
	op->result = rows == 1 ? ERR_OK : ERR_EXISTS;
	return e;
}

static enum err put_move(struct backend *b, const struct row_reservation *r)
{
	int rows;

	return one_row(run(b, S_MOVE, &rows, "iiib", I(r->stack), I(r->node), I(r->units), r->rid, RID_BYTES),
		       &rows);
}

static enum err put_settlement(struct backend *b, const struct row_settlement *r)
{
	const void *digest = r->has_receipt ? r->receipt_hash : NULL;
	char name[33];
	int rows;
	enum err e = one_row(run(b, S_UNRESERVE, &rows, "b", r->rid, RID_BYTES), &rows);

	log_rid(name, r->rid);
	if (e == ERR_OK)
		e = run(b, S_SETTLE, NULL, "tiiiiiiiiiitibiii", name, I(r->user), I(r->stack), I(r->node),
			I(r->model), I(r->endpoint), I(r->units), I(r->billed), I(r->prompt),
			I(r->completion), I(r->outcome), err_name((enum err)r->error), I(r->flags), digest,
			digest ? KEY_BYTES : 0, I(r->chunks), I(r->bytes), r->at);
	if (e == ERR_OK && r->billed)
		e = one_row(run(b, S_SPEND, &rows, "ii", I(r->billed), I(r->stack)), &rows);
	if (e == ERR_OK && (r->billed || r->prompt || r->completion))
		e = run(b, S_USAGE, NULL, "iiiiii", I(r->user), I(r->model), r->at / 86400, I(r->prompt),
			I(r->completion), I(r->billed));
	return e;
}

static enum err put_people(struct backend *b, const struct store_op *op)
{
	const struct row_token *t = &op->u.token;

	switch (op->kind) {
	case OP_USER:
		return run(b, S_USER, NULL, "iti", I(op->u.user.id), op->text[0], op->u.user.created);
	case OP_JOURNAL:
		return put_journal(b, op, &op->u.journal);
	case OP_TOKEN:
		return run(b, S_TOKEN, NULL, "iibtti", I(t->id), I(t->user), t->hash, KEY_BYTES, op->text[0],
			   op->text[1], t->created);
	case OP_TOKEN_REVOKE:
		return run(b, S_TOKEN_REVOKE, NULL, "ii", t->revoked, I(t->id));
	case OP_TOKEN_USED:
		return run(b, S_TOKEN_USED, NULL, "ii", t->last_used, I(t->id));
	case OP_PRICE:
		return put_price(b, &op->u.price);
	case OP_LIMITS:
		return run(b, S_LIMITS, NULL, "iiii", I(op->u.limits.user), op->u.limits.rate,
			   op->u.limits.concurrent, op->u.limits.units);
	default:
		return ERR_FORMAT;
	}
}

enum err backend_exec(struct backend *b, struct store_op *op)
{
	const struct row_evidence *ev = &op->u.evidence;
	int rows;

	op->result = ERR_OK;
	switch (op->kind) {
	case OP_MODEL:
		return run(b, S_MODEL, NULL, "it", I(op->u.model.id), op->text[0]);
	case OP_NODE:
		return put_node(b, op);
	case OP_NODE_KEY:
		return put_key(b, op);
	case OP_EVIDENCE:
		return run(b, S_EVIDENCE, NULL, "ibbi", I(ev->node), ev->hash, KEY_BYTES,
			   op->blob.n ? (const void *)op->blob.p : "", (int)op->blob.n, ev->at);
	case OP_SUB:
		return put_sub(b, &op->u.sub);
	case OP_STACK:
		return put_stack(b, op);
	case OP_STACK_STATE:
		return one_row(
			run(b, S_STACK_STATE, &rows, "ii", I(op->u.buy.stack.state), I(op->u.buy.stack.id)),
			&rows);
	case OP_LOCK:
		return put_lock(b, &op->u.lock);
	case OP_LOCK_END:
		return one_row(run(b, S_LOCK_END, &rows, "i", I(op->u.lock.id)), &rows);
	case OP_RESERVE:
		return put_reservation(b, op);
	case OP_MOVE:
		return put_move(b, &op->u.reservation);
	case OP_ATTEMPT:
		return one_row(run(b, S_ATTEMPT, &rows, "ib", I(op->u.reservation.attempt),
				   op->u.reservation.rid, RID_BYTES),
			       &rows);
	case OP_PURGE:
		return run(b, S_PURGE, NULL, "iii", op->u.purge.before, I(PURGE_SPAN_S), I(PURGE_ROWS));
	case OP_SETTLE:
		return put_settlement(b, &op->u.settlement);
	default:
		return put_people(b, op);
	}
}

enum err backend_begin(struct backend *b)
{
	return sql_exec(b->db, "BEGIN IMMEDIATE");
}

enum err backend_commit(struct backend *b)
{
	return sql_exec(b->db, "COMMIT");
}

void backend_rollback(struct backend *b)
{
	if (!sqlite3_get_autocommit(b->db)) {
		enum err e = sql_exec(b->db, "ROLLBACK");
		(void)e; /* said in the log; the next begin shows whether it helped */
	}
}

enum err backend_sync(struct backend *b)
{
	int rc;

	do {
		rc = fdatasync(b->wal);
	} while (rc != 0 && errno == EINTR);
	return rc == 0 ? ERR_OK : ERR_IO;
}

/* --- opening --- */

static const char make_writable[] =
	"let this user write the file and its directory, or name another database";
static const char see_above[] = "see the lines above";

/* What an operator can do about a database that did not open, by the system's error. */
static const char *remedy_of(int e, const char *otherwise)
{
	switch (e) {
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (LimitNOFILE, ulimit -n)";
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return "make room on its disk, or raise this user's quota or limit of file sizes";
	default:
		return otherwise;
	}
}

static const char *remedy(sqlite3 *db)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_IOERR:
		return remedy_of(system_error(db), see_above);
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
		return remedy_of(system_error(db), make_writable);
	case SQLITE_FULL:
		return remedy_of(ENOSPC, NULL);
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return "restore it from a backup (docs/OPERATING.md), or name another database";
	default:
		return see_above;
	}
}

static void say_not_open(const struct backend *b, const char *path, enum err e)
{
	bool elsewhere = b->db && sqlite3_errcode(b->db) == SQLITE_OK;

	log_error("store_open", L_S("database", path), L_ERR(e),
		  L_S("text", elsewhere ? err_text(e)
			      : b->db   ? sqlite3_errmsg(b->db)
					: "out of memory"),
		  L_S("why", sql_why(b->db)), L_S("do", remedy(b->db)));
}

static enum err open_file(struct backend *b, const char *path)
{
	if (sqlite3_open_v2(path, &b->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK) {
		say_not_open(b, path, ERR_IO);
		return ERR_IO;
	}
	sqlite3_extended_result_codes(b->db, 1);
	sqlite3_busy_timeout(b->db, 2000); /* a reader that checkpoints; writers there are none */
	return ERR_OK;
}

static enum err take_lease(struct backend *b)
{
	const char *path = sqlite3_db_filename(b->db, "main");
	struct buf name = { 0 };
	enum err e = ERR_OK;

	buf_fmt(&name, "%s.lease%c", path, 0);
	b->lease = open((const char *)name.p, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	buf_free(&name);
	if (b->lease < 0) {
		log_error("store_lease_file", L_S("database", path), L_S("why", strerror(errno)),
			  L_S("do", remedy_of(errno, make_writable)));
		return ERR_IO;
	}
	if (flock(b->lease, LOCK_EX | LOCK_NB) != 0) {
		e = errno == EWOULDBLOCK ? ERR_EXISTS : ERR_IO;
		log_error("store_in_use", L_S("database", path),
			  L_S("why", e == ERR_EXISTS ? "another broker holds its lease" : strerror(errno)),
			  L_S("do", e == ERR_EXISTS
					    ? "stop that one first"
					    : "put the database on a disk whose files can be locked"));
	}
	return e;
}

static enum err prepare(struct backend *b)
{
	for (int i = 0; i < S_COUNT; i++) {
		if (sqlite3_prepare_v3(b->db, sql_of[i], -1, SQLITE_PREPARE_PERSISTENT, &b->st[i], NULL) !=
		    SQLITE_OK)
			return sql_err(b->db, sql_of[i]);
	}
	return ERR_OK;
}

static enum err new_epoch(struct backend *b, uint64_t *epoch)
{
	int64_t value;
	char sql[128];
	enum err e;

	snprintf(sql, sizeof(sql), "UPDATE leases SET epoch = epoch + 1, taken = %lld WHERE id = 0",
		 (long long)loop_unix());
	e = sql_exec(b->db, sql);
	if (e == ERR_OK)
		e = sql_int(b->db, "SELECT epoch FROM leases WHERE id = 0", &value);
	if (e == ERR_OK)
		*epoch = (uint64_t)value;
	return e;
}

static enum err open_wal(struct backend *b)
{
	const char *path = sqlite3_filename_wal(sqlite3_db_filename(b->db, "main"));

	b->wal = open(path, O_RDONLY | O_CLOEXEC);
	if (b->wal >= 0 && backend_sync(b) == ERR_OK)
		return ERR_OK;
	log_warn("store_log", L_S("file", path), L_S("failed", b->wal < 0 ? "open" : "sync"),
		 L_S("why", strerror(errno)));
	return ERR_IO;
}

static enum err set_up(struct backend *b, const char *path, uint64_t *epoch)
{
	enum err e;

	e = sql_exec(b->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
			    "PRAGMA cache_size=-65536;");
	if (e == ERR_OK)
		e = schema_migrate(b->db);
	if (e == ERR_OK)
		e = new_epoch(b, epoch);
	if (e == ERR_OK)
		e = open_wal(b);
	if (e == ERR_OK)
		e = wal_start(&b->log, b->db, path);
	return e == ERR_OK ? prepare(b) : e;
}

enum err backend_open(struct backend **out, const char *path, uint64_t *epoch)
{
	struct backend *b = mem_new(sizeof(*b));
	enum err e;

	b->lease = b->wal = -1;
	e = open_file(b, path);
	if (e == ERR_OK)
		e = take_lease(b);
	if (e == ERR_OK)
		e = schema_accept(b->db);
	if (e == ERR_OK) {
		e = set_up(b, path, epoch);
		if (e != ERR_OK)
			say_not_open(b, path, e);
	}
	if (e != ERR_OK) {
		backend_close(b);
		return e;
	}
	*out = b;
	return ERR_OK;
}

void backend_close(struct backend *b)
{
	if (!b)
		return;
	wal_stop(b->log);
	for (int i = 0; i < S_COUNT; i++)
		sqlite3_finalize(b->st[i]);
	sqlite3_close(b->db);
	if (b->wal >= 0)
		close(b->wal);
	if (b->lease >= 0)
		close(b->lease);
	free(b);
}

enum err backend_load(struct backend *b, void (*row)(void *arg, const struct store_op *op), void *arg)
{
	return rows_load(b->db, row, arg);
}
