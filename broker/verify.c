/* SPDX-License-Identifier: Apache-2.0
 *
 * One batch runs at a time; what comes meanwhile is the next one (verify.h).
 */
#include "broker/verify.h"

#include <stdlib.h>

#include "common/hash.h"

#define WAITING_MAX 65536

struct verify {
	uv_loop_t *uv;
	uv_work_t work;
	struct verify_item *batch;        /* at the pool */
	struct verify_item *head, **tail; /* waiting */
	unsigned waiting;
	bool running, closed;
};

struct verify *verify_open(uv_loop_t *uv)
{
	struct verify *v = mem_new(sizeof(*v));

	v->uv = uv;
	v->work.data = v;
	v->tail = &v->head;
	return v;
}

void verify_add(struct verify_item *item, const char *label, struct slice data, struct slice text,
		const uint8_t key[KEY_BYTES])
{
	struct verify_check *c = &item->check[item->n++];

	BUG_ON(item->n > VERIFY_CHECKS);
	c->label = label;
	buf_add(&c->data, data.p, data.n);
	buf_add(&c->text, text.p, text.n);
	for (unsigned i = 0; i < KEY_BYTES; i++)
		c->key[i] = key[i];
}

void verify_item_free(struct verify_item *item)
{
	if (!item)
		return;
	for (unsigned i = 0; i < item->n; i++) {
		buf_free(&item->check[i].data);
		buf_free(&item->check[i].text);
	}
	free(item);
}

static enum err run_check(const struct verify_check *c)
{
	uint8_t digest[HASH_BYTES];

	if (c->label)
		hash_label(digest, c->label, buf_slice(&c->data));
	else
		hash(digest, buf_slice(&c->data));
	return sign_verify(buf_slice(&c->text), digest, c->key);
}

/* On the pool: touches nothing but the batch. */
static void on_work(uv_work_t *w)
{
	struct verify *v = w->data;

	for (struct verify_item *i = v->batch; i; i = i->next) {
		i->result = ERR_OK;
		for (unsigned c = 0; c < i->n && i->result == ERR_OK; c++)
			i->result = run_check(&i->check[c]);
	}
}

/* Items that nobody will hear of. */
static void free_list(struct verify_item *i)
{
	struct verify_item *next;

	for (; i; i = next) {
		next = i->next;
		if (i->lost)
			i->lost(i->arg);
		verify_item_free(i);
	}
}

static void start(struct verify *v);

static void on_done(uv_work_t *w, int status)
{
	struct verify *v = w->data;
	struct verify_item *batch = v->batch, *i;

	(void)status;
	v->batch = NULL;
	while (!v->closed && (i = batch) != NULL) { /* running still: what comes now waits */
		batch = i->next;
		i->done(i->arg, i->result);
		verify_item_free(i);
	}
	free_list(batch);
	v->running = false;
	if (v->closed)
		verify_close(v);
	else if (v->head)
		start(v);
}

static void start(struct verify *v)
{
	v->batch = v->head;
	v->head = NULL;
	v->tail = &v->head;
	v->waiting = 0;
	v->running = true;
	BUG_ON(uv_queue_work(v->uv, &v->work, on_work, on_done) != 0);
}

enum err verify_submit(struct verify *v, struct verify_item *item)
{
	if (v->waiting >= WAITING_MAX)
		return ERR_LIMIT;
	item->next = NULL;
	*v->tail = item;
	v->tail = &item->next;
	v->waiting++;
	if (!v->running)
		start(v);
	return ERR_OK;
}

void verify_close(struct verify *v)
{
	if (!v)
		return;
	v->closed = true;
	if (v->running)
		return;
	free_list(v->head);
	free(v);
}
