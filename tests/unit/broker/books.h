/* SPDX-License-Identifier: Apache-2.0
 *
 * Ledger, registry and store over one database file, taken up as a broker does
 * when it starts, and checked; for tests whose process or disk dies under them.
 */
#ifndef SEALWAY_TESTS_BROKER_BOOKS_H
#define SEALWAY_TESTS_BROKER_BOOKS_H

#include <stdint.h>
#include <uv.h>

#include "broker/ledger.h"
#include "broker/node.h"
#include "broker/store.h"

struct books {
	uv_loop_t loop;
	struct store *store;
	struct ledger *ledger;
	struct registry *registry;
	struct user *user; /* alice; NULL in a database where books_begin has not been */
};

/* Opens the database at path, makes it if there is none, and reads it; the test
 * fails if file or ledger are not sound. */
void books_open(struct books *k, const char *path);

/* Closes it: what was submitted is committed before. */
void books_close(struct books *k);

/* Submits what everything else needs: alice with money, node 1, model 1. */
void books_begin(struct books *k);

/* Units that all stacks have spent. */
uint64_t books_spent(const struct books *k);

/* Prints a problem that store_check or ledger_check found. */
void books_problem(void *arg, const char *text);

#endif
