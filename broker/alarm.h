/* SPDX-License-Identifier: Apache-2.0
 *
 * Points in time at which something is due: lock expiry, deadlines.  A binary
 * heap of intrusive entries; it has no clock and no loop, its owner cranks it.
 */
#ifndef SEALWAY_BROKER_ALARM_H
#define SEALWAY_BROKER_ALARM_H

#include <stddef.h>
#include <stdint.h>

/* Embedded in what is due.  All zero is an alarm that is off. */
struct alarm {
	uint64_t when; /* ms, the owner's clock */
	size_t place;  /* in the heap, from 1; 0 = off */
	void (*fire)(void *arg, struct alarm *a);
};

struct alarms;

/* arg goes to every fire. */
struct alarms *alarms_new(void *arg);

/* Frees the heap, not what is in it; NULL is fine. */
void alarms_free(struct alarms *s);

/* Sets (or moves) a to fire at when. */
void alarm_set(struct alarms *s, struct alarm *a, uint64_t when, void (*fire)(void *arg, struct alarm *a));

/* Takes a out; fine when it is off. */
void alarm_off(struct alarms *s, struct alarm *a);

/* Fires everything due at now, each once and after being taken out; alarms may
 * be set and taken out meanwhile. */
void alarms_run(struct alarms *s, uint64_t now);

/* When the next one is due; UINT64_MAX when none is set. */
uint64_t alarms_next(const struct alarms *s);

#endif
