/* SPDX-License-Identifier: Apache-2.0
 *
 * Cranks the alarms (alarm.h) from the loop: one timer, moved just before the
 * loop blocks to whatever is due first.
 */
#ifndef SEALWAY_BROKER_CLOCK_H
#define SEALWAY_BROKER_CLOCK_H

#include <uv.h>

#include "broker/alarm.h"

struct clock;

/* arg goes to every alarm. */
struct clock *clock_open(uv_loop_t *uv, void *arg);

/* The alarms; times are loop_now. */
struct alarms *clock_alarms(struct clock *c);

/* Frees once libuv has closed the handles; nothing fires any more.  NULL is fine. */
void clock_close(struct clock *c);

/* Unix time in ms, from the clock that can be set. */
int64_t clock_unix_ms(void);

#endif
