/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's socket (proto/admin.h): ipc only, for the broker's owner.
 * Verbs take a JSON object and give one; what changes the ledger is answered
 * after its commit.
 */
#ifndef SEALWAY_BROKER_ADMIN_H
#define SEALWAY_BROKER_ADMIN_H

#include <jansson.h>

#include "broker/broker.h"
#include "broker/store_read.h"

struct admin_call; /* one command, until it is answered */

/* Binds the socket.  ERR_CONFIG or ERR_IO, said in the log. */
enum err admin_open(struct broker *b) MUST_USE;

/* Answers ERR_OK with body (a reference that is taken). */
void admin_ok(struct admin_call *c, json_t *body);

/* Answers an error with a sentence for the operator. */
void admin_fail(struct admin_call *c, enum err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Submits op and answers ERR_OK with body after its commit. */
void admin_commit(struct admin_call *c, struct store_op *op, json_t *body);

/* The broker behind a call. */
struct broker *admin_broker(const struct admin_call *c);

/* --- arguments --- */

/* A member of type string, NULL when it is absent; of another type counts as
 * absent.  Borrowed from args. */
const char *arg_text(const json_t *args, const char *name);

/* An integer member within 0..max -> *out; false when absent or out of range. */
bool arg_u64(const json_t *args, const char *name, uint64_t max, uint64_t *out);

/* A 32-byte base64 member -> out. */
bool arg_key(const json_t *args, const char *name, uint8_t out[KEY_BYTES]);

/* The user named by member "user"; answers the call itself and returns NULL when
 * there is none. */
struct user *arg_user(struct admin_call *c, const json_t *args);

/* Member "reason", 1..REASON_BYTES_MAX bytes; the same. */
const char *arg_reason(struct admin_call *c, const json_t *args);

/* The node numbered by member "node"; the same. */
struct node *arg_node(struct admin_call *c, const json_t *args);

/* --- long reads, on the pool --- */

#define REASON_BYTES_MAX 200

/* A read of the database while the loop goes on: work runs on the pool and fills
 * list and result, done on the loop, where it answers and calls reading_free. */
struct reading {
	uv_work_t work; /* data: the reading */
	struct admin_call *call;
	char *path; /* of the database */
	struct store_page page;
	char *text;   /* owned: what page.request points to, or a file */
	json_t *list; /* touched by one thread at a time */
	bool sound;
	enum err result;
	char why[STORE_WHY];
};

/* An empty reading for a call, on the broker's database. */
struct reading *reading_new(struct admin_call *c);

/* Runs work, then done. */
void reading_start(struct reading *r, uv_work_cb work, uv_after_work_cb done);

/* Frees r; its call has been answered. */
void reading_free(struct reading *r);

/* What an in-flight request looks like from outside (admin_stack.c); no contents. */
struct task;
json_t *admin_task_json(const struct broker *b, const struct task *t);

/* A word for how a node is (admin_node.c), static. */
const char *admin_node_state(const struct broker *b, const struct node *n);

/* --- verbs, one file per noun --- */

#define ADMIN_VERBS(X) /* verb, function */                                                                  \
	X("user.add", admin_user_add)                                                                        \
	X("user.list", admin_user_list)                                                                      \
	X("user.show", admin_user_show)                                                                      \
	X("user.fund", admin_user_fund)                                                                      \
	X("user.limit", admin_user_limit)                                                                    \
	X("user.price", admin_user_price)                                                                    \
	X("token.create", admin_token_create)                                                                \
	X("token.list", admin_token_list)                                                                    \
	X("token.revoke", admin_token_revoke)                                                                \
	X("node.admit", admin_node_admit)                                                                    \
	X("node.list", admin_node_list)                                                                      \
	X("node.show", admin_node_show)                                                                      \
	X("node.drain", admin_node_drain)                                                                    \
	X("node.remove", admin_node_remove)                                                                  \
	X("model.list", admin_model_list)                                                                    \
	X("stack.list", admin_stack_list)                                                                    \
	X("stack.show", admin_stack_show)                                                                    \
	X("stack.unlock", admin_stack_unlock)                                                                \
	X("stack.grant", admin_stack_grant)                                                                  \
	X("request.list", admin_request_list)                                                                \
	X("request.show", admin_request_show)                                                                \
	X("usage.list", admin_usage_list)                                                                    \
	X("user.journal", admin_user_journal)                                                                \
	X("ledger.check", admin_ledger_check)                                                                \
	X("ledger.backup", admin_ledger_backup)                                                              \
	X("ledger.export", admin_ledger_export)                                                              \
	X("top", admin_top)                                                                                  \
	X("peer.list", admin_peer_list)                                                                      \
	X("status", admin_status)

#define X(verb, function) void function(struct admin_call *c, const json_t *args);
ADMIN_VERBS(X)
#undef X

#endif
