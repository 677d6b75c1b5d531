/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway over real sockets: the order of refusals, headers, and what goes
 * to the broker and back (PROTOCOL sections 1, 2, 5, 6 and 8).
 */
#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "common/hash.h"
#include "proto/lock.h"
#include "proto/query.h"
#include "proto/register.h"

static struct live l;

static int start(void **state)
{
	(void)state;
	live_start(&l, NULL, false);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	live_stop(&l);
	return 0;
}

/* Sends a request on a connection of its own and waits for the whole answer. */
static struct live_client ask(const char *method, const char *path, const char *headers, const char *body)
{
	struct buf b = { .p = NULL };
	struct live_client c;

	buf_fmt(&b, "%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s", method, path, headers);
	if (body)
		buf_fmt(&b, "Content-Length: %zu\r\n", strlen(body));
	buf_str(&b, "\r\n");
	if (body)
		buf_str(&b, body);
	live_connect(&l, &c, buf_slice(&b));
	buf_free(&b);
	return c;
}

static void answered(struct live_client *c, const char *first)
{
	live_expect_close(&l, c);
	if (!live_has(c, first))
		fail_msg("wanted \"%s\", got \"%.*s\"", first, (int)c->in.n, (const char *)c->in.p);
	assert_true(live_has(c, "\r\nx-request-id: "));
	assert_true(live_has(c, "\r\naccess-control-allow-origin: *\r\n"));
}

static void refused(const char *method, const char *path, const char *headers, const char *body,
		    const char *status, const char *text)
{
	struct live_client c = ask(method, path, headers, body);
	size_t before = l.n_got;

	answered(&c, status);
	if (!live_has(&c, text))
		fail_msg("wanted \"%s\", got \"%.*s\"", text, (int)c.in.n, (const char *)c.in.p);
	assert_true(live_has(&c, "\"request_id\":\""));
	assert_int_equal(l.n_got, before); /* the broker heard nothing */
	live_hang_up(&c);
}

#define CC "/v1/confidential/completions"
#define JSON "Content-Type: application/json\r\n"
#define TOKEN "Authorization: Bearer t\r\n"

static void order_of_refusals(void **state)
{
	(void)state;
	/* each row is wrong in everything that is checked later, too */
	refused("POST", "/v1/nothing", "", "x", "HTTP/1.1 404 ", "\"code\":\"NOT_FOUND\"");
	refused("GET", CC, "", NULL, "HTTP/1.1 405 ", "\r\nallow: POST, OPTIONS\r\n");
	refused("POST", "/health", "", "x", "HTTP/1.1 405 ", "\r\nallow: GET, HEAD, OPTIONS\r\n");
	refused("POST", CC, "Content-Type: text/plain\r\n", "x", "HTTP/1.1 401 ", "\"code\":\"AUTH_ERROR\"");
	refused("POST", CC, "Authorization: Basic YTpi\r\n", "x", "HTTP/1.1 401 ",
		"\r\nwww-authenticate: Bearer\r\n");
	refused("POST", CC, TOKEN, "x", "HTTP/1.1 415 ", "\"code\":\"UNSUPPORTED_MEDIA_TYPE\"");
	refused("POST", CC, TOKEN JSON, "x", "HTTP/1.1 400 ", "\"code\":\"INVALID_BODY\"");
	refused("POST", CC, "AUTHORIZATION: bEARER t\r\n" JSON, "{}", "HTTP/1.1 400 ",
		"\"param\":\"ciphertext\"");
	refused("POST", "/v1/nodes/lock", "", "x", "HTTP/1.1 401 ", "AUTH_ERROR");
	refused("POST", "/v1/nodes/lock", TOKEN JSON, "{\"model\":1}", "HTTP/1.1 400 ",
		"\"param\":\"model\"");
	refused("POST", "/v1/nodes", "", "x", "HTTP/1.1 415 ", "UNSUPPORTED_MEDIA_TYPE");
	refused("POST", "/v1/nodes", JSON, "{}", "HTTP/1.1 400 ", "\"param\":\"data\"");
	refused("GET", "/v1/models", "", NULL, "HTTP/1.1 401 ", "AUTH_ERROR");
	refused("GET", "/v1/models/demo", "", NULL, "HTTP/1.1 401 ", "AUTH_ERROR");
	refused("POST", "/v1/models/demo", "", "x", "HTTP/1.1 405 ", "\r\nallow: GET, HEAD, OPTIONS\r\n");
	refused("GET", "/v1/models/a%00b", TOKEN, NULL, "HTTP/1.1 404 ", "NOT_FOUND");
	refused("GET", "/v1/models/?model=demo", TOKEN, NULL, "HTTP/1.1 404 ", "NOT_FOUND");
	refused("GET", "/v1/nodes/07/attestation", "", NULL, "HTTP/1.1 404 ", "NOT_FOUND");
}

