/* SPDX-License-Identifier: Apache-2.0
 *
 * How the tables are read back into ops: a query per kind, and where each of
 * its columns goes.
 */
#ifndef SEALWAY_BROKER_STORE_ROWS_H
#define SEALWAY_BROKER_STORE_ROWS_H

#include "broker/store.h"

enum column_type {
	COL_END,
	COL_U64,
	COL_U32,
	COL_I64,
	COL_BOOL,
	COL_FIXED, /* blob of exactly size bytes */
	COL_TEXT,  /* owned copy */
	COL_BLOB,  /* struct buf */
};

struct column {
	enum column_type type;
	size_t offset; /* in struct store_op */
	size_t size;   /* COL_FIXED */
};

struct row_source {
	enum store_kind kind;
	const char *sql;
	const struct column *columns;
};

/* Parents before children. */
extern const struct row_source row_sources[];
extern const size_t n_row_sources;

#endif
