/* SPDX-License-Identifier: Apache-2.0
 *
 * What the peers of an XPUB socket have sent that an XSUB of ours would not have, by connection.  libzmq
 * keeps every subscription of a peer for as long as its connection lasts, allowed or not: some 60 bytes for
 * each byte of the topic.  So who sends more than a few of those is cut (zsock_pub.c).
 */
#ifndef SEALWAY_COMMON_ZSTRAY_H
#define SEALWAY_COMMON_ZSTRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"

struct zstray;

/* All zero is a valid empty set. */
struct zstrays {
	struct zstray **v; /* by descriptor */
	size_t cap;
};

/* A topic that the peer on descriptor fd was not allowed, at now (ms).  This and the others: true when it is
 * time to cut it. */
bool zstray_topic(struct zstrays *s, int fd, uint64_t topic, uint64_t now);

/* A frame upstream, or its end, which has to follow with the same bytes. */
bool zstray_upstream(struct zstrays *s, int fd, bool end, struct slice bytes, uint64_t now);

/* Anything else; at_once: something that no libzmq would send by itself. */
bool zstray_other(struct zstrays *s, int fd, bool at_once, uint64_t now);

/* Frees the set's memory. */
void zstrays_fini(struct zstrays *s);

#endif
