/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of single messages: that they arrive where they belong, and the
 * limits of each, on both sides.
 */
#define _GNU_SOURCE /* memmem */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/proto/families.h"

static char LONG[70000];

#define LONG_TEXT(n) slice_of(LONG, (n))

static struct buf wire;

static struct slice encoded(void)
{
	return buf_slice(&wire);
}

static int setup(void **state)
{
	(void)state;
	memset(LONG, 'm', sizeof(LONG));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&wire);
	return 0;
}

/* Sets one member of a sample, encodes, and expects the result of decoding. */
#define EXPECT(what, strct, sample_of, change, want)                                                         \
	do {                                                                                                 \
		struct strct m_, got_;                                                                       \
		struct strct *m = &m_;                                                                       \
                                                                                                             \
		buf_reset(&wire);                                                                            \
		sample_of(true, &wire);                                                                      \
		assert_int_equal(what##_decode(encoded(), m), ERR_OK);                                       \
		/* m borrows from wire: encode elsewhere, then put it back */                                \
		struct buf again = { .n = 0 };                                                               \
		change;                                                                                      \
		what##_encode(m, &again);                                                                    \
		memset(&got_, 0x5a, sizeof(got_));                                                           \
		struct strct untouched = got_;                                                               \
		assert_int_equal(what##_decode(buf_slice(&again), &got_), want);                             \
		if ((want) != ERR_OK)                                                                        \
			assert_memory_equal(&got_, &untouched, sizeof(got_));                                \
		buf_free(&again);                                                                            \
	} while (0)

#define GOOD(what, strct, sample_of, change) EXPECT(what, strct, sample_of, change, ERR_OK)
#define BAD(what, strct, sample_of, change) EXPECT(what, strct, sample_of, change, ERR_FORMAT)

#define JOB(change, want) EXPECT(job, job, job_sample, change, want)

static void test_job(void **state)
{
	struct job j;

	(void)state;
	buf_reset(&wire);
	job_sample(true, &wire);
	assert_int_equal(job_decode(encoded(), &j), ERR_OK);
	assert_int_equal(j.rid[15], 16);
	assert_true(j.topic == UINT64_MAX);
	assert_int_equal(j.token_hash[0], 0xaa);
	assert_int_equal(j.endpoint, EP_CHAT);
	assert_true(j.stack == ID_MAX);
	assert_int_equal(j.model.n, 144);
	assert_true(j.has_units && j.units == ID_MAX && j.stream && j.has_max_units && j.show_usage);
	assert_int_equal(j.max_units, 16);
	assert_int_equal(j.deadline_ms, 30000);
	buf_reset(&wire);
	job_sample(false, &wire);
	assert_int_equal(job_decode(encoded(), &j), ERR_OK);
	assert_false(j.has_units || j.stream || j.has_max_units);
	JOB(m->endpoint = EP_NONE, ERR_FORMAT);
	JOB(m->endpoint = EP_COUNT, ERR_FORMAT);
	JOB(m->endpoint = EP_EMBEDDINGS, ERR_FORMAT); /* does not stream */
	JOB(m->endpoint = EP_PLAIN_CHAT, ERR_OK);
	JOB(m->stack = ID_MAX + 1, ERR_FORMAT);
	JOB(m->units = ID_MAX + 1, ERR_FORMAT);
	JOB(m->max_units = UINT64_MAX, ERR_FORMAT);
	JOB(m->input_units = ID_MAX + 1, ERR_FORMAT);
	JOB(m->model = NONE, ERR_FORMAT);
	JOB(m->model = LONG_TEXT(256), ERR_OK);
	JOB(m->model = LONG_TEXT(257), ERR_FORMAT);
	JOB(m->model = SLICE_STR("a\0b"), ERR_FORMAT);
	JOB(m->deadline_ms = UINT32_MAX, ERR_OK);
}

static void test_refuse_and_cancel(void **state)
{
	struct refuse r;

	(void)state;
	GOOD(refuse, refuse, refuse_sample, m->param = LONG_TEXT(64));
	BAD(refuse, refuse, refuse_sample, m->param = LONG_TEXT(65));
	buf_reset(&wire);
	refuse_encode(&(struct refuse){ .rid = FILL_RID, .error = (enum err)9999 }, &wire);
	assert_int_equal(refuse_decode(encoded(), &r), ERR_OK);
	assert_int_equal(r.error, ERR_INTERNAL); /* of a later version */
	assert_int_equal(r.param.n, 0);
	buf_reset(&wire);
	refuse_encode(&(struct refuse){ .rid = FILL_RID, .error = ERR_OK }, &wire);
	assert_int_equal(refuse_decode(encoded(), &r), ERR_OK);
	assert_int_equal(r.error, ERR_INTERNAL); /* no refusal is a success */
	GOOD(cancel, cancel, cancel_sample, m->attempt = 0);
}

/* What is left is no more than there is, and of no limit nothing is left. */
static void test_quota(void **state)
{
	struct refuse r;

	(void)state;
	buf_reset(&wire);
	refuse_sample(true, &wire);
	assert_int_equal(refuse_decode(encoded(), &r), ERR_OK);
	assert_true(r.quota.limit == ID_MAX && r.quota.remaining == 3 && r.quota.reset_s == UINT32_MAX);
	GOOD(refuse, refuse, refuse_sample, m->quota.limit = 3);
	BAD(refuse, refuse, refuse_sample, m->quota.limit = 2);
	BAD(refuse, refuse, refuse_sample, m->quota.limit = ID_MAX + 1);
	BAD(refuse, refuse, refuse_sample, m->quota = ((struct quota){ .reset_s = 1 }));
	BAD(refuse, refuse, refuse_sample, m->quota = ((struct quota){ .remaining = 1 }));
	GOOD(chunk, chunk, chunk_error_sample, m->quota = ((struct quota){ 5, 5, 0 }));
	BAD(chunk, chunk, chunk_sample, m->quota = ((struct quota){ 5, 5, 0 })); /* DATA has none */
	BAD(work, work, work_sample, m->quota.remaining = UINT64_MAX);
	BAD(locked, locked, locked_sample, m->quota.remaining = UINT64_MAX);
	BAD(answer, answer, answer_sample, m->quota.remaining = UINT64_MAX);
}

static void test_hello(void **state)
{
	struct hello h;

	(void)state;
	buf_reset(&wire);
	hello_sample(true, &wire);
	assert_int_equal(hello_decode(encoded(), &h), ERR_OK);
	assert_int_equal(h.role, ROLE_WORKER);
	assert_int_equal(h.key.n, 32);
	assert_int_equal(h.inflight, 3);
	BAD(hello, hello, hello_sample, m->role = (enum role)0);
	BAD(hello, hello, hello_sample, m->role = ROLE_MAX);
	BAD(hello, hello, hello_sample, m->name = LONG_TEXT(65));
	BAD(hello, hello, hello_sample, m->version = LONG_TEXT(33));
	GOOD(hello, hello, hello_sample, m->endpoint = LONG_TEXT(256));
	BAD(hello, hello, hello_sample, m->endpoint = LONG_TEXT(257));
	GOOD(hello, hello, hello_sample, m->key = NONE);
	BAD(hello, hello, hello_sample, m->key = BYTES(31));
	BAD(hello, hello, hello_sample, m->key = BYTES(33));
}

static void test_peer(void **state)
{
	(void)state;
	GOOD(peer, peer, peer_sample, m->topic = UINT64_MAX);
	BAD(peer, peer, peer_sample, m->key = BYTES(33));
	BAD(intro, intro, intro_sample, m->key = BYTES(1));
	BAD(intro, intro, intro_sample, m->endpoint = LONG_TEXT(257));
	GOOD(intro, intro, intro_sample, m->present = false);
}

#define WORK(change, want) EXPECT(work, work, work_sample, change, want)

static void test_work(void **state)
{
	struct work w;

	(void)state;
	buf_reset(&wire);
	work_sample(true, &wire);
	assert_int_equal(work_decode(encoded(), &w), ERR_OK);
	assert_int_equal(w.user, 1);
	assert_int_equal(w.stack, 2);
	assert_int_equal(w.node, 3);
	assert_int_equal(w.attempt, 2);
	assert_true(w.receipt_required && w.show_usage && !w.hold);
	WORK(m->hold = true, ERR_FORMAT); /* sealed */
	WORK((m->hold = true, m->endpoint = EP_PLAIN_CHAT), ERR_OK);
	WORK(m->attempt = 0, ERR_FORMAT);
	WORK(m->endpoint = EP_IMAGES, ERR_FORMAT); /* does not stream */
	WORK(m->user = ID_MAX + 1, ERR_FORMAT);
	WORK(m->stack = ID_MAX + 1, ERR_FORMAT);
	WORK(m->units = ID_MAX + 1, ERR_FORMAT);
	WORK(m->node = ID_MAX + 1, ERR_FORMAT);
	WORK(m->model = NONE, ERR_FORMAT);
	WORK(m->address = NONE, ERR_FORMAT);
	WORK(m->address = LONG_TEXT(512), ERR_OK);
	WORK(m->address = LONG_TEXT(513), ERR_FORMAT);
	BAD(inflight, inflight, inflight_sample, m->node = ID_MAX + 1);
	BAD(inflight, inflight, inflight_sample, m->units = UINT64_MAX);
	BAD(receipt_wanted, receipt_wanted, receipt_wanted_sample, m->address = NONE);
	BAD(receipt_wanted, receipt_wanted, receipt_wanted_sample, m->stack = ID_MAX + 1);
	GOOD(probe, probe, probe_sample, m->address = LONG_TEXT(URL_BYTES_MAX));
	BAD(probe, probe, probe_sample, m->address = LONG_TEXT(URL_BYTES_MAX + 1));
	BAD(probe, probe, probe_sample, m->address = NONE);
	BAD(probe, probe, probe_sample, m->timeout_ms = 0);
	BAD(probe, probe, probe_sample, m->timeout_ms = PROBE_MS_MAX + 1);
	BAD(probe, probe, probe_sample, m->node = ID_MAX + 1);
	BAD(probed, probed, probed_sample, m->node = ID_MAX + 1);
	BAD(probed, probed, probed_sample, m->result = 0);
	BAD(probed, probed, probed_sample, m->result = PROBE_RESULT_MAX);
	GOOD(return, work_return, return_sample, m->error = ERR_KEY);
}

#define CHUNK(change, want) EXPECT(chunk, chunk, chunk_sample, change, want)

static void test_chunk(void **state)
{
	struct chunk c;
	uint8_t *p;

	(void)state;
	buf_reset(&wire);
	chunk_sample(true, &wire);
	assert_int_equal(chunk_decode(encoded(), &c), ERR_OK);
	assert_true(c.topic == UINT64_MAX - 1);
	assert_int_equal(c.payload.n, 200);
	assert_true(c.payload.p + 200 == wire.p + wire.n); /* borrowed */
	CHUNK(m->payload = LONG_TEXT(CHUNK_BYTES_MAX), ERR_OK);
	CHUNK(m->payload = LONG_TEXT(CHUNK_BYTES_MAX + 1), ERR_FORMAT);
	CHUNK(m->payload = NONE, ERR_OK);
	CHUNK(m->kind = (enum chunk_kind)0, ERR_FORMAT);
	CHUNK(m->kind = (enum chunk_kind)5, ERR_FORMAT);
	CHUNK(m->kind = CHUNK_HEAD, ERR_FORMAT); /* only DATA has a payload */
	CHUNK(m->kind = CHUNK_END, ERR_FORMAT);
	CHUNK((m->kind = CHUNK_HEAD, m->payload = NONE), ERR_OK);
	CHUNK((m->kind = CHUNK_HEAD, m->payload = NONE, m->length = ID_MAX), ERR_OK);
	CHUNK((m->kind = CHUNK_HEAD, m->payload = NONE, m->length = ID_MAX + 1), ERR_FORMAT);
	CHUNK((m->kind = CHUNK_END, m->payload = NONE, m->length = 1), ERR_FORMAT);
	CHUNK(m->length = 1, ERR_FORMAT);
	CHUNK(m->error = ERR_NODE, ERR_FORMAT);
	CHUNK(m->retry_after_s = 1, ERR_FORMAT);
	CHUNK((m->kind = CHUNK_ERROR, m->payload = NONE), ERR_FORMAT); /* which? */
	CHUNK((m->kind = CHUNK_ERROR, m->payload = NONE, m->error = ERR_RATE, m->retry_after_s = 9), ERR_OK);
	buf_reset(&wire);
	chunk_sample(true, &wire);
	p = wire.p + CHUNK_TOPIC_BYTES; /* the header's length, wrong in both directions */
	p[1]++;
	assert_int_equal(chunk_decode(encoded(), &c), ERR_FORMAT);
	p[1] -= 2;
	assert_int_equal(chunk_decode(encoded(), &c), ERR_FORMAT);
	p[0] = 0xff;
	assert_int_equal(chunk_decode(encoded(), &c), ERR_FORMAT);
	for (size_t n = 0; n < CHUNK_PREFIX_BYTES; n++)
		assert_int_equal(chunk_decode(slice_of(wire.p, n), &c), ERR_FORMAT);
}

#define SETTLE(change, want) EXPECT(settle, settle, settle_sample, change, want)

static void test_settle(void **state)
{
	(void)state;
	SETTLE(m->outcome = (enum settle_outcome)0, ERR_FORMAT);
	SETTLE(m->outcome = SETTLE_OUTCOME_MAX, ERR_FORMAT);
	SETTLE(m->receipt = NONE, ERR_OK);
	SETTLE(m->receipt = BYTES(182), ERR_FORMAT);
	SETTLE(m->receipt = BYTES(184), ERR_FORMAT);
	SETTLE(m->signature = TEXT(131), ERR_FORMAT);
	SETTLE(m->signature = TEXT(133), ERR_FORMAT);
	SETTLE(m->transcript = BYTES(31), ERR_FORMAT);
	SETTLE(m->prompt = ID_MAX + 1, ERR_FORMAT);
	SETTLE(m->completion = UINT64_MAX, ERR_FORMAT);
	SETTLE(m->bytes = ID_MAX + 1, ERR_FORMAT);
	SETTLE(m->node = ID_MAX + 1, ERR_FORMAT);
	SETTLE(m->epoch = UINT64_MAX, ERR_OK);
	SETTLE(m->untold = true, ERR_FORMAT); /* a complete answer */
	SETTLE((m->untold = true, m->outcome = SETTLE_FAILED), ERR_OK);
}

#define LOCK_ASK(change, want) EXPECT(lock_ask, lock_ask, lock_ask_sample, change, want)
#define LOCKED(change, want) EXPECT(locked, locked, locked_sample, change, want)

static void test_lock(void **state)
{
	(void)state;
	LOCK_ASK(m->timeout_s = 0, ERR_FORMAT);
	LOCK_ASK(m->timeout_s = 601, ERR_FORMAT);
	LOCK_ASK(m->timeout_s = 1, ERR_OK);
	LOCK_ASK(m->model = NONE, ERR_FORMAT);
	LOCK_ASK(m->units = ID_MAX + 1, ERR_FORMAT);
	LOCK_ASK(m->has_units = false, ERR_OK);
	LOCKED(m->statement = NONE, ERR_OK);
	LOCKED(m->statement = BYTES(64), ERR_FORMAT);
	LOCKED(m->statement = BYTES(66), ERR_FORMAT);
	LOCKED(m->signature = NONE, ERR_OK);
	LOCKED(m->signature = TEXT(131), ERR_FORMAT);
	LOCKED(m->sign_key = NONE, ERR_FORMAT);
	LOCKED(m->sign_key = BYTES(33), ERR_FORMAT);
	LOCKED(m->digest = LONG_TEXT(129), ERR_FORMAT);
	LOCKED(m->node = ID_MAX + 1, ERR_FORMAT);
}

#define REGISTER(change, want) EXPECT(register, registration_msg, register_sample, change, want)

static void test_register(void **state)
{
	static uint8_t evidence[EVIDENCE_BYTES_MAX + 1];

	(void)state;
	REGISTER(m->evidence = slice_of(evidence, EVIDENCE_BYTES_MAX), ERR_OK);
	REGISTER(m->evidence = slice_of(evidence, EVIDENCE_BYTES_MAX + 1), ERR_FORMAT);
	REGISTER((m->registration = NONE, m->registration_signature = NONE), ERR_OK);
	REGISTER(m->registration = NONE, ERR_FORMAT); /* one without the other */
	REGISTER(m->registration_signature = NONE, ERR_FORMAT);
	REGISTER(m->registration = LONG_TEXT(65537), ERR_FORMAT);
	REGISTER(m->data = NONE, ERR_FORMAT);
	REGISTER(m->data = LONG_TEXT(8193), ERR_FORMAT);
	REGISTER(m->address = NONE, ERR_FORMAT);
	REGISTER(m->address = LONG_TEXT(513), ERR_FORMAT);
	REGISTER(m->country = LONG_TEXT(65), ERR_FORMAT);
	REGISTER(m->signature = NONE, ERR_FORMAT);
	REGISTER(m->signature = LONG_TEXT(257), ERR_FORMAT);
	REGISTER(m->node = ID_MAX + 1, ERR_FORMAT);
}

static void test_query(void **state)
{
	static char big[(4u << 20) + 1];
	struct query q;

	(void)state;
	memset(big, 'b', sizeof(big));
	buf_reset(&wire);
	query_sample(false, &wire);
	assert_int_equal(query_decode(encoded(), &q), ERR_OK);
	assert_int_equal(q.kind, QUERY_ATTESTATION);
	assert_false(q.has_token);
	assert_int_equal(q.token_hash[0], 0);
	assert_int_equal(q.model.n, 0);
	GOOD(query, query, query_sample, m->model = LONG_TEXT(256));
	BAD(query, query, query_sample, m->model = LONG_TEXT(257));
	BAD(query, query, query_sample, m->model = SLICE_STR("a\0b"));
	BAD(query, query, query_sample, m->kind = QUERY_KIND_MAX);
	BAD(query, query, query_sample, m->kind = (enum query_kind)0);
	BAD(query, query, query_sample, m->number = ID_MAX + 1);
	GOOD(answer, answer, answer_sample, m->body = slice_of(big, 4u << 20));
	BAD(answer, answer, answer_sample, m->body = slice_of(big, (4u << 20) + 1));
}

static void test_admin(void **state)
{
	static char big[(2u << 20) + 1];

	(void)state;
	memset(big, 'b', sizeof(big));
	BAD(admin, admin, admin_sample, m->verb = NONE);
	BAD(admin, admin, admin_sample, m->verb = LONG_TEXT(65));
	BAD(admin, admin, admin_sample, m->verb = SLICE_STR("user\0add"));
	GOOD(admin, admin, admin_sample, m->args = slice_of(big, 2u << 20));
	BAD(admin, admin, admin_sample, m->args = slice_of(big, (2u << 20) + 1));
	GOOD(admin_reply, admin_reply, admin_reply_sample, m->error = ERR_EXISTS);
}

#define REGISTRATION(change, want) EXPECT(registration, registration, registration_sample, change, want)

static void test_registration(void **state)
{
	static struct registration r;

	(void)state;
	buf_reset(&wire);
	registration_sample(true, &wire);
	assert_int_equal(registration_decode(encoded(), &r), ERR_OK);
	assert_int_equal(r.n_models, MODELS_PER_NODE_MAX);
	assert_int_equal(r.models[63].name.n, 64);
	assert_int_equal(r.models[63].price, 63);
	assert_int_equal(r.models[0].lock_units, 8192);
	assert_memory_equal(wire.p, "\x89\xa4node\xcf", 7); /* a map, this key first */
	REGISTRATION(m->node = ID_MAX + 1, ERR_FORMAT);
	REGISTRATION(m->counter = ID_MAX + 1, ERR_FORMAT);
	REGISTRATION(m->address = NONE, ERR_FORMAT);
	REGISTRATION(m->address = LONG_TEXT(513), ERR_FORMAT);
	REGISTRATION(m->statement = BYTES(64), ERR_FORMAT);
	REGISTRATION(m->statement_signature = TEXT(131), ERR_FORMAT);
	REGISTRATION(m->version = LONG_TEXT(33), ERR_FORMAT);
	REGISTRATION(m->models[5].name = NONE, ERR_FORMAT);
	REGISTRATION(m->models[5].name = LONG_TEXT(257), ERR_FORMAT);
	REGISTRATION(m->models[5].price = ID_MAX + 1, ERR_FORMAT);
	REGISTRATION(m->models[63].max_units = UINT64_MAX, ERR_FORMAT);
	REGISTRATION(m->models[63].lock_units = UINT64_MAX, ERR_FORMAT);
	REGISTRATION(m->n_models = 1, ERR_OK);
}

/* Bytes that a hostile node signed: too many models, a key renamed, moved, doubled. */
static void test_registration_keys(void **state)
{
	static const char *const KEYS[] = {
		"node",   "address",    "counter", "statement",    "statement_signature",
		"models", "validity_s", "version", "evidence_hash"
	};
	static struct registration r;

	(void)state;
	for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
		uint8_t *at;

		buf_reset(&wire);
		registration_sample(false, &wire);
		assert_int_equal(registration_decode(encoded(), &r), ERR_OK);
		at = memmem(wire.p, wire.n, KEYS[i], strlen(KEYS[i]));
		assert_non_null(at);
		at[0] = 'X';
		assert_int_equal(registration_decode(encoded(), &r), ERR_FORMAT);
	}
	buf_reset(&wire);
	registration_sample(true, &wire);
	for (size_t i = 0; i + 3 < wire.n; i++)
		if (memcmp(wire.p + i, "\xdc\x00\x40", 3) == 0) {
			struct buf more = { .n = 0 };

			buf_add(&more, wire.p, i);
			buf_add(&more, "\xdc\x00\x41\x95\xa1m\x00\x01\x01\x01", 10);
			buf_add(&more, wire.p + i + 3, wire.n - i - 3);
			assert_int_equal(registration_decode(buf_slice(&more), &r), ERR_FORMAT);
			buf_free(&more);
			return;
		}
	fail_msg("no list of 64 models");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_job),
		cmocka_unit_test(test_refuse_and_cancel),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_work),
		cmocka_unit_test(test_chunk),
		cmocka_unit_test(test_settle),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_admin),
		cmocka_unit_test(test_registration),
		cmocka_unit_test(test_registration_keys),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
