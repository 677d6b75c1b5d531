/* SPDX-License-Identifier: Apache-2.0
 *
 * A gateway's loop, but for its sockets, between a broker, three workers and the clients of model_http.h,
 * message by message: a broker that is silent, goes away, starts again, takes us for dead, answers late,
 * twice or badly; workers that die and come back behind the same endpoint, whose frames are lost with a
 * connection, that say what nobody may, of their own requests and of others'; clients that read slowly or
 * leave; and time.  Of each request it is known what may become of it:
 * - its client gets the bytes of one answer from the beginning, each once and in order; the end only when
 *   that answer was said to its end and all of it has come; else a status, or an error and a cut; one of
 *   these, and once;
 * - it gets all of it where nobody was at fault but others (calm rounds);
 * - no worker is granted more than the window ahead of what the client took;
 * - a worker that begins an answer that nobody waits for is told to stop;
 * - when everybody has said what they had to, nothing is left of it.
 *
 * Seeds as in tests/unit/rounds.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "gateway/inflight.h"
#include "gateway/link.h"
#include "gateway/metrics.h"
#include "gateway/reply.h"
#include "gateway/serve.h"
#include "gateway/stream.h"
#include "gateway/workers.h"
#include "tests/unit/gateway/body.h"
#include "tests/unit/gateway/model_world.h"

#define QUIET_MS 8000000 /* by then every deadline has passed */
#define SWEEP_MS 30000

/* --- sockets --- */

static enum err on_sent(struct zsock *z, struct zmsg *parts, size_t n)
{
	(void)n;
	if (z == world.bus)
		return model_broker_told(zmsg_slice(&parts[0]));
	for (unsigned i = 0; i < WORKERS; i++)
		if (world.worker[i].z == z)
			return model_worker_told(i, zmsg_slice(&parts[0]));
	fail_msg("sent where nobody is");
	return ERR_CLOSED;
}

static void on_connected(struct zsock *z, const char *endpoint)
{
	unsigned number;

	if (sscanf(endpoint, "ipc://worker%u", &number) != 1) {
		if (world.bus == z) { /* it tries the next one of its list, which is the same here */
			bus_drop(&world.in);
			bus_drop(&world.out);
			world.welcomed = false;
		}
		world.bus = z;
		return;
	}
	bus_drop(&world.worker[number].pipe);
	world.worker[number].z = z;
	world.worker[number].connected = true;
	world.worker[number].known_as = world.introduced;
}

static void on_closed(struct zsock *z)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (world.worker[i].z == z) {
			bus_drop(&world.worker[i].pipe);
			world.worker[i].z = NULL;
		}
}

/* --- clients --- */

static void ask(void)
{
	struct client *c = &world.client[world.n];
	struct buf body = { 0 };

	if (world.n == CLIENTS)
		return;
	world.n++;
	world.clients++;
	c->asks = once_in(6) ? (enum asks)(1 + dice(2)) : ASK_JOB;
	c->stream = c->asks == ASK_JOB && !once_in(3);
	c->stalls = once_in(6);
	if (c->asks == ASK_MODELS) {
		http_init(&c->http, "GET", "/v1/models", NULL);
	} else if (c->asks == ASK_LOCK) {
		buf_str(&body, "{\"model\":\"demo\"}");
		http_init(&c->http, "POST", "/v1/nodes/lock", &body);
	} else {
		body_with(&body, "stream", c->stream ? "true" : "false");
		http_init(&c->http, "POST", "/v1/confidential/chat/completions", &body);
	}
	world.asking = c;
	serve_request(&world.gw, &c->http);
	world.asking = NULL;
}

static bool begins(const struct stream *s, const struct buf *got)
{
	return got->n <= s->text.n && memcmp(got->p, s->text.p, got->n) == 0;
}

/* What c got is the beginning of one answer to it; of a whole one, all of it. */
static void check_got(const struct client *c, bool all)
{
	const struct buf *got = &c->http.got;

	for (unsigned i = 0; i < world.n_streams; i++) {
		const struct stream *s = &world.stream[i];

		if (s->c == c && (got->n == 0 || (begins(s, got) && got->n <= s->granted)) &&
		    (!all || (s->whole && got->n == s->text.n)))
			return;
	}
	world_check(c, got->n == 0 && !all,
		    all ? "the end, and it was not whole" : "bytes that are of no answer");
}

