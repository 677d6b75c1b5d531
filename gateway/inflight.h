/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests that wait for the broker or a worker, by request id: bounded, each
 * with its deadlines.
 */
#ifndef SEALWAY_GATEWAY_INFLIGHT_H
#define SEALWAY_GATEWAY_INFLIGHT_H

#include <uv.h>

#include "gateway/call.h"
#include "gateway/deadline.h"
#include "gateway/flight.h"

enum pending_kind { PENDING_JOB, PENDING_LOCK, PENDING_REGISTER, PENDING_QUERY };

struct pending {
	struct call *call; /* owned until it is ended */
	enum pending_kind kind;
	uint64_t order;       /* link_order when it was sent */
	struct flight flight; /* PENDING_JOB */
	struct deadline phase, whole, alive, retry, ask;
	bool asked; /* the broker, since the last frame */
};

struct inflight;

/* An empty table of at most conf's max_inflight, whose deadlines are watched on
 * gw's loop; a deadline that passes calls due. */
struct inflight *inflight_new(struct gw *gw, void (*due)(struct gw *gw, struct deadline *e));

/* Frees the table; it must be empty.  NULL is fine. */
void inflight_free(struct inflight *f);

/* Whether one more may come. */
bool inflight_room(const struct inflight *f);

/* How many there are. */
size_t inflight_count(const struct inflight *f);

/* Puts c in; never NULL (ask inflight_room before).  Takes c. */
struct pending *inflight_add(struct inflight *f, struct call *c, enum pending_kind kind);

/* Finds by request id (16 bytes), or NULL. */
struct pending *inflight_find(const struct inflight *f, const uint8_t *rid);

/* Takes p out and frees it; gives its call back to be ended. */
struct call *inflight_take(struct inflight *f, struct pending *p) MUST_USE;

/* Walks: *pos starts at 0.  The one just returned may be taken out. */
struct pending *inflight_next(const struct inflight *f, size_t *pos);

/* Arms a deadline of p from now on. */
void inflight_arm(struct inflight *f, struct deadline *e, enum deadline_kind kind);

#endif
