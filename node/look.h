/* SPDX-License-Identifier: Apache-2.0
 *
 * What a start of the node would find wrong with its settings, for --check-config.
 */
#ifndef SEALWAY_NODE_LOOK_H
#define SEALWAY_NODE_LOOK_H

#include "node/engine.h"
#include "node/node.h"

/* The settings of the engine. */
struct engine_opts look_engine_opts(const struct node_conf *c, uv_loop_t *uv);

/* Loads the key of the setting sign_key.  Errors of key_load. */
enum err look_sign_key(const struct node_conf *c, struct sign_key **out) MUST_USE;

/* Looks at every setting that a start would open something for, says of each in the log what
 * is wrong with it, and leaves nothing behind.  ERR_CONFIG if anything is. */
enum err node_look(const struct node_conf *c) MUST_USE;

#endif
