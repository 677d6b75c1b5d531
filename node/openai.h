/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the engine that speaks to an OpenAI-compatible server: the engine
 * is in engine_openai.c, one answer under way in openai_run.c, whether the server
 * is there at all in openai_watch.c.
 */
#ifndef SEALWAY_NODE_OPENAI_H
#define SEALWAY_NODE_OPENAI_H

#include "common/net/sse.h"
#include "common/net/upstream.h"
#include "node/engine_ops.h"
#include "node/usage.h"

struct openai {
	struct engine base;
	struct engine_opts o;
	char *url;       /* without slash and /v1 at its end */
	struct buf auth; /* "Bearer ..."; secret; empty: none */
	struct upstream *up;
	struct openai_run *runs;
	bool away; /* a connection or a trial failed, and it has not answered since */
	uv_timer_t look;
	struct upstream_req *looking;
	uint64_t looked_ms;       /* when it was looked at last; 0: never */
	struct buf trial;         /* the request that it is tried with; empty: asked for its models */
	enum endpoint trial_path; /* the plain kind */
};

struct openai_run {
	struct engine_run base;
	struct openai *e;
	struct openai_run *next, **link;
	struct engine_sink sink;
	struct upstream_req *call;
	struct bounds bounds;
	enum endpoint endpoint;
	json_t *model; /* of the request */
	bool stream, keep_b64;
	bool feeding; /* inside sse_feed */
	bool over;    /* no more calls to the sink */
	bool full;    /* the server has sent more than it may */
	bool begun;   /* a piece with a role went out */
	bool done;    /* [DONE] */
	int status;
	struct sse *sse;
	struct buf body, answer; /* secret */
	const char *finish;      /* static */
	struct usage_said said;
	uint64_t pieces, bytes; /* of what went out */
	uint64_t prompt_words;
};

/* The functions of struct engine_ops that are about one answer; contracts as in
 * engine.h: engine_start. */
struct engine_run *openai_start(struct engine *base, const struct engine_job *job,
				const struct engine_sink *sink);

/* engine_pause. */
void openai_pause(struct engine_run *run);

/* engine_resume. */
void openai_resume(struct engine_run *run);

/* engine_stop: no partial text is known of a whole answer, so it comes empty. */
void openai_stop(struct engine_run *run);

/* engine_cancel: closes the connection, which tells the server. */
void openai_cancel(struct engine_run *run, struct usage *used);

/* The endpoint whose path at the server requests of kind ep take. */
static inline enum endpoint openai_path(enum endpoint ep)
{
	return ep - EP_COMPLETIONS + EP_PLAIN_COMPLETIONS;
}

/* It has answered a request with a 2xx: it is well. */
void openai_answers(struct openai *e);

/* No connection to it. */
void openai_gone(struct openai *e);

/* It has refused a request of kind ep for model, which may be the request's fault: it is tried with
 * one of ours, unless that was done a moment ago. */
void openai_doubt(struct openai *e, enum endpoint ep, json_t *model);

/* Ready to look at the server, and every second while it is not well. */
void openai_watch_open(struct openai *e);

/* Looks no more. */
void openai_watch_stop(struct openai *e);

/* Ends the exchange and frees r, without a call to its sink. */
void openai_run_free(struct openai_run *r);

#endif
