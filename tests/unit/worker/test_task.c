/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests from WORK to SETTLE, with a scripted node on TCP and a gateway on a
 * real XSUB socket: what the client gets, what the broker is told, and what the
 * node is asked, for every way an answer can go.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/b64.h"
#include "tests/unit/net/fake_server.h"
#include "tests/unit/worker/node_side.h"
#include "worker/task.h"

#define TOPIC 77
#define PATIENCE_MS 8000
#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
#define LAST "0\r\n\r\n"

/* What the gateway got of one request. */
struct got {
	unsigned heads, datas, seq;
	uint64_t length;
	struct buf body;
	bool ended;
	enum err error;
	uint32_t retry_after;
};

struct side {
	uv_loop_t uv;
	char dir[64];
	struct zctx *zctx;
	struct zsock *gateway;
	struct worker_conf conf;
	struct headers_keys keys;
	struct upstream *up;
	struct publish *pub;
	struct receipts *receipts;
	struct settle_book *settles;
	struct tasks *tasks;
	struct fake_server *server;
	struct node_side node;
	struct work w;
	char address[64];
	bool allow;

	struct got got;
	bool auto_credit;
	bool heard;

	/* messages to the broker */
	bool broker_gone;
	unsigned posted, returned, inflight, settled;
	enum err return_error;
	bool is_settled;
	struct settle settle;
	struct buf settle_bytes;

	/* the node */
	unsigned posts, stops, fetches;
	struct fake_conn *conn;
	struct buf post, stop;
	bool has_conn, has_stop;
	const char *reply; /* to the POST, or NULL: the test speaks */
	bool has_receipt;  /* /v1/receipts answers */
	bool conn_gone;
};

/* --- broker --- */

static enum err on_send(void *arg, unsigned to, struct slice bytes)
{
	struct side *s = arg;
	struct work_return ret;
	enum msg_type type;

	assert_int_equal(to, 2);
	if (s->broker_gone)
		return ERR_AGAIN;
	assert_int_equal(msg_peek(bytes, &type), ERR_OK);
	switch (type) {
	case MSG_POSTED:
		assert_int_equal(s->posts, 0); /* said before the first byte goes to the node */
		s->posted++;
		break;
	case MSG_RETURN:
		assert_int_equal(return_decode(bytes, &ret), ERR_OK);
		s->return_error = ret.error;
		s->returned++;
		break;
	case MSG_INFLIGHT:
		s->inflight++;
		break;
	default:
		fail_msg("unexpected %s", msg_name(type));
	}
	return ERR_OK;
}

static void on_settle(void *arg, unsigned to, struct slice bytes)
{
	struct side *s = arg;

	assert_int_equal(to, 2);
	buf_reset(&s->settle_bytes);
	buf_add(&s->settle_bytes, bytes.p, bytes.n);
	assert_int_equal(settle_decode(buf_slice(&s->settle_bytes), &s->settle), ERR_OK);
	assert_memory_equal(s->settle.rid, s->w.rid, RID_BYTES);
	s->settled++;
	s->is_settled = true;
}

/* --- gateway --- */

static void grant(struct side *s, uint32_t bytes)
{
	struct credit c = { .attempt = s->w.attempt, .bytes = bytes };
	struct buf b = { 0 };
	struct zmsg m;

	memcpy(c.rid, s->w.rid, RID_BYTES);
	buf_add(&b, (const uint8_t[]){ CREDIT_MARK }, 1);
	credit_encode(&c, &b);
	zmsg_copy_init(&m, buf_slice(&b));
	assert_int_equal(zsock_send(s->gateway, &m, 1), ERR_OK);
	buf_free(&b);
}

static void cancel_from_gateway(struct side *s)
{
	struct cancel c = { .attempt = s->w.attempt };
	struct buf b = { 0 };
	struct zmsg m;

	memcpy(c.rid, s->w.rid, RID_BYTES);
	buf_add(&b, (const uint8_t[]){ CREDIT_MARK }, 1);
	cancel_encode(&c, &b);
	zmsg_copy_init(&m, buf_slice(&b));
	assert_int_equal(zsock_send(s->gateway, &m, 1), ERR_OK);
	buf_free(&b);
}

static void take_chunk(struct side *s, const struct chunk *c)
{
	struct got *g = &s->got;

	assert_false(g->ended);
	assert_int_equal(c->seq, g->seq++);
	assert_int_equal(c->topic, TOPIC);
	assert_memory_equal(c->rid, s->w.rid, RID_BYTES);
	assert_int_equal(c->epoch, s->w.epoch);
	assert_int_equal(c->attempt, s->w.attempt);
	assert_int_equal(c->worker, 4711);
	switch (c->kind) {
	case CHUNK_HEAD:
		assert_int_equal(c->seq, 0);
		g->heads++;
		g->length = c->length;
		break;
	case CHUNK_DATA:
		assert_int_equal(g->heads, 1);
		assert_true(c->payload.n > 0 && c->payload.n <= CHUNK_BYTES_MAX);
		g->datas++;
		buf_add(&g->body, c->payload.p, c->payload.n);
		if (s->auto_credit)
			grant(s, (uint32_t)c->payload.n);
		break;
	default:
		g->ended = true;
		g->error = c->kind == CHUNK_ERROR ? c->error : ERR_OK;
		g->retry_after = c->retry_after_s;
	}
}