static void body_limits(void **state)
{
	static char big[1 << 18];

	(void)state;
	memset(big, ' ', sizeof(big) - 1);
	big[65537] = 0;
	refused("POST", "/v1/nodes/lock", JSON TOKEN, big, "HTTP/1.1 413 ", "BODY_TOO_LARGE");
	big[65537] = ' ';
	l.conf.max_body = 100000; /* smaller than what was read: the gateway's own check */
	refused("POST", CC, TOKEN JSON, big, "HTTP/1.1 413 ", "BODY_TOO_LARGE");
	refused("POST", CC, JSON, big, "HTTP/1.1 401 ", "AUTH_ERROR");
	refused("POST", CC, TOKEN, big, "HTTP/1.1 415 ", "UNSUPPORTED_MEDIA_TYPE");
}

static void small_limit(struct gw_conf *c)
{
	c->max_body = 4096;
}

static void twice_the_limit_is_read(void **state)
{
	static char big[8192];

	(void)state;
	live_stop(&l);
	live_start(&l, small_limit, false);
	memset(big, ' ', sizeof(big) - 1);
	big[8000] = 0;
	refused("POST", CC, TOKEN JSON, big, "HTTP/1.1 413 ", "BODY_TOO_LARGE");
}

static void streams_where_there_are_none(void **state)
{
	struct buf b = { .p = NULL };
	struct live_client c;

	(void)state;
	body_with(&b, "stream", "true");
	buf_add(&b, "", 1);
	refused("POST", "/v1/confidential/embeddings", TOKEN JSON, (const char *)b.p, "HTTP/1.1 400 ",
		"\"param\":\"stream\"");
	refused("POST", "/v1/confidential/images/generations", TOKEN JSON, (const char *)b.p, "HTTP/1.1 400 ",
		"\"param\":\"stream\"");
	buf_reset(&b);
	body_with(&b, "stream", "true");
	{
		struct buf r = { .p = NULL };

		buf_fmt(&r, "POST " CC " HTTP/1.0\r\nHost: a\r\n" TOKEN JSON "Content-Length: %zu\r\n\r\n",
			b.n);
		buf_add(&r, b.p, b.n);
		live_connect(&l, &c, buf_slice(&r));
		buf_free(&r);
	}
	answered(&c, " 400 ");
	assert_true(live_has(&c, "\"param\":\"stream\""));
	live_hang_up(&c);
	buf_free(&b);
}

static void request_ids(void **state)
{
	struct live_client c = ask("GET", "/health", "X-Request-Id: my \"id\"\r\n", NULL);

	(void)state;
	answered(&c, "HTTP/1.1 200 ");
	assert_false(live_has(&c, "my \"id\"")); /* a space is not visible */
	live_hang_up(&c);
	c = ask("GET", "/health", "X-Request-Id: my\"id\"\r\n", NULL);
	answered(&c, "HTTP/1.1 200 ");
	assert_true(live_has(&c, "\r\nx-request-id: my\"id\"\r\n"));
	live_hang_up(&c);
	refused("GET", "/nope", "X-Request-Id: my\"id\\\r\n", NULL, "HTTP/1.1 404 ",
		"\"request_id\":\"my\\\"id\\\\\"");
}

