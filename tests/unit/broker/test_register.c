/* SPDX-License-Identifier: Apache-2.0
 *
 * Registrations: what is accepted, what is refused, what they change; and what
 * the broker tells of nodes and models.
 */
#include "tests/unit/broker/test.h"

#include <stdio.h>
#include <string.h>

#include "broker/models.h"
#include "common/hash.h"
#include "tests/unit/broker/rig.h"

static int setup_open(void **state)
{
	*state = rig_new("--open-registration=true");
	return 0;
}

static const struct node *node(struct rig *r)
{
	return rig_node(r);
}

static struct rig *signer; /* whose key signs what is stated anew */

/* A statement as the node itself could make it. */
static void state_anew(struct registration *reg, uint64_t node_id, uint64_t counter)
{
	static uint8_t bytes[STATEMENT_BYTES];
	static char sig[SIGN_B64];
	struct statement st;

	assert_int_equal(statement_decode(reg->statement, &st), ERR_OK);
	st.node = node_id;
	st.counter = counter;
	statement_encode(&st, bytes);
	sign_label(signer->node_key, STATEMENT_LABEL, slice_of(bytes, sizeof(bytes)), sig);
	reg->statement = slice_of(bytes, sizeof(bytes));
	reg->statement_signature = slice_of(sig, sizeof(sig));
}

static void again_with_the_same_key(void **state)
{
	struct rig *r = *state;
	uint64_t counter = node(r)->row.counter;

	assert_true(counter > 0);
	assert_int_equal(rig_register(r, false, NULL), ERR_OK);
	assert_true(node(r)->row.counter > counter);
	assert_int_equal(node(r)->n_keys, 1);
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
	assert_int_equal(node(r)->n_keys, 2);
	assert_true(node(r)->keys[0].superseded != 0 && node(r)->keys[1].superseded == 0);
	assert_memory_equal(node(r)->keys[1].key, r->x25519, KEY_BYTES);
}

static void replayed(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->counter--;
}

static void other_node(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->node = 2;
}

/* Statement and registration agree, and the data beside them are those of node 1. */
static void all_but_its_data(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->node = 2;
	state_anew(reg, 2, reg->counter);
}

static void other_address(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->address = SLICE_STR("http://127.0.0.2:9");
}

static void evidence_that_was_not_hashed(struct registration *reg, struct registration_msg *m)
{
	(void)reg;
	m->evidence = SLICE_STR("made up");
}

static void without_end(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->validity_s = 0;
}

static void one_model_twice(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->n_models = 2;
	reg->models[1] = reg->models[0];
}

static void data_that_differs(struct registration *reg, struct registration_msg *m)
{
	(void)reg;
	m->country = SLICE_STR("FR");
}

static void statement_of_another(struct registration *reg, struct registration_msg *m)
{
	static uint8_t copy[STATEMENT_BYTES];

	(void)m;
	memcpy(copy, reg->statement.p, sizeof(copy));
	copy[8] ^= 2; /* its node */
	reg->statement = slice_of(copy, sizeof(copy));
}

static void zero_key(struct registration *reg, struct registration_msg *m)
{
	static uint8_t copy[STATEMENT_BYTES];

	(void)m;
	memcpy(copy, reg->statement.p, sizeof(copy));
	memset(copy + 9, 0, KEY_BYTES);
	reg->statement = slice_of(copy, sizeof(copy));
}

static void statement_unsigned(struct registration *reg, struct registration_msg *m)
{
	static uint8_t copy[STATEMENT_BYTES];

	(void)m;
	memcpy(copy, reg->statement.p, sizeof(copy));
	copy[STATEMENT_BYTES - 1] ^= 1; /* not_after: plausible, but not what was signed */
	reg->statement = slice_of(copy, sizeof(copy));
}

static void bytes_for_a_model(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->models[0].name = SLICE_STR("de\xffmo");
}

