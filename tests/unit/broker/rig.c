/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker of a test, and its people (rig.h).
 */
#include "tests/unit/broker/test.h"

#include "tests/unit/broker/rig.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/b64.h"
#include "common/hash.h"
#include "common/keys.h"
#include "common/log.h"

static void broker_up(struct rig *r)
{
	char curve[128], peers[128];
	const char *argv[] = { "sealway-broker",
			       "--bus",
			       r->bus,
			       "--admin",
			       r->admin,
			       "--database",
			       r->db,
			       "--node-networks",
			       "127.0.0.0/8",
			       "--heartbeat-ms",
			       "3000", /* nobody here pings; who has to be missed takes another */
			       "--stack-units",
			       "100000",
			       "--claim-ms",
			       "200",
			       "--lock-max-units=50000",
			       "--probe-ms=0",
			       log_wants(LOG_INFO) ? "--log-level=info"
						   : "--log-level=error", /* as the test has set it */
			       NULL,
			       NULL,
			       NULL };
	int argc = 18;

	snprintf(curve, sizeof(curve), "--curve-key=%s/broker.key", r->dir);
	snprintf(peers, sizeof(peers), "--peers=%s/peers", r->dir);
	if (r->extra)
		argv[argc++] = r->extra;
	if (r->curve[0].on) {
		argv[argc++] = curve;
		argv[argc++] = peers;
	}
	unsetenv("SEALWAY_CONFIG");
	memset(&r->b, 0, sizeof(r->b));
	assert_int_equal(conf_load(&broker_conf_spec, &r->b.conf, argc, (char **)argv), CONF_RUN);
	usleep(1000 * r->loading_ms);
	assert_int_equal(broker_open(&r->b, &r->loop), ERR_OK);
	snprintf(r->bus, sizeof(r->bus), "%s", zsock_endpoint(r->b.bus));
	r->up = true;
}

static void broker_down(struct rig *r)
{
	broker_close(&r->b);
	rig_run(r, 20);
	zctx_free(r->b.zctx);
	conf_free(&broker_conf_spec, &r->b.conf);
	r->up = false;
}

static void on_problem(void *arg, const char *text)
{
	(void)arg;
	print_error("%s\n", text);
}

static void people(struct rig *r)
{
	struct row_node row = { .id = 1, .state = NODE_ACTIVE };
	struct store_op *op;
	struct user *u;
	struct node *n;

	assert_int_equal(ledger_user_add(r->b.ledger, SLICE_STR("alice"), 1, &u, &op), ERR_OK);
	broker_keep(&r->b, op);
	assert_int_equal(ledger_fund(r->b.ledger, u, 1000000, "test", "start", 1, &op), ERR_OK);
	broker_keep(&r->b, op);
	hash(r->token, SLICE_STR("sk-alice"));
	assert_int_equal(ledger_token_add(r->b.ledger, u, r->token, SLICE_STR("t"), "lice", 1, &op), ERR_OK);
	broker_keep(&r->b, op);
	memcpy(row.sign_key, sign_key_public(r->node_key), KEY_BYTES);
	assert_int_equal(
		registry_node_add(r->b.registry, &row, SLICE_STR(""), SLICE_STR(""), SLICE_STR(""), &n),
		ERR_OK);
	broker_keep(&r->b, node_op(n));
	assert_int_equal(rig_register(r, true, NULL), ERR_OK);
}

static struct rig *rig_make(void)
{
	struct rig *r = mem_new(sizeof(*r));

	assert_true(sodium_init() >= 0);
	tempdir_make(r->dir);
	snprintf(r->bus, sizeof(r->bus), "ipc://%s/bus", r->dir);
	snprintf(r->admin, sizeof(r->admin), "ipc://%s/admin", r->dir);
	snprintf(r->db, sizeof(r->db), "%s/ledger.db", r->dir);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	return r;
}

static struct rig *rig_start(struct rig *r, const char *extra)
{
	uint8_t seed[32] = { 42 };

	r->extra = extra;
	broker_up(r);
	r->zctx = zctx_new();
	r->node_key = sign_key_new(seed);
	actor_open(r, &r->gw, ROLE_GATEWAY, 100);
	(void)actor_get(r, &r->gw, MSG_WELCOME);
	actor_open(r, &r->wk, ROLE_WORKER, 200);
	(void)actor_get(r, &r->wk, MSG_WELCOME);
	rig_introduce(r, &r->gw, &r->wk);
	people(r);
	return r;
}

struct rig *rig_new(const char *extra)
{
	return rig_start(rig_make(), extra);
}

void rig_allow(struct rig *r, bool worker)
{
	static const char *const roles[] = { "", "gateway", "worker" };
	char path[96], key[B64_LEN(KEY_BYTES)];
	FILE *f;

	snprintf(path, sizeof(path), "%s/peers", r->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int role = ROLE_GATEWAY; role <= (worker ? ROLE_WORKER : ROLE_GATEWAY); role++) {
		b64_put(key, r->curve[role].public_key, KEY_BYTES);
		fprintf(f, "%s %.*s test\n", roles[role], (int)sizeof(key), key);
	}
	fclose(f);
}

struct rig *rig_new_curve(void)
{
	struct rig *r = rig_make();

	for (int i = 0; i < 3; i++) {
		zcurve_keypair(r->curve[i].public_key, r->curve[i].secret_key);
		r->curve[i].on = true;
	}
	assert_int_equal(key_save_pair(r->dir, "broker", r->curve[0].secret_key, r->curve[0].public_key),
			 ERR_OK);
	rig_allow(r, true);
	strcpy(r->bus, "tcp://127.0.0.1:*");
	return rig_start(r, NULL);
}

void rig_restart(struct rig *r)
{
	broker_down(r);
	broker_up(r);
}

void rig_free(struct rig *r)
{
	char command[128];

	assert_true(ledger_check(r->b.ledger, on_problem, NULL));
	actor_free(&r->gw);
	actor_free(&r->wk);
	actor_free(&r->wk2);
	broker_down(r);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	zctx_free(r->zctx);
	assert_true(store_check(r->db, on_problem, NULL));
	sign_key_free(r->node_key);
	sign_key_free(r->second_key);
	snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	assert_int_equal(system(command), 0);
	free(r);
}

int rig_setup(void **state)
{
	*state = rig_new(NULL);
	return 0;
}

int rig_setup_short(void **state)
{
	*state = rig_new("--heartbeat-ms=50");
	return 0;
}

int rig_setup_curve(void **state)
{
	*state = rig_new_curve();
	return 0;
}

int rig_teardown(void **state)
{
	rig_free(*state);
	return 0;
}
