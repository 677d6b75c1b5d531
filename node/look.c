/* SPDX-License-Identifier: Apache-2.0
 *
 * --check-config of the node (look.h).  Each part is asked by the functions that a
 * start asks, so that both say the same; what would serve, connect or write is left
 * out: the ports, the gateways, the ready file.
 */
#include "node/look.h"

#include "common/keys.h"
#include "common/sandbox.h"
#include "node/register_conf.h"

struct engine_opts look_engine_opts(const struct node_conf *c, uv_loop_t *uv)
{
	return (struct engine_opts){ .uv = uv,
				     .engine = c->engine,
				     .key_file = c->engine_key_file,
				     .connect_ms = c->engine_connect_s * 1000,
				     .first_byte_ms = c->engine_first_byte_s * 1000,
				     .gap_ms = c->engine_gap_s * 1000,
				     .total_ms = c->engine_total_s * 1000,
				     .max_answer = c->max_answer };
}

enum err look_sign_key(const struct node_conf *c, struct sign_key **out)
{
	uint8_t seed[32];
	enum err e = key_load(c->sign_key, seed);

	if (e == ERR_OK)
		*out = sign_key_new(seed);
	mem_wipe(seed, sizeof(seed));
	return e;
}

static enum err look_at_models(const struct node_conf *c)
{
	struct models m = { 0 };
	enum err e = models_parse(c->models, &m);

	models_free(&m);
	return e;
}

static enum err look_at_keys(const struct node_conf *c)
{
	struct sign_key *sign = NULL;
	struct proxies *proxies = NULL;
	enum err e = look_sign_key(c, &sign), f = proxies_open(&proxies, c->proxy_auth_keys);

	sign_key_free(sign);
	proxies_free(proxies);
	return e != ERR_OK ? e : f;
}

static enum err look_at_engine(const struct node_conf *c)
{
	struct engine *engine = NULL;
	struct engine_opts o;
	uv_loop_t uv;
	enum err e;

	BUG_ON(uv_loop_init(&uv) != 0);
	o = look_engine_opts(c, &uv);
	e = engine_open(&engine, &o);
	engine_close(engine);
	uv_run(&uv, UV_RUN_DEFAULT); /* close callbacks; nothing was asked */
	BUG_ON(uv_loop_close(&uv) != 0);
	return e;
}

static enum err look_at_registration(const struct node_conf *c)
{
	struct register_conf r = { .n = 0 };
	enum err e = register_conf_read(c->gateway, c->evidence_file, &r);

	register_conf_free(&r);
	return e;
}

enum err node_look(const struct node_conf *c)
{
	enum err e = ERR_OK;

	conf_note(&e, sandbox_user_look(c->user));
	conf_note(&e, look_at_models(c));
	conf_note(&e, look_at_keys(c));
	conf_note(&e, look_at_engine(c));
	conf_note(&e, httpd_check(c->listen));
	conf_note(&e, admin_http_check(c->admin_listen));
	conf_note(&e, look_at_registration(c));
	return e;
}
