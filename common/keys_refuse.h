/* SPDX-License-Identifier: Apache-2.0
 *
 * How reading and making key files say what is wrong (keys.c, keys_new.c).
 */
#ifndef SEALWAY_COMMON_KEYS_REFUSE_H
#define SEALWAY_COMMON_KEYS_REFUSE_H

#include "common/err.h"

/* Logs which file is refused and what to do about it; gives e. */
enum err key_refuse(enum err e, const char *path, const char *why);

/* Logs what could not be done with a file and errno's text; gives ERR_IO and
 * leaves errno as it was. */
enum err key_refuse_io(const char *path, const char *what);

#endif
