/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast is the ledger?  The broker's own ledger and store on a real SQLite
 * file, driven from a loop as the broker drives them:
 *
 *   closed loop: pairs of reservation and settlement per second, so many at a
 *   time; a settlement follows the commit of its reservation, the next pair the
 *   acknowledged settlement;
 *   open loop: settlements at a fixed rate whatever comes back, each timed from
 *   the moment at which it was due to its acknowledgement.
 *
 * Prints the disk's own sync times beside, since nothing can be acknowledged
 * sooner.  bench-ledger --help
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include <sodium.h>

#include "broker/ledger.h"
#include "broker/node.h"
#include "broker/store.h"
#include "common/log.h"
#include "tests/bench/ledger/disk.h"

#define SAMPLES_MAX 4000000
#define PROBES 500
#define AHEAD_NS 100000000 /* reservations of the open loop are made so long before */

struct options {
	const char *dir;
	unsigned long users, stacks, inflight, rate, seconds, sync_us;
};

struct bench {
	struct options o;
	uv_loop_t loop;
	struct store *store;
	struct ledger *ledger;
	struct registry *registry;
	struct user **users;
	uint64_t epoch, model, pairs, waiting, turn;
	uint64_t *ns; /* samples */
	size_t n_ns;
	bool open, stop;
	struct pair *ready, **ready_end; /* open loop: committed reservations */
};

struct pair {
	struct bench *b;
	struct reservation *r;
	uint64_t due;
	struct pair *next;
};

static uint64_t cpu_ns(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}

/* --- samples --- */

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_ms(const char *what, uint64_t *ns, size_t n)
{
	if (n == 0)
		return;
	qsort(ns, n, sizeof(*ns), by_size);
	printf("%-34s p50 %.3f  p99 %.3f  p99.9 %.3f  max %.3f ms (%zu)\n", what, (double)ns[n / 2] / 1e6,
	       (double)ns[n * 99 / 100] / 1e6, (double)ns[n * 999 / 1000] / 1e6, (double)ns[n - 1] / 1e6, n);
}

/* --- pairs --- */

static void begin_pair(struct bench *b);

static void on_settled(void *arg, enum err result)
{
	struct pair *p = arg;
	struct bench *b = p->b;

	BUG_ON(result != ERR_OK);
	b->pairs++;
	b->waiting--;
	if (b->open && b->n_ns < SAMPLES_MAX)
		b->ns[b->n_ns++] = uv_hrtime() - p->due;
	free(p);
	if (!b->open && !b->stop)
		begin_pair(b);
}

static void settle(struct pair *p)
{
	struct row_settlement row = { .billed = 1, .completion = 1, .prompt = 0, .outcome = 1, .at = 86400 };
	struct store_op *op = ledger_settle(p->b->ledger, p->r, &row);

	op->done = on_settled;
	op->arg = p;
	store_submit(p->b->store, op);
}

static void on_reserved(void *arg, enum err result)
{
	struct pair *p = arg;
	struct bench *b = p->b;

	BUG_ON(result != ERR_OK);
	if (!b->open) {
		settle(p);
		return;
	}
	*b->ready_end = p;
	b->ready_end = &p->next;
}

/* Chosen as a lock chooses: the user's stack with room. */
static void begin_pair(struct bench *b)
{
	struct user *u = b->users[b->turn++ % b->o.users];
	struct stack *st = ledger_room(b->ledger, u, 1, b->model, 8);
	uint8_t rid[RID_BYTES], key[KEY_BYTES] = { 1 };
	struct reserve_ask ask = {
		.rid = rid, .units = 8, .node_key = key, .endpoint = 1, .epoch = b->epoch, .now = 86400
	};
	struct pair *p = mem_new(sizeof(*p));
	struct store_op *op;

	randombytes_buf(rid, sizeof(rid));
	p->b = b;
	BUG_ON(!st || ledger_reserve(b->ledger, st, &ask, &p->r, &op) != ERR_OK);
	b->waiting++;
	op->done = on_reserved;
	op->arg = p;
	store_submit(b->store, op);
}

/* --- the two measurements --- */

