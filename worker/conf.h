/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's settings.  The table in conf.c is the only list of them.
 */
#ifndef SEALWAY_WORKER_CONF_H
#define SEALWAY_WORKER_CONF_H

#include "common/conf.h"

struct worker_conf {
	char *log_level;
	bool log_json, seccomp, batch;
	char *user;
	char *admin_listen, *ready_file;
	uint64_t drain_s;
	char *brokers, *broker_key, *curve_key;
	char *publish, *advertise;
	bool insecure;
	uint64_t capacity;
	char *request_key, *auth_key;
	char *node_networks, *ca_file;
	bool verify_chunks;
	uint64_t connect_s, first_byte_s, gap_s, stream_s, stop_s;
	uint64_t max_event, max_answer, answer_budget, topic_queue;
};

/* The table, for conf_load and conf_free. */
extern const struct conf_spec worker_conf_spec;

#endif
