/* SPDX-License-Identifier: Apache-2.0
 *
 * Standard descriptors that the caller closed (standard.h).  Each is filled with
 * /dev/null opened for the other direction: a write to it fails and is told,
 * where one into /dev/null itself would pass for success.
 */
#include "common/standard.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void standard_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* the lowest free number, which is fd: those below are taken */
		if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
			_exit(1);
	}
}