static void preflight(void **state)
{
	struct live_client c = ask("OPTIONS", CC,
				   "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"
				   "Access-Control-Request-Headers: authorization,x-a\r\n",
				   NULL);

	(void)state;
	answered(&c, "HTTP/1.1 204 ");
	assert_true(live_has(&c, "\r\naccess-control-allow-headers: authorization,x-a\r\n"));
	assert_true(live_has(&c, "\r\naccess-control-allow-methods: GET, POST, OPTIONS\r\n"));
	live_hang_up(&c);
	refused("OPTIONS", "/nope", "", NULL, "HTTP/1.1 404 ", "NOT_FOUND");
}

static void a_job_and_its_refusal(void **state)
{
	struct refuse r = { .error = ERR_KEY_ROTATED };
	struct buf b = { .p = NULL };
	struct live_client c;
	struct job job;
	uint8_t h[32];

	(void)state;
	live_post(&l, &c, "/v1/confidential/chat/completions", true, l.n_got, &job);
	hash(h, SLICE_STR("t"));
	assert_memory_equal(job.token_hash, h, sizeof(h));
	assert_int_equal(job.topic, l.hello.instance);
	assert_int_equal(job.endpoint, EP_CHAT);
	assert_int_equal(job.stack, 42);
	assert_true(job.stream);
	assert_int_equal(job.deadline_ms, 30000);
	memcpy(r.rid, job.rid, RID_BYTES);
	refuse_encode(&r, &b);
	live_say(&l, &b);
	live_expect(&l, &c, "HTTP/1.1 425 ");
	live_expect(&l, &c, "\"reason\":\"key_rotated\"");
	live_hang_up(&c);
}