static void on_published(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct chunk c;

	(void)z;
	assert_int_equal(n, 1);
	assert_int_equal(chunk_decode(zmsg_slice(&parts[0]), &c), ERR_OK);
	take_chunk(arg, &c);
}

/* --- events of publish --- */

static void on_heard(void *arg, uint64_t topic, bool present)
{
	struct side *s = arg;

	assert_int_equal(topic, TOPIC);
	s->heard = present;
}

static void on_credit(void *arg, const struct credit *m)
{
	tasks_credit(((struct side *)arg)->tasks, m);
}

static void on_cancel(void *arg, const struct cancel *m)
{
	tasks_gateway_cancel(((struct side *)arg)->tasks, m);
}

static void on_room(void *arg, uint64_t topic)
{
	tasks_room(((struct side *)arg)->tasks, topic);
}

static void on_lost(void *arg, uint64_t topic)
{
	tasks_lost(((struct side *)arg)->tasks, topic);
}

/* --- node --- */

static void answer_receipt(struct side *s, struct fake_conn *c)
{
	struct buf json = { 0 }, all = { 0 };

	if (!s->has_receipt) {
		fake_say(c, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
		return;
	}
	node_side_receipt_json(&s->node, &json);
	buf_fmt(&all, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		json.n);
	buf_add(&all, json.p, json.n);
	fake_say_bytes(c, buf_slice(&all));
	buf_free(&json);
	buf_free(&all);
}

static bool starts(struct slice s, const char *with)
{
	return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	struct side *s = arg;

	if (starts(request, "POST /v1/confidential/chat/completions ")) {
		s->posts++;
		s->conn = c;
		s->has_conn = true;
		buf_reset(&s->post);
		buf_add(&s->post, request.p, request.n);
		if (s->reply)
			fake_say(c, s->reply);
	} else if (starts(request, "POST /v1/stop-streamer ")) {
		s->stops++;
		s->has_stop = true;
		buf_reset(&s->stop);
		buf_add(&s->stop, request.p, request.n);
		fake_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	} else if (starts(request, "GET /v1/receipts/cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd ")) {
		s->fetches++;
		answer_receipt(s, c);
	} else {
		fail_msg("unexpected request");
	}
}

static void on_gone(void *arg, struct fake_conn *c)
{
	struct side *s = arg;

	if (c == s->conn)
		s->conn_gone = true;
}

/* --- set-up --- */

static bool allow_address(void *arg, const struct sockaddr *sa)
{
	(void)sa;
	return ((struct side *)arg)->allow;
}

static void open_publish(struct side *s, const char *endpoint)
{
	struct publish_opts o = { .zctx = s->zctx,
				  .uv = &s->uv,
				  .bind = endpoint,
				  .queue_max = 1 << 20,
				  .grace_ms = 300,
				  .ev = { on_heard, on_credit, on_cancel, on_room, on_lost, s } };
	struct peer peer = { .topic = TOPIC, .present = true };

	assert_int_equal(publish_open(&o, &s->pub), ERR_OK);
	assert_int_equal(publish_peer(s->pub, 2, &peer), ERR_OK);
}

static void open_gateway(struct side *s, const char *endpoint)
{
	struct zsock_opts o = { .type = ZSOCK_XSUB, .on_msg = on_published, .arg = s };
	uint8_t sub[9] = { 1 };
	struct zmsg m;

	s->gateway = zsock_open(s->zctx, &s->uv, &o);
	assert_int_equal(zsock_connect(s->gateway, endpoint, false), ERR_OK);
	put_be64(sub + 1, TOPIC);
	zmsg_copy_init(&m, slice_of(sub, sizeof(sub)));
	assert_int_equal(zsock_send(s->gateway, &m, 1), ERR_OK);
	assert_true(fake_run(&s->uv, &s->heard, PATIENCE_MS));
}

static void make_conf(struct side *s)
{
	s->conf.capacity = 2;
	s->conf.connect_s = s->conf.first_byte_s = s->conf.gap_s = 2;
	s->conf.stream_s = 20;
	s->conf.stop_s = 1;
	s->conf.max_event = 200000;
	s->conf.max_answer = 300000;
	s->conf.answer_budget = 400000;
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	static const uint8_t a[32] = { 0xa }, b[32] = { 0xb };
	struct fake_events ev = { on_request, on_gone, s };
	struct upstream_opts up = { .ca_file = "", .allow_address = allow_address, .arg = s };
	struct receipts_opts ro = { .uv = &s->uv, .keys = &s->keys, .connect_ms = 1000, .pace_ms = 4 };
	struct tasks_opts to = {
		.uv = &s->uv, .conf = &s->conf, .instance = 4711, .keys = &s->keys, .send = on_send, .arg = s
	};
	char endpoint[96];

	uv_loop_init(&s->uv);
	make_conf(s);
	s->allow = s->auto_credit = true;
	s->keys.request = sign_key_new(a);
	s->keys.auth = sign_key_new(b);
	snprintf(s->dir, sizeof(s->dir), "/tmp/sealway-task-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(endpoint, sizeof(endpoint), "ipc://%s/pub", s->dir);
	s->zctx = zctx_new();
	open_publish(s, endpoint);
	to.publish = s->pub;
	to.upstream = ro.upstream = s->up = upstream_new(&s->uv, &up);
	to.receipts = s->receipts = receipts_new(&ro);
	to.settles = s->settles = settle_book_new(&s->uv, on_settle, s);
	s->tasks = tasks_new(&to);
	s->server = fake_open(&s->uv, &ev);
	node_side_init(&s->node, 1);
	s->w = node_side_work(&s->node, 0xcd, true);
	snprintf(s->address, sizeof(s->address), "http://127.0.0.1:%u", fake_port(s->server));
	s->w.address = slice_str(s->address);
	open_gateway(s, endpoint);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;
	char path[96];

	zsock_close(s->gateway);
	tasks_free(s->tasks);
	settle_book_free(s->settles);
	receipts_free(s->receipts);
	upstream_free(s->up);
	publish_close(s->pub);
	fake_close(s->server);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	zctx_free(s->zctx);
	sign_key_free(s->keys.request);
	sign_key_free(s->keys.auth);
	node_side_fini(&s->node);
	buf_free(&s->got.body);
	buf_free(&s->post);
	buf_free(&s->stop);
	buf_free(&s->settle_bytes);
	snprintf(path, sizeof(path), "%s/pub", s->dir);
	unlink(path);
	rmdir(s->dir);
	free(s);
	return 0;
}

/* --- driving --- */

static void work(struct side *s)
{
	struct zmsg body;

	zmsg_copy_init(&body, SLICE_STR("{\"sealed\":\"body\"}"));
	tasks_work(s->tasks, 2, &s->w, &body);
	zmsg_close(&body);
}

/* Sends the work and waits until the node has it. */
static void post(struct side *s)
{
	work(s);
	assert_true(fake_run(&s->uv, &s->has_conn, PATIENCE_MS));
}

static void wait_end(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->got.ended, PATIENCE_MS));
}

