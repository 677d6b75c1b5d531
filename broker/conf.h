/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's settings.
 */
#ifndef SEALWAY_BROKER_CONF_H
#define SEALWAY_BROKER_CONF_H

#include "common/conf.h"

struct broker_conf {
	char *log_level, *admin_listen, *ready_file;
	bool log_json, seccomp, batch;
	char *user;
	uint64_t drain_s;
	char *bus;   /* endpoints to bind, space separated */
	char *admin; /* ipc endpoint of the operator's socket */
	char *curve_key, *peers;
	bool insecure;
	char *database;
	bool check_ledger; /* prove it and end */
	uint64_t stack_units, lock_max_units;
	bool accept_unsigned_usage, open_registration;
	uint64_t open_registration_max;
	char *node_networks;
	uint64_t heartbeat_ms, queue_max, body_budget;
	uint64_t user_rate, user_concurrent, user_units_per_minute;
	uint64_t breaker_failures, breaker_open_ms, probe_ms, probe_timeout_ms, probe_inflight;
	uint64_t claim_ms, work_ms, remember_days;
};

extern const struct conf_spec broker_conf_spec;

#endif