static void check_end(struct client *c)
{
	c->checked = true;
	check_got(c, c->http.end == HTTP_ENDED);
	switch (c->http.end) {
	case HTTP_ENDED:
		world.wholes++;
		world_check(c, c->stream || c->http.got.n == c->http.length, "another length than was said");
		break;
	case HTTP_ABORTED:
		world.cut++;
		world_check(c, c->http.error_event == c->stream, "cut without a word");
		world_check(c, !world.calm, "cut, and nobody was at fault");
		break;
	case HTTP_RESPONDED:
		world.refused++;
		world_check(c, c->http.status >= 400 || c->answered, "an answer that nobody gave");
		world_check(c, !world.calm || c->refused || c->answered, "refused, and nobody did");
		break;
	default:
		world.left++;
	}
}

/* Whoever works for it is told, or those who could be. */
static void leave(struct client *c)
{
	bool can = c->http.begun || link_up(world.gw.link);
	unsigned before = world.cancels;

	http_leave(&c->http);
	world_check(c, c->asks != ASK_JOB || !can || !world.connected || world.cancels > before,
		    "gone, and nobody was told");
}

static void client_turn(struct client *c)
{
	if (c->http.end == HTTP_OPEN && (world.quiet || (!c->stalls && once_in(3))))
		http_take(&c->http, world.quiet || once_in(4) ? SIZE_MAX : dice(30000));
	if (c->http.end == HTTP_OPEN && !world.calm && !world.quiet && once_in(500))
		leave(c);
	check_got(c, false);
	world_check(c, c->http.end != HTTP_OPEN || c->http.waiting <= FLIGHT_WINDOW_MAX + 1000,
		    "too much waits for it");
	if (c->http.end != HTTP_OPEN && !c->checked)
		check_end(c);
}

/* --- the gateway --- */

static uint32_t on_load(void *arg)
{
	return (uint32_t)inflight_count(((struct gw *)arg)->inflight);
}

/* As in thread.c. */
static void on_up(void *arg, bool forgotten)
{
	struct gw *gw = arg;

	workers_mark(gw->workers);
	if (forgotten)
		stream_forgotten(gw);
	else
		stream_ask_all(gw);
	for (unsigned i = 0; i < world.n && forgotten; i++)
		world_check(&world.client[i],
			    world.client[i].http.end != HTTP_OPEN || world.client[i].asks != ASK_JOB,
			    "forgotten by the broker, and still open");
}

static void set_conf(void)
{
	world.conf = (struct gw_conf){ .cors_origin = "",
				       .max_body = 1 << 20,
				       .body_budget = 1 << 28,
				       .max_inflight = 4096,
				       .control_ms = 100000,
				       .dispatch_ms = 30000,
				       .connect_ms = 5000,
				       .first_byte_ms = 120000,
				       .gap_ms = 10000,
				       .stream_ms = 3600000,
				       .keepalive_ms = 15000 };
}

static void open_gateway(void)
{
	struct gw *gw = &world.gw;
	struct workers_opts wo = { .topic = 7,
				   .max = 8,
				   .frame = stream_frame,
				   .gone = stream_worker_gone,
				   .busy = stream_worker_busy,
				   .arg = gw };
	struct link_opts lo = { .brokers = "ipc://broker ipc://other",
				.name = "model",
				.topic = 7,
				.heartbeat_ms = 1000,
				.window = world.conf.body_budget,
				.load = on_load,
				.up = on_up,
				.down = stream_broker_gone,
				.msg = reply_msg,
				.arg = gw };

	memset(gw, 0, sizeof(*gw));
	gw->conf = &world.conf;
	gw->uv = &world.uv;
	gw->topic = 7;
	gw->window_room = WINDOW_ROOM;
	gw->inflight = inflight_new(gw, stream_due);
	gw->workers = workers_open(NULL, &world.uv, &wo);
	assert_int_equal(link_open(&gw->link, NULL, &world.uv, &lo), ERR_OK);
}

