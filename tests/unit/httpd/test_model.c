/* SPDX-License-Identifier: Apache-2.0
 *
 * The server against clients and handlers that do anything (model.h): HTTP/1 and
 * HTTP/2, with and without TLS, pipelined, in any pieces, slow, deaf, gone; answers
 * whole and in pieces, ended and cut; deadlines and budgets that are too short; a
 * drain or a close at any moment.  For each request it is known what may become of it:
 * - shown once at most, with exactly what was sent, after the one before it on HTTP/1;
 * - answered with exactly what was written, to the end if it was ended, and not to the
 *   end if it was cut;
 * - gone once, if it was neither, and nothing is heard of it afterwards;
 * and a client that does nothing wrong, where nothing is short, has all its answers.
 * The sums over connections and requests are right at each turn; nothing is left behind.
 *
 * Time is the test's own, so that deadlines cost nothing.  The seed is printed;
 * SEALWAY_SEED sets the first one, SEALWAY_LONG=1 goes on for two minutes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/httpd/internal.h" /* for the sums that must be right */
#include "common/log.h"
#include "tests/unit/clock.h"
#include "tests/unit/httpd/model_handler.h"
#include "tests/unit/httpd/tlsclient.h"
#include "tests/unit/openfiles.h"
#include "tests/unit/rounds.h"
#include "tests/unit/tempdir.h"

#define CLIENTS 10
#define AT_ONCE 6
#define ASKS (CLIENTS * ASKS_MAX)
#define PATTERN (1u << 20)
#define LARGE 300000
#define UNREAD_MAX (400 << 10)
#define TURNS_MAX 100000 /* a round has about a thousand */
#define TURNS_QUICK 5000 /* beyond, the kernel is given time: it acknowledges late */

enum ending { CLIENTS_END, DRAIN, CLOSE };

static struct {
	uv_loop_t uv;
	struct httpd *h;
	struct pair pair;
	struct httpd_tls *keys;
	SSL_CTX *ctx; /* of the clients */
	uint8_t pattern[PATTERN];
	unsigned seed, turn;
	bool tls;
	struct httpd_opts o;
	struct client client[CLIENTS];
	struct ask ask[ASKS];
	unsigned nclients, nasks; /* begun */
	enum ending ending;
	unsigned ending_at;
	bool draining, drained, closed;
	unsigned drains, closes; /* of all rounds */
} w;

/* Slowly where nothing is to be late: the slowest client says more than the 256 bytes a second that a body
 * has to have. */
static void let_time_pass(void)
{
	bool fast = checked.lenient || w.draining;
	unsigned ms = dice(200) == 0 ? dice(fast ? 1000 : 60) : dice(4) ? 0 : dice(fast ? 40 : 3);

	clock_skip(ms);
}

/* --- what may be --- */

void model_fail(const struct ask *a, const char *why)
{
	const struct client *c = a->client;

	print_message("handler: style %d, status %d, payload of %zu, cut at %zu, seen %u, gone %u, begun %d, "
		      "ended %d, aborted %d, written %zu, taken %zu\n",
		      (int)a->style, a->status, a->payload.n, a->stop_at, a->seen, a->gone, a->begun,
		      a->ended, a->aborted, a->written, a->taken);
	print_message("client: asked %d, complete %d, due %d, dropped %d, status %d, length %lld, got %zu, "
		      "whole %d, cut %d, answered %u, ending %d, excused %d, fate %d, step %u\n",
		      a->asked, a->complete, a->due, a->dropped, a->got_status, (long long)a->length, a->got,
		      a->whole, a->cut, c->answered, c->ending, c->excused, (int)c->fate, c->steps);
	fail_msg("SEALWAY_SEED=%u turn %u%s: request %u, %uth of client %u (HTTP/%s%s, %s, body of %zu%s%s): "
		 "%s",
		 w.seed, w.turn,
		 checked.lenient ? ", lenient"
		 : w.draining    ? ", draining"
				 : "",
		 a->id, a->nth, c->id,
		 c->h2    ? "2"
		 : a->old ? "1.0"
			  : "1.1",
		 w.tls ? ", TLS" : "", a->method, a->body.n, a->chunked ? ", chunked" : "",
		 a->expect ? ", expects" : "", why);
}

