/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's table of settings, and the checks between them.
 */
#include "broker/conf.h"

#include <limits.h>
#include <string.h>

#include "broker/limit.h"
#include "broker/look.h"
#include "broker/url.h"
#include "common/conf_table.h"
#include "common/endpoints.h"
#include "common/log.h"
#include "proto/limits.h"
#include "proto/probe.h"

#define CONF_OF struct broker_conf

static const struct conf_opt opts[] = {
	STR(log_level, "info", "Lowest level written: debug, info, warn or error."),
	BOOL(log_json, "false", "Write log lines as JSON objects instead of key=value."),
	STR(admin_listen, "127.0.0.1:0", "Address of /health, /ready and /metrics; empty for none."),
	STR(ready_file, "", "File written once the broker serves: JSON with pid and addresses."),
	NUM(drain_s, "30", 1, 86400, "s",
	    "Time that requests get to finish after SIGTERM before they are cut."),
	STR(user, "", "User to become after start when started as root; empty: stay who it is."),
	BOOL(seccomp, "true", "Refuse system calls that this program never makes; false for debuggers."),
	BOOL(batch, "true",
	     "Threads that wake up wait for their turn (SCHED_BATCH); false where other programs keep the "
	     "processors busy."),
	STR(bus, "ipc:///run/sealway/bus",
	    "Endpoints for gateways and workers, space separated, ipc:// or tcp://."),
	STR(admin, "ipc:///run/sealway/admin",
	    "Endpoint of the operator's commands; only ipc: a socket that only the broker's user can open."),
	STR(curve_key, "", "Secret CURVE key file of the bus; needed for tcp endpoints."),
	STR(peers, "", "Allow-list of gateway and worker keys; needed with curve_key."),
	BOOL(insecure, "false", "Allow tcp endpoints without CURVE, for tests on one machine."),
	STR(database, "/var/lib/sealway/ledger.db", "SQLite file of the ledger; made when absent."),
	BOOL(check_ledger, "false",
	     "Prove that the ledger adds up, say what does not (with log_json as JSON), and end: status 0 "
	     "when it does, else 1."),
	NUM(stack_units, "10000000", 1, ID_MAX, "units",
	    "Units bought at a time when no stack has room; a larger request buys as much as it asks."),
	NUM(lock_max_units, "1048576", 1, ID_MAX, "units",
	    "Largest max_num_tokens of a lock, and reservation of a plain request (images: no limit)."),
	BOOL(accept_unsigned_usage, "false",
	     "Bill nodes of the original network by their usage member, which nobody signed."),
	BOOL(open_registration, "false",
	     "Admit every node that registers by the full form, without an operator."),
	NUM(open_registration_max, "1000", 1, 1000000, "",
	    "Nodes beyond which open_registration admits no more; an operator still can."),
	STR(node_networks, "",
	    "Private networks (CIDR, space separated) in which nodes may live, and be reached without TLS."),
	NUM(heartbeat_ms, "1000", INTERVAL_MIN_MS, INTERVAL_MAX_MS, "ms",
	    "Interval of pings on the bus; three silent ones are death."),
	NUM(queue_max, "4096", 1, 1000000, "", "Requests that may wait for a worker; beyond it 503."),
	NUM(body_budget, "1G", 1 << 20, UINT64_C(1) << 42, "bytes",
	    "Bodies of requests that wait, together; beyond it 503."),
	NUM(user_rate, "60000", 0, LIMIT_MAX, "",
	    "Requests and locks per minute of one user; 0 for no limit.  sealway user limit sets another for "
	    "a user."),
	NUM(user_concurrent, "2000", 0, LIMIT_MAX, "",
	    "Requests of one user at once, and its unused locks; 0 for no limit."),
	NUM(user_units_per_minute, "0", 0, LIMIT_MAX, "units",
	    "Units that one user may reserve per minute (what is not billed comes back); 0 for no limit."),
	NUM(breaker_failures, "5", 1, UINT32_MAX, "",
	    "Failures in a row after which a node gets nothing new for breaker_open_ms."),
	NUM(breaker_open_ms, "10000", 1, 3600000, "ms",
	    "How long that lasts; then one probe, or one request, decides whether it serves again."),
	NUM(probe_ms, "10000", 0, 3600000, "ms",
	    "Interval at which workers ask each node for its /health, give or take a quarter; 0 for never."),
	NUM(probe_timeout_ms, "5000", 1, PROBE_MS_MAX, "ms", "How long a node may take to answer that."),
	NUM(probe_inflight, "64", 1, 65536, "", "How many nodes are asked at a time."),
	NUM(claim_ms, "45000", 0, 3600000, "ms",
	    "Time that workers get to claim what was in flight, after a restart; and one that was silent, to "
	    "come "
	    "back with a receipt that its node has not."),
	NUM(remember_days, "30", 1, 3650, "",
	    "Days that settled requests are remembered one by one; sums stay."),
	NUM(work_ms, "3900000", 1000, 86400000, "ms",
	    "Longest life of a request at a worker before its receipt is fetched by another."),
};

static enum err bad(const char *name, const char *why)
{
	log_error("bad_setting", L_S("setting", name), L_S("why", why));
	return ERR_CONFIG;
}

/* What no single setting shows. */
static enum err check(void *conf)
{
	const struct broker_conf *c = conf;
	struct networks *n;

	if (strncmp(c->admin, "ipc://", 6) != 0)
		return bad("admin", "only ipc:// is allowed");
	if (endpoints_check_one("admin", c->admin, false, false) != ERR_OK ||
	    endpoints_check("bus", c->bus, UINT_MAX, *c->curve_key, c->insecure) != ERR_OK)
		return ERR_CONFIG;
	if (!c->database[0])
		return bad("database", "no file named");
	if (c->curve_key[0] && !c->peers[0])
		return bad("peers", "curve_key needs the allow-list of peers");
	if (networks_parse(c->node_networks, &n) != ERR_OK)
		return bad("node_networks", "not a list of networks such as 10.0.0.0/8 or fd00::/8");
	networks_free(n);
	return ERR_OK;
}

static enum err look(const void *conf)
{
	return broker_look(conf);
}

const struct conf_spec broker_conf_spec = {
	.program = "sealway-broker",
	.summary = "Keeps the ledger and the registry, and gives requests to workers.",
	.opts = opts,
	.n = sizeof(opts) / sizeof(opts[0]),
	.sighup = "read the allow-list (peers) again; a mistake in it changes nothing",
	.check = check,
	.look = look,
};
