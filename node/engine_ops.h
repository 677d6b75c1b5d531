/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine implements; the functions of engine.h go through this table.
 */
#ifndef SEALWAY_NODE_ENGINE_OPS_H
#define SEALWAY_NODE_ENGINE_OPS_H

#include "node/engine.h"

struct engine_ops {
	bool takes_zero;
	void (*close)(struct engine *e);
	enum err (*measure)(struct engine *e, enum endpoint ep, const json_t *body, struct prompt_size *out);
	uint64_t (*default_tokens)(const struct engine *e, enum endpoint ep);
	bool (*reachable)(const struct engine *e); /* NULL: always */
	struct engine_run *(*start)(struct engine *e, const struct engine_job *job,
				    const struct engine_sink *sink);
	void (*pause)(struct engine_run *r);
	void (*resume)(struct engine_run *r);
	void (*stop)(struct engine_run *r);
	void (*cancel)(struct engine_run *r, struct usage *used);
};

/* First member of every engine's own struct. */
struct engine {
	const struct engine_ops *ops;
};

/* First member of every run's own struct. */
struct engine_run {
	const struct engine_ops *ops;
};

/* The built-in engine; rate in tokens per second, 0 unlimited. */
struct engine *engine_echo_new(uv_loop_t *uv, uint64_t rate);

/* An OpenAI-compatible server at o->engine.  ERR_CONFIG with a log line. */
enum err engine_openai_new(struct engine **out, const struct engine_opts *o) MUST_USE;

#endif