/* What a client does not read waits at the handler, but for what the kernel takes. */
static void check_taken(const struct client *c)
{
	size_t n = 0;

	for (unsigned i = 0; i < c->n; i++)
		if (!c->ask[i]->dropped && c->ask[i]->taken > c->ask[i]->got)
			n += c->ask[i]->taken - c->ask[i]->got;
	client_must(c, n < UNREAD_MAX || c->garbled || c->fd < 0, "more was taken than fits the socket");
}

static void check_sums(void)
{
	size_t held = 0, answers = 0;
	unsigned open = 0, conns = 0, ncut = 0, reqs = 0;
	h2o_linklist_t *l;

	if (w.closed)
		return;
	for (l = w.h->conns.next; l != &w.h->conns; l = l->next, conns++) {
		const struct conn *c = H2O_STRUCT_FROM_MEMBER(struct conn, all, l);

		held += c->held;
		open += c->open;
		ncut += c->cut;
	}
	for (l = w.h->reqs.next; l != &w.h->reqs; l = l->next, reqs++) {
		const struct hreq *r = H2O_STRUCT_FROM_MEMBER(struct hreq, all, l);

		held += r->held;
		answers += r->counted;
	}
	assert_int_equal(w.h->held, held);
	assert_int_equal(w.h->answers, answers);
	assert_int_equal(w.h->nreqs, reqs);
	assert_int_equal(open, reqs);
	assert_int_equal(w.h->nconns, conns);
	assert_int_equal(w.h->ncut, ncut);
}

/* --- a round --- */

static struct ask *find(unsigned id)
{
	return id < w.nasks ? &w.ask[id] : NULL;
}

static struct ask *any(void)
{
	return w.nasks ? &w.ask[dice(w.nasks)] : NULL;
}

static struct slice piece_of_pattern(size_t max)
{
	return slice_of(w.pattern + dice(PATTERN - LARGE), dice_size(max + 1));
}

static void make_request(struct ask *a, const struct client *c, size_t max)
{
	static const char *const methods[] = { "GET", "POST", "POST", "HEAD" };
	unsigned n = 1 + dice(NOTE_MAX);

	a->method = methods[dice(4)];
	for (unsigned i = 0; i < n; i++)
		a->note[i] = (char)('a' + dice(26));
	if (strcmp(a->method, "POST") == 0) {
		a->body = piece_of_pattern(max);
		a->chunked = dice(2);
		a->expect = !c->h2 && (a->body.n || a->chunked) && dice(5) == 0;
	}
	a->over = a->body.n > w.o.max_body;
	if (a->nth + 1 == c->n && !c->h2) {
		a->close = dice(3) == 0;
		a->old = !a->chunked && !a->expect && dice(5) == 0;
	}
}

static void make_answer(struct ask *a, size_t max)
{
	static const int statuses[] = { 200, 200, 200, 200, 200, 404, 503, 418, 204, 304 };

	a->style = dice(20) ? (enum style)dice(4) : dice(2) ? GIVE_UP : NEVER;
	a->status = statuses[dice(10)];
	a->payload = a->status == 204 ? slice_of(w.pattern, 0) : piece_of_pattern(max);
	a->stop_at = dice(10) ? a->payload.n : dice_size(a->payload.n);
	a->delay = dice(3) ? dice(4) : dice(60);
	a->eager = dice(4) == 0;
}

