/* SPDX-License-Identifier: Apache-2.0
 *
 * The store on a temporary database: what is committed comes back, in order and
 * exactly once; broken ledgers are found; a database that cannot be written makes
 * ops wait, not fail.
 */
#include "tests/unit/broker/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>
#include <uv.h>

#include "broker/ledger.h"
#include "broker/node.h"
#include "broker/store.h"
#include "broker/store_read.h"
#include "broker/store_schema.h"
#include "common/hash.h"
#include "proto/settle.h"
#include "tests/unit/broker/disk.h"

static uv_loop_t loop;
static unsigned done, exists;

static void on_done(void *arg, enum err result)
{
	(void)arg;
	done++;
	exists += result == ERR_EXISTS;
}

static struct store *opened(const char *path, uint64_t *epoch)
{
	struct store *s;

	assert_int_equal(store_open(&s, &loop, path, epoch), ERR_OK);
	return s;
}

static void closed(struct store *s)
{
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void submit(struct store *s, struct store_op *op)
{
	op->done = on_done;
	store_submit(s, op);
}

/* Runs the loop until n callbacks have come. */
static void until(unsigned n)
{
	while (done < n)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(done, n);
}

static int setup(void **state)
{
	*state = (void *)disk_new();
	done = exists = 0;
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	disk_free();
	return uv_loop_close(&loop);
}

static void on_problem(void *arg, const char *text)
{
	unsigned *n = arg;

	if (n)
		(*n)++;
	else
		print_error("%s\n", text);
}

struct world {
	struct store *s;
	struct ledger *l;
	struct registry *r;
	struct user *alice; /* of a seeded one */
	unsigned rows;
};

static void on_row(void *arg, const struct store_op *op)
{
	struct world *w = arg;

	assert_int_equal(registry_apply(w->r, op), ERR_OK);
	assert_int_equal(ledger_apply(w->l, op), ERR_OK);
	w->rows++;
}

static struct world loaded(struct store *s)
{
	struct world w = { .s = s, .l = ledger_new(), .r = registry_new() };

	assert_int_equal(store_load(s, on_row, &w), ERR_OK);
	assert_true(ledger_check(w.l, on_problem, NULL));
	return w;
}

static void world_free(struct world *w)
{
	ledger_free(w->l);
	registry_free(w->r);
}

#define SEEDED 8 /* operations */

static const uint8_t token[KEY_BYTES] = { 1 }, node_key[KEY_BYTES] = { 8 }, rid[RID_BYTES] = { 3 };

static void seed(struct world *w)
{
	struct row_node row = {
		.id = 1, .state = NODE_ACTIVE, .sign_key = { 5 }, .counter = 44, .validity_s = 90
	};
	struct row_sub offer = {
		.price = 1000, .max_concurrent = 4, .max_units = 77, .lock_units = 7, .active = true
	};
	struct node_key key = { .counter = 3, .not_after = 2000, .has_statement = true };
	struct store_op *op, *ops[2];
	struct model *m;
	struct node *n;

	assert_int_equal(ledger_user_add(w->l, SLICE_STR("alice"), 1, &w->alice, &op), ERR_OK);
	submit(w->s, op);
	assert_int_equal(ledger_fund(w->l, w->alice, 50000, "test", "start", 2, &op), ERR_OK);
	submit(w->s, op);
	assert_int_equal(ledger_token_add(w->l, w->alice, token, SLICE_STR("laptop"), "wxyz", 3, &op),
			 ERR_OK);
	submit(w->s, op);
	assert_int_equal(
		registry_node_add(w->r, &row, SLICE_STR("https://n"), SLICE_STR("DE"), SLICE_STR("0.1"), &n),
		ERR_OK);
	submit(w->s, node_op(n));
	m = registry_model_add(w->r, SLICE_STR("demo"), &op);
	submit(w->s, op);
	submit(w->s, node_set_sub(n, m, &offer));
	memcpy(key.key, node_key, KEY_BYTES);
	memset(key.signature, 'A', 132);
	node_set_key(n, &key, 1000, ops);
	submit(w->s, ops[0]);
	submit(w->s, node_set_evidence(n, SLICE_STR("proof"), token, 9));
	until(SEEDED);
}

/* A new ledger with alice, her money and token, and a node with a model. */
static struct world seeded(const char *path)
{
	uint64_t epoch;
	struct world w = loaded(opened(path, &epoch));

	seed(&w);
	return w;
}

/* 1,000 units for alice. */
static struct stack *bought(struct world *w)
{
	struct store_op *op;
	struct stack *st;

	assert_int_equal(ledger_buy(w->l, w->alice, 1, 1, 1000, 1000, 5, &st, &op), ERR_OK);
	submit(w->s, op);
	return st;
}

static struct lock *locked(struct world *w, struct stack *st, uint64_t units)
{
	struct store_op *op;
	struct lock *k;

	assert_int_equal(ledger_lock(w->l, st, node_key, units, 10, 20, &k, &op), ERR_OK);
	submit(w->s, op);
	return k;
}

/* 300 of them, for the request that is always the same. */
static struct reservation *reserved(struct world *w, struct stack *st)
{
	const struct reserve_ask ask = {
		.rid = rid, .units = 300, .node_key = node_key, .endpoint = 2, .epoch = 1, .now = 6
	};
	struct reservation *res;
	struct store_op *op;

	assert_int_equal(ledger_reserve(w->l, st, &ask, &res, &op), ERR_OK);
	submit(w->s, op);
	return res;
}

static void everything_comes_back(void **state)
{
	const char *path = *state;
	uint64_t e1, e2;
	struct world w = loaded(opened(path, &e1)), again;
	struct reservation *res;
	struct stack *st;
	struct user *u;
	struct node *n;

	assert_int_equal(w.rows, 0);
	seed(&w);
	st = bought(&w);
	(void)locked(&w, st, 400);
	(void)reserved(&w, st);
	until(SEEDED + 3);
	closed(w.s);
	assert_true(store_check(path, on_problem, NULL));
	again = loaded(opened(path, &e2));
	assert_true(e2 > e1);
	u = ledger_user_named(again.l, SLICE_STR("alice"));
	assert_true(u && u->balance == 50000 - 1);
	st = ledger_stack(again.l, st->id);
	assert_true(st && st->bought == 1000 && st->reserved == 700 && stack_free(st) == 300);
	res = ledger_reservation(again.l, rid);
	assert_true(res && res->units == 300 && res->endpoint == 2 && res->epoch == 1);
	assert_memory_equal(res->node_key, node_key, KEY_BYTES);
	assert_true(st->locks && st->locks->units == 400 && st->locks->expires_ms == 20);
	assert_string_equal(ledger_token(again.l, token)->name, "laptop");
	n = registry_node(again.r, 1);
	assert_true(n && n->row.counter == 44 && n->row.validity_s == 90 && n->n_keys == 1);
	assert_true(node_current_key(n, 1500) && !node_current_key(n, 2000));
	assert_string_equal(n->country, "DE");
	assert_true(n->evidence.n == 5 && n->evidence_at == 9);
	assert_true(registry_model(again.r, SLICE_STR("demo"))->subs[0]->max_units == 77);
	closed(again.s);
	world_free(&w);
	world_free(&again);
}

static void settled_once_for_ever(void **state)
{
	const char *path = *state;
	struct world w = seeded(path);
	struct row_settlement row = { .billed = 120,
				      .prompt = 20,
				      .completion = 100,
				      .outcome = SETTLE_COMPLETE,
				      .has_receipt = true,
				      .at = 86400 };
	struct stack *st = bought(&w);
	struct reservation *res = reserved(&w, st);

	submit(w.s, ledger_settle(w.l, res, &row));
	until(SEEDED + 3);
	assert_int_equal(exists, 0);
	/* a gateway that draws the same request id again gets nothing */
	res = reserved(&w, st);
	until(SEEDED + 4);
	assert_int_equal(exists, 1);
	ledger_unreserve(w.l, res);
	closed(w.s);
	assert_int_equal(disk_int("SELECT spent FROM stacks"), 120);
	assert_int_equal(disk_int("SELECT count(*) FROM reservations"), 0);
	assert_int_equal(disk_int("SELECT billed FROM usage WHERE day = 1"), 120);
	assert_int_equal(disk_int("SELECT count(*) FROM settlements WHERE length(request) = 32 AND "
				  "length(receipt_hash) = 32"),
			 1);
	assert_true(store_check(path, on_problem, NULL));
	world_free(&w);
}

/* Many groups, with the callbacks in the order of the submits. */
static uintptr_t last;

static void in_order(void *arg, enum err result)
{
	assert_int_equal(result, ERR_OK);
	assert_int_equal((uintptr_t)arg, last + 1);
	last++;
}

static void thousands_in_order(void **state)
{
	const char *path = *state;
	struct world w = seeded(path);
	struct store_op *op;

	last = 0;
	for (uintptr_t i = 1; i <= 5000; i++) {
		assert_int_equal(ledger_fund(w.l, w.alice, i % 2 ? 7 : -3, "test", "walk", 2, &op), ERR_OK);
		op->done = in_order;
		op->arg = (void *)i;
		store_submit(w.s, op);
	}
	while (last < 5000)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(store_backlog(w.s), 0);
	closed(w.s);
	assert_int_equal(disk_int("SELECT balance FROM users"), 50000 + 5000 / 2 * 4);
	assert_int_equal(disk_int("SELECT count(*) FROM journal"), 5001);
	assert_true(store_check(path, on_problem, NULL));
	world_free(&w);
}

static void closing_commits_what_waits(void **state)
{
	const char *path = *state;
	struct world w = seeded(path);
	struct store_op *op;

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(ledger_fund(w.l, w.alice, 1, "test", "walk", 2, &op), ERR_OK);
		store_submit(w.s, op);
	}
	closed(w.s); /* without a turn of the loop in between */
	assert_int_equal(disk_int("SELECT balance FROM users"), 51000);
	world_free(&w);
}