static void control_in_version(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->version = SLICE_STR("1\x1b[2J");
}

static void what_is_refused(void **state)
{
	static const struct {
		void (*change)(struct registration *, struct registration_msg *);
		enum err want;
	} cases[] = {
		{ replayed, ERR_BODY },           { other_node, ERR_BODY },
		{ other_address, ERR_BODY },      { evidence_that_was_not_hashed, ERR_BODY },
		{ without_end, ERR_BODY },        { one_model_twice, ERR_BODY },
		{ data_that_differs, ERR_BODY },  { statement_of_another, ERR_BODY },
		{ zero_key, ERR_BODY },           { bytes_for_a_model, ERR_BODY },
		{ control_in_version, ERR_BODY }, { statement_unsigned, ERR_NODE_SIGNATURE },
		{ all_but_its_data, ERR_BODY },
	};
	struct rig *r = signer = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t counter = node(r)->row.counter;

		r->counter = counter;
		assert_int_equal(rig_register(r, false, cases[i].change), cases[i].want);
		assert_true(node(r)->row.counter == counter);
		assert_false(node(r)->registering);
	}
	r->counter = node(r)->row.counter;
	assert_int_equal(rig_register(r, false, NULL), ERR_OK);
}

static void with_a_key_of_before(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	state_anew(reg, 1, node(signer)->keys[0].counter);
}

/* Else an older key, of which somebody may have the secret by now, could be put before the clients again. */
static void keys_only_go_forward(void **state)
{
	struct rig *r = signer = *state;

	assert_int_equal(rig_register(r, true, with_a_key_of_before), ERR_BODY);
	assert_int_equal(node(r)->n_keys, 1);
	r->counter = node(r)->row.counter;
	assert_int_equal(rig_register(r, false, NULL), ERR_OK);
	assert_int_equal(node(r)->n_keys, 2);
}

static void strangers(void **state)
{
	struct rig *r = *state;
	struct sign_key *known = r->node_key;
	uint8_t seed[32] = { 43 };

	r->node_key = sign_key_new(seed);
	assert_int_equal(rig_register(r, true, NULL), ERR_NOT_FOUND);
	sign_key_free(r->node_key);
	r->node_key = known;
}

/* With open registration a stranger gets a free number, not somebody else's. */
static void newcomers(void **state)
{
	struct rig *r = *state;
	struct sign_key *known = r->node_key;
	uint8_t seed[32] = { 43 };

	r->node_key = sign_key_new(seed);
	assert_int_equal(rig_register(r, true, NULL), ERR_BODY);
	assert_null(registry_node_by_key(r->b.registry, sign_key_public(r->node_key)));
	sign_key_free(r->node_key);
	r->node_key = known;
}

/* The data, registration and statement of node 2, all of its own. */
static void as_node_2(struct registration *reg, struct registration_msg *m)
{
	static const char data[] =
		"{\"node_small_id\":2,\"public_address\":\"http://127.0.0.1:9\",\"country\":\"DE\"}";

	reg->node = m->node = 2;
	state_anew(reg, 2, reg->counter);
	m->data = slice_of(data, sizeof(data) - 1);
}

static void newcomers_admit_themselves(void **state)
{
	struct rig *r = signer = *state;
	struct sign_key *known = r->node_key;
	uint8_t seed[32] = { 44 };
	struct node *n;

	r->node_key = sign_key_new(seed);
	r->b.conf.open_registration_max = 1; /* node 1 is there */
	assert_int_equal(rig_register(r, true, as_node_2), ERR_UNAVAILABLE);
	assert_null(registry_node(r->b.registry, 2));
	r->b.conf.open_registration_max = 2;
	assert_int_equal(rig_register(r, true, as_node_2), ERR_OK);
	n = registry_node(r->b.registry, 2);
	assert_ptr_equal(n, registry_node_by_key(r->b.registry, sign_key_public(r->node_key)));
	assert_true(node_ready(n, broker_now(), broker_ms(&r->b)));
	assert_int_equal(rig_register(r, true, as_node_2),
			 ERR_OK); /* a full house keeps nobody from coming back */
	n->row.state = NODE_REMOVED;
	assert_int_equal(rig_register(r, true, as_node_2), ERR_NOT_FOUND); /* an operator's word stands */
	sign_key_free(r->node_key);
	r->node_key = known;
}

