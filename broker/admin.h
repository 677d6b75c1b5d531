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

/* For store_check and ledger_check: one problem more in list, a JSON array. */
void admin_add_problem(void *list, const char *text);

/* What ledger.check says, of a file and of the running broker's; problems stays the caller's. */
json_t *admin_checked(bool sound, json_t *problems);

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

/* The same where the member may be absent: true with *out NULL then, false when the call was answered. */
bool arg_user_if(struct admin_call *c, const json_t *args, struct user **out);

/* Member "reason", 1..REASON_BYTES_MAX bytes; the same. */
const char *arg_reason(struct admin_call *c, const json_t *args);

/* The node numbered by member "node"; the same. */
struct node *arg_node(struct admin_call *c, const json_t *args);

/* --- long reads, on the pool --- */

#define REASON_BYTES_MAX 200

/* A read of the database while the loop goes on: work runs on the pool and fills
 * list and result, done on the loop, where it answers and calls reading_free. */
struct reading {
	void (*work)(struct reading *r);
	void (*done)(struct reading *r);
	struct reading *next; /* waiting */
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

/* Lanes of readings: those that go through the whole ledger, and short ones. */
enum reading_lane { READING_LONG, READING_SHORT, READING_LANES };

/* Runs work, then done, when the readings before it on its lane have ended: one at a time, so that
 * signatures always find a free thread of the pool.  Refuses the call when too many wait. */
void reading_start(struct reading *r, enum reading_lane lane, void (*work)(struct reading *r),
		   void (*done)(struct reading *r));

/* Frees r; its call has been answered. */
void reading_free(struct reading *r);

/* The queue of readings, made by admin_open. */
struct readings;
struct readings *readings_new(uv_loop_t *uv);

/* Answers no reading any more, not even the one under way; run the loop until that has
 * ended.  NULL is fine. */
void readings_close(struct readings *all);

/* Frees a call without an answer: the broker is closing. */
void admin_drop(struct admin_call *c);

/* What an in-flight request looks like from outside (admin_stack.c); no contents. */
struct task;
json_t *admin_task_json(const struct broker *b, const struct task *t);

/* A word for how a node is (admin_node.c), static. */
const char *admin_node_state(const struct broker *b, const struct node *n);

/* --- verbs, one file per noun --- */

/* Those that protect (revoke, drain, remove) take effect at once in any case, and may be repeated. */
#define ADMIN_VERBS(X) /* verb, function, refused while the database cannot be written */                    \
	X("user.add", admin_user_add, true)                                                                  \
	X("user.list", admin_user_list, false)                                                               \
	X("user.show", admin_user_show, false)                                                               \
	X("user.fund", admin_user_fund, true)                                                                \
	X("user.limit", admin_user_limit, true)                                                              \
	X("user.price", admin_user_price, true)                                                              \
	X("token.create", admin_token_create, true)                                                          \
	X("token.list", admin_token_list, false)                                                             \
	X("token.revoke", admin_token_revoke, false)                                                         \
	X("node.admit", admin_node_admit, true)                                                              \
	X("node.list", admin_node_list, false)                                                               \
	X("node.show", admin_node_show, false)                                                               \
	X("node.drain", admin_node_drain, false)                                                             \
	X("node.remove", admin_node_remove, false)                                                           \
	X("model.list", admin_model_list, false)                                                             \
	X("stack.list", admin_stack_list, false)                                                             \
	X("stack.show", admin_stack_show, false)                                                             \
	X("stack.unlock", admin_stack_unlock, true)                                                          \
	X("stack.grant", admin_stack_grant, true)                                                            \
	X("request.list", admin_request_list, false)                                                         \
	X("request.show", admin_request_show, false)                                                         \
	X("usage.list", admin_usage_list, false)                                                             \
	X("user.journal", admin_user_journal, false)                                                         \
	X("ledger.check", admin_ledger_check, false)                                                         \
	X("ledger.backup", admin_ledger_backup, false)                                                       \
	X("ledger.export", admin_ledger_export, false)                                                       \
	X("top", admin_top, false)                                                                           \
	X("peer.list", admin_peer_list, false)                                                               \
	X("status", admin_status, false)

#define X(verb, function, needs_database) void function(struct admin_call *c, const json_t *args);
ADMIN_VERBS(X)
#undef X

#endif
