/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that does not answer (no_answer.h).
 */
#include "common/no_answer.h"

#include <stdio.h>

#include "common/log.h"

#define LIMIT_MAX_MS 5000
#define AGAIN_MS 60000

static void say_silent(const struct no_answer *n)
{
	char todo[256];

	if (n->curve)
		snprintf(todo, sizeof(todo),
			 "check that a broker runs there, that this machine finds it if that is a name, that "
			 "broker_key is its public key, and that our key is on its list of peers as a %s",
			 n->role);
	else
		snprintf(todo, sizeof(todo), "check that a broker runs there, with this endpoint in its bus");
	log_warn("broker.no_answer", L_S("endpoint", n->endpoint), L_S("do", todo));
}

static void say_foreign(const struct no_answer *n)
{
	log_warn("broker.other_version", L_S("endpoint", n->endpoint), L_S("our_version", SEALWAY_VERSION),
		 L_U("our_messages", n->ours), L_U("its_messages", n->theirs),
		 L_S("why", n->theirs == n->ours ? "its messages have our number, but not our form"
						 : "its messages are of another version than ours"),
		 L_S("do", OTHER_VERSION_REMEDY));
}

bool no_answer_say(const struct no_answer *n, uint64_t silent_ms, uint64_t now, _Atomic uint64_t *next)
{
	uint64_t due = atomic_load(next);

	if (!n->foreign && silent_ms < n->limit_ms && silent_ms < LIMIT_MAX_MS)
		return false;
	if (now < due || !atomic_compare_exchange_strong(next, &due, now + AGAIN_MS))
		return false;
	if (n->foreign)
		say_foreign(n);
	else
		say_silent(n);
	return true;
}