static void wait_settled(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->is_settled, PATIENCE_MS));
	fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->settled, 1);
}

static void pass(struct side *s)
{
	fake_run(&s->uv, NULL, 50);
}

/* One event of the stream as its own packet; sealed: the last, with the receipt. */
static void event(struct side *s, const char *extra, bool sealed, struct buf *want)
{
	struct buf b = { 0 };

	buf_str(&b, "data: ");
	node_side_object(&s->node, extra, sealed, NULL, &b);
	buf_str(&b, "\n\n");
	fake_chunk(s->conn, buf_slice(&b));
	if (want)
		buf_add(want, b.p, b.n);
	buf_free(&b);
}

static void last_event(struct side *s, uint8_t outcome, struct buf *want)
{
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, outcome);
	event(s, "", true, want);
}

static void assert_got(struct side *s, struct buf *want)
{
	assert_int_equal(s->got.body.n, want->n);
	assert_memory_equal(s->got.body.p, want->p, want->n);
	buf_free(want);
}

static void assert_settled_by_receipt(struct side *s, enum settle_outcome outcome, bool transcript)
{
	uint8_t raw[RECEIPT_BYTES], h[HASH_BYTES];

	wait_settled(s);
	receipt_encode(&s->node.receipt, raw);
	assert_int_equal(s->settle.outcome, outcome);
	assert_true(slice_eq(s->settle.receipt, slice_of(raw, sizeof(raw))));
	assert_int_equal(s->settle.signature.n, SIGN_B64);
	assert_int_equal(s->settle.transcript.n, transcript ? HASH_BYTES : 0);
	hash_peek(s->node.transcript, h);
	if (transcript)
		assert_memory_equal(s->settle.transcript.p, h, sizeof(h));
}

static void assert_settled_without(struct side *s, enum settle_outcome outcome, enum err error)
{
	wait_settled(s);
	assert_int_equal(s->settle.outcome, outcome);
	assert_int_equal(s->settle.error, error);
	assert_int_equal(s->settle.receipt.n, 0);
	assert_int_equal(s->settle.transcript.n, 0);
}

/* --- answers that are as they should be --- */

