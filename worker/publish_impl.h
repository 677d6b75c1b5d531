/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the publisher: publish.c (the socket and what comes in on it),
 * publish_topic.c (who may have which topic), publish_queue.c (what a topic's
 * pipe does not take).  Nobody else includes this.
 */
#ifndef SEALWAY_WORKER_PUBLISH_IMPL_H
#define SEALWAY_WORKER_PUBLISH_IMPL_H

#include "common/seldom.h"
#include "worker/publish.h"

struct waiting {
	struct waiting *next;
	struct zmsg msg;
	size_t n;
};

struct topic {
	uint64_t id;
	bool has_key, heard, lost;
	uint8_t key[KEY_BYTES];
	uint32_t named_by; /* bit per broker */
	uint64_t silent_since;
	struct waiting *first, **last;
	size_t bytes; /* waiting */
};

struct publish {
	struct publish_opts o;
	struct zsock *z;
	struct map *topics;
	uv_timer_t retry, look;
	unsigned open;    /* handles */
	size_t n_waiting; /* topics with something waiting */
	bool sender_has_key;
	uint8_t sender[KEY_BYTES];
	struct seldom unknown_topic, foreign_key, bad_message;
};

/* publish_topic.c: the topic with that number, or NULL. */
struct topic *publish_topic(const struct publish *p, uint64_t id);
/* Whether the sender of the frame at hand may speak for t. */
bool publish_key_fits(const struct publish *p, const struct topic *t);

/* publish_queue.c: drops what waits for t. */
void publish_queue_drop(struct publish *p, struct topic *t);

#endif
