/* SPDX-License-Identifier: Apache-2.0
 *
 * libsealway against a gateway that does anything (hostile_gateway.h), from several
 * threads at once, each with a handle of its own that is used again after whatever
 * happened.  For each call it is known what may become of it:
 * - what the caller is given is the beginning of the true plaintext, to the byte and in
 *   its order, up to what was wrong and no further;
 * - whole is said of an answer that was said whole and unaltered, and of each such one;
 * - otherwise the status and the sentence name what was wrong;
 * - each call ends in its time;
 * - a sealed request is sent once more if its connection ended without an answer, unless the node is
 *   foreign and would answer it twice; and no other one for the same call unless the one before it
 *   was refused, the first time that it was sent.
 *
 * The seed is printed; SEALWAY_SEED sets it, SEALWAY_LONG=1 goes on for two minutes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/b64.h"
#include "hostile_gateway.h"
#include "tests/unit/net/fake_cert.h"
#include "tests/unit/openfiles.h"
#include "tests/unit/tempdir.h"

#define LANES 4
#define LATE_MS 3000 /* beyond its time: a busy machine */

struct lane {
	struct hostile h;
	pthread_t thread;
	unsigned number, dice, calls, whole;
	char pins[96];
	/* the handle */
	struct sealway *s;
	bool tls, foreign;
	unsigned timeout_s;
	/* the call */
	struct buf given; /* objects, each with an end */
	unsigned objects, wires, stop_after;
	bool last, stopped, meddles;
	enum sealway_status status;
	uint64_t ms;
};

static struct {
	struct lane lane[LANES];
	char ca_file[FAKE_FILE], dir[TEMPDIR_ROOM];
	unsigned seed;
	uint64_t end; /* of the test */
	bool long_run;
	EVP_PKEY *key;
	X509 *cert;
} w;

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void check(const struct lane *l, bool well, const char *why)
{
	const struct hostile *h = &l->h;

	if (well)
		return;
	fprintf(stderr, "SEALWAY_SEED=%u, lane %u, call %u: %s\n", w.seed, l->number, l->calls, why);
	fprintf(stderr, "  %s%s%s, %u s; status %d \"%s\" (%d), %u objects%s%s, %llu ms\n",
		l->tls ? "TLS" : "plain", h->stream ? ", stream" : "", l->foreign ? ", foreign" : "",
		l->timeout_s, (int)l->status, l->s ? sealway_error(l->s) : "",
		l->s ? sealway_error_status(l->s) : 0, l->objects, l->last ? ", last" : "",
		l->stopped ? ", stopped" : "", (unsigned long long)l->ms);
	for (unsigned i = 0; i < h->deeds; i++)
		fprintf(stderr, "  asked %d: evil %d, status %d, begun %d, %u objects, %u good, serial %u\n",
			(int)h->deed[i].asked, (int)h->deed[i].evil, h->deed[i].status, h->deed[i].begun,
			h->deed[i].n, h->deed[i].good, h->deed[i].serial);
	abort();
}

/* --- what may be --- */

static bool says(const struct lane *l, const char *what)
{
	return strstr(sealway_error(l->s), what) != NULL;
}

static bool is(const struct lane *l, enum sealway_status status, const char *what)
{
	return l->status == status && says(l, what);
}

/* The objects given are the first ones of the answer. */
static void check_given(const struct lane *l, const struct deed *d)
{
	struct buf truth = { 0 };

	for (unsigned i = 0; i < l->objects; i++) {
		hostile_text(d->serial, i, &truth);
		buf_add(&truth, "", 1);
	}
	check(l, l->objects <= d->n && slice_eq(buf_slice(&truth), buf_slice(&l->given)),
	      "not the beginning of the true plaintext");
	buf_free(&truth);
}

/* libcurl has two words for it. */
static bool says_late(const struct lane *l)
{
	return says(l, "timed out") || says(l, "Timeout was reached");
}

static bool cut_is_told(const struct lane *l, const struct deed *d)
{
	bool cut = is(l, SEALWAY_CUT, "the answer was cut off before its end: ");
	bool none = is(l, SEALWAY_CONNECT, "cannot talk to ");

	if (d->evil == EVIL_STALL && !says_late(l))
		return false;
	if (l->tls || d->evil == EVIL_RESET)
		return cut || none;
	return d->begun ? cut : none;
}

static bool refusal_is_told(const struct lane *l, const struct deed *d)
{
	return is(l, SEALWAY_REFUSED, d->code) && sealway_error_status(l->s) == d->status;
}

