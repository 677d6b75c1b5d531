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

#include "tests/unit/broker/books.h"
#include "tests/unit/broker/disk.h"

#define ROUNDS 25
#define OPEN_MAX 64

struct walk {
	struct books k;
	struct reservation *open[OPEN_MAX];
	int report;
};

static struct walk w;

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
	op = ledger_settle(w.k.ledger, r, &row);
	op->done = on_settled;
	op->arg = (void *)(uintptr_t)row.billed;
	store_submit(w.k.store, op);
}

static void step(void)
{
	struct stack *st = ledger_room(w.k.ledger, w.k.user, 1, 1, UINT64_MAX);
	uint8_t key[KEY_BYTES] = { (uint8_t)(rand() % 3) }, rid[RID_BYTES];
	struct reserve_ask ask = { .rid = rid, .node_key = key, .units = (uint64_t)(rand() % 300) };
	int i = rand() % OPEN_MAX;
	struct store_op *op = NULL;
	struct lock *k;

	for (int b = 0; b < RID_BYTES; b++)
		rid[b] = (uint8_t)rand();
	switch (rand() % 6) {
	case 0:
		if (ledger_buy(w.k.ledger, w.k.user, 1, 1, 1 + (uint64_t)(rand() % 1000),
			       (uint64_t)(rand() % 9000), 1, &st, &op) != ERR_OK)
			return;
		break;
	case 1:
		if (!st || ledger_lock(w.k.ledger, st, key, ask.units, 0, rand(), &k, &op) != ERR_OK)
			return;
		break;
	case 2:
		if (!st || !st->locks)
			return;
		op = ledger_lock_end(w.k.ledger, st->locks);
		break;
	case 3:
	case 4:
		ask.lock = st ? ledger_lock_match(st, key, ask.units) : NULL;
		if (!st || w.open[i] || ledger_reserve(w.k.ledger, st, &ask, &w.open[i], &op) != ERR_OK)
			return;
		break;
	default:
		if (w.open[i])
			settle(w.open[i]);
		w.open[i] = NULL;
		return;
	}
	store_submit(w.k.store, op);
}

/* What an earlier life left in flight is settled first, as after a restart. */
static void adopt(void)
{
	struct reservation *r;
	size_t pos = 0;

	while ((r = ledger_next_reservation(w.k.ledger, &pos)) != NULL)
		settle(r);
}

static void child(const char *path, int report, unsigned seed)
{
	srand(seed);
	books_open(&w.k, path);
	w.report = report;
	if (!w.k.user)
		books_begin(&w.k);
	adopt();
	for (;;) {
		for (int i = rand() % 40; i > 0; i--)
			step();
		uv_run(&w.k.loop, UV_RUN_NOWAIT);
	}
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
		books_open(&w.k, path);
		if (w.k.user)
			assert_true(books_spent(&w.k) >= acknowledged);
		acknowledged = books_spent(&w.k); /* committed, but the child died before it heard of it */
		books_close(&w.k);
	}
	assert_true(acknowledged > 0);
	assert_true(store_check(path, books_problem, NULL));
	disk_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
