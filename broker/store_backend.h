/* SPDX-License-Identifier: Apache-2.0
 *
 * What a database has to do for store.c: apply ops inside a transaction, and
 * make commits survive a power cut.  One thread calls begin..commit, another
 * sync; both may run at the same time.
 */
#ifndef SEALWAY_BROKER_STORE_BACKEND_H
#define SEALWAY_BROKER_STORE_BACKEND_H

#include "broker/store.h"

struct backend;

/* store_open's work on the database. */
enum err backend_open(struct backend **out, const char *path, uint64_t *epoch) MUST_USE;

/* Closes; NULL is fine. */
void backend_close(struct backend *b);

/* Opens a transaction.  ERR_IO: try again later. */
enum err backend_begin(struct backend *b) MUST_USE;

/* Applies one op and sets op->result.  ERR_IO: roll back, try again later;
 * ERR_FORMAT: memory and database disagree. */
enum err backend_exec(struct backend *b, struct store_op *op) MUST_USE;

/* Ends the transaction; from here on its ops survive the process. */
enum err backend_commit(struct backend *b) MUST_USE;

/* Undoes it. */
void backend_rollback(struct backend *b);

/* Returns once everything committed before the call survives a power cut. */
enum err backend_sync(struct backend *b) MUST_USE;

/* store_load's work. */
enum err backend_load(struct backend *b, void (*row)(void *arg, const struct store_op *op),
		      void *arg) MUST_USE;

#endif
