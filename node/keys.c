/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotation (PROTOCOL section 4.5): a key is offered for its lifetime; then a
 * successor is made and registered; from the acknowledgement on the old one is
 * accepted for the longest lock plus the dispatch deadline, and then wiped with
 * its guard.  A key that no gateway has acknowledged yet is not replaced before
 * its statement is nearly over, so the list stays short when none can be reached;
 * or when the clock was set since, because brokers refuse a statement of another time;
 * or when it was refused, because of what an earlier start of this node had registered.
 *
 * Counters are Unix time, so that they grow over restarts.  A clock that is ahead for
 * a while must not carry them along: brokers would refuse this node until that time
 * has come.  Those of registrations go on from the time at which the present row of them
 * began.  Those of keys are safe where their statements are refused; a clock that is ahead by
 * less has the keys of a later start refused until that time has come, so that one after
 * the other is made.
 */
#include "node/keys.h"

#include <sodium.h>
#include <string.h>
#include <stdlib.h>

#include "common/log.h"
#include "node/guard.h"
#include "proto/receipt.h"

#define CLOCK_SLACK_S 300 /* clients' clocks may differ by this much */
#define REFUSED_MS 10000  /* a refused key is on offer so long */

struct nodekey {
	uint8_t *secret; /* sodium_malloc: locked, guard pages, wiped by sodium_free */
	uint8_t pub[SEAL_KEY];
	uint64_t counter;
	uint8_t statement[STATEMENT_BYTES];
	char signature[SIGN_B64];
	struct guard *guard;
	uint64_t made_ms, made_unix_ms;
	uint64_t until_ms; /* 0: no end yet */
	bool acknowledged, refused;
	struct nodekey *older;
};

struct keys {
	struct keys_opts o;
	struct nodekey *newest;
	uint64_t known;              /* largest counter of a key that was acknowledged */
	uint64_t from_ms, from_unix; /* when counting began; both ms */
	uint64_t count, counted;     /* of registrations: the last, and the last that was acknowledged */
};

static void nodekey_free(struct nodekey *n)
{
	sodium_free(n->secret);
	guard_free(n->guard);
	mem_wipe(n, sizeof(*n));
	free(n);
}

static void make_statement(const struct keys *k, struct nodekey *n, uint64_t unix_s)
{
	struct statement s = {
		.node = k->o.node,
		.counter = n->counter,
		.not_before = unix_s > CLOCK_SLACK_S ? unix_s - CLOCK_SLACK_S : 0,
		.not_after = unix_s + k->o.lifetime_s + k->o.overlap_s + CLOCK_SLACK_S,
	};

	memcpy(s.node_key, n->pub, sizeof(s.node_key));
	statement_encode(&s, n->statement);
	sign_label(k->o.sign, STATEMENT_LABEL, slice_of(n->statement, STATEMENT_BYTES), n->signature);
}

/* Its counter is larger than after. */
static void make_key(struct keys *k, uint64_t after, uint64_t mono_ms, uint64_t unix_ms)
{
	struct nodekey *n = mem_new(sizeof(*n));

	n->secret = sodium_malloc(SEAL_KEY);
	BUG_ON(!n->secret); /* memory is out at start or rotation: a supervisor restarts us */
	seal_keypair(n->pub, n->secret);
	n->counter = unix_ms > after ? unix_ms : after + 1;
	n->guard = guard_new(k->o.guard_max);
	n->made_ms = mono_ms;
	n->made_unix_ms = unix_ms;
	make_statement(k, n, unix_ms / 1000);
	n->older = k->newest;
	k->newest = n;
	log_info("key_made", L_U("counter", n->counter));
}

static void count_from(struct keys *k, uint64_t mono_ms, uint64_t unix_ms)
{
	k->from_ms = mono_ms;
	k->from_unix = unix_ms;
	k->count = k->counted;
}

struct keys *keys_new(const struct keys_opts *o, uint64_t mono_ms, uint64_t unix_ms)
{
	struct keys *k = mem_new(sizeof(*k));

	k->o = *o;
	make_key(k, 0, mono_ms, unix_ms);
	count_from(k, mono_ms, unix_ms);
	return k;
}

void keys_free(struct keys *k)
{
	struct nodekey *n, *older;

	if (!k)
		return;
	for (n = k->newest; n; n = older) {
		older = n->older;
		nodekey_free(n);
	}
	free(k);
}

