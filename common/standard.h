/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard input, output and error, which a caller may have closed.
 */
#ifndef SEALWAY_COMMON_STANDARD_H
#define SEALWAY_COMMON_STANDARD_H

/* Takes the place of those of descriptors 0 to 2 that are closed, so that no file or
 * socket that is opened later gets their number, and with it what is printed.  Using
 * them fails as before (EBADF).  Call it before anything is opened; ends the process
 * with status 1 where that cannot be done. */
void standard_open(void);

#endif
