/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole worker, but for its sockets, between two brokers, three gateways and the nodes of model_node.h,
 * message by message: brokers that are silent, go away, start again, say things twice or badly; gateways that
 * read slowly, grant late, too much, or for what is another's, and vanish; nodes that do anything; and time.
 * Of each request it is known what may become of it:
 * - what is published is the answer's bytes from the beginning, each frame once and in order, never more than
 *   was granted, the end only behind all of it; whoever nobody disturbed gets all of it;
 * - it is settled once, in the same words as often as they are repeated, with the node's receipt wherever
 *   there is one to be had, until the broker has it; or it is given back, and its node was never asked;
 * - nodes are not read while something of theirs waits for a gateway;
 * - when everybody has said what they had to, nothing is left of it.
 *
 * Seeds as in tests/unit/rounds.h.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/map.h"
#include "tests/unit/worker/model_world.h"
#include "worker/metrics.h"
#include "worker/publish_impl.h"
#include "worker/task_impl.h"

#define CAPACITY 8
#define STREAM_S 100
#define QUIET_MS 500000 /* by then everything has ended */

static struct node_job *find_node_job(unsigned number)
{
	return number < world.n ? &world.job[number].n : NULL;
}

/* --- sockets --- */

static enum err on_sent(struct zsock *z, struct zmsg *parts, size_t n)
{
	struct slice bytes = zmsg_slice(&parts[0]);

	assert_int_equal(n, 1);
	if (z == world.pub)
		return model_published(bytes);
	for (unsigned i = 0; i < BROKERS; i++)
		if (world.broker[i].z == z)
			return model_broker_told(&world.broker[i], bytes);
	fail_msg("sent where nobody is");
	return ERR_CLOSED;
}

static void on_opened(struct zsock *z, enum zsock_type type)
{
	if (type == ZSOCK_XPUB)
		world.pub = z;
	else
		world.broker[world.n_dealers++].z = z;
}

/* --- the worker --- */

static void open_worker(void)
{
	static const uint8_t a[32] = { 0xa }, b[32] = { 0xb };
	struct worker *k = &world.worker;
	struct publish_opts po = { .uv = &world.uv,
				   .zauth = world.curve ? (struct zauth *)&world
							: NULL, /* never looked into */
				   .bind = "ipc://pub",
				   .queue_max = world.small_queue ? 20000 : 1 << 20,
				   .grace_ms = 3000,
				   .ev = worker_publish_events(k) };
	struct upstream_opts up = { .ca_file = "" };
	struct receipts_opts ro = { .uv = &world.uv, .keys = &k->keys, .connect_ms = 1000, .pace_ms = 100 };
	struct tasks_opts to = {
		.uv = &world.uv, .conf = &k->conf, .keys = &k->keys, .send = worker_send, .arg = k
	};

	k->conf = (struct worker_conf){ .capacity = CAPACITY,
					.connect_s = 5,
					.first_byte_s = 20,
					.gap_s = 10,
					.stream_s = STREAM_S,
					.stop_s = 4,
					.max_event = 200000,
					.max_answer = 300000,
					.answer_budget = 400000 };
	to.instance = k->instance = 4711;
	k->keys.request = sign_key_new(a);
	k->keys.auth = sign_key_new(b);
	assert_int_equal(publish_open(&po, &k->publish), ERR_OK);
	to.publish = k->publish;
	to.upstream = ro.upstream = k->upstream = upstream_new(&world.uv, &up);
	to.receipts = k->receipts = receipts_new(&ro);
	to.settles = k->settles = settle_book_new(&world.uv, worker_send_settle, k);
	k->tasks = tasks_new(&to);
	k->wanted = wanted_new(k->receipts, k->settles, CAPACITY);
	k->probes = probes_new(k->upstream, worker_send_probed, k);
	for (unsigned i = 0; i < BROKERS; i++) {
		struct link_opts lo = { .uv = &world.uv,
					.number = i,
					.endpoint = "ipc://broker",
					.instance = k->instance,
					.advertise = "ipc://pub",
					.capacity = CAPACITY,
					.interval_ms = 1000,
					.ev = worker_link_events(k) };

		assert_int_equal(link_open(&lo, &k->links[i]), ERR_OK);
		k->n_links++;
	}
}

