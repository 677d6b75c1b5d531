/* SPDX-License-Identifier: Apache-2.0
 *
 * The set of introduced workers.  Credits outstanding per request are at most
 * CREDIT_INITIAL / FLIGHT_GRANT_STEP messages, and WINDOW_ROOM / FLIGHT_GRANT_STEP
 * more for all of them, so a send queue of a few times the requests in flight
 * cannot overflow; XSUB would drop silently if it did.
 */
#include "gateway/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/map.h"
#include "common/seldom.h"
#include "gateway/metrics.h"

/* A chunk with its header, sealed by CURVE; a longer frame costs the connection. */
#define FRAME_MAX (CHUNK_BYTES_MAX + 1024)
#define SEND_QUEUE 65536 /* messages of some 40 bytes */
#define COMPLAINTS 20    /* of one kind in ten seconds: a worker can be introduced as often as it likes */

struct worker {
	struct workers *set;
	uint64_t instance;
	char *endpoint;
	struct zsock *z;
	bool introduced; /* since the last workers_mark */
	bool has_key;
	uint8_t key[KEY_BYTES]; /* its server key */
};

struct workers {
	struct workers_opts o;
	struct zctx *zctx;
	uv_loop_t *uv;
	struct map *map; /* instance -> struct worker */
	struct seldom no_socket, endpoint, too_many;
};

struct workers *workers_open(struct zctx *zctx, uv_loop_t *uv, const struct workers_opts *o)
{
	struct workers *w = mem_new(sizeof(*w));

	w->o = *o;
	w->zctx = zctx;
	w->uv = uv;
	w->map = map_new(sizeof(uint64_t));
	return w;
}

size_t workers_count(const struct workers *w)
{
	return map_count(w->map);
}

static void on_frame(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct worker *k = arg;

	(void)z;
	stat_inc(&metrics.chunks, 1);
	if (n != 1)
		stat_inc(&metrics.dropped, 1);
	else
		k->set->o.frame(k->set->o.arg, k->instance, zmsg_slice(&parts[0]));
}

static void worker_free(struct worker *k)
{
	zsock_close(k->z);
	free(k->endpoint);
	free(k);
	stat_inc(&metrics.workers, -1);
}

static void forget(struct workers *w, struct worker *k, const char *why)
{
	uint64_t instance = k->instance;

	log_info("worker.gone", L_S("endpoint", k->endpoint), L_S("why", why));
	map_del(w->map, &instance);
	worker_free(k);
	w->o.gone(w->o.arg, instance);
}

static enum err subscribe(struct workers *w, struct worker *k)
{
	uint8_t frame[1 + CHUNK_TOPIC_BYTES] = { 1 };
	struct zmsg m;
	enum err e;

	put_be64(frame + 1, w->o.topic);
	zmsg_copy_init(&m, slice_of(frame, sizeof(frame)));
	e = zsock_send(k->z, &m, 1);
	if (e != ERR_OK)
		zmsg_close(&m);
	return e;
}

static struct zsock *open_socket(struct workers *w, struct worker *k, struct slice key)
{
	struct zsock_opts zo = {
		.type = ZSOCK_XSUB,
		.sndhwm = SEND_QUEUE,
		.max_msg = FRAME_MAX,
		.on_msg = on_frame,
		.arg = k,
	};
	struct zsock *z;

	if (key.n == KEY_BYTES && w->o.curve.on) {
		zo.curve = w->o.curve;
		zo.curve.server = false;
		memcpy(zo.curve.server_key, key.p, KEY_BYTES);
	}
	z = zsock_try_open(w->zctx, w->uv, &zo);
	mem_wipe(&zo.curve, sizeof(zo.curve));
	return z;
}

static bool worth_saying(struct workers *w, struct seldom *kind, uint64_t *times)
{
	return seldom(kind, COMPLAINTS, uv_now(w->uv), times);
}