static void refusals_of_the_broker(void **state)
{
	static const struct {
		enum err e;
		const char *param;
		uint32_t retry;
		const char *status, *text;
	} rows[] = {
		{ ERR_AUTH, "", 0, "HTTP/1.1 401 ", "www-authenticate: Bearer" },
		{ ERR_BALANCE, "", 0, "HTTP/1.1 402 ", "BALANCE_ERROR" },
		{ ERR_NOT_FOUND, "", 0, "HTTP/1.1 404 ", "NOT_FOUND" },
		{ ERR_LOCKED, "", 0, "HTTP/1.1 423 ", "LOCKED" },
		{ ERR_RATE, "", 9, "HTTP/1.1 429 ", "\r\nretry-after: 9\r\n" },
		{ ERR_NO_WORKER, "", 0, "HTTP/1.1 503 ", "\r\nretry-after: 1\r\n" },
		{ ERR_BODY, "num_compute_units", 0, "HTTP/1.1 400 ", "\"param\":\"num_compute_units\"" },
		{ ERR_IO, "", 0, "HTTP/1.1 500 ", "INTERNAL_ERROR" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct refuse r = { .error = rows[i].e, .retry_after_s = rows[i].retry };
		struct buf b = { .p = NULL };
		struct live_client c;
		struct job job;

		live_post(&l, &c, CC, false, l.n_got, &job);
		memcpy(r.rid, job.rid, RID_BYTES);
		r.param = slice_str(rows[i].param);
		refuse_encode(&r, &b);
		live_say(&l, &b);
		live_expect(&l, &c, rows[i].status);
		live_expect(&l, &c, rows[i].text);
		live_hang_up(&c);
	}
}

static void a_lock(void **state)
{
	struct live_client c = ask("POST", "/v1/nodes/lock", TOKEN JSON,
				   "{\"model\":\"demo\",\"max_num_tokens\":100,\"timeout\":600}");
	const struct live_got *g = live_message(&l, l.n_got, MSG_LOCK);
	struct locked m = { .node = 7, .stack = 9 };
	struct buf b = { .p = NULL };
	struct lock_ask ask_m;
	uint8_t key[32] = { 1 };

	(void)state;
	assert_int_equal(lock_ask_decode(buf_slice(&g->head), &ask_m), ERR_OK);
	assert_true(slice_is(ask_m.model, "demo"));
	assert_int_equal(ask_m.units, 100);
	assert_int_equal(ask_m.timeout_s, 600);
	memcpy(m.rid, ask_m.rid, RID_BYTES);
	m.sign_key = slice_of(key, sizeof(key));
	locked_encode(&m, &b);
	live_say(&l, &b);
	answered(&c, "HTTP/1.1 200 ");
	assert_true(live_has(&c, "\"node_small_id\":7,\"stack_small_id\":9,\"stack_entry_digest\":null"));
	live_hang_up(&c);
}

#define S33 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void a_registration(void **state)
{
	struct live_client c =
		ask("POST", "/v1/nodes", JSON,
		    "{\"data\":{\"node_small_id\":7,\"public_address\":\"http://n\",\"country\":\"CH\"},"
		    "\"signature\":\"" S33 S33 S33 S33 "\"}");
	const struct live_got *g = live_message(&l, l.n_got, MSG_REGISTER);
	struct registration_msg m;
	struct answer a = { .body = { NULL, 0 } };
	struct buf b = { .p = NULL };

	(void)state;
	assert_int_equal(register_decode(buf_slice(&g->head), &m), ERR_OK);
	assert_int_equal(m.node, 7);
	memcpy(a.rid, m.rid, RID_BYTES);
	answer_encode(&a, &b);
	live_say(&l, &b);
	answered(&c, "HTTP/1.1 200 ");
	assert_true(live_has(&c, "\r\n\r\n{\"message\":\"Success\"}"));
	live_hang_up(&c);
}

static void queries(void **state)
{
	static const struct {
		const char *path, *headers;
		enum query_kind kind;
		uint64_t number;
		const char *model;
	} rows[] = {
		{ "/v1/models", TOKEN, QUERY_MODELS, 0, "" },
		{ "/v1/models/a/b%2Fc%0a?x/y", TOKEN, QUERY_MODEL, 0, "a/b/c\n" },
		{ "/v1/models/%2e%2e/models", TOKEN, QUERY_MODEL, 0, "../models" },
		{ "/v1/nodes/4711/attestation", "", QUERY_ATTESTATION, 4711, "" },
		{ "/v1/open_router/models", "", QUERY_OPEN_ROUTER, 0, "" },
		{ "/v1/open_router/models", TOKEN, QUERY_OPEN_ROUTER, 0,
		  "" }, /* it asks for none and passes none on */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct live_client c = ask("GET", rows[i].path, rows[i].headers, NULL);
		const struct live_got *g = live_message(&l, l.n_got, MSG_QUERY);
		struct answer a = { .body = SLICE_STR("{\"data\":[]}") };
		struct buf b = { .p = NULL };
		struct query q;

		assert_int_equal(query_decode(buf_slice(&g->head), &q), ERR_OK);
		assert_int_equal(q.kind, rows[i].kind);
		assert_int_equal(q.number, rows[i].number);
		assert_int_equal(q.has_token, i <= 2);
		assert_true(slice_is(q.model, rows[i].model));
		memcpy(a.rid, q.rid, RID_BYTES);
		answer_encode(&a, &b);
		live_say(&l, &b);
		answered(&c, "HTTP/1.1 200 ");
		assert_true(live_has(&c, "\r\n\r\n{\"data\":[]}"));
		live_hang_up(&c);
	}
}

static void ten_bytes(struct gw_conf *c)
{
	c->answer_budget = 10;
}

/* What clients may leave waiting is bounded: an answer that does not fit is 503. */
static void answers_over_the_budget(void **state)
{
	static const char *const bodies[] = { "{\"data\":1}", "{\"data\":12}" };

	(void)state;
	live_stop(&l);
	live_start(&l, ten_bytes, false);
	for (size_t i = 0; i < 2; i++) {
		struct live_client c = ask("GET", "/v1/open_router/models", "", NULL);
		const struct live_got *g = live_message(&l, l.n_got, MSG_QUERY);
		struct answer a = { .body = slice_str(bodies[i]) };
		struct buf b = { .p = NULL };
		struct query q;

		assert_int_equal(query_decode(buf_slice(&g->head), &q), ERR_OK);
		memcpy(a.rid, q.rid, RID_BYTES);
		answer_encode(&a, &b);
		live_say(&l, &b);
		answered(&c, i ? "HTTP/1.1 503 " : "HTTP/1.1 200 ");
		assert_int_equal(live_has(&c, bodies[i]), i == 0);
		live_hang_up(&c);
	}
}

/* A reply of another kind, a second one and noise change nothing. */
static void wrong_replies(void **state)
{
	struct live_client c;
	struct locked m = { .node = 7 };
	struct answer a = { .body = SLICE_STR("{}") };
	struct refuse r = { .error = ERR_BALANCE };
	struct buf b = { .p = NULL };
	struct job job;
	uint8_t key[32] = { 1 };

	(void)state;
	live_post(&l, &c, CC, false, l.n_got, &job);
	memcpy(m.rid, job.rid, RID_BYTES);
	memcpy(a.rid, job.rid, RID_BYTES);
	memcpy(r.rid, job.rid, RID_BYTES);
	m.sign_key = slice_of(key, sizeof(key));
	locked_encode(&m, &b);
	live_say(&l, &b);
	b = (struct buf){ .p = NULL };
	answer_encode(&a, &b);
	live_say(&l, &b);
	b = (struct buf){ .p = NULL };
	buf_str(&b, "noise");
	live_say(&l, &b);
	live_for(&l, 30);
	assert_false(live_has(&c, "HTTP/1.1"));
	for (int i = 0; i < 2; i++) {
		b = (struct buf){ .p = NULL };
		refuse_encode(&r, &b);
		live_say(&l, &b);
	}
	live_expect(&l, &c, "HTTP/1.1 402 ");
	live_hang_up(&c);
}

static void one_at_a_time(struct gw_conf *c)
{
	c->max_inflight = 1;
	c->control_ms = 150;
}

static void limits_of_requests(void **state)
{
	struct live_client c, d;
	struct job job;

	(void)state;
	live_stop(&l);
	live_start(&l, one_at_a_time, false);
	live_post(&l, &c, CC, false, 0, &job);
	refused("POST", "/v1/nodes/lock", TOKEN JSON, "{\"model\":\"demo\"}", "HTTP/1.1 503 ",
		"\r\nretry-after: 1\r\n");
	live_hang_up(&c);
	live_message(&l, 1, MSG_CANCEL); /* its place is free again */
	d = ask("GET", "/v1/models", TOKEN, NULL);
	answered(&d, "HTTP/1.1 503 "); /* a broker that does not answer in time */
	assert_int_equal(l.n_got, 3);
	live_hang_up(&d);
}

static bool pinged(void *arg)
{
	struct live *x = arg;

	return x->pings > 3;
}

static void small_window(struct gw_conf *c)
{
	c->max_body = 70 << 10;
	c->body_budget = 150 << 10;
}

/* A broker that is there but does not read must not make us queue without end. */
static void a_broker_that_does_not_read(void **state)
{
	struct buf text = { .p = NULL }, body = { .p = NULL }, b = { .p = NULL };
	struct live_client c[3];

	(void)state;
	live_stop(&l);
	live_interval_ms = 20000; /* no PING and no verdict of its own within this test */
	live_start(&l, small_window, false);
	live_interval_ms = 150;
	buf_str(&text, "\"");
	for (int i = 0; i < 15000; i++)
		buf_str(&text, "AAAA");
	buf_add(&text, "\"", 2); /* and a NUL */
	body_with(&body, "ciphertext", (const char *)text.p);
	buf_add(&body, "", 1);
	l.mute = true;
	for (int i = 0; i < 2; i++) {
		c[i] = ask("POST", CC, TOKEN JSON, (const char *)body.p);
		live_message(&l, (size_t)i, MSG_JOB);
	}
	refused("POST", CC, TOKEN JSON, (const char *)body.p, "HTTP/1.1 503 ", "\r\nretry-after: 1\r\n");
	assert_true(thread_up(l.gw));
	assert_true(l.pings >= 1); /* asked early, because so much is open */
	pong_encode(&(struct ping){ .instance = l.instance, .epoch = l.epoch }, &b);
	live_say(&l, &b);
	c[2] = ask("GET", "/v1/models", TOKEN, NULL); /* behind the PONG */
	live_message(&l, 2, MSG_QUERY);
	live_hang_up(&c[2]);
	c[2] = ask("POST", CC, TOKEN JSON, (const char *)body.p);
	live_message(&l, 3, MSG_JOB);
	for (int i = 0; i < 3; i++)
		live_hang_up(&c[i]);
	buf_free(&text);
	buf_free(&body);
}

static void health_follows_the_broker(void **state)
{
	struct live_client c = ask("GET", "/health", "", NULL);

	(void)state;
	answered(&c, "HTTP/1.1 200 ");
	assert_true(live_has(&c, "\r\n\r\n{\"message\":\"ok\"}"));
	live_hang_up(&c);
	live_until(&l, pinged, &l);
	live_broker_down(&l);
	live_linked(&l, false);
	refused("GET", "/health", "", NULL, "HTTP/1.1 503 ", "\r\nretry-after: 1\r\n");
	c = ask("GET", "/openapi.json", "", NULL); /* no broker is needed for what it would say */
	answered(&c, "HTTP/1.1 200 ");
	assert_true(live_has(&c, "\r\n\r\n{\"openapi\":\"3.1.0\""));
	live_hang_up(&c);
	{
		struct buf b = { .p = NULL };

		body_with(&b, NULL, NULL);
		buf_add(&b, "", 1);
		refused("POST", CC, TOKEN JSON, (const char *)b.p, "HTTP/1.1 503 ", "\r\nretry-after: 1\r\n");
		buf_free(&b);
	}
	live_broker_up(&l);
	live_linked(&l, true);
	c = ask("GET", "/health", "", NULL);
	answered(&c, "HTTP/1.1 200 ");
	live_hang_up(&c);
}

/* A broker that is back within an interval is noticed by the PONG that is missing. */
static bool welcomed_again(void *arg)
{
	struct live *x = arg;

	return x->hellos > 0;
}

static void a_quick_restart(void **state)
{
	(void)state;
	live_until(&l, pinged, &l);
	live_broker_down(&l);
	live_broker_up(&l);
	l.hellos = 0;
	live_until(&l, welcomed_again, &l);
	live_linked(&l, true);
}

/* As after a connection that broke; what is under way goes on if the WELCOME says so. */
static void not_known_any_more(void **state)
{
	(void)state;
	live_until(&l, pinged, &l);
	l.stranger = true;
	l.hellos = 0;
	live_until(&l, welcomed_again, &l);
	assert_true(thread_up(l.gw));
	live_linked(&l, false); /* no WELCOME came: as good as silent */
	l.stranger = false;
	live_linked(&l, true);
}

static int start_slowly(void **state)
{
	live_interval_ms = 400;
	start(state);
	live_interval_ms = 150;
	return 0;
}

/* It need not wait for another PING to see that the PONG before is missing. */
static void not_known_is_said_hello_to_at_once(void **state)
{
	(void)state;
	live_until(&l, pinged, &l);
	l.stranger = true;
	l.pings = l.hellos = 0;
	live_until(&l, welcomed_again, &l);
	assert_int_equal(l.pings, 1);
}

static void two_brokers(struct gw_conf *c)
{
	char both[400];

	snprintf(both, sizeof(both), "ipc:///nowhere/bus  %s", c->brokers);
	free(c->brokers);
	c->brokers = mem_strndup(both, strlen(both));
}

static void the_next_endpoint(void **state)
{
	(void)state;
	live_stop(&l);
	live_start(&l, two_brokers, true); /* waits until it is welcomed */
	assert_true(thread_up(l.gw));
}

/* Answers to HELLO of other versions: a WELCOME of 2026-11-22, which has no member, and one of the next. */
static const struct slice foreign_welcomes[] = {
	SLICE_STR("\x96\x02\x02\xc0\x07\xcd\x01\x2c\x28"),
	SLICE_STR("\x98\x03\x02\xc0\x07\xcd\x01\x2c\x28\x01\x01"),
};

static void a_foreign_broker(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		live_broker_down(&l);
		l.foreign = foreign_welcomes[i];
		live_broker_up(&l);
		live_linked(&l, false);
		l.hellos = 0;
		live_until(&l, welcomed_again, &l);
		live_for(&l, 50);
		refused("GET", "/health", "", NULL, "HTTP/1.1 503 ", "\r\nretry-after: 1\r\n");
		l.foreign = (struct slice){ 0 };
		live_linked(&l, true);
	}
}

