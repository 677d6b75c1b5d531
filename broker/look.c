/* SPDX-License-Identifier: Apache-2.0
 *
 * --check-config of the broker (look.h).
 */
#include "broker/look.h"

#include "common/httpd/admin.h"
#include "common/keys.h"
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

enum err broker_look(const struct broker_conf *c)
{
	enum err e = ERR_OK;

	conf_note(&e, sandbox_user_look(c->user));
	if (*c->curve_key) {
		conf_note(&e, look_at_key(c->curve_key));
		conf_note(&e, zauth_check(c->peers));
	}
	conf_note(&e, admin_http_check(c->admin_listen));
	return e;
}
