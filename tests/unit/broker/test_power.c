/* SPDX-License-Identifier: Apache-2.0
 *
 * Power cuts.  A life of random changes through the production ledger and
 * store; images of the disk are taken before syncs of log and database, wherever
 * they happen.  Every image opens, is sound, and has all that was acknowledged as
 * durable by then: settlements, purchases, payments.  What else it has is a
 * beginning of what was decided: a reservation is missing only if all that came
 * after it is missing too.  The next life begins from one of the images.
 */
#include "tests/unit/broker/test.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/unit/broker/books.h"
#include "tests/unit/broker/disk.h"
#include "tests/unit/broker/power.h"

#define OPEN_MAX 64
#define IMAGES 24 /* of one life */
#define RIDS 512  /* acknowledged ones that are remembered */

/* What has been acknowledged, or was there already. */
struct promise {
	atomic_ullong spent, stacks, funded;
	atomic_uint n_rids;
	uint8_t rids[RIDS][RID_BYTES];
};

struct image {
	char path[160];
	uint64_t spent, stacks, funded;
	unsigned n_rids;
};

struct life {
	struct books k;
	struct reservation *open[OPEN_MAX];
	const char *path;
	unsigned seed, syncs, n_images, db_images;
	struct image image[IMAGES];
};

static struct promise said;
static struct life w;
static unsigned images, checkpoints;

static void take_up(const char *path)
{
	w = (struct life){ .path = path };
	books_open(&w.k, path);
}

/* --- what was acknowledged --- */

static void on_funded(void *arg, enum err result)
{
	assert_int_equal(result, ERR_OK);
	atomic_fetch_add(&said.funded, (unsigned long long)(uintptr_t)arg);
}

static void on_bought(void *arg, enum err result)
{
	(void)arg;
	assert_int_equal(result, ERR_OK);
	atomic_fetch_add(&said.stacks, 1);
}

struct settled {
	uint8_t rid[RID_BYTES];
	uint64_t billed;
};

static void on_settled(void *arg, enum err result)
{
	struct settled *s = arg;
	unsigned n = atomic_load(&said.n_rids);

	assert_int_equal(result, ERR_OK);
	atomic_fetch_add(&said.spent, s->billed);
	if (n < RIDS) {
		memcpy(said.rids[n], s->rid, RID_BYTES);
		atomic_store(&said.n_rids, n + 1);
	}
	free(s);
}

/* --- what is done --- */

static void submit(struct store_op *op, void (*done)(void *arg, enum err result), void *arg)
{
	op->done = done;
	op->arg = arg;
	store_submit(w.k.store, op);
}

static void settle(struct reservation *r)
{
	struct row_settlement row = { .billed = (uint64_t)rand() % (r->units + 1), .at = 86400 };
	struct settled *s = mem_new(sizeof(*s));

	row.completion = row.billed;
	memcpy(s->rid, r->rid, RID_BYTES);
	s->billed = row.billed;
	submit(ledger_settle(w.k.ledger, r, &row), on_settled, s);
}

static void fund(void)
{
	int64_t amount = 1 + rand() % 100000;
	struct store_op *op;

	assert_int_equal(ledger_fund(w.k.ledger, w.k.user, amount, "test", "more", 1, &op), ERR_OK);
	submit(op, on_funded, (void *)(uintptr_t)amount);
}

static void buy(void)
{
	struct store_op *op;
	struct stack *st;

	if (ledger_buy(w.k.ledger, w.k.user, 1, 1, 1 + (uint64_t)(rand() % 1000), (uint64_t)(rand() % 90000),
		       1, &st, &op) == ERR_OK)
		submit(op, on_bought, NULL);
}

static void reserve(struct stack *st, const uint8_t *key)
{
	uint8_t rid[RID_BYTES];
	struct reserve_ask ask = { .rid = rid, .node_key = key, .units = (uint64_t)(rand() % 300) };
	int i = rand() % OPEN_MAX;
	struct store_op *op;

	for (int b = 0; b < RID_BYTES; b++)
		rid[b] = (uint8_t)rand();
	if (w.open[i]) {
		settle(w.open[i]);
		w.open[i] = NULL;
	}
	ask.lock = ledger_lock_match(st, key, ask.units);
	if (ledger_reserve(w.k.ledger, st, &ask, &w.open[i], &op) == ERR_OK)
		store_submit(w.k.store, op);
}