static void test_stream(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };
	struct settled done = { .attempt = 1 };

	post(s);
	assert_int_equal(s->posted, 1);
	assert_true(slice_is(fake_body(buf_slice(&s->post)), "{\"sealed\":\"body\"}"));
	assert_true(slice_is(fake_header(buf_slice(&s->post), "X-Request-Id"),
			     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"));
	assert_true(fake_header(buf_slice(&s->post), "X-Sealway-Auth").n > 0);
	fake_say(s->conn, SSE_HEAD);
	pass(s);
	assert_int_equal(s->got.heads, 1); /* at once, before any chunk */
	assert_int_equal(s->got.length, 0);
	event(s, "", false, &want);
	pass(s);
	assert_int_equal(s->got.body.n, want.n); /* each as it comes */
	event(s, "", false, &want);
	last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_settled_by_receipt(s, SETTLE_COMPLETE, true);
	assert_int_equal(s->settle.error, ERR_OK);
	assert_int_equal(s->settle.chunks, 3);
	assert_int_equal(s->settle.bytes, want.n);
	assert_got(s, &want);
	memcpy(done.rid, s->w.rid, RID_BYTES);
	assert_true(settle_done(s->settles, &done));
	assert_int_equal(s->fetches + s->stops, 0);
}

/* The same bytes one by one, with CRLF, comments and other fields between. */
static void test_stream_bytewise(void **state)
{
	struct side *s = *state;
	struct buf json = { 0 }, want = { 0 }, wire = { 0 };

	node_side_object(&s->node, ",\"usage\":{\"prompt_tokens\":1}", false, NULL, &json);
	buf_str(&wire, ": hello\r\n\r\nid: 1\r\ndata: ");
	buf_add(&wire, json.p, json.n);
	buf_str(&wire, "\r\n\r\n:\r\rretry: 5\r\r");
	post(s);
	fake_say(s->conn, SSE_HEAD);
	for (size_t i = 0; i < wire.n; i++) {
		fake_chunk(s->conn, slice_of(wire.p + i, 1));
		if (i % 50 == 0)
			fake_run(&s->uv, NULL, 1);
	}
	pass(s);
	assert_true(starts(buf_slice(&s->got.body), "data: {\"ciphertext\":"));
	assert_non_null(memmem(s->got.body.p, s->got.body.n, "\"usage\":{\"prompt_tokens\":1,", 27));
	assert_memory_equal(s->got.body.p + s->got.body.n - 2, "\n\n", 2);
	buf_reset(&s->got.body);
	last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_settled_by_receipt(s, SETTLE_COMPLETE, true);
	assert_got(s, &want);
	buf_free(&json);
	buf_free(&wire);
}

/* Many events in one packet travel in one frame. */
static void test_coalesced(void **state)
{
	struct side *s = *state;
	struct buf all = { 0 };

	post(s);
	fake_say(s->conn, SSE_HEAD);
	for (int i = 0; i < 20; i++) {
		buf_str(&all, "data: ");
		node_side_object(&s->node, "", false, NULL, &all);
		buf_str(&all, "\n\n");
	}
	pass(s);
	fake_chunk(s->conn, buf_slice(&all));
	pass(s);
	assert_int_equal(s->got.body.n, all.n);
	assert_in_range(s->got.datas, 1, 3);
	buf_free(&all);
}

static void whole(struct side *s, struct buf *json)
{
	s->w.stream = false;
	post(s);
	fake_say(s->conn, JSON_HEAD);
	pass(s);
	assert_int_equal(s->got.heads, 0); /* it could still be wrong */
	fake_chunk(s->conn, slice_of(json->p, 10));
	pass(s);
	fake_chunk(s->conn, slice_of(json->p + 10, json->n - 10));
	fake_say(s->conn, LAST);
	wait_end(s);
}

static void test_whole(void **state)
{
	struct side *s = *state;
	struct buf json = { 0 };

	s->w.stream = false;
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, 0);
	node_side_object(&s->node, "", true, NULL, &json);
	whole(s, &json);
	assert_int_equal(s->got.error, ERR_OK);
	assert_int_equal(s->got.heads, 1);
	assert_int_equal(s->got.length, json.n);
	assert_settled_by_receipt(s, SETTLE_COMPLETE, true);
	assert_got(s, &json);
}

static void test_whole_without_receipt(void **state)
{
	struct side *s = *state;
	struct buf json = { 0 };

	node_side_object(&s->node, "", false, NULL, &json);
	whole(s, &json);
	assert_int_equal(s->got.heads, 0);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_int_equal(s->got.body.n, 0);
	assert_settled_without(s, SETTLE_LOST, ERR_NODE);
	assert_int_equal(s->fetches, 4);
	buf_free(&json);
}

static void test_whole_too_long(void **state)
{
	struct side *s = *state;
	struct buf junk = { 0 };

	for (int i = 0; i < 30001; i++)
		buf_str(&junk, "0123456789");
	s->w.stream = false;
	s->has_receipt = true;
	node_side_receipt(&s->node, &s->w, 1);
	post(s);
	fake_say(s->conn, JSON_HEAD);
	fake_chunk(s->conn, buf_slice(&junk));
	wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_int_equal(s->got.heads, 0);
	assert_true(fake_run(&s->uv, &s->conn_gone, PATIENCE_MS));
	assert_settled_by_receipt(s, SETTLE_STOPPED, false);
	buf_free(&junk);
}

/* --- refusals and failures before the 200 --- */

static void test_statuses(void **state)
{
	static const struct {
		const char *reply;
		enum err want;
		uint32_t retry_after;
	} rows[] = {
		{ "400 Bad", ERR_BODY, 0 },
		{ "401 No", ERR_NODE, 0 },
		{ "403 No", ERR_NODE, 0 },
		{ "404 No", ERR_NODE, 0 },
		{ "302 Found\r\nLocation: /x", ERR_NODE, 0 },
		{ "423 Locked", ERR_LOCKED, 0 },
		{ "425 Early", ERR_UNITS, 0 },
		{ "429 Many", ERR_RATE, 5 },
		{ "500 Oops", ERR_NODE, 0 },
		{ "503 Busy", ERR_UNAVAILABLE, 1 },
		{ "501 No", ERR_NODE, 0 },
		{ "201 Created", ERR_NODE, 0 },
	};
	struct side *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char reply[256];

		snprintf(reply, sizeof(reply), "HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}", rows[i].reply);
		s->reply = reply;
		s->posts = 0;
		s->w.rid[0] = (uint8_t)i;
		memset(&s->got, 0, sizeof(s->got));
		s->is_settled = false;
		s->settled = 0;
		post(s);
		wait_end(s);
		assert_settled_without(s, SETTLE_FAILED, rows[i].want);
		assert_int_equal(s->got.error, rows[i].want);
		assert_int_equal(s->got.retry_after, rows[i].retry_after);
		assert_int_equal(s->got.heads, 0);
		assert_false(s->settle.key_unknown);
		assert_true(settle_done(
			s->settles,
			&(struct settled){ .rid = { (uint8_t)i, 0xcd, 0xcd, 0xcd, 0xcd, 0xcd, 0xcd, 0xcd,
						    0xcd, 0xcd, 0xcd, 0xcd, 0xcd, 0xcd, 0xcd, 0xcd },
					   .attempt = 1 }));
	}
	assert_int_equal(s->fetches + s->stops, 0);
}

