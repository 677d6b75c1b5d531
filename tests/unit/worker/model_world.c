/* SPDX-License-Identifier: Apache-2.0
 *
 * What everybody in the world of test_worker_model.c knows (model_world.h).
 */
#include "tests/unit/worker/model_world.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

struct world world;

uint64_t world_now(void)
{
	return uv_now(&world.uv);
}

void world_check(const struct request *j, bool well, const char *why)
{
	if (well)
		return;
	fail_msg("job %u (plan %u at %u of %u, fetch %u, %s%s, attempt %u): %s; posted %d, status %d, told "
		 "%d %d, "
		 "whole %d, seq %u, sent %llu of %zu, granted %llu, ended %d %d, cancelled %d, disturbed %d, "
		 "returns %u, "
		 "dups %u, settled %zu, acknowledged %d",
		 j->n.number, j->n.plan, j->n.at, j->n.total, j->n.fetch,
		 endpoint_confidential(j->n.w.endpoint) ? "sealed" : "plain", j->n.w.stream ? " stream" : "",
		 j->n.w.attempt, why, j->posted, j->n.status, j->n.told, (int)j->n.result, j->n.whole, j->seq,
		 (unsigned long long)j->sent, j->n.want.n, (unsigned long long)j->granted, j->ended,
		 (int)j->error, j->cancelled, j->disturbed, j->returns, j->dups, j->settle.n, j->acked);
}

struct request *world_find(const uint8_t *rid, uint32_t attempt)
{
	for (unsigned i = world.n; i > 0; i--) {
		struct request *j = &world.job[i - 1];

		if (memcmp(j->n.w.rid, rid, RID_BYTES) == 0 && (attempt == 0 || attempt == j->n.w.attempt))
			return j;
	}
	return NULL;
}

struct request *world_known(const uint8_t *rid, uint32_t attempt)
{
	struct request *j = world_find(rid, attempt);

	if (!j)
		fail_msg("said of a request that nobody gave");
	return j;
}

struct request *world_any(void)
{
	return world.n ? &world.job[dice(world.n)] : NULL;
}

void world_cancel(const uint8_t *rid, uint32_t attempt)
{
	for (unsigned i = 0; i < world.n; i++) {
		struct request *j = &world.job[i];

		if (!j->posted || memcmp(j->n.w.rid, rid, RID_BYTES) != 0 ||
		    (attempt != 0 && attempt != j->n.w.attempt))
			continue;
		j->cancelled = j->disturbed = true;
		j->owes_stop |= !j->n.over && !j->settle.n;
	}
}

struct gateway *world_gateway(uint64_t topic)
{
	for (unsigned i = 0; i < GATEWAYS; i++)
		if (world.gateway[i].topic == topic)
			return &world.gateway[i];
	return NULL;
}