static void print_cost(struct bench *b, uint64_t ns, uint64_t cpu, uint64_t syncs, uint64_t sync_ns)
{
	printf("    %.1f us CPU per pair, %.1f pairs per sync, mean sync %.3f ms\n",
	       (double)cpu / 1e3 / (double)b->pairs, syncs ? (double)b->pairs / (double)syncs : 0,
	       syncs ? (double)sync_ns / 1e6 / (double)syncs : 0);
	(void)ns;
}

static void closed_loop(struct bench *b)
{
	uint64_t began = uv_hrtime(), end = began + b->o.seconds * 1000000000, cpu = cpu_ns(), n0, s0, n1, s1;

	disk_syncs(&n0, &s0);
	b->open = b->stop = false;
	b->pairs = 0;
	for (unsigned long i = 0; i < b->o.inflight; i++)
		begin_pair(b);
	while (uv_hrtime() < end)
		uv_run(&b->loop, UV_RUN_ONCE);
	end = uv_hrtime();
	cpu = cpu_ns() - cpu;
	disk_syncs(&n1, &s1);
	printf("closed loop, %lu in flight:          %.0f reserve+settle pairs/s\n", b->o.inflight,
	       (double)b->pairs * 1e9 / (double)(end - began));
	print_cost(b, end - began, cpu, n1 - n0, s1 - s0);
	b->stop = true;
	while (b->waiting)
		uv_run(&b->loop, UV_RUN_ONCE);
}

static void settle_due(struct bench *b, uint64_t due)
{
	struct pair *p = b->ready;

	if (!p) {
		fprintf(stderr, "the rate is too high: reservations do not commit in time\n");
		exit(1);
	}
	b->ready = p->next;
	if (!b->ready)
		b->ready_end = &b->ready;
	p->due = due;
	settle(p);
}

/* Runs until t without sleeping through it: uv's timers know only ms. */
static void run_until(struct bench *b, uint64_t t)
{
	do {
		uv_run(&b->loop, UV_RUN_NOWAIT);
		usleep(50);
	} while (uv_hrtime() < t);
}

static void open_loop(struct bench *b)
{
	uint64_t gap = 1000000000 / b->o.rate, n = b->o.rate * b->o.seconds, due, cpu, n0, s0, n1, s1;
	uint64_t ahead = AHEAD_NS / gap + 1;

	b->open = true;
	b->pairs = 0;
	for (uint64_t i = 0; i < ahead; i++)
		begin_pair(b);
	due = uv_hrtime() + AHEAD_NS;
	run_until(b, due);
	cpu = cpu_ns();
	disk_syncs(&n0, &s0);
	for (uint64_t i = 0; i < n; due += gap, i++) {
		if (uv_hrtime() < due)
			run_until(b, due);
		settle_due(b, due);
		begin_pair(b);
	}
	while (b->pairs < n)
		uv_run(&b->loop, UV_RUN_ONCE);
	cpu = cpu_ns() - cpu;
	disk_syncs(&n1, &s1);
	printf("open loop, %lu settlements/s:\n", b->o.rate);
	print_ms("    due to acknowledged", b->ns, b->n_ns);
	print_cost(b, 0, cpu, n1 - n0, s1 - s0);
}

/* --- the ledger that is measured --- */

static void keep(struct bench *b, struct store_op *op)
{
	store_submit(b->store, op);
	if (store_backlog(b->store) > 20000) {
		while (store_backlog(b->store) > 1000)
			uv_run(&b->loop, UV_RUN_ONCE);
	}
}

static void add_user(struct bench *b, unsigned long i)
{
	char name[32];
	struct store_op *op;
	struct stack *st;

	snprintf(name, sizeof(name), "user-%lu", i);
	BUG_ON(ledger_user_add(b->ledger, slice_str(name), 1, &b->users[i], &op) != ERR_OK);
	keep(b, op);
	BUG_ON(ledger_fund(b->ledger, b->users[i], 1000000000, "bench", "start", 1, &op) != ERR_OK);
	keep(b, op);
	for (unsigned long k = 0; k < b->o.stacks; k++) {
		/* all but one are used up nearly, as a user's old ones are */
		uint64_t bought = k == b->o.stacks / 2 ? UINT64_C(1000000000000) : 7;

		BUG_ON(ledger_buy(b->ledger, b->users[i], 1, b->model, bought, 1, 1, &st, &op) != ERR_OK);
		keep(b, op);
	}
}

