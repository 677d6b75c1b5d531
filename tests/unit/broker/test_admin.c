/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's commands, through the socket.
 */
#include "tests/unit/broker/test.h"

#include <jansson.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/b64.h"
#include "common/hash.h"
#include "proto/admin.h"
#include "tests/unit/broker/rig.h"

#define SHORT 200 /* first byte of a request id */

struct desk {
	struct rig *r;
	struct zsock *z;
	json_t *body;
	enum err error;
	bool answered;
	unsigned answers, refused;
	unsigned short_after; /* answers before that to request SHORT */
};

static void on_reply(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct desk *d = arg;
	struct admin_reply m;

	(void)z;
	assert_int_equal(n, 1);
	assert_int_equal(admin_reply_decode(zmsg_slice(&parts[0]), &m), ERR_OK);
	d->error = m.error;
	json_decref(d->body);
	d->body = json_loadb((const char *)m.body.p, m.body.n, 0, NULL);
	assert_non_null(d->body);
	d->answered = true;
	if (m.rid[0] == SHORT)
		d->short_after = d->answers;
	d->answers++;
	d->refused += m.error == ERR_UNAVAILABLE;
}

static int setup(void **state)
{
	struct desk *d = mem_new(sizeof(*d));
	struct zsock_opts o = { .type = ZSOCK_DEALER, .on_msg = on_reply, .arg = d };

	d->r = rig_new(NULL);
	d->z = zsock_open(d->r->zctx, &d->r->loop, &o);
	assert_int_equal(zsock_connect(d->z, d->r->admin, false), ERR_OK);
	rig_run(d->r, 50);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct desk *d = *state;

	zsock_close(d->z);
	json_decref(d->body);
	rig_free(d->r);
	free(d);
	return 0;
}

/* Runs a command; single quotes stand for double ones. */
static enum err run(struct desk *d, const char *verb, const char *args)
{
	struct admin m = { .verb = slice_str(verb) };
	char text[1024];
	struct buf msg = { 0 };
	struct zmsg part;

	snprintf(text, sizeof(text), "%s", args);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	m.args = slice_str(text);
	admin_encode(&m, &msg);
	zmsg_take_init(&part, &msg);
	assert_int_equal(zsock_send(d->z, &part, 1), ERR_OK);
	d->answered = false;
	for (int i = 0; i < 5000 && !d->answered; i++)
		rig_run(d->r, 1);
	assert_true(d->answered);
	if (d->error != ERR_OK)
		assert_non_null(json_object_get(d->body, "message"));
	return d->error;
}

static const char *text_of(const struct desk *d, const char *member)
{
	return json_string_value(json_object_get(d->body, member));
}

static long long int_of(const struct desk *d, const char *member)
{
	return json_integer_value(json_object_get(d->body, member));
}