static void step(void)
{
	struct stack *st = ledger_room(w.k.ledger, w.k.user, 1, 1, UINT64_MAX);
	uint8_t key[KEY_BYTES] = { (uint8_t)(rand() % 3) };
	struct store_op *op = NULL;
	struct lock *k;
	int what = rand() % 10;

	if (what == 0)
		fund();
	else if (what == 1 || !st)
		buy();
	else if (what == 2 && st->locks)
		store_submit(w.k.store, ledger_lock_end(w.k.ledger, st->locks));
	else if (what <= 4 &&
		 ledger_lock(w.k.ledger, st, key, (uint64_t)(rand() % 99), 0, 9, &k, &op) == ERR_OK)
		store_submit(w.k.store, op);
	else
		reserve(st, key);
}

/* What an earlier life left in flight ends first, as after a restart. */
static void adopt(void)
{
	struct reservation *r;
	size_t pos = 0;

	while ((r = ledger_next_reservation(w.k.ledger, &pos)) != NULL)
		settle(r);
}

/* --- the cuts --- */

static void hook(void *arg, bool db)
{
	struct image *im = &w.image[w.n_images];
	unsigned every = *(const unsigned *)arg;

	w.syncs++;
	if (w.n_images == IMAGES || (!db && rand_r(&w.seed) % every != 0) ||
	    (db && w.db_images >= IMAGES / 3))
		return;
	w.db_images += db;
	im->spent = atomic_load(&said.spent);
	im->stacks = atomic_load(&said.stacks);
	im->funded = atomic_load(&said.funded);
	im->n_rids = atomic_load(&said.n_rids);
	snprintf(im->path, sizeof(im->path), "%.100s.%u.db", w.path, ++images);
	power_image(w.path, im->path, (enum power_cut)(w.n_images % CUTS), w.seed);
	w.n_images++;
	checkpoints += db;
}

static void sums(uint64_t *spent, uint64_t *stacks, uint64_t *funded)
{
	struct stack *st;
	size_t pos = 0;

	*spent = books_spent(&w.k);
	*stacks = 0;
	*funded = w.k.user ? w.k.user->balance : 0;
	while ((st = ledger_next_stack(w.k.ledger, &pos)) != NULL) {
		*funded += st->paid;
		++*stacks;
	}
}

static void on_again(void *arg, enum err result)
{
	assert_int_equal(result, ERR_EXISTS);
	ledger_unreserve(w.k.ledger, arg);
}

/* A request id that was settled and told so does not get a second reservation. */
static void try_again(const uint8_t rid[RID_BYTES])
{
	size_t pos = 0;
	struct stack *st = ledger_next_stack(w.k.ledger, &pos);
	uint8_t key[KEY_BYTES] = { 9 };
	struct reserve_ask ask = { .rid = rid, .node_key = key };
	struct reservation *r;
	struct store_op *op;

	assert_int_equal(ledger_reserve(w.k.ledger, st, &ask, &r, &op), ERR_OK);
	submit(op, on_again, r);
}

static void look(const struct image *im)
{
	uint64_t spent, stacks, funded;

	take_up(im->path);
	sums(&spent, &stacks, &funded);
	if (spent < im->spent || stacks < im->stacks || funded < im->funded)
		fail_msg("%s: %llu of %llu spent, %llu of %llu stacks, %llu of %llu funded", im->path,
			 (unsigned long long)spent, (unsigned long long)im->spent, (unsigned long long)stacks,
			 (unsigned long long)im->stacks, (unsigned long long)funded,
			 (unsigned long long)im->funded);
	for (unsigned i = 0; i < im->n_rids; i++)
		assert_null(ledger_reservation(w.k.ledger, said.rids[i]));
	for (unsigned i = 0; i < im->n_rids && i < 3; i++)
		try_again(said.rids[im->n_rids - 1 - i]);
	while (store_backlog(w.k.store))
		uv_run(&w.k.loop, UV_RUN_ONCE);
	books_close(&w.k);
}

static void forget(const struct image *im)
{
	static const char *const ends[] = { "", "-wal", "-shm", ".lease" };
	char path[200];

	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%.160s%s", im->path, ends[i]);
		unlink(path);
	}
}

/* Steps of one life on path; the image with which the next begins. */
static struct image live(const char *path, unsigned steps, unsigned every, unsigned burst)
{
	static struct image taken[IMAGES];
	unsigned n, next;