static void make_client(struct client *c)
{
	static const unsigned pieces[] = { 3, 100, 3000, 65536 };
	unsigned out = dice(4), in = dice(4);
	bool never = false;

	*c = (struct client){
		.id = w.nclients, .h2 = dice(2), .narrow = dice(4) == 0, .may_end = checked.lenient
	};
	c->piece_out = pieces[out];
	c->piece_in = pieces[in] - 1;
	c->lazy = in < 2 || dice(3) ? 1 : 1 + dice(30);
	c->pipelines = dice(2);
	c->lingers = dice(3) == 0;
	c->n = 1 + dice(ASKS_MAX);
	for (unsigned i = 0; i < c->n; i++) {
		struct ask *a = c->ask[i] = &w.ask[w.nasks];

		*a = (struct ask){ .id = w.nasks++, .nth = i, .client = c };
		make_request(a, c, out == 0 ? 300 : out == 1 ? 10000 : LARGE);
		make_answer(a, in == 0 ? 300 : in == 1 ? 10000 : in == 2 ? 60000 : LARGE);
		never = never || (a->style == NEVER && !c->h2);
	}
	if (dice(4) == 0)
		c->fate = (enum fate)(1 + dice(5));
	else if (never)
		c->fate = VANISH;
	c->pipelines = c->pipelines && !never; /* who leaves behind a full socket is not missed */
	c->fate_at = 1 + dice(dice(2) ? 40 : 400);
	w.nclients++;
	client_open(c, httpd_port(w.h), w.tls ? w.ctx : NULL);
}

static void on_drained(void *arg)
{
	(void)arg;
	assert_false(w.drained);
	assert_int_equal(httpd_conns(w.h), 0);
	w.drained = true;
}

static void drain(void)
{
	for (unsigned i = 0; i < w.nasks; i++) {
		struct ask *a = &w.ask[i];

		a->due = a->complete && (a->client->h2 || a->nth == 0);
		a->client->may_end = true;
		a->client->stays = a->client->lingers;
	}
	w.draining = true;
	w.drains++;
	httpd_drain(w.h, on_drained, NULL);
	assert_false(w.drained);
}

static void close_server(void)
{
	if (w.closed)
		return;
	httpd_close(w.h);
	w.closed = true;
	for (unsigned i = 0; i < w.nasks; i++)
		must(&w.ask[i], !w.ask[i].r, "not gone with the server");
}

static unsigned open_clients(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w.nclients; i++)
		n += w.client[i].fd >= 0;
	return n;
}

static void maybe_end(void)
{
	if (w.turn != w.ending_at)
		return;
	if (w.ending == DRAIN) {
		drain();
	} else if (w.ending == CLOSE) {
		checked.lenient = true;
		w.closes++;
		close_server();
	}
}

static void turn(void)
{
	uv_run(&w.uv, UV_RUN_NOWAIT);
	check_sums();
	if (w.nclients < CLIENTS && !w.draining && !w.closed && open_clients() < AT_ONCE && dice(10) == 0)
		make_client(&w.client[w.nclients]);
	for (unsigned i = 0; i < w.nasks; i++)
		if (dice(3) == 0)
			handler_step(&w.ask[i]);
	for (unsigned i = 0; i < w.nclients; i++)
		if (w.client[i].fd >= 0 && dice(8)) {
			client_step(&w.client[i]);
			check_taken(&w.client[i]);
		}
	maybe_end();
	let_time_pass();
	if (++w.turn > TURNS_QUICK)
		usleep(50);
}

static bool finished(void)
{
	if (w.closed)
		return open_clients() == 0;
	if (open_clients() > 0 || httpd_conns(w.h) > 0)
		return false;
	return w.draining ? w.drained : w.nclients == CLIENTS;
}

static void report_hang(void)
{
	for (unsigned i = 0; i < w.nasks; i++) {
		const struct ask *a = &w.ask[i];

		if (a->client->fd >= 0 && !a->whole && !a->cut && !a->dropped)
			model_fail(a, "the round does not end");
	}
	fail_msg("SEALWAY_SEED=%u: the round does not end: %u clients, %u connections", w.seed,
		 open_clients(), httpd_conns(w.h));
}

