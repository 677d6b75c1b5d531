/* SPDX-License-Identifier: Apache-2.0
 *
 * A file for what an answer brings (--receipt, --output): opened before
 * anything is asked and paid, written when all of it is there.
 */
#ifndef SEALWAY_CLIENT_CLI_KEEP_H
#define SEALWAY_CLIENT_CLI_KEEP_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/mem.h"

struct keep {
	const char *path; /* NULL: not wanted */
	int fd;
	bool fresh; /* made by us: goes again when there is nothing to keep */
};

/* Opens path, making it with mode; what it held stays until it is written.  False: said on stderr. */
bool keep_open(struct keep *k, const char *path, mode_t mode);

/* Puts bytes in the place of what the file held.  False: said on stderr; half a file is not left. */
bool keep_write(struct keep *k, struct slice bytes);

/* Closes what was not written. */
void keep_close(struct keep *k);

#endif