static void drop_expired(struct keys *k, uint64_t mono_ms)
{
	for (struct nodekey **at = &k->newest; *at;) {
		struct nodekey *n = *at;

		if (n->until_ms && mono_ms >= n->until_ms) {
			*at = n->older;
			log_info("key_dropped", L_U("counter", n->counter));
			nodekey_free(n);
		} else {
			at = &n->older;
		}
	}
}

static bool is_due(const struct keys *k, uint64_t mono_ms)
{
	uint64_t age_s = (mono_ms - k->newest->made_ms) / 1000;

	if (!k->newest->acknowledged)
		return age_s >= k->o.lifetime_s + k->o.overlap_s;
	return age_s >= k->o.lifetime_s || guard_crowded(k->newest->guard);
}

/* Whether the newest key is of a time that nobody believes in any more. */
static bool clock_was_set(const struct keys *k, uint64_t mono_ms, uint64_t unix_ms)
{
	const struct nodekey *n = k->newest;
	int64_t by = (int64_t)(unix_ms - n->made_unix_ms) - (int64_t)(mono_ms - n->made_ms);

	return !n->acknowledged && llabs(by) > CLOCK_SLACK_S * 1000;
}

/* The refused one stays for a while: a gateway may have taken it all the same. */
static bool follow_refused(struct keys *k, uint64_t mono_ms, uint64_t unix_ms)
{
	struct nodekey *n = k->newest;

	if (!n->refused || n->acknowledged || mono_ms - n->made_ms < REFUSED_MS)
		return false;
	n->until_ms = mono_ms + k->o.overlap_s * 1000;
	make_key(k, k->known, mono_ms, unix_ms);
	return true;
}

bool keys_tick(struct keys *k, uint64_t mono_ms, uint64_t unix_ms)
{
	drop_expired(k, mono_ms);
	if (clock_was_set(k, mono_ms, unix_ms)) {
		log_warn("clock_was_set", L_S("effect", "a new key: that of the time before was not taken"));
		make_key(k, k->known, mono_ms, unix_ms);
		count_from(k, mono_ms, unix_ms);
		return true;
	}
	if (follow_refused(k, mono_ms, unix_ms))
		return true;
	if (!is_due(k, mono_ms))
		return false;
	make_key(k, k->newest->counter, mono_ms, unix_ms);
	return true;
}

uint64_t keys_count(struct keys *k, uint64_t mono_ms)
{
	uint64_t at = k->from_unix + (mono_ms - k->from_ms);

	k->count = at > k->count ? at : k->count + 1;
	return k->count;
}

void keys_acknowledged(struct keys *k, uint64_t counter, uint64_t count, uint64_t mono_ms)
{
	struct nodekey *n = k->newest;

	if (count > k->counted)
		k->counted = count;
	if (counter > k->known)
		k->known = counter;
	if (n->counter != counter || n->acknowledged)
		return; /* a late answer for a predecessor, or a repetition */
	n->acknowledged = true;
	for (n = n->older; n; n = n->older) {
		if (!n->until_ms)
			n->until_ms = mono_ms + k->o.overlap_s * 1000;
	}
}

void keys_refused(struct keys *k, uint64_t counter)
{
	if (k->newest->counter == counter)
		k->newest->refused = true;
}

struct nodekey *keys_current(struct keys *k)
{
	return k->newest;
}

struct nodekey *keys_find(struct keys *k, const uint8_t pub[SEAL_KEY], uint64_t mono_ms)
{
	for (struct nodekey *n = k->newest; n; n = n->older) {
		if (memcmp(n->pub, pub, SEAL_KEY) == 0)
			return n->until_ms && mono_ms >= n->until_ms ? NULL : n;
	}
	return NULL;
}

const uint8_t *nodekey_public(const struct nodekey *n)
{
	return n->pub;
}

uint64_t nodekey_counter(const struct nodekey *n)
{
	return n->counter;
}

struct slice nodekey_statement(const struct nodekey *n)
{
	return slice_of(n->statement, STATEMENT_BYTES);
}

struct slice nodekey_signature(const struct nodekey *n)
{
	return slice_of(n->signature, SIGN_B64);
}

enum err nodekey_derive(const struct nodekey *n, const uint8_t peer[SEAL_KEY], const uint8_t salt[SEAL_SALT],
			uint8_t out[SEAL_KEY])
{
	return seal_derive(n->secret, peer, salt, out);
}

enum err nodekey_answer_once(struct nodekey *n, const uint8_t key[SEAL_KEY])
{
	return guard_enter(n->guard, key);
}
