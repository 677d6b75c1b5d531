/* SPDX-License-Identifier: Apache-2.0
 *
 * A temporary directory for a database, and SQL on it from outside the store.
 */
#ifndef SEALWAY_TESTS_BROKER_DISK_H
#define SEALWAY_TESTS_BROKER_DISK_H

#include <stdbool.h>
#include <stdio.h>

/* Makes a fresh directory; the path of a database in it, static storage. */
const char *disk_new(void);

/* Removes the directory and everything in it. */
void disk_free(void);

/* Runs SQL on the database; true when it went well. */
bool disk_sql(const char *sql);

/* Runs a file of SQL on the database; true when it went well. */
bool disk_script(const char *file);

/* What the first column of the first row of a query on the database at that path
 * says; to be closed with pclose. */
FILE *disk_query(const char *database, const char *sql);

/* The one integer that a query gives; -1 when it does not. */
long long disk_int(const char *sql);

#endif
