/* SPDX-License-Identifier: Apache-2.0
 *
 * An inference engine as the node sees it: a request object goes in, choices
 * or a whole answer come out.  Identifiers, padding, sealing, usage in the clear
 * and receipts are not its business.
 */
#ifndef SEALWAY_NODE_ENGINE_H
#define SEALWAY_NODE_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "common/err.h"
#include "proto/msg.h"

struct engine;
struct engine_run; /* one answer under way */

/* What an answer used, in units (tokens; images: completion = pixels). */
struct usage {
	uint64_t prompt, completion;
	uint64_t accepted, audio_out, reasoning, rejected; /* of completion */
	uint64_t audio_in, cached;                         /* of prompt */
};

/* The size of a prompt in tokens: low is certain, high a careful guess. */
struct prompt_size {
	uint64_t low, high;
};

/* Bounds of one answer, worked out before the engine starts (limit.h). */
struct bounds {
	uint64_t units;                    /* reserved: prompt and completion stay within it */
	uint64_t max_tokens;               /* of the completion */
	bool limited;                      /* max_tokens is a limit (given, or lowered) and not a default */
	uint64_t n, width, height, pixels; /* images: n x width x height */
	struct prompt_size prompt;
};

struct engine_job {
	enum endpoint endpoint; /* EP_COMPLETIONS .. EP_IMAGES */
	json_t *body; /* the plaintext request; kept (incref) by the engine as long as it needs it */
	bool stream;
	const struct bounds *bounds; /* valid during engine_start only */
};

/* Never called from inside engine_start; engine_stop may call them. */
struct engine_sink {
	/* Streams: one object of `choices` with text or delta, finish_reason null.  Borrowed. */
	void (*chunk)(void *arg, json_t *choice);
	/* Whole answers: the response object, complete but for id, created, model and usage.  Borrowed. */
	void (*whole)(void *arg, json_t *object);
	/* The end, exactly once, unless cancelled; the run is gone afterwards.  e != ERR_OK: the answer
	 * is cut (finish is NULL).  finish: the stream's finish_reason.  used: what was used so far. */
	void (*end)(void *arg, enum err e, const char *finish, const struct usage *used);
	/* Streams, or NULL: before a chunk or the end, the server's object that it is from (what it has
	 * besides choices and usage goes along) and, if that has the end, its choice.  Borrowed. */
	void (*beside)(void *arg, json_t *object, json_t *choice);
	void *arg;
};

struct engine_opts {
	uv_loop_t *uv;
	const char *engine;   /* "echo", "echo:rate=20" or a URL */
	const char *key_file; /* bearer token; "" none */
	uint64_t connect_ms, first_byte_ms, gap_ms, total_ms;
	uint64_t max_answer; /* bytes of a whole answer */
	bool many_models;    /* asked of it: one that fails says nothing of the others */
};

/* Opens the engine that o->engine names.  ERR_CONFIG with a log line. */
enum err engine_open(struct engine **out, const struct engine_opts *o) MUST_USE;

/* Cancels what runs and frees once libuv has closed the handles; NULL is fine. */
void engine_close(struct engine *e);

/* Checks what the engine needs of the request (prompt, messages, input) and
 * measures it.  ERR_BODY. */
enum err engine_measure(struct engine *e, enum endpoint ep, const json_t *body,
			struct prompt_size *out) MUST_USE;

/* Tokens of an answer whose request names no limit; UINT64_MAX: as many as fit. */
uint64_t engine_default_tokens(const struct engine *e, enum endpoint ep);

/* Whether a limit of zero tokens can be asked of it. */
bool engine_takes_zero(const struct engine *e);

/* Whether it is there and works, as far as is known: not once a connection to it has failed, or it has
 * refused even a trial, until it answers. */
bool engine_reachable(const struct engine *e);

/* Starts an answer.  Never NULL; failures are reported through end. */
struct engine_run *engine_start(struct engine *e, const struct engine_job *job,
				const struct engine_sink *sink);

/* Stops and restarts the flow of chunks (back-pressure).  Idempotent; pause may
 * be called from inside chunk, and then only what had been read already comes. */
void engine_pause(struct engine_run *r);
void engine_resume(struct engine_run *r);

/* Ends the answer now with what there is: whole (if that was asked) and end
 * with finish "stop" come before this returns.  Endpoints without partial
 * answers end with ERR_CLOSED. */
void engine_stop(struct engine_run *r);

/* Ends the answer without any more calls; *used is what was used so far.  May be
 * called from inside chunk. */
void engine_cancel(struct engine_run *r, struct usage *used);

#endif