static void one_broker_at_a_time(void **state)
{
	const char *path = *state;
	uint64_t epoch;
	struct store *s = opened(path, &epoch), *other = NULL;

	assert_int_equal(store_open(&other, &loop, path, &epoch), ERR_EXISTS);
	assert_null(other);
	closed(s);
	s = opened(path, &epoch);
	assert_true(epoch == 2);
	closed(s);
}

/* The same ledger by another name: a link to a file on another disk, say. */
static void a_link_leads_to_the_one_ledger(void **state)
{
	const char *path = *state;
	char link[256];
	uint64_t epoch;
	struct store *s = opened(path, &epoch), *other = NULL;

	snprintf(link, sizeof(link), "%s.link", path);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(store_open(&other, &loop, link, &epoch), ERR_EXISTS);
	assert_int_equal(disk_int("SELECT epoch FROM leases"), 1);
	closed(s);
	s = opened(link, &epoch);
	assert_true(epoch == 2);
	assert_int_equal(store_open(&other, &loop, path, &epoch), ERR_EXISTS);
	closed(s);
}

static void newer_schemas_are_left_alone(void **state)
{
	const char *path = *state;
	uint64_t epoch;
	struct store *s = opened(path, &epoch);

	closed(s);
	assert_true(disk_sql("INSERT INTO schema_version VALUES (1000, 1)"));
	assert_non_null(strstr(store_no_ledger(path), "a later version"));
	assert_int_equal(store_open(&s, &loop, path, &epoch), ERR_VERSION);
}