/* Whether the end of the call names what was wrong with the last answer. */
static bool is_told(const struct lane *l, const struct deed *d)
{
	switch (d->evil) {
	case EVIL_FIN:
	case EVIL_RESET:
	case EVIL_STALL:
		return cut_is_told(l, d);
	case EVIL_UNBOUNDED:
		return is(l, SEALWAY_CUT, "nothing marks where it ends");
	case EVIL_CHUNK:
		return is(l, SEALWAY_CUT, "the answer was cut off before its end: ");
	case EVIL_GARBAGE:
		return l->status == SEALWAY_CONNECT || l->status == SEALWAY_CUT ||
		       l->status == SEALWAY_VERIFY;
	case EVIL_HEAD:
		return is(l, SEALWAY_VERIFY, "the headers of the answer are larger");
	case EVIL_STATUS:
		return refusal_is_told(l, d);
	case EVIL_TYPE:
		return is(l, SEALWAY_VERIFY,
			  l->h.stream ? "is not text/event-stream" : "is not application/json");
	case EVIL_EMPTY:
		return d->asked == ASKED_LOCK ? is(l, SEALWAY_VERIFY, "to the lock is malformed")
					      : is(l, SEALWAY_CUT, "is empty");
	case EVIL_BROKE:
		return is(l, SEALWAY_CUT, "the service broke off: TIMEOUT: slow");
	case EVIL_DROP:
		return is(l, SEALWAY_VERIFY, "a chunk is missing");
	case EVIL_REPEAT:
		return is(l, SEALWAY_VERIFY,
			  !l->h.stream          ? "malformed"
			  : d->good + 1 == d->n ? "a chunk came"
						: "a chunk came twice");
	case EVIL_SWAP:
		return is(l, SEALWAY_VERIFY, "a chunk is missing");
	case EVIL_ALTER:
		return l->status == SEALWAY_VERIFY;
	case EVIL_SHORT:
	case EVIL_OTHER:
	case EVIL_REPLAY:
		return is(l, SEALWAY_VERIFY, "does not open") || is(l, SEALWAY_VERIFY, "malformed");
	case EVIL_MORE:
		return l->status == SEALWAY_VERIFY;
	case EVIL_NO_FINAL:
		return is(l, SEALWAY_CUT, "without its final chunk");
	case EVIL_HALF:
		return is(l, SEALWAY_CUT, "in the middle of an event");
	case EVIL_FLOOD:
		return is(l, SEALWAY_VERIFY, "not a stream of events");
	default:
		return false;
	}
}

/* A call is made of a lock and a request, again after a refusal only. */
static void check_order(const struct lane *l)
{
	unsigned refusals = 0;

	for (unsigned i = 0; i + 1 < l->h.deeds; i++) {
		const struct deed *d = &l->h.deed[i];
		bool again = d->evil == EVIL_STATUS && (d->status == 423 || d->status == 425 || d->later);
		bool lost = d->evil == EVIL_RESET || (d->evil == EVIL_FIN && !d->begun);
		bool request = d->asked == ASKED_REQUEST, resent = l->h.deed[i + 1].resent;

		check(l, (!request && d->evil == EVIL_NONE) || again || lost, "went on after what was wrong");
		check(l, !request || lost == resent, "a request without a lock of its own");
		check(l, !d->resent, "went on after a request that was sent twice");
		refusals += again && !d->later;
	}
	check(l, refusals <= 3, "tried again too often");
}

static void check_cost(const struct lane *l, const struct deed *d)
{
	struct sealway_receipt_info info;
	struct sealway_cost c;
	char *receipt = sealway_receipt(l->s), why[256] = "";

	sealway_last_cost(l->s, &c);
	check(l, c.receipt == !l->foreign && !receipt == l->foreign, "a receipt, or none");
	check(l, c.objects == d->n && (l->foreign || (c.prompt == 5 && c.completion == d->n)),
	      "another cost");
	if (receipt)
		check(l, sealway_receipt_verify(receipt, strlen(receipt), NULL, &info, why, sizeof(why)),
		      "its receipt is none");
	sealway_text_free(receipt);
}

static void check_whole(const struct lane *l, const struct deed *d)
{
	check(l, d->asked == ASKED_REQUEST && d->evil == EVIL_NONE, "whole, and it was not");
	check(l, l->objects == d->n && l->last, "whole, and not all was given");
	check(l, *sealway_error(l->s) == '\0', "a sentence about nothing");
	check_cost(l, d);
}

