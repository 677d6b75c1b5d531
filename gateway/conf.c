/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of settings (PROTOCOL section 9 for the deadlines' defaults).
 */
#include "gateway/conf.h"

#include <limits.h>
#include <unistd.h>

#include "common/conf_table.h"
#include "common/endpoints.h"
#include "common/log.h"
#include "common/loop.h"
#include "gateway/look.h"
#include "proto/limits.h"

#define HOUR_MS 3600000
#define DAY_MS (24ull * HOUR_MS)
#define MIB (UINT64_C(1) << 20)

#define CONF_OF struct gw_conf

static const struct conf_opt opts[] = {
	STR(log_level, "info", "Lowest level written: debug, info, warn or error."),
	BOOL(log_json, "false", "Write log lines as JSON objects instead of key=value."),
	STR(user, "", "User to become after start when started as root; empty: stay who it is."),
	BOOL(seccomp, "true", "Refuse system calls that this program never makes; false for debuggers."),
	BOOL(batch, "true",
	     "Threads that wake up wait for their turn (SCHED_BATCH); false where other programs keep the "
	     "processors busy."),
	STR(admin_listen, "127.0.0.1:0", "Address of /health, /ready and /metrics; empty for none."),
	STR(ready_file, "", "File written once the gateway listens: JSON with pid and addresses."),
	NUM(drain_s, "30", 1, 86400, "s",
	    "Time that requests get to finish after SIGTERM before they are cut."),
	STR(listen, "127.0.0.1:8080", "Address and port for clients; port 0 takes a free one."),
	STR(tls_cert, "", "Certificate chain (PEM); with tls_key this serves HTTPS."),
	STR(tls_key, "", "Private key (PEM) of tls_cert."),
	STR(cors_origin, "*",
	    "Origins that browsers may call from: *, a space separated list, or empty for none."),
	NUM(threads, "0", 0, 256, "", "Loop threads; 0 takes one per processor."),
	STR(brokers, "ipc:///run/sealway/bus",
	    "Broker endpoints, space separated; the next is tried when one is silent."),
	STR(broker_key, "", "The broker's public CURVE key file; empty on ipc."),
	STR(curve_key, "", "This gateway's secret CURVE key file; empty on ipc."),
	BOOL(insecure, "false", "Allow tcp endpoints without CURVE, for tests on one machine."),
	NUM(max_body, "16M", 1024, BODY_BYTES_MAX, "bytes", "Largest request body; larger ones get 413."),
	NUM(body_budget, "256M", 2 * MIB, 1024 * 1024 * MIB, "bytes",
	    "Request bodies in memory at a time, per thread; at least twice max_body."),
	NUM(answer_budget, "64M", 1024, 1024 * 1024 * MIB, "bytes",
	    "Answers to queries (models, attestation) that wait for clients at a time, per thread."),
	NUM(max_conns, "10000", 1, 1000000, "", "Client connections at a time, per thread."),
	NUM(max_inflight, "4096", 1, 1000000, "", "Requests in flight at a time, per thread; beyond it 503."),
	NUM(head_ms, "10000", 1, HOUR_MS, "ms", "Time for a request's head."),
	NUM(body_ms, "120000", 1, HOUR_MS, "ms", "Time for a request's body."),
	NUM(idle_ms, "60000", 1, DAY_MS, "ms", "How long a connection may stay without a request."),
	NUM(stall_ms, "60000", 1, DAY_MS, "ms",
	    "How long a client may take nothing of an answer before it is cut."),
	NUM(control_ms, "10000", 1, HOUR_MS, "ms",
	    "How long the broker may take over a lock, query or registration."),
	NUM(dispatch_ms, "30000", 1, DISPATCH_MS_MAX, "ms", "How long a request may wait for a worker."),
	NUM(connect_ms, "5000", 1, HOUR_MS, "ms",
	    "Workers' time to connect to a node; the gateway waits this much longer."),
	NUM(first_byte_ms, "120000", 1, HOUR_MS, "ms",
	    "Nodes' time to the first byte; the gateway waits this much longer."),
	NUM(gap_ms, "60000", 1, HOUR_MS, "ms", "Longest silence between two chunks that workers allow."),
	NUM(stream_ms, "3600000", 1, DAY_MS, "ms", "Longest answer, from its first byte to its end."),
	NUM(keepalive_ms, "15000", 10, HOUR_MS, "ms",
	    "Silence after which a stream gets a keep-alive comment."),
	NUM(heartbeat_ms, "1000", INTERVAL_MIN_MS, INTERVAL_MAX_MS, "ms",
	    "Interval to the broker until it names its own; three silent ones are death."),
};

static enum err check(void *conf)
{
	return gw_conf_check(conf);
}

static enum err look(const void *conf)
{
	return gw_look(conf);
}

const struct conf_spec gw_conf_spec = {
	.program = "sealway-gateway",
	.summary = "Serves clients over HTTP and carries their sealed requests to the broker.",
	.opts = opts,
	.n = sizeof(opts) / sizeof(opts[0]),
	.sighup = "read tls_cert and tls_key again, for new connections; a mistake in them changes nothing",
	.check = check,
	.look = look,
};

static enum err bad(const char *setting, const char *why)
{
	log_error("conf.bad", L_S("setting", setting), L_S("why", why));
	return ERR_CONFIG;
}

enum err gw_conf_check(struct gw_conf *c)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!*c->tls_cert != !*c->tls_key)
		return bad("tls_cert", "tls_cert and tls_key go together");
	if (!*c->broker_key != !*c->curve_key)
		return bad("curve_key", "curve_key and broker_key go together");
	if (c->body_budget < 2 * c->max_body)
		return bad("body_budget", "must be at least twice max_body");
	if (c->threads == 0)
		c->threads = cores > 0 && cores < 256 ? (uint64_t)cores : 1;
	loop_limit_conns("max_conns", &c->max_conns, c->threads);
	return endpoints_check("brokers", c->brokers, UINT_MAX, *c->curve_key, c->insecure);
}
