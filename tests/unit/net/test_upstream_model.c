/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client against a server that does anything (model_server.h), while the
 * caller pauses, resumes and cancels at any time, within callbacks too.  For each
 * request it is known what may become of it:
 * - whole, with exactly the bytes of one answer, if that was said to its end;
 * - cut, with the first bytes of one answer, if the server cut it;
 * - invalid, late, if the answer was, or was over its limit;
 * and the server saw it once at most, or twice if it may be repeated, the first time
 * on a kept connection and without saying a byte.  Each callback comes as often as it
 * should and never after the end; nothing is left behind.
 *
 * The seed is printed; SEALWAY_SEED sets the first one, SEALWAY_LONG=1 goes on for two minutes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/net/upstream.h"
#include "tests/unit/net/fake_cert.h"
#include "tests/unit/net/model_server.h"
#include "tests/unit/openfiles.h"
#include "tests/unit/rounds.h"

#define FLIGHTS 100 /* requests of a round */
#define AT_ONCE 12
#define ROUND_MS 20000
#define SOON_MS 900 /* a connection that is dead for so long is one that the server gave up */
#define LATE_MS 20  /* deadlines of those that the server may let wait */

struct flight {
	struct model_ask ask;
	struct upstream_req *req; /* NULL: over */
	bool repeatable, cancelled, paused;
	uint64_t max_body, started;
	uint8_t *lent; /* the body, as the client has it */
	unsigned heads, dones;
	int status;
	struct buf got;
	enum upstream_result result;
};

static struct {
	uv_loop_t uv;
	uv_timer_t tick;
	uv_prepare_t prepare;
	struct upstream *up;
	struct model_server *server;
	SSL_CTX *ctx; /* of the server */
	char ca_file[FAKE_FILE];
	bool tls;
	struct flight at[FLIGHTS];
	unsigned n, over;
	unsigned results[UPSTREAM_INVALID + 1], repeats, cancels, pauses; /* of all rounds */
} w;

static struct model_ask *find(unsigned id)
{
	return id < w.n ? &w.at[id].ask : NULL;
}

/* --- what may be --- */

static void check(const struct flight *f, bool well, const char *why)
{
	const struct model_ask *a = &f->ask;

	if (well)
		return;
	for (unsigned i = 0; i < a->seen; i++)
		print_message(
			"answer %u: status %d, %zu of %zu bytes said, payload of %zu, cut %d, reused %d, "
			"bounded %d, malformed %d, lossy %d\n",
			i, a->reply[i].status, a->reply[i].said, a->reply[i].whole, a->reply[i].payload.n,
			(int)a->reply[i].cut, a->reply[i].reused, a->reply[i].bounded, a->reply[i].malformed,
			a->reply[i].lossy);
	fail_msg("request %u (%s%s, body of %zu%s): %s; result %s, %u heads, %zu bytes", a->id, a->method,
		 f->repeatable ? " that may be repeated" : "", a->body.n, w.tls ? ", TLS" : "", why,
		 upstream_result_name(f->result), f->heads, f->got.n);
}

static bool may_repeat(const struct flight *f)
{
	return f->repeatable || strcmp(f->ask.method, "POST") != 0;
}

/* What came is the beginning of the last answer. */
static void check_answer(const struct flight *f)
{
	const struct model_ask *a = &f->ask;
	const struct model_reply *r = a->seen ? &a->reply[a->seen - 1] : NULL;

	check(f, f->heads == 0 || r, "an answer to what was not asked");
	if (a->seen == 2) {
		check(f, may_repeat(f), "repeated, which it may not be");
		check(f, a->reply[0].reused, "repeated after a new connection");
		check(f, a->reply[0].said == 0, "repeated after bytes of an answer");
	}
	if (f->heads == 0)
		return;
	check(f, !r->malformed, "the head of a malformed answer");
	check(f, f->status == r->status, "another status");
	check(f, f->got.n <= r->payload.n && (!f->got.n || memcmp(f->got.p, r->payload.p, f->got.n) == 0),
	      "other bytes than the answer's");
}

static void check_cut(const struct flight *f)
{
	const struct model_ask *a = &f->ask;
	const struct model_reply *r = a->seen ? &a->reply[a->seen - 1] : NULL;

	if (!r) {
		check(f, model_idle_ends(w.server) > 0, "cut, and nobody cut it");
		return;
	}
	check(f, r->cut != CUT_NONE || !r->bounded || r->lossy || r->malformed, "cut, and nobody cut it");
	if (model_stillborn(w.server) == 0 && uv_now(&w.uv) - f->started < SOON_MS)
		check(f, r->said || !r->reused || !may_repeat(f), "not repeated, though nothing was said");
	if (r->cut == CUT_NONE && !r->bounded && !r->malformed && !r->lossy)
		check(f, f->got.n == r->payload.n, "an answer without its last bytes");
}