static void check_call(struct lane *l)
{
	const struct deed *d = l->h.deeds ? &l->h.deed[l->h.deeds - 1] : NULL;
	bool late = l->timeout_s == 1 && l->ms > 900 && says_late(l);

	check(l, l->ms < l->timeout_s * 1000 + LATE_MS, "late");
	check_order(l);
	if (!d) { /* a busy machine, or the gateway hung up as it came */
		check(l, late || is(l, SEALWAY_CONNECT, "cannot talk to "), "nothing was asked");
		check(l, l->objects == 0, "objects out of nowhere");
		return;
	}
	check_given(l, d);
	check(l, !l->last || d->evil == EVIL_NONE, "an answer that is none has an end");
	if (l->stopped) {
		check(l, is(l, SEALWAY_STOPPED, "stopped"), "stopped, and something else is told");
		return;
	}
	check(l, l->status != SEALWAY_STOPPED, "nobody stopped it");
	if (l->status == SEALWAY_OK)
		check_whole(l, d);
	else if (late)
		return;
	else if (d->asked == ASKED_LOCK && d->evil == EVIL_NONE)
		check(l, is(l, SEALWAY_CONNECT, "cannot talk to "), "a request that was not sent");
	else
		check(l, is_told(l, d), "what was wrong is not told");
	if (d->evil > EVIL_HEAD)
		check(l, l->objects == (l->h.stream && d->evil != EVIL_STATUS ? d->good : 0),
		      "not all that came before what was wrong");
}

/* --- the caller --- */

static void meddle(struct lane *l)
{
	struct sealway_request r = { .kind = SEALWAY_CHAT, .model = FAKE_MODEL, .json = "{}", .json_n = 2 };
	char *body = NULL;

	check(l,
	      sealway_run(l->s, &r) == SEALWAY_USAGE && !sealway_get(l->s, "/", &body) &&
		      !sealway_fetch(l->s, "/", &body) && !body,
	      "a call within a call");
}

static bool on_object(void *arg, const char *json, size_t n, bool last)
{
	struct lane *l = arg;

	check(l, !l->stopped && !l->last, "an object behind the end");
	buf_add(&l->given, json, n);
	buf_add(&l->given, "", 1);
	l->objects++;
	l->last = last;
	if (l->meddles)
		meddle(l);
	l->stopped = l->objects == l->stop_after;
	return !l->stopped;
}

static void on_wire(void *arg, enum sealway_wire what, const char *json, size_t n)
{
	struct lane *l = arg;

	l->wires += what == SEALWAY_WIRE_ANSWER && n && *json;
}

static void new_handle(struct lane *l)
{
	struct sealway_opts o = {
		.token = "sk-test", .known_nodes = l->pins, .ca_file = w.ca_file, .on_wire = on_wire, .arg = l
	};
	char url[64], why[256] = "", key[B64_LEN(32) + 1] = "";

	sealway_free(l->s);
	l->tls = hostile_dice(&l->dice, 2);
	l->foreign = hostile_dice(&l->dice, 6) == 0;
	l->timeout_s = hostile_dice(&l->dice, w.long_run ? 10 : 20) ? 20 : 1;
	snprintf(url, sizeof(url), "http%s://127.0.0.1:%d", l->tls ? "s" : "", l->h.port);
	o.url = url;
	o.allow_foreign = l->foreign;
	o.timeout_s = l->timeout_s;
	b64_put(key, l->h.node.lock.sign_key, 32);
	if (!l->foreign && hostile_dice(&l->dice, 2))
		o.node_key = key;
	l->s = sealway_new(&o, why, sizeof(why));
	check(l, l->s != NULL, why);
}

/* Before a call the gateway forgets the one before. */
static void begin_call(struct lane *l)
{
	pthread_mutex_lock(&l->h.lock);
	l->h.round = ++l->calls;
	l->h.deeds = 0;
	l->h.stream = hostile_dice(&l->dice, 3);
	l->h.foreign = l->foreign;
	l->h.may_stall = l->timeout_s == 1;
	l->h.may_wait = w.long_run && hostile_dice(&l->dice, 20) == 0;
	pthread_mutex_unlock(&l->h.lock);
	buf_reset(&l->given);
	l->objects = l->wires = 0;
	l->last = l->stopped = false;
	l->stop_after = hostile_dice(&l->dice, 12) ? 0 : 1 + hostile_dice(&l->dice, 4);
	l->meddles = hostile_dice(&l->dice, 10) == 0;
	l->ms = now_ms();
}

static void run(struct lane *l)
{
	struct buf json = { 0 };
	struct sealway_request r = {
		.kind = SEALWAY_CHAT, .model = FAKE_MODEL, .on_object = on_object, .arg = l
	};
	unsigned n = hostile_dice(&l->dice, hostile_dice(&l->dice, 10) ? 200 : 90000);

	begin_call(l);
	buf_str(&json, "{\"messages\":\"");
	for (unsigned i = 0; i < n; i++)
		buf_str(&json, "m");
	buf_str(&json, "\"}");
	r.stream = l->h.stream;
	r.json = (const char *)json.p;
	r.json_n = json.n;
	l->status = sealway_run(l->s, &r);
	l->ms = now_ms() - l->ms;
	pthread_mutex_lock(&l->h.lock);
	check_call(l);
	l->whole += l->status == SEALWAY_OK;
	pthread_mutex_unlock(&l->h.lock);
	buf_free(&json);
}

