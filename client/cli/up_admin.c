/* SPDX-License-Identifier: Apache-2.0
 *
 * What `up` asks of its broker, one step after the other: the demo user with a
 * balance (filled up when it is low), a new token (the old one revoked), the
 * nodes by their signing keys.  Every step may be repeated at each start.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/up.h"
#include "common/b64.h"
#include "common/keys.h"

#define CALL_MS 10000
#define DEMO_MICRO_USD 100000000 /* 100 USD: ten thousand stacks of the demo model */
#define DEMO_USER "demo"

static void step_node(struct up *u);
static void step_settle(struct up *u);

static void fail(struct up *u, const char *step, enum err e, const json_t *body)
{
	const char *text = json_string_value(json_object_get(body, "message"));

	fprintf(stderr, "sealway up: %s: %s\n", step,
		text                                  ? text
		: e == ERR_TIMEOUT || e == ERR_CLOSED ? "the broker does not answer"
						      : err_text(e));
	up_fail(u);
}

/* A gateway has one peer per thread: the count of gateways is at least theirs. */
static void on_status(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;
	json_int_t workers = json_integer_value(json_object_get(body, "workers"));
	json_int_t gateways = json_integer_value(json_object_get(body, "gateways"));

	if (u->phase != UP_STARTING)
		return;
	u->settled = e == ERR_OK && workers >= (json_int_t)u->o.count[UP_WORKER] &&
		     gateways >= (json_int_t)u->o.count[UP_GATEWAY];
	if (!u->settled)
		step_settle(u);
}

static void step_settle(struct up *u)
{
	admin_send(u->admin, "status", json_object(), CALL_MS, on_status, u);
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
		step_settle(u);
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

static json_t *demo_token(void)
{
	return json_pack("{ssss}", "user", DEMO_USER, "name", "sealway-up");
}

static void on_revoked(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;

	if (e == ERR_OK || e == ERR_NOT_FOUND)
		admin_send(u->admin, "token.create", demo_token(), CALL_MS, on_token, u);
	else
		fail(u, "revoking the old demo token", e, body);
}

static void on_funded(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;

	if (e == ERR_OK)
		admin_send(u->admin, "token.revoke", demo_token(), CALL_MS, on_revoked, u);
	else
		fail(u, "funding the demo user", e, body);
}

static void on_user(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;
	json_int_t balance = json_integer_value(json_object_get(body, "balance_micro_usd"));

	if (e != ERR_OK)
		fail(u, "looking at the demo user", e, body);
	else if (balance > DEMO_MICRO_USD / 2)
		on_funded(u, ERR_OK, NULL);
	else
		admin_send(u->admin, "user.fund",
			   json_pack("{sssIss}", "user", DEMO_USER, "micro_usd",
				     (json_int_t)(DEMO_MICRO_USD - balance), "reason",
				     "demo balance of sealway up"),
			   CALL_MS, on_funded, u);
}

static void on_added(void *arg, enum err e, json_t *body)
{
	struct up *u = arg;

	if (e == ERR_OK || e == ERR_EXISTS)
		admin_send(u->admin, "user.show", json_pack("{ss}", "user", DEMO_USER), CALL_MS, on_user, u);
	else
		fail(u, "making the demo user", e, body);
}

void up_prepare(struct up *u)
{
	u->admin = admin_open(loop_uv(u->loop), "ipc://run/admin");
	if (u->admin)
		admin_send(u->admin, "user.add", json_pack("{ss}", "name", DEMO_USER), CALL_MS, on_added, u);
	else
		up_fail(u);
}