static void be_short(struct httpd_opts *o)
{
	if (dice(2)) {
		o->head_ms = 100 + dice(1000);
		o->body_ms = 100 + dice(1000);
		o->idle_ms = 100 + dice(1000);
		o->stall_ms = 100 + dice(4000);
	}
	if (dice(2))
		o->body_budget = 1000 + dice_size(400000);
	if (dice(3) == 0)
		o->max_conns = 1 + dice(AT_ONCE);
	if (dice(3) == 0)
		o->max_requests = 1 + dice(10);
}

static void round_begin(unsigned seed)
{
	w.o = (struct httpd_opts){ .listen = "127.0.0.1:0", .on_request = handler_request };

	srand(seed);
	w.seed = seed;
	w.turn = w.nclients = w.nasks = 0;
	w.draining = w.drained = w.closed = false;
	w.tls = dice(2);
	checked.lenient = dice(4) == 0;
	w.o.head_ms = w.o.body_ms = w.o.idle_ms = w.o.stall_ms = 10000000;
	w.o.max_body = dice(3) ? LARGE : 1 + dice_size(20000);
	w.o.body_budget = 1u << 30;
	w.o.max_conns = 100;
	if (checked.lenient)
		be_short(&w.o);
	w.o.tls = w.tls ? w.keys : NULL;
	w.ending = dice(2) ? CLIENTS_END : dice(4) ? DRAIN : CLOSE;
	w.ending_at = 1 + dice(dice(2) ? 100 : 1500);
	uv_loop_init(&w.uv);
	handler_reset(find, any);
	assert_int_equal(httpd_open(&w.h, &w.uv, &w.o), ERR_OK);
}

static void round_end(void)
{
	close_server();
	for (unsigned i = 0; i < 1000 && uv_loop_alive(&w.uv); i++) {
		uv_run(&w.uv, UV_RUN_NOWAIT);
		clock_skip(10); /* what is to be written at the end, and cannot, is seen after two ticks */
	}
	assert_int_equal(uv_loop_close(&w.uv), 0);
	for (unsigned i = 0; i < w.nasks; i++)
		check_ask(&w.ask[i]);
}

static void a_round(unsigned seed)
{
	unsigned files = open_files();

	round_begin(seed);
	while (!finished()) {
		turn();
		if (w.turn > TURNS_MAX)
			report_hang();
	}
	if (!w.closed) {
		assert_int_equal(w.h->held, 0);
		assert_int_equal(w.h->answers, 0);
		assert_int_equal(w.h->nreqs, 0);
	}
	round_end();
	assert_int_equal(open_files(), files);
}

static void any_client_is_served_right(void **state)
{
	struct rounds rounds = rounds_begin(2000);
	unsigned seed;
	char dir[TEMPDIR_ROOM];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	clock_stop();
	log_init("test", LOG_ERROR, false);
	tempdir_make(dir);
	pair_make(&w.pair, dir, "model");
	assert_int_equal(httpd_tls_open(&w.keys, w.pair.cert, w.pair.key), ERR_OK);
	w.ctx = SSL_CTX_new(TLS_client_method());
	for (size_t i = 0; i < PATTERN; i++)
		w.pattern[i] = (uint8_t)dice(256);
	uv_loop_init(&w.uv); /* the first one opens what stays open */
	uv_loop_close(&w.uv);
	while (rounds_next(&rounds, 8, &seed)) {
		print_message("SEALWAY_SEED=%u\n", seed);
		a_round(seed);
	}
	print_message(
		"%u rounds: %u whole (%u required), %u cut; %u shown, %u gone, %u aborted; %u drains, %u "
		"closes\n",
		rounds.n, checked.whole, checked.required, checked.cut, handler_sums.seen, handler_sums.gone,
		handler_sums.aborted, w.drains, w.closes);
	assert_true(checked.required && checked.cut && handler_sums.gone && handler_sums.aborted);
	SSL_CTX_free(w.ctx);
	httpd_tls_free(w.keys);
	pair_remove(&w.pair);
	tempdir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(any_client_is_served_right) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
