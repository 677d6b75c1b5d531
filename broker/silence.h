/* SPDX-License-Identifier: Apache-2.0
 *
 * Which peers are taken for dead: those that say nothing for three intervals while
 * others can be heard.
 */
#ifndef SEALWAY_BROKER_SILENCE_H
#define SEALWAY_BROKER_SILENCE_H

#include "broker/peers.h"

/* Starts looking for silent peers. */
void silence_start(struct broker *b);

/* p was heard. */
void silence_broken(struct broker *b, struct party *p);

/* Whether p has not been heard for so long, whatever the reason. */
bool silence_of(const struct broker *b, const struct party *p);

/* Whether p would do what it is given now. */
static inline bool party_works(const struct broker *b, const struct party *p)
{
	return !party_lost(p) && !p->draining && !silence_of(b, p);
}

/* Looks in ms at the latest: somebody has ended. */
void silence_sweep_within(struct broker *b, uint64_t ms);

#endif
