/* SPDX-License-Identifier: Apache-2.0
 *
 * --check-config of the broker (look.h).
 */
#include "broker/look.h"

#include <stdlib.h>
#include <string.h>

#include "common/httpd/admin.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/sandbox.h"
#include "common/zauth.h"

static enum err look_at_key(const char *path)
{
	uint8_t key[32];
	enum err e = key_load(path, key);

	mem_wipe(key, sizeof(key));
	return e;
}

static enum err look_at_endpoint(const char *setting, const char *endpoint, bool curve, bool insecure)
{
	enum err e = zsock_check(endpoint, curve, insecure);

	if (e != ERR_OK)
		log_error("bad_setting", L_S("setting", setting), L_S("endpoint", endpoint),
			  L_S("do", "write ipc:///path (at most 107 bytes) or tcp://host:port; tcp needs "
				    "CURVE keys"));
	return e;
}

static enum err look_at_bus(const struct broker_conf *c)
{
	char *copy = mem_strndup(c->bus, strlen(c->bus)), *save = NULL;
	enum err e = ERR_OK;

	for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save))
		conf_note(&e, look_at_endpoint("bus", t, *c->curve_key, c->insecure));
	free(copy);
	return e;
}

enum err broker_look(const struct broker_conf *c)
{
	enum err e = ERR_OK;

	conf_note(&e, sandbox_user_look(c->user));
	if (*c->curve_key) {
		conf_note(&e, look_at_key(c->curve_key));
		conf_note(&e, zauth_check(c->peers));
	}
	conf_note(&e, look_at_bus(c));
	conf_note(&e, look_at_endpoint("admin", c->admin, false, false));
	conf_note(&e, admin_http_check(c->admin_listen));
	return e;
}
