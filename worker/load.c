/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's secrets and settings, and what --check-config says of them (worker.h).
 */
#include <stdlib.h>
#include <string.h>

#include "common/keys.h"
#include "common/log.h"
#include "common/sandbox.h"
#include "worker/worker.h"

static enum err load_sign_key(const char *path, const char *setting, struct sign_key **out)
{
	uint8_t seed[KEY_BYTES];
	enum err e;

	if (!*path) {
		log_error("config", L_S("setting", setting),
			  L_S("do", "name a key file; sealway keys new makes it"));
		return ERR_CONFIG;
	}
	e = key_load(path, seed);
	if (!e)
		*out = sign_key_new(seed);
	mem_wipe(seed, sizeof(seed));
	return e;
}

static enum err load_curve(struct worker *w)
{
	struct zcurve *s = &w->server, *c = &w->client;
	enum err e;

	if (!*w->conf.curve_key)
		return ERR_OK;
	sandbox_lock(w, sizeof(*w));
	e = key_load(w->conf.curve_key, s->secret_key);
	if (e)
		return e;
	zcurve_public(s->public_key, s->secret_key);
	s->on = s->server = true;
	if (!*w->conf.broker_key)
		return ERR_OK;
	*c = *s;
	c->server = false;
	return key_load_public(w->conf.broker_key, c->server_key);
}

/* The request key signs bodies that clients choose: as the other one's it could be made to sign an
 * authorisation. */
static enum err load_sign_keys(struct worker *w)
{
	enum err e = load_sign_key(w->conf.request_key, "request_key", &w->keys.request);

	if (!e)
		e = load_sign_key(w->conf.auth_key, "auth_key", &w->keys.auth);
	if (e || memcmp(sign_key_public(w->keys.request), sign_key_public(w->keys.auth), KEY_BYTES) != 0)
		return e;
	log_error("config", L_S("setting", "auth_key"), L_S("why", "is the same key as request_key"),
		  L_S("do",
		      "give each a key of its own, such as proxy-auth.key and proxy-request.key of sealway "
		      "keys new: the request key signs what clients choose"));
	return ERR_CONFIG;
}

enum err worker_load(struct worker *w)
{
	enum err e = load_sign_keys(w);

	if (!e)
		e = load_curve(w);
	if (e)
		return e;
	e = networks_parse(w->conf.node_networks, &w->networks);
	if (e)
		log_error("config", L_S("setting", "node_networks"),
			  L_S("do", "write networks as 10.0.0.0/8 fd00::/8"));
	return e;
}

void worker_unload(struct worker *w)
{
	networks_free(w->networks);
	sign_key_free(w->keys.request);
	sign_key_free(w->keys.auth);
	mem_wipe(&w->server, sizeof(w->server));
	mem_wipe(&w->client, sizeof(w->client));
}

enum err worker_look(const struct worker_conf *c)
{
	struct worker w = { .conf = *c }; /* whose texts stay c's */
	enum err e = ERR_OK;

	conf_note(&e, sandbox_user_look(c->user));
	conf_note(&e, worker_load(&w));
	conf_note(&e, admin_http_check(c->admin_listen));
	worker_unload(&w);
	return e;
}