static void meet(struct workers *w, const struct intro *m)
{
	struct worker *k = mem_new(sizeof(*k));
	uint64_t times;

	k->set = w;
	k->instance = m->worker;
	k->introduced = true;
	k->has_key = m->key.n == KEY_BYTES;
	if (k->has_key)
		memcpy(k->key, m->key.p, KEY_BYTES);
	k->endpoint = mem_strndup(m->endpoint.p, m->endpoint.n);
	k->z = open_socket(w, k, m->key);
	stat_inc(&metrics.workers, 1);
	if (!k->z) {
		if (worth_saying(w, &w->no_socket, &times))
			log_error("worker.no_socket", L_S("endpoint", k->endpoint),
				  L_S("why", strerror(errno)), L_U("times", times),
				  L_S("do", "raise the limit of open files"));
		worker_free(k);
		return;
	}
	if (zsock_connect(k->z, k->endpoint, w->o.insecure) != ERR_OK || subscribe(w, k) != ERR_OK) {
		if (worth_saying(w, &w->endpoint, &times))
			log_error("worker.endpoint", L_S("endpoint", k->endpoint), L_U("times", times));
		worker_free(k);
		return;
	}
	log_info("worker.introduced", L_S("endpoint", k->endpoint));
	map_put(w->map, &k->instance, k);
}

static bool same_key(const struct worker *k, struct slice key)
{
	return k->has_key ? slice_eq(slice_of(k->key, sizeof(k->key)), key) : key.n == 0;
}

/* The worker whose place m takes.  Only its own key can do that: anybody may say
 * any endpoint. */
static struct worker *life_before(struct workers *w, const struct intro *m)
{
	struct worker *k;
	size_t pos = 0;

	while ((k = map_next(w->map, &pos)))
		if (slice_is(m->endpoint, k->endpoint) && same_key(k, m->key))
			return k;
	return NULL;
}

void workers_intro(struct workers *w, const struct intro *m)
{
	struct worker *k = map_get(w->map, &m->worker);
	uint64_t times;

	if (!m->present) {
		if (k)
			forget(w, k, "the broker says so");
		return;
	}
	if (k && slice_is(m->endpoint, k->endpoint)) {
		k->introduced = true;
		return;
	}
	if (k)
		forget(w, k, "moved");
	k = life_before(w, m);
	if (k)
		forget(w, k, "replaced by its next life");
	if (map_count(w->map) < w->o.max)
		meet(w, m);
	else if (worth_saying(w, &w->too_many, &times))
		log_error("worker.too_many", L_U("times", times));
}

void workers_mark(struct workers *w)
{
	struct worker *k;
	size_t pos = 0;

	while ((k = map_next(w->map, &pos)))
		k->introduced = false;
}

void workers_sweep(struct workers *w)
{
	struct worker *k;
	size_t pos = 0;

	while ((k = map_next(w->map, &pos)))
		if (!k->introduced && !w->o.busy(w->o.arg, k->instance))
			forget(w, k, "not introduced again");
}

/* One frame of CREDIT_MARK and the message (chunk.h). */
static enum err send_up(struct worker *k, struct buf *b)
{
	struct zmsg m;
	enum err e;

	zmsg_take_init(&m, b);
	e = zsock_send(k->z, &m, 1);
	if (e != ERR_OK)
		zmsg_close(&m);
	return e;
}

enum err workers_credit(struct workers *w, uint64_t worker, const struct credit *m)
{
	struct worker *k = map_get(w->map, &worker);
	struct buf b = { .p = NULL };

	if (!k)
		return ERR_CLOSED;
	buf_add(&b, (const uint8_t[]){ CREDIT_MARK }, 1);
	credit_encode(m, &b);
	stat_inc(&metrics.credits, 1);
	return send_up(k, &b);
}

static void cancel_one(struct worker *k, const struct cancel *m)
{
	struct buf b = { .p = NULL };

	buf_add(&b, (const uint8_t[]){ CREDIT_MARK }, 1);
	cancel_encode(m, &b);
	stat_inc(&metrics.cancels, 1);
	if (send_up(k, &b) != ERR_OK)
		log_debug("worker.cancel_not_sent", L_RID(m->rid));
}

void workers_cancel(struct workers *w, uint64_t worker, const struct cancel *m)
{
	struct worker *k = map_get(w->map, &worker);
	size_t pos = 0;

	if (k) {
		cancel_one(k, m);
		return;
	}
	while (worker == 0 && (k = map_next(w->map, &pos)))
		cancel_one(k, m);
}

void workers_close(struct workers *w)
{
	struct worker *k;
	size_t pos = 0;

	if (!w)
		return;
	while ((k = map_next(w->map, &pos))) {
		map_del(w->map, &k->instance);
		worker_free(k);
	}
	map_free(w->map);
	mem_wipe(&w->o.curve, sizeof(w->o.curve));
	free(w);
}
