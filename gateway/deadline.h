/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines of many requests: one list per kind, and every entry of a list has
 * the same duration, so the lists are sorted by themselves and arming, taking
 * out and expiring cost the same however many there are.  Pure: the caller
 * says what time it is.
 */
#ifndef SEALWAY_GATEWAY_DEADLINE_H
#define SEALWAY_GATEWAY_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

#define DEADLINES(X)                /* kind, name in logs */                                                 \
	X(DL_CONTROL, "control")    /* the broker's answer to a lock, query or registration */               \
	X(DL_HEAD, "first_byte")    /* a job's first sign: dispatch, connect and the node's first byte */    \
	X(DL_GAP, "gap")            /* between two chunks */                                                 \
	X(DL_WHOLE, "whole")        /* the whole stream */                                                   \
	X(DL_ALIVE, "keep_alive")   /* the next keep-alive comment */                                        \
	X(DL_RETRY, "credit_retry") /* a credit that could not be sent */                                    \
	X(DL_ASK, "ask")            /* a job of which nothing was heard: whether the broker knows it */

enum deadline_kind {
#define X(kind, name) kind,
	DEADLINES(X)
#undef X
		DL_COUNT
};

struct deadline {
	struct deadline *prev, *next; /* NULL when not armed */
	uint64_t due;                 /* ms */
	enum deadline_kind kind;
};

struct deadlines {
	uint64_t ms[DL_COUNT];
	struct deadline head[DL_COUNT];
};

/* ms[kind]: how long each kind lasts, in milliseconds. */
void deadlines_init(struct deadlines *d, const uint64_t ms[DL_COUNT]);

/* Arms (or arms again) e for its kind's duration from now on. */
void deadline_arm(struct deadlines *d, struct deadline *e, enum deadline_kind kind, uint64_t now);

/* Takes e out; no effect when it is not armed. */
void deadline_disarm(struct deadline *e);

static inline bool deadline_armed(const struct deadline *e)
{
	return e->next != 0;
}

/* Takes out everything due at now and calls fn for each.  fn may arm, disarm
 * and free any entry; what it arms with a duration of 0 waits for the next call. */
void deadlines_expire(struct deadlines *d, uint64_t now, void (*fn)(void *arg, struct deadline *e),
		      void *arg);

#endif