static void reason(struct side *s, const char *body, enum err want, bool key_unknown)
{
	struct settled done = { .attempt = 1 };
	char reply[512];

	snprintf(reply, sizeof(reply), "HTTP/1.1 425 Too Early\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	s->reply = reply;
	s->posts = 0;
	s->w.rid[0]++;
	memset(&s->got, 0, sizeof(s->got));
	s->is_settled = false;
	s->settled = 0;
	post(s);
	wait_end(s);
	assert_int_equal(s->got.error, want);
	wait_settled(s);
	assert_int_equal(s->settle.key_unknown, key_unknown);
	memcpy(done.rid, s->w.rid, RID_BYTES);
	assert_true(settle_done(s->settles, &done));
}

static void test_reasons(void **state)
{
	struct side *s = *state;

	reason(s, "{\"error\":{\"reason\":\"key_rotated\"}}", ERR_KEY_ROTATED, false);
	reason(s, "{\"error\":{\"code\":\"x\",\"reason\":\"key_unknown\"}}", ERR_KEY_UNKNOWN, true);
	reason(s, "{\"error\":{\"reason\":\"already_answered\"}}", ERR_ANSWERED, false);
	reason(s, "{\"error\":{\"reason\":\"insufficient_units\"}}", ERR_UNITS, false);
	reason(s, "{\"error\":{\"reason\":\"<script>\"}}", ERR_UNITS, false);
	reason(s, "{\"error\":{\"reason\":null}}", ERR_UNITS, false);
	reason(s, "{\"error\":\"key_unknown\"}", ERR_UNITS, false);
	reason(s, "{\"reason\":\"key_unknown\"}", ERR_UNITS, false);
	reason(s, "not json", ERR_UNITS, false);
	reason(s, "", ERR_UNITS, false);
}

static void test_no_connection(void **state)
{
	struct side *s = *state;

	s->w.address = SLICE_STR("http://127.0.0.1:1");
	work(s);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	assert_settled_without(s, SETTLE_FAILED, ERR_UNAVAILABLE);
}

static void test_inward_address(void **state)
{
	struct side *s = *state;

	s->allow = false;
	work(s);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	assert_int_equal(fake_accepted(s->server), 0);
	assert_settled_without(s, SETTLE_FAILED, ERR_UNAVAILABLE);
}

static void test_first_byte_late(void **state)
{
	struct side *s = *state;

	s->conf.first_byte_s = 1;
	post(s);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_TIMEOUT);
	assert_settled_without(s, SETTLE_FAILED, ERR_TIMEOUT);
}

static void test_dies_before_head(void **state)
{
	struct side *s = *state;

	post(s);
	fake_hang_up(s->conn);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_settled_without(s, SETTLE_FAILED, ERR_NODE);
}

static void test_wrong_type(void **state)
{
	struct side *s = *state;

	s->reply = JSON_HEAD; /* for a stream */
	post(s);
	wait_end(s);
	assert_int_equal(s->got.heads, 0);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_settled_without(s, SETTLE_LOST, ERR_NODE);
}

/* --- streams that go wrong --- */

/* After one good event; then the test says more. */
static void begin_stream(struct side *s, struct buf *want)
{
	post(s);
	fake_say(s->conn, SSE_HEAD);
	event(s, "", false, want);
	pass(s);
	assert_int_equal(s->got.heads, 1);
}

static void assert_stream_error(struct side *s, struct buf *want)
{
	wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_got(s, want);
}

/* Cut, and the node has a receipt about it. */
static void test_cut_with_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	node_side_count(&s->node); /* one more than ever came */
	node_side_receipt(&s->node, &s->w, 1);
	s->has_receipt = true;
	fake_hang_up(s->conn);
	assert_stream_error(s, &want);
	assert_settled_by_receipt(s, SETTLE_STOPPED, false);
	assert_int_equal(s->settle.error, ERR_NODE);
	assert_int_equal(s->fetches, 1);
}

static void test_cut_without_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	fake_hang_up(s->conn);
	assert_stream_error(s, &want);
	assert_settled_without(s, SETTLE_LOST, ERR_NODE);
	assert_int_equal(s->fetches, 4); /* 503 each time: it may still come */
}

/* The receipt fetched is for another request: as good as none. */
static void test_cut_with_foreign_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	node_side_receipt(&s->node, &s->w, 1);
	s->node.receipt.plain_hash[0] ^= 1;
	s->has_receipt = true;
	fake_hang_up(s->conn);
	assert_stream_error(s, &want);
	assert_settled_without(s, SETTLE_LOST, ERR_NODE);
}

/* Ends cleanly, but with no receipt. */
static void test_no_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	fake_say(s->conn, LAST);
	assert_stream_error(s, &want);
	assert_settled_without(s, SETTLE_LOST, ERR_NODE);
}

static void test_empty_stream(void **state)
{
	struct side *s = *state;

	post(s);
	fake_say(s->conn, SSE_HEAD LAST);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_settled_without(s, SETTLE_LOST, ERR_NODE);
}

static void bad_event(struct side *s, const char *text)
{
	struct buf want = { 0 };

	node_side_receipt(&s->node, &s->w, 1);
	begin_stream(s, &want);
	s->has_receipt = true;
	fake_chunk(s->conn, slice_str(text));
	assert_stream_error(s, &want); /* not a byte of it goes on */
	assert_true(fake_run(&s->uv, &s->conn_gone, PATIENCE_MS));
	assert_settled_by_receipt(s, SETTLE_STOPPED, false);
}

