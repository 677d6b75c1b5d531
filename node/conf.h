/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of sealway-node.
 */
#ifndef SEALWAY_NODE_CONF_H
#define SEALWAY_NODE_CONF_H

#include "common/conf.h"

struct node_conf {
	char *log_level;
	bool log_json, seccomp;
	char *user;
	char *listen, *admin_listen, *ready_file;
	uint64_t drain_s;
	char *public_address, *country;
	uint64_t node_id;
	char *sign_key, *proxy_auth_keys;
	char *gateway, *gateway_ca;
	char *models, *engine, *engine_key_file;
	uint64_t key_lifetime_s, register_interval_s, validity_s;
	char *evidence_file;
	uint64_t max_body, body_budget, max_answer, max_conns;
	uint64_t head_s, body_s, idle_s, stall_s;
	uint64_t engine_connect_s, engine_first_byte_s, engine_gap_s, engine_total_s;
};

/* The table behind struct node_conf. */
extern const struct conf_spec node_conf_spec;

#endif
