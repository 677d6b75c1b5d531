/* SPDX-License-Identifier: Apache-2.0
 *
 * Draining (ARCHITECTURE, "SIGTERM drains"): no new work, what runs goes to its
 * end, settlements are acknowledged, then BYE and exit 0.
 */
#include "worker/worker.h"

#define DRAIN_LOOK_MS 20
#define BYE_LOOKS 5 /* looks between BYE and the end, so that it leaves the socket */

static void on_drain_look(uv_timer_t *t)
{
	struct worker *w = t->data;

	if (w->said_bye) {
		if (++w->bye_looks >= BYE_LOOKS)
			loop_stop(w->loop);
		return;
	}
	if (tasks_count(w->tasks) || settle_count(w->settles) || wanted_count(w->wanted))
		return;
	for (unsigned i = 0; i < w->n_links; i++)
		link_bye(w->links[i]);
	w->said_bye = true;
}

void worker_drain(void *arg)
{
	struct worker *w = arg;

	tasks_drain(w->tasks);
	for (unsigned i = 0; i < w->n_links; i++)
		link_drain(w->links[i]);
	uv_timer_start(&w->drain, on_drain_look, 0, DRAIN_LOOK_MS);
}
