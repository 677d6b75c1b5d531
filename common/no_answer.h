/* SPDX-License-Identifier: Apache-2.0
 *
 * The warning of who asks a broker in vain.  A broker that refuses our key, or
 * has another than we were told, is as silent as one that is not there.  One of
 * another version answers, but not in a way that we understand.
 */
#ifndef SEALWAY_COMMON_NO_ANSWER_H
#define SEALWAY_COMMON_NO_ANSWER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* For whoever meets messages of another version. */
#define OTHER_VERSION_REMEDY "replace the older of the two: OPERATING.md, Upgrading, says which go together"

struct no_answer {
	const char *endpoint; /* the broker's */
	const char *role;     /* ours on its list of peers */
	bool curve;           /* keys are looked at there */
	uint64_t limit_ms;    /* this silence is death, and worth a word; so are 5 s, where that is less */
	bool foreign;         /* it answered, in messages that are not ours */
	unsigned ours;        /* the version of our messages */
	unsigned theirs;      /* of its: ours, where only the form is another */
};

/* Says so when silent_ms has reached the limit, or at once of a foreign one, and now (ms) is not before
 * *next, which is a minute later from then on.  *next is 0 at first; threads that would say the same may
 * share one.  Whether it was said. */
bool no_answer_say(const struct no_answer *n, uint64_t silent_ms, uint64_t now, _Atomic uint64_t *next);

#endif
