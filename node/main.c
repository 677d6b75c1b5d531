/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway-node: opens sealed requests on the host of an inference engine and
 * seals the answers (PROTOCOL sections 4, 7 and 8).  Parts are made in the order
 * of struct node and closed in reverse; SIGTERM stops accepting, lets answers
 * finish and exits 0.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/sandbox.h"
#include "node/counts.h"
#include "node/json.h"
#include "node/look.h"
#include "node/node.h"
#include "node/routes.h"

#define UPKEEP_MS 500
#define START_MS 20         /* the same until ready */
#define RECEIPTS_MAX 262144 /* about 450 bytes each: below 120 MB */
#define GUARD_MAX 4000000   /* about 100 bytes each: below 400 MB per key */

static uint64_t unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool is_ready(void *arg)
{
	const struct node *n = arg;

	return n->http && registrar_acknowledged(n->registrar);
}

/* The host part of a listen address, with the port really bound. */
static void bound_address(const char *listen, uint16_t port, struct buf *out)
{
	const char *colon = strrchr(listen, ':');

	buf_fmt(out, "%.*s:%u", (int)(colon ? colon - listen : 0), listen, (unsigned)port);
}

static void tell_ready(struct node *n)
{
	struct buf b = { 0 };

	n->ready_told = true;
	uv_timer_set_repeat(&n->upkeep, UPKEEP_MS);
	log_info("ready", L_U("port", httpd_port(n->http)));
	if (!*n->conf.ready_file)
		return;
	buf_fmt(&b, "{\"pid\":%ld,\"listen\":\"", (long)getpid());
	bound_address(n->conf.listen, httpd_port(n->http), &b);
	if (n->admin) {
		buf_str(&b, "\",\"admin\":\"");
		bound_address(n->conf.admin_listen, admin_http_port(n->admin), &b);
	}
	buf_fmt(&b, "\",\"node\":%llu}\n", (unsigned long long)n->conf.node_id);
	buf_add(&b, "", 1);
	if (ready_file_write(n->conf.ready_file, (const char *)b.p) != ERR_OK)
		log_warn("ready_file", L_S("what", "cannot be written"));
	buf_free(&b);
}

static void on_upkeep(uv_timer_t *t)
{
	struct node *n = t->data;
	uint64_t now = uv_now(n->uv);

	if (keys_tick(n->keys, now, unix_ms()))
		registrar_now(n->registrar);
	receipts_expire(n->receipts, now);
	count_receipts(receipts_count(n->receipts));
	if (!n->ready_told && is_ready(n))
		tell_ready(n);
}

static void on_drained(void *arg)
{
	loop_stop(((struct node *)arg)->loop);
}

static void on_withdrawn(void *arg)
{
	struct node *n = arg;

	httpd_drain(n->http, on_drained, n);
}

/* First nobody is sent here any more, then nobody is let in. */
static void on_drain(void *arg)
{
	struct node *n = arg;

	registrar_withdraw(n->registrar, on_withdrawn, n);
}

static enum err open_engine(struct node *n)
{
	struct engine_opts o = look_engine_opts(&n->conf, n->uv);

	o.many_models = n->models.n > 1;
	return engine_open(&n->engine, &o);
}

static void make_state(struct node *n)
{
	struct keys_opts ko = { .node = n->conf.node_id,
				.sign = n->sign,
				.lifetime_s = n->conf.key_lifetime_s,
				.overlap_s = KEY_OVERLAP_S,
				.guard_max = GUARD_MAX };
	struct tasks_opts to = { .uv = n->uv, .sign = n->sign };

	n->keys = keys_new(&ko, uv_now(n->uv), unix_ms());
	n->receipts = receipts_new(RECEIPTS_MAX);
	to.engine = n->engine;
	to.receipts = n->receipts;
	n->tasks = tasks_new(&to);
}

