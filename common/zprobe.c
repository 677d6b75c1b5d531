/* SPDX-License-Identifier: Apache-2.0
 *
 * A stranger at our own door (zprobe.h).  It counts as refused only when the
 * handler was asked about this very key and said no; a DEALER that becomes
 * writable was let in.  Anything else, silence included, is a failure: the
 * process must not serve.
 */
#include "common/zprobe.h"

#include <string.h>

#include "common/log.h"

#define PROBE_MS 5000
#define LOOK_MS 5

struct probe {
	uv_timer_t timer;
	bool open;
};

static void on_look(uv_timer_t *t)
{
	(void)t; /* only there so that the loop turns */
}

static void on_closed(uv_handle_t *h)
{
	((struct probe *)h->data)->open = false;
}

static bool let_in(struct zsock *z, enum zsock_type type)
{
	struct zmsg m;
	bool in;

	if (type != ZSOCK_DEALER) /* an XSUB's messages go nowhere without an error */
		return false;
	zmsg_copy_init(&m, SLICE_STR("probe"));
	in = zsock_send(z, &m, 1) == ERR_OK;
	zmsg_close(&m);
	return in;
}

static enum err watch(struct zauth *a, uv_loop_t *uv, struct zsock *z, enum zsock_type type)
{
	uint64_t end = uv_hrtime() + PROBE_MS * UINT64_C(1000000);

	while (!zauth_probe_refused(a)) {
		if (let_in(z, type) || uv_hrtime() > end)
			return ERR_KEY;
		uv_run(uv, UV_RUN_ONCE);
	}
	return let_in(z, type) ? ERR_KEY : ERR_OK;
}

enum err zprobe(struct zauth *a, struct zctx *c, uv_loop_t *uv, enum zsock_type type, const char *endpoint,
		const uint8_t server_key[32])
{
	struct zsock_opts o = { .type = type, .curve = { .on = true } };
	struct probe p = { .open = true };
	struct zsock *z;
	enum err e;

	zcurve_keypair(o.curve.public_key, o.curve.secret_key);
	memcpy(o.curve.server_key, server_key, 32);
	zauth_probe(a, o.curve.public_key);
	BUG_ON(uv_timer_init(uv, &p.timer) != 0);
	p.timer.data = &p;
	uv_timer_start(&p.timer, on_look, LOOK_MS, LOOK_MS);
	z = zsock_open(c, uv, &o);
	e = zsock_connect(z, endpoint, false);
	if (e == ERR_OK)
		e = watch(a, uv, z, type);
	zsock_close(z);
	zauth_probe(a, NULL);
	uv_close((uv_handle_t *)&p.timer, on_closed);
	while (p.open)
		uv_run(uv, UV_RUN_NOWAIT);
	mem_wipe(&o.curve, sizeof(o.curve));
	if (e != ERR_OK)
		log_error("zprobe.let_in", L_S("endpoint", endpoint),
			  L_S("why", "a key that is on no list was not refused at this endpoint"),
			  L_S("do", "do not use this build of ZeroMQ: it has to have CURVE and ZAP"));
	return e;
}
