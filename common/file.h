/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing all of it, files that others find whole or not at all, and who may change them now.
 */
#ifndef SEALWAY_COMMON_FILE_H
#define SEALWAY_COMMON_FILE_H

#include <stdbool.h>

#include "common/err.h"
#include "common/mem.h"

/* Writes all of bytes to a descriptor, over interruptions.  False with errno. */
bool file_write(int fd, struct slice bytes) MUST_USE;

/* Whether a file may be put at path: nothing is there, or a regular file.  A device would be gone for
 * everybody.  False with errno. */
bool file_may_put(const char *path) MUST_USE;

/* Writes text to path (mode 0600) by renaming PATH.new.  ERR_IO with errno; path is as it was then,
 * and nothing is left beside it. */
enum err file_put(const char *path, struct slice text) MUST_USE;

/* Takes the lock of a file or directory for this process, to be given back by closing it.  Whoever may read
 * it may hold that for ever, so it is waited for 3 s at most.  False with errno: EWOULDBLOCK then. */
bool file_lock(int fd) MUST_USE;

#endif
