/* SPDX-License-Identifier: Apache-2.0
 *
 * The world of the task tests (task_side.h).
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
#include "tests/unit/worker/task_side.h"

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
	case MSG_ANSWERING:
		s->answering++;
		break;
	case MSG_RETURN:
		assert_int_equal(return_decode(bytes, &ret), ERR_OK);
		s->return_error = ret.error;
		s->return_attempt = ret.ref.attempt;
		s->settled_before_return = s->settled;
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
	if (memcmp(s->settle.rid, s->before, RID_BYTES) == 0)
		return;
	assert_memory_equal(s->settle.rid, s->w.rid, RID_BYTES);
	s->settled++;
	s->is_settled = true;
}

/* --- gateway --- */

void side_grant(struct side *s, uint32_t bytes)
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

void side_cancel_from_gateway(struct side *s)
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
	struct task_got *g = &s->got;

	if (memcmp(c->rid, s->before, RID_BYTES) == 0) {
		if (c->kind == CHUNK_ERROR)
			s->before_error = c->error;
		return;
	}
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
			side_grant(s, (uint32_t)c->payload.n);
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

	if (s->has_none) {
		fake_say(c, "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n");
		return;
	}
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

bool side_starts(struct slice s, const char *with)
{
	return s.n >= strlen(with) && memcmp(s.p, with, strlen(with)) == 0;
}

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	struct side *s = arg;

	if (side_starts(request, "POST /v1/confidential/chat/completions ") ||
	    side_starts(request, "POST /v1/chat/completions ") ||
	    side_starts(request, "POST /v1/images/generations ")) {
		s->posts++;
		s->conn = c;
		s->has_conn = true;
		buf_reset(&s->post);
		buf_add(&s->post, request.p, request.n);
		if (s->reply)
			fake_say(c, s->reply);
	} else if (side_starts(request, "POST /v1/stop-streamer ")) {
		s->stops++;
		s->has_stop = true;
		buf_reset(&s->stop);
		buf_add(&s->stop, request.p, request.n);
		fake_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	} else if (side_starts(request, "GET /v1/receipts/cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd ")) {
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

static bool allow_address(void *arg, const struct sockaddr *sa, bool tls)
{
	(void)sa, (void)tls;
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

int side_setup(void **state)
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
	tempdir_make(s->dir);
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

int side_teardown(void **state)
{
	struct side *s = *state;

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
	tempdir_drop(s->dir, "pub");
	tempdir_remove(s->dir);
	free(s);
	return 0;
}

/* --- driving --- */

void side_work(struct side *s)
{
	struct zmsg body;

	zmsg_copy_init(&body, SLICE_STR("{\"sealed\":\"body\"}"));
	tasks_work(s->tasks, 2, &s->w, &body);
	zmsg_close(&body);
}

/* Sends the work and waits until the node has it. */
void side_post(struct side *s)
{
	side_work(s);
	assert_true(fake_run(&s->uv, &s->has_conn, PATIENCE_MS));
}

void side_next(struct side *s, const char *status, const char *body)
{
	snprintf(s->reply_text, sizeof(s->reply_text), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status,
		 strlen(body), body);
	s->reply = s->reply_text;
	s->posts = s->settled = 0;
	s->w.rid[0]++;
	memset(&s->got, 0, sizeof(s->got));
	s->is_settled = false;
}

void side_wait_end(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->got.ended, PATIENCE_MS));
}

void side_wait_settled(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->is_settled, PATIENCE_MS));
	fake_run(&s->uv, NULL, 20);
	assert_int_equal(s->settled, 1);
}

void side_pass(struct side *s)
{
	fake_run(&s->uv, NULL, 50);
}

/* One event of the stream as its own packet; sealed: the last, with the receipt. */
void side_event(struct side *s, const char *extra, bool sealed, struct buf *want)
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

void side_last_event(struct side *s, uint8_t outcome, struct buf *want)
{
	node_side_count(&s->node);
	node_side_receipt(&s->node, &s->w, outcome);
	side_event(s, "", true, want);
}

void side_assert_got(struct side *s, struct buf *want)
{
	assert_int_equal(s->got.body.n, want->n);
	assert_memory_equal(s->got.body.p, want->p, want->n);
	buf_free(want);
}

void side_assert_settled_by_receipt(struct side *s, enum settle_outcome outcome, bool transcript)
{
	uint8_t raw[RECEIPT_BYTES], h[HASH_BYTES];

	side_wait_settled(s);
	receipt_encode(&s->node.receipt, raw);
	assert_int_equal(s->settle.outcome, outcome);
	assert_true(slice_eq(s->settle.receipt, slice_of(raw, sizeof(raw))));
	assert_int_equal(s->settle.signature.n, SIGN_B64);
	assert_int_equal(s->settle.transcript.n, transcript ? HASH_BYTES : 0);
	hash_peek(s->node.transcript, h);
	if (transcript)
		assert_memory_equal(s->settle.transcript.p, h, sizeof(h));
}

void side_assert_settled_without(struct side *s, enum settle_outcome outcome, enum err error)
{
	side_wait_settled(s);
	assert_int_equal(s->settle.outcome, outcome);
	assert_int_equal(s->settle.error, error);
	assert_int_equal(s->settle.receipt.n, 0);
	assert_int_equal(s->settle.transcript.n, 0);
}

/* After one good event; then the test says more. */
void side_assert_complete(struct side *s, struct buf *want)
{
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_OK);
	side_assert_settled_by_receipt(s, SETTLE_COMPLETE, true);
	side_assert_got(s, want);
}

void side_acknowledge(struct side *s)
{
	struct settled done = { .attempt = 1 };

	memcpy(done.rid, s->w.rid, RID_BYTES);
	assert_true(settle_done(s->settles, &done));
}

void side_begin_stream(struct side *s, struct buf *want)
{
	side_post(s);
	fake_say(s->conn, SSE_HEAD);
	side_event(s, "", false, want);
	side_pass(s);
	assert_int_equal(s->got.heads, 1);
}

void side_assert_stream_error(struct side *s, struct buf *want)
{
	side_wait_end(s);
	assert_int_equal(s->got.error, ERR_NODE);
	side_assert_got(s, want);
}