	power_on(path);
	take_up(path);
	w.seed = (unsigned)rand();
	atomic_store(&said.n_rids, 0);
	if (!w.k.user)
		books_begin(&w.k);
	while (store_backlog(w.k.store)) /* a user without node and model is no beginning for the next life */
		uv_run(&w.k.loop, UV_RUN_ONCE);
	power_hook(hook, &every);
	fund();
	adopt();
	for (unsigned i = 0; i < steps; i++) {
		step();
		if ((unsigned)rand() % burst == 0) {
			while (store_backlog(w.k.store) > 8)
				uv_run(&w.k.loop, UV_RUN_ONCE);
			uv_run(&w.k.loop, UV_RUN_NOWAIT);
		}
	}
	while (store_backlog(w.k.store))
		uv_run(&w.k.loop, UV_RUN_ONCE);
	/* large groups and few syncs on a slow machine: it goes on until there was an image to take */
	for (unsigned more = 0; w.n_images == 0 && more < 1000; more++) {
		fund();
		while (store_backlog(w.k.store))
			uv_run(&w.k.loop, UV_RUN_ONCE);
	}
	power_off();
	n = w.n_images;
	assert_true(n > 0);
	memcpy(taken, w.image, sizeof(taken));
	books_close(&w.k);
	next = (unsigned)rand() % n;
	for (unsigned i = 0; i < n; i++) {
		look(&taken[i]);
		if (i != next)
			forget(&taken[i]);
	}
	return taken[next];
}

/* What the image has is what holds from now on: later changes of the life before never happened. */
static void from_image(const struct image *im)
{
	uint64_t spent, stacks, funded;

	take_up(im->path);
	sums(&spent, &stacks, &funded);
	books_close(&w.k);
	atomic_store(&said.spent, spent);
	atomic_store(&said.stacks, stacks);
	atomic_store(&said.funded, funded);
}

static void cut_at_any_sync(void **state)
{
	const char *path = disk_new(), *given = getenv("SEALWAY_SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20,
		 lives = getenv("SEALWAY_LONG") ? 100 : 8;
	struct image im = { 0 }, before;

	(void)state;
	print_message("SEALWAY_SEED=%u\n", seed);
	srand(seed);
	snprintf(im.path, sizeof(im.path), "%s", path);
	for (unsigned i = 0; i < lives; i++) {
		before = im;
		/* one long enough for a checkpoint, and some that commit op by op */
		im = i % 8 == 1 ? live(before.path, 9000, 40, 40)
				: live(before.path, 400, 1 + i, 1 + i % 4 * 8);
		forget(&before);
		from_image(&im);
	}
	print_message("%u lives, %u images, %u of them in the middle of a checkpoint\n", lives, images,
		      checkpoints);
	assert_true(checkpoints > 0);
	/* the log's syncs, which every commit waits for, come in between (broker/store_sqlite_wal.c) */
	assert_in_range(power_most_unsynced(), 1, 32);
	disk_free();
}

static void drain(void)
{
	while (store_backlog(w.k.store))
		uv_run(&w.k.loop, UV_RUN_ONCE);
}

/* Writes fail from somewhere within a transaction on.  Nothing is half there meanwhile, nothing is
 * acknowledged, and all of it is done once writing works again. */
static void writes_fail(const char *path, int error)
{
	struct image im = { 0 };
	uint64_t spent, stacks, funded, promised;

	take_up(path);
	if (!w.k.user)
		books_begin(&w.k);
	fund();
	adopt();
	drain();
	power_fail(error, (unsigned)rand() % 12);
	for (unsigned i = 0; i < 200; i++)
		step();
	for (uint64_t end = uv_hrtime() + UINT64_C(5000000000);
	     store_healthy(w.k.store) && uv_hrtime() < end;) {
		uv_run(&w.k.loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_false(store_healthy(w.k.store));
	uv_run(&w.k.loop, UV_RUN_NOWAIT);
	promised = atomic_load(&said.funded);
	snprintf(im.path, sizeof(im.path), "%.100s.%u.db", path, ++images);
	power_image(path, im.path, CUT_PROCESS, 0);
	for (unsigned i = 0; i < 20; i++) { /* tried again in vain meanwhile */
		uv_run(&w.k.loop, UV_RUN_NOWAIT);
		usleep(15000);
	}
	assert_true(atomic_load(&said.funded) == promised);
	power_fail(0, 0);
	drain();
	assert_true(store_healthy(w.k.store));
	sums(&spent, &stacks, &funded);
	books_close(&w.k);
	take_up(path);
	sums(&im.spent, &im.stacks, &im.funded);
	assert_true(im.spent == spent && im.stacks == stacks && im.funded == funded);
	books_close(&w.k);
	im.spent = im.stacks = 0;
	im.funded = promised;
	look(&im);
	forget(&im);
}

static void a_disk_that_cannot_be_written(void **state)
{
	static const int errors[] = { ENOSPC, EROFS, EIO };
	const char *path = disk_new();

	(void)state;
	srand(5);
	atomic_store(&said.spent, 0);
	atomic_store(&said.stacks, 0);
	atomic_store(&said.funded, 0);
	for (unsigned i = 0; i < 3; i++)
		writes_fail(path, errors[i]);
	disk_free();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_any_sync),
		cmocka_unit_test(a_disk_that_cannot_be_written),
	};

	log_init("test", LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
