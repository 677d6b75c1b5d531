/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a worker is trusted with work (trust.h).
 */
#include "broker/trust.h"

#include "broker/broker.h"

void trust_note(const struct broker *b, struct party *p, bool good)
{
	if (good) {
		p->failures /= 2;
		return;
	}
	p->failures += p->failures < TRUST_FAILURES_MAX;
	p->failed_ms = broker_ms(b);
}

uint32_t trust_handicap(const struct broker *b, const struct party *p)
{
	uint64_t halves = p->failures ? (broker_ms(b) - p->failed_ms) / TRUST_HALVES_MS : 0;

	return halves > TRUST_FAILURES_MAX ? 0 : ((UINT32_C(1) << p->failures) - 1) >> halves;
}
