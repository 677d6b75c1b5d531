/* SPDX-License-Identifier: Apache-2.0
 *
 * The start-up test of a CURVE endpoint: a key that nobody knows has to be
 * refused.  ZeroMQ without a working ZAP handler accepts every key and says
 * nothing, so a process looks before it serves.
 */
#ifndef SEALWAY_COMMON_ZPROBE_H
#define SEALWAY_COMMON_ZPROBE_H

#include "common/zauth.h"

/* Connects to endpoint (bound by a socket on uv, of the server key given) with a
 * key just drawn, and turns uv until a's handler has refused it, for at most
 * 5 s.  type is that of the connecting end.  ERR_KEY, with a log line: it was let in, or nobody was asked.
 * Before the loop runs; handlers of uv may be called meanwhile. */
enum err zprobe(struct zauth *a, struct zctx *c, uv_loop_t *uv, enum zsock_type type, const char *endpoint,
		const uint8_t server_key[32]) MUST_USE;

#endif
