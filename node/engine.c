/* SPDX-License-Identifier: Apache-2.0
 *
 * Which engine a setting names, and the calls that go through its table.
 */
#include "node/engine.h"

#include <string.h>

#include "common/log.h"
#include "node/engine_ops.h"

#define RATE_MAX 1000000

enum err engine_open(struct engine **out, const struct engine_opts *o)
{
	const char *s = o->engine;
	uint64_t rate = 0;

	if (strncmp(s, "http://", 7) == 0 || strncmp(s, "https://", 8) == 0)
		return engine_openai_new(out, o);
	if (strcmp(s, "echo") != 0 &&
	    (strncmp(s, "echo:rate=", 10) != 0 || slice_u64(slice_str(s + 10), RATE_MAX, &rate) != ERR_OK)) {
		log_error("configuration", L_S("setting", "engine"),
			  L_S("what", "neither echo, echo:rate=N nor a URL"));
		return ERR_CONFIG;
	}
	*out = engine_echo_new(o->uv, rate);
	return ERR_OK;
}

void engine_close(struct engine *e)
{
	if (e)
		e->ops->close(e);
}

enum err engine_measure(struct engine *e, enum endpoint ep, const json_t *body, struct prompt_size *out)
{
	return e->ops->measure(e, ep, body, out);
}

uint64_t engine_default_tokens(const struct engine *e, enum endpoint ep)
{
	return e->ops->default_tokens(e, ep);
}

bool engine_takes_zero(const struct engine *e)
{
	return e->ops->takes_zero;
}

bool engine_reachable(const struct engine *e)
{
	return !e->ops->reachable || e->ops->reachable(e);
}

struct engine_run *engine_start(struct engine *e, const struct engine_job *job,
				const struct engine_sink *sink)
{
	return e->ops->start(e, job, sink);
}

void engine_pause(struct engine_run *r)
{
	r->ops->pause(r);
}

void engine_resume(struct engine_run *r)
{
	r->ops->resume(r);
}

void engine_stop(struct engine_run *r)
{
	r->ops->stop(r);
}

void engine_cancel(struct engine_run *r, struct usage *used)
{
	r->ops->cancel(r, used);
}