static void close_worker(void)
{
	struct worker *k = &world.worker;

	for (unsigned i = 0; i < BROKERS; i++)
		link_close(k->links[i]);
	probes_free(k->probes);
	wanted_free(k->wanted);
	tasks_free(k->tasks);
	settle_book_free(k->settles);
	receipts_free(k->receipts);
	upstream_free(k->upstream);
	publish_close(k->publish);
	sign_key_free(k->keys.request);
	sign_key_free(k->keys.auth);
	memset(k, 0, sizeof(*k));
}

/* What must hold between any two turns. */
static void look_inside(void)
{
	uint64_t answers = 0;
	struct task *one;
	size_t pos = 0;

	while ((one = map_next(world.worker.tasks->map, &pos)))
		answers += one->whole.n + (one->w.stream ? 0 : one->out.n);
	assert_true(answers == world.worker.tasks->answer_bytes);
	for (unsigned i = 0; i < world.n; i++) {
		const struct request *j = &world.job[i];
		struct task *t = map_get(world.worker.tasks->map, j->n.w.rid);

		if (t && t->w.attempt == j->n.w.attempt && t->publishing && t->out_at < t->out.n)
			world_check(j, !node_is_read(&j->n), "its node is read while something waits");
	}
	for (unsigned i = 0; i < GATEWAYS; i++) {
		const struct topic *t = publish_topic(world.worker.publish, world.gateway[i].topic);

		/* one frame of bytes, and heads and ends, which are small */
		assert_true(!t || (t->bytes <= world.worker.publish->o.queue_max &&
				   t->bytes < CHUNK_BYTES_MAX + 200 * (1 + 2 * CAPACITY)));
	}
}

static void turn(void)
{
	for (unsigned i = 0; i < BROKERS; i++)
		model_broker_turn(&world.broker[i]);
	for (unsigned i = 0; i < GATEWAYS; i++)
		model_gateway_turn(&world.gateway[i]);
	uv_update_time(&world.uv);
	node_turn(world_now(), world.quiet ? 1 : 2 + dice(4));
	uv_run(&world.uv, UV_RUN_NOWAIT);
	look_inside();
}

/* --- rounds --- */

static void drain(void)
{
	tasks_drain(world.worker.tasks);
	for (unsigned i = 0; i < BROKERS; i++)
		link_drain(world.worker.links[i]);
}

static void round_begin(void)
{
	memset(world.job, 0, sizeof(world.job));
	memset(world.broker, 0, sizeof(world.broker));
	memset(world.gateway, 0, sizeof(world.gateway));
	world.n = world.n_dealers = world.probes = world.probed = 0;
	world.quiet = false;
	world.curve = !once_in(3);
	world.small_queue = once_in(6);
	world.calm = once_in(2);
	for (unsigned i = 0; i < GATEWAYS; i++) {
		world.gateway[i].topic = 70 + i;
		memset(world.gateway[i].key, (int)(1 + i), KEY_BYTES);
		world.gateway[i].wants = true;
		world.gateway[i].room = 1 + dice(once_in(2) ? 4 : 1000);
	}
	for (unsigned i = 0; i < BROKERS; i++) {
		world.broker[i].epoch = 10 + i;
		world.broker[i].connected = true;
	}
	stat_set(&metrics.settling, 0); /* of a book that was closed in the middle */
	uv_loop_init(&world.uv);
	open_worker();
}

static bool is_quiet(void)
{
	const struct worker *k = &world.worker;

	return link_up(k->links[0]) && link_up(k->links[1]) && world.broker[0].welcomed &&
	       world.broker[1].welcomed && !world.broker[0].owed_hello && !world.broker[1].owed_hello &&
	       !tasks_count(k->tasks) && !settle_count(k->settles) && !wanted_count(k->wanted) &&
	       !probes_count(k->probes) && !node_running() && !metrics.queue_bytes.value &&
	       !world.broker[0].out.n && !world.broker[1].out.n && !world.broker[0].in.n &&
	       !world.broker[1].in.n && !world.gateway[0].pipe.n && !world.gateway[1].pipe.n &&
	       !world.gateway[2].pipe.n;
}

static void grow_quiet(void)
{
	uint64_t end;

	world.quiet = true;
	for (unsigned i = 0; i < BROKERS; i++) {
		world.broker[i].connected = true;
		world.broker[i].mute = false;
	}
	for (unsigned i = 0; i < GATEWAYS; i++) {
		world.gateway[i].room = 1000;
		world.gateway[i].wants |= once_in(2);
	}
	turn();
	for (unsigned i = 0; i < world.n; i++) /* what was taken and not granted yet */
		if (world.gateway[world.job[i].gateway].allowed)
			model_gateway_grants(&world.gateway[world.job[i].gateway], &world.job[i],
					     world.job[i].n.w.attempt, CREDIT_INITIAL);
	end = world_now() + QUIET_MS;
	while (!is_quiet()) {
		clock_skip(1 + dice(once_in(4) ? 1000 : 20));
		turn();
		for (unsigned i = 0; i < world.n && world_now() >= end; i++)
			if (tasks_has(world.worker.tasks, world.job[i].n.w.rid))
				world_check(&world.job[i], false, "never over");
		assert_true(world_now() < end);
	}
}

