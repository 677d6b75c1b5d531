/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers from worker to client over real sockets: whole and streamed, credits
 * and cancels, everything that a worker may do wrong, and what happens when
 * one of the four parties goes away.
 */
#include "gateway/flight.h"
#include "proto/peer.h"
#include "live.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CC "/v1/confidential/completions"
#define EVENT "data: {\"ciphertext\":\"x\"}\n\n"

static struct live l;

static int start(void **state)
{
	(void)state;
	live_start(&l, NULL, true);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	live_stop(&l);
	return 0;
}

static void head(const struct job *job, uint64_t length)
{
	live_publish(&l, job, (struct chunk){ .kind = CHUNK_HEAD, .length = length });
}

static void data(const struct job *job, uint32_t seq, const char *text)
{
	live_publish(&l, job, (struct chunk){ .kind = CHUNK_DATA, .seq = seq, .payload = slice_str(text) });
}

static void end(const struct job *job, uint32_t seq)
{
	live_publish(&l, job, (struct chunk){ .kind = CHUNK_END, .seq = seq });
}

static void error(const struct job *job, uint32_t seq, enum err e)
{
	live_publish(&l, job, (struct chunk){ .kind = CHUNK_ERROR, .seq = seq, .error = e });
}

static bool cancelled(void *arg)
{
	struct live *x = arg;

	return x->n_cancels > 0;
}

/* The worker is told that job has no taker any more. */
static void expect_cancel(const struct job *job)
{
	live_until(&l, cancelled, &l);
	assert_memory_equal(l.cancels[0].rid, job->rid, RID_BYTES);
	assert_int_equal(l.cancels[0].attempt, 1);
}

/* A stream that has begun. */
static void opened(struct live_client *c, struct job *job)
{
	live_post(&l, c, CC, true, l.n_got, job);
	head(job, 0);
	live_expect(&l, c, "HTTP/1.1 200 OK\r\n");
}

/* An error event, then a cut: no last chunk of the chunked coding. */
static void expect_break(struct live_client *c, const char *code)
{
	live_expect(&l, c, "event: error\ndata: {\"error\":{\"code\":\"");
	live_expect(&l, c, code);
	live_expect_close(&l, c);
	assert_false(live_has(c, "\r\n0\r\n\r\n"));
	live_hang_up(c);
}

static void a_stream(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	live_post(&l, &c, CC, true, 0, &job);
	live_for(&l, 30);
	assert_false(live_has(&c, "HTTP/")); /* 200 only once the worker has one */
	head(&job, 0);
	live_expect(&l, &c, "HTTP/1.1 200 OK\r\n"); /* at once, without waiting for data */
	live_expect(&l, &c, "\r\ncontent-type: text/event-stream\r\n");
	live_expect(&l, &c, "\r\ncache-control: no-cache\r\n");
	data(&job, 1, EVENT);
	live_expect(&l, &c, EVENT);
	data(&job, 2, "data: {\"last\":1}\n\n");
	end(&job, 3);
	live_expect(&l, &c, "data: {\"last\":1}\n\n\r\n0\r\n\r\n");
	assert_false(c.closed); /* the connection can be used again */
	assert_int_equal(l.n_cancels, 0);
	live_hang_up(&c);
}

static void a_whole_answer(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	live_post(&l, &c, "/v1/confidential/embeddings", false, 0, &job);
	head(&job, 10);
	data(&job, 1, "{\"a\":");
	data(&job, 2, "1234}");
	end(&job, 3);
	live_expect(&l, &c, "{\"a\":1234}");
	assert_true(live_has(&c, "HTTP/1.1 200 OK\r\n"));
	assert_true(live_has(&c, "\r\nContent-Length: 10\r\n"));
	assert_true(live_has(&c, "\r\ncontent-type: application/json\r\n"));
	assert_false(live_has(&c, "event"));
	live_hang_up(&c);
}

