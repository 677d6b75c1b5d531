/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that loses power.  Linked into a test, it takes the place of the C
 * library's pwrite, ftruncate and fdatasync for SQLite and for the store alike,
 * and remembers of each database file what a sync has made safe.  An image is
 * what a machine would find after a cut at that moment: everything that was
 * synced, and of the rest nothing, or any pages in any state of writing.
 */
#ifndef SEALWAY_TESTS_BROKER_POWER_H
#define SEALWAY_TESTS_BROKER_POWER_H

#include <stdbool.h>

enum power_cut {
	CUT_PROCESS, /* only the process died: all that was written is there */
	CUT_DROPS,   /* everything unsynced is gone */
	CUT_TEARS,   /* of the unsynced, random sectors reached the disk, in no order */
	CUTS
};

/* The database at path is on disk as it is; from here on only syncs make things safe. */
void power_on(const char *path);

/* Has hook run before each sync with all writing halted; db: it is the database's
 * own file that is synced, not the log.  NULL: no more. */
void power_hook(void (*hook)(void *arg, bool db), void *arg);

/* The most pages of the database that a thread which only copies the log had written
 * between two syncs, since the last call. */
unsigned power_most_unsynced(void);

/* Back to an ordinary disk; forgets what was synced. */
void power_off(void);

/* After so many more writes, each fails with that errno and writes nothing, until it is 0. */
void power_fail(int error, unsigned after);

/* Makes the files of an image of the database at path: to, to-wal.  From a hook,
 * or from outside one (writing is halted for so long). */
void power_image(const char *path, const char *to, enum power_cut cut, unsigned seed);

#endif
