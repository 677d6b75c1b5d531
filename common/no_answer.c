/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that does not answer (no_answer.h).
 */
#include "common/no_answer.h"

#include <stdio.h>

#include "common/log.h"

#define LIMIT_MAX_MS 5000
#define AGAIN_MS 60000

static void say(const struct no_answer *n)
{
	char todo[256];

	if (n->curve)
		snprintf(todo, sizeof(todo),
			 "check that a broker runs there, that broker_key is its public key, and that our "
			 "key is on its list of peers as a %s",
			 n->role);
	else
		snprintf(todo, sizeof(todo), "check that a broker runs there, with this endpoint in its bus");
	log_warn("broker.no_answer", L_S("endpoint", n->endpoint), L_S("do", todo));
}

bool no_answer_say(const struct no_answer *n, uint64_t silent_ms, uint64_t now, _Atomic uint64_t *next)
{
	uint64_t due = atomic_load(next);

	if (silent_ms < n->limit_ms && silent_ms < LIMIT_MAX_MS)
		return false;
	if (now < due || !atomic_compare_exchange_strong(next, &due, now + AGAIN_MS))
		return false;
	say(n);
	return true;
}