static void test_bad_object(void **state)
{
	bad_event(*state, "data: {\"ciphertext\":\"x\"}\n\n");
}

static void test_error_event(void **state)
{
	bad_event(*state, "event: error\ndata: {\"error\":{}}\n\n");
}

static void test_done_from_ours(void **state)
{
	bad_event(*state, "data: [DONE]\n\n");
}

static void test_line_too_long(void **state)
{
	struct side *s = *state;
	struct buf b = { 0 };

	buf_str(&b, "data: ");
	while (b.n < s->conf.max_event + 10)
		buf_str(&b, "xxxxxxxxxxxxxxxx");
	buf_add(&b, "", 1);
	bad_event(s, (char *)b.p);
	buf_free(&b);
}

static void test_half_event_at_end(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	fake_chunk(s->conn, SLICE_STR("data: {\"cip"));
	fake_say(s->conn, LAST);
	assert_stream_error(s, &want);
	assert_settled_without(s, SETTLE_LOST, ERR_NODE);
}

static void test_object_after_receipt(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	last_event(s, 0, &want);
	pass(s);
	event(s, "", false, NULL);
	assert_stream_error(s, &want);
	wait_settled(s);
	assert_int_equal(s->settle.outcome, SETTLE_COMPLETE); /* the node did its work and has said so */
	assert_int_equal(s->settle.error, ERR_NODE);
}

/* A receipt that does not fit: the client is told, the broker gets it to judge. */
static void bad_receipt(struct side *s, void (*spoil)(struct receipt *r))
{
	struct buf want = { 0 };

	begin_stream(s, &want);
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, 0);
	spoil(&s->node.receipt);
	event(s, "", true, NULL);
	assert_stream_error(s, &want);
	assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(s->settle.error, ERR_NODE);
	assert_int_equal(s->fetches, 0);
}

#define BAD_RECEIPT(name, change)                                                                            \
	static void spoil_##name(struct receipt *r)                                                          \
	{                                                                                                    \
		change;                                                                                      \
	}                                                                                                    \
	static void test_receipt_##name(void **state)                                                        \
	{                                                                                                    \
		bad_receipt(*state, spoil_##name);                                                           \
	}
BAD_RECEIPT(rid, r->rid[3] ^= 1)
BAD_RECEIPT(stack, r->stack++)
BAD_RECEIPT(endpoint, r->endpoint = 1)
BAD_RECEIPT(node_key, r->node_key[9] ^= 1)
BAD_RECEIPT(plain_hash, r->plain_hash[0] ^= 1)
BAD_RECEIPT(model, r->model_hash[1] ^= 1)
BAD_RECEIPT(transcript, r->transcript[2] ^= 1)
BAD_RECEIPT(chunks, r->chunks--)

/* The clear usage beside the receipt has to be there and to say the same. */
static void bad_usage(struct side *s, const char *usage)
{
	struct buf want = { 0 };

	begin_stream(s, &want);
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, 0);
	event(s, usage, true, NULL);
	assert_stream_error(s, &want);
	assert_settled_by_receipt(s, SETTLE_STOPPED, true);
}

static void test_usage_missing(void **state)
{
	bad_usage(*state, ",\"usage\":null");
}

static void test_usage_prompt_differs(void **state)
{
	bad_usage(*state, ",\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":16}");
}

static void test_usage_completion_differs(void **state)
{
	bad_usage(*state, ",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":15}");
}

/* A chunk signed over another hash: the receipt would show it at the end, each
 * chunk's signature at once, if asked for. */
static void spoilt_chunk(struct side *s, bool verify)
{
	struct buf b = { 0 };
	char *at;

	s->conf.verify_chunks = verify;
	post(s);
	fake_say(s->conn, SSE_HEAD);
	buf_str(&b, "data: ");
	node_side_object(&s->node, "", false, NULL, &b);
	buf_str(&b, "\n\n");
	buf_add(&b, "", 1);
	at = strstr((char *)b.p, "response_hash") + strlen("response_hash\":\"");
	*at = *at == 'A' ? 'B' : 'A';
	fake_chunk(s->conn, slice_of(b.p, b.n - 1));
	pass(s);
	assert_int_equal(s->got.ended, verify);
	if (!verify)
		last_event(s, 0, NULL);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	wait_settled(s);
	buf_free(&b);
}

static void test_spoilt_chunk(void **state)
{
	spoilt_chunk(*state, false);
}

static void test_spoilt_chunk_verified(void **state)
{
	spoilt_chunk(*state, true);
}

static void test_verified_stream(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	s->conf.verify_chunks = true;
	begin_stream(s, &want);
	last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_settled_by_receipt(s, SETTLE_COMPLETE, true);
	assert_got(s, &want);
}

/* All whole answers together have a budget; who does not fit is told to come again. */
static void test_answer_budget(void **state)
{
	struct side *s = *state;
	struct buf half = { 0 };
	struct fake_conn *first;

	while (half.n < 250000)
		buf_str(&half, "0123456789");
	s->w.stream = false;
	s->w.receipt_required = false;
	post(s);
	first = s->conn;
	fake_say(first, JSON_HEAD);
	fake_chunk(first, buf_slice(&half));
	pass(s);
	assert_false(s->got.ended);
	s->w.rid[0] ^= 1;
	s->posts = 0;
	s->has_conn = false;
	post(s);
	fake_say(s->conn, JSON_HEAD);
	fake_chunk(s->conn, buf_slice(&half));
	wait_end(s);
	assert_int_equal(s->got.error, ERR_UNAVAILABLE);
	assert_settled_without(s, SETTLE_STOPPED, ERR_UNAVAILABLE);
	buf_free(&half);
}

