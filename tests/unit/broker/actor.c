/* SPDX-License-Identifier: Apache-2.0
 *
 * Gateways and workers that say what a test wants (rig.h).
 */
#include "tests/unit/broker/test.h"

#include "tests/unit/broker/rig.h"

#include <string.h>

#include "proto/peer.h"

void rig_inbox(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct actor *a = arg;

	(void)z;
	for (int i = 0; i < INBOX; i++) {
		if (a->in[i].used)
			continue;
		buf_reset(&a->in[i].msg);
		buf_reset(&a->in[i].body);
		buf_add(&a->in[i].msg, zmsg_slice(&parts[0]).p, zmsg_slice(&parts[0]).n);
		if (n > 1)
			buf_add(&a->in[i].body, zmsg_slice(&parts[1]).p, zmsg_slice(&parts[1]).n);
		a->in[i].used = true;
		return;
	}
	fail_msg("inbox is full");
}

void rig_run(struct rig *r, unsigned ms)
{
	uint64_t end = uv_hrtime() + (uint64_t)ms * 1000000;

	do {
		uv_run(&r->loop, UV_RUN_NOWAIT);
		usleep(500);
	} while (uv_hrtime() < end);
}

static int find(struct actor *a, enum msg_type type)
{
	enum msg_type got;

	for (int i = 0; i < INBOX; i++) {
		if (a->in[i].used && msg_peek(buf_slice(&a->in[i].msg), &got) == ERR_OK && got == type)
			return i;
	}
	return -1;
}

bool actor_has(struct actor *a, enum msg_type type)
{
	return find(a, type) >= 0;
}

struct slice actor_get(struct rig *r, struct actor *a, enum msg_type type)
{
	uint64_t end = uv_hrtime() + UINT64_C(5000000000);
	int i;

	while ((i = find(a, type)) < 0) {
		if (uv_hrtime() > end)
			fail_msg("no %s came", msg_name(type));
		rig_run(r, 1);
	}
	a->in[i].used = false;
	return buf_slice(&a->in[i].msg);
}

void actor_none(struct rig *r, struct actor *a, enum msg_type type, unsigned ms)
{
	rig_run(r, ms);
	if (find(a, type) >= 0)
		fail_msg("a %s came", msg_name(type));
}

void actor_send(struct actor *a, struct buf *msg, const char *body)
{
	struct zmsg parts[2];

	zmsg_take_init(&parts[0], msg);
	if (body)
		zmsg_copy_init(&parts[1], slice_str(body));
	assert_int_equal(zsock_send(a->z, parts, body ? 2 : 1), ERR_OK);
}

void actor_ping(struct actor *a)
{
	struct ping p = { .instance = a->instance };
	struct buf msg = { 0 };

	ping_encode(&p, &msg);
	actor_send(a, &msg, NULL);
}

void actor_hello(struct rig *r, struct actor *a)
{
	struct hello h = { .role = a->role,
			   .instance = a->instance,
			   .name = SLICE_STR("test"),
			   .version = SLICE_STR("1"),
			   .capacity = a->role == ROLE_WORKER ? 4 : 0 };
	struct buf msg = { 0 };
	struct zmsg part;
	char endpoint[64];

	snprintf(endpoint, sizeof(endpoint), "ipc://worker-%llu", (unsigned long long)a->instance);
	if (a->role == ROLE_WORKER)
		h.endpoint = slice_str(endpoint);
	hello_encode(&h, &msg);
	zmsg_take_init(&part, &msg);
	for (int i = 0; zsock_send(a->z, &part, 1) != ERR_OK; i++) { /* not connected yet */
		assert_true(i < 2000);
		rig_run(r, 1);
	}
}

void actor_open(struct rig *r, struct actor *a, enum role role, uint64_t instance)
{
	struct zsock_opts o = { .type = ZSOCK_DEALER, .on_msg = rig_inbox, .arg = a };

	a->role = role;
	a->instance = instance;
	if (r->curve[0].on) {
		o.curve = r->curve[role];
		memcpy(o.curve.server_key, r->curve[0].public_key, KEY_BYTES);
	}
	a->z = zsock_open(r->zctx, &r->loop, &o);
	assert_int_equal(zsock_connect(a->z, r->bus, false), ERR_OK);
	actor_hello(r, a);
}

void actor_hello_next_life(struct actor *a)
{
	struct hello h = { .role = ROLE_WORKER,
			   .instance = 300,
			   .name = SLICE_STR("x"),
			   .version = SLICE_STR("1"),
			   .endpoint = SLICE_STR("ipc://worker-200"),
			   .capacity = 4 };
	struct buf msg = { 0 };

	hello_encode(&h, &msg);
	actor_send(a, &msg, NULL);
}

void actor_bye(struct actor *a)
{
	struct bye m = { .instance = a->instance };
	struct buf msg = { 0 };

	bye_encode(&m, &msg);
	actor_send(a, &msg, NULL);
}

void actor_close(struct actor *a)
{
	zsock_close(a->z);
	a->z = NULL;
}

void actor_free(struct actor *a)
{
	actor_close(a);
	for (int i = 0; i < INBOX; i++) {
		buf_free(&a->in[i].msg);
		buf_free(&a->in[i].body);
	}
}

void rig_introduce(struct rig *r, struct actor *gw, struct actor *wk)
{
	struct heard h = { .topic = gw->instance, .present = true };
	struct buf msg = { 0 };
	struct intro in;
	struct peer p;

	do {
		assert_int_equal(peer_decode(actor_get(r, wk, MSG_PEER), &p), ERR_OK);
	} while (p.topic != gw->instance || !p.present);
	peer_ok_encode(gw->instance, &msg);
	actor_send(wk, &msg, NULL);
	do {
		assert_int_equal(intro_decode(actor_get(r, gw, MSG_INTRO), &in), ERR_OK);
	} while (in.worker != wk->instance || !in.present);
	msg = (struct buf){ 0 };
	heard_encode(&h, &msg);
	actor_send(wk, &msg, NULL);
	rig_run(r, 10);
}