static unsigned generation;

static void ever_new_models(struct registration *reg, struct registration_msg *m)
{
	static char names[MODELS_PER_NODE_MAX][24];

	(void)m;
	reg->n_models = MODELS_PER_NODE_MAX;
	for (unsigned i = 0; i < MODELS_PER_NODE_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "m-%u-%u", generation, i);
		reg->models[i] = (struct registration_model){ slice_str(names[i]), 1, 1, 1, 1 };
	}
	generation++;
}

/* Models are kept once they are known: a node does not fill memory and database with names. */
static void names_without_end(void **state)
{
	struct rig *r = *state;
	unsigned taken = 0;

	while (taken < 40 && rig_register(r, false, ever_new_models) == ERR_OK)
		taken++;
	assert_int_equal(taken, 15);                            /* 960, and the one that it began with */
	assert_int_equal(rig_register(r, false, NULL), ERR_OK); /* what it has had it may have again */
	generation = 0;
	assert_int_equal(rig_register(r, false, ever_new_models), ERR_OK);
}

/* Anybody can replay the original form: it keeps no node of ours alive. */
static void the_original_form_says_nothing_of_ours(void **state)
{
	struct rig *r = *state;

	rig_node(r)->row.seen = 5;
	r->original_form = true;
	assert_int_equal(rig_register(r, false, NULL), ERR_BODY);
	assert_true(node(r)->row.seen == 5);
	rig_node(r)->row.original = true;
	assert_int_equal(rig_register(r, false, NULL), ERR_OK);
	assert_true(node(r)->row.seen > 5);
	node_set_text(&rig_node(r)->url, SLICE_STR("http://127.0.0.1:10"));
	assert_int_equal(rig_register(r, false, NULL), ERR_BODY); /* and it moves nobody */
	assert_string_equal(node(r)->url, "http://127.0.0.1:10");
}

static void removed_nodes(void **state)
{
	struct rig *r = *state;

	rig_node(r)->row.state = NODE_REMOVED;
	assert_int_equal(rig_register(r, true, NULL), ERR_NOT_FOUND);
}

static void proof(struct registration *reg, struct registration_msg *m)
{
	m->evidence = SLICE_STR("quote");
	hash(reg->evidence_hash, m->evidence);
}

static void other_offers(struct registration *reg, struct registration_msg *m)
{
	(void)m;
	reg->models[0].name = SLICE_STR("other");
	reg->models[0].price = 5;
}

/* Between a lock and its request: the client is told to lock again, which leads to another node, and not to
 * try the same again later, which would never end well. */
static void a_lock_at_a_node_that_leaves(void **state)
{
	struct rig *r = *state;
	struct locked l;

	assert_int_equal(rig_lock(r, 10, 60, &l), ERR_OK);
	assert_int_equal(rig_register(r, false, other_offers), ERR_OK);
	rig_job(r, l.stack, 10);
	assert_int_equal(rig_refusal(r).error, ERR_KEY_UNKNOWN);
	rig_node(r)->row.state = NODE_REMOVED;
	rig_job(r, l.stack, 10);
	assert_int_equal(rig_refusal(r).error, ERR_KEY_UNKNOWN);
}