static void fill(struct bench *b)
{
	struct row_node row = { .id = 1, .state = NODE_ACTIVE };
	struct store_op *op;
	struct node *n;

	BUG_ON(registry_node_add(b->registry, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n) !=
	       ERR_OK);
	keep(b, node_op(n));
	b->model = registry_model_add(b->registry, SLICE_STR("demo"), &op)->id;
	keep(b, op);
	b->users = mem_new(b->o.users * sizeof(*b->users));
	for (unsigned long i = 0; i < b->o.users; i++)
		add_user(b, i);
	while (store_backlog(b->store))
		uv_run(&b->loop, UV_RUN_ONCE);
}

static void on_problem(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static int measure(struct bench *b, const char *path)
{
	bool sound;

	b->ready_end = &b->ready;
	b->ns = mem_new(SAMPLES_MAX * sizeof(*b->ns));
	b->ledger = ledger_new();
	b->registry = registry_new();
	uv_loop_init(&b->loop);
	if (store_open(&b->store, &b->loop, path, &b->epoch) != ERR_OK)
		return 1;
	if (disk_probe(b->o.dir, b->ns, PROBES))
		print_ms(b->o.sync_us ? "modelled disk, 4 KiB + sync" : "this disk, 4 KiB + fdatasync", b->ns,
			 PROBES);
	fill(b);
	printf("%lu users, %lu stacks each\n", b->o.users, b->o.stacks);
	closed_loop(b);
	open_loop(b);
	sound = ledger_check(b->ledger, on_problem, NULL);
	while (b->waiting > b->o.rate)
		uv_run(&b->loop, UV_RUN_ONCE);
	store_close(b->store);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	ledger_free(b->ledger);
	registry_free(b->registry);
	printf("ledger is %s\n", sound && store_check(path, on_problem, NULL) ? "sound" : "BROKEN");
	return !sound;
}

static void usage(void)
{
	puts("Usage: bench-ledger [--dir DIR] [--users N] [--stacks N] [--inflight N] [--rate N] [--seconds "
	     "N] "
	     "[--sync-us N]\n"
	     "  --dir       where the database is made (a new folder in it; default .)\n"
	     "  --users     users, taken in turn (default 1000)\n"
	     "  --stacks    stacks of each, one of them with room (default 1)\n"
	     "  --inflight  pairs at a time in the closed loop (default 512)\n"
	     "  --rate      settlements per second in the open loop (default 5000)\n"
	     "  --seconds   for each (default 5)\n"
	     "  --sync-us   a disk that syncs in so many us instead of the real one");
}

static bool parse(struct options *o, int argc, char **argv)
{
	static const struct option names[] = { { "dir", 1, 0, 'd' },     { "users", 1, 0, 'u' },
					       { "stacks", 1, 0, 's' },  { "inflight", 1, 0, 'i' },
					       { "rate", 1, 0, 'r' },    { "seconds", 1, 0, 't' },
					       { "sync-us", 1, 0, 'y' }, { 0, 0, 0, 0 } };
	int c;

	*o = (struct options){ ".", 1000, 1, 512, 5000, 5, 0 };
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		unsigned long *to = c == 'u'   ? &o->users
				    : c == 's' ? &o->stacks
				    : c == 'i' ? &o->inflight
				    : c == 'r' ? &o->rate
				    : c == 't' ? &o->seconds
				    : c == 'y' ? &o->sync_us
					       : NULL;

		if (c == 'd')
			o->dir = optarg;
		else if (!to)
			return false;
		else
			*to = strtoul(optarg, NULL, 10);
	}
	return o->users && o->stacks && o->inflight && o->rate && o->rate <= 1000000 && o->seconds;
}

int main(int argc, char **argv)
{
	static struct bench b;
	char dir[256], path[300], command[300];
	int rc;

	if (sodium_init() < 0 || !parse(&b.o, argc, argv)) {
		usage();
		return 2;
	}
	snprintf(dir, sizeof(dir), "%s/bench-ledger.XXXXXX", b.o.dir);
	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	b.o.dir = dir;
	snprintf(path, sizeof(path), "%s/ledger.db", dir);
	log_init("bench-ledger", LOG_WARN, false);
	disk_model((unsigned)b.o.sync_us);
	rc = measure(&b, path);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) == 0 ? rc : 1;
}
