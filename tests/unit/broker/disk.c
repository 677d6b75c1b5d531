/* SPDX-License-Identifier: Apache-2.0
 *
 * disk.h with python3's sqlite3, so that the tests do not look at the database
 * through the code that they test.
 */
#include "tests/unit/broker/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tempdir.h"

static char dir[TEMPDIR_ROOM], path[96];

const char *disk_new(void)
{
	tempdir_make(dir);
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	return path;
}

void disk_free(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		abort();
}

FILE *disk_query(const char *database, const char *sql)
{
	char command[2048];

	setenv("SQL", sql, 1);
	snprintf(command, sizeof(command),
		 "python3 -c 'import os, sqlite3; c = sqlite3.connect(\"%s\", timeout=5); "
		 "r = c.execute(os.environ[\"SQL\"]).fetchone(); c.commit(); print(r[0] if r else -1)'",
		 database);
	return popen(command, "r");
}

bool disk_script(const char *file)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "python3 -c 'import sqlite3; sqlite3.connect(\"%s\").executescript(open(\"%s\").read())'",
		 path, file);
	return system(command) == 0;
}

long long disk_int(const char *sql)
{
	FILE *f = disk_query(path, sql);
	long long v = -1;

	if (!f || fscanf(f, "%lld", &v) != 1)
		v = -1;
	if (f)
		pclose(f);
	return v;
}

bool disk_sql(const char *sql)
{
	FILE *f = disk_query(path, sql);

	while (f && fgetc(f) != EOF)
		;
	return f && pclose(f) == 0;
}