static void what_it_changes(void **state)
{
	struct rig *r = *state;
	struct locked l;

	assert_int_equal(rig_register(r, false, proof), ERR_OK);
	assert_true(node(r)->evidence.n == 5 && node(r)->evidence_at > 0);
	assert_int_equal(rig_register(r, false, other_offers), ERR_OK);
	assert_true(node(r)->evidence.n == 0); /* it no longer shows any */
	assert_int_equal(registry_model(r->b.registry, SLICE_STR("demo"))->n, 0);
	assert_int_equal(registry_model(r->b.registry, SLICE_STR("other"))->n, 1);
	assert_int_equal(rig_lock(r, 10, 5, &l), ERR_NO_NODE);
	rig_restart(r);
	assert_true(node(r)->evidence.n == 0 && node(r)->row.counter == r->counter);
	assert_true(registry_model(r->b.registry, SLICE_STR("other"))->subs[0]->price == 5);
	assert_memory_equal(node_current_key(node(r), broker_now())->key, r->x25519, KEY_BYTES);
	actor_hello(r, &r->gw);
}

/* The body of the next ANSWER as a NUL-terminated copy. */
static const char *ask(struct rig *r, enum query_kind kind, bool token, uint64_t number)
{
	struct query q = { .kind = kind, .has_token = token, .number = number };
	static char text[4096];
	struct buf msg = { 0 };
	struct answer a;

	memset(q.rid, 3, RID_BYTES);
	memcpy(q.token_hash, r->token, KEY_BYTES);
	query_encode(&q, &msg);
	actor_send(&r->gw, &msg, NULL);
	assert_int_equal(answer_decode(actor_get(r, &r->gw, MSG_ANSWER), &a), ERR_OK);
	snprintf(text, sizeof(text), "%.*s", (int)a.body.n, (const char *)a.body.p);
	return text;
}

static void model_lists(void **state)
{
	struct rig *r = *state;
	struct query q = { .kind = QUERY_MODELS };
	struct buf msg = { 0 };

	assert_non_null(strstr(ask(r, QUERY_MODELS, true, 0), "\"id\":\"demo\",\"object\":\"model\""));
	assert_non_null(strstr(ask(r, QUERY_OPEN_ROUTER, false, 0), "\"prompt\":\"0.000000001\""));
	rig_node(r)->row.state = NODE_DRAINING;
	assert_string_equal(ask(r, QUERY_MODELS, true, 0), "{\"object\":\"list\",\"data\":[]}");
	memset(q.rid, 3, RID_BYTES);
	query_encode(&q, &msg); /* no token */
	actor_send(&r->gw, &msg, NULL);
	assert_int_equal(rig_refusal(r).error, ERR_AUTH);
}

static void ask_for_model(struct rig *r, const char *name, bool token)
{
	struct query q = { .kind = QUERY_MODEL, .has_token = token, .model = slice_str(name) };
	struct buf msg = { 0 };

	memset(q.rid, 3, RID_BYTES);
	memcpy(q.token_hash, r->token, KEY_BYTES);
	query_encode(&q, &msg);
	actor_send(&r->gw, &msg, NULL);
}

static void no_model(struct rig *r, const char *name)
{
	struct refuse no;

	ask_for_model(r, name, true);
	no = rig_refusal(r);
	assert_int_equal(no.error, ERR_NOT_FOUND);
	assert_int_equal(no.param.n, 0);
}

/* The object of the list, and a name that is served by nobody now is as one that there never was. */
static void one_model(void **state)
{
	struct rig *r = *state;
	struct answer a;
	char want[256];

	ask_for_model(r, "demo", true);
	assert_int_equal(answer_decode(actor_get(r, &r->gw, MSG_ANSWER), &a), ERR_OK);
	snprintf(want, sizeof(want), "{\"object\":\"list\",\"data\":[%.*s]}", (int)a.body.n,
		 (const char *)a.body.p);
	assert_string_equal(ask(r, QUERY_MODELS, true, 0), want);
	no_model(r, "");
	no_model(r, "dem");
	no_model(r, "demo2");
	no_model(r, "Demo");
	ask_for_model(r, "demo", false);
	assert_int_equal(rig_refusal(r).error, ERR_AUTH);
	rig_node(r)->row.state = NODE_DRAINING;
	no_model(r, "demo");
	rig_node(r)->row.state = NODE_ACTIVE;
	assert_int_equal(rig_register(r, false, other_offers), ERR_OK);
	no_model(r, "demo"); /* its name is still known */
	ask_for_model(r, "other", true);
	assert_int_equal(answer_decode(actor_get(r, &r->gw, MSG_ANSWER), &a), ERR_OK);
}