static void check_result(const struct flight *f)
{
	const struct model_ask *a = &f->ask;
	const struct model_reply *r = a->seen ? &a->reply[a->seen - 1] : NULL;

	check_answer(f);
	switch (f->result) {
	case UPSTREAM_OK:
		check(f, f->heads == 1 && r->cut == CUT_NONE && r->bounded && r->said == r->whole,
		      "whole, and it was not");
		check(f, f->got.n == r->payload.n, "whole, without its last bytes");
		break;
	case UPSTREAM_CUT:
		check_cut(f);
		break;
	case UPSTREAM_INVALID:
		check(f, r && (r->malformed || r->payload.n > f->max_body), "invalid, and it was not");
		break;
	case UPSTREAM_TIMEOUT:
		check(f, a->may_stall, "late, and nobody was");
		break;
	case UPSTREAM_CONNECT:
		check(f, model_stillborn(w.server) > 0, "no connection");
		check(f, a->seen == 0 || (a->seen == 1 && a->reply[0].said == 0 && may_repeat(f)),
		      "no connection, and it was asked");
		break;
	default:
		check(f, false, "refused");
	}
}

/* --- the caller --- */

static void give_back(struct flight *f)
{
	free(f->lent);
	f->lent = NULL;
}

static void cancel(struct flight *f)
{
	upstream_cancel(f->req);
	give_back(f);
	check_answer(f);
	f->req = NULL;
	f->cancelled = true;
	w.cancels++;
	w.over++;
}

static void pause_or_resume(struct flight *f)
{
	f->paused = !f->paused;
	if (f->paused)
		upstream_pause(f->req);
	else
		upstream_resume(f->req);
	w.pauses++;
}

/* Anything to one that runs. */
static void meddle(void)
{
	struct flight *f = &w.at[model_dice(w.n)];

	if (!w.n || !f->req)
		return;
	if (model_dice(40) == 0)
		cancel(f);
	else
		pause_or_resume(f);
}

static void on_head(void *arg, int status, const char *type)
{
	struct flight *f = arg;

	check(f, f->req && f->heads == 0 && f->dones == 0, "a head too many");
	check(f, strcmp(type, "text/plain") == 0, "another type");
	f->heads++;
	f->status = status;
	if (upstream_sent(f->req))
		give_back(f);
	if (model_dice(8) == 0)
		pause_or_resume(f);
	else if (model_dice(30) == 0)
		cancel(f);
}

static void on_data(void *arg, struct slice data)
{
	struct flight *f = arg;

	check(f, f->req && f->heads == 1 && f->dones == 0, "data where there should be none");
	buf_add(&f->got, data.p, data.n);
	if (model_dice(5) == 0)
		pause_or_resume(f);
	else if (model_dice(60) == 0)
		cancel(f);
	else if (model_dice(10) == 0)
		meddle();
}

static void start(void);

static void on_done(void *arg, enum upstream_result r)
{
	struct flight *f = arg;

	check(f, f->req && f->dones == 0, "an end too many");
	f->dones++;
	f->req = NULL;
	f->result = r;
	w.over++;
	w.results[r]++;
	w.repeats += f->ask.seen == 2;
	give_back(f);
	check_result(f);
	if (model_dice(2))
		start();
}

static void prepare_flight(struct flight *f)
{
	static const char *const methods[] = { "GET", "POST", "POST", "POST", "HEAD" };
	static const size_t bodies[] = { 0, 100, 9000, 100000, 8000000 }; /* a socket takes 3 MB at once */

	f->ask.id = w.n;
	f->ask.method = methods[model_dice(5)];
	f->repeatable = model_dice(2);
	f->ask.may_stall = model_dice(8) == 0;
	f->max_body = model_dice(8) ? UINT64_MAX : model_dice(20000);
	if (strcmp(f->ask.method, "POST") == 0) {
		size_t n = model_dice((unsigned)bodies[model_dice(model_dice(4) ? 3 : 5)] + 1);
		uint8_t *body = mem_new(n + 1);

		for (size_t i = 0; i < n; i++)
			body[i] = (uint8_t)(f->ask.id * 29 + i * 11 + (i >> 8));
		f->ask.body = slice_of(body, n);
		f->lent = mem_new(n + 1);
		memcpy(f->lent, body, n);
	}
}