/* Not a byte of it: it may be in use. */
static void other_programs_files_are_left_alone(void **state)
{
	const char *path = *state;
	struct store *s = NULL;
	uint64_t epoch;

	assert_true(disk_sql("CREATE TABLE schema_version (version TEXT)"));
	assert_true(disk_sql("CREATE TABLE theirs (a)"));
	assert_non_null(strstr(store_no_ledger(path), "another program's"));
	assert_int_equal(store_open(&s, &loop, path, &epoch), ERR_FORMAT);
	assert_int_equal(disk_int("SELECT count(*) FROM sqlite_master"), 2);
	assert_int_equal(disk_int("SELECT journal_mode = 'delete' FROM pragma_journal_mode"), 1);
}

/* A database that version 0.1.0 left behind, opened by this one: nothing is lost, and what is new has its
 * default. */
static void version_1_is_brought_forward(void **state)
{
	const char *path = *state;
	const struct stack *st;
	struct world w;
	struct store *s;
	uint64_t epoch;

	assert_true(disk_script(LEDGER_V1));
	assert_int_equal(disk_int("SELECT max(version) FROM schema_version"), 1);
	assert_int_equal(disk_int("SELECT count(*) FROM pragma_table_info('stacks') WHERE name = 'state'"),
			 0);
	s = opened(path, &epoch);
	assert_int_equal(epoch, 2);
	assert_int_equal(disk_int("SELECT count(*) FROM schema_version"), (long long)store_versions);
	assert_true(store_check(path, on_problem, NULL));
	w = loaded(s);
	st = ledger_stack(w.l, UINT64_C(561563947750559));
	assert_non_null(st);
	assert_int_equal(st->state, STACK_OPEN);
	assert_true(st->bought == 10000000 && st->spent == 5 && st->reserved == 777);
	assert_true(st->user->balance == 99990000);
	assert_non_null(ledger_user_named(w.l, SLICE_STR("bob")));
	assert_int_equal(registry_node(w.r, 1)->n_keys, 1);
	world_free(&w);
	closed(s);
	closed(opened(path, &epoch)); /* and a second time changes nothing */
	assert_int_equal(epoch, 3);
	assert_int_equal(disk_int("SELECT count(*) FROM schema_version"), (long long)store_versions);
}

