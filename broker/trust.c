/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a worker is trusted with work (trust.h).
 */
#include "broker/trust.h"

#include <string.h>

#include "broker/broker.h"
#include "broker/news.h"
#include "common/log.h"

#define TOLD_AT 3 /* failures in a row */

static void said(const struct broker *b, const struct party *p)
{
	uint8_t who[KEY_BYTES] = { 0 };

	memcpy(who, &p->instance, sizeof(p->instance));
	if (news(who, broker_ms(b)))
		log_warn("worker_fails", L_S("worker", p->name), L_U("instance", p->instance),
			 L_U("in_a_row", p->failures),
			 L_S("do", "see its log (node.failed): its requests go to other workers where there "
				   "are any"));
}

void trust_note(const struct broker *b, struct party *p, bool good)
{
	if (good) {
		p->failures /= 2;
		return;
	}
	p->failures += p->failures < TRUST_FAILURES_MAX;
	p->failed_ms = broker_ms(b);
	if (p->failures == TOLD_AT)
		said(b, p);
}

uint32_t trust_handicap(const struct broker *b, const struct party *p)
{
	uint64_t halves = p->failures ? (broker_ms(b) - p->failed_ms) / TRUST_HALVES_MS : 0;

	return halves > TRUST_FAILURES_MAX ? 0 : ((UINT32_C(1) << p->failures) - 1) >> halves;
}