static void and_another(struct gw_conf *c)
{
	char both[400];

	snprintf(both, sizeof(both), "%s ipc:///nowhere/bus", c->brokers);
	free(c->brokers);
	c->brokers = mem_strndup(both, strlen(both));
}

static bool turned_away(void *arg)
{
	struct live *x = arg;
	unsigned before = x->hellos;

	live_for(x, 250); /* more than two HELLOs */
	return x->hellos == before;
}

/* Its answers do not keep a gateway from trying another. */
static void a_foreign_broker_and_another(void **state)
{
	bool turned = false;

	(void)state;
	live_stop(&l);
	live_start(&l, and_another, true);
	live_broker_down(&l);
	l.foreign = foreign_welcomes[0];
	live_broker_up(&l);
	for (int i = 0; i < 20 && !turned; i++)
		turned = turned_away(&l);
	assert_true(turned);
	l.foreign = (struct slice){ 0 };
}

static bool bye(void *arg)
{
	struct live *x = arg;

	return x->byes > 0;
}

static void draining(void **state)
{
	struct refuse r = { .error = ERR_BALANCE };
	struct buf b = { .p = NULL };
	struct live_client c;
	struct job job;

	(void)state;
	live_post(&l, &c, CC, false, 0, &job);
	thread_drain(l.gw);
	live_for(&l, 200);
	assert_true(l.draining); /* the broker knows */
	assert_int_equal(l.byes, 0);
	assert_false(atomic_load(&l.ended)); /* what runs may finish */
	memcpy(r.rid, job.rid, RID_BYTES);
	refuse_encode(&r, &b);
	live_say(&l, &b);
	live_expect(&l, &c, "HTTP/1.1 402 ");
	live_until(&l, bye, &l);
	live_hang_up(&c);
	live_ended(&l);
	thread_drain(l.gw); /* late ones find nobody */
	thread_cut(l.gw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
		T(order_of_refusals),
		T(body_limits),
		T(twice_the_limit_is_read),
		T(streams_where_there_are_none),
		T(request_ids),
		T(preflight),
		T(a_job_and_its_refusal),
		T(refusals_of_the_broker),
		T(a_lock),
		T(a_registration),
		T(queries),
		T(answers_over_the_budget),
		T(wrong_replies),
		T(limits_of_requests),
		T(a_broker_that_does_not_read),
		T(health_follows_the_broker),
		T(a_quick_restart),
		T(not_known_any_more),
		cmocka_unit_test_setup_teardown(not_known_is_said_hello_to_at_once, start_slowly, stop),
		T(the_next_endpoint),
		T(a_foreign_broker),
		T(a_foreign_broker_and_another),
		T(draining),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
