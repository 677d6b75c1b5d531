/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics of the node.
 */
#ifndef SEALWAY_NODE_COUNTS_H
#define SEALWAY_NODE_COUNTS_H

#include <stdint.h>

#include "common/err.h"
#include "proto/msg.h"

#define OUTCOMES(X) /* name, label */                                                                        \
	X(OUTCOME_COMPLETE, "complete")                                                                      \
	X(OUTCOME_STOPPED, "stopped") /* by stop-streamer */                                                 \
	X(OUTCOME_LOST, "lost")       /* the worker went away */                                             \
	X(OUTCOME_FAILED, "failed")   /* the engine failed */

enum outcome {
#define X(name, label) name,
	OUTCOMES(X)
#undef X
		OUTCOME_COUNT
};

/* Registers all of them; once, at start. */
void counts_init(void);

/* An answer began (+1) or is over (-1). */
void count_running(int by);

/* An answer is over; units of prompt and completion, and its duration. */
void count_answer(enum endpoint ep, enum outcome o, uint64_t prompt, uint64_t completion, uint64_t us);

/* An object went out. */
void count_chunk(void);

/* A request was refused with e. */
void count_refusal(enum err e);

/* Registrations at gateways. */
void count_registration(bool acknowledged);

/* Whether the engine can be reached. */
void count_engine(bool reachable);

/* Receipts kept now. */
void count_receipts(uint64_t kept);

#endif
