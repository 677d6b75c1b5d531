/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole broker on a loop of its own, with a real database and a real bus,
 * between scripted gateways and workers that a test speaks for message by message.
 */
#ifndef SEALWAY_TESTS_BROKER_RIG_H
#define SEALWAY_TESTS_BROKER_RIG_H

#include "broker/broker.h"
#include "common/sign.h"
#include "proto/hello.h"
#include "proto/job.h"
#include "proto/lock.h"
#include "proto/query.h"
#include "proto/register.h"
#include "proto/registration.h"
#include "proto/settle.h"
#include "proto/work.h"
#include "tests/unit/tempdir.h"

#define INBOX 512

/* One end of the bus that is ours. */
struct actor {
	struct zsock *z;
	enum role role;
	uint64_t instance;
	struct {
		struct buf msg;
		struct buf body;
		bool used;
	} in[INBOX];
};

struct task;

struct rig {
	uv_loop_t loop;
	char dir[TEMPDIR_ROOM], bus[96], admin[96], db[96];
	struct broker b;
	bool up;
	struct zctx *zctx; /* of the actors */
	struct actor gw, wk, wk2;
	struct sign_key *node_key;
	struct sign_key *second_key; /* of node 2, once it is there */
	uint8_t token[KEY_BYTES];    /* hash of alice's token */
	uint8_t x25519[KEY_BYTES];   /* the node's current public key */
	uint64_t counter;            /* of its registrations */
	struct zcurve curve[3];      /* with CURVE: keys of broker, gateway, worker (enum role) */
	bool original_form;          /* rig_register leaves the full form out */
	uint8_t rid;                 /* of the last request made here */
	const char *extra;           /* one more setting of the broker, in all of its lives */
	unsigned loading_ms;         /* that a restart needs until the ledger is there; 0 at first */
};

/* A broker that serves, with a gateway, a worker, alice (balance 1,000,000 micro-USD)
 * and node 1 with model "demo" (1000 micro-USD per million units).  extra: one
 * more "--flag=value" for the broker, or NULL. */
struct rig *rig_new(const char *extra);

/* The same over tcp with CURVE keys and an allow-list; files in r->dir. */
struct rig *rig_new_curve(void);

/* Writes the allow-list anew, with or without the worker. */
void rig_allow(struct rig *r, bool worker);

/* Ends everything; fails the test when the ledger does not add up. */
void rig_free(struct rig *r);

/* For cmocka, a rig for each test: rig_new(NULL); one that misses those who are silent
 * after 150 ms; rig_new_curve(). */
int rig_setup(void **state);
int rig_setup_short(void **state);
int rig_setup_curve(void **state);
int rig_teardown(void **state);

/* Takes the broker down without a word to anybody, and up again on what it had
 * committed. */
void rig_restart(struct rig *r);

/* Turns the loop for ms. */
void rig_run(struct rig *r, unsigned ms);

/* Connects an actor and says HELLO; the WELCOME is left in its inbox. */
void actor_open(struct rig *r, struct actor *a, enum role role, uint64_t instance);

/* What comes on an actor's socket, into its inbox (zsock_opts.on_msg). */
void rig_inbox(void *arg, struct zsock *z, struct zmsg *parts, size_t n);

/* HELLO again, as after a broker's restart. */
void actor_hello(struct rig *r, struct actor *a);

/* HELLO on this connection as instance 300 at r->wk's endpoint: the next life of that worker. */
void actor_hello_next_life(struct actor *a);

/* Says goodbye; the connection stays. */
void actor_bye(struct actor *a);

/* Leaves without a word. */
void actor_close(struct actor *a);

/* The same, and frees its inbox. */
void actor_free(struct actor *a);

/* Says that it lives. */
void actor_ping(struct actor *a);

/* Sends a message (emptied), with a body when body is not NULL. */
void actor_send(struct actor *a, struct buf *msg, const char *body);

/* The first message of that type in the inbox, waiting for it up to 5 s; taken
 * out, valid until the inbox wraps.  Fails the test when none comes. */
struct slice actor_get(struct rig *r, struct actor *a, enum msg_type type);

/* Whether a message of that type is in the inbox. */
bool actor_has(struct actor *a, enum msg_type type);

/* Fails the test if a message of that type comes within ms. */
void actor_none(struct rig *r, struct actor *a, enum msg_type type, unsigned ms);

