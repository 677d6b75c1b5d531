/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers under way: from the engine, sealed or signed, to the worker's
 * connection.
 */
#ifndef SEALWAY_NODE_TASK_H
#define SEALWAY_NODE_TASK_H

#include "common/httpd/httpd.h"
#include "common/sign.h"
#include "node/engine.h"
#include "node/models.h"
#include "node/receipts.h"

struct tasks; /* all answers under way, by request id */
struct task;

struct tasks_opts {
	uv_loop_t *uv;
	const struct sign_key *sign; /* this and the following outlive the tasks */
	struct engine *engine;
	struct receipts *receipts;
};

/* An opened and checked request. */
struct task_opts {
	uint8_t rid[RID_BYTES];
	enum endpoint endpoint; /* as called: sealed or plain */
	bool stream, include_usage;
	struct model *model;
	uint64_t stack;
	const uint8_t *key, *node_key; /* copied; NULL for a plain request */
	const uint8_t *plain_hash;     /* copied */
	json_t *body;                  /* kept by the engine */
	struct bounds bounds;
};

/* No answers yet; o is copied, what it points to is borrowed. */
struct tasks *tasks_new(const struct tasks_opts *o);

/* Cancels all without answering and frees; NULL is fine.  The HTTP server and
 * the engine still exist. */
void tasks_close(struct tasks *ts);

/* The answer under way with this request id, or NULL. */
struct task *tasks_find(const struct tasks *ts, const uint8_t *rid);

/* How many are under way. */
size_t tasks_count(const struct tasks *ts);

/* Starts the answer to r, which it takes over. */
void tasks_start(struct tasks *ts, struct hreq *r, const struct task_opts *o);

/* Ends an answer early: its connection gets the last object with usage and an
 * outcome-1 receipt before this returns.  t is gone afterwards. */
void task_stop(struct task *t);

#endif
