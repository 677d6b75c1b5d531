/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's configuration.  conf.c holds the table that parses, prints and
 * checks it.
 */
#ifndef SEALWAY_GATEWAY_CONF_H
#define SEALWAY_GATEWAY_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"

struct gw_conf {
	char *log_level, *admin_listen, *ready_file;
	bool log_json, seccomp, batch;
	char *user;
	uint64_t drain_s;
	char *listen, *tls_cert, *tls_key, *cors_origin;
	uint64_t threads;
	char *brokers, *broker_key, *curve_key;
	bool insecure;
	uint64_t max_body, body_budget, answer_budget, max_conns, max_inflight;
	uint64_t head_ms, body_ms, idle_ms, stall_ms;
	uint64_t control_ms, dispatch_ms, connect_ms, first_byte_ms, gap_ms, stream_ms, keepalive_ms;
	uint64_t heartbeat_ms;
};

/* The table. */
extern const struct conf_spec gw_conf_spec;

/* Checks what no single setting shows: pairs that go together, endpoints, room
 * for a body in the budget; resolves threads = 0.  ERR_CONFIG with a log line.
 * conf_load has called it. */
enum err gw_conf_check(struct gw_conf *c) MUST_USE;

#endif
