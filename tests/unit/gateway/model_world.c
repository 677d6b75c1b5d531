/* SPDX-License-Identifier: Apache-2.0
 *
 * What everybody in the world of test_gateway_model.c knows (model_world.h).
 */
#include "tests/unit/gateway/model_world.h"

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

void world_check(const struct client *c, bool well, const char *why)
{
	if (well)
		return;
	for (unsigned i = 0; i < world.n_streams; i++)
		if (world.stream[i].c == c)
			print_message("answer: attempt %u, worker %u, plan %u, %zu of %zu sent, granted "
				      "%llu, over %d, ended %d\n",
				      world.stream[i].attempt, world.stream[i].worker, world.stream[i].plan,
				      world.stream[i].sent, world.stream[i].text.n,
				      (unsigned long long)world.stream[i].granted, world.stream[i].over,
				      world.stream[i].ended);
	fail_msg("client %u (%s%s%s): %s; end %d, status %d, got %zu, waiting %zu, refused %d",
		 (unsigned)(c - world.client), c->asks == ASK_JOB ? "job" : "question",
		 c->stream ? ", stream" : "", world.calm ? ", calm" : "", why, (int)c->http.end,
		 c->http.status, c->http.got.n, c->http.waiting, c->refused);
}

struct client *world_find(const uint8_t *rid)
{
	for (unsigned i = 0; i < world.n; i++)
		if (world.client[i].asked && memcmp(world.client[i].rid, rid, RID_BYTES) == 0)
			return &world.client[i];
	return NULL;
}

void world_stop(struct stream *s)
{
	s->over = true;
}
