/* SPDX-License-Identifier: Apache-2.0
 *
 * For targets whose parser reads a file and tells people what is wrong in it: an
 * input as a file without a name, and standard error closed while it is read,
 * but for the sanitizers' reports.
 */
#ifndef SEALWAY_TESTS_FUZZ_QUIET_H
#define SEALWAY_TESTS_FUZZ_QUIET_H

#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static int quiet_file = -1, quiet_null = -1, quiet_real = -1;
static char quiet_path[64];

/* The path of a file (mode 0600) that holds the input. */
static const char *quiet_begin(const uint8_t *data, size_t n)
{
	if (quiet_file < 0) {
		quiet_file = memfd_create("input", MFD_CLOEXEC);
		quiet_null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		quiet_real = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
		MUST(quiet_file >= 0 && quiet_null >= 0 && quiet_real >= 0 && fchmod(quiet_file, 0600) == 0);
		__sanitizer_set_report_fd((void *)(intptr_t)quiet_real); /* NOLINT: its interface */
		snprintf(quiet_path, sizeof(quiet_path), "/proc/self/fd/%d", quiet_file);
	}
	MUST(ftruncate(quiet_file, 0) == 0 && pwrite(quiet_file, data, n, 0) == (ssize_t)n);
	MUST(dup2(quiet_null, STDERR_FILENO) >= 0);
	return quiet_path;
}

static void quiet_end(void)
{
	MUST(dup2(quiet_real, STDERR_FILENO) >= 0);
}

#endif
