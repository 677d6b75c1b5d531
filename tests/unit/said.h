/* SPDX-License-Identifier: Apache-2.0
 *
 * What a test's process says on standard error, for tests of what people read.  cmocka.h comes before it.
 */
#ifndef SEALWAY_TESTS_SAID_H
#define SEALWAY_TESTS_SAID_H

#include <stdio.h>
#include <unistd.h>

struct said {
	FILE *heard;
	int kept;
};

/* From here on it is kept. */
static inline void said_begin(struct said *s)
{
	fflush(stderr);
	s->heard = tmpfile();
	s->kept = dup(STDERR_FILENO);
	assert_true(s->heard && s->kept >= 0);
	dup2(fileno(s->heard), STDERR_FILENO);
}

/* Gives what was said since, at most n - 1 bytes of it. */
static inline const char *said_end(struct said *s, char *out, size_t n)
{
	fflush(stderr);
	dup2(s->kept, STDERR_FILENO);
	close(s->kept);
	rewind(s->heard);
	out[fread(out, 1, n - 1, s->heard)] = '\0';
	fclose(s->heard);
	return out;
}

#endif