static void start(void)
{
	struct flight *f = &w.at[w.n];
	struct upstream_call c = {
		.connect_ms = ROUND_MS,
		.on_head = on_head,
		.on_data = on_data,
		.on_done = on_done,
		.arg = f,
	};
	char url[64];

	if (w.n == FLIGHTS || w.n - w.over >= AT_ONCE)
		return;
	prepare_flight(f);
	snprintf(url, sizeof(url), "http%s://127.0.0.1:%u/%u", w.tls ? "s" : "", model_port(w.server), w.n);
	c.method = f->ask.method;
	c.url = url;
	c.body = slice_of(f->lent, f->ask.body.n);
	c.repeatable = f->repeatable;
	c.max_body = f->max_body;
	c.first_byte_ms = c.gap_ms = f->ask.may_stall ? LATE_MS : ROUND_MS / 2;
	w.n++;
	f->started = uv_now(&w.uv);
	f->req = upstream_start(w.up, &c);
	if (model_dice(10) == 0)
		pause_or_resume(f);
}

static void resume_some(unsigned one_in)
{
	for (unsigned i = 0; i < w.n; i++)
		if (w.at[i].req && w.at[i].paused && model_dice(one_in) == 0)
			pause_or_resume(&w.at[i]);
}

static void on_tick(uv_timer_t *t)
{
	(void)t;
	for (unsigned i = model_dice(4); i > 0; i--)
		start();
	resume_some(2);
	if (model_dice(4) == 0)
		meddle();
}

/* Between timers and sockets: what is asked for here is carried out behind what comes next. */
static void on_prepare(uv_prepare_t *p)
{
	(void)p;
	resume_some(8);
	if (model_dice(16) == 0)
		meddle();
}

/* --- rounds --- */

static void round_begin(unsigned seed)
{
	struct upstream_opts o = { .ca_file = w.ca_file, .max_idle = 1 + seed % 4 };

	srand(seed);
	memset(w.at, 0, sizeof(w.at));
	w.n = w.over = 0;
	w.tls = seed % 2;
	uv_loop_init(&w.uv);
	w.server = model_open(&w.uv, w.tls ? w.ctx : NULL, find);
	w.up = upstream_new(&w.uv, &o);
	uv_timer_init(&w.uv, &w.tick);
	uv_timer_start(&w.tick, on_tick, 1, 1);
	uv_prepare_init(&w.uv, &w.prepare);
	uv_prepare_start(&w.prepare, on_prepare);
}

/* With what still runs, if anything: of that nothing is heard any more. */
static void round_end(void)
{
	uv_close((uv_handle_t *)&w.tick, NULL);
	uv_close((uv_handle_t *)&w.prepare, NULL);
	upstream_free(w.up);
	for (unsigned i = 0; i < w.n; i++)
		w.at[i].req = NULL;
	model_close(w.server);
	uv_run(&w.uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w.uv), 0);
	for (unsigned i = 0; i < w.n; i++) {
		struct flight *f = &w.at[i];

		give_back(f);
		free((uint8_t *)f->ask.body.p);
		buf_free(&f->got);
		buf_free(&f->ask.reply[0].payload);
		buf_free(&f->ask.reply[1].payload);
	}
}

static void a_round(unsigned seed)
{
	unsigned files = open_files(), left;
	uint64_t end = uv_hrtime() + UINT64_C(1000000) * ROUND_MS;

	round_begin(seed);
	left = seed % 4 ? 0 : model_dice(AT_ONCE);
	while (w.over + left < FLIGHTS) {
		uv_run(&w.uv, UV_RUN_ONCE);
		if (uv_hrtime() > end)
			fail_msg("%u of %u requests never end", FLIGHTS - w.over, FLIGHTS);
	}
	round_end();
	assert_int_equal(open_files(), files);
}

static void open_tls(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *ca = fake_cert(key, "test authority", NULL, NULL, NULL, -60, 3600);
	X509 *cert = fake_cert(key, "x", "IP:127.0.0.1", ca, key, -60, 3600);

	fake_cert_write(ca, w.ca_file);
	w.ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(w.ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(w.ctx, key), 1);
	X509_free(ca);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static void any_server_is_read_right(void **state)
{
	struct rounds rounds = rounds_begin(2000);
	unsigned seed;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	open_tls();
	uv_loop_init(&w.uv); /* the first one opens what stays open */
	uv_loop_close(&w.uv);
	while (rounds_next(&rounds, 8, &seed)) {
		print_message("SEALWAY_SEED=%u\n", seed);
		a_round(seed);
	}
	print_message("%u rounds: %u whole, %u cut, %u invalid, %u late, %u not connected, %u cancelled, %u "
		      "repeated, %u pauses\n",
		      rounds.n, w.results[UPSTREAM_OK], w.results[UPSTREAM_CUT], w.results[UPSTREAM_INVALID],
		      w.results[UPSTREAM_TIMEOUT], w.results[UPSTREAM_CONNECT], w.cancels, w.repeats,
		      w.pauses);
	assert_true(w.results[UPSTREAM_OK] && w.results[UPSTREAM_CUT] && w.cancels && w.repeats);
	SSL_CTX_free(w.ctx);
	unlink(w.ca_file);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(any_server_is_read_right) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
