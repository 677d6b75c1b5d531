/* SPDX-License-Identifier: Apache-2.0
 *
 * The error table of err.h as look-ups.  Numbers from a peer may be out of
 * range: they read as ERR_INTERNAL, never past the table.
 */
#include "common/err.h"

#include <stddef.h>

static const struct row {
	int status;
	const char *name, *code, *type, *reason, *text;
} rows[ERR_COUNT] = {
#define X(name, status, code, type, reason, text) [name] = { status, #name, code, type, reason, text },
	ERRORS(X)
#undef X
};

static const struct row *row(enum err e)
{
	return &rows[(unsigned)e < ERR_COUNT ? e : ERR_INTERNAL];
}

/* What a client may see of e: inner errors are an internal error to it. */
static const struct row *outward(enum err e)
{
	return row(e)->status ? row(e) : &rows[ERR_INTERNAL];
}

int err_status(enum err e)
{
	return outward(e)->status;
}

const char *err_code(enum err e)
{
	return outward(e)->code;
}

const char *err_type(enum err e)
{
	return outward(e)->type;
}

const char *err_reason(enum err e)
{
	return outward(e)->reason;
}

const char *err_text(enum err e)
{
	return row(e)->text;
}

const char *err_name(enum err e)
{
	return row(e)->name;
}