/* The state that version 2 brought is kept by what came after it. */
static void version_2_is_brought_forward(void **state)
{
	const char *path = *state;
	const struct stack *st;
	struct world w;
	struct store *s;
	uint64_t epoch;

	assert_true(disk_script(LEDGER_V2));
	assert_int_equal(disk_int("SELECT max(version) FROM schema_version"), 2);
	assert_int_equal(disk_int("SELECT count(*) FROM sqlite_master WHERE name = 'user_limits'"), 0);
	s = opened(path, &epoch);
	assert_int_equal(disk_int("SELECT count(*) FROM schema_version"), (long long)store_versions);
	assert_int_equal(disk_int("SELECT count(*) FROM user_limits"), 0);
	assert_true(store_check(path, on_problem, NULL));
	w = loaded(s);
	st = ledger_stack(w.l, UINT64_C(1735833706138462));
	assert_non_null(st);
	assert_int_equal(st->state, STACK_LOCKED);
	assert_true(st->bought == 10000000 && st->spent == 5 && st->reserved == 777);
	assert_non_null(ledger_user_named(w.l, SLICE_STR("bob")));
	world_free(&w);
	closed(s);
}

static void the_state_of_a_stack_lasts(void **state)
{
	const char *path = *state;
	struct stack *st;
	struct world w;
	struct store *s;
	uint64_t epoch;

	assert_true(disk_script(LEDGER_V1));
	s = opened(path, &epoch);
	for (int turn = 0; turn < 2; turn++) {
		enum stack_state other = turn ? STACK_OPEN : STACK_LOCKED;

		w = loaded(s);
		st = ledger_stack(w.l, UINT64_C(561563947750559));
		assert_int_equal(st->state, turn ? STACK_LOCKED : STACK_OPEN);
		assert_null(ledger_stack_state(st, st->state));
		submit(s, ledger_stack_state(st, other));
		until((unsigned)turn + 1);
		assert_int_equal(disk_int("SELECT state FROM stacks"), other);
		assert_true(st->reserved == 777 &&
			    stack_free(st) == 10000000 - 777 - 5); /* counted as before */
		world_free(&w);
		closed(s);
		s = opened(path, &epoch);
	}
	closed(s);
	assert_false(disk_sql("UPDATE stacks SET state = 3"));
	assert_false(disk_sql("UPDATE stacks SET state = NULL"));
}

