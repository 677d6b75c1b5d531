/* SPDX-License-Identifier: Apache-2.0
 *
 * A job's answer on its way through the gateway: who may continue it, which
 * frame comes next, how many bytes its worker may still publish.  Pure: takes
 * events and says what to do; stream.c does it.
 */
#ifndef SEALWAY_GATEWAY_FLIGHT_H
#define SEALWAY_GATEWAY_FLIGHT_H

#include "common/err.h"
#include "proto/chunk.h"

#define FLIGHT_STATES(X) /* state, states it may enter next */                                               \
	X(FLIGHT_WAITING, FLIGHT_BIT(FLIGHT_OPEN) | FLIGHT_BIT(FLIGHT_OVER))                                 \
	X(FLIGHT_OPEN, FLIGHT_BIT(FLIGHT_OVER))                                                              \
	X(FLIGHT_OVER, 0)

#define FLIGHT_BIT(state) (1u << (state))

enum flight_state {
#define X(state, next) state,
	FLIGHT_STATES(X)
#undef X
		FLIGHT_STATE_COUNT
};

enum flight_do {
	FLIGHT_DROP,   /* not for this flight, or stale: ignore */
	FLIGHT_BEGIN,  /* HEAD: send 200 */
	FLIGHT_WRITE,  /* DATA: send the payload */
	FLIGHT_END,    /* END: clean end */
	FLIGHT_REFUSE, /* over before HEAD: send *why as a status */
	FLIGHT_BREAK,  /* over after HEAD: error event, then cut */
};

struct flight {
	enum flight_state state;
	bool stream;            /* SSE; else one whole answer */
	bool fault;             /* the worker broke the rules: it gets a CANCEL */
	uint64_t worker, epoch; /* fixed by HEAD */
	uint32_t attempt, seq;  /* attempt fixed by HEAD; seq expected next */
	uint64_t length;        /* whole answers: bytes in all */
	uint64_t received;      /* payload bytes so far */
	uint64_t granted;       /* payload bytes the worker may publish in all */
	uint64_t window;        /* of these, how many the client need not have taken yet */
	uint64_t mark, mark_ms; /* what the client had taken when a window was last full, and when that was */
	uint8_t tail[2];        /* the last two bytes written: is an event finished? */
};

#define FLIGHT_GRANT_STEP 16384  /* bytes; smaller grants wait and go together */
#define FLIGHT_WINDOW_MAX 262144 /* bytes; it begins as CREDIT_INITIAL */
#define FLIGHT_FAST_MS 250       /* a client that takes a window in less keeps up */

/* A flight whose job has just been sent. */
void flight_init(struct flight *f, bool stream);

/* Applies a frame of this request id, from the worker that it names.  *why is
 * set on REFUSE and BREAK. */
enum flight_do flight_apply(struct flight *f, const struct chunk *c, enum err *why);

/* Ends the flight for a reason of our own: REFUSE before HEAD, else BREAK. */
enum flight_do flight_fail(struct flight *f);

/* Bytes to grant now that pending bytes of the answer still wait for the
 * client, 0 if not worth a message yet.  Changes nothing: say flight_granted
 * once it was sent. */
uint32_t flight_grant(const struct flight *f, uint64_t pending);

/* Counts a grant that was sent. */
void flight_granted(struct flight *f, uint32_t bytes);

/* Doubles the window of an answer that its client takes as fast as credits let it come, as images and workers
 * far away need: a whole window within FLIGHT_FAST_MS, which no model's text does.  The growth is taken from
 * *room, which all flights share; without room there is none.  Ask it before flight_grant. */
void flight_widen(struct flight *f, uint64_t pending, uint64_t now_ms, uint64_t *room);

/* Gives the growth back to *room; for a flight that ends. */
void flight_narrow(struct flight *f, uint64_t *room);

/* Whether a comment or an event may be written now, that is, outside of an
 * event that has come only in part. */
bool flight_between_events(const struct flight *f);

#endif