/* Introduces worker and gateway to each other: PEER_OK and HEARD. */
void rig_introduce(struct rig *r, struct actor *gw, struct actor *wk);

/* r->wk2 joins as worker 201. */
void rig_second_worker(struct rig *r);

/* Takes a lock and gives its answer; ERR_OK, or the refusal. */
enum err rig_lock(struct rig *r, uint64_t units, uint32_t timeout_s, struct locked *out);

/* A lock for a minute; its stack. */
uint64_t rig_locked(struct rig *r, uint64_t units);

/* Runs for ms with the gateway and that worker (or none: NULL) alive. */
void rig_alive(struct rig *r, unsigned ms, struct actor *wk);

/* Turns the loop until the broker has heard all that a has said, however busy the machine is. */
void rig_heard(struct rig *r, struct actor *a);

/* Says HELLO until a WELCOME comes, to a broker that was restarted. */
void rig_greet(struct rig *r, struct actor *a);

/* Gateway and worker find the restarted broker. */
void rig_back(struct rig *r);

/* A request on that stack with the node's current key; its rid is all r->rid. */
void rig_job(struct rig *r, uint64_t stack, uint64_t units);

/* The same, that waits for a worker for so long; rig_job's wait 0.4 s. */
void rig_job_within(struct rig *r, uint64_t stack, uint64_t units, uint32_t deadline_ms);

/* The refusal that the gateway gets next. */
struct refuse rig_refusal(struct rig *r);

/* The WORK that a worker gets next. */
struct work rig_work(struct rig *r, struct actor *wk);

/* POSTED for w. */
void rig_posted(struct actor *wk, const struct work *w);

/* A sealed request on a lock of 1000 units that r->wk was given. */
struct work rig_given(struct rig *r);

/* The same, and it has posted it. */
struct work rig_at_node(struct rig *r);

/* The same two, after which r->wk falls silent and is taken for dead; r->wk2 has come
 * (rig_setup_short). */
struct work rig_given_to_silent(struct rig *r);
struct work rig_at_node_of_silent(struct rig *r);

/* The worker gives it back: it has no room. */
void rig_give_back(struct actor *wk, const struct work *w);

/* The broker takes a for dead. */
void rig_drop(struct rig *r, const struct actor *a);

/* Sets a task's alarm to that moment. */
void rig_ring(struct rig *r, struct task *t, uint64_t when_ms);

/* INFLIGHT for w, of gateway thread 100 and node 1. */
void rig_inflight(struct actor *wk, const struct work *w, bool posted);

/* SETTLE for w with a receipt of the node over those units; change may spoil the
 * receipt before it is signed, or the message after. */
void rig_settle(struct rig *r, struct actor *wk, const struct work *w, enum settle_outcome outcome,
		uint64_t prompt, uint64_t completion, void (*change)(struct receipt *rc, struct settle *m));

/* Waits for SETTLED. */
void rig_settled(struct rig *r, struct actor *wk);

/* Settles, and waits for SETTLED. */
void rig_settle_ack(struct rig *r, struct actor *wk, const struct work *w, enum settle_outcome outcome,
		    uint64_t prompt, uint64_t completion,
		    void (*change)(struct receipt *rc, struct settle *m));

/* For rig_settle: the node was not to be reached; it said that the request was answered
 * before; the completion's units are not those that it signed. */
void rig_not_reached(struct receipt *rc, struct settle *m);
void rig_answered_before(struct receipt *rc, struct settle *m);
void rig_unsigned_units(struct receipt *rc, struct settle *m);

/* Registers node 1 by the full form with a new X25519 key when fresh; ERR_OK or the refusal. */
enum err rig_register(struct rig *r, bool fresh,
		      void (*change)(struct registration *reg, struct registration_msg *m));

/* Node 2 serves "demo" too, at that price; its address is http://127.0.0.1:10.  max_units 0: no limit. */
struct node *rig_second_node(struct rig *r, uint64_t price, uint64_t max_units);

/* Node 1. */
struct node *rig_node(struct rig *r);

/* Alice's only stack. */
struct stack *rig_stack(struct rig *r);

/* So much of it is spent before long, and nothing of it reserved. */
void rig_billed(struct rig *r, uint64_t units);

#endif
