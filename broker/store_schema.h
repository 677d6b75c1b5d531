/* SPDX-License-Identifier: Apache-2.0
 *
 * The schema as a list of migrations: entry i brings version i to i + 1.  A
 * released entry never changes; what comes later is appended.
 */
#ifndef SEALWAY_BROKER_STORE_SCHEMA_H
#define SEALWAY_BROKER_STORE_SCHEMA_H

#include <stddef.h>

extern const char *const store_migrations[];
extern const size_t store_versions; /* how many there are; the version of a current database */

/* Queries that must give no rows on a sound ledger, and what a row would mean. */
struct store_law {
	const char *what;
	const char *sql; /* one column: the id of what breaks it */
};

extern const struct store_law store_laws[];
extern const size_t n_store_laws;

#endif
