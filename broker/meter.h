/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of users (limit.h) applied to what the broker does: requests counted,
 * refused and told what is left, places in the queue and bodies shared out.
 */
#ifndef SEALWAY_BROKER_METER_H
#define SEALWAY_BROKER_METER_H

#include "broker/task.h"

/* The limits that hold for u now. */
struct limits meter_limits(const struct broker *b, const struct user *u);

/* Counts a request of u's; to be called as soon as the token is known.  ERR_RATE
 * with *retry_after_s; *q tells what is left. */
enum err meter_request(const struct broker *b, struct user *u, struct quota *q,
		       uint32_t *retry_after_s) MUST_USE;

/* meter_request for a lock: nor may more of them lie unused than requests may run. */
enum err meter_lock(const struct broker *b, struct user *u, struct quota *q,
		    uint32_t *retry_after_s) MUST_USE;

/* The last check before units are reserved: whether u may have one more request
 * in hand, with a body of body_n bytes, while others want places too.  ERR_OK takes units from its
 * minute; ERR_RATE: its own share is used up; ERR_UNAVAILABLE: everything is. */
enum err meter_job(struct broker *b, struct user *u, uint64_t units, size_t body_n, struct quota *q,
		   uint32_t *retry_after_s) MUST_USE;

/* An admitted task (its user and body are set) is counted from here on. */
void meter_enter(struct broker *b, struct task *t);

/* t goes from one state to another; task_state says so. */
void meter_state(struct broker *b, struct task *t, enum task_state from, enum task_state to);

/* What t reserved and was not billed counts no longer against u's minute. */
void meter_billed(struct broker *b, struct task *t, uint64_t billed);

#endif
