/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the whole ledger back, table by table (store_rows.h): each row becomes
 * the op that would have written it.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/store_rows.h"
#include "broker/store_sqlite_priv.h"
#include "common/mem.h"

static uint64_t col_u(sqlite3_stmt *st, int i)
{
	int64_t v = sqlite3_column_int64(st, i);

	return v < 0 ? 0 : (uint64_t)v;
}

static void read_fixed(sqlite3_stmt *st, int i, void *out, size_t n)
{
	const void *p = sqlite3_column_blob(st, i);

	if (p && (size_t)sqlite3_column_bytes(st, i) == n)
		memcpy(out, p, n);
}

static void read_blob(sqlite3_stmt *st, int i, struct buf *out)
{
	const void *p = sqlite3_column_blob(st, i);
	int n = sqlite3_column_bytes(st, i);

	buf_add(out, p, p && n > 0 ? (size_t)n : 0);
}

static void read_column(sqlite3_stmt *st, int i, const struct column *c, struct store_op *op)
{
	void *to = (char *)op + c->offset;
	const char *text;

	switch (c->type) {
	case COL_U64:
		*(uint64_t *)to = col_u(st, i);
		break;
	case COL_U32:
		*(uint32_t *)to = (uint32_t)col_u(st, i);
		break;
	case COL_I64:
		*(int64_t *)to = sqlite3_column_int64(st, i);
		break;
	case COL_BOOL:
		*(bool *)to = col_u(st, i) != 0;
		break;
	case COL_FIXED:
		read_fixed(st, i, to, c->size);
		break;
	case COL_TEXT:
		text = (const char *)sqlite3_column_text(st, i);
		*(char **)to = text ? mem_strndup(text, strlen(text)) : NULL;
		break;
	case COL_BLOB:
		read_blob(st, i, to);
		break;
	case COL_END:
		break;
	}
}

static enum err load_table(sqlite3 *db, const struct row_source *from,
			   void (*row)(void *arg, const struct store_op *op), void *arg)
{
	sqlite3_stmt *st = NULL;
	struct store_op *op;
	int rc;

	if (sqlite3_prepare_v2(db, from->sql, -1, &st, NULL) != SQLITE_OK)
		return sql_err(db, from->sql);
	while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
		op = store_op_new(from->kind);
		for (int i = 0; from->columns[i].type != COL_END; i++)
			read_column(st, i, &from->columns[i], op);
		row(arg, op);
		store_op_free(op);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? ERR_OK : sql_err(db, from->sql);
}

enum err rows_load(sqlite3 *db, void (*row)(void *arg, const struct store_op *op), void *arg)
{
	enum err e = ERR_OK;

	for (size_t i = 0; i < n_row_sources && e == ERR_OK; i++)
		e = load_table(db, &row_sources[i], row, arg);
	return e;
}