static void not_a_database(void **state)
{
	const char *path = *state;
	struct store *s;
	uint64_t epoch;
	FILE *f = fopen(path, "w");

	for (int i = 0; i < 1000; i++)
		fputs("this is no ledger\n", f);
	fclose(f);
	assert_int_equal(store_open(&s, &loop, path, &epoch), ERR_IO);
	assert_int_equal(store_open(&s, &loop, "/nonexistent/ledger.db", &epoch), ERR_IO);
	assert_false(store_check("/nonexistent/ledger.db", on_problem, NULL));
}

/* Each law, broken from outside. */
static void a_broken_ledger_is_found(void **state)
{
	static const struct {
		const char *breaks, *mends;
	} cases[] = {
		{ "UPDATE users SET balance = balance + 1", "UPDATE users SET balance = balance - 1" },
		{ "UPDATE journal SET balance_after = balance_after + 1 WHERE id = 1",
		  "UPDATE journal SET balance_after = balance_after - 1 WHERE id = 1" },
		{ "UPDATE stacks SET paid = paid + 1", "UPDATE stacks SET paid = paid - 1" },
		{ "UPDATE stacks SET spent = spent + 1", "UPDATE stacks SET spent = spent - 1" },
		{ "UPDATE locks SET units = units + 1000", "UPDATE locks SET units = units - 1000" },
		{ "UPDATE reservations SET units = units + 1000",
		  "UPDATE reservations SET units = units - 1000" },
		{ "UPDATE reservations SET node = node + 1", "UPDATE reservations SET node = node - 1" },
		{ "UPDATE locks SET stack = stack + 1", "UPDATE locks SET stack = stack - 1" },
	};
	const char *path = *state;
	struct world w = seeded(path);
	struct stack *st = bought(&w);
	unsigned found;

	(void)locked(&w, st, 400);
	(void)reserved(&w, st);
	until(SEEDED + 3);
	assert_true(store_check(path, on_problem, NULL)); /* also while it serves */
	closed(w.s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(disk_sql(cases[i].breaks));
		found = 0;
		assert_false(store_check(path, on_problem, &found));
		assert_true(found >= 1);
		assert_true(disk_sql(cases[i].mends));
		assert_true(store_check(path, on_problem, NULL));
	}
	world_free(&w);
}

/* No file may grow: what a full disk does.  Ops wait, and go through once there is room. */
static void a_full_disk_delays_and_does_not_lose(void **state)
{
	const char *path = *state;
	struct rlimit none = { 0, RLIM_INFINITY }, all = { RLIM_INFINITY, RLIM_INFINITY };
	struct world w = seeded(path);
	struct store_op *op;

	signal(SIGXFSZ, SIG_IGN);
	assert_true(store_healthy(w.s));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(ledger_fund(w.l, w.alice, 11, "test", "full", 2, &op), ERR_OK);
	submit(w.s, op);
	for (int i = 0; i < 100 && store_healthy(w.s); i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		uv_sleep(20);
	}
	assert_false(store_healthy(w.s));
	assert_int_equal(done, SEEDED);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &all), 0);
	until(SEEDED + 1);
	assert_true(store_healthy(w.s));
	closed(w.s);
	assert_int_equal(disk_int("SELECT balance FROM users"), 50011);
	assert_true(store_check(path, on_problem, NULL));
	world_free(&w);
}