/* By number as by name; a name is never the number of another. */
static void users_by_number(void **state)
{
	struct desk *d = *state;
	struct store_op *op;
	char args[80], name[24];
	struct user *u;
	long long id;

	assert_int_equal(run(d, "user.add", "{'name':'bob'}"), ERR_OK);
	id = int_of(d, "id");
	snprintf(args, sizeof(args), "{'user':'%lld'}", id);
	assert_int_equal(run(d, "user.show", args), ERR_OK);
	assert_string_equal(text_of(d, "user"), "bob");
	snprintf(args, sizeof(args), "{'user':'0%lld'}", id);
	assert_int_equal(run(d, "user.show", args), ERR_NOT_FOUND);
	assert_int_equal(run(d, "user.show", "{'user':'0'}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "user.show", "{'user':''}"), ERR_NOT_FOUND);
	snprintf(args, sizeof(args), "{'name':'%lld'}", id);
	assert_int_equal(run(d, "user.add", args), ERR_BODY);
	assert_int_equal(run(d, "user.add", "{'name':'007'}"), ERR_BODY);
	assert_int_equal(run(d, "user.add", "{'name':'7a'}"), ERR_OK);

	/* such a name in an old ledger goes first */
	snprintf(name, sizeof(name), "%lld", id);
	assert_int_equal(ledger_user_add(d->r->b.ledger, slice_str(name), 1, &u, &op), ERR_OK);
	broker_keep(&d->r->b, op);
	snprintf(args, sizeof(args), "{'user':'%lld'}", id);
	assert_int_equal(run(d, "user.show", args), ERR_OK);
	assert_string_equal(text_of(d, "user"), name);
}

static void users_and_tokens(void **state)
{
	struct desk *d = *state;
	uint8_t h[HASH_BYTES];

	assert_int_equal(run(d, "user.add", "{'name':'bob'}"), ERR_OK);
	assert_string_equal(text_of(d, "user"), "bob");
	assert_int_equal(run(d, "user.add", "{'name':'bob'}"), ERR_EXISTS);
	assert_int_equal(run(d, "user.add", "{'name':'b b'}"), ERR_BODY);
	assert_int_equal(run(d, "user.add", "{'name':7}"), ERR_BODY);
	assert_int_equal(run(d, "user.add", "{}"), ERR_BODY);
	assert_int_equal(run(d, "user.fund", "{'user':'bob','micro_usd':500,'reason':'gift'}"), ERR_OK);
	assert_int_equal(int_of(d, "balance"), 500);
	assert_int_equal(run(d, "user.fund", "{'user':'bob','micro_usd':-501,'reason':'oops'}"), ERR_BODY);
	assert_int_equal(run(d, "user.fund", "{'user':'bob','micro_usd':0,'reason':'oops'}"), ERR_BODY);
	assert_int_equal(run(d, "user.fund", "{'user':'bob','micro_usd':1.5,'reason':'oops'}"), ERR_BODY);
	assert_int_equal(run(d, "user.fund", "{'user':'bob','micro_usd':5}"), ERR_BODY);
	assert_int_equal(run(d, "user.fund", "{'user':'eve','micro_usd':5,'reason':'x'}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "token.create", "{'user':'bob','name':'laptop'}"), ERR_OK);
	assert_int_equal(strlen(text_of(d, "token")), 54);
	assert_memory_equal(text_of(d, "token"), "sk-sealway-", 11);
	hash(h, slice_str(text_of(d, "token")));
	assert_non_null(ledger_token(d->r->b.ledger, h));
	assert_int_equal(run(d, "token.create", "{'user':'bob','name':'laptop'}"), ERR_EXISTS);
	assert_int_equal(run(d, "token.list", "{'user':'bob'}"), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(d->body, "tokens")), 1);
	assert_int_equal(run(d, "token.revoke", "{'user':'bob','name':'laptop'}"), ERR_OK);
	assert_null(ledger_token(d->r->b.ledger, h));
	assert_int_equal(run(d, "token.revoke", "{'user':'bob','name':'laptop'}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "user.list", "{}"), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(d->body, "users")), 2);
}

static void prices(void **state)
{
	struct desk *d = *state;
	struct locked l;

	assert_int_equal(run(d, "user.price", "{'user':'alice','model':'demo','price':5000}"), ERR_OK);
	assert_int_equal(rig_lock(d->r, 10, 5, &l), ERR_OK);
	assert_true(rig_stack(d->r)->paid == 500); /* 100,000 units at the price of her own */
	assert_int_equal(run(d, "user.price", "{'user':'alice','model':'none','price':5}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "user.price", "{'user':'alice','model':'demo','price':-5}"), ERR_BODY);
	assert_int_equal(run(d, "user.price", "{'user':'alice','model':'demo','price':null}"), ERR_OK);
	assert_int_equal(run(d, "user.show", "{'user':'alice'}"), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(d->body, "prices")), 0);
}

#define KEY_B64 "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="

static void limits(void **state)
{
	struct desk *d = *state;

	assert_int_equal(run(d, "user.limit", "{'user':'alice','rate':120,'units_per_minute':5000}"), ERR_OK);
	assert_true(int_of(d, "rate") == 120 && int_of(d, "units_per_minute") == 5000);
	assert_true(int_of(d, "concurrent") == (long long)d->r->b.conf.user_concurrent);
	assert_int_equal(run(d, "user.limit", "{'user':'alice','rate':null,'concurrent':0}"), ERR_OK);
	assert_int_equal(run(d, "user.show", "{'user':'alice'}"), ERR_OK);
	assert_true(int_of(d, "rate") == (long long)d->r->b.conf.user_rate && int_of(d, "concurrent") == 0);
	assert_true(int_of(d, "units_per_minute") == 5000 && int_of(d, "running") == 0);
	assert_int_equal(run(d, "user.limit", "{'user':'nobody','rate':1}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "user.limit", "{'user':'alice','rate':-1}"), ERR_BODY);
	assert_int_equal(run(d, "user.limit", "{'user':'alice','rate':'9'}"), ERR_BODY);
	assert_int_equal(run(d, "user.limit", "{'user':'alice','concurrent':1,'rate':1000000000001}"),
			 ERR_BODY);
	assert_int_equal(run(d, "user.show", "{'user':'alice'}"), ERR_OK);
	assert_int_equal(int_of(d, "concurrent"), 0); /* nothing of a refused command is done */
}

static void nodes(void **state)
{
	struct desk *d = *state;

	assert_int_equal(run(d, "node.admit", "{'signing_key':'" KEY_B64 "'}"), ERR_OK);
	assert_int_equal(int_of(d, "node"), 2);
	assert_int_equal(strlen(text_of(d, "address")), 66);
	assert_int_equal(run(d, "node.admit", "{'signing_key':'" KEY_B64 "'}"),
			 ERR_OK); /* again is harmless */
	assert_int_equal(int_of(d, "node"), 2);
	assert_int_equal(run(d, "node.admit", "{'signing_key':'" KEY_B64 "','node':3}"), ERR_EXISTS);
	assert_int_equal(run(d, "node.admit", "{'signing_key':'AAAA'}"), ERR_BODY);
	assert_int_equal(run(d, "node.admit", "{}"), ERR_BODY);
	assert_int_equal(run(d, "node.list", "{}"), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(d->body, "nodes")), 2);
	assert_int_equal(run(d, "node.drain", "{'node':1}"), ERR_OK);
	assert_string_equal(text_of(d, "state"), "draining");
	assert_int_equal(run(d, "node.drain", "{'node':1,'on':false}"), ERR_OK);
	assert_string_equal(text_of(d, "state"), "ready");
	assert_int_equal(run(d, "node.remove", "{'node':2}"), ERR_OK);
	assert_int_equal(run(d, "node.show", "{'node':2}"), ERR_OK);
	assert_string_equal(text_of(d, "state"), "removed");
	assert_int_equal(run(d, "node.show", "{'node':99}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "model.list", "{}"), ERR_OK);
}

static void nodes_of_the_original_network(void **state)
{
	struct desk *d = *state;

	assert_int_equal(run(d, "node.admit",
			     "{'signing_key':'" KEY_B64 "','url':'https://n.example','node_key':'" KEY_B64
			     "',"
			     "'models':[{'name':'old','price':7}]}"),
			 ERR_OK);
	assert_true(registry_node(d->r->b.registry, 2)->row.original);
	assert_int_equal(registry_model(d->r->b.registry, SLICE_STR("old"))->n, 1);
	assert_int_equal(run(d, "node.admit",
			     "{'signing_key':'" KEY_B64 "','url':'http://n.example','node_key':'" KEY_B64 "',"
			     "'models':[{'name':'old','price':7}]}"),
			 ERR_BODY);
	assert_int_equal(run(d, "node.admit",
			     "{'signing_key':'" KEY_B64 "','url':'https://n.example','node_key':'" KEY_B64
			     "','models':[]}"),
			 ERR_BODY);
	assert_int_equal(run(d, "node.admit", "{'node':2,'readdress':'https://m.example/'}"), ERR_OK);
	assert_string_equal(text_of(d, "url"), "https://m.example");
	assert_int_equal(run(d, "node.admit", "{'node':2,'readdress':'https://m.example/x'}"), ERR_BODY);
}

static void looking(void **state)
{
	struct desk *d = *state;
	char args[64];
	struct locked l;
	struct work w;

	assert_int_equal(rig_lock(d->r, 10, 5, &l), ERR_OK);
	rig_job(d->r, l.stack, 0);
	w = rig_work(d->r, &d->r->wk);
	assert_int_equal(run(d, "request.list", "{}"), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(d->body, "requests")), 1);
	rig_settle(d->r, &d->r->wk, &w, SETTLE_COMPLETE, 1, 2, NULL);
	rig_settled(d->r, &d->r->wk);
	assert_int_equal(run(d, "stack.list", "{'user':'alice'}"), ERR_OK);
	snprintf(args, sizeof(args), "{'stack':%llu}", (unsigned long long)l.stack);
	assert_int_equal(run(d, "stack.show", args), ERR_OK);
	assert_int_equal(int_of(d, "spent"), 3);
	assert_int_equal(int_of(d, "free") + int_of(d, "spent"), int_of(d, "bought"));
	assert_int_equal(run(d, "stack.show", "{'stack':1}"), ERR_NOT_FOUND);
	assert_string_equal(json_string_value(json_object_get(d->body, "message")),
			    "no such stack (argument \"stack\": its number)");
	broker_keep(&d->r->b, ledger_stack_state(rig_stack(d->r), STACK_LOCKED));
	assert_int_equal(run(d, "stack.show", args), ERR_OK);
	assert_string_equal(json_string_value(json_object_get(d->body, "state")), "locked");
	for (int i = 0; i < 2; i++) { /* twice is no error */
		assert_int_equal(run(d, "stack.unlock", args), ERR_OK);
		assert_string_equal(json_string_value(json_object_get(d->body, "state")), "open");
		assert_int_equal(rig_stack(d->r)->state, STACK_OPEN);
	}
	assert_int_equal(run(d, "stack.unlock", "{'stack':1}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "stack.unlock", "{}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "stack.unlock", "{'stack':-1}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "usage.list", "{}"), ERR_OK);
	assert_int_equal(json_array_size(json_object_get(d->body, "usage")), 1);
	assert_int_equal(run(d, "ledger.check", "{}"), ERR_OK);
	assert_true(json_is_true(json_object_get(d->body, "ok")));
	assert_int_equal(run(d, "peer.list", "{}"), ERR_OK);
	{
		json_t *p = json_array_get(json_object_get(d->body, "peers"), 0);

		assert_string_equal(json_string_value(json_object_get(p, "name")), "test");
		assert_string_equal(json_string_value(json_object_get(p, "version")), "1");
	}
	assert_int_equal(run(d, "status", "{}"), ERR_OK);
	assert_int_equal(int_of(d, "epoch"), 1);
}

/* Signing keys belong to one kind of node: entering one of ours by hand would put a key of the operator's in
 * the place of the one that it registers, and refuse its registrations. */
static void ours_are_not_entered_by_hand(void **state)
{
	struct desk *d = *state;
	char key[B64_LEN(KEY_BYTES) + 1] = { 0 }, args[512];
	const struct node *n = registry_node(d->r->b.registry, 1);
	uint8_t before[KEY_BYTES];

	memcpy(before, node_current_key(n, broker_now())->key, KEY_BYTES);
	b64_put(key, n->row.sign_key, KEY_BYTES);
	snprintf(args, sizeof(args),
		 "{'signing_key':'%s','url':'https://n.example','node_key':'" KEY_B64
		 "','models':[{'name':'demo','price':7}]}",
		 key);
	assert_int_equal(run(d, "node.admit", args), ERR_EXISTS);
	assert_memory_equal(node_current_key(n, broker_now())->key, before, KEY_BYTES);
	assert_int_equal(rig_register(d->r, false, NULL), ERR_OK);
	assert_int_equal(run(d, "node.admit",
			     "{'signing_key':'" KEY_B64 "','url':'https://n.example','node_key':'" KEY_B64
			     "','models':[{'name':'old','price':7}]}"),
			 ERR_OK);
	assert_int_equal(run(d, "node.admit", "{'signing_key':'" KEY_B64 "'}"), ERR_EXISTS);
	assert_true(registry_node(d->r->b.registry, 2)->row.original);
}

static long long count_rows(const struct rig *r, const char *sql)
{
	sqlite3 *db = NULL;
	sqlite3_stmt *st = NULL;
	long long n;

	assert_int_equal(sqlite3_open(r->db, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int64(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static void enter(struct desk *d, uint8_t first_byte)
{
	uint8_t node_key[KEY_BYTES] = { first_byte };
	char text[B64_LEN(KEY_BYTES) + 1] = { 0 }, args[512];

	b64_put(text, node_key, KEY_BYTES);
	snprintf(args, sizeof(args),
		 "{'signing_key':'" KEY_B64 "','url':'https://n.example','node_key':'%s',"
		 "'models':[{'name':'old','price':7}]}",
		 text);
	assert_int_equal(run(d, "node.admit", args), ERR_OK);
}

/* A key that was taken back into use stands, also after a restart; of the old ones some are kept. */
static void keys_entered_by_hand(void **state)
{
	struct desk *d = *state;
	const struct node_key *k;

	for (uint8_t i = 1; i < 2 * NODE_KEYS; i++)
		enter(d, i);
	enter(d, NODE_KEYS + 5);
	assert_int_equal(count_rows(d->r, "SELECT count(*) FROM node_keys WHERE node = 2"), NODE_KEYS);
	rig_restart(d->r);
	k = node_current_key(registry_node(d->r->b.registry, 2), broker_now());
	assert_non_null(k);
	assert_int_equal(k->key[0], NODE_KEYS + 5);
}

static void registered_keys_do_not_pile_up(void **state)
{
	struct desk *d = *state;
	const struct node_key *k;

	for (int i = 0; i < 3 * NODE_KEYS; i++)
		assert_int_equal(rig_register(d->r, true, NULL), ERR_OK);
	assert_int_equal(count_rows(d->r, "SELECT count(*) FROM node_keys"), NODE_KEYS);
	rig_restart(d->r);
	k = node_current_key(registry_node(d->r->b.registry, 1), broker_now());
	assert_non_null(k);
	assert_memory_equal(k->key, d->r->x25519, KEY_BYTES);
}

/* --- reads of the database --- */

static void ask(struct desk *d, const char *verb, uint8_t number)
{
	struct admin m = { .rid = { number }, .verb = slice_str(verb), .args = SLICE_STR("{}") };
	struct buf msg = { 0 };
	struct zmsg part;

	admin_encode(&m, &msg);
	zmsg_take_init(&part, &msg);
	assert_int_equal(zsock_send(d->z, &part, 1), ERR_OK);
}

static void until_answered(struct desk *d, unsigned n)
{
	for (int i = 0; i < 20000 && d->answers < n; i++)
		rig_run(d->r, 1);
	assert_true(d->answers >= n);
}

static void checks_take_turns(void **state)
{
	struct desk *d = *state;

	for (uint8_t i = 0; i < 100; i++)
		ask(d, "ledger.check", i);
	until_answered(d, 100);
	assert_in_range(d->refused, 1, 99 - 64); /* one runs and 64 wait, and some ended meanwhile */
	d->answers = 0;
	for (uint8_t i = 0; i < 60; i++)
		ask(d, "ledger.check", i);
	ask(d, "usage.list", SHORT);
	until_answered(d, 61);
	assert_true(d->short_after < 40); /* a short one does not wait for the long ones */
}

/* Under the address sanitizer: what the readings would look at is gone when they end. */
static void a_broker_that_stops_during_checks(void **state)
{
	struct desk *d = *state;

	for (uint8_t i = 0; i < 50; i++)
		ask(d, i % 2 ? "ledger.check" : "usage.list", i);
	until_answered(d, 1);
}

/* Nothing is done later of what its caller was told has failed. */
static void without_a_database(void **state)
{
	static const char fund[] = "{'user':'alice','micro_usd':7,'reason':'order 17'}";
	struct desk *d = *state;
	struct rlimit none = { 0, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
	long long balance;

	assert_int_equal(run(d, "user.show", "{'user':'alice'}"), ERR_OK);
	balance = int_of(d, "balance_micro_usd");
	assert_int_equal(run(d, "token.create", "{'user':'alice','name':'lost'}"), ERR_OK);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	broker_keep(&d->r->b, node_op(registry_node(d->r->b.registry, 1)));
	for (int i = 0; i < 500 && store_healthy(d->r->b.store); i++)
		rig_run(d->r, 10);
	assert_false(store_healthy(d->r->b.store));
	assert_int_equal(run(d, "user.fund", fund), ERR_UNAVAILABLE);
	assert_int_equal(run(d, "user.add", "{'name':'zoe'}"), ERR_UNAVAILABLE);
	assert_int_equal(run(d, "token.create", "{'user':'alice','name':'more'}"), ERR_UNAVAILABLE);
	assert_int_equal(run(d, "user.show", "{'user':'alice'}"), ERR_OK);
	assert_int_equal(int_of(d, "balance_micro_usd"), balance);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	for (int i = 0; i < 500 && !store_healthy(d->r->b.store); i++)
		rig_run(d->r, 10);
	assert_int_equal(run(d, "user.fund", fund), ERR_OK);
	assert_int_equal(int_of(d, "balance"), balance + 7);
	assert_int_equal(count_rows(d->r, "SELECT count(*) FROM journal WHERE why = 'order 17'"), 1);
}

static void nonsense(void **state)
{
	struct desk *d = *state;

	assert_int_equal(run(d, "no.such", "{}"), ERR_NOT_FOUND);
	assert_int_equal(run(d, "status", "[]"), ERR_BODY);
	assert_int_equal(run(d, "status", "{"), ERR_BODY);
	assert_int_equal(run(d, "status", "{'a':1,'a':2}"), ERR_BODY);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(users_by_number),
		T(users_and_tokens),
		T(prices),
		T(limits),
		T(nodes),
		T(nodes_of_the_original_network),
		T(ours_are_not_entered_by_hand),
		T(keys_entered_by_hand),
		T(registered_keys_do_not_pile_up),
		T(looking),
		T(checks_take_turns),
		T(a_broker_that_stops_during_checks),
		T(without_a_database),
		T(nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