static void list(struct lane *l)
{
	char *body = NULL, want[32] = "";
	const struct deed *d;
	bool fetch = hostile_dice(&l->dice, 2), well;
	int status = 0;

	begin_call(l);
	if (fetch)
		well = sealway_fetch(l->s, "/v1/models", &body);
	else
		well = (status = sealway_get(l->s, "/v1/models", &body)) == 200;
	l->ms = now_ms() - l->ms;
	pthread_mutex_lock(&l->h.lock);
	d = l->h.deeds ? &l->h.deed[l->h.deeds - 1] : NULL;
	check(l, l->ms < l->timeout_s * 1000 + LATE_MS, "late");
	check(l, !well || (d && (d->evil == EVIL_NONE || d->evil == EVIL_EMPTY)), "a list that is none");
	check(l, well || !d || d->evil != EVIL_NONE || says_late(l), "no list, though it was said");
	if (well) {
		snprintf(want, sizeof(want), "{\"list\":%u}", d->serial);
		check(l, strcmp(body, d->evil == EVIL_EMPTY ? "" : want) == 0, "another list");
	}
	check(l, !fetch || well == (body != NULL), "a list beside an error");
	check(l, !d || d->evil != EVIL_STATUS || (fetch ? sealway_error_status(l->s) : status) == d->status,
	      "another status");
	pthread_mutex_unlock(&l->h.lock);
	sealway_text_free(body);
}

static void *caller(void *arg)
{
	struct lane *l = arg;

	while (now_ms() < w.end) {
		if (!l->s || hostile_dice(&l->dice, 15) == 0)
			new_handle(l);
		if (hostile_dice(&l->dice, 10) == 0)
			list(l);
		else
			run(l);
	}
	sealway_free(l->s);
	return NULL;
}

/* --- the whole --- */

static SSL_CTX *tls(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (SSL_CTX_use_certificate(ctx, w.cert) != 1 || SSL_CTX_use_PrivateKey(ctx, w.key) != 1)
		abort();
	return ctx;
}

static void make_certificate(void)
{
	X509 *ca;

	w.key = EVP_EC_gen("P-256");
	ca = fake_cert(w.key, "test authority", NULL, NULL, NULL, -60, 3600);
	w.cert = fake_cert(w.key, "x", "IP:127.0.0.1", ca, w.key, -60, 3600);
	fake_cert_write(ca, w.ca_file);
	X509_free(ca);
}

static void start_lane(struct lane *l, unsigned number)
{
	l->number = number;
	l->dice = (w.seed * 977 + number) * 2654435761u | 1;
	snprintf(l->pins, sizeof(l->pins), "%s/known_nodes", w.dir);
	hostile_open(&l->h, tls(), w.seed * 131 + number);
	if (pthread_create(&l->thread, NULL, caller, l))
		abort();
}

static void any_gateway_is_seen_through(void **state)
{
	const char *seed = getenv("SEALWAY_SEED");
	unsigned files, calls = 0, whole = 0, done[EVILS] = { 0 };

	(void)state;
	w.seed = seed ? (unsigned)strtoul(seed, NULL, 10) : (unsigned)time(NULL);
	w.long_run = getenv("SEALWAY_LONG") != NULL;
	print_message("SEALWAY_SEED=%u\n", w.seed);
	make_certificate();
	tempdir_make(w.dir);
	files = open_files();
	w.end = now_ms() + (w.long_run ? 120000 : 1200);
	for (unsigned i = 0; i < LANES; i++)
		start_lane(&w.lane[i], i);
	for (unsigned i = 0; i < LANES; i++) {
		struct lane *l = &w.lane[i];

		pthread_join(l->thread, NULL);
		hostile_close(&l->h);
		SSL_CTX_free(l->h.ctx);
		buf_free(&l->given);
		calls += l->calls;
		whole += l->whole;
		for (unsigned k = 0; k < EVILS; k++)
			done[k] += l->h.done[k];
	}
	assert_int_equal(open_files(), files);
	print_message("%u calls, %u whole; evils:", calls, whole);
	for (unsigned k = 0; k < EVILS; k++)
		print_message(" %u", done[k]);
	print_message("\n");
	assert_true(calls > 20 && whole);
	X509_free(w.cert);
	EVP_PKEY_free(w.key);
	unlink(w.ca_file);
	tempdir_drop(w.dir, "known_nodes");
	tempdir_remove(w.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(any_gateway_is_seen_through) };

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
