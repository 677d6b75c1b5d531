/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker says to requests that wait: REFUSE, LOCKED, ANSWER, and the
 * introduction of workers.
 */
#ifndef SEALWAY_GATEWAY_REPLY_H
#define SEALWAY_GATEWAY_REPLY_H

#include "common/mem.h"
#include "proto/msg.h"

/* A message of the broker (link_opts.msg; arg is the struct gw). */
void reply_msg(void *arg, enum msg_type type, struct slice bytes);

#endif