static void check_gauges(void)
{
	for (unsigned i = 0; i < BROKERS; i++) {
		assert_false(world.broker[i].owed_hello);
		for (unsigned n = 0; n < GATEWAYS; n++)
			if (world.broker[i].names[n] &&
			    world.broker[i].heard[n] !=
				    publish_heard(world.worker.publish, world.gateway[n].topic))
				fail_msg("gateway %u, as broker %u has it, is heard: %d", n, i,
					 world.broker[i].heard[n]);
	}
	assert_int_equal(world.probed, world.probes);
	assert_int_equal(metrics.tasks.value, 0);
	assert_int_equal(metrics.paused.value, 0);
	assert_int_equal(metrics.queue_bytes.value, 0);
	assert_int_equal(metrics.answer_bytes.value, 0);
	assert_int_equal(metrics.settling.value, 0);
	assert_true(world.worker.tasks->answer_bytes == 0);
}

/* What must have come of j by now. */
static void check_job(const struct request *j)
{
	if (j->wanted) {
		world_check(j, !j->settle.n || j->acked, "not acknowledged, and quiet");
		return;
	}
	if (!j->given)
		return;
	if (!j->posted) {
		world_check(j, j->returns > 0, "neither posted nor given back");
		world.returned++;
		return;
	}
	world_check(j, j->settle.n && j->acked, "never settled");
	world_check(j, !j->owes_stop || j->n.stop_calls, "its node was never told to stop");
	world.untold += j->untold;
	world.stopped += j->cancelled;
	world.wholes += j->ended && !j->error;
	world.errors += j->ended && j->error;
	if (j->disturbed || world.small_queue)
		return;
	world.undisturbed++;
	world_check(j, j->ended || j->untold, "its client waits for ever");
	world_check(j, !j->n.whole || !j->error, "whole, and its client was told otherwise");
	world_check(j, j->error || j->untold || j->sent == j->n.want.n, "its client has not got all of it");
}

static void a_round(void)
{
	unsigned turns = 50 + dice(500);
	bool in_the_middle;

	round_begin();
	while (turns-- > 0) {
		if (once_in(3000))
			drain();
		clock_skip(once_in(200) ? dice(8000) : dice(once_in(10) ? 300 : 20));
		turn();
	}
	in_the_middle = once_in(8);
	if (!in_the_middle) {
		grow_quiet();
		check_gauges();
		for (unsigned i = 0; i < world.n; i++)
			check_job(&world.job[i]);
	}
	close_worker();
	uv_run(&world.uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&world.uv), 0);
	assert_true(bus_end());
	for (unsigned i = 0; i < world.n; i++) {
		node_job_fini(&world.job[i].n);
		buf_free(&world.job[i].settle);
	}
	for (unsigned i = 0; i < BROKERS; i++) {
		bus_drop(&world.broker[i].in);
		bus_drop(&world.broker[i].out);
	}
	for (unsigned i = 0; i < GATEWAYS; i++)
		bus_drop(&world.gateway[i].pipe);
}

static void whatever_happens_requests_end_right(void **state)
{
	unsigned rounds;

	(void)state;
	log_init("model", getenv("SEALWAY_LOG") ? LOG_DEBUG : LOG_ERROR, false);
	bus_events = (struct bus_events){ .opened = on_opened,
					  .sent = on_sent,
					  .allowed = model_gateway_allowed,
					  .denied = model_gateway_denied };
	node_find = find_node_job;
	rounds = model_rounds(20, a_round);
	print_message("%u rounds, %u requests: %u whole, %u errors, %u stopped, %u given back, %u untold, %u "
		      "gaps seen; "
		      "%u undisturbed\n",
		      rounds, world.jobs, world.wholes, world.errors, world.stopped, world.returned,
		      world.untold, world.gaps, world.undisturbed);
	assert_true(world.wholes && world.errors && world.stopped && world.returned && world.untold &&
		    world.gaps && world.undisturbed);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(whatever_happens_requests_end_right,
								      model_say_seed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
