/* SPDX-License-Identifier: Apache-2.0
 *
 * What `up` asks of its broker, one step after the other: the demo user with a
 * balance (made once), a new token (old ones revoked), the nodes by their
 * signing keys.  Every step may be repeated at each start.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/up.h"
#include "common/b64.h"
#include "common/keys.h"

#define CALL_MS 10000
#define DEMO_MICRO_USD 100000000 /* 100 USD: ten thousand stacks of the demo model */
#define DEMO_FILE "demo.json"

static void step_user(struct up *u);
static void step_token(struct up *u);
static void step_node(struct up *u);

static void fail(struct up *u, const char *step, enum err e, const json_t *body)
{
	const char *text = json_string_value(json_object_get(body, "message"));

	fprintf(stderr, "sealway up: %s: %s\n", step,
		text               ? text
		: e == ERR_TIMEOUT ? "the broker does not answer"
				   : err_text(e));
	up_fail(u);
}

static void on_admitted(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;

	if (e != ERR_OK && e != ERR_EXISTS) {
		fail(u, "admitting a node", e, body);
		return;
	}
	u->admitted++;
	step_node(u);
}

static void step_node(struct up *u)
{
	char path[64], text[B64_LEN(32) + 1] = "";
	uint8_t key[32];

	if (u->admitted >= u->o.count[UP_NODE]) {
		u->prepared = true;
		return;
	}
	snprintf(path, sizeof(path), "keys/node-%u.pub", u->admitted + 1);
	if (key_load_public(path, key)) {
		up_fail(u);
		return;
	}
	b64_put(text, key, sizeof(key));
	admin_send(u->admin, "node.admit",
		   json_pack("{sssI}", "signing_key", text, "node", (json_int_t)u->admitted + 1), CALL_MS,
		   on_admitted, u);
}

static void on_token(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;
	const char *token = json_string_value(json_object_get(body, "token"));

	if (e != ERR_OK || !token || strlen(token) >= sizeof(u->token)) {
		fail(u, "making the demo token", e, body);
		return;
	}
	snprintf(u->token, sizeof(u->token), "%s", token);
	step_node(u);
}

static json_t *demo_token(const struct up *u)
{
	return json_pack("{sIss}", "user", (json_int_t)u->user, "name", "demo");
}

static void on_revoked(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;

	if (e != ERR_OK && e != ERR_NOT_FOUND) {
		fail(u, "revoking old demo tokens", e, body);
		return;
	}
	admin_send(u->admin, "token.create", demo_token(u), CALL_MS, on_token, u);
}

static void step_token(struct up *u)
{
	admin_send(u->admin, "token.revoke", demo_token(u), CALL_MS, on_revoked, u);
}

static void on_funded(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;
	struct buf text = { 0 };
	bool ok;

	if (e != ERR_OK) {
		fail(u, "funding the demo user", e, body);
		return;
	}
	buf_fmt(&text, "{\"user\":%" PRIu64 "}\n", u->user);
	ok = up_write(DEMO_FILE, buf_slice(&text));
	buf_free(&text);
	if (ok)
		step_token(u);
	else
		up_fail(u);
}

static void on_user(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;

	u->user = (uint64_t)json_integer_value(json_object_get(body, "user"));
	if (e != ERR_OK || !u->user) {
		fail(u, "making the demo user", e, body);
		return;
	}
	admin_send(u->admin, "user.fund",
		   json_pack("{sIsIss}", "user", (json_int_t)u->user, "micro_usd", (json_int_t)DEMO_MICRO_USD,
			     "reason", "demo balance of sealway up"),
		   CALL_MS, on_funded, u);
}

static void step_user(struct up *u)
{
	json_t *known = json_load_file(DEMO_FILE, 0, NULL);

	u->user = (uint64_t)json_integer_value(json_object_get(known, "user"));
	json_decref(known);
	if (u->user)
		step_token(u);
	else
		admin_send(u->admin, "user.add", json_pack("{ss}", "name", "demo"), CALL_MS, on_user, u);
}

void up_prepare(struct up *u)
{
	u->admin = admin_open(loop_uv(u->loop), "ipc://run/admin");
	if (u->admin)
		step_user(u);
	else
		up_fail(u);
}