static void attestation(void **state)
{
	struct rig *r = *state;
	struct query q = { .kind = QUERY_ATTESTATION, .number = 2 };
	struct buf msg = { 0 };
	const char *text;

	text = ask(r, QUERY_ATTESTATION, false, 1);
	assert_non_null(strstr(text, "{\"node_small_id\":1,\"node_signing_key\":\""));
	assert_non_null(strstr(text, "\"evidence\":null,\"evidence_time\":null}"));
	assert_int_equal(rig_register(r, false, proof), ERR_OK);
	assert_non_null(strstr(ask(r, QUERY_ATTESTATION, false, 1), "\"evidence\":\"cXVvdGU=\""));
	memset(q.rid, 3, RID_BYTES);
	query_encode(&q, &msg);
	actor_send(&r->gw, &msg, NULL);
	assert_int_equal(rig_refusal(r).error, ERR_NOT_FOUND);
}

/* Anybody may ask for evidence, but not for all of the broker's time. */
static void much_evidence(void **state)
{
	struct rig *r = *state;
	struct query q = { .kind = QUERY_ATTESTATION, .number = 1 };
	struct node *n = rig_node(r);
	static const uint8_t kib[1024];
	unsigned answered = 0, refused = 0;
	struct buf msg;
	struct refuse no;

	for (unsigned i = 0; i < 1024; i++)
		buf_add(&n->evidence, kib, sizeof(kib));
	for (int i = 0; i < 80; i++) {
		memset(q.rid, i + 1, RID_BYTES);
		msg = (struct buf){ 0 };
		query_encode(&q, &msg);
		actor_send(&r->gw, &msg, NULL);
	}
	for (int i = 0; i < 2000 && answered + refused < 80; i++) {
		rig_run(r, 2);
		while (actor_has(&r->gw, MSG_ANSWER)) {
			(void)actor_get(r, &r->gw, MSG_ANSWER);
			answered++;
		}
		while (actor_has(&r->gw, MSG_REFUSE)) {
			no = rig_refusal(r);
			assert_int_equal(no.error, ERR_RATE);
			assert_int_equal(no.retry_after_s, 1);
			refused++;
		}
	}
	assert_int_equal(answered + refused, 80);
	assert_true(answered >= 32 && answered <= 64); /* the second may have turned meanwhile */
}

static void price_texts(void **state)
{
	static const struct {
		uint64_t price;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1, "0.000000000001" },
		{ 1000, "0.000000001" },
		{ UINT64_C(1000000000000), "1" },
		{ UINT64_C(1500000000000), "1.5" },
		{ ID_MAX, "9007.199254740991" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = { 0 };

		models_price_text(cases[i].price, &b);
		assert_true(slice_is(buf_slice(&b), cases[i].text));
		buf_free(&b);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(again_with_the_same_key),
		T(what_is_refused),
		T(keys_only_go_forward),
		T(strangers),
		cmocka_unit_test_setup_teardown(newcomers, setup_open, rig_teardown),
		cmocka_unit_test_setup_teardown(newcomers_admit_themselves, setup_open, rig_teardown),
		T(names_without_end),
		T(the_original_form_says_nothing_of_ours),
		T(removed_nodes),
		T(what_it_changes),
		T(a_lock_at_a_node_that_leaves),
		T(model_lists),
		T(one_model),
		T(attestation),
		T(much_evidence),
		cmocka_unit_test(price_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
