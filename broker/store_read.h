/* SPDX-License-Identifier: Apache-2.0
 *
 * Long reads of the ledger for operators: pages of rows, and backups.  Each
 * works through a connection of its own: any thread, also while the broker serves
 * (store_check and store_usage of store.h are of the same kind).
 */
#ifndef SEALWAY_BROKER_STORE_READ_H
#define SEALWAY_BROKER_STORE_READ_H

#include <stdint.h>

#include "common/err.h"

#define STORE_WHY 256

enum store_page_of { PAGE_SETTLEMENTS, PAGE_JOURNAL };

struct store_page {
	enum store_page_of what;
	uint64_t after;      /* rows with a larger id only; 0 = from the first */
	uint64_t user;       /* only this user's; 0 = all */
	int64_t from, to;    /* Unix seconds: from <= time < to */
	const char *request; /* settlements: only the one of this public name, or NULL */
	unsigned limit;      /* rows at most */
};

/* Why the file at path can be no ledger of this version at all, for people (static); NULL: it can.
 * store_check would say of any other file only that it does not add up. */
const char *store_no_ledger(const char *path);

/* Calls row with the id and the text of each row as a JSON object, in order of
 * ids.  No column of it is a token, a hash or anything of a request's contents.
 * ERR_IO. */
enum err store_page(const char *path, const struct store_page *q,
		    void (*row)(void *arg, uint64_t id, const char *json), void *arg) MUST_USE;

/* Writes a consistent copy of the ledger at path into a new file (mode 0600),
 * proves it with store_check, and gives it its name only then, on the disk.  Its
 * lease is far ahead: a broker that serves it starts with an epoch larger than any
 * that the original gave out meanwhile.  ERR_EXISTS when there is such a file,
 * ERR_IO; why says what was wrong, for people. */
enum err store_backup(const char *path, const char *to, char why[STORE_WHY]) MUST_USE;

#endif
