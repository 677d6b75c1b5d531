/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's table of settings (conf.h).  Deadlines are those of PROTOCOL
 * section 9.
 */
#include "worker/conf.h"

#include "common/conf_table.h"
#include "common/endpoints.h"
#include "common/loop.h"
#include "worker/worker.h"

#define DAY 86400

#define CONF_OF struct worker_conf

static const struct conf_opt opts[] = {
	STR(log_level, "info", "Lowest level that is logged: debug, info, warn or error."),
	BOOL(log_json, "false", "Write log lines as JSON instead of key=value."),
	STR(admin_listen, "127.0.0.1:0", "Where /health, /ready and /metrics are served; empty for nowhere."),
	STR(ready_file, "", "Written (by rename, JSON) once the worker serves; supervisors wait for it."),
	NUM(drain_s, "30", 1, DAY, "s", "After SIGTERM, how long running requests may take to end."),
	STR(user, "", "User to become after start when started as root; empty: stay who it is."),
	BOOL(seccomp, "true", "Refuse system calls that this program never makes; false for debuggers."),
	BOOL(batch, "true",
	     "Threads that wake up wait for their turn (SCHED_BATCH); false where other programs keep the "
	     "processors busy."),
	STR(brokers, "", "Endpoints of the brokers, separated by spaces: ipc:///path or tcp://host:port."),
	STR(broker_key, "", "Public CURVE key file of the brokers; needed on tcp."),
	STR(curve_key, "", "This worker's secret CURVE key file; needed on tcp."),
	STR(publish, "",
	    "Endpoint to bind for the gateways: ipc:///path or tcp://host:port, port 0 for any."),
	STR(advertise, "", "What gateways are told to connect to instead, behind NAT or on 0.0.0.0."),
	BOOL(insecure, "false", "Allow tcp without CURVE: only for tests on a closed network."),
	NUM(capacity, "1024", 1, 65536, "", "Requests at a time; more are given back to the broker."),
	STR(request_key, "", "Ed25519 key file for X-Signature; signs what clients choose, so nothing else."),
	STR(auth_key, "",
	    "Ed25519 key file for X-Sealway-Auth; our nodes obey only proxies they know by it."),
	STR(node_networks, "",
	    "Inward networks (CIDR, separated by spaces) in which nodes may live all the same."),
	STR(ca_file, "", "PEM file of the authorities that may vouch for nodes; empty for the system's."),
	BOOL(verify_chunks, "false",
	     "Verify the signature of every chunk, not only of receipts: 50 us of CPU each."),
	NUM(connect_s, "5", 1, DAY, "s", "Deadline to connect to a node."),
	NUM(first_byte_s, "120", 1, DAY, "s", "Deadline for a node's first byte."),
	NUM(gap_s, "60", 1, DAY, "s", "Longest silence of a node inside an answer."),
	NUM(stream_s, "3600", 1, DAY, "s", "Longest time for a whole answer."),
	NUM(stop_s, "10", 1, 600, "s", "How long to read on for the receipt after a client went away."),
	NUM(max_event, "1M", 4096, 67108864, "bytes", "Longest event in a node's stream."),
	NUM(max_answer, "64M", 4096, 1073741824, "bytes", "Longest whole answer of a node."),
	NUM(answer_budget, "512M", 1048576, UINT64_C(1) << 40, "bytes",
	    "For all whole answers together, in up to twice that memory; what does not move gives way, else "
	    "the next gets 503."),
	NUM(topic_queue, "16M", 1048576, UINT64_C(1) << 32, "bytes",
	    "Memory for what one gateway thread does not take; beyond it its streams are cut."),
};

static enum err check(void *conf)
{
	struct worker_conf *c = conf;
	bool curve = *c->curve_key, both = curve && *c->broker_key;
	enum err e = endpoints_check_one("publish", c->publish, curve, c->insecure);

	conf_note(&e, endpoints_check("brokers", c->brokers, LINKS_MAX, both, c->insecure));
	/* a request without a descriptor would fail, and its node be blamed for it */
	loop_limit_conns("capacity", &c->capacity, 1);
	return e;
}

static enum err look(const void *conf)
{
	return worker_look(conf);
}

const struct conf_spec worker_conf_spec = {
	.program = "sealway-worker",
	.summary = "posts sealed requests to nodes and publishes their answers to the gateways",
	.opts = opts,
	.n = sizeof(opts) / sizeof(opts[0]),
	.check = check,
	.look = look,
};
