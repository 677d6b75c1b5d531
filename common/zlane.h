/* SPDX-License-Identifier: Apache-2.0
 *
 * Lanes of an XPUB socket (zsock.c): the name under which a topic is published
 * this time.  libzmq's manual subscriptions go to "the pipe of the last frame
 * read" and that pipe may have ended already; a message on such a subscription
 * would touch freed memory.  So each permission gets a lane of its own that is
 * never used again, and carries messages only after all that was waiting when
 * it was given has been read without news of that topic's end.
 */
#ifndef SEALWAY_COMMON_ZLANE_H
#define SEALWAY_COMMON_ZLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zlane {
	uint64_t topic, id;
	bool fresh; /* nothing may be sent yet */
	bool owned; /* given to a peer with a CURVE key */
	uint8_t owner[32];
};

/* All zero is a valid empty set. */
struct zlanes {
	struct zlane *v; /* by topic */
	size_t n, cap, n_fresh;
	uint64_t last_id;
};

/* The lane of a topic, or NULL.  Valid until the next open or drop. */
const struct zlane *zlanes_find(const struct zlanes *l, uint64_t topic);

/* Gives topic a new, fresh lane (in place of an old one); returns its id. */
uint64_t zlanes_open(struct zlanes *l, uint64_t topic);

/* Notes whose key the lane of topic was given to; NULL: of a peer without one. */
void zlanes_own(struct zlanes *l, uint64_t topic, const uint8_t key[32]);

/* Forgets the lane of topic; false if there was none. */
bool zlanes_drop(struct zlanes *l, uint64_t topic);

/* Everything that was waiting has been read: fresh lanes are usable. */
void zlanes_settle(struct zlanes *l);

/* Frees the set's memory. */
void zlanes_fini(struct zlanes *l);

#endif
