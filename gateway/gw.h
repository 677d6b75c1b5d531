/* SPDX-License-Identifier: Apache-2.0
 *
 * One loop thread of the gateway: nothing but a list of its parts, which
 * thread.c makes in order and takes apart in reverse.
 */
#ifndef SEALWAY_GATEWAY_GW_H
#define SEALWAY_GATEWAY_GW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define WINDOW_ROOM (UINT64_C(64) << 20) /* bytes */

struct gw_conf;
struct httpd;
struct inflight;
struct link;
struct workers;

struct gw {
	const struct gw_conf *conf;
	uv_loop_t *uv;
	uint64_t topic; /* random per life: our instance, and where workers publish for us */
	struct inflight *inflight;
	struct workers *workers;
	struct link *link;
	struct httpd *http;
	uint64_t window_room; /* of WINDOW_ROOM, by which windows of credits may still grow (flight_widen) */
	bool draining;
	atomic_bool up; /* a broker has welcomed us; read by the main thread */
};

#endif