/* --- foreign nodes --- */

static void test_foreign(void **state)
{
	static const char object[] =
		"data: {\"nonce\":\"AAECAwQFBgcICQoL\",\"ciphertext\":\"AAECAwQFBgcICQoLDA0ODw==\","
		"\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n";
	struct side *s = *state;

	s->w.receipt_required = false;
	post(s);
	fake_say(s->conn, SSE_HEAD);
	fake_chunk(s->conn, slice_str(object));
	fake_say(s->conn, LAST);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_null(memmem(s->got.body.p, s->got.body.n, "[DONE]", 6)); /* clients parse every data line */
	assert_settled_without(s, SETTLE_COMPLETE, ERR_OK);
	assert_true(s->settle.has_usage);
	assert_int_equal(s->settle.prompt, 3);
	assert_int_equal(s->settle.completion, 4);
	assert_int_equal(s->fetches, 0);
}

static void test_foreign_goes_on_after_done(void **state)
{
	struct side *s = *state;

	s->w.receipt_required = false;
	post(s);
	fake_say(s->conn, SSE_HEAD);
	fake_chunk(s->conn, SLICE_STR("data: [DONE]\n\ndata: {\"nonce\":\"AAECAwQFBgcICQoL\","
				      "\"ciphertext\":\"AAECAwQFBgcICQoLDA0ODw==\"}\n\n"));
	wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	assert_settled_without(s, SETTLE_STOPPED, ERR_NODE);
}

/* --- credits --- */

static void test_credit(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };
	size_t held;

	s->auto_credit = false;
	post(s);
	fake_say(s->conn, SSE_HEAD);
	while (want.n < 400000)
		event(s, "", false, &want);
	last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	fake_run(&s->uv, NULL, 300);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL); /* not a byte more */
	assert_false(s->is_settled);                     /* the node is not even read to its end */
	held = s->got.datas;
	fake_run(&s->uv, NULL, 100);
	assert_int_equal(s->got.datas, held);
	grant(s, 1);
	pass(s);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL + 1);
	grant(s, 100000);
	pass(s);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL + 100001);
	assert_false(s->got.ended);
	grant(s, UINT32_MAX);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_settled_by_receipt(s, SETTLE_COMPLETE, true);
	assert_got(s, &want);
}

/* An error does not overtake what was good before it. */
static void test_error_waits_its_turn(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	s->auto_credit = false;
	post(s);
	fake_say(s->conn, SSE_HEAD);
	while (want.n < CREDIT_INITIAL + 1000)
		event(s, "", false, &want);
	fake_hang_up(s->conn);
	fake_run(&s->uv, NULL, 200);
	assert_false(s->got.ended);
	grant(s, 100000);
	assert_stream_error(s, &want);
}

/* --- the client goes away --- */

static void test_cancel(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	cancel_from_gateway(s);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	assert_true(slice_is(fake_header(buf_slice(&s->stop), "X-Request-Id"),
			     "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"));
	assert_true(fake_header(buf_slice(&s->stop), "X-Sealway-Auth").n > 0);
	event(s, "", false, NULL);
	last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(s->settle.error, ERR_CLOSED);
	assert_int_equal(s->settle.chunks, 3);
	assert_false(s->got.ended);
	assert_got(s, &want); /* nothing after the cancel */
	assert_int_equal(tasks_count(s->tasks), 0);
	assert_int_equal(s->stops, 1);
}

/* Cancelled while the client's slowness had stopped the node's stream. */
static void test_cancel_when_paused(void **state)
{
	struct side *s = *state;

	s->auto_credit = false;
	post(s);
	fake_say(s->conn, SSE_HEAD);
	for (int i = 0; i < 600; i++)
		event(s, "", false, NULL);
	fake_run(&s->uv, NULL, 200);
	assert_int_equal(s->got.body.n, CREDIT_INITIAL);
	last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	cancel_from_gateway(s);
	assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(s->settle.chunks, 601);
}

static void test_cancel_before_head(void **state)
{
	struct side *s = *state;
	struct cancel c = { .attempt = 0 };

	s->w.stream = false;
	post(s);
	memcpy(c.rid, s->w.rid, RID_BYTES);
	tasks_cancel(s->tasks, &c);
	tasks_cancel(s->tasks, &c);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	node_side_receipt(&s->node, &s->w, 1);
	s->has_receipt = true;
	/* The node does not end: after stop_s the receipt is fetched. */
	assert_settled_by_receipt(s, SETTLE_STOPPED, false);
	assert_int_equal(s->stops, 1);
	assert_true(s->conn_gone);
}

static void test_cancel_stale(void **state)
{
	struct side *s = *state;
	struct cancel c = { .attempt = 2 };
	struct buf want = { 0 };

	begin_stream(s, &want);
	memcpy(c.rid, s->w.rid, RID_BYTES);
	tasks_cancel(s->tasks, &c); /* of another attempt */
	c.attempt = 1;
	c.rid[0] ^= 1;
	tasks_cancel(s->tasks, &c); /* of another request */
	last_event(s, 0, &want);
	fake_say(s->conn, LAST);
	wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	assert_int_equal(s->stops, 0);
	assert_got(s, &want);
}

