/* SPDX-License-Identifier: Apache-2.0
 *
 * The book of open settlements (settle.h).  A settlement is kept as the encoded
 * message, so every repetition is the same bytes.  The receipt in it is wiped
 * with the buffer.
 */
#include "worker/settle.h"

#include <stdlib.h>
#include <string.h>

#include "common/loop.h"
#include "common/map.h"
#include "worker/metrics.h"

#define FIRST_MS 1000
#define LONGEST_MS 10000
#define LOOK_MS 250

struct entry {
	uint8_t rid[RID_BYTES];
	uint32_t attempt;
	unsigned to;
	struct buf bytes;
	uint64_t next, delay;
};

struct settle_book {
	uv_loop_t *uv;
	uv_timer_t timer;
	struct map *entries;
	settle_send_fn send;
	void *arg;
};

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	buf_free(&e->bytes);
	free(e);
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

struct settle_book *settle_book_new(uv_loop_t *uv, settle_send_fn send, void *arg)
{
	struct settle_book *b = mem_new(sizeof(*b));

	b->uv = uv;
	b->send = send;
	b->arg = arg;
	b->entries = map_new(RID_BYTES);
	uv_timer_init(uv, &b->timer);
	b->timer.data = b;
	return b;
}

void settle_book_free(struct settle_book *b)
{
	struct entry *e;
	size_t pos = 0;

	if (!b)
		return;
	while ((e = map_next(b->entries, &pos)))
		entry_free(e);
	map_free(b->entries);
	uv_close((uv_handle_t *)&b->timer, on_closed);
}

static void send_entry(struct settle_book *b, struct entry *e)
{
	e->next = loop_now(b->uv) + e->delay;
	b->send(b->arg, e->to, buf_slice(&e->bytes));
}

static void on_timer(uv_timer_t *t)
{
	struct settle_book *b = t->data;
	uint64_t now = loop_now(b->uv);
	struct entry *e;
	size_t pos = 0;

	while ((e = map_next(b->entries, &pos))) {
		if (now < e->next)
			continue;
		e->delay = e->delay * 2 > LONGEST_MS ? LONGEST_MS : e->delay * 2;
		send_entry(b, e);
	}
}

static void count(struct settle_book *b)
{
	size_t n = map_count(b->entries);

	stat_set(&metrics.settling, (int64_t)n);
	if (n == 0)
		uv_timer_stop(&b->timer);
	else if (!uv_is_active((uv_handle_t *)&b->timer))
		uv_timer_start(&b->timer, on_timer, LOOK_MS, LOOK_MS);
}

void settle_put(struct settle_book *b, unsigned to, const struct settle *m)
{
	struct entry *e = map_get(b->entries, m->rid);

	if (e && e->attempt >= m->attempt)
		return;
	e = mem_new(sizeof(*e));
	memcpy(e->rid, m->rid, RID_BYTES);
	e->attempt = m->attempt;
	e->to = to;
	e->delay = FIRST_MS;
	e->bytes.secret = true;
	settle_encode(m, &e->bytes);
	entry_free(map_put(b->entries, e->rid, e));
	stat_inc(&metrics.requests[m->outcome], 1);
	count(b);
	send_entry(b, e);
}

bool settle_done(struct settle_book *b, const struct settled *m)
{
	struct entry *e = map_get(b->entries, m->rid);

	if (!e || e->attempt != m->attempt)
		return false;
	map_del(b->entries, m->rid);
	entry_free(e);
	count(b);
	return true;
}

bool settle_waits(const struct settle_book *b, const uint8_t rid[RID_BYTES])
{
	return map_get(b->entries, rid) != NULL;
}

bool settle_again(struct settle_book *b, const uint8_t rid[RID_BYTES])
{
	struct entry *e = map_get(b->entries, rid);

	if (e)
		send_entry(b, e);
	return e != NULL;
}

void settle_resend(struct settle_book *b, unsigned to)
{
	struct entry *e;
	size_t pos = 0;

	while ((e = map_next(b->entries, &pos))) {
		if (e->to == to)
			send_entry(b, e);
	}
}

size_t settle_count(const struct settle_book *b)
{
	return map_count(b->entries);
}

size_t settle_count_for(const struct settle_book *b, unsigned to)
{
	struct entry *e;
	size_t pos = 0, n = 0;

	while ((e = map_next(b->entries, &pos)))
		n += e->to == to;
	return n;
}
