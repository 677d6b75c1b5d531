/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway-worker: carries sealed requests from the broker to nodes over HTTP and
 * publishes their answers to the gateways.  It holds the two proxy signing keys
 * and no ledger.
 */
#include <sodium.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/sandbox.h"
#include "worker/metrics.h"
#include "worker/worker.h"

static int run(struct worker *w)
{
	int status = 1;

	metrics_init();
	if (w->conf.batch)
		loop_batch();
	if (sandbox_user(w->conf.user) == ERR_OK && worker_start(w) == ERR_OK) {
		log_info("worker.started", L_S("publish", publish_endpoint(w->publish)),
			 L_U("instance", w->instance));
		loop_ready(w->loop);
		status = loop_run(w->loop);
	}
	worker_stop(w);
	log_info("worker.ended", L_I("status", status));
	return status;
}

int main(int argc, char **argv)
{
	static struct worker w;
	int status;

	loop_harden();
	mem_keep();
	switch (conf_load(&worker_conf_spec, &w.conf, argc, argv)) {
	case CONF_RUN:
		status = sodium_init() < 0 ? 1 : run(&w);
		break;
	case CONF_EXIT:
		status = 0;
		break;
	default:
		status = 2;
	}
	conf_free(&worker_conf_spec, &w.conf);
	return status;
}