/* The gateway dies: after the grace time the node is stopped. */
static void test_gateway_dies(void **state)
{
	struct side *s = *state;
	struct buf want = { 0 };

	begin_stream(s, &want);
	zsock_close(s->gateway);
	s->gateway = NULL;
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	assert_false(s->heard);
	last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	assert_int_equal(tasks_count(s->tasks), 0);
	buf_free(&want);
}

/* The broker takes the gateway thread back. */
static void test_peer_gone(void **state)
{
	struct side *s = *state;
	struct peer gone = { .topic = TOPIC, .present = false };
	struct buf want = { 0 };

	begin_stream(s, &want);
	assert_int_equal(publish_peer(s->pub, 2, &gone), ERR_OK);
	assert_true(fake_run(&s->uv, &s->has_stop, PATIENCE_MS));
	last_event(s, 1, NULL);
	fake_say(s->conn, LAST);
	assert_settled_by_receipt(s, SETTLE_STOPPED, true);
	buf_free(&want);
}

/* --- work that is not taken --- */

static void assert_returned(struct side *s, enum err why)
{
	unsigned before = s->returned;

	work(s);
	assert_int_equal(s->returned, before + 1);
	assert_int_equal(s->return_error, why);
	assert_int_equal(s->posted, 0);
	pass(s);
	assert_int_equal(s->posts, 0);
}

static void test_unheard(void **state)
{
	struct side *s = *state;

	s->w.topic = TOPIC + 1;
	assert_returned(s, ERR_NO_WORKER);
}

static void test_bad_work(void **state)
{
	struct side *s = *state;

	s->w.endpoint = EP_PLAIN_CHAT;
	assert_returned(s, ERR_NOT_FOUND);
	s->w.endpoint = EP_CHAT;
	s->w.address = SLICE_STR("ftp://x");
	assert_returned(s, ERR_UNAVAILABLE);
}

static void test_draining(void **state)
{
	struct side *s = *state;

	tasks_drain(s->tasks);
	assert_returned(s, ERR_NO_WORKER);
}

static void test_capacity(void **state)
{
	struct side *s = *state;

	work(s);
	s->w.rid[0] = 1;
	work(s);
	assert_int_equal(tasks_count(s->tasks), 2);
	s->w.rid[0] = 2;
	work(s);
	assert_int_equal(s->returned, 1);
	assert_int_equal(s->return_error, ERR_NO_WORKER);
	assert_int_equal(s->posted, 2);
	assert_int_equal(tasks_count_for(s->tasks, 2), 2);
	assert_int_equal(tasks_count_for(s->tasks, 1), 0);
	tasks_announce(s->tasks, 2);
	assert_int_equal(s->inflight, 2);
	tasks_announce(s->tasks, 1);
	assert_int_equal(s->inflight, 2);
}

static void test_twice(void **state)
{
	struct side *s = *state;

	post(s);
	work(s); /* while it runs */
	assert_int_equal(s->posted, 1);
	fake_say(s->conn, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
	wait_end(s);
	wait_settled(s);
	s->posts = 0;
	work(s); /* after it was settled, unacknowledged: the broker hears the end again */
	assert_int_equal(s->settled, 2);
	assert_int_equal(s->posted, 1);
	pass(s);
	assert_int_equal(s->posts, 0);
	assert_int_equal(s->returned, 0);
}

/* What nobody would know of is not posted. */
static void test_broker_gone(void **state)
{
	struct side *s = *state;

	s->broker_gone = true;
	work(s);
	fake_run(&s->uv, NULL, 100);
	assert_int_equal(fake_accepted(s->server), 0);
	assert_int_equal(tasks_count(s->tasks), 0);
	assert_int_equal(s->settled, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_stream),
		T(test_stream_bytewise),
		T(test_coalesced),
		T(test_whole),
		T(test_whole_without_receipt),
		T(test_whole_too_long),
		T(test_statuses),
		T(test_reasons),
		T(test_no_connection),
		T(test_inward_address),
		T(test_first_byte_late),
		T(test_dies_before_head),
		T(test_wrong_type),
		T(test_cut_with_receipt),
		T(test_cut_without_receipt),
		T(test_cut_with_foreign_receipt),
		T(test_no_receipt),
		T(test_empty_stream),
		T(test_bad_object),
		T(test_error_event),
		T(test_done_from_ours),
		T(test_line_too_long),
		T(test_half_event_at_end),
		T(test_object_after_receipt),
		T(test_receipt_rid),
		T(test_receipt_stack),
		T(test_receipt_endpoint),
		T(test_receipt_node_key),
		T(test_receipt_plain_hash),
		T(test_receipt_model),
		T(test_usage_missing),
		T(test_usage_prompt_differs),
		T(test_usage_completion_differs),
		T(test_spoilt_chunk),
		T(test_spoilt_chunk_verified),
		T(test_verified_stream),
		T(test_answer_budget),
		T(test_receipt_transcript),
		T(test_receipt_chunks),
		T(test_foreign),
		T(test_foreign_goes_on_after_done),
		T(test_credit),
		T(test_error_waits_its_turn),
		T(test_cancel),
		T(test_cancel_when_paused),
		T(test_cancel_before_head),
		T(test_cancel_stale),
		T(test_gateway_dies),
		T(test_peer_gone),
		T(test_unheard),
		T(test_bad_work),
		T(test_draining),
		T(test_capacity),
		T(test_twice),
		T(test_broker_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