static void close_gateway(void)
{
	world.closing = true;
	stream_cut_all(&world.gw);
	link_close(world.gw.link);
	workers_close(world.gw.workers);
	inflight_free(world.gw.inflight);
}

static void sweep(void)
{
	if (world_now() - world.swept < SWEEP_MS)
		return;
	world.swept = world_now();
	if (link_up(world.gw.link))
		workers_sweep(world.gw.workers);
}

static void turn(void)
{
	model_broker_turn();
	for (unsigned i = 0; i < WORKERS; i++)
		model_worker_turn(i);
	if (!world.quiet && once_in(8) && (!world.calm || link_up(world.gw.link)))
		ask();
	for (unsigned i = 0; i < world.n; i++)
		client_turn(&world.client[i]);
	uv_run(&world.uv, UV_RUN_NOWAIT);
	sweep();
}

/* --- rounds --- */

static void round_begin(void)
{
	memset(world.client, 0, sizeof(world.client));
	memset(world.stream, 0, sizeof(world.stream));
	memset(world.worker, 0, sizeof(world.worker));
	world.n = world.n_streams = 0;
	world.quiet = world.closing = world.mute = world.welcomed = false;
	world.calm = once_in(3);
	world.connected = true;
	world.epoch = 10;
	world.member = 1;
	world.instances = 1000;
	for (unsigned i = 0; i < WORKERS; i++) {
		world.worker[i].instance = ++world.instances;
		world.worker[i].up = true;
	}
	uv_loop_init(&world.uv);
	world.swept = world_now();
	open_gateway();
}

static void grow_quiet(void)
{
	uint64_t end = world_now() + QUIET_MS;

	world.quiet = world.connected = true;
	world.mute = false;
	for (unsigned i = 0; i < WORKERS; i++)
		world.worker[i].connected = world.worker[i].z != NULL;
	while (inflight_count(world.gw.inflight)) {
		clock_skip(1 + dice(world.calm ? 50 : 2000));
		turn();
		for (unsigned i = 0; i < world.n && world_now() >= end; i++)
			world_check(&world.client[i], world.client[i].http.end != HTTP_OPEN, "never over");
	}
	turn();
}

static void check_nothing_is_left(void)
{
	assert_int_equal(world.gw.window_room, WINDOW_ROOM);
	assert_int_equal(metrics.inflight.value, 0);
	assert_int_equal(metrics.streams.value, 0);
	for (unsigned i = 0; i < world.n; i++)
		world_check(&world.client[i], world.client[i].http.end != HTTP_OPEN,
			    "open, and nobody knows of it");
}

static void a_round(void)
{
	unsigned turns = 50 + dice(400);
	unsigned pace = once_in(3) ? 300 : 20; /* ms */

	round_begin();
	while (turns-- > 0) {
		clock_skip(!world.calm && once_in(100) ? dice(20000) : dice(once_in(10) ? 200 : pace));
		turn();
	}
	if (!once_in(8)) {
		grow_quiet();
		check_nothing_is_left();
	}
	close_gateway();
	uv_run(&world.uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world.uv), 0);
	assert_true(bus_end());
	for (unsigned i = 0; i < world.n; i++)
		http_fini(&world.client[i].http);
	for (unsigned i = 0; i < world.n_streams; i++)
		buf_free(&world.stream[i].text);
	bus_drop(&world.in);
	bus_drop(&world.out);
}

static void whatever_happens_clients_are_answered_right(void **state)
{
	unsigned rounds;

	(void)state;
	log_init("model", getenv("SEALWAY_LOG") ? LOG_DEBUG : LOG_ERROR, false);
	bus_events = (struct bus_events){ .sent = on_sent, .connected = on_connected, .closed = on_closed };
	set_conf();
	rounds = model_rounds(20, a_round);
	print_message("%u rounds, %u clients: %u whole, %u cut, %u refused or answered, %u left; %u strays\n",
		      rounds, world.clients, world.wholes, world.cut, world.refused, world.left,
		      world.strays);
	assert_true(world.wholes && world.cut && world.refused && world.left && world.strays);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(
		whatever_happens_clients_are_answered_right, model_say_seed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
