/* SPDX-License-Identifier: Apache-2.0
 *
 * What a start of the gateway would find wrong with its settings, for --check-config.
 */
#ifndef SEALWAY_GATEWAY_LOOK_H
#define SEALWAY_GATEWAY_LOOK_H

#include "common/zsock.h"
#include "gateway/conf.h"

/* Loads the keys of the settings curve_key and broker_key; without them out is left off.  Wipe it.
 * Errors of key_load. */
enum err look_curve(const struct gw_conf *c, struct zcurve *out) MUST_USE;

/* Looks at every setting that a start would open something for, says of each in the log what
 * is wrong with it, and leaves nothing behind.  ERR_CONFIG if anything is. */
enum err gw_look(const struct gw_conf *c) MUST_USE;

#endif
