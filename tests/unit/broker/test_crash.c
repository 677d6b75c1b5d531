/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that is killed at any moment leaves a sound ledger, and nothing that
 * was acknowledged is missing from it.  Each round: a child opens the database,
 * takes up what it finds, does random things through ledger and store, reports
 * every acknowledged settlement through a pipe, and is killed; the parent looks.
 */
#include "tests/unit/broker/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "broker/ledger.h"
#include "broker/node.h"
#include "broker/store.h"
#include "tests/unit/broker/disk.h"

#define ROUNDS 25
#define OPEN_MAX 64

struct walk {
	uv_loop_t loop;
	struct store *store;
	struct ledger *ledger;
	struct registry *registry;
	struct user *user;
	struct reservation *open[OPEN_MAX];
	int report;
};

static struct walk w;

static void on_row(void *arg, const struct store_op *op)
{
	(void)arg;
	assert_int_equal(registry_apply(w.registry, op), ERR_OK);
	assert_int_equal(ledger_apply(w.ledger, op), ERR_OK);
}

static void on_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("%s\n", text);
}

static void take_up(const char *path)
{
	uint64_t epoch;

	memset(&w, 0, sizeof(w));
	assert_int_equal(uv_loop_init(&w.loop), 0);
	w.ledger = ledger_new();
	w.registry = registry_new();
	assert_int_equal(store_open(&w.store, &w.loop, path, &epoch), ERR_OK);
	assert_true(store_check(path, on_problem, NULL));
	assert_int_equal(store_load(w.store, on_row, NULL), ERR_OK);
	assert_true(ledger_check(w.ledger, on_problem, NULL));
	w.user = ledger_user_named(w.ledger, SLICE_STR("alice"));
}

static void put_down(void)
{
	store_close(w.store);
	uv_run(&w.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w.loop), 0);
	ledger_free(w.ledger);
	registry_free(w.registry);
}

static void begin(void)
{
	struct row_node row = { .id = 1, .state = NODE_ACTIVE };
	struct store_op *op;
	struct node *n;

	assert_int_equal(ledger_user_add(w.ledger, SLICE_STR("alice"), 1, &w.user, &op), ERR_OK);
	store_submit(w.store, op);
	assert_int_equal(ledger_fund(w.ledger, w.user, 100000000, "test", "start", 1, &op), ERR_OK);
	store_submit(w.store, op);
	assert_int_equal(registry_node_add(w.registry, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n),
			 ERR_OK);
	store_submit(w.store, node_op(n));
	(void)registry_model_add(w.registry, SLICE_STR("demo"), &op);
	store_submit(w.store, op);
}

/* An acknowledged settlement of so many units. */
static void on_settled(void *arg, enum err result)
{
	uint32_t units = (uint32_t)(uintptr_t)arg;

	if (result == ERR_OK && write(w.report, &units, sizeof(units)) != sizeof(units))
		_exit(3);
}

static void settle(struct reservation *r)
{
	struct row_settlement row = { .billed = r->units ? (uint64_t)rand() % (r->units + 1) : 0,
				      .at = 86400 };
	struct store_op *op;

	row.completion = row.billed;
	op = ledger_settle(w.ledger, r, &row);
	op->done = on_settled;
	op->arg = (void *)(uintptr_t)row.billed;
	store_submit(w.store, op);
}

static void step(void)
{
	struct stack *st = ledger_room(w.ledger, w.user, 1, 1, UINT64_MAX);
	uint8_t key[KEY_BYTES] = { (uint8_t)(rand() % 3) }, rid[RID_BYTES];
	struct reserve_ask ask = { .rid = rid, .node_key = key, .units = (uint64_t)(rand() % 300) };
	int i = rand() % OPEN_MAX;
	struct store_op *op = NULL;
	struct lock *k;

	for (int b = 0; b < RID_BYTES; b++)
		rid[b] = (uint8_t)rand();
	switch (rand() % 6) {
	case 0:
		if (ledger_buy(w.ledger, w.user, 1, 1, 1 + (uint64_t)(rand() % 1000),
			       (uint64_t)(rand() % 9000), 1, &st, &op) != ERR_OK)
			return;
		break;
	case 1:
		if (!st || ledger_lock(w.ledger, st, key, ask.units, 0, rand(), &k, &op) != ERR_OK)
			return;
		break;
	case 2:
		if (!st || !st->locks)
			return;
		op = ledger_lock_end(w.ledger, st->locks);
		break;
	case 3:
	case 4:
		ask.lock = st ? ledger_lock_match(st, key, ask.units) : NULL;
		if (!st || w.open[i] || ledger_reserve(w.ledger, st, &ask, &w.open[i], &op) != ERR_OK)
			return;
		break;
	default:
		if (w.open[i])
			settle(w.open[i]);
		w.open[i] = NULL;
		return;
	}
	store_submit(w.store, op);
}

/* What an earlier life left in flight is settled first, as after a restart. */
static void adopt(void)
{
	struct reservation *r;
	size_t pos = 0;

	while ((r = ledger_next_reservation(w.ledger, &pos)) != NULL)
		settle(r);
}

static void child(const char *path, int report, unsigned seed)
{
	srand(seed);
	take_up(path);
	w.report = report;
	if (!w.user)
		begin();
	adopt();
	for (;;) {
		for (int i = rand() % 40; i > 0; i--)
			step();
		uv_run(&w.loop, UV_RUN_NOWAIT);
	}
}

static uint64_t spent(void)
{
	uint64_t sum = 0;
	struct stack *st;
	size_t pos = 0;

	while ((st = ledger_next_stack(w.ledger, &pos)) != NULL)
		sum += st->spent;
	return sum;
}

/* Lets a child live for ms; the units that it was told are settled. */
static uint64_t live_and_die(const char *path, unsigned seed, unsigned ms)
{
	uint64_t sum = 0;
	uint32_t units;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		child(path, fds[1], seed);
	}
	close(fds[1]);
	if (ms % 2) /* on a busy machine, too, every other one gets to do something */
		(void)poll(&(struct pollfd){ .fd = fds[0], .events = POLLIN }, 1, 5000);
	usleep(ms * 1000);
	kill(pid, SIGKILL);
	while (read(fds[0], &units, sizeof(units)) == sizeof(units))
		sum += units;
	close(fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return sum;
}

static void killed_at_any_moment(void **state)
{
	const char *path = disk_new();
	unsigned seed = 77;
	uint64_t acknowledged = 0;

	(void)state;
	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		acknowledged += live_and_die(path, seed + round, 20 + (round * 37) % 120);
		take_up(path);
		if (w.user)
			assert_true(spent() >= acknowledged);
		acknowledged = spent(); /* committed, but the child died before it heard of it */
		put_down();
	}
	assert_true(acknowledged > 0);
	assert_true(store_check(path, on_problem, NULL));
	disk_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