static enum err open_http(struct node *n)
{
	struct httpd_opts o = { .listen = n->conf.listen,
				.max_body = n->conf.max_body,
				.body_budget = n->conf.body_budget,
				.head_ms = n->conf.head_s * 1000,
				.body_ms = n->conf.body_s * 1000,
				.idle_ms = n->conf.idle_s * 1000,
				.stall_ms = n->conf.stall_s * 1000,
				.max_conns = (unsigned)n->conf.max_conns,
				.on_request = routes_request,
				.arg = n };
	enum err e = httpd_open(&n->http, n->uv, &o);

	return e == ERR_OK ? admin_http_open(&n->admin, n->uv, n->conf.admin_listen, is_ready, n) : e;
}

static enum err open_registrar(struct node *n)
{
	struct buf address = { 0 };
	struct registrar_opts o = { .uv = n->uv,
				    .gateways = n->conf.gateway,
				    .ca_file = n->conf.gateway_ca,
				    .country = n->conf.country,
				    .evidence_file = n->conf.evidence_file,
				    .node = n->conf.node_id,
				    .interval_s = n->conf.register_interval_s,
				    .validity_s = n->conf.validity_s,
				    .sign = n->sign,
				    .keys = n->keys,
				    .models = &n->models };
	enum err e;

	if (*n->conf.public_address) {
		buf_str(&address, n->conf.public_address);
	} else {
		buf_str(&address, "http://");
		bound_address(n->conf.listen, httpd_port(n->http), &address);
	}
	buf_add(&address, "", 1);
	o.address = (const char *)address.p;
	e = registrar_open(&n->registrar, &o);
	buf_free(&address);
	return e;
}

static enum err open_parts(struct node *n)
{
	enum err e = models_parse(n->conf.models, &n->models);

	if (e == ERR_OK)
		e = look_sign_key(&n->conf, &n->sign);
	if (e == ERR_OK)
		e = proxies_open(&n->proxies, n->conf.proxy_auth_keys);
	if (e == ERR_OK)
		e = open_engine(n);
	if (e != ERR_OK)
		return e;
	make_state(n);
	e = open_http(n);
	if (e == ERR_OK)
		e = open_registrar(n);
	if (e == ERR_OK)
		uv_timer_start(&n->upkeep, on_upkeep, START_MS, START_MS);
	return e;
}

/* Takes half-built nodes, too: every close function takes NULL. */
static void close_parts(struct node *n)
{
	uv_close((uv_handle_t *)&n->upkeep, NULL);
	registrar_close(n->registrar);
	admin_http_close(n->admin);
	tasks_close(n->tasks);
	engine_close(n->engine);
	httpd_close(n->http);
	receipts_free(n->receipts);
	keys_free(n->keys);
	proxies_free(n->proxies);
	loop_free(n->loop);
	sign_key_free(n->sign);
	models_free(&n->models);
	conf_free(&node_conf_spec, &n->conf);
}

static int run(struct node *n)
{
	struct loop_events ev = { .drain = on_drain, .drain_ms = n->conf.drain_s * 1000, .arg = n };
	int rc = 1;

	n->loop = loop_new(&ev);
	n->uv = loop_uv(n->loop);
	n->upkeep.data = n;
	uv_timer_init(n->uv, &n->upkeep);
	if (sandbox_user(n->conf.user) == ERR_OK && ready_file_forget(n->conf.ready_file) == ERR_OK &&
	    open_parts(n) == ERR_OK && sandbox_calls(n->conf.seccomp) == ERR_OK) {
		/* systemd would hold up the whole start of the machine until a gateway, a broker or an
		 * operator takes the node: for that, there are /ready and the ready file */
		loop_ready(n->loop);
		rc = loop_run(n->loop);
	}
	close_parts(n);
	return rc;
}

int main(int argc, char **argv)
{
	static struct node n;
	enum conf_action action;

	loop_harden();
	mem_keep();
	if (sodium_init() < 0)
		return 1;
	json_harden();
	action = conf_load(&node_conf_spec, &n.conf, argc, argv);
	if (action != CONF_RUN) {
		conf_free(&node_conf_spec, &n.conf);
		return action == CONF_EXIT ? 0 : 2;
	}
	counts_init();
	return run(&n);
}
