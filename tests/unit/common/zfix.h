/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop, a context and a directory for sockets, for tests of zsock and zauth.
 * The loop blocks as in a process, so that a lost wake-up shows as a timeout.
 */
#ifndef SEALWAY_TESTS_ZFIX_H
#define SEALWAY_TESTS_ZFIX_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/zauth.h"
#include "common/zsock.h"
#include "tests/unit/tempdir.h"

struct zfix {
	uv_loop_t uv;
	uv_timer_t clock;
	bool late;
	struct zctx *ctx;
	char dir[TEMPDIR_ROOM], ipc[96];
};

static inline void zfix_late(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static inline int zfix_up(void **state)
{
	struct zfix *f = mem_new(sizeof(*f));

	uv_loop_init(&f->uv);
	uv_timer_init(&f->uv, &f->clock);
	f->clock.data = &f->late;
	f->ctx = zctx_new();
	tempdir_make(f->dir);
	snprintf(f->ipc, sizeof(f->ipc), "ipc://%s/s", f->dir);
	*state = f;
	return 0;
}

static inline int zfix_down(void **state)
{
	struct zfix *f = *state;

	uv_close((uv_handle_t *)&f->clock, NULL);
	for (int i = 0; i < 10; i++)
		uv_run(&f->uv, UV_RUN_NOWAIT);
	if (uv_loop_close(&f->uv) != 0)
		return -1; /* a socket is still open: the test failed in the middle, or a close did */
	zctx_free(f->ctx);
	tempdir_drop(f->dir, "s");
	tempdir_remove(f->dir);
	free(f);
	return 0;
}

/* Runs the loop until done(arg) or ms have passed; says which. */
static inline bool zfix_run(struct zfix *f, bool (*done)(void *arg), void *arg, unsigned ms)
{
	f->late = false;
	uv_timer_start(&f->clock, zfix_late, ms, 0);
	while (!f->late && !(done && done(arg)))
		uv_run(&f->uv, UV_RUN_ONCE);
	uv_timer_stop(&f->clock);
	return done && done(arg);
}

/* What a socket has received. */
struct inbox {
	unsigned n;            /* messages */
	unsigned subs, unsubs; /* frames that start with 1 and 0 */
	size_t parts;          /* of the last */
	bool has_key;
	uint8_t key[32], id[16], last[64];
	size_t id_n, last_n;
	unsigned want;
};

static inline bool inbox_full(void *arg)
{
	struct inbox *in = arg;

	return in->n >= in->want;
}

static inline void inbox_take(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	struct inbox *in = arg;
	struct slice last = zmsg_slice(&parts[n - 1]), id = zmsg_slice(&parts[0]);

	(void)z;
	in->n++;
	in->parts = n;
	in->has_key = zmsg_peer_key(&parts[0], in->key);
	in->id_n = id.n < sizeof(in->id) ? id.n : sizeof(in->id);
	memcpy(in->id, id.p, in->id_n);
	in->last_n = last.n < sizeof(in->last) ? last.n : sizeof(in->last);
	memcpy(in->last, last.p, in->last_n);
	in->subs += last.n > 0 && last.p[0] == 1;
	in->unsubs += last.n > 0 && last.p[0] == 0;
}

static inline enum err zfix_send(struct zsock *z, struct slice s)
{
	struct zmsg m;
	enum err e;

	zmsg_copy_init(&m, s);
	e = zsock_send(z, &m, 1);
	if (e != ERR_OK)
		zmsg_close(&m);
	return e;
}

#endif