static void errors_before_the_head(void **state)
{
	static const struct {
		enum err e;
		const char *status, *text;
	} rows[] = {
		{ ERR_BODY, "HTTP/1.1 400 ", "\"param\":null" },
		{ ERR_ANSWERED, "HTTP/1.1 425 ", "\"reason\":\"already_answered\"" },
		{ ERR_LOCKED, "HTTP/1.1 423 ", "LOCKED" },
		{ ERR_NODE, "HTTP/1.1 500 ", "INTERNAL_ERROR" },
		{ ERR_UNAVAILABLE, "HTTP/1.1 503 ", "\r\nretry-after: 1\r\n" },
		{ ERR_TIMEOUT, "HTTP/1.1 504 ", "TIMEOUT" },
		{ ERR_CRYPTO, "HTTP/1.1 500 ", "\"message\":\"internal error\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct live_client c;
		struct job job;

		live_post(&l, &c, CC, i % 2, l.n_got, &job);
		error(&job, 0, rows[i].e);
		live_expect(&l, &c, rows[i].status);
		live_expect(&l, &c, rows[i].text);
		live_hang_up(&c);
	}
	assert_int_equal(l.n_cancels, 0); /* they ended it themselves */
}

static void an_error_after_the_head(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	opened(&c, &job);
	data(&job, 1, EVENT);
	error(&job, 2, ERR_TIMEOUT);
	expect_break(&c, "TIMEOUT");
	assert_int_equal(l.n_cancels, 0);
}

static void a_whole_answer_is_cut_without_an_event(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	live_post(&l, &c, CC, false, 0, &job);
	head(&job, 100);
	data(&job, 1, "{\"a\":");
	live_expect(&l, &c, "{\"a\":");
	error(&job, 2, ERR_NODE);
	live_expect_close(&l, &c);
	assert_false(live_has(&c, "error"));
	live_hang_up(&c);
}

static void a_gap(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	opened(&c, &job);
	data(&job, 1, EVENT);
	data(&job, 3, EVENT);
	expect_break(&c, "INTERNAL_ERROR");
	expect_cancel(&job);
}

static void a_lost_head(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	live_post(&l, &c, CC, true, 0, &job);
	data(&job, 1, EVENT);
	live_expect(&l, &c, "HTTP/1.1 500 ");
	expect_cancel(&job);
	live_hang_up(&c);
}

static void an_unfinished_event_is_ended_first(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	opened(&c, &job);
	data(&job, 1, "data: {\"half");
	error(&job, 2, ERR_NODE);
	live_expect(&l, &c, "data: {\"half");
	live_expect(&l, &c, "\n\nevent: error\n");
	live_expect_close(&l, &c);
	live_hang_up(&c);
}

static void others_are_not_heard(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	opened(&c, &job);
	live_publish(&l, &job, (struct chunk){ .kind = CHUNK_END, .seq = 1, .attempt = 2 });
	live_publish(&l, &job, (struct chunk){ .kind = CHUNK_END, .seq = 1, .epoch = 2 });
	live_publish(&l, &job, (struct chunk){ .kind = CHUNK_END, .seq = 1, .worker = 78 });
	data(&job, 1, EVENT);
	live_expect(&l, &c, EVENT);
	assert_false(live_has(&c, "\r\n0\r\n\r\n"));
	end(&job, 2);
	live_expect(&l, &c, "\r\n0\r\n\r\n");
	live_hang_up(&c);
}

/* It would have the answer taken for that of a worker who sends none. */
static void a_head_in_anothers_name(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	live_post(&l, &c, CC, true, l.n_got, &job);
	live_publish(&l, &job, (struct chunk){ .kind = CHUNK_HEAD, .worker = 78 });
	head(&job, 0);
	data(&job, 1, EVENT);
	end(&job, 2);
	live_expect(&l, &c, EVENT);
	live_expect(&l, &c, "\r\n0\r\n\r\n");
	live_hang_up(&c);
}

static void a_stray_head_is_told_to_stop(void **state)
{
	struct job job = { .topic = 0 };

	(void)state;
	job.topic = l.topic;
	memset(job.rid, 5, RID_BYTES);
	data(&job, 1, EVENT); /* not each frame: they are already on their way */
	head(&job, 0);
	expect_cancel(&job);
	assert_int_equal(l.n_cancels, 1);
}

static size_t n_credits; /* that came before */

static bool credited(void *arg)
{
	struct live *x = arg;

	return x->n_credits > n_credits;
}

static uint64_t granted(void)
{
	uint64_t n = 0;

	for (size_t i = 0; i < l.n_credits; i++)
		n += l.credits[i].bytes;
	return n;
}

/* By credits_follow_the_client in the frames before seq. */
static uint64_t sent(uint32_t seq)
{
	return strlen(EVENT) + (seq - 2) * UINT64_C(20000);
}

static void credits_follow_the_client(void **state)
{
	static char big[20001];
	struct live_client c;
	struct job job;
	uint32_t seq = 3;

	(void)state;
	memset(big, ':', sizeof(big) - 1);
	memcpy(big + sizeof(big) - 3, "\n\n", 2);
	opened(&c, &job);
	data(&job, 1, EVENT);
	live_expect(&l, &c, EVENT);
	live_for(&l, 30);
	assert_int_equal(l.n_credits, 0); /* too little for a message */
	data(&job, 2, big);
	n_credits = 0;
	live_until(&l, credited, &l);
	assert_memory_equal(l.credits[0].rid, job.rid, RID_BYTES);
	assert_int_equal(l.credits[0].attempt, 1);
	assert_int_equal(l.credits[0].bytes, 20000 + strlen(EVENT));
	/* 200 kB: only possible with credits; then until the window has grown */
	while (seq < 13 || granted() <= sent(seq)) {
		n_credits = l.n_credits;
		data(&job, seq++, big);
		live_until(&l, credited, &l);
		assert_true(seq < 60); /* nobody reads the client's socket meanwhile */
	}
	assert_true(granted() <= sent(seq) + FLIGHT_WINDOW_MAX - CREDIT_INITIAL);
	end(&job, seq);
	live_expect(&l, &c, "\r\n0\r\n\r\n");
	live_hang_up(&c);
}

/* The client takes nothing and the worker does not care. */
static void beyond_credit_is_cut(void **state)
{
	static char big[65537];
	struct live_client c;
	struct job job;

	(void)state;
	memset(big, ':', sizeof(big) - 1);
	l.rcvbuf = 4096;
	live_post(&l, &c, CC, false, 0, &job);
	head(&job, 64 << 20);
	for (uint32_t seq = 1; seq < 500 && !l.n_cancels; seq++) {
		data(&job, seq, big);
		live_for(&l, 2);
	}
	expect_cancel(&job);
	live_expect_close(&l, &c);
	assert_false(live_has(&c, "event: error"));
	live_hang_up(&c);
}

static void a_client_that_leaves(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	opened(&c, &job);
	data(&job, 1, EVENT);
	live_expect(&l, &c, EVENT);
	live_hang_up(&c);
	expect_cancel(&job);
}

static void a_client_that_leaves_early(void **state)
{
	const struct live_got *g;
	struct live_client c;
	struct cancel m;
	struct job job;

	(void)state;
	live_post(&l, &c, CC, true, 0, &job);
	live_hang_up(&c);
	g = live_message(&l, 1, MSG_CANCEL); /* nobody but the broker knows where it is */
	assert_int_equal(cancel_decode(buf_slice(&g->head), &m), ERR_OK);
	assert_memory_equal(m.rid, job.rid, RID_BYTES);
	assert_int_equal(m.attempt, 0);
	assert_int_equal(l.n_cancels, 0);
}

static void a_worker_that_goes(void **state)
{
	struct live_client c, d;
	struct job job, other;

	(void)state;
	opened(&c, &job);
	live_post(&l, &d, CC, true, l.n_got, &other); /* not its own: may still get another worker */
	live_intro(&l, false);
	expect_break(&c, "INTERNAL_ERROR");
	live_for(&l, 30);
	assert_false(live_has(&d, "HTTP/"));
	live_hang_up(&d);
}

static void the_broker_goes_and_streams_go_on(void **state)
{
	struct live_client c, fresh;
	struct job job, lost;

	(void)state;
	opened(&c, &job);
	live_for(&l, 200); /* pings confirm what was sent so far */
	l.mute = true;
	live_post(&l, &fresh, CC, true, l.n_got, &lost);
	live_broker_down(&l);
	live_expect(&l, &fresh, "HTTP/1.1 503 "); /* may never have been read */
	live_hang_up(&fresh);
	data(&job, 1, EVENT);
	live_expect(&l, &c, EVENT);
	end(&job, 2);
	live_expect(&l, &c, "\r\n0\r\n\r\n");
	live_hang_up(&c);
}

static void jobs_the_broker_has_read_outlive_it(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	live_post(&l, &c, CC, true, 0, &job);
	live_for(&l, 200);
	live_broker_down(&l);
	live_linked(&l, false);
	live_for(&l, 100);
	assert_false(live_has(&c, "HTTP/"));
	head(&job, 0);
	live_expect(&l, &c, "HTTP/1.1 200 ");
	live_hang_up(&c);
}

static void refuse(const struct job *job)
{
	struct refuse m = { .error = ERR_UNAVAILABLE, .retry_after_s = 1 };
	struct buf msg = { 0 };

	memcpy(m.rid, job->rid, RID_BYTES);
	refuse_encode(&m, &msg);
	live_say(&l, &msg);
}

/* Workers may have gone on all the while; only the broker knows. */
static void the_same_broker_comes_back(void **state)
{
	struct live_client c, d, e;
	struct job job, waiting, unknown;

	(void)state;
	opened(&c, &job);
	live_post(&l, &d, CC, true, l.n_got, &waiting);
	live_post(&l, &e, CC, true, l.n_got, &unknown);
	live_for(&l, 200);
	l.mute = true;
	live_linked(&l, false);
	l.mute = false;
	live_message(&l, 3, MSG_WAITING);
	live_message(&l, 4, MSG_WAITING); /* not about the answer that has begun */
	refuse(&unknown);
	live_expect(&l, &e, "HTTP/1.1 503 ");
	assert_false(live_has(&d, "HTTP/"));
	head(&waiting, 0);
	live_expect(&l, &d, "HTTP/1.1 200 ");
	data(&job, 1, EVENT);
	live_expect(&l, &c, EVENT);
	live_hang_up(&c);
	live_hang_up(&d);
	live_hang_up(&e);
}

/* A connection that broke took the frames with it, and the worker has settled: only the broker can say so. */
static void what_is_silent_is_asked_about(void **state)
{
	struct job waits, runs;
	struct live_client c, d;
	struct waiting_job m;
	size_t n, seen = 0;

	(void)state;
	live_post(&l, &c, CC, true, l.n_got, &waits);
	opened(&d, &runs);
	data(&runs, 1, EVENT);
	live_expect(&l, &d, EVENT);
	refuse(&runs); /* nobody asked: news from before the worker had it */
	n = l.n_got;
	live_for(&l, 4000);
	assert_int_equal(l.n_got, n);
	data(&runs, 2, EVENT); /* begins the time anew */
	live_for(&l, 2500);
	assert_int_equal(l.n_got, n + 1);
	live_for(&l, 4000);
	for (size_t i = n; i < l.n_got; i++) {
		assert_int_equal(waiting_decode(buf_slice(&live_message(&l, i, MSG_WAITING)->head), &m),
				 ERR_OK);
		seen |= memcmp(m.rid, (i == n ? &waits : &runs)->rid, RID_BYTES) == 0 ? 1u << (i - n) : 0;
	}
	assert_true((seen & 3) == 3);
	assert_false(live_has(&c, "HTTP/") || d.closed);
	refuse(&waits);
	refuse(&runs);
	live_expect(&l, &c, "HTTP/1.1 503 ");
	live_hang_up(&c);
	expect_break(&d, "INTERNAL_ERROR");
}

static bool is_heard_again(void *arg)
{
	struct live *x = arg;

	return x->heard > 1;
}

static void a_second_life_of_the_worker(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	opened(&c, &job);
	l.worker = 78; /* the same endpoint */
	live_intro(&l, true);
	expect_break(&c, "INTERNAL_ERROR");
	live_until(&l, is_heard_again, &l);
	live_for(&l, 20);
	live_post(&l, &c, CC, true, l.n_got, &job);
	head(&job, 0);
	live_expect(&l, &c, "HTTP/1.1 200 ");
	live_hang_up(&c);
}

/* A worker with a key of its own that says it lives where another does. */
static void an_endpoint_is_no_proof(void **state)
{
	static const uint8_t key[KEY_BYTES] = { 1 };
	struct intro m = { .worker = 78, .present = true, .key = slice_of(key, sizeof(key)) };
	struct live_client c;
	struct buf b = { .p = NULL };
	struct job job;
	char more;

	(void)state;
	opened(&c, &job);
	m.endpoint = slice_str(zsock_endpoint(l.pub));
	intro_encode(&m, &b);
	live_say(&l, &b);
	live_for(&l, 200);
	assert_true(recv(c.fd, &more, 1, MSG_DONTWAIT | MSG_PEEK) < 0); /* no error event, no cut */
	live_hang_up(&c);
}

static void quick(struct gw_conf *c)
{
	c->keepalive_ms = 200;
}

static void keep_alives(void **state)
{
	struct live_client c;
	struct job job;

	(void)state;
	live_stop(&l);
	live_start(&l, quick, true);
	opened(&c, &job);
	live_expect(&l, &c, ": keep-alive\n\n");
	data(&job, 1, "data: {\"half");
	live_expect(&l, &c, "half");
	c.in.n = 0;
	live_for(&l, 450);
	data(&job, 2, "\":1}\n\n");
	live_expect(&l, &c, "\":1}\n\n");
	assert_false(live_has(&c, "keep-alive")); /* never inside an event */
	live_expect(&l, &c, ": keep-alive\n\n");
	end(&job, 3);
	live_expect(&l, &c, "\r\n0\r\n\r\n");
	live_hang_up(&c);
}

static void impatient(struct gw_conf *c)
{
	/* the net waits 5 s longer than the workers' deadlines; what is left is one millisecond each */
	c->dispatch_ms = c->connect_ms = c->first_byte_ms = 1;
	c->gap_ms = 1;
}

static void no_cancel_yet(void)
{
	live_for(&l, 4000);
	assert_int_equal(l.n_cancels, 0);
}

static void the_net_below_the_deadlines(void **state)
{
	struct live_client c, d;
	struct job job, other;

	(void)state;
	live_stop(&l);
	live_start(&l, impatient, true);
	opened(&c, &job);
	live_post(&l, &d, CC, true, l.n_got, &other);
	no_cancel_yet();
	expect_break(&c, "TIMEOUT");
	expect_cancel(&job);
	live_expect(&l, &d, "HTTP/1.1 504 ");
	live_message(&l, 2, MSG_CANCEL);
	live_hang_up(&d);
}

static bool both_cancelled(void *arg)
{
	struct live *x = arg;

	return x->n_cancels == 1 && x->n_got == 3 && x->byes == 1;
}

static void a_cut_cancels_everything(void **state)
{
	struct live_client c, d;
	struct job job, other;

	(void)state;
	opened(&c, &job);
	live_post(&l, &d, CC, false, l.n_got, &other);
	thread_drain(l.gw);
	thread_cut(l.gw);
	expect_break(&c, "SERVICE_UNAVAILABLE");
	live_expect(&l, &d, "HTTP/1.1 503 ");
	live_until(&l, both_cancelled, &l);
	assert_int_equal(l.got[2].type, MSG_CANCEL);
	live_hang_up(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, start, stop)
		T(a_stream),
		T(a_whole_answer),
		T(errors_before_the_head),
		T(an_error_after_the_head),
		T(a_whole_answer_is_cut_without_an_event),
		T(a_gap),
		T(a_lost_head),
		T(an_unfinished_event_is_ended_first),
		T(others_are_not_heard),
		T(a_head_in_anothers_name),
		T(a_stray_head_is_told_to_stop),
		T(credits_follow_the_client),
		T(beyond_credit_is_cut),
		T(a_client_that_leaves),
		T(a_client_that_leaves_early),
		T(a_worker_that_goes),
		T(the_broker_goes_and_streams_go_on),
		T(jobs_the_broker_has_read_outlive_it),
		T(what_is_silent_is_asked_about),
		T(the_same_broker_comes_back),
		T(a_second_life_of_the_worker),
		T(an_endpoint_is_no_proof),
		T(keep_alives),
		T(the_net_below_the_deadlines),
		T(a_cut_cancels_everything),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
