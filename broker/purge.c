/* SPDX-License-Identifier: Apache-2.0
 *
 * One bounded deletion at a time, so that it never delays a commit by more than
 * some ms: 1000 rows a second keep pace with 86 million requests a day.  It is also
 * no more than the oldest five minutes at a time, so that a clock that is far ahead
 * for a while costs the end of the history and not all of it.
 */
#include "broker/purge.h"

#define STEP_MS 1000

static void on_step(void *arg, struct alarm *a)
{
	struct broker *b = arg;
	struct store_op *op;

	if (store_healthy(b->store)) {
		op = store_op_new(OP_PURGE);
		op->u.purge.before = broker_now() - (int64_t)b->conf.remember_days * 86400;
		broker_keep(b, op);
	}
	alarm_set(b->alarms, a, broker_ms(b) + STEP_MS, on_step);
}

void purge_start(struct broker *b)
{
	alarm_set(b->alarms, &b->purge_alarm, broker_ms(b) + STEP_MS, on_step);
}
