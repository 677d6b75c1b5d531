/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing all of it, and files that others find whole or not at all.
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

#endif
