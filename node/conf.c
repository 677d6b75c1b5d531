/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration table of sealway-node.
 */
#include "node/conf.h"

#include <string.h>

#include "common/conf_table.h"
#include "common/log.h"
#include "common/loop.h"
#include "node/look.h"
#include "proto/limits.h"

#define DAY 86400
#define COUNTRY_BYTES_MAX 64
#define GIB (UINT64_C(1) << 30)

#define CONF_OF struct node_conf

static const struct conf_opt opts[] = {
	STR(log_level, "info", "Lowest level written: debug, info, warn or error."),
	BOOL(log_json, "false", "Write logs as JSON instead of key=value."),
	STR(listen, "127.0.0.1:8090", "Address for the proxy's workers; port 0 takes a free one."),
	STR(admin_listen, "127.0.0.1:0", "Address of /health, /ready and /metrics; empty switches it off."),
	STR(ready_file, "", "File written (by rename, JSON) once the node is registered and ready."),
	NUM(drain_s, "30", 1, 3600, "s", "How long running answers may take after SIGTERM."),
	STR(user, "", "User to become after start when started as root; empty: stay who it is."),
	BOOL(seccomp, "true", "Refuse system calls that this program never makes; false for debuggers."),
	STR(public_address, "",
	    "URL at which workers reach this node; empty: http:// and the listen address."),
	STR(country, "ZZ", "ISO country code told at registration."),
	NUM(node_id, "1", 1, ID_MAX, "", "This node's node_small_id, as the operator admitted it."),
	STR(sign_key, "node.key", "File of the Ed25519 key that signs answers, receipts and statements."),
	STR(proxy_auth_keys, "", "Keys of the proxies served: base64 or paths of .pub files, by spaces."),
	STR(gateway, "", "URLs of gateways to register at, separated by spaces; empty: do not register."),
	STR(gateway_ca, "", "CA file for the gateways' certificates; empty: the system's."),
	STR(models, "name=demo price=1000 max_concurrent=64 max_units=1048576 lock_units=8192",
	    "Models served, separated by semicolons; max_units is the longest prompt and answer together."),
	STR(engine, "echo", "echo, echo:rate=TOKENS_PER_SECOND, or the URL of an OpenAI-compatible server."),
	STR(engine_key_file, "", "File with the bearer token for the engine; empty: none."),
	NUM(key_lifetime_s, "86400", 1, 365 * DAY, "s", "How long an X25519 key is offered to clients."),
	NUM(register_interval_s, "30", 1, DAY, "s", "How often the registration is repeated."),
	NUM(validity_s, "120", 2, 7 * DAY, "s", "How long a registration counts without being repeated."),
	STR(evidence_file, "", "Attestation evidence sent along at registration (at most 1 MiB)."),
	NUM(max_body, "16M", 1024, BODY_BYTES_MAX, "bytes", "Largest request body."),
	NUM(body_budget, "512M", 1024, 64 * GIB, "bytes", "Memory for request bodies over all connections."),
	NUM(max_answer, "64M", 1024, GIB, "bytes", "Largest whole answer taken from the engine."),
	NUM(max_conns, "4096", 1, 100000, "", "Connections open at a time."),
	NUM(head_s, "10", 1, 3600, "s", "Deadline for a request head."),
	NUM(body_s, "120", 1, 3600, "s", "Deadline for a request body."),
	NUM(idle_s, "75", 1, DAY, "s", "How long an idle connection is kept."),
	NUM(stall_s, "60", 1, DAY, "s", "How long a worker may take nothing of an answer."),
	NUM(engine_connect_s, "5", 1, 3600, "s", "Deadline to connect to the engine."),
	NUM(engine_first_byte_s, "120", 1, DAY, "s", "Deadline for the engine's first byte."),
	NUM(engine_gap_s, "60", 1, DAY, "s", "Longest silence of the engine within a stream."),
	NUM(engine_total_s, "3600", 1, DAY, "s", "Longest answer of the engine."),
};

static enum err check(void *conf)
{
	struct node_conf *c = conf;
	const char *setting = NULL;

	loop_limit_conns("max_conns", &c->max_conns, strncmp(c->engine, "http", 4) == 0 ? 2 : 1);
	if (strlen(c->public_address) > URL_BYTES_MAX)
		setting = "public_address";
	else if (strlen(c->country) > COUNTRY_BYTES_MAX)
		setting = "country";
	if (setting)
		log_error("configuration", L_S("setting", setting), L_S("what", "too long"));
	if (c->validity_s > c->register_interval_s)
		return setting ? ERR_CONFIG : ERR_OK;
	log_error("configuration", L_S("setting", "validity_s"),
		  L_S("what", "must be over register_interval_s"));
	return ERR_CONFIG;
}

static enum err look(const void *conf)
{
	return node_look(conf);
}

const struct conf_spec node_conf_spec = {
	.program = "sealway-node",
	.summary = "Opens sealed requests beside an inference engine and seals the answers.",
	.opts = opts,
	.n = sizeof(opts) / sizeof(opts[0]),
	.check = check,
	.look = look,
};
