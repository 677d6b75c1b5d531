/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers around key files that `keys` and `up` share.
 */
#ifndef SEALWAY_CLIENT_CLI_KEYS_H
#define SEALWAY_CLIENT_CLI_KEYS_H

#include <stdbool.h>

/* Makes dir (0700) unless it is there.  False: said on stderr. */
bool keys_dir(const char *dir);

#endif
