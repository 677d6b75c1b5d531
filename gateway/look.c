/* SPDX-License-Identifier: Apache-2.0
 *
 * --check-config of the gateway (look.h), in the order of a start: files and ports
 * belong to whoever starts it, only then it becomes another user.
 */
#include "gateway/look.h"

#include "common/httpd/admin.h"
#include "common/httpd/httpd.h"
#include "common/keys.h"
#include "common/sandbox.h"

enum err look_curve(const struct gw_conf *c, struct zcurve *out)
{
	enum err e;

	if (!*c->curve_key)
		return ERR_OK;
	sandbox_lock(out, sizeof(*out));
	e = key_load(c->curve_key, out->secret_key);
	if (e == ERR_OK)
		e = key_load_public(c->broker_key, out->server_key);
	if (e == ERR_OK)
		zcurve_public(out->public_key, out->secret_key);
	out->on = e == ERR_OK;
	return e;
}

static enum err look_at_keys(const struct gw_conf *c)
{
	struct zcurve curve = { .on = false };
	enum err e = look_curve(c, &curve);

	mem_wipe(&curve, sizeof(curve));
	return e;
}

enum err gw_look(const struct gw_conf *c)
{
	enum err e = ERR_OK;

	conf_note(&e, look_at_keys(c));
	conf_note(&e, httpd_check(c->listen));
	conf_note(&e, httpd_check_tls(c->tls_cert, c->tls_key));
	conf_note(&e, admin_http_check(c->admin_listen));
	conf_note(&e, sandbox_user_look(c->user));
	return e;
}