/* While the writer never rests: what was copied into the database is written over. */
static void the_log_stays_short(void **state)
{
	const char *path = *state;
	struct world w = seeded(path);
	struct stack *st = bought(&w);
	struct stat log;
	char wal[128];

	until(SEEDED + 1);
	for (unsigned i = 0; i < 15000; i++) { /* two pages or so each */
		struct lock *k = locked(&w, st, 1);

		until(SEEDED + 2 + 2 * i);
		submit(w.s, ledger_lock_end(w.l, k));
		until(SEEDED + 3 + 2 * i);
	}
	snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_int_equal(stat(wal, &log), 0);
	assert_in_range(log.st_size, 1,
			4120 * 24000); /* of 60,000 pages; the thread may have to wait for a processor */
	assert_true(store_check(path, on_problem, NULL));
	closed(w.s);
	world_free(&w);
}

static void purge(struct store *s, int64_t before)
{
	struct store_op *op = store_op_new(OP_PURGE);
	unsigned n = done + 1;

	op->u.purge.before = before;
	submit(s, op);
	until(n);
}

static void purging(void **state)
{
	const char *path = *state;
	uint64_t epoch;
	struct store *s = opened(path, &epoch);

	assert_true(disk_sql("INSERT INTO users VALUES (1, 'a', 0, 1)"));
	assert_true(disk_sql("INSERT INTO models VALUES (1, 'm')"));
	assert_true(disk_sql("INSERT INTO nodes VALUES (1, zeroblob(32), '', '', '', 0, 0, 1, 0, 0, 0, 0)"));
	assert_true(disk_sql("INSERT INTO stacks VALUES (1, 1, 1, 1, 10, 0, 0, 0, 0, 1)"));
	assert_true(disk_sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
			     "INSERT INTO settlements SELECT i, 'r' || i, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, '', "
			     "0, NULL, 0, 0, i / 10 FROM n"));
	purge(s, 120);
	assert_int_equal(disk_int("SELECT count(*) FROM settlements"), 500); /* a bounded number at a time */
	purge(s, 120);
	assert_int_equal(disk_int("SELECT min(at) FROM settlements"), 120);
	/* a clock that is a year ahead takes the oldest first, and not all that there is */
	assert_true(disk_sql("UPDATE settlements SET at = at * 10"));
	purge(s, 365 * 86400);
	assert_int_equal(disk_int("SELECT min(at) FROM settlements"), 1500);
	assert_true(disk_sql("DELETE FROM settlements"));
	purge(s, 365 * 86400);
	closed(s);
}

static void on_usage(void *arg, const struct usage_row *r)
{
	uint64_t *sum = arg;

	*sum += r->billed;
}

static void usage(void **state)
{
	const char *path = *state;
	uint64_t epoch, sum = 0;
	struct store *s = opened(path, &epoch);

	assert_true(
		disk_sql("INSERT INTO usage VALUES (1, 1, 20000, 2, 3, 4, 7), (2, 1, 20000, 2, 3, 4, 70)"));
	assert_int_equal(store_usage(path, 0, on_usage, &sum), ERR_OK);
	assert_true(sum == 77);
	sum = 0;
	assert_int_equal(store_usage(path, 2, on_usage, &sum), ERR_OK);
	assert_true(sum == 70);
	assert_int_equal(store_usage("/nonexistent/ledger.db", 0, on_usage, &sum), ERR_IO);
	closed(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(everything_comes_back),
		T(settled_once_for_ever),
		T(thousands_in_order),
		T(closing_commits_what_waits),
		T(one_broker_at_a_time),
		T(a_link_leads_to_the_one_ledger),
		T(newer_schemas_are_left_alone),
		T(other_programs_files_are_left_alone),
		T(version_1_is_brought_forward),
		T(version_2_is_brought_forward),
		T(the_state_of_a_stack_lasts),
		T(not_a_database),
		T(a_broken_ledger_is_found),
		T(a_full_disk_delays_and_does_not_lose),
		T(the_log_stays_short),
		T(purging),
		T(usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
